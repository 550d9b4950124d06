//! What a request outside of a dialog must be like: the checks of RFC 3261 section 8.2, in its
//! order, and what an INVITE says about how it wants to be answered.

use crate::action::Reply;
use crate::capabilities::{ALLOW_EVENTS, unsupported};
use crate::events::Package;
use crate::message::{Method, Request, SipUri, Uri};
use crate::session_body::session_body;
use crate::text_message::{CONTENT_TYPE, text_of};

/// The checks in order; the refusal if one fails. `tagged`: its To has a tag, of no dialog known
/// here. `merged`: whether a copy of it came another way.
pub(crate) fn check(
    request: &Request,
    tagged: bool,
    merged: impl FnOnce() -> bool,
) -> Result<(), Reply> {
    let refuse = |code: u16| Err(Reply::refusal(code));
    if let Some(code) = method_refusal(&request.method) {
        return Err(Reply::not_allowed(code));
    }
    // RFC 6665 section 4.1.2.1: without an address of the subscriber's no one could be notified.
    if request.method == Method::Subscribe && request.headers.sip_contact().is_err() {
        return refuse(400);
    }
    // RFC 6665 section 4.4.3: of no subscription known here, or to what there is none.
    match (&request.method, Package::of(&request.headers)) {
        (Method::Subscribe | Method::Notify, Some(_)) if tagged => return refuse(481),
        // Whoever may watch this phone has been served before.
        (Method::Subscribe, Some(Package::Dialog)) => return refuse(403),
        (Method::Subscribe, _) | (Method::Notify, None) => {
            return Err(Reply::refusal(489).with("Allow-Events", ALLOW_EVENTS));
        }
        (_, _) => {}
    }
    if matches!(request.uri, Uri::Other(_)) {
        return refuse(416);
    }
    if tagged
        || matches!(
            request.method,
            Method::Bye | Method::Info | Method::Update | Method::Prack
        )
    {
        return refuse(481);
    }
    // Only the far end of an established call may have this phone call somebody.
    if request.method == Method::Refer {
        return refuse(403);
    }
    // Section 8.2.2.2.
    if request.method == Method::Invite && merged() {
        return refuse(482);
    }
    // RFC 3891 section 3: only an INVITE replaces a dialog.
    if request.method != Method::Invite && request.headers.get("Replaces").is_some() {
        return refuse(400);
    }
    check_require(request)?;
    if request.method == Method::Invite && !accepts_sdp(request) {
        return refuse(406);
    }
    check_content(request)
}

/// Section 8.2.3: the refusal of a body this phone cannot read.
pub(crate) fn check_content(request: &Request) -> Result<(), Reply> {
    check_body(request).map_err(|code| {
        let accepted = match request.method {
            Method::Message => CONTENT_TYPE,
            _ => "application/sdp",
        };
        Reply::refusal(code)
            .with("Accept", accepted)
            .with("Accept-Encoding", "identity")
    })
}

/// Section 8.2.2.3: extensions required that this phone does not have.
pub(crate) fn check_require(request: &Request) -> Result<(), Reply> {
    match unsupported(request) {
        None => Ok(()),
        Some(unknown) => Err(Reply::refusal(420).with("Unsupported", unknown)),
    }
}

/// The status that refuses a method this phone knows but does not allow (405), or does not know
/// (501).
pub(crate) fn method_refusal(method: &Method) -> Option<u16> {
    match method {
        // The last three are refused by what they ask for, not by their name.
        Method::Invite
        | Method::Bye
        | Method::Options
        | Method::Info
        | Method::Update
        | Method::Prack
        | Method::Ack
        | Method::Cancel
        | Method::Subscribe
        | Method::Notify
        | Method::Message
        | Method::Refer => None,
        Method::Register | Method::Publish => Some(405),
        Method::Other(_) => Some(501),
    }
}

/// Whether the sender of an INVITE takes a session description for an answer (section 20.1).
fn accepts_sdp(request: &Request) -> bool {
    let mut accepted = request.headers.tokens("Accept").peekable();
    let kind = |value: &str| {
        value
            .split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase()
    };
    accepted.peek().is_none()
        || accepted.any(|value| {
            matches!(
                kind(value).as_str(),
                "application/sdp" | "application/*" | "*/*"
            )
        })
}

/// Section 8.2.3: a body this phone cannot read, unless it may be ignored.
fn check_body(request: &Request) -> Result<(), u16> {
    if request.body.is_empty() {
        return Ok(());
    }
    let optional = request
        .headers
        .get("Content-Disposition")
        .is_some_and(|d| d.to_ascii_lowercase().contains("handling=optional"));
    let encoded = request
        .headers
        .get("Content-Encoding")
        .is_some_and(|e| !e.trim().eq_ignore_ascii_case("identity") && !e.is_empty());
    if encoded && !optional {
        return Err(415);
    }
    if request.method == Method::Message {
        return text_of(request).map(|_| ()).ok_or(415);
    }
    if !matches!(request.method, Method::Invite | Method::Update) || optional {
        return Ok(());
    }
    match request.headers.content_type() {
        // RFC 3261 section 20.15 wants a Content-Type; without one nothing can be made of the body.
        Ok(None) | Err(_) => Err(400),
        Ok(Some(kind)) if kind.name == "application/sdp" => Ok(()),
        Ok(Some(kind))
            if kind.name.starts_with("multipart/") && session_body(request).is_some() =>
        {
            Ok(())
        }
        Ok(Some(_)) => Err(415),
    }
}

/// Section 12.1.1: our Contact must be `sips:` where the request's address is, or the nearest
/// proxy's.
pub(crate) fn wants_sips(request: &Request) -> bool {
    let is_sips = |uri: &Uri| uri.as_sip().is_some_and(SipUri::is_secure);
    let routes = request.headers.record_routes().unwrap_or_default();
    let nearest = routes.first();
    is_sips(&request.uri) || nearest.is_some_and(|route| is_sips(&route.uri))
}

/// Whether the caller takes no other answer than an automatic one (RFC 5373).
pub(crate) fn requires_auto_answer(request: &Request) -> bool {
    ["Answer-Mode", "Priv-Answer-Mode"].iter().any(|name| {
        request.headers.get(name).is_some_and(|value| {
            let mut parts = value.split(';').map(str::trim);
            parts
                .next()
                .is_some_and(|mode| mode.eq_ignore_ascii_case("auto"))
                && parts.any(|p| p.eq_ignore_ascii_case("require"))
        })
    })
}

/// Whether, and after how many ms, the caller wishes to be answered without anyone lifting the
/// handset: Call-Info and Alert-Info as phones write them, Answer-Mode of RFC 5373.
pub(crate) fn answer_after_ms(request: &Request) -> Option<u32> {
    let headers = &request.headers;
    for value in headers
        .values("Call-Info")
        .chain(headers.values("Alert-Info"))
    {
        let lower = value.to_ascii_lowercase().replace(' ', "");
        if let Some((_, rest)) = lower.split_once("answer-after=") {
            let digits: String = rest
                .chars()
                .take_while(char::is_ascii_digit)
                .take(4)
                .collect();
            return Some(digits.parse::<u32>().unwrap_or(0).saturating_mul(1000));
        }
        if lower.contains("info=alert-autoanswer")
            || lower.contains("auto-answer")
            || lower.contains("autoanswer")
        {
            return Some(0);
        }
    }
    let auto = |name: &str| {
        headers.get(name).is_some_and(|v| {
            v.split(';')
                .next()
                .is_some_and(|m| m.trim().eq_ignore_ascii_case("auto"))
        })
    };
    (auto("Answer-Mode") || auto("Priv-Answer-Mode")).then_some(0)
}
