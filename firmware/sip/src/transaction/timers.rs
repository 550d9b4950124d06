//! The timers that client and server transactions have alike (RFC 3261 section 17, RFC 6026).

use std::time::{Duration, Instant};

use crate::timer::{T1, earliest, fire};

/// What to do when time has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct OnTimeout {
    /// Send the request or the last response again.
    pub(crate) retransmit: bool,
    /// No response came, or no ACK of a refusal (timers B, F, H): the transaction is over.
    pub(crate) timed_out: bool,
}

/// The timers of one transaction.
#[derive(Debug)]
pub(super) struct Timers {
    /// From the last retransmission to the next.
    interval: Duration,
    /// Timers A, E, G.
    pub(super) retransmit: Option<Instant>,
    /// Timers B, F, H.
    pub(super) give_up: Option<Instant>,
    /// Timers D, I, J, K, L, M: until late repetitions can be forgotten.
    pub(super) linger: Option<Instant>,
}

impl Timers {
    /// None runs.
    pub(super) fn new() -> Self {
        Self {
            interval: T1,
            retransmit: None,
            give_up: None,
            linger: None,
        }
    }

    pub(super) fn stop_all(&mut self) {
        (self.retransmit, self.give_up, self.linger) = (None, None, None);
    }

    /// Time has passed: what to do, and whether the transaction is over. `next` makes the next
    /// interval between two retransmissions from the last.
    pub(super) fn handle_timeout(
        &mut self,
        next: impl FnOnce(Duration) -> Duration,
        now: Instant,
    ) -> (OnTimeout, bool) {
        let lingered = fire(&mut self.linger, now);
        let timed_out = fire(&mut self.give_up, now);
        if timed_out {
            self.retransmit = None;
        }
        let retransmit = fire(&mut self.retransmit, now);
        if retransmit {
            self.interval = next(self.interval);
            self.retransmit = Some(now + self.interval);
        }
        let todo = OnTimeout {
            retransmit,
            timed_out,
        };
        (todo, lingered || timed_out)
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        earliest([self.retransmit, self.give_up, self.linger])
    }
}
