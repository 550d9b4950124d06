//! Feature keys (`dial.feature_keys`): each dials a number or a star code, chooses an account,
//! opens the redial list, the door or a conference. The key of a watched phone takes the call that
//! rings there.

use std::time::{Duration, Instant};

use config::schema::FeatureKey;
use types::Key;

use super::Phone;
use crate::announcement::Announcement;
use crate::dial_plan::Dialled;
use crate::note::DialError;
use crate::output::Output;
use crate::state::{Phase, State};

/// Most numbers of the redial list.
pub(super) const MOST_DIALLED: usize = 10;
/// A number of the redial list is dialled when no key follows for so long: it is spoken meanwhile.
const REDIAL_AFTER: Duration = Duration::from_secs(8);

impl Phone {
    /// A key of `dial.feature_keys`, from 0.
    pub(super) fn feature_key(&mut self, index: u8, now: Instant) {
        let mut keys = self.targets.feature_keys.iter();
        let found = keys.find(|(number, _)| *number == index + 1);
        let Some((_, what)) = found.cloned() else {
            return;
        };
        match what {
            FeatureKey::Door => return self.out.push_back(Output::OpenDoor),
            FeatureKey::Conference => return self.connect_held(),
            FeatureKey::RedialList | FeatureKey::Account(_) | FeatureKey::Dial(_) => {}
        }
        let steps_back = what == FeatureKey::RedialList && self.redial_at.is_some();
        if self.flash_from.is_some() || !(steps_back || self.make_ready_to_dial(now)) {
            return;
        }
        match what {
            FeatureKey::RedialList => self.redial_list(now),
            // Above.
            FeatureKey::Door | FeatureKey::Conference => {}
            FeatureKey::Account(name) => {
                let account = self.lines.named(&name);
                self.lines.choose(account);
                self.plan.choose(account);
            }
            FeatureKey::Dial(target) => {
                if !self.pick_up_at(&target, now) {
                    self.dial(Dialled::Number(target), now);
                }
            }
        }
    }

    /// The next older number that was dialled: spoken, and dialled when no key follows.
    fn redial_list(&mut self, now: Instant) {
        let next = self.redial_at.map_or(0, |at| at + 1);
        let at = if next < self.dialled.len() { next } else { 0 };
        let Some(number) = self.dialled.iter().rev().nth(at).cloned() else {
            return self.not_dialled(DialError::NothingToRedial, now);
        };
        self.enter(State::Collecting, Some(now + REDIAL_AFTER));
        self.redial_at = Some(at);
        self.digits.clone_from(&number);
        self.pending = Some(Dialled::Number(number.clone()));
        self.say_at_once(Announcement::Number(number), now);
    }

    /// A key was pressed in a call: the last of the code opens the door.
    pub(super) fn watch_door_code(&mut self, key: Key) {
        let Some(code) = &self.door_code else { return };
        self.door_keys.push(key.as_char());
        let end = self.door_keys.len().saturating_sub(code.len());
        self.door_keys.drain(..end);
        if self.door_keys == *code {
            self.door_keys.clear();
            self.out.push_back(Output::OpenDoor);
        }
    }

    /// A number was dialled: it is the newest of the list.
    pub(super) fn remember_dialled(&mut self, number: &str) {
        self.dialled.retain(|known| known != number);
        self.dialled.push(number.to_owned());
        if self.dialled.len() > MOST_DIALLED {
            self.dialled.remove(0);
        }
    }

    /// Brings the phone to where a number can be dialled. Returns whether it is there.
    fn make_ready_to_dial(&mut self, now: Instant) -> bool {
        match self.state.phase() {
            Phase::OnHook if self.state == State::Idle => {
                self.speaker = true;
                self.take_up(now);
                // A hotline has dialled already.
                self.state.takes_digits()
            }
            Phase::Dialling => self.digits.is_empty(),
            Phase::Connected if self.state == State::Talking && !self.hands_free => {
                let emergency = self.calls.iter().any(|call| call.emergency);
                if emergency || self.in_conference() || self.calls.full() {
                    return false;
                }
                self.release_key();
                self.hold_active();
                self.dial_tone(true, now);
                true
            }
            Phase::Failed => {
                self.dial_tone(false, now);
                self.state.takes_digits()
            }
            Phase::OnHook | Phase::Placing | Phase::Connected | Phase::Held | Phase::SettingUp => {
                false
            }
        }
    }

    /// Takes the call that rings at the watched phone with this number, where one does.
    fn pick_up_at(&mut self, target: &str, now: Instant) -> bool {
        let rings = self.pick_up.as_ref().is_some_and(|offer| {
            let watched = self.targets.watch.get(offer.watch);
            watched.is_some_and(|watched| watched == target)
        });
        rings && self.pick_up_watched(now)
    }
}
