//! What the internet sees of this machine: a Binding request (RFC 8489 section 2) to each address
//! of a STUN server, from one socket.
//!
//! ```text
//! host[:port] ─▶ addresses ─▶ Binding request ═▶ XOR-MAPPED-ADDRESS ─▶ the same everywhere? ─▶ Finding
//! ```

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::net::UdpSocket;

use super::finding::Finding;
use super::names::{self, host_and_port};
use crate::net::dns::system::System;

/// The port of STUN over UDP (RFC 8489 section 18.6).
const PORT: u16 = 3478;
const HEADER: usize = 20;
const COOKIE: [u8; 4] = [0x21, 0x12, 0xA4, 0x42];
const BINDING_REQUEST: u16 = 0x0001;
const BINDING_SUCCESS: u16 = 0x0101;
const MAPPED_ADDRESS: u16 = 0x0001;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;
/// The request is repeated after each of these times without an answer.
const WAITS: [Duration; 4] = [
    Duration::from_millis(500),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(1),
];
/// Addresses of the server that are asked.
const MAX_ADDRESSES: usize = 2;

/// Asks the server; what it says is a finding.
pub(super) async fn check(server: &str, found: &mut dyn FnMut(Finding)) {
    let Some((host, port)) = host_and_port(server) else {
        return found(Finding::fault(
            "stun",
            &format!("{server} is no host name"),
            "write stun = \"stun.example.net\" or \"192.0.2.1:3478\"",
        ));
    };
    let addresses = match names::addresses(&host, &System::read()).await {
        Ok(addresses) => addresses,
        Err(why) => {
            return found(Finding::fault(
                "stun",
                &format!("{host} cannot be looked up: {why}"),
                "correct `stun`, or check the name servers",
            ));
        }
    };
    let port = port.unwrap_or(PORT);
    // It is IPv4 that is translated by NATs: where the name has both families, IPv4 is asked.
    let v4 = addresses.iter().any(IpAddr::is_ipv4);
    let servers: Vec<SocketAddr> = addresses
        .into_iter()
        .filter(|ip| ip.is_ipv4() == v4)
        .take(MAX_ADDRESSES)
        .map(|ip| SocketAddr::new(ip, port))
        .collect();
    found(ask(&servers, v4).await);
}

/// One socket to all servers.
async fn ask(servers: &[SocketAddr], v4: bool) -> Finding {
    let any = if v4 {
        SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0))
    } else {
        SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0))
    };
    let socket = match UdpSocket::bind(any).await {
        Ok(socket) => socket,
        Err(error) => return Finding::fault_in_one("stun", &error.to_string()),
    };
    let mut mapped = Vec::new();
    for server in servers {
        if let Some(address) = binding(&socket, *server).await {
            mapped.push((*server, address));
        }
    }
    let local = local_towards(servers, socket.local_addr().map_or(0, |own| own.port()));
    finding(servers, &mapped, local)
}

/// This machine's address towards the first server; the socket itself is bound to all.
fn local_towards(servers: &[SocketAddr], port: u16) -> Option<SocketAddr> {
    let server = servers.first()?;
    let any: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = std::net::UdpSocket::bind((any, 0)).ok()?;
    socket.connect(server).ok()?;
    Some(SocketAddr::new(socket.local_addr().ok()?.ip(), port))
}

/// What the answers mean.
fn finding(
    servers: &[SocketAddr],
    mapped: &[(SocketAddr, SocketAddr)],
    local: Option<SocketAddr>,
) -> Finding {
    let Some((_, first)) = mapped.first() else {
        let list: Vec<String> = servers.iter().map(ToString::to_string).collect();
        return Finding::fault(
            "stun",
            &format!("no STUN server answers at {}", list.join(", ")),
            "correct `stun`, or let UDP to that port through the firewall",
        );
    };
    if let Some((other, differs)) = mapped.iter().find(|(_, address)| address != first) {
        return Finding::warning(
            "stun",
            &format!(
                "the NAT gives each far end another mapping (symmetric): {first} at {}, {differs} \
                 at {other}",
                mapped[0].0
            ),
            "addresses found by STUN do not help here; the server must send back where it \
             receives from (symmetric RTP), or relay",
        );
    }
    if local.is_some_and(|local| local == *first) {
        return Finding::good(
            "stun",
            &format!("no NAT: this machine is {first} everywhere"),
        );
    }
    Finding::good(
        "stun",
        &format!("the STUN server sees this machine as {first}"),
    )
}

/// The address a server sees; `None`: it does not answer.
async fn binding(socket: &UdpSocket, server: SocketAddr) -> Option<SocketAddr> {
    let mut id = [0; 12];
    getrandom::fill(&mut id).ok()?;
    let request = request(id);
    let mut buffer = [0; 1500];
    for wait in WAITS {
        socket.send_to(&request, server).await.ok()?;
        let until = tokio::time::Instant::now() + wait;
        while let Ok(Ok((length, from))) =
            tokio::time::timeout_at(until, socket.recv_from(&mut buffer)).await
        {
            if from == server
                && let Some(address) = mapped_address(&buffer[..length], id)
            {
                return Some(address);
            }
        }
    }
    None
}

fn request(id: [u8; 12]) -> [u8; HEADER] {
    let mut request = [0; HEADER];
    request[..2].copy_from_slice(&BINDING_REQUEST.to_be_bytes());
    request[4..8].copy_from_slice(&COOKIE);
    request[8..].copy_from_slice(&id);
    request
}

/// The mapped address in a success response to this transaction.
fn mapped_address(bytes: &[u8], id: [u8; 12]) -> Option<SocketAddr> {
    let (header, mut rest) = bytes.split_first_chunk::<HEADER>()?;
    let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
    let is_ours = u16::from_be_bytes([header[0], header[1]]) == BINDING_SUCCESS
        && header[4..8] == COOKIE
        && header[8..] == id
        && rest.len() == length;
    if !is_ours {
        return None;
    }
    let mut plain = None;
    while let Some((head, after)) = rest.split_first_chunk::<4>() {
        let kind = u16::from_be_bytes([head[0], head[1]]);
        let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
        let value = after.get(..length)?;
        match kind {
            XOR_MAPPED_ADDRESS => return address(value, Some(id)),
            MAPPED_ADDRESS => plain = address(value, None),
            _other => {}
        }
        rest = after.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    plain
}

/// An address attribute; with an id its value is combined with cookie and id (section 14.2).
fn address(value: &[u8], id: Option<[u8; 12]>) -> Option<SocketAddr> {
    let (head, ip) = value.split_first_chunk::<4>()?;
    let mut mask = [0; 16];
    if let Some(id) = id {
        mask[..4].copy_from_slice(&COOKIE);
        mask[4..].copy_from_slice(&id);
    }
    let port = u16::from_be_bytes([head[2] ^ mask[0], head[3] ^ mask[1]]);
    let ip: IpAddr = match (head[1], ip.len()) {
        (1, 4) => {
            let bytes: [u8; 4] = std::array::from_fn(|at| ip[at] ^ mask[at]);
            bytes.into()
        }
        (2, 16) => {
            let bytes: [u8; 16] = std::array::from_fn(|at| ip[at] ^ mask[at]);
            bytes.into()
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account_check::Mark;

    const ID: [u8; 12] = [7; 12];

    fn response(kind: u16, value: &[u8]) -> Vec<u8> {
        let mut bytes = BINDING_SUCCESS.to_be_bytes().to_vec();
        bytes.extend((value.len() as u16 + 4).to_be_bytes());
        bytes.extend(COOKIE);
        bytes.extend(ID);
        bytes.extend(kind.to_be_bytes());
        bytes.extend((value.len() as u16).to_be_bytes());
        bytes.extend(value);
        bytes
    }

    /// 203.0.113.5:1024 combined with the cookie.
    fn xored() -> [u8; 8] {
        [0, 1, 0x25, 0x12, 0xEA, 0x12, 0xD5, 0x47]
    }

    #[test]
    fn both_forms_of_a_mapped_address_are_read() {
        let expected = "203.0.113.5:1024".parse().ok();
        let found = mapped_address(&response(XOR_MAPPED_ADDRESS, &xored()), ID);
        assert_eq!(found, expected);
        let plain = [0, 1, 4, 0, 203, 0, 113, 5];
        assert_eq!(
            mapped_address(&response(MAPPED_ADDRESS, &plain), ID),
            expected
        );
        let mut v6 = [0; 20];
        v6[1] = 2;
        assert!(mapped_address(&response(XOR_MAPPED_ADDRESS, &v6), ID).is_some());
    }

    #[test]
    fn what_is_no_answer_is_none() {
        let good = response(XOR_MAPPED_ADDRESS, &xored());
        assert_eq!(mapped_address(&good, [8; 12]), None);
        for length in 0..good.len() {
            assert_eq!(mapped_address(&good[..length], ID), None, "{length}");
        }
        for at in 0..8 {
            let mut bad = good.clone();
            bad[at] ^= 0x40;
            assert_eq!(mapped_address(&bad, ID), None, "{at}");
        }
    }

    #[test]
    fn a_mapping_of_each_far_end_is_a_symmetric_nat() {
        let [a, b, c, d]: [SocketAddr; 4] = [
            "192.0.2.1:3478",
            "192.0.2.2:3478",
            "203.0.113.5:1",
            "203.0.113.5:2",
        ]
        .map(|text| text.parse().unwrap());
        let mark = |mapped: &[_], local| finding(&[a, b], mapped, local).mark;
        assert_eq!(mark(&[(a, c), (b, c)], None), Mark::Good);
        assert_eq!(mark(&[(a, c), (b, d)], None), Mark::Warning);
        assert_eq!(mark(&[], None), Mark::Fault);
        let text = finding(&[a], &[(a, c)], Some(c)).to_string();
        assert!(text.contains("no NAT"), "{text}");
        let text = finding(&[a], &[(a, c)], Some(d)).to_string();
        assert!(
            text.ends_with("sees this machine as 203.0.113.5:1"),
            "{text}"
        );
    }

    #[tokio::test]
    async fn a_server_is_asked_and_silence_is_reported() {
        let server = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let at = server.local_addr().unwrap();
        std::thread::spawn(move || {
            let mut bytes = [0; 512];
            // The first request is lost.
            let _ = server.recv_from(&mut bytes);
            while let Ok((_, from)) = server.recv_from(&mut bytes) {
                let mut answer = response(XOR_MAPPED_ADDRESS, &xored());
                answer[8..20].copy_from_slice(&bytes[8..20]);
                // XOR with the cookie only: the port and an IPv4 address need no id.
                let _ = server.send_to(&answer, from);
            }
        });
        let text = ask(&[at], true).await.to_string();
        assert!(text.contains("203.0.113.5:1024"), "{text}");
        let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let finding = ask(&[silent.local_addr().unwrap()], true).await;
        assert_eq!(finding.mark, Mark::Fault);
    }
}
