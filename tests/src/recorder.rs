//! The recorder on the wire: for a phone whose calls must be encrypted, every datagram that leaves
//! its media ports is held against the keys its engine was given. Looking random is not enough: it
//! must be authentic, byte by byte.
//!
//! ```text
//! Capture (all packets) + SimPhone::keys ─▶ examine ─▶ SentMedia { protected, handshake, clear }
//! ```

use media::{PacketKind, srtp};
use testkit::capture::Capture;

use crate::phone::SimPhone;

/// Media ports of every simulated phone.
const MEDIA_PORTS: std::ops::Range<u16> = 20_000..20_100;

/// What left a phone's media ports.
#[derive(Debug, Default)]
pub struct SentMedia {
    /// SRTP and SRTCP packets that are authentic under a key of the phone.
    pub protected: usize,
    /// DTLS and STUN (RFC 7983).
    pub handshake: usize,
    /// Everything else: when, where to, and its first bytes.
    pub clear: Vec<String>,
    /// How many of the phone's keys were used, in the order they were given: packets each.
    pub by_key: Vec<usize>,
}

/// Looks at everything a phone sent from its media ports.
pub fn examine(capture: &Capture, phone: &SimPhone) -> SentMedia {
    let mut found = SentMedia {
        by_key: vec![0; phone.keys.len()],
        ..SentMedia::default()
    };
    let ours = capture.packets().filter(|sent| {
        sent.datagram.from.ip() == phone.at.ip() && MEDIA_PORTS.contains(&sent.datagram.from.port())
    });
    for sent in ours {
        let bytes = &sent.datagram.bytes;
        let key = phone.keys.iter().position(|key| {
            [PacketKind::Rtp, PacketKind::Rtcp]
                .into_iter()
                .any(|kind| srtp::is_authentic(key, kind, bytes))
        });
        match (key, bytes.first()) {
            (Some(key), Some(128..=191)) => {
                found.protected += 1;
                found.by_key[key] += 1;
            }
            (None, Some(0..=3 | 20..=63)) => found.handshake += 1,
            (Some(_) | None, _) => found.clear.push(format!(
                "{:.3} s to {}: {:02x?} ({} bytes)",
                sent.at.as_secs_f64(),
                sent.datagram.to,
                &bytes[..bytes.len().min(16)],
                bytes.len()
            )),
        }
    }
    found
}
