use super::BillingPeriod;
use bigdecimal::num_bigint::Sign;
use bigdecimal::{BigDecimal, One, RoundingMode};
use chrono::NaiveDate;
use std::collections::BTreeMap;
use std::num::NonZeroU64;

/// Significant digits of a rate between two currencies that comes from dividing their euro rates, rounded half up.
/// Reference rates have five or six digits: nine more than anyone can tell apart.
pub const CROSS_RATE_DIGITS: u64 = 15;

/// Where a rate comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RateOrigin {
    /// Someone entered it for the month: it stands before every market rate.
    Entered,
    /// The last day of the month on which the market's reference rates name both currencies.
    Market(NaiveDate),
}

/// The one dated rate of a billing month and a currency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rate {
    /// Units of the reporting currency for one of the billing currency; above zero.
    pub value: BigDecimal,
    /// Where it comes from.
    pub origin: RateOrigin,
}

/// The rate from one currency to another, both given as units for one euro. Exact where one of them is the euro that
/// is bought with, else [`CROSS_RATE_DIGITS`] digits.
pub fn cross_rate(billing_per_euro: &BigDecimal, reporting_per_euro: &BigDecimal) -> BigDecimal {
    if billing_per_euro.is_one() {
        return reporting_per_euro.clone();
    }
    let digits = NonZeroU64::new(CROSS_RATE_DIGITS).unwrap_or(NonZeroU64::MIN);
    (reporting_per_euro / billing_per_euro).with_precision_round(digits, RoundingMode::HalfUp).normalized()
}

/// The rates into one reporting currency, by billing month and billing currency.
#[derive(Debug, Clone, Default)]
pub struct Rates {
    reporting_currency: String,
    rates: BTreeMap<(BillingPeriod, String), Rate>,
}

/// A month and a currency for which no rate is known.
pub type MissingRate = (BillingPeriod, String);

impl Rates {
    /// No rates yet.
    pub fn into_currency(reporting_currency: impl Into<String>) -> Self {
        Self { reporting_currency: reporting_currency.into(), rates: BTreeMap::new() }
    }

    /// The currency that figures are converted into.
    pub fn reporting_currency(&self) -> &str {
        &self.reporting_currency
    }

    /// Adds a rate. An entered one replaces a market rate, never the other way round; none at or below zero counts.
    pub fn add(&mut self, month: BillingPeriod, billing_currency: &str, rate: Rate) {
        if rate.value.sign() != Sign::Plus {
            return;
        }
        let key = (month, billing_currency.to_owned());
        let stays = self.rates.get(&key).is_some_and(|known| known.origin == RateOrigin::Entered);
        if !stays || rate.origin == RateOrigin::Entered {
            self.rates.insert(key, rate);
        }
    }

    /// The rate of a month; `None` where none is known, and for the reporting currency itself, which needs none.
    pub fn get(&self, month: BillingPeriod, billing_currency: &str) -> Option<&Rate> {
        self.rates.get(&(month, billing_currency.to_owned()))
    }

    /// An amount of a month's bill in the reporting currency: exact amount × rate. `None` where no rate is known.
    pub fn convert(&self, month: BillingPeriod, billing_currency: &str, amount: &BigDecimal) -> Option<BigDecimal> {
        if billing_currency == self.reporting_currency {
            return Some(amount.clone());
        }
        self.get(month, billing_currency).map(|rate| amount * &rate.value)
    }
}

/// A sum in the reporting currency in the making: the exact sum of exactly converted parts.
///
/// It is known only where every part could be converted: what has no rate is named, never guessed and never left out
/// of a sum in silence.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Converted {
    sum: BigDecimal,
    missing: Vec<MissingRate>,
}

impl Converted {
    /// Adds a part of a month's bill.
    pub fn add(&mut self, rates: &Rates, month: BillingPeriod, billing_currency: &str, amount: &BigDecimal) {
        match rates.convert(month, billing_currency, amount) {
            Some(converted) => self.sum += converted,
            None => {
                let missing = (month, billing_currency.to_owned());
                if let Err(place) = self.missing.binary_search(&missing) {
                    self.missing.insert(place, missing);
                }
            }
        }
    }

    /// The exact sum, or what it lacks a rate for.
    pub fn known(&self) -> Result<&BigDecimal, &[MissingRate]> {
        if self.missing.is_empty() { Ok(&self.sum) } else { Err(&self.missing) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decimal(text: &str) -> BigDecimal {
        text.parse().unwrap()
    }

    fn month(text: &str) -> BillingPeriod {
        text.parse().unwrap()
    }

    fn market(value: &str) -> Rate {
        Rate { value: decimal(value), origin: RateOrigin::Market("2026-10-30".parse().unwrap()) }
    }

    #[test]
    fn a_rate_from_the_euro_is_exact_and_others_have_fifteen_digits() {
        assert_eq!(cross_rate(&decimal("1"), &decimal("1.0867")), decimal("1.0867"));
        assert_eq!(cross_rate(&decimal("1.0867"), &decimal("1")), decimal("0.920217171252416"));
        // Yen to dollars: the digits that count are kept, however small the rate.
        assert_eq!(cross_rate(&decimal("164.54"), &decimal("1.0867")), decimal("0.00660447307645557"));
        assert_eq!(cross_rate(&decimal("2"), &decimal("3")), decimal("1.5"));
    }

    #[test]
    fn an_entered_rate_stands_before_the_market() {
        let entered = Rate { value: decimal("0.9"), origin: RateOrigin::Entered };
        for order in [[market("0.92"), entered.clone()], [entered.clone(), market("0.92")]] {
            let mut rates = Rates::into_currency("EUR");
            order.into_iter().for_each(|rate| rates.add(month("2026-10"), "USD", rate));
            assert_eq!(rates.convert(month("2026-10"), "USD", &decimal("10")), Some(decimal("9.0")));
        }
    }

    #[test]
    fn what_has_no_rate_is_named_and_never_added() {
        let mut rates = Rates::into_currency("EUR");
        rates.add(month("2026-10"), "USD", market("0.92"));
        rates.add(month("2026-10"), "XXX", market("0"));
        let mut sum = Converted::default();
        sum.add(&rates, month("2026-10"), "USD", &decimal("100"));
        sum.add(&rates, month("2026-10"), "EUR", &decimal("8"));
        assert_eq!(sum.known(), Ok(&decimal("100.00")));
        for _ in 0..2 {
            sum.add(&rates, month("2026-09"), "USD", &decimal("1"));
        }
        sum.add(&rates, month("2026-10"), "XXX", &decimal("1"));
        let missing = [(month("2026-09"), "USD".to_owned()), (month("2026-10"), "XXX".to_owned())];
        assert_eq!(sum.known(), Err(&missing[..]));
    }

    proptest! {
        /// Converting parts and adding them up gives the same digits as converting the sum.
        #[test]
        fn a_converted_sum_is_the_sum_of_its_converted_parts(
            parts in prop::collection::vec((any::<i64>(), 0i64..24), 1..20),
            rate in 1i64..,
            scale in 0i64..15,
        ) {
            let mut rates = Rates::into_currency("EUR");
            let value = BigDecimal::new(rate.into(), scale);
            rates.add(month("2026-10"), "USD", Rate { value: value.clone(), origin: RateOrigin::Entered });
            let mut converted = Converted::default();
            let mut sum = BigDecimal::default();
            for (digits, scale) in parts {
                let amount = BigDecimal::new(digits.into(), scale);
                converted.add(&rates, month("2026-10"), "USD", &amount);
                sum += amount;
            }
            prop_assert_eq!(converted.known(), Ok(&(sum * value)));
        }
    }
}
