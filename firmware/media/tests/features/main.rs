//! What a phone asks of its engine beyond carrying sound: keys, hold, mute, tones, conference,
//! changes in mid-call, farewells.

mod keys;
#[path = "../pair/mod.rs"]
mod pair;
mod streams;

use std::net::SocketAddr;
use std::time::Duration;

use media::{
    Codec, Command, Engine, EngineConfig, Event, Mix, PacketKind, Stream, StreamId, ToneSegment,
    ToneSpec,
};
use testkit::network::{Link, Loss};

use pair::{ID, Pair, babble, config, link};

/// Level of one frequency in dB against full scale (Goertzel).
fn tone_db(x: &[i16], hz: f64, rate: f64) -> f64 {
    let w = std::f64::consts::TAU * hz / rate;
    let (mut s1, mut s2) = (0.0, 0.0);
    for &v in x {
        let s = f64::from(v) / 32_768.0 + 2.0 * w.cos() * s1 - s2;
        s2 = s1;
        s1 = s;
    }
    let power = (s1 * s1 + s2 * s2 - 2.0 * w.cos() * s1 * s2) * 4.0 / (x.len() as f64).powi(2);
    10.0 * power.max(1e-12).log10()
}

fn sine(hz: f64, amplitude: f64, at: usize, out: &mut [i16]) {
    for (i, y) in out.iter_mut().enumerate() {
        *y = ((std::f64::consts::TAU * hz * (at + i) as f64 / 8000.0).sin() * amplitude) as i16;
    }
}

fn loud(x: &[i16]) -> bool {
    x.iter().any(|v| v.abs() > 1000)
}

#[test]
fn a_far_end_with_long_packets_is_heard() {
    for ptime_ms in [10, 30, 40, 60] {
        for codec in [Codec::Pcmu, Codec::Opus] {
            let speech = babble(8000, 3.0);
            let mut pair = Pair::new(8000, 40, 1);
            for side in 0..2 {
                let mut config = config(side, codec, 8000, 40, pair.start);
                config.ptime_ms = ptime_ms;
                pair.start_stream(side, config);
            }
            assert!(loud(&pair.talk(&speech, 5.0)[20_000..]));
            let stats = pair.stats(1);
            assert_eq!(
                (stats.lost, stats.late, stats.concealed_ms),
                (0, 0, 0),
                "{codec:?} {ptime_ms}: {stats:?}"
            );
            assert!(stats.delay_ms < 15.0, "{codec:?} {ptime_ms}: {stats:?}");
        }
    }
}

#[test]
fn opus_dtx_is_silence_and_not_loss() {
    let mut pair = Pair::new(16_000, 80, 1);
    for side in 0..2 {
        let mut config = config(side, Codec::Opus, 16_000, 80, pair.start);
        config.opus_dtx = true;
        pair.start_stream(side, config);
    }
    let speech = babble(16_000, 3.0);
    pair.talk(&speech, 2.0);
    let sent = pair.stats(0).sent;
    pair.talk(&[0; 1600], 10.0);
    let stats = pair.stats(1);
    assert!(
        pair.stats(0).sent - sent < 200,
        "{} packets of silence",
        pair.stats(0).sent - sent
    );
    assert!(loud(&pair.talk(&speech, 1.0)), "the next word is heard");
    assert_eq!(stats.lost, 0);
    assert!(
        stats.concealed_ms < 200 && stats.delay_ms < 30.0,
        "{stats:?}"
    );
}

/// Noise of a room at this RMS, 16 kHz.
fn room(rms: f64, seconds: f64) -> Vec<i16> {
    let mut random = pair::Rng::new(8);
    (0..(16_000.0 * seconds) as usize)
        .map(|_| (random.normal() * rms) as i16)
        .collect()
}

#[test]
fn silence_is_comfort_noise_of_the_rooms_level_and_not_loss() {
    for codec in [Codec::Pcmu, Codec::Pcma, Codec::G722] {
        let mut pair = Pair::new(16_000, 80, 1);
        for side in 0..2 {
            let mut config = config(side, codec, 16_000, 80, pair.start);
            config.comfort_noise = true;
            pair.start_stream(side, config);
        }
        let speech = babble(16_000, 3.0);
        pair.talk(&speech, 2.0);
        let (sent, before) = (pair.stats(0).sent, pair.stats(1));
        let quiet = room(30.0, 10.0);
        let heard = pair.talk(&quiet, 10.0);
        let (sent, stats) = (pair.stats(0).sent - sent, pair.stats(1));
        // Until the room is known to be no talk, and then once a second.
        assert!(
            (8..150).contains(&sent),
            "{codec:?}: {sent} packets in 10 s"
        );
        let rms = |x: &[i16]| {
            let sum: f64 = x.iter().map(|&v| f64::from(v).powi(2)).sum();
            (sum / x.len() as f64).sqrt()
        };
        // Band-limited by the codec, and described in whole decibels.
        let level = 20.0 * (rms(&heard[80_000..]) / 30.0).log10();
        assert!(level.abs() < 4.0, "{codec:?}: {level:+.1} dB");
        assert_eq!(stats.lost, 0);
        assert!(
            stats.concealed_ms - before.concealed_ms < 100 && stats.delay_ms < 30.0,
            "{codec:?}: {stats:?}"
        );
        assert!(loud(&pair.talk(&speech, 1.0)), "the next word is heard");
    }
}

#[test]
fn the_far_end_bounds_the_bitrate_of_opus() {
    let octets = |bitrate| {
        let mut pair = Pair::new(16_000, 80, 1);
        for side in 0..2 {
            let mut config = config(side, Codec::Opus, 16_000, 80, pair.start);
            (config.opus_bitrate, config.opus_fec) = (bitrate, false);
            pair.start_stream(side, config);
        }
        pair.wiretap = Some(Vec::new());
        pair.talk(&babble(16_000, 4.0), 4.0);
        let sent = pair.wiretap.unwrap();
        let of_left = sent.iter().filter(|(side, ..)| *side == 0);
        of_left.map(|(.., bytes)| bytes.len() - 12).sum::<usize>()
    };
    let (least, usual, most) = (octets(Some(8_000)), octets(None), octets(Some(64_000)));
    println!("4 s: {least}, {usual}, {most} octets");
    assert!(least * 2 < usual && usual * 3 < most * 2);
    assert!((3_000..5_500).contains(&least), "{least} at 8 kbit/s");
}

/// What the far end reports to be lost reaches the encoder: a way that is full gets less.
#[test]
fn opus_sends_less_where_much_is_lost() {
    let rate_at_end = |loss: f64| {
        let mut pair = Pair::call(Codec::Opus, 16_000, 80, 1);
        let lossy = Link {
            loss: Loss::Random(loss),
            ..link(10.0, 0.0)
        };
        pair.set_link(0, lossy);
        let speech = babble(16_000, 4.0);
        pair.talk(&speech, 40.0);
        pair.wiretap = Some(Vec::new());
        pair.talk(&speech, 8.0);
        let sent = pair.wiretap.unwrap();
        let of_left = sent
            .iter()
            .filter(|(side, kind, ..)| (*side, *kind) == (0, PacketKind::Rtp));
        of_left.map(|(.., bytes)| bytes.len() - 12).sum::<usize>()
    };
    let (clear, full) = (rate_at_end(0.0), rate_at_end(0.25));
    println!("8 s: {clear} octets, {full} where a quarter is lost");
    assert!(full * 3 < clear * 2, "{full} octets, {clear} without loss");
}

fn tone(hz: u16, level_dbm0: f32) -> ToneSpec {
    let mut segments = [ToneSegment::default(); media::tone::MAX_SEGMENTS];
    segments[0] = ToneSegment {
        frequencies_hz: [hz, 0, 0, 0],
        mix: Mix::Sum,
        length_ms: 0,
        repeat: true,
    };
    ToneSpec {
        segments,
        len: 1,
        level_dbm0,
    }
}

#[test]
fn tones_are_heard_here_and_never_sent() {
    let mut pair = Pair::call(Codec::Pcmu, 8000, 40, 1);
    pair.talk(&[0; 80], 1.0);
    pair.command(1, Command::Tone(Some(tone(425, -13.0))));
    let heard = pair.talk(&[0; 80], 1.0);
    // −13 dBm0 is 16.1 dB below full scale.
    assert!((tone_db(&heard[4000..], 425.0, 8000.0) + 16.1).abs() < 0.5);
    pair.command(1, Command::KeyTone(Some(tone(697, -13.0))));
    let heard = pair.talk(&[0; 80], 1.0);
    let (key, other) = (
        tone_db(&heard[4000..], 697.0, 8000.0),
        tone_db(&heard[4000..], 425.0, 8000.0),
    );
    assert!(
        (key + 16.1).abs() < 0.5 && other < key - 10.0,
        "the key is over the tone: {key} against {other} dB"
    );
    pair.command(1, Command::KeyTone(None));
    pair.command(1, Command::Tone(None));
    let heard = pair.talk(&[0; 80], 1.0);
    assert!(heard[800..].iter().all(|&v| v == 0), "and then silence");
    assert!(
        pair.stats(0).received_level_dbm0 < -60.0,
        "the far end heard none of it"
    );
}

#[test]
fn sidetone_is_the_microphone_at_its_gain_in_a_call_only() {
    let start = Pair::new(8000, 40, 1).start;
    let mut engine = Engine::new(
        EngineConfig {
            rate_hz: 8000,
            period_frames: 40,
            sidetone_db: Some(-12),
        },
        start,
    );
    let run = |engine: &mut Engine, from: u64| {
        let mut heard = Vec::new();
        for n in from..from + 200 {
            let (mut capture, mut playback) = ([0; 40], [0; 40]);
            sine(500.0, 8000.0, n as usize * 40, &mut capture);
            engine.process(
                &capture,
                &mut playback,
                start + Duration::from_millis(5 * n),
            );
            heard.extend(playback);
            while engine.poll_transmit().is_some() {}
        }
        tone_db(&heard, 500.0, 8000.0)
    };
    assert!(run(&mut engine, 0) < -100.0);
    engine.handle_command(
        Command::Start(Stream::new(config(0, Codec::Pcmu, 8000, 40, start)).unwrap()),
        start,
    );
    engine.handle_command(
        Command::Connect {
            id: ID,
            connected: true,
        },
        start,
    );
    let db = run(&mut engine, 200);
    // 8000 of 32 768 is −12.2 dB.
    assert!((db + 24.2).abs() < 0.3, "{db}");
}

#[test]
fn reports_give_the_round_trip_and_stop_says_goodbye() {
    let speech = babble(8000, 3.0);
    let mut pair = Pair::call(Codec::Pcmu, 8000, 40, 1);
    let lossy = Link {
        loss: Loss::Random(0.1),
        ..link(40.0, 0.0)
    };
    pair.set_link(0, lossy);
    pair.set_link(1, link(40.0, 0.0));
    pair.talk(&speech, 20.0);
    let stats = pair.stats(0);
    assert!(
        (stats.round_trip_ms.unwrap() - 80.0).abs() < 8.0,
        "{stats:?}"
    );
    let loss = stats.remote_loss.unwrap();
    assert!((0.03..0.2).contains(&loss), "{stats:?}");
    let seconds = pair.sides[1]
        .events
        .iter()
        .filter(|e| matches!(e, Event::Stats { .. }))
        .count();
    assert!((19..=20).contains(&seconds), "{seconds} reports of figures");
    assert_eq!(
        pair.sides[1]
            .events
            .iter()
            .filter(|e| matches!(e, Event::FirstSound(_)))
            .count(),
        1
    );
    assert!(
        pair.sides[1]
            .events
            .iter()
            .any(|e| matches!(e, Event::Levels { playback_dbm0, .. } if *playback_dbm0 > -40.0))
    );
    pair.command(0, Command::Stop(ID));
    let mut returned = 0;
    for _ in 0..60 {
        pair.step(|_, _| {}, |_, _| {});
    }
    let left = std::mem::take(&mut pair.sides[0].events);
    let last = left
        .iter()
        .rposition(|e| matches!(e, Event::Stats { .. }))
        .unwrap();
    for (n, event) in left.iter().enumerate() {
        if matches!(event, Event::Retired(_)) {
            returned += 1;
            assert!(n > last, "the last figures come before the stream");
        }
    }
    assert_eq!((returned, pair.sides[0].engine.streams()), (1, 0));
    assert!(
        pair.sides[1]
            .events
            .iter()
            .any(|e| matches!(e, Event::Bye(id) if *id == ID))
    );
}

#[test]
fn behind_a_nat_both_hear_each_other() {
    let speech = babble(8000, 3.0);
    let mut pair = Pair::new(8000, 40, 1);
    for side in 0..2 {
        let mut c = config(side, Codec::Pcmu, 8000, 40, pair.start);
        if side == 1 {
            // The left side's own address, as it believes, is behind a NAT: nothing comes from
            // there, but its signalling comes from the NAT's address, as its sound does.
            c.signalling = std::iter::once(pair.sides[0].address.ip()).collect();
            c.remote_rtp = SocketAddr::from(([192, 168, 1, 2], 4000));
            c.remote_rtcp = SocketAddr::from(([192, 168, 1, 2], 4001));
        }
        pair.start_stream(side, c);
    }
    let heard = pair.talk(&speech, 1.0);
    assert!(loud(&heard[800..]));
    let mut to = Vec::new();
    let now = pair.instant() + Duration::from_millis(20);
    let mut playback = [0; 40];
    for n in 0..4 {
        pair.sides[1]
            .engine
            .process(&[0; 40], &mut playback, now + Duration::from_millis(5 * n));
        while let Some(transmit) = pair.sides[1].engine.poll_transmit() {
            if transmit.kind == PacketKind::Rtp {
                to.push(transmit.to);
            }
        }
    }
    assert_eq!(to, [pair.sides[0].address]);
}

/// Three engines: A has a stream to B and one to C.
#[test]
fn each_hears_all_others_in_a_conference() {
    let start = Pair::new(8000, 40, 1).start;
    let mut engines: Vec<Engine> = (0..3)
        .map(|_| {
            Engine::new(
                EngineConfig {
                    rate_hz: 8000,
                    period_frames: 40,
                    sidetone_db: None,
                },
                start,
            )
        })
        .collect();
    let address = |n: u16| SocketAddr::from(([127, 0, 0, 1], 5000 + n));
    let mut open = |engine: usize, id: u32, remote: u16| {
        let mut c = config(0, Codec::Pcmu, 8000, 40, start);
        (c.id, c.ssrc) = (StreamId(id), 100 * id + engine as u32);
        (c.remote_rtp, c.remote_rtcp) = (address(remote), address(remote));
        engines[engine].handle_command(Command::Start(Stream::new(c).unwrap()), start);
        engines[engine].handle_command(
            Command::Connect {
                id: StreamId(id),
                connected: true,
            },
            start,
        );
    };
    // A's ports are 1 (to B) and 2 (to C); B is 11, C is 12.
    open(0, 1, 11);
    open(0, 2, 12);
    open(1, 1, 1);
    open(2, 2, 2);
    let hz = [440.0, 1000.0, 1700.0];
    let mut heard: Vec<Vec<i16>> = vec![Vec::new(); 3];
    let mut run = |engines: &mut Vec<Engine>, from: u64, periods: u64| {
        heard.iter_mut().for_each(Vec::clear);
        for n in from..from + periods {
            let now = start + Duration::from_millis(5 * n);
            let mut wire = Vec::new();
            for (e, engine) in engines.iter_mut().enumerate() {
                let (mut capture, mut playback) = ([0; 40], [0; 40]);
                sine(hz[e], 4000.0, n as usize * 40, &mut capture);
                engine.process(&capture, &mut playback, now);
                heard[e].extend(playback);
                while let Some(t) = engine.poll_transmit() {
                    let from = if e == 0 {
                        address(t.stream.0 as u16)
                    } else {
                        address(10 + t.stream.0 as u16)
                    };
                    wire.push((t.to.port() - 5000, t.stream, t.kind, from, t.bytes.to_vec()));
                }
            }
            for (port, stream, kind, from, mut bytes) in wire {
                let to = match port {
                    1 | 2 => 0,
                    11 => 1,
                    _ => 2,
                };
                engines[to].handle_packet(stream, kind, from, &mut bytes, now);
            }
        }
        heard
            .iter()
            .map(|x| hz.map(|f| tone_db(&x[x.len() - 1000..], f, 8000.0)))
            .collect::<Vec<_>>()
    };
    let levels = run(&mut engines, 0, 1000);
    for (who, of) in levels.iter().enumerate() {
        for (whom, &db) in of.iter().enumerate() {
            // 4000 of 32 768 is −18.3 dB.
            if who == whom {
                assert!(db < -50.0, "{who} hears himself at {db} dB");
            } else {
                assert!((db + 18.3).abs() < 1.0, "{who} hears {whom} at {db} dB");
            }
        }
    }
    // One is put on hold: he hears no one, and the other two go on alone.
    engines[0].handle_command(
        Command::Connect {
            id: StreamId(2),
            connected: false,
        },
        start + Duration::from_secs(3),
    );
    let levels = run(&mut engines, 1000, 1000);
    assert!(levels[2][0] < -50.0 && levels[2][1] < -50.0, "{levels:?}");
    assert!(levels[1][2] < -50.0 && levels[0][2] < -50.0, "{levels:?}");
    assert!(
        (levels[0][1] + 18.3).abs() < 1.0 && (levels[1][0] + 18.3).abs() < 1.0,
        "{levels:?}"
    );
}
