//! The sound card and the GPIO lines a configuration names: are they there, and free?

use std::time::Instant;

use board::{Board, Profile};
use config::Config;

use super::finding::Finding;
use crate::ctl::client::Client;

/// Opens what the phone would open, and lets it go again.
pub(super) fn check(config: &Config, found: &mut dyn FnMut(Finding)) {
    let mut profile = match Profile::load_over(
        &config.board.profile_dir,
        &config.board.profile,
        &crate::setup::overrides(config),
    ) {
        Ok(profile) => profile,
        Err(error) => return found(Finding::fault_in_one("board", &error.to_string())),
    };
    if let Err(error) = crate::setup::override_profile(config, &mut profile) {
        found(Finding::fault_in_one("[board] ringer", &error.to_string()));
    }
    // A phone that runs holds its devices: that is no fault of the configuration.
    let runs = Client::connect(&config.control.socket).is_ok();
    if runs {
        let text = "sound card and GPIO lines are in use by the phone that runs here";
        let help = "stop it to have them tried, or look at `offhook ctl status`";
        return found(Finding::warning("board", text, help));
    }
    sound_card(config, &profile, found);
    gpio_lines(&config.board.profile, &profile, found);
}

fn sound_card(config: &Config, profile: &Profile, found: &mut dyn FnMut(Finding)) {
    let request = crate::setup::audio_request(config, profile);
    let name = if request.capture == request.playback {
        request.playback.clone()
    } else {
        format!("{} and {}", request.capture, request.playback)
    };
    let (capture, playback) = board::audio::offers(&request);
    let offered = match (&capture, &playback) {
        (Some(capture), Some(playback)) => {
            format!("; microphone offers {capture}; earpiece {playback}")
        }
        (Some(one), None) | (None, Some(one)) => format!("; offers {one}"),
        (None, None) => String::new(),
    };
    match board::audio::open(&request) {
        Ok(card) => {
            let format = card.format();
            let period = format.period_frames as f64 * 1000.0 / f64::from(format.rate_hz);
            let asked = if format.rate_hz == request.rate_hz {
                String::new()
            } else {
                format!(" ({} Hz were asked for)", request.rate_hz)
            };
            let text = format!(
                "{name}: {} Hz, periods of {period:.1} ms{asked}{offered}",
                format.rate_hz
            );
            found(Finding::good("sound card", &text));
        }
        Err(error) => found(Finding::fault_in_one("sound card", &error.to_string())),
    }
}

fn gpio_lines(name: &str, profile: &Profile, found: &mut dyn FnMut(Finding)) {
    match Board::open(profile, Instant::now()) {
        Ok(board) => {
            let failed = board.failed();
            for error in failed {
                found(Finding::fault_in_one("board", &error.to_string()));
            }
            if failed.is_empty() {
                let text = format!("{name}: every line of its profile is there and free");
                found(Finding::good("board", &text));
            }
        }
        Err(error) => found(Finding::fault_in_one("board", &error.to_string())),
    }
}
