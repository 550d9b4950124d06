//! Which channel of a card is the microphone.

/// The channel of a stereo card on which the microphone is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum MicrophoneChannel {
    /// The mean of all channels. With one microphone on a stereo bus that is half its level.
    #[default]
    Mix,
    /// The first.
    Left,
    /// The second.
    Right,
}

impl MicrophoneChannel {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Mix, Self::Left, Self::Right];

    /// Its name in `offhook.toml` and in a board's profile.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Mix => "mix",
            Self::Left => "left",
            Self::Right => "right",
        }
    }

    /// The channel of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|channel| channel.as_str() == name)
    }
}
