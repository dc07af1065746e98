use bigdecimal::BigDecimal;
use std::fmt;

/// An exact amount in one currency. Never a float; never rounded but for display.
///
/// `currency` is the bill's `BillingCurrency` as it stands: an ISO 4217 code, or a provider's virtual currency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Money {
    /// The exact amount in units of the currency.
    pub amount: BigDecimal,
    /// `BillingCurrency`.
    pub currency: String,
}

/// Two currencies were about to be added.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{left} and {right} cannot be added: convert by a stored rate first")]
pub struct CurrencyMismatch {
    /// Currency of the left side.
    pub left: String,
    /// Currency of the right side.
    pub right: String,
}

impl Money {
    /// An amount in a currency.
    pub fn new(amount: BigDecimal, currency: impl Into<String>) -> Self {
        Self { amount, currency: currency.into() }
    }

    /// The sum, or an error where the currencies differ.
    pub fn checked_add(&self, other: &Self) -> Result<Self, CurrencyMismatch> {
        self.same_currency(other)?;
        Ok(Self::new(&self.amount + &other.amount, self.currency.clone()))
    }

    /// The difference, or an error where the currencies differ.
    pub fn checked_sub(&self, other: &Self) -> Result<Self, CurrencyMismatch> {
        self.same_currency(other)?;
        Ok(Self::new(&self.amount - &other.amount, self.currency.clone()))
    }

    fn same_currency(&self, other: &Self) -> Result<(), CurrencyMismatch> {
        if self.currency == other.currency {
            return Ok(());
        }
        Err(CurrencyMismatch { left: self.currency.clone(), right: other.currency.clone() })
    }
}

/// All digits and the currency: `12.340 USD`.
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.amount.to_plain_string(), self.currency)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_currencies_are_never_added() {
        let dollars = Money::new(1.into(), "USD");
        let euros = Money::new(1.into(), "EUR");
        assert_eq!(dollars.checked_add(&euros), Err(CurrencyMismatch { left: "USD".into(), right: "EUR".into() }));
    }
}
