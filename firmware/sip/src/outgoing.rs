//! One request on its way: where it goes, how it gets there, and the second try with credentials or at the next address.
//!
//! ```text
//! Request ─▶ Hop ─▶ [Target …] ─▶ Via, bytes ─▶ client transaction ─▶ response
//!              ▲ lookup     ▲ next one: timeout, transport error, 503     │ 401, 407: again with credentials (same target)
//!              └────────────┴─────────────────────────────────────────────┴─▶ Outcome ─▶ call | registration
//! ```
//!
//! CANCEL belongs here too: it may only follow a provisional response, and outlives the call it ends (RFC 3261 section 9.1).

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::agent::{Call, Event, Flow, Lookup, LookupId, Target, Transport, UserAgent, Waiter};
use crate::dialog::Dialog;
use crate::locate::{Hop, HopError};
use crate::message::{CSeq, Method, Request, Response, Via};
use crate::timer::{T1_64, TIMER_C};
use crate::transaction::client::{Client, State};
use crate::transaction::table::{ClientEntry, MAX_CLIENTS, TransactionId, client_key, response_key};

/// Number of a request on its way; never used twice.
pub(crate) type OutgoingId = u64;

/// Largest request sent over UDP, in bytes (RFC 3261 section 18.1.1).
const UDP_LIMIT: usize = 1300;
/// How long a TCP connection may take to open before the next target is tried.
const CONNECT_TIME: Duration = Duration::from_secs(5);
/// Most targets tried.
const MAX_TARGETS: usize = 8;
/// Most branches of one INVITE that are acknowledged.
const MAX_ACKS: usize = 16;

/// What a request is for: who hears its outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// REGISTER of an account.
    Register(usize),
    /// The INVITE of a call.
    Invite(Call),
    /// A later INVITE in a call.
    Reinvite(Call),
    /// Any other request in a call.
    InDialog(Call),
    /// The ACK of a 2xx; kept with its INVITE for repetition.
    Ack { invite: OutgoingId, tag: String },
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

/// A request on its way.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) purpose: Purpose,
    /// Whose credentials it may use.
    account: Option<usize>,
    /// Without Via.
    pub(crate) request: Request,
    hop: Result<Hop, HopError>,
    targets: VecDeque<Target>,
    current: Option<Target>,
    lookup: Option<LookupId>,
    transaction: Option<TransactionId>,
    cancel: Cancel,
    /// Opening of a connection, silence of a ringing far end, or a CANCEL that nobody answers.
    pub(crate) deadline: Option<Instant>,
    acks: Vec<(String, Flow, Vec<u8>)>,
    login: crate::login::Login,
}

/// A request about to leave.
pub(crate) struct Errand {
    pub(crate) purpose: Purpose,
    pub(crate) account: Option<usize>,
    pub(crate) request: Request,
    pub(crate) hop: Result<Hop, HopError>,
}

impl UserAgent {
    /// Sends a request on its way. Its outcome comes to its purpose, possibly at once.
    pub(crate) fn dispatch(&mut self, errand: Errand, now: Instant) -> OutgoingId {
        let id = self.next_outgoing;
        self.next_outgoing += 1;
        let outgoing = Outgoing {
            purpose: errand.purpose,
            account: errand.account,
            request: errand.request,
            hop: errand.hop,
            targets: VecDeque::new(),
            current: None,
            lookup: None,
            transaction: None,
            cancel: Cancel::No,
            deadline: None,
            acks: Vec::new(),
            login: crate::login::Login::default(),
        };
        let full = self.outgoing.len() >= MAX_CLIENTS;
        let target = outgoing.hop.as_ref().map(Hop::numeric).map_err(|e| *e);
        let hop = outgoing.hop.clone().ok();
        self.outgoing.insert(id, outgoing);
        match target {
            // The queue holds what the caller of `dispatch` wants to know first: its own id.
            _ if full => self.failures.push_back((id, 503, "too many requests under way".into())),
            Err(error) => self.failures.push_back((id, 416, error.to_string())),
            Ok(Some(target)) => {
                self.set_targets(id, &[target]);
                self.try_next(id, now);
            }
            Ok(None) => {
                let lookup = LookupId(self.next_lookup);
                self.next_lookup += 1;
                self.lookups.insert(lookup, id);
                if let (Some(hop), Some(outgoing)) = (hop, self.outgoing.get_mut(&id)) {
                    outgoing.lookup = Some(lookup);
                    let question = Lookup { id: lookup, host: hop.host.to_string(), port: hop.port, transport: hop.transport };
                    self.events.push_back(Event::Lookup(question));
                }
            }
        }
        id
    }

    /// The answer to a lookup.
    pub(crate) fn located(&mut self, lookup: LookupId, targets: &[Target], now: Instant) {
        let Some(id) = self.lookups.remove(&lookup) else { return };
        let Some(outgoing) = self.outgoing.get_mut(&id) else { return };
        outgoing.lookup = None;
        if targets.is_empty() {
            let host = outgoing.hop.as_ref().map(|h| h.host.to_string()).unwrap_or_default();
            self.fail(id, 503, &format!("the name {host:?} does not resolve; check the name and the DNS server"), now);
            return;
        }
        self.set_targets(id, targets);
        if let Some(Purpose::Register(line) | Purpose::Invite(_)) = self.outgoing.get(&id).map(|o| o.purpose.clone()).map(|p| match p {
            Purpose::Invite(_) => Purpose::Invite(Call(0)),
            other => other,
        }) && matches!(self.outgoing.get(&id).map(|o| &o.purpose), Some(Purpose::Register(_)))
        {
            self.lines_known(line, targets);
        }
        self.try_next(id, now);
    }

    fn set_targets(&mut self, id: OutgoingId, targets: &[Target]) {
        if let Some(outgoing) = self.outgoing.get_mut(&id) {
            outgoing.targets = targets.iter().copied().take(MAX_TARGETS).collect();
        }
    }

    /// Sends to the next target; fails when there is none left.
    fn try_next(&mut self, id: OutgoingId, now: Instant) {
        loop {
            let Some(outgoing) = self.outgoing.get_mut(&id) else { return };
            let Some(target) = outgoing.targets.pop_front() else {
                self.fail(id, 503, "no answer from any address of the far end", now);
                return;
            };
            outgoing.current = Some(target);
            if self.send_to(id, target, now) {
                return;
            }
        }
    }

    /// Builds the bytes for one target and hands them to a new transaction.
    fn send_to(&mut self, id: OutgoingId, target: Target, now: Instant) -> bool {
        let branch = self.tokens.branch();
        let local = self.wire.local;
        let Some(outgoing) = self.outgoing.get_mut(&id) else { return true };
        let mut request = outgoing.request.clone();
        let mut transport = target.transport;
        request.headers.push_front("Via", Via::new(name(transport), local, &branch));
        let mut bytes = request.to_bytes();
        if transport == Transport::Udp && bytes.len() > UDP_LIMIT {
            // Large requests go by TCP; where nobody listens there, by UDP after all.
            transport = Transport::Tcp;
            if !outgoing.targets.front().is_some_and(|next| *next == target) && outgoing.current_is_udp_retry(target) {
                transport = Transport::Udp;
            } else {
                outgoing.targets.push_front(target);
                outgoing.large = Some(target);
                request.headers.set_top_via(&Via::new(name(transport), local, &branch));
                bytes = request.to_bytes();
            }
        }
        let flow = match transport {
            Transport::Udp => Some(Flow::Udp { remote: target.address }),
            Transport::Tcp => self.wire.connect(target.address, &mut self.events, now),
        };
        let Some(flow) = flow else { return false };
        let _ = (bytes, flow);
        true
    }
}

fn name(transport: Transport) -> &'static str {
    match transport {
        Transport::Udp => "UDP",
        Transport::Tcp => "TCP",
    }
}
