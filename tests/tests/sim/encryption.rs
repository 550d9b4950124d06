//! Encrypted calls: what leaves a phone whose calls must be encrypted, at every moment of a call.
//! The recorder on the wire looks at each datagram at the end of every scenario, whatever else it
//! asserts.

use std::net::SocketAddr;

use offhook_tests::world::{HEARD, PeerId, PhoneId, Setup, World, ms, number_of_peer, secs};
use phone::{LampState, State, Tone};
use testkit::peer::{Dialog, Message, sdp};

/// Keys of the scripted peer, base64 of 30 bytes.
pub(crate) const ONE: &str = "WnD7c1ksDGs+dIefCEo8omPg4uO8DYIinNGL5yxQ";
pub(crate) const TWO: &str = "t0r0/apkukU7JjjfR0mY8GEimBq4OiPEm9eKSFOx";
pub(crate) const SUITE: &str = "AES_CM_128_HMAC_SHA1_80";

pub(crate) fn media_at() -> SocketAddr {
    "10.0.0.9:4000".parse().unwrap()
}

/// A phone whose calls must be encrypted, with keys in the signalling, which runs over TLS.
pub(crate) fn required() -> Setup {
    Setup::default()
        .tls()
        .toml("encryption", "mode = \"required\"\nkeying = [\"sdes\"]")
}

pub(crate) fn preferred() -> Setup {
    Setup::default()
        .tls()
        .toml("encryption", "mode = \"preferred\"\nkeying = [\"sdes\"]")
}

/// The scripted peer's description in this profile, with these further attributes.
pub(crate) fn described(version: u32, direction: &str, profile: &str, attributes: &str) -> String {
    let text = sdp(media_at(), version, direction).replace("RTP/AVP", profile);
    text.replace("a=ptime:20\r\n", &format!("a=ptime:20\r\n{attributes}"))
}

/// The line that takes up an offer's AES-128 line, with this key.
pub(crate) fn take(offer: &Message, key: &str) -> String {
    let line = offer
        .body
        .lines()
        .find(|line| line.starts_with("a=crypto:") && line.contains(SUITE));
    let tag = line
        .and_then(|l| l.split([':', ' ']).nth(1))
        .unwrap_or_else(|| panic!("no {SUITE} in\n{}", offer.body));
    format!("a=crypto:{tag} {SUITE} inline:{key}\r\n")
}

/// The key an offer or answer of the phone carries for our suite.
pub(crate) fn key_in(message: &Message) -> String {
    let line = message
        .body
        .lines()
        .find(|line| line.starts_with("a=crypto:") && line.contains(SUITE));
    line.and_then(|l| l.split("inline:").nth(1))
        .unwrap_or_else(|| panic!("no key in\n{}", message.body))
        .to_owned()
}

pub(crate) fn reply(
    world: &World,
    far: PeerId,
    request: &Message,
    code: u16,
    tag: &str,
    body: &str,
) -> Message {
    request
        .reply(code, tag)
        .with("Contact", world[far].contact())
        .sdp(body)
}

/// The peer accepts an INVITE with this description.
pub(crate) fn accept(world: &mut World, far: PeerId, invite: &Message, tag: &str, body: &str) {
    let ok = reply(world, far, invite, 200, tag, body);
    world.say(far, &ok);
    world.expect(far, "ACK");
}

/// The phone calls the peer, which answers with this key. The peer's dialog, and the INVITE.
pub(crate) fn talk(world: &mut World, l: PhoneId, far: PeerId, profile: &str) -> (Dialog, Message) {
    world.call(l, &number_of_peer(far));
    let invite = world.expect(far, "INVITE");
    assert!(
        invite.body.contains(&format!("m=audio 20000 {profile} 0")),
        "{}",
        invite.body
    );
    let ok = reply(
        world,
        far,
        &invite,
        200,
        "b",
        &described(1, "sendrecv", profile, &take(&invite, ONE)),
    );
    world.say(far, &ok);
    world.expect(far, "ACK");
    world.expect_state(l, State::Talking, secs(2));
    world.run(secs(1));
    (world[far].callee_dialog(&invite, &ok), invite)
}

pub(crate) fn end(world: &mut World, l: PhoneId, far: PeerId) {
    world.hang_up(l);
    let bye = world.expect(far, "BYE");
    world.say(far, &bye.reply(200, "b"));
    world.quiet();
}

pub(crate) fn encryption(world: &World, id: PhoneId) -> String {
    world[id].status(world.now())["calls"][0]["encryption"]
        .as_str()
        .unwrap_or("no call")
        .to_owned()
}

pub(crate) fn lamp(world: &World, id: PhoneId) -> LampState {
    world[id]
        .lamps
        .get(&phone::Lamp::Encrypted)
        .copied()
        .unwrap_or(LampState::Off)
}

/// How often this phone's handset said that encryption is missing.
pub(crate) fn warnings(world: &World, id: PhoneId) -> usize {
    world[id]
        .events_named("tone")
        .iter()
        .filter(|(_, event)| event["tone"] == "unprotected")
        .count()
}

/// Everything that left the phone's media ports is authentic under a key of its own, and there was
/// something.
pub(crate) fn all_protected(world: &World, id: PhoneId, at_least: usize) -> usize {
    let found = world.recorded(id);
    assert!(found.clear.is_empty(), "{}", found.clear.join("; "));
    assert!(
        found.protected >= at_least,
        "{} packets only",
        found.protected
    );
    found.protected
}

#[test]
fn two_phones_talk_and_nothing_is_in_clear() {
    let (mut world, l, r) = World::pair("encryption required", 1, &required());
    world.connect(l, r);
    world.run(secs(6));
    world.assert_speech_both_ways(l, r, secs(3), HEARD);
    for id in [l, r] {
        assert_eq!(encryption(&world, id), "AEAD_AES_256_GCM");
        assert_eq!(lamp(&world, id), LampState::On);
        assert_eq!(warnings(&world, id), 0);
    }
    let packets = all_protected(&world, l, 300) + all_protected(&world, r, 300);
    world.quiet();
    assert_eq!(lamp(&world, l), LampState::Off);
    world.report(&format!(
        "required, SDES over TLS: speech both ways, {packets} packets, all authentic"
    ));
}

#[test]
fn encryption_is_preferred_over_tls_only() {
    let (mut world, l, r) = World::pair("encryption default", 2, &Setup::default().tls());
    world.connect(l, r);
    world.run(secs(3));
    assert_eq!(
        (
            encryption(&world, l).as_str(),
            encryption(&world, r).as_str()
        ),
        ("AEAD_AES_256_GCM", "AEAD_AES_256_GCM")
    );
    all_protected(&world, l, 100);
    world.quiet();
    let (mut world, l, r) = World::pair("encryption default, clear", 2, &Setup::default());
    world.connect(l, r);
    world.run(secs(2));
    assert_eq!(
        (
            encryption(&world, l).as_str(),
            lamp(&world, l),
            warnings(&world, l)
        ),
        ("none", LampState::Off, 0)
    );
    world.quiet();
    world.report("unconfigured: encrypted over TLS, plain and without a word over UDP");
}

#[test]
fn what_status_says_is_what_was_measured() {
    let mut world = World::new("encryption measured", 3);
    let l = world.phone(preferred());
    let far = world.tls_peer();
    talk(&mut world, l, far, "RTP/AVP");
    // Keys were agreed on, but the far end never sent a packet under them.
    world.run(secs(3));
    assert_eq!(encryption(&world, l), "partial");
    assert_eq!(lamp(&world, l), LampState::Slow);
    all_protected(&world, l, 100);
    end(&mut world, l, far);
    world.report("agreed on but silent: partial, the lamp blinks");
}

#[test]
fn keys_never_leave_by_signalling_in_clear() {
    let mut world = World::new("encryption udp", 4);
    let wish = |mode: &str, keying: &str| {
        Setup::default().toml(
            "encryption",
            &format!("mode = \"{mode}\"\nkeying = [{keying}]"),
        )
    };
    let l = world.phone(wish("preferred", "\"sdes\""));
    let far = world.peer();
    world.call(l, &number_of_peer(far));
    let invite = world.expect(far, "INVITE");
    assert!(
        !invite.body.contains("crypto") && !invite.body.contains("inline"),
        "{}",
        invite.body
    );
    // The call goes on in clear, and that is heard and seen.
    accept(
        &mut world,
        far,
        &invite,
        "b",
        &sdp(media_at(), 1, "sendrecv"),
    );
    world.expect_state(l, State::Talking, secs(2));
    assert_eq!(world[l].control.tone(), Some(Tone::Unprotected));
    assert_eq!(lamp(&world, l), LampState::Fast);
    let status = world[l].status(world.now());
    assert!(
        status["calls"][0]["encryption_missing"]
            .as_str()
            .unwrap()
            .contains("TLS"),
        "{status}"
    );
    world.run(secs(1));
    assert_eq!(
        (
            world[l].control.tone(),
            warnings(&world, l),
            encryption(&world, l).as_str()
        ),
        (None, 1, "none")
    );
    end(&mut world, l, far);
    // Where it is required, the call is not made at all.
    let s = world.phone(wish("required", "\"sdes\""));
    world.call(s, &number_of_peer(far));
    world.expect_state(s, State::Congestion, secs(2));
    world.expect_nothing(far, secs(2));
    world.quiet();
    // Unless by a handshake: its fingerprint is no secret.
    let t = world.phone(wish("required", "\"sdes\", \"dtls\""));
    world.call(t, &number_of_peer(far));
    let invite = world.expect(far, "INVITE");
    assert!(
        invite.body.contains(" UDP/TLS/RTP/SAVP 0") && !invite.body.contains("crypto"),
        "{}",
        invite.body
    );
    assert!(
        invite.body.contains("a=fingerprint:sha-256 ")
            && invite.body.contains("a=setup:actpass\r\n")
    );
    world.say(far, &invite.reply(486, "b"));
    world.expect(far, "ACK");
    world.quiet();
    // Or where the configuration says so, loudly.
    let loud = wish("required", "\"sdes\"").toml("encryption", "sdes_over_clear = true");
    let u = world.phone(loud);
    world.call(u, &number_of_peer(far));
    let invite = world.expect(far, "INVITE");
    assert!(
        invite.body.contains("RTP/SAVP 0") && invite.body.contains("a=crypto:1 "),
        "{}",
        invite.body
    );
    world.say(far, &invite.reply(486, "b"));
    world.expect(far, "ACK");
    world.quiet();
    world
        .report("over UDP: no key in any offer, preferred is heard in clear, required is not made");
}

#[test]
fn keys_that_come_in_clear_are_refused() {
    for (name, config, plain_code) in [
        ("default", "", 180),
        ("preferred", "mode = \"preferred\"", 180),
        ("required", "mode = \"required\"", 488),
    ] {
        let mut world = World::new(&format!("encryption keys in clear {name}"), 5);
        let r = world.phone(Setup::default().toml("encryption", config));
        let far = world.peer();
        let offer = |profile: &str, keys: &str| described(1, "sendrecv", profile, keys);
        let key = format!("a=crypto:1 {SUITE} inline:{ONE}\r\n");
        for (at, profile, keys, code) in [
            (1, "RTP/SAVP", key.as_str(), 488),
            (2, "RTP/SAVPF", key.as_str(), 488),
            (3, "RTP/SAVP", "", 488),
            (4, "UDP/TLS/RTP/SAVP", key.as_str(), 488),
            (5, "RTP/AVP", "", plain_code),
        ] {
            let id = format!("clear-{at}");
            let invite = world[far]
                .request("INVITE", "sip:l@10.0.0.1:5060", &id)
                .sdp(&offer(profile, keys));
            world.say(far, &invite);
            if code == 180 {
                world.expect(far, "100 INVITE");
            }
            let answer = world.expect(far, &format!("{code} INVITE"));
            if code == 488 {
                assert!(!answer.header("warning").contains(ONE), "{}", answer.text());
                let ack = invite.same_transaction("ACK", Some(answer.header("to")));
                world.say(far, &ack);
                assert_eq!(world.state(r), State::Idle, "nothing rings");
            } else {
                let cancel = invite.same_transaction("CANCEL", None);
                world.say(far, &cancel);
                world.expect(far, "200 CANCEL");
                let gone = world.expect(far, "487 INVITE");
                world.say(
                    far,
                    &invite.same_transaction("ACK", Some(gone.header("to"))),
                );
            }
            world.run(secs(1));
        }
        world.quiet();
        world.report("an offer with keys over UDP gets 488 and does not ring");
    }
}

#[test]
fn early_media_forks_and_a_new_key_for_the_winner() {
    let mut world = World::new("encryption fork", 6);
    let l = world.phone(required());
    let far = world.tls_peer();
    world.call(l, &number_of_peer(far));
    let invite = world.expect(far, "INVITE");
    let first = key_in(&invite);
    for (tag, key) in [("a", ONE), ("b", TWO)] {
        let early = reply(
            &world,
            far,
            &invite,
            183,
            tag,
            &described(1, "sendrecv", "RTP/SAVP", &take(&invite, key)),
        );
        world.say(far, &early);
        world.run(secs(1));
        assert_eq!(world.state(l), State::EarlyMedia);
    }
    // A third leg without keys is no early media: nothing of it is heard, and nothing goes there in
    // clear.
    let clear = reply(
        &world,
        far,
        &invite,
        183,
        "c",
        &sdp("10.0.0.9:4100".parse().unwrap(), 1, "sendrecv"),
    );
    world.say(far, &clear);
    world.run(secs(1));
    let to_clear = |world: &World| {
        world
            .network
            .capture
            .packets()
            .filter(|p| p.datagram.to.port() == 4100)
            .count()
    };
    assert_eq!(to_clear(&world), 0);
    let before = world.recorded(l);
    assert!(before.protected > 100 && before.clear.is_empty());
    accept(
        &mut world,
        far,
        &invite,
        "a",
        &described(1, "sendrecv", "RTP/SAVP", &take(&invite, ONE)),
    );
    // Every branch got the first key: the winner gets one of his own.
    let again = world.expect(far, "INVITE");
    let second = key_in(&again);
    assert_ne!(first, second);
    accept(
        &mut world,
        far,
        &again,
        "a",
        &described(2, "sendrecv", "RTP/SAVP", &take(&again, TWO)),
    );
    world.run(secs(2));
    let found = world.recorded(l);
    assert!(
        found.by_key.len() >= 2 && *found.by_key.last().unwrap() > 80,
        "{:?}",
        found.by_key
    );
    all_protected(&world, l, 200);
    end(&mut world, l, far);
    world.report("two legs with keys, one without; the winner is rekeyed; all authentic");
}

#[test]
fn a_refusal_of_what_is_required_is_the_end() {
    let mut world = World::new("encryption 488", 9);
    let l = world.phone(required());
    let far = world.tls_peer();
    world.call(l, &number_of_peer(far));
    // Every variant of the profile, and nothing else.
    for profile in ["RTP/SAVP 0", "RTP/SAVPF 0"] {
        let invite = world.expect(far, "INVITE");
        assert!(
            invite.body.contains(&format!("m=audio 20000 {profile}")),
            "{}",
            invite.body
        );
        world.say(far, &invite.reply(488, "b"));
        world.expect(far, "ACK");
    }
    world.expect_state(l, State::Congestion, secs(2));
    // No other offer, least of all a clear one.
    world.expect_nothing(far, secs(3));
    let found = world.recorded(l);
    assert_eq!((found.protected, found.clear.len()), (0, 0));
    world.quiet();
    world.report("488 to RTP/SAVP: the call fails, and nothing is offered in clear");
}

#[test]
fn what_is_preferred_falls_back_and_says_so() {
    let mut world = World::new("encryption fall back", 10);
    let l = world.phone(preferred());
    let far = world.tls_peer();
    world.call(l, &number_of_peer(far));
    let mut last = 0;
    for (profile, keys) in [
        ("RTP/AVP 0", true),
        ("RTP/SAVP 0", true),
        ("RTP/SAVPF 0", true),
        ("RTP/AVP 0", false),
    ] {
        let invite = world.expect(far, "INVITE");
        assert!(
            invite.body.contains(&format!("m=audio 20000 {profile}")),
            "{}",
            invite.body
        );
        let keyed = invite.body.contains("a=crypto:") || invite.body.contains("a=fingerprint:");
        assert_eq!(keyed, keys, "{}", invite.body);
        assert!(invite.cseq() > last && invite.tag("to").is_none());
        last = invite.cseq();
        if keys {
            world.say(far, &invite.reply(488, "b"));
            world.expect(far, "ACK");
        } else {
            accept(
                &mut world,
                far,
                &invite,
                "b",
                &sdp(media_at(), 1, "sendrecv"),
            );
        }
    }
    world.expect_state(l, State::Talking, secs(2));
    assert_eq!(
        (world[l].control.tone(), lamp(&world, l)),
        (Some(Tone::Unprotected), LampState::Fast)
    );
    world.run(secs(2));
    assert_eq!(
        (warnings(&world, l), encryption(&world, l).as_str()),
        (1, "none")
    );
    let reported = world[l].events_named("encryption");
    assert!(
        reported.iter().any(|(_, event)| event["missing"]
            .as_str()
            .is_some_and(|why| why.contains("refused"))),
        "{reported:?}"
    );
    end(&mut world, l, far);
    // Answered, but without taking the keys up: the same.
    world.call(l, &number_of_peer(far));
    let invite = world.expect(far, "INVITE");
    accept(
        &mut world,
        far,
        &invite,
        "b",
        &sdp(media_at(), 1, "sendrecv"),
    );
    world.expect_state(l, State::Talking, secs(2));
    assert_eq!(world[l].control.tone(), Some(Tone::Unprotected));
    world.run(secs(1));
    end(&mut world, l, far);
    world.report(
        "preferred: best effort, then RTP/SAVP, then clear with three beeps, a fast lamp and an \
         event",
    );
}

#[test]
fn required_and_redirected_to_a_clear_peer() {
    let mut world = World::new("encryption redirect", 12);
    let l = world.phone(required());
    let far = world.tls_peer();
    let other = world.tls_peer();
    world.call(l, &number_of_peer(far));
    let invite = world.expect(far, "INVITE");
    let there = world[other].contact();
    world.say(far, &invite.reply(302, "b").with("Contact", there));
    world.expect(far, "ACK");
    // Asked for encryption in each variant of the profile, and answered in clear each time.
    for profile in ["RTP/SAVP 0", "RTP/SAVPF 0"] {
        let again = world.expect(other, "INVITE");
        assert!(again.body.contains(profile), "{}", again.body);
        assert_eq!(key_in(&again).len(), 40);
        accept(
            &mut world,
            other,
            &again,
            "c",
            &sdp("10.0.0.10:4000".parse().unwrap(), 1, "sendrecv"),
        );
        let bye = world.expect(other, "BYE");
        world.say(other, &bye.reply(200, "c"));
    }
    world.expect_state(l, State::Congestion, secs(2));
    let found = world.recorded(l);
    assert_eq!((found.protected, found.clear.len()), (0, 0));
    world.quiet();
    world.report("redirected to a clear peer: its answer ends the call, no packet left");
}

#[test]
fn cancelled_and_failed_calls_leak_nothing() {
    let mut world = World::new("encryption cancel", 13);
    let l = world.phone(required());
    let far = world.tls_peer();
    for (early, code) in [
        (true, 487),
        (false, 487),
        (true, 500),
        (false, 404),
        (true, 488),
    ] {
        world.call(l, &number_of_peer(far));
        let invite = world.expect(far, "INVITE");
        if early {
            let early = reply(
                &world,
                far,
                &invite,
                183,
                "b",
                &described(1, "sendrecv", "RTP/SAVP", &take(&invite, ONE)),
            );
            world.say(far, &early);
            world.run(secs(1));
        } else {
            world.say(far, &invite.reply(180, "b"));
            world.run(ms(200));
        }
        if code == 487 {
            world.hang_up(l);
            let cancel = world.expect(far, "CANCEL");
            world.say(far, &cancel.reply(200, "b"));
        }
        world.say(far, &invite.reply(code, "b"));
        world.expect(far, "ACK");
        world.run(secs(1));
        world.hang_up(l);
        world.run(secs(3));
    }
    all_protected(&world, l, 100);
    world.quiet();
    world.report("CANCEL and failures with and without early media: all authentic");
}
