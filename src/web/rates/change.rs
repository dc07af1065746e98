//! What people change about rates: the reporting currency, and rates that stand before the market's.

use super::super::{AppState, ClientAddress, Error, Principal, Result, detached};
use super::{RateForm, page};
use crate::rollup::Person;
use crate::rollup::rates::{self as actions, RateError};
use axum::Form;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

impl From<RateError> for Error {
    fn from(error: RateError) -> Self {
        match error {
            RateError::Database(error) => error.into(),
            RateError::MonthClosed(_) => Self::Conflict(error.to_string()),
            other => Self::Invalid(other.to_string()),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct CurrencyForm {
    currency: String,
}

pub(super) async fn set_reporting(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Form(form): Form<CurrencyForm>,
) -> Result<Response> {
    let work = {
        let (app, principal) = (app.clone(), principal.clone());
        async move {
            let (now, from) = (app.now(), address.to_string());
            let by = Person { login: &principal.login, address: &from };
            actions::set_reporting_currency(&app.pools.web, &form.currency, by, now).await
        }
    };
    answer(&app, &principal, RateForm::default(), detached(work).await.map(drop)).await
}

pub(super) async fn enter(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Form(form): Form<RateForm>,
) -> Result<Response> {
    let work = {
        let (app, principal, form) = (app.clone(), principal.clone(), form.clone());
        async move {
            let (now, from) = (app.now(), address.to_string());
            let by = Person { login: &principal.login, address: &from };
            actions::enter(&app.pools.web, &form.month, &form.currency, &form.rate, &form.reason, by, now).await
        }
    };
    answer(&app, &principal, form, detached(work).await).await
}

pub(super) async fn remove(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Form(form): Form<RateForm>,
) -> Result<Response> {
    let work = {
        let (app, principal) = (app.clone(), principal.clone());
        async move {
            let (now, from) = (app.now(), address.to_string());
            let by = Person { login: &principal.login, address: &from };
            actions::remove(&app.pools.web, &form.month, &form.currency, by, now).await
        }
    };
    answer(&app, &principal, RateForm::default(), detached(work).await).await
}

async fn answer(
    app: &AppState,
    principal: &Principal,
    form: RateForm,
    result: std::result::Result<(), RateError>,
) -> Result<Response> {
    match result.map_err(Error::from) {
        Ok(()) => Ok(Redirect::to("/finance/rates").into_response()),
        Err(error @ (Error::Invalid(_) | Error::Conflict(_))) => {
            let (status, message) = (error.status(), error.to_string());
            Ok((status, page(app, principal, form, message, String::new()).await?).into_response())
        }
        Err(error) => Err(error),
    }
}
