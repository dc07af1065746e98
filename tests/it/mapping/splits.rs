//! Shared costs: divided exactly, worked out again with every bill, rule and metric, and shown before they are saved.

use super::ledger::costs;
use super::{finance, hidden_fields};
use crate::ledger::{Line, assert_clean, bill, import_as_of, withdraw_source};
use crate::support::{TestApp, count, pools};
use axum::http::StatusCode;
use bigdecimal::BigDecimal;
use costwake::focus::DateRange;
use costwake::rollup::what_if::{self, Shared, Side};
use costwake::rollup::{Person, cluster_reports, mapper, metrics_import, namespace_usage, rebuild, remap};
use costwake::store::tokens::TokenScope;
use costwake::store::{Role, Scope, mapping_rules};
use serde_json::{Value, json};
use sqlx::PgPool;
use std::collections::{BTreeMap, BTreeSet};

fn of_account(account: &str, mut line: Line) -> Line {
    line.account = account.into();
    line
}

async fn two_clouds(pool: &PgPool) {
    let first = [
        Line::of("2026-10", 3, "net", "100"),
        Line::of("2026-10", 3, "shop", "30"),
        Line::of("2026-10", 3, "search", "10"),
        Line::of("2026-10", 4, "net", "7"),
        Line::of("2026-10", 4, "shop", "5"),
        Line::of("2026-10", 5, "net", "1"),
    ];
    assert_eq!(import_as_of(pool, "first", &bill(&first), 1).await.state, "published");
    second_cloud(pool, "20", 1).await;
}

async fn second_cloud(pool: &PgPool, cost: &str, day: u32) {
    let second = [of_account("B", Line::of("2026-10", 3, "shop", cost))];
    let receipt = import_as_of(pool, "second", &bill(&second), day).await;
    assert_eq!(receipt.state, "published", "{:?}", receipt.reason);
}

async fn add(app: &TestApp, token: &str, split: Value) -> i64 {
    let made = app.api("POST", "/api/v1/splits", token, split).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    made.json()["id"].as_i64().unwrap()
}

fn net(method: &str) -> Value {
    json!({"name": "Network", "source": "net", "method": method, "reason": "All services use the network."})
}

/// Shares follow the services' own cost of the day, over all bills; a restated or withdrawn bill changes them too.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn shares_follow_own_cost_and_every_bill(pool: PgPool) {
    two_clouds(&pool).await;
    let before = ["net/- 108 USD", "search/- 10 USD", "shop/- 55 USD"];
    assert_eq!(costs(&pool).await, before);
    let app = finance(&pool).await;
    let token = app.token(TokenScope::Admin, Role::Finance).await;
    let id = add(&app, &token, net("direct-cost")).await;
    // Of day 3, 100 × 50/60 and 100 × 10/60; all of day 4; of day 5 nobody has cost, so it stays.
    let shared = ["net/- 1 USD", "search/- 26.6666666667 USD", "shop/- 145.3333333333 USD"];
    assert_eq!(costs(&pool).await, shared);
    assert_clean(&pool).await;

    second_cloud(&pool, "40", 5).await;
    assert_eq!(costs(&pool).await, ["net/- 1 USD", "search/- 22.5 USD", "shop/- 169.5 USD"]);
    assert_clean(&pool).await;
    second_cloud(&pool, "20", 6).await;
    assert_eq!(costs(&pool).await, shared);
    withdraw_source(&pool, "second").await;
    assert_eq!(costs(&pool).await, ["net/- 1 USD", "search/- 35 USD", "shop/- 117 USD"]);
    assert_clean(&pool).await;
    rebuild::rebuild(&pools(&pool), "test", super::now(), |_, _| {}).await.unwrap();
    assert_eq!(costs(&pool).await, ["net/- 1 USD", "search/- 35 USD", "shop/- 117 USD"]);
    assert_clean(&pool).await;

    // A rule gives the search's cost to the shop: it gets the whole share as well.
    let rule = json!({"applies_to": "charges", "service": "shop", "place": "first", "note": "One product now.",
        "conditions": [{"attribute": "tag:service", "operator": "equals", "value": "search"}]});
    assert_eq!(app.api("POST", "/api/v1/rules", &token, rule).await.status, StatusCode::CREATED);
    assert_eq!(costs(&pool).await, ["net/- 1 USD", "shop/- 152 USD"]);
    assert_clean(&pool).await;
    // A wrong digit in a share is found.
    sqlx::query(
        "UPDATE daily_cost SET effective_cost = effective_cost + 0.01 WHERE split_id <> 0 AND effective_cost > 0",
    )
    .execute(&pool)
    .await
    .unwrap();
    let checks = costwake::rollup::verify::verify(&mut pool.acquire().await.unwrap()).await.unwrap();
    let broken = checks.iter().filter(|check| !check.differences.is_empty()).count();
    assert!(broken >= 3, "zero sums, months, worked out: {checks:?}");
    let gone = app.api("POST", &format!("/api/v1/splits/{id}/delete"), &token, json!({"reason": "Not shared."})).await;
    assert_eq!(gone.status, StatusCode::OK, "{}", gone.body);
    assert_eq!(costs(&pool).await, ["net/- 108 USD", "shop/- 45 USD"]);
    assert_eq!(count(&pool, "SELECT count(*) FROM split_version").await, 2);
}

/// What the preview says is what saving does; the page of a service shows its share, and all pages the same total.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_preview_tells_what_moves_and_what_does_not(pool: PgPool) {
    two_clouds(&pool).await;
    let app = finance(&pool).await;
    let url =
        "/splits/preview?name=Network&source=net&method=fixed&target=shop&percent=62.5&target=search&percent=37.5";
    let preview = app.get(url).await;
    assert_eq!(preview.status, StatusCode::OK, "{}", preview.body);
    for text in ["$67.50", "$40.50", "The total of all services stays $173.00"] {
        assert!(preview.body.contains(text), "{text}: {}", preview.body);
    }
    assert_eq!(count(&pool, "SELECT count(*) FROM split").await, 0, "a preview writes nothing");
    let fields = hidden_fields(&preview.body, "/splits");
    let mut fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let refused = app.post_form("/splits", &fields).await;
    assert!(refused.status == StatusCode::BAD_REQUEST && refused.body.contains("Say why"), "{}", refused.body);
    fields.push(("reason", "As agreed in the budget."));
    let saved = app.post_form("/splits", &fields).await;
    assert_eq!(saved.status, StatusCode::SEE_OTHER, "{}", saved.body);
    assert_eq!(costs(&pool).await, ["net/- 0 USD", "search/- 50.5 USD", "shop/- 122.5 USD"]);
    assert_clean(&pool).await;
    let page = app.get(saved.location()).await;
    assert!(page.body.contains("+$67.50") && page.body.contains("As agreed in the budget."), "{}", page.body);
    let shop = app.get("/services/shop?period=2026-10").await;
    assert!(shop.body.contains("Shared cost: Network") && shop.body.contains("$123"), "{}", shop.body);
    assert!(app.get("/splits").await.body.contains("$108.00"));
    let form = app.get(&format!("{}/edit", saved.location())).await;
    assert!(form.body.contains("62.5") && form.body.contains("Network"), "{}", form.body);
}

/// Effective cost by slug of the service, after all splits.
async fn by_service(pool: &PgPool) -> BTreeMap<String, BigDecimal> {
    let rows: Vec<(String, BigDecimal)> = sqlx::query_as(
        "SELECT coalesce(s.slug, '-'), sum(d.effective_cost)
         FROM daily_cost d JOIN generation g ON g.generation_id = d.generation_id AND g.state = 'current'
         LEFT JOIN service s USING (service_id) GROUP BY 1",
    )
    .fetch_all(pool)
    .await
    .unwrap();
    rows.into_iter().collect()
}

/// What splits would move along with a rule before all others that gives what these conditions match to a service, or
/// to the one that its tag names.
async fn previewed(pool: &PgPool, conditions: &Value, service: Option<&str>) -> Shared {
    let mut conn = pool.acquire().await.unwrap();
    let id: Option<i64> = match service {
        None => None,
        Some(slug) => Some(
            sqlx::query_scalar("SELECT service_id FROM service WHERE slug = $1")
                .bind(slug)
                .fetch_one(&mut *conn)
                .await
                .unwrap(),
        ),
    };
    let values = mapping_rules::RuleValues {
        applies_to: "charges".into(),
        conditions: conditions.clone(),
        service_id: id,
        service_from_attribute: service.is_none().then(|| "sub_account_name".to_owned()),
        adds_to_catalogue: service.is_none(),
        ..mapping_rules::RuleValues::default()
    };
    let mut rules = mapper::rules_of(&mapping_rules::list(&mut conn).await.unwrap()).unwrap();
    rules.insert(0, mapper::rule_of(0, &values).unwrap());
    let days = DateRange::days_to("2026-10-31".parse().unwrap(), 90);
    let catalogue = mapper::catalogue_names(&mut conn).await.unwrap();
    let question = what_if::Question {
        rules: &rules,
        catalogue,
        rule_id: Some(0),
        removed_service: None,
        recent: days,
        long: days,
    };
    what_if::ask(&mut conn, &Scope::everything(), question).await.unwrap().shared
}

/// The figures that an answer foretells by slug, of those that it names: before, and after.
async fn foretold(pool: &PgPool, shared: &Shared) -> [BTreeMap<String, BigDecimal>; 2] {
    let mut sides: [BTreeMap<String, BigDecimal>; 2] = Default::default();
    for one in &shared.owners {
        let slug = match &one.owner.service {
            Side::Nobody => "-".to_owned(),
            Side::Added(slug) => slug.clone(),
            Side::Known(id) => sqlx::query_scalar("SELECT slug FROM service WHERE service_id = $1")
                .bind(id)
                .fetch_one(pool)
                .await
                .unwrap(),
        };
        for (side, cost) in sides.iter_mut().zip([&one.now, &one.then]) {
            *side.entry(slug.clone()).or_default() += &cost.long;
        }
    }
    sides
}

/// Whether a rule gives cost to what is divided, takes it from there, or changes what it is divided by: what splits move
/// along is foretold to the last digit, also for a service that is not there yet and for resources that no key tells
/// apart.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_rule_foretells_what_splits_move_along(pool: PgPool) {
    two_clouds(&pool).await;
    let third = [Line::of("2026-10", 4, "search", "3"), Line::of("2026-10", 3, "shop", "0.000000000001")];
    let third = third.map(|line| of_account("C", line));
    assert_eq!(import_as_of(&pool, "third", &bill(&third), 1).await.state, "published");
    let app = finance(&pool).await;
    let token = app.token(TokenScope::Admin, Role::Finance).await;
    add(&app, &token, net("direct-cost")).await;
    let search = json!({"name": "Search for shops", "source": "search", "method": "fixed", "reason": "Shops search.",
        "targets": [{"service": "shop", "percent": "100"}], "first_day": "2026-10-04"});
    add(&app, &token, search).await;
    let condition =
        |attribute: &str, value: &str| json!([{"attribute": attribute, "operator": "equals", "value": value}]);
    for (conditions, service) in [
        (condition("sub_account_id", "sub-B"), Some("net")),
        (condition("tag:service", "search"), Some("shop")),
        (condition("sub_account_id", "sub-B"), None),
        (condition("resource_id", "vm-search"), Some("net")),
    ] {
        let case = format!("{conditions} to {service:?}");
        let shared = previewed(&pool, &conditions, service).await;
        assert!(!shared.moves.is_empty(), "{case}");
        let [now, then] = foretold(&pool, &shared).await;
        let before = by_service(&pool).await;
        let mut rule =
            json!({"applies_to": "charges", "place": "first", "note": "As foretold.", "conditions": conditions});
        match service {
            Some(slug) => rule["service"] = json!(slug),
            None => {
                rule["service_from_attribute"] = json!("sub_account_name");
                rule["adds_to_catalogue"] = json!(true);
            }
        }
        let made = app.api("POST", "/api/v1/rules", &token, rule).await;
        assert_eq!(made.status, StatusCode::CREATED, "{case}: {}", made.body);
        let after = by_service(&pool).await;
        let slugs: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        for slug in slugs {
            let of = |all: &BTreeMap<String, BigDecimal>| all.get(slug).cloned().unwrap_or_default();
            let expected = if then.contains_key(slug) { of(&then) } else { of(&before) };
            assert_eq!(of(&after), expected, "{case}: {slug}");
            assert!(!now.contains_key(slug) || of(&now) == of(&before), "{case}: {slug} now");
        }
        assert_eq!(after.values().sum::<BigDecimal>(), before.values().sum::<BigDecimal>(), "{case}");
        assert_clean(&pool).await;
    }
}

/// The page names each share that changes, with its split, and what everyone has then; that is what pages show after.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn the_preview_of_a_rule_shows_shared_costs(pool: PgPool) {
    two_clouds(&pool).await;
    let app = finance(&pool).await;
    let token = app.token(TokenScope::Admin, Role::Finance).await;
    let url = "/rules/preview?applies_to=charges&attribute=sub_account_id&operator=equals&value=sub-B&service=net\
        &place=first";
    let without = app.get(url).await;
    assert!(without.body.contains("$20.00") && !without.body.contains("What shared costs move"), "{}", without.body);
    let id = add(&app, &token, net("direct-cost")).await;
    let preview = app.get(url).await;
    // Of day 3: 120 among shop's 30 and search's 10, where it was 100 among 50 and 10.
    let split = format!("<a href=\"/splits/{id}\">Network</a>");
    for text in ["What shared costs move along", split.as_str(), "+$6.67", "+$13.33", "$145.33", "$132.00", "$40.00"] {
        assert!(preview.body.contains(text), "{text}: {}", preview.body);
    }
    let fields = hidden_fields(&preview.body, "/rules");
    let mut fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    fields.push(("reason", "It pays for the network."));
    assert_eq!(app.post_form("/rules", &fields).await.status, StatusCode::SEE_OTHER);
    assert_eq!(costs(&pool).await, ["net/- 1 USD", "search/- 40 USD", "shop/- 132 USD"]);
    assert_clean(&pool).await;
    let services = app.get("/services?period=2026-10").await;
    for text in ["$132", "$40", "$173"] {
        assert!(services.body.contains(text), "{text}: {}", services.body);
    }
}

/// What cannot be kept is refused with a sentence that names it, and nothing is lost.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn wrong_splits_are_refused(pool: PgPool) {
    two_clouds(&pool).await;
    let app = finance(&pool).await;
    let token = app.token(TokenScope::Admin, Role::Finance).await;
    let fixed = |shop: &str, search: &str| {
        json!({"name": "Network", "source": "net", "method": "fixed", "reason": "test",
            "targets": [{"service": "shop", "percent": shop}, {"service": "search", "percent": search}]})
    };
    let to = |source: &str, target: &str| {
        json!({"name": format!("{source} to {target}"), "source": source, "method": "even", "reason": "test",
            "targets": [{"service": target}]})
    };
    add(&app, &token, to("net", "shop")).await;
    add(&app, &token, to("shop", "search")).await;
    assert_eq!(costs(&pool).await, ["net/- 0 USD", "search/- 173 USD", "shop/- 0 USD"], "a chain");
    assert_clean(&pool).await;
    let without_reason = json!({"name": "x", "method": "even"});
    for (split, sentence) in [
        (fixed("33.3", "33.3"), "add up to 66.6, not to 100"),
        (fixed("100", "0"), "needs a percentage above 0"),
        (to("search", "net"), "round in a loop: "),
        (to("net", "search"), "divide the same cost on the same days"),
        (to("net", "net"), "take the service itself from the list"),
        (json!({"name": "x", "source": "search", "method": "metric", "reason": "r"}), "needs the metric"),
        (json!({"name": "x", "source": "nobody", "method": "even", "reason": "r"}), "no service “nobody”"),
        (without_reason, "Say why"),
    ] {
        let answer = app.api("POST", "/api/v1/splits", &token, split).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{sentence}: {}", answer.body);
        assert!(answer.body.contains(sentence), "{sentence}: {}", answer.body);
    }
    let mut back = to("search", "net");
    back["first_day"] = json!("2026-10-20");
    let answer = app.api("POST", "/api/v1/splits", &token, back.clone()).await;
    assert!(answer.body.contains("give one of the splits other days"), "{}", answer.body);
    let page = app.get("/splits/preview?name=x&source=search&method=even&target=net").await;
    assert!(page.body.contains("round in a loop") && page.body.contains("net"), "{}", page.body);
    assert_eq!(page.status, StatusCode::BAD_REQUEST);
    assert_eq!(count(&pool, "SELECT count(*) FROM split").await, 2);
}

/// A metric divides by usage, in each environment by itself where it is asked; without a value the cost stays.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn shares_follow_a_metric(pool: PgPool) {
    two_clouds(&pool).await;
    let app = finance(&pool).await;
    let token = app.token(TokenScope::Admin, Role::Finance).await;
    let mut split = net("metric");
    split["metric"] = json!("requests");
    add(&app, &token, split).await;
    assert_eq!(costs(&pool).await, ["net/- 108 USD", "search/- 10 USD", "shop/- 55 USD"], "no value yet");
    assert!(app.get("/splits").await.body.contains("$108.00"), "told as not divided");
    let text = b"metric,service,day,value\nrequests,shop,2026-10-03,1\nrequests,Search,2026-10-03,3\n";
    let report = metrics_import::import(&pools(&pool), text, "test", "", super::now()).await.unwrap();
    assert_eq!((report.point_count, report.metrics), (2, vec!["requests".to_owned()]));
    assert_eq!(costs(&pool).await, ["net/- 8 USD", "search/- 85 USD", "shop/- 80 USD"]);
    metrics_import::import(&pools(&pool), text, "test", "", super::now()).await.unwrap();
    assert_eq!(count(&pool, "SELECT count(*) FROM metric_point").await, 2);
    assert_clean(&pool).await;
    let wrong = b"metric,service,day,value\nrequests,shop,2026-10-04,1\nrequests,nobody,2026-10-04,1\n";
    assert!(metrics_import::import(&pools(&pool), wrong, "test", "", super::now()).await.is_err());
    assert_eq!(count(&pool, "SELECT count(*) FROM metric_point").await, 2, "all lines or none");
}

/// Who is in an environment is there for cost in any currency: preview, figures, lines and the proof say the same.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn percentages_in_an_environment_are_of_any_currency(pool: PgPool) {
    let euros = |mut line: Line| {
        line.currency = "EUR".into();
        line
    };
    let lines = [
        Line::of("2026-10", 3, "net", "100"),
        euros(Line::of("2026-10", 3, "net", "8")),
        euros(Line::of("2026-10", 4, "net", "3")),
        Line::of("2026-10", 3, "shop", "30"),
        euros(Line::of("2026-10", 3, "search", "2")),
    ];
    assert_eq!(import_as_of(&pool, "first", &bill(&lines), 1).await.state, "published");
    let app = finance(&pool).await;
    let token = app.token(TokenScope::Admin, Role::Finance).await;
    let url = "/splits/preview?name=Network&source=net&method=fixed&target=shop&percent=75&target=search&percent=25\
        &by_environment=yes";
    let preview = app.get(url).await;
    for text in ["$75.00", "$25.00", "€6.00", "€2.00", "75.0%", "25.0%", "€3.00 could not be divided", "any currency"]
    {
        assert!(preview.body.contains(text), "{text}: {}", preview.body);
    }
    let split = json!({"name": "Network", "source": "net", "method": "fixed", "by_environment": true,
        "targets": [{"service": "shop", "percent": "75"}, {"service": "search", "percent": "25"}], "reason": "Agreed."});
    let id = add(&app, &token, split).await;
    let shared = ["net/- 0 USD", "net/- 3 EUR", "search/- 25 USD", "search/- 4 EUR", "shop/- 105 USD", "shop/- 6 EUR"];
    let mut costs = costs(&pool).await;
    costs.sort();
    let mut shared = shared.map(str::to_owned);
    shared.sort();
    assert_eq!(costs, shared);
    assert_clean(&pool).await;
    let page = app.get(&format!("/splits/{id}?period=2026-10-01..2026-10-31")).await;
    for text in ["75.0%", "25.0%", "in any currency"] {
        assert!(page.body.contains(text), "{text}: {}", page.body);
    }
    let generation = count(&pool, "SELECT generation_id FROM generation").await;
    let line = async |number: i32| app.get(&format!("/charges/{generation}/{number}")).await.body;
    let divided = line(3).await;
    assert!(divided.contains("Who pays in the end") && divided.contains("75.0%"), "{divided}");
    let stayed = line(4).await;
    for text in ["could not divide this cost, because nobody among them has cost of their own", "It stays with net"] {
        assert!(stayed.contains(text), "{text}: {stayed}");
    }
    // What was worked out otherwise before is worked out once more.
    sqlx::query("DELETE FROM daily_cost WHERE split_id <> 0 AND billing_currency = 'EUR'")
        .execute(&pool)
        .await
        .unwrap();
    remap::work_out_splits_again(&pools(&pool), "test", super::now()).await.unwrap();
    assert_clean(&pool).await;
}

/// A metric that nobody ever sent may be a slip: the preview, the split's page and the API say so until a value comes.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_metric_without_a_value_is_told(pool: PgPool) {
    two_clouds(&pool).await;
    let app = finance(&pool).await;
    let token = app.token(TokenScope::Admin, Role::Finance).await;
    let text = b"metric,service,day,value\nrequests,shop,2026-10-03,1\n";
    metrics_import::import(&pools(&pool), text, "test", "", super::now()).await.unwrap();
    let url = |metric: &str| format!("/splits/preview?name=Network&source=net&method=metric&metric={metric}");
    let told = "No value of a metric “reqests” is known";
    let preview = app.get(&url("reqests")).await;
    for text in [told, "Metrics with values are requests.", "because nobody among them has a value of reqests"] {
        assert!(preview.body.contains(text), "{text}: {}", preview.body);
    }
    assert!(!app.get(&url("requests")).await.body.contains("No value of a metric"));
    let mut split = net("metric");
    split["metric"] = json!("reqests");
    let made = app.api("POST", "/api/v1/splits", &token, split.clone()).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    assert!(made.json()["note"].as_str().unwrap().starts_with(told), "{}", made.body);
    let page = format!("/splits/{}", made.json()["id"]);
    for url in [page.as_str(), "/splits"] {
        assert!(app.get(url).await.body.contains(told), "{url}");
    }
    metrics_import::import(
        &pools(&pool),
        b"metric,service,day,value\nreqests,shop,2026-10-03,1\n",
        "test",
        "",
        super::now(),
    )
    .await
    .unwrap();
    assert!(!app.get(&page).await.body.contains(told));
    let listed = app.api("GET", "/api/v1/splits", &token, Value::Null).await;
    assert!(listed.json()[0].get("note").is_none(), "{}", listed.body);
}

/// What namespaces of a cluster used is usage of their services, by name or by a rule, and divides what pays for it.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn namespaces_of_a_cluster_divide_its_cost(pool: PgPool) {
    two_clouds(&pool).await;
    let app = finance(&pool).await;
    let token = app.token(TokenScope::Admin, Role::Finance).await;
    let rule = json!({"applies_to": "deployments", "service": "search", "place": "first", "note": "Its web front.",
        "conditions": [{"attribute": "tag:namespace", "operator": "equals", "value": "front"}]});
    let made = app.api("POST", "/api/v1/rules", &token, rule).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pods.csv");
    let pods = [("shop", "3600"), ("front", "2700"), ("batch", "900")].map(|(namespace, used)| {
        format!(
            "x,y,2026-10-03 00:00:00 +0000 UTC,2026-10-03 00:59:59 +0000 UTC,p,{namespace},n1,i-1,{used},0,7200,l\n"
        )
    });
    let header = "report_period_start,report_period_end,interval_start,interval_end,pod,namespace,node,resource_id,\
        pod_usage_cpu_core_seconds,pod_request_cpu_core_seconds,node_capacity_cpu_core_seconds,pod_labels";
    std::fs::write(&path, format!("{header}\n{}", pods.concat())).unwrap();
    let by = Person { login: "test", address: "" };
    cluster_reports::import(&pool, path, "pods.csv", Some("Blue"), by, super::now()).await.unwrap();
    assert_eq!(count(&pool, "SELECT count(*) FROM job WHERE kind = 'count_namespaces'").await, 1);

    let counted = namespace_usage::count(&pools(&pool), super::now()).await.unwrap();
    assert_eq!((counted.point_count, counted.unmapped_count, counted.is_changed), (2, 1, true));
    let again = namespace_usage::count(&pools(&pool), super::now()).await.unwrap();
    assert!(!again.is_changed, "the same usage is not written again");

    let mut split = net("metric");
    split["metric"] = json!("cluster_blue_pods");
    add(&app, &token, split).await;
    // 100 of day 3 by 3600 and 2700; the other days are not reported on and stay.
    let costs = costs(&pool).await;
    assert_eq!(costs, ["net/- 8 USD", "search/- 52.8571428571 USD", "shop/- 112.1428571429 USD"]);
    assert_clean(&pool).await;
    let page = app.get("/clusters?month=2026-10").await;
    assert!(page.body.contains("cluster_blue_pods"), "{}", page.body);

    // A report of the next day leaves what was divided on others where it is.
    let rows = "SELECT string_agg(concat_ws(' ', xmin, ctid), ', ' ORDER BY ctid) FROM daily_cost
                WHERE split_id <> 0 AND charge_date = '2026-10-03'";
    let divided: Option<String> = sqlx::query_scalar(rows).fetch_one(&pool).await.unwrap();
    assert!(divided.is_some());
    let path = folder.path().join("next.csv");
    std::fs::write(&path, format!("{header}\n{}", pods.concat().replace("2026-10-03", "2026-10-04"))).unwrap();
    cluster_reports::import(&pool, path, "next.csv", Some("Blue"), by, super::now()).await.unwrap();
    assert_eq!(namespace_usage::count(&pools(&pool), super::now()).await.unwrap().point_count, 4);
    assert_eq!(sqlx::query_scalar::<_, Option<String>>(rows).fetch_one(&pool).await.unwrap(), divided);
    assert_clean(&pool).await;
}

/// OpenCost's CSV names no machine, so no charge is split by it; its namespaces divide a shared cost all the same.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn namespaces_of_open_costs_csv_divide_a_cost(pool: PgPool) {
    two_clouds(&pool).await;
    let app = finance(&pool).await;
    let token = app.token(TokenScope::Admin, Role::Finance).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("allocation.csv");
    let text = "Date,Namespace,ControllerKind,ControllerName,Pod,TotalCost\n2026-10-03,shop,Deployment,web,a,1\n\
                2026-10-03,shop,Deployment,web,b,0.5\n2026-10-03,search,StatefulSet,index,a,0.5\n\
                2026-10-03,__idle__,,,,6\n";
    std::fs::write(&path, text).unwrap();
    let by = Person { login: "test", address: "" };
    cluster_reports::import(&pool, path, "allocation.csv", Some("green"), by, super::now()).await.unwrap();
    let counted = namespace_usage::count(&pools(&pool), super::now()).await.unwrap();
    assert_eq!((counted.point_count, counted.unmapped_count), (2, 0), "nobody used what is idle");

    let mut split = net("metric");
    split["metric"] = json!("cluster_green_allocations");
    add(&app, &token, split).await;
    // 100 of day 3 by 1.5 and 0.5.
    assert_eq!(costs(&pool).await, ["net/- 8 USD", "search/- 35 USD", "shop/- 130 USD"]);
    assert_clean(&pool).await;
    let page = app.get("/clusters?month=2026-10").await;
    assert!(page.body.contains("the bills have no charge of the machines"), "{}", page.body);
}

/// A changed split goes back to a version, a deleted one comes back, and what is gone is named.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_split_goes_back_to_a_version(pool: PgPool) {
    two_clouds(&pool).await;
    let before = costs(&pool).await;
    let app = finance(&pool).await;
    let token = app.token(TokenScope::Admin, Role::Finance).await;
    let id = add(&app, &token, net("direct-cost")).await;
    let shared = costs(&pool).await;
    let even = app.api("PATCH", &format!("/api/v1/splits/{id}"), &token, net("even")).await;
    assert_eq!(even.status, StatusCode::OK, "{}", even.body);
    let evenly = costs(&pool).await;
    assert_ne!(evenly, shared);

    let restore = format!("/api/v1/splits/{id}/restore");
    let back = |version: i32| json!({"version": version, "reason": "It was right before."});
    let done = app.api("POST", &restore, &token, back(1)).await;
    assert_eq!((done.status, &done.json()["version"]), (StatusCode::OK, &json!(3)), "{}", done.body);
    assert_eq!(costs(&pool).await, shared);
    assert_eq!(app.api("POST", &restore, &token, back(1)).await.status, StatusCode::CONFLICT, "it is so already");
    assert_eq!(app.api("POST", &restore, &token, back(99)).await.status, StatusCode::NOT_FOUND);
    let without = json!({"version": 2, "reason": ""});
    assert_eq!(app.api("POST", &restore, &token, without).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_clean(&pool).await;

    let gone = json!({"reason": "No more."});
    assert_eq!(app.api("POST", &format!("/api/v1/splits/{id}/delete"), &token, gone).await.status, StatusCode::OK);
    assert_eq!(costs(&pool).await, before);
    let page = app.get(&format!("/splits/{id}")).await;
    assert!(page.body.contains("each can be put back as a new split"), "{}", page.body);
    let list = app.get("/splits").await;
    for text in ["Recently deleted", &format!("<a href=\"/splits/{id}\">Network</a>"), "No more."] {
        assert!(list.body.contains(text), "{text}: {}", list.body);
    }
    let fields = hidden_fields(&list.body, &format!("/splits/{id}/restore"));
    assert_eq!(fields.first().map(|(name, value)| (name.as_str(), value.as_str())), Some(("version", "4")));
    let form = [("version", "2"), ("reason", "Back to version 2.")];
    let page = app.post_form(&format!("/splits/{id}/restore"), &form).await;
    assert!(page.location().starts_with("/splits/"), "{} {}", page.status, page.body);
    assert_eq!(costs(&pool).await, evenly);
    assert!(!app.get("/splits").await.body.contains("Recently deleted"), "it is back");
    let again = app.get(page.location()).await;
    assert!(again.body.contains("Back to version 2.") && again.body.contains("evenly"), "{}", again.body);
    assert_clean(&pool).await;
}
