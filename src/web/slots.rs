//! How many requests are worked on at once. One whose client is still sending its body is not worked on and holds no
//! slot: a few hundred slow senders, who need not be signed in, would otherwise keep everybody out.

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use hyper::body::{Frame, SizeHint};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The slots of a service.
#[derive(Clone)]
pub struct Slots(Arc<Semaphore>);

impl Slots {
    /// As many as this.
    pub fn new(count: usize) -> Self {
        Self(Arc::new(Semaphore::new(count)))
    }

    /// A slot for a new request; none where all are taken.
    pub fn take(&self) -> Option<Slot> {
        let permit = self.0.clone().try_acquire_owned().ok()?;
        Some(Slot { slots: self.0.clone(), permit: Arc::new(Mutex::new(Some(permit))) })
    }
}

/// The slot of one request, until this is dropped.
pub struct Slot {
    slots: Arc<Semaphore>,
    permit: Arc<Mutex<Option<OwnedSemaphorePermit>>>,
}

impl Slot {
    /// The request with a body that leaves the slot to others whenever there is nothing of it to read.
    pub fn left_while_body_comes(&self, request: Request) -> Request {
        if HttpBody::is_end_stream(request.body()) {
            return request;
        }
        let (slots, permit) = (self.slots.clone(), self.permit.clone());
        request.map(|inner| Body::new(ComingBody { inner, slots, permit }))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        // A part of the body that nobody reads any more may outlive the request.
        self.permit.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

struct ComingBody {
    inner: Body,
    slots: Arc<Semaphore>,
    permit: Arc<Mutex<Option<OwnedSemaphorePermit>>>,
}

impl ComingBody {
    fn leave_or_take(&self, is_waiting: bool) {
        let mut permit = self.permit.lock().unwrap_or_else(PoisonError::into_inner);
        if is_waiting {
            *permit = None;
        } else if permit.is_none() {
            // Where others took all of them it goes on without: what was begun is not given up half-way, and what
            // signing in, webhooks and people who are signed in may do at once has bounds of its own.
            *permit = self.slots.clone().try_acquire_owned().ok();
        }
    }
}

impl HttpBody for ComingBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let progress = Pin::new(&mut self.inner).poll_frame(cx);
        self.leave_or_take(progress.is_pending());
        progress
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::oneshot;

    #[tokio::test]
    async fn a_request_holds_no_slot_while_its_body_is_coming() {
        let slots = Slots::new(1);
        let slot = slots.take().unwrap();
        assert!(slots.take().is_none(), "it is worked on");

        let (client, rest) = oneshot::channel::<Bytes>();
        let body = Body::from_stream(futures_util::stream::once(rest));
        let request = slot.left_while_body_comes(Request::new(body));
        let reading = tokio::spawn(axum::body::to_bytes(request.into_body(), 100));
        tokio::task::yield_now().await;
        assert!(slots.take().is_some(), "its client has the next word");

        client.send(Bytes::from_static(b"all of it")).unwrap();
        assert_eq!(reading.await.unwrap().unwrap(), "all of it");
        assert!(slots.take().is_none(), "it is worked on again");
        drop(slot);
        assert!(slots.take().is_some());
    }

    #[tokio::test]
    async fn a_body_that_is_whole_when_all_slots_are_taken_is_read_all_the_same() {
        let slots = Slots::new(1);
        let slot = slots.take().unwrap();
        let (client, rest) = oneshot::channel::<Bytes>();
        let body = Body::from_stream(futures_util::stream::once(rest));
        let request = slot.left_while_body_comes(Request::new(body));
        let reading = tokio::spawn(axum::body::to_bytes(request.into_body(), 100));
        tokio::task::yield_now().await;
        let other = slots.take().unwrap();
        client.send(Bytes::from_static(b"all of it")).unwrap();
        assert_eq!(reading.await.unwrap().unwrap(), "all of it");
        drop(slot);
        assert!(slots.take().is_none(), "the other request has the only one");
        drop(other);
    }
}
