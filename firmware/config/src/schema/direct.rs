//! Who may call without a server.

use std::net::IpAddr;

/// One entry of `call.direct_from`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectCaller {
    /// User part of the caller's address; `None`: anyone there.
    pub user: Option<String>,
    /// Address of the host or network.
    pub network: IpAddr,
    /// How many of its leading bits count.
    pub prefix: u8,
}

impl DirectCaller {
    /// Reads `192.168.1.20`, `192.168.1.0/24`, `sip:192.168.1.20` or `sip:user@192.168.1.20`.
    /// Names are not read: a caller shows the phone its address, and no name that counts.
    pub(crate) fn from_text(text: &str) -> Option<Self> {
        let address = |text: &str| {
            let bare = text
                .strip_prefix('[')
                .and_then(|rest| rest.strip_suffix(']'))
                .unwrap_or(text);
            bare.parse::<IpAddr>().ok().map(|ip| ip.to_canonical())
        };
        let bits = |ip: IpAddr| if ip.is_ipv4() { 32 } else { 128 };
        let sip = text
            .get(..4)
            .filter(|scheme| scheme.eq_ignore_ascii_case("sip:"));
        if sip.is_some() {
            let rest = text.get(4..)?;
            let (user, host) = match rest.split_once('@') {
                Some((user, host)) if !user.is_empty() => (Some(user.to_owned()), host),
                Some(_) => return None,
                None => (None, rest),
            };
            let network = address(host)?;
            return Some(Self {
                user,
                network,
                prefix: bits(network),
            });
        }
        let (host, prefix) = text.split_once('/').unwrap_or((text, ""));
        let network = address(host)?;
        let prefix = if host == text {
            bits(network)
        } else {
            prefix
                .parse()
                .ok()
                .filter(|prefix| *prefix <= bits(network))?
        };
        Some(Self {
            user: None,
            network,
            prefix,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_networks_and_users_are_read() {
        for (text, user, network, prefix) in [
            ("192.168.1.20", None, "192.168.1.20", 32),
            ("192.168.1.0/24", None, "192.168.1.0", 24),
            ("0.0.0.0/0", None, "0.0.0.0", 0),
            ("fd00::/8", None, "fd00::", 8),
            ("::ffff:192.0.2.1", None, "192.0.2.1", 32),
            ("sip:192.168.1.20", None, "192.168.1.20", 32),
            ("SIP:bob@192.168.1.20", Some("bob"), "192.168.1.20", 32),
            ("sip:bob@[2001:db8::1]", Some("bob"), "2001:db8::1", 128),
        ] {
            let expected = DirectCaller {
                user: user.map(str::to_owned),
                network: network.parse().unwrap(),
                prefix,
            };
            assert_eq!(DirectCaller::from_text(text), Some(expected), "{text}");
        }
        for text in [
            "",
            "kitchen.local",
            "sip:bob@kitchen.local",
            "sip:@192.168.1.20",
            "192.168.1.0/33",
            "192.168.1.0/",
            "192.168.1",
            "sip:192.168.1.20:5060",
            "192.168.1.20:5060",
        ] {
            assert_eq!(DirectCaller::from_text(text), None, "{text}");
        }
    }
}
