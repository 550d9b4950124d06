//! The last SIP messages, as a capture file: a bounded ring, and a small pcap writer.
//!
//! ```text
//! message, addresses, time ─▶ redact ─▶ ring (128 messages, 4 KiB each) ─▶ pcap (raw IP, each message one UDP datagram)
//! ```

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use super::redact::{Redactor, redact};
use crate::pcap::Pcap;

/// Messages message.
const MAX_MESSAGES: usize = 128;
/// Bytes kept of one.
const MAX_BYTES: usize = 4096;

/// One message.
#[derive(Debug, Clone)]
struct Message {
    /// Since 1970.
    at: Duration,
    from: SocketAddr,
    to: SocketAddr,
    bytes: Vec<u8>,
    /// How long it was.
    length: usize,
}

/// The ring, and the ends of lines that streams still owe.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    messages: VecDeque<Message>,
    streams: HashMap<sip::ConnectionId, (SocketAddr, Redactor)>,
}

impl Trace {
    /// Keeps a message without its secrets. `at`: since 1970.
    pub(crate) fn keep(&mut self, from: SocketAddr, to: SocketAddr, message: &[u8], at: Duration) {
        let mut bytes = message.to_vec();
        // Redacted whole before it is cut, so that no cut can hide where a secret begins.
        redact(&mut bytes);
        self.push(from, to, bytes, at);
    }

    /// A connection is established.
    pub(crate) fn opened(&mut self, connection: sip::ConnectionId, remote: SocketAddr) {
        self.streams
            .insert(connection, (remote, Redactor::default()));
    }

    /// A connection is over.
    pub(crate) fn closed(&mut self, connection: sip::ConnectionId) {
        self.streams.remove(&connection);
    }

    /// Keeps what came in on a connection, as far as it is whole lines.
    pub(crate) fn keep_stream(
        &mut self,
        connection: sip::ConnectionId,
        to: SocketAddr,
        piece: &[u8],
        at: Duration,
    ) {
        let Some((from, redactor)) = self.streams.get_mut(&connection) else {
            return;
        };
        let (from, lines) = (*from, redactor.feed(piece));
        if !lines.is_empty() {
            self.push(from, to, lines, at);
        }
    }

    fn push(&mut self, from: SocketAddr, to: SocketAddr, mut bytes: Vec<u8>, at: Duration) {
        let length = bytes.len();
        bytes.truncate(MAX_BYTES);
        if self.messages.len() == MAX_MESSAGES {
            self.messages.pop_front();
        }
        self.messages.push_back(Message {
            at,
            from,
            to,
            bytes,
            length,
        });
    }

    /// The capture file.
    pub(crate) fn pcap(&self) -> Vec<u8> {
        let mut file = Pcap::new();
        for message in &self.messages {
            file.push(
                message.at,
                (message.from, message.to),
                &message.bytes,
                message.length,
            );
        }
        file.into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_capture_has_headers_that_are_true() {
        let mut trace = Trace::default();
        trace.keep(
            address("10.0.0.2:5060"),
            address("10.0.0.1:5070"),
            b"OPTIONS",
            Duration::new(1_700_000_000, 5000),
        );
        trace.keep(
            address("[2001:db8::2]:5060"),
            address("[2001:db8::1]:5060"),
            b"hi",
            Duration::ZERO,
        );
        let file = trace.pcap();
        let word = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap());
        assert_eq!((word(0), word(20)), (0xa1b2_c3d4, 101));
        assert_eq!(
            (word(24), word(28), word(32), word(36)),
            (1_700_000_000, 5, 35, 35)
        );
        let ip = &file[40..75];
        let sum: u32 = ip[..20]
            .chunks_exact(2)
            .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])))
            .sum();
        assert_eq!((sum & 0xffff) + (sum >> 16), 0xffff, "the header's own sum");
        assert_eq!(&ip[20..28], &[0x13, 0xc4, 0x13, 0xce, 0, 15, 0, 0]);
        assert_eq!(&ip[28..], b"OPTIONS");
        assert_eq!(file[75 + 16] >> 4, 6);
        assert!(file.ends_with(b"hi"));
    }

    #[test]
    fn it_is_bounded_and_redacted() {
        let mut trace = Trace::default();
        let long = format!(
            "SIP/2.0 200 OK\r\nX: {}\r\nAuthorization: Digest response=\"5ec4e7\"\r\n",
            "y".repeat(MAX_BYTES)
        );
        for _ in 0..3 * MAX_MESSAGES {
            trace.keep(
                address("10.0.0.2:5060"),
                address("10.0.0.1:5060"),
                long.as_bytes(),
                Duration::ZERO,
            );
        }
        let file = trace.pcap();
        assert_eq!(file.len(), 24 + MAX_MESSAGES * (16 + 28 + MAX_BYTES));
        trace.keep(
            address("10.0.0.2:5060"),
            address("10.0.0.1:5060"),
            b"Authorization: Digest response=\"5ec4e7\"\r\n",
            Duration::ZERO,
        );
        assert!(!trace.pcap().windows(6).any(|window| window == b"5ec4e7"));
    }
}
