//! Moves daily and monthly cost from the services and environments that lost keys to those that got them.

use super::mapped_keys::KeyChange;
use super::mapper::Mapper;
use anyhow::ensure;
use bigdecimal::BigDecimal;
use sqlx::PgConnection;
use std::collections::BTreeSet;
use uuid::Uuid;

/// What moved: keys, and the services and environments on both ends.
#[derive(Debug, Default)]
pub struct Moves {
    /// The keys.
    pub rollup_key_ids: Vec<Uuid>,
    /// Pairs of service and environment, old and new.
    pub pairs: BTreeSet<(i64, i64)>,
    /// Generations that are known to be touched already.
    pub generation_ids: BTreeSet<i64>,
}

impl Moves {
    /// Takes a change in, unless only the rule is another.
    pub fn add(&mut self, change: &KeyChange, mapper: &Mapper) {
        let (before, after) = (change.before(), change.after(mapper));
        if before != after {
            self.rollup_key_ids.push(change.rollup_key_id);
            self.pairs.extend(before.into_iter().chain(after).map(|(_, pair)| pair));
        }
    }
}

/// The sums of a generation in one currency. They stay the same wherever its costs are mapped.
#[derive(Debug, PartialEq, Eq)]
struct Sums {
    generation_id: i64,
    billing_currency: String,
    charge_count: i64,
    billed_cost: BigDecimal,
    effective_cost: BigDecimal,
    list_cost: BigDecimal,
    contracted_cost: BigDecimal,
}

/// Adds the touched services and environments up again, in every generation that holds a moved key, superseded
/// ones included as long as they have level 2. An error where any sum would change.
pub async fn rebuild(conn: &mut PgConnection, moves: &Moves) -> anyhow::Result<u64> {
    let mut generation_ids = moves.generation_ids.clone();
    generation_ids.extend(touched(&mut *conn, &moves.rollup_key_ids).await?);
    let generation_ids: Vec<i64> = generation_ids.into_iter().collect();
    if generation_ids.is_empty() {
        return Ok(0);
    }
    // Sums in memory: with the usual 4 MB a change of everything sorts on disk.
    sqlx::query!("SELECT set_config('work_mem', '128MB', true)").fetch_one(&mut *conn).await?;
    let before = daily_sums(&mut *conn, &generation_ids).await?;
    let (services, environments): (Vec<i64>, Vec<i64>) = moves.pairs.iter().copied().unzip();
    rebuild_daily(&mut *conn, &generation_ids, &services, &environments).await?;
    rebuild_monthly(&mut *conn, &generation_ids, &services, &environments).await?;
    ensure!(
        daily_sums(&mut *conn, &generation_ids).await? == before,
        "the daily costs would not add up to what they were; nothing was changed"
    );
    ensure!(
        monthly_sums(&mut *conn, &generation_ids).await? == before,
        "the monthly costs would not add up to the daily ones; nothing was changed"
    );
    Ok(generation_ids.len() as u64)
}

// A generation that is still being loaded has no daily costs yet; its loader will add them up.
async fn touched(conn: &mut PgConnection, rollup_key_ids: &[Uuid]) -> sqlx::Result<Vec<i64>> {
    if rollup_key_ids.is_empty() {
        return Ok(Vec::new());
    }
    sqlx::query_scalar!(
        "SELECT g.generation_id FROM generation g
         WHERE EXISTS (SELECT FROM daily_cost d WHERE d.generation_id = g.generation_id)
           AND EXISTS (SELECT FROM daily_cost_by_key k
                       WHERE k.generation_id = g.generation_id AND k.rollup_key_id = ANY($1))",
        rollup_key_ids
    )
    .fetch_all(conn)
    .await
}

async fn rebuild_daily(
    conn: &mut PgConnection,
    generation_ids: &[i64],
    services: &[i64],
    environments: &[i64],
) -> sqlx::Result<()> {
    sqlx::query!(
        "DELETE FROM daily_cost d USING unnest($2::bigint[], $3::bigint[]) AS p (service_id, environment_id)
         WHERE d.service_id = p.service_id AND d.environment_id = p.environment_id AND d.generation_id = ANY($1)
           AND d.split_id = 0",
        generation_ids,
        services,
        environments,
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "INSERT INTO daily_cost (service_id, charge_date, environment_id, generation_id, provider_name,
             charge_category, billing_currency, charge_count, billed_cost, effective_cost, list_cost, contracted_cost,
             is_used)
         SELECT m.service_id, d.charge_date, m.environment_id, d.generation_id, coalesce(k.provider_name, ''),
             coalesce(k.charge_category, ''), d.billing_currency, sum(d.charge_count), sum(d.billed_cost),
             sum(d.effective_cost), sum(d.list_cost), sum(d.contracted_cost),
             is_charge_part('used', k.charge_category, k.charge_class, k.commitment_discount_status, k.pricing_category)
         FROM daily_cost_by_key d
         JOIN rollup_key k USING (sub_account_key, rollup_key_id)
         JOIN key_mapping m ON m.sub_account_key = d.sub_account_key AND m.rollup_key_id = d.rollup_key_id
             AND d.charge_date >= m.first_day AND d.charge_date < m.end_day
         JOIN unnest($2::bigint[], $3::bigint[]) AS p (service_id, environment_id)
             ON p.service_id = m.service_id AND p.environment_id = m.environment_id
         WHERE d.generation_id = ANY($1)
         GROUP BY 1, 2, 3, 4, 5, 6, 7, 13",
        generation_ids,
        services,
        environments,
    )
    .execute(conn)
    .await?;
    Ok(())
}

async fn rebuild_monthly(
    conn: &mut PgConnection,
    generation_ids: &[i64],
    services: &[i64],
    environments: &[i64],
) -> sqlx::Result<()> {
    sqlx::query!(
        "DELETE FROM monthly_cost m USING unnest($2::bigint[], $3::bigint[]) AS p (service_id, environment_id)
         WHERE m.service_id = p.service_id AND m.environment_id = p.environment_id AND m.generation_id = ANY($1)
           AND m.split_id = 0",
        generation_ids,
        services,
        environments,
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "INSERT INTO monthly_cost (generation_id, billing_period_start, service_id, environment_id, provider_name,
             charge_category, billing_currency, charge_count, billed_cost, effective_cost, list_cost, contracted_cost)
         SELECT d.generation_id, g.billing_period_start, d.service_id, d.environment_id, d.provider_name,
             d.charge_category, d.billing_currency, sum(d.charge_count), sum(d.billed_cost), sum(d.effective_cost),
             sum(d.list_cost), sum(d.contracted_cost)
         FROM daily_cost d
         JOIN generation g USING (generation_id)
         JOIN unnest($2::bigint[], $3::bigint[]) AS p (service_id, environment_id)
             ON p.service_id = d.service_id AND p.environment_id = d.environment_id
         WHERE d.generation_id = ANY($1) AND d.split_id = 0
         GROUP BY 1, 2, 3, 4, 5, 6, 7",
        generation_ids,
        services,
        environments,
    )
    .execute(conn)
    .await?;
    Ok(())
}

async fn daily_sums(conn: &mut PgConnection, generation_ids: &[i64]) -> sqlx::Result<Vec<Sums>> {
    sqlx::query_as!(
        Sums,
        r#"SELECT generation_id, billing_currency, sum(charge_count)::bigint AS "charge_count!",
                  sum(billed_cost) AS "billed_cost!", sum(effective_cost) AS "effective_cost!",
                  sum(list_cost) AS "list_cost!", sum(contracted_cost) AS "contracted_cost!"
           FROM daily_cost WHERE generation_id = ANY($1) GROUP BY 1, 2 ORDER BY 1, 2"#,
        generation_ids
    )
    .fetch_all(conn)
    .await
}

async fn monthly_sums(conn: &mut PgConnection, generation_ids: &[i64]) -> sqlx::Result<Vec<Sums>> {
    sqlx::query_as!(
        Sums,
        r#"SELECT generation_id, billing_currency, sum(charge_count)::bigint AS "charge_count!",
                  sum(billed_cost) AS "billed_cost!", sum(effective_cost) AS "effective_cost!",
                  sum(list_cost) AS "list_cost!", sum(contracted_cost) AS "contracted_cost!"
           FROM monthly_cost WHERE generation_id = ANY($1) GROUP BY 1, 2 ORDER BY 1, 2"#,
        generation_ids
    )
    .fetch_all(conn)
    .await
}
