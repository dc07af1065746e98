//! What an effect adds up to in 30 days, as pages say it.

use crate::store::effects::{EffectBrief, EffectRow};
use crate::web::display::{decimals, money, signed};
use bigdecimal::BigDecimal;

/// The sum with its 90% interval, in units of the currency.
#[derive(Debug, Clone)]
pub struct ThirtyDays {
    currency: String,
    amount: BigDecimal,
    low: BigDecimal,
    high: BigDecimal,
}

impl ThirtyDays {
    /// `None` where there is no effect, and of answers from before sums were kept.
    fn of(currency: &str, [amount, low, high]: [&Option<BigDecimal>; 3]) -> Option<Self> {
        let (amount, low, high) = (amount.clone()?, low.clone()?, high.clone()?);
        Some(Self { currency: currency.to_owned(), amount, low, high })
    }

    /// Of an answer.
    pub(super) fn of_row(row: &EffectRow) -> Option<Self> {
        Self::of(&row.billing_currency, [&row.per_30_days, &row.per_30_days_low, &row.per_30_days_high])
    }

    /// Of an answer in short.
    pub(super) fn of_brief(row: &EffectBrief) -> Option<Self> {
        Self::of(&row.billing_currency, [&row.per_30_days, &row.per_30_days_low, &row.per_30_days_high])
    }

    /// `+$4,120`.
    pub fn amount(&self) -> String {
        signed(&self.amount, &self.currency, decimals(&self.currency, &self.amount.abs()))
    }

    /// `+$3,310 to +$4,930`.
    pub fn interval(&self) -> String {
        let digits = decimals(&self.currency, &self.low.abs().max(self.high.abs()));
        let text = |amount: &BigDecimal| signed(amount, &self.currency, digits);
        format!("{} to {}", text(&self.low), text(&self.high))
    }

    /// "; over the 30 days from then about $4,120 in all (90% interval …)": how the sentence about a claim ends. Not thirty times the amount a day, so that it has an interval of its own. A sum that goes the other way, or
    /// is nothing, has its sign: what was saved for some days may be lost on the others.
    pub(super) fn ending(&self, per_day: &BigDecimal) -> String {
        let is_alike = self.amount.sign() == per_day.sign();
        let size = self.amount.abs();
        let amount =
            if is_alike { money(&size, &self.currency, decimals(&self.currency, &size)) } else { self.amount() };
        format!("; over the 30 days from then about {amount} in all (90% interval {})", self.interval())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn days(amount: &str, low: &str, high: &str) -> ThirtyDays {
        let [amount, low, high] = [amount, low, high].map(|text| text.parse::<BigDecimal>().ok());
        ThirtyDays::of("USD", [&amount, &low, &high]).unwrap()
    }

    #[test]
    fn a_sum_is_said_with_its_sign_and_in_a_sentence_without_one_where_that_is_clear() {
        let saved = days("-4119.9", "-4929.5", "-3310.2");
        assert_eq!(
            (saved.amount().as_str(), saved.interval().as_str()),
            ("\u{2212}$4,120", "\u{2212}$4,930 to \u{2212}$3,310")
        );
        let interval = "(90% interval \u{2212}$4,930 to \u{2212}$3,310)";
        let ending = |per_day: &str| saved.ending(&per_day.parse().unwrap());
        assert_eq!(ending("-137.33"), format!("; over the 30 days from then about $4,120 in all {interval}"));
        assert_eq!(ending("12"), format!("; over the 30 days from then about \u{2212}$4,120 in all {interval}"));
        assert!(ThirtyDays::of("USD", [&None, &None, &None]).is_none());
    }
}
