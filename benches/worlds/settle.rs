//! How long it takes to settle many deployments anew.

#![expect(clippy::float_arithmetic, reason = "times")]

use super::{
    effects,
    generator::{MakeUp, Size, generate},
    world::World,
};
use costwake::analyze::impact::{Calibration, Model, estimate};
use std::{error::Error, fs, sync::atomic::AtomicUsize, sync::atomic::Ordering, time::Instant};

/// Services and days of one organisation: some 900 deployments.
const SIZE: Size = Size { services: 24, days: 400 };
/// Days after a deployment on which it is settled.
const SETTLED_AGE: usize = 17;

/// Settles `count` deployments on `threads` threads, from daily series to answers, and prints the times.
pub fn settle(count: usize, threads: usize) -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let mut worlds = Vec::new();
    let mut asked = Vec::new();
    while asked.len() < count {
        let seed = 1000 + worlds.len() as u64;
        generate(MakeUp::Hourly, seed, SIZE).write(folder.path())?;
        let world = World::read(folder.path())?;
        let place = worlds.len();
        let ready = |day: usize| day >= 84 && day + SETTLED_AGE < world.days;
        asked.extend((0..world.deployments.len()).filter(|at| ready(world.deployments[*at].day)).map(|at| (place, at)));
        worlds.push(world);
    }
    asked.truncate(count);
    let (model, calibration) = (Model::default(), Calibration::default());
    let (next, answered) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let (began, cpu) = (Instant::now(), cpu_seconds());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((place, at)) = asked.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let world = &worlds[*place];
                    let deployment = &world.deployments[*at];
                    let (day, service) = (deployment.day, deployment.service);
                    let history = effects::asked_history(world, service, day, day + SETTLED_AGE, &model);
                    let impact = estimate(&history, world.date(day), &model, &calibration);
                    answered.fetch_add(usize::from(impact.effect.is_some()), Ordering::Relaxed);
                }
            });
        }
    });
    let (wall, cpu) = (began.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    println!(
        "{} deployments settled on {threads} threads in {wall:.1} s, {:.2} ms of CPU time each; {} with an estimate",
        asked.len(),
        1000.0 * cpu / asked.len().max(1) as f64,
        answered.into_inner(),
    );
    Ok(())
}

/// CPU time of all threads of this process, in seconds, in ticks of a hundredth.
fn cpu_seconds() -> f64 {
    let text = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = text.rsplit(')').next().unwrap_or_default();
    let ticks = after_name.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<f64>().ok());
    ticks.sum::<f64>() / 100.0
}
