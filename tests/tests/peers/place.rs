//! Where one test lives: a folder of its own, ports of its own, and children that end with it.

use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

static NEXT_PORT: AtomicU16 = AtomicU16::new(0);

/// One test's folder; removed when the test passed, kept and named when it failed.
pub(crate) struct Place {
    dir: PathBuf,
}

impl Place {
    pub(crate) fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("offhook-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        Self { dir }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("files of this test are kept in {}", self.dir.display());
        } else {
            std::fs::remove_dir_all(&self.dir).ok();
        }
    }
}

/// A block of 200 ports nobody else of this run uses.
pub(crate) fn ports() -> u16 {
    20_000 + NEXT_PORT.fetch_add(200, Ordering::Relaxed)
}

/// A child process that ends with its owner.
pub(crate) struct Running {
    child: Child,
}

impl Running {
    /// Starts `command` with its output in `log`.
    pub(crate) fn start(command: &mut Command, log: &Path) -> Self {
        let file = std::fs::File::create(log).unwrap();
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .spawn()
            .unwrap_or_else(|error| panic!("{:?} does not start: {error}", command.get_program()));
        Self { child }
    }

    /// The same, with its standard input at hand.
    pub(crate) fn start_with_keys(command: &mut Command, log: &Path) -> (Self, ChildStdin) {
        let file = std::fs::File::create(log).unwrap();
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .spawn()
            .unwrap_or_else(|error| panic!("{:?} does not start: {error}", command.get_program()));
        let keys = child.stdin.take().unwrap();
        (Self { child }, keys)
    }

    /// Ends it without a chance to say goodbye.
    pub(crate) fn kill(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }

    /// Asks it to end and waits up to `limit`; its exit code, or `None` when it had to be killed.
    pub(crate) fn terminate(&mut self, limit: Duration) -> Option<i32> {
        let pid = nix::unistd::Pid::from_raw(self.child.id() as i32);
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).ok();
        self.wait(limit)
    }

    /// Lets it stand still for so long, as a machine does that is busy elsewhere.
    pub(crate) fn stall(&self, time: Duration) {
        let pid = nix::unistd::Pid::from_raw(self.child.id() as i32);
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGSTOP).unwrap();
        std::thread::sleep(time);
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGCONT).unwrap();
    }

    /// It ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits for its own end.
    pub(crate) fn wait(&mut self, limit: Duration) -> Option<i32> {
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

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}
