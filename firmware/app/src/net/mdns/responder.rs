//! What the phone says on its link about its name, without I/O: it probes for the name, announces
//! it, answers for it, and takes another one where somebody else has it (RFC 6762 sections 6, 8,
//! 9).

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use hickory_proto::op::{Message, MessageType, OpCode, Query};
use hickory_proto::rr::rdata::{A, AAAA};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};

use super::PORT;

/// How long others may keep an address (section 10).
const TTL_S: u32 = 120;
/// The same for a plain resolver, which asks from another port than mDNS (section 6.7).
const LEGACY_TTL_S: u32 = 10;
/// Between two probes, and their number (section 8.1).
const PROBE: Duration = Duration::from_millis(250);
const PROBES: u8 = 3;
/// Between the announcements, and their number (section 8.3).
const ANNOUNCE: Duration = Duration::from_secs(1);
const ANNOUNCEMENTS: u8 = 2;
/// After many conflicts, the next name is tried slowly (section 8.1).
const SLOW: Duration = Duration::from_secs(5);
const MANY_CONFLICTS: u32 = 15;
/// Answers that may wait to be sent.
const MAX_QUEUE: usize = 16;
/// Between two multicasts of the same answer (section 6).
const MIN_MULTICAST_INTERVAL: Duration = Duration::from_secs(1);

/// Where a message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Destination {
    /// Everyone on the link (multicast).
    Group,
    /// Whoever asked.
    Unicast(SocketAddr),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// So many probes were sent; the next step is at that time.
    Probing(u8, Instant),
    /// So many announcements were sent.
    Announcing(u8, Instant),
    /// The name is ours.
    Running,
}

/// What is to be sent; the addresses are filled in when it leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Outgoing {
    Probe,
    Announcement,
    /// To a question with this number, asked from another port.
    Legacy(SocketAddr, u16, Vec<Query>),
    /// To an asker who wants it for itself.
    Direct(SocketAddr),
}

/// The state of the name.
#[derive(Debug)]
pub(super) struct Responder {
    /// The name of the configuration.
    host_name: String,
    /// Names taken by others so far.
    conflicts: u32,
    state: State,
    queue: VecDeque<Outgoing>,
    last_multicast: Option<Instant>,
}

impl Responder {
    /// `seed` spreads phones that are switched on together.
    pub(super) fn new(host_name: &str, seed: u64, now: Instant) -> Self {
        let wait = Duration::from_millis(seed % 250);
        Self {
            host_name: host_name.to_ascii_lowercase(),
            conflicts: 0,
            state: State::Probing(0, now + wait),
            queue: VecDeque::new(),
            last_multicast: None,
        }
    }

    /// `kitchen`, or `kitchen-2` where somebody else is kitchen.
    pub(super) fn label(&self) -> String {
        match self.conflicts {
            0 => self.host_name.clone(),
            conflicts => format!("{}-{}", self.host_name, conflicts + 1),
        }
    }

    fn name(&self) -> Option<Name> {
        Name::from_ascii(format!("{}.local.", self.label())).ok()
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Probing(_, at) | State::Announcing(_, at) => Some(at),
            State::Running => None,
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        match self.state {
            State::Probing(sent, at) if at <= now && sent < PROBES => {
                self.queue(Outgoing::Probe);
                self.state = State::Probing(sent + 1, now + PROBE);
            }
            State::Probing(_, at) if at <= now => {
                tracing::info!("this phone is {}.local", self.label());
                self.announce(0, now);
            }
            State::Announcing(sent, at) if at <= now && sent < ANNOUNCEMENTS => {
                self.announce(sent, now);
            }
            State::Announcing(_, at) if at <= now => self.state = State::Running,
            State::Probing(..) | State::Announcing(..) | State::Running => {}
        }
    }

    fn announce(&mut self, sent: u8, now: Instant) {
        self.queue(Outgoing::Announcement);
        self.last_multicast = Some(now);
        self.state = State::Announcing(sent + 1, now + ANNOUNCE);
    }

    fn queue(&mut self, outgoing: Outgoing) {
        if self.queue.len() < MAX_QUEUE && !self.queue.contains(&outgoing) {
            self.queue.push_back(outgoing);
        }
    }

    /// A datagram from this link. `ours`: our addresses.
    pub(super) fn handle_datagram(
        &mut self,
        from: SocketAddr,
        bytes: &[u8],
        ours: &[IpAddr],
        now: Instant,
    ) {
        let Ok(message) = Message::from_vec(bytes) else {
            return;
        };
        let Some(name) = self.name() else { return };
        match message.metadata.message_type {
            MessageType::Response => {
                let mut records = message.answers.iter().chain(&message.additionals);
                let other = |record: &Record| {
                    let address = match record.data {
                        RData::A(a) => IpAddr::V4(a.0),
                        RData::AAAA(a) => IpAddr::V6(a.0),
                        _ => return false,
                    };
                    // What we said ourselves comes back; a link-local address of ours is not
                    // known here.
                    same(&record.name, &name)
                        && !ours.contains(&address)
                        && !ours.contains(&from.ip())
                };
                if records.any(other) {
                    self.conflict(now);
                }
            }
            MessageType::Query => self.handle_query(from, &message, &name, ours, now),
        }
    }

    fn handle_query(
        &mut self,
        from: SocketAddr,
        message: &Message,
        name: &Name,
        ours: &[IpAddr],
        now: Instant,
    ) {
        let asked = |query: &&Query| {
            let kind = matches!(
                query.query_type,
                RecordType::A | RecordType::AAAA | RecordType::ANY
            );
            kind && same(&query.name, name)
        };
        let asked: Vec<Query> = message.queries.iter().filter(asked).cloned().collect();
        if asked.is_empty() {
            return;
        }
        if matches!(self.state, State::Probing(..)) {
            // Section 8.2: two probe at once; the one with the lower address gives way.
            let theirs = message.authorities.iter().filter_map(|record| {
                match (same(&record.name, name), &record.data) {
                    (true, RData::A(a)) => Some(IpAddr::V4(a.0)),
                    (_, _) => None,
                }
            });
            let theirs = theirs.max();
            let our_best = ours.iter().filter(|ip| ip.is_ipv4()).max().copied();
            if theirs.is_some() && !ours.contains(&from.ip()) && our_best < theirs {
                self.conflict(now);
            }
            return;
        }
        if from.port() != PORT {
            return self.queue(Outgoing::Legacy(from, message.metadata.id, asked));
        }
        let direct = asked.iter().all(|query| query.mdns_unicast_response);
        let recently = self
            .last_multicast
            .is_some_and(|at| now.saturating_duration_since(at) < MIN_MULTICAST_INTERVAL);
        // A probe for our name is answered whenever it comes.
        if direct {
            self.queue(Outgoing::Direct(from));
        } else if !recently || !message.authorities.is_empty() {
            self.last_multicast = Some(now);
            self.queue(Outgoing::Announcement);
        }
    }

    /// Somebody else has our name.
    fn conflict(&mut self, now: Instant) {
        tracing::info!("another device is {}.local", self.label());
        self.conflicts = self.conflicts.saturating_add(1);
        let wait = if self.conflicts > MANY_CONFLICTS {
            SLOW
        } else {
            Duration::ZERO
        };
        self.queue.clear();
        self.state = State::Probing(0, now + wait);
    }

    /// The next message; `ours`: our addresses.
    pub(super) fn poll_transmit(&mut self, ours: &[IpAddr]) -> Option<(Destination, Vec<u8>)> {
        while let Some(outgoing) = self.queue.pop_front() {
            let Some(name) = self.name() else { continue };
            let mut message = Message::new(0, MessageType::Response, OpCode::Query);
            message.metadata.authoritative = true;
            let destination = match outgoing {
                Outgoing::Probe => {
                    message = Message::new(0, MessageType::Query, OpCode::Query);
                    let mut query = Query::query(name.clone(), RecordType::ANY);
                    query.set_mdns_unicast_response(true);
                    message.add_query(query);
                    for record in records(&name, ours, TTL_S, false) {
                        message.add_authority(record);
                    }
                    Destination::Group
                }
                Outgoing::Announcement => {
                    message.add_answers(records(&name, ours, TTL_S, true));
                    Destination::Group
                }
                Outgoing::Direct(to) => {
                    message.add_answers(records(&name, ours, TTL_S, true));
                    Destination::Unicast(to)
                }
                Outgoing::Legacy(to, id, queries) => {
                    message.metadata.id = id;
                    let any = queries
                        .iter()
                        .any(|query| query.query_type == RecordType::ANY);
                    let wanted = |record: &Record| {
                        any || queries
                            .iter()
                            .any(|query| query.query_type == record.record_type())
                    };
                    let answers = records(&name, ours, LEGACY_TTL_S, false);
                    message.add_answers(answers.into_iter().filter(wanted));
                    message.add_queries(queries.into_iter().map(plain));
                    Destination::Unicast(to)
                }
            };
            if let Ok(bytes) = message.to_vec() {
                return Some((destination, bytes));
            }
        }
        None
    }
}

fn plain(mut query: Query) -> Query {
    query.set_mdns_unicast_response(false);
    query.set_query_class(DNSClass::IN);
    query
}

fn same(a: &Name, b: &Name) -> bool {
    a.to_ascii().eq_ignore_ascii_case(&b.to_ascii())
}

/// Our addresses; `flush`: they replace what others know (section 10.2).
fn records(name: &Name, ours: &[IpAddr], ttl: u32, flush: bool) -> Vec<Record> {
    let record = |address: &IpAddr| {
        let data = match address {
            IpAddr::V4(v4) => RData::A(A(*v4)),
            IpAddr::V6(v6) => RData::AAAA(AAAA(*v6)),
        };
        let mut record = Record::from_rdata(name.clone(), ttl, data);
        record.mdns_cache_flush = flush;
        record
    };
    ours.iter().map(record).collect()
}

#[cfg(test)]
mod tests;
