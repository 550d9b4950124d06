//! One INVITE, several answers: early dialogs side by side, early media, two 200s.

use std::net::SocketAddr;
use std::time::Duration;

use offhook_tests::world::{PeerId, Setup, World, ms, number_of_peer, phone_ip, secs};
use phone::{State, Tone};
use testkit::peer::{Message, sdp};

fn answer(invite: &Message, code: u16, tag: &str, port: u16) -> Message {
    let at = format!("10.0.0.9:{port}").parse().unwrap();
    invite
        .reply(code, tag)
        .with("Contact", format!("<sip:{tag}@10.0.0.9>"))
        .sdp(&sdp(at, 1, "sendrecv"))
}

/// One that sends sound: a square wave of 500 Hz.
struct Source {
    at: SocketAddr,
    ssrc: u32,
    /// A sample in µ-law; the other half of the wave is its negative.
    sample: u8,
    sequence: u16,
}

/// About −12 dBFS, and 18 dB less.
const LOUD: u8 = 0x1e;
const SOFT: u8 = 0x4e;

impl Source {
    fn new(at: &str, ssrc: u32, sample: u8) -> Self {
        Self {
            at: at.parse().unwrap(),
            ssrc,
            sample,
            sequence: 0,
        }
    }

    /// The next 20 ms of PCMU.
    fn send(&mut self, world: &mut World, to: SocketAddr) {
        let n = self.sequence;
        let mut rtp = vec![0x80, if n == 0 { 0x80 } else { 0 }];
        rtp.extend(n.to_be_bytes());
        rtp.extend((u32::from(n) * 160).to_be_bytes());
        rtp.extend(self.ssrc.to_be_bytes());
        rtp.extend((0..160).map(|i| self.sample | if (i / 8) % 2 == 0 { 0x80 } else { 0 }));
        world.send_from(self.at, to, rtp);
        self.sequence += 1;
    }
}

/// These send for so long.
fn talk(world: &mut World, sources: &mut [&mut Source], to: SocketAddr, time: Duration) {
    for _ in 0..time.as_millis() / 20 {
        for source in &mut *sources {
            source.send(world, to);
        }
        world.run(ms(20));
    }
}

/// Packets from the peer's port, loud.
fn sound(world: &mut World, from_port: u16, to: SocketAddr, packets: u16, ssrc: u32) {
    let mut source = Source::new(&format!("10.0.0.9:{from_port}"), ssrc, LOUD);
    talk(world, &mut [&mut source], to, ms(20) * u32::from(packets));
}

#[test]
fn early_media_is_heard_before_the_answer() {
    let mut world = World::new("early media", 1);
    let l = world.phone(Setup::default());
    let far = world.peer();
    world.call(l, &number_of_peer(far));
    let invite = world.expect(far, "INVITE");
    world.say(far, &answer(&invite, 183, "early", 4_000));
    world.expect_state(l, State::EarlyMedia, secs(1));
    assert_eq!(
        world[l].control.tone(),
        Some(Tone::Ringback),
        "ringback until a packet comes"
    );
    let to = invite.media().unwrap();
    assert_eq!(to.ip(), phone_ip(l));
    sound(&mut world, 4_000, to, 100, 7);
    let level = world.heard(l, secs(1)).level_dbfs();
    assert!(level > -30.0, "early media at {level:.1} dBFS");
    assert_eq!(
        world[l].control.tone(),
        None,
        "no ringback over early media"
    );
    // It falls silent: the ringing tone comes back.
    world.until("ringback", secs(4), |world| {
        world[l].control.tone() == Some(Tone::Ringback)
    });
    world.say(far, &answer(&invite, 200, "early", 4_000));
    let ack = world.expect(far, "ACK");
    assert_eq!(ack.tag("to"), Some("early"));
    world.expect_state(l, State::Talking, secs(1));
    end(&mut world, l, far);
    world.report(&format!("early media heard at {level:.1} dBFS"));
}

#[test]
fn newest_early_dialog_that_sends_is_heard() {
    let mut world = World::new("early media of two", 2);
    let l = world.phone(Setup::default());
    let far = world.peer();
    world.call(l, &number_of_peer(far));
    let invite = world.expect(far, "INVITE");
    let to = invite.media().unwrap();
    world.say(far, &answer(&invite, 183, "one", 4_000));
    world.expect_state(l, State::EarlyMedia, secs(1));
    // A second one is described and says nothing: who sends goes on being heard.
    world.say(far, &answer(&invite, 183, "two", 4_002));
    for (port, ssrc) in [(4_000, 7), (4_002, 9)] {
        world.run(ms(200));
        sound(&mut world, port, to, 100, ssrc);
        let level = world.heard(l, secs(1)).level_dbfs();
        assert!(level > -30.0, "{port} at {level:.1} dBFS");
        assert_eq!(world[l].control.tone(), None, "{port}");
        // When it stops and no other one sends, the ringing tone comes back.
        world.until("ringback", secs(4), |world| {
            world[l].control.tone() == Some(Tone::Ringback)
        });
    }
    // The older one sends again, and no other one does.
    sound(&mut world, 4_000, to, 100, 11);
    let level = world.heard(l, secs(1)).level_dbfs();
    assert!(level > -30.0, "the older one again at {level:.1} dBFS");
    assert_eq!(world[l].control.tone(), None);
    // No one else is heard, whatever comes from the same host.
    world.until("ringback", secs(4), |world| {
        world[l].control.tone() == Some(Tone::Ringback)
    });
    sound(&mut world, 4_004, to, 20, 13);
    assert_eq!(world[l].control.tone(), Some(Tone::Ringback));
    world.say(far, &answer(&invite, 200, "two", 4_002));
    let ack = world.expect(far, "ACK");
    assert_eq!(ack.tag("to"), Some("two"));
    world.expect_state(l, State::Talking, secs(1));
    end(&mut world, l, far);
    world.report("of two early dialogs the one that sends is heard");
}

#[test]
fn older_early_dialog_is_heard_again_when_the_newest_stops() {
    for second in ["10.0.0.9:4002", "10.0.0.77:4002"] {
        let mut world = World::new(&format!("early media changes {second}"), 5);
        let l = world.phone(Setup::default());
        let far = world.peer();
        world.call(l, &number_of_peer(far));
        let invite = world.expect(far, "INVITE");
        let to = invite.media().unwrap();
        let (mut one, mut two) = (
            Source::new("10.0.0.9:4000", 7, SOFT),
            Source::new(second, 9, LOUD),
        );
        world.say(far, &answer(&invite, 183, "one", 4_000));
        world.expect_state(l, State::EarlyMedia, secs(1));
        let describe = |code| {
            let contact = "<sip:two@10.0.0.9>";
            let body = sdp(second.parse().unwrap(), 1, "sendrecv");
            let reply = invite.reply(code, "two");
            reply.with("Contact", contact).sdp(&body)
        };
        let is_soft = |level: f64| (-42.0..-24.0).contains(&level);
        let mut levels = Vec::new();
        let mut hear = |world: &World, wanted: &str, fits: &dyn Fn(f64) -> bool| {
            let level = world.heard(l, ms(600)).level_dbfs();
            levels.push(level);
            assert!(fits(level), "{second}: {wanted}, {levels:.1?} dBFS");
            assert_eq!(world[l].control.tone(), None, "{second}: {wanted}");
        };
        talk(&mut world, &mut [&mut one], to, secs(2));
        hear(&world, "the first", &is_soft);
        world.say(far, &describe(183));
        talk(&mut world, &mut [&mut one], to, secs(2));
        hear(&world, "the first while the second is silent", &is_soft);
        talk(&mut world, &mut [&mut one, &mut two], to, secs(2));
        hear(&world, "the second, which is newer", &|level| level > -24.0);
        // The second one stops: the first takes its place, and no ringing tone comes in between.
        for _ in 0..250 {
            talk(&mut world, &mut [&mut one], to, ms(20));
            assert_eq!(world[l].control.tone(), None, "{second}: between the two");
        }
        hear(&world, "the first again", &is_soft);
        talk(&mut world, &mut [&mut one, &mut two], to, secs(2));
        hear(&world, "the second again", &|level| level > -24.0);
        world.until("ringback", secs(4), |world| {
            world[l].control.tone() == Some(Tone::Ringback)
        });
        world.say(far, &describe(200));
        let ack = world.expect(far, "ACK");
        assert_eq!(ack.tag("to"), Some("two"));
        world.expect_state(l, State::Talking, secs(1));
        // Whoever was not taken is heard no more.
        talk(&mut world, &mut [&mut one], to, secs(2));
        let level = world.heard(l, secs(1)).level_dbfs();
        assert!(level < -50.0, "{second}: {level:.1} dBFS after the answer");
        end(&mut world, l, far);
        world.report(&format!(
            "first, first, second, first, second at {levels:.1?} dBFS"
        ));
    }
}

fn end(world: &mut World, l: offhook_tests::world::PhoneId, far: PeerId) {
    world.hang_up(l);
    let bye = world.expect(far, "BYE");
    world.say(far, &bye.reply(200, ""));
    world.quiet();
}

#[test]
fn of_two_answers_one_is_kept_and_one_is_ended() {
    let mut world = World::new("two answers", 2);
    let l = world.phone(Setup::default());
    let far = world.peer();
    world.call(l, &number_of_peer(far));
    let invite = world.expect(far, "INVITE");
    world.say(far, &answer(&invite, 183, "a", 4_000));
    world.say(
        far,
        &invite.reply(180, "b").with("Contact", "<sip:b@10.0.0.9>"),
    );
    world.run(ms(200));
    world.say(far, &answer(&invite, 200, "b", 4_002));
    let ack = world.expect(far, "ACK");
    assert_eq!(
        (ack.tag("to"), ack.uri(), ack.cseq()),
        (Some("b"), "sip:b@10.0.0.9", invite.cseq())
    );
    world.expect_state(l, State::Talking, secs(1));
    world.say(far, &answer(&invite, 200, "a", 4_000));
    let mut ended = false;
    let mut acked = false;
    for _ in 0..2 {
        world.until("ACK and BYE for the second answer", secs(2), |world| {
            !world[far].mailbox.is_empty()
        });
        let (_, _, message) = world[far].mailbox.pop_front().unwrap();
        assert_eq!(message.tag("to"), Some("a"), "{}", message.text());
        match message.method() {
            "ACK" => acked = true,
            "BYE" => {
                world.say(far, &message.reply(200, ""));
                ended = true;
            }
            other => panic!("unexpected {other}"),
        }
    }
    assert!(acked && ended);
    world.run(secs(1));
    assert_eq!(world.state(l), State::Talking, "the kept call goes on");
    let to_b = world[far]
        .media
        .iter()
        .filter(|(at, port, _)| *port == 4_002 && *at > world.now().saturating_sub(secs(1)))
        .count();
    let to_a = world[far]
        .media
        .iter()
        .filter(|(at, port, _)| *port == 4_000 && *at > world.now().saturating_sub(ms(500)))
        .count();
    assert!(
        to_b > 40 && to_a == 0,
        "{to_b} packets to the kept leg, {to_a} to the ended one"
    );
    // The kept leg's 200 comes again, as if its ACK had been lost: it is acknowledged again,
    // nothing else happens.
    world[far].forget_seen();
    world.say(far, &answer(&invite, 200, "b", 4_002));
    assert_eq!(world.expect(far, "ACK").tag("to"), Some("b"));
    end(&mut world, l, far);
    world.report("leg b kept, leg a acknowledged and ended, repeated 200 acknowledged");
}

#[test]
fn a_fork_that_only_rings_ends_with_the_call() {
    let mut world = World::new("many early dialogs", 3);
    let l = world.phone(Setup::default());
    let far = world.peer();
    world.call(l, &number_of_peer(far));
    let invite = world.expect(far, "INVITE");
    for n in 0..30 {
        world.say(
            far,
            &invite
                .reply(180, &format!("leg{n}"))
                .with("Contact", "<sip:leg@10.0.0.9>"),
        );
    }
    world.run(secs(1));
    let dialogs = world[l].control.tables().sip.dialogs;
    assert!(dialogs <= 30, "bounded: {dialogs}");
    world.hang_up(l);
    let cancel = world.expect(far, "CANCEL");
    world.say(far, &cancel.reply(200, "leg0"));
    world.say(far, &invite.reply(487, "leg0"));
    world.expect(far, "ACK");
    world.quiet();
    world.report(&format!(
        "30 ringing legs, {dialogs} dialogs kept, one CANCEL"
    ));
}

#[test]
fn redirected_in_a_circle() {
    let mut world = World::new("redirect", 4);
    let l = world.phone(Setup::default());
    let far = world.peer();
    let other = world.peer();
    world.call(l, &number_of_peer(far));
    let invite = world.expect(far, "INVITE");
    world.say(
        far,
        &invite
            .reply(302, "moved")
            .with("Contact", "<sip:script@10.0.0.10>"),
    );
    world.expect(far, "ACK");
    world.run(secs(1));
    // The phone may follow, and then be sent back: it must not go round for ever, and never end in
    // silence.
    let mut asked = 1;
    while world.state(l) != State::Congestion {
        let (id, back) = if world[far].mailbox.is_empty() {
            (other, "10.0.0.9")
        } else {
            (far, "10.0.0.10")
        };
        if let Some((_, _, again)) = world[id].mailbox.pop_front() {
            assert_eq!(again.method(), "INVITE", "{}", again.text());
            asked += 1;
            assert!(asked < 12, "redirected in a circle for ever");
            world.say(
                id,
                &again
                    .reply(302, &format!("loop{asked}"))
                    .with("Contact", format!("<sip:script@{back}>")),
            );
            world.expect(id, "ACK");
        }
        world.run(ms(10));
        assert!(world.now() < secs(60), "the loop must end in a tone");
    }
    world.quiet();
    world.report(&format!(
        "sent round in a circle: gives up after {asked} INVITEs, congestion"
    ));
}
