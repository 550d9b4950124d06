//! Handshakes with somebody who cheats: who shows a certificate that is not his, who sends what no
//! handshake has, who never stops.

use std::collections::VecDeque;
use std::time::Instant;

use sip::media_security::Setup;

use super::handshake::{Handshake, HandshakeError, HandshakeFactory};
use super::record_filter::tests::{fragment, record};
use crate::credentials::Credentials;

const HANDSHAKE: u8 = 22;
const CERTIFICATE_VERIFY: u8 = 15;

fn factory(credentials: Credentials) -> HandshakeFactory {
    HandshakeFactory::new(credentials).unwrap()
}

/// Two ends that talk until neither has anything more to say.
struct Pair {
    active: Handshake,
    passive: Handshake,
    to_passive: VecDeque<Vec<u8>>,
    to_active: VecDeque<Vec<u8>>,
    now: Instant,
}

impl Pair {
    fn new(active: &HandshakeFactory, passive: &HandshakeFactory) -> Self {
        let now = crate::test_origin();
        let (mut to_passive, mut to_active) = (VecDeque::new(), VecDeque::new());
        Self {
            active: Handshake::new(active, Setup::Active, now, &mut to_passive).unwrap(),
            passive: Handshake::new(passive, Setup::Passive, now, &mut to_active).unwrap(),
            to_passive,
            to_active,
            now,
        }
    }

    /// What each end came to: an error ends it. Every datagram goes through `change` first, and
    /// what that makes of it arrives.
    fn run(
        &mut self,
        mut change: impl FnMut(Vec<u8>) -> Vec<Vec<u8>>,
    ) -> (Result<(), HandshakeError>, Result<(), HandshakeError>) {
        let (mut active, mut passive) = (Ok(()), Ok(()));
        while !(self.to_passive.is_empty() && self.to_active.is_empty()) {
            for datagram in std::mem::take(&mut self.to_passive)
                .into_iter()
                .flat_map(&mut change)
            {
                if passive.is_ok() {
                    passive =
                        self.passive
                            .handle_datagram(&datagram, self.now, &mut self.to_active);
                }
            }
            for datagram in std::mem::take(&mut self.to_active)
                .into_iter()
                .flat_map(&mut change)
            {
                if active.is_ok() {
                    active = self
                        .active
                        .handle_datagram(&datagram, self.now, &mut self.to_passive);
                }
            }
        }
        (active, passive)
    }
}

/// The records of a datagram.
fn records(mut datagram: &[u8]) -> Vec<&[u8]> {
    let mut found = Vec::new();
    while datagram.len() >= 13 {
        let (one, rest) =
            datagram.split_at(13 + usize::from(u16::from_be_bytes([datagram[11], datagram[12]])));
        found.push(one);
        datagram = rest;
    }
    found
}

#[test]
fn certificate_without_its_key_gets_no_keys() {
    let (honest, robbed, thief) = (
        Credentials::make().unwrap(),
        Credentials::make().unwrap(),
        Credentials::make().unwrap(),
    );
    let stolen = factory(robbed.with_key_of(&thief));
    let honest = factory(honest);
    // The thief is called: his signature over the key exchange does not fit the certificate.
    let mut pair = Pair::new(&honest, &stolen);
    let (active, _) = pair.run(|datagram| vec![datagram]);
    assert_eq!(
        pair.active.certificate(),
        Some(robbed.certificate()),
        "it was shown"
    );
    assert!(active.is_err() && pair.active.take_secrets().is_none());
    // The thief calls: his CertificateVerify does not.
    let mut pair = Pair::new(&stolen, &honest);
    let (_, passive) = pair.run(|datagram| vec![datagram]);
    assert_eq!(pair.passive.certificate(), Some(robbed.certificate()));
    assert!(passive.is_err() && pair.passive.take_secrets().is_none());
    // Or he sends none.
    let mut pair = Pair::new(&stolen, &honest);
    let mut left_out = 0;
    let (_, _) = pair.run(|datagram| {
        let kept = records(&datagram).into_iter().filter(|record| {
            let verify = record[0] == HANDSHAKE
                && record[3..5] == [0, 0]
                && record[13] == CERTIFICATE_VERIFY;
            left_out += u32::from(verify);
            !verify
        });
        vec![kept.collect::<Vec<_>>().concat()]
    });
    assert!(left_out > 0 && pair.passive.take_secrets().is_none());
    // The same two ends with a certificate and its key.
    let mut pair = Pair::new(&factory(robbed), &honest);
    assert_eq!(pair.run(|datagram| vec![datagram]), (Ok(()), Ok(())));
    assert!(pair.active.take_secrets().is_some() && pair.passive.take_secrets().is_some());
}

#[test]
fn forged_datagrams_do_not_end_a_handshake() {
    let ends = [
        factory(Credentials::make().unwrap()),
        factory(Credentials::make().unwrap()),
    ];
    let mut pair = Pair::new(&ends[0], &ends[1]);
    let fragment = record(HANDSHAKE, 0, &fragment(300, 11, 7, 3, b"abc"));
    let forged = [
        record(21, 0, &[2, 40]),
        [&fragment[..], &record(21, 0, &[2, 40])].concat(),
        [&fragment[..], &record(23, 0, b"data in clear")].concat(),
        [&fragment[..], &[22, 254, 253, 0, 0]].concat(),
        record(20, 0, &[9]),
        record(24, 0, b"?"),
        vec![22; 700],
    ];
    let outcome = pair.run(|datagram| {
        forged
            .iter()
            .cloned()
            .chain([datagram])
            .chain(forged.iter().cloned())
            .collect()
    });
    assert_eq!(outcome, (Ok(()), Ok(())));
    assert!(pair.active.take_secrets().is_some() && pair.passive.take_secrets().is_some());
}

#[test]
fn chain_of_empty_fragments_is_not_followed() {
    let ends = [
        factory(Credentials::make().unwrap()),
        factory(Credentials::make().unwrap()),
    ];
    let mut pair = Pair::new(&ends[0], &ends[1]);
    // Each says that it is one byte of sixteen million, and brings none. The first comes last:
    // 31200 calls deep, where the library is let.
    let mut numbers = 1_000_u64..;
    for n in (0..12).rev() {
        let chain = (n * 2_600..(n + 1) * 2_600).rev().map(|offset| {
            let mut one = record(HANDSHAKE, 0, &fragment(0x00ff_ffff, 0, offset, 1, b""));
            one[5..11].copy_from_slice(&numbers.next().unwrap().to_be_bytes()[2..]);
            one
        });
        let datagram = chain.collect::<Vec<_>>().concat();
        assert!(datagram.len() < 65_535);
        pair.passive
            .handle_datagram(&datagram, pair.now, &mut pair.to_active)
            .unwrap();
    }
    assert_eq!(pair.run(|datagram| vec![datagram]), (Ok(()), Ok(())));
    assert!(pair.passive.take_secrets().is_some());
}

/// Datagrams as long as can be, of fragments that hang together one by one: the library would
/// follow them, each by a call of itself.
fn chains(large: bool) -> impl Iterator<Item = Vec<u8>> {
    let per_datagram = if large { 2_400 } else { 50 };
    (0..).map(move |n: u32| {
        let one = |m: u32| {
            record(
                HANDSHAKE,
                0,
                &fragment(12_000, 1, (n * per_datagram + m) % 12_000, 1, b"x"),
            )
        };
        (0..per_datagram).map(one).collect::<Vec<_>>().concat()
    })
}

#[test]
fn flood_ends_only_an_unfinished_handshake() {
    let ends = [
        factory(Credentials::make().unwrap()),
        factory(Credentials::make().unwrap()),
    ];
    for large in [false, true] {
        // Before: an error, after a bounded number of datagrams.
        let mut pair = Pair::new(&ends[0], &ends[1]);
        let hello = pair.to_passive.pop_front().unwrap();
        pair.passive
            .handle_datagram(&hello, pair.now, &mut pair.to_active)
            .unwrap();
        let mut count = 0;
        let ended = chains(large).take(10_000).find_map(|datagram| {
            count += 1;
            pair.passive
                .handle_datagram(&datagram, pair.now, &mut pair.to_active)
                .err()
        });
        assert!(ended.is_some() && count < 10, "{ended:?} after {count}");
        assert!(pair.to_active.len() < 4, "{} answers", pair.to_active.len());
    }
    // What is sealed, or looks so, waits for keys: not without end either.
    let mut pair = Pair::new(&ends[0], &ends[1]);
    let sealed = record(HANDSHAKE, 1, &[7; 1200]);
    let taken = (0..10_000)
        .take_while(|_| {
            pair.passive
                .handle_datagram(&sealed, pair.now, &mut pair.to_active)
                .is_ok()
        })
        .count();
    assert!(taken * sealed.len() < 128 * 1024, "{taken}");
    // After: no error, no answer to speak of, and the keys are what they were.
    let mut pair = Pair::new(&ends[0], &ends[1]);
    let mut seen = Vec::new();
    let outcome = pair.run(|datagram| {
        seen.push(datagram.clone());
        vec![datagram]
    });
    assert_eq!(outcome, (Ok(()), Ok(())));
    for datagram in chains(false)
        .take(200)
        .chain(seen.into_iter().cycle().take(2_000))
    {
        pair.passive
            .handle_datagram(&datagram, pair.now, &mut pair.to_active)
            .unwrap();
        pair.active
            .handle_datagram(&datagram, pair.now, &mut pair.to_passive)
            .unwrap();
    }
    assert!(
        pair.to_active.len() + pair.to_passive.len() < 60,
        "{} and {} answers",
        pair.to_active.len(),
        pair.to_passive.len()
    );
    let (a, p) = (
        pair.active.take_secrets().unwrap().unwrap(),
        pair.passive.take_secrets().unwrap().unwrap(),
    );
    assert_eq!((a.send, a.receive), (p.receive, p.send));
}

/// The signature schemes a message offers: the extension `signature_algorithms` (13) of a hello, or
/// what a request for a certificate has.
fn schemes(bytes: &[u8]) -> Vec<[u8; 2]> {
    // Found by its beginning: a length, then ECDSA with SHA-256, which is always first.
    let index = bytes.windows(4).position(|window| {
        window[0] == 0 && window[1] % 2 == 0 && window[1] < 32 && window[2..] == [4, 3]
    });
    let index = index.expect("schemes are offered");
    let length = usize::from(bytes[index + 1]);
    bytes[index + 2..][..length]
        .chunks_exact(2)
        .map(|scheme| [scheme[0], scheme[1]])
        .collect()
}

#[test]
fn neither_side_offers_weak_signatures() {
    let ends = [
        factory(Credentials::make().unwrap()),
        factory(Credentials::make().unwrap()),
    ];
    let mut pair = Pair::new(&ends[0], &ends[1]);
    let (mut hellos, mut requests) = (0, 0);
    let (_, _) = pair.run(|datagram| {
        for record in records(&datagram)
            .into_iter()
            .filter(|record| record[0] == HANDSHAKE && record[3..5] == [0, 0])
        {
            match record[13] {
                1 => hellos += 1,
                13 => requests += 1,
                _ => continue,
            }
            let offered = schemes(record);
            assert!(offered.len() >= 3, "{offered:?}");
            // The first byte is the hash: 1 is MD5, 2 is SHA-1, 3 is SHA-224.
            assert!(offered.iter().all(|scheme| scheme[0] >= 4), "{offered:?}");
        }
        vec![datagram]
    });
    assert!(hellos == 2 && requests == 1, "{hellos} {requests}");
}
