//! Whether the recording of the ear is the speech that was sent, how much later, and how loud.
//!
//! ```text
//! mic.wav, ear.wav ─▶ 8 kHz ─▶ one coarse delay (whole speech) ─▶ each window: best correlation near it ─▶ medians
//! ```

use std::path::Path;
use std::time::Duration;

use super::DemoError;

/// Rate the comparison runs at.
const RATE: u32 = 8000;
/// Longest round trip looked for.
const MAX_DELAY_MS: usize = 1500;
/// How far a window may lie from the coarse delay: a jitter buffer stretches.
const NEAR_MS: usize = 60;
/// Length of a window in samples, 0.4 s. Short, and judged by their median: where the jitter buffer
/// stretched speech within a window, its two halves lie at two delays and correlate badly although
/// every word arrived.
pub(super) const WINDOW: usize = RATE as usize * 2 / 5;
/// Windows quieter than this (RMS of full scale i16) say nothing.
const QUIET: f64 = 60.0;

/// What the comparison found.
#[derive(Debug, Clone, Copy)]
pub(super) struct Comparison {
    /// Round trip in ms: the median of all windows.
    pub(super) delay_ms: f64,
    /// Ear against mouth in dB.
    pub(super) level_db: f64,
    /// Median of the windows' best normalized correlations.
    pub(super) correlation: f64,
    /// How many windows.
    pub(super) windows: usize,
}

/// Compares two recordings on one clock; `None`: the ear heard nothing while the mouth spoke.
pub(super) fn compare(
    mic: &Path,
    ear: &Path,
    seconds: f64,
    lead: Duration,
) -> Result<Option<Comparison>, DemoError> {
    let read = |path: &Path| {
        board::audio::Recording::load(path)
            .map(|recording| {
                recording
                    .at_rate(RATE)
                    .samples
                    .iter()
                    .map(|s| f64::from(*s))
                    .collect::<Vec<f64>>()
            })
            .map_err(|source| DemoError::Recording {
                path: path.to_owned(),
                source,
            })
    };
    let (spoken, heard) = (read(mic)?, read(ear)?);
    let start = (lead.as_secs_f64() * f64::from(RATE)) as usize;
    let end = (start + (seconds * f64::from(RATE)) as usize).min(spoken.len());
    Ok(match_speech(&spoken, &heard, start, end))
}

fn match_speech(spoken: &[f64], heard: &[f64], start: usize, end: usize) -> Option<Comparison> {
    let per_ms = RATE as usize / 1000;
    // Coarse: over at most eight seconds, every fourth delay; a 125 µs step would only cost time.
    let coarse_end = end.min(start + 8 * RATE as usize);
    let coarse = (0..MAX_DELAY_MS * per_ms)
        .step_by(4)
        .map(|delay| (delay, correlation(spoken, heard, start, coarse_end, delay)))
        .max_by(|one, two| one.1.total_cmp(&two.1))?
        .0;
    let (mut found, mut said_power, mut heard_power) = (Vec::new(), 0.0, 0.0);
    let mut at = start;
    while at + WINDOW <= end {
        let window = (at, at + WINDOW);
        at = window.1;
        let power = power(&spoken[window.0..window.1]);
        if power.sqrt() < QUIET {
            continue;
        }
        let from = coarse.saturating_sub(NEAR_MS * per_ms);
        let best = (from..=coarse + NEAR_MS * per_ms)
            .map(|delay| (delay, correlation(spoken, heard, window.0, window.1, delay)))
            .max_by(|one, two| one.1.total_cmp(&two.1))?;
        said_power += power;
        heard_power += self::power(
            heard
                .get(window.0 + best.0..window.1 + best.0)
                .unwrap_or(&[]),
        );
        found.push(best);
    }
    if found.is_empty() || heard_power <= 0.0 {
        return None;
    }
    found.sort_by(|one, two| one.1.total_cmp(&two.1));
    let correlation = found[found.len() / 2].1;
    found.sort_by_key(|window| window.0);
    Some(Comparison {
        delay_ms: found[found.len() / 2].0 as f64 / per_ms as f64,
        level_db: 10.0 * (heard_power / said_power).log10(),
        correlation,
        windows: found.len(),
    })
}

fn power(samples: &[f64]) -> f64 {
    if samples.is_empty() {
        return 0.0;
    }
    samples.iter().map(|sample| sample * sample).sum::<f64>() / samples.len() as f64
}

/// Normalized correlation of what was spoken in a span with what was heard so much later; 0 where
/// the recording ends before.
fn correlation(spoken: &[f64], heard: &[f64], from: usize, to: usize, delay: usize) -> f64 {
    let to = to.min(heard.len().saturating_sub(delay)).min(spoken.len());
    if to <= from {
        return 0.0;
    }
    let (mut cross, mut one, mut two) = (0.0, 0.0, 0.0);
    for (a, b) in spoken[from..to]
        .iter()
        .zip(&heard[from + delay..to + delay])
    {
        cross += a * b;
        one += a * a;
        two += b * b;
    }
    if one <= 0.0 || two <= 0.0 {
        0.0
    } else {
        cross / (one * two).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Noise that never repeats.
    fn noise(seed: u32, length: usize) -> Vec<f64> {
        let mut state = seed;
        let mut step = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            f64::from(state >> 16) - 32_768.0
        };
        (0..length).map(|_| step() / 16.0).collect()
    }

    #[test]
    fn a_delayed_quieter_copy_is_found_where_it_is() {
        let spoken = noise(1, 3 * RATE as usize);
        let mut heard = vec![0.0; 480];
        heard.extend(spoken.iter().map(|sample| sample / 2.0));
        let found = match_speech(&spoken, &heard, 0, spoken.len()).unwrap();
        assert!((found.delay_ms - 60.0).abs() < 0.2, "{found:?}");
        assert!(
            (found.level_db + 6.02).abs() < 0.1 && found.correlation > 0.99,
            "{found:?}"
        );
    }

    #[test]
    fn something_else_is_not_the_speech() {
        let found = match_speech(&noise(1, 24_000), &noise(99, 40_000), 0, 24_000).unwrap();
        assert!(found.correlation < 0.2, "{found:?}");
        assert!(match_speech(&noise(1, 24_000), &vec![0.0; 40_000], 0, 24_000).is_none());
    }
}
