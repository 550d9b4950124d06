//! Which line is what: found by watching all free lines while a person lifts, presses and dials.
//!
//! ```text
//! levels of all lines ────────────▶ Watch (rest, changes, bounce) ─┐
//! pairs that a pressed key joins ─▶ Matrix (rows, columns) ────────┼─▶ WiringFinder ─▶ Instruction, Findings ─▶ TOML
//! handle_timeout ─────────────────────────────────────────────────┘
//! ```
//!
//! Pure: whoever owns the lines pulls all of them up, reports every edge and, while
//! [`WiringFinder::wants_scan`] says so, which lines read low while one of them is driven low.
//! Nothing is driven else: an unknown line may lead to somebody's output.

mod findings;
mod lines;
mod matrix;
mod watch;

use std::time::{Duration, Instant};

pub use findings::{DialFound, Findings, HookFound, KeypadFound};
pub use lines::FreeLines;
pub use matrix::Joined;

use matrix::Matrix;
use watch::Watch;

/// How long the lines are looked at before anybody does anything.
const REST: Duration = Duration::from_secs(2);
/// A step that no one does is left out after so long.
const STEP_TIMEOUT: Duration = Duration::from_secs(20);
/// A contact that has not moved for so long has come to rest.
const QUIET: Duration = Duration::from_millis(600);
/// The digit that is dialled.
const DIGIT: u32 = 5;

/// What a person is asked to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Instruction {
    /// Put the handset down and touch nothing.
    Rest,
    /// Lift the handset.
    Lift,
    /// Put it down again.
    PutDown,
    /// Press this key of the keypad, or dial 5 on a rotary dial.
    FirstKey(char),
    /// Press this key.
    Key(char),
    /// That was all.
    Done,
}

impl std::fmt::Display for Instruction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Rest => f.write_str("put the handset down and touch nothing"),
            Self::Lift => f.write_str("lift the handset"),
            Self::PutDown => f.write_str("put the handset down"),
            Self::FirstKey(key) => write!(
                f,
                "press {key} on the keypad, or dial {DIGIT} on the dial; wait where there is \
                 neither"
            ),
            Self::Key(key) => write!(f, "press {key}; wait where there is no such key"),
            Self::Done => f.write_str("done"),
        }
    }
}

/// The keys that are asked for, in this order.
const KEYS: [char; 16] = [
    '1', '2', '3', '4', '5', '6', '7', '8', '9', '*', '0', '#', 'A', 'B', 'C', 'D',
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Rest,
    Lift,
    PutDown,
    /// Index into [`KEYS`].
    Key(usize),
    Done,
}

/// Finds out what is wired.
#[derive(Debug)]
pub struct WiringFinder {
    step: Step,
    /// When the step began.
    since: Instant,
    watch: Watch,
    matrix: Matrix,
    /// The key that is being pressed was taken already.
    held: bool,
    findings: Findings,
    asked: Option<Instruction>,
}

impl WiringFinder {
    /// `lines`: their numbers and what each reads, pulled up; `true` is high.
    pub fn new(lines: &[(u32, bool)], now: Instant) -> Self {
        Self {
            step: Step::Rest,
            since: now,
            watch: Watch::new(lines, now),
            matrix: Matrix::default(),
            held: false,
            findings: Findings::default(),
            asked: Some(Instruction::Rest),
        }
    }

    /// A line changed.
    pub fn handle_edge(&mut self, line: u32, high: bool, at: Instant) {
        self.watch.handle_edge(line, high, at);
    }

    /// Which lines read low while another was driven low, and high while none was.
    pub fn handle_scan(&mut self, joined: &[Joined], now: Instant) {
        let Step::Key(index) = self.step else { return };
        match joined {
            [] => self.held = false,
            _ if self.held => {}
            _ => {
                self.held = true;
                self.matrix.press(KEYS[index], joined);
                self.enter(Step::Key(index + 1), now);
            }
        }
    }

    /// The lines that are to be driven low one after the other: none while no one presses keys, and
    /// never one that is known to be something else.
    pub fn wants_scan(&self) -> Vec<u32> {
        match self.step {
            Step::Key(_) => {
                let hook = self.findings.hook.as_ref().map(|hook| hook.line);
                let lines = self.watch.lines_at_rest_high();
                lines.filter(|line| Some(*line) != hook).collect()
            }
            Step::Rest | Step::Lift | Step::PutDown | Step::Done => Vec::new(),
        }
    }

    /// Time passes; call every 10 ms or so.
    pub fn handle_timeout(&mut self, now: Instant) {
        let waited = now.saturating_duration_since(self.since);
        match self.step {
            Step::Rest if waited >= REST => {
                self.findings.restless = self.watch.restless();
                self.watch.begin(now);
                self.enter(Step::Lift, now);
            }
            Step::Lift => {
                if let Some(moved) = self.watch.moved_and_stayed(now, QUIET) {
                    self.findings.hook = Some(HookFound::lifted(moved));
                    self.watch.begin(now);
                    self.enter(Step::PutDown, now);
                } else if waited >= STEP_TIMEOUT {
                    self.watch.begin(now);
                    self.enter(Step::Key(0), now);
                }
            }
            Step::PutDown => {
                let back = self.watch.moved_and_stayed(now, QUIET);
                if let (Some(moved), Some(hook)) = (back, &mut self.findings.hook) {
                    hook.put_down(moved);
                }
                if back.is_some() || waited >= STEP_TIMEOUT {
                    self.watch.begin(now);
                    self.enter(Step::Key(0), now);
                }
            }
            Step::Key(0) => {
                if let Some(dial) = self.watch.dialled(now, QUIET, DIGIT) {
                    self.findings.dial = Some(dial);
                    self.enter(Step::Done, now);
                } else if waited >= STEP_TIMEOUT {
                    self.enter(Step::Done, now);
                }
            }
            // A keypad of three columns has no fourth: what is not pressed is left out.
            Step::Key(index) if waited >= STEP_TIMEOUT / 2 => {
                let next = if index >= 12 { KEYS.len() } else { index + 1 };
                self.enter(Step::Key(next), now);
            }
            Step::Rest | Step::Done | Step::Key(_) => {}
        }
    }

    /// What a person is to do now, once.
    pub fn poll_instruction(&mut self) -> Option<Instruction> {
        self.asked.take()
    }

    /// Nothing more is asked.
    pub fn is_done(&self) -> bool {
        self.step == Step::Done
    }

    /// What was found so far.
    pub fn findings(&self) -> &Findings {
        &self.findings
    }

    fn enter(&mut self, step: Step, now: Instant) {
        let step = match step {
            Step::Key(index) if index >= KEYS.len() => Step::Done,
            other => other,
        };
        self.step = step;
        self.since = now;
        if step == Step::Done {
            self.findings.keypad = self.matrix.keypad();
            self.findings.unclear_keys = self.matrix.unclear();
        }
        self.asked = Some(match step {
            Step::Rest => Instruction::Rest,
            Step::Lift => Instruction::Lift,
            Step::PutDown => Instruction::PutDown,
            Step::Key(0) => Instruction::FirstKey(KEYS[0]),
            Step::Key(index) => Instruction::Key(KEYS[index]),
            Step::Done => Instruction::Done,
        });
    }
}

#[cfg(test)]
mod tests;
