//! Sending: card periods into packets.
//!
//! ```text
//! period ─▶ resample to the codec's rate ─▶ frame of one ptime ─▶ encode ─▶ RTP header ─▶ Guard ─▶ Outbox
//!                                             └─ a key is down ─▶ telephone-event instead (RFC 4733), or its tone in-band
//! ```

use types::{Codec, Key};

use crate::codec::opus::bitrate_for_rate;
use crate::codec::opus_control::OpusControl;
use crate::codec::{Encoder, EncoderOptions, MAX_PAYLOAD};
use crate::dtmf::{self, MIN_INBAND_MS};
use crate::latch::Latch;
use crate::level::LevelMeter;
use crate::outbox::Outbox;
use crate::packet::{Destination, PacketKind};
use crate::resample::Push;
use crate::rtcp::SenderInfo;
use crate::rtp::{COMFORT_NOISE, HEADER_LEN, Sender};
use crate::silence::{SilenceDetector, VoiceActivity};
use crate::srtp::Guard;
use crate::stream_config::{StreamConfig, StreamError};
use crate::tone::ToneGenerator;

/// Bits a second of wideband Opus with FEC. libopus 1.3.1 carries no copies at all at 24 kbit/s
/// unless it is set for 10 % loss, and then the sound suffers; PESQ-WB of speech clean / with 5 %
/// lost: 24 kbit/s 4.24 / 3.28, 32 kbit/s 4.18 / 3.97, 40 kbit/s 4.33 / 4.15.
const FEC_BITRATE: u32 = 40_000;
/// Level of in-band digits, dBm0 for both frequencies together (ITU-T Q.23 and Q.24 ask −3 to −27).
const INBAND_DBM0: f32 = -8.0;
/// Presses that may wait for their turn in-band.
const INBAND_QUEUE: usize = 32;

/// The digit that is sent as a tone.
#[derive(Debug, Clone, Copy, PartialEq)]
enum InbandDigit {
    None,
    /// The event, how long it lasts so far in ms, and whether its key is released.
    Sounds {
        event: u8,
        ms: f64,
        released: bool,
    },
    /// The pause after it: ms to go.
    Gap(f64),
}

/// The way out of one stream.
pub(crate) struct Route<'a> {
    pub(crate) latch: &'a Latch,
    pub(crate) guard: &'a mut Guard,
    pub(crate) outbox: &'a mut Outbox,
}

impl Route<'_> {
    /// Sends what `write` makes; whether something leaves.
    fn push(
        &mut self,
        config: &StreamConfig,
        write: impl FnOnce(&mut [u8]) -> Option<usize>,
    ) -> bool {
        // Asked for once a packet, not once a period.
        let Some(to) = destination(config, self.latch, PacketKind::Rtp) else {
            return false;
        };
        self.outbox
            .push(config.id, PacketKind::Rtp, to, self.guard, write)
    }
}

/// Where packets of a kind go; `None`: nowhere.
pub(crate) fn destination(
    config: &StreamConfig,
    latch: &Latch,
    kind: PacketKind,
) -> Option<Destination> {
    let to = match kind {
        PacketKind::Rtp => latch.rtp(),
        PacketKind::Rtcp => latch.rtcp(),
    }?;
    // RFC 5761 section 5.1.1: with one port for both, RTCP comes from that of RTP.
    let muxed = config.remote_rtp == config.remote_rtcp;
    let socket = if muxed { PacketKind::Rtp } else { kind };
    let relay = config.relays.of(socket);
    Some(Destination {
        socket,
        to: relay.map_or(to, |relay| relay.server),
        channel: relay.map(|relay| relay.channel),
    })
}

/// One stream's sending half.
pub(crate) struct Send {
    encoder: Encoder,
    push: Push,
    /// Sound at the codec's rate, collected up to one packet.
    frame: Box<[i16]>,
    filled: usize,
    converted: Box<[i16]>,
    rtp: Sender,
    payload_type: u8,
    event_payload: Option<u8>,
    events: dtmf::Sender,
    /// Where silence is not sent.
    silence: Option<SilenceDetector>,
    inband: ToneGenerator,
    inband_digit: InbandDigit,
    timing: dtmf::Timing,
    inband_waiting: heapless::Deque<(u8, bool), INBAND_QUEUE>,
    marker: bool,
    /// Fraction of a sample that skipped silence still has to count.
    skip_remainder: u64,
    card_hz: u32,
    level: LevelMeter,
    /// Packets sent, and of them those of the streams before this one.
    sent: u64,
    sent_before: u64,
    /// How Opus follows network and board.
    control: OpusControl,
}

impl Send {
    pub(crate) fn new(config: &StreamConfig) -> Result<Self, StreamError> {
        let bitrate = config
            .opus_bitrate
            .unwrap_or_else(|| default_bitrate(config));
        let options = EncoderOptions {
            card_rate_hz: config.card_rate_hz,
            fec: config.opus_fec,
            dtx: config.opus_dtx,
            bitrate: Some(bitrate),
            band: config.opus_band,
        };
        let encoder = Encoder::new(config.codec, options).map_err(|error| StreamError::Codec {
            codec: config.codec,
            error,
        })?;
        let rate = encoder.rate_hz();
        let ptime = frame_ms(config.codec, config.ptime_ms);
        let push = Push::new(config.card_rate_hz, rate, config.period_frames).map_err(|_| {
            StreamError::OutOfRange {
                what: "card rate",
                value: u64::from(config.card_rate_hz),
                allowed: "8000 to 48000 Hz",
            }
        })?;
        let converted = push.output_max(config.period_frames) + 8;
        let clock = config.codec.rtp_clock_hz();
        let (event_payload, event_hz) = config
            .send_dtmf
            .map_or((None, clock), |(payload, hz)| (Some(payload), hz));
        Ok(Self {
            frame: vec![0; rate as usize / 1000 * usize::from(ptime)].into_boxed_slice(),
            filled: 0,
            converted: vec![0; converted].into_boxed_slice(),
            push,
            rtp: Sender::new(config.ssrc, config.first_sequence, config.first_timestamp),
            payload_type: config.send_payload,
            event_payload,
            events: dtmf::Sender::new(event_hz, clock, ptime).with_timing(config.dtmf),
            silence: (config.comfort_noise && config.codec != Codec::Opus)
                .then(SilenceDetector::new),
            inband: ToneGenerator::new(rate),
            inband_digit: InbandDigit::None,
            timing: config.dtmf,
            inband_waiting: heapless::Deque::new(),
            marker: true,
            skip_remainder: 0,
            card_hz: config.card_rate_hz,
            level: LevelMeter::new(),
            encoder,
            sent: 0,
            sent_before: 0,
            control: OpusControl::new(bitrate),
        })
    }

    /// Goes on with the numbers of the stream this one replaces, whose source it is, too.
    pub(crate) fn continue_from(&mut self, old: &Send) {
        self.rtp = old.rtp;
        (self.sent, self.sent_before) = (old.sent, old.sent_before);
        self.control.continue_from(&old.control);
        self.encoder.adapt(self.control.settings());
    }

    /// A source of its own, that counts on from what was sent in the call before.
    pub(crate) fn count_from(&mut self, old: &Send) {
        (self.sent, self.sent_before) = (old.sent, old.sent);
    }

    /// Packets sent in the call, whatever the source.
    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    /// Whether this source has sent anything.
    pub(crate) fn has_sent(&self) -> bool {
        self.sent > self.sent_before
    }

    /// Level of what was sent since the last call, dBm0.
    pub(crate) fn take_level(&mut self) -> f32 {
        self.level.take()
    }

    /// For the sender report.
    pub(crate) fn info(&self) -> SenderInfo {
        let pending = self.encoder.ticks(self.filled);
        SenderInfo {
            timestamp: self.rtp.timestamp().wrapping_add(pending),
            packets: self.rtp.packets(),
            octets: self.rtp.octets(),
        }
    }

    /// The far end loses this share of our packets.
    pub(crate) fn set_loss(&mut self, share: f32) {
        self.encoder.adapt(self.control.on_report(share));
    }

    /// A period of the card began too late.
    pub(crate) fn late_period(&mut self) {
        self.encoder.adapt(self.control.on_late_period());
    }

    /// What libopus is set to.
    #[cfg(test)]
    pub(crate) fn opus_settings(&self) -> Option<crate::codec::opus_control::OpusSettings> {
        match &self.encoder {
            Encoder::Opus(encoder) => Some(encoder.settings()),
            Encoder::G711(_) | Encoder::G722(_) => None,
        }
    }

    /// A second is over.
    pub(crate) fn second(&mut self) {
        if let Some(settings) = self.control.on_second() {
            self.encoder.adapt(settings);
        }
    }

    /// A key goes down or up. `false`: dropped, too many wait.
    pub(crate) fn key(&mut self, event: u8, down: bool) -> bool {
        if self.event_payload.is_some() {
            return if down {
                self.events.press(event)
            } else {
                self.events.release(event);
                true
            };
        }
        if down {
            return event <= 15 && self.inband_waiting.push_back((event, false)).is_ok();
        }
        match &mut self.inband_digit {
            InbandDigit::Sounds {
                event: active,
                released,
                ..
            } if *active == event && !*released => *released = true,
            InbandDigit::Sounds { .. } | InbandDigit::Gap(_) | InbandDigit::None => {
                if let Some(waiting) = self
                    .inband_waiting
                    .iter_mut()
                    .find(|w| w.0 == event && !w.1)
                {
                    waiting.1 = true;
                }
            }
        }
        true
    }

    /// Nothing is sent for these frames, because no one is to hear us or the card lost them: time
    /// goes on all the same.
    pub(crate) fn skip(&mut self, card_frames: usize) {
        let rate = u64::from(self.encoder.rate_hz());
        let total = self.skip_remainder + card_frames as u64 * rate;
        let samples = (total / u64::from(self.card_hz)) as usize;
        self.skip_remainder = total % u64::from(self.card_hz);
        self.marker = true;
        // What was collected of a packet is left out: half of it would be of another time. The next
        // one begins with a card period, so that none waits for the rest of its last.
        self.rtp.advance(self.encoder.ticks(self.filled + samples));
        self.filled = 0;
    }

    /// One card period of sound to be sent.
    pub(crate) fn capture(&mut self, config: &StreamConfig, sound: &[i16], route: &mut Route) {
        let mut converted = std::mem::take(&mut self.converted);
        if self.encoder.rate_hz() == self.card_hz {
            self.collect(config, sound, route);
        } else {
            let n = self.push.process(sound, &mut converted);
            self.collect(config, &converted[..n], route);
        }
        self.converted = converted;
    }

    fn collect(&mut self, config: &StreamConfig, mut sound: &[i16], route: &mut Route) {
        while !sound.is_empty() {
            let n = sound.len().min(self.frame.len() - self.filled);
            self.frame[self.filled..self.filled + n].copy_from_slice(&sound[..n]);
            self.filled += n;
            sound = &sound[n..];
            if self.filled == self.frame.len() {
                self.filled = 0;
                self.packet(config, route);
            }
        }
    }

    fn packet(&mut self, config: &StreamConfig, route: &mut Route) {
        let timestamp = self.rtp.timestamp();
        let ticks = self.encoder.ticks(self.frame.len());
        if let Some(event) = self
            .event_payload
            .and_then(|payload| Some((payload, self.events.tick(timestamp)?)))
        {
            let (payload_type, event) = event;
            let rtp = &mut self.rtp;
            let sent = route.push(config, |out| {
                out.get_mut(HEADER_LEN..HEADER_LEN + event.payload.len())?
                    .copy_from_slice(&event.payload);
                let header = rtp
                    .write_header(
                        out,
                        payload_type,
                        event.marker,
                        event.timestamp,
                        event.payload.len(),
                    )
                    .ok()?;
                Some(header + event.payload.len())
            });
            self.sent += u64::from(sent);
            self.rtp.advance(ticks);
            self.marker = true;
            return;
        }
        self.play_inband_dtmf();
        self.level.push(&self.frame);
        if self.leave_out(config, timestamp, route) {
            self.rtp.advance(ticks);
            self.marker = true;
            return;
        }
        let (encoder, rtp, frame) = (&mut self.encoder, &mut self.rtp, &self.frame);
        let (payload_type, marker) = (self.payload_type, self.marker);
        let sent = route.push(config, |out| {
            let room = out.len().min(HEADER_LEN + MAX_PAYLOAD);
            let n = encoder.encode(frame, &mut out[HEADER_LEN..room]).ok()?;
            if encoder.is_dtx(n) {
                return None;
            }
            let header = rtp
                .write_header(out, payload_type, marker, timestamp, n)
                .ok()?;
            Some(header + n)
        });
        self.sent += u64::from(sent);
        // Silence left out (DTX) makes the next packet a new spurt.
        self.marker = !sent;
        self.rtp.advance(ticks);
    }

    /// Whether this frame is silence, and not sent; the noise in it is described now and then.
    fn leave_out(&mut self, config: &StreamConfig, timestamp: u32, route: &mut Route) -> bool {
        let Some(silence) = &mut self.silence else {
            return false;
        };
        if self.inband.is_active() {
            silence.restart();
            return false;
        }
        let ms = self.frame.len() as u32 * 1000 / self.encoder.rate_hz();
        let level = match silence.frame(&self.frame, ms) {
            VoiceActivity::Talk => return false,
            VoiceActivity::Silence => return true,
            VoiceActivity::Describe(level) => level,
        };
        let rtp = &mut self.rtp;
        let sent = route.push(config, |out| {
            *out.get_mut(HEADER_LEN)? = level;
            let header = rtp
                .write_header(out, COMFORT_NOISE, false, timestamp, 1)
                .ok()?;
            Some(header + 1)
        });
        self.sent += u64::from(sent);
        true
    }

    /// Without telephone-event a key is heard as its two frequencies, in place of the microphone.
    fn play_inband_dtmf(&mut self) {
        let ms = self.frame.len() as f64 * 1000.0 / f64::from(self.encoder.rate_hz());
        match self.inband_digit {
            InbandDigit::Sounds {
                event,
                ms: before,
                released,
            } => {
                let lasted = before + ms;
                let shortest_ms = self.timing.shortest_ms.map_or(MIN_INBAND_MS, u32::from);
                self.inband_digit = if released && lasted >= f64::from(shortest_ms) {
                    self.inband.stop();
                    InbandDigit::Gap(f64::from(self.timing.gap_ms))
                } else {
                    InbandDigit::Sounds {
                        event,
                        ms: lasted,
                        released,
                    }
                };
            }
            InbandDigit::Gap(left) if left > ms => self.inband_digit = InbandDigit::Gap(left - ms),
            InbandDigit::Gap(_) | InbandDigit::None => {
                self.inband_digit = InbandDigit::None;
                if let Some((event, released)) = self.inband_waiting.pop_front()
                    && let Some(key) = Key::from_event(event)
                {
                    self.inband.start(dtmf::tone(key, INBAND_DBM0));
                    self.inband_digit = InbandDigit::Sounds {
                        event,
                        ms: 0.0,
                        released,
                    };
                }
            }
        }
        if self.inband.is_active() {
            self.inband.render(&mut self.frame);
        }
    }
}

/// What suits the band, and leaves room for redundancy where that is wanted.
fn default_bitrate(config: &StreamConfig) -> u32 {
    let rate = config.opus_band.rate_hz().min(config.card_rate_hz);
    let plain = bitrate_for_rate(rate, config.opus_fec);
    if config.opus_fec && rate >= 16_000 {
        plain.max(FEC_BITRATE)
    } else {
        plain
    }
}

/// The packet length really used: Opus has no frames of 30 or 50 ms, and the next shorter is always
/// acceptable.
pub(crate) fn frame_ms(codec: Codec, ptime_ms: u8) -> u8 {
    match (codec, ptime_ms) {
        (Codec::Opus, 0..=19) => 10,
        (Codec::Opus, 20..=39) => 20,
        (Codec::Opus, 40..=59) => 40,
        (Codec::Opus, _) => 60,
        (Codec::G722 | Codec::Pcmu | Codec::Pcma, ptime) => ptime.clamp(10, 60),
    }
}
