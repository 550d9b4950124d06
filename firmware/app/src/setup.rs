//! From a command to a running phone: configuration, log, board, card.
//!
//! ```text
//! offhook.toml ─▶ provision::load ─▶ Config, what to tell ─▶ Setup ─▶ driver::run
//! ```

use std::fs::{self, File};
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use board::audio::AudioRequest;
use board::{Board, Profile};
use config::Config;
use tracing_subscriber::EnvFilter;

use crate::appliance::{Appliance, Ending};
use crate::bundle::log::Tee;
use crate::driver::{self, CardSource, Setup};
use crate::provision::{Places, reset};
use control::readable::OneLineWriter;

/// `offhook run`.
pub(crate) fn run(places: &Places) -> Result<Ending, String> {
    loop {
        let ending = run_once(places)?;
        if ending != Ending::SelfTest {
            return Ok(ending);
        }
        let config = crate::provision::load(places, false)?.config;
        // Whatever the self-test says, a phone it shall be again.
        match crate::selftest::run(&config) {
            Ok(well) => tracing::info!(
                "self-test: {}",
                if well {
                    "all is well"
                } else {
                    "something does not work"
                }
            ),
            Err(error) => tracing::error!("self-test: {error}"),
        }
    }
}

fn run_once(places: &Places) -> Result<Ending, String> {
    if let Some(card) = places.card.as_deref().filter(|card| reset::is_asked(card)) {
        let state_dir = crate::provision::state_dir(places)?;
        reset::factory_reset(&state_dir, Some(card))
            .map_err(|error| format!("factory reset: {error}; can the card be written?"))?;
        return Ok(Ending::Reboot);
    }
    let provisioned = crate::provision::load(places, true)?;
    log_to_stderr(&provisioned.config);
    let key = provisioned.config.tls.key.clone();
    for told in crate::secrets::guard(&provisioned.config.control.state_dir, &Vec::from_iter(key)) {
        tracing::warn!("{told}");
    }
    let note = provisioned.note();
    if let Some(note) = &note {
        for line in note.lines() {
            tracing::error!("{line}");
        }
    }
    let mut setup = whole_phone(provisioned.config.clone(), note)?;
    setup.appliance = Some(Appliance {
        places: places.clone(),
        provisioned,
    });
    driver::run(setup).map_err(|error| error.to_string())
}

/// `offhook selftest`.
pub(crate) fn selftest(places: &Places) -> Result<bool, String> {
    let provisioned = crate::provision::load(places, false)?;
    log_to_stderr(&provisioned.config);
    crate::selftest::run(&provisioned.config)
}

/// `offhook sim`.
pub(crate) fn sim(file: Option<PathBuf>, headless: bool) -> Result<ExitCode, String> {
    let (mut config, note) = match file {
        Some(file) => load(Some(file))?,
        None => (sim_defaults(), None),
    };
    "sim".clone_into(&mut config.board.profile);
    if headless {
        log_to_stderr(&config);
        let setup = whole_phone(config, note)?;
        driver::run(setup).map_err(|error| error.to_string())?;
        return Ok(ExitCode::SUCCESS);
    }
    let log = config.control.state_dir.join("sim.log");
    log_to_file(&config, &log)?;
    crate::panel::run(config, &log, move |config| {
        let setup = whole_phone(config, note)?;
        driver::run(setup)
            .map(|_| ())
            .map_err(|error| error.to_string())
    })
}

/// `offhook echo`'s own settings.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct EchoOptions {
    pub(crate) config: Option<PathBuf>,
    pub(crate) bind: Option<IpAddr>,
    pub(crate) sip_port: Option<u16>,
    pub(crate) rtp_ports: Option<(u16, u16)>,
    pub(crate) socket: Option<PathBuf>,
}

/// `offhook echo`.
pub(crate) fn echo(options: &EchoOptions) -> Result<(), String> {
    let (mut config, note) = match &options.config {
        Some(file) => load(Some(file.clone()))?,
        None => (echo_defaults(), None),
    };
    config.call.auto_answer_ms = config.call.auto_answer_ms.or(Some(0));
    if let Some(bind) = options.bind {
        config.network.bind = bind;
    }
    if let Some(port) = options.sip_port {
        config.network.sip_port = port;
    }
    if let Some(ports) = options.rtp_ports {
        config.network.rtp_ports = ports;
    }
    let socket = options.socket.clone().or_else(|| {
        options
            .config
            .as_ref()
            .map(|_| config.control.socket.clone())
    });
    log_to_stderr(&config);
    let audio = &config.board.audio;
    let card = CardSource::Echo {
        rate_hz: audio.rate_hz.unwrap_or(48_000),
        period_ms: audio.period_ms.unwrap_or(5),
    };
    driver::run(Setup {
        card,
        board: None,
        socket,
        config_note: note,
        appliance: None,
        config,
    })
    .map(|_| ())
    .map_err(|error| error.to_string())
}

/// The sound card the board and the configuration name together.
pub(crate) fn audio_request(config: &Config, profile: &Profile) -> AudioRequest {
    let (audio, own) = (&config.board.audio, &profile.audio);
    AudioRequest {
        capture: audio.capture.clone().unwrap_or_else(|| own.capture.clone()),
        playback: audio
            .playback
            .clone()
            .unwrap_or_else(|| own.playback.clone()),
        rate_hz: audio.rate_hz.unwrap_or(own.rate_hz),
        period_ms: audio.period_ms.unwrap_or(own.period_ms),
        periods: own.periods,
    }
}

/// A phone on the board its configuration names.
pub(crate) fn whole_phone(config: Config, config_note: Option<String>) -> Result<Setup, String> {
    let profile = Profile::load(&config.board.profile_dir, &config.board.profile)
        .map_err(|error| error.to_string())?;
    let board = Board::open(&profile, Instant::now()).map_err(|error| error.to_string())?;
    let request = audio_request(&config, &profile);
    for wrong in board::audio::set_mixer(&request.playback, &profile.audio.mixer) {
        tracing::warn!("{wrong}");
    }
    Ok(Setup {
        card: CardSource::Board(request),
        board: Some(board),
        socket: Some(config.control.socket.clone()),
        config_note,
        appliance: None,
        config,
    })
}

/// Reads the configuration of a phone that is no appliance.
fn load(file: Option<PathBuf>) -> Result<(Config, Option<String>), String> {
    let places = Places {
        config: file,
        ..Places::default()
    };
    let provisioned = crate::provision::load(&places, true)?;
    let note = provisioned.note();
    Ok((provisioned.config, note))
}

fn log_to_stderr(config: &Config) {
    // A second call in one process (tests) keeps the first log.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(&config.phone.log))
        .with_writer(|| OneLineWriter(Tee))
        .with_ansi(false)
        .with_target(false)
        .try_init();
}

fn log_to_file(config: &Config, path: &Path) -> Result<(), String> {
    let wrong = |error: io::Error| {
        format!(
            "{}: {error}; set control.state_dir to a folder this user may write",
            path.display()
        )
    };
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(wrong)?;
    let file = Arc::new(File::create(path).map_err(wrong)?);
    let _ = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(&config.phone.log))
        .with_writer(move || OneLineWriter(Arc::clone(&file)))
        .with_ansi(false)
        .with_target(false)
        .try_init();
    Ok(())
}

/// A folder of our own under the user's runtime directory.
fn own_folder() -> PathBuf {
    std::env::var_os("XDG_RUNTIME_DIR")
        .map_or_else(std::env::temp_dir, PathBuf::from)
        .join(format!("offhook-sim-{}", std::process::id()))
}

fn sim_defaults() -> Config {
    let mut config = Config::default();
    let folder = own_folder();
    config.network.bind = IpAddr::V4(Ipv4Addr::LOCALHOST);
    config.network.sip_port = 5062;
    config.control.socket = folder.join("ctl.sock");
    config.control.state_dir = folder;
    config.dial.speed_dial = vec![("1".into(), "sip:echo@127.0.0.1:5072".into())];
    config
}

fn echo_defaults() -> Config {
    let mut config = Config::default();
    config.network.bind = IpAddr::V4(Ipv4Addr::LOCALHOST);
    config.network.sip_port = 5072;
    config.network.rtp_ports = (21_000, 21_099);
    "echo".clone_into(&mut config.phone.user);
    "Echo".clone_into(&mut config.phone.name);
    config
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let folder =
            std::env::temp_dir().join(format!("offhook-setup-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[test]
    fn a_good_file_is_kept_and_serves_when_the_next_is_bad() {
        use std::os::unix::fs::PermissionsExt;
        let folder = folder("keep");
        let file = folder.join("offhook.toml");
        let state = folder.join("state");
        let text = |country: &str| {
            format!(
                "[phone]\ncountry = \"{country}\"\n[control]\nstate_dir = \"{}\"\n",
                state.display()
            )
        };
        fs::write(&file, text("fr")).unwrap();
        let (config, note) = load(Some(file.clone())).unwrap();
        assert_eq!((config.phone.country.as_str(), note), ("fr", None));
        let kept = state.join(crate::provision::LAST_GOOD);
        assert_eq!(
            fs::metadata(&kept).unwrap().permissions().mode() & 0o777,
            0o600
        );

        fs::write(&file, text("nowhere")).unwrap();
        let (config, note) = load(Some(file.clone())).unwrap();
        assert_eq!(config.phone.country, "fr");
        let note = note.unwrap();
        assert!(note.contains("last good") && note.contains(":2:"), "{note}");
        assert_eq!(fs::read_to_string(&kept).unwrap(), text("fr"));
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_named_file_that_is_not_there_is_an_error() {
        let error = load(Some("/nowhere/offhook.toml".into())).unwrap_err();
        assert!(
            error.contains("/nowhere/offhook.toml") && error.contains(';'),
            "{error}"
        );
    }

    #[test]
    fn the_built_in_phones_can_call_each_other() {
        let (sim, echo) = (sim_defaults(), echo_defaults());
        let target = format!(
            "sip:{}@{}:{}",
            echo.phone.user, echo.network.bind, echo.network.sip_port
        );
        assert_eq!(sim.dial.speed_dial, [("1".to_owned(), target)]);
        for config in [&sim, &echo] {
            assert_ne!(config.call.direct, Some(false));
            assert!(config.accounts.is_empty() && config.call.direct_from.is_empty());
        }
    }
}
