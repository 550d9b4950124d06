//! Receiving: packets into card periods.
//!
//! ```text
//! packet ─▶ payload type? ─▶ same source and timeline? ─▶ sequence ─▶ Playout ─▶ resample to the card's rate ─▶ mixer
//!                  │                └─ twice in a row otherwise: a new source begins
//!                  └─▶ telephone-event ─▶ key, once
//! ```
//!
//! A single packet never moves the timeline: bytes from outside may be anything. What does not fit
//! waits as a candidate for a second one that follows it; only both together are believed (in the
//! manner of RFC 3550 appendix A.1's probation).

use std::time::{Duration, Instant};

use types::Codec;

use crate::codec::Decoder;
use crate::dtmf;
use crate::jitter::store::{Head, Inserted, Kind, MAX_PAYLOAD};
use crate::level::LevelMeter;
use crate::playout::bursts::Bursts;
use crate::playout::{Counts, Playout};
use crate::resample::Pull;
use crate::rtcp::Jitter;
use crate::rtp::{COMFORT_NOISE, Sequence, SequenceVerdict, View};
use crate::stream_config::{StreamConfig, StreamError};
use crate::time::ms_between;

/// A packet so much later or earlier than the fastest is of another timeline, in ms.
const MOST_LATE_MS: f64 = 1000.0;
const MOST_EARLY_MS: f64 = 15.0;
/// In its first packets a stream may be earlier by so much, in ms.
const YOUNG: u64 = 25;
const YOUNG_EARLY_MS: f64 = 250.0;
/// Loudest comfort noise believed (RMS of i16): −34 dB below full scale.
const LOUDEST_NOISE: f32 = 650.0;
/// No packet is shorter than 2.5 ms: a sequence number cannot run away from the timestamp.
const SHORTEST_MS: f64 = 2.5;
/// Two packets in a row of a new source come within this time.
const PROBATION: Duration = Duration::from_secs(1);

/// An event's timestamp is at most so far ahead of the sound's, in ms.
const EVENT_AHEAD_MS: f64 = 10_000.0;

/// What a packet was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Taken.
    Taken,
    /// Taken: a key of the far end, reported once.
    Digit(u8),
    /// Refused.
    Rejected,
}

#[derive(Debug, Clone, Copy)]
struct Candidate {
    ssrc: u32,
    payload_type: u8,
    sequence: u16,
    timestamp: u32,
    arrival: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Sound(u8),
    Event,
    Noise,
}

/// Counters of sources gone by, and of this one.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Totals {
    pub(crate) received: u64,
    pub(crate) lost: u64,
    pub(crate) late: u64,
    pub(crate) duplicate: u64,
}

/// One stream's receiving half.
pub(crate) struct Receive {
    payloads: heapless::Vec<(u8, u8), 16>,
    event_payload: Option<u8>,
    decoders: Box<[Decoder]>,
    pulls: Box<[Pull]>,
    converted: Box<[i16]>,
    playout: Playout,
    clock_hz: u32,
    card_hz: u32,
    ssrc: Option<u32>,
    sequence: Sequence,
    jitter: Jitter,
    highest: (u16, u32),
    timestamp: i64,
    /// When the newest sound came.
    last_arrival: Option<Instant>,
    candidate: Option<Candidate>,
    events: dtmf::Receiver,
    totals: Totals,
    level: LevelMeter,
    codec: Codec,
}

impl Receive {
    pub(crate) fn new(config: &StreamConfig) -> Result<Self, StreamError> {
        let mut payloads = heapless::Vec::new();
        let mut decoders: Vec<Decoder> = Vec::new();
        for &(payload, codec) in &config.recv_payloads {
            let number = if let Some(number) = decoders.iter().position(|d| d.codec() == codec) {
                number
            } else {
                decoders.push(
                    Decoder::new(codec, config.card_rate_hz)
                        .map_err(|error| StreamError::Codec { codec, error })?,
                );
                decoders.len() - 1
            };
            payloads
                .push((payload, number as u8))
                .map_err(|_| StreamError::OutOfRange {
                    what: "number of payload types received",
                    value: config.recv_payloads.len() as u64,
                    allowed: "1 to 16",
                })?;
        }
        let Some(first) = decoders.first() else {
            return Err(StreamError::OutOfRange {
                what: "number of payload types received",
                value: 0,
                allowed: "1 to 16",
            });
        };
        let (rate, clock_hz, codec) =
            (first.rate_hz(), first.codec().rtp_clock_hz(), first.codec());
        let highest = decoders.iter().map(Decoder::rate_hz).max().unwrap_or(rate);
        let pulls = decoders
            .iter()
            .map(|d| Pull::new(d.rate_hz(), config.card_rate_hz, config.period_frames))
            .collect::<Result<Box<[Pull]>, _>>()
            .map_err(|_| StreamError::OutOfRange {
                what: "card rate",
                value: u64::from(config.card_rate_hz),
                allowed: "8000 to 48000 Hz",
            })?;
        let converted = pulls
            .iter()
            .map(|p| p.needed_max(config.period_frames))
            .max()
            .unwrap_or(0)
            + 64;
        let period_ms = config.period_frames as f64 * 1000.0 / f64::from(config.card_rate_hz);
        let mut playout = Playout::new(rate, highest, clock_hz, period_ms);
        playout.listen_for_digits(config.recv_dtmf.is_none());
        Ok(Self {
            payloads,
            event_payload: config.recv_dtmf,
            decoders: decoders.into_boxed_slice(),
            pulls,
            converted: vec![0; converted].into_boxed_slice(),
            playout,
            clock_hz,
            card_hz: config.card_rate_hz,
            ssrc: None,
            sequence: Sequence::new(),
            jitter: Jitter::default(),
            highest: (0, 0),
            timestamp: 0,
            last_arrival: None,
            candidate: None,
            events: dtmf::Receiver::new(),
            totals: Totals::default(),
            level: LevelMeter::new(),
            codec,
        })
    }

    /// Whether this half can serve that configuration as it is, but for payload numbers.
    pub(crate) fn serves(&self, other: &Receive) -> bool {
        self.card_hz == other.card_hz
            && self.converted.len() == other.converted.len()
            && self
                .decoders
                .iter()
                .map(Decoder::codec)
                .eq(other.decoders.iter().map(Decoder::codec))
    }

    /// Takes the payload numbers of another half.
    pub(crate) fn adopt_payloads(&mut self, other: &Receive) {
        self.payloads.clone_from(&other.payloads);
        self.event_payload = other.event_payload;
        self.playout.listen_for_digits(self.event_payload.is_none());
    }

    /// Carries the counters of the half this one replaces.
    pub(crate) fn continue_from(&mut self, old: &Receive) {
        self.totals = old.totals();
        self.events = old.events;
    }

    fn role(&self, payload_type: u8) -> Option<Role> {
        if let Some(&(_, number)) = self.payloads.iter().find(|(p, _)| *p == payload_type) {
            return Some(Role::Sound(number));
        }
        if self.event_payload == Some(payload_type) {
            return Some(Role::Event);
        }
        (payload_type == COMFORT_NOISE).then_some(Role::Noise)
    }

    /// Whether the packet, whoever sent it, could be ours.
    pub(crate) fn acceptable(&self, view: &View, packet: &[u8]) -> bool {
        let payload = view.payload(packet);
        match self.role(view.payload_type) {
            Some(Role::Sound(number)) => {
                payload.len() <= MAX_PAYLOAD
                    && self.decoders.get(usize::from(number)).is_some_and(|d| {
                        // 120 ms is the longest packet any of our codecs makes.
                        d.samples_in(payload)
                            .is_ok_and(|n| n > 0 && n <= d.samples_per_ms() * 120)
                    })
            }
            // One report exactly, and the reserved bit zero (RFC 4733 section 2.3).
            Some(Role::Event) => payload.len() == dtmf::PAYLOAD_LEN && payload[1] & 0x40 == 0,
            Some(Role::Noise) => !payload.is_empty() && payload.len() <= 32,
            None => false,
        }
    }

    /// Whether the packet is by its form a whole one in clear: sound of whole 10 ms, or for Opus,
    /// which has a meaning for nearly any bytes, one frame of 20 ms. A guess, for counters only.
    pub(crate) fn is_whole(&self, view: &View, packet: &[u8]) -> bool {
        let sound = |number: u8| {
            let decoder = self.decoders.get(usize::from(number))?;
            let payload = view.payload(packet);
            let (samples, ten) = (
                decoder.samples_in(payload).ok()?,
                decoder.samples_per_ms() * 10,
            );
            Some(match decoder.codec() {
                Codec::Opus => samples == 2 * ten && payload.first()?.is_multiple_of(4),
                Codec::G722 | Codec::Pcmu | Codec::Pcma => samples.is_multiple_of(ten),
            })
        };
        self.acceptable(view, packet)
            && match self.role(view.payload_type) {
                Some(Role::Sound(number)) => sound(number) == Some(true),
                Some(Role::Event | Role::Noise) => true,
                None => false,
            }
    }

    /// Takes a packet from the right address.
    pub(crate) fn packet(&mut self, view: &View, packet: &[u8], arrival: Instant) -> Outcome {
        if !self.acceptable(view, packet) {
            return Outcome::Rejected;
        }
        let Some(role) = self.role(view.payload_type) else {
            return Outcome::Rejected;
        };
        let clock = match role {
            Role::Sound(number) => self.decoders[usize::from(number)].codec().rtp_clock_hz(),
            Role::Event | Role::Noise => self.clock_hz,
        };
        if self.ssrc.is_none() {
            if !matches!(role, Role::Sound(_)) {
                // A call may begin with a key: it is heard, but sound sets the timeline.
                return self.event(role, view, packet);
            }
            self.adopt(view, clock);
        } else if self.ssrc != Some(view.ssrc)
            || clock != self.clock_hz
            || !self.plausible(role, view, arrival)
        {
            let fits = self.candidate.is_some_and(|c| {
                let ticks = view.timestamp.wrapping_sub(c.timestamp);
                c.ssrc == view.ssrc
                    && c.payload_type == view.payload_type
                    && view.sequence == c.sequence.wrapping_add(1)
                    && ticks > 0
                    && f64::from(ticks) < PROBATION.as_secs_f64() * f64::from(clock)
                    && arrival.saturating_duration_since(c.arrival) < PROBATION
            });
            self.candidate = Some(Candidate {
                ssrc: view.ssrc,
                payload_type: view.payload_type,
                sequence: view.sequence,
                timestamp: view.timestamp,
                arrival,
            });
            if !fits || !matches!(role, Role::Sound(_)) {
                return Outcome::Rejected;
            }
            if self.ssrc == Some(view.ssrc) && clock == self.clock_hz && self.near(view) {
                // The same timeline, only that the network changed: what waits stays.
                self.highest = (view.sequence, view.timestamp);
                self.timestamp = self.extend(view.timestamp);
            } else {
                self.adopt(view, clock);
            }
        }
        match self.sequence.update(view.sequence) {
            SequenceVerdict::Take(sequence) => self.take(role, sequence, view, packet, arrival),
            SequenceVerdict::Restart(sequence) => {
                self.playout.restart();
                self.jitter.restart();
                self.take(role, sequence, view, packet, arrival)
            }
            SequenceVerdict::Duplicate => {
                self.totals.duplicate += 1;
                Outcome::Taken
            }
            SequenceVerdict::Suspect => Outcome::Rejected,
        }
    }

    /// Whether a confirmed candidate goes on where the stream is, a little off.
    fn near(&self, view: &View) -> bool {
        let packets = view.sequence.wrapping_sub(self.highest.0) as i16;
        let ticks = view.timestamp.wrapping_sub(self.highest.1) as i32;
        let frames = f64::from(ticks) * 1000.0 / f64::from(self.clock_hz) / self.playout.frame_ms();
        packets.unsigned_abs() < 100 && (frames - f64::from(packets)).abs() < 5.0
    }

    /// Whether sequence number, timestamp and arrival fit what came before.
    fn plausible(&self, role: Role, view: &View, arrival: Instant) -> bool {
        let packets = f64::from(view.sequence.wrapping_sub(self.highest.0) as i16);
        let ticks = f64::from(view.timestamp.wrapping_sub(self.highest.1) as i32);
        let ms = ticks * 1000.0 / f64::from(self.clock_hz);
        // An event keeps the timestamp of its beginning: it may stand still, and lie behind, but
        // never run ahead.
        if role == Role::Event {
            return ms < EVENT_AHEAD_MS && packets.abs() < 3000.0;
        }
        // The packet length may change from one to the next, but not over several.
        let least = if packets.abs() < 1.5 {
            SHORTEST_MS - 1.0
        } else {
            packets.abs() * self.playout.frame_ms() * 0.45
        };
        let in_order = if packets > 0.0 {
            ms >= least || self.after_event(packets)
        } else if packets < 0.0 {
            ms <= -least || self.after_event(-packets)
        } else {
            ms.abs() < 1.0
        };
        // A young stream has not yet met its fastest packet.
        let early = if self.sequence.received() < YOUNG {
            YOUNG_EARLY_MS
        } else {
            MOST_EARLY_MS
        };
        // A far clock that stood still while nothing came is no other timeline.
        let silent_ms = self
            .last_arrival
            .map_or(0.0, |last| ms_between(last, arrival).max(0.0));
        let late = MOST_LATE_MS + silent_ms;
        in_order
            && self
                .playout
                .fits(self.extend(view.timestamp), arrival, early, late)
    }

    /// After event packets the highest timestamp is an old one; a few numbers ahead say nothing
    /// yet.
    fn after_event(&self, packets: f64) -> bool {
        self.events.is_down() && packets < 50.0
    }

    fn extend(&self, timestamp: u32) -> i64 {
        self.timestamp + i64::from(timestamp.wrapping_sub(self.timestamp as u32) as i32)
    }

    /// A source begins.
    fn adopt(&mut self, view: &View, clock: u32) {
        self.totals = self.totals();
        self.sequence = Sequence::new();
        self.jitter.restart();
        self.playout.restart_at(clock);
        self.clock_hz = clock;
        self.ssrc = Some(view.ssrc);
        // One wrap ahead, so that what came before the first is not below zero.
        self.timestamp = (1 << 32) + i64::from(view.timestamp);
        self.highest = (view.sequence, view.timestamp);
        self.candidate = None;
    }

    fn take(
        &mut self,
        role: Role,
        sequence: u32,
        view: &View,
        packet: &[u8],
        arrival: Instant,
    ) -> Outcome {
        let timestamp = self.extend(view.timestamp);
        let newest = (view.sequence.wrapping_sub(self.highest.0) as i16) >= 0;
        if newest && role != Role::Event {
            self.highest = (view.sequence, view.timestamp);
            self.timestamp = timestamp;
            self.last_arrival = Some(arrival);
        } else if newest {
            self.highest.0 = view.sequence;
        }
        let kind = match role {
            Role::Sound(number) => {
                self.codec = self.decoders[usize::from(number)].codec();
                self.jitter.update(view.timestamp, arrival, self.clock_hz);
                Kind::Sound(number)
            }
            Role::Event | Role::Noise => Kind::Other,
        };
        self.candidate = None;
        match self.playout.insert(
            Head {
                sequence: i64::from(sequence),
                timestamp,
                kind,
            },
            view.payload(packet),
            arrival,
        ) {
            Inserted::Stored | Inserted::TooLarge => {}
            Inserted::Duplicate => self.totals.duplicate += 1,
            Inserted::Late => self.totals.late += u64::from(matches!(kind, Kind::Sound(_))),
        }
        self.event(role, view, packet)
    }

    fn event(&mut self, role: Role, view: &View, packet: &[u8]) -> Outcome {
        let payload = view.payload(packet);
        match role {
            Role::Event => self
                .events
                .handle(view.timestamp, view.marker, payload)
                .map_or(Outcome::Taken, Outcome::Digit),
            Role::Noise => {
                // The level is in −dBov (RFC 3389 section 3.1); a square wave at full scale is 0
                // dBov.
                let level = 10f32.powf(-f32::from(payload[0] & 0x7F) / 20.0) * 32_767.0;
                self.playout.comfort_noise(level.min(LOUDEST_NOISE));
                Outcome::Taken
            }
            Role::Sound(_) => Outcome::Taken,
        }
    }

    /// Fills one card period. `false`: there was nothing to play, `out` is silence.
    pub(crate) fn render(&mut self, out: &mut [i16], now: Instant, card_ppm: f64) -> bool {
        if self.playout.is_idle() {
            out.fill(0);
            return false;
        }
        let rate = self.playout.rate_hz();
        if rate == self.card_hz {
            self.playout.pull(&mut self.decoders, out, now, card_ppm);
            self.level.push(out);
        } else {
            let number = self
                .decoders
                .iter()
                .position(|d| d.rate_hz() == rate)
                .unwrap_or(0);
            let need = self.pulls[number]
                .needed(out.len())
                .min(self.converted.len());
            let sound = &mut self.converted[..need];
            self.playout.pull(&mut self.decoders, sound, now, card_ppm);
            self.pulls[number].process(sound, out);
            self.level.push(sound);
        }
        true
    }

    /// No one listens: packets pass by.
    pub(crate) fn drain(&mut self, now: Instant) {
        self.playout.drain(now);
    }

    pub(crate) fn realign(&mut self) {
        self.playout.realign();
    }

    /// The far source with its bookkeeping, for reports.
    pub(crate) fn source(&mut self) -> Option<(u32, &mut Sequence, &Jitter)> {
        self.ssrc
            .map(|ssrc| (ssrc, &mut self.sequence, &self.jitter))
    }

    pub(crate) fn totals(&self) -> Totals {
        Totals {
            received: self.totals.received + self.sequence.received(),
            lost: self.totals.lost + self.sequence.lost(),
            ..self.totals
        }
    }

    pub(crate) fn counts(&self) -> Counts {
        self.playout.counts()
    }

    pub(crate) fn bursts(&self) -> &Bursts {
        self.playout.bursts()
    }

    /// The digit whose tone was heard, once.
    pub(crate) fn take_inband_digit(&mut self) -> Option<u8> {
        self.playout.take_digit()
    }

    /// The delay the jitter buffer aims at, in ms.
    pub(crate) fn target_ms(&self) -> f64 {
        self.playout.target_ms()
    }

    /// The far source's SSRC.
    pub(crate) fn ssrc(&self) -> Option<u32> {
        self.ssrc
    }

    pub(crate) fn jitter_ms(&self) -> f32 {
        self.jitter.ms(self.clock_hz)
    }

    pub(crate) fn delay_ms(&self) -> f32 {
        self.playout.delay_ms() as f32
    }

    pub(crate) fn ppm(&self) -> f64 {
        self.playout.delay().ppm()
    }

    pub(crate) fn played_first(&self) -> bool {
        self.playout.played_first()
    }

    pub(crate) fn codec(&self) -> Codec {
        self.codec
    }

    pub(crate) fn frame_ms(&self) -> f64 {
        self.playout.frame_ms()
    }

    /// Level of what was heard since the last call, dBm0.
    pub(crate) fn take_level(&mut self) -> f32 {
        self.level.take()
    }
}
