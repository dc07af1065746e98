//! The service page: alone, with many viewers, and against the same page rendered without a database.

use crate::chart_events::{self, ChartEvents};
use crate::render_only::RenderOnly;
use crate::server::Server;
use anyhow::{Context, ensure};
use reqwest::Client;
use std::time::{Duration, Instant};

/// The service that the bill's tags make up first.
pub const SLUG: &str = "app000";
const WARM_UP_COUNT: u32 = 50;
const ALONE_COUNT: u32 = 500;
const ANEW_DAYS: std::ops::Range<u32> = 8..90;
const VIEWER_COUNT: u32 = 200;
const VIEW_EVERY: Duration = Duration::from_secs(5);
const VIEWS_EACH: u32 = 6;
const RATE_CONNECTIONS: usize = 4;
const RATE_FOR: Duration = Duration::from_secs(5);

/// What was measured; times in milliseconds.
pub struct Pages {
    pub p50_ms: f64,
    pub p99_ms: f64,
    /// Each view with days that nobody looked at before.
    pub read_anew_p50_ms: f64,
    pub p99_with_viewers_ms: f64,
    pub rate_vs_render_only: f64,
    /// A year of operational events on it.
    pub chart_events: ChartEvents,
}

/// A page and what is needed to open it.
#[derive(Clone)]
pub struct Target {
    pub client: Client,
    pub url: String,
    pub cookie: String,
}

/// The service page of a running server, opened by its first administrator.
pub async fn target(server: &Server) -> anyhow::Result<Target> {
    let url = format!("{}/services/{SLUG}", server.url());
    Ok(Target { client: Client::new(), url, cookie: server.sign_in().await? })
}

/// How long one reader waits for the page; milliseconds, after a warm-up.
pub async fn alone(target: &Target) -> anyhow::Result<Vec<f64>> {
    for _ in 0..WARM_UP_COUNT {
        open(target).await?;
    }
    let mut times = Vec::new();
    for _ in 0..ALONE_COUNT {
        times.push(open(target).await?);
    }
    Ok(times)
}

/// How long one reader waits for days that nobody looked at since the last bill; milliseconds.
async fn read_anew(target: &Target) -> anyhow::Result<Vec<f64>> {
    let mut times = Vec::new();
    for day_count in ANEW_DAYS {
        let url = format!("{}?period={day_count}d", target.url);
        times.push(open(&Target { url, ..target.clone() }).await?);
    }
    Ok(times)
}

/// Measures against the running server, once it has done what follows a bill.
pub async fn measure(server: &Server) -> anyhow::Result<Pages> {
    server.idle().await?;
    let target = target(server).await?;
    let mut anew = read_anew(&target).await?;
    let read_anew_p50_ms = percentile(&mut anew, 50);
    eprintln!("service page with days not looked at before: p50 {read_anew_p50_ms:.2} ms");
    let mut alone = alone(&target).await?;
    eprintln!("service page alone: p50 {:.2} ms, p99 {:.2} ms", percentile(&mut alone, 50), percentile(&mut alone, 99));
    let mut viewed = with_viewers(&target).await?;
    eprintln!("with {VIEWER_COUNT} viewers: p99 {:.2} ms", percentile(&mut viewed, 99));

    let render_only = RenderOnly::start(server).await?;
    let rate = rate(&target).await?;
    let render_rate = self::rate(&render_only.target()).await?;
    eprintln!("{rate:.0} pages/s, {render_rate:.0} pages/s rendered without a database");
    // Last, so that no other figure has the events on its page.
    let chart_events = chart_events::measure(server, &target).await?;
    eprintln!("{chart_events}");
    Ok(Pages {
        p50_ms: percentile(&mut alone, 50),
        p99_ms: percentile(&mut alone, 99),
        read_anew_p50_ms,
        p99_with_viewers_ms: percentile(&mut viewed, 99),
        rate_vs_render_only: rate / render_rate,
        chart_events,
    })
}

/// Opens the page and reads it to its end; milliseconds.
pub async fn open(target: &Target) -> anyhow::Result<f64> {
    Ok(opened(target).await?.0)
}

/// The same, and the bytes of the page.
pub async fn opened(target: &Target) -> anyhow::Result<(f64, usize)> {
    let start = Instant::now();
    let answer = target.client.get(&target.url).header("Cookie", &target.cookie).send().await?;
    let status = answer.status();
    let body = answer.bytes().await?;
    ensure!(status.is_success(), "{} answered {status}: {}", target.url, String::from_utf8_lossy(&body));
    Ok((start.elapsed().as_secs_f64() * 1000.0, body.len()))
}

async fn with_viewers(target: &Target) -> anyhow::Result<Vec<f64>> {
    let viewers = (0..VIEWER_COUNT).map(|viewer| {
        let target = target.clone();
        tokio::spawn(async move {
            tokio::time::sleep(VIEW_EVERY * viewer / VIEWER_COUNT).await;
            let mut clock = tokio::time::interval(VIEW_EVERY);
            let mut times = Vec::new();
            for _ in 0..VIEWS_EACH {
                clock.tick().await;
                times.push(open(&target).await?);
            }
            anyhow::Ok(times)
        })
    });
    let mut all = Vec::new();
    for viewer in viewers.collect::<Vec<_>>() {
        all.extend(viewer.await??);
    }
    Ok(all)
}

// Pages a second over a few connections that never pause.
async fn rate(target: &Target) -> anyhow::Result<f64> {
    let start = Instant::now();
    let readers: Vec<_> = (0..RATE_CONNECTIONS)
        .map(|_| {
            let target = target.clone();
            tokio::spawn(async move {
                let mut count = 0_u32;
                while start.elapsed() < RATE_FOR {
                    open(&target).await?;
                    count += 1;
                }
                anyhow::Ok(count)
            })
        })
        .collect();
    let mut count = 0;
    for reader in readers {
        count += reader.await.context("a reader ended early")??;
    }
    Ok(f64::from(count) / start.elapsed().as_secs_f64())
}

/// The time that so many percent do not exceed; sorts them.
pub fn percentile(times: &mut [f64], percent: usize) -> f64 {
    times.sort_by(f64::total_cmp);
    times[(times.len() * percent / 100).min(times.len() - 1)]
}
