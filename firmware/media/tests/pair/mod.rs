//! Two engines back to back under virtual time, with a network between them that delays, drops and
//! repeats by a seed.
//!
//! ```text
//! mouth ─▶ left card ─▶ Engine ─▶ Network ─▶ Engine ─▶ right card ─▶ ear      (and the other way)
//! ```
#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    clippy::large_stack_arrays,
    clippy::while_let_loop,
    reason = "each test binary uses its part"
)]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use media::{
    Codec, Command, Direction, Engine, EngineConfig, Event, PacketKind, Stream, StreamConfig,
    StreamId, StreamStats,
};

/// xorshift64*.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }
    /// 0 to 1.
    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
    /// Gaussian, mean 0, deviation 1.
    pub fn normal(&mut self) -> f64 {
        (-2.0 * self.unit().max(1e-12).ln()).sqrt() * (std::f64::consts::TAU * self.unit()).cos()
    }
}

/// What the network does to RTP, one way.
#[derive(Clone, Copy)]
pub struct Network {
    pub delay_ms: f64,
    /// Deviation of a half-normal extra delay.
    pub jitter_ms: f64,
    pub loss: f64,
    pub duplicate: f64,
}

pub const LAN: Network = Network {
    delay_ms: 0.2,
    jitter_ms: 0.1,
    loss: 0.0,
    duplicate: 0.0,
};

pub struct Side {
    pub engine: Engine,
    pub address: SocketAddr,
    pub rtcp: SocketAddr,
    pub events: Vec<Event>,
    /// How much slower its card is than true time, in ppm.
    pub ppm: f64,
    pub next: Duration,
    pub wire: Vec<Flying>,
    pub network: Network,
    period: Duration,
    /// Packets it sent.
    pub sent: u64,
}

pub struct Flying {
    at: Duration,
    order: u64,
    kind: PacketKind,
    bytes: Vec<u8>,
}

pub struct Pair {
    pub start: Instant,
    pub sides: [Side; 2],
    pub now: Duration,
    pub random: Random,
    order: u64,
    pub rate: u32,
    pub frames: usize,
    /// RTP packets the left side sent and the network let through, as they arrive, while someone
    /// drains them (at most 256).
    pub tapped: Vec<Vec<u8>>,
    /// Every datagram either side sent, if wanted: side, kind, where to, bytes.
    pub wiretap: Option<Vec<Sent>>,
}

pub type Sent = (usize, PacketKind, SocketAddr, Vec<u8>);

pub const ID: StreamId = StreamId(7);

/// The stream of one side, with everything plain.
pub fn config(side: usize, codec: Codec, rate: u32, frames: usize, start: Instant) -> StreamConfig {
    let port = |side: usize| 4000 + 10 * side as u16;
    let payload = match codec {
        Codec::Opus => 111,
        Codec::G722 => 9,
        Codec::Pcmu => 0,
        Codec::Pcma => 8,
    };
    let clock = if codec == Codec::Opus { 48_000 } else { 8000 };
    StreamConfig {
        id: ID,
        codec,
        send_payload: payload,
        recv_payloads: vec![(payload, codec)],
        send_dtmf: Some((101, clock)),
        recv_dtmf: Some(101),
        ptime_ms: 20,
        opus_fec: true,
        opus_dtx: false,
        remote_rtp: SocketAddr::from(([127, 0, 0, 1], port(1 - side))),
        remote_rtcp: SocketAddr::from(([127, 0, 0, 1], port(1 - side) + 1)),
        latching: true,
        signalling: media::SignallingHosts::default(),
        media_timeout: Duration::from_secs(3600),
        protection: media::Protection::Clear,
        direction: Direction::SendRecv,
        ssrc: 0x1111 * (side as u32 + 1),
        first_sequence: 65_500,
        first_timestamp: u32::MAX - 80_000,
        cname: format!("side{side}"),
        card_rate_hz: rate,
        period_frames: frames,
        ntp: (start, 0xE000_0000_0000_0000),
    }
}

impl Pair {
    pub fn new(rate: u32, frames: usize, seed: u64) -> Self {
        let start = Instant::now();
        let side = |n: u16| Side {
            engine: Engine::new(
                EngineConfig {
                    rate_hz: rate,
                    period_frames: frames,
                    sidetone_db: None,
                },
                start,
            ),
            address: SocketAddr::from(([127, 0, 0, 1], 4000 + 10 * n)),
            rtcp: SocketAddr::from(([127, 0, 0, 1], 4001 + 10 * n)),
            events: Vec::new(),
            ppm: 0.0,
            next: Duration::from_micros(u64::from(n) * 1700),
            wire: Vec::new(),
            network: LAN,
            period: Duration::from_secs_f64(frames as f64 / f64::from(rate)),
            sent: 0,
        };
        Self {
            start,
            sides: [side(0), side(1)],
            now: Duration::ZERO,
            random: Random::new(seed),
            order: 0,
            rate,
            frames,
            tapped: Vec::new(),
            wiretap: None,
        }
    }

    /// A call of both with one codec.
    pub fn call(codec: Codec, rate: u32, frames: usize, seed: u64) -> Self {
        let mut pair = Self::new(rate, frames, seed);
        for side in 0..2 {
            pair.start_stream(side, config(side, codec, rate, frames, pair.start));
        }
        pair
    }

    pub fn start_stream(&mut self, side: usize, config: StreamConfig) {
        let id = config.id;
        let stream = Stream::new(config).unwrap();
        self.command(side, Command::Start(stream));
        self.command(
            side,
            Command::Connect {
                id,
                connected: true,
            },
        );
    }

    pub fn instant(&self) -> Instant {
        self.start + self.now
    }

    pub fn command(&mut self, side: usize, command: Command) {
        let now = self.instant();
        self.sides[side].engine.handle_command(command, now);
    }

    pub fn stats(&self, side: usize) -> StreamStats {
        self.sides[side].engine.stats(ID).unwrap()
    }

    /// Runs the next card period of whichever side is due; `sound(side, capture)` fills the
    /// microphone, `ear(side, playback)` hears.
    pub fn step(
        &mut self,
        mut mouth: impl FnMut(usize, &mut [i16]),
        mut ear: impl FnMut(usize, &[i16]),
    ) {
        let side = usize::from(self.sides[1].next < self.sides[0].next);
        self.now = self.sides[side].next;
        let now = self.instant();
        self.deliver(side);
        let mut capture = [0i16; 1024];
        let mut playback = [0i16; 1024];
        mouth(side, &mut capture[..self.frames]);
        self.sides[side]
            .engine
            .process(&capture[..self.frames], &mut playback[..self.frames], now);
        ear(side, &playback[..self.frames]);
        self.collect(side);
        let me = &mut self.sides[side];
        me.next += me.period.mul_f64(1.0 + me.ppm * 1e-6);
    }

    fn deliver(&mut self, side: usize) {
        let (start, now) = (self.start, self.now);
        let from = [self.sides[1 - side].address, self.sides[1 - side].rtcp];
        let me = &mut self.sides[side];
        me.wire.sort_by_key(|f| (f.at, f.order));
        while me.wire.first().is_some_and(|f| f.at <= now) {
            let mut flying = me.wire.remove(0);
            if side == 1 && flying.kind == PacketKind::Rtp && self.tapped.len() < 256 {
                self.tapped.push(flying.bytes.clone());
            }
            let from = from[usize::from(flying.kind == PacketKind::Rtcp)];
            me.engine
                .handle_packet(ID, flying.kind, from, &mut flying.bytes, start + flying.at);
        }
    }

    fn collect(&mut self, side: usize) {
        let now = self.now;
        loop {
            let Some(transmit) = self.sides[side].engine.poll_transmit() else {
                break;
            };
            let (kind, transmit_to, bytes) = (transmit.kind, transmit.to, transmit.bytes.to_vec());
            self.sides[side].sent += 1;
            if let Some(tap) = &mut self.wiretap {
                tap.push((side, kind, transmit_to, bytes.clone()));
            }
            let network = self.sides[side].network;
            let copies = 1 + usize::from(self.random.unit() < network.duplicate);
            for _ in 0..copies {
                if kind == PacketKind::Rtp && self.random.unit() < network.loss {
                    continue;
                }
                let delay = network.delay_ms + (self.random.normal() * network.jitter_ms).abs();
                self.order += 1;
                let flying = Flying {
                    at: now + Duration::from_secs_f64(delay / 1000.0),
                    order: self.order,
                    kind,
                    bytes: bytes.clone(),
                };
                self.sides[1 - side].wire.push(flying);
            }
        }
        while let Some(event) = self.sides[side].engine.poll_event() {
            self.sides[side].events.push(event);
        }
    }

    /// Plays `speech` into the left mouth (looped), records what the right ear hears; the left ear
    /// hears silence sent back.
    pub fn talk(&mut self, speech: &[i16], seconds: f64) -> Vec<i16> {
        let mut heard = Vec::new();
        let mut at = 0;
        let end = self.now + Duration::from_secs_f64(seconds);
        while self.sides[0].next.min(self.sides[1].next) < end {
            self.step(
                |side, capture| {
                    if side == 0 {
                        for y in capture.iter_mut() {
                            *y = speech[at % speech.len()];
                            at += 1;
                        }
                    }
                },
                |side, playback| {
                    if side == 1 {
                        heard.extend_from_slice(playback);
                    }
                },
            );
        }
        heard
    }
}

/// Speech of the given rate from outside, or `None` with a word on stderr.
pub fn speech(test: &str, name: &str) -> Option<Vec<i16>> {
    let root = std::env::var("OFFHOOK_DATA").unwrap_or_else(|_| {
        concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data").to_owned()
    });
    let path = format!("{root}/speech/core/{name}");
    match hound::WavReader::open(&path) {
        Ok(reader) => Some(reader.into_samples::<i16>().map(Result::unwrap).collect()),
        Err(error) => {
            eprintln!("SKIPPED: {test}: {path}: {error}");
            None
        }
    }
}

/// Speech-like sound: a gliding voice with formant-like partials, syllables and pauses.
pub fn babble(rate: u32, seconds: f64) -> Vec<i16> {
    let mut random = Random::new(42);
    let n = (f64::from(rate) * seconds) as usize;
    let (mut phase, mut last) = (0.0f64, 0.0f64);
    (0..n)
        .map(|i| {
            let t = i as f64 / f64::from(rate);
            let hz = 120.0 + 25.0 * (t * 2.3).sin() + 12.0 * (t * 5.1).sin();
            phase += hz / f64::from(rate);
            let syllable = (0.5 - 0.5 * (t * 4.3 * std::f64::consts::TAU).cos()).powf(0.6);
            let word = if (t * 0.45).fract() < 0.75 { 1.0 } else { 0.0 };
            let voiced: f64 = (1..20)
                .filter(|&k| f64::from(k) * hz < 3400.0)
                .map(|k| {
                    (f64::from(k) * phase * std::f64::consts::TAU).sin() / f64::from(k).powf(0.8)
                })
                .sum();
            let hiss = random.normal() * if (t * 1.7).fract() > 0.85 { 0.8 } else { 0.02 };
            let target = syllable * word;
            last += (target - last) * 0.01;
            ((voiced + hiss) * last * 4500.0).clamp(-32_000.0, 32_000.0) as i16
        })
        .collect()
}

/// Best delay in samples of `heard` against `sent` (0 to `most`), and the correlation there.
pub fn align(sent: &[i16], heard: &[i16], most: usize) -> (usize, f64) {
    let n = sent.len().min(heard.len().saturating_sub(most));
    let mut best = (0, -1.0);
    for delay in 0..most {
        let (mut xy, mut xx, mut yy) = (0f64, 0f64, 0f64);
        for i in (0..n).step_by(1) {
            let (x, y) = (f64::from(sent[i]), f64::from(heard[i + delay]));
            xy += x * y;
            xx += x * x;
            yy += y * y;
        }
        let c = xy / (xx * yy).sqrt().max(1.0);
        if c > best.1 {
            best = (delay, c);
        }
    }
    best
}
