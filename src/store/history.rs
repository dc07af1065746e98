//! What bills said at each delivery: generations with the publications between which they counted.

use super::{Scope, limits};
use crate::focus::{BillingPeriod, CostBasis};
use bigdecimal::BigDecimal;
use chrono::{DateTime, NaiveDate, Utc};
use sqlx::PgConnection;

/// Sums by publication and currency that are read at most.
const STEP_COUNT_MAX: i64 = 50_000;
/// Sums by service, charge category and currency that are read at most.
const DIFFERENCE_COUNT_MAX: i64 = 100_000;
/// Restated months in currencies that are read at most.
const RESTATED_COUNT_MAX: i64 = 10_000;

/// Notes from which publication on which generations count. The caller holds the ledger's lock.
pub async fn note_counted(conn: &mut PgConnection, publication_id: i64) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE counted_span s SET end_publication_id = $1
         WHERE s.end_publication_id IS NULL
           AND NOT EXISTS (SELECT FROM generation g WHERE g.generation_id = s.generation_id AND g.state = 'current')",
        publication_id
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "INSERT INTO counted_span (generation_id, first_publication_id)
         SELECT g.generation_id, $1 FROM generation g
         WHERE g.state = 'current' AND NOT EXISTS (SELECT FROM counted_span s
             WHERE s.generation_id = g.generation_id AND s.end_publication_id IS NULL)",
        publication_id
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Whose history is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// A month by billing period: its bills.
    Month(BillingPeriod),
    /// A charge day, whatever bill it came on.
    Day(NaiveDate),
}

impl Subject {
    // Both as the range of months, or as the day: one of them is NULL.
    fn month(self) -> (Option<NaiveDate>, Option<NaiveDate>) {
        match self {
            Self::Month(month) => (Some(month.first_day()), Some(month.next().first_day())),
            Self::Day(_) => (None, None),
        }
    }

    fn day(self) -> Option<NaiveDate> {
        match self {
            Self::Month(_) => None,
            Self::Day(day) => Some(day),
        }
    }
}

/// What the subject said from one publication on, in one currency.
#[derive(Debug, Clone)]
pub struct Step {
    /// The publication that changed its bills.
    pub publication_id: i64,
    /// `publish`, `accept`, `revert`, `withdraw`.
    pub kind: String,
    /// The delivery, where it was one.
    pub delivery_id: Option<i64>,
    /// When.
    pub published_at: DateTime<Utc>,
    /// By whom.
    pub published_by: String,
    /// FOCUS BillingCurrency; `None` where nothing counted any more.
    pub billing_currency: Option<String>,
    /// In the asked basis; `None` where nothing counted any more.
    pub cost: Option<BigDecimal>,
}

/// What was said at each publication that changed the bills behind it, oldest first. Organisation only: what bills
/// said before is not kept by today's owners, so a restricted scope sees none.
pub async fn steps(
    conn: &mut PgConnection,
    scope: &Scope,
    basis: CostBasis,
    subject: Subject,
) -> sqlx::Result<Vec<Step>> {
    if !scope.is_everything() {
        return Ok(Vec::new());
    }
    let (start, end) = subject.month();
    let rows = sqlx::query_as!(
        Step,
        r#"WITH span AS (
             SELECT s.generation_id, s.first_publication_id, s.end_publication_id
             FROM counted_span s JOIN generation g USING (generation_id)
             WHERE CASE WHEN $4::date IS NULL
                        THEN g.billing_period_start >= $2::date AND g.billing_period_start < $3::date
                        ELSE g.first_charge_date <= $4 AND g.last_charge_date >= $4 END
         ), point AS (
             SELECT first_publication_id AS publication_id FROM span
             UNION SELECT end_publication_id FROM span WHERE end_publication_id IS NOT NULL
         ), said AS (
             SELECT d.generation_id, d.billing_currency,
                    sum(cost_in($1::text, d.billed_cost, d.effective_cost, d.list_cost, d.contracted_cost)) AS cost
             FROM daily_cost d
             WHERE d.generation_id IN (SELECT generation_id FROM span) AND ($4::date IS NULL OR d.charge_date = $4)
             GROUP BY 1, 2
         )
         SELECT p.publication_id, p.kind, p.delivery_id, p.published_at, p.published_by,
                said.billing_currency AS "billing_currency?", sum(said.cost) AS "cost?"
         FROM point JOIN publication p USING (publication_id)
         LEFT JOIN (span JOIN said USING (generation_id))
              ON span.first_publication_id <= p.publication_id
             AND (span.end_publication_id IS NULL OR span.end_publication_id > p.publication_id)
         GROUP BY p.publication_id, said.billing_currency
         ORDER BY p.publication_id, said.billing_currency LIMIT $5"#,
        basis.key(),
        start,
        end,
        subject.day(),
        STEP_COUNT_MAX + 1,
    )
    .fetch_all(conn)
    .await?;
    limits::within(rows, STEP_COUNT_MAX, "sums by publication and currency")
}

/// What one service and charge category said at two publications.
#[derive(Debug, Clone)]
pub struct DifferenceRow {
    /// 0 where no rule named a service.
    pub service_id: i64,
    /// In the service's address; `None` where it is gone.
    pub service_slug: Option<String>,
    /// Its name now.
    pub service_name: Option<String>,
    /// FOCUS ChargeCategory.
    pub charge_category: String,
    /// FOCUS BillingCurrency.
    pub billing_currency: String,
    /// At the earlier publication.
    pub before: BigDecimal,
    /// At the later one.
    pub after: BigDecimal,
}

/// The difference between what was said at two publications, by service and charge category. Organisation only. What
/// splits move is left out on both sides: it adds up to nothing, and a split that is saved later is applied to the bill
/// that counts and to none that it replaced.
pub async fn difference(
    conn: &mut PgConnection,
    scope: &Scope,
    basis: CostBasis,
    subject: Subject,
    earlier_publication_id: i64,
    later_publication_id: i64,
) -> sqlx::Result<Vec<DifferenceRow>> {
    if !scope.is_everything() {
        return Ok(Vec::new());
    }
    let (start, end) = subject.month();
    let rows = sqlx::query_as!(
        DifferenceRow,
        r#"WITH span AS (
             SELECT s.generation_id,
                    s.first_publication_id <= $5 AND coalesce(s.end_publication_id > $5, true) AS is_before,
                    s.first_publication_id <= $6 AND coalesce(s.end_publication_id > $6, true) AS is_after
             FROM counted_span s JOIN generation g USING (generation_id)
             WHERE CASE WHEN $4::date IS NULL
                        THEN g.billing_period_start >= $2::date AND g.billing_period_start < $3::date
                        ELSE g.first_charge_date <= $4 AND g.last_charge_date >= $4 END
         )
         SELECT d.service_id, service.slug AS "service_slug?", service.name AS "service_name?", d.charge_category,
                d.billing_currency,
                coalesce(sum(cost.amount) FILTER (WHERE span.is_before), 0) AS "before!",
                coalesce(sum(cost.amount) FILTER (WHERE span.is_after), 0) AS "after!"
         FROM span JOIN daily_cost d ON d.generation_id = span.generation_id
         CROSS JOIN LATERAL (SELECT cost_in($1::text, d.billed_cost, d.effective_cost, d.list_cost, d.contracted_cost) AS amount) cost
         LEFT JOIN service ON service.service_id = d.service_id
         WHERE (span.is_before OR span.is_after) AND ($4::date IS NULL OR d.charge_date = $4) AND d.split_id = 0
         GROUP BY 1, 2, 3, 4, 5 ORDER BY d.billing_currency, d.service_id, d.charge_category LIMIT $7"#,
        basis.key(),
        start,
        end,
        subject.day(),
        earlier_publication_id,
        later_publication_id,
        DIFFERENCE_COUNT_MAX + 1,
    )
    .fetch_all(conn)
    .await?;
    limits::within(rows, DIFFERENCE_COUNT_MAX, "sums by service and charge category")
}

/// What days that bills held in full at an earlier publication say now instead.
#[derive(Debug, Clone)]
pub struct Restated {
    /// First day of the billing month.
    pub month: NaiveDate,
    /// FOCUS BillingCurrency.
    pub billing_currency: String,
    /// Then.
    pub before: BigDecimal,
    /// Now.
    pub after: BigDecimal,
}

/// What a question about restatements is narrowed to, by the catalogue and the rules of today; all by default.
#[derive(Debug, Clone, Copy, Default)]
pub struct RestatedOf {
    /// A billing month.
    pub month: Option<BillingPeriod>,
    /// A service; 0 for what no rule gives to one.
    pub service_id: Option<i64>,
    /// A team.
    pub team_id: Option<i64>,
    /// An environment.
    pub environment_id: Option<i64>,
}

/// What was restated after a publication, within a scope. Each bill is held against what took its place: where a source
/// has several exports, or files that add up, the others still say what they said. Days that the earlier bill could not
/// hold in full are arriving and not restated: they are left out on both sides, as is what splits move.
///
/// Where files add up, a correction comes as lines in a file of its own and takes the place of nothing. So what new
/// files say of days that the account's bills held in full then is told too, beside what the other files say of them
/// still; what they say of later days arrives, and so does what they say of days that no file of a daily account spanned:
/// a gap is filled. A monthly bill held all of its period.
pub async fn restated_since(
    conn: &mut PgConnection,
    scope: &Scope,
    basis: CostBasis,
    publication_id: i64,
    of: RestatedOf,
) -> sqlx::Result<Vec<Restated>> {
    let rows = sqlx::query_as!(
        Restated,
        r#"WITH counted AS (
             SELECT g.generation_id, g.source_id, g.billing_account_id, g.billing_period_start, g.append_object,
                    g.state, g.first_charge_date, g.last_charge_date, (d.version_at AT TIME ZONE 'UTC')::date AS version_date
             FROM counted_span s JOIN generation g USING (generation_id) JOIN delivery d USING (delivery_id)
             WHERE s.first_publication_id <= $3 AND (s.end_publication_id > $3 OR s.end_publication_id IS NULL)
         ), earlier AS (
             SELECT c.* FROM counted c
             WHERE c.state <> 'current'
               AND ($4::date IS NULL OR date_trunc('month', c.billing_period_start::timestamp)::date = $4)
         ), adding_up AS (
             SELECT c.source_id, c.billing_account_id,
                    range_agg(daterange(c.first_charge_date, c.last_charge_date, '[]')) AS held,
                    max(least(c.last_charge_date, c.version_date - greatest(1, coalesce(l.settles_after_days, 1)))) + 1
                        AS end_date
             FROM counted c JOIN source_setting t USING (source_id) LEFT JOIN source_settling l USING (source_id)
             WHERE t.restatement = 'append-by-object' AND c.last_charge_date IS NOT NULL
             GROUP BY 1, 2
         ), added AS (
             SELECT g.generation_id, g.source_id, g.billing_account_id, g.billing_period_start,
                    CASE WHEN b.is_daily THEN a.held
                         ELSE datemultirange(daterange(g.billing_period_start, g.billing_period_end)) END AS held,
                    a.end_date
             FROM adding_up a JOIN generation g USING (source_id, billing_account_id)
             JOIN current_generation b USING (generation_id)
             JOIN counted_span s USING (generation_id)
             WHERE g.state = 'current' AND s.end_publication_id IS NULL AND s.first_publication_id > $3
               AND ($4::date IS NULL OR date_trunc('month', g.billing_period_start::timestamp)::date = $4)
               AND NOT EXISTS (SELECT FROM counted c
                   WHERE c.source_id = g.source_id AND c.billing_account_id = g.billing_account_id
                     AND c.billing_period_start = g.billing_period_start AND c.append_object = g.append_object)
         ), kept AS (
             SELECT DISTINCT c.generation_id, c.billing_period_start, a.held, a.end_date
             FROM added a JOIN counted c USING (source_id, billing_account_id, billing_period_start)
             WHERE c.state = 'current'
         ), side AS (
             SELECT e.billing_period_start, '{(,)}'::datemultirange AS held, e.version_date AS end_date,
                    e.generation_id, true AS is_before
             FROM earlier e
             UNION ALL
             SELECT e.billing_period_start, '{(,)}', e.version_date, g.generation_id, false
             FROM earlier e JOIN generation g ON g.source_id = e.source_id AND g.state = 'current'
                  AND g.billing_account_id = e.billing_account_id AND g.billing_period_start = e.billing_period_start
                  AND g.append_object = e.append_object
             UNION ALL
             SELECT a.billing_period_start, a.held, a.end_date, a.generation_id, false FROM added a
             UNION ALL
             SELECT k.billing_period_start, k.held, k.end_date, k.generation_id, sides.is_before
             FROM kept k CROSS JOIN (VALUES (true), (false)) sides (is_before)
         ), summed AS (
             SELECT date_trunc('month', side.billing_period_start::timestamp)::date AS month, d.billing_currency,
                    coalesce(sum(cost.amount) FILTER (WHERE side.is_before), 0) AS before,
                    coalesce(sum(cost.amount) FILTER (WHERE NOT side.is_before), 0) AS after
             FROM side JOIN daily_cost d ON d.generation_id = side.generation_id
                  AND d.charge_date <@ side.held AND d.charge_date < side.end_date
             CROSS JOIN LATERAL (SELECT cost_in($2::text, d.billed_cost, d.effective_cost, d.list_cost, d.contracted_cost) AS amount) cost
             LEFT JOIN service ON service.service_id = d.service_id
             WHERE d.split_id = 0 AND ($1::bigint[] IS NULL OR service.team_id = ANY($1))
               AND ($5::bigint IS NULL OR d.service_id = $5) AND ($6::bigint IS NULL OR service.team_id = $6)
               AND ($7::bigint IS NULL OR d.environment_id = $7)
             GROUP BY 1, 2
         )
         SELECT month AS "month!", billing_currency, before AS "before!", after AS "after!"
         FROM summed WHERE before <> after ORDER BY 1 DESC, 2 LIMIT $8"#,
        scope.team_ids(),
        basis.key(),
        publication_id,
        of.month.map(BillingPeriod::first_day),
        of.service_id,
        of.team_id,
        of.environment_id,
        RESTATED_COUNT_MAX + 1,
    )
    .fetch_all(conn)
    .await?;
    limits::within(rows, RESTATED_COUNT_MAX, "restated months")
}
