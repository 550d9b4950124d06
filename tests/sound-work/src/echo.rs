//! Echo cancellers: ours, the filter of speexdsp, and AEC3 in Rust (sonora).

use media::{EchoCanceller, EchoMode};
use sonora::{AudioProcessing, Config, StreamConfig};
use testkit::speexdsp;

/// Rate of all sound here, in Hz.
pub const RATE: usize = 16_000;
/// Period of a board, 10 ms.
pub const HOP: usize = RATE / 100;
/// From writing a sound to the card until it is played, in samples.
pub const CARD: usize = 2 * HOP;
/// The filter of speexdsp: 200 ms.
const SPEEX_FILTER: usize = RATE / 5;

/// Which one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// [`EchoCanceller`].
    Offhook,
    /// The filter of speexdsp.
    Speexdsp,
    /// AEC3.
    Sonora,
    /// None.
    Nothing,
}

impl Kind {
    /// In the order of the page.
    pub const ALL: [Kind; 4] = [Kind::Offhook, Kind::Speexdsp, Kind::Sonora, Kind::Nothing];

    /// As it is named on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Offhook => "offhook",
            Kind::Speexdsp => "speexdsp",
            Kind::Sonora => "sonora",
            Kind::Nothing => "nothing",
        }
    }
}

/// A canceller that runs.
pub enum Canceller {
    /// [`EchoCanceller`].
    Offhook(Box<EchoCanceller>),
    /// The filter of speexdsp, which has no search for a delay.
    Speexdsp {
        /// The filter.
        canceller: speexdsp::Canceller,
        /// What the card has not played yet.
        queued: Vec<i16>,
    },
    /// AEC3.
    Sonora(Box<AudioProcessing>),
    /// None.
    Nothing,
}

impl Canceller {
    /// For periods of so many samples; `None` where it is not installed or cannot have them.
    pub fn new(kind: Kind, hop: usize) -> Option<Self> {
        Some(match kind {
            Kind::Offhook => {
                let made = EchoCanceller::new(EchoMode::On, RATE as u32, hop)?;
                Self::Offhook(Box::new(made))
            }
            Kind::Speexdsp => Self::Speexdsp {
                canceller: speexdsp::Canceller::new(RATE as u32, hop, SPEEX_FILTER)?,
                queued: vec![0; CARD],
            },
            Kind::Sonora if hop != HOP => return None,
            Kind::Sonora => {
                let format = StreamConfig::new(RATE as u32, 1);
                let config = Config {
                    echo_canceller: Some(sonora::config::EchoCanceller::default()),
                    ..Config::default()
                };
                let builder = AudioProcessing::builder().config(config);
                let made = builder.capture_config(format).render_config(format).build();
                Self::Sonora(Box::new(made))
            }
            Kind::Nothing => Self::Nothing,
        })
    }

    /// One period: `microphone` becomes what is sent, `far` is written to the card after it.
    pub fn process(&mut self, microphone: &mut [i16], far: &[i16]) {
        match self {
            Self::Offhook(canceller) => {
                canceller.process(microphone);
                canceller.written(far);
            }
            Self::Speexdsp { canceller, queued } => {
                queued.extend_from_slice(far);
                let played: Vec<i16> = queued.drain(..far.len()).collect();
                let out = canceller.process(microphone, &played);
                microphone.copy_from_slice(&out);
            }
            Self::Sonora(processing) => {
                let mut out = [0; HOP];
                processing.process_render_i16(far, &mut out).unwrap();
                processing
                    .process_capture_i16(microphone, &mut out)
                    .unwrap();
                microphone.copy_from_slice(&out);
            }
            Self::Nothing => {}
        }
    }
}
