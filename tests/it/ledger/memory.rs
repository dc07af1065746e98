//! An import stays below 256 MiB, whatever the size and kind of its file.

use super::{Line, assert_clean, bill};
use crate::support;
use parquet::data_type::{ByteArray, ByteArrayType};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use sqlx::{ConnectOptions, PgPool};
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

const PEAK_KIB_MAX: u64 = 256 * 1024;
const LINES: usize = 150_000;

fn lines(count: usize) -> Vec<Line> {
    (0..count)
        .map(|n| {
            Line::of("2026-10", 1 + n as u32 % 28, &format!("service-{}", n % 20_000), &format!("{n}.{}", n % 977))
        })
        .collect()
}

/// Every column as text, few rows a group: an index that is large for its file.
fn write_parquet(path: &Path, text: &str) {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let fields: Vec<String> =
        reader.headers().unwrap().iter().map(|name| format!("REQUIRED BYTE_ARRAY {name} (UTF8);")).collect();
    let schema = Arc::new(parse_message_type(&format!("message bill {{ {} }}", fields.join(" "))).unwrap());
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    let mut writer = SerializedFileWriter::new(File::create(path).unwrap(), schema, Arc::default()).unwrap();
    for rows in rows.chunks(20) {
        let mut group = writer.next_row_group().unwrap();
        for column in 0..fields.len() {
            let values: Vec<ByteArray> = rows.iter().map(|row| row[column].into()).collect();
            let mut column = group.next_column().unwrap().unwrap();
            column.typed::<ByteArrayType>().write_batch(&values, None, None).unwrap();
            column.close().unwrap();
        }
        group.close().unwrap();
    }
    writer.close().unwrap();
}

/// The most memory that the program ever held while it took in a file.
fn peak_kib(address: &str, folder: &Path, path: &Path) -> u64 {
    let mut command = Command::new(env!("CARGO_BIN_EXE_costwake"));
    command.env("DATABASE_URL", address).env("COSTWAKE_DATA_DIR", folder).args(["import", "--source", "acme"]);
    let mut child = command.arg(path).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    loop {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        peak = peak.max(line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0));
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success(), "{}", path.display());
            return peak;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn an_import_stays_below_256_mebibytes(pool: PgPool) {
    let folder = tempfile::tempdir().unwrap();
    let address = pool.connect_options().to_url_lossy().to_string();
    let text = bill(&lines(LINES));
    let plain = folder.path().join("bill.csv");
    std::fs::write(&plain, &text).unwrap();
    let wide_window = folder.path().join("bill.csv.zst");
    let mut encoder = zstd::stream::write::Encoder::new(File::create(&wide_window).unwrap(), 1).unwrap();
    encoder.window_log(27).unwrap();
    encoder.long_distance_matching(true).unwrap();
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap();
    let parquet = folder.path().join("bill.parquet");
    write_parquet(&parquet, &bill(&lines(LINES / 5)));
    for path in [plain, wide_window, parquet] {
        let peak = peak_kib(&address, folder.path(), &path);
        assert!(peak > 0 && peak < PEAK_KIB_MAX, "{} takes {peak} KiB", path.display());
    }
    assert_eq!(support::count(&pool, "SELECT count(*) FROM delivery WHERE state = 'published'").await, 1);
    assert_clean(&pool).await;
}
