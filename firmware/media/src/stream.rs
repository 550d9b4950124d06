//! One call's two directions. Built on the control thread (which may allocate), used on the audio
//! thread (which may not).
//!
//! ```text
//! datagram ─▶ Guard (authentic?) ─▶ RTP? ─▶ Latch (from whom?) ─▶ Receive ─▶ period for the mixer
//!                                └─▶ RTCP? ─▶ Session ─▶ round trip, loss, BYE
//! period from the mixer ─▶ Send ─▶ Guard ─▶ Outbox;   every 5 s Session ─▶ report ─▶ Guard ─▶ Outbox
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

use types::{Codec, Direction};

use crate::engine::{PacketKind, StreamId};
use crate::latch::{Latch, SignallingHosts};
use crate::level::FLOOR_DBM0;
use crate::outbox::Outbox;
use crate::patience::Patience;
use crate::receive::{Outcome, Receive};
use crate::rtcp::{self, Session};
use crate::rtp::View;
use crate::send::{Send, Way};
use crate::srtp::{Encryption, Guard, Protection, Refusal, SrtpStats};
use crate::stats::{self, mos};

/// What a stream needs to know.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamConfig {
    /// Its number, given by the owner.
    pub id: StreamId,
    /// The codec we send.
    pub codec: Codec,
    /// Payload type we send.
    pub send_payload: u8,
    /// Payload types we accept, each with its codec; the far end may switch among them.
    pub recv_payloads: Vec<(u8, Codec)>,
    /// telephone-event payload type we send, and its RTP clock in Hz.
    pub send_dtmf: Option<(u8, u32)>,
    /// telephone-event payload type we receive.
    pub recv_dtmf: Option<u8>,
    /// Packet length we send, in ms.
    pub ptime_ms: u8,
    /// Opus in-band FEC.
    pub opus_fec: bool,
    /// Opus DTX.
    pub opus_dtx: bool,
    /// Where RTP goes.
    pub remote_rtp: SocketAddr,
    /// Where RTCP goes (the same as `remote_rtp` with rtcp-mux).
    pub remote_rtcp: SocketAddr,
    /// Whether packets may come from, and then go to, another address than `remote_rtp` (symmetric
    /// RTP behind a NAT): any port of the same host, `signalling`, and whoever holds the keys.
    /// `false` where the far address was proven, as by a DTLS handshake.
    pub latching: bool,
    /// The hosts the far end's signalling came from.
    pub signalling: SignallingHosts,
    /// How long sound is sent without any authentic RTP or RTCP from where it goes; then nothing
    /// leaves, and [`crate::Event::Unheard`] tells.
    pub media_timeout: Duration,
    /// How packets are protected.
    pub protection: Protection,
    /// Which way sound goes.
    pub direction: Direction,
    /// Our SSRC.
    pub ssrc: u32,
    /// First sequence number.
    pub first_sequence: u16,
    /// First RTP timestamp.
    pub first_timestamp: u32,
    /// RTCP CNAME (RFC 7022 short-term persistent), at most 63 bytes are used.
    pub cname: String,
    /// Card rate in Hz: what the engine's capture and playback run at.
    pub card_rate_hz: u32,
    /// Card period in frames.
    pub period_frames: usize,
    /// The wall-clock time of some `Instant`, for the NTP field of sender reports: (instant, NTP
    /// 32.32).
    pub ntp: (Instant, u64),
}

/// Why a stream could not be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// libopus refused.
    #[error("Opus could not be set up: {0}")]
    Opus(String),
    /// A number outside what the engine can do.
    #[error("{what} is {value}, must be {allowed}")]
    OutOfRange {
        /// Which number.
        what: &'static str,
        /// Its value.
        value: u64,
        /// What is allowed.
        allowed: &'static str,
    },
    /// Two suites in one stream: no negotiation ends so (RFC 4568 section 5.1.2).
    #[error("a stream sends by {send} and receives by {receive}: both directions have one suite")]
    Suites {
        /// The suite to send by.
        send: &'static str,
        /// The suite to receive by.
        receive: &'static str,
    },
}

/// What a stream measured since its start.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct StreamStats {
    /// RTP packets sent.
    pub sent: u64,
    /// RTP packets received (duplicates not counted).
    pub received: u64,
    /// Packets of the far sequence that never came in time to exist (RFC 3550 expected − received).
    pub lost: u64,
    /// Packets that came after their playout time.
    pub late: u64,
    /// Duplicates dropped.
    pub duplicate: u64,
    /// Packets dropped: malformed, unknown payload type, wrong source.
    pub rejected: u64,
    /// Milliseconds of sound made up by concealment.
    pub concealed_ms: u64,
    /// Concealed frames (counted in packets).
    pub concealed: u64,
    /// Interarrival jitter (RFC 3550) in ms.
    pub jitter_ms: f32,
    /// Present playout delay of the jitter buffer in ms: from arrival to the mixer.
    pub delay_ms: f32,
    /// Far clock against ours, in ppm, as measured.
    pub drift_ppm: f32,
    /// Round trip by RTCP in ms, once known.
    pub round_trip_ms: Option<f32>,
    /// Loss the far end reports, 0 to 1.
    pub remote_loss: Option<f32>,
    /// Estimated listening quality (E-model, G.107 R mapped to MOS), 1 to 4.5.
    pub mos: f32,
    /// Level of what was sent last, dBm0.
    pub sent_level_dbm0: f32,
    /// Level of what was received last, dBm0.
    pub received_level_dbm0: f32,
    /// Milliseconds of sound sent since the far end was last heard of by RTP or RTCP.
    pub unheard_ms: u64,
    /// What protection counted.
    pub srtp: SrtpStats,
    /// What was measured of the encryption.
    pub encryption: Encryption,
}

/// One call's media.
pub struct Stream {
    config: StreamConfig,
    send: Send,
    receive: Receive,
    rtcp: Session,
    latch: Latch,
    guard: Guard,
    patience: Patience,
    pub(crate) connected: bool,
    first_sound_told: bool,
    pub(crate) rejected: u64,
    round_trip_ms: Option<f32>,
    remote_loss: Option<f32>,
    heard_ms: f64,
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
        let rtcp = Session::new(
            config.ssrc,
            &config.cname,
            config.ntp,
            u64::from(config.first_timestamp),
            config.ntp.0,
        );
        let latch = Latch::new(
            config.remote_rtp,
            config.remote_rtcp,
            config.latching,
            config.signalling,
        );
        let guard = Guard::new(&config.protection);
        let patience = Patience::new(config.media_timeout);
        Ok(Box::new(Self {
            guard,
            patience,
            config,
            send,
            receive,
            rtcp,
            latch,
            connected: false,
            first_sound_told: false,
            rejected: 0,
            round_trip_ms: None,
            remote_loss: None,
            heard_ms: 0.0,
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
        self.rtcp = Session::new(
            self.config.ssrc,
            &self.config.cname,
            self.config.ntp,
            u64::from(self.config.first_timestamp),
            now,
        );
        let Some(old) = old else { return };
        self.connected = old.connected;
        self.rejected = old.rejected;
        self.heard_ms = old.heard_ms;
        // Not anew: else a far end could have a new agreement every minute, and sound for its
        // victim for ever.
        self.patience.continue_from(&old.patience);
        self.first_sound_told = old.first_sound_told;
        (self.sent_level, self.received_level) = (old.sent_level, old.received_level);
        if self.config.ssrc == old.config.ssrc {
            self.send.continue_from(&old.send);
            self.rtcp = old.rtcp.clone();
            self.round_trip_ms = old.round_trip_ms;
            self.remote_loss = old.remote_loss;
        }
        if old.receive.serves(&self.receive) {
            old.receive.adopt_payloads(&self.receive);
            std::mem::swap(&mut self.receive, &mut old.receive);
        } else {
            self.receive.continue_from(&old.receive);
        }
        self.latch.continue_from(&old.latch);
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
        signalling: SignallingHosts,
        direction: Direction,
    ) {
        self.config.direction = direction;
        self.config.remote_rtp = remote_rtp;
        self.config.remote_rtcp = remote_rtcp;
        self.config.signalling = signalling;
        self.latch.redirect(remote_rtp, remote_rtcp, signalling);
    }

    /// Whether there is sound to send: allowed by direction, the handset speaks to it, and keys are
    /// not awaited.
    fn speaks(&self) -> bool {
        self.connected
            && self.config.direction.sends()
            && !self.guard.is_silent()
            && self.latch.rtp().is_some()
    }

    /// Whether sound leaves: there is some, and as far as is known somebody to hear it.
    pub(crate) fn sends(&self) -> bool {
        self.speaks() && !self.patience.is_over()
    }

    /// Nothing was heard of the far end for so long that nothing is sent any more.
    pub(crate) fn is_unheard(&self) -> bool {
        self.patience.is_over()
    }

    /// The handset hears and speaks to it, or not. Told again, patience with the far end begins
    /// anew.
    pub(crate) fn connect(&mut self, connected: bool) {
        self.connected = connected;
        if connected {
            self.patience.heard();
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
        arrival_ms: f64,
    ) -> Heard {
        let Some(kind) = kind else {
            self.rejected += 1;
            return Heard::Nothing;
        };
        let length = match self.guard.open(kind, packet) {
            Ok(length) => length,
            Err(refusal) => {
                self.refused(refusal, kind, packet);
                return Heard::Nothing;
            }
        };
        let packet = &packet[..length];
        match kind {
            PacketKind::Rtp => self.rtp(from, packet, arrival, arrival_ms),
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

    fn rtp(&mut self, from: SocketAddr, packet: &[u8], arrival: Instant, arrival_ms: f64) -> Heard {
        let Ok(view) = View::parse(packet) else {
            self.rejected += 1;
            return Heard::Nothing;
        };
        let believed = self.config.direction.receives()
            && self.receive.acceptable(&view, packet)
            && self
                .latch
                .admits_rtp(from, &view, self.guard.authenticates(), arrival);
        // What is not for the ear (held one way, or in a codec of its own) is a sign of life, too.
        if self.latch.is_far_host(from) {
            self.patience.heard();
        }
        if !believed {
            self.rejected += 1;
            return Heard::Nothing;
        }
        match self.receive.packet(&view, packet, arrival, arrival_ms) {
            Outcome::Taken => Heard::Nothing,
            Outcome::Digit(event) => Heard::Digit(event),
            Outcome::Rejected => {
                self.rejected += 1;
                Heard::Nothing
            }
        }
    }

    fn rtcp(&mut self, from: SocketAddr, packet: &[u8], arrival: Instant) -> Heard {
        let heard = self
            .latch
            .admits_rtcp(from, self.guard.authenticates())
            .then(|| self.rtcp.handle(packet, arrival).ok())
            .flatten();
        let Some(heard) = heard else {
            self.rejected += 1;
            return Heard::Nothing;
        };
        if self.latch.is_far_host(from) {
            self.patience.heard();
        }
        if let Some(time) = heard.round_trip {
            self.round_trip_ms = Some(time.as_secs_f32() * 1000.0);
        }
        if let Some(loss) = heard.remote_loss {
            self.remote_loss = Some(loss);
            self.send.set_loss(loss);
        }
        if heard.bye {
            Heard::Bye
        } else {
            Heard::Nothing
        }
    }

    /// Fills one period of what the far end says. `false`: silence.
    pub(crate) fn render(&mut self, out: &mut [i16], now_ms: f64, card_ppm: f64) -> bool {
        if !self.config.direction.receives() || !self.connected {
            self.receive.drain(now_ms);
            out.fill(0);
            return false;
        }
        let sound = self.receive.render(out, now_ms, card_ppm);
        if self.receive.played_first() {
            self.heard_ms += out.len() as f64 * 1000.0 / f64::from(self.config.card_rate_hz);
        }
        sound
    }

    /// Takes one period of what the far end shall hear; makes packets and reports.
    pub(crate) fn capture(&mut self, sound: &[i16], now: Instant, outbox: &mut Outbox) {
        match self.latch.rtp() {
            Some(to) if self.sends() => {
                let guard = &mut self.guard;
                self.send
                    .capture(&self.config, sound, &mut Way { to, guard, outbox });
            }
            Some(_) | None => self.send.skip(sound.len()),
        }
        if self.speaks() {
            self.patience
                .sent(sound.len() as f64 * 1000.0 / f64::from(self.config.card_rate_hz));
        }
        if now >= self.rtcp.due()
            && !self.guard.is_silent()
            && !self.patience.is_over()
            && let Some(to) = self.latch.rtcp()
        {
            let (rtcp, send, receive) = (&mut self.rtcp, &self.send, &mut self.receive);
            let sent = (send.sent() > 0).then(|| send.info());
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

    /// Says goodbye, if anything was ever said or heard (RFC 3550 section 6.3.7).
    pub(crate) fn bye(&mut self, now: Instant, outbox: &mut Outbox) {
        let Some(to) = self.latch.rtcp() else { return };
        if self.send.sent() == 0 || self.patience.is_over() {
            return;
        }
        let (rtcp, send, receive) = (&mut self.rtcp, &self.send, &mut self.receive);
        let sent = Some(send.info());
        outbox.push(
            self.config.id,
            PacketKind::Rtcp,
            to,
            &mut self.guard,
            |out| rtcp.bye(now, sent, receive.source(), out).ok(),
        );
    }

    /// `true` once: the first packet was played.
    pub(crate) fn first_sound(&mut self) -> bool {
        if self.first_sound_told || !self.receive.played_first() {
            return false;
        }
        self.first_sound_told = true;
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

    /// A second is over: levels are of this second.
    pub(crate) fn second(&mut self) {
        self.sent_level = self.send.take_level();
        self.received_level = self.receive.take_level();
    }

    /// The figures.
    pub(crate) fn stats(&self, card_ppm: f64) -> StreamStats {
        let (totals, counts) = (self.receive.totals(), self.receive.counts());
        let delay_ms = self.receive.delay_ms();
        let made_up = if self.heard_ms > 0.0 {
            (counts.concealed_ms / self.heard_ms) as f32
        } else {
            0.0
        };
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
            mos: mos(stats::Heard {
                codec: self.receive.codec(),
                fec: self.config.opus_fec,
                made_up,
                delay_ms: delay_ms
                    + self.receive.frame_ms() as f32
                    + self.round_trip_ms.unwrap_or(0.0) / 2.0,
            }),
            sent_level_dbm0: self.sent_level,
            received_level_dbm0: self.received_level,
            unheard_ms: self.patience.unheard_ms() as u64,
            srtp: self.guard.stats(),
            encryption: self.guard.encryption(),
        }
    }
}

/// What a datagram told beyond its sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Heard {
    /// Nothing for the owner.
    Nothing,
    /// A key.
    Digit(u8),
    /// RTCP BYE.
    Bye,
}

#[cfg(test)]
mod long_call;
