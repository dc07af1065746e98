//! One repository: its commits, merged requests and deployments, page by page. What is known is left out, the rest is
//! stored as deliveries with the mark of the answer that held it, both or neither.

use super::asking::{Asking, Problem, Stop};
use super::pages::{Mark, Pages};
use crate::events;
use crate::events::listed::{Found, List, Repository, Tells};
use crate::store::event_deliveries::{self, NewDelivery};
use crate::store::event_known::{self, Gone, KnownDeployment};
use crate::store::event_reads::{self, ReadRepository};
use crate::store::jobs;
use chrono::{DateTime, NaiveTime, TimeDelta, Utc};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use sqlx::PgConnection;
use std::collections::HashMap;

/// How far the first read goes back.
const FIRST: TimeDelta = TimeDelta::days(30);
/// What later reads look at once more: clocks differ, and lists show some things late.
const OVERLAP: TimeDelta = TimeDelta::days(1);
/// Times of a deployment's status and of its row are written one after the other.
const SAME_MOMENT: TimeDelta = TimeDelta::seconds(2);
/// Deployments of which more may be told and that are asked for again.
const OPEN_MAX: usize = 200;

/// Reads a repository whole; then it is read up to when the read began.
pub(super) async fn read(asking: &mut Asking<'_>, setting: &ReadRepository) -> Result<(), Stop> {
    let repository = described(asking, &setting.repository).await?;
    let started_at = asking.run.started_at;
    let since = setting.read_through.map_or(started_at - FIRST, |through| through - OVERLAP);
    // Whole days, so that the address is the same all day, and with it the mark.
    let since = since.date_naive().and_time(NaiveTime::MIN).and_utc();
    let mut marks = Vec::new();
    for list in asking.api.lists() {
        match read_list(asking, &setting.repository, &repository, *list, since, &mut marks).await {
            // A project whose environments are switched off has none that could stop.
            Err(Stop::Problem(Problem { is_of_all: false, .. })) if *list == List::Environments => {}
            read => read?,
        }
    }
    let are_all_asked = read_open(asking, &setting.repository, &repository, &mut marks).await?;
    let mut transaction = asking.pools.jobs.begin().await?;
    if !jobs::holds(&mut transaction, asking.fence).await? {
        return Err(Stop::Lost);
    }
    set_marks(&mut transaction, asking, &marks).await?;
    let id = asking.event_source_id;
    event_reads::read_through(&mut transaction, id, &setting.repository, started_at).await?;
    if !are_all_asked {
        let error = format!(
            "More than {OPEN_MAX} deployments have not ended or stand in previews: only the newest {OPEN_MAX} were asked \
             for again."
        );
        let remedy = "Delete there what is over: the next read asks for others then.";
        event_reads::repository_failed(&mut transaction, id, &setting.repository, &error, remedy).await?;
    }
    transaction.commit().await?;
    Ok(())
}

// What its API says of it, or said the last time, where that did not change.
async fn described(asking: &mut Asking<'_>, path_name: &str) -> Result<Repository, Stop> {
    let path = asking.api.repository_path(path_name);
    let kept = event_reads::marked(&asking.pools.jobs, asking.event_source_id, &path).await?;
    let kept = kept.and_then(|(etag, about)| Some((etag, serde_json::from_value::<Repository>(about).ok()?)));
    let answer = asking.get(&path, kept.as_ref().map(|(etag, _)| etag.as_str())).await?;
    if let Some((_, repository)) = kept.filter(|_| answer.is_unchanged()) {
        return Ok(repository);
    }
    let body = asking.json(&answer)?;
    let repository = asking.api.repository(&body).ok_or_else(|| asking.not_the_api())?;
    let Some(etag) = &answer.etag else { return Ok(repository) };
    let about = serde_json::to_value(&repository).map_err(|error| sqlx::Error::Encode(error.into()))?;
    let mut transaction = asking.pools.jobs.begin().await?;
    if !jobs::holds(&mut transaction, asking.fence).await? {
        return Err(Stop::Lost);
    }
    let id = asking.event_source_id;
    event_reads::set_marked(&mut transaction, id, &path, (etag, &about), Utc::now()).await?;
    transaction.commit().await?;
    Ok(repository)
}

async fn read_list(
    asking: &mut Asking<'_>,
    path_name: &str,
    repository: &Repository,
    list: List,
    since: DateTime<Utc>,
    marks: &mut Vec<Mark>,
) -> Result<(), Stop> {
    let first = asking.api.list_path(list, path_name, &repository.default_branch, since);
    let mut pages = Pages::from(asking, first).await?;
    while let Some(page) = pages.turn(asking).await? {
        marks.extend(page.mark);
        let is_wanted = |row: &&Value| asking.api.falls_to(list, row).is_none_or(|at| at >= since);
        let wanted: Vec<&Value> = page.rows.iter().filter(is_wanted).collect();
        if wanted.len() < page.rows.len() {
            pages.end();
        }
        match list {
            List::Commits => take_commits(asking, repository, &wanted).await?,
            List::Changes => take_changes(asking, repository, &wanted).await?,
            List::Deployments => take_deployments(asking, path_name, repository, &wanted).await?,
            List::Environments => take_environments(asking, repository, &wanted, since).await?,
        }
    }
    Ok(())
}

async fn take_commits(asking: &mut Asking<'_>, repository: &Repository, rows: &[&Value]) -> Result<(), Stop> {
    let shas: Vec<String> = rows.iter().filter_map(|row| asking.api.commit_sha(row).map(str::to_owned)).collect();
    let mut conn = asking.pools.jobs.acquire().await?;
    let known = event_known::changes(&mut conn, &repository.name, &shas).await?;
    drop(conn);
    let is_new = |row: &&&Value| asking.api.commit_sha(row).is_some_and(|sha| !known.contains_key(sha));
    let lacking: Vec<&Value> = rows.iter().filter(is_new).copied().collect();
    let Some((event_name, dedupe_key, headers, body)) = asking.api.commits(repository, &lacking) else { return Ok(()) };
    // A push tells of many; the count is by commit.
    let told = Tells::Change { external_id: String::new(), state: "pushed", is_hotfix: false };
    let found = Found { event_name, dedupe_key, headers, body, tells: told };
    if store(asking, &[found], &[]).await? > 0 {
        asking.run.commit_count += i32::try_from(lacking.len()).unwrap_or(i32::MAX);
    }
    Ok(())
}

async fn take_changes(asking: &mut Asking<'_>, repository: &Repository, rows: &[&Value]) -> Result<(), Stop> {
    let found: Vec<Found> = rows.iter().filter_map(|row| asking.api.change(repository, row)).collect();
    let id = |found: &Found| match &found.tells {
        Tells::Change { external_id, .. } => Some(external_id.clone()),
        _ => None,
    };
    let ids: Vec<String> = found.iter().filter_map(id).collect();
    let mut conn = asking.pools.jobs.acquire().await?;
    let known = event_known::changes(&mut conn, &repository.name, &ids).await?;
    drop(conn);
    let is_new = |found: &Found| match &found.tells {
        Tells::Change { external_id, state, is_hotfix } => {
            known.get(external_id).is_none_or(|known| known.state != *state || known.is_hotfix != *is_hotfix)
        }
        _ => false,
    };
    let lacking: Vec<Found> = found.into_iter().filter(is_new).collect();
    asking.run.change_count += store(asking, &lacking, &[]).await?;
    Ok(())
}

// The list is in no order of time, so that each row says by itself whether it is wanted. What is told already has the
// same key.
async fn take_environments(
    asking: &mut Asking<'_>,
    repository: &Repository,
    rows: &[&Value],
    since: DateTime<Utc>,
) -> Result<(), Stop> {
    let found = rows.iter().filter_map(|row| asking.api.stopped_environment(repository, row, since));
    let found: Vec<Found> = found.collect();
    asking.run.status_count += store(asking, &found, &[]).await?;
    Ok(())
}

async fn take_deployments(
    asking: &mut Asking<'_>,
    path_name: &str,
    repository: &Repository,
    rows: &[&Value],
) -> Result<(), Stop> {
    let known = known(asking, rows).await?;
    // From old to new, so that the timeline grows forwards while it is read.
    for row in rows.iter().rev() {
        let known = asking.api.deployment_id(row).and_then(|id| known.get(&id).cloned());
        take_deployment(asking, path_name, repository, row, known).await?;
    }
    Ok(())
}

async fn known(asking: &Asking<'_>, rows: &[&Value]) -> Result<HashMap<String, KnownDeployment>, Stop> {
    let ids: Vec<String> = rows.iter().filter_map(|row| asking.api.deployment_id(row)).collect();
    let mut conn = asking.pools.jobs.acquire().await?;
    Ok(event_known::deployments(&mut conn, asking.event_source_id, &ids).await?)
}

async fn take_deployment(
    asking: &mut Asking<'_>,
    path_name: &str,
    repository: &Repository,
    row: &Value,
    known: Option<KnownDeployment>,
) -> Result<(), Stop> {
    let (mut statuses, mut marks) = (Vec::new(), Vec::new());
    if let Some(first) = asking.api.statuses_path(path_name, row) {
        // One whose last status came and whose start was lost is asked about too.
        let last_at = known.as_ref().filter(|known| known.has_start()).and_then(|known| known.last_at);
        let is_told = last_at.zip(asking.api.changed_at(row)).is_some_and(|(last, row)| last + SAME_MOMENT >= row);
        if is_told {
            return Ok(());
        }
        let mut pages = Pages::from(asking, first).await?;
        while let Some(page) = pages.turn(asking).await? {
            statuses.extend(page.rows);
            marks.extend(page.mark);
        }
        if pages.is_unchanged() {
            return Ok(());
        }
    }
    let is_new = |found: &Found| match (&found.tells, &known) {
        (Tells::Deployment { status: Some(status), .. }, Some(known)) => !known.statuses.contains(status),
        (Tells::Deployment { status: None, .. }, Some(_)) => false,
        _ => true,
    };
    let found = asking.api.deployment(repository, row, &statuses);
    let lacking: Vec<Found> = found.into_iter().filter(is_new).collect();
    let stored = store(asking, &lacking, &marks).await?;
    if stored > 0 {
        asking.run.status_count += stored;
        asking.run.deployment_count += i32::from(known.is_none());
    }
    Ok(())
}

// Deployments that began here and never ended, and previews that stand: the list may not show them any more. One that
// is as it was has no status that was not taken then. Gives whether these were all.
async fn read_open(
    asking: &mut Asking<'_>,
    path_name: &str,
    repository: &Repository,
    marks: &mut Vec<Mark>,
) -> Result<bool, Stop> {
    let since = asking.run.started_at - FIRST;
    let mut conn = asking.pools.jobs.acquire().await?;
    let id = asking.event_source_id;
    let with_previews = asking.api.ends_in_silence();
    let Some(path) = asking.api.deployment_path(path_name, "") else { return Ok(true) };
    let gone = Gone { path: &path, mark: event_reads::GONE };
    let name = &repository.name;
    let limit = OPEN_MAX as i64 + 1;
    let open = event_known::open_deployments(&mut conn, id, name, since, with_previews, gone, limit).await?;
    drop(conn);
    let are_all = open.len() <= OPEN_MAX;
    for external_id in open.into_iter().take(OPEN_MAX) {
        let Some(path) = asking.api.deployment_path(path_name, &external_id) else { return Ok(true) };
        let mark = event_reads::mark(&asking.pools.jobs, id, &path).await?;
        if mark.as_deref() == Some(event_reads::GONE) {
            continue;
        }
        let answer = match asking.get(&path, mark.as_deref()).await {
            Ok(answer) => answer,
            // It was deleted over there; here it stays what was told of it, and it is not asked for again.
            Err(Stop::Problem(problem)) if problem.is_gone => {
                marks.push((path, event_reads::GONE.to_owned()));
                continue;
            }
            Err(Stop::Problem(problem)) if !problem.is_of_all => continue,
            Err(stop) => return Err(stop),
        };
        if answer.is_unchanged() {
            continue;
        }
        let row = asking.json(&answer)?;
        let known = known(asking, &[&row]).await?.remove(&external_id);
        take_deployment(asking, path_name, repository, &row, known).await?;
        marks.extend(answer.etag.map(|etag| (path, etag)));
    }
    Ok(are_all)
}

// Stores what lacks, and the marks of the answers that held it. Gives how many were not stored before.
async fn store(asking: &Asking<'_>, found: &[Found], marks: &[Mark]) -> Result<i32, Stop> {
    if found.is_empty() && marks.is_empty() {
        return Ok(0);
    }
    let mut transaction = asking.pools.jobs.begin().await?;
    if !jobs::holds(&mut transaction, asking.fence).await? {
        return Err(Stop::Lost);
    }
    let received_at = Utc::now();
    let bodies: Vec<(Vec<u8>, String)> = found.iter().map(body_of).collect();
    let deliveries: Vec<NewDelivery<'_>> = found
        .iter()
        .zip(&bodies)
        .map(|(found, (body, body_sha256))| NewDelivery {
            event_source_id: asking.event_source_id,
            dedupe_key: &found.dedupe_key,
            event_name: found.event_name,
            headers: &found.headers,
            body,
            body_sha256,
            received_at,
        })
        .collect();
    let stored = event_deliveries::insert_all(&mut transaction, &deliveries).await?;
    let new_count = stored.iter().filter(|stored| stored.is_new).count();
    if stored.iter().any(|stored| stored.is_unread) {
        jobs::enqueue(&mut transaction, jobs::READ_EVENTS, "", &json!({})).await?;
    }
    set_marks(&mut transaction, asking, marks).await?;
    transaction.commit().await?;
    Ok(i32::try_from(new_count).unwrap_or(i32::MAX))
}

fn body_of(found: &Found) -> (Vec<u8>, String) {
    let body = events::without_credentials(found.body.to_string().as_bytes()).into_owned();
    let sha256 = hex::encode(Sha256::digest(&body));
    (body, sha256)
}

async fn set_marks(conn: &mut PgConnection, asking: &Asking<'_>, marks: &[Mark]) -> Result<(), Stop> {
    for (address, etag) in marks {
        event_reads::set_mark(conn, asking.event_source_id, address, etag, Utc::now()).await?;
    }
    Ok(())
}
