//! SIP over TLS inside the agent: what must use TLS uses TLS or is not sent at all, to whom it is
//! meant for, and comes back the same way. The test is the far end and the sockets at once, under
//! virtual time.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "what cannot be is a failed test"
)]

mod downgrade;
mod event_packages;
mod registration;
mod transfer;
#[path = "../world/mod.rs"]
mod world;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use sip::agent::AgentConfig;
use sip::message::{Message, Request, Response, Uri};
use sip::{AccountConfig, ConnectionId, Event, Flow, Lookup, Target, Transport, UserAgent};
use world::{account, config, media, sdp};

const SERVER: &str = "192.0.2.9:5061";

/// One phone, and everything it said.
struct Phone {
    agent: UserAgent,
    start: Instant,
    now: Instant,
    sent: Vec<(Flow, String)>,
    events: Vec<Event>,
    /// Connections asked for: seconds since the start, number, place, names.
    asked: Vec<(f64, ConnectionId, SocketAddr, Vec<String>)>,
}

impl Phone {
    #[expect(
        clippy::disallowed_methods,
        reason = "some instant to count from; what it says does not matter"
    )]
    fn new(config: AgentConfig) -> Self {
        let now = Instant::now();
        let mut phone = Self {
            agent: UserAgent::new(config, now),
            start: now,
            now,
            sent: Vec::new(),
            events: Vec::new(),
            asked: Vec::new(),
        };
        phone.run(Duration::from_millis(1));
        phone
    }

    fn direct() -> Self {
        Self::new(config("alice", "192.0.2.1:5060", 1))
    }

    /// A phone with a line over TLS at example.org, whose registrar is configured by its address.
    fn with_line() -> Self {
        let mut config = config("alice", "192.0.2.1:5060", 1);
        config.direct_calls = false;
        config.direct_callers = sip::DirectCallers::Listed;
        config.accounts.push(AccountConfig {
            transport: Transport::Tls,
            registrar: Some("192.0.2.9:5061".into()),
            outbound_proxy: Some("192.0.2.9:5061".into()),
            backup_servers: Vec::new(),
            keepalive: sip::KeepaliveMode::Auto,
            gruu: false,
            ..account("101", "example.org", "secret")
        });
        Self::new(config)
    }

    fn drain(&mut self) {
        while let Some(transmit) = self.agent.poll_transmit() {
            self.sent.push((
                transmit.flow,
                String::from_utf8_lossy(&transmit.bytes).into_owned(),
            ));
        }
        while let Some(event) = self.agent.poll_event() {
            if let Event::Connect {
                connection,
                remote,
                transport,
                names,
            } = &event
            {
                assert_eq!(*transport, Transport::Tls, "something left TLS: {event:?}");
                self.asked.push((
                    (self.now - self.start).as_secs_f64(),
                    *connection,
                    *remote,
                    names.clone(),
                ));
            }
            if let Event::Redirect { call, .. } = event {
                self.agent.decide_redirection(call, true, self.now);
                return self.drain();
            }
            self.events.push(event);
        }
    }

    fn act<T>(&mut self, act: impl FnOnce(&mut UserAgent, Instant) -> T) -> T {
        let result = act(&mut self.agent, self.now);
        self.drain();
        result
    }

    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(due) = self.agent.poll_timeout().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            let now = self.now;
            self.act(|agent, _| agent.handle_timeout(now));
        }
        self.now = end;
        self.drain();
    }

    /// The connection asked for last is open.
    fn open(&mut self) -> ConnectionId {
        let (_, connection, remote, _) = self.asked.last().cloned().unwrap();
        self.act(|agent, now| {
            agent.handle_connected(connection, remote, now);
        });
        connection
    }

    fn refuse(&mut self, reason: &str) {
        let (_, connection, ..) = self.asked.last().cloned().unwrap();
        self.act(|agent, now| agent.handle_connect_failed(connection, reason, now));
    }

    fn hear(&mut self, connection: ConnectionId, message: impl AsRef<[u8]>) {
        self.act(|agent, now| agent.handle_stream(connection, message.as_ref(), now));
    }

    fn lookup(&self) -> Lookup {
        let last = self.events.iter().rev().find_map(|event| match event {
            Event::Lookup(lookup) => Some(lookup.clone()),
            _ => None,
        });
        last.unwrap()
    }

    /// Where the last request, which must have gone by this connection, says that it comes from.
    fn contact(&self, connection: ConnectionId) -> Uri {
        let request = self.request(connection);
        request.headers.contacts().unwrap().pop().unwrap().uri
    }

    /// The last request sent, which must have gone by this connection.
    fn request(&self, connection: ConnectionId) -> Request {
        let (flow, text) = self
            .sent
            .iter()
            .rev()
            .find(|(_, text)| !text.starts_with("SIP/2.0"))
            .unwrap();
        assert_eq!(flow.connection(), Some(connection), "{text}");
        assert!(flow.is_secure());
        match Message::parse(text.as_bytes()).unwrap() {
            Message::Request(request) => request,
            Message::Response(_) => panic!("a response"),
        }
    }

    fn ended(&self) -> Option<String> {
        self.events.iter().find_map(|event| match event {
            Event::Ended { reason, .. } => Some(reason.clone()),
            _ => None,
        })
    }

    /// The line is registered over the connection that is asked for next.
    fn register(&mut self) -> ConnectionId {
        let connection = self.open();
        self.confirm(connection);
        self.confirm(connection);
        assert!(
            self.events.iter().any(|event| matches!(
                event,
                Event::Registration {
                    until: Some(_),
                    error: None,
                    ..
                }
            )),
            "{:?}",
            self.events
        );
        connection
    }

    fn confirm(&mut self, connection: ConnectionId) {
        let request = self.request(connection);
        let mut ok = Response::reply(&request, 200, Some("r"));
        ok.headers.copy(&request.headers, "Contact");
        let stamped = ok
            .headers
            .get("Via")
            .unwrap()
            .replace(";rport", ";rport=40000;received=203.0.113.7");
        ok.headers.set("Via", stamped);
        self.hear(connection, ok.to_bytes());
    }
}

fn target(transport: Transport, address: &str) -> Target {
    Target {
        transport,
        address: address.parse().unwrap(),
    }
}

fn ok_with_sdp(request: &Request, contact: &str) -> Vec<u8> {
    let mut ok = Response::reply(request, 200, Some("far"));
    ok.headers.push("Contact", contact);
    ok.headers.push("Content-Type", "application/sdp");
    ok.body = sdp("192.0.2.9", "").into_bytes().into();
    ok.to_bytes()
}

#[test]
fn sips_uses_tls_and_verifies_the_domain() {
    let mut alice = Phone::direct();
    alice
        .act(|agent, now| agent.invite(None, "sips:bob@example.org", media(20_000), now))
        .unwrap();
    let lookup = alice.lookup();
    assert_eq!(
        (lookup.host.as_str(), lookup.transport),
        ("example.org", Some(Transport::Tls))
    );
    let found = [
        target(Transport::Udp, "192.0.2.7:5060"),
        target(Transport::Tls, SERVER),
    ];
    alice.act(|agent, now| agent.handle_lookup(lookup.id, &found, now));
    assert_eq!(alice.asked[0].2, SERVER.parse().unwrap());
    assert_eq!(alice.asked[0].3, ["example.org"]);
    assert_eq!(
        alice.sent,
        [],
        "before the connection is open nothing leaves"
    );
    let connection = alice.open();
    let invite = alice.request(connection);
    let via = invite.headers.top_via().unwrap();
    assert_eq!((via.transport(), via.port()), ("TLS", Some(5061)));
    assert!(via.params().has("alias"), "{via}");
    // RFC 3261 section 8.1.1.8: Contact is sips: where the request is.
    assert_eq!(invite.headers.contacts().unwrap()[0].uri.scheme(), "sips");
}

#[test]
fn without_a_tls_server_nothing_is_sent() {
    for found in [
        vec![],
        vec![
            target(Transport::Udp, "192.0.2.7:5060"),
            target(Transport::Tcp, "192.0.2.7:5060"),
        ],
    ] {
        let mut alice = Phone::direct();
        alice
            .act(|agent, now| agent.invite(None, "sips:bob@example.org", media(20_000), now))
            .unwrap();
        let lookup = alice.lookup();
        alice.act(|agent, now| agent.handle_lookup(lookup.id, &found, now));
        alice.run(Duration::from_secs(300));
        assert_eq!((alice.sent.len(), alice.asked.len()), (0, 0));
        assert!(
            alice.ended().unwrap().contains("example.org"),
            "{:?}",
            alice.ended()
        );
    }
}

#[test]
fn a_refused_certificate_ends_the_call() {
    let mut alice = Phone::direct();
    alice
        .act(|agent, now| agent.invite(None, "sips:bob@192.0.2.9", media(20_000), now))
        .unwrap();
    alice.refuse("the certificate of 192.0.2.9 is for another name");
    alice.run(Duration::from_secs(300));
    assert_eq!((alice.sent.len(), alice.asked.len()), (0, 1));
    assert!(
        alice.ended().unwrap().contains("is for another name"),
        "{:?}",
        alice.ended()
    );
}

#[test]
fn a_proven_peer_is_called_back_on_its_connection() {
    let connection = ConnectionId(1 << 40);
    for (proved, reused) in [
        (vec!["192.0.2.2".to_owned()], true),
        (vec![], false),
        (vec!["192.0.2.3".to_owned()], false),
    ] {
        let mut alice = Phone::direct();
        let remote = "192.0.2.2:51234".parse().unwrap();
        alice.act(|agent, now| agent.handle_accepted_tls(connection, remote, proved.clone(), now));
        alice.hear(
            connection,
            "OPTIONS sips:alice@192.0.2.1 SIP/2.0\r\n\
             Via: SIP/2.0/TLS 192.0.2.2:5061;branch=z9hG4bKa;alias\r\nMax-Forwards: 70\r\n\
             From: <sips:bob@192.0.2.2>;tag=b\r\nTo: <sips:alice@192.0.2.1>\r\nCall-ID: o\r\n\
             CSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n",
        );
        assert!(
            alice.sent[0].1.starts_with("SIP/2.0 200"),
            "{:?}",
            alice.sent
        );
        alice
            .act(|agent, now| agent.invite(None, "sips:bob@192.0.2.2", media(20_000), now))
            .unwrap();
        assert_eq!(alice.asked.is_empty(), reused, "proved {proved:?}");
        if reused {
            assert_eq!(alice.request(connection).method.to_string(), "INVITE");
        }
    }
}

#[test]
fn two_domains_on_one_host_use_two_connections() {
    let mut alice = Phone::direct();
    for (index, domain) in ["a.example", "b.example", "a.example"]
        .into_iter()
        .enumerate()
    {
        alice
            .act(|agent, now| agent.invite(None, &format!("sips:bob@{domain}"), media(20_000), now))
            .unwrap();
        let lookup = alice.lookup();
        alice.act(|agent, now| {
            agent.handle_lookup(lookup.id, &[target(Transport::Tls, SERVER)], now);
        });
        assert_eq!(alice.asked.len(), [1, 2, 2][index], "{domain}");
    }
}
