//! Files that a person or a network names, read with their type, size and time checked first.
//!
//! ```text
//! path ─▶ open without waiting ─▶ an ordinary file? not too long? ─▶ read, bounded
//!                 └─ a medium that may hang: on a thread of its own, awaited for a few seconds
//! ```
//!
//! A FIFO in place of a file would hold an ordinary `open` for ever, a device such as `/dev/zero`
//! has no end, and a file may be larger than the memory of a phone.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

mod worker;

pub use worker::end_idle_worker;

/// How long a medium may take for one file.
pub const DEADLINE: Duration = Duration::from_secs(5);
/// Readers given up that still wait for their medium; with so many, no more are started. As many
/// writers, counted by themselves: a card that writes slowly still reads, and what was not read is
/// taken for lost and written over.
const MAX_OVERDUE: usize = 2;

static OVERDUE_READS: AtomicUsize = AtomicUsize::new(0);
static OVERDUE_WRITES: AtomicUsize = AtomicUsize::new(0);

/// Opens an ordinary file of at most `max_bytes` for reading; never waits for a writer. An error of
/// kind [`ErrorKind::FileTooLarge`] or [`ErrorKind::InvalidInput`] says what is wrong with it.
pub fn open(path: &Path, max_bytes: u64) -> io::Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path)?;
    let about = file.metadata()?;
    let kind = about.file_type();
    if !kind.is_file() {
        let what = if kind.is_dir() {
            "a folder"
        } else if kind.is_fifo() {
            "a FIFO"
        } else {
            "a device"
        };
        return Err(io::Error::new(
            ErrorKind::InvalidInput,
            format!("this is {what} and not a file"),
        ));
    }
    if about.len() > max_bytes {
        return Err(too_large(about.len(), max_bytes));
    }
    Ok(file)
}

/// Reads an ordinary file of at most `max_bytes`.
pub fn read(path: &Path, max_bytes: u64) -> io::Result<Vec<u8>> {
    let bytes = read_at_most(open(path, max_bytes)?, max_bytes.saturating_add(1))?;
    if bytes.len() as u64 > max_bytes {
        // It grew meanwhile, or is one of the kernel's, which say no length.
        return Err(too_large(bytes.len() as u64, max_bytes));
    }
    Ok(bytes)
}

/// The first `max_bytes` of an ordinary file.
pub fn read_start(path: &Path, max_bytes: u64) -> io::Result<Vec<u8>> {
    read_at_most(open(path, u64::MAX)?, max_bytes)
}

/// [`read`] for a file on a medium that may hang. Waits for it, so not for a thread that must go
/// on.
pub fn read_in_time(path: &Path, max_bytes: u64) -> io::Result<Vec<u8>> {
    let path = path.to_owned();
    in_time(DEADLINE, move || read(&path, max_bytes))
}

/// [`open`] for a file on a medium that may hang, as [`read_in_time`].
pub fn open_in_time(path: &Path, max_bytes: u64) -> io::Result<File> {
    let path = path.to_owned();
    in_time(DEADLINE, move || open(&path, max_bytes))
}

fn read_at_most(file: File, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn too_large(length: u64, max_bytes: u64) -> io::Error {
    io::Error::new(
        ErrorKind::FileTooLarge,
        format!("it has {length} bytes, and at most {max_bytes} are read"),
    )
}

/// Does `work`, which only reads, on a thread of its own and waits for it no longer than the
/// deadline.
pub fn in_time<T: Send + 'static>(
    deadline: Duration,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    in_time_of(&OVERDUE_READS, deadline, work)
}

/// [`in_time`] for work that writes. What is late goes on by itself and may still succeed.
pub fn write_in_time<T: Send + 'static>(
    deadline: Duration,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    in_time_of(&OVERDUE_WRITES, deadline, work)
}

fn in_time_of<T: Send + 'static>(
    overdue: &'static AtomicUsize,
    deadline: Duration,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let hangs = || {
        let text = format!(
            "the medium did not answer within {} s; is the card worn out?",
            deadline.as_secs()
        );
        io::Error::new(ErrorKind::TimedOut, text)
    };
    if overdue.load(Ordering::Relaxed) >= MAX_OVERDUE {
        return Err(hangs());
    }
    let (done, outcome) = sync_channel(1);
    // Set by whoever is first: the worker when it is done, its caller when it gives up.
    let over = Arc::new(AtomicBool::new(false));
    let worker_over = Arc::clone(&over);
    worker::WORKERS.run(Box::new(move || {
        let done_work = work();
        if worker_over.swap(true, Ordering::Relaxed) {
            overdue.fetch_sub(1, Ordering::Relaxed);
        }
        Box::new(move || {
            // No one may be waiting any more.
            let _ = done.send(done_work);
        })
    }))?;
    match outcome.recv_timeout(deadline) {
        Ok(outcome) => outcome,
        Err(RecvTimeoutError::Timeout) => {
            overdue.fetch_add(1, Ordering::Relaxed);
            if over.swap(true, Ordering::Relaxed) {
                overdue.fetch_sub(1, Ordering::Relaxed);
            }
            Err(hangs())
        }
        Err(RecvTimeoutError::Disconnected) => Err(io::Error::other("the thread ended")),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Instant;

    use nix::sys::stat::Mode;
    use testkit::process::TestDir;

    use super::*;

    #[test]
    fn a_file_is_read_up_to_its_limit() {
        let folder = TestDir::new("files-limit");
        let path = folder.join("a");
        fs::write(&path, "12345").unwrap();
        assert_eq!(read(&path, 5).unwrap(), b"12345");
        assert_eq!(read_in_time(&path, 5).unwrap(), b"12345");
        assert_eq!(read_start(&path, 3).unwrap(), b"123");
        assert_eq!(read(&path, 4).unwrap_err().kind(), ErrorKind::FileTooLarge);
        assert!(!read(Path::new("/proc/version"), 4096).unwrap().is_empty());
        // A file of the kernel says no length.
        assert_eq!(
            read(Path::new("/proc/version"), 4).unwrap_err().kind(),
            ErrorKind::FileTooLarge
        );
    }

    #[test]
    fn what_is_no_file_is_refused_at_once() {
        let folder = TestDir::new("files-types");
        let fifo = folder.join("fifo");
        nix::unistd::mkfifo(&fifo, Mode::S_IRWXU).unwrap();
        let link = folder.join("link");
        std::os::unix::fs::symlink("/dev/zero", &link).unwrap();
        // Wall clock: a FIFO without a writer would hold the reader for ever.
        let began = Instant::now();
        for (path, what) in [
            (fifo.as_path(), "a FIFO"),
            (folder.path(), "a folder"),
            (&link, "a device"),
        ] {
            let error = read(path, 10).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            assert!(error.to_string().contains(what), "{error}");
        }
        assert!(began.elapsed() < Duration::from_secs(2));
    }

    #[test]
    fn a_large_file_is_refused_before_it_is_read() {
        let folder = TestDir::new("files-large");
        let path = folder.join("large");
        File::create(&path).unwrap().set_len(1 << 40).unwrap();
        let error = read(&path, 1000).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::FileTooLarge);
    }

    #[test]
    fn a_medium_that_hangs_is_given_up() {
        let (release, stuck) = sync_channel::<()>(0);
        let deadline = Duration::from_millis(50);
        let error = in_time(deadline, move || {
            let _ = stuck.recv();
            Ok(())
        })
        .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        drop(release);
    }
    /// Also where both writes that may be late are: what is not read is taken for lost.
    #[test]
    fn late_writes_keep_no_one_from_reading() {
        let folder = TestDir::new("late-writes");
        let path = folder.join("features.json");
        fs::write(&path, "{}").unwrap();
        let (release, gate) = std::sync::mpsc::channel::<()>();
        let gate = Arc::new(std::sync::Mutex::new(gate));
        for _ in 0..MAX_OVERDUE {
            let gate = Arc::clone(&gate);
            let late = write_in_time(Duration::from_millis(10), move || {
                // Until the test ends.
                let _ = gate.lock().unwrap().recv();
                Ok(())
            });
            assert_eq!(late.unwrap_err().kind(), ErrorKind::TimedOut);
        }
        assert_eq!(read_in_time(&path, 10).unwrap(), b"{}");
        // No third thread waits with them.
        let refused = write_in_time(Duration::from_secs(9), || Ok(()));
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::TimedOut);
        drop(release);
    }
}
