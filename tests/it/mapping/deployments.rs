use super::finance;
use crate::support::{TestApp, count};
use axum::http::StatusCode;
use costwake::store::Role;
use costwake::store::tokens::TokenScope;
use serde_json::{Value, json};
use sqlx::PgPool;

async fn deploy(app: &TestApp, token: &str, body: Value) -> Value {
    let told = app.api("POST", "/api/v1/deployments", token, body).await;
    assert!(told.status.is_success(), "{}", told.body);
    told.json()
}

/// A deployment of several services belongs to each; one that names none is mapped by a rule, later ones too.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn rules_map_deployments_and_map_them_again(pool: PgPool) {
    let app = finance(&pool).await;
    let token = app.token(TokenScope::Ingest, Role::Finance).await;
    let finished = "2026-10-20T10:00:00Z";
    let both = json!({"id": "1", "services": ["checkout", "search"], "environment": "prod", "finished_at": finished});
    assert_eq!(deploy(&app, &token, both).await["services"].as_array().unwrap().len(), 2);
    let unnamed = json!({"id": "2", "repo": "acme/mono", "environment": "prod", "finished_at": finished});
    assert_eq!(deploy(&app, &token, unnamed).await["services"], json!([]));

    let unmapped = app.get("/unmapped?show=deployments").await;
    assert!(unmapped.body.contains("acme/mono") && unmapped.body.contains("One deployment lacks"), "{}", unmapped.body);
    let url = super::link(&unmapped.body, "Make a rule").unwrap().replace("/rules/new?", "/rules/preview?");
    let preview = app.get(&format!("{url}&service=checkout")).await;
    assert!(preview.body.contains("0 kinds of charge and 1 deployment."), "{}", preview.body);
    let fields = super::hidden_fields(&preview.body, "/rules");
    let mut fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    fields.push(("reason", "The monorepo deploys checkout."));
    assert_eq!(app.post_form("/rules", &fields).await.status, StatusCode::SEE_OTHER);
    assert_eq!(count(&pool, "SELECT count(*) FROM deployment_service").await, 3);
    assert!(app.get("/unmapped?show=deployments").await.body.contains("Each deployment has a service"));

    let next = json!({"id": "3", "repo": "acme/mono", "environment": "prod", "finished_at": "2026-10-21T10:00:00Z"});
    assert_eq!(deploy(&app, &token, next).await["services"][0]["slug"], "checkout");
}

/// Of two services that a deployment names, one that nobody knows leaves it unmapped.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_deployment_is_mapped_once_each_of_its_services_is(pool: PgPool) {
    let app = finance(&pool).await;
    let token = app.token(TokenScope::Ingest, Role::Finance).await;
    // Services by name only where the catalogue has them.
    sqlx::query("UPDATE mapping_rule SET adds_to_catalogue = false").execute(&pool).await.unwrap();
    app.post_form("/catalogue/add-service", &[("name", "checkout")]).await;
    app.post_form("/catalogue/add-environment", &[("name", "prod"), ("kind", "production")]).await;
    let body = json!({"id": "1", "services": ["checkout", "serach"], "environment": "prod"});
    let told = deploy(&app, &token, body).await;
    assert_eq!((told["services"].as_array().unwrap().len(), &told["is_mapped"]), (1, &json!(false)));
    let unmapped = app.get("/unmapped?show=deployments").await;
    assert!(unmapped.body.contains("no service named “serach”"), "{}", unmapped.body);
    assert_eq!(app.post_form("/catalogue/add-service", &[("name", "serach")]).await.status, StatusCode::SEE_OTHER);
    let page = app.get("/unmapped?show=deployments").await;
    assert!(page.body.contains("Each deployment has a service"), "{}", page.body);
}
