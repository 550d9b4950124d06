//! What a test that runs other programs needs: a directory and ports of its own, and children that
//! end with it.

use std::net::{TcpListener, UdpSocket};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::sys::statvfs::{FsFlags, statvfs};
use nix::unistd::{AccessFlags, Pid, access};

/// The directory of one test; removed when the test passed, kept and named when it failed.
#[derive(Debug)]
pub struct TestDir {
    path: PathBuf,
}

impl TestDir {
    /// Makes an empty directory for the test `name`.
    pub fn new(name: &str) -> Self {
        Self::below(&temporary(), name)
    }

    /// The same, never in memory: that is below `/dev`, which a confined phone may read.
    pub fn on_disk(name: &str) -> Self {
        Self::below(&std::env::temp_dir(), name)
    }

    fn below(parent: &Path, name: &str) -> Self {
        let path = parent.join(format!("offhook-{}-{name}", std::process::id()));
        // Of a test that failed in an earlier process of this number.
        std::fs::remove_dir_all(&path).ok();
        std::fs::create_dir_all(&path).unwrap();
        Self { path }
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Deref for TestDir {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.path
    }
}

impl AsRef<Path> for TestDir {
    fn as_ref(&self) -> &Path {
        &self.path
    }
}

impl Drop for TestDir {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("the files of this test are kept in {}", self.path.display());
        } else {
            std::fs::remove_dir_all(&self.path).ok();
        }
    }
}

/// Where tests keep their files: in memory where there is room, so that no test waits for a disk
/// that other work keeps busy.
fn temporary() -> PathBuf {
    /// For all tests that run at the same time, in bytes.
    const ROOM: u64 = 2 << 30;
    let memory = Path::new("/dev/shm");
    let fits = statvfs(memory).is_ok_and(|found| {
        found.fragment_size() * found.blocks_available() >= ROOM
            && !found
                .flags()
                .intersects(FsFlags::ST_NOEXEC | FsFlags::ST_RDONLY)
    });
    let writable = access(memory, AccessFlags::W_OK).is_ok();
    if fits && writable {
        memory.to_owned()
    } else {
        std::env::temp_dir()
    }
}

/// The first of 200 ports that no other test of this process uses. For tests in a network namespace
/// of their own: other processes are not asked.
pub fn port_block() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    20_000 + NEXT.fetch_add(200, Ordering::Relaxed)
}

/// A port of the loopback that was free for UDP and for TCP a moment ago.
///
/// It lies below those that the kernel gives to a socket that asks for none: whoever connects to a
/// server that is down would be given the server's own port now and then, and speak to itself.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    const FIRST: u16 = 10_000;
    const COUNT: u32 = 10_000;
    // Whoever gets one may use some tens after it for its sound.
    const STRIDE: u32 = 101;
    let loopback = "127.0.0.1";
    // Test programs that run side by side begin far from each other.
    let start = std::process::id().wrapping_mul(977);
    (0..100)
        .map(|_| u32::from(NEXT.fetch_add(1, Ordering::Relaxed)))
        .map(|number| start.wrapping_add(number.wrapping_mul(STRIDE)) % COUNT)
        .filter_map(|index| FIRST.checked_add(u16::try_from(index).ok()?))
        .find(|&port| {
            UdpSocket::bind((loopback, port)).is_ok() && TcpListener::bind((loopback, port)).is_ok()
        })
        .expect("one of a hundred ports is free for UDP and for TCP")
}

/// A child process that ends with its owner.
#[derive(Debug)]
pub struct ChildProcess {
    child: Child,
}

impl ChildProcess {
    /// Starts `command` with its output in `log` and nothing on its standard input.
    pub fn start(command: &mut Command, log: &Path) -> Self {
        Self::spawn(command, Stdio::null(), log)
    }

    /// Starts `command` with its output in `log`, and returns its standard input.
    pub fn start_with_stdin(command: &mut Command, log: &Path) -> (Self, ChildStdin) {
        let mut process = Self::spawn(command, Stdio::piped(), log);
        let stdin = process.child.stdin.take().unwrap();
        (process, stdin)
    }

    fn spawn(command: &mut Command, stdin: Stdio, log: &Path) -> Self {
        let file = std::fs::File::create(log).unwrap();
        let child = command
            .stdin(stdin)
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
        Self { child }
    }

    /// Its number.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    fn nix_pid(&self) -> Pid {
        Pid::from_raw(self.child.id() as i32)
    }

    /// Kills it (SIGKILL) and waits for its end.
    pub fn kill(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }

    /// Asks it to end (SIGTERM) and waits up to `limit`; its exit code, or `None` when it had to be
    /// killed.
    pub fn terminate(&mut self, limit: Duration) -> Option<i32> {
        kill(self.nix_pid(), Signal::SIGTERM).ok();
        self.wait(limit)
    }

    /// Stops it for this long (SIGSTOP), as a machine does that is busy with other work.
    pub fn stall(&self, time: Duration) {
        kill(self.nix_pid(), Signal::SIGSTOP).unwrap();
        std::thread::sleep(time);
        kill(self.nix_pid(), Signal::SIGCONT).unwrap();
    }

    /// Waits up to `limit` for a socket of its network that receives at this port, by UDP or TCP:
    /// what is sent before is refused.
    pub fn wait_listening(&self, port: u16, limit: Duration) {
        /// TCP_LISTEN of the kernel's table, and what it says of a UDP socket without a peer.
        const STATES: [(&str, &str); 4] =
            [("udp", "07"), ("udp6", "07"), ("tcp", "0A"), ("tcp6", "0A")];
        let suffix = format!(":{port:04X}");
        let listens = |(table, wanted): (&str, &str)| {
            let path = format!("/proc/{}/net/{table}", self.pid());
            let text = std::fs::read_to_string(path).unwrap_or_default();
            text.lines().any(|line| {
                let mut fields = line.split_ascii_whitespace().skip(1);
                let (local, state) = (fields.next(), fields.nth(1));
                local.is_some_and(|local| local.ends_with(&suffix)) && state == Some(wanted)
            })
        };
        let end = Instant::now() + limit;
        while !STATES.into_iter().any(listens) {
            assert!(Instant::now() < end, "nothing listens at port {port}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// How long its threads have run on a processor.
    pub fn cpu_time(&self) -> Duration {
        let tasks = format!("/proc/{}/task", self.pid());
        let threads = std::fs::read_dir(tasks).into_iter().flatten().flatten();
        let run_ns = |thread: std::fs::DirEntry| {
            let text = std::fs::read_to_string(thread.path().join("schedstat")).ok()?;
            text.split_ascii_whitespace().next()?.parse::<u64>().ok()
        };
        Duration::from_nanos(threads.filter_map(run_ns).sum())
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits up to `limit` for it to end by itself; its exit code, or `None` when it had to be
    /// killed.
    pub fn wait(&mut self, limit: Duration) -> Option<i32> {
        let end = Instant::now() + limit;
        while Instant::now() < end {
            if let Some(status) = self.child.try_wait().unwrap() {
                return Some(status.code().unwrap_or(-1));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        self.kill();
        None
    }
}

impl Drop for ChildProcess {
    fn drop(&mut self) {
        self.kill();
    }
}
