//! Brings talk to one level, whoever talks and from how far: slowly, so that a sentence keeps its
//! stress, and never so that it is clipped.
//!
//! ```text
//! level of a period ─▶ talk? ─▶ level of talk over seconds ─▶ gain, a few dB a second ─▶ limiter
//! ```

use crate::level::{FULL_SCALE_DBM0, dbm0};

/// Level talk is brought to, dBm0 (about −26 dB below overload, as recordings for tests have it).
const TARGET_DBM0: f32 = -20.0;
/// Gain in dB.
const GAIN_DB: std::ops::RangeInclusive<f32> = -9.0..=15.0;
/// How fast the gain rises and falls, in dB a second.
const RISE_DB: f32 = 2.5;
const FALL_DB: f32 = 8.0;
/// Talk is at least this far above the floor, in dB, and at least this loud, in dBm0.
const ABOVE_FLOOR_DB: f32 = 12.0;
const QUIETEST_TALK_DBM0: f32 = -50.0;
/// How fast the floor rises, in dB a second.
const FLOOR_RISE_DB: f32 = 1.5;
/// Time over which the level of talk is known, in seconds.
const MEMORY_S: f32 = 1.5;
/// The peaks are kept below this, of full scale.
const CEILING: f32 = 0.89 * 32_767.0;
/// How fast the limiter lets go, in dB a second.
const RELEASE_DB: f32 = 40.0;

/// The control and its memory.
pub(super) struct GainControl {
    period_s: f32,
    floor_dbm0: f32,
    /// Mean power of talk, relative to full scale's.
    talk: f32,
    gain_db: f32,
    /// How much the limiter takes off, in dB.
    limit_db: f32,
    /// The factor the last period ended with.
    factor: f32,
}

impl GainControl {
    pub(super) fn new(rate_hz: u32, period_frames: usize) -> Self {
        Self {
            period_s: period_frames as f32 / rate_hz as f32,
            floor_dbm0: QUIETEST_TALK_DBM0 - ABOVE_FLOOR_DB,
            talk: power_of(TARGET_DBM0),
            gain_db: 0.0,
            limit_db: 0.0,
            factor: 1.0,
        }
    }

    pub(super) fn process(&mut self, sound: &mut [i16]) {
        let level = dbm0(sound);
        self.floor_dbm0 = level.min(self.floor_dbm0 + FLOOR_RISE_DB * self.period_s);
        if level > (self.floor_dbm0 + ABOVE_FLOOR_DB).max(QUIETEST_TALK_DBM0) {
            self.talk += (power_of(level) - self.talk) * (self.period_s / MEMORY_S).min(1.0);
            let wanted =
                (TARGET_DBM0 - level_of(self.talk)).clamp(*GAIN_DB.start(), *GAIN_DB.end());
            let step =
                (wanted - self.gain_db).clamp(-FALL_DB * self.period_s, RISE_DB * self.period_s);
            self.gain_db += step;
        }
        let peak = sound.iter().map(|x| x.unsigned_abs()).max().unwrap_or(0);
        let needed = db_of(f32::from(peak) / CEILING) + self.gain_db;
        self.limit_db = (self.limit_db - RELEASE_DB * self.period_s)
            .max(needed)
            .max(0.0);
        let (from, to) = (self.factor, factor_of(self.gain_db - self.limit_db));
        self.factor = to;
        // A falling factor is there at once: a ramp would let the peak through.
        let from = from.min(if self.limit_db > 0.0 { to } else { from });
        let slope = (to - from) / sound.len().max(1) as f32;
        for (n, sample) in sound.iter_mut().enumerate() {
            // `as` saturates.
            *sample = (f32::from(*sample) * (from + slope * n as f32)).round() as i16;
        }
    }
}

fn db_of(factor: f32) -> f32 {
    20.0 * factor.max(1e-6).log10()
}

fn factor_of(db: f32) -> f32 {
    10f32.powf(db / 20.0)
}

fn power_of(dbm0: f32) -> f32 {
    10f32.powf((dbm0 - FULL_SCALE_DBM0) / 10.0)
}

fn level_of(power: f32) -> f32 {
    10.0 * power.max(1e-12).log10() + FULL_SCALE_DBM0
}
