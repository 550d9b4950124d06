//! A phone behind an address translator, and a phone whose network goes and comes.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of a test program: what cannot be is a failed test"
)]

mod world;

use std::time::Duration;

use sip::message::{Method, Request};
use sip::{AccountConfig, AccountId, Event, KeepaliveMode, LocalAddresses, Route};
use world::{World, account, config, media};

const REGISTRAR: &str = "192.0.2.9:5060";
const OUTSIDE: &str = "203.0.113.5:40123";
const INSTANCE: &str = "urn:uuid:00000000-0000-8000-8000-000000000001";

fn with(account: AccountConfig) -> World {
    let mut config = config("alice", "192.0.2.1:5060", 1);
    config.accounts.push(account);
    config.instance = Some(INSTANCE.into());
    let mut world = World::new(vec![config]);
    world.run_ms(1);
    world
}

fn line() -> AccountConfig {
    account("101", "192.0.2.9", "secret")
}

/// The request as the server saw it: from this address.
fn seen_from(request: &Request, address: &str) -> Request {
    let (ip, port) = address.split_once(':').unwrap();
    let mut seen = request.clone();
    let via = request.headers.top_via().unwrap().to_string();
    let via = via.replace(";rport", &format!(";rport={port};received={ip}"));
    seen.headers.set("Via", via);
    seen
}

/// Accepts the next REGISTER, which came from this address.
fn accept(world: &mut World, from: &str, extra: &[(&str, &str)]) -> Request {
    let register = world.request(&Method::Register);
    let contact = register.headers.contacts().unwrap().pop().unwrap();
    let binding = format!("<{}>;expires=600", contact.uri);
    let mut headers = vec![("Contact", binding.as_str())];
    headers.extend_from_slice(extra);
    let seen = seen_from(&register, from);
    world.answer(&seen, 200, Some("r"), REGISTRAR, &headers, None);
    world.run_ms(50);
    register
}

/// Seconds at which line ends left for the server.
fn line_ends(world: &World) -> Vec<f64> {
    let sent = world.log.iter().filter(|(_, line)| line.is_empty());
    sent.map(|(at, _)| *at).collect()
}

#[test]
fn a_mapping_of_thirty_seconds_stays_open() {
    let mut world = with(line());
    accept(&mut world, OUTSIDE, &[]);
    accept(&mut world, OUTSIDE, &[]);
    let start = (world.now - world.start).as_secs_f64();
    let mut last = start;
    while world.now - world.start < Duration::from_secs(400) {
        world.run_ms(100);
        while let Some((_, _, message)) = world.inbox.pop_front() {
            let sip::message::Message::Request(request) = message else {
                continue;
            };
            let seen = seen_from(&request, OUTSIDE);
            world.answer(&seen, 200, Some("k"), REGISTRAR, &[], None);
        }
        let newest = world.log.last().unwrap().0;
        let quiet = (world.now - world.start).as_secs_f64() - newest.max(last);
        assert!(quiet < 30.0, "nothing left for {quiet} s");
        last = newest.max(last);
    }
    assert!(line_ends(&world).len() >= 8, "{:?}", line_ends(&world));
    assert!(world.sent("OPTIONS") >= 4);
}

#[test]
fn a_phone_that_is_seen_at_its_own_address_sends_no_keepalives() {
    for (mode, sends) in [
        (KeepaliveMode::Auto, false),
        (KeepaliveMode::Always, true),
        (KeepaliveMode::Off, false),
    ] {
        let mut world = with(AccountConfig {
            keepalive: mode,
            ..line()
        });
        accept(&mut world, "192.0.2.1:5060", &[]);
        world.run(Duration::from_secs(60));
        assert_eq!(!line_ends(&world).is_empty(), sends, "{mode:?}");
    }
}

#[test]
fn an_ipv6_registrar_of_a_phone_with_both_families_takes_one_register() {
    const SERVER: &str = "[2001:db8::9]:5060";
    let routes = [("0.0.0.0", "192.0.2.1"), ("::", "2001:db8::1")].map(|(network, source)| Route {
        network: network.parse().unwrap(),
        prefix: 0,
        source: source.parse().unwrap(),
    });
    let mut config = config("alice", "192.0.2.1:5060", 1);
    config.local = LocalAddresses::new(5060, routes);
    config
        .accounts
        .push(account("101", "[2001:db8::9]", "secret"));
    let mut world = World::new(vec![config]);
    world.run_ms(1);
    let register = world.request(&Method::Register);
    let contact = register.headers.contacts().unwrap().pop().unwrap();
    assert!(
        contact.uri.to_string().contains("@[2001:db8::1]:5060"),
        "{contact}"
    );
    let mut seen = register.clone();
    let via = register.headers.top_via().unwrap().to_string();
    let via = via.replace(";rport", ";rport=5060;received=2001:db8::1");
    seen.headers.set("Via", via);
    let binding = format!("<{}>;expires=600", contact.uri);
    let headers = [("Contact", binding.as_str())];
    world.answer(&seen, 200, Some("r"), SERVER, &headers, None);
    world.run(Duration::from_secs(60));
    assert_eq!(world.sent("REGISTER"), 1);
    // Nothing translates on the way: no keepalives.
    assert_eq!(line_ends(&world), [] as [f64; 0]);
}

#[test]
fn another_mapping_is_noticed_within_a_minute_and_a_half() {
    let mut world = with(line());
    accept(&mut world, OUTSIDE, &[]);
    accept(&mut world, OUTSIDE, &[]);
    let start = world.now;
    // The router restarts: from now on everything comes from another port.
    let moved = "203.0.113.5:50999";
    let options = loop {
        world.run_ms(500);
        assert!(world.now - start < Duration::from_secs(90));
        if !world.inbox.is_empty() {
            break world.request(&Method::Options);
        }
    };
    let seen = seen_from(&options, moved);
    world.answer(&seen, 200, Some("k"), REGISTRAR, &[], None);
    let first = accept(&mut world, moved, &[]);
    let second = accept(&mut world, moved, &[]);
    let contact = second.headers.contacts().unwrap().pop().unwrap();
    assert!(contact.uri.to_string().contains(moved), "{contact}");
    assert_eq!(first.headers.call_id(), second.headers.call_id());
}

#[test]
fn calls_report_another_mapping_to_their_far_ends() {
    let mut world = with(line());
    accept(&mut world, OUTSIDE, &[]);
    accept(&mut world, OUTSIDE, &[]);
    let now = world.now;
    let agent = &mut world.phones[0].agent;
    let by = Some(AccountId(0));
    agent.invite(by, "555", media(20_000), now).unwrap();
    let invite = world.request(&Method::Invite);
    let contact = |request: &Request| request.headers.sip_contact().unwrap().uri.to_string();
    assert!(contact(&invite).contains(OUTSIDE), "{}", contact(&invite));
    let body = world::sdp("192.0.2.9", "");
    let party = [("Contact", "<sip:555@192.0.2.9>")];
    world.answer(&invite, 200, Some("p"), REGISTRAR, &party, Some(&body));
    world.request(&Method::Ack);
    world.run_ms(50);
    // A refresh that shows the same address changes nothing.
    while world.inbox.is_empty() {
        world.run_ms(500);
    }
    let options = world.request(&Method::Options);
    let seen = seen_from(&options, OUTSIDE);
    world.answer(&seen, 200, Some("k"), REGISTRAR, &[], None);
    world.run_ms(50);
    assert!(world.inbox.is_empty(), "{:?}", world.inbox);
    world.events(0);
    // The router restarts in the middle of the call.
    let moved = "203.0.113.77:50999";
    while world.inbox.is_empty() {
        world.run_ms(500);
    }
    let options = world.request(&Method::Options);
    let seen = seen_from(&options, moved);
    world.answer(&seen, 200, Some("k"), REGISTRAR, &[], None);
    accept(&mut world, moved, &[]);
    accept(&mut world, moved, &[]);
    let reinvite = world.request(&Method::Invite);
    assert!(contact(&reinvite).contains(moved), "{}", contact(&reinvite));
    assert!(reinvite.headers.to().unwrap().tag().is_some());
    world.answer(&reinvite, 200, None, REGISTRAR, &party, Some(&body));
    world.request(&Method::Ack);
    let reported = world.events(0);
    let of_call = |event: &&Event| matches!(event, Event::MappingChanged { .. });
    assert_eq!(reported.iter().filter(of_call).count(), 1, "{reported:?}");
    world.run_ms(500);
    assert!(world.inbox.is_empty(), "once: {:?}", world.inbox);
}

#[test]
fn the_address_an_account_has_outside_is_the_owners_to_say() {
    let mut config = config("alice", "192.168.1.20:5060", 1);
    config.accounts.push(AccountConfig {
        external_address: Some("203.0.113.5".parse().unwrap()),
        ..line()
    });
    let mut world = World::new(vec![config]);
    world.run_ms(1);
    let contact = |request: &Request| request.headers.sip_contact().unwrap().uri.to_string();
    let outside = |request: &Request| contact(request).ends_with("@203.0.113.5:5060");
    // Neither its router's choice of a port nor a server inside of the network changes it.
    for seen in [OUTSIDE, "192.168.1.20:5060"] {
        let register = accept(&mut world, seen, &[]);
        assert!(outside(&register), "{}", contact(&register));
        assert_eq!(register.headers.values("Contact").count(), 1);
        let via = register.headers.top_via().unwrap().to_string();
        assert!(via.contains("192.168.1.20"), "{via}");
        assert_eq!(world.sent("REGISTER"), 1, "{seen}");
        let now = world.now;
        let (by, media) = (Some(AccountId(0)), media(20_000));
        let agent = &mut world.phones[0].agent;
        let call = agent.invite(by, "555", media, now).unwrap();
        let invite = world.request(&Method::Invite);
        assert!(outside(&invite), "{}", contact(&invite));
        world.answer(&invite, 486, Some("b"), REGISTRAR, &[], None);
        world.request(&Method::Ack);
        world.with(0, |alice, now| alice.end(call, now));
        world.log.clear();
        world.with(0, sip::UserAgent::handle_network_change);
    }
}

#[test]
fn a_server_that_stops_answering_keepalives_is_lost() {
    let mut world = with(line());
    accept(&mut world, OUTSIDE, &[]);
    accept(&mut world, OUTSIDE, &[]);
    // It answers one, then no more.
    let mut answered = false;
    let start = world.now;
    let register = loop {
        world.run_ms(500);
        assert!(world.now - start < Duration::from_secs(180));
        let Some((_, _, message)) = world.inbox.pop_front() else {
            continue;
        };
        let sip::message::Message::Request(request) = message else {
            continue;
        };
        if request.method == Method::Register {
            break request;
        }
        if !answered {
            let seen = seen_from(&request, OUTSIDE);
            world.answer(&seen, 405, Some("k"), REGISTRAR, &[], None);
            answered = true;
        }
    };
    assert!(answered && register.headers.expires() == Some(600));
}

#[test]
fn the_flow_has_a_name_and_the_phone_an_identity() {
    let mut world = with(line());
    let register = world.request(&Method::Register);
    let contact = register
        .headers
        .values("Contact")
        .last()
        .unwrap()
        .to_owned();
    assert!(
        contact.contains(
            ";reg-id=1;+sip.instance=\"<urn:uuid:00000000-0000-8000-8000-000000000001>\""
        ),
        "{contact}"
    );
    assert!(register.headers.has_token("Supported", "outbound"));
    // The first hop cannot do that.
    world.answer(&register, 439, Some("r"), REGISTRAR, &[], None);
    let register = world.request(&Method::Register);
    assert!(!register.headers.has_token("Supported", "outbound"));
    assert!(!register.headers.get("Contact").unwrap().contains("reg-id"));
}

#[test]
fn a_server_that_uses_the_flow_needs_no_other_contact() {
    let mut world = with(line());
    accept(
        &mut world,
        OUTSIDE,
        &[("Require", "outbound"), ("Flow-Timer", "15")],
    );
    world.assert_silence();
    let start = (world.now - world.start).as_secs_f64();
    world.run(Duration::from_secs(16));
    let first = line_ends(&world)[0] - start;
    assert!((11.0..=15.1).contains(&first), "{first}");
    // Another address: the new contact takes the place of the old one by its name.
    world.inbox.clear();
    world.phones[0].address = "192.0.2.50:5060".parse().unwrap();
    world.with(0, |phone, now| {
        phone.handle_local_addresses(world::own("192.0.2.50:5060"), now);
    });
    let moved = world.request(&Method::Register);
    assert_eq!(moved.headers.values("Contact").count(), 1);
}

#[test]
fn the_address_the_registrar_made_is_used_in_calls_where_wanted() {
    for wanted in [false, true] {
        let mut world = with(AccountConfig {
            gruu: wanted,
            ..line()
        });
        let register = world.request(&Method::Register);
        assert_eq!(register.headers.has_token("Supported", "gruu"), wanted);
        let contact = register.headers.contacts().unwrap().pop().unwrap();
        let binding = format!(
            "<{}>;expires=600;pub-gruu=\"sip:101@192.0.2.9;gr=urn:uuid:1\"",
            contact.uri
        );
        let headers = [("Contact", binding.as_str())];
        world.answer(&register, 200, Some("r"), REGISTRAR, &headers, None);
        world.run_ms(50);
        let now = world.now;
        let agent = &mut world.phones[0].agent;
        agent
            .invite(Some(AccountId(0)), "555", media(20_000), now)
            .unwrap();
        let invite = world.request(&Method::Invite);
        let contact = invite.headers.sip_contact().unwrap().uri.to_string();
        assert_eq!(contact.contains("gr=urn:uuid:1"), wanted, "{contact}");
    }
}

fn errors(world: &mut World) -> Vec<String> {
    let error = |event: Event| match event {
        Event::Registration {
            until: None, error, ..
        } => error,
        _ => None,
    };
    world.events(0).into_iter().filter_map(error).collect()
}

#[test]
fn the_loopback_address_is_never_registered() {
    let mut world = with(line());
    accept(&mut world, "192.0.2.1:5060", &[]);
    world.events(0);
    // The cable is out.
    world.with(0, |phone, now| {
        phone.handle_local_addresses(world::own("127.0.0.1:5060"), now);
    });
    let reported = errors(&mut world);
    assert!(
        reported.iter().any(|error| error.contains("cable")),
        "{reported:?}"
    );
    world.run(Duration::from_secs(900));
    assert_eq!(world.inbox.len(), 0, "{:?}", world.inbox);
    // It is in again: at once.
    world.with(0, |phone, now| {
        phone.handle_local_addresses(world::own("192.0.2.1:5060"), now);
    });
    let register = world.request(&Method::Register);
    assert!(
        !register
            .headers
            .get("Contact")
            .unwrap()
            .contains("127.0.0.1")
    );
}

#[test]
fn a_phone_that_starts_without_network_registers_nothing() {
    let mut config = config("alice", "127.0.0.1:5060", 1);
    config.accounts.push(line());
    let mut world = World::new(vec![config]);
    world.run(Duration::from_secs(100));
    assert_eq!(world.sent("REGISTER"), 0);
    let reported = errors(&mut world);
    assert!(
        reported
            .iter()
            .any(|error| error.contains("no network address")),
        "{reported:?}"
    );
    world.phones[0].address = "192.0.2.1:5060".parse().unwrap();
    world.with(0, |phone, now| {
        phone.handle_local_addresses(world::own("192.0.2.1:5060"), now);
    });
    world.request(&Method::Register);
}

#[test]
fn link_up_ends_the_wait_for_the_next_attempt() {
    let mut world = with(line());
    world.run(Duration::from_secs(300));
    world.inbox.clear();
    world.with(0, |phone, now| {
        phone.handle_network_lost("the cable is out", now);
    });
    // What is under way comes to its end.
    world.run(Duration::from_secs(33));
    world.inbox.clear();
    world.run(Duration::from_secs(300));
    assert_eq!(world.inbox.len(), 0);
    world.with(0, sip::UserAgent::handle_network_change);
    world.request(&Method::Register);
}

/// Routers that forget a UDP mapping sooner than the 30 s of most, and give the next one another
/// port: the phone finds out how often it must speak, and the way stays.
#[test]
fn a_router_that_forgets_within_seconds_is_kept_awake() {
    for remembers_s in [8.0, 16.0, 30.0] {
        let mut world = with(line());
        let (mut port, mut last, mut heard) = (40_000_u16, 0.0, 0);
        let mut moved_at = 0.0;
        let mut bound = String::new();
        while world.now - world.start < Duration::from_secs(1800) {
            world.run_ms(100);
            for (at, _) in &world.log[heard..] {
                if at - last > remembers_s {
                    port += 1;
                    moved_at = *at;
                }
                last = *at;
            }
            heard = world.log.len();
            while let Some((_, _, message)) = world.inbox.pop_front() {
                let sip::message::Message::Request(request) = message else {
                    continue;
                };
                let seen = seen_from(&request, &format!("203.0.113.5:{port}"));
                let mut headers = Vec::new();
                if request.method == Method::Register {
                    bound = request
                        .headers
                        .contacts()
                        .unwrap()
                        .pop()
                        .unwrap()
                        .uri
                        .to_string();
                    headers.push(("Contact", format!("<{bound}>;expires=600")));
                }
                let headers: Vec<_> = headers.iter().map(|(n, v)| (*n, v.as_str())).collect();
                world.answer(&seen, 200, Some("k"), REGISTRAR, &headers, None);
            }
        }
        // Within ten minutes it knows; from then on the server's way to it is always there.
        assert!(
            moved_at <= 600.0,
            "{remembers_s}: still moved after {moved_at} s"
        );
        assert!(
            bound.contains(&format!("203.0.113.5:{port}")),
            "{bound} {port}"
        );
        let times: Vec<f64> = world.log.iter().map(|(at, _)| *at).collect();
        let late = times.windows(2).filter(|pair| pair[0] > 600.0);
        let gap = late.map(|pair| pair[1] - pair[0]).fold(0.0, f64::max);
        assert!(
            gap <= remembers_s,
            "{remembers_s}: nothing left for {gap} s"
        );
        // Not more than is needed: a line end each six seconds.
        assert!(times.len() <= 500, "{remembers_s}: {} packets", times.len());
    }
}

/// With RFC 5626 and a GRUU nothing but the flow changes when the router gives another port: the
/// binding is the same by its name, and so is the address that calls name.
#[test]
fn a_named_flow_survives_each_other_mapping() {
    let mut world = with(AccountConfig {
        gruu: true,
        ..line()
    });
    let (mut port, mut contacts, mut registers) = (40_000_u16, Vec::new(), 0);
    for round in 0..12 {
        port += 1;
        let outside = format!("203.0.113.5:{port}");
        let end = world.now + Duration::from_secs(100);
        let before = registers;
        while world.now < end {
            world.run_ms(50);
            while let Some((_, _, message)) = world.inbox.pop_front() {
                let sip::message::Message::Request(request) = message else {
                    continue;
                };
                let seen = seen_from(&request, &outside);
                let mut headers = vec![("Require", "outbound".to_owned())];
                if request.method == Method::Register {
                    registers += 1;
                    assert_eq!(request.headers.values("Contact").count(), 1, "{round}");
                    let contact = request.headers.get("Contact").unwrap();
                    assert!(contact.contains("reg-id=1") && contact.contains(INSTANCE));
                    let uri = request.headers.contacts().unwrap().pop().unwrap().uri;
                    let gruu = "pub-gruu=\"sip:101@192.0.2.9;gr=urn:uuid:1\"";
                    headers.push(("Contact", format!("<{uri}>;expires=600;{gruu}")));
                    contacts.push(uri.to_string());
                }
                let headers: Vec<_> = headers.iter().map(|(n, v)| (*n, v.as_str())).collect();
                world.answer(&seen, 200, Some("k"), REGISTRAR, &headers, None);
            }
        }
        assert!(
            registers > before,
            "the new way of round {round} is not registered"
        );
        assert!(registers <= before + 3, "{registers} after round {round}");
        let by = Some(AccountId(0));
        let call = world.with(0, |phone, now| phone.invite(by, "555", media(20_000), now));
        let invite = world.request(&Method::Invite);
        let contact = invite.headers.sip_contact().unwrap().uri.to_string();
        assert!(contact.contains("gr=urn:uuid:1"), "{contact}");
        world.answer(&invite, 486, Some("b"), REGISTRAR, &[], None);
        world.request(&Method::Ack);
        world.with(0, |phone, now| phone.end(call.unwrap(), now));
        // A call from the server to the contact it has.
        world.events(0);
        let first = contacts[0].clone();
        let id = format!("in-{round}");
        let invite = world::Ask {
            branch: &format!("z9hG4bK{round}"),
            call_id: &id,
            ..world::Ask::invite()
        };
        let text = invite.text().replacen("sip:alice@192.0.2.1", &first, 1);
        world.send(REGISTRAR, 0, text);
        world.run_ms(50);
        let call = world.incoming(0);
        world.with(0, |phone, now| phone.end(call, now));
        world.run_ms(50);
        world.inbox.clear();
    }
    contacts.dedup();
    assert_eq!(contacts.len(), 1, "{contacts:?}");
}
