//! The time of day for things that happened: the sans-IO crates know only instants.
//!
//! ```text
//! Instant + (one instant whose time of day is known) ─▶ 2026-03-01T09:30:00Z
//! ```

use std::time::{Duration, Instant};

/// From 1900, where NTP begins, to 1970.
pub(crate) const NTP_TO_UNIX_S: u64 = 2_208_988_800;

/// The time of day of an instant in seconds since 1970. `known`: an instant and its time of day as
/// NTP 32.32.
pub(crate) fn unix_time(known: (Instant, u64), at: Instant) -> u64 {
    let (known, ntp) = known;
    let wall = (ntp >> 32).saturating_sub(NTP_TO_UNIX_S);
    let before = known.saturating_duration_since(at).as_secs();
    let since = at.saturating_duration_since(known).as_secs();
    (wall + since).saturating_sub(before)
}

/// One instant and its time of day.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WallClock {
    at: Instant,
    /// Seconds since 1970.
    unix_s: u64,
}

impl WallClock {
    /// `ntp`: the time of day at `at` as NTP 32.32.
    pub(crate) fn new(at: Instant, ntp: u64) -> Self {
        Self {
            at,
            unix_s: (ntp >> 32).saturating_sub(NTP_TO_UNIX_S),
        }
    }

    /// The time of day of an instant, in UTC (RFC 3339).
    pub(crate) fn text(&self, at: Instant) -> String {
        let unix_s = if at >= self.at {
            self.unix_s.saturating_add((at - self.at).as_secs())
        } else {
            let before = self.at - at + Duration::from_millis(999);
            self.unix_s.saturating_sub(before.as_secs())
        };
        let (days, second) = (unix_s / 86_400, unix_s % 86_400);
        let (year, month, day) = config::date(days as i64);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_day_are_those_of_the_calendar() {
        let at = crate::test_origin();
        for (unix_s, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_709_164_800, "2024-02-29T00:00:00Z"),
            (1_767_225_599, "2025-12-31T23:59:59Z"),
        ] {
            let clock = WallClock::new(at, (unix_s + NTP_TO_UNIX_S) << 32);
            assert_eq!(clock.text(at), text);
        }
    }

    #[test]
    fn instants_before_and_after_count_from_the_known_one() {
        let at = crate::test_origin() + Duration::from_secs(100);
        let clock = WallClock::new(at, (1000 + NTP_TO_UNIX_S) << 32);
        let text = |at| clock.text(at);
        assert_eq!(text(at + Duration::from_secs(5)), "1970-01-01T00:16:45Z");
        assert_eq!(
            text(at.checked_sub(Duration::from_secs(40)).unwrap()),
            "1970-01-01T00:16:00Z"
        );
    }
}
