//! `[audio]`: what people set of the sound.

use types::MicrophoneChannel;

/// `[audio]`
#[derive(Debug, Clone, PartialEq)]
pub struct AudioSettings {
    /// The card, for microphone and earpiece; `[board.audio]` goes before it.
    pub card: Option<String>,
    /// Which channel is the microphone, where that is not what the board's profile says.
    pub microphone_channel: Option<MicrophoneChannel>,
    /// Gain of the microphone in dB.
    pub microphone_db: i8,
    /// Gain of what the handset's ear hears, in dB.
    pub earpiece_db: i8,
    /// The same while one talks hands-free.
    pub speaker_db: i8,
    /// Gain of a bell that is played, in dB.
    pub ringer_db: i8,
    /// Sidetone in dB, −40 to −6; absent: none from the engine.
    pub sidetone_db: Option<i8>,
    /// Sound of a bell that is played.
    pub ring_sound: RingSound,
    /// It begins softly.
    pub ring_rising: bool,
}

/// Sound of a bell that is played in a loudspeaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RingSound {
    /// Like a bell.
    #[default]
    Bell,
    /// Deep.
    Low,
    /// Shrill, for loud rooms and small loudspeakers.
    High,
    /// A chord without a warble.
    Chord,
}

impl RingSound {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Bell, Self::Low, Self::High, Self::Chord];

    /// Its name in `offhook.toml`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bell => "bell",
            Self::Low => "low",
            Self::High => "high",
            Self::Chord => "chord",
        }
    }

    /// The sound of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|sound| sound.as_str() == name)
    }
}
