//! G.722 at 64 kbit/s: why it is our own: of the crates tried none meets the ITU's vectors.
//!
//! ```text
//! encode  16 kHz i16 ─▶ QMF ─┬─ low 8 kHz ──▶ 6-bit ADPCM ─┬─▶ byte = high(2) low(6), one for two samples
//!                            └─ high 8 kHz ─▶ 2-bit ADPCM ─┘
//! decode  byte ─┬─ low ──▶ 6-bit inverse ADPCM ─┬─▶ QMF ─▶ 16 kHz i16
//!               └─ high ─▶ 2-bit inverse ADPCM ─┘
//! ```
//!
//! Each byte stands for two samples, first sample first; bits 7–6 are the high band, 5–0 the low
//! one. Names of the blocks (QUANTL, INVQAL, LOGSCL, …) are those of the Recommendation's section
//! 6; arithmetic is its 16-bit one.

use super::CodecError;

/// Samples (16 kHz) by which the two filter banks delay the sound.
pub const QMF_DELAY: usize = 22;

/// QMF coefficients (table 11), half of the symmetric 24.
const QMF: [i16; 12] = [3, -11, 12, 32, -210, 951, 3876, -805, 362, -156, 53, -11];
/// Decision levels of the low band (table 14).
const Q6: [i32; 31] = [
    0, 35, 72, 110, 150, 190, 233, 276, 323, 370, 422, 473, 530, 587, 650, 714, 786, 858, 940,
    1023, 1121, 1219, 1339, 1458, 1612, 1765, 1980, 2195, 2557, 2919, 0,
];
/// Codes of the low band (table 14) for negative and positive differences.
const ILN: [u8; 31] = [
    0, 63, 62, 31, 30, 29, 28, 27, 26, 25, 24, 23, 22, 21, 20, 19, 18, 17, 16, 15, 14, 13, 12, 11,
    10, 9, 8, 7, 6, 5, 4,
];
const ILP: [u8; 31] = [
    0, 61, 60, 59, 58, 57, 56, 55, 54, 53, 52, 51, 50, 49, 48, 47, 46, 45, 44, 43, 42, 41, 40, 39,
    38, 37, 36, 35, 34, 33, 32,
];
/// Inverse quantiser of the low band's upper four bits, which drives the prediction (table 18).
const QM4: [i32; 16] = [
    0, -20456, -12896, -8968, -6288, -4240, -2584, -1200, 20456, 12896, 8968, 6288, 4240, 2584,
    1200, 0,
];
/// Inverse quantiser of all six bits, which is heard (table 16).
const QM6: [i32; 64] = [
    -136, -136, -136, -136, -24808, -21904, -19008, -16704, -14984, -13512, -12280, -11192, -10232,
    -9360, -8576, -7856, -7192, -6576, -6000, -5456, -4944, -4464, -4008, -3576, -3168, -2776,
    -2400, -2032, -1688, -1360, -1040, -728, 24808, 21904, 19008, 16704, 14984, 13512, 12280,
    11192, 10232, 9360, 8576, 7856, 7192, 6576, 6000, 5456, 4944, 4464, 4008, 3576, 3168, 2776,
    2400, 2032, 1688, 1360, 1040, 728, 432, 136, -432, -136,
];
/// Inverse quantiser of the high band.
const QM2: [i32; 4] = [-7408, -1616, 7408, 1616];
/// Steps of the logarithmic scale factors.
const WL: [i32; 8] = [-60, -30, 58, 172, 334, 538, 1198, 3042];
const RL42: [u8; 16] = [0, 7, 6, 5, 4, 3, 2, 1, 7, 6, 5, 4, 3, 2, 1, 0];
const WH: [i32; 4] = [798, -214, 798, -214];
/// Mantissa of the linear scale factor.
const ILB: [i32; 32] = [
    2048, 2093, 2139, 2186, 2233, 2282, 2332, 2383, 2435, 2489, 2543, 2599, 2656, 2714, 2774, 2834,
    2896, 2960, 3025, 3091, 3158, 3228, 3298, 3371, 3444, 3520, 3597, 3676, 3756, 3838, 3922, 4008,
];

fn sat(value: i32) -> i32 {
    value.clamp(-32_768, 32_767)
}

/// Places in the arrays of the six zeros: one vector register, the last two always 0.
const LANES: usize = 8;

/// What one band remembers: the same in encoder and decoder, as long as no bit is lost.
#[derive(Debug, Clone)]
struct Band {
    /// Logarithmic and linear scale factor.
    nb: i32,
    det: i32,
    /// Prediction: of the zeros alone, and whole.
    sz: i32,
    s: i32,
    /// Whether the two latest partial reconstructions were negative, newest first.
    negative: [bool; 2],
    /// The latest whole reconstruction.
    r: i32,
    /// Coefficients of the poles.
    a: [i32; 2],
    /// Coefficients of the zeros, and the quantised differences they are of, newest first. As 16
    /// bits, which they are in the Recommendation: all six are then adapted and summed by a few
    /// vector instructions.
    b: [i16; LANES],
    d: [i16; LANES],
}

impl Band {
    const fn new(det: i32) -> Self {
        Self {
            nb: 0,
            det,
            sz: 0,
            s: 0,
            negative: [false; 2],
            r: 0,
            a: [0; 2],
            b: [0; LANES],
            d: [0; LANES],
        }
    }

    /// Block 4 (RECONS to PREDIC): takes the quantised difference, leaves the next prediction in
    /// `s`.
    fn adapt(&mut self, d: i32) {
        let r = sat(self.s + d);
        // Signs of the three latest partial reconstructions.
        let negative = self.sz + d < 0;
        let [before, earlier] = self.negative;
        self.negative = [negative, before];

        // UPPOL2
        let [a1, a2] = self.a;
        let turned = sat(a1 << 2);
        let toward = if negative == before {
            sat(-turned)
        } else {
            turned
        };
        let step = if negative == earlier { 128 } else { -128 };
        let a2 = ((toward >> 7) + step + ((a2 * 32_512) >> 15)).clamp(-12_288, 12_288);

        // UPPOL1
        let step = if negative == before { 192 } else { -192 };
        let bound = sat(15_360 - a2);
        let a1 = sat(step + ((a1 * 32_640) >> 15)).clamp(-bound, bound);
        self.a = [a1, a2];

        // DELAYA, FILTEP
        let poles = ((a1 * sat(r * 2)) >> 15) + ((a2 * sat(self.r * 2)) >> 15);
        self.r = r;

        // UPZERO, FILTEZ, PREDIC
        self.adapt_zeros(d as i16);
        self.sz = sat(self.predict_zeros());
        self.s = sat(sat(poles) + self.sz);
    }

    /// UPZERO, and DELAYA of the differences.
    fn adapt_zeros(&mut self, d: i16) {
        let step = if d == 0 { 0 } else { 128 };
        for (b, &old) in self.b.iter_mut().zip(&self.d) {
            // 0, or all ones where the signs differ.
            let differ = (old ^ d) >> 15;
            let toward = (step ^ differ) - differ;
            // × 32640 / 32768, rounded down, in 16 bits.
            let kept = *b - (*b >> 8) - i16::from(*b & 0xFF != 0);
            *b = kept.saturating_add(toward);
        }
        let [d1, d2, d3, d4, d5, ..] = self.d;
        self.d = [d, d1, d2, d3, d4, d5, 0, 0];
    }

    /// FILTEZ before its saturation.
    fn predict_zeros(&self) -> i32 {
        let terms = self.b.iter().zip(&self.d).map(|(&b, &d)| {
            let twice = d.saturating_add(d);
            (i32::from(b) * i32::from(twice)) >> 15
        });
        terms.sum()
    }

    /// SCALEL, SCALEH: the linear scale factor from the logarithmic one.
    fn rescale(&mut self, offset: i32) {
        let mantissa = ILB[((self.nb >> 6) & 31) as usize];
        let shift = offset - (self.nb >> 11);
        self.det = (if shift < 0 {
            mantissa << -shift
        } else {
            mantissa >> shift
        }) << 2;
    }

    /// INVQAL, LOGSCL, SCALEL and block 4 of the low band, common to both directions.
    fn take_low(&mut self, code: u8) {
        let upper = usize::from(code >> 2);
        let difference = (self.det * QM4[upper]) >> 15;
        self.nb = (((self.nb * 127) >> 7) + WL[usize::from(RL42[upper])]).clamp(0, 18_432);
        self.rescale(8);
        self.adapt(difference);
    }

    /// INVQAH, LOGSCH, SCALEH and block 4 of the high band; returns the quantised difference.
    fn take_high(&mut self, code: u8) -> i32 {
        let code = usize::from(code);
        let difference = (self.det * QM2[code]) >> 15;
        self.nb = (((self.nb * 127) >> 7) + WH[code]).clamp(0, 22_528);
        self.rescale(10);
        self.adapt(difference);
        difference
    }
}

/// Both bands, as either side keeps them.
#[derive(Debug, Clone)]
struct Bands {
    low: Band,
    high: Band,
}

impl Bands {
    const fn new() -> Self {
        Self {
            low: Band::new(32),
            high: Band::new(8),
        }
    }

    /// QUANTL, QUANTH and the rest: one sample of each band to a byte.
    fn encode(&mut self, low: i32, high: i32) -> u8 {
        let difference = sat(low - self.low.s);
        let size = if difference < 0 {
            -(difference + 1)
        } else {
            difference
        };
        // The levels rise, so the first above the difference is found by halving.
        let level = 1 + Q6[1..30].partition_point(|&level| size >= (level * self.low.det) >> 12);
        let low_code = if difference < 0 {
            ILN[level]
        } else {
            ILP[level]
        };
        self.low.take_low(low_code);

        let difference = sat(high - self.high.s);
        let size = if difference < 0 {
            -(difference + 1)
        } else {
            difference
        };
        let large = size >= (564 * self.high.det) >> 12;
        let high_code = match (difference < 0, large) {
            (true, false) => 1,
            (true, true) => 0,
            (false, false) => 3,
            (false, true) => 2,
        };
        self.high.take_high(high_code);
        (high_code << 6) | low_code
    }

    /// A byte to one sample of each band.
    fn decode(&mut self, byte: u8) -> (i32, i32) {
        let code = byte & 0x3F;
        let low =
            (self.low.s + ((self.low.det * QM6[usize::from(code)]) >> 15)).clamp(-16_384, 16_383);
        self.low.take_low(code);
        let prediction = self.high.s;
        let high = (prediction + self.high.take_high(byte >> 6)).clamp(-16_384, 16_383);
        (low, high)
    }
}

/// The 24 latest samples of a filter bank, oldest first.
#[derive(Debug, Clone)]
struct Qmf([i16; TAPS]);

const TAPS: usize = 2 * QMF.len();
/// The coefficients of the even places, and of the odd ones, with zeros between them: each sum is
/// one over all places, which vector instructions make of eight at a time.
const EVEN: [i16; TAPS] = spread(0);
const ODD: [i16; TAPS] = spread(1);

/// The coefficients at the places that begin here: forwards at the even ones, backwards at the odd.
const fn spread(first: usize) -> [i16; TAPS] {
    let mut spread = [0; TAPS];
    let mut n = 0;
    while n < QMF.len() {
        spread[2 * n + first] = QMF[if first == 0 { n } else { QMF.len() - 1 - n }];
        n += 1;
    }
    spread
}

impl Qmf {
    /// Pushes two samples, returns the sums of the even and of the odd places.
    fn push(&mut self, first: i16, second: i16) -> (i32, i32) {
        self.remember(first, second);
        (self.sum(&EVEN), self.sum(&ODD))
    }

    fn sum(&self, factors: &[i16; TAPS]) -> i32 {
        let products = self.0.iter().zip(factors);
        products.map(|(&x, &f)| i32::from(x) * i32::from(f)).sum()
    }

    /// Keeps two samples as if they had been analysed.
    fn remember(&mut self, first: i16, second: i16) {
        self.0.copy_within(2.., 0);
        self.0[TAPS - 2] = first;
        self.0[TAPS - 1] = second;
    }

    /// Two samples to one of each band.
    fn analyse(&mut self, first: i16, second: i16) -> (i32, i32) {
        let (even, odd) = self.push(first, second);
        ((odd + even) >> 14, (odd - even) >> 14)
    }

    /// One sample of each band to two. Both bands are 15 bits wide, so that sum and difference fit
    /// into 16.
    fn synthesise(&mut self, low: i32, high: i32) -> [i16; 2] {
        let (even, odd) = self.push((low + high) as i16, (low - high) as i16);
        [sat(odd >> 11) as i16, sat(even >> 11) as i16]
    }
}

/// 16 kHz sound to bytes.
#[derive(Debug, Clone)]
pub struct Encoder {
    bands: Bands,
    qmf: Qmf,
}

impl Encoder {
    /// An encoder that has heard silence.
    pub const fn new() -> Self {
        Self {
            bands: Bands::new(),
            qmf: Qmf([0; TAPS]),
        }
    }

    /// Codes a frame of even length, one byte for two samples; returns the bytes written.
    ///
    /// # Errors
    /// [`CodecError::FrameLength`] for an odd frame, [`CodecError::OutputTooShort`].
    pub fn encode(&mut self, frame: &[i16], out: &mut [u8]) -> Result<usize, CodecError> {
        if !frame.len().is_multiple_of(2) {
            return Err(CodecError::FrameLength {
                samples: frame.len(),
                allowed: "G.722 takes an even number",
            });
        }
        let need = frame.len() / 2;
        if out.len() < need {
            return Err(CodecError::OutputTooShort {
                have: out.len(),
                need,
            });
        }
        for (byte, pair) in out.iter_mut().zip(frame.chunks_exact(2)) {
            let (low, high) = self.qmf.analyse(pair[0], pair[1]);
            *byte = self.bands.encode(low, high);
        }
        Ok(need)
    }
}

impl Default for Encoder {
    fn default() -> Self {
        Self::new()
    }
}

/// Bytes to 16 kHz sound.
#[derive(Debug, Clone)]
pub struct Decoder {
    bands: Bands,
    qmf: Qmf,
    /// The analysis bank of [`Decoder::follow`]: it hears what we play.
    heard: Qmf,
    /// The odd one out of an odd number of samples followed.
    waiting: Option<i16>,
}

impl Decoder {
    /// A decoder that has played silence.
    pub const fn new() -> Self {
        Self {
            bands: Bands::new(),
            qmf: Qmf([0; TAPS]),
            heard: Qmf([0; TAPS]),
            waiting: None,
        }
    }

    /// Decodes bytes, two samples each; returns the samples written.
    ///
    /// # Errors
    /// [`CodecError::OutputTooShort`].
    pub fn decode(&mut self, payload: &[u8], out: &mut [i16]) -> Result<usize, CodecError> {
        let need = payload.len() * 2;
        if out.len() < need {
            return Err(CodecError::OutputTooShort {
                have: out.len(),
                need,
            });
        }
        for (pair, &byte) in out.chunks_exact_mut(2).zip(payload) {
            let (low, high) = self.bands.decode(byte);
            pair.copy_from_slice(&self.qmf.synthesise(low, high));
        }
        self.waiting = None;
        // Only the last 24 samples matter to a later `follow`.
        for pair in out[need.saturating_sub(24)..need].chunks_exact(2) {
            self.heard.remember(pair[0], pair[1]);
        }
        Ok(need)
    }

    /// Follows sound that was made up in place of lost bytes: codes it and keeps the memory that
    /// leaves, so that scale and prediction fit when bytes come again (the method of G.722 Appendix
    /// III). `ahead`: at least [`QMF_DELAY`] samples the concealment would have played next; the
    /// bands run that much ahead of the sound. Without them the memory fits less well. An odd
    /// sample waits for the next call.
    pub fn follow(&mut self, played: &[i16], ahead: &[i16]) {
        let waiting = self.waiting.take();
        let whole = (usize::from(waiting.is_some()) + played.len()) & !1;
        let mut bank = self.heard.clone();
        let mut coming = waiting.iter().chain(played).chain(ahead);
        for index in (0..whole + QMF_DELAY).step_by(2) {
            let (Some(&first), Some(&second)) = (coming.next(), coming.next()) else {
                break;
            };
            let (low, high) = bank.analyse(first, second);
            if index >= QMF_DELAY {
                // The byte an encoder would have sent, decoded as usual.
                let byte = self.bands.clone().encode(low, high);
                let (low, high) = self.bands.decode(byte);
                self.qmf.synthesise(low, high);
            }
        }
        let mut gone = waiting.iter().chain(played).copied();
        for _ in 0..whole / 2 {
            if let (Some(first), Some(second)) = (gone.next(), gone.next()) {
                self.heard.remember(first, second);
            }
        }
        self.waiting = gone.next();
    }
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests;
