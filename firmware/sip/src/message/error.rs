//! What is wrong with a message, and the answer that can still be given.
//!
//! ```text
//! ParseError ─▶ fault (log, counter)
//!            └▶ answer(source, tag) ─▶ 400, 505 or 513 with the request's own Via, From, To, Call-ID, CSeq — or nothing: drop it
//! ```

use std::net::SocketAddr;

use super::{
    Headers, MAX_HEADERS, MAX_LINE, MAX_MESSAGE, Method, Response, UriError, ValueError, Via,
};

/// What is wrong with bytes that should have been a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Nothing but line ends: a keepalive.
    #[error("Empty message")]
    Empty,
    /// More than [`MAX_MESSAGE`] bytes.
    #[error("Message longer than {MAX_MESSAGE} bytes")]
    TooLong,
    /// The first line is none of SIP's.
    #[error("Not SIP")]
    NotSip,
    /// The first line is nearly one.
    #[error("Bad start line")]
    StartLine,
    /// A version other than SIP/2.0.
    #[error("Version Not Supported")]
    Version,
    /// The Request-URI cannot be read.
    #[error("Bad Request-URI: {0}")]
    RequestUri(UriError),
    /// The Request-URI carries headers (RFC 3261 19.1.1).
    #[error("Bad Request-URI: headers are not allowed in it")]
    RequestUriHeaders,
    /// The last header line has no end, and no empty line follows.
    #[error("The headers do not end")]
    NoEnd,
    /// More than [`MAX_HEADERS`] headers.
    #[error("More than {MAX_HEADERS} headers")]
    TooManyHeaders,
    /// A line of more than [`MAX_LINE`] bytes.
    #[error("Line {line} is longer than {MAX_LINE} bytes")]
    LineTooLong {
        /// Which line of the head, unfolded; the start line is 1.
        line: usize,
    },
    /// A line that is not `name: value`.
    #[error("Line {line} is no header")]
    HeaderLine {
        /// Which line of the head, unfolded; the start line is 1.
        line: usize,
    },
    /// A control character in a line.
    #[error("Control character in line {line}")]
    Control {
        /// Which line of the head, unfolded; the start line is 1.
        line: usize,
    },
    /// A header every message needs is missing, doubled or broken.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// The `CSeq` names another method than the request.
    #[error("CSeq method does not match the request")]
    CSeqMethod,
    /// The body is shorter than announced.
    #[error("Body shorter than Content-Length: {present} of {announced} bytes")]
    Truncated {
        /// Content-Length.
        announced: usize,
        /// Bytes there.
        present: usize,
    },
}

/// What is wrong with one header.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// It is not there.
    #[error("Missing {0} header")]
    Missing(&'static str),
    /// It is there more than once.
    #[error("More than one {0} header")]
    Duplicate(&'static str),
    /// Its value cannot be read.
    #[error("Bad {name} header: {why}")]
    Value {
        /// The header.
        name: &'static str,
        /// Why.
        why: ValueError,
    },
}

/// Bytes that are no good message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{fault}")]
pub struct ParseError {
    /// The first thing found wrong.
    pub fault: Fault,
    /// What an answer needs, where it is a request that can be answered.
    pub salvage: Option<Box<Salvage>>,
}

/// The readable rest of a bad request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Salvage {
    /// Its method; never ACK.
    pub method: Method,
    /// Its top Via, as far as it could be read.
    pub via: Via,
    /// The headers that could be read.
    pub headers: Headers,
}

/// What a fault means for the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FaultKind {
    Version,
    TooLong,
    RequestLine,
    Elsewhere,
}

impl Fault {
    fn kind(&self) -> FaultKind {
        match self {
            Self::Version => FaultKind::Version,
            Self::TooLong => FaultKind::TooLong,
            Self::StartLine | Self::RequestUri(_) | Self::RequestUriHeaders => {
                FaultKind::RequestLine
            }
            Self::Empty
            | Self::NotSip
            | Self::NoEnd
            | Self::TooManyHeaders
            | Self::LineTooLong { .. }
            | Self::HeaderLine { .. }
            | Self::Control { .. }
            | Self::Header(_)
            | Self::CSeqMethod
            | Self::Truncated { .. } => FaultKind::Elsewhere,
        }
    }

    /// Whether it is one of the request line, and not of what follows it.
    pub(crate) fn is_of_request_line(&self) -> bool {
        self.kind() == FaultKind::RequestLine
    }

    /// The status code this fault is answered with.
    pub fn code(&self) -> u16 {
        match self.kind() {
            FaultKind::Version => 505,
            FaultKind::TooLong => 513,
            FaultKind::RequestLine | FaultKind::Elsewhere => 400,
        }
    }
}

impl ParseError {
    /// The answer to a bad request, its top Via stamped with where the request came from; `None`:
    /// drop it in silence. `instead` is a status that weighs more than the fault's own.
    pub fn answer(
        &self,
        source: SocketAddr,
        to_tag: &str,
        instead: Option<u16>,
    ) -> Option<Response> {
        let salvage = self.salvage.as_deref()?;
        let mut response = match instead {
            Some(code) => Response::new(code, ""),
            None => Response::new(self.fault.code(), &self.fault.to_string()),
        };
        response
            .headers
            .copy_reply_headers(&salvage.headers, Some(to_tag));
        let mut via = salvage.via.clone();
        via.stamp(source);
        response.headers.set_top_via(&via);
        Some(response)
    }
}
