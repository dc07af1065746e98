//! Overview, services, environments and deployments as people see them.

use crate::support::{self, Page, TestApp};
use axum::http::StatusCode;
use bigdecimal::BigDecimal;
use costwake::focus::{CostBasis, DateRange};
use costwake::store::costs::{self, CostFilter};
use costwake::store::{Role, Scope};
use scraper::{ElementRef, Html, Selector};
use sqlx::PgPool;
use std::collections::BTreeMap;

const HOSTILE: &str = "\"><img src=x onerror=alert(1)><script>alert(1)</script>";

/// Two sources in two currencies to 20 November, and one day more of one of them; four services, of which one
/// has a hostile name; cost that no rule maps; deployments in both environments.
pub async fn seed(pool: &PgPool) {
    let statements = [
        "INSERT INTO team (slug, name) VALUES ('payments', 'Payments'), ('search', 'Search')",
        "INSERT INTO service (slug, name, team_id) VALUES ('checkout-api', 'checkout-api', 1), ('ledger', 'ledger', 1), \
         ('search-api', 'search-api', 2)",
        "INSERT INTO environment (slug, name, kind) VALUES ('production', 'Production', 'production'), \
         ('staging', 'Staging', 'staging'), ('pr-1', 'pr-1', 'preview'), ('empty', 'Empty', 'test')",
        "INSERT INTO source (name) VALUES ('cloud'), ('saas')",
        "INSERT INTO delivery (source_id, file_name, version_at, version_basis, received_at, received_by, state) \
         SELECT s, 'bill.csv', '2026-11-23T06:00Z', 'receipt', '2026-11-23T06:00Z', 'test', 'published' FROM generate_series(1, 2) s",
        "INSERT INTO generation (generation_id, delivery_id, source_id, billing_account_id, billing_period_start, \
             billing_period_end, state, first_charge_date, last_charge_date, published_at) VALUES \
         (4096, 1, 1, 'a', '2026-09-01', '2026-12-01', 'current', '2026-09-01', '2026-11-21', '2026-11-23T06:10Z'), \
         (8192, 2, 2, 'b', '2026-09-01', '2026-12-01', 'current', '2026-09-01', '2026-11-20', '2026-11-23T06:10Z'), \
         (4095, 1, 1, 'a', '2026-10-01', '2026-11-01', 'superseded', '2026-09-01', '2026-11-21', '2026-11-22T06:10Z')",
        "INSERT INTO daily_cost SELECT s, d, CASE WHEN s = 0 THEN 0 ELSE e END, 4096, 'Cloud', c, 'USD', 1, v, v, v, v \
         FROM generate_series(0, 4) s, generate_series('2026-09-01'::date, '2026-11-21', '1 day') d, \
             generate_series(1, 2) e, unnest(ARRAY['Usage', 'Credit']) c, \
             LATERAL (SELECT CASE c WHEN 'Credit' THEN -0.777 * e ELSE 33.335 * (s + 1) / e + extract(doy FROM d)::numeric / 7 END AS v) v \
         WHERE s <> 0 OR e = 1",
        "INSERT INTO daily_cost SELECT 1, d, 3, 4096, 'Cloud', 'Usage', 'USD', 1, 5.55, 5.55, 5.55, 5.55 \
         FROM generate_series('2026-10-25'::date, '2026-11-05', '1 day') d",
        "INSERT INTO daily_cost SELECT s, d, 1, 8192, 'SaaS', 'Usage', 'EUR', 1, 7.123, 7.123, 7.123, 7.123 \
         FROM generate_series(1, 2) s, generate_series('2026-09-01'::date, '2026-11-20', '1 day') d",
        // A superseded generation counts nowhere.
        "INSERT INTO daily_cost SELECT 1, '2026-11-10', 1, 4095, 'Cloud', 'Usage', 'USD', 1, 1e6, 1e6, 1e6, 1e6",
        "INSERT INTO rollup_key (sub_account_key, rollup_key_id, provider_name, billing_account_id, service_category, \
             charge_category, pricing_category, is_mapped) \
         SELECT 7, md5(k.s || '/' || k.e || k.p || k.c)::uuid, k.p, 'a', 'Compute', k.c, 'Standard', true \
         FROM (SELECT DISTINCT service_id AS s, environment_id AS e, provider_name AS p, charge_category AS c FROM daily_cost) k",
        "INSERT INTO key_mapping (sub_account_key, rollup_key_id, first_day, end_day, service_id, environment_id) \
         SELECT 7, md5(k.s || '/' || k.e || k.p || k.c)::uuid, '0001-01-01', '9999-12-31', k.s, k.e \
         FROM (SELECT DISTINCT service_id AS s, environment_id AS e, provider_name AS p, charge_category AS c FROM daily_cost) k",
        "INSERT INTO daily_cost_by_key SELECT generation_id, 7, md5(service_id || '/' || environment_id || provider_name || charge_category)::uuid, \
             charge_date, billing_currency, charge_count, billed_cost, effective_cost, list_cost, contracted_cost FROM daily_cost",
        "INSERT INTO deployment (event_source_id, external_id, repo, environment_raw, environment_id, status, status_at, \
             created_at, finished_at, version, sha, actor) \
         SELECT 1, n::text, 'org/checkout-api', 'prod', 1, CASE n WHEN 3 THEN 'failed' ELSE 'succeeded' END, t, t, t, 'v' || n, \
             'abcdef' || n, 'ci' FROM (SELECT n, '2026-10-20T10:00Z'::timestamptz + (n - 1) * interval '10 days' AS t \
             FROM generate_series(1, 4) n) x",
        "INSERT INTO deployment_service (deployment_id, service_id) SELECT n, 1 FROM generate_series(1, 4) n",
        "INSERT INTO publication (kind, published_at, published_by) VALUES ('publish', '2026-11-23T06:10Z', 'test')",
    ];
    for statement in statements {
        sqlx::query(statement).execute(pool).await.unwrap_or_else(|error| panic!("{error}: {statement}"));
    }
    sqlx::query("INSERT INTO service (slug, name) VALUES ('hostile', $1)").bind(HOSTILE).execute(pool).await.unwrap();
    sqlx::query(
        "INSERT INTO deployment (event_source_id, external_id, environment_raw, status, status_at, created_at, finished_at, \
             version, title, actor, repo, url) \
         VALUES (1, 'hostile', $1, 'succeeded', '2026-11-02', '2026-11-02', '2026-11-02', $2, $1, $1, $1, 'javascript:alert(1)')",
    )
    .bind(HOSTILE)
    .bind("=cmd|' /C calc'!A0")
    .execute(pool)
    .await
    .unwrap();
    sqlx::query("INSERT INTO deployment_service (deployment_id, service_id) VALUES (5, 4)")
        .execute(pool)
        .await
        .unwrap();
}

async fn browser(pool: PgPool, role: Role) -> TestApp {
    let mut app = support::app(pool).await;
    app.sign_in(role).await;
    app
}

fn select(selector: &str) -> Selector {
    Selector::parse(selector).unwrap()
}

fn text(element: ElementRef) -> String {
    element.text().collect::<String>().split_whitespace().collect::<Vec<_>>().join(" ")
}

fn lede(page: &Page) -> String {
    let html = Html::parse_document(&page.body);
    html.select(&select(".lede")).next().map(text).unwrap_or_default()
}

/// Amounts of a cell by currency (or `%`): `−$1,234`, `+€5 new`, `12.5%`.
fn amounts(cell: ElementRef) -> Vec<(String, BigDecimal)> {
    let lines: Vec<String> = cell.select(&select(".amount")).map(text).collect();
    let lines = if lines.is_empty() { vec![text(cell)] } else { lines };
    lines.iter().filter_map(|line| amount(line)).collect()
}

fn amount(line: &str) -> Option<(String, BigDecimal)> {
    let word = line.split_whitespace().next()?;
    let unit: String = word.chars().filter(|c| "$€%".contains(*c)).collect();
    let digits: String = word.chars().filter(|c| c.is_ascii_digit() || *c == '.').collect();
    let sign = if word.starts_with('\u{2212}') { "-" } else { "" };
    Some((unit, format!("{sign}{digits}").parse().ok()?))
}

/// Every column of every table adds up to its last row, as it is shown, in each currency.
fn assert_tables_add_up(page: &Page, path: &str) -> usize {
    let html = Html::parse_document(&page.body);
    let mut checked = 0;
    for table in html.select(&select("table")) {
        let Some(total) = table.select(&select("tr.total")).next() else { continue };
        // A bridge begins with what was before; elsewhere an open row is the sum of those below it.
        let is_bridge = table.value().classes().any(|class| class == "bridge");
        let added = if is_bridge { "tbody tr:not(.total)" } else { "tbody tr:not(.total):not(.open)" };
        let rows: Vec<ElementRef> = table.select(&select(added)).collect();
        for (index, cell) in total.select(&select("td")).enumerate() {
            let mut sums: BTreeMap<String, BigDecimal> = BTreeMap::new();
            for row in &rows {
                if let Some(cell) = row.select(&select("td")).nth(index) {
                    for (unit, amount) in amounts(cell) {
                        *sums.entry(unit).or_default() += amount;
                    }
                }
            }
            let mut totals: BTreeMap<String, BigDecimal> = BTreeMap::new();
            for (unit, amount) in amounts(cell) {
                *totals.entry(unit).or_default() += amount;
            }
            for (unit, expected) in totals {
                let sum = sums.get(&unit).cloned().unwrap_or_default();
                assert_eq!(sum, expected, "{path}: column {index} in {unit} of {}", text(total));
                checked += 1;
            }
        }
    }
    checked
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn rows_add_up_on_every_page_in_each_currency(pool: PgPool) {
    seed(&pool).await;
    let app = browser(pool, Role::Finance).await;
    let paths = [
        "/",
        "/?period=mtd",
        "/services",
        "/services?team=payments&sort=-change",
        "/services?q=api",
        "/services/checkout-api",
        "/services/checkout-api?by=charge&period=60d",
        "/services/checkout-api?env=production&vs=py",
        "/services/checkout-api?period=2026-10&by=provider&basis=billed",
        "/environments",
        "/environments/production",
        "/environments/pr-1",
        "/deployments/1",
    ];
    for path in paths {
        let page = app.get(path).await;
        assert_eq!(page.status, StatusCode::OK, "{path}: {}", page.body);
        let checked = assert_tables_add_up(&page, path);
        assert!(checked > 1 || path == "/deployments/1", "{path}: nothing was checked");
        let has_both = page.body.contains('€') && page.body.contains('$');
        assert!(has_both || path == "/environments/pr-1", "{path} shows both currencies");
        assert!(page.body.contains("Figures are of publication 1."), "{path}");
    }
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn the_first_sentence_answers(pool: PgPool) {
    seed(&pool).await;
    let app = browser(pool.clone(), Role::Viewer).await;
    let overview = lede(&app.get("/").await);
    assert!(overview.starts_with("Spend rose $"), "{overview}");
    assert!(overview.contains("from 22 Oct to 20 Nov 2026 against the 30 days before."), "{overview}");
    let service = lede(&app.get("/services/checkout-api").await);
    assert!(service.contains("The largest part is"), "{service}");
    // The amount has its sign: a word beside it would turn it round.
    assert!(!service.contains(" less.") && !service.contains(" more."), "{service}");
    let deployment = app.get("/deployments/1").await;
    assert!(
        lede(&deployment).starts_with("In the 28 complete days after, checkout-api cost $"),
        "{}",
        lede(&deployment)
    );
    assert!(deployment.body.contains("This is a comparison, not yet an estimate"));
    let measuring = app.get("/deployments/4").await;
    assert!(lede(&measuring).starts_with("Not yet known: 1 of 3 complete days"), "{}", lede(&measuring));
    let listed = app.get("/services/checkout-api").await.body;
    assert!(listed.contains("not yet: 1 of 3 complete days"), "the same in the list of a service: {listed}");
    let failed = app.get("/deployments/3").await;
    assert!(failed.body.contains("It did not go live"), "{}", lede(&failed));
    assert!(lede(&failed).ends_with("did not go live: nothing to compare."), "{}", lede(&failed));
    for waits in ["complete days that a comparison needs", "Resources are compared once", "Days compared"] {
        assert!(!failed.body.contains(waits), "nothing is waited for: {waits}");
    }
    assert!(app.get("/services/checkout-api").await.body.contains("did not go live: nothing to compare"));
    sqlx::query("UPDATE deployment SET status = 'in_progress' WHERE deployment_id = 3").execute(&pool).await.unwrap();
    let open = app.get("/deployments/3").await;
    assert!(open.body.contains("It is not live yet"), "{}", lede(&open));
    assert!(!open.body.contains("complete days that a comparison needs"), "{}", lede(&open));
    let list = app.get("/services/checkout-api").await.body;
    assert!(list.contains("not live yet") && !list.contains("did not go live"), "{list}");
}

/// Services of one deployment are compared once its days are there: what lacks is not zero.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn services_are_compared_once_there_are_days(pool: PgPool) {
    seed(&pool).await;
    sqlx::query("INSERT INTO deployment_service (deployment_id, service_id) SELECT n, 2 FROM generate_series(1, 4) n")
        .execute(&pool)
        .await
        .unwrap();
    let app = browser(pool, Role::Finance).await;
    for (id, is_there) in [(1, true), (3, false), (4, false)] {
        let page = app.get(&format!("/deployments/{id}")).await;
        assert_eq!(page.body.contains("Average cost a day by service"), is_there, "{id}: {}", lede(&page));
    }
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_page_its_csv_and_the_totals_agree(pool: PgPool) {
    seed(&pool).await;
    let mut conn = pool.acquire().await.unwrap();
    let days = DateRange::new("2026-10-22".parse().unwrap(), "2026-11-21".parse().unwrap()).unwrap();
    let filter = CostFilter { service_id: Some(1), ..CostFilter::new(days, CostBasis::Amortized) };
    let totals = costs::totals(&mut conn, &Scope::everything(), &filter).await.unwrap();
    drop(conn);
    let app = browser(pool, Role::Finance).await;
    let page = app.get("/services/checkout-api").await;
    let csv = app.get("/services/checkout-api.csv").await;
    assert_eq!(csv.headers["content-type"], "text/csv; charset=utf-8");
    for total in &totals {
        let rows = csv.body.lines().map(|line| line.split(',').collect::<Vec<_>>());
        let kept = rows.filter(|cells| cells[4] == total.currency && cells[6] == "complete");
        let sum: BigDecimal = kept.map(|cells| cells[5].parse::<BigDecimal>().unwrap()).sum();
        assert_eq!(sum, total.amount, "{}", total.currency);
        let decimals = costwake::web::display::decimals(&total.currency, &total.amount);
        let shown = costwake::web::display::money(&total.amount, &total.currency, decimals);
        assert!(page.body.contains(&format!(">{shown}<")) || page.body.contains(&shown), "{shown}");
    }
    let list = app.get("/services.csv").await;
    let row = list.body.lines().find(|line| line.starts_with("checkout-api,Payments,USD,")).unwrap();
    assert_eq!(row.split(',').nth(3).unwrap().parse::<BigDecimal>().unwrap(), totals[0].amount);
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_member_sees_the_money_of_the_own_team_only(pool: PgPool) {
    seed(&pool).await;
    let app = support::app(pool).await;
    let member = app.browser(Role::Member, false, &[2]).await;
    assert_eq!(member.get("/").await.location(), "/services");
    let services = member.get("/services").await;
    assert!(services.body.contains("search-api"));
    assert!(!services.body.contains("ledger") && !services.body.contains("Not allocated</a>"), "only the own team's");
    assert!(!services.body.contains('€'), "the other team's currency");
    let other = member.get("/services/checkout-api").await;
    assert_eq!(other.status, StatusCode::OK);
    assert!(!other.body.contains('$') && !other.body.contains('€'), "no money of another team");
    assert!(other.body.contains("v1"), "but its deployments");
    assert_eq!(member.get("/services/checkout-api.csv").await.status, StatusCode::FORBIDDEN);
    let deployment = member.get("/deployments/1").await;
    assert_eq!(deployment.status, StatusCode::OK);
    assert!(!deployment.body.contains('$') && deployment.body.contains("Cost is open to the owners"));
    assert_eq!(member.get("/deployments/1.csv").await.status, StatusCode::FORBIDDEN);
    let administrator = app.browser(Role::Admin, false, &[]).await;
    let refused = administrator.get("/services").await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert!(refused.body.contains("administrators who are given finance"), "who changes that: {}", refused.body);
    assert!(!administrator.get("/deployments/1").await.body.contains('$'));
    let environments = member.get("/environments").await;
    assert!(!environments.body.contains("5.55") && !environments.body.contains('€'));
}

/// S25: what a bill, a person or a webhook wrote is text and nothing else.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn s25_hostile_names_are_text(pool: PgPool) {
    seed(&pool).await;
    sqlx::query("UPDATE environment SET name = $1 WHERE slug = 'production'")
        .bind(HOSTILE)
        .execute(&pool)
        .await
        .unwrap();
    sqlx::query("UPDATE source SET name = $1 WHERE name = 'cloud'").bind(HOSTILE).execute(&pool).await.unwrap();
    let app = browser(pool, Role::Finance).await;
    let paths = [
        "/",
        "/services",
        "/services/hostile",
        "/services/checkout-api",
        "/environments",
        "/environments/production",
        "/deployments",
        "/deployments/5",
    ];
    for path in paths {
        let page = app.get(path).await;
        assert_eq!(page.status, StatusCode::OK, "{path}");
        let html = Html::parse_document(&page.body);
        assert_eq!(html.select(&select("img")).count(), 0, "{path}");
        assert!(html.select(&select("script")).all(|script| script.value().attr("src").is_some()), "{path}");
        for element in html.select(&select("*")) {
            for (name, value) in element.value().attrs() {
                assert!(!name.starts_with("on") && name != "style", "{path}: {name}");
                assert!(!value.trim_start().to_lowercase().starts_with("javascript:"), "{path}: {value}");
            }
        }
    }
    let csv = app.get("/deployments.csv").await;
    assert!(csv.body.contains("\"'=cmd|"), "{}", csv.body);
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn nothing_yet_says_what_to_do(pool: PgPool) {
    let app = browser(pool.clone(), Role::Finance).await;
    for (path, words) in [
        ("/", "No billing data yet"),
        ("/services", "There are no services yet"),
        ("/environments", "No environments yet"),
        ("/deployments", "No deployments seen yet"),
    ] {
        let page = app.get(path).await;
        assert_eq!(page.status, StatusCode::OK, "{path}");
        assert!(page.body.contains(words), "{path}: {}", page.body);
    }
    assert_eq!(app.get("/services/none").await.status, StatusCode::NOT_FOUND);
    assert_eq!(app.get("/deployments/1").await.status, StatusCode::NOT_FOUND);
    seed(&pool).await;
    let gone = app.get("/environments/pr-1").await;
    assert!(gone.body.contains("This environment is gone"), "{}", lede(&gone));
    let empty = app.get("/environments/empty").await;
    assert!(lede(&empty).contains("no cost to show"), "{}", lede(&empty));
    let future = app.get("/services/checkout-api?period=2027-01").await;
    assert!(future.body.contains("None of these days is complete yet"), "{}", lede(&future));
    let none = app.get("/services/ledger?env=pr-1").await;
    assert!(none.body.contains("No cost matches these filters"), "{}", lede(&none));
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_wrong_value_is_refused_and_an_unknown_key_named(pool: PgPool) {
    seed(&pool).await;
    let app = browser(pool, Role::Finance).await;
    for (path, words) in [
        ("/services/checkout-api?by=moon", "Allowed: env, charge, provider."),
        ("/services?period=yesterday", "Allowed: 30d, 60d, 90d"),
        ("/services?env=nowhere", "a name listed at /environments"),
        ("/deployments?status=gone", "Allowed: pending"),
        ("/deployments?page=1", "Begin at the first page"),
    ] {
        let page = app.get(path).await;
        assert_eq!(page.status, StatusCode::BAD_REQUEST, "{path}");
        assert!(page.body.contains(words), "{path}: {}", page.body);
    }
    let page = app.get("/services?tier=1").await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.body.contains("Ignored: tier."));
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn deployments_are_listed_page_by_page(pool: PgPool) {
    seed(&pool).await;
    sqlx::query(
        "INSERT INTO deployment (event_source_id, external_id, status, status_at, created_at, version) \
         SELECT 1, 'many' || n, 'succeeded', '2026-08-01', '2026-08-01', 'w' || n FROM generate_series(1, 120) n",
    )
    .execute(&pool)
    .await
    .unwrap();
    let app = browser(pool, Role::Viewer).await;
    let mut path = "/deployments".to_owned();
    let mut seen = Vec::new();
    for _ in 0..5 {
        let page = app.get(&path).await;
        let html = Html::parse_document(&page.body);
        seen.extend(html.select(&select("tbody a.row")).map(|link| link.value().attr("href").unwrap().to_owned()));
        let older = html.select(&select(".pager a")).find(|link| text(*link) == "Older");
        let Some(older) = older else { break };
        path = older.value().attr("href").unwrap().to_owned();
    }
    let all = seen.len();
    seen.sort();
    seen.dedup();
    assert_eq!((all, seen.len()), (125, 125));
    let none = app.get("/deployments?service=none").await;
    assert!(none.body.contains("not mapped"));
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn the_navigation_shows_what_a_role_may_open(pool: PgPool) {
    let app = support::app(pool).await;
    for (role, has, lacks) in [
        (Role::Viewer, vec!["/", "/services", "/finance/statements"], vec!["/unmapped", "/settings/users", "/sources"]),
        (Role::Member, vec!["/services", "/deployments"], vec!["/finance/statements", "/settings/audit"]),
        (Role::Finance, vec!["/", "/unmapped", "/rules", "/sources"], vec!["/settings/users"]),
        (Role::Admin, vec!["/deployments", "/settings/users", "/sources"], vec!["/services", "/unmapped"]),
    ] {
        let page = app.browser(role, false, &[]).await.get("/deployments").await;
        let html = Html::parse_document(&page.body);
        let links: Vec<&str> =
            html.select(&select("nav.nav li a")).map(|link| link.value().attr("href").unwrap()).collect();
        assert!(has.iter().all(|path| links.contains(path)), "{role:?}: {links:?}");
        assert!(lacks.iter().all(|path| !links.contains(path)), "{role:?}: {links:?}");
    }
}

/// Names of a list's rows over all its pages, in order; each page adds up, to the same total.
async fn names_of_all_pages(app: &TestApp, first: &str) -> (Vec<String>, Vec<String>) {
    let (mut names, mut totals) = (Vec::new(), Vec::new());
    let mut next = Some(first.to_owned());
    while let Some(path) = next {
        let page = app.get(&path).await;
        assert_eq!(page.status, StatusCode::OK, "{path}: {}", page.body);
        assert_tables_add_up(&page, &path);
        let html = Html::parse_document(&page.body);
        let rows: Vec<String> = html.select(&select("tbody th a.row")).map(text).collect();
        assert!((1..=100).contains(&rows.len()), "{path}: {} rows", rows.len());
        names.extend(rows);
        totals.extend(html.select(&select("tr.total")).map(text));
        let link = html.select(&select(".pager a[rel='next']")).next();
        next = link.map(|link| link.value().attr("href").unwrap().to_owned());
    }
    (names, totals)
}

/// Of 250 services more, each is on one page, in the order of the list; the total is that of all, and the file is whole.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn services_are_listed_page_by_page(pool: PgPool) {
    seed(&pool).await;
    for statement in [
        "INSERT INTO service (slug, name) SELECT 'many-' || n, 'many-' || n FROM generate_series(1, 250) n",
        "INSERT INTO daily_cost SELECT service_id, '2026-11-10', 1, 4096, 'Cloud', 'Usage', 'USD', 1, v, v, v, v \
         FROM service, LATERAL (SELECT service_id * 1.237 AS v) x WHERE slug LIKE 'many-%'",
    ] {
        sqlx::query(statement).execute(&pool).await.unwrap();
    }
    let mut conn = pool.acquire().await.unwrap();
    let days = DateRange::new("2026-10-22".parse().unwrap(), "2026-11-21".parse().unwrap()).unwrap();
    let filter = CostFilter::new(days, CostBasis::Amortized);
    let expected = costs::totals(&mut conn, &Scope::everything(), &filter).await.unwrap();
    drop(conn);
    let app = browser(pool, Role::Finance).await;
    for sort in ["", "?sort=name", "?sort=-change"] {
        let (names, totals) = names_of_all_pages(&app, &format!("/services{sort}")).await;
        let csv = app.get(&format!("/services.csv{sort}")).await.body;
        let mut reader = csv::Reader::from_reader(csv.as_bytes());
        let mut listed: Vec<String> = reader.records().map(|row| row.unwrap()[0].to_owned()).collect();
        listed.dedup();
        assert_eq!(names, listed, "{sort}");
        assert_eq!((names.len(), totals.len()), (255, 3), "{sort}: with four others, and what is not allocated");
        for money in &expected {
            let decimals = costwake::web::display::decimals(&money.currency, &money.amount);
            let shown = costwake::web::display::money(&money.amount, &money.currency, decimals);
            assert!(totals.iter().all(|total| total.contains(&shown)), "{shown}: {totals:?}");
        }
    }
    let second = app.get("/services?sort=name&page=2").await;
    for words in ["155 on other pages", "Rows 101 to 200 of 255"] {
        assert!(second.body.contains(words), "{words}: {}", second.body);
    }
    let beyond = app.get("/services?page=4").await;
    assert_eq!(beyond.status, StatusCode::BAD_REQUEST);
    assert!(beyond.body.contains("page=4 is not one of this list"), "{}", beyond.body);
    let (mut names, _) = names_of_all_pages(&app, "/catalogue").await;
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 254, "each service of the catalogue");
}
