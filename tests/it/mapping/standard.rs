//! The tag standard, commitments, and one line followed to who pays.

use super::finance;
use super::ledger::{line, load};
use crate::ledger::{Line, bill, import_as_of};
use crate::support::{TestApp, count};
use axum::http::StatusCode;
use costwake::store::Role;
use costwake::store::tokens::TokenScope;
use serde_json::json;
use sqlx::PgPool;

fn hrefs(html: &str, selector: &str) -> Vec<String> {
    let page = scraper::Html::parse_document(html);
    let links = scraper::Selector::parse(selector).unwrap();
    page.select(&links).filter_map(|link| link.attr("href").map(str::to_owned)).collect()
}

/// Coverage by money adds up to the cost that is asked, by key, team and month; the worst come first.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn tags_are_asked_for_and_what_lacks_them_is_listed(pool: PgPool) {
    load(
        &pool,
        "a",
        &[
            line("111", json!({"service": "shop", "env": "prod", "Owner": "ann"}), 30, "40"),
            line("111", json!({"service": "shop", "env": "prod", "contact": "bob"}), 30, "10"),
            line("222", json!({"service": "search", "env": "prod", "owner": "nobody"}), 30, "20"),
            line("222", json!({"service": "search", "env": "prod"}), 30, "30"),
            line("222", json!({"service": "search", "env": "dev"}), 30, "500"),
        ],
    )
    .await;
    let app = finance(&pool).await;
    assert!(app.get("/tags").await.body.contains("No tag is asked for"));
    let fields = [
        ("key", "owner"),
        ("aliases", "contact"),
        ("kind", "production"),
        ("values", "ann = Anna\nbob"),
        ("exact", "yes"),
    ];
    let refused = app.post_form("/tags", &fields).await;
    assert!(refused.status == StatusCode::BAD_REQUEST && refused.body.contains("Say why"), "{}", refused.body);
    assert!(refused.body.contains("ann = Anna"), "nothing that was filled in is lost");
    let saved = app.post_form("/tags", &[fields.as_slice(), &[("reason", "We must know whom to ask.")]].concat()).await;
    assert_eq!(saved.status, StatusCode::SEE_OTHER, "{}", saved.body);
    assert_eq!(super::ledger::differences(&pool).await, 0, "keyed by the tag, and nothing lost");
    let page = app.get("/tags").await.body;
    for text in ["50.0%", "$40.00", "$10.00", "$20.00", "$30.00", "in production"] {
        assert!(page.contains(text), "{text}: {page}");
    }
    assert!(!page.contains("$500"), "development is not asked");
    // Each figure leads to the lines that make it, and to no others.
    for amount in ["$40.00", "$10.00", "$20.00", "$30.00"] {
        let href = super::link(&page, amount).unwrap_or_else(|| panic!("{amount} leads nowhere: {page}"));
        let lines = app.get(&href).await.body;
        assert!(lines.contains(&format!("One line makes {amount}.")), "{href}: {lines}");
    }
    let worst = hrefs(&page, "section[aria-labelledby=h-worst] td a");
    for (href, (amount, words)) in worst
        .iter()
        .zip([("$30.00", "required tag owner missing"), ("$20.00", "required tag owner not allowed: nobody")])
    {
        let lines = app.get(href).await.body;
        assert!(lines.contains(&format!("One line makes {amount}.")) && lines.contains(words), "{href}: {lines}");
        assert!(href.contains("account=222") && href.contains("bought=Compute"), "{href}");
    }
    assert_eq!(worst.len(), 2, "{worst:?}");
    for wrong in ["missing:moon", "moon:owner", "owner"] {
        assert_eq!(app.get(&format!("/charges?gap={wrong}")).await.status, StatusCode::BAD_REQUEST, "{wrong}");
    }
    // Other days, also in files.
    let before = app.get("/tags?period=2026-10-01..2026-10-29&vs=py").await.body;
    assert!(before.contains("Nothing lacks a required tag") && !before.contains("$40.00"), "{before}");
    assert!(before.contains("Ignored: vs. This page knows period, team."), "{before}");
    assert!(before.contains("/tags/required.csv?period=2026-10-01..2026-10-29"), "{before}");
    let file = app.get("/tags.csv?period=2026-10-01..2026-10-29").await.body;
    assert_eq!(file.lines().count(), 1, "{file}");
    assert_eq!(app.get("/tags?period=2027-03").await.status, StatusCode::BAD_REQUEST);
    // The months of one team.
    sqlx::query("INSERT INTO team (slug, name) VALUES ('shop-team', 'Shop team')").execute(&pool).await.unwrap();
    sqlx::query("UPDATE service SET team_id = (SELECT team_id FROM team WHERE slug = 'shop-team') WHERE slug = 'shop'")
        .execute(&pool)
        .await
        .unwrap();
    let covered = |page: &str| crate::finance::texts(page, "section[aria-labelledby=h-months] tbody tr").join("; ");
    let (all, team) = (app.get("/tags").await.body, app.get("/tags?team=Shop+team").await.body);
    assert!(all.contains("/tags?team=Shop+team#h-months") && covered(&all).contains("50.0%"), "{}", covered(&all));
    assert!(!covered(&team).is_empty() && !covered(&team).contains("50.0%"), "{}", covered(&team));
    assert_eq!(app.get("/tags?team=Moon").await.status, StatusCode::BAD_REQUEST);
    sqlx::query("UPDATE service SET team_id = NULL").execute(&pool).await.unwrap();
    let csv = app.get("/tags.csv").await.body;
    assert!(csv.contains("owner,missing,,,search,222,Compute,USD,30"), "{csv}");
    assert!(csv.contains("owner,not allowed,nobody,,search,222,Compute,USD,20"), "{csv}");
    let token = app.token(TokenScope::Read, Role::Finance).await;
    let api = app.api("GET", "/api/v1/tag-coverage", &token, json!(null)).await.json();
    assert_eq!(api.as_array().unwrap().len(), 4, "{api}");
    assert!(api.to_string().contains("written-otherwise"), "{api}");
    let again = app.post_form("/tags", &[("key", "OWNER"), ("reason", "x")]).await;
    assert_eq!(again.status, StatusCode::CONFLICT, "{}", again.body);
    let bad = app.post_form("/tags", &[("key", "@x"), ("reason", "x")]).await;
    assert_eq!(bad.status, StatusCode::BAD_REQUEST);
    let id = count(&pool, "SELECT tag_rule_id FROM tag_rule").await;
    assert_eq!(app.post_form(&format!("/tags/{id}/delete"), &[]).await.status, StatusCode::SEE_OTHER);
    assert!(app.get("/tags").await.body.contains("No tag is asked for"));
}

/// A line of a cost that is divided shows every part, with the splits on the way; the parts add up to the line.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_line_is_followed_to_who_pays(pool: PgPool) {
    let lines = [
        Line::of("2026-10", 3, "net", "60"),
        Line::of("2026-10", 3, "net", "40"),
        Line::of("2026-10", 3, "shop", "30"),
        Line::of("2026-10", 3, "search", "10"),
    ];
    import_as_of(&pool, "first", &bill(&lines), 1).await;
    let app = finance(&pool).await;
    let token = app.token(TokenScope::Admin, Role::Finance).await;
    let split = json!({"name": "Network", "source": "net", "method": "direct-cost", "reason": "Shared by all."});
    assert_eq!(app.api("POST", "/api/v1/splits", &token, split).await.status, StatusCode::CREATED);
    let generation = count(&pool, "SELECT generation_id FROM generation").await;
    let page = app.get(&format!("/charges/{generation}/2")).await.body;
    for text in ["Who pays in the end", "$45", "$15", "Network"] {
        assert!(page.contains(text), "{text}: {page}");
    }
    let own = app.get(&format!("/charges/{generation}/4")).await.body;
    assert!(!own.contains("Who pays in the end"), "nobody divides the shop's cost");
    let lede = |page: &str| crate::finance::texts(page, "p.lede").join(" ");
    assert!(lede(&own).starts_with("$30.00 (EffectiveCost) of ") && lede(&own).contains("no team"), "{}", lede(&own));
    let team = "INSERT INTO team (slug, name, cost_center) VALUES ('net', 'Net', 'CC-1') RETURNING team_id";
    let team: i64 = sqlx::query_scalar(team).fetch_one(&pool).await.unwrap();
    sqlx::query("UPDATE service SET team_id = $1 WHERE slug = 'net'").bind(team).execute(&pool).await.unwrap();
    let page = app.get(&format!("/charges/{generation}/2")).await.body;
    let said = lede(&page);
    assert!(said.starts_with("$60.00 (EffectiveCost) of ") && said.contains("divided as a shared cost"), "{said}");
    assert!(!said.contains("paid by Net"), "the parts say who pays: {said}");
    // The cost center of the team, until a rule names another one: then only that one stands there.
    let who = |page: &str| crate::finance::texts(page, "section[aria-labelledby=h-who] tbody tr").join("; ");
    assert!(who(&page).contains("CC-1") && who(&page).contains("of the team"), "{}", who(&page));
    let rule = json!({"applies_to": "charges", "note": "The network has a cost center of its own.",
        "conditions": [{"attribute": "tag:service", "operator": "equals", "value": "net"}],
        "dimensions": [{"dimension": "cost_center", "value": "CC-9"}]});
    assert_eq!(app.api("POST", "/api/v1/rules", &token, rule).await.status, StatusCode::CREATED);
    let page = app.get(&format!("/charges/{generation}/2")).await.body;
    assert!(who(&page).contains("CC-9") && !who(&page).contains("CC-1"), "{}", who(&page));
    assert!(!who(&page).contains("of the team"), "{}", who(&page));
    let member = app.browser(Role::Member, false, &[team]).await;
    let page = member.get(&format!("/charges/{generation}/2")).await.body;
    assert!(page.contains("Services of other teams") && !page.contains("$45"), "{page}");
}

/// Used and unused parts, coverage, and a rule that gives the unused part to a service.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn commitments_are_shown_and_their_unused_part_is_given_away(pool: PgPool) {
    let header = "BilledCost,EffectiveCost,ListCost,ContractedCost,BillingAccountId,BillingCurrency,BillingPeriodStart,\
        BillingPeriodEnd,ChargePeriodStart,ChargePeriodEnd,ChargeCategory,ProviderName,PublisherName,InvoiceIssuerName,ServiceCategory,\
        ServiceName,SubAccountId,PricingCategory,CommitmentDiscountId,CommitmentDiscountStatus,Tags";
    let row = |billed: &str, effective: &str, list: &str, category: &str, pricing: &str, id: &str, status: &str| {
        format!(
            "{billed},{effective},{list},{list},A,USD,2026-10-01T00:00:00Z,2026-11-01T00:00:00Z,2026-10-30T00:00:00Z,\
             2026-10-31T00:00:00Z,{category},Acme,Acme,Acme,Compute,Machines,buyer,{pricing},{id},{status},{{}}"
        )
    };
    let text = [
        header.to_owned(),
        row("100", "0", "100", "Purchase", "Committed", "ri-1", ""),
        row("0", "75", "120", "Usage", "Committed", "ri-1", "Used"),
        row("0", "25", "0", "Usage", "Committed", "ri-1", "Unused"),
        row("80", "80", "80", "Usage", "Standard", "", ""),
    ];
    let receipt = import_as_of(&pool, "a", &text.join("\n"), 1).await;
    assert_eq!(receipt.state, "published", "{:?}", receipt.reason);
    let app = finance(&pool).await;
    let page = app.get("/commitments").await.body;
    for text in ["ri-1", "$75.00", "$25.00", "75.0%", "60.0%", "$100.00 of commitments"] {
        assert!(page.contains(text), "{text}: {page}");
    }
    let csv = app.get("/commitments.csv").await.body;
    assert!(csv.contains("ri-1,Acme,USD,75,25,100"), "{csv}");
    over_time(&app).await;
    app.post_form("/catalogue/add-service", &[("name", "Unused")]).await;
    let url = super::link(&page, "Make a rule").unwrap().replace("/rules/new?", "/rules/preview?");
    let preview = app.get(&format!("{url}&service=unused")).await;
    assert!(preview.body.contains("1 kind of charge ($25.00"), "{}", preview.body);
    let fields = super::hidden_fields(&preview.body, "/rules");
    let mut fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    fields.push(("reason", "Platform bears what is unused."));
    assert_eq!(app.post_form("/rules", &fields).await.status, StatusCode::SEE_OTHER);
    assert_eq!(super::ledger::costs(&pool).await, ["-/- 155 USD", "unused/- 25 USD"]);
    crate::ledger::assert_clean(&pool).await;
    assert!(app.get("/commitments").await.body.contains("/services/unused"));
    // The same in a currency of the provider's own.
    let tokens = text.join("\n").replace(",A,USD,", ",B,Tokens,").replace(",buyer,", ",seller,");
    let receipt = import_as_of(&pool, "b", &tokens, 1).await;
    assert_eq!(receipt.state, "published", "{:?}", receipt.reason);
    in_any_letter_case(&app).await;
}

/// A currency is read as the bills write it, whatever the letter case of the address.
async fn in_any_letter_case(app: &TestApp) {
    let token = app.token(TokenScope::Read, Role::Finance).await;
    for (asked, currency) in [("usd", "USD"), ("tokens", "Tokens")] {
        let csv = app.get(&format!("/commitments.csv?cur={asked}")).await.body;
        assert!(csv.contains(&format!("ri-1,Acme,{currency},75,25,100")) && csv.lines().count() == 2, "{csv}");
        let page = app.get(&format!("/commitments?cur={asked}")).await.body;
        assert!(page.contains("ri-1") && page.contains("60.0%"), "{page}");
        let path = format!("/api/v1/commitments?cur={asked}");
        let api = app.api("GET", &path, &token, serde_json::Value::Null).await.json();
        for list in ["commitments", "coverage", "unused", "days", "months"] {
            let rows = api[list].as_array().unwrap();
            assert!(rows.len() == 1 && rows[0]["billing_currency"] == currency, "{list}: {api}");
        }
        let savings = app.get(&format!("/savings.csv?cur={asked}")).await.body;
        assert_eq!(savings, app.get(&format!("/savings.csv?cur={currency}")).await.body);
    }
}

/// Days and months, the file and the API say what the tables say.
async fn over_time(app: &TestApp) {
    let page = app.get("/commitments?period=2026-10").await.body;
    for text in ["Over time", "October 2026", "Fri 30 Oct 2026", "75.0%", "60.0%", "<svg"] {
        assert!(page.contains(text), "{text}: {page}");
    }
    let day = app.get("/commitments.csv?by=day").await.body;
    assert!(day.contains("2026-10-30,2026-10-30,USD,75,25,120,200,100"), "{day}");
    let month = app.get("/commitments.csv?by=month&period=2026-10").await.body;
    assert!(month.contains(",USD,75,25,120,200,100") && month.contains("2026-10-01,2026-10-3"), "{month}");
    assert!(app.get("/commitments.csv?by=buyer").await.body.contains("buyer,,,USD,25"));
    assert!(app.get("/commitments.csv?by=bought").await.body.contains("Acme,Machines,USD,120,200"));
    let refused = app.get("/commitments.csv?by=day&cur=EUR").await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert!(refused.body.contains("cur=EUR is not known. Allowed: USD."), "{}", refused.body);
    assert_eq!(app.get("/commitments?by=week").await.status, StatusCode::BAD_REQUEST);
    let token = app.token(TokenScope::Read, Role::Finance).await;
    let api = app.api("GET", "/api/v1/commitments", &token, serde_json::Value::Null).await.json();
    let of = |list: &str, name: &str| api[list][0][name].as_str().map(str::to_owned).unwrap_or_default();
    for list in ["days", "months"] {
        let sums = ["used", "unused", "covered", "usage", "purchased"].map(|name| of(list, name));
        assert_eq!(sums, ["75", "25", "120", "200", "100"], "{api}");
    }
    assert_eq!((of("commitments", "commitment_discount_id"), of("commitments", "used")), ("ri-1".into(), "75".into()));
    assert_eq!((of("unused", "sub_account_id"), of("unused", "unused")), ("buyer".into(), "25".into()));
    assert_eq!((of("coverage", "covered"), of("coverage", "usage")), ("120".into(), "200".into()));
}
