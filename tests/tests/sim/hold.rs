//! Flash: hold and back, call waiting, swap; the far end holding us; and glare, when both sides
//! want something at once.

use offhook_tests::world::{HEARD, Setup, World, ms, secs};
use phone::{State, Tone};
use testkit::peer::sdp;

#[test]
fn hold_and_resume() {
    let mut world = World::new("hold", 1);
    let (l, r) = (world.phone(Setup::default()), world.phone(Setup::default()));
    world.connect(l, r);
    world.run(secs(3));
    world.assert_speech_both_ways(l, r, secs(2), HEARD);
    for round in 0..3 {
        world.flash(l);
        world.run(secs(3));
        world.assert_silent(r, secs(1));
        let own = world.compare(r, l, secs(2));
        assert!(
            own.correlation < 0.6,
            "round {round}: the held party is still heard: {own:?}"
        );
        let status = world[l].status(world.now());
        assert_eq!(status["calls"][0]["state"], "on_hold", "{status}");
        world.flash(l);
        world.run(secs(4));
        let (there, _) = world.assert_speech_both_ways(l, r, secs(2), HEARD);
        assert!(
            there.delay_s < 0.12,
            "round {round}: delay grew to {there:?}"
        );
    }
    world.quiet();
    world.report("three times held and taken back, speech and delay as before");
}

#[test]
fn call_waiting_and_swap() {
    let mut world = World::new("call waiting", 2);
    let (l, r, s) = (
        world.phone(Setup::default()),
        world.phone(Setup::default()),
        world.phone(Setup::default()),
    );
    world.connect(l, r);
    world.run(secs(1));
    world.call(s, "201");
    world.expect_state(s, State::Ringback, secs(5));
    world.until("call-waiting tone", secs(2), |world| {
        world[l].control.tone() == Some(Tone::CallWaiting)
    });
    assert!(
        world[l].ring.is_none(),
        "the bell does not ring into a call"
    );
    world.run(secs(2));
    world.assert_speech(l, r, secs(1), HEARD);
    world.flash(l);
    world.expect_state(s, State::Talking, secs(3));
    world.run(secs(4));
    world.assert_speech_both_ways(l, s, secs(3), HEARD);
    world.assert_silent(r, secs(2));
    world.flash(l);
    world.run(secs(4));
    world.assert_speech_both_ways(l, r, secs(3), HEARD);
    world.assert_silent(s, secs(2));
    world.hang_up(r);
    world.run(secs(2));
    world.quiet();
    world.report("second caller answered by flash, swapped back");
}

#[test]
fn a_waiting_caller_who_gives_up() {
    let mut world = World::new("waiting caller gone", 3);
    let (l, r, s) = (
        world.phone(Setup::default()),
        world.phone(Setup::default()),
        world.phone(Setup::default()),
    );
    world.connect(l, r);
    world.call(s, "201");
    world.expect_state(s, State::Ringback, secs(5));
    world.run(secs(1));
    world.hang_up(s);
    world.until("no call-waiting tone", secs(2), |world| {
        world[l].control.tone().is_none()
    });
    world.run(secs(3));
    world.assert_speech_both_ways(l, r, secs(2), HEARD);
    world.quiet();
    world.report("the call goes on as if no one had called");
}

#[test]
fn the_far_end_holds_us() {
    let mut world = World::new("held by peer", 4);
    let l = world.phone(Setup::default());
    let far = world.peer();
    let at = "10.0.0.9:4000".parse().unwrap();
    let (mut dialog, _) = world.answered_by_peer(l, far, at);
    for (offer, wanted) in [
        ("sendonly", "recvonly"),
        ("sendrecv", "sendrecv"),
        ("inactive", "inactive"),
        ("recvonly", "sendonly"),
        ("sendrecv", "sendrecv"),
    ] {
        let at = "10.0.0.9:4000".parse().unwrap();
        let version = dialog.cseq;
        let invite = world[far]
            .in_dialog(&mut dialog, "INVITE")
            .sdp(&sdp(at, version, offer));
        world.say(far, &invite);
        let mut ok = world.expect_within(far, "200 INVITE", secs(1));
        while ok.code() == Some(100) {
            ok = world.expect(far, "200 INVITE");
        }
        assert!(
            ok.body.contains(&format!("a={wanted}"))
                || (wanted == "sendrecv"
                    && !ok.body.contains("a=sendonly")
                    && !ok.body.contains("a=recvonly")
                    && !ok.body.contains("a=inactive")),
            "offered {offer}, got\n{}",
            ok.body
        );
        let ack = world[far].in_dialog(&mut dialog, "ACK");
        world.say(far, &ack);
        world.run(ms(300));
        let before = world[far]
            .media
            .iter()
            .filter(|(_, port, _)| *port == 4_000)
            .count();
        world.run(secs(1));
        let sent = world[far]
            .media
            .iter()
            .filter(|(_, port, _)| *port == 4_000)
            .count()
            - before;
        let sends = wanted == "sendrecv" || wanted == "sendonly";
        assert!(
            if sends {
                (45..=55).contains(&sent)
            } else {
                sent == 0
            },
            "answered {wanted} and sent {sent} RTP packets in a second"
        );
    }
    world.hang_up(l);
    let bye = world.expect(far, "BYE");
    world.say(far, &bye.reply(200, ""));
    world.quiet();
    world.report("sendonly, inactive, recvonly and back: answered by rule, RTP stops and starts");
}

#[test]
fn glare_with_a_scripted_peer() {
    let mut world = World::new("glare", 5);
    let l = world.phone(Setup::default());
    let far = world.peer();
    let at = "10.0.0.9:4000".parse().unwrap();
    let (mut dialog, _) = world.answered_by_peer(l, far, at);
    // Our re-INVITE is out and unanswered when theirs comes: 491 (RFC 3261 section 14.2).
    world.flash(l);
    let ours = world.expect(far, "INVITE");
    assert!(
        ours.body.contains("a=sendonly") || ours.body.contains("a=inactive"),
        "{}",
        ours.body
    );
    let at = "10.0.0.9:4000".parse().unwrap();
    let theirs = world[far]
        .in_dialog(&mut dialog, "INVITE")
        .sdp(&sdp(at, 5, "sendrecv"));
    world.say(far, &theirs);
    let refused = world.expect(far, "491 INVITE");
    let ack = theirs.same_transaction("ACK", Some(refused.header("to")));
    world.say(far, &ack);
    // Theirs says 491, too: the owner of the Call-ID waits 2.1 to 4 s before it tries again
    // (section 14.1).
    world.say(far, &ours.reply(491, ""));
    world.expect(far, "ACK");
    let refused_at = world.now();
    let again = world.expect(far, "INVITE");
    let waited = world.now().saturating_sub(refused_at);
    assert!(
        (ms(2_050)..ms(4_050)).contains(&waited),
        "tried again after {waited:?}"
    );
    assert!(again.cseq() > ours.cseq());
    world.say(
        far,
        &again
            .reply(200, "")
            .with("Contact", "<sip:script@10.0.0.9>")
            .sdp(&sdp(at, 6, "recvonly")),
    );
    world.expect(far, "ACK");
    world.run(secs(1));
    let status = world[l].status(world.now());
    assert_eq!(status["calls"][0]["state"], "on_hold", "{status}");
    world.hang_up(l);
    let bye = world.expect(far, "BYE");
    world.say(far, &bye.reply(200, ""));
    world.quiet();
    world.report(&format!(
        "491 given and taken, tried again after {} ms",
        waited.as_millis()
    ));
}

#[test]
fn both_phones_flash_at_once() {
    let mut world = World::new("both flash", 6);
    let (l, r) = (world.phone(Setup::default()), world.phone(Setup::default()));
    world.network.set_default(testkit::network::Link {
        delay: ms(60),
        ..Default::default()
    });
    world.connect(l, r);
    world.run(secs(2));
    world.flash(l);
    world.flash(r);
    world.run(secs(12));
    world.flash(l);
    world.run(secs(8));
    world.flash(r);
    world.run(secs(12));
    world.assert_speech_both_ways(l, r, secs(3), HEARD);
    world.quiet();
    world.report("both held, both resumed, speech both ways again");
}
