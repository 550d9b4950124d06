//! What the audio loop sleeps on, and which of its sockets have something in them.

use std::io;
use std::os::fd::RawFd;
use std::time::Duration;

use heapless::Vec as Fixed;
use media::{PacketKind, StreamId};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use super::cycle::MAX_PAIRS;
use crate::net::media_sockets::SocketPair;

/// Descriptors of one card.
const MAX_CARD_FDS: usize = 4;
/// Descriptors slept on: commands, and card or timer.
const MAX_FDS: usize = MAX_CARD_FDS + 1;

/// The descriptors that end the loop's sleep: commands first, then card or timer.
pub(super) struct WakeUps(Fixed<libc::pollfd, MAX_FDS>);

impl WakeUps {
    pub(super) fn new() -> Self {
        Self(Fixed::new())
    }

    /// Sleeps on these from now on.
    pub(super) fn watch(&mut self, commands: RawFd, pace: &[RawFd]) {
        self.0.clear();
        for &fd in [commands].iter().chain(pace.iter().take(MAX_CARD_FDS)) {
            // MAX_FDS has room for all there can be.
            let _ = self.0.push(libc::pollfd {
                fd,
                events: libc::POLLIN,
                revents: 0,
            });
        }
    }

    /// Sleeps until one of them, or only that of the commands, is ready; whether it was another
    /// than the commands'.
    pub(super) fn poll(&mut self, only_commands: bool, longest: Duration) -> io::Result<bool> {
        // The commands' descriptor alone is safe to sleep on: it never stays ready, it is read.
        let watched = if only_commands {
            &mut self.0[..1]
        } else {
            &mut self.0[..]
        };
        crate::realtime::poll(watched, longest)?;
        Ok(watched.iter().skip(1).any(|fd| fd.revents != 0))
    }

    /// Whether the last sleep saw commands.
    pub(super) fn has_commands(&self) -> bool {
        self.0.first().is_none_or(|wake| wake.revents != 0)
    }
}

/// Each pair's RTP and RTCP socket: the kernel keeps a list of those with something in them, and
/// need not be given all each time.
pub(super) struct SocketWatch(Epoll);

impl SocketWatch {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self(Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?))
    }

    /// Whether both sockets can be listened to.
    pub(super) fn add(&self, pair: &SocketPair) -> bool {
        [PacketKind::Rtp, PacketKind::Rtcp].into_iter().all(|kind| {
            let key = epoll_key(pair.stream, kind);
            self.0.add(pair.socket(kind), key).is_ok()
        })
    }

    pub(super) fn remove(&self, pair: &SocketPair) {
        let _ = self.0.delete(&pair.rtp);
        let _ = self.0.delete(&pair.rtcp);
    }

    /// The sockets that have something in them, an error included.
    pub(super) fn ready(&self) -> Fixed<(StreamId, PacketKind), { 2 * MAX_PAIRS }> {
        let mut events = [EpollEvent::empty(); 2 * MAX_PAIRS];
        // What a failed call does not report, the next one does.
        let count = self.0.wait(&mut events, EpollTimeout::ZERO).unwrap_or(0);
        events.iter().take(count).map(socket_of).collect()
    }
}

/// The number by which the kernel reports a stream's socket.
fn epoll_key(stream: StreamId, kind: PacketKind) -> EpollEvent {
    let half = match kind {
        PacketKind::Rtp => 0,
        PacketKind::Rtcp => 1,
    };
    EpollEvent::new(EpollFlags::EPOLLIN, u64::from(stream.0) << 1 | half)
}

/// Which socket it means.
fn socket_of(event: &EpollEvent) -> (StreamId, PacketKind) {
    let kind = if event.data() & 1 == 0 {
        PacketKind::Rtp
    } else {
        PacketKind::Rtcp
    };
    (StreamId((event.data() >> 1) as u32), kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_names_its_socket() {
        for stream in [0, 1, 7, u32::MAX] {
            for kind in [PacketKind::Rtp, PacketKind::Rtcp] {
                let key = epoll_key(StreamId(stream), kind);
                assert_eq!(socket_of(&key), (StreamId(stream), kind));
            }
        }
    }
}
