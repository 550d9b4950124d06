//! Hosts for whose connections room is kept, before they say anything.
//!
//! ```text
//! addresses of the accounts' servers ─▶ Server      list of direct callers, hosts whose request was accepted ─▶ Listed
//! ```
//!
//! Whoever owns the listening sockets asks this of each connection that it accepts: a stranger's
//! are limited, and must not use up what these need.

use std::net::IpAddr;

use crate::admission::AllowedCaller;
use crate::host::host_of;

/// Whom a connection comes from. The higher ones displace the lower.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum HostStanding {
    /// Anyone.
    Stranger,
    /// On the owner's list of direct callers, or a request of its was accepted.
    Listed,
    /// A server of an account.
    Server,
}

/// The hosts that are no strangers now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KnownHosts {
    pub(crate) servers: Vec<IpAddr>,
    pub(crate) listed: Vec<AllowedCaller>,
    /// As [`host_of`] counts them.
    pub(crate) accepted: Vec<IpAddr>,
}

impl KnownHosts {
    /// Whom a connection from this address comes from.
    #[must_use]
    pub fn standing(&self, ip: IpAddr) -> HostStanding {
        if self.servers.contains(&ip.to_canonical()) {
            HostStanding::Server
        } else if self.listed.iter().any(|caller| caller.is_at(ip))
            || self.accepted.contains(&host_of(ip))
        {
            HostStanding::Listed
        } else {
            HostStanding::Stranger
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_come_before_those_listed_and_strangers_last() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let listed = AllowedCaller {
            user: Some("kitchen".into()),
            network: ip("192.0.2.0"),
            prefix: 24,
        };
        let known = KnownHosts {
            servers: vec![ip("192.0.2.50"), ip("2001:db8::50")],
            listed: vec![listed],
            accepted: vec![host_of(ip("2001:db8:1::7"))],
        };
        for (host, standing) in [
            ("192.0.2.50", HostStanding::Server),
            ("::ffff:192.0.2.50", HostStanding::Server),
            ("2001:db8::50", HostStanding::Server),
            ("192.0.2.9", HostStanding::Listed),
            ("2001:db8:1::9", HostStanding::Listed),
            ("198.51.100.1", HostStanding::Stranger),
            ("2001:db8::51", HostStanding::Stranger),
        ] {
            assert_eq!(known.standing(ip(host)), standing, "{host}");
        }
    }
}
