//! Sound through a spectrum and back, block by block, with windows that overlap by half.
//!
//! ```text
//! block ─▶ analyse: sine window over this block and the last, FFT ─▶ spectrum
//! spectrum, changed ─▶ synthesise: IFFT, the same window, overlap ─▶ the last block
//! ```
//!
//! Where nothing is changed the sound comes out as it went in, one block later. Nothing is
//! allocated after [`OverlapAdd::new`].

use crate::spectrum::{Bin, Transform, ZERO};

/// The memory of one sound.
pub(crate) struct OverlapAdd {
    transform: Transform,
    window: Box<[f32]>,
    last: Box<[f32]>,
    overlap: Box<[f32]>,
    time: Box<[f32]>,
    /// Of the last block that was analysed: `hop + 1` bins, for the owner to change.
    pub(crate) spectrum: Box<[Bin]>,
}

impl OverlapAdd {
    /// For blocks of `hop` samples.
    pub(crate) fn new(hop: usize) -> Self {
        let turn = std::f32::consts::PI / (2 * hop) as f32;
        Self {
            transform: Transform::new(2 * hop),
            window: (0..2 * hop)
                .map(|n| (turn * (n as f32 + 0.5)).sin())
                .collect(),
            last: vec![0.0; hop].into(),
            overlap: vec![0.0; hop].into(),
            time: vec![0.0; 2 * hop].into(),
            spectrum: vec![ZERO; hop + 1].into(),
        }
    }

    /// Samples of a block.
    pub(crate) fn hop(&self) -> usize {
        self.last.len()
    }

    /// Takes the next block of `hop` samples into the spectrum.
    pub(crate) fn analyse(&mut self, sound: impl Iterator<Item = f32>) {
        let (before, now) = self.time.split_at_mut(self.last.len());
        before.copy_from_slice(&self.last);
        for ((time, last), sample) in now.iter_mut().zip(&mut self.last).zip(sound) {
            *time = sample;
            *last = sample;
        }
        for (sample, window) in self.time.iter_mut().zip(&self.window) {
            *sample *= window;
        }
        self.transform.forward(&self.time, &mut self.spectrum);
    }

    /// Gives the block before the last one analysed, as the spectra were left: each sample and its
    /// place in the block.
    pub(crate) fn synthesise(&mut self, mut put: impl FnMut(usize, f32)) {
        let hop = self.hop();
        self.transform.inverse(&mut self.spectrum, &mut self.time);
        let (begin, end) = self.time.split_at(hop);
        let (rise, fall) = self.window.split_at(hop);
        for n in 0..hop {
            put(n, self.overlap[n] + begin[n] * rise[n]);
            self.overlap[n] = end[n] * fall[n];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_changed_comes_out_a_block_later() {
        const HOP: usize = 80;
        let sound: Vec<f32> = (0..10 * HOP)
            .map(|n| (n * 7_919 % 20_000) as f32 - 10_000.0)
            .collect();
        let mut overlapped = OverlapAdd::new(HOP);
        let mut heard = Vec::new();
        for block in sound.chunks(HOP) {
            overlapped.analyse(block.iter().copied());
            overlapped.synthesise(|_, sample| heard.push(sample));
        }
        for (heard, sound) in heard[HOP..].iter().zip(&sound) {
            assert!((heard - sound).abs() < 0.1, "{heard} for {sound}");
        }
    }
}
