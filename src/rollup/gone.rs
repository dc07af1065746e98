//! What a snapshot does not hold any more. Where a manifest proves that its files are all of an export and month, an
//! account that is not in them has no cost there: a generation without lines takes the place of what it had.

use super::import::ImportError;
use super::load::Load;
use super::reader::Found;
use crate::store::generations::{self, GENERATIONS_PER_DELIVERY_MAX, Gone};
use sqlx::PgConnection;

/// The bills that count and that the files leave out; none where nothing proves that the files are complete.
pub(super) async fn find(
    conn: &mut PgConnection,
    load: &Load<'_>,
    found: &Found,
    source_id: Option<i64>,
) -> Result<Vec<Gone>, ImportError> {
    let (Some(month), Some(source_id)) = (load.snapshot_of, source_id) else { return Ok(Vec::new()) };
    let scopes = found.scopes.list();
    let accounts: Vec<String> = scopes
        .iter()
        .filter(|scope| scope.billing_period_start == month)
        .map(|scope| scope.billing_account_id.clone())
        .collect();
    // Bills of other periods than the manifest's folder is called after: it is no proof.
    if accounts.len() != scopes.len() || found.rejected_row_count > 0 {
        return Ok(Vec::new());
    }
    let side = load.one_side.map(|one| one.side.name());
    let mut gone = generations::gone(conn, source_id, load.append_object, month, &accounts, side).await?;
    gone.truncate(GENERATIONS_PER_DELIVERY_MAX as usize - scopes.len());
    Ok(gone)
}

/// What the receipt says of one.
pub(super) fn words(gone: &Gone) -> String {
    let account = match gone.billing_account_id.as_str() {
        "" => "What has no BillingAccountId".to_owned(),
        account => format!("Billing account {account}"),
    };
    let lines = if gone.charge_count == 1 { "1 line".to_owned() } else { format!("{} lines", gone.charge_count) };
    format!(
        "{account} is not in this complete export of {} any more and counts as zero with it; delivery {} had {lines} of it.",
        gone.billing_period_start.format("%Y-%m"),
        gone.delivery_id,
    )
}
