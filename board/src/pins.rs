//! Simulated pins: the same devices as on Linux, without a chip. Used by the tests, and by whoever
//! builds a phone without hardware.
//!
//! ```text
//! SimulatedLine::set ─▶ edges ─▶ HookSwitch, RotaryDial          Matrix::set ─▶ Keypad
//! Bell, Lamp ─▶ SimulatedPin::is_high
//! ```

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::os::fd::BorrowedFd;
use std::rc::Rc;
use std::time::Instant;

use embedded_hal::digital::{ErrorType, InputPin, OutputPin};

use crate::{BoardError, Edge, EdgeLine};

/// Edges a line holds for a late reader, as the kernel does for one line.
const QUEUE: usize = 16;

/// A line that is moved by hand. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct SimulatedLine {
    level: Rc<Cell<bool>>,
    edges: Rc<RefCell<VecDeque<Edge>>>,
    /// Comes when the level is read the next time.
    #[cfg(test)]
    at_next_read: Rc<Cell<Option<Edge>>>,
}

impl SimulatedLine {
    /// Moves the line; a full queue loses the oldest edge, as the kernel's does.
    pub fn set(&self, level: bool, at: Instant) {
        if self.level.replace(level) != level {
            let mut edges = self.edges.borrow_mut();
            if edges.len() == QUEUE {
                edges.pop_front();
            }
            edges.push_back(Edge { level, at });
        }
    }

    /// Moves the line just before its level is read the next time: after a reader has drained the
    /// edges.
    #[cfg(test)]
    pub(crate) fn set_at_next_read(&self, level: bool, at: Instant) {
        self.at_next_read.set(Some(Edge { level, at }));
    }
}

impl EdgeLine for SimulatedLine {
    fn fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn level(&mut self) -> Result<bool, BoardError> {
        #[cfg(test)]
        if let Some(edge) = self.at_next_read.take() {
            self.set(edge.level, edge.at);
        }
        Ok(self.level.get())
    }

    fn next_edge(&mut self) -> Result<Option<Edge>, BoardError> {
        Ok(self.edges.borrow_mut().pop_front())
    }
}

/// An output pin that can be read back. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct SimulatedPin(Rc<Cell<bool>>);

impl SimulatedPin {
    /// The level last driven.
    pub fn is_high(&self) -> bool {
        self.0.get()
    }
}

impl ErrorType for SimulatedPin {
    type Error = Infallible;
}

impl OutputPin for SimulatedPin {
    fn set_low(&mut self) -> Result<(), Infallible> {
        self.0.set(false);
        Ok(())
    }

    fn set_high(&mut self) -> Result<(), Infallible> {
        self.0.set(true);
        Ok(())
    }
}

/// A switch matrix without diodes: closed switches join rows and columns, ghosts included.
#[derive(Debug, Clone)]
pub struct Matrix {
    rows: usize,
    columns: usize,
    closed: Rc<Cell<u16>>,
    /// Rows driven low, one bit each.
    low: Rc<Cell<u8>>,
}

impl Matrix {
    /// All switches open. At most 4 by 4.
    pub fn new(rows: usize, columns: usize) -> Self {
        Self {
            rows: rows.min(4),
            columns: columns.min(4),
            closed: Rc::default(),
            low: Rc::default(),
        }
    }

    /// The pins a keypad needs.
    pub fn pins(&self) -> (Vec<MatrixRow>, Vec<MatrixColumn>) {
        let rows = (0..self.rows)
            .map(|row| MatrixRow {
                matrix: self.clone(),
                row,
            })
            .collect();
        let columns = (0..self.columns)
            .map(|column| MatrixColumn {
                matrix: self.clone(),
                column,
            })
            .collect();
        (rows, columns)
    }

    /// Closes or opens one switch.
    pub fn set(&self, row: usize, column: usize, closed: bool) {
        let bit = 1 << (row * 4 + column);
        self.closed.set(if closed {
            self.closed.get() | bit
        } else {
            self.closed.get() & !bit
        });
    }

    /// How many rows are driven low now.
    pub fn driven(&self) -> usize {
        self.low.get().count_ones() as usize
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Columns joined to a row driven low, by however many switches.
    fn low_columns(&self) -> u16 {
        let (mut rows, mut columns) = (u16::from(self.low.get()), 0u16);
        // Each pass reaches one wire further; there are eight.
        for _ in 0..8 {
            for row in 0..4 {
                let joined = self.closed.get() >> (row * 4) & 0xf;
                if rows & 1 << row != 0 {
                    columns |= joined;
                }
                if columns & joined != 0 {
                    rows |= 1 << row;
                }
            }
        }
        columns
    }
}

/// One row of a [`Matrix`].
#[derive(Debug)]
pub struct MatrixRow {
    matrix: Matrix,
    row: usize,
}

impl ErrorType for MatrixRow {
    type Error = Infallible;
}

impl OutputPin for MatrixRow {
    fn set_low(&mut self) -> Result<(), Infallible> {
        self.matrix.low.set(self.matrix.low.get() | 1 << self.row);
        Ok(())
    }

    fn set_high(&mut self) -> Result<(), Infallible> {
        self.matrix
            .low
            .set(self.matrix.low.get() & !(1 << self.row));
        Ok(())
    }
}

/// One column of a [`Matrix`].
#[derive(Debug)]
pub struct MatrixColumn {
    matrix: Matrix,
    column: usize,
}

impl ErrorType for MatrixColumn {
    type Error = Infallible;
}

impl InputPin for MatrixColumn {
    fn is_high(&mut self) -> Result<bool, Infallible> {
        self.is_low().map(|low| !low)
    }

    fn is_low(&mut self) -> Result<bool, Infallible> {
        Ok(self.matrix.low_columns() & 1 << self.column != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hook::{Contact, HookSwitch};
    use crate::{BoardEvent, Input};
    use std::time::Duration;

    #[test]
    fn a_full_edge_queue_still_ends_at_the_level() {
        let t0 = Instant::now();
        let line = SimulatedLine::default();
        let mut hook = HookSwitch::new(
            line.clone(),
            Contact::NormallyOpen,
            Duration::from_millis(20),
            t0,
        )
        .unwrap();
        let mut seen = Vec::new();
        for i in 0..101u64 {
            line.set(i % 2 == 0, t0 + Duration::from_micros(100 * i));
        }
        for t in [11, 40, 60] {
            hook.handle_ready(t0 + Duration::from_millis(t), &mut |event| seen.push(event))
                .unwrap();
        }
        assert_eq!(seen, [BoardEvent::Hook(true)]);
    }

    #[test]
    fn a_matrix_without_diodes_has_ghost_keys() {
        let matrix = Matrix::new(4, 4);
        let (mut rows, mut columns) = matrix.pins();
        for (row, column) in [(0, 0), (0, 1), (1, 0)] {
            matrix.set(row, column, true);
        }
        rows[1].set_low().unwrap();
        let low: Vec<bool> = columns
            .iter_mut()
            .map(|column| column.is_low().unwrap())
            .collect();
        assert_eq!(low, [true, true, false, false]);
    }
}
