//! Sockets for both families: an IPv6 socket that is bound to `::` carries IPv4 as well, as
//! `::ffff:a.b.c.d`; what the rest of the phone sees is always the plain address.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};

/// The address as everybody else writes it: a socket bound to `::` sees IPv4 as `::ffff:a.b.c.d`.
pub(crate) fn canonical(from: SocketAddr) -> SocketAddr {
    SocketAddr::new(from.ip().to_canonical(), from.port())
}

/// A UDP socket; bound to `::` it carries both families, or IPv4 alone where the kernel has no
/// IPv6.
pub(crate) fn udp(address: SocketAddr) -> io::Result<std::net::UdpSocket> {
    let socket = bound(address, Type::DGRAM, Protocol::UDP, |_| Ok(()))?;
    Ok(socket.into())
}

/// The same for TCP; `prepare` is called before it is bound.
pub(crate) fn tcp(
    address: SocketAddr,
    prepare: impl Fn(&Socket) -> io::Result<()>,
) -> io::Result<std::net::TcpStream> {
    let socket = bound(address, Type::STREAM, Protocol::TCP, prepare)?;
    Ok(socket.into())
}

fn bound(
    address: SocketAddr,
    kind: Type,
    protocol: Protocol,
    prepare: impl Fn(&Socket) -> io::Result<()>,
) -> io::Result<Socket> {
    let open = |address: SocketAddr| {
        let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
        socket.set_nonblocking(true)?;
        if address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED) {
            // Whatever net.ipv6.bindv6only says.
            socket.set_only_v6(false)?;
        }
        prepare(&socket)?;
        socket.bind(&address.into())?;
        Ok(socket)
    };
    match open(address) {
        Err(error) if address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED) && no_ipv6(&error) => open(
            SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), address.port()),
        ),
        other => other,
    }
}

/// The kernel was built or started without IPv6.
fn no_ipv6(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EAFNOSUPPORT | libc::EADDRNOTAVAIL | libc::EPROTONOSUPPORT)
    )
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
    fn one_socket_carries_both_families() {
        let socket = udp("[::]:0".parse().unwrap()).unwrap();
        let port = socket.local_addr().unwrap().port();
        let by_v6 = socket.local_addr().unwrap().is_ipv6();
        socket.set_nonblocking(false).unwrap();
        // Wall clock: a real socket; what does not arrive is a failure after 5 s.
        socket
            .set_read_timeout(Some(std::time::Duration::from_secs(5)))
            .unwrap();
        for loopback in ["127.0.0.1", "::1"] {
            let Ok(peer) = std::net::UdpSocket::bind((loopback, 0)) else {
                assert!(!by_v6, "an IPv6 socket on a machine without IPv6");
                continue;
            };
            peer.send_to(b"x", (loopback, port)).unwrap();
            let (_, from) = socket.recv_from(&mut [0; 8]).unwrap();
            assert_eq!(canonical(from), peer.local_addr().unwrap());
            socket
                .send_to(b"y", for_socket(canonical(from), by_v6))
                .unwrap();
            let (length, _) = peer.recv_from(&mut [0; 8]).unwrap();
            assert_eq!(length, 1);
        }
    }

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
