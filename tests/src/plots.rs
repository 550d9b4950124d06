//! The two pictures of `docs/budgets.md`, drawn from its rows.
//!
//! ```text
//! page ─▶ rows ─┬▶ "… at N % loss, CODEC" ──────────▶ loss.svg: quality and delay, a panel per codec
//!               └▶ "CPU of one core, CODEC …, card at" ▶ cpu.svg: bars, a panel per card
//! ```
//!
//! Each number in a picture is the text of a cell.

mod canvas;

use std::collections::BTreeSet;
use std::path::Path;

use canvas::{Canvas, Label, MARGIN, WIDTH};

/// A picture: its file in `docs/pictures` and how it is drawn, where the page has rows for it.
pub type Picture = (&'static str, fn(&str) -> Option<String>);

/// Both.
pub const PICTURES: [Picture; 2] = [("loss.svg", loss), ("cpu.svg", cpu)];

/// One row of the page.
struct Row {
    what: String,
    /// Column by column the phone, and the number its cell begins with.
    cells: Vec<(String, Option<String>)>,
}

/// A point or a bar: what a cell says.
struct Value {
    phone: usize,
    /// As it stands in the page.
    text: String,
    number: f64,
}

/// The bars of one call.
struct Call {
    /// Its codec and where its keys come from.
    name: String,
    bars: Vec<Value>,
}

/// Codecs as rows name them and as a person does.
const CODECS: [(&str, &str); 3] = [("Pcmu", "PCMU"), ("G722", "G.722"), ("Opus", "Opus")];

/// The number a figure begins with, as text, behind whatever sign of comparison.
pub fn number_text(cell: &str) -> Option<&str> {
    let start = cell.find(|c: char| c.is_ascii_digit())?;
    let is_part = |c: char| c.is_ascii_digit() || c == '.';
    let length = cell[start..].find(|c| !is_part(c));
    let end = length.map_or(cell.len(), |length| start + length);
    Some(&cell[start - usize::from(cell[..start].ends_with('-'))..end])
}

/// Writes the pictures that the page has rows for into a folder.
pub fn write(page: &str, folder: &Path) {
    std::fs::create_dir_all(folder).unwrap();
    for (name, draw) in PICTURES {
        if let Some(picture) = draw(page) {
            std::fs::write(folder.join(name), picture).unwrap();
        }
    }
}

/// The rows of every table of phones. Of two rows of one name the later one counts: a part of the
/// page that was measured by itself stands behind the whole.
fn rows(page: &str) -> Vec<Row> {
    let (mut phones, mut rows): (Vec<&str>, Vec<Row>) = (Vec::new(), Vec::new());
    for line in page.lines() {
        let Some(line) = line.strip_prefix("| ") else {
            continue;
        };
        let mut columns = line.trim_end_matches(" |").split(" | ");
        let what = columns.next().unwrap_or_default();
        let cells: Vec<&str> = columns.skip(1).collect();
        if what == "figure" {
            phones = cells;
            continue;
        }
        rows.retain(|row| row.what != what);
        let cells = phones.iter().zip(cells);
        rows.push(Row {
            what: what.to_owned(),
            cells: cells
                .map(|(phone, cell)| ((*phone).to_owned(), number_text(cell).map(str::to_owned)))
                .collect(),
        });
    }
    rows
}

/// What the phones have in a row; `phones` grows by those that were not seen before.
fn values(row: &Row, phones: &mut Vec<String>) -> Vec<Value> {
    let mut all = Vec::new();
    for (name, text) in &row.cells {
        let Some((text, number)) = text
            .as_ref()
            .and_then(|text| Some((text.clone(), text.parse().ok()?)))
        else {
            continue;
        };
        let phone = phones
            .iter()
            .position(|phone| phone == name)
            .unwrap_or_else(|| {
                phones.push(name.clone());
                phones.len() - 1
            });
        all.push(Value {
            phone,
            text,
            number,
        });
    }
    all
}

/// The points of one panel, by their loss in percent.
fn points(rows: &[Row], start: &str, codec: &str, phones: &mut Vec<String>) -> Vec<(u32, Value)> {
    let mut all = Vec::new();
    for row in rows {
        let loss = row
            .what
            .strip_prefix(start)
            .and_then(|rest| rest.split_once(" % loss, "))
            .filter(|(_, rest)| rest.split(',').next() == Some(codec))
            .and_then(|(percent, _)| percent.parse().ok());
        if let Some(loss) = loss {
            all.extend(values(row, phones).into_iter().map(|value| (loss, value)));
        }
    }
    all.sort_by_key(|(loss, value)| (value.phone, *loss));
    all
}

/// Quality and mouth-to-ear delay against loss.
fn loss(page: &str) -> Option<String> {
    const PANEL: f64 = 200.0;
    const LINES: [(&str, &str); 2] = [
        ("Speech quality, PESQ", "speech at "),
        ("Delay mouth to ear, ms", "one-way delay mouth to ear at "),
    ];
    let rows = rows(page);
    let mut phones = Vec::new();
    let lines: Vec<(&str, Vec<_>)> = LINES
        .iter()
        .map(|(title, start)| {
            let panels: Vec<_> = CODECS
                .iter()
                .map(|(codec, name)| (*name, points(&rows, start, codec, &mut phones)))
                .filter(|(_, points)| !points.is_empty())
                .collect();
            (*title, panels)
        })
        .filter(|(_, panels)| !panels.is_empty())
        .collect();
    if lines.is_empty() {
        return None;
    }
    let mut canvas = Canvas::new("Quality and delay against packet loss", &phones);
    for (title, panels) in lines {
        let top = canvas.section(title, PANEL + 60.0);
        let step = (WIDTH - MARGIN) / CODECS.len() as f64;
        let all = panels.iter().flat_map(|(_, points)| points);
        let most = all.map(|(_, value)| value.number).fold(0.0, f64::max);
        let ticks = if title.contains("PESQ") {
            vec![1.0, 2.0, 3.0, 4.0, 5.0]
        } else {
            let most = (most / 100.0).ceil() * 100.0;
            vec![0.0, most / 2.0, most]
        };
        for (n, (name, points)) in panels.iter().enumerate() {
            let left = MARGIN + n as f64 * step;
            panel(
                &mut canvas,
                (left + 34.0, top + 24.0, step - 92.0, PANEL - 24.0),
                name,
                &ticks,
                points,
            );
        }
    }
    Some(canvas.finish())
}

/// One panel of lines in the rectangle (left, top, width, height).
fn panel(
    canvas: &mut Canvas,
    (left, top, width, height): (f64, f64, f64, f64),
    name: &str,
    ticks: &[f64],
    points: &[(u32, Value)],
) {
    let (least, most) = (ticks[0], ticks[ticks.len() - 1]);
    let losses: BTreeSet<u32> = points.iter().map(|(loss, _)| *loss).collect();
    let farthest = losses.last().copied().unwrap_or(1).max(1);
    let x = |loss: u32| left + f64::from(loss) / f64::from(farthest) * width;
    let y = |number: f64| top + height - (number - least) / (most - least) * height;
    canvas.text(left, top - 10.0, "h", name);
    for tick in ticks {
        canvas.line((left, y(*tick)), (left + width, y(*tick)), "grid");
        canvas.text(left - 6.0, y(*tick) + 4.0, "t e", &tick.to_string());
    }
    for loss in &losses {
        let label = format!("{loss} %");
        canvas.text(x(*loss), top + height + 16.0, "t m", &label);
    }
    canvas.text(
        left + width / 2.0,
        top + height + 31.0,
        "t m",
        "packets lost",
    );
    let phones: BTreeSet<usize> = points.iter().map(|(_, value)| value.phone).collect();
    for phone in phones {
        let own = points.iter().filter(|(_, value)| value.phone == phone);
        let line: Vec<(f64, f64)> = own.map(|(l, value)| (x(*l), y(value.number))).collect();
        canvas.curve(phone, &line);
    }
    for loss in losses {
        let here = points.iter().filter(|(at, _)| *at == loss);
        let labels = here.map(|(_, value)| Label {
            at: y(value.number) + 4.0,
            value,
        });
        canvas.labels(x(loss) + 7.0, (top, top + height), labels.collect());
    }
}

/// Processor time by codec, a panel for each card.
fn cpu(page: &str) -> Option<String> {
    const BAR: f64 = 13.0;
    const GAP: f64 = 10.0;
    const NAMES: f64 = 96.0;
    let rows = rows(page);
    let mut phones = Vec::new();
    let mut cards: Vec<(&str, Vec<Call>)> = Vec::new();
    for row in &rows {
        let Some((call, card)) = row
            .what
            .strip_prefix("CPU of one core, ")
            .and_then(|rest| rest.split_once(", card at "))
        else {
            continue;
        };
        let (codec, how) = call.split_once(' ').unwrap_or((call, ""));
        let Some((_, name)) = CODECS.iter().find(|(known, _)| *known == codec) else {
            continue;
        };
        let name = match how.strip_prefix("by ") {
            Some(keys) => format!("{name}, {keys}"),
            None => (*name).to_owned(),
        };
        let call = Call {
            name,
            bars: values(row, &mut phones),
        };
        match cards.iter_mut().find(|(known, _)| *known == card) {
            Some((_, calls)) => calls.push(call),
            None => cards.push((card, vec![call])),
        }
    }
    if cards.is_empty() {
        return None;
    }
    let title = "Processor time of one call, % of one core";
    let mut canvas = Canvas::new(title, &phones);
    let height = |calls: &[Call]| -> f64 {
        let each = |call: &Call| call.bars.len() as f64 * BAR + GAP;
        calls.iter().map(each).sum()
    };
    let tallest = cards.iter().map(|(_, calls)| height(calls));
    let top = canvas.section("", tallest.fold(0.0, f64::max) + 20.0);
    let calls = cards.iter().flat_map(|(_, calls)| calls);
    let all = calls.flat_map(|call| &call.bars);
    let most = all.map(|value| value.number).fold(0.1, f64::max);
    let step = (WIDTH - MARGIN) / cards.len() as f64;
    for (n, (card, calls)) in cards.iter().enumerate() {
        let left = MARGIN + n as f64 * step;
        let width = step - NAMES - 50.0;
        canvas.text(left, top, "h", &format!("card at {card}"));
        let mut y = top + 14.0;
        for Call { name, bars } in calls {
            let middle = y + bars.len() as f64 * BAR / 2.0 + 4.0;
            canvas.text(left + NAMES - 8.0, middle, "t e", name);
            for value in bars {
                let length = value.number / most * width;
                canvas.bar((left + NAMES, y), (length, BAR - 2.0), value);
                y += BAR;
            }
            y += GAP;
        }
    }
    Some(canvas.finish())
}

#[cfg(test)]
mod tests;
