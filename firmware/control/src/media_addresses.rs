//! The addresses of media sockets.

use std::net::SocketAddr;

/// The local addresses of a stream's two sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MediaAddresses {
    /// Where RTP is received.
    pub rtp: SocketAddr,
    /// Where RTCP is received.
    pub rtcp: SocketAddr,
}
