//! A configuration from the network: requested when `Schedule` says, checked together with
//! everything else there is, stored, and put in use when no one uses the phone.
//!
//! ```text
//! tick ─▶ Schedule ─▶ fetch (a task) ─▶ check, store (storage thread) ─▶ Outcome ─┬─ stored ─▶ idle? ─▶ Ending::Restart
//!                                                                                 └─ else: reported; what is in use stays
//! ```

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use board::files;
use tokio::sync::mpsc;

use super::event::DriverEvent;
use crate::appliance::Appliance;
use crate::net::fetch::{FetchError, FetchRequest, Fetched, FirstUse, Trust, fetch, shown};
use crate::net::mdns;
use crate::net::tls::Fingerprint;
use crate::provision::keyed::{self, KeyedServer};
use crate::provision::origin::Origin;
use crate::provision::pace::{self, Pace};
use crate::provision::schedule::Schedule;
use crate::provision::trial::{ORIGIN, Store, Trial, TrialState, TrialVerdict};
use crate::provision::{self, ConfigPaths};
use crate::storage::{NETWORK, Storage, StorageError};

/// Most bytes of a configuration.
const MAX_BYTES: u64 = 1024 * 1024;
/// In the run directory: what DHCP says.
const DHCP: &str = "dhcp";
/// Longest such file.
const MAX_DHCP: u64 = 4096;
/// The handset is down this long before the phone restarts: no one is about to lift it again.
const IDLE_BEFORE_RESTART: Duration = Duration::from_secs(2);

/// The outcome of one request for a configuration.
#[derive(Debug)]
pub(super) struct Outcome {
    url: String,
    result: Result<ServerAnswer, ProvisionError>,
    /// The certificate that a server showed which no one vouches for.
    seen: Option<Fingerprint>,
}

/// What the server has.
#[derive(Debug)]
enum ServerAnswer {
    /// Nothing newer than what is stored.
    Unchanged,
    /// This, stored now.
    Stored(Box<config::Config>, Origin),
}

/// Why the configuration in use stays as it is.
#[derive(Debug, thiserror::Error)]
enum ProvisionError {
    #[error("not fetched: {0}")]
    Fetch(#[from] FetchError),
    #[error("not taken, what was in use stays: {0}")]
    Refused(config::Errors),
    #[error("not taken, what was in use stays: this one was tried before, and {0}")]
    Tried(String),
    #[error("not stored: {0}")]
    Storage(#[from] StorageError),
}

impl ProvisionError {
    /// The server answered as it should.
    fn was_fetched(&self) -> bool {
        match self {
            Self::Fetch(_) => false,
            Self::Refused(_) | Self::Tried(_) | Self::Storage(_) => true,
        }
    }
}

/// The state of provisioning.
pub(super) struct Provisioning {
    config: config::Config,
    schedule: Schedule,
    /// `None`: this phone is no appliance and looks for nothing.
    paths: Option<ConfigPaths>,
    run_dir: PathBuf,
    storage: Storage,
    events: mpsc::Sender<DriverEvent>,
    /// Where what is stored is from.
    origin: Option<Origin>,
    /// For `status.txt`.
    summary: Option<String>,
    /// A new configuration is stored; the phone restarts once it is idle.
    restart_wanted: bool,
    /// The server that was keyed, where the configuration names none.
    keyed: Option<KeyedServer>,
    idle_since: Option<Instant>,
    /// How often configurations have changed of late.
    pace: Pace,
    /// The configuration in use has to prove itself.
    trial: Option<Trial>,
    /// Why a newer configuration is not in use.
    reverted: Option<String>,
}

impl Provisioning {
    /// Reads the origin of what is stored: to be made before the loop begins.
    pub(super) fn new(
        config: &config::Config,
        appliance: Option<&Appliance>,
        run_dir: PathBuf,
        (storage, events): (Storage, mpsc::Sender<DriverEvent>),
        now: Instant,
    ) -> Self {
        let in_use = appliance.is_some_and(|appliance| appliance.provisioned.network);
        let standing = appliance.map(|appliance| &appliance.provisioned.standing);
        let trial = (in_use && standing == Some(&TrialState::OnTrial)).then(|| Trial::new(now));
        let reverted = match standing {
            Some(TrialState::Reverted(why)) => Some(why.clone()),
            Some(TrialState::Accepted | TrialState::OnTrial) | None => None,
        };
        let mut summary = match &reverted {
            Some(why) => Some(reverted_text(why)),
            None => in_use.then(|| "a configuration fetched before is in use".to_owned()),
        };
        let mut schedule = Schedule::new(config.provision.clone(), now);
        let keyed = KeyedServer::read(&config.control.state_dir.join(keyed::FILE))
            .filter(|_| appliance.is_some() && config.provision.url.is_none());
        if let Some(keyed) = &keyed {
            schedule.set_keyed(keyed.url());
        }
        let pace = read_pace(&run_dir);
        if let Some(changes) = pace.excess() {
            let wait = pace.wait(since_boot());
            schedule.hold_until(now + wait);
            let held = format!(
                "the server had another configuration each of the last {changes} times: it is \
                 asked again in {} min; correct what the server sends",
                wait.as_secs().div_ceil(60)
            );
            tracing::warn!("configuration from the network: {held}");
            summary = Some(held);
        }
        Self {
            schedule,
            paths: appliance.map(|appliance| appliance.paths.clone()),
            run_dir,
            storage,
            events,
            origin: Origin::read(&config.control.state_dir.join(ORIGIN)),
            summary,
            pace,
            trial,
            reverted,
            keyed,
            restart_wanted: false,
            idle_since: None,
            config: config.clone(),
        }
    }

    /// The configuration in use.
    pub(super) fn config(&self) -> &config::Config {
        &self.config
    }

    /// The outcome of the last request, for `status.txt`.
    pub(super) fn summary(&self) -> Option<&str> {
        self.summary.as_deref()
    }

    /// Asks for a configuration at the next tick.
    pub(super) fn refresh(&mut self, now: Instant) {
        self.schedule.refresh(now);
    }

    /// A server was keyed: it is asked from now on. What is to be kept of it; none where the
    /// configuration names a server, or there is nothing to be set up.
    pub(super) fn handle_keyed(&mut self, url: &str, now: Instant) -> Option<String> {
        if self.paths.is_none() || self.config.provision.url.is_some() {
            return None;
        }
        tracing::info!("provisioning server keyed: {}", shown(url));
        self.schedule.handle_keyed(url, now);
        // Keyed again it is a new one: perhaps it has got another certificate.
        let keyed = self.keyed.insert(KeyedServer::new(url));
        Some(keyed.text())
    }

    /// The link was looked at.
    pub(super) fn handle_browsed(&mut self, url: Option<String>, now: Instant) {
        if let Some(url) = &url {
            tracing::info!("provisioning server of this network: {}", shown(url));
        }
        self.schedule.handle_browsed(url, now);
    }

    /// Looks for a server on the link, in a task of its own.
    fn browse(&self) {
        let events = self.events.clone();
        tokio::spawn(async move {
            let found = mdns::browse().await;
            // The driver is gone only when the phone is.
            let _ = events.send(DriverEvent::Browsed(found)).await;
        });
    }

    /// What DHCP says, where it differs.
    pub(super) fn read_dhcp(&mut self, now: Instant) {
        let text = files::read(&self.run_dir.join(DHCP), MAX_DHCP)
            .ok()
            .and_then(|text| String::from_utf8(text).ok());
        self.schedule.handle_dhcp(text, now);
    }

    /// Asks when it is time, judges what is on trial. `true`: the phone is to restart now. `bound`:
    /// the SIP port that the configuration names is open.
    pub(super) fn handle_tick(&mut self, idle: bool, bound: bool, now: Instant) -> bool {
        self.judge_trial(bound, now);
        let Some(paths) = &self.paths else {
            return false;
        };
        if self.schedule.is_browse_due(now) {
            self.browse();
        }
        match self.schedule.ask(|| mac(&self.config.link.interface), now) {
            None => {}
            Some(Err(error)) => {
                tracing::warn!("{error}");
                self.summary = Some(error.to_string());
            }
            Some(Ok(url)) => self.look(url, paths.clone()),
        }
        if !idle {
            self.idle_since = None;
            return false;
        }
        let since = *self.idle_since.get_or_insert(now);
        self.restart_wanted && now.saturating_duration_since(since) >= IDLE_BEFORE_RESTART
    }

    fn look(&self, url: String, paths: ConfigPaths) {
        let origin = self.origin.as_ref();
        let mut pace = self.pace;
        pace.handle_change(since_boot());
        let look = ConfigRequest {
            in_use: self.config.clone(),
            pace_file: self.run_dir.join(pace::FILE),
            pace,
            judge: self.judge(paths.authority(&self.config)),
            paths,
            state_dir: self.config.control.state_dir.clone(),
            request: FetchRequest {
                etag: origin.and_then(|origin| origin.etag_for(&url)),
                allow_http: self.config.provision.allow_http,
                max_bytes: MAX_BYTES,
                url: url.clone(),
            },
        };
        let (storage, events) = (self.storage.clone(), self.events.clone());
        tokio::spawn(async move {
            let judge = look.judge.clone();
            let result = look.run(&storage).await;
            let seen = match judge {
                Judge::FirstUse(known) => known.fingerprint(),
                Judge::Authority(_) => None,
            };
            let outcome = Box::new(Outcome { url, result, seen });
            // The driver is gone only when the phone is.
            let _ = events.send(DriverEvent::Configuration(outcome)).await;
        });
    }

    /// Who says that the server is the right one.
    fn judge(&self, authority: Option<PathBuf>) -> Judge {
        match &self.keyed {
            Some(keyed) if authority.is_none() => Judge::FirstUse(FirstUse::new(keyed.known())),
            Some(_) | None => Judge::Authority(authority),
        }
    }

    /// A configuration on trial is kept, or gives way to the one before.
    fn judge_trial(&mut self, bound: bool, now: Instant) {
        let Some(verdict) = self.trial.as_ref().and_then(|trial| trial.poll(bound, now)) else {
            return;
        };
        self.trial = None;
        let store = Store::new(&self.config.control.state_dir);
        let events = self.events.clone();
        match verdict {
            TrialVerdict::Good => {
                tracing::info!("the configuration from the network has proved itself");
                self.summary = self
                    .origin
                    .as_ref()
                    .map(|origin| format!("in use, from {}", shown(origin.url())));
            }
            TrialVerdict::Bad(why) => {
                tracing::error!("configuration from the network: {}", reverted_text(why));
                self.summary = Some(reverted_text(why));
            }
        }
        let judged = self.storage.run(move |disk| match verdict {
            TrialVerdict::Good => store.accept(),
            TrialVerdict::Bad(why) => store.revert(disk, why),
        });
        tokio::spawn(async move {
            let judged = judged.await;
            if let Err(error) = &judged {
                tracing::error!("the trial of the configuration is not recorded: {error}");
            }
            if verdict != TrialVerdict::Good {
                // The driver is gone only when the phone is.
                let _ = events.send(DriverEvent::Reverted).await;
            }
        });
    }

    /// The text before is in its place again: the phone runs by it after a restart.
    pub(super) fn handle_reverted(&mut self) {
        self.restart_wanted = true;
    }

    /// The phone ends in good order: that is not the fault of a configuration on trial.
    pub(super) fn forgive_trial(&self) {
        if self.trial.is_some() {
            let store = Store::new(&self.config.control.state_dir);
            drop(self.storage.run(move |disk| store.forgive(disk)));
        }
    }

    /// A request came to an end. `true`: the configuration has errors, which `status.txt` must
    /// list.
    pub(super) fn handle_outcome(&mut self, outcome: Outcome, now: Instant) -> bool {
        let shown = shown(&outcome.url);
        let fetched = match &outcome.result {
            Ok(_) => true,
            Err(error) => error.was_fetched(),
        };
        self.schedule.handle_answer(fetched, now);
        if let Some(trial) = self.trial.as_mut().filter(|_| fetched) {
            trial.handle_answer();
        }
        if fetched
            && let Some(keyed) = &mut self.keyed
            && keyed.handle_seen(outcome.seen)
        {
            let (path, text) = (
                self.config.control.state_dir.join(keyed::FILE),
                keyed.text(),
            );
            let kept = self
                .storage
                .run(move |disk| disk.write_atomic(&path, text.as_bytes()));
            tokio::spawn(async move {
                if let Err(error) = kept.await {
                    tracing::error!("the server's certificate is not remembered: {error}");
                }
            });
        }
        let (summary, refused) = match outcome.result {
            Ok(found) => {
                if let ServerAnswer::Stored(config, origin) = found {
                    self.origin = Some(origin);
                    self.restart_wanted |= *config != self.config;
                }
                let text = match (&self.reverted, &self.trial) {
                    (Some(why), _) if !self.restart_wanted => reverted_text(why),
                    (_, Some(_)) => format!("in use, from {shown}; on trial for a minute"),
                    (_, None) => format!("in use, from {shown}"),
                };
                (text, false)
            }
            Err(error) => (
                error.to_string(),
                matches!(error, ProvisionError::Refused(_)),
            ),
        };
        let known = self.keyed.as_ref().and_then(KeyedServer::note);
        let summary = match known.filter(|_| fetched) {
            Some(known) => format!("{summary}; {known}"),
            None => summary,
        };
        if self.summary.as_ref() != Some(&summary) {
            tracing::info!("configuration from the network: {summary}");
            self.summary = Some(summary);
        }
        refused
    }
}

/// Who says that a server is the right one.
#[derive(Debug, Clone)]
enum Judge {
    /// The certificates of this file, or of the system.
    Authority(Option<PathBuf>),
    /// The server itself, at its first use: it was keyed.
    FirstUse(FirstUse),
}

/// One look for a configuration.
struct ConfigRequest {
    request: FetchRequest,
    judge: Judge,
    paths: ConfigPaths,
    state_dir: PathBuf,
    in_use: config::Config,
    /// What the pace is once this look has changed the configuration, and where it is kept.
    pace: Pace,
    pace_file: PathBuf,
}

impl ConfigRequest {
    /// Fetches, checks and stores. Whatever touches a file system runs on the storage thread.
    async fn run(self, storage: &Storage) -> Result<ServerAnswer, ProvisionError> {
        let trust = match self.judge {
            Judge::FirstUse(known) => Trust::first_use(&known),
            Judge::Authority(authority) => {
                storage
                    .run(move |_| Ok(Trust::load(authority.as_deref())))
                    .await?
            }
        };
        let mut text = Vec::new();
        let mut sink = |part: &[u8]| {
            text.extend_from_slice(part);
            Ok(())
        };
        let etag = match fetch(&self.request, &trust, &mut sink).await? {
            Fetched::New { etag } => etag,
            Fetched::NotModified => return Ok(ServerAnswer::Unchanged),
        };
        let origin = Origin::new(&self.request.url, etag);
        let (paths, state_dir, in_use) = (self.paths, self.state_dir, self.in_use);
        let (pace, pace_file) = (self.pace, self.pace_file);
        let stored = storage.run(move |disk| {
            let config = match provision::evaluate(&paths, &text) {
                Ok(config) => config,
                Err(errors) => return Ok(Err(ProvisionError::Refused(errors))),
            };
            let store = Store::new(&state_dir);
            if let Some(why) = store.refusal(&text) {
                return Ok(Err(ProvisionError::Tried(why)));
            }
            let network = state_dir.join(NETWORK);
            if config == in_use && files::read(&network, MAX_BYTES).is_ok_and(|old| old == text) {
                // A server without versions sends the same again: flash is not written for that.
                return Ok(Ok((Box::new(config), origin)));
            }
            if config != in_use {
                disk.write_atomic(&pace_file, pace.text().as_bytes())?;
            }
            store
                .put_on_trial(disk, &text, &origin.text())
                .map_err(|error| io::Error::other(format!("{}: {error}", state_dir.display())))?;
            Ok(Ok((Box::new(config), origin)))
        });
        match stored.await? {
            Ok((config, origin)) => Ok(ServerAnswer::Stored(config, origin)),
            Err(error) => Err(error),
        }
    }
}

fn reverted_text(why: &str) -> String {
    format!("the newest configuration is not used, because {why}; the last good one is")
}

fn read_pace(run_dir: &Path) -> Pace {
    let text = files::read(&run_dir.join(pace::FILE), pace::MAX_BYTES).unwrap_or_default();
    Pace::parse(&String::from_utf8_lossy(&text))
}

/// Since the machine started.
fn since_boot() -> Duration {
    nix::time::clock_gettime(nix::time::ClockId::CLOCK_BOOTTIME)
        .map(|time| Duration::from_secs(time.tv_sec() as u64))
        .unwrap_or_default()
}

/// The hardware address of the interface, twelve lower-case hexadecimal digits; of the first there
/// is for `auto`.
fn mac(interface: &str) -> String {
    let address = |name: &str| {
        let path = format!("/sys/class/net/{name}/address");
        let text = files::read(Path::new(&path), 4096).ok()?;
        let text = String::from_utf8(text).ok()?;
        let digits: String = text
            .trim()
            .chars()
            .filter(char::is_ascii_hexdigit)
            .collect();
        (digits.len() == 12 && digits.bytes().any(|digit| digit != b'0'))
            .then(|| digits.to_ascii_lowercase())
    };
    if interface != "auto" {
        return address(interface).unwrap_or_default();
    }
    let mut names: Vec<String> = std::fs::read_dir("/sys/class/net")
        .map(|entries| {
            entries
                .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
                .collect()
        })
        .unwrap_or_default();
    names.sort_unstable();
    names
        .iter()
        .find_map(|name| address(name))
        .unwrap_or_default()
}
