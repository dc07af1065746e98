//! Answers a world with known truth: `evaluate_world WORLD_DIR OUT_DIR` reads its files, asks the product's own
//! analysis as of each day, and writes `effects.csv`, `anomalies.csv`, `forecast.csv` and `cost.json`.

#![expect(clippy::float_arithmetic, reason = "made-up costs, and times")]

mod anomalies;
mod effects;
mod forecasts;
mod world;

use costwake::analyze::{
    forecast::Forecast,
    impact::{Calibration, Model},
};
use std::{error::Error, fs, path::Path};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [world, out] = arguments.as_slice() else {
        return Err("usage: evaluate_world WORLD_DIR OUT_DIR".into());
    };
    let (world, out) = (world::World::read(Path::new(world))?, Path::new(out));
    fs::create_dir_all(out)?;
    let (model, shipped) = (Model::default(), Calibration::default());
    // What the first half of the world teaches counts in the second.
    let (before, half) = (cpu_ms(), world.days / 2);
    let learnt = effects::learnt(&world, half, &model, &shipped);
    let learning = cpu_ms() - before;
    let before = cpu_ms();
    let answers = effects::answers(&world, &model, |asked_on| if asked_on < half { &shipped } else { &learnt });
    let spent = cpu_ms() - before;
    write_effects(&out.join("effects.csv"), &answers)?;
    write_anomalies(&out.join("anomalies.csv"), &anomalies::opened(&world, &model))?;
    write_forecasts(&out.join("forecast.csv"), &forecasts::answers(&world))?;
    let cost = serde_json::json!({
        "deployments": answers.len(),
        "cpu_ms_per_deployment": spent / answers.len().max(1) as f64,
        "calibration_cpu_ms": learning,
    });
    fs::write(out.join("cost.json"), serde_json::to_vec_pretty(&cost)?)?;
    Ok(())
}

fn write_effects(path: &Path, answers: &[effects::Answer]) -> Result<(), Box<dyn Error>> {
    let mut writer = csv::Writer::from_path(path)?;
    writer.write_record(["deployment", "asked", "estimate", "low", "high", "finding"])?;
    for answer in answers {
        let number = |value: Option<f64>| value.map(|value| format!("{value:.4}")).unwrap_or_default();
        let effect = answer.impact.effect;
        writer.write_record([
            answer.deployment.as_str(),
            answer.asked,
            &number(effect.map(|effect| effect.per_day)),
            &number(effect.map(|effect| effect.low)),
            &number(effect.map(|effect| effect.high)),
            effects::word(answer.impact.finding),
        ])?;
    }
    writer.flush()?;
    Ok(())
}

fn write_anomalies(path: &Path, opened: &[anomalies::Opened]) -> Result<(), Box<dyn Error>> {
    let mut writer = csv::Writer::from_path(path)?;
    writer.write_record(["service", "environment", "kind", "start", "end", "opened_on"])?;
    for one in opened {
        let anomaly = &one.anomaly;
        writer.write_record([
            one.service.as_str(),
            &one.environment,
            anomalies::word(anomaly.kind),
            &anomaly.start.to_string(),
            &anomaly.end.to_string(),
            &one.opened_on.to_string(),
        ])?;
    }
    writer.flush()?;
    Ok(())
}

fn write_forecasts(path: &Path, answers: &[forecasts::Answer]) -> Result<(), Box<dyn Error>> {
    let mut writer = csv::Writer::from_path(path)?;
    writer.write_record(["scope_kind", "scope", "month", "asked_on", "point", "low", "high"])?;
    for answer in answers {
        let Forecast { point, low, high, .. } = answer.forecast;
        let number = |value: f64| format!("{value:.4}");
        writer.write_record([
            answer.scope_kind,
            &answer.scope,
            &answer.month,
            &answer.asked_on.to_string(),
            &number(point),
            // Without an interval nothing is promised but that the cost is no less than nothing.
            &number(low.unwrap_or(0.0)),
            &number(high.unwrap_or(10.0 * point)),
        ])?;
    }
    writer.flush()?;
    Ok(())
}

/// CPU time of this process so far, in milliseconds.
fn cpu_ms() -> f64 {
    let text = fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    text.split_whitespace().next().and_then(|value| value.parse::<f64>().ok()).unwrap_or(0.0) / 1e6
}
