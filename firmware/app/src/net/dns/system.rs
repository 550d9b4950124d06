//! What the system says about names: `/etc/resolv.conf` and `/etc/hosts`.

use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::path::Path;

/// Name servers asked (resolv.conf(5) knows three).
const MAX_SERVERS: usize = 3;
/// Domains tried for a name without a dot.
const MAX_SEARCH: usize = 6;
/// Names of `/etc/hosts` that are read.
const MAX_HOSTS: usize = 1024;
/// Bytes of each file that are read.
const MAX_FILE: u64 = 64 * 1024;
/// The port of DNS.
const PORT: u16 = 53;

/// What is known without asking, and whom to ask.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct System {
    /// Name servers, in order.
    pub(crate) servers: Vec<SocketAddr>,
    /// Domains to be tried for a name without a dot.
    pub(crate) search: Vec<String>,
    /// Names with their address.
    pub(crate) hosts: Vec<(String, IpAddr)>,
}

impl System {
    /// Reads the files; one that is not there says nothing.
    pub(crate) fn read() -> Self {
        Self::parse(
            &text(Path::new("/etc/resolv.conf")),
            &text(Path::new("/etc/hosts")),
            interface,
        )
    }

    /// The addresses `/etc/hosts` has for a name; `localhost` is known without it (RFC 6761).
    pub(crate) fn addresses(&self, name: &str) -> Vec<IpAddr> {
        let found = self.hosts.iter().filter(|(host, _)| host == name);
        let found: Vec<IpAddr> = found.map(|(_, address)| *address).collect();
        if found.is_empty() && (name == "localhost" || name.ends_with(".localhost")) {
            return vec![
                std::net::Ipv4Addr::LOCALHOST.into(),
                std::net::Ipv6Addr::LOCALHOST.into(),
            ];
        }
        found
    }

    /// The names a host is looked up by, in lower case and in this order: one without a dot that
    /// `/etc/hosts` does not know first with each search domain behind it. Never empty.
    pub(crate) fn names(&self, host: &str) -> Vec<String> {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let mut names = Vec::new();
        if !host.contains('.') && self.addresses(&host).is_empty() {
            let domains = self.search.iter();
            names.extend(domains.map(|domain| format!("{host}.{domain}")));
        }
        names.push(host);
        names
    }

    /// `interface`: the number of a network interface.
    fn parse(resolv_conf: &str, hosts: &str, interface: impl Fn(&str) -> Option<u32>) -> Self {
        let mut system = Self::default();
        for line in resolv_conf.lines() {
            let mut words = line.split_ascii_whitespace();
            match words.next() {
                Some("nameserver") => {
                    let server = words.next().and_then(|word| server(word, &interface));
                    if system.servers.len() < MAX_SERVERS {
                        system.servers.extend(server);
                    }
                }
                // The last line counts.
                Some("search" | "domain") => {
                    system.search = words
                        .take(MAX_SEARCH)
                        .map(|word| word.trim_matches('.').to_ascii_lowercase())
                        .filter(|word| !word.is_empty())
                        .collect();
                }
                Some(_) | None => {}
            }
        }
        for line in hosts.lines() {
            let line = line.split('#').next().unwrap_or_default();
            let mut words = line.split_ascii_whitespace();
            let Some(address) = words.next().and_then(|word| word.parse().ok()) else {
                continue;
            };
            for name in words {
                if system.hosts.len() < MAX_HOSTS {
                    let name = name.trim_end_matches('.').to_ascii_lowercase();
                    system.hosts.push((name, address));
                }
            }
        }
        system
    }
}

/// The address of a name server. A link-local one has its interface behind a percent sign, by name
/// or number (RFC 4007 section 11); without one it leads nowhere.
fn server(word: &str, interface: impl Fn(&str) -> Option<u32>) -> Option<SocketAddr> {
    let (address, scope) = match word.split_once('%') {
        Some((address, scope)) => (address, scope.parse().ok().or_else(|| interface(scope))?),
        None => (word, 0),
    };
    Some(match address.parse::<IpAddr>().ok()? {
        IpAddr::V6(v6) if v6.is_unicast_link_local() && scope == 0 => return None,
        IpAddr::V6(v6) => SocketAddrV6::new(v6, PORT, 0, scope).into(),
        v4 @ IpAddr::V4(_) => SocketAddr::new(v4, PORT),
    })
}

/// The number of an interface of this machine.
fn interface(name: &str) -> Option<u32> {
    nix::net::if_::if_nametoindex(name).ok()
}

fn text(path: &Path) -> String {
    let bytes = board::files::read_start(path, MAX_FILE).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_as_the_manual_says() {
        let system = System::parse(
            "# made by udhcpc\nnameserver 192.168.1.1\nnameserver fe80::1%eth0\n\
             nameserver 2001:db8::53\nnameserver 9.9.9.9\nnameserver 1.1.1.1\n\
             search Home.Example. lan\noptions timeout:1\n",
            "127.0.0.1 localhost\n10.0.0.5\tpbx PBX.example # ours\nnonsense x\n",
            |name| (name == "eth0").then_some(2),
        );
        let servers: Vec<String> = system.servers.iter().map(ToString::to_string).collect();
        assert_eq!(
            servers,
            ["192.168.1.1:53", "[fe80::1%2]:53", "[2001:db8::53]:53"]
        );
        assert_eq!(system.search, ["home.example", "lan"]);
        let address: IpAddr = "10.0.0.5".parse().unwrap();
        assert_eq!(system.addresses("pbx.example"), [address]);
        assert_eq!(system.addresses("other"), [] as [IpAddr; 0]);
        assert_eq!(System::default().addresses("localhost").len(), 2);
        assert_eq!(system.names("PBX."), ["pbx"], "/etc/hosts knows it");
        let names = ["phone.home.example", "phone.lan", "phone"];
        assert_eq!(system.names("phone"), names);
        assert_eq!(system.names("a.b"), ["a.b"]);
    }

    #[test]
    fn a_link_local_server_has_an_interface_or_is_none() {
        for (word, found) in [
            ("fe80::1%eth0", Some("[fe80::1%2]:53")),
            ("fe80::1%7", Some("[fe80::1%7]:53")),
            ("fe80::1%wlan9", None),
            ("fe80::1%", None),
            ("fe80::1", None),
            ("2001:db8::53", Some("[2001:db8::53]:53")),
            ("nonsense%eth0", None),
        ] {
            let server = server(word, |name| (name == "eth0").then_some(2));
            assert_eq!(server.map(|s| s.to_string()).as_deref(), found, "{word}");
        }
        assert_eq!(interface("lo"), Some(1));
        assert_eq!(interface("no such name"), None);
    }
}
