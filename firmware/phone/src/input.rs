//! What can happen to the phone: hook, keys, lines and calls, as plain data.

use config::codes::StarCode;
use types::{FunctionKey, Key};

use crate::volume::VolumeOf;

/// Index of an account in the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AccountId(pub usize);

/// A call as the phone knows it. Numbers are never used twice in one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallId(pub u32);

/// What happens to the phone.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// The handset was lifted (true) or put down (false), debounced. Sent once at start, too.
    Hook(bool),
    /// A key went down. On hook keys do nothing: there is no pre-dialling, a desk phone dials with
    /// the handset lifted.
    KeyDown(Key),
    /// A key came up.
    KeyUp(Key),
    /// A rotary dial finished one digit.
    Rotary(Key),
    /// The flash key, or `ctl flash`.
    Flash,
    /// A key beside the keypad went down.
    Function(FunctionKey),
    /// What the volume keys add is this many dB (`ctl volume`).
    Volume(VolumeOf, i8),
    /// The microphone is off or on (`ctl mute`).
    Mute(bool),
    /// What a star code without a number sets, by a menu: without confirmation tone and voice.
    Setting(StarCode),
    /// The call that rings or waits is refused (`ctl reject`).
    Refuse,
    /// The caller who waits is answered (`ctl answer`).
    AnswerWaiting,
    /// The call in the hand, or the one on hold, goes to this number (`ctl transfer`).
    TransferTo(String),
    /// The call on hold joins the one in the hand (`ctl conference`).
    ConnectAll,
    /// This number or address is dialled at once (`ctl dial`), as if it had been keyed; the handset
    /// must be lifted and dial tone be heard.
    Dial(String),
    /// Do not disturb is on or off, by an order of home automation: kept when it has rested for a
    /// while.
    Dnd(bool),
    /// The bell is to ring without a call; whoever lifts the handset is connected with this number,
    /// where there is one. What [`crate::Phone::check_ring_order`] refuses is not done.
    RingOrder(Option<String>),
    /// The handset is put down for good (`ctl hang-up`; a flash has a command of its own): final at
    /// once, without waiting for the flash window. A hook switch says [`Input::Hook`]`(false)`.
    HangUp,
    /// An account became usable (registered, or needs no registration) or unusable.
    AccountStatus {
        /// Which account.
        account: AccountId,
        /// Calls can be placed by it.
        usable: bool,
    },
    /// What [`crate::Output::Speak`] asked for is said.
    Spoken,
    /// What [`crate::Output::SetUp`] asked for is written (true), or could not be.
    SetUpWritten(bool),
    /// Messages wait in the mailbox.
    MessagesWaiting(bool),
    /// A text message came: the lamp says so until the handset is lifted, as for a missed call.
    TextMessage,
    /// An announcement to a paging group is heard (true), or no longer.
    Paged(bool),
    /// The bell is to be silent at this time of day, or no longer.
    QuietHours(bool),
    /// A call rings at a watched phone and can be taken, or none does any more.
    PickUpOffered(Option<PickUp>),
    /// The account's server answers a call, or takes it back from hold; only where that is allowed.
    RemoteTalk(CallId),
    /// The same, and it puts a call on hold.
    RemoteHold(CallId),
    /// A call comes in. The id is given by [`crate::Phone::new_call`].
    Incoming {
        /// The new call.
        call: CallId,
        /// Who calls.
        from: Caller,
        /// How the caller asks to be rung.
        alert: Alert,
        /// The far end asks for, and configuration allows, answering by itself.
        auto_answer: bool,
    },
    /// A call comes in that replaces an existing one (RFC 3891): it is answered without lifting.
    /// The id is given by [`crate::Phone::new_call`].
    Replacing {
        /// The new call.
        call: CallId,
        /// The call it replaces.
        old: CallId,
        /// Address or display name of the caller.
        from: String,
    },
    /// A call that could not be transferred comes back. The id is given by
    /// [`crate::Phone::new_call`].
    Returned {
        /// The call, as a new one.
        call: CallId,
        /// Its far end.
        from: String,
        /// By which account it goes.
        account: Option<AccountId>,
    },
    /// Something happened to a call the phone knows.
    Call(CallId, CallUpdate),
}

/// A call that rings at another phone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PickUp {
    /// Which watched phone, by the order of `dial.watch`.
    pub watch: usize,
    /// Its number or address.
    pub target: String,
}

/// Who calls.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Caller {
    /// Display name or address, for people.
    pub name: String,
    /// What call return dials: a number by the account, or an address. Empty: unknown.
    pub number: String,
    /// The account by which the call came.
    pub account: Option<AccountId>,
    /// The caller withholds the number (RFC 3323).
    pub anonymous: bool,
}

impl From<&str> for Caller {
    /// Known by name only.
    fn from(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            ..Self::default()
        }
    }
}

/// An update of one call.
#[derive(Debug, Clone, PartialEq)]
pub enum CallUpdate {
    /// 180, or 183 without media: local ringback.
    Ringing,
    /// The far end may be heard before it answers.
    EarlyMedia,
    /// Sound of it comes, or comes no more: without any the phone makes its own ringing tone (RFC
    /// 3960 section 3.2).
    EarlySound(bool),
    /// The call is established.
    Answered,
    /// Our hold or resume was accepted (true: on hold now).
    Held(bool),
    /// The far end does not take our hold: it hears nothing and does not know why.
    HoldRefused,
    /// The far end is somebody else now: transferred over there.
    Peer(String),
    /// The far end put us on hold or took us back.
    HeldByPeer(bool),
    /// What is known of its encryption changed.
    Encryption(Encryption),
    /// The far end asks us to call someone else instead (REFER).
    Refer {
        /// Whom: an address or a number.
        to: String,
        /// The user part or number in it.
        user: String,
    },
    /// The call is over.
    Ended(EndCause),
}

/// What is known of a call's encryption, as far as the user must hear or see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Encryption {
    /// None was asked for.
    #[default]
    Unwanted,
    /// It was to be there and is not.
    Missing,
    /// It is to be there, and was not yet seen to work both routes.
    Pending,
    /// Seen to work both routes.
    Working,
}

/// Why a call is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndCause {
    /// SIP status code, where there was one.
    pub code: Option<u16>,
    /// Text for log, status and history.
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
