//! What is decided about deliveries: one line of the audit log each, and no money for those without it.

use crate::ledger::{Line, bill, import_as_of};
use crate::support::{self, TestApp};
use axum::http::StatusCode;
use costwake::store::Role;
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
