//! An import stays below 256 MiB, whatever the size and kind of its file.

use super::{Line, assert_clean, bill};
use crate::support;
use bigdecimal::BigDecimal;
use parquet::data_type::{ByteArray, ByteArrayType};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use sqlx::{ConnectOptions, PgPool};
use std::fs::File;
use std::io::{BufWriter, Write};
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

/// The most memory that the program ever held while it took in files.
fn peak_kib(address: &str, folder: &Path, arguments: &[&str], paths: &[&Path]) -> u64 {
    let mut command = Command::new(env!("CARGO_BIN_EXE_costwake"));
    command.env("DATABASE_URL", address).env("COSTWAKE_DATA_DIR", folder).args(arguments);
    let mut child = command.args(paths).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    loop {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        peak = peak.max(line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0));
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success(), "{arguments:?} {paths:?}");
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
        let peak = peak_kib(&address, folder.path(), &["import", "--source", "acme"], &[&path]);
        assert!(peak > 0 && peak < PEAK_KIB_MAX, "{} takes {peak} KiB", path.display());
    }
    assert_eq!(support::count(&pool, "SELECT count(*) FROM delivery WHERE state = 'published'").await, 1);
    assert_clean(&pool).await;
}

/// More rows than the join of Azure's two exports holds in memory, each of a resource of its own.
const AZURE_ROWS: usize = 240_000;

/// Writes an export of so many rows and one of a commitment. A row costs as much in both exports; a tenth of them
/// stands in this one only.
fn write_azure(path: &Path, commitment: &str, own: usize) {
    let mut file = BufWriter::new(File::create(path).unwrap());
    file.write_all(
        b"BillingAccountId,BillingPeriodStartDate,BillingPeriodEndDate,SubscriptionId,Date,MeterId,MeterCategory,\
          Quantity,Cost,UnitPrice,BillingCurrency,ResourceId,ReservationId,ChargeType,Frequency,PricingModel,\
          PayGPrice,Tags\n",
    )
    .unwrap();
    let mut row = |resource: usize, cost: &str, kind: &str, reservation: &str, model: &str| {
        writeln!(
            file,
            "8611537,10/01/2026,10/31/2026,sub-1,10/{:02}/2026,m1,Virtual Machines,24,{cost},0.1,EUR,/vm/{resource},\
             {reservation},{kind},UsageBased,{model},0.12,",
            1 + resource % 28
        )
        .unwrap();
    };
    row(0, "5", commitment, "a", "Reservation");
    for resource in 1..=AZURE_ROWS {
        let resource = if resource % 10 == 0 { own + resource } else { resource };
        row(resource, "0.25", "Usage", "", "OnDemand");
    }
    file.flush().unwrap();
}

/// Rows of the one export that wait for the other one go to a file: the sums are exact, and so is what stands in both.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_join_of_two_azure_exports_stays_below_256_mebibytes(pool: PgPool) {
    let folder = tempfile::tempdir().unwrap();
    let address = pool.connect_options().to_url_lossy().to_string();
    let (actual, amortized) = (folder.path().join("actual.csv"), folder.path().join("amortized.csv"));
    write_azure(&actual, "Purchase", 1_000_000);
    write_azure(&amortized, "UnusedReservation", 2_000_000);
    let arguments = ["import", "--source", "azure", "--parts"];
    let peak = peak_kib(&address, folder.path(), &arguments, &[&amortized, &actual]);
    assert!(peak > 0 && peak < PEAK_KIB_MAX, "the join takes {peak} KiB");
    let (lines, billed, effective): (i64, BigDecimal, BigDecimal) = sqlx::query_as(
        "SELECT count(*), sum(billed_cost), sum(effective_cost) FROM charge JOIN generation USING (generation_id)
         WHERE state = 'current'",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    // Nine tenths stand in both; a tenth, and the commitment, in each by itself.
    assert_eq!(lines, (AZURE_ROWS + AZURE_ROWS / 10 + 2) as i64);
    let sum = BigDecimal::from(AZURE_ROWS as u64 / 4 + 5);
    assert_eq!((&billed, &effective), (&sum, &sum));
    assert_clean(&pool).await;
}

/// Allocations of a report that is nearly as long as the longest.
const ALLOCATIONS: usize = 50_000;

/// Names beside each allocation that nobody looks at.
const LABELS: usize = 24;

fn write_allocations(path: &Path) {
    let mut file = BufWriter::new(File::create(path).unwrap());
    file.write_all(br#"{"code":200,"data":[{"#).unwrap();
    for number in 0..ALLOCATIONS {
        let (comma, node) = (if number == 0 { "" } else { "," }, number % 500);
        write!(file, r#"{comma}"ns-{number}":{{"name":"ns-{number}","properties":{{"cluster":"one","#).unwrap();
        write!(file, r#""node":"n{node}","labels":{{"a":1"#).unwrap();
        for label in 0..LABELS {
            write!(file, r#","app.kubernetes.io/label-{label}":"value-{number}""#).unwrap();
        }
        write!(
            file,
            r#"}},"namespace":"ns-{number}","providerID":"aws:///a/i-{number}"}},"start":"2026-05-01T00:00:00Z","#
        )
        .unwrap();
        file.write_all(br#""end":"2026-05-02T00:00:00Z","totalCost":0.25}"#).unwrap();
    }
    file.write_all(b"}]}").unwrap();
    file.flush().unwrap();
}

/// One allocation of OpenCost at a time is in memory: as a whole, such a report took 600 MiB.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_report_of_a_cluster_stays_below_256_mebibytes(pool: PgPool) {
    let folder = tempfile::tempdir().unwrap();
    let address = pool.connect_options().to_url_lossy().to_string();
    let report = folder.path().join("allocation.json");
    write_allocations(&report);
    let bytes = report.metadata().unwrap().len();
    assert!((55..64).contains(&(bytes / 1024 / 1024)), "{bytes} bytes");
    let peak = peak_kib(&address, folder.path(), &["clusters", "import"], &[&report]);
    assert!(peak > 0 && peak < PEAK_KIB_MAX, "the report takes {peak} KiB");
    assert_eq!(support::count(&pool, "SELECT count(*) FROM cluster_usage").await, ALLOCATIONS as i64);
    assert_eq!(support::count(&pool, "SELECT sum(usage)::bigint FROM cluster_usage").await, ALLOCATIONS as i64 / 4);
}
