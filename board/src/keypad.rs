//! The keypad matrix: rows driven one at a time, columns read, keys debounced, ghosts refused.
//!
//! ```text
//!            idle: every row driven, one look each 10 ms ── a column answers ─▶ scan
//! Matrix ─▶  scan: one row a step: read its columns, drive the next ─▶ KeySet ─▶ KeypadDecoder ─▶ KeyDown / KeyUp
//!            nothing down for a while ─▶ idle
//! ```
//!
//! A step lasts 1 ms or more and is a timer, not a wait: the wires have that long to debounce. Rows
//! are open drain: with two keys of a column down, two rows are joined, and a row driven high would
//! fight one driven low. Without diodes three keys on the corners of a rectangle close the fourth;
//! which are real cannot be known, so while a rectangle stands no key goes down, only up.

use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};
use types::FunctionKey;

use embedded_hal::digital::{InputPin, OutputPin};

use crate::{BoardError, BoardEvent, Input};

/// Most rows and columns.
pub const MAX_SIDE: usize = 4;
/// Between two reads of an idle keypad.
const IDLE: Duration = Duration::from_millis(10);

/// Keys closed in one scan: bit `row * 4 + column`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct KeySet(pub u16);

impl KeySet {
    fn row(self, row: usize) -> u16 {
        self.0 >> (row * MAX_SIDE) & 0xf
    }

    /// True if some four closed keys are the corners of a rectangle: at least one may be a ghost.
    pub fn ambiguous(self) -> bool {
        (0..MAX_SIDE)
            .any(|a| (a + 1..MAX_SIDE).any(|b| (self.row(a) & self.row(b)).count_ones() >= 2))
    }
}

/// What is printed on the keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyLabels(pub [[char; MAX_SIDE]; MAX_SIDE]);

impl KeyLabels {
    /// The key of a telephone: `0`–`9`, `*`, `#`, `A`–`D`, `F` for flash, a label of
    /// [`FunctionKey::from_label`], or `.` where there is no key.
    pub fn is_key(key: char) -> bool {
        matches!(key, '0'..='9' | '*' | '#' | 'A'..='D' | 'F' | '.')
            || FunctionKey::from_label(key).is_some()
    }
}

/// From scans to key events; pure.
#[derive(Debug, Clone)]
pub struct KeypadDecoder {
    labels: KeyLabels,
    debounce: Duration,
    raw: KeySet,
    /// When each key last changed in the scans.
    since: [Option<Instant>; MAX_SIDE * MAX_SIDE],
    down: KeySet,
}

impl KeypadDecoder {
    /// A key counts when it read the same for `debounce`.
    pub fn new(labels: KeyLabels, debounce: Duration) -> Self {
        Self {
            labels,
            debounce,
            raw: KeySet::default(),
            since: [None; MAX_SIDE * MAX_SIDE],
            down: KeySet::default(),
        }
    }

    /// One whole scan, finished at `now`.
    pub fn scan(&mut self, closed: KeySet, now: Instant, out: &mut dyn FnMut(BoardEvent)) {
        let ambiguous = closed.ambiguous();
        for key in 0..MAX_SIDE * MAX_SIDE {
            let bit = 1u16 << key;
            let is_closed = closed.0 & bit != 0;
            if is_closed != (self.raw.0 & bit != 0) {
                self.since[key] = Some(now);
            }
            let is_down = self.down.0 & bit != 0;
            if is_closed && !is_down && ambiguous {
                // It may go down when the rectangle is gone, and is debounced again then.
                self.since[key] = Some(now);
                continue;
            }
            let is_stable = self.since[key]
                .is_none_or(|since| now.saturating_duration_since(since) >= self.debounce);
            if is_closed == is_down || !is_stable {
                continue;
            }
            self.down.0 ^= bit;
            let label = self.labels.0[key / MAX_SIDE][key % MAX_SIDE];
            if let Some(function) = FunctionKey::from_label(label) {
                if is_closed {
                    out(BoardEvent::Function(function));
                }
                continue;
            }
            match (label, is_closed) {
                ('.', _) | ('F', false) => {}
                ('F', true) => out(BoardEvent::FlashKey),
                (name, true) => out(BoardEvent::KeyDown(name)),
                (name, false) => out(BoardEvent::KeyUp(name)),
            }
        }
        self.raw = closed;
    }

    /// No key is down nor about to be.
    pub fn is_idle(&self) -> bool {
        self.raw.0 == 0 && self.down.0 == 0
    }
}

/// What the matrix is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scan {
    /// All rows driven, waiting for any column.
    Idle,
    /// This row is driven; the rows before it have been read into the set.
    Row(usize, KeySet),
}

/// A keypad on row and column pins: rows are driven low, a closed key pulls its column low.
pub struct Keypad<R, C> {
    rows: Vec<R>,
    columns: Vec<C>,
    decoder: KeypadDecoder,
    step: Duration,
    scan: Scan,
    due: Instant,
}

impl<R: OutputPin, C: InputPin> Keypad<R, C> {
    /// Takes the pins (at most 4 of each) and starts idle: all rows low. `step` is the time one row
    /// is driven before it is read.
    pub fn new(
        rows: Vec<R>,
        columns: Vec<C>,
        decoder: KeypadDecoder,
        step: Duration,
        now: Instant,
    ) -> Result<Self, BoardError> {
        let mut keypad = Self {
            rows,
            columns,
            decoder,
            step,
            scan: Scan::Idle,
            due: now + step,
        };
        keypad.drive(None)?;
        Ok(keypad)
    }

    /// Drives one row low and lets the others go, or drives all.
    fn drive(&mut self, one: Option<usize>) -> Result<(), BoardError> {
        // First let go, then drive: never two rows of a scan at once.
        for (row, pin) in self.rows.iter_mut().enumerate() {
            if one.is_some_and(|one| one != row) {
                pin.set_high()
                    .map_err(|e| BoardError::pin("keypad row", row, &e))?;
            }
        }
        for (row, pin) in self.rows.iter_mut().enumerate() {
            if one.is_none_or(|one| one == row) {
                pin.set_low()
                    .map_err(|e| BoardError::pin("keypad row", row, &e))?;
            }
        }
        Ok(())
    }

    fn columns(&mut self) -> Result<u16, BoardError> {
        let mut set = 0;
        for (column, pin) in self.columns.iter_mut().enumerate() {
            if pin
                .is_low()
                .map_err(|e| BoardError::pin("keypad column", column, &e))?
            {
                set |= 1 << column;
            }
        }
        Ok(set)
    }
}

impl<R: OutputPin, C: InputPin> Input for Keypad<R, C> {
    fn fds(&self) -> Vec<BorrowedFd<'_>> {
        Vec::new()
    }

    fn handle_ready(
        &mut self,
        now: Instant,
        out: &mut dyn FnMut(BoardEvent),
    ) -> Result<(), BoardError> {
        if now < self.due {
            return Ok(());
        }
        let columns = self.columns()?;
        match self.scan {
            Scan::Idle if columns == 0 => {
                self.due = now + IDLE;
            }
            Scan::Idle => {
                self.drive(Some(0))?;
                self.scan = Scan::Row(0, KeySet::default());
                self.due = now + self.step;
            }
            Scan::Row(row, set) => {
                let set = KeySet(set.0 | columns << (row * MAX_SIDE));
                self.due = now + self.step;
                if row + 1 < self.rows.len() {
                    self.drive(Some(row + 1))?;
                    self.scan = Scan::Row(row + 1, set);
                    return Ok(());
                }
                self.decoder.scan(set, now, out);
                if self.decoder.is_idle() {
                    self.drive(None)?;
                    self.scan = Scan::Idle;
                } else {
                    self.drive(Some(0))?;
                    self.scan = Scan::Row(0, KeySet::default());
                }
            }
        }
        Ok(())
    }

    fn poll_timeout(&self) -> Option<Instant> {
        Some(self.due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pins::{Matrix, MatrixColumn, MatrixRow};
    use proptest::prelude::*;

    const LABELS: KeyLabels = KeyLabels([
        ['1', '2', '3', 'A'],
        ['4', '5', '6', 'B'],
        ['7', '8', '9', 'C'],
        ['*', '0', '#', 'D'],
    ]);

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    /// A keypad over a simulated matrix of switches, in virtual time.
    struct Bench {
        matrix: Matrix,
        keypad: Keypad<MatrixRow, MatrixColumn>,
        now: Instant,
        seen: Vec<BoardEvent>,
    }

    impl Bench {
        fn new(rows: usize, columns: usize) -> Self {
            let now = Instant::now();
            let matrix = Matrix::new(rows, columns);
            let decoder = KeypadDecoder::new(LABELS, ms(12));
            let (row_pins, column_pins) = matrix.pins();
            let keypad = Keypad::new(row_pins, column_pins, decoder, ms(1), now).unwrap();
            Self {
                matrix,
                keypad,
                now,
                seen: Vec::new(),
            }
        }

        fn key(&self, key: char, closed: bool) {
            let index = LABELS.0.iter().flatten().position(|&k| k == key).unwrap();
            self.matrix.set(index / MAX_SIDE, index % MAX_SIDE, closed);
        }

        fn run(&mut self, time: Duration) -> Vec<BoardEvent> {
            let end = self.now + time;
            while let Some(due) = self.keypad.poll_timeout().filter(|&due| due <= end) {
                self.now = due;
                let seen = &mut self.seen;
                self.keypad
                    .handle_ready(due, &mut |event| seen.push(event))
                    .unwrap();
                assert!(
                    self.matrix.driven() <= 1 || self.matrix.driven() == self.matrix.rows(),
                    "two rows driven in one scan"
                );
            }
            self.now = end;
            std::mem::take(&mut self.seen)
        }
    }

    use BoardEvent::{KeyDown, KeyUp};

    #[test]
    fn every_key_of_both_matrix_sizes_is_decoded() {
        for columns in [3, 4] {
            let mut bench = Bench::new(4, columns);
            for row in LABELS.0 {
                for key in &row[..columns] {
                    bench.key(*key, true);
                    assert_eq!(bench.run(ms(60)), [KeyDown(*key)]);
                    bench.key(*key, false);
                    assert_eq!(bench.run(ms(60)), [KeyUp(*key)]);
                }
            }
        }
    }

    #[test]
    fn a_bouncing_key_is_one_press() {
        let mut bench = Bench::new(4, 3);
        bench.run(ms(30));
        for (after, closed) in [(0, true), (2, false), (1, true), (3, false), (2, true)] {
            bench.run(ms(after));
            bench.key('5', closed);
        }
        assert_eq!(bench.run(ms(60)), [KeyDown('5')]);
        for (after, closed) in [(0, false), (3, true), (2, false)] {
            bench.run(ms(after));
            bench.key('5', closed);
        }
        assert_eq!(bench.run(ms(60)), [KeyUp('5')]);
    }

    #[test]
    fn a_press_shorter_than_the_debounce_is_ignored() {
        let mut bench = Bench::new(4, 3);
        bench.key('5', true);
        bench.run(ms(8));
        bench.key('5', false);
        assert_eq!(bench.run(ms(100)), []);
    }

    #[test]
    fn several_keys_may_be_down() {
        let mut bench = Bench::new(4, 3);
        for key in ['1', '5', '9'] {
            bench.key(key, true);
            assert_eq!(bench.run(ms(60)), [KeyDown(key)]);
        }
        bench.key('5', false);
        assert_eq!(bench.run(ms(60)), [KeyUp('5')]);
        bench.key('1', false);
        bench.key('9', false);
        assert_eq!(bench.run(ms(60)), [KeyUp('1'), KeyUp('9')]);
    }

    #[test]
    fn three_corners_press_no_fourth_key() {
        let mut bench = Bench::new(4, 3);
        bench.key('1', true);
        bench.key('2', true);
        assert_eq!(bench.run(ms(60)), [KeyDown('1'), KeyDown('2')]);
        // 4 closes the rectangle 1 2 4 5: it cannot be distinguished from 5.
        bench.key('4', true);
        assert_eq!(bench.run(ms(60)), []);
        bench.key('2', false);
        assert_eq!(bench.run(ms(60)), [KeyDown('4'), KeyUp('2')]);
        bench.key('1', false);
        bench.key('4', false);
        assert_eq!(bench.run(ms(60)), [KeyUp('1'), KeyUp('4')]);
    }

    proptest! {
        /// Whatever is pressed and let go: only keys really closed go down, each down has its up,
        /// and nothing stays down.
        #[test]
        fn no_ghost_no_stuck_key(moves in prop::collection::vec(
            (0usize..16, any::<bool>(), 0u64..50), 0..60)) {
            let mut bench = Bench::new(4, 4);
            let mut down: Vec<char> = Vec::new();
            let mut real: Vec<char> = Vec::new();
            let note = |down: &mut Vec<char>, real: &[char], events: Vec<BoardEvent>| {
                for event in events {
                    match event {
                        KeyDown(key) => {
                            assert!(real.contains(&key), "ghost {key}");
                            assert!(!down.contains(&key), "{key} went down twice");
                            down.push(key);
                        }
                        KeyUp(key) => {
                            assert!(down.contains(&key), "{key} came up without having gone down");
                            down.retain(|k| *k != key);
                        }
                        other => panic!("{other:?} from a keypad without flash"),
                    }
                }
            };
            for (index, closed, wait) in moves {
                let key = LABELS.0[index / 4][index % 4];
                bench.key(key, closed);
                if closed { real.push(key); }
                note(&mut down, &real, bench.run(ms(wait)));
            }
            for row in LABELS.0 { for key in row { bench.key(key, false); } }
            note(&mut down, &real, bench.run(ms(200)));
            prop_assert!(down.is_empty(), "stuck: {:?}", down);
        }
    }
}
