//! Which way a message comes or goes: transport, flow, target. Plain values that every layer
//! shares.

use std::net::SocketAddr;

pub use types::Transport;

use crate::ids::ConnectionId;

/// The way a message came or goes: where replies must be sent back along.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Flow {
    /// A datagram from or to this address, by the phone's one UDP socket.
    Udp {
        /// The far address.
        remote: SocketAddr,
    },
    /// An open TCP connection.
    Tcp {
        /// Which one.
        connection: ConnectionId,
        /// The far address.
        remote: SocketAddr,
    },
    /// An open TLS connection.
    Tls {
        /// Which one.
        connection: ConnectionId,
        /// The far address.
        remote: SocketAddr,
    },
}

impl Flow {
    /// The flow of a connection over this transport; UDP has none and keeps the address only.
    pub(crate) fn of(transport: Transport, connection: ConnectionId, remote: SocketAddr) -> Self {
        match transport {
            Transport::Udp => Self::Udp { remote },
            Transport::Tcp => Self::Tcp { connection, remote },
            Transport::Tls => Self::Tls { connection, remote },
        }
    }

    /// The far address.
    pub fn remote(self) -> SocketAddr {
        match self {
            Self::Udp { remote } | Self::Tcp { remote, .. } | Self::Tls { remote, .. } => remote,
        }
    }

    /// What it runs over.
    pub fn transport(self) -> Transport {
        match self {
            Self::Udp { .. } => Transport::Udp,
            Self::Tcp { .. } => Transport::Tcp,
            Self::Tls { .. } => Transport::Tls,
        }
    }

    /// The connection, if it has one.
    pub fn connection(self) -> Option<ConnectionId> {
        match self {
            Self::Udp { .. } => None,
            Self::Tcp { connection, .. } | Self::Tls { connection, .. } => Some(connection),
        }
    }

    /// Whether the far ends are the same host, as far as addresses say.
    pub(crate) fn same_host(self, other: Self) -> bool {
        self.remote().ip().to_canonical() == other.remote().ip().to_canonical()
    }

    /// Whether no one on the way can read or change what goes along it.
    pub fn is_secure(self) -> bool {
        self.transport() == Transport::Tls
    }
}

/// A message that must leave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transmit {
    /// Which way.
    pub flow: Flow,
    /// The bytes of one whole message.
    pub bytes: Vec<u8>,
}

/// One address a name resolves to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// Transport.
    pub transport: Transport,
    /// Address and port.
    pub address: SocketAddr,
}
