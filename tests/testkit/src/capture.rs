//! The packets that were sent on a simulated network: for assertions, as a fingerprint that shows
//! whether two runs were the same, and as a pcap file of a scenario that failed.
//!
//! ```text
//! Network::send ─▶ record ─▶ ring of the last packets ─▶ pcap, `sip_between`, `rtp_between`
//!                     └─▶ running fingerprint of everything
//! ```

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use crate::network::{Datagram, Time};

/// Packets kept; older ones are dropped.
const CAPACITY: usize = 40_000;

/// One packet that was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CapturedPacket {
    /// When it left.
    pub at: Time,
    /// When it arrived; `None`: it was lost.
    pub arrived: Option<Time>,
    /// The packet.
    pub datagram: Datagram,
}

/// The packets.
#[derive(Debug, Clone, Default)]
pub struct Capture {
    ring: VecDeque<CapturedPacket>,
    count: u64,
    fingerprint: u64,
    sip_only: bool,
}

impl Capture {
    /// Keeps SIP only (the fingerprint still covers everything): for days of calls.
    pub fn keep_sip_only(&mut self) {
        self.sip_only = true;
    }

    /// Records a packet.
    pub fn record(&mut self, at: Time, arrived: Option<Time>, datagram: &Datagram) {
        self.count += 1;
        let mut hash = if self.fingerprint == 0 {
            0xcbf2_9ce4_8422_2325
        } else {
            self.fingerprint
        };
        let mut add = |bytes: &[u8]| {
            for chunk in bytes.chunks(8) {
                let mut word = [0u8; 8];
                word[..chunk.len()].copy_from_slice(chunk);
                hash = (hash ^ u64::from_le_bytes(word)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                hash ^= hash >> 29;
            }
        };
        add(&(at.as_nanos() as u64).to_le_bytes());
        add(&arrived
            .map_or(u64::MAX, |t| t.as_nanos() as u64)
            .to_le_bytes());
        add(&[
            datagram.from.port().to_le_bytes(),
            datagram.to.port().to_le_bytes(),
        ]
        .concat());
        add(&datagram.bytes);
        self.fingerprint = hash;
        if self.sip_only && datagram.is_media() {
            return;
        }
        if self.ring.len() == CAPACITY {
            self.ring.pop_front();
        }
        self.ring.push_back(CapturedPacket {
            at,
            arrived,
            datagram: datagram.clone(),
        });
    }

    /// Packets sent so far.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// A number that two runs share only if every packet of both was the same, at the same time.
    pub fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// The packets still kept, oldest first.
    pub fn packets(&self) -> impl Iterator<Item = &CapturedPacket> {
        self.ring.iter()
    }

    /// SIP packets from one address to another, in order of sending.
    pub fn sip_between(&self, from: IpAddr, to: IpAddr) -> impl Iterator<Item = &CapturedPacket> {
        self.ring.iter().filter(move |sent| {
            sent.datagram.from.ip() == from
                && sent.datagram.to.ip() == to
                && !sent.datagram.is_media()
        })
    }

    /// RTP and RTCP packets from one address to another, in order of sending.
    pub fn media_between(&self, from: IpAddr, to: IpAddr) -> impl Iterator<Item = &CapturedPacket> {
        self.ring.iter().filter(move |sent| {
            sent.datagram.from.ip() == from
                && sent.datagram.to.ip() == to
                && sent.datagram.is_media()
        })
    }

    /// The signalling as a ladder of start lines, for failure messages.
    pub fn ladder(&self) -> String {
        let mut text = String::new();
        let all: Vec<&CapturedPacket> = self
            .ring
            .iter()
            .filter(|sent| !sent.datagram.is_media())
            .collect();
        for sent in &all[all.len().saturating_sub(80)..] {
            let line = String::from_utf8_lossy(
                sent.datagram
                    .bytes
                    .split(|&b| b == b'\r')
                    .next()
                    .unwrap_or(&[]),
            )
            .into_owned();
            let cseq = String::from_utf8_lossy(&sent.datagram.bytes);
            let cseq = cseq
                .lines()
                .find(|l| l.to_ascii_lowercase().starts_with("cseq:"))
                .unwrap_or("")
                .trim()
                .to_owned();
            let lost = if sent.arrived.is_none() { "  LOST" } else { "" };
            let line: String = line.chars().take(70).collect();
            let _ = writeln!(
                text,
                "{:>12.6}  {} > {}  {line}  [{cseq}]{lost}",
                sent.at.as_secs_f64(),
                sent.datagram.from,
                sent.datagram.to
            );
        }
        text
    }

    /// Writes what is kept as a pcap (nanosecond times, raw IP); a lost packet is there with TTL 0
    /// (`ip.ttl == 0`).
    pub fn write_pcap(&self, path: &Path) -> std::io::Result<()> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let mut file = std::io::BufWriter::new(std::fs::File::create(path)?);
        for word in [0xa1b2_3c4d_u32, 0x0004_0002, 0, 0, 65_535, 101] {
            file.write_all(&word.to_le_bytes())?;
        }
        for sent in &self.ring {
            let packet = ip_packet(&sent.datagram, if sent.arrived.is_some() { 64 } else { 0 });
            for word in [
                sent.at.as_secs() as u32,
                sent.at.subsec_nanos(),
                packet.len() as u32,
                packet.len() as u32,
            ] {
                file.write_all(&word.to_le_bytes())?;
            }
            file.write_all(&packet)?;
        }
        file.flush()
    }
}

/// The datagram in UDP and IPv4 (or, where an address is not IPv4, IPv6) headers; checksums are
/// left zero but for IPv4's own.
fn ip_packet(datagram: &Datagram, ttl: u8) -> Vec<u8> {
    let length = datagram.bytes.len() + 8;
    let mut packet = Vec::with_capacity(length + 40);
    match (datagram.from, datagram.to) {
        (SocketAddr::V4(from), SocketAddr::V4(to)) => {
            packet.extend([0x45, 0]);
            packet.extend(((length + 20) as u16).to_be_bytes());
            packet.extend([0, 0, 0x40, 0, ttl, 17, 0, 0]);
            packet.extend(from.ip().octets());
            packet.extend(to.ip().octets());
            let sum: u32 = packet
                .chunks(2)
                .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])))
                .sum();
            let folded = (sum & 0xffff) + (sum >> 16);
            let check = !(((folded & 0xffff) + (folded >> 16)) as u16);
            packet[10..12].copy_from_slice(&check.to_be_bytes());
        }
        (from, to) => {
            packet.extend([0x60, 0, 0, 0]);
            packet.extend((length as u16).to_be_bytes());
            packet.extend([17, ttl]);
            for address in [from.ip(), to.ip()] {
                let six = match address {
                    IpAddr::V4(four) => four.to_ipv6_mapped(),
                    IpAddr::V6(six) => six,
                };
                packet.extend(six.octets());
            }
        }
    }
    packet.extend(datagram.from.port().to_be_bytes());
    packet.extend(datagram.to.port().to_be_bytes());
    packet.extend((length as u16).to_be_bytes());
    packet.extend([0, 0]);
    packet.extend(&datagram.bytes);
    packet
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::process::TestDir;

    fn datagram(bytes: &[u8]) -> Datagram {
        Datagram {
            from: "10.0.0.1:5060".parse().unwrap(),
            to: "10.0.0.2:5060".parse().unwrap(),
            bytes: bytes.to_vec(),
        }
    }

    #[test]
    fn the_fingerprint_sees_time_order_bytes_and_loss() {
        let mut prints = Vec::new();
        for (first, second, at, arrives) in [
            (b"a", b"b", 1, true),
            (b"b", b"a", 1, true),
            (b"a", b"b", 2, true),
            (b"a", b"b", 1, false),
        ] {
            let mut capture = Capture::default();
            capture.record(
                Duration::from_millis(at),
                arrives.then_some(Duration::from_millis(9)),
                &datagram(first),
            );
            capture.record(
                Duration::from_millis(3),
                Some(Duration::from_millis(9)),
                &datagram(second),
            );
            prints.push(capture.fingerprint());
        }
        prints.sort_unstable();
        prints.dedup();
        assert_eq!(prints.len(), 4);
    }

    #[test]
    fn a_pcap_reads_back() {
        let mut capture = Capture::default();
        capture.record(
            Duration::from_millis(1500),
            None,
            &datagram(b"OPTIONS sip:x SIP/2.0\r\n\r\n"),
        );
        let folder = TestDir::new("capture");
        let path = folder.join("capture.pcap");
        capture.write_pcap(&path).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(bytes.len(), 24 + 16 + 28 + 25);
        assert_eq!(
            bytes[24..32],
            [1, 0, 0, 0, 0x00, 0x65, 0xcd, 0x1d],
            "1.5 s in seconds and nanoseconds"
        );
        assert_eq!(
            (bytes[40], bytes[48]),
            (0x45, 0),
            "IPv4, TTL 0 as it was lost"
        );
        let sum: u32 = bytes[40..60]
            .chunks(2)
            .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])))
            .sum();
        assert_eq!((sum & 0xffff) + (sum >> 16), 0xffff, "header checksum");
    }
}
