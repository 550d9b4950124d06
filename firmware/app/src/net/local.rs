//! Our addresses: which of them far ends are spoken to from, what is wrong where there are none,
//! and all of them, for people.
//!
//! ```text
//! getifaddrs ─▶ networks this phone is in ─┐
//! default route of each family ────────────┴─▶ LocalAddresses (Via, Contact, c=)
//! links without carrier, without address ────▶ LinkFault (status, log)
//! ```

mod report;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::Path;

use nix::ifaddrs::{InterfaceAddress, getifaddrs};
use nix::net::if_::InterfaceFlags;
use nix::sys::socket::SockaddrStorage;
use sip::{Families, LocalAddresses, Route};

pub(crate) use report::FaultReport;

/// Most networks that something is sent to each of: a desk phone has a handful.
const MAX_LINKS: usize = 16;

/// The network as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Snapshot {
    /// Our addresses; none: no network leads out of this machine.
    pub(crate) addresses: Option<LocalAddresses>,
    /// What is wrong, where nothing leads out.
    pub(crate) fault: Option<LinkFault>,
    /// The interfaces that have a carrier: another cable, another Wi-Fi.
    links: Vec<String>,
}

/// Why nothing leads out of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LinkFault {
    /// No cable is plugged in, or the switch is off.
    CableOut(String),
    /// Wi-Fi is not associated.
    WifiOff(String),
    /// There is a link, and no address on it.
    NoAddress(String),
    /// There is no interface but the loopback.
    NoInterface,
    /// The address that the configuration names is not there.
    NotOurs(IpAddr),
}

impl fmt::Display for LinkFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CableOut(name) => write!(
                f,
                "the cable is out: {name} has no carrier; plug it in, or switch its far end on"
            ),
            Self::WifiOff(name) => write!(
                f,
                "Wi-Fi is not connected: {name} has no access point; check its name and password \
                 in [wifi]"
            ),
            Self::NoAddress(name) => write!(
                f,
                "{name} has no address: no DHCP server answers; check it, or set network.address"
            ),
            Self::NoInterface => {
                f.write_str("this machine has no network interface; is its driver loaded?")
            }
            Self::NotOurs(bind) => write!(
                f,
                "this machine does not have the address {bind}; correct network.bind"
            ),
        }
    }
}

impl LinkFault {
    /// The same while it is not known to last.
    pub(crate) fn while_waiting(&self) -> String {
        match self {
            Self::NoAddress(name) => format!("{name} has no address yet"),
            Self::CableOut(_) | Self::WifiOff(_) | Self::NoInterface | Self::NotOurs(_) => {
                self.to_string()
            }
        }
    }
}

/// One interface that is not the loopback.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Link {
    name: String,
    /// Switched on and with a carrier.
    running: bool,
    has_address: bool,
    medium: Medium,
}

/// What an interface sends by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Medium {
    Cable,
    Radio,
    /// The kernel's own: a dummy, a bridge, a tunnel, one end of a pair.
    Virtual,
}

impl Medium {
    /// By the interface's folder in sysfs.
    fn of(name: &str) -> Self {
        let folder = Path::new("/sys/class/net").join(name);
        if folder.join("wireless").exists() {
            Self::Radio
        } else if folder.join("device").exists() {
            Self::Cable
        } else {
            Self::Virtual
        }
    }
}

impl Snapshot {
    /// Looks at the network. `bind`: what the configuration permits; `port`: of SIP; `external`:
    /// what a router makes of our address.
    pub(crate) fn take(bind: IpAddr, port: u16, external: Option<IpAddr>) -> Self {
        let (mut routes, links) = interfaces(bind);
        let out = routes.iter().any(|route| !route.source.is_loopback());
        for family in [
            IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        ] {
            if permits(bind, family)
                && let Some(source) = routed(family)
                && (bind.is_unspecified() || source == bind)
            {
                routes.push(Route {
                    network: family,
                    prefix: 0,
                    source,
                });
            }
        }
        // A phone that is bound to one address names no other, wherever the kernel would route.
        if !bind.is_unspecified() && (out || bind.is_loopback()) {
            routes.push(default_by(bind));
        }
        let fault = (!out && !bind.is_loopback()).then(|| fault(bind, &links));
        // Where there is only the loopback, other programs of this machine can be called.
        let usable = fault.is_none() || links.is_empty();
        let running = links.into_iter().filter(|link| link.running);
        Self {
            addresses: usable.then(|| LocalAddresses::new(port, routes).with_external(external)),
            fault,
            links: running.map(|link| link.name).collect(),
        }
    }
}

/// The default route of an address's family.
fn default_by(source: IpAddr) -> Route {
    let network = match source {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    Route {
        network,
        prefix: 0,
        source,
    }
}

fn fault(bind: IpAddr, links: &[Link]) -> LinkFault {
    if !bind.is_unspecified() && links.iter().any(|link| link.has_address) {
        return LinkFault::NotOurs(bind);
    }
    if let Some(link) = links.iter().find(|link| link.running) {
        return LinkFault::NoAddress(link.name.clone());
    }
    // A virtual interface has a cable only where there is nothing else, as inside a container.
    let first = |medium| links.iter().find(|link| link.medium == medium);
    if let Some(link) = first(Medium::Cable) {
        LinkFault::CableOut(link.name.clone())
    } else if let Some(link) = first(Medium::Radio) {
        LinkFault::WifiOff(link.name.clone())
    } else if let Some(link) = links.first() {
        LinkFault::CableOut(link.name.clone())
    } else {
        LinkFault::NoInterface
    }
}

/// Whether `network.bind` permits the family of an address: `::` permits both.
fn permits(bind: IpAddr, of: IpAddr) -> bool {
    bind == IpAddr::V6(Ipv6Addr::UNSPECIFIED) || bind.is_ipv4() == of.is_ipv4()
}

/// The networks this machine is in, and its interfaces.
fn interfaces(bind: IpAddr) -> (Vec<Route>, Vec<Link>) {
    let (mut routes, mut links) = (Vec::new(), Vec::<Link>::new());
    let Ok(all) = getifaddrs() else {
        return (routes, links);
    };
    for interface in all {
        let flags = interface.flags;
        let loopback = flags.contains(InterfaceFlags::IFF_LOOPBACK);
        let up = flags.contains(InterfaceFlags::IFF_UP);
        let running = up && flags.contains(InterfaceFlags::IFF_RUNNING);
        let route = route(&interface).filter(|_| running || (loopback && up));
        if !loopback {
            let name = &interface.interface_name;
            let has_address = route.is_some();
            match links.iter_mut().find(|link| link.name == *name) {
                Some(link) => link.has_address |= has_address,
                None => links.push(Link {
                    name: name.clone(),
                    running,
                    has_address,
                    medium: Medium::of(name),
                }),
            }
        }
        let permitted = |route: &Route| {
            permits(bind, route.source) && (bind.is_unspecified() || route.source == bind)
        };
        routes.extend(route.filter(permitted));
    }
    (routes, links)
}

/// The network of an interface's address. Link-local IPv6 needs a scope no SIP header can carry.
fn route(interface: &InterfaceAddress) -> Option<Route> {
    let source = ip(interface.address.as_ref()?)?;
    if matches!(source, IpAddr::V6(v6) if v6.is_unicast_link_local()) {
        return None;
    }
    let prefix = match ip(interface.netmask.as_ref()?)? {
        IpAddr::V4(mask) => u32::from(mask).leading_ones(),
        IpAddr::V6(mask) => u128::from(mask).leading_ones(),
    };
    Some(Route {
        network: source,
        prefix: prefix as u8,
        source,
    })
}

fn ip(address: &SockaddrStorage) -> Option<IpAddr> {
    let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
    v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
}

/// The source address of the default route. Connecting a UDP socket sends nothing; the addresses
/// are those of RFC 5737 and RFC 3849.
fn routed(family: IpAddr) -> Option<IpAddr> {
    let far = match family {
        IpAddr::V4(_) => SocketAddr::from((Ipv4Addr::new(192, 0, 2, 1), 9)),
        IpAddr::V6(_) => SocketAddr::from((Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1), 9)),
    };
    let probe = UdpSocket::bind((family, 0)).ok()?;
    probe.connect(far).ok()?;
    let source = probe.local_addr().ok()?.ip();
    Some(source).filter(|ip| reaches_others(*ip))
}

/// Whether others can answer to this address. A link-local one names no interface in SIP (RFC 3986
/// has no zone for it there), and the kernel uses it for the second before it has a better one.
fn reaches_others(ip: IpAddr) -> bool {
    let is_link_local = matches!(ip, IpAddr::V6(v6) if v6.is_unicast_link_local());
    !ip.is_unspecified() && !ip.is_loopback() && !is_link_local
}

/// The networks this machine was in when they were read: reading them costs a system call for each
/// interface, too much for every datagram.
#[derive(Debug)]
pub(crate) struct Networks(Vec<Route>);

impl Networks {
    /// As they are now.
    pub(crate) fn read() -> Self {
        Self(interfaces(IpAddr::V6(Ipv6Addr::UNSPECIFIED)).0)
    }

    /// Our addresses there; not the loopback.
    pub(crate) fn addresses(&self) -> Vec<IpAddr> {
        let sources = self.0.iter().map(|route| route.source);
        sources.filter(|source| !source.is_loopback()).collect()
    }

    /// One of our addresses of each of them; not the loopback.
    pub(crate) fn one_each(&self) -> Vec<IpAddr> {
        let mut found: Vec<&Route> = Vec::new();
        for route in self.0.iter().filter(|route| !route.source.is_loopback()) {
            let same =
                |other: &&Route| other.prefix == route.prefix && other.contains(route.source);
            if found.len() < MAX_LINKS && !found.iter().any(same) {
                found.push(route);
            }
        }
        found.into_iter().map(|route| route.source).collect()
    }

    /// Whether an address is of one of them.
    pub(crate) fn contain(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|route| route.contains(address))
    }
}

/// The families packets can be sent by, where `network.bind` permits them. A family without a
/// default route counts where an interface has an address of it: its network can be reached.
pub(crate) fn families(bind: IpAddr) -> Families {
    let (routes, _) = interfaces(bind);
    let any = |family: IpAddr| {
        let there = |route: &Route| {
            !route.source.is_loopback() && route.source.is_ipv4() == family.is_ipv4()
        };
        permits(bind, family) && (routes.iter().any(there) || routed(family).is_some())
    };
    let v6 = any(IpAddr::V6(Ipv6Addr::UNSPECIFIED));
    let v4 = any(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    Families {
        v4: v4 || (!v6 && permits(bind, IpAddr::V4(Ipv4Addr::UNSPECIFIED))),
        v6,
    }
}

/// Each interface that is up, with its addresses; not the loopback, no link-local IPv6.
pub(crate) fn all() -> Vec<String> {
    let Ok(all) = getifaddrs() else {
        return Vec::new();
    };
    let mut found: Vec<String> = all
        .filter(|interface| {
            interface.flags.contains(InterfaceFlags::IFF_UP)
                && !interface.flags.contains(InterfaceFlags::IFF_LOOPBACK)
        })
        .filter_map(|interface| {
            let source = route(&interface)?.source;
            Some(format!("{} {source}", interface.interface_name))
        })
        .collect();
    found.sort_unstable();
    found.dedup();
    found.truncate(16);
    found
}

/// What a log says of other addresses; nothing where only the routes to them are others.
pub(crate) fn address_change(now: &LocalAddresses, before: &LocalAddresses) -> Option<String> {
    let (now, before) = (now.hosts(), before.hosts());
    let list = |hosts: &[IpAddr]| -> String {
        let hosts: Vec<String> = hosts.iter().map(ToString::to_string).collect();
        hosts.join(", ")
    };
    (now != before).then(|| format!("our address is {} now, was {}", list(&now), list(&before)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_answer_to_no_address_of_this_link_alone() {
        for (ip, reaches) in [
            ("192.0.2.7", true),
            ("2001:db8::7", true),
            ("fd00::7", true),
            ("fe80::7", false),
            ("127.0.0.1", false),
            ("::1", false),
            ("0.0.0.0", false),
            ("::", false),
        ] {
            assert_eq!(reaches_others(ip.parse().unwrap()), reaches, "{ip}");
        }
    }

    #[test]
    fn a_change_names_every_address_and_routes_alone_are_none() {
        let at = |sources: &[(&str, u8)]| {
            let routes = sources.iter().map(|&(source, prefix)| Route {
                network: source.parse().unwrap(),
                prefix,
                source: source.parse().unwrap(),
            });
            LocalAddresses::new(5060, routes)
        };
        let one = at(&[("fd00::7", 0)]);
        let two = at(&[("fd00::7", 0), ("192.0.2.7", 24)]);
        assert_eq!(
            address_change(&two, &one).as_deref(),
            Some("our address is fd00::7, 192.0.2.7 now, was fd00::7")
        );
        let other_route = at(&[("fd00::7", 0), ("fd00::7", 64)]);
        assert_ne!(other_route, one);
        assert_eq!(address_change(&other_route, &one), None);
    }

    #[test]
    fn the_cable_that_is_out_is_one_that_can_be_plugged_in() {
        let link = |name: &str, medium| Link {
            name: name.into(),
            running: false,
            has_address: false,
            medium,
        };
        let (dummy, sit) = (
            link("dummy0", Medium::Virtual),
            link("sit0", Medium::Virtual),
        );
        let (eth, wlan) = (link("eth0", Medium::Cable), link("wlan0", Medium::Radio));
        let any = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
        let cable = |name: &str| LinkFault::CableOut(name.into());
        assert_eq!(
            fault(any, &[dummy.clone(), eth.clone(), wlan.clone()]),
            cable("eth0")
        );
        assert_eq!(fault(any, &[wlan.clone(), eth]), cable("eth0"));
        assert_eq!(
            fault(any, &[dummy.clone(), wlan]),
            LinkFault::WifiOff("wlan0".into())
        );
        assert_eq!(fault(any, &[dummy, sit]), cable("dummy0"));
        assert_eq!(fault(any, &[]), LinkFault::NoInterface);
    }
}
