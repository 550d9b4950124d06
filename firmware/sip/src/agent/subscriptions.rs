//! Event packages (RFC 6665): our subscriptions, those who watch this phone, and what servers
//! report to it unasked. What follows from each message the objects of [`crate::events`] say.

use std::time::Instant;

use crate::action::{OutgoingRequest, Reply};
use crate::admission::Origin;
use crate::api::{Event, InviteError, InviteOptions, MessageWaiting};
use crate::call::Call;
use crate::dialog::Dialog;
use crate::digest::Credentials;
use crate::digest::verifier::{Expected, Verdict};
use crate::env::Env;
use crate::events::{
    ALLOW_EVENTS, Asked, ContactState, MessageSummary, Package, RegInfo, Subscription,
    SubscriptionAction, Topic,
};
use crate::flow::Flow;
use crate::ids::{AccountId, CallHandle};
use crate::message::{Headers, Method, NameAddr, Request, SipUri, Uri};
use crate::offer_answer::LocalMedia;
use crate::request_check::{check_require, wants_sips};
use crate::transfer::ReferOrder;

use super::requests::Outcome;
use super::{UserAgent, Waiter};

/// The subscriptions the settings ask for.
pub(super) fn configured(env: &Env) -> Vec<Subscription> {
    let mut topics = Vec::new();
    for (index, account) in env.config.accounts.iter().enumerate() {
        if account.events.messages == MessageWaiting::Subscribe {
            topics.push((Topic::Messages, Some(index)));
        }
        if account.events.watch_registration && account.register {
            topics.push((Topic::Registration, Some(index)));
        }
    }
    for (watch, watched) in env.config.events.watched.iter().enumerate() {
        let account = watched.account.map(|account| account.0);
        topics.push((Topic::Dialogs { watch }, account));
    }
    let new = |(index, (topic, account))| Subscription::new(index, topic, account);
    topics.into_iter().enumerate().map(new).collect()
}

impl UserAgent {
    /// Begins the subscriptions that need no registration.
    pub(super) fn start_subscriptions(&mut self, now: Instant) {
        for index in 0..self.watching.len() {
            let account = self.watching.get(index).and_then(Subscription::account);
            let registers = account
                .and_then(|account| self.env.account(account))
                .is_some_and(|account| account.register);
            if !registers {
                self.on_subscription(index, now, |subscription, env| {
                    subscription.start(env, now);
                    Vec::new()
                });
            }
        }
    }

    /// An account is registered, or not any more.
    pub(super) fn on_account_bound(&mut self, account: usize, bound: bool, now: Instant) {
        for index in 0..self.watching.len() {
            if self.watching.get(index).and_then(Subscription::account) == Some(account) {
                self.on_subscription(index, now, |subscription, env| {
                    subscription.handle_account(bound, env, now);
                    Vec::new()
                });
            }
        }
    }

    /// The phone has another address: notifiers and watchers use it from now on.
    pub(super) fn on_subscriptions_moved(&mut self, by: Option<usize>, now: Instant) {
        for index in 0..self.watching.len() {
            let Some(subscription) = self.watching.get(index) else {
                continue;
            };
            if by.is_some() && subscription.account() != by {
                continue;
            }
            let contact = self.contact(subscription.account(), None, false);
            self.on_subscription(index, now, |subscription, env| {
                subscription.handle_contact(&contact, env, now);
                Vec::new()
            });
        }
    }

    /// The phone goes: notifiers and watchers are informed.
    pub(super) fn stop_subscriptions(&mut self, now: Instant) {
        for index in 0..self.watching.len() {
            self.on_subscription(index, now, Subscription::stop);
        }
        let last = self.served.end_all(&self.env, now);
        self.send_notifies(last, now);
    }

    /// One turn of one subscription.
    fn on_subscription(
        &mut self,
        index: usize,
        now: Instant,
        turn: impl FnOnce(&mut Subscription, &mut Env) -> Vec<SubscriptionAction>,
    ) {
        let Some(subscription) = self.watching.get_mut(index) else {
            return;
        };
        let actions = turn(subscription, &mut self.env);
        let (topic, account) = (subscription.topic(), subscription.account());
        for action in actions {
            match action {
                SubscriptionAction::Subscribe => self.subscribe(index, now),
                SubscriptionAction::Send(request) => {
                    let id = self.env.request_id();
                    self.send_request(id, *request, now);
                }
                SubscriptionAction::Messages(summary) => {
                    if let Some(account) = account.map(AccountId) {
                        self.events
                            .push_back(Event::MessagesWaiting { account, summary });
                    }
                }
                SubscriptionAction::Watched(state) => {
                    if let Topic::Dialogs { watch } = topic {
                        self.events.push_back(Event::Watched { watch, state });
                    }
                }
                SubscriptionAction::Registration(info) => {
                    if let Some(account) = account {
                        self.on_registration_info(account, &info, now);
                    }
                }
            }
        }
        let deadline = self.watching.get(index).and_then(Subscription::deadline);
        self.deadlines.set(Waiter::Subscription(index), deadline);
    }

    /// A subscription's time has come.
    pub(super) fn subscription_timeout(&mut self, index: usize, now: Instant) {
        self.on_subscription(index, now, |subscription, env| {
            subscription.handle_timeout(env, now)
        });
    }

    /// Sends the SUBSCRIBE that begins a subscription.
    fn subscribe(&mut self, index: usize, now: Instant) {
        let Some(subscription) = self.watching.get(index) else {
            return;
        };
        let (topic, account) = (subscription.topic(), subscription.account());
        let own = account.and_then(|account| self.env.address_of_record(account));
        let target = match topic {
            Topic::Messages | Topic::Registration => own.clone().map(|own| own.uri),
            Topic::Dialogs { watch } => {
                let watched = self.env.config.events.watched.get(watch);
                watched.and_then(|watched| self.request_uri(account, &watched.target).ok())
            }
        };
        let Some(target) = target else {
            tracing::warn!("subscription {index}: there is no address to subscribe to");
            return;
        };
        let sips = target.as_sip().is_some_and(SipUri::is_secure);
        let route = self.route(account, &target, false, sips, sips);
        let from = own.unwrap_or_else(|| {
            let here = SipUri::at(self.env.addresses.primary());
            NameAddr::new(here.with_user(&self.env.config.user))
        });
        let Some(subscription) = self.watching.get_mut(index) else {
            return;
        };
        let request = subscription.build(target, from, route, &mut self.env, now);
        let id = self.env.request_id();
        self.send_request(id, request, now);
    }

    /// A SUBSCRIBE got its outcome.
    pub(super) fn on_subscribe_outcome(
        &mut self,
        index: usize,
        leg: u32,
        outcome: Outcome<'_>,
        now: Instant,
    ) {
        let headers = match outcome {
            Outcome::Response(response) => Some(&response.headers),
            Outcome::Failed(..) => None,
        };
        self.on_subscription(index, now, |subscription, env| {
            subscription.handle_outcome(leg, outcome.code(), headers, env, now)
        });
    }

    /// What the registrar says of the account's contacts: where this phone's is gone, it registers
    /// again.
    fn on_registration_info(&mut self, account: usize, info: &RegInfo, now: Instant) {
        let Some(registration) = self.registrations.get(account) else {
            return;
        };
        let own = registration.contact_user();
        let found = info
            .contacts
            .iter()
            .find(|contact| contact.user.as_deref() == Some(own));
        let (after_s, named) = match found.map(|contact| contact.state) {
            Some(ContactState::Gone { retry_after_s }) => (retry_after_s.unwrap_or(0), true),
            None if info.full => (0, false),
            Some(ContactState::Active) => {
                if let Some(registration) = self.registrations.get_mut(account) {
                    registration.handle_binding_seen();
                }
                return;
            }
            Some(ContactState::Rejected) | None => return,
        };
        self.on_registration(account, now, |registration, env| {
            registration.handle_binding_removed(after_s, named, env, now)
        });
    }

    // ── requests that come in ─────────────────────────────────────────────────────────────────

    /// SUBSCRIBE or NOTIFY that belongs to a subscription, or begins one. Returns whether it was
    /// one of those.
    pub(super) fn handle_event_request(
        &mut self,
        flow: Flow,
        reply_to: Flow,
        key: &str,
        request: &Request,
        now: Instant,
    ) -> bool {
        let tagged = request.headers.to().is_ok_and(|to| to.tag().is_some());
        match (&request.method, tagged) {
            (Method::Notify, true) => {
                let Some(index) = self.watching.iter().position(|s| s.owns(request)) else {
                    return false;
                };
                let secure = self
                    .watching
                    .get(index)
                    .is_some_and(Subscription::is_secure);
                self.in_event_dialog(secure, flow, reply_to, key, request, now, |agent| {
                    let mut reply = Reply::new(200);
                    agent.on_subscription(index, now, |subscription, env| {
                        let (answer, actions) =
                            subscription.handle_notify(request, reply_to, env, now);
                        reply = answer;
                        actions
                    });
                    reply
                });
                true
            }
            (Method::Subscribe, true) => {
                let Some(id) = self.served.find(request) else {
                    return false;
                };
                let secure = self.served.is_secure(id);
                self.in_event_dialog(secure, flow, reply_to, key, request, now, |agent| {
                    let answer = agent.served.refresh(id, request, now);
                    answer.unwrap_or_else(|refusal| refusal)
                });
                true
            }
            (Method::Subscribe, false) if self.may_watch(flow, request) => {
                self.handle_watcher(flow, reply_to, key, request, now);
                true
            }
            (_, _) => false,
        }
    }

    /// A request in the dialog of a subscription, in a transaction of its own.
    #[expect(
        clippy::too_many_arguments,
        reason = "a request, the way it came, and what answers it"
    )]
    fn in_event_dialog(
        &mut self,
        secure: bool,
        flow: Flow,
        reply_to: Flow,
        key: &str,
        request: &Request,
        now: Instant,
        answer: impl FnOnce(&mut Self) -> Reply,
    ) {
        // What began over TLS goes on over TLS: anything else is from somebody else.
        if secure && !flow.is_secure() {
            let reply = Reply::refusal(403).with_reason("Secure Signalling Required");
            return self.respond_stateless(reply_to, request, &reply, now);
        }
        self.request_accepted(flow, true);
        let Some(transaction) = self.open(reply_to, key, request.clone(), None) else {
            self.transport.counters.dropped += 1;
            return;
        };
        let reply = match check_require(request) {
            Ok(()) => answer(self),
            Err(refusal) => refusal,
        };
        self.respond(transaction, &reply, now);
    }

    /// Whether whoever sent this is on the list of those who may watch this phone.
    fn may_watch(&self, flow: Flow, request: &Request) -> bool {
        let user = request.headers.from().ok().and_then(|from| from.uri.user());
        let ip = flow.remote().ip();
        let mut list = self.env.config.events.watchers.iter();
        Package::of(&request.headers) == Some(Package::Dialog)
            && list.any(|watcher| watcher.matches(ip, user.as_deref()))
    }

    /// A SUBSCRIBE of a new watcher.
    fn handle_watcher(
        &mut self,
        flow: Flow,
        reply_to: Flow,
        key: &str,
        request: &Request,
        now: Instant,
    ) {
        let account = self.account_by(flow, request);
        self.request_accepted(flow, true);
        let Some(transaction) = self.open(reply_to, key, request.clone(), None) else {
            self.transport.counters.dropped += 1;
            return;
        };
        let tag = self
            .servers
            .get(transaction)
            .map(|entry| entry.to_tag.clone())
            .unwrap_or_default();
        let contact = self.contact(account, Some(reply_to.transport()), wants_sips(request));
        let dialog = Dialog::of_callee(request, &tag, contact.clone(), Some(reply_to));
        let served = (|| {
            check_require(request)?;
            if self.shutting_down {
                return Err(Reply::refusal(503));
            }
            let asked = Asked::read(&request.headers)?;
            let dialog =
                dialog.ok_or_else(|| Reply::refusal(400).with_reason("Missing Contact header"))?;
            self.served
                .subscribe(asked, dialog, account, request, now)?;
            Ok(asked.reply(&NameAddr::new(contact)))
        })();
        let reply = served.unwrap_or_else(|refusal| refusal);
        self.respond(transaction, &reply, now);
    }

    /// A NOTIFY no one subscribed to, of a package that allows it.
    pub(super) fn handle_unsolicited(
        &mut self,
        origin: Origin,
        reply_to: Flow,
        key: &str,
        request: &Request,
        now: Instant,
    ) {
        self.request_accepted(reply_to, origin.is_known());
        let Some(transaction) = self.open(reply_to, key, request.clone(), None) else {
            self.transport.counters.dropped += 1;
            return;
        };
        let reply = match (Package::of(&request.headers), origin.account()) {
            (Some(Package::MessageSummary), Some(account)) => {
                self.take_message_summary(account, reply_to, request)
            }
            (Some(Package::CheckSync), Some(account)) => {
                self.take_check_sync(account, reply_to, request, now)
            }
            (Some(Package::KeepAlive), _) => Reply::new(200),
            (Some(Package::CheckSync), None) => Reply::refusal(403),
            (
                Some(
                    Package::MessageSummary
                    | Package::Dialog
                    | Package::Reg
                    | Package::Refer
                    | Package::Talk
                    | Package::Hold,
                ),
                _,
            ) => Reply::not_allowed(481),
            (None, _) => Reply::refusal(489).with("Allow-Events", ALLOW_EVENTS),
        };
        self.respond(transaction, &reply, now);
    }

    /// What the account's server says of its mailbox without having been asked.
    fn take_message_summary(&mut self, account: usize, flow: Flow, request: &Request) -> Reply {
        let wanted = self
            .env
            .account(account)
            .is_some_and(|account| account.events.messages != MessageWaiting::Off);
        let by_server = self
            .registrations
            .get(account)
            .is_some_and(|found| found.servers().has_address(flow.remote().ip()));
        if !wanted || !by_server {
            return Reply::not_allowed(481);
        }
        if request.body.is_empty() {
            return Reply::new(200);
        }
        let kind = Package::MessageSummary.content_type();
        let found = request.headers.content_type().ok().flatten();
        if found.is_none_or(|found| found.name != kind) {
            return Reply::refusal(415).with("Accept", kind);
        }
        let Some(summary) = MessageSummary::parse(&request.body) else {
            return Reply::refusal(400).with_reason("Malformed Body");
        };
        self.events.push_back(Event::MessagesWaiting {
            account: AccountId(account),
            summary,
        });
        Reply::new(200)
    }

    /// The configuration is to be looked up again: where this comes the way the account is
    /// registered, or its sender proves to know the account's password.
    fn take_check_sync(
        &mut self,
        account: usize,
        flow: Flow,
        request: &Request,
        now: Instant,
    ) -> Reply {
        let Some(registration) = self.registrations.get(account) else {
            return Reply::refusal(403);
        };
        let by_flow = match flow {
            // The source of a datagram proves little. Only the registrar, and those who can read
            // what it sends, know the user part of our contact.
            Flow::Udp { remote } => {
                registration.servers().has_address(remote.ip())
                    && request.uri.user().as_deref() == Some(registration.contact_user())
            }
            Flow::Tcp { connection, .. } | Flow::Tls { connection, .. } => {
                registration.connection() == Some(connection)
            }
        };
        if !by_flow {
            match self.verify_check_sync(account, request, now) {
                Verdict::Proven => {}
                Verdict::Refused => return Reply::refusal(403),
                Verdict::Challenge(values) => {
                    let challenge = |reply: Reply, value| reply.with("WWW-Authenticate", value);
                    return values.into_iter().fold(Reply::refusal(401), challenge);
                }
            }
        }
        self.events.push_back(Event::CheckSync {
            account: AccountId(account),
            reboot: wants_reboot(&request.headers),
        });
        Reply::new(200)
    }

    fn verify_check_sync(&mut self, account: usize, request: &Request, now: Instant) -> Verdict {
        let own = self.env.address_of_record(account).map(|own| own.uri);
        let Some(config) = self.env.account(account) else {
            return Verdict::Refused;
        };
        let expected = Expected {
            who: Credentials {
                user: &config.auth_user,
                password: &config.password,
            },
            realm: &config.domain,
            weakest: config.weakest_hash,
            own: own.as_ref(),
        };
        self.check_sync.verify(request, expected, now)
    }

    // ── those who watch this phone ────────────────────────────────────────────────────────────

    /// Tells every watcher what changed, and keeps the index in step.
    pub(super) fn publish_calls(&mut self, now: Instant) {
        if self.served.is_empty() {
            return;
        }
        let calls = self.calls.values().filter_map(Call::summary);
        let due = self.served.publish(calls.collect(), &self.env, now);
        self.send_notifies(due, now);
        self.deadlines.set(Waiter::Served, self.served.deadline());
    }

    fn send_notifies(&mut self, due: Vec<OutgoingRequest>, now: Instant) {
        for notify in due {
            let id = self.env.request_id();
            self.send_request(id, notify, now);
        }
    }

    // ── picking up ────────────────────────────────────────────────────────────────────────────

    /// Takes the call that rings at a watched phone: `watch` is its place in
    /// [`EventSettings::watched`](crate::EventSettings::watched).
    pub fn pick_up(
        &mut self,
        watch: usize,
        media: LocalMedia,
        now: Instant,
    ) -> Result<CallHandle, InviteError> {
        let call = self.take_ringing(watch, media, now);
        self.finish_turn(now);
        call
    }

    /// Takes the call that rings at a watched phone, where what is known of it is enough for that.
    fn take_ringing(
        &mut self,
        watch: usize,
        media: LocalMedia,
        now: Instant,
    ) -> Result<CallHandle, InviteError> {
        let wanted = Topic::Dialogs { watch };
        let mut all = self.watching.iter();
        let subscription = all
            .find(|subscription| subscription.topic() == wanted)
            .ok_or(InviteError::NotRinging)?;
        let account = subscription.account();
        let secure = subscription.is_secure();
        let ringing = subscription.ringing().ok_or(InviteError::NotRinging)?;
        let target = Uri::Sip(ringing.target).to_string();
        let order = ReferOrder::replacing(ringing.replaces, secure);
        let options = InviteOptions::default();
        self.place_call(account, &target, media, order, options, now)
    }

    /// Whether a call that rings at a watched phone can be taken by [`UserAgent::pick_up`].
    pub fn can_pick_up(&self, watch: usize) -> bool {
        let wanted = Topic::Dialogs { watch };
        let mut all = self.watching.iter();
        all.any(|subscription| subscription.topic() == wanted && subscription.ringing().is_some())
    }

    /// How many dialogs of subscriptions there are.
    pub(super) fn subscription_dialogs(&self) -> usize {
        let ours: usize = self.watching.iter().map(Subscription::dialog_count).sum();
        ours + self.served.len()
    }
}

/// `Event: check-sync;reboot=true`, as the PBXs write it.
fn wants_reboot(headers: &Headers) -> bool {
    let value = headers.get("Event").unwrap_or_default();
    value
        .split(';')
        .skip(1)
        .filter_map(|part| part.split_once('='))
        .any(|(name, value)| {
            name.trim().eq_ignore_ascii_case("reboot") && value.trim().eq_ignore_ascii_case("true")
        })
}
