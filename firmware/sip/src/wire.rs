//! Everything between messages and the sockets `app` holds: the queue of what must leave, and the TCP connections.
//!
//! ```text
//! send(flow, bytes) ─┬─ UDP ──────────────────────────────────▶ queue ─▶ poll_transmit
//!                    └─ TCP: open ────────────────────────────▶ queue
//!                            opening: kept until it stands ───▶ queue
//! ```

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Instant;

use crate::agent::{ConnectionId, Counters, Event, Flow, Transmit};
use crate::stream::StreamReader;

/// Most connections at once, theirs and ours.
const MAX_CONNECTIONS: usize = 64;
/// Most messages that wait for one connection to open.
const MAX_WAITING: usize = 16;
/// Most messages that wait for `app`; it empties the queue after every call.
const MAX_QUEUE: usize = 4096;

/// One TCP connection.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) remote: SocketAddr,
    pub(crate) open: bool,
    waiting: Vec<Vec<u8>>,
    pub(crate) reader: StreamReader,
    used: Instant,
}

/// What leaves, and by what.
#[derive(Debug)]
pub(crate) struct Wire {
    pub(crate) local: SocketAddr,
    queue: VecDeque<Transmit>,
    pub(crate) connections: BTreeMap<ConnectionId, Connection>,
    next: u64,
    pub(crate) counters: Counters,
}

impl Wire {
    pub(crate) fn new(local: SocketAddr) -> Self {
        Self {
            local,
            queue: VecDeque::new(),
            connections: BTreeMap::new(),
            next: 1,
            counters: Counters::default(),
        }
    }

    /// Sends one message; on a connection that is gone it is lost, and its transaction will notice.
    pub(crate) fn send(&mut self, flow: Flow, bytes: Vec<u8>, now: Instant) {
        if let Flow::Tcp { connection, .. } = flow {
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

    /// The connection to an address: one that stands or is being opened, else a new one. `None` when there are too many.
    pub(crate) fn connect(&mut self, remote: SocketAddr, events: &mut VecDeque<Event>, now: Instant) -> Option<Flow> {
        if let Some((id, _)) = self.connections.iter().find(|(_, c)| c.remote == remote) {
            return Some(Flow::Tcp { connection: *id, remote });
        }
        if !self.make_room(events) {
            return None;
        }
        let id = ConnectionId(self.next);
        self.next += 1;
        self.connections.insert(
            id,
            Connection {
                remote,
                open: false,
                waiting: Vec::new(),
                reader: StreamReader::default(),
                used: now,
            },
        );
        events.push_back(Event::Connect { connection: id, remote });
        Some(Flow::Tcp { connection: id, remote })
    }

    /// Whether a flow can carry something now or soon.
    pub(crate) fn is_alive(&self, flow: Flow) -> bool {
        match flow {
            Flow::Udp { .. } => true,
            Flow::Tcp { connection, .. } => self.connections.contains_key(&connection),
        }
    }

    /// A connection stands.
    pub(crate) fn connected(&mut self, id: ConnectionId, remote: SocketAddr, events: &mut VecDeque<Event>, now: Instant) {
        if let Some(found) = self.connections.get_mut(&id) {
            found.open = true;
            found.remote = remote;
            let waiting = std::mem::take(&mut found.waiting);
            for bytes in waiting {
                self.send(Flow::Tcp { connection: id, remote }, bytes, now);
            }
            return;
        }
        if !self.make_room(events) {
            events.push_back(Event::Close(id));
            return;
        }
        self.connections.insert(
            id,
            Connection {
                remote,
                open: true,
                waiting: Vec::new(),
                reader: StreamReader::default(),
                used: now,
            },
        );
    }

    /// Where there are too many connections the longest unused one gives way: who still needs it opens it again.
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
