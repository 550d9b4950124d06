//! Consent to go on sending (RFC 7675): asked for every five seconds, lost after thirty without a
//! yes.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use rand_chacha::ChaCha20Rng;
use rand_core::Rng;

use crate::stun::TransactionId;

/// Between two questions, give or take a fifth (section 5.1).
const INTERVAL_MS: u64 = 5000;
/// How long the last yes holds.
const EXPIRY: Duration = Duration::from_secs(30);
/// Questions whose answers still count.
const OPEN: usize = 8;

/// The consent of one path.
#[derive(Debug)]
pub(super) struct Consent {
    given: Instant,
    next: Instant,
    open: VecDeque<TransactionId>,
}

impl Consent {
    /// Given now, by a check that succeeded.
    pub(super) fn new(now: Instant, rng: &mut ChaCha20Rng) -> Self {
        Self {
            given: now,
            next: now + interval(rng),
            open: VecDeque::with_capacity(OPEN),
        }
    }

    /// Whether it is time to ask.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.next <= now
    }

    /// It was asked for, in a transaction of its own: none is sent again.
    pub(super) fn asked(&mut self, id: TransactionId, now: Instant, rng: &mut ChaCha20Rng) {
        if self.open.len() == OPEN {
            self.open.pop_front();
        }
        self.open.push_back(id);
        self.next = now + interval(rng);
    }

    /// Whether an answer is to one of our questions.
    pub(super) fn is_about(&self, id: TransactionId) -> bool {
        self.open.contains(&id)
    }

    /// Yes.
    pub(super) fn give(&mut self, now: Instant) {
        self.given = now;
        self.open.clear();
    }

    /// Whether the last yes is too old.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.given + EXPIRY <= now
    }

    pub(super) fn deadline(&self) -> Instant {
        self.next.min(self.given + EXPIRY)
    }
}

fn interval(rng: &mut ChaCha20Rng) -> Duration {
    let fifth = INTERVAL_MS / 5;
    Duration::from_millis(INTERVAL_MS - fifth + rng.next_u64() % (2 * fifth + 1))
}
