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
    /// What the registrar has, as far as is known: what it granted last.
    granted: Option<SipUri>,
}

impl Contact {
    /// `user` at our own address.
    pub(super) fn new(user: String, public: SocketAddr) -> Self {
        Self {
            user,
            public,
            corrections: 0,
            granted: None,
        }
    }

    pub(super) fn user(&self) -> &str {
        &self.user
    }

    pub(super) fn uri(&self, transport: Transport) -> SipUri {
        with_transport(SipUri::at(self.public).with_user(&self.user), transport)
    }

    /// A contact the registrar still has, to be taken away: however often ours changed since, it is
    /// the one that was granted.
    pub(super) fn stale(&self, transport: Transport) -> Option<SipUri> {
        let granted = self.granted.as_ref();
        granted.filter(|it| **it != self.uri(transport)).cloned()
    }

    /// The registrar has this contact now.
    pub(super) fn handle_granted(&mut self, transport: Transport) {
        self.granted = Some(self.uri(transport));
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

    /// Our own address is another one.
    pub(super) fn handle_local_address(&mut self, here: SocketAddr) {
        self.public = here;
    }

    /// The registrar sees this phone at `seen`. Whether the contact was corrected, and is to be
    /// registered again.
    pub(super) fn correct(&mut self, seen: SocketAddr) -> bool {
        if seen == self.public || self.corrections >= MAX_CORRECTIONS {
            return false;
        }
        self.corrections += 1;
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

    fn stale(contact: &Contact) -> Option<String> {
        contact.stale(Transport::Udp).map(|uri| uri.to_string())
    }

    #[test]
    fn a_nat_with_changing_ports_is_followed_twice() {
        let mut contact = Contact::new("user".to_owned(), at(5060));
        contact.handle_granted(Transport::Udp);
        assert!(!contact.correct(at(5060)));
        assert_eq!(stale(&contact), None);
        assert!(contact.correct(at(1)));
        assert_eq!(stale(&contact).as_deref(), Some("sip:user@192.0.2.1:5060"));
        contact.handle_granted(Transport::Udp);
        assert!(contact.correct(at(2)));
        assert!(!contact.correct(at(3)));
        contact.handle_agreed();
        assert!(contact.correct(at(4)));
    }

    #[test]
    fn the_old_contact_goes_only_where_the_registrar_has_it() {
        let mut contact = Contact::new("user".to_owned(), at(5060));
        contact.handle_local_address(at(5070));
        assert_eq!(stale(&contact), None, "never granted");
        contact.handle_granted(Transport::Udp);
        assert_eq!(stale(&contact), None);
        // The network flaps, and no REGISTER gets through: what was granted is what is there.
        for port in [5080, 5090, 5100] {
            contact.handle_local_address(at(port));
            assert_eq!(
                stale(&contact).as_deref(),
                Some("sip:user@192.0.2.1:5070"),
                "{port}"
            );
        }
        contact.handle_local_address(at(5070));
        assert_eq!(stale(&contact), None, "as before");
    }
}
