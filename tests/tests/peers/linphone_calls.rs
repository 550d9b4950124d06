//! What linphone and phones of ours do together at kamailio, over TLS and encrypted: transfers in
//! which it has each role, and early media of either.

use std::time::Duration;

use offhook_tests::desk_phone::{DeskPhone, Setup};
use offhook_tests::speech::{Speaker, speech};
use offhook_tests::tls_office::TlsOffice;
use serde_json::json;
use testkit::process::TestDir;

use crate::linphone::{Answers, Linphone, LinphoneSetup};

/// A server, two phones of ours at it, and linphone (103). They end before the folder of their
/// files does.
struct Office {
    linphone: Linphone,
    /// 101.
    other: DeskPhone,
    /// 102.
    desk: DeskPhone,
    _server: TlsOffice,
    _dir: TestDir,
}

/// Puts handsets into calls that transfer by hanging up.
const HANG_UP: &str = "transfer_on_hangup = true\n";

impl Office {
    /// `call`: lines of `[call]` of our phones.
    fn open(name: &str, answers: Answers, call: &'static str) -> Self {
        let dir = TestDir::new(name);
        let server = TlsOffice::open(&dir, "SHA-256");
        let says = speech(&dir, Speaker::Alice, 16000, 1);
        let [other, desk] = ["101", "102"].map(|user| {
            let setup = Setup {
                microphone: Some(says.clone()),
                call,
                ..Setup::default()
            };
            server.desk(&dir, user, "", setup)
        });
        let bob = speech(&dir, Speaker::Bob, 8000, 1);
        let setup = LinphoneSetup {
            answers,
            ..LinphoneSetup::default()
        };
        let linphone = Linphone::start(&dir, "103", server.kamailio.tls_port(), &bob, &setup);
        Self {
            linphone,
            other,
            desk,
            _server: server,
            _dir: dir,
        }
    }

    /// All hang up, and both phones are as before.
    fn close(mut self) {
        self.linphone.heard();
        self.other.assert_usable();
        self.desk.assert_usable();
    }
}

/// One phone of ours calls the other, or linphone, which answers.
fn call(from: &DeskPhone, keys: &str, to: Option<&DeskPhone>) {
    from.lift();
    from.wait_state("dial_tone");
    from.press(keys);
    if let Some(to) = to {
        answer(to);
    }
    from.wait_state("talking");
}

fn answer(phone: &DeskPhone) {
    phone.wait_state("ringing");
    phone.lift();
    phone.wait_state("talking");
}

/// It has one call, encrypted, in which it hears something.
fn hears(phone: &DeskPhone) {
    let status = phone.hears(Duration::from_secs(8));
    let suite = status["calls"][0]["encryption"].as_str();
    assert!(
        suite.is_some_and(|suite| suite.starts_with("AE")),
        "{status:#}"
    );
}

#[test]
fn linphone_transfers_us() {
    let mut office = Office::open("linphone-transfers", Answers::AtOnce, HANG_UP);
    call(&office.desk, "103#", None);
    hears(&office.desk);
    office.linphone.say("transfer 1 sip:101@127.0.0.1");
    answer(&office.other);
    office.desk.wait_state("talking");
    hears(&office.desk);
    hears(&office.other);
    office.close();
}

/// It asks the one of ours before it sends the other one there.
#[test]
fn linphone_transfers_us_after_asking() {
    let mut office = Office::open("linphone-attends", Answers::AtOnce, HANG_UP);
    call(&office.desk, "103#", None);
    hears(&office.desk);
    office.linphone.say("pause 1");
    let limit = Duration::from_secs(8);
    office.linphone.wait_log("LinphoneCallPaused", limit);
    office.linphone.say("call sip:101@127.0.0.1");
    answer(&office.other);
    hears(&office.other);
    office.linphone.say("transfer 1 --to-call 2");
    // The call of 101 with linphone is replaced by one with 102.
    for (phone, far) in [(&office.desk, "101"), (&office.other, "102")] {
        phone.wait("the other phone", Duration::from_secs(8), |status| {
            status["calls"][0]["peer"] == *far
        });
        hears(phone);
    }
    office.close();
}

#[test]
fn we_transfer_linphone() {
    let office = Office::open("linphone-transferee", Answers::AtOnce, HANG_UP);
    // Blind.
    call(&office.desk, "103#", None);
    hears(&office.desk);
    let done = office.desk.ctl(&json!({"cmd": "transfer", "to": "101"}));
    assert_eq!(done["ok"], true, "{done}");
    answer(&office.other);
    office.desk.no_call_left();
    hears(&office.other);
    office.close();
}

#[test]
fn we_transfer_linphone_after_asking() {
    let office = Office::open("linphone-attended", Answers::AtOnce, HANG_UP);
    // Linphone is asked to take the place of the call to 101.
    call(&office.desk, "103#", None);
    office.desk.ctl(&json!({"cmd": "flash"}));
    office.desk.wait_state("dial_tone");
    office.desk.press("101#");
    answer(&office.other);
    office.desk.wait_state("talking");
    office.desk.hang_up();
    office.desk.no_call_left();
    hears(&office.other);
    office.close();
}

#[test]
fn we_transfer_somebody_to_linphone() {
    let office = Office::open("linphone-target", Answers::AtOnce, HANG_UP);
    let (other, desk) = (&office.other, &office.desk);
    // Blind.
    call(other, "102#", Some(desk));
    desk.ctl(&json!({"cmd": "transfer", "to": "103"}));
    desk.no_call_left();
    hears(other);
    other.assert_usable();
    desk.assert_usable();
    // Attended: the call of linphone with 102 is replaced by one with 101.
    call(other, "102#", Some(desk));
    desk.ctl(&json!({"cmd": "flash"}));
    desk.wait_state("dial_tone");
    desk.press("103#");
    desk.wait_state("talking");
    hears_second(desk);
    desk.hang_up();
    desk.no_call_left();
    hears(other);
    office.close();
}

/// The call of linphone is heard, beside the one on hold.
fn hears_second(phone: &DeskPhone) {
    phone.wait("packets of linphone", Duration::from_secs(8), |status| {
        status["calls"].as_array().is_some_and(|calls| {
            calls.len() == 2
                && calls.iter().any(|call| {
                    call["peer"] == "103" && call["rtp"]["received"].as_u64() > Some(20)
                })
        })
    });
}

#[test]
fn early_media_of_linphone_is_taken() {
    let mut office = Office::open("linphone-early", Answers::WithEarlyMedia, HANG_UP);
    office.desk.lift();
    office.desk.wait_state("dial_tone");
    office.desk.press("103#");
    office.desk.wait_state("early_media");
    office.linphone.say("answer");
    office.desk.wait_state("talking");
    hears(&office.desk);
    office.close();
}

#[test]
fn linphone_takes_early_media_of_ours() {
    let early = "early_media = true\n";
    let mut office = Office::open("linphone-hears-early", Answers::AtOnce, early);
    office.linphone.say("call sip:102@127.0.0.1");
    office.desk.wait_state("ringing");
    let limit = Duration::from_secs(8);
    let progress = "LinphoneCallOutgoingEarlyMedia";
    office.linphone.wait_log(progress, limit);
    answer(&office.desk);
    hears(&office.desk);
    office.close();
}
