//! What others learn of a request.

use std::time::Duration;

use crate::action::Purpose;
use crate::ids::RequestId;
use crate::message::Response;

/// How a request ended, or how far it is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Outcome<'a> {
    /// A response, provisional or final.
    Response(&'a Response),
    /// No response that is the last word: the status that stands for it (RFC 3261 section 8.1.3.1)
    /// and why.
    Failed(&'a Failure),
}

impl<'a> Outcome<'a> {
    /// The status, or the one that stands for it.
    pub(crate) fn code(self) -> u16 {
        match self {
            Self::Response(response) => response.code(),
            Self::Failed(failure) => failure.code,
        }
    }

    /// The response, where there is one.
    pub(crate) fn response(self) -> Option<&'a Response> {
        match self {
            Self::Response(response) => Some(response),
            Self::Failed(..) => None,
        }
    }
}

/// A request that failed here.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) purpose: Purpose,
    pub(crate) code: u16,
    pub(crate) reason: String,
    /// A server was reached, and refused it with 503: no other one was left.
    pub(crate) refused: bool,
}

/// A response that is for whoever sent the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Delivered {
    pub(crate) purpose: Purpose,
    pub(crate) id: RequestId,
}

/// What others learn at once of a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Notice {
    /// It failed, though it may still be answered.
    Failed(Failure),
    /// It was sent again under a higher `CSeq` number.
    Renumbered(Purpose, u32),
    /// A server did not answer: who is registered there asks whether it still is.
    ServerSilent,
}

/// How long the servers of an emergency call may be silent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Urgency {
    /// Each but the last.
    pub(crate) each: Duration,
    /// The last one, where the call can go another way.
    pub(crate) last: Option<Duration>,
}
