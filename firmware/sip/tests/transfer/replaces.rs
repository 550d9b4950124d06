//! INVITEs that name a call to be replaced.

use sip::CallHandle;
use sip::agent::Event;
use sip::message::{Message, Method, Response};

use crate::CAROL;
use crate::world::{Ask, PEER, World, account, ack, answered, config, media, sdp};

/// An INVITE in the place of a call: the ids it names, seen from the peer's side of alice's answer.
fn replacing(ok: &Response, call_id: &str, from: &'static str, extra: &str) -> String {
    let tag = ok.headers.to().unwrap().tag().unwrap().to_owned();
    Ask {
        branch: format!("z9hG4bK{call_id}").leak(),
        from_tag: "carol",
        call_id: call_id.to_owned().leak(),
        from,
        extra: format!(
            "Replaces: call-1;to-tag={tag};from-tag=peer{extra}\r\n\
             Content-Type: application/sdp\r\n"
        ),
        body: sdp("192.0.2.8", ""),
        ..Ask::invite()
    }
    .text()
}

fn replaced(world: &mut World) -> Option<(CallHandle, Option<CallHandle>)> {
    world.events(0).into_iter().find_map(|event| match event {
        Event::Incoming { call, replaces, .. } => Some((call, replaces)),
        _ => None,
    })
}

#[test]
fn an_invite_replaces_an_established_call() {
    let mut world = World::alone();
    let (old, ok) = answered(&mut world);
    world.send(PEER, 0, ack(&ok));
    world.run_ms(50);
    world.events(0);
    world.send(CAROL, 0, replacing(&ok, "new", CAROL, ""));
    world.response(100);
    let (new, replaces) = replaced(&mut world).unwrap();
    assert_eq!(replaces, Some(old));
    world.with(0, |alice, now| alice.answer(new, media(20_100), now));
    let answer = world.response(200);
    assert!(answer.headers.has_token("Supported", "replaces"));
    world.with(0, |alice, now| alice.end(old, now));
    let bye = world.request(&Method::Bye);
    assert_eq!(
        (
            bye.headers.call_id().unwrap(),
            bye.headers.to().unwrap().tag()
        ),
        ("call-1", Some("peer"))
    );
    world.answer(&bye, 200, None, PEER, &[], None);
    // Who comes now comes too late.
    world.send(
        "192.0.2.7:5060",
        0,
        replacing(&ok, "late", "192.0.2.7:5060", ""),
    );
    world.response(603);
    world.with(0, sip::UserAgent::shut_down);
    world.run_ms(40_000);
    world.assert_quiet();
}

#[test]
fn a_refused_replaces_says_why() {
    let mut world = World::alone();
    world.send(PEER, 0, Ask::invite().text());
    world.response(100);
    let call = world.incoming(0);
    world.with(0, |alice, now| alice.ring(call, now));
    let ringing = world.response(180);
    let refused = |world: &mut World, ok: &Response, name: &str, extra: &str, code: u16| {
        world.send(CAROL, 0, replacing(ok, name, CAROL, extra));
        world.run_ms(50);
        // Others are repeated, since no ACK comes.
        let answers: Vec<u16> = world
            .inbox
            .drain(..)
            .filter_map(|(_, _, message)| match message {
                Message::Response(response) if response.headers.call_id() == Ok(name) => {
                    Some(response.code())
                }
                Message::Response(_) | Message::Request(_) => None,
            })
            .collect();
        assert_eq!(answers, [code], "{name}");
        assert_eq!(replaced(world), None, "{name}");
    };
    // It still rings here.
    refused(&mut world, &ringing, "ringing", "", 481);
    world.with(0, |alice, now| alice.answer(call, media(20_000), now));
    let ok = world.response(200);
    world.send(PEER, 0, ack(&ok));
    world.run_ms(50);
    world.events(0);
    for (name, extra, code) in [
        ("early", ";early-only", 486),
        ("twice", "\r\nReplaces: call-1;to-tag=a;from-tag=b", 400),
        ("list", ", call-1;to-tag=a;from-tag=b", 400),
        ("tags", ";to-tag=x", 481),
        ("other", "x", 481),
    ] {
        refused(&mut world, &ok, name, extra, code);
    }
    // Not with a method that is no INVITE; and one that must be understood is.
    let options = Ask {
        method: "OPTIONS",
        branch: "z9hG4bKoptions",
        call_id: "options",
        extra: "Replaces: call-1;to-tag=a;from-tag=b\r\n".into(),
        body: String::new(),
        ..Ask::invite()
    };
    world.send(PEER, 0, options.text());
    world.response(400);
    // An offer that cannot be taken leaves the call alone.
    let text = replacing(&ok, "codec", CAROL, "\r\nRequire: replaces").replace(
        "RTP/AVP 0\r\na=rtpmap:0 PCMU",
        "RTP/AVP 3\r\na=rtpmap:3 GSMX",
    );
    world.send(CAROL, 0, text);
    world.response(488);
    assert!(world.events(0).is_empty());
    // Over: too late.
    world.with(0, |alice, now| alice.end(call, now));
    let bye = world.request(&Method::Bye);
    world.answer(&bye, 200, None, PEER, &[], None);
    world.events(0);
    refused(&mut world, &ok, "late", "", 603);
    world.run_ms(40_000);
    world.assert_quiet();
}

#[test]
fn an_early_call_can_be_replaced_by_its_caller() {
    let mut world = World::alone();
    let (old, invite) = crate::world::called(&mut world);
    world.answer(&invite, 180, Some("p"), PEER, &[], None);
    world.run_ms(50);
    world.events(0);
    let take = |early: &str| {
        Ask {
            from_tag: "carol",
            call_id: "new",
            from: CAROL,
            extra: format!(
                "Replaces: {};to-tag={};from-tag=p{early}\r\nContent-Type: application/sdp\r\n",
                invite.headers.call_id().unwrap(),
                invite.headers.from().unwrap().tag().unwrap()
            ),
            ..Ask::invite()
        }
        .text()
    };
    world.send(CAROL, 0, take(";early-only"));
    world.response(100);
    assert_eq!(replaced(&mut world).map(|(_, old)| old), Some(Some(old)));
    world.with(0, |alice, now| alice.end(old, now));
    world.request(&Method::Cancel);
    world.with(0, sip::UserAgent::shut_down);
    world.run_ms(70_000);
    world.assert_quiet();
}

#[test]
fn a_direct_call_is_not_replaced_by_an_account() {
    let mut world = World::new(vec![sip::AgentConfig {
        accounts: vec![sip::AccountConfig {
            register: false,
            ..account("alice", "192.0.2.100", "secret")
        }],
        ..config("alice", "192.0.2.1:5060", 1)
    }]);
    let (call, ok) = answered(&mut world);
    world.send(PEER, 0, ack(&ok));
    world.run_ms(50);
    world.events(0);
    world.send(
        "192.0.2.100:5060",
        0,
        replacing(&ok, "server", "192.0.2.100:5060", ""),
    );
    world.response(403);
    assert!(world.events(0).is_empty());
    world.with(0, |alice, now| alice.end(call, now));
    world.run_ms(70_000);
    world.assert_quiet();
}
