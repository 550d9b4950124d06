//! What gets out, what gets in, what is said of it, and what a new key changes.

use super::*;
use crate::test_data::start_instant;

const SUITE: SrtpSuite = SrtpSuite::AesCm128HmacSha1_80;

fn key(seed: u8) -> MasterKey {
    MasterKey::new(SUITE, &[seed; 16], &[seed; 14], &[]).unwrap()
}

/// The two ends of one stream.
fn keyed(ours: u8, theirs: u8) -> (Protection, Protection) {
    let (a, b) = (key(ours), key(theirs));
    (
        Protection::Srtp {
            send: a.clone(),
            receive: b.clone(),
        },
        Protection::Srtp {
            send: b,
            receive: a,
        },
    )
}

fn packet(ssrc: u8, sequence: u16) -> Vec<u8> {
    let [high, low] = sequence.to_be_bytes();
    [
        &[0x80, 0, high, low, 0, 0, 0, 0, 0, 0, 0, ssrc][..],
        &[7; 160],
    ]
    .concat()
}

fn seal(guard: &mut Guard, kind: PacketKind, packet: &[u8]) -> Option<Vec<u8>> {
    let mut buffer = packet.to_vec();
    buffer.resize(packet.len() + guard.overhead(kind), 0);
    let length = guard.seal(kind, &mut buffer, packet.len())?;
    buffer.truncate(length);
    Some(buffer)
}

fn open(guard: &mut Guard, kind: PacketKind, packet: &[u8]) -> Result<Vec<u8>, Refusal> {
    let mut packet = packet.to_vec();
    let length = guard.open(kind, &mut packet)?;
    packet.truncate(length);
    Ok(packet)
}

#[test]
fn in_clear_packets_stay_as_they_are() {
    let mut guard = Guard::new(&Protection::Clear);
    let packet = packet(1, 1);
    assert_eq!(
        seal(&mut guard, PacketKind::Rtp, &packet),
        Some(packet.clone())
    );
    assert_eq!(open(&mut guard, PacketKind::Rtp, &packet), Ok(packet));
    assert_eq!(
        (guard.encryption(), guard.stats()),
        (Encryption::None, SrtpStats::default())
    );
}

#[test]
fn waiting_lets_nothing_out_and_nothing_in() {
    let mut guard = Guard::new(&Protection::Waiting);
    for kind in [PacketKind::Rtp, PacketKind::Rtcp] {
        assert_eq!(seal(&mut guard, kind, &packet(1, 1)), None);
        assert_eq!(open(&mut guard, kind, &packet(1, 1)), Err(Refusal::Clear));
    }
    assert!(guard.is_silent());
    assert_eq!(
        (guard.encryption(), guard.stats().clear_dropped),
        (Encryption::Waiting, 2)
    );
}

#[test]
fn full_is_said_only_of_what_was_seen_lately_in_both_directions() {
    let (ours, theirs) = keyed(1, 2);
    let (mut near, mut far) = (Guard::new(&ours), Guard::new(&theirs));
    let begun = start_instant();
    let at = |seconds: f64| begun + Duration::from_secs_f64(seconds);
    near.tick(at(0.0));
    assert_eq!(
        near.encryption(),
        Encryption::Partial,
        "keys alone prove nothing"
    );
    let sealed = seal(&mut near, PacketKind::Rtp, &packet(1, 1)).unwrap();
    near.tick(at(1.0));
    assert_eq!(near.encryption(), Encryption::Partial, "no one was heard");
    assert!(open(&mut near, PacketKind::Rtp, &packet(9, 1)).is_err());
    near.tick(at(1.1));
    assert_eq!(
        near.encryption(),
        Encryption::Partial,
        "what came was not authentic"
    );
    assert!(open(&mut far, PacketKind::Rtp, &sealed).is_ok());
    let back = seal(&mut far, PacketKind::Rtcp, &packet(2, 1)).unwrap();
    assert!(open(&mut near, PacketKind::Rtcp, &back).is_ok());
    near.tick(at(2.0));
    far.tick(at(2.0));
    assert_eq!(
        (near.encryption(), far.encryption()),
        (Encryption::Full(SUITE), Encryption::Full(SUITE))
    );
    near.tick(at(15.9));
    assert_eq!(near.encryption(), Encryption::Full(SUITE));
    near.tick(at(16.1));
    assert_eq!(
        near.encryption(),
        Encryption::Partial,
        "what we sent is too long ago"
    );
}

#[test]
fn the_same_keys_go_on_and_new_keys_begin() {
    let (ours, theirs) = keyed(1, 2);
    let (mut near, mut far) = (Guard::new(&ours), Guard::new(&theirs));
    let old: Vec<_> = (0..10)
        .map(|s| seal(&mut far, PacketKind::Rtp, &packet(2, s)).unwrap())
        .collect();
    for packet in &old {
        assert!(open(&mut near, PacketKind::Rtp, packet).is_ok());
    }
    let sent = seal(&mut near, PacketKind::Rtp, &packet(1, 100)).unwrap();
    assert!(open(&mut far, PacketKind::Rtp, &sent).is_ok());
    near.tick(start_instant());
    assert_eq!(near.encryption(), Encryption::Full(SUITE));

    let mut again = Guard::new(&ours);
    again.continue_from(&ours, &mut near, &ours);
    assert_eq!(again.encryption(), Encryption::Full(SUITE));
    assert_eq!(
        open(&mut again, PacketKind::Rtp, &old[9]),
        Err(Refusal::Replayed),
        "the window goes on"
    );
    assert_eq!(
        seal(&mut again, PacketKind::Rtp, &packet(1, 100)),
        None,
        "and no number is used twice"
    );
    assert_eq!(again.stats().key_exhausted, 1);
    assert_eq!(
        (again.stats().protected_received, again.stats().replayed),
        (10, 1),
        "figures are the call's"
    );

    // The far end alone changes its key.
    let (changed, far_changed) = keyed(1, 3);
    let (mut changed_near, mut changed_far) = (Guard::new(&changed), Guard::new(&far_changed));
    changed_near.continue_from(&changed, &mut again, &ours);
    assert_eq!(
        changed_near.encryption(),
        Encryption::Partial,
        "the new key is not proven yet"
    );
    assert_eq!(
        seal(&mut changed_near, PacketKind::Rtp, &packet(1, 100)),
        None,
        "our key stays, so do its numbers"
    );
    assert_eq!(
        open(&mut changed_near, PacketKind::Rtp, &old[9]),
        Err(Refusal::NotAuthentic),
        "the old key is gone"
    );
    let new = seal(&mut changed_far, PacketKind::Rtp, &packet(2, 0)).unwrap();
    assert!(open(&mut changed_near, PacketKind::Rtp, &new).is_ok());

    // We alone change ours.
    let (ours_new, _) = keyed(4, 3);
    let mut last = Guard::new(&ours_new);
    last.continue_from(&ours_new, &mut changed_near, &changed);
    assert!(
        seal(&mut last, PacketKind::Rtp, &packet(1, 100)).is_some(),
        "a new key may use any number"
    );
    assert_eq!(
        open(&mut last, PacketKind::Rtp, &new),
        Err(Refusal::Replayed)
    );
}

#[test]
fn keys_after_waiting_begin_again() {
    let (ours, theirs) = keyed(1, 2);
    let mut waiting = Guard::new(&Protection::Waiting);
    let mut guard = Guard::new(&ours);
    guard.continue_from(&ours, &mut waiting, &Protection::Waiting);
    let packet = seal(&mut guard, PacketKind::Rtp, &packet(1, 1)).unwrap();
    assert!(open(&mut Guard::new(&theirs), PacketKind::Rtp, &packet).is_ok());
}
