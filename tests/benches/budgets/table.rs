//! The page: figures as a table, each beside its peer.

use std::fmt::Write;

use offhook_tests::plots::number_text;
use testkit::measure::median;

/// The phones that are measured, in the order of the columns.
pub(crate) const PHONES: [&str; 4] = ["Offhook", "baresip", "pjsua", "linphone"];

/// One figure, ours first.
struct Row {
    what: String,
    budget: &'static str,
    cells: Vec<Option<String>>,
}

/// Figures of the same subjects.
pub(crate) struct Table {
    columns: &'static [&'static str],
    rows: Vec<Row>,
}

/// The page.
pub(crate) struct Page {
    phones: Table,
    /// What is not measured on phones: a heading, how it was measured, and the figures.
    others: Vec<(&'static str, &'static str, Table)>,
    notes: Vec<String>,
}

impl Table {
    pub(crate) fn new(columns: &'static [&'static str]) -> Self {
        Self {
            columns,
            rows: Vec::new(),
        }
    }

    /// Adds a figure; `None` where there is none.
    pub(crate) fn row<const COLUMNS: usize>(
        &mut self,
        what: impl Into<String>,
        budget: &'static str,
        cells: [Option<String>; COLUMNS],
    ) {
        let row = Row {
            what: what.into(),
            budget,
            cells: cells.into(),
        };
        println!("{}", row.line());
        self.rows.push(row);
    }

    fn write(&self, out: &mut String) {
        let _ = writeln!(
            out,
            "| figure | budget | {} |\n|---|---|{}",
            self.columns.join(" | "),
            "---|".repeat(self.columns.len())
        );
        for row in &self.rows {
            let _ = writeln!(out, "{}", row.line());
        }
        let missed: Vec<String> = self.rows.iter().filter_map(Row::missed).collect();
        if !missed.is_empty() {
            let _ = writeln!(out, "\nMissed: {}.", missed.join("; "));
        }
    }
}

impl Page {
    pub(crate) fn new() -> Self {
        Self {
            phones: Table::new(&PHONES),
            others: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Adds a figure of the phones, in their order; `None`, or no cell, where there is none.
    pub(crate) fn row<const KNOWN: usize>(
        &mut self,
        what: impl Into<String>,
        budget: &'static str,
        cells: [Option<String>; KNOWN],
    ) {
        let mut cells = cells.into_iter();
        let all: [Option<String>; PHONES.len()] = std::array::from_fn(|_| cells.next().flatten());
        self.phones.row(what, budget, all);
    }

    /// Adds a table of its own.
    pub(crate) fn add(&mut self, heading: &'static str, how: &'static str, table: Table) {
        self.others.push((heading, how, table));
    }

    /// What could not be measured, and why: on the terminal now, on the page below the table.
    pub(crate) fn skip(&mut self, what: &str, why: &str) {
        println!("SKIPPED: {what}: {why}");
        self.notes.push(format!("Not measured: {what}: {why}."));
    }

    /// The page as Markdown.
    pub(crate) fn text(&self, machine: &str) -> String {
        let mut out = format!(
            "# Budgets\n\nWritten by `make bench`; do not edit. {machine}\n\n\
             Every phone in a row was measured in the same run on the same machine, on the same \
             virtual sound card (5 ms periods for Offhook, its own choice for others) and with \
             the same packets over loopback. pjsua runs \
             through its Python binding on a null card, so it has no delay, and its times include \
             the interpreter. linphone is linphonec, its client for a terminal.\n\n\
             Where a figure was measured several times, or second by second, it is the median \
             (on hook: the mean), and the least and the most stand behind it in brackets.\n\n\
             ![quality and delay against packet loss](pictures/loss.svg)\n\n\
             ![processor time of one call by codec](pictures/cpu.svg)\n\n"
        );
        self.table(&mut out);
        out
    }

    /// A part of the page, measured later.
    pub(crate) fn section(&self, machine: &str) -> String {
        let mut out = format!("Written by `scripts/bench`; do not edit. {machine}\n\n");
        self.table(&mut out);
        out
    }

    fn table(&self, out: &mut String) {
        if !self.phones.rows.is_empty() {
            self.phones.write(out);
        }
        for (heading, how, table) in &self.others {
            let _ = writeln!(out, "\n### {heading}\n\n{how}\n");
            table.write(out);
        }
        if !self.notes.is_empty() {
            out.push('\n');
            for note in &self.notes {
                let _ = writeln!(out, "- {note}");
            }
        }
    }
}

impl Row {
    fn line(&self) -> String {
        let cells: Vec<&str> = self
            .cells
            .iter()
            .map(|cell| cell.as_deref().unwrap_or("–"))
            .collect();
        format!(
            "| {} | {} | {} |",
            self.what,
            self.budget,
            cells.join(" | ")
        )
    }

    /// What the first column, which is ours, has beside the budget; `None` where it holds or no one
    /// can know.
    fn missed(&self) -> Option<String> {
        let (ours, peers) = self.cells.split_first()?;
        let own = number(ours.as_deref()?)?;
        let peers = peers.iter().flatten().filter_map(|cell| number(cell));
        let limit = match self.budget {
            "below every peer" => peers.fold(f64::INFINITY, f64::min),
            "above every peer" => {
                let best = peers.fold(f64::NEG_INFINITY, f64::max);
                return (own < best).then(|| format!("{}: {own} against {best}", self.what));
            }
            "< 15 % more" => {
                // `1.01 % (+6.7 %)`: what it adds stands behind.
                let more = ours
                    .as_deref()?
                    .split_once("(+")
                    .and_then(|(_, more)| number(more))?;
                return (more >= 15.0).then(|| format!("{}: {more} % more", self.what));
            }
            budget if budget.starts_with('≥') => {
                let least = number(budget)?;
                return (own < least).then(|| format!("{}: {own} against {least}", self.what));
            }
            budget => number(budget).unwrap_or(f64::INFINITY),
        };
        (own > limit).then(|| format!("{}: {own} against {limit}", self.what))
    }
}

/// The number a figure begins with, behind whatever sign of comparison.
fn number(text: &str) -> Option<f64> {
    number_text(text)?.parse().ok()
}

/// A figure with so many digits behind the point and its unit.
pub(crate) fn figure(value: Option<f64>, digits: usize, unit: &str) -> Option<String> {
    value.map(|value| format!("{value:.digits$} {unit}").trim_end().to_owned())
}

/// The median of a figure that was measured several times, and its least and its most.
pub(crate) fn spread(values: &[f64], digits: usize, unit: &str) -> Option<String> {
    within(median(values.iter().copied()), values, digits, unit)
}

/// The mean in the place of the median: of what does not happen in every second.
pub(crate) fn mean(values: &[f64], digits: usize, unit: &str) -> Option<String> {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    within(mean, values, digits, unit)
}

fn within(value: f64, values: &[f64], digits: usize, unit: &str) -> Option<String> {
    let least = values.iter().copied().reduce(f64::min)?;
    let most = values.iter().copied().reduce(f64::max)?;
    let value = figure(Some(value), digits, unit)?;
    Some(format!("{value} ({least:.digits$}–{most:.digits$})"))
}
