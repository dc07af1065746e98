//! A small bill in the ledger, put there the way a load does it.

use costwake::rollup::key_attributes::KeyAttributes;
use costwake::rollup::remap;
use serde_json::Value;
use sha2::{Digest, Sha256};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

/// One line of a bill.
#[derive(Clone)]
pub struct Line {
    pub account: &'static str,
    pub service_name: &'static str,
    pub tags: Value,
    pub resource: Option<&'static str>,
    pub day: u32,
    pub currency: &'static str,
    pub cost: &'static str,
}

/// A line in USD on a day of October 2026.
pub fn line(account: &'static str, tags: Value, day: u32, cost: &'static str) -> Line {
    Line { account, service_name: "Compute", tags, resource: None, day, currency: "USD", cost }
}

/// Loads a bill as the current generation of its own source, and gives the generation's id.
pub async fn load(pool: &PgPool, source: &str, lines: &[Line]) -> i64 {
    let mut conn = pool.acquire().await.unwrap();
    let attributes = KeyAttributes::load(&mut conn).await.unwrap();
    let generation_id = prepare(&mut conn, source).await;
    drop(conn);
    let mut transaction = pool.begin().await.unwrap();
    for (line, number) in lines.iter().zip(1..) {
        insert_line(&mut transaction, generation_id, &attributes, line, number).await;
    }
    add_up_by_key(&mut transaction, generation_id).await;
    remap::map_new_keys(&mut transaction).await.unwrap();
    add_up(&mut transaction, generation_id).await;
    transaction.commit().await.unwrap();
    generation_id
}

async fn prepare(conn: &mut PgConnection, source: &str) -> i64 {
    let source_id: i64 = sqlx::query_scalar("INSERT INTO source (name) VALUES ($1) RETURNING source_id")
        .bind(source)
        .fetch_one(&mut *conn)
        .await
        .unwrap();
    let delivery_id: i64 = sqlx::query_scalar(
        "INSERT INTO delivery (source_id, file_name, version_at, version_basis, received_at, received_by, state)
         VALUES ($1, 'bill.csv', '2026-11-01', 'receipt', '2026-11-01', 'test', 'published') RETURNING delivery_id",
    )
    .bind(source_id)
    .fetch_one(&mut *conn)
    .await
    .unwrap();
    let generation_id = delivery_id * 4096;
    let partition = format!(
        "CREATE TABLE charge_d{delivery_id} PARTITION OF charge FOR VALUES FROM ({generation_id}) TO ({})",
        generation_id + 4096
    );
    sqlx::query(sqlx::AssertSqlSafe(partition)).execute(&mut *conn).await.unwrap();
    sqlx::query(
        "INSERT INTO generation (generation_id, delivery_id, source_id, billing_account_id, billing_period_start,
             billing_period_end, state, first_charge_date, last_charge_date, published_at)
         VALUES ($1, $2, $3, 'acct', '2026-10-01', '2026-11-01', 'current', '2026-10-01', '2026-10-31', '2026-11-01')",
    )
    .bind(generation_id)
    .bind(delivery_id)
    .bind(source_id)
    .execute(conn)
    .await
    .unwrap();
    generation_id
}

async fn insert_line(
    conn: &mut PgConnection,
    generation_id: i64,
    attributes: &KeyAttributes,
    line: &Line,
    number: i64,
) {
    let mapping_tags = Value::Object(attributes.mapping_tags(&line.tags, |name| {
        line.resource.filter(|_| name == "resource_id").map(std::borrow::Cow::Borrowed)
    }));
    let key_id = fingerprint(&[line.account, line.service_name, &mapping_tags.to_string()]);
    let resource = line.resource.unwrap_or_default();
    let group_id = fingerprint(&[&key_id.to_string(), &line.tags.to_string(), resource]);
    sqlx::query(
        "INSERT INTO rollup_key (sub_account_key, rollup_key_id, provider_name, billing_account_id, sub_account_id,
             service_name, charge_category, mapping_tags)
         VALUES (7, $1, 'Cloud', 'acct', $2, $3, 'Usage', $4) ON CONFLICT DO NOTHING",
    )
    .bind(key_id)
    .bind(line.account)
    .bind(line.service_name)
    .bind(&mapping_tags)
    .execute(&mut *conn)
    .await
    .unwrap();
    sqlx::query(
        "INSERT INTO charge_group (sub_account_key, group_id, rollup_key_id, resource_id, tags)
         VALUES (7, $1, $2, $3, $4) ON CONFLICT DO NOTHING",
    )
    .bind(group_id)
    .bind(key_id)
    .bind(line.resource)
    .bind(&line.tags)
    .execute(&mut *conn)
    .await
    .unwrap();
    sqlx::query(
        "INSERT INTO charge (generation_id, sub_account_key, group_id, billing_currency, charge_period_start,
             charge_period_end, billed_cost, effective_cost, list_cost, line)
         VALUES ($1, 7, $2, $3, make_timestamptz(2026, 10, $4, 0, 0, 0, 'UTC'),
             make_timestamptz(2026, 10, $4, 1, 0, 0, 'UTC'), $5::numeric, $5::numeric, $5::numeric, $6)",
    )
    .bind(generation_id)
    .bind(group_id)
    .bind(line.currency)
    .bind(line.day as i32)
    .bind(line.cost)
    .bind(number)
    .execute(conn)
    .await
    .unwrap();
}

async fn add_up_by_key(conn: &mut PgConnection, generation_id: i64) {
    sqlx::query(
        "INSERT INTO daily_cost_by_key
         SELECT c.generation_id, c.sub_account_key, g.rollup_key_id, (c.charge_period_start AT TIME ZONE 'UTC')::date,
             c.billing_currency, count(*), sum(c.billed_cost), sum(c.effective_cost),
             coalesce(sum(c.list_cost), 0), coalesce(sum(c.contracted_cost), 0)
         FROM charge c JOIN charge_group g USING (sub_account_key, group_id)
         WHERE c.generation_id = $1 GROUP BY 1, 2, 3, 4, 5",
    )
    .bind(generation_id)
    .execute(conn)
    .await
    .unwrap();
}

async fn add_up(conn: &mut PgConnection, generation_id: i64) {
    sqlx::query(
        "INSERT INTO daily_cost
         SELECT m.service_id, d.charge_date, m.environment_id, d.generation_id, k.provider_name, k.charge_category,
             d.billing_currency, sum(charge_count), sum(billed_cost), sum(effective_cost), sum(list_cost),
             sum(contracted_cost)
         FROM daily_cost_by_key d JOIN rollup_key k USING (sub_account_key, rollup_key_id)
         JOIN key_mapping m USING (sub_account_key, rollup_key_id)
         WHERE d.charge_date >= m.first_day AND d.charge_date < m.end_day AND d.generation_id = $1 GROUP BY 1, 2, 3, 4, 5, 6, 7",
    )
    .bind(generation_id)
    .execute(&mut *conn)
    .await
    .unwrap();
    sqlx::query(
        "INSERT INTO monthly_cost
         SELECT d.generation_id, g.billing_period_start, d.service_id, d.environment_id, d.provider_name,
             d.charge_category, d.billing_currency, sum(d.charge_count), sum(billed_cost), sum(effective_cost),
             sum(list_cost), sum(contracted_cost)
         FROM daily_cost d JOIN generation g USING (generation_id)
         WHERE d.generation_id = $1 GROUP BY 1, 2, 3, 4, 5, 6, 7",
    )
    .bind(generation_id)
    .execute(conn)
    .await
    .unwrap();
}

/// What does not fit together: level 2 against the charges, and level 1 and the months against level 2 and the keys.
pub async fn differences(pool: &PgPool) -> i64 {
    sqlx::query_scalar(
        "WITH keyed AS (
             SELECT c.generation_id, g.rollup_key_id, (c.charge_period_start AT TIME ZONE 'UTC')::date AS charge_date,
                 c.billing_currency, count(*) AS charge_count, sum(c.effective_cost) AS effective_cost
             FROM charge c JOIN charge_group g USING (sub_account_key, group_id) GROUP BY 1, 2, 3, 4),
         level2 AS (
             SELECT generation_id, rollup_key_id, charge_date, billing_currency, charge_count, effective_cost
             FROM daily_cost_by_key),
         wanted AS (
             SELECT m.service_id, m.environment_id, d.generation_id, d.charge_date, d.billing_currency,
                 sum(d.charge_count)::bigint AS charge_count, sum(d.effective_cost) AS effective_cost
             FROM daily_cost_by_key d JOIN key_mapping m USING (sub_account_key, rollup_key_id)
             WHERE d.charge_date >= m.first_day AND d.charge_date < m.end_day GROUP BY 1, 2, 3, 4, 5),
         level1 AS (
             SELECT service_id, environment_id, generation_id, charge_date, billing_currency,
                 sum(charge_count)::bigint AS charge_count, sum(effective_cost) AS effective_cost
             FROM daily_cost WHERE split_id = 0 GROUP BY 1, 2, 3, 4, 5),
         by_month AS (
             SELECT service_id, environment_id, generation_id, billing_currency, sum(charge_count)::bigint AS charge_count,
                 sum(effective_cost) AS effective_cost FROM daily_cost GROUP BY 1, 2, 3, 4),
         months AS (
             SELECT service_id, environment_id, generation_id, billing_currency, sum(charge_count)::bigint AS charge_count,
                 sum(effective_cost) AS effective_cost FROM monthly_cost GROUP BY 1, 2, 3, 4)
         SELECT (SELECT count(*) FROM ((TABLE keyed EXCEPT TABLE level2) UNION ALL (TABLE level2 EXCEPT TABLE keyed)) a)
              + (SELECT count(*) FROM ((TABLE wanted EXCEPT TABLE level1) UNION ALL (TABLE level1 EXCEPT TABLE wanted)) b)
              + (SELECT count(*) FROM ((TABLE by_month EXCEPT TABLE months) UNION ALL (TABLE months EXCEPT TABLE by_month)) c)",
    )
    .fetch_one(pool)
    .await
    .unwrap()
}

/// `effective_cost` by service and environment slug, as text: `checkout/production 12.5 USD`.
pub async fn costs(pool: &PgPool) -> Vec<String> {
    sqlx::query_scalar(
        "SELECT coalesce(s.slug, '-') || '/' || coalesce(e.slug, '-') || ' ' || trim_scale(sum(d.effective_cost))::text
             || ' ' || d.billing_currency
         FROM daily_cost d JOIN generation g ON g.generation_id = d.generation_id AND g.state = 'current'
         LEFT JOIN service s USING (service_id) LEFT JOIN environment e USING (environment_id)
         GROUP BY s.slug, e.slug, d.billing_currency ORDER BY 1",
    )
    .fetch_all(pool)
    .await
    .unwrap()
}

fn fingerprint(texts: &[&str]) -> Uuid {
    let mut hash = Sha256::new();
    for text in texts {
        hash.update(text.as_bytes());
        hash.update([0]);
    }
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash.finalize()[..16]);
    Uuid::from_bytes(bytes)
}
