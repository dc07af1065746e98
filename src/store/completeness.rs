//! What earlier bills of a source showed of a day, and what was learned from it.

use bigdecimal::BigDecimal;
use sqlx::PgConnection;

/// Days back from the newest bill that are learned from.
const HISTORY_DAYS: i32 = 100;

/// What one bill said of one day, and what the bill that counts says.
#[derive(Debug, Clone)]
pub struct SaidOfDay {
    /// Days from the day to the bill.
    pub age_days: i32,
    /// In that bill, EffectiveCost; zero where the day was not in it.
    pub said: BigDecimal,
    /// In the current bill, EffectiveCost.
    pub last: BigDecimal,
}

/// What bills of the last hundred days said of days that are at least `settled_days` older than the current bill.
pub async fn said_of_days(
    conn: &mut PgConnection,
    source_id: i64,
    settled_days: i32,
    age_days_max: i32,
) -> sqlx::Result<Vec<SaidOfDay>> {
    sqlx::query_as!(
        SaidOfDay,
        r#"WITH bill AS (
             SELECT DISTINCT ON (g.billing_account_id, g.billing_period_start, (d.version_at AT TIME ZONE 'UTC')::date)
                    g.generation_id, g.billing_account_id, g.billing_period_start, g.billing_period_end, g.state,
                    (d.version_at AT TIME ZONE 'UTC')::date AS version_date
             FROM generation g JOIN delivery d USING (delivery_id)
             WHERE g.source_id = $1 AND g.state IN ('current', 'superseded')
               AND d.version_at > (SELECT max(version_at) FROM delivery WHERE source_id = $1) - make_interval(days => $4)
             ORDER BY g.billing_account_id, g.billing_period_start, (d.version_at AT TIME ZONE 'UTC')::date,
                      g.state = 'current' DESC, d.version_at DESC
         ), final AS (
             SELECT b.billing_account_id, b.billing_period_start, c.charge_date, c.billing_currency,
                    sum(c.effective_cost) AS cost
             FROM bill b JOIN daily_cost c USING (generation_id)
             WHERE b.state = 'current' AND c.charge_date <= b.version_date - $2::integer
               AND c.charge_date >= b.billing_period_start AND c.charge_date < b.billing_period_end
             GROUP BY 1, 2, 3, 4 HAVING sum(c.effective_cost) <> 0
         )
         SELECT (b.version_date - f.charge_date) AS "age_days!", coalesce(sum(c.effective_cost), 0) AS "said!",
                f.cost AS "last!"
         FROM final f
         JOIN bill b USING (billing_account_id, billing_period_start)
         LEFT JOIN daily_cost c ON c.generation_id = b.generation_id AND c.charge_date = f.charge_date
              AND c.billing_currency = f.billing_currency
         WHERE b.version_date >= f.charge_date AND b.version_date - f.charge_date <= $3::integer
         GROUP BY b.generation_id, b.version_date, f.billing_account_id, f.billing_period_start, f.charge_date,
                  f.billing_currency, f.cost
         LIMIT 100000"#,
        source_id,
        settled_days,
        age_days_max,
        HISTORY_DAYS
    )
    .fetch_all(conn)
    .await
}

/// The median of one age of a source.
#[derive(Debug, Clone, PartialEq)]
pub struct LearnedAge {
    /// Days from a day to the bill.
    pub age_days: i32,
    /// Median share of the final cost; 1 is all of it.
    pub median_share: f64,
    /// Days behind it.
    pub day_count: i64,
}

/// Replaces what was learned about a source.
pub async fn store(
    conn: &mut PgConnection,
    source_id: i64,
    curve: &[LearnedAge],
    settles_after_days: Option<i32>,
) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM source_completeness WHERE source_id = $1", source_id).execute(&mut *conn).await?;
    sqlx::query!("DELETE FROM source_settling WHERE source_id = $1", source_id).execute(&mut *conn).await?;
    for age in curve {
        sqlx::query!(
            "INSERT INTO source_completeness (source_id, age_days, median_share, day_count) VALUES ($1, $2, $3, $4)",
            source_id,
            age.age_days,
            age.median_share,
            age.day_count
        )
        .execute(&mut *conn)
        .await?;
    }
    if let Some(days) = settles_after_days {
        sqlx::query!("INSERT INTO source_settling (source_id, settles_after_days) VALUES ($1, $2)", source_id, days)
            .execute(conn)
            .await?;
    }
    Ok(())
}

/// What was learned about a source, youngest age first. Says nothing of money.
pub async fn learned(conn: &mut PgConnection, source_id: i64) -> sqlx::Result<Vec<LearnedAge>> {
    sqlx::query_as!(
        LearnedAge,
        "SELECT age_days, median_share, day_count FROM source_completeness WHERE source_id = $1 ORDER BY age_days
         LIMIT 100",
        source_id
    )
    .fetch_all(conn)
    .await
}
