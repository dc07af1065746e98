//! Fetches a description of services and takes in what it says by now. What cannot be fetched or read changes nothing, and
//! what is not in it any more is listed and stays.

use crate::config::Config;
use crate::described::{self, Conflict};
use crate::rollup::catalogue_import::{self, Importer};
use crate::rollup::remap;
use crate::sources::objects::{Answer, Listing};
use crate::store::catalogue::CatalogueError;
use crate::store::catalogue_sources::{self, CatalogueSource, Taken};
use crate::store::jobs::{self, Job};
use crate::store::{Pools, audit, sealed};
use anyhow::{Context, bail};
use chrono::Utc;
use serde_json::json;

/// GitHub gives the file itself where this is asked for; others ignore it.
const HEADERS: [(&str, &str); 1] = [("accept", "application/vnd.github.raw, text/plain, */*")];
/// Sentences of a kind that are kept.
const SENTENCES_MAX: usize = 200;

/// One description, as the job asks.
pub(super) async fn run(pools: &Pools, config: &Config, job: &Job) -> anyhow::Result<()> {
    let id = job.payload["catalogue_source_id"].as_i64().context("the job names no description")?;
    let Some(source) = catalogue_sources::get(&pools.jobs, id).await? else { return Ok(()) };
    let fetched = match fetched(config, &source).await {
        Ok(Some(answer)) => text_of(&answer).map(|text| (text, answer.etag)),
        Ok(None) => {
            let mut conn = pools.jobs.acquire().await?;
            return Ok(catalogue_sources::unchanged(&mut conn, id, Utc::now()).await?);
        }
        Err(sentence) => Err(sentence),
    };
    let taken = match fetched {
        Ok((text, etag)) => take(pools, job, &source, &text, etag).await?,
        Err(sentence) => Err(sentence),
    };
    if let Err(sentence) = taken {
        let mut conn = pools.jobs.acquire().await?;
        catalogue_sources::failed(&mut conn, id, &sentence, Utc::now()).await?;
    }
    Ok(())
}

// `None` where it is the same as the last time.
async fn fetched(config: &Config, source: &CatalogueSource) -> Result<Option<Answer>, String> {
    let token = match source.token_sealed {
        None => None,
        Some(_) => {
            let key = sealed::load(&config.key_file()).await.map_err(|error| error.to_string())?;
            source.token(&key).map_err(|error| error.to_string())?
        }
    };
    let reach = config.reach().map_err(|error| error.to_string())?;
    let listing = Listing::new(&reach.guard, &source.address, &HEADERS, token.as_deref());
    let listing = listing.map_err(|error| error.to_string())?;
    let answer = listing.get(&source.address, source.etag.as_deref(), Utc::now()).await;
    let answer = answer.map_err(|error| error.to_string())?;
    let host = listing.host();
    match answer.status {
        200 => Ok(Some(answer)),
        304 => Ok(None),
        401 | 403 => Err(format!("{host} answers {}: give a token that may read the file.", answer.status)),
        404 | 410 => {
            Err(format!("{host} answers {}: the file is not there, or the token may not see it.", answer.status))
        }
        300..=399 => Err(format!("{host} answers {}: the file has moved. Enter where it is now.", answer.status)),
        status => Err(format!("{host} answers {status}. It is asked again in the next night.")),
    }
}

fn text_of(answer: &Answer) -> Result<String, String> {
    String::from_utf8(answer.body.clone()).map_err(|_| "The file is not text in UTF-8.".to_owned())
}

// The inner error is a sentence about the description; nothing of it counts then.
async fn take(
    pools: &Pools,
    job: &Job,
    source: &CatalogueSource,
    text: &str,
    etag: Option<String>,
) -> anyhow::Result<Result<(), String>> {
    let now = Utc::now();
    let mut transaction = pools.jobs.begin().await?;
    remap::begin(&mut transaction).await?;
    let known = catalogue_import::known(&mut transaction).await?;
    let described = match described::read(&source.kind, text, &source.repository, &known) {
        Ok(described) => described,
        Err(faults) => return Ok(Err(faults.join(" "))),
    };
    let plan = described::plan(&described, &known, &source.name, false);
    if !plan.changes.is_empty() {
        let importer = Importer { by: "costwake", source: &source.name, now, takes_over: false };
        match catalogue_import::apply(&mut transaction, &plan, importer).await {
            Ok(()) => {}
            Err(CatalogueError::Database(error)) => return Err(error.into()),
            Err(sentence) => return Ok(Err(sentence.to_string())),
        }
        let details = json!({ "kind": source.kind, "address": source.address, "changes": plan.changes.len(),
            "conflicts": plan.conflicts.len() });
        audit::insert(&mut transaction, now, audit::PROGRAM, "", "catalogue.refreshed", &source.name, details).await?;
        remap::remap_within(&mut transaction, "costwake", now).await?;
    }
    let sentences = |all: Vec<String>| all.into_iter().take(SENTENCES_MAX).collect();
    let result = Taken {
        etag,
        change_count: i32::try_from(plan.changes.len()).unwrap_or(i32::MAX),
        conflicts: sentences(plan.conflicts.iter().map(Conflict::sentence).collect()),
        orphans: sentences(plan.orphans),
        gone_rule_ids: plan.gone_rules.iter().map(|rule| rule.mapping_rule_id).collect(),
        notes: sentences(plan.notes),
    };
    catalogue_sources::taken(&mut transaction, source.catalogue_source_id, &result, now).await?;
    if !jobs::holds(&mut transaction, job.fence()).await? {
        bail!("another worker has taken the job over");
    }
    transaction.commit().await?;
    Ok(Ok(()))
}
