//! Private calls with other people's phones: SDES over TLS through kamailio, both ways, the speech
//! compared at both ends; and between two of ours that know each other by fingerprint, without a
//! server.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use offhook_tests::desk_phone::{DeskPhone, Setup, binary};
use offhook_tests::kamailio::Kamailio;
use offhook_tests::speech::{Speaker, assert_heard, is_heard_soon, speech};
use offhook_tests::tls_office::TlsOffice;
use serde_json::Value;
use testkit::process::TestDir;

use crate::gnome::Gnome;
use crate::linphone::{Linphone, LinphoneSetup};

const TALK: Duration = Duration::from_secs(6);
/// Until a peer with windows must have been heard well; what is said lasts longer.
const LISTEN_TIMEOUT: Duration = Duration::from_secs(20);

/// The office's server, and our phone at it, as 102, that does not talk in the clear.
struct Office {
    kamailio: Kamailio,
    desk: DeskPhone,
}

fn office(dir: &TestDir, says: &Path, algorithm: &str, encryption: &str) -> Office {
    let office = TlsOffice::open(dir, algorithm);
    let setup = Setup {
        codecs: "\"pcmu\"",
        microphone: Some(says.to_owned()),
        ..Setup::default()
    };
    let desk = office.desk(dir, "102", encryption, setup);
    Office {
        kamailio: office.kamailio,
        desk,
    }
}

/// The call is measured as encrypted with this suite, by sound that went both ways.
fn assert_private(status: &Value, suite: &str) {
    let call = &status["calls"][0];
    assert_eq!(call["encryption"], *suite, "{status:#}");
    let packets = |name: &str| call["rtp"][name].as_u64().unwrap_or_default();
    assert!(
        packets("sent") > 100 && packets("received") > 100,
        "{status:#}"
    );
}

/// What came of the sound of a call with gnome-calls.
enum Sound {
    Heard,
    /// It says itself that it gets too little of this machine.
    Starved(String),
    Missing,
}

/// A call with gnome-calls whose sound is heard at both ends.
fn gnome_talks(from_gnome: bool, encryption: &str, suite: &str) {
    match gnome_call(from_gnome, encryption, suite) {
        Sound::Heard => {}
        Sound::Starved(complaint) => testkit::skipped(
            &format!("sound of a call with gnome-calls, {suite}"),
            &format!("it gets too little of this machine: {complaint}"),
        ),
        Sound::Missing => panic!("the speech did not arrive"),
    }
}

fn gnome_call(from_gnome: bool, encryption: &str, suite: &str) -> Sound {
    let dir = TestDir::new(&format!("gnome-{from_gnome}-{suite}"));
    let (alice, bob) = (
        speech(&dir, Speaker::Alice, 16000, 1),
        speech(&dir, Speaker::Bob, 48000, 1),
    );
    // Its library answers challenges by MD5 only, and gives up in silence at another.
    let Office { kamailio, desk } = office(&dir, &alice, "MD5", encryption);
    let mut gnome = Gnome::start(&dir, "101", kamailio.tls_port());
    if from_gnome {
        // It knows no outbound proxy: the address leads to the server by its port.
        gnome.dial(&format!("sips:102@127.0.0.1:{}", kamailio.tls_port()));
        desk.wait_state("ringing");
        desk.lift();
    } else {
        desk.lift();
        desk.wait_state("dial_tone");
        desk.press("101#");
        gnome.accept();
    }
    desk.wait_state("talking");
    gnome.speak(&bob);
    std::thread::sleep(TALK);
    assert_private(&desk.status(), suite);
    let heard = is_heard_soon(&dir, "gnome-calls heard us", &alice, LISTEN_TIMEOUT, || {
        gnome.heard()
    }) && is_heard_soon(&dir, "we heard gnome-calls", &bob, LISTEN_TIMEOUT, || {
        desk.ear_now()
    });
    assert_private(&desk.status(), suite);
    desk.hang_up();
    desk.assert_usable();
    gnome.quit();
    match gnome.starved() {
        _ if heard => Sound::Heard,
        Some(complaint) => Sound::Starved(complaint),
        None => Sound::Missing,
    }
}

#[test]
fn we_call_gnome_calls() {
    gnome_talks(false, "", "AES_CM_128_HMAC_SHA1_80");
}

#[test]
fn gnome_calls_calls_us() {
    gnome_talks(true, "", "AES_CM_128_HMAC_SHA1_80");
}

/// It takes the short authentication tag as soon as that is offered; the call works all the same.
#[test]
fn gnome_calls_may_choose_the_short_tag() {
    gnome_talks(false, "hmac_32 = true\n", "AES_CM_128_HMAC_SHA1_32");
}

fn linphone_talks(from_linphone: bool) {
    let dir = TestDir::new(&format!("linphone-{from_linphone}"));
    let (alice, bob) = (
        speech(&dir, Speaker::Alice, 16000, 1),
        speech(&dir, Speaker::Bob, 8000, 1),
    );
    let office = office(&dir, &alice, "SHA-256", "");
    let port = office.kamailio.tls_port();
    let mut linphone = Linphone::start(&dir, "103", port, &bob, &LinphoneSetup::default());
    let desk = &office.desk;
    if from_linphone {
        linphone.say("call sip:102@127.0.0.1");
        desk.wait_state("ringing");
        desk.lift();
    } else {
        desk.lift();
        desk.wait_state("dial_tone");
        desk.press("103#");
    }
    desk.wait_state("talking");
    std::thread::sleep(TALK);
    let (status, ear) = (desk.status(), desk.ear_now());
    let heard = linphone.heard();
    desk.wait_state("congestion");
    desk.assert_usable();
    let suite = status["calls"][0]["encryption"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    println!("linphone chose {suite}");
    assert!(suite.starts_with("AE"), "{status:#}");
    assert_heard(&dir, "linphone heard us", &alice, &heard);
    assert_heard(&dir, "we heard linphone", &bob, &ear);
}

#[test]
fn we_call_linphone() {
    linphone_talks(false);
}

#[test]
fn linphone_calls_us() {
    linphone_talks(true);
}

/// The fingerprint a phone with this state directory has.
fn fingerprint(dir: &TestDir, name: &str) -> String {
    let dir = dir.join(name);
    std::fs::create_dir_all(&dir).unwrap();
    let file: PathBuf = dir.join("for-fingerprint.toml");
    std::fs::write(
        &file,
        format!("[control]\nstate_dir = {:?}\n", dir.join("state")),
    )
    .unwrap();
    let output = Command::new(binary())
        .arg("fingerprint")
        .arg("--config")
        .arg(&file)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn pinned(tls_port: u16, other: &str, other_port: u16) -> String {
    format!(
        "[encryption]\nmode = \"required\"\n[tls]\nsip_port_tls = {tls_port}\n[[tls.pin]]\n\
         name = \"other\"\naddress = \"127.0.0.1:{other_port}\"\n\
         fingerprint = {other:?}\n"
    )
}

fn neighbour(
    dir: &TestDir,
    name: &str,
    says: &Path,
    more: String,
    speed: Vec<(String, String)>,
) -> DeskPhone {
    DeskPhone::start(
        dir,
        name,
        Setup {
            codecs: "\"g722\"",
            microphone: Some(says.to_owned()),
            more,
            speed,
            ..Setup::default()
        },
    )
}

#[test]
fn two_phones_that_know_each_other_talk_without_a_server() {
    let dir = TestDir::new("pinned");
    let (alice, bob) = (
        speech(&dir, Speaker::Alice, 16000, 1),
        speech(&dir, Speaker::Bob, 16000, 1),
    );
    let (of_l, of_r) = (fingerprint(&dir, "l"), fingerprint(&dir, "r"));
    assert_ne!(of_l, of_r);
    assert_eq!(of_l, fingerprint(&dir, "l"), "it stays the same");
    let (at_l, at_r) = (
        testkit::process::port_block(),
        testkit::process::port_block(),
    );
    let dial = vec![("1".to_owned(), format!("sips:phone@127.0.0.1:{at_r}"))];
    let l = neighbour(&dir, "l", &alice, pinned(at_l, &of_r, at_r), dial);
    let r = neighbour(&dir, "r", &bob, pinned(at_r, &of_l, at_l), vec![]);
    assert_eq!(l.status()["fingerprint"], *of_l);
    l.lift();
    l.wait_state("dial_tone");
    l.press("1#");
    r.wait_state("ringing");
    r.lift();
    l.wait_state("talking");
    std::thread::sleep(TALK);
    let (status, ear_of_l, ear_of_r) = (l.status(), l.ear_now(), r.ear_now());
    let suite = status["calls"][0]["encryption"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    println!("without a server: {suite}");
    assert_private(&status, &suite);
    assert!(suite.starts_with("AE"), "{status:#}");
    l.hang_up();
    r.wait_state("congestion");
    l.assert_usable();
    r.assert_usable();
    assert_heard(&dir, "r heard l", &alice, &ear_of_r);
    assert_heard(&dir, "l heard r", &bob, &ear_of_l);
}

#[test]
fn a_phone_with_another_fingerprint_is_not_called_and_does_not_ring() {
    let dir = TestDir::new("not-pinned");
    let alice = speech(&dir, Speaker::Alice, 16000, 1);
    let (of_l, of_r, of_other) = (
        fingerprint(&dir, "l"),
        fingerprint(&dir, "r"),
        fingerprint(&dir, "somebody-else"),
    );
    let (at_l, at_r) = (
        testkit::process::port_block(),
        testkit::process::port_block(),
    );
    let dial = |port: u16| vec![("1".to_owned(), format!("sips:phone@127.0.0.1:{port}"))];
    let l = neighbour(&dir, "l", &alice, pinned(at_l, &of_other, at_r), dial(at_r));
    let r = neighbour(&dir, "r", &alice, pinned(at_r, &of_l, at_l), dial(at_l));
    // Who answers at r's address is not who was pinned there.
    l.lift();
    l.wait_state("dial_tone");
    l.press("1#");
    let status = l.wait_state("congestion");
    let cause = status["last_call"]["cause"].as_str().unwrap_or_default();
    assert!(
        cause.contains(&of_r) && cause.contains(&of_other),
        "{status:#}"
    );
    l.assert_usable();
    // And who calls from r is no one l knows.
    r.lift();
    r.wait_state("dial_tone");
    r.press("1#");
    r.wait_state("congestion");
    r.assert_usable();
    assert_eq!(l.status()["state"], "idle");
    assert_eq!(l.status()["counters"]["sip_received"], 0);
}
