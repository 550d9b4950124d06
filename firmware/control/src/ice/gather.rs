//! Finding out by which addresses one stream's sockets may be reached (RFC 8445 section 5.1).
//!
//! ```text
//! both sockets: Binding ─▶ STUN server ─▶ mapped address      Allocate ─▶ TURN server ─▶ relayed address
//!       all answered, or 500 ms ─▶ candidates, default addresses
//!       every 15 s while no checked way is in use: Binding again ─▶ still the same?
//! ```

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use media::PacketKind;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use sip::ice::{Candidate, CandidateKind};

use super::turn::{TurnClient, TurnServer};
use super::{Base, Via, component_of};
use crate::stun::{Class, Message, Method, TransactionId, Writer};

/// The longest a call waits for its addresses.
pub(crate) const LONGEST: Duration = Duration::from_millis(500);
/// The same with a TURN server over TCP or TLS, whose handshakes come first.
const LONGEST_BY_STREAM: Duration = Duration::from_millis(1500);
/// When a question is repeated, after it was first asked.
const REPEATS: [Duration; 3] = [
    Duration::from_millis(100),
    Duration::from_millis(220),
    Duration::from_millis(360),
];

/// How often a server is asked again (RFC 8445 section 11): routers forget in 30 s, and a call may
/// ring for a minute.
pub(super) const KEEPALIVE: Duration = Duration::from_secs(15);

/// A router that forgot one socket forgot the other, too: both are reported together.
const TOGETHER: Duration = Duration::from_millis(200);

/// Type preferences (section 5.1.2.2).
const HOST: u32 = 126;
const PEER_REFLEXIVE: u32 = 110;
const SERVER_REFLEXIVE: u32 = 100;
const RELAYED: u32 = 0;

/// What is asked for a stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Our addresses, the first one the one for whoever is not known.
    pub(crate) hosts: Vec<IpAddr>,
    /// What a router with static NAT makes of them.
    pub(crate) external: Option<IpAddr>,
    /// At most one of each family.
    pub(crate) stun: Vec<SocketAddr>,
    pub(crate) turn: Option<TurnServer>,
}

/// A question to a STUN server.
#[derive(Debug)]
struct Question {
    socket: PacketKind,
    server: SocketAddr,
    id: TransactionId,
    sends: usize,
    mapped: Option<SocketAddr>,
    /// It is asked once more, to keep the router's mapping.
    again: bool,
}

/// The addresses of one stream's sockets.
#[derive(Debug)]
pub(super) struct Gatherer {
    /// What was wanted, before what cannot be reached was left out.
    asked: Wanted,
    wanted: Wanted,
    /// Of RTP and RTCP.
    pub(super) sockets: [SocketAddr; 2],
    questions: Vec<Question>,
    pub(super) turn: [Option<TurnClient>; 2],
    began: Instant,
    longest: Duration,
    is_done: bool,
    next_keepalive: Option<Instant>,
    /// A router gave a socket another address: when that is reported.
    remapped: Option<Instant>,
    rng: ChaCha20Rng,
}

const SOCKETS: [PacketKind; 2] = [PacketKind::Rtp, PacketKind::Rtcp];

fn index_of(socket: PacketKind) -> usize {
    usize::from(socket == PacketKind::Rtcp)
}

impl Gatherer {
    pub(super) fn new(
        sockets: [SocketAddr; 2],
        mut wanted: Wanted,
        rng: &mut ChaCha20Rng,
        now: Instant,
    ) -> Self {
        let asked = wanted.clone();
        let bound = sockets[0].ip();
        if !bound.is_unspecified() {
            wanted.hosts = vec![bound];
        } else if bound.is_ipv4() {
            wanted.hosts.retain(IpAddr::is_ipv4);
        }
        let reaches = |server: &SocketAddr| {
            let mut hosts = wanted.hosts.iter();
            hosts.any(|host| host.is_ipv4() == server.is_ipv4())
        };
        let mut questions = Vec::new();
        for socket in SOCKETS {
            for server in wanted.stun.iter().filter(|server| reaches(server)) {
                let mut id = [0; 12];
                rng.fill_bytes(&mut id);
                questions.push(Question {
                    socket,
                    server: *server,
                    id: TransactionId(id),
                    sends: 0,
                    mapped: None,
                    again: false,
                });
            }
        }
        let server = wanted.turn.as_ref();
        let server = server.filter(|turn| turn.by_stream || reaches(&turn.address));
        let longest = match server {
            Some(server) if server.by_stream => LONGEST_BY_STREAM,
            Some(_) | None => LONGEST,
        };
        let turn = SOCKETS.map(|_| {
            let rng = ChaCha20Rng::from_seed(seed(rng));
            server.map(|server| TurnClient::new(server.clone(), rng, now))
        });
        let is_done = questions.is_empty() && server.is_none();
        Self {
            next_keepalive: (!questions.is_empty()).then_some(now + KEEPALIVE),
            remapped: None,
            rng: ChaCha20Rng::from_seed(seed(rng)),
            asked,
            wanted,
            sockets,
            questions,
            turn,
            began: now,
            longest,
            is_done,
        }
    }

    /// Whether this is what it asks.
    pub(super) fn asks(&self, sockets: [SocketAddr; 2], wanted: &Wanted) -> bool {
        self.sockets == sockets && self.asked == *wanted
    }

    /// It ends within half a second from now.
    pub(super) fn hurry(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.began);
        self.longest = self.longest.min(elapsed + LONGEST);
    }

    /// Whether there is nothing to wait for any more.
    pub(super) fn is_done(&self) -> bool {
        self.is_done
    }

    /// A message that came from a server. Whether it is one of ours.
    pub(super) fn handle_message(
        &mut self,
        message: &Message<'_>,
        socket: PacketKind,
        from: SocketAddr,
        now: Instant,
    ) -> bool {
        let question = self.questions.iter_mut().find(|question| {
            (question.id, question.socket, question.server) == (message.id, socket, from)
        });
        let answered = message.method == Method::Binding && message.class == Class::Success;
        if let Some(question) = question.filter(|_| answered) {
            let mapped = message.mapped_address();
            let server = question.server;
            if !mapped.is_some_and(|mapped| is_credible(mapped, server)) {
                // What it says is no one's address: it is not asked again.
                let id = question.id;
                self.questions.retain(|question| question.id != id);
                self.finish(now);
                return true;
            }
            if self.is_done {
                // What was not known in time is no change, and no news for who has our offer.
                if question.mapped.is_some() && question.mapped != mapped {
                    self.remapped.get_or_insert(now + TOGETHER);
                }
                question.mapped = mapped;
            } else {
                question.mapped = question.mapped.or(mapped);
            }
            self.finish(now);
            return true;
        }
        false
    }

    /// Looks whether everything is answered, or the time is over.
    pub(super) fn finish(&mut self, now: Instant) {
        let waits = self
            .questions
            .iter()
            .any(|question| question.mapped.is_none())
            || self.turn.iter().flatten().any(TurnClient::is_asking);
        if !waits || self.began + self.longest <= now {
            self.is_done = true;
        }
    }

    /// `in_use`: checks have found a way and keep it open.
    pub(super) fn handle_timeout(&mut self, in_use: bool, now: Instant) {
        if !self.is_done {
            self.finish(now);
        }
        if self.next_keepalive.is_some_and(|at| at <= now) {
            self.next_keepalive = Some(now + KEEPALIVE);
            for question in self.questions.iter_mut().filter(|_| !in_use) {
                self.rng.fill_bytes(&mut question.id.0);
                question.again = true;
            }
        }
    }

    /// Whether a router gave one of the sockets another address, once.
    pub(super) fn take_remapped(&mut self, now: Instant) -> bool {
        self.remapped.take_if(|at| *at <= now).is_some()
    }

    /// A question to be asked now.
    pub(super) fn poll_question(
        &mut self,
        now: Instant,
    ) -> Option<(PacketKind, SocketAddr, Vec<u8>)> {
        let elapsed = now.saturating_duration_since(self.began);
        let due = 1 + REPEATS.iter().filter(|at| **at <= elapsed).count();
        let done = self.is_done;
        let mut questions = self.questions.iter_mut();
        let question = questions.find(|question| {
            question.again || !done && question.mapped.is_none() && question.sends < due
        })?;
        if !std::mem::take(&mut question.again) {
            question.sends = if question.sends == 0 { 1 } else { due };
        }
        let bytes = Writer::new(Method::Binding, Class::Request, question.id).finish(None);
        Some((question.socket, question.server, bytes))
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        if self.is_done {
            return self.next_keepalive.into_iter().chain(self.remapped).min();
        }
        let sent = self
            .questions
            .iter()
            .filter(|question| question.mapped.is_none());
        let repeats = sent.filter_map(|question| {
            let at = REPEATS.get(question.sends.saturating_sub(1))?;
            Some(self.began + *at)
        });
        repeats.chain([self.began + self.longest]).min()
    }

    fn mapped(&self, socket: PacketKind) -> impl Iterator<Item = SocketAddr> {
        let asked = self
            .questions
            .iter()
            .filter(move |asked| asked.socket == socket);
        let turn = self.turn[index_of(socket)].as_ref();
        asked
            .filter_map(|asked| asked.mapped)
            .chain(turn.and_then(TurnClient::mapped))
    }

    /// The default destination of a socket: as seen from outside where it is for someone there.
    pub(super) fn default_address(&self, socket: PacketKind, outside: bool) -> SocketAddr {
        let port = self.sockets[index_of(socket)].port();
        let own = self.wanted.hosts.first().copied();
        let own = own.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let same_family = |ip: &IpAddr| ip.is_ipv4() == own.is_ipv4();
        let external = self.wanted.external.filter(same_family);
        let external = external.map(|ip| SocketAddr::new(ip, port));
        let mapped = self.mapped(socket).find(|mapped| same_family(&mapped.ip()));
        external
            .or(mapped)
            .filter(|_| outside)
            .unwrap_or(SocketAddr::new(own, port))
    }

    /// Everything we may be reached by.
    pub(super) fn candidates(&self) -> Vec<Candidate> {
        let mut candidates = Vec::new();
        for socket in SOCKETS {
            self.candidates_of(socket, &mut candidates);
        }
        candidates
    }

    fn candidates_of(&self, socket: PacketKind, all: &mut Vec<Candidate>) {
        let component = component_of(socket);
        let port = self.sockets[index_of(socket)].port();
        let mut add = |kind, address: SocketAddr, related, foundation: String, preference| {
            let known = |c: &Candidate| c.component == component && c.address == address;
            if !all.iter().any(known) {
                all.push(Candidate {
                    foundation,
                    component,
                    priority: priority(kind, preference, component),
                    address,
                    kind,
                    related,
                });
            }
        };
        for (index, host) in self.wanted.hosts.iter().enumerate() {
            let address = SocketAddr::new(*host, port);
            add(
                CandidateKind::Host,
                address,
                None,
                format!("h{index}"),
                index,
            );
        }
        let base = |of: SocketAddr| {
            let mut hosts = self.wanted.hosts.iter();
            let host = hosts.find(|host| host.is_ipv4() == of.is_ipv4())?;
            Some(SocketAddr::new(*host, port))
        };
        let external = self.wanted.external.map(|ip| SocketAddr::new(ip, port));
        for (index, mapped) in external.into_iter().chain(self.mapped(socket)).enumerate() {
            let kind = CandidateKind::ServerReflexive;
            add(kind, mapped, base(mapped), format!("s{index}"), index);
        }
        if let Some(client) = &self.turn[index_of(socket)] {
            for (index, relayed) in client.relayed().enumerate() {
                let kind = CandidateKind::Relayed;
                add(kind, relayed, client.mapped(), format!("r{index}"), index);
            }
        }
    }

    /// What checks are sent from: the best host candidate of each family, and the TURN server.
    pub(super) fn bases(&self) -> Vec<Base> {
        let mut bases: Vec<Base> = Vec::new();
        for candidate in self.candidates() {
            let via = match candidate.kind {
                CandidateKind::Host => Via::Direct,
                CandidateKind::Relayed => Via::Relay,
                CandidateKind::ServerReflexive | CandidateKind::PeerReflexive => continue,
            };
            let component = if candidate.component == 1 {
                PacketKind::Rtp
            } else {
                PacketKind::Rtcp
            };
            let v4 = candidate.address.is_ipv4();
            let known = bases
                .iter()
                .any(|base| (base.component, base.via, base.v4) == (component, via, v4));
            if !known {
                bases.push(Base {
                    component,
                    via,
                    v4,
                    priority: candidate.priority,
                    foundation: candidate.foundation,
                });
            }
        }
        bases
    }
}

/// Whether a far end could send to what a server says our address is: others it could not be, and
/// some mean another thing in a description (0.0.0.0 holds a call, RFC 3264 section 8.4).
fn is_credible(mapped: SocketAddr, server: SocketAddr) -> bool {
    let ip = mapped.ip().to_canonical();
    let broadcast = ip == IpAddr::V4(Ipv4Addr::BROADCAST);
    let is_host = !ip.is_unspecified() && !ip.is_multicast() && !broadcast && mapped.port() != 0;
    is_host && ip.is_loopback() == server.ip().is_loopback() && ip.is_ipv4() == server.is_ipv4()
}

/// Section 5.1.2.1. `index`: of those of its kind.
fn priority(kind: CandidateKind, index: usize, component: u8) -> u32 {
    let of_kind = match kind {
        CandidateKind::Host => HOST,
        CandidateKind::PeerReflexive => PEER_REFLEXIVE,
        CandidateKind::ServerReflexive => SERVER_REFLEXIVE,
        CandidateKind::Relayed => RELAYED,
    };
    let local = 65_535 - (index.min(255) as u32);
    (of_kind << 24) + (local << 8) + (256 - u32::from(component))
}

/// The priority a check names: that of a peer-reflexive candidate learnt from it (section 7.1.1).
pub(super) fn peer_reflexive(priority: u32) -> u32 {
    (PEER_REFLEXIVE << 24) | (priority & 0x00FF_FFFF)
}

pub(super) fn seed(rng: &mut ChaCha20Rng) -> [u8; 32] {
    let mut seed = [0; 32];
    rng.fill_bytes(&mut seed);
    seed
}
