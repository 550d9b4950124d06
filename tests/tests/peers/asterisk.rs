//! Asterisk 22 out of Debian's development release, by `make test-long`.
//!
//! Wall clock: a real server, and sound in real time.

use std::path::Path;
use std::time::{Duration, Instant};

use offhook_tests::asterisk::Asterisk;
use offhook_tests::desk_phone::{DeskPhone, Setup};
use offhook_tests::speech::{Speaker, assert_heard, speech};
use testkit::process::TestDir;

use crate::first_hour::account_by_setup;

fn asterisk(test: &str, dir: &TestDir) -> Option<Asterisk<'static>> {
    let asterisk = Asterisk::start(dir);
    if asterisk.is_none() {
        testkit::skipped(test, "OFFHOOK_ASTERISK is not set (make test-long)");
    }
    asterisk
}

fn phone(
    dir: &TestDir,
    asterisk: &Asterisk<'_>,
    user: &str,
    transport: &str,
    says: &Path,
) -> DeskPhone {
    let setup = Setup {
        codecs: "\"g722\", \"pcmu\"",
        direct: Some(false),
        microphone: Some(says.to_owned()),
        more: asterisk.account(user, transport),
        ..Setup::default()
    };
    let phone = DeskPhone::start(dir, user, setup);
    phone.wait("registered", Duration::from_secs(10), |status| {
        status["lines"][0]["registered"] == true
    });
    phone
}

#[test]
fn two_phones_call_each_other_by_asterisk() {
    let dir = TestDir::new("asterisk-calls");
    let Some(asterisk) = asterisk("two_phones_call_each_other_by_asterisk", &dir) else {
        return;
    };
    let alice = speech(&dir, Speaker::Alice, 16000, 1);
    let bob = speech(&dir, Speaker::Bob, 16000, 1);
    let l = phone(&dir, &asterisk, "101", "udp", &alice);
    let r = phone(&dir, &asterisk, "102", "tcp", &bob);
    for (from, number, to) in [(&l, "102#", &r), (&r, "101#", &l)] {
        from.lift();
        from.wait_state("dial_tone");
        from.press(number);
        to.wait_state("ringing");
        to.lift();
        from.wait_state("talking");
        to.wait_state("talking");
        std::thread::sleep(Duration::from_secs(6));
        let (ear_of_l, ear_of_r) = (l.ear_now(), r.ear_now());
        from.hang_up();
        to.wait_state("congestion");
        to.hang_up();
        from.wait_state("idle");
        to.wait_state("idle");
        assert_heard(&dir, "r heard l", &alice, &ear_of_r);
        assert_heard(&dir, "l heard r", &bob, &ear_of_l);
    }
    // It has asked both phones whether they are there.
    let contacts = asterisk.ask("pjsip show contacts");
    assert_eq!(contacts.matches("Avail").count(), 2, "{contacts}");
    l.assert_usable();
    r.assert_usable();
}

/// The recipe, tried: what `offhook setup --provider asterisk` writes registers and calls.
#[test]
fn the_recipe_for_asterisk_registers_and_calls() {
    let dir = TestDir::new("asterisk-recipe");
    let Some(asterisk) = asterisk("the_recipe_for_asterisk_registers_and_calls", &dir) else {
        return;
    };
    let server = format!("127.0.0.1:{}", asterisk.port);
    let (said, account) = account_by_setup(&dir, "asterisk", &server);
    assert!(said.contains("registered at 127.0.0.1:"), "{said}");
    assert!(said.contains("and removed again"), "{said}");
    let says = speech(&dir, Speaker::Alice, 16000, 1);
    let setup = Setup {
        codecs: "\"g722\", \"pcmu\"",
        direct: Some(false),
        microphone: Some(says.clone()),
        more: account,
        ..Setup::default()
    };
    let phone = DeskPhone::start(&dir, "recipe", setup);
    phone.wait("registered", Duration::from_secs(10), |status| {
        status["lines"][0]["registered"] == true
    });
    phone.call("600#");
    std::thread::sleep(Duration::from_secs(6));
    let ear = phone.ear_now();
    phone.hang_up();
    assert_heard(&dir, "the echo", &says, &ear);
    phone.assert_usable();
}

#[test]
fn the_echo_of_asterisk_is_heard() {
    let dir = TestDir::new("asterisk-echo");
    let Some(asterisk) = asterisk("the_echo_of_asterisk_is_heard", &dir) else {
        return;
    };
    let alice = speech(&dir, Speaker::Alice, 16000, 1);
    let l = phone(&dir, &asterisk, "101", "udp", &alice);
    l.call("600#");
    std::thread::sleep(Duration::from_secs(6));
    let ear = l.ear_now();
    l.hang_up();
    assert_heard(&dir, "the echo", &alice, &ear);
    l.assert_usable();
}

#[test]
fn phones_are_back_after_a_restart_of_asterisk() {
    let dir = TestDir::new("asterisk-restart");
    let Some(mut first) = asterisk("phones_are_back_after_a_restart_of_asterisk", &dir) else {
        return;
    };
    let alice = speech(&dir, Speaker::Alice, 16000, 1);
    let l = phone(&dir, &first, "101", "udp", &alice);
    first.stop();
    // By the next refresh, at the latest, the phone knows and says so.
    l.wait(
        "the outage is reported",
        Duration::from_secs(100),
        |status| status["lines"][0]["error"].is_string(),
    );
    let restarted = Instant::now();
    first.restart();
    l.wait("registered again", Duration::from_secs(60), |status| {
        status["lines"][0]["registered"] == true && status["lines"][0]["error"].is_null()
    });
    println!("registered {:?} after the restart", restarted.elapsed());
    l.call("600#");
    l.hang_up();
    l.assert_usable();
}

/// A phone behind a router finds its way to Asterisk by ICE: Asterisk takes sound from, and sends
/// it to, nothing but what signalling named or a check has proved (`rtp_symmetric = no`).
fn by_ice(test: &str, calls_us: bool) {
    let dir = TestDir::new(&format!("asterisk-ice-{calls_us}"));
    if std::env::var_os("OFFHOOK_ASTERISK").is_none() {
        return testkit::skipped(test, "OFFHOOK_ASTERISK is not set (make test-long)");
    }
    let Some(networks) = crate::ice::symmetric_nat(&dir) else {
        return testkit::skipped(test, "no network namespaces here");
    };
    let far = Some(&networks.far);
    let asterisk = Asterisk::start_at(&dir, crate::ice::FAR, far).unwrap();
    let alice = speech(&dir, Speaker::Alice, 16000, 1);
    let setup = Setup {
        codecs: "\"g722\", \"pcmu\"",
        direct: Some(false),
        microphone: Some(alice.clone()),
        bind: "192.168.77.2".into(),
        command: Some(networks.home.command(offhook_tests::desk_phone::binary())),
        network: if calls_us { "" } else { "ice = true\n" },
        more: asterisk.account("103", "udp"),
        ..Setup::default()
    };
    let phone = DeskPhone::start(&dir, "103", setup);
    phone.wait("registered", Duration::from_secs(10), |status| {
        status["lines"][0]["registered"] == true
    });
    if calls_us {
        asterisk.ask("channel originate PJSIP/103 extension 600@phones");
        phone.wait_state("ringing");
        phone.lift();
        phone.wait_state("talking");
    } else {
        phone.call("600#");
    }
    std::thread::sleep(Duration::from_secs(6));
    let (ear, log) = (phone.ear_now(), phone.log());
    phone.hang_up();
    assert!(
        log.contains("media goes to"),
        "no way was found by checks: {log}"
    );
    assert_heard(&dir, "the echo", &alice, &ear);
    phone.assert_usable();
}

#[test]
fn we_call_asterisk_by_ice_from_behind_a_nat() {
    by_ice("we_call_asterisk_by_ice_from_behind_a_nat", false);
}

#[test]
fn asterisk_calls_us_by_ice_behind_a_nat() {
    by_ice("asterisk_calls_us_by_ice_behind_a_nat", true);
}
