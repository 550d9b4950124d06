//! Encrypted calls to and from baresip: keys by DTLS-SRTP and by SDES, with the speech compared at
//! both ends.

use std::time::Duration;

use offhook_tests::desk_phone::{DeskPhone, Setup};
use offhook_tests::null_sink::NullSink;
use offhook_tests::speech::{Speaker, assert_heard, speech};
use testkit::process::TestDir;

use crate::baresip::Baresip;

/// Long enough for two seconds of undisturbed speech at the end of each recording.
const TALK: Duration = Duration::from_secs(5);

/// How the call is to be encrypted.
struct Keying {
    name: &'static str,
    /// Our `[encryption]`.
    ours: &'static str,
    /// baresip's account.
    account: &'static str,
    /// baresip's configuration.
    config: &'static str,
    /// What our status says in the end: where we call, and where baresip does.
    suites: [&'static str; 2],
}

const DTLS: Keying = Keying {
    name: "dtls",
    ours: "[encryption]\nmode = \"required\"\nkeying = [\"dtls\"]\n",
    account: ";mediaenc=dtls_srtp",
    config: "module dtls_srtp.so\nrtcp_mux yes\n",
    // All that its OpenSSL is asked for, whoever asks.
    suites: ["AES_CM_128_HMAC_SHA1_80"; 2],
};

const DTLS_TWO_PORTS: Keying = Keying {
    name: "dtls-two-ports",
    config: "module dtls_srtp.so\nrtcp_mux no\n",
    ..DTLS
};

const SDES: Keying = Keying {
    name: "sdes",
    ours: "[encryption]\nmode = \"required\"\nkeying = [\"sdes\"]\nsdes_over_clear = true\n",
    account: ";mediaenc=srtp-mand",
    config: "module srtp.so\n",
    // It takes the best it is offered, and offers this one first.
    suites: ["AEAD_AES_256_GCM", "AES_CM_128_HMAC_SHA1_80"],
};

fn call(keying: &Keying, codec: (&str, &str, u32, u32), from_baresip: bool) {
    let (ours, theirs, rate, channels) = codec;
    let suite = keying.suites[usize::from(from_baresip)];
    let dir = TestDir::new(&format!("baresip-{}-{ours}-{from_baresip}", keying.name));
    let sound = NullSink::start(&dir);
    let alice = speech(&dir, Speaker::Alice, 48000, 1);
    let bob = speech(&dir, Speaker::Bob, rate, channels);
    let mut baresip =
        Baresip::start_with(&dir, theirs, &bob, &sound, keying.account, keying.config);
    let desk = DeskPhone::start(
        &dir,
        "desk",
        Setup {
            codecs: &format!("{ours:?}").leak()[..],
            microphone: Some(alice.clone()),
            speed: baresip.speed_dial(),
            more: keying.ours.to_owned(),
            ..Setup::default()
        },
    );
    baresip.establish(&desk, from_baresip);
    desk.wait(
        "encryption seen to work",
        Duration::from_secs(8),
        |status| status["calls"][0]["encryption"] == suite,
    );
    std::thread::sleep(TALK);
    let status = desk.status();
    let call = &status["calls"][0];
    assert_eq!(call["codec"].as_str(), Some(ours), "{status:#}");
    assert_eq!(call["encryption"], suite, "{status:#}");
    let ear = desk.ear_now();
    desk.hang_up();
    baresip.wait_event("CALL_CLOSED", Duration::from_secs(5));
    desk.wait_state("idle");
    desk.assert_usable();
    baresip.quit();
    println!(
        "{}, {ours}, {}: {} {}",
        keying.name,
        if from_baresip {
            "baresip calls"
        } else {
            "we call"
        },
        call["rtp"],
        call["identity"],
    );
    assert_heard(&dir, "baresip heard us", &alice, &baresip.heard());
    assert_heard(&dir, "we heard baresip", &bob, &ear);
}

const PCMU: (&str, &str, u32, u32) = ("pcmu", "PCMU/8000/1", 8000, 1);
const G722: (&str, &str, u32, u32) = ("g722", "G722/16000/1", 16000, 1);
const OPUS: (&str, &str, u32, u32) = ("opus", "opus/48000/2", 48000, 2);

#[test]
fn we_call_baresip_by_dtls_pcmu() {
    call(&DTLS, PCMU, false);
}
#[test]
fn baresip_calls_us_by_dtls_pcmu() {
    call(&DTLS, PCMU, true);
}
#[test]
fn we_call_baresip_by_dtls_opus() {
    call(&DTLS, OPUS, false);
}
#[test]
fn baresip_calls_us_by_dtls_g722() {
    call(&DTLS, G722, true);
}
#[test]
fn we_call_baresip_by_dtls_with_rtcp_on_its_own_port() {
    call(&DTLS_TWO_PORTS, PCMU, false);
}
#[test]
fn baresip_calls_by_dtls_with_rtcp_on_its_port() {
    call(&DTLS_TWO_PORTS, G722, true);
}
#[test]
fn we_call_baresip_by_sdes_pcmu() {
    call(&SDES, PCMU, false);
}
#[test]
fn we_call_baresip_by_sdes_opus() {
    call(&SDES, OPUS, false);
}
#[test]
fn baresip_calls_us_by_sdes_g722() {
    call(&SDES, G722, true);
}
#[test]
fn baresip_calls_us_by_dtls_opus() {
    call(&DTLS, OPUS, true);
}
#[test]
fn baresip_calls_us_by_sdes_opus() {
    call(&SDES, OPUS, true);
}

/// From before our answer until well after our `ClientHello` was repeated: it then reads all of
/// them at once, and its OpenSSL answers the first.
#[test]
fn a_baresip_that_stands_still_at_the_answer_gets_its_keys() {
    let dir = TestDir::new("baresip-stands-still");
    let sound = NullSink::start(&dir);
    let bob = speech(&dir, Speaker::Bob, 8000, 1);
    let (account, config) = (DTLS.account, DTLS.config);
    let mut baresip = Baresip::start_with(&dir, PCMU.1, &bob, &sound, account, config);
    let setup = Setup {
        codecs: "\"pcmu\"",
        speed: baresip.speed_dial(),
        more: DTLS.ours.to_owned(),
        ..Setup::default()
    };
    let desk = DeskPhone::start(&dir, "desk", setup);
    let address = format!("sip:phone@127.0.0.1:{}", desk.sip_port);
    baresip.command("dial", &address);
    desk.wait_state("ringing");
    std::thread::scope(|threads| {
        threads.spawn(|| baresip.stall(Duration::from_secs(7)));
        // It is stopped before we answer: nothing of ours was read.
        std::thread::sleep(Duration::from_millis(200));
        desk.lift();
    });
    desk.wait("keys", Duration::from_secs(8), |status| {
        status["calls"][0]["encryption"] == DTLS.suites[1]
    });
    desk.hang_up();
    baresip.quit();
    desk.assert_usable();
}

#[test]
fn baresip_without_encryption_is_not_called_in_clear() {
    let dir = TestDir::new("baresip-clear-dtls");
    let sound = NullSink::start(&dir);
    let bob = speech(&dir, Speaker::Bob, 8000, 1);
    let baresip = Baresip::start(&dir, PCMU.1, &bob, &sound);
    let desk = DeskPhone::start(
        &dir,
        "desk",
        Setup {
            speed: baresip.speed_dial(),
            more: DTLS.ours.to_owned(),
            ..Setup::default()
        },
    );
    desk.lift();
    desk.wait_state("dial_tone");
    desk.press("1#");
    desk.wait("the call is refused", Duration::from_secs(8), |status| {
        status["last_call"].is_object() && status["calls"].as_array().is_some_and(Vec::is_empty)
    });
    let status = desk.status();
    assert_eq!(status["last_call"]["rtp"]["sent"], 0, "{status:#}");
    assert!(status["tone"].is_string(), "{status:#}");
    desk.assert_usable();
}
