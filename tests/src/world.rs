//! The world a scenario lives in: phones, scripted peers, a registrar and the network, on one virtual clock. A scenario reads like
//! a story about `l` and `r`; the world moves time forward to the next thing that happens, and nothing else moves it.
//!
//! ```text
//! story ─▶ lift, press, hang_up, expect, run ─▶ World ─▶ next event: network · timer · card · finger
//!                                                  └─▶ at the end: quiet() – every table, timer, port and stream is empty
//! ```
//!
//! A scenario that fails prints its seed and the signalling, and leaves `target/sim/NAME.pcap`. `OFFHOOK_SIM_PCAP=1` leaves one always.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::{Index, IndexMut};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use board::BoardEvent;
use offhook::control::Request;
use phone::State;
use rand_core::Rng;

use crate::card::CardSetup;
use crate::measure::{Clip, Match, align, align_parts, holes, median};
use crate::network::{Datagram, Fate, Network, Time, stream};
use crate::peer::{Message, Peer};
use crate::phone::{SimPhone, TLS_PORT};
use crate::registrar::{Registrar, address_of, via_address};
use crate::signal::{Source, resample};

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

/// Longest time after which everything must be empty: 64·T1 for the slowest transactions, and a little.
const SETTLE: Duration = Duration::from_secs(75);

/// What a phone of the story is like. The defaults: an 8 kHz card with 20 ms periods, PCMU, no account, speed dials to every
/// phone (`201` is `l`) and scripted peer (`301` is the first).
#[derive(Debug, Clone)]
pub struct Setup {
    /// Further lines of its `offhook.toml`, by section, after those the world writes itself.
    pub sections: BTreeMap<String, String>,
    /// Its `[[account]]` sections.
    pub accounts: String,
    /// Country.
    pub country: String,
    /// `codecs.order`.
    pub codecs: String,
    /// Its card.
    pub card: CardSetup,
    /// What its user says; `None`: a voice of its own.
    pub voice: Option<Source>,
    /// Its speed dials go by TLS.
    pub tls: bool,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            sections: BTreeMap::new(),
            accounts: String::new(),
            country: "de".to_owned(),
            codecs: "\"pcmu\"".to_owned(),
            card: CardSetup::new(8_000, 20),
            voice: None,
            tls: false,
        }
    }
}

impl Setup {
    /// A card with this rate and period.
    #[must_use]
    pub fn card(mut self, rate_hz: u32, period_ms: u32) -> Self {
        self.card = CardSetup {
            start: self.card.start,
            ..CardSetup::new(rate_hz, period_ms)
        };
        self
    }

    /// Codecs, best first, as in the configuration: `"opus", "pcmu"`.
    #[must_use]
    pub fn codecs(mut self, order: &str) -> Self {
        order.clone_into(&mut self.codecs);
        self
    }

    /// Further lines of a section of its configuration: `("call", "waiting = false")`.
    #[must_use]
    pub fn toml(mut self, section: &str, lines: &str) -> Self {
        let text = self.sections.entry(section.to_owned()).or_default();
        text.push_str(lines);
        text.push('\n');
        self
    }

    /// Calls go by TLS.
    #[must_use]
    pub fn tls(mut self) -> Self {
        self.tls = true;
        self
    }

    /// A country.
    #[must_use]
    pub fn country(mut self, code: &str) -> Self {
        code.clone_into(&mut self.country);
        self
    }

    /// What its user says.
    #[must_use]
    pub fn voice(mut self, source: Source) -> Self {
        self.voice = Some(source);
        self
    }

    /// An account at the registrar of the world, `10.0.0.100`.
    #[must_use]
    pub fn account(self, user: &str, password: &str) -> Self {
        self.account_with(user, password, "10.0.0.100", "")
    }

    /// An account with further lines.
    #[must_use]
    pub fn account_with(mut self, user: &str, password: &str, domain: &str, lines: &str) -> Self {
        let _ = writeln!(
            self.accounts,
            "[[account]]\nuser = \"{user}\"\ndomain = \"{domain}\"\npassword = \"{password}\"\n{lines}"
        );
        self
    }
}

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
    phones: Vec<SimPhone>,
    /// Phones none of whose calls may ever be in clear.
    guarded: Vec<IpAddr>,
    peers: Vec<Peer>,
    fingers: BinaryHeap<Reverse<Action>>,
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
    /// An empty world for the scenario of this name. `OFFHOOK_SIM_SEED` replaces the seed, to look at other draws.
    pub fn new(name: &str, seed: u64) -> Self {
        let seed = std::env::var("OFFHOOK_SIM_SEED")
            .ok()
            .and_then(|text| text.parse().ok())
            .unwrap_or(seed);
        Self {
            name: name.to_owned(),
            seed,
            // The one clock reading: every Instant of the world is this plus virtual time, and only differences are ever looked at.
            base: Instant::now(),
            now: secs(1),
            network: Network::new(seed),
            registrar: None,
            phones: Vec::new(),
            guarded: Vec::new(),
            peers: Vec::new(),
            fingers: BinaryHeap::new(),
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
        let mut rng = stream(self.seed, &format!("phone {name}"));
        let mut seed = [0u8; 32];
        rng.fill_bytes(&mut seed);
        let config = configuration(&name, at.ip(), &setup);
        let required = |mode| mode == Some(config::schema::PrivacyMode::Required);
        if required(config.privacy.mode) && config.accounts.iter().all(|a| a.privacy.is_none() || required(a.privacy)) {
            self.guarded.push(at.ip());
        }
        let voice = setup
            .voice
            .clone()
            .unwrap_or_else(|| Source::voice(100 + id as u64, setup.card.rate_hz));
        // Cards that tick together would hide what happens between their ticks.
        let start = setup.card.start + Duration::from_micros(1_300 * (id as u64 + 1));
        let card = CardSetup { start, ..setup.card };
        self.phones
            .push(SimPhone::new(&name, at, &config, seed, card, voice, self.base, self.now));
        PhoneId(id)
    }

    /// Adds a scripted peer: 10.0.0.9, 10.0.0.10, …
    pub fn peer(&mut self) -> PeerId {
        let id = self.peers.len();
        self.peers.push(Peer::new(SocketAddr::new(peer_ip(PeerId(id)), 5060)));
        PeerId(id)
    }

    /// Adds a scripted peer that speaks TLS.
    pub fn tls_peer(&mut self) -> PeerId {
        let id = self.peers.len();
        self.peers.push(Peer::new(SocketAddr::new(peer_ip(PeerId(id)), TLS_PORT)));
        PeerId(id)
    }

    /// Adds a registrar at 10.0.0.100 that knows these users.
    pub fn add_registrar(&mut self, users: &[(&str, &str)]) -> &mut Registrar {
        let at = SocketAddr::new(registrar_ip(), 5060);
        self.registrar.insert(Registrar::new(at, users))
    }

    /// The registrar; a scenario that asks for one it never added is wrong.
    pub fn reg(&mut self) -> &mut Registrar {
        self.registrar.as_mut().expect("this world has no registrar")
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
        take(self.fingers.peek().map(|Reverse(action)| action.at));
        for phone in &self.phones {
            take(phone.next());
        }
        next
    }

    /// Moves to the next thing that happens, if it happens before `limit`; tells whether it did.
    fn step(&mut self, limit: Time) -> bool {
        let Some(at) = self.next_event().filter(|at| *at <= limit) else {
            self.now = self.now.max(limit);
            return false;
        };
        self.spinning = if at > self.now { 0 } else { self.spinning + 1 };
        assert!(self.spinning < 100_000, "time stands still at {:?}: a timer spins", self.now);
        self.turns += 1;
        self.now = self.now.max(at);
        let now = self.now;
        while let Some(datagram) = self.network.pop_due(now) {
            self.deliver(datagram);
        }
        while self.fingers.peek().is_some_and(|Reverse(action)| action.at <= now) {
            if let Some(Reverse(action)) = self.fingers.pop() {
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
        if let Some(phone) = self.phones.iter_mut().find(|phone| phone.at.ip() == ip) {
            phone.receive(datagram, &mut self.network, now);
        } else if let Some(peer) = self.peers.iter_mut().find(|peer| peer.at.ip() == ip) {
            peer.receive(&datagram, now);
        } else if let Some(registrar) = self.registrar.as_mut().filter(|registrar| registrar.at.ip() == ip) {
            for reply in registrar.handle(&datagram, now) {
                self.network.send(reply, now);
            }
        }
        // To nobody: it vanishes, as on a network.
    }

    /// Lets this much time pass.
    pub fn run(&mut self, length: Duration) {
        let limit = self.now + length;
        while self.step(limit) {}
    }

    /// Lets time pass until this holds; a scenario in which it does not hold within the given time fails.
    pub fn until(&mut self, what: &str, within: Duration, mut holds: impl FnMut(&Self) -> bool) {
        let limit = self.now + within;
        while !holds(self) {
            assert!(self.step(limit) || holds(self), "not within {within:?}: {what}; {}", self.states());
        }
    }

    /// Lets time pass until the phone is in this state.
    pub fn expect_state(&mut self, id: PhoneId, state: State, within: Duration) {
        self.until(&format!("{} in {state:?}", self[id].name), within, |world| world.state(id) == state);
    }

    /// What a phone is doing.
    pub fn state(&self, id: PhoneId) -> State {
        self[id].control.state()
    }

    fn states(&self) -> String {
        self.phones
            .iter()
            .map(|phone| format!("{}: {:?} tone {:?}", phone.name, phone.control.state(), phone.control.tone()))
            .collect::<Vec<_>>()
            .join(", ")
    }

    // ---------------------------------------------------------------- fingers

    /// A finger does something later.
    pub fn finger(&mut self, id: PhoneId, after: Duration, event: BoardEvent) {
        self.order += 1;
        self.fingers.push(Reverse(Action {
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

    /// Presses these keys in a person's rhythm and waits until the last is up.
    pub fn press(&mut self, id: PhoneId, keys: &str) {
        for key in keys.chars() {
            self.board(id, BoardEvent::KeyDown(key));
            self.run(ms(80));
            self.board(id, BoardEvent::KeyUp(key));
            self.run(ms(60));
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
    pub fn request(&mut self, id: PhoneId, request: &Request) -> Result<(), String> {
        let now = self.now;
        self.phones[id.0].request(request, &mut self.network, now)
    }

    /// Orderly shutdown of a phone.
    pub fn shut_down(&mut self, id: PhoneId) {
        let now = self.now;
        self.phones[id.0].shut_down(&mut self.network, now);
    }

    /// Names every phone can resolve.
    pub fn set_zone(&mut self, names: &[(&str, &[&str])]) {
        let targets = |addresses: &[&str]| {
            let target = |address: &&str| sip::Target {
                transport: sip::Transport::Udp,
                address: address.parse().expect("an address and port"),
            };
            addresses.iter().map(target).collect::<Vec<_>>()
        };
        for phone in &mut self.phones {
            phone.set_zone(
                names
                    .iter()
                    .map(|(name, addresses)| ((*name).to_owned(), targets(addresses)))
                    .collect(),
            );
        }
    }

    /// The kernel tells a phone that nobody listens at this address.
    pub fn unreachable(&mut self, id: PhoneId, remote: SocketAddr) {
        let now = self.now;
        self.phones[id.0].unreachable(remote, &mut self.network, now);
    }

    // ---------------------------------------------------------------- network

    /// Loses the first `count` packets of this kind (`"ACK"`, `"SIP/2.0 200 INVITE"`: a response and its method) from this address.
    pub fn lose_first(&mut self, from: IpAddr, what: &str, count: u32) {
        let (start, about) = match what.strip_prefix("SIP/2.0 ").and_then(|rest| rest.split_once(' ')) {
            Some((code, method)) => (format!("SIP/2.0 {code}"), Some(method.to_owned())),
            None => (what.to_owned(), None),
        };
        let mut left = count;
        self.network.add_rule(
            &format!("lose {what}"),
            Box::new(move |packet, _| {
                let hit = left > 0
                    && packet.from.ip() == from
                    && packet.is_sip(&start)
                    && about.as_ref().is_none_or(|method| packet.is_about(method));
                left -= u32::from(hit);
                if hit { Fate::Lose } else { Fate::Pass }
            }),
        );
    }

    /// Nothing goes to or from this address, from now for this long.
    pub fn cut_off(&mut self, ip: IpAddr, length: Duration) {
        let (from, until) = (self.now, self.now + length);
        self.network.add_rule(
            &format!("cut {ip} {from:?}"),
            Box::new(move |packet, now| {
                let hit = (from..until).contains(&now) && (packet.from.ip() == ip || packet.to.ip() == ip);
                if hit { Fate::Lose } else { Fate::Pass }
            }),
        );
    }

    // ---------------------------------------------------------------- scripted peer

    /// The next message at a peer, which must be this: a method, or a code with the method (`"200 INVITE"`).
    pub fn expect(&mut self, id: PeerId, what: &str) -> Message {
        self.expect_within(id, what, secs(5))
    }

    /// [`World::expect`] with its own patience.
    pub fn expect_within(&mut self, id: PeerId, what: &str, within: Duration) -> Message {
        self.until(&format!("peer gets {what}"), within, |world| !world[id].mailbox.is_empty());
        let (_, _, message) = self[id].mailbox.pop_front().expect("it is not empty");
        let is = match message.code() {
            Some(code) => format!("{code} {}", message.header("cseq").split(' ').nth(1).unwrap_or("")),
            None => message.method().to_owned(),
        };
        assert_eq!(is, what, "peer got\n{}", message.text());
        message
    }

    /// Nothing comes to a peer for this long.
    pub fn expect_nothing(&mut self, id: PeerId, length: Duration) {
        self.run(length);
        if let Some((at, _, message)) = self[id].mailbox.front() {
            panic!("peer got at {at:?}\n{}", message.text());
        }
    }

    /// A peer sends a message: a response along its Via, a request to its Route or Request-URI.
    pub fn say(&mut self, id: PeerId, message: &Message) {
        let to = if message.code().is_some() {
            via_address(message.header("via"))
        } else {
            message
                .all("route")
                .first()
                .and_then(|route| address_of(crate::peer::bare(route)))
                .or_else(|| address_of(message.uri()))
        };
        let to = to.unwrap_or_else(|| panic!("no address to send this to:\n{}", message.text()));
        self.say_raw(id, to, message.text().into_bytes());
    }

    /// A peer sends these bytes from its SIP port.
    pub fn say_raw(&mut self, id: PeerId, to: SocketAddr, bytes: Vec<u8>) {
        let from = self[id].at;
        self.send_from(from, to, bytes);
    }

    /// Anybody sends these bytes.
    pub fn send_from(&mut self, from: SocketAddr, to: SocketAddr, bytes: Vec<u8>) {
        let now = self.now;
        self.network.send(Datagram { from, to, bytes }, now);
    }

    // ---------------------------------------------------------------- sound

    /// What was said at `from` in the last `length`, against what was heard at `to`: the middle of parts of 200 ms.
    pub fn compare(&self, from: PhoneId, to: PhoneId, length: Duration) -> Match {
        let parts = self.compare_parts(from, to, length);
        assert!(!parts.is_empty(), "{} said nothing in the last {length:?}", self[from].name);
        Match {
            delay_s: median(parts.iter().map(|part| part.delay_s)),
            correlation: median(parts.iter().map(|part| part.correlation)),
            gain_db: median(parts.iter().map(|part| part.gain_db)),
        }
    }

    /// [`World::compare`], each part.
    pub fn compare_parts(&self, from: PhoneId, to: PhoneId, length: Duration) -> Vec<Match> {
        let (said, heard) = self.both(from, to, length);
        align_parts(&said, &heard, 0.2, LONGEST_DELAY.as_secs_f64())
    }

    /// One alignment of the whole of the last `length`: for delays to a fraction of a millisecond.
    pub fn delay(&self, from: PhoneId, to: PhoneId, length: Duration) -> Match {
        let (said, heard) = self.both(from, to, length);
        align(&said, &heard, LONGEST_DELAY.as_secs_f64())
    }

    /// Both on the world's time line, at the lower of the two cards' rates; above 8 kHz there is no speech to compare.
    fn both(&self, from: PhoneId, to: PhoneId, length: Duration) -> (Clip, Clip) {
        let start = self.now.saturating_sub(length + LONGEST_DELAY);
        let said = self[from].card.said.clip(start, length + LONGEST_DELAY);
        let heard = self[to].card.heard.clip(start, length + LONGEST_DELAY);
        let rate_hz = said.rate_hz.min(heard.rate_hz).min(16_000);
        let bring = |clip: Clip| Clip {
            rate_hz,
            samples: resample(&clip.samples, clip.rate_hz, rate_hz),
        };
        (bring(said), bring(heard))
    }

    /// Speech goes both ways, each side hears the other and not itself, at the level it was said (±3 dB).
    pub fn assert_speech_both_ways(&self, l: PhoneId, r: PhoneId, length: Duration, at_least: f64) -> (Match, Match) {
        let one = self.assert_speech(l, r, length, at_least);
        let other = self.assert_speech(r, l, length, at_least);
        let own = self.compare(l, l, length);
        assert!(own.correlation < 0.6, "{} hears itself: {own:?}", self[l].name);
        (one, other)
    }

    /// Speech goes from one to the other.
    pub fn assert_speech(&self, from: PhoneId, to: PhoneId, length: Duration, at_least: f64) -> Match {
        let found = self.compare(from, to, length);
        let way = format!("{} to {}", self[from].name, self[to].name);
        let parts = || {
            let parts = self.compare_parts(from, to, length);
            parts
                .iter()
                .map(|part| format!("{:.1}/{:.2}", part.delay_s * 1e3, part.correlation))
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert!(
            found.correlation >= at_least,
            "speech from {way}: {found:?}, wanted {at_least}; ms/likeness of each part: {}",
            parts()
        );
        assert!(found.gain_db.abs() < 3.0, "level from {way}: {found:?}");
        found
    }

    /// Share of the loud 10 ms frames said at `from` that are holes in what `to` heard, in the last `length`.
    pub fn holes(&self, from: PhoneId, to: PhoneId, length: Duration) -> f64 {
        let (said, heard) = self.both(from, to, length);
        holes(&said, &heard, self.compare(from, to, length).delay_s)
    }

    /// What a phone's ear heard in the last `length`.
    pub fn heard(&self, id: PhoneId, length: Duration) -> Clip {
        // What is written to the card now is heard a little later: look at what is surely out.
        let queue = self[id].card.setup();
        let late = Duration::from_secs_f64((queue.queue * queue.period) as f64 / f64::from(queue.rate_hz));
        self[id].card.heard.clip(self.now.saturating_sub(length + late), length)
    }

    /// Nothing is heard in a phone's ear.
    pub fn assert_silent(&self, id: PhoneId, length: Duration) {
        let level = self.heard(id, length).level_dbfs();
        assert!(level < -60.0, "{} hears something: {level:.1} dBFS", self[id].name);
    }

    // ---------------------------------------------------------------- the end

    /// Everybody hangs up, and after the longest timer of SIP nothing is left: no call, transaction, dialog, timer, tone, port, stream.
    pub fn quiet(&mut self) {
        for id in 0..self.phones.len() {
            self.hang_up(PhoneId(id));
        }
        self.settle();
    }

    /// Nothing is left after the longest timer, without anybody doing anything.
    pub fn settle(&mut self) {
        let limit = self.now + SETTLE;
        while self.phones.iter().any(|phone| phone.unrest().is_some()) && self.step(limit) {}
        let unrest: Vec<String> = self.phones.iter().filter_map(SimPhone::unrest).collect();
        assert!(unrest.is_empty(), "not empty {SETTLE:?} after the end: {}", unrest.join("; "));
        self.assert_guarded();
    }

    /// Nothing left a phone in clear whose calls are all to be encrypted.
    fn assert_guarded(&self) {
        for ip in &self.guarded {
            if let Some(phone) = self.phones.iter().find(|phone| phone.at.ip() == *ip) {
                let found = crate::recorder::examine(&self.network.wire, phone);
                assert!(found.clear.is_empty(), "{} sent in clear: {}", phone.name, found.clear.join("; "));
            }
        }
    }

    /// What a phone sent on its media ports so far, packet by packet.
    pub fn recorded(&self, id: PhoneId) -> crate::recorder::Found {
        crate::recorder::examine(&self.network.wire, &self[id])
    }

    /// The one line a scenario says about itself.
    pub fn report(&self, text: &str) {
        println!(
            "sim {:<28} seed {:<4} {:>9.1} s virtual, {:>7} packets: {text}",
            self.name,
            self.seed,
            self.now.as_secs_f64() - 1.0,
            self.network.wire.count()
        );
    }

    fn pcap_path(&self) -> PathBuf {
        let target =
            std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target"), PathBuf::from);
        target.join("sim").join(format!("{}.pcap", self.name.replace([' ', '/'], "-")))
    }
}

/// Likeness from which speech counts as heard while a jitter buffer may still be moving its delay, a sample now and then.
pub const HEARD: f64 = 0.85;

/// Longest delay looked for when speech is compared.
const LONGEST_DELAY: Duration = Duration::from_millis(400);

impl Drop for World {
    fn drop(&mut self) {
        let failing = std::thread::panicking();
        if !failing {
            // Whatever the scenario was about.
            self.assert_guarded();
        }
        if failing || std::env::var_os("OFFHOOK_SIM_PCAP").is_some() {
            let path = self.pcap_path();
            let written = self.network.wire.write_pcap(&path);
            if failing {
                eprintln!(
                    "scenario {} failed at {:.3} s with seed {} ({written:?}: {})",
                    self.name,
                    self.now.as_secs_f64(),
                    self.seed,
                    path.display()
                );
                eprintln!("{}\n{}", self.states(), self.network.wire.ladder());
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

/// Address of a phone.
pub fn phone_ip(id: PhoneId) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, id.0 as u8 + 1))
}

/// Address of a scripted peer.
pub fn peer_ip(id: PeerId) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, id.0 as u8 + 9))
}

/// Address of the registrar.
pub fn registrar_ip() -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, 100))
}

/// The number that speed-dials a phone.
pub fn number_of(id: PhoneId) -> String {
    format!("20{}", id.0 + 1)
}

/// The number that speed-dials a scripted peer.
pub fn number_of_peer(id: PeerId) -> String {
    format!("30{}", id.0 + 1)
}

fn configuration(name: &str, ip: IpAddr, setup: &Setup) -> config::Config {
    let mut sections: BTreeMap<String, String> = BTreeMap::new();
    let mut add = |section: &str, lines: &str| {
        let text = sections.entry(section.to_owned()).or_default();
        text.push_str(lines);
        text.push('\n');
    };
    add(
        "phone",
        &format!("country = \"{}\"\nname = \"{name}\"\nuser = \"{name}\"", setup.country),
    );
    add("network", &format!("bind = \"{ip}\"\nsip_port = 5060\nrtp_ports = [20000, 20019]"));
    add("codecs", &format!("order = [{}]", setup.codecs));
    add("control", "socket = \"/nowhere/ctl.sock\"\nstate_dir = \"/nowhere\"");
    add("board", "profile = \"sim\"");
    if !setup.sections.get("dial").is_some_and(|own| own.contains("digit_map")) {
        add("dial", "digit_map = \"[2-9]xx\"");
    }
    let way = if setup.tls { ":5061;transport=tls" } else { "" };
    for id in 0..5 {
        let id = PhoneId(id);
        add(
            "dial.speed",
            &format!("{} = \"sip:{}@{}{way}\"", number_of(id), id.0 + 1, phone_ip(id)),
        );
    }
    for id in 0..3 {
        let id = PeerId(id);
        add(
            "dial.speed",
            &format!("{} = \"sip:script@{}{way}\"", number_of_peer(id), peer_ip(id)),
        );
    }
    for (section, lines) in &setup.sections {
        add(section, lines);
    }
    let mut text = String::new();
    for (section, lines) in &sections {
        let _ = writeln!(text, "[{section}]\n{lines}");
    }
    text += &setup.accounts;
    config::load(&text, "simulated offhook.toml").unwrap_or_else(|error| panic!("configuration of {name}:\n{text}\n{error:?}"))
}
