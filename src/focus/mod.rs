//! The vocabulary: money, periods, cost columns. No input or output; depends on nothing else here.

mod basis;
pub mod columns;
mod conversion;
mod currency;
mod decimal;
mod money;
mod period;

pub use basis::CostBasis;
pub use conversion::{CROSS_RATE_DIGITS, Converted, MissingRate, Rate, RateOrigin, Rates, cross_rate};
pub use currency::{is_iso_currency, minor_units};
pub use decimal::{Decimal, InvalidDecimal};
pub use money::{CurrencyMismatch, Money};
pub use period::{BillingPeriod, DateRange};
