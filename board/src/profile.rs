//! A board is a folder: `hardware.toml` says what is soldered to which line.
//!
//! ```text
//! PROFILE_DIR/NAME/hardware.toml ─▶ Profile (strict; errors with file:line:column and the help) ─▶ Board::open, audio::open
//! ```

mod display;
mod overlay;
mod read;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;

use serde::Deserialize;
use types::{FunctionKey, Lamp, MicrophoneChannel};

use crate::gpio::{ActiveLevel, Bias, Drive, LineName};
use crate::hook::Contact;
use crate::ringer::RingerKind;
use crate::rotary::Numbering;

pub use display::{Controller, Display, Rotation};
pub use overlay::Override;

/// Something in `hardware.toml` that is not right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{at}: {problem}; {help}", file.display())]
pub struct ProfileError {
    /// The file.
    pub file: PathBuf,
    /// `:line:column`, or nothing for the whole file.
    pub at: String,
    /// What is wrong.
    pub problem: String,
    /// What would be right.
    pub help: String,
}

/// A board, as described.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// What it is, for people.
    pub name: String,
    /// Its sound card.
    #[serde(default)]
    pub audio: Audio,
    /// `[gpio]`: the chip lines belong to unless said otherwise.
    #[serde(default)]
    pub gpio: Gpio,
    /// `[hook]`
    pub hook: Option<Hook>,
    /// `[flash]`: a flash key of its own.
    pub flash: Option<Flash>,
    /// `[keypad]`
    pub keypad: Option<Keypad>,
    /// `[keys]`: keys beside it.
    pub keys: Option<FunctionKeys>,
    /// `[input]`: keys the kernel drives.
    pub input: Option<InputKeys>,
    /// `[rotary]`
    pub rotary: Option<Rotary>,
    /// `[ringer]`
    pub ringer: Option<Ringer>,
    /// `[lamps]`
    #[serde(default)]
    pub lamps: Lamps,
    /// `[display]`
    pub display: Option<Display>,
    /// `[watchdog]`
    pub watchdog: Option<Watchdog>,
}

/// `[audio]`: the handset's sound card.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Audio {
    /// Capture device, as [`crate::audio::AudioRequest::capture`].
    pub capture: String,
    /// Playback device.
    pub playback: String,
    /// Rate asked for.
    pub rate_hz: u32,
    /// Period in ms.
    pub period_ms: u32,
    /// Periods buffered ahead.
    pub periods: u32,
    /// Which channel is the microphone.
    #[serde(deserialize_with = "read::microphone_channel")]
    pub microphone_channel: MicrophoneChannel,
    /// Mixer settings made when the card is opened, in order.
    pub mixer: Vec<Mixer>,
}

impl Default for Audio {
    fn default() -> Self {
        Self {
            capture: "silence".to_owned(),
            playback: "null".to_owned(),
            rate_hz: 48_000,
            period_ms: 5,
            periods: 2,
            microphone_channel: MicrophoneChannel::Mix,
            mixer: Vec::new(),
        }
    }
}

/// One mixer setting, as `amixer sset` has it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mixer {
    /// Simple control, e.g. `Headphone`.
    pub control: String,
    /// Volume in percent of the control's range.
    pub volume: Option<u8>,
    /// Switch it on or off.
    pub switch: Option<bool>,
    /// Choose this item of an enumerated control.
    pub choice: Option<String>,
}

/// `[gpio]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Gpio {
    /// Path (`/dev/gpiochip0`), name (`gpiochip0`) or label (`pinctrl-bcm2835`).
    pub chip: String,
}

impl Default for Gpio {
    fn default() -> Self {
        Self {
            chip: "gpiochip0".to_owned(),
        }
    }
}

/// A line and where it stands in the file.
#[derive(Debug, Clone)]
pub struct GpioLine {
    /// Number or name.
    pub name: LineName,
    span: Range<usize>,
}

impl PartialEq for GpioLine {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

/// `[hook]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hook {
    /// Its line.
    pub line: GpioLine,
    /// At rest.
    #[serde(default)]
    pub contact: Contact,
    /// Level of the closed contact.
    #[serde(default = "low")]
    pub closed: ActiveLevel,
    /// Pull resistor.
    pub bias: Option<Bias>,
    /// Quiet that makes a level real.
    #[serde(default = "hook_debounce")]
    pub debounce_ms: u32,
}

/// `[flash]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flash {
    /// Its line.
    pub line: GpioLine,
    /// Level of the pressed key.
    #[serde(default = "low")]
    pub pressed: ActiveLevel,
    /// Pull resistor.
    pub bias: Option<Bias>,
    /// Quiet that makes a press real.
    #[serde(default = "hook_debounce")]
    pub debounce_ms: u32,
}

/// `[keypad]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keypad {
    /// Lines of the rows, top first.
    pub rows: Vec<GpioLine>,
    /// Lines of the columns, left first.
    pub columns: Vec<GpioLine>,
    /// What is printed on the keys, a string a row; `F` is flash, `.` is no key.
    pub keys: toml::Spanned<Vec<String>>,
    /// How rows are driven. Open drain wherever two keys of a column may be pressed together;
    /// push-pull only with a diode at each key.
    #[serde(default = "open_drain")]
    pub drive: Drive,
    /// Pull resistor of the columns.
    #[serde(default = "pull_up")]
    pub bias: Bias,
    /// Time one row is driven before it is read.
    #[serde(default = "scan_step")]
    pub step_ms: u32,
    /// Quiet that makes a press real.
    #[serde(default = "key_debounce")]
    pub debounce_ms: u32,
}

/// `[keys]`: keys beside the keypad, each on a line of its own.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FunctionKeys {
    /// Louder.
    pub volume_up: Option<GpioLine>,
    /// Softer.
    pub volume_down: Option<GpioLine>,
    /// Microphone off and on.
    pub mute: Option<GpioLine>,
    /// Talk without the handset.
    pub hands_free: Option<GpioLine>,
    /// Those with a purpose of their owner's, in the order of `dial.feature_keys`.
    #[serde(default)]
    pub feature: Vec<GpioLine>,
    /// Level of a pressed key.
    #[serde(default = "low")]
    pub pressed: ActiveLevel,
    /// Pull resistor.
    pub bias: Option<Bias>,
    /// Quiet that makes a press real.
    #[serde(default = "hook_debounce")]
    pub debounce_ms: u32,
}

impl FunctionKeys {
    /// Those there are, with their lines.
    pub fn wired(&self) -> impl Iterator<Item = (FunctionKey, &GpioLine)> {
        let named = [
            (FunctionKey::VolumeUp, &self.volume_up),
            (FunctionKey::VolumeDown, &self.volume_down),
            (FunctionKey::Mute, &self.mute),
            (FunctionKey::HandsFree, &self.hands_free),
        ];
        let named = named
            .into_iter()
            .filter_map(|(key, line)| Some((key, line.as_ref()?)));
        let features = (0..FunctionKey::MOST_FEATURES).map(FunctionKey::Feature);
        named.chain(features.zip(&self.feature))
    }
}

/// `[input]`: keypads and handsets the kernel drives as input devices.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputKeys {
    /// Names, as `/proc/bus/input/devices` has them, or paths below `/dev`.
    pub devices: Vec<String>,
    /// Whether the keys are kept from other readers (a console).
    #[serde(default = "enabled")]
    pub grab: bool,
    /// Key codes of Linux (`KEY_KPDOT`) and what they mean here, before
    /// [`crate::input_device::KeyMapping::standard`].
    #[serde(default)]
    pub map: BTreeMap<toml::Spanned<String>, toml::Spanned<String>>,
}

/// `[rotary]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rotary {
    /// The contact that opens once a pulse.
    pub pulse: GpioLine,
    /// Level of the pulse contact while closed.
    #[serde(default = "low")]
    pub pulse_closed: ActiveLevel,
    /// The off-normal contact: active while the dial is away from rest.
    pub off_normal: Option<GpioLine>,
    /// Its level while the dial is away.
    #[serde(default = "low")]
    pub off_normal_away: ActiveLevel,
    /// Pull resistor of both.
    pub bias: Option<Bias>,
    /// What the pulses mean.
    #[serde(default)]
    pub numbering: Numbering,
}

/// `[ringer]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ringer {
    /// What hangs on the lines.
    pub kind: RingerKind,
    /// Two for a bell, one for a buzzer.
    pub lines: Vec<GpioLine>,
    /// Of a bell.
    #[serde(default = "bell_frequency")]
    pub frequency_hz: u32,
}

impl Profile {
    /// What rings instead of what the file says; `None`: nothing, and its lines are not touched.
    ///
    /// # Errors
    /// A bell needs two lines, and the profile of a buzzer names one.
    pub fn set_ringer(&mut self, kind: Option<RingerKind>) -> Result<(), RingerError> {
        let Some(kind) = kind else {
            self.ringer = None;
            return Ok(());
        };
        let ringer = self.ringer.as_mut().ok_or(RingerError::NoLines)?;
        match (kind, ringer.lines.len()) {
            (RingerKind::Bell, 0 | 1) => return Err(RingerError::OneLine),
            (RingerKind::Bell, _) => {}
            (RingerKind::Buzzer, _) => ringer.lines.truncate(1),
        }
        ringer.kind = kind;
        Ok(())
    }
}

/// The ringer wanted does not fit the board's profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RingerError {
    /// The profile has no `[ringer]`.
    #[error("the board's profile names no ringer lines; write them under [hardware.ringer]")]
    NoLines,
    /// It has one line only.
    #[error(
        "a bell needs two lines and the board's profile names one; write ringer = \"buzzer\", or \
         name both lines under [hardware.ringer]"
    )]
    OneLine,
}

/// `[lamps]`: those there are.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lamps {
    /// A line is ready.
    pub line: Option<GpioLine>,
    /// The phone is in use.
    pub in_use: Option<GpioLine>,
    /// Messages wait.
    pub message: Option<GpioLine>,
    /// The call is encrypted.
    pub encrypted: Option<GpioLine>,
    /// The microphone is off.
    pub muted: Option<GpioLine>,
    /// One talks without the handset.
    pub hands_free: Option<GpioLine>,
    /// The phone rings.
    pub ringing: Option<GpioLine>,
    /// What each watched phone does, in the order of `dial.watch`; at most 8.
    #[serde(default)]
    pub watched: Vec<GpioLine>,
    /// Level of a lit lamp.
    #[serde(default = "high")]
    pub lit: ActiveLevel,
}

impl Lamps {
    /// Those there are, with their lines.
    pub fn wired(&self) -> impl Iterator<Item = (Lamp, &GpioLine)> {
        let line_of = |lamp: Lamp| match lamp {
            Lamp::Line => self.line.as_ref(),
            Lamp::InUse => self.in_use.as_ref(),
            Lamp::Message => self.message.as_ref(),
            Lamp::Encrypted => self.encrypted.as_ref(),
            Lamp::Muted => self.muted.as_ref(),
            Lamp::HandsFree => self.hands_free.as_ref(),
            Lamp::Ringing => self.ringing.as_ref(),
            Lamp::Watched(index) => self.watched.get(usize::from(index)),
        };
        let watched = (0..Lamp::MOST_WATCHED).map(Lamp::Watched);
        Lamp::ALL
            .into_iter()
            .chain(watched)
            .filter_map(move |lamp| Some((lamp, line_of(lamp)?)))
    }
}

impl Default for Lamps {
    fn default() -> Self {
        Self {
            line: None,
            in_use: None,
            message: None,
            encrypted: None,
            muted: None,
            hands_free: None,
            ringing: None,
            watched: Vec::new(),
            lit: high(),
        }
    }
}

/// `[watchdog]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Watchdog {
    /// Its device.
    #[serde(default = "watchdog_device")]
    pub device: PathBuf,
    /// Unfed for this long it resets the board.
    #[serde(default = "watchdog_timeout")]
    pub timeout_s: u32,
}

fn enabled() -> bool {
    true
}
fn low() -> ActiveLevel {
    ActiveLevel::Low
}
fn high() -> ActiveLevel {
    ActiveLevel::High
}
fn open_drain() -> Drive {
    Drive::OpenDrain
}
fn pull_up() -> Bias {
    Bias::PullUp
}
fn hook_debounce() -> u32 {
    20
}
fn key_debounce() -> u32 {
    15
}
fn scan_step() -> u32 {
    2
}
fn bell_frequency() -> u32 {
    25
}
fn watchdog_device() -> PathBuf {
    PathBuf::from("/dev/watchdog")
}
fn watchdog_timeout() -> u32 {
    15
}

#[cfg(test)]
mod tests;
