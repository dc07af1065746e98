//! The vocabulary: money, periods, cost columns, names of repositories. No input or output; depends on nothing else here.

mod basis;
pub mod columns;
mod conversion;
mod currency;
mod decimal;
mod digits;
mod money;
mod period;
mod repository;

pub use basis::CostBasis;
pub use conversion::{CROSS_RATE_DIGITS, Converted, MissingRate, Rate, RateOrigin, Rates, cross_rate};
pub use currency::{is_iso_currency, minor_units};
pub use decimal::{Decimal, InvalidDecimal};
pub use money::{CurrencyMismatch, Money};
pub use period::{BillingPeriod, DateRange};
pub use repository::repository_name;
