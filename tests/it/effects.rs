//! What deployments did to cost: from bills and deployments to verdicts on pages, in the API, and through their life.

#![expect(clippy::float_arithmetic, reason = "estimates against what was made up")]

use super::finance::{BY, World, column, deployed, texts, time, world};
use super::made_bills::{self, Made, day};
use super::support::{Answer, last_answer, usual_cents};
use chrono::NaiveDate;
use costwake::focus::DateRange;
use costwake::jobs::effects::{self, Settled};
use costwake::rollup::withdraw;
use costwake::store::tokens::TokenScope;
use costwake::store::{Role, Scope, effect_digest, price_changes};
use serde_json::Value;
use sqlx::PgPool;

const SERVICES: [&str; 5] = ["checkout", "search", "ledger", "mail", "media"];

/// Cents that a service costs on a day, the first one by a step more.
fn cents(service: usize, at: NaiveDate, step: i64) -> i64 {
    usual_cents(service, at) + if service == 0 { step } else { 0 }
}

async fn import(world: &World, month: &str, last: &str, step: i64, now: &str) {
    import_steps(world, month, last, now, &|at| if at > day("2026-10-28") { step } else { 0 }).await;
}

// `step` is what the first service costs more on a day, in cents.
async fn import_steps(world: &World, month: &str, last: &str, now: &str, step: &(dyn Fn(NaiveDate) -> i64 + Sync)) {
    world.import_text(&bill(month, last, step), now).await;
}

fn bill(month: &str, last: &str, step: &(dyn Fn(NaiveDate) -> i64 + Sync)) -> String {
    let made = SERVICES
        .into_iter()
        .enumerate()
        .map(|(index, service)| Made::new(service, move |at| cents(index, at, step(at))).of_one_unit());
    made_bills::bill(month, last, &made.collect::<Vec<_>>())
}

/// A deployment that went live at this instant.
pub async fn deploy(db: &PgPool, external_id: &str, service: &str, environment: &str, at: &str) -> i64 {
    deployed(db, (external_id, &format!("v{external_id}")), service, environment, at).await
}

/// Five services with four months of bills, of which the first costs 40 a day more from 29 October on.
pub async fn filled(db: &PgPool) -> World {
    let world = world(db).await;
    import(&world, "2026-08", "2026-08-31", 4000, "2026-09-02T06:00:00Z").await;
    import(&world, "2026-09", "2026-09-30", 4000, "2026-10-02T06:00:00Z").await;
    import(&world, "2026-10", "2026-10-31", 4000, "2026-11-02T06:00:00Z").await;
    import(&world, "2026-11", "2026-11-18", 4000, "2026-11-19T06:00:00Z").await;
    world
}

async fn settle(world: &World) -> Settled {
    effects::settle(&world.app.state.pools, time("2026-11-20T12:00:00Z")).await.unwrap()
}

// What is kept of how an effect lies over the days: on the 14 after the release, and on each later one.
async fn course(db: &PgPool, deployment_id: i64) -> (Vec<f64>, f64) {
    sqlx::query_as(
        "SELECT amounts_after::float8[], lasting_per_day::float8 FROM deployment_effect WHERE deployment_id = $1
         ORDER BY deployment_effect_id DESC LIMIT 1",
    )
    .bind(deployment_id)
    .fetch_one(db)
    .await
    .unwrap()
}

// What a release of the 28th of October added: October's last three days lie after it, and all 18 that November has, of
// a mean of 18 and 31 days.
fn november_against_october(after: &[f64], lasting: f64) -> f64 {
    let october: f64 = after[..3].iter().sum();
    let november = after[3..].iter().sum::<f64>() + 7.0 * lasting;
    (november / 18.0 - october / 31.0) * 13.0 / (31.0f64 / 18.0).ln()
}

fn cause(csv: &str, key: &str) -> f64 {
    let mut rows = column(csv, "Cause").into_iter().zip(column(csv, "Amount"));
    rows.find(|row| row.0 == key).unwrap_or_else(|| panic!("no {key}: {csv}")).1.parse().unwrap()
}

pub(super) async fn went_back(db: &PgPool, deployment_id: i64) {
    let mark = "UPDATE deployment_service SET is_rollback = true WHERE deployment_id = $1";
    sqlx::query(mark).bind(deployment_id).execute(db).await.unwrap();
}

pub(super) async fn phases(db: &PgPool, deployment_id: i64) -> Vec<(String, String)> {
    sqlx::query_as(
        "SELECT phase, finding FROM deployment_effect WHERE deployment_id = $1 ORDER BY deployment_effect_id",
    )
    .bind(deployment_id)
    .fetch_all(db)
    .await
    .unwrap()
}

pub(super) fn of(phase: &str, finding: &str) -> (String, String) {
    (phase.into(), finding.into())
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_release_is_settled_shown_and_revised(db: PgPool) {
    let world = filled(&db).await;
    // So late that all of it shows from the next day on, as in the bill.
    let step = deploy(&db, "1", "checkout", "production", "2026-10-28T23:50:00Z").await;
    let quiet = deploy(&db, "2", "search", "production", "2026-10-20T12:00:00Z").await;
    let young = deploy(&db, "3", "ledger", "production", "2026-11-12T12:00:00Z").await;
    let newest = deploy(&db, "4", "mail", "production", "2026-11-17T12:00:00Z").await;
    assert!(effects::ask_where_due(&world.app.state.pools).await.unwrap());
    let done = settle(&world).await;
    assert_eq!((done.release_count, done.computed_count, done.written_count), (4, 4, 4));
    assert!(!effects::is_behind(&world.app.state.pools).await.unwrap());

    // 40 more a day from the day after on.
    assert_eq!(phases(&db, step).await, [of("settled", "increase")]);
    let (per_day, low, high): (f64, f64, f64) = sqlx::query_as(
        "SELECT per_day::float8, per_day_low::float8, per_day_high::float8 FROM deployment_effect WHERE deployment_id = $1",
    )
    .bind(step)
    .fetch_one(&db)
    .await
    .unwrap();
    assert!((30.0..50.0).contains(&per_day) && low <= 40.5 && high >= 39.5, "{per_day} {low} {high}");
    assert_ne!(phases(&db, quiet).await[0].1, "increase");
    assert_eq!(phases(&db, young).await[0].0, "provisional");
    assert_eq!(phases(&db, newest).await, [of("measuring", "cannot-tell")]);

    // The same inputs are not worked out again.
    let again = settle(&world).await;
    assert_eq!((again.release_count, again.computed_count, again.written_count), (4, 0, 0));

    let finance = world.finance().await;
    let page = finance.get(&format!("/deployments/{step}")).await;
    assert!(page.body.contains("This deployment makes checkout cost about $"), "{}", page.body);
    assert!(page.body.contains("; over the 30 days from then about $"), "{}", page.body);
    assert!(page.body.contains("Not 30 times the day"), "{}", page.body);
    assert!(page.body.contains("Settled") && page.body.contains("class=\"band\""), "{}", page.body);
    // What the chart draws is in its table: the line, its band and what lies above it.
    let head = texts(&page.body, "section[aria-labelledby='h-ba'] details th[scope='col']");
    assert_eq!(head, ["Day", "Cost", "Expected without this", "90% band", "Above expected", "Use"]);
    let drawn = texts(&page.body, "section[aria-labelledby='h-ba'] details tbody tr");
    let told: Vec<&String> = drawn.iter().filter(|row| row.ends_with(" after") && row.contains(" to $")).collect();
    let higher = told.iter().filter(|row| row.contains(" +$")).count();
    assert!(higher > 0 && 2 * higher > told.len(), "{drawn:?}");
    // The file has what the page says: the answer, and what was expected of each day.
    let file = finance.get(&format!("/deployments/{step}.csv")).await.body;
    let amount = |name: &str| column(&file, name)[0].parse::<f64>().unwrap();
    let ends = ["EffectPerDay", "EffectPerDayLow", "EffectPerDayHigh"].map(amount);
    let gap: f64 = ends.iter().zip([per_day, low, high]).map(|(told, stored)| (told - stored).abs()).sum();
    assert!(gap < 1e-6, "{ends:?}: {file}");
    assert_eq!((column(&file, "Phase")[0].as_str(), column(&file, "Finding")[0].as_str()), ("settled", "increase"));
    let lines = ["ExpectedLow", "ExpectedCost", "ExpectedHigh", "EffectiveCost"].map(|name| column(&file, name));
    let after: Vec<usize> = (0..lines[0].len())
        .filter(|row| column(&file, "Side")[*row] == "after" && !lines[1][*row].is_empty())
        .collect();
    let mut above = 0.0;
    for row in &after {
        let [low, expected, high, cost] = [0, 1, 2, 3].map(|name: usize| lines[name][*row].parse::<f64>().unwrap());
        assert!(low <= expected && expected <= high, "{file}");
        above += (cost - expected) / after.len() as f64;
    }
    assert!((30.0..50.0).contains(&above), "{above} more a day than expected: {file}");
    let plain = finance.get(&format!("/deployments/{step}.csv?basis=billed")).await.body;
    assert!(column(&plain, "ExpectedCost").iter().all(String::is_empty), "the line is of amortized cost: {plain}");
    let file = finance.get(&format!("/deployments/{newest}.csv")).await.body;
    assert!(column(&file, "Phase").iter().all(|one| one == "measuring"), "{file}");
    let measuring = finance.get(&format!("/deployments/{newest}")).await;
    assert!(measuring.body.contains("Not yet known: 1 of 3 complete days"), "{}", measuring.body);
    let listed = texts(&finance.get("/deployments?finding=increase").await.body, "tbody th");
    assert_eq!(listed, ["v1"]);
    let csv = finance.get("/deployments.csv?finding=increase").await;
    let line = csv.body.lines().nth(1).unwrap();
    assert!(line.starts_with(&format!("{step},")) && line.contains(",increase,settled,clear-effect,"), "{line}");
    let service = finance.get("/services/checkout").await;
    assert!(service.body.contains("Effect a day") && service.body.contains("marker up"), "{}", service.body);
    assert!(service.body.contains("Releases that raised cost"), "a claimed release is a cause of the change");
    let (after, lasting) = course(&db, step).await;
    assert!((after.iter().sum::<f64>() / 14.0 - per_day).abs() < 0.001, "{after:?} for {per_day} a day");
    for view in ["billing", "charge"] {
        let csv = finance.get(&format!("/finance/statements/2026-11/causes.csv?view={view}")).await.body;
        let raised = cause(&csv, "releases-up");
        assert!((raised - november_against_october(&after, lasting)).abs() < 0.01, "{raised} of {after:?}: {csv}");
    }
    // Three days and no more: it raised October, so that November is cheaper by what they cost.
    let pulse = "UPDATE deployment_effect SET lasting_per_day = 0,
                     amounts_after = array_cat(array_fill(187, ARRAY[3]), array_fill(0, ARRAY[11]))
                 WHERE deployment_id = $1";
    sqlx::query(pulse).bind(step).execute(&db).await.unwrap();
    let csv = finance.get("/finance/statements/2026-11/causes.csv").await.body;
    let expected = november_against_october(&[vec![187.0; 3], vec![0.0; 11]].concat(), 0.0);
    assert!((cause(&csv, "releases-down") - expected).abs() < 0.01 && expected < -400.0, "{expected}: {csv}");
    // It lowered no cost: there is less of its increase.
    let less = csv.contains("Less added by releases") && csv.contains("(an increase, less of it than before)");
    assert!(less && !csv.contains("Releases that lowered cost"), "{csv}");
    assert!(csv.contains("checkout v1 of "), "a version of one name may be of any service: {csv}");
    // An answer from before courses were kept has the same amount on all days: three of October and 18 of November.
    let flat = "UPDATE deployment_effect SET lasting_per_day = NULL, amounts_after = NULL WHERE deployment_id = $1";
    sqlx::query(flat).bind(step).execute(&db).await.unwrap();
    let csv = finance.get("/finance/statements/2026-11/causes.csv").await.body;
    let expected = november_against_october(&[per_day; 14], per_day);
    assert!((cause(&csv, "releases-up") - expected).abs() < 0.01, "{expected}: {csv}");
    // Found later to have deployed what was there already: it claims nothing for as long as that is said.
    let noop = "UPDATE deployment_service SET is_noop = $2 WHERE deployment_id = $1";
    sqlx::query(noop).bind(step).bind(true).execute(&db).await.unwrap();
    let without = finance.get("/finance/statements/2026-11/causes.csv").await.body;
    let raised =
        column(&without, "Cause").into_iter().zip(column(&without, "Amount")).find(|row| row.0 == "releases-up");
    assert!(raised.is_none_or(|row| row.1.parse() == Ok(0.0)), "{without}");
    sqlx::query(noop).bind(step).bind(false).execute(&db).await.unwrap();
    // As much as it did by its verdict decides whether it is the main cause: a price moved by forty a day here as well.
    let did = "UPDATE deployment_effect SET lasting_per_day = $2, amounts_after = array_fill($2::numeric, ARRAY[14])
               WHERE deployment_id = $1";
    sqlx::query(did).bind(step).bind(60).execute(&db).await.unwrap();
    let overview = finance.get("/").await;
    assert!(overview.body.contains("Latest findings") && overview.body.contains("3 of 4"), "{}", overview.body);
    assert!(overview.body.contains("Latest deployments"), "those that nothing is said of yet are there too");
    let cause = format!("<a href=\"/deployments/{step}\">Release v1, +$");
    assert!(overview.body.contains(&cause), "a claimed release is the main cause of what moved: {}", overview.body);
    // What did little is not what the change is mostly made of: the largest cause of `/why` is, in its words.
    sqlx::query(did).bind(step).bind(1).execute(&db).await.unwrap();
    let overview = finance.get("/").await.body;
    assert!(!overview.contains(&cause), "{overview}");
    let why = texts(&finance.get("/why?service=checkout").await.body, ".lede").join(" ");
    let (label, amount) = why.split_once("the largest part: ").unwrap().1.split_once(" (").unwrap();
    let told = format!("{label}, {}", amount.split_once(')').unwrap().0);
    let causes = texts(&overview, "td.break a");
    assert!(causes.iter().any(|cause| cause.to_lowercase() == told.to_lowercase()), "{told}: {causes:?}");
    sqlx::query(flat).bind(step).execute(&db).await.unwrap();
    let method = finance.get("/docs/method").await;
    assert!(method.body.contains("Claimed to be an increase or a decrease"), "{}", method.body);
    for words in [
        "no release that does not share the answer",
        "is claimed of all of them together",
        "is a known step, no release",
        "reserved instance or committed use that begins",
        "by its own minutes",
    ] {
        assert!(method.body.contains(words), "{words}: {}", method.body);
    }
    let token = world.app.token(TokenScope::Read, Role::Finance).await;
    let path = format!("/api/v1/deployments/{step}/impact");
    let api = world.app.api("GET", &path, &token, Value::Null).await.json();
    assert_eq!(api["answers"][0]["finding"], "increase", "{api}");
    assert!(api["placebos"]["count"].as_i64().unwrap() > 10, "{api}");
    let answer = &api["answers"][0];
    // The 14 days and what lasts of it, for a step near 30 times the mean; the same on the page and in the file.
    let [sum, low, high] = ["per_30_days", "per_30_days_low", "per_30_days_high"].map(|key| {
        let text = answer[key].as_str().unwrap_or_else(|| panic!("{key}: {api}"));
        text.parse::<f64>().unwrap()
    });
    assert!((sum - after.iter().sum::<f64>() - 16.0 * lasting).abs() < 0.001, "{after:?} {lasting}: {api}");
    assert!((sum / per_day / 30.0 - 1.0).abs() < 0.05 && low <= sum && sum <= high, "{api}");
    let whole = sum.round() as i64;
    let shown = format!("+${},{:03}", whole / 1000, whole % 1000);
    assert!(page.body.contains(&shown), "{shown}: {}", page.body);
    let csv = finance.get("/deployments.csv").await.body;
    let listed = column(&csv, "EffectPer30Days");
    let told = |text: &String| text.parse::<f64>().is_ok_and(|amount| (amount - sum).abs() < 1e-9);
    assert!(listed.iter().any(told), "{sum}: {csv}");
    let days = answer["days"].as_array().unwrap();
    let after = days.iter().find(|one| one["day"] == "2026-10-30").unwrap_or_else(|| panic!("{api}"));
    let amount = |key: &str| after[key].as_str().unwrap().parse::<f64>().unwrap();
    assert!((amount("actual") - cents(0, day("2026-10-30"), 4000) as f64 / 100.0).abs() < 0.01, "{after}");
    assert!(amount("low") <= amount("expected") && amount("expected") <= amount("high"), "{after}");
    assert!(amount("expected") + 20.0 < amount("actual"), "the release shows on its days: {after}");
    // A step of forty in a hundred with little noise: no day without a release looks like that.
    assert_eq!(api["answers"][0]["placebos_as_strong"], 0, "{api}");
    assert!(page.body.contains("on 0 of them as strongly as here"), "{}", page.body);

    // October and November are restated: the release changed nothing after all.
    import(&world, "2026-10", "2026-10-31", 0, "2026-11-19T07:00:00Z").await;
    import(&world, "2026-11", "2026-11-18", 0, "2026-11-19T08:00:00Z").await;
    let restated = settle(&world).await;
    assert!(restated.computed_count >= 1);
    let after = phases(&db, step).await;
    assert_eq!(after.len(), 2, "{after:?}");
    assert_eq!(after[1].0, "revised");
    assert_ne!(after[1].1, "increase");
    let page = finance.get(&format!("/deployments/{step}")).await;
    assert!(page.body.contains("Revised: the cost of its days is another: bills were restated"), "{}", page.body);
}

/// A refund of earlier usage is category Usage too; it says nothing of what ran on its day.
/// "Nothing else is known to have moved the cost" is not said where another release of these days has a finding.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn another_release_with_a_finding_stands_beside_an_estimate(db: PgPool) {
    let world = filled(&db).await;
    let step = deploy(&db, "1", "checkout", "production", "2026-10-28T23:50:00Z").await;
    let later = deploy(&db, "2", "checkout", "production", "2026-11-14T12:00:00Z").await;
    settle(&world).await;
    assert_eq!(phases(&db, step).await.last(), Some(&of("settled", "increase")));
    let page = world.finance().await.get(&format!("/deployments/{later}")).await.body;
    assert!(!page.contains("Nothing else is known to have moved"), "{page}");
    let told = format!("<a href=\"/deployments/{step}\">v1</a></span></th>");
    assert!(page.contains("Another release<span class=\"sub\">") && page.contains(&told), "{page}");
    // What failed has no effect, which its row says.
    let failed = deploy(&db, "3", "mail", "production", "2026-11-10T12:00:00Z").await;
    sqlx::query("UPDATE deployment SET status = 'failed' WHERE deployment_id = $1")
        .bind(failed)
        .execute(&db)
        .await
        .unwrap();
    let rows = texts(&world.finance().await.get("/deployments").await.body, "tbody tr");
    let row = rows.iter().find(|row| row.contains("v3")).unwrap_or_else(|| panic!("{rows:?}"));
    assert!(row.contains("did not go live: nothing to compare"), "{row}");
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_correction_is_not_what_a_release_did(db: PgPool) {
    let world = filled(&db).await;
    let id = deploy(&db, "1", "checkout", "production", "2026-10-28T12:00:00Z").await;
    settle(&world).await;
    let answer = async || -> Vec<(String, String)> {
        sqlx::query_as("SELECT finding, per_day::text FROM deployment_effect WHERE deployment_id = $1 ORDER BY deployment_effect_id")
            .bind(id)
            .fetch_all(&db)
            .await
            .unwrap()
    };
    let before = answer().await;
    let mut text = bill("2026-11", "2026-11-18", &|_| 4000);
    text.push_str(
        "-5000,-5000,-5000,-5000,USD,acct-1,2026-11-01T00:00:00Z,2026-12-01T00:00:00Z,2026-11-03T00:00:00Z,\
         2026-11-04T00:00:00Z,Usage,Correction,Some use,Usage-Based,Cloud One,Cloud One,Cloud One,,Compute,Machines,sub-1,\
         vm-checkout,eu-1,sku-1,1,Hours,\"{\"\"service\"\":\"\"checkout\"\",\"\"environment\"\":\"\"production\"\"}\"\n",
    );
    world.import_text(&text, "2026-11-19T08:00:00Z").await;
    settle(&world).await;
    let after = answer().await;
    assert_eq!(after.last(), before.last(), "{after:?}");
    let kept: String = sqlx::query_scalar(
        "SELECT sum(effective_cost)::text FROM daily_cost JOIN generation USING (generation_id)
         WHERE state = 'current' AND charge_date = '2026-11-03' AND NOT is_used",
    )
    .fetch_one(&db)
    .await
    .unwrap();
    assert_eq!(kept, "-5000", "it is cost all the same");
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn answers_and_notes_are_for_those_who_may_see_the_money(db: PgPool) {
    let world = filled(&db).await;
    let id = deploy(&db, "1", "checkout", "production", "2026-10-28T12:00:00Z").await;
    settle(&world).await;
    let team_id: i64 = sqlx::query_scalar("INSERT INTO team (slug, name) VALUES ('pay', 'Pay') RETURNING team_id")
        .fetch_one(&db)
        .await
        .unwrap();
    let page = format!("/deployments/{id}");
    let stranger = world.app.browser(Role::Member, false, &[team_id]).await;
    let seen = stranger.get(&page).await;
    assert!(!seen.body.contains("more a day") && !seen.body.contains("h-note"), "{}", seen.body);
    let note = [("note", "Agreed with the team.")];
    assert_eq!(stranger.post_form(&format!("{page}/notes"), &note).await.status, 403);
    let token = world.app.token_of(world.app.person(Role::Member, false, &[team_id]).await, TokenScope::Read).await;
    let api = world.app.api("GET", &format!("/api/v1{page}/impact"), &token, Value::Null).await;
    assert_eq!(api.status, 403);
    let listed = stranger.get("/deployments?finding=increase").await;
    assert!(texts(&listed.body, "tbody th").is_empty());

    sqlx::query("UPDATE service SET team_id = $1 WHERE slug = 'checkout'").bind(team_id).execute(&db).await.unwrap();
    let owner = world.app.browser(Role::Member, false, &[team_id]).await;
    assert!(owner.get(&page).await.body.contains("more a day"));
    assert_eq!(owner.post_form(&format!("{page}/notes"), &note).await.status, 303);
    assert!(owner.get(&page).await.body.contains("Agreed with the team."));
    assert_eq!(owner.post_form(&format!("{page}/notes"), &[("note", "  ")]).await.status, 400);
    let audited: i64 = sqlx::query_scalar("SELECT count(*) FROM audit_log WHERE action = 'deployment.note_added'")
        .fetch_one(&db)
        .await
        .unwrap();
    assert_eq!(audited, 1);
    let viewer = world.app.browser(Role::Viewer, false, &[]).await;
    assert!(!viewer.get(&page).await.body.contains("<textarea"), "a viewer writes nothing");
}

/// Two releases a day apart share one answer: on the page of each, in lists, CSV and the API, and once among the causes.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn releases_a_day_apart_share_one_answer(db: PgPool) {
    let world = filled(&db).await;
    let first = deploy(&db, "1", "checkout", "production", "2026-10-28T06:00:00Z").await;
    let second = deploy(&db, "2", "checkout", "production", "2026-10-29T06:00:00Z").await;
    let done = settle(&world).await;
    assert_eq!((done.release_count, done.computed_count, done.written_count), (2, 2, 2));
    assert_eq!(phases(&db, first).await, [of("settled", "increase")]);
    assert_eq!(phases(&db, second).await, [of("settled", "increase")]);
    let finance = world.finance().await;
    let token = world.app.token(TokenScope::Read, Role::Finance).await;
    let mut answers = Vec::new();
    for (id, other) in [(first, second), (second, first)] {
        let page = finance.get(&format!("/deployments/{id}")).await;
        let lede = texts(&page.body, ".lede").join(" ");
        assert!(
            lede.starts_with("This deployment and 1 other within a day of it, together, make checkout cost about $"),
            "{lede}"
        );
        let notices = texts(&page.body, ".notice").join(" ");
        assert!(notices.contains("so they share one answer") && notices.contains("Of this one alone"), "{notices}");
        assert!(notices.contains("leaves out the days from the first of them to the last"), "{notices}");
        assert!(page.body.contains(&format!("<a href=\"/deployments/{other}\">v")), "{notices}");
        let api = world.app.api("GET", &format!("/api/v1/deployments/{id}/impact"), &token, Value::Null).await.json();
        let answer = &api["answers"][0];
        let joint = &answer["joint"];
        assert_eq!(joint["deployment_ids"], serde_json::json!([other]), "{api}");
        assert_eq!(joint["days"], serde_json::json!(["2026-10-28", "2026-10-29"]), "{api}");
        assert!(joint["own_per_day"].is_string(), "{api}");
        let pick = |key: &str| answer[key].as_str().unwrap().to_owned();
        answers.push(["finding", "per_day", "per_day_low", "per_day_high", "before_per_day"].map(pick));
    }
    assert_eq!(answers[0], answers[1]);
    let amount: f64 = answers[0][1].parse().unwrap();
    assert!((30.0..50.0).contains(&amount), "{amount}");

    let csv = finance.get("/deployments.csv?finding=increase").await.body;
    assert_eq!(column(&csv, "SharesAnswerWith"), [first.to_string(), second.to_string()], "{csv}");
    let listed: Vec<f64> = column(&csv, "EffectPerDay").iter().map(|text| text.parse().unwrap()).collect();
    assert_eq!(listed, [amount, amount], "{csv}");
    let service = finance.get("/services/checkout").await.body;
    assert!(service.contains("shared with 1 other deployment"), "{service}");
    let overview = finance.get("/").await.body;
    assert!(overview.contains("1 of 1") && overview.contains("shared with 1 other deployment"), "{overview}");
    // Twenty days of the later period lie after both, none of the earlier one.
    let causes = finance.get("/why.csv?period=2026-10-30..2026-11-18&service=checkout").await.body;
    let raised: Vec<String> = column(&causes, "Cause")
        .into_iter()
        .zip(column(&causes, "Amount"))
        .filter(|(cause, _)| cause == "releases-up")
        .map(|(_, amount)| amount)
        .collect();
    let raised: f64 = raised.first().unwrap_or_else(|| panic!("{causes}")).parse().unwrap();
    assert!((raised - 20.0 * amount).abs() < 0.5 * amount, "{raised} for {amount} a day: counted once");
    // Of all that the overview could name it names both, since the days do not tell one from the other.
    let more = "UPDATE deployment_effect SET lasting_per_day = 60, amounts_after = array_fill(60, ARRAY[14])";
    sqlx::query(more).execute(&db).await.unwrap();
    let together = format!("<a href=\"/deployments/{second}\">Releases v1 and v2 together, +$");
    let overview = finance.get("/").await.body;
    assert!(overview.contains(&together), "{overview}");

    // A third one of the day after joins them, and the answer says what became different.
    let third = deploy(&db, "3", "checkout", "production", "2026-10-30T06:00:00Z").await;
    settle(&world).await;
    let api = world.app.api("GET", &format!("/api/v1/deployments/{third}/impact"), &token, Value::Null).await.json();
    assert_eq!(api["answers"][0]["joint"]["deployment_ids"], serde_json::json!([first, second]), "{api}");
    assert_eq!(phases(&db, first).await.len(), 2);
    assert_eq!(settle(&world).await.computed_count, 0);
}

/// What failed after all, or turns out to deploy what was there, keeps its last answer: it counts on no start page, has no
/// row there, is in no list of a finding, and no list tells an effect of it.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn what_did_not_go_live_after_all_counts_nowhere(db: PgPool) {
    let world = filled(&db).await;
    let first = deploy(&db, "1", "checkout", "production", "2026-10-28T06:00:00Z").await;
    let second = deploy(&db, "2", "checkout", "production", "2026-10-29T06:00:00Z").await;
    settle(&world).await;
    assert_eq!(phases(&db, second).await, [of("settled", "increase")]);
    let finance = world.finance().await;
    let days = DateRange::days_to(day("2026-11-18"), 30);
    for (gone, back) in [
        (
            "UPDATE deployment SET status = 'failed' WHERE deployment_id = $1",
            "UPDATE deployment SET status = 'succeeded' WHERE deployment_id = $1",
        ),
        (
            "UPDATE deployment_service SET is_noop = true WHERE deployment_id = $1",
            "UPDATE deployment_service SET is_noop = false WHERE deployment_id = $1",
        ),
    ] {
        sqlx::query(gone).bind(second).execute(&db).await.unwrap();
        // Both before and after the first one is answered alone: the joint answer of the other stands for ever.
        for _ in 0..2 {
            let mut conn = db.acquire().await.unwrap();
            let counts = effect_digest::counts(&mut conn, &Scope::everything(), days).await.unwrap();
            assert_eq!((counts.all(), counts.measured()), (1, 1), "{gone}: {counts:?}");
            let newest = effect_digest::newest(&mut conn, &Scope::everything(), 10).await.unwrap();
            let rows: Vec<i64> = newest.iter().map(|one| one.effect.deployment_id).collect();
            assert_eq!(rows, [first], "{gone}");
            drop(conn);
            settle(&world).await;
        }
        let overview = finance.get("/").await.body;
        assert!(!overview.contains("shared with 1 other deployment"), "{gone}: {overview}");
        let found = phases(&db, first).await.last().unwrap().1.clone();
        let listed = texts(&finance.get(&format!("/deployments?finding={found}")).await.body, "tbody th");
        assert_eq!(listed, ["v1"], "{gone}");
        assert_eq!(phases(&db, second).await.last().unwrap().1, "increase", "{gone}");
        let csv = finance.get("/deployments.csv").await.body;
        let told: Vec<(String, String)> = column(&csv, "Version").into_iter().zip(column(&csv, "Finding")).collect();
        assert_eq!(told, [of("v2", ""), of("v1", &found)], "{gone}: {csv}");
        sqlx::query(back).bind(second).execute(&db).await.unwrap();
        settle(&world).await;
        assert_eq!(texts(&finance.get("/deployments?finding=increase").await.body, "tbody th"), ["v2", "v1"], "{back}");
    }
}

/// List prices are compared once for all analyses, and anew where other bills count.
/// What is released elsewhere is answered as well, among its own kind; the start page tells of production only.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_release_to_staging_has_an_answer_too(db: PgPool) {
    let world = filled(&db).await;
    let become_kind = async |kind: &str| {
        sqlx::query("UPDATE environment SET kind = $1 WHERE slug = 'production'")
            .bind(kind)
            .execute(&db)
            .await
            .unwrap();
    };
    become_kind("preview").await;
    // So late that all of it shows from the next day on, as in the bill.
    let step = deploy(&db, "1", "checkout", "production", "2026-10-28T23:50:00Z").await;
    assert_eq!(settle(&world).await.release_count, 0, "previews end too soon");
    let finance = world.finance().await;
    let page = finance.get(&format!("/deployments/{step}")).await;
    assert!(page.body.contains("Effects are not estimated for previews"), "{}", page.body);

    become_kind("staging").await;
    assert!(effects::is_behind(&world.app.state.pools).await.unwrap(), "the kind of an environment decides");
    assert_eq!(settle(&world).await.written_count, 1);
    assert_eq!(phases(&db, step).await, [of("settled", "increase")]);
    let page = finance.get(&format!("/deployments/{step}")).await;
    assert!(page.body.contains("This deployment makes checkout cost about $"), "{}", page.body);
    let why = finance.get("/why?service=checkout&period=2026-11").await;
    assert!(why.body.contains("v1 in production of 28 Oct"), "another place is named: {}", why.body);
    let overview = finance.get("/").await;
    assert!(!overview.body.contains("Latest findings"), "{}", overview.body);
    let learnt: Vec<String> =
        sqlx::query_scalar("SELECT environments FROM effect_calibration").fetch_all(&db).await.unwrap();
    assert_eq!(learnt, ["others"]);
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn prices_are_compared_once_for_each_set_of_bills(db: PgPool) {
    let world = world(&db).await;
    import(&world, "2026-09", "2026-09-30", 0, "2026-10-02T06:00:00Z").await;
    let mut conn = db.acquire().await.unwrap();
    assert!(price_changes::bring_up_to_date(&mut conn).await.unwrap());
    assert!(!price_changes::bring_up_to_date(&mut conn).await.unwrap(), "nothing changed");
    import(&world, "2026-10", "2026-10-31", 0, "2026-11-02T06:00:00Z").await;
    assert!(price_changes::bring_up_to_date(&mut conn).await.unwrap());
}

/// Of a rollback it is said whether the cost came back.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_rollback_says_whether_the_cost_came_back(db: PgPool) {
    let world = world(&db).await;
    let until = |at: NaiveDate| if at > day("2026-10-20") && at <= day("2026-11-03") { 4000 } else { 0 };
    for (month, last) in
        [("2026-08", "2026-08-31"), ("2026-09", "2026-09-30"), ("2026-10", "2026-10-31"), ("2026-11", "2026-11-18")]
    {
        import_steps(&world, month, last, "2026-11-19T06:00:00Z", &until).await;
    }
    deploy(&db, "1", "checkout", "production", "2026-10-20T12:00:00Z").await;
    let back = deploy(&db, "2", "checkout", "production", "2026-11-03T12:00:00Z").await;
    went_back(&db, back).await;
    settle(&world).await;
    let page = world.finance().await.get(&format!("/deployments/{back}")).await;
    assert!(
        page.body.contains("went back to an earlier version, and the cost came back with it."),
        "{:?}",
        texts(&page.body, ".notice, .lede")
    );
    let token = world.app.token(TokenScope::Read, Role::Finance).await;
    let api = world.app.api("GET", &format!("/api/v1/deployments/{back}/impact"), &token, Value::Null).await.json();
    assert_eq!(api["answers"][0]["came_back"]["answer"], "yes", "{api}");

    // A mark that goes or comes later asks again, about the rollback alone.
    let pools = &world.app.state.pools;
    assert!(!effects::is_behind(pools).await.unwrap());
    for (is_rollback, words) in [(false, "it is no rollback any more"), (true, "it is known to be a rollback")] {
        sqlx::query("UPDATE deployment_service SET is_rollback = $2 WHERE deployment_id = $1")
            .bind(back)
            .bind(is_rollback)
            .execute(&db)
            .await
            .unwrap();
        assert!(effects::is_behind(pools).await.unwrap());
        let done = settle(&world).await;
        assert_eq!((done.computed_count, done.written_count), (1, 1));
        let answer = last_answer(&db, back).await;
        assert_eq!((answer.came_back.is_some(), answer.what_changed.as_str()), (is_rollback, words));
    }
}

/// A rollback to before two releases is held against what both did, not against the last one alone.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_rollback_over_two_releases_is_held_against_both(db: PgPool) {
    let world = world(&db).await;
    let dear = |at: NaiveDate| if at > day("2026-10-12") && at <= day("2026-11-03") { 4000 } else { 0 };
    for (month, last) in
        [("2026-08", "2026-08-31"), ("2026-09", "2026-09-30"), ("2026-10", "2026-10-31"), ("2026-11", "2026-11-18")]
    {
        import_steps(&world, month, last, "2026-11-19T06:00:00Z", &dear).await;
    }
    deployed(&db, ("1", "v1"), "checkout", "production", "2026-09-15T12:00:00Z").await;
    let raised = deployed(&db, ("2", "v2"), "checkout", "production", "2026-10-12T12:00:00Z").await;
    let nothing = deployed(&db, ("3", "v3"), "checkout", "production", "2026-10-22T12:00:00Z").await;
    let back = deployed(&db, ("4", "v1"), "checkout", "production", "2026-11-03T12:00:00Z").await;
    went_back(&db, back).await;
    settle(&world).await;
    let token = world.app.token(TokenScope::Read, Role::Finance).await;
    let api = world.app.api("GET", &format!("/api/v1/deployments/{back}/impact"), &token, Value::Null).await.json();
    let came_back = &api["answers"][0]["came_back"];
    assert_eq!(came_back["answer"], "yes", "{api}");
    assert_eq!(came_back["deployment_ids"], serde_json::json!([raised, nothing]), "{api}");
    let page = world.finance().await.get(&format!("/deployments/{back}")).await.body;
    assert!(page.contains(&format!("<a href=\"/deployments/{nothing}\">v3</a>")), "{page}");
    assert!(page.contains("What they did is added up."), "{page}");
    // Where the version is the name of a branch, its commit tells what it went back to.
    let commits = "UPDATE deployment SET version = 'main', sha = CASE WHEN external_id IN ('1', '4') THEN 'aaaaaaaa'
                   ELSE 'bbbbbbb' || external_id END";
    sqlx::query(commits).execute(&db).await.unwrap();
    settle(&world).await;
    let api = world.app.api("GET", &format!("/api/v1/deployments/{back}/impact"), &token, Value::Null).await.json();
    assert_eq!(api["answers"][0]["came_back"]["deployment_ids"], serde_json::json!([raised, nothing]), "{api}");
}

/// Estimates leave shares of split cost out: a late bill of which a service has shares only leaves its own days known.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_late_bill_of_shares_leaves_the_days_of_an_effect_known(db: PgPool) {
    let world = filled(&db).await;
    let id = deploy(&db, "1", "ledger", "production", "2026-11-12T12:00:00Z").await;
    let edge = [Made::new("edge", |_| 10_000)];
    for (month, last, now) in
        [("2026-10", "2026-10-31", "2026-11-02T07:00:00Z"), ("2026-11", "2026-11-10", "2026-11-11T06:00:00Z")]
    {
        world.import_as("edge-one", &made_bills::bill(month, last, &edge), now).await;
    }
    let token = world.app.token(TokenScope::Admin, Role::Finance).await;
    let split = serde_json::json!({"name": "Edge", "source": "edge", "method": "fixed", "reason": "The ledger uses it.",
        "targets": [{"service": "ledger", "percent": "100"}]});
    let made = world.app.api("POST", "/api/v1/splits", &token, split).await;
    assert_eq!(made.status.as_u16(), 201, "{}", made.body);
    settle(&world).await;
    let finance = world.finance().await;
    let page = finance.get("/services/ledger").await.body;
    assert!(page.contains("edge-one is missing since Wed 11 Nov 2026"), "with shares it makes much of it: {page}");
    assert_eq!(phases(&db, id).await.first().map(|(phase, _)| phase.as_str()), Some("provisional"));
}

/// A rollback on the day of its release is not compared with the release before: bills cannot tell.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_rollback_of_the_same_day_cannot_be_told_by_bills(db: PgPool) {
    let world = filled(&db).await;
    let old = deploy(&db, "4", "checkout", "production", "2026-10-06T12:00:00Z").await;
    let taken_back = deploy(&db, "5", "checkout", "production", "2026-10-28T08:00:00Z").await;
    let back = deploy(&db, "6", "checkout", "production", "2026-10-28T15:00:00Z").await;
    went_back(&db, back).await;
    settle(&world).await;
    let token = world.app.token(TokenScope::Read, Role::Finance).await;
    let came_back = async |id: i64| {
        let path = format!("/api/v1/deployments/{id}/impact");
        world.app.api("GET", &path, &token, Value::Null).await.json()["answers"][0]["came_back"].clone()
    };
    let expected = serde_json::json!({ "answer": "same-day", "share": null, "deployment_ids": [taken_back] });
    assert_eq!(came_back(back).await, expected);
    assert_eq!((came_back(taken_back).await, came_back(old).await), (Value::Null, Value::Null));
    let finance = world.finance().await;
    let page = finance.get(&format!("/deployments/{back}")).await.body;
    assert!(page.contains("released and rolled back on one day"), "{page}");
    assert!(page.contains(&format!("It took back <a href=\"/deployments/{taken_back}\">v5</a>.")), "{page}");
    let page = finance.get(&format!("/deployments/{taken_back}")).await.body;
    assert!(!page.contains("went back to an earlier version"), "{page}");
}

/// Traffic that comes in later changes an answer, and the answer says so, whatever was published in between.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn an_answer_says_which_part_of_it_is_another(db: PgPool) {
    let world = filled(&db).await;
    let id = deploy(&db, "1", "checkout", "production", "2026-10-28T12:00:00Z").await;
    settle(&world).await;
    // Something that has nothing to do with it is published.
    import(&world, "2026-03", "2026-03-03", 0, "2026-11-19T07:00:00Z").await;
    let mut text = "metric,service,day,value\n".to_owned();
    for at in day("2026-08-01").iter_days().take_while(|at| *at <= day("2026-11-18")) {
        let requests = cents(0, at, if at > day("2026-10-28") { 4000 } else { 0 }) * 10;
        text.push_str(&format!("requests,checkout,{at},{requests}\n"));
    }
    let (pools, now) = (&world.app.state.pools, time("2026-11-20T06:00:00Z"));
    costwake::rollup::metrics_import::import(pools, text.as_bytes(), "test", "", now).await.unwrap();
    settle(&world).await;
    let changed = last_answer(&db, id).await.what_changed;
    assert!(changed.contains("traffic of its days came in later or was corrected"), "{changed}");
    assert!(!changed.contains("the cost of its days is another"), "{changed}");
}

/// What was said of a release is taken back where no bill tells of its cost any more, and said again once one does.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn an_answer_whose_cost_is_gone_is_taken_back(db: PgPool) {
    const MONTHS: [(&str, &str); 4] =
        [("2026-08", "2026-08-31"), ("2026-09", "2026-09-30"), ("2026-10", "2026-10-31"), ("2026-11", "2026-11-18")];
    let world = world(&db).await;
    let mut deliveries = Vec::new();
    for (month, last) in MONTHS {
        let text = bill(month, last, &|at| if at > day("2026-10-28") { 4000 } else { 0 });
        deliveries.push(world.import_text(&text, "2026-11-19T06:00:00Z").await.delivery_id);
    }
    let step = deploy(&db, "1", "checkout", "production", "2026-10-28T23:50:00Z").await;
    let young = deploy(&db, "2", "ledger", "production", "2026-11-12T12:00:00Z").await;
    settle(&world).await;
    let answer = async |id: i64| {
        let Answer { phase, finding, reason, .. } = last_answer(&db, id).await;
        [phase, finding, reason]
    };
    assert_eq!(answer(step).await, ["settled", "increase", "clear-effect"]);
    assert_eq!(answer(young).await[0], "provisional");

    for delivery_id in deliveries {
        withdraw(&world.app.state.pools, delivery_id, BY, time("2026-11-20T07:00:00Z")).await.unwrap();
    }
    assert!(effects::ask_where_due(&world.app.state.pools).await.unwrap());
    assert_eq!(settle(&world).await.written_count, 2);
    assert_eq!(answer(step).await, ["revised", "cannot-tell", "cost-gone"]);
    assert_eq!(answer(young).await, ["measuring", "cannot-tell", "cost-gone"]);
    assert_eq!(settle(&world).await.written_count, 0, "it is said once");
    let changed = last_answer(&db, step).await.what_changed;
    assert!(changed.starts_with("no bill tells of its cost any more; the finding changed from"), "{changed}");
    let finance = world.finance().await;
    let page = finance.get(&format!("/deployments/{step}")).await.body;
    let said = "what this deployment did to the cost of checkout. No bill tells of that cost any more.";
    assert!(page.contains(&format!("Cannot tell {said}")), "{page}");
    let page = finance.get(&format!("/deployments/{young}")).await.body;
    assert!(page.contains("Not yet known what this deployment did to the cost of ledger. No bill tells"), "{page}");

    // Bills that give the service nothing say so as well, whatever else they tell.
    for (month, last) in MONTHS {
        let others = SERVICES.into_iter().enumerate().skip(1);
        let made = others.map(|(index, service)| Made::new(service, move |at| cents(index, at, 0)).of_one_unit());
        let text = made_bills::bill(month, last, &made.collect::<Vec<_>>());
        world.import_text(&text, "2026-11-20T08:00:00Z").await;
    }
    assert_eq!(settle(&world).await.written_count, 1);
    assert_eq!(answer(step).await, ["revised", "cannot-tell", "cost-gone"]);
    assert_eq!(answer(young).await[0], "provisional");

    for (month, last) in MONTHS {
        let text = bill(month, last, &|at| if at > day("2026-10-28") { 4000 } else { 1 });
        world.import_text(&text, "2026-11-20T09:00:00Z").await;
    }
    settle(&world).await;
    assert_eq!(answer(step).await, ["revised", "increase", "clear-effect"]);
    let changed = last_answer(&db, step).await.what_changed;
    assert!(changed.starts_with("bills tell of its cost again"), "{changed}");
    let told = phases(&db, step).await;
    assert_eq!(told[..2], [of("settled", "increase"), of("revised", "cannot-tell")], "what was said is kept");
}
