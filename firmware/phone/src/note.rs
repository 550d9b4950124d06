//! Lines for log, events and history: what happened, as values. Their texts are written here and
//! nowhere else.

use std::fmt;

use config::codes::StarCode;

use crate::input::EndCause;

/// What happened, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// A call is placed.
    Placed {
        /// The number or address.
        to: String,
        /// An emergency call.
        emergency: bool,
    },
    /// A call came in.
    Incoming {
        /// The caller.
        from: String,
    },
    /// It was answered.
    Answered {
        /// The caller.
        from: String,
    },
    /// It was refused.
    Refused {
        /// The caller.
        from: String,
        /// Why.
        why: Refusal,
    },
    /// It was not answered.
    Missed {
        /// The caller.
        from: String,
        /// What ended it.
        cause: EndCause,
    },
    /// A placed call failed.
    Failed {
        /// The number or address.
        to: String,
        /// What ended it.
        cause: EndCause,
    },
    /// A placed call was given up: no one answered.
    NoAnswer {
        /// The number or address.
        to: String,
    },
    /// What was dialled cannot be called.
    NotDialled(DialError),
    /// An established call was ended by the far end.
    EndedByPeer {
        /// The far end.
        peer: String,
        /// It was on hold.
        on_hold: bool,
        /// What ended it.
        cause: EndCause,
    },
    /// The far end knows that we hold the call, or resumed it.
    Held {
        /// The far end.
        peer: String,
        /// On hold now.
        held: bool,
    },
    /// The far end does not take our hold.
    HoldRefused {
        /// The far end.
        peer: String,
    },
    /// Another phone took a call that rang here, too.
    AnsweredElsewhere {
        /// The caller.
        from: String,
    },
    /// The far end holds the call, or resumed it.
    HeldByPeer {
        /// The far end.
        peer: String,
        /// On hold now.
        held: bool,
    },
    /// A call that was to be encrypted is not.
    NotEncrypted {
        /// The far end.
        peer: String,
    },
    /// A flash was given in an emergency call.
    FlashInEmergency,
    /// Three are connected.
    Conference,
    /// An incoming call was sent to another number.
    Forwarded {
        /// The caller.
        from: String,
        /// Whom to.
        to: String,
    },
    /// A star code was dialled.
    StarCode(StarCode),
    /// The far end asks to call someone else, and that is done.
    Transferring {
        /// Who asks.
        by: String,
        /// Whom it asks to call.
        to: String,
    },
    /// The same, and it is not done.
    TransferDeclined {
        /// Who asks.
        by: String,
        /// Whom it asks to call.
        to: String,
        /// Why not.
        why: TransferRefusal,
    },
    /// Two far ends are connected with each other.
    Transferred {
        /// One of them.
        from: String,
        /// The other.
        to: String,
    },
    /// A call goes on with someone else (RFC 3891).
    Replaced {
        /// The far end so far.
        old: String,
        /// The new one.
        new: String,
    },
}

/// Why an incoming call is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The handset is in use, and no further call can wait.
    #[error("busy")]
    Busy,
    /// Its user refused it.
    #[error("refused by hand")]
    ByHand,
    /// A setting of its user refuses it.
    #[error("refused by a setting ({0})")]
    BySetting(u16),
    /// It was to replace a call that is not there.
    #[error("there is no call for it to replace")]
    NothingToReplace,
}

/// Why a far end's wish to call someone else is declined.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransferRefusal {
    /// Its call is not the one that is talked in.
    #[error("its call is not the one that is talked in")]
    NotTalking,
    /// There is no room for the new call.
    #[error("there are too many calls")]
    TooManyCalls,
    /// The number is not to be called.
    #[error(transparent)]
    Barred(#[from] BarredNumber),
}

/// A number that is not called.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BarredNumber {
    /// Emergency numbers are dialled by hand only.
    #[error("{0} is an emergency number")]
    Emergency(String),
    /// A pattern of the digit map that ends in `!`.
    #[error("{0} is barred by the digit map")]
    DigitMap(String),
}

/// Why what was dialled is not called.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DialError {
    /// No key was pressed.
    #[error("nothing was dialled")]
    Nothing,
    /// The digit timer ran out too early.
    #[error("{0} is not complete")]
    Incomplete(String),
    /// No pattern of the digit map begins like this.
    #[error("{0} is no number of the digit map")]
    Unknown(String),
    /// The number is not to be called.
    #[error(transparent)]
    Barred(#[from] BarredNumber),
    /// There is no account or address for it.
    #[error("{number} cannot be called: {why}")]
    NoRoute {
        /// What was dialled.
        number: String,
        /// Why there is none.
        why: RouteError,
    },
    /// Redial, and no number was dialled before.
    #[error("no number was dialled before")]
    NothingToRedial,
    /// Call return, and no one called who can be called back.
    #[error("no one called who can be called back")]
    NoOneCalled,
    /// A transfer, and no call is on hold.
    #[error("there is no call on hold to transfer: flash first")]
    NothingToTransfer,
    /// No call is on hold that could be connected with another.
    #[error("there is no call on hold to connect: flash first")]
    NothingToConnect,
    /// There is no room for one more call.
    #[error("{0} cannot be called: there are too many calls")]
    TooManyCalls(String),
}

/// Why the bell is not rung by an order.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RingOrderError {
    /// What is to be called is no number.
    #[error("what is to be called is no number of at most 32 digits")]
    NoNumber,
    /// It is a star code, which sets something or places a call of its own.
    #[error("{0} is a star code")]
    StarCode(String),
    /// The number is not to be called.
    #[error(transparent)]
    Barred(#[from] BarredNumber),
    /// The handset is lifted, or a call goes on.
    #[error("the phone is in use")]
    InUse,
    /// It is switched on.
    #[error("do not disturb is on")]
    DoNotDisturb,
    /// It is that time of day.
    #[error("these are quiet hours")]
    QuietHours,
}

/// Why there is no way to call a number.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// No account is usable.
    #[error("no line: the account {0} is not registered")]
    NotRegistered(String),
    /// An address, and nothing to call it by.
    #[error("no line: there is no account, and direct calls are switched off")]
    DirectOff,
    /// A number, and nothing to call it by.
    #[error(
        "no line: there is no account, and a number needs one (an address can be called by speed \
         dial)"
    )]
    NoAccount,
    /// An emergency number, and nothing to call it by.
    #[error("no line: there is neither an account nor an emergency route")]
    NoEmergencyRoute,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Placed {
                to,
                emergency: true,
            } => write!(f, "emergency call to {to}"),
            Self::Placed { to, .. } => write!(f, "call to {to}"),
            Self::Incoming { from } => write!(f, "call from {from}"),
            Self::Answered { from } => write!(f, "call from {from} answered"),
            Self::Refused { from, why } => write!(f, "call from {from} refused: {why}"),
            Self::Missed { from, cause } => write!(f, "call from {from} missed: {cause}"),
            Self::Failed { to, cause } => write!(f, "call to {to} failed: {cause}"),
            Self::NoAnswer { to } => write!(f, "call to {to} given up: no answer"),
            Self::NotDialled(why) => why.fmt(f),
            Self::EndedByPeer {
                peer,
                on_hold,
                cause,
            } => {
                let hold = if *on_hold { " on hold" } else { "" };
                write!(f, "call with {peer}{hold} ended by the far end: {cause}")
            }
            Self::Held { peer, held: true } => write!(f, "call with {peer} is on hold"),
            Self::Held { peer, .. } => write!(f, "call with {peer} is resumed"),
            Self::HoldRefused { peer } => {
                write!(f, "{peer} refused to be put on hold: the call goes on")
            }
            Self::AnsweredElsewhere { from } => write!(f, "call from {from} answered elsewhere"),
            Self::HeldByPeer { peer, held: true } => write!(f, "{peer} put the call on hold"),
            Self::HeldByPeer { peer, .. } => write!(f, "{peer} resumed the call"),
            Self::NotEncrypted { peer } => write!(f, "call with {peer} is not encrypted"),
            Self::FlashInEmergency => f.write_str("a flash does nothing in an emergency call"),
            Self::Conference => f.write_str("three are connected"),
            Self::Forwarded { from, to } => write!(f, "call from {from} forwarded to {to}"),
            Self::StarCode(code) => write!(f, "star code: {}", code.as_str()),
            Self::Transferring { by, to } => write!(f, "{by} transfers the call to {to}"),
            Self::TransferDeclined { by, to, why } => {
                write!(f, "{by} asks to call {to}, declined: {why}")
            }
            Self::Transferred { from, to } => write!(f, "{from} is transferred to {to}"),
            Self::Replaced { old, new } => write!(f, "call with {old} goes on with {new}"),
        }
    }
}

impl fmt::Display for EndCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code {
            Some(code) => write!(f, "{code} {}", self.reason),
            None => f.write_str(&self.reason),
        }
    }
}
