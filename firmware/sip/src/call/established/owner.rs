//! Whose an answered call is: its owner's, until it is transferred; and its owner's again, if that
//! fails and it takes it back.
//!
//! ```text
//! Has ─ transfer ─▶ Left ─ refused ─▶ Offered ─ answered ─▶ Returns ─ re-INVITE, 2xx ─▶ Has
//!                                        └ no one takes it: BYE    └ refused: BYE
//! ```

use std::time::{Duration, Instant};

use types::Direction;

use super::Established;
use crate::action::Turn;
use crate::api::Event;
use crate::ids::CallHandle;
use crate::offer_answer::{LocalMedia, Negotiated};

/// How long its owner has to take a call back whose transfer failed.
const OFFERED_BACK: Duration = Duration::from_secs(60);

/// Whose the call is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    /// The owner's.
    Has,
    /// For the owner it is over, and it is being transferred.
    Left,
    /// The transfer failed: the owner may take it back until then.
    Offered(Instant),
    /// The owner takes it back: the far end is asked.
    Returns,
}

impl Owner {
    /// Until when it may be taken back.
    pub(super) fn deadline(self) -> Option<Instant> {
        match self {
            Self::Offered(until) => Some(until),
            Self::Has | Self::Left | Self::Returns => None,
        }
    }
}

impl Established {
    /// For the owner the call is over: no change is wanted any more, and what the far end still
    /// changes is answered without media.
    pub(in crate::call) fn release_owner(&mut self) {
        self.wanted = None;
        self.owner = Owner::Left;
        self.session.set_wish(Direction::Inactive);
    }

    /// Its transfer failed: the owner may take it back.
    pub(in crate::call) fn offer_back(&mut self, now: Instant) {
        self.owner = Owner::Offered(now + OFFERED_BACK);
    }

    /// Whether the owner may take it back.
    pub(in crate::call) fn is_offered(&self) -> bool {
        matches!(self.owner, Owner::Offered(_))
    }

    /// Whether it was offered for long enough.
    pub(in crate::call) fn is_offered_in_vain(&self, now: Instant) -> bool {
        matches!(self.owner, Owner::Offered(until) if until <= now)
    }

    /// The owner takes it back, with media of its own and keys that nothing was encrypted with.
    pub(in crate::call) fn take_back(&mut self, media: &LocalMedia) {
        self.owner = Owner::Returns;
        self.session.move_to(media);
        self.rekey();
        self.wanted = Some(Direction::SendRecv);
    }

    /// This is agreed now; the owner learns it as long as the call is its own.
    pub(super) fn agree(&mut self, call: CallHandle, media: Negotiated, turn: &mut Turn<'_>) {
        self.media = Some(media.clone());
        match self.owner {
            Owner::Has => turn.event(Event::MediaChanged { call, media }),
            Owner::Returns if self.session.wish() == Direction::SendRecv => {
                self.owner = Owner::Has;
                let peer = String::new();
                turn.event(Event::Established { call, media, peer });
            }
            Owner::Left | Owner::Offered(_) | Owner::Returns => {}
        }
    }
}
