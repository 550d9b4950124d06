//! G.711: why it is our own: it is thirty lines, and the crates tried miss 897 A-law inputs of the
//! ITU's.
//!
//! ```text
//! i16 ─▶ sign, magnitude ─▶ f32: its exponent is the segment, 4 bits of its fraction follow ─▶ byte
//! byte ─▶ table of 256 ─▶ i16
//! ```
//!
//! 16-bit words are the Recommendation's 14-bit (µ) or 13-bit (A) ones, left-justified. Negative
//! magnitudes are the one's complement, as in the ITU-T software tool library (G.191): a decision
//! value falls to the same side there and here.

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
            .ok_or(CodecError::OutputTooShort {
                have,
                need: frame.len(),
            })?;
        match self {
            Self::Mu => out
                .iter_mut()
                .zip(frame)
                .for_each(|(byte, &sample)| *byte = linear_to_mu(sample)),
            Self::A => out
                .iter_mut()
                .zip(frame)
                .for_each(|(byte, &sample)| *byte = linear_to_a(sample)),
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
            .ok_or(CodecError::OutputTooShort {
                have,
                need: payload.len(),
            })?;
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

/// The one's complement of what is negative.
fn magnitude(sample: i16) -> i32 {
    i32::from(sample ^ (sample >> 15))
}

/// The code 16 (e − `first` + 1) + f of a number between 2^e and 2^(e + 1), where f are the four
/// bits below its highest one; `first`: the exponent of the segment that is coded as 1.
///
/// An f32 holds exponent and fraction side by side already, and, unlike a count of leading zeros,
/// the conversion exists as a vector instruction on every processor.
fn segment_and_step(number: i32, first: i32) -> i32 {
    const FRACTION_BITS: u32 = 23;
    const BIAS: i32 = 127;
    let bits = (number as f32).to_bits() >> (FRACTION_BITS - 4);
    bits as i32 - ((BIAS + first - 1) << 4)
}

/// G.711 table 2: sign, 3 bits of segment, 4 bits within it, all inverted.
fn linear_to_mu(sample: i16) -> u8 {
    // Bias 33 makes every segment begin at a power of two; 0x1FFF is the overload point.
    let biased = ((magnitude(sample) >> 2) + 33).min(0x1FFF);
    let sign = (i32::from(sample) >> 8) & 0x80;
    !(sign | segment_and_step(biased, 6)) as u8
}

const fn mu_to_linear(byte: u8) -> i16 {
    let code = !byte;
    let segment = (code >> 4) & 0x07;
    let step = (((code & 0x0F) as i16) << 3) + 0x84;
    let magnitude = (step << segment) - 0x84;
    if code & 0x80 == 0 {
        magnitude
    } else {
        -magnitude
    }
}

/// G.711 table 1: sign, 3 bits of segment, 4 bits within it, even bits inverted.
fn linear_to_a(sample: i16) -> u8 {
    let magnitude = magnitude(sample) >> 4;
    // The first segment is as steep as the second.
    let code = if magnitude < 16 {
        magnitude
    } else {
        segment_and_step(magnitude, 4)
    };
    let sign = (!i32::from(sample) >> 8) & 0x80;
    (code | sign) as u8 ^ 0x55
}

const fn a_to_linear(byte: u8) -> i16 {
    let code = byte ^ 0x55;
    let segment = (code >> 4) & 0x07;
    let step = (((code & 0x0F) as i16) << 4) + 8;
    let magnitude = if segment == 0 {
        step
    } else {
        (step + 0x100) << (segment - 1)
    };
    if code & 0x80 == 0 {
        -magnitude
    } else {
        magnitude
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_data;

    /// Little-endian 16-bit words, as the ITU's sweep files hold them.
    fn words(name: &str) -> Option<Vec<i16>> {
        let bytes = test_data::read("g711::every_input", &format!("codec/g711-stl/{name}"))?;
        Some(
            bytes
                .chunks_exact(2)
                .map(|pair| i16::from_le_bytes([pair[0], pair[1]]))
                .collect(),
        )
    }

    #[test]
    fn every_input_is_coded_as_the_itu_codes_it() {
        let (Some(source), Some(a), Some(mu)) =
            (words("sweep.src"), words("sweep-r.a"), words("sweep-r.u"))
        else {
            return;
        };
        assert_eq!(source.len(), 65_536);
        for ((&sample, &a), &mu) in source.iter().zip(&a).zip(&mu) {
            assert_eq!(i16::from(Law::A.compress(sample)), a, "A-law of {sample}");
            assert_eq!(i16::from(Law::Mu.compress(sample)), mu, "µ-law of {sample}");
        }
    }

    #[test]
    fn every_input_comes_back_as_the_itu_brings_it_back() {
        let (Some(source), Some(a), Some(mu)) = (
            words("sweep.src"),
            words("sweep-r.a-a"),
            words("sweep-r.u-u"),
        ) else {
            return;
        };
        let mut bytes = vec![0; source.len()];
        let mut back = vec![0; source.len()];
        for (law, expected) in [(Law::A, a), (Law::Mu, mu)] {
            assert_eq!(law.encode(&source, &mut bytes), Ok(65_536));
            assert_eq!(law.decode(&bytes, &mut back), Ok(65_536));
            assert_eq!(back, expected, "{law:?}");
        }
    }

    /// Without any file: what G.711's tables say at their corners.
    #[test]
    fn corners_of_the_tables() {
        for (law, sample, byte) in [
            (Law::Mu, 0, 0xFF),
            (Law::Mu, -1, 0x7F),
            (Law::Mu, 32_767, 0x80),
            (Law::Mu, -32_768, 0x00),
            (Law::A, 0, 0xD5),
            (Law::A, -1, 0x55),
            (Law::A, 32_767, 0xAA),
            (Law::A, -32_768, 0x2A),
        ] {
            assert_eq!(law.compress(sample), byte, "{law:?} of {sample}");
        }
        // Back by the decoder that calls use: the values of the tables at 16 bits.
        let bytes = [0x00, 0x2A, 0x55, 0x80, 0xAA, 0xD5];
        for (law, samples) in [
            (Law::Mu, [-32_124, -5_372, -716, 32_124, 5_372, 716]),
            (Law::A, [-5_504, -32_256, -8, 5_504, 32_256, 8]),
        ] {
            let mut back = [0; 6];
            assert_eq!(law.decode(&bytes, &mut back), Ok(6));
            assert_eq!(back, samples, "{law:?}");
        }
        for law in [Law::Mu, Law::A] {
            for byte in 0..=255 {
                let sample = law.expand(byte);
                // µ-law has two zeros; every other byte is its sample's own.
                if law == Law::A || byte != 0x7F {
                    assert_eq!(law.compress(sample), byte, "{law:?} {byte:#x} -> {sample}");
                }
            }
        }
    }

    #[test]
    fn a_short_buffer_is_refused_not_filled() {
        let mut out = [0; 4];
        assert_eq!(
            Law::A.encode(&[0; 5], &mut out),
            Err(CodecError::OutputTooShort { have: 4, need: 5 })
        );
        assert_eq!(
            Law::Mu.decode(&[0; 5], &mut [0; 4]),
            Err(CodecError::OutputTooShort { have: 4, need: 5 })
        );
    }
}
