use super::ledger::{Line, costs, differences, line, load};
use super::{finance, hidden_fields, link, now};
use crate::support::{count, pools};
use axum::http::StatusCode;
use costwake::focus::DateRange;
use costwake::rollup::{mapper, remap, what_if};
use costwake::store::mapping_rules;
use costwake::store::tokens::TokenScope;
use costwake::store::{Role, Scope};
use serde_json::json;
use sqlx::PgPool;

fn bill() -> Vec<Line> {
    vec![
        line("111", json!({"service": "Checkout API", "env": "prod"}), 3, "10.000000000000000001"),
        line("111", json!({"service": "checkout-api", "env": "staging"}), 3, "2.5"),
        line("111", json!({"app": "search"}), 4, "7"),
        line("222", json!({"team": "data"}), 4, "5.25"),
        line("222", json!({"team": "data"}), 5, "-0.25"),
        Line { currency: "EUR", ..line("222", json!({}), 5, "3") },
        Line { resource: Some("arn:logs-1"), ..line("333", json!({"Cell": "c7"}), 6, "4") },
        Line { resource: Some("arn:db-1"), ..line("333", json!({"Cell": "c8"}), 6, "1") },
    ]
}

/// The rules of a fresh database name services and environments after tags, once for every spelling (N14).
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_load_fills_the_catalogue_by_the_rules(pool: PgPool) {
    load(&pool, "a", &bill()).await;
    assert_eq!(
        costs(&pool).await,
        [
            "-/- 10 USD",
            "-/- 3 EUR",
            "checkout-api/prod 10.000000000000000001 USD",
            "checkout-api/staging 2.5 USD",
            "search/- 7 USD"
        ]
    );
    assert_eq!(differences(&pool).await, 0);
    assert_eq!(count(&pool, "SELECT count(*) FROM environment WHERE slug = 'prod' AND kind = 'production'").await, 1);
    assert_eq!(count(&pool, "SELECT count(*) FROM service WHERE origin = 'rule'").await, 2);
}

/// N15: a remap without a change changes nothing and publishes nothing.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_remap_without_a_change_does_nothing(pool: PgPool) {
    load(&pool, "a", &bill()).await;
    let before = costs(&pool).await;
    for _ in 0..3 {
        let report = remap::remap(&pools(&pool), "test", now()).await.unwrap();
        assert_eq!(report, remap::RemapReport { keys_asked: report.keys_asked, ..Default::default() });
        assert!(report.keys_asked >= 6);
    }
    assert_eq!(costs(&pool).await, before);
    assert_eq!(count(&pool, "SELECT count(*) FROM publication").await, 0);
}

/// The list of what is unmapped takes the period of the other pages, and its file with it.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn unmapped_cost_is_of_the_period_that_is_asked_for(pool: PgPool) {
    let lines = [line("222", json!({"team": "data"}), 1, "3"), line("222", json!({"team": "data"}), 31, "5.25")];
    load(&pool, "a", &lines).await;
    let app = finance(&pool).await;
    for (query, said) in [
        ("", "$5.25</a> of these 30 days belong to no service"),
        ("?period=2026-10", "$8.25</a> of these 31 days belong to no service"),
        ("?period=2026-10-01..2026-10-01", "$3.00</a> of this day belong to no service"),
        ("?period=2026-10-02..2026-10-30", "Every charge of these 29 days belongs to a service"),
        ("?period=2026-12", "No complete day of bills lies in this period yet."),
        ("?period=mtd&basis=billed", "Ignored: basis. This page knows period, show."),
        ("?period=2026-10&show=deployments", "href=\"/unmapped?period=2026-10\""),
    ] {
        let page = app.get(&format!("/unmapped{query}")).await;
        assert!(page.body.contains(said), "{query}: {}", page.body);
    }
    let page = app.get("/unmapped?period=2026-10").await.body;
    assert!(page.contains("href=\"/unmapped.csv?period=2026-10\""), "{page}");
    assert!(page.contains("<option value=\"2026-10\" selected>"), "{page}");
    let csv = app.get("/unmapped.csv?period=2026-10").await.body;
    assert!(csv.lines().count() == 2 && csv.contains("8.25") && csv.contains("2026-10-01"), "{csv}");
    assert_eq!(app.get("/unmapped.csv?period=2026-12").await.body.lines().count(), 1, "the head alone");
    for wrong in ["period=soon", "show=moon"] {
        assert_eq!(app.get(&format!("/unmapped?{wrong}")).await.status, StatusCode::BAD_REQUEST, "{wrong}");
    }
}

/// From the list of what is unmapped, through the preview, to "everything is allocated"; the totals stay.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn unmapped_cost_is_one_click_from_a_rule(pool: PgPool) {
    let generation_id = load(&pool, "a", &[line("222", json!({"team": "data"}), 31, "5.25")]).await;
    let app = finance(&pool).await;
    app.post_form("/catalogue/add-service", &[("name", "Warehouse")]).await;

    let unmapped = app.get("/unmapped").await;
    assert!(unmapped.body.contains("$5.25</a> of these 30 days belong to no service"), "{}", unmapped.body);
    assert!(unmapped.body.contains("team: data"));
    let words = "<span>Amortized, net, of 2 to 31 Oct 2026, UTC</span>";
    assert!(unmapped.body.contains(words), "as on all pages: {}", unmapped.body);
    let form = app.get(&link(&unmapped.body, "Make a rule").unwrap()).await;
    assert_eq!(form.status, StatusCode::OK);
    let url = link(&unmapped.body, "Make a rule").unwrap().replace("/rules/new?", "/rules/preview?");
    let preview = app.get(&format!("{url}&service=warehouse")).await;
    assert!(preview.body.contains("It would take 1 kind of charge ($5.25"), "{}", preview.body);
    assert!(preview.body.contains("The total of all services stays $5.25"));
    assert!(preview.body.contains("Warehouse, no environment"));
    assert_eq!(costs(&pool).await, ["-/- 5.25 USD"], "a preview writes nothing");

    let fields = hidden_fields(&preview.body, "/rules");
    let mut fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let without = app.post_form("/rules", &fields).await;
    assert_eq!(without.status, StatusCode::BAD_REQUEST, "a reason is needed");
    assert!(without.body.contains("Say why"), "{}", without.body);
    fields.push(("reason", "The warehouse pays for its own account."));
    let saved = app.post_form("/rules", &fields).await;
    assert_eq!(saved.status, StatusCode::SEE_OTHER, "{}", saved.body);
    assert_eq!(costs(&pool).await, ["warehouse/- 5.25 USD"]);
    assert!(app.get("/unmapped").await.body.contains("Everything is allocated"));
    assert_eq!(differences(&pool).await, 0);
    assert_eq!(count(&pool, "SELECT count(*) FROM publication WHERE kind = 'remap'").await, 1);
    assert_eq!(count(&pool, "SELECT count(*) FROM audit_log WHERE action = 'rule.added'").await, 1);
    let rules = app.get("/rules").await;
    assert!(rules.body.contains("tag “team” is “data”") && rules.body.contains("$5.25"), "{}", rules.body);
    assert!(generation_id > 0);
}

/// The number in the navigation is that of the rows of the lists, and moves with each of them.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn what_is_unmapped_is_counted_as_it_is_listed(pool: PgPool) {
    load(&pool, "a", &[line("222", json!({"team": "data"}), 31, "5.25")]).await;
    let app = finance(&pool).await;
    let page = app.get("/unmapped").await.body;
    assert!(page.contains("Unmapped<span class=\"count\">1</span>") && page.contains(">Charges (1 row)</a>"), "{page}");
    for statement in [
        "INSERT INTO deployment (event_source_id, external_id, repo, status, status_at, created_at, finished_at)
         SELECT min(event_source_id), 'd' || n, 'org/unknown', 'succeeded', t, t, t
         FROM event_source, (SELECT n, '2026-10-20T10:00Z'::timestamptz AS t FROM generate_series(1, 2) n) x GROUP BY n, t",
        "INSERT INTO operational_event (event_source_id, external_id, kind, status, title, started_at, time_is_received)
         SELECT min(event_source_id), 'e1', 'feature_flag', 'on', 'New cart', '2026-10-10T10:00:00Z', false
         FROM event_source",
    ] {
        sqlx::query(statement).execute(&pool).await.unwrap();
    }
    let page = app.get("/unmapped").await.body;
    assert!(page.contains("Unmapped<span class=\"count\">3</span>"), "{page}");
    let tabs = [">Charges (1 row)</a>", ">Deployments (1 row)</a>", ">Operational events (1 row)</a>"];
    assert!(tabs.iter().all(|tab| page.contains(tab)), "two deployments of one kind are a row: {page}");
}

/// What a preview says is what saving does: the same keys go the same way.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_preview_equals_what_saving_does(pool: PgPool) {
    load(&pool, "a", &bill()).await;
    let app = finance(&pool).await;
    let token = app.token(TokenScope::Admin, Role::Finance).await;
    app.api("POST", "/api/v1/services", &token, json!({"name": "Platform", "aliases": ["Infra"]})).await;
    let rule = json!({"applies_to": "charges", "note": "test", "place": "first", "service": "platform", "environment_from_attribute":
        "tag:team", "adds_to_catalogue": true, "conditions": [{"attribute": "sub_account_id", "operator": "one-of",
        "value": "222, 111"}]});

    let mut conn = pool.acquire().await.unwrap();
    let values = mapping_rules::RuleValues {
        applies_to: "charges".into(),
        conditions: rule["conditions"].clone(),
        service_id: Some(
            sqlx::query_scalar("SELECT service_id FROM service WHERE slug = 'platform'")
                .fetch_one(&pool)
                .await
                .unwrap(),
        ),
        environment_id: None,
        service_from_attribute: None,
        environment_from_attribute: Some("tag:team".into()),
        adds_to_catalogue: true,
        ..mapping_rules::RuleValues::default()
    };
    let mut rules = mapper::rules_of(&mapping_rules::list(&mut conn).await.unwrap()).unwrap();
    rules.insert(0, mapper::rule_of(0, &values).unwrap());
    let days = DateRange::days_to("2026-10-31".parse().unwrap(), 90);
    let question = what_if::Question {
        rules: &rules,
        catalogue: mapper::catalogue_names(&mut conn).await.unwrap(),
        rule_id: Some(0),
        removed_service: None,
        recent: days,
        long: days,
    };
    let answer = what_if::ask(&mut conn, &Scope::everything(), question).await.unwrap();
    let before = keys(&pool).await;

    let made = app.api("POST", "/api/v1/rules", &token, rule).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    assert_eq!(made.json()["number"], 1);
    let after = keys(&pool).await;
    let moved = before.iter().zip(&after).filter(|(before, after)| before != after).count() as i64;
    assert_eq!(answer.moves.iter().map(|one| one.key_count).sum::<i64>(), moved);
    assert_eq!(answer.added.keys().collect::<Vec<_>>(), ["data"]);
    assert_eq!(
        costs(&pool).await,
        [
            "-/- 5 USD",
            "platform/- 3 EUR",
            "platform/data 5 USD",
            "platform/prod 10.000000000000000001 USD",
            "platform/staging 2.5 USD",
            "platform/- 7 USD"
        ]
        .map(str::to_owned)
        .into_iter()
        .collect::<std::collections::BTreeSet<_>>()
        .into_iter()
        .collect::<Vec<_>>()
    );
    let recent: bigdecimal::BigDecimal = answer.moves.iter().flat_map(|one| &one.costs).map(|cost| &cost.recent).sum();
    assert_eq!(recent.normalized().to_plain_string(), "27.500000000000000001", "24.5… USD and 3 EUR move");
    assert_eq!(differences(&pool).await, 0);
}

async fn keys(pool: &PgPool) -> Vec<(uuid::Uuid, i64, i64)> {
    sqlx::query_as("SELECT rollup_key_id, service_id, environment_id FROM key_mapping ORDER BY 1, first_day")
        .fetch_all(pool)
        .await
        .unwrap()
}

/// A tag and a resource that keys do not carry: the lines are read once, nothing is lost, the next load knows.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_rule_may_look_at_a_new_tag_or_a_resource(pool: PgPool) {
    load(&pool, "a", &bill()).await;
    let app = finance(&pool).await;
    let token = app.token(TokenScope::Admin, Role::Finance).await;
    let url =
        "/rules/preview?applies_to=charges&attribute=tag:cell&operator=equals&value=C7&service_by=tag:cell&adds=yes";
    let preview = app.get(url).await;
    assert!(preview.body.contains("reads the charges of 2 groups once more"), "{}", preview.body);
    assert!(preview.body.contains("It would take 1 kind of charge ($4.00"), "{}", preview.body);
    let rule = json!({"applies_to": "charges", "note": "test", "service_from_attribute": "tag:cell", "adds_to_catalogue": true,
        "conditions": [{"attribute": "tag:cell", "operator": "equals", "value": "c7"}]});
    let made = app.api("POST", "/api/v1/rules", &token, rule).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    assert!(costs(&pool).await.contains(&"c7/- 4 USD".to_owned()), "{:?}", costs(&pool).await);
    assert_eq!(differences(&pool).await, 0);

    app.api("POST", "/api/v1/services", &token, json!({"name": "db"})).await;
    let rule = json!({"applies_to": "charges", "note": "test", "service": "db",
        "conditions": [{"attribute": "resource_id", "operator": "glob", "value": "ARN:db-*"}]});
    assert_eq!(app.api("POST", "/api/v1/rules", &token, rule).await.status, StatusCode::CREATED);
    assert!(costs(&pool).await.contains(&"db/- 1 USD".to_owned()));
    assert_eq!(differences(&pool).await, 0);

    load(&pool, "b", &bill()).await;
    let costs = costs(&pool).await;
    assert!(costs.contains(&"db/- 2 USD".to_owned()) && costs.contains(&"c7/- 8 USD".to_owned()), "{costs:?}");
    assert_eq!(differences(&pool).await, 0);
    let report = remap::remap(&pools(&pool), "test", now()).await.unwrap();
    assert_eq!((report.keys_moved, report.groups_keyed, report.publication_id), (0, 0, None));
}

/// Loads and changes of rules at the same time: whoever comes last, cost and keys agree.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn loads_and_remaps_at_once_agree(pool: PgPool) {
    load(&pool, "first", &bill()).await;
    let app = finance(&pool).await;
    let mut tasks = Vec::new();
    for number in 0..4 {
        let pool = pool.clone();
        tasks.push(tokio::spawn(async move {
            load(&pool, &format!("load-{number}"), &bill()).await;
        }));
        let app = app.clone();
        tasks.push(tokio::spawn(async move {
            let value = ["111", "222", "333", "222"][number];
            let name = format!("svc-{number}");
            app.post_form("/catalogue/add-service", &[("name", &name)]).await;
            let fields = [
                ("applies_to", "charges"),
                ("attribute", "sub_account_id"),
                ("operator", "equals"),
                ("value", value),
                ("service", &name),
                ("place", "first"),
                ("reason", "test"),
            ];
            let saved = app.post_form("/rules", &fields).await;
            assert_eq!(saved.status, StatusCode::SEE_OTHER, "{}", saved.body);
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(differences(&pool).await, 0);
    let report = remap::remap(&pools(&pool), "test", now()).await.unwrap();
    assert_eq!(report.keys_moved, 0, "everything was mapped by the rules as they stand");
    let usd: i64 =
        count(&pool, "SELECT count(*) FROM daily_cost WHERE service_id = 0 AND billing_currency = 'USD'").await;
    assert_eq!(usd, 0, "all three accounts have a service");
}

/// Order is precedence; a deleted rule can be put back to its place.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn rules_move_go_and_come_back(pool: PgPool) {
    load(&pool, "a", &[line("111", json!({"service": "a", "app": "b"}), 3, "1")]).await;
    let app = finance(&pool).await;
    assert_eq!(costs(&pool).await, ["a/- 1 USD"]);
    let rule: i64 =
        sqlx::query_scalar("SELECT mapping_rule_id FROM mapping_rule WHERE service_from_attribute = 'tag:app'")
            .fetch_one(&pool)
            .await
            .unwrap();
    // What would move is shown before, and nothing moves without a reason.
    let preview = app.get(&format!("/rules/{rule}/change?to=up")).await;
    assert!(preview.body.contains("What changes hands") && preview.body.contains("Move the rule"), "{}", preview.body);
    let preview = app.get(&format!("/rules/{rule}/change?to=delete")).await;
    assert!(preview.body.contains("Nothing changes hands"), "it takes nothing yet: {}", preview.body);
    assert_eq!(app.get(&format!("/rules/{rule}/change?to=away")).await.status, StatusCode::BAD_REQUEST);
    let unsaid = app.post_form(&format!("/rules/{rule}/move"), &[("to", "up"), ("reason", " ")]).await;
    assert_eq!(unsaid.status, StatusCode::BAD_REQUEST);
    assert_eq!(costs(&pool).await, ["a/- 1 USD"]);
    app.post_form(&format!("/rules/{rule}/move"), &[("to", "up"), ("reason", "It is first.")]).await;
    assert_eq!(costs(&pool).await, ["b/- 1 USD"]);
    app.post_form(&format!("/rules/{rule}/delete"), &[("reason", "Not so.")]).await;
    assert_eq!(costs(&pool).await, ["a/- 1 USD"]);
    let page = app.get("/rules").await;
    assert!(page.body.contains("Recently deleted") && page.body.contains("tag “app” is there"));
    // Its history leads back too, promises nothing that it lacks, and is reached from the list.
    let history = format!("/rules/{rule}/history");
    assert!(page.body.contains(&format!("<a href=\"{history}\">its history")), "{}", page.body);
    let deleted = app.get(&history).await.body;
    assert!(!deleted.contains("Restoring one") && deleted.contains("/rules#deleted"), "{deleted}");
    assert_eq!(hidden_fields(&deleted, "/rules/restore"), hidden_fields(&page.body, "/rules/restore"));
    let viewed = app.browser(Role::Viewer, false, &[]).await.get(&history).await.body;
    assert!(viewed.contains("The rule is deleted") && !viewed.contains("Put back"), "{viewed}");
    let fields = hidden_fields(&page.body, "/rules/restore");
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(app.post_form("/rules/restore", &fields).await.status, StatusCode::SEE_OTHER);
    assert_eq!(costs(&pool).await, ["b/- 1 USD"]);
    assert_eq!(app.post_form("/rules/restore", &fields).await.status, StatusCode::CONFLICT);
    assert!(!app.get("/rules").await.body.contains("Recently deleted"));
    let back = app.get(&history).await.body;
    assert!(back.contains(">a new rule</a>") && hidden_fields(&back, "/rules/restore").is_empty(), "{back}");
    // A rule without a condition is told as such.
    app.post_form("/catalogue/add-team", &[("name", "Data")]).await;
    let rest = [("applies_to", "charges"), ("team", "data"), ("reason", "The rest.")];
    assert_eq!(app.post_form("/rules", &rest).await.status, StatusCode::SEE_OTHER);
    let newest = "SELECT max(mapping_rule_id) FROM mapping_rule";
    let newest: i64 = sqlx::query_scalar(newest).fetch_one(&pool).await.unwrap();
    app.post_form(&format!("/rules/{newest}/delete"), &[("reason", "Not so.")]).await;
    assert!(app.get("/rules").await.body.contains("everything that is left → team Data"));
    assert_eq!(app.post_form("/rules/999999/delete", &[("reason", "x")]).await.status, StatusCode::NOT_FOUND);
}

/// What is wrong with a rule is said beside the form that was filled in; unknown fields are refused.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_wrong_rule_is_not_saved(pool: PgPool) {
    let app = finance(&pool).await;
    let cases: &[(&[(&str, &str)], &str)] = &[
        (&[("applies_to", "charges")], "has to name a service"),
        (&[("service_by", "tag:x"), ("attribute", "repo"), ("operator", "present"), ("value", "")], "not an attribute"),
        (
            &[("service_by", "tag:x"), ("attribute", "commitment_discount_id"), ("operator", "present"), ("value", "")],
            "Write column:CommitmentDiscountId.",
        ),
        (&[("service_by", "InvoiceId")], "Write column:InvoiceId."),
        (&[("service_by", "column:invoice_id")], "Write column:InvoiceId."),
        (&[("service_by", "column:BilledCost")], "no rule looks at those"),
        (&[("service_by", "ResourceId")], "Nothing can be named by the resource id"),
        (&[("service_by", "tag:x"), ("attribute", "tag:y"), ("operator", "equals"), ("value", "")], "needs a value"),
        (&[("service_by", "tag:x"), ("attribute", "tag:y"), ("operator", "glob"), ("value", "a[")], "not a pattern"),
        (&[("service", "nobody")], "There is no service “nobody”"),
        (&[("applies_to", "everything"), ("service_by", "tag:x")], "charges, deployments or both"),
    ];
    for (fields, sentence) in cases {
        let saved = app.post_form("/rules", fields).await;
        assert_eq!(saved.status, StatusCode::BAD_REQUEST, "{sentence}");
        assert!(saved.body.contains(sentence), "{sentence}: {}", saved.body);
        let query = serde_urlencoded::to_string(fields).unwrap();
        assert_eq!(app.get(&format!("/rules/preview?{query}")).await.status, StatusCode::BAD_REQUEST);
    }
    assert_eq!(app.post_form("/rules", &[("created_by", "me")]).await.status, StatusCode::BAD_REQUEST);
    let token = app.token(TokenScope::Admin, Role::Finance).await;
    let hostile = json!({"applies_to": "both", "service_from_attribute": "tag:x", "created_by": "me"});
    assert_eq!(app.api("POST", "/api/v1/rules", &token, hostile).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(count(&pool, "SELECT count(*) FROM mapping_rule").await, 7);
}

/// Whoever does not see the whole sees no cost that belongs to nobody, and of rules only what their teams pay.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn money_of_others_is_not_shown(pool: PgPool) {
    load(
        &pool,
        "a",
        &[
            line("111", json!({"service": "mine"}), 30, "11.11"),
            line("111", json!({"service": "theirs"}), 30, "22.22"),
            line("222", json!({}), 30, "33.33"),
        ],
    )
    .await;
    let app = finance(&pool).await;
    app.post_form("/catalogue/add-team", &[("name", "Mine")]).await;
    let moved = app.post_form("/catalogue/move", &[("service", "mine"), ("team", "mine")]).await;
    assert_eq!(moved.status, StatusCode::SEE_OTHER, "{}", moved.body);
    let team: i64 = count(&pool, "SELECT team_id FROM team WHERE slug = 'mine'").await;
    assert!(app.get("/rules").await.body.contains("$33.33"), "both services by one rule");

    let member = app.browser(Role::Member, false, &[team]).await;
    let rules = member.get("/rules").await;
    assert!(rules.body.contains("$11.11") && !rules.body.contains("33.33"), "{}", rules.body);
    let unmapped = member.get("/unmapped").await;
    assert_eq!(unmapped.status, StatusCode::OK);
    assert!(!unmapped.body.contains("33.33") && unmapped.body.contains("does not include cost"));
    assert_eq!(member.get("/unmapped.csv").await.status, StatusCode::FORBIDDEN);
    assert_eq!(member.get("/rules/new").await.status, StatusCode::FORBIDDEN);
    assert_eq!(member.post_form("/rules", &[("service_by", "tag:x")]).await.status, StatusCode::FORBIDDEN);

    let admin = app.browser(Role::Admin, false, &[]).await;
    let preview =
        admin.get("/rules/preview?attribute=sub_account_id&operator=present&value=&service=mine&place=first").await;
    assert_eq!(preview.status, StatusCode::OK);
    assert!(!preview.body.contains('$'), "an administrator without finance sees no money: {}", preview.body);
    let csv = app.get("/unmapped.csv").await;
    assert!(csv.body.contains("33.33") && !csv.body.contains("22.22"), "{}", csv.body);
}
