//! Closing and reopening a month: each page says first what it does, asks for a reason, then does it.

use super::close_warnings::{CloseWarning, Standing, close_warnings};
use super::statement::MonthState;
use super::{AppState, ClientAddress, Error, NavItem, Page, Policy, Principal, Result, Routes, detached};
use crate::focus::BillingPeriod;
use crate::rollup::Person;
use crate::rollup::close_month::{self, CloseError};
use crate::store::month_closing::Closing;
use askama::Template;
use askama_web::WebTemplate;
use axum::Form;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

/// The routes of the pages and their forms.
pub fn routes(routes: Routes) -> Routes {
    routes
        .get("/finance/statements/{month}/close", Policy::Finance, ask_close)
        .post("/finance/statements/{month}/close", Policy::Finance, close)
        .get("/finance/statements/{month}/reopen", Policy::Finance, ask_reopen)
        .post("/finance/statements/{month}/reopen", Policy::Finance, reopen)
}

impl From<CloseError> for Error {
    fn from(error: CloseError) -> Self {
        match error {
            CloseError::Database(error) => error.into(),
            CloseError::Reason => Self::Invalid(error.to_string()),
            other => Self::Conflict(other.to_string()),
        }
    }
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ReasonForm {
    reason: String,
}

#[derive(Template, WebTemplate)]
#[template(path = "close_month.html")]
struct CloseMonthPage {
    page: Page,
    month: BillingPeriod,
    /// Else it is reopened.
    closes: bool,
    state: MonthState,
    closing: Option<Closing>,
    /// What is wanting in it, where it is closed.
    warnings: Vec<CloseWarning>,
    /// Why it cannot be done now, whatever reason is given: then there is no button.
    obstacle: Option<String>,
    /// What stands in the way: closed months that hold what arrived late for it.
    reopen_first: Vec<BillingPeriod>,
    form: ReasonForm,
    message: String,
}

async fn ask_close(State(app): State<AppState>, who: Principal, Path(month): Path<String>) -> Result<CloseMonthPage> {
    page(&app, &who, parsed(&month)?, true, ReasonForm::default(), String::new()).await
}

async fn ask_reopen(State(app): State<AppState>, who: Principal, Path(month): Path<String>) -> Result<CloseMonthPage> {
    page(&app, &who, parsed(&month)?, false, ReasonForm::default(), String::new()).await
}

async fn close(
    app: State<AppState>,
    who: Principal,
    from: ClientAddress,
    month: Path<String>,
    form: Form<ReasonForm>,
) -> Result<Response> {
    decide(app, who, from, month, form, true).await
}

async fn reopen(
    app: State<AppState>,
    who: Principal,
    from: ClientAddress,
    month: Path<String>,
    form: Form<ReasonForm>,
) -> Result<Response> {
    decide(app, who, from, month, form, false).await
}

async fn decide(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Path(month): Path<String>,
    Form(form): Form<ReasonForm>,
    closes: bool,
) -> Result<Response> {
    let month = parsed(&month)?;
    let work = {
        let (app, login, reason) = (app.clone(), principal.login.clone(), form.reason.clone());
        async move {
            let from = address.to_string();
            let by = Person { login: &login, address: &from };
            if closes {
                close_month::close(&app.pools, month, &reason, by, app.now()).await
            } else {
                close_month::reopen(&app.pools, month, &reason, by, app.now()).await
            }
        }
    };
    match detached(work).await.map_err(Error::from) {
        Ok(()) => Ok(Redirect::to(&format!("/finance/statements/{month}")).into_response()),
        Err(error @ (Error::Invalid(_) | Error::Conflict(_))) => {
            let (status, message) = (error.status(), error.to_string());
            Ok((status, page(&app, &principal, month, closes, form, message).await?).into_response())
        }
        Err(error) => Err(error),
    }
}

async fn page(
    app: &AppState,
    principal: &Principal,
    month: BillingPeriod,
    closes: bool,
    form: ReasonForm,
    message: String,
) -> Result<CloseMonthPage> {
    let mut snapshot = app.pools.snapshot().await?;
    let word = if closes { "Close" } else { "Reopen" };
    let title = format!("{word} {} · Statements", month.label());
    let page = Page::new(app, principal, &mut snapshot, title, NavItem::Statements).await?;
    let today = app.now().date_naive();
    let standing = Standing::read(&mut snapshot, month, today).await?;
    let warnings = if closes { close_warnings(&mut snapshot, month, &standing, today).await? } else { Vec::new() };
    let obstacle = if closes {
        close_month::close_obstacle(&mut snapshot, month, today).await?
    } else {
        close_month::reopen_obstacle(&mut snapshot, month).await?
    };
    let reopen_first = match &obstacle {
        Some(CloseError::BookedInClosed { holders, .. }) => {
            holders.iter().map(|first_day| BillingPeriod::containing(*first_day)).collect()
        }
        _ => Vec::new(),
    };
    let obstacle = obstacle.map(|obstacle| obstacle.to_string());
    let Standing { state, closing, .. } = standing;
    Ok(CloseMonthPage { page, month, closes, state, closing, warnings, obstacle, reopen_first, form, message })
}

fn parsed(month: &str) -> Result<BillingPeriod> {
    month.parse().map_err(|error| Error::Invalid(format!("{month}: {error}.")))
}
