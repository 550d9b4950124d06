//! Calls: what an INVITE begins.
//!
//! ```text
//! place ─▶ Calling ──────── 2xx, ACK ─────────▶ Up ─▶ BYE ─▶ gone
//!            └ CANCEL, refusal ─▶ gone           ▲
//! INVITE ─▶ Ringing ─ answer ─▶ Answered ─ ACK ──┘
//!            └ CANCEL, reject ─▶ gone   └─ hung up ─▶ Leaving ─ ACK or 32 s ─▶ BYE ─▶ gone
//! ```
//!
//! `caller` knows the calls placed here, `callee` those that come in, `session` what happens in a
//! call that stands, `refer`, `replaces` and `handover` how one call becomes another. A call leaves
//! the table the moment it is over for its owner; what the network still has to say about it is the
//! affair of transactions.

mod callee;
mod caller;
mod handover;
mod refer;
mod replaces;
mod session;

pub(crate) use refer::{Owed, Referral};
pub(crate) use replaces::Ids;

use std::net::IpAddr;
use std::time::{Duration, Instant};

use types::Direction;

use crate::agent::{UserAgent, Waiter, at_port};
use crate::api::{EndReason, EndedBy, Event};
use crate::dialog::Dialog;
use crate::flow::{Flow, Transport};
use crate::ids::{CallHandle, RequestId, TransactionId};
use crate::message::{Method, NameAddr, Request, SipUri, Uri};
use crate::offer_answer::{Negotiated, Session};
use crate::outgoing::{Errand, Outcome, Purpose};
use crate::registration::with_transport;
use crate::timer::{T1_64, earliest};

/// Most calls at once; a desk phone has two hands.
pub(crate) const MAX_CALLS: usize = 16;
/// Most branches of a forked call.
const MAX_LEGS: usize = 16;

/// Where a call is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Our INVITE is under way.
    Calling,
    /// Their INVITE waits for our answer.
    Ringing,
    /// Our 2xx waits for its ACK.
    Answered,
    /// Both ways confirmed.
    Up,
    /// Over for the owner; the BYE waits for the ACK of our 2xx (section 15).
    Leaving,
    /// Over for the owner; its far end is being handed over to somebody else.
    Handing,
}

/// One branch of a call we placed: an early dialog by To tag.
#[derive(Debug, Clone)]
pub(crate) struct Leg {
    pub(crate) dialog: Dialog,
    pub(crate) session: Session,
    pub(crate) media: Option<Negotiated>,
}

/// A 2xx of ours that is repeated until its ACK comes (section 13.3.1.4).
#[derive(Debug)]
pub(crate) struct AckWait {
    cseq: u32,
    flow: Flow,
    bytes: zeroize::Zeroizing<Vec<u8>>,
    interval: Duration,
    next: Option<Instant>,
    until: Instant,
    /// The 2xx carried our offer: the ACK brings the answer.
    offered: bool,
    /// The session as it was before that offer, should the answer be of no use.
    before: Option<Session>,
}

/// A change of the session we asked for and await.
#[derive(Debug)]
pub(crate) struct Change {
    outgoing: RequestId,
    /// The session as it was, should it be refused.
    before: Session,
}

/// One call.
#[derive(Debug)]
pub(crate) struct CallState {
    pub(crate) account: Option<usize>,
    pub(crate) phase: Phase,
    /// We placed it: the Call-ID is ours, and the longer wait at glare.
    caller: bool,
    /// The far end, for the owner.
    peer: String,
    /// Our INVITE.
    outgoing: Option<RequestId>,
    /// Their INVITE.
    server: Option<TransactionId>,
    /// Early dialogs of a call we placed.
    legs: Vec<Leg>,
    /// The dialog of a call that came in, or that stands.
    dialog: Option<Dialog>,
    session: Option<Session>,
    media: Option<Negotiated>,
    /// Who is called: the Request-URI of our INVITE.
    target: Option<Uri>,
    /// Redirections followed.
    redirected: u8,
    /// Called by `sips:`, and by TLS: neither is given up on the way.
    sips: bool,
    secure: bool,
    ack_wait: Option<AckWait>,
    change: Option<Change>,
    /// A direction to be asked for as soon as the session allows.
    wanted: Option<Direction>,
    /// The next change brings new keys.
    rekey: bool,
    /// When to try again after 491 (section 14.1).
    retry_at: Option<Instant>,
    /// How often the far end put our change off.
    put_off: u8,
    /// When to repeat 180, so that no proxy takes us for dead (section 13.3.1.1).
    ring_again: Option<Instant>,
    /// When the caller's patience ends (Expires of its INVITE).
    ring_until: Option<Instant>,
    /// What the REFER said that made us place this call.
    order: refer::Order,
    /// A REFER of theirs, and how many there were.
    asked: Option<refer::Asked>,
    refers: u8,
    /// What it waits for while it is handed over (`Handing`).
    handover: Option<handover::Handover>,
}

impl CallState {
    fn new(account: Option<usize>, phase: Phase, peer: String) -> Self {
        Self {
            account,
            phase,
            caller: phase == Phase::Calling,
            peer,
            outgoing: None,
            server: None,
            legs: Vec::new(),
            dialog: None,
            session: None,
            media: None,
            target: None,
            redirected: 0,
            sips: false,
            secure: false,
            ack_wait: None,
            change: None,
            wanted: None,
            rekey: false,
            retry_at: None,
            put_off: 0,
            ring_again: None,
            ring_until: None,
            order: refer::Order::default(),
            asked: None,
            refers: 0,
            handover: None,
        }
    }

    /// The hosts its signalling comes from, of whichever branch.
    pub(crate) fn signalling_hosts(&self) -> impl Iterator<Item = IpAddr> {
        let legs = self.legs.iter().map(|leg| &leg.dialog);
        let dialogs = self.dialog.iter().chain(legs);
        dialogs.flat_map(Dialog::signalling_hosts)
    }

    /// Whether the dialog a request is for began over TLS.
    pub(crate) fn is_secure(&self, request: &Request) -> bool {
        let dialogs = self
            .dialog
            .iter()
            .chain(self.legs.iter().map(|leg| &leg.dialog));
        dialogs
            .filter(|dialog| dialog.owns(request))
            .any(Dialog::is_secure)
    }

    /// How many dialogs it holds.
    pub(crate) fn dialogs(&self) -> usize {
        self.legs.len() + usize::from(self.dialog.is_some())
    }

    fn deadline(&self) -> Option<Instant> {
        let ack = self.ack_wait.as_ref();
        earliest([
            ack.and_then(|a| a.next),
            ack.map(|a| a.until),
            self.retry_at,
            self.ring_again,
            self.ring_until,
            self.handover.as_ref().map(|handover| handover.until),
        ])
    }
}

impl UserAgent {
    /// The call a request with a To tag belongs to.
    pub(crate) fn call_of(&self, request: &Request) -> Option<CallHandle> {
        let owns = |state: &CallState| {
            state.dialog.as_ref().is_some_and(|d| d.owns(request))
                || state.legs.iter().any(|leg| leg.dialog.owns(request))
        };
        self.calls
            .iter()
            .find(|(_, state)| owns(state))
            .map(|(call, _)| *call)
    }

    /// Keeps the index in step with a call.
    pub(crate) fn schedule_call(&mut self, call: CallHandle) {
        let deadline = self.calls.get(&call).and_then(CallState::deadline);
        self.deadlines.set(Waiter::Call(call), deadline);
    }

    /// Takes a call out of the table and tells its owner, unless he was told.
    pub(crate) fn finish(
        &mut self,
        call: CallHandle,
        by: EndedBy,
        code: Option<u16>,
        reason: &str,
    ) -> Option<CallState> {
        let state = self.calls.remove(&call)?;
        self.admission.handle_call_over(call);
        self.deadlines.set(Waiter::Call(call), None);
        self.owe(call, &state, code);
        self.remember_over(&state);
        if !matches!(state.phase, Phase::Leaving | Phase::Handing) {
            self.events.push_back(Event::Ended {
                call,
                by,
                code,
                reason: reason.to_owned(),
            });
        }
        Some(state)
    }

    /// Sends the BYE of a dialog; nobody waits for its answer.
    pub(crate) fn say_bye(
        &mut self,
        dialog: &mut Dialog,
        account: Option<usize>,
        reason: Option<&str>,
        now: Instant,
    ) {
        let mut request = dialog.request(&Method::Bye);
        if let Some(reason) = reason {
            request.headers.push("Reason", reason);
        }
        request.headers.push("User-Agent", &self.config.user_agent);
        let (hop, flow) = (dialog.hop(), dialog.flow);
        self.dispatch(
            Errand {
                purpose: Purpose::Nobody,
                account,
                request,
                hop,
                flow,
            },
            now,
        );
    }

    /// Our contact for an account, or for direct calls, where the dialog begins over this transport
    /// (`None`: not known yet). `sips`: the request's own address is one, and so must ours be
    /// (section 8.1.1.8).
    pub(crate) fn contact(
        &self,
        account: Option<usize>,
        transport: Option<Transport>,
        sips: bool,
    ) -> SipUri {
        let line = account.and_then(|a| Some((self.lines.get(a)?, self.config.accounts.get(a)?)));
        let uri = if let Some((line, config)) = line {
            line.contact(match transport {
                Some(transport @ (Transport::Tcp | Transport::Tls)) => transport,
                Some(Transport::Udp) | None => config.transport,
            })
        } else {
            let transport = transport.unwrap_or(Transport::Udp);
            let here = at_port(self.wire.local, self.config.tls_port, transport);
            with_transport(SipUri::at(here).with_user(&self.config.user), transport)
        };
        if sips { uri.secured() } else { uri }
    }

    /// Ends a call for its owner, whatever its state needs. `reason` is told with the BYE of a call
    /// that stands.
    pub(crate) fn hang_up(&mut self, call: CallHandle, reason: Option<EndReason>, now: Instant) {
        let Some(state) = self.calls.get(&call) else {
            return;
        };
        match state.phase {
            Phase::Calling => {
                let outgoing = state.outgoing;
                self.finish(call, EndedBy::Local, None, "hung up");
                if let Some(outgoing) = outgoing {
                    self.cancel(outgoing, now);
                }
            }
            Phase::Ringing => self.refuse_call(call, 480, now),
            Phase::Answered => {
                self.events.push_back(Event::Ended {
                    call,
                    by: EndedBy::Local,
                    code: None,
                    reason: "hung up".into(),
                });
                if let Some(state) = self.calls.get_mut(&call) {
                    state.phase = Phase::Leaving;
                }
            }
            Phase::Up | Phase::Handing => {
                if let Some(mut state) = self.finish(call, EndedBy::Local, None, "hung up")
                    && let Some(dialog) = state.dialog.as_mut()
                {
                    self.drop_change(state.change.as_ref(), now);
                    self.say_bye(dialog, state.account, reason.map(EndReason::header), now);
                }
            }
            Phase::Leaving => {}
        }
    }

    /// A re-INVITE of ours that nobody waits for any more.
    fn drop_change(&mut self, change: Option<&Change>, now: Instant) {
        if let Some(change) = change {
            self.cancel(change.outgoing, now);
        }
    }

    /// Tells a request's outcome to whom it concerns.
    pub(crate) fn outcome(
        &mut self,
        purpose: &Purpose,
        id: RequestId,
        outcome: &Outcome<'_>,
        now: Instant,
    ) {
        match purpose {
            Purpose::Register(line) => self.registered(*line, outcome, now),
            Purpose::Invite(call) => self.invite_outcome(*call, id, outcome, now),
            Purpose::Reinvite(call) => self.reinvite_outcome(*call, id, outcome, now),
            Purpose::InDialog(call) => self.in_dialog_outcome(*call, outcome, now),
            Purpose::Refer(call) => self.refer_outcome(*call, outcome, now),
            Purpose::Notify(call) => self.notify_outcome(*call, outcome),
            Purpose::Ack { .. } | Purpose::Nobody => {}
        }
    }

    /// A request was sent again under a higher number.
    pub(crate) fn numbered(&mut self, purpose: &Purpose, number: u32) {
        match purpose {
            Purpose::Register(line) => self.register_numbered(*line, number),
            Purpose::Invite(call)
            | Purpose::Reinvite(call)
            | Purpose::InDialog(call)
            | Purpose::Refer(call) => {
                if let Some(dialog) = self
                    .calls
                    .get_mut(call)
                    .and_then(|state| state.dialog.as_mut())
                {
                    dialog.local_cseq = dialog.local_cseq.max(number);
                }
            }
            Purpose::Notify(call) => {
                if let Some(dialog) = self.referrer(*call) {
                    dialog.local_cseq = dialog.local_cseq.max(number);
                }
            }
            Purpose::Ack { .. } | Purpose::Nobody => {}
        }
    }

    /// A call's time has come.
    pub(crate) fn call_timeout(&mut self, call: CallHandle, now: Instant) {
        let Some(state) = self.calls.get_mut(&call) else {
            return;
        };
        if state.ring_until.is_some_and(|at| at <= now) {
            state.ring_until = None;
            let server = state.server;
            self.finish(
                call,
                EndedBy::Remote,
                Some(487),
                "the caller's time ran out",
            );
            if let Some(server) = server {
                self.respond(server, 487, now);
            }
            return;
        }
        if state.ring_again.is_some_and(|at| at <= now) {
            state.ring_again = None;
            self.ring_back(call, now);
        }
        if self.is_handover_due(call, now) {
            return self.handover_timeout(call, now);
        }
        self.ack_timeout(call, now);
        self.retry_change(call, now);
        self.schedule_call(call);
    }

    /// Our 2xx again, or no ACK ever.
    fn ack_timeout(&mut self, call: CallHandle, now: Instant) {
        let Some(state) = self.calls.get_mut(&call) else {
            return;
        };
        let Some(wait) = state.ack_wait.as_mut() else {
            return;
        };
        if wait.until <= now {
            state.ack_wait = None;
            if let Some(mut state) = self.finish(
                call,
                EndedBy::Failure,
                Some(408),
                "the far end never confirmed our answer",
            ) && let Some(dialog) = state.dialog.as_mut()
            {
                self.say_bye(dialog, state.account, None, now);
            }
        } else if wait.next.is_some_and(|at| at <= now) {
            wait.interval = (wait.interval * 2).min(crate::timer::T2);
            wait.next = Some(now + wait.interval);
            let (flow, bytes) = (wait.flow, wait.bytes.to_vec());
            self.wire.counters.retransmitted += 1;
            self.wire.send(flow, bytes, now);
        }
    }

    /// Begins to wait for the ACK of the 2xx a transaction just sent.
    fn await_ack(
        &mut self,
        call: CallHandle,
        server: TransactionId,
        offered: bool,
        before: Option<Session>,
        now: Instant,
    ) {
        let Some(entry) = self.servers.get(server) else {
            return;
        };
        let Some(bytes) = entry.last.clone() else {
            return;
        };
        let cseq = entry
            .request
            .headers
            .cseq()
            .map(|c| c.number)
            .unwrap_or_default();
        let wait = AckWait {
            cseq,
            flow: entry.reply,
            bytes,
            interval: crate::timer::T1,
            next: Some(now + crate::timer::T1),
            until: now + T1_64,
            offered,
            before,
        };
        if let Some(state) = self.calls.get_mut(&call) {
            state.ack_wait = Some(wait);
        }
        self.schedule_call(call);
    }
}

/// What a person is shown of an address: the name, else user part, else the whole.
pub(crate) fn shown(address: &NameAddr) -> String {
    let name = address
        .display
        .clone()
        .filter(|name| !name.trim().is_empty());
    name.or_else(|| address.uri.user().filter(|user| !user.is_empty()))
        .unwrap_or_else(|| address.uri.to_string())
}
