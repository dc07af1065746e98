//! What is to be known of forecasts beside their figures: how many intervals held, which bills are late, and what their sums
//! differ by.

use super::display::{decimals, money, percent};
use crate::store::Snapshot;
use crate::store::forecast_record::{self, Held};
use crate::store::forecasts::ForecastRow;
use crate::store::freshness::Freshness;
use bigdecimal::{BigDecimal, RoundingMode, Zero};

/// Intervals of one horizon of which fewer are not told apart, and teach nothing.
const ENOUGH: i64 = 10;
/// In ten, how many intervals are meant to hold.
const MEANT_OF_TEN: i64 = 9;
/// Whose forecasts are told apart.
const SCOPES: [(&str, &str); 3] = [("service", "services"), ("team", "teams"), ("total", "all cost")];

/// How many earlier intervals held what came, in sentences.
pub async fn read(conn: &mut Snapshot) -> sqlx::Result<String> {
    Ok(sentence(&forecast_record::held(conn).await?))
}

fn sentence(held: &[Held]) -> String {
    let meant = "Intervals are meant to hold what comes in 90 of 100 cases";
    let count: i64 = held.iter().map(|one| one.count).sum();
    let held_count: i64 = held.iter().map(|one| one.held_count).sum();
    if count == 0 {
        return format!("{meant}; how many do is told here once periods that were forecast are over.");
    }
    let of = |is_of: &dyn Fn(&Held) -> bool| -> (i64, i64) {
        let own: Vec<&Held> = held.iter().filter(|one| is_of(one)).collect();
        (own.iter().map(|one| one.held_count).sum(), own.iter().map(|one| one.count).sum())
    };
    let told = |name: &str, (held_count, count): (i64, i64)| {
        format!("of {name} {held_count} of {count} ({})", share(held_count, count))
    };
    let scopes: Vec<String> = SCOPES
        .into_iter()
        .map(|(scope, name)| (name, of(&|one| one.scope == scope)))
        .filter(|(_, (_, count))| *count > 0)
        .map(|(name, counts)| told(name, counts))
        .collect();
    let by_scope = if scopes.len() > 1 { format!(": {}", scopes.join(", ")) } else { String::new() };
    let horizons: Vec<(&str, (i64, i64))> = ["month", "quarter", "year"]
        .into_iter()
        .map(|horizon| (horizon, of(&|one| one.horizon == horizon)))
        .filter(|(_, (_, count))| *count > 0)
        .collect();
    let enough = horizons.iter().filter(|(_, (_, count))| horizons.len() > 1 && *count >= ENOUGH);
    let by_horizon: Vec<String> = enough.map(|(horizon, counts)| told(&format!("{horizon}s"), *counts)).collect();
    let by_horizon = match by_horizon.is_empty() {
        true => String::new(),
        false => format!(" By period: {}.", by_horizon.join(", ")),
    };
    let is_less = count >= ENOUGH && 10 * held_count < MEANT_OF_TEN * count;
    let consequence = match is_less {
        true => {
            " That is fewer than are meant to, so that new intervals are widened by as much as earlier ones of the same \
             kind (services, teams or all cost) missed."
        }
        false => "",
    };
    let all = share(held_count, count);
    format!("{meant}; of {count} earlier ones here {held_count} did ({all}){by_scope}.{by_horizon}{consequence}")
}

fn share(part: i64, whole: i64) -> String {
    percent(&BigDecimal::from(part), &BigDecimal::from(whole)).unwrap_or_default()
}

/// A source that is late, and what that does to forecasts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LateSource {
    /// "cloudflare is missing since Wed 25 Nov 2026".
    pub title: String,
    /// What is done about it.
    pub text: String,
    /// The source.
    pub href: String,
}

/// The sources without which forecasts are made.
pub fn late_sources(bills: &Freshness) -> Vec<LateSource> {
    let told = bills.missing_told().filter(|missing| !bills.waits_for(missing));
    told.map(|missing| {
        let withheld = "Services of which it makes 5% or more have no forecast until its bill is there";
        LateSource {
            title: format!("{} is missing since {}", missing.name, missing.since().format("%a %-d %b %Y")),
            text: format!(
                "What it bills from that day on is not known, and is no part of what is known below. {withheld}; teams and \
                 all cost hold what is expected of these days, told apart, and their intervals are as wide as that takes."
            ),
            href: format!("/sources/{}", missing.source_id),
        }
    })
    .collect()
}

/// That all cost, teams and services need not add up, with what their sums differ by; nothing where all cost has no forecast.
/// `rows` are those of one horizon.
pub fn sums(rows: &[ForecastRow]) -> String {
    let all = rows.iter().filter(|row| row.scope == "total");
    let told: Vec<String> = all.filter_map(|total| difference(total, rows)).collect();
    if told.is_empty() {
        return String::new();
    }
    format!(
        "All cost, teams and services are forecast each by itself, so that they need not add up: {}.",
        told.join("; ")
    )
}

fn difference(total: &ForecastRow, rows: &[ForecastRow]) -> Option<String> {
    let point = total.point.as_ref()?;
    let currency = &total.billing_currency;
    let digits = decimals(currency, point);
    let of_kind = |kind: &str, named: &str| {
        let parts: Vec<&ForecastRow> =
            rows.iter().filter(|row| row.scope == kind && row.billing_currency == *currency && is_shown(row)).collect();
        let sum: BigDecimal = parts.iter().filter_map(|row| row.point.as_ref()).sum();
        // Of the two as they are shown.
        let apart = rounded(&sum, digits) - rounded(point, digits);
        let amount = money(&apart.abs(), currency, digits);
        let words = match () {
            () if apart.is_zero() => "as much as".to_owned(),
            () if apart > BigDecimal::zero() => format!("{amount} more than"),
            () => format!("{amount} less than"),
        };
        let sum = money(&sum, currency, digits);
        let without = match parts.iter().filter(|row| row.point.is_none()).count() {
            0 => String::new(),
            count => format!(" (without {count} of which there is no forecast)"),
        };
        (!parts.is_empty()).then(|| format!("{named} come to {sum}, {words} all cost{without}"))
    };
    let kinds =
        [of_kind("team", "teams and what none of them has"), of_kind("service", "services and what none of them has")];
    let told: Vec<String> = kinds.into_iter().flatten().collect();
    (!told.is_empty()).then(|| told.join(", "))
}

fn rounded(amount: &BigDecimal, digits: i64) -> BigDecimal {
    amount.with_scale_round(digits, RoundingMode::HalfUp)
}

/// Whether a page lists it: what is no longer in the catalogue has no row, what is not allocated has one.
pub fn is_shown(row: &ForecastRow) -> bool {
    row.scope_id == 0 || row.name.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(horizon: &str, count: i64, held_count: i64) -> Held {
        of_scope("service", horizon, count, held_count)
    }

    fn of_scope(scope: &str, horizon: &str, count: i64, held_count: i64) -> Held {
        Held { scope: scope.into(), horizon: horizon.into(), count, held_count }
    }

    /// All cost may have held while services did not: whose they are is said, and that each kind is widened by its own.
    #[test]
    fn whose_intervals_held_is_told() {
        let kinds = [
            of_scope("service", "month", 140, 117),
            of_scope("team", "month", 50, 44),
            of_scope("total", "month", 10, 10),
            of_scope("service", "quarter", 13, 12),
        ];
        let said = sentence(&kinds);
        let scopes = "of 213 earlier ones here 183 did (85.9%): of services 129 of 153 (84.3%), of teams 44 of 50 (88.0%), \
                      of all cost 10 of 10 (100.0%). By period: of months 171 of 200 (85.5%), of quarters 12 of 13 (92.3%).";
        assert!(said.contains(scopes), "{said}");
        assert!(said.ends_with("earlier ones of the same kind (services, teams or all cost) missed."), "{said}");
    }

    #[test]
    fn the_share_that_held_is_told_and_that_it_is_too_few() {
        assert!(sentence(&[]).ends_with("is told here once periods that were forecast are over."));
        let months = sentence(&[held("month", 113, 63)]);
        assert!(
            months.contains("of 113 earlier ones here 63 did (55.8%). That is fewer than are meant to"),
            "{months}"
        );
        let both = sentence(&[held("month", 100, 91), held("quarter", 20, 18), held("year", 3, 3)]);
        assert!(both.contains("of 123 earlier ones here 112 did"), "{both}");
        assert!(both.ends_with("By period: of months 91 of 100 (91.0%), of quarters 18 of 20 (90.0%)."), "{both}");
        assert!(!sentence(&[held("month", 5, 1)]).contains("widened"), "five teach nothing");
    }
}
