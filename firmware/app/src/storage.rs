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
