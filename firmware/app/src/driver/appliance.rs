//! What makes an appliance of a phone, done: the watchdog fed, `slot-good` told, `status.txt`
//! written to the card, orders of star codes carried out.
//!
//! ```text
//! tick ─▶ Health ─▶ Board::feed_watchdog, RUN/slot-good
//!      └▶ Facts ─▶ Writer ─▶ storage thread (a card may be slow)
//! ```

use std::path::{Path, PathBuf};
use std::time::Instant;

use phone::StarCode;

use super::Driver;
use super::event::DriverEvent;
use crate::appliance::health::Health;
use crate::appliance::status_file::{self, Facts, MOST_IMAGE, Writer};
use crate::appliance::{Appliance, Ending};
use crate::bundle::{self, Parts};
use crate::storage::StorageError;

/// On the card.
const STATUS: &str = "status.txt";
/// In the run directory: this slot is good.
const SLOT_GOOD: &str = "slot-good";
/// In the run directory: what the image says.
const IMAGE: &str = "image";

/// The appliance's own state.
pub(super) struct Keeper {
    pub(super) health: Health,
    pub(super) appliance: Option<Appliance>,
    status_file: Writer,
    addresses: Vec<String>,
    image: String,
    /// Where the control socket lies; the image and the phone meet there.
    run_dir: PathBuf,
    /// Write `status.txt` at once when it differs.
    urgent: bool,
}

impl Keeper {
    pub(super) fn new(appliance: Option<Appliance>, config: &config::Config, now: Instant) -> Self {
        let on_card = appliance.as_ref().and_then(|appliance| {
            std::fs::read_to_string(appliance.places.card.as_ref()?.join(STATUS)).ok()
        });
        let provisioned = appliance.as_ref().map(|appliance| &appliance.provisioned);
        let parsed = provisioned.is_none_or(|provisioned| provisioned.trouble() != Some(2));
        Self {
            health: Health::new(parsed, now),
            urgent: provisioned.is_some_and(|provisioned| provisioned.errors.is_some()),
            status_file: Writer::new(on_card),
            addresses: Vec::new(),
            image: String::new(),
            run_dir: config
                .control
                .socket
                .parent()
                .unwrap_or(Path::new("/run/offhook"))
                .to_owned(),
            appliance,
        }
    }

    /// Where the image and the phone meet.
    pub(super) fn run_dir(&self) -> &Path {
        &self.run_dir
    }

    /// `status.txt` is waited for.
    pub(super) fn hurry(&mut self) {
        self.urgent = true;
    }

    /// Looks again at what others say.
    pub(super) fn look(&mut self) {
        self.image = std::fs::read_to_string(self.run_dir.join(IMAGE)).unwrap_or_default();
        if self.image.len() > MOST_IMAGE {
            let end = (0..=MOST_IMAGE)
                .rev()
                .find(|end| self.image.is_char_boundary(*end))
                .unwrap_or(0);
            self.image.truncate(end);
        }
        self.addresses = crate::net::local::all();
    }
}

impl Driver {
    /// Once a tick: alive, and for long enough to be proven?
    pub(super) fn keep_alive(&mut self, now: Instant) {
        let verdict = self
            .house
            .health
            .tick(self.link.shared().heartbeat(), self.has_card(), now);
        if verdict.feed
            && let Some(board) = self.board.as_mut()
        {
            board.feed_watchdog(now);
        }
        if verdict.good {
            self.tell_good();
        }
    }

    fn tell_good(&mut self) {
        if self.house.appliance.is_none() {
            return;
        }
        let flag = self.house.run_dir.join(SLOT_GOOD);
        if let Err(error) = std::fs::write(&flag, "") {
            tracing::warn!("{}: {error}", flag.display());
        }
        tracing::info!("this slot is good: sound, configuration and a minute without a fault");
    }

    /// Offers `status.txt` what it should say now.
    pub(super) fn tell_card(&mut self, now: Instant) {
        let Some(card) = self
            .house
            .appliance
            .as_ref()
            .and_then(|appliance| appliance.places.card.clone())
        else {
            return;
        };
        self.tell_figures();
        let Some(appliance) = self.house.appliance.as_ref() else {
            return;
        };
        let status = self.control.status(now);
        let text = status_file::text(&Facts {
            board: &self.config.board.profile,
            report: &appliance.provisioned.report,
            errors: appliance.provisioned.errors.as_ref(),
            network: self.provisioning.summary.as_deref(),
            status: &status,
            addresses: &self.house.addresses,
            image: &self.house.image,
        });
        let urgent = std::mem::replace(&mut self.house.urgent, false);
        if let Some(text) = self.house.status_file.offer(text, urgent, now) {
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
}

impl Driver {
    /// Carries out what keys ordered.
    pub(super) fn obey_order(&mut self, order: StarCode) {
        match order {
            StarCode::SelfTest => self.end_with(Ending::SelfTest),
            StarCode::Reboot => self.end_with(Ending::Reboot),
            StarCode::FactoryReset => {
                let card = self
                    .house
                    .appliance
                    .as_ref()
                    .and_then(|appliance| appliance.places.card.clone());
                let state_dir = self.config.control.state_dir.clone();
                let done = self
                    .storage
                    .run(move |files| files.factory_reset(&state_dir, card.as_deref()));
                let events = self.events.clone();
                tokio::spawn(async move {
                    // The driver is gone only when the phone is.
                    let _ = events.send(DriverEvent::FactoryReset(done.await)).await;
                });
            }
            StarCode::Bundle => {
                let Some(card) = self
                    .house
                    .appliance
                    .as_ref()
                    .and_then(|appliance| appliance.places.card.clone())
                else {
                    tracing::error!(
                        "support bundle: there is no card to write it to (offhook ctl bundle FILE)"
                    );
                    return;
                };
                let (parts, state_dir) = (self.bundle(), self.config.control.state_dir.clone());
                let written = self.storage.run(move |files| {
                    files.write_card(&card, bundle::FILE, &parts.pack(&state_dir)?)
                });
                tokio::spawn(async move {
                    match written.await {
                        Ok(()) => tracing::info!("support bundle: {} on the card", bundle::FILE),
                        Err(error) => tracing::error!("support bundle: {error}"),
                    }
                });
            }
        }
    }

    /// The factory reset came to an end.
    pub(super) fn handle_factory_reset(&mut self, done: Result<(), StorageError>) {
        match done {
            Ok(()) => self.end_with(Ending::Reboot),
            Err(error) => tracing::error!("factory reset: {error}; can the card be written?"),
        }
    }

    fn end_with(&mut self, ending: Ending) {
        if self.farewell.is_none() {
            tracing::info!("ordered by keys: {ending:?}");
            self.ending = ending;
            self.say_farewell();
        }
    }

    /// Everything for the support bundle, gathered now.
    pub(super) fn bundle(&mut self) -> Parts {
        self.tell_figures();
        let mut parts = Parts::new();
        let status =
            serde_json::to_string_pretty(&self.control.status(Instant::now())).unwrap_or_default();
        parts.add("status.json", status);
        let stats = serde_json::to_string_pretty(&self.control.stats());
        parts.add("stats.json", stats.unwrap_or_default());
        // Types that hold secrets print none.
        parts.add("settings.txt", format!("{:#?}\n", self.config));
        parts.add("log.txt", bundle::log::last_lines());
        parts.add("sip.pcap", self.trace.pcap());
        parts.add("image.txt", self.house.image.clone());
        parts
    }
}
