//! The account's server answers and holds calls of the phone (`Event: talk` and `hold`), and the
//! phone takes calls that ring elsewhere, and those that come back.

use std::time::Instant;

use super::Phone;
use crate::call::{Call, CallState, one_line};
use crate::input::{AccountId, CallId};
use crate::note::{Note, Refusal};
use crate::output::{CallOptions, Destination, Output};
use crate::state::{Phase, State};

impl Phone {
    /// A call is answered, or taken back from hold, as if somebody had lifted the handset.
    pub(super) fn remote_talk(&mut self, call: CallId, now: Instant) {
        match self.call_state(call) {
            Some(CallState::Ringing) if self.state == State::Ringing => {
                self.auto_answer = None;
                self.answer_by_itself(call);
                self.announce(now);
            }
            Some(CallState::Waiting) => self.answer_waiting(),
            Some(CallState::OnHold) => {
                if self.only_holds() {
                    self.release_key();
                    self.switch_to(call);
                }
            }
            Some(
                CallState::Ringing
                | CallState::Calling
                | CallState::Ringback
                | CallState::EarlyMedia
                | CallState::Talking,
            )
            | None => {}
        }
    }

    /// The call in the hand is put on hold; nothing is dialled meanwhile.
    pub(super) fn remote_hold(&mut self, call: CallId, now: Instant) {
        let emergency = self.calls.get(call).is_some_and(|call| call.emergency);
        let talking = self.state == State::Talking && self.active == Some(call);
        if talking && !emergency && !self.in_conference() && self.flash_from.is_none() {
            self.release_key();
            self.active = None;
            self.out.push_back(Output::Hold(call, true));
            self.calls.set(call, CallState::OnHold);
            self.enter(State::OnHold, self.next_reminder(now));
        }
    }

    /// A call that could not be transferred comes back: to the hand, where that holds nothing else;
    /// otherwise like a caller, but whatever do not disturb says. Where no caller could wait, or
    /// an emergency number is being keyed, it ends. After a consultation two come back, and the
    /// second one waits behind the first.
    pub(super) fn on_returned(
        &mut self,
        id: CallId,
        from: &str,
        account: Option<AccountId>,
        now: Instant,
    ) {
        if self.calls.get(id).is_some() || self.forwards.has(id) {
            return;
        }
        self.calls.used(id);
        let peer = one_line(from);
        let to_hand = matches!(self.state.phase(), Phase::Dialling | Phase::Failed)
            && !self.plan.may_be_emergency(&self.digits)
            && self.calls.first(CallState::OnHold).is_none();
        let place = self.place_for_incoming().or(self.place_beside_returned());
        let Some(state) = place.or(to_hand.then_some(CallState::Ringing)) else {
            let why = Refusal::Busy;
            self.note(Note::Refused { from: peer, why });
            return self.out.push_back(Output::Reject(id, 486));
        };
        self.note(Note::Incoming { from: peer.clone() });
        self.calls.push(Call {
            account,
            returned: true,
            ..Call::new(id, state, peer)
        });
        if to_hand {
            self.release_key();
            self.answer(id);
        } else if self.state == State::Idle {
            self.ring(id, false, now);
        }
    }

    /// Where the second call of a failed transfer goes, whether callers may wait or not: it was in
    /// this phone before.
    fn place_beside_returned(&self) -> Option<CallState> {
        let mut calls = self.calls.iter();
        let (Some(first), None) = (calls.next(), calls.next()) else {
            return None;
        };
        match (self.state, first.returned) {
            (State::Ringing, true) => Some(CallState::Ringing),
            // Hands-free, with the handset down, there is one call at most.
            (_, true) if self.state.has_established_call() && !self.hands_free => {
                Some(CallState::Waiting)
            }
            (_, _) => None,
        }
    }

    /// Takes the call that rings at a watched phone. Returns whether there is one.
    pub(super) fn pick_up_watched(&mut self, now: Instant) -> bool {
        let Some(offered) = self.pick_up.clone() else {
            return false;
        };
        let to = Destination {
            address: offered.target,
            account: None,
            emergency: false,
            has_more: false,
            options: CallOptions {
                pick_up: Some(offered.watch),
                ..CallOptions::default()
            },
        };
        self.place_call([to].into(), now);
        true
    }
}
