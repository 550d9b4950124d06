//! What is heard, rung and lit: derived from the state, told when it differs from what was told
//! before.
//!
//! ```text
//! state, active call, lines ─▶ wanted ─▶ compare with `shown` ─▶ Output::{Ring, Connect, Tone, KeyTone, Lamp}
//! ```

use types::{Key, Lamp, LampState};

use super::Phone;
use crate::call::CallState;
use crate::input::{Alert, CallId, Encryption};
use crate::output::{Output, RingStyle, State, Tone};

/// What the owner was told last. At the start: silence and darkness.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Shown {
    pub(super) tone: Option<Tone>,
    key_tone: Option<Key>,
    ring: Option<RingStyle>,
    connected: Option<CallId>,
    muted: bool,
    /// Line, in use, message, private; `None` is off.
    lamps: [Option<LampState>; 4],
}

impl Phone {
    /// Tells the owner what changed.
    pub(super) fn present(&mut self) {
        let wanted = self.wanted();
        if wanted.ring != self.shown.ring {
            self.out.push_back(Output::Ring(wanted.ring));
        }
        if wanted.muted != self.shown.muted {
            self.out.push_back(Output::Mute(wanted.muted));
        }
        if wanted.connected != self.shown.connected {
            self.out
                .push_back(Output::Connect(wanted.connected.into_iter().collect()));
        }
        if wanted.tone != self.shown.tone {
            self.out.push_back(Output::Tone(wanted.tone));
        }
        if wanted.key_tone != self.shown.key_tone {
            self.out.push_back(Output::KeyTone(wanted.key_tone));
        }
        for (index, lamp) in Lamp::ALL.into_iter().enumerate() {
            if wanted.lamps[index] != self.shown.lamps[index] {
                self.out.push_back(Output::Lamp(
                    lamp,
                    wanted.lamps[index].unwrap_or(LampState::Off),
                ));
            }
        }
        self.shown = wanted;
    }

    fn wanted(&self) -> Shown {
        // While the hook is down nothing is heard, even if that may become a flash.
        let deaf = self.flash_from.is_some();
        let ring = match self.state {
            State::Ringing => self
                .calls
                .iter()
                .find(|call| call.state == CallState::Ringing)
                .map(|call| RingStyle { alert: call.alert }),
            // Whatever ring the caller wished for: not none.
            State::Talking => self.announced.map(|_| RingStyle {
                alert: Alert::Normal,
            }),
            State::Idle
            | State::DialTone
            | State::Collecting
            | State::Calling
            | State::Ringback
            | State::EarlyMedia
            | State::Busy
            | State::Congestion
            | State::Howler
            | State::Silent
            | State::OnHold => None,
        };
        Shown {
            tone: self.wanted_tone().filter(|_| !deaf),
            key_tone: self.key.filter(|key| key.heard && !deaf).map(|key| key.key),
            ring,
            connected: self.wanted_call().filter(|_| !deaf),
            muted: self.muted,
            lamps: [
                self.lines.ready().then_some(LampState::On),
                self.in_use_lamp(),
                self.messages.then_some(LampState::On),
                self.private_lamp(),
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
            State::Idle | State::Ringing | State::Calling | State::EarlyMedia | State::Silent => {
                None
            }
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
        match self.state {
            State::EarlyMedia | State::Talking => self.active,
            State::Idle
            | State::Ringing
            | State::DialTone
            | State::Collecting
            | State::Calling
            | State::Ringback
            | State::Busy
            | State::Congestion
            | State::Howler
            | State::Silent
            | State::OnHold => None,
        }
    }

    fn private_lamp(&self) -> Option<LampState> {
        let call = self.calls.get(self.wanted_call()?)?;
        match call.encryption {
            Encryption::Unwanted => None,
            Encryption::Missing => Some(LampState::Fast),
            Encryption::Pending => Some(LampState::Slow),
            Encryption::Working => Some(LampState::On),
        }
    }

    fn in_use_lamp(&self) -> Option<LampState> {
        match self.state {
            State::Idle => None,
            State::Ringing => Some(LampState::Fast),
            State::OnHold => Some(LampState::Slow),
            State::DialTone
            | State::Collecting
            | State::Calling
            | State::Ringback
            | State::EarlyMedia
            | State::Talking
            | State::Busy
            | State::Congestion
            | State::Howler
            | State::Silent => Some(LampState::On),
        }
    }
}
