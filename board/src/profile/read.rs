//! How `hardware.toml` is read: found, parsed, checked, and each mistake placed.
//!
//! ```text
//! DIR/NAME/hardware.toml | the simulated board's own ─▶ toml ─▶ checks across keys ─▶ Profile, or file:line:column and the help
//! ```

use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::str::FromStr;

use evdev::KeyCode;
use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};
use types::MicrophoneChannel;

use super::display::line_of_bus;
use super::{Display, FunctionKeys, GpioLine, InputKeys, Keypad, Profile, ProfileError};
use crate::gpio::LineName;
use crate::input_device::KeyMapping;
use crate::keypad::{KeyLabels, MAX_SIDE};
use crate::ringer::RingerKind;

impl<'de> Deserialize<'de> for GpioLine {
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

/// Longest `hardware.toml`.
const MAX_BYTES: u64 = 64 * 1024;
/// Sections left out one after the other before nothing of a profile is used.
const MAX_FAULTS: usize = 32;
/// The sections that name lines of the chip.
const LINE_SECTIONS: [&str; 7] = [
    "[hook]", "[flash]", "[keypad]", "[keys]", "[rotary]", "[ringer]", "[lamps]",
];
/// The profiles that are always there, also where their folders are not: on a computer that writes
/// and checks the configuration of a phone.
const BUILT_IN: [(&str, &str); 5] = [
    (
        "rpi-zero2w",
        include_str!("../../profiles/rpi-zero2w/hardware.toml"),
    ),
    ("rpi3", include_str!("../../profiles/rpi3/hardware.toml")),
    ("rpi4", include_str!("../../profiles/rpi4/hardware.toml")),
    (SIM, include_str!("../../profiles/sim/hardware.toml")),
    ("virt", include_str!("../../profiles/virt/hardware.toml")),
];
/// The simulated board.
const SIM: &str = "sim";
/// What the device trees of the boards that run these profiles call their model.
const RASPBERRY_PI: &str = "Raspberry Pi";

fn built_in(name: &str) -> Option<&'static str> {
    BUILT_IN
        .iter()
        .find(|(own, _)| *own == name)
        .map(|&(_, text)| text)
}

impl Profile {
    /// The names of all profiles: those of a folder and those that are built in, sorted.
    pub fn known(dir: &Path) -> Vec<String> {
        let mut known: Vec<String> = std::fs::read_dir(dir)
            .into_iter()
            .flatten()
            .flatten()
            .filter(|entry| entry.path().join("hardware.toml").is_file())
            .filter_map(|entry| entry.file_name().into_string().ok())
            .chain(BUILT_IN.map(|(name, _)| name.to_owned()))
            .collect();
        known.sort_unstable();
        known.dedup();
        known
    }

    /// Whether a profile is that of a Raspberry Pi and the machine is none, by the model that its
    /// device tree names, if it has one.
    pub fn is_of_another_machine(name: &str, model: Option<&str>) -> bool {
        let is_pi = model.is_some_and(|model| model.contains(RASPBERRY_PI));
        name.starts_with("rpi") && built_in(name).is_some() && !is_pi
    }

    /// Reads `DIR/NAME/hardware.toml`. The boards this program was made for and `sim` are always
    /// there, even without their folders.
    pub fn load(dir: &Path, name: &str) -> Result<Self, ProfileError> {
        let file = dir.join(name).join("hardware.toml");
        match crate::files::read(&file, MAX_BYTES) {
            Ok(text) => Self::parse(&file, &String::from_utf8_lossy(&text)),
            Err(error) => match built_in(name) {
                Some(text) => Self::parse(&file, text),
                None => Err(ProfileError {
                    file,
                    at: String::new(),
                    problem: format!("no board profile `{name}` ({error})"),
                    help: format!(
                        "the boards known in {} are: {}",
                        dir.display(),
                        Self::known(dir).join(", ")
                    ),
                }),
            },
        }
    }

    /// As much of a profile as can be used, and everything that is wrong with the rest. A phone
    /// whose description of its lamps has a mistake is still a phone.
    pub fn load_usable(dir: &Path, name: &str) -> (Self, Vec<ProfileError>) {
        let error = match Self::load(dir, name) {
            Ok(profile) => return (profile, Vec::new()),
            Err(error) => error,
        };
        let file = dir.join(name).join("hardware.toml");
        match crate::files::read(&file, MAX_BYTES) {
            Ok(text) => Self::usable(&file, &String::from_utf8_lossy(&text)),
            Err(_) => (Self::unknown(), vec![error]),
        }
    }

    /// The sections of a text that are right by themselves.
    fn usable(file: &Path, text: &str) -> (Self, Vec<ProfileError>) {
        let mut lines: Vec<&str> = text.lines().collect();
        let mut errors = Vec::new();
        for _ in 0..=MAX_FAULTS {
            let error = match Self::parse(file, &lines.join("\n")) {
                Ok(mut profile) => {
                    // Without its section there would be no sound at all.
                    if profile.audio == super::Audio::default() {
                        profile.audio = Self::unknown().audio;
                    }
                    return (profile, errors);
                }
                Err(error) => error,
            };
            let broken = section_of(&lines, &error);
            errors.push(error);
            let Some(broken) = broken else { break };
            if broken.start == 0 && !is_header(lines[0]) {
                // What stands above every section: only the board's name.
                lines[broken].fill("");
                lines[0] = "name = \"\"";
                continue;
            }
            let is_gpio = lines[broken.start].trim_start().starts_with("[gpio]");
            lines[broken].fill("");
            if is_gpio {
                // Lines of another chip than the one that was meant must not be driven.
                for section in LINE_SECTIONS {
                    while let Some(range) = find_section(&lines, section) {
                        lines[range].fill("");
                    }
                }
            }
        }
        (Self::unknown(), errors)
    }

    /// A board no one described: its first sound card and nothing else.
    fn unknown() -> Self {
        let audio = super::Audio {
            capture: "default".to_owned(),
            playback: "default".to_owned(),
            ..super::Audio::default()
        };
        Self {
            name: "unknown".to_owned(),
            audio,
            gpio: super::Gpio::default(),
            hook: None,
            flash: None,
            keypad: None,
            keys: None,
            input: None,
            rotary: None,
            ringer: None,
            lamps: super::Lamps::default(),
            display: None,
            watchdog: None,
        }
    }

    /// Reads the text of a `hardware.toml`; `file` is its name for messages.
    pub fn parse(file: &Path, text: &str) -> Result<Self, ProfileError> {
        let wrong = |span: Option<Range<usize>>, problem: String, help: String| ProfileError {
            file: file.to_owned(),
            at: span.map_or(String::new(), |span| line_and_column(text, span.start)),
            problem,
            help,
        };
        let profile: Self = toml::from_str(text).map_err(|e| {
            let (problem, help) = match e.message().split_once(", expected ") {
                Some((problem, expected)) => (problem.to_owned(), format!("expected {expected}")),
                None => (
                    e.message().to_owned(),
                    "board/README.md explains every key".to_owned(),
                ),
            };
            wrong(
                e.span(),
                problem.replace('\n', " "),
                help.replace('\n', " "),
            )
        })?;
        profile
            .check()
            .map_err(|(span, problem, help)| wrong(span, problem, help))?;
        Ok(profile)
    }

    /// What serde cannot see.
    fn check(&self) -> Result<(), (Option<Range<usize>>, String, String)> {
        if let Some(keypad) = &self.keypad {
            let span = Some(keypad.keys.span());
            let (rows, columns) = (keypad.rows.len(), keypad.columns.len());
            if !(1..=MAX_SIDE).contains(&rows) || !(1..=MAX_SIDE).contains(&columns) {
                return Err((
                    span,
                    format!("a keypad of {rows} rows and {columns} columns"),
                    format!("1 to {MAX_SIDE} of each"),
                ));
            }
            if keypad.keys.get_ref().len() != rows {
                let problem = format!(
                    "`keys` has {} strings for {rows} rows",
                    keypad.keys.get_ref().len()
                );
                return Err((span, problem, "one string a row, top first".to_owned()));
            }
            for row in keypad.keys.get_ref() {
                if row.chars().count() != columns {
                    let problem = format!(
                        "`keys` row \"{row}\" has {} keys for {columns} columns",
                        row.chars().count()
                    );
                    return Err((
                        span,
                        problem,
                        "one character a column, left first".to_owned(),
                    ));
                }
                if let Some(key) = row.chars().find(|&key| !KeyLabels::is_key(key)) {
                    let help = "keys are 0-9, *, #, A-D, F for flash, + - volume, M mute, \
                                H hands-free, a-h \
                                feature keys, `.` for none"
                        .to_owned();
                    return Err((span, format!("`{key}` is no telephone key"), help));
                }
            }
        }
        for (code, meaning) in self.input.iter().flat_map(|input| &input.map) {
            if KeyCode::from_str(code.get_ref()).is_err() {
                let problem = format!("`{}` is no key code of Linux", code.get_ref());
                let help = "KEY_KPDOT, KEY_PHONE …: `evtest` shows what a key sends".to_owned();
                return Err((Some(code.span()), problem, help));
            }
            if KeyMapping::parse(meaning.get_ref()).is_none() {
                let problem = format!("`{}` is nothing a telephone has", meaning.get_ref());
                let help =
                    "0-9, *, #, A-D, F for flash, volume-up, volume-down, mute, hands-free, \
                            feature-1 to feature-8, hook, lift, hang-up, none"
                        .to_owned();
                return Err((Some(meaning.span()), problem, help));
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
                return Err((
                    span,
                    problem,
                    "a bell has two lines, a buzzer one".to_owned(),
                ));
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
            (
                "[hook] debounce_ms",
                self.hook.as_ref().map(|h| h.debounce_ms),
                0..=400,
            ),
            (
                "[flash] debounce_ms",
                self.flash.as_ref().map(|f| f.debounce_ms),
                0..=400,
            ),
            (
                "[keys] debounce_ms",
                self.keys.as_ref().map(|k| k.debounce_ms),
                0..=400,
            ),
            (
                "[keypad] debounce_ms",
                self.keypad.as_ref().map(|k| k.debounce_ms),
                0..=200,
            ),
            (
                "[keypad] step_ms",
                self.keypad.as_ref().map(|k| k.step_ms),
                1..=20,
            ),
            ("[audio] period_ms", Some(self.audio.period_ms), 2..=20),
            ("[audio] periods", Some(self.audio.periods), 2..=8),
            ("[audio] rate_hz", Some(self.audio.rate_hz), 8000..=192_000),
            (
                "[watchdog] timeout_s",
                self.watchdog.as_ref().map(|w| w.timeout_s),
                2..=600,
            ),
        ] {
            if let Some(value) = ms.filter(|ms| !limit.contains(ms)) {
                return Err((
                    None,
                    format!("{what} = {value}"),
                    format!("it is {} to {}", limit.start(), limit.end()),
                ));
            }
        }
        let mut seen: Vec<(&'static str, &GpioLine)> = Vec::new();
        for (what, line) in self.lines() {
            if let Some((before, _)) = seen.iter().find(|(_, other)| other.name == line.name) {
                let problem = format!("line {} of {what} is used by {before} already", line.name);
                return Err((
                    Some(line.span.clone()),
                    problem,
                    "each line has one purpose".to_owned(),
                ));
            }
            seen.push((what, line));
        }
        if let Some((problem, help)) = self.display.as_ref().and_then(Display::fault) {
            return Err((None, problem, help));
        }
        let display = self.display.as_ref();
        if let Some((what, line)) = line_of_bus(display, &self.gpio.chip, self.lines()) {
            let problem = format!("line {} of {what} is a wire of [display]'s bus", line.name);
            let help = "lines 2 and 3 are the bus i2c-1; wire it to another line".to_owned();
            return Err((Some(line.span.clone()), problem, help));
        }
        Ok(())
    }

    /// Every line, with the table it stands in.
    fn lines(&self) -> impl Iterator<Item = (&'static str, &GpioLine)> {
        let hook = self.hook.iter().map(|h| ("[hook]", &h.line));
        let flash = self.flash.iter().map(|f| ("[flash]", &f.line));
        let keypad = self.keypad.iter().flat_map(|k| {
            k.rows
                .iter()
                .chain(&k.columns)
                .map(|line| ("[keypad]", line))
        });
        let rotary = self.rotary.iter().flat_map(|r| {
            std::iter::once(&r.pulse)
                .chain(&r.off_normal)
                .map(|line| ("[rotary]", line))
        });
        let ringer = self
            .ringer
            .iter()
            .flat_map(|r| r.lines.iter().map(|line| ("[ringer]", line)));
        let keys = self.keys.iter().flat_map(FunctionKeys::wired);
        let keys = keys.map(|(_, line)| ("[keys]", line));
        let lamps = self.lamps.wired().map(|(_, line)| ("[lamps]", line));
        hook.chain(flash)
            .chain(keypad)
            .chain(keys)
            .chain(rotary)
            .chain(ringer)
            .chain(lamps)
    }
}

/// The text of a profile; the one that is built in where there is no file.
pub(super) fn text_of(dir: &Path, name: &str) -> String {
    let file = dir.join(name).join("hardware.toml");
    match crate::files::read(&file, MAX_BYTES) {
        Ok(text) => String::from_utf8_lossy(&text).into_owned(),
        Err(_) => built_in(name).unwrap_or_default().to_owned(),
    }
}

impl InputKeys {
    /// The map; [`Profile::parse`] has checked it.
    pub fn mappings(&self) -> Vec<(KeyCode, KeyMapping)> {
        let pair = |(code, meaning): (&toml::Spanned<String>, &toml::Spanned<String>)| {
            Some((
                KeyCode::from_str(code.get_ref()).ok()?,
                KeyMapping::parse(meaning.get_ref())?,
            ))
        };
        self.map.iter().filter_map(pair).collect()
    }
}

impl Keypad {
    /// The keys as a labels; [`Profile::parse`] has checked them.
    pub fn labels(&self) -> KeyLabels {
        let mut labels = [['.'; MAX_SIDE]; MAX_SIDE];
        for (to, row) in labels.iter_mut().zip(self.keys.get_ref()) {
            for (to, key) in to.iter_mut().zip(row.chars()) {
                *to = key;
            }
        }
        KeyLabels(labels)
    }
}

/// `left`, `right` or `mix`.
pub(super) fn microphone_channel<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<MicrophoneChannel, D::Error> {
    let name = String::deserialize(deserializer)?;
    let unknown = || de::Error::unknown_variant(&name, &["left", "right", "mix"]);
    MicrophoneChannel::from_name(&name).ok_or_else(unknown)
}

/// Whether a line begins a section, a list's entry among them.
fn is_header(line: &str) -> bool {
    line.starts_with('[')
}

/// From a section's header to the next one's.
fn section_at(lines: &[&str], line: usize) -> Range<usize> {
    let upto = &lines[..=line.min(lines.len().saturating_sub(1))];
    let start = upto.iter().rposition(|line| is_header(line)).unwrap_or(0);
    let rest = &lines[start + 1..];
    let end = rest.iter().position(|line| is_header(line));
    start..end.map_or(lines.len(), |end| start + 1 + end)
}

fn find_section(lines: &[&str], header: &str) -> Option<Range<usize>> {
    let name = header.trim_end_matches(']');
    let is_it = |line: &&str| {
        let rest = line.strip_prefix(name);
        rest.is_some_and(|rest| rest.starts_with(']') || rest.starts_with('.'))
    };
    Some(section_at(lines, lines.iter().position(is_it)?))
}

/// The section an error is in: by its position, or by the section it names.
fn section_of(lines: &[&str], error: &ProfileError) -> Option<Range<usize>> {
    if lines.is_empty() {
        return None;
    }
    let line = error
        .at
        .split(':')
        .nth(1)
        .and_then(|line| line.parse::<usize>().ok());
    let range = match line {
        Some(line) => section_at(lines, line.saturating_sub(1)),
        None => find_section(lines, error.problem.split_once(' ')?.0)?,
    };
    // What is blank already was no help.
    lines[range.clone()]
        .iter()
        .any(|line| !line.is_empty() && *line != "name = \"\"")
        .then_some(range)
}

/// `:line:column` of a byte, both from 1.
fn line_and_column(text: &str, byte: usize) -> String {
    let before = text.get(..byte).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
    format!(":{line}:{column}")
}
