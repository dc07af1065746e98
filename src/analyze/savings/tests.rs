use super::*;
use crate::analyze::impact::Phase;

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

const COMPLETE_TO: &str = "2026-11-20";

fn amount(text: &str) -> BigDecimal {
    text.parse().unwrap()
}

// A staging environment that costs 300.01 in 30 days and is used.
fn facts() -> PlaceFacts {
    PlaceFacts {
        place: Place { service_id: 1, environment_id: 2, environment_kind: "staging".into(), currency: "USD".into() },
        cost: PlaceCost {
            storage: amount("50"),
            capacity: amount("200.01"),
            all: amount("300.01"),
            all_recent: amount("140"),
            storage_recent: amount("23"),
            last_other_day: Some(day(COMPLETE_TO)),
            first_day: Some(day("2026-07-24")),
        },
        used: PlaceUse::default(),
        releases: Releases { last_deployed: Some(day("2026-10-20")), plans: Vec::new() },
        missing_bill: None,
    }
}

fn found(facts: &PlaceFacts) -> Option<Saving> {
    of_place(facts, day(COMPLETE_TO))
}

#[test]
fn without_any_knowledge_of_use_nothing_is_said() {
    assert_eq!(found(&facts()), None);
    let mut unknown = facts();
    unknown.releases.last_deployed = Some(day("2026-09-21"));
    assert_eq!(found(&unknown).unwrap().waste, Waste::LeftAlone { last_deployed: day("2026-09-21") });
    unknown.place.environment_kind = "production".into();
    assert_eq!(found(&unknown), None, "quiet production is no waste");
    unknown.place.environment_kind = "test".into();
    unknown.releases = Releases { last_deployed: None, ..Releases::default() };
    assert_eq!(found(&unknown), None, "where no deployment is ever seen, none is missing");
    unknown.releases.last_deployed = Some(day("2026-09-21"));
    assert!(found(&unknown).is_some());
    unknown.cost.first_day = Some(day("2026-10-01"));
    assert_eq!(found(&unknown), None, "it is too young");
}

#[test]
fn no_traffic_takes_the_whole_cost_and_little_traffic_does_not() {
    let mut idle = facts();
    idle.used = PlaceUse { traffic: Some(4.0), traffic_usual: Some(1000.0), ..PlaceUse::default() };
    let saving = found(&idle).unwrap();
    assert_eq!((saving.waste.kind(), saving.amount), ("no-traffic", amount("300.01")));
    idle.used.traffic = Some(40.0);
    assert_eq!(found(&idle), None);
    idle.used = PlaceUse { traffic: Some(0.0), traffic_usual: None, ..PlaceUse::default() };
    assert!(found(&idle).is_some(), "it never had any");
    idle.cost.all_recent = BigDecimal::zero();
    assert_eq!(found(&idle), None, "it costs nothing any more");
}

#[test]
fn storage_that_is_left_over_is_told_and_storage_that_is_used_is_not() {
    let mut left = facts();
    left.cost.storage_recent = left.cost.all_recent.clone();
    left.cost.last_other_day = Some(day("2026-11-06"));
    let saving = found(&left).unwrap();
    assert_eq!(saving.waste, Waste::OrphanedStorage { last_other_day: day("2026-11-06") });
    assert_eq!(saving.amount, amount("50"));
    left.cost.last_other_day = Some(day("2026-11-07"));
    assert_eq!(found(&left), None);
    left.cost.last_other_day = None;
    assert_eq!(found(&left), None, "a service that is nothing but storage");
}

#[test]
fn low_utilization_is_an_exact_share_of_the_capacity() {
    let mut low = facts();
    low.used.utilization = Some((14.0, 14));
    let saving = found(&low).unwrap();
    // 14 % of 70 % is a fifth: four fifths could go.
    assert_eq!((saving.amount.clone(), saving.base), (amount("160.008"), amount("200.01")));
    low.used.utilization = Some((14.0, 6));
    assert_eq!(found(&low), None, "too few days");
    low.used.load = Some((30.0, 200.0, 14));
    let Waste::LowUtilization { measure, used, .. } = found(&low).unwrap().waste else { panic!() };
    assert_eq!((measure, used), (UseMeasure::TrafficAndReplicas, amount("0.1500")));
    low.used.load = Some((100.0, 200.0, 14));
    assert_eq!(found(&low), None);
}

#[test]
fn around_a_release_findings_wait_and_say_why() {
    let mut idle = facts();
    idle.used = PlaceUse { traffic: Some(0.0), traffic_usual: Some(9.0), ..PlaceUse::default() };
    assert_eq!(found(&idle).unwrap().held, None);
    idle.releases.last_deployed = Some(day("2026-11-07"));
    let settled_on = day("2026-11-21");
    assert_eq!(found(&idle).unwrap().held, Some(Held::Deployment { day: day("2026-11-07"), settled_on }));
    idle.releases.last_deployed = Some(day("2026-11-06"));
    assert_eq!(found(&idle).unwrap().held, None, "it has settled");
    let plan =
        |kind, first: &str, last: &str| Plan { kind, title: "x".into(), first_day: day(first), last_day: day(last) };
    idle.releases.plans = vec![plan(PlanKind::ReleaseWindow, "2026-12-05", "2026-12-06")];
    assert_eq!(found(&idle).unwrap().held, None, "more than two weeks ahead");
    idle.releases.plans = vec![plan(PlanKind::ReleaseWindow, "2026-12-04", "2026-12-06")];
    assert!(matches!(found(&idle).unwrap().held, Some(Held::Plan(_))));
    let launch = plan(PlanKind::Launch, "2027-01-19", "2027-02-10");
    idle.releases.plans.push(launch.clone());
    assert_eq!(found(&idle).unwrap().held, Some(Held::Plan(launch)));
    for kind in [PlanKind::Launch, PlanKind::Redesign] {
        idle.releases.plans = vec![plan(kind, "2027-01-20", "2027-02-10")];
        assert_eq!(found(&idle).unwrap().held, None, "more than 60 days ahead");
    }
    idle.releases.plans = vec![plan(PlanKind::Redesign, "2026-10-01", "2026-11-19")];
    assert_eq!(found(&idle).unwrap().held, None, "it is over");
}

/// What seems to be left over may be all that is known: the bill comes first, whatever else a finding waits for.
#[test]
fn a_finding_waits_for_a_bill_that_lacks() {
    let mut left = facts();
    left.cost.storage_recent = left.cost.all_recent.clone();
    left.cost.last_other_day = Some(day("2026-11-05"));
    assert_eq!(found(&left).unwrap().held, None);
    let bill = MissingBill { name: "edge-one".into(), since: day("2026-11-06"), until: None };
    left.missing_bill = Some(bill.clone());
    left.releases.last_deployed = Some(day("2026-11-19"));
    let held = found(&left).unwrap().held.unwrap();
    assert_eq!((held.key(), held), ("bill", Held::Bill(bill)));
    left.missing_bill = None;
    assert_eq!(found(&left).unwrap().held.map(|held| held.key()), Some("deployment"));
}

/// On each day the finding waits as long as the verdict does, and no day longer.
#[test]
fn a_finding_waits_as_long_as_the_verdict() {
    let mut idle = facts();
    idle.used = PlaceUse { traffic: Some(0.0), traffic_usual: Some(9.0), ..PlaceUse::default() };
    let deployed = day("2026-11-01");
    idle.releases.last_deployed = Some(deployed);
    for days_after in 0..20u32 {
        let complete_to = deployed + Days::new(u64::from(days_after));
        let is_settled = Phase::of(days_after) == Phase::Settled;
        assert_eq!(of_place(&idle, complete_to).unwrap().held.is_none(), is_settled, "{days_after} days after");
    }
}

#[test]
fn a_commitment_is_its_unused_part_and_keys_tell_things_apart() {
    let place = Place { currency: "USD".into(), ..Place::default() };
    let of =
        |id: &str, unused: &str| of_commitment(place.clone(), Some(id.into()), None, &amount("90.5"), &amount(unused));
    let saving = of("sp-1", "9.5").unwrap();
    assert_eq!((saving.amount.clone(), saving.base.clone()), (amount("9.5"), amount("100.0")));
    assert_eq!(of("sp-1", "0.99"), None);
    assert_ne!(saving.key(), of("sp-2", "9.5").unwrap().key());
    assert_eq!(saving.key(), of("sp-1", "80").unwrap().key());
}
