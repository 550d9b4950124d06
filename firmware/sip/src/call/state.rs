//! The states of a call, each with what it has there.

use std::time::Instant;

use crate::dialog::Dialog;
use crate::timer::earliest;
use crate::transfer::Transfer;

use super::ack_wait::AckWait;
use super::calling::Calling;
use super::established::Established;
use super::ringing::Ringing;

/// Where a call is, with what it has there.
#[derive(Debug)]
pub(super) enum State {
    /// Our INVITE is under way.
    Calling(Box<Calling>),
    /// Their INVITE waits for our answer.
    Ringing(Box<Ringing>),
    /// Our first 2xx waits for its ACK.
    Answered(Box<Established>, AckWait),
    /// Confirmed both ways.
    Up(Box<Established>),
    /// Over for the owner; the BYE waits for the ACK of our 2xx (section 15).
    Leaving(Box<Dialog>, AckWait),
    /// Over for the owner; its far end is being transferred, or it waits to be replaced.
    Transferring(Box<Established>, Transfer),
    /// Over; to leave the table.
    Over(Box<Over>),
}

/// What is left of a call that is over.
#[derive(Debug, Default)]
pub(crate) struct Over {
    /// Status that ended it.
    pub(crate) code: Option<u16>,
    /// Its dialog, if it had one of its own.
    pub(crate) dialog: Option<Dialog>,
}

/// One exhaustive match for each question that several handlers ask.
impl State {
    pub(super) fn calling(&self) -> Option<&Calling> {
        match self {
            Self::Calling(calling) => Some(calling),
            Self::Ringing(_)
            | Self::Answered(..)
            | Self::Up(_)
            | Self::Leaving(..)
            | Self::Transferring(..)
            | Self::Over(_) => None,
        }
    }

    /// The session of a call that is confirmed both ways, and the owner's.
    pub(super) fn up_mut(&mut self) -> Option<&mut Established> {
        match self {
            Self::Up(established) => Some(established),
            Self::Calling(_)
            | Self::Ringing(_)
            | Self::Answered(..)
            | Self::Leaving(..)
            | Self::Transferring(..)
            | Self::Over(_) => None,
        }
    }

    /// The session whose direction and keys the owner may change.
    pub(super) fn changeable_mut(&mut self) -> Option<&mut Established> {
        match self {
            Self::Up(established) | Self::Answered(established, _) => Some(established),
            Self::Calling(_)
            | Self::Ringing(_)
            | Self::Leaving(..)
            | Self::Transferring(..)
            | Self::Over(_) => None,
        }
    }

    /// The session in which a re-INVITE of either side may be under way.
    pub(super) fn exchange_mut(&mut self) -> Option<&mut Established> {
        match self {
            Self::Up(established) | Self::Transferring(established, _) => Some(established),
            Self::Calling(_)
            | Self::Ringing(_)
            | Self::Answered(..)
            | Self::Leaving(..)
            | Self::Over(_) => None,
        }
    }

    /// The call's own dialog; not that of a branch.
    pub(super) fn dialog(&self) -> Option<&Dialog> {
        match self {
            Self::Calling(_) | Self::Over(_) => None,
            Self::Ringing(ringing) => Some(&ringing.dialog),
            Self::Answered(established, _)
            | Self::Up(established)
            | Self::Transferring(established, _) => Some(&established.dialog),
            Self::Leaving(dialog, _) => Some(dialog),
        }
    }

    /// The dialogs of the branches of a call that is being placed.
    pub(super) fn early_dialogs(&self) -> impl Iterator<Item = &Dialog> {
        let legs = self.calling().map_or(&[][..], |calling| &calling.legs);
        legs.iter().map(|leg| &leg.dialog)
    }

    /// When the call has something to do by itself.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Calling(_) | Self::Over(_) => None,
            Self::Ringing(ringing) => ringing.deadline(),
            Self::Answered(_, ack) | Self::Leaving(_, ack) => Some(ack.deadline()),
            Self::Up(established) => established.deadline(),
            Self::Transferring(established, transfer) => {
                earliest([established.deadline(), Some(transfer.deadline())])
            }
        }
    }

    /// The same as [`State::dialog`], to send a request in it.
    pub(super) fn dialog_mut(&mut self) -> Option<&mut Dialog> {
        match self {
            Self::Calling(_) | Self::Over(_) => None,
            Self::Ringing(ringing) => Some(&mut ringing.dialog),
            Self::Answered(established, _)
            | Self::Up(established)
            | Self::Transferring(established, _) => Some(&mut established.dialog),
            Self::Leaving(dialog, _) => Some(dialog),
        }
    }
}
