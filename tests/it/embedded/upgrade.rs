//! Moving the own cluster to a newer PostgreSQL. The real move needs two versions; PATH may bring the second.

use super::Place;
use crate::backup::BILL;
use crate::support::{said, skipped};
use costwake::store::embedded::{Binaries, Cluster, EmbeddedError, old_folders};
use std::fs;
use std::io::Write;
use std::path::PathBuf;

/// The oldest version that can run a cluster, and the newest, where they are not the same.
fn two_versions() -> Option<(Binaries, Binaries)> {
    let mut all = Binaries::all().into_iter().filter(|binaries| binaries.major >= 15);
    let oldest = all.next()?;
    Some((oldest, all.next_back()?))
}

#[test]
fn where_nothing_newer_is_installed_it_says_what_to_install() {
    let place = Place::new();
    let nothing = place.costwake(&["upgrade-database"]).output().unwrap();
    assert!(!nothing.status.success() && said(&nothing).contains("there is no database in"), "{}", said(&nothing));

    let newest = Binaries::all().pop().unwrap();
    drop(place.open());
    let output = place.costwake(&["upgrade-database"]).output().unwrap();
    let expected = format!(
        "is of PostgreSQL {}, and no newer one is installed: install it (Debian and Ubuntu: apt-get install postgresql-{}",
        newest.major,
        newest.major + 1
    );
    assert!(!output.status.success() && said(&output).contains(&expected), "{}", said(&output));
    assert!(place.costwake(&["migrate"]).output().unwrap().status.success(), "it is as it was");
}

#[test]
fn a_version_that_is_not_installed_or_not_known_is_told() {
    let place = Place::new();
    fs::create_dir_all(place.data_dir().join("postgres")).unwrap();
    for (version, expected) in [("99\n", "was written by PostgreSQL 99"), ("new\n", "is not a PostgreSQL cluster")] {
        fs::write(place.data_dir().join("postgres/PG_VERSION"), version).unwrap();
        let output = place.costwake(&["upgrade-database"]).output().unwrap();
        assert!(!output.status.success() && said(&output).contains(expected), "{}", said(&output));
    }
}

#[test]
fn what_somebody_uses_is_not_upgraded() {
    let place = Place::new();
    let cluster = place.open();
    if let Some((older, _)) = two_versions() {
        assert_ne!(older.major, cluster.binaries().major, "a new cluster is of the newest version");
    }
    let _server = place.serve();
    let output = place.costwake(&["upgrade-database"]).output().unwrap();
    assert!(
        !output.status.success() && said(&output).contains("another costwake serve already runs"),
        "{}",
        said(&output)
    );
}

#[test]
fn an_upgrade_that_was_killed_between_its_two_moves_is_taken_back() {
    let place = Place::new();
    drop(place.open());
    let folder = place.data_dir().join("postgres");
    fs::rename(&folder, place.data_dir().join("postgres.old-15")).unwrap();
    fs::create_dir(place.data_dir().join("postgres.new")).unwrap();
    drop(place.open());
    assert!(folder.join("PG_VERSION").exists() && old_folders(&place.data_dir()).is_empty());
}

#[test]
fn a_cluster_is_moved_with_everything_in_it() {
    let Some((older, newer)) = two_versions() else {
        return skipped("an upgrade between two versions of PostgreSQL: only one is installed");
    };
    let place = Place::new();
    let old_only =
        |arguments: &[&str]| place.costwake(arguments).env("COSTWAKE_POSTGRES_BIN", &older.folder).output().unwrap();
    let bill = place.0.path().join("bill.csv");
    fs::write(&bill, BILL).unwrap();
    let imported = old_only(&["import", bill.to_str().unwrap()]);
    assert!(imported.status.success(), "{}", said(&imported));
    let settings = place.data_dir().join("postgres/postgresql.conf");
    fs::OpenOptions::new().append(true).open(&settings).unwrap().write_all(b"work_mem = '17MB'\n").unwrap();

    let in_use = Cluster::open(&place.data_dir(), Some(&older.folder)).unwrap();
    let refused = costwake::store::embedded::upgrade(&place.data_dir(), None).unwrap_err();
    assert!(matches!(refused, EmbeddedError::InUse { .. }), "{refused}");
    drop(in_use);

    let moved = place.costwake(&["upgrade-database"]).output().unwrap();
    assert!(moved.status.success(), "{}", said(&moved));
    let expected = format!("Moved from PostgreSQL {} to {}. All ", older.major, newer.major);
    assert!(said(&moved).contains(&expected), "{}", said(&moved));
    assert_eq!(
        fs::read_to_string(place.data_dir().join("postgres/PG_VERSION")).unwrap().trim(),
        newer.major.to_string()
    );
    assert!(fs::read_to_string(&settings).unwrap().contains("17MB"), "settings of one's own come along");
    let old: PathBuf = place.data_dir().join(format!("postgres.old-{}", older.major));
    assert_eq!(old_folders(&place.data_dir()), std::slice::from_ref(&old));
    for leftover in ["postgres.new", "postgres.upgrade", "upgrade.log"] {
        assert!(!place.data_dir().join(leftover).exists(), "{leftover}");
    }

    let again = place.costwake(&["import", "--json", bill.to_str().unwrap()]).output().unwrap();
    assert!(said(&again).contains("\"unchanged\""), "the bill is still there: {}", said(&again));
    assert!(old.exists(), "commands leave the old one alone");
    let mut server = place.serve();
    super::until("the old one is removed when the new one serves", || !old.exists());
    assert!(server.stop());
}
