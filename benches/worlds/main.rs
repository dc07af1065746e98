//! Worlds of the project's own, with known truth. `cargo bench --bench worlds -- COMMAND`:
//!
//! - `score [SEED] [SERVICES]` makes a world of each make-up and prints how good the answers are;
//! - `write MAKE_UP SEED FOLDER` writes a world in the format of `../shared/bench`, for its scorer and for
//!   `examples/evaluate_world`;
//! - `settle [COUNT]` settles so many deployments anew on two threads and prints how long it took.

#![expect(clippy::float_arithmetic, reason = "figures that are printed")]

#[path = "../../examples/evaluate_world/anomalies.rs"]
#[allow(dead_code, reason = "its words are for files of answers")]
mod anomalies;
#[path = "../../examples/evaluate_world/effects.rs"]
#[allow(dead_code, reason = "its words are for files of answers")]
mod effects;
#[path = "../../examples/evaluate_world/forecasts.rs"]
#[allow(dead_code, reason = "scopes and months are for files of answers")]
mod forecasts;
mod generator;
mod score;
mod settle;
#[path = "../../examples/evaluate_world/world.rs"]
mod world;

use costwake::analyze::impact::{Calibration, Model};
use generator::{MakeUp, Size, generate};
use std::{error::Error, path::Path};

/// Days of a world that is scored.
const DAYS: usize = 330;

fn main() -> Result<(), Box<dyn Error>> {
    // `cargo bench` adds an argument of its own.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["score"] => score(1, 24),
        ["score", seed] => score(seed.parse()?, 24),
        ["score", seed, services] => score(seed.parse()?, services.parse()?),
        ["write", make_up, seed, folder] => {
            let make_up = MakeUp::ALL.into_iter().find(|one| one.word() == *make_up).ok_or("no such make-up")?;
            generate(make_up, seed.parse()?, Size { services: 24, days: DAYS }).write(Path::new(folder))
        }
        ["settle"] => settle::settle(10_000, 2),
        ["settle", count] => settle::settle(count.parse()?, 2),
        _ => Err("score [SEED] [SERVICES] | write sparse|hourly|environments SEED FOLDER | settle [COUNT]".into()),
    }
}

fn score(seed: u64, services: usize) -> Result<(), Box<dyn Error>> {
    let (model, calibration) = (Model::default(), Calibration::default());
    for make_up in MakeUp::ALL {
        let truth = generate(make_up, seed, Size { services, days: DAYS });
        let folder = tempfile::tempdir()?;
        truth.write(folder.path())?;
        let world = world::World::read(folder.path())?;
        println!("{}", make_up.word());
        let answers = effects::answers(&world, &model, |_| &calibration);
        let joint = effects::joint_answers(&world, &model, |_| &calibration);
        print_effects("releases", &score::effects_of(&truth, &answers));
        print_effects("groups of releases within a day, together", &score::joint_of(&truth, &joint));
        let looked = anomalies::looked(&world, &model);
        print_anomalies("anomalies", &score::anomalies_of(&world, &truth, &looked.apart));
        print_anomalies("anomalies, all in all environments", &score::anomalies_of(&world, &truth, &looked.everywhere));
        for (kind, figures) in score::forecasts_of(&world, &effects::claims(&world, &answers, &joint)) {
            let (error, coverage) = (100.0 * figures.median_error, 100.0 * figures.coverage);
            println!(
                "  forecast, {kind}: {} asked, median error {error:.1} %, coverage {coverage:.1} %",
                figures.asked
            );
        }
    }
    Ok(())
}

fn print_effects(of: &str, figures: &[score::Figures; 2]) {
    for (asked, figures) in ["settled", "early"].iter().zip(figures) {
        println!(
            "  {asked}: {} {of}, mean error {:.2} of always zero, median error of effects of 2 % and more {:.1} %, \
             coverage {:.1} %, half-width {:.1} %, found {:.0} % of {} large, {:.0} % of {} findings false, {:.1} % of {} \
             that did nothing, cannot tell {:.0} %, attribution {} of {}",
            figures.releases,
            figures.mean_error,
            100.0 * figures.median_error,
            100.0 * figures.coverage,
            100.0 * figures.half_width,
            100.0 * figures.found,
            figures.large,
            100.0 * figures.wrong,
            figures.findings,
            100.0 * figures.on_nothing,
            figures.nothing,
            100.0 * figures.cannot_tell,
            figures.attributed,
            figures.bursts,
        );
    }
}

fn print_anomalies(what: &str, figures: &score::AnomalyFigures) {
    println!(
        "  {what}: {} of {} found, {} false ({:.2} for 100 service-days)",
        figures.found, figures.planted, figures.wrong, figures.wrong_per_100_days
    );
}
