//! The contact a phone registers: an unguessable user at the address the registrar can reach.

use std::net::SocketAddr;

use crate::env::with_transport;
use crate::flow::Transport;
use crate::message::SipUri;

/// Most address corrections in a row (NAT that changes its port with every packet).
const MAX_CORRECTIONS: u8 = 2;

/// Our contact at one registrar.
#[derive(Debug)]
pub(super) struct Contact {
    /// Unguessable.
    user: String,
    /// Our address as the registrar sees it.
    public: SocketAddr,
    corrections: u8,
    /// A contact to be taken away with the next REGISTER.
    stale: Option<SipUri>,
    /// The one that the last REGISTER took away.
    sent: Option<SipUri>,
}

impl Contact {
    /// `user` at our own address.
    pub(super) fn new(user: String, public: SocketAddr) -> Self {
        Self {
            user,
            public,
            corrections: 0,
            stale: None,
            sent: None,
        }
    }

    pub(super) fn user(&self) -> &str {
        &self.user
    }

    pub(super) fn uri(&self, transport: Transport) -> SipUri {
        with_transport(SipUri::at(self.public).with_user(&self.user), transport)
    }

    /// The contact before the last correction or change, once.
    pub(super) fn take_stale(&mut self) -> Option<SipUri> {
        self.sent = self.stale.take();
        self.sent.clone()
    }

    /// The last REGISTER was not for the registrar that it went to.
    pub(super) fn handle_not_taken(&mut self) {
        self.stale = self.stale.take().or(self.sent.take());
    }

    /// A contact that named no certain address of ours (`unknown`) named this one when it left.
    pub(super) fn handle_source(&mut self, unknown: SocketAddr, here: SocketAddr) {
        if self.public == unknown {
            self.public = here;
        }
    }

    /// The registrar and this phone agree on the address.
    pub(super) fn handle_agreed(&mut self) {
        self.corrections = 0;
    }

    /// Our own address is another one. `bound`: the registrar has the one before.
    pub(super) fn handle_local_address(
        &mut self,
        here: SocketAddr,
        transport: Transport,
        bound: bool,
    ) {
        if bound && self.public != here {
            self.stale = Some(self.uri(transport));
        }
        self.public = here;
    }

    /// The registrar sees this phone at `seen`. Whether the contact was corrected, and is to be
    /// registered again.
    pub(super) fn correct(&mut self, seen: SocketAddr, transport: Transport) -> bool {
        if seen == self.public || self.corrections >= MAX_CORRECTIONS {
            return false;
        }
        self.corrections += 1;
        self.stale = Some(self.uri(transport));
        self.public = seen;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], port))
    }

    #[test]
    fn a_nat_with_changing_ports_is_followed_twice() {
        let mut contact = Contact::new("user".to_owned(), at(5060));
        assert!(!contact.correct(at(5060), Transport::Udp));
        assert_eq!(contact.take_stale(), None);
        assert!(contact.correct(at(1), Transport::Udp));
        let stale = contact.take_stale().map(|uri| uri.to_string());
        assert_eq!(stale.as_deref(), Some("sip:user@192.0.2.1:5060"));
        assert!(contact.correct(at(2), Transport::Udp));
        assert!(!contact.correct(at(3), Transport::Udp));
        contact.handle_agreed();
        assert!(contact.correct(at(4), Transport::Udp));
    }

    #[test]
    fn the_old_contact_goes_only_where_the_registrar_has_it() {
        let mut contact = Contact::new("user".to_owned(), at(5060));
        contact.handle_local_address(at(5070), Transport::Udp, false);
        assert_eq!(contact.take_stale(), None);
        contact.handle_local_address(at(5070), Transport::Udp, true);
        assert_eq!(contact.take_stale(), None);
        contact.handle_local_address(at(5080), Transport::Udp, true);
        assert!(contact.take_stale().is_some());
    }
}
