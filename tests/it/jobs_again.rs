//! Work that runs again adds nothing (N15): each kind of job, three times, on bills, deployments, usage and events.

use crate::ledger::{Line, bill};
use crate::sources::{Home, assert_counts};
use crate::support;
use crate::training_jobs::trained;
use crate::units::filled;
use axum::body::Body;
use axum::http::{Method, StatusCode, header};
use chrono::Utc;
use costwake::jobs::KINDS;
use costwake::sources::kind::Layout;
use costwake::store::sources::{self, Upload};
use costwake::store::tokens::TokenScope;
use costwake::store::{Role, event_deliveries, jobs};
use serde_json::{Value, json};
use sqlx::PgPool;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// In the order in which one makes what the next one reads.
const HERE: [&str; 12] = [
    "import_upload",
    "read_source",
    "normalize_events",
    "remap",
    "work_out_splits",
    "count_namespaces",
    "count_pipelines",
    "make_usage_days",
    "settle_effects",
    "detect_anomalies",
    "forecast",
    "sweep",
];

/// Kinds that ask a machine of somebody else, and where a made one answers them.
const ELSEWHERE: [(&str, &str); 3] = [
    ("pull_metrics", "asks a Prometheus: tests/it/usage/prometheus.rs"),
    ("read_event_source", "asks the API of a sender: tests/it/event_reads/mod.rs"),
    ("refresh_catalogue", "fetches a description of services: tests/it/usage/refreshes.rs"),
];

/// Tables that are a log of runs.
const LOGS: [(&str, &str); 2] =
    [("job", "the queue itself"), ("source_read", "a line for each time that a source was read")];

/// What the next run may write otherwise: table, column, why.
const OF_THE_RUN: [(&str, &str, &str); 10] = [
    ("analysis_run", "ran_at", "when it ran last"),
    ("effect_run", "ran_at", "when it ran last"),
    ("effect_run", "computed_count", "how much the last run found to work out: nothing, the second time"),
    ("forecast", "computed_at", "when it was worked out"),
    ("metric_point", "loaded_at", "when it was counted"),
    ("usage_change", "change_count", "that it was counted"),
    ("source_find", "seen_at", "when the file was seen last"),
    ("event_telling", "event_telling_id", "what a delivery tells is written anew each time that it is read"),
    ("deployment_status", "deployment_status_id", "the same"),
    ("pipeline_run", "pipeline_run_id", "the same, where the delivery that told of a run first is read again"),
];

// The contents of all tables without what is of the run.
async fn contents(db: &PgPool) -> BTreeMap<String, String> {
    let left_out: Vec<(&str, &str)> = OF_THE_RUN.iter().map(|(table, column, _)| (*table, *column)).collect();
    let mut contents = support::table_contents(db, &left_out).await;
    contents.retain(|table, _| LOGS.iter().all(|(log, _)| log != table));
    contents
}

/// A world with something to do for each kind.
struct Work {
    home: Home,
    db: PgPool,
    /// The file that was uploaded, and its delivery.
    upload: (PathBuf, i64),
    source_id: i64,
}

impl Work {
    async fn new(db: &PgPool) -> Self {
        let world = filled(db).await;
        trained(db, &world).await;
        hours_without_a_day(db).await;
        let ingest = world.app.token(TokenScope::Ingest, Role::Finance).await;
        let deployment = json!({"id": "v1", "service": "checkout", "environment": "production", "version": "1",
                                "finished_at": "2026-11-02T09:00:00Z"});
        let told = world.app.api("POST", "/api/v1/deployments", &ingest, deployment).await;
        assert_eq!(told.status, StatusCode::CREATED, "{}", told.body);
        let put = world.app.request(Method::PUT, "/api/v1/cluster-reports/opencost.json");
        let put = put.header(header::AUTHORIZATION, format!("Bearer {ingest}"));
        let taken = world.app.send(put.body(Body::from(report().to_string())).unwrap()).await;
        assert_eq!(taken.status, StatusCode::OK, "{}", taken.body);

        let home = Home::new();
        home.put("folder.csv", of_account("A8", "2.25"));
        home.age("folder.csv", 60);
        let source_id = home.add_folder(db, "folder", Layout::Files).await;
        let new = Upload {
            file_name: "upload.csv",
            file_bytes: of_account("A9", "1.5").len() as i64,
            named_source: Some("acme"),
            received_by: "ann",
            version_at: Utc::now(),
            version_basis: "receipt",
            now: Utc::now(),
        };
        let delivery_id = sources::insert_upload(&mut db.acquire().await.unwrap(), &new).await.unwrap();
        let upload = (home.folder.path().join("upload.csv"), delivery_id);
        Self { home, db: db.clone(), upload, source_id }
    }

    // A job that finds its work done does nothing: what it looks at says that there is some.
    async fn prepare(&self, kind: &str) {
        let due = match kind {
            // The file goes with the job that has read it; a worker that died before it said so runs it again.
            "import_upload" => return std::fs::write(&self.upload.0, of_account("A9", "1.5")).unwrap(),
            "normalize_events" => {
                let mut conn = self.db.acquire().await.unwrap();
                assert!(event_deliveries::read_all_again(&mut conn, None, None).await.unwrap() > 0);
                return;
            }
            "make_usage_days" => "UPDATE metric_hour SET is_late = true WHERE hour = '2026-07-01T05:00:00Z'",
            "settle_effects" => "UPDATE effect_run SET method = 'another'",
            "detect_anomalies" => "UPDATE analysis_run SET method = 'another'",
            _ => return,
        };
        sqlx::query(due).execute(&self.db).await.unwrap();
    }

    fn payload(&self, kind: &str) -> (String, Value) {
        let (path, delivery_id) = &self.upload;
        match kind {
            "import_upload" => {
                let upload = json!({"path": path, "file_name": "upload.csv", "source": "acme", "received_by": "ann",
                                    "delivery_id": delivery_id});
                (delivery_id.to_string(), upload)
            }
            "read_source" => (self.source_id.to_string(), json!({"source_id": self.source_id, "asked_by": "ann"})),
            _ => (String::new(), json!({})),
        }
    }

    /// One run, to its end.
    async fn run(&self, kind: &str) {
        self.prepare(kind).await;
        // What was asked for meanwhile has its turn below.
        sqlx::query("DELETE FROM job").execute(&self.db).await.unwrap();
        let (key, payload) = self.payload(kind);
        let mut conn = self.db.acquire().await.unwrap();
        let job_id = jobs::enqueue(&mut conn, kind, &key, &payload).await.unwrap();
        assert!(self.home.worker(&self.db).take(job_id).await.unwrap(), "{kind}");
        let end = sqlx::query_as("SELECT state, last_error FROM job WHERE job_id = $1").bind(job_id);
        let (state, error): (String, Option<String>) = end.fetch_one(&self.db).await.unwrap();
        assert_eq!((state.as_str(), error), ("done", None), "{kind}");
    }
}

fn of_account(account: &str, cost: &str) -> String {
    bill(&[Line { account: account.into(), ..Line::of("2026-11", 18, "shop", cost) }])
}

// What a namespace of a cluster used.
fn report() -> Value {
    json!({"code": 200, "data": [{"c5/n1/checkout": {
        "properties": {"cluster": "c5", "node": "n1", "namespace": "checkout"},
        "start": "2026-10-03T00:00:00Z", "end": "2026-10-04T00:00:00Z", "totalCost": 2}}]})
}

// Hours that came while a split was worked out: a job makes their day.
async fn hours_without_a_day(db: &PgPool) {
    let hours = "INSERT INTO metric_hour (metric, service_id, hour, value, loaded_by, loaded_at, is_late)
                 SELECT 'requests', service_id, '2026-07-01T05:00:00Z', 7, 'test', now(), true FROM service
                 WHERE slug = 'checkout'";
    assert_eq!(sqlx::query(hours).execute(db).await.unwrap().rows_affected(), 1);
}

#[test]
fn each_kind_of_job_is_run_here_or_says_why_not() {
    let listed: BTreeSet<&str> = HERE.into_iter().chain(ELSEWHERE.map(|(kind, _)| kind)).collect();
    assert_eq!(listed, BTreeSet::from(KINDS));
    assert_eq!(listed.len(), HERE.len() + ELSEWHERE.len(), "none is on both lists");
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_job_that_runs_three_times_leaves_what_it_left_the_first_time(db: PgPool) {
    let work = Work::new(&db).await;
    let mut wrong = Vec::new();
    for kind in HERE {
        if kind == "forecast" {
            // The first run of all asks about months that are over, and their answers set the intervals from then on.
            work.run(kind).await;
        }
        work.run(kind).await;
        let once = contents(&db).await;
        work.run(kind).await;
        work.run(kind).await;
        let thrice = contents(&db).await;
        let tables: BTreeSet<&String> = once.keys().chain(thrice.keys()).collect();
        let changed = tables.into_iter().filter(|table| once.get(*table) != thrice.get(*table));
        wrong.extend(changed.map(|table| format!("{kind} changed {table}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // Each of them had something to do.
    assert_counts(&db, "acme", 1, "1.5").await;
    assert_counts(&db, "folder", 1, "2.25").await;
    for made in [
        "SELECT count(*) FROM pipeline_run",
        "SELECT count(*) FROM metric_point WHERE metric LIKE 'cluster_c5%'",
        "SELECT count(*) FROM metric_point WHERE metric = 'pipeline_runs'",
        "SELECT count(*) FROM metric_point WHERE charge_date = '2026-07-01'",
        "SELECT count(*) FROM deployment_effect",
        "SELECT count(*) FROM anomaly_watch",
        "SELECT count(*) FROM forecast",
    ] {
        assert!(support::count(&db, made).await > 0, "{made}");
    }
}
