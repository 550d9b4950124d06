//! gnome-calls beyond the call: it is refreshed, and called by somebody who was sent to it. It
//! allows INVITE, ACK, BYE, CANCEL, OPTIONS and UPDATE: it neither transfers, follows a transfer,
//! holds nor asks for messages or lamps. A re-INVITE it takes for one more call, which it refuses,
//! and the first one is over: who puts it on hold loses it.
//!
//! Wall clock: real programs.

use std::time::Duration;

use offhook_tests::desk_phone::{DeskPhone, Setup};
use offhook_tests::speech::{Speaker, speech};
use offhook_tests::tls_office::TlsOffice;
use serde_json::json;
use testkit::process::TestDir;

use super::{TIMER, answer, talk_on, talks_with};
use crate::gnome::Gnome;

struct Office {
    gnome: Gnome,
    /// 102 and 103.
    phones: [DeskPhone; 2],
    _server: TlsOffice,
    _dir: TestDir,
}

fn office(name: &str) -> Office {
    let dir = TestDir::new(name);
    // Its library answers challenges by MD5 only.
    let server = TlsOffice::open(&dir, "MD5");
    let says = speech(&dir, Speaker::Alice, 16000, 1);
    let phones = ["102", "103"].map(|user| {
        let setup = Setup {
            microphone: Some(says.clone()),
            call: TIMER,
            ..Setup::default()
        };
        server.desk(&dir, user, "", setup)
    });
    let gnome = Gnome::start(&dir, "101", server.kamailio.tls_port());
    Office {
        gnome,
        phones,
        _server: server,
        _dir: dir,
    }
}

/// We call it, and it answers its call of this number.
fn call(desk: &DeskPhone, gnome: &Gnome, number: u32) {
    desk.lift();
    desk.wait_state("dial_tone");
    desk.press("101#");
    gnome.accept_number(number);
    desk.wait_state("talking");
    desk.hears(Duration::from_secs(8));
}

#[test]
fn gnome_calls_is_refreshed_and_cannot_be_held() {
    let mut office = office("interop-gnome");
    let [desk, other] = &office.phones;
    call(desk, &office.gnome, 1);
    // By UPDATE, which it allows.
    talk_on(&[desk]);
    assert!(
        office.gnome.log().contains("UPDATE sip"),
        "the phone refreshed nothing"
    );
    // Its refusal is said, and what it does then is no fault of the phone's.
    desk.ctl(&json!({"cmd": "flash"}));
    desk.no_call_left();
    let log = desk.log();
    assert!(log.contains("101 refused to be put on hold"), "{log}");
    assert!(log.contains("ended by the far end"), "{log}");
    desk.assert_usable();
    other.assert_usable();
    office.gnome.quit();
}

#[test]
fn somebody_is_sent_to_gnome_calls() {
    let mut office = office("interop-gnome-target");
    let [desk, other] = &office.phones;
    // Blind: it rings as for any call.
    other.lift();
    other.wait_state("dial_tone");
    other.press("102#");
    answer(desk);
    desk.ctl(&json!({"cmd": "transfer", "to": "101"}));
    office.gnome.accept_number(1);
    desk.no_call_left();
    talks_with(other, "101");
    desk.assert_usable();
    other.assert_usable();
    office.gnome.quit();
}
