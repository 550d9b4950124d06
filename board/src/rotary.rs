//! The rotary dial: two contacts, one that opens once a pulse and one that is closed while the dial
//! is away from rest.
//!
//! ```text
//! pulse contact edges ──────▶ debounce ─▶ count breaks ─┐
//! off-normal contact edges ─▶ debounce ─▶ back at rest ─┴▶ BoardEvent::Rotary
//! ```
//!
//! A dial runs at 10 pulses a second (8 to 12 in the field), 60/40 or 66/33 break to make: breaks
//! of 50 to 80 ms, makes of 27 to 50 ms. Where no off-normal contact is wired a pause ends the
//! digit.

use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use serde::Deserialize;

use crate::contact::{Change, Debouncer};
use crate::{BoardError, BoardEvent, Edge, EdgeLine, Input};

/// Quiet that makes a level real: longer than the bounce (≤ 5 ms), a quarter of the shortest make.
const DEBOUNCE: Duration = Duration::from_millis(7);
/// A break longer than this is no pulse: a broken wire, or a hook opened in the same loop.
const LONGEST_BREAK: Duration = Duration::from_millis(200);
/// Without an off-normal contact: this long after the last break began, the digit is over (the
/// slowest pulse takes 125 ms).
const DIGIT_PAUSE: Duration = Duration::from_millis(250);

/// What the number of pulses means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Numbering {
    /// n pulses are n, ten are 0: nearly everywhere.
    #[default]
    Standard,
    /// One pulse is 0, n + 1 are n: Sweden.
    Sweden,
    /// Ten less the digit: New Zealand, Oslo.
    NewZealand,
}

impl Numbering {
    /// The digit of a train, or `None` for an impossible train.
    fn digit(self, pulses: u32) -> Option<char> {
        if !(1..=10).contains(&pulses) {
            return None;
        }
        let value = match self {
            Self::Standard => pulses % 10,
            Self::Sweden => pulses - 1,
            Self::NewZealand => 10 - pulses,
        };
        char::from_digit(value, 10)
    }
}

/// From contact levels to digits; pure.
#[derive(Debug, Clone)]
pub struct RotaryDecoder {
    numbering: Numbering,
    /// The pulse contact; its level is "closed".
    pulse: Debouncer,
    /// The off-normal contact, where wired; its level is "away from rest".
    away: Option<Debouncer>,
    /// Breaks counted; `None`: the train is spoilt, wait for the next.
    count: Option<u32>,
    /// When the running (or last) break began.
    broke_at: Option<Instant>,
}

impl RotaryDecoder {
    /// `closed`: the pulse contact now; `away`: the off-normal contact now, where there is one.
    pub fn new(numbering: Numbering, closed: bool, away: Option<bool>, now: Instant) -> Self {
        Self {
            numbering,
            pulse: Debouncer::new(DEBOUNCE, closed, now),
            away: away.map(|level| Debouncer::new(DEBOUNCE, level, now)),
            count: Some(0),
            broke_at: None,
        }
    }

    /// The pulse contact closed or opened.
    pub fn handle_pulse_edge(&mut self, closed: bool, at: Instant) -> Option<BoardEvent> {
        let paused = self.pause(at);
        let change = self.pulse.handle_edge(closed, at);
        self.pulsed(change);
        paused
    }

    /// The off-normal contact changed. Pass edges of both contacts in the order of their
    /// timestamps.
    pub fn handle_off_normal_edge(&mut self, away: bool, at: Instant) -> Option<BoardEvent> {
        let change = self
            .away
            .as_mut()
            .and_then(|contact| contact.handle_edge(away, at));
        self.moved(change)
    }

    /// Both contacts as they read now; call at [`RotaryDecoder::poll_timeout`] and after each
    /// burst.
    pub fn handle_level(&mut self, closed: bool, away: bool, now: Instant) -> Option<BoardEvent> {
        let change = self.pulse.handle_level(closed, now);
        self.pulsed(change);
        let change = self
            .away
            .as_mut()
            .and_then(|contact| contact.handle_level(away, now));
        let moved = self.moved(change);
        moved.or_else(|| self.pause(now))
    }

    /// When to call [`RotaryDecoder::handle_level`].
    pub fn poll_timeout(&self) -> Option<Instant> {
        let pause = match (&self.away, self.broke_at) {
            (None, Some(at)) => Some(at + DIGIT_PAUSE),
            (Some(_), _) | (None, None) => None,
        };
        [
            self.pulse.poll_timeout(),
            self.away.as_ref().and_then(Debouncer::poll_timeout),
            pause,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// The pulse contact is stable: a make completes the pulse that its break began.
    fn pulsed(&mut self, change: Option<Change>) {
        let Some(change) = change else { return };
        if !change.level {
            if self.away.is_none() && self.broke_at.is_none() {
                // Without an off-normal contact the first break starts the digit.
                self.count = Some(0);
            }
            self.broke_at = Some(change.since);
        } else if let Some(broke) = self.broke_at {
            let whole = change.since.saturating_duration_since(broke) <= LONGEST_BREAK;
            self.count = self
                .count
                .filter(|_| whole)
                .map(|count| count.saturating_add(1));
        }
    }

    /// The off-normal contact is stable: leaving rest begins a digit, coming back ends it.
    fn moved(&mut self, change: Option<Change>) -> Option<BoardEvent> {
        let change = change?;
        if change.level {
            self.begin();
            return None;
        }
        self.finish()
    }

    /// Ends a digit by a pause, where there is no off-normal contact.
    fn pause(&mut self, now: Instant) -> Option<BoardEvent> {
        let over = self.away.is_none() && self.broke_at.is_some_and(|at| now >= at + DIGIT_PAUSE);
        if !over || self.pulse.stable() == Some(false) {
            // Still open: a break this long spoils the train; the make that ends it will see to
            // that.
            if over {
                self.count = None;
                self.broke_at = None;
            }
            return None;
        }
        self.finish()
    }

    fn begin(&mut self) {
        self.count = Some(0);
        self.broke_at = None;
    }

    fn finish(&mut self) -> Option<BoardEvent> {
        let digit = self.count.and_then(|count| self.numbering.digit(count));
        self.begin();
        digit.map(BoardEvent::Rotary)
    }
}

/// A rotary dial on one or two lines.
pub struct RotaryDial<L> {
    pulse: L,
    away: Option<L>,
    decoder: RotaryDecoder,
}

impl<L: EdgeLine> RotaryDial<L> {
    /// Reads both contacts. `pulse` is active while closed, `away` while the dial is away from
    /// rest.
    pub fn new(
        mut pulse: L,
        mut away: Option<L>,
        numbering: Numbering,
        now: Instant,
    ) -> Result<Self, BoardError> {
        let closed = pulse.level()?;
        let is_away = away.as_mut().map(EdgeLine::level).transpose()?;
        Ok(Self {
            pulse,
            away,
            decoder: RotaryDecoder::new(numbering, closed, is_away, now),
        })
    }
}

impl<L: EdgeLine> Input for RotaryDial<L> {
    fn fds(&self) -> Vec<BorrowedFd<'_>> {
        self.pulse
            .fd()
            .into_iter()
            .chain(self.away.as_ref().and_then(EdgeLine::fd))
            .collect()
    }

    fn handle_ready(
        &mut self,
        now: Instant,
        out: &mut dyn FnMut(BoardEvent),
    ) -> Result<(), BoardError> {
        let mut moved = false;
        let (mut pulse, mut away) = (None, None);
        loop {
            // Two queues, one story: the earlier edge first.
            if pulse.is_none() {
                pulse = self.pulse.next_edge()?;
            }
            if away.is_none() {
                away = self
                    .away
                    .as_mut()
                    .map(EdgeLine::next_edge)
                    .transpose()?
                    .flatten();
            }
            let pulse_first = match (pulse, away) {
                (None, None) => {
                    if !(moved || self.decoder.poll_timeout().is_some_and(|due| due <= now)) {
                        return Ok(());
                    }
                    let closed = self.pulse.level()?;
                    let is_away = self.away.as_mut().map(EdgeLine::level).transpose()?;
                    // An edge that came before the levels were read is in the queues now: its time
                    // counts, not the time of the reading, or a pulse would be lost.
                    pulse = self.pulse.next_edge()?;
                    away = self
                        .away
                        .as_mut()
                        .map(EdgeLine::next_edge)
                        .transpose()?
                        .flatten();
                    if pulse.is_some() || away.is_some() {
                        continue;
                    }
                    self.decoder
                        .handle_level(closed, is_away.unwrap_or(false), now)
                        .into_iter()
                        .for_each(out);
                    return Ok(());
                }
                (Some(_), None) => true,
                (None, Some(_)) => false,
                (Some(p), Some(a)) => p.at <= a.at,
            };
            let event = if pulse_first {
                pulse
                    .take()
                    .and_then(|edge: Edge| self.decoder.handle_pulse_edge(edge.level, edge.at))
            } else {
                away.take()
                    .and_then(|edge: Edge| self.decoder.handle_off_normal_edge(edge.level, edge.at))
            };
            moved = true;
            event.into_iter().for_each(&mut *out);
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.decoder.poll_timeout()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pins::SimulatedLine;
    use proptest::prelude::*;

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
            for pps in [8.0, 9.0, 10.0, 11.0, 12.0] {
                for share in [0.6, 0.66] {
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
}
