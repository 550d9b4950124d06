//! What the phone wants done, as plain data.

use types::{Key, Lamp, LampState};

use crate::announcement::Announcement;
use crate::features::Features;
use crate::input::{AccountId, Alert, CallId};
use crate::maintenance::Maintenance;
use crate::note::Note;
use crate::set_up::SetUpAnswers;
use crate::volume::Levels;

/// Where a call is to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// Digits, or a whole SIP address from speed dial.
    pub address: String,
    /// By which account; `None`: directly, without a server.
    pub account: Option<AccountId>,
    /// An emergency call: nothing may block it.
    pub emergency: bool,
    /// It can go another way when this one fails: a silent server is not waited for.
    pub has_more: bool,
    /// How it is placed.
    pub options: CallOptions,
}

/// How a call is placed, other than by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CallOptions {
    /// One's own number is withheld (RFC 3323).
    pub anonymous: bool,
    /// The far end is asked to answer by itself.
    pub intercom: bool,
    /// It is no call: this paging group is spoken to.
    pub page: Option<u8>,
    /// It takes the call that rings at this watched phone (by the order of `dial.watch`).
    pub pick_up: Option<usize>,
}

/// A tone of the country's plan, as the handset plays it.
pub use config::country::ToneKind as Tone;

/// How the ringer rings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RingStyle {
    /// What the caller asked for; the cadence itself is country data.
    pub alert: Alert,
}

/// What the phone wants done.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// Play this tone in the handset until the next one; `None`: silence.
    Tone(Option<Tone>),
    /// Ring, or be silent.
    Ring(Option<RingStyle>),
    /// Set a lamp.
    Lamp(Lamp, LampState),
    /// A short key tone in the ear (the DTMF pair of the key) while it is down.
    KeyTone(Option<Key>),
    /// Place a call.
    PlaceCall {
        /// The id the phone gave it.
        call: CallId,
        /// Where to.
        to: Destination,
    },
    /// Call the target of a REFER, as a new call.
    Follow {
        /// The call in which it asked.
        old: CallId,
        /// The id the phone gave the new one.
        call: CallId,
        /// The far end, as far as it is known.
        to: String,
    },
    /// Connect the far ends of these two calls with each other; for this phone both are over.
    Transfer {
        /// The call on hold.
        held: CallId,
        /// The one placed meanwhile: it rings or is established.
        consulted: CallId,
    },
    /// Decline the REFER received in this call.
    Decline(CallId),
    /// Send 180 to the caller.
    Ringing(CallId),
    /// Answer an incoming call.
    Answer(CallId),
    /// Refuse an incoming call with this status code.
    Reject(CallId, u16),
    /// End a call, whatever its state needs (CANCEL, BYE, 4xx).
    End(CallId),
    /// Put a call on hold (true) or resume it (false).
    Hold(CallId, bool),
    /// Connect the handset with these calls (none: no call is heard, nothing is sent).
    Connect(Vec<CallId>),
    /// The microphone is off (true) or on (false).
    Mute(bool),
    /// How loud everything is.
    Levels(Levels),
    /// Send a digit into the call: pressed (true) or released (false).
    Dtmf(CallId, Key, bool),
    /// Carry this out; a confirmation tone is heard meanwhile.
    Maintenance(Maintenance),
    /// Keep what was set from the handset, for [`crate::Phone::restore`].
    Remember(Box<Features>),
    /// Connect the far end of the call on hold with a number or address; for this phone it is over.
    BlindTransfer {
        /// The call on hold.
        held: CallId,
        /// Whom to.
        to: String,
    },
    /// Send the caller to another number or address (302); for this phone the call is over.
    Forward {
        /// The incoming call.
        call: CallId,
        /// Whom to.
        to: String,
    },
    /// Send a flash into the call (RFC 4733 event 16, or INFO).
    FlashToNetwork(CallId),
    /// Say this into the handset instead of what is said now; `None`: say no more. When it is said,
    /// [`crate::Input::Spoken`] is expected.
    Speak(Option<Box<Announcement>>),
    /// Write these settings; [`crate::Input::SetUpWritten`] is expected.
    SetUp(Box<SetUpAnswers>),
    /// Open the door.
    OpenDoor,
    /// A line for log and history.
    Note(Note),
}
