//! `/why`: why spend changed between two periods, for any scope.

use super::{Explained, WalkLabels, WalkLines, Why, WhyWalk, by_day, read, table};
use crate::allocate::dimension_label;
use crate::focus::BillingPeriod;
use crate::store::freshness::Freshness;
use crate::store::variance_costs::Question;
use crate::store::{Snapshot, dimension_costs, service_costs};
use crate::web::cost_columns::CostColumns;
use crate::web::display::{Delta, decimals};
use crate::web::parts::{Field, Filters, Select};
use crate::web::query::{Accepts, NONE, Span, VALUE_BYTES_MAX, View, range_label};
use crate::web::{AppState, Error, NavItem, Page, Policy, Principal, Result, Routes, drill};
use askama::Template;
use askama_web::WebTemplate;
use axum::extract::{RawQuery, State};
use axum::response::Response;

/// What the page and the API take.
pub const ACCEPTS: Accepts =
    Accepts { texts: &["vs", "service", "env", "team", "provider", "charge", "dimension"], by: &[], sort: &[] };

/// Months to choose from in the form.
const MONTH_COUNT: usize = 13;

/// Both periods; `None` where none of their days is complete yet. A day of both would be on neither side.
pub fn span(view: &View, bills: &Freshness) -> Result<Option<Span>> {
    let span = view.span(bills);
    match span.filter(Span::overlaps) {
        Some(span) => Err(Error::Invalid(format!(
            "The days of period ({}) and of vs ({}) overlap. Name two periods that share no day.",
            range_label(span.days),
            range_label(span.before)
        ))),
        None => Ok(span),
    }
}

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.get("/why", Policy::Money, show).get("/why.csv", Policy::Money, export)
}

#[derive(Template, WebTemplate)]
#[template(path = "why.html")]
struct WhyPage {
    page: Page,
    filters: Filters,
    answer: String,
    comparison: String,
    csv_href: String,
    walks: Vec<WhyWalk>,
    /// Whether bills tell of the days of both.
    is_compared: bool,
    /// Whether one value of a dimension is asked about.
    is_of_dimension: bool,
}

async fn show(State(app): State<AppState>, principal: Principal, RawQuery(query): RawQuery) -> Result<WhyPage> {
    let view = View::parse(query.as_deref(), ACCEPTS)?;
    let mut snapshot = app.pools.snapshot().await?;
    let page = Page::of_view(&app, &principal, &mut snapshot, "Why spend changed", NavItem::Services, &view).await?;
    let choices = service_costs::choices(&mut snapshot).await?;
    let dimensions = dimension_field(&mut snapshot, &view).await?;
    let span = span(&view, &page.bills)?;
    let mut explained = Why::default();
    if let Some(span) = span.as_ref().filter(|span| span.is_compared()) {
        explained = asked(&app, &principal, &page.bills, &mut snapshot, &view, span).await?;
    }
    let months: Vec<BillingPeriod> = page
        .bills
        .complete_to()
        .map(BillingPeriod::containing)
        .map(|last| std::iter::successors(Some(last), |month| Some(month.previous())).take(MONTH_COUNT).collect())
        .unwrap_or_default();
    let csv_href = view.link("/why.csv", &[]);
    let lines = span.as_ref().map(|span| WalkLines::on(&drill::lines(&view, &[]), span.before, span.days));
    let labels = span.as_ref().map(|span| (range_label(span.before), range_label(span.days)));
    let walks = labels.as_ref().map_or_else(Vec::new, |(before, now)| {
        WhyWalk::all(&explained, &WalkLabels { before, now, more_href: "", csv_href: "", lines: lines.as_ref() })
    });
    Ok(WhyPage {
        answer: answer(&explained.changes, span.as_ref()),
        filters: Filters::new("/why", &view, span.as_ref(), selects(&view, choices))
            .with_any_days(&view, &months)
            .with_field(dimensions),
        comparison: span.map(|span| span.comparison_label()).unwrap_or_default(),
        csv_href,
        walks,
        is_compared: span.is_none_or(|span| span.is_compared()),
        is_of_dimension: view.text("dimension").is_some(),
        page,
    })
}

async fn export(State(app): State<AppState>, principal: Principal, RawQuery(query): RawQuery) -> Result<Response> {
    let view = View::parse(query.as_deref(), ACCEPTS)?;
    let mut snapshot = app.pools.snapshot().await?;
    let bills = view.bills(&app, &mut snapshot, &principal.scope()).await?;
    let mut why = Why::default();
    let span = span(&view, &bills)?;
    // Its amounts are changes of one cost: which, and of which days, is in its name.
    let name = CostColumns::new(view.basis, span).file_name("why");
    if let Some(span) = span.filter(Span::is_compared) {
        why = asked(&app, &principal, &bills, &mut snapshot, &view, &span).await?;
    }
    Ok(table(&why).into_response(&name))
}

// The change that an address asks about.
async fn asked(
    app: &AppState,
    principal: &Principal,
    bills: &Freshness,
    snapshot: &mut Snapshot,
    view: &View,
    span: &Span,
) -> Result<Why> {
    let filter = view.filter(snapshot, span.days).await?;
    let dimension = view.dimension(snapshot).await?;
    let question = Question { dimension: dimension.as_ref(), ..by_day(&filter, span.before) };
    Ok(read(app, bills, snapshot, &principal.scope(), question, None).await?)
}

// Any dimension and value may be written; those that rules and teams name are suggested.
async fn dimension_field(snapshot: &mut Snapshot, view: &View) -> Result<Field> {
    let named = dimension_costs::named_values(snapshot).await?;
    let choice = |(name, value): (String, String)| {
        let label = format!("{} {value}", dimension_label(&name));
        (format!("{name}:{value}"), label)
    };
    Ok(Field {
        name: "dimension",
        label: "Dimension",
        value: view.field("dimension").to_owned(),
        choices: named.into_iter().map(choice).collect(),
        length_max: VALUE_BYTES_MAX,
    })
}

fn selects(view: &View, choices: service_costs::Choices) -> Vec<Select> {
    let all = || vec![(String::new(), "All".to_owned())];
    let none = |label: &str| vec![(NONE.to_owned(), label.to_owned())];
    let mut selects = vec![
        Select::new("team", "Team", view.field("team"), [all(), choices.teams, none("No team")].concat()),
        Select::new("env", "Environment", view.field("env"), [all(), choices.environments, none("None")].concat()),
    ];
    for (key, label) in [("service", "Service"), ("provider", "Provider"), ("charge", "Charge type")] {
        if view.text(key).is_some() {
            selects.push(Select::new(key, label, view.field(key), all()));
        }
    }
    selects
}

fn answer(explained: &[Explained], span: Option<&Span>) -> String {
    let Some(span) = span else { return "No complete day of bills lies in this period yet.".into() };
    if let Some(why) = span.no_comparison() {
        return format!("There is no change to explain from {}: {why}.", range_label(span.days));
    }
    let sentences: Vec<String> = explained.iter().filter_map(sentence).collect();
    if sentences.is_empty() {
        return format!("Nothing was spent from {}, nor in {}.", range_label(span.days), span.before_label());
    }
    format!("From {} against {}: {}.", range_label(span.days), span.before_label(), sentences.join("; "))
}

// "spend rose $120, most of it by more traffic ($80)".
fn sentence(one: &Explained) -> Option<String> {
    let digits = decimals(&one.currency, &one.now.abs().max(one.before.abs()));
    let change = Delta::between(&one.now, &one.before, &one.currency, digits);
    let (largest, shown) = one.largest(digits)?;
    let part = Delta::amount(&shown, &one.currency, digits);
    Some(format!(
        "spend {} {} in {}, the largest part: {} ({})",
        change.direction.verb(),
        // The verb says which way.
        change.amount.trim_start_matches(['+', '\u{2212}', '±']),
        one.currency,
        largest.label.to_lowercase(),
        part.amount
    ))
}
