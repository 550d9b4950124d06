//! RFC 4733 as a story: keys pressed here, packets lost, doubled and shuffled, keys heard there.

use types::Key;

use super::*;
use crate::rtp::View;
use crate::test_data::{self, Rng};

const STEP: u32 = 160;

/// Runs a sender for some packet times from a timestamp on; `act` presses and releases.
fn run(
    sender: &mut Sender,
    ticks: u32,
    mut act: impl FnMut(&mut Sender, u32),
) -> Vec<(u32, EventPacket)> {
    let mut sent = Vec::new();
    for tick in 0..ticks {
        act(sender, tick);
        if let Some(packet) = sender.tick(tick * STEP) {
            sent.push((tick, packet));
        }
    }
    sent
}

fn fields(packet: &EventPacket) -> (u8, bool, u8, u16) {
    let [event, flags, high, low] = packet.payload;
    (
        event,
        flags & 0x80 != 0,
        flags & 0x3F,
        u16::from_be_bytes([high, low]),
    )
}

#[test]
fn one_key_packet_by_packet() {
    let mut sender = Sender::new(8_000, 8_000, 20);
    let sent = run(&mut sender, 20, |sender, tick| match tick {
        2 => assert!(sender.press(5)),
        7 => sender.release(5),
        _ => {}
    });
    let durations: Vec<u16> = sent.iter().map(|(_, packet)| fields(packet).3).collect();
    // Grows by a packet time; the end three times with the same duration.
    assert_eq!(durations, [160, 320, 480, 640, 800, 960, 960, 960]);
    for (n, (tick, packet)) in sent.iter().enumerate() {
        let (event, end, volume, _) = fields(packet);
        assert_eq!(
            (event, volume, packet.timestamp),
            (5, VOLUME, 2 * STEP),
            "the timestamp is the event's start"
        );
        assert_eq!(packet.marker, n == 0, "marker on the first only");
        assert_eq!(end, n >= 5, "end bit on the last three");
        assert_eq!(*tick, 2 + n as u32, "one packet each packet time");
        // The reserved bit is zero.
        assert_eq!(packet.payload[1] & 0x40, 0);
    }
    assert!(!sender.is_busy());
}

#[test]
fn the_shortest_tap_lasts_50_ms_and_keys_are_50_ms_apart() {
    for (ptime, hz) in [
        (10, 8_000),
        (20, 8_000),
        (30, 8_000),
        (20, 48_000),
        (60, 8_000),
    ] {
        let step = hz / 1000 * u32::from(ptime);
        let mut sender = Sender::new(hz, hz, ptime);
        for event in [1, 1, 2] {
            assert!(sender.press(event));
            sender.release(event);
        }
        let sent: Vec<EventPacket> = (0..100)
            .filter_map(|tick| sender.tick(tick * step))
            .collect();
        let mut keys: Vec<(u8, u32, u32)> = Vec::new();
        for packet in &sent {
            let (event, _, _, duration) = fields(packet);
            match keys.last_mut() {
                Some(key) if key.1 == packet.timestamp => key.2 = u32::from(duration),
                _ => keys.push((event, packet.timestamp, u32::from(duration))),
            }
        }
        assert_eq!(
            keys.iter().map(|key| key.0).collect::<Vec<_>>(),
            [1, 1, 2],
            "{ptime} ms"
        );
        for key in &keys {
            assert!(key.2 >= hz / 1000 * MIN_TONE_MS, "{ptime} ms: {keys:?}");
        }
        for pair in keys.windows(2) {
            assert!(
                pair[1].1 >= pair[0].1 + pair[0].2 + hz / 1000 * MIN_GAP_MS,
                "{ptime} ms: {keys:?}"
            );
        }
        assert_eq!(
            sent.iter().filter(|packet| fields(packet).1).count(),
            9,
            "three ends a key"
        );
    }
}

#[test]
fn a_key_held_for_long_goes_on_in_segments() {
    let mut sender = Sender::new(8_000, 8_000, 20);
    let sent = run(&mut sender, 1_000, |sender, tick| match tick {
        0 => assert!(sender.press(11)),
        950 => sender.release(11),
        _ => {}
    });
    let full: Vec<_> = sent
        .iter()
        .filter(|(_, packet)| fields(packet).3 == 0xFFFF)
        .collect();
    assert_eq!(full.len(), 2, "19 s are two full segments and a rest");
    assert!(
        full.iter().all(|(_, packet)| !fields(packet).1),
        "no end bit within the event"
    );
    let starts: std::collections::BTreeSet<u32> =
        sent.iter().map(|(_, packet)| packet.timestamp).collect();
    assert_eq!(
        starts.into_iter().collect::<Vec<_>>(),
        [0, 0xFFFF, 2 * 0xFFFF]
    );
    assert_eq!(sent.iter().filter(|(_, packet)| packet.marker).count(), 1);
    // In all as long as it was held.
    let last = sent.last().unwrap().1;
    assert_eq!(last.timestamp + u32::from(fields(&last).3), 951 * STEP);
    // One key at the other end.
    let mut receiver = Receiver::new();
    let heard: Vec<u8> = sent
        .iter()
        .filter_map(|(_, packet)| receiver.handle(packet.timestamp, packet.marker, &packet.payload))
        .collect();
    assert_eq!(heard, [11]);
    assert!(!receiver.is_down());
}

#[test]
fn events_on_another_clock_than_the_sound() {
    // telephone-event/8000 beside Opus: durations on its clock, timestamps on the stream's.
    let mut sender = Sender::new(8_000, 48_000, 20);
    assert!(sender.press(3));
    let first = sender.tick(96_000).unwrap();
    let second = sender.tick(96_960).unwrap();
    assert_eq!((first.timestamp, fields(&first).3), (96_000, 160));
    assert_eq!((second.timestamp, fields(&second).3), (96_000, 320));
}

#[test]
fn fast_presses_wait_in_a_bounded_queue() {
    let mut sender = Sender::new(8_000, 8_000, 20);
    let mut taken = Vec::new();
    for n in 0..200u8 {
        let event = n % 10;
        if sender.press(event) {
            sender.release(event);
            taken.push(event);
        }
    }
    assert_eq!(taken.len(), QUEUE);
    assert!(!sender.press(16), "no such key");
    let sent = run(&mut sender, 2_000, |_, _| {});
    let mut receiver = Receiver::new();
    let heard: Vec<u8> = sent
        .iter()
        .filter_map(|(_, packet)| receiver.handle(packet.timestamp, packet.marker, &packet.payload))
        .collect();
    assert_eq!(heard, taken);
    assert!(!sender.is_busy());
}

/// The network: loses, doubles and shuffles. Every key of which a packet comes is heard once, in
/// order.
#[test]
fn each_key_once_through_a_bad_network() {
    for seed in 0..300 {
        let mut noise = Rng::new(seed);
        let mut sender = Sender::new(8_000, 8_000, 20);
        let keys: Vec<u8> = (0..12).map(|_| (noise.next_u64() % 16) as u8).collect();
        let mut down = None;
        let mut waiting = keys.iter();
        let sent = run(&mut sender, 600, |sender, tick| {
            if tick % 25 == 0 {
                down = waiting.next();
                if let Some(&key) = down {
                    sender.press(key);
                }
            } else if let (10, Some(&key)) = (tick % 25, down) {
                sender.release(key);
            }
        });
        // 30 % lost, but of each key at least the end's last packet comes; 20 % doubled; up to 4
        // packets out of place.
        let mut line: Vec<(u32, EventPacket)> = Vec::new();
        for (n, (tick, packet)) in sent.iter().enumerate() {
            let last_of_key = sent
                .get(n + 1)
                .is_none_or(|next| next.1.timestamp != packet.timestamp);
            if !last_of_key && noise.symmetric() < -0.4 {
                continue;
            }
            let copies = if noise.symmetric() > 0.6 { 2 } else { 1 };
            for _ in 0..copies {
                line.push((tick * 10 + (noise.next_u64() % 40) as u32, *packet));
            }
        }
        line.sort_by_key(|(at, _)| *at);
        let mut receiver = Receiver::new();
        let heard: Vec<u8> = line
            .iter()
            .filter_map(|(_, packet)| {
                receiver.handle(packet.timestamp, packet.marker, &packet.payload)
            })
            .collect();
        assert_eq!(heard, keys, "seed {seed}");
    }
}

#[test]
fn a_lost_end_does_not_hide_the_same_key_pressed_again() {
    let mut receiver = Receiver::new();
    assert_eq!(receiver.handle(1_000, true, &[5, 10, 0, 160]), Some(5));
    assert_eq!(receiver.handle(1_000, false, &[5, 10, 1, 64]), None);
    assert!(receiver.is_down());
    // End and marker lost: only the timestamp shows it.
    assert_eq!(receiver.handle(2_600, false, &[5, 10, 1, 64]), Some(5));
    // A late end of the first one.
    assert_eq!(receiver.handle(1_000, false, &[5, 0x8A, 1, 64]), None);
    assert!(receiver.is_down());
    assert_eq!(receiver.handle(2_600, false, &[5, 0x8A, 3, 64]), None);
    assert!(!receiver.is_down());
}

#[test]
fn timestamps_wrap_and_may_start_again() {
    let mut receiver = Receiver::new();
    assert_eq!(
        receiver.handle(u32::MAX - 100, true, &[1, 10, 0, 160]),
        Some(1)
    );
    assert_eq!(receiver.handle(900, true, &[2, 10, 0, 160]), Some(2));
    assert_eq!(
        receiver.handle(u32::MAX - 100, false, &[1, 0x8A, 0, 160]),
        None,
        "late"
    );
    // A far end that chose a new start.
    assert_eq!(
        receiver.handle(3_000_000_000, true, &[3, 10, 0, 160]),
        Some(3)
    );
}

#[test]
fn what_is_no_key_is_no_key() {
    let mut receiver = Receiver::new();
    for payload in [
        &[][..],
        &[1],
        &[1, 2, 3],
        &[16, 10, 0, 160],
        &[255, 255, 255, 255],
    ] {
        assert_eq!(receiver.handle(0, true, payload), None, "{payload:?}");
    }
    // Longer payloads (several events in one packet, RFC 2833) count by their first.
    assert_eq!(
        receiver.handle(0, true, &[7, 10, 0, 160, 8, 10, 0, 160]),
        Some(7)
    );
}

/// Captures of other people's phones: each key they pressed is received once.
#[test]
fn keys_in_captures_are_heard() {
    let Some(bytes) = test_data::read("dtmf::keys_in_captures", "pcap/dtmf-expected.json") else {
        return;
    };
    let expected: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    let files = expected["files"].as_object().unwrap();
    for (name, streams) in files {
        let capture = test_data::read("dtmf::keys_in_captures", name).unwrap();
        let packets = test_data::datagrams(&capture);
        for (stream, wanted) in streams.as_object().unwrap() {
            let (ssrc, payload_type) = stream.split_once("/pt").unwrap();
            let ssrc = u32::from_str_radix(ssrc, 16).unwrap();
            let mut receiver = Receiver::new();
            let heard: String = packets
                .iter()
                .filter_map(|packet| Some((View::parse(packet).ok()?, packet)))
                .filter(|(view, _)| {
                    view.ssrc == ssrc && view.payload_type.to_string() == payload_type
                })
                .filter_map(|(view, packet)| {
                    receiver.handle(view.timestamp, view.marker, view.payload(packet))
                })
                .filter_map(Key::from_event)
                .map(Key::as_char)
                .collect();
            assert_eq!(heard, wanted["digits"].as_str().unwrap(), "{name} {stream}");
        }
    }
    assert!(files.len() >= 10);
}

#[test]
fn keys_codes_and_frequencies_fit_together() {
    for (event, key, low, high) in [
        (0, '0', 941, 1336),
        (1, '1', 697, 1209),
        (5, '5', 770, 1336),
        (9, '9', 852, 1477),
        (10, '*', 941, 1209),
        (11, '#', 941, 1477),
        (12, 'A', 697, 1633),
        (15, 'D', 941, 1633),
    ] {
        let key = Key::from_char(key).unwrap();
        assert_eq!((key.event(), frequencies_of(key)), (event, (low, high)));
    }
}
