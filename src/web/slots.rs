//! How many requests are worked on at once. One whose client is still sending its body is not worked on and holds no
//! slot: a few hundred slow senders, who need not be signed in, would otherwise keep everybody out. It waits for a slot
//! when more of the body is there, and so many bodies are waited for at once and no more.

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use hyper::body::{Frame, SizeHint};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::PollSemaphore;

/// The slots of a service.
#[derive(Clone)]
pub struct Slots {
    working: Arc<Semaphore>,
    coming: Arc<Semaphore>,
}

impl Slots {
    /// So many requests are worked on at once, and so many bodies waited for.
    pub fn new(working_count: usize, coming_count: usize) -> Self {
        Self { working: Arc::new(Semaphore::new(working_count)), coming: Arc::new(Semaphore::new(coming_count)) }
    }

    /// A slot for a new request; none where all are taken.
    pub fn take(&self) -> Option<Slot> {
        let permit = self.working.clone().try_acquire_owned().ok()?;
        let held = Held { permit: Some(permit), is_turned_away: false };
        Some(Slot { slots: self.clone(), held: Arc::new(Mutex::new(held)) })
    }
}

/// The slot of one request, until this is dropped.
pub struct Slot {
    slots: Slots,
    held: Arc<Mutex<Held>>,
}

struct Held {
    permit: Option<OwnedSemaphorePermit>,
    is_turned_away: bool,
}

impl Slot {
    /// The request with a body that leaves the slot to others whenever there is nothing of it to read.
    pub fn left_while_body_comes(&self, request: Request) -> Request {
        if HttpBody::is_end_stream(request.body()) {
            return request;
        }
        let (slots, held) = (self.slots.clone(), self.held.clone());
        let turn = PollSemaphore::new(slots.working.clone());
        request.map(|inner| Body::new(ComingBody { inner, slots, held, turn, place: None, read: None }))
    }

    /// Whether its body was given up, since as many as may be waited for were.
    pub fn is_turned_away(&self) -> bool {
        held(&self.held).is_turned_away
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        // A part of the body that nobody reads any more may outlive the request.
        held(&self.held).permit = None;
    }
}

fn held(held: &Mutex<Held>) -> MutexGuard<'_, Held> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

struct ComingBody {
    inner: Body,
    slots: Slots,
    held: Arc<Mutex<Held>>,
    turn: PollSemaphore,
    /// Among the bodies that are waited for, from the first wait to its end: what was begun is not given up half-way.
    place: Option<OwnedSemaphorePermit>,
    /// What was read, until there is a slot to work on it.
    read: Option<Option<Result<Frame<Bytes>, axum::Error>>>,
}

impl ComingBody {
    // Whether it may wait for its client.
    fn leave(&mut self) -> bool {
        if self.place.is_none() {
            self.place = self.slots.coming.clone().try_acquire_owned().ok();
        }
        let mut held = held(&self.held);
        held.permit = None;
        held.is_turned_away = self.place.is_none();
        !held.is_turned_away
    }

    fn poll_slot(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if held(&self.held).permit.is_some() {
            return Poll::Ready(());
        }
        let permit = ready!(self.turn.poll_acquire(cx));
        held(&self.held).permit = permit;
        Poll::Ready(())
    }
}

impl HttpBody for ComingBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.read.is_none() {
            match Pin::new(&mut self.inner).poll_frame(cx) {
                Poll::Ready(read) => self.read = Some(read),
                Poll::Pending if self.leave() => return Poll::Pending,
                Poll::Pending => return Poll::Ready(Some(Err(axum::Error::new("too many bodies are waited for")))),
            }
        }
        ready!(self.poll_slot(cx));
        Poll::Ready(self.read.take().flatten())
    }

    fn is_end_stream(&self) -> bool {
        self.read.is_none() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        // Of what is read and not handed on yet nobody asks before it is.
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::oneshot;
    use tokio::task::{JoinHandle, yield_now};

    /// A request whose body is what the sender will send, and the reading of it.
    fn reading(slot: &Slot) -> (oneshot::Sender<Bytes>, JoinHandle<Result<Bytes, axum::Error>>) {
        let (client, rest) = oneshot::channel::<Bytes>();
        let body = Body::from_stream(futures_util::stream::once(rest));
        let request = slot.left_while_body_comes(Request::new(body));
        (client, tokio::spawn(axum::body::to_bytes(request.into_body(), 100)))
    }

    #[tokio::test]
    async fn a_request_holds_no_slot_while_its_body_is_coming() {
        let slots = Slots::new(1, 1);
        let slot = slots.take().unwrap();
        assert!(slots.take().is_none(), "it is worked on");
        let (client, reading) = reading(&slot);
        yield_now().await;
        assert!(slots.take().is_some(), "its client has the next word");
        client.send(Bytes::from_static(b"all of it")).unwrap();
        assert_eq!(reading.await.unwrap().unwrap(), "all of it");
        assert!(slots.take().is_none(), "it is worked on again");
        drop(slot);
        assert!(slots.take().is_some());
    }

    #[tokio::test]
    async fn a_body_that_is_there_when_all_slots_are_taken_waits_for_one() {
        let slots = Slots::new(1, 1);
        let slot = slots.take().unwrap();
        let (client, reading) = reading(&slot);
        yield_now().await;
        let other = slots.take().unwrap();
        client.send(Bytes::from_static(b"all of it")).unwrap();
        for _ in 0..10 {
            yield_now().await;
        }
        assert!(!reading.is_finished(), "no more are worked on at once than there are slots");
        drop(other);
        assert_eq!(reading.await.unwrap().unwrap(), "all of it");
        assert!(slots.take().is_none() && !slot.is_turned_away());
    }

    #[tokio::test]
    async fn a_body_more_than_are_waited_for_is_turned_away() {
        let slots = Slots::new(2, 1);
        let (first, second) = (slots.take().unwrap(), slots.take().unwrap());
        let (client, first_read) = reading(&first);
        yield_now().await;
        let (_client, second_read) = reading(&second);
        assert!(second_read.await.unwrap().is_err() && second.is_turned_away());
        client.send(Bytes::from_static(b"all of it")).unwrap();
        assert_eq!(first_read.await.unwrap().unwrap(), "all of it");
        assert!(!first.is_turned_away());
    }
}
