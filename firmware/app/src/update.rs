//! `offhook update-agent`: crash-safe installation of signed updates, beside the running phone.
//!
//! ```text
//! bundle on the card, or downloaded ─▶ rauc (check, install) ─▶ other slot ─▶ phone idle? ─▶ restart into it once
//!        ▲                                     │                                                 │
//!        └──────── ledger (on the data partition) ◀── kept after 60 s of a working phone, or rolled back
//! ```
//!
//! [`ledger`] is what survives a power cut, [`agent`] decides what is done next and [`rauc`] reads
//! what RAUC said; none of them does I/O. [`runner`] carries out what they decide. The image's
//! shell scripts choose the slot that boots (`offhook-slot`) and restart the board.

mod agent;
mod ledger;
mod rauc;
mod runner;

use std::path::PathBuf;

pub(crate) use ledger::Slot;
pub(crate) use runner::{UpdateError, run};

use crate::provision::ConfigPaths;

/// Where everything is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Options {
    /// The card and the board.
    pub(crate) paths: ConfigPaths,
    /// The slot that runs.
    pub(crate) slot: Slot,
    /// Largest bundle that is downloaded, in bytes.
    pub(crate) max_bytes: u64,
    /// What must survive a restart: ledger and download.
    pub(crate) state: PathBuf,
    /// Where image and phone meet.
    pub(crate) run: PathBuf,
    /// The image's own scripts `note` and `restart`.
    pub(crate) scripts: PathBuf,
    /// Whose updates are taken.
    pub(crate) keyring: PathBuf,
}
