//! The flash: a second call, swapping, three at once, and the digits that say which.
//!
//! ```text
//! Talking ─flash▶ call on hold, second dial tone ─number▶ second call ─flash▶ swapped, and for a while a digit may follow:
//!     1 ends the call heard before the flash    2 leaves them swapped    3 connects all three    4 connects the other two
//! a caller waits ─flash▶ a digit may come first (0 refuses, 1 ends this call, 2 holds it); without one it is answered
//! ```
//!
//! Without the menu (North America) the flash acts at once: it answers who waits, connects all
//! three in a consultation, ends the call added last, and swaps otherwise.

use std::time::{Duration, Instant};

use config::schema::Flash;
use types::Key;

use super::Phone;
use crate::call::CallState;
use crate::input::CallId;
use crate::note::{DialError, Note};
use crate::output::{CallOptions, Output};
use crate::state::State;

/// How long a flash waits for the digit that says what it means.
const MENU: Duration = Duration::from_millis(1500);

/// A flash that a digit may explain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FlashMenu {
    /// A caller waits: without a digit it is answered.
    Waiting { until: Instant },
    /// Two calls, swapped already.
    Swapped {
        /// The call that was heard before.
        before: CallId,
        until: Instant,
    },
}

impl FlashMenu {
    pub(super) fn until(self) -> Instant {
        match self {
            Self::Waiting { until } | Self::Swapped { until, .. } => until,
        }
    }
}

impl Phone {
    /// A flash, by hook or key.
    pub(super) fn flash(&mut self, now: Instant) {
        if self.call.flash == Flash::Off
            || self.hands_free
            || self.flash_from.is_some()
            || self.state.is_on_hook()
        {
            return;
        }
        if self.calls.iter().any(|call| call.emergency) {
            return self.note(Note::FlashInEmergency);
        }
        if self.call.flash == Flash::Network {
            if let Some(call) = self.active.filter(|_| self.state == State::Talking) {
                self.release_key();
                // The handset is connected again first: the event goes out in the place of sound
                // (RFC 4733), and a call that is not connected sends none.
                self.present();
                self.out.push_back(Output::FlashToNetwork(call));
            } else if self.state.has_failed() {
                self.dial_tone(false, now);
            }
            return;
        }
        let waiting = self.calls.first(CallState::Waiting);
        let held = self.calls.first(CallState::OnHold);
        match (self.state, waiting, held) {
            (State::Talking, ..) if self.in_conference() => self.leave_conference(now),
            (State::Talking, Some(_), _) if self.has_menu => {
                self.release_key();
                let until = now + MENU;
                self.menu = Some(FlashMenu::Waiting { until });
            }
            (State::Talking, None, Some(held)) if !self.has_menu && self.consults(held) => {
                self.connect_all(held);
            }
            (State::Talking, ..) => {
                self.release_key();
                let before = self.active;
                self.hold_active();
                match (waiting.or(held), before) {
                    (Some(next), Some(before)) => {
                        self.switch_to(next);
                        let until = now + MENU;
                        self.menu = self
                            .has_menu
                            .then_some(FlashMenu::Swapped { before, until });
                    }
                    (Some(next), None) => self.switch_to(next),
                    (None, _) => self.dial_tone(true, now),
                }
            }
            (_, Some(next), _) | (_, None, Some(next)) => {
                // The second call that was not established is given up.
                self.release_key();
                if let Some(active) = self.active {
                    self.end(active);
                }
                self.switch_to(next);
            }
            // Without a call to go to, a number being dialled or a call being placed is left alone.
            (_, None, None) if self.state.has_failed() => self.dial_tone(false, now),
            (_, None, None) => {}
        }
    }

    /// The digit after a flash. Returns whether it was one.
    pub(super) fn menu_key(&mut self, key: Key, now: Instant) -> bool {
        let Some(menu) = self.menu.take() else {
            return false;
        };
        match (menu, key) {
            (FlashMenu::Waiting { .. }, Key::Digit(0)) => self.refuse_waiting(),
            (FlashMenu::Waiting { .. }, Key::Digit(1)) => {
                if let Some(active) = self.active {
                    self.end(active);
                }
                self.answer_waiting();
            }
            (FlashMenu::Waiting { .. }, _) => self.answer_waiting(),
            (FlashMenu::Swapped { before, .. }, Key::Digit(1)) => {
                if self.call_state(before) == Some(CallState::OnHold) {
                    self.end(before);
                }
            }
            (FlashMenu::Swapped { .. }, Key::Digit(2)) => {}
            (FlashMenu::Swapped { before, .. }, Key::Digit(3)) => self.connect_all(before),
            (FlashMenu::Swapped { before, .. }, Key::Digit(4)) => self.connect_others(before, now),
            (FlashMenu::Swapped { .. }, _) => return false,
        }
        true
    }

    /// No digit came.
    pub(super) fn menu_over(&mut self) {
        if let Some(FlashMenu::Waiting { .. }) = self.menu.take() {
            self.answer_waiting();
        }
    }

    pub(super) fn answer_waiting(&mut self) {
        self.menu = None;
        // Only from a call in the hand, or with one on hold and nothing else.
        let here = self.state.has_established_call();
        if let Some(waiting) = self.calls.first(CallState::Waiting).filter(|_| here) {
            self.release_key();
            self.hold_active();
            self.switch_to(waiting);
        }
    }

    pub(super) fn refuse_waiting(&mut self) {
        self.menu = None;
        let waiting = self.calls.first(CallState::Waiting);
        if let Some(call) = waiting.and_then(|waiting| self.calls.remove(waiting)) {
            self.out.push_back(Output::Reject(call.id, 486));
            self.note(Note::Refused {
                from: call.peer,
                why: crate::note::Refusal::ByHand,
            });
        }
    }

    /// A call is on hold, and nothing is keyed yet after the flash that put it there.
    pub(super) fn only_holds(&self) -> bool {
        self.state == State::OnHold || (self.state == State::DialTone && self.second_dial_tone)
    }

    /// The call of the handset goes on hold, in a conference all of them.
    pub(super) fn hold_active(&mut self) {
        self.active = None;
        while let Some(call) = self.calls.first(CallState::Talking) {
            self.out.push_back(Output::Hold(call, true));
            self.calls.set(call, CallState::OnHold);
        }
    }

    /// More than one far end is connected.
    pub(super) fn in_conference(&self) -> bool {
        let talking = |call: &&crate::call::Call| call.state == CallState::Talking;
        self.calls.iter().filter(talking).count() > 1
    }

    /// The active call was placed to consult about this one, or the other way round.
    fn consults(&self, held: CallId) -> bool {
        let of = |call: CallId| self.calls.get(call).and_then(|call| call.consults);
        self.active
            .is_some_and(|active| of(active) == Some(held) || of(held) == Some(active))
    }

    /// The call on hold joins the one in the hand.
    fn connect_all(&mut self, held: CallId) {
        let emergency = self.calls.iter().any(|call| call.emergency);
        if self.call_state(held) == Some(CallState::OnHold)
            && self.state == State::Talking
            && !emergency
        {
            self.release_key();
            self.out.push_back(Output::Hold(held, false));
            self.calls.set(held, CallState::Talking);
            self.note(Note::Conference);
        }
    }

    /// Calls a number; when it is answered, it and the call on hold are connected.
    pub(super) fn conference_with(&mut self, number: &str, now: Instant) {
        if self.calls.first(CallState::OnHold).is_none() {
            return self.not_dialled(DialError::NothingToConnect, now);
        }
        self.place_number(number, CallOptions::default(), now);
        if let Some(placed) = self.active {
            self.calls.set_joins(placed);
        }
    }

    /// A call was answered: where it was placed for a conference, the call on hold joins.
    pub(super) fn join_at_answer(&mut self, answered: CallId) {
        let held = self.calls.take_joins(answered);
        if let Some(held) = held.filter(|_| self.active == Some(answered)) {
            self.connect_all(held);
        }
    }

    /// The call on hold joins, if there is one.
    pub(super) fn connect_held(&mut self) {
        if let Some(held) = self.calls.first(CallState::OnHold) {
            self.connect_all(held);
        }
    }

    /// A flash with three connected: with the menu all but the active call go on hold, without it
    /// the call added last ends.
    fn leave_conference(&mut self, now: Instant) {
        let Some(active) = self.active else { return };
        self.release_key();
        let mut others: Vec<CallId> = self
            .calls
            .iter()
            .filter(|call| call.state == CallState::Talking && call.id != active)
            .map(|call| call.id)
            .collect();
        if self.has_menu {
            for call in others {
                self.out.push_back(Output::Hold(call, true));
                self.calls.set(call, CallState::OnHold);
                let until = now + MENU;
                // A digit is about this call, as after a swap.
                self.menu = Some(FlashMenu::Swapped {
                    before: call,
                    until,
                });
            }
            return;
        }
        others.push(active);
        let newest = others.iter().copied().max();
        if let Some(newest) = newest {
            self.end(newest);
            self.active = others.into_iter().find(|call| *call != newest);
        }
    }

    /// Both far ends are connected with each other, and this phone is out of it.
    fn connect_others(&mut self, held: CallId, now: Instant) {
        let Some(active) = self.active else { return };
        if self.transfer(held, active) {
            self.confirm(now);
        }
    }
}
