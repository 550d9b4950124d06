//! What the owner says of the hardware, put over the board's profile key by key.
//!
//! ```text
//! hardware.toml ─▶ table ─┐
//! overrides ──────────────┴▶ merged table ─▶ text ─▶ Profile::parse ─▶ Profile, or the override that does not fit
//! ```

use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::{Profile, ProfileError};

/// One key that the owner overrides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Override<'a> {
    /// Its table in `hardware.toml`.
    pub table: &'a str,
    /// Its name there, or `fitted`: `false` takes the whole table away.
    pub key: &'a str,
    /// Its value as TOML; the text `none` takes the key away.
    pub value: &'a str,
}

/// Says whether the device of a table is there at all.
const FITTED: &str = "fitted";
/// A line that is not wired.
const NONE: &str = "none";

impl Profile {
    /// The profile of a board with what its owner says over it. What is wrong with the profile
    /// itself is reported at its place in the file, and what does not fit by the override's name.
    pub fn load_over(
        dir: &Path,
        name: &str,
        overrides: &[Override<'_>],
    ) -> Result<Self, ProfileError> {
        let own = Self::load(dir, name)?;
        if overrides.is_empty() {
            return Ok(own);
        }
        Self::put_over(dir, name, overrides)
    }

    /// As much of it as can be used, and what is wrong with the rest. A device whose description
    /// does not fit is left out: its lines may lead elsewhere now.
    pub fn load_usable_over(
        dir: &Path,
        name: &str,
        overrides: &[Override<'_>],
    ) -> (Self, Vec<ProfileError>) {
        let (own, mut faults) = Self::load_usable(dir, name);
        if overrides.is_empty() || !faults.is_empty() {
            return (own, faults);
        }
        let mut left: Vec<Override<'_>> = overrides.to_vec();
        loop {
            match Self::put_over(dir, name, &left) {
                Ok(profile) => return (profile, faults),
                Err(fault) => {
                    let broken = left
                        .iter()
                        .map(|o| o.table)
                        .find(|table| fault.names(table));
                    faults.push(fault);
                    let Some(broken) = broken else {
                        return (own, faults);
                    };
                    left.retain(|o| o.table != broken);
                    left.push(Override {
                        table: broken,
                        key: FITTED,
                        value: "false",
                    });
                    if faults.len() > overrides.len() {
                        return (own, faults);
                    }
                }
            }
        }
    }

    fn put_over(dir: &Path, name: &str, overrides: &[Override<'_>]) -> Result<Self, ProfileError> {
        let file = dir.join(name).join("hardware.toml");
        let mut merged: Table =
            toml::from_str(&super::read::text_of(dir, name)).unwrap_or_default();
        for wanted in overrides {
            put(&mut merged, wanted).map_err(|error| of_override(wanted, &error.to_string()))?;
        }
        merged.retain(|_, value| {
            let Value::Table(table) = value else {
                return true;
            };
            table.remove(FITTED) != Some(Value::Boolean(false))
        });
        let text = toml::to_string(&merged).unwrap_or_default();
        Self::parse(&file, &text).map_err(|error| placed(error, &text, overrides))
    }
}

impl ProfileError {
    /// It is about this table.
    fn names(&self, table: &str) -> bool {
        self.at == at(table)
    }
}

/// An error in the merged text, by the name of what the owner wrote.
fn placed(error: ProfileError, text: &str, overrides: &[Override<'_>]) -> ProfileError {
    let line = error
        .at
        .split(':')
        .nth(1)
        .and_then(|line| line.parse::<usize>().ok());
    let table = line.map_or_else(
        || {
            let named = error.problem.strip_prefix('[');
            named.and_then(|rest| rest.split(']').next()).unwrap_or("")
        },
        |line| {
            let upto = text.lines().take(line).filter(|line| line.starts_with('['));
            upto.last().map_or("", |line| line.trim_matches(['[', ']']))
        },
    );
    let key = line
        .and_then(|line| text.lines().nth(line.saturating_sub(1)))
        .and_then(|line| line.split([' ', '=']).next())
        .unwrap_or("");
    let table = table.split('.').next().unwrap_or("").to_owned();
    // Two purposes of one line: named is the one that the owner wrote, and of it the key that has
    // this line.
    let mentioned = |o: &&Override<'_>| error.problem.contains(&format!("[{}]", o.table));
    let twice = error.problem.strip_prefix("line ");
    let twice = twice.and_then(|rest| rest.split_whitespace().next());
    let is_it = |o: &&Override<'_>| {
        let mut words = o.value.split(|c: char| !c.is_alphanumeric());
        mentioned(o) && twice.is_some_and(|name| words.any(|word| word == name))
    };
    let exact = overrides.iter().find(|o| o.table == table && o.key == key);
    // `[hook] debounce_ms = 500`: the key is in the text.
    let spelled = |o: &&Override<'_>| {
        let begin = format!("[{}] {} = ", o.table, o.key);
        error.problem.starts_with(&begin)
    };
    let wanted = exact
        .or_else(|| overrides.iter().find(spelled))
        .or_else(|| overrides.iter().find(|o| o.table == table))
        .or_else(|| overrides.iter().find(is_it))
        .or_else(|| overrides.iter().find(mentioned));
    match wanted {
        Some(wanted) => ProfileError {
            help: error.help,
            ..of_override(wanted, &error.problem)
        },
        None => error,
    }
}

fn at(table: &str) -> String {
    match table {
        "gpio" => " [hardware]".to_owned(),
        "audio" => " [board.audio]".to_owned(),
        _ => format!(" [hardware.{table}]"),
    }
}

fn of_override(wanted: &Override<'_>, problem: &str) -> ProfileError {
    ProfileError {
        file: PathBuf::from("offhook.toml"),
        at: at(wanted.table),
        problem: format!("`{}`: {problem}", wanted.key),
        help: "correct this section, or leave the key to the board's profile".to_owned(),
    }
}

/// Why a key is not put over the profile.
#[derive(Debug, thiserror::Error)]
enum PutError {
    /// What it is set to is no value.
    #[error("{}", .0.message())]
    Value(#[from] toml::de::Error),
    /// The profile has something else of the section's name.
    #[error("`{0}` is no table of the board's profile")]
    NoTable(String),
}

/// Puts one key over the table.
fn put(merged: &mut Table, wanted: &Override<'_>) -> Result<(), PutError> {
    let document: Table = toml::from_str(&format!("value = {}", wanted.value))?;
    let value = document
        .get("value")
        .cloned()
        .unwrap_or(Value::Boolean(false));
    let table = merged
        .entry(wanted.table)
        .or_insert_with(|| Value::Table(Table::new()));
    let Value::Table(table) = table else {
        return Err(PutError::NoTable(wanted.table.to_owned()));
    };
    if value == Value::String(NONE.to_owned()) {
        table.remove(wanted.key);
    } else {
        table.insert(wanted.key.to_owned(), value);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use testkit::process::TestDir;

    use super::*;
    use crate::gpio::LineName;

    const BASE: &str = "name = \"base\"\n[hook]\nline = 23\ndebounce_ms = 20\n\
        [keypad]\nrows = [5, 6]\ncolumns = [16]\nkeys = [\"1\", \"2\"]\n\
        [ringer]\nkind = \"bell\"\nlines = [22, 4]\n[lamps]\nline = 7\nmessage = 9\n";

    /// A folder with the profile `base`.
    fn base(name: &str) -> TestDir {
        let folder = TestDir::new(&format!("overlay-{name}"));
        std::fs::create_dir_all(folder.join("base")).unwrap();
        std::fs::write(folder.join("base/hardware.toml"), BASE).unwrap();
        folder
    }

    fn over<'a>(list: &[(&'a str, &'a str, &'a str)]) -> Vec<Override<'a>> {
        let each =
            |(table, key, value): &(&'a str, &'a str, &'a str)| Override { table, key, value };
        list.iter().map(each).collect()
    }

    #[test]
    fn a_key_replaces_the_profiles_and_leaves_the_others() {
        let folder = base("replace");
        let overrides = over(&[
            ("hook", "line", "24"),
            ("hook", "contact", "\"normally-closed\""),
            ("lamps", "message", "\"none\""),
            ("lamps", "muted", "\"GPIO11\""),
            ("ringer", "fitted", "false"),
            ("keys", "mute", "22"),
            ("audio", "periods", "4"),
        ]);
        let profile = Profile::load_over(&folder, "base", &overrides).unwrap();
        let hook = profile.hook.unwrap();
        assert_eq!(
            (hook.line.name, hook.debounce_ms),
            (LineName::Number(24), 20)
        );
        assert_eq!(hook.contact, crate::hook::Contact::NormallyClosed);
        let lamps: Vec<String> = profile
            .lamps
            .wired()
            .map(|(lamp, line)| format!("{} {}", lamp.as_str(), line.name))
            .collect();
        assert_eq!(lamps, ["line 7", "muted `GPIO11`"]);
        assert!(profile.ringer.is_none() && profile.keypad.is_some());
        assert_eq!(profile.audio.periods, 4);
        assert_eq!(
            profile.keys.unwrap().wired().count(),
            1,
            "the bell's line is free"
        );
    }

    #[test]
    fn two_purposes_of_a_line_are_an_error_by_name() {
        let folder = base("conflict");
        for (list, wanted) in [
            (
                vec![("hook", "line", "5")],
                "offhook.toml [hardware.hook]: `line`: line 5 of [keypad] is used by [hook] \
                 already; each line has one purpose",
            ),
            (
                vec![("hook", "debounce_ms", "60"), ("hook", "line", "5")],
                "offhook.toml [hardware.hook]: `line`: line 5 of [keypad] is used by [hook] \
                 already; each line has one purpose",
            ),
            (
                vec![("lamps", "muted", "23")],
                "offhook.toml [hardware.lamps]: `muted`: line 23 of [lamps] is used by [hook] \
                 already; each line has one purpose",
            ),
            (
                vec![("ringer", "lines", "[22]")],
                "offhook.toml [hardware.ringer]: `lines`: 1 ringer lines; a bell has two lines, a \
                 buzzer one",
            ),
            (
                vec![("hook", "debounce_ms", "500")],
                "offhook.toml [hardware.hook]: `debounce_ms`: [hook] debounce_ms = 500; it is 0 to \
                 400",
            ),
            (
                vec![
                    ("display", "controller", "\"sh1106\""),
                    ("display", "rotation", "90"),
                ],
                "offhook.toml [hardware.display]: `rotation`: [display] rotation = 90; an OLED is \
                 mounted at 0 or 180",
            ),
            (
                vec![("rotary", "numbering", "\"sweden\"")],
                "offhook.toml [hardware.rotary]: `numbering`: missing field `pulse`; \
                 board/README.md explains every key",
            ),
        ] {
            let error = Profile::load_over(&folder, "base", &over(&list)).unwrap_err();
            assert_eq!(error.to_string(), wanted);
        }
    }

    #[test]
    fn a_device_that_does_not_fit_is_left_out_and_the_rest_works() {
        let folder = base("usable");
        let overrides = over(&[("lamps", "muted", "23"), ("hook", "debounce_ms", "60")]);
        let (profile, faults) = Profile::load_usable_over(&folder, "base", &overrides);
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert_eq!(profile.lamps.wired().count(), 0);
        assert_eq!(profile.hook.unwrap().debounce_ms, 60);
        assert!(profile.ringer.is_some());
    }

    #[test]
    fn a_board_without_a_folder_can_be_overridden_too() {
        let overrides = over(&[("hook", "line", "3")]);
        let profile = Profile::load_over("/nowhere".as_ref(), "sim", &overrides).unwrap();
        assert_eq!(profile.hook.unwrap().line.name, LineName::Number(3));
    }
}
