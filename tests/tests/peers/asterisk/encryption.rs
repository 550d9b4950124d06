//! Encryption as Asterisk wants it, one endpoint for each kind, over TLS and with the encryption of
//! the phone as delivered.
//!
//! Wall clock: a real server, and sound in real time.

use std::path::Path;
use std::time::Duration;

use offhook_tests::asterisk::Asterisk;
use offhook_tests::desk_phone::{DeskPhone, Setup};
use offhook_tests::speech::{Speaker, assert_heard, speech};
use testkit::process::TestDir;

/// How often an offer was refused and another one made.
fn asked_again(phone: &DeskPhone) -> usize {
    phone.log().matches("asking again with another").count()
}

/// A phone of this user, registered over TLS. `encryption`: `[encryption]` and what follows.
pub(super) fn phone(
    dir: &TestDir,
    asterisk: &Asterisk<'_>,
    user: &str,
    says: &Path,
    encryption: &str,
) -> DeskPhone {
    let setup = Setup {
        codecs: "\"g722\", \"pcmu\"",
        direct: Some(false),
        microphone: Some(says.to_owned()),
        more: asterisk.account_tls(user) + &asterisk.trusted() + encryption,
        ..Setup::default()
    };
    let phone = DeskPhone::start(dir, user, setup);
    phone.wait("registered", Duration::from_secs(10), |status| {
        status["lines"][0]["registered"] == true
    });
    phone
}

/// It talks with the echo and hears itself, encrypted.
fn echo(dir: &TestDir, phone: &DeskPhone, says: &Path) {
    std::thread::sleep(Duration::from_secs(6));
    let (status, ear) = (phone.status(), phone.ear_now());
    phone.hang_up();
    let suite = status["calls"][0]["encryption"].as_str();
    println!("encrypted by {suite:?}");
    assert!(
        suite.is_some_and(|suite| suite.starts_with("AE")),
        "{status:#}"
    );
    assert_heard(dir, "the echo", says, &ear);
    phone.wait_state("idle");
}

/// Both ways with one endpoint; and the second call begins with what the first one found.
fn talks(test: &str, user: &str) {
    let dir = TestDir::new(&format!("asterisk-encryption-{user}"));
    let Some(asterisk) = super::asterisk(test, &dir) else {
        return;
    };
    let says = speech(&dir, Speaker::Alice, 16000, 1);
    let phone = phone(&dir, &asterisk, user, &says, "");
    phone.call("600#");
    echo(&dir, &phone, &says);
    let before = asked_again(&phone);
    phone.call("600#");
    println!("{user}: {before} offers refused before the first call");
    assert_eq!(asked_again(&phone), before, "{}", phone.log());
    phone.hang_up();
    phone.wait_state("idle");
    asterisk.ask(&format!(
        "channel originate PJSIP/{user} extension 600@phones"
    ));
    phone.wait_state("ringing");
    phone.lift();
    phone.wait_state("talking");
    echo(&dir, &phone, &says);
    phone.assert_usable();
}

#[test]
fn asterisk_that_takes_only_sdes() {
    talks("asterisk_that_takes_only_sdes", "111");
}

#[test]
fn asterisk_that_takes_only_dtls() {
    talks("asterisk_that_takes_only_dtls", "121");
}

#[test]
fn asterisk_that_takes_only_dtls_with_feedback() {
    talks("asterisk_that_takes_only_dtls_with_feedback", "131");
}

#[test]
fn asterisk_that_takes_only_sdes_with_feedback() {
    talks("asterisk_that_takes_only_sdes_with_feedback", "132");
}

/// Where encryption is required, an endpoint that has none is not talked to in clear.
#[test]
fn required_encryption_is_not_given_up_for_asterisk() {
    let dir = TestDir::new("asterisk-required");
    let test = "required_encryption_is_not_given_up_for_asterisk";
    let Some(asterisk) = super::asterisk(test, &dir) else {
        return;
    };
    let says = speech(&dir, Speaker::Alice, 16000, 1);
    let required = "[encryption]\nmode = \"required\"\n";
    let plain = phone(&dir, &asterisk, "101", &says, required);
    plain.lift();
    plain.wait_state("dial_tone");
    plain.press("600#");
    plain.wait_state("congestion");
    plain.hang_up();
    plain.assert_usable();
    let private = phone(&dir, &asterisk, "121", &says, required);
    private.call("600#");
    echo(&dir, &private, &says);
    private.assert_usable();
}
