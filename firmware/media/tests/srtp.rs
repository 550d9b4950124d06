//! Encrypted calls between two engines: heard as well as in clear, silent to everybody else, and
//! moved by nothing that is not authentic.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod pair;

use std::net::SocketAddr;

use media::{
    Codec, Command, Direction, Encryption, Event, MasterKey, PacketKind, Protection, Protocol,
    SrtpStats, SrtpSuite, Stream, StreamConfig,
};
use testkit::network::{Link, Loss};

use pair::{ID, Pair, Rng, Sent, align, babble, config, lan, link};

const RATE: u32 = 8000;
const FRAMES: usize = 40;
const STRANGER: &str = "192.0.2.66:4000";

fn key(suite: SrtpSuite, seed: u8, mki: &[u8]) -> MasterKey {
    let bytes = |n: usize| {
        (0..n as u8)
            .map(|b| b.wrapping_mul(37) ^ seed)
            .collect::<Vec<_>>()
    };
    MasterKey::new(
        suite,
        &bytes(suite.key_len()),
        &bytes(suite.salt_len()),
        mki,
    )
    .unwrap()
}

/// Keys of a side, where the two sides' seeds are these.
fn protection(suite: SrtpSuite, side: usize, seeds: [u8; 2], mki: &[u8]) -> Protection {
    Protection::Srtp {
        send: key(suite, seeds[side], mki),
        receive: key(suite, seeds[1 - side], mki),
    }
}

fn with(pair: &Pair, side: usize, protection: Protection) -> StreamConfig {
    StreamConfig {
        protection,
        ..config(side, Codec::Pcmu, RATE, FRAMES, pair.start)
    }
}

fn secured(suite: SrtpSuite, mki: &[u8]) -> Pair {
    let mut pair = Pair::new(RATE, FRAMES, 5);
    pair.wiretap = Some(Vec::new());
    for side in 0..2 {
        let config = with(&pair, side, protection(suite, side, [1, 2], mki));
        pair.start_stream(side, config);
    }
    pair
}

fn replace(pair: &mut Pair, side: usize, config: StreamConfig) {
    pair.command(side, Command::Start(Stream::new(config).unwrap()));
}

fn tapped(pair: &mut Pair) -> Vec<Sent> {
    pair.wiretap.replace(Vec::new()).unwrap()
}

/// Hands a datagram to the right engine, now.
fn throw(pair: &mut Pair, from: SocketAddr, mut bytes: Vec<u8>) {
    let now = pair.instant();
    pair.sides[1]
        .engine
        .handle_packet(ID, PacketKind::Rtp, from, &mut bytes, now);
}

fn correlation(speech: &[i16], heard: &[i16], seconds: f64) -> f64 {
    let from = (f64::from(RATE) * seconds) as usize;
    align(&speech[from..from + 4000], &heard[from..], 800).1
}

#[test]
fn every_suite_is_heard_and_measured_and_nothing_goes_in_clear() {
    let speech = babble(RATE, 14.0);
    let mut clear = Pair::call(Codec::Pcmu, RATE, FRAMES, 5);
    clear.wiretap = Some(Vec::new());
    let plain_sound = clear.talk(&speech, 14.0);
    assert_eq!(clear.stats(0).encryption, Encryption::None);
    clear.command(0, Command::Stop(ID));
    clear.talk(&speech, 0.1);
    let plain = tapped(&mut clear);
    for (n, suite) in SrtpSuite::ALL.into_iter().enumerate() {
        let mki = &[&[][..], &[9], &[1, 2, 3, 4]][n % 3];
        let mut pair = secured(suite, mki);
        let heard = pair.talk(&speech, 14.0);
        assert_eq!(
            heard, plain_sound,
            "{suite:?}: the same sound as in clear, sample for sample"
        );
        for side in 0..2 {
            let stats = pair.stats(side);
            assert_eq!(stats.encryption, Encryption::Full(suite));
            let (sent, received) = (pair.sides[1 - side].sent, stats.srtp.protected_received);
            assert!(
                received <= sent && sent <= received + 2,
                "all but what is on its way: {received} of {sent}"
            );
            let wanted = SrtpStats {
                protected_sent: pair.sides[side].sent,
                protected_received: received,
                ..SrtpStats::default()
            };
            assert_eq!((stats.srtp, stats.rejected), (wanted, 0));
        }
        pair.command(0, Command::Stop(ID));
        pair.talk(&speech, 0.1);
        assert!(
            pair.sides[1]
                .events
                .iter()
                .any(|e| matches!(e, Event::Bye(_))),
            "the BYE came, protected"
        );

        let sent = tapped(&mut pair);
        assert!(sent.iter().filter(|s| s.1 == PacketKind::Rtcp).count() >= 4);
        assert_eq!(sent.len(), plain.len());
        for (sealed, plain) in sent.iter().zip(&plain) {
            assert_eq!((sealed.0, sealed.1, sealed.2), (plain.0, plain.1, plain.2));
            let (header, grows) = match sealed.1 {
                PacketKind::Rtp => (12, suite.rtp_tag_len() + mki.len()),
                PacketKind::Rtcp => (8, 4 + suite.rtcp_tag_len() + mki.len()),
            };
            assert_eq!(sealed.3.len(), plain.3.len() + grows);
            assert_eq!(sealed.3[..header], plain.3[..header]);
            let same = sealed.3[header..]
                .iter()
                .zip(&plain.3[header..])
                .filter(|(a, b)| a == b)
                .count();
            assert!(same <= 8, "{suite:?}: {same} bytes are as in clear");
        }
    }
}

#[test]
fn while_keys_are_awaited_nothing_leaves_and_nothing_is_heard() {
    let speech = babble(RATE, 12.0);
    let mut pair = Pair::new(RATE, FRAMES, 5);
    pair.wiretap = Some(Vec::new());
    let (clear, waiting) = (
        with(&pair, 0, Protection::Clear),
        with(&pair, 1, Protection::Waiting),
    );
    pair.start_stream(0, clear);
    pair.start_stream(1, waiting);
    for down in [true, false] {
        pair.command(
            1,
            Command::Dtmf {
                id: ID,
                event: 5,
                down,
            },
        );
        pair.talk(&speech, 0.2);
    }
    let heard = pair.talk(&speech, 8.0);
    assert!(
        heard.iter().all(|&x| x == 0),
        "what comes in clear is not heard"
    );
    let came = tapped(&mut pair);
    assert!(
        came.iter().all(|s| s.0 == 0),
        "not one datagram, RTP or RTCP, of the waiting side"
    );
    let stats = pair.stats(1);
    assert_eq!(stats.encryption, Encryption::Waiting);
    assert_eq!(
        (stats.srtp.clear_dropped, stats.received),
        (came.len() as u64, 0)
    );

    // A handshake is none of the engine's business, and is handed over.
    let mut hello = vec![22, 254, 253];
    hello.extend([7; 60]);
    let from: SocketAddr = STRANGER.parse().unwrap();
    throw(&mut pair, from, hello.clone());
    let foreign = pair.sides[1].engine.poll_non_media().unwrap();
    assert_eq!(
        (
            foreign.stream,
            foreign.socket,
            foreign.from,
            foreign.protocol,
            foreign.bytes
        ),
        (ID, PacketKind::Rtp, from, Protocol::Dtls, &hello[..])
    );

    // No BYE either.
    pair.command(1, Command::Stop(ID));
    pair.talk(&speech, 0.1);
    assert!(tapped(&mut pair).iter().all(|s| s.0 == 0));
}

#[test]
fn keys_that_arrive_open_the_stream() {
    let speech = babble(RATE, 12.0);
    let mut pair = Pair::new(RATE, FRAMES, 5);
    for side in 0..2 {
        let waiting = with(&pair, side, Protection::Waiting);
        pair.start_stream(side, waiting);
    }
    pair.talk(&speech, 2.0);
    let suite = SrtpSuite::AeadAes128Gcm;
    for side in 0..2 {
        let keyed = with(&pair, side, protection(suite, side, [1, 2], &[]));
        replace(&mut pair, side, keyed);
    }
    let heard = pair.talk(&speech, 6.0);
    assert!(correlation(&speech, &heard, 3.0) > 0.95);
    assert_eq!(pair.stats(1).encryption, Encryption::Full(suite));
}

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

/// Hold: no sound goes, but the reports do, protected; what is measured stays true.
#[test]
fn a_held_call_is_measured_by_its_reports() {
    let suite = SrtpSuite::AesCm128HmacSha1_80;
    let speech = babble(RATE, 4.0);
    let mut pair = secured(suite, &[]);
    pair.talk(&speech, 4.0);
    for side in 0..2 {
        let (remote_rtp, remote_rtcp) = (pair.sides[1 - side].address, pair.sides[1 - side].rtcp);
        let direction = Direction::Inactive;
        pair.command(
            side,
            Command::Redirect {
                id: ID,
                remote_rtp,
                remote_rtcp,
                relays: media::Relays::default(),
                signalling: media::SignallingHosts::default(),
                direction,
            },
        );
    }
    tapped(&mut pair);
    for _ in 0..20 {
        pair.talk(&speech, 3.0);
        for side in 0..2 {
            assert_eq!(pair.stats(side).encryption, Encryption::Full(suite));
        }
    }
    assert!(tapped(&mut pair).iter().all(|s| s.1 == PacketKind::Rtcp));
    // The far end is gone: no one proves anything any more.
    pair.command(0, Command::Stop(ID));
    pair.talk(&speech, 20.0);
    assert_eq!(pair.stats(1).encryption, Encryption::Partial);
}

#[test]
fn two_suites_are_no_stream() {
    let pair = Pair::new(RATE, FRAMES, 1);
    let mixed = Protection::Srtp {
        send: key(SrtpSuite::AesCm128HmacSha1_80, 1, &[]),
        receive: key(SrtpSuite::AeadAes128Gcm, 2, &[]),
    };
    let error = Stream::new(with(&pair, 0, mixed)).err().unwrap();
    assert_eq!(
        error.to_string(),
        "a stream sends by AES_CM_128_HMAC_SHA1_80 and receives by AEAD_AES_128_GCM: both \
         directions have one suite"
    );
}

/// Half an hour of real sound in a bad network, three wraps of the sequence number: sample for
/// sample what it is in clear.
#[test]
fn sound_over_wraps_in_a_bad_network_is_what_it_is_in_clear() {
    let suite = SrtpSuite::AesCm128HmacSha1_80;
    let speech = babble(RATE, 20.0);
    let call = |secured: bool| {
        let mut pair = Pair::new(RATE, 80, 9);
        for side in 0..2 {
            let bad = Link {
                loss: Loss::Random(0.02),
                ..link(0.2, 12.0)
            };
            pair.set_link(side, bad);
            let mut config = StreamConfig {
                ptime_ms: 10,
                ..config(side, Codec::Pcmu, RATE, 80, pair.start)
            };
            if secured {
                config.protection = protection(suite, side, [1, 2], &[]);
            }
            pair.start_stream(side, config);
        }
        pair
    };
    let (mut clear, mut sealed) = (call(false), call(true));
    for minute in 0..30 {
        let heard = sealed.talk(&speech, 60.0);
        assert_eq!(heard, clear.talk(&speech, 60.0), "minute {minute}");
        assert!(
            heard.iter().any(|x| x.abs() > 1000),
            "minute {minute} is silent"
        );
        assert_eq!(
            sealed.stats(1).encryption,
            Encryption::Full(suite),
            "minute {minute}"
        );
    }
    let stats = sealed.stats(1);
    assert!(
        stats.srtp.protected_received > 170_000 && stats.srtp.auth_failed == 0,
        "{:?}",
        stats.srtp
    );
}
