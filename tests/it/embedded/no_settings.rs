//! The program without any setting: who may do what (S01), and where it tells the first link (S04).

use super::{Place, Server};
use crate::trust_matrix::{filled, table};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

/// The program with nothing of this process's environment but what names the programs of PostgreSQL.
fn bare(place: &Place, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_costwake"));
    command.args(arguments).env_clear().env("HOME", place.0.path());
    for name in ["PATH", "COSTWAKE_POSTGRES_BIN"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command
}

fn ask(address: SocketAddr, method: &str, path: &str, form: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nSec-Fetch-Site: same-origin\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
        form.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut said = Vec::new();
    stream.read_to_end(&mut said).unwrap();
    String::from_utf8_lossy(&said).into_owned()
}

// Routes that let somebody in who is not signed in, and how.
fn open_routes(address: SocketAddr) -> Vec<String> {
    let mut open = Vec::new();
    for row in table().iter().filter(|row| row.asked != "public") {
        let said = ask(address, row.method, &filled(row.path), "");
        let is_closed = match row.scope {
            Some(_) => said.starts_with("HTTP/1.1 401"),
            None => said.starts_with("HTTP/1.1 303") && said.contains("\r\nlocation: /sign-in"),
        };
        if !is_closed {
            open.push(format!("{} {}: {}", row.method, row.path, said.lines().next().unwrap_or_default()));
        }
    }
    open
}

#[test]
fn without_any_setting_nothing_is_open_but_sign_in() {
    let place = Place::new();
    let log = place.0.path().join("log");
    let mut command = bare(&place, &["serve", "--listen", "127.0.0.1:0", "--metrics-listen", "off", "--data-dir"]);
    command.arg(place.data_dir()).stdout(Stdio::piped()).stderr(File::create(&log).unwrap());
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut server = Server(child);
    let first = lines.next().unwrap_or_else(|| panic!("{}", fs::read_to_string(&log).unwrap()));
    let address: SocketAddr = first.split_once("serves on http://").unwrap().1.parse().unwrap();

    assert!(table().len() > 200, "the table has every route");
    let open = open_routes(address);
    assert!(open.is_empty(), "{}", open.join("\n"));
    let sign_in = ask(address, "GET", "/sign-in", "");
    let style = sign_in.split('"').find(|word| word.starts_with("/static/")).unwrap();
    for path in ["/sign-in", "/healthz", "/readyz", style] {
        assert!(ask(address, "GET", path, "").starts_with("HTTP/1.1 200"), "{path}");
    }
    // No password is there from the beginning.
    assert!(ask(address, "POST", "/sign-in", "login=admin&password=admin").starts_with("HTTP/1.1 401"));
    assert!(ask(address, "POST", "/webhooks/github/none", "").starts_with("HTTP/1.1 4"));

    // What it says is kept and passed on by scripts; whoever has the link is the administrator.
    let file = place.data_dir().join("first-sign-in-link");
    let link = fs::read_to_string(&file).unwrap();
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(server.stop());
    assert!(link.contains("/welcome/") && fs::read_to_string(&log).unwrap().contains(link.trim()));
    assert!(!first.contains("/welcome/") && !lines.any(|line| line.contains("/welcome/")));
}

#[test]
fn its_addresses_are_on_this_machine_where_nothing_else_is_set() {
    let output = bare(&Place::new(), &["serve", "--help"]).output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    for (setting, address) in [("COSTWAKE_LISTEN", "127.0.0.1:8080"), ("COSTWAKE_METRICS_LISTEN", "127.0.0.1:9090")] {
        let (_, after) = help.split_once(&format!("[env: {setting}=]")).unwrap();
        assert!(after.trim_start().starts_with(&format!("[default: {address}]")), "{setting}: {help}");
    }
}
