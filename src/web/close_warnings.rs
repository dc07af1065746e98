//! What is wanting in a month that is about to be closed: said by the page, the API and the command alike. It stops nobody.

use super::invoice_compared::Compared;
use super::invoice_list;
use super::statement::MonthState;
use crate::focus::BillingPeriod;
use crate::store::month_closing::{self, Closing};
use crate::store::statement_ties::{self, MonthReach};
use crate::store::{Scope, deliveries, rates};
use chrono::NaiveDate;
use sqlx::PgConnection;
use std::collections::BTreeSet;

/// Invoices, and months, that are named; of more it is said how many there are.
const NAMED_COUNT_MAX: usize = 12;

/// How far a month has come before it is closed.
#[derive(Debug)]
pub struct Standing {
    /// The closing that holds now.
    pub closing: Option<Closing>,
    /// How far its bills have come.
    pub state: MonthState,
    reach: Vec<MonthReach>,
}

impl Standing {
    /// Reads it.
    pub async fn read(conn: &mut PgConnection, month: BillingPeriod, today: NaiveDate) -> sqlx::Result<Self> {
        let reach = statement_ties::reach(&mut *conn).await?;
        let closing = month_closing::current(conn, month).await?;
        let state = MonthState::of(month, &reach, closing.as_ref(), today);
        Ok(Self { closing, state, reach })
    }
}

/// One thing that is wanting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloseWarning {
    /// In a few words.
    pub title: String,
    /// In sentences. What is named one by one has a paragraph each.
    pub paragraphs: Vec<Vec<Words>>,
    /// The page where something can be done about it, and its name.
    pub page: Option<(String, String)>,
}

/// Words of a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words {
    /// As they are read.
    pub words: String,
    /// The page of what they name.
    pub path: Option<String>,
}

impl CloseWarning {
    fn new(title: impl Into<String>, words: impl Into<String>) -> Self {
        Self { title: title.into(), paragraphs: vec![vec![Words::plain(words)]], page: None }
    }

    fn with_page(self, path: impl Into<String>, name: impl Into<String>) -> Self {
        Self { page: Some((path.into(), name.into())), ..self }
    }

    /// All that it says, where nothing leads anywhere.
    pub fn text(&self) -> String {
        let words = |paragraph: &Vec<Words>| paragraph.iter().map(|one| one.words.as_str()).collect::<String>();
        self.paragraphs.iter().map(words).collect::<Vec<String>>().join(" ")
    }
}

impl Words {
    fn plain(words: impl Into<String>) -> Self {
        Self { words: words.into(), path: None }
    }

    fn link(words: impl Into<String>, path: impl Into<String>) -> Self {
        Self { words: words.into(), path: Some(path.into()) }
    }
}

/// What is wanting in a month, the gravest first. Whoever may close a month sees all cost.
pub async fn close_warnings(
    conn: &mut PgConnection,
    month: BillingPeriod,
    standing: &Standing,
    today: NaiveDate,
) -> sqlx::Result<Vec<CloseWarning>> {
    let state = &standing.state;
    let missing_bills = state.is_open().then(|| CloseWarning::new("Bills are missing", state.sentence()));
    let deliveries = waiting_deliveries(&mut *conn, month).await?;
    let rates = missing_rates(&mut *conn, month).await?;
    let invoices = invoice_list::open(&mut *conn, &Scope::everything(), month, today).await?;
    let closed = month_closing::closed(conn).await?;
    let open_before = open_before(month, &standing.reach, &closed);
    let all = [missing_bills, deliveries, rates, untied_invoices(month, &invoices), open_months(&open_before)];
    Ok(all.into_iter().flatten().collect())
}

async fn waiting_deliveries(conn: &mut PgConnection, month: BillingPeriod) -> sqlx::Result<Option<CloseWarning>> {
    let count = deliveries::waiting_in(&mut *conn, month.first_day()).await?;
    let (wait, them) = match count {
        0 => return Ok(None),
        1 => ("1 delivery waits for a decision and holds".to_owned(), "it changes"),
        count => (format!("{count} deliveries wait for a decision and hold"), "they change"),
    };
    let words = format!("{wait} bills of {}. Accepted later, what {them} is booked to an open month.", month.label());
    Ok(Some(CloseWarning::new("Deliveries wait", words).with_page("/sources", "Data sources")))
}

async fn missing_rates(conn: &mut PgConnection, month: BillingPeriod) -> sqlx::Result<Option<CloseWarning>> {
    let Some(rates) = rates::reporting(&mut *conn, month, month).await? else { return Ok(None) };
    let needed = rates::needed(&mut *conn).await?.into_iter().filter(|one| one.month == month.first_day());
    let unrated: Vec<String> = needed
        .map(|one| one.billing_currency)
        .filter(|currency| currency != rates.reporting_currency() && rates.get(month, currency).is_none())
        .collect();
    Ok((!unrated.is_empty()).then(|| {
        let words = format!(
            "There is no rate for {} in {}. While the month is closed none can be added.",
            unrated.join(", "),
            month.label()
        );
        CloseWarning::new("Rates are missing", words).with_page("/finance/rates", "Exchange rates")
    }))
}

/// Invoices of the month that do not tie or are missing.
fn untied_invoices(month: BillingPeriod, invoices: &[Compared]) -> Option<CloseWarning> {
    let title = match invoices.len() {
        0 => return None,
        1 => "1 invoice does not tie".to_owned(),
        count => format!("{count} invoices do not tie"),
    };
    let named = invoices.iter().take(NAMED_COUNT_MAX);
    let mut paragraphs: Vec<Vec<Words>> = named.map(|one| invoice_words(month, one)).collect();
    let more = match invoices.len().saturating_sub(NAMED_COUNT_MAX) {
        0 => String::new(),
        count => format!("And {count} more. "),
    };
    let rest = "The month can be closed all the same; what is settled later is booked to a later month.";
    paragraphs.push(vec![Words::plain(format!("{more}{rest}"))]);
    let page = (format!("/finance/invoices?month={month}"), format!("Invoices of {}", month.label()));
    Some(CloseWarning { title, paragraphs, page: Some(page) })
}

/// Its name, which leads to its page, or to all of the month where no total is recorded; its state, and where it differs
/// which side is larger.
fn invoice_words(month: BillingPeriod, one: &Compared) -> Vec<Words> {
    let path = match one.row.invoice_key {
        Some(key) => format!("/finance/invoices/{key}"),
        None => format!("/finance/invoices?month={month}"),
    };
    let state = one.comparison.state.label().to_lowercase();
    let difference = match one.difference_words() {
        words if words.is_empty() => words,
        words => format!(", {words}"),
    };
    vec![Words::link(one.name(), path), Words::plain(format!(": {state}{difference}."))]
}

/// Months before it that have bills and are not closed, the newest first.
fn open_before(month: BillingPeriod, reach: &[MonthReach], closed: &[Closing]) -> Vec<BillingPeriod> {
    let closed: BTreeSet<NaiveDate> = closed.iter().map(|closing| closing.month).collect();
    let billed: BTreeSet<NaiveDate> = reach.iter().map(|row| row.month).collect();
    let open = billed.iter().rev().filter(|day| **day < month.first_day() && !closed.contains(*day));
    open.map(|day| BillingPeriod::containing(*day)).collect()
}

fn open_months(months: &[BillingPeriod]) -> Option<CloseWarning> {
    let title = match months.len() {
        0 => return None,
        1 => "A month before it is still open".to_owned(),
        count => format!("{count} months before it are still open"),
    };
    let mut words = Vec::new();
    for one in months.iter().take(NAMED_COUNT_MAX) {
        if !words.is_empty() {
            words.push(Words::plain(", "));
        }
        words.push(Words::link(one.label(), format!("/finance/statements/{one}")));
    }
    let more = match months.len().saturating_sub(NAMED_COUNT_MAX) {
        0 => String::new(),
        count => format!(" and {count} more"),
    };
    words.push(Words::plain(format!("{more}. What changes there changes their statements, not this one.")));
    Some(CloseWarning { title, paragraphs: vec![words], page: None })
}
