//! Time: a moment is an `Instant`; a length is in milliseconds, because it may be negative (early,
//! late) and is averaged and filtered.

use std::time::{Duration, Instant};

/// From `from` to `to` in ms; negative where `to` is the earlier one.
pub(crate) fn ms_between(from: Instant, to: Instant) -> f64 {
    let ms = |length: Duration| length.as_secs_f64() * 1000.0;
    match to.checked_duration_since(from) {
        Some(length) => ms(length),
        None => -ms(from.duration_since(to)),
    }
}

/// The moment so many ms after `at`; before it where they are negative.
pub(crate) fn after_ms(at: Instant, ms: f64) -> Instant {
    if !ms.is_finite() {
        return at;
    }
    let length = Duration::from_nanos((ms.abs() * 1e6 + 0.5) as u64);
    let moved = if ms < 0.0 {
        at.checked_sub(length)
    } else {
        at.checked_add(length)
    };
    moved.unwrap_or(at)
}

/// The start of time in this crate's unit tests.
#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "the one place where the unit tests read the clock"
)]
pub(crate) fn test_origin() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_have_a_sign() {
        let start = test_origin() + Duration::from_secs(10);
        for ms in [-1500.0, -0.25, 0.0, 0.25, 1500.0] {
            let moved = after_ms(start, ms);
            assert!((ms_between(start, moved) - ms).abs() < 1e-6, "{ms}");
        }
        assert_eq!(after_ms(start, f64::NAN), start);
    }
}
