//! What linphone and phones of ours do together at kamailio, over TLS and encrypted: transfers in
//! which it has each role, and its early media.

use std::path::Path;
use std::time::Duration;

use offhook_tests::certificates::{Authority, Wish};
use offhook_tests::desk_phone::{DeskPhone, Setup};
use offhook_tests::kamailio::Kamailio;
use offhook_tests::speech::{Speaker, speech};
use serde_json::json;
use testkit::process::TestDir;

use crate::linphone::{Answers, Linphone};

/// A registrar, two phones of ours at it (101, 102), and linphone (103).
struct Office {
    _kamailio: Kamailio,
    phones: [DeskPhone; 2],
    linphone: Linphone,
}

fn office(dir: &TestDir, answers: Answers) -> Office {
    let authority = Authority::new(&dir.join("certificates"), "office");
    let wish = Wish {
        dns: vec!["pbx.example.org".into()],
        addresses: vec!["127.0.0.1".into()],
        ..Wish::default()
    };
    let kamailio = Kamailio::start_tls(dir, "SHA-256", &authority.issue("server", &wish));
    let (alice, bob) = (
        speech(dir, Speaker::Alice, 16000, 1),
        speech(dir, Speaker::Bob, 8000, 1),
    );
    let desk = |user: &str, says: &Path| {
        let setup = Setup {
            microphone: Some(says.to_owned()),
            direct: Some(false),
            call: "transfer_on_hangup = true\n",
            more: format!(
                "{}[tls]\nca = {:?}\n[encryption]\nmode = \"required\"\nkeying = [\"sdes\"]\n",
                kamailio.account_tls(user, "127.0.0.1"),
                authority.file()
            ),
            ..Setup::default()
        };
        let phone = DeskPhone::start(dir, user, setup);
        phone.wait("registration", Duration::from_secs(10), |status| {
            status["lines"][0]["registered"] == true
        });
        phone
    };
    let phones = [desk("101", &alice), desk("102", &alice)];
    let linphone = Linphone::start_with(dir, "103", kamailio.tls_port(), &bob, answers);
    Office {
        _kamailio: kamailio,
        phones,
        linphone,
    }
}

/// One phone of ours calls the other, or linphone, which answers.
fn call(from: &DeskPhone, keys: &str, to: Option<&DeskPhone>) {
    from.lift();
    from.wait_state("dial_tone");
    from.press(keys);
    if let Some(to) = to {
        to.wait_state("ringing");
        to.lift();
    }
    from.wait_state("talking");
}

/// It has one call, encrypted, in which it hears something.
fn hears(phone: &DeskPhone) {
    let received = |status: &serde_json::Value| status["calls"][0]["rtp"]["received"].as_u64();
    let before = received(&phone.status()).unwrap_or_default();
    let status = phone.wait(
        "packets in its one call",
        Duration::from_secs(8),
        |status| {
            let calls = status["calls"].as_array();
            calls.is_some_and(|calls| calls.len() == 1) && received(status) > Some(before + 50)
        },
    );
    let suite = status["calls"][0]["encryption"].as_str();
    assert!(
        suite.is_some_and(|suite| suite.starts_with("AE")),
        "{status:#}"
    );
}

fn no_call_left(phone: &DeskPhone) {
    phone.wait("no call left", Duration::from_secs(8), |status| {
        status["calls"].as_array().is_some_and(Vec::is_empty)
    });
}

#[test]
fn linphone_transfers_us() {
    let dir = TestDir::new("linphone-transfers");
    let Office {
        phones: [other, desk],
        mut linphone,
        _kamailio,
    } = office(&dir, Answers::AtOnce);
    call(&desk, "103#", None);
    hears(&desk);
    linphone.say("transfer 1 sip:101@127.0.0.1");
    other.wait_state("ringing");
    other.lift();
    other.wait_state("talking");
    desk.wait_state("talking");
    hears(&desk);
    hears(&other);
    linphone.heard();
    desk.assert_usable();
    other.assert_usable();
}

#[test]
fn we_transfer_linphone() {
    let dir = TestDir::new("linphone-transferee");
    let Office {
        phones: [other, desk],
        mut linphone,
        _kamailio,
    } = office(&dir, Answers::AtOnce);
    // Blind.
    call(&desk, "103#", None);
    hears(&desk);
    let done = desk.ctl(&json!({"cmd": "transfer", "to": "101"}));
    assert_eq!(done["ok"], true, "{done}");
    other.wait_state("ringing");
    other.lift();
    other.wait_state("talking");
    no_call_left(&desk);
    hears(&other);
    other.assert_usable();
    desk.assert_usable();
    linphone.heard();
}

#[test]
fn we_transfer_linphone_after_asking() {
    let dir = TestDir::new("linphone-attended");
    let Office {
        phones: [other, desk],
        mut linphone,
        _kamailio,
    } = office(&dir, Answers::AtOnce);
    // Linphone is asked to take the place of the call to 101.
    call(&desk, "103#", None);
    desk.ctl(&json!({"cmd": "flash"}));
    desk.wait_state("dial_tone");
    desk.press("101#");
    other.wait_state("ringing");
    other.lift();
    desk.wait_state("talking");
    desk.hang_up();
    no_call_left(&desk);
    hears(&other);
    linphone.heard();
    other.assert_usable();
    desk.assert_usable();
}

#[test]
fn we_transfer_somebody_to_linphone() {
    let dir = TestDir::new("linphone-target");
    let Office {
        phones: [other, desk],
        mut linphone,
        _kamailio,
    } = office(&dir, Answers::AtOnce);
    // Blind.
    call(&other, "102#", Some(&desk));
    desk.ctl(&json!({"cmd": "transfer", "to": "103"}));
    no_call_left(&desk);
    hears(&other);
    other.assert_usable();
    desk.assert_usable();
    // Attended: the call of linphone with 102 is replaced by one with 101.
    call(&other, "102#", Some(&desk));
    desk.ctl(&json!({"cmd": "flash"}));
    desk.wait_state("dial_tone");
    desk.press("103#");
    desk.wait_state("talking");
    hears_second(&desk);
    desk.hang_up();
    no_call_left(&desk);
    hears(&other);
    linphone.heard();
    other.assert_usable();
    desk.assert_usable();
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
    let dir = TestDir::new("linphone-early");
    let Office {
        phones: [_, desk],
        mut linphone,
        _kamailio,
    } = office(&dir, Answers::WithEarlyMedia);
    desk.lift();
    desk.wait_state("dial_tone");
    desk.press("103#");
    desk.wait_state("early_media");
    linphone.say("answer");
    desk.wait_state("talking");
    hears(&desk);
    linphone.heard();
    desk.assert_usable();
}
