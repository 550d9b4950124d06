//! The headers of RTP and RTCP, captured on demand: who sends what when, and not a byte of what is
//! said.
//!
//! ```text
//! audio thread ── PacketHeader (spsc) ──▶ HeaderCapture ── time or space is up ──▶ storage thread: pcap
//! ```

use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::audio_thread::PacketHeader;
use crate::pcap::Pcap;

/// Largest file: a call of 20 ms packets both ways fills it in a quarter of an hour.
const MAX_BYTES: usize = 6 * 1024 * 1024;

/// One capture.
#[derive(Debug)]
pub(crate) struct HeaderCapture {
    until: Instant,
    file: Pcap,
    /// Gets the file.
    done: oneshot::Sender<Vec<u8>>,
}

impl HeaderCapture {
    /// Begins; the receiver gets the file.
    pub(crate) fn begin(length: Duration, now: Instant) -> (Self, oneshot::Receiver<Vec<u8>>) {
        let (done, file) = oneshot::channel();
        let capture = Self {
            until: now + length,
            file: Pcap::new(),
            done,
        };
        (capture, file)
    }

    /// Takes a header.
    pub(crate) fn add(&mut self, header: &PacketHeader) {
        if self.file.len() < MAX_BYTES {
            let way = (header.from, header.to);
            self.file.push(header.at, way, &header.bytes, header.length);
        }
    }

    /// Whether there is no more time, no more space, or no one who waits.
    pub(crate) fn is_over(&self, now: Instant) -> bool {
        now >= self.until || self.file.len() >= MAX_BYTES || self.done.is_closed()
    }

    /// Gives the file to whoever waits.
    pub(crate) fn finish(self) {
        // They may have gone.
        let _ = self.done.send(self.file.into_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(length: usize, bytes: &[u8]) -> PacketHeader {
        PacketHeader {
            at: Duration::new(1_700_000_000, 0),
            from: "192.0.2.1:4000".parse().unwrap(),
            to: "192.0.2.2:4002".parse().unwrap(),
            length,
            bytes: heapless::Vec::from_slice(bytes).unwrap(),
        }
    }

    #[test]
    fn it_ends_by_time_by_space_and_when_no_one_waits() {
        let now = Instant::now();
        let (mut capture, file) = HeaderCapture::begin(Duration::from_secs(60), now);
        assert!(!capture.is_over(now));
        assert!(capture.is_over(now + Duration::from_secs(60)));
        for _ in 0..200_000 {
            capture.add(&header(172, &[0x80; 12]));
        }
        assert!(capture.is_over(now), "full");
        capture.finish();
        let file = file.blocking_recv().unwrap();
        assert!(file.len() < MAX_BYTES + 100);
        let (capture, file) = HeaderCapture::begin(Duration::from_secs(60), now);
        drop(file);
        assert!(capture.is_over(now));
    }
}
