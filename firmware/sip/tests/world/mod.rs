//! Agents and scripted peers on one network under virtual time, in the manner of quinn-proto's
//! `Pair`.
//!
//! ```text
//! phone ─ poll_transmit ─▶ lost? ─▶ queue (latency) ─▶ handle_datagram ─▶ phone
//!                                                    └▶ inbox ─▶ the test, which answers as it likes
//! ```
#![expect(dead_code, reason = "each test program uses its own part")]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use sip::agent::{AgentConfig, Counters, Tables};
use sip::message::{Message, Method, Request, Response};
use sip::offer_answer::LocalMedia;
use sip::{AccountConfig, CallHandle, ConnectionId, Event, Flow, Target, UserAgent};
use testkit::network::{Datagram, Link, Network};
use types::Codec;

mod peer;

pub(crate) use peer::*;

/// One agent with its address and the events it gave its owner.
pub(crate) struct Phone {
    pub(crate) agent: UserAgent,
    pub(crate) address: SocketAddr,
    pub(crate) events: VecDeque<Event>,
}

/// Something under way.
#[derive(Debug, Clone)]
pub(crate) enum Packet {
    Datagram(Datagram),
    Stream { to: Side, bytes: Vec<u8> },
    Opened { to: Side, remote: SocketAddr },
    Closed { to: Side },
}

impl testkit::network::Packet for Packet {
    // One path serves all: every packet of these tests takes the same time.
    fn source(&self) -> IpAddr {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED)
    }
    fn destination(&self) -> IpAddr {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED)
    }
    fn is_reliable(&self) -> bool {
        !matches!(self, Self::Datagram(_))
    }
    fn datagram(&self) -> Option<&Datagram> {
        match self {
            Self::Datagram(datagram) => Some(datagram),
            Self::Stream { .. } | Self::Opened { .. } | Self::Closed { .. } => None,
        }
    }
}

/// One end of a TCP connection: whose, and the number it has there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Side {
    pub(crate) phone: usize,
    pub(crate) connection: ConnectionId,
}

type Loss = Box<dyn FnMut(&Message) -> bool>;

/// The network and all that hangs on it.
pub(crate) struct World {
    pub(crate) now: Instant,
    pub(crate) start: Instant,
    pub(crate) phones: Vec<Phone>,
    /// What arrived at addresses that are no phone's: from, to, message.
    pub(crate) inbox: VecDeque<(SocketAddr, SocketAddr, Message)>,
    pub(crate) names: HashMap<String, Vec<Target>>,
    pub(crate) latency: Duration,
    /// Which messages never arrive.
    pub(crate) loses: Loss,
    /// Whether phones listen on TCP.
    pub(crate) tcp: bool,
    network: Network<Packet>,
    /// Counts connections, so that each has its own number and port.
    opened: u64,
    pairs: HashMap<Side, Side>,
    /// Every message sent: seconds since the start, start line.
    pub(crate) log: Vec<(f64, String)>,
}

pub(crate) fn media(port: u16) -> LocalMedia {
    LocalMedia {
        rtp: SocketAddr::new([0, 0, 0, 0].into(), port),
        rtcp: SocketAddr::new([0, 0, 0, 0].into(), port + 1),
        codecs: vec![Codec::Opus, Codec::G722, Codec::Pcmu, Codec::Pcma],
        ptime_ms: 20,
        dtmf: true,
        opus: types::OpusFormat::default(),
        comfort_noise: false,
        rtcp_xr: false,
        media_security: sip::media_security::MediaSecurity::default(),
        ice: None,
        owner_moves: false,
    }
}

/// One address for every far end.
pub(crate) fn own(address: &str) -> sip::LocalAddresses {
    address.parse::<SocketAddr>().unwrap().into()
}

pub(crate) fn config(user: &str, local: &str, seed: u8) -> AgentConfig {
    AgentConfig {
        user: user.into(),
        user_agent: "Offhook/test".into(),
        ring_limit: Duration::from_secs(300),
        direct_calls: true,
        direct_callers: sip::DirectCallers::Everyone,
        codecs: vec![Codec::Opus, Codec::G722, Codec::Pcmu, Codec::Pcma],
        ..AgentConfig::new(own(local), [seed; 32])
    }
}

pub(crate) fn account(user: &str, domain: &str, password: &str) -> AccountConfig {
    AccountConfig {
        expires_s: 600,
        ..AccountConfig::new(user, domain, password)
    }
}

impl World {
    /// What each message of the log begins with: method, or status line.
    pub(crate) fn first_words(&self) -> Vec<&str> {
        self.log
            .iter()
            .map(|(_, line)| line.split(" sip").next().unwrap())
            .collect()
    }

    #[expect(clippy::disallowed_methods, reason = "some instant to count from")]
    pub(crate) fn new(configs: Vec<AgentConfig>) -> Self {
        let start = Instant::now();
        let phones = configs
            .into_iter()
            .map(|config| Phone {
                address: config.local.primary(),
                agent: UserAgent::new(config, start),
                events: VecDeque::new(),
            })
            .collect();
        Self {
            now: start,
            start,
            phones,
            inbox: VecDeque::new(),
            names: HashMap::new(),
            latency: Duration::from_millis(10),
            loses: Box::new(|_| false),
            tcp: true,
            network: Network::new(1),
            opened: 0,
            pairs: HashMap::new(),
            log: Vec::new(),
        }
    }

    /// Two phones that call each other directly.
    pub(crate) fn pair() -> Self {
        Self::new(vec![
            config("alice", "192.0.2.1:5060", 1),
            config("bob", "192.0.2.2:5060", 2),
        ])
    }

    /// One phone, and the test as the rest of the world.
    pub(crate) fn alone() -> Self {
        Self::new(vec![config("alice", "192.0.2.1:5060", 1)])
    }

    /// One phone and the scripted peer, whom its owner has listed.
    pub(crate) fn with_listed_peer() -> Self {
        let mut config = config("alice", "192.0.2.1:5060", 1);
        peer_is_listed(&mut config);
        Self::new(vec![config])
    }

    fn push(&mut self, packet: Packet) {
        self.network.set_default(Link {
            delay: self.latency,
            keep_order: false,
            ..Link::default()
        });
        self.network.send(packet, self.now - self.start);
    }

    /// Lets a phone say what it has to say.
    pub(crate) fn drain(&mut self) {
        for index in 0..self.phones.len() {
            loop {
                let phone = &mut self.phones[index];
                if let Some(transmit) = phone.agent.poll_transmit() {
                    let from = phone.address;
                    let text = String::from_utf8_lossy(&transmit.bytes);
                    let line = text.lines().next().unwrap_or_default().to_owned();
                    self.log.push(((self.now - self.start).as_secs_f64(), line));
                    if Message::parse(&transmit.bytes).is_ok_and(|message| (self.loses)(&message)) {
                        continue;
                    }
                    match transmit.flow {
                        Flow::Udp { remote } => self.push(Packet::Datagram(Datagram {
                            from,
                            to: remote,
                            bytes: transmit.bytes,
                        })),
                        Flow::Tcp { connection, .. } | Flow::Tls { connection, .. } => {
                            if let Some(to) = self
                                .pairs
                                .get(&Side {
                                    phone: index,
                                    connection,
                                })
                                .copied()
                            {
                                self.push(Packet::Stream {
                                    to,
                                    bytes: transmit.bytes,
                                });
                            }
                        }
                    }
                } else if let Some(event) = phone.agent.poll_event() {
                    match event {
                        Event::Connect {
                            connection, remote, ..
                        } => self.connect(
                            Side {
                                phone: index,
                                connection,
                            },
                            remote,
                        ),
                        Event::Close(connection) => self.close(Side {
                            phone: index,
                            connection,
                        }),
                        Event::Lookup(lookup) => {
                            let targets = self.names.get(&lookup.host).cloned().unwrap_or_default();
                            phone.agent.handle_lookup(lookup.id, &targets, self.now);
                        }
                        Event::Redirect { call, ref user, .. } => {
                            let allowed = user != "barred";
                            phone.agent.decide_redirection(call, allowed, self.now);
                        }
                        event => phone.events.push_back(event),
                    }
                } else {
                    break;
                }
            }
        }
    }

    fn connect(&mut self, side: Side, remote: SocketAddr) {
        let found = self
            .phones
            .iter()
            .position(|phone| phone.address == remote)
            .filter(|_| self.tcp);
        match found {
            Some(phone) => {
                self.opened += 1;
                let other = Side {
                    phone,
                    connection: ConnectionId(1_000_000 + self.opened),
                };
                self.pairs.insert(side, other);
                self.pairs.insert(other, side);
                let near = SocketAddr::new(
                    self.phones[side.phone].address.ip(),
                    40_000 + (self.opened % 1000) as u16,
                );
                self.push(Packet::Opened {
                    to: other,
                    remote: near,
                });
                self.push(Packet::Opened { to: side, remote });
            }
            None => self.push(Packet::Closed { to: side }),
        }
    }

    /// Breaks a connection: the other end learns of it.
    pub(crate) fn close(&mut self, side: Side) {
        if let Some(other) = self.pairs.remove(&side) {
            self.pairs.remove(&other);
            self.push(Packet::Closed { to: other });
        }
    }

    /// How many connections stand.
    pub(crate) fn connections(&self) -> usize {
        self.pairs.len() / 2
    }

    /// Breaks every connection, for both ends.
    pub(crate) fn break_connections(&mut self) {
        let all: Vec<Side> = self.pairs.drain().map(|(side, _)| side).collect();
        for to in all {
            self.push(Packet::Closed { to });
        }
    }

    /// Runs until this much time has passed.
    pub(crate) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            self.drain();
            let packet = self.network.next_arrival().map(|at| self.start + at);
            let timer = self
                .phones
                .iter()
                .filter_map(|phone| phone.agent.poll_timeout())
                .min();
            let Some(next) = [packet, timer]
                .into_iter()
                .flatten()
                .min()
                .filter(|at| *at <= end)
            else {
                break;
            };
            self.now = next.max(self.now);
            if timer.is_some_and(|at| at <= self.now) {
                for phone in &mut self.phones {
                    phone.agent.handle_timeout(self.now);
                }
                self.drain();
            }
            while let Some(packet) = self.network.pop_due(self.now - self.start) {
                self.deliver(packet);
                self.drain();
            }
        }
        self.now = end;
    }

    fn deliver(&mut self, packet: Packet) {
        let now = self.now;
        match packet {
            Packet::Datagram(Datagram { from, to, bytes }) => {
                match self.phones.iter_mut().find(|phone| phone.address == to) {
                    Some(phone) => phone.agent.handle_datagram(from, &bytes, now),
                    None => {
                        if let Ok(message) = Message::parse(&bytes) {
                            self.inbox.push_back((from, to, message));
                        }
                    }
                }
            }
            Packet::Stream { to, bytes } => {
                self.phones[to.phone]
                    .agent
                    .handle_stream(to.connection, &bytes, now);
            }
            Packet::Opened { to, remote } => {
                self.phones[to.phone]
                    .agent
                    .handle_connected(to.connection, remote, now);
            }
            Packet::Closed { to } => self.phones[to.phone]
                .agent
                .handle_closed(to.connection, now),
        }
    }

    pub(crate) fn run_ms(&mut self, ms: u64) {
        self.run(Duration::from_millis(ms));
    }

    /// Lets every timer run out, registrations left aside, and sees that nothing is left behind.
    pub(crate) fn assert_quiet(&mut self) {
        self.run(Duration::from_secs(300));
        for phone in &self.phones {
            assert_eq!(
                phone.agent.tables(),
                Tables::default(),
                "something is left behind at {}",
                phone.address
            );
        }
    }

    /// Sees that no timer waits either: for phones without registration.
    pub(crate) fn assert_empty(&mut self) {
        self.assert_quiet();
        for phone in &self.phones {
            assert_eq!(
                phone.agent.poll_timeout(),
                None,
                "a timer is left behind at {}",
                phone.address
            );
        }
    }

    pub(crate) fn counters(&self, phone: usize) -> Counters {
        self.phones[phone].agent.counters()
    }

    // ── the owner's side ─────────────────────────────────────────────────────────────────────────

    pub(crate) fn invite(&mut self, phone: usize, target: &str) -> CallHandle {
        let now = self.now;
        let call = self.phones[phone]
            .agent
            .invite(None, target, media(20_000 + phone as u16 * 100), now)
            .unwrap();
        self.drain();
        call
    }

    pub(crate) fn with<T>(
        &mut self,
        phone: usize,
        act: impl FnOnce(&mut UserAgent, Instant) -> T,
    ) -> T {
        let result = act(&mut self.phones[phone].agent, self.now);
        self.drain();
        result
    }

    /// Every event of a phone since last asked.
    pub(crate) fn events(&mut self, phone: usize) -> Vec<Event> {
        self.phones[phone].events.drain(..).collect()
    }

    /// The call that rings at a phone.
    pub(crate) fn incoming(&mut self, phone: usize) -> CallHandle {
        let events = self.events(phone);
        events
            .iter()
            .find_map(|event| match event {
                Event::Incoming { call, .. } => Some(*call),
                _ => None,
            })
            .unwrap_or_else(|| panic!("nothing rings: {events:?}"))
    }

    /// How often a start line that begins so was sent.
    pub(crate) fn sent(&self, start: &str) -> usize {
        self.log
            .iter()
            .filter(|(_, line)| line.starts_with(start))
            .count()
    }

    /// When a start line that begins so was sent, in seconds.
    pub(crate) fn times(&self, start: &str) -> Vec<f64> {
        self.log
            .iter()
            .filter(|(_, line)| line.starts_with(start))
            .map(|(at, _)| *at)
            .collect()
    }

    // ── the scripted peer's side ─────────────────────────────────────────────────────────────────

    /// Sends a message from an address of the test's own.
    pub(crate) fn send(&mut self, from: &str, to: usize, message: impl Into<Vec<u8>>) {
        let to = self.phones[to].address;
        self.push(Packet::Datagram(Datagram {
            from: from.parse().unwrap(),
            to,
            bytes: message.into(),
        }));
    }

    /// The next request that reached the test, of this method; others before it are thrown away.
    pub(crate) fn request(&mut self, method: &Method) -> Request {
        self.request_at(method).1
    }

    /// The same with the address it was sent to.
    pub(crate) fn request_at(&mut self, method: &Method) -> (SocketAddr, Request) {
        self.run_ms(50);
        let mut seen = Vec::new();
        while let Some((_, to, message)) = self.inbox.pop_front() {
            match message {
                Message::Request(request) if request.method == *method => return (to, request),
                other => seen.push(
                    String::from_utf8_lossy(&other.to_bytes())
                        .lines()
                        .next()
                        .unwrap_or_default()
                        .to_owned(),
                ),
            }
        }
        panic!("no {method} came, only {seen:?}");
    }

    /// The next response that reached the test; its code must be this one.
    pub(crate) fn response(&mut self, code: u16) -> Response {
        self.run_ms(50);
        while let Some((_, _, message)) = self.inbox.pop_front() {
            if let Message::Response(response) = message {
                assert_eq!(
                    response.code(),
                    code,
                    "{}",
                    String::from_utf8_lossy(&response.to_bytes())
                );
                return response;
            }
        }
        panic!("no response came, {code} was expected");
    }

    /// Nothing reached the test.
    pub(crate) fn assert_silence(&mut self) {
        self.run_ms(50);
        assert!(self.inbox.is_empty(), "{:?}", self.inbox);
    }

    /// Answers a request from the address it was sent to: tag of ours, contact and body where
    /// given.
    pub(crate) fn answer(
        &mut self,
        request: &Request,
        code: u16,
        tag: Option<&str>,
        from: &str,
        extra: &[(&str, &str)],
        body: Option<&str>,
    ) {
        let mut response = Response::reply(request, code, tag);
        if code > 100 && request.method == Method::Invite && code < 300 {
            response
                .headers
                .push("Contact", format!("<sip:peer@{from}>"));
        }
        for (name, value) in extra {
            response.headers.push(name, value);
        }
        if let Some(body) = body {
            response.headers.push("Content-Type", "application/sdp");
            response.body = body.as_bytes().to_vec().into();
        }
        self.send(from, 0, response.to_bytes());
    }

    /// Accepts an INVITE with this description.
    pub(crate) fn accept(&mut self, invite: &Request, tag: Option<&str>, from: &str, body: &str) {
        self.answer(invite, 200, tag, from, &[], Some(body));
    }

    /// Refuses a request until it proves who sends it.
    pub(crate) fn challenge(
        &mut self,
        request: &Request,
        tag: Option<&str>,
        from: &str,
        challenge: &str,
    ) {
        let challenge = [("WWW-Authenticate", challenge)];
        self.answer(request, 401, tag, from, &challenge, None);
    }
}
