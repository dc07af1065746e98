//! How much of what is provided is used: a figure a day for production and staging, as an agent on the machines reports
//! it. Most services are sized well; a few are not, so that there is something to find.

use super::cost_model::{CostModel, weekday_factor};
use super::organisation::{ENVIRONMENTS, SERVICES};
use super::random::{noise, stream};
use rand::RngExt;
use std::io::Write;
use std::path::Path;

/// Days up to the last one that are written: enough for what is usual, and for what is now.
const DAYS: usize = 120;
/// Environments that report: production and staging.
const ENVIRONMENT_COUNT: usize = 2;
/// Mean utilization in percent of services whose production has more than it needs.
const LOW: [(&str, f64); 4] =
    [("customer-360", 21.0), ("ci-runners", 27.0), ("shipping-labels", 17.0), ("identity", 31.0)];
/// The same of staging, for everyone: as large as a release needs, and quiet between releases.
const STAGING: (f64, f64) = (20.0, 55.0);
/// Of production, for all others.
const USUAL: (f64, f64) = (46.0, 71.0);

/// Writes `date,service,environment,percent`.
pub fn write(path: &Path, model: &CostModel, seed: u64) -> anyhow::Result<()> {
    let mut file = std::io::BufWriter::new(std::fs::File::create(path)?);
    writeln!(file, "date,service,environment,percent")?;
    let days: Vec<_> = model.days().collect();
    for plan in &SERVICES {
        for (environment, (slug, ..)) in ENVIRONMENTS.iter().enumerate().take(ENVIRONMENT_COUNT) {
            let mut random = stream(seed, &format!("utilization of {} in {slug}", plan.slug));
            let (least, most) = if environment == 0 { USUAL } else { STAGING };
            let drawn = least + (most - least) * random.random::<f64>();
            let known = LOW.iter().find(|(service, _)| environment == 0 && *service == plan.slug);
            let mean = known.map_or(drawn, |(_, percent)| *percent);
            for day in &days[days.len().saturating_sub(DAYS)..] {
                let percent = mean * weekday_factor(*day, plan.workload, environment) + noise(&mut random, 2.0);
                writeln!(file, "{day},{},{slug},{:.1}", plan.slug, percent.clamp(1.0, 95.0))?;
            }
        }
    }
    Ok(file.flush()?)
}
