//! Requests whose outcome is not wanted any more (RFC 3261 section 9.1).

use std::time::Instant;

use crate::client_request::ClientRequest;
use crate::ids::RequestId;
use crate::shared::Shared;

use super::Requests;

impl Requests {
    /// No outcome of an INVITE is wanted any more: CANCEL as soon as allowed.
    pub(crate) fn cancel(&mut self, id: RequestId, shared: &mut Shared, now: Instant) {
        let Some(request) = self.by_id.get_mut(&id) else {
            return;
        };
        let state = request
            .transaction()
            .and_then(|t| self.clients.get(t))
            .map(|entry| entry.machine.state());
        let step = request.cancel(state);
        self.cancel_overtaken(id, shared, now);
        self.on_step(id, step, shared, now);
    }

    /// INVITEs that no one wants any more are not sent again: one that was lost needs no CANCEL.
    pub(crate) fn stop_sending_cancelled(&mut self, shared: &mut Shared) {
        let unwanted = self.by_id.values().filter(|request| request.wants_cancel());
        let transactions: Vec<_> = unwanted.filter_map(ClientRequest::transaction).collect();
        for transaction in transactions {
            if let Some(entry) = self.clients.get_mut(transaction) {
                entry.machine.stop_retransmitting();
            }
            self.schedule_client(transaction, shared);
        }
    }

    /// Cancels the INVITEs that still wait for their first provisional response.
    pub(crate) fn cancel_unheard(&mut self, shared: &mut Shared, now: Instant) {
        let unheard = self
            .by_id
            .iter()
            .filter(|(_, request)| request.wants_cancel());
        let ids: Vec<RequestId> = unheard.map(|(id, _)| *id).collect();
        for id in ids {
            self.send_cancel(id, shared, now);
        }
    }

    pub(super) fn send_cancel(&mut self, id: RequestId, shared: &mut Shared, now: Instant) {
        let Some(request) = self.by_id.get_mut(&id) else {
            return;
        };
        request.handle_cancel_sent(now);
        let transaction = request.transaction();
        self.schedule_request(id, shared);
        if let Some(transaction) = transaction {
            self.cancel_transaction(transaction, shared, now);
        }
    }
}
