//! One whole phone in the simulation: its control loop, its audio engine, its card, its sockets
//! (numbers only) and its board. It does what the real driver does between them, on virtual time.
//!
//! ```text
//! board ─▶ Control ─▶ Output ─▶ network (SIP) · commands ─▶ (next turn of the card) ─▶ Engine ─▶ network (RTP)
//!              ▲                                                     │
//!              └───────────────── media events ◀──────────────────────┘
//! ```

mod figures;
mod pretend;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use control::api::{ActionError, UserAction};
use control::{
    BoardEvent, Control, Credentials, Identity, KnownPeers, MediaAddresses, MqttEvent, Output,
};
use media::{Command, Engine, EngineConfig, MasterKey, PacketKind, Protection, StreamId};
use phone::{Lamp, LampState};
use serde_json::Value;
use testkit::network::{Datagram, Network, Time};
use testkit::signal::Source;

use crate::card::{Card, CardSetup, Turn};

/// Where TCP leads to in this network: nothing comes back.
const NO_TCP: Option<SocketAddr> = Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9));
/// Media events and outputs of one turn; more means two parts that answer each other for ever.
const MAX_OUTPUTS: usize = 10_000;
/// Where TLS is spoken.
pub const TLS_PORT: u16 = testkit::peer::TLS_PORT;
/// Events kept.
const KEPT_EVENTS: usize = 20_000;

/// The phone's media sockets.
#[derive(Debug)]
struct Ports {
    ip: IpAddr,
    range: (u16, u16),
    open: BTreeMap<u16, (StreamId, PacketKind)>,
}

impl Ports {
    fn open(&mut self, stream: StreamId) -> io::Result<MediaAddresses> {
        let port = (self.range.0..self.range.1)
            .step_by(2)
            .find(|port| !self.open.contains_key(port))
            .ok_or_else(|| io::Error::other("no media port is free"))?;
        self.open.insert(port, (stream, PacketKind::Rtp));
        self.open.insert(port + 1, (stream, PacketKind::Rtcp));
        Ok(MediaAddresses {
            rtp: SocketAddr::new(self.ip, port),
            rtcp: SocketAddr::new(self.ip, port + 1),
        })
    }

    fn close(&mut self, stream: StreamId) {
        self.open.retain(|_, (owner, _)| *owner != stream);
    }
}

/// Names and what they resolve to.
pub type Zone = BTreeMap<String, Vec<sip::Target>>;

/// What was counted beside the phone's own figures.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PhoneCounters {
    /// Datagrams to a port no one listens on.
    pub to_closed_port: u64,
    /// Packets the engine wanted to send from sockets that were closed.
    pub from_closed_port: u64,
    /// RTP packets handed to the engine.
    pub media_in: u64,
    /// RTP packets taken from the engine.
    pub media_out: u64,
}

/// The phone.
pub struct SimPhone {
    /// Its name in the story.
    pub name: String,
    /// Its SIP address.
    pub at: SocketAddr,
    /// Its logic.
    pub control: Control,
    /// Its sound.
    pub engine: Engine,
    /// Its card.
    pub card: Card,
    /// The ringer's cadence, while it rings.
    pub ring: Option<Vec<u16>>,
    /// What its ringer card played in the last second, where it has one.
    pub ringer_card: Option<VecDeque<i16>>,
    /// Its lamps.
    pub lamps: BTreeMap<Lamp, LampState>,
    /// What `ctl events` would have shown.
    pub events: VecDeque<(Time, Value)>,
    /// What it keeps in its state directory.
    pub files: BTreeMap<&'static str, String>,
    /// What was counted.
    pub counters: PhoneCounters,
    /// How often its configuration was looked up again.
    pub look_ups: u32,
    /// The addresses it wanted fetched.
    pub fetched: Vec<String>,
    /// What the broker of home automation keeps, by topic, and the events that came to it.
    pub published: BTreeMap<String, String>,
    /// How often it was to restart.
    pub restarts: u32,
    /// What its appliance was to do.
    pub maintained: Vec<phone::Maintenance>,
    /// Provisioning servers that were keyed.
    pub set_up_servers: Vec<String>,
    /// Whether it has no account, so that no timer at all may run when it is idle.
    pub lineless: bool,
    zone: Zone,
    lookup_delay: Duration,
    lookups: VecDeque<(Time, sip::LookupId, Vec<sip::Target>)>,
    ports: Ports,
    /// The paging groups it listens to, and the stream that is open on each.
    groups: BTreeMap<SocketAddr, Option<StreamId>>,
    /// TLS connections, theirs and ours, and where their far ends are.
    connections: BTreeMap<sip::ConnectionId, SocketAddr>,
    accepted: u64,
    /// Every key its engine was given to protect what it sends with.
    pub keys: Vec<MasterKey>,
    commands: VecDeque<Command>,
    waiting: VecDeque<(Time, SocketAddr, StreamId, PacketKind, Vec<u8>)>,
    capture: Vec<i16>,
    playback: Vec<i16>,
    base: Instant,
    timeout: Option<Time>,
}

impl SimPhone {
    /// A phone on hook.
    #[expect(
        clippy::too_many_arguments,
        reason = "each is one fact of the phone, given once, in `World::phone`"
    )]
    pub fn new(
        name: &str,
        at: SocketAddr,
        config: &config::Config,
        seed: [u8; 32],
        card: CardSetup,
        voice: Source,
        base: Instant,
        now: Time,
    ) -> Self {
        let identity = Identity {
            seed,
            local: at.into(),
            card: (card.rate_hz, card.period),
            ntp: (3_900_000_000 + now.as_secs()) << 32,
            // The key of a run is no part of what is tested; nothing may depend on it.
            credentials: Some(Credentials::make().expect("a key")),
            known: KnownPeers::default(),
            features: ::phone::Features::default(),
            history: control::history::History::default(),
        };
        let engine = EngineConfig {
            rate_hz: card.rate_hz,
            period_frames: card.period,
            sidetone_db: config.audio.sidetone_db,
        };
        let mut phone = Self {
            name: name.to_owned(),
            at,
            control: Control::new(config, identity, base + now),
            engine: Engine::new(engine, base + now),
            ring: None,
            ringer_card: None,
            lamps: BTreeMap::new(),
            events: VecDeque::new(),
            files: BTreeMap::new(),
            counters: PhoneCounters::default(),
            look_ups: 0,
            fetched: Vec::new(),
            published: BTreeMap::new(),
            restarts: 0,
            maintained: Vec::new(),
            set_up_servers: Vec::new(),
            lineless: config.accounts.is_empty(),
            zone: Zone::new(),
            lookup_delay: Duration::from_millis(15),
            lookups: VecDeque::new(),
            ports: Ports {
                ip: at.ip(),
                range: config.network.rtp_ports,
                open: BTreeMap::new(),
            },
            groups: config
                .paging
                .groups
                .iter()
                .map(|(_, at)| (*at, None))
                .collect(),
            connections: BTreeMap::new(),
            accepted: 0,
            keys: Vec::new(),
            commands: VecDeque::new(),
            waiting: VecDeque::new(),
            capture: vec![0; card.period],
            playback: vec![0; card.period],
            card: Card::new(
                CardSetup {
                    start: now + card.start,
                    ..card
                },
                voice,
            ),
            base,
            timeout: None,
        };
        phone.timeout = phone
            .control
            .poll_timeout()
            .map(|at| at.saturating_duration_since(base));
        phone
    }

    /// Names it can resolve; addresses resolve to themselves.
    pub fn set_zone(&mut self, zone: Zone) {
        self.zone = zone;
    }

    /// When it wants to be woken.
    pub fn next(&self) -> Option<Time> {
        [
            self.timeout,
            self.card.next_turn(),
            self.lookups.front().map(|first| first.0),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Fires what is due.
    pub fn wake(&mut self, network: &mut Network, now: Time) {
        while self.lookups.front().is_some_and(|first| first.0 <= now) {
            let Some((_, id, targets)) = self.lookups.pop_front() else {
                break;
            };
            self.control.handle_lookup(id, &targets, self.base + now);
            self.execute(network, now);
        }
        if self.timeout.is_some_and(|at| at <= now) {
            self.control.handle_timeout(self.base + now);
            self.execute(network, now);
        }
        if self.card.next_turn().is_some_and(|at| at <= now) {
            self.turn(network, now);
        }
    }

    /// The board saw something.
    pub fn board(&mut self, event: BoardEvent, network: &mut Network, now: Time) {
        self.control.handle_board(event, self.base + now);
        self.execute(network, now);
    }

    /// Somebody asks for something by `ctl`.
    pub fn request(
        &mut self,
        action: &UserAction,
        network: &mut Network,
        now: Time,
    ) -> Result<(), ActionError> {
        let done = self.control.handle_action(action, self.base + now);
        self.execute(network, now);
        done.map(drop)
    }

    /// Something comes of the connection to its broker.
    pub fn mqtt(&mut self, event: MqttEvent, network: &mut Network, now: Time) {
        self.control.handle_mqtt(event, self.base + now);
        self.execute(network, now);
    }

    /// A datagram came to one of its sockets.
    pub fn receive(&mut self, mut datagram: Datagram, network: &mut Network, now: Time) {
        if datagram.to.port() == self.at.port() {
            self.control
                .handle_datagram(datagram.from, &datagram.bytes, self.base + now);
            self.execute(network, now);
        } else if datagram.to.port() == TLS_PORT {
            self.receive_tls(&datagram, network, now);
        } else if let Some(&(stream, kind)) = self.ports.open.get(&datagram.to.port()) {
            self.counters.media_in += 1;
            if self.card.is_stalled(now) {
                self.waiting
                    .push_back((now, datagram.from, stream, kind, datagram.bytes));
            } else {
                self.engine.handle_packet(
                    stream,
                    kind,
                    datagram.from,
                    &mut datagram.bytes,
                    self.base + now,
                );
                self.hand_over(network, now);
            }
        } else {
            self.counters.to_closed_port += 1;
        }
    }

    /// A datagram to a multicast group; only who listens to it hears it.
    pub fn receive_page(&mut self, datagram: &Datagram, network: &mut Network, now: Time) {
        let Some(open) = self.groups.get(&datagram.to).copied() else {
            return;
        };
        let (from, mut bytes) = (datagram.from, datagram.bytes.clone());
        self.control
            .handle_page(datagram.to, from, &bytes, self.base + now);
        self.execute(network, now);
        if let Some(stream) = open {
            let kind = PacketKind::Rtp;
            self.engine
                .handle_packet(stream, kind, from, &mut bytes, self.base + now);
            self.hand_over(network, now);
        }
    }

    /// A message on a TLS connection; one from somebody new opens it.
    fn receive_tls(&mut self, datagram: &Datagram, network: &mut Network, now: Time) {
        let known = self
            .connections
            .iter()
            .find(|(_, remote)| **remote == datagram.from)
            .map(|(id, _)| *id);
        let connection = known.unwrap_or_else(|| {
            self.accepted += 1;
            let id = sip::ConnectionId((1 << 32) + self.accepted);
            self.connections.insert(id, datagram.from);
            let names = vec![datagram.from.ip().to_string()];
            self.control
                .handle_accepted_tls(id, datagram.from, names, self.base + now);
            id
        });
        self.control
            .handle_stream(connection, &datagram.bytes, self.base + now);
        self.execute(network, now);
    }

    /// The kernel reports that no one listens there.
    pub fn unreachable(&mut self, remote: SocketAddr, network: &mut Network, now: Time) {
        self.control.handle_unreachable(remote, self.base + now);
        self.execute(network, now);
    }

    /// Its addresses are others now.
    pub fn change_addresses(
        &mut self,
        local: sip::LocalAddresses,
        network: &mut Network,
        now: Time,
    ) {
        self.control.handle_local_addresses(local, self.base + now);
        self.execute(network, now);
    }

    /// Orderly shutdown, as `ctl quit` asks for it.
    pub fn shut_down(&mut self, network: &mut Network, now: Time) {
        self.control.shut_down(self.base + now);
        self.execute(network, now);
    }

    fn turn(&mut self, network: &mut Network, now: Time) {
        loop {
            while let Some((arrival, from, stream, kind, mut bytes)) = self.waiting.pop_front() {
                self.engine
                    .handle_packet(stream, kind, from, &mut bytes, self.base + arrival);
            }
            self.hand_over(network, now);
            while let Some(command) = self.commands.pop_front() {
                self.engine.handle_command(command, self.base + now);
            }
            match self.card.read(&mut self.capture, now) {
                Turn::NotYet => break,
                Turn::Xrun(frames) => self.engine.handle_discontinuity(frames as i64),
                Turn::Period => {
                    self.engine
                        .process(&self.capture, &mut self.playback, self.base + now);
                    self.card.write(&self.playback);
                    self.play_bell();
                }
            }
            while let Some(transmit) = self.engine.poll_transmit() {
                let (stream, kind, to, bytes) = (
                    transmit.stream,
                    transmit.socket,
                    transmit.to,
                    transmit.bytes.to_vec(),
                );
                let socket = self
                    .ports
                    .open
                    .iter()
                    .find(|(_, owner)| **owner == (stream, kind))
                    .map(|(port, _)| *port);
                match socket {
                    Some(port) => {
                        self.counters.media_out += 1;
                        network.send(
                            Datagram {
                                from: SocketAddr::new(self.at.ip(), port),
                                to,
                                bytes,
                            },
                            now,
                        );
                    }
                    None => self.counters.from_closed_port += 1,
                }
            }
            self.listen(network, now);
        }
        self.listen(network, now);
    }

    /// Carries the DTLS and STUN that came on media sockets to the control loop.
    fn hand_over(&mut self, network: &mut Network, now: Time) {
        while let Some(datagram) = self.engine.poll_non_media() {
            let (stream, socket, from, bytes) = (
                datagram.stream,
                datagram.socket,
                datagram.from,
                datagram.bytes.to_vec(),
            );
            self.control
                .handle_non_media(stream, socket, from, &bytes, self.base + now);
            self.execute(network, now);
        }
    }

    /// Carries what the engine reports to the control loop.
    fn listen(&mut self, network: &mut Network, now: Time) {
        for _ in 0..MAX_OUTPUTS {
            let Some(event) = self.engine.poll_event() else {
                return;
            };
            self.control.handle_media(event, self.base + now);
            self.execute(network, now);
        }
        panic!("{}: the engine never stops reporting", self.name);
    }

    /// Does what the control loop wants done.
    fn execute(&mut self, network: &mut Network, now: Time) {
        for _ in 0..MAX_OUTPUTS {
            let Some(output) = self.control.poll_output() else {
                self.timeout = self
                    .control
                    .poll_timeout()
                    .map(|at| at.saturating_duration_since(self.base));
                return;
            };
            match output {
                Output::Sip(transmit) => match transmit.flow {
                    sip::Flow::Udp { remote } => network.send(
                        Datagram {
                            from: self.at,
                            to: remote,
                            bytes: transmit.bytes,
                        },
                        now,
                    ),
                    // TLS is a way no one reads, from its port to its port; what it takes to build
                    // it is not simulated.
                    sip::Flow::Tls { remote, .. } => network.send(
                        Datagram {
                            from: SocketAddr::new(self.at.ip(), TLS_PORT),
                            to: remote,
                            bytes: transmit.bytes,
                        },
                        now,
                    ),
                    sip::Flow::Tcp { remote, .. } => {
                        panic!("{}: TCP to {remote}, which no one opened", self.name)
                    }
                },
                Output::Connect {
                    connection,
                    remote,
                    transport: sip::Transport::Tls,
                    ..
                } => {
                    self.connections.insert(connection, remote);
                    self.control
                        .handle_connected(connection, remote, self.base + now);
                }
                // No TCP in this network: every connection is refused, as by a host without a
                // listener.
                Output::Connect { connection, .. } => {
                    self.control.handle_closed(connection, self.base + now);
                }
                Output::Disconnect(connection) => {
                    self.connections.remove(&connection);
                }
                Output::Maintenance(what) => {
                    self.restarts += u32::from(what == phone::Maintenance::Reboot);
                    self.maintained.push(what);
                }
                Output::SetUpServer(url) => self.set_up_servers.push(url),
                Output::LookUpConfiguration => self.look_ups += 1,
                Output::Fetch(url) => self.fetched.push(url),
                Output::Publish(sent) => drop(self.published.insert(sent.topic, sent.payload)),
                Output::Lookup(lookup) => {
                    let targets = self.resolve(&lookup);
                    self.lookups
                        .push_back((now + self.lookup_delay, lookup.id, targets));
                }
                Output::TurnLink(link) => self.control.handle_turn_link(link.id, NO_TCP),
                Output::OpenMedia(stream) => {
                    let opened = self.ports.open(stream);
                    self.control
                        .handle_media_sockets(stream, opened, self.base + now);
                }
                Output::OpenGroup { stream, group } => {
                    self.groups.insert(group, Some(stream));
                    self.control
                        .handle_group_socket(stream, Ok(()), self.base + now);
                }
                Output::CloseMedia(stream) => {
                    self.ports.close(stream);
                    for open in self
                        .groups
                        .values_mut()
                        .filter(|open| **open == Some(stream))
                    {
                        *open = None;
                    }
                }
                Output::Media(command) => {
                    if let Command::Start(stream) = &command
                        && let Protection::Srtp { send, .. } = &stream.config().protection
                        && !self.keys.contains(send)
                    {
                        self.keys.push(send.clone());
                    }
                    self.commands.push_back(command);
                }
                Output::WriteSettings(text) => {
                    self.files.insert("offhook.toml", text);
                    self.control.handle_settings_written(true, self.base + now);
                }
                Output::Keep { file, text } => {
                    self.files.insert(file, text);
                }
                Output::Datagram(datagram) => {
                    let owner = (datagram.stream, datagram.socket);
                    match self.ports.open.iter().find(|(_, open)| **open == owner) {
                        Some((port, _)) => network.send(
                            Datagram {
                                from: SocketAddr::new(self.at.ip(), *port),
                                to: datagram.to,
                                bytes: datagram.bytes,
                            },
                            now,
                        ),
                        None => self.counters.from_closed_port += 1,
                    }
                }
                Output::Ring(cadence) => self.ring = cadence,
                Output::Lamp(lamp, state) => {
                    self.lamps.insert(lamp, state);
                }
                Output::Event(event) => {
                    if self.events.len() == KEPT_EVENTS {
                        self.events.pop_front();
                    }
                    let event = serde_json::to_value(&event).unwrap_or_default();
                    self.events.push_back((now, event));
                }
            }
        }
        panic!("{}: the control loop never stops wanting", self.name);
    }

    fn resolve(&self, lookup: &sip::agent::Lookup) -> Vec<sip::Target> {
        if let Ok(ip) = lookup.host.trim_matches(['[', ']']).parse() {
            let address = SocketAddr::new(ip, lookup.port.unwrap_or(5060));
            return vec![sip::Target {
                transport: lookup.transport.unwrap_or(sip::Transport::Udp),
                address,
            }];
        }
        self.zone.get(&lookup.host).cloned().unwrap_or_default()
    }
}
