//! Everything between messages and the sockets `app` holds: the queue of what must leave, and the
//! connections.
//!
//! ```text
//! send(flow, bytes) ─┬─ UDP ──────────────────────────────────▶ queue ─▶ poll_transmit
//!                    └─ TCP, TLS: open ────────────────────────────▶ queue
//!                            opening: kept until it is open ──▶ queue
//! ```

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Instant;

use crate::api::{Counters, Event};
use crate::connections::{Connections, Dial, Send};
use crate::flow::{Flow, Transmit, Transport};
use crate::ids::ConnectionId;

/// Most messages that wait for `app`; it empties the queue after every call.
const MAX_QUEUE: usize = 4096;

/// What a connection is wanted for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum ConnectFor {
    /// A request of ours. `server`: to a server of an account.
    Request { server: bool },
    /// A response whose own connection is gone (RFC 3261 section 18.2.2).
    Response,
}

/// What leaves, and by what.
#[derive(Debug)]
pub(crate) struct TransportLayer {
    queue: VecDeque<Transmit>,
    pub(crate) connections: Connections,
    pub(crate) counters: Counters,
    /// Connections that others took the place of: the owner closes them.
    pub(crate) displaced: Vec<ConnectionId>,
    /// Keys of media may stand in messages that go in clear: the configuration says so.
    keys_in_clear: bool,
}

impl TransportLayer {
    pub(crate) fn new(keys_in_clear: bool) -> Self {
        Self {
            keys_in_clear,
            queue: VecDeque::new(),
            displaced: Vec::new(),
            connections: Connections::new(),
            counters: Counters::default(),
        }
    }

    /// Sends one message; on a connection that is gone it is lost, and its transaction will notice.
    pub(crate) fn send(&mut self, flow: Flow, bytes: Vec<u8>, now: Instant) {
        // The last gate: offer and answer put no key into what goes in clear, and if they ever did,
        // it would not leave.
        if !flow.is_secure() && !self.keys_in_clear && carries_keys(&bytes) {
            self.counters.dropped += 1;
            return;
        }
        let bytes = match flow.connection() {
            None => bytes,
            Some(connection) => match self.connections.send(connection, bytes, now) {
                Send::Now(bytes) => bytes,
                Send::Waits => return,
                Send::Lost => {
                    self.counters.dropped += 1;
                    return;
                }
            },
        };
        if self.queue.len() >= MAX_QUEUE {
            self.counters.dropped += 1;
            return;
        }
        self.counters.sent += 1;
        self.queue.push_back(Transmit { flow, bytes });
    }

    /// The connection to an address; with TLS the far end must prove to be one of `names`. `None`
    /// when there are too many, and for UDP.
    pub(crate) fn connect(
        &mut self,
        remote: SocketAddr,
        transport: Transport,
        names: &[String],
        wanted: ConnectFor,
        events: &mut VecDeque<Event>,
        now: Instant,
    ) -> Option<Flow> {
        if transport == Transport::Udp {
            return None;
        }
        let connections = &mut self.connections;
        let dial = match wanted {
            ConnectFor::Request { server } => {
                connections.dial(remote, transport, names, server, now)
            }
            ConnectFor::Response => connections.dial_for_response(remote, transport, names, now),
        };
        let (flow, displaced) = match dial? {
            Dial::Existing(flow) => return Some(flow),
            Dial::New { flow, displaced } => (flow, displaced),
        };
        if let Some(displaced) = displaced
            && !self.displaced.contains(&displaced)
        {
            self.displaced.push(displaced);
        }
        if let Some(connection) = flow.connection() {
            events.push_back(Event::Connect {
                connection,
                remote: flow.remote(),
                transport: flow.transport(),
                names: names.to_vec(),
            });
        }
        Some(flow)
    }

    /// Whether a flow can carry something now or soon.
    pub(crate) fn is_alive(&self, flow: Flow) -> bool {
        flow.connection()
            .is_none_or(|connection| self.connections.get(connection).is_some())
    }

    /// A connection is open; whether this phone dialled it.
    pub(crate) fn connected(&mut self, id: ConnectionId, remote: SocketAddr, now: Instant) -> bool {
        let Some(waiting) = self.connections.handle_connected(id, remote) else {
            return false;
        };
        if let Some(flow) = self.connections.get(id).map(|found| found.flow(id)) {
            for bytes in waiting {
                self.send(flow, bytes, now);
            }
        }
        true
    }

    /// The next message for `app`.
    pub(crate) fn poll(&mut self) -> Option<Transmit> {
        self.queue.pop_front()
    }
}

/// Whether a message carries keys for media (RFC 4568).
fn carries_keys(bytes: &[u8]) -> bool {
    const LINE: &[u8] = b"\na=crypto:";
    bytes
        .windows(LINE.len())
        .any(|window| window.eq_ignore_ascii_case(LINE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crypto_lines_do_not_leave_in_clear() {
        let now = crate::timer::epoch();
        let remote: SocketAddr = "192.0.2.1:5060".parse().unwrap();
        let message = |line: &str| {
            format!("INVITE sip:a@b SIP/2.0\r\n\r\nv=0\r\nm=audio 1 RTP/SAVP 0\r\n{line}")
                .into_bytes()
        };
        for (allowed, line, leaves) in [
            (
                false,
                "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:x\r\n",
                false,
            ),
            (false, "A=Crypto:1 x\r\n", false),
            (false, "a=cryptographer:1\r\n", true),
            (
                true,
                "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:x\r\n",
                true,
            ),
        ] {
            let mut layer = TransportLayer::new(allowed);
            layer.send(Flow::Udp { remote }, message(line), now);
            assert_eq!(layer.poll().is_some(), leaves, "{line}");
        }
    }
}
