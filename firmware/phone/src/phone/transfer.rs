//! One call taking the place of another.
//!
//! ```text
//! far end: "call C instead" ─▶ Follow: the old call waits, the new one has the handset ─┬ answered ─▶ the old one ends
//!                            └ Decline: nobody here to follow it                         └ fails ────▶ the old one is taken back
//! INVITE in the place of a call: answered at once, and the same then
//! hanging up with a call on hold and its consultation: Transfer, where configured
//! ```
//!
//! The new call is one like any other: what was dialled by a hand on this phone and what was asked
//! for by the far end sound alike, and what is missing of its encryption is told the same way.

use std::collections::VecDeque;
use std::time::Instant;

use super::Phone;
use crate::call::{Call, CallState, plain};
use crate::input::{Alert, CallId, Encryption};
use crate::output::{Output, State};

impl Phone {
    /// The far end of a call asks us to call somebody else. It is done for the call the handset
    /// has, and no other.
    pub(super) fn asked_to_call(&mut self, old: CallId, to: &str, user: &str, now: Instant) {
        let Some(call) = self.calls.get(old) else {
            return;
        };
        let (peer, emergency) = (call.peer.clone(), call.emergency);
        let here = self.state == State::Talking && self.active == Some(old) && self.off_hook;
        let refused = if !here || self.flash_from.is_some() {
            Some("it has not the handset".to_owned())
        } else if self.calls.full() {
            Some("too many calls".to_owned())
        } else {
            self.plan.bars(user)
        };
        if let Some(why) = refused {
            self.note(format!("{peer} asks to call {to}, declined: {why}"));
            self.out.push_back(Output::Decline(old));
            return;
        }
        self.note(format!("{peer} hands the call on to {to}"));
        self.release_key();
        self.calls.set(old, CallState::OnHold);
        let id = self.calls.new_id();
        self.calls.push(Call {
            id,
            state: CallState::Calling,
            peer: to.to_owned(),
            emergency,
            ways: VecDeque::new(),
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

    /// A call comes in that takes the place of one of this handset: it is answered, and gets what
    /// that one had. The old one ends when the new one stands, or at once where it did not stand
    /// itself.
    pub(super) fn replacing(&mut self, id: CallId, old: CallId, from: &str) {
        let from = plain(from);
        self.calls.used(id);
        let Some(call) = self
            .calls
            .get(old)
            .filter(|call| call.state.of_handset() && !self.calls.full())
        else {
            self.note(format!("call from {from} in the place of another refused"));
            self.out.push_back(Output::Reject(id, 486));
            return;
        };
        let (peer, emergency, had) = (call.peer.clone(), call.emergency, call.state);
        let (state, stood) = match had {
            CallState::OnHold => (CallState::OnHold, true),
            CallState::Talking => (CallState::Talking, true),
            CallState::Calling | CallState::Ringback | CallState::EarlyMedia => {
                (CallState::Talking, false)
            }
            // No call of the handset.
            CallState::Ringing | CallState::Waiting => return,
        };
        self.note(format!("call with {peer} goes on with {from}"));
        self.calls.push(Call {
            id,
            state,
            peer: from,
            emergency,
            ways: VecDeque::new(),
            alert: Alert::Normal,
            encryption: Encryption::default(),
            warned: false,
            instead_of: stood.then_some(old),
            consults: None,
        });
        self.out.push_back(Output::Answer(id));
        if self.active == Some(old) {
            self.release_key();
            self.active = Some(id);
            self.enter(State::Talking, None);
        }
        if stood {
            self.calls.set(old, CallState::OnHold);
        } else {
            self.end(old);
        }
    }

    /// A call was answered: the one it takes the place of is over.
    pub(super) fn replaced(&mut self, id: CallId) {
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
    pub(super) fn hand_over(&mut self) {
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
        // One that only rings can but be the consultation itself.
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
        let text = format!("{from} is handed over to {}", call.peer);
        self.note(text);
        self.out.push_back(Output::Transfer {
            held,
            consulted: active,
        });
        self.calls.remove(held);
        self.calls.remove(active);
    }
}
