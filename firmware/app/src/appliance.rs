//! The phone as an appliance: what it knows of the card it booted from, and what it decides about
//! itself. Nothing in here does I/O or reads a clock; `driver::housekeeping` carries it out.
//!
//! ```text
//! heart beats, ticks ─▶ health ──────▶ feed the watchdog? is the slot good?
//! inputs that work ────▶ inputs ──────▶ has this slot what the one before had?
//! Status, errors, image ─▶ status_file ▶ text of status.txt, and when it may be written
//! Status ───────────────▶ account_watch ▶ which account does not register and is to be tried
//! ```

pub(crate) mod account_watch;
pub(crate) mod health;
pub(crate) mod inputs;
pub(crate) mod power_up;
pub(crate) mod status_file;

use crate::provision::{ConfigPaths, Provisioned};

/// What the phone of an image has besides a phone that runs as a program.
#[derive(Debug, Clone)]
pub struct Appliance {
    /// Where its configuration is.
    pub(crate) paths: ConfigPaths,
    /// What was loaded from there.
    pub(crate) provisioned: Provisioned,
}

/// Why a phone's loop ended, and what its process says to init.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// A user or a signal ended it.
    Quit,
    /// A new configuration wants a new process.
    Restart,
    /// The board is to restart.
    Reboot,
    /// The self-test is wanted; the phone comes back after it.
    SelfTest,
    /// The wiring is to be found out; the phone comes back after it.
    Wiring,
}

impl Ending {
    /// The exit code, as `docs/image.md` has it.
    pub fn code(self) -> u8 {
        match self {
            // Self-test and wiring run in this process: init does not see them.
            Self::Quit | Self::SelfTest | Self::Wiring => 0,
            Self::Restart => 10,
            Self::Reboot => 11,
        }
    }
}
