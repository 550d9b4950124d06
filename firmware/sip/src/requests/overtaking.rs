//! Servers that are silent until the next one is tried, and answer after all: the first answer
//! counts, and no telephone rings for a call that is set up by another server, or not any more.
//!
//! ```text
//! no answer for 3.5 s ─▶ overtake ─▶ next address ─┬ answers ─▶ on_late_answer for the first one
//!                                                  └ silent, the first one answers ─▶ take_back
//! 180 of an overtaken INVITE ─▶ CANCEL        200 ─▶ ACK, BYE        refusals: acknowledged by the transaction
//! ```

use std::time::Instant;

use crate::action::{OutgoingRequest, Purpose, Turn};
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
        let Some(request) = self.requests.get_mut(&id) else {
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
            entry.machine.stop_repeating();
            request.handle_overtaken();
        }
        self.schedule_client(transaction, shared);
    }

    /// An overtaken address answers: whether it does so before the one under way.
    pub(super) fn take_back(
        &mut self,
        id: RequestId,
        transaction: TransactionId,
        shared: &mut Shared,
    ) -> bool {
        let Some(request) = self.requests.get_mut(&id) else {
            return false;
        };
        let under_way = request.transaction();
        let silent = under_way
            .and_then(|t| self.clients.get(t))
            .is_some_and(|entry| entry.machine.state() == State::Calling);
        if !silent || !request.take_back(transaction) {
            return false;
        }
        let later = under_way.and_then(|t| self.clients.get_mut(t));
        if let Some(entry) = later {
            entry.overtaken = true;
            entry.machine.stop_repeating();
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
            return self.cancel_transaction(transaction, shared, now);
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
