//! The last log lines, kept in memory for the support bundle; they go where they always went, too.
//!
//! ```text
//! tracing ─▶ Tee ─┬▶ standard error
//!                 └▶ ring of 64 KiB ─▶ last_lines
//! ```

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

/// Bytes kept.
const MOST: usize = 64 * 1024;

static RING: Mutex<VecDeque<u8>> = Mutex::new(VecDeque::new());

/// Writes to standard error and keeps what it wrote. Only the control thread logs, so that no one
/// real-time waits for the lock.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tee;

impl Write for Tee {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        keep(
            &mut RING.lock().unwrap_or_else(PoisonError::into_inner),
            bytes,
        );
        // A log no one reads any more is no reason to fail.
        let _ = io::stderr().write_all(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

fn keep(ring: &mut VecDeque<u8>, bytes: &[u8]) {
    let bytes = &bytes[bytes.len().saturating_sub(MOST)..];
    let over = (ring.len() + bytes.len()).saturating_sub(MOST);
    ring.drain(..over);
    ring.extend(bytes);
}

/// What is kept; the first line may be the end of one.
pub(crate) fn last_lines() -> Vec<u8> {
    RING.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .iter()
        .copied()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_stay() {
        let mut ring = VecDeque::new();
        for line in 0..20_000 {
            keep(&mut ring, format!("line {line}\n").as_bytes());
        }
        let text = String::from_utf8(ring.iter().copied().collect()).unwrap();
        assert!(text.len() <= MOST && text.ends_with("line 19999\n") && !text.contains("line 1\n"));
        keep(&mut ring, &vec![b'x'; 3 * MOST]);
        assert_eq!(ring.len(), MOST);
    }
}
