//! Dialogs and transactions begun by the thousand and left behind: there are caps, they say 486 or
//! 503, and in the end nothing is left.

mod world;

use std::collections::BTreeMap;
use std::time::Duration;

use sip::Event;
use sip::agent::Tables;
use sip::message::{Message, Method};
use world::{Ask, PEER, World, called, media, sdp};

/// The final answers that came to the peer, by code; provisional ones are left out.
fn finals(world: &mut World) -> BTreeMap<u16, usize> {
    let mut codes = BTreeMap::new();
    for (_, _, message) in world.inbox.drain(..) {
        if let Message::Response(response) = message
            && response.code() >= 200
        {
            *codes.entry(response.code()).or_default() += 1;
        }
    }
    codes
}

#[test]
fn two_thousand_unconfirmed_calls_are_bounded() {
    let mut world = World::with_listed_peer();
    world.latency = Duration::from_millis(1);
    let (mut answered, mut codes) = (0, BTreeMap::<u16, usize>::new());
    for n in 0..2000 {
        let branch: &'static str = format!("z9hG4bKnever{n}").leak();
        let ask = Ask {
            branch,
            call_id: branch,
            from_tag: branch,
            ..Ask::invite()
        };
        world.send(PEER, 0, ask.text());
        world.run_ms(20);
        for event in world.events(0) {
            if let Event::Incoming { call, .. } = event {
                answered += 1;
                world.with(0, |alice, now| alice.answer(call, media(20_000), now));
            }
        }
        for (code, count) in finals(&mut world) {
            *codes.entry(code).or_default() += count;
        }
        let tables = world.phones[0].agent.tables();
        assert!(
            tables.calls <= 16
                && tables.dialogs <= 16
                && tables.server_transactions <= 512
                && tables.client_transactions <= 256,
            "{tables:?}"
        );
    }
    // 40 s of it: those never confirmed are given up after 32 s, and others have their place.
    assert!((16..=32).contains(&answered), "{answered}");
    assert!(
        codes.keys().all(|code| [200, 486, 503].contains(code)),
        "{codes:?}"
    );
    assert!(codes[&486] + codes[&503] >= 2000 - 32, "{codes:?}");
    println!("{answered} of 2000 calls had a place; answers {codes:?}");
    world.assert_empty();
}

#[test]
fn two_thousand_subscriptions_keep_no_state() {
    let mut world = World::with_listed_peer();
    for n in 0..2000 {
        let branch: &'static str = format!("z9hG4bKsub{n}").leak();
        let ask = Ask {
            method: "SUBSCRIBE",
            branch,
            call_id: branch,
            from_tag: branch,
            body: String::new(),
            ..Ask::invite()
        };
        world.send(PEER, 0, ask.text());
        world.run_ms(15);
        assert_eq!(world.phones[0].agent.tables(), Tables::default());
    }
    world.run_ms(100);
    assert_eq!(finals(&mut world), [(489, 2000)].into());
    world.assert_empty();
}

#[test]
fn two_hundred_answering_branches_are_bounded() {
    let mut world = World::alone();
    let (call, invite) = called(&mut world);
    for n in 0..200 {
        let tag = format!("branch{n}");
        world.answer(
            &invite,
            200,
            Some(&tag),
            PEER,
            &[],
            Some(&sdp("192.0.2.9", "")),
        );
        world.run_ms(30);
        let tables = world.phones[0].agent.tables();
        assert!(
            tables.calls == 1 && tables.dialogs <= 16 && tables.client_transactions <= 256,
            "{tables:?}"
        );
    }
    let established = world
        .events(0)
        .iter()
        .filter(|event| matches!(event, Event::Established { .. }))
        .count();
    assert_eq!(established, 1, "one of them is the call");
    // Each was acknowledged, and each but the first sent a BYE, as often as the peer did not
    // answer that.
    assert_eq!(world.sent("ACK"), 200);
    let goodbyes: std::collections::BTreeSet<String> = world
        .inbox
        .iter()
        .filter_map(|(_, _, message)| match message {
            Message::Request(request) if request.method == Method::Bye => {
                request.headers.to().ok()?.tag().map(str::to_owned)
            }
            Message::Request(_) | Message::Response(_) => None,
        })
        .collect();
    assert!(
        goodbyes.len() == 199 && !goodbyes.contains("branch0"),
        "{}",
        goodbyes.len()
    );
    world.with(0, |alice, now| alice.end(call, now));
    world.inbox.clear();
    world.assert_empty();
}
