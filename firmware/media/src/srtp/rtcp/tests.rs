//! Reports against published ones, and against everything that wants in.

use proptest::prelude::*;
use types::SrtpSuite;

use super::*;
use crate::srtp::test_vectors::published;

fn master(suite: SrtpSuite, mki: &[u8]) -> MasterKey {
    MasterKey::new(
        suite,
        &vec![0x21; suite.key_len()],
        &vec![0x43; suite.salt_len()],
        mki,
    )
    .unwrap()
}

fn pair(suite: SrtpSuite, mki: &[u8]) -> (Sender, Receiver) {
    let master = master(suite, mki);
    (Sender::new(&master), Receiver::new(&master))
}

fn report(ssrc: u32, filling: u8) -> Vec<u8> {
    let mut packet = vec![0x80, 201, 0, 1];
    packet.extend(ssrc.to_be_bytes());
    packet.extend([0x81, 202, 0, 3]);
    packet.extend([filling; 12]);
    packet
}

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

#[test]
fn packets_as_published() {
    let test = "srtp::rtcp::packets_as_published";
    for packet in published(test, "rtcp_plain", "srtcp").unwrap_or_default() {
        let (mut sender, mut receiver) =
            (Sender::new(&packet.master), Receiver::new(&packet.master));
        let protected = protect(&mut sender, &packet.clear);
        assert_eq!(protected.as_ref(), Ok(&packet.protected), "{}", packet.id);
        let clear = unprotect(&mut receiver, &packet.protected);
        assert_eq!(clear.as_ref(), Ok(&packet.clear), "{}", packet.id);
    }
}

#[test]
fn reports_come_through_once_and_say_nothing_in_clear() {
    for suite in SrtpSuite::ALL {
        for mki in [&[][..], &[1, 2, 3]] {
            let (mut sender, mut receiver) = pair(suite, mki);
            for n in 0..300u32 {
                let clear = report(n % 3, 0x55);
                let packet = protect(&mut sender, &clear).unwrap();
                assert_eq!(packet[..8], clear[..8]);
                assert!(packet.windows(4).all(|w| w != [0x55; 4]), "{suite:?}");
                if n % 7 == 0 {
                    continue;
                }
                assert_eq!(
                    unprotect(&mut receiver, &packet),
                    Ok(clear),
                    "{suite:?} {n}"
                );
                assert_eq!(unprotect(&mut receiver, &packet), Err(Refusal::Replayed));
            }
        }
    }
}

/// An authentic packet whose E-bit is zero carries its report in clear: it is counted as such, and
/// dropped.
#[test]
fn an_authentic_report_in_clear_is_dropped() {
    let suite = SrtpSuite::AesCm128HmacSha1_80;
    let (sender, mut receiver) = pair(suite, &[]);
    let mut packet = report(5, 1);
    let word = 9u32.to_be_bytes();
    let Transform::Cm(cm) = &sender.session.transform else {
        panic!()
    };
    let tag = cm.mac(&packet, &word);
    packet.extend(word);
    packet.extend(&tag[..10]);
    assert_eq!(unprotect(&mut receiver, &packet), Err(Refusal::Clear));
    assert!(receiver.sources.is_empty());
    let length = packet.len();
    packet[length - 1] ^= 1;
    assert_eq!(
        unprotect(&mut receiver, &packet),
        Err(Refusal::NotAuthentic)
    );
}

#[test]
fn the_short_tag_is_never_used_for_reports() {
    let (mut sender, _) = pair(SrtpSuite::AesCm128HmacSha1_32, &[]);
    let clear = report(5, 1);
    assert_eq!(
        protect(&mut sender, &clear).unwrap().len(),
        clear.len() + 4 + 10
    );
}

#[test]
fn no_key_stream_is_used_twice() {
    for suite in SrtpSuite::ALL {
        let (mut sender, mut receiver) = pair(suite, &[]);
        sender.set_index(LAST - 1);
        let last = protect(&mut sender, &report(5, 1)).unwrap();
        assert!(unprotect(&mut receiver, &last).is_ok());
        assert_eq!(
            protect(&mut sender, &report(5, 1)),
            Err(Spent),
            "{suite:?}: 2^31 packets are all"
        );
        assert_eq!(
            protect(&mut sender, &report(6, 1)),
            Err(Spent),
            "of all sources together"
        );
    }
}

#[test]
fn the_number_of_sources_is_bounded() {
    let (mut sender, mut receiver) = pair(SrtpSuite::AeadAes128Gcm, &[]);
    for ssrc in 0..MAX_SOURCES as u32 {
        let packet = protect(&mut sender, &report(ssrc, 1)).unwrap();
        assert!(unprotect(&mut receiver, &packet).is_ok());
    }
    let packet = protect(&mut sender, &report(999, 1)).unwrap();
    assert_eq!(
        unprotect(&mut receiver, &packet),
        Err(Refusal::TooManySources)
    );
    let packet = protect(&mut sender, &report(3, 1)).unwrap();
    assert!(unprotect(&mut receiver, &packet).is_ok());
}

proptest! {
    #[test]
    fn any_bytes_are_refused_without_panic(suite in prop::sample::select(SrtpSuite::ALL.to_vec()),
        mki in prop::collection::vec(any::<u8>(), 0..6),
        bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let (mut sender, mut receiver) = pair(suite, &mki);
        let mut packet = bytes.clone();
        prop_assert!(receiver.unprotect(&mut packet).is_err());
        prop_assert_eq!(packet, bytes.clone(), "and left as they are");
        prop_assert!(receiver.sources.is_empty());
        let mut buffer = bytes;
        for length in [0, 7, buffer.len() / 2, buffer.len(), buffer.len() + 9] {
            let _ = sender.protect(&mut buffer, length);
        }
    }

    #[test]
    fn one_bit_wrong_is_all_wrong(suite in prop::sample::select(SrtpSuite::ALL.to_vec()),
        mki in prop::collection::vec(any::<u8>(), 0..6), at: prop::sample::Index,
        bit in 0u8..8) {
        let (mut sender, mut receiver) = pair(suite, &mki);
        let clear = report(0x1234_5678, 9);
        let packet = protect(&mut sender, &clear).unwrap();
        let mut wrong = packet.clone();
        wrong[at.index(packet.len())] ^= 1 << bit;
        prop_assert!(unprotect(&mut receiver, &wrong).is_err());
        prop_assert!(unprotect(&mut receiver, &packet[..at.index(packet.len())]).is_err());
        prop_assert_eq!(unprotect(&mut receiver, &packet), Ok(clear));
    }
}
