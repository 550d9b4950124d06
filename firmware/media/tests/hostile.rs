//! Bytes from outside may be anything: nothing but counters changes, and the call goes on.

mod pair;

use std::net::SocketAddr;

use media::{Codec, Event, PacketKind};
use proptest::prelude::*;

use pair::{ID, Pair, Rng, align, babble};

/// A call in which `rubbish` is thrown at the right engine after each of its periods; what its ear
/// hears, and digits or BYEs reported.
fn call_under(
    codec: Codec,
    rate: u32,
    seconds: f64,
    mut rubbish: impl FnMut(&mut Pair),
) -> (Vec<i16>, Pair) {
    let frames = rate as usize / 200;
    let speech = babble(rate, seconds);
    let mut pair = Pair::call(codec, rate, frames, 21);
    let (mut heard, mut at) = (Vec::new(), 0);
    for _ in 0..(seconds * 400.0) as usize {
        let mut right = false;
        pair.step(
            |side, capture| {
                if side == 0 {
                    capture.copy_from_slice(&speech[at % (speech.len() - frames)..][..frames]);
                    at += frames;
                }
            },
            |side, playback| {
                if side == 1 {
                    heard.extend_from_slice(playback);
                    right = true;
                }
            },
        );
        if right {
            rubbish(&mut pair);
        }
    }
    (heard, pair)
}

fn throw(pair: &mut Pair, from: SocketAddr, kind: PacketKind, mut bytes: Vec<u8>) {
    let now = pair.instant();
    pair.sides[1]
        .engine
        .handle_packet(ID, kind, from, &mut bytes, now);
}

/// Share of 100 ms pieces that are found nowhere near where an undisturbed call has them (shifts of
/// the delay are allowed).
fn differing(clean: &[i16], heard: &[i16], rate: u32) -> f64 {
    let (piece, around) = (rate as usize / 10, rate as usize * 8 / 100);
    let (mut differ, mut all) = (0.0, 0.0);
    let mut at = rate as usize;
    while at + piece + around < clean.len().min(heard.len()) {
        let sound = &clean[at..at + piece];
        if sound.iter().any(|v| v.abs() > 1000) {
            let (_, correlation) =
                align(sound, &heard[at - around..at + piece + around], 2 * around);
            differ += f64::from(u8::from(correlation < 0.9));
            all += 1.0;
        }
        at += piece;
    }
    differ / all
}

#[test]
fn mutated_packets_from_the_right_address_leave_the_call_alone() {
    for (codec, rate) in [
        (Codec::Pcmu, 8000),
        (Codec::G722, 16_000),
        (Codec::Opus, 16_000),
    ] {
        let (clean, _) = call_under(codec, rate, 13.0, |_| {});
        let mut random = Rng::new(77);
        let (mut thrown, mut seen) = (0u32, Vec::<Vec<u8>>::new());
        let (heard, mut pair) = call_under(codec, rate, 13.0, |pair| {
            // Real packets of the call to start from, as an attacker on the path would have them.
            seen.append(&mut pair.tapped);
            if seen.len() > 64 {
                seen.drain(..seen.len() - 64);
            }
            let Some(model) = seen.last() else { return };
            for _ in 0..4 {
                let mut bytes = if random.unit() < 0.3 {
                    seen[random.next_u64() as usize % seen.len()].clone()
                } else {
                    model.clone()
                };
                match random.next_u64() % 6 {
                    0 => bytes.truncate(random.next_u64() as usize % bytes.len()),
                    1 => bytes.extend((0..random.next_u64() % 300).map(|n| n as u8)),
                    2 => bytes.iter_mut().for_each(|b| *b = random.next_u64() as u8),
                    _ => {
                        for _ in 0..=random.next_u64() % 4 {
                            let index = random.next_u64() as usize % bytes.len().min(16);
                            bytes[index] = random.next_u64() as u8;
                        }
                    }
                }
                let from = pair.sides[0].address;
                let (from, kind) = if random.unit() < 0.1 {
                    (pair.sides[0].rtcp, PacketKind::Rtcp)
                } else {
                    (from, PacketKind::Rtp)
                };
                throw(pair, from, kind, bytes);
                thrown += 1;
            }
        });
        let stats = pair.stats(1);
        let share = differing(&clean, &heard, rate);
        let reported = pair.sides[1]
            .events
            .iter()
            .filter(|e| matches!(e, Event::Digit { .. }))
            .count();
        eprintln!(
            "{codec:?}: {thrown} thrown, {:.2} % of the sound differs, {reported} digits reported, \
             {stats:?}",
            share * 100.0
        );
        assert!(thrown >= 10_000);
        assert!(stats.rejected > 1000, "{stats:?}");
        // Some forgeries are perfect but for their payload: what they replace is theirs. Never more
        // than a breath of it.
        assert!(share < 0.05, "{} % of the sound differs", share * 100.0);
        assert!(stats.delay_ms < 30.0, "{stats:?}");
        let after = pair.talk(&babble(rate, 2.0), 2.0);
        assert!(after.iter().any(|&v| v.abs() > 3000), "the call is over");
    }
}

#[test]
fn strangers_change_nothing_at_all() {
    let (clean, _) = call_under(Codec::Pcmu, 8000, 13.0, |_| {});
    let mut random = Rng::new(5);
    let (mut last, mut thrown) = (Vec::new(), 0u64);
    let (heard, pair) = call_under(Codec::Pcmu, 8000, 13.0, |pair| {
        if let Some(packet) = pair.tapped.drain(..).next_back() {
            last = packet;
        }
        if last.is_empty() || pair.now.as_secs_f64() < 0.5 {
            return;
        }
        for _ in 0..4 {
            let from = SocketAddr::from((
                [127, 0, 0, (2 + random.next_u64() % 200) as u8],
                4000 + (random.next_u64() % 3) as u16,
            ));
            let kind = if random.next_u64().is_multiple_of(5) {
                PacketKind::Rtcp
            } else {
                PacketKind::Rtp
            };
            // Even perfect packets, of the right source, with the next number.
            let mut bytes = last.clone();
            bytes[3] = bytes[3].wrapping_add((random.next_u64() % 3) as u8);
            throw(pair, from, kind, bytes);
            thrown += 1;
        }
    });
    assert!(thrown >= 9_000);
    assert_eq!(pair.stats(1).rejected, thrown);
    assert!(clean == heard, "a stranger was heard");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None,
        ..ProptestConfig::default() })]

    /// Any bytes, from anywhere, in any order: no panic, bounded figures, and the engine still
    /// plays.
    #[test]
    fn any_bytes_are_survived(packets in prop::collection::vec(
        (prop::collection::vec(any::<u8>(), 0..1600), any::<bool>(), any::<bool>(), any::<bool>()),
        1..80)) {
        let mut pair = Pair::call(Codec::Opus, 16_000, 80, 1);
        for (mut bytes, rtcp, known, plausible) in packets {
            if plausible && bytes.len() > 12 {
                // So that more than the first check is met: version, payload type, source.
                bytes[0] = 0x80;
                bytes[1] = [111, 101, 13, 239, 200, 201, 203][usize::from(bytes[1]) % 7];
                bytes[8..12].copy_from_slice(&[0, 0, 0x11, 0x11]);
            }
            let stranger = SocketAddr::from(([10, 0, 0, bytes.len() as u8], 9));
            let from = if known { pair.sides[0].address } else { stranger };
            throw(&mut pair, from, if rtcp { PacketKind::Rtcp } else { PacketKind::Rtp }, bytes);
            pair.talk(&[0; 160], 0.01);
        }
        let stats = pair.stats(1);
        prop_assert!(stats.mos.is_finite() && (1.0..=4.5).contains(&stats.mos));
        prop_assert!(stats.delay_ms.is_finite() && stats.jitter_ms.is_finite());
    }
}
