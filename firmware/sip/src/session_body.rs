//! The SDP or the text of a message: its body, or that part of a multipart body (RFC 2046,
//! RFC 5621).

use crate::message::{MediaType, Request, Response};

/// What a session description is.
const SDP: &str = "application/sdp";
/// What a text is.
pub(crate) const TEXT: &str = "text/plain";

/// The SDP of a request.
pub(crate) fn session_body(request: &Request) -> Option<Vec<u8>> {
    part_of(SDP, &request.headers.content_type().ok()??, &request.body)
}

/// The text of a request.
pub(crate) fn text_body(request: &Request) -> Option<Vec<u8>> {
    part_of(TEXT, &request.headers.content_type().ok()??, &request.body)
}

/// The SDP of a response.
pub(crate) fn session_body_of(response: &Response) -> Option<Vec<u8>> {
    part_of(SDP, &response.headers.content_type().ok()??, &response.body)
}

fn part_of(wanted: &str, kind: &MediaType, body: &[u8]) -> Option<Vec<u8>> {
    if body.is_empty() {
        return None;
    }
    if kind.name == wanted {
        return Some(body.to_vec());
    }
    if !kind.name.starts_with("multipart/") {
        return None;
    }
    let boundary = format!("--{}", kind.params.text("boundary")?);
    let text = String::from_utf8_lossy(body);
    let mut part: Option<(bool, bool, String)> = None;
    for line in text.split_inclusive('\n') {
        let bare = line.trim_end_matches(['\r', '\n']);
        if bare.trim_end() == boundary || bare.trim_end() == format!("{boundary}--") {
            if let Some((_, true, found)) = part.take() {
                return Some(found.into_bytes());
            }
            if bare.trim_end() != boundary {
                return None;
            }
            part = Some((false, false, String::new()));
            continue;
        }
        match &mut part {
            None => {}
            Some((in_body @ false, is_wanted, _)) => {
                if bare.is_empty() {
                    *in_body = true;
                } else if let Some((name, value)) = bare.split_once(':')
                    && (name.trim().eq_ignore_ascii_case("content-type")
                        || name.trim().eq_ignore_ascii_case("c"))
                {
                    *is_wanted = value.trim().to_ascii_lowercase().starts_with(wanted);
                }
            }
            Some((true, _, found)) => found.push_str(line),
        }
    }
    None
}
