//! The calls of this phone: missed, received, dialled; and the text messages it received. Bounded;
//! kept as one file of the state directory, written when a call is over or a message comes.
//!
//! ```text
//! call over, message ─▶ History::add ─▶ Output::Keep (whole file, replaced at once: a power cut costs the newest entry at most)
//! ctl history ─▶ entries, the newest first        start ─▶ History::parse ─▶ redial, call return
//! ```

use serde::{Deserialize, Serialize};

use crate::event::CallDirection;
use crate::readable::displayable;

/// The file's name.
pub const FILE: &str = "history.jsonl";
/// Most calls that are kept.
pub const MAX_ENTRIES: usize = 200;
/// Most bytes that are read of the file.
pub const MAX_BYTES: usize = 256 * 1024;
/// Longest text of an entry, in characters.
const MAX_TEXT: usize = 128;
/// Longest text message, in characters.
const MAX_MESSAGE: usize = 512;

/// What became of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallOutcome {
    /// It was established.
    Answered,
    /// It came in, and no one here or elsewhere answered.
    Missed,
    /// It came in, and another phone answered.
    AnsweredElsewhere,
    /// It came in and was refused or sent elsewhere by this phone.
    Refused,
    /// It was placed and not established.
    Failed,
    /// It is no call: a text message came.
    Message,
}

/// One call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HistoryEntry {
    /// When it began: seconds since 1970 (UTC).
    pub time: u64,
    /// Who called whom.
    pub direction: CallDirection,
    /// What became of it.
    pub outcome: CallOutcome,
    /// The number or address, as it can be dialled; empty where it was withheld.
    pub number: String,
    /// The name of the far end.
    pub name: String,
    /// The account's index in the configuration; none: a call without a server.
    pub account: Option<usize>,
    /// How long it was established, in seconds.
    pub duration_s: u64,
    /// Estimated listening quality, 1 to 4.5; none where nothing was heard.
    pub mos: Option<f64>,
    /// Media encryption as measured.
    pub encryption: String,
    /// Why it ended.
    pub reason: String,
    /// What a text message says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// The calls, the oldest first.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct History {
    entries: Vec<HistoryEntry>,
}

/// The file holds what this phone does not write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HistoryError {
    /// It is larger than any this phone writes.
    #[error("it has more than {MAX_BYTES} bytes; delete it to begin again", MAX_BYTES = MAX_BYTES)]
    TooLarge,
}

/// The name of the table on the card.
pub const CSV_FILE: &str = "history.csv";

impl HistoryEntry {
    /// One row of the table; `time_zone`: a POSIX rule.
    fn to_csv(&self, accounts: &[String], time_zone: &str) -> String {
        let time = config::local_time(time_zone, self.time);
        let account = self.account.and_then(|index| accounts.get(index));
        let name_of = |value: serde_json::Result<serde_json::Value>| {
            let value = value.unwrap_or_default();
            value.as_str().unwrap_or_default().to_owned()
        };
        let cells = [
            format!(
                "{:04}-{:02}-{:02} {:02}:{:02}",
                time.year, time.month, time.day, time.hour, time.minute
            ),
            name_of(serde_json::to_value(self.direction)),
            name_of(serde_json::to_value(self.outcome)),
            self.number.clone(),
            self.name.clone(),
            account.cloned().unwrap_or_default(),
            self.duration_s.to_string(),
            self.mos.map(|mos| mos.to_string()).unwrap_or_default(),
            self.encryption.clone(),
            self.reason.clone(),
            self.text.clone().unwrap_or_default(),
        ];
        cells.map(|cell| csv_cell(&cell)).join(",")
    }
}

/// A cell (RFC 4180). A far end chooses its own name: one that a spreadsheet would take for a
/// formula begins with an apostrophe.
fn csv_cell(text: &str) -> String {
    let digits = |rest: &str| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit());
    let is_number = text.strip_prefix(['+', '-']).is_some_and(digits);
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']) && !is_number;
    let text = if formula {
        format!("'{text}")
    } else {
        text.to_owned()
    };
    if text.contains([',', '"', '\n', '\r', '\'', ';']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
}

impl History {
    /// The calls as a table for a spreadsheet (RFC 4180), the newest first. `accounts`: their
    /// names; `time_zone`: a POSIX rule.
    pub fn to_csv(&self, accounts: &[String], time_zone: &str) -> String {
        let head = "time,direction,outcome,number,name,account,duration_s,mos,encryption,reason,\
                    text\r\n";
        let rows = self
            .newest_first()
            .map(|entry| entry.to_csv(accounts, time_zone) + "\r\n");
        std::iter::once(head.to_owned()).chain(rows).collect()
    }

    /// Reads the file. A line that cannot be read is left out: one entry is lost, not all.
    pub fn parse(bytes: &[u8]) -> Result<Self, HistoryError> {
        if bytes.len() > MAX_BYTES {
            return Err(HistoryError::TooLarge);
        }
        let lines = bytes.split(|byte| *byte == b'\n');
        let mut history = Self::default();
        for entry in lines.filter_map(|line| serde_json::from_slice(line).ok()) {
            history.add(entry);
        }
        Ok(history)
    }

    /// The file's text: never larger than what is read again, the newest entries first of all.
    pub fn to_text(&self) -> String {
        let mut room = MAX_BYTES;
        let newest = self.newest_first().filter_map(|entry| {
            let line = serde_json::to_string(entry).ok()?;
            Some(line + "\n")
        });
        let fitting = newest.take_while(|line| {
            let fits = line.len() <= room;
            room = room.saturating_sub(line.len());
            fits
        });
        let mut lines: Vec<String> = fitting.collect();
        lines.reverse();
        lines.concat()
    }

    /// A call is over.
    pub fn add(&mut self, mut entry: HistoryEntry) {
        for text in [&mut entry.number, &mut entry.name, &mut entry.reason] {
            *text = displayable(text).chars().take(MAX_TEXT).collect();
        }
        if let Some(text) = &mut entry.text {
            *text = displayable(text).chars().take(MAX_MESSAGE).collect();
        }
        entry.encryption.truncate(32);
        if self.entries.len() >= MAX_ENTRIES {
            self.entries.remove(0);
        }
        self.entries.push(entry);
    }

    /// The calls, the newest first.
    pub fn newest_first(&self) -> impl Iterator<Item = &HistoryEntry> {
        self.entries.iter().rev()
    }

    /// The numbers dialled, the newest first.
    pub fn dialled(&self) -> impl Iterator<Item = String> {
        let dialled = self.newest_first();
        let out = dialled.filter(|entry| entry.direction == CallDirection::Out);
        out.map(|entry| entry.number.clone())
    }

    /// Who called last and can be called back.
    pub fn last_caller(&self) -> Option<phone::LastCaller> {
        let mut callers = self.newest_first();
        let found = callers.find(|entry| {
            entry.direction == CallDirection::In
                && entry.outcome != CallOutcome::Message
                && !entry.number.is_empty()
        })?;
        Some(phone::LastCaller {
            number: found.number.clone(),
            account: found.account.map(phone::AccountId),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(number: &str, direction: CallDirection) -> HistoryEntry {
        HistoryEntry {
            time: 1_700_000_000,
            direction,
            outcome: CallOutcome::Answered,
            number: number.to_owned(),
            name: "Anna".to_owned(),
            account: Some(0),
            duration_s: 60,
            mos: Some(4.4),
            encryption: "none".to_owned(),
            reason: "ended here".to_owned(),
            text: None,
        }
    }

    fn message(text: &str) -> HistoryEntry {
        HistoryEntry {
            outcome: CallOutcome::Message,
            text: Some(text.to_owned()),
            ..entry("302", CallDirection::In)
        }
    }

    #[test]
    fn it_is_bounded_and_read_again() {
        let mut history = History::default();
        for number in 0..MAX_ENTRIES + 50 {
            history.add(entry(&number.to_string(), CallDirection::Out));
        }
        let numbers: Vec<&str> = history.newest_first().map(|e| e.number.as_str()).collect();
        assert_eq!((numbers.len(), numbers[0]), (MAX_ENTRIES, "249"));
        let text = history.to_text();
        assert!(text.len() < MAX_BYTES);
        assert_eq!(History::parse(text.as_bytes()).unwrap(), history);
    }

    #[test]
    fn a_broken_line_costs_one_entry() {
        let mut history = History::default();
        history.add(entry("1", CallDirection::Out));
        history.add(entry("2", CallDirection::In));
        let whole = history.to_text();
        // A power cut in the middle of the last line, and bytes that are no text.
        let cut = &whole.as_bytes()[..whole.len() - 20];
        assert_eq!(History::parse(cut).unwrap().entries.len(), 1);
        let mut torn = whole.clone().into_bytes();
        torn.splice(0..3, [0xff, 0xfe, b'{']);
        assert_eq!(History::parse(&torn).unwrap().entries.len(), 1);
        let large = vec![b' '; MAX_BYTES + 1];
        assert_eq!(History::parse(&large), Err(HistoryError::TooLarge));
    }

    /// The file is replaced as a whole; but where a disk loses the end of it, or a block of it,
    /// what was lost is all that is lost.
    #[test]
    fn each_cut_of_the_file_loses_the_end_only() {
        let mut history = History::default();
        for number in 0..8 {
            history.add(entry(&number.to_string(), CallDirection::Out));
        }
        let whole = history.to_text().into_bytes();
        for cut in 0..=whole.len() {
            let read = History::parse(&whole[..cut]).unwrap();
            // Whole lines before the cut; the last one may do without its end of line.
            let lines = whole[..cut].split(|byte| *byte == b'\n').count() - 1;
            let kept = read.entries.len();
            assert!(
                kept == lines || kept == lines + 1,
                "{cut}: {kept} of {lines}"
            );
            assert_eq!(read.entries, history.entries[..kept], "{cut}");
        }
        // A block that was never written reads as zeros.
        for from in (0..whole.len()).step_by(7) {
            let mut torn = whole.clone();
            let to = (from + 64).min(torn.len());
            torn[from..to].fill(0);
            let touched = torn.split(|byte| *byte == b'\n').count();
            let lost = history.entries.len() - History::parse(&torn).unwrap().entries.len();
            assert!(lost <= 2, "{from}: {lost} of {touched} lines");
        }
    }

    #[test]
    fn the_table_is_read_by_a_spreadsheet() {
        let mut history = History::default();
        let mut named = entry("+49301234", CallDirection::In);
        named.name = "Berg, \"Anna\"".to_owned();
        history.add(named);
        let mut formula = entry("", CallDirection::In);
        formula.name = "=HYPERLINK(1)".to_owned();
        formula.outcome = CallOutcome::Missed;
        formula.mos = None;
        formula.account = None;
        history.add(formula);
        let names = ["office".to_owned()];
        let csv = history.to_csv(&names, "CET-1CEST,M3.5.0,M10.5.0/3");
        assert_eq!(
            csv,
            "time,direction,outcome,number,name,account,duration_s,mos,encryption,reason,text\r\n\
             2023-11-14 23:13,in,missed,,\"'=HYPERLINK(1)\",,60,,none,ended here,\r\n\
             2023-11-14 23:13,in,answered,+49301234,\"Berg, \"\"Anna\"\"\",office,60,4.4,none,\
             ended here,\r\n"
        );
    }

    #[test]
    fn texts_of_the_far_end_are_bounded_and_displayable() {
        let mut history = History::default();
        let mut hostile = entry("1\u{1b}[2J", CallDirection::In);
        hostile.name = "x".repeat(10_000);
        history.add(hostile);
        let kept = &history.entries[0];
        assert!(kept.name.len() == MAX_TEXT && !kept.number.contains('\u{1b}'));
    }

    #[test]
    fn the_file_is_never_larger_than_what_is_read() {
        let mut history = History::default();
        for number in 0..MAX_ENTRIES {
            let mut large = message(&"😀".repeat(600));
            large.name = "😀".repeat(200);
            large.number = format!("{number}");
            history.add(large);
        }
        let read = History::parse(history.to_text().as_bytes()).unwrap();
        let numbers: Vec<&str> = read.newest_first().map(|e| e.number.as_str()).collect();
        assert!(
            (50..MAX_ENTRIES).contains(&numbers.len()),
            "{}",
            numbers.len()
        );
        assert_eq!(numbers[0], "199", "the newest are kept");
    }

    #[test]
    fn messages_are_no_calls_to_return() {
        let mut history = History::default();
        history.add(entry("301", CallDirection::In));
        history.add(message("lunch?"));
        assert_eq!(history.last_caller().unwrap().number, "301");
        // A file of an earlier version has no texts.
        let text = history.to_text();
        assert!(text.starts_with('{') && !text.lines().next().unwrap().contains("\"text\""));
        assert_eq!(History::parse(text.as_bytes()).unwrap(), history);
    }

    #[test]
    fn redial_and_call_return_begin_with_it() {
        let mut history = History::default();
        assert_eq!(
            (history.dialled().next(), history.last_caller()),
            (None, None)
        );
        history.add(entry("200", CallDirection::Out));
        history.add(entry("301", CallDirection::In));
        history.add(entry("", CallDirection::In));
        assert_eq!(history.dialled().next().as_deref(), Some("200"));
        let caller = history.last_caller().unwrap();
        assert_eq!(
            (caller.number.as_str(), caller.account),
            ("301", Some(phone::AccountId(0)))
        );
    }
}
