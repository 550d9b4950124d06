//! What changes on the network, as the kernel reports it: links, addresses and routes by netlink
//! (rtnetlink(7)), name servers by inotify(7).
//!
//! What a message says is not read: whatever it is, the network is looked at again, once for all
//! that comes within [`PAUSE`]. So there is nothing to parse, and a message that was lost
//! (`ENOBUFS`) costs nothing.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::path::Path;
use std::time::Duration;

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, socket,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;

use super::NetworkEvent;

/// Changes come in groups (link, address, route): one look for all of them.
const PAUSE: Duration = Duration::from_millis(100);
/// Messages taken in one turn.
const MESSAGES_A_TURN: usize = 256;
/// The file name servers are in.
const RESOLV_CONF: &str = "/etc/resolv.conf";

/// What changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// A link, an address or a route.
    Link,
    /// The name servers.
    NameServers,
}

/// Starts to watch; each change comes as an event. Returns whether the kernel reports links; where
/// it does not, somebody must look from time to time.
pub(crate) fn start(events: &mpsc::Sender<NetworkEvent>) -> bool {
    match name_servers() {
        Ok(inotify) => {
            tokio::spawn(report(inotify, Change::NameServers, events.clone()));
        }
        Err(error) => tracing::debug!("{RESOLV_CONF} is not watched: {error}"),
    }
    match links() {
        Ok(netlink) => {
            tokio::spawn(report(netlink, Change::Link, events.clone()));
            true
        }
        Err(error) => {
            tracing::warn!(
                "the kernel does not report network changes ({error}); they are noticed within 5 s"
            );
            false
        }
    }
}

/// A descriptor that becomes readable when something changes.
trait Source {
    /// Takes what is there; an error other than `WouldBlock` is a change as well.
    fn take(&self) -> io::Result<()>;
}

struct Netlink(OwnedFd);

impl AsRawFd for Netlink {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl Source for Netlink {
    fn take(&self) -> io::Result<()> {
        // A longer message is cut, which does not matter.
        let length = recv(self.0.as_raw_fd(), &mut [0; 1024], MsgFlags::MSG_DONTWAIT)?;
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }
}

struct NameServers(Inotify);

impl AsRawFd for NameServers {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

impl Source for NameServers {
    fn take(&self) -> io::Result<()> {
        self.0.read_events()?;
        Ok(())
    }
}

fn links() -> io::Result<AsyncFd<Netlink>> {
    let groups = libc::RTMGRP_LINK
        | libc::RTMGRP_IPV4_IFADDR
        | libc::RTMGRP_IPV4_ROUTE
        | libc::RTMGRP_IPV6_IFADDR
        | libc::RTMGRP_IPV6_ROUTE;
    let netlink = socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
        SockProtocol::NetlinkRoute,
    )?;
    bind(netlink.as_raw_fd(), &NetlinkAddr::new(0, groups as u32))?;
    watched(Netlink(netlink))
}

/// Whatever replaces the file changes its folder; where it is a link, that of the file it leads to.
fn name_servers() -> io::Result<AsyncFd<NameServers>> {
    let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
    let replaced = AddWatchFlags::IN_CLOSE_WRITE | AddWatchFlags::IN_MOVED_TO;
    let path = Path::new(RESOLV_CONF);
    let target = std::fs::canonicalize(path);
    for file in [Some(path), target.as_deref().ok()].into_iter().flatten() {
        // The file itself: in a folder as busy as /etc or /run other files would wake us.
        let watched = inotify.add_watch(file, replaced | AddWatchFlags::IN_DELETE_SELF);
        if watched.is_err()
            && let Some(folder) = file.parent()
        {
            inotify.add_watch(folder, replaced)?;
        }
    }
    if let Some(folder) = target.as_deref().unwrap_or(path).parent() {
        inotify.add_watch(folder, AddWatchFlags::IN_MOVED_TO)?;
    }
    watched(NameServers(inotify))
}

#[expect(
    deprecated,
    reason = "the new way is unsafe, for descriptors that may be closed under it; ours are owned"
)]
fn watched<S: AsRawFd>(source: S) -> io::Result<AsyncFd<S>> {
    AsyncFd::with_interest(source, Interest::READABLE)
}

async fn report<S: Source + AsRawFd>(
    source: AsyncFd<S>,
    change: Change,
    events: mpsc::Sender<NetworkEvent>,
) {
    loop {
        let Ok(mut guard) = source.readable().await else {
            return;
        };
        for _ in 0..MESSAGES_A_TURN {
            match guard.try_io(|source| source.get_ref().take()) {
                Ok(_) => {}
                // Nothing more is there.
                Err(_) => break,
            }
        }
        drop(guard);
        tokio::time::sleep(PAUSE).await;
        drain(&source);
        if events.send(NetworkEvent::Changed(change)).await.is_err() {
            return;
        }
    }
}

/// What came meanwhile belongs to the same change.
fn drain<S: Source + AsRawFd>(source: &AsyncFd<S>) {
    for _ in 0..MESSAGES_A_TURN {
        if let Err(error) = source.get_ref().take()
            && error.kind() == io::ErrorKind::WouldBlock
        {
            return;
        }
    }
}
