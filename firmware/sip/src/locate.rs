//! Where a request goes (RFC 3263). Addresses need no question; names become an
//! [`crate::api::Event::Lookup`], whose answer comes in as data: this crate never asks a name
//! server itself.
//!
//! ```text
//! URI ─▶ Hop ─┬─ numeric ─▶ [Target]
//!             └─ a name ──▶ Lookup ─▶ handle_lookup ─▶ [Target, …] ─▶ tried in order
//! ```

use std::net::SocketAddr;

use crate::flow::{Target, Transport};
use crate::message::{Host, SipUri, Uri};

/// The next hop of a request, before names are resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hop {
    /// `maddr`, else host of the URI.
    pub(crate) host: Host,
    /// Port, if the URI says one.
    pub(crate) port: Option<u16>,
    /// Transport, if the URI says one.
    pub(crate) transport: Option<Transport>,
}

/// Why a name has no addresses, in words for whoever sent the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct LookupFailed<'a>(pub(crate) &'a str);

/// Why a URI leads nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HopError {
    /// `sips:` over a transport without TLS, or a way that leaves TLS (RFC 3261 section 26.2.2):
    /// nothing is sent.
    #[error(
        "TLS is required here and the address asks for a transport without it: nothing is sent in \
         the clear"
    )]
    Insecure,
    /// A transport this phone does not speak.
    #[error("the address asks for a transport other than udp, tcp and tls")]
    Transport,
    /// tel: and other schemes have no host.
    #[error("the address names no host")]
    NoHost,
}

/// What a name is looked up for: the name of its SRV records, and the port where it has none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Service {
    /// SIP (RFC 3263).
    #[default]
    Sip,
    /// STUN (RFC 8489 section 8.1).
    Stun,
    /// TURN (RFC 8656 section 3.1).
    Turn,
}

impl Service {
    /// The port of a server that names none.
    #[must_use]
    pub fn default_port(self, transport: Transport) -> u16 {
        match (self, transport) {
            (Self::Sip, _) => transport.default_port(),
            (Self::Stun | Self::Turn, Transport::Udp | Transport::Tcp) => 3478,
            (Self::Stun | Self::Turn, Transport::Tls) => 5349,
        }
    }
}

impl Hop {
    /// The hop that is this address.
    pub(crate) fn at(target: Target) -> Self {
        let uri = SipUri::at(target.address);
        Self {
            host: uri.host().clone(),
            port: Some(target.address.port()),
            transport: Some(target.transport),
        }
    }

    /// The hop a URI (Request-URI or Route) leads to.
    pub(crate) fn of(uri: &Uri) -> Result<Self, HopError> {
        match uri {
            Uri::Sip(sip) => Self::of_sip(sip),
            Uri::Tel(_) | Uri::Other(_) => Err(HopError::NoHost),
        }
    }

    fn of_sip(uri: &SipUri) -> Result<Self, HopError> {
        let transport = match uri.params().get("transport") {
            None => None,
            Some(name) => Some(Transport::from_name(name).ok_or(HopError::Transport)?),
        };
        // RFC 3261 section 19.1: `sips:` with transport=tcp is TLS over TCP.
        let transport = match (uri.is_secure(), transport) {
            (true, Some(Transport::Udp)) => return Err(HopError::Insecure),
            (true, None | Some(Transport::Tcp | Transport::Tls)) => Some(Transport::Tls),
            (false, transport) => transport,
        };
        let maddr = uri.params().get("maddr").and_then(|m| Host::parse(m).ok());
        Ok(Self {
            host: maddr.unwrap_or_else(|| uri.host().clone()),
            port: uri.port(),
            transport,
        })
    }

    /// The answer that needs no name server: an address is where it says (section 4.1: UDP unless
    /// said otherwise).
    pub(crate) fn numeric(&self) -> Option<Target> {
        let transport = self.transport.unwrap_or(Transport::Udp);
        Some(Target {
            transport,
            address: SocketAddr::new(
                self.host.ip()?,
                self.port.unwrap_or(transport.default_port()),
            ),
        })
    }

    /// Whether it is TLS or nothing.
    pub(crate) fn is_secure(&self) -> bool {
        self.transport == Some(Transport::Tls)
    }

    /// The same hop by TLS; an error where it says another transport.
    pub(crate) fn secured(mut self) -> Result<Self, HopError> {
        match self.transport {
            None | Some(Transport::Tls) => {
                self.transport = Some(Transport::Tls);
                Ok(self)
            }
            Some(Transport::Udp | Transport::Tcp) => Err(HopError::Insecure),
        }
    }

    /// The same hop by TLS whatever it says: for what belongs to a dialog that began over TLS.
    pub(crate) fn forced_secure(mut self) -> Self {
        self.transport = Some(Transport::Tls);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hop(uri: &str) -> Result<Hop, HopError> {
        Hop::of(&Uri::parse(uri).unwrap())
    }

    #[test]
    fn addresses_need_no_lookup() {
        for (uri, transport, address) in [
            ("sip:a@192.0.2.1", Transport::Udp, "192.0.2.1:5060"),
            (
                "sip:a@192.0.2.1:5072;transport=TCP",
                Transport::Tcp,
                "192.0.2.1:5072",
            ),
            ("sip:a@[2001:db8::1]", Transport::Udp, "[2001:db8::1]:5060"),
            (
                "sip:a@example.com;maddr=192.0.2.9",
                Transport::Udp,
                "192.0.2.9:5060",
            ),
            (
                "sip:a@192.0.2.1;transport=tls",
                Transport::Tls,
                "192.0.2.1:5061",
            ),
            ("sips:a@192.0.2.1", Transport::Tls, "192.0.2.1:5061"),
            (
                "sips:a@192.0.2.1:5071;transport=tcp",
                Transport::Tls,
                "192.0.2.1:5071",
            ),
        ] {
            let target = hop(uri).unwrap().numeric().unwrap();
            assert_eq!(
                (target.transport, target.address),
                (transport, address.parse().unwrap()),
                "{uri}"
            );
        }
        assert_eq!(hop("sip:a@example.com").unwrap().numeric(), None);
    }

    #[test]
    fn unreachable_addresses_are_errors() {
        assert_eq!(
            hop("sips:a@192.0.2.1;transport=udp"),
            Err(HopError::Insecure)
        );
        let secured = |uri: &str| hop(uri).and_then(Hop::secured).map(|hop| hop.transport);
        assert_eq!(
            secured("sip:a@192.0.2.1;transport=udp"),
            Err(HopError::Insecure)
        );
        assert_eq!(
            secured("sip:a@192.0.2.1;transport=tcp"),
            Err(HopError::Insecure)
        );
        assert_eq!(secured("sip:a@example.com"), Ok(Some(Transport::Tls)));
        assert_eq!(
            hop("sip:a@192.0.2.1;transport=sctp"),
            Err(HopError::Transport)
        );
        assert_eq!(hop("tel:+1201"), Err(HopError::NoHost));
        assert_eq!(hop("mailto:x@y"), Err(HopError::NoHost));
    }
}
