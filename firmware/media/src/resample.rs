//! Rate conversion between card and codec, whose rates are fixed and stand to each other as two
//! whole numbers.
//!
//! ```text
//! push: any input block ─▶ history ─▶ a filter for each place between two samples ─▶ as much output as it makes (±1 from block to block)
//! pull: any output block ◀─ the same ◀─ as much input as it needs (`needed`, ±1)
//! ```
//!
//! At L outputs for M inputs an output falls on one of only L places between two input samples, so
//! a windowed sinc for each is all there is to know: one dot product an output, no interpolation,
//! no rounding that grows over days. Clocks that drift are none of its business ([`crate::playout`]
//! slips single samples). The filter is as long as 1 ms of delay allows at 16 kHz and above; with 8
//! kHz on one side it is 1.5 ms, which that side's narrow transition (3.4 to 4.6 kHz) needs. With
//! equal rates sound passes untouched and undelayed.

/// Filters are whole multiples of this long, so that products may be summed side by side.
const LANES: usize = 8;
/// Where the filter begins to fall, relative to half the lower rate.
const CUTOFF: f64 = 0.97;

/// Why no resampler could be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "cannot resample {from_hz} Hz to {to_hz} Hz in blocks of {block}: rates must be 8000 to 192000 \
     Hz, blocks 1 to 48000 samples"
)]
pub struct ResampleError {
    from_hz: u32,
    to_hz: u32,
    block: usize,
}

/// The converter itself, shared by [`Push`] and [`Pull`].
struct Core {
    /// `None`: the rates are equal.
    filter: Option<Filter>,
    ratio: f64,
}

/// A filter and the sound it is laid over.
struct Filter {
    /// One row of taps for each place.
    rows: Box<[f32]>,
    taps: usize,
    /// L; M in whole input samples and in places beyond them.
    places: usize,
    step: (usize, usize),
    /// Where the next output lies: its first sample in `history`, and its place after it, 1 to L.
    start: usize,
    place: usize,
    history: Box<[f32]>,
    filled: usize,
}

impl Core {
    /// `most`: the most input a block can have.
    fn new(from_hz: u32, to_hz: u32, block: usize, most: usize) -> Result<Self, ResampleError> {
        if !(8_000..=192_000).contains(&from_hz)
            || !(8_000..=192_000).contains(&to_hz)
            || block == 0
            || block > 48_000
        {
            return Err(ResampleError {
                from_hz,
                to_hz,
                block,
            });
        }
        let ratio = f64::from(to_hz) / f64::from(from_hz);
        if from_hz == to_hz {
            return Ok(Self {
                filter: None,
                ratio,
            });
        }
        let filter = Filter::new(from_hz, to_hz, most);
        Ok(Self {
            filter: Some(filter),
            ratio,
        })
    }
}

impl Filter {
    fn new(from_hz: u32, to_hz: u32, most: usize) -> Self {
        let common = common_divisor(from_hz, to_hz);
        let (places, step) = ((to_hz / common) as usize, (from_hz / common) as usize);
        let step = (step / places, step % places);
        let taps = taps(from_hz, to_hz);
        let mut filter = Self {
            rows: rows(
                taps,
                places,
                CUTOFF * (f64::from(to_hz) / f64::from(from_hz)).min(1.0),
            ),
            taps,
            places,
            step,
            start: 0,
            place: 1,
            history: vec![0.0; taps + most].into_boxed_slice(),
            filled: 0,
        };
        filter.reset();
        filter
    }

    /// Silence before the first sample, no more than there must be: so many inputs make the first
    /// output that it is due by then.
    fn reset(&mut self) {
        let (whole, part) = self.step;
        // A place is 1 to L: none beyond a sample is the last before it.
        let (before, place) = if part == 0 {
            (whole - 1, self.places)
        } else {
            (whole, part)
        };
        self.filled = self.taps - 1 - before;
        self.history[..self.filled].fill(0.0);
        (self.start, self.place) = (0, place);
    }

    /// Input wanted before so many outputs can be made.
    fn needed(&self, outputs: usize) -> usize {
        let Some(before) = outputs.checked_sub(1) else {
            return 0;
        };
        let steps = before * (self.step.0 * self.places + self.step.1);
        let last = self.start + (self.place - 1 + steps) / self.places;
        (last + self.taps).saturating_sub(self.filled)
    }

    /// Takes input, as much as there is room for.
    fn take(&mut self, input: &[i16]) {
        let room = &mut self.history[self.filled..];
        let taken = input.len().min(room.len());
        for (place, &sample) in room.iter_mut().zip(input) {
            *place = f32::from(sample);
        }
        self.filled += taken;
    }

    /// Takes silence.
    fn take_silence(&mut self, count: usize) {
        let end = (self.filled + count).min(self.history.len());
        self.history[self.filled..end].fill(0.0);
        self.filled = end;
    }

    /// Makes what can be made of what was taken, and lets go of what is not needed any more.
    fn make(&mut self, out: &mut [i16]) -> usize {
        let mut made = 0;
        for out in out {
            let Some(sound) = self.history[..self.filled].get(self.start..self.start + self.taps)
            else {
                break;
            };
            let row = (self.place - 1) * self.taps;
            let sum = dot(sound, &self.rows[row..row + self.taps]);
            // `as` saturates: what overshoots the range is clipped, not wrapped.
            *out = (sum + 0.5_f32.copysign(sum)) as i16;
            made += 1;
            self.start += self.step.0;
            self.place += self.step.1;
            if self.place > self.places {
                self.place -= self.places;
                self.start += 1;
            }
        }
        let gone = self.start.min(self.filled);
        self.history.copy_within(gone..self.filled, 0);
        (self.start, self.filled) = (self.start - gone, self.filled - gone);
        made
    }
}

/// Filter length in input samples: whole lanes.
fn taps(from_hz: u32, to_hz: u32) -> usize {
    let delay = if from_hz.min(to_hz) <= 8_000 {
        0.001_5
    } else {
        0.001
    };
    ((f64::from(from_hz) * delay * 2.0) as usize)
        .next_multiple_of(LANES)
        .max(16)
}

/// A sinc under a Blackman window for each place; `cutoff` relative to half the input's rate. Each
/// row alone lets a steady sound through at its own level, or the level would hum at the rate of
/// the places.
fn rows(taps: usize, places: usize, cutoff: f64) -> Box<[f32]> {
    let half = taps as f64 / 2.0;
    let mut rows = Vec::with_capacity(taps * places);
    for place in 1..=places {
        let row: Vec<f64> = (0..taps)
            .map(|tap| {
                let x = tap as f64 + 1.0 - half - place as f64 / places as f64;
                let turn = std::f64::consts::PI * x;
                let sinc = if x.abs() < 1e-9 {
                    cutoff
                } else {
                    (turn * cutoff).sin() / turn
                };
                let window = 0.42 + 0.5 * (turn / half).cos() + 0.08 * (2.0 * turn / half).cos();
                sinc * window
            })
            .collect();
        let sum: f64 = row.iter().sum();
        rows.extend(row.iter().map(|tap| (tap / sum) as f32));
    }
    rows.into_boxed_slice()
}

/// Four sums of four, which the compiler makes vector instructions of.
#[expect(clippy::many_single_char_names, reason = "sums and factors")]
fn dot(sound: &[f32], row: &[f32]) -> f32 {
    type Four = [f32; 4];
    let add =
        |sum: Four, x: &[f32], y: &[f32]| -> Four { std::array::from_fn(|n| sum[n] + x[n] * y[n]) };
    let (mut a, mut b, mut c, mut d) = ([0.0; 4], [0.0; 4], [0.0; 4], [0.0; 4]);
    let (sounds, rows) = (sound.chunks_exact(2 * LANES), row.chunks_exact(2 * LANES));
    let (x, y) = (sounds.remainder(), rows.remainder());
    for (x, y) in sounds.zip(rows) {
        (a, b) = (add(a, &x[..4], &y[..4]), add(b, &x[4..8], &y[4..8]));
        (c, d) = (add(c, &x[8..12], &y[8..12]), add(d, &x[12..], &y[12..]));
    }
    for (x, y) in x.chunks_exact(LANES).zip(y.chunks_exact(LANES)) {
        (a, b) = (add(a, &x[..4], &y[..4]), add(b, &x[4..], &y[4..]));
    }
    let sums: Four = std::array::from_fn(|n| (a[n] + b[n]) + (c[n] + d[n]));
    (sums[0] + sums[2]) + (sums[1] + sums[3])
}

fn common_divisor(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { common_divisor(b, a % b) }
}

/// A converter fed with blocks of input: from the card to the encoder.
pub struct Push(Core);

impl Push {
    /// `max_block`: the longest input block.
    ///
    /// # Errors
    /// [`ResampleError`] on rates outside 8 to 192 kHz.
    pub fn new(from_hz: u32, to_hz: u32, max_block: usize) -> Result<Self, ResampleError> {
        Core::new(from_hz, to_hz, max_block, max_block).map(Self)
    }

    /// Converts a block, returns the samples written. `out` must hold [`Push::output_max`] of the
    /// block.
    pub fn process(&mut self, input: &[i16], out: &mut [i16]) -> usize {
        let Some(filter) = &mut self.0.filter else {
            let n = input.len().min(out.len());
            out[..n].copy_from_slice(&input[..n]);
            return n;
        };
        filter.take(input);
        filter.make(out)
    }

    /// Most samples a block of `input` can make.
    pub fn output_max(&self, input: usize) -> usize {
        (input as f64 * self.0.ratio).ceil() as usize + 2
    }
}

/// A converter asked for blocks of output: from the decoder to the card.
pub struct Pull(Core);

impl Pull {
    /// `max_block`: the longest output block.
    ///
    /// # Errors
    /// [`ResampleError`] on rates outside 8 to 192 kHz.
    pub fn new(from_hz: u32, to_hz: u32, max_block: usize) -> Result<Self, ResampleError> {
        let most = max_block as f64 * f64::from(from_hz) / f64::from(to_hz.max(1));
        Core::new(from_hz, to_hz, max_block, most.ceil() as usize + 2).map(Self)
    }

    /// How many input samples the next `output` samples need; varies by one from block to block.
    pub fn needed(&self, output: usize) -> usize {
        self.0
            .filter
            .as_ref()
            .map_or(output, |filter| filter.needed(output))
    }

    /// Most input samples an output block can need.
    pub fn needed_max(&self, output: usize) -> usize {
        (output as f64 / self.0.ratio).ceil() as usize + 2
    }

    /// Fills `out` from `input`, which must be [`Pull::needed`]`(out.len())` long; missing input is
    /// silence.
    pub fn process(&mut self, input: &[i16], out: &mut [i16]) {
        let made = match &mut self.0.filter {
            None => {
                let n = input.len().min(out.len());
                out[..n].copy_from_slice(&input[..n]);
                n
            }
            Some(filter) => {
                let missing = filter.needed(out.len()).saturating_sub(input.len());
                filter.take(input);
                filter.take_silence(missing);
                filter.make(out)
            }
        };
        out[made..].fill(0);
    }
}

#[cfg(test)]
mod tests;
