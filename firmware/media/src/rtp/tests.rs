//! Packets written and read back, packets that are none, and sequence numbers on every kind of
//! road.

use proptest::prelude::*;

use super::*;
use crate::test_data;

#[test]
fn what_is_written_is_read_back() {
    let mut sender = Sender::new(0xDEAD_BEEF, 65_535, u32::MAX - 79);
    let mut packet = [0; HEADER_LEN + 4];
    packet[HEADER_LEN..].copy_from_slice(b"data");
    for (n, (sequence, timestamp)) in [(65_535, u32::MAX - 79), (0, 80)].into_iter().enumerate() {
        let now = sender.timestamp();
        assert_eq!(
            sender.write_header(&mut packet, 96, n == 0, now, 4),
            Ok(HEADER_LEN)
        );
        sender.advance(160);
        let view = View::parse(&packet).unwrap();
        assert_eq!(
            (
                view.payload_type,
                view.marker,
                view.sequence,
                view.timestamp,
                view.ssrc
            ),
            (96, n == 0, sequence, timestamp, 0xDEAD_BEEF)
        );
        assert_eq!(
            (view.payload(&packet), view.payload_len()),
            (&b"data"[..], 4)
        );
    }
    assert_eq!(
        (sender.packets(), sender.octets(), sender.last_timestamp()),
        (2, 8, Some(80))
    );
    assert_eq!(
        sender.write_header(&mut [0; 11], 0, false, 0, 0),
        Err(RtpError::NoRoom(11))
    );
    assert_eq!(sender.packets(), 2, "what was not written is not counted");
}

#[test]
fn csrc_extension_and_padding_are_stepped_over() {
    let mut packet = vec![
        0x80 | 0x20 | 0x10 | 2,
        0x80 | 8,
        0,
        7,
        0,
        0,
        0,
        9,
        0,
        0,
        0,
        1,
    ];
    packet.extend([0; 8]); // two CSRCs
    packet.extend([0xBE, 0xDE, 0, 1, 1, 2, 3, 4]); // an extension of one word
    packet.extend(b"sound");
    packet.extend([0, 0, 3]); // three bytes of padding
    let view = View::parse(&packet).unwrap();
    assert_eq!(
        (
            view.payload_type,
            view.marker,
            view.sequence,
            view.timestamp,
            view.ssrc
        ),
        (8, true, 7, 9, 1)
    );
    assert_eq!(view.payload(&packet), b"sound");
    // A view of one packet never reaches outside another.
    assert_eq!(view.payload(&packet[..20]), b"");
    for length in 0..packet.len() - 8 {
        assert!(View::parse(&packet[..length]).is_err(), "cut at {length}");
    }
    let last = packet.len() - 1;
    packet[last] = 0;
    assert_eq!(View::parse(&packet), Err(RtpError::Padding(0)));
    packet[last] = 9;
    assert_eq!(View::parse(&packet), Err(RtpError::Padding(9)));
    packet[0] = 0x40;
    assert_eq!(View::parse(&packet), Err(RtpError::Version(1)));
}

#[test]
fn rtp_rtcp_stun_and_dtls_are_distinguished() {
    let with = |first: u8, second: u8| PacketKind::of(&[first, second, 0, 0]);
    for payload_type in (0..64).chain(96..128) {
        assert_eq!(
            with(0x80, payload_type),
            Some(PacketKind::Rtp),
            "{payload_type}"
        );
        assert_eq!(
            with(0x80, payload_type | 0x80),
            Some(PacketKind::Rtp),
            "{payload_type} with marker"
        );
    }
    for rtcp in 200..=207 {
        assert_eq!(with(0x81, rtcp), Some(PacketKind::Rtcp));
    }
    assert_eq!(with(0, 1), None, "STUN");
    assert_eq!(with(22, 254), None, "DTLS");
    assert_eq!((PacketKind::of(&[]), PacketKind::of(&[0x80])), (None, None));
}

#[test]
fn seeds_from_outside_never_panic() {
    for (path, bytes) in test_data::read_all("rtp::seeds_from_outside", "rtp") {
        for length in 0..=bytes.len().min(2_000) {
            let cut = &bytes[..length];
            if let Ok(view) = View::parse(cut) {
                assert!(view.payload(cut).len() <= length, "{}", path.display());
            }
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(mut bytes in proptest::collection::vec(any::<u8>(), 0..200),
        rtp in any::<bool>()) {
        if rtp && !bytes.is_empty() {
            bytes[0] = bytes[0] & 0x3F | 0x80;
        }
        if let Ok(view) = View::parse(&bytes) {
            prop_assert_eq!(view.payload(&bytes).len(), view.payload_len());
            prop_assert!(view.payload_len() + HEADER_LEN <= bytes.len());
        }
        let _ = PacketKind::of(&bytes);
    }

    /// Against a model with a set: whatever comes within reach, duplicates are known, counts add
    /// up.
    #[test]
    fn sequence_agrees_with_a_set(start in any::<u16>(),
        steps in proptest::collection::vec((0u32..30, 0u32..90), 1..400)) {
        let mut sequence = Sequence::new();
        let mut seen = std::collections::BTreeSet::new();
        let mut head = u64::from(start) + (1 << 16);
        for (forward, back) in steps {
            // The first number stays below the wrap: a stream counts its wraps from there.
            head += if seen.is_empty() { 0 } else { u64::from(forward) };
            let number = head.saturating_sub(u64::from(if forward == 0 { back } else { 0 }));
            let number = if seen.is_empty() { head } else { number };
            let fresh = seen.insert(number);
            match sequence.update(number as u16) {
                SequenceVerdict::Take(extended) => {
                    prop_assert!(fresh);
                    prop_assert_eq!(u64::from(extended), number);
                }
                SequenceVerdict::Duplicate => prop_assert!(!fresh),
                SequenceVerdict::Suspect | SequenceVerdict::Restart(_) => {
                    prop_assert!(false, "nothing here is a jump");
                }
            }
        }
        let (first, last) = (*seen.first().unwrap(), *seen.last().unwrap());
        prop_assert_eq!(sequence.received(), seen.len() as u64);
        prop_assert_eq!(sequence.expected(), last - first + 1);
        prop_assert_eq!(sequence.lost(), last - first + 1 - seen.len() as u64);
    }
}

#[test]
fn the_first_packet_counts_at_once() {
    let mut sequence = Sequence::new();
    assert_eq!(
        (
            sequence.expected(),
            sequence.lost(),
            sequence.fraction_lost()
        ),
        (0, 0, 0)
    );
    assert_eq!(sequence.update(9), SequenceVerdict::Take(65_545));
    assert_eq!(
        (
            sequence.received(),
            sequence.expected(),
            sequence.highest_reported()
        ),
        (1, 1, 9)
    );
}

#[test]
fn numbers_wrap_and_are_reported_with_their_wraps() {
    let mut sequence = Sequence::new();
    let mut number = 65_000u16;
    let SequenceVerdict::Take(mut previous) = sequence.update(number) else {
        panic!()
    };
    for _ in 0..200_000 {
        number = number.wrapping_add(1);
        let SequenceVerdict::Take(extended) = sequence.update(number) else {
            panic!("{number}")
        };
        assert_eq!(extended, previous + 1);
        previous = extended;
    }
    assert_eq!((sequence.received(), sequence.lost()), (200_001, 0));
    assert_eq!(sequence.highest_reported(), 65_000 + 200_000);
}

#[test]
fn a_jump_is_accepted_at_its_second_packet() {
    let mut sequence = Sequence::new();
    for number in 100..110 {
        sequence.update(number);
    }
    assert_eq!(sequence.update(40_000), SequenceVerdict::Suspect);
    assert_eq!(
        sequence.update(110),
        SequenceVerdict::Take(65_646),
        "a stray one changed nothing"
    );
    assert_eq!(sequence.update(50_000), SequenceVerdict::Suspect);
    assert_eq!(
        sequence.update(50_002),
        SequenceVerdict::Suspect,
        "not in sequence"
    );
    let SequenceVerdict::Restart(base) = sequence.update(50_003) else {
        panic!("should restart")
    };
    assert_eq!(base & 0xFFFF, 50_003);
    assert!(matches!(sequence.update(50_004), SequenceVerdict::Take(_)));
    // Nothing of the old stream counts as lost because of the jump.
    assert_eq!(
        (sequence.received(), sequence.expected(), sequence.lost()),
        (13, 13, 0)
    );
}

/// RFC 3550 A.1: 3000 ahead and 100 behind.
#[test]
fn the_bounds_of_dropout_and_reordering() {
    let start = || {
        let mut sequence = Sequence::new();
        sequence.update(10_000);
        sequence
    };
    assert_eq!(
        start().update(10_000 - 100),
        SequenceVerdict::Take(65_536 + 9_900)
    );
    assert_eq!(start().update(10_000 - 101), SequenceVerdict::Suspect);
    assert_eq!(
        start().update(10_000 + 2_999),
        SequenceVerdict::Take(65_536 + 12_999)
    );
    assert_eq!(start().update(10_000 + 3_000), SequenceVerdict::Suspect);
}

#[test]
fn the_fraction_lost_is_of_the_interval() {
    let mut sequence = Sequence::new();
    (0..100).filter(|n| n % 4 != 1).for_each(|n| {
        sequence.update(n);
    });
    assert_eq!(sequence.lost(), 25);
    assert_eq!(sequence.fraction_lost(), 64);
    (100..200).for_each(|n| {
        sequence.update(n);
    });
    assert_eq!(
        sequence.fraction_lost(),
        0,
        "the next interval lost nothing"
    );
    assert_eq!(sequence.lost(), 25);
    // More received than expected in an interval (late ones of the last): none lost.
    sequence.update(197);
    sequence.update(199);
    assert_eq!((sequence.fraction_lost(), sequence.lost()), (0, 25));
}

#[test]
fn a_header_ends_where_the_sound_begins() {
    let packet = |first: u8, second: u8, rest: usize| {
        let mut packet = vec![0; 2 + rest];
        (packet[0], packet[1]) = (first, second);
        packet
    };
    assert_eq!(header_length(&packet(0x80, 0, 170)), Some(12));
    assert_eq!(
        header_length(&packet(0x83, 0, 170)),
        Some(24),
        "three sources"
    );
    let mut extended = packet(0x91, 0, 170);
    extended[19] = 2;
    assert_eq!(
        header_length(&extended),
        Some(12 + 4 + 4 + 8),
        "an extension of two words"
    );
    extended[18] = 0xFF;
    assert_eq!(
        header_length(&extended),
        Some(172),
        "longer than the packet"
    );
    assert_eq!(header_length(&packet(0x81, 201, 50)), Some(8));
    assert_eq!(header_length(&packet(0x80, 0, 3)), Some(5));
    assert_eq!(header_length(&packet(22, 254, 50)), None, "DTLS");
    assert_eq!(header_length(&[]), None);
}
