//! Registrations (RFC 3261 section 10): one line an account, kept alive whatever the network does.
//!
//! ```text
//! register, address change, timer ─▶ REGISTER ─▶ outgoing ─▶ 200: refresh before it runs out
//!                                                          ├ 423: again with the lifetime asked for
//!                                                          └ else: again after a jittered back-off that begins at seconds
//! ```
//!
//! The contact's user part is random: only who was told it by the registrar can address the phone
//! by it (see `admission`).

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use crate::agent::{UserAgent, Waiter, at_port};
use crate::api::{AccountConfig, Event};
use crate::flow::{Flow, Target, Transport};
use crate::ids::{AccountId, ConnectionId, RequestId};
use crate::locate::{Hop, HopError};
use crate::message::{CSeq, Host, Method, NameAddr, Request, Response, SipUri, Uri};
use crate::outgoing::{Errand, Outcome, Purpose, plain};
use crate::timer::earliest;
use crate::token::Tokens;

/// Most server addresses remembered an account.
const MAX_KNOWN: usize = 32;
/// Longest lifetime a registrar's 423 can make us ask for, in seconds.
const MAX_EXPIRES: u32 = 86_400;
/// Back-off after a failure: first and longest.
const FIRST_RETRY: Duration = Duration::from_secs(2);
const LAST_RETRY: Duration = Duration::from_secs(120);
/// Back-off after a refusal of the password: long enough to annoy nobody, short enough that a
/// mended account works soon.
const DENIED_RETRY: Duration = Duration::from_secs(30);
/// Longest Retry-After that is believed.
const MAX_RETRY_AFTER: u32 = 3600;
/// Most address corrections in a row (NAT that changes its port with every packet).
const MAX_CORRECTIONS: u8 = 2;

/// One account's registration.
#[derive(Debug)]
pub(crate) struct Line {
    /// User part of our contact; unguessable.
    user: String,
    tag: String,
    call_id: String,
    cseq: u32,
    wanted: bool,
    /// The REGISTER under way.
    outgoing: Option<RequestId>,
    next_at: Option<Instant>,
    /// When the binding runs out.
    until: Option<Instant>,
    expires: u32,
    failures: u32,
    too_brief: u8,
    corrections: u8,
    /// Our address as the registrar sees it.
    public: SocketAddr,
    /// The contact to be taken away with the next REGISTER.
    old_contact: Option<SipUri>,
    pub(crate) service_route: Vec<NameAddr>,
    /// The servers' names as configured, and every address they were found at.
    hosts: Vec<Host>,
    known: Vec<IpAddr>,
    connection: Option<ConnectionId>,
    /// The connection it registered over is gone: no call reaches the phone until it has
    /// registered again, whatever the binding's lifetime says.
    flow_lost: bool,
}

impl Line {
    pub(crate) fn new(
        account: &AccountConfig,
        local: SocketAddr,
        tokens: &mut Tokens,
        now: Instant,
    ) -> Self {
        let hosts: Vec<Host> = [
            Some(&account.domain),
            account.registrar.as_ref(),
            account.outbound_proxy.as_ref(),
        ]
        .into_iter()
        .flatten()
        .filter_map(|text| server_uri(text).map(|uri| uri.host().clone()))
        .collect();
        let known = hosts.iter().filter_map(Host::ip).collect();
        Self {
            user: tokens.word(20),
            tag: tokens.tag(),
            call_id: tokens.word(24),
            cseq: 0,
            wanted: account.register,
            outgoing: None,
            next_at: account.register.then_some(now),
            until: None,
            expires: account.expires_s.clamp(1, MAX_EXPIRES),
            failures: 0,
            too_brief: 0,
            corrections: 0,
            public: local,
            old_contact: None,
            service_route: Vec::new(),
            hosts,
            known,
            connection: None,
            flow_lost: false,
        }
    }

    /// The random user part of our contact.
    pub(crate) fn contact_user(&self) -> &str {
        &self.user
    }

    /// Whether this is an address of the account's servers.
    pub(crate) fn knows(&self, ip: IpAddr) -> bool {
        self.known.contains(&ip.to_canonical())
    }

    /// Whether the account's password may be shown (as digest) to who was reached by this name at
    /// this address.
    pub(crate) fn trusts(&self, host: &Host, ip: IpAddr) -> bool {
        self.knows(ip) || self.hosts.iter().any(|known| known.matches(host))
    }

    /// A name was resolved: if it is one of ours, so are its addresses.
    pub(crate) fn learn(&mut self, host: &Host, targets: &[Target]) {
        if !self.hosts.iter().any(|known| known.matches(host)) {
            return;
        }
        for target in targets {
            let ip = target.address.ip().to_canonical();
            if !self.known.contains(&ip) {
                if self.known.len() >= MAX_KNOWN {
                    self.known.remove(0);
                }
                self.known.push(ip);
            }
        }
    }

    /// Our contact.
    pub(crate) fn contact(&self, transport: Transport) -> SipUri {
        with_transport(SipUri::at(self.public).with_user(&self.user), transport)
    }

    /// Whether its last registration failed and it waits for the next.
    pub(crate) fn is_failing(&self) -> bool {
        self.failures > 0 && self.outgoing.is_none()
    }

    /// The connection it registered over.
    pub(crate) fn connection(&self) -> Option<ConnectionId> {
        self.connection
    }

    /// Who is behind this host, if it is one of the account's servers: the account's domain. An
    /// address counts because the account names it or its domain was found there; the certificate
    /// must be the domain's all the same.
    pub(crate) fn names_behind(&self, host: &Host, ip: IpAddr) -> Vec<String> {
        let ours = self.hosts.iter().any(|known| known.matches(host))
            || (host.ip().is_some() && self.knows(ip));
        self.hosts
            .first()
            .filter(|_| ours)
            .map(plain)
            .into_iter()
            .collect()
    }
}

/// A Contact that says its transport; UDP goes without saying.
pub(crate) fn with_transport(uri: SipUri, transport: Transport) -> SipUri {
    match transport {
        Transport::Udp => uri,
        Transport::Tcp => uri.with_param("transport", Some("tcp")),
        Transport::Tls => uri.with_param("transport", Some("tls")),
    }
}

/// `sip:host[:port]` of a configured `host[:port]`.
pub(crate) fn server_uri(text: &str) -> Option<SipUri> {
    let text = text.strip_prefix("sip:").unwrap_or(text);
    match Uri::parse(&format!("sip:{text}")).ok()? {
        Uri::Sip(uri) => Some(uri),
        Uri::Tel(_) | Uri::Other(_) => None,
    }
}

/// Where requests of an account go that have no route of their own: the configured registrar, else
/// the domain.
fn home(account: &AccountConfig) -> Result<Hop, HopError> {
    let text = account.registrar.as_ref().unwrap_or(&account.domain);
    let mut hop = Hop::of(&server_uri(text).ok_or(HopError::NoHost)?.into())?;
    match account.transport {
        Transport::Udp => Ok(hop),
        Transport::Tcp => {
            hop.transport = hop.transport.or(Some(Transport::Tcp));
            Ok(hop)
        }
        Transport::Tls => hop.secured(),
    }
}

impl UserAgent {
    /// The address of record of an account.
    pub(crate) fn address_of_record(&self, line: usize) -> Option<NameAddr> {
        let account = self.config.accounts.get(line)?;
        Some(NameAddr::new(
            server_uri(&account.domain)?.with_user(&account.user),
        ))
    }

    /// The routes a request outside of a dialog gets by an account, and the first hop they (or the
    /// account's server) make.
    pub(crate) fn account_way(
        &self,
        line: usize,
        with_service_route: bool,
    ) -> (Vec<NameAddr>, Result<Hop, HopError>) {
        let (Some(account), Some(state)) = (self.config.accounts.get(line), self.lines.get(line))
        else {
            return (Vec::new(), Err(HopError::NoHost));
        };
        let mut routes = Vec::new();
        if let Some(proxy) = account.outbound_proxy.as_deref().and_then(server_uri) {
            let proxy = if proxy.params().has("transport") {
                proxy
            } else {
                with_transport(proxy, account.transport)
            };
            routes.push(NameAddr::new(proxy.with_param("lr", None)));
        }
        if with_service_route && !state.service_route.is_empty() {
            routes.clone_from(&state.service_route);
        }
        let hop = match routes.first() {
            Some(route) => Hop::of(&route.uri).and_then(|hop| match account.transport {
                Transport::Udp | Transport::Tcp => Ok(hop),
                Transport::Tls => hop.secured(),
            }),
            None => home(account),
        };
        (routes, hop)
    }

    /// Keeps the index in step with a line.
    pub(crate) fn schedule_line(&mut self, line: usize) {
        let Some(state) = self.lines.get(line) else {
            return;
        };
        self.deadlines
            .set(Waiter::Line(line), earliest([state.next_at, state.until]));
    }

    /// Registers a line now, whatever it waits for.
    pub(crate) fn register_line(&mut self, line: usize, now: Instant) {
        let Some(state) = self.lines.get_mut(line) else {
            return;
        };
        if !state.wanted || self.leaving {
            return;
        }
        state.failures = 0;
        state.too_brief = 0;
        state.corrections = 0;
        self.send_register(line, now);
    }

    fn send_register(&mut self, line: usize, now: Instant) {
        if let Some(old) = self
            .lines
            .get_mut(line)
            .and_then(|state| state.outgoing.take())
        {
            self.withdraw(old);
        }
        let Some(aor) = self.address_of_record(line) else {
            let account = AccountId(line);
            let error =
                Some("the domain is no host name or address: mend account.domain".to_owned());
            self.events.push_back(Event::Registration {
                account,
                until: None,
                error,
            });
            return;
        };
        let (routes, hop) = self.account_way(line, false);
        let (Some(account), Some(state)) =
            (self.config.accounts.get(line), self.lines.get_mut(line))
        else {
            return;
        };
        let Some(uri) = server_uri(&account.domain) else {
            return;
        };
        let expires = if self.leaving { 0 } else { state.expires };
        state.cseq += 1;
        state.next_at = None;
        let mut request = Request::new(Method::Register, uri);
        let headers = &mut request.headers;
        for route in &routes {
            headers.push("Route", route);
        }
        headers.push("Max-Forwards", 70);
        headers.push("From", aor.clone().with_param("tag", Some(&state.tag)));
        headers.push("To", &aor);
        headers.push("Call-ID", &state.call_id);
        headers.push(
            "CSeq",
            CSeq {
                number: state.cseq,
                method: Method::Register,
            },
        );
        if let Some(old) = state.old_contact.take() {
            headers.push(
                "Contact",
                NameAddr::new(old).with_param("expires", Some("0")),
            );
        }
        let contact = NameAddr::new(state.contact(account.transport))
            .with_param("expires", Some(&expires.to_string()));
        headers.push("Contact", contact);
        headers.push("Expires", expires);
        headers.push("Supported", "path");
        headers.push("Allow", crate::incoming::ALLOW);
        headers.push("User-Agent", &self.config.user_agent);
        let id = self.dispatch(
            Errand {
                purpose: Purpose::Register(line),
                account: Some(line),
                request,
                hop,
                flow: None,
            },
            now,
        );
        if let Some(state) = self.lines.get_mut(line) {
            state.outgoing = Some(id);
        }
        self.schedule_line(line);
    }

    /// Takes a line's binding away.
    pub(crate) fn unregister_line(&mut self, line: usize, now: Instant) {
        let Some(state) = self.lines.get_mut(line) else {
            return;
        };
        state.wanted = false;
        state.next_at = None;
        let bound = state.until.take().is_some() || state.outgoing.is_some();
        if bound {
            self.send_register(line, now);
        }
        self.schedule_line(line);
    }

    /// How a REGISTER ended.
    pub(crate) fn registered(&mut self, line: usize, outcome: &Outcome<'_>, now: Instant) {
        let Some(state) = self.lines.get_mut(line) else {
            return;
        };
        match outcome {
            Outcome::Response(response) if response.is_provisional() => return,
            Outcome::Response(_) | Outcome::Failed(..) => state.outgoing = None,
        }
        if !state.wanted {
            if state.until.take().is_some() || self.leaving {
                self.events.push_back(Event::Registration {
                    account: AccountId(line),
                    until: None,
                    error: None,
                });
            }
            self.schedule_line(line);
            return;
        }
        match outcome {
            Outcome::Response(response) if response.is_success() => self.bound(line, response, now),
            Outcome::Response(response) => {
                match (response.code(), response.headers.number("Min-Expires")) {
                    (423, Some(least))
                        if least > state.expires && least <= MAX_EXPIRES && state.too_brief < 2 =>
                    {
                        state.expires = least;
                        state.too_brief += 1;
                        self.send_register(line, now);
                    }
                    (code, _) => {
                        let after = response.headers.number("Retry-After");
                        let mend = match code {
                            401 | 407 => "; check user, auth_user and password of the account",
                            403 => {
                                "; the server does not accept this account: check user and password"
                            }
                            404 => "; the server does not know this user",
                            _ => "",
                        };
                        self.not_bound(
                            line,
                            code,
                            &format!("{}{mend}", response.reason()),
                            after,
                            now,
                        );
                    }
                }
            }
            Outcome::Failed(code, reason) => self.not_bound(line, *code, reason, None, now),
        }
    }

    fn bound(&mut self, line: usize, response: &Response, now: Instant) {
        let transport = self
            .config
            .accounts
            .get(line)
            .map_or(Transport::Udp, |a| a.transport);
        let jitter = self
            .tokens
            .between(Duration::from_millis(800), Duration::from_secs(1))
            .as_millis() as u64;
        let Some(state) = self.lines.get_mut(line) else {
            return;
        };
        let granted = granted(response, &state.user).unwrap_or(state.expires);
        state.failures = 0;
        state.too_brief = 0;
        if granted == 0 {
            self.not_bound(
                line,
                200,
                "the registrar keeps no binding for this phone",
                None,
                now,
            );
            return;
        }
        state.service_route = response
            .headers
            .addresses("Service-Route")
            .unwrap_or_default();
        state.service_route.truncate(8);
        let lifetime = Duration::from_secs(u64::from(granted));
        let until = now + lifetime;
        state.until = Some(until);
        state.flow_lost = false;
        // Before it runs out, with room for one whole failed try where the lifetime allows that.
        let margin = (lifetime / 2)
            .min(Duration::from_secs(40))
            .max(lifetime / 10);
        state.next_at = Some(now + lifetime.saturating_sub(margin) * (jitter as u32) / 1000);
        let seen = response
            .headers
            .top_via()
            .ok()
            .and_then(|via| Some(SocketAddr::new(via.received()?, via.rport()?)));
        let old = state.contact(transport);
        // A server cannot open a TLS connection to a phone behind a firewall; told where this one
        // comes from it can use it.
        let told = |seen: &SocketAddr| {
            transport != Transport::Tcp
                && *seen != state.public
                && state.corrections < MAX_CORRECTIONS
        };
        if let Some(seen) = seen.filter(told) {
            state.corrections += 1;
            state.public = seen;
            state.old_contact = Some(old);
            self.send_register(line, now);
        } else {
            state.corrections = 0;
            if let Some(connection) = state.connection {
                self.keep_alive(connection, now);
            }
            self.events.push_back(Event::Registration {
                account: AccountId(line),
                until: Some(until),
                error: None,
            });
        }
        self.schedule_line(line);
    }

    fn not_bound(
        &mut self,
        line: usize,
        code: u16,
        reason: &str,
        retry_after: Option<u32>,
        now: Instant,
    ) {
        let denied = matches!(code, 401 | 403 | 407);
        let Some(state) = self.lines.get_mut(line) else {
            return;
        };
        state.failures = state.failures.saturating_add(1);
        let doubled = FIRST_RETRY * 2_u32.pow(state.failures.min(10) - 1);
        let back_off = if denied {
            doubled.max(DENIED_RETRY).min(LAST_RETRY)
        } else {
            doubled.min(LAST_RETRY)
        };
        // Never all phones of a house at once after an outage.
        let low = if denied { back_off } else { back_off / 2 };
        let mut wait = self
            .tokens
            .between(low, if denied { back_off * 3 / 2 } else { back_off });
        if let Some(after) = retry_after {
            wait = wait.max(Duration::from_secs(u64::from(after.min(MAX_RETRY_AFTER))));
        }
        state.next_at = Some(now + wait);
        let domain = self
            .config
            .accounts
            .get(line)
            .map(|a| a.domain.as_str())
            .unwrap_or_default();
        let error = format!("{domain}: {code} {reason}");
        let until = state.until.filter(|until| *until > now);
        state.until = until;
        self.events.push_back(Event::Registration {
            account: AccountId(line),
            until: until.filter(|_| !state.flow_lost),
            error: Some(error),
        });
        self.schedule_line(line);
    }

    /// A line's time has come: to register, or to say that the binding ran out.
    pub(crate) fn line_timeout(&mut self, line: usize, now: Instant) {
        let Some(state) = self.lines.get_mut(line) else {
            return;
        };
        if state.until.is_some_and(|until| until <= now) {
            state.until = None;
            let error = Some("the registration ran out and could not be renewed".to_owned());
            self.events.push_back(Event::Registration {
                account: AccountId(line),
                until: None,
                error,
            });
        }
        if state.next_at.is_some_and(|at| at <= now) {
            self.send_register(line, now);
        } else {
            self.schedule_line(line);
        }
    }

    /// The phone's own address is another one.
    pub(crate) fn moved(&mut self, local: SocketAddr, now: Instant) {
        let old_local = self.wire.local;
        let tls_port = self.config.tls_port;
        self.wire.local = local;
        for line in 0..self.lines.len() {
            let transport = self
                .config
                .accounts
                .get(line)
                .map_or(Transport::Udp, |a| a.transport);
            if let Some(state) = self.lines.get_mut(line) {
                let here = at_port(local, tls_port, transport);
                if old_local != local && state.until.is_some() && state.public != here {
                    state.old_contact = Some(state.contact(transport));
                }
                if old_local != local {
                    state.public = here;
                }
            }
            self.register_line(line, now);
        }
        if old_local != local {
            self.calls_moved(now);
        }
    }

    /// A connection is gone: what was registered over it cannot be reached any more.
    pub(crate) fn lines_lost(&mut self, connection: ConnectionId, reason: &str, now: Instant) {
        let wait = self.tokens.between(Duration::from_millis(500), FIRST_RETRY);
        for line in 0..self.lines.len() {
            let Some(state) = self.lines.get_mut(line) else {
                continue;
            };
            if state.connection == Some(connection) {
                state.connection = None;
                if state.wanted && state.until.is_some() && !state.flow_lost {
                    state.flow_lost = true;
                    self.events.push_back(Event::Registration {
                        account: AccountId(line),
                        until: None,
                        error: Some(reason.to_owned()),
                    });
                }
                if state.wanted && state.outgoing.is_none() {
                    state.next_at = Some(now + wait);
                    self.schedule_line(line);
                }
            }
        }
    }

    /// Remembers over which connection a line registered.
    pub(crate) fn registered_over(&mut self, line: usize, flow: Flow) {
        if let (Some(state), Some(connection)) = (self.lines.get_mut(line), flow.connection()) {
            state.connection = Some(connection);
        }
    }

    /// A REGISTER was sent again with credentials: its number counts.
    pub(crate) fn register_numbered(&mut self, line: usize, number: u32) {
        if let Some(state) = self.lines.get_mut(line) {
            state.cseq = state.cseq.max(number);
        }
    }
}

/// What the registrar grants: our own contact's `expires`, else the header.
fn granted(response: &Response, user: &str) -> Option<u32> {
    let contacts = response
        .headers
        .values("Contact")
        .filter_map(|v| NameAddr::parse(v).ok());
    let ours = contacts
        .filter(|c| c.uri.user().as_deref() == Some(user))
        .filter_map(|c| c.params.get("expires")?.parse().ok())
        // A contact just taken away may still be listed, with nothing left.
        .max();
    ours.or_else(|| response.headers.expires())
}
