//! IPv4 addresses on IPv6 sockets.

use std::net::{IpAddr, SocketAddr};

/// The address as everybody else writes it: a socket bound to `::` sees IPv4 as `::ffff:a.b.c.d`.
pub(crate) fn canonical(from: SocketAddr) -> SocketAddr {
    SocketAddr::new(from.ip().to_canonical(), from.port())
}

/// The address a socket of this family must be given to reach `to`.
pub(crate) fn for_socket(to: SocketAddr, by_v6: bool) -> SocketAddr {
    match to.ip() {
        IpAddr::V4(v4) if by_v6 => SocketAddr::new(IpAddr::V6(v4.to_ipv6_mapped()), to.port()),
        IpAddr::V4(_) | IpAddr::V6(_) => to,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ipv4_on_an_ipv6_socket_keeps_its_address() {
        let v4: SocketAddr = "192.0.2.1:5060".parse().unwrap();
        let v6: SocketAddr = "[2001:db8::1]:5060".parse().unwrap();
        assert_eq!(for_socket(v4, false), v4);
        assert_eq!(for_socket(v4, true).to_string(), "[::ffff:192.0.2.1]:5060");
        assert_eq!(canonical(for_socket(v4, true)), v4);
        assert_eq!((canonical(v6), for_socket(v6, true)), (v6, v6));
    }
}
