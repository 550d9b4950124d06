//! The phone's end of the socket. Each connection is a task of its own; the driver answers through
//! channels and never waits.

use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt};
use std::os::unix::net::UnixListener as StdListener;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::sys::stat::{Mode, umask};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::AbortHandle;

use super::{MAX_LINE, ProtocolError, Request, parse};

/// Connections at once. When there are as many, the one that has asked nothing for the longest time
/// gives way to a new one.
const MAX_CONNECTIONS: usize = 32;
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
    table: Table,
}

impl Server {
    /// Serves a socket in the background: one that was bound before, or a new one.
    pub(crate) fn start(
        path: &Path,
        bound: Option<StdListener>,
        requests: mpsc::Sender<CtlRequest>,
    ) -> io::Result<Self> {
        let listener = bound.map_or_else(|| bind(path), Ok)?;
        listener.set_nonblocking(true)?;
        let listener = UnixListener::from_std(listener)?;
        let table = Table::default();
        tokio::spawn(accept(listener, requests, table.clone()));
        Ok(Self {
            path: path.to_owned(),
            table,
        })
    }

    /// Waits until what was asked is answered, on every connection. What takes longer is given up.
    pub(crate) async fn finish(&self, at_most: Duration) {
        if tokio::time::timeout(at_most, self.table.answered())
            .await
            .is_err()
        {
            tracing::warn!("the phone ends before a client of its control socket has read all");
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The file may be gone with its directory already.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Binds the socket, for its owner alone.
pub(crate) fn bind(path: &Path) -> io::Result<StdListener> {
    if let Some(folder) = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty() && !folder.exists())
    {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)?;
    }
    if let Ok(about) = std::fs::symlink_metadata(path) {
        if !about.file_type().is_socket() {
            return Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                "what lies there is no socket and is left as it is; remove it, or set another \
                 control.socket",
            ));
        }
        // A socket somebody listens on is a running phone; one no one listens on was left by a
        // phone that was killed.
        match std::os::unix::net::UnixStream::connect(path) {
            Ok(_) => {
                return Err(io::Error::new(
                    io::ErrorKind::AddrInUse,
                    "another offhook is running on it; stop that one (offhook ctl quit), or set \
                     another control.socket",
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
    let listener = StdListener::bind(path);
    umask(before);
    listener
}

async fn accept(listener: UnixListener, requests: mpsc::Sender<CtlRequest>, table: Table) {
    loop {
        match listener.accept().await {
            Ok((mut stream, _)) => {
                let Some(seat) = table.take() else {
                    // No one waits for it: a full socket buffer loses the refusal.
                    let refusal = control::api::Reply::refused(format!(
                        "{MAX_CONNECTIONS} connections are in use; close one"
                    ));
                    tokio::spawn(async move {
                        let _ = write_line(&mut stream, &refusal.to_json()).await;
                    });
                    continue;
                };
                let (requests, id) = (requests.clone(), seat.id);
                let task = tokio::spawn(serve(stream, requests, seat));
                table.started(id, task.abort_handle());
            }
            // Out of descriptors: wait for some to come back.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

/// The connections there are. Clones share it.
#[derive(Clone, Default)]
struct Table(Arc<Shared>);

#[derive(Default)]
struct Shared {
    connections: Mutex<Connections>,
    /// A connection has its answer, or is gone.
    answered: Notify,
}

#[derive(Default)]
struct Connections {
    next: u64,
    open: Vec<Connection>,
}

struct Connection {
    id: u64,
    /// Counts up with each request of any connection; `None`: one is being answered.
    idle_since: Option<u64>,
    task: Option<AbortHandle>,
}

/// One connection's entry; it goes with it.
struct Seat {
    table: Table,
    id: u64,
}

impl Table {
    fn lock(&self) -> MutexGuard<'_, Connections> {
        let connections = self.0.connections.lock();
        connections.unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns when no connection waits for an answer.
    async fn answered(&self) {
        loop {
            let next = self.0.answered.notified();
            let asked = |connection: &Connection| connection.idle_since.is_none();
            if !self.lock().open.iter().any(asked) {
                return;
            }
            next.await;
        }
    }

    /// An entry for one more connection; the most silent one makes room. `None`: all are busy.
    fn take(&self) -> Option<Seat> {
        let mut table = self.lock();
        let mut evicted = None;
        if table.open.len() >= MAX_CONNECTIONS {
            let idle = table.open.iter().enumerate();
            let silent = idle
                .filter_map(|(at, connection)| Some((connection.idle_since?, at)))
                .min()?;
            evicted = table.open.swap_remove(silent.1).task;
        }
        table.next += 1;
        let id = table.next;
        table.open.push(Connection {
            id,
            idle_since: Some(id),
            task: None,
        });
        drop(table);
        if let Some(task) = evicted {
            task.abort();
        }
        Some(Seat {
            table: self.clone(),
            id,
        })
    }

    fn started(&self, id: u64, task: AbortHandle) {
        if let Some(connection) = self.lock().open.iter_mut().find(|open| open.id == id) {
            connection.task = Some(task);
        }
    }
}

impl Seat {
    /// A request is being answered, or it is over.
    fn set_busy(&self, busy: bool) {
        let mut table = self.table.lock();
        table.next += 1;
        let now = table.next;
        if let Some(own) = table.open.iter_mut().find(|open| open.id == self.id) {
            own.idle_since = (!busy).then_some(now);
        }
        drop(table);
        self.table.0.answered.notify_waiters();
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.table.lock().open.retain(|open| open.id != self.id);
        self.table.0.answered.notify_waiters();
    }
}

async fn serve(mut stream: UnixStream, requests: mpsc::Sender<CtlRequest>, seat: Seat) {
    let mut held = Vec::with_capacity(256);
    loop {
        seat.set_busy(false);
        let Some(line) = read_line(&mut stream, &mut held).await else {
            return;
        };
        seat.set_busy(true);
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
                // A sleep of no length is over only when the timers are looked at again.
                if !after.is_zero() {
                    tokio::time::sleep(after).await;
                }
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

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use testkit::process::TestDir;

    use super::*;

    #[test]
    fn the_longest_idle_connection_is_closed_first() {
        let table = Table::default();
        let mut seats: Vec<Seat> = (0..MAX_CONNECTIONS)
            .map(|_| table.take().unwrap())
            .collect();
        // The first has asked since; the second has not.
        seats[0].set_busy(true);
        seats[0].set_busy(false);
        let more = table.take().unwrap();
        let open = |id: u64| table.lock().open.iter().any(|open| open.id == id);
        assert!(open(seats[0].id) && !open(seats[1].id) && open(more.id));
        assert_eq!(table.lock().open.len(), MAX_CONNECTIONS);
        drop(seats.remove(1));
        assert_eq!(
            table.lock().open.len(),
            MAX_CONNECTIONS,
            "its entry went before it"
        );
        drop(more);
        assert_eq!(table.lock().open.len(), MAX_CONNECTIONS - 1);
    }

    #[test]
    fn a_table_of_busy_ones_refuses() {
        let table = Table::default();
        let seats: Vec<Seat> = (0..MAX_CONNECTIONS)
            .map(|_| table.take().unwrap())
            .collect();
        for seat in &seats {
            seat.set_busy(true);
        }
        assert!(table.take().is_none());
        seats[3].set_busy(false);
        assert!(table.take().is_some());
    }

    /// How long replies may take in these tests; the phone's own limit is longer. Wall clock: the
    /// sockets are real, and that the phone gets no processor for longer is what is tried.
    const AT_MOST: Duration = Duration::from_millis(50);

    /// What a client that asks for `request` has read when the phone is gone. `answer` is the
    /// phone; it ends when that returns.
    fn heard(
        name: &str,
        request: &'static str,
        answer: impl AsyncFnOnce(&Server, CtlRequest),
    ) -> String {
        let folder = TestDir::new(&format!("ctl-{name}"));
        let path = folder.join("ctl.sock");
        let listener = bind(&path).unwrap();
        let at = path.clone();
        let client = std::thread::spawn(move || {
            let mut stream = std::os::unix::net::UnixStream::connect(at).unwrap();
            writeln!(stream, "{{\"cmd\":\"{request}\"}}").unwrap();
            let mut text = String::new();
            stream.read_to_string(&mut text).unwrap();
            text
        });
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let (sender, mut requests) = mpsc::channel(4);
            let server = Server::start(&path, Some(listener), sender).unwrap();
            let asked = requests.recv().await.unwrap();
            answer(&server, asked).await;
        });
        runtime.shutdown_background();
        client.join().unwrap()
    }

    /// Takes the phone its processor for longer than replies may take.
    fn busy_machine() -> impl Future<Output = ()> + Send {
        std::future::poll_fn(|_| {
            std::thread::sleep(2 * AT_MOST);
            std::task::Poll::Ready(())
        })
    }

    #[test]
    fn a_busy_machine_costs_no_last_reply() {
        let heard = heard("busy", "quit", async |server, asked| {
            let reply = Reply::Line("done".to_owned(), Duration::ZERO);
            assert!(asked.reply.send(reply).is_ok());
            tokio::spawn(busy_machine());
            server.finish(AT_MOST).await;
        });
        assert_eq!(heard, "done\n");
    }

    #[test]
    fn listeners_have_the_last_event() {
        let heard = heard("events", "events", async |server, asked| {
            let (events, lines) = event_lines();
            assert!(asked.reply.send(Reply::Lines(lines)).is_ok());
            tokio::spawn(busy_machine());
            for line in ["one", "two"] {
                events.try_send(line.into()).unwrap();
            }
            drop(events);
            server.finish(AT_MOST).await;
        });
        assert_eq!(heard, "one\ntwo\n");
    }

    #[test]
    fn a_reply_that_takes_longer_is_given_up() {
        let began = std::time::Instant::now();
        let heard = heard("late", "status", async |server, asked| {
            let reply = Reply::Line("late".to_owned(), Duration::from_secs(60));
            assert!(asked.reply.send(reply).is_ok());
            server.finish(AT_MOST).await;
        });
        assert_eq!(heard, "");
        assert!(began.elapsed() < Duration::from_secs(30));
    }

    #[tokio::test]
    async fn what_is_no_socket_is_left_as_it_is() {
        let folder = TestDir::new("ctl");
        let path = folder.join("ctl.sock");
        std::fs::write(&path, "somebody's").unwrap();
        let error = bind(&path).unwrap_err().to_string();
        assert!(error.contains("no socket"), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), b"somebody's");
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/nowhere", &path).unwrap();
        assert!(bind(&path).is_err());
        std::fs::remove_file(&path).unwrap();
        // One no one listens on was left by a phone that was killed.
        drop(bind(&path).unwrap());
        assert!(bind(&path).is_ok());
        assert!(bind(&path).is_ok());
    }
}
