//! Our own SIPp scenarios (tests/sipp), run by Debian's SIPp against phones that serve all of them:
//! one that answers by itself, one that only rings and is made to call. docs/conformance.md is
//! written from what came of it.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use offhook_tests::desk_phone::{DeskPhone, Setup};
use serde_json::json;
use testkit::process::{ChildProcess, TestDir, port_block};

/// What the phone does in a scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phone {
    /// It answers by itself.
    Answers,
    /// It rings.
    Rings,
    /// It calls SIPp, and hangs up after so many milliseconds.
    Calls(u64),
}

use Phone::{Answers, Calls, Rings};

/// Scenario, and what the phone does.
const SCENARIOS: &[(&str, Phone)] = &[
    ("call", Answers),
    ("late_offer", Answers),
    ("video_without_rtpmap", Answers),
    ("options", Answers),
    ("info_dtmf", Answers),
    ("only_line_port_zero", Answers),
    ("hold_with_declined_video", Answers),
    ("savp_refused", Answers),
    ("session_too_short", Answers),
    ("refresher", Answers),
    ("messages_unasked", Answers),
    ("reinvite_without_offer", Answers),
    ("preloaded_route", Answers),
    ("utf8_name", Answers),
    ("refresh", Answers),
    ("fresh_origin", Answers),
    ("wrong_media", Answers),
    ("several_require", Answers),
    ("message_without_body", Answers),
    ("subscribe_presence", Answers),
    ("static_payload", Answers),
    ("hold_and_resume", Answers),
    ("update_refresh", Answers),
    ("cancel", Rings),
    ("reliable_180", Rings),
    ("update_early", Rings),
    ("uas_answers", Calls(800)),
    ("uas_many_codecs", Calls(800)),
    ("uas_early_media", Calls(1200)),
    ("uas_without_sdp", Calls(800)),
    ("uas_port_zero", Calls(800)),
    ("uas_busy", Calls(800)),
    ("uas_cancelled", Calls(1000)),
    ("uas_slow", Calls(5000)),
    ("uas_redirects", Calls(1500)),
];

/// Beside the others: it takes 32 s.
const SLOW: &str = "no_ack";

fn sipp(dir: &Path, name: &str, arguments: &[&str]) -> ChildProcess {
    let port = port_block();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("sipp");
    let mut command = Command::new("sipp");
    command
        .arg("-sf")
        .arg(folder.join(name).with_extension("xml"))
        .args(["-m", "1", "-i", "127.0.0.1", "-p", &port.to_string()])
        .args(["-mp", &(port + 10).to_string(), "-timeout", "45s"])
        .args(["-trace_err", "-nostdin"])
        .args(arguments)
        .current_dir(dir);
    ChildProcess::start(&mut command, &dir.join(format!("{name}.log")))
}

/// Calls SIPp by the control socket.
fn call_out(desk: &DeskPhone, dir: &Path, name: &str, hang_up_after: u64) -> Option<i32> {
    let port = port_block();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("sipp");
    let mut command = Command::new("sipp");
    command
        .arg("-sf")
        .arg(folder.join(name).with_extension("xml"))
        .args(["-m", "1", "-i", "127.0.0.1", "-p", &port.to_string()])
        .args(["-mp", &(port + 10).to_string(), "-timeout", "20s"])
        .args(["-trace_err", "-nostdin"])
        .current_dir(dir);
    let mut far = ChildProcess::start(&mut command, &dir.join(format!("{name}.log")));
    // SIPp says nothing when its socket is open; the INVITE is repeated until it is.
    std::thread::sleep(Duration::from_millis(200));
    desk.ctl(&json!({"cmd": "dial", "to": format!("sip:sipp@127.0.0.1:{port}")}));
    std::thread::sleep(Duration::from_millis(hang_up_after));
    desk.ctl(&json!({"cmd": "hang-up"}));
    let code = far.wait(Duration::from_secs(20));
    desk.wait_state("idle");
    code
}

/// What a scenario shows: the comment at its top.
fn description(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("sipp")
        .join(name)
        .with_extension("xml");
    let text = std::fs::read_to_string(path).unwrap();
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
    let dir = TestDir::new("conformance");
    let start = |name: &str, auto_answer| {
        DeskPhone::start(
            &dir,
            name,
            Setup {
                auto_answer,
                // Callers on the list may call as often as they like.
                call: "direct_from = [\"127.0.0.0/8\"]\n",
                ..Setup::default()
            },
        )
    };
    let (answers, rings) = (start("answers", true), start("rings", false));
    let unheard = start("unheard", true);
    let to = |desk: &DeskPhone| format!("127.0.0.1:{}", desk.sip_port);
    let mut slow = sipp(dir.path(), SLOW, &["-s", "phone", &to(&unheard)]);
    let mut results = Vec::new();
    for (name, phone) in SCENARIOS {
        let code = match phone {
            Answers => sipp(dir.path(), name, &["-s", "phone", &to(&answers)])
                .wait(Duration::from_secs(20)),
            Rings => {
                sipp(dir.path(), name, &["-s", "phone", &to(&rings)]).wait(Duration::from_secs(20))
            }
            Calls(hang_up_after) => call_out(&rings, dir.path(), name, *hang_up_after),
        };
        results.push((*name, code == Some(0)));
    }
    results.push((SLOW, slow.wait(Duration::from_secs(50)) == Some(0)));
    for desk in [&answers, &rings, &unheard] {
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
    let mut run: Vec<String> = SCENARIOS
        .iter()
        .map(|(name, _)| (*name).to_owned())
        .chain([SLOW.to_owned()])
        .collect();
    run.sort();
    assert_eq!(files, run);
}
