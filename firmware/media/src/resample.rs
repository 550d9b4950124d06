//! Rate conversion between card and codec, with a fine adjustment for drifting clocks.
//!
//! ```text
//! push: any input block ─▶ sinc interpolation ─▶ as much output as it makes (±1 from block to block)
//! pull: any output block ◀─ sinc interpolation ◀─ as much input as it needs (`needed`, ±1)
//! ```
//!
//! rubato's sinc interpolator, f32, set up once. The filter is as long as 1 ms of delay allows at 16 kHz and above;
//! with 8 kHz on one side it is 1.5 ms, which that side's narrow transition (3.4 to 4.6 kHz) needs.
//! With equal rates and no adjustment wanted sound passes untouched and undelayed.

use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{
    Adjustable, Async, FixedAsync, Indexing, Resampler as _, Resizable, SincInterpolationParameters, SincInterpolationType, WindowFunction,
};

/// Most the rate may be adjusted, in parts per million.
pub const MAX_PPM: f64 = 2000.0;

/// Why no resampler could be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot resample {from_hz} Hz to {to_hz} Hz in blocks of {block}: {why}")]
pub struct ResampleError {
    from_hz: u32,
    to_hz: u32,
    block: usize,
    why: String,
}

/// Which side has blocks of a given length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Input,
    Output,
}

/// The converter itself, shared by [`Push`] and [`Pull`].
struct Core {
    inner: Option<Async<f32>>,
    ratio: f64,
    input: Vec<f32>,
    output: Vec<f32>,
    max_block: usize,
    delay: f64,
}

impl Core {
    fn new(from_hz: u32, to_hz: u32, max_block: usize, adjustable: bool, side: Side) -> Result<Self, ResampleError> {
        let fail = |why: String| ResampleError {
            from_hz,
            to_hz,
            block: max_block,
            why,
        };
        if !(8_000..=192_000).contains(&from_hz) || !(8_000..=192_000).contains(&to_hz) || max_block == 0 || max_block > 48_000 {
            return Err(fail("rates must be 8000 to 192000 Hz, blocks 1 to 48000 samples".to_owned()));
        }
        let ratio = f64::from(to_hz) / f64::from(from_hz);
        if from_hz == to_hz && !adjustable {
            return Ok(Self {
                inner: None,
                ratio,
                input: Vec::new(),
                output: Vec::new(),
                max_block,
                delay: 0.0,
            });
        }
        let (taps, cutoff) = filter(from_hz, to_hz);
        let parameters = SincInterpolationParameters::new(taps, WindowFunction::Blackman)
            .f_cutoff(cutoff)
            .oversampling_factor(128)
            .interpolation(SincInterpolationType::Cubic);
        let fixed = match side {
            Side::Input => FixedAsync::Input,
            Side::Output => FixedAsync::Output,
        };
        let inner = Async::<f32>::new_sinc(ratio, 1.0 + MAX_PPM * 1.1e-6, &parameters, max_block, 1, fixed)
            .map_err(|error| fail(error.to_string()))?;
        // Half the filter, less the one output step that rubato takes before its first sample.
        let delay = f64::from(taps as u32) / 2.0 / f64::from(from_hz) - 1.0 / f64::from(to_hz);
        Ok(Self {
            input: vec![0.0; inner.input_frames_max() + 8],
            output: vec![0.0; inner.output_frames_max() + 8],
            inner: Some(inner),
            ratio,
            max_block,
            delay,
        })
    }

    fn set_ppm(&mut self, ppm: f64) {
        if let Some(inner) = &mut self.inner {
            let ppm = if ppm.is_finite() { ppm.clamp(-MAX_PPM, MAX_PPM) } else { 0.0 };
            // Within the bounds it was built for it cannot refuse.
            let _ = inner.set_resample_ratio_relative(1.0 + ppm * 1e-6, true);
        }
    }

    /// Runs one block of the fixed side's length; the whole input is used.
    fn run(&mut self, block: usize, input: &[i16], out: &mut [i16]) -> usize {
        let Some(inner) = &mut self.inner else {
            let n = input.len().min(out.len());
            out[..n].copy_from_slice(&input[..n]);
            return n;
        };
        if block == 0 || block > self.max_block || inner.set_chunk_size(block).is_err() {
            return 0;
        }
        let need = inner.input_frames_next();
        let make = inner.output_frames_next();
        for (place, &sample) in self.input.iter_mut().zip(input) {
            *place = f32::from(sample);
        }
        let given = input.len().min(need);
        let (Ok(from), Ok(mut to)) = (
            InterleavedSlice::new(&self.input, 1, self.input.len()),
            InterleavedSlice::new_mut(&mut self.output, 1, make.max(1)),
        ) else {
            return 0;
        };
        let indexing = Indexing {
            partial_len: (given < need).then_some(given),
            ..Indexing::default()
        };
        let made = inner
            .process_into_buffer(&from, &mut to, Some(&indexing))
            .map_or(0, |(_, made)| made);
        let made = made.min(out.len());
        for (place, &sample) in out.iter_mut().zip(&self.output[..made]) {
            // `as` saturates: what overshoots the range is clipped, not wrapped.
            *place = sample.round() as i16;
        }
        made
    }

    fn reset(&mut self) {
        if let Some(inner) = &mut self.inner {
            inner.reset();
        }
    }
}

/// Filter length in input samples and cutoff relative to the input's half rate.
fn filter(from_hz: u32, to_hz: u32) -> (usize, f32) {
    let low = from_hz.min(to_hz);
    let delay = if low <= 8_000 { 0.001_5 } else { 0.001 };
    let taps = ((f64::from(from_hz) * delay * 2.0) as usize).next_multiple_of(8).max(16);
    (taps, 0.97)
}

/// A converter fed with blocks of input: from the card to the encoder.
pub struct Push(Core);

impl Push {
    /// `max_block`: the longest input block. `adjustable`: [`Push::set_ppm`] will be used.
    ///
    /// # Errors
    /// [`ResampleError`] on rates outside 8 to 192 kHz.
    pub fn new(from_hz: u32, to_hz: u32, max_block: usize, adjustable: bool) -> Result<Self, ResampleError> {
        Core::new(from_hz, to_hz, max_block, adjustable, Side::Input).map(Self)
    }

    /// Converts a block, returns the samples written. `out` must hold [`Push::output_max`] of the block.
    pub fn process(&mut self, input: &[i16], out: &mut [i16]) -> usize {
        self.0.run(input.len(), input, out)
    }

    /// Most samples a block of `input` can make.
    pub fn output_max(&self, input: usize) -> usize {
        (input as f64 * self.0.ratio * (1.0 + MAX_PPM * 1e-6)).ceil() as usize + 2
    }

    /// Makes the output longer (+) or shorter (−) by parts per million.
    pub fn set_ppm(&mut self, ppm: f64) {
        self.0.set_ppm(ppm);
    }

    /// Delay in seconds.
    pub fn delay(&self) -> f64 {
        self.0.delay
    }

    /// Forgets the past.
    pub fn reset(&mut self) {
        self.0.reset();
    }
}

/// A converter asked for blocks of output: from the decoder to the card.
pub struct Pull(Core);

impl Pull {
    /// `max_block`: the longest output block. `adjustable`: [`Pull::set_ppm`] will be used.
    ///
    /// # Errors
    /// [`ResampleError`] on rates outside 8 to 192 kHz.
    pub fn new(from_hz: u32, to_hz: u32, max_block: usize, adjustable: bool) -> Result<Self, ResampleError> {
        Core::new(from_hz, to_hz, max_block, adjustable, Side::Output).map(Self)
    }

    /// How many input samples the next `output` samples need; varies by one from block to block.
    pub fn needed(&mut self, output: usize) -> usize {
        match &mut self.0.inner {
            None => output,
            Some(inner) => match inner.set_chunk_size(output) {
                Ok(()) => inner.input_frames_next(),
                Err(_) => 0,
            },
        }
    }

    /// Most input samples an output block can need.
    pub fn needed_max(&self, output: usize) -> usize {
        (output as f64 / self.0.ratio * (1.0 + MAX_PPM * 1e-6)).ceil() as usize + 2 + (2.0 * self.0.delay * 48_000.0) as usize
    }

    /// Fills `out` from `input`, which must be [`Pull::needed`]`(out.len())` long; missing input is silence.
    pub fn process(&mut self, input: &[i16], out: &mut [i16]) {
        let made = self.0.run(out.len(), input, out);
        out[made..].fill(0);
    }

    /// Plays the input slower (+) or faster (−) by parts per million: + needs less input.
    pub fn set_ppm(&mut self, ppm: f64) {
        self.0.set_ppm(ppm);
    }

    /// Delay in seconds.
    pub fn delay(&self) -> f64 {
        self.0.delay
    }

    /// Forgets the past.
    pub fn reset(&mut self) {
        self.0.reset();
    }
}

#[cfg(test)]
mod tests;
