//! Two phones call each other directly: the plain stories, with and without loss.

mod world;

use std::time::Duration;

use sip::agent::EndedBy;
use types::{Codec, Direction};

use sip::{CallHandle, Event};
use world::{World, media};

fn ended(events: &[Event]) -> Option<(EndedBy, Option<u16>)> {
    events.iter().find_map(|event| match event {
        Event::Ended { by, code, .. } => Some((*by, *code)),
        _ => None,
    })
}

fn established(events: &[Event]) -> Option<Codec> {
    events.iter().find_map(|event| match event {
        Event::Established { media, .. } => Some(media.codec),
        _ => None,
    })
}

/// An established call from phone 0 to phone 1.
fn talking(world: &mut World) -> (CallHandle, CallHandle) {
    let a = world.invite(0, "sip:bob@192.0.2.2");
    world.run_ms(100);
    let b = world.incoming(1);
    world.with(1, |bob, now| bob.ring(b, now));
    world.run_ms(1000);
    world.with(1, |bob, now| bob.answer(b, media(20_100), now));
    world.run_ms(100);
    assert!(established(&world.events(0)).is_some());
    assert!(established(&world.events(1)).is_some());
    (a, b)
}

#[test]
fn a_call_is_set_up_and_ended_by_the_caller() {
    let mut world = World::pair();
    let a = world.invite(0, "sip:bob@192.0.2.2");
    world.run_ms(100);
    let b = match &world.events(1)[..] {
        [
            Event::Incoming {
                call,
                account: None,
                from,
                to,
                ..
            },
        ] => {
            assert_eq!((from.as_str(), to.as_str()), ("alice", "bob"));
            *call
        }
        other => panic!("{other:?}"),
    };
    world.with(1, |bob, now| bob.ring(b, now));
    world.run_ms(100);
    assert!(matches!(
        &world.events(0)[..],
        [Event::Progress {
            code: 180,
            media: None,
            ..
        }]
    ));
    world.with(1, |bob, now| bob.answer(b, media(20_100), now));
    world.run_ms(100);
    match (&world.events(0)[..], &world.events(1)[..]) {
        ([Event::Established { media: near, .. }], [Event::Established { media: far, .. }]) => {
            assert_eq!((near.codec, far.codec), (Codec::Opus, Codec::Opus));
            assert_eq!(near.remote_rtp, "192.0.2.2:20100".parse().unwrap());
            assert_eq!(far.remote_rtp, "192.0.2.1:20000".parse().unwrap());
        }
        other => panic!("{other:?}"),
    }
    world.with(0, |alice, now| alice.end(a, now));
    world.run_ms(100);
    assert_eq!(ended(&world.events(0)), Some((EndedBy::Local, None)));
    assert_eq!(ended(&world.events(1)), Some((EndedBy::Remote, None)));
    let lines = world.first_words();
    assert_eq!(
        lines,
        [
            "INVITE",
            "SIP/2.0 100 Trying",
            "SIP/2.0 180 Ringing",
            "SIP/2.0 200 OK",
            "ACK",
            "BYE",
            "SIP/2.0 200 OK"
        ]
    );
    world.assert_empty();
}

#[test]
fn the_called_side_hangs_up() {
    let mut world = World::pair();
    let (_, b) = talking(&mut world);
    world.with(1, |bob, now| bob.end(b, now));
    world.run_ms(100);
    assert_eq!(ended(&world.events(0)), Some((EndedBy::Remote, None)));
    world.assert_empty();
}

#[test]
fn busy_is_reported() {
    let mut world = World::pair();
    world.invite(0, "sip:bob@192.0.2.2");
    world.run_ms(100);
    let b = world.incoming(1);
    world.with(1, |bob, now| bob.reject(b, 486, now));
    world.run_ms(100);
    assert_eq!(ended(&world.events(0)), Some((EndedBy::Remote, Some(486))));
    assert_eq!(ended(&world.events(1)), Some((EndedBy::Local, Some(486))));
    world.assert_empty();
}

#[test]
fn hanging_up_before_the_answer_cancels() {
    let mut world = World::pair();
    let a = world.invite(0, "sip:bob@192.0.2.2");
    world.run_ms(100);
    let b = world.incoming(1);
    world.with(1, |bob, now| bob.ring(b, now));
    world.run_ms(100);
    world.with(0, |alice, now| alice.end(a, now));
    world.run_ms(100);
    assert_eq!(ended(&world.events(0)), Some((EndedBy::Local, None)));
    assert_eq!(ended(&world.events(1)), Some((EndedBy::Remote, Some(487))));
    assert_eq!(world.sent("SIP/2.0 487"), 1);
    world.assert_empty();
}

#[test]
fn silence_is_reported_after_timer_b() {
    let mut world = World::alone();
    world.invite(0, "sip:bob@192.0.2.7");
    world.run(Duration::from_secs(31));
    assert_eq!(ended(&world.events(0)), None);
    world.run(Duration::from_secs(2));
    assert_eq!(ended(&world.events(0)), Some((EndedBy::Failure, Some(408))));
    assert_eq!(world.sent("INVITE"), 7);
    world.assert_empty();
}

#[test]
fn hold_and_resume_both_ways() {
    let mut world = World::pair();
    let (a, b) = talking(&mut world);
    let direction = |events: Vec<Event>| match &events[..] {
        [Event::MediaChanged { media, .. }] => media.direction,
        other => panic!("{other:?}"),
    };
    for (phone, call) in [(0, a), (1, b)] {
        world.with(phone, |p, now| {
            p.set_direction(call, Direction::SendOnly, now);
        });
        world.run_ms(200);
        assert_eq!(direction(world.events(phone)), Direction::SendOnly);
        assert_eq!(direction(world.events(1 - phone)), Direction::RecvOnly);
        world.with(phone, |p, now| {
            p.set_direction(call, Direction::SendRecv, now);
        });
        world.run_ms(200);
        assert_eq!(direction(world.events(phone)), Direction::SendRecv);
        assert_eq!(direction(world.events(1 - phone)), Direction::SendRecv);
    }
    world.with(0, |alice, now| alice.end(a, now));
    world.assert_empty();
}

#[test]
fn both_hold_at_once_and_the_glare_dissolves() {
    let mut world = World::pair();
    let (a, b) = talking(&mut world);
    world.with(0, |alice, now| {
        alice.set_direction(a, Direction::SendOnly, now);
    });
    world.with(1, |bob, now| bob.set_direction(b, Direction::SendOnly, now));
    world.run(Duration::from_secs(6));
    assert_eq!(world.sent("SIP/2.0 491"), 2);
    let last = |events: Vec<Event>| {
        events.into_iter().rev().find_map(|event| match event {
            Event::MediaChanged { media, .. } => Some(media.direction),
            _ => None,
        })
    };
    assert_eq!(last(world.events(0)), Some(Direction::Inactive));
    assert_eq!(last(world.events(1)), Some(Direction::Inactive));
    world.with(0, |alice, now| alice.end(a, now));
    world.assert_empty();
}

#[test]
fn digits_go_by_info() {
    let mut world = World::pair();
    let (a, _) = talking(&mut world);
    for digit in ['5', '#', '*', 'd'] {
        world.with(0, |alice, now| alice.send_info_digit(a, digit, 160, now));
        world.run_ms(100);
    }
    let digits: String = world
        .events(1)
        .iter()
        .filter_map(|e| {
            if let Event::Digit { digit, .. } = e {
                Some(*digit)
            } else {
                None
            }
        })
        .collect();
    assert_eq!(digits, "5#*D");
    world.with(0, |alice, now| alice.end(a, now));
    world.assert_empty();
}

#[test]
fn calls_survive_a_quarter_of_all_messages_lost() {
    for seed in 0..20_u64 {
        let mut world = World::pair();
        let mut rng = testkit::Rng::new(seed + 1);
        world.loses = Box::new(move |_| rng.chance(0.25));
        let a = world.invite(0, "sip:bob@192.0.2.2");
        world.run(Duration::from_secs(20));
        let b = world.incoming(1);
        world.with(1, |bob, now| bob.answer(b, media(20_100), now));
        world.run(Duration::from_secs(20));
        assert!(established(&world.events(0)).is_some(), "seed {seed}");
        world.with(0, |alice, now| alice.end(a, now));
        world.run(Duration::from_secs(40));
        assert_eq!(
            ended(&world.events(1)),
            Some((EndedBy::Remote, None)),
            "seed {seed}"
        );
        world.assert_empty();
    }
}

#[test]
fn too_many_calls_are_refused() {
    let mut world = World::pair();
    for _ in 0..16 {
        world.invite(0, "sip:bob@192.0.2.2");
    }
    let full = world.with(0, |alice, now| {
        alice.invite(None, "sip:bob@192.0.2.2", media(1), now)
    });
    assert_eq!(full, Err(sip::agent::InviteError::TooManyCalls));
    world.with(0, sip::UserAgent::shut_down);
    world.assert_empty();
}
