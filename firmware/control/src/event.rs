//! What the phone reports to whoever listens: values here, JSON lines on the control socket.
//! `docs/ctl.md` documents each kind and each field; a test compares the page with these types.

use serde::{Deserialize, Serialize, Serializer};
use types::{Lamp, LampState};

use crate::known_peers::Trust;

/// Who called whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallDirection {
    /// They called us.
    In,
    /// We called them.
    Out,
}

/// One event, as a line of `ctl events` shows it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The handset was lifted or put down.
    Hook {
        /// Lifted.
        off: bool,
    },
    /// A key was pressed, or a digit dialled.
    Key {
        /// The character on the key.
        key: char,
    },
    /// The phone's state changed.
    State {
        /// The state it has now.
        #[serde(serialize_with = "state_name")]
        state: phone::State,
    },
    /// The tone in the ear changed.
    Tone {
        /// Which; none: no tone.
        tone: Option<&'static str>,
    },
    /// A call began, went on or ended.
    Call {
        /// Its number.
        id: u32,
        /// What it is doing.
        state: CallProgress,
        /// The far end.
        peer: String,
        /// Who called whom.
        direction: CallDirection,
        /// The codec, once one is agreed on.
        #[serde(skip_serializing_if = "Option::is_none")]
        codec: Option<&'static str>,
        /// Why it ended.
        #[serde(skip_serializing_if = "Option::is_none")]
        cause: Option<String>,
    },
    /// What is known of a call's encryption changed.
    Encryption {
        /// Which call.
        call: u32,
        /// What was measured.
        encryption: &'static str,
        /// Why it is not encrypted, where it was to be.
        #[serde(skip_serializing_if = "Option::is_none")]
        missing: Option<String>,
    },
    /// A DTLS handshake proved who the far end of a call is.
    Secured {
        /// Which call.
        call: u32,
        /// The SRTP suite.
        suite: &'static str,
        /// The short authentication string, as words.
        words: String,
        /// The same as digits.
        digits: String,
        /// Whether the far end is who it was before.
        trust: Trust,
    },
    /// An account was registered, or is registered no more.
    Registration {
        /// Its name.
        account: String,
        /// The registrar knows us.
        registered: bool,
        /// Why not.
        error: Option<String>,
    },
    /// The far end pressed a key in a call.
    Digit {
        /// Which call.
        call: u32,
        /// Which key.
        digit: char,
        /// How it came.
        via: DigitTransport,
    },
    /// The far end of a call asks us to call somebody else (RFC 3515).
    Refer {
        /// Which call.
        call: u32,
        /// Whom to call.
        to: String,
    },
    /// A text message came (RFC 3428).
    Message {
        /// Who sent it: name or address.
        from: String,
        /// What it says.
        text: String,
    },
    /// What waits in the mailbox of an account changed (RFC 3842).
    Messages {
        /// The account's name.
        account: String,
        /// There are messages.
        waiting: bool,
        /// Voice messages not heard yet.
        new: u32,
        /// Voice messages heard before.
        old: u32,
        /// Those of `new` that are urgent.
        urgent: u32,
        /// The address that plays them, where the server says so.
        #[serde(skip_serializing_if = "Option::is_none")]
        mailbox: Option<String>,
    },
    /// A watched phone does something else now (RFC 4235).
    Watched {
        /// Its number or address, as in `dial.watch`.
        target: String,
        /// `unknown`, `idle`, `ringing` or `busy`.
        state: &'static str,
    },
    /// The sound card, or the sound of a call.
    Audio {
        /// What happened.
        what: String,
    },
    /// A lamp changed.
    Lamp {
        /// Which.
        #[serde(serialize_with = "lamp_name")]
        lamp: Lamp,
        /// What it shows.
        #[serde(serialize_with = "as_text")]
        state: LampState,
    },
    /// Something happened, and why.
    Note {
        /// What, as a stable name.
        kind: &'static str,
        /// The line.
        text: String,
    },
}

/// An event with its time, as it is written to listeners.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct TimedEvent<'a> {
    /// `CLOCK_MONOTONIC` in seconds.
    pub t: f64,
    /// What happened then.
    #[serde(flatten)]
    pub event: &'a Event,
}

/// What a call is doing: what the phone says, or that it is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallProgress {
    /// The phone has it.
    Active(phone::CallState),
    /// It is over.
    Ended,
}

impl CallProgress {
    /// As `status` and events write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active(state) => state.as_str(),
            Self::Ended => "ended",
        }
    }
}

impl Serialize for CallProgress {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// How a digit of the far end came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DigitTransport {
    /// In RTP (RFC 4733).
    Rfc4733,
    /// In a SIP INFO.
    Info,
    /// As a tone in the sound.
    Inband,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
pub(crate) fn state_name<S: Serializer>(
    state: &phone::State,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(state.as_str())
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn lamp_name<S: Serializer>(lamp: &Lamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(lamp.as_str())
}

fn as_text<S: Serializer>(
    value: &impl std::fmt::Display,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}
