//! What this phone can do, as its requests and responses say it (RFC 3261 section 11.2).

use crate::message::{Headers, Request};

/// The methods this phone handles.
pub(crate) const ALLOW: &str =
    "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, PRACK, REFER, NOTIFY, SUBSCRIBE, MESSAGE";
/// Every package of this phone, as Allow-Events names them: those of which it takes a NOTIFY, and
/// the one it serves.
pub(crate) const ALLOW_EVENTS: &str =
    "dialog, message-summary, reg, refer, check-sync, talk, hold, keep-alive";
/// The extensions it supports.
const SUPPORTED: [&str; 6] = [
    "100rel",
    "from-change",
    "norefersub",
    "replaces",
    "sdp-anat",
    "timer",
];
/// Most unsupported extensions named in a refusal.
const MAX_NAMED: usize = 16;

/// Allow and Supported.
pub(crate) fn add_capabilities(headers: &mut Headers) {
    headers.push("Allow", ALLOW);
    headers.push("Supported", SUPPORTED.join(", "));
}

/// The extensions a request requires that this phone does not have (section 8.2.2.3): the value of
/// Unsupported.
pub(crate) fn unsupported(request: &Request) -> Option<String> {
    let is_known = |tag: &&str| {
        SUPPORTED
            .iter()
            .any(|known| known.eq_ignore_ascii_case(tag))
    };
    let unknown: Vec<&str> = request
        .headers
        .require()
        .filter(|tag| !is_known(tag))
        .take(MAX_NAMED)
        .collect();
    (!unknown.is_empty()).then(|| unknown.join(", "))
}
