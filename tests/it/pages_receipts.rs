//! Receipts and what can be decided on them: only what works is offered, and it works.

use crate::support::{self, TestApp};
use axum::body::Body;
use axum::http::{Method, StatusCode, header};
use costwake::rollup::{ImportRequest, import_file};
use costwake::store::receipts::Receipt;
use costwake::store::{Role, jobs, uploads};
use serde_json::json;
use sqlx::PgPool;

const HEADER: &str = "BilledCost,EffectiveCost,ListCost,ContractedCost,BillingCurrency,BillingAccountId,BillingPeriodStart,BillingPeriodEnd,ChargePeriodStart,ChargePeriodEnd,ChargeCategory,ServiceCategory,ServiceName,ProviderName";
const LINE: &str = "1.5,1.5,1.5,1.5,USD,A1,2026-10-01T00:00:00Z,2026-11-01T00:00:00Z,2026-10-03T00:00:00Z,2026-10-04T00:00:00Z,Usage,Compute,Machines,Acme";

async fn import(app: &TestApp, text: &str) -> Receipt {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bill.csv");
    std::fs::write(&path, text).unwrap();
    let request = ImportRequest {
        path,
        file_name: "bill.csv".into(),
        source: Some("acme".into()),
        as_of: None,
        received_by: "test".into(),
        now: "2026-11-20T10:00:00Z".parse().unwrap(),
    };
    import_file(&app.state.pools, request, |_, _, _| {}).await.unwrap()
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn accept_is_offered_where_it_works_and_says_what_is_missing(pool: PgPool) {
    let app = support::app(pool).await;
    let finance = app.browser(Role::Finance, false, &[]).await;
    let without_end = import(&app, &format!("{HEADER}\n{LINE}\n").replace("ChargePeriodEnd", "x_end")).await;
    assert_eq!(without_end.state, "quarantined");
    let path = format!("/deliveries/{}", without_end.delivery_id);
    let page = finance.get(&path).await;
    assert!(!page.body.contains("/accept\"") && page.body.contains("Withdraw"), "{}", page.body);
    let ask = finance.get(&format!("{path}/accept")).await;
    assert!(ask.body.contains("This cannot be done") && ask.body.contains("ChargePeriodEnd"), "{}", ask.body);

    let without_service = import(&app, &format!("{HEADER}\n{LINE}\n").replace("ServiceCategory", "x_cat")).await;
    let path = format!("/deliveries/{}", without_service.delivery_id);
    assert!(finance.get(&path).await.body.contains("Accept without ServiceCategory"));
    assert!(finance.get(&format!("{path}/accept")).await.body.contains("Accept without ServiceCategory?"));
    assert_eq!(finance.post_form(&format!("{path}/accept"), &[]).await.status, StatusCode::SEE_OTHER);
    assert_eq!(finance.post_form(&format!("{path}/withdraw"), &[]).await.status, StatusCode::SEE_OTHER);
    // What was withdrawn by mistake counts again.
    assert!(finance.get(&path).await.body.contains("Count again"));
    assert!(finance.get(&format!("{path}/accept")).await.body.contains("counts again"));
    assert_eq!(finance.post_form(&format!("{path}/accept"), &[]).await.status, StatusCode::SEE_OTHER);
    let page = finance.get(&path).await;
    assert!(!page.body.contains("Count again") && page.body.contains("All 1 lines count."), "{}", page.body);
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_failed_upload_is_tried_again_from_its_receipt(pool: PgPool) {
    let app = support::app(pool.clone()).await;
    let admin = app.browser(Role::Admin, false, &[]).await;
    let receipt = import(&app, &format!("{HEADER}\n{LINE}\n")).await;
    let (id, path) = (receipt.delivery_id, format!("/deliveries/{}", receipt.delivery_id));
    assert!(!admin.get(&path).await.body.contains("Try again"));
    assert_eq!(admin.post_form(&format!("{path}/retry"), &[]).await.status, StatusCode::CONFLICT);
    sqlx::query("UPDATE delivery SET state = 'failed'").execute(&pool).await.unwrap();
    let mut conn = pool.acquire().await.unwrap();
    jobs::enqueue(&mut conn, "import_upload", &id.to_string(), &json!({ "delivery_id": id })).await.unwrap();
    assert!(admin.get(&path).await.body.contains("http-equiv=\"refresh\""), "a later try is to come");
    sqlx::query("UPDATE job SET state = 'failed', finished_at = now()").execute(&pool).await.unwrap();
    uploads::fail(&mut *conn, id, "the disk was full", receipt.received_at).await.unwrap();
    let page = admin.get(&path).await;
    assert!(page.body.contains("Try again") && page.body.contains("the disk was full"), "{}", page.body);
    let done = admin.post_form(&format!("{path}/retry"), &[]).await;
    assert_eq!((done.status, done.location()), (StatusCode::SEE_OTHER, path.as_str()));
    assert!(admin.get(&path).await.body.contains("waits to be read"));
}

/// The limit of the form is that of its files; other fields have one of their own.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_field_of_the_form_cannot_fill_the_memory(pool: PgPool) {
    let app = support::app(pool).await;
    let finance = app.browser(Role::Finance, false, &[]).await;
    for (length, says) in [(4096, "1 to 200 bytes"), (4097, "longer than 4096 bytes")] {
        let value = "x".repeat(length);
        let body = format!("--line\r\nContent-Disposition: form-data; name=\"source\"\r\n\r\n{value}\r\n--line--\r\n");
        let request = finance
            .request(Method::POST, "/upload")
            .header("sec-fetch-site", "same-origin")
            .header(header::CONTENT_TYPE, "multipart/form-data; boundary=line");
        let page = finance.send(request.body(Body::from(body)).unwrap()).await;
        assert_eq!(page.status, StatusCode::BAD_REQUEST);
        assert!(page.body.contains(says), "{}", page.body);
    }
}

/// What can be read of the amounts of rejected lines is told where people decide, on the page and in the JSON; a decision
/// does not change how long the reading took.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_receipt_tells_what_is_missing_from_its_totals(pool: PgPool) {
    let app = support::app(pool.clone()).await;
    let finance = app.browser(Role::Finance, false, &[]).await;
    let broken = LINE.replace("2026-10-04T00:00:00Z", "soon").replace("1.5,1.5,", "2.0000000001,1.25,");
    let unreadable = LINE.replace("1.5,1.5,", "much,more,");
    let receipt = import(&app, &format!("{HEADER}\n{LINE}\n{broken}\n{broken}\n{unreadable}\n")).await;
    assert_eq!((receipt.state.as_str(), receipt.rejected_rows), ("quarantined", 3));
    let path = format!("/deliveries/{}", receipt.delivery_id);
    let missing = "$4.0000000002 BilledCost and $2.50 EffectiveCost on 2 lines";
    assert!(finance.get(&path).await.body.contains(missing), "{}", finance.get(&path).await.body);
    assert!(finance.get(&format!("{path}/accept")).await.body.contains(missing));
    let json = finance.get(&format!("{path}.json")).await.json();
    let total = json!({ "billing_currency": "USD", "rows": 2, "BilledCost": "4.0000000002", "EffectiveCost": "2.5" });
    assert_eq!(json["rejected_totals"], json!([total]), "{json}");
    let admin = app.browser(Role::Admin, false, &[]).await;
    assert!(!admin.get(&path).await.body.contains("4.0000000002"), "amounts are open to finance");
    sqlx::query("UPDATE delivery SET received_at = received_at - interval '1 hour', finished_at = received_at - interval '59 minutes'")
        .execute(&pool)
        .await
        .unwrap();
    assert!(finance.get(&path).await.body.contains("60,000 ms"));
    assert_eq!(finance.post_form(&format!("{path}/accept"), &[]).await.status, StatusCode::SEE_OTHER);
    let page = finance.get(&path).await.body;
    assert!(page.contains("60,000 ms") && page.contains("Counted, with 3 of 4 lines missing"), "{page}");

    let without = import(&app, &format!("{HEADER}\n{LINE}\n").replace("BillingPeriodStart", "x_start")).await;
    let page = finance.get(&format!("/deliveries/{}", without.delivery_id)).await.body;
    assert!(page.contains("Nothing of this file can be counted.") && !page.contains("someone decides"), "{page}");
    assert!(!page.contains("The rejected lines below"), "{page}");
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_cost_that_no_row_has_is_not_in_the_file(pool: PgPool) {
    let app = support::app(pool).await;
    let finance = app.browser(Role::Finance, false, &[]).await;
    let receipt = import(&app, &format!("{HEADER}\n{}\n", LINE.replacen("1.5,1.5,1.5,", "1.5,1.5,,", 1))).await;
    let path = format!("/deliveries/{}", receipt.delivery_id);
    let (page, json) = (finance.get(&path).await.body, finance.get(&format!("{path}.json")).await.json());
    assert!(page.contains("<td class=\"n\">not in the file</td>"), "{page}");
    let total = &json["totals"][0];
    assert!(total["ListCost"].is_null() && total["ContractedCost"] == "1.5", "{json}");
}
