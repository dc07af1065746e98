//! What is said of a deployment's effect: sentence, steps, figures, flags, history.

use super::super::display::{decimals, signed};
use super::super::effects::{Answer, Estimate, Mark, ONLY_IF, Whisker, flag_text};
use super::super::filters::grouped;
use super::super::parts::{Figure, Figures};
use crate::analyze::impact::{Phase, claim_probability};
use crate::store::effect_runs::StoredCalibration;
use crate::store::effects::EffectRow;
use bigdecimal::BigDecimal;
use chrono::{DateTime, NaiveDate, Utc};
use serde_json::Value;

/// Why the sum is another figure than the change a day makes.
const NOT_THIRTY_TIMES: &str = "Not 30 times the day: an effect may pass or grow";

/// Everything that the page says of the effect.
pub struct EffectView {
    /// The first sentence.
    pub sentence: String,
    pub mark: Mark,
    pub phase: String,
    pub reason: &'static str,
    /// What replaced the answer before, where it was revised; what cannot be told apart; whether the cost came back.
    pub notices: Vec<String>,
    /// Of a rollback: what it took back.
    pub taken_back: Vec<i64>,
    /// What the interval is given, where it leaves out zero and no change is claimed; may be empty.
    pub given: String,
    /// The other deployments that share the answer.
    pub shared_with: Vec<i64>,
    /// Whether it is about releases of several days.
    pub is_of_several_days: bool,
    /// What the days say of this one alone, where releases of other days share its answer.
    pub alone: String,
    pub steps: Vec<Step>,
    pub figures: Figures,
    /// One a service and currency, where there are several.
    pub services: Vec<ServiceRow>,
    pub flags: Vec<FlagRow>,
    pub history: Vec<HistoryRow>,
    pub method: String,
    pub left_out: String,
    /// Of the one that the sentence is about.
    pub service_name: String,
}

impl super::DeploymentPage {
    /// Another deployment by its version, where it is of the days of the page.
    pub(super) fn label_of(&self, id: &i64) -> String {
        self.others.label_of(*id)
    }
}

/// A state that the answer went through.
pub struct Step {
    pub name: &'static str,
    pub detail: String,
    pub is_now: bool,
}

pub struct ServiceRow {
    pub name: String,
    pub slug: String,
    pub mark: Mark,
    pub whisker: Whisker,
    pub amount: String,
    pub note: String,
}

/// What may stand behind an amount, as the page and the command line write it.
pub struct FlagRow {
    /// "Launch".
    pub name: &'static str,
    /// What it is, and of which day.
    pub detail: String,
    /// A day, in the currency of the answer; words where it is not known.
    pub amount: String,
    /// Whether there is an amount.
    pub has_amount: bool,
    /// Those that it is about.
    pub deployments: Vec<i64>,
}

pub struct HistoryRow {
    pub state: String,
    pub detail: String,
    pub whisker: Whisker,
    pub amount: String,
    pub interval: String,
}

/// What stands, of all answers: one a service and currency, the largest claim first.
pub fn standing(rows: &[EffectRow]) -> Vec<&EffectRow> {
    let mut standing: Vec<&EffectRow> = Vec::new();
    // The newest come first.
    for row in rows {
        let is_same =
            |other: &&EffectRow| (other.service_id, &other.billing_currency) == (row.service_id, &row.billing_currency);
        if !standing.iter().any(is_same) {
            standing.push(row);
        }
    }
    standing.sort_by_key(|row| {
        let answer = Answer::from(*row);
        (std::cmp::Reverse((answer.is_claimed(), answer.size())), row.service_name.clone())
    });
    standing
}

/// The view, or `None` where nothing was said yet.
pub fn view(rows: &[EffectRow], calibration: Option<&StoredCalibration>) -> Option<EffectView> {
    let standing = standing(rows);
    let main = *standing.first()?;
    let answer = Answer::from(main);
    let own: Vec<&EffectRow> = rows
        .iter()
        .rev()
        .filter(|row| (row.service_id, &row.billing_currency) == (main.service_id, &main.billing_currency))
        .collect();
    Some(EffectView {
        sentence: sentence(&answer, main, &standing),
        mark: answer.mark(),
        phase: answer.phase_words(),
        reason: answer.reason_sentence(),
        notices: notices(main, &own),
        taken_back: taken_back(main),
        given: given(&answer, main),
        is_of_several_days: main
            .joint
            .as_ref()
            .is_some_and(|joint| joint["days"].as_array().is_some_and(|days| days.len() > 1)),
        alone: alone(main),
        steps: steps(&own),
        figures: figures(&answer, main),
        services: if standing.len() > 1 { services(&standing) } else { Vec::new() },
        flags: flags(main),
        history: history(&own),
        method: method(main, calibration),
        left_out: left_out(main),
        service_name: main.service_name.clone(),
        shared_with: answer.shared_with,
    })
}

fn sentence(answer: &Answer, main: &EffectRow, standing: &[&EffectRow]) -> String {
    let own = answer.sentence(&main.service_name);
    let others = standing.iter().skip(1).filter(|row| Answer::from(**row).is_claimed()).count();
    match (standing.len() - 1, others) {
        (0, _) => own,
        (rest, 0) => format!("{own} For its {rest} other services or currencies no change is claimed."),
        (rest, claimed) => {
            format!("{own} A change is claimed for {claimed} of its {rest} other services or currencies too.")
        }
    }
}

fn notices(main: &EffectRow, own: &[&EffectRow]) -> Vec<String> {
    let mut notices = Vec::new();
    if main.phase == "revised" && !main.what_changed.is_empty() {
        let before = own.iter().rev().find(|row| row.phase == "settled").map(|row| Answer::from(*row));
        let was = before
            .and_then(|before| before.amount())
            .map(|was| format!(" It was {was} a day before."))
            .unwrap_or_default();
        notices.push(format!("Revised: {}.{was}", main.what_changed));
    }
    if let Some(returned) = &main.came_back {
        notices.push(
            match returned["answer"].as_str() {
                Some("yes") => "This deployment went back to an earlier version, and the cost came back with it.",
                Some("partly") => "This deployment went back to an earlier version, and the cost came back in part.",
                Some("no") => "This deployment went back to an earlier version, and the cost did not come back.",
                Some("same-day") => {
                    "This deployment took back a release of the same day: released and rolled back on one day, so that daily bills cannot tell what that release cost, nor whether it came back."
                }
                _ => "This deployment went back to an earlier version; whether the cost came back cannot be told.",
            }
            .into(),
        );
    }
    notices
}

// Beside "cannot tell" or "no material change" an interval without zero looks like a contradiction.
fn given(answer: &Answer, main: &EffectRow) -> String {
    let probability = main.probability.filter(|_| answer.is_only_if());
    probability
        .map_or_else(String::new, |probability| not_claimed(probability, &answer.phase, answer.reason_sentence()))
}

// Why no change is claimed although the interval leaves out zero.
fn not_claimed(probability: f64, phase: &str, reason: &str) -> String {
    let settled = if phase == "provisional" { Phase::Provisional } else { Phase::Settled };
    let needed = claim_probability(settled);
    let text = |share: f64| {
        let share: BigDecimal = bigdecimal::FromPrimitive::from_f64(share).unwrap_or_default();
        super::super::display::percent(&share, &BigDecimal::from(1)).unwrap_or_default()
    };
    // Where it is likely enough, something else stands in the way.
    let why = match probability > needed {
        true => reason.to_owned(),
        false => format!("A claim needs more than {}.", text(needed)),
    };
    format!(
        "No change is claimed although the interval leaves out zero: it says how large an effect is if there is one, and that there is one is {} likely. {why}",
        text(probability)
    )
}

fn taken_back(main: &EffectRow) -> Vec<i64> {
    let ids = main.came_back.as_ref().and_then(|returned| returned["deployment_ids"].as_array());
    ids.map(|ids| ids.iter().filter_map(Value::as_i64).collect()).unwrap_or_default()
}

// The days say little of one release that another stands beside, but what they say is not kept back.
fn alone(main: &EffectRow) -> String {
    let Some(joint) = &main.joint else { return String::new() };
    let amount = |key: &str| joint[key].as_str().and_then(|text| text.parse::<BigDecimal>().ok());
    let (Some(per_day), Some(low), Some(high)) = (amount("own_per_day"), amount("own_low"), amount("own_high")) else {
        return String::new();
    };
    let digits = decimals(&main.billing_currency, &low.abs().max(high.abs()));
    let text = |amount: &BigDecimal| signed(amount, &main.billing_currency, digits);
    format!(
        "Of this one alone the days say {} a day (90% interval {} to {}); how the answer divides is not sure.",
        text(&per_day),
        text(&low),
        text(&high)
    )
}

// Each state that it went through, with the first answer in it; the last one is now.
fn steps(own: &[&EffectRow]) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for (phase, name) in
        [("measuring", "Measuring"), ("provisional", "Provisional"), ("settled", "Settled"), ("revised", "Revised")]
    {
        let Some(row) = own.iter().rev().find(|row| row.phase == phase) else { continue };
        let amount = Answer::from(*row).amount().map(|amount| format!("{amount}, ")).unwrap_or_default();
        let detail = format!("{amount}{}", row.asked_on.format("%-d %b"));
        steps.push(Step { name, detail, is_now: own.last().is_some_and(|last| last.phase == phase) });
    }
    steps
}

fn figures(answer: &Answer, main: &EffectRow) -> Figures {
    let not_known = || "not known".to_owned();
    let with = |text: Option<String>| text.map(|text| format!("{text}, 90%")).unwrap_or_default();
    let mut a_day = with(answer.interval());
    // That of the sum has the sign of that of the mean.
    let only_if = if answer.is_only_if() { ONLY_IF } else { "" };
    a_day.push_str(only_if);
    let over_30_days = answer.interval_30_days();
    let over_30_days = over_30_days.map(|text| format!("{text}, 90%{only_if}. {NOT_THIRTY_TIMES}")).unwrap_or_default();
    let mut all = vec![
        Figure::plain("Change a day", answer.amount().unwrap_or_else(not_known), a_day),
        Figure::plain("Over 30 days", answer.amount_30_days().unwrap_or_else(not_known), over_30_days),
        Figure::plain(
            "Of its cost",
            answer.relative().unwrap_or_else(not_known),
            answer.before().map(|before| format!("{before} a day before")).unwrap_or_default(),
        ),
    ];
    let whose = of_whom(answer.shared_with.len());
    let unit =
        main.per_unit.as_ref().and_then(|unit| per_unit(unit, &main.billing_currency, &format!("{whose}{only_if}")));
    all.extend(unit);
    all.push(Figure::plain(
        "Smallest change to be seen",
        answer.smallest().unwrap_or_else(not_known),
        match answer.smallest_claimed() {
            Some(claimed) => {
                format!("a day, in the noise of these days; none below {claimed} (5% of cost) is ever claimed")
            }
            None => "a day, in the noise of these days".into(),
        },
    ));
    Figures(all)
}

// The plain comparison of unit costs holds all that moved. What several share is of all of them: of one of them alone
// the days may say the opposite.
fn of_whom(other_count: usize) -> String {
    match other_count {
        0 => "of the release alone".into(),
        count => {
            format!("of this and {count} that {} its answer, together", if count == 1 { "shares" } else { "share" })
        }
    }
}

// For as many as a unit cost is of, a thousand requests say: one costs too little to be read.
fn per_unit(unit: &Value, currency: &str, whose: &str) -> Option<Figure> {
    let count = unit["unit_cost_per"].as_i64().unwrap_or(1000);
    let name = unit["unit"].as_str().unwrap_or("requests");
    let of_count = |key: &str| {
        let value: BigDecimal = unit[key].as_f64().and_then(bigdecimal::FromPrimitive::from_f64)?;
        Some(value * BigDecimal::from(count))
    };
    let (amount, low, high) = (of_count("per_unit")?, of_count("low")?, of_count("high")?);
    let text = |amount: &BigDecimal| signed(amount, currency, 4);
    let label = match count {
        1 => format!("Effect per unit of {name}"),
        count => format!("Effect per {} {name}", grouped(&BigDecimal::from(count), 0)),
    };
    Some(Figure::plain(label, text(&amount), format!("{} to {}, 90%, {whose}", text(&low), text(&high))))
}

fn services(standing: &[&EffectRow]) -> Vec<ServiceRow> {
    let answers: Vec<Answer> = standing.iter().map(|row| Answer::from(*row)).collect();
    let whiskers = Whisker::rows(&answers.iter().map(estimate).collect::<Vec<_>>());
    standing
        .iter()
        .zip(answers)
        .zip(whiskers)
        .map(|((row, answer), whisker)| ServiceRow {
            name: row.service_name.clone(),
            slug: row.service_slug.clone(),
            mark: answer.mark(),
            whisker,
            amount: answer.amount().unwrap_or_else(|| "not known".into()),
            note: answer.interval_told().unwrap_or_else(|| answer.phase_words()),
        })
        .collect()
}

/// An answer as a row of a table with whiskers.
pub fn estimate(answer: &Answer) -> Estimate {
    Estimate { values: answer.positions(), class: answer.class(), is_open: answer.phase == "provisional" }
}

/// What may stand behind the amount of an answer.
pub fn flags(main: &EffectRow) -> Vec<FlagRow> {
    let all = main.flags.as_array().map(Vec::as_slice).unwrap_or_default();
    all.iter()
        .map(|flag| {
            let (name, what) = flag_text(flag);
            let day = flag["day"].as_str().and_then(|day| day.parse::<NaiveDate>().ok());
            let amount = flag["amount_per_day"].as_str().and_then(|text| text.parse::<BigDecimal>().ok());
            FlagRow {
                name,
                detail: match day {
                    Some(day) => format!("{what}, {}", day.format("%-d %b %Y")),
                    None => what,
                },
                has_amount: amount.is_some(),
                amount: amount.map_or_else(
                    || if flag["kind"] == "incomplete-days" { "none yet".into() } else { "not known".into() },
                    |amount| signed(&amount, &main.billing_currency, decimals(&main.billing_currency, &amount.abs())),
                ),
                deployments: flag["deployment_ids"]
                    .as_array()
                    .map(|ids| ids.iter().filter_map(Value::as_i64).collect())
                    .unwrap_or_default(),
            }
        })
        .collect()
}

fn history(own: &[&EffectRow]) -> Vec<HistoryRow> {
    let answers: Vec<Answer> = own.iter().map(|row| Answer::from(*row)).collect();
    let whiskers = Whisker::rows(&answers.iter().map(estimate).collect::<Vec<_>>());
    own.iter()
        .zip(answers)
        .zip(whiskers)
        .map(|((row, answer), whisker)| HistoryRow {
            state: format!("{}: {}", answer.phase_words(), answer.finding_word().to_lowercase()),
            detail: match row.what_changed.as_str() {
                "" => format!("bills to {}", row.asked_on.format("%-d %b %Y")),
                changed => format!("bills to {}; {changed}", row.asked_on.format("%-d %b %Y")),
            },
            whisker,
            amount: answer.amount().unwrap_or_else(|| "not yet".into()),
            interval: answer.interval_told().unwrap_or_default(),
        })
        .collect()
}

fn method(main: &EffectRow, calibration: Option<&StoredCalibration>) -> String {
    let fitted = format!(
        "Expected cost is fitted on {} complete days before and {} after: weekday, traffic where it is known, how the other services moved, known prices and commitments, what rules and tags moved, and every other release of {}. {}",
        main.days_before,
        main.days_after,
        main.service_name,
        main.hourly_start.as_ref().and_then(started).unwrap_or_default()
    );
    match calibration {
        Some(learnt) if learnt.placebo_count > 0 => {
            let outside = super::super::display::percent(
                &BigDecimal::from(learnt.claimed_count),
                &BigDecimal::from(learnt.placebo_count),
            );
            let as_strongly = main.probability.filter(|_| Answer::from(main).is_claimed()).map(|probability| {
                let count = learnt.claimed_as_strongly(probability);
                format!(", on {count} of them as strongly as here")
            });
            format!(
                "{fitted}On {} days without a release here, the same method claimed a change on {} ({}){}.",
                learnt.placebo_count,
                learnt.claimed_count,
                outside.unwrap_or_default(),
                as_strongly.unwrap_or_default()
            )
        }
        _ => fitted.trim_end().to_owned(),
    }
}

// That hours of the bill say how much of its day a release could change.
fn started(start: &Value) -> Option<String> {
    let at: DateTime<Utc> = start["at"].as_str()?.parse().ok()?;
    let share: BigDecimal = start["share_after"].as_f64().and_then(bigdecimal::FromPrimitive::from_f64)?;
    let share = super::super::display::percent(&share, &BigDecimal::from(1))?;
    Some(format!(
        "The bill is hourly: the effect is counted from {} on (UTC), after which {share} of what such a day costs usually comes. ",
        at.format("%H:%M")
    ))
}

fn left_out(main: &EffectRow) -> String {
    format!(
        "Days whose bills are still arriving (after {}), tax, credits, fees, corrections, unused commitments and shares of shared costs. Amounts are amortized (EffectiveCost).",
        main.asked_on.format("%-d %b %Y")
    )
}

#[cfg(test)]
mod tests {
    use super::{not_claimed, of_whom, per_unit, started};
    use serde_json::json;

    #[test]
    fn an_interval_without_zero_beside_a_quiet_finding_is_explained() {
        let told = not_claimed(0.34, "settled", "");
        assert!(told.ends_with("that there is one is 34.0% likely. A claim needs more than 85.0%."), "{told}");
        assert!(not_claimed(0.88, "provisional", "").ends_with("A claim needs more than 90.0%."));
        let near = not_claimed(0.97, "settled", "Another release is near.");
        assert!(near.ends_with("is 97.0% likely. Another release is near."), "{near}");
    }

    /// Beside the plain comparison of the table "What a unit costs", which holds all that moved.
    #[test]
    fn an_effect_per_unit_says_whose_it_is() {
        let unit = json!({ "unit": "requests", "unit_cost_per": 1000, "per_unit": -1e-6, "low": -2e-6, "high": 1e-6 });
        let figure = per_unit(&unit, "USD", &of_whom(0)).unwrap();
        assert_eq!(figure.label, "Effect per 1,000 requests");
        assert!(figure.note.ends_with(", 90%, of the release alone"), "{}", figure.note);
        // A shared answer is of all that share it.
        let note = |others: usize| per_unit(&unit, "USD", &of_whom(others)).unwrap().note;
        assert!(note(1).ends_with(", 90%, of this and 1 that shares its answer, together"), "{}", note(1));
        assert!(note(2).ends_with(", 90%, of this and 2 that share its answer, together"), "{}", note(2));
    }

    #[test]
    fn the_hour_that_an_effect_counts_from_is_told() {
        let told = started(&json!({ "at": "2026-10-28T14:05:00Z", "share_after": 0.381234 })).unwrap();
        assert!(told.starts_with("The bill is hourly: the effect is counted from 14:05 on (UTC), after which 38.1%"));
        assert_eq!(started(&json!({ "at": "2026-10-28T14:05:00Z" })), None);
    }
}
