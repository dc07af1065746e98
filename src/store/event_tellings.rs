//! What deliveries told of changes, commits, releases and runs of pipelines. The row of each is what all that was told
//! of it comes to: where a delivery is read again, what it told is forgotten, and the row is made anew of the rest.

use super::deployments::facts;
use crate::events::{Commit, Event, EventKind};
use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use sqlx::types::Json;

/// What was told of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Subject {
    /// The kind of its events; a pushed commit is a `change`, as its row is.
    pub kind: String,
    /// Its repository; of a run the number of its event source.
    pub place: String,
    /// What tells it from the others there.
    pub external_id: String,
}

/// What one delivery tells of one, about to be kept.
#[derive(Debug, Clone)]
pub struct NewTelling {
    /// The delivery.
    pub event_delivery_id: i64,
    /// Of what.
    pub subject: Subject,
    /// All that was told.
    pub facts: serde_json::Value,
}

impl NewTelling {
    /// What an event tells: of a push one for each of its commits.
    pub fn all_of(event_source_id: i64, event_delivery_id: i64, event: &Event) -> Vec<Self> {
        let place = match event.kind {
            EventKind::PipelineRun => event_source_id.to_string(),
            _ => event.repo.clone().unwrap_or_default(),
        };
        // A sender of changes may know one by its commit: then both tell of one row.
        let kind = if event.kind == EventKind::Push { EventKind::Change } else { event.kind };
        let telling = |external_id: &str, event: &Event| Self {
            event_delivery_id,
            subject: Subject {
                kind: kind.as_str().to_owned(),
                place: place.clone(),
                external_id: external_id.to_owned(),
            },
            facts: facts(event),
        };
        match event.kind {
            EventKind::Push => {
                let of_commit = |commit: &Commit| Event {
                    kind: event.kind,
                    repo: event.repo.clone(),
                    finished_at: event.finished_at,
                    is_default_branch: event.is_default_branch,
                    commits: vec![commit.clone()],
                    ..Event::default()
                };
                event.commits.iter().map(|commit| telling(&commit.sha, &of_commit(commit))).collect()
            }
            EventKind::PipelineRun => vec![telling(event.key().unwrap_or_default(), event)],
            _ => vec![telling(event.external_id.as_deref().unwrap_or_default(), event)],
        }
    }
}

/// What one delivery told.
#[derive(Debug, Clone)]
pub struct Telling {
    /// Who sent it.
    pub event_source_id: i64,
    /// The delivery.
    pub event_delivery_id: i64,
    /// When it came.
    pub received_at: DateTime<Utc>,
    /// What it told; of a push the commits that were asked for.
    pub event: Event,
}

/// Keeps what was told.
pub async fn insert_all(conn: &mut PgConnection, all: &[NewTelling]) -> sqlx::Result<()> {
    if all.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "INSERT INTO event_telling (event_delivery_id, kind, place, external_id, facts)
         SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::jsonb[])",
        &all.iter().map(|one| one.event_delivery_id).collect::<Vec<_>>(),
        &all.iter().map(|one| one.subject.kind.clone()).collect::<Vec<_>>(),
        &all.iter().map(|one| one.subject.place.clone()).collect::<Vec<_>>(),
        &all.iter().map(|one| one.subject.external_id.clone()).collect::<Vec<_>>(),
        &all.iter().map(|one| one.facts.clone()).collect::<Vec<_>>(),
    )
    .execute(conn)
    .await
    .map(drop)
}

/// Forgets what deliveries told, so that they can be read again. Returns of what they told.
pub async fn forget_deliveries(conn: &mut PgConnection, event_delivery_ids: &[i64]) -> sqlx::Result<Vec<Subject>> {
    sqlx::query_as!(
        Subject,
        "DELETE FROM event_telling WHERE event_delivery_id = ANY($1) RETURNING kind, place, external_id",
        event_delivery_ids
    )
    .fetch_all(conn)
    .await
}

/// What was told under these numbers, in the order in which it was kept.
pub async fn of_ids(conn: &mut PgConnection, event_telling_ids: &[i64]) -> sqlx::Result<Vec<Telling>> {
    let rows = sqlx::query!(
        r#"SELECT e.event_source_id, t.event_delivery_id, e.received_at, t.facts AS "facts: Json<Event>"
           FROM event_telling t JOIN event_delivery e USING (event_delivery_id)
           WHERE t.event_telling_id = ANY($1) ORDER BY t.event_telling_id"#,
        event_telling_ids
    )
    .fetch_all(conn)
    .await?;
    let telling = rows.into_iter().map(|row| Telling {
        event_source_id: row.event_source_id,
        event_delivery_id: row.event_delivery_id,
        received_at: row.received_at,
        event: row.facts.0,
    });
    Ok(telling.collect())
}

/// All that was told of these, in the order in which it came.
pub async fn of_subjects(conn: &mut PgConnection, subjects: &[Subject]) -> sqlx::Result<Vec<Telling>> {
    let rows = sqlx::query!(
        r#"SELECT e.event_source_id, t.event_delivery_id, e.received_at, t.facts AS "facts: Json<Event>"
           FROM event_telling t JOIN event_delivery e USING (event_delivery_id)
           JOIN unnest($1::text[], $2::text[], $3::text[]) AS s (kind, place, external_id)
               ON t.kind = s.kind AND t.place = s.place AND t.external_id = s.external_id
           ORDER BY t.event_delivery_id, t.event_telling_id"#,
        &subjects.iter().map(|subject| subject.kind.clone()).collect::<Vec<_>>(),
        &subjects.iter().map(|subject| subject.place.clone()).collect::<Vec<_>>(),
        &subjects.iter().map(|subject| subject.external_id.clone()).collect::<Vec<_>>(),
    )
    .fetch_all(conn)
    .await?;
    let mut tellings: Vec<Telling> = Vec::new();
    for row in rows {
        let event = row.facts.0;
        // A push of many commits is written down in one go.
        match tellings.last_mut().filter(|last| last.is_push_with(row.event_delivery_id, &event)) {
            Some(last) => last.event.commits.extend(event.commits),
            None => tellings.push(Telling {
                event_source_id: row.event_source_id,
                event_delivery_id: row.event_delivery_id,
                received_at: row.received_at,
                event,
            }),
        }
    }
    Ok(tellings)
}

impl Telling {
    fn is_push_with(&self, event_delivery_id: i64, event: &Event) -> bool {
        let own = (self.event_delivery_id, self.event.kind, &self.event.repo, self.event.finished_at);
        event.kind == EventKind::Push && own == (event_delivery_id, event.kind, &event.repo, event.finished_at)
    }
}
