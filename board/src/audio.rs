//! The sound card: one duplex device, mono i16, capture clock drives the loop.
//!
//! ```text
//! AudioRequest ─▶ open ─┬▶ alsa::AlsaCard      real cards, PulseAudio, snd-aloop: whatever alsa-lib reaches
//!                       └▶ simulated::SimulatedCard   "wav:FILE" | "silence" in, "wav:FILE" | "null" out, paced by a timerfd
//!
//! the owner's loop:  poll(poll_fds) ─▶ read(period) ─▶ engine ─▶ write(period) ─▶ poll …
//! ```
//!
//! `read` answers [`Period::NotYet`] when a poll woke for nothing; after [`Period::Ready`] call it
//! again until it does, each time followed by one `write`, so that a stall is caught up with at
//! once.

mod alsa;
mod identity;
mod layout;
mod mixer;
mod offer;
mod simulated;
mod wav;

pub use alsa::{AlsaCard, AlsaOutput};
pub use identity::KnownCards;
pub use mixer::set_mixer;
pub use offer::{Offer, offers};
pub use simulated::SimulatedCard;
pub use wav::{Recording, WavError};

use std::os::fd::RawFd;
use std::time::Duration;

use types::MicrophoneChannel;

/// What is requested of a card; [`AudioDevice::format`] says what was granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AudioRequest {
    /// Capture device: ALSA PCM name, `wav:FILE` or `silence`.
    pub capture: String,
    /// Playback device: ALSA PCM name, `wav:FILE` or `null`.
    pub playback: String,
    /// Frames a second.
    pub rate_hz: u32,
    /// The highest rate of sound that a codec of this phone carries, in Hz. A sound server, which
    /// does any rate, is asked for no more: the rest would be resampled twice for nothing.
    pub codec_rate_hz: u32,
    /// Period in ms. A sound server gets 20 at least.
    pub period_ms: u32,
    /// Periods of playback buffered ahead.
    pub periods: u32,
    /// Which channel is the microphone.
    pub microphone_channel: MicrophoneChannel,
}

/// With two periods at least so long, half of the second is enough to be late by, in ms.
const HALF_FROM_MS: usize = 10;

/// Frames played ahead, the period that is due included, of a card with so many periods. Two are
/// the least; where they are 10 ms and longer, half of the second is left out: a wake-up may be
/// 5 ms late, as with two periods of 5 ms, at half as many wake-ups.
fn ahead_frames(periods: usize, period_frames: usize, rate_hz: u32) -> usize {
    let is_long = period_frames * 1000 >= HALF_FROM_MS * rate_hz as usize;
    let half = if periods == 2 && is_long {
        period_frames / 2
    } else {
        0
    };
    periods * period_frames - half
}

/// What was got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AudioFormat {
    /// Frames a second.
    pub rate_hz: u32,
    /// Frames in one period.
    pub period_frames: usize,
    /// Frames between writing a period and hearing its first sample, about.
    pub playback_delay_frames: usize,
}

/// What went wrong with a card.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AudioError {
    /// The device does not exist, is busy, or refuses every format; says which, and the help.
    #[error("{device}: {problem}; {help}")]
    Open {
        /// Device name.
        device: String,
        /// What is wrong.
        problem: String,
        /// What would help.
        help: String,
    },
    /// The device went away (unplugged): close it, open it again later.
    #[error("{0} is gone")]
    Lost(String),
}

/// What happened since the last period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Period {
    /// A period was read; playback expects one.
    Ready,
    /// Not a whole period yet; poll again.
    NotYet,
    /// The card ran over or under. Counted by the caller.
    Xrun {
        /// Frames of the microphone's sound lost, about; 0 where only what is played broke.
        lost_frames: usize,
    },
}

/// A duplex sound card. Nothing here allocates, locks or logs after `open`.
pub trait AudioDevice: Send {
    /// What was negotiated.
    fn format(&self) -> AudioFormat;
    /// File descriptors to poll (events `POLLIN`), until a capture period is there. At most 4.
    fn poll_fds(&self) -> &[RawFd];
    /// How long it may give nothing before it counts as lost.
    fn stall_timeout(&self) -> Duration {
        Duration::from_millis(500)
    }
    /// Reads one period of capture if it is there.
    fn read(&mut self, capture: &mut [i16]) -> Result<Period, AudioError>;
    /// Writes one period of playback.
    fn write(&mut self, playback: &[i16]) -> Result<Period, AudioError>;
    /// Stops both directions: nothing is heard, nothing wakes the owner, nothing is to be read or
    /// written until [`AudioDevice::resume`]. `false`: this card cannot, and runs on.
    fn pause(&mut self) -> bool {
        false
    }
    /// Starts a paused card again, as after `open`.
    fn resume(&mut self) -> Result<(), AudioError> {
        Ok(())
    }
    /// Whether a paused card is still there.
    fn check(&mut self) -> Result<(), AudioError> {
        Ok(())
    }
}

/// Opens the card asked for.
///
/// `capture` and `playback` are either both simulated (`wav:FILE`, `silence`, `null`) or both ALSA
/// PCM names: two clocks in one loop would drift apart.
pub fn open(request: &AudioRequest) -> Result<Box<dyn AudioDevice>, AudioError> {
    let simulated = |name: &str| name.starts_with("wav:") || name == "silence" || name == "null";
    match (simulated(&request.capture), simulated(&request.playback)) {
        (true, true) => Ok(Box::new(SimulatedCard::open(request)?)),
        (false, false) => Ok(Box::new(AlsaCard::open(request)?)),
        (true, false) | (false, true) => Err(AudioError::open(
            &request.playback,
            &format!(
                "cannot be paired with capture device `{}`: one is simulated, the other a real \
                 card",
                request.capture
            ),
            "set both [board.audio] capture and playback to wav:FILE/silence/null, or both to ALSA \
             devices",
        )),
    }
}

/// Opens the playback of what is asked for, and no capture: what is read of it is silence.
pub fn open_output(request: &AudioRequest) -> Result<Box<dyn AudioDevice>, AudioError> {
    if request.playback.starts_with("wav:") || request.playback == "null" {
        return Ok(Box::new(SimulatedCard::open(&AudioRequest {
            capture: "silence".to_owned(),
            ..request.clone()
        })?));
    }
    Ok(Box::new(AlsaOutput::open(request)?))
}

/// What to do where a card is not there: the help of an error.
fn cards() -> String {
    cards_of(&kernel_cards())
}

/// The cards as the kernel lists them (`/proc/asound/cards`).
fn kernel_cards() -> String {
    std::fs::read_to_string("/proc/asound/cards").unwrap_or_default()
}

/// By what the kernel lists (`/proc/asound/cards`).
fn cards_of(text: &str) -> String {
    let names: Vec<String> = text
        .lines()
        .filter_map(|line| {
            Some(format!(
                "hw:{}",
                line.split_once('[')?.1.split_once(']')?.0.trim()
            ))
        })
        .collect();
    if names.is_empty() {
        "there is no sound card at all: plug it in, or for a HAT see that its overlay is named in \
         config.txt; `aplay -l` lists the cards there are, and [board.audio] names the one that is \
         used"
            .to_owned()
    } else {
        format!(
            "the cards on this machine are {}; set [board.audio] capture and playback to one of \
             them (`aplay -L` lists all names)",
            names.join(", ")
        )
    }
}

impl AudioError {
    pub(crate) fn open(device: &str, problem: &str, help: &str) -> Self {
        Self::Open {
            device: device.to_owned(),
            problem: problem.to_owned(),
            help: help.to_owned(),
        }
    }
}
