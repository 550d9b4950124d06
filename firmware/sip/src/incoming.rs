//! Requests that come in: sorted, checked in the order RFC 3261 section 8.2 gives, answered or
//! handed on.
//!
//! ```text
//! request ─▶ ACK? ─▶ repeated? ─▶ CANCEL? ─▶ in a dialog? ─▶ invite::session
//!                                              │ no
//!                                              ▼
//!                       admission ─▶ method, scheme, To tag, merged, Require, body ─▶ invite::callee (INVITE) | answered here
//! ```
//!
//! Requests outside of dialogs that change nothing (OPTIONS, and all that is refused but INVITE)
//! are answered without a transaction: the same question gets the same answer, and a flood of them
//! fills no table.

use std::net::SocketAddr;
use std::time::Instant;

use sha2::{Digest, Sha256};

use crate::admission::{Decision, Origin};
use crate::agent::{UserAgent, Waiter};
use crate::flow::{Flow, Transport};
use crate::ids::{CallHandle, TransactionId};
use crate::message::{Fault, Method, ParseError, Request, Response, Uri, Via};
use crate::transaction::server::{Server, State};
use crate::transaction::table::{ServerEntry, merge_key, server_key};

/// The methods this phone knows what to do with.
pub(crate) const ALLOW: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, REFER, NOTIFY";
/// The extensions it speaks.
pub(crate) const SUPPORTED: [&str; 2] = ["replaces", "norefersub"];
/// Room kept free in the table for requests inside of dialogs: a flood of calls must not stop a
/// BYE.
const RESERVED: usize = 64;

impl UserAgent {
    /// A request came in.
    pub(crate) fn handle_request(&mut self, flow: Flow, mut request: Request, now: Instant) {
        let Ok(mut via) = request.headers.top_via() else {
            return;
        };
        via.stamp(flow.remote());
        request.headers.set_top_via(&via);
        let reply = reply_flow(flow, &via);
        let Some(key) = server_key(&request, None) else {
            return;
        };
        let known = self.servers.find(&key);
        match (&request.method, known) {
            (Method::Ack, known) => return self.handle_ack(flow, known, &request, now),
            (_, Some(transaction)) => return self.repeat(transaction, now),
            (Method::Cancel, None) => return self.handle_cancel(flow, reply, &request, now),
            (_, None) => {}
        }
        if via.params().has("alias")
            && let Some(connection) = flow.connection()
        {
            let port = via.port().unwrap_or(Transport::Tls.default_port());
            self.wire.connections.learn_alias(connection, port);
        }
        let tagged = request.headers.to().is_ok_and(|to| to.tag().is_some());
        if tagged && let Some(call) = self.call_of(&request) {
            if self.is_downgrade(call, flow, &request) {
                self.wire.counters.refused += 1;
                let response = self
                    .stateless(&request, 403)
                    .with_reason("Secure Signalling Required");
                self.reply(reply, &response, now);
                return;
            }
            self.request_accepted(flow, false);
            self.handle_in_dialog(call, reply, &key, &request, now);
            return;
        }
        let origin = match self.admit(flow, &request, now) {
            Decision::Admit(origin) => origin,
            Decision::RetryAfter(seconds) => {
                self.wire.counters.refused += 1;
                let mut response = self.stateless(&request, 503);
                response.headers.push("Retry-After", seconds);
                self.reply(reply, &response, now);
                return;
            }
            Decision::Drop => {
                self.wire.counters.dropped += 1;
                self.wire.counters.refused += 1;
                return;
            }
        };
        match self.check(&request, tagged) {
            Err(refusal) => self.refuse(reply, &key, request, &refusal, now),
            Ok(()) if request.method == Method::Invite => {
                self.handle_invite(origin, reply, &key, request, now);
            }
            Ok(()) => {
                // Of the methods that pass the checks only OPTIONS is left.
                self.request_accepted(flow, origin.is_known());
                let mut response = self.stateless(&request, 200);
                response
                    .headers
                    .push("Accept", "application/sdp, application/dtmf-relay");
                response.headers.push("Accept-Encoding", "identity");
                response.headers.push("Accept-Language", "en");
                Self::say_abilities(&mut response);
                self.reply(reply, &response, now);
            }
        }
    }

    /// A request was accepted: the connection it came along, if any, may stay open.
    pub(crate) fn request_accepted(&mut self, flow: Flow, known: bool) {
        if let Some(connection) = flow.connection() {
            self.wire
                .connections
                .handle_request_accepted(connection, known);
        }
    }

    /// The checks of section 8.2 in order; the refusal if one fails.
    fn check(&self, request: &Request, tagged: bool) -> Result<(), Response> {
        let refuse = |code: u16| self.stateless(request, code);
        if let Some(code) = method_refusal(&request.method) {
            let mut response = refuse(code);
            response.headers.push("Allow", ALLOW);
            return Err(response);
        }
        if matches!(request.method, Method::Subscribe | Method::Notify) {
            if tagged {
                return Err(refuse(481));
            }
            let mut response = refuse(489);
            response.headers.push("Allow-Events", "");
            return Err(response);
        }
        if matches!(request.uri, Uri::Other(_)) {
            return Err(refuse(416));
        }
        if tagged || matches!(request.method, Method::Bye | Method::Info | Method::Update) {
            return Err(refuse(481));
        }
        // Nobody makes this phone call somebody but the far end of a call that stands.
        if request.method == Method::Refer {
            return Err(refuse(403));
        }
        // Every open server transaction is an INVITE or inside of a dialog; there are few.
        if request.method == Method::Invite
            && let Some(merge) = merge_key(request)
            && self.servers.iter().any(|(_, entry)| entry.merge == merge)
        {
            return Err(refuse(482));
        }
        // RFC 3891 section 3: only an INVITE takes somebody's place.
        if request.method != Method::Invite && request.headers.get("Replaces").is_some() {
            return Err(refuse(400));
        }
        self.check_require(request)?;
        check_body(request).map_err(|code| {
            let mut response = refuse(code);
            response.headers.push("Accept", "application/sdp");
            response.headers.push("Accept-Encoding", "identity");
            response
        })
    }

    /// Section 8.2.2.3: extensions asked for that this phone does not have.
    pub(crate) fn check_require(&self, request: &Request) -> Result<(), Response> {
        let unknown: Vec<&str> = request
            .headers
            .require()
            .filter(|tag| {
                !SUPPORTED
                    .iter()
                    .any(|known| known.eq_ignore_ascii_case(tag))
            })
            .take(16)
            .collect();
        if unknown.is_empty() {
            return Ok(());
        }
        let mut response = self.stateless(request, 420);
        response.headers.push("Unsupported", unknown.join(", "));
        Err(response)
    }

    /// Refuses a request outside of a dialog: INVITE by a transaction, since its ACK follows;
    /// others without.
    fn refuse(
        &mut self,
        reply: Flow,
        key: &str,
        request: Request,
        response: &Response,
        now: Instant,
    ) {
        self.wire.counters.refused += 1;
        if request.method == Method::Invite
            && let Some(transaction) = self.open(reply, key, request)
        {
            self.send_response(transaction, response, now);
            return;
        }
        self.reply(reply, response, now);
    }

    /// Opens a server transaction; `None` when the table is full.
    pub(crate) fn open(
        &mut self,
        reply: Flow,
        key: &str,
        request: Request,
    ) -> Option<TransactionId> {
        let machine = Server::new(
            request.method == Method::Invite,
            reply.transport().is_reliable(),
        );
        let merge = merge_key(&request)?;
        let to_tag = self.tokens.tag();
        self.servers.insert(
            key.to_owned(),
            ServerEntry {
                machine,
                request,
                reply,
                last: None,
                to_tag,
                call: None,
                merge,
            },
        )
    }

    /// Whether another call finds room among the server transactions.
    pub(crate) fn has_room(&self, origin: Origin) -> bool {
        let transactions = self.servers.len();
        transactions + RESERVED < crate::transaction::table::MAX_SERVERS
            && (origin.is_known() || self.admission.has_room_for_stranger(transactions))
    }

    /// An answer to the request of a transaction, with our tag.
    pub(crate) fn response_for(&self, transaction: TransactionId, code: u16) -> Option<Response> {
        let entry = self.servers.get(transaction)?;
        let tag = (code > 100).then_some(entry.to_tag.as_str());
        let mut response = Response::reply(&entry.request, code, tag);
        response.headers.push("Server", &self.config.user_agent);
        Some(response)
    }

    /// Answers a transaction with a bare status.
    pub(crate) fn respond(&mut self, transaction: TransactionId, code: u16, now: Instant) {
        if let Some(response) = self.response_for(transaction, code) {
            self.send_response(transaction, &response, now);
        }
    }

    /// Answers a transaction.
    pub(crate) fn send_response(
        &mut self,
        transaction: TransactionId,
        response: &Response,
        now: Instant,
    ) {
        let Some(entry) = self.servers.get_mut(transaction) else {
            return;
        };
        if !entry.machine.respond(response.code(), now) {
            return;
        }
        let bytes = response.to_bytes();
        entry.last = Some(bytes.clone().into());
        let (reply, via) = (entry.reply, entry.request.headers.top_via());
        let reply = self.living_flow(reply, via.ok().as_ref(), now);
        self.wire.send(reply, bytes, now);
        self.schedule_server(transaction);
    }

    /// The flow itself, or, when its connection is gone, a new one of the same kind to where the
    /// Via says (section 18.2.2).
    fn living_flow(&mut self, flow: Flow, via: Option<&Via>, now: Instant) -> Flow {
        if self.wire.is_alive(flow) {
            return flow;
        }
        let transport = flow.transport();
        let found = via.and_then(|via| {
            let ip = via.received().or_else(|| via.host().ip())?;
            let mut names: Vec<String> = self
                .lines
                .iter()
                .flat_map(|line| line.names_behind(via.host(), ip))
                .collect();
            names.push(crate::outgoing::plain(via.host()));
            names.dedup();
            Some((
                SocketAddr::new(ip, via.port().unwrap_or(transport.default_port())),
                names,
            ))
        });
        found
            .and_then(|(address, names)| {
                self.wire
                    .connect_for_response(address, transport, &names, &mut self.events, now)
            })
            .unwrap_or(flow)
    }

    /// A request for a call that began over TLS must come over TLS: anything else is somebody
    /// else's, or a way down.
    fn is_downgrade(&self, call: CallHandle, flow: Flow, request: &Request) -> bool {
        !flow.is_secure()
            && self
                .calls
                .get(&call)
                .is_some_and(|state| state.is_secure(request))
    }

    /// Sends an answer that no transaction remembers.
    pub(crate) fn reply(&mut self, reply: Flow, response: &Response, now: Instant) {
        self.wire.send(reply, response.to_bytes(), now);
    }

    /// An answer whose tag depends on the request alone: asked again, it is the same (section
    /// 8.2.7).
    pub(crate) fn stateless(&self, request: &Request, code: u16) -> Response {
        let branch = request
            .headers
            .top_via()
            .ok()
            .and_then(|via| via.branch().map(str::to_owned));
        let tag = self.stateless_tag(
            request.headers.call_id().unwrap_or_default(),
            branch.as_deref(),
        );
        let mut response = Response::reply(request, code, Some(&tag));
        response.headers.push("Server", &self.config.user_agent);
        response
    }

    /// 64 bits nobody can guess, the same each time for the same Call-ID and branch.
    fn stateless_tag(&self, call_id: &str, branch: Option<&str>) -> String {
        let mut hash = Sha256::new();
        for part in [self.salt.as_str(), call_id, branch.unwrap_or_default()] {
            hash.update(part.as_bytes());
            hash.update([0]);
        }
        let digest = hash.finalize();
        digest
            .iter()
            .take(8)
            .fold(String::new(), |tag, byte| tag + &format!("{byte:02x}"))
    }

    /// Says what this phone can do (section 11.2).
    pub(crate) fn say_abilities(response: &mut Response) {
        response.headers.push("Allow", ALLOW);
        if !SUPPORTED.is_empty() {
            response.headers.push("Supported", SUPPORTED.join(", "));
        }
    }

    /// Keeps the index in step with a server transaction; forgets it when it is over.
    pub(crate) fn schedule_server(&mut self, id: TransactionId) {
        let Some(entry) = self.servers.get(id) else {
            return;
        };
        if entry.machine.state() == State::Done {
            self.deadlines.set(Waiter::Server(id), None);
            self.servers.remove(id);
        } else {
            self.deadlines
                .set(Waiter::Server(id), entry.machine.deadline());
        }
    }

    /// A server transaction's time has come.
    pub(crate) fn server_timeout(&mut self, id: TransactionId, now: Instant) {
        let Some(entry) = self.servers.get_mut(id) else {
            return;
        };
        let todo = entry.machine.timeout(now);
        if todo.retransmit {
            let (reply, last) = (entry.reply, entry.last.clone());
            if let Some(bytes) = last {
                self.wire.counters.retransmitted += 1;
                self.wire.send(reply, bytes.to_vec(), now);
            }
        }
        self.schedule_server(id);
    }

    fn repeat(&mut self, id: TransactionId, now: Instant) {
        let Some(entry) = self.servers.get(id) else {
            return;
        };
        if entry.machine.repeated()
            && let Some(bytes) = entry.last.clone()
        {
            let reply = entry.reply;
            self.wire.counters.retransmitted += 1;
            self.wire.send(reply, bytes.to_vec(), now);
        }
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
            Some(call) if !self.is_downgrade(call, flow, ack) => self.acked(call, ack, now),
            Some(_) | None => self.wire.counters.dropped += 1,
        }
    }

    /// CANCEL (section 9.2): 200 where there is something to cancel, whether or not it is too late
    /// for that.
    fn handle_cancel(&mut self, flow: Flow, reply: Flow, cancel: &Request, now: Instant) {
        let invite =
            server_key(cancel, Some(&Method::Invite)).and_then(|key| self.servers.find(&key));
        let Some((id, entry)) = invite.and_then(|id| Some((id, self.servers.get(id)?))) else {
            if matches!(self.admit(flow, cancel, now), Decision::Admit(_)) {
                self.wire.counters.refused += 1;
                let response = self.stateless(cancel, 481);
                self.reply(reply, &response, now);
            } else {
                self.wire.counters.dropped += 1;
                self.wire.counters.refused += 1;
            }
            return;
        };
        // Who cancels must be where the INVITE came from.
        if entry.reply.remote().ip() != reply.remote().ip()
            || (entry.reply.is_secure() && !reply.is_secure())
        {
            self.wire.counters.dropped += 1;
            return;
        }
        let mut response = Response::reply(cancel, 200, Some(&entry.to_tag));
        response.headers.push("Server", &self.config.user_agent);
        let (state, call) = (entry.machine.state(), entry.call);
        self.reply(reply, &response, now);
        if state == State::Proceeding {
            let reason = cancel.headers.get("Reason").map(str::to_owned);
            match call {
                Some(call) => self.cancelled(call, id, reason.as_deref(), now),
                None => self.respond(id, 487, now),
            }
        }
    }

    /// Bytes that are no message: answered if they are nearly a request from somebody who may ask,
    /// counted always.
    pub(crate) fn handle_malformed(&mut self, flow: Flow, error: &ParseError, now: Instant) {
        if error.fault == Fault::Empty {
            return;
        }
        self.wire.counters.malformed += 1;
        if !self.answers(flow, now) {
            self.wire.counters.dropped += 1;
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
            self.wire.counters.refused += 1;
            self.reply(reply_flow(flow, &via), &response, now);
        }
    }
}

/// The status that refuses a method this phone knows but does not allow (405), or does not know
/// (501).
fn method_refusal(method: &Method) -> Option<u16> {
    match method {
        // The last three are refused by what they ask for, not by their name.
        Method::Invite
        | Method::Bye
        | Method::Options
        | Method::Info
        | Method::Update
        | Method::Ack
        | Method::Cancel
        | Method::Subscribe
        | Method::Notify
        | Method::Refer => None,
        Method::Register | Method::Prack | Method::Message | Method::Publish => Some(405),
        Method::Other(_) => Some(501),
    }
}

/// Where answers go (section 18.2.2): back on the connection; over UDP to the source address, at
/// the port rport or the Via names.
fn reply_flow(flow: Flow, via: &Via) -> Flow {
    match flow {
        Flow::Tcp { .. } | Flow::Tls { .. } => flow,
        Flow::Udp { remote } => Flow::Udp {
            remote: via.reply_address().unwrap_or(remote),
        },
    }
}

/// Section 8.2.3: a body this phone cannot read, unless it may be ignored.
fn check_body(request: &Request) -> Result<(), u16> {
    if request.body.is_empty() {
        return Ok(());
    }
    let optional = request
        .headers
        .get("Content-Disposition")
        .is_some_and(|d| d.to_ascii_lowercase().contains("handling=optional"));
    let encoded = request
        .headers
        .get("Content-Encoding")
        .is_some_and(|e| !e.trim().eq_ignore_ascii_case("identity") && !e.is_empty());
    if encoded && !optional {
        return Err(415);
    }
    if request.method != Method::Invite || optional {
        return Ok(());
    }
    match request.headers.content_type() {
        // RFC 3261 section 20.15 wants a Content-Type; without one nothing can be made of the body.
        Ok(None) | Err(_) => Err(400),
        Ok(Some(kind)) if kind.name == "application/sdp" => Ok(()),
        Ok(Some(kind))
            if kind.name.starts_with("multipart/") && session_body(request).is_some() =>
        {
            Ok(())
        }
        Ok(Some(_)) => Err(415),
    }
}

/// The SDP of a message: its body, or the SDP part of a multipart body (RFC 2046, RFC 5621).
pub(crate) fn session_body(request: &Request) -> Option<Vec<u8>> {
    session_part(&request.headers.content_type().ok()??, &request.body)
}

/// The same of a response.
pub(crate) fn session_body_of(response: &Response) -> Option<Vec<u8>> {
    session_part(&response.headers.content_type().ok()??, &response.body)
}

fn session_part(kind: &crate::message::MediaType, body: &[u8]) -> Option<Vec<u8>> {
    if body.is_empty() {
        return None;
    }
    if kind.name == "application/sdp" {
        return Some(body.to_vec());
    }
    if !kind.name.starts_with("multipart/") {
        return None;
    }
    let boundary = format!("--{}", kind.params.text("boundary")?);
    let text = String::from_utf8_lossy(body);
    let mut part: Option<(bool, bool, String)> = None;
    for line in text.split_inclusive('\n') {
        let bare = line.trim_end_matches(['\r', '\n']);
        if bare.trim_end() == boundary || bare.trim_end() == format!("{boundary}--") {
            if let Some((_, true, found)) = part.take() {
                return Some(found.into_bytes());
            }
            if bare.trim_end() != boundary {
                return None;
            }
            part = Some((false, false, String::new()));
            continue;
        }
        match &mut part {
            None => {}
            Some((in_body @ false, is_sdp, _)) => {
                if bare.is_empty() {
                    *in_body = true;
                } else if let Some((name, value)) = bare.split_once(':')
                    && (name.trim().eq_ignore_ascii_case("content-type")
                        || name.trim().eq_ignore_ascii_case("c"))
                {
                    *is_sdp = value
                        .trim()
                        .to_ascii_lowercase()
                        .starts_with("application/sdp");
                }
            }
            Some((true, _, found)) => found.push_str(line),
        }
    }
    None
}
