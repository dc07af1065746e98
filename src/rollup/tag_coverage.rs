//! How much of the cost has the tags that the standard asks for: by key, team and month, and where it lacks most.

use super::mapped_keys::tag;
use crate::allocate::{AllowedValue, EnvironmentKind, TagRule, TagState};
use crate::focus::DateRange;
use crate::store::Scope;
use crate::store::tag_rules::{self, StoredTagRule, TagRuleValues};
use anyhow::Context;
use bigdecimal::BigDecimal;
use chrono::NaiveDate;
use futures_util::TryStreamExt;
use sqlx::PgConnection;
use std::collections::BTreeMap;
use uuid::Uuid;

const VALUE_CHARS_MAX: usize = 200;

/// A stored tag rule as `allocate` understands it.
pub fn rule_of(tag_rule_id: i64, values: &TagRuleValues) -> anyhow::Result<TagRule> {
    let allowed: Vec<AllowedValue> =
        serde_json::from_value(values.allowed_values.clone()).context("its values are not readable")?;
    let kinds = values.environment_kinds.iter().map(|kind| EnvironmentKind::from_key(kind));
    Ok(TagRule {
        tag_rule_id,
        tag_key: values.tag_key.clone(),
        aliases: values.aliases.clone(),
        kinds: kinds.collect::<Option<_>>().context("it names an unknown kind of environment")?,
        allowed,
        is_exact_case: values.is_exact_case,
    })
}

/// What a sum is told apart by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct CoverageKey {
    /// The tag rule.
    pub tag_rule_id: i64,
    /// The first day of the month.
    pub month: NaiveDate,
    /// Who pays; none without a team.
    pub team: Option<String>,
    /// `BillingCurrency`.
    pub currency: String,
    /// How the cost meets the rule.
    pub state: TagState,
}

/// Cost that lacks a tag, or has a value that is not allowed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each is what its name says")]
pub struct Offender {
    pub tag_rule_id: i64,
    pub tag_key: String,
    pub state: TagState,
    pub value: Option<String>,
    pub team: Option<String>,
    pub service_slug: Option<String>,
    pub service: Option<String>,
    pub sub_account_id: Option<String>,
    pub provider_service: Option<String>,
    pub currency: String,
}

/// The answer.
#[derive(Debug, Clone, Default)]
pub struct Coverage {
    /// The rules.
    pub rules: Vec<StoredTagRule>,
    /// `EffectiveCost` by month.
    pub by_month: BTreeMap<CoverageKey, BigDecimal>,
    /// `EffectiveCost` of the recent days; the month is their first day.
    pub recent: BTreeMap<CoverageKey, BigDecimal>,
    /// What lacks a tag on the recent days, the dearest first.
    pub offenders: Vec<(Offender, BigDecimal)>,
}

/// Adds up the cost of usage and purchases of these months, and of the recent days, by how it meets each rule. Taxes,
/// credits and adjustments carry no tags and are left out.
pub async fn read(
    conn: &mut PgConnection,
    scope: &Scope,
    months: DateRange,
    recent: DateRange,
) -> anyhow::Result<Coverage> {
    let stored = tag_rules::list(&mut *conn).await?;
    let rules = stored.iter().map(|one| rule_of(one.tag_rule_id, &one.values)).collect::<anyhow::Result<Vec<_>>>()?;
    let mut coverage = Coverage { rules: stored, ..Coverage::default() };
    if rules.is_empty() {
        return Ok(coverage);
    }
    let mut offenders: BTreeMap<Offender, BigDecimal> = BTreeMap::new();
    let mut rows = sqlx::query!(
        r#"SELECT sums.month AS "month!", sums.currency AS "currency!", sums.cost AS "cost!", sums.recent AS "recent!",
                  k.mapping_tags, k.sub_account_id, k.service_name, environment.kind AS "kind?", team.name AS "team?",
                  service.name AS "service?", service.slug AS "service_slug?"
           FROM (SELECT d.sub_account_key, d.rollup_key_id, m.first_day,
                     date_trunc('month', d.charge_date::timestamp)::date AS month, d.billing_currency AS currency,
                     sum(d.effective_cost) AS cost,
                     coalesce(sum(d.effective_cost) FILTER (WHERE d.charge_date >= $3 AND d.charge_date < $4), 0) AS recent
                 FROM daily_cost_by_key d
                 JOIN generation g ON g.generation_id = d.generation_id AND g.state = 'current'
                 JOIN key_mapping m ON m.sub_account_key = d.sub_account_key AND m.rollup_key_id = d.rollup_key_id
                     AND d.charge_date >= m.first_day AND d.charge_date < m.end_day
                 WHERE d.charge_date >= $1 AND d.charge_date < $2
                 GROUP BY 1, 2, 3, 4, 5) sums
           JOIN rollup_key k USING (sub_account_key, rollup_key_id)
           JOIN key_mapping m USING (sub_account_key, rollup_key_id, first_day)
           LEFT JOIN environment ON environment.environment_id = m.environment_id
           LEFT JOIN service ON service.service_id = m.service_id
           LEFT JOIN team ON team.team_id = service.team_id
           WHERE coalesce(k.charge_category, 'Usage') IN ('Usage', 'Purchase')
             AND ($5::bigint[] IS NULL OR service.team_id = ANY($5))"#,
        months.start(),
        months.end(),
        recent.start(),
        recent.end(),
        scope.team_ids(),
    )
    .fetch(conn);
    while let Some(row) = rows.try_next().await? {
        let kind = row.kind.as_deref().and_then(EnvironmentKind::from_key);
        for rule in rules.iter().filter(|rule| rule.asks(kind)) {
            let (state, value) = rule.judge(|key| tag(&row.mapping_tags, key));
            let mut key = CoverageKey {
                tag_rule_id: rule.tag_rule_id,
                month: row.month,
                team: row.team.clone(),
                currency: row.currency.clone(),
                state,
            };
            *coverage.by_month.entry(key.clone()).or_default() += &row.cost;
            key.month = recent.start();
            *coverage.recent.entry(key).or_default() += &row.recent;
            if !state.is_covered() {
                let offender = Offender {
                    tag_rule_id: rule.tag_rule_id,
                    tag_key: rule.tag_key.clone(),
                    state,
                    value: value.map(|value| short(&value)),
                    team: row.team.clone(),
                    service_slug: row.service_slug.clone(),
                    service: row.service.clone(),
                    sub_account_id: row.sub_account_id.clone(),
                    provider_service: row.service_name.clone(),
                    currency: row.currency.clone(),
                };
                *offenders.entry(offender).or_default() += &row.recent;
            }
        }
    }
    coverage.offenders = offenders.into_iter().filter(|(_, cost)| !bigdecimal::Zero::is_zero(cost)).collect();
    coverage.offenders.sort_by(|left, right| right.1.abs().cmp(&left.1.abs()).then_with(|| left.0.cmp(&right.0)));
    Ok(coverage)
}

// A value as it is told apart from others.
fn short(value: &str) -> String {
    value.trim().chars().take(VALUE_CHARS_MAX).collect()
}

/// Cost that meets a required tag in one way, as a figure of [`Coverage`] does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagGap {
    /// How it meets it.
    pub state: TagState,
    /// The key of the rule.
    pub tag_key: String,
    /// The value, where only that one is meant.
    pub value: Option<String>,
}

/// The charges of a gap: usage and purchases of these keys in these kinds of environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GapCharges {
    /// The keys.
    pub rollup_key_ids: Vec<Uuid>,
    /// The kinds of environment that the tag is asked of; none for everywhere.
    pub environment_kinds: Option<Vec<String>>,
}

/// The charges of a gap, of one account and of what was bought where these are given. None where no such tag is asked for.
pub async fn charges_of(
    conn: &mut PgConnection,
    gap: &TagGap,
    sub_account_id: Option<&str>,
    service_name: Option<&str>,
) -> anyhow::Result<Option<GapCharges>> {
    let stored = tag_rules::list(&mut *conn).await?;
    let is_meant = |one: &StoredTagRule| one.values.tag_key.to_lowercase() == gap.tag_key.to_lowercase();
    let Some(stored) = stored.into_iter().find(is_meant) else { return Ok(None) };
    let rule = rule_of(stored.tag_rule_id, &stored.values)?;
    let mut rows = sqlx::query!(
        "SELECT rollup_key_id, mapping_tags FROM rollup_key
         WHERE coalesce(charge_category, 'Usage') IN ('Usage', 'Purchase')
           AND ($1::text IS NULL OR coalesce(sub_account_id, '') = $1)
           AND ($2::text IS NULL OR coalesce(service_name, '') = $2)",
        sub_account_id,
        service_name,
    )
    .fetch(conn);
    let mut rollup_key_ids = Vec::new();
    while let Some(row) = rows.try_next().await? {
        let (state, value) = rule.judge(|key| tag(&row.mapping_tags, key));
        let is_value = |wanted: &String| value.as_deref().is_some_and(|value| short(value) == *wanted);
        if state == gap.state && gap.value.as_ref().is_none_or(is_value) {
            rollup_key_ids.push(row.rollup_key_id);
        }
    }
    let kinds = stored.values.environment_kinds;
    Ok(Some(GapCharges { rollup_key_ids, environment_kinds: (!kinds.is_empty()).then_some(kinds) }))
}
