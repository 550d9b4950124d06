//! Where the phone's sound cards come from: the handset's, and those besides it that the
//! configuration names.

use board::audio::{AudioDevice, AudioError, AudioRequest, KnownCards};
use board::profile::Mixer;
use config::Config;
use types::MicrophoneChannel;

use crate::audio_thread::CardUse;
#[cfg(feature = "tools")]
use crate::echo::EchoCard;

/// Period of a card that only rings, in ms: no one waits for it.
const RINGER_PERIOD_MS: u32 = 20;

/// A card that was opened, and which it was.
pub(crate) type Opened = Result<(Box<dyn AudioDevice>, KnownCards), AudioError>;

/// Where the sound card comes from.
#[derive(Debug, Clone)]
pub enum CardSource {
    /// A card of the board, with the settings of its mixer.
    Board(AudioRequest, Vec<Mixer>),
    /// A card that only plays.
    Output(AudioRequest),
    /// No card: what is played is heard again (`offhook echo`).
    #[cfg(feature = "tools")]
    Echo {
        /// Frames a second.
        rate_hz: u32,
        /// Period in ms.
        period_ms: u32,
    },
}

impl CardSource {
    /// Opens it, whatever number it has by now, where it was there before.
    pub(crate) fn open(&self, known: &KnownCards) -> Opened {
        match self {
            Self::Board(request, mixer) => {
                let now = known.applied(request)?;
                let device = board::audio::open(&now)?;
                for wrong in board::audio::set_mixer(&now.playback, mixer) {
                    tracing::warn!("{wrong}");
                }
                Ok((device, KnownCards::of(&now)))
            }
            Self::Output(request) => {
                let now = known.applied(request)?;
                Ok((board::audio::open_output(&now)?, KnownCards::of(&now)))
            }
            #[cfg(feature = "tools")]
            Self::Echo { rate_hz, period_ms } => {
                let card = EchoCard::open(*rate_hz, *period_ms)?;
                Ok((Box::new(card), KnownCards::default()))
            }
        }
    }

    /// What the configuration calls it.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Board(request, _) if request.capture == request.playback => {
                request.capture.clone()
            }
            Self::Board(request, _) => format!("{} / {}", request.capture, request.playback),
            Self::Output(request) => request.playback.clone(),
            #[cfg(feature = "tools")]
            Self::Echo { .. } => "echo".into(),
        }
    }
}

/// Where a further card comes from.
#[derive(Debug, Clone)]
pub struct FurtherSource {
    /// The card.
    pub source: CardSource,
    /// What it is for.
    pub card_use: CardUse,
}

/// The cards besides the handset's that the configuration names. One that is named twice is opened
/// once, for both; the handset's own is not opened again.
pub(crate) fn further_cards(config: &Config, handset: &AudioRequest) -> Vec<FurtherSource> {
    let (audio, board) = (&config.audio, &config.board.audio);
    let is_handsets = |card: &String| *card == handset.playback;
    let speaker = audio.speaker_card.clone().filter(|card| !is_handsets(card));
    let ringer = audio.ringer_card.clone().filter(|card| !is_handsets(card));
    let rings_there = ringer.is_some() && ringer == speaker;
    let mut cards = Vec::new();
    if let Some(playback) = speaker {
        let is_file = playback.starts_with("wav:") || playback == "null";
        let own = if is_file { "silence" } else { &playback };
        let capture = audio
            .speaker_microphone
            .as_deref()
            .unwrap_or(own)
            .to_owned();
        let listens = capture != "silence";
        let period_ms = board.speaker_period_ms.unwrap_or(handset.period_ms);
        let request = AudioRequest {
            capture,
            playback,
            rate_hz: board.speaker_rate_hz.unwrap_or(handset.rate_hz),
            codec_rate_hz: board.speaker_rate_hz.unwrap_or(handset.rate_hz),
            period_ms,
            // It is looked at once a period of the handset's card, which may be the longer one.
            periods: handset.periods.max(2) + 1 + handset.period_ms.div_ceil(period_ms.max(1)),
            microphone_channel: audio.speaker_microphone_channel,
        };
        cards.push(FurtherSource {
            source: if listens {
                CardSource::Board(request, Vec::new())
            } else {
                CardSource::Output(request)
            },
            card_use: CardUse {
                speaks: true,
                listens,
                rings: rings_there,
            },
        });
    }
    if let Some(playback) = ringer.filter(|_| !rings_there) {
        cards.push(FurtherSource {
            source: CardSource::Output(AudioRequest {
                capture: "silence".to_owned(),
                playback,
                rate_hz: handset.rate_hz,
                codec_rate_hz: handset.rate_hz,
                period_ms: RINGER_PERIOD_MS,
                periods: 3,
                microphone_channel: MicrophoneChannel::Mix,
            }),
            card_use: CardUse {
                speaks: false,
                listens: false,
                rings: true,
            },
        });
    }
    cards
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use board::Profile;

    use super::*;
    use crate::hardware::audio_request;

    #[test]
    fn further_cards_are_opened_once_each() {
        let profile = Profile::load(Path::new("/nowhere"), "sim").unwrap();
        let cards = |toml: &str| -> Vec<(String, CardUse)> {
            let config = config::load(toml, "f").unwrap_or_else(|errors| panic!("{errors}"));
            let further = further_cards(&config, &audio_request(&config, &profile));
            let each = |card: FurtherSource| (card.source.name(), card.card_use);
            further.into_iter().map(each).collect()
        };
        let card_use = |speaks, listens, rings| CardUse {
            speaks,
            listens,
            rings,
        };
        assert_eq!(cards("[audio]\ncard = \"hw:0\"\n"), []);
        assert_eq!(
            cards("[audio]\ncard = \"hw:0\"\nspeaker_card = \"hw:1\"\nringer_card = \"hw:2\"\n"),
            [
                ("hw:1".to_owned(), card_use(true, true, false)),
                ("hw:2".to_owned(), card_use(false, false, true)),
            ]
        );
        assert_eq!(
            cards("[audio]\nspeaker_card = \"hw:1\"\nringer_card = \"hw:1\"\n"),
            [("hw:1".to_owned(), card_use(true, true, true))]
        );
        assert_eq!(
            cards("[audio]\nspeaker_card = \"hw:1\"\nspeaker_microphone = \"silence\"\n"),
            [("hw:1".to_owned(), card_use(true, false, false))]
        );
        let handsets =
            "[audio]\ncard = \"hw:0\"\nspeaker_card = \"hw:0\"\nringer_card = \"hw:0\"\n";
        assert_eq!(cards(handsets), []);
    }
}
