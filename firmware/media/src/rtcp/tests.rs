//! Two ends report to each other; strangers' bytes; and the rhythm of reports.

use proptest::prelude::*;
use rtcp_types::{Compound, Packet};

use super::*;
use crate::rtp::SequenceVerdict;
use crate::test_data;

/// NTP seconds of 2026-01-01.
pub(super) const NTP: u64 = 3_976_300_800 << 32;

pub(super) struct Side {
    pub(super) session: RtcpSession,
    pub(super) sequence: Sequence,
    pub(super) jitter: Jitter,
}

pub(super) fn side(ssrc: u32, ntp: u64, start: Instant) -> Side {
    Side {
        session: RtcpSession::new(ssrc, "phone@example.invalid", (start, ntp), 7, start),
        sequence: Sequence::new(),
        jitter: Jitter::default(),
    }
}

pub(super) const SENT: SenderInfo = SenderInfo {
    timestamp: 123_456,
    packets: 250,
    octets: 40_000,
};

/// Waits until a report is due, returns it and when.
pub(super) fn report(
    side: &mut Side,
    mut now: Instant,
    sent: Option<SenderInfo>,
    far: Option<u32>,
) -> (Instant, Vec<u8>) {
    let mut out = [0; MAX_WRITTEN];
    loop {
        now = side.session.due().max(now);
        let source = far.map(|ssrc| (ssrc, &mut side.sequence, &side.jitter));
        if let Some(length) = side.session.poll(now, sent, source, &mut out) {
            return (now, out[..length].to_vec());
        }
    }
}

#[test]
fn a_report_as_another_library_reads_it() {
    let start = test_data::start_instant();
    let mut us = side(0x1111, NTP, start);
    for n in 0..100u16 {
        if n % 10 != 3 {
            assert!(matches!(
                us.sequence.update(65_500u16.wrapping_add(n)),
                SequenceVerdict::Take(_)
            ));
        }
    }
    let (now, bytes) = report(&mut us, start, Some(SENT), Some(0x2222));
    assert_eq!(bytes.len() % 4, 0);
    let parts: Vec<Packet> = Compound::parse(&bytes)
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let [Packet::Sr(sender), Packet::Sdes(names)] = &parts[..] else {
        panic!("{parts:?}")
    };
    assert_eq!(
        (
            sender.ssrc(),
            sender.rtp_timestamp(),
            sender.packet_count(),
            sender.octet_count()
        ),
        (0x1111, 123_456, 250, 40_000)
    );
    let seconds = (sender.ntp_timestamp() - NTP) as f64 / 2f64.powi(32);
    assert!((seconds - (now - start).as_secs_f64()).abs() < 1e-6);
    let block = sender.report_blocks().next().unwrap();
    assert_eq!(
        (block.ssrc(), block.fraction_lost(), block.cumulative_lost()),
        (0x2222, 25, 10)
    );
    assert_eq!(block.extended_sequence_number(), (1 << 16) + 63);
    assert_eq!(
        (
            block.last_sender_report_timestamp(),
            block.delay_since_last_sender_report_timestamp()
        ),
        (0, 0),
        "none heard yet"
    );
    let chunk = names.chunks().next().unwrap();
    let item = chunk.items().next().unwrap();
    assert_eq!(
        (chunk.ssrc(), item.type_(), item.value()),
        (0x1111, 1, &b"phone@example.invalid"[..])
    );
}

#[test]
fn names_of_every_length_end_on_a_word() {
    let start = test_data::start_instant();
    for length in 0..80 {
        // Two bytes a letter: the cut must not fall within one.
        let name = "ü".repeat(length);
        let mut session = RtcpSession::new(1, &name, (start, NTP), 1, start);
        let mut out = [0; MAX_WRITTEN];
        let written = session.bye(start, Some(SENT), None, &mut out).unwrap();
        let parts: Vec<Packet> = Compound::parse(&out[..written])
            .unwrap()
            .map(Result::unwrap)
            .collect();
        let Packet::Sdes(names) = &parts[1] else {
            panic!("{parts:?}")
        };
        let chunk = names.chunks().next().unwrap();
        let value = chunk.items().next().unwrap().value();
        assert!(
            value.len() <= MAX_CNAME
                && name.as_bytes().starts_with(value)
                && std::str::from_utf8(value).is_ok()
        );
        assert_eq!(value.len(), (2 * length).min(62));
        // Sender report of 28 bytes, then header, SSRC, item: a zero byte must end the list, within
        // the packet's length.
        let end = 28 + 4 + 4 + 2 + value.len();
        let stated = 28 + 4 * (usize::from(u16::from_be_bytes([out[30], out[31]])) + 1);
        assert!(
            end < stated && stated - end <= 4 && out[end..stated].iter().all(|&byte| byte == 0),
            "{end} {stated}"
        );
    }
}

#[test]
fn a_short_buffer_is_an_error_at_every_length() {
    let start = test_data::start_instant();
    let mut us = side(1, NTP, start);
    us.sequence.update(5);
    let mut out = [0; MAX_WRITTEN];
    let whole = us
        .session
        .bye(
            start,
            Some(SENT),
            Some((2, &mut us.sequence, &us.jitter)),
            &mut out,
        )
        .unwrap();
    for room in 0..whole {
        let result = us.session.bye(
            start,
            Some(SENT),
            Some((2, &mut us.sequence, &us.jitter)),
            &mut out[..room],
        );
        assert_eq!(result, Err(RtcpError::NoRoom(room)));
    }
}

#[test]
fn two_ends_learn_round_trip_and_loss() {
    let start = test_data::start_instant();
    let one_way = Duration::from_millis(40);
    let mut left = side(0xA, NTP, start);
    // The other's wall clock is an hour off: it must not matter.
    let mut right = side(0xB, NTP + (3_600 << 32), start);
    for n in 0..200u16 {
        if n % 5 != 0 {
            right.sequence.update(n);
        }
        left.sequence.update(n);
    }
    let (now, bytes) = report(&mut left, start, Some(SENT), Some(0xB));
    let heard = right.session.handle(&bytes, now + one_way).unwrap();
    assert!(heard.sender_report && !heard.bye && heard.round_trip.is_none());
    assert_eq!(heard.remote_loss, Some(0.0));

    let (now, bytes) = report(&mut right, now + one_way, Some(SENT), Some(0xA));
    let heard = left.session.handle(&bytes, now + one_way).unwrap();
    let round_trip = heard.round_trip.unwrap().as_secs_f64();
    assert!((round_trip - 0.08).abs() < 0.000_1, "{round_trip}");
    assert!((heard.remote_loss.unwrap() - 0.2).abs() < 0.01);

    // Only what it says of us counts.
    let mut stranger = side(0xC, NTP, start);
    let heard = stranger.session.handle(&bytes, now).unwrap();
    assert_eq!((heard.round_trip, heard.remote_loss), (None, None));
}

#[test]
fn an_impossible_delay_gives_no_round_trip() {
    let start = test_data::start_instant();
    let mut us = side(0xA, NTP, start);
    for (lsr, dlsr, known) in [
        ((NTP >> 16) as u32, 0, true),
        ((NTP >> 16) as u32, 10 << 16, false), // it held the report for longer than it is old
        ((NTP >> 16) as u32 ^ 0x8000_0000, 0, false),
        (0, 0, false),
    ] {
        let mut packet = vec![0x81, 201, 0, 7, 0, 0, 0, 0xB, 0, 0, 0, 0xA];
        packet.extend([0; 12]);
        packet.extend(u32::to_be_bytes(lsr));
        packet.extend(u32::to_be_bytes(dlsr));
        let heard = us
            .session
            .handle(&packet, start + Duration::from_secs(2))
            .unwrap();
        assert_eq!(heard.round_trip.is_some(), known, "{lsr:#x} {dlsr:#x}");
    }
}

#[test]
fn goodbye_is_last_and_heard() {
    let start = test_data::start_instant();
    let (mut left, mut right) = (side(0xA, NTP, start), side(0xB, NTP, start));
    let mut out = [0; MAX_WRITTEN];
    left.sequence.update(1);
    let length = left
        .session
        .bye(
            start,
            Some(SENT),
            Some((0xB, &mut left.sequence, &left.jitter)),
            &mut out,
        )
        .unwrap();
    let parts: Vec<Packet> = Compound::parse(&out[..length])
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert!(
        matches!(&parts[..], [Packet::Sr(_), Packet::Sdes(_), Packet::Bye(_)]),
        "{parts:?}"
    );
    assert!(right.session.handle(&out[..length], start).unwrap().bye);
    // Nothing sent: a receiver report opens the packet.
    let length = right.session.bye(start, None, None, &mut out).unwrap();
    let parts: Vec<Packet> = Compound::parse(&out[..length])
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert!(
        matches!(&parts[..], [Packet::Rr(_), Packet::Sdes(_), Packet::Bye(_)]),
        "{parts:?}"
    );
}

#[test]
fn a_silent_sender_becomes_a_receiver_after_two_intervals() {
    let start = test_data::start_instant();
    let mut us = side(0xA, NTP, start);
    us.sequence.update(1);
    let (mut now, bytes) = report(&mut us, start, Some(SENT), Some(0xB));
    assert_eq!(bytes[1], 200);
    let mut kinds = Vec::new();
    for _ in 0..4 {
        let (then, bytes) = report(&mut us, now, Some(SENT), Some(0xB));
        now = then;
        kinds.push(bytes[1]);
    }
    assert_eq!(kinds, [200, 201, 201, 201]);
    let moved = SenderInfo {
        packets: 251,
        ..SENT
    };
    assert_eq!(report(&mut us, now, Some(moved), Some(0xB)).1[1], 200);
}

/// RFC 3550 §6.2, §6.3: half of 5 s first, then 5 s, each spread over half to one and a half, by e
/// − 3/2.
#[test]
fn reports_keep_the_rhythm() {
    let start = test_data::start_instant();
    let (mut firsts, mut gaps) = (Vec::new(), Vec::new());
    for seed in 0..200 {
        let mut us = side(seed, NTP, start);
        us.session = RtcpSession::new(seed, "x", (start, NTP), u64::from(seed), start);
        let (mut now, _) = report(&mut us, start, Some(SENT), None);
        firsts.push((now - start).as_secs_f64());
        for packets in 0..20 {
            let (then, _) = report(
                &mut us,
                now,
                Some(SenderInfo {
                    packets: 300 + packets,
                    ..SENT
                }),
                None,
            );
            gaps.push((then - now).as_secs_f64());
            now = then;
        }
    }
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let (low, high) = (0.5 / 1.218_28, 1.5 / 1.218_28);
    assert!(
        firsts
            .iter()
            .all(|gap| (2.5 * low - 0.01..2.5 * high + 0.01).contains(gap)),
        "{firsts:?}"
    );
    assert!(
        gaps.iter()
            .all(|gap| (5.0 * low - 0.01..5.0 * high + 0.01).contains(gap))
    );
    // Reconsideration and its compensation leave the mean where it should be.
    assert!((mean(&gaps) - 5.0).abs() < 0.25, "mean {}", mean(&gaps));
    assert!((mean(&firsts) - 2.5).abs() < 0.25, "mean {}", mean(&firsts));
    firsts.sort_by(f64::total_cmp);
    firsts.dedup();
    assert!(firsts.len() > 190, "phones do not report in step");
}

#[test]
fn a_crowd_waits_longer() {
    let alone = interval(2, 2, true, 128.0, false, 0.5);
    let crowd = interval(1_000, 2, false, 128.0, false, 0.5);
    assert!(
        alone < Duration::from_secs(5) && crowd > Duration::from_secs(250),
        "{alone:?} {crowd:?}"
    );
}

/// RFC 3550 A.8 by hand: J += (|D| − J) / 16.
#[test]
fn jitter_follows_the_formula_and_not_the_clocks_distance() {
    let start = test_data::start_instant() + Duration::from_secs(1);
    let mut jitter = Jitter::default();
    let mut model = 0.0;
    let mut before = None;
    let mut noise = test_data::Rng::new(3);
    for n in 0..500u32 {
        let late = (noise.symmetric() + 1.0) * 4.0; // ms
        let arrival =
            start + Duration::from_micros(u64::from(n) * 20_000 + (late * 1_000.0) as u64);
        jitter.update(0xFFFF_FF00u32.wrapping_add(n * 160), arrival, 8_000);
        if let Some(before) = before {
            let difference: f64 = late - before;
            model += (difference.abs() * 8.0 - model) / 16.0;
        }
        before = Some(late);
    }
    assert!(
        (f64::from(jitter.ticks()) - model).abs() < 2.0,
        "{} ticks, model {model}",
        jitter.ticks()
    );
    assert!((f64::from(jitter.ms(8_000)) - model / 8.0).abs() < 0.25);
    // A packet stamped before the first is no trouble.
    jitter.update(
        0,
        start.checked_sub(Duration::from_millis(500)).unwrap(),
        8_000,
    );
}

#[test]
fn steady_packets_have_no_jitter_and_absurd_ones_do_not_overflow() {
    let start = test_data::start_instant();
    let mut jitter = Jitter::default();
    for n in 0..100u32 {
        jitter.update(
            n * 160,
            start + Duration::from_millis(u64::from(n) * 20),
            8_000,
        );
    }
    assert_eq!(jitter.ticks(), 0);
    for n in 0..1_000u32 {
        jitter.update(if n % 2 == 0 { 0 } else { 0x8000_0000 }, start, 48_000);
    }
    assert!(jitter.ticks() > 0);
}

/// Seeds from other projects' fuzzers, whole and cut at every place.
#[test]
fn seeds_from_outside_never_panic() {
    let start = test_data::start_instant();
    let mut us = side(0xA, NTP, start);
    let (mut read, mut refused) = (0, 0);
    for (_, bytes) in test_data::read_all("rtcp::seeds_from_outside", "rtcp") {
        for length in 0..=bytes.len().min(1_500) {
            match us.session.handle(&bytes[..length], start) {
                Ok(_) => read += 1,
                Err(RtcpError::Malformed(said)) => {
                    assert_eq!(said, length);
                    refused += 1;
                }
                Err(RtcpError::NoRoom(_)) => panic!("reading needs no room"),
            }
        }
    }
    println!("{read} read, {refused} refused");
}

/// Whatever went over UDP in other people's captures, read as RTCP and as RTP.
#[test]
fn captures_from_outside_never_panic() {
    let start = test_data::start_instant();
    let mut us = side(0xA, NTP, start);
    let (mut reports, mut datagrams) = (0, 0);
    for (_, capture) in test_data::read_all("rtcp::captures_from_outside", "pcap") {
        for packet in test_data::datagrams(&capture) {
            datagrams += 1;
            reports += usize::from(us.session.handle(packet, start).is_ok());
            if let Ok(view) = crate::rtp::View::parse(packet) {
                us.sequence.update(view.sequence);
                us.jitter.update(view.timestamp, start, 8_000);
                assert!(view.payload(packet).len() < packet.len());
            }
        }
    }
    println!("{datagrams} datagrams, {reports} read as RTCP");
    assert!(datagrams == 0 || reports > 10);
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(mut bytes in proptest::collection::vec(any::<u8>(), 0..300),
        kind in 198u8..208, words in 0u16..40) {
        let start = test_data::start_instant();
        let mut us = side(0xA, NTP, start);
        let _ = us.session.handle(&bytes, start);
        if bytes.len() >= 4 {
            bytes[0] = 0x80 | bytes[0] & 0x3F;
            bytes[1] = kind;
            bytes[2..4].copy_from_slice(&words.to_be_bytes());
            let _ = us.session.handle(&bytes, start);
        }
    }
}
