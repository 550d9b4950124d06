//! TCP: a listener, and one task a connection (`tls` runs its connections by the same `run`).
//! Everything between a task and the driver is bounded; a peer that does not read is cut off; one
//! that sends nothing is cut off by the user agent, or here after half an hour.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc;

use super::NetworkEvent;
use super::slots::{Known, Slots};

/// Sockets strangers may have open at one port, in total and per host, as many again of callers on
/// the owner's list, and as many of the accounts' servers: a few more than the user agent
/// keeps, which closes the others as soon as it has events of them.
pub(super) const MAX_ACCEPTED: usize = 48;
pub(super) const MAX_PER_HOST: usize = 12;
/// Connections the kernel keeps until they are accepted, one burst of a flood: past that it drops
/// those of servers as well, whose kernels try again after a second.
const BACKLOG: u32 = 512;
/// Messages waiting to be written on one connection.
const MAX_UNSENT: usize = 64;
/// How long a connection may take to open.
const OPENING: Duration = Duration::from_secs(10);
/// How long a write may take.
const WRITING: Duration = Duration::from_secs(10);
/// How long a connection may be silent both ways (RFC 3261 section 18 leaves it to us). The user
/// agent closes those of strangers much earlier, and keeps those that matter alive.
const SILENCE: Duration = Duration::from_secs(1800);
/// Numbers of accepted connections begin here; the agent's own stay below.
static ACCEPTED: AtomicU64 = AtomicU64::new(1 << 32);

/// A number for an accepted connection, never used twice in one run.
pub(super) fn next_accepted() -> sip::ConnectionId {
    sip::ConnectionId(ACCEPTED.fetch_add(1, Ordering::Relaxed))
}

/// Binds and serves the listener in the background.
pub(crate) fn listen(
    address: SocketAddr,
    dscp: u8,
    known: Known,
    events: mpsc::Sender<NetworkEvent>,
) -> io::Result<()> {
    let listener = bind(address, dscp)?;
    tokio::spawn(accept(listener, known, events));
    Ok(())
}

/// A listening socket, its packets marked.
pub(super) fn bind(address: SocketAddr, dscp: u8) -> io::Result<TcpListener> {
    let socket = super::address::tcp(address, |socket| {
        socket.set_reuse_address(true)?;
        super::media_sockets::mark(socket, address, dscp);
        Ok(())
    })?;
    TcpSocket::from_std_stream(socket).listen(BACKLOG)
}

async fn accept(listener: TcpListener, known: Known, events: mpsc::Sender<NetworkEvent>) {
    let slots = Slots::new(MAX_ACCEPTED, MAX_PER_HOST, known);
    loop {
        match listener.accept().await {
            Ok((stream, remote)) => {
                // One too many is closed at once: waiting would block those behind it.
                let Some(slot) = slots.take(remote.ip(), Instant::now()) else {
                    continue;
                };
                let connection = next_accepted();
                let events = events.clone();
                tokio::spawn(async move {
                    run_plain(stream, connection, events).await;
                    drop(slot);
                });
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

/// Opens a connection in the background; the outcome comes as an event.
pub(crate) fn connect(
    connection: sip::ConnectionId,
    remote: SocketAddr,
    dscp: u8,
    events: mpsc::Sender<NetworkEvent>,
) {
    tokio::spawn(async move {
        let opened = match tokio::time::timeout(OPENING, open(remote, dscp)).await {
            Ok(opened) => opened,
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        };
        match opened {
            Ok(stream) => run_plain(stream, connection, events).await,
            Err(error) => {
                tracing::debug!("TCP to {remote}: {error}");
                let _ = events
                    .send(NetworkEvent::Closed {
                        connection,
                        why: None,
                    })
                    .await;
            }
        }
    });
}

pub(super) async fn open(remote: SocketAddr, dscp: u8) -> io::Result<TcpStream> {
    let socket = match remote {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    super::media_sockets::mark(&socket, remote, dscp);
    socket.connect(remote).await
}

async fn run_plain(
    stream: TcpStream,
    connection: sip::ConnectionId,
    events: mpsc::Sender<NetworkEvent>,
) {
    let Ok(remote) = stream.peer_addr().map(super::address::canonical) else {
        let _ = events
            .send(NetworkEvent::Closed {
                connection,
                why: None,
            })
            .await;
        return;
    };
    // SIP messages are whole when they are written; holding them back for more helps no one.
    let _ = stream.set_nodelay(true);
    let connected = |out| NetworkEvent::Connected {
        connection,
        remote,
        out,
        proved: None,
    };
    run(stream, connection, connected, events, |_| None).await;
}

/// Reads and writes until one side has had enough. The driver ends it by dropping its sender.
/// `explain` says what an error means for the owner, where it means something to them.
pub(super) async fn run<S: AsyncRead + AsyncWrite>(
    stream: S,
    connection: sip::ConnectionId,
    connected: impl FnOnce(mpsc::Sender<Vec<u8>>) -> NetworkEvent,
    events: mpsc::Sender<NetworkEvent>,
    explain: impl Fn(&io::Error) -> Option<String>,
) {
    let (out, mut unsent) = mpsc::channel::<Vec<u8>>(MAX_UNSENT);
    if events.send(connected(out)).await.is_err() {
        return;
    }
    let (mut reader, mut writer) = tokio::io::split(stream);
    let mut why = None;
    let mut chunk = vec![0; 4096];
    loop {
        tokio::select! {
            read = tokio::time::timeout(SILENCE, reader.read(&mut chunk)) => match read {
                Ok(Ok(length)) if length > 0 => {
                    // A full queue makes the task wait, and the peer with it.
                    if events.send(NetworkEvent::Bytes { connection,
                        bytes: chunk[..length].to_vec() }).await.is_err() {
                        return;
                    }
                }
                Ok(Err(error)) => {
                    why = explain(&error);
                    break;
                }
                Ok(Ok(_)) | Err(_) => break,
            },
            message = unsent.recv() => {
                let Some(message) = message else { break };
                let writing = async {
                    writer.write_all(&message).await?;
                    writer.flush().await
                };
                match tokio::time::timeout(WRITING, writing).await {
                    Ok(Ok(())) => {}
                    Ok(Err(_)) | Err(_) => break,
                }
            }
        }
    }
    let _ = tokio::time::timeout(WRITING, writer.shutdown()).await;
    let _ = events.send(NetworkEvent::Closed { connection, why }).await;
}
