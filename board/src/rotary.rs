//! The rotary dial: two contacts, one that opens once a pulse and one that is closed while the dial
//! is away from rest.
//!
//! ```text
//! pulse contact edges ──────▶ debounce ─▶ count breaks ─┐
//! off-normal contact edges ─▶ debounce ─▶ back at rest ─┴▶ BoardEvent::Rotary
//! ```
//!
//! A dial runs at 10 pulses a second, a worn one at 8 to 22, and is open for 50 to 72 % of each:
//! breaks of 23 to 90 ms, makes of 13 to 62 ms. Where no off-normal contact is wired a pause ends
//! the digit. A dial wired the wrong way round gives no digit instead of a wrong one, and says so.

use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use serde::Deserialize;

use crate::contact::{Change, Debouncer};
use crate::{BoardError, BoardEvent, Edge, EdgeLine, Input};

/// Quiet that makes a level real: longer than the bounce (≤ 5 ms), half of the shortest make.
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

/// A dial that is wired the wrong way round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DialFault {
    /// The pulse contact is open at rest.
    PulseInverted,
    /// Pulses come while the off-normal contact says that the dial rests.
    OffNormal,
}

impl DialFault {
    fn error(self) -> BoardError {
        let (problem, help) = match self {
            Self::PulseInverted => (
                "the pulse contact is open while the dial rests: no digit is taken",
                "turn `pulse_closed` round (\"high\" instead of \"low\", or the other way), or \
                 look for a broken wire",
            ),
            Self::OffNormal => (
                "pulses come while the off-normal contact says that the dial rests: no digit is \
                 taken",
                "turn `off_normal_away` round, look for a broken wire, or leave `off_normal` out",
            ),
        };
        BoardError::Device {
            device: "[rotary]".to_owned(),
            problem: problem.to_owned(),
            help: help.to_owned(),
        }
    }
}

/// So many pulses in a place where there should be none are no accident.
const MANY: u32 = 3;

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
    /// When the contact closed last.
    made_at: Option<Instant>,
    /// The pulse contact was open for longer than any pulse: it may rest open, and what looks like
    /// pulses are the gaps between them.
    rests_open: bool,
    /// Pulses that came while there should be none.
    stray: u32,
    fault: Option<DialFault>,
    reported: Option<DialFault>,
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
            made_at: None,
            rests_open: false,
            stray: 0,
            fault: None,
            reported: None,
        }
    }

    /// That the dial is wired the wrong way round; once, until a digit was right.
    pub fn poll_fault(&mut self) -> Option<DialFault> {
        self.fault.take()
    }

    fn raise(&mut self, fault: DialFault) {
        if self.reported != Some(fault) {
            self.reported = Some(fault);
            self.fault = Some(fault);
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
        if change.level {
            self.made_at = Some(change.since);
        }
        if self.rests_open {
            let rested =
                |made: Instant| change.since.saturating_duration_since(made) >= DIGIT_PAUSE;
            if change.level || !self.made_at.is_some_and(rested) {
                // A gap between pulses, not a pulse.
                self.stray += u32::from(change.level);
                if self.stray >= MANY {
                    self.raise(DialFault::PulseInverted);
                }
                return;
            }
            // It was closed for long: it rests closed, as it should.
            self.rests_open = false;
            self.stray = 0;
        }
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
            let says_rest = self.away.as_ref().and_then(Debouncer::stable) == Some(false);
            if says_rest && whole {
                self.stray += 1;
                if self.stray >= MANY {
                    self.raise(DialFault::OffNormal);
                }
            }
        }
    }

    /// The off-normal contact is stable: leaving rest begins a digit, coming back ends it.
    fn moved(&mut self, change: Option<Change>) -> Option<BoardEvent> {
        let change = change?;
        if change.level {
            self.begin();
            if self.pulse.stable() == Some(false) {
                self.count = None;
                self.raise(DialFault::PulseInverted);
            }
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
                self.rests_open = true;
                self.stray = 0;
            }
            return None;
        }
        self.finish()
    }

    fn begin(&mut self) {
        self.count = Some(0);
        self.broke_at = None;
        self.stray = 0;
    }

    fn finish(&mut self) -> Option<BoardEvent> {
        let digit = self.count.and_then(|count| self.numbering.digit(count));
        self.begin();
        if digit.is_some() {
            self.reported = None;
        }
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

    fn poll_fault(&mut self) -> Option<BoardError> {
        self.decoder.poll_fault().map(DialFault::error)
    }
}

#[cfg(test)]
mod tests;
