//! What is paid for and not used: idle environments, low utilization, storage that outlived what used it, commitments that
//! nobody uses. Pure.
//!
//! Money is exact: what bills say of 30 complete days, times a share that is stated with four decimals. A release makes
//! low use normal for some days, so that findings about capacity are held back, and say so, ahead of a registered launch,
//! redesign or release window to its end, and until a recent deployment has settled. A bill that lacks holds them back too.

#![expect(clippy::float_arithmetic, reason = "shares of use; amounts are exact products")]

mod hold;
#[cfg(test)]
mod tests;

pub use hold::{Held, MissingBill, Plan, PlanKind, Releases};

use bigdecimal::num_bigint::Sign;
use bigdecimal::{BigDecimal, FromPrimitive, RoundingMode, Zero};
use chrono::{Days, NaiveDate};

/// Complete days that the money of a finding is of.
pub const MONEY_DAYS: u64 = 30;
/// Complete days that use is looked at over.
pub const USE_DAYS: u64 = 14;
/// Days without a deployment after which an environment without known traffic counts as left alone.
pub const LEFT_ALONE_DAYS: u64 = 60;
/// Days that are read: use before they ended is no memory any more.
pub const READ_DAYS: u64 = 120;
/// Traffic below this share of what is usual is none.
const TRAFFIC_SHARE: f64 = 0.01;
/// Utilization that capacity may be planned for; below [`UTILIZATION_LOW`] it is a finding.
pub const UTILIZATION_GOAL: f64 = 0.7;
/// Mean utilization below which capacity is a finding.
pub const UTILIZATION_LOW: f64 = 0.4;
/// Days with a value that utilization must have.
const UTILIZATION_DAYS_MIN: i64 = 7;
/// What is worth a row: one unit of the currency in 30 days.
const AMOUNT_MIN: i64 = 1;

/// One service in one environment, in one currency. 0 stands for none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Place {
    /// The service.
    pub service_id: i64,
    /// The environment.
    pub environment_id: i64,
    /// `production`, `staging`, …; empty without an environment.
    pub environment_kind: String,
    /// FOCUS BillingCurrency.
    pub currency: String,
}

/// What a place cost: usage (EffectiveCost), without unused commitments.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PlaceCost {
    /// Storage in the last 30 complete days.
    pub storage: BigDecimal,
    /// Compute, databases and machine learning: what has a utilization, in the same days.
    pub capacity: BigDecimal,
    /// All usage of the same days, both included.
    pub all: BigDecimal,
    /// All usage of the last 14 complete days.
    pub all_recent: BigDecimal,
    /// Storage of the last 14 complete days.
    pub storage_recent: BigDecimal,
    /// The last day with usage that is no storage.
    pub last_other_day: Option<NaiveDate>,
    /// The first day with usage, of those that were read.
    pub first_day: Option<NaiveDate>,
}

/// How a place was used. What is `None` is not known.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct PlaceUse {
    /// Mean traffic a day of the last 14 complete days, with at least seven known.
    pub traffic: Option<f64>,
    /// Mean traffic a day of the days before these.
    pub traffic_usual: Option<f64>,
    /// Mean utilization of the last 14 complete days in percent, and days with a value.
    pub utilization: Option<(f64, i64)>,
    /// Mean traffic a replica in the last 14 complete days, the 95 % quantile of the days before and of these, and days.
    pub load: Option<(f64, f64, i64)>,
}

/// Which measure told how much of a capacity is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UseMeasure {
    /// A metric of utilization.
    Utilization,
    /// Traffic a replica, against the busiest days that the place itself had.
    TrafficAndReplicas,
}

impl PlaceUse {
    /// The used share of the capacity, 0 to 1, and what told it: utilization where there is any, traffic and replicas
    /// otherwise.
    pub fn used_share(&self) -> Option<(f64, UseMeasure, i64)> {
        let utilization = self.utilization.filter(|(_, days)| *days >= UTILIZATION_DAYS_MIN);
        if let Some((percent, days)) = utilization {
            return Some(((percent / 100.0).clamp(0.0, 1.0), UseMeasure::Utilization, days));
        }
        let (mean, busy, days) = self.load.filter(|(_, busy, days)| *days >= UTILIZATION_DAYS_MIN && *busy > 0.0)?;
        Some(((mean / busy).clamp(0.0, 1.0), UseMeasure::TrafficAndReplicas, days))
    }
}

/// Why something is paid for and not used.
#[derive(Debug, Clone, PartialEq)]
pub enum Waste {
    /// Nobody uses the environment.
    NoTraffic {
        /// Mean traffic a day now.
        traffic: f64,
        /// What was usual before; `None` where it never had any in the days that were read.
        usual: Option<f64>,
    },
    /// No deployment for long, and no traffic is known.
    LeftAlone {
        /// The last deployment that went live. Where none was ever seen, none is missing: it may be that nobody tells of them.
        last_deployed: NaiveDate,
    },
    /// Storage that costs on while everything beside it is gone.
    OrphanedStorage {
        /// The last day with other usage.
        last_other_day: NaiveDate,
    },
    /// More capacity than is used.
    LowUtilization {
        /// The used share, four decimals.
        used: BigDecimal,
        /// The share of the capacity that could go, four decimals: what remains is used as planned.
        releasable: BigDecimal,
        /// What told it.
        measure: UseMeasure,
        /// Days with a value.
        days: i64,
    },
    /// A commitment that is paid and not used.
    UnusedCommitment {
        /// FOCUS CommitmentDiscountId, where the bill names it.
        commitment_id: Option<String>,
        /// FOCUS ProviderName.
        provider_name: Option<String>,
        /// What was used of it in the same days.
        used: BigDecimal,
    },
}

impl Waste {
    /// In addresses, CSV and JSON.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::NoTraffic { .. } => "no-traffic",
            Self::LeftAlone { .. } => "left-alone",
            Self::OrphanedStorage { .. } => "orphaned-storage",
            Self::LowUtilization { .. } => "low-utilization",
            Self::UnusedCommitment { .. } => "unused-commitment",
        }
    }
}

/// Something that could be saved.
#[derive(Debug, Clone, PartialEq)]
pub struct Saving {
    /// Where.
    pub place: Place,
    /// Why.
    pub waste: Waste,
    /// What it costs in 30 days: exact.
    pub amount: BigDecimal,
    /// What the amount is a share of: cost of 30 complete days.
    pub base: BigDecimal,
    /// Why it is held back; `None` where it is not.
    pub held: Option<Held>,
}

impl Saving {
    /// The same for the same thing, whatever its amount: a dismissal holds on to it.
    pub fn key(&self) -> String {
        let what = match &self.waste {
            Waste::UnusedCommitment { commitment_id, .. } => commitment_id.as_deref().unwrap_or_default(),
            _ => "",
        };
        let Place { service_id, environment_id, currency, .. } = &self.place;
        format!("{}:{service_id}:{environment_id}:{currency}:{what}", self.waste.kind())
    }
}

/// What is known of a place.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PlaceFacts {
    /// Where.
    pub place: Place,
    /// Its cost.
    pub cost: PlaceCost,
    /// Its use.
    pub used: PlaceUse,
    /// Its releases and plans.
    pub releases: Releases,
    /// The bill that lacks on days that its money is of.
    pub missing_bill: Option<MissingBill>,
}

/// What could be saved at a place: at most one finding about the whole of it, so that nothing is counted twice.
/// `complete_to` is the last complete day of the bills. Where one lacks, the finding waits for it before all else: with it
/// there may be none.
pub fn of_place(facts: &PlaceFacts, complete_to: NaiveDate) -> Option<Saving> {
    let (waste, base, amount) = waste(facts, complete_to)?;
    (amount >= AMOUNT_MIN).then(|| Saving {
        place: facts.place.clone(),
        waste,
        amount,
        base,
        held: facts.missing_bill.clone().map(Held::Bill).or_else(|| hold::hold(&facts.releases, complete_to)),
    })
}

fn waste(facts: &PlaceFacts, complete_to: NaiveDate) -> Option<(Waste, BigDecimal, BigDecimal)> {
    let PlaceFacts { place, cost, used, releases, .. } = facts;
    if cost.all_recent.sign() != Sign::Plus {
        return None;
    }
    // All that costs in the last two weeks is storage, and there was more before.
    let since = complete_to - Days::new(USE_DAYS - 1);
    if let Some(last) = cost.last_other_day.filter(|last| *last < since && cost.storage_recent == cost.all_recent) {
        return Some((Waste::OrphanedStorage { last_other_day: last }, cost.storage.clone(), cost.storage.clone()));
    }
    if let Some(traffic) = used.traffic {
        let usual = used.traffic_usual.filter(|usual| *usual > 0.0);
        if traffic <= usual.unwrap_or(0.0) * TRAFFIC_SHARE {
            return Some((Waste::NoTraffic { traffic, usual }, cost.all.clone(), cost.all.clone()));
        }
    } else if let Some(last_deployed) = left_alone(place, cost, releases, complete_to)
        && used.used_share().is_none()
    {
        return Some((Waste::LeftAlone { last_deployed }, cost.all.clone(), cost.all.clone()));
    }
    let (share, measure, days) = used.used_share()?;
    if share >= UTILIZATION_LOW || cost.capacity.is_zero() {
        return None;
    }
    let (used, releasable) = (four_decimals(share)?, four_decimals(1.0 - share / UTILIZATION_GOAL)?);
    let amount = &cost.capacity * &releasable;
    Some((Waste::LowUtilization { used, releasable, measure, days }, cost.capacity.clone(), amount))
}

// Production is never called left alone: quiet services run for years. Without any deployment ever seen in the
// environment, nothing is known of how it is used.
fn left_alone(place: &Place, cost: &PlaceCost, releases: &Releases, complete_to: NaiveDate) -> Option<NaiveDate> {
    let is_other = !matches!(place.environment_kind.as_str(), "production" | "");
    let long_ago = complete_to - Days::new(LEFT_ALONE_DAYS);
    let is_old = cost.first_day.is_some_and(|first| first <= long_ago);
    releases.last_deployed.filter(|last| is_other && is_old && *last <= long_ago)
}

/// A commitment's unused part.
pub fn of_commitment(
    place: Place,
    commitment_id: Option<String>,
    provider_name: Option<String>,
    used: &BigDecimal,
    unused: &BigDecimal,
) -> Option<Saving> {
    (*unused >= AMOUNT_MIN).then(|| Saving {
        place,
        waste: Waste::UnusedCommitment { commitment_id, provider_name, used: used.clone() },
        amount: unused.clone(),
        base: used + unused,
        held: None,
    })
}

/// A share with four decimals.
pub fn four_decimals(share: f64) -> Option<BigDecimal> {
    Some(BigDecimal::from_f64(share)?.with_scale_round(4, RoundingMode::HalfUp))
}
