//! What strangers do beside the calls of an account's own server, at a phone that accepts direct
//! calls from everyone.
#![expect(
    clippy::panic,
    reason = "a test program: what cannot be is a failed test"
)]

mod world;

use std::time::Duration;

use sip::{AccountConfig, AccountId, DirectCallers, Event};
use world::{Ask, PEER, World, account, config};

/// A phone with an account whose server is the scripted peer.
fn phone(callers: DirectCallers) -> World {
    let mut config = config("alice", "192.0.2.1:5060", 1);
    config.direct_callers = callers;
    config.accounts.push(AccountConfig {
        register: false,
        ..account("alice", "192.0.2.9", "secret")
    });
    World::new(vec![config])
}

/// A request with a transaction of its own from this address.
fn request(method: &str, n: u32, from: &str) -> String {
    let id = format!("{method}-{n}");
    let branch = format!("z9hG4bK{id}");
    let mut ask = Ask {
        method,
        branch: &branch,
        call_id: &id,
        from_tag: &id,
        from,
        ..Ask::invite()
    };
    if method != "INVITE" {
        ask.body.clear();
        ask.extra.clear();
    }
    ask.text()
}

/// A minute of 20 requests a second, `source(n)` sends the n-th; each call of the server's
/// meanwhile must ring. Every stranger's call that was admitted goes on ringing.
fn flood(method: &str, source: impl Fn(u32) -> String) {
    let mut world = phone(DirectCallers::Everyone);
    world.latency = Duration::from_millis(1);
    let mut admitted = 0;
    for n in 0..1200 {
        let from = source(n);
        world.send(&from, 0, request(method, n, &from));
        world.run_ms(50);
        admitted += world
            .events(0)
            .iter()
            .filter(|event| matches!(event, Event::Incoming { account: None, .. }))
            .count();
        if n % 40 == 39 {
            world.inbox.clear();
            world.send(PEER, 0, request("INVITE", 100_000 + n, PEER));
            world.run_ms(10);
            let events = world.events(0);
            let call = events.iter().find_map(|event| match event {
                Event::Incoming {
                    call,
                    account: Some(AccountId(0)),
                    ..
                } => Some(*call),
                _ => None,
            });
            let Some(call) = call else {
                panic!("the server's call after {n}: {events:?}")
            };
            world.with(0, |alice, now| alice.reject(call, 486, now));
        }
        let tables = world.phones[0].agent.tables();
        assert!(
            tables.calls <= 9 && tables.server_transactions <= 256,
            "{tables:?}"
        );
    }
    if method == "INVITE" {
        assert!((10..=270).contains(&admitted), "{admitted}");
    }
    world.inbox.clear();
    world.with(0, sip::UserAgent::shut_down);
    world.assert_empty();
}

#[test]
fn one_stranger_stops_no_call() {
    for method in ["INVITE", "OPTIONS", "SUBSCRIBE", "REGISTER", "NEWFANGLED"] {
        flood(method, |_| "192.0.2.66:5060".into());
    }
}

#[test]
fn forged_sources_stop_no_call() {
    for method in ["INVITE", "OPTIONS", "SUBSCRIBE", "REGISTER"] {
        flood(method, |n| {
            format!("198.51.{}.{}:5060", n / 250, n % 250 + 1)
        });
    }
}

#[test]
fn a_ringing_stranger_is_displaced_by_the_server() {
    let mut world = phone(DirectCallers::Everyone);
    world.send(
        "192.0.2.66:5060",
        0,
        request("INVITE", 1, "192.0.2.66:5060"),
    );
    world.run_ms(50);
    let stranger = world.incoming(0);
    world.send(PEER, 0, request("INVITE", 2, PEER));
    world.run_ms(50);
    let events = world.events(0);
    assert!(
        matches!(
            &events[..],
            [
                Event::Ended { call, code: Some(486), .. },
                Event::Incoming { account: Some(AccountId(0)), .. }
            ] if *call == stranger
        ),
        "{events:?}"
    );
}

#[test]
fn a_strangers_answered_call_cannot_fill_the_table() {
    let mut world = phone(DirectCallers::Everyone);
    world.latency = Duration::from_millis(1);
    let from = "192.0.2.66:5060";
    world.send(from, 0, request("INVITE", 0, from));
    world.run_ms(50);
    let call = world.incoming(0);
    world.with(0, |alice, now| {
        alice.answer(call, world::media(20_000), now);
    });
    let answer = world.response(100);
    assert_eq!(answer.code(), 100);
    let to = world::to_of(&world.response(200));
    for n in 1..600 {
        let info = request("INFO", n, from)
            .replace("To: <sip:alice@192.0.2.1>", &format!("To: {to}"))
            .replace(&format!("Call-ID: INFO-{n}"), "Call-ID: INVITE-0")
            .replace(&format!(";tag=INFO-{n}"), ";tag=INVITE-0")
            .replace("CSeq: 1 ", &format!("CSeq: {} ", n + 1));
        world.send(from, 0, info);
        world.run_ms(2);
    }
    let tables = world.phones[0].agent.tables();
    assert!(
        (300..=330).contains(&tables.server_transactions),
        "{tables:?}"
    );
    world.send(PEER, 0, request("INVITE", 1000, PEER));
    world.run_ms(50);
    assert!(world.events(0).iter().any(|event| matches!(
        event,
        Event::Incoming {
            account: Some(_),
            ..
        }
    )));
}

#[test]
fn with_an_account_strangers_are_off_by_default() {
    let mut world = phone(DirectCallers::Proven);
    for (n, method) in ["INVITE", "OPTIONS", "REGISTER"].into_iter().enumerate() {
        world.send(
            "192.0.2.66:5060",
            0,
            request(method, n as u32, "192.0.2.66:5060"),
        );
    }
    world.assert_silence();
    assert!(world.events(0).is_empty());
    world.send(PEER, 0, request("INVITE", 9, PEER));
    world.run_ms(50);
    world.incoming(0);
}
