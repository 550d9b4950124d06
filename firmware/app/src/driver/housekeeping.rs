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
use std::time::Instant;

use board::BoardEvent;
use control::Status;
use phone::Maintenance;
use tokio::sync::mpsc;

use super::event::DriverEvent;
use super::provisioning::{Outcome, Provisioning};
use crate::appliance::Appliance;
use crate::appliance::health::Health;
use crate::appliance::power_up::PowerUp;
use crate::appliance::status_file::{self, Facts, MAX_IMAGE, Writer};
use crate::bundle::{self, Parts};
use crate::storage::{Storage, StorageError};

/// On the card.
const STATUS: &str = "status.txt";
/// In the run directory: this slot is good.
const SLOT_GOOD: &str = "slot-good";
/// In the run directory: what the image says.
const IMAGE: &str = "image";

/// The appliance around the phone.
pub(super) struct Housekeeping {
    health: Health,
    power_up: PowerUp,
    appliance: Option<Appliance>,
    provisioning: Provisioning,
    storage: Storage,
    events: mpsc::Sender<DriverEvent>,
    status_file: Writer,
    addresses: Vec<String>,
    image: String,
    board: String,
    state_dir: PathBuf,
    /// Where the control socket lies; the image and the phone meet there.
    run_dir: PathBuf,
    /// Write `status.txt` at once when it differs.
    urgent: bool,
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
            std::fs::read_to_string(appliance.paths.card.as_ref()?.join(STATUS)).ok()
        });
        let provisioned = appliance.as_ref().map(|appliance| &appliance.provisioned);
        let parsed = provisioned.is_none_or(|provisioned| provisioned.config_fault() != Some(2));
        let run_dir = config
            .control
            .socket
            .parent()
            .unwrap_or(Path::new("/run/offhook"))
            .to_owned();
        let mut house = Self {
            health: Health::new(parsed, now),
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
            urgent: provisioned.is_some_and(|provisioned| provisioned.errors.is_some()),
            status_file: Writer::new(on_card),
            addresses: Vec::new(),
            image: String::new(),
            board: config.board.profile.clone(),
            state_dir: config.control.state_dir.clone(),
            run_dir,
            appliance,
        };
        house.look();
        house
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
        format!("{:#?}\n", self.provisioning.config())
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
    pub(super) fn check_health(&mut self, heartbeat: u64, has_card: bool, now: Instant) -> bool {
        let verdict = self.health.tick(heartbeat, has_card, now);
        if verdict.good && self.appliance.is_some() {
            let flag = self.run_dir.join(SLOT_GOOD);
            if let Err(error) = std::fs::write(&flag, "") {
                tracing::warn!("{}: {error}", flag.display());
            }
            tracing::info!("this slot is good: sound, configuration and a minute without a fault");
        }
        verdict.feed
    }

    /// What a key held at power-up orders.
    pub(super) fn held_key(&mut self, now: Instant) -> Option<Maintenance> {
        self.power_up.tick(now)
    }

    /// Four times a second: looks for a configuration when it is time. `true`: a new one is to be
    /// put in use now.
    pub(super) fn handle_tick(&mut self, idle: bool, now: Instant) -> bool {
        self.provisioning.handle_tick(idle, now)
    }

    /// Looks again at what the image and DHCP say.
    pub(super) fn look_around(&mut self, now: Instant) {
        self.look();
        self.provisioning.read_dhcp(now);
    }

    fn look(&mut self) {
        self.image = std::fs::read_to_string(self.run_dir.join(IMAGE)).unwrap_or_default();
        if self.image.len() > MAX_IMAGE {
            let end = (0..=MAX_IMAGE)
                .rev()
                .find(|end| self.image.is_char_boundary(*end))
                .unwrap_or(0);
            self.image.truncate(end);
        }
        self.addresses = crate::net::local::all();
    }

    /// A user or a new lease (`ctl refresh`) wants everything looked at again.
    pub(super) fn refresh(&mut self, now: Instant) {
        self.look_around(now);
        self.provisioning.refresh(now);
        self.urgent = true;
    }

    /// A look for a configuration came to an end.
    pub(super) fn handle_configuration(&mut self, outcome: Outcome, now: Instant) {
        self.urgent |= self.provisioning.handle_outcome(outcome, now);
    }

    /// Offers `status.txt` what it should say now.
    pub(super) fn write_status(&mut self, status: &Status, now: Instant) {
        let (Some(card), Some(appliance)) = (self.card(), self.appliance.as_ref()) else {
            return;
        };
        let text = status_file::text(&Facts {
            board: &self.board,
            report: &appliance.provisioned.report,
            errors: appliance.provisioned.errors.as_ref(),
            network: self.provisioning.summary(),
            status,
            addresses: &self.addresses,
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
    pub(super) fn factory_reset(&self) {
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

    /// Writes the support bundle to the card.
    pub(super) fn bundle_to_card(&self, parts: Parts) {
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

    /// Writes the support bundle to a file; the future ends when that is done.
    pub(super) fn bundle_to_file(
        &self,
        parts: Parts,
        file: PathBuf,
    ) -> impl Future<Output = Result<(), StorageError>> + Send + 'static {
        let state_dir = self.state_dir.clone();
        self.storage
            .run(move |files| files.write_atomic(&file, &parts.pack(&state_dir)?))
    }
}
