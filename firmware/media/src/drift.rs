//! Two clocks that should agree and do not: how far apart they are, how fast they part, and the
//! one-sample slips that correct it.
//!
//! ```text
//! (local ms − remote ms) of each packet ─▶ Floor: least of the last seconds ─▶ playout delay is counted from here
//!                                             └─▶ Skew: slow PI filter ─▶ ppm ─▶ Slip: insert or drop one sample, sinc-interpolated
//! ```
//!
//! Transit times only ever grow on their way (queues, late wake-ups), so the least one seen is
//! the clocks, and the rest is jitter. The same two filters serve the far end's RTP clock (against
//! `now`) and the card's frame clock (against `now`).

use std::time::{Duration, Instant};

use crate::interpolate::{BEFORE, Interpolator, TAPS};
use crate::time::ms_between;

/// Sub-windows of a [`Floor`].
const WINDOWS: usize = 8;

/// The least of a value over a sliding time window.
#[derive(Debug, Clone)]
pub(crate) struct Floor {
    least: [f64; WINDOWS],
    at: usize,
    window: Duration,
    window_end: Option<Instant>,
    lowest: f64,
}

impl Floor {
    /// A window of `span` in all.
    pub(crate) fn new(span: Duration) -> Self {
        Self {
            least: [f64::INFINITY; WINDOWS],
            at: 0,
            window: span / WINDOWS as u32,
            window_end: None,
            lowest: f64::INFINITY,
        }
    }

    /// Takes a value seen at `now`.
    pub(crate) fn add(&mut self, value: f64, now: Instant) {
        if self.window_end.is_none_or(|end| now >= end) {
            if let Some(end) = self.window_end {
                // A pause of the sender ages the window by as many steps as it lasted, at most all
                // of them.
                let windows = (now - end).as_nanos() / self.window.as_nanos().max(1);
                let steps = windows.min(WINDOWS as u128 - 1) as usize + 1;
                for _ in 0..steps {
                    self.at = (self.at + 1) % WINDOWS;
                    self.least[self.at] = f64::INFINITY;
                }
            }
            self.window_end = Some(now + self.window);
            self.lowest = self.least.iter().copied().fold(value, f64::min);
        }
        let slot = &mut self.least[self.at];
        *slot = slot.min(value);
        self.lowest = self.lowest.min(value);
    }

    /// The floor, once anything was seen.
    pub(crate) fn get(&self) -> Option<f64> {
        Some(self.lowest).filter(|f| f.is_finite())
    }

    /// Forgets everything.
    pub(crate) fn reset(&mut self) {
        self.least = [f64::INFINITY; WINDOWS];
        self.window_end = None;
        self.lowest = f64::INFINITY;
    }
}

/// How often the skew filter looks.
const LOOK: Duration = Duration::from_secs(4);
/// A step of the transit floor larger than this is a new route or a restarted clock, not drift.
const STEP_MS: f64 = 8.0;
/// No two oscillators in telephones are further apart: each may be off by 500 ppm, and some are by
/// more.
const MAX_PPM: f64 = 1500.0;

/// A slow PI filter over the transit floor: its slope is the difference of the two clocks.
#[derive(Debug, Clone)]
pub(crate) struct Skew {
    /// The least transit of this look, and when it was seen.
    least: Option<(f64, Instant)>,
    look_end: Option<Instant>,
    phase: Option<(f64, Instant)>,
    ppm: f64,
    looks: u32,
}

impl Skew {
    /// Two clocks believed equal.
    pub(crate) fn new() -> Self {
        Self {
            least: None,
            look_end: None,
            phase: None,
            ppm: 0.0,
            looks: 0,
        }
    }

    /// Takes the transit (local − remote, ms) seen at `now`.
    pub(crate) fn add(&mut self, transit: f64, now: Instant) {
        if self.least.is_none_or(|(least, _)| transit < least) {
            self.least = Some((transit, now));
        }
        if self.look_end.is_some_and(|end| now < end) {
            return;
        }
        if self.look_end.is_some()
            && let Some((value, at)) = self.least
        {
            self.look(value, at);
        }
        self.look_end = Some(now + LOOK);
        self.least = None;
    }

    fn look(&mut self, value: f64, at: Instant) {
        let Some((phase, phase_at)) = self.phase else {
            self.phase = Some((value, at));
            return;
        };
        let elapsed = ms_between(phase_at, at);
        if elapsed <= 0.0 {
            return;
        }
        let predicted = phase + elapsed * self.ppm * 1e-6;
        let error = value - predicted;
        if error.abs() > STEP_MS {
            self.phase = Some((value, at));
            return;
        }
        // Quick at first, then slow: the proportional gain falls from 0.6 to 0.15, the integral one
        // keeps the loop critically damped.
        self.looks = self.looks.saturating_add(1);
        let kp = (1.2 / f64::from(self.looks + 1)).max(0.15);
        let ki = kp * kp / 4.0;
        self.ppm = (self.ppm + ki * error / elapsed * 1e6).clamp(-MAX_PPM, MAX_PPM);
        self.phase = Some((predicted + kp * error, at));
    }

    /// How much faster local time runs than the remote clock counts, in parts per million.
    /// Positive: the remote clock is slow.
    pub(crate) fn ppm(&self) -> f64 {
        self.ppm
    }

    /// The clocks jumped: keeps the slope, forgets the phase.
    pub(crate) fn jumped(&mut self) {
        self.phase = None;
        self.least = None;
        self.look_end = None;
    }
}

/// The card's frame clock against `now`: smooths the wake-up jitter of the audio thread out of
/// time.
#[derive(Debug, Clone)]
pub(crate) struct CardClock {
    rate_hz: u32,
    period_frames: usize,
    /// The first period, from which both clocks are counted.
    origin: Option<Instant>,
    played: u64,
    floor: Floor,
    skew: Skew,
}

impl CardClock {
    pub(crate) fn new(rate_hz: u32, period_frames: usize) -> Self {
        Self {
            rate_hz,
            period_frames,
            origin: None,
            played: 0,
            floor: Floor::new(Duration::from_secs(1)),
            skew: Skew::new(),
        }
    }

    /// One period passed at `now`; by how many ms that is late, free of which is the time it truly
    /// began.
    pub(crate) fn tick(&mut self, now: Instant) -> f64 {
        let origin = *self.origin.get_or_insert(now);
        let played_ms = self.played as f64 * 1000.0 / f64::from(self.rate_hz);
        let transit = ms_between(origin, now) - played_ms;
        self.floor.add(transit, now);
        self.skew.add(transit, now);
        self.played += self.period_frames as u64;
        transit - self.floor.get().unwrap_or(transit)
    }

    /// Sound was lost or repeated: counting starts again from here.
    pub(crate) fn jumped(&mut self) {
        self.floor.reset();
        self.skew.jumped();
    }

    /// How much slower than `now` the card runs, in ppm.
    pub(crate) fn ppm(&self) -> f64 {
        self.skew.ppm()
    }
}

/// Drops or repeats a single sample by bending time evenly over a stretch of sound.
pub(crate) struct Slip {
    between: Interpolator,
    pending: f64,
}

impl Slip {
    pub(crate) fn new() -> Self {
        Self {
            between: Interpolator::new(),
            pending: 0.0,
        }
    }

    /// `samples` went by while sound piles up by `ppm`. The whole samples to drop now (positive) or
    /// repeat (negative): −1, 0 or 1.
    pub(crate) fn advance(&mut self, samples: usize, ppm: f64) -> i32 {
        self.pending = (self.pending + samples as f64 * ppm * 1e-6).clamp(-3.0, 3.0);
        if self.pending >= 1.0 {
            1
        } else if self.pending <= -1.0 {
            -1
        } else {
            0
        }
    }

    /// A slip was made.
    pub(crate) fn applied(&mut self, samples: i32) {
        self.pending -= f64::from(samples);
    }

    /// Nothing is pending any more.
    pub(crate) fn reset(&mut self) {
        self.pending = 0.0;
    }

    /// Fills `out` with `input[before..before + out.len() + drop]` squeezed (`drop` = 1) or
    /// stretched (−1) to `out.len()`. `input` must have `TAPS` samples of sound on either side of
    /// that range; returns `false`, and does nothing, if not.
    pub(crate) fn bend(&self, input: &[i16], before: usize, drop: i32, out: &mut [i16]) -> bool {
        let consumed = out.len() as i64 + i64::from(drop);
        if before < TAPS
            || consumed <= 0
            || out.is_empty()
            || input.len() < before + consumed as usize + TAPS
        {
            return false;
        }
        let step = consumed as f64 / out.len() as f64;
        for (n, y) in out.iter_mut().enumerate() {
            let position = n as f64 * step;
            let whole = position as usize;
            let first = before + whole - BEFORE;
            let sound = &input[first..first + TAPS];
            *y = self.between.value(sound, position - whole as f64);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::{after_ms, test_origin};

    #[test]
    fn floor_forgets_after_its_window_and_drops_at_once() {
        let start = test_origin();
        let mut floor = Floor::new(Duration::from_millis(800));
        for i in 0..100 {
            let now = after_ms(start, f64::from(i) * 20.0);
            floor.add(if i == 10 { 2.0 } else { 5.0 }, now);
            let want = if (10..45).contains(&i) {
                2.0
            } else if !(10..=60).contains(&i) {
                5.0
            } else {
                continue;
            };
            assert!(
                (floor.get().unwrap() - want).abs() < 1e-9,
                "packet {i}: {:?}",
                floor.get()
            );
        }
    }

    #[test]
    fn skew_finds_200_ppm_under_jitter_within_minutes() {
        for sign in [-1.0, 1.0] {
            let (start, mut skew) = (test_origin(), Skew::new());
            let mut seed = 1u32;
            for i in 0..(10 * 60 * 50) {
                let t = f64::from(i) * 20.0;
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let jitter = f64::from(seed >> 16) / 65536.0 * 10.0;
                skew.add(t * sign * 200e-6 + jitter, after_ms(start, t + jitter));
            }
            assert!((skew.ppm() - sign * 200.0).abs() < 15.0, "{}", skew.ppm());
        }
    }

    #[test]
    fn a_new_route_is_not_drift() {
        let (start, mut skew) = (test_origin(), Skew::new());
        for i in 0..15_000 {
            let t = f64::from(i) * 20.0;
            skew.add(if i > 7000 { 60.0 } else { 20.0 }, after_ms(start, t));
        }
        assert!(skew.ppm().abs() < 1.0, "{}", skew.ppm());
    }

    #[test]
    fn card_clock_hides_late_wake_ups() {
        let (start, mut clock) = (test_origin(), CardClock::new(8000, 40));
        for i in 0..2000 {
            let late = if i % 7 == 0 { 3.0 } else { 0.0 };
            let now = after_ms(start, f64::from(i) * 5.0 + late);
            let at = ms_between(start, now) - clock.tick(now);
            if i > 10 {
                assert!((at - f64::from(i) * 5.0).abs() < 0.01, "{i}: {at}");
            }
        }
    }

    #[test]
    fn a_slip_keeps_a_tone_clean() {
        let slip = Slip::new();
        let tone = |n: f64, hz: f64| (n * hz / 8000.0 * std::f64::consts::TAU).sin() * 10_000.0;
        for hz in [400.0, 1500.0, 3000.0] {
            for drop in [-1, 1] {
                let input: Vec<i16> = (0..240)
                    .map(|n| tone(f64::from(n), hz).round() as i16)
                    .collect();
                let mut out = [0i16; 160];
                assert!(slip.bend(&input, 32, drop, &mut out));
                let step = (160.0 + f64::from(drop)) / 160.0;
                let error: f64 = out
                    .iter()
                    .enumerate()
                    .map(|(n, &y)| (f64::from(y) - tone(32.0 + n as f64 * step, hz)).powi(2))
                    .sum();
                let signal: f64 = out.iter().map(|&y| f64::from(y).powi(2)).sum();
                let snr = 10.0 * (signal / error).log10();
                assert!(
                    snr > if hz < 2000.0 { 55.0 } else { 30.0 },
                    "{hz} Hz: {snr} dB"
                );
            }
        }
    }
}
