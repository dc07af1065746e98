//! Arguments in, exit code out.

use clap::Parser;
use costwake::commands;
use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("costwake: could not start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let result = runtime.block_on(commands::run(commands::Arguments::parse()));
    // A stopped command does not wait for a file that is still being read.
    runtime.shutdown_timeout(Duration::from_secs(1));
    result.unwrap_or_else(|error| {
        eprintln!("costwake: {error:#}");
        ExitCode::FAILURE
    })
}
