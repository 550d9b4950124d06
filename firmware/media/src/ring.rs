//! Datagrams that wait to be taken: a fixed ring of slots, so that keeping one never allocates.
//!
//! ```text
//! Outbox ─▶ push ─▶ [slot slot slot …] ─▶ pop ─▶ socket
//! Engine ─▶ push ─▶ [slot slot …]      ─▶ pop ─▶ control thread (STUN, DTLS)
//! ```

use std::net::SocketAddr;

use crate::packet::{MAX_PACKET, StreamId};

/// One datagram, with what is known of it.
pub(crate) struct Slot<T> {
    pub(crate) stream: StreamId,
    pub(crate) tag: T,
    pub(crate) peer: SocketAddr,
    len: usize,
    bytes: [u8; MAX_PACKET],
}

impl<T> Slot<T> {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// The ring.
pub(crate) struct Ring<T> {
    slots: Box<[Slot<T>]>,
    read: usize,
    count: usize,
    dropped: u64,
}

impl<T: Copy> Ring<T> {
    /// Space for so many; everything is allocated here. `tag` is what an empty slot has.
    pub(crate) fn new(slots: usize, tag: T) -> Self {
        let empty = || Slot {
            stream: StreamId(0),
            tag,
            peer: SocketAddr::from(([0, 0, 0, 0], 0)),
            len: 0,
            bytes: [0; MAX_PACKET],
        };
        Self {
            slots: (0..slots).map(|_| empty()).collect(),
            read: 0,
            count: 0,
            dropped: 0,
        }
    }

    /// Lets `write` fill a slot and say its length; nothing is kept if it says `None` or 0. A full
    /// ring drops the newest, counted: the newest sound matters most, but order matters more.
    pub(crate) fn push(
        &mut self,
        stream: StreamId,
        tag: T,
        peer: SocketAddr,
        write: impl FnOnce(&mut [u8]) -> Option<usize>,
    ) -> bool {
        if self.count == self.slots.len() {
            self.dropped += 1;
            return false;
        }
        let index = (self.read + self.count) % self.slots.len();
        let slot = &mut self.slots[index];
        let Some(len) = write(&mut slot.bytes).filter(|&len| len > 0) else {
            return false;
        };
        slot.len = len.min(MAX_PACKET);
        slot.stream = stream;
        slot.tag = tag;
        slot.peer = peer;
        self.count += 1;
        true
    }

    /// The oldest.
    pub(crate) fn pop(&mut self) -> Option<&Slot<T>> {
        if self.count == 0 {
            return None;
        }
        let slot = &self.slots[self.read];
        self.read = (self.read + 1) % self.slots.len();
        self.count -= 1;
        Some(slot)
    }

    /// Datagrams dropped because no one took them in time.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::PacketKind;

    fn push(ring: &mut Ring<PacketKind>, n: u8) -> bool {
        let peer = SocketAddr::from(([127, 0, 0, 1], u16::from(n)));
        ring.push(StreamId(u32::from(n)), PacketKind::Rtcp, peer, |out| {
            out[..2].copy_from_slice(&[n, n]);
            Some(2)
        })
    }

    #[test]
    fn first_in_first_out_and_full_is_full() {
        let mut ring = Ring::new(3, PacketKind::Rtp);
        for round in 0..5 {
            for n in 1..=3 {
                assert!(push(&mut ring, n));
            }
            assert!(!push(&mut ring, 4));
            assert_eq!(ring.dropped(), round + 1);
            for n in 1..=3u8 {
                let slot = ring.pop().unwrap();
                assert_eq!(
                    (slot.bytes(), slot.stream, slot.peer.port()),
                    (&[n, n][..], StreamId(u32::from(n)), u16::from(n))
                );
            }
            assert!(ring.pop().is_none());
        }
    }

    #[test]
    fn nothing_written_is_nothing_kept() {
        let mut ring = Ring::new(1, PacketKind::Rtp);
        let peer = SocketAddr::from(([127, 0, 0, 1], 9));
        assert!(!ring.push(StreamId(1), PacketKind::Rtp, peer, |_| None));
        assert!(!ring.push(StreamId(1), PacketKind::Rtp, peer, |_| Some(0)));
        assert!(ring.pop().is_none() && push(&mut ring, 1));
    }
}
