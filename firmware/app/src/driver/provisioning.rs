//! A configuration from the network: requested when `Schedule` says, checked together with
//! everything else there is, stored, and put in use when nobody uses the phone.
//!
//! ```text
//! tick ─▶ Schedule ─▶ fetch (a task) ─▶ check, store (storage thread) ─▶ Outcome ─┬─ stored ─▶ idle? ─▶ Ending::Restart
//!                                                                                 └─ else: reported; what is in use stays
//! ```

use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::event::DriverEvent;
use crate::appliance::Appliance;
use crate::net::fetch::{FetchError, Fetched, Request, Trust, fetch};
use crate::provision::origin::Origin;
use crate::provision::schedule::Schedule;
use crate::provision::{self, ConfigPaths, NETWORK};
use crate::storage::{Storage, StorageError};

/// Most bytes of a configuration.
const MAX_BYTES: u64 = 1024 * 1024;
/// In the state directory: where the stored one is from, and its version (`ETag`).
const ORIGIN: &str = "network.etag";
/// In the run directory: what DHCP says.
const DHCP: &str = "dhcp";
/// The handset lies this long before the phone restarts: nobody is about to lift it again.
const IDLE_BEFORE_RESTART: Duration = Duration::from_secs(2);

/// What a look for a configuration came to.
#[derive(Debug)]
pub(super) struct Outcome {
    url: String,
    result: Result<Found, ProvisionError>,
}

/// What the server has.
#[derive(Debug)]
enum Found {
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
    #[error("not stored: {0}")]
    Storage(#[from] StorageError),
}

impl ProvisionError {
    /// The server answered as it should.
    fn was_fetched(&self) -> bool {
        match self {
            Self::Fetch(_) => false,
            Self::Refused(_) | Self::Storage(_) => true,
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
    /// A new configuration waits for the handset to lie.
    restart_wanted: bool,
    idle_since: Option<Instant>,
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
        Self {
            schedule: Schedule::new(config.provision.clone(), now),
            paths: appliance.map(|appliance| appliance.paths.clone()),
            run_dir,
            storage,
            events,
            origin: Origin::read(&config.control.state_dir.join(ORIGIN)),
            summary: in_use.then(|| "a configuration fetched before is in use".to_owned()),
            restart_wanted: false,
            idle_since: None,
            config: config.clone(),
        }
    }

    /// The configuration in use.
    pub(super) fn config(&self) -> &config::Config {
        &self.config
    }

    /// What the last look came to, for `status.txt`.
    pub(super) fn summary(&self) -> Option<&str> {
        self.summary.as_deref()
    }

    /// Looks at the next tick.
    pub(super) fn refresh(&mut self, now: Instant) {
        self.schedule.refresh(now);
    }

    /// What DHCP says, where it differs.
    pub(super) fn read_dhcp(&mut self, now: Instant) {
        let text = std::fs::read_to_string(self.run_dir.join(DHCP))
            .ok()
            .filter(|text| text.len() <= 4096);
        self.schedule.handle_dhcp(text, now);
    }

    /// Asks when it is time. `true`: the phone shall restart now.
    pub(super) fn handle_tick(&mut self, idle: bool, now: Instant) -> bool {
        let Some(paths) = &self.paths else {
            return false;
        };
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
        let look = Look {
            authority: paths.authority(&self.config),
            paths,
            state_dir: self.config.control.state_dir.clone(),
            request: Request {
                etag: origin.and_then(|origin| origin.etag_for(&url)),
                allow_http: self.config.provision.allow_http,
                max_bytes: MAX_BYTES,
                url: url.clone(),
            },
        };
        let (storage, events) = (self.storage.clone(), self.events.clone());
        tokio::spawn(async move {
            let result = look.run(&storage).await;
            let outcome = Box::new(Outcome { url, result });
            // The driver is gone only when the phone is.
            let _ = events.send(DriverEvent::Configuration(outcome)).await;
        });
    }

    /// A look came to an end. `true`: what it found has errors that somebody waits to read.
    pub(super) fn handle_outcome(&mut self, outcome: Outcome, now: Instant) -> bool {
        let shown = outcome.url.split('?').next().unwrap_or("").to_owned();
        let fetched = match &outcome.result {
            Ok(_) => true,
            Err(error) => error.was_fetched(),
        };
        self.schedule.handle_answer(fetched, now);
        let (summary, refused) = match outcome.result {
            Ok(found) => {
                if let Found::Stored(config, origin) = found {
                    self.origin = Some(origin);
                    self.restart_wanted |= *config != self.config;
                }
                (format!("in use, from {shown}"), false)
            }
            Err(error) => (
                error.to_string(),
                matches!(error, ProvisionError::Refused(_)),
            ),
        };
        if self.summary.as_ref() != Some(&summary) {
            tracing::info!("configuration from the network: {summary}");
            self.summary = Some(summary);
        }
        refused
    }
}

/// One look for a configuration.
struct Look {
    request: Request,
    authority: Option<PathBuf>,
    paths: ConfigPaths,
    state_dir: PathBuf,
}

impl Look {
    /// Fetches, checks and stores. Whatever touches a file system runs on the storage thread.
    async fn run(self, storage: &Storage) -> Result<Found, ProvisionError> {
        let authority = self.authority;
        let trust = storage
            .run(move |_| Ok(Trust::load(authority.as_deref())))
            .await?;
        let mut text = Vec::new();
        let mut sink = |part: &[u8]| {
            text.extend_from_slice(part);
            Ok(())
        };
        let etag = match fetch(&self.request, &trust, &mut sink).await? {
            Fetched::New { etag } => etag,
            Fetched::NotModified => return Ok(Found::Unchanged),
        };
        let origin = Origin::new(&self.request.url, etag);
        let (paths, state_dir) = (self.paths, self.state_dir);
        let stored = storage.run(move |files| {
            let config = match provision::evaluate(&paths, &text) {
                Ok(config) => config,
                Err(errors) => return Ok(Err(errors)),
            };
            let in_state_dir = |name: &str, bytes: &[u8]| {
                let path = state_dir.join(name);
                files
                    .write_atomic(&path, bytes)
                    .map_err(|error| io::Error::other(format!("{}: {error}", path.display())))
            };
            // The text first: a version without its text would never be asked for again.
            in_state_dir(NETWORK, &text)?;
            in_state_dir(ORIGIN, origin.text().as_bytes())?;
            Ok(Ok((Box::new(config), origin)))
        });
        match stored.await? {
            Ok((config, origin)) => Ok(Found::Stored(config, origin)),
            Err(errors) => Err(ProvisionError::Refused(errors)),
        }
    }
}

/// The hardware address of the interface, twelve small hexadecimal digits; of the first there is
/// for `auto`.
fn mac(interface: &str) -> String {
    let address = |name: &str| {
        let text = std::fs::read_to_string(format!("/sys/class/net/{name}/address")).ok()?;
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
    names.sort();
    names
        .iter()
        .find_map(|name| address(name))
        .unwrap_or_default()
}
