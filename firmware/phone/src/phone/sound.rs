//! Volume, mute and talking without the handset.
//!
//! ```text
//! volume key ─▶ Volumes ─▶ Levels (present), and after a while Output::Remember
//! mute key ───▶ mute, until the phone rests
//! hands-free ─▶ speaker: the phone is in use though the handset lies; lifting it takes over
//! ```

use std::time::{Duration, Instant};

use types::FunctionKey;

use super::Phone;
use crate::call::CallState;
use crate::output::Output;
use crate::state::State;
use crate::volume::{Levels, VolumeOf};

/// A volume is kept so long after the last press, and do not disturb after the last order: who
/// presses or orders again and again does not wear the card out.
const KEEP_AFTER: Duration = Duration::from_secs(3);

impl Phone {
    /// The microphone is off, by its user's wish or because a call answered itself.
    pub fn is_muted(&self) -> bool {
        self.muted || self.mute
    }

    /// One talks without the handset: the room may be heard.
    pub fn is_hands_free(&self) -> bool {
        self.speaker || self.hands_free
    }

    /// A key beside the keypad.
    pub(super) fn function_key(&mut self, key: FunctionKey, now: Instant) {
        match key {
            FunctionKey::VolumeUp | FunctionKey::VolumeDown => {
                let of = self.volume_in_use();
                self.features.volumes.step(of, key);
                self.keep_soon(now);
            }
            FunctionKey::Mute => self.mute_key(),
            FunctionKey::HandsFree => self.hands_free_key(now),
            FunctionKey::Feature(index) => self.feature_key(index, now),
        }
    }

    /// Sets a volume by `ctl`.
    pub(super) fn set_volume(&mut self, of: VolumeOf, db: i8, now: Instant) {
        self.features.volumes.set(of, db);
        self.keep_soon(now);
    }

    /// Microphone off or on by `ctl`.
    pub(super) fn set_mute(&mut self, mute: bool) {
        if self.in_hand() || self.hands_free {
            self.unmute();
            self.mute = mute;
        }
    }

    /// The handset is lifted, or the hands-free key did what lifting does.
    pub(super) fn in_hand(&self) -> bool {
        self.off_hook || self.speaker
    }

    /// Only the loudspeaker is in use.
    pub(super) fn on_speaker(&self) -> bool {
        self.speaker && !self.off_hook
    }

    /// How loud everything is to be.
    pub(super) fn wanted_levels(&self) -> Levels {
        let (set, keyed) = (&self.levels, self.features.volumes);
        // An announcement to a phone that lies is for the room.
        let paged = self.paged && !self.in_hand();
        let hands_free = self.speaker || self.hands_free || paged;
        let ear_db = if hands_free {
            set.speaker_db.saturating_add(keyed.speaker_db)
        } else {
            set.earpiece_db.saturating_add(keyed.earpiece_db)
        };
        let of_speaker = set.speaker_microphone_db.filter(|_| hands_free);
        let microphone_db = of_speaker.unwrap_or(set.microphone_db);
        Levels {
            microphone_db: microphone_db.saturating_add(keyed.microphone_db),
            ear_db,
            ringer_db: set.ringer_db.saturating_add(keyed.ringer_db),
            hands_free,
        }
    }

    /// What the volume keys change now.
    fn volume_in_use(&self) -> VolumeOf {
        if self.state.is_on_hook() {
            VolumeOf::Ringer
        } else if self.speaker || self.hands_free {
            VolumeOf::Speaker
        } else {
            VolumeOf::Earpiece
        }
    }

    pub(super) fn keep_soon(&mut self, now: Instant) {
        self.remember_at = Some(now + KEEP_AFTER);
    }

    /// Volume keys and orders have rested.
    pub(super) fn remember(&mut self) {
        self.remember_at = None;
        let features = Box::new(self.features.clone());
        self.out.push_back(Output::Remember(features));
    }

    /// In use: microphone off or on. While it rings: silence.
    fn mute_key(&mut self) {
        if self.state == State::Ringing {
            self.silenced = true;
        } else if self.ordered.take().is_some() {
            // The bell is silent.
        } else if self.muted {
            // A call that answered itself: whoever presses the key wants to be heard.
            self.unmute();
        } else if self.in_hand() || self.hands_free {
            self.mute = !self.mute;
        }
    }

    fn hands_free_key(&mut self, now: Instant) {
        if self.flash_from.is_some() {
            return;
        }
        if self.hands_free {
            // A call that answered itself is taken over.
            self.hands_free = false;
            self.speaker = true;
            self.unmute();
        } else if self.on_speaker() {
            self.hang_up(now);
        } else if self.off_hook {
            self.speaker = !self.speaker;
        } else {
            self.speaker = true;
            self.take_up(now);
        }
    }

    /// What lifting does to a phone that rests or rings.
    pub(super) fn take_up(&mut self, now: Instant) {
        self.missed = false;
        self.speech_at_lift();
        match self.calls.first(CallState::Ringing) {
            Some(call) => self.answer(call),
            None if self.call_ordered(now) => {}
            None => self.dial_tone(false, now),
        }
    }
}
