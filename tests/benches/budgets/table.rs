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
    pub(crate) fn row(&mut self, what: impl Into<String>, budget: &'static str, cells: [Option<String>; PHONES.len()]) {
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
            "# Budgets\n\nWritten by `make bench`; do not edit. {machine}\n\nEvery phone in a row was measured in the same run on the same machine, on the same \
             virtual sound card (5 ms periods for Offhook, its own choice for others) and with the same packets over loopback. pjsua runs \
             through its Python binding on a null card, so it has no delay, and its times include the interpreter.\n\n\
             | figure | budget | {} |\n|---|---|{}\n",
            PHONES.join(" | "),
            "---|".repeat(PHONES.len())
        );
        for row in &self.rows {
            let _ = writeln!(out, "{}", row.line());
        }
        if !self.notes.is_empty() {
            out.push('\n');
            for note in &self.notes {
                let _ = writeln!(out, "- {note}");
            }
        }
        out
    }
}

impl Row {
    fn line(&self) -> String {
        let cells: Vec<&str> = self.cells.iter().map(|cell| cell.as_deref().unwrap_or("–")).collect();
        format!("| {} | {} | {} |", self.what, self.budget, cells.join(" | "))
    }
}

/// A figure with so many digits behind the point and its unit.
pub(crate) fn figure(value: Option<f64>, digits: usize, unit: &str) -> Option<String> {
    value.map(|value| format!("{value:.digits$} {unit}").trim_end().to_owned())
}
