//! The dependency direction of `docs/architecture.md`, checked against the `crate::` paths.

use std::{fs, path::Path};

/// A folder of `src/`, and the folders that it may name.
const MAY_USE: &[(&str, &[&str])] = &[
    ("focus", &[]),
    ("sources", &["focus"]),
    ("normalize", &["focus", "sources"]),
    ("events", &["focus"]),
    ("usage", &["focus"]),
    ("allocate", &["focus"]),
    ("analyze", &["focus"]),
    ("described", &["focus", "allocate"]),
    ("store", &["focus", "sources", "normalize", "events", "usage", "patience", "background"]),
    ("rollup", &["focus", "sources", "normalize", "events", "usage", "store", "allocate", "described", "background"]),
    (
        "jobs",
        &[
            "focus",
            "sources",
            "normalize",
            "events",
            "usage",
            "store",
            "rollup",
            "allocate",
            "analyze",
            "described",
            "config",
            "background",
        ],
    ),
    ("web", &["focus", "sources", "events", "described", "store", "rollup", "allocate", "analyze", "api", "config"]),
    ("api", &["focus", "events", "usage", "store", "rollup", "allocate", "analyze", "web", "config"]),
    ("demo", &["focus", "events", "parquet_table"]),
];

#[test]
fn folders_only_look_down() {
    for (folder, allowed) in MAY_USE {
        for (path, text) in rust_files(folder) {
            for name in text.split("crate::").skip(1) {
                let target = name.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap();
                let fits = target.is_empty() || target == *folder || allowed.contains(&target);
                assert!(fits, "{path}: `{folder}` may not use `{target}`");
            }
        }
    }
}

/// Small files, one subject each.
#[test]
fn no_file_is_longer_than_500_lines() {
    for (path, text) in rust_files("") {
        let lines = text.lines().count();
        assert!(lines <= 500, "{path} has {lines} lines: give each subject its own file");
    }
}

fn rust_files(folder: &str) -> Vec<(String, String)> {
    let mut pending = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(folder)];
    let mut files = Vec::new();
    while let Some(path) = pending.pop() {
        if path.is_dir() {
            pending.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push((path.display().to_string(), fs::read_to_string(&path).unwrap()));
        }
    }
    files
}
