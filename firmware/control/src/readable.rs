//! Text that others chose – names, reasons, what a server or a certificate says – made safe to look
//! at. The one place that knows which characters are not text: they move a cursor, end a line, or
//! turn the reading order around.
//!
//! ```text
//! sip::Event … ─▶ displayable (each such character is �) ─▶ status, events, panel, status.txt
//! tracing      ─▶ OneLineWriter (each is \x1b or \u{202e}; the line's own end stays) ─▶ standard error, sim.log, support bundle
//! ```
//!
//! The log keeps what came, in a form that does nothing; the display only shows that there was
//! something.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, Write};

/// Most characters of one text that are shown.
const MOST: usize = 512;

/// Whether a character is no text: controls (C0, DEL, C1), line and paragraph separators, marks
/// that change the reading order (the trojan-source ones), invisible ones, tags, and what is no
/// character.
fn is_not_text(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}' | '\u{fffe}' | '\u{ffff}' | '\u{e0000}'..='\u{e007f}')
}

/// For eyes: one line, at most 512 characters, each that is no text replaced.
pub fn displayable(text: &str) -> String {
    let mut out: String = text
        .chars()
        .take(MOST)
        .map(|c| if is_not_text(c) { '\u{fffd}' } else { c })
        .collect();
    if text.chars().nth(MOST).is_some() {
        out.push('…');
    }
    out
}

/// For the log: one line, each character that is no text written as its number.
fn escaped(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_not_text) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        // Writing to a String cannot fail.
        let _ = match u32::from(c) {
            _ if !is_not_text(c) => write!(out, "{c}"),
            code @ ..=0xff => write!(out, "\\x{code:02x}"),
            code => write!(out, "\\u{{{code:x}}}"),
        };
    }
    Cow::Owned(out)
}

/// A log in which each event is one line, whatever is in it. It gets one whole event a write, with
/// the end of the line.
#[derive(Debug)]
pub struct OneLineWriter<W>(pub W);

impl<W: Write> Write for OneLineWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        match text.strip_suffix('\n') {
            Some(line) => {
                let mut line = escaped(line).into_owned();
                line.push('\n');
                self.0.write_all(line.as_bytes())?;
            }
            None => self.0.write_all(escaped(&text).as_bytes())?,
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_neither_shown_nor_logged() {
        for code in 0..=0x10_ffff {
            let Some(c) = char::from_u32(code) else {
                continue;
            };
            let (text, mut log) = (format!("a{c}b"), Vec::new());
            OneLineWriter(&mut log)
                .write_all(format!("{text}\n").as_bytes())
                .unwrap();
            let log = String::from_utf8(log).unwrap();
            if is_not_text(c) {
                assert_eq!(displayable(&text), "a\u{fffd}b", "{code:x}");
                assert!(
                    log.starts_with("a\\")
                        && log.ends_with("b\n")
                        && log.trim_end().bytes().all(|b| b.is_ascii_graphic()),
                    "{code:x}: {log:?}"
                );
            } else {
                assert_eq!(
                    (displayable(&text), log),
                    (text.clone(), format!("{text}\n")),
                    "{code:x}"
                );
            }
        }
    }

    #[test]
    fn escapes_become_numbers_and_scripts_stay() {
        let mut log = Vec::new();
        let text = "\u{1b}[2J\r\nroot login\0 %s%n \u{9b}31m \u{202e}gpj.exe żółw 電話 😀\n";
        OneLineWriter(&mut log).write_all(text.as_bytes()).unwrap();
        assert_eq!(
            String::from_utf8(log).unwrap(),
            "\\x1b[2J\\x0d\\x0aroot login\\x00 %s%n \\x9b31m \\u{202e}gpj.exe żółw 電話 😀\n"
        );
        assert_eq!(
            displayable(text.trim_end()),
            "�[2J��root login� %s%n �31m �gpj.exe żółw 電話 😀"
        );
        assert_eq!(displayable(&"x".repeat(5000)).chars().count(), MOST + 1);
    }
}
