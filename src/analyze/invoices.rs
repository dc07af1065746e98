//! Whether the lines of a bill are what an invoice says: exact, with the tolerance that FOCUS gives.

use crate::focus::minor_units;
use bigdecimal::{BigDecimal, Zero};

/// What became of an invoice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum InvoiceState {
    /// Total and lines differ by more than rounding explains.
    Differs,
    /// An invoice without a line in any bill.
    MissingBill,
    /// Lines whose invoice has no total yet.
    MissingInvoice,
    /// They differ, and named items explain it but for what rounding may.
    Explained,
    /// They differ, and by no more than the tolerance.
    WithinTolerance,
    /// They are the same, to the last digit.
    Tied,
    /// Lines of an issuer that names no invoice, of which no invoice of that kind is recorded at all.
    NotEntered,
    /// The invoice does not count, and no line says that it does.
    Voided,
}

impl InvoiceState {
    /// Every state, the one that needs someone most first.
    pub const ALL: [Self; 8] = [
        Self::Differs,
        Self::MissingBill,
        Self::MissingInvoice,
        Self::Explained,
        Self::WithinTolerance,
        Self::Tied,
        Self::NotEntered,
        Self::Voided,
    ];

    /// The word of an address and of a CSV file.
    pub fn key(self) -> &'static str {
        match self {
            Self::Differs => "differs",
            Self::MissingBill => "missing-bill",
            Self::MissingInvoice => "missing-invoice",
            Self::Explained => "explained",
            Self::WithinTolerance => "within-tolerance",
            Self::Tied => "tied",
            Self::NotEntered => "no-invoice-entered",
            Self::Voided => "voided",
        }
    }

    /// The words on a page.
    pub fn label(self) -> &'static str {
        match self {
            Self::Differs => "Differs",
            Self::MissingBill => "Missing bill",
            Self::MissingInvoice => "Missing invoice",
            Self::Explained => "Explained",
            Self::WithinTolerance => "Within tolerance",
            Self::Tied => "Tied",
            Self::NotEntered => "No invoice entered",
            Self::Voided => "Voided",
        }
    }

    /// Whether someone should look at it.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Differs | Self::MissingBill | Self::MissingInvoice)
    }
}

/// An invoice beside the lines that name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comparison {
    /// What became of it.
    pub state: InvoiceState,
    /// Lines less invoice; exact. `None` where one side is missing.
    pub difference: Option<BigDecimal>,
    /// The difference less the items that explain it; exact.
    pub rest: Option<BigDecimal>,
    /// By how much rounding may make them differ.
    pub tolerance: BigDecimal,
}

impl Comparison {
    /// The same with items that name parts of the difference: the difference is the items and the rest. Where it came
    /// to nothing since, they explain what is not there, and someone has to take them back.
    pub fn explained_by(self, items: &[&BigDecimal]) -> Self {
        let Some(difference) = self.difference.as_ref().filter(|_| !items.is_empty()) else { return self };
        let rest = difference - items.iter().copied().sum::<BigDecimal>();
        let state = if rest.abs() <= self.tolerance { InvoiceState::Explained } else { InvoiceState::Differs };
        Self { state, rest: Some(rest), ..self }
    }
}

/// Compares what an invoice says with Σ `BilledCost` of its lines.
///
/// FOCUS: they may differ by `max(100 · minor unit, √rows · 0.5 · minor unit)`. A voided invoice asks for nothing:
/// lines that name it all the same differ by all that they cost.
pub fn compare(
    invoiced: Option<&BigDecimal>,
    is_voided: bool,
    billed: Option<&BigDecimal>,
    charge_count: i64,
    currency: &str,
) -> Comparison {
    let tolerance = tolerance(charge_count, currency);
    let state = |state| Comparison { state, difference: None, rest: None, tolerance: tolerance.clone() };
    match (invoiced, billed.filter(|billed| !is_voided || !billed.is_zero())) {
        (Some(_), None) if is_voided => state(InvoiceState::Voided),
        (Some(invoiced), Some(billed)) => {
            let difference = if is_voided { billed.clone() } else { billed - invoiced };
            let state = if difference.is_zero() {
                InvoiceState::Tied
            } else if difference.abs() <= tolerance {
                InvoiceState::WithinTolerance
            } else {
                InvoiceState::Differs
            };
            Comparison { state, rest: Some(difference.clone()), difference: Some(difference), tolerance }
        }
        (Some(_), None) => state(InvoiceState::MissingBill),
        (None, _) => state(InvoiceState::MissingInvoice),
    }
}

// The square root is irrational for most counts; forty digits are far beyond any digit of a bill.
fn tolerance(charge_count: i64, currency: &str) -> BigDecimal {
    let minor_unit = BigDecimal::new(1.into(), minor_units(currency));
    let hundred = &minor_unit * BigDecimal::from(100);
    let root = BigDecimal::from(charge_count.max(0)).sqrt().unwrap_or_default().with_prec(40);
    let by_rows = root * BigDecimal::new(5.into(), 1) * minor_unit;
    hundred.max(by_rows).normalized()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(text: &str) -> BigDecimal {
        text.parse().unwrap()
    }

    fn state(invoiced: &str, billed: &str, rows: i64, currency: &str) -> InvoiceState {
        compare(Some(&decimal(invoiced)), false, Some(&decimal(billed)), rows, currency).state
    }

    #[test]
    fn the_tolerance_is_that_of_focus() {
        assert_eq!(tolerance(1, "USD"), decimal("1"));
        assert_eq!(tolerance(40_000, "USD"), decimal("1"));
        assert_eq!(tolerance(1_000_000, "USD"), decimal("5"));
        assert_eq!(tolerance(1_000_000, "JPY"), decimal("500"));
        assert_eq!(tolerance(1, "KWD"), decimal("0.1"));
    }

    #[test]
    fn a_difference_is_exact_and_has_its_state() {
        assert_eq!(state("100", "100.000", 1, "USD"), InvoiceState::Tied);
        assert_eq!(state("100", "101", 1, "USD"), InvoiceState::WithinTolerance);
        assert_eq!(state("100", "101.0000000001", 1, "USD"), InvoiceState::Differs);
        assert_eq!(state("100", "95", 1_000_000, "USD"), InvoiceState::WithinTolerance);
        let compared = compare(Some(&decimal("100")), false, Some(&decimal("99.9999999")), 1, "USD");
        assert_eq!(compared.difference, Some(decimal("-0.0000001")));
        assert_eq!(compare(Some(&decimal("1")), true, None, 0, "USD").state, InvoiceState::Voided);
        let voided = |billed: &str| compare(Some(&decimal("99")), true, Some(&decimal(billed)), 1, "USD");
        assert_eq!((voided("0.0").state, voided("0.0").difference), (InvoiceState::Voided, None));
        assert_eq!((voided("99").state, voided("99").difference), (InvoiceState::Differs, Some(decimal("99"))));
        assert_eq!(voided("-0.5").state, InvoiceState::WithinTolerance);
        assert_eq!(compare(Some(&decimal("1")), false, None, 0, "USD").state, InvoiceState::MissingBill);
        assert_eq!(compare(None, false, Some(&decimal("1")), 1, "USD").state, InvoiceState::MissingInvoice);
    }

    #[test]
    fn a_difference_is_its_items_and_a_rest() {
        let compared = || compare(Some(&decimal("100")), false, Some(&decimal("92.2")), 1, "USD");
        let with = |items: &[&str]| {
            let items: Vec<BigDecimal> = items.iter().map(|item| decimal(item)).collect();
            let told = compared().explained_by(&items.iter().collect::<Vec<_>>());
            (told.state, told.difference.unwrap(), told.rest.unwrap())
        };
        let difference = decimal("-7.8");
        assert_eq!(with(&[]), (InvoiceState::Differs, difference.clone(), difference.clone()));
        assert_eq!(with(&["-5"]), (InvoiceState::Differs, difference.clone(), decimal("-2.8")));
        assert_eq!(with(&["-5", "-1.8"]), (InvoiceState::Explained, difference.clone(), decimal("-1.0")));
        assert_eq!(with(&["-7.8"]).2, decimal("0"));
        // Of the other sign, and more than there is to explain.
        assert_eq!(with(&["7.8"]), (InvoiceState::Differs, difference.clone(), decimal("-15.6")));
        let tied = compare(Some(&decimal("1")), false, Some(&decimal("1")), 1, "USD");
        assert_eq!(tied.explained_by(&[&decimal("-5")]).state, InvoiceState::Differs);
        let missing = compare(Some(&decimal("1")), false, None, 0, "USD").explained_by(&[&decimal("1")]);
        assert_eq!((missing.state, missing.rest), (InvoiceState::MissingBill, None));
    }
}
