//! The unmodified phone in a story: hook and keys by `ctl`; what it hears, shows and rings.
//!
//! Wall clock: the phone is a real program, and its bell rings in real time.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use offhook_tests::desk_phone::{DeskPhone, Setup};
use offhook_tests::story::add_digit_map;
use offhook_tests::tones::DBM0_ABOVE_DBFS;
use serde_json::{Value, json};
use testkit::process::TestDir;

use super::SOON;
use super::hearing::{length, level, level_since};

/// Longest silence within a cadence of a bell, and a little.
const LONGEST_PAUSE: Duration = Duration::from_millis(5200);
/// A bell in the ear is louder than this; a line at rest is quieter.
const AUDIBLE_DBFS: f64 = -50.0;

type Lamps = Arc<Mutex<BTreeMap<String, String>>>;

pub(super) struct OurPhone {
    desk: DeskPhone,
    state: PathBuf,
    lamps: Lamps,
}

/// Takes in the events of lamps until the phone is gone.
fn watch_lamps(socket: &Path) -> Lamps {
    let lamps = Lamps::default();
    let mut stream = UnixStream::connect(socket).expect("the control socket answers");
    writeln!(stream, "{}", json!({"cmd": "events"})).unwrap();
    let shown = Arc::clone(&lamps);
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            let event: Value = serde_json::from_str(&line).unwrap_or_default();
            if event["event"] == "lamp" {
                let text = |key: &str| event[key].as_str().unwrap_or_default().to_owned();
                shown.lock().unwrap().insert(text("lamp"), text("state"));
            }
        }
    });
    lamps
}

impl OurPhone {
    pub(super) fn start(
        dir: &TestDir,
        name: &str,
        mut sections: BTreeMap<String, String>,
        account: String,
        voice: &Path,
    ) -> Self {
        sections.remove("account");
        add_digit_map(&mut sections);
        // Its bell is heard: no one could see the simulated one of its board.
        let board = sections.entry("board".to_owned()).or_default();
        if !board.contains("ringer") {
            board.push_str("ringer = \"sound\"\n");
        }
        let setup = Setup {
            microphone: Some(voice.to_owned()),
            direct: None,
            sections,
            more: account,
            ..Setup::default()
        };
        let desk = DeskPhone::start(dir, name, setup);
        let lamps = watch_lamps(desk.socket());
        Self {
            state: dir.join(name).join("state"),
            desk,
            lamps,
        }
    }

    pub(super) fn is_registered(&self, within: Duration) {
        self.desk.wait("registration", within, |status| {
            status["lines"][0]["registered"] == true
        });
    }

    /// What its ear heard so far.
    pub(super) fn heard(&self) -> PathBuf {
        self.desk.ear_now()
    }

    fn level(&self, last_s: f64) -> f64 {
        level(&self.heard(), last_s)
    }

    fn ask(&self, request: &Value, line: &str) {
        let reply = self.desk.ctl(request);
        assert_eq!(reply["ok"], true, "{line}: {request}: {reply}");
    }

    fn until(&self, line: &str, holds: impl Fn() -> bool) {
        let end = Instant::now() + SOON;
        while !holds() {
            assert!(
                Instant::now() < end,
                "not within {SOON:?}: {line}; {:#}",
                self.desk.status()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    pub(super) fn step(&mut self, words: &[&str], line: &str) {
        match words {
            [_, "lifts"] => self.desk.lift(),
            [_, "hangs", "up"] => self.desk.hang_up(),
            [_, "flashes"] => self.ask(&json!({"cmd": "flash"}), line),
            [_, "presses", "the", key, "key"] => {
                self.ask(&json!({"cmd": "key", "key": key}), line);
            }
            [_, "presses", keys] => self.desk.press(keys),
            [_, "calls", number] => {
                self.desk.lift();
                self.until(line, || self.desk.status()["tone"].is_string());
                self.desk.press(number);
            }
            [_, "hears", tone] => {
                let wanted = (*tone != "nothing").then_some(*tone);
                self.until(line, || self.desk.status()["tone"].as_str() == wanted);
            }
            ["the", "ear", "of", _, "has", wanted, "dBm0"] => {
                let wanted: f64 = wanted.parse().unwrap_or_else(|_| panic!("{line}"));
                let level_dbm0 = || self.level(0.4) + DBM0_ABOVE_DBFS;
                let end = Instant::now() + SOON;
                while (level_dbm0() - wanted).abs() >= 1.0 {
                    let found = level_dbm0();
                    assert!(Instant::now() < end, "{line}: {found:.1} dBm0");
                    std::thread::sleep(Duration::from_millis(100));
                }
            }
            [_, "rings"] => {
                self.desk.wait(line, SOON, |status| {
                    // Also for a call that is answered at once, as an intercom's is, and to remind
                    // of one on hold.
                    status["calls"][0]["direction"] == "in" || status["state"] == "on_hold"
                });
                self.until(line, || self.level(0.3) > AUDIBLE_DBFS);
            }
            [_, "does", "not", "ring"] | ["the", "ear", "of", _, "is", "silent"] => {
                self.is_silent(line);
            }
            [_, "sees", name] => self.until(line, || {
                let calls = self.desk.status()["calls"].clone();
                let shown = |call: &Value| call["peer"].as_str().is_some_and(|p| p.contains(name));
                calls
                    .as_array()
                    .is_some_and(|calls| calls.iter().any(shown))
            }),
            ["lamp", lamp, "of", _, "is", state] => self.until(line, || {
                let lamps = self.lamps.lock().unwrap();
                lamps.get(*lamp).map_or("off", String::as_str) == *state
            }),
            [_, "keeps", text] => self.until(line, || {
                let file = self.state.join(control::features::FILE);
                let kept = std::fs::read_to_string(file).unwrap_or_default();
                kept.contains(text)
            }),
            [_, "remembers", outcome, number] => self.until(line, || {
                let newest = self.desk.ctl(&json!({"cmd": "history"}))["history"][0].clone();
                newest["outcome"] == *outcome && newest["number"] == *number
            }),
            ["ctl", _, verb @ ..] => self.ctl(verb, line),
            [_, "is", state] => {
                self.desk.wait_state(state);
            }
            _ => panic!("not understood of a phone in real time: {line}"),
        }
    }

    /// A bell that was just silenced is given time to end, and longer than any pause of a cadence
    /// nothing is heard.
    fn is_silent(&self, line: &str) {
        std::thread::sleep(Duration::from_secs(1));
        let from = length(&self.heard());
        std::thread::sleep(LONGEST_PAUSE);
        let found = level_since(&self.heard(), from);
        assert!(found < AUDIBLE_DBFS, "{line}: {found:.1} dBFS");
    }

    fn ctl(&self, verb: &[&str], line: &str) {
        let request = match verb {
            ["dials", number] => json!({"cmd": "dial", "to": number}),
            ["transfers", "to", number] => json!({"cmd": "transfer", "to": number}),
            ["answers"] => json!({"cmd": "answer"}),
            ["rejects"] => json!({"cmd": "reject"}),
            ["connects", "all"] => json!({"cmd": "conference"}),
            ["mutes"] => json!({"cmd": "mute", "on": true}),
            ["unmutes"] => json!({"cmd": "mute", "on": false}),
            ["sets", of, "to", db, "dB"] => {
                let db: i64 = db.parse().unwrap_or_else(|_| panic!("{line}"));
                json!({"cmd": "volume", "of": of, "db": db})
            }
            _ => panic!("not understood: {line}"),
        };
        self.ask(&request, line);
    }

    /// Whatever it was doing.
    pub(super) fn hangs_up(&self) {
        if self.desk.status()["hook"] == "off" {
            self.desk.hang_up();
        }
        if self.desk.status()["sound"]["hands_free"] == true {
            let key = json!({"cmd": "key", "key": "hands-free"});
            self.ask(&key, "hangs up");
        }
    }

    /// When all have hung up.
    pub(super) fn has_no_call(&self) {
        self.until("it has no call", || {
            let calls = self.desk.status()["calls"].clone();
            calls.as_array().is_some_and(Vec::is_empty)
        });
    }
}
