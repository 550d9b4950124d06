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
        assert_eq!(
            peers(&mut world),
            shown,
            "{server}: once, and only from the account's server"
        );
        world.with(0, |alice, now| alice.end(call, now));
    }
}

/// RFC 3261 section 12.2.2: a request that is refused changes nothing.
#[test]
fn refused_change_moves_neither_name_nor_target() {
    const SDP: &str = "Content-Type: application/sdp\r\n";
    let video = sdp("192.0.2.9", "").replace("m=audio", "m=video");
    for (method, extra, body, code) in [
        ("INVITE", SDP, video.as_str(), 488),
        (
            "INVITE",
            "Supported: timer\r\nSession-Expires: 30\r\n",
            "",
            422,
        ),
        ("UPDATE", SDP, video.as_str(), 488),
        ("INVITE", "Content-Type: application/foo\r\n", "x", 415),
        ("UPDATE", "Content-Type: application/foo\r\n", "x", 415),
        (
            "UPDATE",
            "Content-Encoding: gzip\r\nContent-Type: application/sdp\r\n",
            "x",
            415,
        ),
        ("INVITE", "", "x", 400),
        (
            "UPDATE",
            "Supported: timer\r\nSession-Expires: 30\r\n",
            "",
            422,
        ),
    ] {
        let mut world = alice("192.0.2.9");
        let (call, answer) = answered(&mut world);
        let change = Ask {
            extra: format!("{ASSERTED}{extra}"),
            body: body.to_owned(),
            ..inside(&answer, method, 2)
        };
        let elsewhere = "Contact: <sip:peer@192.0.2.66:5099>";
        let text = change.text();
        let text = text.replace("Contact: <sip:peer@192.0.2.9:5060>", elsewhere);
        world.send(PEER, 0, text);
        world.response(code);
        assert!(peers(&mut world).is_empty(), "{method} {code}");
        world.with(0, |alice, now| alice.end(call, now));
        let bye = world.request(&Method::Bye);
        assert_eq!(
            bye.uri.to_string(),
            format!("sip:peer@{PEER}"),
            "{method} {code}"
        );
    }
}

/// Whom the events name as the far end.
fn peers(world: &mut World) -> Vec<String> {
    let events = world.events(0).into_iter();
    let peer = |event| match event {
        Event::PeerChanged { peer, .. } => Some(peer),
        _ => None,
    };
    events.filter_map(peer).collect()
}

#[test]
fn connected_party_changes_with_its_from() {
    const FAR: &str = "192.0.2.77:5060";
    let carol = "From: \"Carol\" <sip:303@pbx>;tag=peer";
    for (server, by, extra, shown) in [
        // Without a server the far end's own word is all there ever was.
        (None, PEER, "", vec!["Carol".to_owned()]),
        (Some("192.0.2.9"), PEER, "", vec!["Carol".to_owned()]),
        (
            Some("192.0.2.9"),
            PEER,
            "Privacy: id\r\n",
            vec!["anonymous".to_owned()],
        ),
        (Some("192.0.2.9"), PEER, ASSERTED, vec!["Anna".to_owned()]),
        // The far end itself, past the account's server.
        (Some("192.0.2.9"), FAR, ASSERTED, vec![]),
    ] {
        let mut world = server.map_or_else(World::alone, alice);
        let (call, answer) = answered(&mut world);
        let supported = answer.headers.get("Supported").unwrap();
        assert!(supported.contains("from-change"), "{supported}");
        // It may have another Contact from now on.
        let moved = Ask {
            from: by,
            ..inside(&answer, "UPDATE", 2)
        };
        world.send(PEER, 0, moved.text());
        world.response(200);
        assert_eq!(peers(&mut world), [""; 0]);
        for cseq in [3, 4] {
            let update = Ask {
                from: by,
                extra: extra.into(),
                ..inside(&answer, "UPDATE", cseq)
            };
            let before = format!("From: \"Peer\" <sip:peer@{by}>;tag=peer");
            let text = update.text();
            assert!(text.contains(&before), "{text}");
            world.send(by, 0, text.replacen(&before, carol, 1));
            world.response(200);
        }
        assert_eq!(peers(&mut world), shown, "once: {extra}");
        world.with(0, |alice, now| alice.end(call, now));
        // From now on the far end is called by its new name (section 4.4.3).
        let bye = world.request(&Method::Bye);
        assert_eq!(
            bye.headers.get("To"),
            Some("\"Carol\" <sip:303@pbx>;tag=peer")
        );
        world.answer(&bye, 200, None, PEER, &[], None);
    }
}

#[test]
fn withheld_identity_goes_to_the_accounts_server_only() {
    let options = sip::InviteOptions {
        anonymous: true,
        ..sip::InviteOptions::default()
    };
    let call = |world: &mut World, account, to: &str| {
        world.with(0, |alice, now| {
            alice
                .invite_with(account, to, options, media(20_000), now)
                .unwrap()
        });
        let invite = world.request(&Method::Invite);
        let from = invite.headers.get("From").unwrap();
        assert!(from.contains("sip:anonymous@anonymous.invalid"), "{from}");
        assert_eq!(invite.headers.get("Privacy"), Some("id"));
        invite
    };
    let mut world = alice("192.0.2.9");
    let account = Some(sip::AccountId(0));
    let invite = call(&mut world, account, "100");
    assert_eq!(
        invite.headers.get("P-Preferred-Identity"),
        Some("<sip:alice@192.0.2.9>")
    );
    // Redirected elsewhere: no one there learns who calls.
    let elsewhere = [("Contact", "<sip:bob@192.0.2.44>")];
    world.answer(&invite, 302, Some("p"), PEER, &elsewhere, None);
    let (to, invite) = world.request_at(&Method::Invite);
    assert_eq!(to, "192.0.2.44:5060".parse().unwrap());
    assert_eq!(invite.headers.get("P-Preferred-Identity"), None);
    // Nor does the far end of a call without a server.
    let invite = call(&mut World::alone(), None, "sip:bob@192.0.2.9");
    assert_eq!(invite.headers.get("P-Preferred-Identity"), None);
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

/// Who answers may say anything of itself: only the account's server is believed.
#[test]
fn who_answers_a_direct_call_asserts_nothing() {
    let mut world = World::alone();
    world.invite(0, &format!("sip:peer@{PEER}"));
    let invite = world.request(&Method::Invite);
    let asserted = [("P-Asserted-Identity", "\"Bo\" <sip:102@pbx>")];
    let body = sdp("192.0.2.9", "");
    world.answer(&invite, 200, Some("p"), PEER, &asserted, Some(&body));
    world.request(&Method::Ack);
    let events = world.events(0);
    assert!(
        matches!(&events[..], [Event::Established { peer, .. }] if !peer.contains("Bo")),
        "{events:?}"
    );
}

/// Who sent a text is judged like who calls.
#[test]
fn sender_of_a_text_is_asserted_by_the_accounts_server_only() {
    let (own, other) = (alice("192.0.2.9"), alice("192.0.2.77"));
    for (mut world, wanted) in [(own, "Anna"), (other, "Peer"), (World::alone(), "Peer")] {
        let message = Ask {
            method: "MESSAGE",
            extra: format!("{ASSERTED}Content-Type: text/plain\r\n"),
            body: "hello".into(),
            ..Ask::invite()
        };
        world.send(PEER, 0, message.text());
        world.response(200);
        let events = world.events(0);
        assert!(
            matches!(&events[..], [Event::Message { from, .. }] if from == wanted),
            "{wanted}: {events:?}"
        );
    }
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
