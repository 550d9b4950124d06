//! What makes an appliance of a phone, done: the watchdog fed, `slot-good` told, `status.txt`
//! written to the card, orders of star codes carried out.
//!
//! ```text
//! tick ─▶ Health ─▶ Board::feed_watchdog, RUN/slot-good
//!      └▶ Facts ─▶ Writer ─▶ card::write (a thread of its own: a card may be slow)
//! ```

use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use nix::fcntl::{Flock, FlockArg};
use nix::mount::{MsFlags, mount};
use nix::sys::statvfs::{FsFlags, statvfs};
use phone::Order;

use super::Driver;
use crate::appliance::health::Health;
use crate::appliance::status_file::{self, Facts, MOST_IMAGE, Writer};
use crate::appliance::{Appliance, Ending};
use crate::bundle::{self, Parts};

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
            network: self.provisioning.word.as_deref(),
            status: &status,
            addresses: &self.house.addresses,
            image: &self.house.image,
        });
        let urgent = std::mem::replace(&mut self.house.urgent, false);
        if let Some(text) = self.house.status_file.offer(text, urgent, now) {
            tokio::task::spawn_blocking(move || {
                if let Err(error) = write_card(&card, STATUS, text.as_bytes()) {
                    tracing::warn!("{}: {error}; status.txt is not written", card.display());
                }
            });
        }
    }
}

impl Driver {
    /// Carries out what keys ordered.
    pub(super) fn obey_order(&mut self, order: Order) {
        match order {
            Order::SelfTest => self.end_with(Ending::SelfTest),
            Order::Reboot => self.end_with(Ending::Reboot),
            Order::FactoryReset => {
                let card = self
                    .house
                    .appliance
                    .as_ref()
                    .and_then(|appliance| appliance.places.card.clone());
                match crate::provision::reset::factory_reset(
                    &self.config.control.state_dir,
                    card.as_deref(),
                ) {
                    Ok(()) => self.end_with(Ending::Reboot),
                    Err(error) => {
                        tracing::error!("factory reset: {error}; can the card be written?")
                    }
                }
            }
            Order::Bundle => {
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
                let parts = self.bundle();
                drop(tokio::task::spawn_blocking(move || {
                    match parts
                        .pack()
                        .and_then(|bytes| write_card(&card, bundle::FILE, &bytes))
                    {
                        Ok(()) => tracing::info!("support bundle: {} on the card", bundle::FILE),
                        Err(error) => tracing::error!("support bundle: {error}"),
                    }
                }));
            }
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
        parts.add("stats.json", format!("{:#}", self.control.stats()));
        // Types that hold secrets print none.
        parts.add("settings.txt", format!("{:#?}\n", self.config));
        parts.add("log.txt", bundle::log::last_lines());
        parts.add("sip.pcap", self.trace.pcap());
        parts.add("image.txt", self.house.image.clone());
        parts.add_machine(&self.config.control.state_dir);
        parts
    }
}

/// Writes a file to the card, whole or not at all. A card mounted read-only is writable for just so
/// long.
pub(crate) fn write_card(card: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    with_writable(card, || {
        use std::io::Write;
        let beside = card.join(format!("{name}.new"));
        let mut file = std::fs::File::create(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&beside, card.join(name))?;
        std::fs::File::open(card)?.sync_all()
    })
}

/// Removes a file from the card.
pub(crate) fn remove_from_card(card: &Path, name: &str) -> io::Result<()> {
    with_writable(card, || std::fs::remove_file(card.join(name)))
}

/// How the image mounts the card, writable or not.
const CARD_FLAGS: MsFlags = MsFlags::MS_NOATIME
    .union(MsFlags::MS_NOSUID)
    .union(MsFlags::MS_NODEV)
    .union(MsFlags::MS_NOEXEC);
/// One writer at a time: the image's own scripts write the slot choice there.
const CARD_LOCK: &str = "/run/offhook/card.lock";

fn with_writable<T>(card: &Path, work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    // No such folder: no image around us that could write at the same time.
    let _alone = match std::fs::File::create(CARD_LOCK) {
        Ok(file) => Some(Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, error)| error)?),
        Err(_) => None,
    };
    let read_only = statvfs(card)?.flags().contains(FsFlags::ST_RDONLY);
    let remount = |flags: MsFlags| {
        mount(
            None::<&str>,
            card,
            None::<&str>,
            MsFlags::MS_REMOUNT | flags,
            None::<&str>,
        )
    };
    if read_only {
        remount(CARD_FLAGS)?;
    }
    let done = work();
    if read_only {
        remount(MsFlags::MS_RDONLY | CARD_FLAGS)?;
    }
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_on_the_card_is_whole_and_replaced() {
        let card = std::env::temp_dir().join(format!("offhook-card-{}", std::process::id()));
        std::fs::create_dir_all(&card).unwrap();
        write_card(&card, STATUS, b"one").unwrap();
        write_card(&card, STATUS, b"two").unwrap();
        assert_eq!(std::fs::read(card.join(STATUS)).unwrap(), b"two");
        assert!(!card.join("status.txt.new").exists());
        remove_from_card(&card, STATUS).unwrap();
        assert!(!card.join(STATUS).exists());
        std::fs::remove_dir_all(&card).unwrap();
    }
}
