//! Streams: built when media is agreed, redirected when only the way changes, sent home when a call
//! ends.
//!
//! ```text
//! agree ─▶ Stream::new ─▶ Command::Start ─▶ (engine) ─▶ Event::Stats, Digit … ─▶ heard
//!                         Command::Stop  ─▶ (engine) ─▶ Event::Retired ─▶ last figures, sockets closed, record forgotten
//! ```

use std::time::{Duration, Instant};

use media::{Command, SignallingHosts, Stream, StreamId};
use rand_core::Rng;
use serde_json::json;
use sip::offer_answer::Negotiated;

use super::call::KeyWants;
use super::{Control, Output, Stage};
use crate::negotiate::{Birth, same_stream, stream_config};

/// How long an ended call waits for its sound to come home: the audio thread may be gone.
const COME_HOME: Duration = Duration::from_secs(1);

impl Control {
    /// Numbers of streams are never used twice in one run.
    pub(super) fn new_stream_id(&mut self) -> StreamId {
        let id = StreamId(self.next_stream);
        self.next_stream = self.next_stream.wrapping_add(1);
        id
    }

    /// Media was agreed for a call: starts its stream, or makes the running one follow.
    pub(super) fn agree(&mut self, place: usize, agreed: Negotiated, now: Instant) {
        let record = &mut self.calls[place];
        let Some(id) = record.stream else { return };
        let before = record.media.take();
        let agreed = record.media.insert(agreed).clone();
        let runs = record.abroad > 0;
        let signalling: SignallingHosts = self.agent.signalling_hosts(record.sip).collect();
        let moved = std::mem::replace(&mut record.signalling, signalling) != signalling;
        let keyed = self.dtls.secured(id).is_some();
        self.shake_hands(place, now);
        // Keys of an agreement that is no more must not go on in the new one.
        let rekeyed = keyed && self.dtls.secured(id).is_none();
        if runs
            && !rekeyed
            && before
                .as_ref()
                .is_some_and(|before| same_stream(before, &agreed))
        {
            if moved || before.as_ref() != Some(&agreed) {
                let (remote_rtp, remote_rtcp) = self.addresses(id, &agreed);
                self.outputs.push_back(Output::Media(Command::Redirect {
                    id,
                    remote_rtp,
                    remote_rtcp,
                    signalling,
                    direction: agreed.direction,
                }));
            }
        } else {
            self.start_stream(place, id, &agreed, now);
        }
        self.tell_encryption(place, now);
    }

    pub(super) fn start_stream(
        &mut self,
        place: usize,
        id: StreamId,
        agreed: &Negotiated,
        now: Instant,
    ) {
        let birth = Birth {
            id,
            ssrc: self.rng.next_u32(),
            // RFC 3550 section 5.1 wants random starts; below 2^15 the sequence does not wrap at
            // once (RFC 3711 appendix).
            first_sequence: (self.rng.next_u32() & 0x7fff) as u16,
            first_timestamp: self.rng.next_u32(),
            cname: self.cname.clone(),
            media_timeout: self.media_timeout(),
            signalling: self.calls[place].signalling,
            card: self.card,
            ntp: self.ntp,
        };
        let mut config = stream_config(agreed, birth);
        self.protect(&mut config, agreed);
        match Stream::new(config) {
            Ok(stream) => {
                let record = &mut self.calls[place];
                record.abroad += 1;
                record.measured = None;
                record.key_begins();
                record.connected = self.connected.contains(&record.id);
                let connected = record.connected;
                self.outputs
                    .push_back(Output::Media(Command::Start(stream)));
                self.outputs
                    .push_back(Output::Media(Command::Connect { id, connected }));
            }
            Err(error) => {
                let record = &self.calls[place];
                let (call, sip) = (record.id.0, record.sip);
                self.note(&format!("call {call}: its sound cannot be set up: {error}"));
                self.agent.end(sip, now);
            }
        }
    }

    /// Every running stream anew, for a card with other figures.
    pub(super) fn restart_sound(&mut self, now: Instant) {
        for place in 0..self.calls.len() {
            let record = &self.calls[place];
            if record.stage != Stage::Ended
                && let (Some(id), Some(agreed)) = (record.stream, record.media.clone())
            {
                self.start_stream(place, id, &agreed, now);
            }
        }
    }

    /// Tells the engine which streams the handset hears and speaks to, where that changed.
    pub(super) fn connect_sound(&mut self) {
        for record in &mut self.calls {
            let connected = self.connected.contains(&record.id);
            if record.abroad > 0
                && record.connected != connected
                && let Some(id) = record.stream
            {
                record.connected = connected;
                self.outputs
                    .push_back(Output::Media(Command::Connect { id, connected }));
            }
        }
    }

    /// A call is over: its stream is called home; without one the record goes at once.
    pub(super) fn stop_sound(&mut self, place: usize, now: Instant) {
        let record = &mut self.calls[place];
        if let Some(id) = record.stream {
            self.dtls.close(id);
        }
        match record.stream {
            Some(id) if record.abroad > 0 => {
                record.forget_at = Some(now + COME_HOME);
                self.outputs.push_back(Output::Media(Command::Stop(id)));
            }
            Some(_) | None => self.forget(place),
        }
    }

    /// News from the engine.
    pub(super) fn heard(&mut self, event: media::Event, now: Instant) {
        match event {
            media::Event::Retired(stream) => {
                let id = stream.config().id;
                drop(stream);
                let Some(place) = self.place_of_stream(id) else {
                    return;
                };
                let record = &mut self.calls[place];
                record.abroad = record.abroad.saturating_sub(1);
                if record.abroad == 0 && record.stage == Stage::Ended {
                    self.forget(place);
                }
            }
            media::Event::Digit { id, event } => {
                if let (Some(place), Some(key)) =
                    (self.place_of_stream(id), types::Key::from_event(event))
                {
                    let call = self.calls[place].id.0;
                    self.tell(&json!({"event": "digit", "call": call, "digit": key.as_char().to_string(), "via": "rfc4733"}));
                }
            }
            media::Event::Stats { id, stats } => {
                if let Some(place) = self.place_of_stream(id) {
                    self.calls[place].stats = stats;
                    self.calls[place].measured = Some(stats.encryption);
                    self.tell_encryption(place, now);
                    self.renew_key(place, now);
                }
            }
            media::Event::Levels {
                capture_dbm0,
                playback_dbm0,
            } => self.levels(capture_dbm0, playback_dbm0),
            media::Event::FirstSound(id) => {
                if let Some(place) = self.place_of_stream(id) {
                    let call = self.calls[place].id.0;
                    self.tell(
                        &json!({"event": "audio", "what": format!("first sound of call {call}")}),
                    );
                }
            }
            // RTCP BYE ends no call: signalling does. It is worth a line when a call goes silent.
            media::Event::Bye(id) => tracing::debug!("stream {}: RTCP BYE", id.0),
            media::Event::Unheard(id) => self.unheard(id, now),
        }
    }

    /// How long sound is sent without a sign of life from the far end.
    fn media_timeout(&self) -> Duration {
        Duration::from_secs(self.config.call.media_timeout_s.into())
    }

    /// The engine has stopped sending: nobody is where the sound goes. A call that stands ends; one
    /// that is heard before its answer goes on in silence, and begins anew when it is answered.
    fn unheard(&mut self, id: StreamId, now: Instant) {
        let Some(place) = self.place_of_stream(id) else {
            return;
        };
        let after = self.config.call.media_timeout_s;
        let record = &mut self.calls[place];
        match record.stage {
            Stage::Talking | Stage::OnHold => {
                record.why = Some(format!(
                    "media timeout: nothing was heard of the far end for {after} s"
                ));
                let sip = record.sip;
                self.agent
                    .end_because(sip, sip::EndReason::MediaTimeout, now);
            }
            Stage::Calling
            | Stage::Ringback
            | Stage::EarlyMedia
            | Stage::Ringing
            | Stage::Answering
            | Stage::Ended => {}
        }
    }

    /// The call was answered: from now on somebody is to be heard.
    pub(super) fn expect_sound(&mut self, place: usize) {
        let record = &self.calls[place];
        if let Some(id) = record.stream
            && record.connected
            && record.abroad > 0
        {
            self.outputs.push_back(Output::Media(Command::Connect {
                id,
                connected: true,
            }));
        }
    }

    /// A key with a lifetime is renewed in time, and not used beyond it.
    fn renew_key(&mut self, place: usize, now: Instant) {
        let record = &mut self.calls[place];
        let (call, sip) = (record.id.0, record.sip);
        match record.key_wants() {
            KeyWants::Nothing => {}
            KeyWants::Renewal => {
                tracing::info!("call {call}: the far end's key comes to its end; new keys");
                self.agent.rekey(sip, now);
            }
            KeyWants::End => {
                record.why = Some("the far end's key came to its end, and no new one came".into());
                self.agent.end(sip, now);
            }
        }
    }

    /// Ended calls whose sound did not come home in time.
    pub(super) fn forget_late(&mut self, now: Instant) {
        while let Some(place) = self
            .calls
            .iter()
            .position(|call| call.forget_at.is_some_and(|at| at <= now))
        {
            tracing::warn!(
                "call {}: its sound did not come home",
                self.calls[place].id.0
            );
            self.forget(place);
        }
    }

    fn forget(&mut self, place: usize) {
        let record = self.calls.remove(place);
        if let Some(id) = record.stream {
            self.outputs.push_back(Output::CloseMedia(id));
        }
        self.rtp_rejected += record.stats.rejected;
        if self
            .last_call
            .as_ref()
            .is_some_and(|last| last.id == record.id.0)
        {
            self.last_call = Some(record.status());
        }
        if record.media.is_some() {
            self.note(&record.quality_line());
        }
    }
}
