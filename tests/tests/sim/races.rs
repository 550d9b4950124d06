//! What happens when messages cross, get lost, or come at the worst moment.

use std::time::Duration;

use offhook_tests::world::{
    HEARD, PeerId, PhoneId, Setup, World, ms, number_of_peer, phone_ip, secs,
};
use phone::State;
use testkit::network::{Link, Loss, RuleAction};
use testkit::peer::{Message, sdp};

fn ok(invite: &Message) -> Message {
    let at = "10.0.0.9:4000".parse().unwrap();
    invite
        .reply(200, "far")
        .with("Contact", "<sip:script@10.0.0.9>")
        .sdp(&sdp(at, 1, "sendrecv"))
}

fn calling(name: &str) -> (World, PhoneId, PeerId, Message) {
    let mut world = World::new(name, 1);
    let l = world.phone(Setup::default());
    let far = world.peer();
    world.call(l, &number_of_peer(far));
    let invite = world.expect(far, "INVITE");
    (world, l, far, invite)
}

#[test]
fn cancel_while_ringing() {
    let (mut world, l, far, invite) = calling("cancel");
    world.say(far, &invite.reply(180, "far"));
    world.expect_state(l, State::Ringback, secs(1));
    world.hang_up(l);
    let cancel = world.expect(far, "CANCEL");
    assert_eq!(
        (cancel.header("via"), cancel.cseq(), cancel.uri()),
        (invite.header("via"), invite.cseq(), invite.uri())
    );
    assert_eq!(
        (
            cancel.header("from"),
            cancel.header("to"),
            cancel.header("call-id")
        ),
        (
            invite.header("from"),
            invite.header("to"),
            invite.header("call-id")
        )
    );
    world.say(far, &cancel.reply(200, "far"));
    world.say(far, &invite.reply(487, "far"));
    world.expect(far, "ACK");
    world.quiet();
    world.report("CANCEL in the INVITE's own transaction, 487 acknowledged");
}

#[test]
fn cancel_waits_for_a_provisional_response() {
    let (mut world, l, far, invite) = calling("cancel before 100");
    world.hang_up(l);
    world.expect_nothing(far, secs(1));
    world.say(far, &invite.reply(100, ""));
    let cancel = world.expect(far, "CANCEL");
    world.say(far, &cancel.reply(200, "far"));
    world.say(far, &invite.reply(487, "far"));
    world.expect(far, "ACK");
    world.quiet();
    world.report("RFC 3261 section 9.1: no CANCEL before the first 1xx");
}

#[test]
fn cancel_crosses_200() {
    let (mut world, l, far, invite) = calling("cancel against 200");
    world.say(far, &invite.reply(180, "far"));
    world.expect_state(l, State::Ringback, secs(1));
    world.say(far, &ok(&invite));
    world.hang_up(l);
    let cancel = world.expect(far, "CANCEL");
    world.say(far, &cancel.reply(200, "far"));
    let ack = world.expect(far, "ACK");
    assert_eq!(ack.tag("to"), Some("far"));
    let bye = world.expect(far, "BYE");
    assert_eq!(bye.tag("to"), Some("far"));
    world.say(far, &bye.reply(200, ""));
    world.quiet();
    world.report("200 came after the CANCEL was out: acknowledged and ended");
}

#[test]
fn cancel_without_an_answer() {
    let (mut world, l, far, invite) = calling("cancel unanswered");
    world.say(far, &invite.reply(180, "far"));
    world.expect_state(l, State::Ringback, secs(1));
    world.hang_up(l);
    world.expect(far, "CANCEL");
    world.run(secs(2));
    assert_eq!(world.state(l), State::Idle, "the phone is ready at once");
    world.lift(l);
    world.run(secs(1));
    assert_eq!(world.state(l), State::DialTone);
    world.quiet();
    assert!(
        world[far].retransmissions >= 5,
        "{} repeats",
        world[far].retransmissions
    );
    world.report("no 487 ever: dial tone at once, tables empty in time");
}

#[test]
fn called_and_cancelled() {
    let mut world = World::new("called and cancelled", 2);
    let l = world.phone(Setup::default());
    let far = world.peer();
    let at = "10.0.0.9:4000".parse().unwrap();
    let invite = world[far]
        .request("INVITE", "sip:l@10.0.0.1", "c1")
        .sdp(&sdp(at, 1, "sendrecv"));
    world.say(far, &invite);
    answers_until(&mut world, far, "180 INVITE");
    world.expect_state(l, State::Ringing, secs(1));
    world.say(far, &invite.same_transaction("CANCEL", None));
    let mut codes = vec![world.expect_any(far), world.expect_any(far)];
    codes.sort();
    assert_eq!(codes, ["200 CANCEL", "487 INVITE"]);
    world.expect_state(l, State::Idle, secs(1));
    assert!(world[l].ring.is_none());
    let ack = invite.same_transaction("ACK", Some(&format!("{};tag=x", invite.header("to"))));
    world.say(far, &ack);
    world.quiet();
    world.report("200 to CANCEL, 487 to INVITE, the bell stops");
}

/// Takes messages until this one, which is returned.
fn answers_until(world: &mut World, far: PeerId, what: &str) -> Message {
    loop {
        world.until(&format!("peer gets {what}"), secs(3), |world| {
            !world[far].mailbox.is_empty()
        });
        let (_, _, message) = world[far].mailbox.pop_front().unwrap();
        if format!(
            "{} {}",
            message.code().unwrap_or(0),
            message.header("cseq").split(' ').nth(1).unwrap()
        ) == what
        {
            return message;
        }
        assert_eq!(
            message.code(),
            Some(100),
            "waiting for {what}, got\n{}",
            message.text()
        );
    }
}

/// What the next message at the peer is.
trait ExpectAny {
    fn expect_any(&mut self, far: PeerId) -> String;
}
impl ExpectAny for World {
    fn expect_any(&mut self, far: PeerId) -> String {
        self.until("peer gets anything", secs(3), |world| {
            !world[far].mailbox.is_empty()
        });
        let (_, _, message) = self[far].mailbox.pop_front().unwrap();
        match message.code() {
            Some(code) => format!(
                "{code} {}",
                message.header("cseq").split(' ').nth(1).unwrap()
            ),
            None => message.method().to_owned(),
        }
    }
}

#[test]
fn cancel_after_the_answer_changes_nothing() {
    let mut world = World::new("cancel too late", 3);
    let l = world.phone(Setup::default());
    let far = world.peer();
    let at = "10.0.0.9:4000".parse().unwrap();
    let invite = world[far]
        .request("INVITE", "sip:l@10.0.0.1", "c2")
        .sdp(&sdp(at, 1, "sendrecv"));
    world.say(far, &invite);
    answers_until(&mut world, far, "180 INVITE");
    world.lift(l);
    let answer = answers_until(&mut world, far, "200 INVITE");
    world.say(far, &invite.same_transaction("CANCEL", None));
    answers_until(&mut world, far, "200 CANCEL");
    let mut dialog = world[far].caller_dialog(&invite, &answer);
    let ack = world[far].in_dialog(&mut dialog, "ACK");
    world.say(far, &ack);
    world.expect_state(l, State::Talking, secs(1));
    world.run(secs(1));
    let bye = world[far].in_dialog(&mut dialog, "BYE");
    world.say(far, &bye);
    answers_until(&mut world, far, "200 BYE");
    world.expect_state(l, State::Congestion, secs(1));
    world.quiet();
    world.report("200 to the late CANCEL, the call stood until BYE");
}

#[test]
fn an_ack_that_never_comes() {
    let mut world = World::new("no ACK", 4);
    let l = world.phone(Setup::default());
    let far = world.peer();
    let at = "10.0.0.9:4000".parse().unwrap();
    let invite = world[far]
        .request("INVITE", "sip:l@10.0.0.1", "c3")
        .sdp(&sdp(at, 1, "sendrecv"));
    world.say(far, &invite);
    answers_until(&mut world, far, "180 INVITE");
    world.lift(l);
    answers_until(&mut world, far, "200 INVITE");
    let answered = world.now();
    let bye = world.expect_within(far, "BYE", secs(40));
    let waited = world.now().saturating_sub(answered);
    assert!(
        (secs(31)..secs(34)).contains(&waited),
        "RFC 3261 section 13.3.1.4: 64·T1, was {waited:?}"
    );
    assert!(
        world[far].retransmissions >= 8,
        "the 200 was repeated {} times",
        world[far].retransmissions
    );
    world.say(far, &bye.reply(200, ""));
    world.until("the user hears that the call is over", secs(2), |world| {
        world.state(l) != State::Talking
    });
    world.quiet();
    world.report(&format!(
        "200 repeated {} times, BYE after {:.1} s",
        world[far].retransmissions,
        waited.as_secs_f64()
    ));
}

#[test]
fn lost_messages_are_repeated() {
    let mut report = Vec::new();
    for (n, (from_l, what, count)) in [
        (true, "INVITE", 1),
        (true, "INVITE", 3),
        (false, "SIP/2.0 180 INVITE", 1),
        (false, "SIP/2.0 200 INVITE", 1),
        (false, "SIP/2.0 200 INVITE", 4),
        (true, "ACK", 1),
        (true, "ACK", 3),
        (true, "BYE", 1),
        (true, "BYE", 4),
        (false, "SIP/2.0 200 BYE", 1),
        (false, "SIP/2.0 200 BYE", 3),
        (true, "CANCEL", 0),
    ]
    .into_iter()
    .enumerate()
    {
        let (mut world, l, r) = World::pair(
            &format!("lost {what} {count}"),
            10 + n as u64,
            &Setup::default(),
        );
        let from = phone_ip(if from_l { l } else { r });
        world.lose_first(from, what, count);
        world.call(l, "202");
        world.expect_state(r, State::Ringing, secs(12));
        world.run(secs(1));
        world.lift(r);
        world.until("both talk", secs(20), |world| {
            world.state(l) == State::Talking && world.state(r) == State::Talking
        });
        world.run(secs(4));
        world.assert_speech_both_ways(l, r, secs(2), HEARD);
        world.hang_up(l);
        world.expect_state(r, State::Congestion, secs(12));
        world.quiet();
        assert_eq!(
            world.network.counters().lost,
            u64::from(count),
            "the rule lost what it should"
        );
        report.push(format!("{count}×{what}"));
    }
    println!("sim lost messages: {}", report.join(", "));
}

#[test]
fn a_bye_that_is_lost_for_good() {
    let (mut world, l, r) = World::pair("BYE lost for good", 5, &Setup::default());
    world.connect(l, r);
    world.run(secs(2));
    world.lose_first(phone_ip(l), "BYE", u32::MAX);
    world.hang_up(l);
    world.expect_state(l, State::Idle, ms(500));
    world.lift(l);
    world.run(ms(500));
    assert_eq!(world.state(l), State::DialTone);
    world.hang_up(l);
    world.run(secs(40));
    assert!(world[l].unrest().is_none(), "{:?}", world[l].unrest());
    let byes = world
        .network
        .capture
        .sip_between(phone_ip(l), phone_ip(r))
        .filter(|sent| sent.datagram.is_sip("BYE"))
        .count();
    assert_eq!(
        byes, 11,
        "RFC 3261 section 17.1.2.2: at 0, .5, 1.5, 3.5 s, then each 4 s until Timer F"
    );
    // The other side hears silence; its user hangs up in the end.
    world.hang_up(r);
    world.assert_drained();
    world.report("the caller is free at once and empty after Timer F; the callee ends by itself");
}

#[test]
fn every_nth_message_is_lost() {
    for n in 2..=6 {
        for phase in 0..n {
            let (mut world, l, r) = World::pair(
                &format!("every {n}th lost, phase {phase}"),
                6,
                &Setup::default(),
            );
            let mut count = phase;
            world.network.add_rule("every nth", move |packet, _| {
                if packet.is_media() {
                    return RuleAction::Pass;
                }
                count += 1;
                if count % n == 0 {
                    RuleAction::Drop
                } else {
                    RuleAction::Pass
                }
            });
            world.call(l, "202");
            world.expect_state(r, State::Ringing, secs(25));
            world.run(secs(2));
            world.lift(r);
            world.until("both talk", secs(30), |world| {
                world.state(l) == State::Talking && world.state(r) == State::Talking
            });
            world.run(secs(1));
            world.hang_up(r);
            world.expect_state(l, State::Congestion, secs(32));
            world.quiet();
        }
    }
    println!("sim every nth message lost: n 2 to 6, each phase: set up and ended");
}

#[test]
fn hang_up_at_every_moment_around_the_answer() {
    let mut ends = [0u32; 3];
    for offset in (-100i64..=100).step_by(10) {
        let (mut world, l, r) =
            World::pair(&format!("hang up at {offset} ms"), 7, &Setup::default());
        world.network.set_default(Link {
            delay: ms(20),
            ..Link::default()
        });
        world.call(l, "202");
        world.expect_state(r, State::Ringing, secs(5));
        world.expect_state(l, State::Ringback, secs(5));
        world.run(ms(500));
        let now = world.now();
        let (lift, hang) = (now + ms(200), now + ms((200 + offset) as u64));
        world.board_event(r, lift.saturating_sub(now), control::BoardEvent::Hook(true));
        world.board_event(
            l,
            hang.saturating_sub(now),
            control::BoardEvent::Hook(false),
        );
        world.run(secs(3));
        assert_eq!(world.state(l), State::Idle, "offset {offset}");
        match world.state(r) {
            State::DialTone => ends[0] += 1,
            State::Congestion | State::Busy => ends[1] += 1,
            State::Talking => panic!("offset {offset}: the callee talks to no one"),
            _ => ends[2] += 1,
        }
        world.quiet();
    }
    println!(
        "sim hang up around the answer: 21 moments, callee then dial tone {} congestion {} other \
         {}",
        ends[0], ends[1], ends[2]
    );
}

#[test]
fn both_hang_up_at_once() {
    let (mut world, l, r) = World::pair("BYE crosses BYE", 8, &Setup::default());
    world.network.set_default(Link {
        delay: ms(30),
        ..Link::default()
    });
    world.connect(l, r);
    world.run(secs(2));
    world.hang_up(l);
    world.hang_up(r);
    world.run(secs(1));
    assert_eq!((world.state(l), world.state(r)), (State::Idle, State::Idle));
    world.quiet();
    world.report("both idle, both BYEs answered");
}

#[test]
fn both_call_each_other_at_once() {
    let (mut world, l, r) = World::pair("calls cross", 9, &Setup::default());
    world.network.set_default(Link {
        delay: ms(40),
        ..Link::default()
    });
    world.lift(l);
    world.lift(r);
    world.run(ms(300));
    for (one, other) in "202".chars().zip("201".chars()) {
        for (id, key) in [(l, one), (r, other)] {
            world.board_event(id, Duration::ZERO, control::BoardEvent::KeyDown(key));
            world.board_event(id, ms(80), control::BoardEvent::KeyUp(key));
        }
        world.run(ms(150));
    }
    world.run(secs(4));
    for id in [l, r] {
        assert!(
            !matches!(world.state(id), State::Talking | State::Ringing),
            "{:?}",
            world.state(id)
        );
    }
    world.quiet();
    world.report("each meets a phone in use; no one hangs");
}

#[test]
fn the_far_end_vanishes_in_mid_call() {
    let (mut world, l, r) = World::pair("far end vanishes", 10, &Setup::default());
    world.connect(l, r);
    world.run(secs(3));
    world.cut_off(phone_ip(r), Duration::from_secs(1_000_000));
    world.run(secs(30));
    world.hang_up(l);
    world.expect_state(l, State::Idle, ms(500));
    world.lift(l);
    world.run(ms(300));
    assert_eq!(
        world.state(l),
        State::DialTone,
        "dial tone on the next lift"
    );
    assert!(
        world.heard(l, ms(150)).level_dbfs() > -40.0,
        "and it is heard"
    );
    world.quiet();
    world.report("dial tone on the next lift, both empty after their timers");
}

#[test]
fn signalling_with_a_fifth_lost() {
    let mut calls = 0;
    for seed in 0..20 {
        let (mut world, l, r) =
            World::pair(&format!("20 % lost, seed {seed}"), seed, &Setup::default());
        world.network.set_default(Link {
            loss: Loss::Random(0.2),
            delay: ms(15),
            ..Link::default()
        });
        world.call(l, "202");
        world.until("ringing or given up", secs(40), |world| {
            matches!(world.state(r), State::Ringing) || world.state(l) == State::Congestion
        });
        if world.state(r) == State::Ringing {
            world.lift(r);
            world.until("both talk or the call is over", secs(40), |world| {
                (world.state(l) == State::Talking && world.state(r) == State::Talking)
                    || world.state(r) != State::Talking && world.state(l) != State::Ringback
            });
            world.run(secs(2));
            calls +=
                u32::from(world.state(l) == State::Talking && world.state(r) == State::Talking);
        }
        world.hang_up(l);
        world.run(ms(10 * seed));
        world.quiet();
    }
    assert!(calls >= 19, "only {calls} of 20 calls stood");
    println!("sim 20 % of everything lost: {calls} of 20 calls stood, every table empty");
}
