//! Server transactions: their table, and the responses that leave by them or without any.

use std::net::SocketAddr;
use std::time::Instant;

use sha2::{Digest, Sha256};

use crate::action::Reply;
use crate::flow::Flow;
use crate::ids::{CallHandle, TransactionId};
use crate::message::{Method, Request, Response, Via};
use crate::registration::identity;
use crate::transaction::server::{Server, State};
use crate::transaction::table::{ServerEntry, merge_key};

use super::{UserAgent, Waiter};

impl UserAgent {
    /// Refuses a request outside of a dialog: INVITE by a transaction, since its ACK follows;
    /// others without.
    pub(super) fn refuse(
        &mut self,
        reply_to: Flow,
        key: &str,
        request: &Request,
        reply: &Reply,
        now: Instant,
    ) {
        if request.method == Method::Invite
            && let Some(transaction) = self.open(reply_to, key, request.clone(), None)
        {
            return self.respond(transaction, reply, now);
        }
        self.respond_stateless(reply_to, request, reply, now);
    }

    /// Opens a server transaction; `None` when the table is full.
    pub(super) fn open(
        &mut self,
        reply: Flow,
        key: &str,
        request: Request,
        call: Option<CallHandle>,
    ) -> Option<TransactionId> {
        let machine = Server::new(
            request.method == Method::Invite,
            reply.transport().is_reliable(),
        );
        let merge = merge_key(&request)?;
        let to_tag = self.env.tokens.tag();
        self.servers.insert(
            key.to_owned(),
            ServerEntry {
                machine,
                request,
                reply,
                last: None,
                to_tag,
                call,
                merge,
            },
        )
    }

    /// Answers a transaction.
    pub(super) fn respond(&mut self, transaction: TransactionId, reply: &Reply, now: Instant) {
        if reply.refusal {
            self.transport.counters.refused += 1;
        }
        let Some(entry) = self.servers.get_mut(transaction) else {
            return;
        };
        if !entry.machine.respond(reply.code, now) {
            return;
        }
        let mut response = reply.to(&entry.request, &entry.to_tag, &self.env.config.user_agent);
        let remote = entry.reply.remote().ip();
        let addresses = &self.env.addresses;
        addresses.name(&mut response.headers, &mut response.body, remote);
        let bytes = response.to_bytes();
        entry.last = Some(bytes.clone().into());
        let (flow, via) = (entry.reply, entry.request.headers.top_via());
        let flow = self.response_flow(flow, via.ok().as_ref(), now);
        self.transport.send(flow, bytes, now);
        self.schedule_server(transaction);
    }

    /// Our last response again.
    pub(super) fn repeat_response(&mut self, transaction: TransactionId, now: Instant) {
        if let Some(entry) = self.servers.get(transaction)
            && let Some(bytes) = entry.last.clone()
        {
            self.transport.counters.retransmitted += 1;
            self.transport.send(entry.reply, bytes.to_vec(), now);
        }
    }

    /// The flow itself, or, when its connection is gone, a new one of the same kind to where the
    /// Via says (section 18.2.2).
    pub(super) fn response_flow(&mut self, flow: Flow, via: Option<&Via>, now: Instant) -> Flow {
        if self.transport.is_alive(flow) {
            return flow;
        }
        let transport = flow.transport();
        let found = via.and_then(|via| {
            let ip = via.received().or_else(|| via.host().ip())?;
            let mut names: Vec<String> = self
                .registrations
                .iter()
                .flat_map(|registration| registration.servers().expected_identities(via.host(), ip))
                .collect();
            names.push(identity(via.host()));
            names.dedup();
            let port = via.port().unwrap_or(transport.default_port());
            Some((SocketAddr::new(ip, port), names))
        });
        found
            .and_then(|(address, names)| {
                self.transport.connect_for_response(
                    address,
                    transport,
                    &names,
                    &mut self.events,
                    now,
                )
            })
            .unwrap_or(flow)
    }

    /// Answers a request without a transaction. The tag depends on the request alone: asked again,
    /// it is the same (section 8.2.7).
    pub(super) fn respond_stateless(
        &mut self,
        reply_to: Flow,
        request: &Request,
        reply: &Reply,
        now: Instant,
    ) {
        if reply.refusal {
            self.transport.counters.refused += 1;
        }
        let via = request.headers.top_via().ok();
        let branch = via.as_ref().and_then(|via| via.branch());
        let tag = self.stateless_tag(request.headers.call_id().unwrap_or_default(), branch);
        let response: Response = reply.to(request, &tag, &self.env.config.user_agent);
        self.transport.send(reply_to, response.to_bytes(), now);
    }

    /// 64 bits that cannot be guessed, the same each time for the same Call-ID and branch.
    pub(super) fn stateless_tag(&self, call_id: &str, branch: Option<&str>) -> String {
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

    /// Keeps the index in step with a server transaction; forgets it when it is over.
    pub(super) fn schedule_server(&mut self, id: TransactionId) {
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
    pub(super) fn server_timeout(&mut self, id: TransactionId, now: Instant) {
        let Some(entry) = self.servers.get_mut(id) else {
            return;
        };
        if entry.machine.timeout(now).retransmit {
            self.repeat_response(id, now);
        }
        self.schedule_server(id);
    }

    /// A request came again.
    pub(super) fn handle_repetition(
        &mut self,
        id: TransactionId,
        reply_to: Flow,
        request: &Request,
        now: Instant,
    ) {
        let Some(entry) = self.servers.get(id) else {
            return;
        };
        let number = |request: &Request| request.headers.cseq().map(|cseq| cseq.number);
        // Section 8.1.1.7: a branch is unique. Another request under the same one belongs to no
        // transaction.
        if number(&entry.request) != number(request) {
            let reply = Reply::refusal(400).with_reason("Branch Used Before");
            self.respond_stateless(reply_to, request, &reply, now);
        } else if entry.machine.repeated() {
            self.repeat_response(id, now);
        }
    }
}

/// Where answers go (section 18.2.2): back on the connection; over UDP to the source address, at
/// the port rport or the Via names.
pub(super) fn reply_flow(flow: Flow, via: &Via) -> Flow {
    match flow {
        Flow::Tcp { .. } | Flow::Tls { .. } => flow,
        Flow::Udp { remote } => Flow::Udp {
            remote: via.reply_address().unwrap_or(remote),
        },
    }
}
