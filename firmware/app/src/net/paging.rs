//! Multicast groups of `[paging]`: joined on every interface, and listened to on the control
//! thread; the sound of a page that is heard goes to the audio thread by a socket of its own.
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

use super::NetworkEvent;
use super::local::Networks;

/// Longest datagram that is looked at: what a link carries.
const MAX_DATAGRAM: usize = 1500;
/// How often the interfaces are looked at: an address that is new has not joined yet.
const REJOIN: Duration = Duration::from_secs(10);
/// Datagrams of a group that are looked at in [`WINDOW`]: several pages of 10 ms packets. The
/// kernel drops what is more, so that a flood costs no more than these.
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
            for address in Networks::read().one_each() {
                if let IpAddr::V4(address) = address {
                    let here = socket.join_multicast_v4(&ip, &address);
                    joined = joined.or(here);
                }
            }
            joined
        }
        IpAddr::V6(ip) => {
            let mut joined = socket.join_multicast_v6(&ip, 0);
            for interface in &nix::net::if_::if_nameindex()? {
                let here = socket.join_multicast_v6(&ip, interface.index());
                joined = joined.or(here);
            }
            joined
        }
    }
}

#[cfg(test)]
mod tests {
    use testkit::namespace::Namespace;
    use testkit::skipped;

    use super::*;

    const V4: &str = "239.255.77.1:45004";
    const V6: &str = "[ff15::77]:45006";

    /// Sends until somebody has heard it, 10 s at most.
    fn speak(there: &Namespace, from: &str, group: &str, over: &std::sync::atomic::AtomicBool) {
        there.enter();
        let socket = StdUdpSocket::bind((from, 0)).unwrap();
        let by = socket2::SockRef::from(&socket);
        if let Ok(address) = from.parse::<Ipv4Addr>() {
            by.set_multicast_if_v4(&address).unwrap();
        } else {
            let interfaces = nix::net::if_::if_nameindex().unwrap();
            let cable = interfaces
                .iter()
                .find(|found| found.name().to_bytes() == b"far");
            by.set_multicast_if_v6(cable.unwrap().index()).unwrap();
        }
        let host = format!("10.77.0.1:{}", group.rsplit(':').next().unwrap());
        for _ in 0..200 {
            if over.load(std::sync::atomic::Ordering::Relaxed) {
                return;
            }
            // What is for the host itself, at the same port, is no page.
            let _ = socket.send_to(b"to the host", &host);
            socket.send_to(b"page", group).unwrap();
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    #[test]
    fn a_page_crosses_a_cable_to_both_sockets_of_its_group() {
        let (Some(here), Some(there)) = (Namespace::new(), Namespace::new()) else {
            return skipped("paging", "no network namespaces here");
        };
        here.cable("near", &there, "far");
        for (end, interface, host) in [(&here, "near", 1), (&there, "far", 2)] {
            end.ip(&format!("addr add 10.77.0.{host}/24 dev {interface}"));
            end.ip(&format!("-6 addr add fd00:77::{host}/64 dev {interface}"));
        }
        for (group, from) in [(V4, "10.77.0.2"), (V6, "fd00:77::2")] {
            let over = std::sync::atomic::AtomicBool::new(false);
            // Wall clock: real sockets; what does not arrive is a failure after 10 s.
            std::thread::scope(|scope| {
                scope.spawn(|| speak(&there, from, group, &over));
                let hearing = scope.spawn(|| {
                    here.enter();
                    let runtime = tokio::runtime::Builder::new_current_thread()
                        .enable_all()
                        .build()
                        .unwrap();
                    runtime.block_on(hear(group.parse().unwrap()));
                });
                let heard = hearing.join();
                over.store(true, std::sync::atomic::Ordering::Relaxed);
                assert!(heard.is_ok(), "{group}");
            });
        }
    }

    /// The page reaches the control thread and the audio thread, and nothing else does.
    async fn hear(group: SocketAddr) {
        let (events, mut pages) = mpsc::channel(4);
        start([group], &events);
        let sound = UdpSocket::from_std(group_socket(group).unwrap()).unwrap();
        let wait = Duration::from_secs(10);
        let event = tokio::time::timeout(wait, pages.recv()).await.unwrap();
        let Some(NetworkEvent::Page {
            group: to, bytes, ..
        }) = event
        else {
            panic!("no page");
        };
        assert_eq!((to, bytes.as_slice()), (group, &b"page"[..]));
        let mut buffer = [0; 32];
        let heard = tokio::time::timeout(wait, sound.recv_from(&mut buffer)).await;
        let (length, _) = heard.unwrap().unwrap();
        assert_eq!(&buffer[..length], b"page");
    }
}
