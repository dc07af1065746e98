//! What a change of spend is explained from: lines of two periods under one mapping, what rules and splits moved,
//! and traffic.

use super::cost_conditions::{select_daily, select_daily_by_key};
use super::costs::CostFilter;
use super::service_measures::Measure;
use super::statements::MonthView;
use super::variance_dimension;
use super::variance_known::Known;
use super::{Scope, limits};
use crate::focus::{CostBasis, DateRange};
use bigdecimal::BigDecimal;
use sqlx::PgConnection;
use std::collections::BTreeSet;

/// Lines that are read at most: kinds of what is bought, not lines of bills.
const LINE_COUNT_MAX: i64 = 200_000;
/// Services in environments with traffic that are read at most.
const TRAFFIC_COUNT_MAX: i64 = 100_000;

/// What is compared.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// The period, the basis, and whose cost. The service 0 is what is not allocated.
    pub filter: &'a CostFilter,
    /// The period that it is compared with.
    pub compared: DateRange,
    /// Whether days are charge days or the months of bills; then both periods are whole months.
    pub view: MonthView,
    /// A dimension and its value, which is empty for what has none. Splits have no values, so that what they move is
    /// not asked about.
    pub dimension: Option<&'a (String, String)>,
}

impl Question<'_> {
    /// Whether it is about EffectiveCost of every provider and category: verdicts and anomalies are about no other.
    pub fn is_of_whole_usage(&self) -> bool {
        let filter = self.filter;
        filter.basis == CostBasis::Amortized && filter.provider_name.is_none() && filter.charge_category.is_none()
    }

    pub(super) fn is_by_bill(&self) -> bool {
        self.view == MonthView::BillingPeriod
    }
}

/// One SKU of one service in one environment and region under one pricing, as it is given to services on the last compared
/// day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VarianceLine {
    /// 0 is what no rule maps.
    pub service_id: i64,
    /// What people call it.
    pub service_name: Option<String>,
    /// 0 is what has none.
    pub environment_id: i64,
    /// What people call it.
    pub environment_name: Option<String>,
    /// FOCUS ChargeCategory.
    pub charge_category: String,
    /// FOCUS ChargeClass.
    pub charge_class: String,
    /// FOCUS PricingCategory.
    pub pricing_category: String,
    /// FOCUS CommitmentDiscountStatus.
    pub commitment_discount_status: String,
    /// Which service of which provider it is of, in its place and currency: the same number for the same.
    pub product_place: i64,
    /// Which SKU in which region, by the bill that lacks days; 0 without a SKU.
    pub sku_place: i64,
    /// FOCUS BillingCurrency.
    pub currency: String,
    /// The bill of it that lacks days, as [`Known::lacking_bill`] counts.
    pub lacking: Option<i64>,
    /// Charged on the first day of a month and on no other, in both periods.
    pub is_once: bool,
    /// In the basis, in the period.
    pub cost: BigDecimal,
    /// EffectiveCost in the period.
    pub effective_cost: BigDecimal,
    /// ListCost in the period.
    pub list_cost: BigDecimal,
    /// ContractedCost in the period.
    pub contracted_cost: BigDecimal,
    /// PricingQuantity in the period.
    pub quantity: BigDecimal,
    /// In the basis, in the compared period.
    pub cost_before: BigDecimal,
    /// EffectiveCost in the compared period.
    pub effective_cost_before: BigDecimal,
    /// ListCost in the compared period.
    pub list_cost_before: BigDecimal,
    /// ContractedCost in the compared period.
    pub contracted_cost_before: BigDecimal,
    /// PricingQuantity in the compared period.
    pub quantity_before: BigDecimal,
}

/// The lines of both periods on the days that are known, every key with the owner that it has on the last compared day.
pub async fn lines(
    conn: &mut PgConnection,
    scope: &Scope,
    question: Question<'_>,
    known: &Known,
) -> sqlx::Result<Vec<VarianceLine>> {
    let Question { filter, compared, .. } = question;
    let lacking = known.lists();
    let rows = select_daily_by_key!(
        VarianceLine,
        scope,
        filter,
        [r#"
        SELECT service_id AS "service_id!", max(service_name) AS service_name, environment_id AS "environment_id!",
            max(environment_name) AS environment_name, charge_category AS "charge_category!",
            charge_class AS "charge_class!", pricing_category AS "pricing_category!",
            commitment_discount_status AS "commitment_discount_status!", currency AS "currency!",
            lacking AS "lacking?",
            dense_rank() OVER (ORDER BY service_id, environment_id, currency, provider_name, bought) AS "product_place!",
            CASE WHEN sku_id IS NULL THEN 0 ELSE
                dense_rank() OVER (ORDER BY service_id, environment_id, currency, provider_name, bought, sku_id, region_id,
                    lacking)
            END AS "sku_place!",
            coalesce(min(charge_date) FILTER (WHERE is_now) = max(charge_date) FILTER (WHERE is_now)
                AND min(charge_date) FILTER (WHERE NOT is_now) = max(charge_date) FILTER (WHERE NOT is_now)
                AND extract(day FROM min(charge_date)) = 1 AND extract(day FROM max(charge_date)) = 1, false)
                AS "is_once!",
            coalesce(sum(cost) FILTER (WHERE is_now), 0) AS "cost!",
            coalesce(sum(effective_cost) FILTER (WHERE is_now), 0) AS "effective_cost!",
            coalesce(sum(list_cost) FILTER (WHERE is_now), 0) AS "list_cost!",
            coalesce(sum(contracted_cost) FILTER (WHERE is_now), 0) AS "contracted_cost!",
            coalesce(sum(pricing_quantity) FILTER (WHERE is_now), 0) AS "quantity!",
            coalesce(sum(cost) FILTER (WHERE NOT is_now), 0) AS "cost_before!",
            coalesce(sum(effective_cost) FILTER (WHERE NOT is_now), 0) AS "effective_cost_before!",
            coalesce(sum(list_cost) FILTER (WHERE NOT is_now), 0) AS "list_cost_before!",
            coalesce(sum(contracted_cost) FILTER (WHERE NOT is_now), 0) AS "contracted_cost_before!",
            coalesce(sum(pricing_quantity) FILTER (WHERE NOT is_now), 0) AS "quantity_before!"
        FROM (
            SELECT m.service_id, service.name AS service_name, m.environment_id,
                environment.name AS environment_name, coalesce(k.charge_category, '') AS charge_category,
                coalesce(k.charge_class, '') AS charge_class, coalesce(k.pricing_category, '') AS pricing_category,
                coalesce(k.commitment_discount_status, '') AS commitment_discount_status,
                d.billing_currency AS currency, bill.place AS lacking, k.provider_name, k.service_name AS bought,
                k.sku_id, k.region_id, d.charge_date,
                p.day >= $9 AND p.day < $10 AS is_now,
                cost_in($8::text, d.billed_cost, d.effective_cost, d.list_cost, d.contracted_cost) AS cost,
                d.effective_cost, d.list_cost, d.contracted_cost, d.pricing_quantity
            FROM key_mapping m
            JOIN rollup_key k USING (sub_account_key, rollup_key_id)
            JOIN daily_cost_by_key d
                ON d.rollup_key_id = k.rollup_key_id AND d.sub_account_key = k.sub_account_key
            JOIN generation g ON g.generation_id = d.generation_id AND g.state = 'current'
            CROSS JOIN LATERAL (SELECT CASE WHEN $13 THEN g.billing_period_start ELSE d.charge_date END AS day) p
            LEFT JOIN service ON service.service_id = m.service_id
            LEFT JOIN team ON team.team_id = service.team_id
            LEFT JOIN environment ON environment.environment_id = m.environment_id
            LEFT JOIN lacking_bills($17, $18, $19, $20) bill ON bill.generation_id = g.generation_id
            WHERE d.charge_date < least($16::date, bill.since) AND m.first_day <= $14 AND m.end_day > $14
              AND ($13 OR (d.charge_date >= least($9::date, $11::date) AND d.charge_date < greatest($10::date, $12::date)
                AND g.first_charge_date < greatest($10::date, $12::date)
                AND g.last_charge_date >= least($9::date, $11::date)))
              AND ($23::boolean AND is_commitment_purchase(k.charge_category, k.mapping_tags)) IS NOT TRUE
              AND ((p.day >= $9 AND p.day < $10) OR (p.day >= $11 AND p.day < $12))"#],
        [r#"
              AND ($21::text IS NULL OR coalesce(dimension_value(m.dimensions, $21::text, team.cost_center), '') = $22::text)
        ) lines
        GROUP BY service_id, environment_id, charge_category, charge_class, pricing_category,
            commitment_discount_status, currency, provider_name, bought, sku_id, region_id, lacking
        ORDER BY service_id, environment_id, currency, provider_name, bought, sku_id, region_id, pricing_category, lacking,
            charge_category, charge_class, commitment_discount_status
        LIMIT $15
        "#],
        filter.days.start(),
        filter.days.end(),
        compared.start(),
        compared.end(),
        question.is_by_bill(),
        compared.last_day(),
        LINE_COUNT_MAX + 1,
        known.end,
        &lacking.source_ids,
        &lacking.accounts,
        &lacking.is_whole,
        &lacking.since,
        question.dimension.map(|(name, _)| name),
        question.dimension.map(|(_, value)| value),
        filter.basis.is_before_commitments(),
    )
    .fetch_all(conn)
    .await?;
    limits::within(rows, LINE_COUNT_MAX, "kinds of what was bought")
}

/// What the ledger says of both periods in one currency, under the owners of each day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sums {
    /// FOCUS BillingCurrency.
    pub currency: String,
    /// Charges' own cost in the period.
    pub own: BigDecimal,
    /// The same in the compared period.
    pub own_before: BigDecimal,
    /// What splits moved here, less what they moved away.
    pub shared: BigDecimal,
    /// The same in the compared period.
    pub shared_before: BigDecimal,
    /// What has arrived of own cost on days that are not complete yet: of the period, less of the compared one.
    pub arriving: BigDecimal,
    /// The same of late sources and accounts on days that are complete otherwise.
    pub arriving_late: BigDecimal,
}

impl Sums {
    /// Cost of the period less cost of the compared one.
    pub fn change(&self) -> BigDecimal {
        &self.own + &self.shared - &self.own_before - &self.shared_before
    }
}

/// The sums of both periods by currency.
pub async fn sums(
    conn: &mut PgConnection,
    scope: &Scope,
    question: Question<'_>,
    known: &Known,
) -> sqlx::Result<Vec<Sums>> {
    if let Some(dimension) = question.dimension {
        return variance_dimension::sums(conn, scope, question, dimension, known).await;
    }
    let Question { filter, compared, .. } = question;
    let lacking = known.lists();
    select_daily!(
        Sums,
        scope,
        filter,
        [r#"
        SELECT currency AS "currency!",
            coalesce(sum(cost) FILTER (WHERE is_now AND split_id = 0), 0) AS "own!",
            coalesce(sum(cost) FILTER (WHERE NOT is_now AND split_id = 0), 0) AS "own_before!",
            coalesce(sum(cost) FILTER (WHERE is_now AND split_id <> 0), 0) AS "shared!",
            coalesce(sum(cost) FILTER (WHERE NOT is_now AND split_id <> 0), 0) AS "shared_before!",
            coalesce(sum(CASE WHEN is_now THEN cost ELSE -cost END)
                FILTER (WHERE split_id = 0 AND charge_date >= $14), 0) AS "arriving!",
            coalesce(sum(CASE WHEN is_now THEN cost ELSE -cost END)
                FILTER (WHERE split_id = 0 AND charge_date < $14 AND charge_date >= late_since), 0) AS "arriving_late!"
        FROM (
            SELECT d.billing_currency AS currency, d.split_id, d.charge_date, bill.since AS late_since,
                p.day >= $9 AND p.day < $10 AS is_now,
                cost_in($8::text, d.billed_cost, d.effective_cost, d.list_cost, d.contracted_cost) AS cost
            FROM daily_cell($19::boolean) d
            JOIN generation g ON g.generation_id = d.generation_id AND g.state = 'current'
            CROSS JOIN LATERAL (SELECT CASE WHEN $13 THEN g.billing_period_start ELSE d.charge_date END AS day) p
            LEFT JOIN service ON service.service_id = d.service_id
            LEFT JOIN lacking_bills($15, $16, $17, $18) bill ON bill.generation_id = g.generation_id
            WHERE ($13 OR (d.charge_date >= least($9::date, $11::date) AND d.charge_date < greatest($10::date, $12::date)))
              AND ((p.day >= $9 AND p.day < $10) OR (p.day >= $11 AND p.day < $12))"#],
        [r#"
        ) costs
        GROUP BY currency ORDER BY currency LIMIT 500
        "#],
        filter.days.start(),
        filter.days.end(),
        compared.start(),
        compared.end(),
        question.is_by_bill(),
        known.end,
        &lacking.source_ids,
        &lacking.accounts,
        &lacking.is_whole,
        &lacking.since,
        filter.basis.is_before_commitments(),
    )
    .fetch_all(conn)
    .await
}

/// Average traffic of a service in an environment a day.
#[derive(Debug, Clone, PartialEq)]
pub struct Traffic {
    /// The service.
    pub service_id: i64,
    /// The environment; 0 is cost that has none.
    pub environment_id: i64,
    /// What it is counted in: `requests`, `orders`.
    pub unit: String,
    /// Average of the days of the period that have a value. Not money.
    pub now: f64,
    /// The same of the compared period.
    pub before: f64,
}

/// Services in environments, as the lists that queries of their traffic take.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PlaceLists {
    /// Of each the service.
    pub service_ids: Vec<i64>,
    /// Of each the environment, 0 for none.
    pub environment_ids: Vec<i64>,
}

impl PlaceLists {
    /// Where the lines of usage lie.
    pub fn of(lines: &[VarianceLine]) -> Self {
        let usage = lines.iter().filter(|line| line.charge_category == "Usage");
        let places: BTreeSet<(i64, i64)> = usage.map(|line| (line.service_id, line.environment_id)).collect();
        let (service_ids, environment_ids) = places.into_iter().unzip();
        Self { service_ids, environment_ids }
    }
}

/// Traffic where services have cost, by the metric that tells their volume, with values on at least half of the complete
/// days of both periods. A value without an environment counts in each of them, and cost without one follows all of its
/// service. The places are those of lines that the scope may see. Means are of exact sums, so that the same days are the
/// same figure beside others as by themselves.
pub async fn traffic(
    conn: &mut PgConnection,
    question: Question<'_>,
    known: &Known,
    places: &PlaceLists,
) -> sqlx::Result<Vec<Traffic>> {
    let days = known.complete(question.filter.days).zip(known.complete(question.compared));
    let Some((now, compared)) = days else { return Ok(Vec::new()) };
    let rows = sqlx::query_as!(
        Traffic,
        r#"
        WITH daily AS (
            SELECT place.service_id, place.environment_id, told.unit, p.charge_date,
                p.charge_date >= $1 AND p.charge_date < $2 AS is_now, sum(p.value) AS value
            FROM unnest($6::bigint[], $7::bigint[]) AS place(service_id, environment_id)
            JOIN service_measure told ON told.service_id = place.service_id
            JOIN metric_value p ON p.service_id = told.service_id AND p.metric = told.metric
                AND (place.environment_id = 0 OR p.environment_id IN (place.environment_id, 0))
            WHERE told.measure = $5
              AND ((p.charge_date >= $1 AND p.charge_date < $2) OR (p.charge_date >= $3 AND p.charge_date < $4))
            GROUP BY place.service_id, place.environment_id, told.unit, p.charge_date
        )
        SELECT service_id AS "service_id!", environment_id AS "environment_id!", unit AS "unit!",
            (avg(value) FILTER (WHERE is_now))::double precision AS "now!",
            (avg(value) FILTER (WHERE NOT is_now))::double precision AS "before!"
        FROM daily GROUP BY service_id, environment_id, unit
        HAVING 2 * count(*) FILTER (WHERE is_now) >= $2::date - $1::date
           AND 2 * count(*) FILTER (WHERE NOT is_now) >= $4::date - $3::date
           AND avg(value) FILTER (WHERE is_now) > 0 AND avg(value) FILTER (WHERE NOT is_now) > 0
        ORDER BY service_id, environment_id LIMIT $8
        "#,
        now.start(),
        now.end(),
        compared.start(),
        compared.end(),
        Measure::Volume.key(),
        &places.service_ids,
        &places.environment_ids,
        TRAFFIC_COUNT_MAX + 1,
    )
    .fetch_all(conn)
    .await?;
    limits::within(rows, TRAFFIC_COUNT_MAX, "services with traffic")
}
