//! What a registration wants done, and what it learns of its requests.

use std::time::Instant;

use crate::flow::Target;
use crate::ids::{ConnectionId, RequestId};
use crate::locate::{Hop, HopError};
use crate::message::{Request, Response};

/// What should happen because of a registration.
#[derive(Debug)]
pub(crate) enum RegistrationAction {
    /// Send this REGISTER.
    Send {
        id: RequestId,
        request: Box<Request>,
        hop: Result<Hop, HopError>,
    },
    /// The answer to an older REGISTER no longer matters.
    Abandon(RequestId),
    /// The registration's state for the owner: until when it holds, and why not.
    Report {
        until: Option<Instant>,
        error: Option<String>,
    },
    /// A router on the way gave this phone another address: calls by the account inform their far
    /// ends.
    MappingChanged,
    /// The binding needs this connection: keep it open.
    KeepAlive(ConnectionId),
    /// Send a line end to this address: it keeps the way there open.
    LineEnd(Target),
    /// Send this OPTIONS to the server it is registered at.
    Keepalive {
        id: RequestId,
        request: Box<Request>,
        hop: Hop,
    },
    /// Send this OPTIONS to a server that did not answer, to see whether it does again.
    Probe {
        id: RequestId,
        request: Box<Request>,
        hop: Hop,
    },
}

/// How a REGISTER ended.
#[derive(Debug, Clone, Copy)]
pub(crate) enum RegisterOutcome<'a> {
    /// A final response.
    Response(&'a Response),
    /// No response: the status that stands for it and why.
    Failed(u16, &'a str),
}
