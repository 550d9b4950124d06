//! The stories of `tests/desk/` as text: their lines, what they say of the phones' settings, and
//! where they are played besides virtual time. Who plays them understands the lines:
//! `tests/desk` in virtual time, `tests/peers` in real time, `board_guest` on gpio-sim.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The phones of a story.
pub const NAMES: [&str; 3] = ["l", "r", "s"];
/// Their numbers.
pub const NUMBERS: [&str; 3] = ["101", "102", "103"];

/// The digit map of a phone whose story has none of its own: each of these numbers is complete.
const DIGIT_MAP: &str = "digit_map = \"[1-9]xx\"\n";

/// Adds the digit map that phones of stories have, unless the story has one.
pub fn add_digit_map(sections: &mut BTreeMap<String, String>) {
    let dial = sections.entry("dial".to_owned()).or_default();
    let is_set = |line: &str| line.trim_start().starts_with("digit_map");
    if !dial.lines().any(is_set) {
        dial.push_str(DIGIT_MAP);
    }
}

/// Where a story is played besides virtual time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// With kamailio and baresip, at each `make test`: `also in real time`.
    RealTime,
    /// The same before a release, because it takes long: `also in real time, at length`.
    RealTimeAtLength,
    /// On the lines of gpio-sim: `also on gpio-sim`.
    GpioSim,
}

impl Stage {
    /// The line of a story that says so.
    pub fn line(self) -> &'static str {
        match self {
            Self::RealTime => "also in real time",
            Self::RealTimeAtLength => "also in real time, at length",
            Self::GpioSim => "also on gpio-sim",
        }
    }
}

/// A story.
#[derive(Debug, Clone)]
pub struct Story {
    /// Its file's name without `.story`.
    pub name: String,
    text: String,
}

impl Story {
    /// The folder of the stories of this source tree.
    pub fn folder() -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("desk")
    }

    /// The story of this name in a folder.
    pub fn read(folder: &Path, name: &str) -> Self {
        let path = folder.join(format!("{name}.story"));
        let text = std::fs::read_to_string(&path);
        let text = text.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self {
            name: name.to_owned(),
            text,
        }
    }

    /// All stories of a folder, by name.
    pub fn all(folder: &Path) -> Vec<Self> {
        let entries = std::fs::read_dir(folder).expect("the folder of stories is there");
        let mut names: Vec<String> = entries
            .filter_map(|entry| entry.ok()?.path().file_stem()?.to_str().map(str::to_owned))
            .collect();
        names.sort();
        names.iter().map(|name| Self::read(folder, name)).collect()
    }

    /// Whether it is also played there.
    pub fn is_played(&self, stage: Stage) -> bool {
        self.lines().any(|line| line == stage.line())
    }

    /// The lines that say something.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        let lines = self.text.lines().map(str::trim);
        lines.filter(|line| !line.is_empty() && !line.starts_with('#'))
    }

    /// What happens: all lines but settings and stages.
    pub fn steps(&self) -> impl Iterator<Item = &str> {
        self.lines()
            .filter(|line| !line.starts_with("with ") && !line.starts_with("also "))
    }

    /// The lines of a phone's `offhook.toml`, by section.
    pub fn settings(&self, phone: &str) -> BTreeMap<String, String> {
        let mut sections = BTreeMap::<String, String>::new();
        let begin = format!("with {phone} ");
        for rest in self.lines().filter_map(|line| line.strip_prefix(&begin)) {
            let (section, toml) = rest
                .strip_prefix('[')
                .and_then(|rest| rest.split_once("] "))
                .unwrap_or_else(|| panic!("{}: no section: {rest}", self.name));
            let text = sections.entry(section.to_owned()).or_default();
            text.push_str(toml);
            text.push('\n');
        }
        sections
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digit_map_of_a_story_is_the_only_one() {
        for (own, wanted) in [
            ("", DIGIT_MAP.to_owned()),
            ("prefix = \"0\"\n", format!("prefix = \"0\"\n{DIGIT_MAP}")),
            ("digit_map = \"xx\"\n", "digit_map = \"xx\"\n".to_owned()),
        ] {
            let mut sections = BTreeMap::from([("dial".to_owned(), own.to_owned())]);
            add_digit_map(&mut sections);
            assert_eq!(sections["dial"], wanted);
        }
        let mut sections = BTreeMap::new();
        add_digit_map(&mut sections);
        assert_eq!(sections["dial"], DIGIT_MAP);
    }
}
