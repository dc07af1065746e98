//! What the database says of the ledger, in the words of the oracle; and a database as it is at the start.

use super::super::oracle::{Key, Sums};
use bigdecimal::BigDecimal;
use costwake::focus::{BillingPeriod, CostBasis};
use costwake::store::Scope;
use costwake::store::history::{self, Subject};
use sqlx::PgPool;
use std::collections::BTreeMap;

/// Takes away what a case left: the next one starts with two services, one rule and a source whose files add up.
pub async fn empty(pool: &PgPool) {
    let partitions: Vec<String> =
        sqlx::query_scalar("SELECT relname::text FROM pg_class WHERE relname ~ '^charge_d[0-9]+$'")
            .fetch_all(pool)
            .await
            .unwrap();
    for partition in partitions {
        sqlx::query(sqlx::AssertSqlSafe(format!("DROP TABLE {partition}"))).execute(pool).await.unwrap();
    }
    for statement in [
        "TRUNCATE source, delivery, generation, publication, charge_group, rollup_key, daily_cost_by_key, daily_cost,
             monthly_cost, service, split, split_version, month_closing CASCADE",
        "DELETE FROM environment",
        // What keys carry since a rule looked at it.
        "DELETE FROM mapping_tag_key WHERE tag_key = 'lane'",
        "DELETE FROM mapping_detail WHERE attribute = 'resource_name'",
        // What the truncation took along with the services that rules name.
        "INSERT INTO mapping_rule (position, applies_to, conditions, service_from_attribute, adds_to_catalogue,
             created_by)
         VALUES (10, 'both', '[{\"attribute\":\"tag:service\",\"operator\":\"present\",\"value\":\"\"}]', 'tag:service',
             true, 'test')",
        "INSERT INTO service (slug, name) VALUES ('search', 'search')",
        "INSERT INTO service (slug, name) VALUES ('billing', 'billing')",
        "WITH made AS (INSERT INTO source (name) VALUES ('oci') RETURNING source_id)
         INSERT INTO source_setting (source_id, kind, layout, restatement, late_bills, created_at, created_by,
             changed_at)
         SELECT source_id, 'directory', 'oci', 'append-by-object', 'book', now(), 'test', now() FROM made",
    ] {
        sqlx::query(statement).execute(pool).await.unwrap();
    }
}

/// The bills that are stored: delivery, account, month, object, state, and how many lines of them are.
pub async fn bills(pool: &PgPool) -> Vec<Key> {
    let mut bills: Vec<Key> = sqlx::query_scalar(
        "SELECT ARRAY[(SELECT count(*) FROM delivery d WHERE d.delivery_id < g.delivery_id)::text, g.billing_account_id,
             g.billing_period_start::text, g.append_object, g.state,
             CASE WHEN g.has_charges
                  THEN (SELECT count(*) FROM charge c WHERE c.generation_id = g.generation_id)::text
                  ELSE '0' END]
         FROM generation g",
    )
    .fetch_all(pool)
    .await
    .unwrap();
    bills.sort();
    bills
}

type Row = (Vec<String>, i64, BigDecimal, BigDecimal, BigDecimal, BigDecimal);

/// All figures that are stored of bills that count, or counted.
pub async fn figures(pool: &PgPool) -> BTreeMap<Key, Sums> {
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT ARRAY['day', coalesce(p.name, 'own'), coalesce(s.slug, '-'), coalesce(e.slug, '-'), d.charge_date::text,
             g.billing_account_id, d.charge_category, d.billing_currency], d.charge_count, d.billed_cost,
             d.effective_cost, d.list_cost, d.contracted_cost
         FROM daily_cost d JOIN generation g USING (generation_id) LEFT JOIN split p USING (split_id)
         LEFT JOIN service s USING (service_id) LEFT JOIN environment e USING (environment_id)
         WHERE g.state = 'current'
         UNION ALL
         SELECT ARRAY['month', coalesce(p.name, 'own'), coalesce(s.slug, '-'), coalesce(e.slug, '-'),
             m.billing_period_start::text, g.billing_account_id, m.charge_category, m.billing_currency],
             m.charge_count, m.billed_cost, m.effective_cost, m.list_cost, m.contracted_cost
         FROM monthly_cost m JOIN generation g USING (generation_id) LEFT JOIN split p USING (split_id)
         LEFT JOIN service s USING (service_id) LEFT JOIN environment e USING (environment_id)
         WHERE g.state = 'current'
         UNION ALL
         SELECT ARRAY['kept', (SELECT count(*) FROM delivery o WHERE o.delivery_id < g.delivery_id)::text,
             coalesce(s.slug, '-'), coalesce(e.slug, '-'), d.charge_date::text, g.billing_account_id, d.charge_category,
             d.billing_currency], d.charge_count, d.billed_cost, d.effective_cost, d.list_cost, d.contracted_cost
         FROM daily_cost d JOIN generation g USING (generation_id)
         LEFT JOIN service s USING (service_id) LEFT JOIN environment e USING (environment_id)
         WHERE g.state IN ('superseded', 'withdrawn') AND d.split_id = 0
         UNION ALL
         SELECT ARRAY['lines', g.billing_account_id, g.billing_period_start::text, c.billing_currency], count(*),
             sum(c.billed_cost), sum(c.effective_cost), sum(c.list_cost), sum(c.contracted_cost)
         FROM charge c JOIN generation g USING (generation_id) WHERE g.state = 'current' GROUP BY 1
         UNION ALL
         SELECT ARRAY['statement', coalesce(service_slug, '-'), coalesce(environment_slug, '-'), month::text,
             charge_category, billing_currency], charge_count, billed_cost, effective_cost, list_cost, contracted_cost
         FROM statement_cost
         UNION ALL
         SELECT ARRAY['booked', a.booked_month::text, k.month::text, a.billing_account_id, a.billing_currency],
             a.charge_count, a.billed_cost, a.effective_cost, a.list_cost, a.contracted_cost
         FROM month_adjustment a JOIN month_closing k USING (closing_id) WHERE k.reopened_at IS NULL",
    )
    .fetch_all(pool)
    .await
    .unwrap();
    let mut figures: BTreeMap<Key, Sums> = BTreeMap::new();
    for (key, count, billed, effective, list, contracted) in rows {
        // What a source has several files of are several rows.
        let sums = figures.entry(key).or_default();
        sums.0 += count;
        for (sum, cost) in sums.1.iter_mut().zip([billed, effective, list, contracted]) {
            *sum += cost;
        }
    }
    figures
}

/// EffectiveCost by currency of a month (`2026-10`) by its bills, or of a charge day (`2026-10-03`), at each
/// publication that changed which bills are about it.
pub async fn said(pool: &PgPool, when: &str) -> Vec<BTreeMap<String, BigDecimal>> {
    let subject = match when.parse::<BillingPeriod>() {
        Ok(month) => Subject::Month(month),
        Err(_) => Subject::Day(when.parse().unwrap()),
    };
    let mut conn = pool.acquire().await.unwrap();
    let steps = history::steps(&mut conn, &Scope::everything(), CostBasis::Amortized, subject).await.unwrap();
    let mut said: BTreeMap<i64, BTreeMap<String, BigDecimal>> = BTreeMap::new();
    for step in steps {
        let sums = said.entry(step.publication_id).or_default();
        sums.extend(step.billing_currency.zip(step.cost));
    }
    said.into_values().collect()
}
