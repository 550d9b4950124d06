//! The board, its sound card and what rings.

use std::path::PathBuf;

/// `[board]`: which board, and what differs from its profile.
#[derive(Debug, Clone, PartialEq)]
pub struct Board {
    /// Folder under the profile directory, or `"sim"`.
    pub profile: String,
    /// Where profile folders lie.
    pub profile_dir: PathBuf,
    /// What rings, where that is not what the profile says.
    pub ringer: Option<RingerChoice>,
    /// `[board.audio]`
    pub audio: Audio,
}

/// `[board.audio]`: overrides of the board's sound card. A device is an ALSA PCM name, `wav:FILE`,
/// or (capture only) `silence`, (playback only) `null`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Audio {
    /// Capture device.
    pub capture: Option<String>,
    /// Playback device.
    pub playback: Option<String>,
    /// Rate in Hz asked for; the nearest the card can do is taken.
    pub rate_hz: Option<u32>,
    /// Period in milliseconds, 2 to 20.
    pub period_ms: Option<u32>,
    /// Rate in Hz asked of the hands-free speaker's card; absent: `rate_hz`.
    pub speaker_rate_hz: Option<u32>,
    /// Its period in milliseconds; absent: `period_ms`.
    pub speaker_period_ms: Option<u32>,
    /// Level of key tones and call-progress tones in dBm0, −30 to −3.
    pub tone_level_dbm0: Option<i8>,
    /// Whether the loudspeaker's sound is taken out of the microphone's.
    pub echo_canceller: EchoCancelling,
    /// Whether what lies below 100 Hz is taken out of the microphone's sound.
    pub high_pass: bool,
    /// Whether steady noise is lowered in it.
    pub noise_suppression: bool,
    /// Whether talk is brought to its usual level in it.
    pub gain_control: bool,
    /// Between what is said the far end hears a soft noise in place of the room.
    pub noise_gate: bool,
}

/// What hangs on the lines of the board's `[ringer]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RingerChoice {
    /// A coil between two lines.
    Bell,
    /// A buzzer on the first line.
    Buzzer,
    /// A sound of the card; the lines stay as they are.
    Sound,
    /// Nothing: its lines stay as they are.
    None,
}

impl RingerChoice {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Bell, Self::Buzzer, Self::Sound, Self::None];

    /// Its name in `offhook.toml`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bell => "bell",
            Self::Buzzer => "buzzer",
            Self::Sound => "sound",
            Self::None => "none",
        }
    }

    /// The choice of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|choice| choice.as_str() == name)
    }
}

/// When the echo canceller works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EchoCancelling {
    /// Never.
    #[default]
    Off,
    /// While there is an echo.
    Auto,
    /// In every call.
    On,
}
