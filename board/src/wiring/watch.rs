//! What each line did since a step began: where it rests, how often it moved, how long it bounced.

use std::time::{Duration, Instant};

use super::findings::DialFound;

/// Edges closer together than this are one contact that bounces.
const SAME_MOVE: Duration = Duration::from_millis(400);
/// A break or make of a dial is no shorter than this; less is bounce.
const SHORTEST_PULSE: Duration = Duration::from_millis(8);
/// A break of a dial is no longer than this.
const LONGEST_PULSE: Duration = Duration::from_millis(120);
/// Most edges kept of a line.
const MOST_EDGES: usize = 2048;

/// A line that took another level and kept it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moved {
    pub(super) line: u32,
    /// The level it took.
    pub(super) high: bool,
    /// From its first edge to its last.
    pub(super) bounce: Duration,
}

#[derive(Debug)]
struct WatchedLine {
    number: u32,
    /// The level before the step.
    rest: bool,
    now: bool,
    edges: Vec<(Instant, bool)>,
}

/// All lines.
#[derive(Debug)]
pub(super) struct Watch {
    lines: Vec<WatchedLine>,
    began: Instant,
}

impl Watch {
    pub(super) fn new(lines: &[(u32, bool)], now: Instant) -> Self {
        let line = |(number, high): &(u32, bool)| WatchedLine {
            number: *number,
            rest: *high,
            now: *high,
            edges: Vec::new(),
        };
        Self {
            lines: lines.iter().map(line).collect(),
            began: now,
        }
    }

    pub(super) fn handle_edge(&mut self, number: u32, high: bool, at: Instant) {
        let mut lines = self.lines.iter_mut();
        if let Some(line) = lines.find(|line| line.number == number)
            && line.now != high
        {
            line.now = high;
            if line.edges.len() < MOST_EDGES {
                line.edges.push((at, high));
            }
        }
    }

    /// A step begins: what the lines read now is their rest.
    pub(super) fn begin(&mut self, now: Instant) {
        self.began = now;
        for line in &mut self.lines {
            line.rest = line.now;
            line.edges.clear();
        }
    }

    /// Lines that moved though no one did anything: an input that floats, or somebody's clock.
    pub(super) fn restless(&self) -> Vec<u32> {
        let moved = self.lines.iter().filter(|line| line.edges.len() > 1);
        moved.map(|line| line.number).collect()
    }

    /// Lines that are pulled up by nothing but their resistor.
    pub(super) fn lines_at_rest_high(&self) -> impl Iterator<Item = u32> {
        let high = self.lines.iter().filter(|line| line.rest && line.now);
        high.map(|line| line.number)
    }

    /// The line that took another level and has kept it for `quiet`. Of several, the one that
    /// bounced most is no choice to make: then there is none.
    pub(super) fn moved_and_stayed(&self, now: Instant, quiet: Duration) -> Option<Moved> {
        let moved = self.lines.iter().filter_map(|line| {
            let (first, last) = (line.edges.first()?.0, line.edges.last()?.0);
            let rests = now.saturating_duration_since(last) >= quiet;
            (rests && line.now != line.rest).then(|| Moved {
                line: line.number,
                high: line.now,
                bounce: last.saturating_duration_since(first).min(SAME_MOVE),
            })
        });
        let moved: Vec<Moved> = moved.collect();
        match moved[..] {
            [one] => Some(one),
            _ => None,
        }
    }

    /// A dial that ran back: one line with the pulses of `digit`, and perhaps one that was away
    /// from its rest around them.
    pub(super) fn dialled(&self, now: Instant, quiet: Duration, digit: u32) -> Option<DialFound> {
        let still = self.lines.iter().all(|line| {
            let last = line.edges.last();
            last.is_none_or(|(at, _)| now.saturating_duration_since(*at) >= quiet)
        });
        if !still {
            return None;
        }
        let pulses = self
            .lines
            .iter()
            .filter_map(|line| Some((line, Train::of(line)?)));
        let (line, train) = pulses.max_by_key(|(_, train)| train.pulses)?;
        if train.pulses < 2 {
            return None;
        }
        let around = self.lines.iter().find(|other| {
            let first = other.edges.first().map(|(at, _)| *at);
            let last = other.edges.last().map(|(at, _)| *at);
            other.number != line.number
                && other.now == other.rest
                && first.is_some_and(|at| at <= train.first)
                && last.is_some_and(|at| at >= train.last)
        });
        Some(DialFound {
            pulse: line.number,
            // At rest the contact is closed: pulled up, that is low.
            pulse_closed_high: line.rest,
            off_normal: around.map(|other| other.number),
            // Pulled up, a contact that closes while away reads low then.
            off_normal_away_high: around.is_some_and(|other| !other.rest),
            pulses: train.pulses,
            expected: digit,
            pulses_per_second: train.rate(),
            break_percent: train.break_percent(),
        })
    }
}

/// The pulses of a line: excursions from rest that last as long as a pulse.
struct Train {
    pulses: u32,
    first: Instant,
    last: Instant,
    /// Time away from rest, in all.
    away: Duration,
}

impl Train {
    fn of(line: &WatchedLine) -> Option<Self> {
        let mut clean: Vec<(Instant, bool)> = Vec::new();
        for edge in &line.edges {
            // A level shorter than a pulse is bounce: it and the edge before it go.
            let bounced = clean
                .last()
                .is_some_and(|(at, _)| edge.0.saturating_duration_since(*at) < SHORTEST_PULSE);
            if bounced {
                clean.pop();
            } else {
                clean.push(*edge);
            }
        }
        let (mut pulses, mut away) = (0, Duration::ZERO);
        for pair in clean.windows(2) {
            let length = pair[1].0.saturating_duration_since(pair[0].0);
            if pair[0].1 != line.rest && length <= LONGEST_PULSE {
                pulses += 1;
                away += length;
            }
        }
        Some(Self {
            pulses,
            first: clean.first()?.0,
            last: clean.last()?.0,
            away,
        })
    }

    fn rate(&self) -> f32 {
        let all = self
            .last
            .saturating_duration_since(self.first)
            .as_secs_f32();
        // From the first break to the last make there is one make less than breaks.
        let makes = all - self.away.as_secs_f32();
        let make = makes / self.pulses.saturating_sub(1).max(1) as f32;
        self.pulses as f32 / (all + make).max(0.001)
    }

    fn break_percent(&self) -> f32 {
        let period = 1.0 / self.rate().max(0.001);
        let each = self.away.as_secs_f32() / self.pulses.max(1) as f32;
        100.0 * each / period
    }
}
