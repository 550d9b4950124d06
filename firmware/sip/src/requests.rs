//! Requests of ours: their table, their client transactions and lookups, and what each
//! [`ClientRequest`] wants done next.
//!
//! ```text
//! send ─▶ ClientRequest ─▶ lookup ─▶ client transaction ─▶ transport
//!            ▲                              │
//!            └── Step ◀── response, timeout, failure of the way ──▶ Delivered, Notice, Failure
//! ```

mod cancelling;
mod client_transactions;
mod outcome;
mod overtaking;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use crate::action::{OutgoingRequest, Purpose, Turn};
use crate::api::{Event, Lookup};
use crate::client_request::{ClientRequest, Prepared, Step};
use crate::dialog::Dialog;
use crate::env::Env;
use crate::flow::{Flow, Target, Transport};
use crate::ids::{ConnectionId, LookupId, RequestId};
use crate::locate::{Hop, LookupFailed, Service};
use crate::message::{Method, Response};
use crate::shared::{Shared, Waiter};
use crate::transaction::client::{Client, State};
use crate::transaction::table::{ClientEntry, MAX_CLIENTS, Table, client_key};
use crate::transport::ConnectFor;

pub(crate) use outcome::{Delivered, Failure, Notice, Outcome, Urgency};

/// How long a server that is asked whether it is there may be silent.
const ASKED_SILENCE: Duration = Duration::from_millis(3500);
/// What is reported when the phone's own address is gone.
pub(crate) const NO_ADDRESS: &str =
    "the phone has no network address: plug the cable in, or see whether Wi-Fi and DHCP work";

/// All requests under way.
pub(crate) struct Requests {
    clients: Table<ClientEntry>,
    by_id: BTreeMap<RequestId, ClientRequest>,
    /// Lookups under way, and the request each is for.
    lookups: BTreeMap<LookupId, RequestId>,
    next_lookup: u64,
    /// Requests that failed here; their senders do not know yet.
    failures: VecDeque<Failure>,
    notices: VecDeque<Notice>,
}

impl Requests {
    pub(crate) fn new() -> Self {
        Self {
            clients: Table::new(MAX_CLIENTS),
            by_id: BTreeMap::new(),
            lookups: BTreeMap::new(),
            next_lookup: 1,
            failures: VecDeque::new(),
            notices: VecDeque::new(),
        }
    }

    /// What others learn at once; call until `None` after each of the calls below.
    pub(crate) fn poll_notice(&mut self) -> Option<Notice> {
        self.notices.pop_front()
    }

    /// A request that failed here, for its sender at the end of the turn.
    pub(crate) fn poll_failure(&mut self) -> Option<Failure> {
        self.failures.pop_front()
    }

    /// How many lookups are under way.
    pub(crate) fn lookup_count(&self) -> usize {
        self.lookups.len()
    }

    /// How many transactions there are, those of requests that still look for an address included.
    pub(crate) fn transaction_count(&self) -> usize {
        self.clients.len() + self.without_transaction()
    }

    /// How many requests still wait for their final answer.
    pub(crate) fn unanswered(&self) -> usize {
        let waiting = |entry: &ClientEntry| match entry.machine.state() {
            State::Calling | State::Proceeding => true,
            State::Completed | State::Accepted | State::Done => false,
        };
        let clients = self.clients.iter();
        self.without_transaction() + clients.filter(|(_, entry)| waiting(entry)).count()
    }

    fn without_transaction(&self) -> usize {
        let requests = self.by_id.values();
        requests
            .filter(|request| request.transaction().is_none())
            .count()
    }

    /// The account a request went by.
    pub(crate) fn account(&self, id: RequestId) -> Option<usize> {
        self.by_id.get(&id).and_then(ClientRequest::account)
    }

    /// The dialog a response to a request makes.
    pub(crate) fn dialog_of(&self, id: RequestId, response: &Response) -> Option<Dialog> {
        let request = self.by_id.get(&id)?;
        Dialog::of_caller(request.request(), response, request.flow())
    }

    /// The 2xx of a re-INVITE whose call ended meanwhile: the ACK must follow all the same.
    pub(crate) fn acknowledge_late(
        &mut self,
        id: RequestId,
        response: &Response,
        shared: &mut Shared,
        now: Instant,
    ) {
        // Inside of a dialog the routes are those of the request, whatever the response records.
        let request = self.by_id.get(&id);
        let routes = request.and_then(|request| request.request().headers.routes().ok());
        if let Some(mut dialog) = self.dialog_of(id, response) {
            dialog.routes = routes.unwrap_or_default();
            self.acknowledge(id, &dialog, shared, now);
        }
    }

    /// Ends a dialog that no call is for.
    pub(crate) fn send_bye(
        &mut self,
        mut dialog: Dialog,
        account: Option<usize>,
        shared: &mut Shared,
        now: Instant,
    ) {
        let mut turn = Turn::new(&mut shared.env, now);
        turn.send_bye(&mut dialog, account, None);
        self.send_all(turn.into_requests(), shared, now);
    }

    fn send_all(
        &mut self,
        requests: Vec<(RequestId, OutgoingRequest)>,
        shared: &mut Shared,
        now: Instant,
    ) {
        for (id, request) in requests {
            self.send(id, request, None, shared, now);
        }
    }

    /// Sends a request on its way. Its outcome comes to its purpose; failures never before this
    /// returns.
    pub(crate) fn send(
        &mut self,
        id: RequestId,
        outgoing: OutgoingRequest,
        urgency: Option<Urgency>,
        shared: &mut Shared,
        now: Instant,
    ) {
        let purpose = outgoing.purpose;
        if purpose.begins()
            && let Some(reason) = shared.env.offline.clone()
        {
            return self.fail(purpose, 503, reason, false);
        }
        let hop = match &outgoing.hop {
            _ if self.by_id.len() >= MAX_CLIENTS => {
                let reason = "too many requests under way".to_owned();
                return self.fail(purpose, 503, reason, false);
            }
            Ok(hop) => hop.clone(),
            Err(error) => return self.fail(purpose, 503, error.to_string(), false),
        };
        let config = &shared.env.config;
        let mut delivery = shared.registrations.delivery(&outgoing, &hop, config);
        delivery.urgent = urgency.map(|urgency| urgency.each);
        // Where the server was redirected to, others may have been named, and the account's own
        // server is asked again after it.
        let elsewhere = shared.registrations.goes_elsewhere(purpose);
        delivery.silence = if purpose.asks_presence() || elsewhere {
            Some(ASKED_SILENCE)
        } else {
            urgency.and_then(|urgency| urgency.last)
        };
        let request = ClientRequest::new(outgoing, hop, delivery, &shared.env, now);
        self.by_id.insert(id, request);
        let nothing = "there is no server to send it to".to_owned();
        self.on_step(id, Step::TryNext(503, nothing), shared, now);
    }

    fn fail(&mut self, purpose: Purpose, code: u16, reason: String, refused: bool) {
        self.failures.push_back(Failure {
            purpose,
            code,
            reason,
            refused,
        });
    }

    /// The answer to a lookup.
    pub(crate) fn handle_lookup(
        &mut self,
        lookup: LookupId,
        found: Result<&[Target], LookupFailed<'_>>,
        shared: &mut Shared,
        now: Instant,
    ) {
        if let Some(id) = self.lookups.remove(&lookup)
            && let Some(step) = self.learn_targets(id, found, shared, now)
        {
            self.on_step(id, step, shared, now);
        }
    }

    /// The addresses of the server a request waits for.
    fn learn_targets(
        &mut self,
        id: RequestId,
        found: Result<&[Target], LookupFailed<'_>>,
        shared: &mut Shared,
        now: Instant,
    ) -> Option<Step> {
        let request = self.by_id.get_mut(&id)?;
        let step = request.handle_targets(found, &shared.env, now);
        let host = request.hop().host.clone();
        if let Some(account) = request.account() {
            let found = found.unwrap_or_default();
            shared.registrations.handle_targets(account, &host, found);
        }
        Some(step)
    }

    /// Does what follows for a request.
    fn on_step(&mut self, id: RequestId, step: Step, shared: &mut Shared, now: Instant) {
        let Some(purpose) = self.by_id.get(&id).map(ClientRequest::purpose) else {
            return;
        };
        match step {
            Step::Wait => {}
            Step::Deliver => self.schedule_request(id, shared),
            Step::RepeatAck(flow, bytes) => {
                shared.transport.counters.retransmitted += 1;
                shared.transport.send(flow, bytes, now);
            }
            Step::SendCancel => self.send_cancel(id, shared, now),
            Step::CancelAndFail(code, reason) => {
                self.send_cancel(id, shared, now);
                let reason = reason.to_owned();
                let failure = Failure {
                    purpose,
                    code,
                    reason,
                    refused: false,
                };
                self.notices.push_back(Notice::Failed(failure));
            }
            Step::Resend(cseq) => {
                self.notices.push_back(Notice::Renumbered(purpose, cseq));
                let prepared = self.prepare(id, shared, now, ClientRequest::same_attempt);
                if !prepared.is_some_and(|prepared| self.send_prepared(id, prepared, shared, now)) {
                    self.give_up(id, 503, "it cannot be sent".to_owned(), shared, now);
                }
            }
            Step::TryNext(code, reason) => self.try_next(id, code, reason, shared, now),
            Step::Overtake(code, reason) => {
                let choice = self.by_id.get(&id).and_then(ClientRequest::choice);
                self.overtake(id, shared);
                if let (Purpose::Register(account), Some(choice)) = (purpose, choice)
                    && let Some(registration) = shared.registrations.get_mut(account)
                {
                    registration.handle_silence_of(choice.target, now);
                }
                self.try_next(id, code, reason, shared, now);
                self.notices.push_back(Notice::ServerSilent);
            }
            Step::Fail(code, reason) => self.give_up(id, code, reason, shared, now),
            Step::Finish | Step::Forget => {
                self.cancel_overtaken(id, shared, now);
                self.forget(id, shared);
            }
        }
    }

    /// Sends a request to its next address, after a lookup where that is needed.
    fn try_next(
        &mut self,
        id: RequestId,
        code: u16,
        reason: String,
        shared: &mut Shared,
        now: Instant,
    ) {
        loop {
            while let Some(prepared) = self.prepare(id, shared, now, ClientRequest::next_attempt) {
                if shared
                    .env
                    .addresses
                    .toward(prepared.remote.ip())
                    .ip()
                    .is_loopback()
                    && !prepared.remote.ip().is_loopback()
                {
                    return self.give_up(id, 503, NO_ADDRESS.to_owned(), shared, now);
                }
                if self.send_prepared(id, prepared, shared, now) {
                    return;
                }
            }
            let next = self.by_id.get_mut(&id).and_then(ClientRequest::next_lookup);
            let Some(hop) = next else {
                if !self.fall_back(id, shared, now) {
                    self.give_up(id, code, reason, shared, now);
                }
                return;
            };
            match hop.numeric() {
                Some(target) => self.learn_targets(id, Ok(&[target]), shared, now),
                None => return self.look_up(id, &hop, shared),
            };
        }
    }

    /// Asks for the addresses of a server.
    fn look_up(&mut self, id: RequestId, hop: &Hop, shared: &mut Shared) {
        let lookup = LookupId(self.next_lookup);
        self.next_lookup += 1;
        self.lookups.insert(lookup, id);
        shared.events.push_back(Event::Lookup(Lookup {
            id: lookup,
            host: hop.host.to_string(),
            port: hop.port,
            transport: hop.transport,
            service: Service::Sip,
        }));
    }

    fn give_up(
        &mut self,
        id: RequestId,
        code: u16,
        reason: String,
        shared: &mut Shared,
        now: Instant,
    ) {
        if let Some(request) = self.by_id.get(&id) {
            let (purpose, refused) = (request.purpose(), request.was_refused());
            self.cancel_overtaken(id, shared, now);
            self.forget(id, shared);
            self.fail(purpose, code, reason, refused);
        }
    }

    /// Forgets a request; its outcome no longer matters.
    pub(crate) fn forget(&mut self, id: RequestId, shared: &mut Shared) {
        self.lookups.retain(|_, owner| *owner != id);
        shared.deadlines.set(Waiter::Request(id), None);
        let Some(request) = self.by_id.remove(&id) else {
            return;
        };
        let all = request
            .transaction()
            .into_iter()
            .chain(request.overtaken().collect::<Vec<_>>());
        // A question whether a server is there is not waited for any longer: the next one follows.
        let asks = request.purpose().asks_server();
        for transaction in all {
            if asks {
                self.abandon_client(transaction);
                self.schedule_client(transaction, shared);
            } else if let Some(entry) = self.clients.get_mut(transaction) {
                entry.owner = None;
            }
        }
    }

    fn prepare(
        &mut self,
        id: RequestId,
        shared: &mut Shared,
        now: Instant,
        attempt: impl FnOnce(&mut ClientRequest, &mut Env, Instant) -> Option<Prepared>,
    ) -> Option<Prepared> {
        attempt(self.by_id.get_mut(&id)?, &mut shared.env, now)
    }

    /// Sends a request to one address in a transaction of its own; whether that worked.
    fn send_prepared(
        &mut self,
        id: RequestId,
        prepared: Prepared,
        shared: &mut Shared,
        now: Instant,
    ) -> bool {
        let Some(request) = self.by_id.get_mut(&id) else {
            return true;
        };
        let remote = prepared.remote;
        let flow = match prepared.transport {
            Transport::Udp => Some(Flow::Udp { remote }),
            transport @ (Transport::Tcp | Transport::Tls) => {
                let servers = request
                    .account()
                    .and_then(|a| shared.registrations.servers(a));
                let names = request.expected_identities(servers, remote);
                let server = servers.is_some_and(|servers| servers.has_address(remote.ip()));
                let reuse = prepared
                    .reuse
                    .filter(|flow| shared.transport.is_alive(*flow));
                reuse.or_else(|| {
                    let (wanted, events) = (ConnectFor::Request { server }, &mut shared.events);
                    shared
                        .transport
                        .connect(remote, transport, &names, wanted, events, now)
                })
            }
        };
        let Some(flow) = flow else { return false };
        let purpose = request.purpose();
        if let Purpose::Ack(invite) = purpose {
            // Neither transaction nor answer (section 13.2.2.4).
            let to = prepared.request.headers.to().ok();
            let tag = to.and_then(|to| to.tag().map(str::to_owned));
            self.forget(id, shared);
            if let Some(invite) = self.by_id.get_mut(&invite) {
                let bytes = prepared.bytes.clone();
                invite.handle_acknowledged(tag.unwrap_or_default(), flow, bytes);
            }
            shared.transport.send(flow, prepared.bytes, now);
            return true;
        }
        if let Purpose::Register(account) = purpose
            && let Some(registration) = shared.registrations.get_mut(account)
        {
            registration.handle_sent(flow);
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
            .is_some_and(|connection| !shared.transport.connections.is_open(connection));
        if let Some(request) = self.by_id.get_mut(&id) {
            request.handle_sent(flow, transaction, opening, now);
        }
        self.schedule_request(id, shared);
        self.schedule_client(transaction, shared);
        shared.transport.send(flow, prepared.bytes, now);
        true
    }

    /// A connection is open: what waited for it has been sent.
    pub(crate) fn handle_connected(
        &mut self,
        connection: ConnectionId,
        shared: &mut Shared,
        now: Instant,
    ) {
        let waiting: Vec<RequestId> = self
            .clients
            .iter()
            .filter(|(_, entry)| entry.flow.connection() == Some(connection))
            .filter_map(|(_, entry)| entry.owner)
            .collect();
        for id in waiting {
            if let Some(request) = self.by_id.get_mut(&id) {
                request.handle_connected(now);
                self.schedule_request(id, shared);
            }
        }
    }

    /// A request's own deadline has come.
    pub(crate) fn handle_request_timeout(
        &mut self,
        id: RequestId,
        shared: &mut Shared,
        now: Instant,
    ) {
        let Some(request) = self.by_id.get_mut(&id) else {
            return;
        };
        let transaction = request.transaction();
        let state = transaction
            .and_then(|t| self.clients.get(t))
            .map(|entry| entry.machine.state());
        let step = request.handle_timeout(state, &mut shared.env, now);
        // The answer to the CANCEL is not waited for any more.
        if let (Step::Forget, Some(transaction)) = (&step, transaction) {
            self.abandon_client(transaction);
        }
        self.on_step(id, step, shared, now);
        if let Some(transaction) = transaction {
            self.schedule_client(transaction, shared);
        }
    }

    fn on_transaction_failed(
        &mut self,
        id: RequestId,
        code: u16,
        reason: &str,
        shared: &mut Shared,
        now: Instant,
    ) {
        let Some(request) = self.by_id.get_mut(&id) else {
            return;
        };
        let transaction = request.transaction();
        let step = request.handle_failure(code, reason, &mut shared.env, now);
        if let Some(entry) = transaction.and_then(|t| self.clients.get_mut(t)) {
            entry.owner = None;
        }
        self.on_step(id, step, shared, now);
        self.notices.push_back(Notice::ServerSilent);
    }

    /// Sends the ACK of a 2xx in the dialog it made.
    pub(crate) fn acknowledge(
        &mut self,
        invite: RequestId,
        dialog: &Dialog,
        shared: &mut Shared,
        now: Instant,
    ) {
        let Some(request) = self.by_id.get(&invite) else {
            return;
        };
        let account = request.account();
        if let Some(ack) = request.acknowledge(dialog) {
            let purpose = Purpose::Ack(invite);
            let outgoing = OutgoingRequest::in_dialog(dialog, purpose, account, ack);
            let id = shared.env.request_id();
            self.send(id, outgoing, None, shared, now);
        }
    }

    fn schedule_request(&mut self, id: RequestId, shared: &mut Shared) {
        let deadline = self.by_id.get(&id).and_then(ClientRequest::deadline);
        shared.deadlines.set(Waiter::Request(id), deadline);
    }
}
