//! Packets on their way out: a fixed ring of slots, so that making one never allocates.

use std::net::SocketAddr;

use crate::engine::{MAX_PACKET, PacketKind, StreamId, Transmit};

/// Packets that may wait for [`crate::Engine::poll_transmit`]: all streams' sound of one period and their reports, several times over.
const SLOTS: usize = 32;

struct Slot {
    stream: StreamId,
    kind: PacketKind,
    to: SocketAddr,
    len: usize,
    bytes: [u8; MAX_PACKET],
}

/// The ring.
pub(crate) struct Outbox {
    slots: Box<[Slot]>,
    read: usize,
    count: usize,
    dropped: u64,
}

impl Outbox {
    pub(crate) fn new() -> Self {
        let empty = || Slot {
            stream: StreamId(0),
            kind: PacketKind::Rtp,
            to: SocketAddr::from(([0, 0, 0, 0], 0)),
            len: 0,
            bytes: [0; MAX_PACKET],
        };
        Self {
            slots: (0..SLOTS).map(|_| empty()).collect(),
            read: 0,
            count: 0,
            dropped: 0,
        }
    }

    /// Lets `write` fill a packet and say its length; nothing leaves if it says `None` or 0. A full ring drops the packet, counted.
    pub(crate) fn push(
        &mut self,
        stream: StreamId,
        kind: PacketKind,
        to: SocketAddr,
        write: impl FnOnce(&mut [u8]) -> Option<usize>,
    ) -> bool {
        if self.count == SLOTS {
            // The owner does not poll: the newest sound matters most, but order matters more.
            self.dropped += 1;
            return false;
        }
        let index = (self.read + self.count) % SLOTS;
        let slot = &mut self.slots[index];
        let Some(len) = write(&mut slot.bytes).filter(|&len| len > 0) else {
            return false;
        };
        slot.len = len.min(MAX_PACKET);
        slot.stream = stream;
        slot.kind = kind;
        slot.to = to;
        self.count += 1;
        true
    }

    /// The oldest packet.
    pub(crate) fn pop(&mut self) -> Option<Transmit<'_>> {
        if self.count == 0 {
            return None;
        }
        let slot = &self.slots[self.read];
        self.read = (self.read + 1) % SLOTS;
        self.count -= 1;
        Some(Transmit {
            stream: slot.stream,
            kind: slot.kind,
            to: slot.to,
            bytes: &slot.bytes[..slot.len],
        })
    }

    /// Packets dropped because nobody polled.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped
    }
}
