//! Which time certificates are judged by. A board without a battery starts in 1970, and then every
//! certificate is "not yet valid": the phone takes the time it was built for the least it can be,
//! and says so where that is not enough.
//!
//! ```text
//! system clock ──┬─▶ max ─▶ the time rustls judges by
//! build date ────┘
//! kernel: set by the network? ─▶ Trust ─▶ words of an error, and "try again now" when the clock is set at last
//! ```

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustls::pki_types::UnixTime;
use rustls::time_provider::TimeProvider;

/// When this program was built, in seconds since 1970 (see `build.rs`).
const BUILT: &str = env!("OFFHOOK_BUILT");
/// A step of the clock that is more than drift.
const STEP: Duration = Duration::from_secs(5);

/// How far the system's clock can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trust {
    /// The network set it.
    Set,
    /// No one set it since the start, as far as the kernel knows.
    Unset,
    /// It says a time before this program was built.
    Impossible,
}

/// The rules, without a clock of their own.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    floor: Duration,
}

impl Clock {
    /// With the build date as the floor.
    pub(crate) fn built() -> Self {
        Self::with_floor(BUILT.parse().unwrap_or(0))
    }

    pub(crate) fn with_floor(seconds: u64) -> Self {
        Self {
            floor: Duration::from_secs(seconds),
        }
    }

    /// The time to judge by, where the system's clock says this (since 1970).
    pub(crate) fn judged(self, system: Duration) -> Duration {
        system.max(self.floor)
    }

    /// How far that clock can be trusted; `synchronised` is the kernel's word for it.
    pub(crate) fn trust(self, system: Duration, synchronised: bool) -> Trust {
        if system < self.floor {
            Trust::Impossible
        } else if synchronised {
            Trust::Set
        } else {
            Trust::Unset
        }
    }

    /// What this system's clock says now, and how far it can be trusted.
    pub(crate) fn read(self) -> (Duration, Trust) {
        let system = since_1970(SystemTime::now());
        (system, self.trust(system, synchronised()))
    }
}

/// A clock before 1970 is one that was never set.
fn since_1970(time: SystemTime) -> Duration {
    time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO)
}

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(
            self.judged(since_1970(SystemTime::now())),
        ))
    }
}

/// Notices that the clock was set: what failed for want of the time is tried again at once.
#[derive(Debug)]
pub(crate) struct Watch {
    /// The two clocks when looked at last.
    last: (Instant, Duration),
    trust: Trust,
}

impl Watch {
    pub(crate) fn new(now: Instant, system: Duration, trust: Trust) -> Self {
        Self {
            last: (now, system),
            trust,
        }
    }

    /// Looks at the clock; whether it stepped, or came to be trusted, since the last look.
    pub(crate) fn look(&mut self, now: Instant, system: Duration, trust: Trust) -> bool {
        let expected = self.last.1 + now.saturating_duration_since(self.last.0);
        let stepped = system.abs_diff(expected) > STEP;
        let believed = trust == Trust::Set && self.trust != Trust::Set;
        self.last = (now, system);
        self.trust = trust;
        stepped || believed
    }
}

/// Whether the kernel's clock was set by a time server: its own word, which every NTP program
/// keeps.
#[expect(
    unsafe_code,
    reason = "one call into the kernel that nix does not have"
)]
fn synchronised() -> bool {
    // SAFETY: a zeroed timex asks for nothing to be changed; it outlives the call.
    let mut about: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: as above.
    let state = unsafe { libc::adjtimex(&raw mut about) };
    state >= 0 && state != libc::TIME_ERROR && about.status & libc::STA_UNSYNC == 0
}

/// A day as people write it: `2031-05-09`.
pub(crate) fn date(since_1970: Duration) -> String {
    // Days from 1 March 0000 make every year end with its leap day.
    let days = since_1970.as_secs() / 86_400 + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let of_month = of_year - (153 * month + 2) / 5 + 1;
    let (month, later) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    format!("{:04}-{month:02}-{of_month:02}", era * 400 + year + later)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLOOR: u64 = 1_760_000_000;

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_clock_from_1970_judges_by_the_build_date() {
        let clock = Clock::with_floor(FLOOR);
        assert_eq!(clock.judged(s(40)), s(FLOOR));
        assert_eq!(clock.judged(s(FLOOR + 40)), s(FLOOR + 40));
        assert_eq!(clock.trust(s(40), false), Trust::Impossible);
        assert_eq!(clock.trust(s(40), true), Trust::Impossible);
        assert_eq!(clock.trust(s(FLOOR + 40), false), Trust::Unset);
        assert_eq!(clock.trust(s(FLOOR + 40), true), Trust::Set);
    }

    #[test]
    fn this_build_knows_its_date() {
        let built = Clock::built().judged(Duration::ZERO);
        assert!(built > s(1_700_000_000), "OFFHOOK_BUILT is {BUILT}");
        let now = Clock::built().current_time().unwrap().as_secs();
        assert!(now >= built.as_secs());
    }

    #[test]
    fn setting_the_clock_is_noticed_once_and_drift_is_not() {
        let start = Instant::now();
        let mut watch = Watch::new(start, s(100), Trust::Impossible);
        assert!(!watch.look(start + s(10), s(110), Trust::Impossible));
        assert!(
            !watch.look(start + s(20), s(123), Trust::Impossible),
            "three seconds are drift"
        );
        assert!(
            watch.look(start + s(30), s(FLOOR), Trust::Unset),
            "it stepped"
        );
        assert!(
            watch.look(start + s(31), s(FLOOR + 1), Trust::Set),
            "it is trusted now"
        );
        assert!(!watch.look(start + s(32), s(FLOOR + 2), Trust::Set));
        assert!(
            watch.look(start + s(33), s(FLOOR - 600), Trust::Set),
            "it stepped back"
        );
    }

    #[test]
    fn days_are_written_as_people_do() {
        for (seconds, day) in [
            (0, "1970-01-01"),
            (951_782_400, "2000-02-29"),
            (1_709_164_800, "2024-02-29"),
            (1_735_689_599, "2024-12-31"),
            (4_102_444_800, "2100-01-01"),
        ] {
            assert_eq!(date(s(seconds)), day);
        }
    }
}
