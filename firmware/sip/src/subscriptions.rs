//! Event packages (RFC 6665): our subscriptions and those who watch this phone. What follows from
//! each message the objects of [`crate::events`] say.

use std::time::Instant;

use crate::action::{OutgoingRequest, Reply};
use crate::api::{InviteError, MessageWaiting};
use crate::dialog::Dialog;
use crate::env::Env;
use crate::event_body::{CallSummary, RingingDialog};
use crate::events::{
    Package, ServedSubscriptions, SubscribeRequest, Subscription, SubscriptionAction, Topic,
};
use crate::flow::Flow;
use crate::ids::ServedId;
use crate::message::{Headers, Method, NameAddr, Request, SipUri};
use crate::request_check::{check_require, wants_sips};
use crate::requests::Outcome;
use crate::shared::{Shared, Waiter};

#[cfg(test)]
mod tests;

/// What a SUBSCRIBE or NOTIFY belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EventDialog {
    /// A subscription of ours.
    Watching(usize),
    /// A watcher's.
    Served(ServedId),
}

/// What can be picked up at a watched phone.
#[derive(Debug)]
pub(crate) struct PickUp {
    pub(crate) account: Option<usize>,
    pub(crate) secure: bool,
    pub(crate) ringing: RingingDialog,
}

/// Our subscriptions, and those who watch this phone.
pub(crate) struct Subscriptions {
    watching: Vec<Subscription>,
    served: ServedSubscriptions,
}

impl Subscriptions {
    /// The subscriptions the settings ask for.
    pub(crate) fn new(env: &Env) -> Self {
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
        Self {
            watching: topics.into_iter().enumerate().map(new).collect(),
            served: ServedSubscriptions::default(),
        }
    }

    /// How many subscriptions of ours there are.
    pub(crate) fn len(&self) -> usize {
        self.watching.len()
    }

    pub(crate) fn get(&self, index: usize) -> Option<&Subscription> {
        self.watching.get(index)
    }

    /// How many dialogs there are.
    pub(crate) fn dialog_count(&self) -> usize {
        let ours: usize = self.watching.iter().map(Subscription::dialog_count).sum();
        ours + self.served.len()
    }

    /// The subscriptions of an account, or all.
    pub(crate) fn of_account(&self, account: Option<usize>) -> Vec<usize> {
        let all = self.watching.iter().enumerate();
        all.filter(|(_, subscription)| account.is_none() || subscription.account() == account)
            .map(|(index, _)| index)
            .collect()
    }

    /// One turn of one subscription of ours: what it wants done.
    pub(crate) fn turn(
        &mut self,
        index: usize,
        env: &mut Env,
        turn: impl FnOnce(&mut Subscription, &mut Env) -> Vec<SubscriptionAction>,
    ) -> Vec<SubscriptionAction> {
        let subscription = self.watching.get_mut(index);
        subscription.map_or_else(Vec::new, |subscription| turn(subscription, env))
    }

    /// Keeps the index in step with a subscription of ours.
    pub(crate) fn schedule(&self, index: usize, shared: &mut Shared) {
        let deadline = self.watching.get(index).and_then(Subscription::deadline);
        let waiter = Waiter::Subscription(index);
        shared.deadlines.set(waiter, deadline);
    }

    /// Begins those that need no registration.
    pub(crate) fn start(&mut self, shared: &mut Shared, now: Instant) {
        for index in 0..self.watching.len() {
            let account = self.watching.get(index).and_then(Subscription::account);
            let registers = account
                .and_then(|account| shared.env.account(account))
                .is_some_and(|account| account.register);
            if let Some(subscription) = self.watching.get_mut(index)
                && !registers
            {
                subscription.start(&mut shared.env, now);
            }
            self.schedule(index, shared);
        }
    }

    /// An account is registered, or not any more.
    pub(crate) fn handle_account(
        &mut self,
        account: usize,
        bound: bool,
        shared: &mut Shared,
        now: Instant,
    ) {
        for index in self.of_account(Some(account)) {
            if let Some(subscription) = self.watching.get_mut(index) {
                subscription.handle_account(bound, &mut shared.env, now);
            }
            self.schedule(index, shared);
        }
    }

    /// The phone has another address, or (`by`) is seen at another one by an account's server:
    /// notifiers use it from now on.
    pub(crate) fn handle_local_address(
        &mut self,
        by: Option<usize>,
        shared: &mut Shared,
        now: Instant,
    ) {
        for index in self.of_account(by) {
            if let Some(subscription) = self.watching.get_mut(index) {
                let contact = shared.contact(subscription.account(), None, false);
                subscription.handle_contact(&contact, &mut shared.env, now);
            }
            self.schedule(index, shared);
        }
    }

    /// The SUBSCRIBE that begins a subscription.
    pub(crate) fn subscribe(
        &mut self,
        index: usize,
        shared: &mut Shared,
        now: Instant,
    ) -> Option<OutgoingRequest> {
        let subscription = self.watching.get_mut(index)?;
        let (topic, account) = (subscription.topic(), subscription.account());
        let target = match topic {
            Topic::Messages | Topic::Registration => account
                .and_then(|account| shared.env.address_of_record(account))
                .map(|own| own.uri),
            Topic::Dialogs { watch } => {
                let watched = shared.env.config.events.watched.get(watch);
                watched.and_then(|watched| shared.request_uri(account, &watched.target).ok())
            }
        };
        let Some(target) = target else {
            tracing::warn!("subscription {index}: there is no address to subscribe to");
            return None;
        };
        let sips = target.as_sip().is_some_and(SipUri::is_secure);
        let route = shared.route(account, &target, false, sips, sips);
        let from = shared.sender(account);
        Some(subscription.build(target, from, route, &mut shared.env, now))
    }

    /// What a SUBSCRIBE or NOTIFY belongs to.
    pub(crate) fn find(&self, request: &Request) -> Option<EventDialog> {
        let tagged = request.headers.to().is_ok_and(|to| to.tag().is_some());
        match &request.method {
            Method::Notify if tagged => {
                let mut all = self.watching.iter();
                let index = all.position(|subscription| subscription.owns(request))?;
                Some(EventDialog::Watching(index))
            }
            Method::Subscribe if tagged => self.served.find(request).map(EventDialog::Served),
            _other => None,
        }
    }

    /// Whether what began there began over TLS.
    pub(crate) fn is_secure(&self, dialog: EventDialog) -> bool {
        match dialog {
            EventDialog::Watching(index) => self
                .watching
                .get(index)
                .is_some_and(Subscription::is_secure),
            EventDialog::Served(id) => self.served.is_secure(id),
        }
    }

    /// A request in one of the dialogs: the answer, and what our subscription wants done.
    pub(crate) fn handle_request(
        &mut self,
        dialog: EventDialog,
        request: &Request,
        reply_to: Flow,
        env: &mut Env,
        now: Instant,
    ) -> (Reply, Vec<SubscriptionAction>) {
        if let Err(refusal) = check_require(request) {
            return (refusal, Vec::new());
        }
        match dialog {
            EventDialog::Watching(index) => match self.watching.get_mut(index) {
                Some(subscription) => subscription.handle_notify(request, reply_to, env, now),
                None => (Reply::new(200), Vec::new()),
            },
            EventDialog::Served(id) => {
                let answer = self.served.refresh(id, request, now);
                (answer.unwrap_or_else(|refusal| refusal), Vec::new())
            }
        }
    }

    /// A SUBSCRIBE of a new watcher, in a transaction with this tag of ours.
    pub(crate) fn handle_watcher(
        &mut self,
        account: Option<usize>,
        request: &Request,
        reply_to: Flow,
        tag: &str,
        shared: &Shared,
        now: Instant,
    ) -> Result<Reply, Reply> {
        check_require(request)?;
        let contact = shared.contact(account, Some(reply_to.transport()), wants_sips(request));
        let asked = SubscribeRequest::read(&request.headers)?;
        let dialog = Dialog::of_callee(request, tag, contact.clone(), Some(reply_to))
            .ok_or_else(|| Reply::refusal(400).with_reason("Missing Contact header"))?;
        self.served
            .subscribe(asked, dialog, account, request, now)?;
        Ok(asked.reply(&NameAddr::new(contact)))
    }

    /// A SUBSCRIBE of ours got its outcome.
    pub(crate) fn handle_outcome(
        &mut self,
        (index, leg): (usize, u32),
        outcome: Outcome<'_>,
        env: &mut Env,
        now: Instant,
    ) -> Vec<SubscriptionAction> {
        let headers: Option<&Headers> = outcome.response().map(|response| &response.headers);
        self.turn(index, env, |subscription, env| {
            subscription.handle_outcome(leg, outcome.code(), headers, env, now)
        })
    }

    /// A SUBSCRIBE of ours was sent again under a higher number.
    pub(crate) fn handle_renumbered(&mut self, index: usize, leg: u32, cseq: u32) {
        if let Some(subscription) = self.watching.get_mut(index) {
            subscription.handle_renumbered(leg, cseq);
        }
    }

    /// Those who watch this phone.
    pub(crate) fn served_mut(&mut self) -> &mut ServedSubscriptions {
        &mut self.served
    }

    /// Whether anyone watches this phone.
    pub(crate) fn is_watched(&self) -> bool {
        !self.served.is_empty()
    }

    /// Informs every watcher of what changed: the NOTIFYs.
    pub(crate) fn publish(
        &mut self,
        calls: Vec<CallSummary>,
        shared: &mut Shared,
        now: Instant,
    ) -> Vec<OutgoingRequest> {
        let due = self.served.publish(calls, &shared.env, now);
        let deadline = self.served.deadline();
        shared.deadlines.set(Waiter::Served, deadline);
        due
    }

    /// The call that rings at a watched phone, where what is known of it is enough to take it.
    pub(crate) fn pick_up(&self, watch: usize) -> Result<PickUp, InviteError> {
        let subscription = self.watched(watch).ok_or(InviteError::NotRinging)?;
        Ok(PickUp {
            account: subscription.account(),
            secure: subscription.is_secure(),
            ringing: subscription.ringing().ok_or(InviteError::NotRinging)?,
        })
    }

    /// Whether a call that rings at a watched phone can be taken.
    pub(crate) fn can_pick_up(&self, watch: usize) -> bool {
        self.watched(watch)
            .is_some_and(|subscription| subscription.ringing().is_some())
    }

    fn watched(&self, watch: usize) -> Option<&Subscription> {
        let wanted = Topic::Dialogs { watch };
        let mut all = self.watching.iter();
        all.find(|subscription| subscription.topic() == wanted)
    }
}

/// Whether whoever sent this is on the list of those who may watch this phone.
pub(crate) fn may_watch(flow: Flow, request: &Request, env: &Env) -> bool {
    let user = request.headers.from().ok().and_then(|from| from.uri.user());
    let ip = flow.remote().ip();
    let mut list = env.config.events.watchers.iter();
    Package::of(&request.headers) == Some(Package::Dialog)
        && list.any(|watcher| watcher.matches(ip, user.as_deref()))
}
