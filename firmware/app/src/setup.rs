//! From a command to a running phone: configuration, log, board, card.
//!
//! ```text
//! offhook.toml ─▶ read ─▶ config::store::decide ─▶ Config, what to tell ─▶ Setup ─▶ driver::run
//!                           ▲ last-good.toml (kept, 0600, fsync)
//! ```

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::Instant;

use board::audio::AudioRequest;
use board::{Board, Profile};
use config::Config;
use tracing_subscriber::EnvFilter;

use crate::cli::EchoOptions;
use crate::driver::{self, CardSource, Setup};

/// Where the configuration lies when nobody says otherwise.
const CONFIG: &str = "/etc/offhook/offhook.toml";
/// The last good configuration, in the state directory.
const LAST_GOOD: &str = "last-good.toml";

/// `offhook run`.
pub(crate) fn run(file: Option<PathBuf>, board: Option<String>) -> Result<(), String> {
    let (mut config, note) = load(file)?;
    if let Some(profile) = board {
        config.board.profile = profile;
    }
    log_to_stderr(&config);
    if let Some(note) = &note {
        tracing::error!("{note}");
    }
    start(config, note)
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
        start(config, note)?;
        return Ok(ExitCode::SUCCESS);
    }
    let log = config.control.state_dir.join("sim.log");
    log_to_file(&config, &log)?;
    crate::panel::run(config, note, &log)
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
    let socket = options
        .socket
        .clone()
        .or_else(|| options.config.as_ref().map(|_| config.control.socket.clone()));
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
        config,
    })
    .map_err(|error| error.to_string())
}

fn start(config: Config, note: Option<String>) -> Result<(), String> {
    let setup = whole_phone(config, note)?;
    driver::run(setup).map_err(|error| error.to_string())
}

/// A phone on the board its configuration names.
pub(crate) fn whole_phone(config: Config, config_note: Option<String>) -> Result<Setup, String> {
    let profile = Profile::load(&config.board.profile_dir, &config.board.profile).map_err(|error| error.to_string())?;
    let board = Board::open(&profile, Instant::now()).map_err(|error| error.to_string())?;
    let audio = &config.board.audio;
    let request = AudioRequest {
        capture: audio.capture.clone().unwrap_or(profile.audio.capture),
        playback: audio.playback.clone().unwrap_or(profile.audio.playback),
        rate_hz: audio.rate_hz.unwrap_or(profile.audio.rate_hz),
        period_ms: audio.period_ms.unwrap_or(profile.audio.period_ms),
        periods: profile.audio.periods,
    };
    for wrong in board::audio::set_mixer(&request.playback, &profile.audio.mixer) {
        tracing::warn!("{wrong}");
    }
    Ok(Setup {
        card: CardSource::Board(request),
        board: Some(board),
        socket: Some(config.control.socket.clone()),
        config_note,
        config,
    })
}

/// Reads the configuration, or the last good one, and keeps a good one.
fn load(file: Option<PathBuf>) -> Result<(Config, Option<String>), String> {
    let named = file.is_some();
    let file = file.unwrap_or_else(|| CONFIG.into());
    let name = file.display().to_string();
    let found = match fs::read(&file) {
        Ok(bytes) => Some(bytes),
        Err(error) if named => return Err(format!("{name}: {error}; name a file that can be read")),
        Err(_) => None,
    };
    // Where the last good one is kept is itself configured; a bad file's word for it is not taken.
    let state_dir = found
        .as_deref()
        .and_then(|bytes| config::load_bytes(bytes, &name).ok())
        .map_or_else(|| state_dir_of(found.as_deref()), |config| config.control.state_dir);
    let kept = state_dir.join(LAST_GOOD);
    let last_good = fs::read(&kept).ok();
    let decision = config::store::decide(found.as_deref(), &name, last_good.as_deref());
    if let Some(keep) = &decision.keep
        && let Err(error) = keep_safely(&kept, keep.0.as_bytes())
    {
        let _ = writeln!(
            io::stderr(),
            "offhook: {}: {error}; the last good configuration is not kept",
            kept.display()
        );
    }
    let note = match decision.source {
        config::store::Source::File => None,
        config::store::Source::LastGood | config::store::Source::Defaults => Some(match &decision.errors {
            Some(errors) => format!("{}\n{errors}", decision.report),
            None => decision.report.clone(),
        }),
    };
    Ok((decision.config, note))
}

/// The state directory a broken file names, where that much of it can be read; else the default.
fn state_dir_of(found: Option<&[u8]>) -> PathBuf {
    let default = Config::default().control.state_dir;
    let Some(text) = found.and_then(|bytes| std::str::from_utf8(bytes).ok()) else {
        return default;
    };
    text.lines()
        .map(str::trim)
        .filter_map(|line| line.strip_prefix("state_dir"))
        .filter_map(|rest| rest.trim_start().strip_prefix('='))
        .map(|value| value.trim().trim_matches('"'))
        .find(|value| value.starts_with('/'))
        .map_or(default, PathBuf::from)
}

/// Whole or not at all, through power cuts: written beside, synced, renamed, the folder synced. It holds passwords: 0600.
pub(crate) fn keep_safely(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    if !folder.exists() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let beside = path.with_extension("new");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    File::open(folder)?.sync_all()
}

fn log_to_stderr(config: &Config) {
    // A second call in one process (tests) keeps the first log.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(&config.phone.log))
        .with_writer(io::stderr)
        .with_ansi(false)
        .with_target(false)
        .try_init();
}

fn log_to_file(config: &Config, path: &Path) -> Result<(), String> {
    let wrong = |error: io::Error| format!("{}: {error}; set control.state_dir to a folder this user may write", path.display());
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(wrong)?;
    let file = File::create(path).map_err(wrong)?;
    let _ = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(&config.phone.log))
        .with_writer(Mutex::new(file))
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
        let folder = std::env::temp_dir().join(format!("offhook-setup-{}-{name}", std::process::id()));
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
        let text = |country: &str| format!("[phone]\ncountry = \"{country}\"\n[control]\nstate_dir = \"{}\"\n", state.display());
        fs::write(&file, text("fr")).unwrap();
        let (config, note) = load(Some(file.clone())).unwrap();
        assert_eq!((config.phone.country.as_str(), note), ("fr", None));
        let kept = state.join(LAST_GOOD);
        assert_eq!(fs::metadata(&kept).unwrap().permissions().mode() & 0o777, 0o600);

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
        assert!(error.contains("/nowhere/offhook.toml") && error.contains(';'), "{error}");
    }

    #[test]
    fn the_built_in_phones_can_call_each_other() {
        let (sim, echo) = (sim_defaults(), echo_defaults());
        let target = format!("sip:{}@{}:{}", echo.phone.user, echo.network.bind, echo.network.sip_port);
        assert_eq!(sim.dial.speed_dial, [("1".to_owned(), target)]);
        assert!(sim.call.direct && echo.call.direct);
    }
}
