//! A far end whose clock stands still: it pauses, and its RTP timestamp does not count the pause
//! (hold at some PBXs, announcements, a stalled phone).

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod pair;

use std::time::Duration;

use media::{Codec, MasterKey, Protection, SrtpSuite, StreamStats};
use pair::{Pair, babble, config};

const RATE: u32 = 8_000;
const FRAMES: usize = 40;

fn key(seed: u8) -> MasterKey {
    MasterKey::new(SrtpSuite::AeadAes128Gcm, &[seed; 16], &[seed; 12], &[]).unwrap()
}

fn call(encrypted: bool) -> Pair {
    let mut pair = Pair::new(RATE, FRAMES, 3);
    for side in 0..2 {
        let mut config = config(side, Codec::Pcmu, RATE, FRAMES, pair.start);
        if encrypted {
            config.protection = Protection::Srtp {
                send: key(side as u8),
                receive: key(1 - side as u8),
            };
        }
        pair.start_stream(side, config);
    }
    pair
}

/// The left phone stops for so long, its clock with it, and talks on for a second; what the right
/// one measured then.
fn pause(pair: &mut Pair, length: Duration, speech: &[i16]) -> StreamStats {
    // The right side plays on meanwhile.
    let end = pair.now + length;
    pair.sides[0].next += length;
    while pair.now < end {
        pair.step(|_, _| {}, |_, _| {});
    }
    pair.talk(speech, 1.0);
    pair.stats(1)
}

#[test]
fn a_pause_of_the_far_clock_is_no_delay_and_refuses_no_packet() {
    let speech = babble(RATE, 5.0);
    for encrypted in [false, true] {
        for ms in [300, 700, 1_200, 1_500, 2_500, 4_000, 9_000] {
            let mut pair = call(encrypted);
            pair.talk(&speech, 6.0);
            let before = pair.stats(1);
            // Again and again, as announcements come.
            for round in 1..=3 {
                let after = pause(&mut pair, Duration::from_millis(ms), &speech);
                let case = format!("{ms} ms, round {round}, encrypted: {encrypted}");
                assert_eq!(after.rejected, before.rejected, "{case}: packets refused");
                assert!(
                    after.delay_ms < before.delay_ms + 6.0,
                    "{case}: {} ms of delay after a second, {} before",
                    after.delay_ms,
                    before.delay_ms
                );
                assert_eq!(after.lost, 0, "{case}");
                pair.talk(&speech, 1.0);
            }
        }
    }
}

/// A tone that goes on where it was after whole periods of the card.
fn steady() -> Vec<i16> {
    (0..20)
        .map(|n| ((f64::from(n) * std::f64::consts::TAU / 20.0).cos() * 8_000.0) as i16)
        .collect()
}

/// The largest step from one sample to the next.
fn largest_step(sound: &[i16]) -> i32 {
    let steps = sound.windows(2).map(|w| i32::from(w[1]) - i32::from(w[0]));
    steps.map(i32::abs).max().unwrap_or(0)
}

/// Nothing clicks: neither as the far end falls silent, nor as it is heard again.
#[test]
fn a_pause_of_the_far_clock_is_no_step_of_the_wave() {
    let tone = steady();
    let own = largest_step(&tone);
    for encrypted in [false, true] {
        for ms in [300, 700, 1_500, 4_000] {
            let mut pair = call(encrypted);
            pair.talk(&tone, 6.0);
            for round in 1..=3 {
                let mut heard = Vec::new();
                let end = pair.now + Duration::from_millis(ms);
                pair.sides[0].next += Duration::from_millis(ms);
                while pair.now < end {
                    pair.step(
                        |_, _| {},
                        |side, ear| {
                            if side == 1 {
                                heard.extend_from_slice(ear);
                            }
                        },
                    );
                }
                heard.extend(pair.talk(&tone, 1.0));
                let step = largest_step(&heard);
                let case = format!("{ms} ms, round {round}, encrypted: {encrypted}");
                println!("{case}: {step}, {own} of the tone");
                assert!(step * 2 <= own * 3, "{case}: {step}, {own} of the tone");
                assert!(
                    heard[heard.len() - 800..].iter().any(|x| *x > 7_000),
                    "{case}"
                );
                pair.talk(&tone, 1.0);
            }
        }
    }
}

#[test]
fn a_far_clock_that_jumps_ahead_is_no_delay_and_no_step() {
    let tone = steady();
    let own = largest_step(&tone);
    for encrypted in [false, true] {
        for ms in [300_i64, 700, 1_500, 4_000, 20_000] {
            let mut pair = call(encrypted);
            pair.talk(&tone, 6.0);
            for round in 1..=3 {
                let before = pair.stats(1);
                // Its timestamp counts what never was.
                let engine = &mut pair.sides[0].engine;
                engine.handle_discontinuity(ms * i64::from(RATE) / 1000);
                let heard = pair.talk(&tone, 1.0);
                let (after, step) = (pair.stats(1), largest_step(&heard));
                let case = format!("{ms} ms, round {round}, encrypted: {encrypted}");
                println!("{case}: {step}, {own} of the tone");
                // A packet of another time is a stray one until the next confirms it.
                assert!(
                    after.rejected <= before.rejected + 1,
                    "{case}: {} packets refused",
                    after.rejected - before.rejected
                );
                assert_eq!(after.lost, 0, "{case}");
                assert!(
                    after.delay_ms < before.delay_ms + 6.0,
                    "{case}: {} ms of delay after a second, {} before",
                    after.delay_ms,
                    before.delay_ms
                );
                assert!(step * 2 <= own * 3, "{case}: {step}, {own} of the tone");
                pair.talk(&tone, 1.0);
            }
        }
    }
}

#[test]
fn a_way_that_becomes_longer_refuses_no_packet() {
    let speech = babble(RATE, 5.0);
    for ms in [200.0, 800.0, 1_800.0] {
        let mut pair = call(false);
        pair.talk(&speech, 6.0);
        let before = pair.stats(1);
        pair.set_link(0, pair::link(ms, 0.1));
        pair.talk(&speech, ms / 1000.0 + 1.0);
        let after = pair.stats(1);
        assert_eq!(after.rejected, before.rejected, "{ms} ms: packets refused");
        assert!(
            after.delay_ms < before.delay_ms + 6.0,
            "{ms} ms: {} ms of delay after a second, {} before",
            after.delay_ms,
            before.delay_ms
        );
    }
}
