//! Finds how long after it was written the loudspeaker's sound comes back to the microphone.
//!
//! ```text
//! both at 4 kHz ─▶ windows of 512 ms, each 64 ms at first ─▶ cross spectrum, whitened (PHAT), smoothed ─▶ IFFT ─▶ peak
//! ```

use crate::spectrum::{Bin, Transform, ZERO};

/// Rate at which the two are compared, in Hz.
const RATE_HZ: u32 = 4_000;
/// Samples of a window; the microphone's fills its later half, so that lags up to half of it are
/// exact.
const WINDOW: usize = 2048;
const HALF: usize = WINDOW / 2;
/// From one window to the next: the sooner the delay is known, the sooner the filter can learn.
const STEP: usize = 256;
/// Once it is known, one window in so many is looked at.
const KNOWN_STEPS: i32 = 4;
/// Largest delay sought: 250 ms.
const MOST: usize = HALF * 250 / 256;
/// How much the past windows count at each step: 0.7 over the four steps after which one shares
/// nothing of the microphone with this one.
const KEEP: f32 = 0.915;
/// A peak is this much above the mean square of all lags, or it is none.
const CLEAR: f32 = 60.0;
/// Least mean square of either sound to say anything: −55 dB below full scale.
const LEAST_POWER: f32 = 3_000.0;

/// The search and its memory.
pub(super) struct DelaySearch {
    /// Samples of the given rate for one of ours.
    factor: usize,
    sums: (f32, f32),
    summed: usize,
    reference: Box<[f32]>,
    microphone: Box<[f32]>,
    filled: usize,
    /// Steps since the last look, and whether a delay was found since the search began again.
    steps: i32,
    known: bool,
    transform: Transform,
    time: Box<[f32]>,
    spectra: [Box<[Bin]>; 2],
    cross: Box<[Bin]>,
}

impl DelaySearch {
    pub(super) fn new(rate_hz: u32) -> Self {
        let bins = || vec![ZERO; HALF + 1].into_boxed_slice();
        Self {
            factor: (rate_hz / RATE_HZ).max(1) as usize,
            sums: (0.0, 0.0),
            summed: 0,
            reference: vec![0.0; WINDOW].into(),
            microphone: vec![0.0; HALF].into(),
            filled: 0,
            steps: 0,
            known: false,
            transform: Transform::new(WINDOW),
            time: vec![0.0; WINDOW].into(),
            spectra: [bins(), bins()],
            cross: bins(),
        }
    }

    /// What was found belongs to a way that is no more.
    pub(super) fn reset(&mut self) {
        self.cross.fill(ZERO);
        self.reference.fill(0.0);
        self.microphone.fill(0.0);
        self.filled = 0;
        self.known = false;
    }

    /// Takes both sounds of the same time, undelayed; `Some(samples)` of the given rate: the delay,
    /// when it is clear.
    pub(super) fn push(&mut self, reference: &[f32], microphone: &[f32]) -> Option<usize> {
        let mut found = None;
        for (x, d) in reference.iter().zip(microphone) {
            self.sums.0 += x;
            self.sums.1 += d;
            self.summed += 1;
            if self.summed == self.factor {
                let scale = 1.0 / self.factor as f32;
                self.reference[WINDOW - STEP + self.filled] = self.sums.0 * scale;
                self.microphone[HALF - STEP + self.filled] = self.sums.1 * scale;
                (self.sums, self.summed) = ((0.0, 0.0), 0);
                self.filled += 1;
                if self.filled == STEP {
                    self.filled = 0;
                    self.steps += 1;
                    if !self.known || self.steps >= KNOWN_STEPS {
                        found = self.compare(KEEP.powi(self.steps));
                        self.steps = 0;
                        self.known |= found.is_some();
                    }
                    self.reference.copy_within(STEP.., 0);
                    self.microphone.copy_within(STEP.., 0);
                }
            }
        }
        found.map(|lag| lag * self.factor)
    }

    /// Looks at the newest window; `keep`: how much of the past ones counts.
    fn compare(&mut self, keep: f32) -> Option<usize> {
        let power = |sound: &[f32]| sound.iter().map(|x| x * x).sum::<f32>() / sound.len() as f32;
        if power(&self.reference) < LEAST_POWER || power(&self.microphone) < LEAST_POWER / 1000.0 {
            return None;
        }
        let [x, d] = &mut self.spectra;
        self.time.copy_from_slice(&self.reference);
        self.transform.forward(&self.time, x);
        self.time[..HALF].fill(0.0);
        self.time[HALF..].copy_from_slice(&self.microphone);
        self.transform.forward(&self.time, d);
        for ((cross, x), d) in self.cross.iter_mut().zip(x.iter()).zip(d.iter()) {
            let product = x.conj() * d;
            let white = product / (product.norm_sqr().sqrt() + 1e-3);
            *cross = *cross * keep + white * (1.0 - keep);
        }
        x.copy_from_slice(&self.cross);
        self.transform.inverse(x, &mut self.time);
        let lags = &self.time[..MOST];
        let (lag, peak) = lags
            .iter()
            .enumerate()
            .map(|(lag, value)| (lag, value * value))
            .max_by(|a, b| a.1.total_cmp(&b.1))?;
        (peak > CLEAR * power(lags)).then_some(lag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_data::Rng;

    /// Noise that comes and goes, and itself so many samples later.
    fn run(search: &mut DelaySearch, delay: usize, gain: f32, seconds: usize) -> Option<usize> {
        let mut random = Rng::new(5);
        let noise: Vec<f32> = (0..16_000 * seconds)
            .map(|n| random.normal() as f32 * if n / 3_000 % 3 == 0 { 300.0 } else { 3_000.0 })
            .collect();
        let mut found = None;
        for at in (0..noise.len()).step_by(80) {
            let echo: Vec<f32> = (at..at + 80)
                .map(|n| {
                    n.checked_sub(delay).map_or(0.0, |n| noise[n]) * gain
                        + random.normal() as f32 * 100.0
                })
                .collect();
            found = search.push(&noise[at..at + 80], &echo).or(found);
        }
        found
    }

    #[test]
    fn finds_delays_up_to_200_ms_within_two_seconds() {
        for ms in [0, 8, 37, 90, 200] {
            let mut search = DelaySearch::new(16_000);
            let found = run(&mut search, ms * 16, 0.3, 2).expect("a delay");
            assert!(found.abs_diff(ms * 16) <= 8, "{ms} ms: {found} samples");
        }
    }

    #[test]
    fn without_echo_there_is_no_delay() {
        let mut search = DelaySearch::new(16_000);
        assert_eq!(run(&mut search, 500, 0.0, 6), None);
    }

    #[test]
    fn follows_a_delay_that_changes() {
        let mut search = DelaySearch::new(16_000);
        run(&mut search, 320, 0.3, 3);
        let found = run(&mut search, 1_600, 0.3, 3).expect("a delay");
        assert!(found.abs_diff(1_600) <= 8, "{found}");
    }
}
