//! Hours of bills: in which of them cost usually arises before a release, and how much of its day lies after it by that.

#![expect(clippy::float_arithmetic, reason = "shares of a day")]

use super::histories::Key;
use super::inputs::Inputs;
use crate::analyze::impact::{DayHours, ReleaseDay, usual_hours, usual_share_before};
use crate::store::Pools;
use crate::store::release_hours::{self, HourCost, Place};
use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, Utc};
use sqlx::PgConnection;
use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

/// How long one run reads lines. What is left is read by the next one: answers do not wait for years of releases.
pub(super) const READ_AT_MOST: Duration = Duration::from_secs(60);
const DAY_SECONDS: f64 = 86_400.0;

/// Reads the hours around releases whose days say something else than they did, for so long at most. Gives whether all of
/// them are known now.
pub(super) async fn bring_up_to_date(pools: &Pools, at_most: Duration) -> sqlx::Result<bool> {
    let stale = release_hours::stale(&mut *pools.jobs.acquire().await?).await?;
    let begun = Instant::now();
    let mut is_all = true;
    for place in &stale {
        // Looked at for each place: its lines may be many.
        if begun.elapsed() >= at_most {
            return Ok(false);
        }
        is_all &= renew(pools, place).await?;
    }
    Ok(is_all)
}

// The digest and the lines are of one view, so that hours never stand beside the digest of other days. False where
// another process wrote the same place meanwhile: what it wrote stands, and the next run looks whether it still holds.
async fn renew(pools: &Pools, place: &Place) -> sqlx::Result<bool> {
    let mut transaction = pools.jobs.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ").await?;
    let done = read_and_keep(&mut transaction, place).await;
    match done {
        Ok(()) => transaction.commit().await.map(|()| true),
        Err(error) if release_hours::is_overtaken(&error) => transaction.rollback().await.map(|()| false),
        Err(error) => Err(error),
    }
}

async fn read_and_keep(conn: &mut PgConnection, place: &Place) -> sqlx::Result<()> {
    // The list may be a minute old: what the days say now counts. What was to be forgotten comes back by the next list.
    let made_from = match place.made_from {
        Some(_) => release_hours::made_from(&mut *conn, place).await?,
        None => None,
    };
    let Some(made_from) = made_from else { return release_hours::forget(conn, place).await };
    let mut days = Vec::new();
    for day in place.usual_days() {
        days.push(of_day(&release_hours::costs(&mut *conn, place, day).await?));
    }
    // Where most of it is charged by the day, that is kept too: it is not read again.
    let hours = usual_hours(&days).map(|hours| hours.to_vec()).unwrap_or_default();
    release_hours::keep(conn, place, &made_from, &hours).await
}

fn of_day(costs: &[HourCost]) -> DayHours {
    let mut day = DayHours::default();
    for row in costs {
        let hour = row.hour.and_then(|hour| usize::try_from(hour).ok()).filter(|hour| *hour < day.by_hour.len());
        match hour {
            Some(hour) => day.by_hour[hour] = row.cost,
            None => day.longer = row.cost,
        }
    }
    day
}

/// From when on the releases of a day count, where hours of the bill tell what that means.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::jobs) struct HourlyStart {
    /// When the first of them went live.
    pub at: DateTime<Utc>,
    /// The share of what such a day usually costs that comes after it.
    pub share_after: f64,
}

/// The hours that are known, by whose they are and the day of the release.
pub(super) struct Hours<'a>(HashMap<(i64, i64, &'a str, NaiveDate), &'a [f64]>);

impl<'a> Hours<'a> {
    pub fn of(inputs: &'a Inputs) -> Self {
        let all = inputs.hours.iter();
        let key = |one: &'a release_hours::ReleaseHours| {
            (one.service_id, one.environment_id, one.billing_currency.as_str(), one.day)
        };
        Self(all.map(|one| (key(one), one.hours.as_slice())).collect())
    }

    /// Places the releases of a series: of a day before which hours tell what is usual, the share of its cost that lay
    /// before the release takes the place of the share of the clock. Gives those days. A release that took days has none: the
    /// day on which it was through is left out with the others.
    pub fn place(&self, key: &Key, releases: &mut [ReleaseDay]) -> BTreeMap<NaiveDate, HourlyStart> {
        let mut starts = BTreeMap::new();
        for release in releases.iter_mut().filter(|release| release.rollout_from.is_none()) {
            let place = (key.service_id, key.environment_id, key.billing_currency.as_str(), release.day);
            let Some((clock, hours)) = release.share_before.zip(self.0.get(&place)) else { continue };
            let Some(share_before) = usual_share_before(hours, clock) else { continue };
            release.share_before = Some(share_before);
            let midnight = release.day.and_time(NaiveTime::MIN).and_utc();
            let at = midnight + TimeDelta::seconds((clock * DAY_SECONDS).round() as i64);
            starts.insert(release.day, HourlyStart { at, share_after: 1.0 - share_before });
        }
        starts
    }
}
