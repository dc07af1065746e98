//! `/sources`: where bills come from, how far each reaches, and what wants a decision.

use super::csv::{Cell, Table};
use super::{AppState, NavItem, Page, Policy, Principal, Result, Routes, filters};
use crate::store::bill_gaps::Gap;
use crate::store::freshness::{Freshness, SourceReach, SourceState};
use crate::store::sources::{self, DeliveryRow, SourceRow};
use crate::store::unread_files;
use askama::Template;
use askama_web::WebTemplate;
use axum::extract::State;
use axum::response::Response;
use chrono::{Days, NaiveDate};

/// Deliveries on the page; each source has all of its own.
const DELIVERY_COUNT: i64 = 20;
/// Sources behind the others that are named in the first line.
const NAME_COUNT_MAX: usize = 3;

/// The routes of the page.
pub fn routes(routes: Routes) -> Routes {
    routes.get("/sources", Policy::Bills, show).get("/sources.csv", Policy::Bills, download)
}

async fn show(State(app): State<AppState>, principal: Principal) -> Result<SourcesPage> {
    let mut snapshot = app.pools.snapshot().await?;
    let page = Page::new(&app, &principal, &mut snapshot, "Data sources", NavItem::Sources).await?;
    let rows = sources::list(&mut snapshot).await?;
    let deliveries = sources::deliveries(&mut snapshot, None, None, DELIVERY_COUNT).await?;
    let unread = unread_files::list(&mut *snapshot, None, page.now).await?;
    let lede = lede(&page.bills, &rows, unread.len());
    let unread_of = |source_id| unread.iter().filter(|file| file.source_id == Some(source_id)).count();
    let row = |source: SourceRow| Row {
        reach: reach(&page, source.source_id),
        complete_to: complete_to(&page.bills, source.source_id),
        unread_count: unread_of(source.source_id),
        source,
    };
    let rows = rows.into_iter().map(row).collect();
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
    let bills = app.bills(&mut snapshot).await?;
    for source in sources::list(&mut snapshot).await? {
        table.row(&[
            (&source.name).into(),
            (&source.provider_name).into(),
            complete_to(&bills, source.source_id).into(),
            source.last_received_at.map_or(Cell::Empty, |at| at.to_rfc3339().into()),
            (&source.last_state).into(),
            source.charge_count.into(),
            source.delivery_count.into(),
            source.quarantined_count.into(),
        ]);
    }
    Ok(table.into_response("sources.csv"))
}

/// The last day that its current bills can hold in full, as the first line says it.
fn complete_to(bills: &Freshness, source_id: i64) -> Option<NaiveDate> {
    bills.sources.iter().find(|source| source.source_id == source_id).map(|source| source.complete_to)
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
        Some(SourceState::Complete) => match lacking(&page.bills, source_id).into_iter().next() {
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
pub(crate) fn lacking(bills: &Freshness, source_id: i64) -> Vec<String> {
    let accounts = bills.late().filter(|late| late.source_id == source_id && late.account.is_some());
    let late = |late: &SourceReach| format!("{} is missing since {}", late.name, day_after(late.complete_to));
    let gaps = bills.gaps.iter().filter(|gap| gap.source_id == source_id);
    let gap = |gap: &Gap| format!("{} has no bill for {}", gap.name, gap.period.label());
    accounts.map(late).chain(gaps.map(gap)).collect()
}

fn day_after(day: NaiveDate) -> String {
    (day + Days::new(1)).format("%-d %b %Y").to_string()
}

fn lede(bills: &Freshness, rows: &[SourceRow], unread_count: usize) -> String {
    let waiting: i64 = rows.iter().map(|source| source.quarantined_count).sum();
    let late: Vec<&str> = bills.late().map(|source| source.name.as_str()).collect();
    let mut text = complete(bills, rows.len());
    match late.as_slice() {
        [] => {}
        [one] => text.push_str(&format!(" {one} is late.")),
        [first, ..] => text.push_str(&format!(" {first} and {} more are late.", late.len() - 1)),
    }
    match bills.gaps.as_slice() {
        [] => {}
        [gap] => text.push_str(&format!(" {} has no bill for {}.", gap.name, gap.period.label())),
        [gap, ..] => text.push_str(&format!(
            " {} has no bill for {}, nor is there one in {} more cases; the page of each source names its own.",
            gap.name,
            gap.period.label(),
            bills.gaps.len() - 1
        )),
    }
    match waiting {
        0 => {}
        1 => text.push_str(" One delivery waits for a decision."),
        count => text.push_str(&format!(" {count} deliveries wait for a decision.")),
    }
    match unread_count {
        0 => {}
        1 => text.push_str(" One file could not be read."),
        count => text.push_str(&format!(" {count} files could not be read.")),
    }
    text
}

/// "6 of 7 sources are complete to Fri 27 Nov 2026, edge to Tue 24 Nov 2026; 2 have no bill yet.": those without a bill are
/// complete to no day, and each that ends sooner has a day of its own.
fn complete(bills: &Freshness, source_count: usize) -> String {
    let Some(day) = bills.complete_to() else {
        return format!("{}, and none has a bill that counts.", counted(source_count));
    };
    let told = |day: NaiveDate| day.format("%a %-d %b %Y").to_string();
    let all = bills.sources.len();
    let mut behind: Vec<&SourceReach> = bills.sources.iter().filter(|source| source.complete_to < day).collect();
    behind.sort_by(|left, right| right.complete_to.cmp(&left.complete_to).then_with(|| left.name.cmp(&right.name)));
    let there = all - behind.len();
    let be = if there == 1 { "is" } else { "are" };
    let mut text = match behind.is_empty() {
        true => format!("{} {be} complete to {}", counted(all), told(day)),
        false => format!("{there} of {} {be} complete to {}", counted(all), told(day)),
    };
    let (named, more) = behind.split_at(behind.len().min(NAME_COUNT_MAX));
    for source in named {
        text.push_str(&format!(", {} to {}", source.name, told(source.complete_to)));
    }
    if let Some(last) = more.last() {
        text.push_str(&format!(", {} more to days back to {}", more.len(), told(last.complete_to)));
    }
    match source_count.saturating_sub(all) {
        0 => {}
        1 => text.push_str("; 1 has no bill yet"),
        count => text.push_str(&format!("; {count} have no bill yet")),
    }
    text.push('.');
    text
}

fn counted(source_count: usize) -> String {
    if source_count == 1 { "1 source".into() } else { format!("{source_count} sources") }
}

struct Row {
    source: SourceRow,
    reach: Reach,
    complete_to: Option<NaiveDate>,
    /// Files that could not be read.
    unread_count: usize,
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

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::DateTime;

    fn bills(sources: &[(&str, &str)]) -> Freshness {
        let source = |(name, day): &(&str, &str)| {
            let complete_to = day.parse().unwrap();
            SourceReach {
                source_id: 1,
                name: (*name).into(),
                account: None,
                bills_from: complete_to,
                complete_to,
                last_charge_date: complete_to,
                read_at: DateTime::UNIX_EPOCH,
                is_daily: true,
                settles_after_days: None,
                has_rhythm: true,
            }
        };
        Freshness { sources: sources.iter().map(source).collect(), ..Freshness::default() }
    }

    #[test]
    fn sources_are_complete_to_their_own_days_and_those_without_a_bill_to_none() {
        let said = |sources: &[(&str, &str)], count| complete(&bills(sources), count);
        assert_eq!(said(&[], 2), "2 sources, and none has a bill that counts.");
        assert_eq!(said(&[("aws", "2026-11-27")], 1), "1 source is complete to Fri 27 Nov 2026.");
        let three = [("aws", "2026-11-27"), ("edge", "2026-11-24"), ("gcp", "2026-11-27")];
        assert_eq!(
            said(&three, 5),
            "2 of 3 sources are complete to Fri 27 Nov 2026, edge to Tue 24 Nov 2026; 2 have no bill yet."
        );
        let behind = [("b", "2026-11-20"), ("d", "2026-06-30"), ("a", "2026-11-20"), ("c", "2026-09-30")];
        let all: Vec<(&str, &str)> = [("aws", "2026-11-27")].into_iter().chain(behind).collect();
        assert_eq!(
            said(&all, 6),
            "1 of 5 sources is complete to Fri 27 Nov 2026, a to Fri 20 Nov 2026, b to Fri 20 Nov 2026, c to Wed 30 Sep \
             2026, 1 more to days back to Tue 30 Jun 2026; 1 has no bill yet."
        );
    }
}
