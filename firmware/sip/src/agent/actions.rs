//! What the objects want done, done: each turn of a call, a registration or a subscription.

use std::net::IpAddr;
use std::time::Instant;

use crate::action::{Action, OutgoingRequest, Purpose, Reply, Turn};
use crate::api::{EndReason, Event, InviteError};
use crate::call::Call;
use crate::calls::{AfterTurn, Dialled};
use crate::env::Env;
use crate::events::{Subscription, SubscriptionAction, Topic};
use crate::flow::Flow;
use crate::ids::{AccountId, CallHandle, RequestId, TransactionId};
use crate::registration::{Registration, RegistrationAction};
use crate::registrations::Binding;
use crate::shared::Waiter;
use crate::stream::PING;

use super::UserAgent;

impl UserAgent {
    // ── calls ─────────────────────────────────────────────────────────────────────────────────

    /// One turn of one call; nothing if it is over.
    pub(super) fn on_call(
        &mut self,
        handle: CallHandle,
        now: Instant,
        turn: impl FnOnce(&mut Call, &mut Turn<'_>),
    ) {
        let env = &mut self.shared.env;
        let Some(actions) = self.calls.turn(handle, env, now, turn) else {
            return;
        };
        self.execute(handle, actions, now);
        if let AfterTurn::Over { last } = self.calls.after_turn(handle, &mut self.shared) {
            self.admission.handle_call_over(handle);
            if let Some(code) = last {
                self.notify_referrer(handle, code, now);
            }
        }
    }

    /// The same for all calls.
    pub(super) fn on_calls(&mut self, now: Instant, turn: impl Fn(&mut Call, &mut Turn<'_>)) {
        for handle in self.calls.handles() {
            self.on_call(handle, now, &turn);
        }
    }

    /// Does what a call wants done.
    fn execute(&mut self, handle: CallHandle, actions: Vec<Action>, now: Instant) {
        for action in actions {
            match action {
                Action::Send(id, request) => self.send_request(id, *request, now),
                Action::SendInvite {
                    call,
                    ids,
                    redirected,
                } => {
                    if let Some(route) = self.calls.route_again(call, redirected, &self.shared) {
                        self.on_call(call, now, |c, turn| c.place_again(*ids, route, turn));
                    }
                }
                Action::Acknowledge { invite, dialog } => {
                    let shared = &mut self.shared;
                    self.requests.acknowledge(invite, &dialog, shared, now);
                }
                Action::Cancel(request) => {
                    self.requests.cancel(request, &mut self.shared, now);
                    self.follow_requests(now);
                }
                Action::Respond(transaction, reply) => self.respond(transaction, &reply, now),
                Action::RepeatResponse(transaction) => {
                    let shared = &mut self.shared;
                    self.servers.repeat_response(transaction, shared, now);
                }
                Action::HangUp(call) => self.hang_up(call, None, now),
                Action::TakeBack(call) => self.on_call(call, now, Call::take_back_consulted),
                Action::TransferOver(call) => {
                    self.on_call(call, now, |c, _| c.handle_transfer_over(now));
                }
                Action::NotifyReferrer(code) => self.notify_referrer(handle, code, now),
                Action::Event(event) => self.shared.events.push_back(*event),
            }
        }
    }

    /// Places a call, possibly because of a REFER.
    pub(super) fn place_call(
        &mut self,
        dialled: Dialled<'_>,
        now: Instant,
    ) -> Result<CallHandle, InviteError> {
        if self.shutting_down {
            return Err(InviteError::TooManyCalls);
        }
        let (handle, actions) = self.calls.place(dialled, &mut self.shared, now)?;
        self.execute(handle, actions, now);
        Ok(handle)
    }

    pub(super) fn hang_up(&mut self, call: CallHandle, reason: Option<EndReason>, now: Instant) {
        self.on_call(call, now, |call, turn| call.hang_up(reason, turn));
    }

    /// Informs whoever asked for a call how it goes on.
    pub(super) fn notify_referrer(&mut self, call: CallHandle, code: u16, now: Instant) {
        let notify = self.calls.notify_referrer(call, code, &self.shared.env);
        self.send_all(notify, now);
    }

    /// The phone has another address, or (`by`) is seen at another one by an account's server: its
    /// calls and subscriptions use it from now on.
    pub(super) fn on_moved(&mut self, by: Option<usize>, now: Instant) {
        for (handle, contact) in self.calls.moved(by, &self.shared) {
            self.on_call(handle, now, |call, turn| {
                call.handle_local_address(contact, turn);
            });
        }
        let shared = &mut self.shared;
        self.subscriptions.handle_local_address(by, shared, now);
    }

    /// Whether this host is the server of the call's account: what it says of the far end counts.
    pub(super) fn is_trusted(&self, handle: CallHandle, host: IpAddr) -> bool {
        let account = self.calls.get(handle).and_then(Call::account);
        self.shared.is_trusted(account, host)
    }

    // ── registrations ─────────────────────────────────────────────────────────────────────────

    /// One turn of one registration.
    pub(super) fn on_registration(
        &mut self,
        account: usize,
        now: Instant,
        turn: impl FnOnce(&mut Registration, &mut Env) -> Vec<RegistrationAction>,
    ) {
        let Some(actions) = self.shared.registration_turn(account, turn) else {
            return;
        };
        let span = tracing::info_span!("registration", account);
        let _entered = span.enter();
        for action in actions {
            match action {
                RegistrationAction::Send { id, request, hop } => {
                    let outgoing = OutgoingRequest {
                        purpose: Purpose::Register(account),
                        account: Some(account),
                        request: *request,
                        hop,
                        flow: None,
                    };
                    self.send_request(id, outgoing, now);
                }
                RegistrationAction::Abandon(id) => self.requests.forget(id, &mut self.shared),
                RegistrationAction::Report { until, error } => {
                    let (bound, shared) = (until.is_some(), &mut self.shared);
                    shared.events.push_back(Event::Registration {
                        account: AccountId(account),
                        until,
                        error,
                    });
                    self.subscriptions
                        .handle_account(account, bound, shared, now);
                }
                RegistrationAction::MappingChanged => {
                    tracing::info!("the router gave this phone another address; calls say so");
                    self.on_moved(Some(account), now);
                    // Whatever the router forgot, it forgot for all of them.
                    let all = 0..self.shared.registrations.len();
                    for other in all.filter(|other| *other != account) {
                        self.shared.registration_turn(other, |registration, env| {
                            registration.handle_other_moved(env, now);
                        });
                    }
                    let account = AccountId(account);
                    let event = Event::MappingChanged { account };
                    self.shared.events.push_back(event);
                }
                RegistrationAction::KeepAlive(connection) => {
                    self.shared.keep_alive(connection, now);
                }
                RegistrationAction::LineEnd(target) => {
                    let flow = Flow::Udp {
                        remote: target.address,
                    };
                    self.shared.transport.send(flow, PING.to_vec(), now);
                }
                RegistrationAction::Keepalive { id, request, hop } => {
                    let purpose = Purpose::Keepalive(account);
                    let outgoing = OutgoingRequest::to_server(account, purpose, *request, hop);
                    self.send_request(id, outgoing, now);
                }
                RegistrationAction::Probe { id, request, hop } => {
                    let purpose = Purpose::Probe(account);
                    let outgoing = OutgoingRequest::to_server(account, purpose, *request, hop);
                    self.send_request(id, outgoing, now);
                }
            }
        }
    }

    /// The same for all registrations.
    pub(super) fn on_registrations(
        &mut self,
        now: Instant,
        mut turn: impl FnMut(&mut Registration, &mut Env) -> Vec<RegistrationAction>,
    ) {
        for account in 0..self.shared.registrations.len() {
            self.on_registration(account, now, &mut turn);
        }
    }

    // ── subscriptions ─────────────────────────────────────────────────────────────────────────

    /// One turn of one subscription of ours.
    pub(super) fn on_subscription(
        &mut self,
        index: usize,
        now: Instant,
        turn: impl FnOnce(&mut Subscription, &mut Env) -> Vec<SubscriptionAction>,
    ) {
        let env = &mut self.shared.env;
        let actions = self.subscriptions.turn(index, env, turn);
        self.execute_subscription(index, actions, now);
    }

    /// Sends the PUBLISH requests that are due.
    pub(super) fn send_publications(&mut self, now: Instant) {
        while let Some(request) = self.publications.poll_request(&mut self.shared, now) {
            self.send_all([request], now);
        }
        let deadline = self.publications.deadline();
        let deadlines = &mut self.shared.deadlines;
        deadlines.set(Waiter::Publications, deadline);
    }

    /// Does what a subscription wants done.
    pub(super) fn execute_subscription(
        &mut self,
        index: usize,
        actions: Vec<SubscriptionAction>,
        now: Instant,
    ) {
        let Some(subscription) = self.subscriptions.get(index) else {
            return;
        };
        let (topic, account) = (subscription.topic(), subscription.account());
        for action in actions {
            match action {
                SubscriptionAction::Subscribe => {
                    let request = self.subscriptions.subscribe(index, &mut self.shared, now);
                    self.send_all(request, now);
                }
                SubscriptionAction::Send(request) => self.send_all([*request], now),
                SubscriptionAction::Messages(summary) => {
                    if let Some(account) = account.map(AccountId) {
                        let event = Event::MessagesWaiting { account, summary };
                        self.shared.events.push_back(event);
                    }
                }
                SubscriptionAction::Watched(state) => {
                    if let Topic::Dialogs { watch } = topic {
                        let event = Event::Watched { watch, state };
                        self.shared.events.push_back(event);
                    }
                }
                SubscriptionAction::Registration(info) => {
                    if let Some(account) = account
                        && let Binding::Removed { after_s, named } =
                            self.shared.registrations.handle_info(account, &info)
                    {
                        self.on_registration(account, now, |registration, env| {
                            registration.handle_binding_removed(after_s, named, env, now)
                        });
                    }
                }
            }
        }
        self.subscriptions.schedule(index, &mut self.shared);
    }

    /// Informs every watcher of what changed, and keeps the index in step.
    pub(super) fn publish_calls(&mut self, now: Instant) {
        if self.subscriptions.is_watched() {
            let calls = self.calls.summaries();
            let due = self.subscriptions.publish(calls, &mut self.shared, now);
            self.send_all(due, now);
        }
    }

    // ── messages ──────────────────────────────────────────────────────────────────────────────

    /// Sends a request; failures never come before this returns.
    pub(super) fn send_request(&mut self, id: RequestId, outgoing: OutgoingRequest, now: Instant) {
        let urgency = self.calls.urgency(outgoing.purpose);
        let shared = &mut self.shared;
        self.requests.send(id, outgoing, urgency, shared, now);
        self.follow_requests(now);
    }

    /// Sends requests.
    pub(super) fn send_all(
        &mut self,
        requests: impl IntoIterator<Item = OutgoingRequest>,
        now: Instant,
    ) {
        for request in requests {
            let id = self.shared.env.request_id();
            self.send_request(id, request, now);
        }
    }

    /// Answers a request of the far end.
    pub(super) fn respond(&mut self, transaction: TransactionId, reply: &Reply, now: Instant) {
        self.servers
            .respond(transaction, reply, &mut self.shared, now);
    }
}
