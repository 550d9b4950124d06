//! Our addresses: which of them others reach us by, where the configuration says "all of them"; and
//! all of them, for people.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;

use super::dns::Families;

/// The address to write into Via and Contact: `bind` itself, or the one the kernel would send from.
pub(crate) fn address(bind: IpAddr) -> IpAddr {
    if !bind.is_unspecified() {
        return bind;
    }
    let v4 = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    let found = routed(bind).or_else(|| first_interface(bind));
    // `::` is IPv4 as well, where there is no IPv6.
    let found = found.or_else(|| routed(v4)).or_else(|| first_interface(v4));
    found.unwrap_or(match bind {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
    })
}

/// The source address of the default route. Connecting a UDP socket sends nothing; the addresses
/// are those of RFC 5737 and RFC 3849.
fn routed(bind: IpAddr) -> Option<IpAddr> {
    let far = match bind {
        IpAddr::V4(_) => SocketAddr::from((Ipv4Addr::new(192, 0, 2, 1), 9)),
        IpAddr::V6(_) => SocketAddr::from((Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1), 9)),
    };
    let probe = UdpSocket::bind((bind, 0)).ok()?;
    probe.connect(far).ok()?;
    Some(probe.local_addr().ok()?.ip()).filter(|ip| !ip.is_unspecified())
}

/// No default route (a LAN without a gateway): the first interface that is up and no loopback.
fn first_interface(bind: IpAddr) -> Option<IpAddr> {
    let wanted = InterfaceFlags::IFF_UP | InterfaceFlags::IFF_RUNNING;
    getifaddrs()
        .ok()?
        .filter(|interface| {
            interface.flags.contains(wanted)
                && !interface.flags.contains(InterfaceFlags::IFF_LOOPBACK)
        })
        .filter_map(|interface| interface.address)
        .filter_map(|address| match bind {
            IpAddr::V4(_) => address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip())),
            IpAddr::V6(_) => address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())),
        })
        // Link-local IPv6 needs a scope no SIP header can carry.
        .find(|ip| !matches!(ip, IpAddr::V6(v6) if v6.is_unicast_link_local()))
}

/// The families packets can be sent by, where `network.bind` permits them. A family without a
/// default route counts where an interface has an address of it: its network can be reached.
pub(crate) fn families(bind: IpAddr) -> Families {
    let any = |bind: IpAddr| routed(bind).or_else(|| first_interface(bind)).is_some();
    let v6 = bind.is_ipv6() && any(IpAddr::V6(Ipv6Addr::UNSPECIFIED));
    let only_v6 = v6 && !any(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    Families {
        v4: (bind.is_ipv4() || bind.is_unspecified()) && !only_v6,
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
            let address = interface.address?;
            let ip = match (address.as_sockaddr_in(), address.as_sockaddr_in6()) {
                (Some(v4), _) => v4.ip().to_string(),
                (_, Some(v6)) if !v6.ip().is_unicast_link_local() => v6.ip().to_string(),
                (_, _) => return None,
            };
            Some(format!("{} {ip}", interface.interface_name))
        })
        .collect();
    found.sort();
    found.dedup();
    found.truncate(16);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chosen_address_is_kept_and_all_becomes_one() {
        let chosen: IpAddr = "127.0.0.9".parse().unwrap();
        assert_eq!(address(chosen), chosen);
        assert!(!address(IpAddr::V4(Ipv4Addr::UNSPECIFIED)).is_unspecified());
        assert!(!address(IpAddr::V6(Ipv6Addr::UNSPECIFIED)).is_unspecified());
    }
}
