//! Requests made from another one and sent to the same next hop: ACK of a refusal, CANCEL.

use crate::message::{CSeq, Method, Request, Response};

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
