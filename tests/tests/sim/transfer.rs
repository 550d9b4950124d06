//! Calls that become other calls: REFER and Replaces, blind and attended, and what becomes of their
//! encryption. The recorder on the wire looks at each datagram of every phone whose calls must be
//! encrypted.

use offhook_tests::world::{
    HEARD, PeerId, PhoneId, Setup, World, ms, number_of, number_of_peer, secs,
};
use phone::{LampState, State, Tone};
use testkit::peer::{Dialog, Message, sdp};

use crate::encryption::{
    ONE, SUITE, TWO, all_protected, described, encryption, end, key_in, lamp, preferred, reply,
    required, take, talk, warnings,
};

/// The far end asks the phone to call `other`: taken, and informed that it is tried.
fn refer(world: &mut World, far: PeerId, dialog: &mut Dialog, other: PeerId) {
    let there = world[other].contact();
    let ask = world[far]
        .in_dialog(dialog, "REFER")
        .with("Refer-To", there);
    world.say(far, &ask);
    let accepted = world.expect(far, "202 REFER");
    assert!(!accepted.header("contact").is_empty());
    assert_eq!(news(world, far), (100, false));
}

/// The next NOTIFY at a peer: the status in it, and whether it is the last.
fn news(world: &mut World, far: PeerId) -> (u16, bool) {
    let notify = world.expect(far, "NOTIFY");
    world.say(far, &notify.reply(200, "b"));
    assert!(
        notify.header("event").starts_with("refer"),
        "{}",
        notify.text()
    );
    assert!(notify.header("content-type").starts_with("message/sipfrag"));
    let code = notify
        .body
        .strip_prefix("SIP/2.0 ")
        .and_then(|rest| rest[..3].parse().ok());
    (
        code.unwrap(),
        notify
            .header("subscription-state")
            .starts_with("terminated"),
    )
}

/// The second peer's description, in clear.
fn in_clear() -> String {
    sdp("10.0.0.10:4000".parse().unwrap(), 1, "sendrecv")
}

/// The second peer's description with this key line.
fn keyed(line: &str) -> String {
    described(1, "sendrecv", "RTP/SAVP", line).replace("10.0.0.9", "10.0.0.10")
}

/// How many packets went to the second peer's media ports.
fn sent_to_other(world: &World) -> usize {
    let packets = world.network.capture.packets();
    packets
        .filter(|sent| sent.datagram.is_media() && sent.datagram.to.ip().to_string() == "10.0.0.10")
        .count()
}

#[test]
fn required_and_transferred_to_a_clear_peer() {
    for (name, code, gone) in [
        ("488", 488, false),
        ("clear answer", 200, false),
        ("transferor gone", 488, true),
    ] {
        let mut world = World::new(&format!("transfer required {name}"), 1);
        // The tone alone: a spoken reason takes its place in between.
        let l = world.phone(required().toml("phone", "speech = false"));
        let (far, other) = (world.tls_peer(), world.tls_peer());
        let (mut dialog, _) = talk(&mut world, l, far, "RTP/SAVP");
        refer(&mut world, far, &mut dialog, other);
        let invite = world.expect(other, "INVITE");
        // Asked for by the far end, and encrypted as if dialled here.
        assert!(invite.body.contains(" RTP/SAVP 0"), "{}", invite.body);
        assert_eq!(key_in(&invite).len(), 40);
        assert_eq!(world.state(l), State::Calling);
        if gone {
            let bye = world[far].in_dialog(&mut dialog, "BYE");
            world.say(far, &bye);
            world.expect(far, "200 BYE");
        }
        world.run(ms(500));
        let mut asked = Some(invite);
        for profile in [" RTP/SAVP 0", " RTP/SAVPF 0"] {
            let invite = asked
                .take()
                .unwrap_or_else(|| world.expect(other, "INVITE"));
            assert!(invite.body.contains(profile), "{}", invite.body);
            if code == 200 {
                // A far end that cannot encrypt and answers all the same.
                let ok = reply(&world, other, &invite, 200, "c", &in_clear());
                world.say(other, &ok);
                world.expect(other, "ACK");
                let bye = world.expect(other, "BYE");
                world.say(other, &bye.reply(200, "c"));
            } else {
                world.say(other, &invite.reply(code, "c"));
                world.expect(other, "ACK");
            }
        }
        assert_eq!(news(&mut world, far), (488, true));
        world.expect_nothing(other, secs(2));
        if gone {
            // Nothing to take back: never silence.
            assert_eq!(
                (world.state(l), world[l].control.tone()),
                (State::Congestion, Some(Tone::Congestion))
            );
            world.quiet();
        } else {
            assert_eq!(world.state(l), State::Talking, "taken back");
            let before = world.recorded(l).protected;
            world.run(secs(1));
            assert!(world.recorded(l).protected > before + 40, "and heard again");
            end(&mut world, l, far);
        }
        assert_eq!(sent_to_other(&world), 0, "not one packet");
        let packets = all_protected(&world, l, 40);
        world.report(&format!(
            "handed to a clear peer ({name}): no packet there, {packets} in all, all authentic"
        ));
    }
}

#[test]
fn a_transfer_into_the_clear_is_heard_and_seen() {
    let mut world = World::new("transfer preferred", 2);
    let l = world.phone(preferred());
    let (far, other) = (world.tls_peer(), world.tls_peer());
    let (mut dialog, _) = talk(&mut world, l, far, "RTP/AVP");
    assert_eq!(warnings(&world, l), 0);
    refer(&mut world, far, &mut dialog, other);
    let invite = world.expect(other, "INVITE");
    assert!(invite.body.contains("a=crypto:"), "{}", invite.body);
    world.say(other, &invite.reply(180, "c"));
    world.expect_state(l, State::Ringback, secs(1));
    let ok = reply(&world, other, &invite, 200, "c", &in_clear());
    world.say(other, &ok);
    world.expect(other, "ACK");
    world.expect_state(l, State::Talking, secs(1));
    assert_eq!(
        (world[l].control.tone(), lamp(&world, l)),
        (Some(Tone::Unprotected), LampState::Fast)
    );
    // Who asked is informed, and is out of it.
    assert_eq!(news(&mut world, far), (200, true));
    let bye = world.expect(far, "BYE");
    world.say(far, &bye.reply(200, "b"));
    world.run(secs(2));
    assert_eq!(
        (warnings(&world, l), encryption(&world, l).as_str()),
        (1, "none")
    );
    assert!(sent_to_other(&world) > 80);
    end(&mut world, l, other);
    world.report(
        "handed to a clear peer: three beeps, a fast lamp, `none`; the transferor is informed and \
         out",
    );
}

#[test]
fn transferred_with_encryption_it_stays_encrypted() {
    let mut world = World::new("transfer encrypted", 3);
    let l = world.phone(required());
    let (far, other) = (world.tls_peer(), world.tls_peer());
    let (mut dialog, first) = talk(&mut world, l, far, "RTP/SAVP");
    // A call over TLS is not led out of it.
    let ask = world[far]
        .in_dialog(&mut dialog, "REFER")
        .with("Refer-To", "<sip:script@10.0.0.10:5060;transport=udp>");
    world.say(far, &ask);
    world.expect(far, "603 REFER");
    world.expect_nothing(other, ms(500));
    assert_eq!(world.state(l), State::Talking);
    refer(&mut world, far, &mut dialog, other);
    let invite = world.expect(other, "INVITE");
    assert_ne!(key_in(&invite), key_in(&first), "a key of its own");
    let ok = reply(
        &world,
        other,
        &invite,
        200,
        "c",
        &keyed(&take(&invite, TWO)),
    );
    world.say(other, &ok);
    world.expect(other, "ACK");
    assert_eq!(news(&mut world, far), (200, true));
    let bye = world.expect(far, "BYE");
    world.say(far, &bye.reply(200, "b"));
    world.run(secs(2));
    assert!(sent_to_other(&world) > 80);
    assert_eq!(warnings(&world, l), 0);
    all_protected(&world, l, 120);
    end(&mut world, l, other);
    world.report(
        "handed to an encrypted peer: a new key, all authentic; an address out of TLS is not \
         called",
    );
}

#[test]
fn a_stranger_moves_no_call() {
    let mut world = World::new("transfer stranger", 4);
    let l = world.phone(required());
    let (far, other, plain) = (world.tls_peer(), world.tls_peer(), world.peer());
    let (dialog, invite) = talk(&mut world, l, far, "RTP/SAVP");
    let there = world[other].contact();
    let to_there = |message: Message| message.with("Refer-To", there.clone());
    // Outside of any call, and in one whose tags are guessed.
    let ask =
        to_there(world[other].request("REFER", "sip:l@10.0.0.1:5061;transport=tls", "stranger"));
    world.say(other, &ask);
    world.expect(other, "403 REFER");
    let mut guessed = Dialog {
        remote: format!("{}x", dialog.remote),
        ..dialog.clone()
    };
    let ask = to_there(world[other].in_dialog(&mut guessed, "REFER"));
    world.say(other, &ask);
    world.expect(other, "481 REFER");
    // With the right tags, but not over TLS: the call began there.
    let mut known = Dialog {
        target: "sip:l@10.0.0.1:5060".to_owned(),
        ..dialog.clone()
    };
    let ask = to_there(world[plain].in_dialog(&mut known, "REFER"));
    world.say(plain, &ask);
    world.expect(plain, "403 REFER");
    // Nor is the call taken over by one who is not at its door, or in clear.
    let replaces = |to: &str| format!("{};to-tag={to};from-tag=b", invite.header("call-id"));
    let ours = invite.tag("from").unwrap().to_owned();
    let (udp, tls) = ("sip:l@10.0.0.1:5060", "sip:l@10.0.0.1:5061;transport=tls");
    for (at, id, value, to, code) in [
        (plain, "take-1", replaces(&ours), udp, 403),
        (plain, "take-2", replaces("guess"), udp, 481),
        (other, "take-3", replaces(&ours), tls, 488),
    ] {
        let body = sdp("10.0.0.11:4000".parse().unwrap(), 1, "sendrecv");
        let take = world[at]
            .request("INVITE", to, id)
            .with("Replaces", value)
            .sdp(&body);
        world.say(at, &take);
        let no = world.expect(at, &format!("{code} INVITE"));
        world.say(at, &take.same_transaction("ACK", Some(no.header("to"))));
    }
    world.run(secs(1));
    assert_eq!(world.state(l), State::Talking);
    assert_eq!(
        world[l].status(world.now())["calls"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    all_protected(&world, l, 80);
    end(&mut world, l, far);
    world.report("REFER and Replaces of strangers: 403, 481, 488, and the call goes on");
}

#[test]
fn a_call_is_taken_over_with_keys_of_its_own() {
    let mut world = World::new("transfer replaces", 5);
    let l = world.phone(required());
    let (far, other) = (world.tls_peer(), world.tls_peer());
    let (_, invite) = talk(&mut world, l, far, "RTP/SAVP");
    let replaces = format!(
        "{};to-tag={};from-tag=b",
        invite.header("call-id"),
        invite.tag("from").unwrap()
    );
    let take = world[other]
        .request("INVITE", "sip:l@10.0.0.1:5061;transport=tls", "take")
        .with("Replaces", replaces)
        .with("Require", "replaces")
        .sdp(&keyed(&format!("a=crypto:1 {SUITE} inline:{ONE}\r\n")));
    world.say(other, &take);
    world.expect(other, "100 INVITE");
    let ok = world.expect(other, "200 INVITE");
    let mut dialog = world[other].caller_dialog(&take, &ok);
    let ack = world[other].in_dialog(&mut dialog, "ACK");
    world.say(other, &ack);
    let bye = world.expect(far, "BYE");
    world.say(far, &bye.reply(200, "b"));
    world.run(secs(2));
    assert_eq!(
        (world.state(l), world[l].ring.is_some()),
        (State::Talking, false)
    );
    assert!(sent_to_other(&world) > 80);
    let found = world.recorded(l);
    assert!(
        found.by_key.len() == 2 && found.by_key[1] > 80,
        "{:?}",
        found.by_key
    );
    end(&mut world, l, other);
    all_protected(&world, l, 120);
    world.report("INVITE with Replaces: answered at once, the old call ended, all authentic");
}

/// `l` talks with `r`, who holds it and calls `s`.
fn consulting(name: &str, seed: u64, setup: &Setup) -> (World, [PhoneId; 3]) {
    let mut world = World::new(name, seed);
    let [l, r, s] = [(); 3].map(|()| world.phone(setup.clone()));
    world.connect(l, r);
    world.run(secs(1));
    world.flash(r);
    world.run(secs(1));
    world.press(r, &number_of(s));
    world.expect_state(s, State::Ringing, secs(5));
    world.run(secs(1));
    (world, [l, r, s])
}

#[test]
fn three_phones_attended_transfer_by_hanging_up() {
    for (name, setup) in [("required", required()), ("plain", Setup::default())] {
        let setup = setup.toml("call", "transfer_on_hangup = true");
        let (mut world, [l, r, s]) = consulting(&format!("transfer attended {name}"), 6, &setup);
        world.lift(s);
        world.expect_state(s, State::Talking, secs(5));
        world.run(secs(4));
        world.assert_speech_both_ways(r, s, secs(2), HEARD);
        world.hang_up(r);
        world.run(secs(5));
        assert_eq!(
            [l, r, s].map(|id| world.state(id)),
            [State::Talking, State::Idle, State::Talking]
        );
        world.assert_speech_both_ways(l, s, secs(2), HEARD);
        for id in [l, r, s] {
            let calls = world[id].status(world.now())["calls"]
                .as_array()
                .unwrap()
                .len();
            assert_eq!(
                (calls, warnings(&world, id)),
                (usize::from(id != r), 0),
                "{}",
                world[id].name
            );
            if name == "required" {
                all_protected(&world, id, 200);
            }
        }
        if name == "required" {
            assert_eq!(encryption(&world, l), "AEAD_AES_256_GCM");
        }
        world.hang_up(s);
        world.expect_state(l, State::Congestion, secs(2));
        world.quiet();
        world.report(&format!(
            "{name}: r consults s and hangs up; l and s talk, r is free"
        ));
    }
}

#[test]
fn hanging_up_while_the_consulted_phone_rings() {
    let setup = required().toml("call", "transfer_on_hangup = true");
    let (mut world, [l, r, s]) = consulting("transfer ringing", 7, &setup);
    world.hang_up(r);
    world.expect_state(l, State::Ringback, secs(5));
    world.expect_state(s, State::Ringing, secs(5));
    world.run(secs(1));
    world.lift(s);
    world.expect_state(l, State::Talking, secs(5));
    world.run(secs(4));
    world.assert_speech_both_ways(l, s, secs(2), HEARD);
    assert_eq!(world.state(r), State::Idle);
    world.quiet();
    for id in [l, r, s] {
        all_protected(&world, id, 40);
    }
    world.report("hung up while it rings: l rings s, and talks");
    // As delivered both calls end.
    let (mut world, [l, r, s]) = consulting("transfer off", 8, &Setup::default());
    world.lift(s);
    world.expect_state(s, State::Talking, secs(5));
    world.hang_up(r);
    for id in [l, s] {
        world.expect_state(id, State::Congestion, secs(5));
    }
    assert!(
        !world
            .network
            .capture
            .packets()
            .any(|sent| sent.datagram.is_sip("REFER"))
    );
    world.quiet();
    world.report("not configured: both end");
}

#[test]
fn far_end_that_does_not_do_it_is_given_back() {
    // Refused; taken and never reported on; reported as a failure; hung up without a word.
    for (name, seed) in [("603", 9), ("silence", 10), ("failure", 11), ("bye", 12)] {
        let mut world = World::new(&format!("transfer {name}"), seed);
        let l = world.phone(required().toml("call", "transfer_on_hangup = true"));
        let (far, other) = (world.tls_peer(), world.tls_peer());
        let (mut dialog, _) = talk(&mut world, l, far, "RTP/SAVP");
        world.flash(l);
        let hold = world.expect(far, "INVITE");
        let body = described(2, "recvonly", "RTP/SAVP", &take(&hold, ONE));
        let held = reply(&world, far, &hold, 200, "b", &body);
        world.say(far, &held);
        world.expect(far, "ACK");
        world.run(ms(500));
        world.press(l, &number_of_peer(other));
        let invite = world.expect(other, "INVITE");
        let ok = reply(
            &world,
            other,
            &invite,
            200,
            "c",
            &keyed(&take(&invite, TWO)),
        );
        world.say(other, &ok);
        world.expect(other, "ACK");
        world.run(secs(1));
        world.hang_up(l);
        let refer = world.expect(far, "REFER");
        assert_eq!(world.state(l), State::Idle);
        let to = refer.header("refer-to");
        let replaces = format!(
            "?Replaces={}%3Bto-tag%3Dc%3Bfrom-tag%3D{}",
            invite.header("call-id"),
            invite.tag("from").unwrap()
        );
        assert!(
            to.contains("sip:script@10.0.0.10") && to.contains(&replaces),
            "{to}"
        );
        world.say(
            far,
            &refer.reply(if name == "603" { 603 } else { 202 }, "b"),
        );
        if name == "bye" {
            let bye = world[far].in_dialog(&mut dialog, "BYE");
            world.say(far, &bye);
            world.expect(far, "200 BYE");
        }
        if name == "failure" {
            for (state, body) in [
                ("active;expires=60", "SIP/2.0 100 Trying\r\n"),
                ("terminated", "SIP/2.0 404 Not Found\r\n"),
            ] {
                let mut notify = world[far].in_dialog(&mut dialog, "NOTIFY");
                notify = notify
                    .with("Event", "refer")
                    .with("Subscription-State", state);
                notify = notify.with("Content-Type", "message/sipfrag");
                body.clone_into(&mut notify.body);
                world.say(far, &notify);
                world.expect(far, "200 NOTIFY");
            }
        }
        let left: &[(PeerId, &str)] = if name == "bye" {
            &[(other, "c")]
        } else {
            &[(far, "b"), (other, "c")]
        };
        // Who is left comes back: the phone rings, the first one is talked to, the other one waits,
        // and is ended when no one takes it.
        world.expect_state(l, State::Ringing, secs(35));
        world.lift(l);
        let (first, tag) = left[0];
        let change = world.expect(first, "INVITE");
        let (key, at) = if first == far {
            (ONE, "10.0.0.9")
        } else {
            (TWO, "10.0.0.10")
        };
        let body = described(3, "sendrecv", "RTP/SAVP", &take(&change, key));
        let body = body.replace("10.0.0.9", at);
        let ok = reply(&world, first, &change, 200, tag, &body);
        world.say(first, &ok);
        world.expect(first, "ACK");
        world.expect_state(l, State::Talking, secs(1));
        world.run(secs(2));
        world.hang_up(l);
        for (peer, tag) in left {
            let bye = world.expect_within(*peer, "BYE", secs(65));
            world.say(*peer, &bye.reply(200, tag));
        }
        world.expect_state(l, State::Idle, secs(1));
        world.quiet();
        all_protected(&world, l, 60);
        world.report(&format!(
            "{name}: who is left comes back; nothing stays open"
        ));
    }
}
