//! What was found out about the wiring, and the sections of `offhook.toml` to write for it.

use std::fmt::Write as _;
use std::time::Duration;

use super::watch::Moved;

/// The hook switch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookFound {
    /// Its line.
    pub line: u32,
    /// It is closed while the handset lies.
    pub normally_closed: bool,
    /// The longest bounce seen.
    pub bounce: Duration,
}

impl HookFound {
    /// The contacts switch to ground, the line is pulled up.
    pub(super) fn lifted(moved: Moved) -> Self {
        Self {
            line: moved.line,
            normally_closed: moved.high,
            bounce: moved.bounce,
        }
    }

    pub(super) fn put_down(&mut self, moved: Moved) {
        if moved.line == self.line {
            self.bounce = self.bounce.max(moved.bounce);
        }
    }

    /// A quiet time that is longer than any bounce seen, in ms.
    pub fn debounce_ms(&self) -> u64 {
        let ms = self.bounce.as_millis() as u64;
        (ms + ms / 2).div_ceil(10).saturating_mul(10).clamp(20, 400)
    }
}

/// The keypad.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeypadFound {
    /// Lines of the rows, top first.
    pub rows: Vec<u32>,
    /// Lines of the columns, left first.
    pub columns: Vec<u32>,
    /// What is printed on the keys, a text a row.
    pub labels: Vec<String>,
    /// Each key has a diode.
    pub has_diodes: bool,
}

/// The rotary dial.
#[derive(Debug, Clone, PartialEq)]
pub struct DialFound {
    /// Line of the pulse contact.
    pub pulse: u32,
    /// It reads high while it is closed.
    pub pulse_closed_high: bool,
    /// Line of the off-normal contact, where there is one.
    pub off_normal: Option<u32>,
    /// It reads high while the dial is away from rest.
    pub off_normal_away_high: bool,
    /// Pulses counted.
    pub pulses: u32,
    /// Pulses that the digit has.
    pub expected: u32,
    /// Its speed.
    pub pulses_per_second: f32,
    /// How much of a pulse the contact is open.
    pub break_percent: f32,
}

/// All that was found.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Findings {
    /// The hook switch.
    pub hook: Option<HookFound>,
    /// The keypad.
    pub keypad: Option<KeypadFound>,
    /// The rotary dial.
    pub dial: Option<DialFound>,
    /// Keys that joined anything but two lines.
    pub unclear_keys: Vec<char>,
    /// Lines that moved while nothing was touched.
    pub restless: Vec<u32>,
}

impl Findings {
    /// What is to be said of it, line by line.
    pub fn report(&self) -> Vec<String> {
        let mut lines = Vec::new();
        match &self.hook {
            Some(hook) => lines.push(format!(
                "hook switch: line {}, {}, bounces {} ms",
                hook.line,
                if hook.normally_closed {
                    "normally closed (opens when lifted)"
                } else {
                    "normally open (closes when lifted)"
                },
                hook.bounce.as_millis()
            )),
            None => lines.push(
                "hook switch: no single line changed when the handset was lifted; is one end wired \
                 to ground?"
                    .to_owned(),
            ),
        }
        if let Some(keypad) = &self.keypad {
            lines.push(format!(
                "keypad: {} rows on lines {:?}, {} columns on lines {:?}{}",
                keypad.rows.len(),
                keypad.rows,
                keypad.columns.len(),
                keypad.columns,
                if keypad.has_diodes {
                    ", with diodes"
                } else {
                    ""
                }
            ));
        }
        for key in &self.unclear_keys {
            lines.push(format!(
                "key {key}: it joins other than two lines; is a neighbour pressed with it?"
            ));
        }
        if let Some(dial) = &self.dial {
            lines.push(format!(
                "rotary dial: pulses on line {}, {:.1} a second, {:.0} % open{}",
                dial.pulse,
                dial.pulses_per_second,
                dial.break_percent,
                match dial.off_normal {
                    Some(line) => format!("; off-normal contact on line {line}"),
                    None => "; no off-normal contact".to_owned(),
                }
            ));
            if dial.pulse_closed_high {
                lines.push(
                    "rotary dial: its contact is open at rest, where others are closed: written as \
                     pulse_closed = \"high\""
                        .to_owned(),
                );
            }
            if dial.pulses != dial.expected {
                lines.push(format!(
                    "rotary dial: {} pulses for the digit {}; is the contact dirty, or is this the \
                     dial of another country (numbering)?",
                    dial.pulses, dial.expected
                ));
            }
        }
        for line in &self.restless {
            lines.push(format!(
                "line {line}: it moves by itself; something else drives it, or its wire floats"
            ));
        }
        lines
    }

    /// The sections of `offhook.toml`, ready to be pasted.
    pub fn to_toml(&self) -> String {
        let mut toml = String::new();
        if let Some(hook) = &self.hook {
            let contact = if hook.normally_closed {
                "normally-closed"
            } else {
                "normally-open"
            };
            let _ = write!(
                toml,
                "[hardware.hook]\nline = {}\ncontact = \"{contact}\"\nclosed = \"low\"\n\
                 bias = \"pull-up\"\ndebounce_ms = {}\n",
                hook.line,
                hook.debounce_ms()
            );
        }
        if let Some(keypad) = &self.keypad {
            let drive = if keypad.has_diodes {
                "push-pull"
            } else {
                "open-drain"
            };
            let _ = write!(
                toml,
                "[hardware.keypad]\nrows = {:?}\ncolumns = {:?}\nkeys = {:?}\n\
                 drive = \"{drive}\"\nbias = \"pull-up\"\n",
                keypad.rows, keypad.columns, keypad.labels
            );
        }
        if let Some(dial) = &self.dial {
            let level = |high: bool| if high { "high" } else { "low" };
            let _ = write!(
                toml,
                "[hardware.rotary]\npulse = {}\npulse_closed = \"{}\"\nbias = \"pull-up\"\n",
                dial.pulse,
                level(dial.pulse_closed_high)
            );
            if let Some(line) = dial.off_normal {
                let away = level(dial.off_normal_away_high);
                let _ = write!(toml, "off_normal = {line}\noff_normal_away = \"{away}\"\n");
            }
        }
        toml
    }
}
