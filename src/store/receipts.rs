//! What became of a file that was handed in: the same on the command line, in JSON and on a page.

use super::deliveries::Rejection;
use super::late_bills::{self, Difference};
use super::rejected_totals::{self, RejectedTotal};
use super::replacements::{self, Replacement, WaitingVersion};
use super::{generations, month_closing};
use bigdecimal::BigDecimal;
use chrono::{DateTime, NaiveDate, Utc};
use serde::{Serialize, Serializer};
use sqlx::PgConnection;

/// Rejected rows that a receipt lists; their count is always whole.
pub const REJECTIONS_SHOWN_MAX: i64 = 1000;

/// The receipt of one delivery. It serializes to one JSON object, decimals as strings with all their digits.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct Receipt {
    /// The file's name.
    pub file: String,
    /// As recognised.
    pub format: Option<String>,
    /// The source it belongs to.
    pub source: Option<String>,
    /// Number of that source.
    pub source_id: Option<i64>,
    /// Number of this delivery.
    pub delivery_id: i64,
    /// `published`, `unchanged`, `quarantined`, `refused`, `failed`, `withdrawn`, `superseded`, `loading` or `waiting`.
    pub state: String,
    /// Why, where it is not published.
    pub reason: Option<String>,
    /// Data rows read, the rejected ones among them.
    pub rows: i64,
    /// Rows that could not be read.
    pub rejected_rows: i64,
    /// Billing periods, by first day.
    pub billing_periods: Vec<NaiveDate>,
    /// What the readable rows add up to.
    pub totals: Vec<Total>,
    /// By how much it moved the figures of its scopes, where it was ever counted.
    pub movements: Vec<Movement>,
    /// What can be read of the amounts of rejected rows: what is missing at least.
    pub rejected_totals: Vec<RejectedTotal>,
    /// Mandatory columns that the file lacks.
    pub missing_columns: Vec<String>,
    /// Columns that FOCUS does not know; they are kept.
    pub extra_columns: Vec<String>,
    /// What is odd but readable.
    pub warnings: Vec<String>,
    /// The first rows that could not be read.
    pub rejections: Vec<Rejection>,
    /// What orders deliveries of one scope.
    pub version_at: DateTime<Utc>,
    /// `manifest`, `as-of` or `receipt`.
    pub version_basis: String,
    /// SHA-256 of the bytes.
    pub content_sha256: Option<String>,
    /// Size of the file.
    pub file_bytes: i64,
    /// When it was handed in.
    pub received_at: DateTime<Utc>,
    /// By whom.
    pub received_by: String,
    /// When it was done.
    pub finished_at: Option<DateTime<Utc>>,
    /// How long it took.
    pub duration_ms: Option<i64>,
    /// Who accepted it with what it lacks.
    pub accepted_by: Option<String>,
    /// When.
    pub accepted_at: Option<DateTime<Utc>>,
    /// Whether it waits for a decision because it changes a closed month, or did.
    pub waits_for_closed_month: bool,
    /// While it waits: what it would change in closed months.
    pub closed_months: Vec<LateMonth>,
    /// While it waits, or is withdrawn with its lines kept: what it would take the place of once it is accepted.
    pub would_replace: Vec<Replacement>,
}

/// Σ of the four costs of FOCUS; `None` where no row in question has the cost.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
#[expect(non_snake_case, reason = "the names of FOCUS, as the JSON has them")]
pub struct FocusCosts {
    /// Σ BilledCost.
    #[serde(serialize_with = "plain")]
    #[schema(value_type = Option<String>, example = "161842.0000001")]
    pub BilledCost: Option<BigDecimal>,
    /// Σ EffectiveCost.
    #[serde(serialize_with = "plain")]
    #[schema(value_type = Option<String>, example = "161842.0000001")]
    pub EffectiveCost: Option<BigDecimal>,
    /// Σ ListCost.
    #[serde(serialize_with = "plain")]
    #[schema(value_type = Option<String>, example = "161842.0000001")]
    pub ListCost: Option<BigDecimal>,
    /// Σ ContractedCost.
    #[serde(serialize_with = "plain")]
    #[schema(value_type = Option<String>, example = "161842.0000001")]
    pub ContractedCost: Option<BigDecimal>,
}

impl FocusCosts {
    /// In the order billed, effective, list, contracted.
    pub fn of(costs: [Option<BigDecimal>; 4]) -> Self {
        let [billed, effective, list, contracted] = costs;
        Self { BilledCost: billed, EffectiveCost: effective, ListCost: list, ContractedCost: contracted }
    }

    /// In the same order.
    pub fn each(&self) -> [&Option<BigDecimal>; 4] {
        [&self.BilledCost, &self.EffectiveCost, &self.ListCost, &self.ContractedCost]
    }

    fn read(costs: [Option<String>; 4]) -> sqlx::Result<Self> {
        let [billed, effective, list, contracted] = costs;
        Ok(Self {
            BilledCost: number(billed)?,
            EffectiveCost: number(effective)?,
            ListCost: number(list)?,
            ContractedCost: number(contracted)?,
        })
    }
}

/// What a waiting delivery would change in a closed month.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct LateMonth {
    /// First day of the closed month.
    pub closed_month: NaiveDate,
    /// First day of the open month that the difference is booked to, where finance says so.
    pub booked_month: NaiveDate,
    /// The difference by service and charge category; empty where it only moves cost between days or the like.
    pub differences: Vec<LateDifference>,
}

/// By how much the bills of a service move, in one charge category and currency.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct LateDifference {
    /// The service of the catalogue; `None` where no rule gives it one.
    pub service: Option<String>,
    /// Whether the rules were asked: not where a line is of a kind that never counted.
    pub is_mapped: bool,
    /// FOCUS ChargeCategory.
    pub charge_category: String,
    /// FOCUS BillingCurrency.
    pub billing_currency: Option<String>,
    /// Lines more, or fewer where below zero.
    pub rows: i64,
    /// Their sums after, less before.
    #[serde(flatten)]
    pub costs: FocusCosts,
}

/// Sums of one billing period in one currency.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
#[schema(as = ReceiptTotal)]
pub struct Total {
    /// First day of the period.
    pub billing_period: NaiveDate,
    /// `None` where the file has no currency.
    pub billing_currency: Option<String>,
    /// Readable rows.
    pub rows: i64,
    /// Their sums.
    #[serde(flatten)]
    pub costs: FocusCosts,
}

/// What a delivery replaced in one billing period and currency, and by how much that moved the totals.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
#[schema(as = ReceiptMovement)]
pub struct Movement {
    /// First day of the period.
    pub billing_period: NaiveDate,
    /// `BillingCurrency`.
    pub billing_currency: Option<String>,
    /// The deliveries that were counted before; empty where nothing was.
    pub replaced_delivery_ids: Vec<i64>,
    /// Rows before.
    pub rows_before: i64,
    /// Rows since.
    pub rows_after: i64,
    /// The sums after, less before.
    #[serde(flatten)]
    pub costs: FocusCosts,
}

/// The receipt of a delivery.
pub async fn get(conn: &mut PgConnection, delivery_id: i64) -> sqlx::Result<Option<Receipt>> {
    let row = sqlx::query!(
        r#"SELECT d.file_name, d.file_bytes, d.format, d.source_id, d.state, d.reason, d.row_count,
            d.rejected_row_count, d.missing_columns, d.extra_columns, d.warnings, d.version_at, d.version_basis,
            d.content_sha256, d.received_at, d.received_by, d.finished_at, d.accepted_by, d.accepted_at,
            d.waits_for_closed_month,
            s.name AS "source?"
         FROM delivery d LEFT JOIN source s USING (source_id)
         WHERE delivery_id = $1"#,
        delivery_id
    )
    .fetch_optional(&mut *conn)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let totals = totals(conn, delivery_id, &row.missing_columns).await?;
    let mut billing_periods: Vec<NaiveDate> = totals.iter().map(|total| total.billing_period).collect();
    billing_periods.dedup();
    let movements = movements(conn, delivery_id).await?;
    let rejections = rejections(conn, delivery_id).await?;
    let rejected_totals = rejected_totals::of(conn, delivery_id).await?;
    let closed_months = if row.state == "quarantined" { late(conn, delivery_id).await? } else { Vec::new() };
    let version =
        WaitingVersion { at: row.version_at, basis: &row.version_basis, sha256: row.content_sha256.as_deref() };
    let would_replace = match row.state.as_str() {
        "quarantined" | "withdrawn" => replacements::of_waiting(conn, delivery_id, version).await?,
        _ => Vec::new(),
    };
    Ok(Some(Receipt {
        file: row.file_name,
        format: row.format,
        source: row.source,
        source_id: row.source_id,
        delivery_id,
        state: row.state,
        reason: row.reason,
        rows: row.row_count,
        rejected_rows: row.rejected_row_count,
        billing_periods,
        totals,
        movements,
        rejected_totals,
        missing_columns: row.missing_columns,
        extra_columns: row.extra_columns,
        warnings: row.warnings,
        rejections,
        version_at: row.version_at,
        version_basis: row.version_basis,
        content_sha256: row.content_sha256,
        file_bytes: row.file_bytes,
        received_at: row.received_at,
        received_by: row.received_by,
        finished_at: row.finished_at,
        duration_ms: row.finished_at.map(|end| (end - row.received_at).num_milliseconds()),
        accepted_by: row.accepted_by,
        accepted_at: row.accepted_at,
        waits_for_closed_month: row.waits_for_closed_month,
        closed_months,
        would_replace,
    }))
}

async fn late(conn: &mut PgConnection, delivery_id: i64) -> sqlx::Result<Vec<LateMonth>> {
    let scopes = generations::of_delivery(&mut *conn, delivery_id).await?;
    let ids: Vec<i64> = scopes.iter().map(|scope| scope.generation_id).collect();
    let months = late_bills::changed_months(&mut *conn, &ids).await?;
    if months.is_empty() {
        return Ok(Vec::new());
    }
    let closed = month_closing::closed(&mut *conn).await?;
    let differences = late_bills::differences(conn, delivery_id).await?;
    let of_month = |month: NaiveDate| LateMonth {
        closed_month: month,
        booked_month: month_closing::first_open_after(&closed, month),
        differences: differences.iter().filter(|row| row.month == month).map(LateDifference::new).collect(),
    };
    Ok(months.into_iter().map(of_month).collect())
}

impl LateDifference {
    // The database pads decimals to groups of four; the digits are the same without.
    fn new(row: &Difference) -> Self {
        Self {
            service: row.service_name.clone(),
            is_mapped: row.service_id.is_some(),
            charge_category: row.charge_category.clone(),
            billing_currency: currency(row.billing_currency.clone()),
            rows: row.charge_count,
            costs: FocusCosts::of(
                [&row.billed_cost, &row.effective_cost, &row.list_cost, &row.contracted_cost]
                    .map(|cost| Some(cost.normalized())),
            ),
        }
    }

    /// Whose cost moves, in words.
    pub fn service_words(&self) -> &str {
        match (&self.service, self.is_mapped) {
            (Some(name), _) => name,
            (None, true) => "Not allocated",
            (None, false) => "Not mapped yet: the rules are asked when it counts",
        }
    }
}

async fn totals(conn: &mut PgConnection, delivery_id: i64, missing: &[String]) -> sqlx::Result<Vec<Total>> {
    // NUMERIC travels as text: the scale that the sums have is kept.
    let rows = sqlx::query!(
        r#"SELECT billing_period_start, billing_currency, sum(row_count)::bigint AS "row_count!",
            sum(billed_cost)::text AS "billed_cost!", sum(effective_cost)::text AS "effective_cost!",
            sum(list_cost)::text AS list_cost, sum(contracted_cost)::text AS contracted_cost
         FROM delivery_total WHERE delivery_id = $1
         GROUP BY billing_period_start, billing_currency
         ORDER BY billing_period_start, billing_currency"#,
        delivery_id
    )
    .fetch_all(conn)
    .await?;
    let lacks = |column: &str| missing.iter().any(|name| name == column);
    rows.into_iter()
        .map(|row| {
            Ok(Total {
                billing_period: row.billing_period_start,
                billing_currency: currency(row.billing_currency),
                rows: row.row_count,
                costs: FocusCosts::read([
                    Some(row.billed_cost).filter(|_| !lacks("BilledCost")),
                    Some(row.effective_cost).filter(|_| !lacks("EffectiveCost")),
                    row.list_cost,
                    row.contracted_cost,
                ])?,
            })
        })
        .collect()
}

async fn movements(conn: &mut PgConnection, delivery_id: i64) -> sqlx::Result<Vec<Movement>> {
    let rows = sqlx::query!(
        r#"WITH scope AS (
             SELECT g.billing_account_id, g.billing_period_start, r.delivery_id AS replaced_delivery_id
             FROM generation g LEFT JOIN generation r ON r.generation_id = g.replaced_generation_id
             WHERE g.delivery_id = $1 AND g.published_at IS NOT NULL
         ), amount AS (
             SELECT t.billing_period_start, t.billing_currency, NULL::bigint AS replaced_delivery_id,
                 0 AS rows_before, t.row_count AS rows_after,
                 t.billed_cost, t.effective_cost, t.list_cost, t.contracted_cost
             FROM scope s JOIN delivery_total t ON t.delivery_id = $1
                 AND t.billing_account_id = s.billing_account_id
                 AND t.billing_period_start = s.billing_period_start
             UNION ALL
             SELECT t.billing_period_start, t.billing_currency, t.delivery_id,
                 t.row_count, 0, -t.billed_cost, -t.effective_cost, -t.list_cost, -t.contracted_cost
             FROM scope s JOIN delivery_total t ON t.delivery_id = s.replaced_delivery_id
                 AND t.billing_account_id = s.billing_account_id
                 AND t.billing_period_start = s.billing_period_start
         )
         SELECT billing_period_start AS "billing_period_start!", billing_currency AS "billing_currency!",
             coalesce(array_agg(DISTINCT replaced_delivery_id)
                 FILTER (WHERE replaced_delivery_id IS NOT NULL), '{}') AS "replaced_delivery_ids!",
             sum(rows_before)::bigint AS "rows_before!", sum(rows_after)::bigint AS "rows_after!",
             sum(billed_cost)::text AS "billed_cost!", sum(effective_cost)::text AS "effective_cost!",
             sum(list_cost)::text AS list_cost, sum(contracted_cost)::text AS contracted_cost
         FROM amount GROUP BY billing_period_start, billing_currency
         ORDER BY billing_period_start, billing_currency"#,
        delivery_id
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Movement {
                billing_period: row.billing_period_start,
                billing_currency: currency(row.billing_currency),
                replaced_delivery_ids: row.replaced_delivery_ids,
                rows_before: row.rows_before,
                rows_after: row.rows_after,
                costs: FocusCosts::read([
                    Some(row.billed_cost),
                    Some(row.effective_cost),
                    row.list_cost,
                    row.contracted_cost,
                ])?,
            })
        })
        .collect()
}

async fn rejections(conn: &mut PgConnection, delivery_id: i64) -> sqlx::Result<Vec<Rejection>> {
    sqlx::query_as!(
        Rejection,
        "SELECT line, column_name, value, reason FROM delivery_rejection
         WHERE delivery_id = $1 ORDER BY line LIMIT $2",
        delivery_id,
        REJECTIONS_SHOWN_MAX,
    )
    .fetch_all(conn)
    .await
}

pub(super) fn currency(stored: String) -> Option<String> {
    (!stored.is_empty()).then_some(stored)
}

pub(super) fn number(text: Option<String>) -> sqlx::Result<Option<BigDecimal>> {
    text.map(|text| text.parse()).transpose().map_err(|error| sqlx::Error::Decode(Box::new(error)))
}

/// With all its digits, as a string.
pub(super) fn plain_amount<S: Serializer>(value: &BigDecimal, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&value.normalized().to_plain_string())
}

fn plain<S: Serializer>(value: &Option<BigDecimal>, serializer: S) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => serializer.serialize_str(&value.to_plain_string()),
        None => serializer.serialize_none(),
    }
}
