//! What the kernel knows of a process: its time, its memory, its threads' calls; and the counting
//! preload.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A child that ends with us.
pub(crate) struct ChildProcess(pub(crate) Child);

impl Drop for ChildProcess {
    fn drop(&mut self) {
        let pid = nix::unistd::Pid::from_raw(self.0.id() as i32);
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).ok();
        // callgrind writes its figures first.
        let end = Instant::now() + Duration::from_secs(10);
        while Instant::now() < end && matches!(self.0.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(10));
        }
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

impl ChildProcess {
    /// Starts it with its output in `log`; `None` where the program is not there. A pipe to it
    /// stays open as long as it lives.
    pub(crate) fn start(command: &mut Command, stdin: Stdio, log: &Path) -> Option<Self> {
        let file = std::fs::File::create(log).unwrap();
        let child = command
            .stdin(stdin)
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .spawn();
        child.ok().map(Self)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }
}

/// Asks for a place before the machine's other work, where that is allowed: sound waits for no one.
#[expect(unsafe_code, reason = "setpriority(2), which takes numbers only")]
pub(crate) fn hurry() {
    // SAFETY: no memory is passed.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, -15) };
}

/// Time one thread was on a processor so far, to the nanosecond.
pub(crate) fn thread_time(pid: u32, thread: u32) -> Duration {
    let text =
        std::fs::read_to_string(format!("/proc/{pid}/task/{thread}/schedstat")).unwrap_or_default();
    Duration::from_nanos(
        text.split(' ')
            .next()
            .and_then(|ns| ns.parse().ok())
            .unwrap_or(0),
    )
}

/// Time all threads of a process were on a processor so far, to the nanosecond. (The ticks of
/// `/proc/PID/stat` see who runs at each tick of the clock, so that work which begins with a tick
/// counts as a whole one, or never.)
pub(crate) fn cpu_time(pid: u32) -> Duration {
    let all = threads(pid, "");
    all.into_iter().map(|thread| thread_time(pid, thread)).sum()
}

/// Percent of a core that all threads took together, second by second.
pub(crate) fn processor_shares(pid: u32, window: Duration) -> Vec<f64> {
    let one = || {
        let (began, before) = (Instant::now(), cpu_time(pid));
        std::thread::sleep(Duration::from_secs(1));
        let used = cpu_time(pid).saturating_sub(before);
        100.0 * used.as_secs_f64() / began.elapsed().as_secs_f64()
    };
    (0..window.as_secs()).map(|_| one()).collect()
}

/// How often all threads together were put on a processor so far.
pub(crate) fn wake_ups(pid: u32) -> u64 {
    let switches = |thread: u32| -> u64 {
        let path = format!("/proc/{pid}/task/{thread}/status");
        let text = std::fs::read_to_string(path).unwrap_or_default();
        text.lines()
            .filter(|line| line.contains("ctxt_switches:"))
            .filter_map(|line| line.rsplit('\t').next()?.parse::<u64>().ok())
            .sum()
    };
    threads(pid, "").into_iter().map(switches).sum()
}

/// Resident memory in MB.
pub(crate) fn resident_mb(pid: u32) -> Option<f64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim()
        .split(' ')
        .next()?
        .parse::<f64>()
        .ok()
        .map(|kb| kb / 1024.0)
}

/// Threads of a process whose names begin like this.
pub(crate) fn threads(pid: u32, name: &str) -> Vec<u32> {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else {
        return Vec::new();
    };
    tasks
        .filter_map(|task| task.ok()?.file_name().to_str()?.parse().ok())
        .filter(|task: &u32| {
            std::fs::read_to_string(format!("/proc/{pid}/task/{task}/comm"))
                .is_ok_and(|comm| comm.starts_with(name))
        })
        .collect()
}

/// Builds a preload of this folder by its name; `None` without a C compiler, or without the headers
/// it includes.
pub(crate) fn preload(folder: &Path, name: &str) -> Option<PathBuf> {
    let library = folder.join(format!("{name}.so"));
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("benches/budgets/{name}.c"));
    let done = Command::new("cc")
        .args(["-O2", "-shared", "-fPIC", "-o"])
        .arg(&library)
        .arg(source)
        .args(["-ldl", "-pthread"])
        .status();
    done.is_ok_and(|status| status.success()).then_some(library)
}

/// What a thread did, as the preload counted it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counts {
    pub(crate) name: String,
    pub(crate) allocations: u64,
    pub(crate) locks: u64,
}

/// Reads the preload's counters, a thread each.
pub(crate) fn counts(file: &Path) -> Vec<Counts> {
    let bytes = std::fs::read(file).unwrap_or_default();
    let word = |at: &[u8]| u64::from_ne_bytes(at.try_into().unwrap_or_default());
    bytes
        .chunks_exact(32)
        .filter(|slot| slot[0] != 0)
        .map(|slot| Counts {
            name: String::from_utf8_lossy(&slot[..16])
                .trim_end_matches('\0')
                .to_owned(),
            allocations: word(&slot[16..24]),
            locks: word(&slot[24..32]),
        })
        .collect()
}
