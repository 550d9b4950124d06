//! Our own SIPp scenarios (tests/sipp), run by Debian's SIPp against phones that serve all of them:
//! one that answers by itself, one that rings and is made to call, and some that are set up in
//! another way. docs/conformance.md is written from what came of it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use offhook_tests::desk_phone::{DeskPhone, Setup};
use serde_json::json;
use testkit::process::{ChildProcess, TestDir, port_block};

/// A phone of this test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Desk {
    /// It answers by itself.
    Answers,
    /// It rings, and calls.
    Rings,
    /// It rings with early media (183).
    Early,
    /// It answers by itself, and prefers encryption.
    Preferred,
    /// It answers by itself, and requires encryption.
    Required,
}

/// What is done with the phone while SIPp runs.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// It comes into this state within 8 s.
    Reach(&'static str),
    /// Nothing for so many milliseconds.
    Pause(u64),
    /// This request of the control socket.
    Do(&'static str),
    /// The call goes to this address.
    Transfer(&'static str),
}

/// Who begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Begins {
    /// SIPp.
    Sipp,
    /// The phone calls SIPp.
    Phone,
    /// The phone calls SIPp over TCP.
    PhoneByTcp,
}

/// One scenario.
struct Scenario {
    name: &'static str,
    desk: Desk,
    begins: Begins,
    steps: &'static [Step],
}

use Desk::{Answers, Early, Preferred, Required, Rings};
use Step::{Do, Pause, Reach, Transfer};

/// SIPp calls a phone, or asks it something.
const fn asked(name: &'static str, desk: Desk, steps: &'static [Step]) -> Scenario {
    Scenario {
        name,
        desk,
        begins: Begins::Sipp,
        steps,
    }
}

/// A phone calls SIPp.
const fn calls(name: &'static str, steps: &'static [Step]) -> Scenario {
    Scenario {
        name,
        desk: Rings,
        begins: Begins::Phone,
        steps,
    }
}

const NOTHING: &[Step] = &[];
/// A call that is answered, and ended by the phone.
const TALK: &[Step] = &[Reach("talking"), Pause(300), Do("hang-up")];
/// A call that is answered while it rings.
const ANSWER: &[Step] = &[Reach("ringing"), Pause(400), Do("answer")];
/// A call that is answered, put on hold, and ended.
const HOLD: &[Step] = &[
    Reach("ringing"),
    Do("answer"),
    Reach("talking"),
    Do("flash"),
    Pause(500),
    Do("hang-up"),
];
/// The same, where hold is refused at first and asked for again within 2 s.
const HOLD_AGAIN: &[Step] = &[
    Reach("ringing"),
    Do("answer"),
    Reach("talking"),
    Do("flash"),
    Pause(2500),
    Do("hang-up"),
];
/// A call of the phone that is put on hold and taken back.
const HOLD_AND_RESUME: &[Step] = &[
    Reach("talking"),
    Do("flash"),
    Pause(300),
    Do("flash"),
    Pause(300),
    Do("hang-up"),
];
/// A call of the phone that is put on hold, or not, and ended.
const HOLD_AND_HANG_UP: &[Step] = &[Reach("talking"), Do("flash"), Pause(500), Do("hang-up")];
/// A call of the phone that is put on hold and sent elsewhere.
const SEND_AWAY: &[Step] = &[
    Reach("talking"),
    Do("flash"),
    Pause(300),
    Transfer("sip:other@127.0.0.1:9"),
    Pause(500),
];
/// The same, where that fails: the call is in the hand again.
const TAKE_BACK: &[Step] = &[
    Reach("talking"),
    Do("flash"),
    Pause(300),
    Transfer("sip:other@127.0.0.1:9"),
    Pause(300),
    Reach("talking"),
    Pause(300),
    Do("hang-up"),
];
/// A call of the phone that is never answered.
const GIVE_UP: &[Step] = &[Pause(1000), Do("hang-up")];
/// A call of the phone that fails, or is ended over there.
const FAIL: &[Step] = &[Reach("congestion"), Do("hang-up")];

/// All that take no time of their own.
const SCENARIOS: &[Scenario] = &[
    asked("call", Answers, NOTHING),
    asked("late_offer", Answers, NOTHING),
    asked("late_offer_hung_up", Answers, TALK),
    asked("hung_up_by_phone", Answers, TALK),
    asked("video_without_rtpmap", Answers, NOTHING),
    asked("options", Answers, NOTHING),
    asked("options_headers", Answers, NOTHING),
    asked("info_dtmf", Answers, NOTHING),
    asked("only_line_port_zero", Answers, NOTHING),
    asked("hold_with_declined_video", Answers, NOTHING),
    asked("savp_refused", Answers, NOTHING),
    asked("session_too_short", Answers, NOTHING),
    asked("refresher", Answers, NOTHING),
    asked("messages_unasked", Answers, NOTHING),
    asked("reinvite_without_offer", Answers, NOTHING),
    asked("preloaded_route", Answers, NOTHING),
    asked("utf8_name", Answers, NOTHING),
    asked("refresh", Answers, NOTHING),
    asked("fresh_origin", Answers, NOTHING),
    asked("wrong_media", Answers, NOTHING),
    asked("several_require", Answers, NOTHING),
    asked("message_without_body", Answers, NOTHING),
    asked("subscribe_presence", Answers, NOTHING),
    asked("static_payload", Answers, NOTHING),
    asked("hold_and_resume", Answers, NOTHING),
    asked("update_refresh", Answers, NOTHING),
    asked("invite_again_after_ack", Answers, NOTHING),
    asked("reused_branch", Answers, NOTHING),
    asked("late_offer_answer_too_long", Answers, NOTHING),
    asked("no_answer_in_ack", Answers, NOTHING),
    asked("reinvite_refused", Answers, NOTHING),
    asked("two_offers_of_one_stream", Answers, NOTHING),
    asked("update_out_of_order", Answers, NOTHING),
    asked("cancel", Rings, NOTHING),
    asked("reliable_180", Rings, NOTHING),
    asked("update_early", Rings, NOTHING),
    asked("reinvite_491", Rings, HOLD_AGAIN),
    asked("second_line_disabled", Rings, HOLD),
    asked("early_media_cancelled", Early, NOTHING),
    asked("prack_with_offer", Early, ANSWER),
    asked("prack_not_acceptable", Early, NOTHING),
    asked("update_with_offer", Early, ANSWER),
    asked("update_not_acceptable", Early, ANSWER),
    asked("plain_to_preferred", Preferred, NOTHING),
    asked("plain_to_required", Required, NOTHING),
    asked("sdes_required", Required, NOTHING),
    asked("dtls_required", Required, NOTHING),
    asked("rekeyed_by_reinvite", Required, NOTHING),
    calls("uas_answers", TALK),
    calls("uas_many_codecs", TALK),
    calls("uas_many_codecs_update", TALK),
    calls("uas_early_media", TALK),
    calls("uas_183_180_200", TALK),
    calls("uas_odd_183_cancelled", GIVE_UP),
    calls("uas_183_other_media", GIVE_UP),
    calls("uas_without_sdp", FAIL),
    calls("uas_port_zero", FAIL),
    calls("uas_busy", &[Reach("busy"), Do("hang-up")]),
    calls("uas_cancelled", GIVE_UP),
    calls("uas_slow", TALK),
    calls("uas_redirects", TALK),
    calls("uas_early_bye", FAIL),
    calls("uas_fork_two_200", TALK),
    calls("uas_fork_reliable", TALK),
    calls("uas_reliable_180", TALK),
    calls("uas_reinvite_without_sdp", TALK),
    calls("uas_reinvite_without_media", TALK),
    calls("uas_hangs_up", FAIL),
    calls("uas_held", HOLD_AND_RESUME),
    calls("uas_hold_without_answer", HOLD_AND_HANG_UP),
    calls("uas_hold_481", HOLD_AND_HANG_UP),
    calls("uas_glare", HOLD_AND_HANG_UP),
    calls("uas_422", TALK),
    calls("uas_answer_encrypted", FAIL),
    calls("uas_without_tag", TALK),
    calls("uas_strict_route", TALK),
    calls("uas_cancel_without_final", GIVE_UP),
    Scenario {
        name: "uas_over_tcp",
        desk: Rings,
        begins: Begins::PhoneByTcp,
        steps: TALK,
    },
    calls("uas_refers", REFERRED),
    calls("uas_refers_quietly", REFERRED),
    calls("uas_refers_in_vain", REFERRED),
    calls("uas_transferred", SEND_AWAY),
    calls("uas_transfer_refused", TAKE_BACK),
    calls("uas_transfer_fails", TAKE_BACK),
    calls("uas_early_update", TALK),
    calls("uas_422_without_end", FAIL),
    calls("uas_302_without_end", FAIL),
    calls("uas_refused_change_of_target", REFUSED_CHANGE),
    asked("dtls_in_savp", Preferred, NOTHING),
    asked("dtls_to_sdes", Required, NOTHING),
    asked("sdes_to_dtls", Required, NOTHING),
    asked("sdes_held_by_zero_address", Required, NOTHING),
    asked("sdes_not_given_up", Preferred, NOTHING),
    asked("fewer_lines_in_reinvite", Answers, NOTHING),
    asked("unknown_codec_only", Early, NOTHING),
    asked("ack_of_a_bye", Answers, NOTHING),
    asked("replaces_unknown", Answers, NOTHING),
    asked("replaces_twice", Answers, NOTHING),
    asked("session_too_short_by_one", Answers, NOTHING),
    asked("refer_of_a_stranger", Answers, NOTHING),
    asked("info_of_a_package", Answers, NOTHING),
    asked("update_of_another_content", Answers, NOTHING),
];
/// A call of the phone whose far end has it call somebody else.
const REFERRED: &[Step] = &[Reach("talking"), Pause(1500), Do("hang-up")];
/// A call of the phone that the far end tries to change.
const REFUSED_CHANGE: &[Step] = &[Reach("talking"), Pause(700), Do("hang-up")];

/// Beside the others, each with a phone of its own: they take half a minute and more.
const SLOW: &[Scenario] = &[
    asked("no_ack", Answers, NOTHING),
    asked("session_expires", Answers, NOTHING),
    calls("uas_refreshed_by_update", REFRESH),
    calls("uas_refreshed_by_reinvite", REFRESH),
];
/// Half of 90 s, and a little.
const REFRESH: &[Step] = &[Reach("talking"), Pause(47_000), Do("hang-up")];

/// Those that play an account's server.
const SERVERS: &[&str] = &[
    "uas_register",
    "uas_register_two_hashes",
    "uas_mailbox",
    "uas_mailbox_last_word",
    "uas_mailbox_early_notify",
    "uas_401_after_100",
];

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("sipp")
        .join(name)
        .with_extension("xml")
}

/// SIPp opens its socket within this, also where many programs start at once.
const START: Duration = Duration::from_secs(10);

/// A port for SIPp; it takes a few beside it for media.
fn sipp_port() -> u16 {
    const EACH: u16 = 20;
    static LEFT: Mutex<Vec<u16>> = Mutex::new(Vec::new());
    let mut left = LEFT.lock().unwrap();
    if left.is_empty() {
        let block = port_block();
        left.extend((0..10).map(|n| block + n * EACH));
    }
    left.pop().unwrap()
}

/// SIPp with a scenario of ours, or with one of its own where there is no such file.
fn sipp(dir: &Path, name: &str, port: u16, arguments: &[&str]) -> ChildProcess {
    let mut command = Command::new("sipp");
    let scenario = file(name);
    if scenario.exists() {
        command.arg("-sf").arg(scenario);
    } else {
        command.args(["-sn", name]);
    }
    command
        .args(["-m", "1", "-i", "127.0.0.1", "-p", &port.to_string()])
        .args(["-mp", &(port + 10).to_string(), "-timeout", "75s"])
        .args(["-trace_err", "-nostdin"])
        .args(arguments)
        .current_dir(dir);
    ChildProcess::start(&mut command, &dir.join(format!("{name}.log")))
}

/// Does the steps; whether every state was reached.
fn walk(desk: &DeskPhone, steps: &[Step]) -> bool {
    steps.iter().all(|step| match step {
        Reach(state) => {
            let end = Instant::now() + Duration::from_secs(8);
            while desk.state() != *state && Instant::now() < end {
                std::thread::sleep(Duration::from_millis(10));
            }
            desk.state() == *state
        }
        Pause(ms) => {
            std::thread::sleep(Duration::from_millis(*ms));
            true
        }
        Do(what) => desk.ctl(&json!({"cmd": what}))["ok"] == true,
        Transfer(to) => desk.ctl(&json!({"cmd": "transfer", "to": to}))["ok"] == true,
    })
}

/// Runs one scenario; whether it ended as it should.
fn run(desk: &DeskPhone, dir: &Path, scenario: &Scenario, limit: Duration) -> bool {
    let Scenario { name, steps, .. } = scenario;
    let (port, other) = (sipp_port(), sipp_port());
    let to = format!("127.0.0.1:{}", desk.sip_port);
    let other_port = other.to_string();
    let (mut far, mut more) = match scenario.begins {
        Begins::Sipp => (sipp(dir, name, port, &["-s", "phone", &to]), None),
        Begins::PhoneByTcp => (sipp(dir, name, port, &["-t", "t1"]), None),
        // It has the phone call somebody else: SIPp's stock callee, or one that is busy.
        Begins::Phone if name.starts_with("uas_refers") => {
            let far = sipp(dir, name, port, &["-key", "refer_port", &other_port]);
            let busy = *name == "uas_refers_in_vain";
            let callee = if busy { "uas_busy" } else { "uas" };
            (far, Some(sipp(dir, callee, other, &[])))
        }
        Begins::Phone => (sipp(dir, name, port, &[]), None),
    };
    if scenario.begins != Begins::Sipp {
        // SIPp says nothing when its socket is open.
        far.wait_listening(port, START);
        if let Some(more) = &more {
            more.wait_listening(other, START);
        }
        let transport = match scenario.begins {
            Begins::PhoneByTcp => ";transport=tcp",
            Begins::Sipp | Begins::Phone => "",
        };
        let to = format!("sip:sipp@127.0.0.1:{port}{transport}");
        desk.ctl(&json!({"cmd": "dial", "to": to}));
    }
    let walked = walk(desk, steps);
    let code = far.wait(limit);
    let also = more.as_mut().is_none_or(|more| more.wait(limit) == Some(0));
    // Whatever came of it, the next one finds the phone idle.
    if desk.status()["hook"] == "off" {
        desk.hang_up();
    }
    desk.wait_state("idle");
    if !walked {
        println!("{name}: the phone is not where it should be");
    }
    walked && also && code == Some(0)
}

/// The phone with accounts at SIPp: what came of each.
fn run_servers(dir: &TestDir) -> Vec<(&'static str, bool)> {
    let mut ports: Vec<u16> = SERVERS.iter().map(|_| sipp_port()).collect();
    let mut servers: Vec<ChildProcess> = SERVERS
        .iter()
        .zip(&ports)
        .map(|(name, port)| sipp(dir.path(), name, *port, &[]))
        .collect();
    for (server, port) in servers.iter().zip(&ports) {
        server.wait_listening(*port, START);
    }
    let more = SERVERS.iter().zip(&ports).map(|(name, port)| {
        let registers = name.starts_with("uas_register");
        let messages = if name.starts_with("uas_mailbox") {
            "messages = \"subscribe\"\n"
        } else {
            ""
        };
        format!(
            "[[account]]\nname = \"{name}\"\nuser = \"sipp\"\npassword = \"secret\"\n\
             domain = \"127.0.0.1:{port}\"\nregister = {registers}\n{messages}"
        )
    });
    let desk = DeskPhone::start(
        dir,
        "account",
        Setup {
            direct: None,
            more: more.collect(),
            ..Setup::default()
        },
    );
    let caller = ports.pop().unwrap();
    desk.ctl(&json!({"cmd": "dial", "to": format!("sip:100@127.0.0.1:{caller}")}));
    let called = walk(&desk, TALK);
    let limit = Duration::from_secs(10);
    let mut results: Vec<(&str, bool)> = SERVERS
        .iter()
        .zip(&mut servers)
        .map(|(name, server)| (*name, server.wait(limit) == Some(0)))
        .collect();
    desk.wait_state("idle");
    let lines = desk.status()["lines"].clone();
    for (index, (name, passed)) in results.iter_mut().enumerate() {
        *passed &= match *name {
            name if name.starts_with("uas_mailbox") => {
                lines[index]["messages"]
                    == json!({"waiting": true, "new": 2, "old": 1, "urgent": 1})
            }
            "uas_401_after_100" => called,
            _ => lines[index]["registered"] == true,
        };
    }
    desk.lift();
    let stutters = desk.wait_state("dial_tone")["tone"] == "stutter_dial";
    desk.hang_up();
    for (name, passed) in &mut results {
        *passed &= !name.starts_with("uas_mailbox") || stutters;
    }
    results
}

/// What a scenario shows: the comment at its top.
fn description(name: &str) -> String {
    let text = std::fs::read_to_string(file(name)).unwrap();
    let after = text.split_once("<!-- ").unwrap().1;
    after.split_once(" -->").unwrap().0.to_owned()
}

/// `what (RFC n section m)` as two cells.
fn cells(description: &str) -> (String, String) {
    match description.rsplit_once(" (RFC ") {
        Some((what, rfc)) => (what.to_owned(), rfc.trim_end_matches(')').to_owned()),
        None => (description.to_owned(), "–".to_owned()),
    }
}

#[test]
fn every_scenario_ends_as_its_rfc_says() {
    // Callers on the list may call as often as they like.
    const CALL: &str = "direct_from = [\"127.0.0.0/8\"]\n";
    const EARLY: &str = "direct_from = [\"127.0.0.0/8\"]\nearly_media = true\n";
    let dir = TestDir::new("conformance");
    let start = |name: &str, auto_answer, call, more: &str| {
        DeskPhone::start(
            &dir,
            name,
            Setup {
                auto_answer,
                call,
                more: more.to_owned(),
                ..Setup::default()
            },
        )
    };
    let encryption = |mode| format!("[encryption]\nmode = \"{mode}\"\nsdes_over_clear = true\n");
    let desks = [
        (Answers, start("answers", true, CALL, "")),
        (Rings, start("rings", false, CALL, "")),
        (Early, start("early", false, EARLY, "")),
        (
            Preferred,
            start("preferred", true, CALL, &encryption("preferred")),
        ),
        (
            Required,
            start("required", true, CALL, &encryption("required")),
        ),
    ];
    let desk = |wanted: Desk| &desks.iter().find(|(desk, _)| *desk == wanted).unwrap().1;
    let own: Vec<DeskPhone> = SLOW
        .iter()
        .map(|slow| {
            start(
                &format!("own-{}", slow.name),
                slow.desk == Answers,
                CALL,
                "",
            )
        })
        .collect();
    let mut results = Vec::new();
    std::thread::scope(|threads| {
        let (dir, limit) = (dir.path(), Duration::from_secs(75));
        let slow: Vec<_> = SLOW
            .iter()
            .zip(&own)
            .map(|(slow, desk)| threads.spawn(move || run(desk, dir, slow, limit)))
            .collect();
        for scenario in SCENARIOS {
            let passed = run(desk(scenario.desk), dir, scenario, Duration::from_secs(12));
            results.push((scenario.name, passed));
        }
        for (scenario, thread) in SLOW.iter().zip(slow) {
            results.push((scenario.name, thread.join().unwrap_or(false)));
        }
    });
    results.extend(run_servers(&dir));
    for desk in desks.iter().map(|(_, desk)| desk).chain(&own) {
        desk.assert_usable();
    }
    let mut page = String::from(
        "# Conformance: our SIPp scenarios\n\n\
         Each scenario of `tests/sipp` is run by SIPp 3.6.1 as Debian has it against the\n\
         program, in `scripts/test peers`. This page is written by that run\n\
         (`OFFHOOK_WRITE_PAGES=1`).\n\n\
         | scenario | shows | RFC | verdict |\n|---|---|---|---|\n",
    );
    for (name, passed) in &results {
        let (what, rfc) = cells(&description(name));
        let verdict = if *passed { "passes" } else { "FAILS" };
        let _ = writeln!(page, "| `{name}` | {what} | {rfc} | {verdict} |");
    }
    page.push_str(include_str!("../../data/single_requests.md"));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/conformance.md");
    if std::env::var_os("OFFHOOK_WRITE_PAGES").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let failed: Vec<&str> = results
        .iter()
        .filter(|(_, passed)| !passed)
        .map(|(name, _)| *name)
        .collect();
    let logs = failed.iter().fold(String::new(), |text, name| {
        let log =
            std::fs::read_to_string(dir.path().join(format!("{name}.log"))).unwrap_or_default();
        format!("{text}\n-- {name}\n{log}")
    });
    assert!(failed.is_empty(), "{failed:?} failed:{logs}");
    assert_eq!(
        std::fs::read_to_string(&path).unwrap_or_default(),
        page,
        "docs/conformance.md is out of date: run this test with OFFHOOK_WRITE_PAGES=1"
    );
}

/// Every file of the folder is run.
#[test]
fn every_scenario_file_is_run() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("sipp");
    let mut files: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter_map(|path| path.file_stem()?.to_str().map(str::to_owned))
        .collect();
    files.sort();
    let all = SCENARIOS.iter().chain(SLOW).map(|scenario| scenario.name);
    let mut run: Vec<String> = all
        .chain(SERVERS.iter().copied())
        // Run by `sipp::a_collector_can_read_what_is_published`.
        .chain(["uas_publish"])
        .map(str::to_owned)
        .collect();
    run.sort();
    assert_eq!(files, run);
}
