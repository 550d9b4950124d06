//! A far end of which nothing is heard: sound for a victim who never asked for it, a phone that
//! vanished; and all those who are silent with good reason.

use std::net::{IpAddr, SocketAddr};

use offhook_tests::world::{
    HEARD, PeerId, PhoneId, Setup, World, ms, number_of_peer, phone_ip, secs,
};
use phone::{State, Tone};
use testkit::peer::{Dialog, sdp};

const VICTIM: &str = "10.0.0.200:4000";

/// RTP and RTCP packets that went from the phone to this address so far.
fn sent_to(world: &World, l: PhoneId, ip: IpAddr) -> usize {
    world.network.capture.media_between(phone_ip(l), ip).count()
}

fn victim() -> IpAddr {
    VICTIM.parse::<SocketAddr>().unwrap().ip()
}

/// Somebody calls and lets the sound go elsewhere; the phone is lifted.
fn called(world: &mut World, l: PhoneId, far: PeerId) -> Dialog {
    let invite = world[far]
        .request("INVITE", "sip:l@10.0.0.1", "hammer")
        .sdp(&sdp(VICTIM.parse().unwrap(), 1, "sendrecv"));
    world.say(far, &invite);
    world.expect(far, "100 INVITE");
    world.expect(far, "180 INVITE");
    world.lift(l);
    let ok = world.expect(far, "200 INVITE");
    let mut dialog = world[far].caller_dialog(&invite, &ok);
    let ack = world[far].in_dialog(&mut dialog, "ACK");
    world.say(far, &ack);
    world.expect_state(l, State::Talking, secs(1));
    dialog
}

/// The phone ended the call for that reason and its user hears so; returns how long after `begun`.
fn ends_by_timeout(world: &mut World, l: PhoneId, far: PeerId, within: u64) -> f64 {
    let begun = world.now();
    let bye = world.expect_within(far, "BYE", secs(within));
    let reason = bye.header("reason");
    assert_eq!(reason, "Q.850;cause=102;text=\"media timeout\"");
    let ok = bye.reply(200, "x");
    world.say(far, &ok);
    world.expect_state(l, State::Congestion, secs(1));
    assert_eq!(world[l].control.tone(), Some(Tone::Congestion));
    let status = world[l].status(world.now());
    let cause = status["last_call"]["cause"]
        .as_str()
        .unwrap_or("")
        .to_owned();
    assert!(
        cause.contains("media timeout") && cause.contains(" s"),
        "{cause:?}"
    );
    world.now().saturating_sub(begun).as_secs_f64()
}

#[test]
fn sound_for_a_victim_who_never_asked_stops() {
    let mut world = World::new("voice hammer", 1);
    let l = world.phone(Setup::default());
    let far = world.peer();
    called(&mut world, l, far);
    let took = ends_by_timeout(&mut world, l, far, 63);
    assert!((59.0..62.0).contains(&took), "{took}");
    let sent = sent_to(&world, l, victim());
    // A minute of sound, and a report now and then.
    assert!((2_990..3_040).contains(&sent), "{sent}");
    world.run(secs(120));
    assert_eq!(sent_to(&world, l, victim()), sent, "not one packet more");
    world.quiet();
    world.report(&format!(
        "{sent} packets to the victim, the call over after {took:.1} s"
    ));
}

#[test]
fn no_trick_of_signalling_prolongs_it() {
    let mut world = World::new("voice hammer with tricks", 2);
    let l = world.phone(Setup::default());
    let far = world.peer();
    let mut dialog = called(&mut world, l, far);
    // Every ten seconds the victim gets another port, direction or codec, and all the time the
    // caller's own reports come in.
    let mut last = world.now();
    for version in 2.. {
        for _ in 0..10 {
            let report = [
                0x80, 201, 0, 1, 9, 9, 9, 9, 0x81, 202, 0, 2, 9, 9, 9, 9, 1, 1, b'a', 0,
            ];
            let ports = world[l].open_ports();
            for port in ports {
                world.send_from(
                    "10.0.0.9:4001".parse().unwrap(),
                    SocketAddr::new(phone_ip(l), port),
                    report.to_vec(),
                );
            }
            world.run(secs(1));
        }
        if world[far]
            .mailbox
            .iter()
            .any(|(_, _, message)| message.method() == "BYE")
        {
            break;
        }
        last = world.now();
        assert!(version < 20, "the call goes on");
        let mut at: SocketAddr = VICTIM.parse().unwrap();
        at.set_port(4000 + 2 * version as u16);
        let body = sdp(at, version, ["sendrecv", "recvonly"][version as usize % 2])
            .replace("a=ptime", "a=rtcp:4001 IN IP4 10.0.0.9\r\na=ptime");
        let reinvite = world[far].in_dialog(&mut dialog, "INVITE").sdp(&body);
        world.say(far, &reinvite);
        world.expect(far, "200 INVITE");
        let ack = world[far].in_dialog(&mut dialog, "ACK");
        world.say(far, &ack);
    }
    let took = last.as_secs_f64() - 1.0;
    ends_by_timeout(&mut world, l, far, 1);
    let sent = sent_to(&world, l, victim());
    assert!((2_900..3_050).contains(&sent), "{sent}");
    world.run(secs(60));
    assert_eq!(sent_to(&world, l, victim()), sent);
    world.quiet();
    world.report(&format!(
        "{sent} packets to the victim, last re-INVITE at {took:.0} s"
    ));
}

#[test]
fn a_phone_that_vanished_ends_the_call_at_both_ends() {
    let mut world = World::new("vanished", 3);
    let setup = Setup::default().toml("call", "media_timeout_s = 20");
    let (l, r) = (world.phone(setup.clone()), world.phone(setup));
    world.connect(l, r);
    // Longer than the timeout: as long as both are heard nothing ends.
    world.run(secs(90));
    world.assert_speech_both_ways(l, r, secs(5), HEARD);
    world.cut_off(phone_ip(r), secs(15));
    world.run(secs(20));
    assert_eq!(
        (world.state(l), world.state(r)),
        (State::Talking, State::Talking),
        "a short outage ends nothing"
    );
    world.run(secs(10));
    world.assert_speech_both_ways(l, r, secs(3), HEARD);
    world.cut_off(phone_ip(r), secs(600));
    world.run(secs(18));
    assert_eq!(
        (world.state(l), world.state(r)),
        (State::Talking, State::Talking)
    );
    // Each asks the other by SIP, and gives up after 3.5 s.
    world.run(secs(7));
    for id in [l, r] {
        assert_eq!(
            (world.state(id), world[id].control.tone()),
            (State::Congestion, Some(Tone::Congestion))
        );
    }
    world.quiet();
    world.report("15 s without the other survived, 20 s not");
}

#[test]
fn who_is_on_hold_may_be_silent() {
    let mut world = World::new("silent on hold", 4);
    let l = world.phone(Setup::default());
    let far = world.peer();
    let at = "10.0.0.9:4000".parse().unwrap();
    let (mut dialog, _) = world.answered_by_peer(l, far, at);
    // The peer holds us with no sound and no report for ten minutes.
    for (version, direction) in [(2, "inactive"), (3, "sendonly")] {
        let reinvite = world[far]
            .in_dialog(&mut dialog, "INVITE")
            .sdp(&sdp(at, version, direction));
        world.say(far, &reinvite);
        world.expect(far, "200 INVITE");
        let ack = world[far].in_dialog(&mut dialog, "ACK");
        world.say(far, &ack);
        world.expect_nothing(far, secs(600));
        assert_eq!(world.state(l), State::Talking, "{direction}");
    }
    // We hold the peer, and take it back.
    let reinvite = world[far]
        .in_dialog(&mut dialog, "INVITE")
        .sdp(&sdp(at, 4, "sendrecv"));
    world.say(far, &reinvite);
    world.expect(far, "200 INVITE");
    let ack = world[far].in_dialog(&mut dialog, "ACK");
    world.say(far, &ack);
    world.run(secs(30));
    for (version, direction) in [(5, "recvonly"), (6, "sendrecv")] {
        world.flash(l);
        let reinvite = world.expect(far, "INVITE");
        let ok = reinvite
            .reply(200, "far")
            .with("Contact", "<sip:script@10.0.0.9>")
            .sdp(&sdp(at, version, direction));
        world.say(far, &ok);
        world.expect(far, "ACK");
        if direction == "recvonly" {
            world.expect_nothing(far, secs(600));
        }
    }
    // Taken back, it has its minute again, and no longer.
    world.expect_nothing(far, secs(58));
    world.expect_within(far, "OPTIONS", secs(4));
    // The question is not answered.
    let took = ends_by_timeout(&mut world, l, far, 4);
    world.quiet();
    world.report(&format!(
        "thirty minutes on hold without a packet; taken back, over after {:.0} s",
        58.0 + took
    ));
}

#[test]
fn ringing_is_no_timeout_and_the_answer_starts_it() {
    let mut world = World::new("silent early media", 5);
    let l = world.phone(Setup::default());
    let far = world.peer();
    world.call(l, &number_of_peer(far));
    let invite = world.expect(far, "INVITE");
    let at: SocketAddr = "10.0.0.9:4000".parse().unwrap();
    let with_sound = |code: u16| {
        invite
            .reply(code, "far")
            .with("Contact", "<sip:script@10.0.0.9>")
            .sdp(&sdp(at, 1, "sendrecv"))
    };
    world.say(far, &with_sound(183));
    world.expect_state(l, State::EarlyMedia, secs(1));
    world.expect_nothing(far, secs(100));
    assert_eq!(world.state(l), State::EarlyMedia);
    let early = sent_to(&world, l, at.ip());
    assert!(
        (2_990..3_040).contains(&early),
        "{early}: a minute of it, then none"
    );
    world.say(far, &with_sound(200));
    world.expect(far, "ACK");
    world.run(secs(50));
    assert_eq!(world.state(l), State::Talking);
    let answered = sent_to(&world, l, at.ip()) - early;
    assert!(
        (2_480..2_530).contains(&answered),
        "{answered}: heard again from the answer on"
    );
    let begun = world.now();
    world.expect_within(far, "OPTIONS", secs(15));
    let took = world.now().saturating_sub(begun).as_secs_f64();
    assert!((8.0..12.0).contains(&took), "{took}");
    // The question is not answered.
    ends_by_timeout(&mut world, l, far, 4);
    world.run(ms(100));
    world.quiet();
    world.report(&format!(
        "{early} packets before the answer, {answered} in 50 s after"
    ));
}

#[test]
fn a_voicemail_that_only_listens_keeps_the_call() {
    let mut world = World::new("silent voicemail", 6);
    let l = world.phone(Setup::default());
    let far = world.peer();
    let at: SocketAddr = "10.0.0.9:4000".parse().unwrap();
    world.answered_by_peer(l, far, at);
    for _ in 0..5 {
        let question = world.expect_within(far, "OPTIONS", secs(62));
        let reply = question.reply(200, "far");
        world.say(far, &reply);
    }
    assert_eq!(world.state(l), State::Talking);
    let sent = sent_to(&world, l, at.ip());
    assert!((14_900..15_200).contains(&sent), "{sent}: without a gap");
    // It has forgotten the call.
    let question = world.expect_within(far, "OPTIONS", secs(62));
    let reply = question.reply(481, "far");
    world.say(far, &reply);
    ends_by_timeout(&mut world, l, far, 1);
    world.quiet();
    world.report("a voicemail that only listens is talked to for five minutes");
}

#[test]
fn no_limit_means_none() {
    let mut world = World::new("no media timeout", 7);
    let l = world.phone(Setup::default().toml("call", "media_timeout_s = 0"));
    let far = world.peer();
    called(&mut world, l, far);
    world.expect_nothing(far, secs(600));
    assert_eq!(world.state(l), State::Talking);
    world.quiet();
    world.report("media_timeout_s = 0: ten minutes of silence and no end");
}
