//! A gate: between what is said the microphone is closed, and the far end hears a soft noise of its
//! level in place of the room, so that the line does not seem dead.
//!
//! ```text
//! level of a period ─▶ above the floor? ─┬ yes: opens within 5 ms
//!                                        └ no, for 300 ms: closes in 100 ms ─▶ room − 24 dB + comfort noise
//! ```

use crate::level::{FLOOR_DBM0, amplitude_of, dbm0};

/// Talk is at least this far above the floor, in dB, and at least this loud, in dBm0.
const ABOVE_FLOOR_DB: f32 = 9.0;
const QUIETEST_TALK_DBM0: f32 = -55.0;
/// How fast the floor rises, in dB a second; it falls at once.
const FLOOR_RISE_DB: f32 = 1.5;
/// The floor never rises above this: talk without a pause would be taken for room noise.
const LOUDEST_FLOOR_DBM0: f32 = -38.0;
/// Stays open after talk, in seconds: longer than the pauses within a word.
const HOLD_S: f32 = 0.3;
/// How long opening and closing take, in seconds.
const OPEN_S: f32 = 0.005;
const CLOSE_S: f32 = 0.1;
/// Gain when closed (−24 dB).
const CLOSED: f32 = 0.063;
/// How far the comfort noise is below the floor, in dB, and its bounds, in dBm0.
const NOISE_BELOW_DB: f32 = 8.0;
const NOISE_DBM0: std::ops::RangeInclusive<f32> = -75.0..=-52.0;
/// The noise falls with frequency, as that of rooms does: coefficient of its low-pass at 16 kHz.
const SOFT: f32 = 0.35;

/// The gate and its memory.
pub(super) struct NoiseGate {
    period_s: f32,
    frames: usize,
    floor_dbm0: f32,
    hold_s: f32,
    /// 1: open, 0: closed.
    open: f32,
    seed: u32,
    soft: f32,
    /// RMS of the noise when closed, as its level is now.
    noise: f32,
    coefficient: f32,
}

impl NoiseGate {
    pub(super) fn new(rate_hz: u32, period_frames: usize) -> Self {
        Self {
            period_s: period_frames as f32 / rate_hz as f32,
            frames: period_frames,
            floor_dbm0: QUIETEST_TALK_DBM0 - ABOVE_FLOOR_DB,
            hold_s: 0.0,
            open: 0.0,
            seed: 0x2545_F491,
            soft: 0.0,
            noise: 0.0,
            coefficient: (SOFT * 16_000.0 / rate_hz as f32).min(1.0),
        }
    }

    pub(super) fn process(&mut self, sound: &mut [i16]) {
        let level = dbm0(sound);
        // The digital silence of a muted microphone says nothing about the room's noise.
        if level > FLOOR_DBM0 {
            self.floor_dbm0 = level
                .min(self.floor_dbm0 + FLOOR_RISE_DB * self.period_s)
                .min(LOUDEST_FLOOR_DBM0);
        }
        if level > (self.floor_dbm0 + ABOVE_FLOOR_DB).max(QUIETEST_TALK_DBM0) {
            self.hold_s = HOLD_S;
        } else {
            self.hold_s -= self.period_s;
        }
        let wanted: f32 = if self.hold_s > 0.0 { 1.0 } else { 0.0 };
        let length_s = if wanted > self.open { OPEN_S } else { CLOSE_S };
        let step = (wanted - self.open).signum() / (length_s * self.frames as f32 / self.period_s);
        let noise_dbm0 =
            (self.floor_dbm0 - NOISE_BELOW_DB).clamp(*NOISE_DBM0.start(), *NOISE_DBM0.end());
        // Uniform noise spans √3 of its RMS; the low-pass leaves c / (2 − c) of its power.
        let passed = (self.coefficient / (2.0 - self.coefficient)).sqrt();
        let rms = amplitude_of(noise_dbm0) / std::f32::consts::SQRT_2;
        self.noise = rms * 3f32.sqrt() / passed;
        if self.open >= 1.0 && wanted > 0.0 {
            return;
        }
        for sample in sound {
            self.open = if (wanted - self.open).abs() <= step.abs() {
                wanted
            } else {
                self.open + step
            };
            let gain = CLOSED + (1.0 - CLOSED) * self.open;
            let noise = (1.0 - self.open) * self.random() * self.noise;
            // `as` saturates.
            *sample = f32::from(*sample).mul_add(gain, noise).round() as i16;
        }
    }

    /// Soft noise, uniform between −1 and 1 before its low-pass.
    fn random(&mut self) -> f32 {
        self.seed = self
            .seed
            .wrapping_mul(1_664_525)
            .wrapping_add(1_013_904_223);
        let white = (self.seed >> 16) as f32 / 32_768.0 - 1.0;
        self.soft += (white - self.soft) * self.coefficient;
        self.soft
    }
}
