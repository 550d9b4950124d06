//! One content of a message: its body, or that part of a multipart body (RFC 2046, RFC 5621).

use crate::message::{MediaType, Request, Response};

/// What a session description is.
const SDP: &str = "application/sdp";
/// What a text is, and a part that does not say what it is (RFC 2046 section 5.1).
pub(crate) const TEXT: &str = "text/plain";
/// How deep bodies in parts are looked into.
const MAX_DEPTH: u8 = 3;

/// The SDP of a request.
pub(crate) fn session_body(request: &Request) -> Option<Vec<u8>> {
    body_of(SDP, request)
}

/// The SDP of a response.
pub(crate) fn session_body_of(response: &Response) -> Option<Vec<u8>> {
    let kind = response.headers.content_type().ok()??;
    part_of(SDP, &kind, &response.body, MAX_DEPTH)
}

/// The content of this kind in a request.
pub(crate) fn body_of(wanted: &str, request: &Request) -> Option<Vec<u8>> {
    let kind = request.headers.content_type().ok()??;
    part_of(wanted, &kind, &request.body, MAX_DEPTH)
}

/// A part of a body, while it is read.
struct Part<'a> {
    /// Its headers are over.
    in_body: bool,
    kind: Option<MediaType>,
    lines: Vec<&'a [u8]>,
}

impl<'a> Part<'a> {
    /// Reads another line.
    fn push(&mut self, line: &'a [u8]) {
        if self.in_body {
            return self.lines.push(line);
        }
        let bare = String::from_utf8_lossy(line.trim_ascii());
        if bare.is_empty() {
            self.in_body = true;
        } else if let Some((name, value)) = bare.split_once(':')
            && ["content-type", "c"].contains(&name.trim().to_ascii_lowercase().as_str())
        {
            self.kind = MediaType::parse(value).ok();
        }
    }

    /// What is wanted of it.
    fn find(self, wanted: &str, depth: u8) -> Option<Vec<u8>> {
        let body = self.lines.concat();
        match self.kind {
            Some(kind) => part_of(wanted, &kind, &body, depth),
            None => (wanted == TEXT).then_some(body),
        }
    }
}

fn part_of(wanted: &str, kind: &MediaType, body: &[u8], depth: u8) -> Option<Vec<u8>> {
    if body.is_empty() {
        return None;
    }
    if kind.name == wanted {
        return Some(body.to_vec());
    }
    let depth = depth.checked_sub(1)?;
    if !kind.name.starts_with("multipart/") {
        return None;
    }
    let boundary = format!("--{}", kind.params.text("boundary")?);
    let last = format!("{boundary}--");
    let mut part: Option<Part<'_>> = None;
    for line in body.split_inclusive(|byte| *byte == b'\n') {
        let bare = line.trim_ascii_end();
        let ends = bare == last.as_bytes();
        if ends || bare == boundary.as_bytes() {
            if let Some(found) = part.take().and_then(|part| part.find(wanted, depth)) {
                return Some(found);
            }
            if ends {
                return None;
            }
            part = Some(Part {
                in_body: false,
                kind: None,
                lines: Vec::new(),
            });
        } else if let Some(part) = &mut part {
            part.push(line);
        }
    }
    // The last line is missing: what was read counts.
    part?.find(wanted, depth)
}
