//! A digital gain: changed without a click, and what gets too loud is bent instead of clipped.

use crate::mixer::soft;

/// How much of the way to a new gain is left after each period: about 20 ms at 5 ms periods.
const GLIDE: f32 = 0.5;
/// Below this difference the new gain is reached.
const NEAR: f32 = 1e-3;

/// A gain and the one it glides to.
#[derive(Debug, Clone)]
pub(crate) struct Gain {
    now: f32,
    target: f32,
}

impl Gain {
    /// Sound passes as it is.
    pub(crate) fn new() -> Self {
        Self {
            now: 1.0,
            target: 1.0,
        }
    }

    /// A new gain in dB, reached within some periods.
    pub(crate) fn set_db(&mut self, db: i8) {
        self.target = 10f32.powf(f32::from(db) / 20.0);
    }

    /// A gain that counts at once, as a factor.
    pub(crate) fn begin_at(&mut self, factor: f32) {
        self.now = factor;
    }

    /// One period of sound. At 0 dB it passes bit by bit.
    pub(crate) fn apply(&mut self, sound: &mut [i16]) {
        self.apply_gliding(sound, GLIDE);
    }

    /// The same, with so much of the way left after the period.
    pub(crate) fn apply_gliding(&mut self, sound: &mut [i16], left: f32) {
        let from = self.now;
        let mut to = self.target + (from - self.target) * left;
        if (to - self.target).abs() < NEAR {
            to = self.target;
        }
        self.now = to;
        if from.to_bits() == 1f32.to_bits() && to.to_bits() == 1f32.to_bits() {
            return;
        }
        let step = (to - from) / sound.len().max(1) as f32;
        let mut gain = from;
        for x in sound {
            gain += step;
            *x = soft((f32::from(*x) * gain) as i32);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn none_changes_no_bit() {
        let mut gain = Gain::new();
        let mut sound = [i16::MIN, -24_001, 0, 1, 30_000, i16::MAX];
        let before = sound;
        gain.apply(&mut sound);
        assert_eq!(sound, before);
    }

    #[test]
    fn a_new_gain_is_reached_without_a_step_and_never_wraps() {
        let mut gain = Gain::new();
        for (db, expected) in [(6, 1995.3_f32), (-20, 100.0), (0, 1000.0)] {
            gain.set_db(db);
            let mut last = None;
            for _ in 0..40 {
                let mut sound = [1000; 240];
                gain.apply(&mut sound);
                for x in sound {
                    let step = last.map_or(0, |last: i16| (x - last).abs());
                    assert!(step <= 8, "{db} dB: a step of {step}");
                    last = Some(x);
                }
            }
            let reached = f32::from(last.unwrap());
            assert!(
                (reached / expected - 1.0).abs() < 0.01,
                "{db} dB: {reached}"
            );
        }
        gain.set_db(30);
        for _ in 0..40 {
            let mut sound = [20_000, -20_000];
            gain.apply(&mut sound);
            assert!(sound[0] > 0 && sound[1] < 0, "{sound:?}");
        }
    }
}
