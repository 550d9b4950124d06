//! What belongs to an INVITE and no other request: its CANCEL (RFC 3261 section 9.1) and its ACKs
//! (sections 13.2.2.4, 17.1.1.3).
//!
//! ```text
//! cancel ─▶ nothing sent: forgotten │ no 1xx yet: at the first one │ CANCEL ─▶ 487 or 2xx (ACK, BYE), or 32 s of silence
//! 2xx ─▶ acknowledge ─▶ ACK by the dialog's route, kept for repetition      3xx–6xx ─▶ ACK of the same hop
//! ```

use std::time::Instant;

use crate::agent::{UserAgent, Waiter};
use crate::dialog::Dialog;
use crate::ids::RequestId;
use crate::message::{CSeq, Method, Request, Response};
use crate::timer::T1_64;
use crate::transaction::client::{Client, State};
use crate::transaction::table::{ClientEntry, client_key};

use super::{Cancel, Errand, Purpose};

impl UserAgent {
    /// Ends a request for an INVITE: CANCEL as soon as allowed. Nobody hears of it any more.
    pub(crate) fn cancel(&mut self, id: RequestId, now: Instant) {
        let Some(outgoing) = self.outgoing.get_mut(&id) else {
            return;
        };
        let state = outgoing
            .transaction
            .and_then(|t| self.clients.get(t))
            .map(|entry| entry.machine.state());
        match (outgoing.cancel, state) {
            (Cancel::No, Some(State::Calling)) => outgoing.cancel = Cancel::Wanted,
            (Cancel::No, Some(State::Proceeding)) => self.send_cancel(id, now),
            (Cancel::No, Some(State::Accepted | State::Completed | State::Done))
            | (Cancel::Wanted | Cancel::Sent, _) => {}
            (Cancel::No, None) => {
                self.forget_outgoing(id);
            }
        }
    }

    pub(super) fn send_cancel(&mut self, id: RequestId, now: Instant) {
        let Some(outgoing) = self.outgoing.get_mut(&id) else {
            return;
        };
        outgoing.cancel = Cancel::Sent;
        outgoing.deadline = Some(now + T1_64);
        self.deadlines.set(Waiter::Outgoing(id), outgoing.deadline);
        let Some(entry) = outgoing.transaction.and_then(|t| self.clients.get(t)) else {
            return;
        };
        let (request, flow) = (cancel_of(&entry.request), entry.flow);
        let bytes = request.to_bytes();
        let Some(branch) = request
            .headers
            .top_via()
            .ok()
            .and_then(|via| via.branch().map(str::to_owned))
        else {
            return;
        };
        let key = client_key(&branch, &Method::Cancel);
        let machine = Client::new(false, flow.transport().is_reliable(), now);
        let entry = ClientEntry {
            machine,
            request,
            bytes: bytes.clone().into(),
            flow,
            owner: None,
        };
        if let Some(transaction) = self.clients.insert(key, entry) {
            self.schedule_client(transaction);
            self.wire.send(flow, bytes, now);
        }
    }

    /// Sends the ACK of a 2xx (section 13.2.2.4), with the credentials its INVITE had, and keeps it
    /// for repetition.
    pub(crate) fn acknowledge(
        &mut self,
        invite: RequestId,
        dialog: &Dialog,
        account: Option<usize>,
        body: Option<Vec<u8>>,
        now: Instant,
    ) {
        let Some(outgoing) = self.outgoing.get(&invite) else {
            return;
        };
        let Ok(cseq) = outgoing.request.headers.cseq() else {
            return;
        };
        let mut request = dialog.numbered(&Method::Ack, cseq.number);
        request
            .headers
            .copy(&outgoing.request.headers, "Authorization");
        request
            .headers
            .copy(&outgoing.request.headers, "Proxy-Authorization");
        if let Some(body) = body {
            request.headers.push("Content-Type", "application/sdp");
            request.body = body.into();
        }
        let purpose = Purpose::Ack {
            invite,
            tag: dialog.remote_tag().to_owned(),
        };
        let (hop, flow) = (dialog.hop(), dialog.flow);
        self.dispatch(
            Errand {
                purpose,
                account,
                request,
                hop,
                flow,
            },
            now,
        );
    }
}

/// The ACK of a refusal (section 17.1.1.3): same branch, To of the response.
pub(super) fn ack_of_refusal(invite: &Request, response: &Response) -> Request {
    let mut ack = hop_by_hop(invite, Method::Ack);
    ack.headers.remove("To");
    ack.headers.copy(&response.headers, "To");
    ack.headers.copy(&invite.headers, "Authorization");
    ack.headers.copy(&invite.headers, "Proxy-Authorization");
    ack
}

/// The CANCEL of a request (section 9.1).
fn cancel_of(invite: &Request) -> Request {
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
