//! Descriptions of services that are fetched every night.

use super::{ingest, shop};
use crate::event_reads::fake::{FakeApi, TOKEN};
use crate::support::{self, TestApp, count};
use axum::http::StatusCode;
use chrono::Utc;
use costwake::jobs::{Worker, ask_for_due_refreshes};
use costwake::store::Role;
use costwake::store::jobs::Lane;
use costwake::store::tokens::TokenScope;
use serde_json::{Value, json};
use sqlx::PgPool;
use std::path::Path;
use tokio_util::sync::CancellationToken;

/// JSON is YAML too.
fn component(name: &str, lifecycle: &str) -> Value {
    json!({ "apiVersion": "backstage.io/v1alpha1", "kind": "Component", "metadata": { "name": name },
            "spec": { "type": "service", "lifecycle": lifecycle, "owner": "group:default/web" } })
}

async fn fetch(pool: &PgPool, folder: &Path, networks: &str) {
    sqlx::query("UPDATE catalogue_source SET next_read_at = now() - interval '1 minute'").execute(pool).await.unwrap();
    assert_eq!(ask_for_due_refreshes(&support::pools(pool), Utc::now()).await.unwrap(), 1);
    assert_eq!(ask_for_due_refreshes(&support::pools(pool), Utc::now()).await.unwrap(), 0, "once a night");
    let arguments = ["--data-dir", folder.to_str().unwrap(), "--outgoing-networks", networks];
    let (config, stop) = (support::config(&arguments), CancellationToken::new());
    let worker = Worker { pools: support::pools(pool), config, lane: Lane::Others, stop };
    while worker.take_one().await.unwrap() {}
}

async fn page(app: &TestApp) -> String {
    let page = app.get("/catalogue/import").await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(!page.body.contains(TOKEN));
    page.body
}

/// What is new is taken in, the same again is not modified, what a person said stands and is listed beside what the
/// description says, and what is gone stays and is listed.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_description_is_fetched_every_night(pool: PgPool) {
    let folder = tempfile::tempdir().unwrap();
    let mut app = shop(&pool).await;
    let config = std::sync::Arc::new(support::config(&["--data-dir", folder.path().to_str().unwrap()]));
    app.state = app.state.with(|parts| parts.config = config);
    app.router = costwake::web::router(app.state.clone());
    let admin = app.browser(Role::Admin, true, &[]).await;
    let api = FakeApi::start().await;
    let address = format!("{}/catalog-info.yaml", api.address);
    for (address, sentence) in [
        ("catalog-info.yaml", "Write where the file is"),
        ("https://me:secret@wiki.example.com/x", "Leave name and password out"),
    ] {
        let fields = [("kind", "backstage"), ("name", "acme"), ("address", address), ("token", "x")];
        let refused = admin.post_form("/catalogue/refreshes", &fields).await;
        assert!(refused.status == StatusCode::BAD_REQUEST && refused.body.contains(sentence), "{}", refused.body);
    }
    let fields = [("kind", "backstage"), ("name", "acme"), ("address", address.as_str()), ("token", TOKEN)];
    let added = admin.post_form("/catalogue/refreshes", &fields).await;
    assert_eq!(added.status, StatusCode::SEE_OTHER, "{}", added.body);
    assert_eq!(admin.post_form("/catalogue/refreshes", &fields).await.status, StatusCode::CONFLICT);
    let of_person = app.post_form("/catalogue/refreshes", &fields).await;
    assert_eq!(of_person.status, StatusCode::FORBIDDEN, "only an administrator lets the server ask an address");

    api.put("/catalog-info.yaml", component("ledger", "experimental"));
    fetch(&pool, folder.path(), "").await;
    assert!(page(&admin).await.contains("COSTWAKE_OUTGOING_NETWORKS"));
    assert!(api.taken().is_empty(), "nobody dialled");
    fetch(&pool, folder.path(), "127.0.0.0/8").await;
    assert_eq!(count(&pool, "SELECT count(*) FROM service WHERE slug = 'ledger'").await, 1, "{}", page(&admin).await);
    assert!(page(&admin).await.contains("which is no team here"));
    fetch(&pool, folder.path(), "127.0.0.0/8").await;
    assert_eq!(api.taken().iter().map(|(.., status)| *status).collect::<Vec<_>>(), [200, 304]);
    // A person says otherwise: it stands, and both are listed.
    let fields = [("name", "ledger"), ("slug", "ledger"), ("lifecycle", "deprecated"), ("product", "Books")];
    assert_eq!(app.post_form("/catalogue/services/ledger", &fields).await.status, StatusCode::SEE_OTHER);
    api.put("/catalog-info.yaml", component("ledger", "production"));
    fetch(&pool, folder.path(), "127.0.0.0/8").await;
    assert_eq!(count(&pool, "SELECT count(*) FROM service WHERE lifecycle = 'deprecated'").await, 1);
    assert!(
        page(&admin).await.contains("ledger, lifecycle: deprecated here, production there"),
        "{}",
        page(&admin).await
    );
    // What is not readable changes nothing; what is gone is listed and stays.
    api.put("/catalog-info.yaml", component("books", "production"));
    fetch(&pool, folder.path(), "127.0.0.0/8").await;
    api.put("/catalog-info.yaml", component("other", "production"));
    fetch(&pool, folder.path(), "127.0.0.0/8").await;
    assert!(page(&admin).await.contains("books came from acme and is not in it any more."), "{}", page(&admin).await);
    api.refuse("/catalog-info.yaml", StatusCode::NOT_FOUND);
    fetch(&pool, folder.path(), "127.0.0.0/8").await;
    assert!(page(&admin).await.contains("the file is not there"));
    assert_eq!(count(&pool, "SELECT count(*) FROM service WHERE slug IN ('ledger', 'books', 'other')").await, 3);
    let id = count(&pool, "SELECT catalogue_source_id FROM catalogue_source").await;
    assert_eq!(admin.post_form(&format!("/catalogue/refreshes/{id}/now"), &[]).await.status, StatusCode::SEE_OTHER);
    assert_eq!(admin.post_form(&format!("/catalogue/refreshes/{id}/remove"), &[]).await.status, StatusCode::SEE_OTHER);
    assert_eq!(count(&pool, "SELECT count(*) FROM catalogue_source").await, 0);
}

/// A service that a person added or changed without details is theirs too, whatever a description fills in; and one that a
/// description made follows that one, whatever another fills in.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn who_fills_in_takes_nothing_over(pool: PgPool) {
    let folder = tempfile::tempdir().unwrap();
    let mut app = shop(&pool).await;
    let config = std::sync::Arc::new(support::config(&["--data-dir", folder.path().to_str().unwrap()]));
    app.state = app.state.with(|parts| parts.config = config);
    app.router = costwake::web::router(app.state.clone());
    let admin = app.browser(Role::Admin, true, &[]).await;
    let teams = "INSERT INTO team (slug, name) VALUES ('data', 'Data'), ('retail', 'Retail'), ('web', 'Web')";
    sqlx::query(teams).execute(&pool).await.unwrap();
    let added = app.post_form("/catalogue/add-service", &[("name", "ledger"), ("team", "data")]).await;
    assert_eq!(added.status, StatusCode::SEE_OTHER, "{}", added.body);
    let fields = [("name", "search"), ("slug", "search"), ("lifecycle", "production"), ("team", "data")];
    let changed = app.post_form("/catalogue/services/search", &fields).await;
    assert_eq!(changed.status, StatusCode::SEE_OTHER, "{}", changed.body);

    let api = FakeApi::start().await;
    let address = format!("{}/catalog-info.yaml", api.address);
    let fields = [("kind", "backstage"), ("name", "acme"), ("address", address.as_str()), ("token", TOKEN)];
    assert_eq!(admin.post_form("/catalogue/refreshes", &fields).await.status, StatusCode::SEE_OTHER);
    let owned_by = |owner: &str| {
        let of = |name: &str| {
            let mut described = component(name, "production");
            described["metadata"]["annotations"] = json!({ "github.com/project-slug": format!("acme/{name}") });
            described["spec"]["owner"] = json!(owner);
            described
        };
        api.put("/catalog-info.yaml", json!([of("ledger"), of("search"), of("shop")]));
    };
    let owners = || async {
        let owners = "SELECT s.slug || ' ' || t.slug FROM service s JOIN team t USING (team_id) ORDER BY 1";
        sqlx::query_scalar::<_, String>(owners).fetch_all(&pool).await.unwrap()
    };
    for (owner, shop) in [("web", "shop web"), ("retail", "shop retail")] {
        owned_by(owner);
        fetch(&pool, folder.path(), "127.0.0.0/8").await;
        assert_eq!(owners().await, ["ledger data", "search data", shop]);
        let filled = "SELECT count(*) FROM service_detail WHERE repositories <> '{}'";
        assert_eq!(count(&pool, filled).await, 3, "{}", page(&admin).await);
    }
    let conflict = "ledger, team: data here, retail there";
    assert!(page(&admin).await.contains(conflict), "{}", page(&admin).await);
    let table = "service,product\nshop,Storefront\n";
    let fields = [("kind", "table"), ("source", "list.csv"), ("repository", ""), ("text", table)];
    let taken = app.post_form("/catalogue/import/take-in", &fields).await;
    assert_eq!(taken.status, StatusCode::SEE_OTHER, "{}", taken.body);
    owned_by("web");
    fetch(&pool, folder.path(), "127.0.0.0/8").await;
    assert_eq!(owners().await, ["ledger data", "search data", "shop web"]);
}

/// A rule that the description says no longer goes on deciding, and is listed with a button that takes it away; what a
/// person changed is theirs.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn rules_that_are_described_no_longer_are_listed_and_removed(pool: PgPool) {
    let folder = tempfile::tempdir().unwrap();
    let mut app = shop(&pool).await;
    let config = std::sync::Arc::new(support::config(&["--data-dir", folder.path().to_str().unwrap()]));
    app.state = app.state.with(|parts| parts.config = config);
    app.router = costwake::web::router(app.state.clone());
    let admin = app.browser(Role::Admin, true, &[]).await;
    let api = FakeApi::start().await;
    let address = format!("{}/catalog-info.yaml", api.address);
    let fields = [("kind", "backstage"), ("name", "acme"), ("address", address.as_str()), ("token", TOKEN)];
    assert_eq!(admin.post_form("/catalogue/refreshes", &fields).await.status, StatusCode::SEE_OTHER);
    let annotated = |annotations: Value| {
        let mut described = component("ledger", "production");
        described["metadata"]["annotations"] = annotations;
        api.put("/catalog-info.yaml", described);
    };
    let rules = "SELECT count(*) FROM mapping_rule WHERE described_by = 'acme'";

    annotated(json!({ "github.com/project-slug": "acme/old", "argocd/app-name": "ledger-prod" }));
    fetch(&pool, folder.path(), "127.0.0.0/8").await;
    assert_eq!(count(&pool, rules).await, 2);
    assert!(!page(&admin).await.contains("says no longer"));
    // One is another now, and one is gone.
    annotated(json!({ "github.com/project-slug": "acme/new" }));
    fetch(&pool, folder.path(), "127.0.0.0/8").await;
    assert_eq!(count(&pool, rules).await, 3, "nothing is deleted by itself");
    let listed = page(&admin).await;
    assert!(listed.contains("acme/old") && listed.contains("ledger-prod"), "{listed}");
    assert!(listed.contains("Remove these 2 rules") && !listed.contains("acme/new"), "{listed}");
    // What a person changed is no longer the description's.
    sqlx::query("UPDATE mapping_rule SET described_by = NULL WHERE conditions::text LIKE '%ledger-prod%'")
        .execute(&pool)
        .await
        .unwrap();
    let listed = page(&admin).await;
    assert!(listed.contains("Remove this rule") && !listed.contains("ledger-prod"), "{listed}");
    let id = count(&pool, "SELECT catalogue_source_id FROM catalogue_source").await;
    let old = "SELECT coalesce(max(mapping_rule_id), 0) FROM mapping_rule WHERE conditions::text LIKE '%acme/old%'";
    let path = format!("/catalogue/refreshes/{id}/remove-rules");
    let wanted = count(&pool, old).await.to_string();
    let new = count(&pool, "SELECT mapping_rule_id FROM mapping_rule WHERE conditions::text LIKE '%acme/new%'").await;
    let refused = app.post_form(&path, &[("rules", new.to_string().as_str())]).await;
    assert_eq!(refused.status, StatusCode::CONFLICT, "it is described");
    let removed = app.post_form(&path, &[("rules", wanted.as_str())]).await;
    assert_eq!(removed.status, StatusCode::SEE_OTHER, "{}", removed.body);
    assert_eq!((count(&pool, old).await, count(&pool, rules).await), (0, 1));
    assert!(!page(&admin).await.contains("says no longer"));
    let why = "SELECT count(*) FROM mapping_rule_version WHERE action = 'deleted' AND reason LIKE 'acme does not say%'";
    assert_eq!(count(&pool, why).await, 1);
}

/// Argo CD calls a service what a label says, or like the application. An annotation with the application's name knows
/// better: its deployments are the component's, and no service is added for them.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn an_annotation_of_an_application_is_asked_before_the_name_it_goes_by(pool: PgPool) {
    let app = shop(&pool).await;
    let admin = app.browser(Role::Admin, true, &[]).await;
    let mut described = component("ledger", "production");
    described["metadata"]["annotations"] = json!({ "argocd/app-name": "ledger-prod" });
    let text = described.to_string();
    let fields =
        [("kind", "backstage"), ("source", "acme"), ("repository", ""), ("takes_theirs", ""), ("text", text.as_str())];
    let taken = admin.post_form("/catalogue/import/take-in", &fields).await;
    assert_eq!(taken.status, StatusCode::SEE_OTHER, "{}", taken.body);
    let token = ingest(&app).await;
    for (application, service) in [("ledger-prod", "ledger"), ("prices", "prices")] {
        let body = json!({ "service": application, "environment": "production", "version": "1",
                           "attributes": { "app": application } });
        let told = app.api("POST", "/api/v1/deployments", &token, body).await;
        assert_eq!(told.status, StatusCode::CREATED, "{}", told.body);
        assert_eq!(told.json()["services"][0]["slug"], service, "{}", told.body);
    }
    assert_eq!(count(&pool, "SELECT count(*) FROM service WHERE slug = 'ledger-prod'").await, 0);
}

/// What the page does, programs do: set, list, change, fetch at once and forget. The token never shows.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn programs_set_what_is_fetched(pool: PgPool) {
    let folder = tempfile::tempdir().unwrap();
    let mut app = shop(&pool).await;
    let config = std::sync::Arc::new(support::config(&["--data-dir", folder.path().to_str().unwrap()]));
    app.state = app.state.with(|parts| parts.config = config);
    app.router = costwake::web::router(app.state.clone());
    let api = FakeApi::start().await;
    let address = format!("{}/catalog-info.yaml", api.address);
    let token = app.token(TokenScope::Admin, Role::Admin).await;
    let path = "/api/v1/catalogue-refreshes/acme";
    let set = async |body: Value| app.api("PUT", path, &token, body).await;
    let refused = set(json!({ "kind": "backstage", "address": "ftp://x" })).await;
    assert!(
        refused.status == StatusCode::UNPROCESSABLE_ENTITY && refused.body.contains("Write where"),
        "{}",
        refused.body
    );
    let new = set(json!({ "kind": "backstage", "address": address, "token": "wrong" })).await;
    assert_eq!(new.status, StatusCode::CREATED, "{}", new.body);
    let list = async || {
        let listed = app.api("GET", "/api/v1/catalogue-refreshes", &token, Value::Null).await;
        assert!(!listed.body.contains(TOKEN) && !listed.body.contains("sealed"), "{}", listed.body);
        listed.json()
    };
    api.put("/catalog-info.yaml", component("ledger", "experimental"));
    fetch(&pool, folder.path(), "127.0.0.0/8").await;
    assert!(list().await[0]["last_error"].as_str().unwrap().contains("401"), "{}", list().await);
    // Another token; the next change keeps it.
    for body in [
        json!({ "kind": "backstage", "address": address, "token": TOKEN }),
        json!({ "kind": "backstage", "address": address }),
    ] {
        let changed = set(body).await;
        assert_eq!(changed.status, StatusCode::NO_CONTENT, "{}", changed.body);
        fetch(&pool, folder.path(), "127.0.0.0/8").await;
        assert_eq!((&list().await[0]["last_error"], &list().await[0]["has_token"]), (&Value::Null, &json!(true)));
    }
    assert_eq!(count(&pool, "SELECT count(*) FROM service WHERE slug = 'ledger'").await, 1);
    let now = app.api("POST", &format!("{path}/now"), &token, Value::Null).await;
    assert_eq!(now.status, StatusCode::ACCEPTED, "{}", now.body);
    assert_eq!(
        count(&pool, "SELECT count(*) FROM job WHERE kind = 'refresh_catalogue' AND state = 'waiting'").await,
        1
    );
    for status in [StatusCode::NO_CONTENT, StatusCode::NOT_FOUND] {
        assert_eq!(app.api("DELETE", path, &token, Value::Null).await.status, status);
    }
    let finance = app.token(TokenScope::Admin, Role::Finance).await;
    let of_person = app.api("PUT", path, &finance, json!({ "kind": "backstage", "address": address })).await;
    assert_eq!(of_person.status, StatusCode::FORBIDDEN, "only an administrator lets the server ask an address");
}
