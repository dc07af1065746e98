//! Object stores: a real S3-compatible server and Azurite, which `scripts/test` starts, and a fake of Google Cloud
//! Storage here, which also plays what a real one does at the wrong moment.

use super::fake_store::{self as fake, FakeStore};
use super::{Home, assert_counts, october};
use crate::ledger::assert_clean;
use crate::support;
use costwake::sources::kind::{Kind, LateBills, Layout, Restatement};
use costwake::sources::place::{Credentials, Place};
use costwake::sources::setting::Setting;
use costwake::store::source_settings;
use costwake::web::source_change;
use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use sqlx::PgPool;

const AZURITE_ACCOUNT: &str = "devstoreaccount1";
/// The key that Azurite documents for everyone.
const AZURITE_KEY: &str = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

fn address(variable: &str, what: &str) -> Option<String> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let address = std::env::var(variable).ok().filter(|address| !address.is_empty());
    if address.is_none() {
        support::skipped(&format!("reading from {what}, because {variable} is not set (scripts/test starts one)"));
    }
    address
}

async fn put(store: &impl ObjectStore, key: &str, bytes: impl Into<PutPayload>) {
    store.put(&object_store::path::Path::parse(key).unwrap(), bytes.into()).await.unwrap();
}

fn export_manifest(execution: &str, files: &[&str]) -> String {
    let files: Vec<String> = files.iter().map(|file| format!("s3://bucket/{file}")).collect();
    serde_json::json!({ "executionId": execution, "dataFiles": files }).to_string()
}

pub const DATA: [&str; 2] =
    ["p/x/data/BILLING_PERIOD=2026-10/x-00001.csv", "p/x/data/BILLING_PERIOD=2026-10/x-00002.csv"];
pub const MANIFEST: &str = "p/x/metadata/BILLING_PERIOD=2026-10/x-Manifest.json";

async fn put_export(store: &impl ObjectStore, execution: &str, costs: [&str; 2]) {
    for (key, cost) in DATA.iter().zip(costs) {
        put(store, key, october(cost)).await;
    }
    put(store, MANIFEST, export_manifest(execution, &DATA)).await;
}

fn setting(kind: Kind, layout: Layout, place: Place) -> Setting {
    Setting {
        name: "store".into(),
        kind,
        layout,
        restatement: layout.restatements()[0],
        format: None,
        place,
        schedule: None,
        expected_every_hours: None,
        late_bills: LateBills::Hold,
    }
}

async fn probe(home: &Home, pool: &PgPool, source_id: i64) -> Result<usize, costwake::sources::objects::PlaceError> {
    let source = source_settings::get(pool, source_id).await.unwrap().unwrap();
    source_change::test(&home.config, &home.key(), &source).await
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn an_export_in_s3_is_read_whole_and_again_when_it_is_restated(pool: PgPool) {
    let Some(endpoint) = address("COSTWAKE_TEST_S3", "an S3-compatible server") else { return };
    let home = Home::new();
    let bucket = format!("bills-{}", std::process::id());
    reqwest::Client::new().put(format!("{endpoint}/{bucket}")).send().await.unwrap().error_for_status().unwrap();
    let store = AmazonS3Builder::new()
        .with_endpoint(&endpoint)
        .with_allow_http(true)
        .with_bucket_name(&bucket)
        .with_region("us-east-1")
        .with_access_key_id("key")
        .with_secret_access_key("secret")
        .build()
        .unwrap();
    put_export(&store, "e1", ["1.5", "2"]).await;
    let place =
        Place { bucket: bucket.clone(), prefix: "p".into(), region: "us-east-1".into(), endpoint, ..Place::default() };
    let keys =
        Credentials { access_key_id: "key".into(), secret_access_key: "secret".into(), ..Credentials::default() };
    let source_id = home.add(&pool, &setting(Kind::S3, Layout::AwsDataExport, place.clone()), &keys).await;
    assert_eq!(probe(&home, &pool, source_id).await.unwrap(), 3);
    let read = home.read(&pool, source_id).await;
    assert_eq!((read.result.as_str(), read.delivery_ids.len(), read.object_count), ("new", 1, 3), "{read:?}");
    assert_counts(&pool, "store", 2, "3.5").await;
    assert_eq!(home.read(&pool, source_id).await.result, "nothing-new");

    put_export(&store, "e2", ["10", "20"]).await;
    assert_eq!(home.read(&pool, source_id).await.result, "new");
    assert_counts(&pool, "store", 2, "30").await;
    store.delete(&DATA[1].into()).await.unwrap();
    put(&store, MANIFEST, export_manifest("e3", &DATA)).await;
    let read = home.read(&pool, source_id).await;
    assert_eq!(read.result, "partial", "{read:?}");
    assert_counts(&pool, "store", 2, "30").await;

    let elsewhere = Place { bucket: "no-such-bucket-here".into(), ..place };
    let elsewhere = Setting { name: "elsewhere".into(), ..setting(Kind::S3, Layout::Files, elsewhere) };
    let source_id = home.add(&pool, &elsewhere, &keys).await;
    let error = probe(&home, &pool, source_id).await.unwrap_err();
    assert!(error.sentence.contains("NoSuchBucket") && error.remedy.contains("bucket"), "{error:?}");
    let read = home.read(&pool, source_id).await;
    assert_eq!((read.result.as_str(), read.remedy.is_some()), ("failed", true), "{read:?}");
    assert_clean(&pool).await;
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn an_export_in_azure_is_read_by_key_and_refused_with_another(pool: PgPool) {
    let Some(endpoint) = address("COSTWAKE_TEST_AZURE", "Azurite") else { return };
    let home = Home::new();
    let container = format!("exports-{}", std::process::id());
    fake::create_azure_container(&endpoint, AZURITE_ACCOUNT, AZURITE_KEY, &container).await;
    let endpoint = format!("{endpoint}/{AZURITE_ACCOUNT}");
    let store = MicrosoftAzureBuilder::new()
        .with_endpoint(endpoint.clone())
        .with_allow_http(true)
        .with_account(AZURITE_ACCOUNT)
        .with_access_key(AZURITE_KEY)
        .with_container_name(&container)
        .build()
        .unwrap();
    let run = "cost/focus/20261001-20261031/202611010115/r1";
    let part = format!("{run}/part_0_0001.csv");
    let text = october("1.25");
    let blob = serde_json::json!({ "blobName": part, "byteCount": text.len(), "dataRowCount": 1 });
    let run_info = serde_json::json!({ "runId": "r1", "submittedTime": "2026-11-01T01:15:00.123Z" });
    put(&store, &part, text).await;
    let manifest = serde_json::json!({ "blobCount": 1, "runInfo": run_info, "blobs": [blob] });
    put(&store, &format!("{run}/manifest.json"), manifest.to_string()).await;

    let place = Place {
        bucket: container,
        account: AZURITE_ACCOUNT.into(),
        endpoint,
        prefix: "cost".into(),
        ..Place::default()
    };
    let key = Credentials { secret_access_key: AZURITE_KEY.into(), ..Credentials::default() };
    let source_id = home.add(&pool, &setting(Kind::Azure, Layout::AzureExport, place.clone()), &key).await;
    let read = home.read(&pool, source_id).await;
    assert_eq!((read.result.as_str(), read.delivery_ids.len()), ("new", 1), "{read:?}");
    assert_counts(&pool, "store", 1, "1.25").await;

    let wrong = Credentials { secret_access_key: AZURITE_KEY.replace('E', "F"), ..Credentials::default() };
    let other = Setting { name: "other".into(), ..setting(Kind::Azure, Layout::AzureExport, place) };
    let source_id = home.add(&pool, &other, &wrong).await;
    let error = probe(&home, &pool, source_id).await.unwrap_err();
    assert!(!error.may_pass && !error.sentence.contains(AZURITE_KEY), "{error:?}");
    assert_clean(&pool).await;
}

/// A source that reads the fake store, with a key that asks for no token.
pub fn google(endpoint: &str) -> (Setting, Credentials) {
    let place = Place { bucket: "bills".into(), prefix: "p".into(), endpoint: endpoint.into(), ..Place::default() };
    let key = r#"{"client_email":"a@b","private_key":"none","private_key_id":"1","disable_oauth":true}"#;
    let credentials = Credentials { service_account_key: key.into(), ..Credentials::default() };
    (setting(Kind::Gcs, Layout::AwsDataExport, place), credentials)
}

/// Puts a version of the export there.
pub fn export(store: &FakeStore, execution: &str, costs: [&str; 2]) {
    for (key, cost) in DATA.iter().zip(costs) {
        store.put(key, october(cost).into_bytes());
    }
    store.put(MANIFEST, export_manifest(execution, &DATA).into_bytes());
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn an_export_in_google_cloud_storage_is_read(pool: PgPool) {
    let home = Home::new();
    let store = FakeStore::start("bills").await;
    export(&store, "e1", ["1.5", "2"]);
    let (setting, credentials) = google(&store.endpoint);
    let source_id = home.add(&pool, &setting, &credentials).await;
    assert_eq!(probe(&home, &pool, source_id).await.unwrap(), 3);
    let read = home.read(&pool, source_id).await;
    assert_eq!((read.result.as_str(), read.delivery_ids.len()), ("new", 1), "{read:?}");
    assert_counts(&pool, "store", 2, "3.5").await;
    assert_clean(&pool).await;
}

/// The export is written anew while its parts are read: never a mixture, whatever the moment.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_delivery_that_changes_while_it_is_read_is_read_anew(pool: PgPool) {
    for (number, after) in [DATA[0], DATA[1], MANIFEST].into_iter().enumerate() {
        let home = Home::new();
        let store = FakeStore::start("bills").await;
        export(&store, "e1", ["1.5", "2"]);
        let second = store.clone();
        store.once_after(after, move || export(&second, "e2", ["100", "200"]));
        let (setting, credentials) = google(&store.endpoint);
        let setting = Setting { name: format!("store {number}"), ..setting };
        let source_id = home.add(&pool, &setting, &credentials).await;
        let read = home.read(&pool, source_id).await;
        assert_eq!((read.result.as_str(), read.delivery_ids.len()), ("new", 1), "after {after}: {read:?}");
        assert_counts(&pool, &setting.name, 2, "300").await;
        crate::ledger::withdraw_source(&pool, &setting.name).await;
    }
    assert_clean(&pool).await;
}

/// The mark of a store may be that of the bytes: what goes back to its earlier content has its earlier mark, and counts
/// as it is.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_file_that_goes_back_to_its_earlier_content_is_read_again(pool: PgPool) {
    let shards = ["p/bill-000000000000.csv", "p/bill-000000000001.csv"];
    let files = [("file", &["p/bill.csv"][..], ["1.5", "2"]), ("shards", &shards[..], ["1.75", "2.25"])];
    for (name, files, [first, second]) in files {
        let home = Home::new();
        let store = FakeStore::start("bills").await;
        let (setting, credentials) = google(&store.endpoint);
        let (layout, restatement) = (Layout::Files, Restatement::Overwrite);
        let setting = Setting { name: name.into(), layout, restatement, ..setting };
        let source_id = home.add(&pool, &setting, &credentials).await;
        for (day, cost, total) in [(1, "1.5", first), (2, "2", second), (3, "1.5", first), (4, "2", second)] {
            for (number, file) in files.iter().enumerate() {
                store.put(file, october(if number == 0 { cost } else { "0.25" }).into_bytes());
            }
            store.written_at(&format!("2026-11-{day:02}T10:00:00.000Z"));
            let read = home.read(&pool, source_id).await;
            assert_eq!((read.result.as_str(), read.delivery_ids.len()), ("new", 1), "{name}, day {day}: {read:?}");
            assert_counts(&pool, name, files.len() as i64, total).await;
            assert_eq!(home.read(&pool, source_id).await.result, "nothing-new", "{name}, day {day}");
        }
        crate::ledger::withdraw_source(&pool, name).await;
    }
    assert_clean(&pool).await;
}

/// S36: a store that sends elsewhere is not followed, and what is broken off is no shorter bill.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn redirects_are_not_followed_and_short_answers_are_no_bills(pool: PgPool) {
    let home = Home::new();
    let other = FakeStore::start("bills").await;
    export(&other, "e1", ["1.5", "2"]);
    let store = FakeStore::start("bills").await;
    store.redirect_to(&other.endpoint);
    let (setting, credentials) = google(&store.endpoint);
    let source_id = home.add(&pool, &setting, &credentials).await;
    let read = home.read(&pool, source_id).await;
    assert_eq!(read.result, "failed", "{read:?}");
    assert_eq!(other.request_count(), 0, "the redirect was followed");

    let store = FakeStore::start("bills").await;
    export(&store, "e1", ["1.5", "2"]);
    store.cut(DATA[1]);
    let (setting, credentials) = google(&store.endpoint);
    let setting = Setting { name: "cut".into(), ..setting };
    let source_id = home.add(&pool, &setting, &credentials).await;
    let read = home.read(&pool, source_id).await;
    assert_eq!(read.result, "failed", "{read:?}");
    assert_eq!(support::count(&pool, "SELECT count(*) FROM delivery").await, 0);
}
