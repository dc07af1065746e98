//! Open anomalies that lie in the days and the scope of a change, each beside the cause that holds its cost.

use super::{Explained, Facts, display};
use crate::analyze::variance::{Cause, Place};
use crate::store::anomaly_between::{self, AnomalyBetween, Whose};
use crate::store::variance_costs::Question;
use crate::store::{Scope, Snapshot};
use crate::web::statement::UnusualLink;
use bigdecimal::BigDecimal;
use std::collections::BTreeSet;

/// Anomalies that a row names; more are counted.
const NAMED_COUNT_MAX: usize = 3;

/// Anomalies are of EffectiveCost of whole services in environments: of another basis or a part they say nothing.
pub(super) async fn read(
    conn: &mut Snapshot,
    scope: &Scope,
    question: Question<'_>,
) -> sqlx::Result<Vec<AnomalyBetween>> {
    if !question.is_of_whole_usage() || question.dimension.is_some() {
        return Ok(Vec::new());
    }
    let filter = question.filter;
    let whose = Whose {
        service_id: filter.service_id,
        environment_id: filter.environment_id,
        team_id: filter.team_id,
        currency: filter.currency.as_deref(),
    };
    anomaly_between::list(conn, scope, whose, filter.days).await
}

/// Puts each to the row that its cost is a part of: what is left for the same traffic, or what was used where none is
/// known; to what is not explained where there is no such row.
pub(super) fn put(explained: &mut Explained, anomalies: &[AnomalyBetween], facts: &Facts<'_>) {
    let with_traffic: BTreeSet<Place> = facts.traffic.iter().map(super::place_of).collect();
    let own: Vec<&AnomalyBetween> = anomalies.iter().filter(|one| one.billing_currency == explained.currency).collect();
    let holds = |one: &AnomalyBetween| {
        let place = Place { service_id: one.service_id, environment_id: one.environment_id };
        let wanted = if with_traffic.contains(&place) { Cause::Efficiency } else { Cause::Volume };
        let is_there = explained.rows.iter().any(|row| row.cause == wanted);
        if is_there { wanted } else { Cause::NotExplained }
    };
    let put: Vec<(Cause, &AnomalyBetween)> = own.into_iter().map(|one| (holds(one), one)).collect();
    for row in &mut explained.rows {
        let of_row: Vec<&AnomalyBetween> =
            put.iter().filter(|(cause, _)| *cause == row.cause).map(|(_, one)| *one).collect();
        row.unusual = of_row.iter().take(NAMED_COUNT_MAX).map(|one| link(one, &row.amount)).collect();
        let more = of_row.len().saturating_sub(NAMED_COUNT_MAX);
        if more > 0 {
            let (before, text) = ("; and".to_owned(), format!("{more} more"));
            let href = "/anomalies?state=open".to_owned();
            row.unusual.push(UnusualLink { before, href, text, after: "open in these days".into() });
        }
    }
}

// "of which A-1, search-api since 14 Nov: +$12,460 above what was expected". What is more than the row, or goes the other
// way, is no part of it: other costs of the row went against it.
fn link(one: &AnomalyBetween, row: &BigDecimal) -> UnusualLink {
    let is_part = one.excess.sign() == row.sign() && one.excess.abs() <= row.abs();
    let digits = display::decimals(&one.billing_currency, &one.excess.abs());
    let amount = display::signed(&one.excess, &one.billing_currency, digits);
    let place = one.elsewhere.as_ref().map(|place| format!(" in {place}")).unwrap_or_default();
    UnusualLink {
        before: if is_part { "of which" } else { "in it, against other costs," }.into(),
        href: format!("/anomalies/{}", one.anomaly_id),
        text: format!("A-{}", one.anomaly_id),
        after: format!(
            "{}{place} since {}: {amount} against what was expected of its days",
            one.service_name,
            one.start_date.format("%-d %b")
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_anomaly_is_a_part_of_its_row_where_it_is_no_more_than_it() {
        let one = AnomalyBetween {
            anomaly_id: 1,
            service_id: 7,
            service_name: "etl".into(),
            environment_id: 1,
            elsewhere: None,
            billing_currency: "USD".into(),
            start_date: chrono::NaiveDate::from_ymd_opt(2026, 11, 14).unwrap(),
            excess: "12460".parse().unwrap(),
        };
        let of = |row: &str| link(&one, &row.parse().unwrap()).sentence();
        let told = "A-1 etl since 14 Nov: +$12,460 against what was expected of its days";
        assert_eq!(of("13000"), format!("of which {told}"));
        for row in ["9097", "-13000", "0"] {
            assert_eq!(of(row), format!("in it, against other costs, {told}"), "{row}");
        }
    }
}
