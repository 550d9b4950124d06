//! The running phone: `Control` between real sockets, a real board, a real clock and the audio
//! thread. One thread, nothing blocks.
//!
//! ```text
//! board fd ─┐
//! audio eventfd ─┤                 ┌─▶ UDP, TCP, lookups       (act)
//! ctl requests ──┼─▶ Control ──────┼─▶ AudioLink ─▶ audio thread
//! UDP, TCP, names┤                 ├─▶ ringer, lamps
//! timers, ticks ─┘                 └─▶ event lines to ctl       (serve)
//! ```
//!
//! Order of the start: card and engine, board, then the network; lifting the handset sounds before
//! any packet can leave.

mod act;
mod appliance;
mod card;
mod event;
mod network;
mod provisioning;
mod serve;
mod state_dir;
mod wait;

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use board::Board;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;

use crate::appliance::power_up::PowerUp;
use crate::appliance::{Appliance, Ending};
use crate::audio_thread::{self, AudioLink, AudioThreadError, Rights};
use crate::bundle::trace::Trace;
use crate::ctl::{Asked, Server};
use crate::net::ports::RtpPorts;
use crate::net::tls::Tls;
use crate::net::tls::clock::Watch;
use crate::net::{Heard, local, tls, udp};
use crate::storage::{Disk, Files, Storage};
use control::{Control, Identity};

pub use card::CardSource;
use event::DriverEvent;
use wait::{readable, ready, signals, sleep_until, watch};

/// How often the phone looks after itself: watchdog, counters, lost card, own address.
const TICK: Duration = Duration::from_millis(250);
/// How often it looks whether its own address changed.
const ADDRESS_EVERY: u32 = 20;
/// How often it looks what the image says.
const LOOK_EVERY: u32 = 20;
/// An orderly shutdown takes no longer; SIP's own timers would take 32 s with a dead peer.
const FAREWELL: Duration = Duration::from_millis(1800);
/// Messages from network tasks taken in one turn.
const HEARD_A_TURN: usize = 64;

/// Everything a phone is made of.
pub struct Setup {
    /// The configuration in use.
    pub config: config::Config,
    /// What is to be told about it in `status`.
    pub config_note: Option<String>,
    /// Where the sound card comes from.
    pub card: CardSource,
    /// Hook, keys, ringer and lamps; `None`: simulated, moved by `ctl`.
    pub board: Option<Board>,
    /// The control socket; `None`: this phone is not driven from outside.
    pub socket: Option<PathBuf>,
    /// What it knows as an appliance; `None`: it is a phone only.
    pub appliance: Option<Appliance>,
}

/// Why a phone does not start.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    /// The SIP port cannot be had.
    #[error(
        "{transport} port {address}: {source}; stop the program that holds it, or set another network.sip_port or network.bind"
    )]
    Bind {
        /// UDP, TCP or TLS.
        transport: &'static str,
        /// Which.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The control socket cannot be had.
    #[error("control socket {path}: {source}; set control.socket to a path this user may write")]
    Socket {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The audio thread does not start.
    #[error(transparent)]
    Audio(#[from] AudioThreadError),
    /// The system has no more of something.
    #[error("the phone cannot start: {0}")]
    System(#[from] io::Error),
}

/// The parts that live while the phone runs.
struct Driver {
    config: config::Config,
    control: Control,
    link: AudioLink,
    ports: RtpPorts,
    card: card::Card,
    board: Option<Board>,
    udp: Option<UdpSocket>,
    connections: HashMap<sip::ConnectionId, mpsc::Sender<Vec<u8>>>,
    tls: Tls,
    clock: Watch,
    /// Room for one datagram.
    datagram: Vec<u8>,
    heard: mpsc::Sender<Heard>,
    /// Writes files, on a thread of its own.
    storage: Storage,
    /// Where this driver's own tasks report.
    events: mpsc::Sender<DriverEvent>,
    listeners: Vec<mpsc::Sender<Arc<str>>>,
    local: SocketAddr,
    /// What makes an appliance of the phone.
    house: appliance::Keeper,
    provisioning: provisioning::Provisioning,
    power_up: PowerUp,
    /// The last SIP messages, for the support bundle.
    trace: Trace,
    ending: Ending,
    ticks: u32,
    /// When shutting down must be over.
    farewell: Option<Instant>,
    /// The audio thread tells here, once, what real-time rights it got.
    rights: Option<std::sync::mpsc::Receiver<Rights>>,
    bind_complaint: Option<String>,
}

/// Runs a phone until it is told to quit.
pub fn run(setup: Setup) -> Result<Ending, DriverError> {
    run_with(setup, Box::new(Disk))
}

/// Runs a phone that writes its files by `files`.
fn run_with(setup: Setup, files: Box<dyn Files>) -> Result<Ending, DriverError> {
    let now = Instant::now();
    let (link, side) = audio_thread::link().map_err(AudioThreadError::from)?;
    let audio = &setup.config.board.audio;
    let (card, device) = card::Card::open(setup.card, now);
    let engine = audio_thread::engine_for(device.as_deref(), card.wanted(), audio.sidetone_db, now);
    let figures = (engine.config().rate_hz, engine.config().period_frames);
    let shared = Arc::clone(link.shared());
    let audio_loop = audio_thread::AudioLoop::new(side, Box::new(engine), device, now)
        .map_err(AudioThreadError::from)?;
    let (thread, rights) = audio_thread::start(audio_loop, shared)?;

    let (storage, finish) = Storage::start(files)?;
    // Nothing of ours uses the runtime's blocking threads; resolving a provisioning server's name
    // does.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(2)
        .thread_stack_size(256 * 1024)
        .build()?;
    let outcome = runtime.block_on(async {
        let (heard, hears) = mpsc::channel(HEARD_A_TURN);
        let (events, own_events) = mpsc::channel(8);
        let local = SocketAddr::new(
            local::address(setup.config.network.bind),
            setup.config.network.sip_port,
        );
        let credentials = state_dir::credentials(&setup.config);
        let identity = Identity {
            seed: seed()?,
            local,
            card: figures,
            ntp: ntp_now(),
            credentials: credentials.clone(),
            known: state_dir::known_peers(&setup.config),
        };
        let network = &setup.config.network;
        let tls = Tls::new(tls::settings(&setup.config), credentials.clone());
        let mut driver = Driver {
            control: Control::new(&setup.config, identity, now),
            ports: RtpPorts::new(
                network.bind,
                network.rtp_ports,
                network.rtp_dscp,
                getrandom::u32().unwrap_or(0) as u16,
            ),
            config: setup.config.clone(),
            link,
            card,
            board: setup.board,
            udp: None,
            connections: HashMap::new(),
            clock: watch_clock(&tls, Instant::now()),
            tls,
            datagram: vec![0; udp::MAX_DATAGRAM],
            heard,
            storage,
            events,
            listeners: Vec::new(),
            local,
            provisioning: provisioning::Provisioning::new(
                &setup.config,
                setup
                    .appliance
                    .as_ref()
                    .is_some_and(|appliance| appliance.provisioned.network),
                now,
            ),
            power_up: PowerUp::default(),
            trace: Trace::default(),
            house: appliance::Keeper::new(setup.appliance, &setup.config, now),
            ending: Ending::Quit,
            ticks: 0,
            farewell: None,
            rights: Some(rights),
            bind_complaint: None,
        };
        driver.control.set_config_note(setup.config_note);
        let trouble = driver
            .house
            .appliance
            .as_ref()
            .and_then(|appliance| appliance.provisioned.trouble());
        driver.control.set_config_fault(trouble);
        driver.house.look();
        let result = driver.live(setup.socket, hears, own_events).await;
        driver.link.send(audio_thread::Order::Quit);
        result
    });
    // With the tasks that wait for storage, the last handles go. A lookup is not waited for.
    runtime.shutdown_background();
    finish.wait();
    // The loop ends within one poll of its order.
    if thread.join().is_err() {
        tracing::error!("the audio thread panicked");
    }
    outcome
}

impl Driver {
    /// The loop.
    async fn live(
        &mut self,
        socket: Option<PathBuf>,
        mut hears: mpsc::Receiver<Heard>,
        mut own_events: mpsc::Receiver<DriverEvent>,
    ) -> Result<Ending, DriverError> {
        let (asking, mut asks) = mpsc::channel::<Asked>(32);
        let _server = match socket {
            Some(path) => Some(
                Server::start(&path, asking.clone())
                    .map_err(|source| DriverError::Socket { path, source })?,
            ),
            None => None,
        };
        let audio_wake = watch(&self.link)?;
        let board_wake = match &self.board {
            Some(board) => Some(watch(board)?),
            None => None,
        };
        let mut stop = signals()?;
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        self.work_board(Instant::now());
        self.act();
        self.bind_network()?;
        self.act();
        loop {
            let due = self
                .control
                .poll_timeout()
                .map(tokio::time::Instant::from_std);
            tokio::select! {
                signal = stop.recv() => {
                    if self.farewell.is_some() || signal.is_none() {
                        return Ok(self.ending);
                    }
                    self.say_farewell();
                }
                () = ready(board_wake.as_ref()) => self.work_board(Instant::now()),
                () = ready(Some(&audio_wake)) => self.hear_audio(),
                Some(asked) = asks.recv() => self.serve(asked),
                Some(heard) = hears.recv() => {
                    self.hear(heard);
                    for _ in 1..HEARD_A_TURN {
                        let Ok(heard) = hears.try_recv() else { break };
                        self.hear(heard);
                    }
                }
                Some(event) = own_events.recv() => match event {
                    DriverEvent::Configuration(outcome) => self.handle_configuration(*outcome),
                    DriverEvent::FactoryReset(done) => self.handle_factory_reset(done),
                },
                () = readable(self.udp.as_ref()) => self.take_datagrams(),
                () = sleep_until(due) => self.control.handle_timeout(Instant::now()),
                _ = tick.tick() => self.look_after()?,
            }
            self.act();
            if let Some(last) = self.farewell
                && (self.control.is_done() || Instant::now() >= last)
            {
                // One more breath for replies on their way to `ctl`.
                tokio::time::sleep(Duration::from_millis(20)).await;
                self.leave();
                return Ok(self.ending);
            }
        }
    }

    fn work_board(&mut self, now: Instant) {
        let Some(board) = self.board.as_mut() else {
            return;
        };
        board.handle_ready(now);
        while let Some(event) = board.poll_event() {
            self.power_up.saw(event, now);
            self.control.handle_board(board_event(event), now);
        }
        while let Some(fault) = board.poll_fault() {
            tracing::error!("{fault}");
        }
    }

    /// What is done four times a second: proof of life, counters, a lost card, our own address.
    fn look_after(&mut self) -> Result<(), DriverError> {
        let now = Instant::now();
        self.ticks = self.ticks.wrapping_add(1);
        self.keep_alive(now);
        let (system, trust) = self.tls.clock().read();
        if self.clock.look(now, system, trust) {
            tracing::info!("the clock was set");
            self.control.handle_clock_set(now);
        }
        self.tell_rights();
        self.link.flush();
        self.reopen_card(now);
        self.tell_figures();
        if self.udp.is_none() && self.ticks.is_multiple_of(4) {
            self.bind_network()?;
        }
        if self.ticks.is_multiple_of(LOOK_EVERY) {
            self.house.look();
            self.read_dhcp(now);
        }
        self.provision(now);
        if let Some(order) = self.power_up.tick(now) {
            tracing::info!("a key was held at power-up");
            self.obey_order(order);
        }
        if self.ticks.is_multiple_of(4) {
            self.tell_card(now);
        }
        if self.ticks.is_multiple_of(ADDRESS_EVERY) {
            let local = SocketAddr::new(
                local::address(self.config.network.bind),
                self.config.network.sip_port,
            );
            if local != self.local {
                tracing::info!("our address is {} now, was {}", local.ip(), self.local.ip());
                self.local = local;
                self.control.handle_local_address(local, now);
            }
        }
        Ok(())
    }

    /// Once, loudly, where the audio thread has no real-time rights.
    fn tell_rights(&mut self) {
        let Some(told) = self.rights.take() else {
            return;
        };
        match told.try_recv() {
            Ok(rights) => {
                if let Some(complaint) = rights.complaint() {
                    tracing::warn!("{complaint}");
                    self.publish(&control::Event::Audio {
                        what: complaint.to_owned(),
                    });
                }
            }
            Err(std::sync::mpsc::TryRecvError::Empty) => self.rights = Some(told),
            Err(std::sync::mpsc::TryRecvError::Disconnected) => {}
        }
    }

    fn say_farewell(&mut self) {
        let now = Instant::now();
        tracing::info!("shutting down");
        self.farewell = Some(now + FAREWELL);
        self.control.shut_down(now);
    }

    /// The last thing done: bell and lamps dark whatever went before, watchdog disarmed.
    fn leave(&mut self) {
        if let Some(board) = self.board.take()
            && let Err(fault) = board.shutdown()
        {
            tracing::error!("{fault}");
        }
    }
}

fn watch_clock(tls: &Tls, now: Instant) -> Watch {
    let (system, trust) = tls.clock().read();
    Watch::new(now, system, trust)
}

fn seed() -> io::Result<[u8; 32]> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed)
        .map_err(|error| io::Error::other(format!("no random numbers: {error}")))?;
    Ok(seed)
}

/// The wall clock since 1970.
fn since_1970() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
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

/// The board's event as the control logic knows it.
fn board_event(event: board::BoardEvent) -> control::BoardEvent {
    match event {
        board::BoardEvent::Hook(off) => control::BoardEvent::Hook(off),
        board::BoardEvent::KeyDown(key) => control::BoardEvent::KeyDown(key),
        board::BoardEvent::KeyUp(key) => control::BoardEvent::KeyUp(key),
        board::BoardEvent::FlashKey => control::BoardEvent::FlashKey,
        board::BoardEvent::Rotary(digit) => control::BoardEvent::Rotary(digit),
    }
}
#[cfg(test)]
mod tests;
