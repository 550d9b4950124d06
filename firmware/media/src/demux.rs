//! What a datagram on a media socket is, told by its first bytes (RFC 7983 section 7, RFC 5761
//! section 4).
//!
//! ```text
//!  0– 3 STUN ─▶ control thread        128–191 RTP, or RTCP where the second byte says 192–223 ─▶ Stream
//! 20–63 DTLS ─▶ control thread        anything else: dropped, counted
//! ```

use std::net::SocketAddr;

use crate::engine::{PacketKind, StreamId};
use crate::rtp;

/// What is not for the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// STUN (RFC 8489).
    Stun,
    /// DTLS, 1.2 or 1.3.
    Dtls,
}

/// A datagram for somebody else, borrowed from the engine; see [`crate::Engine::poll_foreign`].
#[derive(Debug, Clone, Copy)]
pub struct Foreign<'a> {
    /// On whose socket it came; the stream need not have started.
    pub stream: StreamId,
    /// On the RTP or the RTCP socket.
    pub socket: PacketKind,
    /// Who sent it.
    pub from: SocketAddr,
    /// What it is.
    pub protocol: Protocol,
    /// The datagram.
    pub bytes: &'a [u8],
}

/// A datagram's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sorted {
    /// RTP or RTCP, protected or not.
    Media(PacketKind),
    /// For the control thread.
    Foreign(Protocol),
    /// Nothing we know.
    Unknown,
}

/// STUN's magic cookie (RFC 8489 section 5).
const COOKIE: [u8; 4] = [0x21, 0x12, 0xA4, 0x42];
/// A STUN header.
const STUN_HEADER: usize = 20;
/// A DTLS 1.2 record's header (RFC 6347 section 4.1); no record is empty.
const DTLS_HEADER: usize = 13;
/// The first byte of every DTLS version on the wire.
const DTLS_MAJOR: u8 = 254;

/// Sorts a datagram. Beyond the first byte only what every message of the kind has is asked for:
/// the control thread need not be woken for rubbish.
pub(crate) fn sort(datagram: &[u8]) -> Sorted {
    match datagram {
        [0..=3, _, _, _, cookie @ ..]
            if datagram.len() >= STUN_HEADER && cookie.starts_with(&COOKIE) =>
        {
            Sorted::Foreign(Protocol::Stun)
        }
        [20..=31, DTLS_MAJOR, ..] if datagram.len() > DTLS_HEADER => {
            Sorted::Foreign(Protocol::Dtls)
        }
        // A DTLS 1.3 record with the short header (RFC 9147 section 4): at least flags, a sequence
        // number and 16 bytes of cipher text.
        [32..=63, ..] if datagram.len() >= 18 => Sorted::Foreign(Protocol::Dtls),
        _ => rtp::kind(datagram).map_or(Sorted::Unknown, Sorted::Media),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_first_byte_has_its_place() {
        for first in 0..=255u8 {
            let mut datagram = [0; 60];
            datagram[0] = first;
            datagram[1] = 254;
            datagram[4..8].copy_from_slice(&COOKIE);
            let wanted = match first {
                0..=3 => Sorted::Foreign(Protocol::Stun),
                20..=63 => Sorted::Foreign(Protocol::Dtls),
                128..=191 => Sorted::Media(PacketKind::Rtp),
                4..=19 | 64..=127 | 192..=255 => Sorted::Unknown,
            };
            assert_eq!(sort(&datagram), wanted, "{first}");
            datagram[1] = 200;
            if (128..=191).contains(&first) {
                assert_eq!(sort(&datagram), Sorted::Media(PacketKind::Rtcp), "{first}");
            }
        }
    }

    #[test]
    fn rubbish_wakes_nobody() {
        assert_eq!(sort(&[]), Sorted::Unknown);
        assert_eq!(sort(&[0; 60]), Sorted::Unknown, "no cookie");
        assert_eq!(sort(&[22; 60]), Sorted::Unknown, "no version");
        assert_eq!(
            sort(&[22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
            Sorted::Unknown,
            "an empty record"
        );
        assert_eq!(sort(&[0x2F; 17]), Sorted::Unknown);
        for length in 0..20 {
            let mut stun = [0u8; 20];
            stun[4..8].copy_from_slice(&COOKIE);
            assert_eq!(sort(&stun[..length]), Sorted::Unknown);
        }
    }
}
