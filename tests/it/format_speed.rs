//! How fast each format is read beside FOCUS CSV, by the byte. Ignored, because a loaded machine decides it:
//! `cargo test --release --test it -- --ignored --nocapture format_speed`

use crate::support;
use costwake::normalize::{Row, open};
use serde_json::{Map, Value};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Files are repeated up to about this size, so that opening them counts for nothing.
const BYTES: usize = 30_000_000;
const ROUNDS: usize = 5;

const FOCUS: &str = "generated/fdt_focus12_aws_20000.csv";
const NATIVE: [&str; 7] = [
    "generated/nise_aws_cur_2026-05.csv",
    "aws_cur_legacy_focusconverters.csv",
    "aws_cur2_haproject_2026-04/ha-project-CUR-daily-1-00001.csv",
    "generated/nise_azure_2026-05.csv",
    "azure_ea_amortized_small.csv",
    GOOGLE,
    "oci_cost_report_focusconverters.csv",
];

/// Google Cloud's export as a table. It is read as JSON lines too, which are made of it.
const GOOGLE: &str = "generated/nise_gcp_2026-05.csv";

fn text(folder: &Path, name: &str) -> Vec<u8> {
    let plain = folder.join(name);
    let mut text = Vec::new();
    if plain.exists() {
        text = fs::read(plain).unwrap();
    } else {
        let packed = fs::File::open(folder.join(format!("{name}.gz"))).unwrap();
        flate2::read::MultiGzDecoder::new(packed).read_to_end(&mut text).unwrap();
    }
    if !text.ends_with(b"\n") {
        text.push(b'\n');
    }
    text
}

/// The header once, where there is one, and the lines again and again.
fn repeated(mut text: Vec<u8>, has_header: bool, to: &Path) -> usize {
    let header = text.iter().position(|byte| *byte == b'\n').filter(|_| has_header).map_or(0, |end| end + 1);
    let lines = text[header..].to_vec();
    while text.len() + lines.len() < BYTES {
        text.extend_from_slice(&lines);
    }
    fs::write(to, &text).unwrap();
    text.len()
}

/// A table as objects, one a line: dotted names are members of members, and what is null is left out.
fn json_lines(table: &[u8]) -> Vec<u8> {
    let mut reader = csv::Reader::from_reader(table);
    let names = reader.headers().unwrap().clone();
    let mut lines = Vec::new();
    for row in reader.records() {
        let row = row.unwrap();
        let mut object = Map::new();
        for (name, cell) in names.iter().zip(&row).filter(|(_, cell)| !cell.is_empty()) {
            let value = serde_json::from_str(cell).ok().filter(Value::is_array).unwrap_or_else(|| Value::from(cell));
            let (members, name) = match name.split_once('.') {
                None => (&mut object, name),
                Some((outer, inner)) => {
                    let outer = object.entry(outer).or_insert_with(|| Value::Object(Map::new()));
                    (outer.as_object_mut().unwrap(), inner)
                }
            };
            members.insert(name.to_owned(), value);
        }
        serde_json::to_writer(&mut lines, &object).unwrap();
        lines.push(b'\n');
    }
    lines
}

/// The best of some rounds over all that a load asks of a row but the database.
fn read(path: &Path) -> Duration {
    let mut bytes = Vec::new();
    let mut round = || {
        let start = Instant::now();
        let mut bill = open(path).unwrap();
        while let Some(row) = bill.next_row().unwrap() {
            let Row::Charge(charge) = row else { continue };
            charge.group_bytes(&mut bytes);
            std::hint::black_box((&bytes, charge.measures().count()));
        }
        start.elapsed()
    };
    (0..ROUNDS).map(|_| round()).min().unwrap()
}

#[test]
#[ignore = "it measures; a loaded machine decides it"]
fn format_speed() {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared");
    let folder = std::env::var_os("COSTWAKE_SHARED").map_or(beside, PathBuf::from).join("data/billing");
    if !folder.is_dir() {
        support::skipped(&format!("no conformance files in {}", folder.display()));
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("bill.csv");
    // Bytes a second.
    let rate = |text: Vec<u8>, has_header: bool| {
        repeated(text, has_header, &path) as u128 * 1_000_000 / read(&path).as_micros().max(1)
    };
    let focus = rate(text(&folder, FOCUS), true);
    println!("{:>5} MB/s          {FOCUS}", focus / 1_000_000);
    let show = |native: u128, name: &str| {
        println!("{:>5} MB/s  {:>3} %  {name}", native / 1_000_000, native * 100 / focus);
    };
    for name in NATIVE {
        show(rate(text(&folder, name), true), name);
    }
    show(rate(json_lines(&text(&folder, GOOGLE)), false), "the same as JSON lines: Google Cloud");
}
