//! One subscription of ours (RFC 6665 section 4.1): begun, refreshed, begun again, as long as it is
//! wanted.
//!
//! ```text
//! SUBSCRIBE ─┬ 2xx ─▶ NOTIFY within 32 s ─▶ leg: refreshed before it runs out
//!            │          └ none ─▶ back-off           └ 481, terminated, run out ─▶ SUBSCRIBE again
//!            ├ 423 ─▶ again with Min-Expires
//!            ├ 403, 404, 489 …: nothing to be had ─▶ once an hour
//!            └ else, Retry-After ─▶ back-off
//! ```
//!
//! It is the NOTIFY that makes the dialog, whether it comes before the 2xx or after it (section
//! 4.4.1). A proxy may fork the SUBSCRIBE: each notifier that answers is a leg of its own, and the
//! owner learns what all of them say together.

mod leg;
mod report;

use std::time::{Duration, Instant};

use super::{Package, SubscriptionState, Termination};
use crate::action::{OutgoingRequest, Purpose, Reply};
use crate::back_off::BackOff;
use crate::capabilities::ALLOW_EVENTS;
use crate::capabilities::add_capabilities;
use crate::dialog::Dialog;
use crate::env::Env;
use crate::event_body::{DialogTable, MessageSummary, RegInfo, RingingDialog, WatchedState};
use crate::flow::Flow;
use crate::initial_route::InitialRoute;
use crate::locate::Hop;
use crate::message::{CSeq, Headers, Method, NameAddr, Request, SipUri, Uri};
use crate::timer::{T1_64, earliest};

use leg::{Content, Leg, Read, ends_subscription, is_hopeless};

/// Lifetime asked for, in seconds.
const EXPIRES_S: u32 = 3600;
/// Longest a 423 can make us ask for, in seconds.
const MAX_EXPIRES_S: u32 = 86_400;
/// How often in a row a notifier may ask for longer.
const MAX_TOO_BRIEF: u8 = 2;
/// Most notifiers of one forked SUBSCRIBE.
const MAX_LEGS: usize = 4;
/// How long after a refusal that nothing is to be had to ask again.
const REFUSED: (Duration, Duration) = (Duration::from_secs(3000), Duration::from_secs(4200));
/// How soon to subscribe again where the notifier wants that at once.
const AT_ONCE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));
/// A notifier that ends subscriptions sooner than this is not asked again at once.
const SHORT: Duration = Duration::from_secs(60);

/// What is subscribed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Topic {
    /// The mailbox of an account.
    Messages,
    /// The calls of another phone: which of those that are watched.
    Dialogs { watch: usize },
    /// The account's own registration.
    Registration,
}

impl Topic {
    fn package(self) -> Package {
        match self {
            Self::Messages => Package::MessageSummary,
            Self::Dialogs { .. } => Package::Dialog,
            Self::Registration => Package::Reg,
        }
    }
}

/// What a subscription wants done.
#[derive(Debug)]
pub(crate) enum SubscriptionAction {
    /// A SUBSCRIBE outside of dialogs is due: [`Subscription::build`] makes it.
    Subscribe,
    /// Send this one.
    Send(Box<OutgoingRequest>),
    /// The mailbox says this.
    Messages(MessageSummary),
    /// The watched phone does this.
    Watched(WatchedState),
    /// The registrar says this.
    Registration(RegInfo),
}

/// The SUBSCRIBE that began it.
#[derive(Debug)]
struct Attempt {
    call_id: String,
    tag: String,
    cseq: u32,
    /// It went over TLS.
    secure: bool,
    contact: SipUri,
    at: Instant,
    /// Its final answer is missing.
    asked: bool,
    /// Lifetime the 2xx granted.
    granted_s: Option<u32>,
}

/// A subscription.
#[derive(Debug)]
pub(crate) struct Subscription {
    index: usize,
    topic: Topic,
    account: Option<usize>,
    attempt: Option<Attempt>,
    legs: Vec<Leg>,
    next_leg: u32,
    /// When to subscribe again.
    next_at: Option<Instant>,
    /// When a NOTIFY must have come.
    notify_by: Option<Instant>,
    expires_s: u32,
    too_brief: u8,
    back_off: BackOff,
    wanted: bool,
    /// Its account is registered.
    bound: bool,
    reported: Option<WatchedState>,
}

impl Subscription {
    /// One that begins when [`Subscription::start`] is called.
    pub(crate) fn new(index: usize, topic: Topic, account: Option<usize>) -> Self {
        Self {
            index,
            topic,
            account,
            attempt: None,
            legs: Vec::new(),
            next_leg: 1,
            next_at: None,
            notify_by: None,
            expires_s: EXPIRES_S,
            too_brief: 0,
            back_off: BackOff::default(),
            wanted: true,
            bound: false,
            reported: None,
        }
    }

    /// What it is about.
    pub(crate) fn topic(&self) -> Topic {
        self.topic
    }

    /// The account it goes by.
    pub(crate) fn account(&self) -> Option<usize> {
        self.account
    }

    /// How many dialogs it holds.
    pub(crate) fn dialog_count(&self) -> usize {
        self.legs.len()
    }

    /// A call that rings at the watched phone and can be taken.
    pub(crate) fn ringing(&self) -> Option<RingingDialog> {
        self.legs.iter().find_map(|leg| match &leg.content {
            Content::Dialogs(table) => table.ringing(),
            Content::Messages(_) | Content::Registration => None,
        })
    }

    /// Whether a NOTIFY belongs here.
    pub(crate) fn owns(&self, request: &Request) -> bool {
        let headers = &request.headers;
        self.attempt.as_ref().is_some_and(|attempt| {
            headers.call_id().is_ok_and(|id| id == attempt.call_id)
                && headers
                    .to()
                    .is_ok_and(|to| to.tag() == Some(attempt.tag.as_str()))
        })
    }

    /// Whether its requests go over TLS, and so must what answers them.
    pub(crate) fn is_secure(&self) -> bool {
        self.attempt.as_ref().is_some_and(|attempt| attempt.secure)
    }

    /// When to call [`Subscription::handle_timeout`].
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let legs = self.legs.iter();
        let legs = legs.filter_map(|leg| earliest([Some(leg.until), leg.refresh_at]));
        earliest([self.next_at, self.notify_by, legs.min()])
    }

    // ── what happens to it ────────────────────────────────────────────────────────────────────

    /// There is a way to subscribe, or a reason to look whether the subscription still stands.
    pub(crate) fn start(&mut self, env: &mut Env, now: Instant) {
        if !self.wanted || self.attempt.as_ref().is_some_and(|attempt| attempt.asked) {
            return;
        }
        self.back_off.failures = 0;
        let at = now + env.tokens.between(AT_ONCE.0, AT_ONCE.1);
        if self.legs.is_empty() {
            self.next_at = Some(at);
        }
        for leg in self.legs.iter_mut().filter(|leg| !leg.asked) {
            leg.refresh_at = Some(at);
        }
    }

    /// Its account is registered, or not any more: what was given up is tried again.
    pub(crate) fn handle_account(&mut self, bound: bool, env: &mut Env, now: Instant) {
        if bound && !self.bound {
            self.start(env, now);
        }
        self.bound = bound;
    }

    /// Our contact is another one.
    pub(crate) fn handle_contact(&mut self, contact: &SipUri, env: &mut Env, now: Instant) {
        if let Some(attempt) = &mut self.attempt {
            attempt.contact.clone_from(contact);
        }
        for leg in &mut self.legs {
            leg.dialog.contact.clone_from(contact);
        }
        self.start(env, now);
    }

    /// It is not wanted any more: every notifier is informed.
    pub(crate) fn stop(&mut self, env: &mut Env) -> Vec<SubscriptionAction> {
        self.wanted = false;
        self.next_at = None;
        self.notify_by = None;
        self.attempt = None;
        let legs = std::mem::take(&mut self.legs);
        let actions = legs.into_iter().map(|mut leg| {
            let mut request = self.refresh(&mut leg, 0, env);
            request.purpose = Purpose::None;
            SubscriptionAction::Send(Box::new(request))
        });
        actions.collect()
    }

    /// The SUBSCRIBE that begins it again, without Via.
    pub(crate) fn build(
        &mut self,
        target: Uri,
        from: NameAddr,
        route: InitialRoute,
        env: &mut Env,
        now: Instant,
    ) -> OutgoingRequest {
        let attempt = Attempt {
            call_id: env.tokens.word(24),
            tag: env.tokens.tag(),
            cseq: 1,
            secure: route.hop.as_ref().is_ok_and(Hop::is_secure),
            contact: route.contact,
            at: now,
            asked: true,
            granted_s: None,
        };
        let mut request = Request::new(Method::Subscribe, target.clone());
        let headers = &mut request.headers;
        for route in &route.routes {
            headers.push("Route", route);
        }
        headers.push("Max-Forwards", 70);
        headers.push("From", from.with_param("tag", Some(&attempt.tag)));
        headers.push("To", NameAddr::new(target));
        headers.push("Call-ID", &attempt.call_id);
        let (number, method) = (attempt.cseq, Method::Subscribe);
        headers.push("CSeq", CSeq { number, method });
        headers.push("Contact", NameAddr::new(attempt.contact.clone()));
        self.describe(headers, self.expires_s, env);
        self.attempt = Some(attempt);
        self.next_at = None;
        self.notify_by = None;
        OutgoingRequest {
            purpose: Purpose::Subscribe(self.index, 0),
            account: self.account,
            request,
            hop: route.hop,
            flow: None,
        }
    }

    fn describe(&self, headers: &mut Headers, expires_s: u32, env: &Env) {
        let package = self.topic.package();
        headers.push("Event", package.as_str());
        headers.push("Accept", package.content_type());
        headers.push("Expires", expires_s);
        add_capabilities(headers);
        headers.push("Allow-Events", ALLOW_EVENTS);
        headers.push("User-Agent", &env.config.user_agent);
    }

    /// The SUBSCRIBE in the dialog of one notifier.
    fn refresh(&self, leg: &mut Leg, expires_s: u32, env: &Env) -> OutgoingRequest {
        let mut request = leg.dialog.request(&Method::Subscribe);
        self.describe(&mut request.headers, expires_s, env);
        let purpose = Purpose::Subscribe(self.index, leg.number);
        let mut outgoing = OutgoingRequest::in_dialog(&leg.dialog, purpose, self.account, request);
        // What began over TLS stays there.
        if self.is_secure() {
            outgoing.hop = outgoing.hop.map(Hop::forced_secure);
        }
        outgoing
    }

    /// Sends the refresh of a leg.
    fn send_refresh(&mut self, number: u32, env: &Env) -> Option<SubscriptionAction> {
        let at = self.legs.iter().position(|leg| leg.number == number)?;
        let mut leg = self.legs.remove(at);
        leg.refresh_at = None;
        leg.asked = true;
        let request = self.refresh(&mut leg, self.expires_s, env);
        self.legs.insert(at, leg);
        Some(SubscriptionAction::Send(Box::new(request)))
    }

    /// Its time has come.
    pub(crate) fn handle_timeout(
        &mut self,
        env: &mut Env,
        now: Instant,
    ) -> Vec<SubscriptionAction> {
        let mut actions = Vec::new();
        let before = self.legs.len();
        self.legs.retain(|leg| leg.until > now);
        if self.legs.len() < before && self.legs.is_empty() {
            // It ran out without a word: nothing refreshed it in time.
            self.try_again_later(false, None, env, now);
            actions.extend(self.report());
        }
        if self.notify_by.is_some_and(|at| at <= now) {
            self.notify_by = None;
            if self.legs.is_empty() {
                self.try_again_later(false, None, env, now);
            }
        }
        let due: Vec<u32> = self
            .legs
            .iter()
            .filter(|leg| leg.refresh_at.is_some_and(|at| at <= now))
            .map(|leg| leg.number)
            .collect();
        for number in due {
            actions.extend(self.send_refresh(number, env));
        }
        if self.next_at.is_some_and(|at| at <= now) {
            self.next_at = None;
            actions.push(SubscriptionAction::Subscribe);
        }
        actions
    }

    /// A SUBSCRIBE was sent again with credentials: that number counts.
    pub(crate) fn handle_renumbered(&mut self, leg: u32, cseq: u32) {
        if leg == 0 {
            if let Some(attempt) = &mut self.attempt {
                attempt.cseq = attempt.cseq.max(cseq);
            }
            // A NOTIFY may have made the dialog already.
            for leg in &mut self.legs {
                leg.dialog.local_cseq = leg.dialog.local_cseq.max(cseq);
            }
        } else if let Some(leg) = self.legs.iter_mut().find(|known| known.number == leg) {
            leg.dialog.local_cseq = leg.dialog.local_cseq.max(cseq);
        }
    }

    /// A SUBSCRIBE got its final status; `headers`: of the response, where there is one. `leg`: 0
    /// for the one that began it.
    pub(crate) fn handle_outcome(
        &mut self,
        leg: u32,
        code: u16,
        headers: Option<&Headers>,
        env: &mut Env,
        now: Instant,
    ) -> Vec<SubscriptionAction> {
        if !self.wanted {
            return Vec::new();
        }
        let number = |name: &str| headers.and_then(|headers| headers.number(name));
        if (200..300).contains(&code) {
            self.too_brief = 0;
            self.handle_granted(leg, headers.and_then(Headers::expires), env, now);
            return Vec::new();
        }
        if let Some(least) = number("Min-Expires").filter(|_| code == 423)
            && (self.expires_s + 1..=MAX_EXPIRES_S).contains(&least)
            && self.too_brief < MAX_TOO_BRIEF
        {
            self.expires_s = least;
            self.too_brief += 1;
            return if leg == 0 {
                vec![SubscriptionAction::Subscribe]
            } else {
                self.send_refresh(leg, env).into_iter().collect()
            };
        }
        let retry_after = number("Retry-After");
        let denied = matches!(code, 401 | 403 | 407);
        if leg == 0 {
            if let Some(attempt) = &mut self.attempt {
                attempt.asked = false;
            }
            // A notifier of another branch may be there all the same.
            if self.legs.is_empty() {
                if is_hopeless(code) {
                    self.next_at = Some(now + env.tokens.between(REFUSED.0, REFUSED.1));
                } else {
                    self.try_again_later(denied, retry_after, env, now);
                }
            }
            return Vec::new();
        }
        let Some(at) = self.legs.iter().position(|known| known.number == leg) else {
            return Vec::new();
        };
        if ends_subscription(code) {
            self.legs.remove(at);
            if self.legs.is_empty() {
                self.again(code == 481, now, env);
            }
            return self.report();
        }
        // Section 4.1.2.2: it holds until it runs out.
        let wait = self.back_off.next(denied, retry_after, &mut env.tokens);
        if let Some(leg) = self.legs.get_mut(at) {
            leg.asked = false;
            leg.refresh_at = Some(now + wait).filter(|at| *at < leg.until);
        }
        Vec::new()
    }

    /// A 2xx.
    fn handle_granted(&mut self, leg: u32, granted: Option<u32>, env: &mut Env, now: Instant) {
        let granted = granted.filter(|granted| *granted > 0);
        if leg == 0 {
            if let Some(attempt) = &mut self.attempt {
                attempt.asked = false;
                attempt.granted_s = granted;
            }
            // Timer N of section 4.1.2.4.
            self.notify_by = self.legs.is_empty().then(|| now + T1_64);
            return;
        }
        let lifetime = granted.unwrap_or(self.expires_s);
        if let Some(leg) = self.legs.iter_mut().find(|known| known.number == leg) {
            leg.asked = false;
            self.back_off.failures = 0;
            leg.extend(lifetime, env, now);
        }
    }

    /// A NOTIFY that belongs here; `flow`: the way it came.
    pub(crate) fn handle_notify(
        &mut self,
        request: &Request,
        flow: Flow,
        env: &mut Env,
        now: Instant,
    ) -> (Reply, Vec<SubscriptionAction>) {
        let package = self.topic.package();
        if Package::of(&request.headers) != Some(package) {
            let reply = Reply::refusal(489).with("Allow-Events", ALLOW_EVENTS);
            return (reply, Vec::new());
        }
        let Some(at) = self.leg_of(request, flow, now) else {
            return (Reply::not_allowed(481), Vec::new());
        };
        let cseq = request.headers.cseq().map(|c| c.number).unwrap_or_default();
        let Some(leg) = self.legs.get_mut(at) else {
            return (Reply::not_allowed(481), Vec::new());
        };
        if !leg.dialog.in_order(cseq) {
            return (Reply::refusal(500), Vec::new());
        }
        leg.dialog.came_from(flow, request);
        leg.dialog.refresh(&request.headers);
        let state = SubscriptionState::of(&request.headers);
        let (read, refused) = match leg.content.read(package, request) {
            Ok(read) => (read, None),
            Err(reply) => (Read::Nothing, Some(reply)),
        };
        let mut actions = Vec::new();
        let granted = self.attempt.as_ref().and_then(|attempt| attempt.granted_s);
        match state.terminated {
            None => {
                self.notify_by = None;
                if !state.pending {
                    self.back_off.failures = 0;
                }
                let asked = self.expires_s;
                let lifetime = state.expires_s.or(granted).unwrap_or(asked);
                if state.expires_s.is_some() || leg.since == now {
                    leg.extend(lifetime, env, now);
                }
                if read == Read::Gap {
                    leg.ask_for_all(now);
                }
            }
            Some(termination) => {
                let short = now.saturating_duration_since(leg.since) < SHORT;
                // Some servers say of a mailbox what they have to say with their last word.
                if self.topic == Topic::Messages && refused.is_none() && self.legs.len() == 1 {
                    actions.extend(self.report());
                }
                self.legs.remove(at);
                if self.legs.is_empty() {
                    match termination {
                        Termination::Again => self.again(!short, now, env),
                        Termination::Later => {
                            self.try_again_later(false, state.retry_after_s, env, now);
                        }
                        Termination::Never => self.next_at = None,
                    }
                }
            }
        }
        if let Read::Registration(info) = read {
            actions.push(SubscriptionAction::Registration(info));
        } else if refused.is_none() {
            actions.extend(self.report());
        }
        (refused.unwrap_or_else(|| Reply::new(200)), actions)
    }

    /// The leg of a NOTIFY; a new one where its notifier is new and may be.
    fn leg_of(&mut self, request: &Request, flow: Flow, now: Instant) -> Option<usize> {
        let from = request.headers.from().ok()?;
        let tag = from.tag().unwrap_or_default();
        let known = self
            .legs
            .iter()
            .position(|leg| leg.dialog.remote_tag() == tag);
        if known.is_some() {
            return known;
        }
        let attempt = self.attempt.as_ref()?;
        // Branches answer within 64 T1 of the SUBSCRIBE (section 4.1.2.4).
        let in_time = attempt.asked || now <= attempt.at + 2 * T1_64;
        if !in_time || self.legs.len() >= MAX_LEGS {
            return None;
        }
        let contact = attempt.contact.clone();
        let mut dialog = Dialog::of_callee(request, &attempt.tag, contact, Some(flow))?;
        dialog.local_cseq = attempt.cseq;
        dialog.remote_cseq = None;
        let number = self.next_leg;
        self.next_leg += 1;
        self.legs.push(Leg {
            number,
            dialog,
            since: now,
            until: now + Duration::from_secs(u64::from(self.expires_s)),
            refresh_at: None,
            asked: false,
            asked_for_all: None,
            content: match self.topic {
                Topic::Messages => Content::Messages(None),
                Topic::Dialogs { .. } => Content::Dialogs(DialogTable::default()),
                Topic::Registration => Content::Registration,
            },
        });
        Some(self.legs.len() - 1)
    }

    /// Subscribes again, at once where that leads to no loop.
    fn again(&mut self, at_once: bool, now: Instant, env: &mut Env) {
        if at_once {
            self.next_at = Some(now + env.tokens.between(AT_ONCE.0, AT_ONCE.1));
        } else {
            self.try_again_later(false, None, env, now);
        }
    }

    fn try_again_later(
        &mut self,
        denied: bool,
        retry_after: Option<u32>,
        env: &mut Env,
        now: Instant,
    ) {
        if self.wanted {
            let wait = self.back_off.next(denied, retry_after, &mut env.tokens);
            self.next_at = Some(now + wait);
        }
    }
}
