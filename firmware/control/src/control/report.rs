//! What the phone says of itself: `status` and `stats` when asked, events by itself.

use std::time::Instant;

use phone::{CallId, CallUpdate, Encryption, Input};
use types::Lamp;

use super::{Control, call_span};
use crate::automation::mqtt::Mqtt;
use crate::call::CallRecord;
use crate::event::{CallProgress, Event};
use crate::quality::QualityReport;
use crate::status::{
    AudioStatus, CallStats, CallStatus, CountersStatus, IoCounters, PeerStatus, RtpStatus,
    SoundStatus, Stats, Status, TableStats, UNVERIFIED_TLS, round,
};

impl CallRecord {
    pub(super) fn status(&self, state: CallProgress) -> CallStatus {
        let missing = self.media.as_ref().and_then(|media| media.missing);
        CallStatus {
            id: self.id.0,
            direction: self.direction,
            state,
            peer: self.peer.clone(),
            codec: self.codec(),
            ptime_ms: self.media.as_ref().map(|media| media.ptime_ms),
            encryption: self.encryption_name(),
            encryption_missing: missing.map(|why| why.to_string()),
            identity: self.proof.as_ref().map(|proof| PeerStatus {
                sha256: crate::credentials::colons(&proof.fingerprint),
                trust: proof.trust,
                words: proof.sas.to_string(),
                digits: proof.sas.digits(),
            }),
            setup_ms: self.setup.map(|t| t.as_millis() as u64),
            rtp: self.rtp(),
            cause: self.cause.clone(),
        }
    }

    fn rtp(&self) -> RtpStatus {
        let s = &self.stats;
        RtpStatus {
            sent: s.sent,
            received: s.received,
            lost: s.lost,
            late: s.late,
            concealed: s.concealed,
            jitter_ms: round(s.jitter_ms, 100.0),
            delay_ms: round(s.delay_ms, 10.0),
            mos: round(s.mos, 100.0),
        }
    }

    fn stats(&self, state: CallProgress) -> CallStats {
        let s = &self.stats;
        CallStats {
            id: self.id.0,
            state,
            rtp: self.rtp(),
            duplicate: s.duplicate,
            rejected: s.rejected,
            concealed_ms: s.concealed_ms,
            drift_ppm: round(s.drift_ppm, 10.0),
            unheard_s: s.inactive_ms / 1000,
            round_trip_ms: s.round_trip_ms.map(|ms| round(ms, 100.0)),
            remote_loss: s.remote_loss.map(|loss| round(loss, 10_000.0)),
            sent_level_db: round(s.sent_level_dbm0, 10.0),
            received_level_db: round(s.received_level_dbm0, 10.0),
            metrics: (&s.metrics).into(),
            far_metrics: s.far_metrics.as_ref().map(Into::into),
        }
    }

    pub(super) fn quality(&self) -> Option<QualityReport> {
        self.quality.report(self.id.0, &self.peer, self.codec())
    }

    pub(super) fn event(&self, state: CallProgress) -> Event {
        let cause = self.cause.as_deref();
        tracing::info!(
            "call {} with {}: {}{}{}",
            self.id.0,
            self.peer,
            state.as_str(),
            if cause.is_some() { ", " } else { "" },
            cause.unwrap_or_default()
        );
        Event::Call {
            id: self.id.0,
            state,
            peer: self.peer.clone(),
            direction: self.direction,
            codec: self.codec(),
            cause: self.cause.clone(),
        }
    }
}

impl Control {
    /// The whole phone at this moment.
    pub fn status(&self, now: Instant) -> Status {
        let calls = self.calls.iter().filter(|call| !call.is_ended());
        let unverified = (!self.config.tls.verify).then(|| UNVERIFIED_TLS.to_owned());
        Status {
            hook: if self.phone.off_hook() { "off" } else { "on" },
            state: self.phone.state(),
            lines: {
                let mut lines = self.accounts.status(&self.agent, self.clock, now);
                for (account, line) in lines.iter_mut().enumerate() {
                    line.messages = self.packages.mailbox(account);
                }
                lines
            },
            sound: SoundStatus::of(&self.phone),
            watched: self.packages.watched(&self.config),
            calls: calls
                .filter_map(|call| {
                    let state = self.phone.call_state(call.id)?;
                    Some(call.status(CallProgress::Active(state)))
                })
                .collect(),
            audio: self.audio.clone(),
            tone: self.phone.tone().map(crate::tones::tone_name),
            counters: self.counters(),
            last_call: self.last_call.clone(),
            last_message: self.messages.last(),
            config: self.config_note.clone(),
            fingerprint: self.fingerprint.clone(),
            hardware: self.hardware_faults.clone(),
            network: self.network_fault.clone(),
            mqtt: self.automation.mqtt().map(Mqtt::status),
            warnings: unverified.into_iter().collect(),
            version: env!("CARGO_PKG_VERSION"),
        }
    }

    /// Every figure of every stream, and how full everything is.
    pub fn stats(&self) -> Stats {
        let state = |call: &CallRecord| {
            let state = self.phone.call_state(call.id);
            state.map_or(CallProgress::Ended, CallProgress::Active)
        };
        let tables = self.tables();
        Stats {
            ok: true,
            calls: self
                .calls
                .iter()
                .map(|call| call.stats(state(call)))
                .collect(),
            audio: self.audio.clone(),
            counters: self.counters(),
            tables: TableStats {
                client_transactions: tables.sip.client_transactions,
                server_transactions: tables.sip.server_transactions,
                dialogs: tables.sip.dialogs,
                sip_calls: tables.sip.calls,
                lookups: tables.sip.lookups,
                calls: tables.calls,
                streams: tables.streams,
                keys: tables.keys,
            },
        }
    }

    /// How a call sounds: the one of this number, else the one that is on, or was last.
    pub fn quality(&self, call: Option<u32>) -> Option<QualityReport> {
        let wanted = |id: u32| call.is_none_or(|call| call == id);
        self.calls
            .iter()
            .filter(|record| wanted(record.id.0))
            .find_map(CallRecord::quality)
            .or_else(|| self.last_quality.clone().filter(|last| wanted(last.call)))
    }

    fn counters(&self) -> CountersStatus {
        let sip = self.agent.counters();
        let rejected: u64 = self.calls.iter().map(|call| call.stats.rejected).sum();
        CountersStatus {
            sip_received: sip.received,
            sip_sent: sip.sent,
            sip_malformed: sip.malformed,
            sip_refused: sip.refused,
            sip_dropped: sip.dropped,
            sip_retransmitted: sip.retransmitted,
            rtp_rejected: self.rtp_rejected + rejected + self.paging.rejected(),
            io: self.io,
        }
    }

    /// The sound card changed, or its figures did.
    pub fn set_audio(&mut self, audio: AudioStatus) {
        self.audio = AudioStatus {
            capture_level_db: self.audio.capture_level_db,
            playback_level_db: self.audio.playback_level_db,
            echo: self.audio.echo,
            ..audio
        };
    }

    /// What the I/O side counted so far.
    pub fn set_io_counters(&mut self, io: IoCounters) {
        self.io = io;
    }

    /// The board's devices that are not in use, and why.
    pub fn set_hardware_faults(&mut self, faults: Vec<String>) {
        self.hardware_faults = faults;
    }

    /// What is to be known of the configuration in use (for instance: the last good one, because
    /// the new one is bad).
    pub fn set_config_note(&mut self, note: Option<String>) {
        self.config_note = note;
    }

    /// Something is wrong with the configuration: the line's lamp flashes the code, and each dial
    /// tone begins with as many beeps, until words have said what it is.
    pub fn set_config_fault(&mut self, code: Option<u8>) {
        self.phone.set_fault(code);
        if std::mem::replace(&mut self.line_lamp.fault, code) != code {
            self.outbox.lamp(Lamp::Line, self.line_lamp.shown());
        }
    }

    /// Informs listeners of every call whose state or codec changed.
    pub(super) fn emit_call_changes(&mut self) {
        for record in self.calls.iter_mut().filter(|call| !call.is_ended()) {
            // One the phone knows no more is about to end; its end is emitted with the cause.
            let Some(state) = self.phone.call_state(record.id) else {
                continue;
            };
            let known = Some((state, record.codec()));
            if record.last_emitted != known {
                record.last_emitted = known;
                let _span = call_span(record.id);
                self.outbox.emit(record.event(CallProgress::Active(state)));
            }
        }
    }

    /// Reports to phone and listeners what is known of a call's encryption, where that changed.
    pub(super) fn report_encryption(&mut self, call: CallId, now: Instant) {
        let Some(record) = self.calls.get(call) else {
            return;
        };
        let Some(agreed) = record.media.as_ref() else {
            return;
        };
        let known = (record.encryption_name(), record.encryption());
        if record.last_encryption == Some(known) {
            return;
        }
        let missing = match (agreed.missing, known.1) {
            (Some(why), _) => Some(why.to_string()),
            (None, Encryption::Missing) => {
                Some("it was agreed on, but packets go in clear".to_owned())
            }
            (None, Encryption::Unwanted | Encryption::Pending | Encryption::Working) => None,
        };
        record.last_encryption = Some(known);
        if let Some(why) = &missing {
            tracing::warn!("call {}: not encrypted: {why}", call.0);
        }
        self.outbox.emit(Event::Encryption {
            call: call.0,
            encryption: known.0,
            missing,
        });
        let update = CallUpdate::Encryption(known.1);
        self.phone.handle(Input::Call(call, update), now);
    }
}
