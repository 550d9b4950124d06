//! Calls as people make them: both ways in every codec, busy, no answer, refused, emergency,
//! automatic answer.

use offhook_tests::world::{HEARD, Setup, World, ms, number_of_peer, peer_ip, phone_ip, secs};
use phone::{State, Tone};
use testkit::data;
use testkit::measure::Match;
use testkit::network::RuleAction;
use testkit::peer::sdp;
use testkit::signal::Source;

fn shown(found: Match) -> String {
    format!(
        "{:.1} ms, likeness {:.3}, {:+.1} dB",
        found.delay_s * 1e3,
        found.correlation,
        found.gain_db
    )
}

/// One call each way with speech compared both ways, hung up once by the caller and once by the
/// callee.
fn both_ways(codec: &str, rate_hz: u32, at_least: f64) {
    let speech = |file: &str| {
        data::find(&format!("real speech in the {codec} call"), file)
            .map(|path| Source::wav(&path, rate_hz).unwrap())
    };
    let setup = Setup::default()
        .codecs(&format!("\"{codec}\""))
        .card(rate_hz, 5);
    let mut world = World::new(&format!("call {codec}"), 1);
    let mut one = setup.clone();
    one.voice = speech("speech/core/f1_16k.wav");
    let mut other = setup;
    other.voice = speech("speech/core/m1_16k.wav");
    let (l, r) = (world.phone(one), world.phone(other));
    let mut report = Vec::new();
    for (from, to) in [(l, r), (r, l)] {
        world.connect(from, to);
        world.run(secs(16));
        let (there, back) = world.assert_speech_both_ways(from, to, secs(6), at_least);
        report.push(format!("{} | {}", shown(there), shown(back)));
        let status = world[from].status(world.now());
        assert_eq!(status["calls"][0]["codec"], codec, "{status}");
        assert_eq!(status["calls"][0]["rtp"]["lost"], 0, "{status}");
        world.hang_up(from);
        world.expect_state(to, State::Congestion, secs(2));
        world.run(secs(1));
        assert_eq!(world[to].control.tone(), Some(Tone::Congestion));
        world.hang_up(to);
        world.assert_drained();
    }
    world.quiet();
    world.report(&report.join(" · "));
}

#[test]
fn call_both_ways_pcmu() {
    both_ways("pcmu", 8_000, 0.98);
}

#[test]
fn call_both_ways_pcma() {
    both_ways("pcma", 8_000, 0.98);
}

#[test]
fn call_both_ways_g722() {
    both_ways("g722", 16_000, 0.98);
}

#[test]
fn call_both_ways_opus() {
    both_ways("opus", 48_000, 0.90);
}

#[test]
fn call_between_unlike_cards_and_packet_lengths() {
    let mut world = World::new("unlike cards", 2);
    let l = world.phone(
        Setup::default()
            .card(48_000, 10)
            .toml("codecs", "ptime_ms = 40"),
    );
    let r = world.phone(
        Setup::default()
            .card(16_000, 8)
            .toml("codecs", "ptime_ms = 10"),
    );
    world.connect(l, r);
    world.run(secs(14));
    world.assert_speech_both_ways(l, r, secs(4), HEARD);
    world.quiet();
    world.report("48 kHz/10 ms/40 ms packets to 16 kHz/8 ms/10 ms packets");
}

#[test]
fn a_common_codec_is_found_and_none_is_refused() {
    let mut world = World::new("codec choice", 3);
    let l = world.phone(
        Setup::default()
            .card(16_000, 10)
            .codecs("\"opus\", \"g722\", \"pcma\""),
    );
    let r = world.phone(
        Setup::default()
            .card(16_000, 10)
            .codecs("\"pcmu\", \"pcma\", \"g722\""),
    );
    let s = world.phone(Setup::default().codecs("\"pcmu\""));
    let t = world.phone(Setup::default().codecs("\"pcma\""));
    world.connect(l, r);
    world.run(secs(3));
    let codec = world[l].status(world.now())["calls"][0]["codec"].clone();
    assert!(codec == "pcma" || codec == "g722", "{codec}");
    assert_eq!(codec, world[r].status(world.now())["calls"][0]["codec"]);
    world.assert_speech_both_ways(l, r, secs(2), 0.97);
    world.call(s, "204");
    world.expect_state(s, State::Congestion, secs(5));
    assert_ne!(
        world.state(t),
        State::Ringing,
        "a call without a common codec must not ring"
    );
    world.quiet();
    world.report(&format!("agreed on {codec}; PCMU to PCMA refused"));
}

#[test]
fn busy() {
    let mut world = World::new("busy", 4);
    let setup = Setup::default().toml("call", "waiting = false");
    let (l, r, s) = (
        world.phone(setup.clone()),
        world.phone(setup.clone()),
        world.phone(setup),
    );
    world.connect(l, r);
    // The check at the end of every scenario can fail: a call is not nothing.
    assert!(
        world[l]
            .unrest()
            .is_some_and(|what| what.contains("dialogs: 1") && what.contains("ports"))
    );
    world.call(s, "202");
    world.expect_state(s, State::Busy, secs(5));
    assert_eq!(world[s].control.tone(), Some(Tone::Busy));
    world.run(secs(3));
    world.assert_speech_both_ways(l, r, secs(2), HEARD);
    world.quiet();
    world.report("486 heard as busy tone, the call it met went on");
}

#[test]
fn no_answer_is_given_up_by_either_side() {
    let mut world = World::new("no answer", 5);
    let l = world.phone(Setup::default().toml("call", "no_answer_s = 12"));
    let r = world.phone(Setup::default());
    world.call(l, "202");
    world.expect_state(r, State::Ringing, secs(5));
    assert!(world[r].ring.is_some());
    world.expect_state(l, State::Ringback, secs(5));
    world.until("the caller gives up by itself", secs(20), |world| {
        world.state(r) == State::Idle && world.state(l) != State::Ringback
    });
    assert!(world[r].ring.is_none());
    assert!(
        matches!(world.state(l), State::Congestion | State::Busy),
        "never silence: {:?}",
        world.state(l)
    );
    world.quiet();
    world.call(l, "202");
    world.expect_state(r, State::Ringing, secs(5));
    world.run(secs(3));
    world.hang_up(l);
    world.expect_state(r, State::Idle, secs(3));
    assert!(world[r].ring.is_none());
    world.quiet();
    world.report("given up after 12 s, and by hanging up");
}

#[test]
fn each_refusal_is_heard() {
    let mut world = World::new("refusals", 6);
    let l = world.phone(Setup::default());
    let far = world.peer();
    for (code, state) in [
        (486, State::Busy),
        (600, State::Busy),
        (603, State::Busy),
        (404, State::Congestion),
        (503, State::Congestion),
        (480, State::Congestion),
    ] {
        world.call(l, &number_of_peer(far));
        let invite = world.expect(far, "INVITE");
        world.say(far, &invite.reply(100, ""));
        world.say(far, &invite.reply(180, "no"));
        world.expect_state(l, State::Ringback, secs(1));
        world.say(far, &invite.reply(code, "no"));
        let ack = world.expect(far, "ACK");
        assert_eq!((ack.cseq(), ack.tag("to")), (invite.cseq(), Some("no")));
        assert_eq!(
            ack.header("via"),
            invite.header("via"),
            "an ACK to {code} belongs to the INVITE's transaction"
        );
        world.expect_state(l, state, secs(1));
        let last = world[l].status(world.now())["last_call"].clone();
        assert!(
            last["cause"]
                .as_str()
                .is_some_and(|cause| cause.contains(&code.to_string())),
            "{last}"
        );
        world.quiet();
    }
    world.report("486 600 603 busy; 404 480 503 congestion; cause shown");
}

#[test]
fn an_address_without_a_phone() {
    let mut world = World::new("no one there", 7);
    let l = world.phone(Setup::default());
    world.call(l, "305".replace('5', "3").as_str());
    world.expect_state(l, State::Calling, secs(1));
    world.until("Timer B ends the call", secs(40), |world| {
        world.state(l) == State::Congestion
    });
    let invites = world
        .network
        .capture
        .sip_between(phone_ip(l), peer_ip(offhook_tests::world::PeerId(2)))
        .filter(|sent| sent.datagram.is_sip("INVITE"))
        .count();
    assert_eq!(
        invites, 7,
        "RFC 3261 section 17.1.1.2: at 0, .5, 1.5, 3.5, 7.5, 15.5 and 31.5 s"
    );
    world.quiet();
    world.report("7 INVITEs, congestion after 32 s");
}

#[test]
fn a_port_without_a_listener() {
    let mut world = World::new("port unreachable", 8);
    let l = world.phone(Setup::default());
    let far = world.peer();
    world.call(l, &number_of_peer(far));
    world.expect(far, "INVITE");
    let at = world[far].at;
    world.unreachable(l, at);
    world.expect_state(l, State::Congestion, secs(2));
    world.quiet();
    world.report("ICMP unreachable ends the call at once");
}

#[test]
fn emergency_goes_at_once_without_any_line() {
    let mut world = World::new("emergency", 9);
    let route = format!(
        "emergency_route = \"sip:112@{}\"\ndigit_map = \"7xx!|[2-9]xx|x.T\"",
        peer_ip(offhook_tests::world::PeerId(0))
    );
    let l = world.phone(
        Setup::default()
            .country("de")
            .toml("dial", &route)
            .account_with("101", "x", "10.0.0.100", ""),
    );
    let far = world.peer();
    world.lift(l);
    world.run(ms(300));
    world.press(l, "11");
    let before = world.now();
    world.press(l, "2");
    let invite = world.expect_within(far, "INVITE", ms(300));
    assert!(
        world.now().saturating_sub(before) < ms(250),
        "an emergency number waits for no timer"
    );
    assert!(invite.uri().contains("112"), "{}", invite.uri());
    let at = "10.0.0.9:4000".parse().unwrap();
    let ok = invite
        .reply(200, "help")
        .with("Contact", "<sip:112@10.0.0.9>")
        .sdp(&sdp(at, 1, "sendrecv"));
    world.say(far, &ok);
    world.expect(far, "ACK");
    world.expect_state(l, State::Talking, secs(1));
    world.run(secs(1));
    assert!(
        world[far].media.len() > 40,
        "{} packets came",
        world[far].media.len()
    );
    world.hang_up(l);
    let bye = world.expect(far, "BYE");
    world.say(far, &bye.reply(200, ""));
    world.quiet();
    world.report("112 without a registration uses the emergency route, at the last digit");
}

#[test]
fn automatic_answer() {
    let mut world = World::new("automatic answer", 10);
    let l = world.phone(Setup::default());
    let r = world.phone(Setup::default().toml("call", "auto_answer = 500"));
    world.call(l, "202");
    world.expect_state(l, State::Talking, secs(3));
    world.run(secs(4));
    world.assert_speech_both_ways(l, r, secs(3), HEARD);
    world.hang_up(l);
    world.until(
        "the answering phone is on hook by itself",
        secs(5),
        |world| world.state(r) == State::Idle,
    );
    world.assert_drained();
    world.report("answered by itself, ended with the caller");
}

#[test]
fn hook_flash_window_separates_flash_from_hanging_up() {
    let mut world = World::new("flash window", 11);
    let l = world.phone(Setup::default().toml("call", "flash = \"hook\""));
    let r = world.phone(Setup::default());
    world.connect(l, r);
    world.run(secs(1));
    world.hang_up(l);
    world.run(ms(200));
    world.lift(l);
    world.run(secs(1));
    assert_ne!(world.state(r), State::Congestion, "a flash is no hang-up");
    world.run(secs(2));
    world.assert_silent(r, secs(1));
    world.hang_up(l);
    world.expect_state(r, State::Congestion, secs(3));
    world.quiet();
    world.report("200 ms is a flash (hold), longer is a hang-up");
}

#[test]
fn digits_arrive_once_each_with_loss() {
    let mut world = World::new("digits with loss", 12);
    let (l, r) = (world.phone(Setup::default()), world.phone(Setup::default()));
    let mut n = 0u32;
    world
        .network
        .add_rule("every 20th RTP packet", move |packet, _| {
            n += u32::from(packet.is_media());
            if packet.is_media() && n.is_multiple_of(20) {
                RuleAction::Drop
            } else {
                RuleAction::Pass
            }
        });
    world.connect(l, r);
    world.run(secs(1));
    let keys = "0123456789*#5577";
    world.press(l, keys);
    world.run(secs(1));
    let got: String = world[r]
        .events_named("digit")
        .iter()
        .filter_map(|(_, event)| event["digit"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(got, keys);
    world.run(secs(5));
    world.assert_speech_both_ways(l, r, secs(4), 0.9);
    world.quiet();
    world.report("16 of 16 digits, each once");
}

/// What callers write who wish to be answered without a hand, and whether they take no other
/// answer.
const WISHES: [(&str, &str, bool); 7] = [
    ("Call-Info", "<sip:10.0.0.9>;answer-after=0", false),
    (
        "Alert-Info",
        "<http://10.0.0.9>;info=alert-autoanswer;delay=0",
        false,
    ),
    ("Alert-Info", "Auto Answer", false),
    ("Answer-Mode", "Auto", false),
    ("Answer-Mode", "Auto;require", true),
    ("Priv-Answer-Mode", "Auto", false),
    ("Priv-Answer-Mode", "Auto;require", true),
];

#[test]
fn no_stranger_makes_the_phone_answer() {
    // As delivered; and with the owner's own, slow, automatic answer, which a caller without a
    // server cannot hasten.
    for (n, (owner, answers_after)) in [("", None), ("auto_answer = 20000", Some(20))]
        .into_iter()
        .enumerate()
    {
        let mut world = World::new(&format!("answer from afar, {owner}"), 21 + n as u64);
        let l = world.phone(Setup::default().toml("call", owner));
        let far = world.peer();
        for (n, (name, value, insists)) in WISHES.into_iter().enumerate() {
            let invite = world[far]
                .request("INVITE", "sip:l@10.0.0.1", &format!("wish{n}"))
                .with(name, value)
                .sdp(&sdp("10.0.0.9:4000".parse().unwrap(), 1, "sendrecv"));
            world.say(far, &invite);
            if insists {
                let no = world.expect(far, "403 INVITE");
                let to = no.header("to").to_owned();
                let ack = invite.same_transaction("ACK", Some(&to));
                world.say(far, &ack);
                world.expect_nothing(far, secs(1));
                assert_eq!(
                    (world.state(l), world[l].ring.is_some()),
                    (State::Idle, false),
                    "{name}: {value}"
                );
                continue;
            }
            world.expect(far, "100 INVITE");
            world.expect(far, "180 INVITE");
            world.expect_nothing(far, secs(answers_after.unwrap_or(60) - 1));
            assert_eq!(
                (world.state(l), world[l].ring.is_some()),
                (State::Ringing, true),
                "{name}: {value}"
            );
            let before = world[far].media.len();
            assert_eq!(before, 0, "{name}: not a sound before");
            let cancel = invite.same_transaction("CANCEL", None);
            world.say(far, &cancel);
            world.expect(far, "200 CANCEL");
            let no = world.expect(far, "487 INVITE");
            let to = no.header("to").to_owned();
            let ack = invite.same_transaction("ACK", Some(&to));
            world.say(far, &ack);
            world.expect_state(l, State::Idle, secs(1));
        }
        // The option tags of RFC 5373, required: this phone has no such extension, and says so.
        for tag in ["answermode", "privanswermode"] {
            let invite = world[far]
                .request(
                    "INVITE",
                    "sip:l@10.0.0.1",
                    &format!("tag {tag}").replace(' ', "-"),
                )
                .with("Require", tag)
                .with("Answer-Mode", "Auto")
                .sdp(&sdp("10.0.0.9:4000".parse().unwrap(), 1, "sendrecv"));
            world.say(far, &invite);
            let no = world.expect(far, "420 INVITE");
            assert_eq!(no.header("unsupported"), tag);
            let to = no.header("to").to_owned();
            let ack = invite.same_transaction("ACK", Some(&to));
            world.say(far, &ack);
            assert_eq!(world.state(l), State::Idle);
        }
        world.run(secs(40));
        world.quiet();
        world.report(&format!(
            "{} wishes and 2 required tags, none answered",
            WISHES.len()
        ));
    }
}

#[test]
fn auto_answer_needs_the_owners_leave_and_is_muted() {
    let mut world = World::new("asked to answer", 23);
    world.add_registrar(&[("101", "one")]);
    let l = world.phone(
        Setup::default()
            .account("101", "one")
            .toml("call", "auto_answer = 20000"),
    );
    world.until("registered", secs(2), |world| {
        world[l].status(world.now())["lines"][0]["registered"] == true
    });
    let far = world.peer();
    let contact = world.reg().bindings["101"].contact.clone();
    let invite = world[far]
        .request("INVITE", &contact, "asks")
        .with("Call-Info", "<sip:10.0.0.9>;answer-after=0")
        .with("Alert-Info", "<urn:alert:tune:silent>")
        .sdp(&sdp("10.0.0.9:4000".parse().unwrap(), 1, "sendrecv"));
    world.say(far, &invite);
    world.expect(far, "100 INVITE");
    let ok = world.expect(far, "200 INVITE");
    assert!(world[l].ring.is_some(), "the bell rings");
    let mut dialog = world[far].caller_dialog(&invite, &ok);
    let ack = world[far].in_dialog(&mut dialog, "ACK");
    world.say(far, &ack);
    world.run(secs(5));
    assert!(world[l].ring.is_none());
    // Packets of silence: µ-law's zero, from the first to the last.
    let loudest = |world: &World, from: usize| {
        let sound = world[far]
            .media
            .iter()
            .skip(from)
            .filter(|(_, port, bytes)| *port == 4000 && bytes[1] % 128 == 0);
        sound
            .flat_map(|(_, _, bytes)| bytes[12..].iter())
            .map(|byte| 127 - (byte & 0x7f))
            .max()
    };
    assert_eq!(loudest(&world, 0), Some(0), "not a sound of the room");
    let muted = world[far].media.len();
    assert!(muted > 200, "{muted}");
    world.lift(l);
    world.run(secs(3));
    assert!(
        loudest(&world, muted + 5) > Some(50),
        "whoever lifts is heard"
    );
    world.hang_up(l);
    let bye = world.expect(far, "BYE");
    world.say(far, &bye.reply(200, ""));
    world.quiet();
    world.report(&format!(
        "{muted} packets of silence until the handset was lifted"
    ));
}
