//! A proxy before PostgreSQL that breaks connections at a chosen moment, as a network or a server's end does.

use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

const PORT: u16 = 5432;

/// When the proxy breaks a connection. Counting goes over all connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Break {
    /// Instead of passing this statement on.
    AtStatement(usize),
    /// This COMMIT reaches the server, and its answer is lost.
    AfterCommit(usize),
}

/// Listens until it is dropped.
pub struct BreakingProxy {
    folder: tempfile::TempDir,
    state: Arc<State>,
    task: tokio::task::JoinHandle<()>,
}

struct State {
    at: Break,
    seen: AtomicUsize,
    has_broken: AtomicBool,
}

impl BreakingProxy {
    /// Before the server of this pool; `None` where that has no Unix socket.
    pub fn start(pool: &PgPool, at: Break) -> Option<Self> {
        let options = pool.connect_options();
        let server = options.get_socket()?.join(format!(".s.PGSQL.{}", options.get_port()));
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join(format!(".s.PGSQL.{PORT}"))).unwrap();
        let state = Arc::new(State { at, seen: AtomicUsize::new(0), has_broken: AtomicBool::new(false) });
        let task = tokio::spawn(listen(listener, server, state.clone()));
        Some(Self { folder, state, task })
    }

    /// The same database, by way of the proxy.
    pub fn options(&self, pool: &PgPool) -> PgConnectOptions {
        let options = PgConnectOptions::clone(&pool.connect_options());
        options.socket(self.folder.path()).port(PORT).ssl_mode(PgSslMode::Disable)
    }

    /// Whether the moment came.
    pub fn has_broken(&self) -> bool {
        self.state.has_broken.load(Ordering::SeqCst)
    }
}

impl Drop for BreakingProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn listen(listener: UnixListener, server: PathBuf, state: Arc<State>) {
    while let Ok((client, _)) = listener.accept().await {
        let server = UnixStream::connect(&server).await.unwrap();
        tokio::spawn(pass(client, server, state.clone()));
    }
}

async fn pass(client: UnixStream, server: UnixStream, state: Arc<State>) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let is_silent = Arc::new(AtomicBool::new(false));
    let silent = is_silent.clone();
    let answers = tokio::spawn(async move {
        let mut bytes = [0; 16 * 1024];
        while let Ok(count @ 1..) = from_server.read(&mut bytes).await {
            if silent.load(Ordering::SeqCst) || to_client.write_all(&bytes[..count]).await.is_err() {
                return;
            }
        }
    });
    let mut is_first = true;
    while let Some((kind, message)) = message(&mut from_client, is_first).await {
        is_first = false;
        if state.breaks_here(kind, &message) {
            state.has_broken.store(true, Ordering::SeqCst);
            if matches!(state.at, Break::AfterCommit(_)) {
                is_silent.store(true, Ordering::SeqCst);
                let _ = to_server.write_all(&message).await;
                // The server has answered, and nobody was told.
                let _ = answers.await;
            } else {
                answers.abort();
            }
            return;
        }
        if to_server.write_all(&message).await.is_err() {
            break;
        }
    }
    let _ = to_server.shutdown().await;
    let _ = answers.await;
}

impl State {
    fn breaks_here(&self, kind: u8, message: &[u8]) -> bool {
        let (is_counted, place) = match self.at {
            Break::AtStatement(place) => (matches!(kind, b'Q' | b'B'), place),
            Break::AfterCommit(place) => (kind == b'Q' && message[5..].starts_with(b"COMMIT"), place),
        };
        is_counted && self.seen.fetch_add(1, Ordering::SeqCst) + 1 == place
    }
}

// One message with its head; the first of a connection has no letter. None at the end.
async fn message(from: &mut (impl AsyncReadExt + Unpin), is_first: bool) -> Option<(u8, Vec<u8>)> {
    let kind = if is_first { 0 } else { from.read_u8().await.ok()? };
    let length = from.read_u32().await.ok()?;
    let mut message = Vec::with_capacity(length as usize + 1);
    if !is_first {
        message.push(kind);
    }
    message.extend_from_slice(&length.to_be_bytes());
    let start = message.len();
    message.resize(start + length as usize - 4, 0);
    from.read_exact(&mut message[start..]).await.ok()?;
    Some((kind, message))
}
