//! What the database ends because of others: tried again within bounds, and then a clean failure.

use super::{ANN, assert_clean, figures, file, import_as_of, october, request, time, withdraw_source};
use crate::support;
use axum::http::StatusCode;
use costwake::rollup::{ImportOptions, accept, import_with, remap, revert, withdraw};
use costwake::store::Role;
use costwake::store::tokens::TokenScope;
use sqlx::PgPool;
use std::time::{Duration, Instant};

/// Lets the next `count` publications end with this error. What a sequence counted is not taken back with the
/// transaction, so that a later try goes through.
async fn end_the_next(pool: &PgPool, count: i64, code: &str) {
    end_the_next_of(pool, "publication", count, code).await;
}

// The same for what adds to another table.
async fn end_the_next_of(pool: &PgPool, table: &str, count: i64, code: &str) {
    let statement = format!(
        "CREATE SEQUENCE IF NOT EXISTS tries;
         SELECT setval('tries', 1, false);
         CREATE OR REPLACE FUNCTION end_it() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN
             IF nextval('tries') <= {count} THEN RAISE EXCEPTION 'ended' USING ERRCODE = '{code}'; END IF;
             RETURN NEW;
         END $$;
         CREATE OR REPLACE TRIGGER end_it BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION end_it();"
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(pool).await.unwrap();
}

async fn tries(pool: &PgPool) -> i64 {
    support::count(pool, "SELECT last_value FROM tries").await
}

/// F30: a deadlock, what cannot be put in an order and a lock that does not come free are passed over where they end.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn what_met_others_goes_through_at_a_later_try(pool: PgPool) {
    let pools = support::pools(&pool);
    let now = time("2026-11-21T10:00:00Z");
    for (day, code) in [(1, "40P01"), (2, "40001"), (3, "55P03")] {
        import_as_of(&pool, "acme", &october("1.25", 40), 3 * day).await;
        end_the_next(&pool, 2, code).await;
        let receipt = import_as_of(&pool, "acme", &october("2.75", 100), 3 * day + 1).await;
        assert_eq!(receipt.state, "published", "{code}: {:?}", receipt.reason);
        assert_eq!(tries(&pool).await, 3, "{code}");
        let new = figures(&pool, "acme").await;
        end_the_next(&pool, 2, code).await;
        revert(&pools, receipt.delivery_id, ANN, now).await.unwrap();
        assert_ne!(figures(&pool, "acme").await, new);
        end_the_next(&pool, 2, code).await;
        accept(&pools, receipt.delivery_id, ANN, now).await.unwrap();
        assert_eq!(figures(&pool, "acme").await, new, "{code}");
        end_the_next(&pool, 2, code).await;
        withdraw(&pools, receipt.delivery_id, ANN, now).await.unwrap();
        assert_eq!(tries(&pool).await, 3, "{code}");
        end_the_next(&pool, 0, code).await;
        withdraw_source(&pool, "acme").await;
        assert_clean(&pool).await;
    }
}

/// F30: where it never ends it is given up, soon, with a reason, and everything is as it was.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn what_meets_others_for_ever_is_given_up_cleanly(pool: PgPool) {
    let pools = support::pools(&pool);
    import_as_of(&pool, "acme", &october("1.25", 40), 1).await;
    let old = figures(&pool, "acme").await;
    end_the_next(&pool, 1_000, "40P01").await;
    let folder = tempfile::tempdir().unwrap();
    let again = request(file(folder.path(), &october("2.75", 100)), Some("acme"), None);
    let began = Instant::now();
    let error = import_with(&pools, again, ImportOptions::default(), |_, _, _| {}).await.unwrap_err();
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    assert!(error.to_string().contains("hand the file in again a little later"), "{error}");
    let tried = tries(&pool).await;
    assert!((3..=10).contains(&tried), "tried {tried} times");
    let (state, reason): (String, String) =
        sqlx::query_as("SELECT state, reason FROM delivery ORDER BY delivery_id DESC LIMIT 1")
            .fetch_one(&pool)
            .await
            .unwrap();
    assert_eq!(state, "failed");
    assert!(reason.contains("Other changes of the same figures"), "{reason}");
    assert_eq!(figures(&pool, "acme").await, old);
    let left = "SELECT count(*) FROM generation WHERE state IN ('loading', 'ready')";
    assert_eq!(support::count(&pool, left).await, 0);
    assert_eq!(support::count(&pool, "SELECT count(*) FROM pg_class WHERE relname = 'charge_d2'").await, 0);
    assert_clean(&pool).await;

    // A change of the rules too.
    sqlx::query("INSERT INTO service (slug, name) VALUES ('search', 'search')").execute(&pool).await.unwrap();
    sqlx::query(
        "INSERT INTO mapping_rule (position, applies_to, conditions, service_id, created_by)
         SELECT 5, 'charges', '[{\"attribute\":\"tag:service\",\"operator\":\"present\",\"value\":\"\"}]', service_id, 'test'
         FROM service WHERE slug = 'search'",
    )
    .execute(&pool)
    .await
    .unwrap();
    let now = time("2026-11-21T10:00:00Z");
    remap::remap(&pools, "test", now).await.unwrap_err();
    assert_eq!(figures(&pool, "acme").await, old);
    end_the_next(&pool, 2, "40P01").await;
    assert!(remap::remap(&pools, "test", now).await.unwrap().publication_id.is_some());
    assert_ne!(figures(&pool, "acme").await, old);
    assert_clean(&pool).await;
}

/// F30 as it happens: two imports and changes of the rules at once, which take each other's locks.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn imports_and_remaps_at_once_all_end(pool: PgPool) {
    let pools = support::pools(&pool);
    let texts: Vec<String> =
        (0..4).map(|number| october(&format!("{number}.5"), 300).replace("00123", &format!("0012{number}"))).collect();
    let imports = texts.iter().enumerate().map(|(number, text)| {
        let pool = &pool;
        async move { import_as_of(pool, &format!("source {number}"), text, 1).await.state }
    });
    let remaps = async {
        for _ in 0..6 {
            remap::remap(&pools, "test", time("2026-11-21T10:00:00Z")).await.unwrap();
        }
    };
    let (states, ()) = tokio::join!(futures_util::future::join_all(imports), remaps);
    assert!(states.iter().all(|state| state == "published"), "{states:?}");
    assert_clean(&pool).await;
}

/// F30 for a request: it is not tried again behind the back of whoever asks, but told when to come back, and nothing of
/// it stays.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_request_that_met_others_is_told_when_to_come_back(pool: PgPool) {
    let app = support::app(pool.clone()).await;
    let token = app.token(TokenScope::Admin, Role::Finance).await;
    let team = serde_json::json!({"slug": "shop", "name": "Shop"});
    for code in ["40P01", "40001", "55P03"] {
        end_the_next_of(&pool, "team", 1, code).await;
        let refused = app.api("POST", "/api/v1/teams", &token, team.clone()).await;
        assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE, "{code}: {}", refused.body);
        assert!(refused.headers.contains_key("retry-after"), "{code}");
        assert!(refused.body.contains("Nothing was changed"), "{code}: {}", refused.body);
        assert_eq!(support::count(&pool, "SELECT count(*) FROM team").await, 0, "{code}");
    }
    let added = app.api("POST", "/api/v1/teams", &token, team).await;
    assert!(added.status.is_success(), "{}", added.body);
}
