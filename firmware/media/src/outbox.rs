//! Packets on their way out.

use std::net::SocketAddr;

use crate::engine::{PacketKind, StreamId, Transmit};
use crate::ring::Ring;

/// Packets that may wait for [`crate::Engine::poll_transmit`]: all streams' sound of one period and their reports, several times over.
const SLOTS: usize = 32;

/// The ring.
pub(crate) struct Outbox(Ring);

impl Outbox {
    pub(crate) fn new() -> Self {
        Self(Ring::new(SLOTS))
    }

    /// Lets `write` fill a packet and say its length; nothing leaves if it says `None` or 0. A full ring drops the packet, counted.
    pub(crate) fn push(
        &mut self,
        stream: StreamId,
        kind: PacketKind,
        to: SocketAddr,
        write: impl FnOnce(&mut [u8]) -> Option<usize>,
    ) -> bool {
        self.0.push(stream, kind, to, write)
    }

    /// The oldest packet.
    pub(crate) fn pop(&mut self) -> Option<Transmit<'_>> {
        let slot = self.0.pop()?;
        Some(Transmit {
            stream: slot.stream,
            kind: slot.kind,
            to: slot.peer,
            bytes: slot.bytes(),
        })
    }

    /// Packets dropped because nobody polled.
    pub(crate) fn dropped(&self) -> u64 {
        self.0.dropped()
    }
}
