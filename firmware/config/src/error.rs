//! What is wrong in a configuration file, where, and how to correct it.
//!
//! ```text
//! byte offset in the text ─▶ LineIndex ─▶ line:column ─▶ Error "offhook.toml:3:8: what; help"
//! many Error ─▶ Errors (sorted by position, bounded)
//! ```

use std::fmt;

/// Most errors reported for one file; a file with more has one common cause and the first ones show
/// it.
pub const MAX_ERRORS: usize = 100;

/// One thing wrong in a configuration file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}:{column}: {what}; {help}")]
pub struct Error {
    /// Name of the file as it was given to `load`.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub what: String,
    /// How to correct it.
    pub help: String,
}

/// Everything wrong in one file, in the order of the text. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Errors(pub Vec<Error>);

impl fmt::Display for Errors {
    /// One error a line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Errors {}

/// An error that still has its position as a byte offset only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    /// Byte offset into the text.
    pub(crate) at: usize,
    /// What is wrong.
    pub(crate) what: String,
    /// How to correct it.
    pub(crate) help: String,
}

impl Problem {
    pub(crate) fn new(at: usize, what: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            at,
            what: what.into(),
            help: help.into(),
        }
    }
}

/// Turns byte offsets into lines and columns.
#[derive(Debug)]
pub(crate) struct LineIndex<'t> {
    text: &'t str,
    /// Offset of each line's first byte; the first is 0.
    starts: Vec<usize>,
}

impl<'t> LineIndex<'t> {
    pub(crate) fn new(text: &'t str) -> Self {
        let starts = std::iter::once(0)
            .chain(text.match_indices('\n').map(|(at, _)| at + 1))
            .collect();
        Self { text, starts }
    }

    /// Line of a byte offset, from 1.
    pub(crate) fn line(&self, at: usize) -> usize {
        self.starts
            .partition_point(|&start| start <= at.min(self.text.len()))
    }

    /// Line and column (in characters) of a byte offset, both from 1. An offset past the end is the
    /// end.
    pub(crate) fn line_and_column(&self, at: usize) -> (usize, usize) {
        let at = at.min(self.text.len());
        let line = self.line(at);
        let start = self.starts.get(line.wrapping_sub(1)).copied().unwrap_or(0);
        let column = self.text.as_bytes()[start..at]
            .iter()
            .filter(|&&byte| byte & 0xC0 != 0x80)
            .count();
        (line, column + 1)
    }

    /// Sorts and bounds problems, and finds their lines and columns.
    pub(crate) fn errors(&self, file: &str, mut problems: Vec<Problem>) -> Errors {
        problems.sort_by_key(|problem| problem.at);
        let more = problems.len().saturating_sub(MAX_ERRORS);
        problems.truncate(MAX_ERRORS);
        let mut errors: Vec<Error> = problems
            .into_iter()
            .map(|Problem { at, what, help }| {
                let (line, column) = self.line_and_column(at);
                Error {
                    file: file.to_owned(),
                    line,
                    column,
                    what,
                    help,
                }
            })
            .collect();
        if more > 0
            && let Some(last) = errors.last_mut()
        {
            last.help = format!(
                "{} (and {more} more errors after this one: correct these first)",
                last.help
            );
        }
        Errors(errors)
    }
}

/// The text as it may be shown in an error: short and without control characters.
pub(crate) fn quote(text: &str) -> String {
    const MOST: usize = 40;
    let mut shown: String = text
        .chars()
        .take(MOST)
        .flat_map(char::escape_debug)
        .collect();
    if text.chars().nth(MOST).is_some() {
        shown.push('…');
    }
    format!("`{shown}`")
}

/// The nearest of `names` to `wrong`, if it is near enough to be what was meant.
pub(crate) fn nearest<'n>(
    wrong: &str,
    names: impl IntoIterator<Item = &'n str>,
) -> Option<&'n str> {
    let wrong: Vec<char> = wrong
        .chars()
        .take(64)
        .flat_map(char::to_lowercase)
        .collect();
    names
        .into_iter()
        .map(|name| (distance(&wrong, name), name))
        .filter(|&(distance, name)| {
            let longer = name.len().max(wrong.len());
            // A third of the letters may be wrong; a name that is the beginning of the other is
            // near, too.
            let start: String = wrong.iter().collect();
            distance * 3 <= longer
                || (start.len() >= 3 && (name.starts_with(&start) || start.starts_with(name)))
        })
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, name)| name)
}

/// Letters to insert, drop, change or swap with their neighbour to make one word of the other.
fn distance(wrong: &[char], name: &str) -> usize {
    let name: Vec<char> = name.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=name.len()).collect();
    for (i, &a) in wrong.iter().enumerate() {
        let mut next = vec![i + 1];
        for (j, &b) in name.iter().enumerate() {
            let mut best = (row[j] + usize::from(a != b))
                .min(row[j + 1] + 1)
                .min(next[j] + 1);
            if i > 0 && j > 0 && a == name[j - 1] && wrong[i - 1] == b {
                best = best.min(before[j - 1] + 1);
            }
            next.push(best);
        }
        before = std::mem::replace(&mut row, next);
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_not_bytes() {
        let lines = LineIndex::new("a = 1\nü = \"é\" x\r\n");
        assert_eq!(lines.line_and_column(0), (1, 1));
        assert_eq!(lines.line_and_column(5), (1, 6));
        assert_eq!(lines.line_and_column(6), (2, 1));
        assert_eq!(lines.line_and_column("a = 1\nü = \"é\" ".len()), (2, 9));
        assert_eq!(lines.line_and_column(10_000), (3, 1));
    }

    #[test]
    fn the_nearest_name_is_the_one_that_was_meant() {
        let names = ["sip_port", "rtp_ports", "bind", "digit_map", "domain"];
        assert_eq!(nearest("sip_prot", names), Some("sip_port"));
        assert_eq!(nearest("sipport", names), Some("sip_port"));
        assert_eq!(nearest("RTP_PORTS", names), Some("rtp_ports"));
        assert_eq!(nearest("digit", names), Some("digit_map"));
        assert_eq!(nearest("colour", names), None);
    }

    #[test]
    fn a_file_full_of_errors_is_reported_briefly() {
        let lines = LineIndex::new("x");
        let errors = lines.errors("f", vec![Problem::new(0, "wrong", "right"); 1000]);
        assert_eq!(errors.0.len(), MAX_ERRORS);
        assert!(
            errors.to_string().contains("and 900 more errors"),
            "{errors}"
        );
    }

    #[test]
    fn quotes_are_short_and_printable() {
        assert_eq!(quote("a\u{1b}[2J"), "`a\\u{1b}[2J`");
        assert!(quote(&"x".repeat(1000)).chars().count() < 50);
    }
}
