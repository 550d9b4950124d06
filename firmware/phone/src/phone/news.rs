//! Calls coming in, and news of the calls there are.

use std::time::{Duration, Instant};

use super::Phone;
use crate::call::{Call, CallState, plain};
use crate::input::{Alert, CallId, CallUpdate, Encryption, EndCause};
use crate::output::{Output, State, Tone};

impl Phone {
    pub(super) fn incoming(
        &mut self,
        id: CallId,
        from: &str,
        alert: Alert,
        at_once: bool,
        now: Instant,
    ) {
        if self.calls.get(id).is_some() {
            return;
        }
        self.calls.used(id);
        let from = plain(from);
        let emergency = self.calls.iter().any(|call| call.emergency);
        // One more may wait behind the one that rings or talks, if it is allowed to and somebody is
        // there to hear it.
        let may_wait = self.call.waiting
            && self.calls.first(CallState::Waiting).is_none()
            && !self.calls.full()
            && !emergency;
        let state = match self.state {
            State::Idle => Some(CallState::Ringing),
            State::Ringing if may_wait && self.calls.iter().count() == 1 => {
                Some(CallState::Ringing)
            }
            State::Talking | State::OnHold if may_wait && !self.hands_free => {
                Some(CallState::Waiting)
            }
            State::Ringing
            | State::Talking
            | State::OnHold
            | State::DialTone
            | State::Collecting
            | State::Calling
            | State::Ringback
            | State::EarlyMedia
            | State::Busy
            | State::Congestion
            | State::Howler
            | State::Silent => None,
        };
        let Some(state) = state else {
            self.out.push_back(Output::Reject(id, 486));
            self.note(format!("call from {from} refused: busy"));
            return;
        };
        self.note(format!("call from {from}"));
        self.calls.push(Call {
            id,
            state,
            peer: from,
            emergency: false,
            ways: std::collections::VecDeque::new(),
            alert,
            encryption: Encryption::default(),
            warned: false,
            instead_of: None,
            consults: None,
        });
        match self.state {
            State::Idle => {
                self.ring(id, at_once, now);
                if self.auto_answer.is_some_and(|(at, _)| at <= now) {
                    self.auto_answer = None;
                    self.answer_by_itself(id);
                    // Who is let in at once in any case hears the room, by the owner's own word.
                    if at_once && self.call.auto_answer_ms != Some(0) {
                        self.announce(now);
                    }
                } else {
                    self.out.push_back(Output::Ringing(id));
                }
            }
            State::Ringing
            | State::Talking
            | State::OnHold
            | State::DialTone
            | State::Collecting
            | State::Calling
            | State::Ringback
            | State::EarlyMedia
            | State::Busy
            | State::Congestion
            | State::Howler
            | State::Silent => self.out.push_back(Output::Ringing(id)),
        }
    }

    pub(super) fn news(&mut self, id: CallId, update: CallUpdate, now: Instant) {
        let Some(call) = self.calls.get(id) else {
            return;
        };
        let (state, emergency) = (call.state, call.emergency);
        match update {
            CallUpdate::Ringing => match state {
                CallState::Calling => self.progress(
                    id,
                    CallState::Ringback,
                    State::Ringback,
                    self.give_up(emergency, now),
                ),
                // A 180 after early media is the same ringing told again: what is heard stays (RFC
                // 3960 section 3.2).
                CallState::Ringback
                | CallState::EarlyMedia
                | CallState::Talking
                | CallState::OnHold
                | CallState::Ringing
                | CallState::Waiting => {}
            },
            CallUpdate::EarlyMedia => match state {
                CallState::Calling => self.progress(
                    id,
                    CallState::EarlyMedia,
                    State::EarlyMedia,
                    self.give_up(emergency, now),
                ),
                CallState::Ringback => {
                    self.progress(id, CallState::EarlyMedia, State::EarlyMedia, self.step)
                }
                CallState::EarlyMedia
                | CallState::Talking
                | CallState::OnHold
                | CallState::Ringing
                | CallState::Waiting => {}
            },
            CallUpdate::Answered => match state {
                CallState::Calling | CallState::Ringback | CallState::EarlyMedia => {
                    self.progress(id, CallState::Talking, State::Talking, None);
                    self.replaced(id);
                }
                CallState::Talking | CallState::OnHold => self.replaced(id),
                CallState::Ringing | CallState::Waiting => {}
            },
            // Who is connected is the handset's business, not the far end's: both are for the log
            // only.
            CallUpdate::Held(held) => {
                let text = format!(
                    "call with {} {}",
                    call.peer,
                    if held { "is on hold" } else { "is taken back" }
                );
                self.note(text);
            }
            CallUpdate::HeldByPeer(held) => {
                let text = format!(
                    "{} {}",
                    call.peer,
                    if held {
                        "put the call on hold"
                    } else {
                        "took the call back"
                    }
                );
                self.note(text);
            }
            CallUpdate::Encryption(encryption) => {
                if encryption == Encryption::Missing && call.encryption != encryption {
                    let text = format!("call with {} is not encrypted", call.peer);
                    self.note(text);
                }
                self.calls.set_encryption(id, encryption);
            }
            CallUpdate::Refer { to, user } => self.asked_to_call(id, &plain(&to), &user, now),
            CallUpdate::Ended(cause) => self.ended(id, &cause, now),
        }
    }

    /// An outgoing call went a step further. Only the active call is ever in one of these states.
    fn progress(&mut self, id: CallId, call: CallState, phone: State, step: Option<Instant>) {
        self.calls.set(id, call);
        if self.key.is_some_and(|key| key.dtmf.is_none()) {
            // The key that dialled may still be down, but in a call its tone would only disturb.
            self.key = None;
        }
        if self.active == Some(id) {
            self.enter(phone, step);
        }
    }

    fn ended(&mut self, id: CallId, cause: &EndCause, now: Instant) {
        if self.key.is_some_and(|key| key.dtmf == Some(id)) {
            self.key = None;
        }
        let replaced = self.calls.take_replaced(id);
        let Some(call) = self.calls.remove(id) else {
            return;
        };
        let why = match cause.code {
            Some(code) => format!("{code} {}", plain(&cause.reason)),
            None => plain(&cause.reason),
        };
        match call.state {
            CallState::Calling | CallState::Ringback | CallState::EarlyMedia => {
                let busy = matches!(cause.code, Some(486 | 600 | 603));
                let text = format!("call to {} failed: {why}", call.peer);
                if call.emergency && !call.ways.is_empty() {
                    self.note(text);
                    self.place(call.ways, now);
                } else if let Some(old) = replaced {
                    self.note(text);
                    self.switch_to(old);
                } else {
                    self.fail(if busy { Tone::Busy } else { Tone::Congestion }, text, now);
                }
            }
            CallState::Talking => {
                let text = format!("call with {} ended by the far end: {why}", call.peer);
                if let Some(old) = replaced {
                    self.note(text);
                    self.switch_to(old);
                } else if self.hands_free {
                    self.note(text);
                    self.on_hook(now);
                } else if self.flash_from.is_some() && self.calls.first(CallState::OnHold).is_none()
                {
                    // The hook is down and there is nothing left a flash could be for.
                    self.note(text);
                    self.hang_up(now);
                } else {
                    self.fail(Tone::Congestion, text, now);
                }
            }
            CallState::OnHold => {
                let text = format!(
                    "call with {} on hold ended by the far end: {why}",
                    call.peer
                );
                let last = self.calls.first(CallState::OnHold).is_none();
                if self.state == State::OnHold && last {
                    self.fail(Tone::Congestion, text, now);
                } else {
                    self.note(text);
                }
            }
            CallState::Ringing => {
                self.note(format!("call from {} missed: {why}", call.peer));
                if self.auto_answer.is_some_and(|(_, call)| call == id) {
                    self.auto_answer = None;
                }
                match self.calls.first(CallState::Ringing) {
                    Some(other) => self.ring(other, false, now),
                    None => self.enter(State::Idle, None),
                }
            }
            CallState::Waiting => self.note(format!("call from {} missed: {why}", call.peer)),
        }
    }

    /// What was wanted did not come about, or is over: never silence, but the tone that says so,
    /// and the reason in the log.
    pub(super) fn fail(&mut self, tone: Tone, why: String, now: Instant) {
        let state = if tone == Tone::Busy {
            State::Busy
        } else {
            State::Congestion
        };
        self.note(why);
        self.enter(
            state,
            Some(now + Duration::from_secs(self.call.howler_after_s.into())),
        );
    }
}
