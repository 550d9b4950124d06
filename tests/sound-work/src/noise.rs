//! Noise suppressors: ours, the preprocessor of speexdsp, and `RNNoise` in Rust (nnnoiseless).

use media::resample::Push;
use media::{VoiceOptions, VoiceProcessor};
use nnnoiseless::DenoiseState;
use testkit::speexdsp::Preprocessor;

/// Rate and frame of `RNNoise`, which knows no other.
const RNNOISE_RATE: u32 = 48_000;
const RNNOISE_FRAME: usize = DenoiseState::FRAME_SIZE;

/// Which one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// That of [`VoiceProcessor`].
    Offhook,
    /// The preprocessor of speexdsp.
    Speexdsp,
    /// `RNNoise`.
    Rnnoise,
    /// None.
    Nothing,
}

impl Kind {
    /// In the order of the page.
    pub const ALL: [Kind; 4] = [Kind::Offhook, Kind::Speexdsp, Kind::Rnnoise, Kind::Nothing];

    /// As it is named on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Offhook => "offhook",
            Kind::Speexdsp => "speexdsp",
            Kind::Rnnoise => "rnnoise",
            Kind::Nothing => "nothing",
        }
    }
}

/// A suppressor that runs, in periods of 10 ms.
pub enum Suppressor {
    /// That of [`VoiceProcessor`].
    Offhook(Box<VoiceProcessor>),
    /// The preprocessor of speexdsp.
    Speexdsp(Preprocessor),
    /// `RNNoise`.
    Rnnoise(Box<Rnnoise>),
    /// None.
    Nothing,
}

/// `RNNoise`, and the way to its rate and back.
pub struct Rnnoise {
    state: Box<DenoiseState<'static>>,
    up: Push,
    down: Push,
    fine: [i16; RNNOISE_FRAME],
    before: [f32; RNNOISE_FRAME],
    after: [f32; RNNOISE_FRAME],
}

impl Suppressor {
    /// For a card of this rate; `None` where it is not installed.
    pub fn new(kind: Kind, rate_hz: u32) -> Option<Self> {
        let hop = rate_hz as usize / 100;
        Some(match kind {
            Kind::Offhook => {
                let options = VoiceOptions {
                    noise_suppression: true,
                    ..VoiceOptions::default()
                };
                Self::Offhook(Box::new(VoiceProcessor::new(options, rate_hz, hop)?))
            }
            Kind::Speexdsp => Self::Speexdsp(Preprocessor::new(rate_hz, hop)?),
            Kind::Rnnoise => Self::Rnnoise(Box::new(Rnnoise {
                state: DenoiseState::new(),
                up: Push::new(rate_hz, RNNOISE_RATE, hop).ok()?,
                down: Push::new(RNNOISE_RATE, rate_hz, RNNOISE_FRAME).ok()?,
                fine: [0; RNNOISE_FRAME],
                before: [0.0; RNNOISE_FRAME],
                after: [0.0; RNNOISE_FRAME],
            })),
            Kind::Nothing => Self::Nothing,
        })
    }

    /// One period of 10 ms, in place.
    pub fn process(&mut self, sound: &mut [i16]) {
        match self {
            Self::Offhook(voice) => voice.process(sound),
            Self::Speexdsp(preprocessor) => preprocessor.process(sound),
            Self::Rnnoise(rnnoise) => rnnoise.process(sound),
            Self::Nothing => {}
        }
    }
}

impl Rnnoise {
    fn process(&mut self, sound: &mut [i16]) {
        self.up.process(sound, &mut self.fine);
        for (to, &from) in self.before.iter_mut().zip(&self.fine) {
            *to = f32::from(from);
        }
        self.state.process_frame(&mut self.after, &self.before);
        for (to, from) in self.fine.iter_mut().zip(&self.after) {
            // `as` saturates.
            *to = from.round() as i16;
        }
        self.down.process(&self.fine, sound);
    }
}
