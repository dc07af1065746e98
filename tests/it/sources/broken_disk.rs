//! F19: a disk that reports faults while a delivery is written, by a library that stands before the system's own.

use super::push_sockets::{Server, source_with_token};
use super::{Home, assert_counts, october};
use crate::ledger::assert_clean;
use crate::support;
use serde_json::json;
use sha2::{Digest, Sha256};
use sqlx::PgPool;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

// None where there is no compiler for C.
fn shim(folder: &Path) -> Option<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/sources/broken_disk.c");
    let library = folder.join("broken_disk.so");
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-o"]).arg(&library).arg(source);
    compiler.status().is_ok_and(|status| status.success()).then_some(library)
}

/// What fsync or write could not do is not acknowledged, and nothing of it stays; with the disk well again the same
/// delivery goes in, and counts.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn what_a_faulty_disk_did_not_keep_is_not_acknowledged(pool: PgPool) {
    let home = Home::new();
    let token = source_with_token(&home, &pool).await;
    let Some(library) = shim(home.folder.path()) else {
        return support::skipped("a disk that reports faults, because there is no C compiler");
    };
    let markers = ["fsync", "write"].map(|name| home.folder.path().join(format!("broken-{name}")));
    let mut command = Command::new(env!("CARGO_BIN_EXE_costwake"));
    command.env("LD_PRELOAD", library).env("BROKEN_FSYNC", &markers[0]).env("BROKEN_WRITE", &markers[1]);
    let server = Server::of(command, &home, &pool);
    let spool = home.folder.path().join("spool");
    let checked = tokio::task::spawn_blocking(move || {
        let text = october("1.5");
        let sha256 = hex::encode(Sha256::digest(&text));
        let path = format!("october/parts/1?sha256={sha256}");
        for marker in markers {
            std::fs::write(&marker, "").unwrap();
            let (status, body) = server.ask("PUT", &path, &token, &text);
            assert_eq!(status, 507, "{}: {body}", marker.display());
            let error = body["error"].as_str().unwrap();
            assert!(error.contains("reports a fault") && error.contains("Nothing of the upload was kept"), "{error}");
            assert_eq!(std::fs::read_dir(&spool).unwrap().count(), 0, "{}", marker.display());
            assert_eq!(server.ask("GET", "october", &token, "").0, 404, "{}", marker.display());
            std::fs::remove_file(&marker).unwrap();
        }
        assert_eq!(server.ask("PUT", &path, &token, &text).0, 201);
        let parts = json!({ "parts": [{ "number": 1, "sha256": sha256 }] }).to_string();
        assert_eq!(server.ask("POST", "october/commit", &token, &parts).0, 202);
        let began = Instant::now();
        while server.ask("GET", "october", &token, "").1["state"] != "published" {
            assert!(began.elapsed() < Duration::from_secs(60), "the delivery does not count");
            std::thread::sleep(Duration::from_millis(100));
        }
    });
    checked.await.unwrap();
    assert_counts(&pool, "pipeline", 1, "1.5").await;
    assert_clean(&pool).await;
}
