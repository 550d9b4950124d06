//! The phones of developers: on a terminal (`sim`), and one that answers by itself (`echo`).

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use board::Profile;
use config::Config;
use config::schema::Hardware;
use control::readable::OneLineWriter;

use super::{log_to_stderr, start_log, whole_phone};
use crate::card_source::CardSource;
use crate::driver::{self, DriverSetup};
use crate::hardware::{override_profile, overrides};
use crate::panel::PanelError;
use crate::provision::ConfigPaths;
use crate::setup_error::SetupError;
use crate::storage::{DiskAtStart, Files as _, LAST_GOOD};

/// `offhook sim`.
pub(crate) fn sim(file: Option<PathBuf>, headless: bool) -> Result<(), PanelError> {
    let (mut config, note) = match file {
        Some(file) => load(Some(file))?,
        None => (sim_defaults(), None),
    };
    "sim".clone_into(&mut config.board.profile);
    forget_wiring(&mut config);
    if headless {
        log_to_stderr(&config);
        let setup = whole_phone(config, note, false)?;
        driver::run(setup).map_err(SetupError::from)?;
        return Ok(());
    }
    let log = config.control.state_dir.join("sim.log");
    log_to_file(&config, &log)?;
    crate::panel::run(config, &log, move |config| {
        let setup = whole_phone(config, note, false)?;
        driver::run(setup)?;
        Ok(())
    })
}

/// The wiring of a phone may not fit the simulated board, and need not.
fn forget_wiring(config: &mut Config) {
    let folder = &config.board.profile_dir;
    let profile = Profile::load_over(folder, "sim", &overrides(config));
    let fits = profile.is_ok_and(|mut profile| override_profile(config, &mut profile).is_ok());
    if !fits {
        config.hardware = Hardware::default();
        config.board.ringer = None;
    }
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
pub(crate) fn echo(options: &EchoOptions) -> Result<(), SetupError> {
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
    driver::run(DriverSetup {
        further_cards: Vec::new(),
        card,
        board: None,
        display: None,
        socket,
        bound_socket: None,
        config_note: note,
        board_faults: Vec::new(),
        appliance: None,
        config,
    })?;
    Ok(())
}

/// Reads the configuration of a phone that is no appliance.
fn load(file: Option<PathBuf>) -> Result<(Config, Option<String>), SetupError> {
    let paths = ConfigPaths {
        config: file,
        ..ConfigPaths::default()
    };
    let provisioned = crate::provision::load(&paths, false)?;
    if provisioned.config.control == Config::default().control {
        // The file of a phone, tried on somebody's computer: its folders are those of an image,
        // which only root may write.
        let note = provisioned.note();
        let mut config = provisioned.config;
        config.control.state_dir = own_folder();
        config.control.socket = config.control.state_dir.join("ctl.sock");
        return Ok((config, note));
    }
    let provisioned = crate::provision::load(&paths, true)?;
    let note = provisioned.note();
    let config = provisioned.config;
    if let Some(text) = &provisioned.keep {
        let kept = config.control.state_dir.join(LAST_GOOD);
        if let Err(error) = DiskAtStart.write_atomic(&kept, text.0.as_bytes()) {
            let _ = writeln!(io::stderr(), "offhook: {}: {error}", kept.display());
        }
    }
    Ok((config, note))
}

fn log_to_file(config: &Config, path: &Path) -> Result<(), PanelError> {
    let wrong = |source| PanelError::Log {
        path: path.to_owned(),
        source,
    };
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(wrong)?;
    let file = Arc::new(File::create(path).map_err(wrong)?);
    start_log(config, move || OneLineWriter(Arc::clone(&file)));
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
    use testkit::process::TestDir;

    use super::*;

    #[test]
    fn a_good_file_is_kept_and_serves_when_the_next_is_bad() {
        use std::os::unix::fs::PermissionsExt;
        let folder = TestDir::new("setup-keep");
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
        let kept = state.join(LAST_GOOD);
        assert_eq!(
            fs::metadata(&kept).unwrap().permissions().mode() & 0o777,
            0o600
        );

        fs::write(&file, text("nowhere")).unwrap();
        let (config, note) = load(Some(file.clone())).unwrap();
        assert_eq!(config.phone.country.as_str(), "fr");
        let note = note.unwrap();
        assert!(note.contains("last good") && note.contains(":2:"), "{note}");
        assert_eq!(fs::read_to_string(&kept).unwrap(), text("fr"));
    }

    #[test]
    fn the_wiring_of_a_phone_does_not_stop_the_simulated_one() {
        let text = "[board]\nprofile = \"rpi4\"\nringer = \"buzzer\"\n[hardware.hook]\nline = 23\n\
                    fitted = false\n";
        let mut config = config::load(text, "offhook.toml").unwrap();
        forget_wiring(&mut config);
        let mut profile =
            Profile::load_over(&config.board.profile_dir, "sim", &overrides(&config)).unwrap();
        override_profile(&config, &mut profile).unwrap();
    }

    #[test]
    fn the_file_of_a_phone_runs_in_a_folder_of_the_users_own() {
        let folder = TestDir::new("setup-own");
        let file = folder.join("offhook.toml");
        fs::write(&file, "[phone]\ncountry = \"fr\"\n").unwrap();
        let (config, note) = load(Some(file)).unwrap();
        assert_eq!((config.phone.country.as_str(), note), ("fr", None));
        assert_eq!(config.control.state_dir, own_folder());
        assert!(config.control.socket.starts_with(own_folder()));
    }

    #[test]
    fn a_named_file_that_is_not_there_is_an_error() {
        let error = load(Some("/nowhere/offhook.toml".into()))
            .unwrap_err()
            .to_string();
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
