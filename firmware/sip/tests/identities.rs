//! Who the far end is (RFC 3325, 3323, 4916), text messages (RFC 3428), and what an INVITE accepts,
//! against a scripted peer that is the account's server, or is not.

#![expect(clippy::panic, reason = "a test fails by panicking")]

mod world;

use sip::message::{Method, Response};
use sip::{AccountConfig, AgentConfig, CallHandle, EndedBy, Event};
use world::{Ask, PEER, World, account, ack, config, ends, inside, media, sdp};

const SDP: &str = "Content-Type: application/sdp\r\n";

/// Alice with an account at the peer, or at another server.
fn alice(server: &str) -> World {
    World::new(vec![AgentConfig {
        accounts: vec![AccountConfig {
            register: false,
            ..account("alice", server, "secret")
        }],
        ..config("alice", "192.0.2.1:5060", 1)
    }])
}

/// The peer calls with these headers; who it is, and whom it was for first.
fn caller(world: &mut World, headers: &str) -> (CallHandle, String, Option<String>) {
    let invite = Ask {
        extra: format!("{SDP}{headers}"),
        ..Ask::invite()
    };
    world.send(PEER, 0, invite.text());
    world.response(100);
    let events = world.events(0);
    let found = events.iter().find_map(|event| match event {
        Event::Incoming {
            call,
            from,
            first_called,
            ..
        } => Some((*call, from.clone(), first_called.clone())),
        _ => None,
    });
    found.unwrap_or_else(|| panic!("nothing rings: {events:?}"))
}

const ASSERTED: &str = "P-Asserted-Identity: \"Anna\" <sip:+4930123;cpc=ordinary@pbx>\r\n";

#[test]
fn accounts_server_is_trusted() {
    let headers = format!("{ASSERTED}Diversion: <sip:201@pbx>;reason=no-answer\r\n");
    let (_, from, first) = caller(&mut alice("192.0.2.9"), &headers);
    assert_eq!((from.as_str(), first.as_deref()), ("Anna", Some("201")));
}

#[test]
fn anyone_else_is_not_trusted() {
    let headers = format!("{ASSERTED}Diversion: <sip:201@pbx>;reason=no-answer\r\n");
    for mut world in [World::alone(), alice("192.0.2.77")] {
        let (_, from, first) = caller(&mut world, &headers);
        assert_eq!((from.as_str(), first), ("Peer", None));
    }
}

#[test]
fn withheld_number_is_not_shown() {
    let headers = format!("{ASSERTED}Privacy: id\r\n");
    let (_, from, _) = caller(&mut alice("192.0.2.9"), &headers);
    assert_eq!(from, "anonymous");
}

/// The peer's call, answered; alice's 200.
fn answered(world: &mut World) -> (CallHandle, Response) {
    let (call, ..) = caller(world, "");
    world.with(0, |alice, now| alice.answer(call, media(20_000), now));
    let answer = world.response(200);
    world.send(PEER, 0, ack(&answer));
    world.run_ms(50);
    world.events(0);
    (call, answer)
}

#[test]
fn connected_party_changes_with_an_update() {
    for (server, shown) in [
        ("192.0.2.9", vec!["Anna".to_owned()]),
        ("192.0.2.77", vec![]),
    ] {
        let mut world = alice(server);
        let (call, answer) = answered(&mut world);
        for cseq in [2, 3] {
            let update = Ask {
                extra: ASSERTED.into(),
                ..inside(&answer, "UPDATE", cseq)
            };
            world.send(PEER, 0, update.text());
            world.response(200);
        }
        let peers: Vec<String> = world
            .events(0)
            .into_iter()
            .filter_map(|event| match event {
                Event::PeerChanged { peer, .. } => Some(peer),
                _ => None,
            })
            .collect();
        assert_eq!(
            peers, shown,
            "{server}: once, and only from the account's server"
        );
        world.with(0, |alice, now| alice.end(call, now));
    }
}

#[test]
fn who_answers_is_shown() {
    let mut world = alice("192.0.2.9");
    world.with(0, |alice, now| {
        alice
            .invite(Some(sip::AccountId(0)), "100", media(20_000), now)
            .unwrap()
    });
    let invite = world.request(&Method::Invite);
    let asserted = [("P-Asserted-Identity", "\"Bo\" <sip:102@pbx>")];
    let body = sdp("192.0.2.9", "");
    world.answer(&invite, 200, Some("p"), PEER, &asserted, Some(&body));
    world.request(&Method::Ack);
    let events = world.events(0);
    assert!(
        matches!(&events[..], [Event::Established { peer, .. }] if peer == "Bo"),
        "{events:?}"
    );
}

#[test]
fn call_taken_by_another_phone_is_not_missed() {
    for (reason, code) in [
        (
            "Reason: SIP;cause=200;text=\"Call completed elsewhere\"\r\n",
            200,
        ),
        ("Reason: Q.850;cause=26\r\n", 200),
        ("Reason: SIP;cause=487\r\n", 487),
        ("", 487),
    ] {
        let mut world = World::alone();
        caller(&mut world, "");
        let cancel = Ask {
            method: "CANCEL",
            extra: reason.into(),
            body: String::new(),
            ..Ask::invite()
        };
        world.send(PEER, 0, cancel.text());
        world.response(200);
        world.response(487);
        assert_eq!(
            ends(&world.events(0)),
            [(EndedBy::Remote, Some(code))],
            "{reason}"
        );
        world.assert_empty();
    }
}

#[test]
fn text_message_is_shown_once() {
    let mut world = World::alone();
    let message = Ask {
        method: "MESSAGE",
        extra: "Content-Type: text/plain\r\n".into(),
        body: "hello".into(),
        ..Ask::invite()
    };
    for _ in 0..2 {
        world.send(PEER, 0, message.text());
        world.response(200);
    }
    let events = world.events(0);
    assert!(
        matches!(&events[..], [Event::Message { from, text, .. }] if from == "Peer"
            && text == "hello"),
        "{events:?}"
    );
    // Without a body there is nothing to show; what is no plain text is refused.
    let cases = [
        ("", "", 200),
        ("Content-Type: text/html\r\n", "x", 415),
        ("", "x", 415),
    ];
    for (n, (kind, body, code)) in cases.into_iter().enumerate() {
        let message = Ask {
            branch: format!("z9hG4bKm{n}").leak(),
            cseq: 2 + n as u32,
            extra: kind.into(),
            body: body.into(),
            method: "MESSAGE",
            ..Ask::invite()
        };
        world.send(PEER, 0, message.text());
        let response = world.response(code);
        if code == 415 {
            assert_eq!(response.headers.get("Accept"), Some("text/plain"));
        }
    }
    assert!(world.events(0).is_empty());
    world.assert_empty();
}

#[test]
fn invite_that_accepts_no_sdp_gets_406() {
    for (accept, code) in [
        ("Accept: application/foo, text/plain\r\n", 406),
        ("Accept: application/foo, application/SDP;level=1\r\n", 100),
        ("Accept: */*\r\n", 100),
        ("Accept: \r\n", 100),
    ] {
        let mut world = World::alone();
        let invite = Ask {
            extra: format!("{SDP}{accept}"),
            ..Ask::invite()
        };
        world.send(PEER, 0, invite.text());
        world.response(code);
    }
}
