//! Going back to an earlier version of a split, or putting a deleted one back.

use super::super::mapping_change::{self, MappingChange};
use super::super::rules::form::{RestoreForm, checked_reason};
use super::super::{AppState, ClientAddress, Error, Principal, Result};
use super::edit::{add_split, change_split};
use super::words::service_name;
use crate::allocate::split::NOT_ALLOCATED;
use crate::rollup::splits::split_of;
use crate::store::catalogue;
use crate::store::splits::{self, SplitValues};
use axum::Form;
use axum::extract::{Path, State};
use axum::response::Response;
use serde_json::json;
use std::collections::HashMap;

pub(super) async fn restore(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Path(id): Path<i64>,
    Form(form): Form<RestoreForm>,
) -> Result<Response> {
    let reason = checked_reason(&form.reason)?;
    let done = mapping_change::run(async move {
        let mut change = MappingChange::begin(&app, &principal, address).await?;
        let id = restore_split(&mut change, id, form.version, &reason).await?;
        change.finish_splits().await.map(|()| id)
    });
    Ok(done.await?.redirect(|id| format!("/splits/{id}")))
}

/// Makes a split what it was in a version. A deleted one comes back as a new split, with a history of its own: gives
/// its id.
pub(crate) async fn restore_split(change: &mut MappingChange, id: i64, version: i32, reason: &str) -> Result<i64> {
    let versions = splits::versions(change.conn(), id).await?;
    let values = versions.into_iter().find(|one| one.version == version).ok_or(Error::NotFound)?.values;
    all_there(change, id, &values).await?;
    let stored = splits::list(change.conn()).await?;
    match stored.into_iter().find(|one| one.split_id == id) {
        Some(now) if now.values == values => {
            Err(Error::Conflict(format!("The split is what it was in version {version}: there is nothing to change.")))
        }
        Some(_) => change_split(change, id, &values, reason).await.map(|()| id),
        None => {
            let added = add_split(change, &values, reason).await?;
            let details = json!({ "deleted_split_id": id, "version": version, "reason": reason });
            change.audit(splits::RESTORED, &added.to_string(), details).await?;
            Ok(added)
        }
    }
}

/// A version may name services that were deleted since.
async fn all_there(change: &mut MappingChange, id: i64, values: &SplitValues) -> Result<()> {
    let split = split_of(id, values)?;
    let services = catalogue::service::list(change.conn()).await?;
    let names: HashMap<i64, String> = services.into_iter().map(|one| (one.service_id, one.name)).collect();
    let named = split.targets.iter().map(|target| target.service_id).chain([split.source]);
    match named.filter(|id| *id != NOT_ALLOCATED).find(|id| !names.contains_key(id)) {
        None => Ok(()),
        Some(gone) => Err(Error::Conflict(format!(
            "That version names {}, which is gone from the catalogue. Divide the cost anew among services that are there.",
            service_name(&names, gone)
        ))),
    }
}
