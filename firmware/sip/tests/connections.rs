//! Connections of a hostile neighbour beside the phone's own to its registrar.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "helpers of a test program: what cannot be is a failed test"
)]

mod world;

use std::net::SocketAddr;
use std::time::Duration;

use sip::message::{Message, Method, Request, Response};
use sip::{ConnectionId, Event, Transmit, Transport, UserAgent};
use world::{World, account, config};

const SERVER: &str = "192.0.2.9:5060";

/// A phone registered over TCP, its connection, and every event since the last look.
struct Registered {
    world: World,
    own: ConnectionId,
    next: u64,
    events: Vec<Event>,
}

impl Registered {
    fn new() -> Self {
        let mut config = config("alice", "192.0.2.1:5060", 1);
        config.direct_calls = false;
        config.direct_callers = sip::DirectCallers::Listed;
        config.accounts.push(sip::AccountConfig {
            transport: Transport::Tcp,
            ..account("101", "192.0.2.9", "secret")
        });
        let mut this = Self {
            world: World::new(vec![config]),
            own: ConnectionId(0),
            next: 1 << 32,
            events: Vec::new(),
        };
        this.register();
        this
    }

    fn agent(&mut self) -> &mut UserAgent {
        &mut self.world.phones[0].agent
    }

    /// Lets time pass; returns the requests that left meanwhile, by the connection.
    fn pass(&mut self, time: Duration) -> Vec<(ConnectionId, Request)> {
        let end = self.world.now + time;
        let mut requests = Vec::new();
        loop {
            while let Some(Transmit { flow, bytes }) = self.agent().poll_transmit() {
                if let (Some(connection), Ok(Message::Request(request))) =
                    (flow.connection(), Message::parse(&bytes))
                {
                    requests.push((connection, request));
                }
            }
            while let Some(event) = self.agent().poll_event() {
                self.events.push(event);
            }
            let due = self.agent().poll_timeout().filter(|at| *at <= end);
            let Some(due) = due else { break };
            self.world.now = self.world.now.max(due);
            let now = self.world.now;
            self.agent().handle_timeout(now);
        }
        self.world.now = end;
        requests
    }

    /// The registrar accepts the connection that the phone dials, and the REGISTER on it.
    fn register(&mut self) {
        self.pass(Duration::from_secs(3));
        let connection = self
            .events
            .iter()
            .rev()
            .find_map(|event| match event {
                Event::Connect { connection, .. } => Some(*connection),
                _ => None,
            })
            .expect("the phone dials its registrar");
        let now = self.world.now;
        self.agent()
            .handle_connected(connection, SERVER.parse().unwrap(), now);
        let (on, register) = self.pass(Duration::ZERO).pop().expect("a REGISTER");
        assert_eq!((on, &register.method), (connection, &Method::Register));
        let mut response = Response::reply(&register, 200, Some("r"));
        response
            .headers
            .push("Contact", register.headers.get("Contact").unwrap());
        let now = self.world.now;
        self.agent()
            .handle_stream(connection, &response.to_bytes(), now);
        self.own = connection;
        self.pass(Duration::ZERO);
        assert_eq!(self.registered(), Some(true));
    }

    /// What the last event said of the registration.
    fn registered(&self) -> Option<bool> {
        self.events.iter().rev().find_map(|event| match event {
            Event::Registration { until, .. } => Some(until.is_some()),
            _ => None,
        })
    }

    fn accept(&mut self, from: SocketAddr, tls: bool) -> ConnectionId {
        self.next += 1;
        let (connection, now) = (ConnectionId(self.next), self.world.now);
        if tls {
            self.agent()
                .handle_accepted_tls(connection, from, Vec::new(), now);
        } else {
            self.agent().handle_connected(connection, from, now);
        }
        connection
    }

    fn receive(&mut self, connection: ConnectionId, bytes: &[u8]) {
        let now = self.world.now;
        self.agent().handle_stream(connection, bytes, now);
    }

    fn closed(&self) -> Vec<ConnectionId> {
        self.events
            .iter()
            .filter_map(|event| match event {
                Event::Close(connection) => Some(*connection),
                _ => None,
            })
            .collect()
    }
}

fn from(host: &str, port: u16) -> SocketAddr {
    SocketAddr::new(host.parse().unwrap(), port)
}

/// What a neighbour's connections send, twice a second.
const NOISE: [&[u8]; 4] = [
    b"",
    b"\r\n",
    b"O",
    b"OPTIONS sip:x@y SIP/2.0\r\nVia: SIP/2.0/TCP 192.0.2.66;branch=z9hG4bKn\r\n\
      From: <sip:a@b>;tag=1\r\n\
      To: <sip:x@y>\r\nCall-ID: n\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n",
];

#[test]
fn flood_leaves_the_registration_alone() {
    for tls in [false, true] {
        for hosts in [1_u16, 200] {
            for noise in NOISE {
                let mut phone = Registered::new();
                let mut open: Vec<ConnectionId> = Vec::new();
                for half_second in 0..90_u16 {
                    for n in 0..8 {
                        let n = half_second * 8 + n;
                        let host = format!("198.51.100.{}", n % hosts);
                        open.push(phone.accept(from(&host, 1024 + n), tls));
                    }
                    for connection in open.clone() {
                        phone.receive(connection, noise);
                    }
                    let sent = phone.pass(Duration::from_millis(500));
                    assert!(sent.is_empty(), "{sent:?}");
                    let closed = phone.closed();
                    open.retain(|connection| !closed.contains(connection));
                    assert!(open.len() <= 32, "{}", open.len());
                }
                assert!(!phone.closed().contains(&phone.own));
                assert_eq!(phone.registered(), Some(true));
                // The last of them is gone soon after.
                phone.pass(Duration::from_secs(31));
                let closed = phone.closed();
                open.retain(|connection| !closed.contains(connection));
                assert_eq!(open, [], "tls {tls}, {hosts} hosts, {noise:?}");
            }
        }
    }
}

#[test]
fn one_silent_host_does_not_lock_others_out() {
    for host in ["192.0.2.66", "::ffff:192.0.2.66"] {
        let mut phone = Registered::new();
        for n in 0..64 {
            phone.accept(from(host, 1024 + n), false);
        }
        let other = phone.accept(from("192.0.2.67", 4000), false);
        let server = phone.accept(from("192.0.2.9", 4000), false);
        phone.pass(Duration::from_secs(7));
        let closed = phone.closed();
        assert!(!closed.contains(&other) && !closed.contains(&server));
        assert_eq!(closed.len(), 56);
        phone.pass(Duration::from_secs(2));
        assert_eq!(phone.closed().len(), 65, "all but the server's");
        assert!(!phone.closed().contains(&server));
    }
}

#[test]
fn a_lost_flow_is_not_registered() {
    let mut phone = Registered::new();
    let (own, now) = (phone.own, phone.world.now);
    phone.agent().handle_closed(own, now);
    phone.pass(Duration::ZERO);
    assert_eq!(phone.registered(), Some(false));
    // Nor while it tries in vain.
    phone.pass(Duration::from_secs(3));
    let dialled = phone.events.iter().rev().find_map(|event| match event {
        Event::Connect { connection, .. } => Some(*connection),
        _ => None,
    });
    let now = phone.world.now;
    phone.agent().handle_closed(dialled.unwrap(), now);
    phone.pass(Duration::ZERO);
    assert_eq!(phone.registered(), Some(false));
    phone.register();
    assert_eq!(phone.registered(), Some(true));
}
