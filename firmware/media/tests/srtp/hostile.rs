//! Packets that are not authentic, and rubbish.

use std::net::SocketAddr;

use media::{Encryption, Event, PacketKind, SrtpStats, SrtpSuite, StreamConfig};
use testkit::network::{Link, Loss};

use crate::pair::{Pair, Rng, babble, lan};
use crate::{FRAMES, RATE, STRANGER, protection, secured, tapped, throw, with};

/// Case S10 of the security cases: clear RTP, wrong tags, replays, and a wrap with loss, all at
/// once.
#[test]
fn what_is_not_authentic_changes_nothing() {
    for suite in SrtpSuite::ALL {
        let speech = babble(RATE, 10.0);
        // The sequence begins at 65 500: it wraps within the first second.
        let mut calm = secured(suite, &[]);
        let mut pair = secured(suite, &[]);
        for pair in [&mut calm, &mut pair] {
            let lossy = Link {
                loss: Loss::Random(0.03),
                ..lan()
            };
            pair.set_link(0, lossy);
        }
        let undisturbed = calm.talk(&speech, 10.0);
        let far = pair.sides[0].address;
        let (mut heard, mut old, mut at) = (Vec::new(), Vec::<Vec<u8>>::new(), 0);
        let (mut thrown, mut turned) = (SrtpStats::default(), 0);
        while heard.len() < undisturbed.len() {
            let mut right = false;
            pair.step(
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
                        right = true;
                    }
                },
            );
            // What arrived is known to the attacker from now on.
            old.append(&mut pair.tapped);
            let Some(last) = old.last().filter(|_| right).cloned() else {
                continue;
            };
            for from in [far, STRANGER.parse().unwrap()] {
                // In clear, with the header the far end would use next: sound of another.
                let sequence = u16::from_be_bytes([last[2], last[3]])
                    .wrapping_add(1)
                    .to_be_bytes();
                let clear = [&last[..2], &sequence, &last[4..12], &[0x80; 160]].concat();
                throw(&mut pair, from, clear);
                thrown.clear_dropped += 1;
                // Wrong in one bit: of the tag, of the payload, of a number a turn ahead.
                for (index, bit) in [(last.len() - 1, 1), (20, 0x80), (2, 0x80), (8, 1)] {
                    let mut wrong = last.clone();
                    wrong[index] ^= bit;
                    throw(&mut pair, from, wrong);
                }
                thrown.auth_failed += 3;
                // Half a turn back it is too old before its tag is looked at, half a turn ahead its
                // tag is wrong.
                turned += 1;
                throw(&mut pair, from, last.clone());
                throw(&mut pair, from, old[old.len() / 2].clone());
                throw(&mut pair, from, old[0].clone());
                thrown.replayed += 3;
            }
        }
        assert_eq!(heard, undisturbed, "{suite:?}: not one sample is another");
        let (stats, before) = (pair.stats(1), calm.stats(1));
        assert!(thrown.replayed > 10_000, "{thrown:?}");
        assert_eq!(
            stats.srtp.auth_failed + stats.srtp.replayed + stats.srtp.clear_dropped,
            thrown.auth_failed + thrown.replayed + thrown.clear_dropped + turned,
            "{:?} of {thrown:?}",
            stats.srtp
        );
        assert!(
            stats.srtp.clear_dropped >= thrown.clear_dropped
                && stats.srtp.replayed >= thrown.replayed
        );
        assert_eq!(
            stats.srtp.protected_received,
            before.srtp.protected_received
        );
        assert_eq!(
            (stats.received, stats.lost, stats.duplicate),
            (before.received, before.lost, before.duplicate)
        );
        assert_eq!(stats.encryption, Encryption::Full(suite));
        let sent = tapped(&mut pair);
        let to = [far, pair.sides[0].rtcp];
        assert!(
            sent.iter().filter(|s| s.0 == 1).all(|s| to.contains(&s.2)),
            "and ours go where they went"
        );
    }
}

/// Behind a NAT packets come from elsewhere: authentic ones move where ours go, anything else does
/// not.
#[test]
fn only_authentic_packets_move_the_latch() {
    let suite = SrtpSuite::AesCm128HmacSha1_80;
    let speech = babble(RATE, 4.0);
    let nat: SocketAddr = "198.51.100.7:9999".parse().unwrap();
    let stranger: SocketAddr = STRANGER.parse().unwrap();
    for learns in [true, false] {
        let mut far = secured(suite, &[]);
        far.talk(&speech, 1.0);
        let genuine: Vec<Vec<u8>> = tapped(&mut far)
            .into_iter()
            .filter(|s| s.0 == 0 && s.1 == PacketKind::Rtp)
            .map(|s| s.3)
            .collect();
        let mut pair = Pair::new(RATE, FRAMES, 5);
        pair.wiretap = Some(Vec::new());
        let near = StreamConfig {
            latching: learns,
            ..with(&pair, 1, protection(suite, 1, [1, 2], &[]))
        };
        pair.start_stream(1, near);
        let goes_to = |pair: &mut Pair| {
            pair.talk(&speech, 0.1);
            tapped(pair)
                .iter()
                .rev()
                .find(|s| s.1 == PacketKind::Rtp)
                .map(|s| s.2)
        };
        let negotiated = pair.sides[0].address;
        // Forged from the genuine, with numbers in a row, and in clear.
        for packet in &genuine[..20] {
            let mut forged = packet.clone();
            forged[30] ^= 1;
            throw(&mut pair, stranger, forged);
            throw(&mut pair, stranger, packet[..172].to_vec());
        }
        assert_eq!(goes_to(&mut pair), Some(negotiated));
        for packet in &genuine[..20] {
            throw(&mut pair, nat, packet.clone());
        }
        assert_eq!(
            goes_to(&mut pair),
            Some(if learns { nat } else { negotiated })
        );
        assert_eq!(pair.stats(1).received > 0, learns);
        // The same packets from elsewhere are replays, and move nothing any more.
        for packet in &genuine[..20] {
            throw(&mut pair, stranger, packet.clone());
        }
        assert_eq!(
            goes_to(&mut pair),
            Some(if learns { nat } else { negotiated })
        );
        assert_eq!(pair.stats(1).srtp.replayed, 20);
    }
}

/// Anything at all, from anywhere, of any length: no one's key made it, so nothing comes of it.
#[test]
fn rubbish_changes_nothing() {
    let speech = babble(RATE, 4.0);
    for suite in [SrtpSuite::AesCm128HmacSha1_32, SrtpSuite::AeadAes128Gcm] {
        let (mut calm, mut pair) = (secured(suite, &[7]), secured(suite, &[7]));
        let mut random = Rng::new(4);
        for round in 0..20 {
            for _ in 0..300 {
                let mut bytes: Vec<u8> = (0..random.next_u64() % 1500)
                    .map(|_| random.next_u64() as u8)
                    .collect();
                // Half of it begins like RTP or RTCP of the far end.
                let start = [
                    0x80,
                    [0, 8, 200, 201, 203][random.next_u64() as usize % 5],
                    0,
                    1,
                ];
                if random.unit() < 0.5 && bytes.len() > 12 {
                    bytes[..4].copy_from_slice(&start);
                    bytes[8..12].copy_from_slice(&0x1111u32.to_be_bytes());
                }
                let from = if random.unit() < 0.5 {
                    pair.sides[0].address
                } else {
                    STRANGER.parse().unwrap()
                };
                throw(&mut pair, from, bytes);
            }
            assert_eq!(
                pair.talk(&speech, 0.5),
                calm.talk(&speech, 0.5),
                "round {round}"
            );
        }
        let (stats, before) = (pair.stats(1), calm.stats(1));
        assert_eq!(
            stats.srtp.protected_received,
            before.srtp.protected_received
        );
        assert!(
            stats.rejected > 4000 && stats.received == before.received,
            "{stats:?}"
        );
        assert!(
            pair.sides[1]
                .events
                .iter()
                .all(|e| !matches!(e, Event::Bye(_) | Event::Digit { .. }))
        );
    }
}
