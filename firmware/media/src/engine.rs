//! The engine: the only thing `app` sees of sound. One per phone, called once a card period.
//!
//! ```text
//! handle_packet ─▶ Stream ─▶ render ─┬─▶ mix (tones, sidetone, key tone over all) ─▶ playback
//!                                  └─▶ send: microphone + the other far ends ─▶ Stream ─▶ Outbox ─▶ poll_transmit
//! handle_command ─▶ streams, tones, mute                      events, retired streams ─▶ poll_event
//!                  microphone ─▶ Microphone ◀─ what was written to the card
//! handle_packet, if STUN or DTLS ─▶ Ring ─▶ poll_non_media (for the control thread)
//! ```

use std::net::SocketAddr;
use std::time::{Duration, Instant};

pub use crate::command::{Command, Event, Gains, RingClip, RingSound, RingTone};
use crate::drift::CardClock;
use crate::echo::EchoCanceller;
use crate::gain::Gain;
use crate::level::LevelMeter;
use crate::microphone::Microphone;
use crate::mixer::Mixer;
use crate::outbox::Outbox;
use crate::packet::{
    CHANNEL_HEADER, Class, NonMedia, PacketKind, Protocol, StreamId, Transmit, classify,
};
use crate::ring::Ring;
use crate::ringing::Bell;
use crate::speech::SpeechPlayer;
use crate::stats::StreamStats;
use crate::stream::{FarEvent, Stream};
use crate::time::after_ms;
use crate::tone::ToneGenerator;
use crate::voice::VoiceProcessor;

/// Streams an engine can hold at once: of three calls of the handset, and of both legs of one that
/// is forwarded by this phone.
pub const MAX_STREAMS: usize = 5;
/// Fixed facts of the sound card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EngineConfig {
    /// Frames a second, 8000 to 48000. Capture and playback are mono i16.
    pub rate_hz: u32,
    /// Frames in one period, the length of `capture` and `playback` in [`Engine::process`].
    pub period_frames: usize,
    /// Sidetone in dB of capture into playback; `None`: none.
    pub sidetone_db: Option<i8>,
}

/// Events that may wait for [`Engine::poll_event`]. Retired streams wait in a list of their own
/// that is never full.
const EVENTS: usize = 64;
/// Datagrams that may wait for [`Engine::poll_non_media`]: two flights of a DTLS handshake.
const NON_MEDIA: usize = 16;
/// How often figures are reported.
const STATS: Duration = Duration::from_secs(1);

/// The audio engine.
pub struct Engine {
    config: EngineConfig,
    clock: CardClock,
    streams: [Option<Box<Stream>>; MAX_STREAMS],
    /// The sound of each stream in this period, and whether it has any.
    received: [Box<[i16]>; MAX_STREAMS],
    audible: [bool; MAX_STREAMS],
    /// Whether the other far ends may hear it, too.
    passes: [bool; MAX_STREAMS],
    /// What the card captured, at the microphone's gain.
    captured: Box<[i16]>,
    microphone: Microphone,
    far_mix: Box<[i16]>,
    tone_sound: Box<[i16]>,
    mixer: Mixer,
    tone: ToneGenerator,
    key_tone: ToneGenerator,
    speech: SpeechPlayer,
    bell: Bell,
    microphone_gain: Gain,
    ear_gain: Gain,
    sidetone: Option<f32>,
    hands_free: bool,
    /// A card of its own plays the bell: it is kept out of `playback`.
    bell_apart: bool,
    outbox: Outbox,
    non_media: Ring<(PacketKind, Protocol)>,
    events: heapless::Deque<Event, EVENTS>,
    retired: Option<Box<Stream>>,
    dropped_events: u64,
    capture_level: LevelMeter,
    playback_level: LevelMeter,
    next_stats: Instant,
    /// How late the last period was, in ms.
    late_ms: f64,
}

impl Engine {
    /// An engine with no stream and silence. Everything it will ever need is allocated here.
    pub fn new(config: EngineConfig, now: Instant) -> Self {
        let period = || vec![0i16; config.period_frames].into_boxed_slice();
        Self {
            clock: CardClock::new(config.rate_hz, config.period_frames),
            streams: [const { None }; MAX_STREAMS],
            received: std::array::from_fn(|_| period()),
            audible: [false; MAX_STREAMS],
            passes: [true; MAX_STREAMS],
            captured: period(),
            microphone: Microphone::new(config.period_frames),
            far_mix: period(),
            tone_sound: period(),
            mixer: Mixer::new(config.period_frames),
            tone: ToneGenerator::new(config.rate_hz),
            key_tone: ToneGenerator::new(config.rate_hz),
            speech: SpeechPlayer::new(config.rate_hz, config.period_frames),
            bell: Bell::new(config.rate_hz, config.period_frames),
            microphone_gain: Gain::new(),
            ear_gain: Gain::new(),
            hands_free: false,
            bell_apart: false,
            sidetone: config
                .sidetone_db
                .map(|db| 10f32.powf(f32::from(db) / 20.0)),
            outbox: Outbox::new(),
            non_media: Ring::new(NON_MEDIA, (PacketKind::Rtp, Protocol::Stun)),
            events: heapless::Deque::new(),
            retired: None,
            dropped_events: 0,
            capture_level: LevelMeter::new(),
            playback_level: LevelMeter::new(),
            next_stats: now + STATS,
            late_ms: 0.0,
            config,
        }
    }

    /// With a canceller for its card.
    #[must_use]
    pub fn with_echo_canceller(mut self, echo: Option<EchoCanceller>) -> Self {
        self.microphone.echo = echo.map(Box::new);
        self
    }

    /// With what else is done to the microphone's sound.
    #[must_use]
    pub fn with_voice_processor(mut self, voice: Option<VoiceProcessor>) -> Self {
        self.microphone.voice = voice.map(Box::new);
        self
    }

    /// Its fixed facts.
    pub fn config(&self) -> EngineConfig {
        self.config
    }

    fn find(&mut self, id: StreamId) -> Option<&mut Box<Stream>> {
        self.streams
            .iter_mut()
            .flatten()
            .find(|s| s.config().id == id)
    }

    fn emit(&mut self, event: Event) {
        if self.events.push_back(event).is_err() {
            self.dropped_events += 1;
        }
    }

    fn report_stats(&mut self, index: usize) {
        if let Some(stream) = &self.streams[index] {
            let (id, stats) = (stream.config().id, stream.stats(self.clock.ppm()));
            self.emit(Event::Stats { id, stats });
        }
    }

    fn retire(&mut self, mut stream: Box<Stream>) {
        stream.retired_before = self.retired.take();
        self.retired = Some(stream);
    }

    /// Takes a command.
    pub fn handle_command(&mut self, command: Command, now: Instant) {
        match command {
            Command::Start(stream) => self.start(stream, now),
            Command::Stop(id) => {
                if let Some(index) = self.index_of(id) {
                    if let Some(stream) = &mut self.streams[index] {
                        stream.second();
                        stream.bye(now, &mut self.outbox);
                    }
                    self.report_stats(index);
                    if let Some(stream) = self.streams[index].take() {
                        self.retire(stream);
                    }
                }
            }
            Command::Redirect {
                id,
                remote_rtp,
                remote_rtcp,
                relays,
                signalling,
                direction,
            } => {
                if let Some(stream) = self.find(id) {
                    stream.redirect(remote_rtp, remote_rtcp, relays, signalling, direction);
                }
            }
            Command::WatchSources { id, sources } => {
                if let Some(stream) = self.find(id) {
                    stream.watch_sources(sources);
                }
            }
            Command::Connect { id, connected } => {
                if let Some(stream) = self.find(id) {
                    stream.connect(connected);
                }
            }
            Command::Tone(Some(spec)) => self.tone.start(spec),
            Command::Tone(None) => self.tone.stop(),
            Command::KeyTone(Some(spec)) => self.key_tone.start(spec),
            Command::KeyTone(None) => self.key_tone.stop(),
            Command::Speak(clip) => self.speech.start(clip),
            Command::StopSpeaking => self.speech.stop(),
            Command::Dtmf { id, event, down } => {
                if let Some(stream) = self.find(id) {
                    stream.key(event, down);
                }
            }
            Command::Mute(muted) => self.microphone.muted = muted,
            Command::Gains(gains) => {
                self.microphone_gain.set_db(gains.microphone_db);
                self.ear_gain.set_db(gains.ear_db);
                self.bell.set_db(gains.ringer_db);
                self.hands_free = gains.hands_free;
            }
            Command::Ring(ring) => self.bell.ring(ring),
        }
    }

    fn index_of(&self, id: StreamId) -> Option<usize> {
        self.streams
            .iter()
            .position(|s| s.as_ref().is_some_and(|s| s.config().id == id))
    }

    fn start(&mut self, mut stream: Box<Stream>, now: Instant) {
        let config = stream.config();
        let fits = config.card_rate_hz == self.config.rate_hz
            && config.period_frames == self.config.period_frames;
        let index = self
            .index_of(config.id)
            .or_else(|| self.streams.iter().position(Option::is_none));
        match index {
            Some(index) if fits => {
                let mut old = self.streams[index].take();
                stream.begin(old.as_deref_mut(), now);
                self.streams[index] = Some(stream);
                if let Some(old) = old {
                    self.retire(old);
                }
            }
            // Built for another card, or one too many: it is returned at once.
            Some(_) | None => self.retire(stream),
        }
    }

    /// A datagram came in on a stream's socket. It may be changed in place (decryption). RTP and
    /// RTCP go to the stream, distinguished by their bytes; STUN and DTLS wait for
    /// [`Engine::poll_non_media`], whether the stream has begun or not.
    pub fn handle_packet(
        &mut self,
        id: StreamId,
        socket: PacketKind,
        from: SocketAddr,
        packet: &mut [u8],
        arrival: Instant,
    ) {
        let kind = match classify(packet) {
            Class::Media(kind) => Some(kind),
            Class::NonMedia(protocol) => {
                return self.keep_non_media(id, (socket, protocol), from, packet);
            }
            Class::Channel(channel, length) => {
                let content = CHANNEL_HEADER..CHANNEL_HEADER + length;
                let kind = match classify(&packet[content.clone()]) {
                    Class::Media(kind) => Some(kind),
                    Class::NonMedia(_) => {
                        let tag = (socket, Protocol::Channel);
                        return self.keep_non_media(id, tag, from, packet);
                    }
                    Class::Channel(..) | Class::Unknown => None,
                };
                let content = &mut packet[content];
                let Some(stream) = self.find(id) else { return };
                // Only the server that the stream's packets go through speaks for its far end.
                let far = stream.relayed(socket, from, channel);
                let (from, kind) = (far.unwrap_or(from), kind.filter(|_| far.is_some()));
                return self.give_packet(id, from, kind, content, arrival);
            }
            Class::Unknown => None,
        };
        self.give_packet(id, from, kind, packet, arrival);
    }

    fn keep_non_media(
        &mut self,
        id: StreamId,
        tag: (PacketKind, Protocol),
        from: SocketAddr,
        packet: &[u8],
    ) {
        self.non_media.push(id, tag, from, |out| {
            out.get_mut(..packet.len())?.copy_from_slice(packet);
            Some(packet.len())
        });
    }

    /// Gives a packet to its stream; `kind`: `None` where it is nothing for it.
    fn give_packet(
        &mut self,
        id: StreamId,
        from: SocketAddr,
        kind: Option<PacketKind>,
        packet: &mut [u8],
        arrival: Instant,
    ) {
        let Some(stream) = self.find(id) else { return };
        match stream.packet(from, kind, packet, arrival) {
            FarEvent::Nothing => {}
            FarEvent::Digit(event) => self.emit(Event::Digit {
                id,
                event,
                inband: false,
            }),
            FarEvent::Bye => self.emit(Event::Bye(id)),
            FarEvent::OtherSource(from) => self.emit(Event::OtherSource { id, from }),
        }
    }

    /// One card period: takes what the microphone heard, fills what is played. Both are
    /// mono, `period_frames` long.
    pub fn process(&mut self, capture: &[i16], playback: &mut [i16], now: Instant) {
        self.late_ms = self.clock.tick(now);
        let period_start = after_ms(now, -self.late_ms);
        let card_ppm = self.clock.ppm();
        self.render(period_start, card_ppm);
        let n = capture.len().min(self.captured.len());
        self.captured[..n].copy_from_slice(&capture[..n]);
        self.captured[n..].fill(0);
        self.microphone_gain.apply(&mut self.captured);
        self.send(now);
        self.mix(playback);
        self.capture_level.push(&self.captured);
        self.playback_level.push(playback);
        self.report(now);
    }

    /// Each stream's sound of this period.
    fn render(&mut self, now: Instant, card_ppm: f64) {
        for index in 0..MAX_STREAMS {
            self.audible[index] = false;
            let Some(stream) = &mut self.streams[index] else {
                continue;
            };
            self.passes[index] = !stream.config().ear_only;
            self.audible[index] = stream.render(&mut self.received[index], now, card_ppm);
            let id = stream.config().id;
            let digit = stream.take_inband_digit();
            if stream.first_sound() {
                self.emit(Event::FirstSound(id));
            }
            if let Some(event) = digit {
                self.emit(Event::Digit {
                    id,
                    event,
                    inband: true,
                });
            }
        }
    }

    /// The microphone to each stream, and in a conference the other far ends with it.
    fn send(&mut self, now: Instant) {
        if self.streams.iter().all(Option::is_none) {
            return;
        }
        let microphone = self.microphone.process(&self.captured);
        for index in 0..MAX_STREAMS {
            let Some(stream) = &mut self.streams[index] else {
                continue;
            };
            let joins =
                |other: &usize| *other != index && self.audible[*other] && self.passes[*other];
            let others = (0..MAX_STREAMS).any(|other| joins(&other));
            if others && stream.sends() {
                self.mixer.clear();
                self.mixer.add(microphone);
                for other in (0..MAX_STREAMS).filter(joins) {
                    self.mixer.add(&self.received[other]);
                }
                self.mixer.finish(&mut self.far_mix);
                stream.capture(&self.far_mix, now, &mut self.outbox);
            } else {
                stream.capture(microphone, now, &mut self.outbox);
            }
        }
    }

    /// What the ear hears.
    fn mix(&mut self, playback: &mut [i16]) {
        self.mixer.clear();
        for (sound, &audible) in self.received.iter().zip(&self.audible) {
            if audible {
                self.mixer.add(sound);
            }
        }
        if let Some(gain) = self.sidetone
            && !self.microphone.muted
            && !self.hands_free
            && self.streams.iter().flatten().any(|s| s.connected)
        {
            self.mixer.add_scaled(&self.captured, gain);
        }
        if self.tone.is_active() {
            self.tone.render(&mut self.tone_sound);
            self.mixer.add(&self.tone_sound);
        }
        self.speech.mix(&mut self.mixer);
        if self.key_tone.is_active() {
            self.key_tone.render(&mut self.tone_sound);
            self.mixer.duck();
            self.mixer.add(&self.tone_sound);
        }
        self.mixer.finish(playback);
        self.ear_gain.apply(playback);
        if let Some(bell) = self.bell.render()
            && !self.bell_apart
        {
            self.mixer.clear();
            self.mixer.add(playback);
            self.mixer.add(bell);
            self.mixer.finish(playback);
        }
        if self.streams.iter().any(Option::is_some) {
            self.microphone.written(playback);
        }
    }

    /// Once a second: figures and levels.
    fn report(&mut self, now: Instant) {
        if now < self.next_stats {
            return;
        }
        self.next_stats = now + STATS;
        for index in 0..MAX_STREAMS {
            if let Some(stream) = &mut self.streams[index] {
                stream.second();
                let inactive = stream.is_inactive().then(|| stream.config().id);
                self.report_stats(index);
                if let Some(id) = inactive {
                    self.emit(Event::MediaTimeout(id));
                }
            }
        }
        if let Some(stats) = self.microphone.echo_stats()
            && self.streams.iter().any(Option::is_some)
        {
            self.emit(Event::Echo(stats));
        }
        let (capture_dbm0, playback_dbm0) = (self.capture_level.take(), self.playback_level.take());
        self.emit(Event::Levels {
            capture_dbm0,
            playback_dbm0,
        });
    }

    /// The card lost (or, below zero, repeated) sound of about this many frames (xrun, re-open):
    /// jitter buffers re-align, and the RTP clock of what we send goes on over what was lost.
    pub fn handle_discontinuity(&mut self, frames: i64) {
        self.clock.jumped();
        self.microphone.handle_discontinuity();
        for stream in self.streams.iter_mut().flatten() {
            stream.realign(frames);
        }
    }

    /// A period of the card began more than one period late: the board has not the time, and what
    /// may cost less costs less from now on.
    pub fn handle_late_period(&mut self) {
        for stream in self.streams.iter_mut().flatten() {
            stream.late_period();
        }
    }

    /// A packet that must leave; call until `None` after each `process`.
    pub fn poll_transmit(&mut self) -> Option<Transmit<'_>> {
        self.outbox.pop()
    }

    /// A STUN or DTLS datagram for the control thread; call until `None` after packets were
    /// handled. At most 16 wait, more are dropped and counted (both protocols repeat what is lost).
    pub fn poll_non_media(&mut self) -> Option<NonMedia<'_>> {
        let slot = self.non_media.pop()?;
        let (socket, protocol) = slot.tag;
        Some(NonMedia {
            stream: slot.stream,
            socket,
            from: slot.peer,
            protocol,
            bytes: slot.bytes(),
        })
    }

    /// STUN and DTLS datagrams dropped because the owner did not poll.
    pub fn non_media_dropped(&self) -> u64 {
        self.non_media.dropped()
    }

    /// Something the owner should know; call until `None`.
    pub fn poll_event(&mut self) -> Option<Event> {
        if let Some(event) = self.events.pop_front() {
            return Some(event);
        }
        if let Some(mut stream) = self.retired.take() {
            self.retired = stream.retired_before.take();
            return Some(Event::Retired(stream));
        }
        self.speech.poll_returned().map(Event::Spoken)
    }

    /// Live figures of a stream.
    pub fn stats(&self, id: StreamId) -> Option<StreamStats> {
        let stream = self
            .streams
            .iter()
            .flatten()
            .find(|s| s.config().id == id)?;
        Some(stream.stats(self.clock.ppm()))
    }

    /// Nothing to hear, and no one to send to: no stream, tone, speech or bell. Time
    /// that then passes without [`Engine::process`] is a discontinuity of no frames.
    pub fn is_idle(&self) -> bool {
        self.streams.iter().all(Option::is_none)
            && !self.tone.is_active()
            && !self.key_tone.is_active()
            && !self.speech.is_active()
            && !self.bell.is_active()
    }

    /// How long after it was complete the last period was done, in ms, as far as is known: the
    /// soonest of the last second counts as punctual.
    pub fn late_ms(&self) -> f64 {
        self.late_ms
    }

    /// Whether one talks without the handset.
    pub fn is_hands_free(&self) -> bool {
        self.hands_free
    }

    /// From now on the bell is played by a card of its own ([`Engine::bell`]), or again with the
    /// rest.
    pub fn set_bell_apart(&mut self, apart: bool) {
        self.bell_apart = apart;
    }

    /// The bell in the last period, where it rings and is played apart.
    pub fn bell(&self) -> Option<&[i16]> {
        self.bell.sounding().filter(|_| self.bell_apart)
    }

    /// Another microphone and loudspeaker are in use: what was learnt of the way between them is
    /// no longer true.
    pub fn handle_card_change(&mut self) {
        self.microphone.handle_discontinuity();
    }

    /// Streams held now.
    pub fn streams(&self) -> usize {
        self.streams.iter().flatten().count()
    }

    /// Packets and events dropped because the owner did not poll.
    pub fn dropped(&self) -> (u64, u64) {
        (self.outbox.dropped(), self.dropped_events)
    }
}

#[cfg(test)]
mod tests;
