//! What reaches a phone from people no one asked: scanners, floods, and names made to write into a
//! log or a terminal.
//!
//! ```text
//! Stranger (127.0.0.66, raw datagrams) ─▶ offhook ─▶ answers, or none; ringing, or not; log, status; the call that goes on beside
//! ```

mod names;
mod packets;
mod scanner;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use offhook_tests::desk_phone::{DeskPhone, Setup};
use offhook_tests::kamailio::Kamailio;
use offhook_tests::speech::{Speaker, assert_heard, speech};
use serde_json::Value;
use testkit::process::TestDir;

use scanner::{Ask, Stranger, offer};

/// Two phones of one server; what each is set up with besides.
fn pair(
    dir: &TestDir,
    direct: bool,
    call: &'static str,
    microphone: PathBuf,
) -> (Kamailio, DeskPhone, DeskPhone) {
    let kamailio = Kamailio::start(dir, "MD5");
    let phone = |name: &str, user: &str, microphone: Option<PathBuf>| {
        DeskPhone::start(
            dir,
            name,
            Setup {
                microphone,
                direct: Some(direct),
                call,
                more: kamailio.account(user, &format!("secret{user}"), "udp"),
                ..Setup::default()
            },
        )
    };
    let (l, r) = (phone("l", "101", Some(microphone)), phone("r", "102", None));
    for desk in [&l, &r] {
        desk.wait("registration", Duration::from_secs(8), |status| {
            status["lines"][0]["registered"] == true
        });
    }
    (kamailio, l, r)
}

/// Methods and users as scanners try them: those that are here, and those that are not.
const METHODS: [&str; 3] = ["OPTIONS", "INVITE", "REGISTER"];

const USERS: [&str; 8] = [
    "102", "phone", "100", "101", "1000", "admin", "test", "not-here",
];

#[test]
fn a_scanner_learns_nothing_and_calls_still_come() {
    let dir = TestDir::new("scanner");
    let alice = speech(&dir, Speaker::Alice, 8000, 1);
    let (_kamailio, l, r) = pair(&dir, false, "", alice.clone());
    let before = r.status();
    let mut stranger = Stranger::new(r.sip_port);
    let scan = |stranger: &mut Stranger, length: Duration| {
        let end = Instant::now() + length;
        while Instant::now() < end {
            for method in METHODS {
                for user in USERS {
                    let body = if method == "INVITE" {
                        offer(9)
                    } else {
                        String::new()
                    };
                    stranger.ask(&Ask {
                        method,
                        user,
                        more: "User-Agent: friendly-scanner\r\n",
                        body: &body,
                    });
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
            assert_ne!(r.state(), "ringing", "a scanner rings");
        }
    };
    scan(&mut stranger, Duration::from_secs(5));
    assert_eq!(
        stranger.answers(),
        [""; 0],
        "known or unknown: not one answer"
    );
    // A call of a friend's, in the midst of it.
    let (sent, during) = std::thread::scope(|threads| {
        let scanning = threads.spawn(move || {
            let mut stranger = stranger;
            let end = Instant::now() + Duration::from_secs(8);
            while Instant::now() < end {
                for user in USERS {
                    let body = offer(9);
                    stranger.ask(&Ask {
                        method: "INVITE",
                        user,
                        more: "",
                        body: &body,
                    });
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            (stranger.sent, stranger.answers())
        });
        l.lift();
        l.press("102#");
        r.wait_state("ringing");
        r.lift();
        l.wait_state("talking");
        scanning.join().unwrap()
    });
    assert_eq!(during, [""; 0]);
    let after = r.status();
    assert_eq!(
        after["calls"].as_array().map(Vec::len),
        Some(1),
        "{after:#}"
    );
    let counted = |status: &Value| status["counters"]["sip_dropped"].as_u64().unwrap_or(0);
    assert_eq!(
        counted(&after) - counted(&before),
        u64::from(sent),
        "each was dropped and counted"
    );
    let ear = r.ear_now();
    l.hang_up();
    r.wait_state("congestion");
    r.assert_usable();
    assert_heard(&dir, "the friend, during the scan", &alice, &ear);
}

#[test]
fn direct_calls_do_not_reveal_users() {
    let dir = TestDir::new("scanner-direct");
    let desk = DeskPhone::start(&dir, "desk", Setup::default());
    let mut stranger = Stranger::new(desk.sip_port);
    for method in ["OPTIONS", "REGISTER", "SUBSCRIBE", "MESSAGE"] {
        let mut answers = BTreeSet::new();
        for user in USERS {
            let n = stranger.ask(&Ask {
                method,
                user,
                more: "",
                body: "",
            });
            answers.insert(stranger.answer_to(n));
        }
        assert_eq!(answers.len(), 1, "{method}: {answers:?}");
        let answer = answers.first().unwrap();
        assert!(
            !answer.contains(" 401 ") && !answer.contains(" 407 "),
            "{method}: no password is asked for: {answer}"
        );
        println!("{method}: {answer} to every user");
    }
    // Whoever is called, the one telephone rings: no one is distinguished by that either.
    for user in USERS {
        let body = offer(9);
        stranger.ask(&Ask {
            method: "INVITE",
            user,
            more: "Expires: 1\r\n",
            body: &body,
        });
        desk.wait_state("ringing");
        desk.wait_state("idle");
    }
    let codes: BTreeSet<String> = stranger
        .answers()
        .iter()
        .filter_map(|text| text.lines().next().map(str::to_owned))
        .collect();
    assert_eq!(
        codes.iter().map(String::as_str).collect::<Vec<_>>(),
        [
            "SIP/2.0 100 Trying",
            "SIP/2.0 180 Ringing",
            "SIP/2.0 487 Request Terminated"
        ]
    );
    desk.assert_usable();
}

/// Frames made up and packets received by the phone's one call.
fn concealed(desk: &DeskPhone) -> (u64, u64) {
    let status = desk.status();
    let rtp = &status["calls"][0]["rtp"];
    (
        rtp["concealed"].as_u64().unwrap_or(0),
        rtp["received"].as_u64().unwrap_or(0),
    )
}

/// 20 calls a second of a stranger's, who never ends one, and meanwhile calls of the account's own
/// server.
#[test]
fn a_flood_of_calls_stops_no_call_of_the_server() {
    let dir = TestDir::new("call-flood");
    let silence = speech(&dir, Speaker::Alice, 8000, 1);
    let (_kamailio, l, r) = pair(&dir, true, "waiting = false\n", silence);
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|threads| {
        threads.spawn(|| {
            let mut stranger = Stranger::new(r.sip_port);
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                let body = offer(9);
                stranger.ask(&Ask {
                    method: "INVITE",
                    user: "102",
                    more: "",
                    body: &body,
                });
                std::thread::sleep(Duration::from_millis(50));
            }
        });
        for _ in 0..3 {
            std::thread::sleep(Duration::from_secs(9));
            l.lift();
            l.press("102#");
            l.wait_state("ringback");
            l.hang_up();
            l.wait_state("idle");
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    r.assert_usable();
}

/// With an account and no word of `direct`, strangers neither ring nor learn anything.
#[test]
fn with_an_account_direct_calls_are_off_by_default() {
    let dir = TestDir::new("direct-default");
    let kamailio = Kamailio::start(&dir, "MD5");
    let desk = DeskPhone::start(
        &dir,
        "desk",
        Setup {
            direct: None,
            more: kamailio.account("102", "secret102", "udp"),
            ..Setup::default()
        },
    );
    let mut stranger = Stranger::new(desk.sip_port);
    for method in METHODS {
        let body = if method == "INVITE" {
            offer(9)
        } else {
            String::new()
        };
        stranger.ask(&Ask {
            method,
            user: "102",
            more: "",
            body: &body,
        });
    }
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(
        (stranger.answers(), desk.state().as_str()),
        (vec![], "idle")
    );
    desk.assert_usable();
}

/// 500 OPTIONS and 50 INVITEs a second for half a minute, at a phone that answers each of them, in
/// the middle of a call.
#[test]
fn a_flood_of_requests_is_not_heard_in_a_call() {
    const LENGTH: Duration = Duration::from_secs(30);
    let dir = TestDir::new("flood");
    let alice = speech(&dir, Speaker::Alice, 8000, 1);
    // On the list, so that no rate spares the phone the work.
    let call = "waiting = false\ndirect_from = [\"127.0.0.66\"]\n";
    let (_kamailio, l, r) = pair(&dir, true, call, alice.clone());
    l.lift();
    l.press("102#");
    r.wait_state("ringing");
    r.lift();
    l.wait_state("talking");
    std::thread::sleep(Duration::from_secs(2));
    // What this machine does by itself, without a flood.
    let quiet = [concealed(&r), {
        std::thread::sleep(Duration::from_secs(10));
        concealed(&r)
    }];
    let mut stranger = Stranger::new(r.sip_port);
    let (flooded, slowest, sent, answered) = std::thread::scope(|threads| {
        let flooding = threads.spawn(move || {
            let (begun, mut answered) = (Instant::now(), 0);
            for n in 0_u32.. {
                let due = begun + Duration::from_millis(20) * n;
                if due.saturating_duration_since(begun) >= LENGTH {
                    break;
                }
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
                for _ in 0..10 {
                    stranger.ask(&Ask {
                        method: "OPTIONS",
                        user: "102",
                        more: "",
                        body: "",
                    });
                }
                let body = offer(9);
                stranger.ask(&Ask {
                    method: "INVITE",
                    user: "102",
                    more: "",
                    body: &body,
                });
                answered += stranger.answers().len();
            }
            (stranger.sent, answered)
        });
        let from = concealed(&r);
        let mut slowest = Duration::ZERO;
        while !flooding.is_finished() {
            let asked = Instant::now();
            r.status();
            slowest = slowest.max(asked.elapsed());
            std::thread::sleep(Duration::from_millis(200));
        }
        let to = concealed(&r);
        let (sent, answered) = flooding.join().unwrap();
        ([from, to], slowest, sent, answered)
    });
    let share =
        |[from, to]: [(u64, u64); 2]| (to.0 - from.0) as f64 / (to.1 - from.1).max(1) as f64;
    println!(
        "{sent} requests, {answered} answers; concealed {:.2} % before, {:.2} % during; status \
         took {slowest:?} at most",
        100.0 * share(quiet),
        100.0 * share(flooded)
    );
    assert!(
        answered > sent as usize / 2,
        "it answers strangers here: {answered} of {sent}"
    );
    assert!(
        flooded[1].1 - flooded[0].1 > 1200,
        "sound came all the time: {flooded:?}"
    );
    assert!(
        share(flooded) - share(quiet) < 0.01,
        "concealed: {quiet:?} before, {flooded:?} during the flood"
    );
    assert!(
        slowest < Duration::from_secs(2),
        "the phone is busy: {slowest:?}"
    );
    let ear = r.ear_now();
    let over = Instant::now();
    l.hang_up();
    r.wait_state("congestion");
    r.hang_up();
    r.lift();
    r.wait_state("dial_tone");
    assert!(
        over.elapsed() < Duration::from_secs(5),
        "{:?}",
        over.elapsed()
    );
    r.hang_up();
    r.assert_usable();
    assert_heard(&dir, "speech during the flood", &alice, &ear);
}
