//! The adaptive filter: a partitioned-block Kalman filter in the frequency domain (Enzner and
//! Vary 2006, partitioned by Kuech and others 2014).
//!
//! ```text
//! reference ─▶ FFT ─▶ X of the last blocks ─▶ Σ W·X ─▶ IFFT ─▶ echo
//! microphone − echo = error ─▶ FFT ─▶ E ─▶ W += U·X* / (Σ U·|X|² + near end) · E
//! ```
//!
//! The step of each bin follows from how uncertain its weights are (`U`) against how much of the
//! error is not echo: large at the start, small once the weights are good, and next to nothing
//! while the near end talks, without any detector of that.

use crate::spectrum::{Bin, Transform, ZERO};

/// How much of a weight is believed to stay what it was over 4 ms.
const STAYS: f32 = 0.999_7;
/// Uncertainty of the first weight before anything is known; of later ones it falls as the sound in
/// a room does, by 20 dB in 100 ms.
const UNKNOWN: f32 = 1.0;
const FALL_PER_100_MS: f32 = 1e-2;
/// Uncertainty after the way of the echo has changed.
const DOUBTFUL: f32 = 0.3;
/// The model takes the errors of neighbouring blocks and bins for independent, which they are not:
/// the error that the weights explain counts for more than it says, so the step is smaller,
const CAUTION: f32 = 1.5;
/// and a step takes only this share of the uncertainty that it says.
const LEARNT: f32 = 0.25;
/// Least uncertainty.
const CERTAIN: f32 = 1e-9;
/// Smoothing of the error's spectrum from block to block.
const ERROR_KEEP: f32 = 0.5;
/// Least power of the near end in a bin, for each sample of a block: rounding to 16 bits.
const LEAST_NEAR: f32 = 4.0;
/// Each block, one in so many parts is held to its length.
const HELD: usize = 8;

/// The filter and its memory.
pub(super) struct Filter {
    hop: usize,
    parts: usize,
    bins: usize,
    transform: Transform,
    /// The last two blocks of the reference.
    reference: Box<[f32]>,
    /// Spectra of the last blocks of the reference, and which is the newest.
    spectra: Box<[Bin]>,
    newest: usize,
    weights: Box<[Bin]>,
    uncertainty: Box<[f32]>,
    /// Uncertainty of each part before anything is known.
    unknown: Box<[f32]>,
    error_power: Box<[f32]>,
    echo: Box<[Bin]>,
    error: Box<[Bin]>,
    residual: Box<[f32]>,
    work: Box<[Bin]>,
    time: Box<[f32]>,
    stays: f32,
    block: usize,
}

impl Filter {
    /// Blocks of `hop` samples at `rate_hz`, `parts` of them long.
    pub(super) fn new(hop: usize, parts: usize, rate_hz: u32) -> Self {
        let bins = hop + 1;
        let block_ms = hop as f32 * 1000.0 / rate_hz as f32;
        let unknown: Box<[f32]> = (0..parts)
            .map(|part| UNKNOWN * FALL_PER_100_MS.powf(part as f32 * block_ms / 100.0))
            .collect();
        let mut filter = Self {
            hop,
            parts,
            bins,
            transform: Transform::new(2 * hop),
            reference: vec![0.0; 2 * hop].into(),
            spectra: vec![ZERO; parts * bins].into(),
            newest: 0,
            weights: vec![ZERO; parts * bins].into(),
            uncertainty: vec![0.0; parts * bins].into(),
            unknown,
            error_power: vec![0.0; bins].into(),
            echo: vec![ZERO; bins].into(),
            error: vec![ZERO; bins].into(),
            residual: vec![0.0; bins].into(),
            work: vec![ZERO; bins].into(),
            time: vec![0.0; 2 * hop].into(),
            stays: STAYS.powf(block_ms / 4.0),
            block: 0,
        };
        filter.reset();
        filter
    }

    /// The weights of the first parts, in which the direct sound lies, `hop + 1` bins each.
    pub(super) fn first_weights(&self, parts: usize) -> &[Bin] {
        &self.weights[..parts.min(self.parts) * self.bins]
    }

    /// Nothing is known of the way of the echo.
    pub(super) fn reset(&mut self) {
        self.weights.fill(ZERO);
        self.spectra.fill(ZERO);
        self.reference.fill(0.0);
        let parts = self.uncertainty.chunks_exact_mut(self.bins);
        for (part, &unknown) in parts.zip(&self.unknown) {
            part.fill(unknown);
        }
    }

    /// The way of the echo has changed: the weights stay, but are believed less.
    pub(super) fn raise_uncertainty(&mut self) {
        for uncertainty in &mut self.uncertainty {
            *uncertainty = uncertainty.max(DOUBTFUL);
        }
    }

    /// The spectrum of the echo taken out of the last block.
    pub(super) fn echo(&self) -> &[Bin] {
        &self.echo
    }

    /// The power of the echo that may be left in the last block's error, for each bin.
    pub(super) fn residual(&self) -> &[f32] {
        &self.residual
    }

    /// One block: `microphone` becomes the error. `learns`: it says something of the way.
    pub(super) fn process(&mut self, reference: &[f32], microphone: &mut [f32], learns: bool) {
        let (hop, bins) = (self.hop, self.bins);
        self.reference.copy_within(hop.., 0);
        self.reference[hop..].copy_from_slice(reference);
        self.newest = (self.newest + self.parts - 1) % self.parts;
        self.time.copy_from_slice(&self.reference);
        let first = self.newest * bins;
        let newest = &mut self.spectra[first..first + bins];
        self.transform.forward(&self.time, newest);

        self.echo.fill(ZERO);
        self.residual.fill(0.0);
        for part in 0..self.parts {
            let at = (self.newest + part) % self.parts * bins;
            let spectrum = &self.spectra[at..at + bins];
            let weights = &self.weights[part * bins..];
            for ((echo, x), w) in self.echo.iter_mut().zip(spectrum).zip(weights) {
                *echo += x * w;
            }
            // Half of the error's window is empty: it shows half of the power the reference has.
            let uncertainty = &self.uncertainty[part * bins..];
            for ((left, x), u) in self.residual.iter_mut().zip(spectrum).zip(uncertainty) {
                *left += 0.5 * u * x.norm_sqr();
            }
        }
        self.work.copy_from_slice(&self.echo);
        self.transform.inverse(&mut self.work, &mut self.time);
        for (sample, echo) in microphone.iter_mut().zip(&self.time[hop..]) {
            *sample -= echo;
        }
        self.time[..hop].fill(0.0);
        self.time[hop..].copy_from_slice(microphone);
        self.transform.forward(&self.time, &mut self.error);
        if learns {
            self.adapt();
        }
    }

    fn adapt(&mut self) {
        let (hop, bins) = (self.hop, self.bins);
        for (power, error) in self.error_power.iter_mut().zip(&self.error) {
            let now = error.norm_sqr();
            *power = (ERROR_KEEP * *power + (1.0 - ERROR_KEEP) * now).max(LEAST_NEAR * hop as f32);
        }
        let stays = self.stays * self.stays;
        self.block = self.block.wrapping_add(1);
        for part in 0..self.parts {
            let at = (self.newest + part) % self.parts * bins;
            let spectrum = &self.spectra[at..at + bins];
            let own = part * bins..(part + 1) * bins;
            let weights = &mut self.weights[own.clone()];
            let uncertainty = &mut self.uncertainty[own];
            for k in 0..bins {
                let (x, u) = (spectrum[k], uncertainty[k]);
                let step = u / (CAUTION * self.residual[k] + self.error_power[k]);
                uncertainty[k] = stays * u * (1.0 - LEARNT * step * x.norm_sqr()).max(0.0)
                    + (1.0 - stays) * weights[k].norm_sqr()
                    + CERTAIN;
                weights[k] += x.conj() * self.error[k] * step;
            }
            // Only what lies in the first half of the window is a filter of this length. It drifts
            // out of it slowly, so that not every part needs it each time.
            if (part + self.block).is_multiple_of(HELD) {
                self.work.copy_from_slice(weights);
                self.transform.inverse(&mut self.work, &mut self.time);
                self.time[hop..].fill(0.0);
                self.transform.forward(&self.time, weights);
            }
        }
    }
}
