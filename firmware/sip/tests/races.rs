//! Numbered cases of what crosses on the wire, each against a scripted peer.

mod world;

use std::time::Duration;

use sip::agent::EndedBy;
use sip::message::{Method, Request, Response};
use sip::offer_answer::Direction;
use sip::{Call, Event, Target, Transport};
use world::{Ask, World, account, config, media, sdp, to_of};

const PEER: &str = "192.0.2.9:5060";

fn ends(events: &[Event]) -> Vec<(EndedBy, Option<u16>)> {
    let end = |event: &Event| match event {
        Event::Ended { by, code, .. } => Some((*by, *code)),
        _ => None,
    };
    events.iter().filter_map(end).collect()
}

fn is_established(events: &[Event]) -> bool {
    events.iter().any(|event| matches!(event, Event::Established { .. }))
}

/// Alice has called the peer; its INVITE.
fn called(world: &mut World) -> (Call, Request) {
    let call = world.invite(0, &format!("sip:peer@{PEER}"));
    (call, world.request(&Method::Invite))
}

/// Alice's call to the peer stands; her INVITE.
fn calling(world: &mut World) -> (Call, Request) {
    let (call, invite) = called(world);
    world.answer(&invite, 200, Some("p"), PEER, &[], Some(&sdp("192.0.2.9", "")));
    world.request(&Method::Ack);
    assert!(is_established(&world.events(0)));
    (call, invite)
}

/// The peer's call to alice is answered; the 200.
fn answered(world: &mut World) -> (Call, Response) {
    world.send(PEER, 0, Ask::invite().text());
    world.response(100);
    let call = world.incoming(0);
    world.with(0, |alice, now| alice.answer(call, media(20_000), now));
    (call, world.response(200))
}

fn ack(response: &Response) -> String {
    let to = to_of(response);
    Ask {
        method: "ACK",
        branch: "z9hG4bKack",
        to,
        extra: String::new(),
        body: String::new(),
        ..Ask::invite()
    }
    .text()
}

fn inside(response: &Response, method: &'static str, cseq: u32) -> Ask<'static> {
    let branch = format!("z9hG4bK{method}{cseq}").leak();
    Ask {
        method,
        branch,
        cseq,
        to: to_of(response),
        extra: String::new(),
        body: String::new(),
        ..Ask::invite()
    }
}

#[test]
fn case_01_cancel_crosses_200() {
    let mut world = World::alone();
    let (call, invite) = called(&mut world);
    world.answer(&invite, 180, Some("p"), PEER, &[], None);
    world.run_ms(50);
    world.with(0, |alice, now| alice.end(call, now));
    let cancel = world.request(&Method::Cancel);
    assert_eq!(cancel.headers.top_via(), invite.headers.top_via());
    assert_eq!(cancel.headers.cseq().unwrap().number, invite.headers.cseq().unwrap().number);
    // Too late: the peer has just answered.
    world.answer(&cancel, 200, Some("p"), PEER, &[], None);
    world.answer(&invite, 200, Some("p"), PEER, &[], Some(&sdp("192.0.2.9", "")));
    world.request(&Method::Ack);
    let bye = world.request(&Method::Bye);
    assert_eq!(bye.headers.to().unwrap().tag(), Some("p"));
    world.answer(&bye, 200, None, PEER, &[], None);
    assert_eq!(ends(&world.events(0)), [(EndedBy::Local, None)]);
    world.assert_empty();
}

#[test]
fn case_02_cancel_waits_for_a_provisional_response() {
    let mut world = World::alone();
    let (call, invite) = called(&mut world);
    world.with(0, |alice, now| alice.end(call, now));
    world.run_ms(400);
    assert_eq!(world.sent("CANCEL"), 0);
    world.answer(&invite, 100, None, PEER, &[], None);
    let cancel = world.request(&Method::Cancel);
    world.answer(&cancel, 200, Some("p"), PEER, &[], None);
    world.answer(&invite, 487, Some("p"), PEER, &[], None);
    world.request(&Method::Ack);
    world.assert_empty();
}

#[test]
fn case_03_nobody_answers_the_cancel() {
    let mut world = World::alone();
    let (call, invite) = called(&mut world);
    world.answer(&invite, 180, Some("p"), PEER, &[], None);
    world.run_ms(50);
    world.with(0, |alice, now| alice.end(call, now));
    world.assert_empty();
    assert!(world.sent("CANCEL") > 5);
}

#[test]
fn case_04_no_ack_ever() {
    let mut world = World::alone();
    let (_, response) = answered(&mut world);
    assert!(is_established(&world.events(0)));
    world.run(Duration::from_secs(33));
    // T1, doubled up to T2, for 64*T1 (section 13.3.1.4).
    assert_eq!(world.sent("SIP/2.0 200"), 11);
    assert_eq!(ends(&world.events(0)), [(EndedBy::Failure, Some(408))]);
    let bye = world.request(&Method::Bye);
    assert_eq!(bye.headers.from().unwrap().tag(), response.headers.to().unwrap().tag());
    world.answer(&bye, 200, None, PEER, &[], None);
    world.assert_empty();
}

#[test]
fn case_05_a_repeated_200_gets_the_same_ack() {
    let mut world = World::alone();
    let (call, invite) = called(&mut world);
    let mut acks = Vec::new();
    for _ in 0..3 {
        world.answer(&invite, 200, Some("p"), PEER, &[], Some(&sdp("192.0.2.9", "")));
        acks.push(world.request(&Method::Ack));
    }
    assert_eq!(acks[0], acks[1]);
    assert_eq!(acks[0], acks[2]);
    assert_eq!(acks[0].headers.cseq().unwrap().number, 1);
    assert_eq!(world.events(0).iter().filter(|e| matches!(e, Event::Established { .. })).count(), 1);
    // Even when the call is already over here.
    world.with(0, |alice, now| alice.end(call, now));
    let bye = world.request(&Method::Bye);
    world.answer(&bye, 200, None, PEER, &[], None);
    world.answer(&invite, 200, Some("p"), PEER, &[], Some(&sdp("192.0.2.9", "")));
    assert_eq!(world.request(&Method::Ack), acks[0]);
    assert_eq!(world.sent("BYE"), 1);
    world.assert_empty();
}

#[test]
fn case_06_a_repeated_invite_rings_once() {
    let mut world = World::alone();
    world.send(PEER, 0, Ask::invite().text());
    world.response(100);
    let call = world.incoming(0);
    world.send(PEER, 0, Ask::invite().text());
    world.response(100);
    world.with(0, |alice, now| alice.ring(call, now));
    world.response(180);
    world.send(PEER, 0, Ask::invite().text());
    world.response(180);
    assert!(world.events(0).is_empty());
    world.with(0, |alice, now| alice.reject(call, 486, now));
    let busy = world.response(486);
    world.send(PEER, 0, Ask::invite().text());
    world.response(486);
    let to = to_of(&busy);
    world.send(
        PEER,
        0,
        Ask {
            method: "ACK",
            to,
            extra: String::new(),
            body: String::new(),
            ..Ask::invite()
        }
        .text(),
    );
    world.run_ms(100);
    world.send(PEER, 0, Ask::invite().text());
    world.assert_silence();
    world.assert_empty();
}

#[test]
fn case_07_glare_waits_by_the_rule() {
    let wait = |owner: bool| {
        let mut world = World::alone();
        let call = if owner {
            calling(&mut world).0
        } else {
            let (call, response) = answered(&mut world);
            world.send(PEER, 0, ack(&response));
            world.run_ms(50);
            call
        };
        world.events(0);
        world.with(0, |alice, now| alice.set_direction(call, Direction::SendOnly, now));
        let first = world.request(&Method::Invite);
        let before = world.now;
        world.answer(&first, 491, None, PEER, &[], None);
        world.request(&Method::Ack);
        while world.inbox.is_empty() {
            world.run_ms(10);
        }
        let waited = world.now - before;
        let again = world.request(&Method::Invite);
        assert_eq!(again.headers.cseq().unwrap().number, first.headers.cseq().unwrap().number + 1);
        assert!(String::from_utf8(again.body.clone()).unwrap().contains("a=sendonly"));
        world.answer(&again, 200, None, PEER, &[], Some(&sdp("192.0.2.9", "a=recvonly\r\n")));
        world.request(&Method::Ack);
        assert!(matches!(&world.events(0)[..], [Event::MediaChanged { media, .. }] if media.direction == Direction::SendOnly));
        world.with(0, |alice, now| alice.end(call, now));
        world.assert_empty();
        waited
    };
    assert!((2050..=4100).contains(&wait(true).as_millis()));
    assert!((0..=2100).contains(&wait(false).as_millis()));
}

#[test]
fn case_08_two_branches_answer() {
    let mut world = World::alone();
    let (call, invite) = called(&mut world);
    world.answer(&invite, 180, Some("p1"), PEER, &[], None);
    world.answer(&invite, 180, Some("p2"), PEER, &[], None);
    world.run_ms(50);
    assert_eq!(world.phones[0].agent.tables().dialogs, 2);
    world.answer(&invite, 200, Some("p2"), PEER, &[], Some(&sdp("192.0.2.92", "")));
    assert_eq!(world.request(&Method::Ack).headers.to().unwrap().tag(), Some("p2"));
    world.answer(&invite, 200, Some("p1"), PEER, &[], Some(&sdp("192.0.2.91", "")));
    assert_eq!(world.request(&Method::Ack).headers.to().unwrap().tag(), Some("p1"));
    let bye = world.request(&Method::Bye);
    assert_eq!(bye.headers.to().unwrap().tag(), Some("p1"));
    world.answer(&bye, 200, None, PEER, &[], None);
    let kept: Vec<_> = world
        .events(0)
        .into_iter()
        .filter_map(|event| {
            if let Event::Established { media, .. } = event {
                Some(media.remote_rtp.to_string())
            } else {
                None
            }
        })
        .collect();
    assert_eq!(kept, ["192.0.2.92:4000"]);
    assert_eq!(world.phones[0].agent.tables().dialogs, 1);
    world.with(0, |alice, now| alice.end(call, now));
    assert_eq!(world.request(&Method::Bye).headers.to().unwrap().tag(), Some("p2"));
    world.assert_empty();
}

#[test]
fn case_09_early_media_of_two_branches() {
    let mut world = World::alone();
    let (call, invite) = called(&mut world);
    world.answer(&invite, 183, Some("p1"), PEER, &[], Some(&sdp("192.0.2.91", "")));
    world.answer(&invite, 180, Some("p2"), PEER, &[], None);
    world.answer(&invite, 183, Some("p2"), PEER, &[], Some(&sdp("192.0.2.92", "")));
    world.run_ms(50);
    let early: Vec<_> = world
        .events(0)
        .into_iter()
        .filter_map(|event| {
            if let Event::Progress { code, media, .. } = event {
                Some((code, media.map(|m| m.remote_rtp.to_string())))
            } else {
                None
            }
        })
        .collect();
    assert_eq!(
        early,
        [
            (183, Some("192.0.2.91:4000".into())),
            (180, None),
            (183, Some("192.0.2.92:4000".into()))
        ]
    );
    // The answer stood in the 183; the 200 need not repeat it.
    world.answer(&invite, 200, Some("p1"), PEER, &[], None);
    world.request(&Method::Ack);
    assert!(matches!(&world.events(0)[..], [Event::Established { media, .. }] if media.remote_rtp == "192.0.2.91:4000".parse().unwrap()));
    world.with(0, |alice, now| alice.end(call, now));
    world.assert_empty();
}

#[test]
fn case_10_challenges_at_setup_and_in_the_dialog() {
    let mut config = config("alice", "192.0.2.1:5060", 1);
    config.accounts.push(sip::AccountConfig {
        register: false,
        ..account("alice", "192.0.2.9", "secret")
    });
    let mut world = World::new(vec![config]);
    let now = world.now;
    let call = world.phones[0]
        .agent
        .invite(Some(sip::AccountId(0)), "200", media(20_000), now)
        .unwrap();
    let first = world.request(&Method::Invite);
    assert_eq!(first.uri.to_string(), "sip:200@192.0.2.9");
    let challenge = [(
        "Proxy-Authenticate",
        "Digest realm=\"r\", nonce=\"n1\", algorithm=SHA-256, qop=\"auth\"",
    )];
    world.answer(&first, 407, Some("x"), PEER, &challenge, None);
    assert_eq!(world.request(&Method::Ack).headers.to().unwrap().tag(), Some("x"));
    let second = world.request(&Method::Invite);
    assert_eq!(second.headers.cseq().unwrap().number, 2);
    assert_eq!(second.headers.call_id(), first.headers.call_id());
    assert_ne!(
        second.headers.top_via().unwrap().branch(),
        first.headers.top_via().unwrap().branch()
    );
    let credentials = second.headers.get("Proxy-Authorization").unwrap().to_owned();
    assert!(credentials.contains("algorithm=SHA-256"));
    world.answer(
        &second,
        200,
        Some("p"),
        PEER,
        &[("Record-Route", "<sip:192.0.2.9;lr>")],
        Some(&sdp("192.0.2.9", "")),
    );
    let ack = world.request(&Method::Ack);
    assert_eq!(ack.headers.get("Proxy-Authorization"), Some(credentials.as_str()));
    assert_eq!(ack.headers.cseq().unwrap().number, 2);
    world.with(0, |alice, now| alice.end(call, now));
    let bye = world.request(&Method::Bye);
    assert_eq!(bye.headers.cseq().unwrap().number, 3);
    world.answer(&bye, 407, None, PEER, &challenge, None);
    let bye = world.request(&Method::Bye);
    assert!(bye.headers.get("Proxy-Authorization").is_some());
    assert_eq!(bye.headers.cseq().unwrap().number, 4);
    world.answer(&bye, 200, None, PEER, &[], None);
    world.assert_empty();
}

#[test]
fn case_11_a_wrong_password_is_shown_once() {
    let mut config = config("alice", "192.0.2.1:5060", 1);
    config.accounts.push(sip::AccountConfig {
        register: false,
        ..account("alice", "192.0.2.9", "wrong")
    });
    let mut world = World::new(vec![config]);
    let now = world.now;
    world.phones[0]
        .agent
        .invite(Some(sip::AccountId(0)), "200", media(20_000), now)
        .unwrap();
    for nonce in ["n1", "n2"] {
        let invite = world.request(&Method::Invite);
        let challenge = format!("Digest realm=\"r\", nonce=\"{nonce}\", qop=\"auth\"");
        world.answer(&invite, 401, Some("x"), PEER, &[("WWW-Authenticate", &challenge)], None);
        world.request(&Method::Ack);
    }
    assert_eq!(ends(&world.events(0)), [(EndedBy::Remote, Some(401))]);
    assert_eq!(world.sent("INVITE"), 2);
    world.assert_empty();
}

#[test]
fn case_12_a_stale_nonce_is_no_wrong_password_but_no_endless_loop() {
    let mut config = config("alice", "192.0.2.1:5060", 1);
    config.accounts.push(sip::AccountConfig {
        register: false,
        ..account("alice", "192.0.2.9", "secret")
    });
    let mut world = World::new(vec![config]);
    let now = world.now;
    world.phones[0]
        .agent
        .invite(Some(sip::AccountId(0)), "200", media(20_000), now)
        .unwrap();
    for round in 0..5 {
        let invite = world.request(&Method::Invite);
        let challenge = format!("Digest realm=\"r\", nonce=\"n{round}\", qop=\"auth\", stale=true");
        world.answer(&invite, 401, Some("x"), PEER, &[("WWW-Authenticate", &challenge)], None);
        world.request(&Method::Ack);
    }
    assert_eq!(ends(&world.events(0)), [(EndedBy::Remote, Some(401))]);
    assert_eq!(world.sent("INVITE"), 5);
    world.assert_empty();
}

#[test]
fn case_13_no_password_for_a_stranger_who_asks() {
    let mut config = config("alice", "192.0.2.1:5060", 1);
    config.accounts.push(sip::AccountConfig {
        register: false,
        ..account("alice", "192.0.2.3", "secret")
    });
    let mut world = World::new(vec![config]);
    let now = world.now;
    // Called by the account, redirected to somebody who asks for its password.
    world.phones[0]
        .agent
        .invite(Some(sip::AccountId(0)), "200", media(20_000), now)
        .unwrap();
    let invite = world.request(&Method::Invite);
    world.answer(
        &invite,
        302,
        Some("x"),
        "192.0.2.3:5060",
        &[("Contact", "<sip:evil@192.0.2.66>")],
        None,
    );
    world.request(&Method::Ack);
    let (to, invite) = world.request_at(&Method::Invite);
    assert_eq!(to, "192.0.2.66:5060".parse().unwrap());
    let challenge = [("WWW-Authenticate", "Digest realm=\"192.0.2.3\", nonce=\"n\"")];
    world.answer(&invite, 401, Some("y"), "192.0.2.66:5060", &challenge, None);
    world.request(&Method::Ack);
    world.assert_silence();
    assert!(matches!(ends(&world.events(0))[..], [(EndedBy::Remote, Some(401))]));
    world.assert_empty();
}

#[test]
fn case_14_redirections_are_followed_a_few_times() {
    let mut world = World::alone();
    let (_, mut invite) = called(&mut world);
    for hop in 1..=5 {
        let contact = format!("<sips:no@192.0.2.8>, <sip:worse@192.0.2.8>;q=0.1, <sip:hop{hop}@192.0.2.9>;q=0.7");
        world.answer(&invite, 302, Some("x"), PEER, &[("Contact", &contact)], None);
        world.request(&Method::Ack);
        let next = world.request(&Method::Invite);
        assert_eq!(next.uri.to_string(), format!("sip:hop{hop}@192.0.2.9"));
        assert_eq!(next.headers.call_id(), invite.headers.call_id());
        assert!(next.headers.to().unwrap().tag().is_none());
        assert!(next.headers.cseq().unwrap().number > invite.headers.cseq().unwrap().number);
        invite = next;
    }
    world.answer(&invite, 302, Some("x"), PEER, &[("Contact", "<sip:hop6@192.0.2.9>")], None);
    world.request(&Method::Ack);
    world.assert_silence();
    assert_eq!(ends(&world.events(0)), [(EndedBy::Remote, Some(302))]);
    world.assert_empty();
}

#[test]
fn case_15_a_200_without_sdp_is_acked_and_ended() {
    let mut world = World::alone();
    let (_, invite) = called(&mut world);
    world.answer(&invite, 200, Some("p"), PEER, &[], None);
    world.request(&Method::Ack);
    world.request(&Method::Bye);
    assert_eq!(ends(&world.events(0)), [(EndedBy::Failure, Some(488))]);
    world.assert_empty();
}

#[test]
fn case_16_hung_up_before_the_ack_comes() {
    let mut world = World::alone();
    let (call, response) = answered(&mut world);
    world.with(0, |alice, now| alice.end(call, now));
    assert_eq!(ends(&world.events(0)), [(EndedBy::Local, None)]);
    world.run_ms(300);
    assert_eq!(world.sent("BYE"), 0);
    world.send(PEER, 0, ack(&response));
    world.request(&Method::Bye);
    assert!(world.events(0).is_empty());
    world.assert_empty();
}

#[test]
fn case_17_a_reinvite_before_the_ack_is_put_off() {
    let mut world = World::alone();
    let (_, response) = answered(&mut world);
    let again = Ask {
        extra: "Content-Type: application/sdp\r\n".into(),
        body: sdp("192.0.2.9", ""),
        ..inside(&response, "INVITE", 2)
    };
    world.send(PEER, 0, again.text());
    let refusal = world.response(500);
    assert!(refusal.headers.number("Retry-After").unwrap() <= 10);
    world.send(PEER, 0, ack(&response));
    world.run_ms(50);
    let bye = inside(&response, "BYE", 3);
    world.send(PEER, 0, bye.text());
    world.assert_empty();
    assert_eq!(ends(&world.events(0)), [(EndedBy::Remote, None)]);
}

#[test]
fn case_18_late_offer() {
    let mut world = World::alone();
    world.send(
        PEER,
        0,
        Ask {
            extra: String::new(),
            body: String::new(),
            ..Ask::invite()
        }
        .text(),
    );
    world.response(100);
    let call = world.incoming(0);
    world.with(0, |alice, now| alice.answer(call, media(20_000), now));
    let response = world.response(200);
    assert!(
        String::from_utf8(response.body.clone())
            .unwrap()
            .contains("m=audio 20000 RTP/AVP 96 9 0 8")
    );
    assert!(!is_established(&world.events(0)));
    let answer = Ask {
        extra: "Content-Type: application/sdp\r\n".into(),
        body: sdp("192.0.2.9", ""),
        ..inside(&response, "ACK", 1)
    };
    world.send(PEER, 0, answer.text());
    world.run_ms(50);
    assert!(matches!(&world.events(0)[..], [Event::Established { media, .. }] if media.remote_rtp.port() == 4000));
    // And once more inside of the call.
    world.send(PEER, 0, inside(&response, "INVITE", 2).text());
    world.response(200);
    let held = sdp("192.0.2.9", "a=inactive\r\n");
    world.send(
        PEER,
        0,
        Ask {
            extra: "Content-Type: application/sdp\r\n".into(),
            body: held,
            ..inside(&response, "ACK", 2)
        }
        .text(),
    );
    world.run_ms(50);
    assert!(matches!(&world.events(0)[..], [Event::MediaChanged { media, .. }] if media.direction == Direction::Inactive));
    world.with(0, |alice, now| alice.end(call, now));
    world.assert_empty();
}

#[test]
fn case_19_a_late_offer_never_answered_ends_the_call() {
    let mut world = World::alone();
    world.send(
        PEER,
        0,
        Ask {
            extra: String::new(),
            body: String::new(),
            ..Ask::invite()
        }
        .text(),
    );
    world.response(100);
    let call = world.incoming(0);
    world.with(0, |alice, now| alice.answer(call, media(20_000), now));
    let response = world.response(200);
    world.send(PEER, 0, ack(&response));
    world.request(&Method::Bye);
    assert_eq!(ends(&world.events(0)), [(EndedBy::Failure, Some(488))]);
    world.assert_empty();
}

#[test]
fn case_20_the_far_end_forgot_the_call() {
    let mut world = World::alone();
    let (call, _) = calling(&mut world);
    world.with(0, |alice, now| alice.set_direction(call, Direction::SendOnly, now));
    let reinvite = world.request(&Method::Invite);
    world.answer(&reinvite, 481, None, PEER, &[], None);
    world.run_ms(50);
    assert_eq!(ends(&world.events(0)), [(EndedBy::Failure, Some(481))]);
    world.assert_empty();
}

#[test]
fn case_21_a_refused_hold_keeps_the_call() {
    let mut world = World::alone();
    let (call, _) = calling(&mut world);
    world.with(0, |alice, now| alice.set_direction(call, Direction::SendOnly, now));
    let reinvite = world.request(&Method::Invite);
    world.answer(&reinvite, 488, None, PEER, &[], None);
    world.request(&Method::Ack);
    assert!(matches!(&world.events(0)[..], [Event::HoldFailed { code: 488, .. }]));
    // The session is as before: the next offer says sendrecv again.
    world.with(0, |alice, now| alice.set_direction(call, Direction::SendRecv, now));
    let reinvite = world.request(&Method::Invite);
    assert!(String::from_utf8(reinvite.body.clone()).unwrap().contains("a=sendrecv"));
    world.answer(&reinvite, 200, None, PEER, &[], Some(&sdp("192.0.2.9", "")));
    world.with(0, |alice, now| alice.end(call, now));
    world.assert_empty();
}

#[test]
fn case_22_a_useless_reinvite_keeps_the_call() {
    let mut world = World::alone();
    let (call, response) = answered(&mut world);
    world.send(PEER, 0, ack(&response));
    world.run_ms(50);
    world.events(0);
    let useless = sdp("192.0.2.9", "")
        .replace("RTP/AVP 0", "RTP/AVP 18")
        .replace("PCMU", "G729")
        .replace("rtpmap:0", "rtpmap:18");
    let reinvite = Ask {
        extra: "Content-Type: application/sdp\r\n".into(),
        body: useless,
        ..inside(&response, "INVITE", 2)
    };
    world.send(PEER, 0, reinvite.text());
    let refusal = world.response(488);
    assert!(refusal.headers.get("Warning").unwrap().starts_with("305 "));
    world.send(
        PEER,
        0,
        Ask {
            method: "ACK",
            ..inside(&response, "INVITE", 2)
        }
        .text()
        .replace("2 INVITE", "2 ACK"),
    );
    assert!(world.events(0).is_empty());
    world.with(0, |alice, now| alice.end(call, now));
    world.request(&Method::Bye);
    world.assert_empty();
}

#[test]
fn case_23_cancel_after_the_answer_changes_nothing() {
    let mut world = World::alone();
    let (call, response) = answered(&mut world);
    world.events(0);
    let cancel = Ask {
        method: "CANCEL",
        extra: String::new(),
        body: String::new(),
        ..Ask::invite()
    };
    world.send(PEER, 0, cancel.text());
    world.response(200);
    world.send(PEER, 0, ack(&response));
    world.run_ms(50);
    assert!(world.events(0).is_empty());
    assert_eq!(world.phones[0].agent.tables().calls, 1);
    world.with(0, |alice, now| alice.end(call, now));
    world.assert_empty();
}

#[test]
fn case_24_the_bye_is_never_answered() {
    let mut world = World::alone();
    let (call, _) = calling(&mut world);
    world.with(0, |alice, now| alice.end(call, now));
    assert_eq!(ends(&world.events(0)), [(EndedBy::Local, None)]);
    world.assert_empty();
    assert_eq!(world.sent("BYE"), 11);
}

#[test]
fn case_25_a_second_way_here_is_a_loop() {
    let mut world = World::alone();
    world.send(PEER, 0, Ask::invite().text());
    world.response(100);
    let call = world.incoming(0);
    world.send(
        PEER,
        0,
        Ask {
            branch: "z9hG4bKother",
            ..Ask::invite()
        }
        .text(),
    );
    world.response(482);
    assert!(world.events(0).is_empty());
    world.with(0, |alice, now| alice.reject(call, 486, now));
    world.assert_empty();
}

#[test]
fn case_26_an_old_number_is_out_of_order() {
    let mut world = World::alone();
    let (call, response) = answered(&mut world);
    world.send(PEER, 0, ack(&response));
    world.send(PEER, 0, inside(&response, "OPTIONS", 7).text());
    world.response(200);
    world.send(PEER, 0, inside(&response, "OPTIONS", 5).text());
    world.response(500);
    world.send(PEER, 0, inside(&response, "BYE", 6).text());
    world.response(500);
    assert_eq!(world.phones[0].agent.tables().calls, 1);
    world.with(0, |alice, now| alice.end(call, now));
    world.assert_empty();
}

#[test]
fn case_27_answers_to_nothing_are_dropped() {
    let mut world = World::alone();
    let (call, invite) = called(&mut world);
    let mut forged = invite.clone();
    let text = invite.headers.top_via().unwrap().to_string();
    forged.headers.set("Via", text.replace("z9hG4bK", "z9hG4bKx"));
    let mut other_call = invite.clone();
    other_call.headers.set("Call-ID", "another");
    let mut other_number = invite.clone();
    other_number.headers.set("CSeq", "9 INVITE");
    let mut two_vias = invite.clone();
    two_vias.headers.push_front("Via", invite.headers.top_via().unwrap());
    for request in [forged, other_call, other_number, two_vias] {
        world.answer(&request, 200, Some("p"), PEER, &[], Some(&sdp("192.0.2.9", "")));
    }
    world.run_ms(50);
    assert!(world.events(0).is_empty());
    assert_eq!(world.counters(0).dropped, 4);
    world.with(0, |alice, now| alice.end(call, now));
    world.assert_empty();
}

#[test]
fn case_28_the_next_address_is_tried() {
    let mut world = World::alone();
    let target = |ip: &str| Target {
        transport: Transport::Udp,
        address: format!("{ip}:5060").parse().unwrap(),
    };
    world.names.insert(
        "example.com".into(),
        vec![target("192.0.2.81"), target("192.0.2.82"), target("192.0.2.83")],
    );
    world.invite(0, "sip:bob@example.com");
    let (to, _) = world.request_at(&Method::Invite);
    assert_eq!(to, "192.0.2.81:5060".parse().unwrap());
    // The first is unreachable, the second overloaded.
    let now = world.now;
    world.phones[0].agent.handle_unreachable(to, now);
    let (to, invite) = world.request_at(&Method::Invite);
    assert_eq!(to, "192.0.2.82:5060".parse().unwrap());
    world.answer(&invite, 503, Some("x"), "192.0.2.82:5060", &[], None);
    world.request(&Method::Ack);
    let (to, invite) = world.request_at(&Method::Invite);
    assert_eq!(to, "192.0.2.83:5060".parse().unwrap());
    world.answer(&invite, 486, Some("x"), "192.0.2.83:5060", &[], None);
    world.run_ms(50);
    assert_eq!(ends(&world.events(0)), [(EndedBy::Remote, Some(486))]);
    world.invite(0, "sip:bob@nowhere.example");
    let events = world.events(0);
    assert_eq!(ends(&events), [(EndedBy::Failure, Some(503))]);
    assert!(matches!(&events[0], Event::Ended { reason, .. } if reason.contains("nowhere.example")));
    world.assert_empty();
}

#[test]
fn case_29_bye_of_a_ringing_caller() {
    let mut world = World::alone();
    world.send(PEER, 0, Ask::invite().text());
    world.response(100);
    let call = world.incoming(0);
    world.with(0, |alice, now| alice.ring(call, now));
    let ringing = world.response(180);
    world.send(PEER, 0, inside(&ringing, "BYE", 2).text());
    world.response(200);
    world.response(487);
    assert_eq!(ends(&world.events(0)), [(EndedBy::Remote, None)]);
    world.assert_empty();
}

#[test]
fn case_30_the_callers_time_runs_out() {
    let mut world = World::alone();
    let extra = "Expires: 20\r\nContent-Type: application/sdp\r\n".into();
    world.send(PEER, 0, Ask { extra, ..Ask::invite() }.text());
    world.response(100);
    world.incoming(0);
    world.run(Duration::from_secs(21));
    world.response(487);
    assert_eq!(ends(&world.events(0)), [(EndedBy::Remote, Some(487))]);
    world.assert_empty();
}

#[test]
fn case_31_a_long_ring_is_repeated_and_a_long_wait_ends() {
    let mut world = World::pair();
    world.invite(0, "sip:bob@192.0.2.2");
    world.run_ms(100);
    let b = world.incoming(1);
    world.with(1, |bob, now| bob.ring(b, now));
    world.run(Duration::from_secs(600));
    assert_eq!(world.sent("SIP/2.0 180"), 11);
    assert!(ends(&world.events(0)).is_empty());
    // The called phone dies without a word.
    world.loses = Box::new(|_| true);
    world.run(Duration::from_secs(400));
    assert_eq!(ends(&world.events(0)), [(EndedBy::Failure, Some(408))]);
    world.with(1, sip::UserAgent::shut_down);
    world.assert_empty();
}

#[test]
fn case_32_update_in_the_call() {
    let mut world = World::alone();
    let (call, response) = answered(&mut world);
    world.send(PEER, 0, ack(&response));
    world.run_ms(50);
    world.events(0);
    let body = sdp("192.0.2.9", "a=sendonly\r\n");
    let update = Ask {
        extra: "Content-Type: application/sdp\r\n".into(),
        body,
        ..inside(&response, "UPDATE", 2)
    };
    world.send(PEER, 0, update.text());
    let ok = world.response(200);
    assert!(String::from_utf8(ok.body).unwrap().contains("a=recvonly"));
    assert!(matches!(&world.events(0)[..], [Event::MediaChanged { media, .. }] if media.direction == Direction::RecvOnly));
    world.send(PEER, 0, inside(&response, "UPDATE", 3).text());
    assert!(world.response(200).body.is_empty());
    let body = sdp("192.0.2.9", "")
        .replace("RTP/AVP 0", "RTP/AVP 18")
        .replace("rtpmap:0 PCMU", "rtpmap:18 G729");
    let update = Ask {
        extra: "Content-Type: application/sdp\r\n".into(),
        body,
        ..inside(&response, "UPDATE", 4)
    };
    world.send(PEER, 0, update.text());
    world.response(488);
    world.with(0, |alice, now| alice.end(call, now));
    world.request(&Method::Bye);
    world.assert_empty();
}
