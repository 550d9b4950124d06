//! Multicast groups of `[paging]`: joined on every interface, and listened to on the control thread;
//! the sound of a page that is heard goes to the audio thread by a socket of its own.
//!
//! ```text
//! groups ─▶ one task each: join (IGMP, MLD), read, at most so many a second ─▶ NetworkEvent::Page ─▶ Control
//! Output::OpenGroup ─▶ group_pair ─▶ audio thread
//! ```

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket as StdUdpSocket};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::{NetworkEvent, local};

/// Longest datagram that is looked at: what a link carries.
const MAX_DATAGRAM: usize = 1500;
/// How often the interfaces are looked at: an address that is new has not joined yet.
const REJOIN: Duration = Duration::from_secs(10);
/// Datagrams of a group that are looked at in [`WINDOW`]: several pages of 10 ms packets. The kernel
/// drops what is more, so that a flood costs no more than these.
const MOST: u32 = 100;
const WINDOW: Duration = Duration::from_millis(250);

/// Listens to these groups as long as somebody takes the events.
pub(crate) fn start(
    groups: impl IntoIterator<Item = SocketAddr>,
    events: &mpsc::Sender<NetworkEvent>,
) {
    for group in groups {
        let events = events.clone();
        tokio::spawn(async move {
            loop {
                if let Err(error) = listen(group, &events).await {
                    tracing::warn!("paging group {group}: {error}; trying again");
                }
                if events.is_closed() {
                    return;
                }
                tokio::time::sleep(REJOIN).await;
            }
        });
    }
}

async fn listen(group: SocketAddr, events: &mpsc::Sender<NetworkEvent>) -> io::Result<()> {
    let socket = UdpSocket::from_std(group_socket(group)?)?;
    let mut datagram = [0; MAX_DATAGRAM];
    let (mut window, mut taken) = (Instant::now(), 0);
    let mut rejoin = tokio::time::interval(REJOIN);
    loop {
        tokio::select! {
            received = socket.recv_from(&mut datagram) => {
                let Ok((length, from)) = received else { continue };
                let event = NetworkEvent::Page {
                    group,
                    from: super::address::canonical(from),
                    bytes: datagram[..length].to_vec(),
                };
                // One that finds no place is lost, as on any network.
                if let Err(mpsc::error::TrySendError::Closed(_)) = events.try_send(event) {
                    return Ok(());
                }
                taken += 1;
                if window.elapsed() > WINDOW {
                    (window, taken) = (Instant::now(), 0);
                } else if taken >= MOST {
                    tokio::time::sleep_until(window + WINDOW).await;
                }
            }
            _ = rejoin.tick() => {
                // Those that have joined already refuse to do so again.
                let _ = join(&socket2::SockRef::from(&socket), group);
            }
        }
    }
}

/// A socket that hears a group and nothing else: it is bound to the group's own address.
pub(crate) fn group_socket(group: SocketAddr) -> io::Result<StdUdpSocket> {
    let socket = Socket::new(Domain::for_address(group), Type::DGRAM, Some(Protocol::UDP))?;
    // Two listen: the control thread for what begins, the audio thread for its sound.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    if group.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&group.into())?;
    join(&socket2::SockRef::from(&socket), group)?;
    Ok(socket.into())
}

/// Joins the group on every interface. An error where it is joined on none.
fn join(socket: &socket2::SockRef<'_>, group: SocketAddr) -> io::Result<()> {
    match group.ip() {
        IpAddr::V4(ip) => {
            let mut joined = socket.join_multicast_v4(&ip, &Ipv4Addr::UNSPECIFIED);
            for address in local::interface_addresses() {
                if let IpAddr::V4(address) = address {
                    let here = socket.join_multicast_v4(&ip, &address);
                    joined = joined.or(here);
                }
            }
            joined
        }
        // The kernel's own choice of interface.
        IpAddr::V6(ip) => socket.join_multicast_v6(&ip, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_datagram_to_the_group_is_heard_and_one_to_the_host_is_not() {
        let group: SocketAddr = "239.255.77.1:45004".parse().unwrap();
        let (events, mut heard) = mpsc::channel(4);
        start([group], &events);
        // A machine without a network joins on the loopback only.
        let Ok(sound) = group_socket(group) else {
            println!("skipped: no interface takes multicast");
            return;
        };
        let sender = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP)).unwrap();
        // Wall clock: real sockets; what does not arrive is a failure after 5 s.
        let wait = Duration::from_secs(5);
        let received = tokio::time::timeout(wait, async {
            loop {
                let _ = sender.send_to(
                    b"to the host",
                    &"127.0.0.1:45004".parse::<SocketAddr>().unwrap().into(),
                );
                sender.send_to(b"page", &group.into()).unwrap();
                let pause = tokio::time::sleep(Duration::from_millis(50));
                tokio::select! {
                    event = heard.recv() => break event,
                    () = pause => {}
                }
            }
        });
        let Some(NetworkEvent::Page {
            group: to, bytes, ..
        }) = received.await.unwrap()
        else {
            panic!("no page");
        };
        assert_eq!((to, bytes.as_slice()), (group, &b"page"[..]));
        let mut buffer = [0; 32];
        let length = sound.recv(&mut buffer).unwrap();
        assert_eq!(
            &buffer[..length],
            b"page",
            "the audio thread's socket hears it, too"
        );
    }
}
