//! The ringer: a cadence becomes a moving clapper or a sounding buzzer.
//!
//! ```text
//! cadence (ms on, off, …) ─▶ RingSequencer ─▶ lines A and B at this moment ─▶ Ringer ─▶ GPIO
//! ```
//!
//! A bell coil hangs between two half bridges, one line each, driven in turn at 20 or 25 Hz. Both
//! high would short nothing but hold the coil still and hot, so they never are: between the halves
//! both are low for a moment. Both are low on stop, on drop, when a write fails, and when the
//! process panics ([`crate::gpio`] keeps a panic hook for it: a release build aborts without
//! dropping). A killed process cannot do that; the hardware watchdog's reset makes the pins inputs,
//! so give both lines pull-down resistors.

use std::time::{Duration, Instant};

use serde::Deserialize;

use crate::BoardError;

/// Both lines low at the beginning of each half wave.
const DEAD: Duration = Duration::from_millis(1);
/// Most elements of a cadence.
const MOST: usize = 16;

/// What hangs on the lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RingerKind {
    /// A coil between two lines, moved to and fro.
    Bell,
    /// A buzzer that sounds while its one line is high.
    Buzzer,
}

/// What the two lines should be now; pure.
#[derive(Debug, Clone)]
pub struct RingSequencer {
    kind: RingerKind,
    half: Duration,
    cadence: [Duration; MOST],
    length: usize,
    /// Since when it rings; `None`: silent.
    since: Option<Instant>,
}

impl RingSequencer {
    /// `frequency_hz` is the bell's, 10 to 50; a buzzer has its own.
    pub fn new(kind: RingerKind, frequency_hz: u32) -> Self {
        let half = Duration::from_micros(500_000 / u64::from(frequency_hz.clamp(10, 50)));
        Self {
            kind,
            half,
            cadence: [Duration::ZERO; MOST],
            length: 0,
            since: None,
        }
    }

    /// Rings with this cadence (ms on, off, …; repeated; at most 16, more are ignored), or stops.
    /// An empty one rings without pause.
    pub fn set(&mut self, cadence: Option<&[u16]>, now: Instant) {
        let Some(cadence) = cadence else {
            self.since = None;
            return;
        };
        self.length = cadence.len().min(MOST);
        for (to, &ms) in self.cadence.iter_mut().zip(cadence) {
            *to = Duration::from_millis(u64::from(ms));
        }
        self.since = Some(now);
    }

    /// Levels of the lines at `now`, and when they change next (`None`: never).
    pub fn at(&self, now: Instant) -> ((bool, bool), Option<Instant>) {
        const LOW: (bool, bool) = (false, false);
        let Some(since) = self.since else {
            return (LOW, None);
        };
        let run = now.saturating_duration_since(since);
        let Some((on, into, left)) = self.within_cadence(run) else {
            return (LOW, None);
        };
        let end = left.map(|left| now + left);
        if !on {
            return (LOW, end);
        }
        match self.kind {
            RingerKind::Buzzer => ((true, false), end),
            RingerKind::Bell => {
                let half = into.as_nanos() / self.half.as_nanos();
                let within = Duration::from_nanos((into.as_nanos() % self.half.as_nanos()) as u64);
                let (lines, change) = if within < DEAD {
                    (LOW, now + DEAD.saturating_sub(within))
                } else {
                    (
                        (half.is_multiple_of(2), !half.is_multiple_of(2)),
                        now + self.half.saturating_sub(within),
                    )
                };
                (lines, Some(end.map_or(change, |end| end.min(change))))
            }
        }
    }

    /// Where in the cadence: on or off, how long it has been, how long it stays (`None`: for ever).
    /// `None`: the cadence has no length.
    fn within_cadence(&self, run: Duration) -> Option<(bool, Duration, Option<Duration>)> {
        let cadence = &self.cadence[..self.length];
        if cadence.is_empty() {
            return Some((true, run, None));
        }
        let whole: Duration = cadence.iter().sum();
        if whole.is_zero() {
            return None;
        }
        let mut within = Duration::from_nanos((run.as_nanos() % whole.as_nanos()) as u64);
        for (i, &element) in cadence.iter().enumerate() {
            if within < element {
                return Some((i % 2 == 0, within, Some(element.saturating_sub(within))));
            }
            within -= element;
        }
        None
    }
}

/// Two lines that are set together.
pub trait RingerLines {
    /// Sets both; a ringer with one line ignores `b`.
    fn set(&mut self, a: bool, b: bool) -> Result<(), BoardError>;
}

/// A ringer on its lines.
pub struct Ringer<L: RingerLines> {
    lines: L,
    sequencer: RingSequencer,
    set: (bool, bool),
    next: Option<Instant>,
}

impl<L: RingerLines> Ringer<L> {
    /// Takes the lines and makes them low.
    pub fn new(mut lines: L, sequencer: RingSequencer) -> Result<Self, BoardError> {
        lines.set(false, false)?;
        Ok(Self {
            lines,
            sequencer,
            set: (false, false),
            next: None,
        })
    }

    /// Rings with this cadence, or stops.
    pub fn ring(&mut self, cadence: Option<&[u16]>, now: Instant) -> Result<(), BoardError> {
        self.sequencer.set(cadence, now);
        self.handle_timeout(now)
    }

    /// Brings the lines up to date.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), BoardError> {
        let (lines, next) = self.sequencer.at(now);
        self.next = next;
        if lines != self.set {
            // A late caller may skip the dead time: both low in between, always.
            let swapped = (self.set.0 && lines.1) || (self.set.1 && lines.0);
            let done = if swapped {
                self.lines.set(false, false)
            } else {
                Ok(())
            }
            .and_then(|()| self.lines.set(lines.0, lines.1));
            if let Err(error) = done {
                // Try to leave the coil without current; the first error is the one reported.
                self.sequencer.set(None, now);
                self.next = None;
                self.set = (false, false);
                let _ = self.lines.set(false, false);
                return Err(error);
            }
            self.set = lines;
        }
        Ok(())
    }

    /// When to call [`Ringer::handle_timeout`].
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.next
    }
}

impl<L: RingerLines> Drop for Ringer<L> {
    fn drop(&mut self) {
        // No one can handle the error in drop.
        let _ = self.lines.set(false, false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::cell::RefCell;
    use std::rc::Rc;

    /// What was set, and whether the next set fails.
    type Log = (Vec<(bool, bool)>, bool);

    /// Lines that record what was set; they fail once on request.
    #[derive(Clone, Default)]
    struct Recorder(Rc<RefCell<Log>>);

    impl RingerLines for Recorder {
        fn set(&mut self, a: bool, b: bool) -> Result<(), BoardError> {
            let mut tape = self.0.borrow_mut();
            if std::mem::take(&mut tape.1) {
                return Err(BoardError::Gone {
                    device: "bell".to_owned(),
                    problem: "test".to_owned(),
                });
            }
            assert!(!(a && b), "both lines high");
            assert!(
                !tape
                    .0
                    .last()
                    .is_some_and(|&(la, lb)| (la && b) || (lb && a)),
                "no dead time between the halves"
            );
            tape.0.push((a, b));
            Ok(())
        }
    }

    impl Recorder {
        fn last(&self) -> (bool, bool) {
            *self.0.borrow().0.last().unwrap()
        }
    }

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn a_bell_swings_at_its_frequency_in_its_cadence() {
        for (hz, swings) in [(20, 20), (25, 25)] {
            let t0 = Instant::now();
            let tape = Recorder::default();
            let mut bell =
                Ringer::new(tape.clone(), RingSequencer::new(RingerKind::Bell, hz)).unwrap();
            bell.ring(Some(&[1000, 4000]), t0).unwrap();
            let (mut rises, mut last_high, mut now) = (0, t0, t0);
            let mut before = (false, false);
            while let Some(next) = bell.poll_timeout().filter(|&next| next < t0 + ms(5000)) {
                now = next;
                bell.handle_timeout(now).unwrap();
                let lines = tape.last();
                if lines.0 && !before.0 {
                    rises += 1;
                }
                if lines != (false, false) {
                    last_high = now;
                }
                before = lines;
            }
            assert_eq!(rises, swings, "{hz} Hz for a second");
            assert!(last_high < t0 + ms(1000), "silent in the pause");
            assert_eq!(before, (false, false));
            assert!(now >= t0 + ms(1000));
            bell.handle_timeout(t0 + ms(5002)).unwrap();
            assert_eq!(tape.last(), (true, false), "and again");
        }
    }

    #[test]
    fn a_buzzer_follows_the_cadence() {
        let t0 = Instant::now();
        let tape = Recorder::default();
        let mut buzzer =
            Ringer::new(tape.clone(), RingSequencer::new(RingerKind::Buzzer, 25)).unwrap();
        buzzer.ring(Some(&[400, 200, 400, 2000]), t0).unwrap();
        for (t, high) in [
            (0, true),
            (399, true),
            (400, false),
            (600, true),
            (1000, false),
            (2999, false),
            (3000, true),
        ] {
            buzzer.handle_timeout(t0 + ms(t)).unwrap();
            assert_eq!(tape.last(), (high, false), "at {t} ms");
        }
    }

    #[test]
    fn stop_drop_panic_and_failure_end_with_both_low() {
        let t0 = Instant::now();
        let tape = Recorder::default();
        let new = || {
            let mut bell =
                Ringer::new(tape.clone(), RingSequencer::new(RingerKind::Bell, 25)).unwrap();
            bell.ring(Some(&[]), t0).unwrap();
            bell.handle_timeout(t0 + ms(5)).unwrap();
            assert_eq!(tape.last(), (true, false));
            bell
        };
        let mut bell = new();
        bell.ring(None, t0 + ms(6)).unwrap();
        assert_eq!((tape.last(), bell.poll_timeout()), ((false, false), None));
        drop(bell);
        drop(new());
        assert_eq!(tape.last(), (false, false));
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _bell = new();
            panic!("a test panics here");
        }));
        assert!(panicked.is_err());
        assert_eq!(tape.last(), (false, false));
        let mut bell = new();
        tape.0.borrow_mut().1 = true;
        assert!(bell.handle_timeout(t0 + ms(21)).is_err());
        assert_eq!((tape.last(), bell.poll_timeout()), ((false, false), None));
    }

    proptest! {
        /// Any cadence, any lateness: never both lines, never a swing without a pause between
        /// (asserted by the tape), and always an end.
        #[test]
        fn never_both_lines(
            cadence in prop::collection::vec(0u16..500, 0..20),
            hz in 0u32..100,
            late in prop::collection::vec(0u64..200_000, 200),
        ) {
            let t0 = Instant::now();
            let tape = Recorder::default();
            let mut bell = Ringer::new(tape.clone(), RingSequencer::new(RingerKind::Bell, hz))
                .unwrap();
            bell.ring(Some(&cadence), t0).unwrap();
            let mut now = t0;
            for micros in late {
                let Some(next) = bell.poll_timeout() else { break };
                prop_assert!(next > now, "a timeout that does not advance");
                now = next + Duration::from_micros(micros);
                bell.handle_timeout(now).unwrap();
            }
            drop(bell);
            prop_assert_eq!(tape.last(), (false, false));
        }
    }
}
