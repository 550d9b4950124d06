//! Provisional responses that must be acknowledged, media from phone to phone, the lamp of a phone,
//! and a transfer of our far end, as Asterisk does them.
//!
//! Wall clock: a real server, and sound in real time.

use std::time::Duration;

use offhook_tests::asterisk::Asterisk;
use offhook_tests::desk_phone::{DeskPhone, Setup};
use offhook_tests::speech::{Speaker, assert_heard, speech, talk};
use serde_json::json;
use testkit::process::TestDir;

use super::{connect, hear_each_other, no_call_left, office, phone, phone_with};

/// `100rel = required`: no call without PRACK, in either direction.
#[test]
fn asterisk_that_requires_prack() {
    let dir = TestDir::new("asterisk-prack");
    let Some(asterisk) = super::asterisk("asterisk_that_requires_prack", &dir) else {
        return;
    };
    let says = speech(&dir, Speaker::Alice, 16000, 1);
    let phone = phone(&dir, &asterisk, "145", "udp", &says);
    asterisk.ask("channel originate PJSIP/145 extension 600@phones");
    phone.wait_state("ringing");
    std::thread::sleep(Duration::from_secs(2));
    phone.lift();
    phone.wait_state("talking");
    std::thread::sleep(Duration::from_secs(6));
    let ear = phone.ear_now();
    phone.hang_up();
    assert_heard(&dir, "the echo", &says, &ear);
    phone.wait_state("idle");
    // Its 183 is reliable, and so are its answers.
    phone.lift();
    phone.wait_state("dial_tone");
    phone.press("610#");
    phone.wait_state("early_media");
    phone.wait_state("busy");
    phone.hang_up();
    phone.call("600#");
    phone.hang_up();
    phone.assert_usable();
}

/// How many packets of media each of its channels received.
fn received(asterisk: &Asterisk<'_>) -> Vec<u64> {
    let figures = asterisk.ask("pjsip show channelstats");
    let count = |line: &str| {
        let mut words = line
            .split_whitespace()
            .skip_while(|word| !word.contains(':'));
        words.nth(2)?.parse().ok()
    };
    figures.lines().filter_map(count).collect()
}

/// Media of a call between two phones leaves Asterisk, with the number each of them has for Opus.
fn directly(test: &str, users: [&str; 2]) {
    let dir = TestDir::new(&format!("asterisk-direct-{}-{}", users[0], users[1]));
    let Some(asterisk) = super::asterisk(test, &dir) else {
        return;
    };
    let (alice, bob) = (
        speech(&dir, Speaker::Alice, 48000, 1),
        speech(&dir, Speaker::Bob, 48000, 1),
    );
    let start = |user: &str, says: &std::path::Path| {
        let setup = Setup {
            codecs: "\"opus\", \"g722\", \"pcmu\"",
            direct: Some(false),
            microphone: Some(says.to_owned()),
            more: asterisk.account(user, "udp"),
            ..Setup::default()
        };
        let phone = DeskPhone::start(&dir, user, setup);
        phone.wait("registered", Duration::from_secs(10), |status| {
            status["lines"][0]["registered"] == true
        });
        phone
    };
    let (l, r) = (start(users[0], &alice), start(users[1], &bob));
    connect(&l, &format!("{}#", users[1]), &r);
    // Asterisk has changed the session of both by now.
    std::thread::sleep(Duration::from_secs(2));
    let before = received(&asterisk);
    std::thread::sleep(Duration::from_secs(1));
    let after = received(&asterisk);
    println!("{before:?} packets, {after:?} a second later");
    // It does not always show both channels; media on its way through would count on either.
    let passes_by = before == after && before.iter().all(|packets| *packets < 20);
    assert!(!before.is_empty() && passes_by, "media goes by Asterisk");
    talk(&dir, (&l, &alice), (&r, &bob));
    l.assert_usable();
    r.assert_usable();
}

#[test]
fn media_passes_asterisk_by_after_its_reinvite() {
    directly(
        "media_passes_asterisk_by_after_its_reinvite",
        ["141", "142"],
    );
}

#[test]
fn media_passes_asterisk_by_after_its_update() {
    directly("media_passes_asterisk_by_after_its_update", ["143", "142"]);
}

#[test]
fn lamp_of_a_phone_at_asterisk_follows_its_calls() {
    let dir = TestDir::new("asterisk-lamp");
    let test = "lamp_of_a_phone_at_asterisk_follows_its_calls";
    let Some(asterisk) = super::asterisk(test, &dir) else {
        return;
    };
    let says = speech(&dir, Speaker::Alice, 16000, 1);
    let a = phone(&dir, &asterisk, "101", "udp", &says);
    let b = phone(&dir, &asterisk, "102", "udp", &says);
    let watch = "[dial]\nwatch = [\"102\"]\n";
    let c = phone_with(&dir, &asterisk, ("103", "udp"), &says, "", watch);
    let lamp = |state: &'static str| {
        c.wait(state, Duration::from_secs(10), |status| {
            status["watched"][0]["state"] == state
        });
    };
    lamp("idle");
    a.lift();
    a.wait_state("dial_tone");
    a.press("102#");
    b.wait_state("ringing");
    lamp("ringing");
    b.lift();
    a.wait_state("talking");
    lamp("busy");
    a.hang_up();
    b.wait_state("congestion");
    b.hang_up();
    lamp("idle");
    for phone in [&a, &b, &c] {
        phone.assert_usable();
    }
}

/// The other phone transfers, so that this one is transferred, and this one is transferred to: by
/// Asterisk, which stands between all three.
#[test]
fn our_far_end_transfers_us_by_asterisk() {
    let dir = TestDir::new("asterisk-transferee");
    let Some(asterisk) = super::asterisk("our_far_end_transfers_us_by_asterisk", &dir) else {
        return;
    };
    let [a, b, c] = office(&dir, &asterisk);
    // Who was called transfers: blind, and attended in each state of the consulted call.
    connect(&a, "102#", &b);
    b.ctl(&json!({"cmd": "transfer", "to": "103"}));
    c.wait_state("ringing");
    c.lift();
    c.wait_state("talking");
    no_call_left(&b);
    hear_each_other([&a, &c]);
    for phone in [&a, &b, &c] {
        phone.assert_usable();
    }
    for answered in [true, false] {
        connect(&a, "102#", &b);
        b.ctl(&json!({"cmd": "flash"}));
        b.wait_state("dial_tone");
        b.press("103#");
        c.wait_state("ringing");
        if answered {
            c.lift();
            b.wait_state("talking");
            std::thread::sleep(Duration::from_millis(500));
        }
        b.hang_up();
        if !answered {
            c.wait_state("ringing");
            c.lift();
        }
        no_call_left(&b);
        hear_each_other([&a, &c]);
        for phone in [&a, &b, &c] {
            phone.assert_usable();
        }
    }
    // No one is there: the caller comes back.
    connect(&a, "102#", &b);
    b.ctl(&json!({"cmd": "transfer", "to": "555"}));
    std::thread::sleep(Duration::from_secs(1));
    b.wait_state("talking");
    hear_each_other([&a, &b]);
    for phone in [&a, &b, &c] {
        phone.assert_usable();
    }
}
