//! What the network and the board have to say reaches libopus.

use super::*;
use crate::codec::opus_control::{BEST_COMPLEXITY, OpusSettings};
use crate::stream::StreamConfig;

const RATE: u32 = 16_000;
const PERIOD: usize = 80;

/// An engine with one Opus stream that is connected, and when it began.
fn engine() -> (Engine, Instant) {
    let now = crate::test_data::start_instant();
    let card = EngineConfig {
        rate_hz: RATE,
        period_frames: PERIOD,
        sidetone_db: None,
    };
    let mut engine = Engine::new(card, now);
    let id = StreamId(1);
    let config = StreamConfig {
        card_rate_hz: RATE,
        period_frames: PERIOD,
        opus_fec: true,
        ..StreamConfig::new(
            id,
            types::Codec::Opus,
            SocketAddr::from(([192, 0, 2, 1], 4000)),
        )
    };
    let connected = true;
    engine.handle_command(Command::Start(Stream::new(config).unwrap()), now);
    engine.handle_command(Command::Connect { id, connected }, now);
    (engine, now)
}

fn settings(engine: &Engine) -> OpusSettings {
    let stream = engine.streams.iter().flatten().next().unwrap();
    stream.opus_settings().unwrap()
}

/// Runs so many seconds from a moment on.
fn run(engine: &mut Engine, start: Instant, seconds: std::ops::Range<u64>) {
    for n in seconds.start * 200..seconds.end * 200 {
        let now = start + Duration::from_millis(5 * n);
        engine.process(&[0; PERIOD], &mut [0; PERIOD], now);
        while engine.poll_transmit().is_some() {}
        while engine.poll_event().is_some() {}
    }
}

#[test]
fn a_late_period_costs_less_work_until_there_is_time_again() {
    let (mut engine, start) = engine();
    run(&mut engine, start, 0..2);
    assert_eq!(settings(&engine).complexity, BEST_COMPLEXITY);
    engine.handle_late_period();
    let lowered = settings(&engine).complexity;
    assert!(lowered < BEST_COMPLEXITY, "{lowered}");
    run(&mut engine, start, 2..150);
    assert_eq!(settings(&engine).complexity, BEST_COMPLEXITY);
}

/// A receiver report of the far end: it lost this share of our packets, of 256.
fn report(fraction_lost: u8) -> Vec<u8> {
    let mut packet = vec![0x81, 201, 0, 7, 0, 0, 0, 9];
    packet.extend([0, 0, 0, 1, fraction_lost, 0, 0, 9]);
    packet.extend([0; 16]);
    // A report comes with the name of who sends it (RFC 3550 section 6.1).
    packet.extend([0x81, 202, 0, 2, 0, 0, 0, 9, 1, 1, b'x', 0]);
    packet
}

#[test]
fn loss_the_far_end_reports_reaches_libopus() {
    let (mut engine, start) = engine();
    run(&mut engine, start, 0..2);
    let before = settings(&engine);
    let reported = |engine: &mut Engine, fraction: u8| {
        let from = SocketAddr::from(([192, 0, 2, 1], 4000));
        let mut packet = report(fraction);
        let at = start + Duration::from_secs(2);
        engine.handle_packet(StreamId(1), PacketKind::Rtp, from, &mut packet, at);
        settings(engine)
    };
    // 8 %: as much redundancy, and no less sound.
    let some = reported(&mut engine, 21);
    assert_eq!((some.loss_percent, some.bitrate), (8, before.bitrate));
    // A quarter, and again: the way is full.
    reported(&mut engine, 64);
    let full = reported(&mut engine, 64);
    assert_eq!(full.loss_percent, 10);
    assert!(full.bitrate < before.bitrate, "{full:?} after {before:?}");
}
