//! The one SIP datagram socket: bounded reading, ICMP errors with the address they are about.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, SockaddrStorage, recvmsg, setsockopt, sockopt};
use tokio::net::UdpSocket;

/// Datagrams taken in one turn of the loop, so that a flood cannot starve keys and timers.
pub(crate) const DATAGRAMS_A_TURN: usize = 64;
/// Errors taken in one turn.
const ERRORS_A_TURN: usize = 32;
/// Largest datagram.
pub(crate) const MAX_DATAGRAM: usize = 65_535;

/// Binds the socket, marked with the DSCP, with ICMP errors on.
pub(crate) fn bind(address: SocketAddr, dscp: u8) -> io::Result<UdpSocket> {
    let socket = std::net::UdpSocket::bind(address)?;
    socket.set_nonblocking(true)?;
    crate::audio_thread::mark(&socket, address, dscp);
    // Without error reports a dead peer is noticed by timers only: slower, but right.
    let _ = match address.ip() {
        IpAddr::V4(_) => setsockopt(&socket, sockopt::Ipv4RecvErr, &true),
        IpAddr::V6(_) => setsockopt(&socket, sockopt::Ipv6RecvErr, &true),
    };
    UdpSocket::from_std(socket)
}

/// Sends one datagram; an error left over from an earlier one does not count against this one.
pub(crate) fn send(socket: &UdpSocket, bytes: &[u8], to: SocketAddr) -> io::Result<()> {
    match socket.try_send_to(bytes, to) {
        Err(error) if matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::HostUnreachable) => {
            socket.try_send_to(bytes, to).map(|_| ())
        }
        // A full send buffer loses the datagram as the network would; SIP's timers send it again.
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
        other => other.map(|_| ()),
    }
}

/// The addresses ICMP says cannot be reached.
pub(crate) fn unreachable(socket: &UdpSocket) -> Vec<SocketAddr> {
    let mut gone = Vec::new();
    let (mut packet, mut control) = ([0_u8; 128], nix::cmsg_space!([u8; 128]));
    for _ in 0..ERRORS_A_TURN {
        let mut parts = [IoSliceMut::new(&mut packet)];
        let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
        match recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut parts, Some(&mut control), flags) {
            Ok(message) => {
                let address = message.address.and_then(|address| {
                    address
                        .as_sockaddr_in()
                        .map(|v4| SocketAddr::from((v4.ip(), v4.port())))
                        .or_else(|| address.as_sockaddr_in6().map(|v6| SocketAddr::from((v6.ip(), v6.port()))))
                });
                gone.extend(address);
            }
            Err(Errno::EAGAIN) => break,
            Err(_) => break,
        }
    }
    gone.dedup();
    gone
}
