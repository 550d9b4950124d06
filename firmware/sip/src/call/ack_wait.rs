//! A 2xx of ours that is repeated until its ACK comes (RFC 3261 section 13.3.1.4).

use std::time::{Duration, Instant};

use crate::ids::TransactionId;
use crate::offer_answer::OfferAnswer;
use crate::timer::{T1, T1_64, T2};

/// What the 2xx carried.
#[derive(Debug)]
pub(super) enum Sent {
    /// An answer: nothing is open.
    Answer,
    /// The first offer of the call: the ACK brings the answer.
    FirstOffer,
    /// A later offer; the session as it was before, in case the answer cannot be used.
    LaterOffer(Box<OfferAnswer>),
}

/// What to do when time has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AckStep {
    Wait,
    Repeat,
    GiveUp,
}

#[derive(Debug)]
pub(super) struct AckWait {
    pub(super) transaction: TransactionId,
    cseq: u32,
    pub(super) sent: Sent,
    interval: Duration,
    next: Instant,
    until: Instant,
}

impl AckWait {
    /// The 2xx to the INVITE of this number leaves now.
    pub(super) fn new(transaction: TransactionId, cseq: u32, sent: Sent, now: Instant) -> Self {
        Self {
            transaction,
            cseq,
            sent,
            interval: T1,
            next: now + T1,
            until: now + T1_64,
        }
    }

    /// Whether an ACK of this number is the one.
    pub(super) fn is_acknowledged_by(&self, cseq: u32) -> bool {
        self.cseq == cseq
    }

    /// Whether an offer of ours is unanswered.
    pub(super) fn is_offer_open(&self) -> bool {
        match self.sent {
            Sent::Answer => false,
            Sent::FirstOffer | Sent::LaterOffer(_) => true,
        }
    }

    pub(super) fn deadline(&self) -> Instant {
        self.next.min(self.until)
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) -> AckStep {
        if self.until <= now {
            AckStep::GiveUp
        } else if self.next <= now {
            self.interval = (self.interval * 2).min(T2);
            self.next = now + self.interval;
            AckStep::Repeat
        } else {
            AckStep::Wait
        }
    }
}
