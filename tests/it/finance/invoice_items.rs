//! What an invoice and its lines differ by, explained: difference = items + rest.

use super::{BY, Line, World, column, texts, time, world};
use axum::http::StatusCode;
use costwake::rollup::invoices::{self, InvoiceForm};
use costwake::store::Role;
use costwake::store::tokens::TokenScope;
use serde_json::{Value, json};
use sqlx::PgPool;

async fn enter(world: &World) -> i64 {
    let form = InvoiceForm {
        invoice_id: "INV-1".into(),
        issuer: "Cloud One".into(),
        currency: "USD".into(),
        total: "100".into(),
        month: "2026-10".into(),
        ..InvoiceForm::default()
    };
    invoices::enter(&world.app.state.pools.web, &form, BY, time("2026-11-20T10:00:00Z")).await.unwrap();
    sqlx::query_scalar("SELECT invoice_key FROM invoice").fetch_one(&world.db).await.unwrap()
}

// The bill that the invoice was made from, and the one that replaced it.
async fn restated(world: &World) -> (i64, i64) {
    let line = |cost| [Line { cost, invoice: "INV-1", ..Line::default() }];
    let first = world.import(&line("100"), "2026-11-02T06:00:00Z").await.delivery_id;
    (first, world.import(&line("92.2"), "2026-11-12T06:00:00Z").await.delivery_id)
}

async fn checks(world: &World) -> Vec<String> {
    let name = "Items that explain differences";
    world.checks().await.into_iter().find(|check| check.name.starts_with(name)).unwrap().differences
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_difference_is_explained_by_items_and_told_where_it_comes_from(db: PgPool) {
    let world = world(&db).await;
    let (first, second) = restated(&world).await;
    let path = format!("/finance/invoices/{}", enter(&world).await);
    let finance = world.finance().await;
    let page = finance.get(&path).await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.body);
    assert!(page.body.contains("differs from its lines: invoiced more than billed by $7.80."), "{}", page.body);
    let told = texts(&page.body, ".notice").join(" ");
    let expected =
        format!("Delivery {first} of cloud-one had exactly the invoiced total. It was replaced: {second} counts now.");
    assert!(told.contains(&expected), "{told}");
    for link in [first, second].map(|delivery| format!("href=\"/deliveries/{delivery}\"")) {
        assert!(page.body.contains(&link), "{link}: {}", page.body);
    }
    assert!(page.body.contains("value=\"-7.8\""), "all that is left is what the form proposes");
    let add = format!("{path}/items");
    for (amount, reason, error) in [
        ("1,5", "A credit note", "is not a number"),
        ("0.00", "A credit note", "explains nothing"),
        ("-5", " ", "Say what it is"),
    ] {
        let wrong = finance.post_form(&add, &[("amount", amount), ("reason", reason)]).await;
        assert_eq!(wrong.status, StatusCode::BAD_REQUEST, "{amount} {reason}");
        assert!(wrong.body.contains(error), "{error}: {}", wrong.body);
    }
    let done = finance.post_form(&add, &[("amount", "\u{2212}5"), ("reason", "Credit note CN-17")]).await;
    assert_eq!(done.location(), path, "{}", done.body);
    let cells = async || {
        let csv = finance.get("/finance/invoices.csv").await.body;
        ["State", "Difference", "Explained", "Rest"].map(|name| column(&csv, name)[0].clone())
    };
    assert_eq!(cells().await, ["differs", "-7.8", "-5", "-2.8"]);
    let page = finance.get(&path).await.body;
    let rows = texts(&page, "tbody tr").join(" | ");
    for told in ["Credit note CN-17 by", "\u{2212}$5.00", "Rest the difference less these items \u{2212}$2.80"] {
        assert!(rows.contains(told), "{told}: {rows}");
    }

    // Another by a program: what is left is rounding.
    let token = world.app.token(TokenScope::Admin, Role::Finance).await;
    let api = format!("/api/v1{}/items", path.trim_start_matches("/finance"));
    let body = json!({"amount": "-1.8", "reason": "Support, billed apart."});
    let made = world.app.api("POST", &api, &token, body).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    let made = made.json();
    assert_eq!(
        (&made["state"], &made["difference"], &made["rest"]),
        (&json!("explained"), &json!("-7.8"), &json!("-1"))
    );
    assert_eq!(cells().await, ["explained", "-7.8", "-6.8", "-1"]);
    let list = finance.get("/finance/invoices").await.body;
    assert!(list.contains("or what it differs by is explained") && list.contains("\u{2212}$6.80 explained"), "{list}");
    assert!(finance.get("/finance/statements/2026-10").await.body.contains("1 explained"));
    world.assert_clean().await;

    // Taken back: somebody has to look again.
    let item = made["items"][1]["id"].to_string();
    let delete = format!("{api}/{item}/delete");
    assert_eq!(world.app.api("POST", &delete, &token, Value::Null).await.json()["state"], "differs");
    assert_eq!(world.app.api("POST", &delete, &token, Value::Null).await.status, StatusCode::NOT_FOUND);
    let listed = world.app.api("GET", &api, &token, Value::Null).await.json();
    assert_eq!((listed["items"].as_array().unwrap().len(), &listed["rest"]), (1, &json!("-2.8")));
    let item = listed["items"][0]["id"].to_string();
    let back = finance.post_form(&format!("{add}/remove"), &[("item_id", &item)]).await;
    assert_eq!(back.location(), path, "{}", back.body);
    assert_eq!(cells().await, ["differs", "-7.8", "", "-7.8"]);
    let audit: Vec<String> = sqlx::query_scalar(
        "SELECT action || ' ' || (details ->> 'amount') FROM audit_log WHERE action LIKE 'invoice.item%'
         ORDER BY audit_log_id",
    )
    .fetch_all(&db)
    .await
    .unwrap();
    let expected = ["item_added -5", "item_added -1.8", "item_removed -1.8", "item_removed -5"];
    assert_eq!(audit, expected.map(|one| format!("invoice.{one}")));
}

/// Who may read invoices reads why they differ, and changes nothing; deliveries are for those who may see bills.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_viewer_reads_items_and_adds_none(db: PgPool) {
    let world = world(&db).await;
    restated(&world).await;
    let path = format!("/finance/invoices/{}", enter(&world).await);
    let viewer = world.app.browser(Role::Viewer, false, &[]).await;
    let page = viewer.get(&path).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(
        !page.body.contains("Explain the difference") && !page.body.contains("Where its lines come from"),
        "{}",
        page.body
    );
    let fields = [("amount", "-5"), ("reason", "Mine")];
    assert_eq!(viewer.post_form(&format!("{path}/items"), &fields).await.status, StatusCode::FORBIDDEN);
    assert_eq!(world.finance().await.get("/finance/invoices/999999").await.status, StatusCode::NOT_FOUND);
}

/// A total takes its items with it; an item that nobody added is told by the proof.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn items_go_with_their_total_and_are_those_of_the_audit_log(db: PgPool) {
    let world = world(&db).await;
    restated(&world).await;
    let finance = world.finance().await;
    let fields = [("amount", "-5"), ("reason", "A credit note")];
    let key = enter(&world).await;
    finance.post_form(&format!("/finance/invoices/{key}/items"), &fields).await;
    let removed = finance.post_form("/finance/invoices/remove", &[("invoice_key", &key.to_string())]).await;
    assert_eq!(removed.location(), "/finance/invoices");
    assert!(checks(&world).await.is_empty(), "{:?}", checks(&world).await);
    let key = enter(&world).await;
    finance.post_form(&format!("/finance/invoices/{key}/items"), &fields).await;
    assert!(checks(&world).await.is_empty(), "{:?}", checks(&world).await);
    sqlx::query("UPDATE invoice_item SET amount = amount - 0.0000001").execute(&db).await.unwrap();
    assert_eq!(checks(&world).await.len(), 1, "{:?}", checks(&world).await);
}
