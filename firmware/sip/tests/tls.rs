//! SIP over TLS inside the agent: what must use TLS uses TLS or is not sent at all, to whom it is
//! meant for, and comes back the same way. The test is the far end and the sockets at once, under
//! virtual time.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "what cannot be is a failed test"
)]

mod world;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use sip::agent::AgentConfig;
use sip::message::{Message, Request, Response};
use sip::{
    AccountConfig, AccountId, CallHandle, ConnectionId, Event, Flow, Lookup, Target, Transport,
    UserAgent,
};
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
fn a_failing_tls_registration_reports_and_backs_off() {
    let mut alice = Phone::with_line();
    assert_eq!(
        alice.asked[0].3,
        ["example.org", "192.0.2.9"],
        "the domain first, never a name out of DNS"
    );
    for _ in 0..9 {
        let before = alice.asked.len();
        alice.refuse("the certificate of example.org expired");
        for _ in 0..200 {
            alice.run(Duration::from_secs(1));
            if alice.asked.len() > before {
                break;
            }
        }
    }
    let seen = alice.events.iter().any(|event| {
        matches!(event, Event::Registration { account: AccountId(0), until: None,
            error: Some(error) } if error.contains("expired"))
    });
    assert!(seen, "{:?}", alice.events);
    assert_eq!(alice.sent, [], "nothing goes another way");
    let waits: Vec<f64> = alice
        .asked
        .windows(2)
        .map(|two| two[1].0 - two[0].0)
        .collect();
    assert!(
        waits[0] <= 2.1 && waits.iter().all(|wait| *wait <= 46.0),
        "all phones are back within a minute after an outage: {waits:?}"
    );
    let later = &waits[5..];
    assert!(
        later.iter().all(|wait| *wait > 20.0),
        "the wait grows: {waits:?}"
    );
    let whole = waits
        .iter()
        .all(|wait| (wait.log2() - wait.log2().round()).abs() < 0.01);
    assert!(
        !whole,
        "the wait is drawn, so that not all phones come at once: {waits:?}"
    );
    // The clock was set: the same once more, at once.
    alice.refuse("not valid yet");
    let before = alice.asked.len();
    alice.act(UserAgent::retry_registrations);
    assert_eq!(alice.asked.len(), before + 1);
}

#[test]
fn a_broken_tls_connection_is_registered_again() {
    let mut alice = Phone::with_line();
    let connection = alice.register();
    // A registrar cannot open a connection through a firewall; the contact is where this one comes
    // from.
    let contact = alice
        .request(connection)
        .headers
        .contacts()
        .unwrap()
        .pop()
        .unwrap()
        .uri
        .to_string();
    assert!(
        contact.ends_with("@203.0.113.7:40000;transport=tls"),
        "{contact}"
    );
    let asked = alice.asked.len();
    alice.act(|agent, now| agent.handle_closed(connection, now));
    alice.run(Duration::from_secs(3));
    assert_eq!(
        alice.asked.len(),
        asked + 1,
        "a new connection within seconds"
    );
    assert!(alice.open() != connection);
}

#[test]
fn an_unanswered_keepalive_closes_the_connection() {
    for answers in [true, false] {
        let mut alice = Phone::with_line();
        let connection = alice.register();
        let pings = |phone: &Phone| {
            phone
                .sent
                .iter()
                .filter(|(_, text)| text == "\r\n\r\n")
                .count()
        };
        alice.run(Duration::from_secs(94));
        assert_eq!(pings(&alice), 0);
        alice.run(Duration::from_secs(27));
        assert_eq!(pings(&alice), 1);
        if answers {
            alice.hear(connection, "\r\n");
        }
        let closed = |phone: &Phone| phone.events.contains(&Event::Close(connection));
        alice.run(Duration::from_secs(131));
        assert_eq!(pings(&alice), 2);
        assert_eq!(
            closed(&alice),
            answers,
            "the silence of one that never answered proves nothing"
        );
    }
}

/// Alice's sips call to a phone at 192.0.2.9 is established; its connection and her INVITE.
fn call_that_stands(alice: &mut Phone) -> (CallHandle, ConnectionId, Request) {
    let call = alice
        .act(|agent, now| agent.invite(None, "sips:bob@192.0.2.9", media(20_000), now))
        .unwrap();
    let connection = alice.open();
    let invite = alice.request(connection);
    alice.hear(
        connection,
        ok_with_sdp(&invite, "<sip:bob@192.0.2.9:5060;transport=udp>"),
    );
    assert!(world::is_established(&alice.events));
    (call, connection, invite)
}

#[test]
fn a_tls_call_ignores_a_contact_without_tls() {
    let mut alice = Phone::direct();
    let (call, connection, _) = call_that_stands(&mut alice);
    alice.act(|agent, now| agent.end(call, now));
    let bye = alice.request(connection);
    assert_eq!(bye.method.to_string(), "BYE");
    assert!(
        alice.sent.iter().all(|(flow, _)| flow.is_secure()),
        "{:?}",
        alice.sent
    );
}

#[test]
fn clear_messages_do_not_touch_a_tls_call() {
    let mut alice = Phone::direct();
    alice
        .act(|agent, now| agent.invite(None, "sips:bob@192.0.2.9", media(20_000), now))
        .unwrap();
    let connection = alice.open();
    let invite = alice.request(connection);
    let ok = ok_with_sdp(&invite, "<sip:bob@192.0.2.9:5060>");
    let from: SocketAddr = "192.0.2.9:5060".parse().unwrap();
    alice.act(|agent, now| agent.handle_datagram(from, &ok, now));
    assert!(
        !world::is_established(&alice.events),
        "an answer in the clear was believed"
    );
    alice.hear(connection, &ok);
    assert!(world::is_established(&alice.events));
    let (to, from_header) = (
        invite.headers.get("From").unwrap(),
        invite.headers.get("To").unwrap(),
    );
    let bye = |branch: &str| {
        format!(
            "BYE sip:alice@192.0.2.1 SIP/2.0\r\n\
             Via: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK{branch}\r\nFrom: {from_header};tag=far\r\n\
             To: {to}\r\nCall-ID: {}\r\nCSeq: 1 BYE\r\nContent-Length: 0\r\n\r\n",
            invite.headers.call_id().unwrap()
        )
    };
    alice.act(|agent, now| agent.handle_datagram(from, bye("clear").as_bytes(), now));
    assert_eq!(alice.ended(), None, "a BYE in the clear ended the call");
    assert!(
        alice.sent.last().unwrap().1.starts_with("SIP/2.0 403"),
        "{:?}",
        alice.sent.last()
    );
    alice.hear(connection, bye("secure"));
    assert!(alice.ended().is_some());
}

#[test]
fn a_redirection_does_not_leave_tls() {
    for contact in ["<sip:bob@192.0.2.8>", "<sip:bob@192.0.2.8;transport=udp>"] {
        let mut alice = Phone::direct();
        alice
            .act(|agent, now| agent.invite(None, "sips:bob@192.0.2.9", media(20_000), now))
            .unwrap();
        let connection = alice.open();
        let mut moved = Response::reply(&alice.request(connection), 302, Some("far"));
        moved.headers.push("Contact", contact);
        alice.hear(connection, moved.to_bytes());
        assert!(
            alice.ended().unwrap().contains("out of TLS"),
            "{:?}",
            alice.ended()
        );
        assert_eq!(alice.asked.len(), 1);
    }
    // Not by sips:, but over TLS: what follows uses TLS, or is no way at all.
    for (contact, followed) in [
        ("<sip:bob@192.0.2.8>", true),
        ("<sip:bob@192.0.2.8;transport=tcp>", false),
    ] {
        let mut alice = Phone::direct();
        let call = |agent: &mut UserAgent, now| {
            agent.invite(None, "sip:bob@192.0.2.9;transport=tls", media(20_000), now)
        };
        alice.act(call).unwrap();
        let connection = alice.open();
        let mut moved = Response::reply(&alice.request(connection), 302, Some("far"));
        moved.headers.push("Contact", contact);
        alice.hear(connection, moved.to_bytes());
        assert_eq!(alice.asked.len() == 2, followed, "{:?}", alice.ended());
        assert!(alice.sent.iter().all(|(flow, _)| flow.is_secure()));
    }
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

#[test]
fn a_tls_account_does_not_ring_for_clear_requests() {
    let mut alice = Phone::with_line();
    let connection = alice.register();
    let contact = alice
        .request(connection)
        .headers
        .contacts()
        .unwrap()
        .pop()
        .unwrap()
        .uri;
    let invite = |branch: &str, via: &str| {
        let body = sdp("192.0.2.9", "");
        format!(
            "INVITE {contact} SIP/2.0\r\nVia: SIP/2.0/{via} 192.0.2.9;branch=z9hG4bK{branch}\r\n\
             Max-Forwards: 70\r\nFrom: <sip:bob@example.org>;tag=b\r\n\
             To: <sip:101@example.org>\r\nCall-ID: {branch}\r\nCSeq: 1 INVITE\r\n\
             Contact: <sip:bob@192.0.2.9>\r\nContent-Type: application/sdp\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let rings = |phone: &Phone| {
        phone
            .events
            .iter()
            .filter(|event| matches!(event, Event::Incoming { .. }))
            .count()
    };
    let sent = alice.sent.len();
    let from: SocketAddr = "192.0.2.9:5061".parse().unwrap();
    alice.act(|agent, now| agent.handle_datagram(from, invite("clear", "UDP").as_bytes(), now));
    assert_eq!(
        (rings(&alice), alice.sent.len()),
        (0, sent),
        "not even an answer"
    );
    alice.hear(connection, invite("secure", "TLS"));
    assert_eq!(rings(&alice), 1);
}
