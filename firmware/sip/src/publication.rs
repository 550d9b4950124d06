//! Reports that this phone publishes (RFC 3903): the quality of a call (RFC 6035). Each is sent
//! once; none is kept up at the server afterwards, so `SIP-ETag` is not used.
//!
//! ```text
//! publish ─▶ PUBLISH ─┬ 2xx ─▶ done
//!                     ├ 403, 404, 489 …: given up
//!                     └ else, Retry-After ─▶ back-off, four times at most
//! ```

mod requests;

use std::collections::BTreeMap;
use std::time::Instant;

use crate::api::InviteError;
use crate::back_off::BackOff;
use crate::env::Env;
use crate::ids::PublicationId;
use crate::message::{CSeq, Headers, Method, NameAddr, Request, Uri};
use crate::token::Tokens;

/// Longest body, in bytes: a report of one call has about two thousand.
const MAX_BODY: usize = 8192;
/// Most publications at once.
const MAX_PUBLICATIONS: usize = 8;
/// How often a report is tried.
const MAX_TRIES: u32 = 4;

/// What to publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventState {
    /// Where: a SIP address, or a user of the account's domain.
    pub target: String,
    /// The event package, `vq-rtcpxr` (RFC 6035), say.
    pub event: &'static str,
    /// The type of the body.
    pub content_type: &'static str,
    /// The body, at most 8192 bytes.
    pub body: Vec<u8>,
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
    /// It is given up.
    Refused,
}

/// How a publication goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// A PUBLISH is due at this time.
    Due(Instant),
    /// A PUBLISH is on its way.
    Asked,
    /// Nothing more will be sent.
    Over,
}

/// One publication.
#[derive(Debug)]
struct Publication {
    account: Option<usize>,
    target: Uri,
    event: &'static str,
    content_type: &'static str,
    body: Vec<u8>,
    /// It is tried again where it fails; `false` once the phone shuts down.
    is_wanted: bool,
    phase: Phase,
    back_off: BackOff,
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
            is_wanted: true,
            phase: Phase::Due(now),
            back_off: BackOff::default(),
            call_id: tokens.word(24),
            tag: tokens.tag(),
            cseq: 0,
        }
    }

    fn is_due(&self, now: Instant) -> bool {
        matches!(self.phase, Phase::Due(at) if at <= now)
    }

    fn deadline(&self) -> Option<Instant> {
        match self.phase {
            Phase::Due(at) => Some(at),
            Phase::Asked | Phase::Over => None,
        }
    }

    /// The PUBLISH that is due, without Via. No Contact: it makes no dialog (section 4).
    fn build(&mut self, from: NameAddr, routes: &[NameAddr], env: &Env) -> Request {
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
        headers.push("User-Agent", &env.config.user_agent);
        headers.push("Content-Type", self.content_type);
        request.body = self.body.clone().into();
        self.phase = Phase::Asked;
        request
    }

    /// It is not tried again.
    fn give_up(&mut self) {
        self.is_wanted = false;
        if matches!(self.phase, Phase::Due(_)) {
            self.phase = Phase::Over;
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
        if self.phase != Phase::Asked {
            return Outcome::Silent;
        }
        self.phase = Phase::Over;
        if (200..300).contains(&code) {
            return Outcome::Published;
        }
        if !self.is_wanted {
            return Outcome::Silent;
        }
        if is_hopeless(code) || self.back_off.failures + 1 >= MAX_TRIES {
            return Outcome::Refused;
        }
        let retry_after_s = headers.and_then(|headers| headers.number("Retry-After"));
        self.phase = Phase::Due(now + self.back_off.next(false, retry_after_s, tokens));
        Outcome::Silent
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

    /// The phone shuts down: no report is tried again.
    pub(crate) fn give_up(&mut self) {
        self.by_id.values_mut().for_each(Publication::give_up);
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
