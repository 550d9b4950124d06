//! From the files a phone finds to the configuration it runs by; and from that to the files of the
//! system around it.
//!
//! ```text
//! board/NAME/offhook.toml ─┐
//! state_dir/network.toml ──┼─▶ gather ─▶ config::store::decide ─▶ Provisioned ─▶ setup, driver      `offhook run`
//! card/offhook.toml ───────┤                                          └──▶ emit ─▶ the system's files   `offhook provision`
//! state_dir/last-good.toml ┘◀── keep, once the phone runs (0600, whole or not at all)
//! ```
//!
//! Precedence itself is made in `config`; here is only where the texts lie.

mod download;
mod emit;
pub(crate) mod keyed;
pub(crate) mod keypad;
mod offer;
pub(crate) mod origin;
pub(crate) mod pace;
pub(crate) mod schedule;
#[cfg(test)]
mod tests;
pub(crate) mod trial;

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use board::files;
use config::schema::Secret;
use config::store::{Source, Texts};
use config::{Config, Errors, Layer};

use crate::net::fetch::FetchError;
use crate::storage::{CONFIG_FILE, DiskAtStart, LAST_GOOD, NETWORK};
pub(crate) use download::download;
pub(crate) use emit::emit;
use trial::TrialState;

/// Where the configuration lies when the command line does not say.
const CONFIG: &str = "/etc/offhook/offhook.toml";
/// How the fetched layer is called in errors.
pub(crate) const NETWORK_NAME: &str = "network configuration";
/// How the last good text is called in errors.
const LAST_GOOD_NAME: &str = "last good configuration";
/// Most bytes read of a layer.
const MAX_BYTES: u64 = config::MAX_BYTES as u64;

/// Where the command line says the configuration is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ConfigPaths {
    /// `--config FILE`
    pub(crate) config: Option<PathBuf>,
    /// `--card DIR`
    pub(crate) card: Option<PathBuf>,
    /// `--board NAME`
    pub(crate) board: Option<String>,
}

impl ConfigPaths {
    /// Where the configuration lies: files it names without a whole path are beside it.
    pub(crate) fn folder(&self) -> PathBuf {
        match (&self.config, &self.card) {
            (Some(file), _) => file.parent().unwrap_or(Path::new(".")).to_owned(),
            (None, Some(card)) => card.clone(),
            (None, None) => Path::new(CONFIG)
                .parent()
                .unwrap_or(Path::new("/"))
                .to_owned(),
        }
    }

    /// The certificates a provisioning server is judged by, wherever the configuration says they
    /// are; `None`: the system's.
    pub(crate) fn authority(&self, config: &Config) -> Option<PathBuf> {
        let file = config.provision.ca.as_ref().or(config.tls.ca.as_ref())?;
        Some(self.folder().join(file))
    }
}

/// Why there is no configuration, or why a command that depends on it failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProvisionError {
    /// The file that the command line names cannot be read.
    #[error("{name}: {source}; name a file that can be read")]
    Read { name: String, source: io::Error },
    /// The folder of the system's files cannot be written.
    #[error("{folder}: {source}; give --emit a folder whose parent can be written")]
    Emit { folder: PathBuf, source: io::Error },
    /// A fetched file cannot be stored.
    #[error("{path}: {source}; name a file in a folder that can be written")]
    Store { path: PathBuf, source: io::Error },
    /// Nothing was fetched.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The system has no more of something.
    #[error("the download cannot start: {0}")]
    System(io::Error),
}

/// A configuration, and what `status` and the log say about it.
#[derive(Debug, Clone)]
pub(crate) struct Provisioned {
    /// What the phone runs by.
    pub(crate) config: Config,
    /// Where it comes from.
    pub(crate) source: Source,
    /// What the network said is part of it.
    pub(crate) network: bool,
    /// Everything wrong.
    pub(crate) errors: Option<Errors>,
    /// One line.
    pub(crate) report: String,
    /// Whether what the network said has proved itself.
    pub(crate) standing: TrialState,
    /// The card's text where it is good and new: the phone writes it as the last good one.
    pub(crate) keep: Option<Secret>,
}

impl Provisioned {
    /// For `status` and the log; `None` when all is as the file says.
    pub(crate) fn note(&self) -> Option<String> {
        match (&self.errors, self.source) {
            (None, Source::File) => None,
            (Some(errors), _) => Some(format!("{}\n{errors}", self.report)),
            (None, Source::LastGood | Source::Defaults) => Some(self.report.clone()),
        }
    }

    /// The code a phone blinks and beeps: 1 the last good configuration is in use, 2 the defaults
    /// are, 3 what the network or the board says is not used. `None`: nothing is wrong.
    pub(crate) fn config_fault(&self) -> Option<u8> {
        self.errors.as_ref()?;
        Some(match self.source {
            Source::LastGood => 1,
            Source::Defaults => 2,
            Source::File => 3,
        })
    }
}

/// Everything found.
struct FoundLayers {
    file: PathBuf,
    name: String,
    card: Option<Vec<u8>>,
    board: Option<(String, Vec<u8>)>,
    network: Option<Vec<u8>>,
    last_good: Option<Vec<u8>>,
    /// Files that are there and cannot be read.
    unreadable: Vec<config::Error>,
    state_dir: PathBuf,
}

/// Reads every layer.
fn gather(paths: &ConfigPaths) -> Result<FoundLayers, ProvisionError> {
    let file = match (&paths.config, &paths.card) {
        (Some(file), _) => file.clone(),
        (None, Some(card)) => card.join(CONFIG_FILE),
        (None, None) => CONFIG.into(),
    };
    let name = match (&paths.config, &paths.card) {
        // A person with the card in hand knows no mount points.
        (None, Some(_)) => CONFIG_FILE.to_owned(),
        (Some(_), _) | (None, None) => file.display().to_string(),
    };
    let mut unreadable = Vec::new();
    let card = match files::read_in_time(&file, MAX_BYTES) {
        Ok(bytes) => Some(bytes),
        Err(source) if paths.config.is_some() => return Err(ProvisionError::Read { name, source }),
        Err(error) => {
            unreadable.extend(fault(&name, &error));
            None
        }
    };
    let card = card.map(|bytes| {
        let state_dir = config::store::state_dir(&bytes);
        crate::secrets::restore(bytes, &state_dir)
    });
    let mut layer = |path: &Path, name: &str| match files::read_in_time(path, MAX_BYTES) {
        Ok(bytes) => Some(bytes),
        Err(error) => {
            unreadable.extend(fault(name, &error));
            None
        }
    };
    // Where things are kept is itself configured; a bad file's word for it is taken only for the
    // state directory.
    let alone = card
        .as_deref()
        .and_then(|bytes| config::load_bytes(bytes, &name).ok());
    let state_dir = alone.as_ref().map_or_else(
        || config::store::state_dir(card.as_deref().unwrap_or_default()),
        |config| config.control.state_dir.clone(),
    );
    let alone = alone.unwrap_or_default();
    let profile = paths.board.clone().unwrap_or(alone.board.profile);
    let board = alone.board.profile_dir.join(&profile).join(CONFIG_FILE);
    let board_name = board.display().to_string();
    let wanted = alone.provision.dhcp
        || alone.provision.mdns
        || alone.provision.url.is_some()
        || keyed::KeyedServer::read(&state_dir.join(keyed::FILE)).is_some();
    Ok(FoundLayers {
        board: layer(&board, &board_name).map(|bytes| (board_name, bytes)),
        // What was fetched counts as long as fetching is wanted.
        network: layer(&state_dir.join(NETWORK), NETWORK_NAME).filter(|_| wanted),
        last_good: layer(&state_dir.join(LAST_GOOD), LAST_GOOD_NAME),
        unreadable,
        file,
        name,
        card,
        state_dir,
    })
}

/// What is said about a file that is there and cannot be read.
fn fault(name: &str, error: &io::Error) -> Option<config::Error> {
    (error.kind() != io::ErrorKind::NotFound).then(|| config::Error {
        file: name.to_owned(),
        line: 1,
        column: 1,
        what: format!("the file cannot be read: {error}"),
        help: "put an ordinary file of this name there, or remove what is there".to_owned(),
    })
}

/// Decides what to run by. With `keep`, a new good text is to become the last good one, a trial
/// begins or ends, and secrets move off the card.
pub(crate) fn load(paths: &ConfigPaths, keep: bool) -> Result<Provisioned, ProvisionError> {
    let mut found = gather(paths)?;
    let mut standing = TrialState::Accepted;
    if keep {
        let store = trial::Store::new(&found.state_dir);
        standing = store.begin(&DiskAtStart).unwrap_or_else(|error| {
            warn(&format!(
                "{}: {error}; a configuration from the network stays on trial",
                found.state_dir.display()
            ));
            TrialState::OnTrial
        });
        if matches!(standing, TrialState::Reverted(_)) {
            found = gather(paths)?;
        }
    }
    let layer = |name, bytes| Layer {
        name,
        bytes,
        remote: false,
    };
    let decision = config::store::decide(Texts {
        board: found
            .board
            .as_ref()
            .map(|(name, bytes)| layer(name.as_str(), bytes.as_slice())),
        network: found.network.as_deref().map(|bytes| Layer {
            name: NETWORK_NAME,
            bytes,
            remote: true,
        }),
        card: found
            .card
            .as_deref()
            .map(|bytes| layer(found.name.as_str(), bytes)),
        last_good: found.last_good.as_deref(),
    });
    for warning in decision.warnings.iter().filter(|_| keep) {
        warn(&warning.to_string());
    }
    let mut config = decision.config;
    let beside = found.file.parent().unwrap_or(Path::new("."));
    apply_machine(&mut config, found.state_dir, beside, paths);
    let mut report = decision.report;
    if decision.source == Source::LastGood && !config.system.ssh_keys.is_empty() {
        // The phone itself writes that file, and whoever has taken it over: root takes who may log
        // in from the card alone.
        config.system.ssh_keys.clear();
        report.push_str("; SSH keys count on the card alone");
    }
    if found
        .unreadable
        .iter()
        .any(|error| error.file == found.name)
    {
        report = report.replacen(
            &format!("there is no {}", found.name),
            &format!("{} cannot be read", found.name),
            1,
        );
    }
    let mut errors = found.unreadable;
    errors.extend(decision.errors.map_or_else(Vec::new, |errors| errors.0));
    if decision.source == Source::File
        && let Some(missing) = found.card.as_deref().and_then(|bytes| {
            crate::secrets::missing_files(bytes, &found.name, beside, &config.control.state_dir)
        })
    {
        errors.extend(missing.0);
    }
    errors.truncate(config::MAX_ERRORS);
    let errors = (!errors.is_empty()).then_some(Errors(errors));
    if keep && decision.source == Source::File && config.security.move_secrets {
        match crate::secrets::move_off(&found.file, &config.control.state_dir, &DiskAtStart) {
            Ok(true) => warn(&format!(
                "{}: its passwords are in {} now",
                found.name,
                config.control.state_dir.display()
            )),
            Ok(false) => {}
            Err(error) => warn(&format!(
                "{}: {error}; its passwords stay where they are (security.move_secrets)",
                found.name
            )),
        }
        let state_dir = config.control.state_dir.clone();
        match crate::secrets::move_key(&mut config.tls, beside, &state_dir, &DiskAtStart) {
            Ok(true) => warn(&format!(
                "the private key tls.key names is in {} now",
                state_dir.display()
            )),
            Ok(false) => {}
            Err(error) => warn(&format!(
                "tls.key: {error}; the key stays where it is (security.move_secrets)"
            )),
        }
    }
    Ok(Provisioned {
        config,
        source: decision.source,
        network: decision.network,
        errors,
        report,
        standing,
        keep: decision.keep.filter(|_| keep),
    })
}

/// What the phone would run by with this text from the network; the error is why it cannot be used
/// with what else there is.
pub(crate) fn evaluate(paths: &ConfigPaths, network: &[u8]) -> Result<Config, Errors> {
    let remote = Layer {
        name: NETWORK_NAME,
        bytes: network,
        remote: true,
    };
    let Ok(found) = gather(paths) else {
        return config::load_layers(&[remote]);
    };
    let layer = |name, bytes| Layer {
        name,
        bytes,
        remote: false,
    };
    // A bad card is not the network's fault: the last good one stands in for it, as it does in the
    // phone.
    let good = |bytes: &&[u8]| config::load_bytes(bytes, &found.name).is_ok();
    let top = found
        .card
        .as_deref()
        .filter(good)
        .or(found.last_good.as_deref().filter(good));
    let layers: Vec<Layer<'_>> = [
        found
            .board
            .as_ref()
            .map(|(name, bytes)| layer(name.as_str(), bytes.as_slice())),
        Some(remote),
        top.map(|bytes| layer(found.name.as_str(), bytes)),
    ]
    .into_iter()
    .flatten()
    .collect();
    let mut config = config::load_layers(&layers)?;
    let beside = found.file.parent().unwrap_or(Path::new("."));
    apply_machine(&mut config, found.state_dir, beside, paths);
    Ok(config)
}

/// What the machine itself determines, whatever the texts say.
fn apply_machine(config: &mut Config, state_dir: PathBuf, beside: &Path, paths: &ConfigPaths) {
    crate::secrets::resolve(config, beside, &state_dir);
    config.control.state_dir = state_dir;
    if let Some(profile) = &paths.board {
        config.board.profile.clone_from(profile);
    }
}

/// Before there is a log.
fn warn(text: &str) {
    let _ = writeln!(io::stderr(), "offhook: {text}");
}

/// Where things are kept, as far as the configuration can be read.
pub(crate) fn state_dir(paths: &ConfigPaths) -> Result<PathBuf, ProvisionError> {
    gather(paths).map(|found| found.state_dir)
}

/// `offhook provision`: the system's files, for what the phone would run by.
pub(crate) fn provision(paths: &ConfigPaths, folder: &Path) -> Result<(), ProvisionError> {
    let provisioned = load(paths, false)?;
    if let Some(note) = provisioned.note() {
        let _ = writeln!(io::stderr(), "offhook: {note}");
    }
    emit(&provisioned.config, folder).map_err(|source| ProvisionError::Emit {
        folder: folder.to_owned(),
        source,
    })
}

/// Where updates come from: `update.url` with the board's name in it.
pub(crate) fn update_url(config: &Config) -> Option<String> {
    let url = config.update.url.as_ref()?;
    Some(url.replace("{board}", &config.board.profile))
}
