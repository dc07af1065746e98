//! The estimators on worlds of the project's own, at small size: bounds that only a broken method misses. At full size:
//! `cargo bench --bench worlds -- score`.

#[path = "../../examples/evaluate_world/anomalies.rs"]
#[allow(dead_code, reason = "subjects are for files of answers")]
mod anomalies;
#[path = "../../examples/evaluate_world/forecasts.rs"]
#[allow(dead_code, reason = "scopes and months are for files of answers")]
mod forecasts;
#[path = "../../benches/worlds/generator/mod.rs"]
#[allow(dead_code, reason = "what is written to files")]
mod generator;
#[path = "../../benches/worlds/score.rs"]
#[allow(dead_code, reason = "printed as a whole")]
mod score;

use crate::impact_reference::{effects, world};
use crate::support;
use costwake::analyze::impact::{Calibration, Model};
use generator::{Course, MakeUp, Size, generate};

const SIZE: Size = Size { services: 6, days: 140 };

#[test]
fn answers_about_generated_worlds_hold_what_is_true() {
    let (model, calibration) = (Model::default(), Calibration::default());
    let (mut releases, mut held, mut large, mut found, mut findings, mut wrong) = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0);
    let (mut planted, mut noticed) = (0, 0);
    for make_up in MakeUp::ALL {
        let truth = generate(make_up, 7, SIZE);
        let folder = tempfile::tempdir().unwrap();
        truth.write(folder.path()).unwrap();
        let world = world::World::read(folder.path()).unwrap();
        let [settled, early] = score::effects_of(&world, &truth, &model, &calibration);
        let mut lines = vec![format!("{}: settled {settled:?}\n  early {early:?}", make_up.word())];
        let anomalies = score::anomalies_of(&world, &truth, &model);
        lines.push(format!("  anomalies: {anomalies:?}"));
        planted += anomalies.planted;
        noticed += anomalies.found;
        assert!(anomalies.wrong_per_100_days <= 5.0, "{}: {anomalies:?}", make_up.word());
        for figures in [settled, early] {
            releases += figures.releases as f64;
            held += figures.coverage * figures.releases as f64;
            large += figures.large as f64;
            found += figures.found * figures.large as f64;
            findings += figures.findings as f64;
            wrong += figures.wrong * figures.findings as f64;
        }
        for (kind, figures) in score::forecasts_of(&world) {
            lines.push(format!("  forecast, {kind}: {figures:?}"));
            assert!(figures.asked == 0 || figures.median_error < 0.15, "{kind}: {figures:?}");
        }
        support::figures(&lines.join("\n"));
    }
    let figures = format!(
        "{releases} answers, {held} hold the truth; {found} of {large} large effects found; {wrong} of {findings} findings false; \
         {noticed} of {planted} anomalies found"
    );
    support::figures(&figures);
    assert!(planted > 0 && 4 * noticed >= planted, "{figures}");
    assert!(releases >= 100.0 && large >= 10.0, "the worlds are too small to tell: {figures}");
    assert!(held >= 0.8 * releases, "{figures}");
    assert!(found >= 0.3 * large, "{figures}");
    assert!(wrong <= 0.4 * findings.max(5.0), "{figures}");
}

#[test]
fn a_seed_gives_the_same_world_and_its_truth_is_of_one_release() {
    let (one, same) = (generate(MakeUp::Hourly, 3, SIZE), generate(MakeUp::Hourly, 3, SIZE));
    let days = |world: &generator::Generated| world.services[2].environments[0].1.clone();
    assert_eq!(days(&one), days(&same));
    assert_ne!(days(&one), days(&generate(MakeUp::Hourly, 4, SIZE)));
    for release in &one.releases {
        let did_nothing = release.planned.course == Course::Nothing;
        assert!(!did_nothing || release.effect == (0.0, 0.0), "{} did nothing", release.name);
        if release.planned.course == Course::Step && release.planned.day + 15 < SIZE.days && release.planned.day > 14 {
            // Nothing else turns its sign.
            assert!(release.effect.0 * release.planned.size > 0.0, "{}", release.name);
        }
    }
}
