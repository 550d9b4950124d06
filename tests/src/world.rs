//! The world a scenario lives in: phones, scripted peers, a registrar and the network, on one
//! virtual clock. A scenario reads like a story about `l` and `r`; the world moves time forward to
//! the next thing that happens, and nothing else moves it.
//!
//! ```text
//! story ─▶ lift, press, hang_up, expect, run ─▶ World ─▶ next event: network · timer · card · board
//!                                                  └─▶ at the end: quiet() – every table, timer, port and stream is empty
//! ```
//!
//! A scenario that fails prints its seed and the signalling, and leaves `target/sim/NAME.pcap`.
//! `OFFHOOK_SIM_PCAP=1` leaves one always.

mod display;
mod hear;
mod others;
mod setup;

pub use hear::HEARD;
use setup::configuration;
pub use setup::{
    Setup, backup_registrar_ip, number_of, number_of_peer, peer_ip, phone_ip, registrar_ip,
};

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::{IpAddr, SocketAddr};
use std::ops::{Index, IndexMut};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use control::api::{ActionError, UserAction};
use control::{BoardEvent, MqttEvent};
use phone::State;
use testkit::Rng;
use testkit::network::{Datagram, Network, Time};
use testkit::peer::Peer;
use testkit::registrar::Registrar;
use testkit::signal::Source;

use crate::card::CardSetup;
use crate::phone::{SimPhone, TLS_PORT};

/// Milliseconds.
pub const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Seconds.
pub const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// A phone in this world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PhoneId(pub usize);

/// A scripted peer in this world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerId(pub usize);

/// Longest time after which everything must be empty: 64·T1 for the slowest transactions, and a
/// little.
const DRAIN_TIME: Duration = Duration::from_secs(75);

struct Action {
    at: Time,
    order: u64,
    phone: PhoneId,
    event: BoardEvent,
}

impl PartialEq for Action {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.order) == (other.at, other.order)
    }
}
impl Eq for Action {}
impl PartialOrd for Action {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Action {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

/// The world.
pub struct World {
    name: String,
    seed: u64,
    base: Instant,
    now: Time,
    /// The network.
    pub network: Network,
    /// The registrar, where there is one.
    pub registrar: Option<Registrar>,
    /// Further registrars, each with a memory of its own.
    pub backup_registrars: Vec<Registrar>,
    phones: Vec<SimPhone>,
    /// Phones none of whose calls may ever be in clear.
    guarded: Vec<IpAddr>,
    peers: Vec<Peer>,
    /// Where a STUN server answers.
    stun: Option<SocketAddr>,
    scheduled: BinaryHeap<Reverse<Action>>,
    order: u64,
    /// Turns taken at one and the same moment; many mean that a timer spins.
    spinning: u32,
    /// Turns of the world so far.
    turns: u64,
}

impl Index<PhoneId> for World {
    type Output = SimPhone;
    fn index(&self, id: PhoneId) -> &SimPhone {
        &self.phones[id.0]
    }
}

impl IndexMut<PhoneId> for World {
    fn index_mut(&mut self, id: PhoneId) -> &mut SimPhone {
        &mut self.phones[id.0]
    }
}

impl Index<PeerId> for World {
    type Output = Peer;
    fn index(&self, id: PeerId) -> &Peer {
        &self.peers[id.0]
    }
}

impl IndexMut<PeerId> for World {
    fn index_mut(&mut self, id: PeerId) -> &mut Peer {
        &mut self.peers[id.0]
    }
}

impl World {
    /// An empty world for the scenario of this name. `OFFHOOK_SIM_SEED` replaces the seed, to look
    /// at other draws.
    pub fn new(name: &str, seed: u64) -> Self {
        let seed = std::env::var("OFFHOOK_SIM_SEED")
            .ok()
            .and_then(|text| text.parse().ok())
            .unwrap_or(seed);
        Self {
            name: name.to_owned(),
            seed,
            // The one clock reading: every Instant of the world is this plus virtual time, and only
            // differences are ever looked at.
            base: Instant::now(),
            now: secs(1),
            network: Network::new(seed),
            registrar: None,
            backup_registrars: Vec::new(),
            phones: Vec::new(),
            guarded: Vec::new(),
            peers: Vec::new(),
            stun: None,
            scheduled: BinaryHeap::new(),
            order: 0,
            spinning: 0,
            turns: 0,
        }
    }

    /// Two phones of this kind.
    pub fn pair(name: &str, seed: u64, setup: &Setup) -> (Self, PhoneId, PhoneId) {
        let mut world = Self::new(name, seed);
        let l = world.phone(setup.clone());
        let r = world.phone(setup.clone());
        (world, l, r)
    }

    /// Adds a phone: the first is `l` at 10.0.0.1, the second `r` at 10.0.0.2, and so on.
    pub fn phone(&mut self, setup: Setup) -> PhoneId {
        let id = self.phones.len();
        let name = ["l", "r", "s", "t", "u"]
            .get(id)
            .map_or_else(|| format!("p{id}"), |name| (*name).to_owned());
        let at = SocketAddr::new(phone_ip(PhoneId(id)), 5060);
        let mut rng = Rng::for_purpose(self.seed, &format!("phone {name}"));
        let mut seed = [0u8; 32];
        rng.fill_bytes(&mut seed);
        let config = configuration(&name, at.ip(), &setup);
        let required = |mode| mode == Some(types::EncryptionPolicy::Required);
        if required(config.encryption.mode)
            && config
                .accounts
                .iter()
                .all(|a| a.encryption.is_none() || required(a.encryption))
        {
            self.guarded.push(at.ip());
        }
        let voice = setup
            .voice
            .clone()
            .unwrap_or_else(|| Source::voice(100 + id as u64, setup.card.rate_hz));
        // Cards that tick together would hide what happens between their ticks.
        let start = setup.card.start + Duration::from_micros(1_300 * (id as u64 + 1));
        let card = CardSetup {
            start,
            ..setup.card
        };
        self.phones.push(SimPhone::new(
            &name, at, &config, seed, card, voice, self.base, self.now,
        ));
        PhoneId(id)
    }

    /// Adds a scripted peer: 10.0.0.9, 10.0.0.10, …
    pub fn peer(&mut self) -> PeerId {
        let id = self.peers.len();
        self.peers
            .push(Peer::new(SocketAddr::new(peer_ip(PeerId(id)), 5060)));
        PeerId(id)
    }

    /// Adds a scripted peer that speaks TLS.
    pub fn tls_peer(&mut self) -> PeerId {
        let id = self.peers.len();
        self.peers
            .push(Peer::new(SocketAddr::new(peer_ip(PeerId(id)), TLS_PORT)));
        PeerId(id)
    }

    /// Adds a registrar at 10.0.0.100 that knows these users.
    pub fn add_registrar(&mut self, users: &[(&str, &str)]) -> &mut Registrar {
        let at = SocketAddr::new(registrar_ip(), 5060);
        self.registrar.insert(Registrar::new(at, users))
    }

    /// Adds another registrar, at 10.0.0.101, 10.0.0.102 …
    pub fn add_backup_registrar(&mut self, users: &[(&str, &str)]) -> &mut Registrar {
        let ip = backup_registrar_ip(self.backup_registrars.len());
        let registrar = Registrar::new(SocketAddr::new(ip, 5060), users);
        self.backup_registrars.push(registrar);
        let last = self.backup_registrars.len() - 1;
        &mut self.backup_registrars[last]
    }

    /// The registrar; a scenario that asks for one it never added is wrong.
    pub fn reg(&mut self) -> &mut Registrar {
        self.registrar
            .as_mut()
            .expect("this world has no registrar")
    }

    /// Virtual time.
    pub fn now(&self) -> Time {
        self.now
    }

    /// The seed in use.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Name of the scenario.
    pub fn name(&self) -> &str {
        &self.name
    }

    // ---------------------------------------------------------------- time

    fn next_event(&self) -> Option<Time> {
        let mut next = self.network.next_arrival();
        let mut take = |at: Option<Time>| {
            if let Some(at) = at {
                next = Some(next.map_or(at, |known| known.min(at)));
            }
        };
        take(self.scheduled.peek().map(|Reverse(action)| action.at));
        for phone in &self.phones {
            take(phone.next());
        }
        next
    }

    /// Moves to the next thing that happens, if it happens before `limit`; returns whether it did.
    fn step(&mut self, limit: Time) -> bool {
        let Some(at) = self.next_event().filter(|at| *at <= limit) else {
            self.now = self.now.max(limit);
            return false;
        };
        self.spinning = if at > self.now { 0 } else { self.spinning + 1 };
        assert!(
            self.spinning < 100_000,
            "time stands still at {:?}: a timer spins",
            self.now
        );
        self.turns += 1;
        self.now = self.now.max(at);
        let now = self.now;
        while let Some(datagram) = self.network.pop_due(now) {
            self.deliver(datagram);
        }
        while self
            .scheduled
            .peek()
            .is_some_and(|Reverse(action)| action.at <= now)
        {
            if let Some(Reverse(action)) = self.scheduled.pop() {
                self.phones[action.phone.0].board(action.event, &mut self.network, now);
            }
        }
        for phone in &mut self.phones {
            if phone.next().is_some_and(|at| at <= now) {
                phone.wake(&mut self.network, now);
            }
        }
        true
    }

    fn deliver(&mut self, datagram: Datagram) {
        let now = self.now;
        let ip = datagram.to.ip();
        if ip.is_multicast() {
            for phone in &mut self.phones {
                phone.receive_page(&datagram, &mut self.network, now);
            }
            return;
        }
        if let Some(phone) = self.phones.iter_mut().find(|phone| phone.at.ip() == ip) {
            return phone.receive(datagram, &mut self.network, now);
        }
        if let Some(peer) = self.peers.iter_mut().find(|peer| peer.at.ip() == ip) {
            return peer.receive(&datagram, now);
        }
        if let Some(registrar) = self
            .registrar
            .iter_mut()
            .chain(&mut self.backup_registrars)
            .find(|registrar| registrar.at.ip() == ip)
        {
            for reply in registrar.handle(&datagram, now) {
                self.network.send(reply, now);
            }
            return;
        }
        let Datagram { from, to, bytes } = datagram;
        if self.stun == Some(to)
            && let Some(bytes) = testkit::stun::answer(&bytes, from)
        {
            let (from, to) = (to, from);
            self.network.send(Datagram { from, to, bytes }, now);
        }
        // To no one: it vanishes, as on a network.
    }

    /// Lets this much time pass.
    pub fn run(&mut self, length: Duration) {
        let limit = self.now + length;
        while self.step(limit) {}
    }

    /// Lets time pass until this holds; a scenario in which it does not hold within the given time
    /// fails.
    pub fn until(&mut self, what: &str, within: Duration, mut holds: impl FnMut(&Self) -> bool) {
        let limit = self.now + within;
        while !holds(self) {
            assert!(
                self.step(limit) || holds(self),
                "not within {within:?}: {what}; {}",
                self.states()
            );
        }
    }

    /// Lets time pass until the phone is in this state.
    pub fn expect_state(&mut self, id: PhoneId, state: State, within: Duration) {
        self.until(
            &format!("{} in {state:?}", self[id].name),
            within,
            |world| world.state(id) == state,
        );
    }

    /// What a phone is doing.
    pub fn state(&self, id: PhoneId) -> State {
        self[id].control.state()
    }

    fn states(&self) -> String {
        self.phones
            .iter()
            .map(|phone| {
                format!(
                    "{}: {:?} tone {:?}",
                    phone.name,
                    phone.control.state(),
                    phone.control.tone()
                )
            })
            .collect::<Vec<_>>()
            .join(", ")
    }

    // ---------------------------------------------------------------- the board

    /// The board sees something later.
    pub fn board_event(&mut self, id: PhoneId, after: Duration, event: BoardEvent) {
        self.order += 1;
        self.scheduled.push(Reverse(Action {
            at: self.now + after,
            order: self.order,
            phone: id,
            event,
        }));
    }

    fn board(&mut self, id: PhoneId, event: BoardEvent) {
        let now = self.now;
        self.phones[id.0].board(event, &mut self.network, now);
    }

    /// Lifts the handset.
    pub fn lift(&mut self, id: PhoneId) {
        self.board(id, BoardEvent::Hook(true));
    }

    /// Puts the handset down.
    pub fn hang_up(&mut self, id: PhoneId) {
        self.board(id, BoardEvent::Hook(false));
    }

    /// Presses the flash key.
    pub fn flash(&mut self, id: PhoneId) {
        self.board(id, BoardEvent::FlashKey);
    }

    /// Presses a key beside the keypad.
    pub fn press_function(&mut self, id: PhoneId, key: types::FunctionKey) {
        self.board(id, BoardEvent::Function(key));
    }

    /// Presses these keys in a person's rhythm and waits until the last is up.
    pub fn press(&mut self, id: PhoneId, keys: &str) {
        for key in keys.chars() {
            self.board(id, BoardEvent::KeyDown(key));
            self.run(ms(80));
            self.board(id, BoardEvent::KeyUp(key));
            self.run(ms(60));
        }
    }

    /// Dials these digits on a rotary dial: each comes when the dial is back at rest.
    pub fn dial(&mut self, id: PhoneId, digits: &str) {
        for digit in digits.chars() {
            let pulses = digit.to_digit(10).filter(|n| *n > 0).unwrap_or(10);
            self.run(ms(700 + 100 * u64::from(pulses)));
            self.board(id, BoardEvent::Rotary(digit));
        }
    }

    /// Lifts and dials.
    pub fn call(&mut self, id: PhoneId, number: &str) {
        self.lift(id);
        self.run(ms(300));
        self.press(id, number);
    }

    /// A whole call from `l` to `r`, up to both talking.
    pub fn connect(&mut self, l: PhoneId, r: PhoneId) {
        self.call(l, &number_of(r));
        self.expect_state(r, State::Ringing, secs(5));
        self.run(ms(700));
        self.lift(r);
        self.expect_state(r, State::Talking, secs(5));
        self.expect_state(l, State::Talking, secs(5));
    }

    /// What `ctl` asks of a phone.
    pub fn request(&mut self, id: PhoneId, action: &UserAction) -> Result<(), ActionError> {
        let now = self.now;
        self.phones[id.0].request(action, &mut self.network, now)
    }

    /// Something comes of a phone's connection to its broker.
    pub fn mqtt(&mut self, id: PhoneId, event: MqttEvent) {
        let now = self.now;
        self.phones[id.0].mqtt(event, &mut self.network, now);
    }

    /// Informs a phone that so many packets have come under its call's key.
    pub fn pretend_received(&mut self, id: PhoneId, packets: u64) {
        let now = self.now;
        self.phones[id.0].pretend_received(packets, &mut self.network, now);
    }

    /// Orderly shutdown of a phone.
    pub fn shut_down(&mut self, id: PhoneId) {
        let now = self.now;
        self.phones[id.0].shut_down(&mut self.network, now);
    }

    /// Everybody hangs up, and after the longest timer of SIP nothing is left: no call,
    /// transaction, dialog, timer, tone, port, stream.
    pub fn quiet(&mut self) {
        for id in 0..self.phones.len() {
            self.hang_up(PhoneId(id));
        }
        self.assert_drained();
    }

    /// Nothing is left after the longest timer, although no one does anything.
    pub fn assert_drained(&mut self) {
        let limit = self.now + DRAIN_TIME;
        while self.phones.iter().any(|phone| phone.unrest().is_some()) && self.step(limit) {}
        let unrest: Vec<String> = self.phones.iter().filter_map(SimPhone::unrest).collect();
        assert!(
            unrest.is_empty(),
            "not empty {DRAIN_TIME:?} after the end: {}",
            unrest.join("; ")
        );
        self.assert_guarded();
    }

    /// This phone makes an emergency call, which may go in clear whatever else is required.
    pub fn let_emergency_go_in_clear(&mut self, id: PhoneId) {
        let ip = self.phones[id.0].at.ip();
        self.guarded.retain(|guarded| *guarded != ip);
    }

    /// Nothing left a phone in clear whose calls are all to be encrypted.
    fn assert_guarded(&self) {
        for ip in &self.guarded {
            if let Some(phone) = self.phones.iter().find(|phone| phone.at.ip() == *ip) {
                let found = crate::recorder::examine(&self.network.capture, phone);
                assert!(
                    found.clear.is_empty(),
                    "{} sent in clear: {}",
                    phone.name,
                    found.clear.join("; ")
                );
            }
        }
    }

    /// What a phone sent on its media ports so far, packet by packet.
    pub fn recorded(&self, id: PhoneId) -> crate::recorder::SentMedia {
        crate::recorder::examine(&self.network.capture, &self[id])
    }

    /// The one line a scenario says about itself.
    pub fn report(&self, text: &str) {
        println!(
            "sim {:<28} seed {:<4} {:>9.1} s virtual, {:>7} packets: {text}",
            self.name,
            self.seed,
            self.now.as_secs_f64() - 1.0,
            self.network.capture.count()
        );
    }

    fn pcap_path(&self) -> PathBuf {
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(
            || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target"),
            PathBuf::from,
        );
        target
            .join("sim")
            .join(format!("{}.pcap", self.name.replace([' ', '/'], "-")))
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let failing = std::thread::panicking();
        if !failing {
            // Whatever the scenario was about.
            self.assert_guarded();
        }
        if failing || std::env::var_os("OFFHOOK_SIM_PCAP").is_some() {
            let path = self.pcap_path();
            let written = self.network.capture.write_pcap(&path);
            if failing {
                eprintln!(
                    "scenario {} failed at {:.3} s with seed {} ({written:?}: {})",
                    self.name,
                    self.now.as_secs_f64(),
                    self.seed,
                    path.display()
                );
                eprintln!("{}\n{}", self.states(), self.network.capture.ladder());
                for phone in &self.phones {
                    eprintln!("{} unrest: {:?}", phone.name, phone.unrest());
                    for (at, event) in phone.events.iter().rev().take(25).rev() {
                        eprintln!("  {} {:>10.3} {event}", phone.name, at.as_secs_f64());
                    }
                }
            }
        }
    }
}
