//! The one SIP datagram socket: bounded reading, ICMP errors with the address they are about.

use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::os::fd::AsRawFd;

use nix::sys::socket::{MsgFlags, SockaddrStorage, recvmsg, setsockopt, sockopt};
use socket2::{SockAddr, SockRef};
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// Datagrams taken in one turn of the loop, so that a flood cannot starve keys and timers.
pub(crate) const DATAGRAMS_A_TURN: usize = 64;
/// Errors taken in one turn.
const ERRORS_A_TURN: usize = 32;
/// Largest datagram.
pub(crate) const MAX_DATAGRAM: usize = 65_535;

/// Binds the socket, marked with the DSCP, with ICMP errors on.
pub(crate) fn bind(address: SocketAddr, dscp: u8) -> io::Result<UdpSocket> {
    let socket = super::address::udp(address)?;
    let address = socket.local_addr()?;
    super::media_sockets::mark(&socket, address, dscp);
    // Without error reports a dead peer is noticed by timers only: slower, but right.
    if address.is_ipv6() {
        let _ = setsockopt(&socket, sockopt::Ipv6RecvErr, &true);
    }
    // An IPv6 socket carries IPv4 as well.
    let _ = setsockopt(&socket, sockopt::Ipv4RecvErr, &true);
    UdpSocket::from_std(socket)
}

/// Sends one datagram; an error left over from an earlier one does not count against this one.
pub(crate) fn send(socket: &UdpSocket, bytes: &[u8], to: SocketAddr) -> io::Result<()> {
    let to = super::address::for_socket(to, socket.local_addr()?.is_ipv6());
    // Straight to the kernel: tokio's own way refuses until the loop has turned once, and the first
    // REGISTER would wait 500 ms.
    let (socket, to) = (SockRef::from(socket), SockAddr::from(to));
    let sent = match socket.send_to(bytes, &to) {
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::ConnectionRefused | io::ErrorKind::HostUnreachable
            ) =>
        {
            socket.send_to(bytes, &to)
        }
        other => other,
    };
    match sent {
        // A full send buffer loses the datagram as the network would; SIP's timers send it again.
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
        other => other.map(|_| ()),
    }
}

/// The addresses ICMP says cannot be reached.
pub(crate) fn unreachable(socket: &UdpSocket) -> Vec<SocketAddr> {
    let mut gone = Vec::new();
    for _ in 0..ERRORS_A_TURN {
        // Informs tokio, too, when there is no more.
        match socket.try_io(Interest::ERROR, || one_unreachable(socket)) {
            Ok(address) => gone.extend(address.map(super::address::canonical)),
            Err(_) => break,
        }
    }
    gone.dedup();
    gone
}

/// One entry of the socket's error queue: the address a datagram of ours was for.
fn one_unreachable(socket: &UdpSocket) -> io::Result<Option<SocketAddr>> {
    let (mut packet, mut control) = ([0_u8; 128], nix::cmsg_space!([u8; 128]));
    let mut parts = [IoSliceMut::new(&mut packet)];
    let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
    let message =
        recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut parts, Some(&mut control), flags)?;
    Ok(message.address.and_then(|address| {
        address
            .as_sockaddr_in()
            .map(|v4| SocketAddr::from((v4.ip(), v4.port())))
            .or_else(|| {
                address
                    .as_sockaddr_in6()
                    .map(|v6| SocketAddr::from((v6.ip(), v6.port())))
            })
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_closed_port_is_reported_by_its_address() {
        for loopback in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(somebody) = std::net::UdpSocket::bind(loopback) else {
                eprintln!(
                    "SKIPPED: a_closed_port_is_reported_by_its_address: no {loopback} on this \
                     machine"
                );
                continue;
            };
            let closed = somebody.local_addr().unwrap();
            drop(somebody);
            let socket = bind(loopback.parse().unwrap(), 24).unwrap();
            assert!(unreachable(&socket).is_empty());
            send(&socket, b"hello", closed).unwrap();
            // Wall clock: the kernel reports the closed port, usually at once.
            let reported = tokio::time::timeout(std::time::Duration::from_secs(5), async {
                loop {
                    socket
                        .ready(Interest::READABLE | Interest::ERROR)
                        .await
                        .unwrap();
                    let _ = socket.try_recv_from(&mut [0; 16]);
                    let gone = unreachable(&socket);
                    if !gone.is_empty() {
                        return gone;
                    }
                }
            });
            assert_eq!(reported.await.unwrap(), [closed]);
        }
    }
}
