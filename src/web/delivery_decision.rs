//! Accept, revert, withdraw: each says first what it does to the totals, then asks, then does it.

use super::delivery_late::{self, LateSection};
use super::delivery_replaced::ReplacedSection;
use super::{
    AppState, ClientAddress, Error, NavItem, Page, Policy, Principal, Result, Routes, detached, display, filters,
};
use crate::focus::BillingPeriod;
use crate::rollup::{self, CountedAlready, LedgerError, Person};
use crate::store::receipts::{self, Receipt};
use crate::store::sources::{self, Consequence};
use crate::store::{Snapshot, generations, late_bills, month_closing, replaced_waiting};
use askama::Template;
use askama_web::WebTemplate;
use axum::extract::{Path, State};
use axum::response::Redirect;
use bigdecimal::{BigDecimal, Signed};

/// The routes of the pages and their forms.
pub fn routes(routes: Routes) -> Routes {
    routes
        .get("/deliveries/{id}/accept", Policy::Finance, ask_accept)
        .post("/deliveries/{id}/accept", Policy::Finance, accept)
        .get("/deliveries/{id}/revert", Policy::Finance, ask_revert)
        .post("/deliveries/{id}/revert", Policy::Finance, revert)
        .get("/deliveries/{id}/withdraw", Policy::Finance, ask_withdraw)
        .post("/deliveries/{id}/withdraw", Policy::Finance, withdraw)
}

/// What is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It counts.
    Accept,
    /// What it replaced counts again.
    Revert,
    /// Nothing of it counts.
    Withdraw,
}

impl Decision {
    fn word(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Revert => "revert",
            Self::Withdraw => "withdraw",
        }
    }
}

async fn ask_accept(app: State<AppState>, principal: Principal, id: Path<i64>) -> Result<DecisionPage> {
    ask(app, principal, id, Decision::Accept).await
}

async fn ask_revert(app: State<AppState>, principal: Principal, id: Path<i64>) -> Result<DecisionPage> {
    ask(app, principal, id, Decision::Revert).await
}

async fn ask_withdraw(app: State<AppState>, principal: Principal, id: Path<i64>) -> Result<DecisionPage> {
    ask(app, principal, id, Decision::Withdraw).await
}

async fn accept(app: State<AppState>, who: Principal, from: ClientAddress, id: Path<i64>) -> Result<Redirect> {
    decide_by_form(app, who, from, id, Decision::Accept).await
}

async fn revert(app: State<AppState>, who: Principal, from: ClientAddress, id: Path<i64>) -> Result<Redirect> {
    decide_by_form(app, who, from, id, Decision::Revert).await
}

async fn withdraw(app: State<AppState>, who: Principal, from: ClientAddress, id: Path<i64>) -> Result<Redirect> {
    decide_by_form(app, who, from, id, Decision::Withdraw).await
}

async fn ask(
    State(app): State<AppState>,
    principal: Principal,
    Path(delivery_id): Path<i64>,
    decision: Decision,
) -> Result<DecisionPage> {
    let mut snapshot = app.pools.snapshot().await?;
    let receipt = receipts::get(&mut snapshot, delivery_id).await?.ok_or(Error::NotFound)?;
    let current = sources::consequences(&mut snapshot, &principal.scope(), delivery_id).await?;
    let title = format!("Delivery {delivery_id} · Sources");
    let page = Page::new(&app, &principal, &mut snapshot, title, NavItem::Sources).await?;
    let can_revert = current.iter().any(|row| row.earlier_delivery_id.is_some());
    let effects = effects(&current, decision == Decision::Revert);
    let has_lines = generations::has_lines(&mut *snapshot, delivery_id).await?;
    let obstacle = obstacle(&receipt, decision, !current.is_empty(), can_revert, has_lines);
    let beside = match decision {
        Decision::Accept => CountedAlready::of(&mut snapshot, delivery_id).await?.reason(),
        _ => None,
    };
    let replaced = match decision {
        Decision::Accept => ReplacedSection::new(&receipt),
        _ => ReplacedSection::default(),
    };
    let late = if decision == Decision::Accept { LateSection::new(&receipt) } else { LateSection::default() };
    // A refusal changes nothing; what else is decided about closed months is booked to open ones.
    let booked = match decision {
        Decision::Withdraw if current.is_empty() => None,
        _ => booked(&mut snapshot, delivery_id).await?,
    };
    let hand_in_again = match decision {
        Decision::Accept => None,
        _ => rollup::hand_in_again(&replaced_waiting::of(&mut snapshot, delivery_id).await?),
    };
    Ok(DecisionPage { page, receipt, decision, effects, obstacle, beside, late, replaced, booked, hand_in_again })
}

/// Where the difference of closed months goes, in a sentence each.
async fn booked(snapshot: &mut Snapshot, delivery_id: i64) -> Result<Option<String>> {
    let scopes = generations::of_delivery(&mut **snapshot, delivery_id).await?;
    let ids: Vec<i64> = scopes.iter().map(|scope| scope.generation_id).collect();
    let closed = month_closing::closed(snapshot).await?;
    let months = late_bills::closed_months(&mut **snapshot, &ids).await?;
    let sentences: Vec<String> = months
        .into_iter()
        .map(|month| {
            let open = BillingPeriod::containing(month_closing::first_open_after(&closed, month));
            let month = BillingPeriod::containing(month);
            format!("{} is closed: what changes there is booked to {}.", month.label(), open.label())
        })
        .collect();
    Ok((!sentences.is_empty()).then(|| sentences.join(" ")))
}

fn obstacle(
    receipt: &Receipt,
    decision: Decision,
    is_counted: bool,
    can_revert: bool,
    has_lines: bool,
) -> Option<String> {
    match decision {
        Decision::Accept if !matches!(receipt.state.as_str(), "quarantined" | "withdrawn") => {
            Some("Only a delivery that waits for a decision or was taken back can be counted.".into())
        }
        Decision::Accept => rollup::cannot_accept(&receipt.missing_columns).or_else(|| {
            (!has_lines).then(|| "Its lines are not kept, or none could be read: hand the file in again.".into())
        }),
        Decision::Revert if !is_counted => {
            Some("Nothing of this delivery counts, so there is nothing to take back.".into())
        }
        Decision::Revert if !can_revert => {
            Some("This delivery replaced nothing that could count again. It can be withdrawn.".into())
        }
        Decision::Withdraw if !is_counted && receipt.state != "quarantined" => {
            Some("Nothing of this delivery counts, so there is nothing to withdraw.".into())
        }
        _ => None,
    }
}

async fn decide_by_form(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Path(delivery_id): Path<i64>,
    decision: Decision,
) -> Result<Redirect> {
    decide(&app, principal, address, delivery_id, decision).await?;
    Ok(Redirect::to(&format!("/deliveries/{delivery_id}")))
}

/// Does what was decided; it goes on when its reader is gone. What the ledger refuses is said as it says it.
pub async fn decide(
    app: &AppState,
    principal: Principal,
    address: ClientAddress,
    delivery_id: i64,
    decision: Decision,
) -> Result<()> {
    let app = app.clone();
    detached(async move {
        let (now, address) = (app.now(), address.to_string());
        let by = Person { login: &principal.login, address: &address };
        match decision {
            Decision::Accept => drop(rollup::accept(&app.pools, delivery_id, by, now).await.map_err(refusal)?),
            Decision::Revert => rollup::revert(&app.pools, delivery_id, by, now).await.map_err(refusal)?,
            Decision::Withdraw => rollup::withdraw(&app.pools, delivery_id, by, now).await.map_err(refusal)?,
        }
        Ok(())
    })
    .await
}

// What the ledger refuses is said as it says it; anything else is a fault of ours.
fn refusal(error: LedgerError) -> Error {
    match error {
        LedgerError::UnknownDelivery(_) => Error::NotFound,
        LedgerError::Database(error) => error.into(),
        LedgerError::Died | LedgerError::LostJob => Error::Internal(error.into()),
        LedgerError::Other(error) => Error::Internal(error),
        other => Error::Conflict(other.to_string()),
    }
}

/// What a decision does to one total, as the page that asks for it says.
struct Effect {
    period: String,
    account: String,
    before: String,
    after: String,
    change: String,
    is_gone: bool,
}

/// "totals of October move by −$12.34": what taking a delivery back does.
fn effects(rows: &[Consequence], keeps_earlier: bool) -> Vec<Effect> {
    rows.iter()
        .map(|row| {
            let after = if keeps_earlier { row.earlier.clone() } else { BigDecimal::from(0) };
            let change = &after - &row.current;
            let plus = if change.is_positive() { "+" } else { "" };
            Effect {
                period: row.billing_period_start.format("%B %Y").to_string(),
                account: row.billing_account_id.clone(),
                before: display::money_exact(&row.current, &row.billing_currency),
                after: display::money_exact(&after, &row.billing_currency),
                change: format!("{plus}{}", display::money_exact(&change, &row.billing_currency)),
                is_gone: !keeps_earlier || row.earlier_delivery_id.is_none(),
            }
        })
        .collect()
}

#[derive(Template, WebTemplate)]
#[template(path = "delivery_decision.html")]
struct DecisionPage {
    page: Page,
    receipt: Receipt,
    decision: Decision,
    effects: Vec<Effect>,
    obstacle: Option<String>,
    /// Which other source counts the same bill.
    beside: Option<String>,
    late: LateSection,
    /// What counts now and what would count instead.
    replaced: ReplacedSection,
    /// That what closed months lack or have too much is booked to open ones.
    booked: Option<String>,
    /// Which files nobody is asked about any more once this delivery is taken back.
    hand_in_again: Option<String>,
}

/// What accepting a delivery means, as its button says it.
pub(super) fn accept_words(receipt: &Receipt) -> String {
    match (receipt.state.as_str(), receipt.rejected_rows, receipt.missing_columns.as_slice()) {
        ("withdrawn", ..) => "Count again".into(),
        (_, 0, []) if !receipt.closed_months.is_empty() => {
            format!("Book to {}", delivery_late::booked_labels(receipt))
        }
        (_, 0, []) if receipt.waits_for_closed_month => "Count as a restatement".into(),
        (_, 0, []) => "Accept".into(),
        (_, 0, columns) => format!("Accept without {}", columns.join(", ")),
        (_, rejected, _) => format!("Accept with {} missing", filters::lines(rejected)),
    }
}

impl DecisionPage {
    fn heading(&self) -> String {
        match self.decision {
            Decision::Accept => format!("{}?", accept_words(&self.receipt)),
            Decision::Revert => "Go back to what this delivery replaced?".into(),
            Decision::Withdraw if self.is_refusal() => "Refuse this delivery?".into(),
            Decision::Withdraw => "Withdraw this delivery?".into(),
        }
    }

    fn is_refusal(&self) -> bool {
        self.receipt.state == "quarantined" && self.receipt.waits_for_closed_month
    }

    fn consequence(&self) -> &'static str {
        match self.decision {
            Decision::Accept if self.receipt.state == "withdrawn" => {
                "What this delivery holds counts again, where nothing newer does, and replaces what counts now."
            }
            Decision::Accept if self.receipt.rejected_rows == 0 => {
                "All lines of the file count from then on, and replace what counted before of the same source."
            }
            Decision::Accept => {
                "The lines that could be read count from then on, and replace what counted before. The rejected lines stay missing from every total until a whole file replaces this one."
            }
            Decision::Revert => {
                "The bills that this delivery replaced count again. The delivery is kept, with its receipt and its totals as history."
            }
            Decision::Withdraw if self.is_refusal() => {
                "Nothing of this delivery counts, and the closed figures stay as they are. Its receipt and its totals stay as history."
            }
            Decision::Withdraw => {
                "Nothing of this delivery counts any more, and nothing takes its place: its billing periods have no bill of this source until another is handed in. Its receipt stays."
            }
        }
    }

    fn button(&self) -> &'static str {
        match self.decision {
            Decision::Accept if self.receipt.state == "withdrawn" => "Count again",
            Decision::Accept if self.is_refusal() => "Book or count it",
            Decision::Accept => "Accept",
            Decision::Revert => "Go back",
            Decision::Withdraw if self.is_refusal() => "Refuse",
            Decision::Withdraw => "Withdraw",
        }
    }
}
