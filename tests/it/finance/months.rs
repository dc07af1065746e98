//! Closed months: their figures stay, what arrives late is booked to the open month, and both pages say so.

use super::{BY, Line, World, decimal, month, sum, texts, time, world};
use axum::http::StatusCode;
use bigdecimal::BigDecimal;
use costwake::rollup::close_month::{close, reopen};
use costwake::rollup::{revert, withdraw};
use costwake::store::Role;
use costwake::store::tokens::TokenScope;
use serde_json::Value;
use sqlx::PgPool;

fn september(cost: &'static str) -> Vec<Line> {
    vec![
        Line { cost, billed: "2026-09", day: "2026-09-05", ..Line::default() },
        Line { cost: "7.125", billed: "2026-09", day: "2026-09-06", service: "ledger", ..Line::default() },
    ]
}

fn october() -> Vec<Line> {
    vec![Line { cost: "50.5", ..Line::default() }]
}

async fn booked(world: &World) -> Vec<(String, String, BigDecimal)> {
    sqlx::query_as(
        "SELECT to_char(k.month, 'YYYY-MM'), to_char(a.booked_month, 'YYYY-MM'), a.effective_cost
         FROM month_adjustment a JOIN month_closing k USING (closing_id) WHERE k.reopened_at IS NULL
         ORDER BY a.adjustment_id",
    )
    .fetch_all(&world.db)
    .await
    .unwrap()
}

fn of(closed: &str, into: &str, cost: &str) -> (String, String, BigDecimal) {
    (closed.into(), into.into(), decimal(cost))
}

/// N21: a late delivery is published, booked to the first open month, and leaves the closed figures alone; what it
/// changes stands on both pages.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn what_arrives_late_is_booked_to_the_open_month(db: PgPool) {
    let world = world(&db).await;
    let pools = world.app.state.pools.clone();
    world.import(&september("100.01"), "2026-10-02T06:00:00Z").await;
    world.import(&october(), "2026-11-02T06:00:00Z").await;
    let now = time("2026-11-10T10:00:00Z");
    close(&pools, month("2026-09"), "All invoices are in.", BY, now).await.unwrap();
    assert!(booked(&world).await.is_empty());
    world.assert_clean().await;

    let late = world.import(&september("103.0000001"), "2026-11-11T06:00:00Z").await;
    assert_eq!(booked(&world).await, [of("2026-09", "2026-10", "2.9900001")]);
    let finance = world.finance().await;
    let csv = finance.get("/finance/statements/2026-09.csv").await;
    assert_eq!(sum(&csv.body, "EffectiveCost 2026-09"), decimal("107.135"), "the closed figure stays");
    let closed = finance.get("/finance/statements/2026-09").await;
    assert!(closed.body.contains("$107.14") && closed.body.contains("Closed"), "the closed figure stays");
    assert!(closed.body.contains("Adjusted by +$2.99 in October 2026"), "{}", closed.body);
    let open = finance.get("/finance/statements/2026-10").await;
    assert!(open.body.contains("is booked here for September 2026"), "{}", open.body);
    assert!(texts(&open.body, "table tr.total").iter().any(|row| row.contains("Booked in October 2026 $53.49")));
    let adjustments = finance.get("/finance/statements/2026-10/adjustments.csv").await;
    assert_eq!(sum(&adjustments.body, "EffectiveCost"), decimal("2.9900001"), "{}", adjustments.body);
    // The view by charge day is the ledger as it is, and both views are joined by a named row.
    let charged = finance.get("/finance/statements/2026-09.csv?view=charge").await;
    assert_eq!(sum(&charged.body, "EffectiveCost 2026-09"), decimal("110.1250001"));
    assert!(closed.body.contains("Arrived or moved after closing"));
    let token = world.app.token(TokenScope::Read, Role::Finance).await;
    let api = world.app.api("GET", "/api/v1/costs?view=billing&period=2026-09", &token, Value::Null).await.json();
    assert_eq!(api["totals"][0]["cost"], "107.135");
    assert!(api["notes"][0].as_str().unwrap().contains("September 2026 is closed"), "{api}");
    world.assert_clean().await;

    // With October closed too, the next one goes to November; a revert takes back what it brought, booked anew.
    close(&pools, month("2026-10"), "Done.", BY, now).await.unwrap();
    let again = world.import(&september("90"), "2026-11-12T06:00:00Z").await;
    revert(&pools, again.delivery_id, BY, time("2026-11-12T10:00:00Z")).await.unwrap();
    withdraw(&pools, late.delivery_id, BY, time("2026-11-13T10:00:00Z")).await.unwrap();
    let all = booked(&world).await;
    let expected = [
        of("2026-09", "2026-10", "2.9900001"),
        of("2026-09", "2026-11", "-13.0000001"),
        of("2026-09", "2026-11", "13.0000001"),
        of("2026-09", "2026-11", "-110.1250001"),
    ];
    assert_eq!(all, expected);
    let csv = finance.get("/finance/statements/2026-09.csv").await;
    assert_eq!(sum(&csv.body, "EffectiveCost 2026-09"), decimal("107.135"), "also without a bill");
    let november = finance.get("/finance/statements/2026-11").await;
    assert!(
        november.body.contains("is booked here for September 2026"),
        "a month without bills shows what is booked to it"
    );
    let lede = texts(&november.body, ".lede").join(" ");
    let said = "Nothing is billed in USD for November 2026 yet; \u{2212}$110.13 is booked in it for September 2026.";
    assert_eq!(lede, said);
    let api = world.app.api("GET", "/api/v1/costs?view=billing&period=2026-11", &token, Value::Null).await.json();
    assert_eq!(api["totals"][0]["cost_with_adjustments"], "-110.1250001", "{api}");
    world.assert_clean().await;
}

/// Reopening shows the bills again and ends what was booked; what closed months rest on must be reopened first.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn reopening_goes_back_in_order(db: PgPool) {
    let world = world(&db).await;
    let pools = world.app.state.pools.clone();
    world.import(&september("100"), "2026-10-02T06:00:00Z").await;
    world.import(&october(), "2026-11-02T06:00:00Z").await;
    let now = time("2026-11-10T10:00:00Z");
    close(&pools, month("2026-09"), "Done.", BY, now).await.unwrap();
    world.import(&september("101"), "2026-11-11T06:00:00Z").await;
    close(&pools, month("2026-10"), "Done.", BY, now).await.unwrap();
    let refused = reopen(&pools, month("2026-09"), "A credit note.", BY, now).await.unwrap_err();
    assert!(refused.to_string().contains("booked in October 2026, which is closed too"), "{refused}");
    let asks = world.finance().await;
    let page = asks.get("/finance/statements/2026-09/reopen").await.body;
    assert!(page.contains("booked in October 2026, which is closed too"), "{page}");
    assert!(
        page.contains("href=\"/finance/statements/2026-10/reopen\"") && !page.contains("Reopen the month</button>")
    );
    let page = asks.get("/finance/statements/2026-10/reopen").await.body;
    assert!(page.contains("Reopen the month</button>"), "nothing stands in its way: {page}");
    let asked = asks.post_form("/finance/statements/2026-09/reopen", &[("reason", "A credit note.")]).await;
    assert_eq!(asked.status, StatusCode::CONFLICT);
    reopen(&pools, month("2026-10"), "For September.", BY, now).await.unwrap();
    reopen(&pools, month("2026-09"), "A credit note.", BY, now).await.unwrap();
    let finance = world.finance().await;
    let csv = finance.get("/finance/statements/2026-09.csv").await;
    assert_eq!(sum(&csv.body, "EffectiveCost 2026-09"), decimal("108.125"));
    let open = finance.get("/finance/statements/2026-10").await;
    assert!(!open.body.contains("is booked here for September 2026"), "nothing is booked any more");
    close(&pools, month("2026-09"), "Again.", BY, now).await.unwrap();
    world.import(&september("102"), "2026-11-14T06:00:00Z").await;
    assert_eq!(booked(&world).await, [of("2026-09", "2026-10", "1")]);
    world.assert_clean().await;
    let audit: Vec<String> = sqlx::query_scalar(
        "SELECT action || ' ' || subject FROM audit_log WHERE action LIKE 'month.%' ORDER BY audit_log_id",
    )
    .fetch_all(&db)
    .await
    .unwrap();
    let expected = [
        "month.closed 2026-09",
        "month.closed 2026-10",
        "month.reopened 2026-10",
        "month.reopened 2026-09",
        "month.closed 2026-09",
    ];
    assert_eq!(audit, expected);
}

/// A changed owner, name or rule does not alter a closed month; a changed figure would be told by the proof.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn closed_rows_keep_their_names_and_owners(db: PgPool) {
    let world = world(&db).await;
    let pools = world.app.state.pools.clone();
    world.import(&september("100"), "2026-10-02T06:00:00Z").await;
    let finance = world.finance().await;
    let before = finance.get("/finance/statements/2026-09.csv?by=service").await.body;
    close(&pools, month("2026-09"), "Done.", BY, time("2026-11-10T10:00:00Z")).await.unwrap();
    assert_eq!(finance.get("/finance/statements/2026-09.csv?by=service").await.body, before);
    sqlx::query("UPDATE service SET name = 'Renamed'").execute(&db).await.unwrap();
    assert_eq!(finance.get("/finance/statements/2026-09.csv?by=service").await.body, before);
    sqlx::query("UPDATE closed_cost SET billed_cost = billed_cost + 0.0000001").execute(&db).await.unwrap();
    let wrong = world.checks().await.into_iter().find(|check| check.name.starts_with("Closed months")).unwrap();
    assert_eq!(wrong.differences.len(), 1, "{:?}", wrong.differences);
}

/// A rule moves cost in a closed month too: its preview names the month and says what then holds.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_preview_names_the_closed_months_whose_statements_stay(db: PgPool) {
    let world = world(&db).await;
    let pools = world.app.state.pools.clone();
    world.import(&september("100"), "2026-10-02T06:00:00Z").await;
    world.import(&october(), "2026-11-02T06:00:00Z").await;
    let finance = world.finance().await;
    let fields = [
        ("applies_to", "charges"),
        ("attribute", "tag:service"),
        ("operator", "equals"),
        ("value", "checkout"),
        ("service", "ledger"),
        ("place", "first"),
    ];
    let preview = async |first_day: &str| {
        let query = serde_urlencoded::to_string([&fields[..], &[("first_day", first_day)]].concat()).unwrap();
        let page = finance.get(&format!("/rules/preview?{query}")).await;
        assert!(page.status == StatusCode::OK && page.body.contains("What changes hands"), "{}", page.body);
        page.body
    };
    assert!(!preview("").await.contains("is closed: its statement"), "no month is closed");
    let now = time("2026-11-10T10:00:00Z");
    close(&pools, month("2026-09"), "Done.", BY, now).await.unwrap();
    let told = "September 2026 is closed: its statement stays as it is, and nothing is booked to an open month";
    assert!(preview("").await.contains(told), "{}", preview("").await);
    assert!(!preview("2026-10-01").await.contains("is closed: its statement"), "nothing moves in September");
    let split = "/splits/preview?name=Ledger&source=ledger&method=fixed&target=checkout&percent=100";
    let split = finance.get(split).await;
    assert!(split.body.contains("Moves table") && split.body.contains(told), "{}", split.body);

    // What was said holds.
    let statement = "/finance/statements/2026-09.csv?by=service";
    let by_day = "/finance/statements/2026-09.csv?by=service&view=charge";
    let (stated, charged) = (finance.get(statement).await.body, finance.get(by_day).await.body);
    let saved = finance.post_form("/rules", &[&fields[..], &[("reason", "One team.")]].concat()).await;
    assert_eq!(saved.status, StatusCode::SEE_OTHER, "{}", saved.body);
    assert_eq!(finance.get(statement).await.body, stated);
    assert_ne!(finance.get(by_day).await.body, charged);
    assert!(booked(&world).await.is_empty());
    world.assert_clean().await;
    let id = saved.location().rsplit('-').next().unwrap().to_owned();
    for change in ["last", "delete"] {
        let page = finance.get(&format!("/rules/{id}/change?to={change}")).await;
        assert!(page.body.contains(told), "{change}: {}", page.body);
    }
    reopen(&pools, month("2026-09"), "With the new rule.", BY, now).await.unwrap();
    assert_ne!(finance.get(statement).await.body, stated);
    assert!(!finance.get(&format!("/rules/{id}/change?to=delete")).await.body.contains("is closed: its"));
}

/// A rule without days moves all history: a closed month is named however long it is over, and only where the rule's days
/// reach it.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_preview_names_closed_months_of_long_ago(db: PgPool) {
    let world = world(&db).await;
    let pools = world.app.state.pools.clone();
    let may = [
        Line { billed: "2026-05", day: "2026-05-05", ..Line::default() },
        Line { billed: "2026-05", day: "2026-05-05", service: "ledger", ..Line::default() },
    ];
    let june = [Line { billed: "2026-06", day: "2026-06-05", service: "ledger", ..Line::default() }];
    world.import(&may, "2026-06-02T06:00:00Z").await;
    world.import(&june, "2026-07-02T06:00:00Z").await;
    world.import(&october(), "2026-11-02T06:00:00Z").await;
    let now = time("2026-11-10T10:00:00Z");
    close(&pools, month("2026-05"), "Done.", BY, now).await.unwrap();
    close(&pools, month("2026-06"), "Done.", BY, now).await.unwrap();
    let finance = world.finance().await;
    let rule = "applies_to=charges&attribute=tag:service&operator=equals&value=checkout&service=ledger&place=first";
    let preview = async |days: &str| {
        let page = finance.get(&format!("/rules/preview?{rule}{days}")).await;
        assert_eq!(page.status, StatusCode::OK, "{}", page.body);
        page.body
    };
    let told = "May 2026 is closed: its statement stays as it is";
    let all = preview("").await;
    assert!(all.contains(told), "June has nothing of checkout: {all}");
    assert!(preview("&last_day=2026-05-05").await.contains(told));
    for days in ["&first_day=2026-05-06", "&last_day=2026-05-04"] {
        assert!(!preview(days).await.contains(told), "{days}");
    }
    // The amounts are of the rule's own days.
    let dated = preview("&first_day=2026-05-01&last_day=2026-05-10").await;
    for text in [told, "1 to 10 May 2026", "($1.00 on the days", "stays $2.00 on the days"] {
        assert!(dated.contains(text), "{text}: {dated}");
    }
    assert!(!dated.contains("no cost") && !dated.contains("Last 90 days"), "{dated}");
}

/// Shares of a closed month follow cost of the same day in other bills: a rule that moves such cost names the month.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_preview_names_closed_months_whose_shares_change(db: PgPool) {
    let world = world(&db).await;
    let pools = world.app.state.pools.clone();
    let of_last_day = |billed, service| Line { billed, day: "2026-09-30", service, ..Line::default() };
    let september = [of_last_day("2026-09", "checkout"), of_last_day("2026-09", "ledger")];
    world.import(&september, "2026-10-02T06:00:00Z").await;
    let october = [of_last_day("2026-10", "search"), Line { service: "wallet", ..Line::default() }];
    world.import(&october, "2026-11-02T06:00:00Z").await;
    close(&pools, month("2026-09"), "Done.", BY, time("2026-11-10T10:00:00Z")).await.unwrap();
    let finance = world.finance().await;
    let preview = async |service: &str| {
        let rule = format!("applies_to=charges&attribute=tag:service&operator=equals&value={service}&service=checkout");
        let page = finance.get(&format!("/rules/preview?{rule}&place=first")).await;
        assert!(page.status == StatusCode::OK && page.body.contains("What changes hands"), "{}", page.body);
        page.body
    };
    let told = "September 2026 is closed: its statement";
    assert!(!preview("search").await.contains(told), "nothing is shared yet");
    let split = [("name", "Ledger"), ("source", "ledger"), ("method", "direct-cost"), ("reason", "All use it.")];
    assert_eq!(finance.post_form("/splits", &split).await.status, StatusCode::SEE_OTHER);
    assert!(preview("search").await.contains(told), "{}", preview("search").await);
    assert!(!preview("wallet").await.contains(told), "nothing is shared on its days");
}

/// The preview of a split names the closed months in which it moves something, not those among its days in which it moves
/// nothing: the month is that of the bill.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn the_preview_of_a_split_names_the_months_in_which_it_moves_cost(db: PgPool) {
    let world = world(&db).await;
    let pools = world.app.state.pools.clone();
    world.import(&september("100"), "2026-10-02T06:00:00Z").await;
    let both = [Line { cost: "50.5", ..Line::default() }, Line { cost: "3.5", service: "ledger", ..Line::default() }];
    world.import(&both, "2026-11-02T06:00:00Z").await;
    let now = time("2026-11-10T10:00:00Z");
    close(&pools, month("2026-09"), "Done.", BY, now).await.unwrap();
    let finance = world.finance().await;
    let preview = async |days: &str| {
        let url = format!("/splits/preview?name=Ledger&source=ledger&method=fixed&target=checkout&percent=100{days}");
        let page = finance.get(&url).await;
        assert!(page.status == StatusCode::OK && page.body.contains("Moves table"), "{}", page.body);
        page.body
    };
    let told = "September 2026 is closed: its statement stays as it is";
    assert!(preview("").await.contains(told));
    let october = preview("&first_day=2026-10-01").await;
    assert!(october.contains("$3.50") && !october.contains("closed: its statement"), "{october}");
    close(&pools, month("2026-10"), "Done.", BY, now).await.unwrap();
    assert!(preview("&first_day=2026-10-01").await.contains("October 2026 is closed: its statement"));
    assert!(preview("").await.contains("September 2026 and October 2026 are closed: their statements"));
}

/// A split's preview looks at the days on which the split holds, or held before the change, however long ago they are.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn the_preview_of_a_split_looks_at_the_days_on_which_it_holds(db: PgPool) {
    let world = world(&db).await;
    let pools = world.app.state.pools.clone();
    let ledger = |cost, day| Line { cost, billed: "2026-05", day, service: "ledger", ..Line::default() };
    world.import(&[ledger("3.5", "2026-05-05"), ledger("4.25", "2026-05-20")], "2026-06-02T06:00:00Z").await;
    let june = [Line { cost: "6", billed: "2026-06", day: "2026-06-05", service: "ledger", ..Line::default() }];
    world.import(&june, "2026-07-02T06:00:00Z").await;
    world.import(&october(), "2026-11-02T06:00:00Z").await;
    let now = time("2026-11-10T10:00:00Z");
    close(&pools, month("2026-05"), "Done.", BY, now).await.unwrap();
    close(&pools, month("2026-06"), "Done.", BY, now).await.unwrap();
    let finance = world.finance().await;
    let fields =
        [("name", "Ledger"), ("source", "ledger"), ("method", "fixed"), ("target", "checkout"), ("percent", "100")];
    let preview = async |more: &[(&str, &str)]| {
        let query = serde_urlencoded::to_string([&fields[..], more].concat()).unwrap();
        let page = finance.get(&format!("/splits/preview?{query}")).await;
        assert_eq!(page.status, StatusCode::OK, "{}", page.body);
        page.body
    };
    let both = "May 2026 and June 2026 are closed: their statements";
    let all = preview(&[]).await;
    assert!(all.contains("$13.75") && all.contains(both), "{all}");
    let dated = preview(&[("first_day", "2026-05-10"), ("last_day", "2026-05-31")]).await;
    for text in ["from 10 to 31 May 2026", "$4.25", "100.0%", "May 2026 is closed: its statement"] {
        assert!(dated.contains(text), "{text}: {dated}");
    }
    let later = preview(&[("first_day", "2026-11-01")]).await;
    assert!(
        later.contains("No bill has a day on which it holds") && !later.contains("closed: its statement"),
        "{later}"
    );
    let saved = finance.post_form("/splits", &[&fields[..], &[("reason", "One team.")]].concat()).await;
    assert_eq!(saved.status, StatusCode::SEE_OTHER, "{}", saved.body);
    let id = saved.location().rsplit('/').next().unwrap().to_owned();
    let undone = preview(&[("id", id.as_str()), ("first_day", "2026-06-01")]).await;
    for text in ["−$7.75", "May 2026 is closed: its statement"] {
        assert!(undone.contains(text), "{text}: {undone}");
    }
    assert!(preview(&[("id", id.as_str()), ("first_day", "2026-09-01")]).await.contains(both));
    // Its page says what it moved on its days, whatever the last ones are.
    let dates = [("id", id.as_str()), ("first_day", "2026-05-10"), ("last_day", "2026-05-31"), ("reason", "In May.")];
    let saved = finance.post_form("/splits", &[&fields[..], &dates].concat()).await;
    let page = finance.get(saved.location()).await.body;
    assert!(page.contains("+$4.25") && !page.contains("Nothing on these days"), "{page}");
    let list = finance.get("/splits").await.body;
    assert!(list.contains("holds on other days"), "{list}");
    world.assert_clean().await;
}

/// By the page: a reason is required, a running month cannot be closed, and a viewer cannot close at all.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_month_is_closed_on_its_page(db: PgPool) {
    let world = world(&db).await;
    world.import(&september("100"), "2026-10-02T06:00:00Z").await;
    let finance = world.finance().await;
    let page = finance.get("/finance/statements/2026-09").await;
    assert!(page.body.contains("/finance/statements/2026-09/close"));
    let ask = finance.get("/finance/statements/2026-09/close").await;
    assert!(ask.status == StatusCode::OK && ask.body.contains("Close September 2026"), "{}", ask.body);
    let refused = finance.post_form("/finance/statements/2026-09/close", &[("reason", " ")]).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert!(refused.body.contains("Say why"));
    let refused = finance.post_form("/finance/statements/2026-11/close", &[("reason", "Early.")]).await;
    assert!(refused.body.contains("November 2026 is not over yet"), "{}", refused.body);
    let closed = finance.post_form("/finance/statements/2026-09/close", &[("reason", "All <in>.")]).await;
    assert_eq!(closed.location(), "/finance/statements/2026-09");
    let page = finance.get("/finance/statements/2026-09").await;
    assert!(page.body.contains("All &#60;in&#62;.") && page.body.contains("/finance/statements/2026-09/reopen"));
    let list = finance.get("/finance/statements").await;
    assert!(list.body.contains("<td>Closed</td>"));
    let viewer = world.app.browser(Role::Viewer, false, &[]).await;
    let refused = viewer.post_form("/finance/statements/2026-09/reopen", &[("reason", "Mine.")]).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    let reopened = finance.post_form("/finance/statements/2026-09/reopen", &[("reason", "A credit note.")]).await;
    assert_eq!(reopened.location(), "/finance/statements/2026-09");
    assert!(finance.get("/finance/statements/2026-09").await.body.contains("A credit note."));
}
