//! Fifty hours of an encrypted call in virtual time: 137 wraps of the sequence number, two of the
//! 48 kHz timestamp, loss and disorder at each, and sound both ways.
//!
//! ```text
//! sound packets (encoded once) ─▶ header ─▶ Guard ─▶ Outbox ─▶ loss, disorder ─▶ Stream::packet ─▶ render ─▶ the tone again?
//! ```
//!
//! Nine million packets each way pass guard, latch and jitter buffer; around each wrap of either
//! number they are decoded and listened to. Between the wraps they carry Opus's three bytes of
//! silence and no one listens, or this would take an hour.

use std::time::Duration;

use testkit::Rng;
use types::{Codec, SrtpSuite};

use super::*;
use crate::codec::{Encoder, EncoderOptions};
use crate::packet::{PacketKind, StreamId};
use crate::rtp::Sender;
use crate::srtp::{Encryption, MasterKey};

const RATE: u32 = 48_000;
/// Samples of a packet, and of a card period.
const FRAME: usize = 960;
const PACKETS: u64 = 50 * 3600 * 50;
/// Listened to so many packets before and after a wrap.
const AROUND: u64 = 100;
/// A frame of silence, as libopus makes it.
const SILENCE: [u8; 3] = [0xF8, 0xFF, 0xFE];

fn key(seed: u8) -> MasterKey {
    MasterKey::new(SrtpSuite::AeadAes128Gcm, &[seed; 16], &[seed; 12], &[]).unwrap()
}

struct End {
    stream: Box<Stream>,
    numbers: Sender,
    address: SocketAddr,
    tone_hz: f64,
    /// A second of its tone in packets.
    sound: Vec<Vec<u8>>,
    /// (number of the packet at whose time it arrives, packet)
    wire: Vec<(u64, Vec<u8>)>,
    heard: Vec<i16>,
    delivered: u64,
    lost: u64,
    random: Rng,
}

impl End {
    fn new(side: u8, start: Instant) -> Self {
        let address = |side: u8| SocketAddr::from(([192, 0, 2, side], 4000));
        // The first wrap of the sequence comes early, the timestamp's first one after four hours
        // and after seven.
        let (sequence, timestamp) = (
            60_000 + 1000 * u16::from(side),
            u32::MAX - RATE * 3600 * (4 + 3 * u32::from(side)),
        );
        let id = StreamId(u32::from(side));
        let config = StreamConfig {
            protection: Protection::Srtp {
                send: key(side),
                receive: key(1 - side),
            },
            ssrc: 0xABC + u32::from(side),
            first_sequence: sequence,
            first_timestamp: timestamp,
            card_rate_hz: RATE,
            period_frames: FRAME,
            ntp: Some((start, 0)),
            ..StreamConfig::new(id, Codec::Opus, address(1 - side))
        };
        let tone_hz = [600.0, 1000.0][usize::from(side)];
        let options = EncoderOptions {
            card_rate_hz: RATE,
            fec: false,
            dtx: false,
            bitrate: None,
            band: types::OpusBand::Wide,
        };
        let mut encoder = Encoder::new(Codec::Opus, options).unwrap();
        let sound = (0..50)
            .map(|n| {
                let wave = |i: usize| {
                    ((n * FRAME + i) as f64 * tone_hz / f64::from(RATE) * std::f64::consts::TAU)
                        .sin()
                };
                let frame: Vec<i16> = (0..FRAME).map(|i| (8000.0 * wave(i)) as i16).collect();
                let mut out = [0; 400];
                let length = encoder.encode(&frame, &mut out).unwrap();
                out[..length].to_vec()
            })
            .collect();
        Self {
            stream: Stream::new(config).unwrap(),
            numbers: Sender::new(0xABC + u32::from(side), sequence, timestamp),
            address: address(side),
            tone_hz,
            sound,
            wire: Vec::new(),
            heard: Vec::new(),
            delivered: 0,
            lost: 0,
            random: Rng::new(77 + u64::from(side)),
        }
    }

    /// How many packets it is to the nearest wrap of either number of what it sends next.
    fn to_wrap(&self, sequence: u16) -> u64 {
        let folded = |number: u64, turn: u64| number.min(turn - number);
        let ticks = folded(u64::from(self.numbers.timestamp()), 1 << 32) / FRAME as u64;
        folded(u64::from(sequence), 1 << 16).min(ticks)
    }

    /// Sends packet `n`; what becomes of it is on `wire` then.
    fn send(&mut self, n: u64, sequence: u16, outbox: &mut Outbox) {
        let near = self.to_wrap(sequence) <= AROUND;
        // Loud well before and after it is listened to, so that the codec has come in.
        let loud = self.to_wrap(sequence) <= 2 * AROUND;
        let payload = if loud {
            &self.sound[n as usize % 50][..]
        } else {
            &SILENCE
        };
        let timestamp = self.numbers.timestamp();
        let numbers = &mut self.numbers;
        let stream = &self.stream;
        let to = destination(&stream.config, &stream.latch, PacketKind::Rtp).unwrap();
        let pushed = outbox.push(
            self.stream.config.id,
            PacketKind::Rtp,
            to,
            &mut self.stream.guard,
            |out| {
                let header = numbers
                    .write_header(out, 111, false, timestamp, payload.len())
                    .ok()?;
                out[header..header + payload.len()].copy_from_slice(payload);
                Some(header + payload.len())
            },
        );
        assert!(pushed, "packet {n} was not sent");
        self.numbers.advance(FRAME as u32);
        let packet = outbox.pop().unwrap().bytes.to_vec();
        // At a wrap one in twelve is lost, and one in ten comes one or two packets late.
        let (fate, late) = (self.random.unit(), 1 + (self.random.unit() * 2.0) as u64);
        match (near, fate) {
            (true, ..0.08) => self.lost += 1,
            (true, 0.08..0.18) => self.wire.push((n + late, packet)),
            (true | false, _) => self.wire.push((n, packet)),
        }
    }

    /// Takes what arrives by packet `n`'s time, and plays a period.
    fn receive(&mut self, n: u64, far: &mut End, listens: bool, at: Instant) {
        far.wire.sort_by_key(|w| w.0);
        let due = far.wire.iter().take_while(|w| w.0 <= n).count();
        for (_, mut packet) in far.wire.drain(..due) {
            far.delivered += 1;
            let kind = PacketKind::of(&packet);
            assert_eq!(
                self.stream.packet(far.address, kind, &mut packet, at),
                FarEvent::Nothing
            );
        }
        self.stream.connected = listens;
        let mut period = [0; FRAME];
        self.stream.render(&mut period, at, 0.0);
        self.stream.guard.tick(at);
        if listens {
            self.heard.extend_from_slice(&period);
        }
    }
}

/// How much of 20 ms of sound is a tone, 0 to 1; silence is none.
fn tone_in(sound: &[i16], hz: f64) -> f64 {
    let (mut real, mut imaginary, mut energy) = (0.0, 0.0, 0.0);
    for (i, &x) in sound.iter().enumerate() {
        let (x, phase) = (
            f64::from(x),
            i as f64 * hz / f64::from(RATE) * std::f64::consts::TAU,
        );
        real += x * phase.cos();
        imaginary += x * phase.sin();
        energy += x * x;
    }
    let n = sound.len() as f64;
    if energy / n < 1500.0 * 1500.0 {
        0.0
    } else {
        2.0 * (real * real + imaginary * imaginary) / n / energy
    }
}

#[test]
fn fifty_hours_keep_their_sound_over_every_wrap() {
    let start = crate::test_data::start_instant();
    let mut ends = [End::new(0, start), End::new(1, start)];
    let mut outbox = Outbox::new();
    let mut listened = [0; 2];
    let mut sequences = ends.each_ref().map(|end| end.stream.config.first_sequence);
    let (mut wraps, mut worst) = ([(0, 0); 2], 1.0f64);
    for n in 0..PACKETS {
        let at = start + Duration::from_millis(20 * n);
        for (side, sequence) in sequences.iter_mut().enumerate() {
            let before = ends[side].numbers.timestamp();
            ends[side].send(n, *sequence, &mut outbox);
            *sequence = sequence.wrapping_add(1);
            wraps[side].0 += u32::from(*sequence == 0);
            wraps[side].1 += u32::from(ends[side].numbers.timestamp() < before);
        }
        for side in 0..2 {
            let [left, right] = &mut ends;
            let (near, far) = if side == 0 {
                (left, right)
            } else {
                (right, left)
            };
            let listens = far.to_wrap(sequences[1 - side]) <= AROUND;
            near.receive(n, far, listens, at);
            if !listens && !near.heard.is_empty() {
                // Four seconds around a wrap; the first half fills the buffer.
                let heard = std::mem::take(&mut near.heard);
                listened[side] += 1;
                let pieces: Vec<f64> = heard
                    .chunks_exact(FRAME)
                    .skip(25)
                    .map(|sound| tone_in(sound, far.tone_hz))
                    .collect();
                let clean = pieces.iter().filter(|&&share| share > 0.6).count() as f64
                    / pieces.len() as f64;
                worst = worst.min(clean);
                assert!(
                    clean > 0.7,
                    "side {side}, packet {n}: {:.0} % is the tone: {pieces:.1?}",
                    clean * 100.0
                );
            }
        }
    }
    eprintln!(
        "at the worst wrap {:.0} % of the sound is the tone",
        worst * 100.0
    );
    for (side, end) in ends.iter().enumerate() {
        let (stats, far) = (end.stream.stats(0.0), &ends[1 - side]);
        assert_eq!(wraps[side], (138, 2), "side {side}");
        assert_eq!(
            listened[side],
            wraps[1 - side].0 + wraps[1 - side].1,
            "side {side}: each wrap was listened to"
        );
        assert_eq!(
            (
                stats.srtp.auth_failed,
                stats.srtp.replayed,
                stats.srtp.clear_dropped,
                stats.srtp.key_exhausted
            ),
            (0, 0, 0, 0)
        );
        assert_eq!(
            (stats.srtp.protected_sent, stats.srtp.protected_received),
            (PACKETS, far.delivered)
        );
        assert_eq!((stats.rejected, stats.duplicate), (0, 0));
        assert!(
            far.lost > 2000 && stats.received == far.delivered,
            "{} of {}",
            stats.received,
            far.delivered
        );
        assert_eq!(stats.encryption, Encryption::Full(SrtpSuite::AeadAes128Gcm));
    }
}
