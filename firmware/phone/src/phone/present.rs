//! What is heard, rung and lit: derived from the state, emitted when it differs from what was
//! emitted before.
//!
//! ```text
//! state, active call, lines ─▶ wanted ─▶ compare with `emitted` ─▶ Output::{Ring, Connect, Tone, KeyTone, Lamp}
//! ```

use types::{Key, Lamp, LampState};

use super::Phone;
use crate::announcement::Announcement;
use crate::call::CallState;
use crate::input::{Alert, CallId, Encryption};
use crate::output::{Output, RingStyle, Tone};
use crate::state::{Phase, State};
use crate::volume::Levels;

/// What was emitted last. At the start: silence and dark lamps.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Presentation {
    pub(super) tone: Option<Tone>,
    key_tone: Option<Key>,
    speech: Option<Announcement>,
    ring: Option<RingStyle>,
    connected: Vec<CallId>,
    muted: bool,
    levels: Levels,
    /// By [`Lamp::ALL`]; `None` is off.
    lamps: [Option<LampState>; Lamp::ALL.len()],
}

impl Phone {
    /// Emits what changed.
    pub(super) fn present(&mut self) {
        let wanted = self.wanted();
        if wanted.ring != self.emitted.ring {
            self.out.push_back(Output::Ring(wanted.ring));
        }
        if wanted.muted != self.emitted.muted {
            self.out.push_back(Output::Mute(wanted.muted));
        }
        if wanted.levels != self.emitted.levels {
            self.out.push_back(Output::Levels(wanted.levels));
        }
        if wanted.connected != self.emitted.connected {
            self.out
                .push_back(Output::Connect(wanted.connected.clone()));
        }
        if wanted.tone != self.emitted.tone {
            self.out.push_back(Output::Tone(wanted.tone));
        }
        if wanted.speech != self.emitted.speech {
            let speech = wanted.speech.clone().map(Box::new);
            self.out.push_back(Output::Speak(speech));
        }
        if wanted.key_tone != self.emitted.key_tone {
            self.out.push_back(Output::KeyTone(wanted.key_tone));
        }
        for (index, lamp) in Lamp::ALL.into_iter().enumerate() {
            if wanted.lamps[index] != self.emitted.lamps[index] {
                self.out.push_back(Output::Lamp(
                    lamp,
                    wanted.lamps[index].unwrap_or(LampState::Off),
                ));
            }
        }
        self.emitted = wanted;
    }

    fn wanted(&self) -> Presentation {
        // While the hook is down nothing is heard, even if that may become a flash.
        let hook_down = self.flash_from.is_some();
        let ring = if self.state == State::Ringing {
            let mut calls = self.calls.iter();
            let ringing = calls.find(|call| call.state == CallState::Ringing);
            ringing
                .filter(|_| !self.silenced)
                .map(|call| RingStyle { alert: call.alert })
        } else if self.reminder.is_some() || self.ordered.is_some() {
            Some(RingStyle {
                alert: Alert::Normal,
            })
        } else {
            // Announced only while talking, and by the normal ring whatever the caller asked for:
            // the announcement must be heard.
            self.announced.map(|_| RingStyle {
                alert: Alert::Normal,
            })
        };
        let speech = self.speech.speaking().filter(|_| !hook_down).cloned();
        Presentation {
            tone: self
                .wanted_tone()
                .filter(|_| !hook_down && speech.is_none()),
            speech,
            key_tone: self
                .key
                .filter(|key| key.heard && !hook_down)
                .map(|key| key.key),
            ring,
            connected: if hook_down {
                Vec::new()
            } else {
                self.wanted_calls()
            },
            muted: self.muted || self.mute,
            levels: self.wanted_levels(),
            lamps: [
                self.lines.ready().then_some(LampState::On),
                self.in_use_lamp(),
                self.message_lamp(),
                self.encrypted_lamp(),
                (self.muted || self.mute).then_some(LampState::On),
                self.hands_free_lamp(),
                (self.state == State::Ringing || self.ordered.is_some()).then_some(LampState::Fast),
            ],
        }
    }

    fn wanted_tone(&self) -> Option<Tone> {
        let waiting = self
            .calls
            .first(CallState::Waiting)
            .map(|_| Tone::CallWaiting);
        match self.state {
            State::EarlyMedia | State::Talking if self.warning.is_some() => Some(Tone::Unprotected),
            State::EarlyMedia if !self.early_sound => Some(Tone::Ringback),
            State::Idle
            | State::Ringing
            | State::Calling
            | State::EarlyMedia
            | State::Silent
            | State::SetUp => None,
            State::DialTone if self.confirmed => Some(Tone::Confirmation),
            State::DialTone if self.second_dial_tone => Some(Tone::RecallDial),
            State::DialTone if self.messages => Some(Tone::StutterDial),
            State::DialTone => Some(Tone::Dial),
            State::Collecting => self.second_dial_tone.then_some(Tone::RecallDial),
            State::Ringback => Some(Tone::Ringback),
            State::Talking | State::OnHold => waiting,
            State::Busy => Some(Tone::Busy),
            State::Congestion => Some(Tone::Congestion),
            State::Howler => Some(Tone::Howler),
        }
    }

    /// The call the handset is connected with.
    fn wanted_call(&self) -> Option<CallId> {
        self.active.filter(|_| self.state.is_connected())
    }

    /// That call, and in a conference the others.
    fn wanted_calls(&self) -> Vec<CallId> {
        let Some(active) = self.wanted_call() else {
            return Vec::new();
        };
        let talking = |call: &&crate::call::Call| call.state == CallState::Talking;
        let others = self.calls.iter().filter(talking).map(|call| call.id);
        let mut all: Vec<CallId> = others.filter(|call| *call != active).collect();
        all.push(active);
        all.sort_unstable();
        all
    }

    /// Lit while messages wait, blinking slowly after a missed call.
    fn message_lamp(&self) -> Option<LampState> {
        if self.messages {
            Some(LampState::On)
        } else {
            self.missed.then_some(LampState::Slow)
        }
    }

    /// Lit while the room may be heard; blinking fast while only an announcement is.
    fn hands_free_lamp(&self) -> Option<LampState> {
        if self.speaker || self.hands_free {
            Some(LampState::On)
        } else {
            self.paged.then_some(LampState::Fast)
        }
    }

    fn encrypted_lamp(&self) -> Option<LampState> {
        let call = self.calls.get(self.wanted_call()?)?;
        match call.encryption {
            Encryption::Unwanted => None,
            Encryption::Missing => Some(LampState::Fast),
            Encryption::Pending => Some(LampState::Slow),
            Encryption::Working => Some(LampState::On),
        }
    }

    fn in_use_lamp(&self) -> Option<LampState> {
        match self.state.phase() {
            Phase::OnHook if self.state == State::Ringing => Some(LampState::Fast),
            Phase::OnHook => None,
            Phase::Held => Some(LampState::Slow),
            Phase::Dialling
            | Phase::Placing
            | Phase::Connected
            | Phase::Failed
            | Phase::SettingUp => Some(LampState::On),
        }
    }
}
