//! A workbook of as many lines as its CSV may have is written within little memory, and has all of them.

use crate::ledger::{Line, bill};
use crate::sources::Home;
use crate::sources::push_sockets::Server;
use crate::support;
use costwake::store::Role;
use costwake::web::session;
use sqlx::{ConnectOptions, PgPool};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

const PEAK_KIB_MAX: u64 = 256 * 1024;
/// More than a CSV of charges has.
const LINES: usize = 200_500;
const CSV_LINES: usize = 200_000;

fn import(address: &str, home: &Home) {
    let lines: Vec<Line> = (0..LINES)
        .map(|n| Line::of("2026-10", 1 + n as u32 % 28, &format!("s-{}", n % 500), &format!("{n}.{}", n % 977)))
        .collect();
    let path = home.folder.path().join("bill.csv");
    std::fs::write(&path, bill(&lines)).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_costwake"));
    command.env("DATABASE_URL", address).env("COSTWAKE_DATA_DIR", home.folder.path());
    let status = command.args(["import", "--source", "acme"]).arg(path).stdout(Stdio::null()).status().unwrap();
    assert!(status.success());
}

/// Asks for an address and writes the body of the answer to a file.
fn download(server: &Server, path: &str, cookie: &str) -> File {
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(300))).unwrap();
    let host = server.address;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = BufReader::new(stream);
    let (mut line, mut head) = (String::new(), String::new());
    while answer.read_line(&mut line).unwrap() > 2 {
        head.push_str(&line);
        line.clear();
    }
    assert!(head.starts_with("HTTP/1.1 200") && head.contains("spreadsheetml"), "{head}");
    let mut file = tempfile::tempfile().unwrap();
    std::io::copy(&mut answer, &mut file).unwrap();
    file.seek(SeekFrom::Start(0)).unwrap();
    file
}

/// Rows of the first sheet, counted without holding it.
fn row_count(workbook: File) -> usize {
    let mut archive = zip::ZipArchive::new(workbook).unwrap();
    let mut sheet = BufReader::new(archive.by_name("xl/worksheets/sheet1.xml").unwrap());
    let (mut count, mut tag) = (0, Vec::new());
    loop {
        tag.clear();
        // Read up to each `<`: what follows it is looked at with the next.
        if sheet.by_ref().read_until(b'<', &mut tag).unwrap() == 0 {
            return count;
        }
        count += usize::from(tag.starts_with(b"row "));
    }
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn the_largest_workbook_takes_little_memory(pool: PgPool) {
    let home = Home::new();
    import(pool.connect_options().to_url_lossy().as_ref(), &home);
    let mut browser = support::app(pool.clone()).await;
    browser.sign_in(Role::Finance).await;
    let cookie = format!("{}={}", session::cookie_name(&browser.state.config), browser.session.unwrap());
    let server = Server::start(&home, &pool);
    let before = server.peak_kib();
    let workbook = download(&server, "/charges.xlsx?period=2026-10", &cookie);
    let peak = server.peak_kib();
    println!("{} bytes, {before} KiB before, {peak} KiB at the peak", workbook.metadata().unwrap().len());
    assert!(peak < PEAK_KIB_MAX, "{peak} KiB");
    // The header, and the sentence that says that there are more.
    let rows = row_count(workbook);
    assert!((CSV_LINES + 1..=CSV_LINES + 3).contains(&rows), "{rows}");
}
