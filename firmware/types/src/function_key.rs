//! Keys beside the keypad: volume, mute, hands-free, and feature keys.

/// A key that is no digit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FunctionKey {
    /// Louder: the bell while the phone rests or rings, else what is heard.
    VolumeUp,
    /// Softer.
    VolumeDown,
    /// Microphone off and on; silences a bell that rings.
    Mute,
    /// Talk without lifting the handset.
    HandsFree,
    /// A key of `dial.feature_keys`, from 0 up to [`FunctionKey::MOST_FEATURES`].
    Feature(u8),
}

impl FunctionKey {
    /// Most keys with a purpose of their owner's.
    pub const MOST_FEATURES: u8 = 8;

    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        let features = (0..Self::MOST_FEATURES).map(Self::Feature);
        [
            Self::VolumeUp,
            Self::VolumeDown,
            Self::Mute,
            Self::HandsFree,
        ]
        .into_iter()
        .chain(features)
    }

    /// Its name in events, on the control socket and in a board's profile.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::VolumeUp => "volume-up",
            Self::VolumeDown => "volume-down",
            Self::Mute => "mute",
            Self::HandsFree => "hands-free",
            Self::Feature(0) => "feature-1",
            Self::Feature(1) => "feature-2",
            Self::Feature(2) => "feature-3",
            Self::Feature(3) => "feature-4",
            Self::Feature(4) => "feature-5",
            Self::Feature(5) => "feature-6",
            Self::Feature(6) => "feature-7",
            Self::Feature(7..) => "feature-8",
        }
    }

    /// The key of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::all().find(|key| key.as_str() == name)
    }

    /// As a key of a matrix is written in a board's profile: `+`, `-`, `M`, `H`, `a` to `h`.
    pub fn from_label(label: char) -> Option<Self> {
        match label {
            '+' => Some(Self::VolumeUp),
            '-' => Some(Self::VolumeDown),
            'M' => Some(Self::Mute),
            'H' => Some(Self::HandsFree),
            'a'..='h' => Some(Self::Feature(label as u8 - b'a')),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_one_name_and_one_label() {
        for key in FunctionKey::all() {
            assert_eq!(FunctionKey::from_name(key.as_str()), Some(key));
        }
        let labels: Vec<FunctionKey> = "+-MHabcdefgh"
            .chars()
            .filter_map(FunctionKey::from_label)
            .collect();
        assert!(labels.into_iter().eq(FunctionKey::all()));
        assert_eq!(FunctionKey::from_label('i'), None);
        assert_eq!(FunctionKey::from_name("feature-9"), None);
    }
}
