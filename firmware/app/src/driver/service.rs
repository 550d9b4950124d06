//! The control socket's side of the driver: requests come in, events go out.

use std::io;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use control::{Event, TimedEvent};
use tokio::sync::mpsc;

use crate::ctl::{CtlRequest, Server, event_lines};

/// Listeners to events at once.
pub(super) const MAX_LISTENERS: usize = 16;

/// The control socket cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("control socket {path}: {source}; set control.socket to a path this user may write")]
pub struct SocketError {
    path: PathBuf,
    source: io::Error,
}

impl SocketError {
    /// Another phone runs on it.
    pub(super) fn is_in_use(&self) -> bool {
        self.source.kind() == io::ErrorKind::AddrInUse
    }
}

/// The control socket and who listens to events.
pub(super) struct Service {
    /// Removes the socket's file in the end.
    server: Option<Server>,
    listeners: Vec<mpsc::Sender<Arc<str>>>,
}

impl Service {
    /// Opens the socket, where it was not bound before; without a path no one drives this phone
    /// from outside.
    pub(super) fn start(
        socket: Option<PathBuf>,
        bound: Option<UnixListener>,
        requests: &mpsc::Sender<CtlRequest>,
    ) -> Result<Self, SocketError> {
        let server = socket
            .map(|path| {
                Server::start(&path, bound, requests.clone())
                    .map_err(|source| SocketError { path, source })
            })
            .transpose()?;
        Ok(Self {
            server,
            listeners: Vec::new(),
        })
    }

    /// No one drives this phone from outside.
    pub(super) fn without_socket() -> Self {
        Self {
            server: None,
            listeners: Vec::new(),
        }
    }

    /// One more listener; `None`: there are too many.
    pub(super) fn listen(&mut self) -> Option<mpsc::Receiver<Arc<str>>> {
        if self.listeners.len() >= MAX_LISTENERS {
            self.listeners.retain(|listener| !listener.is_closed());
        }
        if self.listeners.len() >= MAX_LISTENERS {
            return None;
        }
        let (sender, receiver) = event_lines();
        self.listeners.push(sender);
        Some(receiver)
    }

    /// Lets those who have asked or listen read to the end.
    pub(super) async fn finish(&mut self, at_most: Duration) {
        self.listeners.clear();
        if let Some(server) = &self.server {
            server.finish(at_most).await;
        }
    }

    /// Sends an event to every listener, with its time; who is too far behind is dropped.
    pub(super) fn publish(&mut self, event: &Event) {
        if self.listeners.is_empty() {
            return;
        }
        let t = (monotonic_seconds() * 1e6).round() / 1e6;
        let Ok(line) = serde_json::to_string(&TimedEvent { t, event }) else {
            return;
        };
        let line: Arc<str> = line.into();
        self.listeners
            .retain(|listener| listener.try_send(Arc::clone(&line)).is_ok());
    }
}

/// `CLOCK_MONOTONIC` in seconds: comparable with what any other program on this machine reads.
fn monotonic_seconds() -> f64 {
    nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC)
        .map(|time| time.tv_sec() as f64 + time.tv_nsec() as f64 / 1e9)
        .unwrap_or_default()
}
