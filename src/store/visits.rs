//! What a person saw when they looked at a page last.

use chrono::{DateTime, Duration, Utc};
use sqlx::PgConnection;

/// Looking again within this time is the same visit.
const VISIT_MINUTES: i64 = 30;
/// A visit is noted again only after so long: most page views then write nothing.
const NOTED_AGAIN_MINUTES: i64 = 5;

/// The visit before this one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenBefore {
    /// The publication that it ended with.
    pub publication_id: i64,
    /// When it ended.
    pub at: DateTime<Utc>,
}

/// What is known of a person and a page, and what is to be noted of looking at it now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Visit {
    /// The visit before this one; `None` at the first.
    pub before: Option<SeenBefore>,
    /// What to store; `None` where nothing worth a write has changed.
    pub note: Option<(SeenBefore, SeenBefore)>,
}

struct Stored {
    seen: SeenBefore,
    latest: SeenBefore,
}

/// Looks up a visit that happens now, at a page that shows this publication.
pub async fn look(
    conn: &mut PgConnection,
    user_id: i64,
    page: &str,
    publication_id: i64,
    now: DateTime<Utc>,
) -> sqlx::Result<Visit> {
    let row = sqlx::query!(
        "SELECT seen_publication_id, seen_at, latest_publication_id, latest_at FROM page_visit
         WHERE user_id = $1 AND page = $2",
        user_id,
        page
    )
    .fetch_optional(conn)
    .await?;
    let stored = row.map(|row| Stored {
        seen: SeenBefore { publication_id: row.seen_publication_id, at: row.seen_at },
        latest: SeenBefore { publication_id: row.latest_publication_id, at: row.latest_at },
    });
    Ok(visit(stored, publication_id, now))
}

fn visit(stored: Option<Stored>, publication_id: i64, now: DateTime<Utc>) -> Visit {
    let present = SeenBefore { publication_id, at: now };
    let Some(Stored { seen, latest }) = stored else {
        return Visit { before: None, note: Some((present.clone(), present)) };
    };
    let is_new = now - latest.at > Duration::minutes(VISIT_MINUTES);
    let before = if is_new { latest.clone() } else { seen };
    let is_worth =
        is_new || publication_id != latest.publication_id || now - latest.at > Duration::minutes(NOTED_AGAIN_MINUTES);
    Visit { note: is_worth.then(|| (before.clone(), present)), before: Some(before) }
}

/// Stores what [`look`] said is to be noted.
pub async fn note(
    conn: &mut PgConnection,
    user_id: i64,
    page: &str,
    (seen, latest): &(SeenBefore, SeenBefore),
) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO page_visit
             (user_id, page, seen_publication_id, seen_at, latest_publication_id, latest_at)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (user_id, page) DO UPDATE SET seen_publication_id = excluded.seen_publication_id,
             seen_at = excluded.seen_at, latest_publication_id = excluded.latest_publication_id,
             latest_at = excluded.latest_at
         WHERE page_visit.latest_at <= excluded.latest_at",
        user_id,
        page,
        seen.publication_id,
        seen.at,
        latest.publication_id,
        latest.at
    )
    .execute(conn)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + Duration::minutes(minute)
    }

    #[test]
    fn a_visit_compares_with_the_one_before_until_it_ends() {
        let first = visit(None, 5, at(0));
        assert_eq!(first.before, None);
        let (seen, latest) = first.note.unwrap();
        let stored =
            |seen: &SeenBefore, latest: &SeenBefore| Some(Stored { seen: seen.clone(), latest: latest.clone() });
        // A reload within the visit writes nothing; a new publication meanwhile is new to this visit.
        assert_eq!(visit(stored(&seen, &latest), 5, at(1)).note, None);
        let within = visit(stored(&seen, &latest), 6, at(2));
        assert_eq!(within.before.as_ref().unwrap().publication_id, 5);
        let (seen, latest) = within.note.unwrap();
        // The next day: against what was seen last.
        let next = visit(stored(&seen, &latest), 9, at(1440));
        assert_eq!(next.before.unwrap().publication_id, 6);
    }
}
