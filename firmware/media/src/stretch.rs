//! Decoded sound on its way to the ear, and how to make it a little shorter or longer without
//! anyone noticing.
//!
//! ```text
//!                 history (played)          │ unplayed                      │
//! SampleFifo:  …………………………………………………………………………………│▶ read            append ▶ │
//!              pitch search, concealment ◀──┘ └─ remove / insert one pitch period, or any length in silence
//! ```
//!
//! Time-scale modification is WSOLA with the pitch period as its step (Verhelst and Roelands 1993):
//! two stretches of sound one period apart look alike, so one may fade into the other anywhere.

use crate::drift::Slip;
use crate::interpolate::TAPS;

/// Shortest pitch period looked for, in ms (400 Hz).
const PITCH_MIN_MS: f64 = 2.5;
/// Longest pitch period looked for, in ms (66 Hz).
const PITCH_MAX_MS: f64 = 15.0;
/// Played sound kept for pitch search and concealment, in ms.
const HISTORY_MS: usize = 50;
/// Most unplayed sound, in ms: the longest packet (120 ms of Opus) and what may wait before it.
const UNPLAYED_MS: usize = 240;

/// Samples in `ms` at `rate`.
pub(crate) fn samples(ms: f64, rate: u32) -> usize {
    (ms * f64::from(rate) / 1000.0).round() as usize
}

/// The period at which sound repeats, and how well: normalised cross-correlation, 1 is perfect.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Pitch {
    pub(crate) lag: usize,
    pub(crate) correlation: f32,
}

fn correlate(x: &[i16], at: usize, lag: usize, window: usize) -> f32 {
    let (mut cross, mut now, mut then) = (0.0f32, 0.0f32, 0.0f32);
    for (&a, &b) in x[at..at + window]
        .iter()
        .zip(&x[at - lag..at - lag + window])
    {
        let (a, b) = (f32::from(a), f32::from(b));
        cross += a * b;
        now += a * a;
        then += b * b;
    }
    if now < 1.0 || then < 1.0 {
        0.0
    } else {
        cross / (now * then).sqrt()
    }
}

/// Finds the pitch of `x[at..at + window]` against what lies before it, with lags up to `longest`;
/// `None` where there is too little. Coarse at about 4 kHz, then refined around the best.
pub(crate) fn pitch(
    x: &[i16],
    at: usize,
    window: usize,
    longest: usize,
    rate: u32,
) -> Option<Pitch> {
    let least = samples(PITCH_MIN_MS, rate);
    let most = samples(PITCH_MAX_MS, rate).min(longest).min(at);
    if most < least || window < least || at + window > x.len() {
        return None;
    }
    let step = (rate / 4000).max(1) as usize;
    // Decimated copies of the reference and of what it is compared with, aligned at `at`.
    let mut low = [0.0f32; 320];
    let (before, after) = (
        (most / step + 1).min(at / step).min(160),
        (window / step).min(160),
    );
    for (i, y) in low[..before + after].iter_mut().enumerate() {
        let from = at + i * step - before * step;
        *y = x[from..from + step].iter().map(|&v| f32::from(v)).sum();
    }
    let reference = &low[before..before + after];
    let energy: f32 = reference.iter().map(|v| v * v).sum();
    let (mut best, mut best_lag) = (-1.0f32, least / step);
    for lag in (least / step).max(1)..=before {
        let past = &low[before - lag..before - lag + after];
        let (mut cross, mut then) = (0.0f32, 0.0f32);
        for (a, b) in reference.iter().zip(past) {
            cross += a * b;
            then += b * b;
        }
        let value = if energy < 1.0 || then < 1.0 {
            0.0
        } else {
            cross / (energy * then).sqrt()
        };
        // A multiple of the period fits as well as the period: a later lag must be clearly better.
        if value > best + 0.02 {
            best = value;
            best_lag = lag;
        }
    }
    let (from, to) = (
        (best_lag * step).saturating_sub(step).max(least),
        (best_lag * step + step).min(most),
    );
    (from..=to)
        .map(|lag| Pitch {
            lag,
            correlation: correlate(x, at, lag, window),
        })
        .max_by(|a, b| a.correlation.total_cmp(&b.correlation))
}

/// Fades `from` into `to` over their common length; raised-cosine-like linear weights.
pub(crate) fn cross_fade(from: &[i16], to: &[i16], out: &mut [i16]) {
    let n = out.len().min(from.len()).min(to.len());
    let step = 1.0 / (n as f32 + 1.0);
    for i in 0..n {
        let w = (i as f32 + 1.0) * step;
        out[i] = (f32::from(from[i]) * (1.0 - w) + f32::from(to[i]) * w).round() as i16;
    }
}

/// Root mean square.
pub(crate) fn rms(x: &[i16]) -> f32 {
    if x.is_empty() {
        return 0.0;
    }
    (x.iter().map(|&v| f32::from(v) * f32::from(v)).sum::<f32>() / x.len() as f32).sqrt()
}

/// A run of sound: what was played lately, and what was decoded but not yet played.
pub(crate) struct SampleFifo {
    buffer: Box<[i16]>,
    scratch: Box<[i16]>,
    read: usize,
    end: usize,
    rate: u32,
}

impl SampleFifo {
    /// An empty line that can carry up to `highest_rate`.
    pub(crate) fn new(rate: u32, highest_rate: u32) -> Self {
        let per_ms = highest_rate as usize / 1000;
        let len = (HISTORY_MS * 2 + UNPLAYED_MS * 2) * per_ms;
        let mut line = Self {
            buffer: vec![0; len].into_boxed_slice(),
            scratch: vec![0; len].into_boxed_slice(),
            read: 0,
            end: 0,
            rate,
        };
        line.clear();
        line
    }

    /// Silence, and a history of silence.
    pub(crate) fn clear(&mut self) {
        self.read = samples(HISTORY_MS as f64, self.rate);
        self.end = self.read;
        self.buffer[..self.read].fill(0);
    }

    pub(crate) fn rate(&self) -> u32 {
        self.rate
    }

    /// Samples not yet played.
    pub(crate) fn unplayed(&self) -> usize {
        self.end - self.read
    }

    /// Everything up to the newest sample, history first.
    pub(crate) fn past(&self) -> &[i16] {
        &self.buffer[..self.end]
    }

    fn make_room(&mut self, more: usize) -> bool {
        if self.end + more <= self.buffer.len() {
            return true;
        }
        let from = self
            .read
            .saturating_sub(samples(HISTORY_MS as f64, self.rate));
        self.buffer.copy_within(from..self.end, 0);
        self.read -= from;
        self.end -= from;
        self.end + more <= self.buffer.len()
    }

    /// Puts sound at the end; what does not fit is dropped (the owner asks [`SampleFifo::room`]
    /// first).
    pub(crate) fn append(&mut self, sound: &[i16]) {
        if self.make_room(sound.len()) {
            self.buffer[self.end..self.end + sound.len()].copy_from_slice(sound);
            self.end += sound.len();
        }
    }

    /// Space at the end, to be filled in place.
    pub(crate) fn extend(&mut self, len: usize) -> &mut [i16] {
        let len = if self.make_room(len) { len } else { 0 };
        self.end += len;
        &mut self.buffer[self.end - len..self.end]
    }

    /// Samples that may still be appended.
    pub(crate) fn room(&self) -> usize {
        samples(UNPLAYED_MS as f64, self.rate).saturating_sub(self.unplayed())
    }

    /// Plays: fills `out`, which must not be longer than what is unplayed.
    pub(crate) fn read(&mut self, out: &mut [i16]) {
        let n = out.len().min(self.unplayed());
        out[..n].copy_from_slice(&self.buffer[self.read..self.read + n]);
        out[n..].fill(0);
        self.read += n;
    }

    /// Throws away what is unplayed.
    pub(crate) fn cut(&mut self) {
        self.end = self.read;
    }

    /// Goes on at another rate: what is there is carried over, linearly interpolated (a codec
    /// switch is rare and audible anyway).
    pub(crate) fn change_rate(&mut self, rate: u32) {
        if rate == self.rate {
            return;
        }
        let keep = samples(HISTORY_MS as f64, self.rate).min(self.read);
        let from = self.read - keep;
        let len = ((self.end - from) as u64 * u64::from(rate) / u64::from(self.rate)) as usize;
        let len = len.min(self.scratch.len());
        let step = f64::from(self.rate) / f64::from(rate);
        for (i, y) in self.scratch[..len].iter_mut().enumerate() {
            let position = i as f64 * step;
            let at = from + position as usize;
            let (a, b) = (
                f64::from(self.buffer[at.min(self.end - 1)]),
                f64::from(self.buffer[(at + 1).min(self.end - 1)]),
            );
            *y = (a + (b - a) * position.fract()).round() as i16;
        }
        self.buffer[..len].copy_from_slice(&self.scratch[..len]);
        self.read = ((keep as u64 * u64::from(rate) / u64::from(self.rate)) as usize).min(len);
        self.end = len;
        self.rate = rate;
    }

    /// The pitch at the beginning of the last `tail` samples, compared with what comes one lag
    /// earlier: where a period may go or come.
    pub(crate) fn pitch_at(&self, tail: usize) -> Option<Pitch> {
        let at = self.end.checked_sub(tail)?;
        let window = tail.min(samples(PITCH_MAX_MS, self.rate));
        pitch(&self.buffer[..self.end], at, window, at, self.rate)
    }

    /// Drops `count` samples, beginning `tail` samples before the end, with a fade of `fade`. Needs
    /// `tail ≥ count + fade`.
    pub(crate) fn remove(&mut self, tail: usize, count: usize, fade: usize) -> bool {
        if tail < count + fade || tail > self.unplayed() || count == 0 {
            return false;
        }
        let at = self.end - tail;
        cross_fade(
            &self.buffer[at..at + fade],
            &self.buffer[at + count..at + count + fade],
            &mut self.scratch[..fade],
        );
        self.buffer[at..at + fade].copy_from_slice(&self.scratch[..fade]);
        self.buffer
            .copy_within(at + count + fade..self.end, at + fade);
        self.end -= count;
        true
    }

    /// Puts `count` samples in, beginning `tail` samples before the end: sound fades into itself
    /// `count` samples earlier. Needs `tail ≥ fade`, `fade ≤ count`, and `count` samples of history
    /// before that place.
    pub(crate) fn insert(&mut self, tail: usize, count: usize, fade: usize) -> bool {
        if tail < fade
            || fade > count
            || tail > self.unplayed()
            || count == 0
            || !self.make_room(count)
        {
            return false;
        }
        let at = self.end - tail;
        if at < count {
            return false;
        }
        self.scratch[..count].copy_from_slice(&self.buffer[at - count..at]);
        let (head, rest) = self.scratch.split_at_mut(count);
        cross_fade(
            &self.buffer[at..at + fade],
            &head[..fade],
            &mut rest[..fade],
        );
        head[..fade].copy_from_slice(&rest[..fade]);
        self.buffer.copy_within(at..self.end, at + count);
        self.buffer[at..at + count].copy_from_slice(&self.scratch[..count]);
        self.end += count;
        true
    }

    /// Drops (1) or repeats (−1) one sample within the last `tail` samples.
    pub(crate) fn slip(&mut self, slip: &Slip, tail: usize, drop: i32) -> bool {
        if tail > self.unplayed() || tail < 4 * TAPS || !self.make_room(1) {
            return false;
        }
        let at = self.end - tail;
        let consumed = tail - TAPS;
        let len = (consumed as i64 - i64::from(drop)) as usize;
        let before = at.min(TAPS);
        if !slip.bend(
            &self.buffer[at - before..self.end],
            before,
            drop,
            &mut self.scratch[..len],
        ) {
            return false;
        }
        self.buffer.copy_within(self.end - TAPS..self.end, at + len);
        self.buffer[at..at + len].copy_from_slice(&self.scratch[..len]);
        self.end = at + len + TAPS;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn voice(n: usize, rate: u32, hz: f64) -> Vec<i16> {
        (0..n)
            .map(|i| {
                let t = i as f64 / f64::from(rate) * hz * std::f64::consts::TAU;
                (6000.0 * t.sin() + 3000.0 * (2.0 * t).sin() + 1500.0 * (5.0 * t + 0.3).sin())
                    .round() as i16
            })
            .collect()
    }

    fn roughest(x: &[i16]) -> i32 {
        x.windows(3)
            .map(|w| (i32::from(w[0]) - 2 * i32::from(w[1]) + i32::from(w[2])).abs())
            .max()
            .unwrap()
    }

    #[test]
    fn pitch_is_found_at_every_rate() {
        for rate in [8000, 16_000, 48_000] {
            for hz in [70.0, 110.0, 200.0, 380.0] {
                let x = voice(rate as usize / 10, rate, hz);
                let at = x.len() - samples(20.0, rate);
                let p = pitch(&x, at, samples(20.0, rate), at, rate).unwrap();
                let periods = p.lag as f64 * hz / f64::from(rate);
                assert!(p.correlation > 0.97, "{rate} {hz}: {p:?}");
                assert!(
                    (periods - periods.round()).abs() < 0.06 * periods,
                    "{rate} {hz}: {p:?} is {periods} periods"
                );
            }
        }
    }

    #[test]
    fn removing_and_inserting_a_period_changes_length_and_nothing_else() {
        for rate in [8000, 16_000, 48_000] {
            let mut line = SampleFifo::new(rate, 48_000);
            let x = voice(samples(80.0, rate), rate, 120.0);
            line.append(&x);
            let plain = roughest(&x);
            let tail = samples(40.0, rate);
            let p = line.pitch_at(tail).unwrap();
            let before = line.unplayed();
            assert!(line.remove(tail, p.lag, p.lag));
            assert_eq!(line.unplayed(), before - p.lag);
            assert!(line.insert(samples(20.0, rate), p.lag, p.lag));
            assert_eq!(line.unplayed(), before);
            let mut out = vec![0; before];
            line.read(&mut out);
            assert!(
                f64::from(roughest(&out)) < f64::from(plain) * 1.3,
                "{rate}: {} against {plain}",
                roughest(&out)
            );
            assert!((rms(&out) / rms(&x) - 1.0).abs() < 0.03);
        }
    }

    #[test]
    fn a_line_never_overflows_and_reads_back_what_came() {
        let mut line = SampleFifo::new(8000, 8000);
        let mut out = [0i16; 40];
        let (mut wrote, mut got) = (0i16, 0i16);
        for round in 0..5000 {
            if line.room() >= 160 && round % 3 != 0 {
                let frame: Vec<i16> = (0..160).map(|i| wrote.wrapping_add(i)).collect();
                wrote = wrote.wrapping_add(160);
                line.append(&frame);
            }
            if line.unplayed() >= 40 {
                line.read(&mut out);
                for v in out {
                    assert_eq!(v, got);
                    got = got.wrapping_add(1);
                }
            }
        }
        assert!(got != 0);
    }

    #[test]
    fn slips_are_smooth_and_exact_in_length() {
        let slip = Slip::new();
        let mut line = SampleFifo::new(8000, 8000);
        let x = voice(1000, 8000, 150.0);
        line.append(&x);
        assert!(line.slip(&slip, 160, 1));
        assert_eq!(line.unplayed(), 999);
        assert!(line.slip(&slip, 160, -1));
        assert_eq!(line.unplayed(), 1000);
        let mut out = vec![0; 1000];
        line.read(&mut out);
        assert!(roughest(&out) < roughest(&x) * 11 / 10);
    }

    #[test]
    fn a_change_of_rate_keeps_the_tune() {
        let mut line = SampleFifo::new(8000, 16_000);
        line.append(&voice(800, 8000, 200.0));
        let mut out = [0; 400];
        line.read(&mut out);
        line.change_rate(16_000);
        assert_eq!(line.unplayed(), 800);
        let mut out = [0; 800];
        line.read(&mut out);
        let p = pitch(&out, 400, 320, 400, 16_000).unwrap();
        assert_eq!(p.lag, 80);
    }
}
