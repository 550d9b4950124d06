//! Addresses that were silent, or said no more than 100 Trying, until the next one was tried; they
//! may still answer.

use std::time::Instant;

use super::destinations::Attempt;
use super::{Cancel, ClientRequest};
use crate::flow::Flow;
use crate::ids::TransactionId;
use crate::timer::TIMER_C;

/// What was heard of an INVITE at the address it went to last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReplySoFar {
    Nothing,
    /// 100 Trying: a server has it. No one was found by it yet.
    Trying,
    /// 180, 183 or the like.
    Progress,
}

/// An attempt that the next one overtook.
#[derive(Debug)]
pub(super) struct Overtaken {
    transaction: TransactionId,
    attempt: Attempt,
    flow: Flow,
    heard: ReplySoFar,
}

impl ClientRequest {
    /// Its transactions with addresses that did not answer in time.
    pub(crate) fn overtaken(&self) -> impl Iterator<Item = TransactionId> {
        self.overtaken.iter().map(|known| known.transaction)
    }

    /// The next address is about to be tried though this one may still answer.
    pub(crate) fn handle_overtaken(&mut self) {
        if let (Some(transaction), Some(attempt), Some(flow)) =
            (self.transaction.take(), self.current, self.flow)
        {
            self.overtaken.push(Overtaken {
                transaction,
                attempt,
                flow,
                heard: self.heard,
            });
        }
    }

    /// An overtaken address answers before the one under way: its answer counts. Whether that may
    /// be; what was under way is overtaken now.
    pub(crate) fn take_back(&mut self, transaction: TransactionId) -> bool {
        let mut overtaken = self.overtaken.iter();
        let Some(index) = overtaken.position(|known| known.transaction == transaction) else {
            return false;
        };
        if self.cancel != Cancel::No {
            return false;
        }
        let found = self.overtaken.swap_remove(index);
        self.handle_overtaken();
        self.destinations.select(found.attempt);
        self.current = Some(found.attempt);
        self.transaction = Some(transaction);
        self.heard = ReplySoFar::Nothing;
        self.flow = Some(found.flow);
        self.deadline = None;
        true
    }

    /// Nothing else is left to be tried: an overtaken address that has said 100 Trying is waited
    /// for after all, unless the call can go another way. Whether that may be.
    pub(crate) fn fall_back(&mut self, transaction: TransactionId, now: Instant) -> bool {
        let falls_back = self.destinations.waits_for_last() && self.take_back(transaction);
        if falls_back {
            self.heard = ReplySoFar::Progress;
            self.deadline = Some(now + TIMER_C);
        }
        falls_back
    }

    /// Whether a refusal with this status is the server's own trouble, or that of a request that
    /// arrived by two ways (482), while another address tries.
    pub(super) fn may_fall_back(&self, code: u16) -> bool {
        let tries = |known: &Overtaken| known.heard == ReplySoFar::Trying;
        (code == 482 || (500..600).contains(&code)) && self.overtaken.iter().any(tries)
    }

    /// Whether the address under way has found no one yet: it is silent, or tries.
    pub(crate) fn has_no_progress(&self) -> bool {
        self.heard != ReplySoFar::Progress
    }

    /// It was heard: no other address is tried for its silence any more. A server that says 100
    /// Trying has got it; only 101 to 199 say that it leads anywhere, and start timer C (RFC 3261
    /// section 16.6), so another address follows where no such answer comes.
    pub(super) fn handle_provisional(&mut self, code: u16, invite: bool, now: Instant) {
        let wait = match (code, self.heard) {
            (100, ReplySoFar::Trying | ReplySoFar::Progress) => return,
            (100, ReplySoFar::Nothing) => {
                self.heard = ReplySoFar::Trying;
                self.destinations.trying().unwrap_or(TIMER_C)
            }
            _ => {
                self.heard = ReplySoFar::Progress;
                TIMER_C
            }
        };
        self.deadline = invite.then(|| now + wait);
    }
}
