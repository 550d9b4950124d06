//! One INVITE, several answers: early dialogs side by side, early media, two 200s.

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

/// Packets of 20 ms PCMU from the peer's port, loud.
fn sound(world: &mut World, from_port: u16, to: std::net::SocketAddr, packets: u16, ssrc: u32) {
    for n in 0..packets {
        let mut rtp = vec![0x80, if n == 0 { 0x80 } else { 0 }];
        rtp.extend(n.to_be_bytes());
        rtp.extend((u32::from(n) * 160).to_be_bytes());
        rtp.extend(ssrc.to_be_bytes());
        // A 500 Hz square wave, about −12 dBFS.
        rtp.extend((0..160).map(|i| if (i / 8) % 2 == 0 { 0x9e_u8 } else { 0x1e }));
        world.send_from(format!("10.0.0.9:{from_port}").parse().unwrap(), to, rtp);
        world.run(ms(20));
    }
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
    // The newest one was heard: in clear no packet from elsewhere is believed any more, and the
    // ringing tone goes on.
    sound(&mut world, 4_000, to, 20, 11);
    assert_eq!(world[l].control.tone(), Some(Tone::Ringback));
    world.say(far, &answer(&invite, 200, "two", 4_002));
    let ack = world.expect(far, "ACK");
    assert_eq!(ack.tag("to"), Some("two"));
    world.expect_state(l, State::Talking, secs(1));
    end(&mut world, l, far);
    world.report("of two early dialogs the one that sends is heard");
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
