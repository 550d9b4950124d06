//! The kernel's log for the support bundle: drivers, the crash that came before, and what the
//! image's scripts wrote there.
//!
//! Each read of `/dev/kmsg` gives one record, `priority,sequence,microseconds,flags;message`. It is
//! read without blocking and only as far as it was written when the reading began.

use std::collections::VecDeque;
use std::fs::OpenOptions;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

/// Where the kernel gives its log.
pub(super) const DEVICE: &str = "/dev/kmsg";
/// Most bytes kept; the newest ones.
const MOST_BYTES: usize = 256 * 1024;
/// Most records read: a driver that writes without end must not keep the reader.
const MOST_RECORDS: usize = 32 * 1024;
/// Longer than any record (`CONSOLE_EXT_LOG_MAX` of the kernel).
const RECORD: usize = 8192;

/// The newest lines of the log at `device`, or why there are none.
pub(super) fn read(device: &Path) -> String {
    match records(device) {
        Ok(lines) => Vec::from(lines).concat(),
        Err(error) => format!("{}: {error}\n", device.display()),
    }
}

fn records(device: &Path) -> std::io::Result<VecDeque<String>> {
    let mut log = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(device)?;
    if !log.metadata()?.file_type().is_char_device() {
        return Err(std::io::Error::other("this is not the kernel's log"));
    }
    let mut tail = Tail::default();
    let mut record = [0; RECORD];
    for _ in 0..MOST_RECORDS {
        match log.read(&mut record) {
            Ok(0) => break,
            Ok(length) => tail.push(line(&record[..length])),
            // EPIPE: overwritten before it was read; the next read goes on behind the gap.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) => return Err(error),
        }
    }
    Ok(tail.lines)
}

/// One record as a line, with its time in seconds since the start.
fn line(record: &[u8]) -> String {
    let text = String::from_utf8_lossy(record);
    let (head, message) = text.split_once(';').unwrap_or(("", &text));
    // Behind the first line are the device's properties.
    let message = message.lines().next().unwrap_or_default();
    let micros: u64 = head
        .split(',')
        .nth(2)
        .and_then(|time| time.parse().ok())
        .unwrap_or_default();
    format!(
        "[{}.{:06}] {message}\n",
        micros / 1_000_000,
        micros % 1_000_000
    )
}

/// Lines whose oldest go when they become too many.
#[derive(Default)]
struct Tail {
    lines: VecDeque<String>,
    bytes: usize,
}

impl Tail {
    fn push(&mut self, line: String) {
        self.bytes += line.len();
        self.lines.push_back(line);
        while self.bytes > MOST_BYTES {
            let oldest = self.lines.pop_front();
            self.bytes -= oldest.map_or(0, |line| line.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use testkit::process::TestDir;

    use super::*;

    #[test]
    fn a_record_becomes_a_line() {
        let record = b"6,339,5140900,-;usb 1-1: new device\n SUBSYSTEM=usb\n DEVICE=c189:1\n";
        assert_eq!(line(record), "[5.140900] usb 1-1: new device\n");
        assert_eq!(line(b"\xff"), "[0.000000] \u{fffd}\n");
        assert_eq!(line(b""), "[0.000000] \n");
    }

    #[test]
    fn the_newest_lines_are_kept() {
        let mut tail = Tail::default();
        for number in 0..10_000 {
            tail.push(format!("{number:0>99}\n"));
        }
        assert!(tail.bytes <= MOST_BYTES && tail.bytes > MOST_BYTES - 100);
        assert_eq!(
            tail.bytes,
            tail.lines.iter().map(String::len).sum::<usize>()
        );
        assert!(
            tail.lines
                .back()
                .is_some_and(|line| line.ends_with("9999\n"))
        );
    }

    #[test]
    fn another_file_or_none_is_said_and_nothing_waits() {
        let text = read(Path::new("/nowhere/kmsg"));
        assert!(text.starts_with("/nowhere/kmsg: "), "{text}");
        let folder = TestDir::new("kmsg");
        let fifo = folder.join("kmsg");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let text = read(&fifo);
        assert!(text.contains("not the kernel's log"), "{text}");
    }

    #[test]
    fn the_machines_own_log_is_read_to_its_end() {
        // A container may keep it from its users: then the reason is the whole text.
        let text = read(Path::new(DEVICE));
        assert!(
            text.starts_with('[') || text.starts_with("/dev/kmsg: ") || text.is_empty(),
            "{}",
            &text[..text.len().min(200)]
        );
        assert!(text.len() <= MOST_BYTES);
    }
}
