//! Killed anywhere: the old figures or the new ones are there, never a mix, and trying again ends well.

use super::{assert_clean, figures, file, import_as_of, october, request, time, withdraw_source};
use crate::support;
use bigdecimal::BigDecimal;
use costwake::rollup::import::{Limits, Stage};
use costwake::rollup::{ImportOptions, import_with, retention};
use sqlx::{ConnectOptions, PgPool};
use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

// The lock of a dead load goes away with its connection, which the server notices a moment later.
async fn sweep(pool: &PgPool) {
    for _ in 0..100 {
        retention::sweep(&support::pools(pool), time("2026-11-21T10:00:00Z")).await.unwrap();
        if support::count(pool, "SELECT count(*) FROM delivery WHERE state = 'loading'").await == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("a dead load was not swept");
}

async fn orphans(pool: &PgPool) -> i64 {
    support::count(
        pool,
        "SELECT (SELECT count(*) FROM pg_class c WHERE c.relname ~ '^charge_d[0-9]+$' AND c.relkind = 'r'
                   AND NOT EXISTS (SELECT FROM generation g WHERE 'charge_d' || g.delivery_id = c.relname))
              + (SELECT count(*) FROM daily_cost_by_key d
                 WHERE NOT EXISTS (SELECT FROM generation g WHERE g.generation_id = d.generation_id))
              + (SELECT count(*) FROM generation WHERE state IN ('loading', 'ready'))",
    )
    .await
}

/// F03–F07: the import dies at each of its stages. F01, F02 and F09 are in `sources/killed.rs` and `ledger/killed.rs`.
/// F08, a death while an alert is sent, has no subject: nothing sends alerts.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn an_import_that_dies_leaves_the_old_or_the_new(pool: PgPool) {
    let pools = support::pools(&pool);
    let stages = [Stage::Rows(50), Stage::Checks, Stage::Rollups, Stage::BeforeCommit, Stage::AfterCommit];
    for (number, stage) in stages.into_iter().enumerate() {
        let source = format!("source {number}");
        import_as_of(&pool, &source, &october("1.25", 40), 1).await;
        let old = figures(&pool, &source).await;
        let folder = tempfile::tempdir().unwrap();
        let new_text = october("2.75", 100);
        let request = request(file(folder.path(), &new_text), Some(&source), None);
        let limits = Limits { dies_at: Some(stage), ..Limits::default() };
        let options = ImportOptions { limits, ..ImportOptions::default() };
        import_with(&pools, request, options, |_, _, _| {}).await.unwrap_err();
        let is_new = stage == Stage::AfterCommit;
        assert_eq!(figures(&pool, &source).await == old, !is_new, "{stage:?}");
        sweep(&pool).await;
        assert_eq!(figures(&pool, &source).await == old, !is_new, "{stage:?}");
        assert_eq!(orphans(&pool).await, 0, "{stage:?}");
        assert_clean(&pool).await;
        let folder = tempfile::tempdir().unwrap();
        let again = super::request(file(folder.path(), &new_text), Some(&source), None);
        let receipt = import_with(&pools, again, ImportOptions::default(), |_, _, _| {}).await.unwrap();
        assert_eq!(receipt.state, if is_new { "unchanged" } else { "published" }, "{stage:?}");
        assert_ne!(figures(&pool, &source).await, old);
        assert_clean(&pool).await;
        withdraw_source(&pool, &source).await;
    }
}

/// The program itself, killed by SIGKILL at moments that nobody chose.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_killed_process_leaves_the_old_or_the_new(pool: PgPool) {
    let folder = tempfile::tempdir().unwrap();
    let address = pool.connect_options().to_url_lossy().to_string();
    let old = folder.path().join("old.csv");
    let new = folder.path().join("new.csv");
    std::fs::write(&old, october("1.25", 200)).unwrap();
    std::fs::write(&new, october("2.75", 20_000)).unwrap();
    let import = |path: &std::path::Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_costwake"));
        command.env("DATABASE_URL", &address).env("COSTWAKE_DATA_DIR", folder.path());
        command.args(["import", "--source", "acme", "--json"]).arg(path);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().unwrap()
    };
    assert!(import(&old).wait().unwrap().success());
    let before = figures(&pool, "acme").await;
    for delay_ms in [100, 250, 400, 700, 1100, 1700] {
        let mut child = import(&new);
        tokio::time::sleep(Duration::from_millis(delay_ms)).await;
        child.kill().unwrap();
        child.wait().unwrap();
        let lines = figures(&pool, "acme").await.iter().filter(|figure| figure.starts_with("line")).count();
        assert!(lines == 200 || lines == 20_000, "{lines} lines");
        if lines == 200 {
            assert_eq!(figures(&pool, "acme").await, before);
        }
    }
    sweep(&pool).await;
    assert_eq!(orphans(&pool).await, 0);
    assert_clean(&pool).await;
    assert!(import(&new).wait().unwrap().success());
    assert_eq!(support::count(&pool, "SELECT sum(m.charge_count)::bigint FROM monthly_cost m JOIN generation g USING (generation_id) WHERE g.state = 'current'").await, 20_000);
    assert_clean(&pool).await;
}

/// Versions of the bill, and how often a reader opens its pages after each: a hundred times in all.
const VERSIONS: i64 = 21;
const ROUNDS_A_VERSION: u32 = 5;

/// F35 as readers have it: whatever page they open while bills are restated, it holds one publication's figures.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn pages_show_one_publication_while_bills_are_restated(pool: PgPool) {
    import_version(&pool, 1).await;
    let app = support::app(pool.clone()).await;
    let browser = app.browser(costwake::store::Role::Finance, false, &[]).await;
    let stop = tokio_util::sync::CancellationToken::new();
    let rounds = Arc::new(AtomicU32::new(0));
    let reading = tokio::spawn({
        let (stop, rounds) = (stop.clone(), rounds.clone());
        async move {
            let mut reader = Reader { browser, by_publication: BTreeMap::new(), last: 0 };
            while !stop.is_cancelled() {
                // Files cost more than pages do.
                let with_files = rounds.load(Ordering::Relaxed).is_multiple_of(ROUNDS_A_VERSION);
                reader.one_round(with_files).await;
                rounds.fetch_add(1, Ordering::Relaxed);
            }
            reader
        }
    });
    for version in 2..=VERSIONS {
        import_version(&pool, version).await;
        // However slow the reader is, it ends its rounds after each bill.
        let before = rounds.load(Ordering::Relaxed);
        while rounds.load(Ordering::Relaxed) < before + ROUNDS_A_VERSION && !reading.is_finished() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    stop.cancel();
    let mut reader = reading.await.unwrap();
    assert!(rounds.load(Ordering::Relaxed) >= 100 && reader.by_publication.len() > 1, "{:?}", reader.by_publication);
    reader.one_round(true).await;
    assert_eq!(reader.last, VERSIONS);
    assert_clean(&pool).await;
}

// Each line costs as many dollars as the version has for a number.
async fn import_version(pool: &PgPool, version: i64) {
    let folder = tempfile::tempdir().unwrap();
    let as_of = time(&format!("2026-11-01T00:{version:02}:00Z"));
    let text = october(&format!("{version}.00"), 28);
    let request = request(file(folder.path(), &text), Some("acme"), Some(as_of));
    import_with(&support::pools(pool), request, ImportOptions::default(), |_, _, _| {}).await.unwrap();
}

/// Opens pages and files; each must hold the figures of one version of the bill, and none an older one than the page
/// before it.
struct Reader {
    browser: support::TestApp,
    /// The version that pages of a publication showed: each shows but one.
    by_publication: BTreeMap<i64, i64>,
    last: i64,
}

impl Reader {
    async fn one_round(&mut self, with_files: bool) {
        // Seven services of four lines each: 4 times the version for one of them, 28 times for all.
        self.page("/services/service-0?period=2026-10", 4).await;
        self.page("/?period=2026-10", 28).await;
        if with_files {
            self.file("/charges.csv?billing=2026-10", "EffectiveCost").await;
            self.file("/finance/statements/2026-10.csv", "EffectiveCost 2026-10").await;
            self.file("/services.csv?period=2026-10", "EffectiveCost").await;
        }
    }

    async fn page(&mut self, path: &str, count: i64) {
        let body = self.open(path).await;
        let publication = body.split("Figures are of publication ").nth(1).and_then(|rest| rest.split('.').next());
        let publication: i64 = publication.and_then(|number| number.parse().ok()).expect("a page says its publication");
        let mut shown: Vec<BigDecimal> = body.split("class=\"value").nth(1).and_then(dollars).into_iter().collect();
        assert_eq!(shown.len(), 1, "{path}: {body}");
        if path.starts_with("/?") {
            // What moved and which services cost most: tables of their own reads, with the same total.
            let totals = body.split("<tr class=\"total\"><th scope=\"row\">All</th>").skip(1);
            shown.extend(totals.filter_map(|rest| dollars(rest.split("</tr>").next()?)));
            assert!(shown.len() >= 2, "{path}: {shown:?}: {body}");
        }
        let version = self.see(path, count, &shown);
        let before = *self.by_publication.entry(publication).or_insert(version);
        assert_eq!(version, before, "{path} shows another version of publication {publication}");
    }

    async fn file(&mut self, path: &str, column: &str) {
        let body = self.open(path).await;
        let mut rows = csv::Reader::from_reader(body.as_bytes());
        let at = rows.headers().unwrap().iter().position(|name| name == column);
        let at = at.unwrap_or_else(|| panic!("{path}: {body}"));
        let total: BigDecimal =
            rows.records().map(|row| row.unwrap()[at].parse::<BigDecimal>().unwrap_or_default()).sum();
        self.see(path, 28, &[total]);
    }

    async fn open(&self, path: &str) -> String {
        let page = self.browser.get(path).await;
        assert_eq!(page.status, axum::http::StatusCode::OK, "{path}: {}", page.body);
        page.body
    }

    // All figures are of one version.
    fn see(&mut self, path: &str, count: i64, shown: &[BigDecimal]) -> i64 {
        let is_of = |version: &i64| {
            let sum = BigDecimal::from(count * version);
            shown.iter().all(|shown| *shown == sum)
        };
        let version = (1..=VERSIONS).find(is_of).unwrap_or_else(|| panic!("{path} shows {shown:?}: of no one version"));
        assert!(version >= self.last, "{path} is older ({version}) than what was seen before ({})", self.last);
        self.last = version;
        version
    }
}

// The first amount in dollars.
fn dollars(text: &str) -> Option<BigDecimal> {
    let figure = text.split('$').nth(1)?.chars().take_while(|c| c.is_ascii_digit() || matches!(c, '.' | ','));
    figure.filter(|c| *c != ',').collect::<String>().parse().ok()
}

/// F35: while bills are restated a reader's snapshot holds one of them, the same in every table.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_reader_sees_one_generation_set(pool: PgPool) {
    let pools = support::pools(&pool);
    import_as_of(&pool, "acme", &october("1.00", 28), 1).await;
    let reader = tokio::spawn(async move {
        let mut seen = std::collections::BTreeSet::new();
        loop {
            let mut snapshot = pools.snapshot().await.unwrap();
            let mut totals = Vec::new();
            for statement in [
                "SELECT sum(billed_cost)::text FROM daily_cost JOIN generation g USING (generation_id) WHERE g.state = 'current'",
                "SELECT pg_sleep(0.01)::text",
                "SELECT sum(billed_cost)::text FROM monthly_cost JOIN generation g USING (generation_id) WHERE g.state = 'current'",
                "SELECT sum(billed_cost)::text FROM charge JOIN generation g USING (generation_id) WHERE g.state = 'current'",
            ] {
                let total: Option<String> = sqlx::query_scalar(statement).fetch_one(&mut *snapshot).await.unwrap();
                totals.extend(total.filter(|total| !total.is_empty()));
            }
            assert!(totals.windows(2).all(|two| two[0] == two[1]) && totals.len() == 3, "a torn total: {totals:?}");
            let last = totals.remove(0);
            let is_last = last == "252.00";
            seen.insert(last);
            if is_last {
                return seen;
            }
        }
    });
    for version in 2..=9 {
        import_as_of(&pool, "acme", &october(&format!("{version}.00"), 28), version).await;
    }
    let seen = tokio::time::timeout(Duration::from_secs(30), reader).await.unwrap().unwrap();
    assert!(seen.len() > 1, "{seen:?}");
    assert_clean(&pool).await;
}
