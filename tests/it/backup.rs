//! `costwake backup` and `restore`: what comes back is what was saved, and nothing is overwritten by accident.

use crate::support::{costwake, said};
use costwake::sources::spooled_name;
use costwake::store::embedded::Cluster;
use costwake::store::jobs;
use serde_json::json;
use sqlx::ConnectOptions;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

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

const STORED: &str = "SELECT concat_ws(' ', delivery_id, state, row_count) FROM delivery ORDER BY delivery_id";

// A backup of nothing under one key (fives), then a bill and another key (sixes): what came after the backup is what must
// not be lost. The backup, and what is stored.
async fn backed_up_and_gone_on(place: &Path, data_dir: &Path) -> (PathBuf, Vec<String>) {
    let bill = place.join("bill.csv");
    fs::write(&bill, BILL).unwrap();
    let key = data_dir.join("key");
    fs::create_dir(data_dir).unwrap();
    fs::write(&key, [5; 32]).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    let file = place.join("costwake.backup");
    assert!(costwake(data_dir, &["backup", file.to_str().unwrap()]).status.success());
    said(&costwake(data_dir, &["import", "--json", bill.to_str().unwrap()]));
    fs::write(&key, [6; 32]).unwrap();
    let before = rows(data_dir, STORED).await;
    assert_eq!(before.len(), 1);
    (file, before)
}

/// A file that was cut or damaged takes nothing away: neither the database nor the key.
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_is_not_whole_leaves_what_is_there() {
    let place = tempfile::tempdir().unwrap();
    let data_dir = place.path().join("data");
    let key = data_dir.join("key");
    let (file, before) = backed_up_and_gone_on(place.path(), &data_dir).await;
    let whole = fs::read(&file).unwrap();
    let mut damaged = whole.clone();
    damaged[whole.len() / 4..whole.len() * 3 / 4].fill(0);
    let cut = |bytes: usize| whole[..bytes].to_vec();
    let bad = place.path().join("bad.backup");
    for (what, bytes) in [
        ("in the middle", cut(whole.len() / 2)),
        ("in the last block", cut(whole.len() - 1)),
        ("without the last block", cut(whole.len() - 512)),
        ("damaged", damaged),
    ] {
        fs::write(&bad, bytes).unwrap();
        let refused = costwake(&data_dir, &["restore", "--force", bad.to_str().unwrap()]);
        assert!(!refused.status.success(), "{what}: {}", said(&refused));
        assert_eq!(fs::read(&key).unwrap(), [6; 32], "{what}");
        assert_eq!(rows(&data_dir, STORED).await, before, "{what}");
        let verified = costwake(&data_dir, &["verify"]);
        assert!(verified.status.success(), "{what}: {}", said(&verified));
    }
    // A key that cannot be written is met before the database is touched.
    let nowhere = ["restore", "--force", "--key-file", "/proc/none/key", file.to_str().unwrap()];
    let refused = costwake(&data_dir, &nowhere);
    assert!(!refused.status.success(), "{}", said(&refused));
    assert_eq!(rows(&data_dir, STORED).await, before);
    let aside = "SELECT nspname::text FROM pg_namespace WHERE nspname = 'before_restore'";
    assert_eq!(rows(&data_dir, aside).await, [""; 0]);

    // A restore that was killed half-way: the next command takes back what was there.
    let begun = "ALTER SCHEMA public RENAME TO before_restore";
    assert_eq!(rows(&data_dir, begun).await, [""; 0]);
    let verified = costwake(&data_dir, &["verify"]);
    assert!(verified.status.success(), "{}", said(&verified));
    assert_eq!(rows(&data_dir, STORED).await, before);

    let restored = costwake(&data_dir, &["restore", "--force", file.to_str().unwrap()]);
    assert!(restored.status.success(), "{}", said(&restored));
    assert_eq!(fs::read(&key).unwrap(), [5; 32]);
    assert_eq!(rows(&data_dir, STORED).await, [""; 0]);
    assert_eq!(rows(&data_dir, aside).await, [""; 0]);
}

/// Killed at any step: what is there afterwards, data and key, is all of before or all of the backup.
#[tokio::test(flavor = "multi_thread")]
async fn data_and_key_belong_together_after_a_killed_restore() {
    let place = tempfile::tempdir().unwrap();
    let data_dir = place.path().join("data");
    let (key, waiting) = (data_dir.join("key"), data_dir.join("key.restoring"));
    let (file, before) = backed_up_and_gone_on(place.path(), &data_dir).await;

    // While it is brought in: neither of it stays.
    let begun = "ALTER SCHEMA public RENAME TO before_restore";
    assert_eq!(rows(&data_dir, begun).await, [""; 0]);
    assert_eq!(rows(&data_dir, "COMMENT ON SCHEMA before_restore IS 'f849d67325facf04'").await, [""; 0]);
    fs::write(&waiting, [5; 32]).unwrap();
    let verified = costwake(&data_dir, &["verify"]);
    assert!(verified.status.success(), "{}", said(&verified));
    assert_eq!((fs::read(&key).unwrap(), waiting.exists()), (vec![6; 32], false));
    assert_eq!(rows(&data_dir, STORED).await, before);

    // Once all of it is in and what was aside is gone: the key follows.
    let restored = costwake(&data_dir, &["restore", "--force", file.to_str().unwrap()]);
    assert!(restored.status.success() && !waiting.exists(), "{}", said(&restored));
    let due = "SELECT nspname::text FROM pg_namespace WHERE nspname = 'restore_key_waits'";
    assert_eq!(rows(&data_dir, due).await, [""; 0]);
    fs::rename(&key, &waiting).unwrap();
    fs::write(&key, [6; 32]).unwrap();
    // A key that this database does not wait for is another's: it neither takes a place nor loses its own.
    let verified = costwake(&data_dir, &["verify"]);
    assert!(verified.status.success(), "{}", said(&verified));
    let refused = costwake(&data_dir, &["restore", "--force", file.to_str().unwrap()]);
    assert!(!refused.status.success(), "{}", said(&refused));
    assert!(said(&refused).contains("key.restoring is the key of a backup"), "{}", said(&refused));
    assert_eq!((fs::read(&key).unwrap(), fs::read(&waiting).unwrap()), (vec![6; 32], vec![5; 32]));
    // Killed before the key had its place, and right after that.
    for _ in 0..2 {
        assert_eq!(rows(&data_dir, "CREATE SCHEMA restore_key_waits").await, [""; 0]);
        assert_eq!(rows(&data_dir, "COMMENT ON SCHEMA restore_key_waits IS 'f849d67325facf04'").await, [""; 0]);
        let verified = costwake(&data_dir, &["verify"]);
        assert!(verified.status.success(), "{}", said(&verified));
        assert_eq!((fs::read(&key).unwrap(), waiting.exists()), (vec![5; 32], false));
        assert_eq!(rows(&data_dir, due).await, [""; 0]);
    }
    assert_eq!(rows(&data_dir, STORED).await, [""; 0]);
}

/// Databases that share a key file: what a killed restore of one leaves neither takes nor forgets the key that waits for
/// another, and a key that gives way is kept.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_restore_leaves_the_key_of_another_database() {
    let place = tempfile::tempdir().unwrap();
    let data_dir = place.path().join("data");
    let (key, waiting) = (data_dir.join("key"), data_dir.join("key.restoring"));
    let (_, before) = backed_up_and_gone_on(place.path(), &data_dir).await;
    let keys = || (fs::read(&key).unwrap(), fs::read(&waiting).ok());
    let (fives, sixes, sevens) = ("f849d67325facf04", "e802086ad6a1e16b", "4bb06f8e4e3a7715");
    let verify = async |statements: [String; 2]| {
        for statement in statements {
            let cluster = Cluster::open(&data_dir, None).unwrap();
            let mut connection = cluster.connect_options().connect().await.unwrap();
            sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(&mut connection).await.unwrap();
        }
        let verified = costwake(&data_dir, &["verify"]);
        assert!(verified.status.success(), "{}", said(&verified));
    };
    fs::write(&waiting, [7; 32]).unwrap();

    // Killed before its own key, fives, was written: sevens wait for another database.
    let begun = "ALTER SCHEMA public RENAME TO before_restore".to_owned();
    verify([begun, format!("COMMENT ON SCHEMA before_restore IS '{fives}'")]).await;
    assert_eq!(keys(), (vec![6; 32], Some(vec![7; 32])));
    assert_eq!(rows(&data_dir, STORED).await, before);
    // Killed right after its own key, sixes, had its place.
    let due = |key: &str| {
        let noted = format!("COMMENT ON SCHEMA restore_key_waits IS '{key}'");
        ["CREATE SCHEMA restore_key_waits".to_owned(), noted]
    };
    verify(due(sixes)).await;
    assert_eq!(keys(), (vec![6; 32], Some(vec![7; 32])));
    // Killed before sevens had their place: that the file was the key of others too is no reason to lose it.
    verify(due(sevens)).await;
    assert_eq!(keys(), (vec![7; 32], None));
    assert_eq!(fs::read(data_dir.join(format!("key.replaced-{sixes}"))).unwrap(), [6; 32]);
    let noted = "SELECT nspname::text FROM pg_namespace WHERE nspname IN ('before_restore', 'restore_key_waits')";
    assert_eq!(rows(&data_dir, noted).await, [""; 0]);
}

/// Where nothing was before, nobody gets in by what a killed restore had loaded.
#[tokio::test(flavor = "multi_thread")]
async fn a_restore_into_nothing_that_was_killed_leaves_nothing() {
    let place = tempfile::tempdir().unwrap();
    let data_dir = place.path().join("data");
    assert!(costwake(&data_dir, &["user", "add", "ann", "--role", "viewer"]).status.success());
    assert_eq!(rows(&data_dir, "CREATE SCHEMA before_restore").await, [""; 0]);
    let migrated = costwake(&data_dir, &["migrate"]);
    assert!(migrated.status.success(), "{}", said(&migrated));
    assert_eq!(rows(&data_dir, "SELECT login FROM user_account").await, [""; 0]);

    // Nor does what pg_restore still loads come in afterwards.
    let cluster = Cluster::open(&data_dir, None).unwrap();
    let options = cluster.connect_options().application_name("costwake-restore");
    let mut loader = options.connect().await.unwrap();
    sqlx::raw_sql("CREATE SCHEMA before_restore").execute(&mut loader).await.unwrap();
    sqlx::raw_sql("BEGIN; CREATE TABLE loaded_late (id int)").execute(&mut loader).await.unwrap();
    let migrated = costwake(&data_dir, &["migrate"]);
    assert!(migrated.status.success(), "{}", said(&migrated));
    assert!(sqlx::raw_sql("COMMIT").execute(&mut loader).await.is_err());
    assert_eq!(rows(&data_dir, "SELECT tablename::text FROM pg_tables WHERE tablename = 'loaded_late'").await, [""; 0]);
}

/// What was answered for is kept: files that wait to be read come back with the database, where they are read from.
#[tokio::test(flavor = "multi_thread")]
async fn uploads_that_wait_are_in_the_backup() {
    let place = tempfile::tempdir().unwrap();
    let (first, second) = (place.path().join("first"), place.path().join("second"));
    assert!(costwake(&first, &["migrate"]).status.success());
    let spool = first.join("spool");
    fs::create_dir(&spool).unwrap();
    let names = [spooled_name(&[0xaa; 16], "Kosten, actual.csv.gz"), spooled_name(&[0xbb; 16], &"x".repeat(300))];
    let paths = [&names[0], &names[1]].map(|name| spool.join(name));
    for path in &paths {
        fs::write(path, format!("{} of a bill", path.display())).unwrap();
    }
    {
        let cluster = Cluster::open(&first, None).unwrap();
        let mut connection = cluster.connect_options().connect().await.unwrap();
        let payload = json!({ "path": paths[0], "more_parts": [paths[1]], "file_name": "october" });
        jobs::enqueue(&mut connection, "import_upload", "1", &payload).await.unwrap();
    }
    let file = place.path().join("costwake.backup");
    let saved = costwake(&first, &["backup", file.to_str().unwrap()]);
    assert!(said(&saved).contains("2 files of deliveries that wait"), "{}", said(&saved));
    let left: Vec<String> =
        fs::read_dir(place.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert!(!left.iter().any(|name| name.contains("costwake-backup")), "{left:?}");

    let restored = costwake(&second, &["restore", file.to_str().unwrap()]);
    assert!(said(&restored).contains("2 files that wait to be read are back"), "{}", said(&restored));
    let known =
        "SELECT concat_ws(' ', payload->>'path', payload->'more_parts'->>0) FROM job WHERE kind = 'import_upload'";
    let there = [&names[0], &names[1]].map(|name| second.join("spool").join(name));
    assert_eq!(rows(&second, known).await, [format!("{} {}", there[0].display(), there[1].display())]);
    for (path, from) in there.iter().zip(&paths) {
        assert_eq!(fs::read(path).unwrap(), fs::read(from).unwrap());
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
    }
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
