//! A storm of SIGKILL over imports, rebuilding and reading, and imports under a limit of memory.

use super::{assert_clean, figures, october, time};
use crate::support;
use costwake::rollup::retention;
use sqlx::{ConnectOptions, PgPool};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Kills of a run; `COSTWAKE_KILLS=200` makes more.
const KILLS: usize = 20;
const ROWS_OLD: usize = 300;
const ROWS_NEW: usize = 6_000;
const ROWS_LARGE: u32 = 150_000;

struct World {
    address: String,
    folder: tempfile::TempDir,
}

impl World {
    fn new(pool: &PgPool) -> Self {
        Self { address: pool.connect_options().to_url_lossy().to_string(), folder: tempfile::tempdir().unwrap() }
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    fn of(&self, mut command: Command, arguments: &[&str]) -> Child {
        command.env("DATABASE_URL", &self.address).env("COSTWAKE_DATA_DIR", self.folder.path()).args(arguments);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    fn start(&self, arguments: &[&str]) -> Child {
        self.of(Command::new(env!("CARGO_BIN_EXE_costwake")), arguments)
    }

    fn import(&self, source: &str, path: &Path) -> Child {
        self.start(&["import", "--source", source, path.to_str().unwrap()])
    }
}

// A seed that is told, so that a run can be made again.
fn seeded() -> u64 {
    let given = std::env::var("COSTWAKE_KILLS_SEED").ok().and_then(|text| text.parse().ok());
    let seed = given.unwrap_or_else(|| u64::from(std::process::id()));
    println!("COSTWAKE_KILLS_SEED={seed}");
    seed
}

fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *state >> 33
}

async fn lines(pool: &PgPool, source: &str) -> usize {
    figures(pool, source).await.iter().filter(|figure| figure.starts_with("line")).count()
}

/// F11: processes that import, rebuild and verify at once are killed at random moments, again and again. The old or
/// the new figures are there each time, nothing is stuck, and what is left of the dead is swept.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_storm_of_kills_leaves_nothing_half_done(pool: PgPool) {
    let world = World::new(&pool);
    let mut random = seeded();
    let kills = std::env::var("COSTWAKE_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(KILLS);
    let sources = ["one", "two"];
    // A bill of its own for each source, and another one for each round, so that each has something to do.
    let text = |source: &str, cost: usize, rows: usize| {
        october(&format!("{cost}.25"), rows as u32).replace(",00123,", &format!(",account-{source},"))
    };
    for source in sources {
        assert!(world.import(source, &world.file("old.csv", &text(source, 1, ROWS_OLD))).wait().unwrap().success());
    }
    let mut killed_before_the_end = 0;
    for round in 0..kills {
        let mut children: Vec<Child> = sources
            .iter()
            .map(|source| {
                world.import(source, &world.file(&format!("{source}.csv"), &text(source, 2 + round, ROWS_NEW)))
            })
            .collect();
        children.push(world.start(if round % 2 == 0 { &["rebuild"] } else { &["verify"] }));
        for child in &mut children {
            tokio::time::sleep(Duration::from_millis(next(&mut random) % 350)).await;
            if child.try_wait().unwrap().is_none() {
                killed_before_the_end += 1;
            }
            child.kill().unwrap();
            child.wait().unwrap();
        }
        for source in sources {
            let count = lines(&pool, source).await;
            assert!(count == ROWS_OLD || count == ROWS_NEW, "round {round}: {source} has {count} lines");
        }
        assert_clean(&pool).await;
    }
    assert!(killed_before_the_end > kills, "only {killed_before_the_end} processes were killed while they worked");
    let began = Instant::now();
    let stuck = "SELECT count(*) FROM delivery WHERE state = 'loading'";
    while support::count(&pool, stuck).await > 0 {
        assert!(began.elapsed() < Duration::from_secs(60), "a dead load was not swept");
        retention::sweep(&support::pools(&pool), time("2026-11-21T10:00:00Z")).await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let left = "SELECT (SELECT count(*) FROM generation WHERE state IN ('loading', 'ready'))
                  + (SELECT count(*) FROM pg_class c WHERE c.relname ~ '^charge_d[0-9]+$' AND c.relkind = 'r'
                     AND NOT EXISTS (SELECT FROM generation g WHERE 'charge_d' || g.delivery_id = c.relname))
                  + (SELECT count(*) FROM job WHERE state = 'running')";
    assert_eq!(support::count(&pool, left).await, 0);
    for source in sources {
        let last = world.file("last.csv", &text(source, 999, ROWS_NEW));
        assert!(world.import(source, &last).wait().unwrap().success());
        assert_eq!(lines(&pool, source).await, ROWS_NEW);
    }
    assert_clean(&pool).await;
}

/// F20: below a limit of 256 MiB a bill of fifty megabytes is taken in whole. Where the limit is far too low the process
/// ends, and F01 to F07 and F09 hold: the old figures stand, and with memory the file goes in.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_limit_of_memory_is_kept_or_ends_the_import_cleanly(pool: PgPool) {
    let world = World::new(&pool);
    let limited = |mib: u32, path: &Path| {
        let mut command = Command::new("bash");
        let kib = (mib * 1024).to_string();
        // Where not even a thread finds room the runtime waits for one: somebody ends it then.
        let script = "ulimit -d \"$0\"; exec timeout --signal=KILL \"$@\"";
        let seconds = if mib < 100 { "60" } else { "600" };
        command.args(["-c", script, &kib, seconds, env!("CARGO_BIN_EXE_costwake")]);
        world.of(command, &["import", "--source", "acme", path.to_str().unwrap()]).wait().unwrap().success()
    };
    let old = world.file("old.csv", &october("1.25", 200));
    assert!(world.import("acme", &old).wait().unwrap().success());
    let before = figures(&pool, "acme").await;
    let text = october("2.75", ROWS_LARGE);
    assert!(text.len() > 40 << 20, "{} bytes", text.len());
    let new = world.file("new.csv", &text);
    for mib in [12, 32] {
        let is_taken_in = limited(mib, &new);
        assert!(!is_taken_in || mib > 12, "12 MiB are not enough");
        assert_eq!(figures(&pool, "acme").await == before, !is_taken_in, "{mib} MiB");
        assert_clean(&pool).await;
    }
    assert!(limited(256, &new), "256 MiB are enough");
    let counted = "SELECT sum(m.charge_count)::bigint FROM monthly_cost m JOIN generation g USING (generation_id)
                   WHERE g.state = 'current'";
    assert_eq!(support::count(&pool, counted).await, i64::from(ROWS_LARGE));
    assert_clean(&pool).await;
}
