//! The network between two ends: NATs of every kind (RFC 4787 in words of today), servers, loss.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Instant;

use md5::Digest as _;

use super::*;
use crate::stun::{Attribute, Class, Method, TransactionId, Writer};

pub(super) const STREAM: StreamId = StreamId(7);
const DELAY: Duration = ms(20);
pub(super) const STUN: &str = "198.51.100.1:3478";
pub(super) const TURN: &str = "198.51.100.2:3478";
/// Where its relayed addresses of IPv6 are.
pub(super) const TURN_IPV6: &str = "2001:db8:ffff::2";

/// What a router does with UDP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Nat {
    None,
    /// One outer port for all far ends; anybody may send to it.
    FullCone,
    /// The same, but only who was sent to may send.
    PortRestricted,
    /// Another outer port for each far end.
    Symmetric,
}

#[derive(Debug, Clone)]
struct Flight {
    at: Instant,
    order: u64,
    from: SocketAddr,
    to: SocketAddr,
    bytes: Vec<u8>,
}

struct Router {
    nat: Nat,
    outer: IpAddr,
    /// Inner socket (and far end, where it is symmetric) to outer port.
    ports: BTreeMap<(SocketAddr, Option<SocketAddr>), u16>,
    sent_to: Vec<(u16, SocketAddr)>,
    next: u16,
}

impl Router {
    fn out(&mut self, from: SocketAddr, to: SocketAddr) -> SocketAddr {
        if self.nat == Nat::None {
            return from;
        }
        let key = (from, (self.nat == Nat::Symmetric).then_some(to));
        let next = &mut self.next;
        let port = *self.ports.entry(key).or_insert_with(|| {
            *next += 1;
            *next
        });
        self.sent_to.push((port, to));
        SocketAddr::new(self.outer, port)
    }

    fn inward(&self, from: SocketAddr, to: SocketAddr) -> Option<SocketAddr> {
        let mut ports = self.ports.iter();
        let ((inner, _), port) = ports.find(|(_, port)| **port == to.port())?;
        let open = match self.nat {
            Nat::None | Nat::FullCone => true,
            Nat::PortRestricted | Nat::Symmetric => self.sent_to.contains(&(*port, from)),
        };
        open.then_some(*inner)
    }
}

/// One end.
pub(super) struct End {
    pub(super) ice: IceEndpoints,
    pub(super) host: IpAddr,
    /// Its address of IPv6, which no one translates.
    pub(super) ipv6: Option<IpAddr>,
    router: Router,
    pub(super) events: Vec<Event>,
    pub(super) dtls: Vec<Vec<u8>>,
    /// Datagrams to the far end or by the TURN server, and questions to the STUN server.
    pub(super) sent: usize,
    pub(super) asked: usize,
}

#[derive(Default)]
struct Allocation {
    client: Option<SocketAddr>,
    permissions: Vec<IpAddr>,
    channels: BTreeMap<u16, SocketAddr>,
}

/// Everything.
pub(super) struct World {
    pub(super) now: Instant,
    pub(super) ends: [End; 2],
    flights: Vec<Flight>,
    order: u64,
    /// Nothing arrives.
    pub(super) cut: bool,
    /// The STUN and the TURN server are silent.
    pub(super) servers_dead: bool,
    allocations: BTreeMap<u16, Allocation>,
    pub(super) stale_nonce: bool,
    /// The TURN server refuses to be asked for IPv6.
    pub(super) refuses_ipv6: bool,
}

pub(super) fn end(number: u8, nat: Nat) -> End {
    let host = match nat {
        Nat::None => IpAddr::from([203, 0, 113, number]),
        Nat::FullCone | Nat::PortRestricted | Nat::Symmetric => IpAddr::from([192, 168, number, 2]),
    };
    End {
        ice: IceEndpoints::new([number; 32]),
        host,
        ipv6: None,
        router: Router {
            nat,
            outer: IpAddr::from([203, 0, 113, number]),
            ports: BTreeMap::new(),
            sent_to: Vec::new(),
            next: 40_000,
        },
        events: Vec::new(),
        dtls: Vec::new(),
        sent: 0,
        asked: 0,
    }
}

impl End {
    /// Besides its address of IPv4 it has one of IPv6.
    pub(super) fn with_ipv6(mut self, host: &str) -> Self {
        self.ipv6 = Some(host.parse().unwrap());
        self
    }

    /// It has an address of IPv6 and no other.
    pub(super) fn only_ipv6(mut self, host: &str) -> Self {
        self.host = host.parse().unwrap();
        self.router.nat = Nat::None;
        self.router.outer = self.host;
        self
    }

    /// Its router restarts.
    pub(super) fn forget(&mut self) {
        self.router.ports.clear();
        self.router.sent_to.clear();
    }

    pub(super) fn wanted(&self, with_turn: bool) -> Wanted {
        Wanted {
            hosts: [self.host].into_iter().chain(self.ipv6).collect(),
            external: None,
            stun: vec![address(STUN)],
            turn: with_turn.then(|| TurnServer {
                address: address(TURN),
                by_stream: false,
                user: "user".into(),
                password: config::schema::Secret("secret".into()),
            }),
        }
    }
}

impl World {
    pub(super) fn new(left: Nat, right: Nat) -> Self {
        Self::of([end(1, left), end(2, right)])
    }

    pub(super) fn of(ends: [End; 2]) -> Self {
        Self {
            now: crate::test_origin(),
            ends,
            flights: Vec::new(),
            order: 0,
            cut: false,
            servers_dead: false,
            allocations: BTreeMap::new(),
            stale_nonce: false,
            refuses_ipv6: false,
        }
    }

    /// Opens the sockets of both and waits for their addresses.
    pub(super) fn gather(&mut self, with_turn: bool) {
        for end in &mut self.ends {
            let wanted = end.wanted(with_turn);
            let bound = if end.ipv6.is_some() {
                IpAddr::from([0; 16])
            } else {
                end.host
            };
            let sockets = [4000, 4001].map(|port| SocketAddr::new(bound, port));
            end.ice.open(STREAM, sockets, wanted, self.now);
        }
        self.run(ms(600));
    }

    /// Offer and answer: the left end offers. What each got to know.
    pub(super) fn agree(&mut self, muxed: bool) -> [AgreedIce; 2] {
        let now = self.now;
        let [left, right] = &mut self.ends;
        let ours = left.ice.local(STREAM, true, now).unwrap();
        let theirs = right.ice.local(STREAM, false, now).unwrap();
        let agreed = |local: &LocalIce, remote: &LocalIce, offered_by_us| AgreedIce {
            local: local.credentials.clone(),
            remote: remote.credentials.clone(),
            candidates: remote.candidates.clone(),
            lite: false,
            offered_by_us,
        };
        let both = [agreed(&ours, &theirs, true), agreed(&theirs, &ours, false)];
        // The answerer knows first; the answer takes its time.
        right.ice.agree(STREAM, Some(&both[1]), muxed, now);
        self.run(ms(60));
        let now = self.now;
        self.ends[0].ice.agree(STREAM, Some(&both[0]), muxed, now);
        both
    }

    pub(super) fn path(&self, side: usize) -> Path {
        self.ends[side].ice.path(STREAM)
    }

    /// Until both have a way for RTP.
    pub(super) fn connect(&mut self) {
        let limit = self.now + ms(14_000);
        while self.path(0).rtp.is_none() || self.path(1).rtp.is_none() {
            assert!(self.now < limit, "no way within 14 s");
            self.run(ms(10));
        }
    }

    /// Whether a packet that one end sends by its path reaches the other from where that one sends
    /// to: what media needs.
    pub(super) fn media_flows(&mut self, from: usize) -> bool {
        let before = self.ends[1 - from].dtls.len();
        let mut datagram = Transmit {
            stream: STREAM,
            socket: PacketKind::Rtp,
            to: address("192.0.0.8:1"),
            bytes: vec![22, 254, 253, 0],
        };
        let now = self.now;
        if !self.ends[from].ice.send_by_path(&mut datagram) {
            return false;
        }
        self.send(from, datagram, now);
        self.run(ms(200));
        self.ends[1 - from].dtls.len() > before
    }

    pub(super) fn run(&mut self, length: Duration) {
        let end = self.now + length;
        loop {
            for side in 0..2 {
                while let Some(transmit) = self.ends[side].ice.poll_transmit() {
                    self.send(side, transmit, self.now);
                }
                while let Some(event) = self.ends[side].ice.poll_event() {
                    self.ends[side].events.push(event);
                }
            }
            let flight = self.flights.iter().map(|flight| flight.at).min();
            let timers = self.ends.iter().filter_map(|end| end.ice.poll_timeout());
            let next = timers.chain(flight).min().filter(|at| *at <= end);
            let Some(next) = next else {
                self.now = end;
                return;
            };
            self.now = self.now.max(next);
            while let Some(index) = self.due() {
                let flight = self.flights.remove(index);
                self.arrive(flight);
            }
            for side in 0..2 {
                self.ends[side].ice.handle_timeout(self.now);
            }
        }
    }

    fn due(&self) -> Option<usize> {
        let due = self.flights.iter().enumerate();
        due.filter(|(_, flight)| flight.at <= self.now)
            .min_by_key(|(_, flight)| (flight.at, flight.order))
            .map(|(index, _)| index)
    }

    fn send(&mut self, side: usize, transmit: Transmit, now: Instant) {
        let port = match transmit.socket {
            PacketKind::Rtp => 4000,
            PacketKind::Rtcp => 4001,
        };
        let end = &mut self.ends[side];
        let hosts = [Some(end.host), end.ipv6].into_iter().flatten();
        let Some(host) = hosts
            .into_iter()
            .find(|host| host.is_ipv4() == transmit.to.is_ipv4())
        else {
            return;
        };
        let inner = SocketAddr::new(host, port);
        if transmit.to == address(STUN) {
            end.asked += 1;
        } else {
            end.sent += 1;
        }
        if host.is_ipv6() {
            return self.fly(inner, transmit.to, transmit.bytes, now);
        }
        // A private address leads nowhere.
        let private = matches!(transmit.to.ip(), IpAddr::V4(v4) if v4.is_private());
        if private && self.ends[side].router.nat != Nat::None {
            return;
        }
        let from = self.ends[side].router.out(inner, transmit.to);
        self.fly(from, transmit.to, transmit.bytes, now);
    }

    pub(super) fn fly(&mut self, from: SocketAddr, to: SocketAddr, bytes: Vec<u8>, now: Instant) {
        self.order += 1;
        if !self.cut {
            self.flights.push(Flight {
                at: now + DELAY,
                order: self.order,
                from,
                to,
                bytes,
            });
        }
    }

    fn arrive(&mut self, flight: Flight) {
        let Flight {
            from, to, bytes, ..
        } = flight;
        let relay: IpAddr = TURN_IPV6.parse().unwrap();
        if to == address(STUN) || to.ip() == address(TURN).ip() || to.ip() == relay {
            if !self.servers_dead {
                self.serve(from, to, &bytes);
            }
            return;
        }
        let at = |end: &&mut End| end.router.outer == to.ip() || end.ipv6 == Some(to.ip());
        let Some(end) = self.ends.iter_mut().find(at) else {
            return;
        };
        let inner = match end.router.nat {
            Nat::None => Some(to),
            _ if to.is_ipv6() => Some(to),
            Nat::FullCone | Nat::PortRestricted | Nat::Symmetric => end.router.inward(from, to),
        };
        let ours = |inner: &SocketAddr| inner.ip() == end.host || Some(inner.ip()) == end.ipv6;
        let Some(inner) = inner.filter(ours) else {
            return;
        };
        let socket = if inner.port() == 4000 {
            PacketKind::Rtp
        } else {
            PacketKind::Rtcp
        };
        let got = end
            .ice
            .handle_datagram(STREAM, socket, from, &bytes, self.now);
        end.dtls.extend(got);
    }

    // ── servers ───────────────────────────────────────────────────────────────────────────────

    fn serve(&mut self, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        let now = self.now;
        let turn = address(TURN);
        if to != address(STUN) && to != turn {
            // To a relayed address.
            let Some(allocation) = self.allocations.get(&to.port()) else {
                return;
            };
            let client = allocation.client.unwrap();
            if !allocation.permissions.contains(&from.ip()) {
                return;
            }
            let mut channels = allocation.channels.iter();
            let wrapped = match channels.find(|(_, peer)| **peer == from) {
                Some((number, _)) => {
                    let length = bytes.len() as u16;
                    [&number.to_be_bytes()[..], &length.to_be_bytes(), bytes].concat()
                }
                None => Writer::new(Method::Data, Class::Indication, TransactionId([1; 12]))
                    .address(Attribute::XorPeerAddress, from)
                    .attribute(Attribute::Data, bytes)
                    .finish(None),
            };
            return self.fly(turn, client, wrapped, now);
        }
        if (64..80).contains(&bytes[0]) {
            let port = self.port_of(from).unwrap();
            let number = u16::from_be_bytes([bytes[0], bytes[1]]);
            let peer = self.allocations[&port].channels[&number];
            let relayed = relayed_at(port, peer);
            return self.fly(relayed, peer, bytes[4..].to_vec(), now);
        }
        let message = Message::parse(bytes).unwrap();
        let answer = |class| Writer::answer(&message, class);
        if message.method == Method::Binding {
            let bytes = answer(Class::Success).address(Attribute::XorMappedAddress, from);
            return self.fly(to, from, bytes.finish(None), now);
        }
        if message.method == Method::Send {
            let peer = message.address(Attribute::XorPeerAddress).unwrap();
            let data = message.attribute(Attribute::Data).unwrap().to_vec();
            let port = self.port_of(from).unwrap();
            if self.allocations[&port].permissions.contains(&peer.ip()) {
                self.fly(relayed_at(port, peer), peer, data, now);
            }
            return;
        }
        let nonce: &[u8] = if self.stale_nonce { b"two" } else { b"one" };
        let challenge = |code| {
            answer(Class::Error)
                .error(code, "")
                .attribute(Attribute::Realm, b"here")
                .attribute(Attribute::Nonce, nonce)
                .finish(None)
        };
        let key: [u8; 16] = md5::Md5::digest(b"user:here:secret").into();
        if !message.is_signed_by(&key) {
            return self.fly(to, from, challenge(401), now);
        }
        if message.attribute(Attribute::Nonce) != Some(nonce) {
            return self.fly(to, from, challenge(438), now);
        }
        let asks_ipv6 = message
            .attribute(Attribute::AdditionalAddressFamily)
            .is_some();
        if asks_ipv6 && self.refuses_ipv6 {
            let refusal = answer(Class::Error).error(440, "");
            return self.fly(to, from, refusal.finish(Some(&key)), now);
        }
        let mut success = answer(Class::Success);
        let peer = message.address(Attribute::XorPeerAddress);
        match message.method {
            Method::Allocate => {
                let port = 50_000 + self.allocations.len() as u16;
                let allocation = self.allocations.entry(port).or_default();
                allocation.client = Some(from);
                success = success
                    .address(
                        Attribute::XorRelayedAddress,
                        SocketAddr::new(turn.ip(), port),
                    )
                    .address(Attribute::XorMappedAddress, from)
                    .attribute(Attribute::Lifetime, &600_u32.to_be_bytes());
                if asks_ipv6 {
                    let relayed = SocketAddr::new(TURN_IPV6.parse().unwrap(), port);
                    success = success.address(Attribute::XorRelayedAddress, relayed);
                }
            }
            Method::Refresh => {
                if message.number(Attribute::Lifetime) == Some(0) {
                    let port = self.port_of(from).unwrap();
                    self.allocations.remove(&port);
                }
                success = success.attribute(Attribute::Lifetime, &600_u32.to_be_bytes());
            }
            Method::CreatePermission => {
                let port = self.port_of(from).unwrap();
                let allocation = self.allocations.get_mut(&port).unwrap();
                allocation.permissions.push(peer.unwrap().ip());
            }
            Method::ChannelBind => {
                let number = message.number(Attribute::ChannelNumber).unwrap() >> 16;
                let port = self.port_of(from).unwrap();
                let allocation = self.allocations.get_mut(&port).unwrap();
                allocation.permissions.push(peer.unwrap().ip());
                allocation.channels.insert(number as u16, peer.unwrap());
            }
            Method::Binding | Method::Send | Method::Data => unreachable!(),
        }
        self.fly(to, from, success.finish(Some(&key)), now);
    }

    fn port_of(&self, client: SocketAddr) -> Option<u16> {
        let mut allocations = self.allocations.iter();
        allocations
            .find(|(_, allocation)| allocation.client == Some(client))
            .map(|(port, _)| *port)
    }

    pub(super) fn allocations(&self) -> usize {
        self.allocations.len()
    }
}

/// The relayed address with this port that sends to a peer.
fn relayed_at(port: u16, peer: SocketAddr) -> SocketAddr {
    let ip = if peer.is_ipv4() {
        address(TURN).ip()
    } else {
        TURN_IPV6.parse().unwrap()
    };
    SocketAddr::new(ip, port)
}
