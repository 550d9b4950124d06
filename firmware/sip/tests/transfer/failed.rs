//! Attended transfers of this phone's own that fail: whoever is still there comes back to its
//! owner, and no one else does.

use sip::agent::Event;
use sip::message::{Method, Request};
use sip::{CallHandle, EndedBy};
use types::Direction;

use crate::CAROL;
use crate::orders::{ask, comes_back, news, nothing_is_left, result, taken_back, transferred};
use crate::sent::notify;
use crate::world::{PEER, World, ack, answered, calling, ends, inside, is_established, sdp};

/// The calls that came back, in their order, and the results of transfers.
fn came_back(world: &mut World) -> (Vec<CallHandle>, Vec<Result<(), u16>>) {
    world.run_ms(50);
    let (mut calls, mut results, mut others) = (Vec::new(), Vec::new(), Vec::new());
    for event in world.events(0) {
        match event {
            Event::Incoming {
                call,
                returned: true,
                ..
            } => calls.push(call),
            Event::Transferred { result, .. } => results.push(result),
            other => others.push(other),
        }
    }
    assert!(others.is_empty(), "{others:?}");
    (calls, results)
}

/// The consulted call of `transferred`: placed after the held one.
fn consulted_of(held: CallHandle) -> CallHandle {
    CallHandle(held.0 + 1)
}

/// Alice takes the call back from this far end, and ends it.
fn taken_back_and_ended(world: &mut World, call: CallHandle, at: &str) {
    let change = taken_back(world, call);
    let body = String::from_utf8_lossy(&change.body).into_owned();
    assert!(
        !body.contains("a=inactive") && !body.contains("a=sendonly"),
        "{body}"
    );
    let host = at.split_once(':').unwrap().0;
    world.accept(&change, None, at, &sdp(host, ""));
    world.request(&Method::Ack);
    assert!(is_established(&world.events(0)));
    world.with(0, |alice, now| alice.end(call, now));
    let bye = world.request(&Method::Bye);
    world.answer(&bye, 200, None, at, &[], None);
    world.events(0);
}

#[test]
fn refusal_or_failure_brings_both_back() {
    let over = "Event: refer\r\nSubscription-State: terminated;reason=noresource\r\n";
    // 503 may pass: it is asked for once more.
    for (refer_code, last, code, asked) in [
        (403, None, 403, 1),
        (405, None, 405, 1),
        (603, None, 603, 1),
        (503, None, 503, 2),
        (202, Some("486 Busy Here"), 486, 1),
        (202, Some("603 Decline"), 603, 1),
        (202, Some("481 Call/Transaction Does Not Exist"), 481, 1),
        (202, Some("503 Service Unavailable"), 503, 2),
        // The subscription ends without a last word.
        (202, Some(""), 487, 1),
    ] {
        let mut world = World::alone();
        let (held, [first, _], mut refer) = transferred(&mut world);
        for round in 0..asked {
            if round > 0 {
                world.run_ms(1_100);
                refer = world.request(&Method::Refer);
            }
            world.answer(&refer, refer_code, None, PEER, &[], None);
            let cseq = 60 + round;
            match last {
                Some("") => world.send(PEER, 0, notify(&first, cseq, over, "")),
                Some(status) => world.send(PEER, 0, news(&first, cseq, status)),
                None => {}
            }
        }
        let both = vec![held, consulted_of(held)];
        let case = format!("{refer_code} {last:?}");
        assert_eq!(came_back(&mut world), (both, vec![Err(code)]), "{case}");
        assert_eq!(world.sent("BYE"), 0, "{case}");
        // Each is a call like any other again.
        taken_back_and_ended(&mut world, held, PEER);
        taken_back_and_ended(&mut world, consulted_of(held), CAROL);
        nothing_is_left(&mut world);
    }
}

#[test]
fn silence_brings_both_back_while_the_consulted_one_waits() {
    let mut world = World::alone();
    let (held, [first, _], refer) = transferred(&mut world);
    world.answer(&refer, 202, None, PEER, &[], None);
    let active = "Event: refer\r\nSubscription-State: active;expires=60\r\n\
                  Content-Type: message/sipfrag\r\n";
    world.send(
        PEER,
        0,
        notify(&first, 60, active, "SIP/2.0 100 Trying\r\n"),
    );
    world.run_ms(32_500);
    assert!(world.events(0).is_empty(), "not before");
    world.run_ms(600);
    let both = vec![held, consulted_of(held)];
    assert_eq!(came_back(&mut world), (both, vec![Err(408)]));
    assert_eq!(world.sent("BYE"), 0);
    // No one takes them: both are ended.
    world.run_ms(60_100);
    assert_eq!(ends(&world.events(0)), [(EndedBy::Failure, Some(480)); 2]);
    assert_eq!(world.sent("BYE"), 2);
    nothing_is_left(&mut world);
}

#[test]
fn consulted_call_comes_back_alone_where_the_other_is_gone() {
    for how in [
        "refer unknown",
        "refer unanswered",
        "hung up",
        "hung up after 202",
    ] {
        let mut world = World::alone();
        let (held, [first, _], refer) = transferred(&mut world);
        match how {
            "refer unknown" => world.answer(&refer, 481, None, PEER, &[], None),
            "refer unanswered" => world.run_ms(32_100),
            _ => {
                if how == "hung up after 202" {
                    world.answer(&refer, 202, None, PEER, &[], None);
                }
                world.send(PEER, 0, ask(&first, "p", PEER, "BYE", 70, ""));
                world.response(200);
                world.run_ms(4_900);
                assert!(world.events(0).is_empty(), "{how}: it may be replaced yet");
                world.run_ms(200);
            }
        }
        let (calls, _) = came_back(&mut world);
        assert_eq!(calls, [consulted_of(held)], "{how}");
        assert_eq!(
            world.sent("BYE"),
            usize::from(how.starts_with("refer")),
            "{how}"
        );
        if how.starts_with("refer") {
            let bye = world.request(&Method::Bye);
            world.answer(&bye, 200, None, PEER, &[], None);
        }
        taken_back_and_ended(&mut world, consulted_of(held), CAROL);
        nothing_is_left(&mut world);
    }
}

#[test]
fn held_call_comes_back_alone_where_the_consulted_one_is_gone() {
    for last in [Some("486 Busy Here"), None] {
        let mut world = World::alone();
        let (held, [first, second], refer) = transferred(&mut world);
        world.answer(&refer, 202, None, PEER, &[], None);
        world.send(CAROL, 0, ask(&second, "c", CAROL, "BYE", 70, ""));
        world.response(200);
        world.run_ms(50);
        assert!(world.events(0).is_empty());
        if let Some(status) = last {
            world.send(PEER, 0, news(&first, 60, status));
            let back = (vec![held], vec![Err(486)]);
            assert_eq!(came_back(&mut world), back);
            taken_back_and_ended(&mut world, held, PEER);
        } else {
            // Whoever was consulted ended the call: it was replaced, and they talk.
            world.run_ms(33_100);
            assert_eq!(came_back(&mut world), (vec![], vec![Err(408)]));
            assert_eq!(world.sent("BYE"), 1);
        }
        nothing_is_left(&mut world);
    }
}

/// Alice, talking to the peer, calls carol, who rings, and connects the two: the held call, her
/// INVITEs, and the REFER.
pub(crate) fn sent_to_who_rings(world: &mut World) -> (CallHandle, [Request; 2], Request) {
    let (held, first) = calling(world);
    let consulted = world.invite(0, &format!("sip:carol@{CAROL}"));
    let second = world.request(&Method::Invite);
    world.answer(&second, 180, Some("c"), CAROL, &[], None);
    world.run_ms(50);
    world.events(0);
    world
        .with(0, |alice, now| alice.transfer(held, consulted, now))
        .unwrap();
    assert_eq!(ends(&world.events(0)).len(), 2);
    let refer = world.request(&Method::Refer);
    (held, [first, second], refer)
}

#[test]
fn held_call_comes_back_where_who_rang_cannot_be_had() {
    for (refer_code, last, answered_meanwhile) in [
        (405, None, false),
        (202, Some("486 Busy Here"), false),
        (202, Some("603 Decline"), true),
    ] {
        let mut world = World::alone();
        let (held, [first, second], refer) = sent_to_who_rings(&mut world);
        assert_eq!(world.sent("CANCEL"), 1);
        if answered_meanwhile {
            // The 200 crosses the CANCEL: it is acknowledged, and ended.
            world.accept(&second, Some("c"), CAROL, &sdp("192.0.2.8", ""));
            world.run_ms(50);
        }
        assert_eq!(world.sent("BYE"), usize::from(answered_meanwhile));
        world.answer(&refer, refer_code, None, PEER, &[], None);
        if let Some(status) = last {
            world.send(PEER, 0, news(&first, 60, status));
        }
        let (calls, results) = came_back(&mut world);
        assert_eq!(
            (calls, results.len()),
            (vec![held], 1),
            "{refer_code} {last:?}"
        );
        taken_back_and_ended(&mut world, held, PEER);
        world.run_ms(70_000);
        assert_eq!(world.phones[0].agent.tables().calls, 0);
    }
}

#[test]
fn calls_on_hold_come_back_to_be_talked_in() {
    let mut world = World::alone();
    let (held, first) = calling(&mut world);
    let hold = |world: &mut World, call, at: &str| {
        world.with(0, |alice, now| {
            alice.set_direction(call, Direction::SendOnly, now);
        });
        let change = world.request(&Method::Invite);
        let host = at.split_once(':').unwrap().0;
        world.accept(&change, None, at, &sdp(host, "a=recvonly\r\n"));
        world.request(&Method::Ack);
    };
    hold(&mut world, held, PEER);
    let consulted = world.invite(0, &format!("sip:carol@{CAROL}"));
    let second = world.request(&Method::Invite);
    world.accept(&second, Some("c"), CAROL, &sdp("192.0.2.8", ""));
    world.request(&Method::Ack);
    hold(&mut world, consulted, CAROL);
    world.events(0);
    world
        .with(0, |alice, now| alice.transfer(held, consulted, now))
        .unwrap();
    world.events(0);
    let refer = world.request(&Method::Refer);
    world.answer(&refer, 202, None, PEER, &[], None);
    world.send(PEER, 0, news(&first, 60, "404 Not Found"));
    assert_eq!(
        came_back(&mut world),
        (vec![held, consulted], vec![Err(404)])
    );
    taken_back_and_ended(&mut world, consulted, CAROL);
    taken_back_and_ended(&mut world, held, PEER);
    nothing_is_left(&mut world);
}

#[test]
fn transfer_that_cannot_be_asked_for_brings_the_call_back() {
    let mut world = World::alone();
    let (held, _) = calling(&mut world);
    world.events(0);
    let refused = world.with(0, |alice, now| alice.transfer_to(held, "no one", now));
    assert!(refused.is_err());
    let events = world.events(0);
    assert_eq!(ends(&events), [(EndedBy::Local, None)]);
    assert!(matches!(
        events.last(),
        Some(Event::Incoming { call, returned: true, .. }) if *call == held
    ));
    assert_eq!((world.sent("REFER"), world.sent("BYE")), (0, 0));
    // Asked for again meanwhile, nothing changes.
    let again = world.with(0, |alice, now| alice.transfer_to(held, "no one", now));
    assert!(again.is_err());
    assert!(!comes_back(&mut world, held), "it is there already");
    taken_back_and_ended(&mut world, held, PEER);
    nothing_is_left(&mut world);
}

#[test]
fn call_that_came_back_is_transferred_with_the_other() {
    let mut world = World::alone();
    let (held, [first, _], refer) = transferred(&mut world);
    world.answer(&refer, 403, None, PEER, &[], None);
    let consulted = consulted_of(held);
    assert_eq!(came_back(&mut world).0, [held, consulted]);
    for (call, at) in [(held, PEER), (consulted, CAROL)] {
        let change = taken_back(&mut world, call);
        let host = at.split_once(':').unwrap().0;
        world.accept(&change, None, at, &sdp(host, ""));
        world.request(&Method::Ack);
    }
    world.events(0);
    world
        .with(0, |alice, now| alice.transfer(held, consulted, now))
        .unwrap();
    assert_eq!(ends(&world.events(0)), [(EndedBy::Local, None); 2]);
    let refer = world.request(&Method::Refer);
    world.answer(&refer, 202, None, PEER, &[], None);
    world.send(PEER, 0, news(&first, 90, "200 OK"));
    assert_eq!(result(&mut world, held), Ok(()));
    assert_eq!(world.sent("BYE"), 2);
    nothing_is_left(&mut world);
}

#[test]
fn call_that_waits_for_its_ack_comes_back_when_that_is_here() {
    let mut world = World::alone();
    let (held, response) = answered(&mut world);
    assert!(is_established(&world.events(0)));
    let refused = world.with(0, |alice, now| alice.transfer(held, CallHandle(99), now));
    assert!(refused.is_err());
    world.run_ms(50);
    assert!(world.events(0).is_empty(), "not before");
    world.send(PEER, 0, ack(&response));
    world.run_ms(50);
    let events = world.events(0);
    assert_eq!(ends(&events), [(EndedBy::Local, None)]);
    assert!(matches!(
        events.last(),
        Some(Event::Incoming { call, returned: true, .. }) if *call == held
    ));
    assert_eq!(world.sent("BYE"), 0);
    taken_back_and_ended(&mut world, held, PEER);
    nothing_is_left(&mut world);
}

#[test]
fn consulted_call_comes_back_soon_where_the_other_ends_before_its_ack() {
    let mut world = World::alone();
    let (held, response) = answered(&mut world);
    let consulted = world.invite(0, &format!("sip:carol@{CAROL}"));
    let second = world.request(&Method::Invite);
    world.accept(&second, Some("c"), CAROL, &sdp("192.0.2.8", ""));
    world.request(&Method::Ack);
    world.events(0);
    world
        .with(0, |alice, now| alice.transfer(held, consulted, now))
        .unwrap();
    assert_eq!(
        ends(&world.events(0)).len(),
        1,
        "the other waits for its ACK"
    );
    world.send(PEER, 0, inside(&response, "BYE", 2).text());
    world.run_ms(50);
    assert_eq!(ends(&world.events(0)), [(EndedBy::Remote, None)]);
    world.run_ms(4_800);
    assert!(world.events(0).is_empty(), "it may be replaced yet");
    world.run_ms(200);
    assert_eq!(came_back(&mut world), (vec![consulted], vec![]));
    assert_eq!((world.sent("REFER"), world.sent("BYE")), (0, 0));
    taken_back_and_ended(&mut world, consulted, CAROL);
    nothing_is_left(&mut world);
}
