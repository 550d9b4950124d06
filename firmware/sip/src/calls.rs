//! All calls: their table, the limits on it, and what concerns more than one [`Call`] or a call and
//! the accounts.

mod incoming;
mod placing;
#[cfg(test)]
mod tests;
mod transfers;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Instant;

use crate::action::{Action, OutgoingRequest, Purpose, Turn};
use crate::api::PeerCheck;
use crate::call::Call;
use crate::env::Env;
use crate::event_body::CallSummary;
use crate::flow::Flow;
use crate::ids::CallHandle;
use crate::message::{Method, Request, SipUri, Uri};
use crate::requests::Urgency;
use crate::shared::{Shared, Waiter};
use crate::transfer::{EndedDialogs, ReferSubscriptions};

pub(crate) use incoming::NewCall;
pub(crate) use placing::Dialled;

/// Most calls at once: a desk phone has one handset, and a few callers wait.
const MAX_CALLS: usize = 16;

/// All calls.
pub(crate) struct Calls {
    by_handle: BTreeMap<CallHandle, Call>,
    next: u64,
    /// Calls each of whose servers may be silent for so long only: emergency calls that can go
    /// another way.
    urgent: BTreeMap<CallHandle, Urgency>,
    /// Who asked for a call by REFER and learns how it goes on.
    referrers: ReferSubscriptions,
    ended: EndedDialogs,
}

impl Calls {
    pub(crate) fn new() -> Self {
        Self {
            by_handle: BTreeMap::new(),
            next: 1,
            urgent: BTreeMap::new(),
            referrers: ReferSubscriptions::default(),
            ended: EndedDialogs::default(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.by_handle.len()
    }

    pub(crate) fn get(&self, handle: CallHandle) -> Option<&Call> {
        self.by_handle.get(&handle)
    }

    pub(crate) fn contains(&self, handle: CallHandle) -> bool {
        self.by_handle.contains_key(&handle)
    }

    pub(crate) fn handles(&self) -> Vec<CallHandle> {
        self.by_handle.keys().copied().collect()
    }

    /// How many dialogs there are, those kept for a referrer included.
    pub(crate) fn dialog_count(&self) -> usize {
        let own: usize = self.by_handle.values().map(Call::dialog_count).sum();
        own + self.referrers.orphans()
    }

    /// What watchers learn of the calls.
    pub(crate) fn summaries(&self) -> Vec<CallSummary> {
        self.by_handle.values().filter_map(Call::summary).collect()
    }

    /// How long the servers of the INVITE may be silent, where it is one of an emergency call.
    pub(crate) fn urgency(&self, purpose: Purpose) -> Option<Urgency> {
        match purpose {
            Purpose::Invite(call) => self.urgent.get(&call).copied(),
            _other => None,
        }
    }

    /// One turn of one call: what it wants done; `None`: it is over.
    pub(crate) fn turn(
        &mut self,
        handle: CallHandle,
        env: &mut Env,
        now: Instant,
        turn: impl FnOnce(&mut Call, &mut Turn<'_>),
    ) -> Option<Vec<Action>> {
        let call = self.by_handle.get_mut(&handle)?;
        let span = call.span().clone();
        let _entered = span.enter();
        let mut todo = Turn::new(env, now);
        turn(call, &mut todo);
        Some(todo.into_actions())
    }

    /// After each turn: keeps the index in step, and takes a call that is over out of the table.
    /// Returns whether it is, and the status its referrer is still to learn.
    pub(crate) fn after_turn(&mut self, handle: CallHandle, shared: &mut Shared) -> AfterTurn {
        let Some(call) = self.by_handle.get_mut(&handle) else {
            return AfterTurn::GoesOn;
        };
        let Some(over) = call.take_over() else {
            let deadline = call.deadline();
            shared.deadlines.set(Waiter::Call(handle), deadline);
            return AfterTurn::GoesOn;
        };
        self.by_handle.remove(&handle);
        self.urgent.remove(&handle);
        shared.deadlines.set(Waiter::Call(handle), None);
        let (code, dialog) = (over.code, over.dialog.as_ref());
        let last = self.referrers.handle_call_over(handle, code, dialog);
        if let Some(dialog) = dialog {
            self.ended.push(dialog);
        }
        AfterTurn::Over { last }
    }

    /// OPTIONS in an established call: whether the far end still knows it.
    pub(crate) fn peer_check(&mut self, handle: CallHandle, env: &Env) -> Option<OutgoingRequest> {
        let call = self.by_handle.get_mut(&handle)?;
        let account = call.account();
        let dialog = call.dialog_mut()?;
        let mut request = dialog.request(&Method::Options);
        request.headers.push("User-Agent", &env.config.user_agent);
        let purpose = Purpose::CheckPeer(handle);
        Some(OutgoingRequest::in_dialog(
            dialog, purpose, account, request,
        ))
    }

    /// What the status of that OPTIONS means, while the call goes on.
    pub(crate) fn peer_checked(&self, handle: CallHandle, code: u16) -> Option<PeerCheck> {
        // Section 12.2.1.2: these say that the dialog is gone.
        let result = match code {
            408 | 481 | 503 => PeerCheck::Gone,
            _ => PeerCheck::Alive,
        };
        self.contains(handle).then_some(result)
    }

    /// A request in a call was sent again under a higher number.
    pub(crate) fn handle_renumbered(&mut self, handle: CallHandle, cseq: u32) {
        if let Some(call) = self.by_handle.get_mut(&handle) {
            call.handle_renumbered(cseq);
        }
    }

    /// The calls whose Contact is another one now that the phone has another address, or (`by`) is
    /// seen at another one by an account's server.
    pub(crate) fn moved(&self, by: Option<usize>, shared: &Shared) -> Vec<(CallHandle, SipUri)> {
        let calls = self.by_handle.iter();
        calls
            .filter(|(_, call)| by.is_none() || call.account() == by)
            .map(|(handle, call)| {
                let (transport, sips) = call.contact_needs().unwrap_or((None, false));
                (*handle, shared.contact(call.account(), transport, sips))
            })
            .collect()
    }

    // ── requests that come in ─────────────────────────────────────────────────────────────────

    /// The call a request with a To tag belongs to.
    pub(crate) fn of_request(&self, request: &Request) -> Option<CallHandle> {
        let mut calls = self.by_handle.iter();
        calls
            .find(|(_, call)| call.owns(request))
            .map(|(handle, _)| *handle)
    }

    /// A request for a call that began over TLS must come over TLS: anything else is from somebody
    /// else, or an attempt to leave TLS.
    pub(crate) fn is_downgrade(&self, call: CallHandle, flow: Flow, request: &Request) -> bool {
        let secure = self.get(call).is_some_and(|call| call.is_secure(request));
        secure && !flow.is_secure()
    }

    /// Whether a request inside of an account's call comes over UDP from a host that has no part in
    /// that call: neither its far end, a proxy of its route, nor one of the account's servers.
    /// Where the route names a host without its address, no one can know.
    pub(crate) fn is_from_elsewhere(&self, call: CallHandle, flow: Flow, shared: &Shared) -> bool {
        let Some(call) = self.get(call) else {
            return false;
        };
        let servers = call.account().and_then(|a| shared.registrations.servers(a));
        let (Some(servers), Some(dialog), Flow::Udp { remote }) = (servers, call.dialog(), flow)
        else {
            return false;
        };
        let host_of = |uri: &Uri| uri.as_sip().and_then(|uri| uri.host().ip());
        let route: Option<Vec<IpAddr>> = dialog
            .routes
            .iter()
            .map(|route| &route.uri)
            .chain([&dialog.target])
            .map(host_of)
            .collect();
        let ip = remote.ip().to_canonical();
        let takes_part = call
            .signalling_hosts()
            .any(|host| host.to_canonical() == ip)
            || servers.has_address(ip);
        route.is_some_and(|hosts| !takes_part && !hosts.contains(&ip))
    }

    /// Whether a request inside of a call is in order, and of an early dialog.
    pub(crate) fn check_order(
        &mut self,
        handle: CallHandle,
        from: Flow,
        request: &Request,
    ) -> Option<(bool, bool)> {
        let call = self.by_handle.get_mut(&handle)?;
        Some(call.check_order(from, request))
    }
}

/// What becomes of a call after one of its turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AfterTurn {
    /// It goes on, or was over before.
    GoesOn,
    /// It is over; with the last status its referrer is to learn.
    Over { last: Option<u16> },
}
