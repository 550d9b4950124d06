//! Calls coming in, updates of the calls there are, and one call replacing another.
//!
//! ```text
//! far end: "call C instead" ─▶ Follow: the old call waits, the new one has the handset ─┬ answered ─▶ the old one ends
//!                            └ Decline: it is not the one that is talked in              └ fails ────▶ the old one is taken back
//! INVITE with Replaces: answered at once, and the same then
//! hanging up with a call on hold and its consultation: Transfer, where configured
//! ```
//!
//! The new call is one like any other: what was dialled on this phone and what the far end asked
//! for sound alike, and missing encryption is reported alike.

use std::time::{Duration, Instant};

use config::schema::BlockAction;

use super::{LastCaller, Phone};
use crate::call::{Call, CallState, one_line};
use crate::features::Screening;
use crate::input::{Alert, CallId, CallUpdate, Caller, Encryption, EndCause};
use crate::note::{Note, Refusal, TransferRefusal};
use crate::output::{Output, Tone};
use crate::state::State;

/// How long a tone of failure is heard in the loudspeaker before the phone rests by itself: words
/// that explain it are over by then.
const SPEAKER_FAILURE: Duration = Duration::from_secs(8);

impl Phone {
    pub(super) fn on_incoming(
        &mut self,
        id: CallId,
        caller: &Caller,
        alert: Alert,
        at_once: bool,
        now: Instant,
    ) {
        if self.calls.get(id).is_some() || self.forwards.has(id) {
            return;
        }
        self.calls.used(id);
        let name = one_line(&caller.name);
        let state = self.place_for_incoming();
        let blocked = self.block.action(caller);
        let screening = match blocked {
            Some(BlockAction::Reject) => Screening::Reject(603),
            Some(BlockAction::Busy) => Screening::Reject(486),
            Some(BlockAction::Voicemail) => match self.targets.voicemail.clone() {
                Some(mailbox) => Screening::Forward(mailbox),
                None => Screening::Reject(480),
            },
            Some(BlockAction::Silent) | None => {
                self.features.screen(caller.anonymous, state.is_none())
            }
        };
        let alert = match (blocked, self.rings.of(caller)) {
            (Some(_), _) => Alert::Silent,
            (None, _) if self.quiet.silences(caller) => Alert::Silent,
            (None, Some(ring)) if alert == Alert::Normal => ring,
            (None, _) => alert,
        };
        match screening {
            Screening::Ring => {}
            Screening::Forward(to) => {
                return self.forward(id, name, caller.account, to, now);
            }
            Screening::Reject(code) => {
                self.out.push_back(Output::Reject(id, code));
                let why = match state {
                    None if code == 486 && blocked.is_none() => Refusal::Busy,
                    _ => Refusal::BySetting(code),
                };
                return self.note(Note::Refused { from: name, why });
            }
        }
        let Some(state) = state else { return };
        if !caller.number.is_empty() && !caller.anonymous {
            self.last_caller = Some(LastCaller {
                number: one_line(&caller.number),
                account: caller.account,
            });
        }
        self.note(Note::Incoming { from: name.clone() });
        let after = Duration::from_secs(self.call.forward_after_s.into());
        let forward_at = self
            .features
            .forward_no_answer
            .as_ref()
            .map(|_| now + after);
        self.calls.push(Call {
            account: caller.account,
            alert,
            forward_at,
            ..Call::new(id, state, name)
        });
        if self.state != State::Idle {
            self.out.push_back(Output::Ringing(id));
            return;
        }
        let named = blocked.is_none() && self.intercom.admits(caller);
        let at_once = at_once || named;
        self.ring(id, at_once, now);
        if self.auto_answer.is_some_and(|(at, _)| at <= now) {
            self.auto_answer = None;
            self.answer_by_itself(id);
            // Where every call is answered at once the microphone is open by the owner's own
            // setting.
            if at_once && self.call.auto_answer_ms != Some(0) {
                self.announce(now);
                self.muted &= !(named && self.call.intercom_microphone);
            }
        } else {
            self.out.push_back(Output::Ringing(id));
        }
    }

    /// How a call that comes in now begins; `None`: there is no place for it.
    pub(super) fn place_for_incoming(&self) -> Option<CallState> {
        let emergency = self.calls.iter().any(|call| call.emergency);
        // A second call may wait behind the one that rings or talks, if that is allowed and the
        // handset is lifted to hear it.
        let may_wait = self.call.waiting
            && self.calls.first(CallState::Waiting).is_none()
            && !self.calls.full()
            && !emergency;
        let alone = self.calls.iter().count() == 1;
        if self.state == State::Idle || (self.state == State::Ringing && may_wait && alone) {
            Some(CallState::Ringing)
        } else if self.state.has_established_call() && may_wait && !self.hands_free {
            Some(CallState::Waiting)
        } else {
            None
        }
    }

    /// A call that rang is gone: the next one rings, or the phone rests.
    pub(super) fn rings_no_more(&mut self, id: CallId, now: Instant) {
        if self.auto_answer.is_some_and(|(_, call)| call == id) {
            self.auto_answer = None;
        }
        match self.calls.first(CallState::Ringing) {
            Some(other) => self.ring(other, false, now),
            None => self.enter(State::Idle, None),
        }
    }

    pub(super) fn on_call_update(&mut self, id: CallId, update: CallUpdate, now: Instant) {
        if self.forwards.has(id) {
            return self.on_forward_update(id, &update, now);
        }
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
                    self.join_at_answer(id);
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
        if on_hold && self.only_holds() && self.in_hand() {
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
                let other = self.calls.first(CallState::Talking);
                if let Some(other) = other {
                    // A conference goes on with the other far end.
                    self.note(note);
                    self.active = Some(other);
                } else if let Some(old) = replaced {
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
                // RFC 3326: another phone took it.
                let elsewhere = cause.code == Some(200) || cause.reason.contains("elsewhere");
                self.missed |= !elsewhere;
                self.note_unanswered(call.peer, cause);
                self.rings_no_more(id, now);
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
        if self.hands_free {
            // The call had answered itself: no one is there to hear the tone and put down.
            self.note(why);
            return self.on_hook(now);
        }
        let state = if tone == Tone::Busy {
            State::Busy
        } else {
            State::Congestion
        };
        let mut after = Duration::from_secs(self.call.howler_after_s.into());
        if self.on_speaker() {
            after = after.min(SPEAKER_FAILURE);
        }
        self.enter(state, Some(now + after));
        self.explain_failure(&why, now);
        self.note(why);
    }

    /// The far end of a call asks us to call someone else. It is done for the call that is talked
    /// in, and no other, also where that one answered itself and no one has lifted the handset.
    pub(super) fn on_refer(&mut self, old: CallId, to: &str, user: &str, now: Instant) {
        let Some(call) = self.calls.get(old) else {
            return;
        };
        let (peer, emergency) = (call.peer.clone(), call.emergency);
        let connected = self.in_hand() || self.hands_free;
        let here = self.state == State::Talking && self.active == Some(old) && connected;
        let refused = if !here || self.flash_from.is_some() {
            Some(TransferRefusal::NotTalking)
        } else if self.calls.full() {
            Some(TransferRefusal::TooManyCalls)
        } else {
            self.plan.bars_request(user).map(TransferRefusal::Barred)
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
            emergency,
            instead_of: Some(old),
            ..Call::new(id, CallState::Calling, to.to_owned())
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
            emergency,
            instead_of: was_established.then_some(old),
            ..Call::new(id, state, from)
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
        if ready {
            let held = other.id;
            self.transfer(held, active);
        }
    }

    /// Connects the far ends of two calls with each other, where neither is an emergency call or is
    /// being replaced. Returns whether that is done: then both are over here.
    pub(super) fn transfer(&mut self, held: CallId, active: CallId) -> bool {
        let (Some(other), Some(call)) = (self.calls.get(held), self.calls.get(active)) else {
            return false;
        };
        if call.emergency
            || other.emergency
            || call.instead_of.is_some()
            || other.instead_of.is_some()
        {
            return false;
        }
        let from = other.peer.clone();
        let to = call.peer.clone();
        self.note(Note::Transferred { from, to });
        self.out.push_back(Output::Transfer {
            held,
            consulted: active,
        });
        self.calls.remove(held);
        self.calls.remove(active);
        true
    }
}
