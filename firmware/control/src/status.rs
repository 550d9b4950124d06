//! What the phone says of itself when asked: the answers to `ctl status` and `ctl stats`.
//! `docs/ctl.md` documents each field; a test compares the page with these types.

use media::rtcp::xr::VoipMetrics;
use serde::Serialize;

use crate::event::{CallDirection, CallProgress, state_name};
use crate::known_peers::Trust;

/// What log and status say of `tls.verify = false`.
pub const UNVERIFIED_TLS: &str = "tls.verify = false: servers are NOT verified; anybody on the way \
                                  can listen in. Remove it from offhook.toml";

/// The whole phone at one moment, as `ctl status` prints it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Status {
    /// `"on"` or `"off"`.
    pub hook: &'static str,
    /// The phone's state.
    #[serde(serialize_with = "state_name")]
    pub state: phone::State,
    /// One entry an account.
    pub lines: Vec<AccountStatus>,
    /// Watched phones, in the order of `dial.watch`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub watched: Vec<WatchedStatus>,
    /// Calls that are not over.
    pub calls: Vec<CallStatus>,
    /// The sound card.
    pub audio: AudioStatus,
    /// What is set of the sound by keys.
    pub sound: SoundStatus,
    /// The tone in the ear.
    pub tone: Option<&'static str>,
    /// Everything that was counted since the start.
    pub counters: CountersStatus,
    /// The call that ended last, with its cause.
    pub last_call: Option<CallStatus>,
    /// The text message that came last since the start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_message: Option<MessageStatus>,
    /// What is to be known of the configuration: only where another than the file's own is in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<String>,
    /// SHA-256 of this phone's certificate, as others pin it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// Devices of the board that are not in use, each with the reason and what to do.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hardware: Vec<String>,
    /// Why nothing leads out of this machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// What is dangerous in the way this phone is configured; shown as long as it is.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// This program's version.
    pub version: &'static str,
}

/// What is set of the sound by keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct SoundStatus {
    /// The microphone is off.
    pub muted: bool,
    /// One talks without the handset: the room may be heard.
    pub hands_free: bool,
    /// What the volume keys add to `audio.earpiece_db`.
    pub earpiece_db: i8,
    /// The same for `audio.speaker_db`.
    pub speaker_db: i8,
    /// The same for `audio.ringer_db`.
    pub ringer_db: i8,
    /// The same for `audio.microphone_db`.
    pub microphone_db: i8,
}

impl SoundStatus {
    pub(crate) fn of(phone: &phone::Phone) -> Self {
        let volumes = phone.features().volumes;
        Self {
            muted: phone.is_muted(),
            hands_free: phone.is_hands_free(),
            earpiece_db: volumes.earpiece_db,
            speaker_db: volumes.speaker_db,
            ringer_db: volumes.ringer_db,
            microphone_db: volumes.microphone_db,
        }
    }
}

/// One account.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AccountStatus {
    /// Its name.
    pub account: String,
    /// Its address of record.
    pub uri: String,
    /// Whether the registrar knows us.
    pub registered: bool,
    /// Until the registration runs out, in seconds.
    pub expires_in_s: Option<u64>,
    /// Why it is not registered.
    pub error: Option<String>,
    /// The server it is registered at: transport and address.
    pub server: Option<String>,
    /// Servers that come before that one and do not answer; they are probed.
    pub silent_servers: Vec<String>,
    /// What waits in its mailbox, where the server says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub messages: Option<MailboxStatus>,
    /// The last attempts to register, oldest first; at most 20.
    pub attempts: Vec<AttemptStatus>,
}

/// What waits in a mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct MailboxStatus {
    /// There are messages.
    pub waiting: bool,
    /// Voice messages not heard yet.
    pub new: u32,
    /// Voice messages heard before.
    pub old: u32,
    /// Those of `new` that are urgent.
    pub urgent: u32,
}

/// A text message (RFC 3428).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MessageStatus {
    /// Who sent it: name or address.
    pub from: String,
    /// What it says.
    pub text: String,
}

/// A watched phone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WatchedStatus {
    /// Its number or address, as in `dial.watch`.
    pub target: String,
    /// `unknown`, `idle`, `ringing` or `busy`.
    pub state: &'static str,
}

/// One attempt to register.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AttemptStatus {
    /// When it ended, in UTC.
    pub at: String,
    /// The server it went to: transport and address.
    pub server: Option<String>,
    /// What came of it: a status and what it means.
    pub result: String,
    /// When the next attempt follows, in UTC; none: at once, or none does.
    pub next: Option<String>,
}

/// One call.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CallStatus {
    /// Its number, never used twice in one run.
    pub id: u32,
    /// Who called whom.
    pub direction: CallDirection,
    /// What it is doing.
    pub state: CallProgress,
    /// The far end.
    pub peer: String,
    /// The codec agreed on.
    pub codec: Option<&'static str>,
    /// Packet length we send.
    pub ptime_ms: Option<u8>,
    /// Media encryption.
    pub encryption: &'static str,
    /// Who the far end proved to be; only where keys were agreed on by DTLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity: Option<PeerStatus>,
    /// Why it is not encrypted, where it was to be.
    pub encryption_missing: Option<String>,
    /// From INVITE to answer.
    pub setup_ms: Option<u64>,
    /// What was measured of its sound.
    pub rtp: RtpStatus,
    /// Why it ended; only in `last_call`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
}

/// Who the far end proved to be by its certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PeerStatus {
    /// SHA-256 of its certificate.
    pub sha256: String,
    /// Whether it is who it was before.
    pub trust: Trust,
    /// The short authentication string: two people who read each other the same words talk to each
    /// other and to no one in between.
    pub words: String,
    /// The same as digits.
    pub digits: String,
}

/// A call's sound in figures.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct RtpStatus {
    /// Packets sent.
    pub sent: u64,
    /// Packets received.
    pub received: u64,
    /// Packets that never came.
    pub lost: u64,
    /// Packets that came too late to be played.
    pub late: u64,
    /// Frames made up by concealment.
    pub concealed: u64,
    /// Interarrival jitter.
    pub jitter_ms: f64,
    /// Delay of the jitter buffer.
    pub delay_ms: f64,
    /// Estimated conversational quality, 1 to 4.5, on the scale of the codec's band.
    pub mos: f64,
}

/// How one end of a call receives the other: the VoIP metrics of RFC 3611 section 4.7.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct MetricsStatus {
    /// Share of packets lost, 0 to 1.
    pub loss: f64,
    /// Share of packets that came and were not played, 0 to 1.
    pub discarded: f64,
    /// Share of packets lost or discarded within bursts, 0 to 1.
    pub burst_density: f64,
    /// The same between bursts.
    pub gap_density: f64,
    /// Mean length of a burst in ms.
    pub burst_ms: u16,
    /// Mean length of what lies between bursts in ms.
    pub gap_ms: u16,
    /// Round trip in ms; 0: not known.
    pub round_trip_ms: u16,
    /// Delay within that end, both ways, in ms.
    pub end_system_ms: u16,
    /// Level of the speech received, dBm0.
    pub signal_db: Option<i8>,
    /// Transmission rating, 0 to 100.
    pub r: Option<u8>,
    /// Listening quality: delay is left out.
    pub mos_lq: Option<f64>,
    /// Conversational quality.
    pub mos_cq: Option<f64>,
    /// Nominal delay of the jitter buffer in ms.
    pub buffer_ms: u16,
}

impl From<&VoipMetrics> for MetricsStatus {
    fn from(metrics: &VoipMetrics) -> Self {
        Self {
            loss: round(metrics.loss, 10_000.0),
            discarded: round(metrics.discarded, 10_000.0),
            burst_density: round(metrics.burst_density, 10_000.0),
            gap_density: round(metrics.gap_density, 10_000.0),
            burst_ms: metrics.burst_ms,
            gap_ms: metrics.gap_ms,
            round_trip_ms: metrics.round_trip_ms,
            end_system_ms: metrics.end_system_ms,
            signal_db: metrics.signal_dbm0,
            r: metrics.r,
            mos_lq: metrics.mos_lq.map(|mos| round(mos, 100.0)),
            mos_cq: metrics.mos_cq.map(|mos| round(mos, 100.0)),
            buffer_ms: metrics.buffer_nominal_ms,
        }
    }
}

/// The sound card, reported by whoever runs it (see [`Control::set_audio`]).
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct AudioStatus {
    /// Capture and playback device.
    pub device: String,
    /// The audio thread runs with real-time priority.
    pub rt: bool,
    /// Period in ms.
    pub period_ms: f64,
    /// Times the card ran over or under.
    pub xruns: u64,
    /// Microphone level over the last second, dBm0.
    pub capture_level_db: Option<f64>,
    /// Earpiece level over the last second, dBm0.
    pub playback_level_db: Option<f64>,
    /// The echo canceller in the last call; none where it is off.
    pub echo: Option<EchoStatus>,
}

/// What the echo canceller does.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct EchoStatus {
    /// It takes echo out; else there is none, and the microphone passes untouched.
    pub active: bool,
    /// How much it lowers the microphone while only the far end talks, in dB.
    pub erle_db: f64,
    /// From writing a sound to the card until its echo, in ms.
    pub delay_ms: f64,
}

/// What was counted on the I/O side, reported by [`Control::set_io_counters`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct IoCounters {
    /// Audio cycles that began more than a period late.
    pub late_cycles: u64,
    /// Events the audio thread could not report because the queue was full.
    pub audio_events_dropped: u64,
    /// Commands the audio thread did not get because the queue was full.
    pub audio_commands_dropped: u64,
    /// Times a media socket had more datagrams than one turn may take.
    pub media_floods: u64,
    /// Datagrams the kernel refused to send.
    pub send_errors: u64,
    /// Times the card went away.
    pub device_losses: u64,
    /// Times the card woke the audio thread over and over for nothing, and was left alone for a
    /// second.
    pub useless_wakes: u64,
    /// STUN and DTLS datagrams dropped.
    pub datagrams_dropped: u64,
}

/// Everything that was counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CountersStatus {
    /// SIP messages parsed.
    pub sip_received: u64,
    /// SIP messages sent.
    pub sip_sent: u64,
    /// Datagrams on the SIP port that were no SIP message.
    pub sip_malformed: u64,
    /// Requests refused by rule.
    pub sip_refused: u64,
    /// Messages dropped without answer.
    pub sip_dropped: u64,
    /// Retransmissions sent.
    pub sip_retransmitted: u64,
    /// RTP packets dropped: malformed, wrong source, unknown payload type.
    pub rtp_rejected: u64,
    /// The I/O side.
    #[serde(flatten)]
    pub io: IoCounters,
}

/// Every figure of every stream, and how full everything is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Stats {
    /// Always true.
    pub ok: bool,
    /// One entry a call.
    pub calls: Vec<CallStats>,
    /// The sound card.
    pub audio: AudioStatus,
    /// Everything that was counted since the start.
    pub counters: CountersStatus,
    /// How full everything is.
    pub tables: TableStats,
}

/// A call's sound in all figures.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct CallStats {
    /// The call's number.
    pub id: u32,
    /// What it is doing.
    pub state: CallProgress,
    /// What `status` says of it.
    #[serde(flatten)]
    pub rtp: RtpStatus,
    /// Packets that came twice.
    pub duplicate: u64,
    /// Packets dropped: malformed, wrong source, unknown payload type.
    pub rejected: u64,
    /// Sound made up by concealment, in ms.
    pub concealed_ms: u64,
    /// Clock drift between the two sound cards.
    pub drift_ppm: f64,
    /// Seconds since the far end was heard last.
    pub unheard_s: u64,
    /// Round trip as RTCP measures it.
    pub round_trip_ms: Option<f64>,
    /// Share of our packets that the far end misses, 0 to 1.
    pub remote_loss: Option<f64>,
    /// Level sent, dBm0.
    pub sent_level_db: f64,
    /// Level received, dBm0.
    pub received_level_db: f64,
    /// How this end receives the far end.
    pub metrics: MetricsStatus,
    /// How the far end says it receives this one; none where it does not (RTCP XR).
    pub far_metrics: Option<MetricsStatus>,
}

/// How full everything is; all zero when nothing goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct TableStats {
    /// SIP client transactions.
    pub client_transactions: usize,
    /// SIP server transactions.
    pub server_transactions: usize,
    /// SIP dialogs.
    pub dialogs: usize,
    /// Calls of the user agent.
    pub sip_calls: usize,
    /// Name lookups under way.
    pub lookups: usize,
    /// Calls, including those that wait for their last figures.
    pub calls: usize,
    /// Streams in the engine.
    pub streams: usize,
    /// Key presses still to come.
    pub keys: usize,
}

impl AudioStatus {
    /// Levels over the last second in dBm0; no level in silence.
    pub(crate) fn set_levels(&mut self, capture_dbm0: f32, playback_dbm0: f32) {
        let finite = |level: f32| level.is_finite().then(|| round(level, 10.0));
        self.capture_level_db = finite(capture_dbm0);
        self.playback_level_db = finite(playback_dbm0);
    }

    /// What the echo canceller does.
    pub(crate) fn set_echo(&mut self, stats: media::EchoStats) {
        self.echo = Some(EchoStatus {
            active: stats.active,
            erle_db: round(stats.erle_db, 10.0),
            delay_ms: round(stats.delay_ms, 10.0),
        });
    }
}

/// A figure with as many digits as it is worth.
pub(crate) fn round(figure: f32, per_unit: f64) -> f64 {
    let figure = f64::from(figure);
    if figure.is_finite() {
        (figure * per_unit).round() / per_unit
    } else {
        0.0
    }
}
