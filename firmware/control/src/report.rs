//! What the phone tells about itself: `status` as one object, events as JSON without their time.

use std::time::Instant;

use serde::Serialize;
use serde_json::json;

use super::call::{CallRecord, Stage};
use super::{Control, Output};

/// What log and status say of `tls.verify = false`.
pub const UNVERIFIED_TLS: &str = "tls.verify = false: servers are NOT verified; anybody on the way can listen in. Remove it from offhook.toml";

/// The whole phone at one moment, as `ctl status` prints it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Status {
    /// `"on"` or `"off"`.
    pub hook: &'static str,
    /// The phone's state in snake case.
    pub state: &'static str,
    /// One entry an account.
    pub lines: Vec<LineStatus>,
    /// Calls that are not over.
    pub calls: Vec<CallStatus>,
    /// The sound card.
    pub audio: AudioStatus,
    /// The tone in the ear.
    pub tone: Option<&'static str>,
    /// Everything that was counted since the start.
    pub counters: CountersStatus,
    /// The call that ended last, with its cause.
    pub last_call: Option<CallStatus>,
    /// What is to be known of the configuration: only where another than the file's own is in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<String>,
    /// SHA-256 of this phone's certificate, as others pin it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// What is dangerous in the way this phone is configured; shown as long as it is.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// This program's version.
    pub version: &'static str,
}

/// One account.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LineStatus {
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
}

/// One call.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CallStatus {
    /// Its number, never used twice in one run.
    pub id: u32,
    /// `"in"` or `"out"`.
    pub direction: &'static str,
    /// How far it is.
    pub state: &'static str,
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
    /// `"new"`, `"known"`, `"verified"` or `"changed"`.
    pub trust: &'static str,
    /// Key words: two people who read each other the same ones talk to each other and to nobody in
    /// between.
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
    /// Estimated listening quality, 1 to 4.5.
    pub mos: f64,
}

/// The sound card, told by whoever runs it (see [`Control::set_audio`]).
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
}

/// What was counted on the I/O side, told by [`Control::set_io_counters`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct IoCounters {
    /// Audio cycles that began more than a period late.
    pub late_cycles: u64,
    /// Events the audio thread could not tell because the queue was full.
    pub audio_events_dropped: u64,
    /// Commands the audio thread did not get because the queue was full.
    pub audio_commands_dropped: u64,
    /// Times a media socket had more datagrams than one turn may take.
    pub media_floods: u64,
    /// Datagrams the kernel refused to send.
    pub send_errors: u64,
    /// Times the card went away.
    pub device_losses: u64,
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

/// The phone's state as `status` and events spell it.
pub(crate) fn state_word(state: phone::State) -> &'static str {
    state.as_str()
}

fn round(figure: f32, per_unit: f64) -> f64 {
    let figure = f64::from(figure);
    if figure.is_finite() {
        (figure * per_unit).round() / per_unit
    } else {
        0.0
    }
}

impl CallRecord {
    pub(super) fn status(&self) -> CallStatus {
        let s = &self.stats;
        CallStatus {
            id: self.id.0,
            direction: self.way.word(),
            state: self.stage.word(),
            peer: self.peer.clone(),
            codec: self.media.as_ref().map(|m| m.codec.as_str()),
            ptime_ms: self.media.as_ref().map(|m| m.ptime_ms),
            encryption: self.encryption_word(),
            encryption_missing: self
                .media
                .as_ref()
                .and_then(|m| m.missing)
                .map(|why| why.to_string()),
            identity: self.proof.as_ref().map(|proof| PeerStatus {
                sha256: crate::credentials::colons(&proof.fingerprint),
                trust: proof.trust.word(),
                words: proof.words.to_string(),
                digits: proof.words.digits(),
            }),
            setup_ms: self.setup.map(|t| t.as_millis() as u64),
            rtp: RtpStatus {
                sent: s.sent,
                received: s.received,
                lost: s.lost,
                late: s.late,
                concealed: s.concealed,
                jitter_ms: round(s.jitter_ms, 100.0),
                delay_ms: round(s.delay_ms, 10.0),
                mos: round(s.mos, 100.0),
            },
            cause: self.cause.clone(),
        }
    }
}

impl Control {
    /// The whole phone at this moment.
    pub fn status(&self, now: Instant) -> Status {
        Status {
            hook: if self.off_hook { "off" } else { "on" },
            state: state_word(self.phone.state()),
            lines: self
                .lines
                .iter()
                .map(|line| LineStatus {
                    account: line.name.clone(),
                    uri: line.uri.clone(),
                    registered: line.until.is_some_and(|until| until > now),
                    expires_in_s: line
                        .until
                        .filter(|until| *until > now)
                        .map(|until| until.saturating_duration_since(now).as_secs()),
                    error: line.error.clone(),
                })
                .collect(),
            calls: self
                .calls
                .iter()
                .filter(|call| call.stage != Stage::Ended)
                .map(CallRecord::status)
                .collect(),
            audio: self.audio.clone(),
            tone: self.tone.map(crate::tones::tone_word),
            counters: self.counters(),
            last_call: self.last_call.clone(),
            config: self.config_note.clone(),
            fingerprint: self.fingerprint.clone(),
            warnings: self.warnings(),
            version: env!("CARGO_PKG_VERSION"),
        }
    }

    fn warnings(&self) -> Vec<String> {
        let unverified = (!self.config.tls.verify).then(|| UNVERIFIED_TLS.to_owned());
        unverified.into_iter().collect()
    }

    /// Every figure of every stream, and how full everything is.
    pub fn stats(&self) -> serde_json::Value {
        let calls: Vec<_> = self
            .calls
            .iter()
            .map(|call| {
                let s = &call.stats;
                json!({
                    "id": call.id.0,
                    "state": call.stage.word(),
                    "sent": s.sent,
                    "received": s.received,
                    "lost": s.lost,
                    "late": s.late,
                    "duplicate": s.duplicate,
                    "rejected": s.rejected,
                    "concealed": s.concealed,
                    "concealed_ms": s.concealed_ms,
                    "jitter_ms": round(s.jitter_ms, 100.0),
                    "delay_ms": round(s.delay_ms, 10.0),
                    "drift_ppm": round(s.drift_ppm, 10.0),
                    "unheard_s": s.unheard_ms / 1000,
                    "round_trip_ms": s.round_trip_ms.map(|ms| round(ms, 100.0)),
                    "remote_loss": s.remote_loss.map(|loss| round(loss, 10_000.0)),
                    "mos": round(s.mos, 100.0),
                    "sent_level_db": round(s.sent_level_dbm0, 10.0),
                    "received_level_db": round(s.received_level_dbm0, 10.0),
                })
            })
            .collect();
        let tables = self.tables();
        json!({
            "ok": true,
            "calls": calls,
            "audio": self.audio,
            "counters": self.counters(),
            "tables": {
                "client_transactions": tables.sip.client_transactions,
                "server_transactions": tables.sip.server_transactions,
                "dialogs": tables.sip.dialogs,
                "sip_calls": tables.sip.calls,
                "lookups": tables.sip.lookups,
                "calls": tables.calls,
                "streams": tables.streams,
                "keys": tables.keys,
            },
        })
    }

    fn counters(&self) -> CountersStatus {
        let sip = self.agent.counters();
        CountersStatus {
            sip_received: sip.received,
            sip_sent: sip.sent,
            sip_malformed: sip.malformed,
            sip_refused: sip.refused,
            sip_dropped: sip.dropped,
            sip_retransmitted: sip.retransmitted,
            rtp_rejected: self.rtp_rejected
                + self
                    .calls
                    .iter()
                    .map(|call| call.stats.rejected)
                    .sum::<u64>(),
            io: self.io,
        }
    }

    /// The sound card changed, or its figures did.
    pub fn set_audio(&mut self, audio: AudioStatus) {
        let (capture, playback) = (self.audio.capture_level_db, self.audio.playback_level_db);
        self.audio = AudioStatus {
            capture_level_db: capture,
            playback_level_db: playback,
            ..audio
        };
    }

    /// What the I/O side counted so far.
    pub fn set_io_counters(&mut self, io: IoCounters) {
        self.io = io;
    }

    /// What is to be told about the configuration in use (for instance: the last good one, because
    /// the new one is bad).
    pub fn set_config_note(&mut self, note: Option<String>) {
        self.config_note = note;
    }

    /// Something is wrong with the configuration: the line's lamp flashes the code, and each dial
    /// tone begins with as many beeps.
    pub fn set_trouble(&mut self, code: Option<u8>) {
        if self.trouble != code {
            self.trouble = code;
            self.show_line_lamp();
        }
    }

    /// The line's lamp: the line's state, or what is wrong.
    pub(super) fn show_line_lamp(&mut self) {
        let state = self.trouble.map_or(self.line_lamp, phone::LampState::Code);
        self.outputs
            .push_back(Output::Lamp(phone::Lamp::Line, state));
    }

    pub(super) fn levels(&mut self, capture_dbm0: f32, playback_dbm0: f32) {
        let told = |level: f32| level.is_finite().then(|| round(level, 10.0));
        self.audio.capture_level_db = told(capture_dbm0);
        self.audio.playback_level_db = told(playback_dbm0);
    }

    pub(super) fn tell(&mut self, event: &serde_json::Value) {
        self.outputs.push_back(Output::Event(event.to_string()));
    }

    pub(super) fn note(&mut self, text: &str) {
        tracing::info!("{text}");
        self.tell(&json!({"event": "note", "text": crate::readable::shown(text)}));
    }

    /// Tells what has become of a call.
    pub(super) fn tell_call(&mut self, place: usize) {
        let Some(call) = self.calls.get(place) else {
            return;
        };
        let status = call.status();
        let mut event = json!({"event": "call", "id": status.id, "state": status.state, "peer": status.peer, "direction": status.direction});
        if let Some(codec) = status.codec {
            event["codec"] = json!(codec);
        }
        if let Some(cause) = status.cause {
            tracing::info!(
                "call {} with {}: {}, {cause}",
                status.id,
                status.peer,
                status.state
            );
            event["cause"] = json!(cause);
        } else {
            tracing::info!("call {} with {}: {}", status.id, status.peer, status.state);
        }
        self.tell(&event);
    }

    /// Tells what is known of a call's encryption, where that is not what was told last.
    pub(super) fn tell_encryption(&mut self, place: usize, now: Instant) {
        let Some(record) = self.calls.get_mut(place) else {
            return;
        };
        if record.media.is_none() {
            return;
        }
        let told = (record.encryption_word(), record.encryption());
        if record.told_encryption == Some(told) {
            return;
        }
        record.told_encryption = Some(told);
        let (id, why) = (
            record.id,
            record.media.as_ref().and_then(|agreed| agreed.missing),
        );
        let mut event = json!({"event": "encryption", "call": id.0, "encryption": told.0});
        match (why, told.1) {
            (Some(why), _) => event["missing"] = json!(why.to_string()),
            (None, phone::Encryption::Missing) => {
                event["missing"] = json!("it was agreed on, but packets go in clear")
            }
            (
                None,
                phone::Encryption::Unwanted
                | phone::Encryption::Pending
                | phone::Encryption::Working,
            ) => {}
        }
        if let Some(why) = event["missing"].as_str() {
            tracing::warn!("call {}: not encrypted: {why}", id.0);
        }
        self.tell(&event);
        self.phone.handle(
            phone::Input::Call(id, phone::CallUpdate::Encryption(told.1)),
            now,
        );
    }

    /// Tells state and tone where they are not what was told last.
    pub(super) fn tell_changes(&mut self) {
        let state = self.phone.state();
        if self.told_state != state {
            self.told_state = state;
            tracing::debug!("state {}", state_word(state));
            self.tell(&json!({"event": "state", "state": state_word(state)}));
        }
        if self.told_tone != self.tone {
            self.told_tone = self.tone;
            self.tell(&json!({"event": "tone", "tone": self.tone.map(crate::tones::tone_word)}));
        }
    }
}
