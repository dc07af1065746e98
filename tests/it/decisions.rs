//! What is decided about deliveries: one line of the audit log each, and no money for those without it.

use crate::ledger::{Line, assert_clean, bill, import_as_of, withdraw_source};
use crate::support::{self, TestApp};
use axum::http::StatusCode;
use costwake::store::Role;
use costwake::store::tokens::TokenScope;
use serde_json::Value;
use sqlx::PgPool;

// Three lines, one of which cannot be read.
async fn quarantined(pool: &PgPool) -> i64 {
    let mut lines = vec![Line::of("2026-10", 3, "checkout", "10"), Line::of("2026-10", 4, "checkout", "20")];
    lines.push(Line { costs: ["9876.5x"; 4].map(str::to_owned), ..lines[0].clone() });
    let receipt = import_as_of(pool, "acme", &bill(&lines), 2).await;
    assert_eq!(receipt.state, "quarantined");
    receipt.delivery_id
}

async fn audited(pool: &PgPool) -> Vec<String> {
    sqlx::query_scalar(
        "SELECT concat_ws(' ', actor, client_address, action, subject) FROM audit_log
         WHERE action LIKE 'delivery.%' ORDER BY audit_log_id",
    )
    .fetch_all(pool)
    .await
    .unwrap()
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn each_decision_is_one_line_and_one_that_does_nothing_is_none(pool: PgPool) {
    let app = support::app(pool.clone()).await;
    let finance = TestApp { peer: ([192, 0, 2, 7], 4000).into(), ..app.browser(Role::Finance, false, &[]).await };
    let id = quarantined(&pool).await;
    let login: String =
        sqlx::query_scalar("SELECT login FROM user_account WHERE role = 'finance'").fetch_one(&pool).await.unwrap();
    let line = |action: &str| format!("{login} 192.0.2.7 delivery.{action} delivery {id}");
    let decide = async |what: &str| finance.post_form(&format!("/deliveries/{id}/{what}"), &[]).await.status;
    assert_eq!(decide("revert").await, StatusCode::CONFLICT);
    assert_eq!(audited(&pool).await, [""; 0]);
    for _ in 0..2 {
        assert_eq!(decide("accept").await, StatusCode::SEE_OTHER);
        assert_eq!(audited(&pool).await, [line("accepted")]);
    }
    assert_eq!(decide("revert").await, StatusCode::CONFLICT, "nothing was counted before it");
    for _ in 0..2 {
        assert_eq!(decide("withdraw").await, StatusCode::SEE_OTHER);
        assert_eq!(audited(&pool).await, [line("accepted"), line("withdrawn")]);
    }
    let whole = |cost| bill(&[Line::of("2026-10", 3, "checkout", cost)]);
    import_as_of(&pool, "acme", &whole("1"), 3).await;
    let second = import_as_of(&pool, "acme", &whole("2"), 4).await.delivery_id;
    for _ in 0..2 {
        let page = finance.post_form(&format!("/deliveries/{second}/revert"), &[]).await;
        assert_eq!(page.status, StatusCode::SEE_OTHER);
    }
    assert_eq!(audited(&pool).await.len(), 3);
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn an_administrator_without_finance_sees_no_amount_of_a_bill(pool: PgPool) {
    let app = support::app(pool.clone()).await;
    let id = quarantined(&pool).await;
    let finance = app.browser(Role::Finance, false, &[]).await;
    assert_eq!(finance.post_form(&format!("/deliveries/{id}/accept"), &[]).await.status, StatusCode::SEE_OTHER);
    sqlx::query(
        "INSERT INTO verification (started_at, started_by, finished_at, publication_id, checks)
         VALUES (now(), 'test', now(), 1,
             '[{\"name\": \"Receipts\", \"checked\": 1, \"differences\": [\"acme differs by 9876.5 USD\"]}]')",
    )
    .execute(&pool)
    .await
    .unwrap();
    let admin = app.browser(Role::Admin, false, &[]).await;
    let both = app.browser(Role::Admin, true, &[]).await;
    for (path, amount) in [
        (format!("/deliveries/{id}"), "9876.5"),
        (format!("/deliveries/{id}.csv"), "9876.5"),
        ("/verify".into(), "9876.5"),
        ("/settings/audit".into(), "&#34;30&#34;"),
    ] {
        for (browser, sees) in [(&admin, false), (&both, true)] {
            let page = browser.get(&path).await;
            assert_eq!(page.status, StatusCode::OK, "{path}");
            assert_eq!(page.body.contains(amount), sees, "{path}: {}", page.body);
        }
    }
}

async fn source_id(pool: &PgPool) -> i64 {
    support::count(pool, "SELECT source_id FROM source").await
}

/// A file without BilledCost can never count: nothing is to be decided about it once a whole bill of the same month does.
/// Of another month it waits on. Its columns are no measure for those of the next file.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_whole_bill_overtakes_files_that_could_never_count(pool: PgPool) {
    let of = |period: &str, cost: &str| bill(&[Line::of(period, 3, "checkout", cost)]);
    let mistyped = |period: &str| of(period, "2").replace("BilledCost", "Bilddcost");
    import_as_of(&pool, "acme", &of("2026-10", "1"), 2).await;
    let waiting = import_as_of(&pool, "acme", &mistyped("2026-10"), 3).await;
    let other = import_as_of(&pool, "acme", &mistyped("2026-09"), 3).await;
    assert_eq!((waiting.state.as_str(), other.state.as_str()), ("quarantined", "quarantined"));
    let whole = import_as_of(&pool, "acme", &of("2026-10", "3"), 4).await;
    assert_eq!(whole.state, "published");
    let states: Vec<(i64, String, Option<String>)> = sqlx::query_as(
        "SELECT delivery_id, state, reason FROM delivery WHERE is_faulty OR missing_columns <> '{}' ORDER BY 1",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    let [(first, state, reason), (second, still, _)] = states.as_slice() else { panic!("{states:?}") };
    assert_eq!((*first, state.as_str()), (waiting.delivery_id, "refused"));
    assert_eq!((*second, still.as_str()), (other.delivery_id, "quarantined"), "nothing newer holds September");
    let told = format!("Delivery {} is newer and holds the same bills: this one waits no longer.", whole.delivery_id);
    assert_eq!(reason.as_deref(), Some(told.as_str()));
    assert_clean(&pool).await;

    let finance = support::app(pool.clone()).await.browser(Role::Finance, false, &[]).await;
    let page = finance.get(&format!("/sources/{}", source_id(&pool).await)).await.body;
    assert!(page.contains("<td>Bilddcost</td><td>BilledCost</td>") && page.contains("does not count"), "{page}");
    assert!(!page.contains("<td>BilledCost</td><td>Bilddcost</td>"), "the whole one is as what counted: {page}");
}

/// Going back is offered where something counted before, and nowhere else.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_first_bill_is_withdrawn_and_not_reverted(pool: PgPool) {
    let whole = |cost| bill(&[Line::of("2026-10", 3, "checkout", cost)]);
    let finance = support::app(pool.clone()).await.browser(Role::Finance, false, &[]).await;
    let first = import_as_of(&pool, "acme", &whole("1"), 2).await.delivery_id;
    let path = format!("/sources/{}", source_id(&pool).await);
    let page = finance.get(&path).await.body;
    assert!(page.contains(&format!("/deliveries/{first}/withdraw")), "{page}");
    assert!(!page.contains(&format!("/deliveries/{first}/revert")), "{page}");
    let second = import_as_of(&pool, "acme", &whole("2"), 3).await.delivery_id;
    let page = finance.get(&path).await.body;
    assert!(page.contains(&format!("/deliveries/{second}/revert")), "{page}");
}

/// A mistyped source goes once nothing of it counts, by its page or the API. What came from it stays as history, and a file
/// brings it back.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_source_of_which_nothing_counts_is_removed(pool: PgPool) {
    let whole = |cost| bill(&[Line::of("2026-10", 3, "checkout", cost)]);
    let delivery_id = import_as_of(&pool, "acme-typo", &whole("1"), 2).await.delivery_id;
    let app = support::app(pool.clone()).await;
    let admin = app.browser(Role::Admin, false, &[]).await;
    let at = format!("/sources/{}", source_id(&pool).await);
    let remove = format!("{at}/remove");
    let token = app.token(TokenScope::Admin, Role::Admin).await;
    let by_api = async || app.api("DELETE", "/api/v1/sources/acme-typo", &token, Value::Null).await.status;
    let is_listed = async || admin.get("/sources.csv").await.body.contains("acme-typo");

    assert!(!admin.get(&at).await.body.contains(&remove), "a button that can only refuse");
    let ask = admin.get(&remove).await.body;
    assert!(ask.contains("One bill of it counts: withdraw it first") && !ask.contains("Remove the source</button>"));
    assert_eq!(admin.post_form(&remove, &[("bills", "keep")]).await.status, StatusCode::CONFLICT);
    assert_eq!(by_api().await, StatusCode::CONFLICT);
    assert!(is_listed().await);

    withdraw_source(&pool, "acme-typo").await;
    assert!(admin.get(&at).await.body.contains(&remove));
    assert!(admin.get(&remove).await.body.contains("Remove the source</button>"));
    assert_eq!(admin.post_form(&remove, &[("bills", "keep")]).await.location(), "/sources");
    assert!(!is_listed().await);
    assert!(admin.get(&at).await.body.contains("This source was removed"));
    assert_eq!(admin.get(&format!("/deliveries/{delivery_id}")).await.status, StatusCode::OK, "its receipt stays");
    assert_eq!((admin.get(&remove).await.status, by_api().await), (StatusCode::NOT_FOUND, StatusCode::NOT_FOUND));
    let audited = "SELECT count(*) FROM audit_log WHERE action = 'source.removed'";
    assert_eq!(support::count(&pool, audited).await, 1);
    assert_clean(&pool).await;

    assert_eq!(import_as_of(&pool, "acme-typo", &whole("2"), 4).await.state, "published");
    assert!(is_listed().await);
    // Another one, by the API.
    let other = bill(&[Line { account: "00999".into(), ..Line::of("2026-10", 3, "checkout", "1") }]);
    import_as_of(&pool, "acme-typo-2", &other, 2).await;
    withdraw_source(&pool, "acme-typo-2").await;
    let path = "/api/v1/sources/acme-typo-2";
    assert_eq!(app.api("DELETE", path, &token, Value::Null).await.status, StatusCode::NO_CONTENT);
    assert!(!admin.get("/sources.csv").await.body.contains("acme-typo-2"));
    assert_eq!(support::count(&pool, audited).await, 2);
}
