//! From a command to a running phone: configuration, log, board, card.
//!
//! ```text
//! offhook.toml ─▶ provision::load ─▶ Config, note for status ─▶ DriverSetup ─▶ driver::run
//! ```

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use board::display::Panel;
use board::{Board, Profile};
use config::Config;
use control::DisplaySettings;
use control::readable::OneLineWriter;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::appliance::{Appliance, Ending};
use crate::bundle::log::Tee;
use crate::card_source::{CardSource, further_cards};
use crate::confine::broker::Broker;
use crate::confine::{self, Reach};
use crate::driver::{self, DriverSetup};
use crate::hardware::{audio_request, override_profile, overrides};
use crate::provision::ConfigPaths;
use crate::run_dir::SELF_TEST;
use crate::setup_error::SetupError;
use crate::storage::{Files, reset};

#[cfg(feature = "tools")]
pub(crate) mod tools;

/// What stands in [`SELF_TEST`] where the search for what is wired is wanted.
const WIRING: &str = "wiring";

/// `offhook run`. With a broker the phone gives up every right it does not need.
pub(crate) fn run(paths: &ConfigPaths, broker: Option<Broker>) -> Result<Ending, SetupError> {
    let broker = broker.map(Arc::new);
    if broker.is_some() {
        let config = crate::provision::load(paths, false)?.config;
        let flag = self_test_flag(&config);
        let wanted = std::fs::read_to_string(&flag).ok();
        if let Some(wanted) = wanted.filter(|_| std::fs::remove_file(&flag).is_ok()) {
            self_test(&config, wanted == WIRING, paths.card.as_deref());
        }
    }
    loop {
        let ending = run_once(paths, broker.as_ref())?;
        let wiring = match ending {
            Ending::SelfTest => false,
            Ending::Wiring => true,
            Ending::Quit | Ending::Restart | Ending::Reboot => return Ok(ending),
        };
        let config = crate::provision::load(paths, false)?.config;
        if let Some(broker) = &broker {
            // It opens devices, which a confined process cannot: the next process does it.
            let wanted = if wiring { WIRING } else { "" };
            let flag = self_test_flag(&config);
            if let Err(error) = broker.write_atomic(&flag, wanted.as_bytes()) {
                tracing::error!("self-test: {error}");
            }
            return Ok(Ending::Restart);
        }
        self_test(&config, wiring, paths.card.as_deref());
    }
}

fn self_test_flag(config: &Config) -> PathBuf {
    let run_dir = config.control.socket.parent().unwrap_or(Path::new("/run"));
    run_dir.join(SELF_TEST)
}

/// The phone comes back whatever the self-test found.
fn self_test(config: &Config, wiring: bool, card: Option<&Path>) {
    let (what, outcome) = if wiring {
        ("wiring", crate::selftest::wiring::run_by_key(config, card))
    } else {
        ("self-test", crate::selftest::run(config))
    };
    match outcome {
        Ok(true) => tracing::info!("{what}: all is well"),
        Ok(false) => tracing::info!("{what}: something does not work"),
        Err(error) => tracing::error!("{what}: {error}"),
    }
}

fn run_once(paths: &ConfigPaths, broker: Option<&Arc<Broker>>) -> Result<Ending, SetupError> {
    if let Some(card) = paths.card.as_deref().filter(|card| reset::is_asked(card)) {
        let state_dir = crate::provision::state_dir(paths)?;
        match reset::factory_reset(&state_dir, Some(card)) {
            Ok(()) => return Ok(Ending::Reboot),
            // A card that cannot be written is no reason to have no dial tone.
            Err(error) => {
                let text = format!("offhook: factory reset: {error}; can the card be written?");
                let _ = writeln!(io::stderr(), "{text}");
            }
        }
    }
    let provisioned = crate::provision::load(paths, true)?;
    log_to_stderr(&provisioned.config);
    let key = provisioned.config.tls.key.clone();
    for warning in
        crate::secrets::guard(&provisioned.config.control.state_dir, &Vec::from_iter(key))
    {
        tracing::warn!("{warning}");
    }
    let note = provisioned.note();
    if let Some(note) = &note {
        for line in note.lines() {
            tracing::error!("{line}");
        }
    }
    let mut setup = whole_phone(provisioned.config.clone(), note, paths.card.is_some())?;
    let reach = Reach::of(paths, &setup.config);
    setup.appliance = Some(Appliance {
        paths: paths.clone(),
        provisioned,
    });
    let Some(broker) = broker else {
        return Ok(driver::run(setup)?);
    };
    // Where phone and image meet belongs to root: what the phone does there is done before, or
    // by the broker.
    let socket = &setup.config.control.socket;
    setup.bound_socket = crate::ctl::bind(socket).ok();
    if let Some(run_dir) = socket.parent()
        && let Err(error) = broker.name_run_dir(run_dir)
    {
        tracing::error!("{}: {error}", run_dir.display());
    }
    let user = broker.user();
    if user.is_none() {
        tracing::warn!("there is no user offhook: the phone stays what it is, without its rights");
    }
    match confine::enter(&reach, user) {
        Ok(true) => {}
        Ok(false) => tracing::warn!("this kernel has no Landlock: files are not confined"),
        // A phone that is less safe than it could be is still a phone.
        Err(error) => tracing::error!("not confined: {error}"),
    }
    let files: Arc<dyn Files> = Arc::<Broker>::clone(broker);
    Ok(driver::run_with(setup, files)?)
}

/// `offhook selftest`.
pub(crate) fn selftest(paths: &ConfigPaths, wiring: bool) -> Result<bool, SetupError> {
    let provisioned = crate::provision::load(paths, false)?;
    log_to_stderr(&provisioned.config);
    if wiring {
        let card = paths.card.as_deref();
        return Ok(crate::selftest::wiring::run(&provisioned.config, card)?);
    }
    Ok(crate::selftest::run(&provisioned.config)?)
}

/// A phone on the board its configuration names. An appliance, which somebody far away must be able
/// to correct, makes do with what is right of the board's description.
pub(crate) fn whole_phone(
    config: Config,
    config_note: Option<String>,
    appliance: bool,
) -> Result<DriverSetup, SetupError> {
    let (folder, name) = (&config.board.profile_dir, &config.board.profile);
    let overrides = overrides(&config);
    let (mut profile, faults) = if appliance {
        Profile::load_usable_over(folder, name, &overrides)
    } else {
        (Profile::load_over(folder, name, &overrides)?, Vec::new())
    };
    let mut board_faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
    match override_profile(&config, &mut profile) {
        Ok(()) => {}
        Err(error) if appliance => board_faults.push(format!("[board] ringer: {error}")),
        Err(error) => return Err(error.into()),
    }
    for fault in &board_faults {
        tracing::error!("{fault}; the phone goes on without that part");
    }
    let board = Board::open(&profile, Instant::now())?;
    let request = audio_request(&config, &profile);
    let further_cards = further_cards(&config, &request);
    let display = open_display(&profile, &mut board_faults);
    Ok(DriverSetup {
        card: CardSource::Board(request, profile.audio.mixer.clone()),
        further_cards,
        board: Some(board),
        display,
        socket: Some(config.control.socket.clone()),
        bound_socket: None,
        config_note,
        board_faults,
        appliance: None,
        config,
    })
}

/// The display of a board. One that cannot be had is reported, and the phone goes on.
fn open_display(
    profile: &Profile,
    faults: &mut Vec<String>,
) -> Option<(Box<dyn Panel>, DisplaySettings)> {
    let described = profile.display.as_ref()?;
    let settings = DisplaySettings {
        dim_after: described.dim_after(),
        off_after: described.off_after(),
    };
    match board::display::open(described) {
        Ok(panel) => Some((panel, settings)),
        Err(fault) => {
            tracing::error!("{fault}; the phone goes on without it");
            faults.push(fault.to_string());
            None
        }
    }
}

fn log_to_stderr(config: &Config) {
    start_log(config, || OneLineWriter(Tee));
}

/// Writes what `phone.log` selects to `writer`, for the whole process.
fn start_log<W>(config: &Config, writer: W)
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    // The loader has checked the filter; a default that is none would still log something.
    let filter = config
        .phone
        .log
        .parse()
        .unwrap_or_else(|_| Targets::new().with_default(LevelFilter::INFO));
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(writer)
        .with_ansi(false)
        .with_target(false);
    // A second call in one process (tests) keeps the first log.
    let _ = tracing_subscriber::registry()
        .with(filter)
        .with(lines)
        .try_init();
}
