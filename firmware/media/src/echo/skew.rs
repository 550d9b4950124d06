//! Two cards have two clocks: the echo comes later and later, or sooner and sooner, and no filter
//! that stands still fits it for long. Finds by how much, from how the filter's weights move.
//!
//! ```text
//! weights now · weights a quarter of a second ago* ─▶ cross spectrum ─▶ shift that fits best ─▶ ppm
//! ```
//!
//! (Pawig, Enzner and Vary 2010.)

use std::hint::black_box;

use crate::spectrum::{Bin, ZERO};

/// How far apart two looks at the weights are, in ms of talk of the far end.
const APART_MS: usize = 250;
/// Largest shift between two looks, in samples.
const MOST_SHIFT: f32 = 4.0;
/// Shifts tried within a sample.
const TRIED: usize = 8;
/// How alike the weights of two looks must be, 0 to 1.
const ALIKE: f32 = 0.8;
/// How much of what is seen is believed: first more than all, because a filter that follows lags;
/// in the end little, and so many looks take it from the one half way to the other.
const FIRST_STEP: f64 = 1.5;
const LAST_STEP: f64 = 0.3;
const HALF_WAY: f64 = 8.0;
/// Below this nothing is done, in ppm: a card that plays and records has one clock.
const LEAST_PPM: f64 = 8.0;
/// More is no clock of a sound card, in ppm.
const MOST_PPM: f64 = 600.0;

/// What is known of the two clocks.
pub(super) struct Skew {
    hop: usize,
    rate_hz: u32,
    /// The weights at the last look.
    before: Box<[Bin]>,
    cross: Box<[Bin]>,
    /// Samples since then, and those while the far end talked.
    elapsed: usize,
    talked: usize,
    has_before: bool,
    /// How much faster the microphone's clock runs, after so many looks.
    ppm: f64,
    looks: f64,
}

impl Skew {
    /// For a filter with blocks of `hop` samples; `weights` are as many as it will be shown.
    pub(super) fn new(rate_hz: u32, hop: usize, weights: usize) -> Self {
        // Written to now: the first look is in the middle of a call, and must not wait for memory.
        let zeros = |count: usize| (0..count).map(|_| black_box(ZERO)).collect();
        Self {
            hop,
            rate_hz,
            before: zeros(weights),
            cross: zeros(hop + 1),
            elapsed: 0,
            talked: 0,
            has_before: false,
            ppm: 0.0,
            looks: 0.0,
        }
    }

    /// How much faster the microphone's clock runs than the loudspeaker's, in ppm; 0 where that is
    /// too little to matter.
    pub(super) fn ppm(&self) -> f64 {
        if self.ppm.abs() < LEAST_PPM {
            0.0
        } else {
            self.ppm
        }
    }

    /// The weights jumped, or another way is learnt: two looks cannot be compared. The clocks are
    /// what they were.
    pub(super) fn restart(&mut self) {
        self.has_before = false;
        (self.elapsed, self.talked) = (0, 0);
    }

    /// A block is over, in which the far end talked or not. `weights`: of the filter's first parts.
    pub(super) fn watch(&mut self, talks: bool, weights: &[Bin]) {
        self.elapsed += self.hop;
        self.talked += if talks { self.hop } else { 0 };
        let apart = APART_MS * self.rate_hz as usize / 1000;
        if self.talked < apart {
            return;
        }
        if self.has_before
            && let Some(shift) = self.shift(weights)
        {
            let seen = -f64::from(shift) / self.elapsed as f64 * 1e6;
            let step = (FIRST_STEP * HALF_WAY / (HALF_WAY + self.looks)).max(LAST_STEP);
            self.ppm = (self.ppm + step * seen).clamp(-MOST_PPM, MOST_PPM);
            self.looks += 1.0;
        }
        self.before.copy_from_slice(weights);
        self.has_before = true;
        (self.elapsed, self.talked) = (0, 0);
    }

    /// By how many samples the response lies later than at the last look; `None` where it is
    /// another one.
    fn shift(&mut self, weights: &[Bin]) -> Option<f32> {
        self.cross.fill(ZERO);
        let (mut now, mut then) = (0.0, 0.0);
        let bins = self.hop + 1;
        let parts = weights
            .chunks_exact(bins)
            .zip(self.before.chunks_exact(bins));
        for (weights, before) in parts {
            for ((cross, new), old) in self.cross.iter_mut().zip(weights).zip(before) {
                *cross += new * old.conj();
                now += new.norm_sqr();
                then += old.norm_sqr();
            }
        }
        let likeness = |shift: f32| -> f32 {
            let turn = std::f32::consts::PI * shift / self.hop as f32;
            let (sin, cos) = turn.sin_cos();
            let (step, mut angle) = (Bin::new(cos, sin), Bin::new(1.0, 0.0));
            let mut sum = 0.0;
            for cross in &self.cross {
                sum += cross.re * angle.re - cross.im * angle.im;
                angle *= step;
            }
            sum
        };
        let most = (MOST_SHIFT * TRIED as f32) as i32;
        let tried = |n: i32| likeness(n as f32 / TRIED as f32);
        let (best, value) = (-most..=most)
            .map(|n| (n, tried(n)))
            .max_by(|a, b| a.1.total_cmp(&b.1))?;
        if best.abs() == most || value < ALIKE * (now * then).sqrt() {
            return None;
        }
        // The top of the parabola through it and its neighbours.
        let (left, right) = (tried(best - 1), tried(best + 1));
        let curve = left - 2.0 * value + right;
        let off = if curve < 0.0 {
            0.5 * (left - right) / curve
        } else {
            0.0
        };
        Some((best as f32 + off) / TRIED as f32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_data::Rng;

    const RATE: u32 = 16_000;
    const HOP: usize = 80;
    const PARTS: usize = 2;

    /// Weights of noise that is shifted by so many samples.
    fn weights(shift: f64, seed: u64) -> Vec<Bin> {
        let mut random = Rng::new(seed);
        (0..PARTS * (HOP + 1))
            .map(|n| {
                let turn = -std::f64::consts::PI * shift * (n % (HOP + 1)) as f64 / HOP as f64;
                let at = Bin::new(random.normal() as f32, random.normal() as f32);
                at * Bin::new(turn.cos() as f32, turn.sin() as f32)
            })
            .collect()
    }

    /// Five seconds of a response that wanders by so many ppm and of which the filter follows this
    /// share; what was believed in the end.
    fn run(ppm: f64, follows: f64) -> f64 {
        let mut skew = Skew::new(RATE, HOP, PARTS * (HOP + 1));
        let mut shift = 0.0;
        for _ in 0..5 * RATE as usize / HOP {
            shift -= follows * (ppm - skew.ppm()) * 1e-6 * HOP as f64;
            skew.watch(true, &weights(shift, 1));
        }
        skew.ppm()
    }

    #[test]
    fn the_clocks_are_found_also_by_a_filter_that_lags() {
        for ppm in [500.0, 200.0, -200.0, 60.0, -15.0] {
            for follows in [1.0, 0.4] {
                let found = run(ppm, follows);
                assert!((found - ppm).abs() < 8.0, "{ppm} ppm: {found}");
            }
        }
    }

    #[test]
    fn one_clock_is_left_alone() {
        assert!(run(0.0, 1.0).abs() < 1e-9);
        assert!(run(3.0, 1.0).abs() < 1e-9);
    }

    #[test]
    fn another_response_says_nothing() {
        let mut skew = Skew::new(RATE, HOP, PARTS * (HOP + 1));
        for second in 0..8 {
            for _ in 0..RATE as usize / HOP {
                skew.watch(true, &weights(0.0, second));
            }
        }
        assert!(skew.ppm().abs() < 1e-9);
    }
}
