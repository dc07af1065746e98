//! F25 and F18: a delivery of some hundred megabytes over real sockets to a running server: cut off, resumed out of
//! order, refused where it is not what was meant or where the disk is full, in little memory.

use super::{Home, assert_counts, folder_setting};
use crate::ledger::{Line, assert_clean, bill};
use crate::support;
use costwake::sources::kind::{Kind, Layout};
use costwake::sources::place::{Credentials, Place};
use costwake::sources::setting::Setting;
use costwake::store::Role;
use costwake::store::tokens::TokenScope;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use sqlx::{ConnectOptions, PgPool};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const PEAK_KIB_MAX: u64 = 256 * 1024;
/// Lines of a part, and the bytes of a column that pads each.
const LINES: usize = 6_000;
const PADDING: usize = 16 * 1024;
const WAIT_MAX: Duration = Duration::from_secs(300);

/// `costwake serve` on a test's database.
pub struct Server {
    child: Child,
    /// Where it answers.
    pub address: SocketAddr,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    pub fn start(home: &Home, pool: &PgPool) -> Self {
        Self::of(Command::new(env!("CARGO_BIN_EXE_costwake")), home, pool)
    }

    /// One that may write files of a mebibyte at most, and is told so instead of being killed.
    fn with_small_files(home: &Home, pool: &PgPool) -> Self {
        let mut command = Command::new("bash");
        let limited = "trap '' XFSZ; ulimit -f 1024; exec \"$0\" \"$@\"";
        command.args(["-c", limited, env!("CARGO_BIN_EXE_costwake")]);
        Self::of(command, home, pool)
    }

    pub fn of(mut command: Command, home: &Home, pool: &PgPool) -> Self {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        command.env("DATABASE_URL", pool.connect_options().to_url_lossy().to_string());
        command.env("COSTWAKE_DATA_DIR", home.folder.path());
        command.args(["serve", "--listen", &address.to_string(), "--metrics-listen", "off"]);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let server = Self { child, address };
        let began = Instant::now();
        while !server.is_ready() {
            assert!(began.elapsed() < WAIT_MAX, "the server was not ready");
            std::thread::sleep(Duration::from_millis(50));
        }
        server
    }

    // It looks whether its port is free before it begins, so that a connection alone says nothing.
    fn is_ready(&self) -> bool {
        let Ok(mut stream) = TcpStream::connect(self.address) else { return false };
        let head = format!("GET /readyz HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.address);
        stream.write_all(head.as_bytes()).is_ok() && answer(stream).0 == 200
    }

    /// The most memory that it ever held.
    pub fn peak_kib(&self) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    }

    /// Begins a request about a delivery; its body comes after.
    pub fn open(&self, method: &str, path: &str, token: &str, headers: &str) -> TcpStream {
        let path = format!("/api/v1/sources/pipeline/deliveries/{path}");
        self.send(method, &path, &format!("Authorization: Bearer {token}\r\n{headers}"))
    }

    /// Begins any request.
    pub fn send(&self, method: &str, path: &str, headers: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).unwrap();
        let address = self.address;
        let head = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{headers}\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        stream
    }

    /// Status and body of a request with a small body.
    pub fn ask(&self, method: &str, path: &str, token: &str, body: &str) -> (u16, Value) {
        let headers = format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
        let mut stream = self.open(method, path, token, &headers);
        stream.write_all(body.as_bytes()).unwrap();
        answer(stream)
    }

    /// Sends the part, or only its first bytes.
    fn put(&self, part: &Part, sha256: &str, token: &str, bytes_max: usize) -> (u16, Value) {
        let path = format!("october/parts/{}?sha256={sha256}", part.number);
        let mut stream = self.open("PUT", &path, token, &format!("Content-Length: {}\r\n", part.bytes));
        let mut sent = 0;
        part.each(|chunk| {
            let chunk = &chunk[..chunk.len().min(bytes_max - sent)];
            sent += chunk.len();
            // The server may answer and close before it has read all.
            let _ = stream.write_all(chunk);
        });
        if sent < part.bytes {
            return (0, Value::Null);
        }
        answer(stream)
    }
}

fn answer(mut stream: TcpStream) -> (u16, Value) {
    stream.set_read_timeout(Some(WAIT_MAX)).unwrap();
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
    // A server that answers before it has read all closes on what is still being sent: the answer is here first.
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        bytes.extend_from_slice(&buffer[..count]);
    }
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let status = text.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
    let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    (status, serde_json::from_str(body).unwrap_or(Value::String(body.to_owned())))
}

/// A file that is made while it is sent; it never stands anywhere as a whole.
struct Part {
    number: usize,
    head: String,
    line: String,
    bytes: usize,
    sha256: String,
}

impl Part {
    fn new(number: usize) -> Self {
        // A bill and an account of its own, so that the parts do not replace each other.
        let mut line = Line::of("2026-10", 3, "shop", "0.0000001");
        line.account = format!("account-{number}");
        let text = bill(&[line]);
        let (head, line) = text.split_once('\n').unwrap();
        let mut part = Self {
            number,
            head: format!("{head},x_Padding\n"),
            line: format!("{},{}\n", line.trim_end(), "a".repeat(PADDING)),
            bytes: 0,
            sha256: String::new(),
        };
        let (mut hash, mut bytes) = (Sha256::new(), 0);
        part.each(|chunk| {
            hash.update(chunk);
            bytes += chunk.len();
        });
        (part.sha256, part.bytes) = (hex::encode(hash.finalize()), bytes);
        part
    }

    fn each(&self, mut take: impl FnMut(&[u8])) {
        take(self.head.as_bytes());
        (0..LINES).for_each(|_| take(self.line.as_bytes()));
    }
}

pub async fn source_with_token(home: &Home, pool: &PgPool) -> String {
    let setting = Setting {
        kind: Kind::Push,
        place: Place::default(),
        ..folder_setting("pipeline", Layout::Files, &home.bills())
    };
    home.add(pool, &setting, &Credentials::default()).await;
    let app = support::app_with(pool.clone(), home.config.clone()).await;
    app.token(TokenScope::Ingest, Role::Finance).await
}

/// F18: a part that the disk does not take is refused with what to do, leaves nothing, and the server goes on.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_part_that_the_disk_does_not_take_leaves_nothing(pool: PgPool) {
    let home = Home::new();
    let token = source_with_token(&home, &pool).await;
    let spool = home.folder.path().join("spool");
    let server = Server::with_small_files(&home, &pool);
    let checked = tokio::task::spawn_blocking(move || {
        let part = Part::new(1);
        let (status, body) = server.put(&part, &part.sha256, &token, usize::MAX);
        assert_eq!(status, 507, "{body}");
        assert!(body["error"].as_str().unwrap().contains("Nothing of the upload was kept"), "{body}");
        assert_eq!(std::fs::read_dir(spool).unwrap().count(), 0);
        assert_eq!(server.ask("GET", "october", &token, "").0, 404, "nothing of it is there");
        let small = "a small part";
        let path = format!("october/parts/1?sha256={}", hex::encode(Sha256::digest(small)));
        assert_eq!(server.ask("PUT", &path, &token, small).0, 201);
    });
    checked.await.unwrap();
}

#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn a_large_push_over_sockets_is_resumed_and_takes_little_memory(pool: PgPool) {
    let home = Home::new();
    let token = source_with_token(&home, &pool).await;
    let spool = home.folder.path().join("spool");
    let stays = move || std::fs::read_dir(&spool).map_or(0, |entries| entries.count());
    let server = Server::start(&home, &pool);

    let checked = tokio::task::spawn_blocking(move || {
        let parts = [Part::new(1), Part::new(2), Part::new(3)];
        assert!(parts.iter().map(|part| part.bytes).sum::<usize>() > 250 << 20);

        // Cut off half-way: nothing of it is there.
        server.put(&parts[2], &parts[2].sha256, &token, parts[2].bytes / 2);
        let began = Instant::now();
        while stays() > 0 {
            assert!(began.elapsed() < WAIT_MAX, "half a part stayed on the disk");
            std::thread::sleep(Duration::from_millis(50));
        }
        assert_eq!(server.ask("GET", "october", &token, "").0, 404);

        // Out of order, and with a hash that is another part's.
        let (status, body) = server.put(&parts[2], &parts[2].sha256, &token, usize::MAX);
        assert_eq!(status, 201, "{body}");
        let (status, body) = server.put(&parts[0], &parts[1].sha256, &token, usize::MAX);
        assert_eq!(status, 422, "{body}");
        assert!(body["error"].as_str().unwrap().contains("nothing of it was kept"), "{body}");

        // What a broken client sends in chunks that are none is refused, and the server goes on.
        let mut broken = server.open(
            "PUT",
            &format!("october/parts/1?sha256={}", parts[0].sha256),
            &token,
            "Transfer-Encoding: chunked\r\n",
        );
        broken.write_all(b"4\r\nhalf\r\nzz\r\n").unwrap();
        let (status, _) = answer(broken);
        assert!((400..500).contains(&status), "{status}");

        // The sender asks what is there and sends the rest.
        let (_, stored) = server.ask("GET", "october", &token, "");
        let numbers: Vec<u64> =
            stored["parts"].as_array().unwrap().iter().map(|part| part["number"].as_u64().unwrap()).collect();
        assert_eq!(numbers, [3]);
        for part in &parts[..2] {
            assert_eq!(server.put(part, &part.sha256, &token, usize::MAX).0, 201);
        }
        let all: Vec<Value> =
            parts.iter().map(|part| json!({ "number": part.number, "sha256": part.sha256 })).collect();
        let (status, body) = server.ask("POST", "october/commit", &token, &json!({ "parts": all }).to_string());
        assert_eq!(status, 202, "{body}");
        let began = Instant::now();
        loop {
            let (_, body) = server.ask("GET", "october", &token, "");
            if body["state"] == "published" {
                break;
            }
            assert!(began.elapsed() < WAIT_MAX, "{body}");
            std::thread::sleep(Duration::from_millis(250));
        }
        // The files go after the bill counts.
        while stays() > 0 {
            assert!(began.elapsed() < WAIT_MAX, "what was read is not kept");
            std::thread::sleep(Duration::from_millis(50));
        }
        server.peak_kib()
    });
    let peak = checked.await.unwrap();
    assert!(peak < PEAK_KIB_MAX, "the server took {peak} KiB");
    assert_counts(&pool, "pipeline", 3 * LINES as i64, "0.0018").await;
    assert_clean(&pool).await;
}
