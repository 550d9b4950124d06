//! Payloads of capture files.

/// The payloads of all UDP datagrams in a capture (pcap of either byte order, Ethernet or Linux
/// cooked), in order.
pub fn datagrams(capture: &[u8]) -> Vec<&[u8]> {
    let little = capture.starts_with(&[0xD4, 0xC3, 0xB2, 0xA1]);
    if !little && !capture.starts_with(&[0xA1, 0xB2, 0xC3, 0xD4]) {
        return Vec::new();
    }
    let u32_at = |at: usize| -> Option<usize> {
        let bytes = *capture.get(at..)?.first_chunk::<4>()?;
        Some(if little {
            u32::from_le_bytes(bytes)
        } else {
            u32::from_be_bytes(bytes)
        } as usize)
    };
    let link = match u32_at(20) {
        Some(1) => 12,
        Some(113) => 14,
        _ => return Vec::new(),
    };
    let mut found = Vec::new();
    let mut at = 24;
    while let Some(length) = u32_at(at + 8) {
        let Some(frame) = capture.get(at + 16..at + 16 + length) else {
            break;
        };
        at += 16 + length;
        found.extend(datagram(frame, link));
    }
    found
}

/// The UDP payload of a frame whose ethertype lies at `link`.
fn datagram(frame: &[u8], mut link: usize) -> Option<&[u8]> {
    while frame.get(link..link + 2)? == [0x81, 0] {
        link += 4; // VLAN
    }
    let packet = frame.get(link + 2..)?;
    let udp = match (frame.get(link..link + 2)?, packet.first()? >> 4) {
        ([8, 0], 4) if *packet.get(9)? == 17 => packet.get(usize::from(packet[0] & 15) * 4..)?,
        ([0x86, 0xDD], 6) if *packet.get(6)? == 17 => packet.get(40..)?,
        _ => return None,
    };
    udp.get(8..usize::from(u16::from_be_bytes([*udp.get(4)?, *udp.get(5)?])))
}
