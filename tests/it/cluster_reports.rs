//! What reports of clusters replace: archives of one payload add up, and of intervals that overlap the last one counts.

use chrono::Utc;
use costwake::rollup::Person;
use costwake::rollup::cluster_reports::{self, ClusterReportError, TakenReport};
use costwake::store::cluster_usage;
use sqlx::PgPool;
use std::fs;
use std::path::{Path, PathBuf};

const PODS: &str = "report_period_start,report_period_end,interval_start,interval_end,pod,namespace,node,resource_id,\
    pod_usage_cpu_core_seconds,pod_request_cpu_core_seconds,node_capacity_cpu_core_seconds,pod_labels";

const LABELS: &str =
    "report_period_start,report_period_end,interval_start,interval_end,node,node_labels\nx,y,a,b,n1,l:m\n";

/// A packed archive of these files.
pub fn pack(path: &Path, files: &[(&str, &str)]) {
    let gzip = flate2::write::GzEncoder::new(fs::File::create(path).unwrap(), flate2::Compression::fast());
    let mut archive = tar::Builder::new(gzip);
    for (name, text) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, name, text.as_bytes()).unwrap();
    }
    archive.into_inner().unwrap().finish().unwrap();
}

async fn import(pool: &PgPool, path: PathBuf) -> Result<TakenReport, ClusterReportError> {
    let by = Person { login: "test", address: "" };
    cluster_reports::import(pool, path, "report", None, by, Utc::now()).await
}

async fn used(pool: &PgPool, cluster: &str) -> Vec<String> {
    let mut conn = pool.acquire().await.unwrap();
    let days = cluster_usage::by_namespace(&mut conn).await.unwrap();
    let own = days.iter().filter(|day| day.cluster_id == cluster);
    own.map(|day| format!("{} {} {}", day.day, day.namespace, day.usage.normalized().to_plain_string())).collect()
}

fn pod(hour: u32, namespace: &str, used: u32) -> String {
    format!(
        "x,y,2026-10-03 {hour:02}:00:00 +0000 UTC,2026-10-03 {hour:02}:59:59 +0000 UTC,p,{namespace},n1,i-1,{used},0,\
         7200,l:m\n"
    )
}

fn manifest(cluster: &str, uuid: &str, files: &[&str]) -> String {
    serde_json::json!({"cluster_id": cluster, "uuid": uuid, "files": files}).to_string()
}

/// As the operator packs a large payload: each file by itself, with the manifest of all.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn archives_of_one_payload_add_up_in_any_order(pool: PgPool) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("payload.tar.gz");
    let names = ["p_pods.1.csv", "p_pods.0.csv", "p_labels.csv"];
    // The same namespace, machine and hour stand in both.
    let tables = [
        format!("{PODS}\n{}{}", pod(0, "shop", 3600), pod(1, "search", 600)),
        format!("{PODS}\n{}{}", pod(0, "shop", 1200), pod(1, "shop", 50)),
        LABELS.to_owned(),
    ];
    // A file that comes again, and how many are missing after each archive.
    let orders: [&[(usize, u64)]; 4] = [
        &[(0, 2), (1, 1), (2, 0), (0, 0)],
        &[(1, 2), (1, 2), (0, 1), (0, 1)],
        &[(2, 2), (1, 1), (0, 0), (1, 0)],
        &[(0, 2), (0, 2), (2, 1), (1, 0)],
    ];
    let whole = ["2026-10-03 search 600", "2026-10-03 shop 4850"];
    for (number, order) in orders.iter().enumerate() {
        let cluster = format!("c{number}");
        for (file, missing) in *order {
            let manifest = manifest(&cluster, &format!("uuid-{number}"), &names);
            pack(&path, &[(names[*file], tables[*file].as_str()), ("manifest.json", manifest.as_str())]);
            let taken = import(&pool, path.clone()).await.unwrap();
            assert_eq!(taken.missing_file_count, *missing, "{order:?}");
            assert_eq!(taken.waiting().is_some(), *missing > 0);
        }
        assert_eq!(used(&pool, &cluster).await, whole, "{order:?}");
    }

    // All at once, under a name of its own, in place of them; then a corrected hour.
    let all = manifest("c0", "whole", &names);
    pack(
        &path,
        &[
            (names[0], tables[0].as_str()),
            (names[1], tables[1].as_str()),
            (names[2], tables[2].as_str()),
            ("manifest.json", all.as_str()),
        ],
    );
    assert_eq!(import(&pool, path.clone()).await.unwrap().missing_file_count, 0);
    assert_eq!(used(&pool, "c0").await, whole);
    let corrected = format!("{PODS}\n{}", pod(0, "shop", 10));
    let of_corrected = manifest("c0", "corrected", &["q.csv"]);
    pack(&path, &[("q.csv", corrected.as_str()), ("manifest.json", of_corrected.as_str())]);
    import(&pool, path.clone()).await.unwrap();
    assert_eq!(used(&pool, "c0").await, ["2026-10-03 search 600", "2026-10-03 shop 60"]);
    assert_eq!(used(&pool, "c1").await, whole, "another cluster");

    // What belongs to no payload by name must be whole, and an archive of nothing is none.
    let unnamed = serde_json::json!({"cluster_id": "c0", "files": names}).to_string();
    let named = manifest("c0", "none", &names);
    for files in [
        [(names[0], tables[0].as_str()), ("manifest.json", unnamed.as_str())],
        [("other.csv", LABELS), ("manifest.json", named.as_str())],
    ] {
        pack(&path, &files);
        let refused = import(&pool, path.clone()).await.unwrap_err().to_string();
        assert!(refused.contains("which is not in the archive"), "{refused}");
    }
}

/// A payload of which a file comes late is older than what came after its first one: hours of that are left alone.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_late_file_of_an_older_payload_leaves_newer_hours_alone(pool: PgPool) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("payload.tar.gz");
    let names = ["p_pods.0.csv", "p_pods.1.csv"];
    let take = async |uuid: &str, names: &[&str], file: &str, rows: &[String]| {
        let (manifest, table) = (manifest("c", uuid, names), format!("{PODS}\n{}", rows.concat()));
        pack(&path, &[(file, table.as_str()), ("manifest.json", manifest.as_str())]);
        import(&pool, path.clone()).await.unwrap()
    };
    take("older", &names, names[0], &[pod(2, "shop", 100), pod(3, "shop", 100)]).await;
    let newer = take("newer", &["q.csv"], "q.csv", &[pod(3, "shop", 7), pod(3, "search", 5)]).await;
    assert!(newer.notes().is_empty(), "{:?}", newer.notes());
    let late = take("older", &names, names[1], &[pod(2, "ads", 30), pod(3, "ads", 30)]).await;
    assert_eq!(late.notes(), ["1 entry was left out: a newer report holds its interval."]);
    assert_eq!((late.missing_file_count, late.left_out_count), (0, 1));
    assert_eq!(used(&pool, "c").await, ["2026-10-03 ads 30", "2026-10-03 search 5", "2026-10-03 shop 107"]);
    // The first file once more changes nothing; what comes under a name of its own is the newest.
    let again = take("older", &names, names[0], &[pod(2, "shop", 100), pod(3, "shop", 100)]).await;
    assert_eq!(again.left_out_count, 1);
    assert_eq!(used(&pool, "c").await, ["2026-10-03 ads 30", "2026-10-03 search 5", "2026-10-03 shop 107"]);
    take("newest", &["r.csv"], "r.csv", &[pod(3, "shop", 1)]).await;
    assert_eq!(used(&pool, "c").await, ["2026-10-03 ads 30", "2026-10-03 shop 101"]);
}

fn allocation(start: &str, end: &str, cost: u32) -> String {
    format!(
        r#"{{"c/shop": {{"properties": {{"cluster": "c", "namespace": "shop"}}, "start": "{start}", "end": "{end}",
            "totalCost": {cost}}}}}"#
    )
}

fn hour(hour: u32, cost: u32) -> String {
    let end =
        format!("2026-10-03T{hour:02}:00:00Z").parse::<chrono::DateTime<Utc>>().unwrap() + chrono::TimeDelta::hours(1);
    allocation(&format!("2026-10-03T{hour:02}:00:00Z"), &end.format("%Y-%m-%dT%H:%M:%SZ").to_string(), cost)
}

/// A day after its hours, and hours after their day: they never weigh beside each other, and days beside them stay.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn of_intervals_that_overlap_the_last_report_counts(pool: PgPool) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("allocation.json");
    let import = async |sets: &[String]| {
        fs::write(&path, format!("[{}]", sets.join(","))).unwrap();
        import(&pool, path.clone()).await.unwrap().notes()
    };
    let take = async |sets: &[String]| {
        assert_eq!(import(sets).await, Vec::<String>::new());
        used(&pool, "c").await
    };
    let day = |day: u32, cost: u32| {
        allocation(&format!("2026-10-{day:02}T00:00:00Z"), &format!("2026-10-{:02}T00:00:00Z", day + 1), cost)
    };
    assert_eq!(take(&[day(2, 7), day(4, 9)]).await, ["2026-10-02 shop 7", "2026-10-04 shop 9"]);
    let hours: Vec<String> = (0..24).map(|at| hour(at, 1)).collect();
    assert_eq!(take(&hours).await, ["2026-10-02 shop 7", "2026-10-03 shop 24", "2026-10-04 shop 9"]);
    assert_eq!(take(&[day(3, 20)]).await, ["2026-10-02 shop 7", "2026-10-03 shop 20", "2026-10-04 shop 9"]);
    // One hour is not the day, and is said to be all that is left of it.
    let note = "A longer interval was replaced whole: what it held beside these rows is gone.";
    assert_eq!(import(&[hour(23, 3)]).await, [note]);
    assert_eq!(used(&pool, "c").await, ["2026-10-02 shop 7", "2026-10-03 shop 3", "2026-10-04 shop 9"]);
    assert_eq!(take(&[hour(0, 4)]).await, ["2026-10-02 shop 7", "2026-10-03 shop 7", "2026-10-04 shop 9"]);
    assert_eq!(take(&[day(3, 21)]).await, ["2026-10-02 shop 7", "2026-10-03 shop 21", "2026-10-04 shop 9"]);
    assert_eq!(take(&hours).await, ["2026-10-02 shop 7", "2026-10-03 shop 24", "2026-10-04 shop 9"]);

    // An interval without length, as older versions stored it, goes with what comes for its hour.
    sqlx::query("UPDATE cluster_usage SET interval_end = interval_start WHERE interval_start = '2026-10-03 05:00+00'")
        .execute(&pool)
        .await
        .unwrap();
    assert_eq!(take(&[hour(5, 2)]).await, ["2026-10-02 shop 7", "2026-10-03 shop 25", "2026-10-04 shop 9"]);
}
