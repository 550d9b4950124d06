//! The requests of a registration: REGISTER (RFC 3261 section 10.2) and OPTIONS.

use super::{Registration, RegistrationAction};
use crate::env::{Env, server_uri};
use crate::flow::Target;
use crate::ids::RequestId;
use crate::locate::Hop;
use crate::message::{CSeq, Method, NameAddr, Request, SipUri};

/// What a REGISTER says.
pub(super) struct Register<'a> {
    pub(super) uri: SipUri,
    pub(super) aor: NameAddr,
    pub(super) routes: Vec<NameAddr>,
    pub(super) tag: &'a str,
    pub(super) call_id: &'a str,
    pub(super) cseq: u32,
    /// A contact to be taken away.
    pub(super) stale: Option<SipUri>,
    pub(super) contact: SipUri,
    pub(super) expires_s: u32,
    /// Names the flow (RFC 5626).
    pub(super) instance: Option<&'a str>,
    /// An address for the world to use is wanted (RFC 5627).
    pub(super) gruu: bool,
    pub(super) user_agent: &'a str,
}

impl Register<'_> {
    /// The request, without Via.
    pub(super) fn build(self) -> Request {
        let mut request = Request::new(Method::Register, self.uri);
        let headers = &mut request.headers;
        for route in &self.routes {
            headers.push("Route", route);
        }
        headers.push("Max-Forwards", 70);
        let from = self.aor.clone().with_param("tag", Some(self.tag));
        headers.push("From", from);
        headers.push("To", &self.aor);
        headers.push("Call-ID", self.call_id);
        let (number, method) = (self.cseq, Method::Register);
        headers.push("CSeq", CSeq { number, method });
        if let Some(stale) = self.stale {
            let stale = NameAddr::new(stale).with_param("expires", Some("0"));
            headers.push("Contact", stale);
        }
        let expires = self.expires_s.to_string();
        let mut contact = NameAddr::new(self.contact).with_param("expires", Some(&expires));
        if let Some(instance) = self.instance {
            contact = contact
                .with_param("reg-id", Some("1"))
                .with_param("+sip.instance", Some(&format!("<{instance}>")));
        }
        headers.push("Contact", contact);
        headers.push("Expires", expires);
        let supported = match (self.instance.is_some(), self.gruu) {
            (true, true) => "path, outbound, gruu",
            (true, false) => "path, outbound",
            (false, _) => "path",
        };
        headers.push("Supported", supported);
        headers.push("Allow", crate::capabilities::ALLOW);
        headers.push("User-Agent", self.user_agent);
        request
    }
}

/// An OPTIONS to the account's domain, without Via.
pub(super) fn options(account: usize, contact: SipUri, env: &mut Env) -> Option<Request> {
    let aor = env.address_of_record(account)?;
    let uri = server_uri(&env.account(account)?.domain)?;
    let mut request = Request::new(Method::Options, uri);
    let headers = &mut request.headers;
    headers.push("Max-Forwards", 70);
    let tag = env.tokens.tag();
    headers.push("From", aor.clone().with_param("tag", Some(&tag)));
    headers.push("To", &aor);
    headers.push("Call-ID", env.tokens.word(24));
    let (number, method) = (1, Method::Options);
    headers.push("CSeq", CSeq { number, method });
    headers.push("Contact", NameAddr::new(contact));
    headers.push("User-Agent", &env.config.user_agent);
    Some(request)
}

impl Registration {
    /// An OPTIONS to one address.
    pub(super) fn options(
        &self,
        target: Target,
        env: &mut Env,
    ) -> Option<(RequestId, Box<Request>, Hop)> {
        let transport = env.account(self.account)?.transport;
        let request = options(self.account, self.contact(transport), env)?;
        Some((env.request_id(), Box::new(request), Hop::at(target)))
    }
}

impl Registration {
    pub(super) fn send(&mut self, env: &mut Env) -> Vec<RegistrationAction> {
        let abandon = self.request.take().map(RegistrationAction::Abandon);
        let send = self.build(env).unwrap_or(RegistrationAction::Report {
            until: None,
            error: Some(
                "the domain is neither a host name nor an address: correct account.domain"
                    .to_owned(),
            ),
        });
        abandon.into_iter().chain([send]).collect()
    }

    /// The REGISTER of section 10.2; `None`: the account names no server.
    fn build(&mut self, env: &mut Env) -> Option<RegistrationAction> {
        let aor = env.address_of_record(self.account)?;
        let id = env.request_id();
        let account = env.account(self.account)?;
        let (routes, hop) = self.route(account, false);
        let uri = server_uri(&account.domain)?;
        let (uri, hop) = match self.redirection.current() {
            Some(other) if routes.is_empty() => (other.uri.clone(), Ok(other.hop.clone())),
            Some(other) => (other.uri.clone(), hop),
            None => (uri, hop),
        };
        self.cseq += 1;
        self.next_at = None;
        // Where nothing is bound there is nothing to be taken away, but by the last REGISTER.
        let stale = self
            .contact
            .stale(account.transport)
            .filter(|_| self.bound_until.is_some() || !self.wanted);
        let request = Register {
            uri,
            aor,
            routes,
            tag: &self.tag,
            call_id: &self.call_id,
            cseq: self.cseq,
            // Where the registrar knows the flow by its name, the new contact takes the place of
            // the old one (RFC 5626 section 4.2).
            stale: stale.filter(|_| !self.flow.is_bound()),
            contact: self.contact(account.transport),
            expires_s: if self.wanted {
                self.lifetime.seconds()
            } else {
                0
            },
            instance: env
                .config
                .instance
                .as_deref()
                .filter(|_| self.flow.is_named()),
            gruu: account.gruu,
            user_agent: &env.config.user_agent,
        };
        let request = request.build();
        self.request = Some(id);
        Some(RegistrationAction::Send {
            id,
            request: Box::new(request),
            hop,
        })
    }
}
