//! Transfers with baresip in each role it has, and session timers, which it does not have: it is
//! refreshed all the same. Direct calls, from address to address.
//!
//! Wall clock: real programs.

use std::path::{Path, PathBuf};
use std::time::Duration;

use offhook_tests::desk_phone::{DeskPhone, Setup};
use offhook_tests::null_sink::NullSink;
use offhook_tests::speech::{Speaker, speech};
use serde_json::json;
use testkit::process::TestDir;

use super::{TIMER, answer, talk_on, talks_with};
use crate::baresip::Baresip;

struct Office {
    baresip: Baresip,
    /// Each knows baresip as speed dial 1.
    phones: [DeskPhone; 2],
    _sound: NullSink,
    _dir: TestDir,
}

fn office(name: &str) -> Office {
    let dir = TestDir::new(name);
    let sound = NullSink::start(&dir);
    // It hangs up where its file ends.
    let bob = twice(&dir, &speech(&dir, Speaker::Bob, 8000, 1));
    let alice = speech(&dir, Speaker::Alice, 8000, 1);
    let baresip = Baresip::start(&dir, "PCMU/8000/1", &bob, &sound);
    let phones = ["desk", "other"].map(|name| {
        let setup = Setup {
            microphone: Some(alice.clone()),
            call: TIMER,
            speed: baresip.speed_dial(),
            ..Setup::default()
        };
        DeskPhone::start(&dir, name, setup)
    });
    Office {
        baresip,
        phones,
        _sound: sound,
        _dir: dir,
    }
}

/// The same speech two times.
fn twice(dir: &TestDir, once: &Path) -> PathBuf {
    let mut reader = hound::WavReader::open(once).unwrap();
    let samples: Vec<i16> = reader.samples().map(Result::unwrap).collect();
    let file = dir.join("twice.wav");
    let mut writer = hound::WavWriter::create(&file, reader.spec()).unwrap();
    for sample in samples.iter().chain(&samples) {
        writer.write_sample(*sample).unwrap();
    }
    writer.finalize().unwrap();
    file
}

fn address(phone: &DeskPhone) -> String {
    format!("sip:phone@127.0.0.1:{}", phone.sip_port)
}

#[test]
fn baresip_transfers_us() {
    let mut office = office("interop-baresip-transfers");
    let [desk, other] = &office.phones;
    office.baresip.establish(desk, false);
    office.baresip.command("transfer", &address(other));
    answer(other);
    talks_with(desk, "phone");
    other.hears(Duration::from_secs(8));
    desk.hang_up();
    other.wait_state("congestion");
    desk.assert_usable();
    other.assert_usable();
    office.baresip.quit();
}

#[test]
fn we_transfer_baresip() {
    let mut office = office("interop-baresip-transferee");
    let [desk, other] = &office.phones;
    office.baresip.establish(desk, false);
    let done = desk.ctl(&json!({"cmd": "transfer", "to": address(other)}));
    assert_eq!(done["ok"], true, "{done}");
    answer(other);
    desk.no_call_left();
    other.hears(Duration::from_secs(8));
    other.hang_up();
    desk.assert_usable();
    other.assert_usable();
    office.baresip.quit();
}

#[test]
fn we_transfer_somebody_to_baresip() {
    let mut office = office("interop-baresip-target");
    let [desk, other] = &office.phones;
    let target = format!("sip:bob@127.0.0.1:{}", office.baresip.sip_port);
    let called = desk.ctl(&json!({"cmd": "dial", "to": address(other)}));
    assert_eq!(called["ok"], true, "{called}");
    answer(other);
    let done = other.ctl(&json!({"cmd": "transfer", "to": target}));
    assert_eq!(done["ok"], true, "{done}");
    other.no_call_left();
    talks_with(desk, "bob");
    desk.assert_usable();
    other.assert_usable();
    office.baresip.quit();
}

/// It talks for a session and longer, and sends something meanwhile: without a server there is
/// nothing else to send.
fn refreshes(phone: &DeskPhone) {
    let sent = || phone.status()["counters"]["sip_sent"].as_u64();
    let before = sent();
    talk_on(&[phone]);
    assert!(sent() > before, "the phone refreshed nothing");
}

/// It has no session timer: the phone refreshes, whoever called.
#[test]
fn baresip_is_refreshed_whoever_called() {
    let mut office = office("interop-baresip-timers");
    let [desk, other] = &office.phones;
    office.baresip.establish(desk, false);
    refreshes(desk);
    desk.hang_up();
    office
        .baresip
        .wait_event("CALL_CLOSED", Duration::from_secs(5));
    office.baresip.establish(other, true);
    refreshes(other);
    for phone in [desk, other] {
        phone.assert_usable();
    }
    office.baresip.quit();
}
