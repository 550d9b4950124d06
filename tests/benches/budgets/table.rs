//! The page: figures as a table, each beside its peer.

use std::fmt::Write;

/// The phones that are measured, in the order of the columns.
pub(crate) const PHONES: [&str; 3] = ["Offhook", "baresip", "pjsua"];

/// One figure.
pub(crate) struct Row {
    what: String,
    budget: &'static str,
    cells: [Option<String>; PHONES.len()],
}

/// The page.
#[derive(Default)]
pub(crate) struct Page {
    rows: Vec<Row>,
    notes: Vec<String>,
}

impl Page {
    /// Adds a figure; `None` where there is none.
    pub(crate) fn row(
        &mut self,
        what: impl Into<String>,
        budget: &'static str,
        cells: [Option<String>; PHONES.len()],
    ) {
        let row = Row {
            what: what.into(),
            budget,
            cells,
        };
        println!("{}", row.line());
        self.rows.push(row);
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
             the interpreter.\n\n"
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
        let _ = writeln!(
            out,
            "| figure | budget | {} |\n|---|---|{}",
            PHONES.join(" | "),
            "---|".repeat(PHONES.len())
        );
        for row in &self.rows {
            let _ = writeln!(out, "{}", row.line());
        }
        let missed: Vec<String> = self.rows.iter().filter_map(Row::missed).collect();
        if !missed.is_empty() {
            let _ = writeln!(out, "\nMissed: {}.", missed.join("; "));
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
        let [ours, peers @ ..] = &self.cells;
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
            budget => number(budget).unwrap_or(f64::INFINITY),
        };
        (own > limit).then(|| format!("{}: {own} against {limit}", self.what))
    }
}

/// The number a figure begins with, behind whatever sign of comparison.
fn number(text: &str) -> Option<f64> {
    let text = text.trim_start_matches(|c: char| !c.is_ascii_digit());
    text.split(|c: char| !c.is_ascii_digit() && c != '.')
        .next()?
        .parse()
        .ok()
}

/// A figure with so many digits behind the point and its unit.
pub(crate) fn figure(value: Option<f64>, digits: usize, unit: &str) -> Option<String> {
    value.map(|value| format!("{value:.digits$} {unit}").trim_end().to_owned())
}
