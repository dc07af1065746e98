//! `costwake backup` and `restore`: what comes back is what was saved, and nothing is overwritten by accident.

use crate::support::{costwake, said};
use costwake::store::embedded::Cluster;
use sqlx::ConnectOptions;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// A bill of one line.
pub const BILL: &str = "BilledCost,BillingAccountId,BillingCurrency,BillingPeriodEnd,BillingPeriodStart,ChargeCategory,\
    ChargeClass,ChargeDescription,ChargeFrequency,ChargePeriodEnd,ChargePeriodStart,ContractedCost,EffectiveCost,\
    InvoiceIssuerName,ListCost,PricingQuantity,PricingUnit,ProviderName,PublisherName,ServiceCategory,ServiceName,\
    BillingAccountName,Tags\n\
    0.1234567890123456789,acc,USD,2026-02-01T00:00:00Z,2026-01-01T00:00:00Z,Usage,,hours,Usage-Based,\
    2026-01-02T00:00:00Z,2026-01-01T00:00:00Z,1,0.1234567890123456789,AWS,1,1,Hours,AWS,AWS,Compute,EC2,main,\
    \"{\"\"service\"\":\"\"shop\"\"}\"\n";

#[test]
fn a_backup_builds_the_same_ledger_again_and_verifies_it() {
    let place = tempfile::tempdir().unwrap();
    let (first, second) = (place.path().join("first"), place.path().join("second"));
    let bill = place.path().join("bill.csv");
    fs::write(&bill, BILL).unwrap();
    let imported = costwake(&first, &["import", "--json", bill.to_str().unwrap()]);
    assert!(said(&imported).contains("0.1234567890123456789"), "{}", said(&imported));
    fs::write(first.join("key"), [5; 32]).unwrap();
    fs::set_permissions(first.join("key"), fs::Permissions::from_mode(0o600)).unwrap();

    let file = place.path().join("costwake.backup");
    let file = file.to_str().unwrap();
    let saved = costwake(&first, &["backup", file]);
    assert!(saved.status.success(), "{}", said(&saved));
    assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(said(&costwake(&first, &["backup", file])).contains("exists: name another file"));

    let restored = costwake(&second, &["restore", file]);
    assert!(restored.status.success(), "{}", said(&restored));
    assert!(said(&restored).contains("checks of its totals hold"), "{}", said(&restored));
    assert_eq!(fs::read(second.join("key")).unwrap(), [5; 32]);
    // The very same bytes again are known there too.
    let again = costwake(&second, &["import", "--json", bill.to_str().unwrap()]);
    assert_eq!(said(&again).contains("unchanged"), said(&imported).contains("published"), "{}", said(&again));

    let refused = costwake(&second, &["restore", file]);
    assert!(!refused.status.success());
    assert!(said(&refused).contains("the database is not empty"), "{}", said(&refused));
    assert!(costwake(&second, &["restore", "--force", file]).status.success());
}

async fn rows(data_dir: &Path, sql: &'static str) -> Vec<String> {
    let cluster = Cluster::open(data_dir, None).unwrap();
    let mut connection = cluster.connect_options().connect().await.unwrap();
    sqlx::query_scalar(sql).fetch_all(&mut connection).await.unwrap()
}

/// S04: whoever was shut out after the backup is not let in by it.
#[tokio::test(flavor = "multi_thread")]
async fn a_restore_ends_sessions_and_links_and_names_the_tokens_that_work() {
    let place = tempfile::tempdir().unwrap();
    let (first, second) = (place.path().join("first"), place.path().join("second"));
    assert!(costwake(&first, &["user", "add", "ann", "--role", "viewer"]).status.success());
    for name in ["live", "gone"] {
        let made = costwake(&first, &["token", "create", name, "--scope", "read", "--user", "ann"]);
        assert!(made.status.success(), "{}", said(&made));
    }
    assert!(costwake(&first, &["token", "revoke", "2"]).status.success());
    let open = "INSERT INTO session (session_sha256, user_id, created_at, last_seen_at, expires_at)
                SELECT '\\x01', user_id, now(), now(), now() + interval '1 day' FROM user_account RETURNING 'in'";
    assert_eq!(rows(&first, open).await, ["in"]);
    let access = "SELECT 'session' FROM session UNION ALL SELECT 'link' FROM sign_in_link WHERE used_at IS NULL";
    assert_eq!(rows(&first, access).await, ["session", "link"]);

    let file = place.path().join("costwake.backup");
    let file = file.to_str().unwrap();
    assert!(costwake(&first, &["backup", file]).status.success());
    let restored = costwake(&second, &["restore", file]);
    let words = said(&restored);
    assert!(restored.status.success(), "{words}");
    assert!(words.contains("Everyone has to sign in again"), "{words}");
    assert!(words.contains("live of ann, scope read") && !words.contains("gone of ann"), "{words}");
    assert_eq!(rows(&second, access).await, [""; 0]);
    let audited = "SELECT action FROM audit_log WHERE action = 'backup_restored'";
    assert_eq!(rows(&second, audited).await, ["backup_restored"]);
}

#[test]
fn what_is_no_backup_is_refused_before_anything_is_touched() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("bill.csv");
    fs::write(&file, BILL.repeat(4)).unwrap();
    let data_dir = place.path().join("data");
    let refused = costwake(&data_dir, &["restore", file.to_str().unwrap()]);
    assert!(said(&refused).contains("this is not a backup of Costwake"), "{}", said(&refused));
    assert!(!data_dir.exists());
}
