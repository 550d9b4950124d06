//! Text messages (RFC 3428): what is sent outside of calls, and what can be read.
//!
//! ```text
//! UserAgent::send_message ─▶ TextMessage ─▶ MESSAGE ─▶ outcome ─▶ Event::MessageSent
//! MESSAGE, in a call or outside ─▶ text ─▶ Event::Message
//! ```

use crate::api::InviteError;
use crate::env::Env;
use crate::message::{CSeq, Method, NameAddr, Request, Uri};
use crate::session_body::{TEXT, body_of};

/// Longest text that is sent, in bytes: with its headers it fits into a datagram (section 8 allows
/// 1300 for the whole request).
pub(crate) const MAX_TEXT: usize = 700;
/// The only content this phone reads and writes.
pub(crate) const CONTENT_TYPE: &str = TEXT;

/// Why a text message cannot even be tried.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// There is nothing to send.
    #[error("the message has no text")]
    Empty,
    /// It would not fit into one datagram.
    #[error("the message has {0} bytes; {MAX_TEXT} are sent at most")]
    TooLong(usize),
    /// It cannot be sent there.
    #[error(transparent)]
    Target(#[from] InviteError),
}

/// A text about to be sent.
pub(crate) struct TextMessage<'a> {
    pub(crate) target: Uri,
    /// Without tag.
    pub(crate) from: NameAddr,
    pub(crate) routes: &'a [NameAddr],
    pub(crate) text: &'a str,
}

impl TextMessage<'_> {
    /// The request, without Via. No Contact: it makes no dialog (section 4).
    pub(crate) fn build(self, env: &mut Env) -> Request {
        let mut request = Request::new(Method::Message, self.target.clone());
        let headers = &mut request.headers;
        for route in self.routes {
            headers.push("Route", route);
        }
        headers.push("Max-Forwards", 70);
        let tag = env.tokens.tag();
        headers.push("From", self.from.with_param("tag", Some(&tag)));
        headers.push("To", NameAddr::new(self.target));
        headers.push("Call-ID", env.tokens.word(24));
        let (number, method) = (1, Method::Message);
        headers.push("CSeq", CSeq { number, method });
        headers.push("User-Agent", &env.config.user_agent);
        headers.push("Content-Type", "text/plain;charset=UTF-8");
        request.body = self.text.as_bytes().to_vec().into();
        request
    }
}

/// What the body, or a part of it, says; `None`: nothing this phone can show.
pub(crate) fn text_of(request: &Request) -> Option<String> {
    let body = body_of(TEXT, request)?;
    Some(String::from_utf8_lossy(&body).trim_end().to_owned())
}
