//! What a person does: at the board's handset and keys, or by `ctl` in their place.

use std::time::{Duration, Instant};

use phone::{CallId, Input, State};
use types::{BoardEvent, FunctionKey, Key};

use crate::api::{ActionError, UserAction};
use crate::event::Event;
use crate::key_script::KeyStep;

use super::Control;

impl Control {
    /// The hardware saw something.
    pub fn handle_board(&mut self, event: BoardEvent, now: Instant) {
        match event {
            BoardEvent::Hook(off) => self.hook(off, now),
            BoardEvent::KeyDown(key) => self.key(KeyStep::Down, key, now),
            BoardEvent::KeyUp(key) => self.key(KeyStep::Up, key, now),
            BoardEvent::FlashKey => self.phone.handle(Input::Flash, now),
            BoardEvent::Rotary(digit) => self.key(KeyStep::Dialled, digit, now),
            BoardEvent::Function(key) => self.function_key(key, now),
        }
        self.drain(now);
    }

    /// Somebody uses the phone by `ctl`. Returns how long the keys asked for will take.
    pub fn handle_action(
        &mut self,
        action: &UserAction,
        now: Instant,
    ) -> Result<Duration, ActionError> {
        if self.closing {
            return Err(ActionError::ShuttingDown);
        }
        match action {
            UserAction::Lift => self.hook(true, now),
            UserAction::HangUp => {
                // Flash has a verb of its own: this one is final at once, and ends a call that
                // answered itself, too.
                if self.phone.off_hook() {
                    self.outbox.emit(Event::Hook { off: false });
                }
                self.phone.handle(Input::HangUp, now);
            }
            UserAction::Flash => self.phone.handle(Input::Flash, now),
            UserAction::Press(keys) => self.key_script.press(keys, now)?,
            UserAction::Rotary(digits) => self.key_script.dial(digits, now)?,
            UserAction::Function(key) => self.function_key(*key, now),
            UserAction::Mute(mute) => {
                if self.phone.state().is_on_hook() {
                    return Err(ActionError::NothingToMute);
                }
                self.phone.handle(Input::Mute(*mute), now);
            }
            UserAction::Volume(of, db) => self.phone.handle(Input::Volume(*of, *db), now),
            UserAction::Verify(call) => self.verify_peer(CallId(*call))?,
            UserAction::Dial(number) => {
                if self.phone.state() == State::Idle {
                    // Dialled is what was asked for, whatever the menu shows.
                    let _ = self.display_lifted(now);
                    self.hook(true, now);
                }
                if !self.phone.state().takes_digits() {
                    return Err(ActionError::NotReadyToDial);
                }
                self.phone.handle(Input::Dial(number.clone()), now);
            }
            UserAction::Answer => match self.incoming() {
                Some(phone::CallState::Ringing) => self.hook(true, now),
                Some(_) => self.phone.handle(Input::AnswerWaiting, now),
                None => return Err(ActionError::NoOneCalls),
            },
            UserAction::Reject => match self.incoming() {
                Some(_) => self.phone.handle(Input::Refuse, now),
                None => return Err(ActionError::NoOneCalls),
            },
            UserAction::Transfer(number) => {
                if !self.has_call(phone::CallState::Talking)
                    && !self.has_call(phone::CallState::OnHold)
                {
                    return Err(ActionError::NoCall);
                }
                self.phone.handle(Input::TransferTo(number.clone()), now);
            }
            UserAction::Conference => {
                if !self.has_call(phone::CallState::Talking)
                    || !self.has_call(phone::CallState::OnHold)
                {
                    return Err(ActionError::NoSecondCall);
                }
                self.phone.handle(Input::ConnectAll, now);
            }
            UserAction::Message { to, text } => self.send_message(to, text, now)?,
        }
        self.run_key_script(now);
        self.drain(now);
        Ok(self.key_script.busy(now))
    }

    /// What the call that wants to be answered is doing, if there is one.
    fn incoming(&self) -> Option<phone::CallState> {
        let incoming = [phone::CallState::Ringing, phone::CallState::Waiting];
        incoming.into_iter().find(|state| self.has_call(*state))
    }

    fn has_call(&self, state: phone::CallState) -> bool {
        let mut calls = self.calls.iter();
        calls.any(|call| self.phone.call_state(call.id) == Some(state))
    }

    pub(super) fn hook(&mut self, off: bool, now: Instant) {
        if self.phone.off_hook() != off {
            self.outbox.emit(Event::Hook { off });
            self.with_menu(Input::Hook(off), off, now);
        }
    }

    fn function_key(&mut self, key: FunctionKey, now: Instant) {
        self.display_used(now);
        let lifts = key == FunctionKey::HandsFree && self.phone.state() == State::Idle;
        self.with_menu(Input::Function(key), lifts, now);
    }

    /// What lifts the handset, or does the same, calls who was chosen in the menu.
    fn with_menu(&mut self, input: Input, lifts: bool, now: Instant) {
        let number = lifts.then(|| self.display_lifted(now)).flatten();
        self.phone.handle(input, now);
        if let Some(number) = number.filter(|_| self.phone.state() == State::DialTone) {
            self.phone.handle(Input::Dial(number), now);
        }
    }

    fn key(&mut self, step: fn(Key) -> KeyStep, key: char, now: Instant) {
        if let Some(key) = Key::from_char(key) {
            self.apply_key(step(key), now);
        }
    }

    fn apply_key(&mut self, step: KeyStep, now: Instant) {
        if let KeyStep::Down(key) | KeyStep::Dialled(key) = step {
            let key = key.as_char();
            self.outbox.emit(Event::Key { key });
        }
        if let KeyStep::Down(key) | KeyStep::Dialled(key) = step
            && self.display_key(key, now)
        {
            return;
        }
        let input = match step {
            KeyStep::Down(key) => Input::KeyDown(key),
            KeyStep::Up(key) => Input::KeyUp(key),
            KeyStep::Dialled(key) => Input::Rotary(key),
        };
        self.phone.handle(input, now);
    }

    pub(super) fn run_key_script(&mut self, now: Instant) {
        while let Some(step) = self.key_script.poll(now) {
            self.apply_key(step, now);
        }
    }
}
