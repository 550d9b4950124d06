//! How often a configuration from the network may change this phone. A server whose answer differs
//! each time would restart it for ever, and wear its card out. No I/O, no clock.
//!
//! ```text
//! a change is taken ─▶ counted, with its time since the machine started ─▶ not asked again before … (1 min, 2, 4 … 6 h)
//!        the count lies in the run directory: it outlives the phone's process, not the machine's
//! ```

use std::time::Duration;

/// In the run directory.
pub(crate) const FILE: &str = "provision-pace";
/// Longest such file.
pub(crate) const MAX_BYTES: u64 = 64;
/// Changes one after the other that no one has to wait for: a person corrects a mistake.
const FREE: u32 = 3;
/// The pause after the first change beyond these; doubled with each further one, up to the last.
const PAUSE: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(6 * 3600));
/// Rest beyond twice the pause after which the count begins again.
const REST: Duration = Duration::from_secs(600);

/// The changes of late. Times are since the machine started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Pace {
    changes: u32,
    last: Duration,
}

impl Pace {
    /// Reads what [`Pace::text`] wrote; anything else is a machine that has just started.
    pub(crate) fn parse(text: &str) -> Self {
        let read = || {
            let (changes, last) = text.trim().split_once(' ')?;
            Some(Self {
                changes: changes.parse().ok()?,
                last: Duration::from_secs(last.parse().ok()?),
            })
        };
        read().unwrap_or_default()
    }

    /// What the file says.
    pub(crate) fn text(&self) -> String {
        format!("{} {}\n", self.changes, self.last.as_secs())
    }

    /// A new configuration is put in use.
    pub(crate) fn handle_change(&mut self, now: Duration) {
        let rested = now.saturating_sub(self.last) > self.pause() * 2 + REST;
        self.changes = if rested {
            1
        } else {
            self.changes.saturating_add(1)
        };
        self.last = now;
    }

    /// Changes of late, where they are too many to be meant.
    pub(crate) fn excess(&self) -> Option<u32> {
        (self.changes > FREE).then_some(self.changes)
    }

    /// The server is not asked for so much longer.
    pub(crate) fn wait(&self, now: Duration) -> Duration {
        if self.last > now {
            return Duration::ZERO;
        }
        self.last.saturating_add(self.pause()).saturating_sub(now)
    }

    fn pause(&self) -> Duration {
        let Some(beyond) = self.changes.checked_sub(FREE + 1) else {
            return Duration::ZERO;
        };
        PAUSE.0.saturating_mul(1 << beyond.min(16)).min(PAUSE.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    /// When the changes of a server that has a new answer each time are taken, in a day.
    fn endless() -> Vec<Duration> {
        let (mut pace, mut now, mut taken) = (Pace::default(), Duration::from_secs(30), Vec::new());
        while now < 24 * HOUR {
            pace.handle_change(now);
            taken.push(now);
            // The phone restarts, and asks ten seconds later or when it may.
            pace = Pace::parse(&pace.text());
            now += pace.wait(now).max(Duration::from_secs(10));
        }
        taken
    }

    #[test]
    fn a_server_that_changes_for_ever_is_asked_less_and_less() {
        let taken = endless();
        let gaps: Vec<u64> = taken
            .windows(2)
            .map(|w| w[1].saturating_sub(w[0]).as_secs())
            .collect();
        assert_eq!(gaps[..8], [10, 10, 10, 60, 120, 240, 480, 960]);
        assert!(gaps.windows(2).all(|w| w[0] <= w[1]), "{gaps:?}");
        assert!(taken.len() <= 16, "{} restarts in a day", taken.len());
    }

    #[test]
    fn a_change_a_day_is_never_waited_for() {
        let mut pace = Pace::default();
        for day in 1..30 {
            let now = 24 * HOUR * day;
            assert_eq!(pace.wait(now), Duration::ZERO);
            pace.handle_change(now);
            assert_eq!(pace.excess(), None, "day {day}");
        }
    }

    #[test]
    fn a_rest_makes_it_quick_again() {
        let mut pace = Pace::default();
        let now = Duration::from_secs(100);
        for _ in 0..5 {
            pace.handle_change(now);
        }
        assert_eq!(pace.excess(), Some(5));
        assert_eq!(pace.wait(now), Duration::from_secs(120));
        pace.handle_change(now + HOUR);
        assert_eq!(
            (pace.excess(), pace.wait(now + HOUR)),
            (None, Duration::ZERO)
        );
    }

    #[test]
    fn a_damaged_file_is_a_fresh_start() {
        for text in ["", "x y", "3", "-1 4", "99999999999 1"] {
            assert_eq!(Pace::parse(text), Pace::default(), "{text}");
        }
        // A time still to come is of a machine that has started since: no one waits for it.
        let far = Pace::parse("9 18446744073709551615");
        assert_eq!(far.wait(Duration::ZERO), Duration::ZERO);
    }
}
