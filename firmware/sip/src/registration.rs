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

mod action;
mod contact;
mod failover;
mod flow_state;
mod grant;
mod history;
mod lifetime;
mod network;
mod redirection;
mod refusal;
mod request;
mod restoration;
#[cfg(test)]
mod tests;

pub(crate) use action::{RegisterOutcome, RegistrationAction};
pub(crate) use failover::proves_alive;
pub use history::RegistrationAttempt;

use std::time::{Duration, Instant};

use crate::api::AccountConfig;
use crate::back_off::{BackOff, FIRST_RETRY, refresh_after};
use crate::env::Env;
use crate::flow::{Flow, Target, Transport};
use crate::ids::{ConnectionId, RequestId};
use crate::locate::{Hop, HopError};
use crate::message::{NameAddr, Response, SipUri};
use crate::servers::{self, ServerChoice, ServerRoute, Servers, backup_routes};
use crate::timer::earliest;
use crate::udp_keepalive::UdpKeepaliveStep;

use contact::Contact;
use failover::Failover;
use flow_state::FlowState;
use grant::{Grant, seen_by};
use history::RegistrationHistory;
use lifetime::Lifetime;
use redirection::Redirection;
use refusal::refusal_text;
use restoration::Restoration;

/// The registration of one account.
#[derive(Debug)]
pub(crate) struct Registration {
    account: usize,
    servers: Servers,
    /// The servers tried after the first.
    backups: Vec<ServerRoute>,
    failover: Failover,
    history: RegistrationHistory,
    /// The server that answered last.
    answered: Option<ServerChoice>,
    flow: FlowState,
    /// The registrar took this password once.
    proven: bool,
    /// The address the registrar names this phone by to the world (RFC 5627).
    gruu: Option<SipUri>,
    contact: Contact,
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
    lifetime: Lifetime,
    back_off: BackOff,
    service_route: Vec<NameAddr>,
    connection: Option<ConnectionId>,
    /// The connection it registered over is gone: no call reaches the phone until it has registered
    /// again, whatever the binding's lifetime says.
    flow_lost: bool,
    restoration: Restoration,
    redirection: Redirection,
}

impl Registration {
    /// The registration of an account; it starts at the first timeout if the account registers.
    pub(crate) fn new(account: usize, config: &AccountConfig, env: &mut Env, now: Instant) -> Self {
        let here = env.account_address(account, config.transport);
        Self {
            account,
            servers: Servers::new(config),
            backups: backup_routes(config),
            failover: Failover::default(),
            history: RegistrationHistory::default(),
            answered: None,
            flow: FlowState::new(env.config.instance.is_some()),
            proven: false,
            gruu: None,
            contact: Contact::new(env.tokens.word(20), here),
            tag: env.tokens.tag(),
            call_id: env.tokens.word(24),
            cseq: 0,
            wanted: config.register,
            request: None,
            next_at: config.register.then_some(now),
            bound_until: None,
            lifetime: Lifetime::new(config.expires_s),
            back_off: BackOff::default(),
            service_route: Vec::new(),
            connection: None,
            flow_lost: false,
            restoration: Restoration::default(),
            redirection: Redirection::default(),
        }
    }

    // ── what others may ask ───────────────────────────────────────────────────────────────────

    /// The random user part of our contact.
    pub(crate) fn contact_user(&self) -> &str {
        self.contact.user()
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
        self.contact.uri(transport)
    }

    /// The servers tried after the first.
    pub(crate) fn backups(&self) -> &[ServerRoute] {
        &self.backups
    }

    /// The address it is registered at, and which server of the list that is (0: the first).
    pub(crate) fn server(&self) -> Option<(Target, usize)> {
        self.failover.registered()
    }

    /// Servers that would be better than the one it is registered at, and do not answer.
    pub(crate) fn silent_servers(&self) -> &[Target] {
        self.failover.better()
    }

    /// The server it is registered at, where that did not answer something lately.
    pub(crate) fn suspected_server(&self) -> Option<(Target, usize)> {
        self.failover.suspected()
    }

    /// The server that is being probed.
    pub(crate) fn probed(&self) -> Option<Target> {
        self.failover.probed()
    }

    /// Its last attempts, oldest first.
    pub(crate) fn history(&self) -> impl Iterator<Item = &RegistrationAttempt> {
        self.history.iter()
    }

    /// Whether the registrar took the account's password once.
    pub(crate) fn is_proven(&self) -> bool {
        self.proven
    }

    /// Our contact in a dialog: the address the registrar gave this phone, or our own.
    pub(crate) fn call_contact(&self, transport: Transport) -> SipUri {
        let gruu = self.gruu.clone().filter(|_| self.bound_until.is_some());
        gruu.unwrap_or_else(|| self.contact(transport))
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
        let service_route = if with_service_route {
            &self.service_route[..]
        } else {
            &[]
        };
        servers::route(account, service_route)
    }

    /// When to call [`Registration::handle_timeout`].
    pub(crate) fn deadline(&self) -> Option<Instant> {
        // Once the binding is taken away, the server is asked nothing more.
        let server = earliest([self.failover.deadline(), self.flow.deadline()]);
        earliest([
            self.next_at,
            self.bound_until,
            server.filter(|_| self.wanted),
        ])
    }

    // ── what happens to it ────────────────────────────────────────────────────────────────────

    /// Registers now, whatever it waits for.
    pub(crate) fn register(&mut self, env: &mut Env) -> Vec<RegistrationAction> {
        if !self.wanted {
            return Vec::new();
        }
        self.back_off.failures = 0;
        self.lifetime.handle_agreed();
        self.contact.handle_agreed();
        self.end_redirection();
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
        if self.follow_redirection(outcome, env, now) {
            return self.send(env);
        }
        if !self.wanted {
            self.bound_until = None;
            return vec![RegistrationAction::Report {
                until: None,
                error: None,
            }];
        }
        self.failover
            .handle_outcome(matches!(outcome, RegisterOutcome::Response(_)));
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
        if code == 423 && self.lifetime.handle_too_brief(response) {
            return self.send(env);
        }
        // RFC 5626 section 6: the first hop cannot name flows.
        if code == 439 && self.flow.handle_no_outbound() {
            return self.send(env);
        }
        let reason = refusal_text(response);
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
        if !self.wanted {
            return actions;
        }
        let probed = self.failover.poll_probe(&mut env.tokens, now);
        let probe = probed.and_then(|target| self.options(target, env));
        actions.extend(probe.map(|(id, request, hop)| RegistrationAction::Probe {
            id,
            request,
            hop,
        }));
        actions.extend(self.keep_open(env, now));
        actions
    }

    /// The keepalive of a flow over UDP.
    fn keep_open(&mut self, env: &mut Env, now: Instant) -> Option<RegistrationAction> {
        let step = self.flow.handle_timeout(&mut env.tokens, now);
        let (server, _) = self.failover.registered()?;
        match step {
            UdpKeepaliveStep::Wait => None,
            UdpKeepaliveStep::LineEnd => Some(RegistrationAction::LineEnd(server)),
            UdpKeepaliveStep::Ask => {
                let (id, request, hop) = self.options(server, env)?;
                Some(RegistrationAction::Keepalive { id, request, hop })
            }
        }
    }

    /// What the server answered to a keepalive, if it did.
    pub(crate) fn handle_keepalive(
        &mut self,
        answer: Option<&Response>,
        env: &mut Env,
        now: Instant,
    ) -> Vec<RegistrationAction> {
        let Some(answer) = answer else {
            if self.flow.handle_silence() {
                return self.handle_suspicion(env, now);
            }
            return Vec::new();
        };
        if self.flow.handle_seen(seen_by(answer)) && self.request.is_none() {
            tracing::info!("the server sees this phone at another address; registering again");
            return self.register(env);
        }
        Vec::new()
    }

    /// A server answered its REGISTER.
    pub(crate) fn handle_answer_of(&mut self, server: ServerChoice) {
        self.answered = Some(server);
    }

    /// Its REGISTER was not answered in time by this server, and goes to the next.
    pub(crate) fn handle_silence_of(&mut self, server: Target, now: Instant) {
        self.failover.handle_silence(server);
        self.history.push(RegistrationAttempt {
            at: now,
            server: Some(server),
            result: "no answer; the next server is tried".to_owned(),
            next: None,
        });
    }

    /// The server it is registered at did not answer something else, which may have been lost: the
    /// registration moves only where it does not answer a REGISTER either.
    pub(crate) fn handle_suspicion(
        &mut self,
        env: &mut Env,
        now: Instant,
    ) -> Vec<RegistrationAction> {
        if self.request.is_some() || !self.wanted || !self.failover.handle_suspicion(now) {
            return Vec::new();
        }
        self.register(env)
    }

    /// What a probed server answered, or the status that stands for its silence.
    pub(crate) fn handle_probe(
        &mut self,
        code: u16,
        env: &mut Env,
        now: Instant,
    ) -> Vec<RegistrationAction> {
        if let Some(probed) = self.probed().filter(|_| !proves_alive(code)) {
            env.reachability.handle_silence(probed, now);
        }
        if proves_alive(code) && self.request.is_none() {
            self.register(env)
        } else {
            Vec::new()
        }
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
        let transport = env.transport_of(self.account);
        self.lifetime.handle_agreed();
        let contact = self.contact.uri(transport);
        let grant = Grant::read(response, &contact, self.lifetime.seconds());
        let granted = grant.lifetime_s;
        if granted == 0 {
            let reason = "the registrar keeps no binding for this phone";
            // It says so itself: what it granted before is over.
            self.bound_until = None;
            return self.handle_refusal(200, reason, None, env, now);
        }
        self.back_off.failures = 0;
        let lifetime = Duration::from_secs(u64::from(granted));
        let until = now + lifetime;
        self.proven = true;
        self.service_route.clone_from(&grant.service_route);
        let wants_gruu = env.account(self.account).is_some_and(|a| a.gruu);
        self.gruu = grant.gruu.clone().filter(|_| wants_gruu);
        let answered = self.answered.take();
        let server = answered.as_ref().map(|answered| answered.target);
        if let Some(mut answered) = answered {
            // The server that sent it there is another one to go to.
            answered.has_alternatives |= self.learn_redirected(answered.target);
            self.failover
                .handle_registered(answered, &mut env.tokens, now);
        }
        self.bound_until = Some(until);
        self.flow_lost = false;
        self.next_at = Some(now + refresh_after(lifetime, &mut env.tokens));
        self.flow.handle_server(server);
        let source = env.address_toward_server(server, transport);
        self.contact
            .handle_source(env.address_for(transport), source);
        let here = env.external(self.account, source);
        if let Some(account) = env.config.accounts.get(self.account) {
            let (tokens, alternatives) = (&mut env.tokens, self.failover.has_alternatives());
            self.flow
                .handle_granted(&grant, account, here, alternatives, tokens, now);
        }
        // A server cannot open a TLS connection to a phone behind a firewall; with the address this
        // one comes from in the contact it can use this one.
        // What the owner says of the address outside is not for the server to correct.
        let fixed = env
            .account(self.account)
            .is_some_and(|account| account.external_address.is_some());
        let corrects = transport != Transport::Tcp && !self.flow.is_bound() && !fixed;
        let seen = grant.seen.filter(|_| corrects);
        if seen.is_some_and(|seen| self.contact.correct(seen, transport)) {
            return self.send(env);
        }
        self.contact.handle_agreed();
        self.end_redirection();
        self.history.push(RegistrationAttempt {
            at: now,
            server,
            result: format!("{}: registered for {granted} s", response.code()),
            next: self.next_at,
        });
        let keep_alive = self.connection.map(RegistrationAction::KeepAlive);
        let report = RegistrationAction::Report {
            until: Some(until),
            error: None,
        };
        let moved = self.flow.take_moved();
        let moved = moved.then_some(RegistrationAction::MappingChanged);
        keep_alive
            .into_iter()
            .chain([report])
            .chain(moved)
            .collect()
    }

    fn handle_refusal(
        &mut self,
        code: u16,
        reason: &str,
        retry_after: Option<u32>,
        env: &mut Env,
        now: Instant,
    ) -> Vec<RegistrationAction> {
        self.end_redirection();
        let denied = matches!(code, 401 | 403 | 407);
        let wait = self.back_off.next(denied, retry_after, &mut env.tokens);
        self.next_at = Some(now + wait);
        // The old binding may hold until it runs out.
        self.bound_until = self.bound_until.filter(|until| *until > now);
        let server = self.answered.take().map(|answered| answered.target);
        self.history.push(RegistrationAttempt {
            at: now,
            server,
            result: format!("{code} {reason}"),
            next: self.next_at,
        });
        let domain = env
            .account(self.account)
            .map(|account| account.domain.as_str())
            .unwrap_or_default();
        vec![RegistrationAction::Report {
            until: self.bound_until.filter(|_| !self.flow_lost),
            error: Some(format!("{domain}: {code} {reason}")),
        }]
    }
}
