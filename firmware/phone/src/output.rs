//! What the phone wants done, and what it is doing, as plain data.

use types::{Key, Lamp, LampState};

use crate::input::{AccountId, Alert, CallId};

/// Where a call shall go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// Digits, or a whole SIP address from speed dial.
    pub address: String,
    /// By which account; `None`: directly, without a server.
    pub account: Option<AccountId>,
    /// An emergency call: nothing may block it.
    pub emergency: bool,
}

/// A tone of the country's plan, as the ear hears it.
pub use config::country::ToneKind as Tone;

/// How the ringer rings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RingStyle {
    /// What the caller asked for; the cadence itself is country data.
    pub alert: Alert,
}

/// What keys can order besides a call (`[codes]`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Order {
    /// Walk through speaker, microphone, keys, hook, lamps, bell and network.
    SelfTest,
    /// Write the support bundle.
    Bundle,
    /// Start the board anew.
    Reboot,
    /// Forget everything.
    FactoryReset,
}

/// What the phone wants done.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// Play this tone in the ear until told otherwise; `None`: silence.
    Tone(Option<Tone>),
    /// Ring, or be silent.
    Ring(Option<RingStyle>),
    /// Set a lamp.
    Lamp(Lamp, LampState),
    /// A short key tone in the ear (the DTMF pair of the key) while it is down.
    KeyTone(Option<Key>),
    /// Place a call.
    Place {
        /// The id the phone gave it.
        call: CallId,
        /// Where to.
        to: Destination,
    },
    /// Call whom the far end of a call asked us to call, as a new call.
    Follow {
        /// The call in which it asked.
        old: CallId,
        /// The id the phone gave the new one.
        call: CallId,
        /// Whom it is with, as far as is known.
        to: String,
    },
    /// Connect the far ends of these two calls with each other; for this phone both are over.
    Transfer {
        /// The call on hold.
        held: CallId,
        /// The one placed meanwhile: it rings or stands.
        consulted: CallId,
    },
    /// Do not call whom the far end of this call asked us to call.
    Decline(CallId),
    /// Tell the caller it rings here (180).
    Ringing(CallId),
    /// Answer an incoming call.
    Answer(CallId),
    /// Refuse an incoming call with this status code.
    Reject(CallId, u16),
    /// End a call, whatever its state needs (CANCEL, BYE, 4xx).
    End(CallId),
    /// Put a call on hold (true) or take it back (false).
    Hold(CallId, bool),
    /// Connect the handset with these calls (none: no call is heard, nothing is sent).
    Connect(Vec<CallId>),
    /// The microphone is dead (true) or alive (false).
    Mute(bool),
    /// Send a digit into the call: pressed (true) or released (false).
    Dtmf(CallId, Key, bool),
    /// The owner shall do this; the ear hears a confirmation meanwhile.
    Order(Order),
    /// A line for log and history.
    Note(String),
}

/// What the phone is doing, as `status` tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// On hook, nothing happens.
    Idle,
    /// Off hook, dial tone.
    DialTone,
    /// Digits are coming in.
    Collecting,
    /// INVITE is out, nothing came back.
    Calling,
    /// The far end rings.
    Ringback,
    /// The far end is heard before it answers.
    EarlyMedia,
    /// A call stands.
    Talking,
    /// On hook, ringing.
    Ringing,
    /// Busy tone.
    Busy,
    /// Congestion tone.
    Congestion,
    /// Off hook too long.
    Howler,
    /// Off hook after the howler: nothing more is heard until the handset is put down.
    Silent,
    /// A call is on hold and nothing else goes on; a flash takes it back. (Second dial tone is
    /// [`State::DialTone`].)
    OnHold,
}

impl State {
    /// Every state, for tables and tests.
    pub const ALL: [Self; 13] = [
        Self::Idle,
        Self::DialTone,
        Self::Collecting,
        Self::Calling,
        Self::Ringback,
        Self::EarlyMedia,
        Self::Talking,
        Self::Ringing,
        Self::Busy,
        Self::Congestion,
        Self::Howler,
        Self::Silent,
        Self::OnHold,
    ];

    /// The state's name in `status` and events.
    pub fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::DialTone => "dial_tone",
            Self::Collecting => "collecting",
            Self::Calling => "calling",
            Self::Ringback => "ringback",
            Self::EarlyMedia => "early_media",
            Self::Talking => "talking",
            Self::Ringing => "ringing",
            Self::Busy => "busy",
            Self::Congestion => "congestion",
            Self::Howler => "howler",
            Self::Silent => "silent",
            Self::OnHold => "on_hold",
        }
    }
}
