//! Where everything is on the screen.
//!
//! ```text
//! ┌ title ············· icons ┐  8 pixels and a line
//! │ body: rows of 10 pixels   │
//! └───────────────────────────┘
//! ```

use embedded_graphics::Drawable;
use embedded_graphics::draw_target::DrawTarget;
use embedded_graphics::geometry::{Point, Size};
use embedded_graphics::mono_font::iso_8859_1::{
    FONT_5X8, FONT_6X10, FONT_7X13_BOLD, FONT_9X15_BOLD, FONT_10X20,
};
use embedded_graphics::mono_font::{MonoFont, MonoTextStyle};
use embedded_graphics::pixelcolor::BinaryColor;
use embedded_graphics::primitives::Rectangle;
use embedded_graphics::text::{Baseline, Text};

use crate::frame::Frame;
use crate::icon;
use crate::screen::{Body, Item, Screen};
use crate::text::legible;

/// The smallest canvas the layout is made for.
const MIN_WIDTH: u32 = 120;
const MIN_HEIGHT: u32 = 60;
/// Where the body begins.
const TOP: u32 = 11;
/// Height of a row of text.
const ROW: u32 = 10;
/// Width of a letter of it.
const LETTER: u32 = 6;
/// Between the edge and a selected item's letters.
const MARGIN: u32 = 1;
/// The marks for "there is more" need this much at the right.
const MARKS: u32 = 5;

/// Draws a screen at this size. On a size below 120 × 60 pixels something is cut off.
pub fn render(screen: &Screen, width: u32, height: u32) -> Frame {
    let scale = (width / MIN_WIDTH).min(height / MIN_HEIGHT).max(1);
    let (columns, rows) = (width / scale, height / scale);
    let mut canvas = Canvas {
        frame: Frame::new(columns.max(MIN_WIDTH), rows.max(MIN_HEIGHT)),
    };
    canvas.status_bar(screen);
    canvas.body(&screen.body);
    if (canvas.frame.width(), canvas.frame.height()) == (width, height) {
        return canvas.frame;
    }
    canvas.frame.enlarged(scale, width, height)
}

struct Canvas {
    frame: Frame,
}

impl Canvas {
    fn width(&self) -> u32 {
        self.frame.width()
    }

    /// Rows of text that fit below this.
    fn rows_below(&self, y: u32) -> usize {
        ((self.frame.height() + 1).saturating_sub(y) / ROW) as usize
    }

    /// Letters of a row.
    fn columns(&self) -> usize {
        (self.width() / LETTER) as usize
    }

    fn status_bar(&mut self, screen: &Screen) {
        let step = icon::SIZE + 2;
        let title = legible(&screen.title);
        // At least eight letters of the title are seen, however much is set.
        let letters = (title.chars().count() as u32).min(8) * FONT_5X8.character_size.width;
        let room = self.width().saturating_sub(letters + 2);
        let fitting = (room / step) as usize;
        let mut left = self.width();
        for icon in screen.icons.iter().take(fitting).rev() {
            left = left.saturating_sub(step);
            for y in 0..icon::SIZE {
                for x in 0..icon::SIZE {
                    self.frame.set(left + 1 + x, y, icon.is_lit(x, y));
                }
            }
        }
        let columns = (left / FONT_5X8.character_size.width) as usize;
        self.text(&cut(&title, columns), 0, 0, &FONT_5X8, true);
        self.fill(0, TOP - 2, self.width(), 1, true);
    }

    fn body(&mut self, body: &Body) {
        match body {
            Body::Clock {
                time,
                date,
                notices,
            } => {
                self.centered(&legible(time), TOP, &FONT_10X20);
                self.centered(&legible(date), TOP + 21, &FONT_6X10);
                self.rows(notices, TOP + 32);
            }
            Body::Number { digits, hint } => self.number(digits, hint),
            Body::Call {
                name,
                number,
                time,
                lines,
            } => self.call(name, number, time, lines),
            Body::List { items, selected } => self.list(items, *selected),
            Body::Page { lines, first } => self.page(lines, *first),
            Body::Level {
                value,
                percent,
                hint,
            } => {
                self.centered(&legible(value), TOP, &FONT_10X20);
                self.level(*percent, TOP + 24);
                self.rows(std::slice::from_ref(hint), self.bottom_row());
            }
            Body::Notice { heading, lines } => {
                let height = self.heading(heading, TOP);
                self.rows(lines, TOP + height + 1);
            }
        }
    }

    fn bottom_row(&self) -> u32 {
        self.frame.height().saturating_sub(ROW)
    }

    fn number(&mut self, digits: &str, hint: &str) {
        let digits = legible(digits);
        let large = FONT_10X20.character_size.width;
        if digits.chars().count() as u32 * large <= self.width() {
            self.text(&digits, 0, TOP + 4, &FONT_10X20, true);
        } else {
            let most = self.columns() * 2;
            let count = digits.chars().count();
            let last: String = digits.chars().skip(count.saturating_sub(most)).collect();
            for (row, line) in fold(&last, self.columns()).iter().take(2).enumerate() {
                self.text(line, 0, TOP + 4 + row as u32 * ROW, &FONT_6X10, true);
            }
        }
        self.rows(std::slice::from_ref(&hint.to_owned()), self.bottom_row());
    }

    fn call(&mut self, name: &str, number: &str, time: &str, lines: &[String]) {
        let mut y = TOP + self.heading(name, TOP);
        let time = legible(time);
        let right = time.chars().count();
        if !number.is_empty() || right > 0 {
            let room = self
                .columns()
                .saturating_sub(right + usize::from(right > 0));
            self.text(&cut(&legible(number), room), 0, y, &FONT_6X10, true);
            self.right_aligned(&time, self.width(), y, true);
            y += ROW;
        }
        self.rows(lines, y);
    }

    /// The largest letters in which a text has room. Returns their height.
    fn heading(&mut self, text: &str, y: u32) -> u32 {
        let text = legible(text);
        let letters = text.chars().count() as u32;
        let fonts = [&FONT_9X15_BOLD, &FONT_7X13_BOLD, &FONT_6X10];
        let fits = |font: &&&MonoFont<'_>| letters * font.character_size.width <= self.width();
        let font = fonts.iter().find(fits).copied().unwrap_or(&FONT_6X10);
        let columns = (self.width() / font.character_size.width) as usize;
        self.text(&cut(&text, columns), 0, y, font, true);
        font.character_size
            .height
            .max(FONT_7X13_BOLD.character_size.height)
    }

    fn list(&mut self, items: &[Item], selected: usize) {
        let rows = self.rows_below(TOP);
        let first = (selected + 1)
            .saturating_sub(rows)
            .max(selected.saturating_sub(rows / 2))
            .min(items.len().saturating_sub(rows));
        let more = items.len() > rows;
        let right = self.width() - if more { MARKS + 1 } else { 0 };
        for (row, item) in items.iter().skip(first).take(rows).enumerate() {
            let y = TOP + row as u32 * ROW;
            let chosen = first + row == selected;
            if chosen {
                self.fill(0, y, right, ROW, true);
            }
            let value = legible(&item.value);
            let taken = value.chars().count() + usize::from(!value.is_empty());
            let columns = ((right - MARGIN) / LETTER) as usize;
            let text = cut(&legible(&item.text), columns.saturating_sub(taken));
            self.text(&text, MARGIN, y, &FONT_6X10, !chosen);
            self.right_aligned(&value, right, y, !chosen);
        }
        if more {
            self.marks(first > 0, first + rows < items.len());
        }
    }

    fn page(&mut self, lines: &[String], first: usize) {
        let rows = self.rows_below(TOP);
        let columns = ((self.width() - MARKS) / LETTER) as usize;
        let folded: Vec<String> = lines
            .iter()
            .flat_map(|line| fold(&legible(line), columns))
            .collect();
        let first = first.min(folded.len().saturating_sub(rows));
        for (row, line) in folded.iter().skip(first).take(rows).enumerate() {
            self.text(line, 0, TOP + row as u32 * ROW, &FONT_6X10, true);
        }
        self.marks(first > 0, first + rows < folded.len());
    }

    /// Small triangles at the right: there is more above, below.
    fn marks(&mut self, above: bool, below: bool) {
        let (left, height) = (self.width() - MARKS, self.frame.height());
        for row in 0..3 {
            let (x, width) = (left + row, MARKS - 2 * row);
            if above {
                self.fill(x, TOP + 3 - row, width, 1, true);
            }
            if below {
                self.fill(x, height - 5 + row, width, 1, true);
            }
        }
    }

    fn level(&mut self, percent: u8, y: u32) {
        let width = self.width();
        self.fill(0, y, width, 9, true);
        self.fill(1, y + 1, width - 2, 7, false);
        let filled = (width - 4) * u32::from(percent.min(100)) / 100;
        self.fill(2, y + 2, filled, 5, true);
    }

    /// Lines below each other, folded, as many as fit.
    fn rows(&mut self, lines: &[String], y: u32) {
        let columns = self.columns();
        let folded = lines.iter().flat_map(|line| fold(&legible(line), columns));
        for (row, line) in folded.take(self.rows_below(y)).enumerate() {
            self.text(&line, 0, y + row as u32 * ROW, &FONT_6X10, true);
        }
    }

    fn centered(&mut self, text: &str, y: u32, font: &MonoFont<'_>) {
        let text = cut(text, (self.width() / font.character_size.width) as usize);
        let width = text.chars().count() as u32 * font.character_size.width;
        self.text(&text, (self.width() - width) / 2, y, font, true);
    }

    fn right_aligned(&mut self, text: &str, right: u32, y: u32, lit: bool) {
        let width = text.chars().count() as u32 * LETTER;
        self.text(text, right.saturating_sub(width), y, &FONT_6X10, lit);
    }

    fn text(&mut self, text: &str, x: u32, y: u32, font: &MonoFont<'_>, lit: bool) {
        let style = MonoTextStyle::new(font, BinaryColor::from(lit));
        let at = Point::new(x as i32, y as i32);
        let Ok(_) = Text::with_baseline(text, at, style, Baseline::Top).draw(&mut self.frame);
    }

    fn fill(&mut self, x: u32, y: u32, width: u32, height: u32, lit: bool) {
        let area = Rectangle::new(Point::new(x as i32, y as i32), Size::new(width, height));
        let Ok(()) = self.frame.fill_solid(&area, BinaryColor::from(lit));
    }
}

/// At most so many letters; where some are missing, the last one shown is a dot.
fn cut(text: &str, columns: usize) -> String {
    if text.chars().count() <= columns {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(columns.saturating_sub(1)).collect();
    if columns > 0 {
        short.push('.');
    }
    short
}

/// Lines of at most so many letters, folded between words where that is possible.
fn fold(text: &str, columns: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let mut word: Vec<char> = word.chars().collect();
        let used = line.chars().count();
        if used > 0 && used + 1 + word.len() > columns {
            lines.push(std::mem::take(&mut line));
        } else if used > 0 {
            line.push(' ');
        }
        while word.len() > columns && columns > 0 {
            lines.push(word.drain(..columns).collect());
        }
        line.extend(word);
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn screen(body: Body) -> Screen {
        Screen {
            title: "101".to_owned(),
            icons: vec![crate::Icon::Message],
            body,
        }
    }

    fn texts(lines: &[&str]) -> Vec<String> {
        lines.iter().map(|line| (*line).to_owned()).collect()
    }

    fn bodies(text: &str) -> Vec<Body> {
        let (text, lines) = (text.to_owned(), vec![text.to_owned(); 9]);
        let item = Item::with_value(text.clone(), "-30 dB");
        vec![
            Body::Clock {
                time: text.clone(),
                date: text.clone(),
                notices: lines.clone(),
            },
            Body::Number {
                digits: text.clone(),
                hint: text.clone(),
            },
            Body::Call {
                name: text.clone(),
                number: text.clone(),
                time: "1:00:00".to_owned(),
                lines: lines.clone(),
            },
            Body::List {
                items: vec![item; 300],
                selected: 150,
            },
            Body::List {
                items: Vec::new(),
                selected: 7,
            },
            Body::Page {
                lines: lines.clone(),
                first: usize::MAX,
            },
            Body::Level {
                value: text.clone(),
                percent: 200,
                hint: text.clone(),
            },
            Body::Notice {
                heading: text,
                lines,
            },
        ]
    }

    #[test]
    fn any_text_at_any_size_is_drawn() {
        let long = "x".repeat(10_000);
        for text in ["", " ", "Anna", "\u{1f600} \u{0}", long.as_str()] {
            for body in bodies(text) {
                let mut screen = screen(body);
                screen.title = text.to_owned();
                screen.icons = vec![crate::Icon::Quality(9); 40];
                for (width, height) in [
                    (128, 64),
                    (1, 1),
                    (8, 8),
                    (128, 32),
                    (64, 128),
                    (320, 240),
                    (1024, 600),
                ] {
                    let frame = render(&screen, width, height);
                    assert_eq!((frame.width(), frame.height()), (width, height));
                }
            }
        }
    }

    #[test]
    fn a_larger_screen_is_the_same_picture_enlarged() {
        let body = Body::Notice {
            heading: "Busy".to_owned(),
            lines: texts(&["486 Busy Here"]),
        };
        let (small, large) = (
            render(&screen(body.clone()), 128, 64),
            render(&screen(body), 256, 128),
        );
        assert_eq!(small.enlarged(2, 256, 128), large);
        assert_eq!(large.lit(), small.lit() * 4);
    }

    #[test]
    fn the_selected_item_is_always_in_view() {
        for count in 1..20 {
            for selected in 0..count {
                let items: Vec<Item> = (0..count).map(|_| Item::new("")).collect();
                let frame = render(&screen(Body::List { items, selected }), 128, 64);
                // An empty item that is selected is a bar of light, and the only one.
                let bars = (0..5).filter(|row| frame.is_lit(3, TOP + row * ROW + 4));
                assert_eq!(bars.count(), 1, "{selected} of {count}");
            }
        }
    }

    #[test]
    fn lines_are_folded_between_words() {
        assert_eq!(
            fold("one two  three", 7),
            texts(&["one two", "three"]),
            "between words"
        );
        assert_eq!(fold("0123456789", 4), texts(&["0123", "4567", "89"]));
        assert_eq!(fold("", 4), Vec::<String>::new());
        assert_eq!(
            (cut("Anna Berg", 5), cut("Anna", 4)),
            ("Anna.".into(), "Anna".into())
        );
    }

    #[test]
    fn icons_leave_room_for_a_title() {
        let mut full = screen(Body::Page {
            lines: Vec::new(),
            first: 0,
        });
        full.icons = vec![crate::Icon::Encrypted; 30];
        full.title = "WWWWWWWWWWWW".to_owned();
        let frame = render(&full, 128, 64);
        let title = (0..8).flat_map(|y| (0..20).map(move |x| (x, y)));
        assert!(title.filter(|(x, y)| frame.is_lit(*x, *y)).count() > 20);
    }
}
