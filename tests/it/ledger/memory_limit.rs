//! F20: an import whose memory the kernel limits. It takes in a file that is larger than the limit; with too little it is
//! killed, and nothing is lost or counted by half.

use super::killed::sweep;
use super::{Line, assert_clean, bill, figures, import_as_of, october};
use crate::support;
use sqlx::{ConnectOptions, PgPool};
use std::fs::File;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

const MEBIBYTE: u64 = 1 << 20;
const KILL: i32 = 9;

/// A control group that may hold so much memory, the file cache included. Only who may make groups has one.
struct MemoryGroup(PathBuf);

impl MemoryGroup {
    fn new(bytes: u64) -> Option<Self> {
        let first = Path::new("/sys/fs/cgroup/memory");
        let (parent, limit) = match first.join("memory.limit_in_bytes").exists() {
            true => (first, "memory.limit_in_bytes"),
            false => (Path::new("/sys/fs/cgroup"), "memory.max"),
        };
        let group = Self(parent.join(format!("costwake-test-{}-{bytes}", std::process::id())));
        std::fs::create_dir(&group.0).ok()?;
        // There are groups whose parent shares no memory out.
        group.0.join(limit).exists().then_some(())?;
        std::fs::write(group.0.join(limit), bytes.to_string()).ok()?;
        Some(group)
    }

    fn import(&self, pool: &PgPool, folder: &Path, path: &Path) -> ExitStatus {
        let mut command = Command::new("sh");
        command.args(["-c", "echo $$ > \"$0/cgroup.procs\" && exec \"$@\""]).arg(&self.0);
        command.arg(env!("CARGO_BIN_EXE_costwake")).args(["import", "--source", "acme"]).arg(path);
        command.env("DATABASE_URL", pool.connect_options().to_url_lossy().to_string());
        command.env("COSTWAKE_DATA_DIR", folder);
        command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap()
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        // Not a folder of files: the kernel takes it away as soon as nobody is in it.
        let _ = std::fs::remove_dir(&self.0);
    }
}

/// 150,000 lines of two kilobytes, of 5,000 services.
fn write_large(path: &Path) {
    let lines: Vec<Line> =
        (0..5_000).map(|n| Line::of("2026-10", 1 + n % 28, &format!("service-{n}"), "0.25")).collect();
    let text = bill(&lines).replace("Some use", &"x".repeat(1_800));
    let (header, body) = text.split_once('\n').unwrap();
    let mut file = File::create(path).unwrap();
    writeln!(file, "{header}").unwrap();
    (0..30).for_each(|_| file.write_all(body.as_bytes()).unwrap());
    assert!(file.metadata().unwrap().len() > 256 * MEBIBYTE);
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn f20_an_import_lives_with_little_memory_and_loses_nothing_without(pool: PgPool) {
    let Some(enough) = MemoryGroup::new(256 * MEBIBYTE) else {
        return support::skipped("an import in little memory (F20): no control group can be made here to limit it");
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bill.csv");
    write_large(&path);
    import_as_of(&pool, "acme", &october("1.25", 40), 1).await;
    let old = figures(&pool, "acme").await;
    // As little as lets it begin.
    let begun = async || support::count(&pool, "SELECT count(*) FROM delivery").await;
    for mebibytes in [4, 6, 8, 12, 16, 20, 24, 32] {
        let before = begun().await;
        let status = MemoryGroup::new(mebibytes * MEBIBYTE).unwrap().import(&pool, folder.path(), &path);
        assert_eq!(status.signal(), Some(KILL), "{mebibytes} MiB: {status}");
        assert_eq!(figures(&pool, "acme").await, old, "{mebibytes} MiB");
        if begun().await > before {
            println!("with {mebibytes} MiB it begins, and is killed");
            break;
        }
    }
    assert!(begun().await > 1, "it was never killed after it had begun");
    sweep(&pool).await;
    assert_eq!(figures(&pool, "acme").await, old);
    assert_clean(&pool).await;
    let status = enough.import(&pool, folder.path(), &path);
    assert!(status.success(), "{status}");
    let counted = "SELECT count(*) FROM charge JOIN generation USING (generation_id) WHERE state = 'current'";
    assert_eq!(support::count(&pool, counted).await, 150_000);
    assert_clean(&pool).await;
}
