//! The hardware: each device a pure decoder or sequencer, a Linux backend and a simulated one.
//! Knows nothing of SIP or calls.
//!
//! ```text
//! GPIO edges, key levels, timestamps ─▶ pure decoders (hook, keypad, rotary) ─▶ BoardEvent
//! LampState, cadence ─▶ pure sequencers (lamp, ringer) ─▶ GPIO lines
//! ALSA / WAV ◀─▶ AudioDevice
//! Picture ─▶ Panel (I2C, framebuffer)
//! hardware.toml ─▶ Profile ─▶ Board: all of it behind one pollable descriptor
//! ```
//!
//! A device is a type over its pins: [`hook::HookSwitch`], [`rotary::RotaryDial`] and
//! [`button::Button`] over an [`EdgeLine`], [`keypad::Keypad`] and [`lamp::LampDriver`]
//! over embedded-hal pins, [`input_device::InputDevices`] over evdev,
//! [`ringer::Ringer`] over [`ringer::RingerLines`].
//! [`gpio`] makes those of Linux lines, [`pins`] of nothing. Most owners need only
//! [`Profile::load`], [`Board::open`] and [`audio::open`].

pub mod audio;
mod board;
pub mod button;
pub mod contact;
pub mod display;
pub mod files;
pub mod gpio;
pub mod hook;
pub mod input_device;
pub mod keypad;
pub mod lamp;
pub mod pins;
pub mod profile;
mod rights;
pub mod ringer;
pub mod rotary;
pub mod watchdog;
pub mod wiring;

pub use board::Board;
pub use profile::{Profile, ProfileError, RingerError};
pub use types::BoardEvent;

use std::os::fd::BorrowedFd;
use std::time::Instant;

/// A line changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edge {
    /// Active or not, after the change.
    pub level: bool,
    /// When, by the interrupt's clock.
    pub at: Instant,
}

/// An input line that reports its edges.
pub trait EdgeLine {
    /// Becomes readable when there are edges; `None`: ask again at the next timeout.
    fn fd(&self) -> Option<BorrowedFd<'_>>;
    /// Active or not, now.
    fn level(&mut self) -> Result<bool, BoardError>;
    /// The next edge. Some may be missing: the level decides.
    fn next_edge(&mut self) -> Result<Option<Edge>, BoardError>;
}

/// A device that a person moves.
pub trait Input {
    /// Descriptors that become readable when there is something to decode.
    fn fds(&self) -> Vec<BorrowedFd<'_>>;
    /// Decodes what there is. Call when a descriptor is ready or the timeout has come; an idle call
    /// costs little.
    fn handle_ready(
        &mut self,
        now: Instant,
        out: &mut dyn FnMut(BoardEvent),
    ) -> Result<(), BoardError>;
    /// When to call [`Input::handle_ready`] though no descriptor is ready.
    fn poll_timeout(&self) -> Option<Instant>;
    /// Whether all that it stands for is there now.
    fn is_present(&self) -> bool {
        true
    }
    /// Something that went wrong and may get right again by itself.
    fn poll_fault(&mut self) -> Option<BoardError> {
        None
    }
}

/// What went wrong with a device other than the sound card.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BoardError {
    /// A GPIO line that cannot be had.
    #[error("{device}: GPIO line {line} of chip {chip}: {problem}; {help}")]
    Line {
        /// What it was for, as the table of `hardware.toml`.
        device: String,
        /// Its number or name.
        line: String,
        /// The chip asked for.
        chip: String,
        /// What is wrong.
        problem: String,
        /// What would help.
        help: String,
    },
    /// A device that cannot be opened.
    #[error("{device}: {problem}; {help}")]
    Device {
        /// Which.
        device: String,
        /// What is wrong.
        problem: String,
        /// What would help.
        help: String,
    },
    /// A device that worked and does no more.
    #[error("{device} failed: {problem}")]
    Gone {
        /// Which.
        device: String,
        /// What the system said.
        problem: String,
    },
}

impl BoardError {
    pub(crate) fn pin(what: &str, index: usize, error: &dyn std::fmt::Debug) -> Self {
        Self::Gone {
            device: format!("{what} {index}"),
            problem: format!("{error:?}"),
        }
    }
}
