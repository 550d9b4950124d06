//! Encrypted calls between two engines: heard as well as in clear, silent to everybody else, and
//! moved by nothing that is not authentic.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod hostile;
#[path = "../pair/mod.rs"]
mod pair;
mod rekeying;

use std::net::SocketAddr;

use media::{
    Codec, Command, Direction, Encryption, Event, MasterKey, PacketKind, Protection, Protocol,
    SrtpStats, SrtpSuite, Stream, StreamConfig,
};
use testkit::network::{Link, Loss};

use pair::{ID, Pair, Sent, align, babble, config, link};

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
