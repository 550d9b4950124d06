mod traces;

use proptest::prelude::*;

use super::*;
use crate::pins::SimulatedLine;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Wire {
    Pulse(bool),
    Away(bool),
}

/// A dialled digit as a train of edges in µs: `pps` pulses a second, `break_share` of each
/// open, each edge bouncing for `bounce`.
fn train(
    trace: &mut Vec<(u64, Wire)>,
    start: u64,
    pulses: u64,
    pps: f64,
    break_share: f64,
    bounce: u64,
) -> u64 {
    let mut push = |at: u64, wire: Wire| {
        trace.push((at, wire));
        let back = match wire {
            Wire::Pulse(l) => Wire::Pulse(!l),
            Wire::Away(l) => Wire::Away(!l),
        };
        let mut t = 300;
        while t + 300 < bounce {
            trace.push((at + t, back));
            trace.push((at + t + 250, wire));
            t += 700;
        }
    };
    let period = (1e6 / pps) as u64;
    push(start, Wire::Away(true));
    let mut t = start + 150_000;
    for _ in 0..pulses {
        push(t, Wire::Pulse(false));
        push(t + (period as f64 * break_share) as u64, Wire::Pulse(true));
        t += period;
    }
    push(t + 60_000, Wire::Away(false));
    t + 60_000
}

/// Plays edges into a decoder; the owner wakes only every `lazy` µs, so trains are read late.
fn play(trace: &[(u64, Wire)], numbering: Numbering, off_normal: bool, lazy: u64) -> String {
    let t0 = Instant::now();
    let at = |us: u64| t0 + Duration::from_micros(us);
    let mut dial = RotaryDecoder::new(numbering, true, off_normal.then_some(false), t0);
    let (mut closed, mut away) = (true, false);
    let mut digits = String::new();
    let mut note = |event: Option<BoardEvent>| match event {
        Some(BoardEvent::Rotary(digit)) => digits.push(digit),
        Some(other) => panic!("{other:?} from a dial"),
        None => {}
    };
    let end = trace.last().map_or(0, |e| e.0) + 1_000_000;
    let (mut next, mut now) = (0, 0);
    while now < end {
        // Wakes at the next edge or the decoder's own time, at most `lazy` late.
        let edge = trace.get(next).map_or(end, |e| e.0);
        let due = dial.poll_timeout().map_or(end, |due| {
            due.saturating_duration_since(t0).as_micros() as u64
        });
        now = (edge.min(due) + lazy).max(now + 1);
        while let Some(&(t, wire)) = trace.get(next).filter(|e| e.0 <= now) {
            match wire {
                Wire::Pulse(level) => {
                    closed = level;
                    note(dial.handle_pulse_edge(level, at(t)));
                }
                Wire::Away(level) => {
                    away = level;
                    if off_normal {
                        note(dial.handle_off_normal_edge(level, at(t)));
                    }
                }
            }
            next += 1;
        }
        note(dial.handle_level(closed, away, at(now)));
    }
    digits
}

#[test]
fn every_digit_at_every_speed_and_ratio() {
    for off_normal in [true, false] {
        for pps in [8.0, 10.0, 12.0, 16.0, 22.0] {
            for share in [0.5, 0.61, 0.72] {
                for bounce in [0, 2000, 4500] {
                    for lazy in [0, 3000] {
                        let mut trace = Vec::new();
                        let mut t = 100_000;
                        for pulses in 1..=10 {
                            t = train(&mut trace, t, pulses, pps, share, bounce) + 400_000;
                        }
                        let got = play(&trace, Numbering::Standard, off_normal, lazy);
                        assert_eq!(
                            got, "1234567890",
                            "{pps} pps, {share} break, bounce {bounce} µs, {lazy} µs late, \
                             off-normal {off_normal}"
                        );
                    }
                }
            }
        }
    }
}

/// What a dial with both contacts wired as said gives for the digits 1 to 10, and what it says.
fn miswired(
    pulse_inverted: bool,
    off_normal: Option<bool>,
    broken: bool,
) -> (String, Option<DialFault>) {
    let mut trace = Vec::new();
    let mut t = 1_000_000;
    for pulses in 1..=10 {
        t = train(&mut trace, t, pulses, 10.0, 0.61, 2000) + 600_000;
    }
    let t0 = Instant::now();
    let rest_away = off_normal.map(|inverted| inverted && !broken);
    let mut dial = RotaryDecoder::new(Numbering::Standard, !pulse_inverted, rest_away, t0);
    let (mut closed, mut away) = (!pulse_inverted, rest_away.unwrap_or(false));
    let (mut digits, mut fault) = (String::new(), None);
    let (mut next, mut now) = (0, 0);
    while now < t + 1_000_000 {
        now += 500;
        let at = |us: u64| t0 + Duration::from_micros(us);
        let mut events = Vec::new();
        while let Some(&(time, wire)) = trace.get(next).filter(|edge| edge.0 <= now) {
            next += 1;
            match (wire, off_normal) {
                (Wire::Pulse(level), _) => {
                    closed = level != pulse_inverted;
                    events.push(dial.handle_pulse_edge(closed, at(time)));
                }
                (Wire::Away(level), Some(inverted)) if !broken => {
                    away = level != inverted;
                    events.push(dial.handle_off_normal_edge(away, at(time)));
                }
                (Wire::Away(_), _) => {}
            }
        }
        if dial.poll_timeout().is_some_and(|due| due <= at(now)) {
            events.push(dial.handle_level(closed, away, at(now)));
        }
        for event in events.into_iter().flatten() {
            if let BoardEvent::Rotary(digit) = event {
                digits.push(digit);
            }
        }
        fault = dial.poll_fault().or(fault);
    }
    (digits, fault)
}

#[test]
fn a_dial_wired_the_wrong_way_round_says_so_and_gives_no_wrong_digit() {
    let right = "1234567890".to_owned();
    assert_eq!(miswired(false, None, false), (right.clone(), None));
    assert_eq!(miswired(false, Some(false), false), (right, None));
    let inverted = Some(DialFault::PulseInverted);
    assert_eq!(miswired(true, None, false), (String::new(), inverted));
    assert_eq!(
        miswired(true, Some(false), false),
        (String::new(), inverted)
    );
    let off_normal = Some(DialFault::OffNormal);
    assert_eq!(
        miswired(false, Some(false), true),
        (String::new(), off_normal)
    );
    let (digits, fault) = miswired(false, Some(true), false);
    assert_eq!((digits.as_str(), fault), ("", off_normal));
}

#[test]
fn a_contact_that_hides_pulses_is_reported_after_three_digits() {
    let t0 = Instant::now();
    let at = |us: u64| t0 + Duration::from_micros(us);
    let mut dial = RotaryDecoder::new(Numbering::Standard, true, None, t0);
    let mut faults = Vec::new();
    let mut t = 1_000_000;
    for _ in 0..3 {
        let mut trace = Vec::new();
        let end = train(&mut trace, t, 5, 10.0, 0.6, 0);
        // The third pulse is not there.
        let third = t + 150_000 + 200_000;
        trace.retain(|(time, _)| !(third..third + 100_000).contains(time));
        for (time, wire) in trace {
            if let Wire::Pulse(level) = wire {
                assert_eq!(dial.handle_pulse_edge(level, at(time)), None);
            }
        }
        t = end + 500_000;
        for step in 0..100 {
            assert_eq!(dial.handle_level(true, false, at(end + step * 5000)), None);
        }
        faults.extend(dial.poll_fault());
    }
    assert_eq!(faults, [DialFault::Uneven]);
}

/// A driver that queues edges with the next tick of its clock: the level is read before.
#[test]
fn an_edge_that_comes_later_than_its_level_is_no_other() {
    let t0 = Instant::now();
    let at = |us: u64| t0 + Duration::from_micros(us);
    for late in [1_000, 4_000, 9_900] {
        let mut trace = Vec::new();
        let mut t = 1_000_000;
        for pulses in 1..=10 {
            t = train(&mut trace, t, pulses, 10.0, 0.6, 0) + 400_000;
        }
        let mut dial = RotaryDecoder::new(Numbering::Standard, true, Some(false), t0);
        let (mut closed, mut away, mut digits) = (true, false, String::new());
        let (mut moved, mut reported) = (0, 0);
        for now in (0..t + 1_000_000).step_by(500) {
            let mut events = Vec::new();
            while let Some((_, wire)) = trace.get(moved).filter(|edge| edge.0 <= now) {
                moved += 1;
                match wire {
                    Wire::Pulse(level) => closed = *level,
                    Wire::Away(level) => away = *level,
                }
            }
            while let Some((_, wire)) = trace.get(reported).filter(|edge| edge.0 + late <= now) {
                reported += 1;
                events.push(match wire {
                    Wire::Pulse(level) => dial.handle_pulse_edge(*level, at(now)),
                    Wire::Away(level) => dial.handle_off_normal_edge(*level, at(now)),
                });
            }
            if dial.poll_timeout().is_some_and(|due| due <= at(now)) {
                events.push(dial.handle_level(closed, away, at(now)));
            }
            for event in events.into_iter().flatten() {
                if let BoardEvent::Rotary(digit) = event {
                    digits.push(digit);
                }
            }
        }
        assert_eq!(digits, "1234567890", "{late} µs late");
    }
}

#[test]
fn other_countries_number_differently() {
    let mut trace = Vec::new();
    let mut t = 0;
    for pulses in [1, 4, 10] {
        t = train(&mut trace, t + 500_000, pulses, 10.0, 0.6, 1000);
    }
    assert_eq!(play(&trace, Numbering::Standard, true, 0), "140");
    assert_eq!(play(&trace, Numbering::Sweden, true, 0), "039");
    assert_eq!(play(&trace, Numbering::NewZealand, true, 0), "960");
}

#[test]
fn impossible_pulse_trains_give_no_digit() {
    // Eleven pulses; a dial turned and let go without a pulse; a wire that opens for half a
    // second.
    let mut trace = Vec::new();
    let mut t = train(&mut trace, 0, 11, 10.0, 0.6, 1000);
    t = train(&mut trace, t + 500_000, 0, 10.0, 0.6, 1000);
    trace.push((t + 500_000, Wire::Pulse(false)));
    trace.push((t + 1_000_000, Wire::Pulse(true)));
    t = train(&mut trace, t + 2_000_000, 3, 10.0, 0.6, 1000);
    assert!(t > 0);
    assert_eq!(play(&trace, Numbering::Standard, true, 0), "3");
    assert_eq!(play(&trace, Numbering::Standard, false, 0), "3");
}

#[test]
fn a_too_long_break_discards_the_train() {
    // Within one turn of the dial the wire opens for 300 ms; two good pulses follow. That is no
    // 3.
    let mut trace = vec![
        (0, Wire::Away(true)),
        (200_000, Wire::Pulse(false)),
        (500_000, Wire::Pulse(true)),
    ];
    for t in [600_000, 700_000] {
        trace.extend([(t, Wire::Pulse(false)), (t + 60_000, Wire::Pulse(true))]);
    }
    trace.push((900_000, Wire::Away(false)));
    train(&mut trace, 1_500_000, 4, 10.0, 0.6, 1000);
    assert_eq!(play(&trace, Numbering::Standard, true, 0), "4");
}

proptest! {
    #[test]
    fn numbers_survive(
        digits in prop::collection::vec(1u64..=10, 1..12),
        pps in 8.0f64..12.0,
        share in 0.6f64..0.67,
        bounce in 0u64..5000,
        lazy in 0u64..4000,
        gap in 300_000u64..900_000,
        off_normal in any::<bool>(),
    ) {
        let (mut trace, mut t, mut want) = (Vec::new(), 0, String::new());
        for digit in digits {
            t = train(&mut trace, t + gap, digit, pps, share, bounce);
            want.push(char::from_digit(digit as u32 % 10, 10).unwrap());
        }
        prop_assert_eq!(play(&trace, Numbering::Standard, off_normal, lazy), want);
    }

    /// Noise gives digits or nothing; never a panic, and the dial still works afterwards.
    #[test]
    fn recovers_from_noise(noise in prop::collection::vec(
        (0u64..100_000, any::<bool>(), any::<bool>()), 0..80), off_normal in any::<bool>()) {
        let (mut trace, mut t) = (Vec::new(), 0);
        for (gap, pulse, level) in noise {
            t += gap;
            trace.push((t, if pulse { Wire::Pulse(level) } else { Wire::Away(level) }));
        }
        trace.push((t + 1, Wire::Pulse(true)));
        trace.push((t + 2, Wire::Away(false)));
        train(&mut trace, t + 1_000_000, 7, 10.0, 0.6, 1000);
        prop_assert!(play(&trace, Numbering::Standard, off_normal, 0).ends_with('7'));
    }
}

#[test]
fn an_edge_during_the_level_read_loses_no_pulse() {
    let t0 = Instant::now();
    let at = |ms: u64| t0 + Duration::from_millis(ms);
    let line = SimulatedLine::default();
    line.set(true, t0);
    let mut dial = RotaryDial::new(line.clone(), None, Numbering::Standard, t0).unwrap();
    let mut digits = Vec::new();
    let mut ready = |ms: u64| {
        dial.handle_ready(at(ms), &mut |event| digits.push(event))
            .unwrap();
    };
    ready(20);
    for (ms, level) in [(100, false), (160, true)] {
        line.set(level, at(ms));
        ready(ms);
    }
    // Read late: the next break begins while the level is being read.
    line.set_at_next_read(false, at(200));
    ready(201);
    line.set(true, at(260));
    for ms in [260, 270, 460, 600] {
        ready(ms);
    }
    assert_eq!(digits, [BoardEvent::Rotary('2')]);
}
