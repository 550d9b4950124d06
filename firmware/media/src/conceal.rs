//! Sound in place of packets that did not come: the last pitch periods are repeated, ever softer,
//! and faded into the next good frame.
//!
//! ```text
//! history ─▶ pitch ─▶ last 1, then 2, then 3 periods, over and over ─▶ fade after 5 ms, silent after 40 ms ─▶ ear
//!                                                                   └─▶ merge: overlap into the first good frame
//! ```
//!
//! In the spirit of ITU-T G.711 Appendix I, but without its constant 3.75 ms of delay: the seams
//! are smoothed forwards. The times below are those at which PESQ of speech with single packets of
//! 20 ms lost was best, G.711 and G.722 alike (3 and 10 %, three speakers). The Recommendation
//! fades later, from 10 to 60 ms, and a longer seam after a longer gap hides more of what is good:
//! both cost 0.03 to 0.05.

use crate::stretch::{pitch, samples};

/// Sound is repeated at full level for this long, then fades.
const FULL_MS: f64 = 5.0;
/// Silent from here on.
const SILENT_MS: f64 = 40.0;
/// Below this correlation there is no voice to repeat: a longer piece is taken, so that noise does
/// not begin to hum.
const VOICED: f32 = 0.25;
/// The sound before the gap whose like is looked for. A longer piece spans sounds that are over.
const COMPARED_MS: f64 = 6.0;
/// The longest period looked for.
const LONGEST_MS: f64 = 15.0;
/// The fade into the first good frame: what it covers is lost, too.
const SEAM_MS: f64 = 4.0;

/// A concealment under way, or none.
pub(crate) struct Concealer {
    /// The last three longest periods before the gap.
    source: Box<[i16]>,
    len: usize,
    period: usize,
    periods: usize,
    /// Position within the repeated part.
    at: usize,
    made: usize,
    active: bool,
    rate: u32,
    /// Jump from the last sample to the first repeated one, ramped out.
    step: f32,
    tail: Box<[i16]>,
}

impl Concealer {
    pub(crate) fn new(highest_rate: u32) -> Self {
        let most = samples(50.0, highest_rate);
        Self {
            source: vec![0; most].into_boxed_slice(),
            len: 0,
            period: 1,
            periods: 1,
            at: 0,
            made: 0,
            active: false,
            rate: highest_rate,
            step: 0.0,
            tail: vec![0; samples(SEAM_MS, highest_rate)].into_boxed_slice(),
        }
    }

    /// Whether sound is being made up.
    pub(crate) fn active(&self) -> bool {
        self.active
    }

    /// Whether it has faded to nothing.
    pub(crate) fn silent(&self) -> bool {
        self.active && self.made >= samples(SILENT_MS, self.rate)
    }

    /// A gap begins: `past` is everything played and decoded up to it.
    pub(crate) fn begin(&mut self, past: &[i16], rate: u32) {
        self.active = true;
        self.rate = rate;
        self.made = 0;
        self.periods = 1;
        let window = samples(COMPARED_MS, rate);
        let longest = samples(LONGEST_MS, rate);
        let found = past
            .len()
            .checked_sub(window)
            .and_then(|at| pitch(past, at, window, longest, rate));
        self.period = match found {
            Some(p) if p.correlation > VOICED => p.lag,
            Some(_) | None => longest,
        }
        .max(1);
        // Three periods and a quarter for the seam.
        self.len = (self.period * 3 + self.period / 4 + 1)
            .min(past.len())
            .min(self.source.len());
        self.source[..self.len].copy_from_slice(&past[past.len() - self.len..]);
        self.period = self.period.min(self.len.saturating_sub(1)).max(1);
        self.at = 0;
        self.step = match (
            past.last(),
            self.len
                .checked_sub(self.period + 1)
                .and_then(|i| self.source[..self.len].get(i)),
        ) {
            (Some(&last), Some(&before)) => f32::from(last) - f32::from(before),
            _ => 0.0,
        };
    }

    fn gain(&self, made: usize) -> f32 {
        let ms = made as f32 * 1000.0 / self.rate as f32;
        if ms <= FULL_MS as f32 {
            1.0
        } else {
            (1.0 - (ms - FULL_MS as f32) / (SILENT_MS - FULL_MS) as f32).max(0.0)
        }
    }

    /// One repeated sample at `at` of a loop of `span` samples at the source's end; its last
    /// quarter period fades into what lies before its start.
    fn looped(&self, at: usize, span: usize) -> f32 {
        let start = self.len - span;
        let seam = (self.period / 4).min(start);
        let x = f32::from(self.source[start + at]);
        if seam > 0 && at + seam >= span {
            let into = at + seam - span;
            let w = (into as f32 + 1.0) / (seam as f32 + 1.0);
            x * (1.0 - w) + f32::from(self.source[start - seam + into]) * w
        } else {
            x
        }
    }

    /// Makes up the next `out.len()` samples.
    pub(crate) fn generate(&mut self, out: &mut [i16]) {
        let ramp = samples(2.5, self.rate).max(1);
        let block = samples(10.0, self.rate).max(1);
        for y in out.iter_mut() {
            if self.silent() || self.len == 0 {
                *y = 0;
                self.made += 1;
                continue;
            }
            let span = (self.period * self.periods).min(self.len);
            let mut x = self.looped(self.at, span);
            if self.made < ramp {
                x += self.step * (1.0 - self.made as f32 / ramp as f32);
            }
            *y = (x * self.gain(self.made)).round().clamp(-32768.0, 32767.0) as i16;
            self.made += 1;
            self.at += 1;
            if self.at >= span {
                // After each 10 ms one more period joins the loop, so that it does not sound like a
                // machine.
                self.periods = (1 + self.made / block)
                    .min(3)
                    .min((self.len / self.period).max(1));
                self.at = 0;
            }
        }
    }

    /// What would be made up next, without making it.
    pub(crate) fn peek(&mut self, out: &mut [i16]) {
        let (at, made, periods) = (self.at, self.made, self.periods);
        self.generate(out);
        (self.at, self.made, self.periods) = (at, made, periods);
    }

    /// The gap is over: fades what would have come next into the beginning of `good`.
    pub(crate) fn merge(&mut self, good: &mut [i16]) {
        if !self.active {
            return;
        }
        let fade = samples(SEAM_MS, self.rate)
            .min(good.len())
            .min(self.tail.len());
        let mut tail = std::mem::take(&mut self.tail);
        self.generate(&mut tail[..fade]);
        for (i, y) in good[..fade].iter_mut().enumerate() {
            let w = (i as f32 + 1.0) / (fade as f32 + 1.0);
            *y = (f32::from(tail[i]) * (1.0 - w) + f32::from(*y) * w).round() as i16;
        }
        self.tail = tail;
        self.active = false;
    }

    /// Nothing to conceal any more; the next good frame begins as it is.
    pub(crate) fn stop(&mut self) {
        self.active = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stretch::rms;

    fn voice(n: usize) -> Vec<i16> {
        (0..n)
            .map(|i| {
                let t = i as f64 / 8000.0 * 130.0 * std::f64::consts::TAU;
                (6000.0 * t.sin() + 3000.0 * (3.0 * t).sin()).round() as i16
            })
            .collect()
    }

    #[test]
    fn a_lost_frame_of_steady_voice_is_hardly_missed() {
        let x = voice(1000);
        let mut concealer = Concealer::new(8000);
        concealer.begin(&x[..600], 8000);
        let mut made = [0i16; 80];
        concealer.generate(&mut made);
        let error: f64 = made
            .iter()
            .zip(&x[600..])
            .map(|(&a, &b)| f64::from(i32::from(a) - i32::from(b)).powi(2))
            .sum();
        let signal: f64 = x[600..680].iter().map(|&v| f64::from(v).powi(2)).sum();
        assert!(
            10.0 * (signal / error).log10() > 15.0,
            "{} dB",
            10.0 * (signal / error).log10()
        );
    }

    #[test]
    fn it_fades_to_silence_by_40_ms_and_merges_without_a_click() {
        let x = voice(1000);
        let mut concealer = Concealer::new(8000);
        concealer.begin(&x[..600], 8000);
        let mut made = [0i16; 560];
        concealer.generate(&mut made);
        assert!(rms(&made[..80]) > 0.9 * rms(&x));
        assert!(rms(&made[200..280]) < 0.5 * rms(&x));
        assert!(made[320..].iter().all(|&v| v == 0));
        let mut good = x[600..760].to_vec();
        concealer.merge(&mut good);
        assert!(good[0].abs() < 300 && !concealer.active());
        assert_eq!(good[100..], x[700..760]);
    }

    #[test]
    fn any_history_will_do() {
        for n in [0usize, 1, 2, 30, 161, 400] {
            let mut concealer = Concealer::new(48_000);
            concealer.begin(&vec![12_345; n], 8000);
            let mut made = [0i16; 800];
            concealer.generate(&mut made);
            concealer.merge(&mut made[..10]);
        }
    }
}
