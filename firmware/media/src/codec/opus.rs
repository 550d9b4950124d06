//! Opus by the system's libopus: why a wrapper of a wrapper: the choices of a desk phone are made
//! here, once.
//!
//! ```text
//! mono i16 ─▶ libopus (VoIP, complexity 5, VBR, FEC, DTX) ─▶ payload ─▶ libopus ─▶ mono i16
//!                                                  next payload ─▶ LBRR ─▶ the lost frame
//! ```
//!
//! What is sent is wideband (8 kHz) at most, whatever the card, unless `opus_band` says otherwise:
//! speech has little above, a handset hears nothing of it, and the bits are missed below
//! (`docs/decisions/0010-opus-is-wideband.md`).
//! What is received may be fullband.
//!
//! Complexity 5 costs about 8 % of a Cortex-A53 core, 10 costs 13 %, and the difference is hardly
//! heard in speech. The far end may send stereo (`opus/48000/2` always says so): a mono decoder
//! mixes it down by itself (RFC 7587 §4.1).

use audiopus::coder::{Decoder as LibDecoder, Encoder as LibEncoder, GenericCtl};
use audiopus::packet::Packet;
use audiopus::{
    Application, Bandwidth, Bitrate, Channels, ErrorCode, MutSignals, SampleRate, Signal,
};
use types::OpusBand;

use super::opus_control::{BEST_COMPLEXITY, OpusSettings};
use super::{CodecError, EncoderOptions, MAX_SAMPLES};

/// What libopus answered when it refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal(&'static str);

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

fn refused(error: &audiopus::Error) -> CodecError {
    CodecError::Opus(Refusal(match error {
        audiopus::Error::Opus(ErrorCode::BadArgument) => "a bad argument",
        audiopus::Error::Opus(ErrorCode::BufferTooSmall) => "the buffer is too small",
        audiopus::Error::Opus(ErrorCode::InvalidPacket) => "the packet is corrupt",
        audiopus::Error::Opus(ErrorCode::AllocFail) => "out of memory",
        audiopus::Error::Opus(ErrorCode::InvalidState) => "invalid state",
        audiopus::Error::Opus(ErrorCode::Unimplemented) => "not in this libopus",
        audiopus::Error::EmptyPacket => "the packet is empty",
        _ => "an internal error",
    }))
}

/// The rate Opus works at for a card: the lowest of Opus' rates that keeps all the card can carry,
/// so that the common cards (8, 16, 24, 48 kHz) need no resampling of ours at all; a 44.1 or 32 kHz
/// card gets 48 kHz.
pub fn rate_for_card(card_rate_hz: u32) -> u32 {
    [8_000, 12_000, 16_000, 24_000]
        .into_iter()
        .find(|&rate| card_rate_hz <= rate)
        .unwrap_or(48_000)
}

/// Bits a second for mono speech at a rate: where listening tests stop rising steeply (RFC 7587
/// §3.1.1), and with FEC 4000 more. That much it takes for libopus to really add redundancy at the
/// loss we give it at first, without narrowing the band.
pub fn bitrate_for_rate(rate_hz: u32, fec: bool) -> u32 {
    let sound = match rate_hz {
        0..=8_000 => 16_000,
        8_001..=12_000 => 20_000,
        12_001..=16_000 => 24_000,
        16_001..=24_000 => 28_000,
        _ => 32_000,
    };
    if fec { sound + 4_000 } else { sound }
}

fn sample_rate(rate_hz: u32) -> SampleRate {
    match rate_hz {
        0..=8_000 => SampleRate::Hz8000,
        8_001..=12_000 => SampleRate::Hz12000,
        12_001..=16_000 => SampleRate::Hz16000,
        16_001..=24_000 => SampleRate::Hz24000,
        _ => SampleRate::Hz48000,
    }
}

/// Mono sound to Opus packets.
#[derive(Debug)]
pub struct Encoder {
    inner: LibEncoder,
    rate_hz: u32,
    dtx: bool,
    fec: bool,
    loss_percent: u8,
    bitrate: u32,
    complexity: u8,
}

impl Encoder {
    /// Builds and sets up the encoder.
    ///
    /// # Errors
    /// [`CodecError::Opus`].
    pub fn new(options: EncoderOptions) -> Result<Self, CodecError> {
        let rate_hz = rate_for_card(options.card_rate_hz);
        let bitrate = options
            .bitrate
            .unwrap_or_else(|| bitrate_for_rate(rate_hz, options.fec));
        let build = || -> audiopus::Result<LibEncoder> {
            let mut inner =
                LibEncoder::new(sample_rate(rate_hz), Channels::Mono, Application::Voip)?;
            inner.set_complexity(BEST_COMPLEXITY)?;
            inner.set_signal(Signal::Voice)?;
            inner.set_max_bandwidth(match options.band {
                OpusBand::Narrow => Bandwidth::Narrowband,
                OpusBand::Wide => Bandwidth::Wideband,
                OpusBand::SuperWide => Bandwidth::Superwideband,
                OpusBand::Full => Bandwidth::Fullband,
            })?;
            inner.set_vbr(true)?;
            inner.set_bitrate(Bitrate::BitsPerSecond(bitrate as i32))?;
            inner.set_inband_fec(options.fec)?;
            inner.set_packet_loss_perc(0)?;
            inner.set_dtx(options.dtx)?;
            Ok(inner)
        };
        let inner = build().map_err(|error| refused(&error))?;
        let mut encoder = Self {
            inner,
            rate_hz,
            dtx: options.dtx,
            fec: options.fec,
            loss_percent: 0,
            bitrate,
            complexity: BEST_COMPLEXITY,
        };
        encoder.set_loss_percent(0);
        Ok(encoder)
    }

    /// Rate of the sound it takes.
    pub fn rate_hz(&self) -> u32 {
        self.rate_hz
    }

    /// Delay beyond the frame, in samples (6.5 ms).
    #[cfg(test)]
    pub(crate) fn lookahead_samples(&self) -> usize {
        self.inner.lookahead().unwrap() as usize
    }

    /// Whether it may leave packets out in silence.
    pub fn dtx(&self) -> bool {
        self.dtx
    }

    /// Sets the loss the far end reports. With FEC asked for, libopus is never given less than 5
    /// %: at 0 it sends no redundancy at all, and the first lost packet comes before the first
    /// report of one. 5 % alone do not bring any: the bitrate must leave room for it too
    /// ([`bitrate_for_rate`], and more of it in `media::send`).
    pub fn set_loss_percent(&mut self, percent: u8) {
        let percent = percent.clamp(if self.fec { 5 } else { 0 }, 50);
        if percent != self.loss_percent && self.inner.set_packet_loss_perc(percent).is_ok() {
            self.loss_percent = percent;
        }
    }

    /// Sets what has changed; what libopus refuses stays as it is.
    pub(crate) fn adapt(&mut self, settings: OpusSettings) {
        self.set_loss_percent(settings.loss_percent);
        let bitrate = Bitrate::BitsPerSecond(settings.bitrate as i32);
        if settings.bitrate != self.bitrate && self.inner.set_bitrate(bitrate).is_ok() {
            self.bitrate = settings.bitrate;
        }
        if settings.complexity != self.complexity
            && self.inner.set_complexity(settings.complexity).is_ok()
        {
            self.complexity = settings.complexity;
        }
    }

    /// What libopus itself says it is set to.
    #[cfg(test)]
    pub(crate) fn settings(&self) -> OpusSettings {
        let Bitrate::BitsPerSecond(bitrate) = self.inner.bitrate().unwrap() else {
            panic!("a bitrate was set");
        };
        OpusSettings {
            bitrate: bitrate as u32,
            loss_percent: self.inner.packet_loss_perc().unwrap(),
            complexity: self.inner.complexity().unwrap(),
        }
    }

    /// Codes one frame of 2.5, 5, 10, 20, 40 or 60 ms; returns the bytes written.
    ///
    /// # Errors
    /// [`CodecError::FrameLength`], [`CodecError::Opus`].
    pub fn encode(&mut self, frame: &[i16], out: &mut [u8]) -> Result<usize, CodecError> {
        let half_ms = frame.len() * 2000 / self.rate_hz as usize;
        if half_ms * self.rate_hz as usize != frame.len() * 2000
            || !matches!(half_ms, 5 | 10 | 20 | 40 | 80 | 120)
        {
            return Err(CodecError::FrameLength {
                samples: frame.len(),
                allowed: "Opus takes 2.5, 5, 10, 20, 40 or 60 ms",
            });
        }
        self.inner
            .encode(frame, out)
            .map_err(|error| refused(&error))
    }
}

/// Opus packets to mono sound.
#[derive(Debug)]
pub struct Decoder {
    inner: LibDecoder,
    rate_hz: u32,
}

impl Decoder {
    /// Builds the decoder. `rate_hz`: one of [`rate_for_card`]'s.
    ///
    /// # Errors
    /// [`CodecError::Opus`].
    pub fn new(rate_hz: u32) -> Result<Self, CodecError> {
        let inner = LibDecoder::new(sample_rate(rate_hz), Channels::Mono)
            .map_err(|error| refused(&error))?;
        Ok(Self { inner, rate_hz })
    }

    /// Rate of the sound it gives.
    pub fn rate_hz(&self) -> u32 {
        self.rate_hz
    }

    fn run(
        &mut self,
        payload: Option<&[u8]>,
        out: &mut [i16],
        fec: bool,
    ) -> Result<usize, CodecError> {
        let packet = match payload {
            Some(bytes) => Some(Packet::try_from(bytes).map_err(|error| refused(&error))?),
            None => None,
        };
        let signals = MutSignals::try_from(out).map_err(|error| refused(&error))?;
        self.inner
            .decode(packet, signals, fec)
            .map_err(|error| refused(&error))
    }

    /// Decodes a packet; returns the samples written.
    ///
    /// # Errors
    /// [`CodecError::Malformed`], [`CodecError::OutputTooShort`], [`CodecError::Opus`].
    pub fn decode(&mut self, payload: &[u8], out: &mut [i16]) -> Result<usize, CodecError> {
        let need = samples_in(payload, self.rate_hz)?;
        if out.len() < need {
            return Err(CodecError::OutputTooShort {
                have: out.len(),
                need,
            });
        }
        self.run(Some(payload), out, false)
    }

    /// Fills `out` by concealment; its length must be a multiple of 2.5 ms.
    ///
    /// # Errors
    /// [`CodecError::FrameLength`], [`CodecError::Opus`].
    pub fn conceal(&mut self, out: &mut [i16]) -> Result<usize, CodecError> {
        self.check_lost(out.len())?;
        self.run(None, out, false)
    }

    /// Fills `out`, which must be as long as the lost frame, from the redundancy in the packet
    /// after it.
    ///
    /// # Errors
    /// [`CodecError::FrameLength`], [`CodecError::Opus`].
    pub fn decode_fec(&mut self, next: &[u8], out: &mut [i16]) -> Result<usize, CodecError> {
        self.check_lost(out.len())?;
        self.run(Some(next), out, true)
    }

    fn check_lost(&self, samples: usize) -> Result<(), CodecError> {
        let quantum = self.rate_hz as usize / 400;
        if samples == 0 || !samples.is_multiple_of(quantum) || samples > 48 * quantum {
            return Err(CodecError::FrameLength {
                samples,
                allowed: "Opus conceals 2.5 to 120 ms, in steps of 2.5 ms",
            });
        }
        Ok(())
    }

    /// Forgets the past.
    pub fn reset(&mut self) {
        // Resetting state cannot fail: libopus only clears memory.
        let _ = self.inner.reset_state();
    }
}

/// Samples at `rate_hz` in a packet (RFC 6716 §3.1, §3.2), 120 ms at most.
///
/// # Errors
/// [`CodecError::Empty`], [`CodecError::Malformed`].
pub fn samples_in(payload: &[u8], rate_hz: u32) -> Result<usize, CodecError> {
    let malformed = CodecError::Malformed(payload.len());
    let toc = *payload.first().ok_or(CodecError::Empty)?;
    // Frame length in units of 2.5 ms by configuration number.
    let frame = match toc >> 3 {
        config @ 0..=11 => [4, 8, 16, 24][usize::from(config & 3)],
        config @ 12..=15 => [4, 8][usize::from(config & 1)],
        config => 1 << (config & 3),
    };
    let frames = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => usize::from(payload.get(1).ok_or(malformed)? & 0x3F),
    };
    let samples = frame * frames * rate_hz as usize / 400;
    if frames == 0 || frame * frames > 48 || samples > MAX_SAMPLES {
        return Err(malformed);
    }
    Ok(samples)
}

/// Whether a packet carries a low-bitrate copy of the frame before it: the LBRR flag follows the
/// voice activity flags in the first bits of a SILK frame (RFC 6716 §4.2.3, §4.2.4), which a range
/// coder leaves readable as they are.
pub fn has_fec(payload: &[u8]) -> bool {
    let Some(&toc) = payload.first() else {
        return false;
    };
    let config = toc >> 3;
    if config >= 16 {
        return false;
    }
    // SILK frames in one Opus frame: 10 and 20 ms hold one, 40 two, 60 three.
    let silk_frames = match config {
        0..=11 => [1, 1, 2, 3][usize::from(config & 3)],
        _ => 1,
    };
    let first = match toc & 3 {
        0 | 1 => 1,
        // Code 2: the first frame's length, one or two bytes.
        2 => match payload.get(1) {
            Some(252..) => 3,
            _ => 2,
        },
        // Code 3: count byte, padding length bytes, and for VBR the first frame's length.
        _ => {
            let Some(&count) = payload.get(1) else {
                return false;
            };
            let mut at = 2;
            if count & 0x40 != 0 {
                while payload.get(at) == Some(&255) {
                    at += 1;
                }
                at += 1;
            }
            if count & 0x80 != 0 && count & 0x3F > 1 {
                at += if payload.get(at).is_some_and(|&length| length >= 252) {
                    2
                } else {
                    1
                };
            }
            at
        }
    };
    let Some(&flags) = payload.get(first) else {
        return false;
    };
    let mono = flags >> (7 - silk_frames) & 1 == 1;
    let side = toc & 4 != 0 && silk_frames < 3 && flags >> (6 - 2 * silk_frames) & 1 == 1;
    mono || side
}

#[cfg(test)]
mod tests;
