//! Sockets, names and addresses of the control thread.
//!
//! ```text
//! udp    SIP datagrams in and out, ICMP errors          ─┐
//! tcp    connections, one task each                      ├─▶ Heard (mpsc, bounded) ─▶ driver ─▶ Control
//! lookup NAPTR, SRV, A, AAAA by RFC 3263                ─┘
//! local  which of our addresses others reach us by
//! ports  pairs of media sockets out of network.rtp_ports
//! ```

pub(crate) mod local;
pub(crate) mod lookup;
pub(crate) mod ports;
pub(crate) mod tcp;
pub(crate) mod udp;

/// What the network's tasks tell the driver.
#[derive(Debug)]
pub(crate) enum Heard {
    /// A TCP connection stands.
    Connected {
        connection: sip::ConnectionId,
        local: std::net::SocketAddr,
        remote: std::net::SocketAddr,
        /// Where its bytes to be sent go.
        out: tokio::sync::mpsc::Sender<Vec<u8>>,
    },
    /// Bytes came in on one.
    Bytes { connection: sip::ConnectionId, bytes: Vec<u8> },
    /// One is over, or never came to be.
    Closed { connection: sip::ConnectionId },
    /// A name was looked up.
    Found { id: sip::LookupId, targets: Vec<sip::Target> },
}
