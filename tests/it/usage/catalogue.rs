//! Descriptions taken into the catalogue, and rules that the catalogue suggests.

use super::shop;
use crate::support::{Page, TestApp, count};
use axum::body::Body;
use axum::http::{Method, StatusCode, header};
use costwake::store::Role;
use costwake::store::tokens::TokenScope;
use serde_json::json;
use sqlx::PgPool;

const BACKSTAGE: &str = "apiVersion: backstage.io/v1alpha1
kind: Component
metadata:
  name: shop
  annotations:
    github.com/project-slug: acme/storefront
    backstage.io/kubernetes-label-selector: app=storefront
spec: {type: service, lifecycle: production, owner: group:default/web, system: retail}
---
apiVersion: backstage.io/v1alpha1
kind: Component
metadata: {name: ledger, title: Ledger}
spec: {type: service, lifecycle: experimental, owner: nobody}
---
apiVersion: backstage.io/v1alpha1
kind: Group
metadata: {name: web}
spec: {type: team, profile: {displayName: Web Team}}
";

async fn look(app: &TestApp, kind: &str, source: &str, text: &str) -> Page {
    let part =
        |name: &str, value: &str| format!("--x\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
    let body = [
        part("kind", kind),
        part("source", source),
        part("repository", "acme/storefront"),
        format!("--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\n{text}\r\n--x--\r\n"),
    ];
    let request = app
        .request(Method::POST, "/catalogue/import")
        .header("sec-fetch-site", "same-origin")
        .header(header::CONTENT_TYPE, "multipart/form-data; boundary=x");
    app.send(request.body(Body::from(body.concat())).unwrap()).await
}

async fn take_in(app: &TestApp, kind: &str, source: &str, text: &str) {
    let fields = [("kind", kind), ("source", source), ("repository", "acme/storefront"), ("text", text)];
    let taken = app.post_form("/catalogue/import/take-in", &fields).await;
    assert_eq!(taken.status, StatusCode::SEE_OTHER, "{}", taken.body);
}

/// A look writes nothing; taken in, services, teams and rules are there, and the same file again changes nothing.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_description_is_looked_at_and_taken_in(pool: PgPool) {
    let app = shop(&pool).await;
    let seen = look(&app, "backstage", "catalog-info.yaml", BACKSTAGE).await;
    assert_eq!(seen.status, StatusCode::OK, "{}", seen.body);
    for part in [
        "Add the team Web Team",
        "Change shop: team web; product retail; repositories acme/storefront",
        "Add a rule: repo is acme/storefront is shop",
        "Add a rule: tag:app is storefront is shop",
        "Add the service Ledger",
        "Ledger is owned by nobody, which is no team here",
    ] {
        assert!(seen.body.contains(part), "{part}: {}", seen.body);
    }
    assert_eq!(count(&pool, "SELECT count(*) FROM team").await, 0, "a look writes nothing");
    take_in(&app, "backstage", "catalog-info.yaml", BACKSTAGE).await;
    let owned = "SELECT count(*) FROM service s JOIN team t USING (team_id) WHERE s.slug = 'shop' AND t.slug = 'web'";
    assert_eq!(count(&pool, owned).await, 1);
    assert_eq!(count(&pool, "SELECT count(*) FROM mapping_rule WHERE service_id IS NOT NULL").await, 2);
    assert_eq!(
        count(&pool, "SELECT count(*) FROM mapping_rule_version WHERE reason LIKE 'catalog-info.yaml says%'").await,
        2
    );
    let again = look(&app, "backstage", "catalog-info.yaml", BACKSTAGE).await;
    assert!(again.body.contains("Nothing would change"), "{}", again.body);
    let page = app.get("/services/shop?period=2026-10-29..2026-10-31").await;
    assert!(page.body.contains("Product retail") && page.body.contains("acme/storefront"), "{}", page.body);
    // Another description does not take back what stands; a file that is none is refused with a sentence.
    let other = look(&app, "table", "list.csv", "service,team,product\nshop,Web,Other\n").await;
    assert!(other.body.contains("shop, product: retail here, Other there"), "{}", other.body);
    let wrong = look(&app, "backstage", "x", "a: [").await;
    assert!(wrong.status == StatusCode::BAD_REQUEST && wrong.body.contains("not readable as YAML"), "{}", wrong.body);
    let gone = look(&app, "backstage", "catalog-info.yaml", BACKSTAGE.split("---").next().unwrap()).await;
    assert!(gone.body.contains("Ledger came from catalog-info.yaml and is not in it any more"), "{}", gone.body);
}

/// Owners of a repository are hints: they fill what is empty, and change nothing that a person said.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn code_owners_are_hints(pool: PgPool) {
    let app = shop(&pool).await;
    sqlx::query("INSERT INTO team (slug, name) VALUES ('web', 'Web'), ('data', 'Data')").execute(&pool).await.unwrap();
    sqlx::query("UPDATE service SET team_id = (SELECT team_id FROM team WHERE slug = 'data') WHERE slug = 'search'")
        .execute(&pool)
        .await
        .unwrap();
    // GitLab's group without a slash, and the first of two.
    let text = "/services/shop/ @web @acme/data\n/services/search/ @acme/web\n/docs/ @acme/web\n";
    let seen = look(&app, "codeowners", "CODEOWNERS", text).await;
    for part in [
        "Change shop: team web",
        "search, team: data here, web there",
        "/docs/ is of no service",
        "/services/shop/ names 2 teams: the first, web, is taken",
    ] {
        assert!(seen.body.contains(part), "{part}: {}", seen.body);
    }
    take_in(&app, "codeowners", "CODEOWNERS", text).await;
    let owned = "SELECT count(*) FROM service s JOIN team t USING (team_id) WHERE (s.slug, t.slug) IN (('shop', 'web'), ('search', 'data'))";
    assert_eq!(count(&pool, owned).await, 2);
}

// Presses the button of the only rule that a page suggests. Returns the page that it leads to.
async fn accept(app: &TestApp, body: &str) -> String {
    let document = scraper::Html::parse_document(body);
    let inputs = scraper::Selector::parse("form[action='/rules'] input[type='hidden']").unwrap();
    let fields: Vec<(String, String)> = document
        .select(&inputs)
        .map(|input| (input.attr("name").unwrap().to_owned(), input.attr("value").unwrap().to_owned()))
        .collect();
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let accepted = app.post_form("/rules", &fields).await;
    assert_eq!(accepted.status, StatusCode::SEE_OTHER, "{}", accepted.body);
    app.get(accepted.location().split('#').next().unwrap()).await.body
}

/// What is unmapped comes with the rule that the catalogue suggests; the button makes it one, and the page after it says
/// what that took and what undoes it.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_suggested_rule_is_accepted_by_its_button(pool: PgPool) {
    let app = shop(&pool).await;
    take_in(&app, "table", "list.csv", "service,repositories\nshop,acme/storefront\n").await;
    // The rule of the table is taken away: the catalogue still knows whose the repository is.
    sqlx::query("DELETE FROM mapping_rule WHERE service_id IS NOT NULL").execute(&pool).await.unwrap();
    let token = app.token(TokenScope::Ingest, Role::Viewer).await;
    let body = json!({ "repo": "acme/storefront", "environment": "production", "version": "1", "status": "succeeded",
        "finished_at": "2026-10-30T10:00:00Z" });
    let made = app.api("POST", "/api/v1/deployments", &token, body).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    let page = app.get("/unmapped?show=deployments").await;
    assert!(
        page.body.contains("It is shop") && page.body.contains("only service&#39;s repository")
            || page.body.contains("only service's repository"),
        "{}",
        page.body
    );
    let rules = accept(&app, &page.body).await;
    assert_eq!(count(&pool, "SELECT count(*) FROM deployment_service").await, 1);
    let rule_id = count(&pool, "SELECT max(mapping_rule_id) FROM mapping_rule").await;
    let undo = format!("<a class=\"btn\" href=\"/rules/{rule_id}/change?to=delete\">Undo it: delete the rule</a>");
    for text in ["is saved: 1 deployment is shop&#39;s now.", undo.as_str()] {
        assert!(rules.contains(text), "{text}: {rules}");
    }
    for unsaved in ["/rules", "/rules?saved=0", "/rules?saved=x"] {
        let page = app.get(unsaved).await;
        assert!(page.status == StatusCode::OK && !page.body.contains("is saved"), "{unsaved}: {}", page.body);
    }
    assert_eq!(
        count(&pool, "SELECT count(*) FROM mapping_rule_version WHERE reason LIKE 'Suggested and accepted.%'").await,
        1
    );
}

/// Deployments, pipelines and operational events that call their service like one of the catalogue suggest it.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn what_senders_call_a_service_suggests_it(pool: PgPool) {
    let app = shop(&pool).await;
    let token = app.token(TokenScope::Ingest, Role::Viewer).await;
    let body = json!({ "repo": "acme/mono", "environment": "production", "version": "1", "status": "succeeded",
        "attributes": { "app": "Shop", "stage": "search" }, "finished_at": "2026-10-30T10:00:00Z" });
    let made = app.api("POST", "/api/v1/deployments", &token, body).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    let told = "INSERT INTO event_delivery (event_source_id, dedupe_key, event_name, headers, body, body_sha256,
                    received_at, state)
                SELECT min(event_source_id), 'told', 'told', '{}', '', '', now(), 'done' FROM event_source
                RETURNING event_delivery_id";
    let delivery: i64 = sqlx::query_scalar(told).fetch_one(&pool).await.unwrap();
    let incident = "INSERT INTO operational_event (event_source_id, external_id, kind, status, title, started_at,
                        time_is_received, service_raw)
                    SELECT event_source_id, 'P1', 'incident', 'triggered', 'Orders fail', now(), false, '{Shop (24x7)}'
                    FROM event_delivery WHERE event_delivery_id = $1";
    sqlx::query(incident).bind(delivery).execute(&pool).await.unwrap();
    let run =
        "INSERT INTO pipeline_run (event_source_id, external_id, run_id, attempt, repo, name, status, finished_at,
                   event_delivery_id, received_at, status_rank, facts)
               SELECT event_source_id, r.id, r.id, 1, 'acme/mono', 'Deploy shop', 'succeeded', now(), event_delivery_id,
                   now(), 4, '{\"kind\": \"pipeline_run\", \"pipeline\": \"Deploy shop\"}'::jsonb
               FROM event_delivery CROSS JOIN (VALUES ('1')) r (id) WHERE event_delivery_id = $1";
    sqlx::query(run).bind(delivery).execute(&pool).await.unwrap();
    for (show, evidence) in [
        ("deployments", "The app is called like the service: Shop."),
        ("pipelines", "The pipeline is called like the service: Deploy shop."),
        ("events", "name for it is like that of the service: Shop (24x7)."),
    ] {
        let page = app.get(&format!("/unmapped?show={show}")).await;
        assert!(page.body.contains("It is shop") && page.body.contains(evidence), "{show}: {}", page.body);
        accept(&app, &page.body).await;
        let page = app.get(&format!("/unmapped?show={show}")).await;
        assert!(!page.body.contains("It is shop"), "{show}: accepted once is enough: {}", page.body);
    }
    assert_eq!(count(&pool, "SELECT count(*) FROM deployment_service").await, 1);
    assert_eq!(count(&pool, "SELECT count(*) FROM operational_event_service").await, 1);
}
