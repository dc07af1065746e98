//! `/commitments`: what was bought ahead, what of it was used, how much usage it covers, and who bears the rest.

use super::csv::{Cell, Table};
use super::rules::form::{ConditionFields, RuleForm};
use super::{AppState, NavItem, Page, Policy, Principal, Result, Routes, display, moves, rules};
use crate::store::commitment_costs::{self, CommitmentCost, CommitmentCoverage, UnusedCost};
use askama::Template;
use askama_web::WebTemplate;
use axum::extract::State;
use axum::response::Response;
use bigdecimal::BigDecimal;
use std::collections::BTreeMap;

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.get("/commitments", Policy::Money, show).get("/commitments.csv", Policy::Money, export)
}

struct CommitmentRow {
    name: String,
    provider: String,
    amortized: String,
    used: String,
    unused: String,
    purchased: String,
    utilization: String,
}

struct CoverageRow {
    name: String,
    provider: String,
    covered: String,
    usage: String,
    coverage: String,
}

struct UnusedRow {
    buyer: String,
    name: String,
    href: String,
    is_divided: bool,
    unused: String,
    rule_url: String,
}

#[derive(Template, WebTemplate)]
#[template(path = "commitments.html")]
struct CommitmentsPage {
    page: Page,
    answer: String,
    rows: Vec<CommitmentRow>,
    coverage: Vec<CoverageRow>,
    unused: Vec<UnusedRow>,
    can_edit: bool,
    days: String,
}

async fn show(State(app): State<AppState>, principal: Principal) -> Result<CommitmentsPage> {
    let mut snapshot = app.pools.snapshot().await?;
    let page = Page::new(&app, &principal, &mut snapshot, "Commitments", NavItem::Rules).await?;
    let (recent, _) = rules::ranges(&page);
    let scope = principal.scope();
    let commitments = commitment_costs::commitments(&mut snapshot, &scope, recent).await?;
    let coverage = commitment_costs::coverage(&mut snapshot, &scope, recent).await?;
    let unused = commitment_costs::unused(&mut snapshot, &scope, recent).await?;
    Ok(CommitmentsPage {
        answer: answer(&commitments),
        rows: commitments.iter().map(commitment).collect(),
        coverage: coverage.iter().map(coverage_row).collect(),
        unused: unused.iter().map(unused_row).collect(),
        can_edit: Policy::Bills.allows(&principal),
        days: format!("{} to {}", recent.start(), recent.last_day()),
        page,
    })
}

// "$120.00 of commitments, 87.5% used", one part a currency.
fn answer(commitments: &[CommitmentCost]) -> String {
    let mut sums: BTreeMap<&str, (BigDecimal, BigDecimal)> = BTreeMap::new();
    for one in commitments {
        let (used, whole) = sums.entry(&one.currency).or_default();
        *used += &one.used;
        *whole += &one.used + &one.unused;
    }
    let part = |(currency, (used, whole)): (&str, (BigDecimal, BigDecimal))| {
        let share = display::percent(&used, &whole).map_or_else(String::new, |share| format!(", {share} of it used"));
        format!("{} of commitments{share}", moves::text(&whole, currency))
    };
    let parts: Vec<String> = sums.into_iter().map(part).collect();
    if parts.is_empty() { "No commitment has cost on these days.".into() } else { format!("{}.", parts.join("; ")) }
}

fn commitment(one: &CommitmentCost) -> CommitmentRow {
    let whole = &one.used + &one.unused;
    // Rounded so that used and unused add up to the amortized cost as shown.
    let digits = display::minor_units(&one.currency);
    let shown = display::shown(&[one.used.clone(), one.unused.clone()], &whole, digits);
    let text = |amount: &BigDecimal| moves::text(amount, &one.currency);
    CommitmentRow {
        name: one.commitment_id.clone().unwrap_or_else(|| "not named in the bill".into()),
        provider: one.provider_name.clone().unwrap_or_default(),
        amortized: text(&whole),
        used: shown.first().map(text).unwrap_or_default(),
        unused: shown.get(1).map(text).unwrap_or_default(),
        purchased: text(&one.purchased),
        utilization: display::percent(&one.used, &whole).unwrap_or_else(|| "no use".into()),
    }
}

fn coverage_row(one: &CommitmentCoverage) -> CoverageRow {
    CoverageRow {
        name: one.service_name.clone().unwrap_or_else(|| "not named in the bill".into()),
        provider: one.provider_name.clone().unwrap_or_default(),
        covered: moves::text(&one.covered, &one.currency),
        usage: moves::text(&one.usage, &one.currency),
        coverage: display::percent(&one.covered, &one.usage).unwrap_or_else(|| "no list prices".into()),
    }
}

fn unused_row(one: &UnusedCost) -> UnusedRow {
    let condition = |attribute: &str, value: &str| ConditionFields {
        attribute: attribute.into(),
        operator: "equals".into(),
        value: value.into(),
    };
    let mut conditions = vec![condition("commitment_discount_status", "Unused")];
    conditions.extend(one.sub_account_id.as_deref().map(|id| condition("sub_account_id", id)));
    let form = RuleForm { applies_to: "charges".into(), conditions, place: "first".into(), ..RuleForm::default() };
    let buyer = one.sub_account_name.clone().or_else(|| one.sub_account_id.clone());
    UnusedRow {
        buyer: buyer.unwrap_or_else(|| "not named in the bill".into()),
        name: one.name.clone(),
        href: if one.slug.is_empty() { "/unmapped".into() } else { format!("/services/{}", one.slug) },
        is_divided: one.is_divided,
        unused: moves::text(&one.unused, &one.currency),
        rule_url: form.url("/rules/new"),
    }
}

async fn export(State(app): State<AppState>, principal: Principal) -> Result<Response> {
    let mut snapshot = app.pools.snapshot().await?;
    let page = Page::new(&app, &principal, &mut snapshot, "Commitments", NavItem::Rules).await?;
    let (recent, _) = rules::ranges(&page);
    let commitments = commitment_costs::commitments(&mut snapshot, &principal.scope(), recent).await?;
    let mut table =
        Table::new(&["CommitmentDiscountId", "ProviderName", "BillingCurrency", "Used", "Unused", "Purchased"]);
    for one in &commitments {
        table.row(&[
            (&one.commitment_id).into(),
            (&one.provider_name).into(),
            (&one.currency).into(),
            Cell::Amount(&one.used),
            Cell::Amount(&one.unused),
            Cell::Amount(&one.purchased),
        ]);
    }
    Ok(table.into_response("commitments.csv"))
}
