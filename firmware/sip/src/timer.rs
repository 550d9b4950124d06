//! The timers of RFC 3261 table 4, and the one index of all deadlines.
//!
//! ```text
//! transaction, call, registration ── their own next deadline ──▶ Deadlines ── earliest ──▶ poll_timeout
//! ```
//!
//! Each state machine keeps its own deadlines; the index only says which one is due next, so that
//! a timeout does not have to look through all tables.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// Round-trip estimate.
pub(crate) const T1: Duration = Duration::from_millis(500);
/// Longest interval between retransmissions of a request that is no INVITE, and of responses to
/// INVITE.
pub(crate) const T2: Duration = Duration::from_secs(4);
/// Longest time a message stays in the network.
pub(crate) const T4: Duration = Duration::from_secs(5);
/// Timers B, F, H, J (UDP), L, M: how long a transaction tries or remembers.
pub(crate) const T1_64: Duration = Duration::from_secs(32);
/// Timer D over UDP: at least 32 s.
pub(crate) const TIMER_D: Duration = Duration::from_secs(32);
/// How long an INVITE may ring without any further provisional response (timer C of section 16.6).
pub(crate) const TIMER_C: Duration = Duration::from_secs(185);

/// Who waits until when. One deadline a key.
#[derive(Debug)]
pub(crate) struct Deadlines<K> {
    by_time: BTreeSet<(Instant, K)>,
    by_key: BTreeMap<K, Instant>,
}

impl<K: Ord + Copy> Deadlines<K> {
    pub(crate) fn new() -> Self {
        Self {
            by_time: BTreeSet::new(),
            by_key: BTreeMap::new(),
        }
    }

    /// Sets or clears the deadline of a key.
    pub(crate) fn set(&mut self, key: K, at: Option<Instant>) {
        if let Some(old) = self.by_key.remove(&key) {
            self.by_time.remove(&(old, key));
        }
        if let Some(at) = at {
            self.by_key.insert(key, at);
            self.by_time.insert((at, key));
        }
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.by_key.len()
    }

    /// Moves all that is due to `until`.
    pub(crate) fn hold_back(&mut self, now: Instant, until: Instant) {
        while let Some(key) = self.pop_due(now) {
            self.set(key, Some(until));
        }
    }

    /// The earliest deadline.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// Takes one key that is due.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<K> {
        let (at, key) = *self.by_time.first()?;
        if at > now {
            return None;
        }
        self.by_time.pop_first();
        self.by_key.remove(&key);
        Some(key)
    }
}

/// The earlier of some deadlines.
pub(crate) fn earliest<const N: usize>(deadlines: [Option<Instant>; N]) -> Option<Instant> {
    deadlines.into_iter().flatten().min()
}

/// Whether a deadline has come; clears it then.
pub(crate) fn fire(deadline: &mut Option<Instant>, now: Instant) -> bool {
    let due = deadline.is_some_and(|at| at <= now);
    if due {
        *deadline = None;
    }
    due
}

/// Some instant for tests to count from: what the clock says does not matter.
#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "the one place of this crate's tests that asks for the time"
)]
pub(crate) fn epoch() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_fire_in_order() {
        let start = epoch();
        let at = |ms| start + Duration::from_millis(ms);
        let mut deadlines = Deadlines::new();
        deadlines.set(1, Some(at(30)));
        deadlines.set(2, Some(at(20)));
        deadlines.set(1, Some(at(10)));
        deadlines.set(3, Some(at(5)));
        deadlines.set(3, None);
        assert_eq!(deadlines.next(), Some(at(10)));
        assert_eq!(deadlines.pop_due(at(9)), None);
        assert_eq!(deadlines.pop_due(at(25)), Some(1));
        assert_eq!(deadlines.pop_due(at(25)), Some(2));
        assert_eq!(deadlines.pop_due(at(25)), None);
        assert_eq!(deadlines.next(), None);
    }

    #[test]
    fn held_back_deadlines_are_due_later() {
        let start = epoch();
        let at = |ms| start + Duration::from_millis(ms);
        let mut deadlines = Deadlines::new();
        for (key, due) in [(1, 5), (2, 10), (3, 500)] {
            deadlines.set(key, Some(at(due)));
        }
        deadlines.hold_back(at(20), at(30));
        assert_eq!((deadlines.len(), deadlines.next()), (3, Some(at(30))));
        assert_eq!(deadlines.pop_due(at(20)), None);
        assert_eq!(
            [deadlines.pop_due(at(30)), deadlines.pop_due(at(30))],
            [Some(1), Some(2)]
        );
        assert_eq!(deadlines.next(), Some(at(500)));
    }
}
