//! Byte for byte what libsrtp2 makes, both ways: all suites, sizes, identifiers, wraps. Tests only.
//!
//! ```text
//! clear packet ─┬─▶ ours ─────┬─▶ equal?  ─▶ each to the other's receiver ─▶ the clear packet again?
//!               └─▶ libsrtp2 ─┘
//! ```

mod library;

use proptest::prelude::*;
use testkit::process::TestDir;
use types::SrtpSuite;

use super::keys::MasterKey;
use super::{rtcp, rtp};
use crate::packet::PacketKind;
use crate::test_data::{directory, read_all, skipped};
use library::Peer;

/// Ours, with the same face as the library's.
struct Ours {
    send: (rtp::Sender, rtcp::Sender),
    receive: (rtp::Receiver, rtcp::Receiver),
}

impl Ours {
    fn new(master: &MasterKey) -> Self {
        Self {
            send: (rtp::Sender::new(master), rtcp::Sender::new(master)),
            receive: (rtp::Receiver::new(master), rtcp::Receiver::new(master)),
        }
    }

    fn protect(&mut self, kind: PacketKind, packet: &[u8]) -> Option<Vec<u8>> {
        let mut buffer = packet.to_vec();
        buffer.resize(packet.len() + 200, 0);
        let length = match kind {
            PacketKind::Rtp => self.send.0.protect(&mut buffer, packet.len()),
            PacketKind::Rtcp => self.send.1.protect(&mut buffer, packet.len()),
        };
        buffer.truncate(length.ok()?);
        Some(buffer)
    }

    fn unprotect(&mut self, kind: PacketKind, packet: &[u8]) -> Option<Vec<u8>> {
        let mut buffer = packet.to_vec();
        let length = match kind {
            PacketKind::Rtp => self.receive.0.unprotect(&mut buffer),
            PacketKind::Rtcp => self.receive.1.unprotect(&mut buffer),
        };
        buffer.truncate(length.ok()?);
        Some(buffer)
    }
}

fn master(suite: SrtpSuite, seed: u8, mki: &[u8]) -> MasterKey {
    let key: Vec<u8> = (0..suite.key_len() as u8)
        .map(|n| n.wrapping_mul(29) ^ seed)
        .collect();
    let salt: Vec<u8> = (0..suite.salt_len() as u8)
        .map(|n| n.wrapping_mul(31) ^ !seed)
        .collect();
    MasterKey::new(suite, &key, &salt, mki).unwrap()
}

const IDENTIFIERS: [&[u8]; 3] = [&[], &[0x2A], &[1, 2, 3, 4]];

/// Whether the library can read such packets of its own: it looks for a report's identifier before
/// a tag of the length RTP has, and so finds none where the two lengths differ (libsrtp 2.5).
fn library_reads(kind: PacketKind, suite: SrtpSuite, mki: &[u8]) -> bool {
    kind == PacketKind::Rtp || mki.is_empty() || suite.rtp_tag_len() == suite.rtcp_tag_len()
}

/// An RTP packet with so many contributing sources and words of extension.
fn packet(sequence: u16, ssrc: u32, sources: u8, extension: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x80 | sources | u8::from(extension > 0) << 4, 0x6F];
    packet.extend(sequence.to_be_bytes());
    packet.extend(u32::from(sequence).wrapping_mul(960).to_be_bytes());
    packet.extend(ssrc.to_be_bytes());
    packet.extend((0..4 * sources).map(|n| n ^ 0x5A));
    if extension > 0 {
        packet.extend([0xBE, 0xDE, 0, extension]);
        packet.extend((0..4 * extension).map(|n| n ^ 0xA5));
    }
    packet.extend(payload);
    packet
}

fn report(ssrc: u32, words: u8) -> Vec<u8> {
    let mut packet = vec![0x80, 201, 0, 1];
    packet.extend(ssrc.to_be_bytes());
    packet.extend([0x81, 204, 0, words]);
    packet.extend((0..4 * words).map(|n| n ^ 0x77));
    packet
}

#[test]
fn every_size_suite_and_identifier_is_the_librarys() {
    if !library::is_here("srtp::tests::every_size_suite_and_identifier_is_the_librarys") {
        return;
    }
    for suite in SrtpSuite::ALL {
        for mki in IDENTIFIERS {
            let master = master(suite, 1, mki);
            let (mut ours, mut sender, mut receiver) =
                (Ours::new(&master), Peer::new(&master), Peer::new(&master));
            for length in (0..200).chain([320, 640, 961, 1275]) {
                let payload: Vec<u8> = (0..length).map(|n| (n as u8).wrapping_mul(3)).collect();
                let (sources, extension) = (length as u8 % 4, length as u8 % 3);
                let clear = packet(length as u16, 0xCAFE_BABE, sources, extension, &payload);
                let mine = ours.protect(PacketKind::Rtp, &clear);
                assert_eq!(
                    mine,
                    sender.protect(PacketKind::Rtp, &clear),
                    "{suite:?} {mki:?} {length}"
                );
                let sealed = mine.unwrap();
                assert_eq!(
                    receiver.unprotect(PacketKind::Rtp, &sealed).as_ref(),
                    Some(&clear),
                    "{suite:?} {length}"
                );
                assert_eq!(
                    ours.unprotect(PacketKind::Rtp, &sealed).as_ref(),
                    Some(&clear),
                    "{suite:?} {length}"
                );
            }
            for words in 0..60 {
                let clear = report(0xCAFE_BABE, words);
                let mine = ours.protect(PacketKind::Rtcp, &clear);
                assert_eq!(
                    mine,
                    sender.protect(PacketKind::Rtcp, &clear),
                    "{suite:?} {mki:?} report of {words}"
                );
                let sealed = mine.unwrap();
                let theirs = receiver.unprotect(PacketKind::Rtcp, &sealed);
                let wanted = library_reads(PacketKind::Rtcp, suite, mki).then_some(&clear);
                assert_eq!(
                    theirs.as_ref(),
                    wanted,
                    "{suite:?} {mki:?} report of {words}"
                );
                assert_eq!(
                    ours.unprotect(PacketKind::Rtcp, &sealed).as_ref(),
                    Some(&clear)
                );
            }
        }
    }
}

/// Twenty wraps; what arrives is lost, late and in disorder around each, both ways.
#[test]
fn wraps_are_the_librarys() {
    if !library::is_here("srtp::tests::wraps_are_the_librarys") {
        return;
    }
    for suite in SrtpSuite::ALL {
        let master = master(suite, 2, &[]);
        let (mut ours, mut sender, mut receiver) =
            (Ours::new(&master), Peer::new(&master), Peer::new(&master));
        let mut wire: Vec<(u64, Vec<u8>, Vec<u8>)> = Vec::new();
        let mut index = 100u64;
        while index < 20 << 16 {
            let clear = packet(index as u16, 7, 0, 0, &index.to_be_bytes());
            let mine = ours.protect(PacketKind::Rtp, &clear);
            assert_eq!(
                mine,
                sender.protect(PacketKind::Rtp, &clear),
                "{suite:?} {index:x}"
            );
            // Within what both remember.
            wire.push((index + index * 7919 % 60, mine.unwrap(), clear));
            let near = (index as u16).wrapping_add(50) < 100;
            index += if near {
                1 + index % 3
            } else {
                1 + index * 104_729 % 9_000
            };
            if !near && (index as u16) < 50 && index as u16 > 0 {
                index -= u64::from(index as u16);
            }
        }
        wire.sort_by_key(|w| w.0);
        for (at, sealed, clear) in &wire {
            let taken = ours.unprotect(PacketKind::Rtp, sealed);
            assert_eq!(
                taken,
                receiver.unprotect(PacketKind::Rtp, sealed),
                "{suite:?} {at:x}"
            );
            assert_eq!(taken.as_ref(), Some(clear), "{suite:?} {at:x}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    /// Whatever a packet looks like and whatever happens to it: both take it, as the same bytes, or
    /// both refuse it.
    #[test]
    fn verdicts_are_the_librarys(
        suite in prop::sample::select(SrtpSuite::ALL.to_vec()),
        mki in prop::sample::select(IDENTIFIERS.to_vec()),
        steps in prop::collection::vec((0u16..50, any::<bool>(), 0u8..3,
            prop::collection::vec(any::<u8>(), 0..60),
            prop::option::of((any::<prop::sample::Index>(), 0u8..8)),
            any::<prop::sample::Index>()), 1..40),
    ) {
        if !library::is_here("srtp::tests::verdicts_are_the_librarys") {
            return Ok(());
        }
        let master = master(suite, 3, mki);
        let (mut ours, mut sender, mut receiver) =
            (Ours::new(&master), Peer::new(&master), Peer::new(&master));
        let mut sequence = 40_000u16;
        let mut earlier: Vec<(PacketKind, Vec<u8>)> = Vec::new();
        for (ahead, is_report, what, payload, damage, which) in steps {
            sequence = sequence.wrapping_add(1 + ahead);
            let (kind, clear) = if is_report {
                (PacketKind::Rtcp, report(9, payload.len() as u8))
            } else {
                (PacketKind::Rtp, packet(sequence, 9, 0, 0, &payload))
            };
            let mine = ours.protect(kind, &clear);
            prop_assert_eq!(&mine, &sender.protect(kind, &clear));
            let (kind, mut sealed) = match what {
                // Something from before, again or for the first time.
                0 if !earlier.is_empty() => earlier[which.index(earlier.len())].clone(),
                _ => (kind, mine.unwrap()),
            };
            earlier.push((kind, sealed.clone()));
            if let Some((at, bit)) = damage {
                let at = at.index(sealed.len());
                sealed[at] ^= 1 << bit;
            }
            let taken = ours.unprotect(kind, &sealed);
            if library_reads(kind, suite, mki) {
                prop_assert_eq!(&taken, &receiver.unprotect(kind, &sealed));
            }
            prop_assert!(damage.is_none() || taken.is_none());
        }
    }
}

/// Inputs that once broke other implementations: no one's key made them, so no one may take them.
#[test]
fn rubbish_is_refused_as_by_the_library() {
    let test = "srtp::tests::rubbish_is_refused_as_by_the_library";
    let mut all: Vec<Vec<u8>> = read_all(test, "srtp/pjsip-seeds")
        .into_iter()
        .map(|(_, bytes)| bytes)
        .collect();
    let archive = directory().join("srtp/libsrtp-fuzz-corpus.tar.xz");
    let folder = TestDir::new("srtp-corpus");
    let unpacked = std::process::Command::new("tar")
        .arg("-xJf")
        .arg(&archive)
        .arg("-C")
        .arg(folder.path())
        .status();
    if unpacked.is_ok_and(|status| status.success()) {
        let mut open = vec![folder.to_path_buf()];
        while let Some(path) = open.pop() {
            match std::fs::read_dir(&path) {
                Ok(entries) => open.extend(entries.flatten().map(|entry| entry.path())),
                Err(_) => all.push(std::fs::read(&path).unwrap()),
            }
        }
    } else {
        skipped(
            test,
            &format!("{} cannot be unpacked by tar and xz", archive.display()),
        );
    }
    if all.is_empty() {
        return;
    }
    assert!(all.len() > 60, "{}", all.len());
    let library = library::is_here(test);
    for suite in SrtpSuite::ALL {
        for mki in IDENTIFIERS {
            let master = master(suite, 5, mki);
            let mut ours = Ours::new(&master);
            let mut peer = library.then(|| Peer::new(&master));
            for bytes in &all {
                // The corpora begin with some bytes for their own harness.
                for bytes in [&bytes[..], bytes.get(34..).unwrap_or(&[])] {
                    for kind in [PacketKind::Rtp, PacketKind::Rtcp] {
                        assert_eq!(ours.unprotect(kind, bytes), None);
                        if let Some(peer) =
                            peer.as_mut().filter(|_| (12..1400).contains(&bytes.len()))
                        {
                            assert_eq!(peer.unprotect(kind, bytes), None);
                        }
                    }
                }
            }
        }
    }
}
