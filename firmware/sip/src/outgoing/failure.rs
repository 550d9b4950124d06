//! What happens to requests when nothing comes back: timers, broken connections, unreachable
//! addresses.
//!
//! ```text
//! timer B, F │ connection gone │ ICMP ─▶ next address, or Outcome::Failed
//! ```

use std::time::Instant;

use crate::agent::UserAgent;
use crate::flow::Flow;
use crate::ids::{RequestId, TransactionId};
use crate::transaction::client::State;

use super::{Cancel, Outcome};

impl UserAgent {
    /// A client transaction's time has come.
    pub(crate) fn client_timeout(&mut self, id: TransactionId, now: Instant) {
        let Some(entry) = self.clients.get_mut(id) else {
            return;
        };
        let todo = entry.machine.timeout(now);
        let (flow, owner) = (entry.flow, entry.owner);
        if todo.retransmit {
            let bytes = entry.bytes.to_vec();
            self.wire.counters.retransmitted += 1;
            self.wire.send(flow, bytes, now);
        }
        if todo.timed_out
            && let Some(owner) = owner
        {
            self.transaction_failed(owner, 408, "no answer within 32 seconds", now);
        }
        self.schedule_client(id);
    }

    /// A request's own deadline has come.
    pub(crate) fn outgoing_timeout(&mut self, id: RequestId, now: Instant) {
        let Some(outgoing) = self.outgoing.get_mut(&id) else {
            return;
        };
        outgoing.deadline = None;
        let state = outgoing
            .transaction
            .and_then(|t| self.clients.get(t))
            .map(|entry| entry.machine.state());
        let purpose = outgoing.purpose.clone();
        match (outgoing.cancel, state) {
            // Nobody answered the CANCEL: the INVITE is over all the same.
            (Cancel::Sent, _) => {
                let transaction = outgoing.transaction;
                self.forget_outgoing(id);
                if let Some(entry) = transaction.and_then(|t| self.clients.get_mut(t)) {
                    entry.machine.abandon();
                }
                if let Some(transaction) = transaction {
                    self.schedule_client(transaction);
                }
            }
            (_, Some(State::Calling)) => {
                self.drop_transaction(id, 503, "the connection does not open", now)
            }
            (_, Some(State::Proceeding)) => {
                self.cancel(id, now);
                self.outcome(
                    &purpose,
                    id,
                    &Outcome::Failed(408, "the far end rang without end"),
                    now,
                );
            }
            (_, Some(State::Completed | State::Accepted | State::Done) | None) => {}
        }
    }

    /// The way a transaction used is gone: its connection closed, its address unreachable.
    pub(crate) fn flow_failed(&mut self, gone: impl Fn(Flow) -> bool, reason: &str, now: Instant) {
        let hit: Vec<(TransactionId, Option<RequestId>)> = self
            .clients
            .iter()
            .filter(|(_, entry)| {
                gone(entry.flow)
                    && matches!(entry.machine.state(), State::Calling | State::Proceeding)
            })
            .map(|(id, entry)| (id, entry.owner))
            .collect();
        for (transaction, owner) in hit {
            if let Some(owner) = owner {
                self.drop_transaction(owner, 503, reason, now);
                continue;
            }
            if let Some(entry) = self.clients.get_mut(transaction) {
                entry.machine.abandon();
            }
            self.schedule_client(transaction);
        }
    }

    fn drop_transaction(&mut self, id: RequestId, code: u16, reason: &str, now: Instant) {
        let transaction = self.outgoing.get(&id).and_then(|o| o.transaction);
        if let Some(entry) = transaction.and_then(|t| self.clients.get_mut(t)) {
            entry.machine.abandon();
            entry.owner = None;
        }
        self.transaction_failed(id, code, reason, now);
        if let Some(transaction) = transaction {
            self.schedule_client(transaction);
        }
    }

    fn transaction_failed(&mut self, id: RequestId, code: u16, reason: &str, now: Instant) {
        let Some(outgoing) = self.outgoing.get_mut(&id) else {
            return;
        };
        if let Some(entry) = outgoing
            .transaction
            .take()
            .and_then(|t| self.clients.get_mut(t))
        {
            entry.owner = None;
        }
        if self
            .outgoing
            .get(&id)
            .is_some_and(|o| o.cancel != Cancel::No)
        {
            self.forget_outgoing(id);
        } else {
            self.try_next(id, code, reason, now);
        }
    }
}
