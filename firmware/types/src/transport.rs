//! Transport protocols of SIP.

/// Transport protocol of a SIP message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Transport {
    /// UDP; a request above 1300 bytes goes over TCP (RFC 3261 section 18.1.1).
    #[default]
    Udp,
    /// TCP.
    Tcp,
    /// TLS over TCP, the far end's certificate checked.
    Tls,
}

impl Transport {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Udp, Self::Tcp, Self::Tls];

    /// Its name in a URI's `transport` parameter and in `offhook.toml`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
        }
    }

    /// The transport of this name, in any case.
    pub fn from_name(name: &str) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        all.find(|transport| transport.as_str().eq_ignore_ascii_case(name))
    }

    /// Its name in a Via header.
    pub const fn via_name(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
            Self::Tls => "TLS",
        }
    }

    /// The port where nothing says another (RFC 3261 section 19.1.2).
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Udp | Self::Tcp => 5060,
            Self::Tls => 5061,
        }
    }

    /// Whether messages arrive whole and in order or not at all: then no request is sent again (RFC
    /// 3261 section 17.1.1.2).
    pub const fn is_reliable(self) -> bool {
        match self {
            Self::Udp => false,
            Self::Tcp | Self::Tls => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_back_to_its_transport() {
        for transport in Transport::ALL {
            assert_eq!(Transport::from_name(transport.as_str()), Some(transport));
            assert_eq!(Transport::from_name(transport.via_name()), Some(transport));
        }
        assert_eq!(Transport::from_name("sctp"), None);
    }
}
