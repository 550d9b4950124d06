//! Slack: the least sound that was at hand lately, which the delay could do without.

use std::time::{Duration, Instant};

/// Half of the time that is remembered.
const WINDOW: Duration = Duration::from_millis(250);

/// The least of two windows.
pub(super) struct Slack {
    least_ms: [f64; 2],
    window_end: Option<Instant>,
}

impl Slack {
    pub(super) fn new() -> Self {
        Self {
            least_ms: [f64::INFINITY; 2],
            window_end: None,
        }
    }

    /// A talkspurt begins: what was before does not count.
    pub(super) fn begin(&mut self) {
        self.least_ms = [f64::INFINITY; 2];
    }

    /// So much sound is at hand after a read.
    pub(super) fn watch(&mut self, at_hand_ms: f64, now: Instant) {
        if self.window_end.is_none_or(|end| now >= end) {
            self.least_ms = [self.least_ms[1], f64::INFINITY];
            self.window_end = Some(now + WINDOW);
        }
        self.least_ms[1] = self.least_ms[1].min(at_hand_ms);
    }

    /// The least of the last quarter to half a second.
    pub(super) fn least_ms(&self) -> f64 {
        self.least_ms[0].min(self.least_ms[1])
    }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "values pass unchanged")]
mod tests {
    use super::*;
    use crate::time::test_origin;

    #[test]
    fn remembers_the_least_for_a_quarter_second() {
        let mut slack = Slack::new();
        let start = test_origin();
        for n in 0..100_u32 {
            let after = Duration::from_millis(5) * n;
            slack.watch(if n == 10 { 3.0 } else { 20.0 }, start + after);
            if (10..50).contains(&n) {
                assert_eq!(slack.least_ms(), 3.0, "{after:?}");
            }
        }
        slack.watch(20.0, start + Duration::from_millis(600));
        assert_eq!(slack.least_ms(), 20.0);
    }
}
