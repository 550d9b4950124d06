//! Calls: their table, and what each [`Call`] wants done.

use std::time::Instant;

use crate::action::{Action, OutgoingRequest, Purpose, Turn};
use crate::api::EndReason;
use crate::call::Call;
use crate::ids::CallHandle;
use crate::message::Method;

use super::{UserAgent, Waiter};

/// Most calls at once: a desk phone has one handset, and a few callers wait.
pub(super) const MAX_CALLS: usize = 16;

impl UserAgent {
    /// Sends a flash by INFO (application/hook-flash), where telephone-event was not negotiated.
    pub fn send_info_flash(&mut self, call: CallHandle, now: Instant) {
        self.on_call(call, now, Call::send_flash);
        self.finish_turn(now);
    }

    /// Sends a digit by INFO (application/dtmf-relay), where telephone-event was not negotiated.
    /// `length_ms` is what it says of how long the key was down.
    pub fn send_info_digit(&mut self, call: CallHandle, digit: char, length_ms: u16, now: Instant) {
        self.on_call(call, now, |call, turn| {
            call.send_digit(digit, length_ms, turn);
        });
        self.finish_turn(now);
    }

    /// One turn of one call; nothing if it is over.
    pub(super) fn on_call(
        &mut self,
        handle: CallHandle,
        now: Instant,
        turn: impl FnOnce(&mut Call, &mut Turn<'_>),
    ) {
        let Some(call) = self.calls.get_mut(&handle) else {
            return;
        };
        let span = call.span().clone();
        let entered = span.enter();
        let mut todo = Turn::new(&mut self.env, now);
        turn(call, &mut todo);
        let actions = todo.into_actions();
        drop(entered);
        self.execute(handle, actions, now);
        self.after_turn(handle, now);
    }

    /// Does what a call wants done.
    pub(super) fn execute(&mut self, handle: CallHandle, actions: Vec<Action>, now: Instant) {
        for action in actions {
            match action {
                Action::Send(id, request) => self.send_request(id, *request, now),
                Action::SendInvite {
                    call,
                    ids,
                    redirected,
                } => self.place_again(call, *ids, redirected, now),
                Action::Acknowledge { invite, dialog } => self.acknowledge(invite, &dialog, now),
                Action::Cancel(request) => self.cancel_request(request, now),
                Action::Respond(transaction, reply) => self.respond(transaction, &reply, now),
                Action::RepeatResponse(transaction) => self.repeat_response(transaction, now),
                Action::HangUp(call) => self.on_call(call, now, |c, turn| c.hang_up(None, turn)),
                Action::HurryTransfer(call) => {
                    self.on_call(call, now, |c, _| c.shorten_transfer(now));
                }
                Action::NotifyReferrer(code) => self.notify_referrer(handle, code, now),
                Action::Event(event) => self.events.push_back(*event),
            }
        }
    }

    /// Takes a call that is over out of the table; keeps the index in step with any other.
    fn after_turn(&mut self, handle: CallHandle, now: Instant) {
        let Some(call) = self.calls.get_mut(&handle) else {
            return;
        };
        let Some(over) = call.take_over() else {
            let deadline = call.deadline();
            return self.deadlines.set(Waiter::Call(handle), deadline);
        };
        self.calls.remove(&handle);
        self.urgent.remove(&handle);
        self.admission.handle_call_over(handle);
        self.deadlines.set(Waiter::Call(handle), None);
        let last = self
            .subscriptions
            .handle_call_over(handle, over.code, over.dialog.as_ref());
        if let Some(dialog) = &over.dialog {
            self.ended.push(dialog);
        }
        if let Some(code) = last {
            self.notify_referrer(handle, code, now);
        }
    }

    /// Asks the far end of an established call whether it still knows it.
    pub(super) fn send_peer_check(&mut self, handle: CallHandle, now: Instant) {
        let Some(call) = self.calls.get_mut(&handle) else {
            return;
        };
        let account = call.account();
        let Some(dialog) = call.dialog_mut() else {
            return;
        };
        let mut request = dialog.request(&Method::Options);
        let user_agent = &self.env.config.user_agent;
        request.headers.push("User-Agent", user_agent);
        let purpose = Purpose::CheckPeer(handle);
        let outgoing = OutgoingRequest::in_dialog(dialog, purpose, account, request);
        let id = self.env.request_id();
        self.send_request(id, outgoing, now);
    }

    /// Ends every call.
    pub(super) fn end_all(&mut self, now: Instant) {
        let calls: Vec<CallHandle> = self.calls.keys().copied().collect();
        for call in calls {
            self.hang_up(call, None, now);
        }
    }

    pub(super) fn hang_up(&mut self, call: CallHandle, reason: Option<EndReason>, now: Instant) {
        self.on_call(call, now, |call, turn| call.hang_up(reason, turn));
    }

    /// The phone has another address, or (`by`) is seen at another one by an account's server: its
    /// calls use it from now on.
    pub(super) fn on_calls_moved(&mut self, by: Option<usize>, now: Instant) {
        let calls: Vec<CallHandle> = self.calls.keys().copied().collect();
        for handle in calls {
            let Some(call) = self.calls.get(&handle) else {
                continue;
            };
            if by.is_some() && call.account() != by {
                continue;
            }
            let (transport, sips) = call.contact_needs().unwrap_or((None, false));
            let contact = self.contact(call.account(), transport, sips);
            self.on_call(handle, now, |call, turn| {
                call.handle_local_address(contact, turn);
            });
        }
    }
}
