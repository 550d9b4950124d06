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

use sip::agent::{AgentConfig, Counters, EndedBy, Tables};
use sip::message::{Message, Method, NameAddr, Request, Response};
use testkit::network::{Datagram, Link, Network};
use types::Codec;

use sip::offer_answer::LocalMedia;
use sip::{AccountConfig, CallHandle, ConnectionId, Event, Flow, Target, UserAgent};

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
}

/// An SDP body of a peer at this address with PCMU.
pub(crate) fn sdp(address: &str, extra: &str) -> String {
    format!(
        "v=0\r\no=- 1 1 IN IP4 {address}\r\ns=-\r\nc=IN IP4 {address}\r\nt=0 0\r\n\
         m=audio 4000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n{extra}"
    )
}

/// A request from a scripted peer.
pub(crate) struct Ask<'a> {
    pub(crate) method: &'a str,
    pub(crate) branch: &'a str,
    pub(crate) from_tag: &'a str,
    pub(crate) to: String,
    pub(crate) call_id: &'a str,
    pub(crate) cseq: u32,
    pub(crate) from: &'a str,
    pub(crate) extra: String,
    pub(crate) body: String,
}

impl Ask<'_> {
    /// An INVITE to alice from 192.0.2.9:5060.
    pub(crate) fn invite() -> Self {
        Self {
            method: "INVITE",
            branch: "z9hG4bKfirst",
            from_tag: "peer",
            to: "<sip:alice@192.0.2.1>".into(),
            call_id: "call-1",
            cseq: 1,
            from: "192.0.2.9:5060",
            extra: "Content-Type: application/sdp\r\n".into(),
            body: sdp("192.0.2.9", ""),
        }
    }

    pub(crate) fn text(&self) -> String {
        let Self {
            method,
            branch,
            from_tag,
            to,
            call_id,
            cseq,
            from,
            extra,
            body,
        } = self;
        format!(
            "{method} sip:alice@192.0.2.1 SIP/2.0\r\n\
             Via: SIP/2.0/UDP {from};rport;branch={branch}\r\nMax-Forwards: 70\r\n\
             From: \"Peer\" <sip:peer@{from}>;tag={from_tag}\r\nTo: {to}\r\nCall-ID: {call_id}\r\n\
             CSeq: {cseq} {method}\r\n\
             Contact: <sip:peer@{from}>\r\n{extra}Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    }
}

/// The To header of a dialog a response made.
pub(crate) fn to_of(response: &Response) -> String {
    let to: NameAddr = response.headers.to().unwrap();
    to.to_string()
}

// ── one phone and a scripted peer ────────────────────────────────────────────────────────────────

/// The scripted peer as a listed caller: no rate holds for it.
pub(crate) fn peer_is_listed(config: &mut AgentConfig) {
    config.direct_from.push(sip::AllowedCaller {
        user: None,
        network: [192, 0, 2, 9].into(),
        prefix: 32,
    });
}

/// One phone and the scripted peer, whom its owner has listed.
pub(crate) fn with_listed_peer() -> World {
    let mut config = config("alice", "192.0.2.1:5060", 1);
    peer_is_listed(&mut config);
    World::new(vec![config])
}

/// Where the scripted peer is.
pub(crate) const PEER: &str = "192.0.2.9:5060";

pub(crate) fn ends(events: &[Event]) -> Vec<(EndedBy, Option<u16>)> {
    let end = |event: &Event| match event {
        Event::Ended { by, code, .. } => Some((*by, *code)),
        _ => None,
    };
    events.iter().filter_map(end).collect()
}

pub(crate) fn is_established(events: &[Event]) -> bool {
    events
        .iter()
        .any(|event| matches!(event, Event::Established { .. }))
}

/// Alice has called the peer; its INVITE.
pub(crate) fn called(world: &mut World) -> (CallHandle, Request) {
    let call = world.invite(0, &format!("sip:peer@{PEER}"));
    (call, world.request(&Method::Invite))
}

/// Alice's call to the peer is established; her INVITE.
pub(crate) fn calling(world: &mut World) -> (CallHandle, Request) {
    let (call, invite) = called(world);
    world.answer(
        &invite,
        200,
        Some("p"),
        PEER,
        &[],
        Some(&sdp("192.0.2.9", "")),
    );
    world.request(&Method::Ack);
    assert!(is_established(&world.events(0)));
    (call, invite)
}

/// The peer's call to alice is answered; the 200.
pub(crate) fn answered(world: &mut World) -> (CallHandle, Response) {
    world.send(PEER, 0, Ask::invite().text());
    world.response(100);
    let call = world.incoming(0);
    world.with(0, |alice, now| alice.answer(call, media(20_000), now));
    (call, world.response(200))
}

pub(crate) fn ack(response: &Response) -> String {
    let to = to_of(response);
    Ask {
        method: "ACK",
        branch: "z9hG4bKack",
        to,
        extra: String::new(),
        body: String::new(),
        ..Ask::invite()
    }
    .text()
}

pub(crate) fn inside(response: &Response, method: &'static str, cseq: u32) -> Ask<'static> {
    let branch = format!("z9hG4bK{method}{cseq}").leak();
    Ask {
        method,
        branch,
        cseq,
        to: to_of(response),
        extra: String::new(),
        body: String::new(),
        ..Ask::invite()
    }
}
