//! SRTP and SRTCP (RFC 3711, 6188, 7714): packets are protected and unprotected in place, without
//! allocation.
//!
//! ```text
//! MasterKey ─▶ kdf ─▶ cipher (keyed once) ─┬─▶ rtp::Sender, rtcp::Sender ─────▶ packet with tag and MKI
//!                                          └─▶ rtp::Receiver, rtcp::Receiver ─▶ replay window ─▶ tag ─▶ clear packet
//! Stream ─▶ Guard (clear, waiting for keys, SRTP) ─▶ Outbox        Guard measures what `status` says of encryption
//! ```
//!
//! The rules, each held by a test that fails without it: nothing of an unauthentic packet is used;
//! no key stream is used twice; a stream that waits for keys neither sends nor takes anything.

mod cipher;
mod guard;
mod kdf;
mod keys;
mod replay;
mod rtcp;
mod rtp;
#[cfg(test)]
mod test_vectors;

pub(crate) use guard::Guard;
pub use keys::{Encryption, KeyError, MAX_MKI, MasterKey, Protection, SrtpStats};

/// Whether a packet is under this key: for whoever watches a wire and holds the keys. Only the
/// first 2^16 packets of a source are known again, for a watcher has no rollover counter.
pub fn is_authentic(key: &MasterKey, kind: crate::PacketKind, packet: &[u8]) -> bool {
    let mut packet = packet.to_vec();
    match kind {
        crate::PacketKind::Rtp => rtp::Receiver::new(key).unprotect(&mut packet),
        crate::PacketKind::Rtcp => rtcp::Receiver::new(key).unprotect(&mut packet),
    }
    .is_ok()
}

/// A packet that may not be sent under this key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Spent;

/// Why a packet of the far end is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Too short to be what it must be.
    Malformed,
    /// Its tag or its MKI is not what the keys make of it.
    NotAuthentic,
    /// It came before, or is too old to be known.
    Replayed,
    /// One source more than are remembered.
    TooManySources,
    /// No one encrypted it.
    Clear,
}

#[cfg(test)]
mod tests;
