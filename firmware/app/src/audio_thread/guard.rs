//! Keeps a card whose descriptors are ready all the time from taking a processor for itself.
//!
//! ```text
//! woken by the card, and no period there ─▶ credit − 1 ─▶ 0: the card's descriptors are left alone, the clock wakes us
//! a period was done                      ─▶ credit + 1            └─ for one second, then they are tried again
//! ```
//!
//! The thread is a real-time thread: a loop that never sleeps stops everything else on that core,
//! for ever. No card, plugin or socket may bring that about, whatever it says of itself.

use std::time::{Duration, Instant};

/// Useless wake-ups that may come in a row. A plugin that is filled in lumps has some for each
/// period.
const CREDIT: u32 = 16;
/// So long the descriptors are left alone.
const BACK_OFF: Duration = Duration::from_secs(1);

/// Counts wake-ups against periods.
#[derive(Debug)]
pub(super) struct WakeGuard {
    credit: u32,
    /// Until then the clock wakes the loop, not the card.
    backs_off_until: Option<Instant>,
}

impl WakeGuard {
    pub(super) fn new() -> Self {
        Self {
            credit: CREDIT,
            backs_off_until: None,
        }
    }

    /// Whether the card's descriptors are left alone.
    pub(super) fn backs_off(&self) -> bool {
        self.backs_off_until.is_some()
    }

    /// A turn is over: `woken` by a descriptor of the card (or by a poll that failed), with so many
    /// `periods` done. `true`: from now on the descriptors are left alone for a while.
    pub(super) fn turn(&mut self, woken: bool, periods: u32, now: Instant) -> bool {
        if let Some(until) = self.backs_off_until {
            if now >= until {
                *self = Self::new();
            }
            return false;
        }
        if periods > 0 {
            self.credit = (self.credit + periods).min(CREDIT);
        } else if woken {
            self.credit -= 1;
        }
        if self.credit > 0 {
            return false;
        }
        self.backs_off_until = Some(now + BACK_OFF);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_that_behaves_is_never_left_alone() {
        let (now, mut guard) = (Instant::now(), WakeGuard::new());
        for turn in 0..10_000_u32 {
            let at = now + Duration::from_millis(5) * turn;
            // A lump of four periods after three wake-ups for nothing, and commands in between.
            assert!(!guard.turn(turn % 5 != 4, if turn % 4 == 3 { 4 } else { 0 }, at));
        }
    }

    #[test]
    fn a_card_that_is_always_ready_is_left_alone_for_a_second() {
        let (start, mut guard) = (Instant::now(), WakeGuard::new());
        let turns = (0..100).take_while(|_| !guard.turn(true, 0, start)).count();
        assert_eq!(turns as u32, CREDIT - 1);
        assert!(guard.backs_off());
        guard.turn(true, 0, start + BACK_OFF / 2);
        assert!(guard.backs_off());
        guard.turn(true, 1, start + BACK_OFF);
        assert!(!guard.backs_off());
    }

    #[test]
    fn two_useless_wake_ups_for_each_period_use_the_credit_up() {
        let (now, mut guard) = (Instant::now(), WakeGuard::new());
        let turns = (0..1000)
            .take_while(|n| !guard.turn(true, u32::from(n % 3 == 2), now))
            .count();
        assert!(turns < 60, "{turns}");
    }
}
