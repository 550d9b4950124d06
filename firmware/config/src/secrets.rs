//! Passwords off the card: the file on the FAT partition can be read by anyone who takes it out,
//! the phone's own directory only by the phone. What moves where is decided here; who owns the
//! files reads and writes them.
//!
//! ```text
//! offhook.toml ── move_out ──▶ the same text with "@moved" for each secret, and the secrets by name ─▶ secrets.toml (0600)
//! offhook.toml + secrets.toml ── restore ──▶ the text as if nothing had moved ─▶ load
//! ```
//!
//! Order of writing: the secrets first, then the file. A power cut between the two leaves both
//! whole, and the next start does it again. A secret's name is its section and key, an account's
//! besides its user and domain: accounts may change their order.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::Range;
use std::path::PathBuf;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::error::LineIndex;
use crate::schema::Secret;
use crate::settings::{SECTIONS, settings};
use crate::value::ValueKind;

/// Most secrets stored; no configuration has more.
const MOST: usize = 64;

/// The secrets of a phone by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoredSecrets(BTreeMap<String, Secret>);

impl StoredSecrets {
    /// Reads what [`StoredSecrets::text`] wrote; what is broken is left out.
    pub fn parse(text: &str) -> Self {
        let (document, _) = DeTable::parse_recoverable(text);
        let entries = document
            .get_ref()
            .iter()
            .filter_map(|(name, value)| match value.get_ref() {
                DeValue::String(secret) => {
                    Some((name.get_ref().to_string(), Secret(secret.to_string())))
                }
                _ => None,
            });
        Self(entries.take(MOST).collect())
    }

    /// As a file keeps it. To be written for the phone's own eyes only.
    pub fn text(&self) -> Secret {
        let mut text = String::from(
            "# Secrets moved off offhook.toml (security.move_secrets). Only the phone reads and \
             writes this file.\n",
        );
        for (name, secret) in &self.0 {
            let _ = writeln!(text, "{} = {}", literal(name), literal(&secret.0));
        }
        Secret(text)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A configuration whose secrets have moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// The file's new text; everything but the secrets is as it was.
    pub text: String,
    /// All secrets: those stored before and those found now.
    pub stored: StoredSecrets,
}

/// Takes every secret out of a text that [`crate::load`] accepted. `None`: there is none in it.
pub fn move_out(text: &str, stored: &StoredSecrets) -> Option<Moved> {
    let mut stored = stored.clone();
    let mut found: Vec<TextValue> = secret_values(text)
        .into_iter()
        .filter(|item| !item.value.0.is_empty() && item.value.0 != Secret::MOVED)
        .collect();
    if found.is_empty() {
        return None;
    }
    found.sort_unstable_by_key(|item| std::cmp::Reverse(item.span.start));
    let mut text = text.to_owned();
    for item in found {
        if stored.0.len() >= MOST && !stored.0.contains_key(&item.name) {
            continue;
        }
        text.replace_range(item.span, &literal(Secret::MOVED));
        stored.0.insert(item.name, item.value);
    }
    Some(Moved { text, stored })
}

/// The text as if nothing had moved. A secret that is not stored stays as it is, and `load` reports
/// it.
pub fn restore(text: &str, stored: &StoredSecrets) -> Secret {
    let mut found = secret_values(text);
    found.retain(|item| item.value.0 == Secret::MOVED);
    found.sort_unstable_by_key(|item| std::cmp::Reverse(item.span.start));
    let mut text = text.to_owned();
    for item in found {
        if let Some(secret) = stored.0.get(&item.name) {
            text.replace_range(item.span, &literal(&secret.0));
        }
    }
    Secret(text)
}

/// A file the configuration names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileUse {
    /// The key that names it: `tls.ca`.
    pub key: String,
    /// The path as written.
    pub path: PathBuf,
    /// Where it is named: line and column from 1.
    pub line: usize,
    /// See `line`.
    pub column: usize,
}

/// Every file a configuration names that must be there.
pub fn files(text: &str) -> Vec<FileUse> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let lines = LineIndex::new(text);
    let found = values(text, |kind| kind == ValueKind::File);
    found
        .into_iter()
        .map(|item| {
            let (line, column) = lines.line_and_column(item.span.start);
            FileUse {
                key: item.name,
                path: PathBuf::from(&item.value.0),
                line,
                column,
            }
        })
        .collect()
}

/// A text value and its span.
struct TextValue {
    name: String,
    value: Secret,
    span: Range<usize>,
}

fn secret_values(text: &str) -> Vec<TextValue> {
    values(text, |kind| kind == ValueKind::Secret)
}

/// Every text value of a kind, in a text with or without a byte order mark; spans count from the
/// very beginning.
fn values(text: &str, wanted: impl Fn(ValueKind) -> bool) -> Vec<TextValue> {
    let bare = text.strip_prefix('\u{feff}').unwrap_or(text);
    let before = text.len() - bare.len();
    let (document, _) = DeTable::parse_recoverable(bare);
    let mut found = Vec::new();
    for setting in settings().filter(|setting| wanted(setting.kind)) {
        let Some((_, path, _)) = SECTIONS
            .iter()
            .find(|(section, ..)| *section == setting.section)
        else {
            continue;
        };
        for (whose, table) in tables(document.get_ref(), path) {
            if let Some(value) = table.get(setting.name)
                && let DeValue::String(content) = value.get_ref()
            {
                let span = value.span();
                found.push(TextValue {
                    name: format!("{path}{whose}.{}", setting.name),
                    value: Secret(content.to_string()),
                    span: span.start + before..span.end + before,
                });
            }
        }
    }
    found
}

/// The tables of a section: one, or the entries of a list with what identifies each.
fn tables<'d, 'i>(document: &'d DeTable<'i>, path: &str) -> Vec<(String, &'d DeTable<'i>)> {
    let mut here = document;
    let mut steps = path.split('.').peekable();
    while let Some(step) = steps.next() {
        match here.get(step).map(Spanned::get_ref) {
            Some(DeValue::Table(table)) if steps.peek().is_none() => {
                return vec![(String::new(), table)];
            }
            Some(DeValue::Table(table)) => here = table,
            Some(DeValue::Array(list)) if steps.peek().is_none() => {
                let entry = |item: &'d Spanned<DeValue<'i>>| match item.get_ref() {
                    DeValue::Table(table) => Some((account_key(table), table)),
                    _ => None,
                };
                return list.iter().filter_map(entry).collect();
            }
            Some(_) | None => return Vec::new(),
        }
    }
    Vec::new()
}

/// What identifies an account: user and domain, never its position in the list.
fn account_key(table: &DeTable<'_>) -> String {
    let text = |name: &str| match table.get(name).map(Spanned::get_ref) {
        Some(DeValue::String(text)) => text.to_string(),
        _ => String::new(),
    };
    format!(".{}@{}", text("user"), text("domain"))
}

/// Text as TOML writes it on one line.
fn literal(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load;

    const CARD: &str = "\u{feff}# the kitchen\r\n[[account]]\r\nuser = \"101\"\r\n\
                        domain = \"a.example\"\r\npassword = 'hunter\\2' # mine\r\n\
                        [[account]]\r\nuser = \"102\"\r\ndomain = \"b.example\"\r\n\
                        password = \"quo\\\"te ü\"\r\n";

    fn passwords(text: &str) -> Vec<String> {
        let config = load(text, "f").unwrap_or_else(|errors| panic!("{errors}"));
        config
            .accounts
            .into_iter()
            .map(|account| account.password.0)
            .collect()
    }

    #[test]
    fn secrets_move_out_and_come_back() {
        let moved = move_out(CARD, &StoredSecrets::default()).unwrap();
        assert!(
            !moved.text.contains("hunter") && !moved.text.contains("quo"),
            "{}",
            moved.text
        );
        assert_eq!(moved.text.matches("\"@moved\"").count(), 2);
        assert!(moved.text.contains("# mine\r\n") && moved.text.starts_with('\u{feff}'));
        assert_eq!(moved.stored.len(), 2);
        let stored = StoredSecrets::parse(&moved.stored.text().0);
        assert_eq!(stored, moved.stored);
        assert_eq!(
            passwords(&restore(&moved.text, &stored).0),
            ["hunter\\2", "quo\"te ü"]
        );
    }

    #[test]
    fn doing_it_again_changes_nothing() {
        let moved = move_out(CARD, &StoredSecrets::default()).unwrap();
        assert_eq!(move_out(&moved.text, &moved.stored), None);
        // Power was cut after the secrets were written and before the file was: the same once more.
        assert_eq!(move_out(CARD, &moved.stored).unwrap(), moved);
    }

    #[test]
    fn new_password_wins_and_accounts_may_be_reordered() {
        let moved = move_out(CARD, &StoredSecrets::default()).unwrap();
        let changed = moved.text.replacen("\"@moved\"", "\"new\"", 1);
        let again = move_out(&changed, &moved.stored).unwrap();
        assert_eq!(
            passwords(&restore(&again.text, &again.stored).0),
            ["new", "quo\"te ü"]
        );
        let swapped = "[[account]]\nuser=\"102\"\ndomain=\"b.example\"\npassword=\"@moved\"\n\
                       [[account]]\nuser=\"101\"\ndomain=\"a.example\"\npassword=\"@moved\"\n";
        assert_eq!(
            passwords(&restore(swapped, &again.stored).0),
            ["quo\"te ü", "new"]
        );
    }

    #[test]
    fn a_missing_secret_is_an_error_with_its_line() {
        let moved = move_out(CARD, &StoredSecrets::default()).unwrap();
        let error = load(
            &restore(&moved.text, &StoredSecrets::default()).0,
            "offhook.toml",
        )
        .unwrap_err()
        .to_string();
        assert!(
            error.starts_with("offhook.toml:5:12: ")
                && error.contains("write the password here again"),
            "{error}"
        );
    }

    #[test]
    fn secrets_are_never_shown() {
        let moved = move_out(CARD, &StoredSecrets::default()).unwrap();
        assert!(!format!("{moved:?}").contains("hunter"));
    }

    #[test]
    fn every_named_file_has_a_line() {
        let text = "[tls]\nca = \"ca.pem\"\n  certificate = '/c'\nkey = \"k\"\n";
        let found: Vec<_> = files(text)
            .into_iter()
            .map(|f| (f.key, f.path, f.line, f.column))
            .collect();
        let expect = |key: &str, path: &str, line, column| {
            (key.to_owned(), PathBuf::from(path), line, column)
        };
        assert_eq!(
            found,
            [
                expect("tls.ca", "ca.pem", 2, 6),
                expect("tls.certificate", "/c", 3, 17),
                expect("tls.key", "k", 4, 7)
            ]
        );
        assert_eq!(files("[tls]\n[[tls.pin]]\nname = \"x\"\n"), []);
    }
}
