//! One request of ours: where it goes, and what follows from each answer or from none.
//!
//! ```text
//! ClientRequest ─▶ next_lookup ─▶ next_attempt ─▶ handle_sent ─▶ handle_response, handle_failure, handle_timeout ─▶ Step
//!                                  ▲ 503, silence, transport error: next address                                │
//!                                  └ 401, 407: same address, with credentials ◀─────────────────────────────────┘
//! ```
//!
//! An address that was silent for a few seconds is overtaken by the next one; if it answers first
//! all the same, its answer counts and the other one is overtaken.
//!
//! CANCEL belongs here too: it may only follow a provisional response, and outlives the call it
//! ends (RFC 3261 section 9.1).

mod authentication;
mod destinations;
mod hop_by_hop;
mod overtaken;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::action::{OutgoingRequest, Purpose};
use crate::api::AccountConfig;
use crate::dialog::Dialog;
use crate::env::Env;
use crate::flow::{Flow, Target, Transport};
use crate::ids::TransactionId;
use crate::locate::{Hop, LookupFailed};
use crate::message::{Method, Request, Response, Via};
use crate::servers::{PasswordTrust, ServerChoice, Servers, identity};
use crate::timer::T1_64;
use crate::transaction::client::State;

use authentication::{Answer, Authentication};
use destinations::{Attempt, Destinations};
use overtaken::{Overtaken, ReplySoFar};

pub(crate) use destinations::Delivery;
pub(crate) use hop_by_hop::{ack_of_refusal, cancel_of};

/// Largest request sent over UDP, in bytes (RFC 3261 section 18.1.1).
const UDP_LIMIT: usize = 1300;
/// How long a connection may take to open before the next address is tried; TLS needs its handshake
/// besides.
const CONNECT_TIME: Duration = Duration::from_secs(5);
const CONNECT_TIME_TLS: Duration = Duration::from_secs(10);
/// How long TCP may take to open for a request that is too large for UDP, before UDP is tried all
/// the same.
const LARGE_BY_TCP: Duration = Duration::from_secs(1);
/// How much longer than a connection may take to open an emergency call waits for an answer on it.
const URGENT_ANSWER: Duration = Duration::from_millis(500);
/// Most branches of one INVITE that are acknowledged.
const MAX_ACKS: usize = 16;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cancel {
    No,
    /// As soon as a provisional response allows it.
    Wanted,
    Sent,
}

/// A request ready for one address.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// With its Via.
    pub(crate) request: Request,
    pub(crate) bytes: Vec<u8>,
    pub(crate) branch: String,
    pub(crate) transport: Transport,
    pub(crate) remote: SocketAddr,
    /// A connection that leads there, if it still exists.
    pub(crate) reuse: Option<Flow>,
}

/// What follows for a request; the owner of tables and connections does it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing.
    Wait,
    /// The response is for whoever sent the request; more may follow.
    Deliver,
    /// The same ACK again: a branch repeats its 2xx.
    RepeatAck(Flow, Vec<u8>),
    /// Send the CANCEL.
    SendCancel,
    /// CANCEL, and the request has failed for whoever sent it.
    CancelAndFail(u16, &'static str),
    /// Send it again to the same address: it carries credentials under this `CSeq` number.
    Resend(u32),
    /// Try the next address; without one the request has failed with this status.
    TryNext(u16, String),
    /// The same, and the address under way may still answer.
    Overtake(u16, String),
    /// It is over: the response is the outcome.
    Finish,
    /// It is over: no response will come, this status stands for it.
    Fail(u16, String),
    /// It is over, and nothing waits for its outcome.
    Forget,
}

/// Whose credentials a request may use.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Account<'a> {
    pub(crate) config: &'a AccountConfig,
    pub(crate) servers: &'a Servers,
    /// Its password was right before.
    pub(crate) proven: bool,
}

impl std::fmt::Debug for AccountConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Never the password.
        write!(f, "AccountConfig({}@{})", self.user, self.domain)
    }
}

/// A request on its way.
#[derive(Debug)]
pub(crate) struct ClientRequest {
    purpose: Purpose,
    /// Whose credentials it may use.
    account: Option<usize>,
    /// Without Via.
    request: Request,
    destinations: Destinations,
    /// The way it went last, or a connection to be used if it leads to the same host.
    flow: Option<Flow>,
    current: Option<Attempt>,
    /// It went by TCP because it is too large for UDP.
    for_its_size: bool,
    /// Its connection is not open yet.
    opening: bool,
    transaction: Option<TransactionId>,
    heard: ReplySoFar,
    /// Transactions with addresses that did not answer in time, and may still.
    overtaken: Vec<Overtaken>,
    cancel: Cancel,
    /// Opening of a connection, silence of a ringing far end, or a CANCEL without answer.
    deadline: Option<Instant>,
    /// ACKs sent, by To tag.
    acks: Vec<(String, Flow, Vec<u8>)>,
    authentication: Authentication,
    /// A server refused it, and the next address was tried.
    refused: bool,
}

impl ClientRequest {
    /// A request that goes to this hop, or where else `delivery` says.
    pub(crate) fn new(
        outgoing: OutgoingRequest,
        hop: Hop,
        delivery: Delivery,
        env: &Env,
        now: Instant,
    ) -> Self {
        Self {
            purpose: outgoing.purpose,
            account: outgoing.account,
            request: outgoing.request,
            destinations: Destinations::new(hop, delivery, &env.reachability, now),
            flow: outgoing.flow,
            current: None,
            for_its_size: false,
            opening: false,
            transaction: None,
            heard: ReplySoFar::Nothing,
            overtaken: Vec::new(),
            cancel: Cancel::No,
            deadline: None,
            acks: Vec::new(),
            authentication: Authentication::default(),
            refused: false,
        }
    }

    // ── what others may ask ───────────────────────────────────────────────────────────────────

    /// What it is for.
    pub(crate) fn purpose(&self) -> Purpose {
        self.purpose
    }

    /// Whose credentials it may use.
    pub(crate) fn account(&self) -> Option<usize> {
        self.account
    }

    /// The request, without Via.
    pub(crate) fn request(&self) -> &Request {
        &self.request
    }

    /// The server whose addresses are looked up or tried now.
    pub(crate) fn hop(&self) -> &Hop {
        self.destinations.hop()
    }

    /// The address that is tried now, among those it could go to.
    pub(crate) fn choice(&self) -> Option<ServerChoice> {
        Some(self.destinations.choice(self.current?.target))
    }

    /// The way it went last.
    pub(crate) fn flow(&self) -> Option<Flow> {
        self.flow
    }

    /// Whether a server refused it before others were tried.
    pub(crate) fn was_refused(&self) -> bool {
        self.refused
    }

    /// Its transaction now.
    pub(crate) fn transaction(&self) -> Option<TransactionId> {
        self.transaction
    }

    /// When to call [`ClientRequest::handle_timeout`].
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Whom the server at this address must prove to be: the SIP domain, never a name DNS led to
    /// (RFC 5922 section 4, RFC 3263 section 4.1). Where an account names its server itself, that
    /// name counts as well.
    pub(crate) fn expected_identities(
        &self,
        servers: Option<&Servers>,
        remote: SocketAddr,
    ) -> Vec<String> {
        if let Some(name) = servers.and_then(|servers| servers.redirected_identity(remote.ip())) {
            return vec![name];
        }
        let mut names = servers
            .map(|servers| servers.expected_identities(&self.hop().host, remote.ip()))
            .unwrap_or_default();
        let own = identity(&self.hop().host);
        if !names.contains(&own) {
            names.push(own);
        }
        names
    }

    /// The ACK of a 2xx (section 13.2.2.4), in the dialog it made, with the credentials its INVITE
    /// had.
    pub(crate) fn acknowledge(&self, dialog: &Dialog) -> Option<Request> {
        let cseq = self.request.headers.cseq().ok()?;
        let mut ack = dialog.numbered(&Method::Ack, cseq.number);
        for header in ["Authorization", "Proxy-Authorization"] {
            ack.headers.copy(&self.request.headers, header);
        }
        Some(ack)
    }

    // ── getting it there ──────────────────────────────────────────────────────────────────────

    /// The next server whose addresses must be found out before it can go on.
    pub(crate) fn next_lookup(&mut self) -> Option<Hop> {
        self.destinations.next_lookup().cloned()
    }

    /// The server's name was resolved: these addresses are tried in turn.
    pub(crate) fn handle_targets(
        &mut self,
        found: Result<&[Target], LookupFailed<'_>>,
        env: &Env,
        now: Instant,
    ) -> Step {
        let targets = found.unwrap_or_default();
        let usable = self
            .destinations
            .handle_targets(targets, &env.reachability, now);
        let host = &self.hop().host;
        let reason = if !usable && !targets.is_empty() {
            format!(
                "the name {host} has no server for TLS: nothing is sent without; check the \
                 transport, or ask the provider"
            )
        } else {
            let why = found
                .err()
                .map_or("check the name and the DNS server", |LookupFailed(why)| why);
            format!("the name {host} does not resolve: {why}")
        };
        Step::TryNext(503, reason)
    }

    /// The request as it goes to the next address; `None` when all that are known were tried.
    pub(crate) fn next_attempt(&mut self, env: &mut Env, now: Instant) -> Option<Prepared> {
        let attempt = self.destinations.next()?;
        Some(self.prepare(attempt, env, now))
    }

    /// The request as it goes to the same address again.
    pub(crate) fn same_attempt(&mut self, env: &mut Env, now: Instant) -> Option<Prepared> {
        let attempt = self.current?;
        Some(self.prepare(attempt, env, now))
    }

    fn prepare(&mut self, attempt: Attempt, env: &mut Env, now: Instant) -> Prepared {
        let branch = env.tokens.branch();
        let remote = attempt.target.address;
        let via = |transport: Transport| {
            let here = env.address_toward(remote.ip(), transport);
            let via = Via::new(transport.via_name(), here, &branch);
            match transport {
                Transport::Udp | Transport::Tcp => via,
                Transport::Tls => via.with_alias(),
            }
        };
        let mut transport = attempt.target.transport;
        let mut request = self.request.clone();
        let addresses = &env.addresses;
        addresses.name(&mut request.headers, &mut request.body, remote.ip());
        if env.config.user_agent.is_empty() {
            request.headers.remove("User-Agent");
        }
        if let Some(route) = self.destinations.route(attempt) {
            request.headers.set("Route", route);
        }
        request.headers.push_front("Via", via(transport));
        let mut bytes = request.to_bytes();
        let address = attempt.target.address;
        self.for_its_size = transport == Transport::Udp
            && bytes.len() > UDP_LIMIT
            && !attempt.force_udp
            && !env.reachability.is_without_tcp(address, now);
        if self.for_its_size {
            // Section 18.1.1: large requests use TCP; where no server listens there, UDP after all.
            transport = Transport::Tcp;
            self.destinations.then_by_udp(attempt);
            request.headers.set_top_via(&via(transport));
            bytes = request.to_bytes();
        }
        self.current = Some(attempt);
        self.transaction = None;
        let leads_there =
            |flow: &Flow| flow.transport() == transport && flow.remote().ip() == remote.ip();
        Prepared {
            request,
            bytes,
            branch,
            transport,
            remote,
            reuse: self.flow.filter(leads_there),
        }
    }

    /// It left by this flow, in this transaction; `opening`: its connection is not open yet.
    pub(crate) fn handle_sent(
        &mut self,
        flow: Flow,
        transaction: TransactionId,
        opening: bool,
        now: Instant,
    ) {
        self.flow = Some(flow);
        self.transaction = Some(transaction);
        self.heard = ReplySoFar::Nothing;
        self.opening = opening;
        let opens = match flow.transport() {
            Transport::Udp | Transport::Tcp => CONNECT_TIME,
            Transport::Tls => CONNECT_TIME_TLS,
        };
        let wait = match (opening, self.destinations.silence()) {
            (true, _) if self.for_its_size => Some(LARGE_BY_TCP),
            (true, silence) => Some(silence.map_or(opens, |silence| silence.min(opens))),
            (false, silence) => silence,
        };
        self.deadline = wait.map(|wait| now + wait);
    }

    /// The connection it waited for is open.
    pub(crate) fn handle_connected(&mut self, now: Instant) {
        self.opening = false;
        if self.cancel != Cancel::Sent {
            let silence = self.destinations.silence().map(|silence| now + silence);
            // An emergency call does not wait twice: a server may take connections and be dead.
            self.deadline = match (silence, self.deadline) {
                (Some(at), Some(opened_by)) if self.destinations.is_urgent() => {
                    Some(at.min(opened_by + URGENT_ANSWER))
                }
                (silence, _) => silence,
            };
        }
    }

    /// An ACK of its 2xx was sent: kept for repetition.
    pub(crate) fn handle_acknowledged(&mut self, tag: String, flow: Flow, bytes: Vec<u8>) {
        if self.acks.len() < MAX_ACKS {
            self.acks.push((tag, flow, bytes));
        }
    }

    // ── what becomes of it ────────────────────────────────────────────────────────────────────

    /// A response came.
    pub(crate) fn handle_response(
        &mut self,
        response: &Response,
        account: Option<Account<'_>>,
        env_tokens: &mut crate::token::Tokens,
        now: Instant,
    ) -> Step {
        let invite = self.request.method == Method::Invite;
        if response.is_provisional() {
            return match self.cancel {
                Cancel::Wanted => Step::SendCancel,
                Cancel::Sent => Step::Wait,
                Cancel::No => {
                    self.handle_provisional(response.code(), invite, now);
                    Step::Deliver
                }
            };
        }
        if invite && response.is_success() {
            let to = response.headers.to().ok();
            let tag = to.as_ref().and_then(|to| to.tag()).unwrap_or_default();
            if let Some((_, flow, bytes)) = self.acks.iter().find(|(known, ..)| known == tag) {
                return Step::RepeatAck(*flow, bytes.clone());
            }
            // It stays until no other branch can answer any more: its transaction's end.
            self.deadline = None;
            return Step::Deliver;
        }
        self.transaction = None;
        if self.cancel != Cancel::No {
            return Step::Forget;
        }
        // A challenge is answer enough to a question whether anybody is there.
        let asks = matches!(self.purpose, Purpose::Probe(_) | Purpose::Keepalive(_));
        match (response.code(), account) {
            (401 | 407, Some(account)) if !asks => self.authenticate(response, account, env_tokens),
            (code, _) if self.destinations.leads_on(code) || self.may_fall_back(code) => {
                self.refused = true;
                Step::TryNext(code, "no server available".to_owned())
            }
            _ => Step::Finish,
        }
    }

    fn authenticate(
        &mut self,
        response: &Response,
        account: Account<'_>,
        tokens: &mut crate::token::Tokens,
    ) -> Step {
        let Some(current) = self.current else {
            return Step::Finish;
        };
        let (config, asker) = (account.config, current.target.address);
        let trust = account.servers.password_trust(&self.hop().host, asker.ip());
        let realm = match &trust {
            PasswordTrust::Own => None,
            PasswordTrust::InRealm(realm) => Some(realm.as_str()),
            PasswordTrust::No => {
                tracing::warn!(
                    "{asker} asks for a password and is not the server of account {}: none is \
                     given",
                    config.user
                );
                return Step::Finish;
            }
        };
        match self.authentication.answer(
            response,
            &mut self.request,
            config,
            (realm, account.proven),
            tokens,
        ) {
            Answer::Authorized(cseq) => Step::Resend(cseq),
            Answer::Final => Step::Finish,
            Answer::TooWeak => Step::Fail(
                response.code(),
                format!(
                    "{asker} asks for the password by MD5 only, which account {} does not give \
                     (digest = \"sha-256\"); let the server offer SHA-256, or allow MD5 by digest \
                     = \"any\"",
                    config.user
                ),
            ),
        }
    }

    /// Its transaction failed: no answer, connection gone, address unreachable.
    pub(crate) fn handle_failure(
        &mut self,
        code: u16,
        reason: &str,
        env: &mut Env,
        now: Instant,
    ) -> Step {
        self.note_silence(env, now);
        self.transaction = None;
        if self.cancel == Cancel::No {
            Step::TryNext(code, reason.to_owned())
        } else {
            Step::Forget
        }
    }

    /// The address under way does not answer: what follows tries others first.
    fn note_silence(&self, env: &mut Env, now: Instant) {
        let Some(attempt) = self.current else { return };
        // A server that never answered OPTIONS proves nothing by its silence; the registration
        // knows whether it did.
        if matches!(self.purpose, Purpose::Keepalive(_)) {
            return;
        }
        if self.for_its_size {
            env.reachability.handle_no_tcp(attempt.target.address, now);
        } else {
            env.reachability.handle_silence(attempt.target, now);
        }
    }

    /// Its own deadline has come; `state` is that of its transaction.
    pub(crate) fn handle_timeout(
        &mut self,
        state: Option<State>,
        env: &mut Env,
        now: Instant,
    ) -> Step {
        self.deadline = None;
        match (self.cancel, state) {
            // No answer to the CANCEL: the INVITE is over all the same (section 9.1).
            (Cancel::Sent, _) => Step::Forget,
            (Cancel::No, Some(State::Calling)) => {
                self.note_silence(env, now);
                let address = self.current.map(|attempt| attempt.target.address);
                let server = address.map_or_else(|| "the server".to_owned(), |a| a.to_string());
                if self.opening {
                    Step::Overtake(503, format!("the connection to {server} does not open"))
                } else {
                    Step::Overtake(408, format!("{server} does not answer"))
                }
            }
            (Cancel::No, Some(State::Proceeding))
                if self.heard == ReplySoFar::Trying && self.destinations.trying().is_some() =>
            {
                let server = self.current.map(|attempt| attempt.target.address);
                let server = server.map_or_else(|| "the server".to_owned(), |a| a.to_string());
                Step::Overtake(408, format!("{server} found no one in time"))
            }
            (_, Some(State::Proceeding)) => {
                self.cancel = Cancel::Wanted;
                Step::CancelAndFail(408, "the far end rang without end")
            }
            // The CANCEL that is wanted goes out when this address answers, if it ever does.
            (Cancel::Wanted, Some(State::Calling))
            | (_, Some(State::Completed | State::Accepted | State::Done) | None) => Step::Wait,
        }
    }

    /// Its sender no longer wants an outcome: CANCEL as soon as allowed; `state` is that of its
    /// transaction.
    pub(crate) fn cancel(&mut self, state: Option<State>) -> Step {
        match (self.cancel, state) {
            (Cancel::No, Some(State::Calling)) => {
                self.cancel = Cancel::Wanted;
                Step::Wait
            }
            (Cancel::No, Some(State::Proceeding)) => Step::SendCancel,
            (Cancel::No, None) => Step::Forget,
            (Cancel::No, Some(State::Accepted | State::Completed | State::Done))
            | (Cancel::Wanted | Cancel::Sent, _) => Step::Wait,
        }
    }

    /// A CANCEL waits for the first provisional response.
    pub(crate) fn wants_cancel(&self) -> bool {
        self.cancel == Cancel::Wanted
    }

    /// Its CANCEL is being sent: the INVITE is over after 64 T1 without a final response.
    pub(crate) fn handle_cancel_sent(&mut self, now: Instant) {
        self.cancel = Cancel::Sent;
        self.deadline = Some(now + T1_64);
    }
}
