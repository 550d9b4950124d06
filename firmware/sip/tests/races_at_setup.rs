//! Numbered cases of what crosses on its way while a call is set up, each against a scripted peer.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

use std::time::Duration;

use sip::Event;
use sip::agent::EndedBy;
use sip::message::Method;
use types::Direction;
use world::{
    Ask, PEER, World, account, ack, answered, called, calling, config, ends, is_established, media,
    sdp, to_of,
};

#[test]
fn case_01_cancel_crosses_200() {
    let mut world = World::alone();
    let (call, invite) = called(&mut world);
    world.answer(&invite, 180, Some("p"), PEER, &[], None);
    world.run_ms(50);
    world.with(0, |alice, now| alice.end(call, now));
    let cancel = world.request(&Method::Cancel);
    assert_eq!(cancel.headers.top_via(), invite.headers.top_via());
    assert_eq!(
        cancel.headers.cseq().unwrap().number,
        invite.headers.cseq().unwrap().number
    );
    // Too late: the peer has just answered.
    world.answer(&cancel, 200, Some("p"), PEER, &[], None);
    world.accept(&invite, Some("p"), PEER, &sdp("192.0.2.9", ""));
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
fn an_invite_no_one_has_answered_is_cancelled_at_shutdown() {
    let mut world = World::alone();
    let (_, invite) = called(&mut world);
    world.run_ms(100);
    let sent = world.sent("INVITE");
    world.with(0, sip::UserAgent::shut_down);
    world.run_ms(1800);
    assert_eq!(world.sent("INVITE"), sent, "not sent again");
    assert_eq!(
        world.sent("CANCEL"),
        0,
        "a provisional response is waited for"
    );
    world.with(0, sip::UserAgent::finish_shutdown);
    let cancel = world.request(&Method::Cancel);
    assert_eq!(cancel.headers.top_via(), invite.headers.top_via());
    world.answer(&cancel, 200, Some("p"), PEER, &[], None);
    world.answer(&invite, 487, Some("p"), PEER, &[], None);
    world.request(&Method::Ack);
    world.assert_empty();
}

#[test]
fn an_invite_answered_during_shutdown_is_cancelled_or_ended() {
    for code in [100, 180, 200] {
        let mut world = World::alone();
        let (_, invite) = called(&mut world);
        world.with(0, sip::UserAgent::shut_down);
        world.run_ms(700);
        let body = sdp("192.0.2.9", "");
        let body = (code == 200).then_some(body.as_str());
        world.answer(&invite, code, Some("p"), PEER, &[], body);
        let end = if code == 200 {
            world.request(&Method::Ack);
            world.request(&Method::Bye)
        } else {
            world.request(&Method::Cancel)
        };
        world.answer(&end, 200, Some("p"), PEER, &[], None);
        if code != 200 {
            world.answer(&invite, 487, Some("p"), PEER, &[], None);
            world.request(&Method::Ack);
        }
        world.with(0, sip::UserAgent::finish_shutdown);
        world.assert_empty();
    }
}

#[test]
fn a_call_without_its_ack_ends_with_a_bye_at_shutdown() {
    let mut world = World::alone();
    answered(&mut world);
    world.with(0, sip::UserAgent::shut_down);
    world.run_ms(1800);
    assert_eq!(world.sent("BYE"), 0, "the ACK is waited for");
    world.with(0, sip::UserAgent::finish_shutdown);
    let bye = world.request(&Method::Bye);
    world.answer(&bye, 200, None, PEER, &[], None);
    world.assert_empty();
}

#[test]
fn case_03_the_cancel_is_not_answered() {
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
    assert_eq!(
        bye.headers.from().unwrap().tag(),
        response.headers.to().unwrap().tag()
    );
    world.answer(&bye, 200, None, PEER, &[], None);
    world.assert_empty();
}

#[test]
fn case_05_a_repeated_200_gets_the_same_ack() {
    let mut world = World::alone();
    let (call, invite) = called(&mut world);
    let mut acks = Vec::new();
    for _ in 0..3 {
        world.accept(&invite, Some("p"), PEER, &sdp("192.0.2.9", ""));
        acks.push(world.request(&Method::Ack));
    }
    assert_eq!(acks[0], acks[1]);
    assert_eq!(acks[0], acks[2]);
    assert_eq!(acks[0].headers.cseq().unwrap().number, 1);
    assert_eq!(
        world
            .events(0)
            .iter()
            .filter(|e| matches!(e, Event::Established { .. }))
            .count(),
        1
    );
    // Even when the call is already over here.
    world.with(0, |alice, now| alice.end(call, now));
    let bye = world.request(&Method::Bye);
    world.answer(&bye, 200, None, PEER, &[], None);
    world.accept(&invite, Some("p"), PEER, &sdp("192.0.2.9", ""));
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
        world.with(0, |alice, now| {
            alice.set_direction(call, Direction::SendOnly, now);
        });
        let first = world.request(&Method::Invite);
        let before = world.now;
        world.answer(&first, 491, None, PEER, &[], None);
        world.request(&Method::Ack);
        while world.inbox.is_empty() {
            world.run_ms(10);
        }
        let waited = world.now - before;
        let again = world.request(&Method::Invite);
        assert_eq!(
            again.headers.cseq().unwrap().number,
            first.headers.cseq().unwrap().number + 1
        );
        assert!(
            String::from_utf8(again.body.to_vec())
                .unwrap()
                .contains("a=sendonly")
        );
        world.accept(&again, None, PEER, &sdp("192.0.2.9", "a=recvonly\r\n"));
        world.request(&Method::Ack);
        assert!(
            matches!(&world.events(0)[..], [Event::MediaChanged { media, .. }]
                if media.direction == Direction::SendOnly)
        );
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
    world.accept(&invite, Some("p2"), PEER, &sdp("192.0.2.92", ""));
    assert_eq!(
        world.request(&Method::Ack).headers.to().unwrap().tag(),
        Some("p2")
    );
    world.accept(&invite, Some("p1"), PEER, &sdp("192.0.2.91", ""));
    assert_eq!(
        world.request(&Method::Ack).headers.to().unwrap().tag(),
        Some("p1")
    );
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
    assert_eq!(
        world.request(&Method::Bye).headers.to().unwrap().tag(),
        Some("p2")
    );
    world.assert_empty();
}

#[test]
fn case_09_early_media_of_two_branches() {
    let mut world = World::alone();
    let (call, invite) = called(&mut world);
    world.answer(
        &invite,
        183,
        Some("p1"),
        PEER,
        &[],
        Some(&sdp("192.0.2.91", "")),
    );
    world.answer(&invite, 180, Some("p2"), PEER, &[], None);
    world.answer(
        &invite,
        183,
        Some("p2"),
        PEER,
        &[],
        Some(&sdp("192.0.2.92", "")),
    );
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
    assert!(
        matches!(&world.events(0)[..], [Event::Established { media, .. }]
            if media.remote_rtp == "192.0.2.91:4000".parse().unwrap())
    );
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
    assert_eq!(
        world.request(&Method::Ack).headers.to().unwrap().tag(),
        Some("x")
    );
    let second = world.request(&Method::Invite);
    assert_eq!(second.headers.cseq().unwrap().number, 2);
    assert_eq!(second.headers.call_id(), first.headers.call_id());
    assert_ne!(
        second.headers.top_via().unwrap().branch(),
        first.headers.top_via().unwrap().branch()
    );
    let credentials = second
        .headers
        .get("Proxy-Authorization")
        .unwrap()
        .to_owned();
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
    assert_eq!(
        ack.headers.get("Proxy-Authorization"),
        Some(credentials.as_str())
    );
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

/// Alice has dialled 200 by her account there, which does not register.
fn dialled_by_account(domain: &str, password: &str) -> World {
    let mut config = config("alice", "192.0.2.1:5060", 1);
    config.accounts.push(sip::AccountConfig {
        register: false,
        ..account("alice", domain, password)
    });
    let mut world = World::new(vec![config]);
    let account = Some(sip::AccountId(0));
    world
        .with(0, |alice, now| {
            alice.invite(account, "200", media(20_000), now)
        })
        .unwrap();
    world
}

#[test]
fn case_11_a_wrong_password_is_shown_once() {
    let mut world = dialled_by_account("192.0.2.9", "wrong");
    for nonce in ["n1", "n2"] {
        let invite = world.request(&Method::Invite);
        let challenge = format!("Digest realm=\"r\", nonce=\"{nonce}\", qop=\"auth\"");
        world.challenge(&invite, Some("x"), PEER, &challenge);
        world.request(&Method::Ack);
    }
    assert_eq!(ends(&world.events(0)), [(EndedBy::Remote, Some(401))]);
    assert_eq!(world.sent("INVITE"), 2);
    world.assert_empty();
}

#[test]
fn case_12_a_stale_nonce_is_answered_a_few_times() {
    let mut world = dialled_by_account("192.0.2.9", "secret");
    for round in 0..5 {
        let invite = world.request(&Method::Invite);
        let challenge = format!("Digest realm=\"r\", nonce=\"n{round}\", qop=\"auth\", stale=true");
        world.challenge(&invite, Some("x"), PEER, &challenge);
        world.request(&Method::Ack);
    }
    assert_eq!(ends(&world.events(0)), [(EndedBy::Remote, Some(401))]);
    assert_eq!(world.sent("INVITE"), 5);
    world.assert_empty();
}

#[test]
fn case_13_no_password_for_a_stranger_who_asks() {
    // Called by the account, redirected to somebody who asks for its password.
    let mut world = dialled_by_account("192.0.2.3", "secret");
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
    let challenge = "Digest realm=\"192.0.2.3\", nonce=\"n\"";
    world.challenge(&invite, Some("y"), "192.0.2.66:5060", challenge);
    world.request(&Method::Ack);
    world.assert_silence();
    assert!(matches!(
        ends(&world.events(0))[..],
        [(EndedBy::Remote, Some(401))]
    ));
    world.assert_empty();
}

#[test]
fn case_14_redirections_are_followed_a_few_times() {
    let mut world = World::alone();
    let (_, mut invite) = called(&mut world);
    for hop in 1..=5 {
        let contact = format!(
            "<mailto:no@192.0.2.8>, <sip:worse@192.0.2.8>;q=0.1, <sip:hop{hop}@192.0.2.9>;q=0.7"
        );
        world.answer(
            &invite,
            302,
            Some("x"),
            PEER,
            &[("Contact", &contact)],
            None,
        );
        world.request(&Method::Ack);
        let next = world.request(&Method::Invite);
        assert_eq!(next.uri.to_string(), format!("sip:hop{hop}@192.0.2.9"));
        assert_eq!(next.headers.call_id(), invite.headers.call_id());
        assert!(next.headers.to().unwrap().tag().is_none());
        assert!(next.headers.cseq().unwrap().number > invite.headers.cseq().unwrap().number);
        invite = next;
    }
    world.answer(
        &invite,
        302,
        Some("x"),
        PEER,
        &[("Contact", "<sip:hop6@192.0.2.9>")],
        None,
    );
    world.request(&Method::Ack);
    world.assert_silence();
    assert_eq!(ends(&world.events(0)), [(EndedBy::Remote, Some(302))]);
    world.assert_empty();
}

/// The answers of a peer whose redirection names three addresses, and who is called.
fn redirected(codes: &[u16]) -> (Vec<String>, Vec<(EndedBy, Option<u16>)>) {
    let mut world = World::alone();
    let (_, invite) = called(&mut world);
    let contacts =
        "<sip:second@192.0.2.9>;q=0.5, <sip:third@192.0.2.9>;q=0.1, <sip:first@192.0.2.9>";
    world.answer(
        &invite,
        302,
        Some("x"),
        PEER,
        &[("Contact", contacts)],
        None,
    );
    let mut users = Vec::new();
    for code in codes {
        let next = world.request(&Method::Invite);
        users.push(next.uri.user().unwrap());
        world.answer(&next, *code, Some("y"), PEER, &[], None);
    }
    world.request(&Method::Ack);
    world.assert_silence();
    let ended = ends(&world.events(0));
    world.assert_empty();
    (users, ended)
}

#[test]
fn case_14b_each_contact_is_tried_by_its_q() {
    let (users, ended) = redirected(&[404, 503, 480]);
    assert_eq!(users, ["first", "second", "third"]);
    assert_eq!(ended, [(EndedBy::Remote, Some(480))]);
    // A 6xx speaks for everybody.
    let (users, ended) = redirected(&[486, 603]);
    assert_eq!(users, ["first", "second"]);
    assert_eq!(ended, [(EndedBy::Remote, Some(603))]);
}

#[test]
fn case_14c_the_owner_may_refuse_a_redirection() {
    let mut world = World::alone();
    let (_, invite) = called(&mut world);
    let contact = [("Contact", "<sip:barred@192.0.2.9>")];
    world.answer(&invite, 302, Some("x"), PEER, &contact, None);
    world.request(&Method::Ack);
    world.assert_silence();
    assert_eq!(ends(&world.events(0)), [(EndedBy::Failure, Some(403))]);
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
