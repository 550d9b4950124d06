//! Packets: which stream they belong to, and what a datagram on a media socket is by its first
//! bytes (RFC 7983 section 7, RFC 5761 section 4).
//!
//! ```text
//!  0– 3 STUN ─▶ control thread        128–191 RTP, or RTCP where the second byte says 192–223 ─▶ Stream
//! 20–63 DTLS ─▶ control thread        anything else: dropped, counted
//! 64–79 TURN channel ─▶ what is in it, as above; STUN and DTLS with the channel's header
//! ```

use std::net::SocketAddr;

/// Largest packet received or sent, in bytes.
pub const MAX_PACKET: usize = 1500;

/// A stream's number, given by the owner, never used twice in one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId(pub u32);

/// The two protocols of a stream, and the two sockets it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PacketKind {
    /// RTP.
    Rtp,
    /// RTCP.
    Rtcp,
}

impl PacketKind {
    /// Distinguishes RTP from RTCP on one port by the payload type (RFC 5761 §4) and both from STUN
    /// and DTLS by the first byte (RFC 7983 §7). `None`: neither.
    pub fn of(packet: &[u8]) -> Option<Self> {
        match packet {
            [128..=191, 192..=223, ..] => Some(Self::Rtcp),
            [128..=191, _, ..] => Some(Self::Rtp),
            _ => None,
        }
    }
}

/// A packet that must leave, borrowed from the engine.
#[derive(Debug, Clone, Copy)]
pub struct Transmit<'a> {
    /// Whose socket.
    pub stream: StreamId,
    /// RTP or RTCP.
    pub kind: PacketKind,
    /// By which socket: with rtcp-mux (RFC 5761) RTCP leaves by that of RTP.
    pub socket: PacketKind,
    /// Where to: the far end, or its TURN server.
    pub to: SocketAddr,
    /// The packet.
    pub bytes: &'a [u8],
}

/// A channel of a TURN server (RFC 8656 section 12) to a far end: what leaves and what comes has
/// its header of four bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Relay {
    /// The server.
    pub server: SocketAddr,
    /// Number of the channel, 0x4000 to 0x4FFF.
    pub channel: u16,
}

/// The channels of a stream's two sockets; none: its packets go directly.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Relays {
    /// Of the RTP socket.
    pub rtp: Option<Relay>,
    /// Of the RTCP socket.
    pub rtcp: Option<Relay>,
}

impl Relays {
    /// The channel of one socket.
    pub fn of(&self, socket: PacketKind) -> Option<Relay> {
        match socket {
            PacketKind::Rtp => self.rtp,
            PacketKind::Rtcp => self.rtcp,
        }
    }
}

/// Where one kind of a stream's packets goes, and how.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Destination {
    pub(crate) socket: PacketKind,
    pub(crate) to: SocketAddr,
    pub(crate) channel: Option<u16>,
}

/// What shares the media socket and is not for the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// STUN (RFC 8489).
    Stun,
    /// DTLS, 1.2 or 1.3.
    Dtls,
    /// STUN or DTLS that came by a TURN channel, with its header.
    Channel,
}

/// A datagram that is no media, borrowed from the engine; see [`crate::Engine::poll_non_media`].
#[derive(Debug, Clone, Copy)]
pub struct NonMedia<'a> {
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

/// What a datagram is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// RTP or RTCP, protected or not.
    Media(PacketKind),
    /// For the control thread.
    NonMedia(Protocol),
    /// A message of a TURN channel: the channel's number, and how many bytes follow its header of
    /// [`CHANNEL_HEADER`] bytes.
    Channel(u16, usize),
    /// Nothing we know.
    Unknown,
}

/// STUN's magic cookie (RFC 8489 section 5).
const COOKIE: [u8; 4] = [0x21, 0x12, 0xA4, 0x42];
/// A STUN header.
const STUN_HEADER: usize = 20;
/// A DTLS 1.2 record's header (RFC 6347 section 4.1); no record is empty.
const DTLS_HEADER: usize = 13;
/// The header of a TURN channel: number and length (RFC 8656 section 12.4).
pub(crate) const CHANNEL_HEADER: usize = 4;
/// The first byte of every DTLS version on the wire.
const DTLS_MAJOR: u8 = 254;

/// Classifies a datagram. Beyond the first byte it checks what every message of the kind has, so
/// that garbage does not wake the control thread.
pub(crate) fn classify(datagram: &[u8]) -> Class {
    match datagram {
        [0..=3, _, _, _, cookie @ ..]
            if datagram.len() >= STUN_HEADER && cookie.starts_with(&COOKIE) =>
        {
            Class::NonMedia(Protocol::Stun)
        }
        [20..=31, DTLS_MAJOR, ..] if datagram.len() > DTLS_HEADER => {
            Class::NonMedia(Protocol::Dtls)
        }
        // A DTLS 1.3 record with the short header (RFC 9147 section 4): at least flags, a sequence
        // number and 16 bytes of cipher text.
        [32..=63, ..] if datagram.len() >= 18 => Class::NonMedia(Protocol::Dtls),
        // Over UDP it may be padded (RFC 8656 section 12.5).
        &[first @ 64..=79, second, high, low, ref content @ ..]
            if usize::from(u16::from_be_bytes([high, low])) <= content.len() =>
        {
            let length = u16::from_be_bytes([high, low]);
            Class::Channel(u16::from_be_bytes([first, second]), length.into())
        }
        _ => PacketKind::of(datagram).map_or(Class::Unknown, Class::Media),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_first_byte_has_its_class() {
        for first in 0..=255u8 {
            let mut datagram = [0; 60];
            datagram[0] = first;
            datagram[1] = 254;
            datagram[4..8].copy_from_slice(&COOKIE);
            let wanted = match first {
                0..=3 => Class::NonMedia(Protocol::Stun),
                20..=63 => Class::NonMedia(Protocol::Dtls),
                64..=79 => Class::Channel(u16::from_be_bytes([first, 254]), 0),
                128..=191 => Class::Media(PacketKind::Rtp),
                4..=19 | 80..=127 | 192..=255 => Class::Unknown,
            };
            assert_eq!(classify(&datagram), wanted, "{first}");
            datagram[1] = 200;
            if (128..=191).contains(&first) {
                assert_eq!(
                    classify(&datagram),
                    Class::Media(PacketKind::Rtcp),
                    "{first}"
                );
            }
        }
    }

    #[test]
    fn garbage_does_not_reach_the_control_thread() {
        assert_eq!(classify(&[]), Class::Unknown);
        assert_eq!(classify(&[0; 60]), Class::Unknown, "no cookie");
        assert_eq!(classify(&[22; 60]), Class::Unknown, "no version");
        assert_eq!(
            classify(&[22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
            Class::Unknown,
            "an empty record"
        );
        assert_eq!(classify(&[0x2F; 17]), Class::Unknown);
        for length in 0..20 {
            let mut stun = [0u8; 20];
            stun[4..8].copy_from_slice(&COOKIE);
            assert_eq!(classify(&stun[..length]), Class::Unknown);
        }
    }
}
