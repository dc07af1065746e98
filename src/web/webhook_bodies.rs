//! The bodies of webhooks that are in memory at once. Anyone can begin to send one: a body takes room as it comes, not as
//! its sender says, so that those who send slowly hold little of it, and no address holds more than a part.

use super::ClientAddress;
use axum::body::{Body, Bytes, HttpBody};
use std::collections::HashMap;
use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// All bodies at once.
const ROOM_KIB: usize = 80 << 10;
/// Those that come from one address: four of the largest, or hundreds as they usually are.
pub const ADDRESS_KIB: usize = ROOM_KIB / 4;
/// Until a body is whole: GitHub and GitLab give up after ten seconds.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Why a body was not read to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Others take all of the room, or their address all of its part.
    NoRoom,
    /// Larger than webhooks may be.
    TooLarge,
    /// Not whole in time.
    TooSlow,
    /// Its sender hung up.
    BrokeOff,
}

/// The room that all bodies share.
#[derive(Debug, Clone, Default)]
pub struct BodyRoom(Arc<Mutex<Taken>>);

#[derive(Debug, Default)]
struct Taken {
    kib: usize,
    kib_by_address: HashMap<IpAddr, usize>,
}

/// What one body takes of it, until this is dropped.
#[derive(Debug)]
pub struct Place {
    room: BodyRoom,
    address: IpAddr,
    kib: usize,
}

impl BodyRoom {
    /// The whole body of at most so many bytes, and its place.
    pub async fn read(&self, from: ClientAddress, body: Body, bytes_max: usize) -> Result<(Bytes, Place), Fault> {
        // As its head says; what it says wrongly shows while it comes.
        if body.size_hint().lower() > bytes_max as u64 {
            return Err(Fault::TooLarge);
        }
        let place = Place { room: self.clone(), address: from.throttle_address(), kib: 0 };
        match tokio::time::timeout(TIMEOUT, place.filled_with(body, bytes_max)).await {
            Ok(read) => read,
            Err(_) => Err(Fault::TooSlow),
        }
    }

    /// How much of it is taken.
    pub fn taken_kib(&self) -> usize {
        self.taken().kib
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    async fn filled_with(mut self, mut body: Body, bytes_max: usize) -> Result<(Bytes, Self), Fault> {
        // One of which nothing came yet costs a connection, as one that came does.
        self.grow_to(1)?;
        let mut bytes = Vec::new();
        while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
            let Ok(chunk) = frame.map_err(|_| Fault::BrokeOff)?.into_data() else { continue };
            let length = bytes.len() + chunk.len();
            if length > bytes_max {
                return Err(Fault::TooLarge);
            }
            self.grow_to(length.div_ceil(1 << 10))?;
            // What came at once, as most do, stays where it was read to. One that waits for more is copied, so that it
            // holds no more memory than it takes room.
            if bytes.is_empty() && body.is_end_stream() {
                return Ok((chunk, self));
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok((bytes.into(), self))
    }

    // Who finds no room is refused and does not wait: those who wait for each other's room would all wait in vain.
    fn grow_to(&mut self, kib: usize) -> Result<(), Fault> {
        let more = kib.saturating_sub(self.kib);
        if more == 0 {
            return Ok(());
        }
        let mut taken = self.room.taken();
        let of_address = taken.kib_by_address.get(&self.address).copied().unwrap_or_default() + more;
        if taken.kib + more > ROOM_KIB || of_address > ADDRESS_KIB {
            return Err(Fault::NoRoom);
        }
        taken.kib += more;
        taken.kib_by_address.insert(self.address, of_address);
        drop(taken);
        self.kib = kib;
        Ok(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.room.taken();
        taken.kib -= self.kib;
        let left = taken.kib_by_address.get(&self.address).copied().unwrap_or_default() - self.kib;
        if left == 0 {
            taken.kib_by_address.remove(&self.address);
        } else {
            taken.kib_by_address.insert(self.address, left);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(room: &BodyRoom, last: u8) -> Place {
        Place { room: room.clone(), address: [203, 0, 113, last].into(), kib: 0 }
    }

    #[test]
    fn an_address_takes_its_part_and_gives_it_back() {
        let room = BodyRoom::default();
        let mut first = place(&room, 1);
        assert_eq!(first.grow_to(ADDRESS_KIB - 1), Ok(()));
        let mut second = place(&room, 1);
        assert_eq!(second.grow_to(1), Ok(()));
        assert_eq!(second.grow_to(2), Err(Fault::NoRoom));
        assert_eq!(place(&room, 2).grow_to(ADDRESS_KIB), Ok(()));
        drop(first);
        assert_eq!(second.grow_to(2), Ok(()));
        drop(second);
        assert!(room.taken_kib() == 0 && room.taken().kib_by_address.is_empty());
    }

    #[test]
    fn all_addresses_together_take_the_room_and_no_more() {
        let room = BodyRoom::default();
        let mut places: Vec<Place> = (1..=5).map(|last| place(&room, last)).collect();
        for place in &mut places[..4] {
            assert_eq!(place.grow_to(ADDRESS_KIB), Ok(()));
        }
        assert_eq!(places[4].grow_to(1), Err(Fault::NoRoom));
        assert_eq!(room.taken_kib(), ROOM_KIB);
    }

    #[tokio::test]
    async fn what_comes_at_once_is_not_copied_and_what_is_too_large_is_refused() {
        let room = BodyRoom::default();
        let from = ClientAddress(std::net::Ipv4Addr::LOCALHOST.into());
        let sent = Bytes::from(vec![7; 3000]);
        let (read, place) = room.read(from, sent.clone().into(), 3000).await.unwrap();
        assert!(read == sent && read.as_ptr() == sent.as_ptr() && place.kib == 3);
        assert_eq!(room.read(from, sent.clone().into(), 2999).await.err(), Some(Fault::TooLarge));
        // In parts, of whose length nothing is said before.
        let parts = || {
            let parts = [sent.slice(..1000), sent.slice(1000..)].map(Ok::<_, std::io::Error>);
            Body::from_stream(futures_util::stream::iter(parts))
        };
        assert_eq!(room.read(from, parts(), 3000).await.unwrap().0, sent);
        assert_eq!(room.read(from, parts(), 2999).await.err(), Some(Fault::TooLarge));
        drop(place);
        assert_eq!(room.taken_kib(), 0);
    }
}
