//! The value of a sound between two of its samples: a windowed sinc, tabulated.
//!
//! ```text
//! 16 samples, 7 of them before ─▶ row of the table for the place (linearly between two rows) ─▶ value
//! ```

use crate::resample::whole;

/// Taps of the filter.
pub(crate) const TAPS: usize = 16;
/// Products summed side by side: a divisor of [`TAPS`].
const LANES: usize = 4;
/// Samples of sound before the one that a value lies after.
pub(crate) const BEFORE: usize = TAPS / 2 - 1;
const PHASES: usize = 64;

/// The table.
pub(crate) struct Interpolator {
    table: Box<[[f32; TAPS]; PHASES + 1]>,
}

impl Interpolator {
    pub(crate) fn new() -> Self {
        let mut table = Box::new([[0.0; TAPS]; PHASES + 1]);
        for (phase, row) in table.iter_mut().enumerate() {
            let fraction = phase as f64 / PHASES as f64;
            let mut sum = 0.0;
            for (tap, out) in row.iter_mut().enumerate() {
                let x = tap as f64 - BEFORE as f64 - fraction;
                let sinc = if x.abs() < 1e-9 {
                    1.0
                } else {
                    (std::f64::consts::PI * x).sin() / (std::f64::consts::PI * x)
                };
                let w = x / (TAPS as f64 / 2.0);
                let window = if w.abs() >= 1.0 {
                    0.0
                } else {
                    0.42 + 0.5 * (std::f64::consts::PI * w).cos()
                        + 0.08 * (2.0 * std::f64::consts::PI * w).cos()
                };
                *out = (sinc * window) as f32;
                sum += sinc * window;
            }
            for out in row.iter_mut() {
                *out /= sum as f32;
            }
        }
        Self { table }
    }

    /// The value `fraction` (0 to 1) after `sound[BEFORE]`; `sound` is [`TAPS`] long.
    pub(crate) fn value(&self, sound: &[i16], fraction: f64) -> i16 {
        whole(self.between(sound, fraction))
    }

    /// The same, not rounded.
    pub(crate) fn between<S: Copy + Into<f32>>(&self, sound: &[S], fraction: f64) -> f32 {
        let phase = fraction * PHASES as f64;
        let index = (phase as usize).min(PHASES - 1);
        let part = (phase - index as f64) as f32;
        let (low, high) = (&self.table[index], &self.table[index + 1]);
        let (sound, _) = sound.as_chunks::<LANES>();
        let (low, high) = (low.as_chunks::<LANES>().0, high.as_chunks::<LANES>().0);
        let mut sums = [0.0; LANES];
        for (x, (a, b)) in sound.iter().zip(low.iter().zip(high)) {
            sums = std::array::from_fn(|n| sums[n] + x[n].into() * (a[n] + (b[n] - a[n]) * part));
        }
        (sums[0] + sums[1]) + (sums[2] + sums[3])
    }
}
