//! Which addresses are one host's, for limits that are counted by host.

use std::net::{IpAddr, Ipv6Addr};

/// The host an address is counted by: one IPv4 address, however it is written, and one IPv6
/// subnet of 64 bits, since a host chooses its addresses within it freely.
#[must_use]
pub fn host_of(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        // All neighbours share the link-local subnet, and none can leave it.
        IpAddr::V6(v6) if v6.is_unicast_link_local() => IpAddr::V6(v6),
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64))),
    }
}
