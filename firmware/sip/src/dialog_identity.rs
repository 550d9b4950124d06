//! Who talks to whom in a call.

use crate::dialog::Dialog;
use crate::message::{NameAddr, Params};

/// Who talks to whom in a call: what a report of it names (RFC 6035 section 4.6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DialogIdentity {
    /// Call-ID.
    pub call_id: String,
    /// This end, name and address, without parameters.
    pub local: String,
    /// Its domain.
    pub local_domain: String,
    /// Its tag.
    pub local_tag: String,
    /// The far end, as `local`.
    pub remote: String,
    /// Its domain.
    pub remote_domain: String,
    /// Its tag.
    pub remote_tag: String,
}

impl DialogIdentity {
    /// Of a dialog.
    pub(crate) fn of(dialog: &Dialog) -> Self {
        let (local, local_domain, local_tag) = party(&dialog.local);
        let (remote, remote_domain, remote_tag) = party(&dialog.remote);
        Self {
            call_id: dialog.call_id.clone(),
            local,
            local_domain,
            local_tag,
            remote,
            remote_domain,
            remote_tag,
        }
    }
}

/// Name and address, domain, tag.
fn party(address: &NameAddr) -> (String, String, String) {
    let bare = NameAddr {
        params: Params::default(),
        ..address.clone()
    };
    let domain = address.uri.as_sip().map(|uri| uri.host().to_string());
    (
        bare.to_string(),
        domain.unwrap_or_else(|| "unknown".to_owned()),
        address.tag().unwrap_or_default().to_owned(),
    )
}
