//! Client transactions (RFC 3261 section 17.1): their responses, timers and failures, passed on to
//! the request that each belongs to.

use std::time::Instant;

use crate::action::Purpose;
use crate::client_request::{ClientRequest, Step, ack_of_refusal, cancel_of};
use crate::flow::{Flow, Target};
use crate::ids::{RequestId, TransactionId};
use crate::message::{Method, Request, Response};
use crate::transaction::client::{Client, State};
use crate::transaction::table::{ClientEntry, client_key, response_key};

use crate::shared::{Shared, Waiter};

use super::{Delivered, Requests};

impl Requests {
    /// A response came in. What is returned is for whoever sent the request.
    pub(crate) fn handle_response(
        &mut self,
        flow: Flow,
        response: &Response,
        shared: &mut Shared,
        now: Instant,
    ) -> Option<Delivered> {
        // More than one Via: it is not for us (section 18.1.2).
        let transaction = response_key(response)
            .filter(|_| response.headers.via_count() == 1)
            .and_then(|key| self.clients.find(&key));
        let Some((transaction, entry)) =
            transaction.and_then(|id| Some((id, self.clients.get_mut(id)?)))
        else {
            shared.drop_message();
            return None;
        };
        let same = |a: &Request, b: &Response| {
            a.headers.call_id() == b.headers.call_id()
                && a.headers.cseq().map(|c| c.number) == b.headers.cseq().map(|c| c.number)
        };
        let servers = entry
            .owner
            .and_then(|owner| self.by_id.get(&owner))
            .and_then(ClientRequest::account)
            .and_then(|account| shared.registrations.servers(account));
        let from_elsewhere = !flow.same_host(entry.flow)
            && servers.is_some_and(|servers| !servers.has_address(flow.remote().ip()));
        // A response to what went over TLS must come over TLS, too, and any response from the host
        // that was asked or another one of the account's servers.
        if !same(&entry.request, response)
            || (entry.flow.is_secure() && !flow.is_secure())
            || from_elsewhere
        {
            shared.drop_message();
            return None;
        }
        let answered = Target {
            transport: entry.flow.transport(),
            address: entry.flow.remote(),
        };
        let todo = entry.machine.response(response.code(), now);
        let (owner, overtaken) = (entry.owner, entry.overtaken);
        shared.env.reachability.handle_answer(answered);
        if todo.ack {
            let (flow, ack) = (entry.flow, ack_of_refusal(&entry.request, response));
            shared.transport.send(flow, ack.to_bytes(), now);
        }
        let mut delivered = None;
        if todo.deliver {
            match owner {
                Some(owner)
                    if !overtaken
                        || self.take_back(owner, transaction, response.code(), shared) =>
                {
                    delivered = self.on_response(owner, transaction, response, shared, now);
                }
                Some(_) | None if overtaken => {
                    self.on_late_answer(transaction, response, shared, now);
                }
                Some(_) | None => {}
            }
        }
        self.schedule_client(transaction, shared);
        delivered
    }

    fn on_response(
        &mut self,
        id: RequestId,
        transaction: TransactionId,
        response: &Response,
        shared: &mut Shared,
        now: Instant,
    ) -> Option<Delivered> {
        let Shared {
            env, registrations, ..
        } = shared;
        let request = self.by_id.get_mut(&id)?;
        let account = request.account();
        let account = account.and_then(|a| registrations.credentials(a, &env.config));
        let (purpose, choice) = (request.purpose(), request.choice());
        let step = request.handle_response(response, account, &mut env.tokens, now);
        if request.transaction().is_none()
            && let Some(entry) = self.clients.get_mut(transaction)
        {
            entry.owner = None;
        }
        let delivers = matches!(step, Step::Deliver | Step::Finish);
        if let (Purpose::Register(account), Some(choice)) = (purpose, choice) {
            registrations.handle_registrar_answer(account, response, choice, env, now);
        }
        if matches!(purpose, Purpose::Invite(_)) && (101..300).contains(&response.code()) {
            self.cancel_overtaken(id, shared, now);
        }
        self.on_step(id, step, shared, now);
        delivers.then_some(Delivered { purpose, id })
    }

    /// A timer of a client transaction has fired.
    pub(crate) fn handle_client_timeout(
        &mut self,
        id: TransactionId,
        shared: &mut Shared,
        now: Instant,
    ) {
        let Some(entry) = self.clients.get_mut(id) else {
            return;
        };
        let todo = entry.machine.timeout(now);
        let flow = entry.flow;
        let owner = entry.owner.filter(|_| todo.timed_out && !entry.overtaken);
        if todo.retransmit {
            let bytes = entry.bytes.to_vec();
            shared.transport.counters.retransmitted += 1;
            shared.transport.send(flow, bytes, now);
        }
        if let Some(owner) = owner {
            self.on_transaction_failed(owner, 408, "no answer within 32 seconds", shared, now);
        }
        self.schedule_client(id, shared);
    }

    /// The flow of transactions failed: a connection closed, an address unreachable.
    pub(crate) fn handle_flow_failed(
        &mut self,
        gone: impl Fn(Flow) -> bool,
        reason: &str,
        shared: &mut Shared,
        now: Instant,
    ) {
        let hit: Vec<(TransactionId, Option<RequestId>)> = self
            .clients
            .iter()
            .filter(|(_, entry)| {
                gone(entry.flow)
                    && matches!(entry.machine.state(), State::Calling | State::Proceeding)
            })
            .map(|(id, entry)| (id, entry.owner.filter(|_| !entry.overtaken)))
            .collect();
        for (transaction, owner) in hit {
            self.abandon_client(transaction);
            if let Some(owner) = owner {
                self.on_transaction_failed(owner, 503, reason, shared, now);
            }
            self.schedule_client(transaction, shared);
        }
    }

    pub(super) fn abandon_client(&mut self, transaction: TransactionId) {
        if let Some(entry) = self.clients.get_mut(transaction) {
            entry.machine.abandon();
            entry.owner = None;
        }
    }

    /// Sends the CANCEL of one INVITE transaction, once.
    pub(super) fn cancel_transaction(
        &mut self,
        transaction: TransactionId,
        shared: &mut Shared,
        now: Instant,
    ) {
        let Some(entry) = self.clients.get_mut(transaction) else {
            return;
        };
        if !entry.machine.cancel(now) {
            return;
        }
        let (request, flow) = (cancel_of(&entry.request), entry.flow);
        let via = request.headers.top_via().ok();
        let Some(branch) = via.as_ref().and_then(|via| via.branch()) else {
            return;
        };
        let bytes = request.to_bytes();
        let key = client_key(branch, &Method::Cancel);
        let entry = ClientEntry {
            machine: Client::new(false, flow.transport().is_reliable(), now),
            request,
            bytes: bytes.clone().into(),
            flow,
            owner: None,
            overtaken: false,
        };
        self.schedule_client(transaction, shared);
        if let Some(transaction) = self.clients.insert(key, entry) {
            self.schedule_client(transaction, shared);
            shared.transport.send(flow, bytes, now);
        }
    }

    /// Sets the deadline of a client transaction; forgets the transaction when it is over.
    pub(super) fn schedule_client(&mut self, id: TransactionId, shared: &mut Shared) {
        let Some(entry) = self.clients.get(id) else {
            return;
        };
        if entry.machine.state() != State::Done {
            shared
                .deadlines
                .set(Waiter::Client(id), entry.machine.deadline());
            return;
        }
        shared.deadlines.set(Waiter::Client(id), None);
        let owner = self.clients.remove(id).and_then(|entry| entry.owner);
        // An INVITE that got its 2xx stays until no other branch can answer any more.
        if let Some(owner) = owner
            && self
                .by_id
                .get(&owner)
                .is_some_and(|request| request.transaction() == Some(id))
        {
            self.forget(owner, shared);
        }
    }
}
