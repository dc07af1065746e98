//! Writes a world in the format of `../shared/bench`, with the hour of each release beside its day.

use super::Generated;
use chrono::NaiveDate;
use std::{error::Error, fs, path::Path};

type Written = Result<(), Box<dyn Error>>;

impl Generated {
    /// Writes all files into a folder, which is made.
    pub fn write(&self, folder: &Path) -> Written {
        fs::create_dir_all(folder)?;
        let services = self.services.iter().map(|one| vec![one.name.clone(), one.team.clone(), one.archetype.into()]);
        table(&folder.join("services.csv"), "service,team,archetype", services)?;
        self.write_days(folder)?;
        let releases = self.releases.iter().map(|one| {
            let hour = format!("{:.2}", one.planned.hour);
            vec![one.name.clone(), self.services[one.service].name.clone(), self.day(one.planned.day), hour]
        });
        table(&folder.join("deployments.csv"), "deployment,service,date,hour", releases)?;
        let events = self.events.iter().map(|(day, service, kind, category)| {
            vec![self.day(*day), service.clone(), (*kind).into(), category.clone()]
        });
        table(&folder.join("events.csv"), "date,service,event,category", events)?;
        self.write_truth(folder)
    }

    fn write_days(&self, folder: &Path) -> Written {
        let (mut costs, mut traffic, mut visible) = (Vec::new(), Vec::new(), Vec::new());
        for service in &self.services {
            for (environment, cost, requests) in &service.environments {
                for (day, cost) in cost.iter().enumerate() {
                    costs.push(vec![
                        self.day(day),
                        service.name.clone(),
                        service.team.clone(),
                        (*environment).into(),
                        service.category.into(),
                        "Usage".into(),
                        format!("{cost:.4}"),
                    ]);
                }
                for (day, requests) in requests.iter().flatten().enumerate() {
                    let requests = format!("{requests:.1}");
                    traffic.push(vec![self.day(day), service.name.clone(), (*environment).into(), requests]);
                }
            }
            for (day, shares) in service.visible.iter().enumerate() {
                let mut row = vec![self.day(day), service.name.clone()];
                row.extend(shares.iter().map(|share| format!("{share:.4}")));
                visible.push(row);
            }
        }
        let header = "date,service,team,environment,service_category,charge_category,cost_final";
        table(&folder.join("cost_daily.csv"), header, costs)?;
        table(&folder.join("traffic.csv"), "date,service,environment,requests", traffic)?;
        table(&folder.join("completeness.csv"), "date,service,frac_age0,frac_age1,frac_age2", visible)
    }

    fn write_truth(&self, folder: &Path) -> Written {
        let releases = self.releases.iter().map(|one| {
            let planned = &one.planned;
            let overlaps = |other: &&super::TrueRelease| {
                other.service == one.service && other.name != one.name && other.planned.day.abs_diff(planned.day) <= 14
            };
            let real = |other: &&super::TrueRelease| other.planned.course != super::Course::Nothing;
            vec![
                one.name.clone(),
                planned.course.word().into(),
                if planned.per_request { "mult" } else { "add" }.into(),
                format!("{:.4}", planned.size),
                "0".into(),
                self.services[one.service].name.clone(),
                format!("{:.4}", one.effect.0),
                format!("{:.4}", one.effect.1),
                format!("{:.4}", one.before),
                self.releases.iter().filter(overlaps).count().to_string(),
                self.releases.iter().filter(overlaps).filter(real).count().to_string(),
            ]
        });
        let header = "deployment,kind,form,relative,ramp_days,cost_service,effect_14d,effect_5d,pre14_mean,\
                      overlaps_14d,overlaps_real";
        table(&folder.join("truth_deployments.csv"), header, releases)?;
        let anomalies = self.anomalies.iter().map(|one| {
            vec![
                self.services[one.service].name.clone(),
                one.environment.into(),
                self.day(one.start),
                self.day(one.end),
                one.kind.into(),
                format!("{:.3}", one.size),
            ]
        });
        table(&folder.join("truth_anomalies.csv"), "service,environment,start,end,kind,magnitude", anomalies)
    }

    fn day(&self, day: usize) -> String {
        let date: NaiveDate = self.first_day + chrono::Days::new(day as u64);
        date.to_string()
    }
}

fn table(path: &Path, header: &str, rows: impl IntoIterator<Item = Vec<String>>) -> Written {
    let mut writer = csv::Writer::from_path(path)?;
    writer.write_record(header.split(','))?;
    for row in rows {
        writer.write_record(&row)?;
    }
    writer.flush()?;
    Ok(())
}
