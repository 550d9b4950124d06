//! Registrations (RFC 3261 section 10): one object per account, kept alive whatever the network
//! does.
//!
//! ```text
//! register, address change, timer ─▶ REGISTER ─┬ 200: refresh before it runs out
//!                                              ├ 423: again with the lifetime asked for
//!                                              └ else: again after a jittered back-off that begins at seconds
//! ```
//!
//! The contact's user part is random: only a caller who learnt it from the registrar can address
//! the phone by it (see `admission`).

mod servers;
#[cfg(test)]
mod tests;

pub(crate) use servers::{Servers, identity};

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::api::AccountConfig;
use crate::env::{Env, server_uri, with_transport};
use crate::flow::{Flow, Transport};
use crate::ids::{ConnectionId, RequestId};
use crate::locate::{Hop, HopError};
use crate::message::{CSeq, Method, NameAddr, Request, Response, SipUri};
use crate::timer::earliest;
use crate::token::Tokens;

/// Longest lifetime a registrar's 423 can make us ask for, in seconds.
const MAX_EXPIRES_S: u32 = 86_400;
/// How often in a row a registrar may ask for a longer lifetime.
const MAX_TOO_BRIEF: u8 = 2;
/// Back-off after a failure: first and longest.
const FIRST_RETRY: Duration = Duration::from_secs(2);
const LAST_RETRY: Duration = Duration::from_secs(120);
/// Back-off after a refusal of the password: long enough not to lock the account, short enough that
/// a corrected one works soon.
const DENIED_RETRY: Duration = Duration::from_secs(30);
/// Longest Retry-After that is believed, in seconds.
const MAX_RETRY_AFTER_S: u32 = 3600;
/// Most address corrections in a row (NAT that changes its port with every packet).
const MAX_CORRECTIONS: u8 = 2;
/// Most values of Service-Route kept (RFC 3608).
const MAX_SERVICE_ROUTES: usize = 8;

/// What should happen because of a registration.
#[derive(Debug)]
pub(crate) enum RegistrationAction {
    /// Send this REGISTER.
    Send {
        id: RequestId,
        request: Box<Request>,
        hop: Result<Hop, HopError>,
    },
    /// The answer to an older REGISTER no longer matters.
    Abandon(RequestId),
    /// The registration's state for the owner: until when it holds, and why not.
    Report {
        until: Option<Instant>,
        error: Option<String>,
    },
    /// The binding needs this connection: keep it open.
    KeepAlive(ConnectionId),
}

/// How a REGISTER ended.
#[derive(Debug, Clone, Copy)]
pub(crate) enum RegisterOutcome<'a> {
    /// A final response.
    Response(&'a Response),
    /// No response: the status that stands for it and why.
    Failed(u16, &'a str),
}

/// The waits between failed tries: doubled each time, never the same in all phones of a network.
#[derive(Debug, Default)]
struct BackOff {
    failures: u32,
}

impl BackOff {
    fn next(&mut self, denied: bool, retry_after: Option<u32>, tokens: &mut Tokens) -> Duration {
        self.failures = self.failures.saturating_add(1);
        let doubled = FIRST_RETRY * 2_u32.pow(self.failures.min(10) - 1);
        let (low, high) = if denied {
            let wait = doubled.max(DENIED_RETRY).min(LAST_RETRY);
            (wait, wait * 3 / 2)
        } else {
            let wait = doubled.min(LAST_RETRY);
            (wait / 2, wait)
        };
        let wait = tokens.between(low, high);
        let asked = retry_after.map(|s| Duration::from_secs(u64::from(s.min(MAX_RETRY_AFTER_S))));
        asked.map_or(wait, |asked| wait.max(asked))
    }
}

/// The registration of one account.
#[derive(Debug)]
pub(crate) struct Registration {
    account: usize,
    servers: Servers,
    /// User part of our contact; unguessable.
    contact_user: String,
    tag: String,
    call_id: String,
    cseq: u32,
    /// The binding is to be kept; otherwise there is none, or it is being taken away.
    wanted: bool,
    /// The REGISTER under way.
    request: Option<RequestId>,
    /// When to register again.
    next_at: Option<Instant>,
    /// When the binding runs out.
    bound_until: Option<Instant>,
    /// Lifetime to ask for, in seconds.
    expires_s: u32,
    back_off: BackOff,
    too_brief: u8,
    corrections: u8,
    /// Our address as the registrar sees it.
    public: SocketAddr,
    /// A contact to be taken away with the next REGISTER.
    stale_contact: Option<SipUri>,
    service_route: Vec<NameAddr>,
    connection: Option<ConnectionId>,
    /// The connection it registered over is gone: no call reaches the phone until it has registered
    /// again, whatever the binding's lifetime says.
    flow_lost: bool,
}

impl Registration {
    /// The registration of an account; it starts at the first timeout if the account registers.
    pub(crate) fn new(account: usize, config: &AccountConfig, env: &mut Env, now: Instant) -> Self {
        Self {
            account,
            servers: Servers::new(config),
            contact_user: env.tokens.word(20),
            tag: env.tokens.tag(),
            call_id: env.tokens.word(24),
            cseq: 0,
            wanted: config.register,
            request: None,
            next_at: config.register.then_some(now),
            bound_until: None,
            expires_s: config.expires_s.clamp(1, MAX_EXPIRES_S),
            back_off: BackOff::default(),
            too_brief: 0,
            corrections: 0,
            public: env.address_for(config.transport),
            stale_contact: None,
            service_route: Vec::new(),
            connection: None,
            flow_lost: false,
        }
    }

    // ── what others may ask ───────────────────────────────────────────────────────────────────

    /// The random user part of our contact.
    pub(crate) fn contact_user(&self) -> &str {
        &self.contact_user
    }

    /// The account's servers.
    pub(crate) fn servers(&self) -> &Servers {
        &self.servers
    }

    /// The same, to teach them an address.
    pub(crate) fn servers_mut(&mut self) -> &mut Servers {
        &mut self.servers
    }

    /// Our contact.
    pub(crate) fn contact(&self, transport: Transport) -> SipUri {
        with_transport(
            SipUri::at(self.public).with_user(&self.contact_user),
            transport,
        )
    }

    /// Whether its last try failed and it waits for the next.
    pub(crate) fn is_failing(&self) -> bool {
        self.back_off.failures > 0 && self.request.is_none()
    }

    /// The connection it registered over.
    pub(crate) fn connection(&self) -> Option<ConnectionId> {
        self.connection
    }

    /// The routes a request outside of a dialog gets by this account, and the first hop they (or
    /// the account's server) make.
    pub(crate) fn route(
        &self,
        account: &AccountConfig,
        with_service_route: bool,
    ) -> (Vec<NameAddr>, Result<Hop, HopError>) {
        let mut routes = Vec::new();
        if let Some(proxy) = account.outbound_proxy.as_deref().and_then(server_uri) {
            let proxy = if proxy.params().has("transport") {
                proxy
            } else {
                with_transport(proxy, account.transport)
            };
            routes.push(NameAddr::new(proxy.with_param("lr", None)));
        }
        if with_service_route && !self.service_route.is_empty() {
            routes.clone_from(&self.service_route);
        }
        let hop = match routes.first() {
            Some(route) => Hop::of(&route.uri).and_then(|hop| match account.transport {
                Transport::Udp | Transport::Tcp => Ok(hop),
                Transport::Tls => hop.secured(),
            }),
            None => server_hop(account),
        };
        (routes, hop)
    }

    /// When to call [`Registration::handle_timeout`].
    pub(crate) fn deadline(&self) -> Option<Instant> {
        earliest([self.next_at, self.bound_until])
    }

    // ── what happens to it ────────────────────────────────────────────────────────────────────

    /// Registers now, whatever it waits for.
    pub(crate) fn register(&mut self, env: &mut Env) -> Vec<RegistrationAction> {
        if !self.wanted {
            return Vec::new();
        }
        self.back_off.failures = 0;
        self.too_brief = 0;
        self.corrections = 0;
        self.send(env)
    }

    /// Takes the binding away, for good.
    pub(crate) fn unregister(&mut self, env: &mut Env) -> Vec<RegistrationAction> {
        self.wanted = false;
        self.next_at = None;
        let bound = self.bound_until.take().is_some() || self.request.is_some();
        if bound { self.send(env) } else { Vec::new() }
    }

    /// A REGISTER got its final response, or failed without one.
    pub(crate) fn handle_outcome(
        &mut self,
        outcome: RegisterOutcome<'_>,
        env: &mut Env,
        now: Instant,
    ) -> Vec<RegistrationAction> {
        self.request = None;
        if !self.wanted {
            self.bound_until = None;
            return vec![RegistrationAction::Report {
                until: None,
                error: None,
            }];
        }
        let response = match outcome {
            RegisterOutcome::Response(response) => response,
            RegisterOutcome::Failed(code, reason) => {
                return self.handle_refusal(code, reason, None, env, now);
            }
        };
        if response.is_success() {
            return self.handle_success(response, env, now);
        }
        let code = response.code();
        // Section 10.2.8: the lifetime asked for was too short.
        if code == 423
            && let Some(least) = response.headers.number("Min-Expires")
            && (self.expires_s + 1..=MAX_EXPIRES_S).contains(&least)
            && self.too_brief < MAX_TOO_BRIEF
        {
            self.expires_s = least;
            self.too_brief += 1;
            return self.send(env);
        }
        let help = match code {
            401 | 407 => "; check user, auth_user and password of the account",
            403 => "; the server does not accept this account: check user and password",
            404 => "; the server does not know this user",
            _ => "",
        };
        let reason = format!("{}{help}", response.reason());
        let retry_after = response.headers.number("Retry-After");
        self.handle_refusal(code, &reason, retry_after, env, now)
    }

    /// Its time has come: to register again, or to report that the binding ran out.
    pub(crate) fn handle_timeout(
        &mut self,
        env: &mut Env,
        now: Instant,
    ) -> Vec<RegistrationAction> {
        let mut actions = Vec::new();
        if self.bound_until.is_some_and(|until| until <= now) {
            self.bound_until = None;
            actions.push(RegistrationAction::Report {
                until: None,
                error: Some("the registration ran out and could not be renewed".to_owned()),
            });
        }
        if self.next_at.is_some_and(|at| at <= now) {
            actions.extend(self.send(env));
        }
        actions
    }

    /// The phone's own address is another one: `env` has it already.
    pub(crate) fn handle_local_address(
        &mut self,
        changed: bool,
        env: &mut Env,
    ) -> Vec<RegistrationAction> {
        let transport = env
            .account(self.account)
            .map_or(Transport::Udp, |a| a.transport);
        let here = env.address_for(transport);
        if changed {
            if self.bound_until.is_some() && self.public != here {
                self.stale_contact = Some(self.contact(transport));
            }
            self.public = here;
        }
        self.register(env)
    }

    /// A connection is gone: what was registered over it cannot be reached any more.
    pub(crate) fn handle_connection_lost(
        &mut self,
        connection: ConnectionId,
        reason: &str,
        env: &mut Env,
        now: Instant,
    ) -> Vec<RegistrationAction> {
        if self.connection != Some(connection) {
            return Vec::new();
        }
        self.connection = None;
        let newly_lost = self.wanted && self.bound_until.is_some() && !self.flow_lost;
        self.flow_lost |= newly_lost;
        if self.wanted && self.request.is_none() {
            let wait = env.tokens.between(Duration::from_millis(500), FIRST_RETRY);
            self.next_at = Some(now + wait);
        }
        let report = newly_lost.then(|| RegistrationAction::Report {
            until: None,
            error: Some(reason.to_owned()),
        });
        report.into_iter().collect()
    }

    /// Its REGISTER left by this flow.
    pub(crate) fn handle_sent(&mut self, flow: Flow) {
        self.connection = flow.connection().or(self.connection);
    }

    /// Its REGISTER was sent again with credentials: that number counts.
    pub(crate) fn handle_renumbered(&mut self, cseq: u32) {
        self.cseq = self.cseq.max(cseq);
    }

    fn handle_success(
        &mut self,
        response: &Response,
        env: &mut Env,
        now: Instant,
    ) -> Vec<RegistrationAction> {
        let transport = env
            .account(self.account)
            .map_or(Transport::Udp, |a| a.transport);
        self.back_off.failures = 0;
        self.too_brief = 0;
        let granted = granted(response, &self.contact_user).unwrap_or(self.expires_s);
        if granted == 0 {
            let reason = "the registrar keeps no binding for this phone";
            return self.handle_refusal(200, reason, None, env, now);
        }
        self.service_route = response
            .headers
            .addresses("Service-Route")
            .unwrap_or_default();
        self.service_route.truncate(MAX_SERVICE_ROUTES);
        let lifetime = Duration::from_secs(u64::from(granted));
        let until = now + lifetime;
        self.bound_until = Some(until);
        self.flow_lost = false;
        self.next_at = Some(now + refresh_after(lifetime, &mut env.tokens));
        let seen = response
            .headers
            .top_via()
            .ok()
            .and_then(|via| Some(SocketAddr::new(via.received()?, via.rport()?)));
        // A server cannot open a TLS connection to a phone behind a firewall; with the address this
        // one comes from in the contact it can use this one.
        let corrects = |seen: &SocketAddr| {
            transport != Transport::Tcp
                && *seen != self.public
                && self.corrections < MAX_CORRECTIONS
        };
        if let Some(seen) = seen.filter(corrects) {
            self.corrections += 1;
            self.stale_contact = Some(self.contact(transport));
            self.public = seen;
            return self.send(env);
        }
        self.corrections = 0;
        let keep_alive = self.connection.map(RegistrationAction::KeepAlive);
        let report = RegistrationAction::Report {
            until: Some(until),
            error: None,
        };
        keep_alive.into_iter().chain([report]).collect()
    }

    fn handle_refusal(
        &mut self,
        code: u16,
        reason: &str,
        retry_after: Option<u32>,
        env: &mut Env,
        now: Instant,
    ) -> Vec<RegistrationAction> {
        let denied = matches!(code, 401 | 403 | 407);
        let wait = self.back_off.next(denied, retry_after, &mut env.tokens);
        self.next_at = Some(now + wait);
        // The old binding may hold until it runs out.
        self.bound_until = self.bound_until.filter(|until| *until > now);
        let domain = env
            .account(self.account)
            .map(|account| account.domain.as_str())
            .unwrap_or_default();
        vec![RegistrationAction::Report {
            until: self.bound_until.filter(|_| !self.flow_lost),
            error: Some(format!("{domain}: {code} {reason}")),
        }]
    }

    fn send(&mut self, env: &mut Env) -> Vec<RegistrationAction> {
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
        let expires = if self.wanted { self.expires_s } else { 0 };
        self.cseq += 1;
        self.next_at = None;
        let mut request = Request::new(Method::Register, uri);
        let headers = &mut request.headers;
        for route in &routes {
            headers.push("Route", route);
        }
        headers.push("Max-Forwards", 70);
        headers.push("From", aor.clone().with_param("tag", Some(&self.tag)));
        headers.push("To", &aor);
        headers.push("Call-ID", &self.call_id);
        headers.push(
            "CSeq",
            CSeq {
                number: self.cseq,
                method: Method::Register,
            },
        );
        if let Some(stale) = self.stale_contact.take() {
            headers.push(
                "Contact",
                NameAddr::new(stale).with_param("expires", Some("0")),
            );
        }
        let contact = NameAddr::new(self.contact(account.transport))
            .with_param("expires", Some(&expires.to_string()));
        headers.push("Contact", contact);
        headers.push("Expires", expires);
        headers.push("Supported", "path");
        headers.push("Allow", crate::capabilities::ALLOW);
        headers.push("User-Agent", &env.config.user_agent);
        self.request = Some(id);
        Some(RegistrationAction::Send {
            id,
            request: Box::new(request),
            hop,
        })
    }
}

/// How long after a success to register again: before the binding runs out, with room for one whole
/// failed try where the lifetime allows that.
fn refresh_after(lifetime: Duration, tokens: &mut Tokens) -> Duration {
    let margin = (lifetime / 2)
        .min(Duration::from_secs(40))
        .max(lifetime / 10);
    let jitter = tokens
        .between(Duration::from_millis(800), Duration::from_secs(1))
        .as_millis() as u32;
    lifetime.saturating_sub(margin) * jitter / 1000
}

/// Where requests of an account go that have no route of their own: the configured registrar,
/// otherwise the domain.
fn server_hop(account: &AccountConfig) -> Result<Hop, HopError> {
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

/// The lifetime the registrar grants, in seconds: our own contact's `expires`, otherwise the header.
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
