//! Savings in words: what is wasted, how its money was worked out, what it rests on, what to do.

use super::read::Found;
use crate::analyze::savings::{Held, MissingBill, UseMeasure, Waste};
use crate::web::display::{minor_units, money, money_exact, percent};
use crate::web::filters::grouped;
use bigdecimal::{BigDecimal, FromPrimitive};
use chrono::NaiveDate;

/// Every kind with what people call it, in the order of a menu.
pub const KINDS: [(&str, &str); 5] = [
    ("no-traffic", "Environment without traffic"),
    ("left-alone", "Environment without deployments"),
    ("low-utilization", "Low utilization"),
    ("orphaned-storage", "Orphaned storage"),
    ("unused-commitment", "Unused commitment"),
];

/// "Low utilization".
pub fn kind_label(kind: &str) -> &'static str {
    KINDS.iter().find(|(key, _)| *key == kind).map_or("", |(_, label)| label)
}

fn day(day: NaiveDate) -> String {
    day.format("%-d %b %Y").to_string()
}

fn count(value: f64) -> String {
    grouped(&BigDecimal::from_f64(value).unwrap_or_default(), if value < 10.0 { 1 } else { 0 })
}

fn share(share: &BigDecimal) -> String {
    percent(share, &BigDecimal::from(1)).unwrap_or_default()
}

// A share with all its digits: what is multiplied by it must give the amount beside it.
fn share_exact(share: &BigDecimal) -> String {
    let percent = (share * BigDecimal::from(100)).normalized();
    let (_, scale) = percent.as_bigint_and_exponent();
    format!("{}%", grouped(&percent, scale.max(0)))
}

/// "utilization, 14 days". `unit` is what traffic is counted in.
pub fn measure(measure: UseMeasure, days: i64, unit: &str) -> String {
    match measure {
        UseMeasure::Utilization => format!("utilization, {days} days"),
        UseMeasure::TrafficAndReplicas => {
            format!("{unit} a replica against its busiest days, {days} days")
        }
    }
}

/// What it rests on, in a sentence.
pub fn evidence(found: &Found, complete_to: NaiveDate) -> String {
    let saving = &found.saving;
    match &saving.waste {
        Waste::NoTraffic { traffic, usual: Some(usual) } => format!(
            "{} {} a day in the 14 days to {}; {} a day were usual before.",
            count(*traffic),
            found.volume_unit,
            day(complete_to),
            count(*usual)
        ),
        Waste::NoTraffic { .. } => {
            format!(
                "No {} in the 14 days to {}, nor before: they are counted, and there are none.",
                found.volume_unit,
                day(complete_to)
            )
        }
        Waste::LeftAlone { last_deployed } => {
            format!("The last deployment went live on {}; whether it has traffic is not known.", day(*last_deployed))
        }
        Waste::OrphanedStorage { last_other_day } => {
            format!("Since {} nothing but storage costs here: what used it is gone.", day(*last_other_day))
        }
        Waste::LowUtilization { used, measure: by, days, .. } => {
            format!("{} of the capacity is used, by {}.", share(used), measure(*by, *days, &found.volume_unit))
        }
        Waste::UnusedCommitment { used, commitment_id, .. } => format!(
            "Commitment {}: {} of {} was used in 30 days.",
            commitment_id.as_deref().unwrap_or("that the bill does not name"),
            percent(used, &saving.base).unwrap_or_else(|| "nothing".into()),
            money(&saving.base, &saving.place.currency, minor_units(&saving.place.currency)),
        ),
    }
}

/// How the money was worked out: exact.
pub fn computed(found: &Found) -> String {
    let saving = &found.saving;
    let currency = &saving.place.currency;
    match &saving.waste {
        Waste::LowUtilization { used, releasable, .. } => format!(
            "{} for compute, databases and machine learning in 30 complete days (EffectiveCost) × {}: the {} of the capacity that is used would fill 70% of the {} that remains.",
            money_exact(&saving.base, currency),
            share_exact(releasable),
            share_exact(used),
            share_exact(&(BigDecimal::from(1) - releasable))
        ),
        Waste::OrphanedStorage { .. } => {
            format!("{} for storage in 30 complete days (EffectiveCost).", money_exact(&saving.base, currency))
        }
        Waste::UnusedCommitment { .. } => {
            format!(
                "{} of {} in 30 complete days is unused (EffectiveCost).",
                money_exact(&saving.amount, currency),
                money_exact(&saving.base, currency)
            )
        }
        _ => format!("{} for all usage in 30 complete days (EffectiveCost).", money_exact(&saving.base, currency)),
    }
}

/// What to do.
pub fn playbook(waste: &Waste) -> &'static str {
    match waste {
        Waste::NoTraffic { .. } => {
            "Ask its team whether anything that is not counted uses it (jobs, queues, a standby). If not: scale it to zero, keep its data for two weeks, then delete it. Its deployment brings it back."
        }
        Waste::LeftAlone { .. } => {
            "Ask its team whether it is still needed. If it is only used at times: switch it off at night and on weekends, or create it for each change. If not: delete it. Counting its requests as a metric makes this certain."
        }
        Waste::OrphanedStorage { .. } => {
            "Look for volumes that are attached to nothing, old snapshots and buckets without readers. Take a snapshot or move it to cold storage, wait for a month, then delete it."
        }
        Waste::LowUtilization { .. } => {
            "Look at peaks, not only at the mean: choose a smaller size or fewer replicas, let autoscaling follow the load, and step down once a week. The next deployments show whether it holds."
        }
        Waste::UnusedCommitment { .. } => {
            "Move usage that it could cover to it (region, family, account), exchange or sell it where the provider allows that, and do not renew it at this size."
        }
    }
}

fn days_of(bill: &MissingBill) -> String {
    match bill.until {
        Some(until) => format!("from {} to {}", day(bill.since), day(until)),
        None => format!("since {}", day(bill.since)),
    }
}

/// "; the bill of acme is missing since 1 Oct 2026", for behind what is worked out without it.
pub fn lacking(bill: Option<&MissingBill>) -> String {
    bill.map_or_else(String::new, |bill| format!("; the bill of {} is missing {}", bill.name, days_of(bill)))
}

/// Why it waits, in a sentence.
pub fn held(held: &Held) -> String {
    match held {
        Held::Bill(bill) => {
            format!(
                "Held back: the bill of {} is missing {}, and what is not known may be in use.",
                bill.name,
                days_of(bill)
            )
        }
        Held::Plan(plan) => {
            let ahead = match plan.kind {
                crate::analyze::savings::PlanKind::ReleaseWindow => "ahead of the release window",
                crate::analyze::savings::PlanKind::Launch => "for the launch",
                crate::analyze::savings::PlanKind::Redesign => "for the redesign",
            };
            format!(
                "Held back {ahead} “{}” of {} to {}: capacity may be needed until then.",
                plan.title,
                day(plan.first_day),
                day(plan.last_day)
            )
        }
        Held::Deployment { day: deployed, settled_on } => format!(
            "Held back until bills are complete to {}: the deployment of {} has not settled, and low use may be part of it.",
            day(*settled_on),
            day(*deployed)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analyze::savings::{PlaceCost, PlaceFacts, PlaceUse, of_place};

    fn low(capacity: &str, utilization: f64) -> Found {
        let complete_to: NaiveDate = "2026-11-26".parse().unwrap();
        let cost = PlaceCost {
            capacity: capacity.parse().unwrap(),
            all: capacity.parse().unwrap(),
            all_recent: capacity.parse().unwrap(),
            last_other_day: Some(complete_to),
            ..PlaceCost::default()
        };
        let used = PlaceUse { utilization: Some((utilization, 14)), ..PlaceUse::default() };
        let mut facts = PlaceFacts { cost, used, ..PlaceFacts::default() };
        facts.place.currency = "USD".into();
        Found {
            saving: of_place(&facts, complete_to).unwrap(),
            service_slug: "checkout".into(),
            service_name: "Checkout".into(),
            team_name: None,
            environment_slug: "production".into(),
            environment_name: "production".into(),
            volume_unit: String::new(),
            dismissal: None,
        }
    }

    #[test]
    fn a_bill_that_lacks_is_named_with_its_days() {
        let day = |text: &str| text.parse::<NaiveDate>().unwrap();
        let late = MissingBill { name: "acme, account 42".into(), since: day("2026-10-01"), until: None };
        let gap = MissingBill { until: Some(day("2026-10-31")), ..late.clone() };
        let why = ", and what is not known may be in use.";
        for (bill, lacks) in [
            (late, "the bill of acme, account 42 is missing since 1 Oct 2026"),
            (gap, "the bill of acme, account 42 is missing from 1 Oct 2026 to 31 Oct 2026"),
        ] {
            assert_eq!(lacking(Some(&bill)), format!("; {lacks}"));
            assert_eq!(held(&Held::Bill(bill)), format!("Held back: {lacks}{why}"));
        }
        assert_eq!(lacking(None), "");
    }

    /// Whoever multiplies what the sentence says gets the amount of the row, to the last digit.
    #[test]
    fn the_factors_of_low_utilization_make_its_amount() {
        let found = low("19563.14844141", 25.54);
        assert_eq!(
            computed(&found),
            "$19,563.14844141 for compute, databases and machine learning in 30 complete days (EffectiveCost) × 63.51%: the 25.54% of the capacity that is used would fill 70% of the 36.49% that remains."
        );
        let product = "19563.14844141".parse::<BigDecimal>().unwrap() * "0.6351".parse::<BigDecimal>().unwrap();
        assert_eq!(found.saving.amount, product);
        assert!(computed(&low("200.01", 14.0)).contains("× 80%: the 14% of"), "no digits that say nothing");
    }
}
