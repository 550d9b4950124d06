//! The STUN messages of one check (RFC 8445 sections 7.1, 7.3): ours written, theirs verified and
//! answered.

use std::net::SocketAddr;

use sip::ice::IceCredentials;

use super::peer_reflexive;
use crate::stun::{Attribute, Class, Message, Method, TransactionId, Writer};

/// What a check of a far end comes to, with the datagram that answers it.
#[derive(Debug)]
pub(super) enum CheckVerdict {
    /// It does not know our user name.
    Stranger,
    /// It does not know our password, or cannot be taken.
    Refused(Vec<u8>),
    /// It is authentic.
    Accepted {
        answer: Vec<u8>,
        /// Both ends had the same role: ours changes.
        yields: bool,
        /// Of the candidate it came from, should that be a new one.
        priority: u32,
        /// USE-CANDIDATE.
        nominates: bool,
    },
}

/// Evaluates a request. `role`: whether we lead, and our tie-breaker.
pub(super) fn evaluate(
    message: &Message<'_>,
    local: &IceCredentials,
    (controlling, tie_breaker): (bool, u64),
    from: SocketAddr,
) -> CheckVerdict {
    let named = message.text(Attribute::Username).is_some_and(|name| {
        let ours = name.split_once(':').map(|(ours, _)| ours);
        ours == Some(local.ufrag.as_str())
    });
    if !named {
        return CheckVerdict::Stranger;
    }
    let error = |code, reason| Writer::answer(message, Class::Error).error(code, reason);
    let key = local.password.as_bytes();
    if !message.is_signed_by(key) {
        let error = if message.is_signed() {
            error(401, "Unauthenticated")
        } else {
            error(400, "Bad Request")
        };
        return CheckVerdict::Refused(error.finish(None));
    }
    let unknown = message.unknown_attributes();
    if !unknown.is_empty() {
        let list: Vec<u8> = unknown.iter().flat_map(|kind| kind.to_be_bytes()).collect();
        let error = error(420, "Unknown Attribute");
        let error = error.attribute(Attribute::UnknownAttributes, &list);
        return CheckVerdict::Refused(error.finish(Some(key)));
    }
    // Section 7.3.1.1: two ends in the same role; the greater number keeps the controlling one.
    let contends = message.long_number(if controlling {
        Attribute::IceControlling
    } else {
        Attribute::IceControlled
    });
    let insists = |theirs: u64| (tie_breaker >= theirs) == controlling;
    if contends.is_some_and(insists) {
        return CheckVerdict::Refused(error(487, "Role Conflict").finish(Some(key)));
    }
    let Some(priority) = message.number(Attribute::Priority) else {
        return CheckVerdict::Refused(error(400, "Bad Request").finish(Some(key)));
    };
    CheckVerdict::Accepted {
        answer: Writer::answer(message, Class::Success)
            .address(Attribute::XorMappedAddress, from)
            .finish(Some(key)),
        yields: contends.is_some(),
        priority,
        nominates: message.attribute(Attribute::UseCandidate).is_some(),
    }
}

/// A check of ours; `priority`: of the candidate it is sent from.
pub(super) fn write(
    id: TransactionId,
    (ours, theirs): (&IceCredentials, &IceCredentials),
    (controlling, tie_breaker): (bool, u64),
    priority: u32,
    nominates: bool,
) -> Vec<u8> {
    let name = format!("{}:{}", theirs.ufrag, ours.ufrag);
    let role = if controlling {
        Attribute::IceControlling
    } else {
        Attribute::IceControlled
    };
    let mut request = Writer::new(Method::Binding, Class::Request, id)
        .attribute(Attribute::Username, name.as_bytes())
        .attribute(Attribute::Priority, &peer_reflexive(priority).to_be_bytes())
        .attribute(role, &tie_breaker.to_be_bytes());
    if nominates {
        request = request.attribute(Attribute::UseCandidate, &[]);
    }
    request.finish(Some(theirs.password.as_bytes()))
}
