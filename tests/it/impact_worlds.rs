//! The estimators on worlds of the project's own, at small size: bounds that only a broken method misses. At full size:
//! `cargo bench --bench worlds -- score`.

#![expect(clippy::float_arithmetic, reason = "sums of scores")]

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

/// False anomalies at most in one small world of 504 service-days, and in all three together. At full size the bar is
/// 0.1 for 100 service-days, and 0.02 to 0.04 are measured (docs/method.md): of 1,512 days that is less than one. A
/// single one is 0.2 for 100 of a small world already, so that a count is held and not the bar. Three and five leave
/// room for what short histories make worse: of three times as many as at full size, more than five come once in some
/// hundred seeds. The seed is fixed: to be set to what is measured of it, plus one.
const WRONG_MAX: [usize; 2] = [3, 5];
/// The same with movements looked for in all environments, three series for each service: more of them, with no release
/// and no traffic that explains anything. To be set to what is measured, plus one.
const WRONG_EVERYWHERE_MAX: [usize; 2] = [4, 6];

/// What all small worlds add up to.
#[derive(Default)]
struct Total {
    releases: f64,
    held: f64,
    large: f64,
    found: f64,
    findings: f64,
    wrong: f64,
    cannot_tell: f64,
    bursts: usize,
    attributed: usize,
}

impl Total {
    fn add(&mut self, figures: &score::Figures) {
        self.releases += figures.releases as f64;
        self.held += figures.coverage * figures.releases as f64;
        self.large += figures.large as f64;
        self.found += figures.found * figures.large as f64;
        self.findings += figures.findings as f64;
        self.wrong += figures.wrong * figures.findings as f64;
        self.cannot_tell += figures.cannot_tell * figures.releases as f64;
        self.bursts += figures.bursts;
        self.attributed += figures.attributed;
    }

    fn line(&self) -> String {
        format!(
            "{} answers, {} hold the truth, {} cannot tell; {} of {} large effects found; {} of {} findings false; \
             {} of {} bursts put to the right release",
            self.releases,
            self.held,
            self.cannot_tell,
            self.found,
            self.large,
            self.wrong,
            self.findings,
            self.attributed,
            self.bursts
        )
    }
}

/// What became of anomalies in all small worlds.
#[derive(Default)]
struct Anomalies {
    planted: usize,
    found: usize,
    wrong: usize,
}

impl Anomalies {
    fn add(&mut self, figures: &score::AnomalyFigures, wrong_max: usize) {
        assert!(figures.wrong <= wrong_max, "{figures:?}");
        self.planted += figures.planted;
        self.found += figures.found;
        self.wrong += figures.wrong;
    }
}

#[test]
fn answers_about_generated_worlds_hold_what_is_true() {
    let (model, calibration) = (Model::default(), Calibration::default());
    let (mut all, mut settled_all, mut joint_all) = (Total::default(), Total::default(), Total::default());
    let (mut apart, mut everywhere) = (Anomalies::default(), Anomalies::default());
    for make_up in MakeUp::ALL {
        let truth = generate(make_up, 7, SIZE);
        let folder = tempfile::tempdir().unwrap();
        truth.write(folder.path()).unwrap();
        let world = world::World::read(folder.path()).unwrap();
        let answers = effects::answers(&world, &model, |_| &calibration);
        let joint = effects::joint_answers(&world, &model, |_| &calibration);
        let [settled, early] = score::effects_of(&truth, &answers);
        let [joint_settled, joint_early] = score::joint_of(&truth, &joint);
        let mut lines = vec![format!("{}: settled {settled:?}\n  early {early:?}", make_up.word())];
        lines.push(format!("  together: settled {joint_settled:?}\n  early {joint_early:?}"));
        settled_all.add(&settled);
        [settled, early].iter().for_each(|figures| all.add(figures));
        [joint_settled, joint_early].iter().for_each(|figures| joint_all.add(figures));
        let looked = anomalies::looked(&world, &model);
        let [of_apart, of_everywhere] =
            [&looked.apart, &looked.everywhere].map(|opened| score::anomalies_of(&world, &truth, opened));
        lines.push(format!("  anomalies: {of_apart:?}\n  everywhere: {of_everywhere:?}"));
        support::figures(&lines.join("\n"));
        apart.add(&of_apart, WRONG_MAX[0]);
        everywhere.add(&of_everywhere, WRONG_EVERYWHERE_MAX[0]);
        for (kind, figures) in score::forecasts_of(&world, &effects::claims(&world, &answers, &joint)) {
            support::figures(&format!("  forecast, {kind}: {figures:?}"));
            assert!(figures.asked == 0 || figures.median_error < 0.15, "{kind}: {figures:?}");
        }
    }
    for (of, total) in [("all", &all), ("settled", &settled_all), ("together", &joint_all)] {
        support::figures(&format!("{of}: {}", total.line()));
    }
    for (of, wrong_max) in [(&apart, WRONG_MAX[1]), (&everywhere, WRONG_EVERYWHERE_MAX[1])] {
        let figures = format!("{} of {} anomalies found, {} false", of.found, of.planted, of.wrong);
        support::figures(&figures);
        assert!(of.planted > 0 && 4 * of.found >= of.planted && of.wrong <= wrong_max, "{figures}");
    }
    let figures = all.line();
    assert!(all.releases >= 100.0 && all.large >= 10.0, "the worlds are too small to tell: {figures}");
    assert!(all.held >= 0.8 * all.releases, "{figures}");
    assert!(all.found >= 0.3 * all.large, "{figures}");
    assert!(all.wrong <= 0.4 * all.findings.max(5.0), "{figures}");
    assert_what_can_be_told(&settled_all, &joint_all);
}

// At full size 43 % of settled answers cannot tell (the bar is 45) and 82 % of bursts are put to the right release (the
// bar is 80). Small worlds have a handful of bursts, and half as much history before most releases. To be set to what
// is measured of this seed, with a tenth to spare.
fn assert_what_can_be_told(settled: &Total, joint: &Total) {
    let figures = settled.line();
    assert!(settled.cannot_tell <= 0.6 * settled.releases, "{figures}");
    assert!(2 * settled.attributed >= settled.bursts, "{figures}");
    // Of groups there are a few only: they say something of answers that are far out.
    assert!(joint.held >= 0.5 * joint.releases, "{}", joint.line());
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
