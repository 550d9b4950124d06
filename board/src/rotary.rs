//! The rotary dial: two contacts, one that opens once a pulse and one that is closed while the dial
//! is away from rest.
//!
//! ```text
//! pulse contact edges ──────▶ debounce ─▶ breaks ─▶ train: can a dial have made it? ─┐
//! off-normal contact edges ─▶ debounce ─▶ back at rest ──────────────────────────────┴▶ BoardEvent::Rotary
//! ```
//!
//! A dial runs at 10 pulses a second, a worn one at 8 to 22, and is open for 50 to 72 % of each:
//! breaks of 23 to 90 ms, makes of 13 to 62 ms. Where no off-normal contact is wired a pause ends
//! the digit. A dial wired the wrong way round gives no digit instead of a wrong one, and says so.
//! So does one whose pulses are not those of a dial: an edge that was lost (while a dial runs its
//! levels are read every few milliseconds, which finds most), a contact that bounces for longer
//! than a break, an off-normal contact that opens in between.

use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use serde::Deserialize;

use crate::contact::{Change, Debouncer, Doubt};
use crate::{BoardError, BoardEvent, Edge, EdgeLine, Input};

mod train;

use train::Train;

/// Quiet that makes a level real: longer than the bounce (≤ 5 ms), half of the shortest make.
const DEBOUNCE: Duration = Duration::from_millis(7);
/// A contact that takes longer to come to rest may have hidden a pulse.
const LONGEST_BOUNCE: Duration = Duration::from_millis(7);
/// A break longer than this is no pulse: a broken wire, or a hook opened in the same loop.
const LONGEST_BREAK: Duration = Duration::from_millis(200);
/// A level that leaves and comes back within this is a spark; for longer, what is left of a pulse,
/// or hides one.
const SPARK: Duration = Duration::from_millis(1);
/// With an off-normal contact: this long after the last break began, no pulse follows, and the
/// contact did not only bounce.
const NO_MORE: Duration = Duration::from_millis(160);
/// While the dial runs its levels are read this often: an edge may be lost.
const READ_EVERY: Duration = Duration::from_millis(4);
/// It runs for this long after an edge.
const RUNS: Duration = Duration::from_millis(300);
/// It may be held away from rest; for longer than this, its contact is broken.
const HELD: Duration = Duration::from_secs(20);
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
    /// No dial makes such pulses: digit after digit is refused.
    Uneven,
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
            Self::Uneven => (
                "the pulses are not those of a dial, one bounces or is missing: such digits are \
                 not taken",
                "clean and bend the pulse contact, look for a loose wire, or have the governor \
                 set to 10 pulses a second (8 to 22 are taken)",
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
    train: Train,
    /// The dial came back to rest after the pulses.
    returned: bool,
    /// Trains that came one after another though the dial never came to rest.
    unreturned: u32,
    /// When the pulse contact did what may have hidden a pulse.
    doubted_at: Option<Instant>,
    /// The last edge, and when the levels are to be read again.
    edge_at: Instant,
    read_at: Option<Instant>,
    /// When the contact closed last.
    made_at: Option<Instant>,
    /// The pulse contact was open for longer than any pulse: it may rest open, and what looks like
    /// pulses are the gaps between them.
    rests_open: bool,
    /// Pulses that came while there should be none.
    stray: u32,
    /// Digits in a row whose pulses were refused.
    refused: u32,
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
            train: Train::default(),
            returned: false,
            unreturned: 0,
            doubted_at: None,
            edge_at: now,
            read_at: None,
            made_at: None,
            rests_open: false,
            stray: 0,
            refused: 0,
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
        let before = self.handle_time(at);
        let change = self.pulse.handle_edge(closed, at);
        self.pulsed(change, at);
        self.ran(at);
        before
    }

    /// The off-normal contact changed. Pass edges of both contacts in the order of their
    /// timestamps.
    pub fn handle_off_normal_edge(&mut self, away: bool, at: Instant) -> Option<BoardEvent> {
        let before = self.handle_time(at);
        let contact = self.away.as_mut();
        let change = contact.and_then(|contact| contact.handle_edge(away, at));
        self.moved(change);
        self.ran(at);
        before
    }

    /// Both contacts as they read now; call at [`RotaryDecoder::poll_timeout`] and after each
    /// burst.
    pub fn handle_level(&mut self, closed: bool, away: bool, now: Instant) -> Option<BoardEvent> {
        let before = self.handle_time(now);
        let change = self.pulse.handle_level(closed, now);
        self.pulsed(change, now);
        let contact = self.away.as_mut();
        let change = contact.and_then(|contact| contact.handle_level(away, now));
        self.moved(change);
        self.read(now);
        before.or_else(|| self.over(now))
    }

    /// When to call [`RotaryDecoder::handle_level`].
    pub fn poll_timeout(&self) -> Option<Instant> {
        [
            self.pulse.poll_timeout(),
            self.away.as_ref().and_then(Debouncer::poll_timeout),
            self.over_at(),
            self.read_at,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// What follows from the time alone, in its order, before something that comes now.
    fn handle_time(&mut self, now: Instant) -> Option<BoardEvent> {
        let due = |contact: &Debouncer| contact.poll_timeout();
        let away_first = match (due(&self.pulse), self.away.as_ref().and_then(due)) {
            (Some(pulse), Some(away)) => away < pulse,
            _ => false,
        };
        if !away_first {
            let change = self.pulse.handle_time(now);
            self.pulsed(change, now);
        }
        let contact = self.away.as_mut();
        let change = contact.and_then(|contact| contact.handle_time(now));
        self.moved(change);
        if away_first {
            let change = self.pulse.handle_time(now);
            self.pulsed(change, now);
        }
        self.over(now)
    }

    /// An edge came: the dial runs.
    fn ran(&mut self, at: Instant) {
        self.edge_at = at;
        self.read_at = Some(at + READ_EVERY);
    }

    /// The levels were read: when next.
    fn read(&mut self, now: Instant) {
        let since = now.saturating_duration_since(self.edge_at);
        let is_away = self.away.as_ref().and_then(Debouncer::stable) == Some(true);
        let runs = self.read_at.is_some() && since <= if is_away { HELD } else { RUNS };
        self.read_at = runs.then(|| now + READ_EVERY);
    }

    /// What makes a count of pulses doubtful.
    fn doubted(&mut self, at: Instant) {
        match self.pulse.poll_doubt() {
            Some(Doubt::Restless(length)) if length < SPARK => {}
            Some(Doubt::Lost | Doubt::Restless(_)) => {
                self.train.spoil();
                self.doubted_at = Some(at);
            }
            None => {}
        }
    }

    /// The off-normal contact says that the dial rests.
    fn says_rest(&self) -> bool {
        self.away.as_ref().and_then(Debouncer::stable) == Some(false)
    }

    /// The pulse contact is stable: a make completes the pulse that its break began.
    fn pulsed(&mut self, change: Option<Change>, at: Instant) {
        self.doubted(at);
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
        if change.level {
            self.made(change);
        } else {
            self.broke(change);
        }
    }

    fn broke(&mut self, change: Change) {
        let last = self.train.last_break();
        let gap = last.map(|last| change.began.saturating_duration_since(last));
        if self.away.is_some() && gap.is_some_and(|gap| gap > DIGIT_PAUSE) {
            // Another digit, and the dial was never back at rest: its edge was lost, or its wire
            // is broken.
            self.train = Train::default();
            self.train.spoil();
            self.unreturned += 1;
            if self.unreturned >= MANY {
                self.raise(DialFault::OffNormal);
            }
        }
        if self.train.is_empty() && self.away.is_none() {
            self.begin_at(change.began);
        }
        // No pulse comes while the dial rests: the contact opened in between.
        if self.returned || self.says_rest() {
            self.returned = false;
            self.train.spoil();
        }
        self.bounced(change);
        self.train.handle_break(change.began);
    }

    /// A burst as long as a make may have hidden one.
    fn bounced(&mut self, change: Change) {
        if change.since.saturating_duration_since(change.began) > LONGEST_BOUNCE {
            self.train.spoil();
            self.doubted_at = Some(change.since);
        }
    }

    fn made(&mut self, change: Change) {
        let Some(length) = self.train.handle_make(change.began) else {
            return;
        };
        self.bounced(change);
        if self.says_rest() && length <= LONGEST_BREAK {
            self.stray += 1;
            if self.stray >= MANY {
                self.raise(DialFault::OffNormal);
            }
        }
    }

    /// The off-normal contact is stable: leaving rest begins a digit, coming back ends it.
    fn moved(&mut self, change: Option<Change>) {
        let Some(change) = change else { return };
        if !change.level {
            self.unreturned = 0;
            self.returned = !self.train.is_empty();
            if !self.returned {
                self.begin_at(change.since);
            }
            return;
        }
        if self.pulse.stable() == Some(false) {
            self.doubted_at = Some(change.since);
            self.begin_at(change.since);
            self.raise(DialFault::PulseInverted);
            return;
        }
        if self.returned {
            // The digit before is about to be over, or the contact opened in between: what comes
            // next decides.
            return;
        }
        if self.train.is_empty() {
            self.begin_at(change.since);
        } else {
            // The contact is late: pulses came before.
            self.train.spoil();
        }
    }

    /// When the pulses that came are all.
    fn over_at(&self) -> Option<Instant> {
        let last = self.train.last_break()?;
        let at = match &self.away {
            // A contact that bounces on and on may have hidden more of them.
            None => (last + DIGIT_PAUSE).max(self.edge_at + NO_MORE),
            // A make has to come first.
            Some(_) if self.pulse.stable() == Some(false) => return None,
            Some(_) if self.returned => last + NO_MORE,
            // What came while the dial rests is forgotten.
            Some(_) if self.says_rest() => last + DIGIT_PAUSE,
            Some(_) => return None,
        };
        // Not before the contact is quiet.
        Some(self.pulse.poll_timeout().map_or(at, |due| at.max(due)))
    }

    /// Ends a digit when its pulses are over.
    fn over(&mut self, now: Instant) -> Option<BoardEvent> {
        if self.over_at().is_none_or(|at| now < at) {
            return None;
        }
        if self.pulse.stable() == Some(false) {
            // Still open: a break this long is no pulse, and may be how the contact rests.
            self.begin();
            self.rests_open = true;
            return None;
        }
        self.finish()
    }

    /// Begins a digit at this time: where the contact was doubtful shortly before, a doubtful one.
    fn begin_at(&mut self, at: Instant) {
        self.begin();
        let shortly = |doubt: Instant| at.saturating_duration_since(doubt) <= DIGIT_PAUSE;
        if self.doubted_at.is_some_and(shortly) {
            self.train.spoil();
        }
    }

    fn begin(&mut self) {
        self.train = Train::default();
        self.returned = false;
        self.stray = 0;
    }

    fn finish(&mut self) -> Option<BoardEvent> {
        let digit = self
            .train
            .pulses()
            .and_then(|count| self.numbering.digit(count));
        let (stray, is_dialled) = (self.stray, self.returned || self.away.is_none());
        self.begin();
        if digit.is_some() {
            self.reported = None;
            self.refused = 0;
        } else {
            self.stray = stray;
            self.refused += u32::from(is_dialled);
            if self.refused >= MANY {
                self.raise(DialFault::Uneven);
            }
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

/// The next edge of a line that not every dial has.
fn next_edge(line: Option<&mut impl EdgeLine>) -> Result<Option<Edge>, BoardError> {
    line.map_or(Ok(None), EdgeLine::next_edge)
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
                away = next_edge(self.away.as_mut())?;
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
                    away = next_edge(self.away.as_mut())?;
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
