//! Answers about deployments in words and marks, the same on every page.

mod note;
mod thirty_days;
mod whisker;

pub use note::routes;
pub use thirty_days::ThirtyDays;
pub use whisker::{Estimate, Whisker};

use super::charts::{Shape, position};
use super::display::{decimals, money, percent_change, signed};
use crate::analyze::impact::smallest_claimed;
use crate::store::effects::{self, EffectBrief, EffectRow};
use askama::Template;
use bigdecimal::{BigDecimal, Zero};
use serde_json::Value;

/// Words of the address that narrow a list to a finding, and what people read.
pub const FINDINGS: [(&str, &str); 5] = [
    ("increase", "Increase"),
    ("decrease", "Decrease"),
    ("no-material-change", "No material change"),
    ("cannot-tell", "Cannot tell"),
    ("measuring", "Measuring"),
];

/// What an interval is that leaves out zero beside an answer that claims nothing.
pub const ONLY_IF: &str = ", if there is an effect at all";

/// An answer as far as words need it.
#[derive(Debug, Clone)]
pub struct Answer {
    /// FOCUS BillingCurrency.
    pub currency: String,
    /// `measuring`, `provisional`, `settled`, `revised`.
    pub phase: String,
    /// `increase`, `decrease`, `no-material-change`, `cannot-tell`.
    pub finding: String,
    reason: String,
    days_after: i32,
    per_day: Option<BigDecimal>,
    interval: Option<(BigDecimal, BigDecimal)>,
    over_30_days: Option<ThirtyDays>,
    before: Option<BigDecimal>,
    smallest: Option<BigDecimal>,
    /// The other deployments that share the answer.
    pub shared_with: Vec<i64>,
}

impl From<&EffectRow> for Answer {
    fn from(row: &EffectRow) -> Self {
        Self {
            currency: row.billing_currency.clone(),
            phase: row.phase.clone(),
            finding: row.finding.clone(),
            reason: row.reason.clone(),
            days_after: row.days_after,
            per_day: row.per_day.clone(),
            interval: row.per_day_low.clone().zip(row.per_day_high.clone()),
            over_30_days: ThirtyDays::of_row(row),
            before: row.before_per_day.clone(),
            smallest: row.smallest_visible.clone(),
            shared_with: effects::shared_with(row.joint.as_ref()),
        }
    }
}

impl From<&EffectBrief> for Answer {
    fn from(row: &EffectBrief) -> Self {
        Self {
            currency: row.billing_currency.clone(),
            phase: row.phase.clone(),
            finding: row.finding.clone(),
            reason: row.reason.clone(),
            days_after: row.days_after,
            per_day: row.per_day.clone(),
            interval: row.per_day_low.clone().zip(row.per_day_high.clone()),
            over_30_days: ThirtyDays::of_brief(row),
            before: row.before_per_day.clone(),
            smallest: None,
            shared_with: effects::shared_with(row.joint.as_ref()),
        }
    }
}

impl Answer {
    /// Whether it is claimed that cost rose or fell.
    pub fn is_claimed(&self) -> bool {
        matches!(self.finding.as_str(), "increase" | "decrease")
    }

    /// Units of the currency a day, without sign; for the order of rows.
    pub fn size(&self) -> BigDecimal {
        self.per_day.as_ref().map(BigDecimal::abs).unwrap_or_default()
    }

    /// Positions for a whisker: estimate, low, high.
    pub fn positions(&self) -> Option<(f64, f64, f64)> {
        let (low, high) = self.interval.as_ref()?;
        Some((position(self.per_day.as_ref()?), position(low), position(high)))
    }

    /// The class of the style sheet: up, down, flat.
    pub fn class(&self) -> &'static str {
        match self.finding.as_str() {
            "increase" => "up",
            "decrease" => "down",
            _ => "flat",
        }
    }

    /// The shape of its marker on a chart.
    pub fn shape(&self) -> Shape {
        match self.finding.as_str() {
            _ if self.phase == "measuring" => Shape::Measuring,
            "increase" => Shape::Increase,
            "decrease" => Shape::Decrease,
            _ => Shape::Plain,
        }
    }

    /// "Increase", "No material change", "Measuring".
    pub fn finding_word(&self) -> &'static str {
        let key = if self.phase == "measuring" { "measuring" } else { self.finding.as_str() };
        FINDINGS.iter().find(|(finding, _)| *finding == key).map_or("Cannot tell", |(_, word)| word)
    }

    /// "1 of 3 complete days", for beside the finding's word.
    pub fn progress(&self) -> String {
        match self.phase.as_str() {
            "measuring" if self.is_cost_gone() => "no bill tells of it".into(),
            "measuring" if self.waits_for_bill() => "a bill is missing".into(),
            "measuring" => format!("{} of 3 complete days", self.days_after),
            _ => self.phase_words(),
        }
    }

    fn waits_for_bill(&self) -> bool {
        self.reason == "bill-missing" || self.is_cost_gone()
    }

    fn is_cost_gone(&self) -> bool {
        self.reason == "cost-gone"
    }

    /// "Settled", "Provisional, 5 of 14 days".
    pub fn phase_words(&self) -> String {
        match self.phase.as_str() {
            "measuring" => format!("Measuring, {}", self.progress()),
            "provisional" => format!("Provisional, {} of 14 complete days", self.days_after),
            "revised" => "Revised".into(),
            _ => "Settled".into(),
        }
    }

    fn digits(&self) -> i64 {
        let largest = match (&self.interval, &self.per_day) {
            (Some((low, high)), _) => low.abs().max(high.abs()),
            (None, Some(amount)) => amount.abs(),
            (None, None) => BigDecimal::zero(),
        };
        decimals(&self.currency, &largest)
    }

    /// `+$137` a day.
    pub fn amount(&self) -> Option<String> {
        Some(signed(self.per_day.as_ref()?, &self.currency, self.digits()))
    }

    /// `+$110 to +$164`.
    pub fn interval(&self) -> Option<String> {
        let (low, high) = self.interval.as_ref()?;
        let text = |amount: &BigDecimal| signed(amount, &self.currency, self.digits());
        Some(format!("{} to {}", text(low), text(high)))
    }

    /// Whether the interval is only true if there is an effect at all: it leaves out zero and nothing is claimed.
    pub fn is_only_if(&self) -> bool {
        let zero = BigDecimal::zero();
        !self.is_claimed() && self.interval.as_ref().is_some_and(|(low, high)| *low > zero || *high < zero)
    }

    /// `+$110 to +$164`, and where it is only true if there is an effect, that it is.
    pub fn interval_told(&self) -> Option<String> {
        let only_if = if self.is_only_if() { ONLY_IF } else { "" };
        self.interval().map(|text| format!("{text}{only_if}"))
    }

    /// `+$4,120` over 30 days.
    pub fn amount_30_days(&self) -> Option<String> {
        self.over_30_days.as_ref().map(ThirtyDays::amount)
    }

    /// `+$3,310 to +$4,930` over 30 days.
    pub fn interval_30_days(&self) -> Option<String> {
        self.over_30_days.as_ref().map(ThirtyDays::interval)
    }

    /// `+13.5%` of what it cost before.
    pub fn relative(&self) -> Option<String> {
        let (amount, before) = (self.per_day.as_ref()?, self.before.as_ref()?);
        percent_change(amount, before)
    }

    /// `$1,016` a day before the release.
    pub fn before(&self) -> Option<String> {
        let before = self.before.as_ref()?;
        Some(money(before, &self.currency, decimals(&self.currency, &before.abs())))
    }

    /// `$27` a day: the smallest change that could have been seen in the noise of these days.
    pub fn smallest(&self) -> Option<String> {
        let smallest = self.smallest.as_ref()?;
        Some(money(smallest, &self.currency, decimals(&self.currency, &smallest.abs())))
    }

    /// `$50` a day: below this no change is ever claimed, however well it could have been seen.
    pub fn smallest_claimed(&self) -> Option<String> {
        let smallest = smallest_claimed(self.before.as_ref()?);
        Some(money(&smallest, &self.currency, decimals(&self.currency, &smallest.abs())))
    }

    /// "shared with 2 other deployments", or nothing.
    pub fn shared_note(&self) -> Option<String> {
        match self.shared_with.len() {
            0 => None,
            1 => Some("shared with 1 other deployment".into()),
            count => Some(format!("shared with {count} other deployments")),
        }
    }

    // All that the answer is about.
    fn subject(&self, is_first_word: bool) -> String {
        let this = if is_first_word { "This deployment" } else { "this deployment" };
        match self.shared_with.len() {
            0 => this.to_owned(),
            1 => format!("{this} and 1 other within a day of it, together,"),
            count => format!("{this} and {count} others within a day of each other, together,"),
        }
    }

    /// The answer in a sentence or two, about the cost of `who`.
    pub fn sentence(&self, who: &str) -> String {
        if self.phase == "measuring" {
            if self.waits_for_bill() {
                return format!(
                    "Not yet known what {} did to the cost of {who}. {}",
                    self.subject(false),
                    self.reason_sentence()
                );
            }
            let since = if self.shared_with.is_empty() { "this deployment" } else { "the last of these deployments" };
            return format!("Not yet known: {} of 3 complete days since {since} of {who}.", self.days_after.min(3));
        }
        let so_far = if self.phase == "provisional" { " so far" } else { "" };
        let interval = self.interval().map(|text| format!(" (90% interval {text})")).unwrap_or_default();
        match (self.finding.as_str(), self.per_day.as_ref()) {
            ("increase" | "decrease", Some(per_day)) => {
                let word = if self.finding == "increase" { "more" } else { "less" };
                let make = if self.shared_with.is_empty() { "makes" } else { "make" };
                let subject = self.subject(true);
                let amount = money(&per_day.abs(), &self.currency, self.digits());
                let month = self.over_30_days.as_ref().map(|days| days.ending(per_day)).unwrap_or_default();
                format!("{subject} {make} {who} cost about {amount} {word} a day{so_far}{interval}{month}.")
            }
            ("no-material-change", _) => {
                let subject = self.subject(false);
                format!(
                    "No material change{so_far}: what {subject} added to the cost of {who} lies between {} a day, 90% sure{}.{}",
                    self.between(),
                    if self.is_only_if() { ONLY_IF } else { "" },
                    self.visible()
                )
            }
            _ => {
                let yet = if self.phase == "provisional" { " yet" } else { "" };
                let subject = self.subject(false);
                format!(
                    "Cannot tell{yet} what {subject} did to the cost of {who}. {}{}",
                    self.reason_sentence(),
                    self.visible()
                )
            }
        }
    }

    fn between(&self) -> String {
        self.interval().map(|text| text.replace(" to ", " and ")).unwrap_or_else(|| "nothing and little".into())
    }

    fn visible(&self) -> String {
        let Some(smallest) = self.smallest() else { return String::new() };
        let claimed = self.smallest_claimed();
        let claimed = claimed.map(|claimed| format!("; none below {claimed} (5% of cost) is ever claimed"));
        format!(" The smallest change that could have been seen is {smallest} a day{}.", claimed.unwrap_or_default())
    }

    /// Why the finding is what it is.
    pub fn reason_sentence(&self) -> &'static str {
        match self.reason.as_str() {
            "clear-effect" => "The cost moved with the release by more than noise, neighbors and traffic explain.",
            "within-a-tenth" => "The whole interval lies within a tenth of the cost of the two weeks before.",
            "too-few-days-after" => "There are fewer than three complete days after the release.",
            "short-history" => "There are fewer than four weeks of complete days before the release.",
            "no-cost-before" => "The service cost nothing on most of the days before.",
            "too-uncertain" => {
                "It is likelier that there is no effect, and the interval is too wide to say that nothing material changed."
            }
            "likely-not-certain" if self.phase == "provisional" => {
                "An effect is likelier than none, but not above the 90% that a claim needs before 14 days are complete."
            }
            "likely-not-certain" => "An effect is likelier than none, but not above the 85% that a claim needs.",
            "too-small-to-claim" => {
                "An effect is likely, but the estimate of it is no more than 5% of cost, and no smaller one is ever claimed, however far the interval reaches."
            }
            "neighbour-too-near" => {
                "Another release within a day, or one that was on its way then, may have moved the cost."
            }
            "undoes-a-shift" => "The cost only went back to what it was before a shift that no release explains.",
            "bill-missing" => "A bill is missing for the week before the release or for the two weeks after it.",
            "cost-gone" => "No bill tells of that cost any more.",
            _ => "The days do not say.",
        }
    }

    /// The mark of the finding: shape and word, never colour alone.
    pub fn mark(&self) -> Mark {
        Mark { class: self.class(), word: self.finding_word() }
    }
}

/// The mark of a finding. Written into a template as it is.
#[derive(Debug, Clone, Template)]
#[template(source = r#"<span class="verdict drawn {{ class }}">{{ word }}</span>"#, ext = "html")]
pub struct Mark {
    class: &'static str,
    word: &'static str,
}

impl askama::filters::HtmlSafe for Mark {}

/// What a flag is called, and what it says; of traffic, by which metric.
pub fn flag_text(flag: &Value) -> (&'static str, String) {
    let (name, what) = flag_words(flag["kind"].as_str().unwrap_or_default());
    match flag["metric"].as_str() {
        Some(metric) => (name, format!("{what}, by the metric {metric}")),
        None => (name, what.to_owned()),
    }
}

fn flag_words(kind: &str) -> (&'static str, &'static str) {
    match kind {
        "traffic" => ("Traffic", "more or less to do than before"),
        "neighbour" => ("Another release", "of the same service, near this one, told together with it"),
        "autoscaling" => ("Autoscaling", "replicas moved while the cost of each did not"),
        "credit-or-fee" => {
            ("Credits, refunds and fees", "not usage: left out of the estimate; their sum over the days asked, a day")
        }
        "price-or-commitment" => ("Price or commitment", "changed in these days"),
        "incomplete-days" => {
            ("Incomplete days", "bills are still arriving: no amount, since nothing is guessed of them")
        }
        "launch" => ("Launch", "registered for these days"),
        "shift-before" => ("Shift before the release", "that no release explains"),
        "siblings-moved" => ("Other services", "moved alike"),
        "allocation-rule" => ("Allocation rule", "gave the service other cost than before"),
        "retagging" => ("Tags", "of resources changed, and with them who pays"),
        _ => ("Something else", ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analyze::impact::{Phase, claim_probability};

    #[test]
    fn a_sentence_about_an_uncertain_answer_holds_whether_or_not_its_interval_holds_zero() {
        for (low, high) in [("-40", "60"), ("2", "60")] {
            let amount = |text: &str| text.parse::<BigDecimal>().unwrap();
            let answer = Answer {
                currency: "USD".into(),
                phase: "settled".into(),
                finding: "cannot-tell".into(),
                reason: "too-uncertain".into(),
                days_after: 14,
                per_day: Some(amount("2")),
                interval: Some((amount(low), amount(high))),
                over_30_days: None,
                before: Some(amount("200")),
                smallest: None,
                shared_with: Vec::new(),
            };
            let sentence = answer.sentence("checkout");
            assert!(sentence.contains("likelier that there is no effect") && !sentence.contains("zero"), "{sentence}");
            assert!(!sentence.contains("smallest change"), "nothing is said where it is not known: {sentence}");
        }
    }

    /// Of an answer that claims nothing the reader has to know how much it could have missed.
    #[test]
    fn what_claims_nothing_says_the_smallest_change_that_could_have_been_seen() {
        let amount = |text: &str| text.parse::<BigDecimal>().unwrap();
        let answer = |finding: &str, reason: &str| Answer {
            currency: "USD".into(),
            phase: "settled".into(),
            finding: finding.into(),
            reason: reason.into(),
            days_after: 14,
            per_day: Some(amount("2")),
            interval: Some((amount("-3"), amount("7"))),
            over_30_days: None,
            before: Some(amount("200")),
            smallest: Some(amount("12.5")),
            shared_with: Vec::new(),
        };
        let seen = " The smallest change that could have been seen is $12.50 a day; none below $10.00 (5% of cost) is ever claimed.";
        for (finding, reason) in [("no-material-change", "within-a-tenth"), ("cannot-tell", "too-uncertain")] {
            let sentence = answer(finding, reason).sentence("checkout");
            assert!(sentence.ends_with(seen), "{finding}: {sentence}");
        }
        // Where none is claimed, an interval without zero is that of an effect, if there is one.
        let without_zero =
            |finding: &str| Answer { interval: Some((amount("2"), amount("7"))), ..answer(finding, "too-uncertain") };
        for (finding, told) in [
            ("no-material-change", "+$2.00 to +$7.00, if there is an effect at all"),
            ("cannot-tell", "+$2.00 to +$7.00, if there is an effect at all"),
            ("increase", "+$2.00 to +$7.00"),
        ] {
            assert_eq!(without_zero(finding).interval_told().as_deref(), Some(told), "{finding}");
        }
        let sentence = without_zero("no-material-change").sentence("checkout");
        assert!(sentence.contains(" a day, 90% sure, if there is an effect at all."), "{sentence}");
        assert!(!answer("cannot-tell", "too-uncertain").is_only_if());
        assert!(!answer("increase", "clear-effect").sentence("checkout").contains("smallest change"));
        let early = Answer { phase: "measuring".into(), ..answer("no-material-change", "too-few-days-after") };
        assert!(!early.sentence("checkout").contains("smallest change"));
    }

    /// What keeps an answer from a claim is the probability that a claim of its phase needs, or the size of its estimate.
    #[test]
    fn a_likely_effect_says_what_a_claim_lacks() {
        let answer = |phase: &str, reason: &str| Answer {
            currency: "USD".into(),
            phase: phase.into(),
            finding: "cannot-tell".into(),
            reason: reason.into(),
            days_after: 14,
            per_day: None,
            interval: None,
            over_30_days: None,
            before: None,
            smallest: None,
            shared_with: Vec::new(),
        };
        for (phase, needed) in [("settled", "85%"), ("revised", "85%"), ("provisional", "90%")] {
            let said = answer(phase, "likely-not-certain").sentence("checkout");
            assert!(said.contains(&format!("not above the {needed} that a claim needs")), "{phase}: {said}");
        }
        assert_eq!(
            [Phase::Settled, Phase::Provisional].map(|phase| claim_probability(phase).to_string()),
            ["0.85", "0.9"]
        );
        let said = answer("settled", "too-small-to-claim").sentence("checkout");
        assert!(said.contains("the estimate of it is no more than 5% of cost"), "{said}");
    }
}
