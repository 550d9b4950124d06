//! Spectra of real sound, by `realfft`: planned once, nothing allocates after that.

use std::sync::Arc;

use realfft::num_complex::Complex;
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};

/// A bin of a spectrum.
pub(crate) type Bin = Complex<f32>;

pub(crate) const ZERO: Bin = Bin::new(0.0, 0.0);

/// Forward and inverse transform of one size with all they need.
pub(crate) struct Transform {
    forward: Arc<dyn RealToComplex<f32>>,
    inverse: Arc<dyn ComplexToReal<f32>>,
    scratch: Box<[Bin]>,
    scale: f32,
}

impl Transform {
    /// Of `length` samples, an even number.
    pub(crate) fn new(length: usize) -> Self {
        let mut planner = RealFftPlanner::new();
        let forward = planner.plan_fft_forward(length);
        let inverse = planner.plan_fft_inverse(length);
        let scratch = forward.get_scratch_len().max(inverse.get_scratch_len());
        Self {
            forward,
            inverse,
            scratch: vec![ZERO; scratch].into(),
            scale: 1.0 / length as f32,
        }
    }

    /// `time` is used up. The lengths are those of `new`: no other error is possible.
    pub(crate) fn forward(&mut self, time: &mut [f32], spectrum: &mut [Bin]) {
        let _ = self
            .forward
            .process_with_scratch(time, spectrum, &mut self.scratch);
    }

    /// The inverse, scaled; `spectrum` is used up.
    pub(crate) fn inverse(&mut self, spectrum: &mut [Bin], time: &mut [f32]) {
        // What rounding has left where a real signal has nothing.
        if let [first, .., last] = spectrum {
            (first.im, last.im) = (0.0, 0.0);
        }
        let _ = self
            .inverse
            .process_with_scratch(spectrum, time, &mut self.scratch);
        for sample in time {
            *sample *= self.scale;
        }
    }
}
