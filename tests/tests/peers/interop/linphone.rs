//! Session timers with linphone, which refreshes by itself where it called.
//!
//! Wall clock: real programs.

use std::process::Command;

use offhook_tests::desk_phone::Setup;
use offhook_tests::speech::{Speaker, speech};
use offhook_tests::tls_office::TlsOffice;
use testkit::process::TestDir;

use super::{TIMER, answer, talk_on};
use crate::linphone::{Linphone, LinphoneSetup, Refresher};

/// linphone takes a machine without a route for one without a network: it drops its connections
/// after five seconds, and no request reaches it any more. The network of `scripts/netns`, which
/// has a loopback and nothing else, gets a route that leads nowhere; the tests after this one have
/// it as it was.
struct RouteToNowhere;

impl RouteToNowhere {
    const ADDRESS: [&str; 3] = ["192.0.2.77/32", "dev", "lo"];
    const ROUTE: [&str; 5] = ["default", "dev", "lo", "src", "192.0.2.77"];

    /// Adds it; `None` in any other network.
    fn add() -> Option<Self> {
        let shown = ip(&["-o", "addr", "show"]).unwrap();
        if !shown.lines().all(|line| line.contains(" lo ")) {
            return None;
        }
        // From here on what was added is removed, also if the second is refused.
        let added = Self;
        ip(&[&["addr", "add"], &Self::ADDRESS[..]].concat()).unwrap();
        ip(&[&["route", "add"], &Self::ROUTE[..]].concat()).unwrap();
        Some(added)
    }
}

impl Drop for RouteToNowhere {
    fn drop(&mut self) {
        let route = ip(&[&["route", "del"], &Self::ROUTE[..]].concat());
        let address = ip(&[&["addr", "del"], &Self::ADDRESS[..]].concat());
        println!("the route that leads nowhere is removed: {route:?} {address:?}");
    }
}

/// What `ip` prints, or why it does nothing.
fn ip(words: &[&str]) -> Result<String, String> {
    let done = Command::new("ip").args(words).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if done.status.success() {
        Ok(text(&done.stdout))
    } else {
        Err(text(&done.stderr))
    }
}

/// Who calls refreshes: the phone in the one call, linphone in the other.
#[test]
fn linphone_and_we_refresh_each_other() {
    let dir = TestDir::new("interop-linphone-timers");
    // Before the route: kamailio asks DNS for this machine's name when it starts, and a question
    // that leaves by the route is answered by no one for ten seconds.
    let server = TlsOffice::open(&dir, "SHA-256");
    let Some(_route) = RouteToNowhere::add() else {
        let test = "linphone_and_we_refresh_each_other";
        return testkit::skipped(test, "this network is not of scripts/netns");
    };
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
