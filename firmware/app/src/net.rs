//! Sockets, names and addresses of the control thread.
//!
//! ```text
//! udp    SIP datagrams in and out, ICMP errors          ─┐
//! tcp    connections, one task each; tls: the same       ├─▶ Heard (mpsc, bounded) ─▶ driver ─▶ Control
//! lookup NAPTR, SRV, A, AAAA by RFC 3263                ─┘
//! fetch  files over https, whole or not at all
//! local  which of our addresses others reach us by
//! ports  pairs of media sockets out of network.rtp_ports
//! slots  how many sockets others may open
//! ```

pub(crate) mod fetch;
pub(crate) mod local;
pub(crate) mod lookup;
pub(crate) mod ports;
mod slots;
pub(crate) mod tcp;
pub(crate) mod tls;
pub(crate) mod udp;

use std::net::{IpAddr, SocketAddr};

/// The address everybody else calls it by: a socket bound to `::` sees IPv4 as `::ffff:a.b.c.d`.
pub(crate) fn seen(from: SocketAddr) -> SocketAddr {
    SocketAddr::new(from.ip().to_canonical(), from.port())
}

/// The address a socket of this family must be given to reach `to`.
pub(crate) fn reachable(to: SocketAddr, by_v6: bool) -> SocketAddr {
    match to.ip() {
        IpAddr::V4(v4) if by_v6 => SocketAddr::new(IpAddr::V6(v4.to_ipv6_mapped()), to.port()),
        IpAddr::V4(_) | IpAddr::V6(_) => to,
    }
}

/// What the network's tasks tell the driver.
#[derive(Debug)]
pub(crate) enum Heard {
    /// A TCP connection stands.
    Connected {
        connection: sip::ConnectionId,
        local: SocketAddr,
        remote: SocketAddr,
        /// Where its bytes to be sent go.
        out: tokio::sync::mpsc::Sender<Vec<u8>>,
        /// A TLS connection of theirs: who the far end has proved to be.
        proved: Option<Vec<String>>,
    },
    /// Bytes came in on one.
    Bytes {
        connection: sip::ConnectionId,
        bytes: Vec<u8>,
    },
    /// One is over, or never came to be; why, where the owner can do something about it.
    Closed {
        connection: sip::ConnectionId,
        why: Option<String>,
    },
    /// A name was looked up.
    Found {
        id: sip::LookupId,
        targets: Vec<sip::Target>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ipv4_through_an_ipv6_socket_keeps_its_name() {
        let v4: SocketAddr = "192.0.2.1:5060".parse().unwrap();
        let v6: SocketAddr = "[2001:db8::1]:5060".parse().unwrap();
        assert_eq!(reachable(v4, false), v4);
        assert_eq!(reachable(v4, true).to_string(), "[::ffff:192.0.2.1]:5060");
        assert_eq!(seen(reachable(v4, true)), v4);
        assert_eq!((seen(v6), reachable(v6, true)), (v6, v6));
    }
}
