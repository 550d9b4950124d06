//! Transferring a call: its far end is asked to call somebody else instead (REFER, RFC 3515 and
//! 5589), and this phone is out of it.
//!
//! ```text
//! transfer(held, consulted) ─┬ consulted is answered ─▶ REFER, Refer-To with Replaces ─┬ 2xx ─▶ NOTIFY: 100 … 2xx ─▶ BYE, both
//!                            └ it only rings ─▶ CANCEL, REFER without                  └ refused, failed, 33 s ─▶ both come back
//! ```
//!
//! For their owner both calls are over at once: the handset is down, and whatever may still fail
//! keeps nothing open longer than [`TRANSFER_TIME`]. Where it fails, whoever is still there comes
//! back to the owner, as a call that rings: a far end that was sent to a number, and after a
//! consultation both far ends. One that was sent to a number and says nothing for that long may be
//! talking there by now, and is not taken back; one whose consultation is still there is not.
//!
//! `refer` is the other way round (a far end asks us), `subscription` what it learns of the call
//! placed then, and `replaces` a call that takes the place of another (RFC 3891).

mod refer;
mod replaces;
mod subscription;
#[cfg(test)]
mod tests;

pub(crate) use refer::{ReferOrder, ReferRequest};
pub(crate) use replaces::{DialogIds, EndedDialogs, Replaces};
pub(crate) use subscription::{ReferSubscription, ReferSubscriptions};

use std::time::{Duration, Instant};

use crate::action::Reply;
use crate::dialog::Dialog;
use crate::env::Env;
use crate::ids::CallHandle;
use crate::message::{Method, NameAddr, Request, SipUri, Uri};
use crate::session_body::body_of;

/// How long the far end may take to do what it was asked for: a second longer than it takes until a
/// REFER counts as not answered, so that this is known first.
const TRANSFER_TIME: Duration = Duration::from_secs(33);
/// How long the consulted call waits to be replaced once the far end of the other hung up.
const LAST_CHANCE: Duration = Duration::from_secs(5);

/// How long after a refusal that may pass the far end is asked again: a server that connects the
/// consulted call at this moment cannot take it over yet.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// What a call that is being transferred waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Role {
    /// The REFER went out in this call. The consulted one ends or comes back with it; none where
    /// that was given up, or is over already.
    Asking {
        consulted: Option<CallHandle>,
        target: Uri,
        again: Again,
    },
    /// The consulted call: it waits to be replaced because of the REFER in that call.
    Consulted { held: CallHandle },
}

/// Whether the far end is asked a second time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Again {
    /// If it refuses with what may pass.
    Open,
    /// At this time.
    At(Instant),
    /// It was.
    Done,
}

/// What follows for the call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TransferStep {
    /// Nothing yet.
    Wait,
    /// The REFER to this address once more.
    Again(Uri),
    /// The outcome: both calls end, or (the status says why) come back.
    Done(Result<(), u16>),
    /// The consulted call was not replaced in time: it comes back.
    NotReplaced,
}

/// The transfer of one call.
#[derive(Debug)]
pub(crate) struct Transfer {
    role: Role,
    /// Whom to, for log and owner.
    to: String,
    until: Instant,
    /// The call goes back to its owner if nothing comes of it.
    returns: bool,
}

impl Transfer {
    /// Of the held call, whose far end gets the REFER.
    pub(crate) fn asking(
        consulted: Option<CallHandle>,
        target: &Uri,
        to: &str,
        now: Instant,
    ) -> Self {
        Self {
            returns: true,
            role: Role::Asking {
                consulted,
                target: target.clone(),
                again: Again::Open,
            },
            to: to.to_owned(),
            until: now + TRANSFER_TIME,
        }
    }

    /// Of the consulted call, for which the far end of `held` is asked.
    pub(crate) fn consulted_call(held: CallHandle, to: &str, now: Instant) -> Self {
        Self {
            returns: true,
            role: Role::Consulted { held },
            to: to.to_owned(),
            until: now + TRANSFER_TIME,
        }
    }

    /// Whom to.
    pub(crate) fn to(&self) -> &str {
        &self.to
    }

    /// The call that ends or comes back with this one.
    pub(crate) fn consulted(&self) -> Option<CallHandle> {
        match self.role {
            Role::Asking { consulted, .. } => consulted,
            Role::Consulted { .. } => None,
        }
    }

    /// Whether it is that of the consulted call.
    pub(crate) fn is_consulted(&self) -> bool {
        match self.role {
            Role::Asking { .. } => false,
            Role::Consulted { .. } => true,
        }
    }

    /// The other call of the transfer.
    pub(crate) fn other(&self) -> Option<CallHandle> {
        match self.role {
            Role::Asking { consulted, .. } => consulted,
            Role::Consulted { held } => Some(held),
        }
    }

    /// Whether the call goes back to its owner where this fails.
    pub(crate) fn returns(&self) -> bool {
        self.returns
    }

    /// There is no call to go back to.
    pub(crate) fn give_up_return(&mut self) {
        self.returns = false;
    }

    pub(crate) fn deadline(&self) -> Instant {
        match self.role {
            Role::Asking {
                again: Again::At(at),
                ..
            } => self.until.min(at),
            Role::Asking { .. } | Role::Consulted { .. } => self.until,
        }
    }

    /// The final status of our REFER: taken, NOTIFYs follow; refused, it is over.
    pub(crate) fn handle_refer_outcome(&mut self, code: u16, now: Instant) -> TransferStep {
        match self.role {
            Role::Asking { .. } if code >= 300 => self.handle_failure(code, now),
            Role::Asking { .. } | Role::Consulted { .. } => TransferStep::Wait,
        }
    }

    /// It was refused, or failed: once more where that may pass.
    fn handle_failure(&mut self, code: u16, now: Instant) -> TransferStep {
        let passes = match (code, self.consulted()) {
            // The call is being changed, put on hold, say, or a server has not connected it yet; or
            // the one that is answered is in a moment in which it cannot be taken over.
            (400 | 491, _) | (500 | 503, Some(_)) => true,
            (_, _) => false,
        };
        match &mut self.role {
            Role::Asking { again, .. } if passes && *again == Again::Open => {
                *again = Again::At(now + ASK_AGAIN);
                TransferStep::Wait
            }
            Role::Asking { .. } | Role::Consulted { .. } => TransferStep::Done(Err(code)),
        }
    }

    /// A NOTIFY in this call.
    pub(crate) fn handle_notify(
        &mut self,
        request: &Request,
        now: Instant,
    ) -> (Reply, TransferStep) {
        let headers = &request.headers;
        let first_part = |name: &str| {
            let value = headers.get(name).and_then(|value| value.split(';').next());
            value.map(|value| value.trim().to_ascii_lowercase())
        };
        let asks = match self.role {
            Role::Asking { .. } => true,
            Role::Consulted { .. } => false,
        };
        if !asks || first_part("Event").as_deref() != Some("refer") {
            return (Reply::not_allowed(481), TransferStep::Wait);
        }
        let body = body_of("message/sipfrag", request);
        if !request.body.is_empty() && body.is_none() {
            return (Reply::not_allowed(415), TransferStep::Wait);
        }
        let terminated = first_part("Subscription-State").as_deref() == Some("terminated");
        let step = match status_in(&body.unwrap_or_default()) {
            Some(200..300) => TransferStep::Done(Ok(())),
            Some(code @ 300..) => self.handle_failure(code, now),
            Some(..200) | None if terminated => TransferStep::Done(Err(487)),
            Some(..200) | None => TransferStep::Wait,
        };
        (Reply::new(200), step)
    }

    /// The other call is over. Where its far end was asked and said nothing of what came of that,
    /// little time is left to be replaced.
    pub(crate) fn handle_other_over(&mut self, now: Instant) {
        match &mut self.role {
            Role::Asking { consulted, .. } => *consulted = None,
            Role::Consulted { .. } => self.until = self.until.min(now + LAST_CHANCE),
        }
    }

    /// The time for it is over, or the far end is to be asked again.
    pub(crate) fn handle_timeout(&mut self, now: Instant) -> TransferStep {
        match &mut self.role {
            Role::Asking { again, target, .. } if self.until > now => match *again {
                Again::At(at) if at <= now => {
                    *again = Again::Done;
                    TransferStep::Again(target.clone())
                }
                Again::At(_) | Again::Open | Again::Done => TransferStep::Wait,
            },
            Role::Asking { consulted, .. } => {
                // It may be talking there by now, unless whom it was sent to still waits for it.
                self.returns &= consulted.is_some();
                TransferStep::Done(Err(408))
            }
            Role::Consulted { .. } => TransferStep::NotReplaced,
        }
    }
}

/// The REFER in a held call's dialog.
pub(crate) fn refer(
    dialog: &mut Dialog,
    target: &Uri,
    account: Option<usize>,
    env: &Env,
) -> Request {
    let mut request = dialog.request(&Method::Refer);
    let headers = &mut request.headers;
    headers.push("Refer-To", NameAddr::new(target.clone()));
    let mut own = dialog.local.clone();
    own.params.remove("tag");
    // Who called without a name does not say it now (RFC 3323 section 4.1).
    let is_withheld = own.uri.as_sip().is_some_and(SipUri::has_anonymous_host);
    let by = account
        .filter(|_| !is_withheld)
        .and_then(|account| env.address_of_record(account))
        .unwrap_or(own);
    headers.push("Referred-By", NameAddr::new(by.uri));
    headers.push("User-Agent", &env.config.user_agent);
    request
}

/// The status in a message/sipfrag body (RFC 3420).
fn status_in(body: &[u8]) -> Option<u16> {
    let line = body.split(|byte| *byte == b'\n').next()?;
    let rest = std::str::from_utf8(line).ok()?.strip_prefix("SIP/2.0 ")?;
    let code = rest.get(..3)?.parse().ok()?;
    (100..700).contains(&code).then_some(code)
}
