//! Connections and bodies that must keep moving: a client that sends or takes a byte now and then holds memory
//! and a place that others need.

use axum::BoxError;
use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

/// A request body that fails when it comes slower than a rate.
pub struct PacedBody {
    inner: Incoming,
    bytes_per_second_min: u64,
    patience: Duration,
    began: Option<Instant>,
    received: u64,
    /// Since it had to be waited for.
    deadline: Option<Pin<Box<Sleep>>>,
}

impl PacedBody {
    /// The first byte and every pause may take `patience`; over all, the rate holds.
    pub fn new(inner: Incoming, patience: Duration, bytes_per_second_min: u64) -> Self {
        Self { inner, bytes_per_second_min, patience, began: None, received: 0, deadline: None }
    }
}

impl Body for PacedBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        let began = *this.began.get_or_insert_with(Instant::now);
        if let Poll::Ready(frame) = Pin::new(&mut this.inner).poll_frame(cx) {
            if let Some(data) = frame.as_ref().and_then(|frame| frame.as_ref().ok()).and_then(Frame::data_ref) {
                this.received += data.len() as u64;
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let earned = Duration::from_secs(this.received / this.bytes_per_second_min);
        let until = began + this.patience + earned;
        let deadline = this.deadline.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(until)));
        deadline.as_mut().reset(until);
        ready!(deadline.as_mut().poll(cx));
        Poll::Ready(Some(Err(io::Error::new(io::ErrorKind::TimedOut, "the body comes too slowly").into())))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// A connection that fails when the other side takes too little of what there is to be written.
pub struct PacedStream {
    inner: TcpStream,
    patience: Duration,
    bytes_per_second_min: u64,
    /// How long the other side let us wait, less what it earned by taking bytes.
    debt: Duration,
    waiting: Option<(Instant, Pin<Box<Sleep>>)>,
}

impl PacedStream {
    /// Writing may stand still for `patience`; over all, the rate holds while there is something to write.
    pub fn new(inner: TcpStream, patience: Duration, bytes_per_second_min: u64) -> Self {
        Self { inner, patience, bytes_per_second_min, debt: Duration::ZERO, waiting: None }
    }

    fn moved<T>(
        &mut self,
        cx: &mut Context<'_>,
        progress: Poll<io::Result<T>>,
        bytes: impl Fn(&T) -> usize,
    ) -> Poll<io::Result<T>> {
        if let Poll::Ready(result) = &progress {
            let waited = self.waiting.take().map_or(Duration::ZERO, |(since, _)| since.elapsed());
            let bytes = result.as_ref().map_or(0, bytes) as u64;
            let earned = Duration::from_millis(bytes.saturating_mul(1000) / self.bytes_per_second_min);
            self.debt = (self.debt + waited).saturating_sub(earned);
            return progress;
        }
        let left = self.patience.saturating_sub(self.debt);
        let (_, end) = self.waiting.get_or_insert_with(|| (Instant::now(), Box::pin(tokio::time::sleep(left))));
        ready!(end.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client takes too little")))
    }
}

impl AsyncRead for PacedStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buffer)
    }
}

impl AsyncWrite for PacedStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let progress = Pin::new(&mut self.inner).poll_write(cx, bytes);
        self.moved(cx, progress, |written| *written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let progress = Pin::new(&mut self.inner).poll_write_vectored(cx, slices);
        self.moved(cx, progress, |written| *written)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
