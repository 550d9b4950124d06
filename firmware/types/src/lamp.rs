//! Lamps and what they show.

use std::fmt;

/// The lamps a phone may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lamp {
    /// An account can place calls.
    Line,
    /// The phone is in use.
    InUse,
    /// Messages are waiting.
    Message,
    /// Lit while the call is seen to be encrypted, blinking slowly while that is not yet seen, fast
    /// where encryption was expected and is missing.
    Encrypted,
    /// Lit while the microphone is off.
    Muted,
    /// Lit while one talks without the handset: the microphone may hear the room.
    HandsFree,
    /// Blinks fast while the phone rings, whatever else there is to see.
    Ringing,
    /// A watched phone, from 0 up to [`Lamp::MOST_WATCHED`]: lit while it is in a call, blinking
    /// fast while it rings.
    Watched(u8),
}

/// What a lamp shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LampState {
    /// Dark.
    #[default]
    Off,
    /// Lit.
    On,
    /// Half a second lit, half a second dark.
    Slow,
    /// 100 ms lit, 100 ms dark: ringing, or an error.
    Fast,
    /// This many flashes of 200 ms, a second of dark between the groups: an error to be counted. 0
    /// is dark.
    Code(u8),
}

impl Lamp {
    /// All of them but those of watched phones.
    pub const ALL: [Self; 7] = [
        Self::Line,
        Self::InUse,
        Self::Message,
        Self::Encrypted,
        Self::Muted,
        Self::HandsFree,
        Self::Ringing,
    ];

    /// Most watched phones that have a lamp.
    pub const MOST_WATCHED: u8 = 8;

    /// Its name in events and in a board's profile.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Line => "line",
            Self::InUse => "in_use",
            Self::Message => "message",
            Self::Encrypted => "encrypted",
            Self::Muted => "muted",
            Self::HandsFree => "hands_free",
            Self::Ringing => "ringing",
            Self::Watched(0) => "watched_1",
            Self::Watched(1) => "watched_2",
            Self::Watched(2) => "watched_3",
            Self::Watched(3) => "watched_4",
            Self::Watched(4) => "watched_5",
            Self::Watched(5) => "watched_6",
            Self::Watched(6) => "watched_7",
            Self::Watched(7..) => "watched_8",
        }
    }
}

impl fmt::Display for LampState {
    /// As events name it: `off`, `on`, `slow`, `fast`, `code-3`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::On => f.write_str("on"),
            Self::Slow => f.write_str("slow"),
            Self::Fast => f.write_str("fast"),
            Self::Code(flashes) => write!(f, "code-{flashes}"),
        }
    }
}
