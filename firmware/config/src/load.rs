//! From the text of `offhook.toml` to a [`Config`], or to everything that is wrong with it at once.
//!
//! ```text
//! bytes ─▶ size, UTF-8, BOM ─▶ TOML (recovering) ─▶ section by section: unknown names, kinds ─▶ cross checks ─▶ Config
//!               │                     │                              │                                   │
//!               └─ one error          └──────────── problems ────────┴───────────────────────────────────┴─▶ Errors
//! ```
//!
//! Several texts lie one over the other ([`load_layers`]): a key of a later one wins over the same
//! key of an earlier one, a list (accounts, speed dial) as a whole. This is the one place where
//! precedence is made; [`crate::store`] says which texts there are.

use std::collections::BTreeSet;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::error::{Error, Errors, LineIndex, MAX_ERRORS, Problem, nearest, quote};
use crate::schema;
use crate::schema::Config;
use crate::settings::{
    SECTIONS, Section, Set, Setting, WhenUnset, new_name, old_name, settings, settings_of,
};
use crate::value::{Value, ValueKind, in_order};

/// Largest configuration file in bytes.
pub const MAX_BYTES: usize = 256 * 1024;

/// Reads a configuration. Every error is reported, in the order of the text; `file_name` is only
/// for their positions.
pub fn load(text: &str, file_name: &str) -> Result<Config, Errors> {
    load_bytes(text.as_bytes(), file_name)
}

/// Reads a configuration from the bytes of a file, which may be no text at all.
pub fn load_bytes(bytes: &[u8], file_name: &str) -> Result<Config, Errors> {
    load_layers(&[Layer {
        name: file_name,
        bytes,
        remote: false,
    }])
}

/// One of the texts a configuration is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layer<'a> {
    /// Its name in errors.
    pub name: &'a str,
    /// What it holds.
    pub bytes: &'a [u8],
    /// It came over the network: it may not say where files lie, who may log in, or how the network
    /// is trusted.
    pub remote: bool,
}

/// Reads a configuration from several texts, the weakest first. Every error is reported, layer by
/// layer.
pub fn load_layers(layers: &[Layer<'_>]) -> Result<Config, Errors> {
    let mut texts = Vec::new();
    let mut errors = Vec::new();
    for layer in layers {
        match text_of(layer.bytes, layer.name) {
            Ok(text) => texts.push((layer, text, DeTable::parse_recoverable(text))),
            Err(wrong) => errors.extend(wrong.0),
        }
    }
    let mut reader = Reader::new();
    let documents: Vec<&DeTable<'_>> = texts
        .iter()
        .map(|(.., (document, _))| document.get_ref())
        .collect();
    for (index, (layer, text, (document, syntax))) in texts.iter().enumerate() {
        let lines = LineIndex::new(text);
        let problems = syntax.iter().map(|error| syntax_problem(error, text));
        let mut problems: Vec<Problem> = problems.collect();
        // One mistake often makes TOML stumble several times on its line: the first says enough.
        problems.sort_by_key(|problem| problem.at);
        problems.dedup_by_key(|problem| lines.line(problem.at));
        let broken_lines: BTreeSet<usize> = problems
            .iter()
            .map(|problem| lines.line(problem.at))
            .collect();

        reader.complete = problems.is_empty();
        reader.remote = layer.remote;
        reader.document(document.get_ref());
        reader.both_names(document.get_ref());
        if index + 1 == texts.len() {
            reader.cross_check(&documents);
        }
        // What TOML could not read it guessed, with no position (0) or on the broken line: a second
        // error would only repeat the first.
        let whole = problems.is_empty();
        let meaning = std::mem::take(&mut reader.problems)
            .into_iter()
            .filter(|problem| {
                whole || (problem.at > 0 && !broken_lines.contains(&lines.line(problem.at)))
            });
        problems.extend(meaning);
        problems.dedup();
        if !problems.is_empty() {
            errors.extend(lines.errors(layer.name, problems).0);
        }
    }
    if errors.is_empty() {
        Ok(reader.finished())
    } else {
        errors.truncate(MAX_ERRORS);
        Err(Errors(errors))
    }
}

/// What is read but should be looked at: names of an earlier release, and accounts without a
/// password. Each says where it is and what to write.
pub fn warnings(bytes: &[u8], file_name: &str) -> Vec<Error> {
    let Ok(text) = text_of(bytes, file_name) else {
        return Vec::new();
    };
    let (document, _) = DeTable::parse_recoverable(text);
    let problem = |used: OldNameUsed| {
        Problem::new(
            used.at,
            format!("`{}` is the old name of `{}`", used.old, used.new),
            format!(
                "write `{}`: release 0.2 no longer reads the old name",
                used.new
            ),
        )
    };
    let mut old: Vec<Problem> = old_names(document.get_ref())
        .into_iter()
        .map(problem)
        .collect();
    old.extend(lists::empty_passwords(document.get_ref()));
    LineIndex::new(text).errors(file_name, old).0
}

/// One clear error for what is no configuration at all.
fn text_of<'b>(bytes: &'b [u8], file_name: &str) -> Result<&'b str, Errors> {
    let whole = |line, column, what: String, help: &str| {
        Errors(vec![Error {
            file: file_name.to_owned(),
            line,
            column,
            what,
            help: help.to_owned(),
        }])
    };
    if bytes.len() > MAX_BYTES {
        let what = format!(
            "the file has {} bytes, a configuration at most {MAX_BYTES}",
            bytes.len()
        );
        return Err(whole(1, 1, what, "use the offhook.toml, not another file"));
    }
    if is_utf16(bytes) {
        let what = "the file is UTF-16 text".to_owned();
        return Err(whole(1, 1, what, "save it as UTF-8"));
    }
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let upto = |at: usize| {
        let before = String::from_utf8_lossy(&bytes[..at]).into_owned();
        LineIndex::new(&before).line_and_column(before.len())
    };
    if let Some(at) = bytes.iter().position(|&byte| byte == 0) {
        let (line, column) = upto(at);
        return Err(whole(
            line,
            column,
            "there is a zero byte: this is not a text file".to_owned(),
            "use the offhook.toml, not a binary file",
        ));
    }
    std::str::from_utf8(bytes).map_err(|error| {
        let (line, column) = upto(error.valid_up_to());
        whole(
            line,
            column,
            "this character is not UTF-8".to_owned(),
            "save the file as UTF-8",
        )
    })
}

/// Whether it is UTF-16 in either order: by its mark, or because of the first characters, which are
/// ASCII in every configuration, every other byte is zero.
fn is_utf16(bytes: &[u8]) -> bool {
    match bytes {
        [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] => true,
        [a, b, c, d, ..] => {
            let zero = [a, b, c, d].map(|byte| *byte == 0);
            zero == [true, false, true, false] || zero == [false, true, false, true]
        }
        _ => false,
    }
}

/// A syntax error in words, with help.
fn syntax_problem(error: &toml::de::Error, text: &str) -> Problem {
    let at = error.span().map_or(0, |span| span.start);
    let first = text.get(at..).and_then(|rest| rest.chars().next());
    let message = error.message();
    let (what, expected) = message
        .split_once(", expected ")
        .map_or((message, None), |(what, expected)| (what, Some(expected)));
    let help = match (what, expected) {
        ("duplicate key", _) => "keep one of them".to_owned(),
        ("unexpected key or value", Some(_)) if is_inside_text(text, at, '"') => {
            "a quotation mark inside \"…\" is written \\\", or put the text between '…'".to_owned()
        }
        ("unexpected key or value", Some(_)) if is_inside_text(text, at, '\'') => {
            "put a text with an apostrophe between \"…\"".to_owned()
        }
        ("missing escaped value", _) => {
            "a backslash is written twice between \"…\", and once between '…'".to_owned()
        }
        ("unexpected key or value", Some(_)) => {
            "begin a new line here, or write `#` before a comment".to_owned()
        }
        ("invalid basic string", Some("`\"`")) => "close the text with `\"`".to_owned(),
        (what, _) if what.contains("recurs") => "nest fewer brackets and dots".to_owned(),
        // A word processor made them of plain ones.
        ("string values must be quoted", _) if first.is_some_and(|c| "“”„‟‘’‚«»″".contains(c)) => {
            "write plain quotation marks: \"text\", or 'text'".to_owned()
        }
        ("string values must be quoted", _) => {
            "write the value in quotes, like \"text\"".to_owned()
        }
        ("key with no value", _) => "write `name = value`".to_owned(),
        ("carriage return must be followed by newline", _) => {
            "save the file with Unix or Windows line ends".to_owned()
        }
        (_, Some("nothing")) => "remove this".to_owned(),
        (_, Some(expected)) => format!("write {expected} here"),
        (_, None) => "write `name = value`, `[section]` or a `#` comment".to_owned(),
    };
    Problem::new(at, what, help)
}

/// Whether what stands here follows the quotation mark that closed a text on its line, and another
/// one comes behind: it was meant as a part of the text.
fn is_inside_text(text: &str, at: usize, mark: char) -> bool {
    let (before, behind) = (text.get(..at), text.get(at..));
    let (Some(before), Some(behind)) = (before, behind) else {
        return false;
    };
    let line = before.rsplit('\n').next().unwrap_or_default();
    let rest = behind.lines().next().unwrap_or_default();
    line.ends_with(mark) && line.matches(mark).count() == 2 && rest.contains(mark)
}

/// What a text says of a key.
enum Given {
    Unset,
    /// Its error has been reported.
    Wrong,
    Value(Value),
}

struct Reader {
    config: Config,
    problems: Vec<Problem>,
    /// TOML read the whole text, so that a missing key is truly missing.
    complete: bool,
    /// This text came over the network.
    remote: bool,
    /// Keys whose value was wrong: cross checks do not use them.
    wrong: Vec<&'static str>,
}

impl Reader {
    /// With every default set.
    fn new() -> Self {
        let mut config = schema::blank();
        for setting in settings() {
            if let Set::Config(set) = setting.set
                && let WhenUnset::Default(default) = setting.when_unset
                && let Some(value) = default_value(setting.kind, default)
            {
                set(&mut config, value);
            }
        }
        Self {
            config,
            problems: Vec::new(),
            complete: true,
            remote: false,
            wrong: Vec::new(),
        }
    }

    /// What follows from other keys where it was not said.
    fn finished(mut self) -> Config {
        let country = self.config.phone.country;
        self.config.codes.complete(country);
        if self.config.dial.digit_map.is_empty() {
            self.config.dial.digit_map = crate::country::digit_map(country);
        }
        let zone = &mut self.config.system.time_zone;
        if zone.is_empty() {
            country_zone(country).clone_into(zone);
        } else if let Some(rule) = crate::time_zone::rule(zone) {
            *zone = rule.to_owned();
        }
        self.config
    }

    fn problem(&mut self, at: usize, what: impl Into<String>, help: impl Into<String>) {
        self.problems.push(Problem::new(at, what, help));
    }

    fn document(&mut self, document: &DeTable<'_>) {
        for (name, value) in in_order(document) {
            let new = new_name(None, name.get_ref()).unwrap_or(name.get_ref());
            let known = SECTIONS.iter().find(|(_, path, _)| *path == new);
            match known {
                None => self.unknown_section(name, value),
                Some((Section::Account, ..)) => {}
                Some((_, path, _)) => {
                    if !matches!(value.get_ref(), DeValue::Table(_)) {
                        self.problem(
                            name.span().start,
                            format!("`{path}` is a section, not a value or a list"),
                            format!("write `[{path}]` on a line of its own"),
                        );
                    }
                }
            }
        }
        for &(section, path, _) in SECTIONS {
            if section == Section::Account {
                self.accounts(document);
            } else if section == Section::TlsPin {
                self.pins(document);
            } else {
                let found = if let Some((outer, inner)) = path.split_once('.') {
                    table(document, outer).and_then(|outer| table(outer, inner))
                } else {
                    let old = || table(document, old_name(None, path)?);
                    table(document, path).or_else(old)
                };
                self.section(section, path, found);
            }
        }
    }

    /// A setting under its old and its new name: which one is meant cannot be known.
    fn both_names(&mut self, document: &DeTable<'_>) {
        for used in old_names(document).into_iter().filter(|used| used.both) {
            let what = format!("`{}` is here under its old name, too", used.new);
            let help = format!("keep `{}` and remove `{}`", used.new, used.old);
            self.problem(used.at, what, help);
        }
    }

    fn unknown_section(
        &mut self,
        name: &Spanned<toml::de::DeString<'_>>,
        value: &Spanned<DeValue<'_>>,
    ) {
        let at = name.span().start;
        let shown = quote(name.get_ref());
        if self.problems.len() > MAX_ERRORS {
            // Looking for what was meant takes time; there are enough errors to begin with.
            self.problem(
                at,
                format!("there is no section or key {shown} here"),
                "remove it",
            );
        } else if matches!(value.get_ref(), DeValue::Table(_) | DeValue::Array(_)) {
            let paths = SECTIONS.iter().map(|(_, path, _)| *path);
            let help = match nearest(name.get_ref(), paths.clone()) {
                Some("account") => "did you mean `[[account]]`?".to_owned(),
                Some(near) => format!("did you mean `[{near}]`?"),
                None => format!("the sections are {}", paths.collect::<Vec<_>>().join(", ")),
            };
            self.problem(at, format!("there is no section {shown}"), help);
        } else {
            let help = match section_of(name.get_ref()) {
                Some((path, key)) => format!("did you mean `{key}` under `[{path}]`?"),
                None => "write the section it belongs to, like `[phone]`, above it".to_owned(),
            };
            self.problem(at, format!("{shown} is outside of every section"), help);
        }
    }

    /// Reads one section; what it does not say stays as it is.
    fn section(&mut self, section: Section, path: &str, found: Option<&DeTable<'_>>) {
        let Some(found) = found else { return };
        self.unknown_keys(section, path, found);
        for setting in settings_of(section) {
            let Set::Config(set) = setting.set else {
                continue;
            };
            if let Given::Value(value) = self.given(path, setting, found) {
                set(&mut self.config, value);
            }
        }
    }

    /// What a section says of one key; what is wrong with it is reported here.
    fn given(&mut self, path: &str, setting: &Setting, found: &DeTable<'_>) -> Given {
        let old = || found.get_key_value(old_name(Some(setting.section), setting.name)?);
        let Some((name, value)) = found.get_key_value(setting.name).or_else(old) else {
            return Given::Unset;
        };
        if self.remote && setting.is_local() {
            let what = format!("`{path}.{}` is only allowed on the card", setting.name);
            self.problem(name.span().start, what, "remove it here");
            return Given::Wrong;
        }
        match setting.kind.check(value) {
            Ok(value) => Given::Value(value),
            Err(problems) => {
                self.wrong(path, setting.name, problems);
                Given::Wrong
            }
        }
    }

    fn wrong(&mut self, path: &str, name: &'static str, problems: Vec<Problem>) {
        self.wrong.push(name);
        for Problem { at, what, help } in problems {
            self.problem(at, format!("`{path}.{name}`: {what}"), help);
        }
    }

    fn unknown_keys(&mut self, section: Section, path: &str, found: &DeTable<'_>) {
        for (name, value) in in_order(found) {
            let known = |name: &str| {
                settings().any(|setting| setting.section == section && setting.name == name)
            };
            if known(name.get_ref()) || new_name(Some(section), name.get_ref()).is_some() {
                continue;
            }
            let below = format!("{}.{}", section.path(), name.get_ref());
            if let Some((inner, path, _)) = SECTIONS.iter().find(|(_, path, _)| *path == below) {
                if !inner.is_list() && !matches!(value.get_ref(), DeValue::Table(_)) {
                    self.problem(
                        name.span().start,
                        format!("`{path}` is a section, not a value"),
                        format!("write `[{path}]` on a line of its own"),
                    );
                }
                continue;
            }
            if self.problems.len() > MAX_ERRORS {
                self.problem(
                    name.span().start,
                    format!("there is no key {} in `{path}`", quote(name.get_ref())),
                    "remove it",
                );
                continue;
            }
            let here = settings_of(section).map(|setting| setting.name);
            let other = (section == Section::Account).then_some(name.get_ref());
            let help = if let Some(help) = other.and_then(|name| other_names::of_account(name)) {
                help.to_owned()
            } else if let Some(near) = nearest(name.get_ref(), here.clone()) {
                format!("did you mean `{near}`?")
            } else if let Some((other, key)) = section_of(name.get_ref()) {
                format!("did you mean `{key}` under `[{other}]`?")
            } else {
                format!(
                    "the keys of this section are {}",
                    here.collect::<Vec<_>>().join(", ")
                )
            };
            self.problem(
                name.span().start,
                format!("there is no key {} in `{path}`", quote(name.get_ref())),
                help,
            );
        }
    }
}

/// The zone of a country as a POSIX rule.
fn country_zone(country: types::Country) -> &'static str {
    crate::time_zone::rule(crate::time_zone::of_country(country)).unwrap_or("UTC0")
}

fn table<'d, 'i>(document: &'d DeTable<'i>, name: &str) -> Option<&'d DeTable<'i>> {
    match document.get(name)?.get_ref() {
        DeValue::Table(found) => Some(found),
        DeValue::String(_)
        | DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_)
        | DeValue::Array(_) => None,
    }
}

/// An old name in a document.
struct OldNameUsed {
    at: usize,
    old: String,
    new: String,
    /// The new name is in the same table.
    both: bool,
}

/// Every old name in a document.
fn old_names(document: &DeTable<'_>) -> Vec<OldNameUsed> {
    let sections = document.iter().filter_map(|(name, _)| {
        let new = new_name(None, name.get_ref())?;
        Some(OldNameUsed {
            at: name.span().start,
            old: format!("[{}]", name.get_ref()),
            new: format!("[{new}]"),
            both: document.contains_key(new),
        })
    });
    let accounts = match document.get("account").map(Spanned::get_ref) {
        Some(DeValue::Array(list)) => &list[..],
        Some(_) | None => &[],
    };
    let keys = accounts.iter().flat_map(|account| match account.get_ref() {
        DeValue::Table(found) => old_keys(Section::Account, "account", found),
        _other => Vec::new(),
    });
    sections.chain(keys).collect()
}

fn old_keys(section: Section, path: &str, found: &DeTable<'_>) -> Vec<OldNameUsed> {
    let used = found.iter().filter_map(|(name, _)| {
        let new = new_name(Some(section), name.get_ref())?;
        Some(OldNameUsed {
            at: name.span().start,
            old: format!("{path}.{}", name.get_ref()),
            new: format!("{path}.{new}"),
            both: found.contains_key(new),
        })
    });
    used.collect()
}

/// The section a key was meant for, and the key.
fn section_of(name: &str) -> Option<(&'static str, &'static str)> {
    let near = nearest(name, settings().map(|setting| setting.name))?;
    let setting = settings().find(|setting| setting.name == near)?;
    let (_, path, _) = SECTIONS
        .iter()
        .find(|(section, ..)| *section == setting.section)?;
    Some((path, near))
}

/// A default of the table as a value; the table's test sees that every one is valid.
pub(crate) fn default_value(kind: ValueKind, default: &'static str) -> Option<Value> {
    let value = DeValue::parse(default).ok()?;
    kind.check(&value).ok()
}

impl Default for Config {
    /// The configuration of an empty file.
    fn default() -> Self {
        Reader::new().finished()
    }
}

mod cross_checks;
mod lists;
mod other_names;
#[cfg(test)]
mod tests;
