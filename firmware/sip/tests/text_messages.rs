//! Text messages of ours (RFC 3428), against a scripted server.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod world;

use sip::agent::SendError;
use sip::message::{Method, Request};
use sip::{AccountConfig, AccountId, Event};
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

/// Alice sends this text; the request.
fn sent(world: &mut World, to: &str, text: &str) -> Request {
    world.with(0, |alice, now| {
        alice
            .send_message(Some(AccountId(0)), to, text, now)
            .unwrap()
    });
    world.request(&Method::Message)
}

/// What came of the message sent last.
fn outcome(world: &mut World) -> Result<(), String> {
    world.run_ms(50);
    let events = world.events(0);
    match &events[..] {
        [Event::MessageSent { result, .. }] => result.clone().map_err(|why| why.to_string()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn message_makes_no_dialog_and_is_confirmed() {
    let mut world = alice();
    for code in [200, 202] {
        let message = sent(&mut world, "102", "gr\u{fc}\u{df} dich");
        assert_eq!(message.uri.to_string(), "sip:102@192.0.2.9");
        let headers = &message.headers;
        assert_eq!(headers.get("Contact"), None);
        assert_eq!(headers.to().map(|to| to.tag().is_some()), Ok(false));
        assert_eq!(
            headers.get("Content-Type"),
            Some("text/plain;charset=UTF-8")
        );
        assert_eq!(&message.body[..], "gr\u{fc}\u{df} dich".as_bytes());
        assert!(message.to_bytes().len() <= 1300);
        world.answer(&message, code, Some("p"), PEER, &[], None);
        assert_eq!(outcome(&mut world), Ok(()));
    }
    world.run_ms(40_000);
    world.assert_quiet();
}

#[test]
fn message_is_sent_again_with_credentials() {
    let mut world = alice();
    let first = sent(&mut world, "102", "lunch?");
    let challenge = [(
        "WWW-Authenticate",
        "Digest realm=\"pbx\", nonce=\"n\", qop=\"auth\"",
    )];
    world.answer(&first, 401, Some("p"), PEER, &challenge, None);
    let second = world.request(&Method::Message);
    assert!(second.headers.get("Authorization").is_some());
    assert_eq!(second.headers.call_id(), first.headers.call_id());
    let number = |request: &Request| request.headers.cseq().unwrap().number;
    assert!(number(&second) > number(&first));
    world.answer(&second, 200, Some("p"), PEER, &[], None);
    assert_eq!(outcome(&mut world), Ok(()));
}

#[test]
fn refusal_and_silence_are_reported() {
    let mut world = alice();
    let message = sent(&mut world, "102", "lunch?");
    world.answer(&message, 404, Some("p"), PEER, &[], None);
    assert_eq!(outcome(&mut world), Err("404 Not Found".into()));
    sent(&mut world, "102", "lunch?");
    world.run_ms(40_000);
    let why = outcome(&mut world).unwrap_err();
    assert!(why.starts_with("408 "), "{why}");
}

#[test]
fn what_cannot_be_sent_is_refused_at_once() {
    let mut world = alice();
    let account = Some(AccountId(0));
    let mut send = |to: &str, text: &str| {
        world.with(0, |alice, now| alice.send_message(account, to, text, now))
    };
    assert_eq!(send("102", ""), Err(SendError::Empty));
    assert_eq!(send("102", &"x".repeat(701)), Err(SendError::TooLong(701)));
    assert!(matches!(send("mailto:a@b", "x"), Err(SendError::Target(_))));
    assert!(send("102", &"x".repeat(700)).is_ok());
    let message = world.request(&Method::Message);
    assert!(message.to_bytes().len() <= 1300, "it fits into a datagram");
}
