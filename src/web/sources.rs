//! `/sources`: where bills come from, how far each reaches, and what wants a decision.

use super::csv::{Cell, Table};
use super::{AppState, NavItem, Page, Policy, Principal, Result, Routes, filters};
use crate::store::bill_gaps::Gap;
use crate::store::freshness::{SourceReach, SourceState};
use crate::store::sources::{self, DeliveryRow, SourceRow};
use askama::Template;
use askama_web::WebTemplate;
use axum::extract::State;
use axum::response::Response;
use chrono::{Days, NaiveDate};

/// Deliveries on the page; each source has all of its own.
const DELIVERY_COUNT: i64 = 20;

/// The routes of the page.
pub fn routes(routes: Routes) -> Routes {
    routes.get("/sources", Policy::Bills, show).get("/sources.csv", Policy::Bills, download)
}

async fn show(State(app): State<AppState>, principal: Principal) -> Result<SourcesPage> {
    let mut snapshot = app.pools.snapshot().await?;
    let page = Page::new(&app, &principal, &mut snapshot, "Data sources", NavItem::Sources).await?;
    let rows = sources::list(&mut snapshot).await?;
    let deliveries = sources::deliveries(&mut snapshot, None, None, DELIVERY_COUNT).await?;
    let lede = lede(&page, &rows);
    let rows = rows.into_iter().map(|source| Row { reach: reach(&page, source.source_id), source }).collect();
    Ok(SourcesPage { page, lede, rows, deliveries })
}

async fn download(State(app): State<AppState>) -> Result<Response> {
    let mut snapshot = app.pools.snapshot().await?;
    let mut table = Table::new(&[
        "Source",
        "ProviderName",
        "CompleteTo",
        "LastReceivedAt",
        "LastState",
        "Lines",
        "Deliveries",
        "Quarantined",
    ]);
    for source in sources::list(&mut snapshot).await? {
        table.row(&[
            (&source.name).into(),
            (&source.provider_name).into(),
            source.complete_to.into(),
            source.last_received_at.map_or(Cell::Empty, |at| at.to_rfc3339().into()),
            (&source.last_state).into(),
            source.charge_count.into(),
            source.delivery_count.into(),
            source.quarantined_count.into(),
        ]);
    }
    Ok(table.into_response("sources.csv"))
}

/// Whether a source keeps up, in words and as a class of the style sheet.
pub(super) struct Reach {
    pub word: String,
    pub is_late: bool,
}

pub(super) fn reach(page: &Page, source_id: i64) -> Reach {
    let found = page.bills.sources.iter().find(|source| source.source_id == source_id);
    match found.map(|source| page.bills.state(source)) {
        None => Reach { word: "No bill counted".into(), is_late: true },
        Some(SourceState::Complete) => match lacking(page, source_id).into_iter().next() {
            Some(word) => Reach { word, is_late: true },
            None => Reach { word: "Complete".into(), is_late: false },
        },
        Some(SourceState::Late(1)) => Reach { word: "Late by 1 day".into(), is_late: true },
        Some(SourceState::Late(days)) => Reach { word: format!("Late by {days} days"), is_late: true },
        Some(SourceState::Ended) => {
            let word = found.map_or("Ended", SourceReach::ended_word);
            Reach { word: word.into(), is_late: false }
        }
    }
}

/// What lacks within a source that is there: accounts that are late, and billing periods between others.
pub(super) fn lacking(page: &Page, source_id: i64) -> Vec<String> {
    let accounts = page.bills.late().filter(|late| late.source_id == source_id && late.account.is_some());
    let late = |late: &SourceReach| format!("{} is missing since {}", late.name, day_after(late.complete_to));
    let gaps = page.bills.gaps.iter().filter(|gap| gap.source_id == source_id);
    let gap = |gap: &Gap| format!("{} has no bill for {}", gap.name, gap.period.label());
    accounts.map(late).chain(gaps.map(gap)).collect()
}

fn day_after(day: NaiveDate) -> String {
    (day + Days::new(1)).format("%-d %b %Y").to_string()
}

fn lede(page: &Page, rows: &[SourceRow]) -> String {
    let waiting: i64 = rows.iter().map(|source| source.quarantined_count).sum();
    let late: Vec<&str> = page.bills.late().map(|source| source.name.as_str()).collect();
    let mut text = match page.bills.complete_to() {
        Some(day) => format!("Bills of {} sources are complete to {}", rows.len(), day.format("%a %-d %b %Y")),
        None => format!("{} sources, and none has a bill that counts", rows.len()),
    };
    match late.as_slice() {
        [] => text.push('.'),
        [one] => text.push_str(&format!("; {one} is late.")),
        [first, ..] => text.push_str(&format!("; {first} and {} more are late.", late.len() - 1)),
    }
    if let Some(gap) = page.bills.gaps.first() {
        text.push_str(&format!(" {} has no bill for {}.", gap.name, gap.period.label()));
    }
    match waiting {
        0 => {}
        1 => text.push_str(" One delivery waits for a decision."),
        count => text.push_str(&format!(" {count} deliveries wait for a decision.")),
    }
    text
}

struct Row {
    source: SourceRow,
    reach: Reach,
}

#[derive(Template, WebTemplate)]
#[template(path = "sources.html")]
struct SourcesPage {
    page: Page,
    lede: String,
    rows: Vec<Row>,
    deliveries: Vec<DeliveryRow>,
}

/// What became of a delivery, in words that say what it means for the figures.
pub(super) fn state_words(state: &str) -> &'static str {
    match state {
        "waiting" => "Waiting to be read",
        "loading" => "Being read",
        "published" => "Counted",
        "unchanged" => "Same as before",
        "quarantined" => "Waits for a decision",
        "refused" => "Refused",
        "failed" => "Failed",
        "withdrawn" => "Withdrawn",
        "superseded" => "Replaced",
        _ => "Unknown",
    }
}

/// The class of a state: bad news stands out.
pub(super) fn state_class(state: &str) -> &'static str {
    match state {
        "quarantined" | "refused" | "failed" => "up",
        "published" => "down",
        _ => "flat",
    }
}
