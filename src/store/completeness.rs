//! What earlier bills of a source showed of a day, and what was learned from it.

use bigdecimal::BigDecimal;
use sqlx::PgConnection;

/// Days back from the newest bill that are learned from.
const HISTORY_DAYS: i32 = 100;

/// What bills said of one day once a version of one of them was there, and what the bills that count say.
#[derive(Debug, Clone)]
pub struct SaidOfDay {
    /// Days from the day to the version.
    pub age_days: i32,
    /// In the bills of then, EffectiveCost; zero where the day was not in them.
    pub said: BigDecimal,
    /// In the current bills, EffectiveCost.
    pub last: BigDecimal,
}

/// What bills of the last hundred days said of days that are at least `settled_days` older than the newest current bill
/// of their account and period. Where a source has several exports, or files that add up, an account and period has
/// several bills, each with versions of its own: what was said on a day is the sum of those that were there then.
pub async fn said_of_days(
    conn: &mut PgConnection,
    source_id: i64,
    settled_days: i32,
    age_days_max: i32,
) -> sqlx::Result<Vec<SaidOfDay>> {
    sqlx::query_as!(
        SaidOfDay,
        r#"WITH told AS (
             SELECT DISTINCT ON (g.billing_account_id, g.billing_period_start, g.append_object,
                                 (d.version_at AT TIME ZONE 'UTC')::date)
                    g.generation_id, g.billing_account_id, g.billing_period_start, g.billing_period_end,
                    g.append_object, g.state, (d.version_at AT TIME ZONE 'UTC')::date AS version_date
             FROM generation g JOIN delivery d USING (delivery_id)
             WHERE g.source_id = $1 AND g.state IN ('current', 'superseded')
               AND d.version_at > (SELECT max(version_at) FROM delivery WHERE source_id = $1 AND state NOT IN ('refused', 'failed'))
                   - make_interval(days => $4)
             ORDER BY g.billing_account_id, g.billing_period_start, g.append_object,
                      (d.version_at AT TIME ZONE 'UTC')::date, g.state = 'current' DESC, d.version_at DESC
         ), bill AS (
             SELECT told.*, lead(version_date) OVER (
                        PARTITION BY billing_account_id, billing_period_start, append_object ORDER BY version_date
                    ) AS next_version_date
             FROM told
         ), part AS MATERIALIZED (
             SELECT b.billing_account_id, b.billing_period_start, c.charge_date, c.billing_currency, b.version_date,
                    b.next_version_date, b.state, sum(c.effective_cost) AS cost
             FROM bill b JOIN daily_cost c USING (generation_id)
             WHERE c.charge_date >= b.billing_period_start AND c.charge_date < b.billing_period_end
               AND (b.state = 'current' OR c.charge_date >= b.version_date - $3::integer)
             GROUP BY 1, 2, 3, 4, 5, 6, 7
         ), newest AS (
             SELECT billing_account_id, billing_period_start, max(version_date) AS version_date
             FROM bill WHERE state = 'current' GROUP BY 1, 2
         ), final AS (
             SELECT p.billing_account_id, p.billing_period_start, p.charge_date, p.billing_currency, sum(p.cost) AS cost
             FROM part p JOIN newest n USING (billing_account_id, billing_period_start)
             WHERE p.state = 'current' AND p.charge_date <= n.version_date - $2::integer
             GROUP BY 1, 2, 3, 4 HAVING sum(p.cost) <> 0
         ), looked AS (
             SELECT DISTINCT billing_account_id, billing_period_start, version_date FROM bill
         )
         SELECT (l.version_date - f.charge_date) AS "age_days!", coalesce(sum(p.cost), 0) AS "said!", f.cost AS "last!"
         FROM final f
         JOIN looked l USING (billing_account_id, billing_period_start)
         LEFT JOIN part p ON p.billing_account_id = f.billing_account_id
              AND p.billing_period_start = f.billing_period_start AND p.charge_date = f.charge_date
              AND p.billing_currency = f.billing_currency AND p.version_date <= l.version_date
              AND (p.next_version_date IS NULL OR p.next_version_date > l.version_date)
         WHERE l.version_date >= f.charge_date AND l.version_date - f.charge_date <= $3::integer
         GROUP BY f.billing_account_id, f.billing_period_start, f.charge_date, f.billing_currency, f.cost,
                  l.version_date
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
