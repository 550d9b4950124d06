//! What the phone says with a voice, and when: a tone comes first, the words follow it once.
//!
//! ```text
//! confirmation, congestion, dial tone with a fault ─▶ due ─▶ speaking ─ Input::Spoken, state left, too long ─▶ tone again
//! dial tone of a phone no one set up ─ no key ─▶ State::SetUp ─ keys ─▶ Prompt … ─▶ Output::SetUp(answers)
//! ```

use std::time::{Duration, Instant};

use types::Key;

use super::{Phone, State};
use crate::announcement::Announcement;
use crate::note::{DialError, Note};
use crate::output::Output;
use crate::set_up::{Reply, SetUp};

/// A tone is heard so long before words say what it means.
const TONE_FIRST: Duration = Duration::from_millis(1500);
/// Longest announcement: an owner that never reports its end does not keep the phone silent.
const LONGEST: Duration = Duration::from_secs(40);
/// Dial tone of a phone that no one set up: a number dialled within this time is dialled.
const BEFORE_SET_UP: Duration = Duration::from_secs(4);
/// How long a question of the set-up waits for a key.
const QUESTION: Duration = Duration::from_secs(60);
/// How often it is repeated.
const MAX_REPEATS: u32 = 2;
/// One beep of a fault's code with its pause, and the pause behind the last: see `tones` in
/// `control`.
const BEEP: Duration = Duration::from_millis(400);
const AFTER_BEEPS: Duration = Duration::from_millis(600);

/// What is said, and what is about to be.
#[derive(Debug, Default)]
pub(super) struct Speech {
    /// Spoken at this time, if the state is still the same.
    due: Option<(Instant, Announcement)>,
    /// Spoken now; until when at most.
    now: Option<(Announcement, Instant)>,
    /// What is wrong with the configuration.
    fault: Option<u8>,
    /// It was said since the handset was lifted.
    fault_said: bool,
    /// No one has set this phone up yet, and its owner can write the answers.
    can_set_up: bool,
    /// There is no network: the dialogue asks for one.
    has_no_network: bool,
    /// When the dialogue begins.
    set_up_at: Option<Instant>,
    set_up: Option<SetUp>,
    /// How often the open question was repeated.
    repeats: u32,
}

impl Speech {
    /// The state changes: nothing of before is said any more.
    pub(super) fn clear(&mut self) {
        self.due = None;
        self.now = None;
        self.set_up_at = None;
    }

    /// What is to be heard.
    pub(super) fn speaking(&self) -> Option<&Announcement> {
        self.now.as_ref().map(|(announcement, _)| announcement)
    }

    pub(super) fn next(&self) -> Option<Instant> {
        let due = self.due.as_ref().map(|(at, _)| *at);
        let until = self.now.as_ref().map(|(_, until)| *until);
        [due, until, self.set_up_at].into_iter().flatten().min()
    }

    fn say(&mut self, announcement: Announcement, now: Instant) {
        self.due = None;
        self.now = Some((announcement, now + LONGEST));
    }
}

impl Phone {
    /// Something is wrong with the configuration: it is said after lifting. `None`: no more.
    pub fn set_fault(&mut self, code: Option<u8>) {
        self.speech.fault = code;
    }

    /// Whether the fault was said since the handset was lifted: the dial tone after it needs no
    /// beeps.
    pub fn fault_is_said(&self) -> bool {
        self.speech.fault_said
    }

    /// This phone has no settings, and its owner can write what is keyed: after lifting, when
    /// nothing is dialled, a voice asks for country and account.
    pub fn offer_set_up(&mut self, can: bool) {
        self.speech.can_set_up = can;
    }

    /// Whether the phone has an address; without one the set-up asks for a network.
    pub fn set_network(&mut self, is_there: bool) {
        self.speech.has_no_network = !is_there;
    }

    /// The answers of the set-up were written, or could not be.
    pub(super) fn on_set_up_written(&mut self, written: bool, now: Instant) {
        if written {
            self.speech.can_set_up = false;
        }
        if self.state == State::SetUp
            && let Some(set_up) = &mut self.speech.set_up
            && !written
        {
            let prompt = set_up.handle_failure();
            self.speech.say(Announcement::SetUp(prompt), now);
        }
    }

    /// What was to be said is said.
    pub(super) fn on_spoken(&mut self) {
        if let Some((announcement, _)) = self.speech.now.take() {
            self.speech.fault_said |= matches!(announcement, Announcement::Fault(_));
            self.confirmed = false;
        }
    }

    pub(super) fn speech_timeout(&mut self, now: Instant) -> bool {
        if self.speech.due.as_ref().is_some_and(|(at, _)| *at <= now) {
            if let Some((_, announcement)) = self.speech.due.take() {
                self.speech.say(announcement, now);
            }
        } else if self.speech.now.as_ref().is_some_and(|(_, at)| *at <= now) {
            self.on_spoken();
        } else if self.speech.set_up_at.is_some_and(|at| at <= now) {
            self.begin_set_up(now);
        } else {
            return false;
        }
        true
    }

    /// Dial tone begins: what is wrong is said after its beeps, and a phone without settings asks
    /// for them.
    pub(super) fn speak_at_dial_tone(&mut self, now: Instant) {
        if let Some(code) = self.speech.fault.filter(|_| self.speaks)
            && !self.speech.fault_said
        {
            let beeps = BEEP * u32::from(code) + AFTER_BEEPS;
            self.speech.due = Some((now + beeps, Announcement::Fault(code)));
        } else if self.speech.can_set_up {
            self.speech.set_up_at = Some(now + BEFORE_SET_UP);
        }
    }

    /// The handset was lifted.
    pub(super) fn speech_at_lift(&mut self) {
        self.speech.fault_said = false;
    }

    /// A tone is heard; words say what it means.
    pub(super) fn explain(&mut self, announcement: Announcement, now: Instant) {
        if self.speaks {
            self.speech.due = Some((now + TONE_FIRST, announcement));
        }
    }

    /// Something that is only spoken.
    pub(super) fn announce_at_once(&mut self, announcement: Announcement, now: Instant) {
        self.confirm(now);
        self.confirmed = false;
        self.speech.say(announcement, now);
    }

    /// Something spoken in place of the tone, in the state there is.
    pub(super) fn say_at_once(&mut self, announcement: Announcement, now: Instant) {
        if self.speaks {
            self.speech.say(announcement, now);
        }
    }

    /// Why a tone of failure is heard.
    pub(super) fn explain_failure(&mut self, why: &Note, now: Instant) {
        if let Note::NotDialled(error) = why {
            self.explain(Announcement::NotDialled(error.clone()), now);
        } else if let Note::Failed { cause, .. } = why {
            self.explain(Announcement::Failed(cause.code), now);
        }
    }

    fn begin_set_up(&mut self, now: Instant) {
        let set_up = SetUp::new(!self.speech.has_no_network);
        let prompt = set_up.prompt(false);
        self.enter(State::SetUp, Some(now + QUESTION));
        self.speech.set_up = Some(set_up);
        self.speech.repeats = 0;
        self.speech.say(Announcement::SetUp(prompt), now);
    }

    /// A key in the dialogue.
    pub(super) fn set_up_key(&mut self, key: Key, now: Instant) {
        let Some(set_up) = &mut self.speech.set_up else {
            return;
        };
        let reply = set_up.handle_key(key);
        // What was being said is understood.
        self.speech.now = None;
        self.speech.repeats = 0;
        self.step = Some(now + QUESTION);
        match reply {
            Reply::Nothing => {}
            Reply::Say(prompt) => self.speech.say(Announcement::SetUp(prompt), now),
            Reply::Save(answers) => {
                let prompt = set_up.prompt(false);
                self.out.push_back(Output::SetUp(Box::new(answers)));
                self.speech.say(Announcement::SetUp(prompt), now);
            }
        }
    }

    /// Nothing was keyed for a while: the question again, and then no more.
    pub(super) fn set_up_waits(&mut self, now: Instant) {
        let repeats = self.speech.repeats + 1;
        match &self.speech.set_up {
            Some(set_up) if repeats <= MAX_REPEATS => {
                let prompt = set_up.prompt(false);
                self.speech.repeats = repeats;
                self.step = Some(now + QUESTION);
                self.speech.say(Announcement::SetUp(prompt), now);
            }
            Some(_) | None => self.not_dialled(DialError::Nothing, now),
        }
    }
}
