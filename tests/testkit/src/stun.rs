//! What a STUN server says (RFC 8489): the address a request came from.

use std::net::{IpAddr, SocketAddr};

const COOKIE: [u8; 4] = [0x21, 0x12, 0xA4, 0x42];

/// Whether a datagram is a STUN message.
pub fn is_stun(datagram: &[u8]) -> bool {
    datagram.len() >= 20 && datagram[0] < 4 && datagram[4..8] == COOKIE
}

/// The answer to a Binding request; `None`: it is none.
pub fn answer(request: &[u8], from: SocketAddr) -> Option<Vec<u8>> {
    if !is_stun(request) || request[..2] != [0, 1] {
        return None;
    }
    let mask = &request[4..20];
    let (family, ip) = match from.ip() {
        IpAddr::V4(v4) => (1, v4.octets().to_vec()),
        IpAddr::V6(v6) => (2, v6.octets().to_vec()),
    };
    let port = from.port().to_be_bytes();
    let mut value = vec![0, family, port[0] ^ mask[0], port[1] ^ mask[1]];
    value.extend(ip.iter().zip(mask).map(|(byte, mask)| byte ^ mask));
    let mut answer = vec![1, 1, 0, value.len() as u8 + 4];
    answer.extend(mask);
    answer.extend([0, 0x20, 0, value.len() as u8]);
    answer.extend(value);
    Some(answer)
}
