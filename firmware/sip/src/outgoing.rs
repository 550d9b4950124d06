//! One request on its way: where it goes, how it gets there, and the second try with credentials or
//! at the next address.
//!
//! ```text
//! Request ─▶ Hop ─▶ [Attempt …] ─▶ Via, bytes ─▶ client transaction ─▶ response
//!              ▲ lookup     ▲ next one: timeout, transport error, 503     │ 401, 407: again with credentials (same address)
//!              └────────────┴─────────────────────────────────────────────┴─▶ Outcome ─▶ call | registration
//! ```
//!
//! CANCEL belongs here too: it may only follow a provisional response, and outlives the call it
//! ends (RFC 3261 section 9.1).

mod cancel;
mod failure;
mod login;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::agent::{UserAgent, Waiter, at_port};
use crate::api::{Event, Lookup};
use crate::digest;
use crate::flow::{Flow, Target, Transport};
use crate::ids::{CallHandle, LookupId, RequestId, TransactionId};
use crate::locate::{Hop, HopError};
use crate::message::{Host, Method, Request, Response, Via};
use crate::timer::TIMER_C;
use crate::transaction::client::{Client, State};
use crate::transaction::table::{ClientEntry, MAX_CLIENTS, client_key, response_key};

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

/// What a request is for: who hears its outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// REGISTER of an account.
    Register(usize),
    /// The INVITE of a call.
    Invite(CallHandle),
    /// A later INVITE in a call.
    Reinvite(CallHandle),
    /// Any other request in a call.
    InDialog(CallHandle),
    /// The REFER that hands a call over.
    Refer(CallHandle),
    /// The NOTIFY that tells how the call placed on a REFER gets on.
    Notify(CallHandle),
    /// The ACK of a 2xx; kept with its INVITE for repetition.
    Ack { invite: RequestId, tag: String },
    /// Nobody waits: the BYE of a call that is already over for its owner.
    Nobody,
}

/// How a request ended, or how far it is.
#[derive(Debug)]
pub(crate) enum Outcome<'a> {
    /// A response, provisional or final.
    Response(&'a Response),
    /// No response: the status that stands for it (RFC 3261 section 8.1.3.1) and words.
    Failed(u16, &'a str),
}

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
    small_or_not: bool,
}

/// A request on its way.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) purpose: Purpose,
    /// Whose credentials it may use.
    account: Option<usize>,
    /// Without Via.
    pub(crate) request: Request,
    hop: Hop,
    flow: Option<Flow>,
    attempts: VecDeque<Attempt>,
    current: Option<Attempt>,
    pub(crate) transaction: Option<TransactionId>,
    cancel: Cancel,
    /// Opening of a connection, silence of a ringing far end, or a CANCEL that nobody answers.
    deadline: Option<Instant>,
    /// ACKs sent, by To tag.
    acks: Vec<(String, Flow, Vec<u8>)>,
    /// Challenges being answered.
    logins: Vec<digest::Session>,
    login_rounds: u8,
}

/// A request about to leave.
pub(crate) struct Errand {
    pub(crate) purpose: Purpose,
    pub(crate) account: Option<usize>,
    pub(crate) request: Request,
    pub(crate) hop: Result<Hop, HopError>,
    /// A connection to be used if it leads to the same host.
    pub(crate) flow: Option<Flow>,
}

impl Outgoing {
    /// Whose credentials it may use.
    pub(crate) fn account(&self) -> Option<usize> {
        self.account
    }

    /// The way it went last.
    pub(crate) fn flow(&self) -> Option<Flow> {
        self.flow
    }
}

impl UserAgent {
    /// Sends a request on its way. Its outcome comes to its purpose; failures never before this
    /// returns.
    pub(crate) fn dispatch(&mut self, errand: Errand, now: Instant) -> RequestId {
        let id = self.next_outgoing;
        self.next_outgoing += 1;
        let hop = match errand.hop {
            _ if self.outgoing.len() >= MAX_CLIENTS => {
                Err("too many requests under way".to_owned())
            }
            Ok(hop) => Ok(hop),
            Err(error) => Err(error.to_string()),
        };
        let hop = match hop {
            Ok(hop) => hop,
            Err(reason) => {
                self.failures.push_back((errand.purpose, 503, reason));
                return id;
            }
        };
        let outgoing = Outgoing {
            purpose: errand.purpose,
            account: errand.account,
            request: errand.request,
            hop: hop.clone(),
            flow: errand.flow,
            attempts: VecDeque::new(),
            current: None,
            transaction: None,
            cancel: Cancel::No,
            deadline: None,
            acks: Vec::new(),
            logins: Vec::new(),
            login_rounds: 0,
        };
        self.outgoing.insert(id, outgoing);
        if let Some(target) = hop.numeric() {
            self.set_targets(id, &[target]);
            self.try_next(id, 503, "it cannot be sent", now);
        } else {
            let lookup = LookupId(self.next_lookup);
            self.next_lookup += 1;
            self.lookups.insert(lookup, id);
            let question = Lookup {
                id: lookup,
                host: hop.host.to_string(),
                port: hop.port,
                transport: hop.transport,
            };
            self.events.push_back(Event::Lookup(question));
        }
        id
    }

    /// The answer to a lookup.
    pub(crate) fn located(&mut self, lookup: LookupId, targets: &[Target], now: Instant) {
        let Some(id) = self.lookups.remove(&lookup) else {
            return;
        };
        let Some(outgoing) = self.outgoing.get(&id) else {
            return;
        };
        let reason = if outgoing.hop.is_secure()
            && targets
                .iter()
                .any(|target| target.transport != Transport::Tls)
        {
            format!(
                "the name {} has no server for TLS: nothing is sent without; check the transport, or ask the provider",
                outgoing.hop.host
            )
        } else {
            format!(
                "the name {} does not resolve: check the name and the DNS server",
                outgoing.hop.host
            )
        };
        self.set_targets(id, targets);
        self.try_next(id, 503, &reason, now);
    }

    fn set_targets(&mut self, id: RequestId, targets: &[Target]) {
        let Some(outgoing) = self.outgoing.get_mut(&id) else {
            return;
        };
        // What shall go by TLS goes nowhere else, whatever an answer out of DNS says.
        let fits =
            |target: &&Target| !outgoing.hop.is_secure() || target.transport == Transport::Tls;
        outgoing.attempts = targets
            .iter()
            .filter(fits)
            .take(MAX_TARGETS)
            .map(|target| Attempt {
                target: *target,
                small_or_not: false,
            })
            .collect();
        let (host, account) = (outgoing.hop.host.clone(), outgoing.account);
        if let Some(line) = account.and_then(|account| self.lines.get_mut(account)) {
            line.learn(&host, targets);
        }
    }

    /// Sends to the next address; without one the request has failed for the reason given.
    fn try_next(&mut self, id: RequestId, code: u16, reason: &str, now: Instant) {
        loop {
            let Some(outgoing) = self.outgoing.get_mut(&id) else {
                return;
            };
            let Some(attempt) = outgoing.attempts.pop_front() else {
                self.give_up(id, code, reason);
                return;
            };
            if self.send_attempt(id, attempt, now) {
                return;
            }
        }
    }

    fn give_up(&mut self, id: RequestId, code: u16, reason: &str) {
        if let Some(outgoing) = self.forget_outgoing(id)
            && outgoing.cancel == Cancel::No
        {
            self.failures
                .push_back((outgoing.purpose, code, reason.to_owned()));
        }
    }

    /// A request whose answer nobody wants any more.
    pub(crate) fn withdraw(&mut self, id: RequestId) {
        self.forget_outgoing(id);
    }

    fn forget_outgoing(&mut self, id: RequestId) -> Option<Outgoing> {
        self.lookups.retain(|_, owner| *owner != id);
        self.deadlines.set(Waiter::Outgoing(id), None);
        let outgoing = self.outgoing.remove(&id)?;
        if let Some(entry) = outgoing.transaction.and_then(|t| self.clients.get_mut(t)) {
            entry.owner = None;
        }
        Some(outgoing)
    }

    /// Builds the bytes for one address and opens a transaction for them; whether that worked.
    fn send_attempt(&mut self, id: RequestId, attempt: Attempt, now: Instant) -> bool {
        let branch = self.tokens.branch();
        let (local, tls_port) = (self.wire.local, self.config.tls_port);
        let names = self.names_expected(id, attempt.target);
        let Some(outgoing) = self.outgoing.get_mut(&id) else {
            return true;
        };
        let mut request = outgoing.request.clone();
        let mut transport = attempt.target.transport;
        if outgoing.hop.is_secure() && transport != Transport::Tls {
            return false;
        }
        let via = |transport: Transport| match (
            Via::new(
                transport.via_name(),
                at_port(local, tls_port, transport),
                &branch,
            ),
            transport,
        ) {
            (via, Transport::Udp | Transport::Tcp) => via,
            (via, Transport::Tls) => via.with_alias(),
        };
        request.headers.push_front("Via", via(transport));
        let mut bytes = request.to_bytes();
        if transport == Transport::Udp && bytes.len() > UDP_LIMIT && !attempt.small_or_not {
            // Large requests go by TCP; where nobody listens there, by UDP after all.
            transport = Transport::Tcp;
            outgoing.attempts.push_front(Attempt {
                small_or_not: true,
                ..attempt
            });
            request.headers.set_top_via(&via(transport));
            bytes = request.to_bytes();
        }
        outgoing.current = Some(attempt);
        outgoing.transaction = None;
        let remote = attempt.target.address;
        let flow = match transport {
            Transport::Udp => Some(Flow::Udp { remote }),
            Transport::Tcp | Transport::Tls => {
                let same = |flow: &Flow| {
                    flow.transport() == transport
                        && flow.remote().ip() == remote.ip()
                        && self.wire.is_alive(*flow)
                };
                let known = outgoing.flow.filter(same);
                known.or_else(|| {
                    self.wire
                        .connect(remote, transport, &names, &mut self.events, now)
                })
            }
        };
        let Some(flow) = flow else { return false };
        if let Purpose::Ack { invite, tag } = outgoing.purpose.clone() {
            self.forget_outgoing(id);
            if let Some(invite) = self.outgoing.get_mut(&invite)
                && invite.acks.len() < MAX_ACKS
            {
                invite.acks.push((tag, flow, bytes.clone()));
            }
            self.wire.send(flow, bytes, now);
            return true;
        }
        if let Purpose::Register(line) = outgoing.purpose {
            self.registered_over(line, flow);
        }
        let Some(outgoing) = self.outgoing.get_mut(&id) else {
            return true;
        };
        outgoing.flow = Some(flow);
        let invite = request.method == Method::Invite;
        let key = client_key(&branch, &request.method);
        let machine = Client::new(invite, transport.is_reliable(), now);
        let entry = ClientEntry {
            machine,
            request,
            bytes: bytes.clone().into(),
            flow,
            owner: Some(id),
        };
        let Some(transaction) = self.clients.insert(key, entry) else {
            return false;
        };
        outgoing.transaction = Some(transaction);
        let opening = flow
            .connection()
            .is_some_and(|connection| !self.wire.connections.is_open(connection));
        outgoing.deadline = opening.then(|| {
            now + match transport {
                Transport::Udp | Transport::Tcp => CONNECT_TIME,
                Transport::Tls => CONNECT_TIME_TLS,
            }
        });
        self.deadlines.set(Waiter::Outgoing(id), outgoing.deadline);
        self.schedule_client(transaction);
        self.wire.send(flow, bytes, now);
        true
    }

    /// Who the server at this place must prove to be: the SIP domain, never a name DNS led to (RFC
    /// 5922 section 4, RFC 3263 section 4.1). Where an account names its server itself, that name
    /// counts as well.
    fn names_expected(&self, id: RequestId, target: Target) -> Vec<String> {
        let Some(outgoing) = self.outgoing.get(&id) else {
            return Vec::new();
        };
        let host = &outgoing.hop.host;
        let line = outgoing.account.and_then(|account| self.lines.get(account));
        let mut names = line
            .map(|line| line.names_behind(host, target.address.ip()))
            .unwrap_or_default();
        let shown = plain(host);
        if !names.contains(&shown) {
            names.push(shown);
        }
        names
    }

    /// A connection stands: what waited for it has been sent.
    pub(crate) fn connection_opened(&mut self, connection: crate::ids::ConnectionId) {
        let waiting: Vec<RequestId> = self
            .clients
            .iter()
            .filter(|(_, entry)| entry.flow.connection() == Some(connection))
            .filter_map(|(_, entry)| entry.owner)
            .collect();
        for id in waiting {
            if let Some(outgoing) = self.outgoing.get_mut(&id)
                && outgoing.cancel != Cancel::Sent
            {
                outgoing.deadline = None;
                self.deadlines.set(Waiter::Outgoing(id), None);
            }
        }
    }

    /// Keeps the index in step with a client transaction; forgets it when it is over.
    fn schedule_client(&mut self, id: TransactionId) {
        let Some(entry) = self.clients.get(id) else {
            return;
        };
        if entry.machine.state() == State::Done {
            self.deadlines.set(Waiter::Client(id), None);
            let owner = self.clients.remove(id).and_then(|entry| entry.owner);
            // An INVITE that got its 2xx stays until no other branch can answer any more.
            if let Some(owner) = owner
                && self
                    .outgoing
                    .get(&owner)
                    .is_some_and(|o| o.transaction == Some(id))
            {
                self.forget_outgoing(owner);
            }
        } else {
            self.deadlines
                .set(Waiter::Client(id), entry.machine.deadline());
        }
    }

    /// A response came in.
    pub(crate) fn handle_response(&mut self, flow: Flow, response: &Response, now: Instant) {
        // More than one Via: it is not for us (section 18.1.2).
        let transaction = response_key(response)
            .filter(|_| response.headers.via_count() == 1)
            .and_then(|key| self.clients.find(&key));
        let Some((id, entry)) = transaction.and_then(|id| Some((id, self.clients.get_mut(id)?)))
        else {
            self.wire.counters.dropped += 1;
            return;
        };
        let same = |a: &Request, b: &Response| {
            a.headers.call_id() == b.headers.call_id()
                && a.headers.cseq().map(|c| c.number) == b.headers.cseq().map(|c| c.number)
        };
        // What was asked in confidence is not answered in public.
        if !same(&entry.request, response) || (entry.flow.is_secure() && !flow.is_secure()) {
            self.wire.counters.dropped += 1;
            return;
        }
        let todo = entry.machine.response(response.code(), now);
        let owner = entry.owner;
        if todo.ack {
            let (flow, bytes) = (
                entry.flow,
                cancel::ack_of_refusal(&entry.request, response).to_bytes(),
            );
            self.wire.send(flow, bytes, now);
        }
        if todo.deliver
            && let Some(owner) = owner
        {
            self.answered(owner, response, now);
        }
        self.schedule_client(id);
    }

    fn answered(&mut self, id: RequestId, response: &Response, now: Instant) {
        let Some(outgoing) = self.outgoing.get_mut(&id) else {
            return;
        };
        let invite = outgoing.request.method == Method::Invite;
        let purpose = outgoing.purpose.clone();
        if response.is_provisional() {
            match outgoing.cancel {
                Cancel::Wanted => self.send_cancel(id, now),
                Cancel::Sent => {}
                Cancel::No => {
                    outgoing.deadline = invite.then(|| now + TIMER_C);
                    self.deadlines.set(Waiter::Outgoing(id), outgoing.deadline);
                    self.outcome(&purpose, id, &Outcome::Response(response), now);
                }
            }
            return;
        }
        if invite && response.is_success() {
            let tag = response
                .headers
                .to()
                .ok()
                .and_then(|to| to.tag().map(str::to_owned))
                .unwrap_or_default();
            if let Some((_, flow, bytes)) = outgoing.acks.iter().find(|(known, ..)| *known == tag) {
                self.wire.counters.retransmitted += 1;
                self.wire.send(*flow, bytes.clone(), now);
                return;
            }
            outgoing.deadline = None;
            self.deadlines.set(Waiter::Outgoing(id), None);
            self.outcome(&purpose, id, &Outcome::Response(response), now);
            return;
        }
        if let Some(entry) = outgoing
            .transaction
            .take()
            .and_then(|t| self.clients.get_mut(t))
        {
            entry.owner = None;
        }
        let Some(outgoing) = self.outgoing.get_mut(&id) else {
            return;
        };
        if outgoing.cancel == Cancel::No {
            if matches!(response.code(), 401 | 407) && self.log_in(id, response, now) {
                return;
            }
            if response.code() == 503
                && self
                    .outgoing
                    .get(&id)
                    .is_some_and(|o| !o.attempts.is_empty())
            {
                self.try_next(id, 503, "no server available", now);
                return;
            }
        }
        if let Some(outgoing) = self.forget_outgoing(id)
            && outgoing.cancel == Cancel::No
        {
            self.outcome(&purpose, id, &Outcome::Response(response), now);
        }
    }
}

/// A host as a certificate names it: an IPv6 address without brackets, a name without the dot of
/// the root.
pub(crate) fn plain(host: &Host) -> String {
    match host.ip() {
        Some(ip) => ip.to_string(),
        None => host.to_string().trim_end_matches('.').to_ascii_lowercase(),
    }
}
