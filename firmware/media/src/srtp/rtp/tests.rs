//! Packets against published ones, around the wraps of the sequence number, and against everything
//! that wants in.

use proptest::prelude::*;
use types::SrtpSuite;

use super::*;
use crate::srtp::replay::WINDOW;
use crate::srtp::test_vectors::published;

fn master(suite: SrtpSuite, seed: u8, mki: &[u8]) -> MasterKey {
    let key: Vec<u8> = (0..suite.key_len() as u8)
        .map(|n| n.wrapping_mul(7) ^ seed)
        .collect();
    let salt: Vec<u8> = (0..suite.salt_len() as u8)
        .map(|n| n.wrapping_mul(13) ^ seed)
        .collect();
    MasterKey::new(suite, &key, &salt, mki).unwrap()
}

fn rtp(ssrc: u32, sequence: u16, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x80, 0];
    packet.extend(sequence.to_be_bytes());
    packet.extend(u32::from(sequence).wrapping_mul(160).to_be_bytes());
    packet.extend(ssrc.to_be_bytes());
    packet.extend(payload);
    packet
}

/// Protects a copy.
fn protect(sender: &mut Sender, packet: &[u8]) -> Result<Vec<u8>, Spent> {
    let mut buffer = packet.to_vec();
    buffer.resize(packet.len() + sender.overhead(), 0xEE);
    let length = sender.protect(&mut buffer, packet.len())?;
    assert_eq!(length, buffer.len());
    Ok(buffer)
}

fn unprotect(receiver: &mut Receiver, packet: &[u8]) -> Result<Vec<u8>, Refusal> {
    let mut packet = packet.to_vec();
    let length = receiver.unprotect(&mut packet)?;
    packet.truncate(length);
    Ok(packet)
}

fn pair(suite: SrtpSuite, mki: &[u8]) -> (Sender, Receiver) {
    let master = master(suite, 3, mki);
    (Sender::new(&master), Receiver::new(&master))
}

#[test]
fn packets_as_published() {
    let test = "srtp::rtp::packets_as_published";
    for packet in published(test, "rtp_plain", "srtp").unwrap_or_default() {
        let (mut sender, mut receiver) =
            (Sender::new(&packet.master), Receiver::new(&packet.master));
        let protected = protect(&mut sender, &packet.clear);
        assert_eq!(protected.as_ref(), Ok(&packet.protected), "{}", packet.id);
        let clear = unprotect(&mut receiver, &packet.protected);
        assert_eq!(clear.as_ref(), Ok(&packet.clear), "{}", packet.id);
    }
}

#[test]
fn three_wraps_with_loss_and_disorder_at_each() {
    for suite in SrtpSuite::ALL {
        for mki in [&[][..], &[9], &[1, 2, 3, 4]] {
            let (mut sender, mut receiver) = pair(suite, mki);
            let mut wire: Vec<(usize, Vec<u8>, Vec<u8>)> = Vec::new();
            let mut sequence = 65_000u16;
            let mut n = 0;
            while n < 3 * 65_536 {
                let near = sequence.wrapping_add(40) < 80;
                let clear = rtp(5, sequence, &[n as u8; 20]);
                let sealed = protect(&mut sender, &clear).unwrap();
                // Far from the wrap every 300th is enough; near it, one in five is lost and the
                // rest comes in any order.
                if near && n % 5 != 0 {
                    wire.push((n + (n * 7919) % 30, sealed, clear));
                } else if n % 300 == 0 {
                    wire.push((n, sealed, clear));
                }
                sequence = sequence.wrapping_add(1);
                n += 1;
            }
            wire.sort_by_key(|w| w.0);
            for (at, sealed, clear) in &wire {
                assert_eq!(
                    unprotect(&mut receiver, sealed).as_ref(),
                    Ok(clear),
                    "{suite:?} at {at}"
                );
                assert_eq!(unprotect(&mut receiver, sealed), Err(Refusal::Replayed));
            }
            assert_eq!(receiver.rollovers(), 3);
        }
    }
}

#[test]
fn a_first_packet_after_the_first_wrap_is_found() {
    let (mut sender, mut receiver) = pair(SrtpSuite::AesCm128HmacSha1_80, &[]);
    protect(&mut sender, &rtp(5, 65_535, &[1])).unwrap();
    let late = protect(&mut sender, &rtp(5, 0, &[2])).unwrap();
    assert!(unprotect(&mut receiver, &late).is_ok());
    assert_eq!(receiver.rollovers(), 1);
}

#[test]
fn a_new_key_finds_a_rollover_counter_that_went_on() {
    for (kept, found) in [
        (0, true),
        (1, true),
        (2, false),
        (8, false),
        (9, true),
        (10, true),
        (11, false),
    ] {
        let (mut sender, mut receiver) = pair(SrtpSuite::AesCm128HmacSha1_80, &[]);
        sender.set_index(5, kept << 16 | 7);
        receiver.set_earlier(9);
        let packet = protect(&mut sender, &rtp(5, 8, &[2])).unwrap();
        assert_eq!(unprotect(&mut receiver, &packet).is_ok(), found, "{kept}");
    }
}

#[test]
fn an_outage_of_hours_ends() {
    let (mut sender, mut receiver) = pair(SrtpSuite::AesCm128HmacSha1_80, &[]);
    let mut index = 100u64;
    let packet = protect(&mut sender, &rtp(5, index as u16, &[1])).unwrap();
    assert!(unprotect(&mut receiver, &packet).is_ok());
    for outage in [20_000u64, 33_000, 40_000, 65_530, 70_000, 300_000, 500_000] {
        index += outage;
        sender.set_index(5, index);
        let mut tries = 0;
        loop {
            index += 1;
            let clear = rtp(5, index as u16, &[tries as u8]);
            let packet = protect(&mut sender, &clear).unwrap();
            if unprotect(&mut receiver, &packet) == Ok(clear) {
                break;
            }
            tries += 1;
            assert!(
                tries < LOST_AFTER + 2 * LOST_ROLLOVERS,
                "after {outage} packets lost"
            );
        }
        assert_eq!(u64::from(receiver.rollovers()), index >> 16);
    }
}

#[test]
fn a_replay_is_refused_however_old() {
    let (mut sender, mut receiver) = pair(SrtpSuite::AeadAes128Gcm, &[]);
    let packets: Vec<_> = (0..2000u16)
        .map(|s| protect(&mut sender, &rtp(5, s, &[1, 2])).unwrap())
        .collect();
    for packet in packets
        .iter()
        .filter(|p| p[3] % 2 == 0)
        .chain(packets.last())
    {
        assert!(unprotect(&mut receiver, packet).is_ok());
    }
    for packet in packets.iter().filter(|p| p[3] % 2 == 0) {
        assert_eq!(unprotect(&mut receiver, packet), Err(Refusal::Replayed));
    }
    // What was late is still taken, as far as the window goes.
    let late = packets
        .iter()
        .filter(|p| unprotect(&mut receiver, p).is_ok())
        .count();
    assert_eq!(late, WINDOW as usize / 2 - 1);
}

#[test]
fn forgeries_move_nothing() {
    for suite in SrtpSuite::ALL {
        let (mut sender, mut receiver) = pair(suite, &[]);
        let first = protect(&mut sender, &rtp(5, 65_000, &[1; 30])).unwrap();
        assert!(unprotect(&mut receiver, &first).is_ok());
        // Sequence numbers all over, to drag the estimate away; sources to fill the table.
        for n in 0..200_000u32 {
            let mut forged = first.clone();
            forged[2..4].copy_from_slice(&(n.wrapping_mul(40_503) as u16).to_be_bytes());
            if n % 2 == 0 {
                forged[8..12].copy_from_slice(&n.to_be_bytes());
            }
            if n % 1000 == 0 {
                assert!(unprotect(&mut receiver, &forged).is_err());
            } else {
                let last = forged.len() - 1;
                forged[last] ^= 1;
                assert!(receiver.unprotect(&mut forged).is_err());
            }
        }
        assert_eq!(receiver.sources.len(), 1);
        for sequence in (65_001..=65_535).chain(0..5) {
            let clear = rtp(5, sequence, &[2; 30]);
            let packet = protect(&mut sender, &clear).unwrap();
            assert_eq!(
                unprotect(&mut receiver, &packet),
                Ok(clear),
                "{suite:?} {sequence}"
            );
        }
    }
}

#[test]
fn a_new_source_begins_again_and_the_old_is_kept() {
    let (mut sender, mut receiver) = pair(SrtpSuite::AesCm128HmacSha1_80, &[]);
    let mut old = Vec::new();
    for ssrc in 0..MAX_SOURCES as u32 {
        let packet = protect(&mut sender, &rtp(ssrc, 7, &[1])).unwrap();
        assert!(unprotect(&mut receiver, &packet).is_ok());
        old.push(packet);
    }
    for packet in &old {
        assert_eq!(unprotect(&mut receiver, packet), Err(Refusal::Replayed));
    }
    assert_eq!(
        protect(&mut sender, &rtp(999, 7, &[1])),
        Err(Spent),
        "one source too many is not sent"
    );
    let (mut other, _) = pair(SrtpSuite::AesCm128HmacSha1_80, &[]);
    let packet = protect(&mut other, &rtp(999, 7, &[1])).unwrap();
    assert_eq!(
        unprotect(&mut receiver, &packet),
        Err(Refusal::TooManySources)
    );
    let packet = protect(&mut sender, &rtp(3, 8, &[1])).unwrap();
    assert!(
        unprotect(&mut receiver, &packet).is_ok(),
        "the known ones go on"
    );
}

#[test]
fn no_key_stream_is_used_twice() {
    for suite in SrtpSuite::ALL {
        let (mut sender, _) = pair(suite, &[]);
        protect(&mut sender, &rtp(5, 100, &[1])).unwrap();
        for sequence in [100, 99, 0, 65_535] {
            assert_eq!(
                protect(&mut sender, &rtp(5, sequence, &[2])),
                Err(Spent),
                "{suite:?} {sequence}"
            );
        }
        assert!(protect(&mut sender, &rtp(5, 101, &[1])).is_ok());
        sender.set_index(5, LAST_INDEX - 1);
        assert!(
            protect(&mut sender, &rtp(5, 65_535, &[1])).is_ok(),
            "the very last"
        );
        for sequence in [0, 1, 100, 65_535] {
            assert_eq!(
                protect(&mut sender, &rtp(5, sequence, &[2])),
                Err(Spent),
                "{suite:?}: 2^48 packets are all"
            );
        }
    }
}

#[test]
fn headers_with_sources_and_extensions_stay_in_clear() {
    for suite in SrtpSuite::ALL {
        let (mut sender, mut receiver) = pair(suite, &[7, 7]);
        let mut clear = rtp(5, 1, &[]);
        clear[0] = 0x93;
        clear.extend([1; 12]);
        clear.extend([0xBE, 0xDE, 0, 2]);
        clear.extend([2; 8]);
        let header = clear.len();
        clear.extend([3; 40]);
        let packet = protect(&mut sender, &clear).unwrap();
        assert_eq!(packet[..header], clear[..header]);
        assert!(
            packet[header..].windows(4).all(|w| w != [3; 4]),
            "the payload does not"
        );
        assert_eq!(unprotect(&mut receiver, &packet), Ok(clear));
    }
}

#[test]
fn another_key_or_identifier_is_refused() {
    let suite = SrtpSuite::AesCm128HmacSha1_80;
    let mut sender = Sender::new(&master(suite, 3, &[1, 2]));
    let packet = protect(&mut sender, &rtp(5, 1, &[1; 20])).unwrap();
    for (seed, mki) in [
        (4, &[1, 2][..]),
        (3, &[1, 3]),
        (3, &[]),
        (3, &[1, 2, 3]),
        (3, &[2]),
    ] {
        let mut receiver = Receiver::new(&master(suite, seed, mki));
        assert_eq!(
            unprotect(&mut receiver, &packet),
            Err(Refusal::NotAuthentic),
            "{seed} {mki:?}"
        );
    }
    let mut receiver = Receiver::new(&master(suite, 3, &[1, 2]));
    assert!(unprotect(&mut receiver, &packet).is_ok());
}

#[test]
fn there_must_be_space() {
    let (mut sender, _) = pair(SrtpSuite::AeadAes256Gcm, &[1]);
    let mut buffer = [0x80; 28];
    assert_eq!(
        sender.protect(&mut buffer, 12),
        Err(Spent),
        "16 of tag and 1 of MKI do not fit"
    );
    assert_eq!(sender.protect(&mut buffer, 40), Err(Spent));
    assert_eq!(sender.protect(&mut buffer, 5), Err(Spent));
    assert_eq!(sender.protect(&mut buffer, 11), Err(Spent));
    let mut buffer = [0; 29];
    buffer[0] = 0x80;
    assert_eq!(sender.protect(&mut buffer, 12), Ok(29));
}

fn suites() -> impl Strategy<Value = SrtpSuite> {
    prop::sample::select(SrtpSuite::ALL.to_vec())
}

proptest! {
    #[test]
    fn any_bytes_are_refused_without_panic(suite in suites(),
        mki in prop::collection::vec(any::<u8>(), 0..6),
        bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut receiver = Receiver::new(&master(suite, 3, &mki));
        let mut packet = bytes.clone();
        prop_assert!(receiver.unprotect(&mut packet).is_err());
        prop_assert_eq!(packet, bytes.clone(), "and left as they are");
        prop_assert!(receiver.sources.is_empty());
        let mut sender = Sender::new(&master(suite, 3, &mki));
        let mut buffer = bytes;
        for length in [0, 7, buffer.len() / 2, buffer.len(), buffer.len() + 9] {
            let _ = sender.protect(&mut buffer, length);
        }
    }

    #[test]
    fn one_bit_wrong_is_all_wrong(suite in suites(),
        mki in prop::collection::vec(any::<u8>(), 0..6),
        payload in prop::collection::vec(any::<u8>(), 0..200), at: prop::sample::Index,
        bit in 0u8..8) {
        let key = master(suite, 3, &mki);
        let (mut sender, mut receiver) = (Sender::new(&key), Receiver::new(&key));
        let clear = rtp(0x1234_5678, 20_000, &payload);
        let packet = protect(&mut sender, &clear).unwrap();
        let mut wrong = packet.clone();
        wrong[at.index(packet.len())] ^= 1 << bit;
        prop_assert!(unprotect(&mut receiver, &wrong).is_err());
        prop_assert!(unprotect(&mut receiver, &packet[..at.index(packet.len())]).is_err());
        prop_assert_eq!(unprotect(&mut receiver, &packet), Ok(clear));
    }
}
