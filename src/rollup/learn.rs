//! Learns from a source's history how long its days keep arriving.

use super::arrival::{self, AGE_DAYS_MAX, Sample};
use crate::store::completeness::{self, LearnedAge};
use crate::store::{Pools, locks};
use bigdecimal::{BigDecimal, ToPrimitive};
use sqlx::PgConnection;

/// Learns anew from the history of a delivery's source what its bills show of a day after so many days. The delivery is
/// counted already, and this holds nobody up: where it fails, what was learned before stays.
pub(super) async fn from_delivery(pools: &Pools, delivery_id: i64) {
    let learning = async {
        let mut transaction = pools.jobs.begin().await?;
        let source_id = sqlx::query_scalar!("SELECT source_id FROM delivery WHERE delivery_id = $1", delivery_id)
            .fetch_optional(&mut *transaction)
            .await?;
        if let Some(source_id) = source_id.flatten() {
            // Two deliveries of one source at once learn one after the other.
            locks::lock_learning(&mut transaction, source_id).await?;
            source(&mut transaction, source_id).await?;
        }
        transaction.commit().await
    };
    if let Err(error) = learning.await {
        tracing::warn!("What delivery {delivery_id} tells of its source could not be learned: {error}");
    }
}

// A day is final for that once its bill is older than any age that is looked at.
async fn source(conn: &mut PgConnection, source_id: i64) -> sqlx::Result<()> {
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
