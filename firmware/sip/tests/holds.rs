//! A hold that the far end refuses, by each of its ways: the owner learns it, or the call is over.

mod world;

use sip::message::{Method, Request};
use sip::{CallHandle, Event};
use types::Direction;
use world::{PEER, World, calling, config, sdp};

/// Alice holds the peer; the INVITE that asks for it.
fn holding() -> (World, CallHandle, Request) {
    let mut config = config("alice", "192.0.2.1:5060", 1);
    config.session_intervals.wanted_s = Some(90);
    let mut world = World::new(vec![config]);
    let (call, _) = calling(&mut world);
    let hold = held(&mut world, call);
    (world, call, hold)
}

fn held(world: &mut World, call: CallHandle) -> Request {
    world.with(0, |alice, now| {
        alice.set_direction(call, Direction::SendOnly, now);
    });
    let hold = world.request(&Method::Invite);
    assert!(String::from_utf8_lossy(&hold.body).contains("a=sendonly"));
    hold
}

fn failed(world: &mut World) -> Option<u16> {
    let find = |event: Event| match event {
        Event::HoldFailed { code, .. } => Some(code),
        _ => None,
    };
    world.events(0).into_iter().find_map(find)
}

fn ended(world: &mut World) -> bool {
    let events = world.events(0);
    events
        .iter()
        .any(|event| matches!(event, Event::Ended { .. }))
}

#[test]
fn refused_hold_is_reported_and_may_be_asked_for_again() {
    for code in [401, 403, 404, 422, 480, 486, 488, 500, 503, 603, 606] {
        let (mut world, call, hold) = holding();
        world.answer(&hold, code, None, PEER, &[], None);
        world.request(&Method::Ack);
        world.run_ms(5_000);
        assert_eq!(failed(&mut world), Some(code));
        // The call goes on, as it was, and a second hold may be taken.
        assert_eq!(world.sent("BYE"), 0, "{code}");
        let again = held(&mut world, call);
        world.accept(&again, None, PEER, &sdp("192.0.2.9", "a=recvonly\r\n"));
        world.request(&Method::Ack);
        assert_eq!(failed(&mut world), None, "{code}");
        world.with(0, |alice, now| alice.end(call, now));
        let bye = world.request(&Method::Bye);
        world.answer(&bye, 200, None, PEER, &[], None);
        world.assert_empty();
    }
}

/// Whatever the status, and however an answer refuses it: the owner is not left to believe that the
/// far end is held.
#[test]
fn no_refusal_of_a_hold_goes_unreported() {
    let codes = (300..=305).chain([380]).chain(400..=424).chain(428..=439);
    let codes = codes.chain([469, 470]).chain(480..=494).chain(500..=505);
    let codes = codes.chain([513, 580, 600, 603, 604, 606, 607, 608, 699]);
    for code in codes.filter(|code| !matches!(code, 408 | 481 | 491)) {
        let (mut world, _, hold) = holding();
        world.answer(&hold, code, None, PEER, &[], None);
        world.request(&Method::Ack);
        world.run_ms(5_000);
        assert_eq!(failed(&mut world), Some(code));
        assert_eq!((world.sent("BYE"), world.sent("INVITE")), (0, 2), "{code}");
    }
    let refuses = sdp("192.0.2.9", "").replace("m=audio 4000", "m=audio 0");
    let two_lines = format!("{}m=audio 4002 RTP/AVP 0\r\n", sdp("192.0.2.9", ""));
    let unknown = sdp("192.0.2.9", "").replace("RTP/AVP 0", "RTP/AVP 18");
    for body in [refuses, two_lines, unknown, "v=0\r\n".to_owned()] {
        let (mut world, _, hold) = holding();
        world.accept(&hold, None, PEER, &body);
        world.request(&Method::Ack);
        world.run_ms(100);
        let events = world.events(0);
        let said = events.iter().any(|event| {
            matches!(
                event,
                Event::HoldFailed { code: 488, .. } | Event::Ended { .. }
            )
        });
        assert!(said, "{body}: {events:?}");
    }
}

#[test]
fn hold_that_may_pass_later_is_asked_for_again_by_itself() {
    for (code, extra, within_s) in [
        (422, ("Min-SE", "600"), 1),
        (491, ("X", "y"), 5),
        (500, ("Retry-After", "3"), 4),
        (503, ("Retry-After", "3"), 4),
    ] {
        let (mut world, _, hold) = holding();
        world.answer(&hold, code, None, PEER, &[extra], None);
        let before = world.sent("INVITE");
        for _ in 0..within_s * 10 {
            if world.sent("INVITE") > before {
                break;
            }
            world.run_ms(100);
        }
        let again = world.request(&Method::Invite);
        assert!(String::from_utf8_lossy(&again.body).contains("a=sendonly"));
        if code == 422 {
            assert_eq!(again.headers.number("Min-SE"), Some(600));
        }
        world.accept(&again, None, PEER, &sdp("192.0.2.9", "a=recvonly\r\n"));
        world.request(&Method::Ack);
        assert_eq!(failed(&mut world), None, "{code}");
    }
}

#[test]
fn far_end_that_does_not_know_the_call_or_is_silent_ends_it() {
    // RFC 5057 section 5.1.
    for code in [Some(408), Some(481), None] {
        let (mut world, _, hold) = holding();
        match code {
            Some(code) => world.answer(&hold, code, None, PEER, &[], None),
            None => world.run_ms(32_000),
        }
        world.run_ms(1_000);
        assert!(ended(&mut world), "{code:?}");
        assert!(world.sent("BYE") > 0, "{code:?}");
        world.assert_empty();
    }
}
