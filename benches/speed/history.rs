//! Months of bills one after another: whether the rate stays, what restating one month costs beside loading it alone,
//! how long readers wait meanwhile, and how fast pages are in the end.

use crate::focus_file::{self, Month};
use crate::import;
use crate::pages::{self, Target};
use crate::server::Server;
use anyhow::{Context, ensure};
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;

/// Times that a month is restated, and loaded alone, in turn.
const TURNS: u64 = 3;
/// The reader that notices waits opens its page this often.
const READS_EVERY: Duration = Duration::from_millis(50);
/// So many of the longest waits are told with their time.
const LONGEST_TOLD: usize = 5;

/// Takes in `months` months of `rows` rows each and prints what that took.
pub async fn run(folder: &Path, months: u32, rows: u64, as_json: bool) -> anyhow::Result<()> {
    let server = Server::start(folder).await?;
    let bill = folder.join("bill.csv.gz");
    let (mut seconds, mut peak_mib) = (Vec::new(), 0);
    for place in 0..months {
        focus_file::write(&bill, rows, Month::OCTOBER_2026.minus(months - 1 - place), focus_file::SEED)?;
        let imported = import::import(&server, "bench", &bill)?;
        peak_mib = peak_mib.max(imported.peak_mib);
        seconds.push(imported.duration.as_secs_f64());
        eprintln!("month {} of {months}: {:.1} s, {} MiB", place + 1, seconds[place as usize], imported.peak_mib);
    }
    let target = pages::target(&server).await?;
    server.idle().await?;
    let mut page_ms = pages::alone(&target).await?;
    let page_p50_ms = pages::percentile(&mut page_ms, 50);
    eprintln!("service page alone: p50 {page_p50_ms:.1} ms");
    let rule_change_s = rule_change(&server, &target).await?;
    eprintln!("a rule that moves one application in 120: {rule_change_s:.1} s");
    let restated = restatement(server, &target, folder, rows).await?;
    let (first, last) = (seconds.first().context("no month")?, seconds.last().context("no month")?);
    let object = serde_json::json!({
        "months": months,
        "rows": u64::from(months) * rows,
        "first_month_s": rounded(*first),
        "last_month_s": rounded(*last),
        "last_vs_first": rounded(last / first),
        "import_peak_mib": peak_mib,
        "page_p50_ms": rounded(page_p50_ms),
        "rule_change_s": rounded(rule_change_s),
        "restate_vs_load_alone": rounded(restated.restated_s / restated.alone_s),
        "page_ms_longest_while_restating": rounded(restated.longest_page_ms),
        "page_ms_longest_while_idle": rounded(page_ms.iter().copied().fold(0.0, f64::max)),
    });
    if as_json {
        println!("{object}");
    } else {
        for (name, value) in object.as_object().context("an object")? {
            println!("{name:34}{value}");
        }
    }
    Ok(())
}

// From saving a rule until the page that it changes has been read; seconds.
async fn rule_change(server: &Server, target: &Target) -> anyhow::Result<f64> {
    let rule = serde_json::json!({
        "applies_to": "charges",
        "conditions": [{ "attribute": "tag:service", "operator": "equals", "value": "app001" }],
        "service": pages::SLUG,
        "note": "Moves one application's cost to another.",
        "place": "first",
    });
    let token = server.admin_token()?;
    let start = Instant::now();
    let answer = target
        .client
        .post(format!("{}/api/v1/rules", server.url()))
        .bearer_auth(token)
        .header("Content-Type", "application/json")
        .body(rule.to_string())
        .send()
        .await?;
    let status = answer.status();
    ensure!(status.is_success(), "the rule was answered with {status}: {}", answer.text().await?);
    pages::open(target).await?;
    Ok(start.elapsed().as_secs_f64())
}

struct Restated {
    /// Medians.
    restated_s: f64,
    alone_s: f64,
    longest_page_ms: f64,
}

// The month before the last once more with other figures and resources, and as many rows, as new to the ledger, as a
// source of its own.
async fn restatement(server: Server, target: &Target, folder: &Path, rows: u64) -> anyhow::Result<Restated> {
    let (mut restated, mut alone, mut longest_page_ms) = (Vec::new(), Vec::new(), 0.0_f64);
    let server = std::sync::Arc::new(server);
    for turn in 0..TURNS {
        let month = Month::OCTOBER_2026.minus(1);
        let (bill, other) = (folder.join("restated.csv.gz"), folder.join("alone.csv.gz"));
        focus_file::write(&bill, rows, month, focus_file::SEED + 1 + turn)?;
        focus_file::write(&other, rows, month, focus_file::SEED + 101 + turn)?;
        let (stop, stopped) = oneshot::channel();
        let reader = tokio::spawn(waits(target.clone(), stopped));
        restated.push(timed(&server, "bench", &bill).await?);
        let _ = stop.send(());
        let waits = reader.await??;
        eprintln!("meanwhile readers waited longest: {}", longest_of(&waits));
        longest_page_ms = waits.iter().map(|wait| wait.ms).fold(longest_page_ms, f64::max);
        alone.push(timed(&server, &format!("alone {turn}"), &other).await?);
    }
    let server = std::sync::Arc::into_inner(server).context("nobody else holds the server")?;
    server.stop()?;
    let restated_s = pages::percentile(&mut restated, 50);
    Ok(Restated { restated_s, alone_s: pages::percentile(&mut alone, 50), longest_page_ms })
}

async fn timed(server: &std::sync::Arc<Server>, source: &str, bill: &Path) -> anyhow::Result<f64> {
    let (server, source, bill) = (server.clone(), source.to_owned(), bill.to_owned());
    let imported = spawn_blocking(move || import::import(&server, &source, &bill)).await??;
    eprintln!("{:.1} s", imported.duration.as_secs_f64());
    Ok(imported.duration.as_secs_f64())
}

// How long a reader waited for a page, and when.
struct Wait {
    after: Duration,
    ms: f64,
}

// Each wait of a reader until told to stop.
async fn waits(target: Target, mut stopped: oneshot::Receiver<()>) -> anyhow::Result<Vec<Wait>> {
    let begun = Instant::now();
    let mut waits = Vec::new();
    while stopped.try_recv().is_err() {
        let after = begun.elapsed();
        waits.push(Wait { after, ms: pages::open(&target).await? });
        tokio::time::sleep(READS_EVERY).await;
    }
    Ok(waits)
}

// Where to look for what they waited for.
fn longest_of(waits: &[Wait]) -> String {
    let mut by_length: Vec<&Wait> = waits.iter().collect();
    by_length.sort_by(|one, other| other.ms.total_cmp(&one.ms));
    let told = by_length
        .iter()
        .take(LONGEST_TOLD)
        .map(|wait| format!("{:.0} ms at {:.1} s", wait.ms, wait.after.as_secs_f64()));
    format!("{} (of {} pages)", told.collect::<Vec<_>>().join(", "), waits.len())
}

fn rounded(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}
