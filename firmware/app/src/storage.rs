//! Files that survive a power cut, and the thread that writes them while the phone runs.
//!
//! ```text
//! control thread ── Storage::run(work) ──▶ queue ──▶ storage thread: write, fsync, lock, remount
//!        ▲                                                │
//!        └────────── outcome, or StorageError::Late ◀─────┘
//! ```
//!
//! A worn or frozen card can hold a write for seconds or for ever. The control thread, which runs
//! the SIP timers and feeds the watchdog, must never wait for one. Name lookups and sound cards do
//! not use this thread: they must not wait behind a write either.

mod card;
pub(crate) mod reset;
mod state_dir;
mod thread;

use std::io;
use std::path::Path;
use std::time::Duration;

use board::files::write_in_time;
use zeroize::Zeroizing;

pub(crate) use card::{remove_from_card, write_card};
pub(crate) use state_dir::write_atomic;
pub(crate) use thread::{Storage, StorageError};

/// A person's configuration, on the card and in a board's folder.
pub(crate) const CONFIG_FILE: &str = "offhook.toml";
/// The last good configuration, in the state directory.
pub(crate) const LAST_GOOD: &str = "last-good.toml";
/// The configuration that was fetched, in the state directory.
pub(crate) const NETWORK: &str = "network.toml";

/// The operations that change files. [`Disk`] performs them; a test puts a slow device in its
/// place.
pub(crate) trait Files: Send + Sync {
    /// Replaces a file, completely or not at all. Readable by its owner only (mode 0600).
    fn write_atomic(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;
    /// Replaces a file on the card, completely or not at all.
    fn write_card(&self, card: &Path, name: &str, bytes: &[u8]) -> io::Result<()>;
    /// Deletes every setting, password and history.
    fn factory_reset(&self, state_dir: &Path, card: Option<&Path>) -> io::Result<()>;
}

/// The file systems of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Disk;

impl Files for Disk {
    fn write_atomic(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        write_atomic(path, bytes)
    }

    fn write_card(&self, card: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
        write_card(card, name, bytes)
    }

    fn factory_reset(&self, state_dir: &Path, card: Option<&Path>) -> io::Result<()> {
        reset::factory_reset(state_dir, card)
    }
}

/// The start of the phone waits this long for one write.
pub(crate) const AT_START: Duration = Duration::from_secs(2);

/// [`Disk`] for the start of the phone, before its storage thread runs: no write is awaited longer
/// than [`AT_START`]. One that is late is an error of kind [`io::ErrorKind::TimedOut`]; it goes on
/// by itself and may still succeed. A factory reset is awaited: nothing of before it may be read.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct DiskAtStart;

impl Files for DiskAtStart {
    fn write_atomic(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let (path, bytes) = (path.to_owned(), Zeroizing::new(bytes.to_vec()));
        write_in_time(AT_START, move || Disk.write_atomic(&path, &bytes))
    }

    fn write_card(&self, card: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
        let (card, name) = (card.to_owned(), name.to_owned());
        let bytes = Zeroizing::new(bytes.to_vec());
        write_in_time(AT_START, move || Disk.write_card(&card, &name, &bytes))
    }

    fn factory_reset(&self, state_dir: &Path, card: Option<&Path>) -> io::Result<()> {
        Disk.factory_reset(state_dir, card)
    }
}
