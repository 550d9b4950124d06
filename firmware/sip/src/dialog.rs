//! Dialogs (RFC 3261 section 12): who talks to whom, by which way, with which numbers.
//!
//! ```text
//! INVITE + response with To tag ─▶ Dialog ─▶ request(method) ─▶ Request with Route, CSeq, tags
//!                                    ▲ target refresh, remote CSeq ◀─ requests of the far end
//! ```

use std::net::IpAddr;

use crate::flow::Flow;
use crate::identity::number;
use crate::locate::{Hop, HopError};
use crate::message::{CSeq, Method, NameAddr, Request, Response, SipUri, Uri};

/// Most routes kept; a longer set is no real one.
const MAX_ROUTES: usize = 32;

/// One dialog, early or confirmed.
#[derive(Debug, Clone)]
pub(crate) struct Dialog {
    pub(crate) call_id: String,
    /// Our address with our tag.
    pub(crate) local: NameAddr,
    /// Theirs; the tag may be missing with phones of RFC 2543.
    pub(crate) remote: NameAddr,
    /// Contact of the far end.
    pub(crate) target: Uri,
    /// Routes, nearest first.
    pub(crate) routes: Vec<NameAddr>,
    /// Number of our last request.
    pub(crate) local_cseq: u32,
    /// Number of their last request.
    pub(crate) remote_cseq: Option<u32>,
    /// Our Contact in it.
    pub(crate) contact: SipUri,
    /// The way its INVITE came: a connection that is open is used again, the far end may not be
    /// reachable by another.
    pub(crate) flow: Option<Flow>,
    /// The hosts its latest request came from: the last hop, and its sender as the first hop saw
    /// it.
    sources: [Option<IpAddr>; 2],
}

impl Dialog {
    /// The caller's side (section 12.1.2): from our INVITE and a response that carries a To tag.
    pub(crate) fn of_caller(
        request: &Request,
        response: &Response,
        flow: Option<Flow>,
    ) -> Option<Self> {
        let remote = response.headers.to().ok()?;
        let mut routes = response.headers.record_routes().unwrap_or_default();
        routes.reverse();
        routes.truncate(MAX_ROUTES);
        Some(Self {
            call_id: request.headers.call_id().ok()?.to_owned(),
            local: request.headers.from().ok()?,
            target: contact_of(&response.headers).or_else(|| Some(request.uri.clone()))?,
            remote,
            routes,
            local_cseq: request.headers.cseq().ok()?.number,
            remote_cseq: None,
            contact: request
                .headers
                .contacts()
                .ok()?
                .into_iter()
                .find_map(|contact| contact.uri.as_sip().cloned())?,
            flow,
            sources: [flow.map(|flow| flow.remote().ip()), None],
        })
    }

    /// The called side (section 12.1.1): from their INVITE and our tag. `None` without a usable
    /// Contact.
    pub(crate) fn of_callee(
        request: &Request,
        to_tag: &str,
        contact: SipUri,
        flow: Option<Flow>,
    ) -> Option<Self> {
        let mut local = request.headers.to().ok()?;
        local.params.set("tag", Some(to_tag));
        let mut routes = request.headers.record_routes().unwrap_or_default();
        routes.truncate(MAX_ROUTES);
        let remote = request.headers.from().ok()?;
        // A caller of RFC 2543 needs neither tag nor Contact; it is found under its From then.
        let old = || remote.tag().is_none().then(|| remote.uri.clone());
        Some(Self {
            call_id: request.headers.call_id().ok()?.to_owned(),
            local,
            target: contact_of(&request.headers).or_else(old)?,
            remote,
            routes,
            local_cseq: 0,
            remote_cseq: request.headers.cseq().ok().map(|c| c.number),
            contact,
            flow,
            sources: [flow.map(|flow| flow.remote().ip()), first_hop(request)],
        })
    }

    /// Our tag.
    pub(crate) fn local_tag(&self) -> &str {
        self.local.tag().unwrap_or_default()
    }

    /// Theirs.
    pub(crate) fn remote_tag(&self) -> &str {
        self.remote.tag().unwrap_or_default()
    }

    /// Whether a request of the far end belongs here (section 12.2.2). A far end that answered
    /// without a tag may give itself one now: ours names the dialog well enough.
    pub(crate) fn owns(&self, request: &Request) -> bool {
        let headers = &request.headers;
        headers.call_id().is_ok_and(|id| id == self.call_id)
            && headers
                .to()
                .is_ok_and(|to| to.tag() == Some(self.local_tag()))
            && headers.from().is_ok_and(|from| {
                self.remote_tag().is_empty() || from.tag() == Some(self.remote_tag())
            })
    }

    /// Whether the number of a request of theirs is in order; remembers it then.
    pub(crate) fn in_order(&mut self, cseq: u32) -> bool {
        let good = self.remote_cseq.is_none_or(|last| cseq > last);
        if good {
            self.remote_cseq = Some(cseq);
        }
        good
    }

    /// Remembers where a request of theirs came from.
    pub(crate) fn came_from(&mut self, flow: Flow, request: &Request) {
        if self.remote_tag().is_empty()
            && let Ok(from) = request.headers.from()
            && let Some(tag) = from.tag()
        {
            self.remote.params.set("tag", Some(tag));
        }
        self.sources = [Some(flow.remote().ip()), first_hop(request)];
    }

    /// The hosts the far end's signalling comes from, as far as they are known by address: the last
    /// hop, its Contact, and the sender as the first hop saw it.
    pub(crate) fn signalling_hosts(&self) -> impl Iterator<Item = IpAddr> {
        let [last_hop, sender] = self.sources;
        let contact = self.target.as_sip().and_then(|uri| uri.host().ip());
        [last_hop, contact, sender].into_iter().flatten()
    }

    /// The last hop its INVITE, or the answer to it, came by.
    pub(crate) fn far_host(&self) -> Option<IpAddr> {
        self.flow.map(|flow| flow.remote().ip())
    }

    /// Takes over whom a request of theirs is from, where that is somebody else now (RFC 4916).
    /// Returns whether it is another number or user.
    pub(crate) fn handle_from(&mut self, headers: &crate::message::Headers) -> bool {
        let Ok(from) = headers.from() else {
            return false;
        };
        let name = |uri: &Uri| number(uri).unwrap_or_else(|| uri.to_string());
        let other = name(&from.uri) != name(&self.remote.uri);
        if from.uri != self.remote.uri {
            // The tag stays: it is that of the dialog.
            self.remote.uri = from.uri;
            self.remote.display = from.display;
        }
        other
    }

    /// Takes a new Contact over (target refresh).
    pub(crate) fn refresh(&mut self, headers: &crate::message::Headers) {
        if let Some(target) = contact_of(headers) {
            self.target = target;
        }
    }

    /// Where requests in this dialog go first: the nearest route, loose or strict, else the target.
    /// A dialog that began over TLS stays there, whatever the addresses in it say.
    pub(crate) fn hop(&self) -> Result<Hop, HopError> {
        let hop = Hop::of(self.routes.first().map_or(&self.target, |route| &route.uri))?;
        Ok(if self.is_secure() {
            hop.forced_secure()
        } else {
            hop
        })
    }

    /// Whether it began over TLS.
    pub(crate) fn is_secure(&self) -> bool {
        self.flow.is_some_and(Flow::is_secure)
    }

    /// A new request in this dialog (section 12.2.1.1), without Via. ACK and CANCEL take the number
    /// of their INVITE instead.
    pub(crate) fn request(&mut self, method: &Method) -> Request {
        self.local_cseq = self.local_cseq.saturating_add(1);
        self.numbered(method, self.local_cseq)
    }

    /// A request with a given number: the ACK of an INVITE.
    pub(crate) fn numbered(&self, method: &Method, number: u32) -> Request {
        let mut routes = self.routes.clone();
        let mut uri = self.target.clone();
        // A strict router at the front (RFC 2543): its address becomes the Request-URI, the target
        // the last route.
        if routes.first().is_some_and(|first| !is_loose(first)) {
            let strict = routes.remove(0);
            routes.push(NameAddr::new(uri));
            uri = strict.uri;
        }
        if let Uri::Sip(sip) = uri {
            uri = sip.for_request().into();
        }
        let mut request = Request::new(method.clone(), uri);
        let headers = &mut request.headers;
        for route in &routes {
            headers.push("Route", route);
        }
        headers.push("Max-Forwards", 70);
        headers.push("From", &self.local);
        headers.push("To", &self.remote);
        headers.push("Call-ID", &self.call_id);
        headers.push(
            "CSeq",
            CSeq {
                number,
                method: method.clone(),
            },
        );
        if matches!(
            method,
            Method::Invite | Method::Update | Method::Refer | Method::Notify | Method::Subscribe
        ) {
            headers.push("Contact", NameAddr::new(self.contact.clone()));
        }
        request
    }
}

/// The first Contact this phone could call; mailto: and the like stand there too.
fn contact_of(headers: &crate::message::Headers) -> Option<Uri> {
    headers
        .values("Contact")
        .filter_map(|v| NameAddr::parse(v).ok())
        .map(|c| c.uri)
        .find(|uri| matches!(uri, Uri::Sip(_)))
}

fn is_loose(route: &NameAddr) -> bool {
    route.uri.as_sip().is_some_and(|uri| uri.params().has("lr"))
}

/// The address the first hop saw a request come from (section 18.2.1), else the one its sender
/// gives itself.
fn first_hop(request: &Request) -> Option<IpAddr> {
    let via = request.headers.vias().ok()?.pop()?;
    via.received().or_else(|| via.host().ip())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Message;

    fn invite(extra: &str) -> Request {
        let text = format!(
            "INVITE sip:bob@biloxi.example.com SIP/2.0\r\n\
             Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\nFrom: <sip:a@x>;tag=al\r\n\
             To: <sip:bob@biloxi.example.com>\r\nCall-ID: c1\r\nCSeq: 314 INVITE\r\n{extra}\r\n"
        );
        match Message::parse(text.as_bytes()).unwrap() {
            Message::Request(request) => request,
            Message::Response(_) => panic!("a response"),
        }
    }

    fn contact() -> SipUri {
        SipUri::at("192.0.2.9:5060".parse().unwrap()).with_user("me")
    }

    fn routes(request: &Request) -> Vec<String> {
        request.headers.values("Route").map(str::to_owned).collect()
    }

    #[test]
    fn route_sets_are_reversed_for_the_caller() {
        let routes_text = "Record-Route: <sip:p2.example.com;lr>, <sip:p1.example.com;lr>\r\n\
                           Contact: <sip:a@192.0.2.1>\r\n";
        let request = invite(routes_text);
        let mut callee = Dialog::of_callee(&request, "bo", contact(), None).unwrap();
        let bye = callee.request(&Method::Bye);
        assert_eq!(
            routes(&bye),
            ["<sip:p2.example.com;lr>", "<sip:p1.example.com;lr>"]
        );
        assert_eq!(bye.uri.to_string(), "sip:a@192.0.2.1");
        assert_eq!(bye.headers.from().unwrap().tag(), Some("bo"));
        assert_eq!(bye.headers.to().unwrap().tag(), Some("al"));
        assert_eq!(bye.headers.cseq().unwrap().number, 1);

        let mut response = Response::reply(&request, 200, Some("bo"));
        response.headers.copy(&request.headers, "Record-Route");
        response.headers.push("Contact", "<sip:bob@192.0.2.4>");
        let mut caller =
            Dialog::of_caller(&invite("Contact: <sip:al@192.0.2.9>\r\n"), &response, None).unwrap();
        let bye = caller.request(&Method::Bye);
        assert_eq!(
            routes(&bye),
            ["<sip:p1.example.com;lr>", "<sip:p2.example.com;lr>"]
        );
        assert_eq!(bye.uri.to_string(), "sip:bob@192.0.2.4");
        assert_eq!(bye.headers.cseq().unwrap().number, 315);
    }

    #[test]
    fn a_strict_router_becomes_the_request_uri() {
        let request = invite(
            "Record-Route: <sip:old.example.com>, <sip:new.example.com;lr>\r\n\
             Contact: <sip:a@192.0.2.1>\r\n",
        );
        let mut dialog = Dialog::of_callee(&request, "bo", contact(), None).unwrap();
        let bye = dialog.request(&Method::Bye);
        assert_eq!(bye.uri.to_string(), "sip:old.example.com");
        assert_eq!(
            routes(&bye),
            ["<sip:new.example.com;lr>", "<sip:a@192.0.2.1>"]
        );
    }

    #[test]
    fn cseq_rises_and_tags_identify_the_dialog() {
        let request = invite("Contact: mailto:x@y, <sip:a@192.0.2.1>\r\n");
        let mut dialog = Dialog::of_callee(&request, "bo", contact(), None).unwrap();
        assert!(!dialog.in_order(314));
        assert!(dialog.in_order(320));
        assert!(!dialog.in_order(315));
        assert!(!dialog.owns(&request));
        let mut bye = request;
        bye.headers.set("To", "<sip:bob@biloxi.example.com>;tag=bo");
        assert!(dialog.owns(&bye));
        bye.headers.set("From", "<sip:a@x>;tag=other");
        assert!(!dialog.owns(&bye));
        assert!(
            Dialog::of_callee(&invite("Contact: mailto:x@y\r\n"), "bo", contact(), None).is_none()
        );
    }

    #[test]
    fn far_end_without_a_tag_may_give_itself_one() {
        let invite = invite("Contact: <sip:al@192.0.2.9>\r\n");
        let mut response = Response::reply(&invite, 200, None);
        response.headers.push("Contact", "<sip:bob@192.0.2.4>");
        let mut dialog = Dialog::of_caller(&invite, &response, None).unwrap();
        let mut request = invite.clone();
        let from = |request: &mut Request, from: &str, to: &str| {
            request
                .headers
                .set("From", format!("<sip:bob@biloxi.example.com>{from}"));
            request.headers.set("To", format!("<sip:a@x>{to}"));
        };
        from(&mut request, ";tag=late", ";tag=other");
        assert!(!dialog.owns(&request), "our own tag must be right");
        from(&mut request, ";tag=late", ";tag=al");
        assert!(dialog.owns(&request));
        let remote = "192.0.2.4:5060".parse().unwrap();
        dialog.came_from(Flow::Udp { remote }, &request);
        assert_eq!(
            dialog.request(&Method::Bye).headers.to().unwrap().tag(),
            Some("late")
        );
        from(&mut request, ";tag=another", ";tag=al");
        assert!(!dialog.owns(&request), "and it keeps the one it has");
    }

    #[test]
    fn changed_from_goes_into_the_next_to() {
        let request = invite("Contact: <sip:a@192.0.2.1>\r\n");
        let mut dialog = Dialog::of_callee(&request, "bo", contact(), None).unwrap();
        let mut update = request;
        for (from, other, to) in [
            ("<sip:a@x>;tag=al", false, "<sip:a@x>;tag=al"),
            ("<sip:a@x:5070>;tag=al", false, "<sip:a@x:5070>;tag=al"),
            (
                "\"Carol\" <sip:c@y>;tag=al",
                true,
                "\"Carol\" <sip:c@y>;tag=al",
            ),
        ] {
            update.headers.set("From", from);
            assert_eq!(dialog.handle_from(&update.headers), other, "{from}");
            let bye = dialog.request(&Method::Bye);
            assert_eq!(bye.headers.get("To"), Some(to));
        }
    }
}
