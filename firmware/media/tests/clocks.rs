//! Cards whose clocks differ, and cards that stop: the delay stays where it was.

mod pair;

use std::time::{Duration, Instant};

use media::{Codec, Command, Engine, EngineConfig, Stream, StreamConfig, StreamId};
use pair::{Pair, babble};

/// Minutes of a call with both cards off by `ppm` in opposite directions; the delay of each minute.
fn drift(codec: Codec, rate: u32, frames: usize, ppm: [f64; 2], minutes: u32) -> Vec<f64> {
    let speech = babble(rate, 30.0);
    let mut pair = Pair::call(codec, rate, frames, 3);
    pair.sides[0].ppm = ppm[0];
    pair.sides[1].ppm = ppm[1];
    let mut delays = Vec::new();
    for minute in 1..=minutes {
        pair.talk(&speech, 60.0);
        let stats = pair.stats(1);
        delays.push(f64::from(stats.delay_ms));
        if minute > 6 {
            // The far card is slow by `ppm[0]`, ours by `ppm[1]`.
            let want = ppm[1] - ppm[0];
            assert!(
                (f64::from(stats.drift_ppm) - want).abs() < 20.0,
                "measured {} ppm, true {want}",
                stats.drift_ppm
            );
        }
        pair.sides.iter_mut().for_each(|s| s.events.clear());
    }
    let stats = pair.stats(1);
    eprintln!(
        "{codec:?} {ppm:?}: {minutes} min, concealed {} ms, late {}, lost {}",
        stats.concealed_ms, stats.late, stats.lost
    );
    assert_eq!((stats.lost, stats.late), (0, 0));
    assert!(
        stats.concealed_ms <= 40,
        "{} ms were made up",
        stats.concealed_ms
    );
    delays
}

fn flat(delays: &[f64]) {
    let steady = &delays[1..];
    let (least, most) = (
        steady.iter().copied().fold(f64::INFINITY, f64::min),
        steady.iter().copied().fold(0.0, f64::max),
    );
    eprintln!("delay {least:.2} to {most:.2} ms");
    assert!(
        most - least <= 5.0,
        "the delay wandered from {least} to {most} ms"
    );
    assert!(most < 15.0, "{most} ms");
}

#[test]
fn an_hour_of_200_ppm_leave_the_delay_flat() {
    for ppm in [[200.0, -200.0], [-200.0, 200.0]] {
        flat(&drift(Codec::Pcmu, 8000, 40, ppm, 60));
    }
}

/// The worst there is. `make test-long` takes a day of it.
#[test]
fn clocks_500_ppm_off_on_either_side_leave_the_delay_flat() {
    let minutes = std::env::var("OFFHOOK_DRIFT_MINUTES");
    let minutes = minutes.map_or(12, |text| text.parse().unwrap());
    for ppm in [[500.0, -500.0], [-500.0, 500.0]] {
        flat(&drift(Codec::Pcmu, 8000, 40, ppm, minutes));
    }
}

#[test]
fn the_other_codecs_drift_alike() {
    flat(&drift(Codec::G722, 16_000, 80, [200.0, -200.0], 8));
    flat(&drift(Codec::Opus, 16_000, 80, [-200.0, 200.0], 7));
}

/// A stalled audio thread: nothing is processed, then everything at once (the card had it all), or
/// with a hole (xrun).
#[test]
fn a_thousand_stalls_leave_the_delay_where_it_was() {
    let speech = babble(8000, 30.0);
    for reported in [true, false] {
        let mut pair = Pair::call(Codec::Pcmu, 8000, 40, 5);
        pair.talk(&speech, 20.0);
        let before = f64::from(pair.stats(1).delay_ms);
        let mut worst = 0f64;
        for n in 0..1000 {
            let stall = Duration::from_millis([20, 50, 100, 200, 500][n % 5]);
            // The right card is not served for so long; its sound of that time is lost.
            pair.sides[1].next += stall;
            if reported {
                pair.sides[1]
                    .engine
                    .handle_discontinuity(stall.as_millis() as i64 * 8);
            }
            if reported {
                // Where the hole is reported, the buffer need not work it off: it starts again
                // where it should be.
                pair.talk(&speech, 0.2);
                let now = f64::from(pair.stats(1).delay_ms);
                assert!(
                    now - before <= 8.0,
                    "{now} ms right after a stall, {before} ms before"
                );
            }
            pair.talk(&speech, 2.0);
            worst = worst.max(f64::from(pair.stats(1).delay_ms) - before);
            pair.sides.iter_mut().for_each(|s| s.events.clear());
        }
        let after = f64::from(pair.stats(1).delay_ms);
        eprintln!(
            "reported {reported}: {before:.1} ms before, {after:.1} ms after, at most {worst:.1} \
             ms more 2 s after a stall"
        );
        assert!(
            (after - before).abs() <= 5.0,
            "{before} ms before, {after} ms after"
        );
    }
}

/// What the card loses is lost in the packets' clock, too: the far end sees a pause, not a network
/// that has grown slower.
#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "some instant to count virtual time from"
)]
fn a_hole_in_the_microphones_sound_is_a_hole_in_time() {
    let start = Instant::now();
    let far = "10.0.0.2:4000".parse().unwrap();
    let mut engine = Engine::new(
        EngineConfig {
            rate_hz: 16_000,
            period_frames: 160,
            sidetone_db: None,
        },
        start,
    );
    let config = StreamConfig {
        first_sequence: 0,
        first_timestamp: 0,
        card_rate_hz: 16_000,
        period_frames: 160,
        ..StreamConfig::new(StreamId(1), Codec::Pcmu, far)
    };
    engine.handle_command(Command::Start(Stream::new(config).unwrap()), start);
    engine.handle_command(
        Command::Connect {
            id: StreamId(1),
            connected: true,
        },
        start,
    );
    let mut packets = Vec::new();
    let mut playback = [0; 160];
    for n in 0..40u64 {
        if n == 21 {
            // Half a packet is waiting; 1 s of 16 kHz is lost, and an hour after it.
            engine.handle_discontinuity(16_000);
            engine.handle_discontinuity(16_000 * 3_600);
        }
        engine.process(
            &[1000; 160],
            &mut playback,
            start + Duration::from_millis(10 * (n + 1)),
        );
        while let Some(packet) = engine.poll_transmit() {
            if packet.kind == media::PacketKind::Rtp {
                let b = packet.bytes;
                packets.push((
                    u16::from_be_bytes([b[2], b[3]]),
                    u32::from_be_bytes([b[4], b[5], b[6], b[7]]),
                    b[1] & 0x80 != 0,
                ));
            }
        }
    }
    let jump = packets
        .iter()
        .zip(&packets[1..])
        .find(|(a, b)| b.1.wrapping_sub(a.1) != 160)
        .unwrap();
    let hole = jump.1.1.wrapping_sub(jump.0.1);
    assert_eq!(jump.1.0, jump.0.0 + 1, "no packet is missing");
    assert!(jump.1.2, "the marker says that sound begins again");
    assert!(
        hole.abs_diff(3_601 * 8_000 + 160) <= 160,
        "the clock went on by {hole} ticks"
    );
}
