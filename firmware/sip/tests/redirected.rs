//! Registrars that send the REGISTER elsewhere: followed, with limits, and the password stays in
//! the account's realm.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of a test program: what cannot be is a failed test"
)]

mod world;

use std::collections::BTreeMap;
use std::time::Duration;

use sip::message::{Message, Method, Request};
use sip::{AccountId, Event, Target, Transport};
use world::{World, account, config, is_established, media, sdp};

const OWN: &str = "192.0.2.11:5060";
const OTHER: &str = "198.51.100.12:5060";
const THIRD: &str = "203.0.113.13:5060";

/// What a server does with a REGISTER.
#[derive(Clone)]
enum Does {
    /// 302 with these contacts.
    Redirects(Vec<String>),
    /// Asks for the password in this realm, and takes whatever it gets.
    Asks(&'static str),
    Takes,
    Refuses(u16),
}

fn to(contacts: &[&str]) -> Does {
    Does::Redirects(contacts.iter().map(|c| format!("<{c}>")).collect())
}

struct Site {
    world: World,
    servers: BTreeMap<&'static str, Does>,
    /// Seconds, server, request.
    seen: Vec<(f64, String, Request)>,
}

impl Site {
    fn new(servers: &[(&'static str, Does)]) -> Self {
        let mut config = config("alice", "192.0.2.1:5060", 1);
        config
            .accounts
            .push(account("101", "example.com", "secret"));
        let mut world = World::new(vec![config]);
        let address = OWN.parse().unwrap();
        let transport = Transport::Udp;
        let own = vec![Target { transport, address }];
        world.names.insert("example.com".into(), own);
        Self {
            world,
            servers: servers.iter().cloned().collect(),
            seen: Vec::new(),
        }
    }

    fn run(&mut self, seconds: u64) {
        let end = self.world.now + Duration::from_secs(seconds);
        while self.world.now < end {
            self.world.run_ms(10);
            let at = (self.world.now - self.world.start).as_secs_f64();
            while let Some((_, to, message)) = self.world.inbox.pop_front() {
                let Message::Request(request) = message else {
                    continue;
                };
                self.handle(&to.to_string(), &request);
                self.seen.push((at, to.to_string(), request));
            }
        }
    }

    fn handle(&mut self, server: &str, request: &Request) {
        let Some(does) = self.servers.get(server).cloned() else {
            return;
        };
        let world = &mut self.world;
        let authorized = request.headers.get("Authorization").is_some();
        match (does, &request.method) {
            (_, Method::Ack) => {}
            (Does::Redirects(contacts), Method::Register) => {
                let contacts: Vec<_> = contacts.iter().map(|c| ("Contact", c.as_str())).collect();
                world.answer(request, 302, Some("r"), server, &contacts, None);
            }
            (Does::Refuses(code), _) => world.answer(request, code, Some("r"), server, &[], None),
            (Does::Asks(realm), Method::Register | Method::Invite) if !authorized => {
                let challenge = format!("Digest realm=\"{realm}\", nonce=\"n\", qop=\"auth\"");
                world.challenge(request, Some("r"), server, &challenge);
            }
            (_, Method::Register) => {
                let contacts = request.headers.contacts().unwrap();
                let bound = contacts.last().unwrap().uri.to_string();
                let contact = format!("<{bound}>;expires=600");
                let headers = [("Contact", contact.as_str())];
                world.answer(request, 200, Some("r"), server, &headers, None);
            }
            (_, Method::Invite) => {
                let contact = format!("<sip:peer@{server}>");
                let headers = [("Contact", contact.as_str())];
                let body = sdp("192.0.2.12", "");
                world.answer(request, 200, Some("r"), server, &headers, Some(&body));
            }
            _ => world.answer(request, 200, Some("r"), server, &[], None),
        }
    }

    /// Servers that got a REGISTER, in order; those with a password are marked.
    fn registers(&self) -> Vec<String> {
        let seen = self
            .seen
            .iter()
            .filter(|(.., r)| r.method == Method::Register);
        let marked = |request: &Request| {
            let given = request.headers.get("Authorization").is_some();
            if given { "+password" } else { "" }
        };
        let ip = |server: &str| server.split(':').next().unwrap().to_owned();
        seen.map(|(_, to, r)| ip(to) + marked(r)).collect()
    }

    fn is_registered(&mut self) -> bool {
        let mut events = self.world.events(0).into_iter().rev();
        let last = events.find_map(|event| match event {
            Event::Registration { until, .. } => Some(until.is_some()),
            _ => None,
        });
        last == Some(true)
    }
}

#[test]
fn a_registrar_named_by_the_own_one_is_used_and_calls_go_there() {
    let other = to(&["sip:101@198.51.100.12"]);
    let mut site = Site::new(&[(OWN, other), (OTHER, Does::Asks("example.com"))]);
    site.run(2);
    assert!(site.is_registered());
    let register = "198.51.100.12";
    assert_eq!(
        site.registers(),
        ["192.0.2.11", register, &format!("{register}+password")]
    );
    // RFC 3261 section 8.1.3.4: the same call, the next number, another Request-URI, our own
    // address of record.
    let requests: Vec<_> = site.seen.iter().map(|(.., r)| r).collect();
    assert_eq!(requests[1].uri.to_string(), "sip:198.51.100.12");
    assert_eq!(requests[0].headers.call_id(), requests[1].headers.call_id());
    assert_eq!(requests[1].headers.cseq().unwrap().number, 2);
    let to = requests[2].headers.to().unwrap().uri.to_string();
    assert_eq!(to, "sip:101@example.com");
    site.seen.clear();
    let (agent, now) = (&mut site.world.phones[0].agent, site.world.now);
    let media = media(20_000);
    agent.invite(Some(AccountId(0)), "555", media, now).unwrap();
    site.run(1);
    assert!(is_established(&site.world.events(0)));
    assert!(site.seen.iter().all(|(_, to, _)| to == OTHER));
    // The next refresh asks the own one again.
    site.seen.clear();
    site.run(600);
    assert_eq!(
        site.registers().first().map(String::as_str),
        Some("192.0.2.11")
    );
    assert!(site.is_registered());
}

#[test]
fn the_password_stays_in_the_realm_of_the_account() {
    let led = to(&["sip:198.51.100.12"]);
    let mut site = Site::new(&[(OWN, led), (OTHER, Does::Asks("elsewhere"))]);
    site.run(60);
    assert!(!site.is_registered());
    let registers = site.registers();
    assert!(registers.iter().all(|r| !r.contains('+')), "{registers:?}");
    assert!(registers.len() <= 16, "{registers:?}");
}

#[test]
fn rings_of_registrars_end() {
    let mut site = Site::new(&[
        (OWN, to(&["sip:198.51.100.12"])),
        (OTHER, to(&["sip:203.0.113.13"])),
        (THIRD, to(&["sip:198.51.100.12", "sip:example.com"])),
    ]);
    site.run(1);
    let registers = site.registers();
    assert!((3..=5).contains(&registers.len()), "{registers:?}");
    // It is asked again with a back-off that begins at seconds, as after any refusal.
    site.run(60);
    assert!(site.registers().len() <= 50, "{:?}", site.registers());
}

#[test]
fn a_silent_or_failing_contact_is_followed_by_the_next() {
    for first in [None, Some(Does::Refuses(500)), Some(Does::Refuses(404))] {
        let led = to(&["sip:198.51.100.12", "sip:203.0.113.13"]);
        let mut site = Site::new(&[(OWN, led), (THIRD, Does::Takes)]);
        if let Some(first) = first {
            site.servers.insert(OTHER, first);
        }
        site.run(5);
        assert!(site.is_registered());
        let at = site.seen.iter().find(|(_, to, _)| to == THIRD).unwrap().0;
        assert!(at <= 4.0, "after {at} s");
    }
}

#[test]
fn a_refused_password_is_not_tried_elsewhere() {
    let led = to(&["sip:198.51.100.12", "sip:203.0.113.13"]);
    let refuses = Does::Refuses(403);
    let mut site = Site::new(&[(OWN, led), (OTHER, refuses), (THIRD, Does::Takes)]);
    site.run(1);
    assert_eq!(site.registers(), ["192.0.2.11", "198.51.100.12"]);
}

#[test]
fn the_binding_is_taken_away_where_it_is() {
    let other = to(&["sip:198.51.100.12"]);
    let mut site = Site::new(&[(OWN, other), (OTHER, Does::Takes)]);
    site.run(2);
    site.seen.clear();
    site.world.phones[0].agent.shut_down(site.world.now);
    site.run(2);
    let last = site.seen.last().unwrap();
    assert_eq!(
        (last.1.as_str(), last.2.headers.get("Expires")),
        (OTHER, Some("0"))
    );
    site.world.assert_quiet();
}

#[test]
fn a_redirection_without_contact_is_a_refusal() {
    let mut site = Site::new(&[(OWN, to(&[]))]);
    site.run(1);
    assert_eq!(site.registers(), ["192.0.2.11"]);
    assert!(!site.is_registered());
}

#[test]
fn the_registrar_it_was_sent_to_stands_in_for_a_dead_first_one() {
    for ails in [None, Some(Does::Refuses(500)), Some(Does::Refuses(503))] {
        let other = to(&["sip:101@198.51.100.12"]);
        let asks = Does::Asks("example.com");
        let mut site = Site::new(&[(OWN, other.clone()), (OTHER, asks)]);
        site.run(2);
        assert!(site.is_registered());
        match ails {
            Some(ails) => site.servers.insert(OWN, ails),
            None => site.servers.remove(OWN),
        };
        // For many refreshes, without a gap: each asks the own one first, four seconds at most.
        let mut gaps = 0;
        for _ in 0..20 {
            site.seen.clear();
            site.run(300);
            let bound = site
                .world
                .events(0)
                .into_iter()
                .filter_map(|event| match event {
                    Event::Registration { until, .. } => Some(until.is_some()),
                    _ => None,
                });
            gaps += bound.filter(|bound| !bound).count();
            let to_other = site.seen.iter().find(|(_, to, _)| to == OTHER);
            let to_own = site.seen.iter().find(|(_, to, _)| to == OWN);
            if let (Some((at, ..)), Some((first, ..))) = (to_other, to_own)
                && at > first
            {
                assert!(at - first <= 4.0, "{first} {at}");
            }
        }
        assert_eq!(gaps, 0, "it was not registered for a while");
        // Calls go there.
        site.seen.clear();
        let (agent, now) = (&mut site.world.phones[0].agent, site.world.now);
        let media = media(20_000);
        agent.invite(Some(AccountId(0)), "555", media, now).unwrap();
        site.run(1);
        assert!(is_established(&site.world.events(0)));
        // The own one is back, and sends it elsewhere.
        site.servers.insert(OWN, to(&["sip:203.0.113.13"]));
        site.servers.insert(THIRD, Does::Takes);
        site.run(600);
        assert_eq!(
            site.registers().last().map(String::as_str),
            Some("203.0.113.13")
        );
        // And that one stands in from then on.
        site.servers.remove(OWN);
        site.seen.clear();
        site.run(600);
        let registers = site.registers();
        assert!(
            registers.iter().any(|to| to == "203.0.113.13"),
            "{registers:?}"
        );
        assert!(
            registers.iter().all(|to| to != "198.51.100.12"),
            "{registers:?}"
        );
    }
}

#[test]
fn a_dead_server_that_never_redirected_is_a_failure() {
    let other = to(&["sip:101@198.51.100.12"]);
    let mut site = Site::new(&[(OWN, other), (OTHER, Does::Takes)]);
    site.run(2);
    assert!(site.is_registered());
    site.servers.clear();
    site.run(1300);
    assert!(!site.is_registered());
    // Back-off, not a ring: two servers, each asked once a round, rounds up to 50 s apart.
    let late = site.world.now - site.world.start;
    site.seen.clear();
    site.run(600);
    let rounds = site.registers().len();
    assert!(
        rounds <= 2 * 3 * 24,
        "{rounds} REGISTERs in 600 s after {late:?}"
    );
}
