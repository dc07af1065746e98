use bigdecimal::{BigDecimal, RoundingMode, Zero};

/// Decimal places that a part has beyond those of the whole.
const MORE_DECIMALS: i64 = 6;

/// Splits an amount by shares, so that the parts add up to it to the last digit: each is rounded towards zero, and
/// what that leaves goes to the greatest share. `None` where there is nothing to split by, or a share is negative.
pub fn split(amount: &BigDecimal, shares: &[BigDecimal]) -> Option<Vec<BigDecimal>> {
    let total: BigDecimal = shares.iter().sum();
    if total.is_zero() || shares.iter().any(|share| *share < BigDecimal::zero()) {
        return None;
    }
    let decimals = amount.fractional_digit_count().max(0) + MORE_DECIMALS;
    let part = |share: &BigDecimal| (amount * share / &total).with_scale_round(decimals, RoundingMode::Down);
    let mut parts: Vec<BigDecimal> = shares.iter().map(part).collect();
    let rest = amount - parts.iter().sum::<BigDecimal>();
    let greatest = (0..shares.len()).max_by(|left, right| shares[*left].cmp(&shares[*right]).then(right.cmp(left)))?;
    parts[greatest] += rest;
    Some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn number(text: &str) -> BigDecimal {
        text.parse().unwrap()
    }

    #[test]
    fn what_rounding_leaves_goes_to_the_greatest_share() {
        let parts = split(&number("10.00"), &[1.into(), 2.into(), 0.into()]).unwrap();
        assert_eq!(parts, [number("3.33333333"), number("6.66666667"), 0.into()]);
        assert_eq!(split(&number("-1"), &[1.into(), 1.into()]).unwrap(), [number("-0.5"), number("-0.5")]);
        assert_eq!(split(&number("1"), &[0.into()]), None);
        assert_eq!(split(&number("1"), &[(-1).into(), 3.into()]), None);
    }

    proptest! {
        #[test]
        fn parts_add_up(cents in any::<i64>(), scale in 0_i64..30, shares in prop::collection::vec(0_u64..u64::MAX, 1..20)) {
            let amount = BigDecimal::new(cents.into(), scale);
            let shares: Vec<BigDecimal> = shares.into_iter().map(BigDecimal::from).collect();
            if let Some(parts) = split(&amount, &shares) {
                prop_assert_eq!(parts.iter().sum::<BigDecimal>(), amount);
            }
        }
    }
}
