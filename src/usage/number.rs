use bigdecimal::BigDecimal;

/// A measured number as the shortest decimal that means it: no digit is added, none is lost. `None` for what is no
/// number, without an end, or below zero.
pub fn exact(value: f64) -> Option<BigDecimal> {
    if !value.is_finite() || value < 0.0 {
        return None;
    }
    // Written without an exponent, with as many digits as it takes to read the same number back.
    format!("{value}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::exact;

    #[test]
    fn a_float_is_the_shortest_decimal_that_means_it() {
        let text = |value| exact(value).map(|value| value.to_plain_string());
        assert_eq!(text(0.1).as_deref(), Some("0.1"));
        assert_eq!(text(1e21).as_deref(), Some("1000000000000000000000"));
        assert_eq!(text(-0.0).as_deref(), Some("0"));
        assert_eq!((text(f64::NAN), text(f64::INFINITY), text(-1.0)), (None, None, None));
    }
}
