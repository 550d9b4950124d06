//! The hook: lifting, putting down; and answering, which is what lifting is for.

use std::time::Instant;

use config::schema::Flash;

use super::{ANNOUNCEMENT, COMES_TO_REST, DIAL_TONE, Phone};
use crate::call::CallState;
use crate::dial_plan::Dialled;
use crate::input::CallId;
use crate::note::Note;
use crate::output::Output;
use crate::state::State;

impl Phone {
    pub(super) fn lift(&mut self, now: Instant) {
        if self.off_hook {
            return;
        }
        self.off_hook = true;
        if std::mem::replace(&mut self.speaker, false) {
            // The call, or the number being dialled, goes on in the handset.
            return;
        }
        self.missed = false;
        self.speech_at_lift();
        if let Some(from) = self.flash_from.take() {
            // A longer pulse fired the window's timer before this. A shorter one was a knock, no
            // flash.
            let length = now.saturating_duration_since(from);
            if length >= self.flash_window.0 && !self.may_bounce(from) {
                self.flash(now);
            }
            return;
        }
        if self.hands_free {
            // The user takes the call over; it is connected already.
            self.hands_free = false;
            self.unmute();
            return;
        }
        // On hook the phone is idle, rings, or is hands-free; nothing else can be.
        if self.state.is_on_hook() {
            self.take_up(now);
            self.taken_up = self.state.has_call().then_some(now);
        }
    }

    pub(super) fn put_down(&mut self, now: Instant) {
        let was_off_hook = std::mem::replace(&mut self.off_hook, false);
        if self.speaker {
            // It goes on in the loudspeaker.
            return;
        }
        let by_hook = matches!(self.call.flash, Flash::Hook | Flash::Network);
        let means_flash = by_hook && self.flash_means_something();
        if was_off_hook && (means_flash || self.may_bounce(now)) {
            self.release_key();
            self.flash_from = Some(now);
        } else if self.flash_from.is_none() {
            self.hang_up(now);
        }
    }

    /// Whether a hook that goes down at this time may only bounce: lifting it has just answered a
    /// call, or placed one.
    pub(super) fn may_bounce(&self, at: Instant) -> bool {
        let since = self
            .taken_up
            .map(|taken_up| at.saturating_duration_since(taken_up));
        since.is_some_and(|since| since < COMES_TO_REST) && !self.state.is_on_hook()
    }

    /// In a call, or with one on hold or waiting. Never in an emergency call: no accidental flash
    /// may hold it.
    fn flash_means_something(&self) -> bool {
        let emergency = self.calls.iter().any(|call| call.emergency);
        let held = self
            .calls
            .first(CallState::OnHold)
            .or(self.calls.first(CallState::Waiting))
            .is_some_and(|_| self.call.flash == Flash::Hook);
        let here = !self.state.is_on_hook() && (self.state == State::Talking || held);
        here && !emergency
    }

    /// The handset is down for good: every call of it ends. One that rings or waits is not answered
    /// yet and (still) rings.
    pub(super) fn hang_up(&mut self, now: Instant) {
        self.flash_from = None;
        // Nothing to put down: a call that rings goes on ringing.
        if self.state.is_on_hook() {
            return;
        }
        self.release_key();
        self.transfer_on_hang_up();
        let ours: Vec<CallId> = self
            .calls
            .iter()
            .filter(|call| call.state.of_handset())
            .map(|call| call.id)
            .collect();
        for call in ours {
            self.end(call);
        }
        self.on_hook(now);
    }

    /// The handset is free again: ring for a waiting call, or rest.
    pub(super) fn on_hook(&mut self, now: Instant) {
        self.hands_free = false;
        self.speaker = false;
        self.mute = false;
        match self.calls.first(CallState::Waiting) {
            Some(call) => {
                self.calls.set(call, CallState::Ringing);
                self.ring(call, false, now);
            }
            None => self.enter(State::Idle, None),
        }
    }

    /// Rings for a call, and sets the time it answers itself.
    pub(super) fn ring(&mut self, call: CallId, at_once: bool, now: Instant) {
        self.enter(State::Ringing, None);
        self.silenced = false;
        let after_ms = if at_once {
            Some(0)
        } else {
            self.call.auto_answer_ms
        };
        if let Some(ms) = after_ms {
            self.auto_answer = Some((now + std::time::Duration::from_millis(ms.into()), call));
        }
    }

    /// Ends a call of ours and removes it. After the active one ended another state is entered, and
    /// that clears `active`.
    pub(super) fn end(&mut self, call: CallId) {
        if let Some(call) = self.calls.remove(call) {
            self.out.push_back(Output::End(call.id));
        }
    }

    pub(super) fn dial_tone(&mut self, recall: bool, now: Instant) {
        self.digits.clear();
        self.pending = None;
        self.enter(State::DialTone, Some(now + DIAL_TONE));
        self.second_dial_tone = recall;
        if !recall && self.hotline.is_none() {
            self.speak_at_dial_tone(now);
        }
        if !recall && let Some((number, delay)) = self.hotline.clone() {
            if delay.is_zero() {
                self.dial(Dialled::Number(number), now);
            } else {
                self.step = Some(now + delay);
            }
        }
    }

    /// The handset gets an incoming call.
    pub(super) fn answer(&mut self, call: CallId) {
        let Some(found) = self.calls.get(call) else {
            return;
        };
        let peer = found.peer.clone();
        self.out.push_back(Output::Answer(call));
        self.calls.set(call, CallState::Talking);
        self.active = Some(call);
        self.enter(State::Talking, None);
        self.auto_answer = None;
        // Another ringing call waits now.
        while let Some(other) = self.calls.first(CallState::Ringing) {
            self.calls.set(other, CallState::Waiting);
        }
        self.note(Note::Answered { from: peer });
    }

    /// Answers without lifting: the call is connected with the handset on hook.
    pub(super) fn answer_by_itself(&mut self, call: CallId) {
        if self.state == State::Ringing && self.call_state(call) == Some(CallState::Ringing) {
            self.hands_free = !self.in_hand();
            self.answer(call);
        }
    }

    /// A call answered itself at its caller's request: so that no one is listened to unawares the
    /// phone rings, and the microphone is off until the handset is lifted.
    pub(super) fn announce(&mut self, now: Instant) {
        if self.hands_free {
            self.announced = Some(now + ANNOUNCEMENT);
            self.muted = true;
        }
    }

    pub(super) fn unmute(&mut self) {
        self.announced = None;
        self.muted = false;
    }

    /// The handset goes to a call that waits or is on hold.
    pub(super) fn switch_to(&mut self, call: CallId) {
        match self.call_state(call) {
            Some(CallState::Waiting | CallState::Ringing) => self.answer(call),
            Some(CallState::OnHold) => {
                self.out.push_back(Output::Hold(call, false));
                self.calls.set(call, CallState::Talking);
                self.active = Some(call);
                self.enter(State::Talking, None);
            }
            Some(
                CallState::Calling
                | CallState::Ringback
                | CallState::EarlyMedia
                | CallState::Talking,
            )
            | None => {}
        }
    }
}
