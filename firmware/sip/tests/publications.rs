//! What a phone publishes (RFC 3903), against a scripted server.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

use sip::message::{Method, Request};
use sip::{AccountConfig, AccountId, Event, EventState, PublicationId, PublishError};
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

fn state(body: &str, is_kept: bool) -> EventState {
    EventState {
        target: Some("sip:collector@192.0.2.9".into()),
        event: "vq-rtcpxr",
        content_type: "application/vq-rtcpxr",
        body: body.into(),
        is_kept,
    }
}

/// Alice publishes this; which publication it is, and the PUBLISH.
fn published(world: &mut World, state: EventState) -> (PublicationId, Request) {
    let account = Some(AccountId(0));
    let id = world.with(0, |alice, now| alice.publish(account, state, now).unwrap());
    (id, world.request(&Method::Publish))
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

/// The server takes it under this name, for this long.
fn take(world: &mut World, publish: &Request, entity_tag: &str, expires: &str) {
    let extra = [("SIP-ETag", entity_tag), ("Expires", expires)];
    world.answer(publish, 200, Some("p"), PEER, &extra, None);
}

#[test]
fn report_goes_once_and_makes_no_dialog() {
    let mut world = alice();
    let (_, publish) = published(&mut world, state("VQSessionReport", false));
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
    take(&mut world, &publish, "e1", "3600");
    assert_eq!(results(&mut world), [200]);
    world.run_ms(4_000_000);
    assert_eq!(world.sent("PUBLISH"), 1, "a report is not refreshed");
    world.assert_empty();
}

#[test]
fn state_is_refreshed_changed_and_removed() {
    let mut world = alice();
    let (id, first) = published(&mut world, state("one", true));
    assert_eq!(header(&first, "Expires"), Some("3600"));
    take(&mut world, &first, "e1", "120");
    assert_eq!(results(&mut world), [200]);
    // Refreshed in time, by its name and without a body (section 4.1).
    let refresh = next_within(&mut world, 100);
    assert_eq!(header(&refresh, "SIP-If-Match"), Some("e1"));
    assert_eq!(header(&refresh, "Content-Type"), None);
    assert!(refresh.body.is_empty());
    assert_eq!(header(&refresh, "Event"), Some("vq-rtcpxr"));
    // What changes meanwhile waits for the answer (section 4).
    assert!(world.with(0, |alice, now| alice.change_publication(
        id,
        b"two".into(),
        now
    )));
    world.assert_silence();
    take(&mut world, &refresh, "e2", "120");
    let modified = world.request(&Method::Publish);
    assert_eq!(header(&modified, "SIP-If-Match"), Some("e2"));
    assert_eq!(&modified.body[..], b"two");
    take(&mut world, &modified, "e3", "120");
    world.run_ms(50);
    world.with(0, |alice, now| alice.remove_publication(id, now));
    let removal = world.request(&Method::Publish);
    assert_eq!(header(&removal, "SIP-If-Match"), Some("e3"));
    assert_eq!(header(&removal, "Expires"), Some("0"));
    assert!(removal.body.is_empty());
    take(&mut world, &removal, "e4", "0");
    world.assert_empty();
    let numbers = [&first, &refresh, &modified, &removal];
    let numbers = numbers.map(|request| request.headers.cseq().unwrap().number);
    assert_eq!(numbers, [1, 2, 3, 4]);
}

#[test]
fn state_the_server_forgot_is_published_whole() {
    let mut world = alice();
    let (_, first) = published(&mut world, state("one", true));
    take(&mut world, &first, "e1", "120");
    let refresh = next_within(&mut world, 100);
    world.answer(&refresh, 412, Some("p"), PEER, &[], None);
    let again = world.request(&Method::Publish);
    assert_eq!(header(&again, "SIP-If-Match"), None);
    assert_eq!(&again.body[..], b"one");
    take(&mut world, &again, "e2", "120");
    assert_eq!(results(&mut world), [200], "its owner knows of it already");
    // A 412 to a request without a condition makes no sense: it is no reason to ask at once.
    let (_, other) = published(&mut world, state("x", true));
    world.answer(&other, 412, Some("p"), PEER, &[], None);
    assert_eq!(results(&mut world), [412]);
    let before = world.sent("PUBLISH");
    world.run_ms(10_000);
    assert_eq!(world.sent("PUBLISH"), before);
}

#[test]
fn lifetime_that_is_too_brief_is_raised() {
    let mut world = alice();
    let (_, mut publish) = published(&mut world, state("one", true));
    let numbers = ["7200", "10800"];
    for least in numbers {
        let extra = [("Min-Expires", least)];
        world.answer(&publish, 423, Some("p"), PEER, &extra, None);
        publish = world.request(&Method::Publish);
        assert_eq!(header(&publish, "Expires"), Some(least));
        assert_eq!(&publish.body[..], b"one");
    }
    // A server that never has enough is left alone.
    world.answer(
        &publish,
        423,
        Some("p"),
        PEER,
        &[("Min-Expires", "20000")],
        None,
    );
    assert_eq!(results(&mut world), [423]);
    world.run_ms(60_000);
    assert_eq!(world.sent("PUBLISH"), 3);
}

#[test]
fn password_is_given_and_numbers_go_on() {
    let mut world = alice();
    let (id, first) = published(&mut world, state("one", true));
    let challenge = "Digest realm=\"pbx\", nonce=\"n\", qop=\"auth\"";
    world.challenge(&first, Some("p"), PEER, challenge);
    let second = world.request(&Method::Publish);
    assert!(header(&second, "Authorization").is_some());
    assert_eq!(second.headers.cseq().unwrap().number, 2);
    take(&mut world, &second, "e1", "120");
    world.run_ms(50);
    assert!(world.with(0, |alice, now| alice.change_publication(
        id,
        b"two".into(),
        now
    )));
    let third = world.request(&Method::Publish);
    assert_eq!(third.headers.cseq().unwrap().number, 3);
}

#[test]
fn silence_is_no_reason_to_give_a_report_up() {
    let mut world = alice();
    let (_, first) = published(&mut world, state("one", false));
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
fn refusal_ends_a_report_and_postpones_what_is_kept() {
    let mut world = alice();
    for code in [401, 403, 404, 415, 489, 501, 603] {
        let (_, report) = published(&mut world, state("one", false));
        world.answer(&report, code, Some("p"), PEER, &[], None);
        assert_eq!(results(&mut world), [code]);
        world.assert_empty();
    }
    let (_, kept) = published(&mut world, state("one", true));
    world.answer(&kept, 489, Some("p"), PEER, &[], None);
    assert_eq!(results(&mut world), [489]);
    let before = world.sent("PUBLISH");
    world.run_ms(2_900_000);
    assert_eq!(world.sent("PUBLISH"), before);
    world.run_ms(1_400_000);
    assert!(world.sent("PUBLISH") > before, "once an hour");
}

#[test]
fn what_is_published_is_removed_when_the_phone_goes() {
    let mut world = alice();
    let (_, first) = published(&mut world, state("one", true));
    take(&mut world, &first, "e1", "120");
    world.run_ms(50);
    world.with(0, sip::UserAgent::shut_down);
    let removal = world.request(&Method::Publish);
    assert_eq!(header(&removal, "Expires"), Some("0"));
    take(&mut world, &removal, "e2", "0");
    world.assert_empty();
}

#[test]
fn server_without_names_gets_the_whole_state_again() {
    let mut world = alice();
    let (_, first) = published(&mut world, state("one", true));
    world.answer(&first, 200, Some("p"), PEER, &[("Expires", "60")], None);
    let again = next_within(&mut world, 50);
    assert_eq!(header(&again, "SIP-If-Match"), None);
    assert_eq!(&again.body[..], b"one");
}

#[test]
fn what_cannot_be_published_is_refused_at_once() {
    let mut world = alice();
    let by = Some(AccountId(0));
    let mut publish =
        |account, state| world.with(0, |alice, now| alice.publish(account, state, now));
    let long = state(&"x".repeat(8193), false);
    assert_eq!(publish(by, long), Err(PublishError::TooLong(8193)));
    let target = |target: Option<&str>| EventState {
        target: target.map(Into::into),
        ..state("x", false)
    };
    for (account, to) in [
        (by, Some("mailto:a@b")),
        (Some(AccountId(7)), None),
        (None, None),
    ] {
        let refused = publish(account, target(to));
        assert!(
            matches!(refused, Err(PublishError::Target(_))),
            "{refused:?}"
        );
    }
    for _ in 0..8 {
        publish(by, state("x", false)).unwrap();
    }
    assert_eq!(publish(by, state("x", false)), Err(PublishError::TooMany));
}

#[test]
fn long_report_goes_by_tcp() {
    // RFC 3261 section 18.1.1: what does not fit into one datagram.
    let mut phones = vec![config("alice", "192.0.2.1:5060", 1)];
    phones.push(config("bob", "192.0.2.2:5060", 2));
    let mut world = World::new(phones);
    let to_bob = EventState {
        target: Some("sip:bob@192.0.2.2".into()),
        ..state(&"x".repeat(4000), false)
    };
    world.with(0, |alice, now| alice.publish(None, to_bob, now).unwrap());
    world.run_ms(1000);
    assert_eq!(world.connections(), 1);
    // Another phone is no collector.
    assert_eq!(results(&mut world), [405]);
}
