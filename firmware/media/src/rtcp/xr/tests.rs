//! Extended reports between two ends, byte by byte, and from strangers.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use types::RtcpXr;

use super::super::tests::{NTP, SENT, Side, report, side};
use super::*;
use crate::test_data;

fn metrics(source: u32) -> VoipMetrics {
    VoipMetrics {
        source,
        loss: 0.25,
        discarded: 0.125,
        burst_density: 0.5,
        gap_density: 0.0625,
        burst_ms: 300,
        gap_ms: 4_000,
        round_trip_ms: 81,
        end_system_ms: 62,
        signal_dbm0: Some(-21),
        noise_dbm0: None,
        echo_return_loss_db: Some(40),
        gmin: 16,
        r: Some(82),
        external_r: None,
        mos_lq: Some(4.1),
        mos_cq: Some(4.0),
        concealment: Concealment::Enhanced,
        adaptive: Some(true),
        adjustment_rate: 5,
        buffer_nominal_ms: 20,
        buffer_most_ms: 45,
        buffer_absolute_ms: 800,
    }
}

/// As section 4.7 draws it.
const BLOCK: [u8; 36] = [
    7,
    0,
    0,
    8, // type, reserved, length in words
    0,
    0,
    0x22,
    0x22, // SSRC of source
    64,
    32,
    128,
    16, // loss, discard, burst density, gap density
    1,
    44,
    15,
    160, // burst 300 ms, gap 4000 ms
    0,
    81,
    0,
    62, // round trip, end system
    235,
    127,
    40,
    16, // −21 dBm0, no noise, RERL, Gmin
    82,
    127,
    41,
    40, // R, external R, MOS-LQ, MOS-CQ
    0b1011_0101,
    0,
    0,
    20, // enhanced, adaptive, rate 5; nominal
    0,
    45,
    3,
    32, // most, absolute
];

fn extended(side: &mut Side) -> &mut Side {
    side.session.set_extended(RtcpXr::ALL);
    side.sequence.update(1);
    side
}

/// The extended report in a compound packet.
fn xr_of(mut compound: &[u8]) -> Option<&[u8]> {
    while compound.len() >= 4 {
        let length = 4 * (usize::from(u16::from_be_bytes([compound[2], compound[3]])) + 1);
        let (part, rest) = compound.split_at(length);
        if part[1] == PACKET_TYPE {
            return Some(part);
        }
        compound = rest;
    }
    None
}

#[test]
fn a_block_is_written_as_the_rfc_draws_it_and_read_back() {
    let start = test_data::start_instant();
    let mut us = side(0x1111, NTP, start);
    extended(&mut us).session.set_metrics(metrics(0x2222));
    let (_, bytes) = report(&mut us, start, Some(SENT), Some(0x2222));
    let xr = xr_of(&bytes).unwrap();
    assert_eq!(xr[..8], [0x80, 207, 0, 10, 0, 0, 0x11, 0x11]);
    assert_eq!(xr[8..], BLOCK);

    let mut far = side(0x2222, NTP, start);
    let heard = far.session.handle(&bytes, start).unwrap();
    assert_eq!(heard.metrics, Some(metrics(0x2222)));
    // Of another source: not of us.
    let mut stranger = side(0x3333, NTP, start);
    assert_eq!(
        stranger.session.handle(&bytes, start).unwrap().metrics,
        None
    );
}

#[test]
fn nothing_is_sent_that_was_not_asked_for() {
    let start = test_data::start_instant();
    for (wanted, sent) in [
        (RtcpXr::default(), Some(SENT)),
        (RtcpXr::default(), None),
        // A sender learns the round trip from its sender reports.
        (
            RtcpXr {
                voip_metrics: false,
                round_trip: true,
            },
            Some(SENT),
        ),
    ] {
        let mut us = side(0x1111, NTP, start);
        us.session.set_extended(wanted);
        us.sequence.update(1);
        us.session.set_metrics(metrics(0x2222));
        let (_, bytes) = report(&mut us, start, sent, Some(0x2222));
        assert_eq!(xr_of(&bytes), None, "{wanted:?}");
    }
}

#[test]
fn figures_of_a_source_gone_by_are_not_sent() {
    let start = test_data::start_instant();
    let mut us = side(0x1111, NTP, start);
    extended(&mut us).session.set_metrics(metrics(0x2222));
    let (_, bytes) = report(&mut us, start, Some(SENT), Some(0x4444));
    assert_eq!(xr_of(&bytes), None);
}

/// Who only receives sends no sender report that could be answered: its clock is.
#[test]
fn who_only_receives_learns_the_round_trip() {
    let start = test_data::start_instant();
    let one_way = Duration::from_millis(40);
    let (mut listener, mut talker) = (side(0xA, NTP, start), side(0xB, NTP + (77 << 32), start));
    extended(&mut listener);
    extended(&mut talker);
    let (now, bytes) = report(&mut listener, start, None, Some(0xB));
    let xr = xr_of(&bytes).unwrap();
    assert_eq!(xr[8..12], [REFERENCE_TIME, 0, 0, 2]);
    talker.session.handle(&bytes, now + one_way).unwrap();
    let (now, bytes) = report(&mut talker, now + one_way, Some(SENT), Some(0xA));
    let heard = listener.session.handle(&bytes, now + one_way).unwrap();
    let round_trip = heard.round_trip.unwrap().as_secs_f64();
    assert!((round_trip - 0.08).abs() < 0.000_1, "{round_trip}");
}

#[test]
fn the_longest_report_fits() {
    let start = test_data::start_instant();
    let mut far = side(0xB, NTP, start);
    extended(&mut far);
    let (now, clock) = report(&mut far, start, None, Some(0xA));
    let mut us = super::super::RtcpSession::new(0xA, &"n".repeat(80), (start, NTP), 7, start);
    us.set_extended(RtcpXr::ALL);
    us.set_metrics(metrics(0xB));
    us.handle(&clock, now).unwrap();
    let (mut sequence, jitter) = (crate::rtp::Sequence::new(), crate::rtcp::Jitter::default());
    sequence.update(1);
    let mut out = [0; super::super::MAX_WRITTEN];
    for sent in [Some(SENT), None] {
        let source = Some((0xB, &mut sequence, &jitter));
        let length = us.bye(now, sent, source, &mut out).unwrap();
        assert!(length <= out.len());
        assert_eq!(
            out[length - 8..length - 4],
            [0x81, 203, 0, 1],
            "BYE is last"
        );
    }
}

/// A malformed extended report is ignored; the rest of the compound packet is not.
#[test]
fn a_malformed_block_takes_nothing_with_it() {
    let start = test_data::start_instant();
    let mut us = side(0x1111, NTP, start);
    extended(&mut us).session.set_metrics(metrics(0x2222));
    let mut out = [0; super::super::MAX_WRITTEN];
    let jitter = us.jitter;
    let source = Some((0x2222, &mut us.sequence, &jitter));
    let length = us.session.bye(start, Some(SENT), source, &mut out).unwrap();
    let whole = out[..length].to_vec();
    let at = whole.len() - 8 - BLOCK.len();
    assert_eq!(whole[at..at + 4], BLOCK[..4]);
    for words in [0, 1, 7, 9, 0xFF] {
        let mut bytes = whole.clone();
        bytes[at + 3] = words;
        let mut far = side(0x2222, NTP, start);
        let heard = far.session.handle(&bytes, start).unwrap();
        assert_eq!(heard.metrics, None, "{words} words");
        assert!(heard.bye && heard.sender_report, "{words} words");
    }
}

#[test]
fn values_out_of_their_range_are_not_available() {
    let mut block = BLOCK;
    block[4 + 20] = 101;
    block[4 + 22] = 9;
    block[4 + 23] = 51;
    let read = VoipMetrics::read(block[4..].try_into().unwrap());
    assert_eq!((read.r, read.mos_lq, read.mos_cq), (None, None, None));
}

fn handle(bytes: &[u8], now: Instant) -> bool {
    side(1, NTP, now).session.handle(bytes, now).is_ok()
}

proptest! {
    #[test]
    fn any_blocks_are_read_or_left(blocks in proptest::collection::vec(any::<u8>(), 0..200)) {
        let now = test_data::start_instant();
        let words = blocks.len() / 4;
        let mut bytes = vec![0x80, PACKET_TYPE, 0, words as u8 + 1, 0, 0, 0, 9];
        bytes.extend_from_slice(&blocks[..words * 4]);
        prop_assert!(handle(&bytes, now));
    }

    #[test]
    fn what_is_written_is_read(
        share in 0.0f32..1.0, ms in any::<u16>(), level in -126i8..=126, r in 0u8..=100,
    ) {
        let given = VoipMetrics {
            loss: share,
            burst_ms: ms,
            signal_dbm0: Some(level),
            r: Some(r),
            ..metrics(5)
        };
        let mut out = [0; 36];
        let mut writer = Writer { length: 0, out: &mut out };
        given.write(&mut writer).unwrap();
        let read = VoipMetrics::read(out[4..].try_into().unwrap());
        prop_assert!((read.loss - share).abs() <= 1.0 / 256.0);
        prop_assert_eq!(VoipMetrics { loss: share, ..read }, given);
    }
}
