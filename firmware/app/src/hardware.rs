//! What the configuration and the board's profile say together of sound card, wiring and ringer.

use board::audio::AudioRequest;
use board::profile::Override;
use board::ringer::RingerKind;
use board::{Profile, RingerError};
use config::Config;
use config::schema::RingerChoice;

/// The sound card the board and the configuration name together.
pub(crate) fn audio_request(config: &Config, profile: &Profile) -> AudioRequest {
    let (audio, own) = (&config.board.audio, &profile.audio);
    let card = config.audio.card.as_ref();
    let device = |direction: &Option<String>, own: &String| {
        let wanted = direction.as_ref().or(card).unwrap_or(own);
        wanted.clone()
    };
    AudioRequest {
        capture: device(&audio.capture, &own.capture),
        playback: device(&audio.playback, &own.playback),
        rate_hz: audio.rate_hz.unwrap_or(own.rate_hz),
        codec_rate_hz: audio.rate_hz.unwrap_or_else(|| highest_rate(config)),
        period_ms: audio.period_ms.unwrap_or(own.period_ms),
        periods: own.periods,
        microphone_channel: config
            .audio
            .microphone_channel
            .unwrap_or(own.microphone_channel),
    }
}

/// The highest rate of sound that a codec of the configuration carries, in Hz.
fn highest_rate(config: &Config) -> u32 {
    let rates = config
        .codecs
        .order
        .iter()
        .map(|codec| codec.sound_rate_hz());
    rates.max().unwrap_or(8_000)
}

/// What the configuration says of the wiring.
pub(crate) fn overrides(config: &Config) -> Vec<Override<'_>> {
    let each = |(table, key, value)| Override { table, key, value };
    config.hardware.iter().map(each).collect()
}

/// What the configuration says of the board, put over the board's profile.
pub(crate) fn override_profile(config: &Config, profile: &mut Profile) -> Result<(), RingerError> {
    let Some(choice) = config.board.ringer else {
        return Ok(());
    };
    profile.set_ringer(match choice {
        RingerChoice::Bell => Some(RingerKind::Bell),
        RingerChoice::Buzzer => Some(RingerKind::Buzzer),
        RingerChoice::Sound | RingerChoice::None => None,
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// What `offhook.toml` may say of the wiring, table by table with the examples of its
    /// reference, is what the board takes: the two lists of keys agree.
    #[test]
    fn the_board_takes_every_key_of_the_wiring() {
        let text: String = config::example()
            .lines()
            .filter(|line| !line.starts_with("#fitted"))
            .map(|line| match line.strip_prefix('#') {
                Some(setting) if !setting.starts_with(' ') => format!("{setting}\n"),
                Some(_) | None => format!("{line}\n"),
            })
            .collect();
        let config = config::load(&text, "example").unwrap_or_else(|errors| panic!("{errors}"));
        let all = overrides(&config);
        let tables: std::collections::BTreeSet<&str> = all.iter().map(|o| o.table).collect();
        assert!(tables.len() >= 10, "{tables:?}");
        for table in tables {
            let own: Vec<Override<'_>> = all.iter().filter(|o| o.table == table).copied().collect();
            let before = Profile::load(Path::new("/nowhere"), "sim").unwrap();
            let after = Profile::load_over(Path::new("/nowhere"), "sim", &own)
                .unwrap_or_else(|error| panic!("{error}"));
            assert_ne!(before, after, "{table} changes nothing");
        }
    }

    #[test]
    fn the_card_is_said_for_both_directions_or_each() {
        let profile = Profile::load(Path::new("/nowhere"), "sim").unwrap();
        let request = |toml: &str| {
            let config = config::load(toml, "f").unwrap_or_else(|errors| panic!("{errors}"));
            audio_request(&config, &profile)
        };
        let both = request("[audio]\ncard = \"hw:1\"\nmicrophone_channel = \"right\"\n");
        assert_eq!(
            (both.capture.as_str(), both.playback.as_str()),
            ("hw:1", "hw:1")
        );
        assert_eq!(both.microphone_channel, types::MicrophoneChannel::Right);
        assert_eq!(request("").codec_rate_hz, 48_000, "Opus");
        let narrow = request("[codecs]\norder = [\"pcmu\", \"pcma\"]\n");
        assert_eq!((narrow.rate_hz, narrow.codec_rate_hz), (48_000, 8_000));
        let wide = request("[codecs]\norder = [\"pcma\", \"g722\"]\n");
        assert_eq!(wide.codec_rate_hz, 16_000);
        let asked = request("[codecs]\norder = [\"pcmu\"]\n[board.audio]\nrate_hz = 44100\n");
        assert_eq!(
            asked.codec_rate_hz, 44_100,
            "a rate that is asked for holds"
        );
        let one = request("[audio]\ncard = \"hw:1\"\n[board.audio]\ncapture = \"hw:2\"\n");
        assert_eq!(
            (one.capture.as_str(), one.playback.as_str()),
            ("hw:2", "hw:1")
        );
    }
}
