//! What makes an appliance of a phone: is it healthy, what `status.txt` on the card says, what is
//! stored, what keys order, when a new configuration is put in use.
//!
//! ```text
//! tick ─▶ Health ─▶ feed the watchdog?  RUN/slot-good
//!      ├▶ PowerUp ─▶ an order of a key held at power-up
//!      ├▶ Provisioning ─▶ restart?
//!      └▶ Facts ─▶ Writer ─▶ storage thread (a card may be slow)
//! ```

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use board::{Board, BoardEvent, files};
use control::Status;
use tokio::sync::{mpsc, oneshot};

use super::event::DriverEvent;
use super::provisioning::{Outcome, Provisioning};
use crate::account_check::{self, Finding, Scope};
use crate::appliance::Appliance;
use crate::appliance::account_watch::AccountWatch;
use crate::appliance::health::Health;
use crate::appliance::inputs::{self, Inputs};
use crate::appliance::power_up::{HeldKey, PowerUp};
use crate::appliance::status_file::{self, Facts, MAX_IMAGE, Writer};
use crate::bundle::{self, BundleParts};
use crate::net::fetch;
use crate::provision::trial::TrialState;
use crate::provision::{keyed, keypad};
use crate::run_dir::SLOT_GOOD;
use crate::selftest::wiring;
use crate::storage::{CONFIG_FILE, LAST_GOOD, Storage, StorageError};

/// On the card.
const STATUS: &str = "status.txt";
/// The phone writes no longer one.
const MAX_STATUS: u64 = 256 * 1024;
/// Between two tries to leave it there.
const TRY_AGAIN: Duration = Duration::from_secs(1);
/// In the run directory: what the image says.
const IMAGE: &str = "image";

/// In the run directory: the image says that this slot is on trial.
const TRIAL: &str = "trial";

/// Which inputs a slot must have.
fn read_inputs(run_dir: &Path, state_dir: &Path) -> Inputs {
    let before = files::read_in_time(&state_dir.join(inputs::FILE), inputs::MAX_BYTES);
    let before = before.ok().and_then(|text| String::from_utf8(text).ok());
    Inputs::new(run_dir.join(TRIAL).exists(), before)
}

/// Leaves the mark, beside whatever is being written on the card.
async fn mark_good(storage: Storage, flag: PathBuf) {
    loop {
        let file = flag.clone();
        let written = storage.run_aside(move |files| files.write_atomic(&file, b""));
        match written.await {
            Err(StorageError::Busy) => tokio::time::sleep(TRY_AGAIN).await,
            Err(error) => return tracing::warn!("{}: {error}", flag.display()),
            Ok(()) => return,
        }
    }
}

/// The appliance around the phone.
pub(super) struct Housekeeping {
    health: Health,
    inputs: Inputs,
    power_up: PowerUp,
    appliance: Option<Appliance>,
    provisioning: Provisioning,
    storage: Storage,
    events: mpsc::Sender<DriverEvent>,
    status_file: Writer,
    accounts: AccountWatch,
    addresses: Vec<String>,
    image: String,
    board: String,
    /// What was found of the wiring, at the start.
    wiring: String,
    state_dir: PathBuf,
    /// Where the control socket lies; the image and the phone meet there.
    run_dir: PathBuf,
    /// Write `status.txt` at once when it differs.
    urgent: bool,
    /// Everything is being deleted, or was.
    is_reset: bool,
}

impl Housekeeping {
    /// Reads what was stored before: to be made before the loop begins.
    pub(super) fn new(
        appliance: Option<Appliance>,
        config: &config::Config,
        storage: Storage,
        events: mpsc::Sender<DriverEvent>,
        now: Instant,
    ) -> Self {
        let on_card = appliance.as_ref().and_then(|appliance| {
            let path = appliance.paths.card.as_ref()?.join(STATUS);
            let text = files::read_in_time(&path, MAX_STATUS).ok()?;
            String::from_utf8(text).ok()
        });
        let provisioned = appliance.as_ref().map(|appliance| &appliance.provisioned);
        let parsed = provisioned.is_none_or(|provisioned| provisioned.config_fault() != Some(2));
        let run_dir = config
            .control
            .socket
            .parent()
            .unwrap_or(Path::new("/run/offhook"))
            .to_owned();
        let mut housekeeping = Self {
            health: Health::new(parsed, now),
            inputs: read_inputs(&run_dir, &config.control.state_dir),
            power_up: PowerUp::default(),
            provisioning: Provisioning::new(
                config,
                appliance.as_ref(),
                run_dir.clone(),
                (storage.clone(), events.clone()),
                now,
            ),
            storage,
            events,
            is_reset: false,
            urgent: provisioned.is_some_and(|provisioned| {
                let reverted = matches!(provisioned.standing, TrialState::Reverted(_));
                provisioned.errors.is_some() || reverted
            }),
            status_file: Writer::new(on_card),
            accounts: AccountWatch::default(),
            addresses: Vec::new(),
            image: String::new(),
            board: config.board.profile.clone(),
            wiring: wiring::found(&config.control.state_dir),
            state_dir: config.control.state_dir.clone(),
            run_dir,
            appliance,
        };
        housekeeping.look();
        housekeeping.keep_last_good();
        housekeeping
    }

    /// The card's text, found good, is there again when the card's is bad. Written only now that
    /// the phone runs: a slow card takes seconds for it.
    fn keep_last_good(&mut self) {
        let appliance = self.appliance.as_mut();
        if let Some(text) = appliance.and_then(|appliance| appliance.provisioned.keep.take()) {
            self.store(LAST_GOOD, text.0);
        }
    }

    /// The code a phone blinks and beeps when something is wrong with its configuration.
    pub(super) fn config_fault(&self) -> Option<u8> {
        self.appliance.as_ref()?.provisioned.config_fault()
    }

    fn card(&self) -> Option<PathBuf> {
        self.appliance.as_ref()?.paths.card.clone()
    }

    /// The settings in use, as the support bundle shows them: types that hold secrets print none.
    pub(super) fn settings(&self) -> String {
        let config = self.provisioning.config();
        let mut text = format!("{config:#?}\n");
        // A token may stand in the path of a URL.
        for url in [&config.provision.url, &config.update.url]
            .into_iter()
            .flatten()
        {
            text = text.replace(&format!("{url:?}"), &format!("{:?}", fetch::shown(url)));
        }
        text
    }

    /// What the image says.
    pub(super) fn image(&self) -> &str {
        &self.image
    }

    /// The board saw something: a key may be held at power-up.
    pub(super) fn handle_board(&mut self, event: BoardEvent, now: Instant) {
        self.power_up.handle_board(event, now);
    }

    /// Whether the watchdog is to be fed: the control thread is here, the audio thread lives.
    pub(super) fn check_health(
        &mut self,
        heartbeat: u64,
        has_card: bool,
        board: Option<&Board>,
        now: Instant,
    ) -> bool {
        let (wanted, working) = board.map_or_else(Default::default, |board| {
            (board.wanted_inputs(), board.working_inputs())
        });
        let inputs = self.inputs.are_present(wanted, &working);
        let verdict = self.health.tick(heartbeat, has_card, inputs, now);
        if verdict.good && self.appliance.is_some() {
            if let Some(text) = self.inputs.keep(&working) {
                self.store(inputs::FILE, text);
            }
            tokio::spawn(mark_good(
                self.storage.clone(),
                self.run_dir.join(SLOT_GOOD),
            ));
            tracing::info!("this slot is good: sound, configuration and a minute without a fault");
        }
        verdict.feed
    }

    /// What a key held at power-up orders.
    pub(super) fn held_key(&mut self, now: Instant) -> Option<HeldKey> {
        self.power_up.tick(now)
    }

    /// Four times a second: looks for a configuration when it is time. `true`: a new one is to be
    /// put in use now.
    pub(super) fn handle_tick(&mut self, idle: bool, bound: bool, now: Instant) -> bool {
        self.provisioning.handle_tick(idle, bound, now)
    }

    /// The configuration before the one on trial is back.
    pub(super) fn handle_reverted(&mut self) {
        self.provisioning.handle_reverted();
    }

    /// The phone ends in good order.
    pub(super) fn forgive_trial(&self) {
        self.provisioning.forgive_trial();
    }

    /// Looks again at what the image and DHCP say.
    pub(super) fn check_image_and_dhcp(&mut self, now: Instant) {
        self.look();
        self.provisioning.read_dhcp(now);
    }

    fn look(&mut self) {
        let image = files::read_start(&self.run_dir.join(IMAGE), MAX_IMAGE).unwrap_or_default();
        self.image = String::from_utf8_lossy(&image).into_owned();
        self.addresses = crate::net::local::all();
    }

    /// A user or a new lease (`ctl refresh`) wants everything looked at again.
    pub(super) fn refresh(&mut self, now: Instant) {
        self.check_image_and_dhcp(now);
        self.provisioning.refresh(now);
        self.urgent = true;
    }

    /// The configuration comes from this server from now on; it was keyed.
    pub(super) fn set_up_server(&mut self, url: &str, now: Instant) {
        if let Some(text) = self.provisioning.handle_keyed(url, now) {
            self.store(keyed::FILE, text);
        }
        self.urgent = true;
    }

    /// A provisioning server was looked for on the link.
    pub(super) fn handle_browsed(&mut self, url: Option<String>, now: Instant) {
        self.provisioning.handle_browsed(url, now);
    }

    /// A look for a configuration came to an end.
    pub(super) fn handle_configuration(&mut self, outcome: Outcome, now: Instant) {
        self.urgent |= self.provisioning.handle_outcome(outcome, now);
    }

    /// An account that does not register was tried.
    pub(super) fn handle_account_tried(&mut self, account: &str, findings: Vec<Finding>) {
        self.accounts.handle_tried(account, findings);
        // Somebody whose phone does not register looks at the card.
        self.urgent = true;
    }

    /// Tries an account that does not register, in a thread of its own: it asks name servers and
    /// servers for seconds.
    fn try_account(&mut self, name: &str) {
        let config = self.provisioning.config().clone();
        let events = self.events.clone();
        let account = name.to_owned();
        let started = std::thread::Builder::new()
            .name("account-check".to_owned())
            .stack_size(512 * 1024)
            .spawn(move || {
                let mut findings = Vec::new();
                let tried = config.accounts.iter().find(|one| one.name == account);
                if let Some(tried) = tried
                    && let Err(error) =
                        account_check::run_account(&config, tried, Scope::ACCOUNTS, &mut |found| {
                            findings.push(found);
                        })
                {
                    tracing::warn!("account {account} is not tried: {error}");
                }
                // The driver is gone only when the phone is.
                let _ = events.blocking_send(DriverEvent::AccountTried { account, findings });
            });
        if let Err(error) = started {
            tracing::warn!("account {name} is not tried: {error}");
            self.accounts.handle_tried(name, Vec::new());
        }
    }

    /// Offers `status.txt` what it should say now.
    pub(super) fn write_status(&mut self, status: &Status, port: Option<&str>, now: Instant) {
        if self.card().is_some()
            && let Some(account) = self.accounts.handle_status(&status.lines, now)
        {
            self.try_account(&account);
        }
        let (Some(card), Some(appliance)) = (self.card(), self.appliance.as_ref()) else {
            return;
        };
        let text = status_file::text(&Facts {
            board: &self.board,
            report: &appliance.provisioned.report,
            errors: appliance.provisioned.errors.as_ref(),
            network: self.provisioning.summary(),
            port,
            status,
            accounts: &self.accounts,
            addresses: &self.addresses,
            wiring: &self.wiring,
            image: &self.image,
        });
        let urgent = std::mem::replace(&mut self.urgent, false);
        if let Some(text) = self.status_file.offer(text, urgent, now) {
            let shown = card.display().to_string();
            let written = self
                .storage
                .run(move |files| files.write_card(&card, STATUS, text.as_bytes()));
            tokio::spawn(async move {
                if let Err(error) = written.await {
                    tracing::warn!("{shown}: {error}; status.txt is not written");
                }
            });
        }
    }

    /// Whether `status.txt` is written at all.
    pub(super) fn has_card(&self) -> bool {
        self.card().is_some()
    }

    /// Has a file of the state directory written.
    pub(super) fn store(&self, file: &'static str, text: String) {
        // Nothing of before the reset comes back while the phone ends.
        if self.is_reset {
            return;
        }
        let path = self.state_dir.join(file);
        let written = self
            .storage
            .run(move |files| files.write_atomic(&path, text.as_bytes()));
        tokio::spawn(async move {
            if let Err(error) = written.await {
                tracing::warn!("{file}: {error}; the last change is lost at the next start");
            }
        });
    }

    /// Deletes every setting, password and history; the outcome comes as an event.
    pub(super) fn factory_reset(&mut self) {
        self.is_reset = true;
        let (card, state_dir) = (self.card(), self.state_dir.clone());
        let done = self
            .storage
            .run(move |files| files.factory_reset(&state_dir, card.as_deref()));
        let events = self.events.clone();
        tokio::spawn(async move {
            // The driver is gone only when the phone is.
            let _ = events.send(DriverEvent::FactoryReset(done.await)).await;
        });
    }

    /// Not everything was deleted: what there is is kept up again.
    pub(super) fn handle_reset_failed(&mut self) {
        self.is_reset = false;
    }

    /// Whether this phone has no settings at all, and a card to write some to.
    pub(super) fn can_set_up(&self) -> bool {
        let Some(appliance) = &self.appliance else {
            return false;
        };
        let provisioned = &appliance.provisioned;
        let nothing = provisioned.config.accounts.is_empty() && !provisioned.network;
        let card = appliance.paths.card.as_deref();
        nothing && card.is_some_and(keypad::is_wanted)
    }

    /// Writes the first settings to the card; the outcome comes as an event.
    pub(super) fn write_settings(&self, text: String) {
        let events = self.events.clone();
        let card = self.card();
        let done = self.storage.run(move |files| match card {
            Some(card) if keypad::is_wanted(&card) => {
                files.write_card(&card, CONFIG_FILE, text.as_bytes())
            }
            Some(_) => Err(std::io::ErrorKind::AlreadyExists.into()),
            None => Err(std::io::ErrorKind::NotFound.into()),
        });
        tokio::spawn(async move {
            // The driver is gone only when the phone is.
            let _ = events.send(DriverEvent::SettingsWritten(done.await)).await;
        });
    }

    /// Writes the support bundle to the card.
    pub(super) fn bundle_to_card(&self, parts: BundleParts) {
        let Some(card) = self.card() else {
            tracing::error!(
                "support bundle: there is no card to write it to (offhook ctl bundle FILE)"
            );
            return;
        };
        let state_dir = self.state_dir.clone();
        let written = self
            .storage
            .run(move |files| files.write_card(&card, bundle::FILE, &parts.pack(&state_dir)?));
        tokio::spawn(async move {
            match written.await {
                Ok(()) => tracing::info!("support bundle: {} on the card", bundle::FILE),
                Err(error) => tracing::error!("support bundle: {error}"),
            }
        });
    }

    /// Writes captured headers to a file, once they are there; the future ends when that is done.
    pub(super) fn capture_to_file(
        &self,
        headers: oneshot::Receiver<Vec<u8>>,
        file: PathBuf,
    ) -> impl Future<Output = Result<(), StorageError>> + Send + 'static {
        let storage = self.storage.clone();
        async move {
            let bytes = headers.await.map_err(|_| StorageError::Ended)?;
            storage
                .run_aside(move |files| files.write_atomic(&file, &bytes))
                .await
        }
    }

    /// Writes the table of calls to the card.
    pub(super) fn history_to_card(&self, csv: String) {
        let Some(card) = self.card() else {
            tracing::error!("history: there is no card to write it to (offhook ctl history --csv)");
            return;
        };
        let name = control::history::CSV_FILE;
        let written = self
            .storage
            .run(move |files| files.write_card(&card, name, csv.as_bytes()));
        tokio::spawn(async move {
            match written.await {
                Ok(()) => tracing::info!("history: {name} on the card"),
                Err(error) => tracing::error!("history: {error}"),
            }
        });
    }

    /// Writes the support bundle to a file, which may lie elsewhere than on a card that hangs; the
    /// future ends when that is done.
    pub(super) fn bundle_to_file(
        &self,
        parts: BundleParts,
        file: PathBuf,
    ) -> impl Future<Output = Result<(), StorageError>> + Send + 'static {
        let state_dir = self.state_dir.clone();
        self.storage
            .run_aside(move |files| files.write_atomic(&file, &parts.pack(&state_dir)?))
    }
}
