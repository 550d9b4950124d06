//! What a card offers, for those who choose one: rates and channels of each direction.

use std::fmt;

use alsa::Direction;
use alsa::pcm::{HwParams, PCM};

use super::AudioRequest;

/// Rates a telephone can make use of.
const RATES: [u32; 7] = [8000, 16_000, 24_000, 32_000, 44_100, 48_000, 96_000];

/// Rates and channels of one PCM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// Its ALSA name.
    pub device: String,
    /// Frames a second it can do by itself, lowest first.
    pub rates_hz: Vec<u32>,
    /// Fewest and most channels.
    pub channels: (u32, u32),
}

impl fmt::Display for Offer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rates: Vec<String> = self.rates_hz.iter().map(u32::to_string).collect();
        match rates.as_slice() {
            [] => f.write_str("none of the usual rates")?,
            rates => write!(f, "{} Hz", rates.join(", "))?,
        }
        match self.channels {
            (1, 1) => f.write_str(", 1 channel"),
            (from, to) if from == to => write!(f, ", {from} channels"),
            (from, to) => write!(f, ", {from} to {to} channels"),
        }
    }
}

/// What capture and playback of a request offer; `None` where the device is simulated or cannot be
/// opened now (opening it as the phone does says why).
pub fn offers(request: &AudioRequest) -> (Option<Offer>, Option<Offer>) {
    (
        offer(&request.capture, Direction::Capture),
        offer(&request.playback, Direction::Playback),
    )
}

fn offer(device: &str, direction: Direction) -> Option<Offer> {
    let simulated = device.starts_with("wav:") || device == "silence" || device == "null";
    if simulated {
        return None;
    }
    // What alsa-lib has to complain of is collected, not written to the terminal.
    let _reasons = alsa::Output::local_error_handler().ok();
    let pcm = PCM::new(device, direction, true).ok()?;
    let params = HwParams::any(&pcm).ok()?;
    let _ = params.set_rate_resample(false);
    let rates_hz = RATES
        .into_iter()
        .filter(|rate| params.test_rate(*rate).is_ok())
        .collect();
    let channels = (
        params.get_channels_min().ok()?,
        params.get_channels_max().ok()?,
    );
    Some(Offer {
        device: device.to_owned(),
        rates_hz,
        channels,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offer_reads_as_a_sentence() {
        let offer = |rates_hz: &[u32], channels| Offer {
            device: "hw:CARD=Device".into(),
            rates_hz: rates_hz.to_vec(),
            channels,
        };
        let text = offer(&[44_100, 48_000], (1, 2)).to_string();
        assert_eq!(text, "44100, 48000 Hz, 1 to 2 channels");
        assert_eq!(offer(&[48_000], (1, 1)).to_string(), "48000 Hz, 1 channel");
        assert!(
            offer(&[], (2, 2))
                .to_string()
                .starts_with("none of the usual rates, 2")
        );
    }

    #[test]
    fn a_simulated_card_and_a_missing_one_offer_nothing() {
        let request = |name: &str| AudioRequest {
            capture: name.into(),
            playback: name.into(),
            rate_hz: 48_000,
            codec_rate_hz: 48_000,
            period_ms: 5,
            periods: 2,
            microphone_channel: types::MicrophoneChannel::Mix,
        };
        assert_eq!(offers(&request("silence")), (None, None));
        assert_eq!(offers(&request("hw:CARD=NoSuchCard")), (None, None));
    }

    #[test]
    fn the_null_pcm_of_alsa_offers_every_rate() {
        let request = AudioRequest {
            capture: "null".into(),
            playback: "silence".into(),
            rate_hz: 48_000,
            codec_rate_hz: 48_000,
            period_ms: 5,
            periods: 2,
            microphone_channel: types::MicrophoneChannel::Mix,
        };
        // `null` is this program's own simulated card; `plug:null` is alsa-lib's.
        assert_eq!(offers(&request), (None, None));
        if let Some(offer) = offer("plug:null", Direction::Capture) {
            assert!(offer.rates_hz.contains(&48_000), "{offer}");
        }
    }
}
