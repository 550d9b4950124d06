//! The running phone: `Control` between real sockets, a real board, a real clock and the audio
//! thread. One thread, nothing blocks.
//!
//! ```text
//! board fd ──────┐                 ┌─▶ Network: UDP, TCP, TLS, lookups
//! audio eventfd ─┤                 ├─▶ Sound: audio thread, card, media sockets
//! ctl requests ──┼─▶ Control ──────┼─▶ board: ringer, lamps; Display: its own thread
//! UDP, TCP, names┤                 ├─▶ Housekeeping: storage, status.txt, provisioning, health
//! timers, ticks ─┘                 └─▶ Service: event lines to ctl
//! ```
//!
//! Order of the start: card and engine, board, then the network; lifting the handset sounds before
//! any packet can leave.

mod actions;
mod card;
mod display;
mod event;
mod execute;
mod further;
mod housekeeping;
mod network;
mod phone_book;
mod provisioning;
mod requests;
pub(crate) mod ring_files;
mod service;
mod sound;
mod state_dir;
mod wait;

use std::io;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use board::Board;
use board::display::Panel;
use control::{Control, DisplaySettings, Identity, Status};
use tokio::sync::mpsc;

use self::display::Display;
use crate::appliance::power_up::HeldKey;
use crate::appliance::{Appliance, Ending};
use crate::audio_thread::AudioThreadError;
use crate::bundle::{self, BundleParts};
use crate::card_source::{CardSource, FurtherSource};
use crate::ctl::CtlRequest;
use crate::net::NetworkEvent;
use crate::storage::{Disk, Files, Storage};
use event::DriverEvent;
use housekeeping::Housekeeping;
pub use network::BindError;
use network::Network;
use service::Service;
pub use service::SocketError;
use sound::Sound;
use wait::{ready, signals, sleep_until, watch};

/// How often the phone looks after itself: watchdog, counters, lost card, own address. Nothing else
/// wakes a phone on hook so often; the timer's wheel adds two wake-ups to each.
const TICK: Duration = Duration::from_millis(500);
/// Ticks between two looks at what changes seldom: own address, DHCP, what the image says.
const LOOK_EVERY: u32 = 10;
/// Ticks between two looks at the ports and the status on the card.
const STATUS_EVERY: u32 = 2;
/// The tick at which the start is over, and its stack given back.
const STARTED: u32 = 12;
/// An orderly shutdown takes no longer; SIP's own timers would take 32 s with a dead peer.
const SHUTDOWN: Duration = Duration::from_millis(1800);
/// What the tasks of the network send last, as mDNS does, has so long.
const LAST_PACKETS: Duration = Duration::from_millis(20);
/// Who has asked by `ctl`, or listens, is waited for so long when all else is done.
const LAST_REPLIES: Duration = Duration::from_millis(500);
/// Events of network tasks taken in one turn.
const EVENTS_A_TURN: usize = 64;

/// Everything a phone is made of.
pub struct DriverSetup {
    /// The configuration in use.
    pub config: config::Config,
    /// What `status` says about it.
    pub config_note: Option<String>,
    /// What is wrong with the description of the board.
    pub board_faults: Vec<String>,
    /// Where the sound card comes from.
    pub card: CardSource,
    /// Where the cards besides the handset's come from.
    pub further_cards: Vec<FurtherSource>,
    /// Hook, keys, ringer and lamps; `None`: simulated, moved by `ctl`.
    pub board: Option<Board>,
    /// What shows time, caller and menu, and when it is dim and dark.
    pub display: Option<(Box<dyn Panel>, DisplaySettings)>,
    /// The control socket; `None`: this phone is not driven from outside.
    pub socket: Option<PathBuf>,
    /// That socket, bound already: a confined phone cannot.
    pub bound_socket: Option<UnixListener>,
    /// What it knows as an appliance; `None`: it is a phone only.
    pub appliance: Option<Appliance>,
}

/// Why a phone does not start.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    /// The SIP port cannot be had.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The control socket cannot be had.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// The audio thread does not start.
    #[error(transparent)]
    Audio(#[from] AudioThreadError),
    /// The system has no more of something.
    #[error("the phone cannot start: {0}")]
    System(#[from] io::Error),
}

/// The parts that live while the phone runs.
struct Driver {
    control: Control,
    board: Option<Board>,
    network: Network,
    sound: Sound,
    housekeeping: Housekeeping,
    service: Service,
    display: Option<Display>,
    ending: Ending,
    /// What `status` says about the configuration.
    config_note: Option<String>,
    /// What is wrong with the description of the board.
    board_faults: Vec<String>,
    /// The recordings to ring with; `None`: there is no folder they could be in.
    rings: Option<ring_files::RingFiles>,
    actions: actions::ActionRequests,
    /// When shutting down must be over.
    shutdown_by: Option<Instant>,
    ticks: u32,
    /// The settings keyed on the phone are on the card: they are used once the handset lies.
    settings_written: bool,
}

/// What comes to the loop by channels.
struct Inputs {
    network: mpsc::Receiver<NetworkEvent>,
    own: mpsc::Receiver<DriverEvent>,
    requests: mpsc::Receiver<CtlRequest>,
}

/// Runs a phone until it is to end.
pub fn run(setup: DriverSetup) -> Result<Ending, DriverError> {
    run_with(setup, Arc::new(Disk))
}

/// Runs a phone that writes its files by `files`.
pub(crate) fn run_with(setup: DriverSetup, files: Arc<dyn Files>) -> Result<Ending, DriverError> {
    let now = Instant::now();
    let (card, further) = (setup.card.clone(), setup.further_cards.clone());
    let (sound, audio_thread) = Sound::start(card, further, &setup.config, now)?;
    let (storage, finish) = Storage::start(files)?;
    // Nothing uses the runtime's blocking threads: names, cards and files have their own ways.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(1)
        .thread_stack_size(256 * 1024)
        .build()?;
    let outcome = runtime.block_on(async {
        let (mut driver, inputs) = Driver::new(setup, sound, storage, now)?;
        driver.run(inputs).await
    });
    // With the tasks that wait for storage, the last handles go. A lookup is not waited for.
    runtime.shutdown_background();
    finish.wait();
    if audio_thread.join().is_err() {
        tracing::error!("the audio thread panicked");
    }
    outcome
}

impl Driver {
    fn new(
        setup: DriverSetup,
        sound: Sound,
        storage: Storage,
        now: Instant,
    ) -> Result<(Self, Inputs), DriverError> {
        let config = setup.config;
        // The phone of an image, which somebody far away must be able to correct.
        let on_card = setup.appliance.as_ref();
        let on_card = on_card.is_some_and(|appliance| appliance.paths.card.is_some());
        let (network_events, network) = mpsc::channel(EVENTS_A_TURN);
        let (own_events, own) = mpsc::channel(8);
        let (request_sender, requests) = mpsc::channel(32);
        let credentials = state_dir::credentials(&config);
        let mut network_side = Network::new(
            &config,
            credentials.clone(),
            network_events,
            storage.clone(),
            on_card,
            now,
        );
        let identity = Identity {
            seed: seed()?,
            local: network_side.addresses(),
            card: sound.format(),
            ntp: ntp_now(),
            credentials,
            known: state_dir::known_peers(&config),
            features: state_dir::features(&config),
            history: state_dir::history(&config),
        };
        let mut config_note = setup.config_note;
        let appliance = setup.appliance.as_ref();
        let card = appliance.and_then(|appliance| appliance.paths.card.clone());
        let authority = appliance.and_then(|appliance| appliance.paths.authority(&config));
        let trust = crate::net::fetch::Trust::load(authority.as_deref());
        network_side.start_mqtt(&config, &trust);
        if let Some(url) = config.dial.phone_book.clone() {
            let trust = trust.clone();
            let allow_http = config.provision.allow_http;
            phone_book::start(url, allow_http, trust, own_events.clone());
        }
        let rings = setup.appliance.as_ref().map(|appliance| {
            let folder = appliance.paths.folder();
            ring_files::RingFiles::new(folder, &config, own_events.clone())
        });
        let service = match Service::start(setup.socket, setup.bound_socket, &request_sender) {
            // Dial tone needs no control socket; another phone on it is another matter.
            Err(error) if on_card && !error.is_in_use() => {
                tracing::error!("{error}; the phone goes on without it");
                add_note(&mut config_note, &error.to_string());
                Service::without_socket()
            }
            service => service?,
        };
        let mut driver = Self {
            control: Control::new(&config, identity, now),
            board: setup.board,
            network: network_side,
            sound,
            housekeeping: Housekeeping::new(setup.appliance, &config, storage, own_events, now),
            service,
            display: None,
            config_note,
            board_faults: setup.board_faults,
            ending: Ending::Quit,
            rings,
            actions: actions::ActionRequests::new(trust),
            shutdown_by: None,
            ticks: 0,
            settings_written: false,
        };
        if let Some((panel, settings)) = setup.display {
            driver.control.set_display(settings, now);
            driver.display = Some(Display::start(panel)?);
        }
        driver
            .network
            .report_fault(&mut driver.control, Instant::now());
        driver.control.set_config_note(driver.config_note.clone());
        driver
            .control
            .set_config_fault(driver.housekeeping.config_fault());
        driver
            .control
            .offer_set_up(driver.housekeeping.can_set_up());
        if let Some(bytes) = card.as_deref().and_then(phone_book::on_card) {
            match driver.control.add_phone_book(&bytes) {
                Ok(count) => tracing::info!("{}: {count} numbers", phone_book::FILE),
                Err(error) => tracing::error!("{}: {error}", phone_book::FILE),
            }
        }
        if driver
            .board
            .as_ref()
            .is_some_and(|board| !board.has_ringer())
            && driver.sound.has_real_card()
        {
            driver.control.set_no_ringer();
        }
        let inputs = Inputs {
            network,
            own,
            requests,
        };
        Ok((driver, inputs))
    }

    /// The loop.
    async fn run(&mut self, mut inputs: Inputs) -> Result<Ending, DriverError> {
        let audio_wake = self.sound.wake()?;
        let board_wake = self.board.as_ref().map(watch).transpose()?;
        let mut stop = signals()?;
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        self.handle_board(Instant::now());
        self.execute();
        self.bind()?;
        self.execute();
        loop {
            let due = self
                .control
                .poll_timeout()
                .map(tokio::time::Instant::from_std);
            tokio::select! {
                signal = stop.recv() => {
                    if self.shutdown_by.is_some() || signal.is_none() {
                        self.finish_shutdown();
                        return Ok(self.ending);
                    }
                    self.shut_down();
                }
                () = ready(board_wake.as_ref()) => self.handle_board(Instant::now()),
                () = ready(Some(&audio_wake)) => self.sound.handle_ready(&mut self.control),
                Some(request) = inputs.requests.recv() => self.handle_request(request),
                Some(event) = inputs.network.recv() => {
                    self.network.handle_event(event, &mut self.control);
                    for _ in 1..EVENTS_A_TURN {
                        let Ok(event) = inputs.network.try_recv() else { break };
                        self.network.handle_event(event, &mut self.control);
                    }
                }
                Some(event) = inputs.own.recv() => self.handle_own(event),
                () = self.network.readable() => self.network.handle_readable(&mut self.control),
                () = sleep_until(due) => self.control.handle_timeout(Instant::now()),
                _ = tick.tick() => self.handle_tick()?,
            }
            self.execute();
            self.show();
            if let Some(last) = self.shutdown_by
                && (self.control.is_done() || Instant::now() >= last)
            {
                self.finish_shutdown();
                tokio::time::sleep(LAST_PACKETS).await;
                // What was asked meanwhile is answered as well, a second order to quit above all.
                inputs.requests.close();
                while let Ok(request) = inputs.requests.try_recv() {
                    self.handle_request(request);
                }
                self.service.finish(LAST_REPLIES).await;
                self.shut_board_down();
                return Ok(self.ending);
            }
        }
    }

    /// Has the display show what is so now.
    fn show(&mut self) {
        if let Some(display) = &mut self.display
            && let Some(next) = self.control.screen(Instant::now())
        {
            display.show(next);
        }
    }

    /// Gives `Control` what does not work of the board, for its status.
    fn report_hardware(&mut self) {
        let failed = self.board.as_ref().map_or(&[][..], Board::failed);
        let failed = failed.iter().map(ToString::to_string);
        let display = self.display.as_ref().and_then(Display::fault);
        let faults = self
            .board_faults
            .iter()
            .cloned()
            .chain(failed)
            .chain(display);
        let faults = faults.collect();
        self.control.set_hardware_faults(faults);
    }

    /// Opens the SIP ports; what could not be had is in the status.
    fn bind(&mut self) -> Result<(), BindError> {
        let before = self.network.port_fault().is_some();
        self.network.bind(&mut self.control)?;
        if let Some(fault) = self.network.port_fault().filter(|_| !before) {
            add_note(&mut self.config_note, fault);
            self.control.set_config_note(self.config_note.clone());
        }
        Ok(())
    }

    fn handle_board(&mut self, now: Instant) {
        let Some(board) = self.board.as_mut() else {
            return;
        };
        board.handle_ready(now);
        while let Some(event) = board.poll_event() {
            self.housekeeping.handle_board(event, now);
            self.control.handle_board(event, now);
        }
        while let Some(fault) = board.poll_fault() {
            tracing::error!("{fault}; the phone goes on without it");
        }
    }

    /// What took its time came to an end.
    fn handle_own(&mut self, event: DriverEvent) {
        match event {
            DriverEvent::Configuration(outcome) => {
                self.housekeeping
                    .handle_configuration(*outcome, Instant::now());
            }
            DriverEvent::PhoneBook(bytes) => match self.control.set_remote_phone_book(&bytes) {
                Ok(count) => tracing::info!("phone book: {count} numbers from the server"),
                Err(error) => tracing::warn!("phone book: {error}"),
            },
            DriverEvent::RingClips(clips) => self.control.set_ring_clips(clips),
            DriverEvent::Reverted => self.housekeeping.handle_reverted(),
            DriverEvent::AccountTried { account, findings } => {
                for finding in &findings {
                    tracing::info!("account {account}: {finding}");
                }
                self.housekeeping.handle_account_tried(&account, findings);
            }
            DriverEvent::SettingsWritten(result) => {
                if let Err(error) = &result {
                    tracing::error!(
                        "settings keyed on the phone: {error}; can the card be written?"
                    );
                }
                self.settings_written |= result.is_ok();
                self.control
                    .handle_settings_written(result.is_ok(), Instant::now());
            }
            DriverEvent::Browsed(found) => {
                self.housekeeping.handle_browsed(found, Instant::now());
            }
            DriverEvent::FactoryReset(Ok(())) => self.end_by_keys(Ending::Reboot),
            DriverEvent::FactoryReset(Err(error)) => {
                tracing::error!("factory reset: {error}; can the card be written?");
                self.housekeeping.handle_reset_failed();
            }
        }
    }

    /// What is done four times a second: proof of life, counters, a lost card, our own address.
    fn handle_tick(&mut self) -> Result<(), DriverError> {
        let now = Instant::now();
        self.ticks = self.ticks.wrapping_add(1);
        if self.ticks == STARTED {
            crate::resident::release_stack();
        }
        let (heartbeat, has_card) = (self.sound.heartbeat(), self.sound.has_card());
        if self
            .housekeeping
            .check_health(heartbeat, has_card, self.board.as_ref(), now)
            && let Some(board) = self.board.as_mut()
        {
            board.feed_watchdog(now);
        }
        self.network.check_clock(&mut self.control, now);
        self.network.publish_known(&self.control);
        self.sound.handle_tick(&mut self.control, now);
        self.sound.report_to(&mut self.control);
        if let Some(rings) = &mut self.rings {
            rings.decode_for(self.sound.format().0);
        }
        self.report_hardware();
        if self.ticks.is_multiple_of(LOOK_EVERY) {
            self.housekeeping.check_image_and_dhcp(now);
            self.control.set_wall_clock(ntp_now(), now);
            self.network.check_addresses(&mut self.control, now);
        }
        let (idle, bound) = (self.control.is_idle(), self.network.is_bound());
        if self.housekeeping.handle_tick(idle, bound, now) && self.shutdown_by.is_none() {
            tracing::info!("a new configuration from the network: restarting");
            self.ending = Ending::Restart;
            self.shut_down();
        }
        if self.settings_written && idle && self.shutdown_by.is_none() {
            tracing::info!("settings keyed on the phone: restarting with them");
            self.ending = Ending::Restart;
            self.shut_down();
        }
        if let Some(order) = self.housekeeping.held_key(now) {
            tracing::info!("a key was held at power-up");
            match order {
                HeldKey::SelfTest => self.end_by_keys(Ending::SelfTest),
                HeldKey::Wiring => self.end_by_keys(Ending::Wiring),
                HeldKey::FactoryReset => self.housekeeping.factory_reset(),
            }
        }
        if self.ticks.is_multiple_of(STATUS_EVERY) {
            self.bind()?;
            if self.housekeeping.has_card() {
                let status = self.status(now);
                self.housekeeping
                    .write_status(&status, self.network.port_fault(), now);
            }
        }
        Ok(())
    }

    /// The whole phone, with the newest figures.
    fn status(&mut self, now: Instant) -> Status {
        self.sound.report_to(&mut self.control);
        self.report_hardware();
        self.control.status(now)
    }

    /// What the support bundle holds of a running phone, gathered now.
    fn bundle(&mut self) -> BundleParts {
        let mut parts = BundleParts::new();
        let status = self.status(Instant::now());
        parts.add(
            "status.json",
            serde_json::to_string_pretty(&status).unwrap_or_default(),
        );
        let stats = serde_json::to_string_pretty(&self.control.stats());
        parts.add("stats.json", stats.unwrap_or_default());
        parts.add("settings.txt", self.housekeeping.settings());
        parts.add("log.txt", bundle::log::last_lines());
        parts.add("sip.pcap", self.network.pcap());
        parts.add("image.txt", self.housekeeping.image());
        parts
    }

    fn end_by_keys(&mut self, ending: Ending) {
        if self.shutdown_by.is_none() {
            tracing::info!("ordered by keys: {ending:?}");
            self.ending = ending;
            self.shut_down();
        }
    }

    /// Begins to end: calls are hung up, registrations withdrawn.
    fn shut_down(&mut self) {
        if self.shutdown_by.is_some() {
            return;
        }
        let now = Instant::now();
        tracing::info!("shutting down");
        self.shutdown_by = Some(now + SHUTDOWN);
        self.housekeeping.forgive_trial();
        self.network.shut_down();
        self.control.shut_down(now);
    }

    /// Ends what still waits for a far end.
    fn finish_shutdown(&mut self) {
        self.control.finish_shutdown(Instant::now());
        self.execute();
    }

    /// The last thing done: bell and lamps dark whatever went before, watchdog disarmed.
    fn shut_board_down(&mut self) {
        self.display = None;
        if let Some(board) = self.board.take()
            && let Err(fault) = board.shutdown()
        {
            tracing::error!("{fault}");
        }
    }
}

/// One more line of what `status` says about the configuration.
fn add_note(note: &mut Option<String>, line: &str) {
    match note {
        Some(text) => text.extend(["\n", line]),
        None => *note = Some(line.to_owned()),
    }
}

fn seed() -> io::Result<[u8; 32]> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed)
        .map_err(|error| io::Error::other(format!("no random numbers: {error}")))?;
    Ok(seed)
}

/// The wall clock as NTP 32.32: seconds since 1900.
fn ntp_now() -> u64 {
    const SINCE_1900: u64 = 2_208_988_800;
    let wall = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let fraction = (u64::from(wall.subsec_nanos()) << 32) / 1_000_000_000;
    ((wall.as_secs().wrapping_add(SINCE_1900)) << 32) | fraction
}

#[cfg(test)]
mod tests;
