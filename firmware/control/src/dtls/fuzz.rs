//! What the fuzz target of DTLS sees: one endpoint before anything is proved, in either role.

use std::net::SocketAddr;
use std::time::Instant;

use media::{PacketKind, StreamId};
use sip::media_security::{Fingerprint, HashName, Setup};

use super::{Credentials, DtlsAgreement, DtlsEndpoints};

const STREAM: StreamId = StreamId(1);

/// An endpoint that waits for a far end with a certificate no one has.
pub struct Endpoint {
    endpoints: DtlsEndpoints,
    from: SocketAddr,
}

impl Endpoint {
    /// `active`: this phone begins the handshake.
    pub fn new(credentials: &Credentials, active: bool, now: Instant) -> Self {
        let from = SocketAddr::from(([192, 0, 2, 9], 4000));
        let mut endpoints = DtlsEndpoints::new(Some(credentials.clone()));
        let agreement = DtlsAgreement {
            setup: if active {
                Setup::Active
            } else {
                Setup::Passive
            },
            fingerprints: vec![Fingerprint {
                hash: HashName::Sha256,
                bytes: vec![7; 32],
            }],
            rtp: from,
            rtcp: None,
            established: true,
        };
        endpoints.agree(STREAM, &agreement, now);
        Self { endpoints, from }
    }

    /// A datagram comes; what leaves because of it.
    pub fn handle_datagram(&mut self, bytes: &[u8], now: Instant) -> Vec<Vec<u8>> {
        self.endpoints
            .handle_datagram(STREAM, PacketKind::Rtp, self.from, bytes, now);
        self.drain()
    }

    /// Time passes; what leaves.
    pub fn handle_timeout(&mut self, now: Instant) -> Vec<Vec<u8>> {
        self.endpoints.handle_timeout(now);
        self.drain()
    }

    /// Whether the far end proved who it is.
    pub fn is_secured(&self) -> bool {
        self.endpoints.secured(STREAM).is_some()
    }

    fn drain(&mut self) -> Vec<Vec<u8>> {
        while self.endpoints.poll_event().is_some() {}
        let left = std::iter::from_fn(|| self.endpoints.poll_transmit());
        left.map(|transmit| transmit.bytes).collect()
    }
}
