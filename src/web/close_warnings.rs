//! What is wanting in a month that is about to be closed: said by the page and the command alike. It stops nobody.

use super::month_state::MonthState;
use crate::focus::BillingPeriod;
use crate::store::{deliveries, month_closing, rates, statement_ties};
use chrono::NaiveDate;
use sqlx::PgConnection;

/// One thing that is wanting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloseWarning {
    /// In three words.
    pub title: &'static str,
    /// In sentences.
    pub words: String,
    /// The page where something can be done about it, and its name.
    pub page: Option<(&'static str, &'static str)>,
}

/// What is wanting in a month, the gravest first.
pub async fn close_warnings(
    conn: &mut PgConnection,
    month: BillingPeriod,
    today: NaiveDate,
) -> sqlx::Result<Vec<CloseWarning>> {
    let all = [
        missing_bills(&mut *conn, month, today).await?,
        waiting_deliveries(&mut *conn, month).await?,
        missing_rates(&mut *conn, month).await?,
    ];
    Ok(all.into_iter().flatten().collect())
}

async fn missing_bills(
    conn: &mut PgConnection,
    month: BillingPeriod,
    today: NaiveDate,
) -> sqlx::Result<Option<CloseWarning>> {
    let reach = statement_ties::reach(&mut *conn).await?;
    let closing = month_closing::current(&mut *conn, month).await?;
    let state = MonthState::of(month, &reach, closing.as_ref(), today);
    Ok(state.is_open().then(|| CloseWarning { title: "Bills are missing", words: state.sentence(), page: None }))
}

async fn waiting_deliveries(conn: &mut PgConnection, month: BillingPeriod) -> sqlx::Result<Option<CloseWarning>> {
    let count = deliveries::waiting_in(&mut *conn, month.first_day()).await?;
    let (wait, them) = match count {
        0 => return Ok(None),
        1 => ("1 delivery waits for a decision and holds".to_owned(), "it changes"),
        count => (format!("{count} deliveries wait for a decision and hold"), "they change"),
    };
    Ok(Some(CloseWarning {
        title: "Deliveries wait",
        words: format!("{wait} bills of {}. Accepted later, what {them} is booked to an open month.", month.label()),
        page: Some(("/sources", "Data sources")),
    }))
}

async fn missing_rates(conn: &mut PgConnection, month: BillingPeriod) -> sqlx::Result<Option<CloseWarning>> {
    let Some(rates) = rates::reporting(&mut *conn, month, month).await? else { return Ok(None) };
    let needed = rates::needed(&mut *conn).await?.into_iter().filter(|one| one.month == month.first_day());
    let unrated: Vec<String> = needed
        .map(|one| one.billing_currency)
        .filter(|currency| currency != rates.reporting_currency() && rates.get(month, currency).is_none())
        .collect();
    Ok((!unrated.is_empty()).then(|| CloseWarning {
        title: "Rates are missing",
        words: format!(
            "There is no rate for {} in {}. While the month is closed none can be added.",
            unrated.join(", "),
            month.label()
        ),
        page: Some(("/finance/rates", "Exchange rates")),
    }))
}
