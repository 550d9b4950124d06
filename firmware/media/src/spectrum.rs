//! Spectra of real sound: transforms of `rustfft`, chosen here for the few lengths that occur. Its
//! planner would bring code for every length there is, half a megabyte of it, into the binary and
//! the memory of a phone that uses three. Nothing allocates after [`Transform::new`].
//!
//! A real signal of `length` samples is transformed as one of half as many complex samples, whose
//! real parts are the even samples and whose imaginary parts are the odd ones.

use std::f64::consts::TAU;
use std::sync::Arc;

use rustfft::algorithm::butterflies::{Butterfly3, Butterfly5, Butterfly7};
use rustfft::algorithm::{Dft, MixedRadix, Radix4};
use rustfft::num_complex::Complex;
use rustfft::{Fft, FftDirection};

/// A bin of a spectrum.
pub(crate) type Bin = Complex<f32>;

pub(crate) const ZERO: Bin = Bin::new(0.0, 0.0);

/// Forward and inverse transform of one size with all they need.
pub(crate) struct Transform {
    forward: Arc<dyn Fft<f32>>,
    inverse: Arc<dyn Fft<f32>>,
    /// e^(-2πik/length) for the first half of the bins.
    turns: Box<[Bin]>,
    scratch: Box<[Bin]>,
    scale: f32,
}

impl Transform {
    /// Of `length` samples, an even number: `length / 2 + 1` bins.
    pub(crate) fn new(length: usize) -> Self {
        let half = length / 2;
        let forward = complex(half, FftDirection::Forward);
        let inverse = complex(half, FftDirection::Inverse);
        let scratch = forward
            .get_inplace_scratch_len()
            .max(inverse.get_inplace_scratch_len());
        let turn = |k: usize| {
            let (sin, cos) = (TAU * k as f64 / length as f64).sin_cos();
            Bin::new(cos as f32, -sin as f32)
        };
        Self {
            forward,
            inverse,
            turns: (0..=half / 2).map(turn).collect(),
            scratch: vec![ZERO; scratch].into(),
            scale: 1.0 / length as f32,
        }
    }

    /// From `length` samples to `length / 2 + 1` bins.
    pub(crate) fn forward(&mut self, time: &[f32], spectrum: &mut [Bin]) {
        let half = time.len() / 2;
        for (bin, pair) in spectrum.iter_mut().zip(time.chunks_exact(2)) {
            *bin = Bin::new(pair[0], pair[1]);
        }
        self.forward
            .process_with_scratch(&mut spectrum[..half], &mut self.scratch);
        spectrum[half] = spectrum[0];
        for (k, turn) in self.turns.iter().enumerate() {
            let (near, far) = (spectrum[k], spectrum[half - k].conj());
            let even = (near + far) * 0.5;
            let odd = (near - far) * 0.5 * turn;
            // -i times the odd samples' part.
            let odd = Bin::new(odd.im, -odd.re);
            spectrum[k] = even + odd;
            spectrum[half - k] = (even - odd).conj();
        }
    }

    /// The inverse, scaled; `spectrum` is used up.
    pub(crate) fn inverse(&mut self, spectrum: &mut [Bin], time: &mut [f32]) {
        let half = time.len() / 2;
        // What rounding has left where a real signal has nothing.
        (spectrum[0].im, spectrum[half].im) = (0.0, 0.0);
        for (k, turn) in self.turns.iter().enumerate() {
            let (near, far) = (spectrum[k], spectrum[half - k].conj());
            let even = near + far;
            let odd = (near - far) * turn.conj();
            let odd = Bin::new(-odd.im, odd.re);
            spectrum[k] = even + odd;
            spectrum[half - k] = (even - odd).conj();
        }
        self.inverse
            .process_with_scratch(&mut spectrum[..half], &mut self.scratch);
        for (bin, pair) in spectrum.iter().zip(time.chunks_exact_mut(2)) {
            (pair[0], pair[1]) = (bin.re * self.scale, bin.im * self.scale);
        }
    }
}

/// A transform of complex samples: of the power of two in their number, of each three, five and
/// seven in it, and of what is left: nothing for periods of 1 to 20 ms at the usual rates.
fn complex(length: usize, direction: FftDirection) -> Arc<dyn Fft<f32>> {
    let two = 1 << length.trailing_zeros();
    let mut whole: Arc<dyn Fft<f32>> = Arc::new(Radix4::new(two, direction));
    let mut rest = length / two;
    let small: [Arc<dyn Fft<f32>>; 3] = [
        Arc::new(Butterfly3::new(direction)),
        Arc::new(Butterfly5::new(direction)),
        Arc::new(Butterfly7::new(direction)),
    ];
    for small in small {
        while rest.is_multiple_of(small.len()) {
            rest /= small.len();
            whole = Arc::new(MixedRadix::new(whole, Arc::clone(&small)));
        }
    }
    if rest > 1 {
        whole = Arc::new(MixedRadix::new(whole, Arc::new(Dft::new(rest, direction))));
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lengths of all kinds: a power of two; three, five and seven times one; 10 ms at 48 kHz and
    /// at 44.1 kHz; and one with a larger prime.
    const LENGTHS: [usize; 9] = [2, 64, 96, 160, 224, 640, 960, 882, 352];

    fn noise(length: usize) -> Vec<f32> {
        let mut random = testkit::rng::Rng::new(7);
        (0..length).map(|_| random.symmetric() as f32).collect()
    }

    #[test]
    fn the_forward_transform_is_the_sum_its_definition_names() {
        for length in LENGTHS {
            let time = noise(length);
            let mut spectrum = vec![ZERO; length / 2 + 1];
            Transform::new(length).forward(&time, &mut spectrum);
            for (k, bin) in spectrum.iter().enumerate() {
                let (mut re, mut im) = (0.0, 0.0);
                for (n, sample) in time.iter().enumerate() {
                    let (sin, cos) = (TAU * (k * n % length) as f64 / length as f64).sin_cos();
                    re += f64::from(*sample) * cos;
                    im -= f64::from(*sample) * sin;
                }
                let off = (re - f64::from(bin.re)).hypot(im - f64::from(bin.im));
                assert!(off < 1e-4, "{length} samples, bin {k}: {off}");
            }
        }
    }

    #[test]
    fn the_inverse_gives_back_what_was_transformed() {
        for length in LENGTHS {
            let time = noise(length);
            let mut transform = Transform::new(length);
            let mut spectrum = vec![ZERO; length / 2 + 1];
            transform.forward(&time, &mut spectrum);
            let mut back = vec![0.0; length];
            transform.inverse(&mut spectrum, &mut back);
            for (back, time) in back.iter().zip(&time) {
                assert!(
                    (back - time).abs() < 1e-5,
                    "{length} samples: {back}, {time}"
                );
            }
        }
    }
}
