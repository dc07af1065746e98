//! The accept loop: connections are counted, timed and, when the service stops, drained until a deadline. (The
//! ready-made loop of axum has no header timeout and no deadline for draining.)

use super::paced::{PacedBody, PacedStream};
use super::{AppState, transport};
use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use ipnet::IpNet;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

/// How long things may take and how many there may be.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Until the head of a request is there.
    pub header: Duration,
    /// Until a body moves, and a client takes what it asked for.
    pub pause: Duration,
    /// What a body brings at least, over all.
    pub body_bytes_per_second_min: u64,
    /// What a client takes at least of what there is for it, over all.
    pub response_bytes_per_second_min: u64,
    /// From being told to stop until what is left is cut.
    pub drain: Duration,
    /// Connections at once.
    pub connections_max: usize,
    /// Connections at once from one address that is neither this machine nor a trusted proxy.
    pub connections_per_address_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            header: Duration::from_secs(10),
            pause: Duration::from_secs(30),
            body_bytes_per_second_min: 1024,
            response_bytes_per_second_min: 8 << 10,
            drain: Duration::from_secs(30),
            connections_max: 4096,
            connections_per_address_max: 512,
        }
    }
}

/// New connections are still answered for this long while draining, so that readiness can be asked.
const LATE_ARRIVALS: Duration = Duration::from_secs(5);
/// While draining a connection without a request gets this long to make one.
const LATE_REQUEST: Duration = Duration::from_millis(500);

/// Serves until `shutdown` ends, then drains. Refuses to start where passwords would travel in the clear.
pub async fn serve(app: AppState, listener: TcpListener, shutdown: impl Future<Output = ()>) -> anyhow::Result<()> {
    if let Some(problem) = transport::problem(&app.config) {
        anyhow::bail!(problem);
    }
    serve_with(app, listener, shutdown, Limits::default()).await
}

/// The same with other limits.
pub async fn serve_with(
    app: AppState,
    listener: TcpListener,
    shutdown: impl Future<Output = ()>,
    limits: Limits,
) -> anyhow::Result<()> {
    let router = super::router(app.clone());
    let server = Server::new(router, app.trusted_proxies.clone(), limits, app.draining.clone());
    server.run(listener, shutdown).await;
    let _ = tokio::time::timeout(LATE_ARRIVALS, app.webhook_refusals.write(&app.pools)).await;
    // What a request began is finished even where its client is gone.
    if tokio::time::timeout(server.limits.drain, super::wait_for_detached()).await.is_err() {
        tracing::warn!("Stopped while a write was still running; the database rolls it back");
    }
    Ok(())
}

/// Serves a small router of its own (metrics) until `stop`.
pub async fn run(router: Router, listener: TcpListener, stop: CancellationToken) {
    let limits = Limits { drain: Duration::from_secs(2), connections_max: 64, ..Limits::default() };
    let server = Server::new(router, Arc::from([]), limits, CancellationToken::new());
    server.run(listener, stop.cancelled()).await;
}

struct Server {
    router: Router,
    trusted_proxies: Arc<[IpNet]>,
    limits: Limits,
    places: Arc<Semaphore>,
    by_address: Arc<Mutex<HashMap<IpAddr, usize>>>,
    connections: TaskTracker,
    draining: CancellationToken,
    cut: CancellationToken,
}

impl Server {
    fn new(router: Router, trusted_proxies: Arc<[IpNet]>, limits: Limits, draining: CancellationToken) -> Self {
        let places = Arc::new(Semaphore::new(limits.connections_max));
        Self {
            router,
            trusted_proxies,
            limits,
            places,
            by_address: Arc::default(),
            connections: TaskTracker::new(),
            draining,
            cut: CancellationToken::new(),
        }
    }

    async fn run(&self, listener: TcpListener, shutdown: impl Future<Output = ()>) {
        tokio::select! {
            () = self.accept(&listener) => {}
            () = shutdown => {}
        }
        self.draining.cancel();
        self.connections.close();
        let drained = tokio::time::timeout(self.limits.drain, async {
            tokio::select! {
                () = self.connections.wait() => return,
                _ = tokio::time::timeout(LATE_ARRIVALS, self.accept(&listener)) => {}
            }
            self.connections.wait().await;
        });
        if drained.await.is_err() {
            tracing::warn!("Cut {} connections that did not end in time", self.connections.len());
        }
        self.cut.cancel();
        self.connections.wait().await;
    }

    // Never ends.
    async fn accept(&self, listener: &TcpListener) {
        loop {
            let Ok(place) = self.places.clone().acquire_owned().await else { return };
            match listener.accept().await {
                Ok((stream, peer)) => self.take(stream, peer, place),
                Err(error) => {
                    // Out of file descriptors, mostly: give others time to end.
                    tracing::warn!("Could not accept a connection: {error}");
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
            }
        }
    }

    fn take(&self, stream: TcpStream, peer: SocketAddr, place: OwnedSemaphorePermit) {
        let address = peer.ip().to_canonical();
        let is_shared = address.is_loopback() || self.trusted_proxies.iter().any(|network| network.contains(&address));
        let counted = Counted::new(&self.by_address, address);
        if counted.now > self.limits.connections_per_address_max && !is_shared {
            return;
        }
        let connection = Connection {
            router: self.router.clone(),
            peer,
            limits: self.limits.clone(),
            draining: self.draining.clone(),
            cut: self.cut.clone(),
        };
        self.connections.spawn(async move {
            connection.serve(stream).await;
            drop((counted, place));
        });
    }
}

/// A connection in the count of its address.
struct Counted {
    counts: Arc<Mutex<HashMap<IpAddr, usize>>>,
    address: IpAddr,
    now: usize,
}

impl Counted {
    fn new(counts: &Arc<Mutex<HashMap<IpAddr, usize>>>, address: IpAddr) -> Self {
        let mut map = counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = map.entry(address).or_default();
        *count += 1;
        Self { counts: counts.clone(), address, now: *count }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut map = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = map.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                map.remove(&self.address);
            }
        }
    }
}

struct Connection {
    router: Router,
    peer: SocketAddr,
    limits: Limits,
    draining: CancellationToken,
    cut: CancellationToken,
}

/// Whether a connection has made a request yet.
#[derive(Default)]
struct FirstRequest {
    made: AtomicBool,
    notify: Notify,
}

impl Connection {
    async fn serve(self, stream: TcpStream) {
        let _ = stream.set_nodelay(true);
        let first = Arc::new(FirstRequest::default());
        let io = TokioIo::new(PacedStream::new(stream, self.limits.pause, self.limits.response_bytes_per_second_min));
        let service = {
            let (first, router, peer, limits) = (first.clone(), self.router, self.peer, self.limits.clone());
            service_fn(move |request: Request<Incoming>| {
                first.made.store(true, Ordering::Relaxed);
                first.notify.notify_one();
                let pace = limits.body_bytes_per_second_min;
                let mut request = request.map(|body| Body::new(PacedBody::new(body, limits.pause, pace)));
                request.extensions_mut().insert(ConnectInfo(peer));
                router.clone().oneshot(request)
            })
        };
        let builder = protocol(&self.limits);
        let connection = builder.serve_connection(io, service);
        tokio::pin!(connection);
        // The protocol's own timer starts with the first byte that tells HTTP/1 from HTTP/2: this one before.
        let begin = tokio::time::sleep(self.limits.header);
        tokio::pin!(begin);
        let mut is_told = false;
        loop {
            let has_begun = first.made.load(Ordering::Relaxed);
            let is_draining = self.draining.is_cancelled();
            if is_draining && has_begun && !is_told {
                connection.as_mut().graceful_shutdown();
                is_told = true;
            }
            tokio::select! {
                _ = connection.as_mut() => return,
                // What is cut was told to end before.
                () = self.cut.cancelled(), if is_draining => return,
                () = &mut begin, if !has_begun => return,
                () = self.draining.cancelled(), if !is_draining => {}
                () = first.notify.notified(), if !has_begun => {}
                () = tokio::time::sleep(LATE_REQUEST), if is_draining && !has_begun => return,
            }
        }
    }
}

fn protocol(limits: &Limits) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    // At most 100 headers, as hyper has it by itself: where it is told so, it makes room for them anew in each request.
    builder.http1().timer(TokioTimer::new()).header_read_timeout(limits.header).max_buf_size(64 << 10);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(100)
        .max_header_list_size(64 << 10)
        .max_pending_accept_reset_streams(20)
        .max_local_error_reset_streams(100)
        .keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(20));
    builder
}
