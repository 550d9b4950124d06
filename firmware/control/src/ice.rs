//! Addresses that work: what STUN and TURN servers say of a stream's sockets (RFC 8489, 8656), and
//! the checks by which two ends find a way to each other (ICE, RFC 8445).
//!
//! ```text
//!                          control thread                                            audio thread
//! sockets open ─▶ IceEndpoints::open ─▶ Gatherer ─▶ Gathered ─▶ SDP (candidates)
//! Negotiated ─▶ agree ─▶ Agent ─▶ Moved ─▶ path ─▶ Command::Redirect ──────────────▶ Stream sends there
//!                  ▲        │ consent lost ─▶ ConsentLost ─▶ Redirect to nowhere, restart by re-INVITE
//!   STUN, TURN of a media socket ─┘ └─▶ poll_transmit ─▶ the same media socket
//!   (sorted by the audio thread)
//! ```
//!
//! Everything here is sans-IO. A stranger's STUN moves nothing: what counts is signed with a
//! password that only signalling carried. Why not a library: docs/decisions/0019.

mod agent;
mod check;
mod checklist;
mod consent;
mod endpoint;
#[cfg(feature = "fuzz")]
pub mod fuzz;
mod gather;
mod selected;
mod servers;
#[cfg(test)]
mod tests;
mod turn;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use media::{PacketKind, Relays, StreamId};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use sip::ice::{AgreedIce, ChosenPath, IceCredentials, LocalIce};

use crate::transmit::Transmit;
use agent::Agent;
use endpoint::{Endpoint, release};
pub(crate) use gather::Wanted;
use gather::{Gatherer, peer_reflexive, seed};
pub(crate) use servers::Servers;
pub use servers::TurnLink;
use turn::TurnClient;

/// How long a call goes on without a path once it had one: a restart takes a second or two.
const GONE: Duration = Duration::from_secs(30);
/// Characters of credentials (RFC 8839 section 5.4); each is six bits.
const ICE_CHARS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const UFRAG: usize = 8;
const PASSWORD: usize = 24;

/// By which way a datagram goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Via {
    /// From the socket to where it is for.
    Direct,
    /// By the TURN server.
    Relay,
}

/// What checks are sent from.
#[derive(Debug, Clone)]
struct Base {
    component: PacketKind,
    via: Via,
    v4: bool,
    priority: u32,
    foundation: String,
}

/// A STUN message that must leave.
#[derive(Debug)]
struct Outgoing {
    component: PacketKind,
    via: Via,
    to: SocketAddr,
    bytes: Vec<u8>,
}

fn component_of(socket: PacketKind) -> u8 {
    match socket {
        PacketKind::Rtp => 1,
        PacketKind::Rtcp => 2,
    }
}

/// What the owner should know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// A stream's addresses are known, as far as they came in time.
    Gathered(StreamId),
    /// A router gave its sockets other addresses than those it gave before.
    Remapped(StreamId),
    /// Its way is chosen for good, and this end leads: see [`IceEndpoints::chosen_path`].
    Chosen(StreamId),
    /// Its packets go another way: see [`IceEndpoints::path`].
    Moved(StreamId),
    /// No way to its far end was found.
    Failed(StreamId),
    /// Its far end no longer wants our packets; a restart may find another way.
    ConsentLost(StreamId),
    /// No way was found since.
    Gone(StreamId),
}

/// Where a stream's packets go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Path {
    pub(crate) rtp: Option<SocketAddr>,
    pub(crate) rtcp: Option<SocketAddr>,
    pub(crate) relays: Relays,
}

/// Every stream's addresses and checks.
pub(crate) struct IceEndpoints {
    endpoints: Vec<Endpoint>,
    /// What is sent for streams that are over.
    last: VecDeque<Transmit>,
    rng: ChaCha20Rng,
}

impl IceEndpoints {
    pub(crate) fn new(seed: [u8; 32]) -> Self {
        Self {
            endpoints: Vec::new(),
            last: VecDeque::new(),
            rng: ChaCha20Rng::from_seed(seed),
        }
    }

    /// A stream's sockets are open: asks for its addresses, unless the same was asked already.
    /// Whether they are known at once; otherwise [`Event::Gathered`] follows.
    pub(crate) fn open(
        &mut self,
        stream: StreamId,
        sockets: [SocketAddr; 2],
        wanted: Wanted,
        now: Instant,
    ) -> bool {
        let mut endpoints = self.endpoints.iter();
        let known = endpoints.find(|endpoint| endpoint.stream == stream);
        if let Some(known) = known.filter(|known| known.gatherer.asks(sockets, &wanted)) {
            return known.gatherer.is_done();
        }
        let gatherer = Gatherer::new(sockets, wanted, &mut self.rng, now);
        let done = gatherer.is_done();
        self.close(stream, now);
        let credentials = self.new_credentials();
        let mut endpoint = Endpoint {
            stream,
            gatherer,
            gathered_reported: done,
            credentials,
            agent: None,
            muxed: false,
            before: None,
            reported: Path::default(),
            chosen: None,
            had_path: false,
            lost: None,
            events: VecDeque::new(),
            outgoing: VecDeque::new(),
        };
        endpoint.collect(now);
        self.endpoints.push(endpoint);
        done
    }

    /// A stream's call cannot wait for a server: it goes on within half a second, whatever is known
    /// then.
    pub(crate) fn hurry(&mut self, stream: StreamId, now: Instant) {
        if let Some(endpoint) = self.get(stream) {
            endpoint.gatherer.hurry(now);
        }
    }

    /// Asks again: the network changed. Checks that run go on until the far end agrees to others.
    pub(crate) fn reopen(&mut self, stream: StreamId, wanted: Wanted, now: Instant) -> bool {
        let (seed, credentials) = (seed(&mut self.rng), self.new_credentials());
        let Some(endpoint) = self.get(stream) else {
            return true;
        };
        let sockets = endpoint.gatherer.sockets;
        let mut rng = ChaCha20Rng::from_seed(seed);
        for (socket, client) in [PacketKind::Rtp, PacketKind::Rtcp]
            .into_iter()
            .zip(&mut endpoint.gatherer.turn)
        {
            release(stream, socket, client.take(), &mut endpoint.outgoing, now);
        }
        endpoint.gatherer = Gatherer::new(sockets, wanted, &mut rng, now);
        endpoint.gathered_reported = endpoint.gatherer.is_done();
        endpoint.credentials = credentials;
        endpoint.collect(now);
        endpoint.gatherer.is_done()
    }

    fn new_credentials(&mut self) -> IceCredentials {
        let mut word = |length| {
            let letters = (0..length).map(|_| {
                let index = (self.rng.next_u32() & 63) as usize;
                char::from(ICE_CHARS[index])
            });
            letters.collect::<String>()
        };
        IceCredentials {
            ufrag: word(UFRAG),
            password: word(PASSWORD),
        }
    }

    fn get(&mut self, stream: StreamId) -> Option<&mut Endpoint> {
        let mut endpoints = self.endpoints.iter_mut();
        endpoints.find(|endpoint| endpoint.stream == stream)
    }

    /// Where a stream's sockets are to be reached by a far end without ICE. `outside`: it is beyond
    /// our router.
    pub(crate) fn default_addresses(
        &self,
        stream: StreamId,
        outside: bool,
    ) -> Option<(SocketAddr, SocketAddr)> {
        let mut endpoints = self.endpoints.iter();
        let gatherer = &endpoints
            .find(|endpoint| endpoint.stream == stream)?
            .gatherer;
        let address = |socket| gatherer.default_address(socket, outside);
        Some((address(PacketKind::Rtp), address(PacketKind::Rtcp)))
    }

    /// What our descriptions say of ICE. `offered`: our offers have it; the far end's checks may
    /// then come before its answer.
    pub(crate) fn local(
        &mut self,
        stream: StreamId,
        offered: bool,
        now: Instant,
    ) -> Option<LocalIce> {
        let rng = ChaCha20Rng::from_seed(seed(&mut self.rng));
        let endpoint = self.get(stream)?;
        let credentials = endpoint.credentials.clone();
        if offered && endpoint.agent.is_none() {
            let bases = endpoint.gatherer.bases();
            endpoint.agent = Some(Agent::new(credentials.clone(), bases, rng, now));
        }
        Some(LocalIce {
            credentials,
            candidates: endpoint.gatherer.candidates(),
            offered,
        })
    }

    /// Signalling agreed, for the first time or again; `None`: on a call without ICE. `muxed`: RTP
    /// and RTCP share one port.
    pub(crate) fn agree(
        &mut self,
        stream: StreamId,
        agreed: Option<&AgreedIce>,
        muxed: bool,
        now: Instant,
    ) {
        let rng = ChaCha20Rng::from_seed(seed(&mut self.rng));
        let Some(endpoint) = self.get(stream) else {
            return;
        };
        let Some(agreed) = agreed else {
            endpoint.agent = None;
            endpoint.reported = Path::default();
            endpoint.before = None;
            endpoint.had_path = false;
            endpoint.lost = None;
            return;
        };
        let role = endpoint.agent.as_ref().and_then(Agent::role);
        if !endpoint
            .agent
            .as_ref()
            .is_some_and(|agent| agent.is_for(agreed))
        {
            // Another far end, or a restart: the path in use stays so until another is found.
            let path = endpoint.path();
            endpoint.before = path.rtp.is_some().then_some(path);
            endpoint.agent = Some(Agent::new(
                agreed.local.clone(),
                endpoint.gatherer.bases(),
                rng,
                now,
            ));
        }
        endpoint.muxed = muxed;
        for candidate in &agreed.candidates {
            let turn = match candidate.component {
                1 => &mut endpoint.gatherer.turn[0],
                _ => &mut endpoint.gatherer.turn[1],
            };
            if let Some(turn) = turn {
                turn.permit(candidate.address.ip(), now);
            }
        }
        if let Some(agent) = &mut endpoint.agent {
            let controlling = role.unwrap_or(agreed.offered_by_us);
            agent.begin(agreed, controlling, muxed, now);
        }
        endpoint.collect(now);
    }

    /// The stream is over.
    pub(crate) fn close(&mut self, stream: StreamId, now: Instant) {
        let index = self
            .endpoints
            .iter()
            .position(|known| known.stream == stream);
        if let Some(index) = index {
            let endpoint = self.endpoints.swap_remove(index);
            let sockets = [PacketKind::Rtp, PacketKind::Rtcp].into_iter();
            for (socket, client) in sockets.zip(endpoint.gatherer.turn) {
                release(stream, socket, client, &mut self.last, now);
            }
        }
    }

    /// Whether a stream's packets go by what checks find.
    pub(crate) fn is_active(&self, stream: StreamId) -> bool {
        let mut endpoints = self.endpoints.iter();
        endpoints.any(|endpoint| endpoint.stream == stream && endpoint.agent.is_some())
    }

    /// Where a stream's packets go by what checks found; nowhere before.
    pub(crate) fn path(&self, stream: StreamId) -> Path {
        let mut endpoints = self.endpoints.iter();
        endpoints
            .find(|endpoint| endpoint.stream == stream)
            .map(Endpoint::path)
            .unwrap_or_default()
    }

    /// The way that checks chose for good, where this end leads them.
    pub(crate) fn chosen_path(&self, stream: StreamId) -> Option<ChosenPath> {
        let mut endpoints = self.endpoints.iter();
        endpoints.find(|endpoint| endpoint.stream == stream)?.chosen
    }

    /// A STUN message, or what came by a TURN channel. What is DTLS in it, with the socket it came
    /// to, and whether by the far end that checks go to.
    pub(crate) fn handle_datagram(
        &mut self,
        stream: StreamId,
        socket: PacketKind,
        from: SocketAddr,
        bytes: &[u8],
        now: Instant,
    ) -> Option<Vec<u8>> {
        let endpoint = self.get(stream)?;
        let inner = endpoint.handle(socket, from, bytes, now);
        endpoint.collect(now);
        inner
    }

    /// Sends a datagram that is no STUN by the path in use.
    pub(crate) fn send_by_path(&mut self, datagram: &mut Transmit) -> bool {
        let Some(endpoint) = self.get(datagram.stream) else {
            return false;
        };
        let to = match datagram.socket {
            PacketKind::Rtp => endpoint.path().rtp,
            PacketKind::Rtcp => endpoint.path().rtcp,
        };
        let Some(to) = to else { return false };
        datagram.to = to;
        let relay = endpoint.path().relays.of(datagram.socket);
        let turn = match datagram.socket {
            PacketKind::Rtp => &mut endpoint.gatherer.turn[0],
            PacketKind::Rtcp => &mut endpoint.gatherer.turn[1],
        };
        if let (Some(relay), Some(turn)) = (relay, turn) {
            datagram.bytes = turn.wrap(to, &datagram.bytes);
            datagram.to = relay.server;
        }
        true
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        for endpoint in &mut self.endpoints {
            let agent = endpoint.agent.as_ref();
            let in_use = agent.is_some_and(|agent| agent.path(PacketKind::Rtp).is_some());
            endpoint.gatherer.handle_timeout(in_use, now);
            for client in endpoint.gatherer.turn.iter_mut().flatten() {
                client.handle_timeout(now);
            }
            if let Some(agent) = &mut endpoint.agent {
                agent.handle_timeout(now);
            }
            if endpoint.lost.is_some_and(|since| since + GONE <= now) {
                endpoint.lost = None;
                endpoint.events.push_back(Event::Gone(endpoint.stream));
            }
            endpoint.collect(now);
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let of = |endpoint: &Endpoint| {
            let turn = endpoint.gatherer.turn.iter().flatten();
            [
                endpoint.gatherer.poll_timeout(),
                turn.filter_map(TurnClient::poll_timeout).min(),
                endpoint.agent.as_ref().and_then(Agent::poll_timeout),
                endpoint.lost.map(|since| since + GONE),
            ]
            .into_iter()
            .flatten()
            .min()
        };
        self.endpoints.iter().filter_map(of).min()
    }

    /// What must leave; call until `None`.
    pub(crate) fn poll_transmit(&mut self) -> Option<Transmit> {
        let mut endpoints = self.endpoints.iter_mut();
        let next = endpoints.find_map(|endpoint| endpoint.outgoing.pop_front());
        next.or_else(|| self.last.pop_front())
    }

    /// What the owner should know; call until `None`.
    pub(crate) fn poll_event(&mut self) -> Option<Event> {
        let mut endpoints = self.endpoints.iter_mut();
        endpoints.find_map(|endpoint| endpoint.events.pop_front())
    }

    /// Streams whose addresses were asked for.
    pub(crate) fn len(&self) -> usize {
        self.endpoints.len()
    }
}
