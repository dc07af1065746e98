//! Two thousand slow clients of three kinds beside somebody who reads pages (F26).

use super::pages_explore;
use super::support::{self, TestApp};
use super::trust_server::{page_of, send};
use costwake::store::Role;
use costwake::web::server::{self, Limits};
use futures_util::future::join_all;
use sqlx::PgPool;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};

/// A page that needs the session, many questions to the database, and a template.
const PAGE: &str = "/services/checkout-api";
/// Half of a request's head, and half of its body. The third kind of slow client asks for the page and never reads it.
const UNENDED: [&str; 2] = [
    "GET /services/checkout-api HTTP/1.1\r\nHost: loc",
    "POST /sign-in HTTP/1.1\r\nHost: localhost\r\nSec-Fetch-Site: same-origin\r\n\
     Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 10000\r\n\r\nlogin=",
];
/// A third of them is more than the requests that are worked on at once (512).
const SLOW_COUNT: usize = 2000;
/// Within one machine the system would keep megabytes of an answer that nobody reads, and no writer would ever wait.
/// With buffers as between machines it keeps less than twice these sums: it doubles what it is asked for.
const SEND_BUFFER_BYTES: u32 = 16 << 10;
const RECEIVE_BUFFER_BYTES: u32 = 2 << 10;
const KEPT_BYTES_MAX: usize = 2 * (SEND_BUFFER_BYTES + RECEIVE_BUFFER_BYTES) as usize;
/// What the scheduler of a busy machine adds to one request in a hundred, and how often it is given another chance: its
/// noise passes, what slow clients cost does not.
const NOISE: Duration = Duration::from_millis(10);
const ROUNDS_MAX: usize = 5;

/// The same requests without the slow clients and beside them.
#[derive(Debug)]
struct Round {
    alone: Duration,
    beside: Duration,
    slow_count: usize,
    /// Connections that the server still had open at the end.
    open_count: usize,
    /// Those of them whose answer waited for its reader.
    unread_count: usize,
}

impl Round {
    async fn of(address: SocketAddr, page: &str, slow_count: usize) -> Self {
        let alone = p99(address, page).await;
        let slow = slow_clients(address, page, slow_count).await;
        // Connections are taken in turn: when this one is answered, the server has all that came before it.
        send(address, page).await;
        let beside = p99(address, page).await;
        let (open_count, unread_count) = connections(address);
        drop(slow);
        let began = Instant::now();
        while connections(address).0 > 0 {
            assert!(began.elapsed() < Duration::from_secs(60), "{} are still open", connections(address).0);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Self { alone, beside, slow_count, open_count, unread_count }
    }

    // A round that took so long that slow clients were given up proves nothing.
    fn is_quick(&self) -> bool {
        let is_beside_all = self.open_count >= self.slow_count && self.unread_count >= self.slow_count / 3;
        is_beside_all && self.beside <= self.alone * 2 + NOISE
    }
}

/// F26: two thousand slow clients do not make others wait twice as long for a page.
#[sqlx::test(migrator = "costwake::store::MIGRATIONS")]
async fn slow_clients_do_not_slow_down_others(pool: PgPool) {
    // Both ends of each connection are in this process, beside what other tests have open.
    let slow_count = SLOW_COUNT.min(open_files_max().saturating_sub(400) / 2);
    if slow_count < SLOW_COUNT {
        support::skipped(&format!("2000 slow clients: this process may open too few files, so {slow_count} are tried"));
    }
    pages_explore::seed(&pool).await;
    let browser = support::app(pool).await.browser(Role::Viewer, false, &[]).await;
    let address = serve(&browser);
    let page = page_of(&browser, PAGE);
    let size = send(address, &page).await.len();
    assert!(size > KEPT_BYTES_MAX, "{PAGE} has {size} bytes, which the system may keep although nobody reads them");
    let mut rounds: Vec<Round> = Vec::new();
    while rounds.len() < ROUNDS_MAX && !rounds.iter().any(Round::is_quick) {
        rounds.push(Round::of(address, &page, slow_count).await);
    }
    assert!(rounds.iter().any(Round::is_quick), "{rounds:?}");
}

fn serve(browser: &TestApp) -> SocketAddr {
    let socket = TcpSocket::new_v4().unwrap();
    // Each connection has what its listener has.
    socket.set_send_buffer_size(SEND_BUFFER_BYTES).unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let listener = socket.listen(1024).unwrap();
    let address = listener.local_addr().unwrap();
    // None of the slow clients is closed before the end of its round.
    let long = Duration::from_secs(300);
    let limits = Limits { header: long, pause: long, ..Limits::default() };
    tokio::spawn(server::serve_with(browser.state.clone(), listener, std::future::pending(), limits));
    address
}

// First those whose page must be made, a few at a time; a body is waited for half a minute only.
async fn slow_clients(address: SocketAddr, page: &str, count: usize) -> Vec<TcpStream> {
    let mut slow = Vec::new();
    while slow.len() < count / 3 {
        slow.extend(join_all((0..4).map(|_| never_reads(address, page))).await);
    }
    for part in UNENDED.iter().cycle().take(count - slow.len()) {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(part.as_bytes()).await.unwrap();
        slow.push(stream);
    }
    slow
}

async fn never_reads(address: SocketAddr, page: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES).unwrap();
    let mut stream = socket.connect(address).await.unwrap();
    stream.write_all(page.as_bytes()).await.unwrap();
    // It looks that the answer has begun, and takes nothing of it.
    let mut first = [0; 15];
    let count = stream.peek(&mut first).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&first[..count]), "HTTP/1.0 200 OK");
    stream
}

// How many connections the server has open, and of how many the client has not taken all that was written.
fn connections(address: SocketAddr) -> (usize, usize) {
    let own = format!("0100007F:{:04X}", address.port());
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let unsent: Vec<&str> = table
        .lines()
        .filter_map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            // A number, both addresses, the state (open; closed by the client only), bytes unsent and unread.
            let [_, from, _, "01" | "08", queues, ..] = words[..] else { return None };
            let (unsent, _unread) = queues.split_once(':')?;
            (from == own).then_some(unsent)
        })
        .collect();
    (unsent.len(), unsent.iter().filter(|bytes| **bytes != "00000000").count())
}

// Of a hundred requests the slowest but one.
async fn p99(address: SocketAddr, request: &str) -> Duration {
    let mut times = Vec::new();
    for _ in 0..100 {
        let began = Instant::now();
        let said = send(address, request).await;
        times.push(began.elapsed());
        assert!(said.starts_with("HTTP/1.0 200 OK"), "{said}");
    }
    times.sort_unstable();
    times[98]
}

fn open_files_max() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap_or_default();
    line.split_whitespace().nth(3).and_then(|soft| soft.parse().ok()).unwrap_or(1024)
}
