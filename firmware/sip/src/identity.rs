//! Who calls, as far as it can be believed: what the account's own server asserts comes before what
//! the caller says of itself.
//!
//! ```text
//! P-Asserted-Identity ─▶ P-Preferred-Identity ─▶ Remote-Party-ID ─▶ From   Privacy (RFC 3323) ─▶ "anonymous"
//! └─ RFC 3325 ──────── only from a trusted server ─────────────┘
//! ```

use crate::message::{Headers, NameAddr, SipUri, Uri};

/// What is shown of a caller that withholds its identity.
pub(crate) const ANONYMOUS: &str = "anonymous";
/// Most entries of History-Info looked at.
const MAX_HISTORY: usize = 20;

/// What a person is shown of an address: the name, otherwise the number or user, otherwise the
/// whole.
pub(crate) fn shown(address: &NameAddr) -> String {
    let name = address
        .display
        .clone()
        .filter(|name| !name.trim().is_empty());
    name.or_else(|| number(&address.uri))
        .unwrap_or_else(|| address.uri.to_string())
}

/// The user or number of an address, without what exchanges append to it (`;cpc=`,
/// `;phone-context=`, RFC 3966 and 4904).
pub(crate) fn number(uri: &Uri) -> Option<String> {
    let user = uri.user()?;
    let plain = user.split(';').next().unwrap_or_default().trim();
    (!plain.is_empty()).then(|| plain.to_owned())
}

/// Who a request or response is from, for the owner. `trusted`: it comes from a server that may
/// assert that (RFC 3325 section 5); `said`: who its sender says it is.
pub(crate) fn party(headers: &Headers, trusted: bool, said: &NameAddr) -> String {
    let asserted = asserted(headers).filter(|_| trusted);
    if is_withheld(headers, asserted.as_ref().unwrap_or(said)) {
        return ANONYMOUS.to_owned();
    }
    match asserted {
        Some(mut asserted) => {
            // Many servers assert the number alone: the name is the caller's own.
            if asserted
                .display
                .as_deref()
                .is_none_or(|name| name.trim().is_empty())
                && number(&asserted.uri) == number(&said.uri)
            {
                asserted.display.clone_from(&said.display);
            }
            shown(&asserted)
        }
        None => shown(said),
    }
}

/// Who a trusted server says the far end is, where it says so and the far end allows that it is
/// shown.
pub(crate) fn connected_party(headers: &Headers) -> Option<String> {
    let asserted = asserted(headers)?;
    Some(if is_withheld(headers, &asserted) {
        ANONYMOUS.to_owned()
    } else {
        shown(&asserted)
    })
}

/// Whom a call was for before it was diverted here (Diversion of RFC 5806, History-Info of RFC
/// 7044); no one where that one, or the caller, does not want it shown.
pub(crate) fn first_called(headers: &Headers) -> Option<String> {
    // RFC 7044 section 10.1, RFC 3323 section 4.2.
    if asks_privacy(headers, &["history", "header"]) {
        return None;
    }
    // The topmost entry is the last diversion.
    let diversion = headers.values("Diversion").take(MAX_HISTORY).last();
    if let Some(address) = diversion.and_then(|value| NameAddr::parse(value).ok()) {
        return (!is_private_party(&address)).then(|| shown(&address));
    }
    let history: Vec<NameAddr> = headers
        .values("History-Info")
        .take(MAX_HISTORY)
        .filter_map(|value| NameAddr::parse(value).ok())
        .collect();
    match history.as_slice() {
        [first, .., last] if number(&first.uri) != number(&last.uri) => {
            let withheld = first.uri.as_sip().and_then(|uri| uri.header("Privacy"));
            let withheld = withheld.is_some_and(|kind| !kind.eq_ignore_ascii_case("none"));
            (!withheld).then(|| shown(first))
        }
        _ => None,
    }
}

fn asserted(headers: &Headers) -> Option<NameAddr> {
    let of = |name: &str| {
        let mut values = headers.values(name);
        values.find_map(|value| NameAddr::parse(value).ok())
    };
    of("P-Asserted-Identity")
        .or_else(|| of("P-Preferred-Identity"))
        .or_else(|| of("Remote-Party-ID"))
}

/// Whether the far end wants not to be shown.
fn is_withheld(headers: &Headers, address: &NameAddr) -> bool {
    asks_privacy(headers, &["id", "user", "header"])
        || is_private_party(address)
        || address.uri.as_sip().is_some_and(SipUri::has_anonymous_host)
}

/// Whether the Privacy headers name one of these (RFC 3323 section 4.2).
fn asks_privacy(headers: &Headers, kinds: &[&str]) -> bool {
    let mut tokens = headers.values("Privacy").flat_map(|v| v.split(';'));
    tokens.any(|token| {
        let token = token.trim();
        kinds.iter().any(|kind| token.eq_ignore_ascii_case(kind))
    })
}

/// Whether an address says of itself that it is not to be shown (`;privacy=`, RFC 5806 and
/// Remote-Party-ID).
fn is_private_party(address: &NameAddr) -> bool {
    address
        .params
        .text("privacy")
        .is_some_and(|value| matches!(value.to_ascii_lowercase().as_str(), "full" | "uri" | "name"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::tests::request;

    fn headers(text: &str) -> Headers {
        request(&format!(
            "INVITE sip:a@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK1\r\n\
             From: \"Self\" <sip:liar@192.0.2.9>;tag=p\r\nTo: <sip:a@192.0.2.1>\r\nCall-ID: c\r\n\
             CSeq: 8 INVITE\r\n{text}\r\n"
        ))
        .headers
    }

    fn of(text: &str, trusted: bool) -> String {
        let headers = headers(text);
        party(&headers, trusted, &headers.from().unwrap())
    }

    #[test]
    fn servers_word_comes_before_the_callers() {
        let asserted = "P-Asserted-Identity: \"Anna\" <sip:+4930123;cpc=ordinary@x;user=phone>\r\n";
        for (text, trusted, shown) in [
            ("", true, "Self"),
            (asserted, true, "Anna"),
            (asserted, false, "Self"),
            (
                "P-Asserted-Identity: <sip:+4930123;cpc=ordinary@x>\r\n",
                true,
                "+4930123",
            ),
            (
                "P-Asserted-Identity: <tel:+49-30-123;phone-context=x>\r\n",
                true,
                "+4930123",
            ),
            ("P-Asserted-Identity: <sip:liar@y>\r\n", true, "Self"),
            ("P-Preferred-Identity: <sip:205@x>\r\n", true, "205"),
            ("P-Preferred-Identity: <sip:205@x>\r\n", false, "Self"),
            (
                "Remote-Party-ID: <sip:7@x>\r\nP-Preferred-Identity: <sip:205@x>\r\n\
                 P-Asserted-Identity: <sip:301@x>\r\n",
                true,
                "301",
            ),
            (
                "Remote-Party-ID: \"Bo\" <sip:7@x>;party=calling;screen=yes\r\n",
                true,
                "Bo",
            ),
            (
                "Remote-Party-ID: <sip:7@x>;party=calling;privacy=full\r\n",
                true,
                ANONYMOUS,
            ),
            (
                "Remote-Party-ID: <sip:7@x>;party=calling;privacy=\"Full\"\r\n",
                true,
                ANONYMOUS,
            ),
            (
                "P-Asserted-Identity: <sip:7@x>\r\nPrivacy: id\r\n",
                true,
                ANONYMOUS,
            ),
            (
                "P-Asserted-Identity: <sip:7@x>\r\nPrivacy: none\r\n",
                true,
                "7",
            ),
            ("Privacy: user;header\r\n", false, ANONYMOUS),
            ("Privacy: none\r\nPrivacy: ID\r\n", false, ANONYMOUS),
        ] {
            assert_eq!(of(text, trusted), shown, "{text} {trusted}");
        }
        let unnamed = NameAddr::parse("\"Anonymous\" <sip:anonymous@anonymous.invalid>").unwrap();
        assert_eq!(party(&headers(""), false, &unnamed), ANONYMOUS);
    }

    #[test]
    fn diverted_call_says_who_was_called() {
        for (text, first) in [
            ("", None),
            (
                "Diversion: <sip:202@x>;reason=no-answer, <sip:201@x>\r\n",
                Some("201"),
            ),
            ("Diversion: \"Office\" <tel:+4930-99>\r\n", Some("Office")),
            (
                "History-Info: <sip:300@x>;index=1, <sip:301@x;cause=302>;index=1.1\r\n",
                Some("300"),
            ),
            (
                "History-Info: <sip:300@x>;index=1, <sip:300@y>;index=1.1\r\n",
                None,
            ),
            ("History-Info: <sip:300@x>;index=1\r\n", None),
            // What cannot be read says nothing; what can, counts.
            ("Diversion: <<sip:201@x\r\n", None),
            ("Diversion: ,;,\r\nDiversion: \r\n", None),
            (
                "Diversion: \"unclosed <sip:201@x>\r\nHistory-Info: <sip:300@x>, <sip:301@x>\r\n",
                Some("300"),
            ),
            (
                "History-Info: ???, <sip:300@x>;index=0.0.0, <sip:301@x>;index=\r\n",
                Some("300"),
            ),
            // Who does not want to be shown is not.
            ("Diversion: <sip:201@x>;privacy=full\r\n", None),
            ("Diversion: <sip:201@x>;privacy=\"full\"\r\n", None),
            ("Diversion: <sip:201@x>;privacy=off\r\n", Some("201")),
            ("Diversion: <sip:201@x>\r\nPrivacy: history\r\n", None),
            (
                "History-Info: <sip:300@x?Privacy=history>;index=1, <sip:301@x>;index=1.1\r\n",
                None,
            ),
            (
                "History-Info: <sip:300@x>;index=1, <sip:301@x>;index=1.1\r\n\
                 Privacy: none\r\nPrivacy: user;history\r\n",
                None,
            ),
        ] {
            assert_eq!(first_called(&headers(text)).as_deref(), first, "{text}");
        }
    }
}
