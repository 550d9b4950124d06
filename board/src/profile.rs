//! A board is a folder: `hardware.toml` says what is soldered to which line.
//!
//! ```text
//! PROFILE_DIR/NAME/hardware.toml ─▶ Profile (strict; errors with file:line:column and the mend) ─▶ Board::open, audio::open
//! ```

use crate::gpio::{Bias, Drive, LineName};
use crate::hook::Contact;
use crate::keypad::{Legend, MOST};
use crate::ringer::RingerKind;
use crate::rotary::Numbering;
use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Something in `hardware.toml` that is not right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{at}: {problem}; {mend}", file.display())]
pub struct ProfileError {
    /// The file.
    pub file: PathBuf,
    /// `:line:column`, or nothing for the whole file.
    pub at: String,
    /// What is wrong.
    pub problem: String,
    /// What would be right.
    pub mend: String,
}

/// A board, as described.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// What it is, for people.
    pub name: String,
    /// Its sound card.
    #[serde(default)]
    pub audio: Audio,
    /// `[gpio]`: the chip lines belong to unless said otherwise.
    #[serde(default)]
    pub gpio: Gpio,
    /// `[hook]`
    pub hook: Option<Hook>,
    /// `[flash]`: a flash key of its own.
    pub flash: Option<Flash>,
    /// `[keypad]`
    pub keypad: Option<Keypad>,
    /// `[rotary]`
    pub rotary: Option<Rotary>,
    /// `[ringer]`
    pub ringer: Option<Ringer>,
    /// `[lamps]`
    #[serde(default)]
    pub lamps: Lamps,
    /// `[watchdog]`
    pub watchdog: Option<Watchdog>,
}

/// `[audio]`: the handset's sound card.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Audio {
    /// Capture device, as [`crate::audio::AudioRequest::capture`].
    pub capture: String,
    /// Playback device.
    pub playback: String,
    /// Rate asked for.
    pub rate_hz: u32,
    /// Period in ms.
    pub period_ms: u32,
    /// Periods buffered ahead.
    pub periods: u32,
    /// Mixer settings made when the card is opened, in order.
    pub mixer: Vec<Mixer>,
}

impl Default for Audio {
    fn default() -> Self {
        Self {
            capture: "silence".to_owned(),
            playback: "null".to_owned(),
            rate_hz: 48_000,
            period_ms: 5,
            periods: 2,
            mixer: Vec::new(),
        }
    }
}

/// One mixer setting, as `amixer sset` has it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mixer {
    /// Simple control, e.g. `Headphone`.
    pub control: String,
    /// Volume in percent of the control's range.
    pub volume: Option<u8>,
    /// Switch it on or off.
    pub switch: Option<bool>,
    /// Choose this of the control's words.
    pub choice: Option<String>,
}

/// `[gpio]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Gpio {
    /// Path (`/dev/gpiochip0`), name (`gpiochip0`) or label (`pinctrl-bcm2835`).
    pub chip: String,
}

impl Default for Gpio {
    fn default() -> Self {
        Self {
            chip: "gpiochip0".to_owned(),
        }
    }
}

/// A line and where it stands in the file.
#[derive(Debug, Clone)]
pub struct Line {
    /// Number or name.
    pub name: LineName,
    span: Range<usize>,
}

impl PartialEq for Line {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

/// Which level is active.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Active {
    /// Ground.
    Low,
    /// Supply.
    High,
}

/// `[hook]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hook {
    /// Its line.
    pub line: Line,
    /// At rest.
    #[serde(default)]
    pub contact: Contact,
    /// Level of the closed contact.
    #[serde(default = "low")]
    pub closed: Active,
    /// Pull resistor.
    pub bias: Option<Bias>,
    /// Quiet that makes a level real.
    #[serde(default = "hook_debounce")]
    pub debounce_ms: u32,
}

/// `[flash]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flash {
    /// Its line.
    pub line: Line,
    /// Level of the pressed key.
    #[serde(default = "low")]
    pub pressed: Active,
    /// Pull resistor.
    pub bias: Option<Bias>,
    /// Quiet that makes a press real.
    #[serde(default = "hook_debounce")]
    pub debounce_ms: u32,
}

/// `[keypad]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keypad {
    /// Lines of the rows, top first.
    pub rows: Vec<Line>,
    /// Lines of the columns, left first.
    pub columns: Vec<Line>,
    /// What is printed on the keys, a string a row; `F` is flash, `.` is no key.
    pub keys: toml::Spanned<Vec<String>>,
    /// How rows are driven. Open drain wherever two keys of a column may be pressed together; push-pull only with a diode at each key.
    #[serde(default = "open_drain")]
    pub drive: Drive,
    /// Pull resistor of the columns.
    #[serde(default = "pull_up")]
    pub bias: Bias,
    /// Time one row is driven before it is read.
    #[serde(default = "scan_step")]
    pub step_ms: u32,
    /// Quiet that makes a press real.
    #[serde(default = "key_debounce")]
    pub debounce_ms: u32,
}

/// `[rotary]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rotary {
    /// The contact that opens once a pulse.
    pub pulse: Line,
    /// Level of the pulse contact while closed.
    #[serde(default = "low")]
    pub pulse_closed: Active,
    /// The contact that tells the dial is away from rest.
    pub off_normal: Option<Line>,
    /// Its level while the dial is away.
    #[serde(default = "low")]
    pub off_normal_away: Active,
    /// Pull resistor of both.
    pub bias: Option<Bias>,
    /// What the pulses mean.
    #[serde(default)]
    pub numbering: Numbering,
}

/// `[ringer]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ringer {
    /// What hangs on the lines.
    pub kind: RingerKind,
    /// Two for a bell, one for a buzzer.
    pub lines: Vec<Line>,
    /// Of a bell.
    #[serde(default = "bell_frequency")]
    pub frequency_hz: u32,
}

/// `[lamps]`: those there are.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lamps {
    /// A line is ready.
    pub line: Option<Line>,
    /// The phone is in use.
    pub in_use: Option<Line>,
    /// Messages wait.
    pub message: Option<Line>,
    /// The call is encrypted.
    pub private: Option<Line>,
    /// Level of a lit lamp.
    #[serde(default)]
    pub lit: Lit,
}

/// Level of a lit lamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lit {
    /// Ground.
    Low,
    /// Supply.
    #[default]
    High,
}

/// `[watchdog]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Watchdog {
    /// Its device.
    #[serde(default = "watchdog_device")]
    pub device: PathBuf,
    /// Unfed for this long it resets the board.
    #[serde(default = "watchdog_timeout")]
    pub timeout_s: u32,
}

fn low() -> Active {
    Active::Low
}
fn open_drain() -> Drive {
    Drive::OpenDrain
}
fn pull_up() -> Bias {
    Bias::PullUp
}
fn hook_debounce() -> u32 {
    20
}
fn key_debounce() -> u32 {
    15
}
fn scan_step() -> u32 {
    2
}
fn bell_frequency() -> u32 {
    25
}
fn watchdog_device() -> PathBuf {
    PathBuf::from("/dev/watchdog")
}
fn watchdog_timeout() -> u32 {
    15
}

impl<'de> Deserialize<'de> for Line {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = toml::Spanned::<LineName>::deserialize(deserializer)?;
        let span = spanned.span();
        Ok(Self {
            name: spanned.into_inner(),
            span,
        })
    }
}

impl<'de> Deserialize<'de> for LineName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl Visitor<'_> for Either {
            type Value = LineName;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a line number (17) or a line name (\"GPIO17\")")
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<LineName, E> {
                u32::try_from(number)
                    .map(LineName::Number)
                    .map_err(|_| E::invalid_value(de::Unexpected::Signed(number), &self))
            }
            fn visit_str<E: de::Error>(self, name: &str) -> Result<LineName, E> {
                Ok(LineName::Name(name.to_owned()))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

/// The simulated board, which needs no folder.
const SIM: &str = include_str!("../profiles/sim/hardware.toml");

impl Profile {
    /// Reads `DIR/NAME/hardware.toml`. `sim` is always there, even without its folder.
    pub fn load(dir: &Path, name: &str) -> Result<Self, ProfileError> {
        let file = dir.join(name).join("hardware.toml");
        match std::fs::read_to_string(&file) {
            Ok(text) => Self::parse(&file, &text),
            Err(_) if name == "sim" => Self::parse(&file, SIM),
            Err(error) => {
                let mut known: Vec<String> = std::fs::read_dir(dir)
                    .into_iter()
                    .flatten()
                    .flatten()
                    .filter(|entry| entry.path().join("hardware.toml").is_file())
                    .map(|entry| entry.file_name().to_string_lossy().into_owned())
                    .collect();
                known.sort();
                if !known.iter().any(|k| k == "sim") {
                    known.push("sim".to_owned());
                }
                Err(ProfileError {
                    file,
                    at: String::new(),
                    problem: format!("no board profile `{name}` ({error})"),
                    mend: format!("the boards known in {} are: {}", dir.display(), known.join(", ")),
                })
            }
        }
    }

    /// Reads the text of a `hardware.toml`; `file` is its name for messages.
    pub fn parse(file: &Path, text: &str) -> Result<Self, ProfileError> {
        let wrong = |span: Option<Range<usize>>, problem: String, mend: String| ProfileError {
            file: file.to_owned(),
            at: span.map_or(String::new(), |span| place(text, span.start)),
            problem,
            mend,
        };
        let profile: Self = toml::from_str(text).map_err(|e| {
            let (problem, mend) = match e.message().split_once(", expected ") {
                Some((problem, expected)) => (problem.to_owned(), format!("expected {expected}")),
                None => (e.message().to_owned(), "board/README.md explains every key".to_owned()),
            };
            wrong(e.span(), problem.replace('\n', " "), mend.replace('\n', " "))
        })?;
        profile.check().map_err(|(span, problem, mend)| wrong(span, problem, mend))?;
        Ok(profile)
    }

    /// What serde cannot see.
    fn check(&self) -> Result<(), (Option<Range<usize>>, String, String)> {
        if let Some(keypad) = &self.keypad {
            let span = Some(keypad.keys.span());
            let (rows, columns) = (keypad.rows.len(), keypad.columns.len());
            if !(1..=MOST).contains(&rows) || !(1..=MOST).contains(&columns) {
                return Err((
                    span,
                    format!("a keypad of {rows} rows and {columns} columns"),
                    format!("1 to {MOST} of each"),
                ));
            }
            if keypad.keys.get_ref().len() != rows {
                let problem = format!("`keys` has {} strings for {rows} rows", keypad.keys.get_ref().len());
                return Err((span, problem, "one string a row, top first".to_owned()));
            }
            for row in keypad.keys.get_ref() {
                if row.chars().count() != columns {
                    let problem = format!("`keys` row \"{row}\" has {} keys for {columns} columns", row.chars().count());
                    return Err((span, problem, "one character a column, left first".to_owned()));
                }
                if let Some(key) = row.chars().find(|&key| !Legend::is_key(key)) {
                    let mend = "keys are 0-9, *, #, A-D, F for flash, `.` for none".to_owned();
                    return Err((span, format!("`{key}` is no telephone key"), mend));
                }
            }
        }
        if let Some(ringer) = &self.ringer {
            let span = ringer.lines.first().map(|line| line.span.clone());
            let wanted = match ringer.kind {
                RingerKind::Bell => 2,
                RingerKind::Buzzer => 1,
            };
            if ringer.lines.len() != wanted {
                let problem = format!("{} ringer lines", ringer.lines.len());
                return Err((span, problem, "a bell has two lines, a buzzer one".to_owned()));
            }
            if !(10..=50).contains(&ringer.frequency_hz) {
                return Err((
                    span,
                    format!("a bell at {} Hz", ringer.frequency_hz),
                    "frequency_hz is 10 to 50, mostly 20 or 25".to_owned(),
                ));
            }
        }
        for (what, ms, limit) in [
            ("[hook] debounce_ms", self.hook.as_ref().map(|h| h.debounce_ms), 0..=200),
            ("[flash] debounce_ms", self.flash.as_ref().map(|f| f.debounce_ms), 0..=200),
            ("[keypad] debounce_ms", self.keypad.as_ref().map(|k| k.debounce_ms), 0..=200),
            ("[keypad] step_ms", self.keypad.as_ref().map(|k| k.step_ms), 1..=20),
            ("[audio] period_ms", Some(self.audio.period_ms), 2..=20),
            ("[audio] periods", Some(self.audio.periods), 2..=8),
            ("[audio] rate_hz", Some(self.audio.rate_hz), 8000..=192_000),
            ("[watchdog] timeout_s", self.watchdog.as_ref().map(|w| w.timeout_s), 2..=600),
        ] {
            if let Some(value) = ms.filter(|ms| !limit.contains(ms)) {
                return Err((
                    None,
                    format!("{what} = {value}"),
                    format!("it is {} to {}", limit.start(), limit.end()),
                ));
            }
        }
        let mut seen: Vec<(&'static str, &Line)> = Vec::new();
        for (what, line) in self.lines() {
            if let Some((before, _)) = seen.iter().find(|(_, other)| other.name == line.name) {
                let problem = format!("line {} of {what} is used by {before} already", line.name);
                return Err((Some(line.span.clone()), problem, "each line has one purpose".to_owned()));
            }
            seen.push((what, line));
        }
        Ok(())
    }

    /// Every line, with the table it stands in.
    fn lines(&self) -> impl Iterator<Item = (&'static str, &Line)> {
        let hook = self.hook.iter().map(|h| ("[hook]", &h.line));
        let flash = self.flash.iter().map(|f| ("[flash]", &f.line));
        let keypad = self
            .keypad
            .iter()
            .flat_map(|k| k.rows.iter().chain(&k.columns).map(|line| ("[keypad]", line)));
        let rotary = self
            .rotary
            .iter()
            .flat_map(|r| std::iter::once(&r.pulse).chain(&r.off_normal).map(|line| ("[rotary]", line)));
        let ringer = self.ringer.iter().flat_map(|r| r.lines.iter().map(|line| ("[ringer]", line)));
        let lamps = [&self.lamps.line, &self.lamps.in_use, &self.lamps.message, &self.lamps.private]
            .into_iter()
            .flatten()
            .map(|line| ("[lamps]", line));
        hook.chain(flash).chain(keypad).chain(rotary).chain(ringer).chain(lamps)
    }
}

impl Keypad {
    /// The keys as a legend; [`Profile::parse`] has checked them.
    pub fn legend(&self) -> Legend {
        let mut legend = [['.'; MOST]; MOST];
        for (to, row) in legend.iter_mut().zip(self.keys.get_ref()) {
            for (to, key) in to.iter_mut().zip(row.chars()) {
                *to = key;
            }
        }
        Legend(legend)
    }
}

/// `:line:column` of a byte, both from 1.
fn place(text: &str, byte: usize) -> String {
    let before = text.get(..byte).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
    format!(":{line}:{column}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        Profile::parse(Path::new("hardware.toml"), text).unwrap_err().to_string()
    }

    #[test]
    fn every_profile_we_ship_is_right() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles");
        let mut count = 0;
        for entry in std::fs::read_dir(&dir).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let profile = Profile::load(&dir, &name).unwrap_or_else(|e| panic!("{e}"));
            assert!(!profile.name.is_empty());
            assert!(
                profile.hook.is_some() || name == "sim" || name == "virt",
                "{name} has no hook switch"
            );
            count += 1;
        }
        assert!(count >= 5, "only {count} profiles");
    }

    #[test]
    fn the_simulated_board_needs_no_folder() {
        let profile = Profile::load(Path::new("/nowhere"), "sim").unwrap();
        assert_eq!((profile.audio.capture.as_str(), profile.hook), ("silence", None));
    }

    #[test]
    fn an_unknown_board_names_the_known_ones() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles");
        let text = Profile::load(&dir, "rpi5").unwrap_err().to_string();
        assert!(text.contains("no board profile `rpi5`") && text.contains("rpi4, sim"), "{text}");
    }

    #[test]
    fn errors_have_a_place_and_a_mend() {
        let keypad = "name = \"x\"\n[keypad]\nrows = [1, 2]\ncolumns = [3, 4]\n";
        for (text, want) in [
            (
                "name = \"x\"\n[hook]\nlnie = 4\n",
                "hardware.toml:3:1: unknown field `lnie`; expected one of `line`, `contact`",
            ),
            (
                "name = \"x\"\n[hook]\nline = true\n",
                "hardware.toml:3:8: invalid type: boolean `true`; expected a line number (17) or",
            ),
            (
                "name = \"x\"\n[hook]\nline = -1\n",
                "hardware.toml:3:8: invalid value: integer `-1`; expected a line number",
            ),
            (
                "name = \"x\"\n[hook]\nline = 1\ncontact = \"nc\"\n",
                "hardware.toml:4:11: unknown variant `nc`; expected `normally-open` or",
            ),
            ("name = \"x\"\n[hook]\n", "hardware.toml:2:1: missing field `line`; board/README.md"),
            ("name = \"x\n", "hardware.toml:1:"),
            (
                &format!("{keypad}keys = [\"12\"]\n"),
                "hardware.toml:5:8: `keys` has 1 strings for 2 rows; one string a row",
            ),
            (
                &format!("{keypad}keys = [\"12\", \"345\"]\n"),
                "hardware.toml:5:8: `keys` row \"345\" has 3 keys for 2 columns; one",
            ),
            (
                &format!("{keypad}keys = [\"12\", \"3x\"]\n"),
                "hardware.toml:5:8: `x` is no telephone key; keys are",
            ),
            (
                "name = \"x\"\n[hook]\nline = 4\n[flash]\nline = 4\n",
                "hardware.toml:5:8: line 4 of [flash] is used by [hook] already; each",
            ),
            (
                "name = \"x\"\n[ringer]\nkind = \"bell\"\nlines = [4]\n",
                "hardware.toml:4:10: 1 ringer lines; a bell has two",
            ),
            (
                "name = \"x\"\n[audio]\nperiod_ms = 500\n",
                "hardware.toml: [audio] period_ms = 500; it is 2 to 20",
            ),
        ] {
            let got = error(text);
            assert!(got.starts_with(want), "{text}\n{got}");
        }
    }
}
