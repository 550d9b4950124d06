//! `[audio]`: what people set of the sound.

use types::MicrophoneChannel;

/// `[audio]`
#[derive(Debug, Clone, PartialEq)]
pub struct AudioSettings {
    /// The card, for microphone and earpiece; `[board.audio]` goes before it.
    pub card: Option<String>,
    /// Which channel is the microphone, where that is not what the board's profile says.
    pub microphone_channel: Option<MicrophoneChannel>,
    /// The card one talks by without the handset; absent: the handset's.
    pub speaker_card: Option<String>,
    /// Its microphone, where that is another device; `silence`: the handset's stays in use.
    pub speaker_microphone: Option<String>,
    /// Which channel that microphone is on.
    pub speaker_microphone_channel: MicrophoneChannel,
    /// The card that plays the bell; absent: the handset's.
    pub ringer_card: Option<String>,
    /// Gain of the microphone in dB.
    pub microphone_db: i8,
    /// The same while one talks hands-free; absent: as `microphone_db`.
    pub speaker_microphone_db: Option<i8>,
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
    /// Sounds of the distinctive rings 1 to 5.
    pub ring_sounds: Vec<(u8, RingSound)>,
    /// It begins softly.
    pub ring_rising: bool,
}

/// Sound of a bell that is played in a loudspeaker.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
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
    /// A file of the card: WAV, or Opus in Ogg.
    File(String),
}

impl RingSound {
    /// Those that need no file.
    pub const BUILT_IN: [Self; 4] = [Self::Bell, Self::Low, Self::High, Self::Chord];
    /// How the name of a file ends.
    const ENDINGS: [&'static str; 3] = [".wav", ".opus", ".ogg"];
    /// Longest name of a file, in bytes.
    const MAX_NAME: usize = 64;

    /// As it stands in `offhook.toml`.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Bell => "bell",
            Self::Low => "low",
            Self::High => "high",
            Self::Chord => "chord",
            Self::File(name) => name,
        }
    }

    /// The sound of this name, or of the file of this name: one of the card's own folder, never a
    /// path.
    pub fn from_text(text: &str) -> Option<Self> {
        let built_in = Self::BUILT_IN.iter().find(|sound| sound.as_str() == text);
        let lower = text.to_ascii_lowercase();
        let is_file = text.len() <= Self::MAX_NAME
            && !text.starts_with(['.', '-'])
            && text
                .chars()
                .all(|c| c.is_alphanumeric() || " ._-()".contains(c))
            && Self::ENDINGS.iter().any(|ending| lower.ends_with(ending));
        built_in
            .cloned()
            .or_else(|| is_file.then(|| Self::File(text.to_owned())))
    }

    /// The name of the file, where it is one.
    pub fn file(&self) -> Option<&str> {
        match self {
            Self::File(name) => Some(name),
            Self::Bell | Self::Low | Self::High | Self::Chord => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sound_is_built_in_or_a_file_of_the_card() {
        for sound in RingSound::BUILT_IN {
            assert_eq!(RingSound::from_text(sound.as_str()), Some(sound.clone()));
            assert_eq!(sound.file(), None);
        }
        for name in ["doorbell.wav", "Für Elise.opus", "a.OGG"] {
            let sound = RingSound::from_text(name);
            assert_eq!(sound.as_ref().and_then(RingSound::file), Some(name));
        }
        let long = format!("{}.wav", "a".repeat(80));
        for name in [
            "../a.wav",
            "/dev/a.wav",
            ".a.wav",
            "a.mp3",
            "",
            "bells",
            &long,
        ] {
            assert_eq!(RingSound::from_text(name), None, "{name}");
        }
    }
}
