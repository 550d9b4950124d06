//! What a microphone hears in a simulation: silence, a made-up voice that needs no data files, or
//! real speech from a WAV.
//!
//! ```text
//! seed ─▶ voice (syllables of chirping harmonics, breathy bursts, pauses) ─┐
//! WAV ─▶ resample to the card's rate ──────────────────────────────────────┼─▶ Source ─▶ card
//! tone ────────────────────────────────────────────────────────────────────┘
//! ```

use std::collections::HashMap;
use std::f64::consts::{PI, TAU};
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};

use crate::rng::Rng;

/// A loop of sound at the card's rate.
#[derive(Debug, Clone)]
pub struct Source {
    samples: Arc<[i16]>,
}

impl Source {
    /// Nothing is said.
    pub fn silence() -> Self {
        Self {
            samples: Arc::from([]),
        }
    }

    /// These samples, over and over.
    pub fn samples(samples: Vec<i16>) -> Self {
        Self {
            samples: samples.into(),
        }
    }

    /// A made-up voice, unlike that of any other seed: ten seconds, then again.
    pub fn voice(seed: u64, rate_hz: u32) -> Self {
        type Voices = HashMap<(u64, u32), Arc<[i16]>>;
        static MADE: OnceLock<Mutex<Voices>> = OnceLock::new();
        let mut made = MADE.get_or_init(Mutex::default).lock().unwrap();
        let samples = made
            .entry((seed, rate_hz))
            .or_insert_with(|| voice(seed, rate_hz, 10.0).into())
            .clone();
        Self { samples }
    }

    /// A sine at this level in dBFS.
    pub fn sine(hz: f64, dbfs: f64, rate_hz: u32) -> Self {
        let amplitude = 32_767.0 * 10f64.powf(dbfs / 20.0);
        Self::samples(
            (0..rate_hz)
                .map(|n| {
                    (amplitude * (TAU * hz.round() * f64::from(n) / f64::from(rate_hz)).sin())
                        .round() as i16
                })
                .collect(),
        )
    }

    /// A mono WAV, brought to this rate.
    pub fn wav(path: &Path, rate_hz: u32) -> Result<Self, hound::Error> {
        let mut reader = hound::WavReader::open(path)?;
        let from = reader.spec().sample_rate;
        let samples = reader.samples::<i16>().collect::<Result<Vec<_>, _>>()?;
        Ok(Self::samples(resample(&samples, from, rate_hz)))
    }

    /// Fills with what is said from sample `position` on.
    pub fn read(&self, position: u64, out: &mut [i16]) {
        if self.samples.is_empty() {
            out.fill(0);
            return;
        }
        let mut at = (position % self.samples.len() as u64) as usize;
        for sample in out {
            *sample = self.samples[at];
            at += 1;
            if at == self.samples.len() {
                at = 0;
            }
        }
    }
}

/// Syllables with a gliding pitch of their own, a few formants, breath in between, and pauses.
/// About −20 dBFS.
fn voice(seed: u64, rate_hz: u32, seconds: f64) -> Vec<i16> {
    let mut rng = Rng::for_purpose(seed, "voice");
    let rate = f64::from(rate_hz);
    let total = (rate * seconds) as usize;
    let mut out = vec![0f64; total];
    let base = 95.0 + 110.0 * rng.unit();
    let mut at = 0.0;
    while at < seconds - 0.5 {
        let length = grid(0.12 + 0.2 * rng.unit());
        let (f0, f1) = (
            base * (0.8 + 0.5 * rng.unit()),
            base * (0.8 + 0.5 * rng.unit()),
        );
        let formants = [
            300.0 + 500.0 * rng.unit(),
            900.0 + 1_100.0 * rng.unit(),
            2_200.0 + 900.0 * rng.unit(),
        ];
        let loud = 0.5 + rng.unit();
        let (first, count) = (
            (at * rate).round() as usize,
            (length * rate).round() as usize,
        );
        let start = TAU * rng.unit();
        for n in 0..count {
            let x = n as f64 / count as f64;
            let pitch = f0 + (f1 - f0) * x;
            let phase = start + TAU * (f0 * x + (f1 - f0) * x * x / 2.0) * length;
            let envelope = (PI * x).sin().powf(0.6) * loud;
            let mut sum = 0.0;
            let mut harmonic = 1.0;
            while harmonic * pitch < 3_300.0 {
                let hz = harmonic * pitch;
                let weight: f64 = formants
                    .iter()
                    .enumerate()
                    .map(|(i, f)| (0.6f64).powi(i as i32) / (1.0 + ((hz - f) / 130.0).powi(2)))
                    .sum();
                sum += weight * (harmonic * phase).sin();
                harmonic += 1.0;
            }
            out[first + n] += sum * envelope;
        }
        at += length;
        if rng.unit() < 0.3 {
            // A breathy burst: noise around 2 kHz. Drawn at 8 kHz whatever the rate, so that the
            // voice is the same at every rate.
            let burst = grid(0.03 + 0.05 * rng.unit());
            let noise: Vec<f64> = (0..(burst * 8_000.0) as usize)
                .map(|_| rng.normal())
                .collect();
            for n in 0..(burst * rate) as usize {
                let index = ((at * rate).round() as usize + n).min(total - 1);
                let t = n as f64 / rate;
                let drawn = noise[((t * 8_000.0) as usize).min(noise.len() - 1)];
                out[index] += 0.12 * drawn * (TAU * 2_000.0 * t).sin() * (PI * t / burst).sin();
            }
            at += burst;
        }
        at += grid(if rng.unit() < 0.12 {
            0.25 + 0.3 * rng.unit()
        } else {
            0.03 * rng.unit()
        });
    }
    let power = out.iter().map(|x| x * x).sum::<f64>() / total as f64;
    let gain = 3_276.7 / power.sqrt();
    out.iter()
        .map(|x| (x * gain).clamp(-32_000.0, 32_000.0).round() as i16)
        .collect()
}

/// Rounded to the grid of 8 kHz, so that a place is a whole sample at every rate.
fn grid(seconds: f64) -> f64 {
    (seconds * 8_000.0).round() / 8_000.0
}

/// Windowed-sinc resampling, good enough to compare speech by.
pub fn resample(samples: &[i16], from: u32, to: u32) -> Vec<i16> {
    if from == to || samples.is_empty() {
        return samples.to_vec();
    }
    let step = f64::from(from) / f64::from(to);
    let cut = (1.0 / step).min(1.0) * 0.95;
    let half = (16.0 / cut).ceil() as i64;
    // Output sample n lies at n·from/to: only to/gcd different fractions occur, each with its own
    // kernel.
    let phases = u64::from(to / gcd(from, to));
    let kernels: Vec<Vec<f32>> = (0..phases)
        .map(|n| {
            let fraction = (n as f64 * step).fract();
            let weigh = |k: i64| {
                let x = k as f64 - fraction;
                let sinc = if x.abs() < 1e-9 {
                    1.0
                } else {
                    (PI * cut * x).sin() / (PI * cut * x)
                };
                (sinc * cut * (0.5 + 0.5 * (PI * x / (half + 1) as f64).cos())) as f32
            };
            (-half..=half).map(weigh).collect()
        })
        .collect();
    let padded: Vec<f32> = std::iter::repeat_n(0.0, half as usize)
        .chain(samples.iter().map(|&s| f32::from(s)))
        .chain(std::iter::repeat_n(0.0, half as usize + 1))
        .collect();
    (0..(samples.len() as u64 * u64::from(to) / u64::from(from)))
        .map(|n| {
            let whole = (n * u64::from(from) / u64::from(to)) as usize;
            let sum: f32 = padded[whole..]
                .iter()
                .zip(&kernels[(n % phases) as usize])
                .map(|(s, k)| s * k)
                .sum();
            sum.round().clamp(-32_768.0, 32_767.0) as i16
        })
        .collect()
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::{Clip, align};

    fn clip(samples: Vec<i16>, rate_hz: u32) -> Clip {
        Clip { rate_hz, samples }
    }

    #[test]
    fn voices_are_loud_repeatable_and_unlike_each_other() {
        let mut a = vec![0; 16_000];
        let mut b = vec![0; 16_000];
        Source::voice(1, 8_000).read(0, &mut a);
        Source::voice(2, 8_000).read(0, &mut b);
        let (a, b) = (clip(a, 8_000), clip(b, 8_000));
        assert!(
            (-30.0..-12.0).contains(&a.level_dbfs()),
            "{}",
            a.level_dbfs()
        );
        assert!(align(&a, &a, 0.1).correlation > 0.999);
        assert!(
            align(&a, &b, 0.3).correlation < 0.45,
            "{:?}",
            align(&a, &b, 0.3)
        );
    }

    #[test]
    fn a_voice_is_the_same_at_every_rate() {
        let mut low = vec![0; 24_000];
        let mut high = vec![0; 144_000];
        Source::voice(3, 8_000).read(0, &mut low);
        Source::voice(3, 48_000).read(0, &mut high);
        let down = clip(resample(&high, 48_000, 8_000), 8_000);
        let found = align(&clip(low, 8_000), &down, 0.05);
        assert!(
            found.correlation > 0.97 && found.delay_s.abs() < 0.0005,
            "{found:?}"
        );
    }
}
