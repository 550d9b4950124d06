//! Takes out what the filter leaves: a gain for each bin, from an estimate of the echo still in it.
//! Where there is none, sound passes unchanged but for a block of delay.
//!
//! ```text
//! error ─▶ window, FFT ─▶ gain: Wiener, decision-directed, not below the room's noise ─▶ IFFT, overlap
//!     residual echo = the more of: what the filter's uncertainty stands for, leakage · |echo|²
//! ```

use crate::overlap_add::OverlapAdd;
use crate::spectrum::Bin;

/// A bin is lowered by 28 dB at most.
const LEAST_GAIN: f32 = 0.04;
/// By 40 dB where the echo overdrove the microphone: what is left of it then is a rattle. And how
/// much more than what is there is taken for it.
const LEAST_GAIN_DISTORTED: f32 = 0.01;
const DISTORTED_WEIGHT: f32 = 8.0;
/// The error is then below this share of the echo.
const DISTORTS: f32 = 0.1;
/// Weights of the two estimates of the residual: an echo taken for speech is heard less than speech
/// taken for an echo.
const UNCERTAINTY_WEIGHT: f32 = 0.2;
const LEAKAGE_WEIGHT: f32 = 0.05;
/// While the filter is young both weigh more, by up to so much, and for so many blocks with echo:
/// what is then left of the echo is more than it believes.
const YOUNG_WEIGHT: f32 = 4.0;
const YOUNG_BLOCKS: u32 = 600;
/// While no one talks at this end both weigh more, too, by up to so much: where the error is below
/// this share of the echo, there is hardly anything in it but echo.
const ALONE_WEIGHT: f32 = 5.0;
const ALONE: f32 = 0.03;
/// How fast the error's power falls from block to block: a word is not over in a gap.
const TALK_KEEP: f32 = 0.95;
/// Mean power of a bin from which on a block has echo.
const HAS_ECHO: f32 = 1e4;
/// How much of the last block's clean power counts in the estimate of this one's.
const CLEAN_KEEP: f32 = 0.9;
/// How fast the residual may fall from block to block: a room rings on.
const RESIDUAL_KEEP: f32 = 0.6;
/// Smoothing of powers from block to block, and of the leakage.
const MEAN_STEP: f32 = 0.05;
const LEAKAGE_STEP: f32 = 0.02;
/// Leakage believed.
const LEAKAGE: std::ops::RangeInclusive<f32> = 0.003..=1.0;
/// The least power of this many blocks is the room's noise.
const NOISE_BLOCKS: u32 = 400;

/// The suppressor and its memory.
pub(super) struct Suppressor {
    overlapped: OverlapAdd,
    bins: Box<[Band]>,
    /// Covariance of error and echo over the variance of the echo: the leakage.
    covariance: f32,
    variance: f32,
    /// Power of the error, rising at once and falling slowly, and of the echo.
    error_power: f32,
    echo_power: f32,
    block: u32,
    /// Blocks with echo since the filter was new.
    heard: u32,
}

/// What is remembered of a bin.
#[derive(Clone, Copy)]
struct Band {
    /// Power let through in the last block.
    clean: f32,
    residual: f32,
    mean_error: f32,
    mean_echo: f32,
    noise: f32,
    /// The least since the window began.
    least: f32,
}

impl Suppressor {
    pub(super) fn new(hop: usize) -> Self {
        let band = Band {
            clean: 0.0,
            residual: 0.0,
            mean_error: 0.0,
            mean_echo: 0.0,
            noise: f32::MAX,
            least: f32::MAX,
        };
        Self {
            overlapped: OverlapAdd::new(hop),
            bins: vec![band; hop + 1].into(),
            covariance: 0.0,
            variance: 0.0,
            error_power: 0.0,
            echo_power: 0.0,
            block: 0,
            heard: 0,
        }
    }

    /// The filter starts again.
    pub(super) fn renew(&mut self) {
        self.heard = 0;
    }

    /// One block of the filter's error; it comes out a block later.
    /// `overdriven`: the microphone was, so that the error is no echo of a linear way.
    pub(super) fn process(
        &mut self,
        sound: &mut [f32],
        echo: &[Bin],
        residual: &[f32],
        overdriven: bool,
    ) {
        self.overlapped.analyse(sound.iter().copied());
        let leakage = self.leakage(echo);
        self.block = self.block.wrapping_add(1);
        let renew = self.block.is_multiple_of(NOISE_BLOCKS);
        let power = echo.iter().map(Bin::norm_sqr).sum::<f32>();
        if power > HAS_ECHO * echo.len() as f32 {
            self.heard = self.heard.saturating_add(1);
        }
        let old = self.heard.min(YOUNG_BLOCKS) as f32 / YOUNG_BLOCKS as f32;
        let weight = (1.0 + YOUNG_WEIGHT * (1.0 - old))
            * (1.0 + ALONE_WEIGHT * self.alone(power, overdriven));
        // By what the loudspeaker played, not by someone who talks into it as well.
        let distorted = overdriven && DISTORTS * power > self.error();
        let least = if distorted {
            LEAST_GAIN_DISTORTED
        } else {
            LEAST_GAIN
        };
        for (((bin, band), echo), residual) in self
            .overlapped
            .spectrum
            .iter_mut()
            .zip(&mut self.bins)
            .zip(echo)
            .zip(residual)
        {
            let own = bin.norm_sqr() + 1.0;
            let left = (UNCERTAINTY_WEIGHT * residual)
                .max(LEAKAGE_WEIGHT * leakage * 0.5 * echo.norm_sqr());
            let left = if distorted {
                DISTORTED_WEIGHT * own
            } else {
                weight * left
            };
            *bin *= band.gain(own, left, least, renew);
        }
        self.overlapped.synthesise(|n, sample| sound[n] = sample);
    }

    /// How sure it is, from 0 to 1, that there is nothing but echo; `echo` is its power.
    fn alone(&mut self, echo: f32, overdriven: bool) -> f32 {
        // What an overdriven microphone adds is no talk.
        let error = if overdriven { 0.0 } else { self.error() };
        self.error_power = error.max(TALK_KEEP * self.error_power);
        self.echo_power = (0.5 * echo).max(TALK_KEEP * self.echo_power);
        let share = self.error_power / (self.echo_power + self.overlapped.hop() as f32);
        let sure = (ALONE / share.max(1e-9)).min(1.0);
        sure * sure
    }

    /// Power of the last block's error.
    fn error(&self) -> f32 {
        self.overlapped.spectrum.iter().map(Bin::norm_sqr).sum()
    }

    /// Which part of the echo is left: how much the error's power follows that of the echo. Each
    /// bin counts by its own mean, so that no loud one rules.
    fn leakage(&mut self, echo: &[Bin]) -> f32 {
        let (mut covariance, mut variance) = (0.0, 0.0);
        for ((bin, band), echo) in self
            .overlapped
            .spectrum
            .iter()
            .zip(&mut self.bins)
            .zip(echo)
        {
            let error = bin.norm_sqr() - band.mean_error;
            let echo = 0.5 * echo.norm_sqr() - band.mean_echo;
            band.mean_error += MEAN_STEP * error;
            band.mean_echo += MEAN_STEP * echo;
            let weight = 1.0 / (band.mean_echo + 1e3);
            covariance += error * echo * weight * weight;
            variance += echo * echo * weight * weight;
        }
        // Silence says nothing.
        let step = LEAKAGE_STEP * variance / (variance + self.overlapped.hop() as f32);
        self.covariance += step * (covariance - self.covariance);
        self.variance += step * (variance - self.variance);
        (self.covariance / (self.variance + 1e-9)).clamp(*LEAKAGE.start(), *LEAKAGE.end())
    }
}

impl Band {
    /// The gain for a bin of this power, of which about `residual` is echo.
    fn gain(&mut self, power: f32, residual: f32, least_gain: f32, renew: bool) -> f32 {
        self.least = self.least.min(self.mean_error.max(1.0));
        self.noise = self.noise.min(self.least);
        if renew {
            (self.noise, self.least) = (self.least, f32::MAX);
        }
        self.residual = residual.max(RESIDUAL_KEEP * self.residual);
        let residual = self.residual + 1.0;
        let prior = CLEAN_KEEP * self.clean / residual
            + (1.0 - CLEAN_KEEP) * (power / residual - 1.0).max(0.0);
        // What is left is never below the noise of the room, which would come and go.
        let least = (self.noise / power).sqrt().clamp(least_gain, 1.0);
        let gain = (prior / (1.0 + prior)).max(least);
        self.clean = gain * gain * power;
        gain
    }
}
