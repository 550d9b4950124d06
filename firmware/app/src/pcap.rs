//! Capture files (pcap) of datagrams, as tcpdump and Wireshark read them.
//!
//! ```text
//! time, addresses, as many bytes as are kept ─▶ IP and UDP header ─▶ record ─▶ file
//! ```

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// `LINKTYPE_RAW`: packets begin with their IP header.
const RAW_IP: u32 = 101;

/// A capture file in the making.
#[derive(Debug)]
pub(crate) struct Pcap(Vec<u8>);

impl Pcap {
    /// Nothing captured.
    pub(crate) fn new() -> Self {
        let mut file = Vec::new();
        for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, RAW_IP] {
            file.extend_from_slice(&word.to_le_bytes());
        }
        Self(file)
    }

    /// Adds a datagram from one address to another, of which `bytes` are kept and which was
    /// `length` bytes long. `at`: since 1970.
    pub(crate) fn push(
        &mut self,
        at: Duration,
        way: (SocketAddr, SocketAddr),
        bytes: &[u8],
        length: usize,
    ) {
        let packet = datagram(way, bytes, length);
        let whole = packet.len() + length - bytes.len();
        for word in [
            at.as_secs() as u32,
            at.subsec_micros(),
            packet.len() as u32,
            whole as u32,
        ] {
            self.0.extend_from_slice(&word.to_le_bytes());
        }
        self.0.extend_from_slice(&packet);
    }

    /// Its size so far.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The file.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

/// IP and UDP headers before the bytes.
fn datagram((from, to): (SocketAddr, SocketAddr), bytes: &[u8], length: usize) -> Vec<u8> {
    let udp_length = (8 + length).min(65_535) as u16;
    let mut packet = Vec::with_capacity(48 + bytes.len());
    match (from.ip().to_canonical(), to.ip().to_canonical()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let total = (28 + length).min(65_535) as u16;
            let mut header = [0_u8; 20];
            header[0] = 0x45;
            header[2..4].copy_from_slice(&total.to_be_bytes());
            header[8] = 64;
            header[9] = 17;
            header[12..16].copy_from_slice(&from.octets());
            header[16..20].copy_from_slice(&to.octets());
            let sum: u32 = header
                .chunks_exact(2)
                .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])))
                .sum();
            let folded = (sum & 0xffff) + (sum >> 16);
            header[10..12].copy_from_slice(&(!(folded as u16)).to_be_bytes());
            packet.extend_from_slice(&header);
        }
        (from, to) => {
            packet.extend_from_slice(&[0x60, 0, 0, 0]);
            packet.extend_from_slice(&udp_length.to_be_bytes());
            packet.extend_from_slice(&[17, 64]);
            for ip in [from, to] {
                let octets = match ip {
                    IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
                    IpAddr::V6(ip) => ip.octets(),
                };
                packet.extend_from_slice(&octets);
            }
        }
    }
    packet.extend_from_slice(&from.port().to_be_bytes());
    packet.extend_from_slice(&to.port().to_be_bytes());
    packet.extend_from_slice(&udp_length.to_be_bytes());
    // No checksum: allowed for IPv4, and shown as missing for IPv6.
    packet.extend_from_slice(&[0, 0]);
    packet.extend_from_slice(bytes);
    packet
}
