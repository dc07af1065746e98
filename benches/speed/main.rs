//! Measures, in one run on one machine, what the import and the pages cost beside what they cannot cost less than:
//! a plain copy of the file, a page rendered without a database. `scripts/bench [--json] ROWS` runs it. With
//! `--months N` it takes in N months of that many rows, one after another, and restates one of them; with
//! `--webhooks N` it posts N webhooks a second for a minute; with `--effects N` it settles the effects of 25 releases of each
//! of N services.

#![expect(clippy::float_arithmetic, reason = "times and ratios")]

mod chart_events;
mod effects;
mod focus_file;
mod history;
mod import;
mod pages;
mod render_only;
mod report;
mod server;
mod webhooks;

use anyhow::Context;
use focus_file::Month;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    // reqwest asks for it before its first client, though nothing here is encrypted.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // `cargo bench` adds --bench.
    let arguments: Vec<_> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if let [argument, data_dir] = arguments.as_slice()
        && argument == render_only::ARGUMENT
    {
        return render_only::run(data_dir.as_ref()).await;
    }
    let as_json = arguments.iter().any(|argument| argument == "--json");
    let (months, webhooks) = (number_of(&arguments, "--months")?, number_of(&arguments, "--webhooks")?);
    let services = number_of(&arguments, "--effects")?;
    let options = ["--months", "--webhooks", "--effects"];
    let is_rows = |place: usize| place == 0 || !options.contains(&arguments[place - 1].as_str());
    let rows = arguments
        .iter()
        .enumerate()
        .find(|(place, argument)| !argument.starts_with("--") && is_rows(*place))
        .map_or("1000000", |(_, argument)| argument.as_str());
    let rows: u64 = rows.replace('_', "").parse().with_context(|| format!("{rows} is no number of rows"))?;
    let folder = tempfile_folder()?;
    let result = match (months, webhooks, services) {
        (Some(months), ..) => history::run(&folder, months, rows, as_json).await,
        (_, Some(offered), _) => webhooks::run(&folder, offered.into(), as_json).await,
        (.., Some(services)) => effects::run(&folder, services, as_json).await,
        (None, None, None) => run(&folder, rows).await.map(|figures| report::print(&figures, as_json)),
    };
    std::fs::remove_dir_all(&folder).ok();
    result
}

fn number_of(arguments: &[String], option: &str) -> anyhow::Result<Option<u32>> {
    let Some(place) = arguments.iter().position(|argument| argument == option) else { return Ok(None) };
    let number = arguments.get(place + 1).and_then(|text| text.parse().ok());
    number.map(Some).with_context(|| format!("{option} needs a number"))
}

async fn run(folder: &std::path::Path, rows: u64) -> anyhow::Result<report::Figures> {
    eprintln!("Writing a bill of {rows} rows …");
    let bill = folder.join("bill.csv");
    let bytes = focus_file::write(&bill, rows, Month::OCTOBER_2026, focus_file::SEED)?;
    eprintln!("{} MB, {} bytes a row.", bytes / 1_000_000, bytes / rows);
    let server = server::Server::start(folder).await?;
    let copy = import::plain_copy(&server, &bill)?;
    eprintln!("psql \\copy into 55 text columns: {:.1} s", copy.as_secs_f64());
    let imported = import::import(&server, "bench", &bill)?;
    eprintln!("costwake import: {:.1} s, {} MiB", imported.duration.as_secs_f64(), imported.peak_mib);
    let pages = pages::measure(&server).await?;
    server.stop()?;
    Ok(report::Figures { rows, copy, imported, pages })
}

// On the same disk as the project, not in memory: the figures are those of a real disk.
fn tempfile_folder() -> anyhow::Result<std::path::PathBuf> {
    let base = std::env::var_os("CARGO_TARGET_TMPDIR").map_or_else(std::env::temp_dir, Into::into);
    let folder = base.join(format!("costwake-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}
