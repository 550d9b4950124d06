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
//! slips single samples). The filter is as long as 0.75 ms of delay allows at 16 kHz and above;
//! with 8 kHz on one side it is 1.25 ms, which that side's narrow transition (3.4 to 4.6 kHz)
//! needs. With equal rates sound passes untouched and undelayed.
//!
//! Most of what a call with G.711 on a card of 48 kHz computes is computed here, so the two usual
//! cases are laid out for vector instructions: at a whole fraction of the input's rate there is one
//! row of taps, and four products at a time are summed; at a whole multiple of it the outputs of
//! four inputs are made side by side.

/// Products summed side by side; filters are whole multiples of this long.
const LANES: usize = 4;
/// Where the filter begins to fall, relative to half the lower rate.
const CUTOFF: f64 = 0.97;
/// Shape of the Kaiser window: what the filter stops is 50 dB down.
const KAISER: f64 = 4.55;

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

/// Four numbers where vector instructions like them to be.
#[derive(Clone, Copy)]
#[repr(align(16))]
struct Four([f32; LANES]);

/// A filter and the sound it is laid over.
struct Filter {
    /// One row of taps for each place.
    rows: Box<[Four]>,
    /// At a whole multiple of the input's rate the same once more, each tap [`LANES`] times.
    wide: Box<[Four]>,
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
        let rows = rows(
            taps,
            places,
            CUTOFF * (f64::from(to_hz) / f64::from(from_hz)).min(1.0),
        );
        let wide = if step == (0, 1) {
            let taps = rows.iter().flat_map(|four| four.0);
            taps.map(|tap| Four([tap; LANES])).collect()
        } else {
            Box::default()
        };
        let mut filter = Self {
            rows,
            wide,
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
        let mut made = match (self.step, self.place, self.taps, self.places) {
            // 48 kHz to 8 kHz, 48 kHz to 16 kHz, 16 kHz to 8 kHz.
            ((step, 0), _, 120, 1) => self.make_one_row::<30>(step, out),
            ((step, 0), _, 72, 1) => self.make_one_row::<18>(step, out),
            ((step, 0), _, 40, 1) => self.make_one_row::<10>(step, out),
            // 8 kHz to 48 kHz, 8 kHz to 16 kHz, 16 kHz to 48 kHz.
            ((0, 1), 1, 20, 6) => self.make_fours::<20, 6>(out),
            ((0, 1), 1, 20, 2) => self.make_fours::<20, 2>(out),
            ((0, 1), 1, 24, 3) => self.make_fours::<24, 3>(out),
            _ => 0,
        };
        let row = self.taps / LANES;
        for out in &mut out[made..] {
            let Some(sound) = self.history[..self.filled].get(self.start..self.start + self.taps)
            else {
                break;
            };
            let rows = &self.rows[(self.place - 1) * row..self.place * row];
            *out = whole(dot(sound, rows));
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

    /// At a whole fraction of the input's rate: one row for all outputs, of so many times four
    /// taps, which the compiler knows.
    fn make_one_row<const FOURS: usize>(&mut self, step: usize, out: &mut [i16]) -> usize {
        let Some(row) = self.rows.first_chunk::<FOURS>() else {
            return 0;
        };
        let sound = &self.history[self.start.min(self.filled)..self.filled];
        let mut made = 0;
        for (out, sound) in out
            .iter_mut()
            .zip(sound.windows(LANES * FOURS).step_by(step.max(1)))
        {
            *out = whole(dot(sound, row));
            made += 1;
        }
        self.start += step * made;
        made
    }

    /// All outputs of four inputs at once, as often as there is input and room for it: each place's
    /// outputs are [`LANES`] sums of the same taps over sound one sample further on. The numbers of
    /// taps and places are those of the filter, known to the compiler.
    fn make_fours<const TAPS: usize, const PLACES: usize>(&mut self, out: &mut [i16]) -> usize {
        let sound = &self.history[self.start.min(self.filled)..self.filled];
        let (places, _) = self.wide.as_chunks::<TAPS>();
        let (out, _) = out.as_chunks_mut::<PLACES>();
        let (out, _) = out.as_chunks_mut::<LANES>();
        let mut fours = 0;
        for (out, sound) in out
            .iter_mut()
            .zip(sound.windows(TAPS + LANES - 1).step_by(LANES))
        {
            for (place, row) in places.iter().take(PLACES).enumerate() {
                let mut sums = [0.0; LANES];
                for (&Four(factors), sound) in row.iter().zip(sound.windows(LANES)) {
                    sums = std::array::from_fn(|n| sums[n] + sound[n] * factors[n]);
                }
                for (out, sample) in out.iter_mut().zip(sums.map(whole)) {
                    out[place] = sample;
                }
            }
            fours += 1;
        }
        self.start += LANES * fours;
        LANES * PLACES * fours
    }
}

/// A sum as a sample: rounded, and clipped where it overshoots.
///
/// 1.5 · 2^23 and a value of 16 bits make a sum whose lowest 16 bits are the value, rounded: unlike
/// a conversion, which has to take care of what is no number, that is a few instructions.
pub(crate) fn whole(sum: f32) -> i16 {
    const ROUND: f32 = 12_582_912.0;
    (sum.clamp(f32::from(i16::MIN), f32::from(i16::MAX)) + ROUND).to_bits() as i16
}

/// Filter length in input samples: a multiple of [`LANES`].
fn taps(from_hz: u32, to_hz: u32) -> usize {
    let delay = if from_hz.min(to_hz) <= 8_000 {
        0.001_25
    } else {
        0.000_75
    };
    ((f64::from(from_hz) * delay * 2.0) as usize)
        .next_multiple_of(LANES)
        .max(16)
}

/// The modified Bessel function of the first kind and order 0, which the Kaiser window is made of.
fn bessel(x: f64) -> f64 {
    let (mut term, mut sum) = (1.0, 1.0);
    for n in 1..40 {
        let factor = x / 2.0 / f64::from(n);
        term *= factor * factor;
        sum += term;
    }
    sum
}

/// A sinc under a Kaiser window for each place; `cutoff` relative to half the input's rate. Each
/// row alone lets a steady sound through at its own level, or the level would hum at the rate of
/// the places.
fn rows(taps: usize, places: usize, cutoff: f64) -> Box<[Four]> {
    let half = taps as f64 / 2.0;
    let mut rows = Vec::with_capacity(taps / LANES * places);
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
                let off = (x / half).powi(2);
                sinc * bessel(KAISER * (1.0 - off).max(0.0).sqrt())
            })
            .collect();
        let sum: f64 = row.iter().sum();
        let (fours, _) = row.as_chunks::<LANES>();
        rows.extend(
            fours
                .iter()
                .map(|four| Four(four.map(|tap| (tap / sum) as f32))),
        );
    }
    rows.into_boxed_slice()
}

/// The sum of the products, four at a time.
#[inline]
fn dot(sound: &[f32], row: &[Four]) -> f32 {
    let add = |sum: [f32; LANES], x: &[f32; LANES], &Four(y): &Four| -> [f32; LANES] {
        std::array::from_fn(|n| sum[n] + x[n] * y[n])
    };
    let (mut even, mut odd) = ([0.0; LANES], [0.0; LANES]);
    let (sounds, last) = sound.as_chunks::<LANES>().0.as_chunks::<2>();
    let (rows, last_row) = row.as_chunks::<2>();
    for (x, y) in sounds.iter().zip(rows) {
        (even, odd) = (add(even, &x[0], &y[0]), add(odd, &x[1], &y[1]));
    }
    for (x, y) in last.iter().zip(last_row) {
        even = add(even, x, y);
    }
    // Kept from the optimizer, which would keep the lanes apart all the way for this one sum.
    let sums = std::hint::black_box(add(even, &odd, &Four([1.0; LANES])));
    (sums[0] + sums[1]) + (sums[2] + sums[3])
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
