//! One call taking the place of another.
//!
//! ```text
//! far end: "call C instead" ─▶ Follow: the old call waits, the new one has the handset ─┬ answered ─▶ the old one ends
//!                            └ Decline: nobody here to follow it                         └ fails ────▶ the old one is taken back
//! ```
//!
//! The new call is one like any other: what was dialled by a hand on this phone and what was asked for by the far end sound alike, and
//! what is missing of its encryption is told the same way.

use std::collections::VecDeque;
use std::time::Instant;

use super::Phone;
use crate::call::{Call, CallState};
use crate::input::{Alert, CallId, Encryption};
use crate::output::{Output, State};

impl Phone {
    /// The far end of a call asks us to call somebody else. It is done for the call the handset has, and no other.
    pub(super) fn asked_to_call(&mut self, old: CallId, to: &str, user: &str, now: Instant) {
        let Some(call) = self.calls.get(old) else { return };
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
        });
        let to = to.to_owned();
        self.out.push_back(Output::Follow { old, call: id, to });
        self.enter(State::Calling, self.give_up(emergency, now));
        self.active = Some(id);
    }

    /// A call was answered: the one it takes the place of is over.
    pub(super) fn replaced(&mut self, id: CallId) {
        if let Some(old) = self.calls.take_replaced(id) {
            self.end(old);
        }
    }
}
