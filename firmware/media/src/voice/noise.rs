//! Lowers steady noise (fans, traffic, the hiss of a microphone) and spares talk.
//!
//! ```text
//! sound ─▶ window, FFT ─▶ power of each bin ─┬─▶ its least over 1.5 s ─▶ noise
//!                                            └─▶ gain: Wiener, decision-directed, not below −15 dB ─▶ IFFT, overlap
//! ```
//!
//! The noise of a bin is the least that its smoothed power was lately: between syllables every bin
//! is quiet for a moment, whatever is said (minimum statistics, Martin 2001).

use crate::overlap_add::OverlapAdd;

/// A bin is lowered by 15 dB at most: what is left of a room sounds like that room.
const LEAST_GAIN: f32 = 0.178;
/// How much the last block's clean power counts in the estimate of this one's, after 5 ms.
const CLEAN_KEEP: f32 = 0.96;
/// Smoothing of a bin's power, after 5 ms.
const POWER_KEEP: f32 = 0.85;
/// The least power of this long is the noise, in ms.
const WINDOW_MS: usize = 1_500;
/// How far the least of a smoothed noise lies below its mean.
const BIAS: f32 = 2.0;
/// The noise is weighed by so much, or it would come and go.
const OVERWEIGHT: f32 = 1.6;

/// The suppressor and its memory.
pub(super) struct NoiseSuppressor {
    overlapped: OverlapAdd,
    bins: Box<[Bin]>,
    /// Blocks until the next half of the window of the least power begins.
    renew_in: usize,
    /// Blocks in half of that window.
    blocks: usize,
    /// `CLEAN_KEEP` and `POWER_KEEP` for blocks of this length.
    keep: (f32, f32),
}

/// What is remembered of a bin.
#[derive(Clone, Copy)]
struct Bin {
    /// Smoothed power; negative: nothing was heard yet.
    power: f32,
    /// Least of it in the last half of the window, and in this one.
    least: [f32; 2],
    /// Power let through in the last block.
    clean: f32,
}

impl NoiseSuppressor {
    pub(super) fn new(rate_hz: u32, hop: usize) -> Self {
        let ms = hop as f32 * 1000.0 / rate_hz as f32;
        let bin = Bin {
            power: -1.0,
            least: [f32::MAX; 2],
            clean: 0.0,
        };
        let blocks = (WINDOW_MS as f32 / ms) as usize / 2;
        Self {
            overlapped: OverlapAdd::new(hop),
            bins: vec![bin; hop + 1].into(),
            renew_in: blocks,
            blocks,
            keep: (CLEAN_KEEP.powf(ms / 5.0), POWER_KEEP.powf(ms / 5.0)),
        }
    }

    /// One block; it comes out a block later.
    pub(super) fn process(&mut self, sound: &mut [i16]) {
        if sound.len() != self.overlapped.hop() {
            return;
        }
        self.overlapped
            .analyse(sound.iter().map(|&sample| f32::from(sample)));
        self.renew_in -= 1;
        let renew = self.renew_in == 0;
        if renew {
            self.renew_in = self.blocks;
        }
        let (clean_keep, power_keep) = self.keep;
        for (value, bin) in self.overlapped.spectrum.iter_mut().zip(&mut self.bins) {
            *value *= bin.gain(value.norm_sqr() + 1.0, clean_keep, power_keep, renew);
        }
        // `as` saturates.
        self.overlapped
            .synthesise(|n, sample| sound[n] = sample.round() as i16);
    }
}

impl Bin {
    fn gain(&mut self, power: f32, clean_keep: f32, power_keep: f32, renew: bool) -> f32 {
        if self.power < 0.0 {
            self.power = power;
        }
        self.power = power_keep * self.power + (1.0 - power_keep) * power;
        if renew {
            self.least = [self.least[1], f32::MAX];
        }
        self.least[1] = self.least[1].min(self.power);
        let noise = OVERWEIGHT * BIAS * self.least[0].min(self.least[1]);
        let prior =
            clean_keep * self.clean / noise + (1.0 - clean_keep) * (power / noise - 1.0).max(0.0);
        let gain = (prior / (1.0 + prior)).max(LEAST_GAIN);
        self.clean = gain * gain * power;
        gain
    }
}
