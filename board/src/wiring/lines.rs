//! All free lines of a chip, as [`super::WiringFinder`] wants them watched.

use std::time::Instant;

use embedded_hal::digital::OutputPin;

use super::{Joined, WiringFinder};
use crate::gpio::{self, ActiveLevel, Bias, Drive, EdgeInput, FoundLine};
use crate::{BoardError, EdgeLine};

struct FreeLine {
    number: u32,
    found: FoundLine,
    input: EdgeInput,
    /// What the finder knows it to be.
    high: bool,
}

/// The free lines, each pulled up.
pub struct FreeLines {
    lines: Vec<FreeLine>,
    /// An input that a scan took away for a moment has missed the edges of that moment.
    scanned: bool,
}

impl FreeLines {
    /// Takes every line of the chip that no one holds and that can be an input with a pull-up.
    ///
    /// # Errors
    /// There is no such chip, or none of its lines is free.
    pub fn open(chip: &str) -> Result<Self, BoardError> {
        let mut lines = Vec::new();
        for (number, found) in gpio::free_lines("wiring", chip)? {
            if let Ok(input) = open(&found) {
                lines.push(FreeLine {
                    number,
                    found,
                    input,
                    high: true,
                });
            }
        }
        if lines.is_empty() {
            return Err(BoardError::Device {
                device: format!("GPIO chip `{chip}`"),
                problem: "none of its lines is free".to_owned(),
                help: "stop the phone first: it holds its lines (`gpioinfo` names who does)"
                    .to_owned(),
            });
        }
        Ok(Self {
            lines,
            scanned: false,
        })
    }

    /// What each line reads; `true` is high.
    ///
    /// # Errors
    /// A line fails.
    pub fn levels(&mut self) -> Result<Vec<(u32, bool)>, BoardError> {
        let level = |line: &mut FreeLine| Ok((line.number, line.input.level()?));
        self.lines.iter_mut().map(level).collect()
    }

    /// Hands every edge to the finder, and what a line has become during a scan. Returns whether
    /// there was one.
    ///
    /// # Errors
    /// A line fails.
    pub fn report_edges(&mut self, finder: &mut WiringFinder) -> Result<bool, BoardError> {
        let mut edges = Vec::new();
        for line in &mut self.lines {
            while let Some(edge) = line.input.next_edge()? {
                line.high = edge.level;
                edges.push((edge.at, line.number, edge.level));
            }
            if self.scanned {
                let high = line.input.level()?;
                if high != line.high {
                    line.high = high;
                    edges.push((Instant::now(), line.number, high));
                }
            }
        }
        self.scanned = false;
        edges.sort_by_key(|(at, ..)| *at);
        for (at, line, high) in &edges {
            finder.handle_edge(*line, *high, *at);
        }
        Ok(!edges.is_empty())
    }

    /// Drives one line after the other low for a moment, and says which follow.
    ///
    /// # Errors
    /// A line fails.
    pub fn scan(&mut self, driven: &[u32]) -> Result<Vec<Joined>, BoardError> {
        self.scanned = true;
        let rest = self.levels()?;
        let is_high = |number: u32| rest.iter().any(|(line, high)| *line == number && *high);
        let mut joined = Vec::new();
        for index in 0..self.lines.len() {
            let number = self.lines[index].number;
            if !driven.contains(&number) {
                continue;
            }
            let line = self.lines.remove(index);
            // Open drain: it never drives against an output of another device that is high.
            let (found, high) = (line.found.clone(), line.high);
            drop(line);
            let mut pin = gpio::output(&found, Drive::OpenDrain, ActiveLevel::High)?;
            let low = pin.set_low();
            let mut failed = low.err().map(|e| BoardError::pin("line", index, &e));
            for other in &mut self.lines {
                match other.input.level() {
                    Ok(false) if is_high(other.number) && driven.contains(&other.number) => {
                        joined.push(Joined {
                            driven: number,
                            reads_low: other.number,
                        });
                    }
                    Ok(_) => {}
                    Err(error) => failed = Some(error),
                }
            }
            drop(pin);
            let input = open(&found)?;
            let line = FreeLine {
                number,
                found,
                input,
                high,
            };
            self.lines.insert(index, line);
            // Edges that the scan itself caused are not reported.
            for line in &mut self.lines {
                let follows = |j: &Joined| j.driven == number && j.reads_low == line.number;
                if joined.iter().any(follows) {
                    while line.input.next_edge()?.is_some() {}
                }
            }
            if let Some(error) = failed {
                return Err(error);
            }
        }
        Ok(joined)
    }

    /// A finder for these lines as they read now.
    ///
    /// # Errors
    /// A line fails.
    pub fn finder(&mut self, now: Instant) -> Result<WiringFinder, BoardError> {
        let levels = self.levels()?;
        for (line, (_, high)) in self.lines.iter_mut().zip(&levels) {
            line.high = *high;
        }
        Ok(WiringFinder::new(&levels, now))
    }
}

fn open(found: &FoundLine) -> Result<EdgeInput, BoardError> {
    EdgeInput::open(
        found,
        ActiveLevel::High,
        Some(Bias::PullUp),
        std::time::Duration::ZERO,
    )
}
