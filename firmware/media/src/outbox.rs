//! Packets on their way out: none gets here but through its stream's guard.
//!
//! ```text
//! Send, RtcpSession ─▶ push ─▶ write ─▶ Guard::seal ─▶ Ring ─▶ poll_transmit
//! ```

use std::net::SocketAddr;

use crate::packet::{PacketKind, StreamId, Transmit};
use crate::ring::Ring;
use crate::srtp::Guard;

/// Packets that may wait for [`crate::Engine::poll_transmit`]: all streams' sound of one period and
/// their reports, several times over.
const SLOTS: usize = 32;

/// The ring.
pub(crate) struct Outbox(Ring<PacketKind>);

impl Outbox {
    pub(crate) fn new() -> Self {
        Self(Ring::new(SLOTS, PacketKind::Rtp))
    }

    /// Lets `write` fill a packet and say its length, then has it sealed; nothing leaves if either
    /// says no. A full ring drops the packet, counted.
    pub(crate) fn push(
        &mut self,
        stream: StreamId,
        kind: PacketKind,
        to: SocketAddr,
        guard: &mut Guard,
        write: impl FnOnce(&mut [u8]) -> Option<usize>,
    ) -> bool {
        self.0.push(stream, kind, to, |out| {
            let room = out.len().checked_sub(guard.overhead(kind))?;
            let length = write(&mut out[..room]).filter(|&length| length > 0)?;
            guard.seal(kind, out, length)
        })
    }

    /// The oldest packet.
    pub(crate) fn pop(&mut self) -> Option<Transmit<'_>> {
        let slot = self.0.pop()?;
        Some(Transmit {
            stream: slot.stream,
            kind: slot.tag,
            to: slot.peer,
            bytes: slot.bytes(),
        })
    }

    /// Packets dropped because the owner did not poll.
    pub(crate) fn dropped(&self) -> u64 {
        self.0.dropped()
    }
}
