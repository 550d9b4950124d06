//! G.711: why it is our own: it is thirty lines, and the crates tried miss 897 A-law inputs of the ITU's.
//!
//! ```text
//! i16 ─▶ sign, magnitude ─▶ segment (leading zeros) + 4 bits ─▶ byte        byte ─▶ table of 256 ─▶ i16
//! ```
//!
//! 16-bit words are the Recommendation's 14-bit (µ) or 13-bit (A) ones, left-justified. Negative magnitudes are the
//! one's complement, as in the ITU-T software tool library (G.191): a decision value falls to the same side there and here.

use super::CodecError;

/// Which of the two laws.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Law {
    /// µ-law: North America, Japan. PCMU.
    Mu,
    /// A-law: elsewhere. PCMA.
    A,
}

static MU_TO_LINEAR: [i16; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = mu_to_linear(byte as u8);
        byte += 1;
    }
    table
};
static A_TO_LINEAR: [i16; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = a_to_linear(byte as u8);
        byte += 1;
    }
    table
};

impl Law {
    /// One sample to its byte.
    pub fn compress(self, sample: i16) -> u8 {
        match self {
            Self::Mu => linear_to_mu(sample),
            Self::A => linear_to_a(sample),
        }
    }

    /// One byte to its sample.
    pub fn expand(self, byte: u8) -> i16 {
        match self {
            Self::Mu => MU_TO_LINEAR[usize::from(byte)],
            Self::A => A_TO_LINEAR[usize::from(byte)],
        }
    }

    /// Codes a frame, one byte a sample; returns the bytes written.
    ///
    /// # Errors
    /// [`CodecError::OutputTooShort`].
    pub fn encode(self, frame: &[i16], out: &mut [u8]) -> Result<usize, CodecError> {
        let have = out.len();
        let out = out
            .get_mut(..frame.len())
            .ok_or(CodecError::OutputTooShort { have, need: frame.len() })?;
        match self {
            Self::Mu => out.iter_mut().zip(frame).for_each(|(byte, &sample)| *byte = linear_to_mu(sample)),
            Self::A => out.iter_mut().zip(frame).for_each(|(byte, &sample)| *byte = linear_to_a(sample)),
        }
        Ok(frame.len())
    }

    /// Decodes a payload; returns the samples written.
    ///
    /// # Errors
    /// [`CodecError::OutputTooShort`].
    pub fn decode(self, payload: &[u8], out: &mut [i16]) -> Result<usize, CodecError> {
        let have = out.len();
        let out = out
            .get_mut(..payload.len())
            .ok_or(CodecError::OutputTooShort { have, need: payload.len() })?;
        let table = match self {
            Self::Mu => &MU_TO_LINEAR,
            Self::A => &A_TO_LINEAR,
        };
        out.iter_mut()
            .zip(payload)
            .for_each(|(sample, &byte)| *sample = table[usize::from(byte)]);
        Ok(payload.len())
    }
}

const fn magnitude(sample: i16) -> u32 {
    (if sample < 0 { !sample } else { sample }) as u32
}

/// G.711 table 2: sign, 3 bits of segment, 4 bits within it, all inverted.
const fn linear_to_mu(sample: i16) -> u8 {
    // Bias 33 makes every segment begin at a power of two; 0x1FFF is the overload point.
    let biased = (magnitude(sample) >> 2) + 33;
    let biased = if biased > 0x1FFF { 0x1FFF } else { biased };
    let segment = 26 - biased.leading_zeros();
    let low = (biased >> (segment + 1)) & 0x0F;
    let sign = if sample < 0 { 0x80 } else { 0 };
    !(sign | (segment << 4) | low) as u8
}

const fn mu_to_linear(byte: u8) -> i16 {
    let code = !byte;
    let segment = (code >> 4) & 0x07;
    let step = (((code & 0x0F) as i16) << 3) + 0x84;
    let magnitude = (step << segment) - 0x84;
    if code & 0x80 == 0 { magnitude } else { -magnitude }
}

/// G.711 table 1: sign, 3 bits of segment, 4 bits within it, even bits inverted.
const fn linear_to_a(sample: i16) -> u8 {
    let magnitude = magnitude(sample) >> 4;
    let code = if magnitude < 32 {
        magnitude
    } else {
        let segment = 27 - magnitude.leading_zeros();
        (segment << 4) | ((magnitude >> (segment - 1)) & 0x0F)
    };
    let sign = if sample < 0 { 0 } else { 0x80 };
    (code | sign) as u8 ^ 0x55
}

const fn a_to_linear(byte: u8) -> i16 {
    let code = byte ^ 0x55;
    let segment = (code >> 4) & 0x07;
    let step = (((code & 0x0F) as i16) << 4) + 8;
    let magnitude = if segment == 0 { step } else { (step + 0x100) << (segment - 1) };
    if code & 0x80 == 0 { -magnitude } else { magnitude }
}
