//! Two accounts at one server: each keeps its own name, password, contact and transport, and what
//! one of them learns of the server or of the way there helps the other.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of a test program: what cannot be is a failed test"
)]

mod world;

use std::collections::BTreeMap;
use std::time::Duration;

use sip::message::{Message, Method, Request, Response};
use sip::{AccountConfig, AccountId, Event, Transport};
use world::{Ask, World, account, config, media, sdp};

const FIRST: &str = "192.0.2.9:5060";
const SECOND: &str = "192.0.2.10:5060";
const USERS: [&str; 2] = ["101", "102"];

/// The phone, its accounts, and the servers that are up.
struct Site {
    world: World,
    up: Vec<&'static str>,
    /// Where a router shows the phone to the servers.
    seen_at: Option<String>,
    /// Whether passwords are asked for.
    asks: bool,
    /// Seconds, server and request, in order.
    seen: Vec<(f64, String, Request)>,
    /// The contact each user has registered.
    bound: BTreeMap<String, String>,
}

impl Site {
    fn new(change: impl Fn(usize, AccountConfig) -> AccountConfig) -> Self {
        let mut config = config("alice", "192.0.2.1:5060", 1);
        config.direct_calls = false;
        config.direct_callers = sip::DirectCallers::Listed;
        let accounts = USERS.iter().enumerate().map(|(index, user)| {
            let account = AccountConfig {
                backup_servers: vec![SECOND.into()],
                ..account(user, "192.0.2.9", &format!("secret{user}"))
            };
            change(index, account)
        });
        config.accounts = accounts.collect();
        Self {
            world: World::new(vec![config]),
            up: vec![FIRST, SECOND],
            seen_at: None,
            asks: false,
            seen: Vec::new(),
            bound: BTreeMap::new(),
        }
    }

    fn now_s(&self) -> f64 {
        (self.world.now - self.world.start).as_secs_f64()
    }

    fn run(&mut self, time: Duration) {
        let end = self.world.now + time;
        while self.world.now < end {
            self.world.run_ms(10);
            while let Some((_, to, message)) = self.world.inbox.pop_front() {
                let Message::Request(request) = message else {
                    continue;
                };
                let server = to.to_string();
                if self.up.contains(&server.as_str()) && request.method != Method::Ack {
                    self.answer(&server, &request);
                }
                let branch = |r: &Request| r.headers.top_via().unwrap().to_string();
                let mut seen = self.seen.iter();
                if !seen.any(|(.., other)| branch(other) == branch(&request)) {
                    self.seen.push((self.now_s(), server, request));
                }
            }
        }
    }

    fn answer(&mut self, server: &str, request: &Request) {
        let mut seen = request.clone();
        if let Some(address) = &self.seen_at {
            let (ip, port) = address.split_once(':').unwrap();
            let via = request.headers.top_via().unwrap().to_string();
            let via = via.replace(";rport", &format!(";rport={port};received={ip}"));
            seen.headers.set("Via", via);
        }
        let is_register = request.method == Method::Register;
        if is_register && self.asks && request.headers.get("Authorization").is_none() {
            let challenge = "Digest realm=\"pbx\", nonce=\"n\", qop=\"auth\"";
            return self.world.challenge(&seen, Some("s"), server, challenge);
        }
        let mut response = Response::reply(&seen, 200, Some("s"));
        if is_register {
            let contact = request.headers.contacts().unwrap().pop().unwrap();
            let binding = format!("<{}>;expires=600", contact.uri);
            response.headers.push("Contact", binding);
            self.bound.insert(user_of(request), contact.uri.to_string());
        } else {
            response
                .headers
                .push("Contact", format!("<sip:p@{server}>"));
        }
        if request.method == Method::Invite {
            response.headers.push("Content-Type", "application/sdp");
            response.body = sdp("192.0.2.9", "").into_bytes().into();
        }
        self.world.send(server, 0, response.to_bytes());
    }

    /// When, by whom and where requests of this method went, since the last call.
    fn take(&mut self, method: &Method) -> Vec<(f64, String, String)> {
        let seen = std::mem::take(&mut self.seen);
        let of_it = seen.into_iter().filter(|(.., r)| r.method == *method);
        of_it.map(|(at, to, r)| (at, user_of(&r), to)).collect()
    }

    /// An INVITE from the server to this address of ours; the account it came in by.
    fn called(&mut self, from: &str, uri: &str, to: &str, serial: usize) -> Option<AccountId> {
        let (branch, id) = (format!("z9hG4bK{serial}"), format!("call-{serial}"));
        let invite = Ask {
            branch: &branch,
            call_id: &id,
            from,
            to: format!("<{to}>"),
            ..Ask::invite()
        };
        let text = invite.text().replacen("sip:alice@192.0.2.1", uri, 1);
        self.world.events(0);
        self.world.send(from, 0, text);
        self.world.run_ms(50);
        let events = self.world.events(0);
        self.world.inbox.clear();
        let by = events.iter().find_map(|event| match event {
            Event::Incoming { account, call, .. } => Some((*account, *call)),
            _ => None,
        });
        let (account, call) = by?;
        self.world.with(0, |agent, now| agent.end(call, now));
        account
    }
}

fn user_of(request: &Request) -> String {
    request.headers.from().unwrap().uri.user().unwrap()
}

const fn seconds(s: u64) -> Duration {
    Duration::from_secs(s)
}

#[test]
fn each_registers_with_its_own_name_password_and_contact() {
    let mut site = Site::new(|_, account| account);
    site.asks = true;
    site.run(seconds(2));
    let registered: Vec<&String> = site.bound.keys().collect();
    assert_eq!(registered, USERS.iter().collect::<Vec<_>>());
    let contacts: Vec<&String> = site.bound.values().collect();
    assert_ne!(contacts[0], contacts[1]);
    let mut proved = 0;
    for (.., request) in &site.seen {
        let authorization = request.headers.get("Authorization");
        if let Some(authorization) = authorization {
            let user = format!("username=\"{}\"", user_of(request));
            assert!(authorization.contains(&user), "{authorization}");
            proved += 1;
        }
    }
    assert_eq!(proved, 2);
}

#[test]
fn incoming_calls_reach_the_account_they_are_for() {
    // The second one does not register: its server knows the phone's address.
    for registers in [true, false] {
        let mut site = Site::new(|index, account| AccountConfig {
            register: index == 0 || registers,
            ..account
        });
        site.run(seconds(2));
        let contacts = site.bound.clone();
        let mut serial = 0;
        for (index, user) in USERS.into_iter().enumerate() {
            let address = format!("sip:{user}@192.0.2.1:5060");
            let ours = format!("sip:{user}@192.0.2.9");
            let mut ways = vec![
                // To the number, and to whatever a server makes of it where To says who is meant.
                (address, ours.clone()),
                ("sip:s@192.0.2.1".to_owned(), ours),
            ];
            // To the contact: it counts, whatever To names (a group, a forwarded number).
            let contact = contacts.get(user).cloned();
            ways.extend(contact.map(|uri| (uri, "sip:600@192.0.2.9".to_owned())));
            for (uri, to) in ways {
                for from in [FIRST, SECOND] {
                    serial += 1;
                    let by = site.called(from, &uri, &to, serial);
                    // A server the account was not found at yet is none of its own.
                    if from == FIRST || by.is_some() {
                        assert_eq!(by, Some(AccountId(index)), "{uri} {to} {from}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_server_that_dies_is_left_by_both_and_both_come_back() {
    let mut site = Site::new(|_, account| account);
    site.run(seconds(2));
    site.up.retain(|server| *server != FIRST);
    site.seen.clear();
    site.run(seconds(120));
    let moved = site.take(&Method::Register);
    let at = |user: &str| moved.iter().find(|(_, u, to)| u == user && to == SECOND);
    let [first, other] = USERS.map(|user| at(user).unwrap().0);
    // Whoever notices it first, the other one waits for no timer of its own.
    assert!((first - other).abs() <= 4.5, "{moved:?}");
    // Each asks the dead one once more itself, and no more.
    let dead: Vec<_> = moved.iter().filter(|(.., to)| to == FIRST).collect();
    assert_eq!(dead.len(), 2, "{dead:?}");
    // Calls by either go to the second one, at once.
    for (index, user) in USERS.into_iter().enumerate() {
        let begun = site.now_s();
        let by = Some(AccountId(index));
        let (world, media) = (&mut site.world, media(20_000));
        let call = world.with(0, |agent, now| agent.invite(by, "555", media, now));
        site.run(seconds(1));
        let invites = site.take(&Method::Invite);
        assert_eq!(invites.len(), 1, "{invites:?}");
        assert_eq!((&*invites[0].1, &*invites[0].2), (user, SECOND));
        assert!(invites[0].0 - begun <= 0.5, "{invites:?}");
        site.world
            .with(0, |agent, now| agent.end(call.unwrap(), now));
        site.run(seconds(1));
    }
    // And incoming ones from there reach the right account.
    let contacts: Vec<String> = site.bound.values().cloned().collect();
    for (index, contact) in contacts.iter().enumerate() {
        let by = site.called(SECOND, contact, "sip:x@192.0.2.9", index);
        assert_eq!(by, Some(AccountId(index)));
    }
    site.up.push(FIRST);
    site.seen.clear();
    site.run(seconds(60));
    let back = site.take(&Method::Register);
    let users: Vec<&str> = back.iter().map(|(_, user, _)| user.as_str()).collect();
    assert!(back.iter().all(|(.., to)| to == FIRST), "{back:?}");
    assert!(USERS.iter().all(|user| users.contains(user)), "{back:?}");
    assert!(back.len() <= 4, "{back:?}");
}

#[test]
fn another_mapping_that_one_notices_is_asked_for_by_the_other() {
    let mut site = Site::new(|_, account| account);
    site.seen_at = Some("203.0.113.5:40123".into());
    site.run(seconds(5));
    for round in 0..4_u16 {
        let outside = format!("203.0.113.5:{}", 41_000 + round);
        site.seen_at = Some(outside.clone());
        site.seen.clear();
        site.run(seconds(200));
        let registers = site.take(&Method::Register);
        let first = |user: &str| registers.iter().find(|(_, u, _)| u == user);
        let [one, other] = USERS.map(|user| first(user).unwrap().0);
        assert!((one - other).abs() <= 1.5, "{registers:?}");
        assert!(
            site.bound
                .values()
                .all(|contact| contact.contains(&outside))
        );
        assert!(registers.len() <= 8, "{registers:?}");
    }
}

#[test]
fn a_router_with_another_port_for_each_packet_makes_no_flood() {
    let mut site = Site::new(|_, account| account);
    let mut port = 40_000;
    let end = site.world.now + seconds(600);
    while site.world.now < end {
        port += 1;
        site.seen_at = Some(format!("203.0.113.5:{port}"));
        site.run(Duration::from_millis(50));
    }
    // Two accounts, one question each 75 s, three REGISTERs for each change that is found.
    let registers = site.take(&Method::Register);
    assert!(registers.len() <= 2 * 3 * 20, "{}", registers.len());
    let last = site.world.events(0).into_iter().rev();
    let states = last.filter_map(|event| match event {
        Event::Registration { account, until, .. } => Some((account, until.is_some())),
        _ => None,
    });
    for state in states {
        assert!(state.1, "{state:?} is not registered");
    }
}

#[test]
fn one_by_udp_and_one_by_tcp_stand_side_by_side() {
    let mut config = config("alice", "192.0.2.1:5060", 1);
    config.accounts = vec![
        AccountConfig {
            register: false,
            ..account("101", "192.0.2.9", "secret")
        },
        AccountConfig {
            transport: Transport::Tcp,
            ..account("102", "192.0.2.9", "secret")
        },
    ];
    let mut world = World::new(vec![config, world::config("pbx", FIRST, 2)]);
    world.run_ms(100);
    assert_eq!((world.connections(), world.sent("REGISTER")), (1, 1));
    // What the one loses is not the other's: its calls go by its own transport all the while.
    world.break_connections();
    let by = Some(AccountId(0));
    let called = world.with(0, |alice, now| alice.invite(by, "300", media(20_000), now));
    world.run_ms(10);
    assert!(called.is_ok() && world.sent("INVITE") == 1);
    world.run(seconds(3));
    assert_eq!(world.connections(), 1, "it is opened again");
    assert!(world.sent("REGISTER") >= 2);
}

#[test]
fn a_network_that_flaps_floods_no_registrar() {
    let mut site = Site::new(|_, account| account);
    site.run(seconds(2));
    site.seen.clear();
    let mut last = String::new();
    // Ten other addresses a second, for a minute.
    for n in 0..600 {
        last = format!("192.0.2.{}:5060", 20 + n % 200);
        site.world.phones[0].address = last.parse().unwrap();
        let addresses = world::own(&last);
        site.world.with(0, |agent, now| {
            agent.handle_local_addresses(addresses, now);
        });
        if n % 3 == 0 {
            site.world.with(0, sip::UserAgent::handle_network_change);
        }
        site.run(Duration::from_millis(100));
    }
    let during = site.take(&Method::Register);
    assert!(during.len() <= 2 * 16, "{} REGISTERs", during.len());
    // The first one left at once, and the last address is registered soon after.
    assert!(during[0].0 <= 2.2, "{during:?}");
    site.run(seconds(9));
    assert!(site.bound.values().all(|contact| contact.contains(&last)));
    // A change after that is followed at once again.
    site.run(seconds(70));
    site.seen.clear();
    let begun = site.now_s();
    site.world.with(0, sip::UserAgent::handle_network_change);
    site.run(Duration::from_millis(200));
    let again = site.take(&Method::Register);
    assert_eq!(again.len(), 2, "{again:?}");
    assert!(again.iter().all(|(at, ..)| at - begun <= 0.1), "{again:?}");
}
