//! The way the first request of a dialog takes: INVITE or SUBSCRIBE.

use crate::locate::{Hop, HopError};
use crate::message::{NameAddr, SipUri};

/// Where it is sent, and what it carries for that.
#[derive(Debug)]
pub(crate) struct InitialRoute {
    pub(crate) routes: Vec<NameAddr>,
    pub(crate) hop: Result<Hop, HopError>,
    /// Our Contact for it.
    pub(crate) contact: SipUri,
    /// Who calls, for the account's own server; none where it goes elsewhere.
    pub(crate) identity: Option<NameAddr>,
}

impl InitialRoute {
    pub(crate) fn is_secure(&self) -> bool {
        self.hop.as_ref().is_ok_and(Hop::is_secure)
    }
}
