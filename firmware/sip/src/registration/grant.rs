//! What a registrar grants by its 200: for how long, over which way, and how it sees the phone.

use std::net::SocketAddr;
use std::time::Duration;

use crate::flow::Transport;
use crate::message::{NameAddr, Response, SipUri, Uri};

/// Most values of Service-Route kept (RFC 3608).
const MAX_SERVICE_ROUTES: usize = 8;
/// Shortest Flow-Timer that is obeyed, in seconds.
const MIN_FLOW_TIMER_S: u32 = 5;

/// A 200 to a REGISTER, read.
#[derive(Debug)]
pub(crate) struct Grant {
    /// Seconds; 0: there is no binding.
    pub(crate) lifetime_s: u32,
    pub(crate) service_route: Vec<NameAddr>,
    /// Our address as the registrar saw it.
    pub(crate) seen: Option<SocketAddr>,
    /// It sends calls along the flow, whatever the contact says (RFC 5626).
    pub(crate) binds_flow: bool,
    /// Longest time between two keepalives.
    pub(crate) flow_timer: Option<Duration>,
    /// The address it gives our contact for the world to use (RFC 5627 section 5.2).
    pub(crate) gruu: Option<SipUri>,
}

impl Grant {
    /// Reads what is granted to our contact, which was registered as this; `asked_s` is the
    /// lifetime that was asked for.
    pub(crate) fn read(response: &Response, contact: &SipUri, asked_s: u32) -> Self {
        let headers = &response.headers;
        let user = contact.user().unwrap_or_default();
        let mut service_route = headers.addresses("Service-Route").unwrap_or_default();
        service_route.truncate(MAX_SERVICE_ROUTES);
        let flow_timer = headers.number("Flow-Timer");
        Self {
            // The registrar may only shorten what was asked for (section 10.3).
            lifetime_s: granted(response, contact).unwrap_or(asked_s).min(asked_s),
            service_route,
            seen: seen_by(response),
            binds_flow: headers.has_token("Require", "outbound"),
            flow_timer: flow_timer.map(|s| Duration::from_secs(u64::from(s.max(MIN_FLOW_TIMER_S)))),
            gruu: gruu(response, &user),
        }
    }
}

/// Our address as the server saw it, which sent this response.
pub(crate) fn seen_by(response: &Response) -> Option<SocketAddr> {
    let via = response.headers.top_via().ok()?;
    Some(SocketAddr::new(via.received()?, via.rport()?))
}

/// The address the registrar gives our contact for the world to use (RFC 5627 section 5.2).
fn gruu(response: &Response, user: &str) -> Option<SipUri> {
    let contacts = response.headers.values("Contact");
    let mut ours = contacts
        .filter_map(|value| NameAddr::parse(value).ok())
        .filter(|contact| contact.uri.user().as_deref() == Some(user));
    let gruu = ours.find_map(|contact| contact.params.get("pub-gruu").map(str::to_owned))?;
    match Uri::parse(gruu.trim_matches('"')).ok()? {
        Uri::Sip(uri) => Some(uri),
        Uri::Tel(_) | Uri::Other(_) => None,
    }
}

/// The lifetime the registrar grants, in seconds: our own contact's `expires`, otherwise the
/// header.
fn granted(response: &Response, contact: &SipUri) -> Option<u32> {
    let port = |uri: &SipUri| uri.port().unwrap_or(Transport::Udp.default_port());
    // A registrar behind a router may show it otherwise than we wrote it.
    let is_exact = |uri: &Uri| {
        uri.as_sip()
            .is_some_and(|uri| uri.host().matches(contact.host()) && port(uri) == port(contact))
    };
    let contacts = response
        .headers
        .values("Contact")
        .filter_map(|v| NameAddr::parse(v).ok());
    let ours = contacts
        .filter(|c| c.uri.user() == contact.user())
        .filter_map(|c| {
            let expires = c.params.get("expires")?.trim_matches('"').trim();
            Some((is_exact(&c.uri), expires.parse().ok()?))
        })
        // One of ours before the last correction may still be listed, with more or nothing left.
        .max();
    let ours: Option<(bool, u32)> = ours;
    ours.map(|(_, granted)| granted)
        .or_else(|| response.headers.expires())
}
