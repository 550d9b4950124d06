//! The phone's end of the socket. Each connection is a task of its own; the driver answers through
//! channels and never waits.

use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nix::sys::stat::{Mode, umask};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, oneshot};

use super::{MAX_LINE, ProtocolError, Request, parse};

/// Connections at once.
const MAX_CONNECTIONS: usize = 16;
/// Event lines a reader may be behind before it is dropped.
const MAX_BEHIND: usize = 512;
/// How long a reader may let one write wait.
const WRITE_TIMEOUT: Duration = Duration::from_secs(2);

/// One request on its way to the driver.
pub(crate) struct CtlRequest {
    pub(crate) request: Request,
    pub(crate) reply: oneshot::Sender<Reply>,
}

/// The driver's answer.
pub(crate) enum Reply {
    /// One line, to be written after this long (keys take their time).
    Line(String, Duration),
    /// Lines as they come.
    Lines(mpsc::Receiver<Arc<str>>),
}

/// A channel for event lines: the driver's end and the connection's.
pub(crate) fn event_lines() -> (mpsc::Sender<Arc<str>>, mpsc::Receiver<Arc<str>>) {
    mpsc::channel(MAX_BEHIND)
}

/// The bound socket; its file goes when this does.
pub(crate) struct Server {
    path: PathBuf,
}

impl Server {
    /// Binds the socket and serves it in the background.
    pub(crate) fn start(path: &Path, requests: mpsc::Sender<CtlRequest>) -> io::Result<Self> {
        let listener = bind(path)?;
        tokio::spawn(accept(listener, requests));
        Ok(Self {
            path: path.to_owned(),
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The file may be gone with its directory already.
        let _ = std::fs::remove_file(&self.path);
    }
}

fn bind(path: &Path) -> io::Result<UnixListener> {
    if let Some(folder) = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty() && !folder.exists())
    {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)?;
    }
    if path.exists() {
        // A socket somebody listens on is a running phone; one nobody listens on was left by a
        // phone that was killed.
        match std::os::unix::net::UnixStream::connect(path) {
            Ok(_) => {
                return Err(io::Error::new(
                    io::ErrorKind::AddrInUse,
                    "another offhook is running on it; stop that one (offhook ctl quit), or set another control.socket",
                ));
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                std::fs::remove_file(path)?;
            }
            Err(error) => return Err(error),
        }
    }
    // Only the owner may drive the phone: the file is born 0600, there is no moment in which it is
    // not.
    let before = umask(Mode::from_bits_truncate(0o177));
    let listener = UnixListener::bind(path);
    umask(before);
    listener
}

async fn accept(listener: UnixListener, requests: mpsc::Sender<CtlRequest>) {
    let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                let requests = requests.clone();
                tokio::spawn(async move {
                    serve(stream, requests).await;
                    drop(permit);
                });
            }
            // Out of descriptors: wait for some to come back.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn serve(mut stream: UnixStream, requests: mpsc::Sender<CtlRequest>) {
    let mut held = Vec::with_capacity(256);
    loop {
        let Some(line) = read_line(&mut stream, &mut held).await else {
            return;
        };
        let request = match line.and_then(|line| parse(&line)) {
            Ok(request) => request,
            Err(error) => {
                let refusal = control::api::Reply::refused(error).to_json();
                if write_line(&mut stream, &refusal).await.is_err() {
                    return;
                }
                continue;
            }
        };
        let (reply, answered) = oneshot::channel();
        if requests.send(CtlRequest { request, reply }).await.is_err() {
            return;
        }
        match answered.await {
            Ok(Reply::Line(line, after)) => {
                tokio::time::sleep(after).await;
                if write_line(&mut stream, &line).await.is_err() {
                    return;
                }
            }
            Ok(Reply::Lines(lines)) => return stream_lines(stream, lines).await,
            Err(_) => return,
        }
    }
}

async fn stream_lines(mut stream: UnixStream, mut lines: mpsc::Receiver<Arc<str>>) {
    let mut nothing = [0; 64];
    loop {
        tokio::select! {
            line = lines.recv() => {
                let Some(line) = line else { return };
                if write_line(&mut stream, &line).await.is_err() {
                    return;
                }
            }
            // Whatever the listener says now is ignored; that it hung up is not.
            read = stream.read(&mut nothing) => {
                if read.map_or(true, |bytes| bytes == 0) {
                    return;
                }
            }
        }
    }
}

/// The next line; `None`: the connection is over.
async fn read_line(
    stream: &mut UnixStream,
    held: &mut Vec<u8>,
) -> Option<Result<Vec<u8>, ProtocolError>> {
    let mut chunk = [0; 512];
    loop {
        if let Some(end) = held.iter().position(|byte| *byte == b'\n') {
            let mut line: Vec<u8> = held.drain(..=end).collect();
            line.pop();
            return Some(Ok(line));
        }
        if held.len() > MAX_LINE {
            held.clear();
            return Some(Err(ProtocolError::Malformed(format!(
                "the line is longer than {MAX_LINE} bytes"
            ))));
        }
        match stream.read(&mut chunk).await {
            // Bytes without an end of line were no request.
            Ok(0) | Err(_) => return None,
            Ok(bytes) => held.extend_from_slice(&chunk[..bytes]),
        }
    }
}

async fn write_line(stream: &mut UnixStream, line: &str) -> io::Result<()> {
    let mut bytes = Vec::with_capacity(line.len() + 1);
    bytes.extend_from_slice(line.as_bytes());
    bytes.push(b'\n');
    tokio::time::timeout(WRITE_TIMEOUT, stream.write_all(&bytes))
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}
