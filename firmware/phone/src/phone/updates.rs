//! Calls coming in, updates of the calls there are, and one call replacing another.
//!
//! ```text
//! far end: "call C instead" ─▶ Follow: the old call waits, the new one has the handset ─┬ answered ─▶ the old one ends
//!                            └ Decline: it does not have the handset                    └ fails ────▶ the old one is taken back
//! INVITE with Replaces: answered at once, and the same then
//! hanging up with a call on hold and its consultation: Transfer, where configured
//! ```
//!
//! The new call is one like any other: what was dialled on this phone and what the far end asked
//! for sound alike, and missing encryption is reported alike.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::Phone;
use crate::call::{Call, CallState, one_line};
use crate::input::{Alert, CallId, CallUpdate, Encryption, EndCause};
use crate::note::{Note, Refusal, TransferRefusal};
use crate::output::{Output, Tone};
use crate::state::{Phase, State};

impl Phone {
    pub(super) fn on_incoming(
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
        let from = one_line(from);
        let emergency = self.calls.iter().any(|call| call.emergency);
        // A second call may wait behind the one that rings or talks, if that is allowed and the
        // handset is lifted to hear it.
        let may_wait = self.call.waiting
            && self.calls.first(CallState::Waiting).is_none()
            && !self.calls.full()
            && !emergency;
        let alone = self.calls.iter().count() == 1;
        let state =
            if self.state == State::Idle || (self.state == State::Ringing && may_wait && alone) {
                Some(CallState::Ringing)
            } else if self.has_established_call() && may_wait && !self.hands_free {
                Some(CallState::Waiting)
            } else {
                None
            };
        let Some(state) = state else {
            self.out.push_back(Output::Reject(id, 486));
            let why = Refusal::Busy;
            self.note(Note::Refused { from, why });
            return;
        };
        self.note(Note::Incoming { from: from.clone() });
        self.calls.push(Call {
            id,
            state,
            peer: from,
            emergency: false,
            routes: VecDeque::new(),
            alert,
            encryption: Encryption::default(),
            warned: false,
            instead_of: None,
            consults: None,
        });
        if self.state != State::Idle {
            self.out.push_back(Output::Ringing(id));
            return;
        }
        self.ring(id, at_once, now);
        if self.auto_answer.is_some_and(|(at, _)| at <= now) {
            self.auto_answer = None;
            self.answer_by_itself(id);
            // Where every call is answered at once the microphone is open by the owner's own
            // setting.
            if at_once && self.call.auto_answer_ms != Some(0) {
                self.announce(now);
            }
        } else {
            self.out.push_back(Output::Ringing(id));
        }
    }

    /// A call is established, talking or on hold, and nothing else goes on.
    fn has_established_call(&self) -> bool {
        match self.state.phase() {
            Phase::Connected => self.state == State::Talking,
            Phase::Held => true,
            Phase::OnHook | Phase::Dialling | Phase::Placing | Phase::Failed => false,
        }
    }

    pub(super) fn on_call_update(&mut self, id: CallId, update: CallUpdate, now: Instant) {
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
                // A 180 after early media repeats the ringing: what is heard stays (RFC 3960
                // section 3.2).
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
                    self.progress(id, CallState::EarlyMedia, State::EarlyMedia, self.step);
                }
                CallState::EarlyMedia
                | CallState::Talking
                | CallState::OnHold
                | CallState::Ringing
                | CallState::Waiting => {}
            },
            CallUpdate::EarlySound(heard) => {
                if self.active == Some(id) {
                    self.early_sound = heard;
                }
            }
            CallUpdate::Answered => match state {
                CallState::Calling | CallState::Ringback | CallState::EarlyMedia => {
                    self.progress(id, CallState::Talking, State::Talking, None);
                    self.finish_replacing(id);
                }
                CallState::Talking | CallState::OnHold => self.finish_replacing(id),
                CallState::Ringing | CallState::Waiting => {}
            },
            // The handset decides which call is connected, not the far end: both are only logged.
            CallUpdate::Held(held) => {
                let peer = call.peer.clone();
                self.note(Note::Held { peer, held });
            }
            CallUpdate::HoldRefused => self.on_hold_refused(id),
            CallUpdate::Peer(peer) => self.calls.set_peer(id, one_line(&peer)),
            CallUpdate::HeldByPeer(held) => {
                let peer = call.peer.clone();
                self.note(Note::HeldByPeer { peer, held });
            }
            CallUpdate::Encryption(encryption) => {
                if encryption == Encryption::Missing && call.encryption != encryption {
                    let peer = call.peer.clone();
                    self.note(Note::NotEncrypted { peer });
                }
                self.calls.set_encryption(id, encryption);
            }
            CallUpdate::Refer { to, user } => self.on_refer(id, &one_line(&to), &user, now),
            CallUpdate::Ended(cause) => self.ended(id, &cause, now),
        }
    }

    /// A hold that is none: where nothing else was begun meanwhile, the call is taken back.
    fn on_hold_refused(&mut self, id: CallId) {
        let Some(call) = self.calls.get(id) else {
            return;
        };
        let (peer, on_hold) = (call.peer.clone(), call.state == CallState::OnHold);
        self.note(Note::HoldRefused { peer });
        let idle =
            self.state == State::OnHold || (self.state == State::DialTone && self.second_dial_tone);
        if on_hold && idle && self.off_hook {
            self.switch_to(id);
        }
    }

    /// An outgoing call went a step further. Only the active call is ever in one of these states.
    fn progress(&mut self, id: CallId, call: CallState, phone: State, step: Option<Instant>) {
        self.calls.set(id, call);
        self.early_sound = false;
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
        let cause = EndCause {
            code: cause.code,
            reason: one_line(&cause.reason),
        };
        match call.state {
            CallState::Calling | CallState::Ringback | CallState::EarlyMedia => {
                let busy = matches!(cause.code, Some(486 | 600 | 603));
                let to = call.peer;
                let note = Note::Failed { to, cause };
                if call.emergency && !call.routes.is_empty() {
                    self.note(note);
                    self.place_call(call.routes, now);
                } else if let Some(old) = replaced {
                    self.note(note);
                    self.switch_to(old);
                } else {
                    self.fail(if busy { Tone::Busy } else { Tone::Congestion }, note, now);
                }
            }
            CallState::Talking => {
                let note = Note::EndedByPeer {
                    peer: call.peer,
                    on_hold: false,
                    cause,
                };
                if let Some(old) = replaced {
                    self.note(note);
                    self.switch_to(old);
                } else if self.hands_free {
                    self.note(note);
                    self.on_hook(now);
                } else if self.flash_from.is_some() && self.calls.first(CallState::OnHold).is_none()
                {
                    // The hook is down and there is no call left that a flash could act on.
                    self.note(note);
                    self.hang_up(now);
                } else {
                    self.fail(Tone::Congestion, note, now);
                }
            }
            CallState::OnHold => {
                let note = Note::EndedByPeer {
                    peer: call.peer,
                    on_hold: true,
                    cause,
                };
                let last = self.calls.first(CallState::OnHold).is_none();
                if self.state == State::OnHold && last {
                    self.fail(Tone::Congestion, note, now);
                } else {
                    self.note(note);
                }
            }
            CallState::Ringing => {
                self.note_unanswered(call.peer, cause);
                if self.auto_answer.is_some_and(|(_, call)| call == id) {
                    self.auto_answer = None;
                }
                match self.calls.first(CallState::Ringing) {
                    Some(other) => self.ring(other, false, now),
                    None => self.enter(State::Idle, None),
                }
            }
            CallState::Waiting => {
                self.note_unanswered(call.peer, cause);
            }
        }
    }

    /// A call that was not answered here: missed, unless another phone took it.
    fn note_unanswered(&mut self, from: String, cause: EndCause) {
        self.note(if cause.code == Some(200) {
            Note::AnsweredElsewhere { from }
        } else {
            Note::Missed { from, cause }
        });
    }

    /// A call or number failed, or a call is over: a tone says so, never silence, and the log says
    /// why.
    pub(super) fn fail(&mut self, tone: Tone, why: Note, now: Instant) {
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

    /// The far end of a call asks us to call someone else. It is done for the call the handset
    /// has, and no other.
    pub(super) fn on_refer(&mut self, old: CallId, to: &str, user: &str, now: Instant) {
        let Some(call) = self.calls.get(old) else {
            return;
        };
        let (peer, emergency) = (call.peer.clone(), call.emergency);
        let here = self.state == State::Talking && self.active == Some(old) && self.off_hook;
        let refused = if !here || self.flash_from.is_some() {
            Some(TransferRefusal::NotInTheHand)
        } else if self.calls.full() {
            Some(TransferRefusal::TooManyCalls)
        } else {
            self.plan.bars(user).map(TransferRefusal::Barred)
        };
        if let Some(why) = refused {
            self.note(Note::TransferDeclined {
                by: peer,
                to: to.to_owned(),
                why,
            });
            self.out.push_back(Output::Decline(old));
            return;
        }
        self.note(Note::Transferring {
            by: peer,
            to: to.to_owned(),
        });
        self.release_key();
        self.calls.set(old, CallState::OnHold);
        let id = self.calls.new_id();
        self.calls.push(Call {
            id,
            state: CallState::Calling,
            peer: to.to_owned(),
            emergency,
            routes: VecDeque::new(),
            alert: Alert::Normal,
            encryption: Encryption::default(),
            warned: false,
            instead_of: Some(old),
            consults: None,
        });
        let to = to.to_owned();
        self.out.push_back(Output::Follow { old, call: id, to });
        self.enter(State::Calling, self.give_up(emergency, now));
        self.active = Some(id);
    }

    /// A call comes in that replaces one of this handset: it is answered, and gets what
    /// that one had. The old one ends when the new one is established, or at once where it was not
    /// established itself.
    pub(super) fn on_replacing(&mut self, id: CallId, old: CallId, from: &str) {
        let from = one_line(from);
        self.calls.used(id);
        let Some(call) = self
            .calls
            .get(old)
            .filter(|call| call.state.of_handset() && !self.calls.full())
        else {
            let why = Refusal::NothingToReplace;
            self.note(Note::Refused { from, why });
            self.out.push_back(Output::Reject(id, 486));
            return;
        };
        let (peer, emergency, had) = (call.peer.clone(), call.emergency, call.state);
        let (state, was_established) = match had {
            CallState::OnHold => (CallState::OnHold, true),
            CallState::Talking => (CallState::Talking, true),
            CallState::Calling | CallState::Ringback | CallState::EarlyMedia => {
                (CallState::Talking, false)
            }
            // No call of the handset.
            CallState::Ringing | CallState::Waiting => return,
        };
        self.note(Note::Replaced {
            old: peer,
            new: from.clone(),
        });
        self.calls.push(Call {
            id,
            state,
            peer: from,
            emergency,
            routes: VecDeque::new(),
            alert: Alert::Normal,
            encryption: Encryption::default(),
            warned: false,
            instead_of: was_established.then_some(old),
            consults: None,
        });
        self.out.push_back(Output::Answer(id));
        if self.active == Some(old) {
            self.release_key();
            self.active = Some(id);
            self.enter(State::Talking, None);
        }
        if was_established {
            self.calls.set(old, CallState::OnHold);
        } else {
            self.end(old);
        }
    }

    /// A call was answered: the one it replaces is over.
    pub(super) fn finish_replacing(&mut self, id: CallId) {
        if let Some(old) = self.calls.take_replaced(id) {
            // A flash may have gone back to it in between.
            let had_handset = self.active == Some(old);
            self.end(old);
            if had_handset {
                self.active = None;
                self.switch_to(id);
            }
        }
    }

    /// The handset goes down: the call on hold and the one placed for it are connected with each
    /// other, where that is configured.
    pub(super) fn transfer_on_hang_up(&mut self) {
        let Some(active) = self.active.filter(|_| self.call.transfer_on_hangup) else {
            return;
        };
        let held: Vec<&Call> = self
            .calls
            .iter()
            .filter(|call| call.state == CallState::OnHold)
            .collect();
        let &[other] = held.as_slice() else { return };
        let Some(call) = self.calls.get(active) else {
            return;
        };
        let consulted = call.consults == Some(other.id) || other.consults == Some(active);
        // A call that only rings can only be the consultation itself.
        let ready = match call.state {
            CallState::Talking => consulted,
            CallState::Ringback | CallState::EarlyMedia => call.consults == Some(other.id),
            CallState::Calling | CallState::OnHold | CallState::Ringing | CallState::Waiting => {
                false
            }
        };
        if !ready
            || call.emergency
            || other.emergency
            || call.instead_of.is_some()
            || other.instead_of.is_some()
        {
            return;
        }
        let (from, held) = (other.peer.clone(), other.id);
        let to = call.peer.clone();
        self.note(Note::Transferred { from, to });
        self.out.push_back(Output::Transfer {
            held,
            consulted: active,
        });
        self.calls.remove(held);
        self.calls.remove(active);
    }
}
