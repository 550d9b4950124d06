//! Messages that come in, brought to the object each is for.
//!
//! ```text
//! request ─▶ ACK? ─▶ repeated? ─▶ CANCEL? ─▶ in a dialog? ─▶ Call::handle_request
//!                                              │ no
//!                                              ▼
//!                          admission ─▶ request_check ─▶ Calls (INVITE) | answered here
//! response ─▶ Requests ─▶ agent::outcomes
//! ```
//!
//! Requests outside of dialogs that change nothing (OPTIONS, and all that is refused but INVITE)
//! are answered without a transaction: the same question gets the same answer, and a flood of them
//! fills no table.

use std::time::Instant;

use crate::action::Reply;
use crate::admission::{ByAccount, Decision, Origin};
use crate::call::InDialog;
use crate::calls::{Calls, NewCall};
use crate::capabilities::ALLOW;
use crate::flow::{Flow, Transport};
use crate::ids::{CallHandle, TransactionId};
use crate::message::{Fault, Message, Method, ParseError, Request};
use crate::request_check::{check, check_require};
use crate::requests::Outcome;
use crate::server_transactions::{Cancelled, reply_flow};
use crate::subscriptions::{EventDialog, may_watch};
use crate::transaction::table::server_key;

use super::{UserAgent, text_messages};

/// Retry-After, in seconds, where the table is full.
const FULL_RETRY_S: u32 = 10;

/// A request outside of what was here before, and the ways to it.
struct IncomingRequest<'a> {
    flow: Flow,
    /// Where answers go.
    reply_to: Flow,
    /// Of its server transaction.
    key: &'a str,
    request: &'a Request,
}

impl UserAgent {
    /// Bytes of one message came in.
    pub(super) fn handle_bytes(&mut self, flow: Flow, bytes: &[u8], now: Instant) {
        match Message::parse(bytes) {
            Ok(Message::Request(request)) => {
                self.shared.transport.counters.received += 1;
                self.handle_request(flow, request, now);
            }
            Ok(Message::Response(response)) => {
                self.shared.transport.counters.received += 1;
                let delivered =
                    self.requests
                        .handle_response(flow, &response, &mut self.shared, now);
                self.follow_requests(now);
                if let Some(delivered) = delivered {
                    let outcome = Outcome::Response(&response);
                    self.on_outcome(delivered.purpose, delivered.id, outcome, now);
                }
            }
            Err(error) => self.handle_malformed(flow, &error, now),
        }
    }

    fn handle_request(&mut self, flow: Flow, mut request: Request, now: Instant) {
        let Ok(mut via) = request.headers.top_via() else {
            return;
        };
        via.stamp(flow.remote());
        request.headers.set_top_via(&via);
        let reply_to = reply_flow(flow, &via);
        let Some(key) = server_key(&request, None) else {
            return;
        };
        let known = self.servers.find(&key);
        match (&request.method, known) {
            (Method::Ack, known) => return self.handle_ack(flow, known, &request, now),
            (_, Some(transaction)) => {
                let shared = &mut self.shared;
                return self.servers.handle_repetition(
                    transaction,
                    reply_to,
                    &request,
                    shared,
                    now,
                );
            }
            (Method::Cancel, None) => return self.handle_cancel(flow, reply_to, &request, now),
            (_, None) => {}
        }
        if via.params().has("alias")
            && let Some(connection) = flow.connection()
        {
            let port = via.port().unwrap_or(Transport::Tls.default_port());
            let connections = &mut self.shared.transport.connections;
            connections.learn_alias(connection, port);
        }
        let incoming = IncomingRequest {
            flow,
            reply_to,
            key: &key,
            request: &request,
        };
        let tagged = request.headers.to().is_ok_and(|to| to.tag().is_some());
        if tagged && let Some(call) = self.calls.of_request(&request) {
            self.handle_in_call(call, &incoming, now);
        } else if let Some(dialog) = self.subscriptions.find(&request) {
            self.handle_in_subscription(dialog, &incoming, now);
        } else if request.method == Method::Subscribe
            && !tagged
            && may_watch(flow, &request, &self.shared.env)
        {
            self.handle_watcher(&incoming, now);
        } else {
            self.handle_outside(tagged, &incoming, now);
        }
    }

    /// A request in a dialog of a call.
    fn handle_in_call(&mut self, handle: CallHandle, incoming: &IncomingRequest<'_>, now: Instant) {
        let IncomingRequest { flow, request, .. } = *incoming;
        if self.calls.is_downgrade(handle, flow, request) {
            return self.refuse_downgrade(incoming, now);
        }
        if self.calls.is_from_elsewhere(handle, flow, &self.shared) {
            return self.shared.drop_refused();
        }
        self.shared.request_accepted(flow, false);
        let reply_to = incoming.reply_to;
        let Some((in_order, early)) = self.calls.check_order(handle, reply_to, request) else {
            return;
        };
        let transactions = self.servers.len();
        let room = self.admission.has_room_in_dialog(handle, transactions);
        let opened = room.then(|| self.open(incoming, Some(handle)));
        let Some(transaction) = opened.flatten() else {
            return self.shared.drop_message();
        };
        if !in_order {
            return self.respond(transaction, &Reply::refusal(500), now);
        }
        if let Err(reply) = check_require(request) {
            return self.respond(transaction, &reply.with("Allow", ALLOW), now);
        }
        let incoming = InDialog {
            transaction,
            request,
            early,
            subscribed: self.calls.is_referrer(handle),
            trusted: self.is_trusted(handle, reply_to.remote().ip()),
        };
        self.on_call(handle, now, |call, turn| {
            call.handle_request(incoming, turn);
        });
    }

    /// A request in a dialog of a subscription, in a transaction of its own.
    fn handle_in_subscription(
        &mut self,
        dialog: EventDialog,
        incoming: &IncomingRequest<'_>,
        now: Instant,
    ) {
        if self.subscriptions.is_secure(dialog) && !incoming.flow.is_secure() {
            return self.refuse_downgrade(incoming, now);
        }
        self.shared.request_accepted(incoming.flow, true);
        let Some(transaction) = self.open(incoming, None) else {
            return self.shared.drop_message();
        };
        let env = &mut self.shared.env;
        let (reply, actions) = self.subscriptions.handle_request(
            dialog,
            incoming.request,
            incoming.reply_to,
            env,
            now,
        );
        if let EventDialog::Watching(index) = dialog {
            self.execute_subscription(index, actions, now);
        }
        self.respond(transaction, &reply, now);
    }

    /// What began over TLS goes on over TLS: anything else is from somebody else.
    fn refuse_downgrade(&mut self, incoming: &IncomingRequest<'_>, now: Instant) {
        let reply = Reply::refusal(403).with_reason("Secure Signalling Required");
        self.respond_stateless(incoming.reply_to, incoming.request, &reply, now);
    }

    /// A SUBSCRIBE of a new watcher.
    fn handle_watcher(&mut self, incoming: &IncomingRequest<'_>, now: Instant) {
        let account = self.by_account(incoming.flow, incoming.request).account();
        self.shared.request_accepted(incoming.flow, true);
        let Some(transaction) = self.open(incoming, None) else {
            return self.shared.drop_message();
        };
        if self.shutting_down {
            return self.respond(transaction, &Reply::refusal(503), now);
        }
        let tag = self.servers.to_tag(transaction);
        let (request, reply_to, shared) = (incoming.request, incoming.reply_to, &self.shared);
        let reply = self
            .subscriptions
            .handle_watcher(account, request, reply_to, &tag, shared, now);
        let reply = reply.unwrap_or_else(|refusal| refusal);
        self.respond(transaction, &reply, now);
    }

    /// A request outside of any dialog.
    fn handle_outside(&mut self, tagged: bool, incoming: &IncomingRequest<'_>, now: Instant) {
        let IncomingRequest {
            flow,
            reply_to,
            request,
            ..
        } = *incoming;
        let origin = match self.admit(flow, request, now) {
            Decision::Admit(origin) => origin,
            Decision::RetryAfter(seconds) => {
                let reply = Reply::refusal(503).with("Retry-After", seconds);
                return self.respond_stateless(reply_to, request, &reply, now);
            }
            Decision::Drop => return self.shared.drop_refused(),
        };
        match check(request, tagged, || self.servers.has_merged(request)) {
            Err(refusal) => {
                let (key, shared) = (incoming.key, &mut self.shared);
                self.servers
                    .refuse(reply_to, key, request, &refusal, shared, now);
            }
            Ok(()) if request.method == Method::Invite => self.handle_invite(origin, incoming, now),
            Ok(()) if request.method == Method::Message => {
                self.handle_message(origin, incoming, now);
            }
            Ok(()) if request.method == Method::Notify => {
                self.handle_unsolicited(origin, incoming, now);
            }
            Ok(()) => {
                // Of the methods that pass the checks only OPTIONS is left.
                self.shared.request_accepted(flow, origin.is_known());
                self.respond_stateless(reply_to, request, &Reply::to_options(), now);
            }
        }
    }

    /// A new INVITE that passed all checks.
    fn handle_invite(&mut self, origin: Origin, incoming: &IncomingRequest<'_>, now: Instant) {
        let IncomingRequest {
            reply_to, request, ..
        } = *incoming;
        let account = origin.account();
        if origin.is_known() {
            self.make_room_for_known(now);
        }
        if !self.admission.has_room(origin, self.servers.len()) {
            let reply = Reply::refusal(503).with("Retry-After", FULL_RETRY_S);
            return self.respond_stateless(reply_to, request, &reply, now);
        }
        let checked = if self.shutting_down {
            Err(Reply::refusal(503))
        } else {
            self.calls
                .check_invite(account, request, reply_to, &self.shared)
        };
        let replaces = match checked {
            Ok(replaces) => replaces,
            Err(reply) => {
                if let Some(transaction) = self.open(incoming, None) {
                    self.respond(transaction, &reply, now);
                }
                return;
            }
        };
        let handle = self.calls.next_incoming();
        let Some(transaction) = self.open(incoming, Some(handle)) else {
            return;
        };
        let new = NewCall {
            handle,
            account,
            transaction,
            tag: self.servers.to_tag(transaction),
            reply_to,
            replaces,
        };
        let dialog = match Calls::dialog(&new, request, &self.shared) {
            Ok(dialog) => dialog,
            Err(refusal) => return self.respond(transaction, &refusal, now),
        };
        let mut trying = Reply::new(100);
        trying.headers.copy(&request.headers, "Timestamp");
        self.respond(transaction, &trying, now);
        let (request, shared) = (request.clone(), &mut self.shared);
        let event = self.calls.handle_invite(&new, dialog, request, shared, now);
        self.shared.events.push_back(event);
        self.shared.request_accepted(reply_to, origin.is_known());
        if !origin.is_known() {
            self.admission.handle_stranger_call(handle);
        }
    }

    /// A call of someone known came in: strangers' calls that no one has answered make room for it.
    fn make_room_for_known(&mut self, now: Instant) {
        for handle in self.admission.stranger_calls().to_vec() {
            self.on_call(handle, now, |call, turn| {
                if call.is_ringing() {
                    call.reject(486, turn);
                }
            });
        }
    }

    /// MESSAGE (RFC 3428), in a transaction of its own: a repeated one is shown once.
    fn handle_message(&mut self, origin: Origin, incoming: &IncomingRequest<'_>, now: Instant) {
        let Some(transaction) = self.open(incoming, None) else {
            return self.shared.drop_message();
        };
        let reply_to = incoming.reply_to;
        self.shared.request_accepted(reply_to, origin.is_known());
        let account = origin.account();
        let trusted = self.shared.is_trusted(account, reply_to.remote().ip());
        let event = text_messages::received(account, trusted, incoming.request);
        self.shared.events.extend(event);
        self.respond(transaction, &Reply::new(200).with_capabilities(), now);
    }

    /// A NOTIFY no one subscribed to.
    fn handle_unsolicited(&mut self, origin: Origin, incoming: &IncomingRequest<'_>, now: Instant) {
        let reply_to = incoming.reply_to;
        self.shared.request_accepted(reply_to, origin.is_known());
        let Some(transaction) = self.open(incoming, None) else {
            return self.shared.drop_message();
        };
        let parts = (&self.shared.registrations, &self.shared.env);
        let (request, account) = (incoming.request, origin.account());
        let (reply, event) = self
            .unsolicited
            .handle_notify(account, reply_to, request, parts, now);
        self.shared.events.extend(event);
        self.respond(transaction, &reply, now);
    }

    fn handle_ack(
        &mut self,
        flow: Flow,
        transaction: Option<TransactionId>,
        ack: &Request,
        now: Instant,
    ) {
        if let Some(id) = transaction
            && self.servers.handle_ack(id, &mut self.shared, now)
        {
            return;
        }
        match self.calls.of_request(ack) {
            Some(call) if !self.calls.is_downgrade(call, flow, ack) => {
                self.on_call(call, now, |call, turn| call.handle_ack(ack, turn));
            }
            Some(_) | None => self.shared.drop_message(),
        }
    }

    fn handle_cancel(&mut self, flow: Flow, reply_to: Flow, cancel: &Request, now: Instant) {
        let shared = &mut self.shared;
        let (id, call) = match self.servers.handle_cancel(reply_to, cancel, shared, now) {
            Cancelled::Invite(id, call) => (id, call),
            Cancelled::TooLate => return,
            Cancelled::Unknown => {
                return if matches!(self.admit(flow, cancel, now), Decision::Admit(_)) {
                    self.respond_stateless(reply_to, cancel, &Reply::refusal(481), now);
                } else {
                    self.shared.drop_refused();
                };
            }
        };
        match call.filter(|call| self.calls.contains(*call)) {
            Some(call) => self.on_call(call, now, |call, turn| {
                call.handle_cancel(id, &cancel.headers, turn);
            }),
            None => self.respond(id, &Reply::new(487), now),
        }
    }

    /// A message on a stream without a usable Content-Length (section 18.3): a request is refused
    /// before the connection closes.
    pub(super) fn refuse_unframed(&mut self, flow: Flow, head: &[u8], now: Instant) {
        match Message::parse(head) {
            Ok(Message::Request(request))
                if request.method != Method::Ack && self.answers_unreadable(flow, now) =>
            {
                let reply = Reply::refusal(400).with_reason("Missing Content-Length");
                self.respond_stateless(flow, &request, &reply, now);
            }
            Ok(Message::Request(_) | Message::Response(_)) => {}
            Err(error) => self.handle_malformed(flow, &error, now),
        }
    }

    /// Bytes that are no message: answered if they are nearly a request from somebody who may ask,
    /// counted always.
    fn handle_malformed(&mut self, flow: Flow, error: &ParseError, now: Instant) {
        if error.fault == Fault::Empty {
            return;
        }
        self.shared.transport.counters.malformed += 1;
        if self.answers_unreadable(flow, now) {
            self.servers
                .answer_malformed(flow, error, &mut self.shared, now);
        } else {
            self.shared.drop_message();
        }
    }

    fn answers_unreadable(&mut self, flow: Flow, now: Instant) -> bool {
        let ip = flow.remote().ip();
        self.shared.registrations.has_server(ip) || self.admission.answers_unreadable(ip, now)
    }

    fn by_account(&self, flow: Flow, request: &Request) -> ByAccount {
        let (registrations, config) = (&self.shared.registrations, &self.shared.env.config);
        registrations.by_account(flow, request, config, self.admission.is_open())
    }

    fn admit(&mut self, flow: Flow, request: &Request, now: Instant) -> Decision {
        let by = self.by_account(flow, request);
        let connections = &self.shared.transport.connections;
        let proven = flow
            .connection()
            .is_some_and(|connection| connections.has_proved_name(connection));
        let ip = flow.remote().ip();
        self.admission.admit(by, request, ip, proven, now)
    }

    fn open(
        &mut self,
        incoming: &IncomingRequest<'_>,
        call: Option<CallHandle>,
    ) -> Option<TransactionId> {
        let (request, shared) = (incoming.request.clone(), &mut self.shared);
        self.servers
            .open(incoming.reply_to, incoming.key, request, call, shared)
    }

    fn respond_stateless(
        &mut self,
        reply_to: Flow,
        request: &Request,
        reply: &Reply,
        now: Instant,
    ) {
        self.servers
            .respond_stateless(reply_to, request, reply, &mut self.shared, now);
    }
}
