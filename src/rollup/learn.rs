//! Learns from a source's history how long its days keep arriving.

use super::arrival::{self, AGE_DAYS_MAX, Sample};
use crate::store::completeness::{self, LearnedAge};
use bigdecimal::{BigDecimal, ToPrimitive};
use sqlx::PgConnection;

/// Learns anew what a source's bills show of a day after so many days. A day is final for that once its bill is older
/// than any age that is looked at.
pub(super) async fn source(conn: &mut PgConnection, source_id: i64) -> sqlx::Result<()> {
    let days = AGE_DAYS_MAX as i32;
    let said = completeness::said_of_days(conn, source_id, days, days).await?;
    let samples: Vec<Sample> = said
        .iter()
        .filter_map(|one| {
            Some(Sample { age_days: u32::try_from(one.age_days).ok()?, share: share(&one.said, &one.last)? })
        })
        .collect();
    let curve = arrival::curve(&samples);
    let settles = arrival::settles_after_days(&curve).and_then(|days| i32::try_from(days).ok());
    let learned: Vec<LearnedAge> = curve
        .iter()
        .map(|age| LearnedAge {
            age_days: age.age_days as i32,
            median_share: age.median_share,
            day_count: age.day_count as i64,
        })
        .collect();
    completeness::store(conn, source_id, &learned, settles).await
}

// Not money any more: a ratio of two amounts, for a median.
fn share(said: &BigDecimal, last: &BigDecimal) -> Option<f64> {
    (said.with_prec(30) / last.with_prec(30)).to_f64()
}
