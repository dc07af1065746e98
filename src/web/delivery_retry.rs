//! "Try again" on the receipt of an upload that failed: its file was kept.

use super::{AppState, ClientAddress, Error, Policy, Principal, Result, Routes, detached};
use crate::store::{audit, uploads};
use axum::extract::{Path, State};
use axum::response::Redirect;
use serde_json::json;

/// The route of the button.
pub fn routes(routes: Routes) -> Routes {
    routes.post("/deliveries/{id}/retry", Policy::Bills, retry)
}

async fn retry(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Path(delivery_id): Path<i64>,
) -> Result<Redirect> {
    detached(async move {
        let mut transaction = app.pools.web.begin().await?;
        if !uploads::try_again(&mut transaction, delivery_id).await? {
            return Err(Error::Conflict("There is no kept file of this delivery: hand it in again.".into()));
        }
        let (subject, from) = (format!("delivery {delivery_id}"), address.to_string());
        let now = app.now();
        audit::insert(&mut transaction, now, &principal.login, &from, "delivery.retried", &subject, json!({})).await?;
        transaction.commit().await?;
        Ok(Redirect::to(&format!("/deliveries/{delivery_id}")))
    })
    .await
}
