//! What registrars and proxies do that the standards do not foresee, and what others on the network
//! try.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of a test program: what cannot be is a failed test"
)]

mod world;

use std::time::Duration;

use sip::message::{Message, Method, Request};
use sip::{AccountId, Event};
use world::{World, account, config, ends, inside, media, sdp};

const REGISTRAR: &str = "192.0.2.9:5060";

fn with_password(password: &str) -> World {
    let mut config = config("alice", "192.0.2.1:5060", 1);
    config.accounts.push(account("101", "192.0.2.9", password));
    let mut world = World::new(vec![config]);
    world.run_ms(1);
    world
}

fn contact(request: &Request) -> String {
    let contact = request.headers.contacts().unwrap().pop().unwrap();
    format!("<{}>", contact.uri)
}

fn challenge(world: &mut World, request: &Request, value: &str) {
    world.challenge(request, Some("r"), REGISTRAR, value);
}

/// Accepts a REGISTER with these parameters of the contact, and these headers.
fn accept(world: &mut World, request: &Request, parameters: &str, headers: &[(&str, &str)]) {
    let binding = format!("{}{parameters}", contact(request));
    let mut all = vec![("Contact", binding.as_str())];
    all.extend_from_slice(headers);
    world.answer(request, 200, Some("r"), REGISTRAR, &all, None);
    world.run_ms(50);
}

/// For how many seconds the account is registered, as the phone says now.
fn registered_for(world: &mut World) -> Option<u64> {
    let now = world.now;
    let mut events = world.events(0).into_iter().rev();
    events.find_map(|event| match event {
        Event::Registration { until, .. } => {
            Some(until.map(|until| (until - now).as_secs_f64().round() as u64))
        }
        _ => None,
    })?
}

#[test]
fn a_registrar_only_shortens_what_was_asked_for() {
    for (parameters, headers, granted) in [
        (";expires=4294967295", &[][..], 600),
        (";expires=4294967296", &[], 600),
        ("", &[("Expires", "4294967296")], 600),
        ("", &[("Expires", "86400")], 600),
        (";expires=\"120\"", &[], 120),
        (";expires= 120", &[], 120),
        (";expires=0120", &[], 120),
        (";q=0.5;expires=120;reg-id=1", &[("Expires", "300")], 120),
        // What is no number says nothing.
        (";expires=-1", &[], 600),
        (";expires=", &[], 600),
        (";expires=soon", &[("Expires", "300")], 300),
        (";expires=18446744073709551736", &[], 600),
        ("", &[("Expires", "18446744073709551736")], 600),
        ("", &[("Expires", "-1")], 600),
        // Bindings of other phones of the account.
        (
            ";expires=120, <sip:101@192.0.2.77>;expires=30",
            &[("Contact", "<sip:other@192.0.2.1:5060>;expires=500")],
            120,
        ),
        ("", &[], 600),
    ] {
        let mut world = with_password("secret");
        let register = world.request(&Method::Register);
        accept(&mut world, &register, parameters, headers);
        assert_eq!(registered_for(&mut world), Some(granted), "{parameters}");
        world.inbox.clear();
        world.run(Duration::from_secs(granted));
        let refreshed = world.sent("REGISTER") > 1;
        assert!(refreshed, "{parameters} {headers:?}: never refreshed");
    }
}

#[test]
fn the_registrar_is_asked_every_two_seconds_at_the_most() {
    for granted in [1, 2, 3, 5] {
        let mut world = with_password("secret");
        let end = world.now + Duration::from_secs(60);
        while world.now < end {
            while let Some((_, _, Message::Request(register))) = world.inbox.pop_front() {
                accept(&mut world, &register, &format!(";expires={granted}"), &[]);
            }
            world.run_ms(10);
        }
        let times = world.times("REGISTER");
        let soonest = times.windows(2).map(|pair| pair[1] - pair[0]);
        let soonest = soonest.fold(f64::MAX, f64::min);
        assert!(soonest >= 1.999, "{granted} s granted: after {soonest} s");
        assert!(
            times.len() >= 10,
            "{granted} s granted: {} refreshes",
            times.len()
        );
    }
}

#[test]
fn an_empty_qop_is_none() {
    let mut world = with_password("secret");
    let register = world.request(&Method::Register);
    challenge(
        &mut world,
        &register,
        "Digest realm=\"r\", nonce=\"n\", qop=\"\"",
    );
    let answer = world.request(&Method::Register);
    let answer = answer.headers.get("Authorization").unwrap();
    assert!(
        !answer.contains("qop") && !answer.contains("nc="),
        "{answer}"
    );
}

#[test]
fn an_empty_password_is_a_password() {
    let mut world = with_password("");
    let register = world.request(&Method::Register);
    challenge(&mut world, &register, "Digest realm=\"r\", nonce=\"n\"");
    let answer = world.request(&Method::Register);
    assert!(answer.headers.get("Authorization").is_some());
    accept(&mut world, &answer, ";expires=300", &[]);
    assert_eq!(registered_for(&mut world), Some(300));
}

#[test]
fn a_new_nonce_counts_as_stale_once_where_the_password_was_right() {
    let nonce = |n: &str| format!("Digest realm=\"r\", nonce=\"{n}\", qop=\"auth\"");
    let mut world = with_password("secret");
    let first = world.request(&Method::Register);
    challenge(&mut world, &first, &nonce("1"));
    let second = world.request(&Method::Register);
    accept(&mut world, &second, ";expires=600", &[]);
    // The refresh: another nonce after the first answer, without a word of stale.
    world.with(0, sip::UserAgent::register);
    for n in ["2", "3"] {
        let register = world.request(&Method::Register);
        challenge(&mut world, &register, &nonce(n));
    }
    let register = world.request(&Method::Register);
    let answer = register.headers.get("Authorization").unwrap().to_owned();
    assert!(answer.contains("nonce=\"3\""), "{answer}");
    // And no more than once.
    challenge(&mut world, &register, &nonce("4"));
    world.assert_silence();
    // A password that was never right is shown once only.
    let mut world = with_password("wrong");
    for n in ["1", "2"] {
        let register = world.request(&Method::Register);
        challenge(&mut world, &register, &nonce(n));
    }
    world.assert_silence();
}

#[test]
fn a_response_from_another_host_is_ignored() {
    let mut world = with_password("secret");
    let register = world.request(&Method::Register);
    let binding = format!("{};expires=600", contact(&register));
    let forged = [("Contact", binding.as_str())];
    world.answer(&register, 200, Some("r"), "192.0.2.66:5060", &forged, None);
    world.run_ms(50);
    assert_eq!(registered_for(&mut world), None);
    assert_eq!(world.counters(0).dropped, 1);
    // Another port of the server is the server.
    world.answer(&register, 200, Some("r"), "192.0.2.9:5099", &forged, None);
    world.run_ms(50);
    assert_eq!(registered_for(&mut world), Some(600));
}

#[test]
fn a_bye_from_another_host_is_ignored() {
    let mut world = with_password("secret");
    let register = world.request(&Method::Register);
    accept(&mut world, &register, ";expires=600", &[]);
    let now = world.now;
    let agent = &mut world.phones[0].agent;
    agent
        .invite(Some(AccountId(0)), "555", media(20_000), now)
        .unwrap();
    let invite = world.request(&Method::Invite);
    let body = sdp("192.0.2.9", "");
    world.answer(&invite, 200, Some("p"), REGISTRAR, &[], Some(&body));
    world.request(&Method::Ack);
    assert!(world::is_established(&world.events(0)));
    let (from, to) = (invite.headers.from().unwrap(), invite.headers.to().unwrap());
    let bye = |host: &str| {
        format!(
            "BYE {} SIP/2.0\r\nVia: SIP/2.0/UDP {host};rport;branch=z9hG4bKbye{}\r\n\
             Max-Forwards: 70\r\nFrom: {to};tag=p\r\nTo: {from}\r\nCall-ID: {}\r\n\
             CSeq: 1 BYE\r\nContent-Length: 0\r\n\r\n",
            invite.headers.sip_contact().unwrap().uri,
            host.len(),
            invite.headers.call_id().unwrap(),
        )
    };
    world.send("192.0.2.166:5060", 0, bye("192.0.2.166:5060"));
    world.assert_silence();
    assert_eq!(ends(&world.events(0)), []);
    world.send(REGISTRAR, 0, bye(REGISTRAR));
    world.response(200);
    assert_eq!(ends(&world.events(0)).len(), 1);
    let _ = inside;
}

#[test]
fn no_one_learns_what_the_phone_is_where_its_owner_says_so() {
    for (text, shown) in [("", false), ("Desk/1", true)] {
        let mut config = config("alice", "192.0.2.1:5060", 1);
        config.user_agent = text.into();
        config.accounts.push(account("101", "192.0.2.9", "secret"));
        let mut world = World::new(vec![config]);
        world.run_ms(1);
        let register = world.request(&Method::Register);
        assert_eq!(register.headers.get("User-Agent").is_some(), shown);
        accept(&mut world, &register, ";expires=600", &[]);
        world.send(REGISTRAR, 0, world::Ask::invite().text());
        let trying = world.response(100);
        assert_eq!(trying.headers.get("Server").is_some(), shown);
    }
}

#[test]
fn expires_of_an_invite_only_shortens_the_ringing() {
    for (expires, rings) in [("Expires: 7200\r\n", 60), ("", 60), ("Expires: 20\r\n", 20)] {
        let mut config = config("alice", "192.0.2.1:5060", 1);
        config.ring_limit = Duration::from_secs(60);
        world::peer_is_listed(&mut config);
        let mut world = World::new(vec![config]);
        let ask = world::Ask::invite();
        let extra = format!("{}{expires}", ask.extra);
        world.send(REGISTRAR, 0, world::Ask { extra, ..ask }.text());
        world.response(100);
        world.run(Duration::from_secs(rings - 1));
        assert_eq!(ends(&world.events(0)), [], "{expires}");
        world.run(Duration::from_secs(2));
        assert_eq!(ends(&world.events(0)).len(), 1, "{expires}");
    }
}
