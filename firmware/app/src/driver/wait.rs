//! What the loop waits for: descriptors, sockets, the next timer, a signal. Each may be absent: the
//! wait then never ends.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;

/// Terminates, interrupts and hang-ups of the terminal.
pub(super) fn signals() -> io::Result<mpsc::Receiver<()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let (sender, receiver) = mpsc::channel(4);
    for kind in [
        SignalKind::terminate(),
        SignalKind::interrupt(),
        SignalKind::hangup(),
    ] {
        let mut signal = signal(kind)?;
        let sender = sender.clone();
        tokio::spawn(async move {
            while signal.recv().await.is_some() {
                if sender.send(()).await.is_err() {
                    return;
                }
            }
        });
    }
    Ok(receiver)
}

/// A descriptor of its own for the same thing, so that what it belongs to stays free to be used.
#[expect(
    deprecated,
    reason = "the new way is unsafe, for descriptors that may be closed under it; an OwnedFd \
              cannot be"
)]
pub(super) fn watch(fd: &impl AsFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::new(fd.as_fd().try_clone_to_owned()?)
}

/// Waits until a descriptor is readable; for ever where there is none.
pub(super) async fn ready(fd: Option<&AsyncFd<OwnedFd>>) {
    let Some(fd) = fd else {
        return std::future::pending().await;
    };
    match fd.readable().await {
        // What made it readable is drained by whoever we wake.
        Ok(mut guard) => guard.clear_ready(),
        Err(_) => std::future::pending().await,
    }
}

pub(super) async fn readable(udp: Option<&UdpSocket>) {
    match udp {
        // ICMP errors make a socket ready for nothing but themselves. A failure here shows again
        // when the socket is read.
        Some(udp) => drop(udp.ready(Interest::READABLE | Interest::ERROR).await),
        None => std::future::pending().await,
    }
}

pub(super) async fn sleep_until(due: Option<tokio::time::Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}
