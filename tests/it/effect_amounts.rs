//! Amounts of effects against what was put on made bills: how near, how sure, why not, and what else is told beside them.

#![expect(clippy::float_arithmetic, reason = "estimates against what was made up")]

use super::effects::{of, phases, went_back};
use super::finance::{World, deployed, time, world};
use super::made_bills::{self, Made, day, days};
use super::support::usual_cents;
use chrono::{Days, NaiveDate};
use costwake::jobs::effects;
use costwake::store::Role;
use costwake::store::tokens::TokenScope;
use serde_json::Value;
use sqlx::PgPool;

const LAST_DAY: &str = "2026-11-18";
/// The day of the release, so late that all of it shows from the next day on.
const RELEASED: &str = "2026-10-28T23:50:00Z";

/// Half of a step of forty: an interval as wide as that says little more than the direction. With noise of 2 % it is some
/// 10 wide.
const WIDTH_MAX: f64 = 30.0;
/// How far an amount may lie from what is true, as a share of it: noise alone is a twentieth of these steps.
const NEAR_SHARE: f64 = 0.25;

/// Five services of about 100 a day, of which the first costs `step` cents more on a day.
fn organisation<'a>(step: impl Fn(NaiveDate) -> i64 + Send + Sync + 'a) -> Vec<Made<'a>> {
    let mut made = vec![Made::new("checkout", move |at| usual_cents(0, at) + step(at))];
    for (index, service) in ["search", "ledger", "mail"].into_iter().enumerate() {
        made.push(Made::new(service, move |at| usual_cents(index + 1, at)));
    }
    // Days that differ by two fifths either way.
    made.push(Made::new("media", |at| {
        let days = at.signed_duration_since(day("2026-01-01")).num_days();
        10_000 + (days * days * 2741 + days * 1009).rem_euclid(8001) - 4000
    }));
    made
}

fn after_the_release(cents: i64) -> impl Fn(NaiveDate) -> i64 + Send + Sync {
    move |at| if at > day("2026-10-28") { cents } else { 0 }
}

async fn filled(db: &PgPool, made: &[Made<'_>]) -> World {
    let world = world(db).await;
    made_bills::import(&world, "2026-08", LAST_DAY, made).await;
    world
}

async fn release(db: &PgPool, id: &str, service: &str, at: &str) -> i64 {
    deployed(db, (id, &format!("v{id}")), service, "production", at).await
}

async fn settle(world: &World) {
    effects::settle(&world.app.state.pools, time("2026-11-20T12:00:00Z")).await.unwrap();
}

/// The answer that stands, as the API tells it.
async fn answer(world: &World, deployment_id: i64) -> Value {
    let token = world.app.token(TokenScope::Read, Role::Finance).await;
    let path = format!("/api/v1/deployments/{deployment_id}/impact");
    world.app.api("GET", &path, &token, Value::Null).await.json()["answers"][0].clone()
}

fn amount(answer: &Value, key: &str) -> f64 {
    answer[key].as_str().unwrap_or_else(|| panic!("no {key}: {answer}")).parse().unwrap()
}

fn said(answer: &Value) -> (&str, &str, &str) {
    let text = |key: &str| answer[key].as_str().unwrap_or_else(|| panic!("no {key}: {answer}"));
    (text("phase"), text("finding"), text("reason"))
}

fn flag<'a>(answer: &'a Value, kind: &str) -> &'a Value {
    let flags = answer["flags"].as_array().unwrap();
    flags.iter().find(|one| one["kind"] == kind).unwrap_or_else(|| panic!("no {kind}: {answer}"))
}

/// The interval holds what is true and the amount lies near. Gives how wide the interval is.
fn assert_near(answer: &Value, truth: f64) -> f64 {
    let [per_day, low, high] = ["per_day", "per_day_low", "per_day_high"].map(|key| amount(answer, key));
    assert!(low <= truth && truth <= high, "{low} to {high} for {truth}");
    assert!(low <= per_day && per_day <= high, "{per_day} in {low} to {high}");
    assert!((per_day - truth).abs() < NEAR_SHARE * truth.abs(), "{per_day} for {truth}");
    high - low
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_step_up_has_its_amount_and_its_amount_for_each_request(db: PgPool) {
    let world = filled(&db, &organisation(after_the_release(4000))).await;
    let units = |at: NaiveDate| 50 * usual_cents(0, at);
    made_bills::requests(&world, ("checkout", "production"), ("2026-08-01", LAST_DAY), units).await;
    let id = release(&db, "1", "checkout", RELEASED).await;
    settle(&world).await;
    let answer = answer(&world, id).await;
    assert_eq!(said(&answer), ("settled", "increase", "clear-effect"), "{answer}");
    let width = assert_near(&answer, 40.0);
    assert!(width < WIDTH_MAX, "{width} wide: {answer}");
    let before = amount(&answer, "before_per_day");
    assert!((95.0..105.0).contains(&before), "{before}");

    // Forty a day over the requests of the fourteen days after.
    let first = day("2026-10-29");
    let mean = days(first, first + Days::new(13)).map(|at| units(at) as f64).sum::<f64>() / 14.0;
    let per_unit = |key: &str| answer["per_unit"][key].as_f64().unwrap_or_else(|| panic!("no {key}: {answer}"));
    let truth = 40.0 / mean;
    assert!((per_unit("units_per_day") - mean).abs() < 0.001 * mean, "{answer}");
    assert!(per_unit("low") <= truth && truth <= per_unit("high"), "{truth}: {answer}");
    assert!((per_unit("per_unit") / truth - 1.0).abs() < 0.25, "{truth}: {answer}");
    // A request cost a five-thousandth of a unit of the currency before.
    assert!((per_unit("before") * 5000.0 - 1.0).abs() < 0.05, "{answer}");
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_step_down_has_its_amount(db: PgPool) {
    let world = filled(&db, &organisation(after_the_release(-3000))).await;
    let id = release(&db, "1", "checkout", RELEASED).await;
    settle(&world).await;
    let answer = answer(&world, id).await;
    assert_eq!(said(&answer), ("settled", "decrease", "clear-effect"), "{answer}");
    let width = assert_near(&answer, -30.0);
    assert!(width < WIDTH_MAX, "{width} wide: {answer}");
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn what_did_nothing_says_so_or_why_nobody_can_tell(db: PgPool) {
    let world = filled(&db, &organisation(after_the_release(0))).await;
    let quiet = release(&db, "1", "search", RELEASED).await;
    let noisy = release(&db, "2", "media", RELEASED).await;
    let early = release(&db, "3", "mail", "2026-08-20T12:00:00Z").await;
    let newest = release(&db, "4", "ledger", "2026-11-17T12:00:00Z").await;
    settle(&world).await;

    let about = answer(&world, quiet).await;
    assert_eq!(said(&about), ("settled", "no-material-change", "within-a-tenth"), "{about}");
    // With noise of 2 % no more than a seventh is needed to be seen; nothing below a twentieth of cost is ever claimed.
    let smallest = amount(&about, "smallest_visible");
    assert!((0.5..15.0).contains(&smallest), "{smallest}");
    let (claimed, before) = (amount(&about, "smallest_claimed"), amount(&about, "before_per_day"));
    assert!((claimed - 0.05 * before).abs() < 0.001, "{claimed} of {before}");
    let [low, high] = ["per_day_low", "per_day_high"].map(|key| amount(&about, key));
    assert!((-10.5..=0.0).contains(&low) && (0.0..10.5).contains(&high), "{low} to {high}");
    let finance = world.finance().await;
    let page = finance.get(&format!("/deployments/{quiet}")).await;
    assert!(page.body.contains("No material change: what this deployment added"), "{}", page.body);
    assert!(page.body.contains("The smallest change that could have been seen is $"), "{}", page.body);
    assert!(page.body.contains(&format!("; none below ${claimed:.2} (5% of cost) is ever claimed")), "{}", page.body);

    let about = answer(&world, noisy).await;
    let (phase, finding, reason) = said(&about);
    assert_eq!((phase, finding), ("settled", "cannot-tell"), "{about}");
    assert!(["too-uncertain", "likely-not-certain"].contains(&reason), "{about}");
    let needed = about["smallest_visible"].as_str().map(|text| text.parse::<f64>().unwrap());
    assert!(needed.is_none_or(|needed| needed > smallest), "{needed:?} against {smallest}");
    let page = finance.get(&format!("/deployments/{noisy}")).await;
    let tells = page.body.contains("The smallest change that could have been seen is $");
    assert_eq!(tells, needed.is_some(), "{}", page.body);

    // Nineteen complete days lie before it.
    assert_eq!(said(&answer(&world, early).await), ("settled", "cannot-tell", "short-history"));
    let about = answer(&world, newest).await;
    assert_eq!(said(&about), ("measuring", "cannot-tell", "too-few-days-after"), "{about}");
    assert!(about["per_day"].is_null(), "{about}");
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_rollback_says_how_much_came_back(db: PgPool) {
    let dear = |at: NaiveDate| if at > day("2026-10-20") && at <= day("2026-11-03") { 4000 } else { 0 };
    let world = filled(&db, &organisation(dear)).await;
    release(&db, "1", "checkout", "2026-10-20T23:50:00Z").await;
    let back = release(&db, "2", "checkout", "2026-11-03T23:50:00Z").await;
    went_back(&db, back).await;
    settle(&world).await;
    let about = answer(&world, back).await;
    assert_eq!(about["came_back"]["answer"], "yes", "{about}");
    let share = about["came_back"]["share"].as_f64().unwrap();
    assert!((0.75..1.25).contains(&share), "{about}");
    assert_near(&about, -40.0);
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_rollback_that_changes_nothing_says_so(db: PgPool) {
    let dear = |at: NaiveDate| if at > day("2026-10-20") { 4000 } else { 0 };
    let world = filled(&db, &organisation(dear)).await;
    release(&db, "1", "checkout", "2026-10-20T23:50:00Z").await;
    let back = release(&db, "2", "checkout", "2026-11-03T23:50:00Z").await;
    went_back(&db, back).await;
    settle(&world).await;
    let about = answer(&world, back).await;
    assert_eq!(about["came_back"]["answer"], "no", "{about}");
    assert!(about["came_back"]["share"].as_f64().unwrap().abs() < 0.25, "{about}");
}

/// Within half of its interval a restatement moves a settled answer and no more; beyond it the answer is revised.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_restatement_by_more_than_half_of_the_interval_revises(db: PgPool) {
    let world = filled(&db, &organisation(after_the_release(4000))).await;
    let id = release(&db, "1", "checkout", RELEASED).await;
    settle(&world).await;
    let first = answer(&world, id).await;
    let half = (amount(&first, "per_day_high") - amount(&first, "per_day_low")) / 2.0;
    // What the two restatements below move: half a unit, and thirty.
    assert!((0.5..30.0).contains(&half), "{first}");
    // Later on the day of the last bill: no day takes longer to be complete for it.
    for (cents, now) in [(4050, "2026-11-19T07:00:00Z"), (7000, "2026-11-19T08:00:00Z")] {
        let made = organisation(after_the_release(cents));
        for (month, last) in [("2026-10", "2026-10-31"), ("2026-11", LAST_DAY)] {
            world.import_text(&made_bills::bill(month, last, &made), now).await;
        }
        settle(&world).await;
    }
    let told = phases(&db, id).await;
    assert_eq!(told, [of("settled", "increase"), of("settled", "increase"), of("revised", "increase")]);
    let revised = answer(&world, id).await;
    assert_near(&revised, 70.0);
    assert!(revised["what_changed"].as_str().unwrap().contains("bills were restated"), "{revised}");
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_credit_and_days_to_come_are_told_beside_the_amount(db: PgPool) {
    let mut made = organisation(after_the_release(4000));
    made.push(Made::once("checkout", "2026-11-03", -7000).charged_as("Credit"));
    made.push(Made::once("checkout", "2026-11-04", 9000).charged_as("Tax"));
    let world = filled(&db, &made).await;
    let settled = release(&db, "1", "checkout", RELEASED).await;
    let young = release(&db, "2", "search", "2026-11-12T12:00:00Z").await;
    settle(&world).await;

    let about = answer(&world, settled).await;
    assert_near(&about, 40.0);
    // Seventy back once are five a day over the fourteen days asked; tax is the bill's and nobody's doing.
    let credit = flag(&about, "credit-or-fee");
    assert!((amount(credit, "amount_per_day") + 5.0).abs() < 0.01, "{about}");
    assert_eq!(credit["day"], "2026-11-03", "{about}");
    let kinds: Vec<&Value> = about["flags"].as_array().unwrap().iter().map(|one| &one["kind"]).collect();
    assert!(kinds.iter().all(|kind| **kind != "incomplete-days"), "{kinds:?}");

    let about = answer(&world, young).await;
    assert_eq!(about["phase"], "provisional", "{about}");
    let incomplete = flag(&about, "incomplete-days");
    assert_eq!((&incomplete["day"], incomplete["amount_per_day"].is_null()), (&Value::from("2026-11-19"), true));
}
