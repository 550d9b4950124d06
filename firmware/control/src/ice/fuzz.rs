//! What the fuzz target of STUN sees: one stream with checks under way and a TURN server, and
//! datagrams from either side that no one signed.

use std::net::SocketAddr;
use std::time::Instant;

use media::{PacketKind, StreamId};
use sip::ice::{AgreedIce, Candidate, CandidateKind, IceCredentials};

use super::turn::TurnServer;
use super::{IceEndpoints, Wanted};

const STREAM: StreamId = StreamId(1);

/// A stream that looks for its far end.
pub struct Endpoint {
    ice: IceEndpoints,
    server: SocketAddr,
    far: SocketAddr,
}

impl Endpoint {
    /// Checks begin at once.
    pub fn new(now: Instant) -> Self {
        let server = SocketAddr::from(([192, 0, 2, 1], 3478));
        let far = SocketAddr::from(([192, 0, 2, 9], 4000));
        let own = SocketAddr::from(([192, 0, 2, 2], 4000));
        let mut ice = IceEndpoints::new([7; 32]);
        let wanted = Wanted {
            hosts: vec![own.ip()],
            external: None,
            stun: vec![server],
            turn: Some(TurnServer {
                address: server,
                by_stream: false,
                user: "u".to_owned(),
                password: config::schema::Secret("p".to_owned()),
            }),
        };
        ice.open(STREAM, [own, own], wanted, now);
        if let Some(local) = ice.local(STREAM, true, now) {
            let agreed = AgreedIce {
                local: local.credentials,
                remote: IceCredentials {
                    ufrag: "theirs".to_owned(),
                    password: "no one knows this password".to_owned(),
                },
                candidates: vec![Candidate {
                    foundation: "1".to_owned(),
                    component: 1,
                    priority: 1,
                    address: far,
                    kind: CandidateKind::Host,
                    related: None,
                }],
                lite: false,
                offered_by_us: true,
            };
            ice.agree(STREAM, Some(&agreed), true, now);
        }
        Self { ice, server, far }
    }

    /// A datagram comes, from the server or from the far end; what leaves because of it.
    pub fn handle_datagram(&mut self, by_server: bool, bytes: &[u8], now: Instant) -> Vec<Vec<u8>> {
        let from = if by_server { self.server } else { self.far };
        self.ice
            .handle_datagram(STREAM, PacketKind::Rtp, from, bytes, now);
        self.drain()
    }

    /// Time passes; what leaves.
    pub fn handle_timeout(&mut self, now: Instant) -> Vec<Vec<u8>> {
        self.ice.handle_timeout(now);
        self.drain()
    }

    /// Whether a way was believed.
    pub fn has_path(&self) -> bool {
        self.ice.path(STREAM).rtp.is_some()
    }

    fn drain(&mut self) -> Vec<Vec<u8>> {
        while self.ice.poll_event().is_some() {}
        let left = std::iter::from_fn(|| self.ice.poll_transmit());
        left.map(|transmit| transmit.bytes).collect()
    }
}
