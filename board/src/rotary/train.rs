//! The pulses of one pull of the dial, and whether a dial can have made them.
//!
//! A count alone is not believed: a pulse that was lost, or a bounce that was taken for one, makes
//! another digit of it. But a dial runs evenly, so that either shows in the times between the
//! breaks. What no dial makes is no digit.

use std::time::{Duration, Instant};

/// A break: 50 to 72 % of a pulse at 22 to 8 a second is 23 to 90 ms, and a speed that wanders a
/// little more.
const BREAK: (Duration, Duration) = (Duration::from_millis(21), Duration::from_millis(100));
/// From break to break: 45 to 125 ms, and a little more.
const PERIOD: (Duration, Duration) = (Duration::from_millis(43), Duration::from_millis(140));
/// Least and greatest share of a pulse that the contact is open.
const SHARE: (f64, f64) = (0.45, 0.77);
/// The same of the last break and the period before it.
const LAST_SHARE: (f64, f64) = (0.38, 0.90);
/// So much longer may a period be than the one beside it, and than any other: a pulse that is
/// missing makes it twice as long.
const BESIDE: f64 = 1.45;
const ANY: f64 = 1.65;
/// So much longer may a break be than the one beside it: uneven contacts, and a speed that wanders.
const BREAK_BESIDE: f64 = 1.5;
/// More pulses are no digit.
const MOST: usize = 10;

#[derive(Debug, Clone, Copy)]
struct Pulse {
    broke: Instant,
    /// The contact closed again.
    made: Option<Instant>,
}

/// The pulses so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Train {
    pulses: Vec<Pulse>,
    spoilt: bool,
}

impl Train {
    pub(super) fn is_empty(&self) -> bool {
        self.pulses.is_empty()
    }

    /// It is no digit, whatever comes.
    pub(super) fn spoil(&mut self) {
        self.spoilt = true;
    }

    pub(super) fn handle_break(&mut self, at: Instant) {
        if self.pulses.len() > MOST {
            // Only how long ago the last was still matters.
            self.pulses.pop();
        }
        self.pulses.push(Pulse {
            broke: at,
            made: None,
        });
    }

    /// The contact closed: the length of the break, if there was one.
    pub(super) fn handle_make(&mut self, at: Instant) -> Option<Duration> {
        let pulse = self
            .pulses
            .last_mut()
            .filter(|pulse| pulse.made.is_none())?;
        pulse.made = Some(at);
        Some(at.saturating_duration_since(pulse.broke))
    }

    /// When the last break began.
    pub(super) fn last_break(&self) -> Option<Instant> {
        self.pulses.last().map(|pulse| pulse.broke)
    }

    /// How many pulses there were, if a dial can have made them; `None`: it cannot.
    pub(super) fn pulses(&self) -> Option<u32> {
        let count = self.pulses.len();
        let right = !self.spoilt && (1..=MOST).contains(&count) && self.is_even();
        right.then(|| u32::try_from(count).unwrap_or_default())
    }

    fn is_even(&self) -> bool {
        let is_near = |a: Duration, b: Duration, most: f64| {
            a.max(b).as_secs_f64() <= a.min(b).as_secs_f64() * most
        };
        let mut breaks = Vec::with_capacity(MOST);
        for pulse in &self.pulses {
            let Some(made) = pulse.made else {
                return false;
            };
            let length = made.saturating_duration_since(pulse.broke);
            if !(BREAK.0..=BREAK.1).contains(&length) {
                return false;
            }
            breaks.push(length);
        }
        let pairs = self.pulses.windows(2);
        let periods: Vec<Duration> = pairs
            .map(|two| two[1].broke.saturating_duration_since(two[0].broke))
            .collect();
        let Some(last) = periods.last() else {
            return true;
        };
        let share = |open: &Duration, period: &Duration| open.as_secs_f64() / period.as_secs_f64();
        let mut shares = breaks
            .iter()
            .zip(&periods)
            .map(|(open, period)| share(open, period));
        // The last pulse has no break behind it: the period before it is about as long.
        let is_last = breaks
            .last()
            .is_some_and(|open| (LAST_SHARE.0..=LAST_SHARE.1).contains(&share(open, last)));
        let (Some(longest), Some(shortest)) = (periods.iter().max(), periods.iter().min()) else {
            return true;
        };
        is_last
            && shares.all(|share| (SHARE.0..=SHARE.1).contains(&share))
            && (PERIOD.0..=PERIOD.1).contains(longest)
            && (PERIOD.0..=PERIOD.1).contains(shortest)
            && is_near(*longest, *shortest, ANY)
            && periods
                .windows(2)
                .all(|two| is_near(two[0], two[1], BESIDE))
            && breaks
                .windows(2)
                .all(|two| is_near(two[0], two[1], BREAK_BESIDE))
    }
}
