//! Sound is compared, not counted: delay and likeness by cross-correlation, level, frequency by
//! Goertzel, cadence by envelope.
//!
//! ```text
//! said (microphone of one phone) ─┐
//! heard (ear of the other)  ──────┴─▶ align ─▶ Match { delay, correlation, gain }
//! ```

use std::f64::consts::{PI, TAU};

use rustfft::FftPlanner;
use rustfft::num_complex::Complex;

/// A stretch of sound on the world's own time line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clip {
    /// Samples a second.
    pub rate_hz: u32,
    /// The samples.
    pub samples: Vec<i16>,
}

/// How one clip lies in another.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Match {
    /// How much later it is heard, in seconds.
    pub delay_s: f64,
    /// Normalised correlation at that delay, −1 to 1.
    pub correlation: f64,
    /// Level of what is heard against what was said, in dB.
    pub gain_db: f64,
}

impl Clip {
    /// Root mean square level in dB of full scale; −120 for silence.
    pub fn level_dbfs(&self) -> f64 {
        level_dbfs(&self.samples)
    }

    /// Part of it, in seconds.
    pub fn part(&self, from_s: f64, length_s: f64) -> &[i16] {
        let first = ((from_s * f64::from(self.rate_hz)) as usize).min(self.samples.len());
        let last =
            (((from_s + length_s) * f64::from(self.rate_hz)) as usize).min(self.samples.len());
        &self.samples[first..last]
    }
}

/// Root mean square level in dB of full scale; −120 for silence.
pub fn level_dbfs(samples: &[i16]) -> f64 {
    if samples.is_empty() {
        return -120.0;
    }
    let power = samples
        .iter()
        .map(|&x| f64::from(x) * f64::from(x))
        .sum::<f64>()
        / samples.len() as f64;
    (10.0 * (power / (32_768.0 * 32_768.0)).max(1e-12).log10()).max(-120.0)
}

/// Finds the first part of `said` (all but the last `longest_s`) in `heard`, which begins at the
/// same moment.
pub fn align(said: &Clip, heard: &Clip, longest_s: f64) -> Match {
    assert_eq!(said.rate_hz, heard.rate_hz, "clips must share a rate");
    let lags = (longest_s * f64::from(said.rate_hz)) as usize;
    let count = said
        .samples
        .len()
        .min(heard.samples.len().saturating_sub(lags));
    assert!(
        count > 0,
        "nothing to compare: {} said, {} heard, {lags} lags",
        said.samples.len(),
        heard.samples.len()
    );
    let x = &said.samples[..count];
    let y = &heard.samples[..];
    let energy = |samples: &[i16]| -> f64 { samples.iter().map(|&s| square(s)).sum() };
    let energy_x = energy(x);
    let mut energy_y = energy(&y[..count]);
    let products = correlate(x, y, lags);
    let mut best = (0, -1.0, -120.0);
    for (lag, product) in products.iter().enumerate() {
        if energy_x > 0.0 && energy_y > 1.0 {
            let correlation = product / (energy_x * energy_y).sqrt();
            if correlation > best.1 {
                best = (lag, correlation, 10.0 * (energy_y / energy_x).log10());
            }
        }
        if lag + count < y.len() {
            energy_y += square(y[lag + count]) - square(y[lag]);
        }
    }
    let (lag, correlation, gain_db) = best;
    // The true delay lies between two samples; at 3 kHz half a sample would cost most of the
    // likeness.
    let (offset, gain) = peak_between(&products, lag);
    Match {
        delay_s: (lag as f64 + offset) / f64::from(said.rate_hz),
        correlation: (correlation * gain).min(1.0),
        gain_db,
    }
}

/// The peak of a band-limited sequence near one of its samples (windowed sinc): how far from it,
/// and how much higher.
fn peak_between(values: &[f64], centre: usize) -> (f64, f64) {
    const REACH: usize = 12;
    if centre < REACH || centre + REACH >= values.len() || values[centre] <= 0.0 {
        return (0.0, 1.0);
    }
    let at = |offset: f64| -> f64 {
        (centre - REACH..=centre + REACH)
            .map(|k| {
                let x = k as f64 - centre as f64 - offset;
                let sinc = if x.abs() < 1e-9 {
                    1.0
                } else {
                    (PI * x).sin() / (PI * x)
                };
                values[k] * sinc * (0.5 + 0.5 * (PI * x / (REACH as f64 + 1.0)).cos())
            })
            .sum()
    };
    let (mut offset, mut highest) = (0.0, values[centre]);
    for step in -19i32..=19 {
        let value = at(f64::from(step) / 20.0);
        if value > highest {
            (offset, highest) = (f64::from(step) / 20.0, value);
        }
    }
    (offset, highest / values[centre])
}

/// [`align`] over consecutive parts, so that a delay that moves does not blur the likeness. Parts
/// in which little is said are left out.
pub fn align_parts(said: &Clip, heard: &Clip, part_s: f64, longest_s: f64) -> Vec<Match> {
    let rate = f64::from(said.rate_hz);
    let (part, lags) = ((part_s * rate) as usize, (longest_s * rate) as usize);
    let loud = said.level_dbfs() - 15.0;
    let mut out = Vec::new();
    let mut at = 0;
    while at + part + lags <= said.samples.len().min(heard.samples.len()) {
        let piece = Clip {
            rate_hz: said.rate_hz,
            samples: said.samples[at..at + part].to_vec(),
        };
        if piece.level_dbfs() > loud {
            let window = Clip {
                rate_hz: said.rate_hz,
                samples: heard.samples[at..at + part + lags].to_vec(),
            };
            out.push(align(&piece, &window, longest_s));
        }
        at += part;
    }
    out
}

/// Share of what was said (10 ms frames, the loud ones) that left a hole in what is heard this much
/// later: 20 dB too soft. A median of likeness does not see holes; an ear does.
pub fn holes(said: &Clip, heard: &Clip, delay_s: f64) -> f64 {
    let frame = (said.rate_hz / 100) as usize;
    let shift = (delay_s * f64::from(said.rate_hz)).round() as usize;
    let floor = said.level_dbfs() - 6.0;
    let (mut loud, mut missing) = (0u32, 0u32);
    for at in (0..said
        .samples
        .len()
        .min(heard.samples.len().saturating_sub(shift))
        .saturating_sub(frame))
        .step_by(frame)
    {
        let level = level_dbfs(&said.samples[at..at + frame]);
        if level > floor {
            loud += 1;
            missing += u32::from(
                level_dbfs(&heard.samples[at + shift..at + shift + frame]) < level - 20.0,
            );
        }
    }
    f64::from(missing) / f64::from(loud.max(1))
}

/// The middle one.
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut all: Vec<f64> = values.into_iter().collect();
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or(f64::NAN)
}

fn square(sample: i16) -> f64 {
    f64::from(sample) * f64::from(sample)
}

/// The sum of `x[i] * y[lag + i]` for each lag from 0 to `lags`, by Fourier transform: a minute is
/// searched for a part of it in milliseconds.
fn correlate(x: &[i16], y: &[i16], lags: usize) -> Vec<f64> {
    // No lag reaches past the end of `y`, so nothing wraps around.
    let size = y.len().next_power_of_two();
    let mut planner = FftPlanner::<f64>::new();
    let forward = planner.plan_fft_forward(size);
    let spectrum = |samples: &[i16]| {
        let mut values = vec![Complex::default(); size];
        for (value, &sample) in values.iter_mut().zip(samples) {
            value.re = f64::from(sample);
        }
        forward.process(&mut values);
        values
    };
    let of_x = spectrum(x);
    let mut product = spectrum(y);
    for (y, x) in product.iter_mut().zip(of_x) {
        *y *= x.conj() / size as f64;
    }
    planner.plan_fft_inverse(size).process(&mut product);
    product[..=lags].iter().map(|value| value.re).collect()
}

/// Amplitude of one frequency (Goertzel, Hann window), as the amplitude of a sine in sample units.
pub fn goertzel(samples: &[i16], rate_hz: u32, hz: f64) -> f64 {
    let count = samples.len() as f64;
    let w = TAU * hz / f64::from(rate_hz);
    let coefficient = 2.0 * w.cos();
    let (mut s1, mut s2) = (0.0, 0.0);
    for (n, &sample) in samples.iter().enumerate() {
        let window = 0.5 - 0.5 * (TAU * (n as f64 + 0.5) / count).cos();
        let s0 = f64::from(sample) * window + coefficient * s1 - s2;
        s2 = s1;
        s1 = s0;
    }
    let power = s1 * s1 + s2 * s2 - coefficient * s1 * s2;
    power.max(0.0).sqrt() * 4.0 / count
}

/// The loudest frequency near this one, found to a tenth of a hertz, and its amplitude.
pub fn peak_near(samples: &[i16], rate_hz: u32, hz: f64, within: f64) -> (f64, f64) {
    let mut best = (hz, 0.0);
    let (mut centre, mut span) = (hz, within);
    while span > 0.05 {
        for step in -10i32..=10 {
            let candidate = centre + f64::from(step) / 10.0 * span;
            let amplitude = goertzel(samples, rate_hz, candidate);
            if amplitude > best.1 {
                best = (candidate, amplitude);
            }
        }
        centre = best.0;
        span /= 5.0;
    }
    best
}

/// Share of the power that lies in these frequencies, 0 to 1 (each a Hann-wide band).
pub fn share_of_power(samples: &[i16], rate_hz: u32, frequencies: &[f64]) -> f64 {
    let count = samples.len() as f64;
    let windowed: f64 = samples
        .iter()
        .enumerate()
        .map(|(n, &s)| {
            (f64::from(s) * (0.5 - 0.5 * (TAU * (n as f64 + 0.5) / count).cos())).powi(2)
        })
        .sum::<f64>()
        / count;
    // A Hann-windowed sine of amplitude A has mean power 3/8 · A²/2.
    let in_tones: f64 = frequencies
        .iter()
        .map(|&hz| goertzel(samples, rate_hz, hz).powi(2) * 0.5 * 0.375)
        .sum();
    if windowed == 0.0 {
        0.0
    } else {
        in_tones / windowed
    }
}

/// Sound and silence in turn: (sounding, length in ms), by an envelope of 2 ms. The first and last
/// are cut by the clip's ends.
pub fn cadence(clip: &Clip) -> Vec<(bool, f64)> {
    let step = (clip.rate_hz / 500) as usize;
    // A low tone dips within its own period: look at a little more than one (8 ms) each time.
    let wide = step * 4;
    let frames = clip.samples.len().saturating_sub(wide) / step;
    let levels: Vec<i16> = (0..frames)
        .map(|n| {
            clip.samples[n * step..n * step + wide]
                .iter()
                .map(|s| s.saturating_abs())
                .max()
                .unwrap_or(0)
        })
        .collect();
    let threshold = levels.iter().copied().max().unwrap_or(0) / 8;
    if threshold == 0 {
        return vec![(false, frames as f64 * 2.0)];
    }
    let mut runs: Vec<(bool, f64)> = Vec::new();
    for level in levels {
        let on = level > threshold;
        match runs.last_mut() {
            Some((state, length)) if *state == on => *length += 2.0,
            _ => runs.push((on, 2.0)),
        }
    }
    // The wide window lengthens what sounds and shortens what is silent by its excess.
    let excess = (wide - step) as f64 / f64::from(clip.rate_hz) * 1e3;
    let last = runs.len() - 1;
    for (index, (on, length)) in runs.iter_mut().enumerate() {
        if index > 0 && index < last {
            *length += if *on { -excess } else { excess };
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signal::Source;

    fn sine(parts: &[(f64, f64)], seconds: f64) -> Vec<i16> {
        (0..(8_000.0 * seconds) as usize)
            .map(|n| {
                parts
                    .iter()
                    .map(|(hz, a)| a * (TAU * hz * n as f64 / 8_000.0).sin())
                    .sum::<f64>()
                    .round() as i16
            })
            .collect()
    }

    #[test]
    fn a_known_delay_and_gain_are_found() {
        let mut said = vec![0; 16_000];
        Source::voice(9, 8_000).read(0, &mut said);
        let mut heard = vec![0; 320];
        heard.extend(said.iter().map(|s| s / 2));
        let found = align(
            &Clip {
                rate_hz: 8_000,
                samples: said,
            },
            &Clip {
                rate_hz: 8_000,
                samples: heard,
            },
            0.1,
        );
        assert!(
            (found.delay_s - 0.04).abs() < 1e-9 && found.correlation > 0.999,
            "{found:?}"
        );
        assert!((found.gain_db + 6.02).abs() < 0.2, "{found:?}");
    }

    #[test]
    fn a_delay_between_two_samples_is_found() {
        let mut high = vec![0; 96_000];
        Source::voice(9, 48_000).read(0, &mut high);
        // 40 ms and half a sample of 8 kHz.
        let mut late = vec![0; 1_920 + 3];
        late.extend(&high);
        let eight = |samples: &[i16]| Clip {
            rate_hz: 8_000,
            samples: crate::signal::resample(samples, 48_000, 8_000),
        };
        let found = align(&eight(&high), &eight(&late), 0.1);
        assert!(
            (found.delay_s - 0.040_062_5).abs() < 0.000_01 && found.correlation > 0.998,
            "{found:?}"
        );
    }

    #[test]
    fn holes_are_counted() {
        let mut said = vec![0; 80_000];
        Source::voice(9, 8_000).read(0, &mut said);
        let mut heard = said.clone();
        let whole = Clip {
            rate_hz: 8_000,
            samples: said,
        };
        for lost in 0..50 {
            heard[lost * 1_600..lost * 1_600 + 160].fill(0);
        }
        let share = holes(
            &whole,
            &Clip {
                rate_hz: 8_000,
                samples: heard,
            },
            0.0,
        );
        assert!((0.06..0.14).contains(&share), "a tenth is missing: {share}");
        assert!(holes(&whole, &whole, 0.0) < 1e-9);
    }

    #[test]
    fn goertzel_measures_amplitude_and_peak_frequency() {
        let samples = sine(&[(425.3, 6_000.0)], 0.5);
        assert!((goertzel(&samples, 8_000, 425.3) - 6_000.0).abs() < 30.0);
        let (hz, _) = peak_near(&samples, 8_000, 420.0, 15.0);
        assert!((hz - 425.3).abs() < 0.2, "{hz}");
        let pair = sine(&[(350.0, 3_000.0), (440.0, 3_000.0)], 0.5);
        assert!(share_of_power(&pair, 8_000, &[350.0, 440.0]) > 0.98);
        assert!(share_of_power(&pair, 8_000, &[350.0]) < 0.55);
    }

    #[test]
    fn cadence_is_measured_to_a_few_milliseconds() {
        let mut samples = vec![0i16; 800];
        for _ in 0..3 {
            samples.extend(sine(&[(425.0, 8_000.0)], 0.48));
            samples.extend(vec![0i16; 3_840]);
        }
        let runs = cadence(&Clip {
            rate_hz: 8_000,
            samples,
        });
        assert_eq!(runs.len(), 7, "{runs:?}");
        for (index, (on, ms)) in runs.iter().enumerate().take(6).skip(1) {
            assert_eq!(*on, index % 2 == 1);
            assert!((ms - 480.0).abs() <= 6.0, "{runs:?}");
        }
    }
}
