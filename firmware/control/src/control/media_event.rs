//! Streams: built when media is agreed, redirected when only addresses or directions change, taken
//! back when a call ends.
//!
//! ```text
//! agree ─▶ Stream::new ─▶ Command::Start ─▶ (engine) ─▶ Event::Stats, Digit … ─▶ on_media_event
//!                         Command::Stop  ─▶ (engine) ─▶ Event::Retired ─▶ last figures, sockets closed, call dropped
//! ```

use std::time::{Duration, Instant};

use media::{Command, SignallingHosts, Stream, StreamId};
use phone::CallId;
use sip::offer_answer::Negotiated;
use types::Key;

use super::{Control, Output, call_span};
use crate::call::SdesKeyAction;
use crate::event::{DigitTransport, Event};
use crate::negotiate::{OpusSending, same_stream, stream_config};
use crate::note::Note;

/// How long an ended call waits for the engine to return its stream: the audio thread may be gone.
const RETURN_TIMEOUT: Duration = Duration::from_secs(1);

impl Control {
    /// Media was agreed for a call: starts its stream, or makes the running one follow.
    pub(super) fn agree(&mut self, call: CallId, agreed: Negotiated, now: Instant) {
        let Some(record) = self.calls.get(call) else {
            return;
        };
        let Some(id) = record.stream else { return };
        let before = record.media.take();
        let agreed = record.media.insert(agreed).clone();
        let runs = record.in_engine > 0;
        let signalling: SignallingHosts = self.agent.signalling_hosts(record.sip).collect();
        let moved = std::mem::replace(&mut record.signalling, signalling) != signalling;
        let keyed = self.dtls.secured(id).is_some();
        if let Some(record) = self.calls.get(call)
            && before.as_ref().and_then(|before| before.ice.as_ref()) != agreed.ice.as_ref()
        {
            record.ice_failed = false;
        }
        self.agree_ice(call, now);
        self.agree_dtls(call, now);
        // Keys of an agreement that is no more must not go on in the new one.
        let rekeyed = keyed && self.dtls.secured(id).is_none();
        if runs
            && !rekeyed
            && before
                .as_ref()
                .is_some_and(|before| same_stream(before, &agreed))
        {
            if moved || before.as_ref() != Some(&agreed) {
                self.redirect_stream(call);
            }
        } else {
            self.start_stream(call, id, &agreed, now);
        }
        self.report_encryption(call, now);
    }

    pub(super) fn start_stream(
        &mut self,
        call: CallId,
        id: StreamId,
        agreed: &Negotiated,
        now: Instant,
    ) {
        let Some(record) = self.calls.get(call) else {
            return;
        };
        let account = record
            .account
            .and_then(|account| self.config.accounts.get(account));
        let opus = OpusSending::new(&self.config, account);
        let identity = self.streams.identity(id, record.signalling, opus);
        let mut config = stream_config(agreed, identity);
        self.apply_far_addresses(&mut config, agreed);
        self.apply_dtls_keys(&mut config, agreed);
        let Some(record) = self.calls.get(call) else {
            return;
        };
        match Stream::new(config) {
            Ok(stream) => {
                record.in_engine += 1;
                record.measured = None;
                record.note_sdes_key();
                record.connected = self.connected.contains(&call);
                self.outbox.media(Command::Start(stream));
                self.outbox.connect(id, record.connected);
            }
            Err(error) => {
                let sip = record.sip;
                self.outbox.note(&Note::NoSound {
                    call: call.0,
                    error: error.to_string(),
                });
                self.agent.end(sip, now);
            }
        }
    }

    /// Builds every running stream again, for a card with another rate or period.
    pub(super) fn restart_streams(&mut self, now: Instant) {
        let running: Vec<_> = self
            .calls
            .iter()
            .filter(|record| !record.is_ended())
            .filter_map(|record| Some((record.id, record.stream?, record.media.clone()?)))
            .collect();
        for (call, stream, agreed) in running {
            self.start_stream(call, stream, &agreed, now);
        }
    }

    /// Informs the engine which streams the handset hears and speaks to, where that changed.
    pub(super) fn connect_streams(&mut self) {
        for record in self.calls.iter_mut() {
            let connected = self.connected.contains(&record.id);
            if record.in_engine > 0
                && record.connected != connected
                && let Some(id) = record.stream
            {
                record.connected = connected;
                self.outbox.connect(id, connected);
            }
        }
    }

    /// A call is over: its stream is taken back; without one the call is dropped at once.
    pub(super) fn stop_stream(&mut self, call: CallId, now: Instant) {
        let Some(record) = self.calls.get(call) else {
            return;
        };
        if let Some(id) = record.stream {
            self.dtls.close(id);
            self.close_ice(id, now);
        }
        let Some(record) = self.calls.get(call) else {
            return;
        };
        match record.stream {
            Some(id) if record.in_engine > 0 => {
                record.drop_at = Some(now + RETURN_TIMEOUT);
                self.outbox.media(Command::Stop(id));
            }
            Some(_) | None => self.drop_call(call, now),
        }
    }

    pub(super) fn on_media_event(&mut self, event: media::Event, now: Instant) {
        match event {
            media::Event::Retired(stream) => {
                let id = stream.config().id;
                drop(stream);
                let Some(record) = self.calls.by_stream(id) else {
                    return;
                };
                record.in_engine = record.in_engine.saturating_sub(1);
                if record.in_engine == 0 && record.is_ended() {
                    let call = record.id;
                    self.drop_call(call, now);
                }
            }
            media::Event::Digit { id, event, inband } => {
                if let (Some(record), Some(key)) =
                    (self.calls.by_stream(id), Key::from_event(event))
                {
                    self.outbox.emit(Event::Digit {
                        call: record.id.0,
                        digit: key.as_char(),
                        via: if inband {
                            DigitTransport::Inband
                        } else {
                            DigitTransport::Rfc4733
                        },
                    });
                }
            }
            media::Event::Stats { id, stats } => {
                if let Some(record) = self.calls.by_stream(id) {
                    record.measured = Some(stats.encryption);
                    record.stats = stats;
                    record.quality.add(&stats);
                    let call = record.id;
                    let _span = call_span(call);
                    self.on_early_figures(call, now);
                    self.report_encryption(call, now);
                    self.renew_sdes_key(call, now);
                    self.report_interval(call, now);
                }
            }
            media::Event::Spoken(clip) => self.on_spoken(&clip, now),
            media::Event::Levels {
                capture_dbm0,
                playback_dbm0,
            } => self.audio.set_levels(capture_dbm0, playback_dbm0),
            media::Event::Echo(stats) => self.audio.set_echo(stats),
            media::Event::FirstSound(id) => {
                if let Some(record) = self.calls.by_stream(id) {
                    let what = format!("first sound of call {}", record.id.0);
                    let early = record.has_early_media();
                    let heard = early.then(|| record.early_sound.on_first());
                    let call = record.id;
                    self.outbox.emit(Event::Audio { what });
                    self.on_early_sound(call, heard.flatten(), now);
                }
            }
            media::Event::OtherSource { id, from } => self.on_other_source(id, from, now),
            // RTCP BYE ends no call: signalling does. It is worth a line when a call goes silent.
            media::Event::Bye(id) => tracing::debug!("stream {}: RTCP BYE", id.0),
            media::Event::MediaTimeout(id) => self.on_media_timeout(id, now),
        }
    }

    /// The engine has stopped sending: no one is where the sound goes. An established call goes on
    /// where its far end still knows it, and ends otherwise; one that is heard before its answer
    /// goes on in silence, and starts again when it is answered.
    fn on_media_timeout(&mut self, id: StreamId, now: Instant) {
        let Some(record) = self.calls.by_stream(id) else {
            return;
        };
        if !record.is_established() {
            return;
        }
        let (call, sip) = (record.id, record.sip);
        if record.may_be_silent(self.agent.last_hop(sip)) {
            // What is said meanwhile is not lost on a voicemail that only listens.
            self.expect_media(call);
            self.agent.check_peer(sip, now);
        } else {
            self.end_silent_call(call, now);
        }
    }

    /// The far end of a call of which nothing is heard was asked whether it is still there.
    pub(super) fn on_peer_checked(
        &mut self,
        call: sip::CallHandle,
        result: sip::agent::PeerCheck,
        now: Instant,
    ) {
        let Some(record) = self.calls.by_sip(call) else {
            return;
        };
        let id = record.id;
        match result {
            sip::agent::PeerCheck::Alive => {
                let _span = call_span(id);
                tracing::debug!("call {}: silent, and still there", id.0);
            }
            sip::agent::PeerCheck::Gone => self.end_silent_call(id, now),
        }
    }

    fn end_silent_call(&mut self, call: CallId, now: Instant) {
        if let Some(record) = self.calls.alive(call) {
            record.end_reason = Some(format!(
                "media timeout: nothing was heard of the far end for {} s",
                self.config.call.media_timeout_s
            ));
            self.agent
                .end_because(record.sip, sip::EndReason::MediaTimeout, now);
        }
    }

    /// The call was answered: from now on the far end is to be heard.
    pub(super) fn expect_media(&mut self, call: CallId) {
        if let Some(record) = self.calls.get(call)
            && let Some(id) = record.stream
            && record.connected
            && record.in_engine > 0
        {
            self.outbox.connect(id, true);
        }
    }

    /// A key with a lifetime is renewed in time, and not used beyond it.
    fn renew_sdes_key(&mut self, call: CallId, now: Instant) {
        let Some(record) = self.calls.get(call) else {
            return;
        };
        match record.sdes_key_action() {
            SdesKeyAction::Nothing => {}
            SdesKeyAction::Renew => {
                tracing::info!(
                    "call {}: the far end's key comes to its end; new keys",
                    call.0
                );
                self.agent.rekey(record.sip, now);
            }
            SdesKeyAction::End => {
                record.end_reason =
                    Some("the far end's key came to its end, and no new one came".into());
                self.agent.end(record.sip, now);
            }
        }
    }

    /// Drops ended calls whose stream the engine has not returned in time.
    pub(super) fn drop_late(&mut self, now: Instant) {
        let late: Vec<CallId> = self
            .calls
            .iter()
            .filter(|call| call.drop_at.is_some_and(|at| at <= now))
            .map(|call| call.id)
            .collect();
        for call in late {
            tracing::warn!("call {}: the engine did not return its stream", call.0);
            self.drop_call(call, now);
        }
    }

    fn drop_call(&mut self, call: CallId, now: Instant) {
        let Some(record) = self.calls.remove(call) else {
            return;
        };
        if let Some(id) = record.stream {
            self.outbox.push(Output::CloseMedia(id));
        }
        self.rtp_rejected += record.stats.rejected;
        if self
            .last_call
            .as_ref()
            .is_some_and(|last| last.id == call.0)
        {
            self.last_call = Some(record.status(crate::event::CallProgress::Ended));
        }
        if let Some(quality) = record.quality() {
            self.last_quality = Some(quality);
        }
        if let Some(entry) = record.history_entry(self.wall_clock) {
            self.display_history(entry.outcome);
            self.history.add(entry);
            self.keep_history();
        }
        if record.media.is_some() {
            let _span = call_span(call);
            let summary = record.quality_line();
            self.outbox.note(&Note::Quality { summary });
        }
        self.report_call_end(&record, now);
    }
}
