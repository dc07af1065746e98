//! Stores that want a token: what a service account of Google Cloud signs, and what Entra ID gives for a client secret.
//! Both against servers of the test.

use super::fake_store::FakeStore;
use super::stores::{export, google};
use super::{Home, assert_counts, october};
use crate::ledger::assert_clean;
use crate::support;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path as UrlPath, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::Utc;
use costwake::sources::kind::{Kind, LateBills, Layout};
use costwake::sources::place::{Credentials, Place};
use costwake::sources::setting::Setting;
use costwake::store::source_settings;
use costwake::web::source_change;
use serde_json::{Value, json};
use sqlx::PgPool;
use std::collections::HashMap;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

fn openssl(folder: &Path, arguments: &[&str]) -> bool {
    let mut command = Command::new("openssl");
    command.args(arguments).current_dir(folder);
    command.output().is_ok_and(|output| output.status.success())
}

/// A service account's key signs a token of its own for each use: who it is, what for, not for long, and by its key.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_service_account_s_key_signs_what_it_asks(pool: PgPool) {
    let home = Home::new();
    let folder = home.folder.path();
    if !openssl(folder, &["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", "key.pem"])
        || !openssl(folder, &["pkey", "-in", "key.pem", "-pubout", "-out", "public.pem"])
    {
        return support::skipped("tokens of a service account, because openssl makes no key here");
    }
    let store = FakeStore::start("bills").await;
    export(&store, "e1", ["1.5", "2"]);
    let (setting, _) = google(&store.endpoint);
    let key_file = json!({
        "type": "service_account",
        "client_email": "reader@project.iam.gserviceaccount.com",
        "private_key_id": "k1",
        "private_key": std::fs::read_to_string(folder.join("key.pem")).unwrap(),
        "token_uri": "https://oauth2.googleapis.com/token",
    });
    let credentials = Credentials { service_account_key: key_file.to_string(), ..Credentials::default() };
    assert_eq!(credentials.fault(Kind::Gcs), None);
    let source_id = home.add(&pool, &setting, &credentials).await;
    let before = Utc::now().timestamp();
    assert_eq!(home.read(&pool, source_id).await.result, "new");
    assert_counts(&pool, "store", 2, "3.5").await;

    let sent = store.authorizations();
    assert!(sent.len() >= 4, "{sent:?}");
    for token in sent {
        let token = token.strip_prefix("Bearer ").unwrap_or_else(|| panic!("{token}"));
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let (head, claims) = signed.split_once('.').unwrap();
        let decoded = |text: &str| URL_SAFE_NO_PAD.decode(text).unwrap();
        let head: Value = serde_json::from_slice(&decoded(head)).unwrap();
        assert_eq!(
            (head["alg"].as_str(), head["typ"].as_str(), head["kid"].as_str()),
            (Some("RS256"), Some("JWT"), Some("k1"))
        );
        let claims: Value = serde_json::from_slice(&decoded(claims)).unwrap();
        for who in ["iss", "sub"] {
            assert_eq!(claims[who], "reader@project.iam.gserviceaccount.com", "{claims}");
        }
        assert!(claims["scope"].as_str().unwrap().starts_with("https://www.googleapis.com/auth/"), "{claims}");
        let (from, to) = (claims["iat"].as_i64().unwrap(), claims["exp"].as_i64().unwrap());
        assert!(from >= before - 60 && from <= Utc::now().timestamp() && to > from && to - from <= 3600, "{claims}");
        std::fs::write(folder.join("signed"), signed).unwrap();
        std::fs::write(folder.join("signature"), decoded(signature)).unwrap();
        let verify = ["dgst", "-sha256", "-verify", "public.pem", "-signature", "signature", "signed"];
        assert!(openssl(folder, &verify), "the signature is not that of the key");
    }
    // A key that is none is told without being shown.
    let broken =
        json!({ "client_email": "a@b", "private_key": "-----BEGIN PRIVATE KEY-----hush", "private_key_id": "1" });
    let credentials = Credentials { service_account_key: broken.to_string(), ..Credentials::default() };
    let other = Setting { name: "other".into(), ..setting };
    let source_id = home.add(&pool, &other, &credentials).await;
    let read = home.read(&pool, source_id).await;
    assert_eq!((read.result.as_str(), read.remedy.is_some()), ("failed", true), "{read:?}");
    assert!(!format!("{read:?}").contains("hush"), "{read:?}");
    assert_clean(&pool).await;
}

/// Entra ID and a container of Azure, as far as reading goes.
#[derive(Default)]
struct Cloud {
    blobs: HashMap<String, Vec<u8>>,
    /// The forms that a token was asked with.
    asked: Vec<HashMap<String, String>>,
    /// Requests to the container without the token.
    refused: usize,
}

type Shared = Arc<Mutex<Cloud>>;

const SECRET: &str = "s3cr+t~&=";
const TOKEN: &str = "the-token";

async fn token(State(cloud): State<Shared>, UrlPath(tenant): UrlPath<String>, body: Bytes) -> Response {
    let form: HashMap<String, String> = serde_urlencoded::from_bytes(&body).unwrap();
    let is_right = tenant == "tenant-1" && form["client_id"] == "client-1" && form["client_secret"] == SECRET;
    cloud.lock().unwrap().asked.push(form);
    if !is_right {
        let body = json!({ "error": "invalid_client", "error_description": "AADSTS7000215: Invalid client secret." });
        return (StatusCode::UNAUTHORIZED, axum::Json(body)).into_response();
    }
    axum::Json(json!({ "token_type": "Bearer", "expires_in": 3599, "access_token": TOKEN })).into_response()
}

async fn container(State(cloud): State<Shared>, headers: HeaderMap, uri: Uri) -> Response {
    let mut cloud = cloud.lock().unwrap();
    if headers.get(header::AUTHORIZATION).is_none_or(|value| value != format!("Bearer {TOKEN}").as_str()) {
        cloud.refused += 1;
        return StatusCode::FORBIDDEN.into_response();
    }
    let etag = |bytes: &[u8]| format!("0x{:016X}", bytes.len() as u64 * 31);
    let modified = "Fri, 20 Nov 2026 10:00:00 GMT";
    if uri.query().is_some_and(|query| query.contains("comp=list")) {
        let blobs: String = cloud
            .blobs
            .iter()
            .map(|(name, bytes)| {
                format!(
                    "<Blob><Name>{name}</Name><Properties><Last-Modified>{modified}</Last-Modified>\
                     <Content-Length>{}</Content-Length><Content-Type>text/csv</Content-Type><Etag>{}</Etag>\
                     </Properties></Blob>",
                    bytes.len(),
                    etag(bytes)
                )
            })
            .collect();
        let text = format!(
            "<?xml version=\"1.0\"?><EnumerationResults><Blobs>{blobs}</Blobs><NextMarker/></EnumerationResults>"
        );
        return ([(header::CONTENT_TYPE, "application/xml")], text).into_response();
    }
    let name = uri.path().trim_start_matches("/exports/");
    let Some(bytes) = cloud.blobs.get(name) else { return StatusCode::NOT_FOUND.into_response() };
    let headers = [(header::ETAG, format!("\"{}\"", etag(bytes))), (header::LAST_MODIFIED, modified.to_owned())];
    (headers, bytes.clone()).into_response()
}

async fn cloud() -> (String, Shared) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let shared = Shared::default();
    let router = Router::new()
        .route("/{tenant}/oauth2/v2.0/token", post(token))
        .route("/exports", get(container))
        .route("/exports/{*name}", get(container))
        .with_state(shared.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (address, shared)
}

/// A client secret is exchanged for a token at Entra ID, and the token opens the container; another secret opens
/// nothing and is not repeated.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_client_secret_is_exchanged_for_a_token(pool: PgPool) {
    let home = Home::new();
    let (address, shared) = cloud().await;
    let text = october("1.25");
    let part = "cost/focus/20261001-20261031/r1/part_0_0001.csv";
    let manifest = json!({
        "blobCount": 1,
        "runInfo": { "runId": "r1", "submittedTime": "2026-11-01T01:15:00Z" },
        "blobs": [{ "blobName": part, "byteCount": text.len(), "dataRowCount": 1 }],
    });
    {
        let mut cloud = shared.lock().unwrap();
        cloud.blobs.insert(part.into(), text.into_bytes());
        cloud.blobs.insert("cost/focus/20261001-20261031/r1/manifest.json".into(), manifest.to_string().into_bytes());
    }
    let place = Place {
        bucket: "exports".into(),
        account: "costs".into(),
        endpoint: address.clone(),
        authority: address.clone(),
        prefix: "cost".into(),
        ..Place::default()
    };
    let setting = Setting {
        name: "entra".into(),
        kind: Kind::Azure,
        layout: Layout::AzureExport,
        restatement: Layout::AzureExport.restatements()[0],
        format: None,
        place,
        schedule: None,
        expected_every_hours: None,
        late_bills: LateBills::Hold,
    };
    let application = |secret: &str| Credentials {
        tenant_id: "tenant-1".into(),
        client_id: "client-1".into(),
        client_secret: secret.into(),
        ..Credentials::default()
    };
    assert_eq!((setting.fault(), application(SECRET).fault(Kind::Azure)), (None, None));
    let source_id = home.add(&pool, &setting, &application(SECRET)).await;
    let read = home.read(&pool, source_id).await;
    assert_eq!((read.result.as_str(), read.delivery_ids.len()), ("new", 1), "{read:?}");
    assert_counts(&pool, "entra", 1, "1.25").await;
    {
        let cloud = shared.lock().unwrap();
        assert_eq!(cloud.refused, 0, "nothing is asked of the container without the token");
        let form = &cloud.asked[0];
        assert_eq!(form["grant_type"], "client_credentials");
        assert_eq!(form["scope"], "https://storage.azure.com/.default");
        assert_eq!(form["client_secret"], SECRET);
    }

    let other = Setting { name: "other".into(), ..setting.clone() };
    let source_id = home.add(&pool, &other, &application("wrong-secret")).await;
    let source = source_settings::get(&pool, source_id).await.unwrap().unwrap();
    let error = source_change::test(&home.config, &home.key(), &source).await.unwrap_err();
    assert!(!format!("{error:?}").contains("wrong-secret"), "{error:?}");
    let read = home.read(&pool, source_id).await;
    assert_eq!((read.result.as_str(), read.remedy.is_some()), ("failed", true), "{read:?}");
    assert_eq!(shared.lock().unwrap().refused, 0);

    // The secret stays with the address that it was entered for, and half of an application is none.
    let elsewhere = Place { authority: "https://login.example.com".into(), ..setting.place.clone() };
    assert!(!setting.place.has_same_host(&elsewhere));
    let half = Credentials { client_secret: String::new(), ..application(SECRET) };
    assert!(half.fault(Kind::Azure).unwrap().contains("all three"));
    // An address of a private network is not asked for a token.
    let inside = Place { authority: "http://10.1.2.3".into(), endpoint: String::new(), ..setting.place.clone() };
    let inside = Setting { name: "inside".into(), place: inside, ..setting };
    let source_id = home.add(&pool, &inside, &application(SECRET)).await;
    let source = source_settings::get(&pool, source_id).await.unwrap().unwrap();
    let error = source_change::test(&home.config, &home.key(), &source).await.unwrap_err();
    assert!(error.sentence.contains("10.1.2.3"), "{error:?}");
    assert_clean(&pool).await;
}
