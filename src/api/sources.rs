//! `/api/v1/sources/{name}`: a source that nobody needs any more is removed, the same as on its page.

use super::error::{ErrorBody, Result};
use crate::store::sources;
use crate::web::source_change::{self, By};
use crate::web::{self, ApiPolicy, AppState, ClientAddress, Policy, Principal, Routes, detached};
use axum::extract::{Path, State};
use axum::http::StatusCode;

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes.api_delete("/api/v1/sources/{name}", ApiPolicy::admin(Policy::Admin), remove)
}

/// Remove a source of which no bill counts and no delivery waits, such as a mistyped one. It goes from every list, and its
/// set-up and credentials are forgotten; receipts of its deliveries stay as history.
#[utoipa::path(delete, path = "/api/v1/sources/{name}", tag = "bills",
    params(("name" = String, Path, description = "The source")), responses(
    (status = 204, description = "It is removed"), (status = 404, body = ErrorBody),
    (status = 409, description = "Bills of it count, or deliveries wait", body = ErrorBody)))]
pub async fn remove(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Path(name): Path<String>,
) -> Result<StatusCode> {
    let by = By { actor: principal.login.clone(), from: address.to_string(), now: app.now() };
    let done: web::Result<()> = detached(async move {
        let mut transaction = app.pools.web.begin().await?;
        let source_id = sources::id(&mut transaction, &name).await?.ok_or(web::Error::NotFound)?;
        source_change::remove_unused(&mut transaction, source_id, &by).await?;
        transaction.commit().await?;
        Ok(())
    })
    .await;
    done?;
    Ok(StatusCode::NO_CONTENT)
}
