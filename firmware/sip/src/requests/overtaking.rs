//! Servers that are silent until the next one is tried, and answer after all: the first answer
//! counts, and no telephone rings for a call that is set up by another server, or not any more.
//!
//! ```text
//! no answer for 3.5 s ─▶ overtake ─▶ next address ─┬ answers ─▶ on_late_answer for the first one
//! 100 alone for 12 s  ─▶    │                     ├ silent, the first one answers ─▶ take_back
//!                            │                     └ fails, the first one tries ───▶ fall_back
//! 180 of an overtaken INVITE ─▶ CANCEL        200 ─▶ ACK, BYE        refusals: acknowledged by the transaction
//! ```

use std::time::Instant;

use crate::action::{OutgoingRequest, Purpose, Turn};
use crate::client_request::ClientRequest;
use crate::dialog::Dialog;
use crate::ids::{RequestId, TransactionId};
use crate::message::{Method, Response};
use crate::transaction::client::State;

use crate::shared::Shared;

use super::Requests;

/// Stands for an INVITE that is not kept for repetitions of its ACK.
const NOT_KEPT: u64 = 0;

impl Requests {
    /// The address under way is silent, and the next one is about to be tried.
    pub(super) fn overtake(&mut self, id: RequestId, shared: &mut Shared) {
        let Some(request) = self.by_id.get_mut(&id) else {
            return;
        };
        let Some(transaction) = request.transaction() else {
            return;
        };
        let Some(entry) = self.clients.get_mut(transaction) else {
            return;
        };
        let opening = entry
            .flow
            .connection()
            .filter(|connection| !shared.transport.connections.is_open(*connection));
        if let Some(connection) = opening {
            // It was not sent yet, and must not be when the connection opens after all.
            shared
                .transport
                .connections
                .abandon(connection, &entry.bytes);
            self.abandon_client(transaction);
        } else {
            entry.overtaken = true;
            entry.machine.stop_retransmitting();
            request.handle_overtaken();
        }
        self.schedule_client(transaction, shared);
    }

    /// An overtaken address answers with this status: whether it does so before the one under way.
    /// Where that one tries, only what leads on counts.
    pub(super) fn take_back(
        &mut self,
        id: RequestId,
        transaction: TransactionId,
        code: u16,
        shared: &mut Shared,
    ) -> bool {
        let Some(request) = self.by_id.get_mut(&id) else {
            return false;
        };
        let under_way = request.transaction();
        let state = under_way
            .and_then(|t| self.clients.get(t))
            .map(|entry| entry.machine.state());
        let counts = match state {
            // `None`: the name of the next server is being looked up.
            Some(State::Calling) | None => true,
            Some(State::Proceeding) => request.has_no_progress() && (101..300).contains(&code),
            Some(State::Completed | State::Accepted | State::Done) => false,
        };
        if !counts || !request.take_back(transaction) {
            return false;
        }
        self.lookups.retain(|_, owner| *owner != id);
        let later = under_way.and_then(|t| self.clients.get_mut(t));
        if let Some(entry) = later {
            entry.overtaken = true;
            entry.machine.stop_retransmitting();
        }
        if let Some(entry) = self.clients.get_mut(transaction) {
            entry.overtaken = false;
        }
        if let Some(under_way) = under_way {
            self.schedule_client(under_way, shared);
        }
        self.schedule_request(id, shared);
        true
    }

    /// Nothing is left to be tried: whether an overtaken address that tries is waited for.
    pub(super) fn fall_back(&mut self, id: RequestId, shared: &mut Shared, now: Instant) -> bool {
        let Some(request) = self.by_id.get_mut(&id) else {
            return false;
        };
        let tries = |transaction: &TransactionId| {
            let entry = self.clients.get(*transaction);
            entry.is_some_and(|entry| entry.machine.state() == State::Proceeding)
        };
        let Some(transaction) = request.overtaken().find(tries) else {
            return false;
        };
        if !request.fall_back(transaction, now) {
            return false;
        }
        if let Some(entry) = self.clients.get_mut(transaction) {
            entry.overtaken = false;
        }
        self.schedule_request(id, shared);
        true
    }

    /// A request has found somebody, or its outcome is not wanted: overtaken addresses that try
    /// stop.
    pub(super) fn cancel_overtaken(&mut self, id: RequestId, shared: &mut Shared, now: Instant) {
        let Some(request) = self.by_id.get(&id) else {
            return;
        };
        for transaction in request.overtaken().collect::<Vec<_>>() {
            let entry = self.clients.get(transaction);
            if entry.is_some_and(|entry| entry.machine.state() == State::Proceeding) {
                self.cancel_transaction(transaction, shared, now);
            }
        }
    }

    /// A response to a request that went another way meanwhile.
    pub(super) fn on_late_answer(
        &mut self,
        transaction: TransactionId,
        response: &Response,
        shared: &mut Shared,
        now: Instant,
    ) {
        let Some(entry) = self.clients.get_mut(transaction) else {
            return;
        };
        if entry.request.method != Method::Invite {
            return;
        }
        if response.is_provisional() {
            // One that tries is kept until another has found somebody.
            let owner = entry.owner.and_then(|owner| self.by_id.get(&owner));
            let waits = owner.is_some_and(ClientRequest::has_no_progress);
            if !waits || response.code() > 100 {
                self.cancel_transaction(transaction, shared, now);
            }
            return;
        }
        if !response.is_success() {
            return;
        }
        // Section 13.2.2.4: a 2xx that is not wanted is acknowledged and ended.
        let cseq = entry.request.headers.cseq().map(|cseq| cseq.number);
        let dialog = Dialog::of_caller(&entry.request, response, Some(entry.flow));
        let account = shared.registrations.by_sender(&entry.request, &shared.env);
        let (Some(mut dialog), Ok(cseq)) = (dialog, cseq) else {
            return;
        };
        let ack = dialog.numbered(&Method::Ack, cseq);
        let ack = OutgoingRequest::in_dialog(&dialog, Purpose::Ack(NOT_KEPT), account, ack);
        let mut turn = Turn::new(&mut shared.env, now);
        turn.send(ack);
        turn.send_bye(&mut dialog, account, None);
        self.send_all(turn.into_requests(), shared, now);
    }
}
