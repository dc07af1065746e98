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

/// A pinned match shows its rule, stays whatever rules say, and goes on with the rules once it is let go.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_pinned_match_does_not_move(pool: PgPool) {
    let app = finance(&pool).await;
    let token = app.token(TokenScope::Ingest, Role::Finance).await;
    deploy(&app, &token, json!({"id": "1", "service": "checkout", "environment": "prod"})).await;
    let id = count(&pool, "SELECT deployment_id FROM deployment").await;
    let page = app.get(&format!("/deployments/{id}")).await;
    for text in ["How it was matched", "A deployment that names its service belongs to it.", "Pin this match"] {
        assert!(page.body.contains(text), "{text}: {}", page.body);
    }
    let pinned = app.post_form(&format!("/deployments/{id}/pin"), &[]).await;
    assert_eq!(pinned.status, StatusCode::SEE_OTHER, "{}", pinned.body);
    let viewer = app.browser(Role::Viewer, false, &[]).await;
    let page = viewer.get(&format!("/deployments/{id}")).await;
    assert!(page.body.contains("Pinned by") && !page.body.contains("Let rules decide again"), "{}", page.body);
    sqlx::query("DELETE FROM mapping_rule WHERE service_from_attribute = 'service'").execute(&pool).await.unwrap();
    app.post_form("/catalogue/add-service", &[("name", "another")]).await;
    assert_eq!(count(&pool, "SELECT count(*) FROM deployment_service").await, 1);
    // What is told of it later does not move it either.
    let told = json!({"status": "succeeded", "finished_at": "2026-10-20T10:00:00Z"});
    let later = app.api("PATCH", "/api/v1/deployments/1", &token, told).await;
    assert!(later.status.is_success(), "{}", later.body);
    assert_eq!(count(&pool, "SELECT count(*) FROM deployment_service").await, 1);
    let gone = app.get(&format!("/deployments/{id}")).await;
    assert!(gone.body.contains("which is gone by now"), "{}", gone.body);
    assert_eq!(app.post_form(&format!("/deployments/{id}/unpin"), &[]).await.status, StatusCode::SEE_OTHER);
    assert_eq!(count(&pool, "SELECT count(*) FROM deployment_service").await, 0);
    assert_eq!(count(&pool, "SELECT count(*) FROM audit_log WHERE action LIKE 'deployment.%pinned'").await, 2);
    // None of it moved cost, so nothing of it is told beside figures that changed.
    assert!(count(&pool, "SELECT count(*) FROM publication WHERE kind = 'catalogue'").await >= 2);
    assert_eq!(count(&pool, "SELECT count(*) FROM publication WHERE kind = 'remap'").await, 0);
    // Programs pin, list and let go too.
    let token = app.token(TokenScope::Admin, Role::Finance).await;
    let nothing = serde_json::Value::Null;
    for (body, said) in [
        (json!({"services": ["payments"]}), "There is no service “payments”. Add it to the catalogue first."),
        (json!({"services": ["another"], "environment": "nowhere"}), "There is no environment “nowhere”."),
        (json!({"services": []}), "this deployment has none to keep: say which service it is of"),
        (json!({"service": "another"}), "The body does not fit"),
        (nothing.clone(), "say which service it is of"),
    ] {
        let refused = app.api("PUT", "/api/v1/deployments/id:1/pin", &token, body.clone()).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{body}: {}", refused.body);
        assert!(refused.json()["error"].as_str().unwrap().contains(said), "{body}: {}", refused.body);
    }
    assert_eq!(app.api("GET", "/api/v1/deployment-pins", &token, nothing.clone()).await.json(), json!([]));
    let pinned = app.api("PUT", "/api/v1/deployments/id:1/pin", &token, json!({"services": ["another"]})).await;
    assert_eq!((pinned.status, pinned.json()["has_changed"].clone()), (StatusCode::OK, json!(true)), "{}", pinned.body);
    let again = app.api("PUT", &format!("/api/v1/deployments/{id}/pin"), &token, nothing.clone()).await;
    assert_eq!(again.json()["has_changed"], json!(false), "{}", again.body);
    let listed = app.api("GET", "/api/v1/deployment-pins", &token, nothing.clone()).await.json();
    assert_eq!(
        (&listed[0]["id"], &listed[0]["services"], &listed[0]["environment"], listed.as_array().unwrap().len()),
        (&json!("1"), &json!(["another"]), &json!("prod"), 1)
    );
    let freed = app.api("DELETE", "/api/v1/deployments/id:1/pin", &token, nothing.clone()).await;
    assert_eq!((freed.status, freed.json()["is_pinned"].clone()), (StatusCode::OK, json!(false)), "{}", freed.body);
    let none = app.api("GET", "/api/v1/deployment-pins", &token, nothing.clone()).await.json();
    assert_eq!(none, json!([]));
    let absent = app.api("PUT", "/api/v1/deployments/id:nobody/pin", &token, nothing).await;
    assert_eq!(absent.status, StatusCode::NOT_FOUND);
}

// `checkout in staging`, of all deployments.
async fn places(pool: &PgPool) -> Vec<String> {
    sqlx::query_scalar(
        "SELECT concat_ws(' in ', (SELECT string_agg(v.slug, ' and ' ORDER BY v.slug)
                                   FROM deployment_service ds JOIN service v USING (service_id)
                                   WHERE ds.deployment_id = d.deployment_id), e.slug)
         FROM deployment d LEFT JOIN environment e USING (environment_id) ORDER BY d.deployment_id",
    )
    .fetch_all(pool)
    .await
    .unwrap()
}

/// A deployment that no rule gives to a service is pinned to one that somebody chooses, never to none, and is judged
/// beside its neighbors there. The pin ends with that service.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_deployment_without_a_service_is_pinned_to_one(pool: PgPool) {
    let app = finance(&pool).await;
    let token = app.token(TokenScope::Ingest, Role::Finance).await;
    app.post_form("/catalogue/add-service", &[("name", "shop")]).await;
    app.post_form("/catalogue/add-environment", &[("name", "staging"), ("kind", "staging")]).await;
    let told = |id: &str, more: Value| {
        let mut body = json!({"id": id, "version": "1", "status": "succeeded"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let before = json!({"service": "shop", "environment": "staging", "finished_at": "2026-10-19T10:00:00Z"});
    deploy(&app, &token, told("0", before)).await;
    let unnamed = json!({"repo": "acme/mono", "environment": "prod", "finished_at": "2026-10-20T10:00:00Z"});
    deploy(&app, &token, told("1", unnamed)).await;
    let id = count(&pool, "SELECT max(deployment_id) FROM deployment").await;
    let path = format!("/deployments/{id}");
    let page = app.get(&path).await.body;
    for text in [
        "<label for=\"pin-service\">It is of</label>",
        "<option value=\"shop\">shop</option>",
        "<option value=\"prod\" selected>prod</option>",
        "no environment",
    ] {
        assert!(page.contains(text), "{text}: {page}");
    }
    assert!(!page.contains("Pin this match"), "there is none: {page}");
    let refused = app.post_form(&format!("{path}/pin"), &[]).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{}", refused.body);
    assert!(refused.body.contains("say which service it is of"), "{}", refused.body);
    assert_eq!(count(&pool, "SELECT count(*) FROM deployment_pin").await, 0);

    let fields = [("service", "shop"), ("environment", "staging")];
    let pinned = app.post_form(&format!("{path}/pin"), &fields).await;
    assert_eq!((pinned.status, pinned.location()), (StatusCode::SEE_OTHER, format!("{path}#h-match").as_str()));
    assert_eq!(places(&pool).await, ["shop in staging", "shop in staging"]);
    // The version was live there before.
    assert_eq!(count(&pool, "SELECT count(*) FROM deployment_service WHERE is_noop").await, 1);
    let page = app.get(&path).await.body;
    for text in ["Pinned by", "No rule decided this.", "Let rules decide again"] {
        assert!(page.contains(text), "{text}: {page}");
    }
    assert!(app.get("/unmapped?show=deployments").await.body.contains("Each deployment has a service"));
    let details: Value = sqlx::query_scalar("SELECT details FROM audit_log WHERE action = 'deployment.pinned'")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(details, json!({"services": ["shop"], "environment": "staging"}));
    // Rules that are asked again leave it there, and so does saying the same once more.
    app.post_form("/catalogue/add-service", &[("name", "another")]).await;
    app.post_form(&format!("{path}/pin"), &fields).await;
    assert_eq!(places(&pool).await, ["shop in staging", "shop in staging"]);
    assert_eq!(count(&pool, "SELECT count(*) FROM audit_log WHERE action = 'deployment.pinned'").await, 1);

    app.post_form(&format!("{path}/pin"), &[("service", "another"), ("environment", "")]).await;
    assert_eq!(places(&pool).await, ["shop in staging", "another"]);
    let deleted = app.post_form("/catalogue/services/another/delete", &[]).await;
    assert_eq!(deleted.status, StatusCode::SEE_OTHER, "{}", deleted.body);
    assert_eq!(places(&pool).await, ["shop in staging", "prod"], "rules decide again");
    assert_eq!(count(&pool, "SELECT count(*) FROM deployment_pin").await, 0);
}

/// What is pinned to nothing, as older installations could, is listed as pinned with the way to unpin it, and the preview
/// of a rule tells what pins keep from it.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_pin_to_nothing_is_told_where_rules_are_made(pool: PgPool) {
    let app = finance(&pool).await;
    let token = app.token(TokenScope::Ingest, Role::Finance).await;
    app.post_form("/catalogue/add-service", &[("name", "shop")]).await;
    let told = |id: &str| json!({"id": id, "repo": "acme/mono", "environment": "prod"});
    deploy(&app, &token, told("1")).await;
    let pin = "INSERT INTO deployment_pin (deployment_id, pinned_by, pinned_at)
               SELECT deployment_id, 'ann', '2026-10-20T10:00:00Z' FROM deployment";
    sqlx::query(pin).execute(&pool).await.unwrap();
    let id = count(&pool, "SELECT deployment_id FROM deployment").await;
    let list = app.get("/unmapped?show=deployments").await.body;
    let unpin = format!("action=\"/deployments/{id}/unpin\"");
    for text in ["pinned by ann: rules do not move it", unpin.as_str(), "Let rules decide again"] {
        assert!(list.contains(text), "{text}: {list}");
    }
    assert!(!list.contains("Make a rule") && !list.contains("no rule matches"), "{list}");
    assert!(app.get("/unmapped/deployments.csv").await.body.contains("pinned by ann"));
    assert!(app.get(&format!("/deployments/{id}")).await.body.contains("It is pinned to no service"));
    let rule = "/rules/preview?applies_to=deployments&attribute=repo&operator=equals&value=acme%2Fmono&service=shop\
                &place=last";
    let preview = app.get(rule).await.body;
    for text in
        ["It would take nothing. But for their pins it would take 1 deployment.", "Rules do not move what is pinned"]
    {
        assert!(preview.contains(text), "{text}: {preview}");
    }
    assert!(!preview.contains("belongs there already"), "{preview}");

    // One that nobody pinned stands apart from it.
    deploy(&app, &token, told("2")).await;
    let list = app.get("/unmapped?show=deployments").await.body;
    assert!(list.contains("pinned by ann") && list.contains("Make a rule"), "{list}");
    let preview = app.get(rule).await.body;
    let both = "0 kinds of charge and 1 deployment. But for their pins it would take 1 deployment more.";
    assert!(preview.contains(both), "{preview}");
    assert_eq!(app.post_form(&format!("/deployments/{id}/unpin"), &[]).await.status, StatusCode::SEE_OTHER);
    let preview = app.get(rule).await.body;
    assert!(preview.contains("0 kinds of charge and 2 deployments.") && !preview.contains("their pins"), "{preview}");
}
