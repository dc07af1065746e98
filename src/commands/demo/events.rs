//! Posts the demo's webhooks as their senders do, each signed with the secret of its source, waits until they are read, and
//! pins what rules would get wrong.

use super::client::{Caller, succeeded};
use super::fill::{ACTOR, PROGRESS_EVERY};
use super::step;
use crate::commands::running::Running;
use crate::demo::DemoFiles;
use crate::events::{Proof, Sender};
use crate::store::operational_event_lists::{self, ListFilter};
use crate::store::{Pools, event_deliveries};
use crate::web::event_sources;
use anyhow::{Context, bail};
use futures_util::{StreamExt, TryStreamExt, stream};
use hmac::{Hmac, KeyInit, Mac};
use reqwest::Method;
use serde::Deserialize;
use serde_json::json;
use sha2::{Sha256, Sha512};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// The source of GitHub; those of other senders have their name behind it.
const SOURCE: &str = "acme-shop";
const REQUESTS_AT_ONCE: usize = 8;
const EVENTS_WAIT_MAX: Duration = Duration::from_secs(300);
/// Looked through for those that are to be pinned.
const LISTED_MAX: i64 = 1000;

#[derive(Deserialize)]
struct Sent {
    sender: String,
    headers: BTreeMap<String, String>,
    body: String,
}

/// Where requests of one sender go, and what they are signed with.
struct Source {
    sender: &'static Sender,
    path: String,
    secret: String,
}

/// Everything, each sender to a source of its own.
pub async fn send(running: &Running, pools: &Pools, caller: &Caller, files: &DemoFiles) -> anyhow::Result<()> {
    step(format_args!("Sending {} webhooks", files.event_count + files.operation_count));
    for path in [&files.events, &files.operations] {
        let text = tokio::fs::read_to_string(path).await?;
        let sent = text.lines().map(serde_json::from_str).collect::<serde_json::Result<Vec<Sent>>>()?;
        let sources = add_sources(running, &sent).await?;
        let sources = &sources;
        stream::iter(&sent)
            .map(|one| async move {
                let source = sources.get(one.sender.as_str()).context("a sender without a source")?;
                post(caller, source, one).await
            })
            .buffered(REQUESTS_AT_ONCE)
            .try_for_each(|()| async { Ok(()) })
            .await?;
    }
    wait_until_read(pools).await
}

async fn add_sources<'a>(running: &Running, sent: &'a [Sent]) -> anyhow::Result<BTreeMap<&'a str, Source>> {
    let mut sources = BTreeMap::new();
    for one in sent {
        let kind = one.sender.as_str();
        if sources.contains_key(kind) {
            continue;
        }
        let sender = Sender::of(kind).with_context(|| format!("{kind} is no sender"))?;
        let name = if kind == "github" { SOURCE.to_owned() } else { format!("{SOURCE}-{kind}") };
        let (name, secret) = event_sources::add(running.app(), ACTOR, "", &name, kind).await?;
        sources.insert(kind, Source { sender, path: format!("/webhooks/{kind}/{name}"), secret });
    }
    Ok(sources)
}

async fn post(caller: &Caller, source: &Source, sent: &Sent) -> anyhow::Result<()> {
    let (name, proof) = proof(source.sender, &source.secret, sent.body.as_bytes())?;
    let mut request = caller.request(Method::POST, &source.path).header(name, proof);
    for (name, value) in &sent.headers {
        request = request.header(name, value);
    }
    let response = request.body(sent.body.clone()).send().await?;
    succeeded(response, &source.path).await.map(drop)
}

/// The header by which this sender proves who it is.
fn proof(sender: &Sender, secret: &str, body: &[u8]) -> anyhow::Result<(&'static str, String)> {
    let sha256 = || digits::<Hmac<Sha256>>(secret, body);
    Ok(match sender.proof {
        Proof::Sha256Prefixed(name) | Proof::NamedAlgorithm(name) => (name, format!("sha256={}", sha256()?)),
        Proof::Versioned(name) => (name, format!("v1={}", sha256()?)),
        Proof::Sha256Plain(name) => (name, sha256()?),
        Proof::Sha512Plain(name) => (name, digits::<Hmac<Sha512>>(secret, body)?),
        Proof::Token => ("authorization", format!("Bearer {secret}")),
        Proof::Gitlab | Proof::HoneycombTeam => bail!("the demo has nothing of {}", sender.label),
    })
}

fn digits<M: Mac + KeyInit>(secret: &str, body: &[u8]) -> anyhow::Result<String> {
    let mut mac = <M as KeyInit>::new_from_slice(secret.as_bytes())?;
    mac.update(body);
    Ok(hex::encode(mac.finalize().into_bytes()))
}

async fn wait_until_read(pools: &Pools) -> anyhow::Result<()> {
    let mut conn = pools.jobs.acquire().await?;
    let (began, mut told) = (Instant::now(), Instant::now());
    loop {
        let unread = event_deliveries::counts(&mut conn).await?.unread;
        if unread == 0 {
            return Ok(());
        }
        if began.elapsed() > EVENTS_WAIT_MAX {
            bail!("{unread} webhooks were still unread after {} s", EVENTS_WAIT_MAX.as_secs());
        }
        if told.elapsed() >= PROGRESS_EVERY {
            step(format_args!("  {unread} webhooks are still to be read"));
            told = Instant::now();
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Pins operational events where rules would put them elsewhere, as somebody does who sees it.
pub async fn pin(
    running: &Running,
    pools: &Pools,
    (caller, token): (&Caller, &str),
    files: &DemoFiles,
) -> anyhow::Result<()> {
    let mut conn = pools.jobs.acquire().await?;
    let filter = ListFilter { now: running.app().now(), ..ListFilter::default() };
    let listed = operational_event_lists::list(&mut conn, &filter, None, LISTED_MAX).await?;
    for pin in &files.pins {
        let found = listed.iter().find(|one| one.event.title == pin.title);
        let found = found.with_context(|| format!("there is no event \"{}\" to pin", pin.title))?;
        let path = format!("/api/v1/events/{}/pin", found.event.operational_event_id);
        let body = json!({ "services": [pin.service_slug], "environment": pin.environment_slug });
        caller.send_json(Method::PUT, &path, token, &body).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events;
    use chrono::DateTime;

    /// Each sender that the demo may have is believed by what it shows.
    #[test]
    fn what_is_sent_proves_its_sender() {
        let (secret, body) = ("s3cret", b"{}");
        let mut believed = 0;
        for sender in &events::WEBHOOK_SENDERS {
            let Ok((name, value)) = proof(sender, secret, body) else { continue };
            let header = |asked: &str| (asked == name).then_some(value.as_str());
            let is_believed = |secret: &str| {
                let secrets = [secret.as_bytes().to_vec()];
                events::is_proven(sender.proof, &secrets, header, body, DateTime::UNIX_EPOCH)
            };
            assert!(is_believed(secret) && !is_believed("another"), "{}", sender.key);
            believed += 1;
        }
        assert_eq!(believed, events::WEBHOOK_SENDERS.len() - 2, "all but those that the demo has nothing of");
    }
}
