//! Registration at kamailio and calls through it.

use std::time::Duration;

use serde_json::Value;

use offhook_tests::desk_phone::{DeskPhone, Setup};
use offhook_tests::kamailio::Kamailio;
use offhook_tests::speech::{Speaker, speech, talk};
use testkit::process::TestDir;

fn registered(status: &Value) -> bool {
    status["lines"][0]["registered"] == true
}

fn two_phones_through_the_proxy(algorithm: &str, transport: &str) {
    let dir = TestDir::new(&format!("kamailio-{algorithm}-{transport}"));
    let kamailio = Kamailio::start(&dir, algorithm);
    let (alice, bob) = (
        speech(&dir, Speaker::Alice, 16000, 1),
        speech(&dir, Speaker::Bob, 16000, 1),
    );
    let phone = |name: &str, user: &str, says: &std::path::Path| {
        DeskPhone::start(
            &dir,
            name,
            Setup {
                codecs: "\"g722\", \"pcmu\"",
                microphone: Some(says.to_owned()),
                more: kamailio.account(user, &format!("secret{user}"), transport),
                ..Setup::default()
            },
        )
    };
    let (l, r) = (phone("l", "101", &alice), phone("r", "102", &bob));
    for desk in [&l, &r] {
        let status = desk.wait("registration", Duration::from_secs(8), registered);
        assert!(
            status["lines"][0]["expires_in_s"]
                .as_u64()
                .is_some_and(|s| (1..=60).contains(&s)),
            "{status:#}"
        );
    }
    l.lift();
    l.wait_state("dial_tone");
    l.press("102#");
    let status = r.wait_state("ringing");
    assert!(
        status["calls"][0]["peer"]
            .as_str()
            .is_some_and(|peer| peer.contains("101")),
        "{status:#}"
    );
    l.wait_state("ringback");
    r.lift();
    talk(&dir, (&l, &alice), (&r, &bob));
}

#[test]
fn calls_by_kamailio_with_md5_over_udp() {
    two_phones_through_the_proxy("MD5", "udp");
}

#[test]
fn calls_by_kamailio_with_sha256_over_tcp() {
    two_phones_through_the_proxy("SHA-256", "tcp");
}

#[test]
fn a_wrong_password_is_reported_with_dial_tone() {
    let dir = TestDir::new("kamailio-wrong");
    let kamailio = Kamailio::start(&dir, "MD5");
    let desk = DeskPhone::start(
        &dir,
        "desk",
        Setup {
            more: kamailio.account("101", "not-this", "udp"),
            ..Setup::default()
        },
    );
    let status = desk.wait("an error", Duration::from_secs(8), |status| {
        status["lines"][0]["error"].is_string()
    });
    assert!(!registered(&status));
    assert!(
        !status.to_string().contains("not-this"),
        "the password shows in status"
    );
    desk.lift();
    desk.wait_state("dial_tone");
    desk.press("102#");
    desk.wait_state("congestion");
    desk.assert_usable();
}

#[test]
fn the_registrar_dies_and_comes_back() {
    let dir = TestDir::new("kamailio-outage");
    let mut kamailio = Kamailio::start(&dir, "MD5");
    let phone = |name: &str, user: &str| {
        DeskPhone::start(
            &dir,
            name,
            Setup {
                more: kamailio.account(user, &format!("secret{user}"), "udp"),
                ..Setup::default()
            },
        )
    };
    let (l, r) = (phone("l", "101"), phone("r", "102"));
    l.wait("registration", Duration::from_secs(8), registered);
    r.wait("registration", Duration::from_secs(8), registered);
    // in mid-call
    l.lift();
    l.press("102#");
    r.wait_state("ringing");
    r.lift();
    l.wait_state("talking");
    kamailio.stop();
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(l.state(), "talking", "media goes from phone to phone");
    // The BYE goes to a dead proxy: hanging up must not wait for it.
    l.hang_up();
    l.wait_state("idle");
    l.lift();
    l.wait_state("dial_tone");
    l.hang_up();
    r.hang_up();
    r.wait_state("idle");
    kamailio.restart();
    // They register again by themselves, at the latest when the 60 s lifetime is half over.
    for desk in [&l, &r] {
        desk.wait(
            "registration after the outage",
            Duration::from_secs(75),
            |status| registered(status) && status["lines"][0]["expires_in_s"].as_u64() > Some(30),
        );
    }
    l.assert_usable();
}
