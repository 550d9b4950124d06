//! One request of ours: where it goes, and what follows from each answer or from none.
//!
//! ```text
//! ClientRequest ─▶ lookup ─▶ next_attempt ─▶ handle_sent ─▶ handle_response, handle_failure, handle_timeout ─▶ Step
//!                                  ▲ 503, timeout, transport error: next address                                │
//!                                  └ 401, 407: same address, with credentials ◀─────────────────────────────────┘
//! ```
//!
//! CANCEL belongs here too: it may only follow a provisional response, and outlives the call it
//! ends (RFC 3261 section 9.1).

mod authentication;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::action::{OutgoingRequest, Purpose};
use crate::api::AccountConfig;
use crate::dialog::Dialog;
use crate::env::Env;
use crate::flow::{Flow, Target, Transport};
use crate::ids::TransactionId;
use crate::locate::Hop;
use crate::message::{CSeq, Method, Request, Response, Via};
use crate::registration::{Servers, identity};
use crate::timer::{T1_64, TIMER_C};
use crate::transaction::client::State;

use authentication::{Answer, Authentication};

/// Largest request sent over UDP, in bytes (RFC 3261 section 18.1.1).
const UDP_LIMIT: usize = 1300;
/// How long a connection may take to open before the next address is tried; TLS needs its handshake
/// besides.
const CONNECT_TIME: Duration = Duration::from_secs(5);
const CONNECT_TIME_TLS: Duration = Duration::from_secs(10);
/// Most addresses tried.
const MAX_TARGETS: usize = 8;
/// Most branches of one INVITE that are acknowledged.
const MAX_ACKS: usize = 16;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cancel {
    No,
    /// As soon as a provisional response allows it.
    Wanted,
    Sent,
}

/// One address to be tried.
#[derive(Debug, Clone, Copy)]
struct Attempt {
    target: Target,
    /// Over UDP whatever its size: TCP was tried.
    force_udp: bool,
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
    hop: Hop,
    /// The way it went last, or a connection to be used if it leads to the same host.
    flow: Option<Flow>,
    attempts: VecDeque<Attempt>,
    current: Option<Attempt>,
    transaction: Option<TransactionId>,
    cancel: Cancel,
    /// Opening of a connection, silence of a ringing far end, or a CANCEL without answer.
    deadline: Option<Instant>,
    /// ACKs sent, by To tag.
    acks: Vec<(String, Flow, Vec<u8>)>,
    authentication: Authentication,
}

impl ClientRequest {
    /// A request that goes to this hop.
    pub(crate) fn new(outgoing: OutgoingRequest, hop: Hop) -> Self {
        Self {
            purpose: outgoing.purpose,
            account: outgoing.account,
            request: outgoing.request,
            hop,
            flow: outgoing.flow,
            attempts: VecDeque::new(),
            current: None,
            transaction: None,
            cancel: Cancel::No,
            deadline: None,
            acks: Vec::new(),
            authentication: Authentication::default(),
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

    /// Where it goes first.
    pub(crate) fn hop(&self) -> &Hop {
        &self.hop
    }

    /// The way it went last.
    pub(crate) fn flow(&self) -> Option<Flow> {
        self.flow
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
        let mut names = servers
            .map(|servers| servers.expected_identities(&self.hop.host, remote.ip()))
            .unwrap_or_default();
        let own = identity(&self.hop.host);
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

    /// Its name was resolved: these addresses are tried in turn. What shall use TLS goes nowhere
    /// else, whatever an answer out of DNS says.
    pub(crate) fn handle_targets(&mut self, found: Result<&[Target], &str>) -> Step {
        let targets = found.unwrap_or_default();
        let secure = self.hop.is_secure();
        let fits = |target: &&Target| !secure || target.transport == Transport::Tls;
        self.attempts = targets
            .iter()
            .filter(fits)
            .take(MAX_TARGETS)
            .map(|target| Attempt {
                target: *target,
                force_udp: false,
            })
            .collect();
        let host = &self.hop.host;
        let reason = if secure && !targets.iter().all(|target| fits(&target)) {
            format!(
                "the name {host} has no server for TLS: nothing is sent without; check the \
                 transport, or ask the provider"
            )
        } else {
            let why = found.err().unwrap_or("check the name and the DNS server");
            format!("the name {host} does not resolve: {why}")
        };
        Step::TryNext(503, reason)
    }

    /// The request as it goes to the next address; `None` when all were tried.
    pub(crate) fn next_attempt(&mut self, env: &mut Env) -> Option<Prepared> {
        let attempt = self.attempts.pop_front()?;
        Some(self.prepare(attempt, env))
    }

    /// The request as it goes to the same address again.
    pub(crate) fn same_attempt(&mut self, env: &mut Env) -> Option<Prepared> {
        let attempt = self.current?;
        Some(self.prepare(attempt, env))
    }

    fn prepare(&mut self, attempt: Attempt, env: &mut Env) -> Prepared {
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
        request.headers.push_front("Via", via(transport));
        let mut bytes = request.to_bytes();
        if transport == Transport::Udp && bytes.len() > UDP_LIMIT && !attempt.force_udp {
            // Section 18.1.1: large requests use TCP; where no server listens there, UDP after all.
            transport = Transport::Tcp;
            self.attempts.push_front(Attempt {
                force_udp: true,
                ..attempt
            });
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
        let wait = match flow.transport() {
            Transport::Udp | Transport::Tcp => CONNECT_TIME,
            Transport::Tls => CONNECT_TIME_TLS,
        };
        self.deadline = opening.then(|| now + wait);
    }

    /// The connection it waited for is open.
    pub(crate) fn handle_connected(&mut self) {
        if self.cancel != Cancel::Sent {
            self.deadline = None;
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
                    self.deadline = invite.then(|| now + TIMER_C);
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
        match (response.code(), account) {
            (401 | 407, Some(account)) => self.authenticate(response, account, env_tokens),
            (503, _) if !self.attempts.is_empty() => {
                Step::TryNext(503, "no server available".to_owned())
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
        if config.password.is_empty() {
            return Step::Finish;
        }
        if !account.servers.may_authenticate(&self.hop.host, asker.ip()) {
            tracing::warn!(
                "{asker} asks for a password and is not the server of account {}: none is given",
                config.user
            );
            return Step::Finish;
        }
        match self
            .authentication
            .answer(response, &mut self.request, config, tokens)
        {
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
    pub(crate) fn handle_failure(&mut self, code: u16, reason: &str) -> Step {
        self.transaction = None;
        if self.cancel == Cancel::No {
            Step::TryNext(code, reason.to_owned())
        } else {
            Step::Forget
        }
    }

    /// Its own deadline has come; `state` is that of its transaction.
    pub(crate) fn handle_timeout(&mut self, state: Option<State>) -> Step {
        self.deadline = None;
        match (self.cancel, state) {
            // No answer to the CANCEL: the INVITE is over all the same (section 9.1).
            (Cancel::Sent, _) => Step::Forget,
            (_, Some(State::Calling)) => self.handle_failure(503, "the connection does not open"),
            (_, Some(State::Proceeding)) => {
                self.cancel = Cancel::Wanted;
                Step::CancelAndFail(408, "the far end rang without end")
            }
            (_, Some(State::Completed | State::Accepted | State::Done) | None) => Step::Wait,
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

/// The ACK of a refusal (section 17.1.1.3): same branch, To of the response.
pub(crate) fn ack_of_refusal(invite: &Request, response: &Response) -> Request {
    let mut ack = hop_by_hop(invite, Method::Ack);
    ack.headers.remove("To");
    ack.headers.copy(&response.headers, "To");
    ack.headers.copy(&invite.headers, "Authorization");
    ack.headers.copy(&invite.headers, "Proxy-Authorization");
    ack
}

/// The CANCEL of a request (section 9.1).
pub(crate) fn cancel_of(invite: &Request) -> Request {
    hop_by_hop(invite, Method::Cancel)
}

fn hop_by_hop(invite: &Request, method: Method) -> Request {
    let mut request = Request::new(method.clone(), invite.uri.clone());
    for header in ["Via", "Route", "Max-Forwards", "From", "To", "Call-ID"] {
        request.headers.copy(&invite.headers, header);
    }
    let number = invite.headers.cseq().map(|c| c.number).unwrap_or_default();
    request.headers.push("CSeq", CSeq { number, method });
    request
}
