//! The logarithmic mean Divisia index (LMDI-I): divides the change of a product among its factors without a residual.
//! Where a factor is zero on one side its analytic limit is taken, never a tiny substitute.

#![expect(clippy::float_arithmetic, reason = "shares of a change; the caller makes them add up exactly")]

/// A factor of a product, now and before; neither is below zero.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Factor {
    pub now: f64,
    pub before: f64,
}

impl Factor {
    /// A factor that did not change.
    pub const ONE: Self = Self { now: 1.0, before: 1.0 };

    pub fn new(now: f64, before: f64) -> Self {
        Self { now, before }
    }

    /// Each side divided by that of another.
    pub fn over(self, other: Self) -> Self {
        Self::new(self.now / other.now, self.before / other.before)
    }

    fn is_gone_on_one_side(self) -> bool {
        (self.now == 0.0) != (self.before == 0.0)
    }
}

/// The part of each factor in the change of their product. `None` where a value is no number.
pub(super) fn effects<const N: usize>(factors: [Factor; N]) -> Option<[f64; N]> {
    let now: f64 = factors.iter().map(|factor| factor.now).product();
    let before: f64 = factors.iter().map(|factor| factor.before).product();
    if !now.is_finite() || !before.is_finite() {
        return None;
    }
    if now == 0.0 && before == 0.0 {
        return Some([0.0; N]);
    }
    if now == 0.0 || before == 0.0 {
        // The limit: what appears or goes away takes all of it; several that do share it.
        let gone = factors.iter().filter(|factor| factor.is_gone_on_one_side()).count();
        let share = (now - before) / gone.max(1) as f64;
        return Some(factors.map(|factor| if factor.is_gone_on_one_side() { share } else { 0.0 }));
    }
    let weight = logarithmic_mean(now, before);
    let effects = factors.map(|factor| weight * (factor.now / factor.before).ln());
    effects.iter().all(|effect| effect.is_finite()).then_some(effects)
}

/// `(a - b) / (ln a - ln b)`, and `a` where both are the same.
pub(super) fn logarithmic_mean(a: f64, b: f64) -> f64 {
    let ratio = a / b - 1.0;
    // Near equality the quotient of two tiny numbers loses its digits; its series does not.
    if ratio.abs() < 1e-5 { b * (1.0 + ratio / 2.0 - ratio * ratio / 12.0) } else { (a - b) / (a / b).ln() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_known_case() {
        // 100 requests at 2 become 121 at 1.5.
        let [volume, price] = effects([Factor::new(121.0, 100.0), Factor::new(1.5, 2.0)]).unwrap();
        assert!((volume + price - (181.5 - 200.0)).abs() < 1e-9);
        assert!((volume - 36.332).abs() < 0.01, "{volume}");
        assert!((price + 54.832).abs() < 0.01, "{price}");
    }

    #[test]
    fn what_appears_or_goes_takes_all_of_it() {
        assert_eq!(effects([Factor::new(5.0, 0.0), Factor::new(3.0, 2.0)]), Some([15.0, 0.0]));
        assert_eq!(effects([Factor::new(0.0, 5.0), Factor::new(2.0, 2.0)]), Some([-10.0, 0.0]));
        assert_eq!(effects([Factor::ONE, Factor::ONE]), Some([0.0, 0.0]));
        assert_eq!(effects([Factor::new(f64::MAX, 1.0), Factor::new(f64::MAX, 1.0)]), None);
    }

    proptest! {
        #[test]
        fn the_parts_add_up_to_the_change(values in prop::array::uniform8(0.001f64..1e6)) {
            let [a, b, c, d, e, f, g, h] = values;
            let factors = [Factor::new(a, b), Factor::new(c, d), Factor::new(e, f), Factor::new(g, h)];
            let change = a * c * e * g - b * d * f * h;
            let parts: f64 = effects(factors).unwrap().iter().sum();
            let size = (a * c * e * g).max(b * d * f * h);
            prop_assert!((parts - change).abs() <= size * 1e-9, "{parts} {change}");
        }

        #[test]
        fn the_order_of_the_periods_only_turns_the_sign(values in prop::array::uniform4(0.001f64..1e6)) {
            let [a, b, c, d] = values;
            let there = effects([Factor::new(a, b), Factor::new(c, d)]).unwrap();
            let back = effects([Factor::new(b, a), Factor::new(d, c)]).unwrap();
            for (there, back) in there.iter().zip(back) {
                prop_assert!((there + back).abs() <= (a * c).max(b * d) * 1e-9);
            }
        }
    }
}
