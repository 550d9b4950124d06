//! Packets on their way out: each is sealed (SRTP) by its stream's guard before it is queued.
//!
//! ```text
//! Send, RtcpSession ─▶ push ─▶ write ─▶ Guard::seal ─▶ Ring ─▶ poll_transmit
//! ```

use crate::packet::{CHANNEL_HEADER, Destination, PacketKind, StreamId, Transmit};
use crate::ring::Ring;
use crate::srtp::Guard;

/// Packets that may wait for [`crate::Engine::poll_transmit`]: all streams' sound of one period and
/// their reports, several times over.
const SLOTS: usize = 32;

/// The ring.
pub(crate) struct Outbox(Ring<(PacketKind, PacketKind)>);

impl Outbox {
    pub(crate) fn new() -> Self {
        Self(Ring::new(SLOTS, (PacketKind::Rtp, PacketKind::Rtp)))
    }

    /// Lets `write` fill a packet and say its length, then has it sealed; nothing leaves if either
    /// says no. A full ring drops the packet, counted.
    pub(crate) fn push(
        &mut self,
        stream: StreamId,
        kind: PacketKind,
        to: Destination,
        guard: &mut Guard,
        write: impl FnOnce(&mut [u8]) -> Option<usize>,
    ) -> bool {
        let packet = |out: &mut [u8]| {
            let room = out.len().checked_sub(guard.overhead(kind))?;
            let length = write(&mut out[..room]).filter(|&length| length > 0)?;
            guard.seal(kind, out, length)
        };
        self.0.push(stream, (kind, to.socket), to.to, |out| {
            let Some(channel) = to.channel else {
                return packet(out);
            };
            let (header, content) = out.split_at_mut_checked(CHANNEL_HEADER)?;
            let length = packet(content)?;
            header[..2].copy_from_slice(&channel.to_be_bytes());
            header[2..].copy_from_slice(&u16::try_from(length).ok()?.to_be_bytes());
            Some(CHANNEL_HEADER + length)
        })
    }

    /// The oldest packet.
    pub(crate) fn pop(&mut self) -> Option<Transmit<'_>> {
        let slot = self.0.pop()?;
        Some(Transmit {
            stream: slot.stream,
            kind: slot.tag.0,
            socket: slot.tag.1,
            to: slot.peer,
            bytes: slot.bytes(),
        })
    }

    /// Packets dropped because the owner did not poll.
    pub(crate) fn dropped(&self) -> u64 {
        self.0.dropped()
    }
}
