//! Sockets, names and addresses of the control thread.
//!
//! ```text
//! udp    SIP datagrams in and out, ICMP errors          ─┐
//! tcp    connections, one task each; tls: the same       ├─▶ NetworkEvent (mpsc, bounded) ─▶ driver ─▶ Control
//! dns    NAPTR, SRV, A, AAAA by RFC 3263                ─┘
//! fetch  files over https, whole or not at all
//! local  which of our addresses far ends are spoken to from; why there is none
//! mdns   the phone's name on its link, and the names of others there
//! media_sockets  pairs of RTP and RTCP sockets, read and written on the audio thread
//! paging multicast groups whose announcements are heard
//! watch  what the kernel reports of links, addresses, routes and name servers
//! ports  free pairs of them out of network.rtp_ports
//! slots  how many sockets others may open
//! turn_link  datagrams of media sockets to a TURN server over TCP or TLS, and back
//! ```

pub(crate) mod address;
pub(crate) mod dns;
pub(crate) mod fetch;
pub(crate) mod local;
pub(crate) mod mdns;
pub(crate) mod media_sockets;
pub(crate) mod paging;
pub(crate) mod ports;
pub(crate) mod slots;
pub(crate) mod tcp;
pub(crate) mod tls;
pub(crate) mod turn_link;
pub(crate) mod udp;
pub(crate) mod watch;

use std::net::SocketAddr;

/// What the network's tasks report to the driver.
#[derive(Debug)]
pub(crate) enum NetworkEvent {
    /// A TCP connection is established.
    Connected {
        connection: sip::ConnectionId,
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
    /// A datagram to a multicast group.
    Page {
        group: SocketAddr,
        from: SocketAddr,
        bytes: Vec<u8>,
    },
    /// The certificates to trust were read, or not.
    Anchors(Result<tls::Anchors, tls::AnchorsError>),
    /// A link, an address, a route or the name servers changed.
    Changed(watch::Change),
    /// The addresses that DNS gave last, to be kept in the state directory.
    LastGood(String),
    /// A name was looked up.
    Found {
        id: sip::LookupId,
        targets: Vec<sip::Target>,
        /// Why there are none, or which question was not answered.
        fault: Option<dns::SearchError>,
    },
}
