//! A file of reference rates by hand.

use super::super::spool::form_error;
use super::super::{AppState, ClientAddress, Error, Principal, Result, detached};
use crate::rollup::{Person, rates};
use axum::extract::{Multipart, State};
use axum::response::Redirect;

/// The whole history since 1999 has less than 2 MiB, and a quarter of that when packed.
pub(super) const FILE_BYTES_MAX: usize = 32 << 20;

pub(super) async fn receive(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    mut multipart: Multipart,
) -> Result<Redirect> {
    let mut file: Option<(String, Vec<u8>)> = None;
    while let Some(mut field) = multipart.next_field().await.map_err(|error| form_error(&error))? {
        if field.name() != Some("file") {
            continue;
        }
        let name: String = field.file_name().unwrap_or_default().chars().take(200).collect();
        let mut bytes = Vec::new();
        while let Some(chunk) = field.chunk().await.map_err(|error| form_error(&error))? {
            if bytes.len() + chunk.len() > FILE_BYTES_MAX {
                return Err(Error::Invalid("The file is larger than 32 MiB: it holds no reference rates.".into()));
            }
            bytes.extend_from_slice(&chunk);
        }
        file = Some((name, bytes)).filter(|(_, bytes)| !bytes.is_empty());
    }
    let (name, bytes) =
        file.ok_or_else(|| Error::Invalid("No file was chosen. Choose the ECB's eurofxref-hist.csv or .zip.".into()))?;
    let imported = detached(async move {
        let (now, from) = (app.now(), address.to_string());
        let by = Person { login: &principal.login, address: &from };
        rates::import(&app.pools.jobs, &name, bytes, by, now).await
    })
    .await?;
    let query = serde_urlencoded::to_string([("done", imported.to_string())]).unwrap_or_default();
    Ok(Redirect::to(&format!("/finance/rates?{query}")))
}
