//! What the phone says on its link about its name, without I/O: it probes for the name, announces
//! it, answers for it, takes another one where somebody else has it, and takes its leave (RFC 6762
//! sections 6 to 10).
//!
//! ```text
//! probe ×3 ─┬ no one answers ─▶ announce ×2 ─▶ answer ─┬ another claims it ─▶ probe again
//!           ├ somebody has it ─▶ the next name         └ the phone ends ────▶ goodbye
//!           └ somebody else probes, and comes first ─▶ probe again after a second
//! ```
//!
//! Whatever a neighbour sends, the work is bounded: names change slowly after many conflicts, an
//! answer to all leaves once a second, answers to one are counted.

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
/// The same where it answers a probe for our name.
const MIN_DEFENCE_INTERVAL: Duration = Duration::from_millis(250);
/// Most answers to single askers within a second.
const MAX_ANSWERS: u32 = 50;
/// Before a name is probed for again after another phone came first (section 8.2).
const LOST_TIE: Duration = Duration::from_secs(1);
/// How often in a row another may come first, before it has the name.
const MAX_LOST_TIES: u8 = 3;
/// After [`MANY_CONFLICTS`], more than a household has phones, the configured name is tried again
/// when this time has passed.
const REGAIN: Duration = Duration::from_secs(600);
/// Most addresses that are announced.
const MAX_ADDRESSES: usize = 16;
/// Longest label of a name (RFC 1035 section 2.3.4).
const MAX_LABEL: usize = 63;

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
    /// The name is ours; where it was taken by force, the configured one is tried again then.
    Running(Option<Instant>),
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
    /// The name is no longer ours (section 10.1).
    Goodbye,
}

/// The state of the name.
#[derive(Debug)]
pub(super) struct Responder {
    /// The name of the configuration.
    host_name: String,
    /// Names taken by others so far.
    conflicts: u32,
    state: State,
    /// How often in a row another phone that probed for the same name came first.
    lost_ties: u8,
    queue: VecDeque<Outgoing>,
    last_multicast: Option<Instant>,
    /// Since when answers to single askers are counted, and how many there were.
    answers: (Instant, u32),
}

impl Responder {
    /// `seed` spreads phones that are switched on together.
    pub(super) fn new(host_name: &str, seed: u64, now: Instant) -> Self {
        let wait = Duration::from_millis(seed % 250);
        Self {
            host_name: host_name.to_ascii_lowercase(),
            conflicts: 0,
            state: State::Probing(0, now + wait),
            lost_ties: 0,
            queue: VecDeque::new(),
            last_multicast: None,
            answers: (now, 0),
        }
    }

    /// `kitchen`, or `kitchen-2` where somebody else is kitchen.
    pub(super) fn label(&self) -> String {
        let suffix = match self.conflicts {
            0 => String::new(),
            conflicts => format!("-{}", conflicts.saturating_add(1)),
        };
        let whole = self.host_name.chars();
        let room = MAX_LABEL.saturating_sub(suffix.len());
        whole.take(room).chain(suffix.chars()).collect()
    }

    fn name(&self) -> Option<Name> {
        Name::from_ascii(format!("{}.local.", self.label())).ok()
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Probing(_, at) | State::Announcing(_, at) => Some(at),
            State::Running(regain) => regain,
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
            State::Announcing(_, at) if at <= now => {
                let forced = self.conflicts > MANY_CONFLICTS;
                self.state = State::Running(forced.then(|| now + REGAIN));
            }
            State::Running(Some(at)) if at <= now => {
                self.conflicts = 0;
                self.state = State::Probing(0, now);
            }
            State::Probing(..) | State::Announcing(..) | State::Running(_) => {}
        }
    }

    /// The phone leaves the link: whoever knows its name is to forget it.
    pub(super) fn say_goodbye(&mut self) {
        self.queue.clear();
        match self.state {
            State::Announcing(..) | State::Running(_) => self.queue(Outgoing::Goodbye),
            State::Probing(..) => {}
        }
    }

    fn announce(&mut self, sent: u8, now: Instant) {
        self.lost_ties = 0;
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
                    // Who says goodbye claims nothing. What we said ourselves comes back; a
                    // link-local address of ours is not known here.
                    record.ttl > 0
                        && record.dns_class == DNSClass::IN
                        && same(&record.name, &name)
                        && !ours.contains(&address)
                        && !ours.contains(&from.ip())
                };
                if records.any(other) {
                    self.handle_claim(now);
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
        let mut asked: Vec<Query> = Vec::new();
        for query in &message.queries {
            let kind = query.query_type;
            let fits = matches!(kind, RecordType::A | RecordType::AAAA | RecordType::ANY)
                && matches!(query.query_class, DNSClass::IN | DNSClass::ANY)
                && same(&query.name, name);
            if fits && asked.iter().all(|other| other.query_type != kind) {
                asked.push(query.clone());
            }
        }
        if asked.is_empty() {
            return;
        }
        // Who probes says what it would answer with.
        let is_probe = !message.authorities.is_empty();
        if matches!(self.state, State::Probing(..)) {
            if !ours.contains(&from.ip()) && loses_tie(&message.authorities, name, ours) {
                self.handle_lost_tie(now);
            }
            return;
        }
        if from.port() != PORT {
            if self.may_answer(now) {
                self.queue(Outgoing::Legacy(from, message.metadata.id, asked));
            }
            return;
        }
        if !is_probe && knows(message, name, ours, &asked) {
            return;
        }
        if asked.iter().all(|query| query.mdns_unicast_response) {
            if self.may_answer(now) {
                self.queue(Outgoing::Direct(from));
            }
            return;
        }
        let interval = if is_probe {
            MIN_DEFENCE_INTERVAL
        } else {
            MIN_MULTICAST_INTERVAL
        };
        let last = self.last_multicast;
        if last.is_none_or(|at| now.saturating_duration_since(at) >= interval) {
            self.last_multicast = Some(now);
            self.queue(Outgoing::Announcement);
        }
    }

    /// Whether one more answer may go to one asker; counts it.
    fn may_answer(&mut self, now: Instant) -> bool {
        let (since, count) = self.answers;
        let over = now.saturating_duration_since(since) >= Duration::from_secs(1);
        self.answers = if over { (now, 1) } else { (since, count + 1) };
        self.answers.1 <= MAX_ANSWERS
    }

    /// Somebody else says that our name is its own.
    fn handle_claim(&mut self, now: Instant) {
        match self.state {
            // Section 9: we had it; whether another has it too is found out by probing again.
            State::Announcing(..) | State::Running(_) => {
                tracing::debug!("another device says that it is {}.local", self.label());
                self.queue.clear();
                self.state = State::Probing(0, now + PROBE);
            }
            // It is not asked for yet: a claim that comes twice, or ahead, decides nothing.
            State::Probing(0, _) => {}
            State::Probing(..) => self.rename(now),
        }
    }

    /// Somebody else probes for the same name, and comes first.
    fn handle_lost_tie(&mut self, now: Instant) {
        match self.state {
            // Our own probe comes later, and so does the tie.
            State::Probing(0, _) => {}
            _ if self.lost_ties >= MAX_LOST_TIES => self.rename(now),
            _ => {
                self.lost_ties += 1;
                self.queue.clear();
                self.state = State::Probing(0, now + LOST_TIE);
            }
        }
    }

    /// Somebody else has our name.
    fn rename(&mut self, now: Instant) {
        if self.conflicts <= MANY_CONFLICTS {
            tracing::info!("another device is {}.local", self.label());
        }
        self.conflicts = self.conflicts.saturating_add(1);
        self.lost_ties = 0;
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
                Outgoing::Goodbye => {
                    message.add_answers(records(&name, ours, 0, true));
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
    ours.iter().take(MAX_ADDRESSES).map(record).collect()
}

/// What counts of a record where two lists of them are compared (section 8.2): its type, then its
/// data. Data of other types than ours decides nothing.
fn order(record: &Record) -> (u16, Vec<u8>) {
    let data = match record.data {
        RData::A(a) => a.0.octets().to_vec(),
        RData::AAAA(a) => a.0.octets().to_vec(),
        _ => Vec::new(),
    };
    (record.record_type().into(), data)
}

/// Whether another that probes for our name with these records comes first.
fn loses_tie(theirs: &[Record], name: &Name, ours: &[IpAddr]) -> bool {
    let in_order = |records: &mut dyn Iterator<Item = (u16, Vec<u8>)>| {
        let mut all: Vec<_> = records.collect();
        all.sort_unstable();
        all
    };
    let named = |record: &&Record| same(&record.name, name) && record.dns_class == DNSClass::IN;
    let theirs = in_order(&mut theirs.iter().filter(named).map(order));
    let ours = in_order(&mut records(name, ours, TTL_S, false).iter().map(order));
    theirs > ours
}

/// Whether the asker knows already what we would answer (section 7.1).
fn knows(message: &Message, name: &Name, ours: &[IpAddr], asked: &[Query]) -> bool {
    let fits = |record: &Record| {
        let mut kinds = asked.iter().map(|query| query.query_type);
        kinds.any(|kind| kind == RecordType::ANY || kind == record.record_type())
    };
    let mut answer = records(name, ours, TTL_S, false).into_iter().filter(fits);
    answer.all(|ours| {
        let is_known = |theirs: &Record| {
            same(&theirs.name, name) && theirs.data == ours.data && theirs.ttl >= TTL_S / 2
        };
        message.answers.iter().any(is_known)
    })
}

#[cfg(test)]
mod tests;
