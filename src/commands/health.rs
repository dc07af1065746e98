//! `costwake health`: whether the server on this machine is ready, for a container's health check.

use crate::config::Config;
use crate::store::embedded::works_in_background;
use anyhow::Context;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const TIMEOUT: Duration = Duration::from_secs(3);

/// Without an option the pages are asked.
#[derive(clap::Args)]
pub struct Arguments {
    /// Of `costwake serve --jobs-only`, which has no pages: whether it works in the background with this data directory.
    #[arg(long)]
    jobs_only: bool,
}

/// Runs the command.
pub async fn run(arguments: Arguments, config: &Config) -> anyhow::Result<ExitCode> {
    if arguments.jobs_only {
        let works = works_in_background(&config.data_dir())?;
        println!("{}", if works { "works in the background" } else { "nothing works in the background" });
        return Ok(if works { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    let address = reachable(config.listen);
    let answer = tokio::time::timeout(TIMEOUT, ask(address)).await;
    let answer = answer.with_context(|| format!("{address} did not answer within {} s", TIMEOUT.as_secs()))??;
    let status = answer.split_whitespace().nth(1).unwrap_or("nothing");
    if status == "200" {
        println!("ready");
        return Ok(ExitCode::SUCCESS);
    }
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    println!("not ready: {status} {body}");
    Ok(ExitCode::FAILURE)
}

// A server that listens on every address is asked on loopback.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

async fn ask(address: SocketAddr) -> anyhow::Result<String> {
    let stream = TcpStream::connect(address).await.with_context(|| {
        format!("nothing answers on {address}; costwake serve --jobs-only does not: ask for it with --jobs-only")
    })?;
    let mut stream = stream;
    stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await?;
    let mut answer = Vec::new();
    stream.take(64 << 10).read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
