//! Pairs of media sockets: bound here, on the control thread, and handed to the audio thread.

use std::io;
use std::net::IpAddr;

use control::MediaAddresses;
use media::StreamId;

use super::media_sockets::{SocketPair, bind_pair};

/// Pairs tried before giving up: enough to pass by those other programs hold.
const TRIES: u16 = 64;

/// Opens pairs out of the configured range.
pub(crate) struct RtpPorts {
    bind: IpAddr,
    first: u16,
    pairs: u16,
    next: u16,
    dscp: u8,
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
        }
    }

    /// The next free pair, and its addresses.
    pub(crate) fn open(&mut self, stream: StreamId) -> io::Result<(SocketPair, MediaAddresses)> {
        let mut last = io::Error::new(io::ErrorKind::AddrNotAvailable, "the range holds no pair");
        for _ in 0..self.pairs.min(TRIES) {
            let port = self.first + 2 * self.next;
            self.next = (self.next + 1) % self.pairs;
            match bind_pair(stream, self.bind, port, self.dscp) {
                Ok(pair) => {
                    let addresses = MediaAddresses {
                        rtp: pair.rtp.local_addr()?,
                        rtcp: pair.rtcp.local_addr()?,
                    };
                    return Ok((pair, addresses));
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_even_and_taken_ones_are_passed_by() {
        let loopback: IpAddr = "127.0.0.1".parse().unwrap();
        let mut ports = RtpPorts::new(loopback, (41_001, 41_006), 46, 0);
        let (first, addresses) = ports.open(StreamId(1)).unwrap();
        let (rtp, rtcp) = (addresses.rtp.port(), addresses.rtcp.port());
        assert_eq!((rtp, rtcp), (41_002, 41_003));
        let (second, addresses) = ports.open(StreamId(2)).unwrap();
        assert_eq!(addresses.rtp.port(), 41_004);
        assert!(ports.open(StreamId(3)).is_err(), "both pairs are taken");
        drop((first, second));
        let (_, addresses) = ports.open(StreamId(4)).unwrap();
        assert_eq!(addresses.rtp.port(), 41_002);
    }

    #[test]
    fn a_range_without_a_pair_is_an_error() {
        let loopback: IpAddr = "127.0.0.1".parse().unwrap();
        for range in [(41_011, 41_011), (65_535, 65_535)] {
            let mut ports = RtpPorts::new(loopback, range, 46, 7);
            assert!(ports.open(StreamId(1)).is_err());
        }
    }
}
