//! Session timers with linphone, which refreshes by itself where it called.
//!
//! Wall clock: real programs.

use offhook_tests::desk_phone::Setup;
use offhook_tests::speech::{Speaker, speech};
use offhook_tests::tls_office::TlsOffice;
use testkit::process::TestDir;

use super::{TIMER, answer, talk_on};
use crate::linphone::{Linphone, LinphoneSetup, Refresher};

/// Who calls refreshes: the phone in the one call, linphone in the other.
#[test]
fn linphone_and_we_refresh_each_other() {
    let dir = TestDir::new("interop-linphone-timers");
    let server = TlsOffice::open(&dir, "SHA-256");
    let says = speech(&dir, Speaker::Alice, 16000, 1);
    let [calls, called] = ["101", "102"].map(|user| {
        let setup = Setup {
            microphone: Some(says.clone()),
            call: TIMER,
            ..Setup::default()
        };
        server.desk(&dir, user, "", setup)
    });
    let bob = speech(&dir, Speaker::Bob, 8000, 1);
    let port = server.kamailio.tls_port();
    let start = |(user, refresher)| {
        let setup = LinphoneSetup {
            session_timer: Some(refresher),
            ..LinphoneSetup::default()
        };
        Linphone::start(&dir, user, port, &bob, &setup)
    };
    let [mut answers, mut dials] =
        [("103", Refresher::Caller), ("104", Refresher::Itself)].map(start);
    calls.call("103#");
    dials.say("call sip:102@127.0.0.1");
    answer(&called);
    let at_start = dials.requests("INVITE", "Linphone");
    talk_on(&[&calls, &called]);
    let ours = answers.requests("UPDATE", "Offhook") + answers.requests("INVITE", "Offhook") - 1;
    let theirs = dials.requests("UPDATE", "Linphone") + dials.requests("INVITE", "Linphone");
    println!("{ours} refreshes by us, {} by linphone", theirs - at_start);
    assert!(ours >= 1, "the phone refreshed nothing");
    assert!(theirs > at_start, "linphone refreshed nothing");
    answers.heard();
    dials.heard();
    calls.assert_usable();
    called.assert_usable();
}
