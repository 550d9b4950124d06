//! Codecs behind one interface: the engine does not care which codec a stream has.
//!
//! ```text
//! mono i16 frame ─▶ Encoder::encode ─▶ payload      payload ─▶ Decoder::decode ─▶ mono i16
//!                                                   nothing ─▶ Decoder::conceal (Opus)
//!                                              next payload ─▶ Decoder::decode_fec (Opus)
//! ```
//!
//! Two plain enums, no trait objects: everything is allocated in `new`, nothing after it.
//!
//! | codec | sound rate | RTP clock | bytes in 20 ms |
//! |---|---|---|---|
//! | PCMU, PCMA | 8 kHz | 8 kHz | 160 |
//! | G.722 | 16 kHz | 8 kHz (RFC 3551 §4.5.2: a historical mistake that stays) | 160 |
//! | Opus | the card's, see [`opus::rate_for_card`] | 48 kHz (RFC 7587) | about 80 |

pub mod g711;
pub mod g722;
pub mod opus;
pub(crate) mod opus_control;

use types::{Codec, OpusBand};

use opus_control::OpusSettings;

/// Longest payload any encoder here writes: Opus' recommended maximum (RFC 6716 §3.2.1: 1275 bytes
/// a frame).
pub const MAX_PAYLOAD: usize = 1275;
/// Most samples one payload can hold: 120 ms of Opus at 48 kHz.
pub const MAX_SAMPLES: usize = 5760;

/// Why a codec could not be built or a frame not be coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// libopus refused; the text is its own.
    #[error("Opus: {0}")]
    Opus(opus::Refusal),
    /// The output buffer is too short.
    #[error("output holds {have}, the frame needs {need}: give a larger buffer")]
    OutputTooShort {
        /// Room given, in output units (bytes or samples).
        have: usize,
        /// Room needed.
        need: usize,
    },
    /// A frame of a length this codec cannot code.
    #[error("a frame of {samples} samples cannot be coded: {allowed}")]
    FrameLength {
        /// Samples given.
        samples: usize,
        /// What would do.
        allowed: &'static str,
    },
    /// A payload without a byte.
    #[error("the payload is empty")]
    Empty,
    /// A payload that is not what the codec calls one.
    #[error("the payload of {0} bytes is malformed")]
    Malformed(usize),
}

/// Settings of an encoder. Only Opus has any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EncoderOptions {
    /// Rate of the sound card: Opus runs at [`opus::rate_for_card`] of it.
    pub card_rate_hz: u32,
    /// In-band forward error correction.
    pub fec: bool,
    /// Discontinuous transmission.
    pub dtx: bool,
    /// Bits a second; `None`: what suits the rate, see [`opus::bitrate_for_rate`].
    pub bitrate: Option<u32>,
    /// The widest band.
    pub band: OpusBand,
}

impl Default for EncoderOptions {
    fn default() -> Self {
        Self {
            card_rate_hz: 48_000,
            fec: true,
            dtx: false,
            bitrate: None,
            band: OpusBand::Wide,
        }
    }
}

/// One direction of a codec, sound to payload or payload to sound.
pub enum Coder<G722, Opus> {
    /// G.711 of either law; has no memory.
    G711(g711::Law),
    /// G.722, 64 kbit/s.
    G722(G722),
    /// Opus.
    Opus(Opus),
}

impl<G722, Opus> Coder<G722, Opus> {
    /// Which codec.
    pub fn codec(&self) -> Codec {
        match self {
            Self::G711(g711::Law::Mu) => Codec::Pcmu,
            Self::G711(g711::Law::A) => Codec::Pcma,
            Self::G722(_) => Codec::G722,
            Self::Opus(_) => Codec::Opus,
        }
    }
}

/// Sound to payload.
pub type Encoder = Coder<g722::Encoder, opus::Encoder>;

/// Payload to sound.
pub type Decoder = Coder<g722::Decoder, opus::Decoder>;

impl Encoder {
    /// Builds the encoder; this allocates, nothing else here does.
    ///
    /// # Errors
    /// [`CodecError::Opus`] where libopus refuses (no memory, a bitrate out of range).
    pub fn new(codec: Codec, options: EncoderOptions) -> Result<Self, CodecError> {
        Ok(match codec {
            Codec::Pcmu => Self::G711(g711::Law::Mu),
            Codec::Pcma => Self::G711(g711::Law::A),
            Codec::G722 => Self::G722(g722::Encoder::new()),
            Codec::Opus => Self::Opus(opus::Encoder::new(options)?),
        })
    }

    /// Rate of the sound it takes, in Hz.
    pub fn rate_hz(&self) -> u32 {
        match self {
            Self::G711(_) => 8_000,
            Self::G722(_) => 16_000,
            Self::Opus(encoder) => encoder.rate_hz(),
        }
    }

    /// Samples in a millisecond of its sound.
    pub fn samples_per_ms(&self) -> usize {
        self.rate_hz() as usize / 1000
    }

    /// RTP clock ticks of a frame of `samples`.
    pub fn ticks(&self, samples: usize) -> u32 {
        let clock = u64::from(self.codec().rtp_clock_hz());
        (samples as u64 * clock / u64::from(self.rate_hz().max(1))) as u32
    }

    /// Codes one frame into `out`, returns the bytes written. With Opus DTX a result of at most 2
    /// bytes says "nothing worth sending": see [`Encoder::is_dtx`].
    ///
    /// G.711 takes any length, G.722 any even one, Opus 2.5, 5, 10, 20, 40 or 60 ms.
    ///
    /// # Errors
    /// [`CodecError::OutputTooShort`], [`CodecError::FrameLength`], [`CodecError::Opus`].
    pub fn encode(&mut self, frame: &[i16], out: &mut [u8]) -> Result<usize, CodecError> {
        match self {
            Self::G711(law) => law.encode(frame, out),
            Self::G722(encoder) => encoder.encode(frame, out),
            Self::Opus(encoder) => encoder.encode(frame, out),
        }
    }

    /// Whether a payload of this length, just made, may be left unsent (RFC 7587 §3.1.3).
    pub fn is_dtx(&self, payload_len: usize) -> bool {
        matches!(self, Self::Opus(encoder) if encoder.dtx() && payload_len <= 2)
    }

    /// What share of packets the far end loses: Opus spends bits on FEC by it. Others ignore it.
    pub fn set_loss_percent(&mut self, percent: u8) {
        match self {
            Self::Opus(encoder) => encoder.set_loss_percent(percent),
            Self::G711(_) | Self::G722(_) => {}
        }
    }

    /// What network and board allow now. Only Opus has anything to set.
    pub(crate) fn adapt(&mut self, settings: OpusSettings) {
        match self {
            Self::Opus(encoder) => encoder.adapt(settings),
            Self::G711(_) | Self::G722(_) => {}
        }
    }
}

impl Decoder {
    /// Builds the decoder; this allocates, nothing else here does.
    ///
    /// # Errors
    /// [`CodecError::Opus`] where libopus refuses (no memory).
    pub fn new(codec: Codec, card_rate_hz: u32) -> Result<Self, CodecError> {
        Ok(match codec {
            Codec::Pcmu => Self::G711(g711::Law::Mu),
            Codec::Pcma => Self::G711(g711::Law::A),
            Codec::G722 => Self::G722(g722::Decoder::new()),
            Codec::Opus => Self::Opus(opus::Decoder::new(opus::rate_for_card(card_rate_hz))?),
        })
    }

    /// Rate of the sound it gives, in Hz.
    pub fn rate_hz(&self) -> u32 {
        match self {
            Self::G711(_) => 8_000,
            Self::G722(_) => 16_000,
            Self::Opus(decoder) => decoder.rate_hz(),
        }
    }

    /// Samples in a millisecond of its sound.
    pub fn samples_per_ms(&self) -> usize {
        self.rate_hz() as usize / 1000
    }

    /// Samples a payload holds, without decoding it.
    ///
    /// # Errors
    /// [`CodecError::Empty`], [`CodecError::Malformed`].
    pub fn samples_in(&self, payload: &[u8]) -> Result<usize, CodecError> {
        if payload.is_empty() {
            return Err(CodecError::Empty);
        }
        match self {
            Self::G711(_) => Ok(payload.len()),
            Self::G722(_) => Ok(payload.len() * 2),
            Self::Opus(decoder) => opus::samples_in(payload, decoder.rate_hz()),
        }
    }

    /// Decodes a payload into `out`, returns the samples written.
    ///
    /// # Errors
    /// [`CodecError::Empty`], [`CodecError::OutputTooShort`], [`CodecError::Malformed`],
    /// [`CodecError::Opus`].
    pub fn decode(&mut self, payload: &[u8], out: &mut [i16]) -> Result<usize, CodecError> {
        if payload.is_empty() {
            return Err(CodecError::Empty);
        }
        match self {
            Self::G711(law) => law.decode(payload, out),
            Self::G722(decoder) => decoder.decode(payload, out),
            Self::Opus(decoder) => decoder.decode(payload, out),
        }
    }

    /// The codec's own concealment: fills all of `out` (a multiple of 2.5 ms, at most 120 ms) with
    /// what likely was said. `false`: this codec has none, the generic concealment must do it.
    pub fn conceal(&mut self, out: &mut [i16]) -> bool {
        match self {
            Self::G711(_) | Self::G722(_) => false,
            Self::Opus(decoder) => decoder.conceal(out).is_ok(),
        }
    }

    /// Whether `next`, the packet after the lost one, carries a copy of the lost frame (Opus LBRR).
    pub fn has_fec(&self, next: &[u8]) -> bool {
        match self {
            Self::G711(_) | Self::G722(_) => false,
            Self::Opus(_) => opus::has_fec(next),
        }
    }

    /// Recovers a lost frame from the packet after it: fills all of `out`, whose length must be the
    /// lost duration. Decode `next` itself afterwards as usual. `false`: nothing to recover from,
    /// conceal instead.
    pub fn decode_fec(&mut self, next: &[u8], out: &mut [i16]) -> bool {
        match self {
            Self::G711(_) | Self::G722(_) => false,
            Self::Opus(decoder) => opus::has_fec(next) && decoder.decode_fec(next, out).is_ok(),
        }
    }

    /// Informs the decoder what was played instead of lost payloads, and at least
    /// [`g722::QMF_DELAY`] samples of what the concealment would have played next, so that its
    /// memory follows the sound. Only G.722 listens.
    pub fn follow_concealment(&mut self, played: &[i16], ahead: &[i16]) {
        match self {
            Self::G722(decoder) => decoder.follow(played, ahead),
            Self::G711(_) | Self::Opus(_) => {}
        }
    }

    /// Forgets the past: for a new far end.
    pub fn reset(&mut self) {
        match self {
            Self::G711(_) => {}
            Self::G722(decoder) => *decoder = g722::Decoder::new(),
            Self::Opus(decoder) => decoder.reset(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::level::dbm0;
    use crate::test_data::sine;

    /// See `docs/decisions/0020-level-of-g722.md`.
    #[test]
    fn a_sine_keeps_its_level_in_every_codec() {
        for codec in Codec::ALL {
            let options = EncoderOptions {
                card_rate_hz: 16_000,
                ..EncoderOptions::default()
            };
            let mut encoder = Encoder::new(codec, options).unwrap();
            let mut decoder = Decoder::new(codec, 16_000).unwrap();
            let rate = encoder.rate_hz();
            for amplitude in [1_000.0, 8_000.0, 30_000.0] {
                let said = sine(1_000.0, rate, amplitude, rate as usize);
                let (mut payload, mut out) = ([0; MAX_PAYLOAD], [0; MAX_SAMPLES]);
                let mut heard = Vec::new();
                for frame in said.chunks_exact(rate as usize / 50) {
                    let length = encoder.encode(frame, &mut payload).unwrap();
                    let made = decoder.decode(&payload[..length], &mut out).unwrap();
                    heard.extend_from_slice(&out[..made]);
                }
                let half = said.len() / 2;
                let off = dbm0(&heard[half..]) - dbm0(&said[half..]);
                assert!(off.abs() < 0.7, "{codec:?} at {amplitude}: {off:+.2} dB");
            }
        }
    }
}
