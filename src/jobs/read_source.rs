//! A look at a source's place: what is new and whole there becomes deliveries, what is not whole is remembered.

use super::fetched::Fetched;
use super::import_upload::set_progress;
use super::read_words::{with_empty, words};
use crate::config::Config;
use crate::normalize::Format;
use crate::rollup::{ImportOptions, ImportRequest, import_with};
use crate::sources::kind::Restatement;
use crate::sources::layout::{self, Candidate, Choice, Chosen, Head, Object, Standing};
use crate::sources::objects::{Opened, PlaceError};
use crate::sources::place::Credentials;
use crate::store::jobs::Job;
use crate::store::receipts::Receipt;
use crate::store::source_finds::{self, Find};
use crate::store::source_reads::{self, Outcome};
use crate::store::source_settings::{self, SourceSetting};
use crate::store::{Pools, sealed};
use anyhow::Context;
use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};

/// New manifests of one subject that are looked into, the newest first.
const MANIFESTS_MAX: usize = 50;
/// How often a place that changes while it is read is looked at anew.
const TRIES_MAX: usize = 3;

#[derive(Deserialize)]
struct Payload {
    source_id: i64,
    asked_by: String,
}

/// Why a look ended early.
enum ReadError {
    Place(PlaceError),
    Other(anyhow::Error),
}

impl From<PlaceError> for ReadError {
    fn from(error: PlaceError) -> Self {
        Self::Place(error)
    }
}

impl From<sqlx::Error> for ReadError {
    fn from(error: sqlx::Error) -> Self {
        Self::Other(error.into())
    }
}

impl From<anyhow::Error> for ReadError {
    fn from(error: anyhow::Error) -> Self {
        Self::Other(error)
    }
}

pub(super) async fn run(pools: &Pools, config: &Config, job: &Job) -> anyhow::Result<()> {
    let payload: Payload = serde_json::from_value(job.payload.clone()).context("the job's payload")?;
    // It was taken away meanwhile.
    let Some(source) = source_settings::get(&pools.jobs, payload.source_id).await? else { return Ok(()) };
    if !source.setting.kind.is_read() {
        return Ok(());
    }
    let mut conn = pools.jobs.acquire().await?;
    let read_id = source_reads::begin(&mut conn, source.source_id, &payload.asked_by, Utc::now()).await?;
    drop(conn);
    let (outcome, counts, folders) = (Outcome::default(), BTreeMap::new(), BTreeMap::new());
    let mut look = Look { pools, config, job, source, outcome, folders, counts };
    let result = look.all().await;
    set_progress(job.job_id, None);
    let mut outcome = look.outcome;
    let mut again = None;
    match result {
        Ok(()) => {}
        Err(ReadError::Place(error)) => {
            outcome.result = "failed";
            (outcome.message, outcome.remedy) = (Some(error.sentence.clone()), Some(error.remedy.clone()));
            again = error.may_pass.then(|| anyhow::anyhow!(error));
        }
        Err(ReadError::Other(error)) => {
            outcome.result = "failed";
            // What says what to do ends its sentence itself.
            outcome.message = Some(format!("{}.", format!("{error:#}").trim_end_matches('.')));
            outcome.remedy = Some("It is tried again; the log has the details.".into());
            again = Some(error);
        }
    }
    let mut conn = pools.jobs.acquire().await?;
    source_reads::finish(&mut conn, payload.source_id, read_id, &outcome, Utc::now()).await?;
    metrics::counter!("costwake_source_reads_total", "result" => outcome.result).increment(1);
    match again {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

struct Look<'a> {
    pools: &'a Pools,
    config: &'a Config,
    job: &'a Job,
    source: SourceSetting,
    outcome: Outcome,
    /// What lies in each folder, where files of one must not take each other's place.
    folders: BTreeMap<String, Vec<String>>,
    /// Deliveries of this look by what became of them.
    counts: BTreeMap<String, usize>,
}

impl Look<'_> {
    async fn all(&mut self) -> Result<(), ReadError> {
        let opened = self.open().await?;
        let mut tries = 0;
        loop {
            tries += 1;
            match Box::pin(self.once(&opened)).await {
                Err(ReadError::Place(error)) if error.is_change && tries < TRIES_MAX => {
                    tracing::info!(source = self.source.setting.name, "A place is looked at again: {error}");
                }
                other => return other,
            }
        }
    }

    async fn open(&self) -> Result<Opened, ReadError> {
        let credentials = match self.source.has_credentials() {
            false => Credentials::default(),
            true => {
                let key = sealed::load(&self.config.key_file()).await;
                key.and_then(|key| self.source.credentials(&key)).map_err(|error| {
                    let sentence = format!("The credentials cannot be opened: {error}.");
                    PlaceError::lasting(sentence, "Put the right key file back, or enter the credentials again.")
                })?
            }
        };
        let setting = &self.source.setting;
        let reach = self.config.reach()?;
        Ok(Opened::new(setting.kind, &setting.place, &credentials, &reach).await?)
    }

    async fn once(&mut self, opened: &Opened) -> Result<(), ReadError> {
        set_progress(self.job.job_id, Some("Listing what lies there".into()));
        let objects = opened.list().await?;
        self.outcome.object_count = objects.len() as i64;
        let layout = self.source.setting.layout;
        let heads = layout.heads(&objects);
        let empty = layout.empty_files(&objects);
        if heads.is_empty() {
            self.outcome.result = "nothing-new";
            let message = match objects.len() {
                0 => "Nothing lies there.".into(),
                1 => "1 object lies there, and begins no delivery.".into(),
                count => format!("{count} objects lie there, and none begins a delivery."),
            };
            let remedy = if empty.is_empty() { layout.nothing_found().into() } else { String::new() };
            (self.outcome.message, self.outcome.remedy) = with_empty(Some(message), Some(remedy), &empty);
            return Ok(());
        }
        self.forget_gone(&heads).await?;
        let (heads, left_out) = self.leave_out(heads).await?;
        let has_none = heads.is_empty();
        if self.source.setting.restatement == Restatement::Overwrite {
            self.folders = by_folder(&heads);
        }
        let (chosen, wanting) = self.choose(opened, &objects, heads).await?;
        let count = chosen.len();
        for (number, chosen) in chosen.into_iter().enumerate() {
            set_progress(self.job.job_id, Some(format!("Delivery {} of {count}", number + 1)));
            Box::pin(self.read(opened, &chosen)).await?;
        }
        self.outcome.result = match (wanting, self.outcome.delivery_ids.is_empty()) {
            (0, true) => "nothing-new",
            (0, false) => "new",
            _ => "partial",
        };
        // What counts does not go on, and what goes on does not count: a hand is wanted.
        if has_none {
            self.outcome.result = "partial";
        }
        let (message, remedy) = words(&self.counts, wanting, left_out);
        (self.outcome.message, self.outcome.remedy) = with_empty(message, remedy, &empty);
        Ok(())
    }

    // The heads that may count, and how many of the place are left out, because they would count cost twice.
    async fn leave_out(&self, heads: Vec<Head>) -> sqlx::Result<(Vec<Head>, usize)> {
        let layout = self.source.setting.layout;
        if !layout.has_kinds() {
            return Ok((heads, 0));
        }
        let (db, source_id) = (&self.pools.jobs, self.source.source_id);
        let counted_key = source_finds::counted_oci_object(db, source_id).await?;
        let (heads, left_out) = layout.once(heads, counted_key.as_deref());
        let Some(left_out) = left_out else { return Ok((heads, 0)) };
        let objects: Vec<Object> = left_out.heads.into_iter().map(|head| head.object).collect();
        source_finds::leave_out(db, source_id, &objects, &left_out.why, Utc::now()).await?;
        Ok((heads, objects.len()))
    }

    async fn forget_gone(&self, heads: &[Head]) -> sqlx::Result<()> {
        let keys: Vec<String> = heads.iter().map(|head| head.object.key.clone()).collect();
        let etags: Vec<String> = heads.iter().map(|head| head.object.etag.clone()).collect();
        let mut conn = self.pools.jobs.acquire().await?;
        source_finds::forget_gone(&mut conn, self.source.source_id, &keys, &etags).await
    }

    // What to read, oldest first, and how many manifests want something.
    async fn choose(
        &self,
        opened: &Opened,
        objects: &[Object],
        heads: Vec<Head>,
    ) -> Result<(Vec<Chosen>, usize), ReadError> {
        let finds = source_finds::known(&self.pools.jobs, self.source.source_id).await?;
        let known: HashMap<(&str, &str), &Find> =
            finds.iter().map(|find| ((find.object_key.as_str(), find.etag.as_str()), find)).collect();
        let has_manifests = self.source.setting.layout.has_manifests();
        let last_read = if has_manifests { HashMap::new() } else { last_read(&finds) };
        let index: HashMap<&str, &Object> = objects.iter().map(|object| (object.key.as_str(), object)).collect();
        let mut subjects: BTreeMap<String, Vec<Head>> = BTreeMap::new();
        for head in heads {
            subjects.entry(head.subject.clone()).or_default().push(head);
        }
        let (mut all_chosen, mut wanting) = (Vec::new(), 0);
        for mut heads in subjects.into_values() {
            heads.sort_by_key(|head| std::cmp::Reverse(head.version_at));
            let mut candidates = Vec::new();
            let mut looked_into = 0;
            for head in heads {
                let find = known.get(&(head.object.key.as_str(), head.object.etag.as_str())).copied();
                let is_settled = |find: &&Find| matches!(find.state.as_str(), "read" | "older");
                match find.filter(is_settled).filter(|_| !is_put_back(&head, &last_read)) {
                    Some(find) => candidates.push(of_find(head, find)),
                    None if looked_into < MANIFESTS_MAX => {
                        looked_into += 1;
                        match self.look_into(opened, &index, head).await? {
                            Some(candidate) => candidates.push(candidate),
                            None => wanting += 1,
                        }
                    }
                    None => {}
                }
            }
            let mut exports: BTreeMap<String, Vec<Candidate>> = BTreeMap::new();
            for candidate in candidates {
                exports.entry(candidate.export.clone()).or_default().push(candidate);
            }
            for candidates in exports.into_values() {
                let choice = layout::choose(candidates);
                wanting += choice.partial.len();
                self.keep_others(&choice).await?;
                all_chosen.extend(choice.chosen);
            }
        }
        all_chosen.sort_by(|a, b| (a.version_at, &a.head.object.key).cmp(&(b.version_at, &b.head.object.key)));
        Ok((all_chosen, wanting))
    }

    async fn keep_others(&self, choice: &Choice) -> sqlx::Result<()> {
        for candidate in &choice.older {
            self.keep(candidate, "older", None, None).await?;
        }
        for (candidate, missing) in &choice.partial {
            self.keep(candidate, "partial", None, Some(missing.clone())).await?;
        }
        Ok(())
    }

    // None where it cannot be read; that is remembered.
    async fn look_into(
        &self,
        opened: &Opened,
        index: &HashMap<&str, &Object>,
        head: Head,
    ) -> Result<Option<Candidate>, ReadError> {
        let layout = self.source.setting.layout;
        if !layout.has_manifests() {
            let parts = if head.shards.is_empty() { vec![head.object.clone()] } else { head.shards.clone() };
            let standing = match head.shards_fault(Utc::now()) {
                Some(fault) => Standing::Partial(fault),
                None => Standing::Whole { parts, row_count: None, side: None },
            };
            let (version_at, export, identity) = (head.version_at, String::new(), String::new());
            return Ok(Some(Candidate { head, export, identity, version_at, standing }));
        }
        let bytes = opened.manifest(&head.object).await?;
        let mut candidate = Candidate {
            export: String::new(),
            identity: String::new(),
            version_at: head.version_at,
            standing: Standing::Partial(String::new()),
            head,
        };
        let manifest = match layout.manifest(&bytes) {
            Ok(manifest) => manifest,
            Err(error) => {
                self.keep(&candidate, "unreadable", None, Some(error.to_string())).await?;
                return Ok(None);
            }
        };
        let now = Utc::now();
        let told = manifest.version_at.unwrap_or(candidate.head.version_at);
        candidate.version_at = plausible(told, candidate.head.object.modified, now);
        candidate.standing = match layout::resolve(&candidate.head, &manifest, index, now) {
            Ok(parts) => Standing::Whole { parts, row_count: manifest.row_count, side: manifest.side },
            Err(missing) => Standing::Partial(missing),
        };
        candidate.identity = manifest.identity.replace('\0', "");
        candidate.export = manifest.export.unwrap_or_else(|| candidate.head.export_folder().to_owned());
        Ok(Some(candidate))
    }

    async fn read(&mut self, opened: &Opened, chosen: &Chosen) -> Result<(), ReadError> {
        let fetched = Fetched::all(self.config, opened, chosen).await?;
        let receipt = self.import(chosen, &fetched).await?;
        let heads = std::iter::once(&chosen.head).chain(&chosen.same);
        for head in heads {
            let standing = Standing::Read;
            let (export, identity) = (chosen.export.clone(), chosen.identity.clone());
            let candidate = Candidate { head: head.clone(), export, identity, version_at: chosen.version_at, standing };
            self.keep(&candidate, "read", Some(receipt.delivery_id), None).await?;
        }
        self.outcome.delivery_ids.push(receipt.delivery_id);
        *self.counts.entry(receipt.state).or_default() += 1;
        Ok(())
    }

    async fn import(&self, chosen: &Chosen, fetched: &Fetched) -> anyhow::Result<Receipt> {
        let setting = &self.source.setting;
        let (first, more) = fetched.paths.split_first().context("a delivery has files")?;
        let basis = if setting.layout.has_manifests() { "manifest" } else { "object" };
        let now = Utc::now();
        let request = ImportRequest {
            path: first.clone(),
            file_name: delivery_name(chosen),
            source: Some(setting.name.clone()),
            as_of: None,
            received_by: format!("source {}", setting.name),
            now,
        };
        let format = setting.format.as_deref().map(str::parse::<Format>).transpose();
        let options = ImportOptions {
            format: format.map_err(|error| anyhow::anyhow!("the format of the source: {error}"))?,
            more_parts: more.to_vec(),
            version: Some((plausible(chosen.version_at, now, now), basis)),
            export: chosen.export.clone(),
            lies_beside: self.lies_beside(&chosen.head.object.key),
            snapshot_of: chosen.head.month().filter(|_| setting.layout.has_manifests()),
            expected_rows: chosen.row_count,
            fence: Some(self.job.fence()),
            ..ImportOptions::default()
        };
        let job_id = self.job.job_id;
        let name = request.file_name.clone();
        let tell = move |rows: u64, read: u64, total: u64| {
            let percent = (read * 100).checked_div(total).unwrap_or(0).min(100);
            set_progress(job_id, Some(format!("{name}: {percent} % read, {rows} rows")));
        };
        let receipt = Box::pin(import_with(self.pools, request, options, tell)).await?;
        tracing::info!(
            delivery.id = receipt.delivery_id,
            "{} is {}: {} rows",
            receipt.file,
            receipt.state,
            receipt.rows
        );
        Ok(receipt)
    }

    fn lies_beside(&self, key: &str) -> Vec<String> {
        let there = self.folders.get(folder_of(key)).into_iter().flatten();
        there.filter(|name| *name != key).cloned().collect()
    }

    async fn keep(
        &self,
        candidate: &Candidate,
        state: &str,
        delivery_id: Option<i64>,
        message: Option<String>,
    ) -> sqlx::Result<()> {
        let Candidate { head, export, identity, version_at, .. } = candidate;
        let find = Find {
            object_key: head.object.key.clone(),
            etag: head.object.etag.clone(),
            subject: head.subject.clone(),
            export: export.clone(),
            identity: identity.clone(),
            version_at: *version_at,
            state: state.to_owned(),
            delivery_id,
            message: message.map(|message| message.replace('\0', "")),
            found_at: Utc::now(),
        };
        source_finds::keep(&self.pools.jobs, self.source.source_id, &find).await
    }
}

fn folder_of(key: &str) -> &str {
    key.rsplit_once('/').map_or("", |(folder, _)| folder)
}

fn by_folder(heads: &[Head]) -> BTreeMap<String, Vec<String>> {
    let mut folders: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for Head { object, .. } in heads {
        folders.entry(folder_of(&object.key).to_owned()).or_default().push(object.key.clone());
    }
    folders
}

// Of each name, what was read last.
fn last_read(finds: &[Find]) -> HashMap<&str, &Find> {
    let mut last: HashMap<&str, &Find> = HashMap::new();
    for find in finds.iter().filter(|find| find.state == "read") {
        let known = last.entry(find.object_key.as_str()).or_insert(find);
        if find.delivery_id > known.delivery_id {
            *known = find;
        }
    }
    last
}

// A store's mark may be that of the bytes alone: a file that has its earlier content again has its earlier mark too.
// It is no news where the listing is older than what was read.
fn is_put_back(head: &Head, last_read: &HashMap<&str, &Find>) -> bool {
    let last = last_read.get(head.object.key.as_str());
    last.is_some_and(|last| last.etag != head.object.etag && head.version_at >= last.version_at)
}

fn of_find(head: Head, find: &Find) -> Candidate {
    let standing = if find.state == "read" { Standing::Read } else { Standing::Older };
    let (export, identity) = (find.export.clone(), find.identity.clone());
    Candidate { head, export, identity, version_at: find.version_at, standing }
}

// A version of tomorrow would have every later delivery refused; then the store's own time stands for it.
fn plausible(told: DateTime<Utc>, otherwise: DateTime<Utc>, now: DateTime<Utc>) -> DateTime<Utc> {
    if told > now + TimeDelta::hours(12) { otherwise.min(now) } else { told }
}

// A file is called as the store calls it; a manifest's delivery by its period, its version and how many files it has.
fn delivery_name(chosen: &Chosen) -> String {
    let is_single = matches!(chosen.parts.as_slice(), [one] if *one == chosen.head.object);
    if is_single || !chosen.head.shards.is_empty() {
        return chosen.head.object.key.clone();
    }
    let period = chosen.head.subject.rsplit('/').next().unwrap_or_default();
    let files = if chosen.parts.len() == 1 { "1 file".into() } else { format!("{} files", chosen.parts.len()) };
    format!("{period} {} ({files})", chosen.identity)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same bytes as before have the same mark; what was read last tells whether they are there again.
    #[test]
    fn a_file_with_its_earlier_content_is_put_back() {
        let at = |day: u32| format!("2026-11-{day:02}T00:00:00Z").parse::<DateTime<Utc>>().unwrap();
        let find = |etag: &str, day: u32, delivery_id: i64| Find {
            object_key: "a.csv".into(),
            etag: etag.into(),
            subject: "a.csv".into(),
            export: String::new(),
            identity: String::new(),
            version_at: at(day),
            state: "read".into(),
            delivery_id: Some(delivery_id),
            message: None,
            found_at: at(day),
        };
        let head = |etag: &str, day: u32| Head {
            object: Object { key: "a.csv".into(), bytes: 1, etag: etag.into(), modified: at(day) },
            subject: "a.csv".into(),
            version_at: at(day),
            shards: Vec::new(),
        };
        let first = [find("A", 1, 1)];
        assert!(!is_put_back(&head("A", 1), &last_read(&first)));
        assert!(!is_put_back(&head("A", 3), &last_read(&first)), "the same content was only written again");
        let finds = [find("B", 2, 2), find("A", 1, 1)];
        assert!(is_put_back(&head("A", 3), &last_read(&finds)));
        assert!(is_put_back(&head("A", 2), &last_read(&finds)), "within the second that stores tell");
        assert!(!is_put_back(&head("A", 1), &last_read(&finds)), "a listing that lags behind");
        assert!(!is_put_back(&head("B", 3), &last_read(&finds)));
        let again = [find("B", 2, 2), find("A", 3, 3)];
        assert!(!is_put_back(&head("A", 3), &last_read(&again)), "it is read once");
        assert!(is_put_back(&head("B", 4), &last_read(&again)));
    }

    #[test]
    fn a_version_of_the_future_is_not_believed() {
        let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        let (now, modified) = (at("2026-11-20T00:00:00Z"), at("2026-11-19T00:00:00Z"));
        assert_eq!(plausible(at("2119-02-05T00:00:00Z"), modified, now), modified);
        assert_eq!(plausible(at("2026-11-20T02:00:00Z"), modified, now), at("2026-11-20T02:00:00Z"));
    }
}
