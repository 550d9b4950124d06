//! Recorded speech: decoded where it may allocate, played by the engine, given back to be freed.
//!
//! ```text
//! Opus packets ─▶ decode (control thread) ─▶ Clip ─▶ Command::Speak ─▶ SpeechPlayer::mix ─▶ ear
//!                                             ▲── Event::Spoken (to be freed there) ──┘
//! ```

use crate::codec::{self, CodecError};
use crate::mixer::Mixer;
use crate::resample::{Push, ResampleError};

/// Fade of a clip that is cut short, long enough not to click.
const FADE_MS: u32 = 5;
/// Opus' delay, which the first samples of a decoder are silent by: 6.5 ms (RFC 6716 section 2).
const LOOKAHEAD_TENTHS_MS: u32 = 65;

/// Why speech cannot be decoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpeechError {
    /// A packet is no Opus, or there is no memory.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// There is more of it than was allowed.
    #[error("it is too long")]
    TooLong,
    /// The sound card's rate is one no resampler here makes.
    #[error(transparent)]
    Resample(#[from] ResampleError),
}

/// Sound for the ear, at the card's rate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clip {
    id: u32,
    samples: Box<[i16]>,
    position: usize,
    /// Clips that were given back before this one and not yet polled.
    before: Option<Box<Self>>,
}

impl Clip {
    /// These samples; the number is its owner's, to know it by when it comes back.
    pub fn new(id: u32, samples: Vec<i16>) -> Box<Self> {
        Box::new(Self {
            id,
            samples: samples.into_boxed_slice(),
            position: 0,
            before: None,
        })
    }

    /// The number it was given.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Its length in samples.
    pub fn len(&self) -> usize {
        self.samples.len()
    }

    /// Nothing to hear.
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    /// Whether it was played to its end.
    pub fn is_finished(&self) -> bool {
        self.position >= self.samples.len()
    }
}

/// Decodes a run of Opus packets for a card of `rate_hz`. Allocates: not for the audio thread.
///
/// # Errors
/// [`SpeechError`].
pub fn decode<'p>(
    packets: impl Iterator<Item = &'p [u8]>,
    rate_hz: u32,
) -> Result<Vec<i16>, SpeechError> {
    decode_at_most(packets, rate_hz, usize::MAX)
}

/// [`decode`] of packets from a stranger: nothing more is decoded once there are `most` samples.
///
/// # Errors
/// [`SpeechError`].
pub fn decode_at_most<'p>(
    packets: impl Iterator<Item = &'p [u8]>,
    rate_hz: u32,
    most: usize,
) -> Result<Vec<i16>, SpeechError> {
    let opus_hz = codec::opus::rate_for_card(rate_hz);
    let mut decoder = codec::opus::Decoder::new(opus_hz)?;
    let mut sound = Vec::new();
    let mut frame = vec![0; codec::MAX_SAMPLES];
    for packet in packets {
        let samples = decoder.decode(packet, &mut frame)?;
        sound.extend_from_slice(&frame[..samples.min(frame.len())]);
        if sound.len() > most {
            return Err(SpeechError::TooLong);
        }
    }
    let lookahead = (opus_hz * LOOKAHEAD_TENTHS_MS / 10_000) as usize;
    sound.drain(..lookahead.min(sound.len()));
    if opus_hz == rate_hz {
        return Ok(sound);
    }
    let mut resampler = Push::new(opus_hz, rate_hz, sound.len().max(1))?;
    let mut out = vec![0; resampler.output_max(sound.len())];
    let length = resampler.process(&sound, &mut out);
    out.truncate(length);
    Ok(out)
}

/// Plays one clip after the other; allocates and frees nothing.
#[derive(Debug)]
pub(crate) struct SpeechPlayer {
    clip: Option<Box<Clip>>,
    /// Samples left of the fade of a clip that is cut short, counting down from `fade`.
    fading: Option<usize>,
    fade: usize,
    returned: Option<Box<Clip>>,
    sound: Box<[i16]>,
}

impl SpeechPlayer {
    pub(crate) fn new(rate_hz: u32, period_frames: usize) -> Self {
        Self {
            clip: None,
            fading: None,
            fade: (rate_hz * FADE_MS / 1000).max(1) as usize,
            returned: None,
            sound: vec![0; period_frames].into_boxed_slice(),
        }
    }

    /// Plays this from now on; what was playing is given back.
    pub(crate) fn start(&mut self, clip: Box<Clip>) {
        self.give_back();
        self.clip = Some(clip);
        self.fading = None;
    }

    /// Fades out what is playing.
    pub(crate) fn stop(&mut self) {
        if self.clip.is_some() && self.fading.is_none() {
            self.fading = Some(self.fade);
        }
    }

    pub(crate) fn is_active(&self) -> bool {
        self.clip.is_some()
    }

    /// A clip to be freed elsewhere.
    pub(crate) fn poll_returned(&mut self) -> Option<Box<Clip>> {
        let mut clip = self.returned.take()?;
        self.returned = clip.before.take();
        Some(clip)
    }

    /// Adds the next period.
    pub(crate) fn mix(&mut self, mixer: &mut Mixer) {
        let Some(clip) = &mut self.clip else { return };
        let left = &clip.samples[clip.position.min(clip.samples.len())..];
        let length = left.len().min(self.sound.len());
        let (now, after) = self.sound.split_at_mut(length);
        now.copy_from_slice(&left[..length]);
        after.fill(0);
        clip.position += length;
        if let Some(fading) = &mut self.fading {
            for sample in &mut *now {
                *sample = (i64::from(*sample) * *fading as i64 / self.fade as i64) as i16;
                *fading = fading.saturating_sub(1);
            }
        }
        mixer.add(&self.sound);
        if clip.is_finished() || self.fading == Some(0) {
            self.give_back();
        }
    }

    fn give_back(&mut self) {
        self.fading = None;
        if let Some(mut clip) = self.clip.take() {
            clip.before = self.returned.take();
            self.returned = Some(clip);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::EncoderOptions;

    const RATE: u32 = 48_000;
    const PERIOD: usize = 240;

    /// What a player gives until it is silent.
    fn played(player: &mut SpeechPlayer) -> Vec<i16> {
        let mut mixer = Mixer::new(PERIOD);
        let mut heard = Vec::new();
        while player.is_active() {
            let mut out = [0; PERIOD];
            mixer.clear();
            player.mix(&mut mixer);
            mixer.finish(&mut out);
            heard.extend(out);
            assert!(heard.len() < 1_000_000, "it never ends");
        }
        heard
    }

    #[test]
    fn a_clip_is_played_whole_and_given_back() {
        let mut player = SpeechPlayer::new(RATE, PERIOD);
        let samples: Vec<i16> = (0..1000).map(|n| n * 7).collect();
        player.start(Clip::new(1, samples.clone()));
        let heard = played(&mut player);
        assert_eq!(heard[..1000], samples[..]);
        assert!(heard[1000..].iter().all(|&sample| sample == 0));
        let clip = player.poll_returned().unwrap();
        assert!(clip.is_finished() && player.poll_returned().is_none());
    }

    #[test]
    fn a_stopped_clip_fades_within_five_milliseconds() {
        let mut player = SpeechPlayer::new(RATE, PERIOD);
        player.start(Clip::new(1, vec![10_000; 48_000]));
        player.stop();
        let heard = played(&mut player);
        assert!(heard.len() <= 2 * PERIOD, "{}", heard.len());
        let step = heard.windows(2).map(|w| (w[0] - w[1]).abs()).max();
        assert!(step < Some(100), "a click of {step:?}");
        assert!(!player.poll_returned().unwrap().is_finished());
    }

    #[test]
    fn every_replaced_clip_comes_back() {
        let mut player = SpeechPlayer::new(RATE, PERIOD);
        for _ in 0..5 {
            player.start(Clip::new(1, vec![1; 100]));
        }
        player.stop();
        played(&mut player);
        let mut count = 0;
        while player.poll_returned().is_some() {
            count += 1;
        }
        assert_eq!(count, 5);
    }

    #[test]
    fn speech_is_decoded_at_every_rate_of_a_card() {
        let options = EncoderOptions {
            card_rate_hz: 16_000,
            fec: false,
            dtx: false,
            bitrate: Some(14_000),
            band: types::OpusBand::Wide,
        };
        let mut encoder = codec::opus::Encoder::new(options).unwrap();
        let mut packets = Vec::new();
        for n in 0..25 {
            let frame: Vec<i16> = (0..320)
                .map(|i| ((f64::from(n * 320 + i) * 0.1).sin() * 9000.0) as i16)
                .collect();
            let mut out = [0; 400];
            let length = encoder.encode(&frame, &mut out).unwrap();
            packets.push(out[..length].to_vec());
        }
        for rate in [8000, 16_000, 44_100, 48_000] {
            let sound = decode(packets.iter().map(Vec::as_slice), rate).unwrap();
            let ms = sound.len() as f64 * 1000.0 / f64::from(rate);
            assert!((485.0..=500.0).contains(&ms), "{rate} Hz: {ms} ms");
        }
        assert!(decode([[].as_slice()].into_iter(), 8000).is_err());
    }
}
