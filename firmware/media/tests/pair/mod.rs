//! Two engines back to back under virtual time, with a simulated network between them.
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

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use media::{
    Codec, Command, Engine, EngineConfig, Event, PacketKind, Stream, StreamConfig, StreamId,
    StreamStats,
};
pub use testkit::Rng;
use testkit::network::{Jitter, Link, Network, Packet};

/// One packet of a stream on its way to the other side.
#[derive(Clone)]
pub struct MediaPacket {
    kind: PacketKind,
    from: SocketAddr,
    to: SocketAddr,
    bytes: Vec<u8>,
}

impl Packet for MediaPacket {
    fn source(&self) -> IpAddr {
        self.from.ip()
    }
    fn destination(&self) -> IpAddr {
        self.to.ip()
    }
    /// RTCP is delayed, but not lost: what is measured is the loss of sound.
    fn is_reliable(&self) -> bool {
        self.kind == PacketKind::Rtcp
    }
}

/// A LAN.
pub fn lan() -> Link {
    link(0.2, 0.1)
}

/// A link with this delay, and this deviation of a half-normal extra delay, in ms; packets may
/// overtake each other.
pub fn link(delay_ms: f64, jitter_ms: f64) -> Link {
    Link {
        delay: Duration::from_secs_f64(delay_ms / 1000.0),
        jitter: Jitter::Normal {
            sd: Duration::from_secs_f64(jitter_ms / 1000.0),
        },
        keep_order: false,
        ..Link::default()
    }
}

pub struct Side {
    pub engine: Engine,
    pub address: SocketAddr,
    pub rtcp: SocketAddr,
    pub events: Vec<Event>,
    /// How much slower its card is than true time, in ppm.
    pub ppm: f64,
    pub next: Duration,
    /// What it sends travels here.
    network: Network<MediaPacket>,
    period: Duration,
    /// Packets it sent.
    pub sent: u64,
}

pub struct Pair {
    pub start: Instant,
    pub sides: [Side; 2],
    pub now: Duration,
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
    let clock = if codec == Codec::Opus { 48_000 } else { 8000 };
    let remote = SocketAddr::from(([127, 0, 0, 1], port(1 - side)));
    StreamConfig {
        send_dtmf: Some((101, clock)),
        recv_dtmf: Some(101),
        opus_fec: true,
        remote_rtcp: SocketAddr::new(remote.ip(), remote.port() + 1),
        relays: media::Relays::default(),
        media_timeout: Duration::from_secs(3600),
        ssrc: 0x1111 * (side as u32 + 1),
        first_sequence: 65_500,
        first_timestamp: u32::MAX - 80_000,
        cname: format!("side{side}"),
        card_rate_hz: rate,
        period_frames: frames,
        ntp: Some((start, 0xE000_0000_0000_0000)),
        ..StreamConfig::new(ID, codec, remote)
    }
}

fn network(seed: u64, side: u16) -> Network<MediaPacket> {
    let mut network = Network::new(2 * seed + u64::from(side));
    network.set_default(lan());
    network
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
            network: network(seed, n),
            period: Duration::from_secs_f64(frames as f64 / f64::from(rate)),
            sent: 0,
        };
        Self {
            start,
            sides: [side(0), side(1)],
            now: Duration::ZERO,
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

    /// Changes the link on which a side sends.
    pub fn set_link(&mut self, side: usize, link: Link) {
        self.sides[side].network.set_default(link);
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
        while let Some((at, mut packet)) = self.sides[1 - side].network.pop_due_at(now) {
            if side == 1 && packet.kind == PacketKind::Rtp && self.tapped.len() < 256 {
                self.tapped.push(packet.bytes.clone());
            }
            self.sides[side].engine.handle_packet(
                ID,
                packet.kind,
                packet.from,
                &mut packet.bytes,
                start + at,
            );
        }
    }

    fn collect(&mut self, side: usize) {
        let now = self.now;
        let me = &mut self.sides[side];
        while let Some(transmit) = me.engine.poll_transmit() {
            let (kind, to, bytes) = (transmit.kind, transmit.to, transmit.bytes.to_vec());
            me.sent += 1;
            if let Some(tap) = &mut self.wiretap {
                tap.push((side, kind, to, bytes.clone()));
            }
            let from = if kind == PacketKind::Rtcp {
                me.rtcp
            } else {
                me.address
            };
            let packet = MediaPacket {
                kind,
                from,
                to,
                bytes,
            };
            me.network.send(packet, now);
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

/// Speech of the test data at the rate of the file, or `None` and a report that `test` is skipped.
pub fn speech(test: &str, name: &str) -> Option<Vec<i16>> {
    testkit::data::read_wav(test, &format!("speech/core/{name}"))
}

/// Speech-like sound: a gliding voice with formant-like partials, syllables and pauses.
pub fn babble(rate: u32, seconds: f64) -> Vec<i16> {
    let mut random = Rng::new(42);
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
