//! Bytes to message, in one pass.
//!
//! Lines end with CRLF; a bare LF is taken for one too, a bare CR is an error. Folded lines are
//! joined by one space. What is not UTF-8 is read as Latin-1, so that a name from an old exchange
//! still rings. The first fault decides, but reading goes on behind it, because the answer needs
//! the headers that are good.
//!
//! ```text
//! bytes ─▶ head_end ─▶ TextLines (unfolded) ─▶ start line, Headers ─▶ essentials checked ─▶ body by Content-Length ─▶ Message
//!                                               └────────── any fault ─▶ ParseError with Salvage
//! ```

use std::borrow::Cow;

use zeroize::Zeroizing;

use super::error::{Fault, HeaderError, ParseError, Salvage};
use super::header::same_name;
use super::scan::{self, is_token, trim};
use super::uri::Uri;
use super::value::{ValueError, Via};
use super::{Headers, MAX_HEADERS, MAX_LINE, MAX_MESSAGE, Message, Method, Request, Response};

/// How many bytes of an announced body may be missing. RFC 3261 18.3 says none, but home routers
/// rewrite the two addresses of an SDP and leave the Content-Length as it was: at most 8 characters
/// each ("192.168.100.100" to "1.2.3.4"). A real cut loses more.
const REWRITTEN_BODY: usize = 16;

/// How many bytes of an announced body may be missing from this one: what a router rewrote, or one
/// for each line where something on the way turned CRLF into LF after the body was counted.
fn may_be_missing(body: &[u8]) -> usize {
    let turned = if body.contains(&b'\r') {
        0
    } else {
        body.split(|byte| *byte == b'\n').count() - 1
    };
    REWRITTEN_BODY.max(turned)
}

/// Whether a request means the same without a body: testers and small devices announce one and send
/// none. Those of whose body nothing may be missing are refused (RFC 3261 section 18.3).
fn does_without_body(method: &Method) -> bool {
    match method {
        Method::Options
        | Method::Bye
        | Method::Cancel
        | Method::Message
        | Method::Subscribe
        | Method::Refer
        | Method::Register => true,
        Method::Invite
        | Method::Ack
        | Method::Prack
        | Method::Update
        | Method::Info
        | Method::Notify
        | Method::Publish
        | Method::Other(_) => false,
    }
}

/// A start line as far as it could be read.
enum Start {
    Request { method: Method, uri: Option<Uri> },
    Response { code: u16, reason: String },
}

/// What a stream must know of a head to find the message's end.
pub(crate) enum Framing {
    /// Length of the body.
    Body(usize),
    /// No Content-Length.
    Missing,
    /// More than one, or none that can be read.
    Bad,
}

/// Index behind the empty line that ends the head, searched from `from` on.
pub(crate) fn head_end(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        let rest = bytes.get(at..)?;
        let newline = rest.iter().position(|b| *b == b'\n');
        scan::work(newline.unwrap_or(rest.len()));
        let next = at + newline? + 1;
        match bytes.get(next..) {
            Some([b'\n', ..]) => return Some(next + 1),
            Some([b'\r', b'\n', ..]) => return Some(next + 2),
            _ => at = next,
        }
    }
}

/// Finds the Content-Length of a head by the same rules as [`message`] does.
pub(crate) fn framing(head: &[u8]) -> Framing {
    let mut found = Framing::Missing;
    for line in (TextLines { rest: head }).skip(1) {
        let line = decode(&line);
        let Some((name, value)) = line.split_once(':') else {
            continue;
        };
        if same_name(trim(name), "Content-Length") {
            found = match (found, scan::exact(trim(value))) {
                (Framing::Missing, Some(length)) => Framing::Body(length),
                _ => return Framing::Bad,
            };
        }
    }
    found
}

/// See [`Message::parse`].
pub(super) fn message(bytes: &[u8]) -> Result<Message, ParseError> {
    let drop = |fault| ParseError {
        fault,
        salvage: None,
    };
    if bytes.len() > MAX_MESSAGE {
        return Err(drop(Fault::TooLong));
    }
    let first = bytes
        .iter()
        .position(|b| !b"\r\n".contains(b))
        .ok_or(drop(Fault::Empty))?;
    let bytes = bytes.get(first..).unwrap_or_default();
    let end = head_end(bytes, 0);
    let (head, body) = bytes.split_at(end.unwrap_or(bytes.len()));

    let mut lines = TextLines { rest: head };
    let first_line = lines.next().unwrap_or_default();
    let (start, mut fault) = start_line(&first_line).map_err(drop)?;
    // Testers and small devices leave the last empty line out where no body follows; a line cut in
    // two is another matter.
    if end.is_none() && !head.ends_with(b"\n") {
        fault = fault.or(Some(Fault::NoEnd));
    }
    let mut headers = Headers::default();
    let mut length = None;
    for (line, number) in lines.zip(2..) {
        match header_line(&line, number) {
            Ok((name, value)) if same_name(&name, "Content-Length") => {
                match (length, scan::exact::<usize>(&value)) {
                    (None, Some(n)) => length = Some(n),
                    (None, None) => {
                        let why = ValueError::Text("no number");
                        fault = fault.or(Some(
                            HeaderError::Value {
                                name: "Content-Length",
                                why,
                            }
                            .into(),
                        ));
                    }
                    (Some(_), _) => {
                        fault = fault.or(Some(HeaderError::Duplicate("Content-Length").into()));
                    }
                }
            }
            Ok(_) if headers.len() == MAX_HEADERS => {
                fault = fault.or(Some(Fault::TooManyHeaders));
                break;
            }
            Ok((name, value)) => headers.push_parsed(name, value),
            Err(found) => fault = fault.or(Some(found)),
        }
    }
    let announced = length.unwrap_or(body.len());
    let fault = fault
        .or_else(|| essentials(&start, &headers).err())
        .or_else(|| {
            let present = body.len();
            let is_none = match &start {
                Start::Request { method, .. } => present == 0 && does_without_body(method),
                Start::Response { .. } => false,
            };
            (announced > present + may_be_missing(body) && !is_none)
                .then_some(Fault::Truncated { announced, present })
        });
    let body = Zeroizing::new(body.get(..announced).unwrap_or(body).to_vec());
    match (start, fault) {
        (
            Start::Request {
                method,
                uri: Some(uri),
            },
            None,
        ) => Ok(Message::Request(Request {
            method,
            uri,
            headers,
            body,
        })),
        (Start::Response { code, reason }, None) => Ok(Message::Response(Response {
            code,
            reason,
            headers,
            body,
        })),
        (Start::Request { method, .. }, fault) => Err(ParseError {
            fault: fault.unwrap_or(Fault::StartLine),
            salvage: salvage(method, &headers),
        }),
        (Start::Response { .. }, Some(fault)) => Err(drop(fault)),
    }
}

/// Reads the start line. `Err`: nothing that could be answered; a fault beside the start: a request
/// that could.
fn start_line(line: &TextLine<'_>) -> Result<(Start, Option<Fault>), Fault> {
    let text = decode(line);
    let mut fault = None;
    if text.len() > MAX_LINE {
        fault = Some(Fault::LineTooLong { line: 1 });
    } else if text.contains(|c: char| c.is_ascii_control()) {
        fault = Some(Fault::Control { line: 1 });
    } else if line.folded || trim(&text).len() != text.len() && !is_status_line(&text) {
        fault = Some(Fault::StartLine);
    }
    let text = if is_status_line(&text) {
        &text
    } else {
        trim(&text)
    };
    let (first, rest) = text.split_once(' ').ok_or(Fault::NotSip)?;
    if is_status_line(text) {
        let (code, reason) = rest.split_once(' ').unwrap_or((rest, ""));
        let code = scan::exact(code)
            .filter(|c| code.len() == 3 && (100..700).contains(c))
            .ok_or(Fault::StartLine)?;
        if !first.eq_ignore_ascii_case("SIP/2.0") {
            return Err(Fault::Version);
        }
        return fault.map_or_else(
            || {
                Ok((
                    Start::Response {
                        code,
                        reason: reason.to_owned(),
                    },
                    None,
                ))
            },
            Err,
        );
    }
    let method = Method::parse(first).ok_or(Fault::NotSip)?;
    let (uri, version) = rest.rsplit_once(' ').ok_or(Fault::NotSip)?;
    if !version
        .get(..4)
        .is_some_and(|v| v.eq_ignore_ascii_case("SIP/"))
    {
        return Err(Fault::NotSip);
    }
    if !version.eq_ignore_ascii_case("SIP/2.0") {
        return Ok((Start::Request { method, uri: None }, Some(Fault::Version)));
    }
    match Uri::parse(uri) {
        Ok(uri) => {
            if uri.as_sip().is_some_and(|u| u.headers().next().is_some()) {
                fault = fault.or(Some(Fault::RequestUriHeaders));
            }
            Ok((
                Start::Request {
                    method,
                    uri: Some(uri),
                },
                fault,
            ))
        }
        Err(why) => Ok((
            Start::Request { method, uri: None },
            fault.or(Some(Fault::RequestUri(why))),
        )),
    }
}

fn is_status_line(text: &str) -> bool {
    text.get(..4)
        .is_some_and(|t| t.eq_ignore_ascii_case("SIP/"))
}

fn header_line(line: &TextLine<'_>, number: usize) -> Result<(String, String), Fault> {
    scan::work(line.len());
    let text = decode(line);
    if has_bare_control(&text) {
        return Err(Fault::Control { line: number });
    }
    let (name, value) = text
        .split_once(':')
        .ok_or(Fault::HeaderLine { line: number })?;
    let name = trim(name);
    if !is_token(name) {
        return Err(Fault::HeaderLine { line: number });
    }
    let value = trim(value);
    if name.len() + value.len() > MAX_LINE {
        return Err(Fault::LineTooLong { line: number });
    }
    Ok((name.to_owned(), value.to_owned()))
}

/// Whether a control character stands where none may: only in a quoted string, behind a backslash
/// (quoted-pair, RFC 3261 section 25.1), and there no CR or LF.
fn has_bare_control(text: &str) -> bool {
    let (mut quoted, mut escaped) = (false, false);
    for c in text.chars() {
        let allowed = c == '\t' || (escaped && !matches!(c, '\r' | '\n'));
        if c.is_ascii_control() && !allowed {
            return true;
        }
        (quoted, escaped) = match (c, quoted, escaped) {
            (_, true, true) => (true, false),
            ('\\', true, false) => (true, true),
            ('"', quoted, false) => (!quoted, false),
            (_, quoted, _) => (quoted, false),
        };
    }
    false
}

/// What every message needs to be matched and answered (RFC 3261 8.1.1; Max-Forwards was none of
/// RFC 2543's).
fn essentials(start: &Start, headers: &Headers) -> Result<(), Fault> {
    headers.top_via()?;
    headers.from()?;
    headers.to()?;
    headers.call_id()?;
    let cseq = headers.cseq()?;
    match start {
        Start::Request { method, .. } if *method != cseq.method => Err(Fault::CSeqMethod),
        Start::Request { .. } | Start::Response { .. } => Ok(()),
    }
}

/// An answer must find its way (Via) and its transaction (`CSeq`); an ACK is never answered.
fn salvage(method: Method, headers: &Headers) -> Option<Box<Salvage>> {
    if method == Method::Ack || headers.get("CSeq").is_none() {
        return None;
    }
    let mut kept = Headers::default();
    let via = Via::salvage(headers.values("Via").next()?)?;
    if headers.top_via().is_ok() {
        kept.copy(headers, "Via");
    } else {
        kept.push("Via", &via);
    }
    for name in ["From", "To", "Call-ID", "CSeq"] {
        if let Some(value) = headers.get(name) {
            kept.push(name, value);
        }
    }
    Some(Box::new(Salvage {
        method,
        via,
        headers: kept,
    }))
}

/// UTF-8, or else Latin-1.
fn decode(bytes: &[u8]) -> Cow<'_, str> {
    std::str::from_utf8(bytes).map_or_else(
        |_| Cow::Owned(bytes.iter().map(|b| char::from(*b)).collect()),
        Cow::Borrowed,
    )
}

/// One unfolded line of a head.
#[derive(Default)]
struct TextLine<'a> {
    bytes: Cow<'a, [u8]>,
    folded: bool,
}

impl std::ops::Deref for TextLine<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

/// The unfolded lines of a head, up to its empty line.
struct TextLines<'a> {
    rest: &'a [u8],
}

impl<'a> TextLines<'a> {
    fn physical(&mut self) -> &'a [u8] {
        let end = self.rest.iter().position(|b| *b == b'\n');
        scan::work(end.unwrap_or(self.rest.len()));
        let (line, rest) = match end {
            Some(end) => (&self.rest[..end], &self.rest[end + 1..]),
            None => (self.rest, &self.rest[self.rest.len()..]),
        };
        self.rest = rest;
        line.strip_suffix(b"\r").unwrap_or(line)
    }
}

impl<'a> Iterator for TextLines<'a> {
    type Item = TextLine<'a>;

    fn next(&mut self) -> Option<TextLine<'a>> {
        let bytes = self.physical();
        if bytes.is_empty() {
            self.rest = &[];
            return None;
        }
        let mut line = TextLine {
            bytes: Cow::Borrowed(bytes),
            folded: false,
        };
        while matches!(self.rest.first(), Some(b' ' | b'\t')) {
            let more = self.physical().trim_ascii_start();
            let joined = line.bytes.to_mut();
            joined.truncate(joined.trim_ascii_end().len());
            scan::work(more.len());
            joined.push(b' ');
            joined.extend_from_slice(more);
            line.folded = true;
        }
        Some(line)
    }
}
