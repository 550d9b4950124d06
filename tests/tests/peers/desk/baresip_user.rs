//! A baresip whose user lifts, dials and hangs up.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use offhook_tests::null_sink::NullSink;
use serde_json::Value;
use testkit::process::TestDir;

use super::SOON;
use crate::baresip::Baresip;

/// What its only call is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Call {
    None,
    /// Somebody calls: who.
    Incoming(String),
    Outgoing,
    /// It rings at the far end.
    Ringback,
    Talking,
    /// Over, though its user did not hang up: why.
    Over(String),
}

pub(super) struct BaresipUser {
    baresip: Baresip,
    domain: String,
    call: Call,
}

impl BaresipUser {
    /// `user`: number, domain, and where the server is.
    pub(super) fn start(
        dir: &TestDir,
        name: &str,
        user: [&str; 3],
        voice: &Path,
        sound: &NullSink,
    ) -> Self {
        let [number, domain, server] = user;
        let account = format!(
            "<sip:{number}@{domain};transport=udp>;auth_user={number};\
             auth_pass=secret{number};outbound=\"sip:{server};transport=udp\";regint=60;\
             answermode=manual;audio_codecs=PCMU/8000/1\n"
        );
        Self {
            baresip: Baresip::start_user(dir.join(name), &account, voice, sound),
            domain: domain.to_owned(),
            call: Call::None,
        }
    }

    /// Takes in what happened.
    fn drain(&mut self) {
        while let Some(event) = self.baresip.poll_event() {
            self.handle(&event);
        }
    }

    fn handle(&mut self, event: &Value) {
        let text = |key: &str| event[key].as_str().unwrap_or_default().to_owned();
        match event["type"].as_str().unwrap_or_default() {
            "CALL_INCOMING" => self.call = Call::Incoming(text("peeruri")),
            "CALL_RINGING" | "CALL_PROGRESS" => self.call = Call::Ringback,
            "CALL_ESTABLISHED" => self.call = Call::Talking,
            // One that was never answered is over for both.
            "CALL_CLOSED" if matches!(self.call, Call::Incoming(_)) => self.call = Call::None,
            "CALL_CLOSED" if self.call != Call::None => self.call = Call::Over(text("param")),
            _ => {}
        }
    }

    fn until(&mut self, what: &str, within: Duration, holds: impl Fn(&Self) -> bool) {
        let end = Instant::now() + within;
        loop {
            self.drain();
            if holds(self) {
                return;
            }
            assert!(
                Instant::now() < end,
                "not within {within:?}: {what}; {:?}\n{}",
                self.call,
                self.baresip.log()
            );
        }
    }

    pub(super) fn is_registered(&mut self, within: Duration) {
        // It may have been before its control connection was there: the log knows.
        self.until("baresip registers", within, |user| {
            user.baresip.log().contains("200 OK")
        });
    }

    pub(super) fn is_talking(&mut self, within: Duration) {
        self.until("baresip talks", within, |user| user.call == Call::Talking);
    }

    /// What it played in its call.
    pub(super) fn heard(&self) -> PathBuf {
        self.baresip.played()
    }

    pub(super) fn step(&mut self, words: &[&str], line: &str) {
        self.drain();
        match words {
            [_, "lifts"] => {
                if matches!(self.call, Call::Incoming(_)) {
                    self.baresip.command("accept", "");
                    self.is_talking(SOON);
                }
            }
            [_, "calls" | "presses", number] => {
                let address = format!("sip:{number}@{}", self.domain);
                self.baresip.command("dial", &address);
                self.call = Call::Outgoing;
            }
            [_, "hangs", "up"] => {
                if !matches!(self.call, Call::None | Call::Over(_)) {
                    self.baresip.command("hangup", "");
                }
                self.call = Call::None;
            }
            [_, "rings"] => {
                let rings = |user: &Self| matches!(user.call, Call::Incoming(_));
                self.until(line, SOON, rings);
            }
            [_, "does", "not", "ring"] => {
                let end = Instant::now() + Duration::from_secs(2);
                while Instant::now() < end {
                    self.drain();
                    assert!(!matches!(self.call, Call::Incoming(_)), "{line}");
                }
            }
            [_, "hears", "ringback"] => {
                self.until(line, SOON, |user| user.call == Call::Ringback);
            }
            // Busy here, busy everywhere, declined.
            [_, "hears", tone] => self.until(line, SOON, |user| {
                let Call::Over(why) = &user.call else {
                    return false;
                };
                let busy = ["486", "600", "603"].iter().any(|code| why.contains(code));
                busy == (*tone == "busy")
            }),
            [_, "is", "idle"] => self.until(line, SOON, |user| {
                matches!(user.call, Call::None | Call::Over(_))
            }),
            [_, "sees", who] => self.until(
                line,
                SOON,
                |user| matches!(&user.call, Call::Incoming(peer) if peer.contains(who)),
            ),
            _ => panic!("not understood of a baresip: {line}"),
        }
    }

    pub(super) fn ends(&mut self) {
        self.baresip.quit();
    }
}
