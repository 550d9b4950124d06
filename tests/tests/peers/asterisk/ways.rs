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

use super::{connect, hear_each_other, office, phone, phone_with};

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

/// How many packets a phone got in its one call.
fn received(phone: &DeskPhone) -> u64 {
    let status = phone.status();
    status["calls"][0]["rtp"]["received"]
        .as_u64()
        .unwrap_or_default()
}

/// Most calls that are tried until one goes on: Asterisk ends one in eight by a fault of its own
/// (`docs/interop.md`), so three one after the other are another fault.
const MOST_CALLS: usize = 3;

/// One phone calls another, and both talk. An Asterisk that asks by UPDATE does so right after its
/// 200, and hangs up where the ACK of that crosses it; its own word for that is waited for, and the
/// call made again. Everything else that ends a call is a failure.
fn connect_past_crossing(asterisk: &Asterisk<'_>, l: &DeskPhone, keys: &str, r: &DeskPhone) {
    for call in 1..=MOST_CALLS {
        let before = asterisk.calls_ended_by_an_ack();
        l.lift();
        l.wait_state("dial_tone");
        l.press(keys);
        r.wait_state("ringing");
        r.lift();
        let state = |state: &str| matches!(state, "talking" | "congestion");
        for phone in [l, r] {
            phone.wait("an answered call", Duration::from_secs(8), |status| {
                status["state"].as_str().is_some_and(state)
            });
        }
        // It changes the session of both now.
        std::thread::sleep(Duration::from_secs(2));
        if [l, r].iter().all(|phone| phone.state() == "talking") {
            println!(
                "Asterisk ended {} of {call} calls: the ACK crossed its UPDATE",
                call - 1
            );
            return;
        }
        let crossed = asterisk.calls_ended_by_an_ack() > before;
        assert!(
            crossed,
            "the call ended, and not by a crossing: {}",
            l.log()
        );
        l.assert_usable();
        r.assert_usable();
    }
    panic!("Asterisk ended {MOST_CALLS} of {MOST_CALLS} calls: the ACK crossed its UPDATE");
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
    asterisk.explain();
    connect_past_crossing(&asterisk, &l, &format!("{}#", users[1]), &r);
    // What they hear while it stands still does not come by it: 75 packets were sent to each.
    let before = [received(&l), received(&r)];
    asterisk.stall(Duration::from_millis(1500));
    let after = [received(&l), received(&r)];
    println!("{before:?} packets, {after:?} after 1.5 s without Asterisk");
    let heard = before
        .iter()
        .zip(after)
        .all(|(before, after)| after >= before + 50);
    assert!(heard, "media goes by Asterisk");
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
    b.no_call_left();
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
        } else {
            // Before it knows of the ringing, hanging up is hanging up.
            b.wait_state("ringback");
        }
        b.hang_up();
        if !answered {
            // The consultation rings for a moment longer; who is sent here rings then.
            c.wait("101 rings", Duration::from_secs(8), |status| {
                let calls = status["calls"].as_array();
                status["state"] == "ringing"
                    && status["calls"][0]["peer"] == "101"
                    && calls.is_some_and(|calls| calls.len() == 1)
            });
            c.lift();
        }
        b.no_call_left();
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
