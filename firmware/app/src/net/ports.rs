//! Pairs of media sockets: bound here, on the control thread, and handed to the audio thread.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};

use media::StreamId;

use crate::audio_thread::{SocketPair, bind_pair};
use control::MediaPorts;

/// Pairs tried before giving up: enough to pass by those other programs hold.
const TRIES: u16 = 64;

/// Opens pairs out of the configured range; what was opened or shall be closed waits for the driver
/// to tell the audio thread.
pub(crate) struct RtpPorts {
    bind: IpAddr,
    first: u16,
    pairs: u16,
    next: u16,
    dscp: u8,
    pub(crate) opened: VecDeque<SocketPair>,
    pub(crate) closing: VecDeque<StreamId>,
}

impl RtpPorts {
    /// Takes pairs from `range`; the first pair tried is `start` pairs in, so that two runs do not
    /// hear each other's late packets.
    pub(crate) fn new(bind: IpAddr, range: (u16, u16), dscp: u8, start: u16) -> Self {
        let first = range.0.saturating_add(range.0 % 2);
        let pairs = (range.1.saturating_sub(first).saturating_add(1)) / 2;
        Self {
            bind,
            first,
            pairs,
            next: start.checked_rem(pairs).unwrap_or(0),
            dscp,
            opened: VecDeque::new(),
            closing: VecDeque::new(),
        }
    }
}

impl MediaPorts for RtpPorts {
    fn open(
        &mut self,
        stream: StreamId,
        _toward: Option<SocketAddr>,
    ) -> io::Result<(SocketAddr, SocketAddr)> {
        let mut last = io::Error::new(io::ErrorKind::AddrNotAvailable, "the range holds no pair");
        for _ in 0..self.pairs.min(TRIES) {
            let port = self.first + 2 * self.next;
            self.next = (self.next + 1) % self.pairs;
            match bind_pair(stream, self.bind, port, self.dscp) {
                Ok(pair) => {
                    let addresses = (pair.rtp.local_addr()?, pair.rtcp.local_addr()?);
                    self.opened.push_back(pair);
                    return Ok(addresses);
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn close(&mut self, stream: StreamId) {
        self.closing.push_back(stream);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_even_and_taken_ones_are_passed_by() {
        let loopback: IpAddr = "127.0.0.1".parse().unwrap();
        let mut ports = RtpPorts::new(loopback, (41_001, 41_006), 46, 0);
        let (rtp, rtcp) = ports.open(StreamId(1), None).unwrap();
        assert_eq!((rtp.port(), rtcp.port()), (41_002, 41_003));
        assert_eq!(ports.open(StreamId(2), None).unwrap().0.port(), 41_004);
        assert!(
            ports.open(StreamId(3), None).is_err(),
            "both pairs are taken"
        );
        assert_eq!(ports.opened.len(), 2);
        ports.opened.clear();
        assert_eq!(ports.open(StreamId(4), None).unwrap().0.port(), 41_002);
    }

    #[test]
    fn a_range_without_a_pair_is_an_error() {
        let loopback: IpAddr = "127.0.0.1".parse().unwrap();
        assert!(
            RtpPorts::new(loopback, (41_011, 41_011), 46, 7)
                .open(StreamId(1), None)
                .is_err()
        );
        assert!(
            RtpPorts::new(loopback, (65_535, 65_535), 46, 7)
                .open(StreamId(1), None)
                .is_err()
        );
    }
}
