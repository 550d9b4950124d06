//! Level in dBm0, so that status answers "can the far end hear me" with a number.
//!
//! ```text
//! samples ─▶ LevelMeter::push ─▶ … ─▶ take() once a second ─▶ dBm0
//! ```
//!
//! A full-scale sine is +3.14 dBm0 (ITU-T G.711: the overload point of the µ-law coder is +3.17, of
//! the A-law one +3.14; the A-law figure is used for all).

/// Level of a full-scale sine, dBm0.
#[expect(clippy::approx_constant, reason = "a level, not the circle's number")]
pub const FULL_SCALE_DBM0: f32 = 3.14;
/// What silence is called: below anything 16 bits can say.
pub const FLOOR_DBM0: f32 = -100.0;

/// Peak amplitude (0 to 32767) of a sine at a level.
pub fn amplitude_of(level_dbm0: f32) -> f32 {
    32_767.0 * 10f32.powf((level_dbm0 - FULL_SCALE_DBM0) / 20.0)
}

/// Level of a mean square of samples.
fn level_of(mean_square: f64) -> f32 {
    // A full-scale sine's mean square is half its squared peak.
    let relative = mean_square * 2.0 / (32_767.0 * 32_767.0);
    if relative <= 0.0 {
        return FLOOR_DBM0;
    }
    (10.0 * relative.log10() as f32 + FULL_SCALE_DBM0).max(FLOOR_DBM0)
}

/// Level of some samples, dBm0.
pub fn dbm0(samples: &[i16]) -> f32 {
    let mut meter = LevelMeter::new();
    meter.push(samples);
    meter.take()
}

/// Mean level over whatever was pushed since the last reading.
#[derive(Debug, Clone, Copy, Default)]
pub struct LevelMeter {
    sum: f64,
    count: u64,
}

/// Pairs of squares summed side by side, so that the compiler makes vector instructions of them.
const LANES: usize = 4;

impl LevelMeter {
    /// Nothing heard.
    pub fn new() -> Self {
        Self::default()
    }

    /// Hears samples.
    pub fn push(&mut self, samples: &[i16]) {
        // One less than the least i16, or the squares of a pair would not fit an i32.
        let square = |sample: i16| i32::from(sample.max(-i16::MAX)).pow(2);
        let (blocks, rest) = samples.as_chunks::<{ 2 * LANES }>();
        let mut sums = [0.0_f32; LANES];
        for block in blocks {
            let mut pairs = [0; LANES];
            for (n, pair) in pairs.iter_mut().enumerate() {
                *pair = square(block[2 * n]) + square(block[2 * n + 1]);
            }
            for (sum, pair) in sums.iter_mut().zip(pairs) {
                *sum += pair as f32;
            }
        }
        let rest: f32 = rest.iter().map(|&sample| square(sample) as f32).sum();
        self.sum += f64::from(sums.iter().sum::<f32>() + rest);
        self.count += samples.len() as u64;
    }

    /// The level so far, dBm0; [`FLOOR_DBM0`] for silence or nothing.
    pub fn level(&self) -> f32 {
        if self.count == 0 {
            return FLOOR_DBM0;
        }
        level_of(self.sum / self.count as f64)
    }

    /// The level so far; the measurement starts again.
    pub fn take(&mut self) -> f32 {
        let level = self.level();
        *self = Self::default();
        level
    }
}

#[cfg(test)]
#[expect(
    clippy::float_cmp,
    clippy::approx_constant,
    reason = "the floor is exact; 3.14 is a level"
)]
mod tests {
    use super::*;
    use crate::test_data::sine;

    #[test]
    fn a_sine_has_the_level_g711_gives_it() {
        for (amplitude, expected) in [
            (32_767.0, 3.14),
            (16_383.5, -2.88),
            (327.67, -36.86),
            (10.0, -67.17),
        ] {
            let level = dbm0(&sine(1000.0, 8000, amplitude, 8000));
            assert!(
                (level - expected).abs() < 0.1,
                "{amplitude}: {level} dBm0, expected {expected}"
            );
            assert!((amplitude_of(expected) - amplitude as f32).abs() < 0.01 * amplitude as f32);
        }
    }

    #[test]
    fn silence_is_the_floor_and_full_scale_does_not_overflow() {
        assert_eq!(dbm0(&[]), FLOOR_DBM0);
        assert_eq!(dbm0(&[0; 160]), FLOOR_DBM0);
        // A square of full scale is 3 dB above the sine.
        let level = dbm0(&vec![i16::MIN; 48_000]);
        assert!((level - (FULL_SCALE_DBM0 + 3.01)).abs() < 0.01, "{level}");
    }

    #[test]
    fn taking_starts_again() {
        let mut meter = LevelMeter::new();
        meter.push(&sine(1000.0, 8000, 8000.0, 800));
        meter.push(&sine(1000.0, 8000, 8000.0, 800));
        let level = meter.level();
        assert_eq!(meter.take(), level);
        assert_eq!(meter.take(), FLOOR_DBM0);
    }
}
