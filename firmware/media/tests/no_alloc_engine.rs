//! The audio path allocates and frees nothing: a counting allocator traps whatever does, around
//! every call into the engine, for all codecs, with loss, jitter, keys, tones, a conference,
//! re-starts and rubbish on the wire.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test needs some instant to count from"
)]

mod pair;

use std::net::SocketAddr;
use std::time::Duration;

use media::speech::Clip;
use media::{
    Codec, Command, Direction, EchoCanceller, EchoMode, Engine, EngineConfig, Event, Gains,
    MasterKey, PacketKind, Protection, Relay, Relays, RingTone, SrtpSuite, Stream, StreamId,
    VoiceOptions, VoiceProcessor,
};
use testkit::heap::{CountingAllocator, untouched};
use types::{Key, RtcpXr};

use pair::{Rng, babble, config};

#[global_allocator]
static HEAP: CountingAllocator = CountingAllocator;

#[test]
fn the_trap_works() {
    let caught = std::panic::catch_unwind(|| {
        untouched("a vector", || drop(std::hint::black_box(vec![1u8; 100])));
    });
    assert!(caught.is_err());
}

/// A TURN server that both streams send by.
const SERVER: SocketAddr = SocketAddr::new(
    std::net::IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 2)),
    3478,
);

fn channel_of(stream: StreamId) -> u16 {
    0x4000 + stream.0 as u16
}

/// Directly, or each by a channel of its own.
fn relays_of(stream: StreamId, by_turn: bool) -> Relays {
    let relay = by_turn.then(|| Relay {
        server: SERVER,
        channel: channel_of(stream),
    });
    Relays {
        rtp: relay,
        rtcp: relay,
    }
}

/// One engine that talks to itself: what stream 0 sends reaches stream 1 and the other way, through
/// a bad network.
fn storm(codec: Codec, rate: u32, frames: usize, suite: Option<SrtpSuite>) {
    storm_by(codec, (rate, frames), suite, false);
}

fn storm_by(codec: Codec, (rate, frames): (u32, usize), suite: Option<SrtpSuite>, by_turn: bool) {
    let start = std::time::Instant::now();
    let mut random = Rng::new(u64::from(rate) + codec as u64);
    let speech = babble(rate, 4.0);
    let recording = std::sync::Arc::new(media::RingClip::new(vec![900; 3000], rate));
    let echo = EchoCanceller::new(EchoMode::On, rate, frames);
    assert!(echo.is_some(), "{rate} Hz, {frames} frames");
    let mut engine = Engine::new(
        EngineConfig {
            rate_hz: rate,
            period_frames: frames,
            sidetone_db: Some(-20),
        },
        start,
    )
    .with_echo_canceller(echo)
    .with_voice_processor(VoiceProcessor::new(
        VoiceOptions {
            high_pass: true,
            noise_suppression: true,
            gain_control: true,
            noise_gate: true,
        },
        rate,
        frames,
    ));
    let key = |suite: SrtpSuite, seed: usize| {
        let seed = seed as u8;
        MasterKey::new(
            suite,
            &vec![seed; suite.key_len()],
            &vec![seed; suite.salt_len()],
            &[1, 2][..seed as usize % 3],
        )
        .unwrap()
    };
    // Three generations of both streams: the second goes on with the keys of the first, the third
    // has new ones.
    let stream = |n: usize| {
        let (side, id, generation) = (n % 2, n as u32 % 2, n / 2);
        let mut config = config(side, codec, rate, frames, start);
        config.id = StreamId(id);
        config.relays = relays_of(config.id, by_turn);
        config.recv_payloads.push((120, Codec::Pcma));
        config.opus_dtx = side == 1;
        config.comfort_noise = side == 1;
        config.rtcp_xr = RtcpXr::ALL;
        if let Some(suite) = suite {
            let keys = 10 * (generation / 2);
            config.protection = Protection::Srtp {
                send: key(suite, keys + side),
                receive: key(suite, keys + 1 - side),
            };
        }
        // One sends keys as tones, the other listens for them.
        if id == 1 {
            config.send_dtmf = None;
        } else {
            config.recv_dtmf = None;
        }
        Stream::new(config).unwrap()
    };
    let mut spare: Vec<Box<Stream>> = (0..6).rev().map(stream).collect();
    let mut returned: Vec<Box<Stream>> = Vec::with_capacity(64);
    let mut wire: Vec<(Duration, StreamId, Vec<u8>)> = Vec::new();
    let address = |side: u16| SocketAddr::from(([127, 0, 0, 1], 4000 + 10 * side));
    let command = |engine: &mut Engine, what: &str, command: Command, at: Duration| {
        untouched(what, || engine.handle_command(command, start + at));
    };
    for _ in 0..2 {
        let stream = spare.pop().unwrap();
        let id = stream.config().id;
        command(&mut engine, "start", Command::Start(stream), Duration::ZERO);
        command(
            &mut engine,
            "connect",
            Command::Connect {
                id,
                connected: true,
            },
            Duration::ZERO,
        );
    }
    let period = Duration::from_secs_f64(frames as f64 / f64::from(rate));
    let mut playback = vec![0i16; frames];
    let (mut digits, mut tones, mut packets) = (0, 0, 0);
    let mut clips = Vec::with_capacity(64);
    let mut next_clip = Some(Clip::new(1, vec![2000; rate as usize / 4]));
    for n in 0..(12.0 / period.as_secs_f64()) as u32 {
        let now = period * n;
        let turn = n % 400;
        match turn {
            // Spoken to its end, spoken over, and cut short.
            10 | 30 => {
                if let Some(clip) = next_clip.take() {
                    command(&mut engine, "speak", Command::Speak(clip), now);
                }
                next_clip = Some(Clip::new(n, vec![2000; rate as usize / 4]));
            }
            40 => command(&mut engine, "stop speaking", Command::StopSpeaking, now),
            50 => command(
                &mut engine,
                "dtmf",
                Command::Dtmf {
                    id: StreamId(n / 400 % 2),
                    event: (n / 400 % 12) as u8,
                    down: true,
                },
                now,
            ),
            75 => command(
                &mut engine,
                "dtmf",
                Command::Dtmf {
                    id: StreamId(n / 400 % 2),
                    event: (n / 400 % 12) as u8,
                    down: false,
                },
                now,
            ),
            100 => command(
                &mut engine,
                "tone",
                Command::Tone(Some(media::dtmf::tone(Key::Digit(3), -10.0))),
                now,
            ),
            120 => command(
                &mut engine,
                "key tone",
                Command::KeyTone(Some(media::dtmf::tone(Key::Digit(5), -10.0))),
                now,
            ),
            140 => command(&mut engine, "key tone", Command::KeyTone(None), now),
            160 => command(&mut engine, "tone", Command::Tone(None), now),
            200 => command(&mut engine, "mute", Command::Mute(n % 800 == 200), now),
            205 => command(
                &mut engine,
                "gains",
                Command::Gains(Gains {
                    microphone_db: 6,
                    ear_db: if n % 800 == 205 { -9 } else { 12 },
                    ..Gains::default()
                }),
                now,
            ),
            210 => command(
                &mut engine,
                "ring",
                Command::Ring(Some(RingTone {
                    sound: if n % 800 == 210 {
                        media::RingSound::Clip(std::sync::Arc::clone(&recording))
                    } else {
                        media::RingSound::Tone(media::dtmf::tone(Key::Digit(1), -10.0))
                    },
                    rising: true,
                })),
                now,
            ),
            230 => command(&mut engine, "ring", Command::Ring(None), now),
            235 => command(
                &mut engine,
                "watch other sources",
                Command::WatchSources {
                    id: StreamId(0),
                    sources: [SERVER].into_iter().collect(),
                },
                now,
            ),
            220 => command(
                &mut engine,
                "hold",
                Command::Connect {
                    id: StreamId(0),
                    connected: false,
                },
                now,
            ),
            240 => command(
                &mut engine,
                "resume",
                Command::Connect {
                    id: StreamId(0),
                    connected: true,
                },
                now,
            ),
            260 => command(
                &mut engine,
                "redirect",
                Command::Redirect {
                    id: StreamId(1),
                    remote_rtp: address(0),
                    remote_rtcp: address(0),
                    relays: relays_of(StreamId(1), by_turn),
                    signalling: media::SignallingHosts::default(),
                    direction: Direction::SendRecv,
                },
                now,
            ),
            280 => untouched("discontinuity", || {
                engine.handle_discontinuity(400);
            }),
            300 => {
                for stream in spare.drain(spare.len().saturating_sub(2)..).rev() {
                    command(&mut engine, "replace", Command::Start(stream), now);
                }
            }
            _ => {}
        }
        wire.sort_by_key(|(at, ..)| *at);
        while wire.first().is_some_and(|(at, ..)| *at <= now) {
            let (at, id, mut bytes) = wire.remove(0);
            let from = if by_turn {
                SERVER
            } else {
                address(1 - id.0 as u16)
            };
            if random.unit() < 0.02 {
                let index = random.next_u64() as usize % bytes.len();
                bytes[index] ^= random.next_u64() as u8;
            }
            packets += 1;
            untouched("packet", || {
                engine.handle_packet(id, PacketKind::Rtp, from, &mut bytes, start + at);
            });
            if random.unit() < 0.05 {
                // The same once more, or what is left of it; and something for the control thread.
                untouched("packet again", || {
                    engine.handle_packet(id, PacketKind::Rtp, from, &mut bytes, start + at);
                });
                let mut hello = [22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 1, 2];
                untouched("handshake", || {
                    engine.handle_packet(id, PacketKind::Rtp, from, &mut hello, start + at);
                });
                if random.unit() < 0.5 {
                    assert!(untouched("poll_non_media", || engine
                        .poll_non_media()
                        .is_some()));
                }
            }
        }
        let at = n as usize * frames % (speech.len() - frames);
        untouched("process", || {
            engine.process(&speech[at..at + frames], &mut playback, start + now);
        });
        while let Some(transmit) = untouched("poll_transmit", || engine.poll_transmit()) {
            if random.unit() < 0.1 {
                continue;
            }
            let mut bytes = transmit.bytes.to_vec();
            let receiver = StreamId(1 - transmit.stream.0);
            if by_turn {
                // What the server makes of one channel's data is the other's.
                assert_eq!(transmit.to, SERVER);
                let channel = channel_of(transmit.stream).to_be_bytes();
                assert_eq!(bytes[..2], channel);
                bytes[..2].copy_from_slice(&channel_of(receiver).to_be_bytes());
            }
            let late = Duration::from_secs_f64(0.002 + random.unit() * random.unit() * 0.08);
            let late = if n / 300 % 5 == 4 {
                Duration::from_millis(300)
            } else {
                late
            };
            wire.push((now + late, receiver, bytes));
        }
        while let Some(event) = untouched("poll_event", || engine.poll_event()) {
            match event {
                Event::Retired(stream) => returned.push(stream),
                Event::Spoken(clip) => clips.push(clip),
                Event::Digit { inband: false, .. } => digits += 1,
                Event::Digit { inband: true, .. } => tones += 1,
                Event::Stats { .. }
                | Event::Levels { .. }
                | Event::Echo(_)
                | Event::FirstSound(_)
                | Event::OtherSource { .. }
                | Event::Bye(_)
                | Event::MediaTimeout(_) => {}
            }
        }
    }
    assert!(clips.len() > 2, "{} clips", clips.len());
    let stats = engine.stats(StreamId(0)).unwrap();
    assert!(
        packets > 500 && digits > 0 && stats.concealed > 0 && stats.received > 200,
        "{codec:?}: the storm was none: {stats:?}"
    );
    assert!(
        tones > 0,
        "{codec:?}, {rate} Hz: no key was heard as a tone"
    );
    assert!(
        stats.far_metrics.is_some(),
        "{codec:?}, {rate} Hz: no extended report came"
    );
    let srtp = stats.srtp;
    assert!(
        suite.is_none()
            || (srtp.protected_received > 200
                && srtp.auth_failed + srtp.clear_dropped > 5
                && srtp.replayed > 3),
        "{suite:?}: {srtp:?}"
    );
    for id in [StreamId(0), StreamId(1)] {
        command(
            &mut engine,
            "stop",
            Command::Stop(id),
            Duration::from_secs(13),
        );
    }
    while let Some(event) = untouched("poll_event", || engine.poll_event()) {
        if let Event::Retired(stream) = event {
            returned.push(stream);
        }
    }
    assert_eq!(
        (returned.len() + spare.len(), engine.streams()),
        (6, 0),
        "every stream was returned"
    );
}

#[test]
fn pcmu_touches_no_heap() {
    storm(Codec::Pcmu, 8000, 40, None);
    storm(Codec::Pcmu, 48_000, 240, None);
}

#[test]
fn pcma_touches_no_heap() {
    storm(Codec::Pcma, 44_100, 441, None);
    storm(Codec::Pcma, 44_100, 220, None);
}

#[test]
fn g722_touches_no_heap() {
    storm(Codec::G722, 16_000, 80, None);
    storm(Codec::G722, 48_000, 256, None);
}

#[test]
fn opus_touches_no_heap() {
    storm(Codec::Opus, 48_000, 240, None);
    storm(Codec::Opus, 16_000, 160, None);
}

#[test]
fn no_turn_channel_touches_the_heap() {
    storm_by(Codec::Pcmu, (8000, 40), None, true);
    storm_by(Codec::Opus, (48_000, 240), None, true);
    let suite = Some(SrtpSuite::AesCm128HmacSha1_80);
    storm_by(Codec::G722, (16_000, 80), suite, true);
}

#[test]
fn no_suite_touches_the_heap() {
    for suite in SrtpSuite::ALL {
        storm(Codec::Pcmu, 8000, 40, Some(suite));
    }
    storm(Codec::Opus, 48_000, 240, Some(SrtpSuite::AeadAes256Gcm));
    storm(
        Codec::G722,
        16_000,
        80,
        Some(SrtpSuite::AesCm128HmacSha1_80),
    );
}
