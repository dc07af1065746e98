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
    let time = Time { begun: Instant::now(), at_most };
    let mut is_all = true;
    for places in together(stale) {
        if time.is_over() {
            return Ok(false);
        }
        is_all &= renew(pools, &places, &time).await?;
    }
    Ok(is_all)
}

struct Time {
    begun: Instant,
    at_most: Duration,
}

impl Time {
    fn is_over(&self) -> bool {
        self.begun.elapsed() >= self.at_most
    }
}

/// Places that are read in one view at most.
const TOGETHER_MAX: usize = 16;

// What is released each week to one service looks at the same days four times: such places are read together. Those of
// the newest releases still come first.
fn together(stale: Vec<Place>) -> Vec<Vec<Place>> {
    let mut newest: HashMap<Key, usize> = HashMap::new();
    let mut groups: Vec<Vec<Place>> = Vec::new();
    for place in stale {
        let key = Key {
            service_id: place.service_id,
            environment_id: place.environment_id,
            billing_currency: place.billing_currency.clone(),
        };
        match newest.get(&key).copied().filter(|at| groups[*at].len() < TOGETHER_MAX) {
            Some(at) => groups[at].push(place),
            None => {
                newest.insert(key, groups.len());
                groups.push(vec![place]);
            }
        }
    }
    groups
}

// The digest and the lines are of one view, so that hours never stand beside the digest of other days. False where the
// time was over before all of them, or another process wrote one of the same places meanwhile: what it wrote stands, and
// the next run looks whether it still holds.
async fn renew(pools: &Pools, places: &[Place], time: &Time) -> sqlx::Result<bool> {
    let mut transaction = pools.jobs.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ").await?;
    match read_and_keep_all(&mut transaction, places, time).await {
        Ok(is_all) => transaction.commit().await.map(|()| is_all),
        Err(error) if release_hours::is_overtaken(&error) => transaction.rollback().await.map(|()| false),
        Err(error) => Err(error),
    }
}

async fn read_and_keep_all(conn: &mut PgConnection, places: &[Place], time: &Time) -> sqlx::Result<bool> {
    let mut known = BTreeMap::new();
    for (count, place) in places.iter().enumerate() {
        // Looked at for each place: its lines may be many.
        if count > 0 && time.is_over() {
            return Ok(false);
        }
        read_and_keep(&mut *conn, place, &mut known).await?;
    }
    Ok(true)
}

// `known` are days of the same service, environment and currency that were read in this view.
async fn read_and_keep(
    conn: &mut PgConnection,
    place: &Place,
    known: &mut BTreeMap<NaiveDate, DayHours>,
) -> sqlx::Result<()> {
    // The list may be a minute old: what the days say now counts. What was to be forgotten comes back by the next list.
    let made_from = match place.made_from {
        Some(_) => release_hours::made_from(&mut *conn, place).await?,
        None => None,
    };
    let Some(made_from) = made_from else { return release_hours::forget(conn, place).await };
    let mut days = Vec::new();
    for day in place.usual_days() {
        let read = match known.get(&day) {
            Some(read) => *read,
            None => of_day(&release_hours::costs(&mut *conn, place, day).await?),
        };
        known.insert(day, read);
        days.push(read);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_of_one_service_are_read_together_and_the_newest_first() {
        let place = |service_id: i64, number: u32| Place {
            service_id,
            environment_id: 1,
            billing_currency: "USD".into(),
            day: NaiveDate::from_ymd_opt(2026, 11, number).unwrap(),
            made_from: None,
        };
        let told = |stale: Vec<Place>| -> Vec<Vec<(i64, u32)>> {
            let number = |place: &Place| (place.service_id, chrono::Datelike::day(&place.day));
            together(stale).iter().map(|group| group.iter().map(number).collect()).collect()
        };
        let stale = vec![place(1, 20), place(2, 18), place(1, 13), place(3, 12), place(2, 11)];
        assert_eq!(told(stale), [vec![(1, 20), (1, 13)], vec![(2, 18), (2, 11)], vec![(3, 12)]]);
        let many: Vec<Place> = (1..=20).rev().map(|number| place(1, number)).collect();
        let sizes: Vec<usize> = told(many).iter().map(Vec::len).collect();
        assert_eq!(sizes, [TOGETHER_MAX, 4]);
    }
}
