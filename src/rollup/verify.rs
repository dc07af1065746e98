//! Conservation, by SQL over what is stored: no sum may change on its way from a charge to a page.

use super::{rekey, verify_closed, verify_invoices, verify_shared};
use crate::store::generations::{GENERATIONS_PER_DELIVERY_MAX, first_id};
use sqlx::PgConnection;

/// Differences that a check tells; more are counted.
const DIFFERENCES_SHOWN_MAX: usize = 20;

/// One invariant and what was found.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Check {
    /// What must hold.
    pub name: &'static str,
    /// How many things were looked at.
    pub checked: i64,
    /// What does not hold, one sentence each; empty where all does.
    pub differences: Vec<String>,
}

/// Checks every invariant over all data. Exact: no difference is too small.
pub async fn verify(conn: &mut PgConnection) -> anyhow::Result<Vec<Check>> {
    let current = sqlx::query_scalar!("SELECT generation_id FROM generation WHERE state = 'current'")
        .fetch_all(&mut *conn)
        .await?;
    let counted = current.len() as i64;
    let mut checks = Vec::new();
    for (name, level) in [
        ("The lines of each bill add up to the totals of its file", "charge"),
        ("Daily costs by key add up to the totals of the file", "daily_cost_by_key"),
        ("Daily costs by service add up to the totals of the file", "daily_cost"),
        ("Monthly costs add up to the totals of the file", "monthly_cost"),
    ] {
        let differences = differences(conn, &current, &[level]).await?;
        checks.push(Check { name, checked: counted, differences: shortened(differences) });
    }
    checks.push(superseded(conn).await?);
    checks.push(allocation(conn).await?);
    checks.extend(verify_shared::checks(conn).await?);
    checks.push(scopes(conn).await?);
    checks.push(sources_apart(conn).await?);
    checks.push(charge_groups(conn).await?);
    checks.push(rollup_keys(conn).await?);
    checks.push(keys_of_groups(conn).await?);
    checks.push(charge_counts(conn).await?);
    checks.push(stuck(conn).await?);
    checks.push(verify_invoices::invoice_sums(conn).await?);
    checks.push(verify_invoices::invoice_items(conn).await?);
    checks.push(verify_closed::closed_months(conn).await?);
    checks.push(verify_closed::closed_rates(conn).await?);
    checks.push(verify_closed::counted_spans(conn).await?);
    Ok(checks)
}

pub(super) fn shortened(mut differences: Vec<String>) -> Vec<String> {
    let more = differences.len().saturating_sub(DIFFERENCES_SHOWN_MAX);
    differences.truncate(DIFFERENCES_SHOWN_MAX);
    if more > 0 {
        differences.push(format!("and {more} more"));
    }
    differences
}

/// The differences of one delivery, at these levels.
pub(super) async fn differences_of_delivery(
    conn: &mut PgConnection,
    delivery_id: i64,
    levels: &[&str],
) -> sqlx::Result<Vec<String>> {
    let first = first_id(delivery_id);
    let ids = sqlx::query_scalar!(
        "SELECT generation_id FROM generation WHERE generation_id >= $1 AND generation_id < $2",
        first,
        first + GENERATIONS_PER_DELIVERY_MAX
    )
    .fetch_all(&mut *conn)
    .await?;
    differences(conn, &ids, levels).await
}

/// Where the sums at these levels (`charge`, `daily_cost_by_key`, `daily_cost`, `monthly_cost`) are not what was
/// counted while the file was read.
pub(super) async fn differences(
    conn: &mut PgConnection,
    generation_ids: &[i64],
    levels: &[&str],
) -> sqlx::Result<Vec<String>> {
    let levels: Vec<String> = levels.iter().map(ToString::to_string).collect();
    sqlx::query_scalar!(
        r#"WITH wanted AS (
             SELECT generation_id, delivery_id, billing_account_id, billing_period_start, has_charges
             FROM generation WHERE generation_id = ANY($1)
         ), told AS (
             SELECT level, w.generation_id, t.billing_currency, t.row_count, t.billed_cost, t.effective_cost,
                 coalesce(t.list_cost, 0) AS list_cost, coalesce(t.contracted_cost, 0) AS contracted_cost
             FROM wanted w
             JOIN delivery_total t USING (delivery_id, billing_account_id, billing_period_start)
             CROSS JOIN unnest($2::text[]) AS level
             WHERE w.has_charges OR level IN ('daily_cost', 'monthly_cost')
         ), stored AS (
             SELECT 'charge' AS level, generation_id, billing_currency, count(*) AS row_count,
                 sum(billed_cost) AS billed_cost, sum(effective_cost) AS effective_cost,
                 coalesce(sum(list_cost), 0) AS list_cost, coalesce(sum(contracted_cost), 0) AS contracted_cost
             FROM charge WHERE generation_id = ANY($1) AND 'charge' = ANY($2) GROUP BY 2, 3
             UNION ALL
             SELECT 'daily_cost_by_key', generation_id, billing_currency, sum(charge_count),
                 sum(billed_cost), sum(effective_cost), sum(list_cost), sum(contracted_cost)
             FROM daily_cost_by_key WHERE generation_id = ANY($1) AND 'daily_cost_by_key' = ANY($2) GROUP BY 2, 3
             UNION ALL
             SELECT 'daily_cost', generation_id, billing_currency, sum(charge_count),
                 sum(billed_cost), sum(effective_cost), sum(list_cost), sum(contracted_cost)
             FROM daily_cost WHERE generation_id = ANY($1) AND 'daily_cost' = ANY($2) GROUP BY 2, 3
             UNION ALL
             SELECT 'monthly_cost', generation_id, billing_currency, sum(charge_count),
                 sum(billed_cost), sum(effective_cost), sum(list_cost), sum(contracted_cost)
             FROM monthly_cost WHERE generation_id = ANY($1) AND 'monthly_cost' = ANY($2) GROUP BY 2, 3
         )
         SELECT format('Generation %s in %s: the file says %s rows and %s / %s / %s / %s, %s says %s rows and %s / %s / %s / %s (BilledCost / EffectiveCost / ListCost / ContractedCost).',
             generation_id, billing_currency,
             coalesce(t.row_count, 0), t.billed_cost, t.effective_cost, t.list_cost, t.contracted_cost, level,
             coalesce(s.row_count, 0), s.billed_cost, s.effective_cost, s.list_cost, s.contracted_cost) AS "text!"
         FROM told t FULL JOIN stored s USING (level, generation_id, billing_currency)
         WHERE (t.row_count, t.billed_cost, t.effective_cost, t.list_cost, t.contracted_cost)
             IS DISTINCT FROM (s.row_count, s.billed_cost, s.effective_cost, s.list_cost, s.contracted_cost)
         ORDER BY 1"#,
        generation_ids,
        &levels,
    )
    .fetch_all(conn)
    .await
}

// What was said before stays readable: the daily totals of superseded generations.
async fn superseded(conn: &mut PgConnection) -> sqlx::Result<Check> {
    let ids = sqlx::query_scalar!("SELECT generation_id FROM generation WHERE state IN ('superseded', 'withdrawn')")
        .fetch_all(&mut *conn)
        .await?;
    let differences = differences(conn, &ids, &["daily_cost", "monthly_cost"]).await?;
    Ok(Check {
        name: "What bills said before they were replaced still adds up",
        checked: ids.len() as i64,
        differences: shortened(differences),
    })
}

async fn allocation(conn: &mut PgConnection) -> sqlx::Result<Check> {
    let row = sqlx::query!(
        r#"WITH by_key AS (
             SELECT d.generation_id, d.billing_currency, m.service_id, m.environment_id,
                 sum(d.charge_count) AS charge_count, sum(d.billed_cost) AS billed_cost,
                 sum(d.effective_cost) AS effective_cost, sum(d.list_cost) AS list_cost,
                 sum(d.contracted_cost) AS contracted_cost
             FROM daily_cost_by_key d
             JOIN generation g USING (generation_id)
             JOIN key_mapping m ON m.sub_account_key = d.sub_account_key AND m.rollup_key_id = d.rollup_key_id
                 AND d.charge_date >= m.first_day AND d.charge_date < m.end_day
             WHERE g.state = 'current'
             GROUP BY 1, 2, 3, 4
         ), by_service AS (
             SELECT d.generation_id, d.billing_currency, d.service_id, d.environment_id,
                 sum(d.charge_count) AS charge_count, sum(d.billed_cost) AS billed_cost,
                 sum(d.effective_cost) AS effective_cost, sum(d.list_cost) AS list_cost,
                 sum(d.contracted_cost) AS contracted_cost
             FROM daily_cost d JOIN generation g USING (generation_id)
             WHERE g.state = 'current' AND d.split_id = 0
             GROUP BY 1, 2, 3, 4
         )
         SELECT count(*) AS "checked!",
             coalesce(array_agg(format('Generation %s in %s, service %s, environment %s: keys say %s, services say %s (EffectiveCost).',
                 generation_id, billing_currency, service_id, environment_id, k.effective_cost, s.effective_cost)
                 ORDER BY generation_id)
             FILTER (WHERE (k.charge_count, k.billed_cost, k.effective_cost, k.list_cost, k.contracted_cost)
                 IS DISTINCT FROM (s.charge_count, s.billed_cost, s.effective_cost, s.list_cost, s.contracted_cost)),
             '{}') AS "differences!: Vec<String>"
         FROM by_key k FULL JOIN by_service s USING (generation_id, billing_currency, service_id, environment_id)"#
    )
    .fetch_one(conn)
    .await?;
    Ok(Check {
        name: "Own cost of services, as the rules map it now, adds up to the total",
        checked: row.checked,
        differences: shortened(row.differences),
    })
}

async fn scopes(conn: &mut PgConnection) -> sqlx::Result<Check> {
    let row = sqlx::query!(
        r#"SELECT count(*) AS "checked!", coalesce(array_agg(text) FILTER (WHERE current_count > 1), '{}') AS "differences!: Vec<String>"
         FROM (
             SELECT count(*) FILTER (WHERE state = 'current') AS current_count,
                 format('Source %s, account %s, period %s%s has more than one current generation.', source_id,
                     billing_account_id, billing_period_start, nullif(', part ' || append_object, ', part '))
                     AS text
             FROM generation GROUP BY source_id, billing_account_id, billing_period_start, append_object
         ) scope"#
    )
    .fetch_one(conn)
    .await?;
    Ok(Check {
        name: "A bill is counted once: one current generation a scope",
        checked: row.checked,
        differences: shortened(row.differences),
    })
}

// The same bill is one billing account, period and biller: `store::billers`.
async fn sources_apart(conn: &mut PgConnection) -> sqlx::Result<Check> {
    let row = sqlx::query!(
        r#"WITH bill AS (
             SELECT g.*, s.name FROM generation g JOIN source s USING (source_id)
             WHERE g.state = 'current' AND g.billing_account_id <> '' AND g.charge_count > 0
         )
         SELECT (SELECT count(*) FROM bill) AS "checked!",
             coalesce(array_agg(format('Account %s, period %s is counted from source %s (delivery %s) and from source %s (delivery %s).',
                 a.billing_account_id, a.billing_period_start, a.name, a.delivery_id, b.name, b.delivery_id)
                 ORDER BY a.billing_period_start, a.billing_account_id), '{}') AS "differences!: Vec<String>"
         FROM bill a JOIN bill b ON b.billing_account_id = a.billing_account_id
             AND b.billing_period_start = a.billing_period_start AND b.source_id > a.source_id
             AND (a.biller_names && b.biller_names OR a.biller_names = '{}' OR b.biller_names = '{}')
         WHERE NOT is_accepted_beside(a.generation_id, b.generation_id)"#
    )
    .fetch_one(conn)
    .await?;
    Ok(Check {
        name: "No bill is counted from two sources, unless someone accepted it",
        checked: row.checked,
        differences: shortened(row.differences),
    })
}

async fn charge_groups(conn: &mut PgConnection) -> sqlx::Result<Check> {
    let row = sqlx::query!(
        r#"SELECT count(*) AS "checked!", count(*) FILTER (WHERE g.group_id IS NULL) AS "lost!"
         FROM (SELECT DISTINCT sub_account_key, group_id FROM charge) c
         LEFT JOIN charge_group g USING (sub_account_key, group_id)"#
    )
    .fetch_one(conn)
    .await?;
    let differences = if row.lost > 0 { vec![format!("{} groups of charges are missing.", row.lost)] } else { vec![] };
    Ok(Check { name: "Every line has its charge group", checked: row.checked, differences })
}

async fn rollup_keys(conn: &mut PgConnection) -> sqlx::Result<Check> {
    let row = sqlx::query!(
        r#"SELECT count(*) AS "checked!", count(*) FILTER (WHERE k.rollup_key_id IS NULL) AS "lost!"
         FROM (SELECT sub_account_key, rollup_key_id FROM charge_group
               UNION SELECT sub_account_key, rollup_key_id FROM daily_cost_by_key) g
         LEFT JOIN rollup_key k USING (sub_account_key, rollup_key_id)"#
    )
    .fetch_one(conn)
    .await?;
    let differences = if row.lost > 0 { vec![format!("{} rollup keys are missing.", row.lost)] } else { vec![] };
    Ok(Check { name: "Every charge group and daily cost has its rollup key", checked: row.checked, differences })
}

// A group under a key of rules of the past gives its cost to whom they named, while its lines say who has it now.
async fn keys_of_groups(conn: &mut PgConnection) -> anyhow::Result<Check> {
    let checked =
        sqlx::query_scalar!(r#"SELECT count(*) AS "checked!" FROM charge_group"#).fetch_one(&mut *conn).await?;
    let misplaced = rekey::misplaced(conn).await?;
    let differences = misplaced.iter().map(|group| {
        format!(
            "Charge group {} lies under rollup key {}, and the rules look at what key {} has. `costwake rebuild` puts it there.",
            group.group_id, group.old_key_id, group.new_key_id
        )
    });
    Ok(Check {
        name: "The rollup key of every charge group has what the rules look at",
        checked,
        differences: shortened(differences.collect()),
    })
}

async fn charge_counts(conn: &mut PgConnection) -> sqlx::Result<Check> {
    let row = sqlx::query!(
        r#"SELECT count(*) AS "checked!",
             coalesce(array_agg(format('Generation %s should have %s lines and has %s.', generation_id, charge_count, line_count)
                 ORDER BY generation_id) FILTER (WHERE charge_count <> line_count), '{}') AS "differences!: Vec<String>"
         FROM (
             SELECT g.generation_id, g.charge_count, coalesce(c.line_count, 0) AS line_count
             FROM generation g
             LEFT JOIN (SELECT generation_id, count(*) AS line_count FROM charge GROUP BY 1) c USING (generation_id)
             WHERE g.has_charges
         ) counted"#
    )
    .fetch_one(conn)
    .await?;
    Ok(Check {
        name: "Every generation has as many lines as it says",
        checked: row.checked,
        differences: shortened(row.differences),
    })
}

async fn stuck(conn: &mut PgConnection) -> sqlx::Result<Check> {
    let row = sqlx::query!(
        r#"SELECT count(*) AS "checked!",
             coalesce(array_agg(format('Generation %s of delivery %s is %s, the delivery is %s.',
                 g.generation_id, g.delivery_id, g.state, d.state) ORDER BY g.generation_id)
             FILTER (WHERE (g.state IN ('loading', 'ready') AND d.state NOT IN ('loading', 'quarantined'))
                 OR (g.state = 'current' AND d.state <> 'published')), '{}') AS "differences!: Vec<String>"
         FROM generation g JOIN delivery d USING (delivery_id)"#
    )
    .fetch_one(conn)
    .await?;
    Ok(Check {
        name: "No generation is stuck, and deliveries say what they are",
        checked: row.checked,
        differences: shortened(row.differences),
    })
}
