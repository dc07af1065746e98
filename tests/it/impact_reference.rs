//! The estimator against the answers of the first measurements' program, release by release; and its figures against
//! the truth. The worlds are not part of the repository: they lie in `../shared/bench`, or where `COSTWAKE_SHARED` says.

#[allow(dead_code, reason = "only production is read here")]
#[path = "../../examples/evaluate_world/effects.rs"]
pub(crate) mod effects;
#[allow(dead_code, reason = "only production is read here")]
#[path = "../../examples/evaluate_world/world.rs"]
pub(crate) mod world;

use crate::support;
use costwake::analyze::impact::{Calibration, Model, Siblings, estimate, sibling_index};
use std::{collections::BTreeMap, path::PathBuf};

/// Answers that the program of `../shared/bench/reference` gave, with numpy 2.4: every 31st of all.
const REFERENCE: &str = include_str!("fixtures/impact_reference.csv");

#[derive(serde::Deserialize)]
struct Row {
    world: String,
    deployment: String,
    asked: String,
    estimate: f64,
    low: f64,
    high: f64,
    pre: f64,
}

#[test]
fn the_port_answers_as_the_reference_does() {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared");
    let folder = std::env::var_os("COSTWAKE_SHARED").map_or(beside, PathBuf::from).join("bench/worlds");
    if !folder.exists() {
        return support::skipped(&format!("worlds with known truth: {} is not there", folder.display()));
    }
    let mut by_world: BTreeMap<String, Vec<Row>> = BTreeMap::new();
    for row in csv::Reader::from_reader(REFERENCE.as_bytes()).deserialize::<Row>() {
        let row = row.unwrap();
        by_world.entry(row.world.clone()).or_default().push(row);
    }
    let (model, calibration) = (Model::reference(), Calibration::reference());
    let (mut estimates, mut ends) = (Vec::new(), Vec::new());
    for (name, rows) in by_world {
        let world = world::World::read(&folder.join(name)).unwrap();
        for row in rows {
            let deployment = world.deployments.iter().find(|one| one.name == row.deployment).unwrap();
            let asked_on = deployment.day + if row.asked == "settled" { 17 } else { 6 };
            let mut history = effects::history(&world, deployment.service, deployment.day, asked_on, &model);
            let siblings = reference_siblings(&world, deployment.service, deployment.day, asked_on, &model);
            history.siblings = Some(siblings);
            let effect = estimate(&history, world.date(deployment.day), &model, &calibration).effect.unwrap();
            assert!((effect.before_per_day / row.pre - 1.0).abs() < 1e-6, "{}", row.deployment);
            estimates.push((effect.per_day - row.estimate).abs() / row.pre);
            ends.push((effect.low - row.low).abs().max((effect.high - row.high).abs()) / row.pre);
        }
    }
    estimates.sort_by(f64::total_cmp);
    ends.sort_by(f64::total_cmp);
    // As shares of cost. The variance is iterated to an end here and five times there, and what is very unlikely is left
    // out here: that moves a few answers.
    let at = |sorted: &[f64], share: f64| sorted[(sorted.len() as f64 * share) as usize];
    assert!(estimates.len() > 90);
    assert!(
        at(&estimates, 0.5) < 0.0002 && at(&estimates, 0.9) < 0.002 && at(&estimates, 0.98) < 0.03,
        "{estimates:?}"
    );
    assert!(at(&ends, 0.5) < 0.003 && at(&ends, 0.9) < 0.03, "{ends:?}");
}

// How the others moved, as the first measurements took it: over the days of the answer, by the levels of these.
fn reference_siblings(world: &world::World, service: usize, day: usize, asked_on: usize, model: &Model) -> Siblings {
    let first = day.saturating_sub(model.history_days as usize);
    let last = (asked_on - world::COMPLETE_AGE).min(day + 14);
    let production = |other: usize| world.services[other].environments.get("prod");
    let others = || (0..world.services.len()).filter(|other| *other != service).filter_map(production);
    let costs: Vec<&[Option<f64>]> = others().map(|series| &series.cost[first..=last]).collect();
    let traffics: Vec<&[Option<f64>]> = others()
        .filter_map(|series| Some(&series.traffic.as_ref()?[first..=last]))
        .filter(|traffic| traffic.iter().all(Option::is_some))
        .collect();
    let padded = |mut index: Vec<f64>| {
        index.resize(asked_on + 1 - first, 0.0);
        index
    };
    let traffic = if traffics.len() < 2 { Vec::new() } else { padded(sibling_index(&traffics)) };
    Siblings { cost: padded(sibling_index(&costs)), traffic }
}
