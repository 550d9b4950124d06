//! One notifier of a subscription: its dialog, how long it lasts, and what it said last.

use std::time::{Duration, Instant};

use super::MAX_EXPIRES_S;
use crate::action::Reply;
use crate::back_off::refresh_after;
use crate::dialog::Dialog;
use crate::env::Env;
use crate::event_body::{DialogInfo, DialogTable, MessageSummary, RegInfo, TableStep};
use crate::events::Package;
use crate::message::Request;
use crate::session_body::body_of;
use crate::timer::earliest;

/// How often a notifier is asked to say all again at most.
const PACE: Duration = Duration::from_secs(60);

/// What one notifier said last.
#[derive(Debug)]
pub(super) enum Content {
    Messages(Option<MessageSummary>),
    Dialogs(DialogTable),
    Registration,
}

/// One notifier.
#[derive(Debug)]
pub(super) struct Leg {
    pub(super) number: u32,
    pub(super) dialog: Dialog,
    pub(super) since: Instant,
    pub(super) until: Instant,
    pub(super) refresh_at: Option<Instant>,
    /// A refresh is under way.
    pub(super) asked: bool,
    /// When it was asked last to say all again, as something was lost.
    pub(super) asked_for_all: Option<Instant>,
    pub(super) content: Content,
}

/// What a NOTIFY said.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Read {
    Nothing,
    /// What is known has a gap.
    Gap,
    Registration(RegInfo),
}

impl Content {
    /// Takes the body of a NOTIFY over; the refusal where it cannot be read.
    pub(super) fn read(&mut self, package: Package, request: &Request) -> Result<Read, Reply> {
        if request.body.is_empty() {
            return Ok(Read::Nothing);
        }
        let Some(body) = body_of(package.content_type(), request) else {
            return Err(Reply::refusal(415).with("Accept", package.content_type()));
        };
        let malformed = || Reply::refusal(400).with_reason("Malformed Body");
        match self {
            Self::Messages(summary) => {
                let read = MessageSummary::parse(&body).ok_or_else(malformed)?;
                *summary = Some(read);
                Ok(Read::Nothing)
            }
            Self::Dialogs(table) => {
                let info = DialogInfo::parse(&body).map_err(|_| malformed())?;
                Ok(match table.apply(info) {
                    TableStep::Applied | TableStep::Stale => Read::Nothing,
                    TableStep::Gap => Read::Gap,
                })
            }
            Self::Registration => RegInfo::parse(&body)
                .map(Read::Registration)
                .map_err(|_| malformed()),
        }
    }
}

impl Leg {
    /// Something it said was lost: it is asked for all of it, once a minute at most, as one that
    /// counts wrongly would be asked for ever.
    pub(super) fn ask_for_all(&mut self, now: Instant) {
        let at = match self.asked_for_all {
            Some(before) if before > now => return,
            Some(before) => now.max(before + PACE),
            None => now,
        };
        self.asked_for_all = Some(at);
        self.refresh_at = earliest([self.refresh_at, Some(at)]);
    }

    /// It holds for so many seconds from now on.
    pub(super) fn extend(&mut self, lifetime_s: u32, env: &mut Env, now: Instant) {
        let lifetime = Duration::from_secs(u64::from(lifetime_s.min(MAX_EXPIRES_S)));
        self.until = now + lifetime;
        if !self.asked {
            // What is due sooner stays due: something may have been lost meanwhile.
            let at = now + refresh_after(lifetime, &mut env.tokens);
            self.refresh_at = earliest([self.refresh_at, Some(at)]);
        }
    }
}

/// Refusals that say that there is nothing to subscribe to, or that no one may.
pub(super) fn is_hopeless(code: u16) -> bool {
    matches!(
        code,
        403 | 404 | 405 | 410 | 416 | 420 | 485 | 489 | 501 | 600 | 603 | 604
    )
}

/// Refusals of a refresh that say that the subscription is gone (RFC 5057 section 5.1).
pub(super) fn ends_subscription(code: u16) -> bool {
    matches!(
        code,
        404 | 405 | 408 | 410 | 416 | 480..=485 | 489 | 501 | 604
    )
}
