//! What changes on the network, as the kernel reports it: links, addresses and routes by netlink
//! (rtnetlink(7)), name servers by inotify(7).
//!
//! What a message says is not read: whatever it is, the network is looked at again, once for all
//! that comes within [`PAUSE`], and ever more seldom while it never rests (a route that flaps, a
//! thousand addresses that come and go). So there is nothing to parse, and a message that was lost
//! (`ENOBUFS`) costs nothing. What neighbours do (ARP, ND) is not asked for.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, socket,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;

use super::NetworkEvent;
use super::dns::system::System;

/// Changes come in groups (link, address, route): one look for all of them.
const PAUSE: Duration = Duration::from_millis(100);
/// The longest pause, while changes keep coming.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// The network rests when nothing came for so many times the last pause.
const REST: u32 = 2;
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
    tokio::spawn(report_name_servers(Path::new(RESOLV_CONF), events.clone()));
    match links() {
        Ok(netlink) => {
            tokio::spawn(report_links(netlink, events.clone()));
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

struct Netlink(OwnedFd);

impl AsRawFd for Netlink {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl Netlink {
    /// Takes what is there; an error other than `WouldBlock` is a change as well.
    fn take(&self) -> io::Result<()> {
        // A longer message is cut, which does not matter.
        let length = recv(self.0.as_raw_fd(), &mut [0; 1024], MsgFlags::MSG_DONTWAIT)?;
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }
}

struct Files(Inotify);

impl AsRawFd for Files {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
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

/// Watches a file, whatever is done to it: written in place, removed and made again, replaced by
/// another or, where it is a link, led elsewhere.
fn file(path: &Path) -> io::Result<AsyncFd<Files>> {
    let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
    let of_file =
        AddWatchFlags::IN_CLOSE_WRITE | AddWatchFlags::IN_DELETE_SELF | AddWatchFlags::IN_MOVE_SELF;
    let of_folder = AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO;
    let target = std::fs::canonicalize(path).ok();
    if let Some(target) = &target {
        inotify.add_watch(target, of_file)?;
    }
    for name in [Some(path), target.as_deref()].into_iter().flatten() {
        if let Some(folder) = name.parent() {
            inotify.add_watch(folder, of_folder)?;
        }
    }
    watched(Files(inotify))
}

/// Waits until something of these names changes.
async fn changed(files: &AsyncFd<Files>, names: &[OsString]) -> io::Result<()> {
    loop {
        let mut guard = files.readable().await?;
        let events = guard.try_io(|files| Ok(files.get_ref().0.read_events()?));
        let Ok(events) = events else { continue };
        let is_ours = |name: &Option<OsString>| name.as_ref().is_none_or(|n| names.contains(n));
        if events?.iter().any(|event| is_ours(&event.name)) {
            return Ok(());
        }
    }
}

/// The names a file has: its own, and where it is a link that of its target.
fn names_of(path: &Path) -> Vec<OsString> {
    let target = std::fs::canonicalize(path).ok();
    [Some(path), target.as_deref()]
        .into_iter()
        .flatten()
        .filter_map(|path| path.file_name().map(ToOwned::to_owned))
        .collect()
}

/// Reports other name servers. A lease that is renewed writes the same ones again: that is no
/// change.
async fn report_name_servers(path: &'static Path, events: mpsc::Sender<NetworkEvent>) {
    let mut known = None;
    loop {
        // Watched before it is read: what comes between is not missed.
        let files = match file(path) {
            Ok(files) => files,
            Err(error) => return tracing::debug!("{} is not watched: {error}", path.display()),
        };
        let names = names_of(path);
        let read = tokio::task::spawn_blocking(System::read).await;
        let system = read.unwrap_or_default();
        let now = (system.servers, system.search);
        let change = NetworkEvent::Changed(Change::NameServers);
        if known.replace(now.clone()).is_some_and(|known| known != now)
            && events.send(change).await.is_err()
        {
            return;
        }
        if changed(&files, &names).await.is_err() {
            return;
        }
        // It is written in pieces, or removed and made again.
        tokio::time::sleep(PAUSE).await;
    }
}

#[expect(
    deprecated,
    reason = "the new way is unsafe, for descriptors that may be closed under it; ours are owned"
)]
fn watched<S: AsRawFd>(source: S) -> io::Result<AsyncFd<S>> {
    AsyncFd::with_interest(source, Interest::READABLE)
}

/// How long is waited for what else changes before the network is looked at.
#[derive(Debug)]
struct Pace(Duration);

impl Pace {
    /// The next pause; `rested`: how long nothing came since the last look.
    fn next(&mut self, rested: Duration) -> Duration {
        self.0 = if rested > self.0 * REST {
            PAUSE
        } else {
            (self.0 * 2).min(LONGEST_PAUSE)
        };
        self.0
    }
}

async fn report_links(source: AsyncFd<Netlink>, events: mpsc::Sender<NetworkEvent>) {
    let mut pace = Pace(PAUSE);
    let mut looked: Option<Instant> = None;
    loop {
        let Ok(mut guard) = source.readable().await else {
            return;
        };
        let pause = looked.map_or(PAUSE, |at| pace.next(at.elapsed()));
        for _ in 0..MESSAGES_A_TURN {
            match guard.try_io(|source| source.get_ref().take()) {
                Ok(_) => {}
                // Nothing more is there.
                Err(_) => break,
            }
        }
        drop(guard);
        tokio::time::sleep(pause).await;
        drain(&source);
        looked = Some(Instant::now());
        if events
            .send(NetworkEvent::Changed(Change::Link))
            .await
            .is_err()
        {
            return;
        }
    }
}

/// What came meanwhile belongs to the same change.
fn drain(source: &AsyncFd<Netlink>) {
    for _ in 0..MESSAGES_A_TURN {
        if let Err(error) = source.get_ref().take()
            && error.kind() == io::ErrorKind::WouldBlock
        {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_that_never_rests_is_looked_at_ever_more_seldom() {
        let mut pace = Pace(PAUSE);
        let (mut looks, mut passed) = (0, Duration::ZERO);
        while passed < Duration::from_secs(60) {
            passed += pace.next(Duration::from_millis(1));
            looks += 1;
        }
        assert!(looks <= 35, "{looks} looks in a minute");
        assert_eq!(pace.next(Duration::from_secs(5)), PAUSE, "it has rested");
        assert!(pace.next(Duration::from_millis(150)) > PAUSE);
    }
}
