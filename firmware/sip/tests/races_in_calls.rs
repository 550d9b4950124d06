//! Numbered cases of what crosses on its way while a call is established or ends, and of forks and
//! detours, each against a scripted peer.

mod world;

use std::time::Duration;

use sip::agent::EndedBy;
use sip::message::Method;
use sip::{Event, Target, Transport};
use types::Direction;
use world::{
    Ask, PEER, World, ack, answered, called, calling, ends, inside, is_established, media, sdp,
};

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
fn invite_that_comes_again_after_its_ack_is_no_new_one() {
    let mut world = World::alone();
    let (call, answer) = answered(&mut world);
    world.send(PEER, 0, ack(&answer));
    world.run_ms(50);
    world.events(0);
    world.send(PEER, 0, Ask::invite().text());
    let again = world.response(200);
    assert_eq!(again.headers.to(), answer.headers.to());
    world.send(PEER, 0, ack(&again));
    world.run_ms(2000);
    assert!(world.events(0).is_empty(), "the call goes on as it was");
    // A later request under the branch of an earlier one is neither.
    let reused = Ask {
        branch: Ask::invite().branch,
        extra: "Content-Type: application/sdp\r\n".into(),
        body: sdp("192.0.2.9", "a=sendonly\r\n"),
        ..inside(&answer, "INVITE", 2)
    };
    world.send(PEER, 0, reused.text());
    world.response(400);
    assert!(world.events(0).is_empty());
    world.with(0, |alice, now| alice.end(call, now));
    world.assert_quiet();
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
    world.response(491);
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
        String::from_utf8(response.body.to_vec())
            .unwrap()
            .contains("m=audio 20000 RTP/AVP 107 9 0 8")
    );
    assert!(!is_established(&world.events(0)));
    let answer = Ask {
        extra: "Content-Type: application/sdp\r\n".into(),
        body: sdp("192.0.2.9", ""),
        ..inside(&response, "ACK", 1)
    };
    world.send(PEER, 0, answer.text());
    world.run_ms(50);
    assert!(
        matches!(&world.events(0)[..], [Event::Established { media, .. }]
            if media.remote_rtp.port() == 4000)
    );
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
    assert!(
        matches!(&world.events(0)[..], [Event::MediaChanged { media, .. }]
            if media.direction == Direction::Inactive)
    );
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
    world.with(0, |alice, now| {
        alice.set_direction(call, Direction::SendOnly, now);
    });
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
    world.with(0, |alice, now| {
        alice.set_direction(call, Direction::SendOnly, now);
    });
    let reinvite = world.request(&Method::Invite);
    world.answer(&reinvite, 488, None, PEER, &[], None);
    world.request(&Method::Ack);
    assert!(matches!(
        &world.events(0)[..],
        [Event::HoldFailed { code: 488, .. }]
    ));
    // The session is as before: the next offer says sendrecv again.
    world.with(0, |alice, now| {
        alice.set_direction(call, Direction::SendRecv, now);
    });
    let reinvite = world.request(&Method::Invite);
    assert!(
        String::from_utf8(reinvite.body.to_vec())
            .unwrap()
            .contains("a=sendrecv")
    );
    world.accept(&reinvite, None, PEER, &sdp("192.0.2.9", ""));
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
    forged
        .headers
        .set("Via", text.replace("z9hG4bK", "z9hG4bKx"));
    let mut other_call = invite.clone();
    other_call.headers.set("Call-ID", "another");
    let mut other_number = invite.clone();
    other_number.headers.set("CSeq", "9 INVITE");
    let mut two_vias = invite.clone();
    two_vias
        .headers
        .push_front("Via", invite.headers.top_via().unwrap());
    for request in [forged, other_call, other_number, two_vias] {
        world.accept(&request, Some("p"), PEER, &sdp("192.0.2.9", ""));
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
        vec![
            target("192.0.2.81"),
            target("192.0.2.82"),
            target("192.0.2.83"),
        ],
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
    assert!(
        matches!(&events[0], Event::Ended { reason, .. } if reason.contains("nowhere.example"))
    );
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
    world.send(
        PEER,
        0,
        Ask {
            extra,
            ..Ask::invite()
        }
        .text(),
    );
    world.response(100);
    world.incoming(0);
    world.run(Duration::from_secs(21));
    world.response(487);
    assert_eq!(ends(&world.events(0)), [(EndedBy::Remote, Some(487))]);
    world.assert_empty();
}

#[test]
fn case_31_180_is_repeated_and_the_wait_ends() {
    let mut world = World::pair();
    world.invite(0, "sip:bob@192.0.2.2");
    world.run_ms(100);
    let b = world.incoming(1);
    world.with(1, |bob, now| bob.ring(b, now));
    world.run(Duration::from_secs(250));
    assert_eq!(world.sent("SIP/2.0 180"), 5);
    assert!(ends(&world.events(0)).is_empty());
    // The called phone dies without a word.
    world.loses = Box::new(|_| true);
    world.run(Duration::from_secs(49));
    assert!(ends(&world.events(1)).is_empty());
    // The caller is out of reach, too: the bell stops five minutes after it began.
    world.run(Duration::from_secs(2));
    assert_eq!(ends(&world.events(1)).len(), 1);
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
    assert!(
        String::from_utf8(ok.body.to_vec())
            .unwrap()
            .contains("a=recvonly")
    );
    assert!(
        matches!(&world.events(0)[..], [Event::MediaChanged { media, .. }]
            if media.direction == Direction::RecvOnly)
    );
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

#[test]
fn case_33_a_change_that_is_put_off_is_tried_again() {
    let mut world = World::alone();
    let (call, _) = calling(&mut world);
    world.with(0, |alice, now| {
        alice.set_direction(call, Direction::SendOnly, now);
    });
    let first = world.request(&Method::Invite);
    world.answer(&first, 500, None, PEER, &[("Retry-After", "3")], None);
    world.request(&Method::Ack);
    world.run(Duration::from_millis(2800));
    assert!(world.inbox.is_empty());
    world.run_ms(400);
    let again = world.request(&Method::Invite);
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
    // Without Retry-After, or with a long one, the change has failed.
    for extra in [&[][..], &[("Retry-After", "600")][..]] {
        world.with(0, |alice, now| {
            alice.set_direction(call, Direction::SendRecv, now);
        });
        let reinvite = world.request(&Method::Invite);
        world.answer(&reinvite, 500, None, PEER, extra, None);
        world.request(&Method::Ack);
        assert!(matches!(
            &world.events(0)[..],
            [Event::HoldFailed { code: 500, .. }]
        ));
    }
    world.with(0, |alice, now| alice.end(call, now));
    world.assert_empty();
}

#[test]
fn case_34_a_call_survives_a_new_address_of_ours() {
    let mut world = World::alone();
    let (call, _) = calling(&mut world);
    world.phones[0].address = "192.0.2.50:5060".parse().unwrap();
    world.with(0, |alice, now| {
        alice.handle_local_addresses(world::own("192.0.2.50:5060"), now);
    });
    let reinvite = world.request(&Method::Invite);
    assert!(
        reinvite
            .headers
            .get("Contact")
            .unwrap()
            .contains("192.0.2.50")
    );
    assert!(reinvite.headers.get("Via").unwrap().contains("192.0.2.50"));
    let body = String::from_utf8(reinvite.body.to_vec()).unwrap();
    assert!(
        body.contains("c=IN IP4 192.0.2.50") && body.contains("a=sendrecv"),
        "{body}"
    );
    world.accept(&reinvite, None, PEER, &sdp("192.0.2.9", ""));
    world.request(&Method::Ack);
    assert!(matches!(&world.events(0)[..], [Event::MediaChanged { .. }]));
    world.with(0, |alice, now| alice.end(call, now));
    world.request(&Method::Bye);
    world.assert_empty();
}

#[test]
fn case_35_hung_up_while_a_change_is_under_way() {
    let mut world = World::alone();
    let (call, _) = calling(&mut world);
    world.with(0, |alice, now| {
        alice.set_direction(call, Direction::SendOnly, now);
    });
    let reinvite = world.request(&Method::Invite);
    world.with(0, |alice, now| alice.end(call, now));
    let bye = world.request(&Method::Bye);
    world.answer(&bye, 200, None, PEER, &[], None);
    // The answer to the change comes late; its ACK is owed.
    world.accept(&reinvite, None, PEER, &sdp("192.0.2.9", ""));
    let ack = world.request(&Method::Ack);
    assert_eq!(
        ack.headers.cseq().unwrap().number,
        reinvite.headers.cseq().unwrap().number
    );
    assert_eq!(world.sent("BYE"), 1);
    world.assert_empty();
}

#[test]
fn case_36_hung_up_while_the_name_is_looked_up() {
    let mut world = World::alone();
    let now = world.now;
    let call = world.phones[0]
        .agent
        .invite(None, "sip:bob@slow.example", media(20_000), now)
        .unwrap();
    assert_eq!(world.phones[0].agent.tables().lookups, 1);
    world.phones[0].agent.end(call, now);
    world.names.insert(
        "slow.example".into(),
        vec![Target {
            transport: Transport::Udp,
            address: PEER.parse().unwrap(),
        }],
    );
    world.assert_silence();
    assert_eq!(world.sent("INVITE"), 0);
    world.assert_empty();
}
