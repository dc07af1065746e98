//! Usage taken in: written with its days and reach, and worked into the costs that are divided by it, in one transaction.

use super::{remap, splits};
use crate::allocate::all_days;
use crate::focus::DateRange;
use crate::store::metric_points::{self, MetricPoint, Reading, Write};
use crate::store::{Pools, jobs, locks, metric_hours, metric_reach, metrics};
use chrono::{DateTime, NaiveDate, Utc};
use serde_json::json;
use sqlx::{PgConnection, Postgres, Transaction};
use std::collections::{BTreeMap, BTreeSet};

/// Why usage was not taken in. Nothing of it is stored then.
#[derive(Debug, thiserror::Error)]
pub enum UsageError {
    /// It is not what it should be, as a whole. The sentence says what to do.
    #[error("{0}")]
    Refused(String),
    /// It cannot be taken beside what is there already.
    #[error("{0}")]
    Conflict(String),
    /// Lines or points that are wrong, each with its place and what to do.
    #[error("Nothing was stored. {}", .0.join("\n"))]
    Lines(Vec<String>),
    /// Anything else.
    #[error(transparent)]
    Other(#[from] anyhow::Error),
}

impl From<sqlx::Error> for UsageError {
    fn from(error: sqlx::Error) -> Self {
        Self::Other(error.into())
    }
}

/// A transaction in which usage is written. Dropped without [`Self::finish`], nothing was.
pub struct Taking {
    transaction: Transaction<'static, Postgres>,
    /// A split divides by the metric: its shares change too.
    divides: bool,
    /// Hours only: where a split divides by a metric, their days are made by a job, so that a sender who comes every
    /// ten seconds does not make everyone wait.
    makes_days_later: bool,
    touched: Option<DateRange>,
}

/// The job that makes days from the hours that came since.
pub const MAKE_DAYS: &str = "make_usage_days";
const MAKE_DAYS_AFTER_SECONDS: i32 = 300;

impl Taking {
    /// Begins. While it lasts, no service goes and no rule changes. Only where a split divides by the metric (by any,
    /// for `None`) does it wait for those who publish figures.
    pub async fn begin(pools: &Pools, metric: Option<&str>) -> Result<Self, UsageError> {
        let mut transaction = pools.jobs.begin().await?;
        if !divides(&mut transaction, metric).await? {
            locks::share_mapping(&mut transaction).await?;
            // A split may have come before the lock was there.
            if !divides(&mut transaction, metric).await? {
                return Ok(Self { transaction, divides: false, makes_days_later: false, touched: None });
            }
            transaction.rollback().await?;
            transaction = pools.jobs.begin().await?;
        }
        remap::begin(&mut transaction).await?;
        Ok(Self { transaction, divides: true, makes_days_later: false, touched: None })
    }

    /// Begins for readings that come all the time: it never waits for those who publish figures.
    pub async fn begin_readings(pools: &Pools) -> Result<Self, UsageError> {
        let mut transaction = pools.jobs.begin().await?;
        locks::share_mapping(&mut transaction).await?;
        let makes_days_later = divides(&mut transaction, None).await?;
        Ok(Self { transaction, divides: false, makes_days_later, touched: None })
    }

    /// The transaction.
    pub fn conn(&mut self) -> &mut PgConnection {
        &mut self.transaction
    }

    /// Writes points. What is added must be of a metric whose values add up, and find the day kept the same way.
    /// `complete_through` is what the sender says; without it the last point of each service says it.
    pub async fn write(
        &mut self,
        points: &[MetricPoint],
        write: Write,
        complete_through: Option<DateTime<Utc>>,
        by: &str,
        now: DateTime<Utc>,
    ) -> Result<(), UsageError> {
        self.know(points.iter().map(|point| point.metric.as_str()), by, now).await?;
        let summed;
        let points = match write {
            Write::Replace => points,
            Write::Add => {
                summed = add_up(points);
                self.check_addition(&summed).await?;
                &summed
            }
        };
        metric_points::write(&mut self.transaction, points, write, by, now).await?;
        let mut reached: BTreeMap<(String, i64), DateTime<Utc>> = BTreeMap::new();
        for point in points {
            let end = complete_through.unwrap_or_else(|| point.slot.end());
            let known = reached.entry((point.metric.clone(), point.service_id)).or_insert(end);
            *known = end.max(*known);
            self.touch(point.slot.day());
        }
        Ok(metric_reach::extend(&mut self.transaction, &reached).await?)
    }

    /// Adds single readings to their hours; `reached` says up to when their metrics are known then.
    pub async fn add_readings(
        &mut self,
        readings: &[Reading],
        reached: &BTreeMap<(String, i64), DateTime<Utc>>,
        by: &str,
        now: DateTime<Utc>,
    ) -> Result<(), UsageError> {
        metric_points::add_readings(&mut self.transaction, readings, !self.makes_days_later, by, now).await?;
        readings.iter().for_each(|reading| self.touch(reading.point.slot.day()));
        Ok(metric_reach::extend(&mut self.transaction, reached).await?)
    }

    /// After points of a metric were written at `now`: takes away what the same one wrote before of these hours and
    /// did not write again, and remembers which days that touched.
    pub async fn delete_left(
        &mut self,
        metric: &str,
        hours: &[DateTime<Utc>],
        points: &[MetricPoint],
        by: &str,
        now: DateTime<Utc>,
    ) -> Result<(), UsageError> {
        let came = points.iter().map(|point| point.service_id).collect();
        let days = metric_hours::delete_left(&mut self.transaction, metric, by, hours, &came, now).await?;
        days.into_iter().for_each(|day| self.touch(day));
        Ok(())
    }

    /// Takes values away, and remembers which days that touched. Gives how many.
    pub async fn delete(&mut self, metric: &str, service_id: Option<i64>, days: DateRange) -> Result<u64, UsageError> {
        self.touched = Some(days);
        Ok(metric_points::delete(&mut self.transaction, metric, service_id, days).await?)
    }

    /// Takes the days of a metric away that this one brought, and remembers which days that touched.
    pub async fn delete_of(&mut self, metric: &str, by: &str, days: DateRange) -> Result<u64, UsageError> {
        self.touched = Some(days);
        Ok(metric_points::delete_of(&mut self.transaction, metric, by, days).await?)
    }

    /// Remembers which days are others now, where what was written anew is mostly what it was.
    pub fn touch_only(&mut self, days: DateRange) {
        self.touched = Some(days);
    }

    /// Remembers that any day may be another one now.
    pub fn touch_all(&mut self) {
        self.touched = Some(all_days());
    }

    /// Makes it visible, with the shares that follow from it.
    pub async fn finish(mut self, by: &str, now: DateTime<Utc>) -> Result<(), UsageError> {
        if let Some(days) = self.touched.filter(|_| self.divides) {
            splits::work_out(&mut self.transaction, Some(days)).await?;
            remap::publish_splits(&mut self.transaction, by, now).await?;
        }
        match (self.touched, self.makes_days_later) {
            (None, _) => {}
            (Some(_), true) => {
                jobs::enqueue_after(&mut self.transaction, MAKE_DAYS, "", &json!({}), MAKE_DAYS_AFTER_SECONDS).await?;
            }
            (Some(_), false) => metric_points::note_change(&mut self.transaction).await?,
        }
        Ok(self.transaction.commit().await?)
    }

    /// Makes the days of hours that came since; gives how many changed.
    pub async fn make_late_days(&mut self, by: &str, now: DateTime<Utc>) -> Result<u64, UsageError> {
        let Some((count, days)) = metric_points::make_late_days(&mut self.transaction, by, now).await? else {
            return Ok(0);
        };
        self.touched = Some(days);
        Ok(count)
    }

    async fn know<'a>(
        &mut self,
        names: impl Iterator<Item = &'a str>,
        by: &str,
        now: DateTime<Utc>,
    ) -> Result<(), UsageError> {
        let names: BTreeSet<&str> = names.collect();
        let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
        if metrics::assume(&mut self.transaction, &names, by, now).await? {
            return Ok(());
        }
        let most = metrics::METRICS_MAX;
        Err(UsageError::Refused(format!("There would be more than {most} metrics: check the names of the metrics.")))
    }

    async fn check_addition(&mut self, points: &[MetricPoint]) -> Result<(), UsageError> {
        let names: BTreeSet<&str> = points.iter().map(|point| point.metric.as_str()).collect();
        for name in names {
            let metric = metrics::get(&mut self.transaction, name).await?;
            if metric.is_some_and(|metric| metric.over_hours != "sum") {
                return Err(UsageError::Refused(format!(
                    "Values of “{name}” do not add up: send the value of the hour or day as it is, to replace."
                )));
            }
        }
        let Some((_, day)) = metric_points::mixed(&mut self.transaction, points).await? else { return Ok(()) };
        Err(UsageError::Conflict(format!(
            "{day} is kept the other way, as one value or by hours: add in that way, or replace the day."
        )))
    }

    fn touch(&mut self, day: NaiveDate) {
        let own = DateRange::days_to(day, 1);
        self.touched = Some(match self.touched {
            None => own,
            Some(known) => {
                let (start, end) = (known.start().min(own.start()), known.end().max(own.end()));
                DateRange::new(start, end).unwrap_or(known)
            }
        });
    }
}

async fn divides(conn: &mut PgConnection, metric: Option<&str>) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM split WHERE method = 'metric' AND ($1::text IS NULL OR metric = $1)) AS "any!""#,
        metric
    )
    .fetch_one(conn)
    .await
}

// What is added twice to one place in one go is added once, as the sum.
fn add_up(points: &[MetricPoint]) -> Vec<MetricPoint> {
    let mut sums: BTreeMap<_, MetricPoint> = BTreeMap::new();
    for point in points {
        let place = (point.metric.clone(), point.service_id, point.environment_id, point.slot);
        match sums.get_mut(&place) {
            Some(known) => known.value += &point.value,
            None => drop(sums.insert(place, point.clone())),
        }
    }
    sums.into_values().collect()
}
