//! Asterisk 22 out of Debian's development release, by `make test-long`.
//!
//! Wall clock: a real server, and sound in real time.

mod cells;
mod encryption;
mod ways;

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
    phone_with(dir, asterisk, (user, transport), says, "", "")
}

/// `call`: lines of `[call]`; `more`: lines of the account, and further sections.
fn phone_with(
    dir: &TestDir,
    asterisk: &Asterisk,
    (user, transport): (&str, &str),
    says: &Path,
    call: &'static str,
    more: &str,
) -> DeskPhone {
    let setup = Setup {
        codecs: "\"g722\", \"pcmu\"",
        direct: Some(false),
        microphone: Some(says.to_owned()),
        call,
        more: asterisk.account(user, transport) + more,
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
        more: asterisk.account("104", "udp"),
        ..Setup::default()
    };
    let phone = DeskPhone::start(&dir, "104", setup);
    phone.wait("registered", Duration::from_secs(10), |status| {
        status["lines"][0]["registered"] == true
    });
    if calls_us {
        asterisk.ask("channel originate PJSIP/104 extension 600@phones");
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

/// Three phones of Asterisk, which talk to it and to each other.
fn office(dir: &TestDir, asterisk: &Asterisk) -> [DeskPhone; 3] {
    let says = speech(dir, Speaker::Alice, 16000, 1);
    let hang_up = "transfer_on_hangup = true\n";
    ["101", "102", "103"].map(|user| phone_with(dir, asterisk, (user, "udp"), &says, hang_up, ""))
}

/// One phone calls another, which answers.
fn connect(from: &DeskPhone, keys: &str, to: &DeskPhone) {
    from.lift();
    from.wait_state("dial_tone");
    from.press(keys);
    to.wait_state("ringing");
    to.lift();
    from.wait_state("talking");
    to.wait_state("talking");
}

/// Each has one call and hears something in it.
fn hear_each_other(phones: [&DeskPhone; 2]) {
    for phone in phones {
        phone.hears(Duration::from_secs(6));
    }
}

#[test]
fn transfers_by_asterisk_in_each_role() {
    let dir = TestDir::new("asterisk-transfers");
    let Some(asterisk) = asterisk("transfers_by_asterisk_in_each_role", &dir) else {
        return;
    };
    let [a, b, c] = office(&dir, &asterisk);
    // Blind, by us: 101 sends 102 to 103.
    connect(&a, "102#", &b);
    a.ctl(&serde_json::json!({"cmd": "transfer", "to": "103"}));
    c.wait_state("ringing");
    c.lift();
    c.wait_state("talking");
    a.no_call_left();
    hear_each_other([&b, &c]);
    for phone in [&a, &b, &c] {
        phone.assert_usable();
    }
    // Attended, by us: the same after 103 was asked, and in the moment in which it answers.
    for spoken in [1000, 0, 0, 0].map(Duration::from_millis) {
        connect(&a, "102#", &b);
        hear_each_other([&a, &b]);
        a.ctl(&serde_json::json!({"cmd": "flash"}));
        a.wait_state("dial_tone");
        a.press("103#");
        c.wait_state("ringing");
        c.lift();
        a.wait_state("talking");
        std::thread::sleep(spoken);
        a.hang_up();
        a.no_call_left();
        hear_each_other([&b, &c]);
        for phone in [&a, &b, &c] {
            phone.assert_usable();
        }
    }
    // Transferred by Asterisk itself: a REFER to 101, which calls 103 then.
    a.call("620#");
    c.wait_state("ringing");
    c.lift();
    c.wait_state("talking");
    a.wait_state("talking");
    hear_each_other([&a, &c]);
    for phone in [&a, &b, &c] {
        phone.assert_usable();
    }
}

#[test]
fn voicemail_of_asterisk_lights_the_lamp() {
    let dir = TestDir::new("asterisk-voicemail");
    let Some(asterisk) = asterisk("voicemail_of_asterisk_lights_the_lamp", &dir) else {
        return;
    };
    let says = speech(&dir, Speaker::Alice, 16000, 1);
    let subscribes = "messages = \"subscribe\"\n";
    let a = phone_with(&dir, &asterisk, ("101", "udp"), &says, "", subscribes);
    let b = phone(&dir, &asterisk, "102", "udp", &says);
    a.wait("an empty mailbox", Duration::from_secs(10), |status| {
        status["lines"][0]["messages"]["waiting"] == false
    });
    b.call("640#");
    std::thread::sleep(Duration::from_secs(6));
    b.hang_up();
    a.wait("one message", Duration::from_secs(15), |status| {
        let messages = &status["lines"][0]["messages"];
        messages["waiting"] == true && messages["new"] == 1
    });
    a.lift();
    assert_eq!(a.wait_state("dial_tone")["tone"], "stutter_dial");
    a.hang_up();
    a.assert_usable();
}

#[test]
fn sessions_are_refreshed_from_both_sides() {
    let dir = TestDir::new("asterisk-timers");
    let Some(asterisk) = asterisk("sessions_are_refreshed_from_both_sides", &dir) else {
        return;
    };
    let says = speech(&dir, Speaker::Alice, 16000, 1);
    let timer = "session_timer_s = 90\n";
    let a = phone_with(&dir, &asterisk, ("101", "udp"), &says, timer, "");
    let b = phone_with(&dir, &asterisk, ("102", "udp"), &says, timer, "");
    asterisk.ask("pjsip set logger pcap /mnt/refresh.pcap");
    asterisk.ask("pjsip set logger on");
    // The phone calls and Asterisk calls: whoever calls refreshes, as both propose it.
    a.call("600#");
    asterisk.ask("channel originate PJSIP/102 application Echo");
    b.wait_state("ringing");
    b.lift();
    b.wait_state("talking");
    // Without a refresh a session of 90 s ends after 60 s at the latest.
    let end = Instant::now() + Duration::from_secs(75);
    while Instant::now() < end {
        assert_eq!((a.state(), b.state()), ("talking".into(), "talking".into()));
        std::thread::sleep(Duration::from_millis(500));
    }
    // It is written whole when it is closed.
    asterisk.ask("pjsip set logger off");
    let capture = std::fs::read(dir.join("asterisk/refresh.pcap")).unwrap();
    let text = String::from_utf8_lossy(&capture);
    let count = |line: &str| text.matches(line).count();
    println!(
        "{} UPDATEs, {} INVITEs in 75 s",
        count("UPDATE sip:"),
        count("INVITE sip:")
    );
    let by_phone = text.split("UPDATE sip:").skip(1).filter(|rest| {
        rest.split("\r\n\r\n")
            .next()
            .is_some_and(|head| head.contains("User-Agent: Offhook"))
    });
    let by_phone = by_phone.count();
    assert!(by_phone >= 1, "the phone refreshed nothing");
    assert!(
        count("UPDATE sip:") > by_phone,
        "Asterisk refreshed nothing"
    );
    a.hang_up();
    b.hang_up();
    a.assert_usable();
    b.assert_usable();
}

#[test]
fn early_media_of_asterisk_is_heard() {
    let dir = TestDir::new("asterisk-early-media");
    let Some(asterisk) = asterisk("early_media_of_asterisk_is_heard", &dir) else {
        return;
    };
    let says = speech(&dir, Speaker::Alice, 16000, 1);
    let a = phone(&dir, &asterisk, "101", "udp", &says);
    a.lift();
    a.wait_state("dial_tone");
    a.press("610#");
    a.wait_state("early_media");
    std::thread::sleep(Duration::from_millis(2500));
    let mut ear = hound::WavReader::open(a.ear_now()).unwrap();
    let rate_hz = ear.spec().sample_rate;
    // The file is still being written: what its header does not count yet is left out.
    let samples: Vec<i16> = ear.samples::<i16>().filter_map(Result::ok).collect();
    let tail = &samples[samples.len() - rate_hz as usize / 2..];
    let share = testkit::measure::share_of_power(tail, rate_hz, &[1004.0]);
    assert!(share > 0.7, "{share} of what is heard is Asterisk's tone");
    // 17 is "user busy": it never answered.
    a.wait_state("busy");
    a.hang_up();
    a.assert_usable();
}

#[test]
fn lamp_of_a_parking_place_follows_the_call() {
    let dir = TestDir::new("asterisk-parking");
    let Some(asterisk) = asterisk("lamp_of_a_parking_place_follows_the_call", &dir) else {
        return;
    };
    let says = speech(&dir, Speaker::Alice, 16000, 1);
    let a = phone(&dir, &asterisk, "101", "udp", &says);
    let b = phone(&dir, &asterisk, "102", "udp", &says);
    let watch = "[dial]\nwatch = [\"701\"]\n";
    let c = phone_with(&dir, &asterisk, ("103", "udp"), &says, "", watch);
    let place = |state: &'static str| {
        c.wait(state, Duration::from_secs(10), |status| {
            status["watched"][0]["state"] == state
        });
    };
    place("idle");
    connect(&a, "102#", &b);
    b.ctl(&serde_json::json!({"cmd": "transfer", "to": "700"}));
    place("busy");
    b.no_call_left();
    b.assert_usable();
    c.call("701#");
    place("idle");
    hear_each_other([&a, &c]);
    // Asterisk's word on the transfer comes seconds after the parked call was fetched; of a call
    // that ended before, it says that it failed (503), and the phone takes that call back.
    b.wait("the word on the transfer", Duration::from_secs(15), |_| {
        b.log().contains("the call is transferred to 700")
    });
    for phone in [&a, &b, &c] {
        phone.assert_usable();
    }
}
