//! The control loop's logic without its I/O: board events, SIP bytes, media events and timers in;
//! everything to be done out. The tokio driver and the virtual-time simulator both own one of
//! these.
//!
//! ```text
//! board, ctl ─▶ keys ─▶ phone::Phone ─▶ obey ──────▶ sip::UserAgent ─▶ Output::Sip, Connect, Lookup …
//!                            ▲            │
//!                            │            └─▶ sound ─▶ Output::Media (streams, tones, DTMF)
//! SIP bytes ─▶ sip::UserAgent ─▶ signalling ─▶ sound
//! media::Event ─▶ sound                       report ─▶ Status, Output::Event
//! DTLS of the media sockets ─▶ dtls::Room ─▶ handshakes ─▶ sound (keys), Output::Dtls
//! ```
//!
//! Every `handle_*` ends in [`Control::settle`], which carries values between phone and agent until
//! both have nothing more to say.

mod call;
pub mod credentials;
pub mod dtls;
mod handshakes;
mod keys;
mod media_sockets;
pub mod negotiate;
mod obey;
pub mod readable;
mod report;
mod signalling;
mod sound;
#[cfg(test)]
mod tests;
pub mod tones;
pub mod trust;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use config::country::CountryPlan;
use media::StreamId;
use phone::{CallId, Input};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use serde_json::json;

use crate::trust::Known;

pub(crate) use call::{CallRecord, Stage, Way};
pub use credentials::Credentials;
use keys::{Finger, Touch};
use media_sockets::AwaitingSockets;
pub use media_sockets::MediaAddresses;
pub use report::{
    AudioStatus, CallStatus, CountersStatus, IoCounters, LineStatus, PeerStatus, RtpStatus, Status,
    UNVERIFIED_TLS,
};

/// Rounds of carrying values between phone and agent in one turn; more than any real turn needs, so
/// that a mistake in either cannot hang the phone.
const MAX_ROUNDS: usize = 1000;
/// Most of our own accounts, calls and outputs are few; this many outputs unread means nobody reads
/// them.
const MAX_OUTPUTS: usize = 4096;

/// What differs between two phones with the same configuration.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Seed of everything unguessable.
    pub seed: [u8; 32],
    /// Our SIP address (never unspecified).
    pub local: SocketAddr,
    /// The sound card's rate in Hz and period in frames.
    pub card: (u32, usize),
    /// Wall-clock time of `now` as NTP 32.32.
    pub ntp: u64,
    /// The phone's certificate and key; without them there is no DTLS-SRTP.
    pub credentials: Option<Credentials>,
    /// The peers it met before.
    pub known: Known,
}

/// What must be done by whoever owns sockets, the audio thread and the board.
#[allow(clippy::large_enum_variant)] // Each lives for one turn of the loop; a box for every command would only cost.
pub enum Output {
    /// Send a SIP message.
    Sip(sip::Transmit),
    /// Open a connection.
    Connect {
        /// The number it shall have.
        connection: sip::ConnectionId,
        /// Where to.
        remote: SocketAddr,
        /// TCP or TLS.
        transport: sip::Transport,
        /// TLS: one of these the certificate must be for.
        names: Vec<String>,
    },
    /// Close a connection.
    Disconnect(sip::ConnectionId),
    /// Resolve a name.
    Lookup(sip::agent::Lookup),
    /// Open the RTP and the RTCP socket of a stream; [`Control::handle_media_sockets`] wants to know
    /// their addresses.
    OpenMedia(StreamId),
    /// Close the sockets of a stream.
    CloseMedia(StreamId),
    /// Hand a command to the audio engine.
    Media(media::Command),
    /// Send a DTLS datagram from a stream's socket.
    Dtls(dtls::Transmit),
    /// Keep this text in a file of the state directory, whole or not at all.
    Keep {
        /// The file's name.
        file: &'static str,
        /// Its whole text.
        text: String,
    },
    /// Ring with this cadence (ms on, off, …; repeats), or be silent.
    Ring(Option<Vec<u16>>),
    /// Set a lamp.
    Lamp(phone::Lamp, phone::LampState),
    /// Carry out what keys ordered.
    Order(phone::StarCode),
    /// An event for `ctl events`, without its time: one JSON object.
    Event(String),
}

/// What the hardware saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BoardEvent {
    /// Handset lifted (true) or put down (false), debounced; sent once at start.
    Hook(bool),
    /// A key went down: `0`–`9`, `*`, `#`, `A`–`D`.
    KeyDown(char),
    /// A key came up.
    KeyUp(char),
    /// The flash key was pressed.
    FlashKey,
    /// The rotary dial finished a digit, `0`–`9`.
    Rotary(char),
}

/// What a person, or a script in a person's place, does with the phone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Lift the handset.
    Lift,
    /// Put the handset down.
    HangUp,
    /// Press keys one after the other; `,` is a pause of 500 ms.
    Press(String),
    /// Press the flash key.
    Flash,
    /// Dial digits on a rotary dial.
    Rotary(String),
    /// The key words of this call were compared, and are the same: trust the far end's certificate
    /// from now on.
    Verify(u32),
}

/// How full everything is; all zero when nothing goes on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tables {
    /// The user agent's own.
    pub sip: sip::agent::Tables,
    /// Calls alive, or ended with their sound not yet home.
    pub calls: usize,
    /// Streams in the engine.
    pub streams: usize,
    /// Calls that wait for the sockets of their stream.
    pub awaiting_sockets: usize,
    /// Keys waiting to be pressed.
    pub keys: usize,
    /// Sockets on which DTLS may come.
    pub dtls: usize,
}

impl Tables {
    /// Whether nothing at all goes on.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// An account as status tells it.
#[derive(Debug)]
struct Line {
    name: String,
    uri: String,
    until: Option<Instant>,
    error: Option<String>,
}

/// The logic of a whole phone but for its sound.
pub struct Control {
    config: config::Config,
    plan: &'static CountryPlan,
    phone: phone::Phone,
    agent: sip::UserAgent,
    dtls: dtls::Room,
    known: Known,
    calls: Vec<CallRecord>,
    lines: Vec<Line>,
    /// The calls the handset is connected with, as the phone said last.
    connected: Vec<CallId>,
    tone: Option<phone::Tone>,
    off_hook: bool,
    finger: Finger,
    rng: ChaCha20Rng,
    cname: String,
    next_stream: u32,
    awaiting_sockets: Vec<(StreamId, AwaitingSockets)>,
    card: (u32, usize),
    ntp: (Instant, u64),
    outputs: VecDeque<Output>,
    last_call: Option<CallStatus>,
    audio: AudioStatus,
    io: IoCounters,
    config_note: Option<String>,
    /// SHA-256 of this phone's certificate.
    fingerprint: Option<String>,
    /// Code of what is wrong with the configuration, shown by the line's lamp and heard before dial
    /// tone.
    trouble: Option<u8>,
    /// What the line's lamp shows when nothing is wrong.
    line_lamp: phone::LampState,
    rtp_rejected: u64,
    told_state: phone::State,
    told_tone: Option<phone::Tone>,
    closing: bool,
}

impl Control {
    /// A phone on hook.
    #[allow(clippy::needless_pass_by_value)] // An identity is one phone's and used up by it.
    pub fn new(config: &config::Config, identity: Identity, now: Instant) -> Self {
        let mut rng = ChaCha20Rng::from_seed(identity.seed);
        let mut agent_seed = [0; 32];
        rng.fill_bytes(&mut agent_seed);
        // RFC 7022 section 4.2: a short-term persistent CNAME is 96 random bits.
        let cname = format!("{:08x}{:016x}", rng.next_u32(), rng.next_u64());
        let phone = phone::Phone::new(config);
        let told_state = phone.state();
        let lines = config
            .accounts
            .iter()
            .map(|account| Line {
                name: account.name.clone(),
                uri: format!("sip:{}@{}", account.user, account.domain),
                until: None,
                error: None,
            })
            .collect();
        let fingerprint = identity
            .credentials
            .as_ref()
            .map(Credentials::fingerprint_text);
        let dtls = dtls::Room::new(identity.credentials);
        let mut control = Self {
            plan: config::country::plan(&config.phone.country)
                .unwrap_or(&config::country::PLANS[0]),
            agent: sip::UserAgent::new(
                signalling::agent_config(
                    config,
                    identity.local,
                    dtls.fingerprint().as_ref(),
                    agent_seed,
                ),
                now,
            ),
            dtls,
            known: identity.known,
            phone,
            calls: Vec::new(),
            lines,
            connected: Vec::new(),
            tone: None,
            off_hook: false,
            finger: Finger::default(),
            rng,
            cname,
            next_stream: 1,
            awaiting_sockets: Vec::new(),
            card: identity.card,
            ntp: (now, identity.ntp),
            outputs: VecDeque::new(),
            last_call: None,
            audio: AudioStatus {
                period_ms: 1000.0 * identity.card.1 as f64 / f64::from(identity.card.0.max(1)),
                ..AudioStatus::default()
            },
            io: IoCounters::default(),
            config_note: None,
            fingerprint,
            trouble: None,
            line_lamp: phone::LampState::Off,
            rtp_rejected: 0,
            told_state,
            told_tone: None,
            closing: false,
            config: config.clone(),
        };
        for (place, account) in config.accounts.iter().enumerate() {
            if !account.register {
                control.phone.handle(
                    Input::AccountStatus {
                        account: phone::AccountId(place),
                        usable: true,
                    },
                    now,
                );
            }
        }
        control
    }

    /// The hardware saw something.
    pub fn handle_board(&mut self, event: BoardEvent, now: Instant) {
        match event {
            BoardEvent::Hook(off) => self.hook(off, now),
            BoardEvent::KeyDown(cap) => self.key(cap, true, now),
            BoardEvent::KeyUp(cap) => self.key(cap, false, now),
            BoardEvent::FlashKey => self.phone.handle(Input::Flash, now),
            BoardEvent::Rotary(cap) => {
                if let Some(key) = types::Key::from_char(cap) {
                    self.touch(Touch::Dialled(key), now);
                }
            }
        }
        self.settle(now);
    }

    /// A finger, or `ctl` in its place. Tells how long the finger will be busy; the error is for
    /// the one who asked.
    pub fn handle_request(&mut self, request: &Request, now: Instant) -> Result<Duration, String> {
        if self.closing {
            return Err("the phone is shutting down".into());
        }
        match request {
            Request::Lift => self.hook(true, now),
            Request::HangUp => {
                // Flash has a verb of its own: this one is final at once, and ends a call that
                // answered itself, too.
                if std::mem::replace(&mut self.off_hook, false) {
                    self.tell(&json!({"event": "hook", "off": false}));
                }
                self.phone.handle(Input::HangUp, now);
            }
            Request::Flash => self.phone.handle(Input::Flash, now),
            Request::Press(keys) => self.finger.press(keys, now)?,
            Request::Rotary(digits) => self.finger.dial(digits, now)?,
            Request::Verify(call) => self.verify_peer(*call)?,
        }
        self.work_finger(now);
        self.settle(now);
        Ok(self.finger.busy(now))
    }

    /// One SIP datagram.
    pub fn handle_datagram(&mut self, from: SocketAddr, bytes: &[u8], now: Instant) {
        self.agent.handle_datagram(from, bytes, now);
        self.settle(now);
    }

    /// Bytes on a TCP connection.
    pub fn handle_stream(&mut self, connection: sip::ConnectionId, bytes: &[u8], now: Instant) {
        self.agent.handle_stream(connection, bytes, now);
        self.settle(now);
    }

    /// A TCP connection stands, asked for or accepted.
    pub fn handle_connected(
        &mut self,
        connection: sip::ConnectionId,
        local: SocketAddr,
        remote: SocketAddr,
        now: Instant,
    ) {
        self.agent.handle_connected(connection, local, remote, now);
        self.settle(now);
    }

    /// A TLS connection of theirs stands; `names` is who its far end has proved to be.
    pub fn handle_accepted_tls(
        &mut self,
        connection: sip::ConnectionId,
        remote: SocketAddr,
        names: Vec<String>,
        now: Instant,
    ) {
        self.agent
            .handle_accepted_tls(connection, remote, names, now);
        self.settle(now);
    }

    /// A connection that was asked for does not come to be, and why.
    pub fn handle_connect_failed(
        &mut self,
        connection: sip::ConnectionId,
        reason: &str,
        now: Instant,
    ) {
        self.agent.handle_connect_failed(connection, reason, now);
        self.settle(now);
    }

    /// A connection failed to open, broke or was closed.
    pub fn handle_closed(&mut self, connection: sip::ConnectionId, now: Instant) {
        self.agent.handle_closed(connection, now);
        self.settle(now);
    }

    /// The system's clock was set: what failed for want of the right time is tried again.
    pub fn handle_clock_set(&mut self, now: Instant) {
        self.agent.retry_registrations(now);
        self.settle(now);
    }

    /// A datagram could not be delivered (ICMP).
    pub fn handle_unreachable(&mut self, remote: SocketAddr, now: Instant) {
        self.agent.handle_unreachable(remote, now);
        self.settle(now);
    }

    /// A name lookup's answer; empty: it does not resolve.
    pub fn handle_lookup(&mut self, id: sip::LookupId, targets: &[sip::Target], now: Instant) {
        self.agent.handle_lookup(id, targets, now);
        self.settle(now);
    }

    /// Our own address changed.
    pub fn handle_local_address(&mut self, local: SocketAddr, now: Instant) {
        self.agent.handle_local_address(local, now);
        self.settle(now);
    }

    /// News from the audio engine.
    pub fn handle_media(&mut self, event: media::Event, now: Instant) {
        self.heard(event, now);
        self.settle(now);
    }

    /// The sound card has another rate or period than before: every stream is built anew for it.
    pub fn handle_card(&mut self, rate_hz: u32, period_frames: usize, now: Instant) {
        self.card = (rate_hz, period_frames);
        self.restart_sound(now);
        self.settle(now);
    }

    /// Ends every call and registration; the phone is done when [`Control::is_done`] says so.
    pub fn shut_down(&mut self, now: Instant) {
        self.finger = Finger::default();
        self.hook(false, now);
        self.settle(now);
        self.closing = true;
        self.agent.shut_down(now);
        self.settle(now);
        self.outputs.push_back(Output::Ring(None));
        for lamp in [
            phone::Lamp::Line,
            phone::Lamp::InUse,
            phone::Lamp::Message,
            phone::Lamp::Encrypted,
        ] {
            self.outputs
                .push_back(Output::Lamp(lamp, phone::LampState::Off));
        }
    }

    /// Fires every timer that is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.work_finger(now);
        self.phone.handle_timeout(now);
        self.agent.handle_timeout(now);
        self.dtls.handle_timeout(now);
        self.forget_late(now);
        self.settle(now);
    }

    /// What is to be done next; call until `None`.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs
            .pop_front()
            .or_else(|| self.agent.poll_transmit().map(Output::Sip))
            .or_else(|| self.dtls.poll_transmit().map(Output::Dtls))
    }

    /// When to call [`Control::handle_timeout`].
    pub fn poll_timeout(&self) -> Option<Instant> {
        let forget = self.calls.iter().filter_map(|call| call.forget_at).min();
        [
            self.finger.due(),
            self.phone.poll_timeout(),
            self.agent.poll_timeout(),
            self.dtls.poll_timeout(),
            forget,
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
            streams: self.calls.iter().map(|call| call.abroad as usize).sum(),
            awaiting_sockets: self.awaiting_sockets.len(),
            keys: self.finger.len(),
            dtls: self.dtls.len(),
        }
    }

    /// After [`Control::shut_down`]: everybody was told, and said so.
    pub fn is_done(&self) -> bool {
        self.calls.is_empty() && self.agent.tables().calls == 0 && self.agent.unanswered() == 0
    }

    /// Nobody uses the phone: it lies, nothing rings, no call is left.
    pub fn is_idle(&self) -> bool {
        self.phone.state() == phone::State::Idle && self.calls.is_empty()
    }

    /// What the phone is doing.
    pub fn state(&self) -> phone::State {
        self.phone.state()
    }

    /// The tone in the ear.
    pub fn tone(&self) -> Option<phone::Tone> {
        self.tone
    }

    fn hook(&mut self, off: bool, now: Instant) {
        if self.off_hook == off {
            return;
        }
        self.off_hook = off;
        self.tell(&json!({"event": "hook", "off": off}));
        self.phone.handle(Input::Hook(off), now);
    }

    fn key(&mut self, cap: char, down: bool, now: Instant) {
        if let Some(key) = types::Key::from_char(cap) {
            self.touch(
                if down {
                    Touch::Down(key)
                } else {
                    Touch::Up(key)
                },
                now,
            );
        }
    }

    fn touch(&mut self, touch: Touch, now: Instant) {
        match touch {
            Touch::Down(key) => {
                self.tell(&json!({"event": "key", "key": key.as_char().to_string()}));
                self.phone.handle(Input::KeyDown(key), now);
            }
            Touch::Up(key) => self.phone.handle(Input::KeyUp(key), now),
            Touch::Dialled(key) => {
                self.tell(&json!({"event": "key", "key": key.as_char().to_string()}));
                self.phone.handle(Input::Rotary(key), now);
            }
        }
    }

    fn work_finger(&mut self, now: Instant) {
        while let Some(touch) = self.finger.poll(now) {
            self.touch(touch, now);
        }
    }

    /// Carries values between phone and agent until both have nothing more to say.
    fn settle(&mut self, now: Instant) {
        for _ in 0..MAX_ROUNDS {
            if let Some(wish) = self.phone.poll_output() {
                self.obey(wish, now);
            } else if let Some(event) = self.agent.poll_event() {
                self.signalled(event, now);
            } else if let Some(event) = self.dtls.poll_event() {
                self.shaken(event, now);
            } else {
                break;
            }
        }
        self.tell_changes();
        if self.outputs.len() > MAX_OUTPUTS {
            // Nobody reads them; events are the only thing that may be lost.
            self.outputs
                .retain(|output| !matches!(output, Output::Event(_)));
        }
    }

    fn place_of(&self, id: CallId) -> Option<usize> {
        self.calls.iter().position(|call| call.id == id)
    }

    fn place_of_sip(&self, sip: sip::CallHandle) -> Option<usize> {
        self.calls
            .iter()
            .position(|call| call.sip == sip && call.stage != Stage::Ended)
    }

    fn place_of_stream(&self, stream: StreamId) -> Option<usize> {
        self.calls
            .iter()
            .position(|call| call.stream == Some(stream))
    }
}
