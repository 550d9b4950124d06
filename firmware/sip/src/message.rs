//! The message layer: bytes in, checked messages out, and back.
//!
//! It exists because a phone must read what real peers send (compact names, folding, IPv6, `tel:`)
//! and yet stay bounded on whatever a stranger sends. One pass over the bytes, nothing quadratic,
//! no panic; limits are the constants below. Header values stay text until somebody asks for them
//! by a typed getter of [`Headers`]; only what every answer needs (Via, From, To, Call-ID, `CSeq`)
//! is checked while parsing.
//!
//! ```text
//! datagram, frame ─▶ parse ─┬▶ Request  { method, uri, headers, body } ─┐
//!                           ├▶ Response { code, reason, headers, body } ├─▶ write ─▶ bytes
//!                           └▶ ParseError { fault, salvage ─▶ answer } ─┘
//! ```
//!
//! # No CR or LF by way of text
//!
//! One rule: text that enters a [`Headers`] value, a reason phrase or a display name has each
//! control character replaced by a space; names and tokens keep only what a token may hold; URI
//! parts are percent-encoded. Setters therefore cannot fail, and no public constructor yields a
//! message whose head has a line its author did not write. Content-Length is never set by hand: it
//! is taken off when parsing and written from the body.

mod error;
mod header;
mod params;
mod parse;
pub(crate) mod scan;
mod status;
mod uri;
mod value;
mod write;

#[cfg(test)]
mod tests;

use std::fmt;

use zeroize::Zeroizing;

pub use error::{Fault, HeaderError, ParseError, Salvage};
pub use header::Headers;
pub use params::{ParamError, Params};
pub(crate) use parse::{Framing, framing, head_end};
pub use status::reason_phrase;
pub use uri::{Host, OtherUri, SipUri, TelUri, Uri, UriError};
pub use value::{CSeq, MediaType, NameAddr, ValueError, Via};

/// Longest message read, in bytes: what fits a UDP datagram.
pub const MAX_MESSAGE: usize = 64 * 1024;
/// Most headers in a message, Content-Length not counted.
pub const MAX_HEADERS: usize = 256;
/// Longest start line, and longest header (name and unfolded value), in bytes.
pub const MAX_LINE: usize = 8 * 1024;

/// A request or a response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// A request.
    Request(Request),
    /// A response.
    Response(Response),
}

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// What is asked for.
    pub method: Method,
    /// The Request-URI.
    pub uri: Uri,
    /// Headers, in order.
    pub headers: Headers,
    /// Body, as it came; its length is the Content-Length. Keys may stand in it: it is wiped when
    /// it goes.
    pub body: Zeroizing<Vec<u8>>,
}

/// A response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    code: u16,
    reason: String,
    /// Headers, in order.
    pub headers: Headers,
    /// Body, as it came; its length is the Content-Length. Keys may stand in it: it is wiped when
    /// it goes.
    pub body: Zeroizing<Vec<u8>>,
}

/// A request's method. Case counts (RFC 3261 7.1).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Method {
    /// INVITE (RFC 3261).
    Invite,
    /// ACK (RFC 3261).
    Ack,
    /// BYE (RFC 3261).
    Bye,
    /// CANCEL (RFC 3261).
    Cancel,
    /// OPTIONS (RFC 3261).
    Options,
    /// REGISTER (RFC 3261).
    Register,
    /// PRACK (RFC 3262).
    Prack,
    /// UPDATE (RFC 3311).
    Update,
    /// INFO (RFC 6086).
    Info,
    /// SUBSCRIBE (RFC 6665).
    Subscribe,
    /// NOTIFY (RFC 6665).
    Notify,
    /// REFER (RFC 3515).
    Refer,
    /// MESSAGE (RFC 3428).
    Message,
    /// PUBLISH (RFC 3903).
    Publish,
    /// Any other token.
    Other(Token),
}

/// A token of RFC 3261 section 25: letters, digits and ``-.!%*_+`'~``, at least one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Token(String);

impl Token {
    /// `None` when the text is no token.
    pub fn new(text: &str) -> Option<Self> {
        scan::is_token(text).then(|| Self(text.to_owned()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Method {
    /// Reads a method; `None` when the text is no token.
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "INVITE" => Self::Invite,
            "ACK" => Self::Ack,
            "BYE" => Self::Bye,
            "CANCEL" => Self::Cancel,
            "OPTIONS" => Self::Options,
            "REGISTER" => Self::Register,
            "PRACK" => Self::Prack,
            "UPDATE" => Self::Update,
            "INFO" => Self::Info,
            "SUBSCRIBE" => Self::Subscribe,
            "NOTIFY" => Self::Notify,
            "REFER" => Self::Refer,
            "MESSAGE" => Self::Message,
            "PUBLISH" => Self::Publish,
            other => Self::Other(Token::new(other)?),
        })
    }

    /// As it stands on the wire.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Invite => "INVITE",
            Self::Ack => "ACK",
            Self::Bye => "BYE",
            Self::Cancel => "CANCEL",
            Self::Options => "OPTIONS",
            Self::Register => "REGISTER",
            Self::Prack => "PRACK",
            Self::Update => "UPDATE",
            Self::Info => "INFO",
            Self::Subscribe => "SUBSCRIBE",
            Self::Notify => "NOTIFY",
            Self::Refer => "REFER",
            Self::Message => "MESSAGE",
            Self::Publish => "PUBLISH",
            Self::Other(token) => token.as_str(),
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Message {
    /// Reads one whole message: a datagram, or one frame of a stream. Octets behind the
    /// Content-Length are ignored (RFC 3261 18.3).
    pub fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        parse::message(bytes)
    }

    /// The headers of either kind.
    pub fn headers(&self) -> &Headers {
        match self {
            Self::Request(request) => &request.headers,
            Self::Response(response) => &response.headers,
        }
    }

    /// The body of either kind.
    pub fn body(&self) -> &[u8] {
        match self {
            Self::Request(request) => &request.body,
            Self::Response(response) => &response.body,
        }
    }
}

impl Request {
    /// A request without headers and body.
    pub fn new(method: Method, uri: impl Into<Uri>) -> Self {
        Self {
            method,
            uri: uri.into(),
            headers: Headers::default(),
            body: Zeroizing::default(),
        }
    }
}

impl Response {
    /// A response without headers and body. A code outside of 100–699 becomes 500; an empty reason
    /// the code's own phrase.
    pub fn new(code: u16, reason: &str) -> Self {
        let code = if (100..700).contains(&code) {
            code
        } else {
            500
        };
        let reason = scan::clean(reason);
        let reason = if reason.is_empty() {
            reason_phrase(code)
        } else {
            &reason
        };
        Self {
            code,
            reason: reason.to_owned(),
            headers: Headers::default(),
            body: Zeroizing::default(),
        }
    }

    /// The answer to a request (RFC 3261 8.2.6.2): its Via, From, To, Call-ID and `CSeq`, with
    /// `to_tag` where the To has none yet (100 takes none: give `None`), and the code's own phrase.
    pub fn reply(request: &Request, code: u16, to_tag: Option<&str>) -> Self {
        let mut response = Self::new(code, "");
        response
            .headers
            .copy_reply_headers(&request.headers, to_tag);
        response
    }

    /// With this reason phrase.
    #[must_use]
    pub fn with_reason(mut self, reason: &str) -> Self {
        self.reason = scan::clean(reason).into_owned();
        self
    }

    /// Status code, 100–699.
    pub fn code(&self) -> u16 {
        self.code
    }

    /// Reason phrase; may be empty in what a peer sent.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// 1xx.
    pub fn is_provisional(&self) -> bool {
        self.code < 200
    }

    /// 2xx.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.code)
    }
}
