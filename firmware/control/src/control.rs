//! The control loop's logic: inputs are carried to the phone, the user agent, the handshakes and
//! the calls; what they want becomes [`Output`].
//!
//! ```text
//! board, ctl ─▶ phone::Phone ─▶ phone_output ─▶ sip::UserAgent ─▶ Output::Sip, Connect, Lookup …
//!                    ▲               └────────▶ Output::Media (tones, digits), OpenMedia
//! SIP bytes ─▶ sip::UserAgent ─▶ sip_event ─▶ Output::Media (streams)
//! media::Event ─▶ media_event                 DTLS of a media socket ─▶ dtls ─▶ dtls_event ─▶ streams with keys
//! ```
//!
//! Every `handle_*` ends in [`Control::drain`], which carries values between phone, agent and
//! handshakes until none has more.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use config::country::CountryPlan;
use phone::{CallId, Input};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use types::{Lamp, LampState};

use crate::accounts::Accounts;
use crate::agent_config::agent_config;
use crate::automation::Automation;
use crate::calls::Calls;
use crate::credentials::Credentials;
use crate::display::DisplayState;
use crate::dtls::DtlsEndpoints;
use crate::history::{History, HistoryEntry};
use crate::ice::{IceEndpoints, Servers};
use crate::key_script::KeyScript;
use crate::known_peers::KnownPeers;
use crate::note::Note;
use crate::outbox::Outbox;
use crate::paging::Paging;
use crate::quality::QualityReport;
use crate::ring_sounds::RingSounds;
use crate::status::{AudioStatus, CallStatus, IoCounters};
use crate::stream_factory::StreamFactory;
use crate::wall_clock::WallClock;
use contacts::Contacts;

mod automation;
mod contacts;
mod dtls_event;
mod early_media;
mod event_packages;
mod handset;
mod ice_event;
mod media_event;
mod media_sockets;
mod messages;
mod pages;
mod phone_output;
mod quality_report;
mod report;
mod screen;
mod sip_event;
#[cfg(test)]
mod tests;
mod voice;

pub use crate::output::Output;
use event_packages::EventPackages;
use media_sockets::{PreparedSockets, Waiting};
use messages::TextMessages;

/// Rounds of one turn; more than any needs, so that a mistake cannot hang the phone.
const MAX_ROUNDS: usize = 1000;

/// Longer than any call.
const NO_MEDIA_TIMEOUT: Duration = Duration::from_secs(10 * 365 * 86_400);

/// What differs between two phones with the same configuration.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Seed of everything unguessable.
    pub seed: [u8; 32],
    /// Our SIP addresses.
    pub local: sip::LocalAddresses,
    /// The sound card's rate in Hz and period in frames.
    pub card: (u32, usize),
    /// Wall-clock time of `now` as NTP 32.32.
    pub ntp: u64,
    /// The phone's certificate and key; without them there is no DTLS-SRTP.
    pub credentials: Option<Credentials>,
    /// The peers it met before.
    pub known: KnownPeers,
    /// What was set from the handset in earlier runs.
    pub features: phone::Features,
    /// The calls of earlier runs.
    pub history: History,
}

/// How full everything is; all zero when nothing goes on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tables {
    /// The user agent's own.
    pub sip: sip::agent::Tables,
    /// Calls that are not over, or whose stream the engine has not returned.
    pub calls: usize,
    /// Streams in the engine.
    pub streams: usize,
    /// Calls that wait for the sockets of their stream, and sockets that wait for their call.
    pub awaiting_sockets: usize,
    /// Keys waiting to be pressed.
    pub keys: usize,
    /// Sockets on which DTLS may come.
    pub dtls: usize,
    /// Streams whose addresses were asked for.
    pub ice: usize,
}

impl Tables {
    /// Whether nothing at all goes on.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The logic of a whole phone but for its sound.
pub struct Control {
    config: config::Config,
    plan: &'static CountryPlan,
    phone: phone::Phone,
    agent: sip::UserAgent,
    dtls: DtlsEndpoints,
    ice: IceEndpoints,
    servers: Servers,
    known: KnownPeers,
    history: History,
    contacts: Contacts,
    automation: Automation,
    /// The wall-clock time of some instant as NTP 32.32.
    wall_clock: (Instant, u64),
    calls: Calls,
    accounts: Accounts,
    /// Mailboxes, watched phones, and what servers ask for.
    packages: EventPackages,
    messages: TextMessages,
    /// The calls the handset is connected with, as the phone said last.
    connected: Vec<CallId>,
    key_script: KeyScript,
    streams: StreamFactory,
    awaiting_sockets: Vec<Waiting>,
    prepared_sockets: PreparedSockets,
    outbox: Outbox,
    line_lamp: LineLamp,
    /// None: there is no display.
    display: Option<DisplayState>,
    /// The card plays the bell.
    rings_by_sound: bool,
    ring_sounds: RingSounds,
    paging: Paging,
    voice: voice::Voice,
    last_call: Option<CallStatus>,
    /// How it sounded.
    last_quality: Option<QualityReport>,
    clock: WallClock,
    audio: AudioStatus,
    io: IoCounters,
    config_note: Option<String>,
    /// Why nothing leads out of this machine.
    network_fault: Option<String>,
    /// Devices of the board that are not in use.
    hardware_faults: Vec<String>,
    /// SHA-256 of this phone's certificate.
    fingerprint: Option<String>,
    rtp_rejected: u64,
    closing: bool,
}

/// What the lamp of the line shows: the line's state, or what is wrong.
#[derive(Debug)]
struct LineLamp {
    line: LampState,
    /// Code of what is wrong with the configuration; heard before dial tone, too.
    fault: Option<u8>,
}

impl LineLamp {
    fn shown(&self) -> LampState {
        self.fault.map_or(self.line, LampState::Code)
    }
}

impl Control {
    /// A phone on hook.
    pub fn new(config: &config::Config, identity: Identity, now: Instant) -> Self {
        let mut rng = ChaCha20Rng::from_seed(identity.seed);
        let mut agent_seed = [0; 32];
        rng.fill_bytes(&mut agent_seed);
        let mut ice_seed = [0; 32];
        rng.fill_bytes(&mut ice_seed);
        let mut phone = phone::Phone::new(config);
        phone.restore(identity.features);
        phone.set_recent(identity.history.dialled(), identity.history.last_caller());
        let voice = voice::Voice::new(config, identity.card.0, &identity.local);
        let fingerprint = identity
            .credentials
            .as_ref()
            .map(Credentials::fingerprint_text);
        let dtls = DtlsEndpoints::new(identity.credentials);
        let agent = agent_config(
            config,
            identity.local,
            dtls.fingerprint().as_ref(),
            agent_seed,
        );
        let (rate_hz, period) = identity.card;
        let mut control = Self {
            plan: config::country::plan(config.phone.country),
            agent: sip::UserAgent::new(agent, now),
            dtls,
            ice: IceEndpoints::new(ice_seed),
            servers: Servers::new(config, now),
            known: identity.known,
            history: identity.history,
            contacts: Contacts::new(config),
            automation: automation::new(config, &phone),
            wall_clock: (now, identity.ntp),
            calls: Calls::default(),
            accounts: Accounts::new(config),
            packages: EventPackages::new(config),
            messages: TextMessages::default(),
            connected: Vec::new(),
            key_script: KeyScript::default(),
            streams: StreamFactory::new(
                rng,
                match config.call.media_timeout_s {
                    0 => NO_MEDIA_TIMEOUT,
                    seconds => Duration::from_secs(seconds.into()),
                },
                identity.card,
                (now, identity.ntp),
                media::dtmf::Timing {
                    shortest_ms: config.call.dtmf_ms,
                    gap_ms: config.call.dtmf_gap_ms,
                },
            ),
            awaiting_sockets: Vec::new(),
            prepared_sockets: PreparedSockets::default(),
            outbox: Outbox::new(phone.state()),
            line_lamp: LineLamp {
                line: LampState::Off,
                fault: None,
            },
            display: None,
            rings_by_sound: RingSounds::are_wanted(config),
            ring_sounds: RingSounds::new(config),
            paging: Paging::new(config),
            voice,
            last_call: None,
            last_quality: None,
            clock: WallClock::new(now, identity.ntp),
            audio: AudioStatus {
                period_ms: 1000.0 * period as f64 / f64::from(rate_hz.max(1)),
                ..AudioStatus::default()
            },
            io: IoCounters::default(),
            config_note: None,
            network_fault: None,
            hardware_faults: Vec::new(),
            fingerprint,
            rtp_rejected: 0,
            closing: false,
            phone,
            config: config.clone(),
        };
        for (index, account) in config.accounts.iter().enumerate() {
            if !account.register {
                let account = phone::AccountId(index);
                let usable = true;
                control
                    .phone
                    .handle(Input::AccountStatus { account, usable }, now);
            }
        }
        control
    }

    /// One SIP datagram.
    pub fn handle_datagram(&mut self, from: SocketAddr, bytes: &[u8], now: Instant) {
        self.agent.handle_datagram(from, bytes, now);
        self.drain(now);
    }

    /// Bytes on a TCP connection.
    pub fn handle_stream(&mut self, connection: sip::ConnectionId, bytes: &[u8], now: Instant) {
        self.agent.handle_stream(connection, bytes, now);
        self.drain(now);
    }

    /// A TCP connection is open, asked for or accepted.
    pub fn handle_connected(
        &mut self,
        connection: sip::ConnectionId,
        remote: SocketAddr,
        now: Instant,
    ) {
        self.agent.handle_connected(connection, remote, now);
        self.drain(now);
    }

    /// A TLS connection of theirs is open; `names` is who its far end has proved to be.
    pub fn handle_accepted_tls(
        &mut self,
        connection: sip::ConnectionId,
        remote: SocketAddr,
        names: Vec<String>,
        now: Instant,
    ) {
        self.agent
            .handle_accepted_tls(connection, remote, names, now);
        self.drain(now);
    }

    /// A connection that was asked for cannot be opened, and why.
    pub fn handle_connect_failed(
        &mut self,
        connection: sip::ConnectionId,
        reason: &str,
        now: Instant,
    ) {
        self.agent.handle_connect_failed(connection, reason, now);
        self.drain(now);
    }

    /// A connection failed to open, broke or was closed.
    pub fn handle_closed(&mut self, connection: sip::ConnectionId, now: Instant) {
        self.agent.handle_closed(connection, now);
        self.drain(now);
    }

    /// The star codes that are on.
    pub fn codes(&self) -> Vec<crate::api::CodeEntry> {
        crate::api::CodeEntry::all(&self.config)
    }

    /// The calls of this phone, the newest first.
    pub fn history(&self) -> impl Iterator<Item = &HistoryEntry> {
        self.history.newest_first()
    }

    /// The same as a table for a spreadsheet.
    pub fn history_csv(&self) -> String {
        let accounts = self.config.accounts.iter();
        let names: Vec<String> = accounts.map(|account| account.name.clone()).collect();
        self.history.to_csv(&names, &self.config.system.time_zone)
    }

    /// The wall-clock time of now as NTP 32.32, for the history.
    pub fn set_wall_clock(&mut self, ntp: u64, now: Instant) {
        self.wall_clock = (now, ntp);
    }

    /// The system's clock was set: what failed for want of the right time is tried again.
    /// `ntp`: the time of day as NTP 32.32.
    pub fn handle_clock_set(&mut self, ntp: u64, now: Instant) {
        self.clock = WallClock::new(now, ntp);
        self.agent.retry_registrations(now);
        self.drain(now);
    }

    /// Why nothing leads out of this machine; none: something does.
    pub fn set_network_fault(&mut self, fault: Option<String>) {
        if self.network_fault == fault {
            return;
        }
        let note = match &fault {
            Some(fault) => Note::NetworkLost {
                fault: fault.clone(),
            },
            None => Note::NetworkBack,
        };
        self.outbox.note(&note);
        self.network_fault = fault;
    }

    /// A datagram could not be delivered (ICMP).
    pub fn handle_unreachable(&mut self, remote: SocketAddr, now: Instant) {
        self.agent.handle_unreachable(remote, now);
        self.drain(now);
    }

    /// A name lookup's answer; empty: it does not resolve.
    pub fn handle_lookup(&mut self, id: sip::LookupId, targets: &[sip::Target], now: Instant) {
        if self.servers.handle_lookup(id, targets, now) {
            self.look_up_servers(now);
        } else {
            self.agent.handle_lookup(id, targets, now);
        }
        self.drain(now);
    }

    /// A name lookup found nothing; `reason` says which question was not answered, and by whom.
    pub fn handle_lookup_failed(&mut self, id: sip::LookupId, reason: &str, now: Instant) {
        if self.servers.handle_lookup(id, &[], now) {
            tracing::warn!("a STUN or TURN server is not found: {reason}");
        } else {
            self.agent.handle_lookup_failed(id, reason, now);
        }
        self.drain(now);
    }

    /// The hosts for whose connections room is kept.
    #[must_use]
    pub fn known_hosts(&self) -> sip::KnownHosts {
        self.agent.known_hosts()
    }

    /// Our own addresses changed: accounts register again, calls are re-invited.
    pub fn handle_local_addresses(&mut self, local: sip::LocalAddresses, now: Instant) {
        self.voice.set_address(&local);
        self.phone.set_network(self.voice.has_address());
        self.agent.handle_local_addresses(local, now);
        self.servers.handle_network_change(now);
        self.look_up_servers(now);
        self.regather_all(None, now);
        self.drain(now);
    }

    /// There is a network again, or another one: link up, another route or name server.
    pub fn handle_network_change(&mut self, now: Instant) {
        self.agent.handle_network_change(now);
        self.servers.handle_network_change(now);
        self.look_up_servers(now);
        self.drain(now);
    }

    /// There is no network; `reason` says why, in words a person can act on.
    pub fn handle_network_lost(&mut self, reason: &str, now: Instant) {
        self.agent.handle_network_lost(reason, now);
        self.drain(now);
    }

    /// News from the audio engine.
    pub fn handle_media(&mut self, event: media::Event, now: Instant) {
        self.on_media_event(event, now);
        self.drain(now);
    }

    /// The sound card has another rate or period than before: every stream is built again for it.
    pub fn handle_card(&mut self, rate_hz: u32, period_frames: usize, now: Instant) {
        self.streams.card = (rate_hz, period_frames);
        self.voice.set_rate(rate_hz);
        self.restart_streams(now);
        self.drain(now);
    }

    /// Ends every call and registration; the phone is done when [`Control::is_done`] says so.
    pub fn shut_down(&mut self, now: Instant) {
        self.key_script = KeyScript::default();
        self.hook(false, now);
        self.drain(now);
        self.closing = true;
        self.agent.shut_down(now);
        self.drain(now);
        self.outbox.media(media::Command::Ring(None));
        self.outbox.push(Output::Ring(None));
        let watched = (0..Lamp::MOST_WATCHED).map(Lamp::Watched);
        let watched = watched.take(self.config.dial.watch.len());
        for lamp in Lamp::ALL.into_iter().chain(watched) {
            self.outbox.lamp(lamp, LampState::Off);
        }
    }

    /// The end of a shutdown that is not done: what still waits for a far end ends without it.
    pub fn finish_shutdown(&mut self, now: Instant) {
        self.agent.finish_shutdown(now);
        self.drain(now);
    }

    /// Fires every timer that is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.run_key_script(now);
        self.phone.handle_timeout(now);
        self.agent.handle_timeout(now);
        self.dtls.handle_timeout(now);
        self.ice.handle_timeout(now);
        self.look_up_servers(now);
        self.drop_late(now);
        self.drain(now);
    }

    /// What is to be done next; call until `None`.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outbox
            .poll()
            .or_else(|| self.agent.poll_transmit().map(Output::Sip))
            .or_else(|| self.poll_datagram().map(Output::Datagram))
    }

    /// When to call [`Control::handle_timeout`].
    pub fn poll_timeout(&self) -> Option<Instant> {
        let drop_at = self.calls.iter().filter_map(|call| call.drop_at).min();
        [
            self.key_script.due(),
            self.phone.poll_timeout(),
            self.agent.poll_timeout(),
            self.dtls.poll_timeout(),
            self.ice.poll_timeout(),
            self.servers.poll_timeout(),
            self.paging.poll_timeout(),
            drop_at,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// How full everything is.
    pub fn tables(&self) -> Tables {
        Tables {
            sip: self.agent.tables(),
            calls: self.calls.len(),
            streams: self
                .calls
                .iter()
                .map(|call| call.in_engine as usize)
                .sum::<usize>()
                + self.paging.len(),
            awaiting_sockets: self.awaiting_sockets.len()
                + usize::from(self.prepared_sockets.is_pending()),
            keys: self.key_script.len(),
            dtls: self.dtls.len(),
            ice: self.ice.len(),
        }
    }

    /// After [`Control::shut_down`]: every far end was informed and has answered.
    pub fn is_done(&self) -> bool {
        self.calls.is_empty() && self.agent.tables().calls == 0 && self.agent.unanswered() == 0
    }

    /// The phone is idle: on hook, nothing rings, no call is left.
    pub fn is_idle(&self) -> bool {
        self.phone.state() == phone::State::Idle && self.calls.is_empty()
    }

    /// The local time; `None`: it was not set yet.
    pub(crate) fn local_time(&self, now: Instant) -> Option<config::LocalTime> {
        let (at, ntp) = self.wall_clock;
        let unix_s = (ntp >> 32).checked_sub(crate::wall_clock::NTP_TO_UNIX_S)?;
        let unix_s = unix_s.saturating_add(now.saturating_duration_since(at).as_secs());
        let time = config::local_time(&self.config.system.time_zone, unix_s);
        // No phone with this program existed before.
        (time.year >= 2020).then_some(time)
    }

    /// Whether the bell is to be silent at this time of day.
    pub(super) fn is_quiet(&self, now: Instant) -> bool {
        let hours = self.config.call.quiet_hours;
        hours.is_some_and(|hours| {
            let time = self.local_time(now);
            time.is_some_and(|time| hours.contain(time.minute_of_day()))
        })
    }

    /// What the phone is doing.
    pub fn state(&self) -> phone::State {
        self.phone.state()
    }

    /// The tone in the ear.
    pub fn tone(&self) -> Option<phone::Tone> {
        self.phone.tone()
    }

    /// Carries values between phone, agent and handshakes until none has more.
    fn drain(&mut self, now: Instant) {
        self.run_pages(now);
        for _ in 0..MAX_ROUNDS {
            if let Some(output) = self.phone.poll_output() {
                self.on_phone_output(output, now);
            } else if let Some(event) = self.agent.poll_event() {
                self.on_sip_event(event, now);
            } else if let Some(event) = self.dtls.poll_event() {
                self.on_dtls_event(event, now);
            } else if let Some(event) = self.ice.poll_event() {
                self.on_ice_event(event, now);
            } else {
                break;
            }
        }
        self.display_state(now);
        self.look_up_when_idle();
        self.prepare_sockets(now);
        self.emit_call_changes();
        self.run_automation();
        self.outbox
            .emit_changes(self.phone.state(), self.phone.tone());
    }
}

/// Everything that is logged meanwhile belongs to this call.
fn call_span(call: CallId) -> tracing::span::EnteredSpan {
    tracing::info_span!("call", id = call.0).entered()
}
