//! Works shared costs out: rows of the rollups beside the charges' own cost.
//!
//! The rows of a split add up to zero in every generation, day, environment, provider, kind of charge and currency, so
//! every total stays. They are worked out anew for the days on which anything changed: a bill, a rule, a metric, a split.

use super::staging::copy;
use crate::allocate::split::{
    ALL_ENVIRONMENTS, Day, Drivers, Method, Moved, Plan, RowKey, SourceRow, Split, SplitError, SplitTarget, Stayed,
};
use crate::allocate::{Validity, all_days};
use crate::focus::DateRange;
use crate::store::copy_binary::CopyBuffer;
use crate::store::splits::{self, SplitValues, StoredSplit};
use anyhow::Context;
use bigdecimal::BigDecimal;
use chrono::{Days, NaiveDate};
use futures_util::TryStreamExt;
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// A target as it is stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredTarget {
    /// The service.
    pub service_id: i64,
    /// How many of 100, for fixed percentages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<BigDecimal>,
}

/// A stored split as `allocate` understands it.
pub fn split_of(split_id: i64, values: &SplitValues) -> anyhow::Result<Split> {
    let targets: Vec<StoredTarget> =
        serde_json::from_value(values.targets.clone()).context("its targets are not readable")?;
    let targets = targets.into_iter().map(|one| SplitTarget { service_id: one.service_id, percent: one.percent });
    Ok(Split {
        split_id,
        name: values.name.clone(),
        source: values.source_service_id,
        method: Method::from_key(&values.method, values.metric.as_deref()).context("its method is not known")?,
        targets: targets.collect(),
        by_environment: values.by_environment,
        validity: Validity { first_day: values.first_day, last_day: values.last_day },
    })
}

/// The stored splits over the catalogue as it is.
pub async fn plan(conn: &mut PgConnection, stored: &[StoredSplit]) -> anyhow::Result<Plan> {
    plan_without(conn, stored, None).await
}

/// The stored splits over the catalogue as it would be without a service.
pub(super) async fn plan_without(
    conn: &mut PgConnection,
    stored: &[StoredSplit],
    removed_service: Option<i64>,
) -> anyhow::Result<Plan> {
    let splits = stored.iter().map(|one| split_of(one.split_id, &one.values)).collect::<anyhow::Result<Vec<_>>>()?;
    Ok(lenient(conn, &splits, removed_service).await??)
}

/// Splits over the catalogue as it is, or why they have no order.
pub async fn plan_of(conn: &mut PgConnection, splits: &[Split]) -> sqlx::Result<Result<Plan, SplitError>> {
    lenient(conn, splits, None).await
}

async fn lenient(
    conn: &mut PgConnection,
    splits: &[Split],
    removed_service: Option<i64>,
) -> sqlx::Result<Result<Plan, SplitError>> {
    let mut rows = sqlx::query!("SELECT service_id, name FROM service").fetch_all(conn).await?;
    rows.retain(|row| Some(row.service_id) != removed_service);
    let names: HashMap<i64, String> = rows.into_iter().map(|row| (row.service_id, row.name)).collect();
    let name = |id: i64| names.get(&id).cloned().unwrap_or_else(|| "Not allocated".into());
    Ok(Plan::lenient(splits, &names.keys().copied().collect(), name))
}

/// A mark of everything that splits moved: another one where any of it changed.
pub async fn moved_mark(conn: &mut PgConnection) -> sqlx::Result<String> {
    sqlx::query_scalar!(
        r#"SELECT concat_ws('/', count(*), sum(hash_record_extended(ROW(service_id, charge_date, environment_id,
                      generation_id, provider_name, charge_category, billing_currency, split_id, is_used, billed_cost,
                      effective_cost, list_cost, contracted_cost), 0))) AS "mark!"
           FROM daily_cost WHERE split_id <> 0"#
    )
    .fetch_one(conn)
    .await
}

/// Works all splits out anew for these days, all days where none are given. The caller holds the ledger's lock, and
/// the charges' own cost is added up already.
pub async fn work_out(conn: &mut PgConnection, days: Option<DateRange>) -> anyhow::Result<()> {
    let stored = splits::list(&mut *conn).await?;
    let had_any = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM daily_cost d JOIN generation g USING (generation_id)
                          WHERE d.split_id <> 0 AND g.state = 'current') AS "any!""#
    )
    .fetch_one(&mut *conn)
    .await?;
    if stored.is_empty() && !had_any {
        return Ok(());
    }
    let days = days.unwrap_or_else(all_days);
    let plan = plan(&mut *conn, &stored).await?;
    let (moved, _) = worked_out(&mut *conn, &plan, days).await?;
    let mut touched = clear(&mut *conn, days).await?;
    touched.extend(moved.iter().map(|row| row.key.generation_id));
    write(&mut *conn, &moved).await?;
    add_up_months(conn, &touched.into_iter().collect::<Vec<_>>()).await?;
    Ok(())
}

/// Whether splits moved cost to or from a service that the catalogue lacks now.
pub async fn names_gone(conn: &mut PgConnection) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM daily_cost d JOIN generation g USING (generation_id)
                          WHERE d.split_id <> 0 AND d.service_id <> 0 AND g.state = 'current'
                            AND NOT EXISTS (SELECT FROM service s WHERE s.service_id = d.service_id)) AS "any!""#
    )
    .fetch_one(conn)
    .await
}

/// What splits would make of the present figures of these days; nothing is written.
pub async fn worked_out(
    conn: &mut PgConnection,
    plan: &Plan,
    days: DateRange,
) -> sqlx::Result<(Vec<Moved>, Vec<Stayed>)> {
    let Some((rows, drivers)) = input(conn, &[plan], days).await? else { return Ok((Vec::new(), Vec::new())) };
    Ok(plan.work_out(rows, &drivers))
}

/// What these plans are worked out from on these days; `None` where there is nothing to divide.
pub(super) async fn input(
    conn: &mut PgConnection,
    plans: &[&Plan],
    days: DateRange,
) -> sqlx::Result<Option<(Vec<SourceRow>, Drivers)>> {
    let sources: BTreeSet<i64> = plans.iter().flat_map(|plan| plan.sources()).copied().collect();
    if sources.is_empty() {
        return Ok(None);
    }
    let sources: Vec<i64> = sources.into_iter().collect();
    let rows = source_rows(&mut *conn, &sources, days).await?;
    let dates: BTreeSet<NaiveDate> = rows.iter().map(|row| row.key.charge_date).collect();
    let (Some(first), Some(last)) = (dates.first(), dates.last()) else { return Ok(None) };
    let days = DateRange::new(*first, *last + Days::new(1)).unwrap_or(days);
    let names: BTreeSet<&str> = plans.iter().flat_map(|plan| plan.metrics()).collect();
    let direct = direct_costs(&mut *conn, days).await?;
    Ok(Some((rows, Drivers { direct, metrics: metrics(conn, &names, days).await? })))
}

/// The days that these generations, and those that they replace, have cost on.
pub async fn days_of(conn: &mut PgConnection, generation_ids: &[i64]) -> sqlx::Result<Option<DateRange>> {
    let row = sqlx::query!(
        "SELECT min(first_charge_date) AS first_day, max(last_charge_date) AS last_day FROM generation
         WHERE generation_id = ANY($1)
            OR generation_id IN (SELECT replaced_generation_id FROM generation WHERE generation_id = ANY($1))",
        generation_ids
    )
    .fetch_one(conn)
    .await?;
    Ok(row.first_day.zip(row.last_day).and_then(|(first, last)| DateRange::new(first, last + Days::new(1))))
}

/// The own cost of these services.
pub(super) async fn source_rows(
    conn: &mut PgConnection,
    sources: &[i64],
    days: DateRange,
) -> sqlx::Result<Vec<SourceRow>> {
    let mut rows = sqlx::query!(
        "SELECT d.service_id, d.charge_date, d.generation_id, d.environment_id, d.provider_name, d.charge_category,
             d.billing_currency, d.is_used, d.billed_cost, d.effective_cost, d.list_cost, d.contracted_cost
         FROM daily_cost d JOIN generation g ON g.generation_id = d.generation_id AND g.state = 'current'
         WHERE d.split_id = 0 AND d.service_id = ANY($1) AND d.charge_date >= $2 AND d.charge_date < $3",
        sources,
        days.start(),
        days.end(),
    )
    .fetch(conn);
    let mut found = Vec::new();
    while let Some(row) = rows.try_next().await? {
        found.push(SourceRow {
            service_id: row.service_id,
            key: RowKey {
                charge_date: row.charge_date,
                generation_id: row.generation_id,
                environment_id: row.environment_id,
                provider_name: row.provider_name,
                charge_category: row.charge_category,
                billing_currency: row.billing_currency,
                is_used: row.is_used,
            },
            costs: [row.billed_cost, row.effective_cost, row.list_cost, row.contracted_cost],
        });
    }
    Ok(found)
}

/// What costs are divided by: values by name and day, of each service.
pub(super) type Values = HashMap<(String, Day), BTreeMap<i64, BigDecimal>>;

/// Adds a value: by environment, and under [`ALL_ENVIRONMENTS`] to the sum.
pub(super) fn add_driver(values: &mut Values, name: &str, day: Day, service_id: i64, value: BigDecimal) {
    let all = Day { environment_id: ALL_ENVIRONMENTS, ..day };
    *values.entry((name.to_owned(), all)).or_default().entry(service_id).or_default() += &value;
    *values.entry((name.to_owned(), day)).or_default().entry(service_id).or_default() += value;
}

/// The own `EffectiveCost` of every service.
pub(super) async fn direct_costs(conn: &mut PgConnection, days: DateRange) -> sqlx::Result<Values> {
    let mut rows = sqlx::query!(
        r#"SELECT d.service_id, d.charge_date, d.environment_id, d.billing_currency, sum(d.effective_cost) AS "cost!"
           FROM daily_cost d JOIN generation g ON g.generation_id = d.generation_id AND g.state = 'current'
           WHERE d.split_id = 0 AND d.service_id <> 0 AND d.charge_date >= $1 AND d.charge_date < $2
           GROUP BY 1, 2, 3, 4"#,
        days.start(),
        days.end(),
    )
    .fetch(conn);
    let mut values = Values::new();
    while let Some(row) = rows.try_next().await? {
        let day = Day { charge_date: row.charge_date, environment_id: row.environment_id };
        add_driver(&mut values, &row.billing_currency, day, row.service_id, row.cost);
    }
    Ok(values)
}

/// The values of these metrics.
pub(super) async fn metrics(conn: &mut PgConnection, names: &BTreeSet<&str>, days: DateRange) -> sqlx::Result<Values> {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut values = Values::new();
    if names.is_empty() {
        return Ok(values);
    }
    let mut rows = sqlx::query!(
        r#"SELECT metric AS "metric!", service_id AS "service_id!", environment_id AS "environment_id!",
                  charge_date AS "charge_date!", value AS "value!"
           FROM metric_value WHERE metric = ANY($1) AND charge_date >= $2 AND charge_date < $3"#,
        &names,
        days.start(),
        days.end(),
    )
    .fetch(conn);
    while let Some(row) = rows.try_next().await? {
        let day = Day { charge_date: row.charge_date, environment_id: row.environment_id };
        add_driver(&mut values, &row.metric, day, row.service_id, row.value);
    }
    Ok(values)
}

async fn clear(conn: &mut PgConnection, days: DateRange) -> sqlx::Result<BTreeSet<i64>> {
    let ids = sqlx::query_scalar!(
        "DELETE FROM daily_cost d USING generation g
         WHERE d.split_id <> 0 AND g.generation_id = d.generation_id AND g.state = 'current'
           AND d.charge_date >= $1 AND d.charge_date < $2
         RETURNING d.generation_id",
        days.start(),
        days.end(),
    )
    .fetch_all(conn)
    .await?;
    Ok(ids.into_iter().collect())
}

/// Rows that go to the server at once.
const ROWS_AT_ONCE: usize = 20_000;

async fn write(conn: &mut PgConnection, moved: &[Moved]) -> anyhow::Result<()> {
    for batch in moved.chunks(ROWS_AT_ONCE) {
        let mut rows = CopyBuffer::with_capacity(batch.len() * 160);
        rows.header();
        for one in batch {
            rows.row(14);
            rows.int8(one.service_id);
            rows.date(one.key.charge_date);
            rows.int8(one.key.environment_id);
            rows.int8(one.key.generation_id);
            rows.text(&one.key.provider_name);
            rows.text(&one.key.charge_category);
            rows.text(&one.key.billing_currency);
            rows.int8(0);
            for cost in &one.costs {
                rows.numeric(cost)?;
            }
            rows.int8(one.split_id);
            rows.boolean(one.key.is_used);
        }
        rows.trailer();
        let statement = "COPY daily_cost (service_id, charge_date, environment_id, generation_id, provider_name,
            charge_category, billing_currency, charge_count, billed_cost, effective_cost, list_cost, contracted_cost,
            split_id, is_used) FROM STDIN (FORMAT binary)";
        copy(&mut *conn, statement, rows.take()).await?;
    }
    Ok(())
}

async fn add_up_months(conn: &mut PgConnection, generation_ids: &[i64]) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM monthly_cost WHERE split_id <> 0 AND generation_id = ANY($1)", generation_ids)
        .execute(&mut *conn)
        .await?;
    sqlx::query!(
        "INSERT INTO monthly_cost (generation_id, billing_period_start, service_id, environment_id, provider_name,
             charge_category, billing_currency, charge_count, billed_cost, effective_cost, list_cost, contracted_cost,
             split_id)
         SELECT d.generation_id, g.billing_period_start, d.service_id, d.environment_id, d.provider_name,
             d.charge_category, d.billing_currency, 0, sum(d.billed_cost), sum(d.effective_cost), sum(d.list_cost),
             sum(d.contracted_cost), d.split_id
         FROM daily_cost d JOIN generation g USING (generation_id)
         WHERE d.split_id <> 0 AND d.generation_id = ANY($1)
         GROUP BY 1, 2, 3, 4, 5, 6, 7, d.split_id",
        generation_ids,
    )
    .execute(conn)
    .await
    .map(drop)
}
