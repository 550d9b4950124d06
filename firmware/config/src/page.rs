//! The commented example and the reference page, written from the table of keys so that neither can
//! disagree with the parser.
//!
//! ```text
//! SECTIONS, KEYS ─┬─▶ example   ─▶ firmware/config/offhook.example.toml   (`#key = default`, ready to be uncommented)
//!                 └─▶ reference ─▶ docs/provisioning.md
//! ```

use std::fmt::Write;

use crate::country::PLANS;
use crate::keys::{Absent, KEYS, Key, SECTIONS};
use crate::kind::Kind;

/// The example `offhook.toml`: every key explained, every default as a comment. As it stands it
/// changes nothing.
pub fn example() -> String {
    let mut page = String::from(
        "# offhook.toml: everything this telephone can be told.\n\
         #\n\
         # A line like `#key = value` shows a default or an example: take the `#` away to set it.\n\
         # Unknown names are errors, and `offhook check FILE` tells where and what was meant.\n",
    );
    for &(section, path, doc) in SECTIONS {
        page.push('\n');
        comment(&mut page, doc);
        let header = if section.is_list() {
            format!("#[[{path}]]")
        } else {
            format!("[{path}]")
        };
        let _ = writeln!(page, "{header}");
        for key in KEYS.iter().filter(|key| key.section == section) {
            page.push('\n');
            comment(&mut page, key.doc);
            if let Kind::SpeedDial(_) = key.kind {
                page.push_str(
                    "# Example:\n#[dial.speed]\n#1 = \"sip:echo@10.0.0.7\"\n#2 = \"0301234567\"\n",
                );
                continue;
            }
            match key.absent {
                Absent::Default(default) => {
                    comment(&mut page, &format!("{}.", limits(key)));
                    let _ = writeln!(page, "#{} = {default}", key.name);
                }
                Absent::Unset(meaning) => {
                    comment(
                        &mut page,
                        &format!("{}. When not set: {meaning}. Example:", limits(key)),
                    );
                    let _ = writeln!(page, "#{} = {}", key.name, key.example);
                }
                Absent::Required => {
                    comment(
                        &mut page,
                        &format!("{}. Must be given. Example:", limits(key)),
                    );
                    let _ = writeln!(page, "#{} = {}", key.name, key.example);
                }
            }
        }
    }
    page
}

/// The reference page of `offhook.toml` in Markdown.
pub fn reference() -> String {
    let mut page = String::from(
        "# offhook.toml: the reference\n\n\
         This page is written by the program's own table of settings (`config::reference`); the same table makes the parser, the defaults and\n\
         `firmware/config/offhook.example.toml`. An empty file is a valid configuration.\n\n\
         - Check a file: `offhook check offhook.toml`. Each error names file, line and column, what is wrong and what would be right;\n  \
         all errors are told at once, and an unknown name is an error.\n\
         - A file with errors never stops the phone: the last good configuration stays in use, and `status` says so.\n\
         - The file is UTF-8 text in TOML syntax, at most 256 KiB; Windows line ends and a byte order mark are fine.\n",
    );
    page.push_str(
        "\n## Where settings come from\n\nLater rows win over earlier ones, key by key; a list (accounts, speed dial) wins as a whole. \
         A layer with errors is left out and told.\n\n| layer | where it is | what it may say |\n|---|---|---|\n",
    );
    for (layer, place, what) in crate::store::PRECEDENCE {
        let _ = writeln!(page, "| {layer} | {place} | {what} |");
    }
    for &(section, path, doc) in SECTIONS {
        let header = if section.is_list() {
            format!("[[{path}]]")
        } else {
            format!("[{path}]")
        };
        let _ = write!(
            page,
            "\n## `{header}`\n\n{doc}\n\n| key | value | default | what it does |\n|---|---|---|---|\n"
        );
        for key in KEYS.iter().filter(|key| key.section == section) {
            let default = match key.absent {
                Absent::Default(default) => format!("`{}`", cell(default)),
                Absent::Unset(meaning) => format!("not set: {}", cell(meaning)),
                Absent::Required => "must be given".to_owned(),
            };
            let what = format!("{} Example: `{}`", cell(key.doc), cell(key.example));
            let _ = writeln!(
                page,
                "| `{}` | {} | {default} | {what} |",
                key.name,
                cell(&limits(key))
            );
        }
    }
    page.push_str("\n## Countries\n\n| code | country | emergency numbers | flash, ms | ringing, ms on, off |\n|---|---|---|---|---|\n");
    for plan in PLANS {
        let ring: Vec<_> = plan
            .ring_cadence_ms
            .iter()
            .map(ToString::to_string)
            .collect();
        let (from, to) = plan.flash_window_ms;
        let _ = writeln!(
            page,
            "| `{}` | {} | {} | {from}–{to} | {} |",
            plan.code,
            plan.name,
            plan.emergency.join(", "),
            ring.join(", ")
        );
    }
    page
}

/// What the value may be, as the beginning of a sentence.
fn limits(key: &Key) -> String {
    let mend = if key.kind == Kind::Country {
        "a country code of the list in docs/provisioning.md, in quotes".to_owned()
    } else {
        key.kind.mend()
    };
    let words = mend.strip_prefix("write ").unwrap_or(&mend);
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(letters).collect()
    })
}

/// Text as it may stand in a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

/// Writes text as comment lines of at most 100 characters.
fn comment(page: &mut String, text: &str) {
    let mut line = String::from("#");
    for word in text.split_whitespace() {
        if line.chars().count() + 1 + word.chars().count() > 100 {
            let _ = writeln!(page, "{line}");
            line = String::from("#");
        }
        line.push(' ');
        line.push_str(word);
    }
    let _ = writeln!(page, "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::Section;
    use crate::load::load;
    use crate::schema::Config;

    fn checked_in(path: &str, generated: &str) {
        let path = format!("{}/{path}", env!("CARGO_MANIFEST_DIR"));
        if std::env::var_os("OFFHOOK_WRITE_PAGES").is_some() {
            std::fs::write(&path, generated).unwrap();
        }
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            found == generated,
            "{path} is out of date: run `OFFHOOK_WRITE_PAGES=1 cargo test -p config` and commit it"
        );
    }

    #[test]
    fn the_example_is_the_one_checked_in() {
        checked_in("offhook.example.toml", &example());
    }

    #[test]
    fn the_reference_is_the_one_checked_in() {
        checked_in("../../docs/provisioning.md", &reference());
    }

    #[test]
    fn the_example_as_it_stands_changes_nothing() {
        assert_eq!(load(&example(), "example").unwrap(), Config::default());
    }

    /// Takes the `#` from setting lines for which `wanted` says so.
    fn uncomment(wanted: impl Fn(&str) -> bool) -> String {
        let line = |line: &str| match line.strip_prefix('#') {
            Some(rest) if !rest.is_empty() && !rest.starts_with(' ') && wanted(rest) => {
                format!("{rest}\n")
            }
            Some(_) | None => format!("{line}\n"),
        };
        example().lines().map(line).collect()
    }

    #[test]
    fn every_example_line_is_valid() {
        let all = load(&uncomment(|_| true), "example").unwrap_or_else(|errors| panic!("{errors}"));
        assert_eq!(all.accounts.len(), 1);
        assert_eq!(all.dial.speed_dial.len(), 2);
        assert!(all.dial.hotline.is_some() && all.board.audio.capture.is_some());
    }

    #[test]
    fn every_commented_default_is_the_true_default() {
        let mut section = Section::Phone;
        let defaults: Vec<String> = example()
            .lines()
            .filter_map(|line| {
                let bare = line.trim_start_matches(['#', '[']).trim_end_matches(']');
                if line.contains('[')
                    && let Some((found, ..)) = SECTIONS.iter().find(|(_, path, _)| *path == bare)
                {
                    section = *found;
                }
                let (name, value) = line.strip_prefix('#')?.split_once(" = ")?;
                let key = KEYS
                    .iter()
                    .find(|key| key.section == section && key.name == name)?;
                (!section.is_list()
                    && matches!(key.absent, Absent::Default(default) if default == value))
                .then(|| line[1..].to_owned())
            })
            .collect();
        let expected = KEYS
            .iter()
            .filter(|key| !key.section.is_list() && matches!(key.absent, Absent::Default(_)))
            .count();
        // All but the speed dial table (which has an example) and the hotline's delay (which needs
        // a hotline) stand there.
        assert_eq!(defaults.len(), expected - 1);
        let text = uncomment(|line| {
            defaults
                .iter()
                .any(|default| default == line && !line.starts_with("hotline_after_ms"))
        });
        assert_eq!(load(&text, "example").unwrap(), Config::default());
    }
}
