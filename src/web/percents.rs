//! Shares and changes in percent, as pages write them: one decimal, and never nothing for something.

use super::display::shown;
use super::filters::grouped;
use bigdecimal::num_bigint::Sign;
use bigdecimal::{BigDecimal, RoundingMode, Zero};

/// What is there and too small for one decimal.
const LEAST_PERCENT: &str = "<0.1%";

/// `4.2%`, with a true minus; `<0.1%` where something would be written as nothing.
pub fn percent(part: &BigDecimal, whole: &BigDecimal) -> Option<String> {
    if whole.is_zero() {
        return None;
    }
    let share = percentage(part, whole);
    let is_lost = !share.is_zero() && share.with_scale_round(1, RoundingMode::HalfUp).is_zero();
    Some(if is_lost { LEAST_PERCENT.into() } else { format!("{}%", grouped(&share, 1)) })
}

/// A change in percent: `+4.2%`, `−4.2%`, `0.0%`, and `<0.1%` where there is one that would be written as none.
pub fn percent_change(change: &BigDecimal, before: &BigDecimal) -> Option<String> {
    let text = percent(change, before)?;
    let is_up = change.sign() == Sign::Plus && text != LEAST_PERCENT;
    Some(if is_up { format!("+{text}") } else { text })
}

/// Shares of a total in tenths of a percent that add up to 100.0%; `None` where the total is not above zero.
pub fn shares(values: &[BigDecimal], total: &BigDecimal) -> Option<Vec<String>> {
    if total.sign() != Sign::Plus {
        return None;
    }
    let exact: Vec<BigDecimal> = values.iter().map(|value| percentage(value, total)).collect();
    let rows = shown(&exact, &exact.iter().sum(), 1);
    Some(rows.iter().map(|share| format!("{}%", grouped(share, 1))).collect())
}

/// A part in percent of a whole that is not zero.
pub(super) fn percentage(part: &BigDecimal, whole: &BigDecimal) -> BigDecimal {
    // Twenty digits are far more than the one decimal that is shown; the default hundred cost time.
    (part * BigDecimal::from(100)).with_prec(20) / whole.abs().with_prec(20)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn something_is_never_written_as_nothing() {
        let text = |part: &str, whole: i64| percent(&part.parse().unwrap(), &BigDecimal::from(whole)).unwrap();
        assert_eq!([text("4.2", 100), text("0.04", 100), text("-0.04", 100)], ["4.2%", "<0.1%", "<0.1%"]);
        assert_eq!([text("0", 100), text("0.05", 100)], ["0.0%", "0.1%"]);
        let change = |part: &str| percent_change(&part.parse().unwrap(), &BigDecimal::from(100)).unwrap();
        assert_eq!(
            [change("4.2"), change("-4.2"), change("0.04"), change("0")],
            ["+4.2%", "\u{2212}4.2%", "<0.1%", "0.0%"]
        );
        assert_eq!(percent(&BigDecimal::from(1), &BigDecimal::zero()), None);
    }
}
