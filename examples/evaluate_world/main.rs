//! Answers a world with known truth: `evaluate_world WORLD_DIR OUT_DIR` reads its files, asks the product's own
//! analysis as of each day, and writes `effects.csv`, `anomalies.csv`, `forecast.csv` and `cost.json`; beside them
//! `effects_joint.csv`, of releases that share an answer, and `anomalies_everywhere.csv`, of all environments.

#![expect(clippy::float_arithmetic, reason = "made-up costs, and times")]

mod anomalies;
mod effects;
mod forecasts;
mod world;

use costwake::analyze::{
    forecast::Forecast,
    impact::{Calibration, Impact, Model},
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
    let joint = effects::joint_answers(&world, &model, |asked_on| if asked_on < half { &shipped } else { &learnt });
    write_joint_effects(&out.join("effects_joint.csv"), &joint)?;
    let looked = anomalies::looked(&world, &model);
    write_anomalies(&out.join("anomalies.csv"), &looked.apart)?;
    write_anomalies(&out.join("anomalies_everywhere.csv"), &looked.everywhere)?;
    let claims = effects::claims(&world, &answers, &joint);
    write_forecasts(&out.join("forecast.csv"), &forecasts::answers(&world, &claims))?;
    let cost = serde_json::json!({
        "deployments": answers.len(),
        "cpu_ms_per_deployment": spent / answers.len().max(1) as f64,
        "calibration_cpu_ms": learning,
    });
    fs::write(out.join("cost.json"), serde_json::to_vec_pretty(&cost)?)?;
    Ok(())
}

fn write_effects(path: &Path, answers: &[effects::Answer]) -> Result<(), Box<dyn Error>> {
    let rows = answers.iter().map(|answer| (answer.deployment.clone(), answer.asked, &answer.impact));
    write_impacts(path, "deployment", rows)
}

/// The deployments that share an answer stand in one cell.
fn write_joint_effects(path: &Path, answers: &[effects::JointAnswer]) -> Result<(), Box<dyn Error>> {
    let rows = answers.iter().map(|answer| (answer.deployments.join(" "), answer.asked, &answer.impact));
    write_impacts(path, "deployments", rows)
}

fn write_impacts<'a>(
    path: &Path,
    subject: &str,
    rows: impl Iterator<Item = (String, &'a str, &'a Impact)>,
) -> Result<(), Box<dyn Error>> {
    let mut writer = csv::Writer::from_path(path)?;
    writer.write_record([subject, "asked", "estimate", "low", "high", "finding"])?;
    for (name, asked, impact) in rows {
        let number = |value: Option<f64>| value.map(|value| format!("{value:.4}")).unwrap_or_default();
        let effect = impact.effect;
        writer.write_record([
            name.as_str(),
            asked,
            &number(effect.map(|effect| effect.per_day)),
            &number(effect.map(|effect| effect.low)),
            &number(effect.map(|effect| effect.high)),
            effects::word(impact.finding),
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
