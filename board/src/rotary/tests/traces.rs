//! Dials as they come: traces drawn by the thousand, of which each digit is right or refused, and
//! never another one.

use std::collections::BTreeMap;

use testkit::rng::Rng;

use super::*;

/// What is drawn for a trace.
struct Draw(Rng);

impl Draw {
    /// From `low` to `high`.
    fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.0.unit()
    }

    /// Once in so many times.
    fn once_in(&mut self, times: u64) -> bool {
        self.whole(1, times) == 1
    }

    fn whole(&mut self, low: u64, high: u64) -> u64 {
        low + self.0.below((high - low + 1) as usize) as u64
    }
}

/// What is wired of the off-normal contact, and how it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OffNormal {
    Missing,
    Good,
    /// It bounces for so many ms at each move.
    Bounces(u64),
    /// It opens for some milliseconds while the dial runs.
    DropsOut,
    StuckAtRest,
    StuckAway,
    Inverted,
}

/// How a dial is, and the line it is on.
#[derive(Debug, Clone, Copy)]
struct Kind {
    name: &'static str,
    off_normal: &'static [OffNormal],
    /// Each period differs by so much of itself.
    wander: f64,
    /// The speed changes by so much from the first pulse to the last.
    drift: f64,
    /// Each share differs by so much.
    uneven: f64,
    /// Longest bounce, in µs.
    bounce: f64,
    /// One edge in so many is lost; 0: none.
    lost: u64,
    /// One pulse in so many has a glitch of 0.05 to 15 ms in it (a longer one is a pulse); 0: none.
    glitches: u64,
    /// The owner looks so late at most, in µs.
    late: f64,
    /// Every digit must be right.
    is_sound: bool,
}

const BOTH: &[OffNormal] = &[OffNormal::Good, OffNormal::Missing];
const SOUND: Kind = Kind {
    name: "sound",
    off_normal: BOTH,
    wander: 0.0,
    drift: 0.0,
    uneven: 0.0,
    bounce: 4800.0,
    lost: 0,
    glitches: 0,
    late: 3000.0,
    is_sound: true,
};

const KINDS: [Kind; 12] = [
    SOUND,
    Kind {
        name: "wandering speed",
        wander: 0.08,
        drift: 0.12,
        uneven: 0.03,
        ..SOUND
    },
    Kind {
        name: "off-normal bounces",
        off_normal: &[OffNormal::Bounces(60)],
        ..SOUND
    },
    Kind {
        name: "off-normal bounces long",
        off_normal: &[OffNormal::Bounces(300)],
        is_sound: false,
        ..SOUND
    },
    Kind {
        name: "off-normal drops out",
        off_normal: &[OffNormal::DropsOut],
        is_sound: false,
        ..SOUND
    },
    Kind {
        name: "off-normal is wrong",
        off_normal: &[
            OffNormal::StuckAtRest,
            OffNormal::StuckAway,
            OffNormal::Inverted,
        ],
        is_sound: false,
        ..SOUND
    },
    Kind {
        name: "bounces for 40 ms",
        bounce: 40_000.0,
        is_sound: false,
        ..SOUND
    },
    Kind {
        name: "bounces for 300 ms",
        bounce: 300_000.0,
        is_sound: false,
        ..SOUND
    },
    Kind {
        name: "loses edges",
        lost: 30,
        is_sound: false,
        ..SOUND
    },
    Kind {
        name: "loses many edges",
        lost: 4,
        late: 500.0,
        is_sound: false,
        ..SOUND
    },
    Kind {
        name: "glitches",
        glitches: 6,
        bounce: 2000.0,
        is_sound: false,
        ..SOUND
    },
    Kind {
        name: "all of it",
        off_normal: &[
            OffNormal::Good,
            OffNormal::Missing,
            OffNormal::Bounces(100),
            OffNormal::DropsOut,
        ],
        wander: 0.08,
        drift: 0.1,
        uneven: 0.05,
        bounce: 20_000.0,
        lost: 20,
        glitches: 12,
        is_sound: false,
        ..SOUND
    },
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wire {
    Pulse,
    Away,
}

/// A move of a contact: when (µs), which, to what, and whether the edge is delivered.
type Move = (u64, Wire, bool, bool);

struct Trace {
    moves: Vec<Move>,
    /// When each pull began, and what was dialled.
    pulls: Vec<(u64, char)>,
    off_normal: OffNormal,
    late: f64,
}

/// A contact that goes to `level` at `at`, and bounces until it is there, at most until `end`.
fn go(draw: &mut Draw, moves: &mut Vec<Move>, wire: Wire, level: bool, at: f64, bounce: f64) {
    moves.push((at as u64, wire, level, true));
    if bounce < 100.0 {
        return;
    }
    let end = at + bounce;
    let mut t = at;
    loop {
        // Short strokes and long ones.
        let (open, closed) = if draw.once_in(4) {
            let long = (bounce / 3.0).min(15e3);
            (draw.between(50.0, long), draw.between(50.0, long))
        } else {
            (draw.between(20.0, 1500.0), draw.between(20.0, 1500.0))
        };
        if t + open + closed > end {
            return;
        }
        moves.push(((t + open) as u64, wire, !level, true));
        moves.push(((t + open + closed) as u64, wire, level, true));
        t += open + closed;
    }
}

fn trace(draw: &mut Draw, kind: &Kind) -> Trace {
    let off_normal = kind.off_normal[draw.whole(0, kind.off_normal.len() as u64 - 1) as usize];
    let (mut moves, mut pulls) = (Vec::new(), Vec::new());
    let mut t = 1e6;
    for _ in 0..draw.whole(1, 3) {
        let pulses = draw.whole(1, 10);
        let pps = draw.between(8.0, 22.0) / (1.0 + kind.wander + kind.drift);
        let pps = pps.max(8.0 * (1.0 + kind.wander + kind.drift));
        let share = draw.between(0.50 + kind.uneven, 0.72 - kind.uneven);
        let mut digit = Vec::new();
        pulls.push((
            t as u64,
            char::from_digit(pulses as u32 % 10, 10).unwrap_or('?'),
        ));
        let left = t;
        let mut away = Vec::new();
        let off_bounce = match off_normal {
            OffNormal::Bounces(ms) => draw.between(0.0, ms as f64 * 1000.0),
            _ => draw.between(0.0, 4000.0),
        };
        go(draw, &mut away, Wire::Away, true, left, off_bounce);
        // A hand that winds it up; one that bounces is not quicker than its bounce by much.
        t += draw
            .between(120e3, 800e3)
            .max(off_bounce * draw.between(0.5, 1.5));
        let drift = draw.between(-kind.drift, kind.drift);
        for n in 0..pulses {
            let along = n as f64 / pulses as f64;
            let period =
                1e6 / pps * (1.0 + drift * along) * (1.0 + draw.between(-kind.wander, kind.wander));
            let open = period * (share + draw.between(-kind.uneven, kind.uneven));
            // A sound contact comes to rest well within the shortest make.
            let bounce = draw.between(0.0, kind.bounce);
            go(draw, &mut digit, Wire::Pulse, false, t, bounce);
            let bounce = draw.between(0.0, kind.bounce);
            go(draw, &mut digit, Wire::Pulse, true, t + open, bounce);
            if kind.glitches > 0 && draw.once_in(kind.glitches) {
                let at = t + draw.between(0.0, period);
                let length = if draw.once_in(2) {
                    draw.between(50.0, 5000.0)
                } else {
                    draw.between(50.0, 15e3)
                };
                // Within the break or the make that it is in.
                let is_made = at > t + open;
                let end = if is_made { t + period } else { t + open };
                let back = (at + length).min(end - 50.0);
                if back > at {
                    digit.push((at as u64, Wire::Pulse, !is_made, true));
                    digit.push((back as u64, Wire::Pulse, is_made, true));
                }
            }
            t += period;
        }
        t += draw.between(20e3, 150e3);
        if off_normal == OffNormal::DropsOut {
            let at = draw.between(left + 20e3, t);
            let length = draw.between(1e3, 150e3);
            away.push((at as u64, Wire::Away, false, true));
            away.push(((at + length).min(t - 5e3) as u64, Wire::Away, true, true));
        }
        go(draw, &mut away, Wire::Away, false, t, off_bounce);
        moves.extend(digit);
        moves.extend(away);
        t += draw.between(400e3, 1200e3).max(off_bounce + 300e3);
    }
    moves.sort_by_key(|(at, ..)| *at);
    if kind.lost > 0 {
        for one in &mut moves {
            one.3 = !draw.once_in(kind.lost);
        }
        // No one can know of a first pulse of which nothing comes at all.
        let first = match off_normal {
            OffNormal::Missing => Wire::Pulse,
            _ => Wire::Away,
        };
        for (begin, _) in &pulls {
            let one = moves
                .iter_mut()
                .find(|(at, wire, ..)| at >= begin && *wire == first);
            if let Some(one) = one {
                one.3 = true;
            }
        }
    }
    Trace {
        moves,
        pulls,
        off_normal,
        late: kind.late,
    }
}

/// Plays it into a decoder: what came, and when.
fn play(draw: &mut Draw, trace: &Trace) -> Vec<(u64, char)> {
    let t0 = Instant::now();
    let at = |us: u64| t0 + Duration::from_micros(us);
    let is_inverted = trace.off_normal == OffNormal::Inverted;
    let is_fixed = matches!(
        trace.off_normal,
        OffNormal::StuckAtRest | OffNormal::StuckAway
    );
    let mut away = is_inverted || trace.off_normal == OffNormal::StuckAway;
    let wired = trace.off_normal != OffNormal::Missing;
    let mut dial = RotaryDecoder::new(Numbering::Standard, true, wired.then_some(away), t0);
    let (mut closed, mut seen) = (true, Vec::new());
    let end = trace.moves.last().map_or(0, |one| one.0) + 2_000_000;
    let (mut next, mut now) = (0, 0);
    let mut turns = 0u32;
    while now < end {
        let edge = trace.moves[next..].iter().find(|one| one.3);
        let due = dial.poll_timeout().map_or(end, |due| {
            due.saturating_duration_since(t0).as_micros() as u64
        });
        let late = draw.between(0.0, trace.late) as u64;
        now = (edge.map_or(end, |one| one.0).min(due) + late).max(now + 1);
        turns += 1;
        assert!(turns < 200_000, "its timer spins");
        let mut note = |event: Option<BoardEvent>| {
            if let Some(BoardEvent::Rotary(digit)) = event {
                seen.push((now, digit));
            }
        };
        while let Some(&(t, wire, level, delivered)) =
            trace.moves.get(next).filter(|one| one.0 <= now)
        {
            next += 1;
            match wire {
                Wire::Pulse if closed != level => {
                    closed = level;
                    if delivered {
                        note(dial.handle_pulse_edge(level, at(t)));
                    }
                }
                Wire::Away if !is_fixed && away != (level != is_inverted) => {
                    away = level != is_inverted;
                    if delivered && wired {
                        note(dial.handle_off_normal_edge(away, at(t)));
                    }
                }
                Wire::Pulse | Wire::Away => {}
            }
        }
        note(dial.handle_level(closed, away, at(now)));
    }
    seen
}

#[derive(Debug, Default, Clone, Copy)]
struct Counts {
    right: u32,
    refused: u32,
    wrong: u32,
}

/// What came of each pull of a trace.
fn judge(trace: &Trace, seen: &[(u64, char)], counts: &mut Counts) {
    for (index, (begin, wanted)) in trace.pulls.iter().enumerate() {
        let end = trace.pulls.get(index + 1).map_or(u64::MAX, |next| next.0);
        let mut got = seen.iter().filter(|(at, _)| (*begin..end).contains(at));
        match (got.next(), got.next()) {
            (None, _) => counts.refused += 1,
            (Some((_, digit)), None) if digit == wanted => counts.right += 1,
            _ => counts.wrong += 1,
        }
    }
}

#[test]
fn drawn_traces_are_right_or_refused_and_never_wrong() {
    let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    let seed = number("OFFHOOK_DIAL_SEED").unwrap_or(1);
    let each = number("OFFHOOK_DIAL_TRACES").unwrap_or(1500);
    let mut all = BTreeMap::<&str, Counts>::new();
    let mut first_wrong = Vec::new();
    for (index, kind) in KINDS.iter().enumerate() {
        for n in 0..each {
            let seed = seed.wrapping_mul(1_000_003) + n * 31 + index as u64 * 7_777_777;
            let mut draw = Draw(Rng::new(seed));
            let trace = trace(&mut draw, kind);
            let seen = play(&mut draw, &trace);
            let counts = all.entry(kind.name).or_default();
            let before = counts.wrong;
            judge(&trace, &seen, counts);
            if counts.wrong > before && first_wrong.len() < 40 {
                let dialled: String = trace.pulls.iter().map(|(_, digit)| digit).collect();
                let came: String = seen.iter().map(|(_, digit)| digit).collect();
                let how = trace.off_normal;
                first_wrong.push(format!(
                    "{} {seed}: {dialled} gave {came}, {how:?}",
                    kind.name
                ));
            }
        }
    }
    for (name, counts) in &all {
        println!("{name:<24} {counts:?}");
    }
    assert!(first_wrong.is_empty(), "{}", first_wrong.join("\n"));
    for kind in KINDS.iter().filter(|kind| kind.is_sound) {
        assert_eq!(all[kind.name].refused, 0, "{}", kind.name);
    }
}
