//! Which placebos of an organisation are asked. Pure.

use super::histories::Series;
use crate::analyze::impact::{self, PlaceboPurpose};
use chrono::NaiveDate;

/// Placebos that are asked at most: the rate is then known to about two points.
const PLACEBO_COUNT_MAX: usize = 600;

/// The place of a series, and its day.
pub(super) type PlaceboDay = (usize, NaiveDate);

/// Days without a release near, at most so many as are asked, spread over all series.
pub(super) fn sampled(series: &[Series], purpose: PlaceboPurpose) -> Vec<PlaceboDay> {
    let days = |series: &Series| impact::placebo_days(&series.history, purpose);
    let all: Vec<PlaceboDay> = series
        .iter()
        .enumerate()
        .flat_map(|(place, series)| days(series).into_iter().map(move |day| (place, day)))
        .collect();
    let step = all.len().div_ceil(PLACEBO_COUNT_MAX).max(1);
    all.into_iter().step_by(step).collect()
}
