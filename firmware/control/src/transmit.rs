//! Datagrams that leave by a stream's sockets and are no media.

use std::net::SocketAddr;

use media::{PacketKind, StreamId};

/// A DTLS, STUN or TURN datagram to be sent from a stream's socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transmit {
    /// Whose socket.
    pub stream: StreamId,
    /// The RTP or the RTCP one.
    pub socket: PacketKind,
    /// Where to.
    pub to: SocketAddr,
    /// The datagram.
    pub bytes: Vec<u8>,
}
