//! Servers that do not answer: the next one, what is remembered, and the way back.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of a test program: what cannot be is a failed test"
)]

mod world;

use std::net::SocketAddr;
use std::time::Duration;

use sip::message::{Message, Method, Request, Response};
use sip::{AccountConfig, AccountId, Event, Target, Transport};
use world::{World, account, config, ends, media, sdp};

const FIRST: &str = "192.0.2.11:5060";
const SECOND: &str = "192.0.2.12:5060";

fn udp(address: &str) -> Target {
    Target {
        transport: Transport::Udp,
        address: address.parse().unwrap(),
    }
}

fn with(account: AccountConfig) -> World {
    let mut config = config("alice", "192.0.2.1:5060", 1);
    config.accounts.push(account);
    let mut world = World::new(vec![config]);
    let servers = vec![udp(FIRST), udp(SECOND)];
    world.names.insert("example.com".into(), servers);
    world
}

/// Servers of the test's own that answer whatever comes to them.
struct Servers {
    alive: Vec<SocketAddr>,
    /// Seconds and address of each request that was not a repetition.
    seen: Vec<(f64, SocketAddr, Request)>,
}

impl Servers {
    fn new(alive: &[&str]) -> Self {
        Self {
            alive: alive.iter().map(|text| text.parse().unwrap()).collect(),
            seen: Vec::new(),
        }
    }

    /// Lets time pass and answers.
    fn run(&mut self, world: &mut World, time: Duration) {
        let end = world.now + time;
        while world.now < end {
            world.run_ms(10);
            while let Some((_, to, message)) = world.inbox.pop_front() {
                let Message::Request(request) = message else {
                    continue;
                };
                let at = (world.now - world.start).as_secs_f64();
                let branch = |r: &Request| r.headers.top_via().unwrap().to_string();
                if !self
                    .seen
                    .iter()
                    .any(|(.., r)| branch(r) == branch(&request))
                {
                    self.seen.push((at, to, request.clone()));
                }
                if self.alive.contains(&to) && request.method != Method::Ack {
                    answer(world, to, &request);
                }
            }
        }
    }

    /// When and where requests of this method went, since the last call.
    fn take(&mut self, method: &Method) -> Vec<(f64, String)> {
        let seen = std::mem::take(&mut self.seen);
        let of_it = seen.into_iter().filter(|(.., r)| r.method == *method);
        of_it.map(|(at, to, _)| (at, to.to_string())).collect()
    }
}

fn answer(world: &mut World, at: SocketAddr, request: &Request) {
    let mut response = Response::reply(request, 200, Some("s"));
    let contact = match request.method {
        Method::Register => {
            let contact = request.headers.contacts().unwrap().pop().unwrap();
            format!("<{}>;expires=600", contact.uri)
        }
        _ => format!("<sip:peer@{at}>"),
    };
    response.headers.push("Contact", contact);
    if request.method == Method::Invite {
        response.headers.push("Content-Type", "application/sdp");
        response.body = sdp("192.0.2.12", "").into_bytes().into();
    }
    world.send(&at.to_string(), 0, response.to_bytes());
}

fn seconds(s: u64) -> Duration {
    Duration::from_secs(s)
}

/// When the account became registered, in seconds since the start.
fn registered_at(world: &mut World) -> Option<f64> {
    let start = world.start;
    let registered = |event: Event| match event {
        Event::Registration {
            until: Some(until), ..
        } => Some((until - start).as_secs_f64() - 600.0),
        _ => None,
    };
    world.events(0).into_iter().find_map(registered)
}

fn place_call(world: &mut World) -> f64 {
    let now = world.now;
    let agent = &mut world.phones[0].agent;
    agent
        .invite(Some(AccountId(0)), "555", media(20_000), now)
        .unwrap();
    (now - world.start).as_secs_f64()
}

#[test]
fn a_dead_first_server_costs_seconds_once() {
    let mut world = with(account("101", "example.com", "secret"));
    let mut servers = Servers::new(&[SECOND]);
    servers.run(&mut world, seconds(6));
    let at = registered_at(&mut world).unwrap();
    assert!(at <= 5.0, "registered after {at} s");
    assert_eq!(
        world.phones[0].agent.account_servers(AccountId(0)),
        (Some(udp(SECOND)), &[udp(FIRST)][..])
    );
    servers.take(&Method::Register);
    // The call goes where the registration went, without a question to the name server.
    let begun = place_call(&mut world);
    servers.run(&mut world, seconds(1));
    let invites = servers.take(&Method::Invite);
    assert_eq!(invites.len(), 1, "{invites:?}");
    assert_eq!(invites[0].1, SECOND);
    assert!(invites[0].0 - begun <= 0.5, "{invites:?}");
    assert!(world::is_established(&world.events(0)));
}

#[test]
fn a_call_without_registration_goes_to_the_next_server() {
    let mut settings = account("101", "example.com", "secret");
    settings.register = false;
    let mut world = with(settings);
    let mut servers = Servers::new(&[SECOND]);
    for known in [false, true] {
        let begun = place_call(&mut world);
        servers.run(&mut world, seconds(5));
        let invites = servers.take(&Method::Invite);
        let (at, to) = invites.last().unwrap();
        let limit = if known { 0.5 } else { 4.0 };
        assert_eq!(to, SECOND);
        assert!(at - begun <= limit, "known {known}: {invites:?}");
        assert!(world::is_established(&world.events(0)));
    }
}

#[test]
fn the_first_server_is_used_again_when_it_answers() {
    let mut world = with(account("101", "example.com", "secret"));
    let mut servers = Servers::new(&[SECOND]);
    servers.run(&mut world, seconds(60));
    servers.alive.push(FIRST.parse().unwrap());
    let back = (world.now - world.start).as_secs_f64();
    servers.seen.clear();
    servers.run(&mut world, seconds(60));
    let registers = servers.take(&Method::Register);
    assert_eq!(registers.len(), 1, "{registers:?}");
    assert_eq!(registers[0].1, FIRST);
    assert!(registers[0].0 - back <= 40.0, "{registers:?}");
    assert_eq!(
        world.phones[0].agent.account_servers(AccountId(0)),
        (Some(udp(FIRST)), &[][..])
    );
    // From now on it is only asked whether it is still there.
    servers.run(&mut world, seconds(120));
    let asked = servers.take(&Method::Options);
    assert!(asked.len() <= 2, "{asked:?}");
}

#[test]
fn the_registration_follows_when_its_server_dies() {
    let mut world = with(account("101", "example.com", "secret"));
    let mut servers = Servers::new(&[FIRST, SECOND]);
    servers.run(&mut world, seconds(2));
    servers.alive.remove(0);
    servers.seen.clear();
    let begun = place_call(&mut world);
    servers.run(&mut world, seconds(8));
    // It is asked once more itself before the registration moves.
    let registers = servers.take(&Method::Register);
    let to: Vec<&str> = registers.iter().map(|(_, to)| to.as_str()).collect();
    assert_eq!(to, [FIRST, SECOND]);
    assert!(registers[1].0 - begun <= 7.5, "{registers:?}");
    assert!(world::is_established(&world.events(0)));
}

/// Drops requests of this method from now on.
fn lose(world: &mut World, method: Method) {
    world.loses = Box::new(
        move |message| matches!(message, Message::Request(request) if request.method == method),
    );
}

#[test]
fn a_lost_question_moves_no_registration() {
    for lost in [Method::Options, Method::Invite] {
        let mut world = with(account("101", "example.com", "secret"));
        let mut servers = Servers::new(&[FIRST, SECOND]);
        servers.run(&mut world, seconds(70));
        assert!(!servers.take(&Method::Options).is_empty());
        lose(&mut world, lost.clone());
        if lost == Method::Invite {
            place_call(&mut world);
        }
        servers.run(&mut world, seconds(75));
        let registers = servers.take(&Method::Register);
        assert!(!registers.is_empty(), "{lost}: nothing was asked");
        assert!(registers.iter().all(|(_, to)| to == FIRST), "{registers:?}");
        let at = world.phones[0].agent.account_servers(AccountId(0));
        assert_eq!(at, (Some(udp(FIRST)), &[][..]), "{lost}");
    }
}

#[test]
fn a_server_that_dies_silently_is_left_within_seconds() {
    let mut world = with(account("101", "example.com", "secret"));
    let mut servers = Servers::new(&[FIRST, SECOND]);
    servers.run(&mut world, seconds(70));
    servers.alive.remove(0);
    servers.seen.clear();
    servers.run(&mut world, seconds(75));
    let seen = |method: Method, server: &str| {
        let mut seen = servers.seen.iter();
        let found = seen.find(|(_, to, r)| r.method == method && to.to_string() == server);
        found.unwrap().0
    };
    let (asked, moved) = (seen(Method::Options, FIRST), seen(Method::Register, SECOND));
    assert!(
        moved - asked <= 7.5,
        "asked at {asked} s, moved at {moved} s"
    );
    // The way back is probed, though the last REGISTER began at the dead server.
    let at = world.phones[0].agent.account_servers(AccountId(0));
    assert_eq!(at, (Some(udp(SECOND)), &[udp(FIRST)][..]));
    servers.alive.push(FIRST.parse().unwrap());
    servers.run(&mut world, seconds(45));
    let at = world.phones[0].agent.account_servers(AccountId(0));
    assert_eq!(at, (Some(udp(FIRST)), &[][..]));
}

#[test]
fn a_refused_keepalive_moves_the_registration_at_once() {
    let mut settings = account("101", "example.com", "secret");
    settings.keepalive = sip::KeepaliveMode::Always;
    let mut world = with(settings);
    let mut servers = Servers::new(&[FIRST, SECOND]);
    servers.run(&mut world, seconds(2));
    // Its process ends; the kernel of its machine says so to the next line end.
    servers.alive.remove(0);
    servers.run(&mut world, seconds(30));
    servers.take(&Method::Register);
    let refused = |world: &mut World| {
        let first: SocketAddr = FIRST.parse().unwrap();
        world.with(0, |phone, now| phone.handle_unreachable(first, now));
    };
    refused(&mut world);
    world.run_ms(1);
    // The REGISTER that asks is refused as well.
    refused(&mut world);
    servers.run(&mut world, seconds(1));
    let registers = servers.take(&Method::Register);
    let to: Vec<&str> = registers.iter().map(|(_, to)| to.as_str()).collect();
    assert_eq!(to, [FIRST, SECOND]);
    // Forged errors make no more than one question in five seconds.
    let mut second = 0;
    for _ in 0..100 {
        let at: SocketAddr = SECOND.parse().unwrap();
        world.with(0, |phone, now| phone.handle_unreachable(at, now));
        servers.run(&mut world, Duration::from_millis(100));
        second += servers.take(&Method::Register).len();
    }
    assert!(second <= 6, "{second} REGISTERs in ten seconds");
}

#[test]
fn a_question_at_the_second_server_keeps_the_way_back() {
    let mut world = with(account("101", "example.com", "secret"));
    let mut servers = Servers::new(&[SECOND]);
    servers.run(&mut world, seconds(70));
    // One call is lost at the second server, which is asked and still there.
    lose(&mut world, Method::Invite);
    place_call(&mut world);
    servers.run(&mut world, seconds(15));
    world.loses = Box::new(|_| false);
    let at = world.phones[0].agent.account_servers(AccountId(0));
    assert_eq!(at, (Some(udp(SECOND)), &[udp(FIRST)][..]));
}

#[test]
fn backup_servers_of_the_account_are_tried_in_turn() {
    let mut settings = account("101", "192.0.2.11", "secret");
    settings.backup_servers = vec!["192.0.2.99".into(), "192.0.2.12:5060".into()];
    let mut world = with(settings);
    let mut servers = Servers::new(&[SECOND]);
    servers.run(&mut world, seconds(9));
    let to: Vec<String> = servers
        .take(&Method::Register)
        .into_iter()
        .map(|(_, to)| to)
        .collect();
    assert_eq!(to, [FIRST, "192.0.2.99:5060", SECOND]);
    assert!(registered_at(&mut world).unwrap() <= 8.0);
}

#[test]
fn a_server_that_is_listed_twice_is_tried_once() {
    for (first, second) in [
        ("192.0.2.11", "192.0.2.11"),
        ("192.0.2.11", "192.0.2.11:5060"),
        ("example.com", "192.0.2.12"),
        ("example.com", "EXAMPLE.com"),
    ] {
        let mut settings = account("101", first, "secret");
        settings.backup_servers = vec![second.into()];
        let mut world = with(settings);
        world.names.insert("EXAMPLE.com".into(), vec![udp(FIRST)]);
        let mut servers = Servers::new(&[]);
        servers.run(&mut world, seconds(4));
        let registers = servers.take(&Method::Register);
        let to = |server: &str| registers.iter().filter(|(_, to)| to == server).count();
        assert!(
            to(FIRST) <= 1 && to(SECOND) <= 1,
            "{first}, {second}: {registers:?}"
        );
    }
}

/// Its addresses are others, and the server is the same.
#[test]
fn new_addresses_of_the_server_are_used_without_a_gap() {
    let mut world = with(account("101", "example.com", "secret"));
    let mut servers = Servers::new(&[FIRST]);
    servers.run(&mut world, seconds(2));
    assert!(registered_at(&mut world).is_some());
    // It moves, and says so in DNS.
    world.names.insert("example.com".into(), vec![udp(SECOND)]);
    servers.alive = vec![SECOND.parse().unwrap()];
    servers.seen.clear();
    servers.run(&mut world, seconds(600));
    let at = world.phones[0].agent.account_servers(AccountId(0));
    assert_eq!(at, (Some(udp(SECOND)), &[][..]));
    let lost = |event: &Event| matches!(event, Event::Registration { until: None, .. });
    assert!(!world.events(0).iter().any(lost));
    let begun = place_call(&mut world);
    servers.run(&mut world, seconds(1));
    let invites = servers.take(&Method::Invite);
    assert_eq!(invites.len(), 1, "{invites:?}");
    assert_eq!(
        (invites[0].1.as_str(), invites[0].0 - begun <= 0.5),
        (SECOND, true)
    );
}

#[test]
fn a_backup_proxy_takes_the_place_of_the_first_in_route() {
    let mut settings = account("101", "example.org", "secret");
    settings.outbound_proxy = Some("192.0.2.11".into());
    settings.backup_servers = vec!["192.0.2.12".into()];
    let mut world = with(settings);
    let mut servers = Servers::new(&[SECOND]);
    servers.run(&mut world, seconds(5));
    place_call(&mut world);
    servers.run(&mut world, seconds(1));
    let routes: Vec<(String, String)> = servers
        .seen
        .iter()
        .filter(|(.., r)| matches!(r.method, Method::Register | Method::Invite))
        .map(|(_, to, r)| (to.to_string(), r.headers.get("Route").unwrap().to_owned()))
        .collect();
    let pair = |to: &str, route: &str| (to.to_owned(), route.to_owned());
    assert_eq!(
        routes,
        [
            pair(FIRST, "<sip:192.0.2.11;lr>"),
            pair(SECOND, "<sip:192.0.2.12;lr>"),
            pair(SECOND, "<sip:192.0.2.12;lr>"),
        ]
    );
}

#[test]
fn an_emergency_call_does_not_wait_for_a_silent_server() {
    let mut settings = account("101", "192.0.2.11", "secret");
    settings.register = false;
    let mut world = with(settings);
    let now = world.now;
    let options = sip::InviteOptions {
        has_other_ways: true,
        ..sip::InviteOptions::default()
    };
    let agent = &mut world.phones[0].agent;
    agent
        .invite_with(Some(AccountId(0)), "112", options, media(20_000), now)
        .unwrap();
    let mut servers = Servers::new(&[]);
    servers.run(&mut world, seconds(2));
    assert_eq!(ends(&world.events(0)), [(sip::EndedBy::Failure, Some(408))]);
}

/// An emergency call by an account with two servers and no other way.
fn emergency_call() -> World {
    let mut settings = account("101", "192.0.2.11", "secret");
    settings.register = false;
    settings.backup_servers = vec!["192.0.2.12:5060".into()];
    let mut world = with(settings);
    let now = world.now;
    let options = sip::InviteOptions {
        is_emergency: true,
        ..sip::InviteOptions::default()
    };
    let agent = &mut world.phones[0].agent;
    agent
        .invite_with(Some(AccountId(0)), "112", options, media(20_000), now)
        .unwrap();
    world
}

#[test]
fn an_emergency_call_tries_each_server_for_two_seconds() {
    let mut world = emergency_call();
    let mut servers = Servers::new(&[]);
    servers.run(&mut world, seconds(10));
    let invites = servers.take(&Method::Invite);
    let to: Vec<&str> = invites.iter().map(|(_, to)| to.as_str()).collect();
    assert_eq!(to, [FIRST, SECOND]);
    assert!(invites[1].0 <= 2.0, "{invites:?}");
    assert_eq!(ends(&world.events(0)), []);
}

#[test]
fn an_emergency_call_goes_by_the_next_server_whatever_ails_the_first() {
    let mut world = emergency_call();
    world.run_ms(10);
    let Some((_, to, Message::Request(invite))) = world.inbox.pop_front() else {
        panic!("no INVITE");
    };
    assert_eq!(to.to_string(), FIRST);
    let refusal = Response::reply(&invite, 500, Some("s"));
    world.send(FIRST, 0, refusal.to_bytes());
    let mut servers = Servers::new(&[SECOND]);
    servers.run(&mut world, seconds(1));
    let to: Vec<String> = servers
        .take(&Method::Invite)
        .into_iter()
        .map(|(_, to)| to)
        .collect();
    assert_eq!(to, [SECOND]);
}

#[test]
fn a_registrar_that_keeps_no_binding_is_asked_less_and_less() {
    let mut world = with(account("101", "192.0.2.11", "secret"));
    let (end, mut asked, mut registered) = (world.now + seconds(60), 0, None);
    while world.now < end {
        world.run_ms(10);
        while let Some((_, to, message)) = world.inbox.pop_front() {
            let Message::Request(request) = message else {
                continue;
            };
            if request.method != Method::Register {
                answer(&mut world, to, &request);
                continue;
            }
            asked += 1;
            let mut response = Response::reply(&request, 200, Some("s"));
            let contact = request.headers.contacts().unwrap().pop().unwrap();
            if asked == 1 {
                let contact = format!("<{}>;expires=20", contact.uri);
                response.headers.push("Contact", contact);
            } else {
                response.headers.push("Expires", 0);
            }
            world.send(&to.to_string(), 0, response.to_bytes());
        }
        for event in world.events(0) {
            if let Event::Registration { until, .. } = event {
                registered = until;
            }
        }
    }
    assert!((2..=8).contains(&asked), "{asked}");
    assert_eq!(registered, None);
}

/// The first server answers late: what it sends, and how long after the INVITE.
fn late(answer_ms: u64, code: u16) -> (World, Servers, Request) {
    let mut settings = account("101", "example.com", "secret");
    settings.register = false;
    let mut world = with(settings);
    let mut servers = Servers::new(&[]);
    place_call(&mut world);
    servers.run(&mut world, Duration::from_millis(answer_ms));
    let invite = servers
        .seen
        .iter()
        .find(|(_, to, _)| to.to_string() == FIRST);
    let invite = invite.unwrap().2.clone();
    world.answer(
        &invite,
        code,
        Some("late"),
        FIRST,
        &[],
        (code == 200).then(|| sdp("192.0.2.11", "")).as_deref(),
    );
    (world, servers, invite)
}

#[test]
fn no_one_rings_for_a_call_that_another_server_sets_up() {
    for code in [180, 200] {
        // The second server has answered by then.
        let mut settings = account("101", "example.com", "secret");
        settings.register = false;
        let mut world = with(settings);
        let mut servers = Servers::new(&[SECOND]);
        place_call(&mut world);
        servers.run(&mut world, seconds(5));
        let first = servers
            .seen
            .iter()
            .find(|(_, to, _)| to.to_string() == FIRST);
        let invite = first.unwrap().2.clone();
        assert!(world::is_established(&world.events(0)));
        servers.seen.clear();
        let body = (code == 200).then(|| sdp("192.0.2.11", ""));
        world.answer(&invite, code, Some("late"), FIRST, &[], body.as_deref());
        servers.run(&mut world, seconds(1));
        let methods: Vec<String> = servers
            .seen
            .iter()
            .filter(|(_, to, _)| to.to_string() == FIRST)
            .map(|(.., r)| r.method.to_string())
            .collect();
        if code == 180 {
            assert_eq!(methods, ["CANCEL"]);
        } else {
            assert_eq!(methods, ["ACK", "BYE"]);
        }
        assert_eq!(ends(&world.events(0)), [], "the call goes on");
    }
}

#[test]
fn a_slow_server_that_answers_first_has_the_call() {
    let (mut world, mut servers, _) = late(3_900, 200);
    servers.run(&mut world, seconds(1));
    assert!(world::is_established(&world.events(0)));
    // The second one answers after all.
    let second = servers
        .seen
        .iter()
        .find(|(_, to, _)| to.to_string() == SECOND);
    let invite = second.unwrap().2.clone();
    servers.seen.clear();
    world.answer(&invite, 180, Some("x"), SECOND, &[], None);
    servers.run(&mut world, seconds(1));
    let to_second: Vec<String> = servers
        .seen
        .iter()
        .filter(|(_, to, _)| to.to_string() == SECOND)
        .map(|(.., r)| r.method.to_string())
        .collect();
    assert_eq!(to_second, ["CANCEL"]);
}
