//! Event state that this phone publishes (RFC 3903): sent once as a report, or kept at the server
//! until it is removed.
//!
//! ```text
//! publish ─▶ PUBLISH ─┬ 2xx, a report ─▶ done
//!                     ├ 2xx with SIP-ETag, kept ─▶ refreshed before it runs out, changed, removed
//!                     │                              └ 412: the server forgot it ─▶ PUBLISH, whole
//!                     ├ 423 ─▶ again with Min-Expires
//!                     ├ 403, 404, 489 …: given up; what is kept, once an hour
//!                     └ else, Retry-After ─▶ back-off; a report four times at most
//! ```
//!
//! One request of a publication is under way at a time (section 4): what changes meanwhile goes
//! with the next one.

mod requests;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::api::InviteError;
use crate::back_off::{BackOff, refresh_after};
use crate::env::Env;
use crate::ids::PublicationId;
use crate::message::{CSeq, Headers, Method, NameAddr, Request, Uri};
use crate::token::Tokens;

/// Longest body, in bytes: a report of one call has about two thousand.
const MAX_BODY: usize = 8192;
/// Most publications at once.
const MAX_PUBLICATIONS: usize = 8;
/// Lifetime asked for, in seconds.
const EXPIRES_S: u32 = 3600;
/// Lifetime assumed where a 2xx names none, in seconds.
const ASSUMED_S: u32 = 600;
/// Longest a 423 can make us ask for, in seconds.
const MAX_EXPIRES_S: u32 = 86_400;
/// How often in a row a server may ask for longer.
const MAX_TOO_BRIEF: u8 = 2;
/// How often a report is tried.
const REPORT_TRIES: u32 = 4;
/// How long after a refusal that nothing can be published to ask again.
const REFUSED: (Duration, Duration) = (Duration::from_secs(3000), Duration::from_secs(4200));

/// What to publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventState {
    /// Where: a SIP address, or a user of the account's domain. `None`: the account's own address.
    pub target: Option<String>,
    /// The event package, `vq-rtcpxr` (RFC 6035), say.
    pub event: &'static str,
    /// The type of the body.
    pub content_type: &'static str,
    /// The body, at most 8192 bytes.
    pub body: Vec<u8>,
    /// `false`: a report, over when the server has it. `true`: state the server keeps, refreshed
    /// until it is removed.
    pub is_kept: bool,
}

/// Why something cannot even be tried to be published.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// The body is too long.
    #[error("the body has {0} bytes; {MAX_BODY} are published at most")]
    TooLong(usize),
    /// Too many are under way.
    #[error("{MAX_PUBLICATIONS} publications are under way, and no more are taken")]
    TooMany,
    /// It cannot be sent there.
    #[error(transparent)]
    Target(#[from] InviteError),
}

/// What the final status of a PUBLISH means to whoever asked for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Nothing to say.
    Silent,
    /// The server has it.
    Published,
    /// It is refused: for good, or, where it is kept, until the next try.
    Refused,
}

/// How a publication goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// A PUBLISH is due at this time.
    Due(Instant),
    /// A PUBLISH is on its way.
    Asked(Intent),
    /// Nothing more will be sent.
    Over,
}

/// What a PUBLISH does (section 4, table 1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Intent {
    Initial,
    Refresh,
    Modify,
    Remove,
}

/// One publication.
#[derive(Debug)]
struct Publication {
    account: Option<usize>,
    target: Uri,
    event: &'static str,
    content_type: &'static str,
    body: Vec<u8>,
    /// The server does not have this body yet.
    is_changed: bool,
    is_kept: bool,
    /// It is to stay at the server.
    is_wanted: bool,
    /// The name of what the server has (SIP-ETag).
    entity_tag: Option<String>,
    phase: Phase,
    expires_s: u32,
    too_brief: u8,
    back_off: BackOff,
    /// What its owner knows: published, refused, or nothing yet.
    reported: Option<bool>,
    call_id: String,
    tag: String,
    cseq: u32,
}

impl Publication {
    fn new(
        account: Option<usize>,
        target: Uri,
        state: EventState,
        tokens: &mut Tokens,
        now: Instant,
    ) -> Self {
        Self {
            account,
            target,
            event: state.event,
            content_type: state.content_type,
            body: state.body,
            is_changed: true,
            is_kept: state.is_kept,
            is_wanted: true,
            entity_tag: None,
            phase: Phase::Due(now),
            expires_s: EXPIRES_S,
            too_brief: 0,
            back_off: BackOff::default(),
            reported: None,
            call_id: tokens.word(24),
            tag: tokens.tag(),
            cseq: 0,
        }
    }

    fn intent(&self) -> Intent {
        match (&self.entity_tag, self.is_wanted) {
            (Some(_), false) => Intent::Remove,
            (Some(_), true) if self.is_changed => Intent::Modify,
            (Some(_), true) => Intent::Refresh,
            (None, _) => Intent::Initial,
        }
    }

    fn is_due(&self, now: Instant) -> bool {
        matches!(self.phase, Phase::Due(at) if at <= now)
    }

    fn deadline(&self) -> Option<Instant> {
        match self.phase {
            Phase::Due(at) => Some(at),
            Phase::Asked(_) | Phase::Over => None,
        }
    }

    /// The PUBLISH that is due, without Via. No Contact: it makes no dialog (section 4).
    fn build(&mut self, from: NameAddr, routes: &[NameAddr], env: &Env) -> Request {
        let intent = self.intent();
        self.cseq += 1;
        let mut request = Request::new(Method::Publish, self.target.clone());
        let headers = &mut request.headers;
        for route in routes {
            headers.push("Route", route);
        }
        headers.push("Max-Forwards", 70);
        headers.push("From", from.with_param("tag", Some(&self.tag)));
        headers.push("To", NameAddr::new(self.target.clone()));
        headers.push("Call-ID", &self.call_id);
        let (number, method) = (self.cseq, Method::Publish);
        headers.push("CSeq", CSeq { number, method });
        headers.push("Event", self.event);
        if let Some(tag) = &self.entity_tag {
            headers.push("SIP-If-Match", tag);
        }
        if intent == Intent::Remove {
            headers.push("Expires", 0);
        } else if self.is_kept {
            headers.push("Expires", self.expires_s);
        }
        headers.push("User-Agent", &env.config.user_agent);
        match intent {
            // Section 4.1: the state as a whole; a refresh and a removal carry none.
            Intent::Initial | Intent::Modify => {
                headers.push("Content-Type", self.content_type);
                request.body = self.body.clone().into();
                self.is_changed = false;
            }
            Intent::Refresh | Intent::Remove => {}
        }
        self.phase = Phase::Asked(intent);
        request
    }

    /// The body is another one from now on.
    fn change(&mut self, body: Vec<u8>, now: Instant) {
        self.body = body;
        self.is_changed = true;
        if matches!(self.phase, Phase::Due(_)) {
            self.phase = Phase::Due(now);
        }
    }

    /// It is not wanted any more.
    fn remove(&mut self, now: Instant) {
        self.is_wanted = false;
        if matches!(self.phase, Phase::Due(_)) {
            self.phase = match self.entity_tag {
                Some(_) => Phase::Due(now),
                None => Phase::Over,
            };
        }
    }

    /// Its PUBLISH got its final status; `headers`: of the response, where there is one.
    fn handle_outcome(
        &mut self,
        code: u16,
        headers: Option<&Headers>,
        tokens: &mut Tokens,
        now: Instant,
    ) -> Outcome {
        let Phase::Asked(intent) = self.phase else {
            return Outcome::Silent;
        };
        if (200..300).contains(&code) {
            return self.handle_accepted(intent, headers, tokens, now);
        }
        // The server does not have this state any more, or has another: the body goes whole.
        if matches!(intent, Intent::Initial | Intent::Modify) {
            self.is_changed = true;
        }
        if code == 412 && intent != Intent::Initial {
            self.entity_tag = None;
            self.is_changed = true;
            self.phase = if self.is_wanted {
                Phase::Due(now)
            } else {
                Phase::Over
            };
            return Outcome::Silent;
        }
        if !self.is_wanted {
            // What cannot be removed runs out by itself.
            self.phase = Phase::Over;
            return Outcome::Silent;
        }
        let number = |name: &str| headers.and_then(|headers| headers.number(name));
        if let Some(least) = number("Min-Expires").filter(|_| code == 423)
            && (self.expires_s + 1..=MAX_EXPIRES_S).contains(&least)
            && self.too_brief < MAX_TOO_BRIEF
            && self.is_kept
        {
            self.expires_s = least;
            self.too_brief += 1;
            self.phase = Phase::Due(now);
            return Outcome::Silent;
        }
        self.handle_refused(code, number("Retry-After"), tokens, now)
    }

    fn handle_accepted(
        &mut self,
        intent: Intent,
        headers: Option<&Headers>,
        tokens: &mut Tokens,
        now: Instant,
    ) -> Outcome {
        self.back_off = BackOff::default();
        self.too_brief = 0;
        let entity_tag = headers.and_then(|headers| headers.get("SIP-ETag"));
        self.entity_tag = entity_tag.map(str::to_owned);
        let lifetime_s = headers.and_then(Headers::expires).unwrap_or(ASSUMED_S);
        let lifetime = Duration::from_secs(u64::from(lifetime_s));
        self.phase = match (intent, &self.entity_tag) {
            (Intent::Remove, _) => Phase::Over,
            (_, _) if !self.is_kept => Phase::Over,
            (_, None) if !self.is_wanted => Phase::Over,
            (_, Some(_)) if !self.is_wanted || self.is_changed => Phase::Due(now),
            // Without a name it cannot be refreshed: it is published again in time.
            (_, _) => {
                self.is_changed = self.entity_tag.is_none();
                Phase::Due(now + refresh_after(lifetime, tokens))
            }
        };
        self.report(true)
    }

    fn handle_refused(
        &mut self,
        code: u16,
        retry_after_s: Option<u32>,
        tokens: &mut Tokens,
        now: Instant,
    ) -> Outcome {
        let tries = self.back_off.failures + 1;
        self.phase = if is_hopeless(code) {
            if !self.is_kept {
                self.phase = Phase::Over;
                return self.report(false);
            }
            Phase::Due(now + tokens.between(REFUSED.0, REFUSED.1))
        } else if !self.is_kept && tries >= REPORT_TRIES {
            self.phase = Phase::Over;
            return self.report(false);
        } else {
            Phase::Due(now + self.back_off.next(false, retry_after_s, tokens))
        };
        if self.is_kept {
            self.report(false)
        } else {
            Outcome::Silent
        }
    }

    /// What its owner does not know yet.
    fn report(&mut self, is_published: bool) -> Outcome {
        if self.reported.replace(is_published) == Some(is_published) {
            Outcome::Silent
        } else if is_published {
            Outcome::Published
        } else {
            Outcome::Refused
        }
    }
}

/// Whether asking again soon is of no use: who asks, or what for, has to change first.
fn is_hopeless(code: u16) -> bool {
    match code {
        // 403 and the unanswered challenges included: a report is not worth a locked account.
        400..=407 | 410 | 412..=423 | 482..=485 | 488 | 489 | 493 | 501 | 505 | 513 | 600.. => true,
        _ => false,
    }
}

/// All publications of the phone.
#[derive(Debug, Default)]
pub(crate) struct Publications {
    by_id: BTreeMap<PublicationId, Publication>,
    next: u64,
}

impl Publications {
    /// Takes one up; it is due at once.
    pub(crate) fn begin(
        &mut self,
        account: Option<usize>,
        target: Uri,
        state: EventState,
        tokens: &mut Tokens,
        now: Instant,
    ) -> Result<PublicationId, PublishError> {
        if state.body.len() > MAX_BODY {
            return Err(PublishError::TooLong(state.body.len()));
        }
        if self.by_id.len() >= MAX_PUBLICATIONS {
            return Err(PublishError::TooMany);
        }
        self.next += 1;
        let id = PublicationId(self.next);
        let publication = Publication::new(account, target, state, tokens, now);
        self.by_id.insert(id, publication);
        Ok(id)
    }

    /// Gives what is kept another body. Whether there is such a publication.
    pub(crate) fn change(&mut self, id: PublicationId, body: Vec<u8>, now: Instant) -> bool {
        let found = self.by_id.get_mut(&id);
        let found = found.filter(|found| found.is_kept && found.is_wanted);
        let Some(publication) = found.filter(|_| body.len() <= MAX_BODY) else {
            return false;
        };
        publication.change(body, now);
        true
    }

    /// Takes one back.
    pub(crate) fn remove(&mut self, id: PublicationId, now: Instant) {
        if let Some(publication) = self.by_id.get_mut(&id) {
            publication.remove(now);
        }
        self.forget_over();
    }

    /// The phone goes: what is kept is taken back, and no report is tried again.
    pub(crate) fn remove_all(&mut self, now: Instant) {
        for publication in self.by_id.values_mut() {
            publication.remove(now);
        }
        self.forget_over();
    }

    /// When something is due.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.by_id.values().filter_map(Publication::deadline).min()
    }

    /// One that is due, with its account and where it goes.
    pub(crate) fn poll_due(&self, now: Instant) -> Option<(PublicationId, Option<usize>, Uri)> {
        let (id, publication) = self.by_id.iter().find(|(_, found)| found.is_due(now))?;
        Some((*id, publication.account, publication.target.clone()))
    }

    /// The PUBLISH that is due, without Via.
    pub(crate) fn build(
        &mut self,
        id: PublicationId,
        from: NameAddr,
        routes: &[NameAddr],
        env: &Env,
    ) -> Option<Request> {
        let publication = self.by_id.get_mut(&id)?;
        Some(publication.build(from, routes, env))
    }

    /// A PUBLISH was sent again with credentials: that number counts.
    pub(crate) fn handle_renumbered(&mut self, id: PublicationId, cseq: u32) {
        if let Some(publication) = self.by_id.get_mut(&id) {
            publication.cseq = publication.cseq.max(cseq);
        }
    }

    /// A PUBLISH got its final status.
    pub(crate) fn handle_outcome(
        &mut self,
        id: PublicationId,
        code: u16,
        headers: Option<&Headers>,
        tokens: &mut Tokens,
        now: Instant,
    ) -> Outcome {
        let Some(publication) = self.by_id.get_mut(&id) else {
            return Outcome::Silent;
        };
        let outcome = publication.handle_outcome(code, headers, tokens, now);
        self.forget_over();
        outcome
    }

    fn forget_over(&mut self) {
        self.by_id.retain(|_, found| found.phase != Phase::Over);
    }
}
