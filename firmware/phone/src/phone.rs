//! The phone itself: one exhaustive state machine.

use std::time::Instant;

/// Index of an account in the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AccountId(pub usize);

/// A call as the phone knows it. Numbers are never used twice in one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallId(pub u32);

/// A key of the keypad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Key {
    /// 0 to 9.
    Digit(u8),
    /// `*`
    Star,
    /// `#`
    Hash,
    /// A to D of a 4×4 keypad: 0 is A.
    Letter(u8),
}

/// What happens to the phone.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// The handset was lifted (true) or put down (false), debounced. Sent once at start, too.
    Hook(bool),
    /// A key went down.
    KeyDown(Key),
    /// A key came up.
    KeyUp(Key),
    /// A rotary dial finished one digit.
    Rotary(Key),
    /// The flash key, or `ctl flash`.
    Flash,
    /// An account became usable (registered, or needs no registration) or unusable.
    Line {
        /// Which account.
        account: AccountId,
        /// Calls can be placed by it.
        usable: bool,
    },
    /// Messages wait in the mailbox.
    MessagesWaiting(bool),
    /// Somebody calls. The id is given by [`Phone::new_call`].
    Incoming {
        /// The new call.
        call: CallId,
        /// Address or display name of the caller.
        from: String,
        /// How the caller asks to be rung.
        alert: Alert,
        /// The far end asks for, and configuration allows, answering by itself.
        auto_answer: bool,
    },
    /// Something happened to a call the phone knows.
    Call(CallId, CallUpdate),
}

/// News of one call.
#[derive(Debug, Clone, PartialEq)]
pub enum CallUpdate {
    /// 180, or 183 without media: local ringback.
    Ringing,
    /// The far end sends sound before answering.
    EarlyMedia,
    /// The call stands.
    Answered,
    /// Our hold or resume was accepted (true: on hold now).
    Held(bool),
    /// The far end put us on hold or took us back.
    HeldByPeer(bool),
    /// The call is over.
    Ended(EndCause),
}

/// Why a call is over.
#[derive(Debug, Clone, PartialEq)]
pub struct EndCause {
    /// SIP status code, where there was one.
    pub code: Option<u16>,
    /// Words for log, status and history.
    pub reason: String,
}

/// How an incoming call asks to be rung (Alert-Info).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Alert {
    /// The country's own cadence.
    #[default]
    Normal,
    /// Internal call: distinctive cadence 1 to 5 (Bellcore-dr1…).
    Distinctive(u8),
    /// No sound.
    Silent,
}

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

/// The lamps a phone may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lamp {
    /// A line is ready.
    Line,
    /// The phone is in use.
    InUse,
    /// Messages wait.
    Message,
}

/// What a lamp does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LampState {
    /// Dark.
    Off,
    /// Lit.
    On,
    /// On and off each half second.
    Slow,
    /// On and off each 100 ms (ringing, error).
    Fast,
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
    /// Send a digit into the call: pressed (true) or released (false).
    Dtmf(CallId, Key, bool),
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
    /// Our call is on hold and nothing else goes on (second dial tone has its own states).
    OnHold,
}

/// The telephone.
#[derive(Debug)]
pub struct Phone {
    state: State,
}

impl Phone {
    /// A phone on hook with no usable line.
    pub fn new(_config: &config::Config, _now: Instant) -> Self {
        Self { state: State::Idle }
    }

    /// What the phone is doing.
    pub fn state(&self) -> State {
        self.state
    }

    /// The next unused call id, for an incoming call.
    pub fn new_call(&mut self) -> CallId {
        CallId(0)
    }

    /// Something happened.
    pub fn handle(&mut self, _input: Input, _now: Instant) {}

    /// Fires every timer that is due.
    pub fn handle_timeout(&mut self, _now: Instant) {}

    /// What is to be done next; call until `None` after each `handle`.
    pub fn poll_output(&mut self) -> Option<Output> {
        None
    }

    /// When to call [`Phone::handle_timeout`].
    pub fn poll_timeout(&self) -> Option<Instant> {
        None
    }
}
