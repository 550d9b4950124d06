//! Uses everything a message offers, as a careless caller would.

use sip::digest;
use sip::message::{Message, NameAddr, ParseError, Uri};

/// Reads bytes and, where they are a message, all that can be asked of it; checks that writing and
/// reading again changes nothing, and that an answer to a bad request is itself a message.
pub(crate) fn exercise(bytes: &[u8]) -> Result<Message, ParseError> {
    let parsed = Message::parse(bytes);
    match &parsed {
        Ok(message) => {
            let headers = message.headers();
            let mut addresses = Vec::new();
            for name in [
                "Contact",
                "Route",
                "Record-Route",
                "Service-Route",
                "Path",
                "P-Asserted-Identity",
                "Diversion",
            ] {
                addresses.extend(headers.addresses(name).unwrap_or_default());
            }
            addresses.extend(
                [headers.from(), headers.to(), headers.sip_contact()]
                    .into_iter()
                    .flatten(),
            );
            addresses.extend(
                ["Refer-To", "Referred-By"]
                    .into_iter()
                    .filter_map(|n| headers.address(n).ok().flatten()),
            );
            for address in &addresses {
                address_survives(address);
            }
            for via in headers.vias().unwrap_or_default() {
                let _ = (
                    via.branch(),
                    via.cookie_branch(),
                    via.received(),
                    via.rport(),
                    via.reply_address(),
                    via.to_string(),
                );
            }
            assert!(
                headers.call_id().is_ok() && headers.cseq().is_ok() && headers.top_via().is_ok()
            );
            let _ = (
                headers.number("Max-Forwards"),
                headers.expires(),
                headers.content_type(),
                headers.number("Session-Expires"),
            );
            let _ = (
                headers.require().count(),
                headers.supported().count(),
                headers.allow().count(),
                headers.via_count(),
            );
            let _ = digest::choose(digest::challenges(headers));
            let written = message.to_bytes();
            if written.len() < 60_000 {
                assert_eq!(
                    Message::parse(&written).as_ref(),
                    Ok(message),
                    "written: {:?}",
                    String::from_utf8_lossy(&written)
                );
            }
        }
        Err(error) => {
            if let Some(response) = error.answer("192.0.2.99:5060".parse().unwrap(), "tag", None) {
                let response = Message::Response(response);
                let via = response.headers().top_via().unwrap();
                assert!(
                    via.reply_address()
                        .is_none_or(|a| a.ip().to_string() == "192.0.2.99")
                );
                // What was wrong with the request may be echoed, so the answer need not parse; but
                // its head holds no stray line.
                lines_are_whole(&response.to_bytes(), response.headers().len());
            }
        }
    }
    parsed
}

/// An address written and read again is the same, and matches itself.
fn address_survives(address: &NameAddr) {
    let text = address.to_string();
    assert_eq!(NameAddr::parse(&text).as_ref(), Ok(address), "{text:?}");
    let uri = address.uri.to_string();
    assert_eq!(Uri::parse(&uri).as_ref(), Ok(&address.uri));
    assert!(address.uri.matches(&address.uri), "{uri:?}");
    let _ = address.uri.user();
    if let Some(sip) = address.uri.as_sip() {
        let _ = (
            sip.header("Replaces"),
            sip.params().get("transport"),
            sip.host().ip(),
        );
    }
}

/// The head has a start line, `headers` headers and the Content-Length, and no control character
/// but the line ends and HTAB.
pub(crate) fn lines_are_whole(written: &[u8], headers: usize) {
    let end = written
        .windows(4)
        .position(|w| w == b"\r\n\r\n")
        .expect("an empty line");
    let head = String::from_utf8(written[..end].to_vec()).expect("the head is UTF-8");
    let lines: Vec<_> = head.split("\r\n").collect();
    assert_eq!(lines.len(), headers + 2, "{head:?}");
    for line in lines {
        assert!(
            !line.contains(|c: char| c.is_ascii_control() && c != '\t'),
            "{line:?}"
        );
    }
}
