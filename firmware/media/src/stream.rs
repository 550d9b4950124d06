//! One call's two directions. Built on the control thread (which may allocate), used on the audio
//! thread (which may not).
//!
//! ```text
//! datagram ─▶ Guard (authentic?) ─▶ RTP? ─▶ Latch (from whom?) ─▶ Receive ─▶ period for the mixer
//!                                └─▶ RTCP? ─▶ RtcpSession ─▶ round trip, loss, BYE
//! period from the mixer ─▶ Send ─▶ Guard ─▶ Outbox;   every 5 s RtcpSession ─▶ report ─▶ Guard ─▶ Outbox
//! ```
//!
//! The guard comes first on the way in and last on the way out: where keys are agreed on, nothing
//! that is not authentic moves latch, buffer, report or counter of the sound, and nothing leaves in
//! clear.
//!
//! A stream sends only while it is connected and its direction allows it; a held one is silent on
//! the wire, but its timestamps go on, so that the pause keeps its length. A stream that may
//! receive but is not connected lets packets pass by, counted.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use types::Direction;

use crate::inactivity::Inactivity;
use crate::latch::{Latch, SignallingHosts};
use crate::level::FLOOR_DBM0;
use crate::other_sources::{OtherSources, SourceWatch, Watched};
use crate::outbox::Outbox;
use crate::packet::{PacketKind, Relays};
use crate::receive::{Outcome, Receive};
use crate::rtcp::xr::VoipMetrics;
use crate::rtcp::{self, RtcpSession};
use crate::rtp::View;
use crate::send::{Route, Send, destination};
use crate::srtp::{Guard, Protection, Refusal};
use crate::stats::{Missing, StreamStats};

mod quality;

pub use crate::stream_config::{StreamConfig, StreamError};

use quality::SpeechLevel;

/// One call's media.
pub struct Stream {
    config: StreamConfig,
    send: Send,
    receive: Receive,
    /// Begins with the stream.
    rtcp: Option<RtcpSession>,
    latch: Latch,
    others: SourceWatch,
    guard: Guard,
    inactivity: Inactivity,
    /// How long a period of the card is.
    period: Duration,
    pub(crate) connected: bool,
    first_sound_reported: bool,
    pub(crate) rejected: u64,
    round_trip_ms: Option<f32>,
    remote_loss: Option<f32>,
    far_metrics: Option<VoipMetrics>,
    speech_level: SpeechLevel,
    played: Duration,
    /// Quality of the last second, and what was missing at its end.
    mos_now: f32,
    missing_before: Missing,
    sent_level: f32,
    received_level: f32,
    /// The stream that was retired before this one: a list of any length without allocation.
    pub(crate) retired_before: Option<Box<Stream>>,
}

impl Stream {
    /// Builds a stream; everything it will ever need is allocated here.
    pub fn new(config: StreamConfig) -> Result<Box<Self>, StreamError> {
        let out_of_range = |what, value, allowed| {
            Err(StreamError::OutOfRange {
                what,
                value,
                allowed,
            })
        };
        if !(8_000..=48_000).contains(&config.card_rate_hz) {
            return out_of_range(
                "card rate",
                u64::from(config.card_rate_hz),
                "8000 to 48000 Hz",
            );
        }
        // 1 to 40 ms: the engine asks for 2 to 20, rounding aside.
        let (least, most) = (
            config.card_rate_hz as usize / 1000,
            config.card_rate_hz as usize / 25,
        );
        if !(least..=most).contains(&config.period_frames) {
            return out_of_range(
                "card period in frames",
                config.period_frames as u64,
                "1 to 40 ms of the card's rate",
            );
        }
        if !(10..=60).contains(&config.ptime_ms) {
            return out_of_range("ptime", u64::from(config.ptime_ms), "10 to 60 ms");
        }
        if config.send_payload > 127 {
            return out_of_range("payload type", u64::from(config.send_payload), "0 to 127");
        }
        if let Protection::Srtp { send, receive } = &config.protection
            && send.suite() != receive.suite()
        {
            return Err(StreamError::Suites {
                send: send.suite().as_str(),
                receive: receive.suite().as_str(),
            });
        }
        let (send, receive) = (Send::new(&config)?, Receive::new(&config)?);
        let latch = Latch::new(
            config.remote_rtp,
            config.remote_rtcp,
            config.latching,
            config.signalling,
        );
        let guard = Guard::new(&config.protection);
        let inactivity = Inactivity::new(config.media_timeout);
        let period = Duration::from_secs(1)
            .mul_f64(config.period_frames as f64 / f64::from(config.card_rate_hz));
        Ok(Box::new(Self {
            guard,
            inactivity,
            period,
            config,
            send,
            receive,
            rtcp: None,
            latch,
            others: SourceWatch::default(),
            connected: false,
            first_sound_reported: false,
            rejected: 0,
            round_trip_ms: None,
            remote_loss: None,
            far_metrics: None,
            speech_level: SpeechLevel::default(),
            played: Duration::ZERO,
            mos_now: 1.0,
            missing_before: Missing::default(),
            sent_level: FLOOR_DBM0,
            received_level: FLOOR_DBM0,
            retired_before: None,
        }))
    }

    /// What it was built from (address and direction follow [`crate::Command::Redirect`]).
    pub fn config(&self) -> &StreamConfig {
        &self.config
    }

    /// Begins on the audio thread. `old`: the stream of the same id it replaces.
    pub(crate) fn begin(&mut self, old: Option<&mut Stream>, now: Instant) {
        let mut rtcp = RtcpSession::new(
            self.config.ssrc,
            &self.config.cname,
            self.config.ntp.unwrap_or((now, 0)),
            u64::from(self.config.first_timestamp),
            now,
        );
        rtcp.set_extended(self.config.rtcp_xr);
        self.rtcp = Some(rtcp);
        let Some(old) = old else { return };
        self.connected = old.connected;
        self.rejected = old.rejected;
        self.played = old.played;
        (self.mos_now, self.missing_before) = (old.mos_now, old.missing_before);
        // Not from zero: a far end could ask for a new agreement every minute, and have sound sent
        // to its victim for ever.
        self.inactivity.continue_from(&old.inactivity);
        self.first_sound_reported = old.first_sound_reported;
        (self.sent_level, self.received_level) = (old.sent_level, old.received_level);
        self.speech_level = old.speech_level;
        if self.config.ssrc == old.config.ssrc {
            self.send.continue_from(&old.send);
            self.rtcp = old.rtcp.clone();
            if let Some(rtcp) = &mut self.rtcp {
                rtcp.set_extended(self.config.rtcp_xr);
            }
            self.far_metrics = old.far_metrics;
            self.round_trip_ms = old.round_trip_ms;
            self.remote_loss = old.remote_loss;
        } else {
            self.send.count_from(&old.send);
        }
        if old.receive.serves(&self.receive) {
            old.receive.adopt_payloads(&self.receive);
            std::mem::swap(&mut self.receive, &mut old.receive);
        } else {
            self.receive.continue_from(&old.receive);
        }
        self.latch.continue_from(&old.latch);
        self.others = old.others;
        self.guard.continue_from(
            &self.config.protection,
            &mut old.guard,
            &old.config.protection,
        );
    }

    /// New far address or direction.
    pub(crate) fn redirect(
        &mut self,
        remote_rtp: SocketAddr,
        remote_rtcp: SocketAddr,
        relays: Relays,
        signalling: SignallingHosts,
        direction: Direction,
    ) {
        self.config.direction = direction;
        self.config.remote_rtp = remote_rtp;
        self.config.remote_rtcp = remote_rtcp;
        self.config.relays = relays;
        self.config.signalling = signalling;
        self.latch.redirect(remote_rtp, remote_rtcp, signalling);
    }

    /// Addresses whose packets are reported, though not heard.
    pub(crate) fn watch_sources(&mut self, sources: OtherSources) {
        self.others = SourceWatch::new(sources);
    }

    /// The far end that a TURN channel stands for, where it is this stream's.
    pub(crate) fn relayed(
        &self,
        socket: PacketKind,
        server: SocketAddr,
        channel: u16,
    ) -> Option<SocketAddr> {
        let relay = self.config.relays.of(socket)?;
        let far = match socket {
            PacketKind::Rtp => self.config.remote_rtp,
            PacketKind::Rtcp => self.config.remote_rtcp,
        };
        (relay.server == server && relay.channel == channel).then_some(far)
    }

    /// Whether there is sound to send: allowed by direction, the handset is connected to it, and
    /// keys are not awaited.
    fn has_sound_to_send(&self) -> bool {
        self.connected
            && self.config.direction.sends()
            && !self.guard.is_silent()
            && self.latch.has_rtp()
    }

    /// Whether sound leaves: there is some, and as far as is known someone receives it.
    pub(crate) fn sends(&self) -> bool {
        self.has_sound_to_send() && !self.inactivity.is_over()
    }

    /// Nothing came from the far end for so long that nothing is sent any more.
    pub(crate) fn is_inactive(&self) -> bool {
        self.inactivity.is_over()
    }

    /// The handset is connected to it, or not. Repeated, the media timeout starts again.
    pub(crate) fn connect(&mut self, connected: bool) {
        self.connected = connected;
        if connected {
            self.inactivity.restart();
        }
    }

    /// A key for the far end. Held streams send nothing, keys neither.
    pub(crate) fn key(&mut self, event: u8, down: bool) {
        if self.sends() || !down {
            self.send.key(event, down);
        }
    }

    /// A datagram, sorted by its bytes (RTP and RTCP may share a port, RFC 5761); `None`: neither.
    pub(crate) fn packet(
        &mut self,
        from: SocketAddr,
        kind: Option<PacketKind>,
        packet: &mut [u8],
        arrival: Instant,
    ) -> FarEvent {
        let Some(kind) = kind else {
            self.rejected += 1;
            return FarEvent::Nothing;
        };
        if kind == PacketKind::Rtp
            && let Some(watched) = self.others.handle(from, arrival)
        {
            self.rejected += 1;
            return match watched {
                Watched::Due(from) => FarEvent::OtherSource(from),
                Watched::Known => FarEvent::Nothing,
            };
        }
        let length = match self.guard.open(kind, packet) {
            Ok(length) => length,
            Err(refusal) => {
                self.refused(refusal, kind, packet);
                return FarEvent::Nothing;
            }
        };
        let packet = &packet[..length];
        match kind {
            PacketKind::Rtp => self.rtp(from, packet, arrival),
            PacketKind::Rtcp => self.rtcp(from, packet, arrival),
        }
    }

    /// A packet the guard did not let in: nothing is done with it but that it is counted, as what
    /// it was by its form.
    fn refused(&mut self, refusal: Refusal, kind: PacketKind, packet: &[u8]) {
        let looks_clear = || match kind {
            PacketKind::Rtp => {
                View::parse(packet).is_ok_and(|view| self.receive.is_whole(&view, packet))
            }
            PacketKind::Rtcp => rtcp::is_whole(packet),
        };
        match refusal {
            // The network repeats packets, too: no fault of anybody.
            Refusal::Replayed => {}
            Refusal::Clear | Refusal::TooManySources => self.rejected += 1,
            Refusal::Malformed | Refusal::NotAuthentic => {
                if looks_clear() {
                    self.guard.was_clear();
                }
                self.rejected += 1;
            }
        }
    }

    fn rtp(&mut self, from: SocketAddr, packet: &[u8], arrival: Instant) -> FarEvent {
        let Ok(view) = View::parse(packet) else {
            self.rejected += 1;
            return FarEvent::Nothing;
        };
        let believed = self.config.direction.receives()
            && self.receive.acceptable(&view, packet)
            && self
                .latch
                .admits_rtp(from, &view, self.guard.authenticates(), arrival);
        // What is not for the ear (held one way, or in a codec of its own) is a sign of life, too.
        if self.latch.is_far_host(from) {
            self.inactivity.restart();
        }
        if !believed {
            self.rejected += 1;
            return FarEvent::Nothing;
        }
        match self.receive.packet(&view, packet, arrival) {
            Outcome::Taken => FarEvent::Nothing,
            Outcome::Digit(event) => FarEvent::Digit(event),
            Outcome::Rejected => {
                self.rejected += 1;
                FarEvent::Nothing
            }
        }
    }

    fn rtcp(&mut self, from: SocketAddr, packet: &[u8], arrival: Instant) -> FarEvent {
        let heard = self
            .latch
            .admits_rtcp(from, self.guard.authenticates())
            .then_some(self.rtcp.as_mut())
            .flatten()
            .and_then(|session| session.handle(packet, arrival).ok());
        let Some(heard) = heard else {
            self.rejected += 1;
            return FarEvent::Nothing;
        };
        if self.latch.is_far_host(from) {
            self.inactivity.restart();
        }
        if let Some(time) = heard.round_trip {
            self.round_trip_ms = Some(time.as_secs_f32() * 1000.0);
        }
        if let Some(loss) = heard.remote_loss {
            self.remote_loss = Some(loss);
            self.send.set_loss(loss);
        }
        self.far_metrics = heard.metrics.or(self.far_metrics);
        if heard.bye {
            FarEvent::Bye
        } else {
            FarEvent::Nothing
        }
    }

    /// Fills one period of what the far end says. `false`: silence.
    pub(crate) fn render(&mut self, out: &mut [i16], now: Instant, card_ppm: f64) -> bool {
        if !self.config.direction.receives() || !self.connected {
            self.receive.drain(now);
            out.fill(0);
            return false;
        }
        let sound = self.receive.render(out, now, card_ppm);
        if self.receive.played_first() {
            self.played += self.period;
        }
        sound
    }

    /// Takes one period of what is sent to the far end; makes packets and reports.
    pub(crate) fn capture(&mut self, sound: &[i16], now: Instant, outbox: &mut Outbox) {
        let has_sound = self.has_sound_to_send();
        if has_sound && !self.inactivity.is_over() {
            let mut route = Route {
                latch: &self.latch,
                guard: &mut self.guard,
                outbox,
            };
            self.send.capture(&self.config, sound, &mut route);
        } else {
            self.send.skip(sound.len());
        }
        if has_sound {
            self.inactivity.sent(self.period);
        }
        if self.rtcp.as_ref().is_some_and(|rtcp| now >= rtcp.due())
            && !self.guard.is_silent()
            && !self.inactivity.is_over()
            && let Some(to) = destination(&self.config, &self.latch, PacketKind::Rtcp)
        {
            self.describe_reception();
            let Some(rtcp) = &mut self.rtcp else { return };
            let (send, receive) = (&self.send, &mut self.receive);
            let sent = send.has_sent().then(|| send.info());
            outbox.push(
                self.config.id,
                PacketKind::Rtcp,
                to,
                &mut self.guard,
                |out| rtcp.poll(now, sent, receive.source(), out),
            );
        }
        self.guard.tick(now);
    }

    /// Sends BYE, if anything was ever sent (RFC 3550 section 6.3.7).
    pub(crate) fn bye(&mut self, now: Instant, outbox: &mut Outbox) {
        let Some(to) = destination(&self.config, &self.latch, PacketKind::Rtcp) else {
            return;
        };
        if !self.send.has_sent() || self.inactivity.is_over() {
            return;
        }
        self.describe_reception();
        let Some(rtcp) = &mut self.rtcp else { return };
        let (send, receive) = (&self.send, &mut self.receive);
        let sent = Some(send.info());
        outbox.push(
            self.config.id,
            PacketKind::Rtcp,
            to,
            &mut self.guard,
            |out| rtcp.bye(now, sent, receive.source(), out).ok(),
        );
    }

    /// The digit whose tone was heard, once.
    pub(crate) fn take_inband_digit(&mut self) -> Option<u8> {
        self.receive.take_inband_digit()
    }

    /// `true` once: the first packet was played.
    pub(crate) fn first_sound(&mut self) -> bool {
        if self.first_sound_reported || !self.receive.played_first() {
            return false;
        }
        self.first_sound_reported = true;
        true
    }

    /// Sound of the card was lost (so many frames) or repeated (less than none).
    pub(crate) fn realign(&mut self, frames: i64) {
        self.receive.realign();
        // The RTP clock is the clock of the microphone's sound: were what is lost not counted, the
        // far end would take every hole for a network grown slower by as much, and wait longer and
        // longer.
        self.send.skip(usize::try_from(frames).unwrap_or(0));
    }

    /// A period of the card began too late: the board has not the time.
    pub(crate) fn late_period(&mut self) {
        self.send.late_period();
    }

    /// What libopus is set to.
    #[cfg(test)]
    pub(crate) fn opus_settings(&self) -> Option<OpusSettings> {
        self.send.opus_settings()
    }

    /// A second is over: levels are of this second.
    pub(crate) fn second(&mut self) {
        let missing = self.missing();
        let share = missing.since(&self.missing_before).share();
        self.mos_now = self.rating(share, true).mos();
        self.missing_before = missing;
        self.send.second();
        self.sent_level = self.send.take_level();
        self.received_level = self.receive.take_level();
        self.speech_level.second(self.received_level);
    }

    /// The figures.
    pub(crate) fn stats(&self, card_ppm: f64) -> StreamStats {
        let (totals, counts) = (self.receive.totals(), self.receive.counts());
        let delay_ms = self.receive.delay_ms();
        StreamStats {
            sent: self.send.sent(),
            received: totals.received,
            lost: totals.lost,
            late: totals.late,
            duplicate: totals.duplicate,
            rejected: self.rejected,
            concealed_ms: counts.concealed_ms as u64,
            concealed: counts.concealed,
            jitter_ms: self.receive.jitter_ms(),
            delay_ms,
            // Positive: the far clock is fast.
            drift_ppm: (card_ppm - self.receive.ppm()) as f32,
            round_trip_ms: self.round_trip_ms,
            remote_loss: self.remote_loss,
            mos: self.rating(self.missing().share(), true).mos(),
            mos_now: self.mos_now,
            ssrc: self.config.ssrc,
            metrics: self.voip_metrics(),
            far_metrics: self.far_metrics,
            sent_level_dbm0: self.sent_level,
            received_level_dbm0: self.received_level,
            inactive_ms: self.inactivity.since_heard().as_millis() as u64,
            srtp: self.guard.stats(),
            encryption: self.guard.encryption(),
        }
    }
}

/// What a datagram says beyond its sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FarEvent {
    /// Nothing for the owner.
    Nothing,
    /// A key.
    Digit(u8),
    /// RTCP BYE.
    Bye,
    /// A watched address sends.
    OtherSource(SocketAddr),
}

#[cfg(test)]
use crate::codec::opus_control::OpusSettings;
#[cfg(test)]
mod tests;
