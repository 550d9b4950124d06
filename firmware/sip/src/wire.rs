//! Everything between messages and the sockets `app` holds: the queue of what must leave, and the
//! connections.
//!
//! ```text
//! send(flow, bytes) ─┬─ UDP ──────────────────────────────────▶ queue ─▶ poll_transmit
//!                    └─ TCP, TLS: open ────────────────────────────▶ queue
//!                            opening: kept until it stands ───▶ queue
//! ```

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Instant;

use crate::api::{Counters, Event};
use crate::flow::{Flow, Transmit, Transport};
use crate::ids::ConnectionId;
use crate::keepalive::Pulse;
use crate::stream::StreamReader;

/// Most connections at once, theirs and ours.
const MAX_CONNECTIONS: usize = 64;
/// Most messages that wait for one connection to open.
const MAX_WAITING: usize = 16;
/// Most messages that wait for `app`; it empties the queue after every call.
const MAX_QUEUE: usize = 4096;

/// One connection.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) remote: SocketAddr,
    pub(crate) transport: Transport,
    /// TLS: who the far end must be (ours), or has proved to be (theirs).
    names: Vec<String>,
    /// We opened it.
    ours: bool,
    /// Where its far end listens, as it said in a request of its own (RFC 5923): requests for there
    /// take this connection.
    alias: Option<SocketAddr>,
    pub(crate) open: bool,
    waiting: Vec<Vec<u8>>,
    pub(crate) reader: StreamReader,
    used: Instant,
    pub(crate) pulse: Pulse,
}

impl Connection {
    fn new(
        remote: SocketAddr,
        transport: Transport,
        names: Vec<String>,
        ours: bool,
        now: Instant,
    ) -> Self {
        Self {
            remote,
            transport,
            names,
            ours,
            alias: None,
            open: !ours,
            waiting: Vec::new(),
            reader: StreamReader::default(),
            used: now,
            pulse: Pulse::default(),
        }
    }

    /// The way along it.
    pub(crate) fn flow(&self, id: ConnectionId) -> Flow {
        Flow::of(self.transport, id, self.remote)
    }

    /// Whether a request for this place may take it. Over TLS the place is not enough: what was
    /// proved when it was opened must be what this request needs, or a server of one domain would
    /// get what is meant for another on the same machine.
    fn serves(&self, remote: SocketAddr, transport: Transport, names: &[String]) -> bool {
        let place = self.remote == remote || self.alias == Some(remote);
        let proved = if self.ours {
            self.names == names
        } else {
            names.iter().any(|name| {
                self.names
                    .iter()
                    .any(|known| known.eq_ignore_ascii_case(name))
            })
        };
        place && self.transport == transport && (transport != Transport::Tls || proved)
    }
}

/// What leaves, and by what.
#[derive(Debug)]
pub(crate) struct Wire {
    pub(crate) local: SocketAddr,
    queue: VecDeque<Transmit>,
    pub(crate) connections: BTreeMap<ConnectionId, Connection>,
    next: u64,
    pub(crate) counters: Counters,
    /// Keys of media may stand in messages that go in clear: the configuration says so.
    keys_in_clear: bool,
}

impl Wire {
    pub(crate) fn new(local: SocketAddr, keys_in_clear: bool) -> Self {
        Self {
            local,
            keys_in_clear,
            queue: VecDeque::new(),
            connections: BTreeMap::new(),
            next: 1,
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
        if let Some(connection) = flow.connection() {
            match self.connections.get_mut(&connection) {
                Some(found) if found.open => found.used = now,
                Some(found) if found.waiting.len() < MAX_WAITING => {
                    found.waiting.push(bytes);
                    return;
                }
                Some(_) | None => {
                    self.counters.dropped += 1;
                    return;
                }
            }
        }
        if self.queue.len() >= MAX_QUEUE {
            self.counters.dropped += 1;
            return;
        }
        self.counters.sent += 1;
        self.queue.push_back(Transmit { flow, bytes });
    }

    /// The connection to an address: one that stands or is being opened, else a new one. `None`
    /// when there are too many, and for UDP. With TLS the far end must prove to be one of `names`.
    pub(crate) fn connect(
        &mut self,
        remote: SocketAddr,
        transport: Transport,
        names: &[String],
        events: &mut VecDeque<Event>,
        now: Instant,
    ) -> Option<Flow> {
        if transport == Transport::Udp {
            return None;
        }
        if let Some((id, found)) = self
            .connections
            .iter()
            .find(|(_, c)| c.serves(remote, transport, names))
        {
            return Some(found.flow(*id));
        }
        if !self.make_room(events) {
            return None;
        }
        let id = ConnectionId(self.next);
        self.next += 1;
        let connection = Connection::new(remote, transport, names.to_vec(), true, now);
        let flow = connection.flow(id);
        self.connections.insert(id, connection);
        events.push_back(Event::Connect {
            connection: id,
            remote,
            transport,
            names: names.to_vec(),
        });
        Some(flow)
    }

    /// Whether a flow can carry something now or soon.
    pub(crate) fn is_alive(&self, flow: Flow) -> bool {
        flow.connection()
            .is_none_or(|connection| self.connections.contains_key(&connection))
    }

    /// A connection we asked for stands; whether we did ask.
    pub(crate) fn connected(&mut self, id: ConnectionId, remote: SocketAddr, now: Instant) -> bool {
        let Some(found) = self.connections.get_mut(&id) else {
            return false;
        };
        found.open = true;
        found.remote = remote;
        let flow = found.flow(id);
        let waiting = std::mem::take(&mut found.waiting);
        for bytes in waiting {
            self.send(flow, bytes, now);
        }
        true
    }

    /// A connection of theirs stands. `names`: who its far end has proved to be.
    pub(crate) fn accepted(
        &mut self,
        id: ConnectionId,
        remote: SocketAddr,
        transport: Transport,
        names: Vec<String>,
        events: &mut VecDeque<Event>,
        now: Instant,
    ) {
        if self.make_room(events) {
            self.connections
                .insert(id, Connection::new(remote, transport, names, false, now));
        } else {
            events.push_back(Event::Close(id));
        }
    }

    /// The far end of a connection says where it listens (RFC 5923 section 5). Believed only of who
    /// proved to be somebody: else anybody could have calls for another's address sent to himself.
    pub(crate) fn learn_alias(&mut self, flow: Flow, port: u16) {
        if let Some(connection) = flow.connection()
            && let Some(found) = self.connections.get_mut(&connection)
            && found.transport == Transport::Tls
            && !found.ours
            && !found.names.is_empty()
        {
            found.alias = Some(SocketAddr::new(found.remote.ip(), port));
        }
    }

    /// Where there are too many connections the longest unused one gives way: who still needs it
    /// opens it again.
    fn make_room(&mut self, events: &mut VecDeque<Event>) -> bool {
        if self.connections.len() < MAX_CONNECTIONS {
            return true;
        }
        let open = self.connections.iter().filter(|(_, c)| c.open);
        let Some(oldest) = open.min_by_key(|(_, c)| c.used).map(|(id, _)| *id) else {
            return false;
        };
        self.counters.dropped += 1;
        self.connections.remove(&oldest);
        events.push_back(Event::Close(oldest));
        true
    }

    /// Something came in on a connection: it is in use.
    pub(crate) fn heard(&mut self, id: ConnectionId, now: Instant) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.used = now;
        }
    }

    /// A connection is gone.
    pub(crate) fn closed(&mut self, id: ConnectionId) {
        self.connections.remove(&id);
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
    fn keys_do_not_leave_in_clear() {
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
            let mut wire = Wire::new(remote, allowed);
            wire.send(Flow::Udp { remote }, message(line), now);
            assert_eq!(wire.poll().is_some(), leaves, "{line}");
        }
    }
}
