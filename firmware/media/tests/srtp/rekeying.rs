//! New keys, the same keys again, and another source.

use media::{Encryption, PacketKind, SrtpSuite, StreamConfig};

use crate::pair::babble;
use crate::{RATE, correlation, protection, replace, secured, tapped, throw, with};

#[test]
fn a_stream_replaced_with_the_same_keys_goes_on() {
    let suite = SrtpSuite::AesCm256HmacSha1_80;
    let speech = babble(RATE, 12.0);
    let mut pair = secured(suite, &[]);
    let mut heard = pair.talk(&speech, 3.0);
    let old = tapped(&mut pair);
    for side in 0..2 {
        let same = with(&pair, side, protection(suite, side, [1, 2], &[]));
        replace(&mut pair, side, same);
    }
    for sent in old.iter().filter(|s| s.0 == 0 && s.1 == PacketKind::Rtp) {
        let from = pair.sides[0].address;
        throw(&mut pair, from, sent.3.clone());
    }
    assert_eq!(
        pair.stats(1).encryption,
        Encryption::Full(suite),
        "what was proven stays proven"
    );
    heard.extend(pair.talk(&speech[3 * RATE as usize..], 6.0));
    assert!(correlation(&speech, &heard, 6.0) > 0.95);
    let stats = pair.stats(1);
    assert_eq!(
        (stats.srtp.auth_failed, stats.srtp.clear_dropped, stats.lost),
        (0, 0, 0)
    );
    assert!(stats.srtp.replayed >= 100, "{:?}", stats.srtp);
    // One sequence, one key stream: no number of the far end's was protected twice.
    let mut numbers: Vec<[u8; 2]> = old
        .iter()
        .chain(&tapped(&mut pair))
        .filter(|s| s.0 == 0 && s.1 == PacketKind::Rtp)
        .map(|s| [s.3[2], s.3[3]])
        .collect();
    let count = numbers.len();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), count);
}

#[test]
fn new_keys_take_over_and_the_old_ones_open_nothing() {
    let speech = babble(RATE, 12.0);
    let mut pair = secured(SrtpSuite::AesCm128HmacSha1_80, &[]);
    pair.talk(&speech, 3.0);
    let from = pair.sides[0].address;
    // What is on its way while both change keys is lost; nothing may be heard of it.
    let suite = SrtpSuite::AeadAes256Gcm;
    for side in 0..2 {
        let new = StreamConfig {
            ssrc: 0x77 + side as u32,
            ..with(&pair, side, protection(suite, side, [3, 4], &[]))
        };
        replace(&mut pair, side, new);
    }
    assert_eq!(
        pair.stats(1).encryption,
        Encryption::Partial,
        "new keys prove themselves again"
    );
    let old = tapped(&mut pair);
    for sent in old.iter().filter(|s| s.0 == 0 && s.1 == PacketKind::Rtp) {
        throw(&mut pair, from, sent.3.clone());
    }
    let stats = pair.stats(1);
    assert!(
        stats.srtp.auth_failed > 100 && stats.srtp.replayed == 0,
        "{:?}",
        stats.srtp
    );
    let heard = pair.talk(&speech[3 * RATE as usize..], 6.0);
    assert!(correlation(&speech[3 * RATE as usize..], &heard, 3.0) > 0.95);
    for side in 0..2 {
        assert_eq!(pair.stats(side).encryption, Encryption::Full(suite));
    }
}

/// The same keys, another source and other numbers, as after a change of codec at the far end or a
/// box in between.
#[test]
fn a_far_end_that_becomes_another_source_is_heard_on() {
    let suite = SrtpSuite::AesCm128HmacSha1_80;
    let speech = babble(RATE, 12.0);
    let mut pair = secured(suite, &[]);
    pair.talk(&speech, 2.0);
    for (n, first_sequence) in [40_000, 65_530, 3, 40_000].into_iter().enumerate() {
        let other = StreamConfig {
            ssrc: 0x5000 + n as u32,
            first_sequence,
            first_timestamp: 1_000_000 * n as u32,
            ..with(&pair, 0, protection(suite, 0, [1, 2], &[]))
        };
        replace(&mut pair, 0, other);
        let heard = pair.talk(&speech, 4.0);
        assert!(correlation(&speech, &heard, 2.0) > 0.95, "source {n}");
    }
    let stats = pair.stats(1);
    assert_eq!(
        (
            stats.srtp.auth_failed,
            stats.srtp.replayed,
            stats.srtp.clear_dropped
        ),
        (0, 0, 0)
    );
    // What the earlier sources sent is remembered, and comes to nothing.
    let from = pair.sides[0].address;
    for sent in tapped(&mut pair)
        .iter()
        .filter(|s| s.0 == 0 && s.1 == PacketKind::Rtp)
    {
        throw(&mut pair, from, sent.3.clone());
    }
    let after = pair.stats(1);
    assert!(
        after.srtp.replayed > 800 && after.received == stats.received,
        "{:?}",
        after.srtp
    );
}
