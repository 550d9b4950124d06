//! Requests that come in: sorted, checked, answered or passed to a call.
//!
//! ```text
//! request ─▶ ACK? ─▶ repeated? ─▶ CANCEL? ─▶ in a dialog? ─▶ Call::handle_request
//!                                              │ no
//!                                              ▼
//!                          admission ─▶ request_check ─▶ Call::incoming (INVITE) | answered here
//! ```
//!
//! Requests outside of dialogs that change nothing (OPTIONS, and all that is refused but INVITE)
//! are answered without a transaction: the same question gets the same answer, and a flood of them
//! fills no table.

use std::net::IpAddr;
use std::time::Instant;

use crate::action::{Reply, Turn};
use crate::admission::{Decision, Origin};
use crate::api::Event;
use crate::call::{Call, InDialog, check_interval, refused_offer};
use crate::capabilities::ALLOW;
use crate::dialog::Dialog;
use crate::events::ALLOW_EVENTS;
use crate::flow::{Flow, Transport};
use crate::identity::{first_called, party, shown};
use crate::ids::{AccountId, CallHandle, TransactionId};
use crate::message::{Fault, Message, Method, ParseError, Request, Uri};
use crate::offer_answer::{LocalMedia, Session};
use crate::request_check::{
    answer_after_ms, check, check_require, method_refusal, requires_auto_answer, wants_sips,
};
use crate::sdp::Description;
use crate::session_body::session_body;
use crate::transaction::server::State;
use crate::transaction::table::{MAX_SERVERS, merge_key, server_key};
use crate::transfer::Replaces;

use super::calls::MAX_CALLS;
use super::responses::reply_flow;
use super::{UserAgent, Waiter};

/// Room kept free in the table for requests inside of dialogs: a flood of calls must not stop a
/// BYE.
const RESERVED: usize = 64;
/// Retry-After, in seconds, where the table is full.
const FULL_RETRY_S: u32 = 10;

impl UserAgent {
    /// A request came in.
    pub(super) fn handle_request(&mut self, flow: Flow, mut request: Request, now: Instant) {
        let Ok(mut via) = request.headers.top_via() else {
            return;
        };
        via.stamp(flow.remote());
        request.headers.set_top_via(&via);
        let reply_to = reply_flow(flow, &via);
        let Some(key) = server_key(&request, None) else {
            return;
        };
        let known = self.servers.find(&key);
        match (&request.method, known) {
            (Method::Ack, known) => return self.handle_ack(flow, known, &request, now),
            (_, Some(transaction)) => {
                return self.handle_repetition(transaction, reply_to, &request, now);
            }
            (Method::Cancel, None) => return self.handle_cancel(flow, reply_to, &request, now),
            (_, None) => {}
        }
        if via.params().has("alias")
            && let Some(connection) = flow.connection()
        {
            let port = via.port().unwrap_or(Transport::Tls.default_port());
            self.transport.connections.learn_alias(connection, port);
        }
        let tagged = request.headers.to().is_ok_and(|to| to.tag().is_some());
        if tagged && let Some(call) = self.call_of(&request) {
            if self.is_downgrade(call, flow, &request) {
                let reply = Reply::refusal(403).with_reason("Secure Signalling Required");
                return self.respond_stateless(reply_to, &request, &reply, now);
            }
            if self.is_from_elsewhere(call, flow) {
                self.transport.counters.dropped += 1;
                self.transport.counters.refused += 1;
                return;
            }
            self.request_accepted(flow, false);
            return self.handle_in_dialog(call, reply_to, &key, &request, now);
        }
        if matches!(request.method, Method::Subscribe | Method::Notify)
            && self.handle_event_request(flow, reply_to, &key, &request, now)
        {
            return;
        }
        let origin = match self.admit(flow, &request, now) {
            Decision::Admit(origin) => origin,
            Decision::RetryAfter(seconds) => {
                let reply = Reply::refusal(503).with("Retry-After", seconds);
                return self.respond_stateless(reply_to, &request, &reply, now);
            }
            Decision::Drop => {
                self.transport.counters.dropped += 1;
                self.transport.counters.refused += 1;
                return;
            }
        };
        // Every open server transaction is an INVITE or inside of a dialog; there are few.
        let merged = || {
            let key = merge_key(&request);
            key.is_some_and(|key| self.servers.iter().any(|(_, entry)| entry.merge == key))
        };
        match check(&request, tagged, merged) {
            Err(refusal) => self.refuse(reply_to, &key, &request, &refusal, now),
            Ok(()) if request.method == Method::Invite => {
                self.handle_invite(origin, reply_to, &key, request, now);
            }
            Ok(()) if request.method == Method::Message => {
                self.handle_message(origin, reply_to, &key, &request, now);
            }
            Ok(()) if request.method == Method::Notify => {
                self.handle_unsolicited(origin, reply_to, &key, &request, now);
            }
            Ok(()) => {
                // Of the methods that pass the checks only OPTIONS is left.
                self.request_accepted(flow, origin.is_known());
                let reply = Reply::new(200)
                    .with("Accept", "application/sdp, application/dtmf-relay")
                    .with("Accept-Encoding", "identity")
                    .with("Accept-Language", "en")
                    .with("Allow-Events", ALLOW_EVENTS)
                    .with_capabilities();
                self.respond_stateless(reply_to, &request, &reply, now);
            }
        }
    }

    /// Whether a request inside of an account's call comes over UDP from a host that has no part in
    /// that call: neither its far end, a proxy of its route, nor one of the account's servers.
    /// Where the route names a host without its address, no one can know.
    fn is_from_elsewhere(&self, call: CallHandle, flow: Flow) -> bool {
        let Some(call) = self.calls.get(&call) else {
            return false;
        };
        let account = call.account().and_then(|a| self.registrations.get(a));
        let (Some(account), Some(dialog), Flow::Udp { remote }) = (account, call.dialog(), flow)
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
            || account.servers().has_address(ip);
        route.is_some_and(|hosts| !takes_part && !hosts.contains(&ip))
    }

    /// A request was accepted: the connection it came along, if any, may stay open.
    pub(super) fn request_accepted(&mut self, flow: Flow, known: bool) {
        if let Some(connection) = flow.connection() {
            self.transport
                .connections
                .handle_request_accepted(connection, known);
        }
    }

    // ── calls ─────────────────────────────────────────────────────────────────────────────────

    /// The call a request with a To tag belongs to.
    fn call_of(&self, request: &Request) -> Option<CallHandle> {
        let mut calls = self.calls.iter();
        calls
            .find(|(_, call)| call.owns(request))
            .map(|(handle, _)| *handle)
    }

    /// A request for a call that began over TLS must come over TLS: anything else is from somebody
    /// else, or an attempt to leave TLS.
    fn is_downgrade(&self, call: CallHandle, flow: Flow, request: &Request) -> bool {
        let secure = self
            .calls
            .get(&call)
            .is_some_and(|call| call.is_secure(request));
        secure && !flow.is_secure()
    }

    /// A request of the far end in one of a call's dialogs.
    fn handle_in_dialog(
        &mut self,
        handle: CallHandle,
        reply_to: Flow,
        key: &str,
        request: &Request,
        now: Instant,
    ) {
        let Some(call) = self.calls.get_mut(&handle) else {
            return;
        };
        let (in_order, early) = call.check_order(reply_to, request);
        let room = self
            .admission
            .has_room_in_dialog(handle, self.servers.len());
        let opened = room.then(|| self.open(reply_to, key, request.clone(), Some(handle)));
        let Some(transaction) = opened.flatten() else {
            self.transport.counters.dropped += 1;
            return;
        };
        if !in_order {
            return self.respond(transaction, &Reply::refusal(500), now);
        }
        if let Err(reply) = check_require(request) {
            return self.respond(transaction, &reply.with("Allow", ALLOW), now);
        }
        let asked = InDialog {
            transaction,
            request,
            early,
            subscribed: self.subscriptions.has_referrer(handle),
            trusted: self.is_trusted(handle, reply_to.remote().ip()),
        };
        self.on_call(handle, now, |call, turn| call.handle_request(asked, turn));
    }

    /// A new INVITE that passed all checks.
    fn handle_invite(
        &mut self,
        origin: Origin,
        reply_to: Flow,
        key: &str,
        request: Request,
        now: Instant,
    ) {
        let account = origin.account();
        if origin.is_known() {
            self.make_room_for_known(now);
        }
        if !self.has_room(origin) {
            let reply = Reply::refusal(503).with("Retry-After", FULL_RETRY_S);
            return self.respond_stateless(reply_to, &request, &reply, now);
        }
        let replaces = match self.check_invite(account, &request, reply_to) {
            Ok(replaces) => replaces,
            Err(reply) => {
                if let Some(transaction) = self.open(reply_to, key, request, None) {
                    self.respond(transaction, &reply, now);
                }
                return;
            }
        };
        let handle = self.next_call();
        let Some(transaction) = self.open(reply_to, key, request.clone(), Some(handle)) else {
            return;
        };
        let tag = self
            .servers
            .get(transaction)
            .map(|entry| entry.to_tag.clone())
            .unwrap_or_default();
        let contact = self.contact(account, Some(reply_to.transport()), wants_sips(&request));
        let Some(dialog) = Dialog::of_callee(&request, &tag, contact, Some(reply_to)) else {
            let reply = Reply::refusal(400).with_reason("Missing Contact header");
            return self.respond(transaction, &reply, now);
        };
        let mut trying = Reply::new(100);
        trying.headers.copy(&request.headers, "Timestamp");
        self.respond(transaction, &trying, now);
        // It rings no longer than a call from here would, whatever the caller asks for.
        let mut request = request;
        let limit = self.env.config.ring_limit.as_secs();
        let asked = request.headers.expires().map_or(limit, u64::from);
        request.headers.set("Expires", asked.min(limit));
        let mut turn = Turn::new(&mut self.env, now);
        let mut call = Call::incoming(handle, account, transaction, dialog, &request, &mut turn);
        let headers = &request.headers;
        let host = reply_to.remote().ip();
        let trusted = account
            .and_then(|account| self.registrations.get(account))
            .is_some_and(|registration| registration.servers().has_address(host));
        if let Ok(from) = headers.from() {
            call.set_peer(party(headers, trusted, &from));
        }
        self.events.push_back(Event::Incoming {
            call: handle,
            account: account.map(AccountId),
            from: call.peer().to_owned(),
            address: headers
                .from()
                .map(|from| from.uri.to_string())
                .unwrap_or_default(),
            anonymous: is_anonymous(headers),
            to: headers.to().map(|to| shown(&to)).unwrap_or_default(),
            first_called: first_called(headers).filter(|_| trusted),
            alert_info: headers.get("Alert-Info").map(str::to_owned),
            answer_after_ms: answer_after_ms(&request).filter(|_| self.may_auto_answer(account)),
            offers_ice: offers_ice(&request),
            call_id: headers.call_id().unwrap_or_default().to_owned(),
            replaces,
        });
        self.deadlines.set(Waiter::Call(handle), call.deadline());
        self.calls.insert(handle, call);
        self.request_accepted(reply_to, origin.is_known());
        if !origin.is_known() {
            self.admission.handle_stranger_call(handle);
        }
    }

    /// Whether another call finds room among the server transactions.
    fn has_room(&self, origin: Origin) -> bool {
        let transactions = self.servers.len();
        transactions + RESERVED < MAX_SERVERS
            && (origin.is_known() || self.admission.has_room_for_stranger(transactions))
    }

    /// Whether an INVITE may ring: the call it replaces, or the refusal.
    fn check_invite(
        &self,
        account: Option<usize>,
        request: &Request,
        flow: Flow,
    ) -> Result<Option<CallHandle>, Reply> {
        if self.shutting_down {
            return Err(Reply::refusal(503));
        }
        if self.calls.len() >= MAX_CALLS {
            return Err(Reply::refusal(486));
        }
        let replaces = self
            .replaced(account, request, flow.is_secure())
            .map_err(Reply::refusal)?;
        if !self.may_auto_answer(account) && requires_auto_answer(request) {
            return Err(Reply::refusal(403).with_reason("Automatic Answer Forbidden"));
        }
        check_interval(request)?;
        if let Some(offer) = session_body(request) {
            self.check_offer(account, &offer, flow)?;
        }
        Ok(replaces)
    }

    /// The call an INVITE takes the place of; none: it is an ordinary one. The status of the
    /// refusal otherwise.
    fn replaced(
        &self,
        account: Option<usize>,
        request: &Request,
        secure: bool,
    ) -> Result<Option<CallHandle>, u16> {
        let Some(replaces) = Replaces::of(&request.headers)? else {
            return Ok(None);
        };
        let named = |call: &Call| call.is_named_by(&replaces.dialog);
        match self.calls.iter().find(|(_, call)| named(call)) {
            Some((handle, call)) => {
                call.check_replaced(&replaces.dialog, account, secure, replaces.early_only)?;
                Ok(Some(*handle))
            }
            None if self.ended.contains(&replaces.dialog) => Err(603),
            None => Err(481),
        }
    }

    /// Whether a caller's wish to be answered automatically counts: the owner allows it at all, and
    /// the call came by an account, whose server answers for the caller. A direct caller may be
    /// anybody who wants to listen to the room.
    fn may_auto_answer(&self, account: Option<usize>) -> bool {
        self.env.config.auto_answer && account.is_some()
    }

    /// An offer this phone, as it is configured, could not take is refused before anything rings.
    fn check_offer(&self, account: Option<usize>, offer: &[u8], flow: Flow) -> Result<(), Reply> {
        let (config, local) = (&self.env.config, self.env.addresses.primary());
        let account = account.and_then(|account| self.env.account(account));
        let all = LocalMedia {
            rtp: local,
            rtcp: local,
            codecs: config.codecs.clone(),
            ptime_ms: 20,
            dtmf: true,
            opus: types::OpusFormat::default(),
            comfort_noise: false,
            rtcp_xr: false,
            media_security: account
                .map_or(&config.media_security, |account| &account.media_security)
                .clone(),
            ice: None,
            owner_moves: false,
        };
        let mut session = Session::new(all, local.ip(), 0);
        session.set_addresses(&self.env.addresses);
        session.set_secure(flow.is_secure());
        session.set_far_host(Some(flow.remote().ip()));
        session
            .evaluate(offer)
            .map_err(|error| refused_offer(&error, local))
    }

    fn handle_ack(
        &mut self,
        flow: Flow,
        transaction: Option<TransactionId>,
        ack: &Request,
        now: Instant,
    ) {
        if let Some(id) = transaction
            && let Some(entry) = self.servers.get_mut(id)
            && entry.machine.state() != State::Accepted
        {
            entry.machine.ack(now);
            self.schedule_server(id);
            return;
        }
        match self.call_of(ack) {
            Some(call) if !self.is_downgrade(call, flow, ack) => {
                self.on_call(call, now, |call, turn| call.handle_ack(ack, turn));
            }
            Some(_) | None => self.transport.counters.dropped += 1,
        }
    }

    /// CANCEL (section 9.2): 200 where there is something to cancel, whether or not it is too late
    /// for that.
    fn handle_cancel(&mut self, flow: Flow, reply_to: Flow, cancel: &Request, now: Instant) {
        let invite =
            server_key(cancel, Some(&Method::Invite)).and_then(|key| self.servers.find(&key));
        let Some((id, entry)) = invite.and_then(|id| Some((id, self.servers.get(id)?))) else {
            if matches!(self.admit(flow, cancel, now), Decision::Admit(_)) {
                self.respond_stateless(reply_to, cancel, &Reply::refusal(481), now);
            } else {
                self.transport.counters.dropped += 1;
                self.transport.counters.refused += 1;
            }
            return;
        };
        // A CANCEL must come from where the INVITE came from.
        if entry.reply.remote().ip() != reply_to.remote().ip()
            || (entry.reply.is_secure() && !reply_to.is_secure())
        {
            self.transport.counters.dropped += 1;
            return;
        }
        let server = &self.env.config.user_agent;
        let response = Reply::new(200).to(cancel, &entry.to_tag, server);
        let (state, call) = (entry.machine.state(), entry.call);
        self.transport.send(reply_to, response.to_bytes(), now);
        if state != State::Proceeding {
            return;
        }
        match call.filter(|call| self.calls.contains_key(call)) {
            Some(call) => self.on_call(call, now, |call, turn| {
                call.handle_cancel(id, &cancel.headers, turn);
            }),
            None => self.respond(id, &Reply::new(487), now),
        }
    }

    /// A message on a stream without a usable Content-Length (section 18.3): a request is refused
    /// before the connection closes.
    pub(super) fn refuse_unframed(&mut self, flow: Flow, head: &[u8], now: Instant) {
        match Message::parse(head) {
            Ok(Message::Request(request))
                if request.method != Method::Ack && self.answers(flow, now) =>
            {
                let reply = Reply::refusal(400).with_reason("Missing Content-Length");
                self.respond_stateless(flow, &request, &reply, now);
            }
            Ok(Message::Request(_) | Message::Response(_)) => {}
            Err(error) => self.handle_malformed(flow, &error, now),
        }
    }

    /// Bytes that are no message: answered if they are nearly a request from somebody who may ask,
    /// counted always.
    pub(super) fn handle_malformed(&mut self, flow: Flow, error: &ParseError, now: Instant) {
        if error.fault == Fault::Empty {
            return;
        }
        self.transport.counters.malformed += 1;
        if !self.answers(flow, now) {
            self.transport.counters.dropped += 1;
            return;
        }
        let Some(salvage) = error.salvage.as_deref() else {
            return;
        };
        let tag = self.stateless_tag(
            salvage.headers.get("Call-ID").unwrap_or_default(),
            salvage.via.branch(),
        );
        // Section 8.2.1 looks at the method first: what would be refused whole is refused for that,
        // not for its other faults.
        let refusal = method_refusal(&salvage.method).filter(|_| error.fault.code() == 400);
        if let Some(mut response) = error.answer(flow.remote(), &tag, refusal)
            && let Ok(via) = response.headers.top_via()
        {
            if refusal.is_some() {
                response.headers.push("Allow", ALLOW);
            }
            self.transport.counters.refused += 1;
            self.transport
                .send(reply_flow(flow, &via), response.to_bytes(), now);
        }
    }
}

/// Whether the caller withholds the identity (RFC 3323 section 4.1.1.3).
fn is_anonymous(headers: &crate::message::Headers) -> bool {
    let host = headers.from().ok().and_then(|from| {
        let uri = from.uri.as_sip()?;
        let host = uri.host().to_string().to_ascii_lowercase();
        Some(host == "anonymous.invalid" || uri.user().as_deref() == Some("anonymous"))
    });
    let privacy = headers.values("Privacy").any(|value| {
        let mut kinds = value.split([';', ',']).map(str::trim);
        kinds.any(|kind| kind.eq_ignore_ascii_case("id") || kind.eq_ignore_ascii_case("user"))
    });
    host.unwrap_or(false) || privacy
}

/// Whether there is an offer with ICE.
fn offers_ice(request: &Request) -> bool {
    session_body(request).is_some_and(|offer| {
        Description::parse(&offer)
            .is_ok_and(|description| description.lines.iter().any(|line| line.ice.is_some()))
    })
}
