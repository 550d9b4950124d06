//! Offers that meet: in PRACK, in UPDATE and in the INVITE before them (RFC 3311 section 5.2, RFC
//! 3262 section 5, RFC 3261 section 14), and what acknowledges which response.

use sip::message::{Method, Response};
use sip::{EndedBy, Event};
use types::Direction;

use crate::world::{Ask, PEER, World, ack, answered, ends, inside, is_established, media, sdp};
use crate::{SDP, early_media, prack, rack_of, ringing};

/// An UPDATE of the peer with an offer, in the dialog of this response.
fn update(response: &Response, cseq: u32, attributes: &str) -> String {
    Ask {
        extra: SDP.into(),
        body: sdp("192.0.2.9", attributes),
        ..inside(response, "UPDATE", cseq)
    }
    .text()
}

#[test]
fn update_before_the_offer_is_answered_is_put_off() {
    for header in ["Supported: 100rel", "Require: 100rel", "Supported: timer"] {
        let mut world = World::alone();
        let call = ringing(&mut world, header);
        let early = world.response(180);
        // Their offer in the INVITE waits for our answer (RFC 3311 section 5.2).
        world.send(PEER, 0, update(&early, 2, "a=sendonly\r\n"));
        let refusal = world.response(500);
        assert!(
            refusal.headers.number("Retry-After").unwrap() <= 10,
            "{header}"
        );
        if header.starts_with("Require") {
            world.send(PEER, 0, prack(&early, 3, &rack_of(&early), "").text());
            world.response(200);
        }
        world.with(0, |alice, now| alice.answer(call, media(20_000), now));
        let answer = world.response(200);
        assert!(!String::from_utf8_lossy(&answer.body).contains("a=recvonly"));
        world.send(PEER, 0, ack(&answer));
        world.run_ms(50);
        assert!(is_established(&world.events(0)), "{header}");
        world.with(0, |alice, now| alice.end(call, now));
        world.assert_empty();
    }
}

#[test]
fn offers_in_prack_and_update_at_once_leave_one_session() {
    // Which of the two comes first, and what holds then: the one that was accepted last.
    for update_first in [true, false] {
        let mut world = World::alone();
        let call = ringing(&mut world, "Supported: 100rel");
        world.response(180);
        let early = early_media(&mut world, call);
        let offer = sdp("192.0.2.9", "a=recvonly\r\n");
        let ours = prack(
            &early,
            if update_first { 3 } else { 2 },
            &rack_of(&early),
            &offer,
        )
        .text();
        let theirs = update(&early, if update_first { 2 } else { 3 }, "a=inactive\r\n");
        let both = if update_first {
            [theirs, ours]
        } else {
            [ours, theirs]
        };
        for text in both {
            world.send(PEER, 0, text);
            let answer = world.response(200);
            let body = String::from_utf8_lossy(&answer.body).into_owned();
            let method = answer.headers.cseq().unwrap().method;
            let direction = if method == Method::Prack {
                "a=sendonly"
            } else {
                "a=inactive"
            };
            assert!(body.contains(direction), "{method}: {body}");
        }
        world.with(0, |alice, now| alice.answer(call, media(20_000), now));
        let answer = world.response(200);
        assert_eq!(answer.headers.cseq().unwrap().method, Method::Invite);
        world.send(PEER, 0, ack(&answer));
        world.run_ms(50);
        let wanted = if update_first {
            Direction::SendOnly
        } else {
            Direction::Inactive
        };
        let events = world.events(0);
        assert!(
            events.iter().any(|event| matches!(
                event,
                Event::Established { media, .. } if media.direction == wanted
            )),
            "{events:?}"
        );
        world.with(0, |alice, now| alice.end(call, now));
        world.assert_empty();
    }
}

#[test]
fn rack_of_an_older_response_or_another_request_is_refused() {
    let mut world = World::alone();
    let call = ringing(&mut world, "Require: 100rel");
    let first = world.response(180);
    world.send(PEER, 0, prack(&first, 2, &rack_of(&first), "").text());
    world.response(200);
    let early = early_media(&mut world, call);
    let rseq = early.headers.number("RSeq").unwrap();
    assert_eq!(Some(rseq - 1), first.headers.number("RSeq"), "one by one");
    for (cseq, rack) in [
        (3, rack_of(&first)),
        (4, format!("{} 1 INVITE", rseq + 1)),
        (5, format!("{rseq} 2 INVITE")),
        (6, format!("{rseq} 1 UPDATE")),
        (7, format!("{rseq} 1")),
    ] {
        world.send(PEER, 0, prack(&early, cseq, &rack, "").text());
        let refusal = world.response(481);
        assert_eq!(refusal.headers.cseq().unwrap().number, cseq, "{rack}");
    }
    world.run_ms(600);
    assert!(
        world.sent("SIP/2.0 183") > 1,
        "it still waits for its PRACK"
    );
    world.inbox.clear();
    world.send(PEER, 0, prack(&early, 8, &rack_of(&early), "").text());
    world.response(200);
    world.with(0, |alice, now| alice.end(call, now));
    world.run_ms(40_000);
    world.assert_quiet();
}

#[test]
fn offers_that_cross_our_hold_wait_for_it() {
    let mut world = World::alone();
    let (call, response) = answered(&mut world);
    world.send(PEER, 0, ack(&response));
    world.run_ms(50);
    world.events(0);
    world.with(0, |alice, now| {
        alice.set_direction(call, Direction::SendOnly, now);
    });
    let hold = world.request(&Method::Invite);
    // An offer of theirs while ours is open: 491. A refresh without one is none: 200.
    world.send(PEER, 0, update(&response, 2, "a=inactive\r\n"));
    world.response(491);
    world.send(PEER, 0, inside(&response, "UPDATE", 3).text());
    world.response(200);
    let theirs = Ask {
        extra: SDP.into(),
        body: sdp("192.0.2.9", "a=sendonly\r\n"),
        ..inside(&response, "INVITE", 4)
    };
    world.send(PEER, 0, theirs.text());
    world.response(491);
    let acknowledged = Ask {
        method: "ACK",
        extra: String::new(),
        body: String::new(),
        ..theirs
    };
    world.send(PEER, 0, acknowledged.text());
    world.answer(&hold, 491, None, PEER, &[], None);
    world.request(&Method::Ack);
    // We did not make the Call-ID: ours is the shorter wait (RFC 3261 section 14.1).
    world.run_ms(2_050);
    let again = world.request(&Method::Invite);
    assert!(String::from_utf8_lossy(&again.body).contains("a=sendonly"));
    let held = sdp("192.0.2.9", "a=recvonly\r\n");
    world.answer(&again, 200, None, PEER, &[], Some(&held));
    world.request(&Method::Ack);
    assert!(matches!(
        &world.events(0)[..],
        [Event::MediaChanged { media, .. }] if media.direction == Direction::SendOnly
    ));
    world.send(PEER, 0, update(&response, 5, "a=inactive\r\n"));
    let answer = world.response(200);
    assert!(String::from_utf8_lossy(&answer.body).contains("a=inactive"));
    world.with(0, |alice, now| alice.end(call, now));
    world.run_ms(40_000);
    world.assert_quiet();
}

#[test]
fn bye_may_carry_the_number_of_the_prack_before_it() {
    let mut world = World::alone();
    let call = ringing(&mut world, "Require: 100rel");
    let early = world.response(180);
    world.send(PEER, 0, prack(&early, 2, &rack_of(&early), "").text());
    world.response(200);
    world.with(0, |alice, now| alice.answer(call, media(20_000), now));
    let answer = world.response(200);
    world.send(PEER, 0, ack(&answer));
    world.run_ms(50);
    // Any other request under a number that was used is out of order.
    world.send(PEER, 0, inside(&answer, "UPDATE", 2).text());
    world.response(500);
    world.send(PEER, 0, inside(&answer, "BYE", 1).text());
    world.response(500);
    world.send(PEER, 0, inside(&answer, "BYE", 2).text());
    world.response(200);
    assert_eq!(ends(&world.events(0)), [(EndedBy::Remote, None)]);
    world.assert_empty();
}

/// RFC 5407 section 3.1.5, RFC 3261 section 14.2: the first offer and answer end with the ACK.
#[test]
fn reinvite_before_the_ack_is_put_off_whatever_it_says() {
    let session = sdp("192.0.2.9", "");
    for late in [false, true] {
        for offers in [false, true] {
            let mut world = World::alone();
            let (kind, body) = if late {
                ("", "")
            } else {
                (SDP, session.as_str())
            };
            let invite = Ask {
                extra: kind.into(),
                body: body.into(),
                ..Ask::invite()
            };
            world.send(PEER, 0, invite.text());
            world.response(100);
            let call = world.incoming(0);
            world.with(0, |alice, now| alice.answer(call, media(20_000), now));
            let ok = world.response(200);
            let again = |cseq| {
                let (kind, body) = if offers {
                    (SDP, session.as_str())
                } else {
                    ("", "")
                };
                let again = Ask {
                    extra: kind.into(),
                    body: body.into(),
                    ..inside(&ok, "INVITE", cseq)
                };
                again.text()
            };
            for cseq in [2, 3] {
                world.send(PEER, 0, again(cseq));
                world.response(491);
            }
            let answer = Ask {
                extra: if late { SDP.into() } else { String::new() },
                body: if late { session.clone() } else { String::new() },
                ..inside(&ok, "ACK", 1)
            };
            world.send(PEER, 0, answer.text());
            world.run_ms(50);
            let events = world.events(0);
            assert!(
                is_established(&events),
                "late {late}, offers {offers}: {events:?}"
            );
            // The call is whole: the same is taken now.
            world.send(PEER, 0, again(4));
            let taken = world.response(200);
            assert!(!taken.body.is_empty());
        }
    }
}
