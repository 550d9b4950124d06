//! Somebody sits in the signalling path and changes what two phones say to each other about their
//! encryption. The calls fail; what must not happen is that they succeed in clear, or that anybody
//! learns they are private when they are not.

use offhook_tests::world::{PhoneId, Setup, World, number_of, secs};
use phone::{LampState, State};
use testkit::network::Datagram;

use crate::content_length::with_content_length;

/// Changes the session description of every message, or only of those that begin like this.
fn rewrite(world: &mut World, start: &'static str, change: fn(&str) -> String) {
    world.network.set_middlebox(move |packet: &mut Datagram| {
        if packet.is_media() || !packet.is_sip(start) {
            return;
        }
        let Ok(text) = std::str::from_utf8(&packet.bytes) else {
            return;
        };
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            return;
        };
        if body.is_empty() {
            return;
        }
        let body = change(body);
        packet.bytes = with_content_length(&format!("{head}\r\n\r\n{body}"));
    });
}

fn without(body: &str, start: &str) -> String {
    body.split_inclusive("\r\n")
        .filter(|line| !line.starts_with(start))
        .collect()
}

fn strip_keys(body: &str) -> String {
    without(body, "a=crypto")
}

fn take_down(body: &str) -> String {
    body.replace("RTP/SAVP", "RTP/AVP")
}

fn strip_and_take_down(body: &str) -> String {
    take_down(&strip_keys(body))
}

fn another_key(body: &str) -> String {
    // One character of every key: still base64, and another key.
    body.split_inclusive("inline:")
        .enumerate()
        .map(|(n, part)| match (n, part.as_bytes().first()) {
            (0, _) | (_, None) => part.to_owned(),
            (_, Some(b'A')) => format!("B{}", &part[1..]),
            (_, Some(_)) => format!("A{}", &part[1..]),
        })
        .collect()
}

fn another_fingerprint(body: &str) -> String {
    body.replace("a=fingerprint:sha-256 ", "a=fingerprint:sha-256 00:")
        .lines()
        .fold(String::new(), |mut out, line| {
            // One byte more in front, one less behind.
            let line = if line.starts_with("a=fingerprint") {
                &line[..line.len() - 3]
            } else {
                line
            };
            out.push_str(line);
            out.push_str("\r\n");
            out
        })
}

fn weak_fingerprint(body: &str) -> String {
    body.replace("sha-256", "sha-1")
}

fn strip_fingerprint(body: &str) -> String {
    without(&without(body, "a=fingerprint"), "a=setup")
}

fn required(keying: &str) -> Setup {
    Setup::default().tls().toml(
        "encryption",
        &format!("mode = \"required\"\nkeying = [\"{keying}\"]"),
    )
}

/// The call is tried and answered where it rings; it is never established for both, and nothing
/// left either phone in clear.
fn fails(name: &str, keying: &str, start: &'static str, change: fn(&str) -> String) {
    let (mut world, l, r) = World::pair(name, 21, &required(keying));
    rewrite(&mut world, start, change);
    world.call(l, &number_of(r));
    world.run(secs(1));
    if world.state(r) == State::Ringing {
        world.lift(r);
    }
    // A handshake that fails takes its time.
    world.run(secs(40));
    for id in [l, r] {
        assert_ne!(
            world.state(id),
            State::Talking,
            "{name}: {}",
            world[id].name
        );
        let found = world.recorded(id);
        assert!(found.clear.is_empty(), "{name}: {}", found.clear.join("; "));
        assert_ne!(lit(&world, id), LampState::On, "{name}");
    }
    world.quiet();
    world.report("the call does not come about, nothing in clear");
}

fn lit(world: &World, id: PhoneId) -> LampState {
    world[id]
        .lamps
        .get(&phone::Lamp::Encrypted)
        .copied()
        .unwrap_or(LampState::Off)
}

#[test]
fn keys_stripped_or_the_profile_taken_down() {
    for start in ["INVITE", "SIP/2.0 200"] {
        fails("strip keys", "sdes", start, strip_keys);
        fails("take down", "sdes", start, take_down);
        fails("strip and take down", "sdes", start, strip_and_take_down);
    }
}

#[test]
fn fingerprints_changed_weakened_or_stripped() {
    for start in ["INVITE", "SIP/2.0 200"] {
        fails("another fingerprint", "dtls", start, another_fingerprint);
        fails("weak fingerprint", "dtls", start, weak_fingerprint);
        fails("strip fingerprint", "dtls", start, strip_fingerprint);
        fails("dtls take down", "dtls", start, |body| {
            strip_fingerprint(body).replace("UDP/TLS/RTP/SAVP", "RTP/AVP")
        });
    }
}

#[test]
fn exchanged_keys_are_neither_heard_nor_trusted() {
    let (mut world, l, r) = World::pair("another key", 22, &required("sdes"));
    rewrite(&mut world, "SIP/2.0 200", another_key);
    world.connect(l, r);
    world.run(secs(6));
    // r's packets are not authentic to l: it hears nothing of them and does not say it is encrypted
    // both ways.
    world.assert_silent(l, secs(2));
    let word = |id: PhoneId| {
        world[id].status(world.now())["calls"][0]["encryption"]
            .as_str()
            .unwrap_or("")
            .to_owned()
    };
    assert_eq!(word(l), "partial");
    assert_ne!(lit(&world, l), LampState::On);
    for id in [l, r] {
        assert!(world.recorded(id).clear.is_empty());
    }
    world.quiet();
    world.report("keys changed on the way: silence, and status says partial");
}

#[test]
fn stripped_encryption_is_heard_and_seen() {
    let setup = Setup::default()
        .tls()
        .toml("encryption", "mode = \"preferred\"");
    let (mut world, l, r) = World::pair("preferred stripped", 23, &setup);
    rewrite(&mut world, "", |body| strip_fingerprint(&strip_keys(body)));
    world.connect(l, r);
    world.run(secs(3));
    for id in [l, r] {
        assert_eq!(lit(&world, id), LampState::Fast);
        let beeps = world[id]
            .events_named("tone")
            .iter()
            .filter(|(_, e)| e["tone"] == "unprotected")
            .count();
        assert_eq!(beeps, 1, "{}", world[id].name);
        assert!(world[id].status(world.now())["calls"][0]["encryption_missing"].is_string());
    }
    world.quiet();
    world.report("stripped where only preferred: beeps and fast lamps at both ends");
}

#[test]
fn handshakes_of_two_phones() {
    for setup in [
        required("dtls"),
        Setup::default().toml("encryption", "mode = \"required\"\nkeying = [\"dtls\"]"),
    ] {
        let (mut world, l, r) = World::pair("encryption dtls", 24, &setup);
        world.connect(l, r);
        world.run(secs(6));
        world.assert_speech_both_ways(l, r, secs(3), offhook_tests::world::HEARD);
        for id in [l, r] {
            let found = world.recorded(id);
            assert!(
                found.clear.is_empty() && found.protected > 200 && found.handshake > 0,
                "{found:?}"
            );
            assert_eq!(lit(&world, id), LampState::On);
        }
        world.quiet();
        world.report("required by DTLS: handshake, speech both ways, all authentic");
    }
}
