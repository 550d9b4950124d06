//! Requests of ours: their table and lookups, and what each [`ClientRequest`] wants done next.

use std::time::Instant;

use crate::action::{OutgoingRequest, Purpose};
use crate::api::{Event, Lookup};
use crate::client_request::{ClientRequest, Prepared, Step};
use crate::dialog::Dialog;
use crate::env::Env;
use crate::flow::{Flow, Target, Transport};
use crate::ids::{ConnectionId, LookupId, RequestId};
use crate::locate::Hop;
use crate::message::{Method, Response};
use crate::transaction::client::Client;
use crate::transaction::table::{ClientEntry, MAX_CLIENTS, client_key};

use super::registrations::NO_ADDRESS;
use super::{UserAgent, Waiter};

/// How a request ended, or how far it is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Outcome<'a> {
    /// A response, provisional or final.
    Response(&'a Response),
    /// No response: the status that stands for it (RFC 3261 section 8.1.3.1) and why.
    Failed(u16, &'a str),
}

impl Outcome<'_> {
    /// The status, or the one that stands for it.
    pub(super) fn code(self) -> u16 {
        match self {
            Self::Response(response) => response.code(),
            Self::Failed(code, _) => code,
        }
    }
}

/// A request that failed here; its sender learns of it at the end of the turn.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) purpose: Purpose,
    pub(super) code: u16,
    pub(super) reason: String,
}

impl UserAgent {
    /// Sends a request on its way. Its outcome comes to its purpose; failures never before this
    /// returns.
    pub(super) fn send_request(&mut self, id: RequestId, outgoing: OutgoingRequest, now: Instant) {
        let purpose = outgoing.purpose;
        // What ends a call is sent all the same: the network may be back before it gives up.
        let begins = match purpose {
            Purpose::Register(_)
            | Purpose::Invite(_)
            | Purpose::Probe(_)
            | Purpose::Keepalive(_)
            | Purpose::Message(_)
            | Purpose::Publish(_)
            | Purpose::Subscribe(_, 0) => true,
            Purpose::Reinvite(_)
            | Purpose::Refresh(_)
            | Purpose::Prack(_)
            | Purpose::InDialog(_)
            | Purpose::Digit(..)
            | Purpose::CheckPeer(_)
            | Purpose::Refer(_)
            | Purpose::Notify(_)
            | Purpose::Subscribe(..)
            | Purpose::Served(_)
            | Purpose::Ack(_)
            | Purpose::None => false,
        };
        if begins && let Some(reason) = self.env.offline.clone() {
            return self.fail(purpose, 503, reason);
        }
        let hop = match &outgoing.hop {
            _ if self.requests.len() >= MAX_CLIENTS => {
                return self.fail(purpose, 503, "too many requests under way".to_owned());
            }
            Ok(hop) => hop.clone(),
            Err(error) => return self.fail(purpose, 503, error.to_string()),
        };
        let delivery = self.delivery(&outgoing, &hop);
        let request = ClientRequest::new(outgoing, hop, delivery, &self.env, now);
        self.requests.insert(id, request);
        let nothing = "there is no server to send it to".to_owned();
        self.on_step(id, Step::TryNext(503, nothing), now);
    }

    fn fail(&mut self, purpose: Purpose, code: u16, reason: String) {
        self.failures.push_back(Failure {
            purpose,
            code,
            reason,
        });
    }

    /// The answer to a lookup.
    pub(super) fn on_lookup(
        &mut self,
        lookup: LookupId,
        found: Result<&[Target], &str>,
        now: Instant,
    ) {
        if let Some(id) = self.lookups.remove(&lookup)
            && let Some(step) = self.learn_targets(id, found, now)
        {
            self.on_step(id, step, now);
        }
    }

    /// The addresses of the server a request waits for.
    fn learn_targets(
        &mut self,
        id: RequestId,
        found: Result<&[Target], &str>,
        now: Instant,
    ) -> Option<Step> {
        let request = self.requests.get_mut(&id)?;
        let step = request.handle_targets(found, &self.env, now);
        let host = request.hop().host.clone();
        if let Some(account) = request.account()
            && let Some(registration) = self.registrations.get_mut(account)
        {
            let servers = registration.servers_mut();
            servers.learn(&host, found.unwrap_or_default());
        }
        Some(step)
    }

    /// Does what follows for a request.
    pub(super) fn on_step(&mut self, id: RequestId, step: Step, now: Instant) {
        let Some(purpose) = self.requests.get(&id).map(ClientRequest::purpose) else {
            return;
        };
        match step {
            Step::Wait => {}
            Step::Deliver => self.schedule_request(id),
            Step::RepeatAck(flow, bytes) => {
                self.transport.counters.retransmitted += 1;
                self.transport.send(flow, bytes, now);
            }
            Step::SendCancel => self.send_cancel(id, now),
            Step::CancelAndFail(code, reason) => {
                self.send_cancel(id, now);
                self.on_outcome(purpose, id, Outcome::Failed(code, reason), now);
            }
            Step::Resend(cseq) => {
                self.on_renumbered(purpose, cseq);
                let prepared = self.prepare(id, now, ClientRequest::same_attempt);
                if !prepared.is_some_and(|prepared| self.send_prepared(id, prepared, now)) {
                    self.give_up(id, 503, "it cannot be sent".to_owned());
                }
            }
            Step::TryNext(code, reason) => self.try_next(id, code, reason, now),
            Step::Overtake(code, reason) => {
                let choice = self.requests.get(&id).and_then(ClientRequest::choice);
                self.overtake(id);
                if let (Purpose::Register(account), Some(choice)) = (purpose, choice)
                    && let Some(registration) = self.registrations.get_mut(account)
                {
                    registration.handle_silence_of(choice.target, now);
                }
                self.try_next(id, code, reason, now);
                self.check_registered_servers(now);
            }
            Step::Fail(code, reason) => self.give_up(id, code, reason),
            Step::Finish | Step::Forget => self.forget_request(id),
        }
    }

    /// Sends a request to its next address, after a lookup where that is needed.
    fn try_next(&mut self, id: RequestId, code: u16, reason: String, now: Instant) {
        loop {
            while let Some(prepared) = self.prepare(id, now, ClientRequest::next_attempt) {
                if self
                    .env
                    .addresses
                    .toward(prepared.remote.ip())
                    .ip()
                    .is_loopback()
                    && !prepared.remote.ip().is_loopback()
                {
                    return self.give_up(id, 503, NO_ADDRESS.to_owned());
                }
                if self.send_prepared(id, prepared, now) {
                    return;
                }
            }
            let next = self
                .requests
                .get_mut(&id)
                .and_then(ClientRequest::next_lookup);
            let Some(hop) = next else {
                return self.give_up(id, code, reason);
            };
            match hop.numeric() {
                Some(target) => self.learn_targets(id, Ok(&[target]), now),
                None => return self.look_up(id, &hop),
            };
        }
    }

    /// Asks for the addresses of a server.
    fn look_up(&mut self, id: RequestId, hop: &Hop) {
        let lookup = LookupId(self.next_lookup);
        self.next_lookup += 1;
        self.lookups.insert(lookup, id);
        self.events.push_back(Event::Lookup(Lookup {
            id: lookup,
            host: hop.host.to_string(),
            port: hop.port,
            transport: hop.transport,
        }));
    }

    fn give_up(&mut self, id: RequestId, code: u16, reason: String) {
        if let Some(request) = self.requests.get(&id) {
            let purpose = request.purpose();
            self.forget_request(id);
            self.fail(purpose, code, reason);
        }
    }

    /// Forgets a request; its outcome no longer matters.
    pub(super) fn forget_request(&mut self, id: RequestId) {
        self.lookups.retain(|_, owner| *owner != id);
        self.deadlines.set(Waiter::Request(id), None);
        let Some(request) = self.requests.remove(&id) else {
            return;
        };
        let all = request
            .transaction()
            .into_iter()
            .chain(request.overtaken().collect::<Vec<_>>());
        // A question whether a server is there is not waited for any longer: the next one follows.
        let asks = matches!(request.purpose(), Purpose::Probe(_) | Purpose::Keepalive(_));
        for transaction in all {
            if asks {
                self.abandon_client(transaction);
                self.schedule_client(transaction);
            } else if let Some(entry) = self.clients.get_mut(transaction) {
                entry.owner = None;
            }
        }
    }

    fn prepare(
        &mut self,
        id: RequestId,
        now: Instant,
        attempt: impl FnOnce(&mut ClientRequest, &mut Env, Instant) -> Option<Prepared>,
    ) -> Option<Prepared> {
        attempt(self.requests.get_mut(&id)?, &mut self.env, now)
    }

    /// Sends a request to one address in a transaction of its own; whether that worked.
    fn send_prepared(&mut self, id: RequestId, prepared: Prepared, now: Instant) -> bool {
        let Some(request) = self.requests.get_mut(&id) else {
            return true;
        };
        let remote = prepared.remote;
        let flow = match prepared.transport {
            Transport::Udp => Some(Flow::Udp { remote }),
            transport @ (Transport::Tcp | Transport::Tls) => {
                let registration = request.account().and_then(|a| self.registrations.get(a));
                let servers = registration.map(crate::registration::Registration::servers);
                let names = request.expected_identities(servers, remote);
                let server = servers.is_some_and(|servers| servers.has_address(remote.ip()));
                let reuse = prepared.reuse.filter(|flow| self.transport.is_alive(*flow));
                reuse.or_else(|| {
                    self.transport.connect(
                        remote,
                        transport,
                        (&names, server),
                        &mut self.events,
                        now,
                    )
                })
            }
        };
        let Some(flow) = flow else { return false };
        match request.purpose() {
            // Neither transaction nor answer (section 13.2.2.4).
            Purpose::Ack(invite) => {
                let to = prepared.request.headers.to().ok();
                let tag = to.and_then(|to| to.tag().map(str::to_owned));
                self.forget_request(id);
                if let Some(invite) = self.requests.get_mut(&invite) {
                    let bytes = prepared.bytes.clone();
                    invite.handle_acknowledged(tag.unwrap_or_default(), flow, bytes);
                }
                self.transport.send(flow, prepared.bytes, now);
                return true;
            }
            Purpose::Register(account) => {
                if let Some(registration) = self.registrations.get_mut(account) {
                    registration.handle_sent(flow);
                }
            }
            Purpose::Invite(_)
            | Purpose::Reinvite(_)
            | Purpose::Refresh(_)
            | Purpose::Prack(_)
            | Purpose::InDialog(_)
            | Purpose::Digit(..)
            | Purpose::Refer(_)
            | Purpose::Notify(_)
            | Purpose::Probe(_)
            | Purpose::Keepalive(_)
            | Purpose::CheckPeer(_)
            | Purpose::Message(_)
            | Purpose::Publish(_)
            | Purpose::Subscribe(..)
            | Purpose::Served(_)
            | Purpose::None => {}
        }
        let method = prepared.request.method.clone();
        let reliable = flow.transport().is_reliable();
        let entry = ClientEntry {
            machine: Client::new(method == Method::Invite, reliable, now),
            request: prepared.request,
            bytes: prepared.bytes.clone().into(),
            flow,
            owner: Some(id),
            overtaken: false,
        };
        let key = client_key(&prepared.branch, &method);
        let Some(transaction) = self.clients.insert(key, entry) else {
            return false;
        };
        let opening = flow
            .connection()
            .is_some_and(|connection| !self.transport.connections.is_open(connection));
        if let Some(request) = self.requests.get_mut(&id) {
            request.handle_sent(flow, transaction, opening, now);
        }
        self.schedule_request(id);
        self.schedule_client(transaction);
        self.transport.send(flow, prepared.bytes, now);
        true
    }

    /// A connection is open: what waited for it has been sent.
    pub(super) fn on_connection_opened(&mut self, connection: ConnectionId, now: Instant) {
        let waiting: Vec<RequestId> = self
            .clients
            .iter()
            .filter(|(_, entry)| entry.flow.connection() == Some(connection))
            .filter_map(|(_, entry)| entry.owner)
            .collect();
        for id in waiting {
            if let Some(request) = self.requests.get_mut(&id) {
                request.handle_connected(now);
                self.schedule_request(id);
            }
        }
    }

    /// A request's own deadline has come.
    pub(super) fn request_timeout(&mut self, id: RequestId, now: Instant) {
        let Some(request) = self.requests.get_mut(&id) else {
            return;
        };
        let transaction = request.transaction();
        let state = transaction
            .and_then(|t| self.clients.get(t))
            .map(|entry| entry.machine.state());
        let step = request.handle_timeout(state, &mut self.env, now);
        match &step {
            // The answer to the CANCEL is not waited for any more.
            Step::Forget => {
                if let Some(transaction) = transaction {
                    self.abandon_client(transaction);
                }
            }
            Step::Wait
            | Step::TryNext(..)
            | Step::Overtake(..)
            | Step::Deliver
            | Step::RepeatAck(..)
            | Step::SendCancel
            | Step::CancelAndFail(..)
            | Step::Resend(_)
            | Step::Finish
            | Step::Fail(..) => {}
        }
        self.on_step(id, step, now);
        if let Some(transaction) = transaction {
            self.schedule_client(transaction);
        }
    }

    pub(super) fn on_transaction_failed(
        &mut self,
        id: RequestId,
        code: u16,
        reason: &str,
        now: Instant,
    ) {
        let Some(request) = self.requests.get_mut(&id) else {
            return;
        };
        let transaction = request.transaction();
        let step = request.handle_failure(code, reason, &mut self.env, now);
        if let Some(entry) = transaction.and_then(|t| self.clients.get_mut(t)) {
            entry.owner = None;
        }
        self.on_step(id, step, now);
        self.check_registered_servers(now);
    }

    /// No outcome of an INVITE is wanted any more: CANCEL as soon as allowed.
    pub(super) fn cancel_request(&mut self, id: RequestId, now: Instant) {
        let Some(request) = self.requests.get_mut(&id) else {
            return;
        };
        let state = request
            .transaction()
            .and_then(|t| self.clients.get(t))
            .map(|entry| entry.machine.state());
        let step = request.cancel(state);
        self.on_step(id, step, now);
    }

    /// INVITEs that no one wants any more are not sent again: one that was lost needs no CANCEL.
    pub(super) fn stop_sending_cancelled(&mut self) {
        let unwanted = self
            .requests
            .values()
            .filter(|request| request.wants_cancel());
        let transactions: Vec<_> = unwanted.filter_map(ClientRequest::transaction).collect();
        for transaction in transactions {
            if let Some(entry) = self.clients.get_mut(transaction) {
                entry.machine.stop_sending();
            }
            self.schedule_client(transaction);
        }
    }

    /// Cancels the INVITEs that still wait for their first provisional response.
    pub(super) fn cancel_unheard(&mut self, now: Instant) {
        let unheard = self
            .requests
            .iter()
            .filter(|(_, request)| request.wants_cancel());
        let ids: Vec<RequestId> = unheard.map(|(id, _)| *id).collect();
        for id in ids {
            self.send_cancel(id, now);
        }
    }

    fn send_cancel(&mut self, id: RequestId, now: Instant) {
        let Some(request) = self.requests.get_mut(&id) else {
            return;
        };
        request.handle_cancel_sent(now);
        let transaction = request.transaction();
        self.schedule_request(id);
        if let Some(transaction) = transaction {
            self.cancel_transaction(transaction, now);
        }
    }

    /// Sends the ACK of a 2xx in the dialog it made.
    pub(super) fn acknowledge(&mut self, invite: RequestId, dialog: &Dialog, now: Instant) {
        let Some(request) = self.requests.get(&invite) else {
            return;
        };
        let account = request.account();
        if let Some(ack) = request.acknowledge(dialog) {
            let purpose = Purpose::Ack(invite);
            let outgoing = OutgoingRequest::in_dialog(dialog, purpose, account, ack);
            let id = self.env.request_id();
            self.send_request(id, outgoing, now);
        }
    }

    pub(super) fn schedule_request(&mut self, id: RequestId) {
        let deadline = self.requests.get(&id).and_then(ClientRequest::deadline);
        self.deadlines.set(Waiter::Request(id), deadline);
    }
}
