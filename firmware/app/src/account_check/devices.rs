//! The sound card and the GPIO lines a configuration names: are they there, and free?

use std::time::Instant;

use board::{Board, Profile};
use config::Config;

use super::finding::Finding;
use crate::ctl::client::Client;

/// The board that needs no devices.
const SIM: &str = "sim";
/// Where the phone's own board is to be named.
const NAME_THE_BOARD: &str = "[board] profile names the phone's";

/// Opens what the phone would open, and lets it go again.
pub(super) fn check(config: &Config, found: &mut dyn FnMut(Finding)) {
    let (dir, name) = (&config.board.profile_dir, &config.board.profile);
    let overrides = crate::hardware::overrides(config);
    let profile = match Profile::load_over(dir, name, &overrides) {
        // The wiring of a phone does not fit the board of a computer, and need not.
        Err(_) if name == SIM => Profile::load(dir, name),
        profile => profile,
    };
    let mut profile = match profile {
        Ok(profile) => profile,
        Err(error) => return found(Finding::fault_in_one("board", &error.to_string())),
    };
    if let Err(error) = crate::hardware::override_profile(config, &mut profile) {
        found(Finding::fault_in_one("[board] ringer", &error.to_string()));
    }
    if Profile::is_of_another_machine(name, model().as_deref()) {
        let text = "not tried, this is not that board";
        let help = "the phone tries it itself";
        return found(Finding::warning(&format!("board {name}"), text, help));
    }
    // A phone that runs holds its devices: that is no fault of the configuration.
    let runs = Client::connect(&config.control.socket).is_ok();
    if runs {
        let text = "sound card and GPIO lines are in use by the phone that runs here";
        let help = "stop it to have them tried, or look at `offhook ctl status`";
        return found(Finding::warning("board", text, help));
    }
    sound_card(config, &profile, found);
    if name == SIM {
        let text = "sim, this computer's stand-in";
        return found(Finding::warning("board", text, NAME_THE_BOARD));
    }
    gpio_lines(name, &profile, found);
}

/// What the device tree calls this machine, where there is one.
fn model() -> Option<String> {
    let model = std::fs::read("/proc/device-tree/model").ok()?;
    Some(String::from_utf8_lossy(&model).into_owned())
}

fn sound_card(config: &Config, profile: &Profile, found: &mut dyn FnMut(Finding)) {
    let request = crate::hardware::audio_request(config, profile);
    let name = if request.capture == request.playback {
        request.playback.clone()
    } else {
        format!("{} and {}", request.capture, request.playback)
    };
    if request.capture == "silence" && request.playback == "null" {
        let text = "silence, this computer's stand-in";
        return found(Finding::warning("sound card", text, NAME_THE_BOARD));
    }
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
