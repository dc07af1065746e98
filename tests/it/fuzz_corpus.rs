//! I07: what fuzzing found, and what it started from, goes through the same readers again.

use std::path::Path;

#[path = "../../fuzz/readers.rs"]
mod readers;

fn replay(target: &str, read: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(files.len() >= 3, "{} has {} files", folder.display(), files.len());
    for file in files {
        println!("{}", file.display());
        read(&std::fs::read(file).unwrap());
    }
}

#[test]
fn the_corpus_of_every_target_is_read_without_a_finding() {
    replay("csv", readers::csv);
    replay("manifest", readers::manifest);
    replay("parquet", readers::parquet);
    replay("decimal", readers::decimal);
    replay("tags", readers::tags);
    replay("filter", readers::filter);
}
