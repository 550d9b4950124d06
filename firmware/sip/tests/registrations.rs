//! Registration against a scripted registrar: challenge, refresh, outage, refusal, NAT, address
//! change.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

use std::time::Duration;

use sip::message::{Method, Request};
use sip::{AccountConfig, Event, Target, Transport};
use world::{World, account, config, media};

const REGISTRAR: &str = "192.0.2.9:5060";

fn with(account: AccountConfig) -> World {
    let mut config = config("alice", "192.0.2.1:5060", 1);
    config.accounts.push(account);
    config.direct_calls = false;
    config.direct_callers = sip::DirectCallers::Listed;
    let mut world = World::new(vec![config]);
    world.run_ms(1);
    world
}

fn line() -> World {
    with(account("101", "192.0.2.9", "secret"))
}

/// The contact of a REGISTER, without its parameters.
fn contact(request: &Request) -> String {
    let contact = request.headers.contacts().unwrap().pop().unwrap();
    format!("<{}>", contact.uri)
}

fn accept(world: &mut World, request: &Request, expires: u32) {
    let binding = format!("{};expires={expires}", contact(request));
    let other = "<sip:101@192.0.2.77>;expires=7";
    world.answer(
        request,
        200,
        Some("r"),
        REGISTRAR,
        &[("Contact", other), ("Contact", &binding)],
        None,
    );
    world.run_ms(50);
}

fn states(world: &mut World) -> Vec<(Option<u64>, Option<String>)> {
    let now = world.now;
    let seconds = |until: std::time::Instant| (until - now).as_secs_f64().round() as u64;
    world
        .events(0)
        .into_iter()
        .filter_map(|event| {
            if let Event::Registration { until, error, .. } = event {
                Some((until.map(seconds), error))
            } else {
                None
            }
        })
        .collect()
}

/// Waits until a request comes, at most this long; how long it took.
fn wait(world: &mut World, at_most: Duration) -> Option<(f64, Request)> {
    let start = world.now;
    while world.now - start < at_most {
        world.run_ms(10);
        if !world.inbox.is_empty() {
            let took = (world.now - start).as_secs_f64();
            return Some((took, world.request(&Method::Register)));
        }
    }
    None
}

#[test]
fn challenged_bound_refreshed_and_unbound() {
    let mut world = line();
    let first = world.request(&Method::Register);
    assert_eq!(first.uri.to_string(), "sip:192.0.2.9");
    assert_eq!(
        first.headers.to().unwrap().uri.to_string(),
        "sip:101@192.0.2.9"
    );
    assert!(first.headers.has_token("Supported", "path"));
    let challenge = "Digest realm=\"r\", nonce=\"n\", qop=\"auth\"";
    world.challenge(&first, Some("r"), REGISTRAR, challenge);
    let second = world.request(&Method::Register);
    assert_eq!(second.headers.cseq().unwrap().number, 2);
    assert_eq!(second.headers.call_id(), first.headers.call_id());
    assert!(
        second
            .headers
            .get("Authorization")
            .unwrap()
            .contains("username=\"101\"")
    );
    accept(&mut world, &second, 200);
    assert_eq!(states(&mut world), [(Some(200), None)]);
    let (after, refresh) = wait(&mut world, Duration::from_secs(200)).unwrap();
    assert!((100.0..=165.0).contains(&after), "{after}");
    assert_eq!(refresh.headers.cseq().unwrap().number, 3);
    assert_eq!(contact(&refresh), contact(&first));
    accept(&mut world, &refresh, 200);
    world.with(0, sip::UserAgent::shut_down);
    let last = world.request(&Method::Register);
    assert_eq!(last.headers.expires(), Some(0));
    accept(&mut world, &last, 0);
    assert_eq!(states(&mut world).pop(), Some((None, None)));
    world.assert_empty();
}

#[test]
fn a_423_raises_the_lifetime_asked_for() {
    let mut world = line();
    let first = world.request(&Method::Register);
    world.answer(
        &first,
        423,
        Some("r"),
        REGISTRAR,
        &[("Min-Expires", "1800")],
        None,
    );
    let second = world.request(&Method::Register);
    assert_eq!(second.headers.expires(), Some(1800));
    assert!(states(&mut world).is_empty());
    accept(&mut world, &second, 1800);
    assert_eq!(states(&mut world), [(Some(1800), None)]);
}

#[test]
fn a_registrar_that_does_not_say_how_long_is_asked_for_twice_as_much() {
    let mut world = line();
    let mut asked = Vec::new();
    for _ in 0..9 {
        let register = world.request(&Method::Register);
        asked.push(register.headers.expires().unwrap());
        world.answer(&register, 423, Some("r"), REGISTRAR, &[], None);
    }
    assert_eq!(
        asked,
        [600, 1200, 2400, 4800, 9600, 19_200, 38_400, 76_800, 86_400]
    );
    // It does not know what it wants, and is left alone for a while.
    world.assert_silence();
    assert!(matches!(&states(&mut world)[..], [(None, Some(error))] if error.contains("423")));
}

#[test]
fn a_wrong_password_is_tried_again_with_long_pauses() {
    let mut world = line();
    let mut waits = Vec::new();
    for round in 0..6 {
        let (took, register) = wait(&mut world, Duration::from_secs(400)).unwrap();
        if round > 0 {
            waits.push(took);
        }
        for nonce in ["a", "b"] {
            let challenge = format!("Digest realm=\"r\", nonce=\"{nonce}{round}\"");
            let request = if nonce == "a" {
                register.clone()
            } else {
                world.request(&Method::Register)
            };
            world.challenge(&request, Some("r"), REGISTRAR, &challenge);
        }
        world.run_ms(50);
        let seen = states(&mut world);
        assert!(
            matches!(&seen[..], [(None, Some(error))] if error.contains("password")),
            "{seen:?}"
        );
    }
    assert!(
        waits.iter().all(|w| (29.0..=185.0).contains(w)),
        "{waits:?}"
    );
    // Cut short by hand.
    world.with(0, sip::UserAgent::register);
    world.request(&Method::Register);
}

#[test]
fn an_outage_is_outlived() {
    let mut world = line();
    let register = world.request(&Method::Register);
    accept(&mut world, &register, 120);
    states(&mut world);
    // The registrar is gone for an hour; no one answers.
    world.run(Duration::from_secs(3600));
    let seen = states(&mut world);
    assert!(seen.iter().any(|(until, _)| until.is_none()), "{seen:?}");
    let tries = world.sent("REGISTER");
    assert!((100..1500).contains(&tries), "{tries}");
    world.inbox.clear();
    let (took, register) = wait(&mut world, Duration::from_secs(200)).unwrap();
    assert!(took <= 121.0, "{took}");
    accept(&mut world, &register, 120);
    assert_eq!(states(&mut world).pop(), Some((Some(120), None)));
}

#[test]
fn back_off_begins_at_seconds_and_is_jittered() {
    let waits = |seed: u8| {
        let mut config = config("alice", "192.0.2.1:5060", seed);
        config.accounts.push(account("101", "192.0.2.9", "secret"));
        let mut world = World::new(vec![config]);
        let mut waits = Vec::new();
        for round in 0..9 {
            let (took, register) = wait(&mut world, Duration::from_secs(200)).unwrap();
            if round > 0 {
                waits.push(took);
            }
            world.answer(&register, 500, Some("r"), REGISTRAR, &[], None);
        }
        waits
    };
    let one = waits(1);
    for (wait, top) in one
        .iter()
        .zip([2.0, 4.0, 8.0, 16.0, 32.0, 50.0, 50.0, 50.0])
    {
        assert!((top / 2.0 - 0.1..=top + 0.2).contains(wait), "{one:?}");
    }
    assert_ne!(one, waits(2));
}

#[test]
fn retry_after_is_honoured() {
    let mut world = line();
    let register = world.request(&Method::Register);
    world.answer(
        &register,
        503,
        Some("r"),
        REGISTRAR,
        &[("Retry-After", "90 (lunch)")],
        None,
    );
    let (took, _) = wait(&mut world, Duration::from_secs(200)).unwrap();
    assert!((89.0..=92.0).contains(&took), "{took}");
}

#[test]
fn the_address_the_registrar_sees_becomes_the_contact() {
    let mut world = line();
    let first = world.request(&Method::Register);
    assert!(contact(&first).contains("@192.0.2.1:5060"));
    let mut seen = first.clone();
    let via = first
        .headers
        .top_via()
        .unwrap()
        .to_string()
        .replace(";rport", ";rport=40123;received=203.0.113.5");
    seen.headers.set("Via", via);
    accept(&mut world, &seen, 600);
    let second = world.request(&Method::Register);
    let contacts: Vec<String> = second
        .headers
        .values("Contact")
        .map(str::to_owned)
        .collect();
    assert_eq!(contacts.len(), 2);
    assert!(
        contacts[0].contains("@192.0.2.1:5060>;expires=0"),
        "{contacts:?}"
    );
    assert!(
        contacts[1].contains("@203.0.113.5:40123>;expires=600"),
        "{contacts:?}"
    );
    let mut seen = second.clone();
    seen.headers.set(
        "Via",
        second
            .headers
            .top_via()
            .unwrap()
            .to_string()
            .replace(";rport", ";rport=40123;received=203.0.113.5"),
    );
    accept(&mut world, &seen, 600);
    assert_eq!(states(&mut world).pop(), Some((Some(600), None)));
    world.assert_silence();
    // Another address of our own: the old binding goes, the new one comes, at once.
    world.phones[0].address = "192.0.2.50:5060".parse().unwrap();
    world.with(0, |phone, now| {
        phone.handle_local_addresses(world::own("192.0.2.50:5060"), now);
    });
    let moved = world.request(&Method::Register);
    let contacts: Vec<String> = moved.headers.values("Contact").map(str::to_owned).collect();
    assert!(
        contacts[0].contains("@203.0.113.5:40123>;expires=0")
            && contacts[1].contains("@192.0.2.50:5060>"),
        "{contacts:?}"
    );
}

#[test]
fn service_route_and_outbound_proxy_lead_calls() {
    let mut proxied = account("101", "example.com", "secret");
    proxied.outbound_proxy = Some("192.0.2.20:5070".into());
    let mut world = with(proxied);
    let (to, register) = world.request_at(&Method::Register);
    assert_eq!(to, "192.0.2.20:5070".parse().unwrap());
    assert_eq!(
        register.headers.routes().unwrap()[0].uri.to_string(),
        "sip:192.0.2.20:5070;lr"
    );
    let binding = format!("{};expires=600", contact(&register));
    let route = "<sip:192.0.2.30;lr>, <sip:192.0.2.31;lr>";
    world.answer(
        &register,
        200,
        Some("r"),
        "192.0.2.20:5070",
        &[("Contact", &binding), ("Service-Route", route)],
        None,
    );
    world.run_ms(50);
    let now = world.now;
    let call = world.phones[0]
        .agent
        .invite(Some(sip::AccountId(0)), "+49301234", media(20_000), now)
        .unwrap();
    let (to, invite) = world.request_at(&Method::Invite);
    assert_eq!(to, "192.0.2.30:5060".parse().unwrap());
    assert_eq!(invite.uri.to_string(), "sip:+49301234@example.com");
    let routes: Vec<String> = invite
        .headers
        .routes()
        .unwrap()
        .iter()
        .map(|r| r.uri.to_string())
        .collect();
    assert_eq!(routes, ["sip:192.0.2.30;lr", "sip:192.0.2.31;lr"]);
    world.with(0, |phone, now| phone.end(call, now));
}

#[test]
fn addresses_of_names_looked_up_are_admitted() {
    let mut config = config("alice", "192.0.2.1:5060", 1);
    config
        .accounts
        .push(account("101", "example.com", "secret"));
    config.direct_calls = false;
    config.direct_callers = sip::DirectCallers::Listed;
    let mut world = World::new(vec![config]);
    world.names.insert(
        "example.com".into(),
        vec![Target {
            transport: Transport::Udp,
            address: REGISTRAR.parse().unwrap(),
        }],
    );
    world.run_ms(10);
    let register = world.request(&Method::Register);
    accept(&mut world, &register, 600);
    world.events(0);
    let invite = world::Ask::invite()
        .text()
        .replace("sip:alice@192.0.2.1", "sip:101@192.0.2.1");
    world.send(
        "192.0.2.66:5060",
        0,
        invite.replace("192.0.2.9", "192.0.2.66"),
    );
    world.assert_silence();
    assert_eq!(
        (world.counters(0).refused, world.counters(0).dropped),
        (1, 1)
    );
    world.send(REGISTRAR, 0, invite);
    world.response(100);
    assert!(matches!(
        &world.events(0)[..],
        [Event::Incoming {
            account: Some(sip::AccountId(0)),
            ..
        }]
    ));
}

#[test]
fn our_contact_is_known_to_the_registrar_alone() {
    let mut world = line();
    let register = world.request(&Method::Register);
    let target = contact(&register);
    let target = target.trim_matches(['<', '>']);
    accept(&mut world, &register, 600);
    world.events(0);
    // From an unknown address, but to the contact: a proxy of the registrar's we have never heard
    // of.
    let invite = world::Ask {
        from: "192.0.2.66:5060",
        ..world::Ask::invite()
    }
    .text();
    world.send(
        "192.0.2.66:5060",
        0,
        invite.replacen("sip:alice@192.0.2.1", target, 1),
    );
    world.response(100);
    assert!(matches!(&world.events(0)[..], [Event::Incoming { .. }]));
    assert!(target.split('@').next().unwrap().len() > 20);
}
