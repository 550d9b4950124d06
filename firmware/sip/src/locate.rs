//! Where a request goes (RFC 3263). Addresses need no question; names become an [`crate::agent::Event::Lookup`], whose answer comes
//! in as data: this crate never asks a name server itself.
//!
//! ```text
//! URI ─▶ Hop ─┬─ numeric ─▶ [Target]
//!             └─ a name ──▶ Lookup ─▶ handle_lookup ─▶ [Target, …] ─▶ tried in order
//! ```

use std::net::SocketAddr;

use crate::agent::{Target, Transport};
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

/// Why a URI leads nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HopError {
    /// TLS is not there yet; going on in the clear would break what the URI promises (RFC 3261 section 26.2.2).
    #[error("the address asks for TLS, which this phone does not speak yet")]
    Secure,
    /// A transport nobody here speaks.
    #[error("the address asks for a transport other than udp and tcp")]
    Transport,
    /// tel: and other schemes have no host.
    #[error("the address names no host")]
    NoHost,
}

impl Hop {
    /// The hop a URI (Request-URI or Route) leads to.
    pub(crate) fn of(uri: &Uri) -> Result<Self, HopError> {
        match uri {
            Uri::Sip(sip) => Self::of_sip(sip),
            Uri::Tel(_) | Uri::Other(_) => Err(HopError::NoHost),
        }
    }

    fn of_sip(uri: &SipUri) -> Result<Self, HopError> {
        if uri.is_secure() {
            return Err(HopError::Secure);
        }
        let transport = match uri.params().get("transport") {
            None => None,
            Some(t) if t.eq_ignore_ascii_case("udp") => Some(Transport::Udp),
            Some(t) if t.eq_ignore_ascii_case("tcp") => Some(Transport::Tcp),
            Some(t) if t.eq_ignore_ascii_case("tls") => return Err(HopError::Secure),
            Some(_) => return Err(HopError::Transport),
        };
        let maddr = uri.params().get("maddr").and_then(|m| Host::parse(m).ok());
        Ok(Self {
            host: maddr.unwrap_or_else(|| uri.host().clone()),
            port: uri.port(),
            transport,
        })
    }

    /// The answer that needs no name server: an address is where it says (section 4.1: UDP unless said otherwise, port 5060).
    pub(crate) fn numeric(&self) -> Option<Target> {
        Some(Target {
            transport: self.transport.unwrap_or(Transport::Udp),
            address: SocketAddr::new(self.host.ip()?, self.port.unwrap_or(5060)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hop(uri: &str) -> Result<Hop, HopError> {
        Hop::of(&Uri::parse(uri).unwrap())
    }

    #[test]
    fn addresses_need_no_question() {
        for (uri, transport, address) in [
            ("sip:a@192.0.2.1", Transport::Udp, "192.0.2.1:5060"),
            ("sip:a@192.0.2.1:5072;transport=TCP", Transport::Tcp, "192.0.2.1:5072"),
            ("sip:a@[2001:db8::1]", Transport::Udp, "[2001:db8::1]:5060"),
            ("sip:a@example.com;maddr=192.0.2.9", Transport::Udp, "192.0.2.9:5060"),
        ] {
            let target = hop(uri).unwrap().numeric().unwrap();
            assert_eq!((target.transport, target.address), (transport, address.parse().unwrap()), "{uri}");
        }
        assert_eq!(hop("sip:a@example.com").unwrap().numeric(), None);
    }

    #[test]
    fn what_cannot_be_reached_is_said() {
        assert_eq!(hop("sips:a@192.0.2.1"), Err(HopError::Secure));
        assert_eq!(hop("sip:a@192.0.2.1;transport=tls"), Err(HopError::Secure));
        assert_eq!(hop("sip:a@192.0.2.1;transport=sctp"), Err(HopError::Transport));
        assert_eq!(hop("tel:+1201"), Err(HopError::NoHost));
        assert_eq!(hop("mailto:x@y"), Err(HopError::NoHost));
    }
}
