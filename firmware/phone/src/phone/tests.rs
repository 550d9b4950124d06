//! Stories: what a person does, and what the phone does, in virtual time.

use std::time::{Duration, Instant};

use types::{Lamp, LampState};

use super::*;
use crate::announcement::Announcement;
use crate::input::{AccountId, Alert, CallUpdate, Encryption, EndCause};
use crate::output::{Destination, RingStyle};

mod bounce;
mod calls;
mod encryption;
mod features;
mod keys;
mod numbers;
mod order;

mod random;
mod remote;
mod speech;
mod transfer;
mod two_calls;

/// A phone, its clock, and everything it said since it was last asked.
struct Desk {
    phone: Phone,
    now: Instant,
    said: Vec<Output>,
    /// What is so now, by what was said.
    tone: Option<Tone>,
    key_tone: Option<Key>,
    ring: Option<RingStyle>,
    connected: Vec<CallId>,
    muted: bool,
    lamps: std::collections::BTreeMap<Lamp, LampState>,
    spoken: Option<Announcement>,
}

const ONE_LINE: &str = "[phone]\ncountry = \"de\"\n[[account]]\nuser = \"101\"\ndomain = \"pbx\"\n";

impl Desk {
    fn new(toml: &str) -> Self {
        let config = config::load(toml, "test").unwrap_or_else(|errors| panic!("{errors}"));
        let now = Instant::now_for_tests();
        let mut desk = Self {
            phone: Phone::new(&config),
            now,
            said: Vec::new(),
            tone: None,
            key_tone: None,
            ring: None,
            connected: Vec::new(),
            muted: false,
            lamps: std::collections::BTreeMap::new(),
            spoken: None,
        };
        desk.listen();
        desk
    }

    /// With one registered line.
    fn ready(toml: &str) -> Self {
        let mut desk = Self::new(&format!("{ONE_LINE}{toml}"));
        desk.does(Input::AccountStatus {
            account: AccountId(0),
            usable: true,
        });
        desk
    }

    fn listen(&mut self) {
        let before = self.said.len();
        while let Some(output) = self.phone.poll_output() {
            match &output {
                Output::Tone(tone) => self.tone = *tone,
                Output::KeyTone(key) => self.key_tone = *key,
                Output::Ring(ring) => self.ring = *ring,
                Output::Connect(calls) => self.connected.clone_from(calls),
                Output::Mute(muted) => self.muted = *muted,
                Output::Lamp(lamp, state) => {
                    self.lamps.insert(*lamp, *state);
                }
                Output::Speak(spoken) => self.spoken = spoken.as_deref().cloned(),
                Output::Levels(_)
                | Output::OpenDoor
                | Output::PlaceCall { .. }
                | Output::Follow { .. }
                | Output::Transfer { .. }
                | Output::Decline(_)
                | Output::Ringing(_)
                | Output::Answer(_)
                | Output::Reject(..)
                | Output::End(_)
                | Output::Hold(..)
                | Output::Dtmf(..)
                | Output::Maintenance(_)
                | Output::SetUpServer(_)
                | Output::Remember(_)
                | Output::SetUp(_)
                | Output::BlindTransfer { .. }
                | Output::Forward { .. }
                | Output::FlashToNetwork(_)
                | Output::Note(_) => {}
            }
            self.said.push(output);
            assert!(
                self.said.len() - before < 50,
                "the phone does not stop talking: {:?}",
                self.said
            );
        }
    }

    fn does(&mut self, input: Input) -> &mut Self {
        self.said.clear();
        self.phone.handle(input, self.now);
        self.listen();
        self
    }

    /// Lets time pass, every timer at its own moment.
    fn waits(&mut self, time: Duration) -> &mut Self {
        self.said.clear();
        let end = self.now + time;
        let mut rounds = 0;
        while let Some(at) = self.phone.poll_timeout().filter(|&at| at <= end) {
            self.now = self.now.max(at);
            self.phone.handle_timeout(self.now);
            self.listen();
            rounds += 1;
            assert!(rounds < 50, "timers do not come to rest");
        }
        self.now = end;
        self
    }

    fn waits_ms(&mut self, ms: u64) -> &mut Self {
        self.waits(Duration::from_millis(ms))
    }

    fn lifts(&mut self) -> &mut Self {
        self.does(Input::Hook(true))
    }

    fn puts_down(&mut self) -> &mut Self {
        self.does(Input::Hook(false))
    }

    /// Presses keys 100 ms each; what was said is collected over all of them.
    fn presses(&mut self, keys: &str) -> &mut Self {
        let mut all = Vec::new();
        for key in keys.chars() {
            let key = Key::from_char(key).unwrap();
            all.append(&mut self.does(Input::KeyDown(key)).said);
            all.append(&mut self.waits_ms(50).said);
            all.append(&mut self.does(Input::KeyUp(key)).said);
            all.append(&mut self.waits_ms(50).said);
        }
        self.said = all;
        self
    }

    fn hears(&mut self, call: CallId, update: CallUpdate) -> &mut Self {
        self.does(Input::Call(call, update))
    }

    fn ended(&mut self, call: CallId, code: Option<u16>) -> &mut Self {
        self.hears(
            call,
            CallUpdate::Ended(EndCause {
                code,
                reason: "Reason".to_owned(),
            }),
        )
    }

    fn rings(&mut self, from: &str) -> CallId {
        let call = self.phone.new_call();
        self.does(Input::Incoming {
            call,
            from: from.into(),
            alert: Alert::Normal,
            auto_answer: false,
        });
        call
    }

    /// The one call placed since last asked.
    fn placed(&self) -> (CallId, Destination) {
        let placed: Vec<_> = self
            .said
            .iter()
            .filter_map(|output| {
                if let Output::PlaceCall { call, to } = output {
                    Some((*call, to.clone()))
                } else {
                    None
                }
            })
            .collect();
        assert_eq!(placed.len(), 1, "{:?}", self.said);
        placed[0].clone()
    }

    fn said(&self, output: &Output) -> bool {
        self.said.contains(output)
    }

    fn noted(&self, words: &str) -> bool {
        self.said
            .iter()
            .any(|output| matches!(output, Output::Note(note) if note.to_string().contains(words)))
    }

    /// An established call.
    fn talking(toml: &str) -> (Self, CallId) {
        let mut desk = Self::ready(toml);
        let (call, _) = desk.lifts().presses("200#").placed();
        desk.hears(call, CallUpdate::Answered);
        assert_eq!(
            (desk.state(), &desk.connected[..]),
            (State::Talking, &[call][..])
        );
        (desk, call)
    }

    fn state(&self) -> State {
        self.phone.state()
    }

    /// At rest: nothing is heard, no timer runs.
    fn rests(&self) {
        assert_eq!(self.state(), State::Idle);
        assert_eq!(
            (self.tone, self.key_tone, self.ring, &self.connected[..]),
            (None, None, None, &[][..])
        );
        assert_eq!(self.spoken, None);
        // Only a volume that was changed may still be kept.
        assert_eq!(self.phone.poll_timeout(), self.phone.remember_at);
        assert_eq!(self.phone.calls.iter().count(), 0);
    }
}

/// The tests' own clock: any instant will do, it is never read again.
trait AnyInstant {
    fn now_for_tests() -> Instant;
}

impl AnyInstant for Instant {
    #[expect(
        clippy::disallowed_methods,
        reason = "a test must begin somewhere; every later time is this plus a virtual duration"
    )]
    fn now_for_tests() -> Instant {
        Instant::now()
    }
}

#[test]
fn lift_gives_the_dial_tone_and_putting_down_ends_it() {
    let mut desk = Desk::ready("");
    assert!(desk.lifts().said(&Output::Tone(Some(Tone::Dial))));
    assert!(desk.said(&Output::Lamp(Lamp::InUse, LampState::On)));
    assert_eq!(desk.state(), State::DialTone);
    desk.puts_down().rests();
    assert!(desk.said(&Output::Lamp(Lamp::InUse, LampState::Off)));
}

#[test]
fn messages_make_it_stutter() {
    let mut desk = Desk::ready("");
    assert!(
        desk.does(Input::MessagesWaiting(true))
            .said(&Output::Lamp(Lamp::Message, LampState::On))
    );
    assert_eq!(desk.lifts().tone, Some(Tone::StutterDial));
}

#[test]
fn ringback_early_media_answer_and_hang_up() {
    let mut desk = Desk::ready("[call]\nflash = \"key\"");
    let (call, _) = desk.lifts().presses("200#").placed();
    assert_eq!((desk.state(), desk.tone), (State::Calling, None));
    desk.hears(call, CallUpdate::Ringing);
    assert_eq!(
        (desk.state(), desk.tone),
        (State::Ringback, Some(Tone::Ringback))
    );
    desk.hears(call, CallUpdate::EarlyMedia);
    assert_eq!(
        (desk.state(), desk.tone, &desk.connected[..]),
        (State::EarlyMedia, Some(Tone::Ringback), &[call][..]),
        "nothing is heard of it yet"
    );
    desk.hears(call, CallUpdate::EarlySound(true));
    assert_eq!(desk.tone, None);
    desk.hears(call, CallUpdate::EarlySound(false));
    assert_eq!(desk.tone, Some(Tone::Ringback), "it fell silent");
    desk.hears(call, CallUpdate::EarlySound(true));
    // The far end keeps being heard when a 180 follows.
    desk.hears(call, CallUpdate::Ringing);
    assert_eq!((desk.state(), desk.tone), (State::EarlyMedia, None));
    desk.hears(call, CallUpdate::Answered);
    assert_eq!(
        (desk.state(), desk.phone.call_state(call)),
        (State::Talking, Some(CallState::Talking))
    );
    assert!(desk.puts_down().said(&Output::End(call)));
    desk.rests();
    // What is reported of it later changes nothing.
    desk.ended(call, None).rests();
}

#[test]
fn busy_tone_for_busy_and_congestion_for_the_rest() {
    for (code, tone) in [
        (486, Tone::Busy),
        (600, Tone::Busy),
        (603, Tone::Busy),
        (404, Tone::Congestion),
        (503, Tone::Congestion),
        (488, Tone::Congestion),
    ] {
        let mut desk = Desk::ready("");
        let (call, _) = desk.lifts().presses("200#").placed();
        desk.hears(call, CallUpdate::Ringing)
            .ended(call, Some(code));
        assert_eq!(desk.tone, Some(tone), "{code}");
        assert!(
            desk.noted(&format!("call to 200 failed: {code} Reason")),
            "{:?}",
            desk.said
        );
        desk.puts_down().rests();
    }
}

#[test]
fn an_unanswered_call_is_given_up() {
    let mut desk = Desk::ready("[call]\nno_answer_s = 60");
    let (call, _) = desk.lifts().presses("200#").placed();
    desk.waits_ms(30_000)
        .hears(call, CallUpdate::Ringing)
        .waits_ms(59_990);
    assert_eq!(desk.state(), State::Ringback);
    assert!(desk.waits_ms(20).said(&Output::End(call)));
    assert_eq!(desk.state(), State::Congestion);
}

#[test]
fn left_off_hook_congestion_howler_silence() {
    let (mut desk, call) = Desk::talking("[call]\nhowler_after_s = 20\nhowler_s = 30");
    desk.ended(call, None);
    assert_eq!(
        (desk.state(), desk.tone, &desk.connected[..]),
        (State::Congestion, Some(Tone::Congestion), &[][..])
    );
    desk.waits_ms(20_001);
    assert_eq!(
        (desk.state(), desk.tone),
        (State::Howler, Some(Tone::Howler))
    );
    desk.waits_ms(30_000);
    assert_eq!((desk.state(), desk.tone), (State::Silent, None));
    assert_eq!(desk.phone.poll_timeout(), None);
    desk.puts_down().rests();
    // Without a howler silence follows at once.
    let (mut desk, call) = Desk::talking("[call]\nhowler_after_s = 20\nhowler_s = 0");
    desk.ended(call, None).waits_ms(20_001);
    assert_eq!(desk.state(), State::Silent);
}

#[test]
fn dial_tone_does_not_last_for_ever() {
    let mut desk = Desk::ready("");
    desk.lifts().waits_ms(30_000);
    assert_eq!(desk.state(), State::Congestion);
    assert_eq!(desk.waits_ms(90_000).state(), State::Silent);
}

#[test]
fn the_line_lamp_follows_the_lines() {
    let mut desk = Desk::new(ONE_LINE);
    assert!(
        desk.does(Input::AccountStatus {
            account: AccountId(0),
            usable: true
        })
        .said(&Output::Lamp(Lamp::Line, LampState::On))
    );
    assert!(
        desk.does(Input::AccountStatus {
            account: AccountId(7),
            usable: true
        })
        .said
        .is_empty()
    );
    assert!(
        desk.does(Input::AccountStatus {
            account: AccountId(0),
            usable: false
        })
        .said(&Output::Lamp(Lamp::Line, LampState::Off))
    );
}

#[test]
fn ids_are_never_given_twice() {
    let mut desk = Desk::ready("");
    desk.does(Input::Incoming {
        call: CallId(7),
        from: "anna".into(),
        alert: Alert::Normal,
        auto_answer: false,
    });
    assert_eq!(desk.phone.new_call(), CallId(8));
    // One that is known already is no new call.
    assert_eq!(
        desk.does(Input::Incoming {
            call: CallId(7),
            from: "b".into(),
            alert: Alert::Normal,
            auto_answer: false
        })
        .said,
        []
    );
}

#[test]
fn a_caller_name_stays_one_short_line() {
    let mut desk = Desk::ready("");
    desk.rings(&format!("anna\r\n{}", "x".repeat(10_000)));
    let notes: Vec<_> = desk
        .said
        .iter()
        .filter_map(|output| {
            if let Output::Note(note) = output {
                Some(note.to_string())
            } else {
                None
            }
        })
        .collect();
    assert!(
        notes
            .iter()
            .all(|text| text.len() < 200 && !text.contains(char::is_control)),
        "{notes:?}"
    );
}
