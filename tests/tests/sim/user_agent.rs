//! What PBXs and providers ask of a user agent, as the person at the phone meets it: reliable
//! provisional responses, session timers, redirections, a hold that is refused, text messages.

use control::history::CallOutcome;
use offhook_tests::world::{PeerId, PhoneId, Setup, World, ms, number_of_peer, secs};
use phone::{Lamp, LampState, State};
use testkit::peer::{Message, sdp};

/// Where the scripted peer listens for sound.
fn media_at() -> std::net::SocketAddr {
    "10.0.0.9:4000".parse().unwrap()
}

/// The peer's INVITE to the phone, with an offer and these headers.
fn invite(world: &mut World, l: PhoneId, far: PeerId, headers: &[(&str, &str)]) -> Message {
    let uri = format!("sip:{}", offhook_tests::world::phone_ip(l));
    let mut invite = world[far].request("INVITE", &uri, "call-1");
    for (name, value) in headers {
        invite = invite.with(name, *value);
    }
    let invite = invite.sdp(&sdp(media_at(), 1, "sendrecv"));
    world.say(far, &invite);
    world.expect(far, "100 INVITE");
    invite
}

fn end(world: &mut World, l: PhoneId, far: PeerId) {
    world.hang_up(l);
    let bye = world.expect(far, "BYE");
    world.say(far, &bye.reply(200, ""));
    world.quiet();
}

#[test]
fn call_that_requires_100rel_rings() {
    let mut world = World::new("100rel", 1);
    let l = world.phone(Setup::default());
    let far = world.peer();
    let invite = invite(&mut world, l, far, &[("Require", "100rel")]);
    let ringing = world.expect(far, "180 INVITE");
    world.expect_state(l, State::Ringing, secs(1));
    let mut dialog = world[far].caller_dialog(&invite, &ringing);
    let rack = format!("{} {} INVITE", ringing.header("rseq"), invite.cseq());
    let prack = world[far]
        .in_dialog(&mut dialog, "PRACK")
        .with("RAck", rack);
    world.say(far, &prack);
    world.expect(far, "200 PRACK");
    world.run(secs(5));
    world.lift(l);
    let ok = world.expect(far, "200 INVITE");
    assert!(ok.media().is_some(), "the 180 carried no answer");
    let ack = world[far]
        .in_dialog(&mut dialog, "ACK")
        .set("CSeq", format!("{} ACK", invite.cseq()));
    world.say(far, &ack);
    world.expect_state(l, State::Talking, secs(1));
    end(&mut world, l, far);
    world.report("Require: 100rel: rings, PRACK, answered");
}

#[test]
fn early_media_is_sent_where_it_is_configured() {
    let mut world = World::new("early media of ours", 2);
    let l = world.phone(Setup::default().toml("call", "early_media = true"));
    let far = world.peer();
    let invite = invite(&mut world, l, far, &[("Supported", "100rel")]);
    let early = world.expect(far, "183 INVITE");
    let to = early.media().unwrap();
    let mut dialog = world[far].caller_dialog(&invite, &early);
    let rack = format!("{} {} INVITE", early.header("rseq"), invite.cseq());
    let prack = world[far]
        .in_dialog(&mut dialog, "PRACK")
        .with("RAck", rack);
    world.say(far, &prack);
    world.expect(far, "200 PRACK");
    assert_eq!(world.state(l), State::Ringing, "it rings all the same");
    world.run(secs(1));
    world.lift(l);
    let ok = world.expect(far, "200 INVITE");
    assert_eq!(ok.media(), None, "the offer is answered already");
    let ack = world[far]
        .in_dialog(&mut dialog, "ACK")
        .set("CSeq", format!("{} ACK", invite.cseq()));
    world.say(far, &ack);
    world.expect_state(l, State::Talking, secs(1));
    let before = world[far].media.len();
    world.run(secs(1));
    let packets = world[far].media.len() - before;
    assert!(packets >= 45, "{packets} packets in a second, to {to}");
    end(&mut world, l, far);
    world.report("183 with an answer, PRACK, 200 without; sound after the answer");
}

#[test]
fn call_whose_far_end_vanished_ends_by_its_timer() {
    let mut world = World::new("session timer", 3);
    let l =
        world.phone(Setup::default().toml("call", "session_timer_s = 90\nmedia_timeout_s = 3600"));
    let far = world.peer();
    world.answered_by_peer(l, far, media_at());
    // The peer knows no timer: the phone asks by itself whether it is still there, at half-time.
    let refresh = world.expect_within(far, "INVITE", secs(50));
    assert!(refresh.header("session-expires").starts_with("90"));
    let ok = refresh
        .reply(200, "far")
        .with("Contact", "<sip:script@10.0.0.9>")
        .sdp(&sdp(media_at(), 1, "sendrecv"));
    world.say(far, &ok);
    world.expect(far, "ACK");
    assert_eq!(world.state(l), State::Talking);
    // The next one is not answered.
    world.expect_within(far, "INVITE", secs(50));
    world.expect_state(l, State::Congestion, secs(40));
    world.hang_up(l);
    world.run(secs(40));
    world.quiet();
    world.report("refreshed once; not answered the second time, the call ended");
}

#[test]
fn refused_hold_gives_the_call_back() {
    let mut world = World::new("refused hold", 4);
    let l = world.phone(Setup::default());
    let far = world.peer();
    world.answered_by_peer(l, far, media_at());
    for code in [401, 422, 488, 500] {
        world.flash(l);
        world.expect_state(l, State::DialTone, secs(2));
        let hold = world.expect(far, "INVITE");
        assert!(hold.body.contains("a=sendonly"));
        world.say(far, &hold.reply(code, "far"));
        world.expect(far, "ACK");
        world.expect_state(l, State::Talking, secs(1));
        assert_eq!(world[l].control.tone(), None);
        let before = world[far].media.len();
        world.run(secs(1));
        assert!(
            world[far].media.len() - before >= 45,
            "the far end hears it again"
        );
    }
    end(&mut world, l, far);
    world.report("401, 422, 488 and 500 to a hold: the call is back in the hand");
}

#[test]
fn redirection_to_a_barred_number_is_not_called() {
    // A number barred by the dial plan, and one that is dialled by hand only.
    for (number, called) in [("0900555", false), ("112", false), ("201", true)] {
        let mut world = World::new(&format!("redirected to {number}"), 5);
        let l = world.phone(Setup::default().toml("dial", "digit_map = \"0900x.!|xxx|x.T\""));
        let far = world.peer();
        world.call(l, &number_of_peer(far));
        let invite = world.expect(far, "INVITE");
        let to = format!("<sip:{number}@10.0.0.9>");
        world.say(far, &invite.reply(302, "moved").with("Contact", to));
        world.expect(far, "ACK");
        if called {
            let next = world.expect(far, "INVITE");
            assert!(next.uri().contains(number));
            world.say(far, &next.reply(486, "busy"));
            world.expect(far, "ACK");
            world.expect_state(l, State::Busy, secs(1));
        } else {
            world.expect_state(l, State::Congestion, secs(1));
            world.expect_nothing(far, secs(2));
            let notes = world[l].events_named("note");
            assert!(
                notes.iter().any(|(_, note)| note["text"]
                    .as_str()
                    .is_some_and(|text| text.contains(number) && text.contains("not called"))),
                "{notes:?}"
            );
        }
        world.hang_up(l);
        world.quiet();
    }
}

#[test]
fn call_another_phone_took_is_not_missed() {
    let mut world = World::new("answered elsewhere", 6);
    let l = world.phone(Setup::default());
    let far = world.peer();
    let invite = invite(&mut world, l, far, &[]);
    world.expect(far, "180 INVITE");
    let cancel = invite
        .same_transaction("CANCEL", None)
        .with("Reason", "SIP;cause=200;text=\"Call completed elsewhere\"");
    world.say(far, &cancel);
    world.expect_state(l, State::Idle, secs(1));
    world.run(ms(200));
    let text = format!("{:?}", world[l].events_named("note"));
    assert!(
        text.contains("answered elsewhere") && !text.contains("missed"),
        "{text}"
    );
    let history: Vec<_> = world[l]
        .control
        .history()
        .map(|call| call.outcome)
        .collect();
    assert_eq!(history, [CallOutcome::AnsweredElsewhere]);
    world.run(secs(40));
    world.quiet();
}

#[test]
fn text_message_becomes_an_event() {
    let mut world = World::new("message", 7);
    let l = world.phone(Setup::default());
    let far = world.peer();
    let uri = format!("sip:{}", offhook_tests::world::phone_ip(l));
    let mut message = world[far]
        .request("MESSAGE", &uri, "m-1")
        .with("Content-Type", "text/plain");
    message.body = "coffee is ready".to_owned();
    world.say(far, &message);
    world.expect(far, "200 MESSAGE");
    let events = world[l].events_named("message");
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].1["text"], "coffee is ready");
    // Stored like a missed call, and the lamp blinks until the handset is lifted.
    let stored = world[l].control.history().next().unwrap().clone();
    assert_eq!(stored.outcome, CallOutcome::Message);
    assert_eq!(stored.text.as_deref(), Some("coffee is ready"));
    let status = world[l].status(world.now());
    assert_eq!(status["last_message"]["text"], "coffee is ready");
    let lamp = |world: &World| world[l].lamps.get(&Lamp::Message).copied();
    assert_eq!(lamp(&world), Some(LampState::Slow));
    world.lift(l);
    assert_eq!(lamp(&world), Some(LampState::Off));
    world.hang_up(l);
    world.quiet();
}

#[test]
fn text_message_of_ours_is_sent_as_a_call_would_go() {
    let mut world = World::new("message of ours", 8);
    let l = world.phone(Setup::default().toml("dial", "digit_map = \"0900x.!|x.T\""));
    let far = world.peer();
    let action = |to: &str| control::api::UserAction::Message {
        to: to.to_owned(),
        text: "coffee?".to_owned(),
    };
    let to = number_of_peer(far);
    world.request(l, &action(&to)).unwrap();
    let message = world.expect(far, "MESSAGE");
    assert_eq!(message.body, "coffee?");
    world.say(far, &message.reply(200, "far"));
    world.run(ms(100));
    let refused = world
        .request(l, &action("sip:0900555@10.0.0.9"))
        .unwrap_err();
    assert!(refused.to_string().contains("0900555"), "{refused}");
    world.expect_nothing(far, secs(1));
    world.request(l, &action(&to)).unwrap();
    let message = world.expect(far, "MESSAGE");
    world.say(far, &message.reply(486, "far"));
    world.run(ms(100));
    let notes = world[l].events_named("note");
    let kinds: Vec<&str> = notes
        .iter()
        .filter_map(|(_, note)| note["kind"].as_str())
        .collect();
    assert_eq!(kinds, ["message_sent", "message_failed"]);
    world.run(secs(40));
    world.quiet();
}

#[test]
fn call_that_answered_itself_follows_a_transfer() {
    let mut world = World::new("transfer without a handset", 9);
    let l = world.phone(Setup::default().toml("call", "auto_answer = true"));
    let (far, other) = (world.peer(), world.peer());
    let invite = invite(&mut world, l, far, &[]);
    let ok = world.expect(far, "200 INVITE");
    let mut dialog = world[far].caller_dialog(&invite, &ok);
    let ack = world[far]
        .in_dialog(&mut dialog, "ACK")
        .set("CSeq", format!("{} ACK", invite.cseq()));
    world.say(far, &ack);
    world.expect_state(l, State::Talking, secs(1));
    let there = world[other].contact();
    let refer = world[far]
        .in_dialog(&mut dialog, "REFER")
        .with("Refer-To", there);
    world.say(far, &refer);
    world.expect(far, "202 REFER");
    let trying = world.expect(far, "NOTIFY");
    world.say(far, &trying.reply(200, ""));
    let asked = world.expect(other, "INVITE");
    let answer = asked
        .reply(200, "c")
        .with("Contact", "<sip:script@10.0.0.10>")
        .sdp(&sdp("10.0.0.10:4000".parse().unwrap(), 1, "sendrecv"));
    world.say(other, &answer);
    world.expect(other, "ACK");
    // The first one learns that it is done, and that its call is over.
    let mut said = Vec::new();
    for _ in 0..2 {
        world.until("the last word", secs(2), |world| {
            !world[far].mailbox.is_empty()
        });
        let (_, _, message) = world[far].mailbox.pop_front().unwrap();
        said.push(message.method().to_owned());
        world.say(far, &message.reply(200, ""));
    }
    said.sort();
    assert_eq!(said, ["BYE", "NOTIFY"]);
    world.expect_state(l, State::Talking, secs(1));
    let before = world[other].media.len();
    world.run(secs(1));
    let packets = world[other].media.len() - before;
    assert!(packets >= 45, "{packets} packets in a second");
    // Who was called hangs up: the phone rests, with no one there.
    let mut callee = world[other].callee_dialog(&asked, &answer);
    let bye = world[other].in_dialog(&mut callee, "BYE");
    world.say(other, &bye);
    world.expect(other, "200 BYE");
    world.expect_state(l, State::Idle, secs(1));
    world.quiet();
    world.report("a phone that answered by itself is led to another far end");
}
