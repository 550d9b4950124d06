//! Names of this link (RFC 6762): the phone answers to `host_name.local`, and asks for the names of
//! others, so that two phones call each other without a server.
//!
//! ```text
//! 224.0.0.251:5353 ─▶ task ─▶ Responder (probe, announce, answer; no I/O) ─▶ task ─▶ multicast, or the asker
//! Dns: question for a name in .local ─▶ ask: one query from a port of its own, the first answer counts
//! ```
//!
//! browse: a provisioning server of this link (DNS-SD)
//!
//! Only addresses are answered for: a phone offers no services to be browsed. Queries and answers
//! go over IPv4; an answer carries the IPv6 addresses, too.

mod ask;
mod browse;
mod responder;

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket as StdUdpSocket};
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;
use tokio::sync::watch;

pub(crate) use ask::ask;
pub(crate) use browse::browse;
use responder::{Destination, Responder};

use super::local::Networks;

/// The group and port of RFC 6762.
const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);
const PORT: u16 = 5353;
/// Largest datagram (RFC 6762 section 17).
const MAX_DATAGRAM: usize = 9000;
/// Datagrams read in one turn.
const DATAGRAMS_A_TURN: usize = 32;
/// Where the port cannot be had, it is tried again after that.
const AGAIN: Duration = Duration::from_secs(60);

/// Answers for a name until the sender of `changed` is dropped, which says that the network is
/// another one; then it says goodbye.
pub(crate) fn start(host_name: String, seed: u64, changed: watch::Receiver<()>) {
    tokio::spawn(run(host_name, seed, changed));
}

async fn run(host_name: String, seed: u64, mut changed: watch::Receiver<()>) {
    let mut warned = false;
    loop {
        match serve(&host_name, seed, &mut changed).await {
            Ok(Ended::NetworkChanged) => {}
            Ok(Ended::Quit) => return,
            Err(error) => {
                if !std::mem::replace(&mut warned, true) {
                    tracing::info!("no one finds this phone as {host_name}.local (mDNS): {error}");
                }
                tokio::select! {
                    () = tokio::time::sleep(AGAIN) => {}
                    gone = changed.changed() => if gone.is_err() {
                        return;
                    },
                }
            }
        }
    }
}

/// Why serving came to an end.
enum Ended {
    NetworkChanged,
    Quit,
}

async fn serve(host_name: &str, seed: u64, changed: &mut watch::Receiver<()>) -> io::Result<Ended> {
    // They are read again when the network changes, which begins this again.
    let networks = Networks::read();
    let (interfaces, links) = (networks.addresses(), networks.one_each());
    let socket = group_socket(&links)?;
    let mut responder = Responder::new(host_name, seed, Instant::now());
    let mut datagram = vec![0; MAX_DATAGRAM];
    loop {
        while let Some((destination, bytes)) = responder.poll_transmit(&interfaces) {
            send(&socket, &links, destination, &bytes);
        }
        let due = responder.poll_timeout();
        tokio::select! {
            ready = socket.readable() => {
                ready?;
                for _ in 0..DATAGRAMS_A_TURN {
                    let Ok((length, from)) = socket.try_recv_from(&mut datagram) else { break };
                    // Section 11: only this link counts.
                    if networks.contain(from.ip()) {
                        let now = Instant::now();
                        responder.handle_datagram(from, &datagram[..length], &interfaces, now);
                    }
                }
            }
            () = until(due) => responder.handle_timeout(Instant::now()),
            gone = changed.changed() => {
                if gone.is_ok() {
                    return Ok(Ended::NetworkChanged);
                }
                responder.say_goodbye();
                while let Some((destination, bytes)) = responder.poll_transmit(&interfaces) {
                    send(&socket, &links, destination, &bytes);
                }
                return Ok(Ended::Quit);
            }
        }
    }
}

/// A socket on the port of mDNS, shared with whatever else of this machine answers there.
fn group_socket(links: &[IpAddr]) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.set_multicast_ttl_v4(255)?;
    // Another program of this machine may ask.
    socket.set_multicast_loop_v4(true)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, PORT)).into())?;
    let mut joined = Err(io::Error::new(
        io::ErrorKind::NetworkUnreachable,
        "no network",
    ));
    for address in links {
        if let IpAddr::V4(address) = address {
            let done = socket.join_multicast_v4(&GROUP, address);
            if joined.is_err() {
                joined = done;
            }
        }
    }
    joined?;
    UdpSocket::from_std(StdUdpSocket::from(socket))
}

fn send(socket: &UdpSocket, links: &[IpAddr], destination: Destination, bytes: &[u8]) {
    match destination {
        Destination::Unicast(to) => {
            // An answer that is lost is asked for again.
            let _ = socket.try_send_to(bytes, to);
        }
        Destination::Group => {
            for address in links {
                if let IpAddr::V4(address) = address {
                    let by = socket2::SockRef::from(socket);
                    let to = SocketAddr::V4(SocketAddrV4::new(GROUP, PORT));
                    if by.set_multicast_if_v4(address).is_ok() {
                        let _ = by.send_to(bytes, &to.into());
                    }
                }
            }
        }
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}
