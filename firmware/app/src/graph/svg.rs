//! The drawing of the audio path: boxes as wide as their text, arrows from edge to edge.
//!
//! ```text
//! stages ─▶ width of each column by its longest text ─▶ boxes ─▶ arrows in the gaps between them
//! ```

use std::fmt::Write;

use super::{Path, Stage};

/// Height of a box, and what is around it, in SVG units.
const BOX_HEIGHT: f64 = 58.0;
const GAP: (f64, f64) = (36.0, 26.0);
/// Between a box and its text.
const PADDING: f64 = 8.0;
const LEAST_WIDTH: f64 = 100.0;
/// A text is cut where a box would be wider.
const MOST_WIDTH: f64 = 240.0;
const FONT_SIZE: f64 = 11.0;
/// Advance of each character from space to tilde in a thousandth of the font's size: `DejaVu` Sans,
/// the widest of the usual sans-serif fonts.
#[rustfmt::skip]
const ADVANCES: [u16; 95] = [
    318, 401, 460, 838, 637, 951, 780, 275, 391, 391, 500, 838, 318, 361, 318, 337, 637, 637,
    637, 637, 637, 637, 637, 637, 637, 637, 337, 337, 838, 838, 838, 531, 1000, 685, 687, 699,
    771, 632, 576, 775, 752, 295, 295, 656, 558, 863, 749, 788, 604, 788, 695, 635, 611, 732,
    685, 989, 686, 611, 686, 391, 337, 391, 838, 500, 500, 613, 635, 550, 635, 616, 353, 635,
    634, 278, 278, 580, 278, 975, 634, 612, 635, 635, 412, 521, 393, 634, 592, 818, 592, 592,
    525, 637, 337, 637, 838,
];

/// Width of a text in SVG units, in the widest font it may be shown in.
fn width(text: &str) -> f64 {
    let advance = |c: char| {
        let known = (c as usize).checked_sub(32).and_then(|n| ADVANCES.get(n));
        // One em for what is not in the table: no letter is wider.
        f64::from(known.copied().unwrap_or(1000)) * FONT_SIZE / 1000.0
    };
    text.chars().map(advance).sum()
}

/// The text, or as much of it as a box has room for.
fn fitting(text: &str) -> String {
    let most = MOST_WIDTH - 2.0 * PADDING;
    if width(text) <= most {
        return text.to_owned();
    }
    let mut short = String::new();
    let mut left = most - width("…");
    for c in text.chars() {
        left -= width(c.encode_utf8(&mut [0; 4]));
        if left < 0.0 {
            break;
        }
        short.push(c);
    }
    short.push('…');
    short
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// Where a box is.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Frame {
    x: f64,
    y: f64,
    width: f64,
}

/// Left edge and width of each column.
struct Columns(Vec<(f64, f64)>);

impl Columns {
    fn new(path: &Path) -> Self {
        let number = path.stages.iter().map(|stage| stage.column + 1).max();
        let mut at = GAP.0;
        Self(
            (0..number.unwrap_or(0))
                .map(|column| {
                    let lines = path
                        .stages
                        .iter()
                        .filter(|stage| stage.column == column)
                        .flat_map(|stage| &stage.lines);
                    let widest = lines.map(|line| width(&fitting(line))).fold(0.0, f64::max);
                    let box_width = (widest + 2.0 * PADDING).ceil().max(LEAST_WIDTH);
                    let left = at;
                    at += box_width + GAP.0;
                    (left, box_width)
                })
                .collect(),
        )
    }

    fn frame(&self, stage: &Stage) -> Frame {
        let (x, width) = self.0.get(stage.column).copied().unwrap_or_default();
        Frame {
            x,
            y: GAP.1 + stage.row as f64 * (BOX_HEIGHT + GAP.1),
            width,
        }
    }

    fn right(&self) -> f64 {
        self.0.last().map_or(GAP.0, |(x, width)| x + width + GAP.0)
    }
}

/// The corners of an arrow. Between neighbouring columns it is straight, in the gap that no box is
/// in; within one column, and from one to a distant one, it goes through the gaps at right angles.
fn corners(from: Frame, to: Frame) -> Vec<(f64, f64)> {
    let middle = |frame: Frame| frame.y + BOX_HEIGHT / 2.0;
    let (left, right) = (from.x + from.width, to.x);
    if right > left && right - left <= GAP.0 + 0.5 {
        return vec![(left, middle(from)), (right, middle(to))];
    }
    let (left, right) = (to.x + to.width, from.x);
    if right > left && right - left <= GAP.0 + 0.5 {
        return vec![(right, middle(from)), (left, middle(to))];
    }
    // Out to the right, along the gap, and in from below or above.
    let lane = from.x + from.width + GAP.0 / 2.0;
    let (edge, aisle) = if to.y < from.y {
        (to.y + BOX_HEIGHT, to.y + BOX_HEIGHT + GAP.1 / 2.0)
    } else {
        (to.y, to.y - GAP.1 / 2.0)
    };
    let centre = to.x + to.width / 2.0;
    vec![
        (from.x + from.width, middle(from)),
        (lane, middle(from)),
        (lane, aisle),
        (centre, aisle),
        (centre, edge),
    ]
}

/// The drawing.
pub(super) fn draw(path: &Path) -> String {
    let columns = Columns::new(path);
    let rows = path.stages.iter().map(|stage| stage.row + 1).max();
    let height = GAP.1 + rows.unwrap_or(1) as f64 * (BOX_HEIGHT + GAP.1);
    let width = columns.right();
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         width=\"{width}\" height=\"{height}\" font-family=\"sans-serif\" \
         font-size=\"{FONT_SIZE}\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <defs><marker id=\"tip\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" markerWidth=\"8\" \
         markerHeight=\"8\" orient=\"auto\">\
         <path d=\"M0 0 L8 4 L0 8 z\"/></marker></defs>\n"
    );
    for (from, to) in &path.arrows {
        let find = |id: &String| path.stages.iter().find(|stage| stage.id == *id);
        let (Some(from), Some(to)) = (find(from), find(to)) else {
            continue;
        };
        let points: Vec<String> = corners(columns.frame(from), columns.frame(to))
            .iter()
            .map(|(x, y)| format!("{x},{y}"))
            .collect();
        // Writing to a String cannot fail.
        let _ = writeln!(
            out,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"black\" marker-end=\"url(#tip)\"/>",
            points.join(" "),
        );
    }
    for stage in &path.stages {
        let frame = columns.frame(stage);
        let _ = writeln!(
            out,
            "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{BOX_HEIGHT}\" rx=\"4\" fill=\"white\" \
             stroke=\"black\"/>",
            frame.x, frame.y, frame.width
        );
        for (number, line) in stage.lines.iter().enumerate() {
            let _ = writeln!(
                out,
                "<text x=\"{}\" y=\"{}\">{}</text>",
                frame.x + PADDING,
                frame.y + 17.0 + 16.0 * number as f64,
                escape(&fitting(line)),
            );
        }
    }
    out.push_str("</svg>\n");
    out
}

#[cfg(test)]
mod tests;
