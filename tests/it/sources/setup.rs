//! Setting sources up: forms and their mistakes, credentials that never come out, the audit log.

use super::{Home, assert_counts, october};
use crate::support::{self, TestApp};
use axum::body::Body;
use axum::http::{Method, StatusCode, header};
use costwake::sources::kind::Layout;
use costwake::store::{Role, source_settings};
use sqlx::PgPool;

async fn admin(home: &Home, pool: &PgPool) -> TestApp {
    let app = support::app_with(pool.clone(), home.config.clone()).await;
    app.browser(Role::Admin, true, &[]).await
}

const S3: [(&str, &str); 9] = [
    ("name", "aws-main"),
    ("kind", "s3"),
    ("layout", "aws-data-export"),
    ("bucket", "bills"),
    ("region", "eu-central-1"),
    ("schedule", "every 1 hour"),
    ("expected_every_hours", "48"),
    ("access_key_id", "AKIAEXAMPLE"),
    ("secret_access_key", "hush-hush-hush"),
];

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn credentials_go_in_and_never_come_out(pool: PgPool) {
    let home = Home::new();
    let app = admin(&home, &pool).await;
    let added = app.post_form("/sources/add", &S3).await;
    assert_eq!(added.status, StatusCode::SEE_OTHER, "{}", added.body);
    let source = source_settings::find(&pool, "aws-main").await.unwrap().unwrap();
    assert_eq!(source.credentials(&home.key()).unwrap().secret_access_key, "hush-hush-hush");
    assert!(!format!("{source:?}").contains("hush"));
    let dump: String = sqlx::query_scalar(
        "SELECT (SELECT string_agg(o::text, ' ') FROM source_setting o) || (SELECT string_agg(a::text, ' ') FROM audit_log a)",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    let hex = hex::encode("hush-hush-hush");
    assert!(dump.contains("source.added") && !dump.contains("hush") && !dump.contains(&hex), "{dump}");
    for path in [added.location().to_owned(), format!("{}/setup", added.location()), "/settings/audit".into()] {
        let page = app.get(&path).await;
        assert_eq!(page.status, StatusCode::OK, "{path}");
        assert!(!page.body.contains("hush") && !page.body.contains("AKIAEXAMPLE"), "{path}");
    }

    // Kept where nothing is entered; never sent to another host.
    let setup = format!("{}/setup", added.location());
    let mut fields: Vec<(&str, &str)> = S3[1..7].to_vec();
    fields[2] = ("bucket", "other-bills");
    assert_eq!(app.post_form(&setup, &fields).await.status, StatusCode::SEE_OTHER);
    let source = source_settings::find(&pool, "aws-main").await.unwrap().unwrap();
    assert_eq!(source.setting.place.bucket, "other-bills");
    assert_eq!(source.credentials(&home.key()).unwrap().access_key_id, "AKIAEXAMPLE");
    fields.push(("endpoint", "https://elsewhere.example.com"));
    let refused = app.post_form(&setup, &fields).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert!(
        refused.body.contains("credentials are for another host") && refused.body.contains("elsewhere.example.com")
    );
    fields.push(("forget_credentials", "yes"));
    assert_eq!(app.post_form(&setup, &fields).await.status, StatusCode::SEE_OTHER);
    assert!(!source_settings::find(&pool, "aws-main").await.unwrap().unwrap().has_credentials());
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_mistake_keeps_what_was_filled_in(pool: PgPool) {
    let home = Home::new();
    let app = admin(&home, &pool).await;
    for (field, value, told) in [
        ("schedule", "now and then", "every 30 minutes"),
        ("bucket", "", "Enter the bucket"),
        ("secret_access_key", "", "both the access key id"),
        ("expected_every_hours", "soon", "whole number"),
        ("layout", "ftp", "is not known"),
        ("endpoint", "file:///etc/passwd", "The endpoint is an address like"),
    ] {
        let mut fields: Vec<(&str, &str)> = S3.iter().copied().filter(|(name, _)| *name != field).collect();
        fields.push((field, value));
        let page = app.post_form("/sources/add", &fields).await;
        assert_eq!(page.status, StatusCode::BAD_REQUEST, "{field}");
        assert!(page.body.contains(told), "{field}: {}", page.body);
        assert!(page.body.contains("value=\"aws-main\"") && !page.body.contains("hush"), "{field}");
    }
    assert_eq!(support::count(&pool, "SELECT count(*) FROM source").await, 0);
    assert_eq!(app.post_form("/sources/add", &S3).await.status, StatusCode::SEE_OTHER);
    let twice = app.post_form("/sources/add", &S3).await;
    assert_eq!(twice.status, StatusCode::CONFLICT);
    assert!(twice.body.contains("set up already"));
    for kind in ["upload", "push", "directory", "s3", "gcs", "azure"] {
        assert_eq!(app.get(&format!("/sources/add?kind={kind}")).await.status, StatusCode::OK);
    }
    assert_eq!(app.get("/sources/add").await.status, StatusCode::OK);
}

/// Setting up and handing in ask the same of a name, and leave one alone that a source has already.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_slash_is_in_no_name_of_a_new_source(pool: PgPool) {
    let home = Home::new();
    let app = admin(&home, &pool).await;
    let mut fields = S3;
    fields[0] = ("name", "aws/main");
    let form = "--line\r\nContent-Disposition: form-data; name=\"source\"\r\n\r\naws/main\r\n--line--\r\n";
    let upload = async || {
        let request = app
            .request(Method::POST, "/upload")
            .header("sec-fetch-site", "same-origin")
            .header(header::CONTENT_TYPE, "multipart/form-data; boundary=line");
        app.send(request.body(Body::from(form)).unwrap()).await
    };
    for page in [app.post_form("/sources/add", &fields).await, upload().await] {
        assert_eq!(page.status, StatusCode::BAD_REQUEST);
        assert!(page.body.contains("1 to 200 bytes without a slash"), "{}", page.body);
    }
    assert_eq!(support::count(&pool, "SELECT count(*) FROM source").await, 0);
    sqlx::query("INSERT INTO source (name) VALUES ('aws/main')").execute(&pool).await.unwrap();
    assert!(upload().await.body.contains("No file was chosen"), "the name is no fault of it");
    let added = app.post_form("/sources/add", &fields).await;
    assert_eq!(added.status, StatusCode::SEE_OTHER, "{}", added.body);
    let setup = format!("{}/setup", added.location());
    assert_eq!(app.post_form(&setup, &fields[1..7]).await.status, StatusCode::SEE_OTHER);
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_source_is_tested_read_paused_and_removed_from_its_page(pool: PgPool) {
    let home = Home::new();
    home.put("a.csv", october("1.5"));
    let app = admin(&home, &pool).await;
    let source_id = home.add_folder(&pool, "files", Layout::Files).await;
    let at = |rest: &str| format!("/sources/{source_id}{rest}");
    let tested = app.post_form(&at("/test"), &[]).await;
    assert!(tested.body.contains("with 1 objects"), "{}", tested.body);
    assert_eq!(app.post_form(&at("/read"), &[]).await.location(), at(""));
    assert!(home.worker(&pool).take_one().await.unwrap());
    assert_counts(&pool, "files", 1, "1.5").await;
    assert_eq!(app.post_form(&at("/pause"), &[]).await.location(), at(""));
    assert!(source_settings::get(&pool, source_id).await.unwrap().unwrap().is_paused);
    assert_eq!(app.post_form(&at("/resume"), &[]).await.location(), at(""));
    assert!(app.get(&at("/remove")).await.body.contains("1 of its deliveries count"));
    assert_eq!(app.post_form(&at("/remove"), &[]).await.status, StatusCode::BAD_REQUEST);
    let plain = app.browser(Role::Admin, false, &[]).await;
    assert_eq!(plain.post_form(&at("/remove"), &[("bills", "withdraw")]).await.status, StatusCode::FORBIDDEN);
    assert_eq!(app.post_form(&at("/remove"), &[("bills", "withdraw")]).await.location(), "/sources");
    assert_counts(&pool, "files", 0, "0").await;
    assert!(source_settings::get(&pool, source_id).await.unwrap().is_none());
    let actions: Vec<String> =
        sqlx::query_scalar("SELECT action FROM audit_log WHERE subject = $1 ORDER BY audit_log_id")
            .bind(format!("source {source_id}"))
            .fetch_all(&pool)
            .await
            .unwrap();
    assert_eq!(actions, ["source.added", "source.read", "source.paused", "source.resumed", "source.removed"]);
}

/// S34 and S37: the button that tests a connection reaches nothing private, and says why.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn the_test_of_a_connection_reaches_nothing_private(pool: PgPool) {
    let home = Home::new();
    let app = admin(&home, &pool).await;
    for (number, endpoint) in
        ["http://169.254.169.254", "https://10.0.0.1:9000", "http://[::ffff:192.168.0.1]", "https://0x0a000001"]
            .into_iter()
            .enumerate()
    {
        let name = format!("s{number}");
        let mut fields = S3.to_vec();
        fields[0] = ("name", &name);
        fields.push(("endpoint", endpoint));
        let added = app.post_form("/sources/add", &fields).await;
        assert_eq!(added.status, StatusCode::SEE_OTHER, "{}", added.body);
        let tested = app.post_form(&format!("{}/test", added.location()), &[]).await;
        assert!(tested.body.contains("COSTWAKE_OUTGOING_NETWORKS"), "{endpoint}: {}", tested.body);
    }
    // Without keys the machine's own role would be asked for.
    let fields: Vec<(&str, &str)> = S3[..7].to_vec();
    let added = app.post_form("/sources/add", &fields).await;
    let tested = app.post_form(&format!("{}/test", added.location()), &[]).await;
    assert!(tested.body.contains("COSTWAKE_OUTGOING_NETWORKS"), "{}", tested.body);
    let outside = [("name", "etc"), ("kind", "directory"), ("layout", "files"), ("prefix", "/etc")];
    // A folder is looked at before the source is set up.
    let refused = app.post_form("/sources/add", &outside).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{}", refused.body);
    assert!(refused.body.contains("COSTWAKE_SOURCE_FOLDERS") && refused.body.contains("value=\"/etc\""));
}
