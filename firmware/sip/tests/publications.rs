//! What a phone publishes (RFC 3903), against a scripted server.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

use sip::message::{Method, Request};
use sip::{AccountConfig, AccountId, Event, EventState, PublishError};
use world::{PEER, World, account, config};

/// Alice, whose account is at the peer and does not register.
fn alice() -> World {
    let mut config = config("alice", "192.0.2.1:5060", 1);
    config.accounts.push(AccountConfig {
        register: false,
        ..account("alice", "192.0.2.9", "secret")
    });
    World::new(vec![config])
}

fn state(body: &str) -> EventState {
    EventState {
        target: "sip:collector@192.0.2.9".into(),
        event: "vq-rtcpxr",
        content_type: "application/vq-rtcpxr",
        body: body.into(),
    }
}

/// Alice publishes this; the PUBLISH.
fn published(world: &mut World, state: EventState) -> Request {
    let account = Some(AccountId(0));
    world.with(0, |alice, now| alice.publish(account, state, now).unwrap());
    world.request(&Method::Publish)
}

/// What became of publications since last asked, as status codes; 200: taken.
fn results(world: &mut World) -> Vec<u16> {
    world.run_ms(50);
    let result = |event: Event| match event {
        Event::Published { result, .. } => Some(result.map_or_else(|why| why.code, |()| 200)),
        _ => None,
    };
    world.events(0).into_iter().filter_map(result).collect()
}

fn header<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    request.headers.get(name)
}

/// The PUBLISH that follows within this time.
fn next_within(world: &mut World, seconds: u64) -> Request {
    let before = world.sent("PUBLISH");
    for _ in 0..seconds * 10 {
        if world.sent("PUBLISH") > before {
            break;
        }
        world.run_ms(100);
    }
    world.request(&Method::Publish)
}

#[test]
fn report_goes_once_and_makes_no_dialog() {
    let mut world = alice();
    let publish = published(&mut world, state("VQSessionReport"));
    assert_eq!(publish.uri.to_string(), "sip:collector@192.0.2.9");
    assert_eq!(header(&publish, "Event"), Some("vq-rtcpxr"));
    assert_eq!(
        header(&publish, "Content-Type"),
        Some("application/vq-rtcpxr")
    );
    for absent in ["Contact", "SIP-If-Match", "Expires"] {
        assert_eq!(header(&publish, absent), None, "{absent}");
    }
    assert_eq!(&publish.body[..], b"VQSessionReport");
    let kept = [("SIP-ETag", "e1"), ("Expires", "3600")];
    world.answer(&publish, 200, Some("p"), PEER, &kept, None);
    assert_eq!(results(&mut world), [200]);
    world.run_ms(4_000_000);
    assert_eq!(world.sent("PUBLISH"), 1, "a report is not refreshed");
    world.assert_empty();
}

#[test]
fn password_is_given_and_numbers_go_on() {
    let mut world = alice();
    let first = published(&mut world, state("one"));
    let challenge = "Digest realm=\"pbx\", nonce=\"n\", qop=\"auth\"";
    world.challenge(&first, Some("p"), PEER, challenge);
    let second = world.request(&Method::Publish);
    assert!(header(&second, "Authorization").is_some());
    assert_eq!(second.headers.cseq().unwrap().number, 2);
    let later = [("Retry-After", "90")];
    world.answer(&second, 500, Some("p"), PEER, &later, None);
    let third = next_within(&mut world, 100);
    assert_eq!(third.headers.cseq().unwrap().number, 3);
}

#[test]
fn silence_is_no_reason_to_give_a_report_up() {
    let mut world = alice();
    let first = published(&mut world, state("one"));
    let later = [("Retry-After", "90")];
    world.answer(&first, 500, Some("p"), PEER, &later, None);
    world.run_ms(89_000);
    assert_eq!(world.sent("PUBLISH"), 1);
    let second = next_within(&mut world, 2);
    assert_eq!(&second.body[..], b"one");
    world.run_ms(300_000);
    let (tries, gone) = (world.sent("PUBLISH"), results(&mut world));
    assert_eq!(gone, [408]);
    assert!(tries > 3, "{tries}");
    world.assert_empty();
}

#[test]
fn refusal_ends_a_report() {
    let mut world = alice();
    // 412 and 423 answer what this phone does not send: a condition, a lifetime.
    for code in [401, 403, 404, 412, 415, 423, 489, 501, 603] {
        let report = published(&mut world, state("one"));
        world.answer(&report, code, Some("p"), PEER, &[], None);
        assert_eq!(results(&mut world), [code]);
        world.assert_empty();
    }
}

#[test]
fn report_that_failed_is_not_tried_again_when_the_phone_goes() {
    let mut world = alice();
    let waiting = published(&mut world, state("one"));
    world.answer(&waiting, 500, Some("p"), PEER, &[], None);
    let asked = published(&mut world, state("two"));
    world.with(0, sip::UserAgent::shut_down);
    world.answer(&asked, 500, Some("p"), PEER, &[], None);
    let before = world.sent("PUBLISH");
    world.run_ms(300_000);
    assert_eq!(world.sent("PUBLISH"), before);
    world.assert_empty();
}

#[test]
fn what_cannot_be_published_is_refused_at_once() {
    let mut world = alice();
    let by = Some(AccountId(0));
    let mut publish =
        |account, state| world.with(0, |alice, now| alice.publish(account, state, now));
    let long = state(&"x".repeat(8193));
    assert_eq!(publish(by, long), Err(PublishError::TooLong(8193)));
    for (account, target) in [(by, "mailto:a@b"), (Some(AccountId(7)), "collector")] {
        let refused = publish(
            account,
            EventState {
                target: target.into(),
                ..state("x")
            },
        );
        assert!(
            matches!(refused, Err(PublishError::Target(_))),
            "{refused:?}"
        );
    }
    for _ in 0..8 {
        publish(by, state("x")).unwrap();
    }
    assert_eq!(publish(by, state("x")), Err(PublishError::TooMany));
}

#[test]
fn long_report_goes_by_tcp() {
    // RFC 3261 section 18.1.1: what does not fit into one datagram.
    let mut phones = vec![config("alice", "192.0.2.1:5060", 1)];
    phones.push(config("bob", "192.0.2.2:5060", 2));
    let mut world = World::new(phones);
    let to_bob = EventState {
        target: "sip:bob@192.0.2.2".into(),
        ..state(&"x".repeat(4000))
    };
    world.with(0, |alice, now| alice.publish(None, to_bob, now).unwrap());
    world.run_ms(1000);
    assert_eq!(world.connections(), 1);
    // Another phone is no collector.
    assert_eq!(results(&mut world), [405]);
}
