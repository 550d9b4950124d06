//! Calls to and from baresip in all four codecs, with the speech compared at both ends.

use std::time::Duration;

use offhook_tests::desk_phone::{DeskPhone, Setup};
use offhook_tests::null_sink::NullSink;
use offhook_tests::speech::{Speaker, assert_heard, speech};
use testkit::process::TestDir;

use crate::baresip::Baresip;

/// Codec in our notation, in baresip's, and the rate and channels its file source wants.
const CODECS: [(&str, &str, u32, u32); 4] = [
    ("pcmu", "PCMU/8000/1", 8000, 1),
    ("pcma", "PCMA/8000/1", 8000, 1),
    ("g722", "G722/16000/1", 16000, 1),
    ("opus", "opus/48000/2", 48000, 2),
];

/// Long enough for two seconds of undisturbed speech at the end of each recording.
const TALK: Duration = Duration::from_secs(5);

fn call(codec: usize, from_baresip: bool) {
    let (ours, theirs, rate, channels) = CODECS[codec];
    let dir = TestDir::new(&format!("baresip-{ours}-{from_baresip}"));
    let sound = NullSink::start(&dir);
    let alice = speech(&dir, Speaker::Alice, 48000, 1);
    let bob = speech(&dir, Speaker::Bob, rate, channels);
    let mut baresip = Baresip::start(&dir, theirs, &bob, &sound);
    let desk = DeskPhone::start(
        &dir,
        "desk",
        Setup {
            codecs: &format!("{ours:?}").leak()[..],
            microphone: Some(alice.clone()),
            speed: baresip.speed_dial(),
            ..Setup::default()
        },
    );
    baresip.establish(&desk, from_baresip);
    std::thread::sleep(TALK);
    let status = desk.status();
    let call = &status["calls"][0];
    assert_eq!(
        call["codec"].as_str().map(str::to_lowercase).as_deref(),
        Some(ours),
        "{status:#}"
    );
    assert_eq!(
        call["direction"],
        if from_baresip { "in" } else { "out" },
        "{status:#}"
    );
    assert!(
        call["rtp"]["sent"].as_u64() > Some(100) && call["rtp"]["received"].as_u64() > Some(100),
        "{status:#}"
    );
    let ear = desk.ear_now();
    desk.hang_up();
    baresip.wait_event("CALL_CLOSED", Duration::from_secs(5));
    desk.wait_state("idle");
    desk.assert_usable();
    baresip.quit();
    println!(
        "{ours}, {}: {}",
        if from_baresip {
            "baresip calls"
        } else {
            "we call"
        },
        call["rtp"]
    );
    assert_heard(&dir, "baresip heard us", &alice, &baresip.heard());
    assert_heard(&dir, "we heard baresip", &bob, &ear);
}

#[test]
fn we_call_baresip_pcmu() {
    call(0, false);
}
#[test]
fn we_call_baresip_pcma() {
    call(1, false);
}
#[test]
fn we_call_baresip_g722() {
    call(2, false);
}
#[test]
fn we_call_baresip_opus() {
    call(3, false);
}
#[test]
fn baresip_calls_us_pcmu() {
    call(0, true);
}
#[test]
fn baresip_calls_us_pcma() {
    call(1, true);
}
#[test]
fn baresip_calls_us_g722() {
    call(2, true);
}
#[test]
fn baresip_calls_us_opus() {
    call(3, true);
}

#[test]
fn baresip_hangs_up_and_we_hear_congestion() {
    let dir = TestDir::new("baresip-bye");
    let sound = NullSink::start(&dir);
    let bob = speech(&dir, Speaker::Bob, 8000, 1);
    let mut baresip = Baresip::start(&dir, "PCMU/8000/1", &bob, &sound);
    let desk = DeskPhone::start(
        &dir,
        "desk",
        Setup {
            speed: baresip.speed_dial(),
            ..Setup::default()
        },
    );
    baresip.establish(&desk, false);
    baresip.command("hangup", "");
    desk.wait_state("congestion");
    assert_eq!(desk.status()["tone"], "congestion");
    desk.assert_usable();
}
