//! Server transactions: their table, and the responses that leave by them or without any.

use std::time::Instant;

use sha2::{Digest, Sha256};

use crate::action::Reply;
use crate::capabilities::ALLOW;
use crate::flow::Flow;
use crate::ids::{CallHandle, TransactionId};
use crate::message::{Method, ParseError, Request, Response, Via};
use crate::request_check::method_refusal;
use crate::shared::{Shared, Waiter};
use crate::transaction::server::{Server, State};
use crate::transaction::table::{MAX_SERVERS, ServerEntry, Table, merge_key, server_key};

/// What a CANCEL is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cancelled {
    /// An INVITE that has no final answer yet.
    Invite(TransactionId, Option<CallHandle>),
    /// Nothing that could still be cancelled.
    TooLate,
    /// No request this phone knows.
    Unknown,
}

/// The transactions of requests that came in.
pub(crate) struct ServerTransactions {
    table: Table<ServerEntry>,
    /// Salt of the tags in answers that no transaction remembers.
    salt: String,
}

impl ServerTransactions {
    pub(crate) fn new(salt: String) -> Self {
        Self {
            table: Table::new(MAX_SERVERS),
            salt,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    pub(crate) fn find(&self, key: &str) -> Option<TransactionId> {
        self.table.find(key)
    }

    /// Our tag in the answers of a transaction.
    pub(crate) fn to_tag(&self, id: TransactionId) -> String {
        let entry = self.table.get(id);
        entry.map(|entry| entry.to_tag.clone()).unwrap_or_default()
    }

    /// Whether the same request is here already, by another way (section 8.2.2.2).
    pub(crate) fn has_merged(&self, request: &Request) -> bool {
        // Every open server transaction is an INVITE or inside of a dialog; there are few.
        merge_key(request).is_some_and(|key| self.table.iter().any(|(_, entry)| entry.merge == key))
    }

    /// Refuses a request outside of a dialog: INVITE by a transaction, since its ACK follows;
    /// others without.
    pub(crate) fn refuse(
        &mut self,
        reply_to: Flow,
        key: &str,
        request: &Request,
        reply: &Reply,
        shared: &mut Shared,
        now: Instant,
    ) {
        if request.method == Method::Invite
            && let Some(transaction) = self.open(reply_to, key, request.clone(), None, shared)
        {
            return self.respond(transaction, reply, shared, now);
        }
        self.respond_stateless(reply_to, request, reply, shared, now);
    }

    /// Opens a server transaction; `None` when the table is full.
    pub(crate) fn open(
        &mut self,
        reply: Flow,
        key: &str,
        request: Request,
        call: Option<CallHandle>,
        shared: &mut Shared,
    ) -> Option<TransactionId> {
        let machine = Server::new(
            request.method == Method::Invite,
            reply.transport().is_reliable(),
        );
        let merge = merge_key(&request)?;
        let to_tag = shared.env.tokens.tag();
        self.table.insert(
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
    pub(crate) fn respond(
        &mut self,
        transaction: TransactionId,
        reply: &Reply,
        shared: &mut Shared,
        now: Instant,
    ) {
        if reply.refusal {
            shared.transport.counters.refused += 1;
        }
        let Some(entry) = self.table.get_mut(transaction) else {
            return;
        };
        if !entry.machine.respond(reply.code, now) {
            return;
        }
        let mut response = reply.to(&entry.request, &entry.to_tag, &shared.env.config.user_agent);
        let remote = entry.reply.remote().ip();
        let addresses = &shared.env.addresses;
        addresses.name(&mut response.headers, &mut response.body, remote);
        let bytes = response.to_bytes();
        entry.last = Some(bytes.clone().into());
        let (flow, via) = (entry.reply, entry.request.headers.top_via());
        let flow = shared.response_flow(flow, via.ok().as_ref(), now);
        shared.transport.send(flow, bytes, now);
        self.schedule(transaction, shared);
    }

    /// Our last response again.
    pub(crate) fn repeat_response(
        &mut self,
        transaction: TransactionId,
        shared: &mut Shared,
        now: Instant,
    ) {
        if let Some(entry) = self.table.get(transaction)
            && let Some(bytes) = entry.last.clone()
        {
            shared.transport.counters.retransmitted += 1;
            shared.transport.send(entry.reply, bytes.to_vec(), now);
        }
    }

    /// Answers a request without a transaction. The tag depends on the request alone: asked again,
    /// it is the same (section 8.2.7).
    pub(crate) fn respond_stateless(
        &mut self,
        reply_to: Flow,
        request: &Request,
        reply: &Reply,
        shared: &mut Shared,
        now: Instant,
    ) {
        if reply.refusal {
            shared.transport.counters.refused += 1;
        }
        let via = request.headers.top_via().ok();
        let branch = via.as_ref().and_then(|via| via.branch());
        let tag = self.stateless_tag(request.headers.call_id().unwrap_or_default(), branch);
        let response: Response = reply.to(request, &tag, &shared.env.config.user_agent);
        shared.transport.send(reply_to, response.to_bytes(), now);
    }

    /// 64 bits that cannot be guessed, the same each time for the same Call-ID and branch.
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

    /// Answers bytes that are nearly a request.
    pub(crate) fn answer_malformed(
        &mut self,
        flow: Flow,
        error: &ParseError,
        shared: &mut Shared,
        now: Instant,
    ) {
        let Some(salvage) = error.salvage.as_deref() else {
            return;
        };
        let call_id = salvage.headers.get("Call-ID").unwrap_or_default();
        let tag = self.stateless_tag(call_id, salvage.via.branch());
        // Section 8.2.1 looks at the method first: what would be refused whole is refused for that,
        // not for faults of its headers. What stands beside the method is read with it.
        let reads = !error.fault.is_of_request_line() && error.fault.code() == 400;
        let refusal = method_refusal(&salvage.method).filter(|_| reads);
        if let Some(mut response) = error.answer(flow.remote(), &tag, refusal)
            && let Ok(via) = response.headers.top_via()
        {
            if refusal.is_some() {
                response.headers.push("Allow", ALLOW);
            }
            shared.transport.counters.refused += 1;
            shared
                .transport
                .send(reply_flow(flow, &via), response.to_bytes(), now);
        }
    }

    /// Keeps the index in step with a server transaction; forgets it when it is over.
    fn schedule(&mut self, id: TransactionId, shared: &mut Shared) {
        let Some(entry) = self.table.get(id) else {
            return;
        };
        if entry.machine.state() == State::Done {
            shared.deadlines.set(Waiter::Server(id), None);
            self.table.remove(id);
        } else {
            shared
                .deadlines
                .set(Waiter::Server(id), entry.machine.deadline());
        }
    }

    /// A server transaction's time has come.
    pub(crate) fn handle_timeout(&mut self, id: TransactionId, shared: &mut Shared, now: Instant) {
        let Some(entry) = self.table.get_mut(id) else {
            return;
        };
        if entry.machine.timeout(now).retransmit {
            self.repeat_response(id, shared, now);
        }
        self.schedule(id, shared);
    }

    /// An ACK came in; whether it is that of a refusal, and ends here.
    pub(crate) fn handle_ack(
        &mut self,
        id: TransactionId,
        shared: &mut Shared,
        now: Instant,
    ) -> bool {
        let Some(entry) = self.table.get_mut(id) else {
            return false;
        };
        if entry.machine.state() == State::Accepted {
            return false;
        }
        entry.machine.ack(now);
        self.schedule(id, shared);
        true
    }

    /// CANCEL (section 9.2): 200 where there is something to cancel, whether or not it is too late
    /// for that.
    pub(crate) fn handle_cancel(
        &mut self,
        reply_to: Flow,
        cancel: &Request,
        shared: &mut Shared,
        now: Instant,
    ) -> Cancelled {
        let key = server_key(cancel, Some(&Method::Invite));
        let invite = key.and_then(|key| self.table.find(&key));
        let Some((id, entry)) = invite.and_then(|id| Some((id, self.table.get(id)?))) else {
            return Cancelled::Unknown;
        };
        // A CANCEL must come from where the INVITE came from.
        if entry.reply.remote().ip() != reply_to.remote().ip()
            || (entry.reply.is_secure() && !reply_to.is_secure())
        {
            shared.drop_message();
            return Cancelled::TooLate;
        }
        let response = Reply::new(200).to(cancel, &entry.to_tag, &shared.env.config.user_agent);
        shared.transport.send(reply_to, response.to_bytes(), now);
        if entry.machine.state() == State::Proceeding {
            Cancelled::Invite(id, entry.call)
        } else {
            Cancelled::TooLate
        }
    }

    /// A request came again.
    pub(crate) fn handle_repetition(
        &mut self,
        id: TransactionId,
        reply_to: Flow,
        request: &Request,
        shared: &mut Shared,
        now: Instant,
    ) {
        let Some(entry) = self.table.get(id) else {
            return;
        };
        let number = |request: &Request| request.headers.cseq().map(|cseq| cseq.number);
        // Section 8.1.1.7: a branch is unique. Another request under the same one belongs to no
        // transaction.
        if number(&entry.request) != number(request) {
            let reply = Reply::refusal(400).with_reason("Branch Used Before");
            self.respond_stateless(reply_to, request, &reply, shared, now);
        } else if entry.machine.repeated() {
            self.repeat_response(id, shared, now);
        }
    }
}

/// Where answers go (section 18.2.2): back on the connection; over UDP to the source address, at
/// the port rport or the Via names.
pub(crate) fn reply_flow(flow: Flow, via: &Via) -> Flow {
    match flow {
        Flow::Tcp { .. } | Flow::Tls { .. } => flow,
        Flow::Udp { remote } => Flow::Udp {
            remote: via.reply_address().unwrap_or(remote),
        },
    }
}
