//! Why a call ended, read from the Reason header (RFC 3326) into a sentence.

use crate::message::scan::{split, unquote};
use crate::message::{Headers, reason_phrase};

/// Why the far end ended or refused a call, if it says so.
pub(crate) fn sentence(headers: &Headers) -> Option<String> {
    let reasons = || headers.values("Reason").filter_map(Reason::parse);
    let text = reasons().find_map(|reason| reason.text);
    text.or_else(|| {
        reasons().find_map(|reason| {
            let cause = reason.cause?;
            match reason.protocol.as_str() {
                "sip" => (200..700)
                    .contains(&cause)
                    .then(|| reason_phrase(cause).to_owned()),
                "q.850" => q850(cause).map(str::to_owned),
                _ => None,
            }
        })
    })
}

/// Whether another phone took the call: it is not missed.
pub(crate) fn is_answered_elsewhere(headers: &Headers) -> bool {
    headers
        .values("Reason")
        .filter_map(Reason::parse)
        .any(|reason| {
            // Some servers write the words and no cause.
            let says_so = || {
                let text = reason.text.as_deref().unwrap_or_default();
                text.to_ascii_lowercase().ends_with(" elsewhere")
            };
            match (reason.protocol.as_str(), reason.cause) {
                ("sip", Some(200)) | ("q.850", Some(26)) => true,
                ("sip" | "q.850", None) => says_so(),
                _ => false,
            }
        })
}

struct Reason {
    /// In lower case.
    protocol: String,
    cause: Option<u16>,
    text: Option<String>,
}

impl Reason {
    fn parse(value: &str) -> Option<Self> {
        let mut parts = split(value, b';');
        let protocol = parts.next()?.trim().to_ascii_lowercase();
        let (mut cause, mut text) = (None, None);
        for part in parts {
            let Some((name, value)) = part.split_once('=') else {
                continue;
            };
            match name.trim().to_ascii_lowercase().as_str() {
                "cause" => cause = value.trim().parse().ok(),
                "text" => text = Some(unquote(value.trim()).trim().to_owned()),
                _ => {}
            }
        }
        Some(Self {
            protocol,
            cause,
            text: text.filter(|text| !text.is_empty()),
        })
    }
}

/// The causes of ITU-T Q.850 a person may meet.
fn q850(cause: u16) -> Option<&'static str> {
    Some(match cause {
        1 => "the number is not assigned",
        16 | 31 => "normal clearing",
        17 => "busy",
        18 => "no user responds",
        19 => "no answer",
        20 => "the subscriber is absent",
        21 => "rejected",
        22 => "the number has changed",
        26 => "answered elsewhere",
        27 => "the destination is out of order",
        28 => "the number is incomplete or wrong",
        34 | 42 | 44 => "the network is busy",
        38 | 41 => "the network is out of order",
        50 | 57 | 63 => "not allowed for this subscriber",
        58 | 65 | 79 | 88 => "the far end cannot do this kind of call",
        102 => "no answer from the network",
        111 => "protocol error",
        127 => "unspecified error of another network",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(value: &str) -> Headers {
        let mut headers = Headers::default();
        headers.push("Reason", value);
        headers
    }

    #[test]
    fn cause_becomes_a_sentence() {
        for (value, text) in [
            (
                "SIP;cause=600;text=\"Busy; everywhere\"",
                Some("Busy; everywhere"),
            ),
            ("Q.850 ;cause=19", Some("no answer")),
            ("q.850;cause=17, SIP;cause=486;text=\"\"", Some("busy")),
            ("SIP ; cause = 408", Some("Request Timeout")),
            ("Q.850;cause=99", None),
            ("foo;cause=1", None),
            ("", None),
        ] {
            assert_eq!(sentence(&headers(value)).as_deref(), text, "{value}");
        }
    }

    #[test]
    fn answered_elsewhere_is_known_by_its_cause() {
        for (value, elsewhere) in [
            ("SIP;cause=200;text=\"Call completed elsewhere\"", true),
            ("Q.850;cause=26", true),
            ("Q.850;cause=16, SIP;cause=200", true),
            ("SIP;cause=2000", false),
            ("SIP;text=\"cause=200\"", false),
            ("SIP;text=\"Call completed elsewhere\"", true),
            ("SIP;cause=480;text=\"no one elsewhere\"", false),
            ("X;text=\"Answered elsewhere\"", false),
            ("Q.850;cause=200", false),
        ] {
            assert_eq!(is_answered_elsewhere(&headers(value)), elsewhere, "{value}");
        }
    }
}
