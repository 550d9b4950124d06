//! The smallest pieces of the grammar (RFC 3261 section 25): tokens, quoted strings, lists,
//! escapes.
//!
//! They stand apart because every other part of the message layer reads or writes with them, and
//! because the one rule that keeps CR and LF out of headers ([`clean`]) must exist once.
//!
//! ```text
//! header value ─▶ split_list ─▶ element ─▶ NameAddr, Via, token …
//! text from anywhere ─▶ clean ─▶ Header          text ─▶ quote ─▶ "…"
//! ```

use std::borrow::Cow;
use std::fmt::{self, Write};

/// Counts bytes looked at: nothing outside of tests, where the sum shows that work grows with a
/// message's size and no faster.
#[inline]
pub(crate) fn work(bytes: usize) {
    #[cfg(test)]
    WORK.with(|work| work.set(work.get() + bytes));
    #[cfg(not(test))]
    let _ = bytes;
}

#[cfg(test)]
thread_local! {
    pub(crate) static WORK: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// A byte that may stand in a token.
pub(crate) fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&byte)
}

/// A non-empty token.
pub(crate) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_token_byte)
}

/// Without the blanks (SP, HTAB) around it.
pub(crate) fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

/// The rule against header injection: whatever text comes from, in a header each control character
/// (CR, LF, NUL, …) is a space.
pub(crate) fn clean(text: &str) -> Cow<'_, str> {
    if text.chars().any(char::is_control) {
        Cow::Owned(trim(&text.replace(char::is_control, " ")).to_owned())
    } else {
        Cow::Borrowed(trim(text))
    }
}

/// What is left of `text` when everything a token may not hold is dropped.
pub(crate) fn clean_token(text: &str) -> String {
    text.chars()
        .filter(|c| c.is_ascii() && is_token_byte(*c as u8))
        .collect()
}

/// All digits, at least one; saturates at the type's maximum. `None` for anything else (also for a
/// sign).
pub(crate) fn saturating_u32(text: &str) -> Option<u32> {
    if text.is_empty() {
        return None;
    }
    text.bytes().try_fold(0_u32, |n, b| {
        b.is_ascii_digit()
            .then(|| n.saturating_mul(10).saturating_add(u32::from(b - b'0')))
    })
}

/// All digits and within the type: unlike `str::parse`, no `+`.
pub(crate) fn exact<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.bytes()
        .all(|b| b.is_ascii_digit())
        .then(|| text.parse().ok())?
}

/// Where the quoted string that opens `text` ends: the index behind its closing quote.
pub(crate) fn quoted_end(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    if bytes.first() != Some(&b'"') {
        return None;
    }
    let mut at = 1;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'\\' => at += 2,
            b'"' => {
                work(at);
                return Some(at + 1);
            }
            _ => at += 1,
        }
    }
    work(at);
    None
}

/// The text of a quoted string, its escapes resolved; anything not quoted is returned as it is.
pub(crate) fn unquote(text: &str) -> Cow<'_, str> {
    let Some(inner) = text.strip_prefix('"').and_then(|t| t.strip_suffix('"')) else {
        return Cow::Borrowed(text);
    };
    if !inner.contains('\\') {
        return Cow::Borrowed(inner);
    }
    let mut out = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        out.push(if c == '\\' {
            chars.next().unwrap_or('\\')
        } else {
            c
        });
    }
    Cow::Owned(out)
}

/// Writes `text` as a quoted string.
pub(crate) struct Quoted<'a>(pub(crate) &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for c in self.0.chars() {
            match c {
                '"' | '\\' => write!(f, "\\{c}")?,
                c if c.is_control() => f.write_char(' ')?,
                c => f.write_char(c)?,
            }
        }
        f.write_char('"')
    }
}

/// The parts of `text` between one separator, outside of quotes and angle brackets. Yields
/// blanks-trimmed parts, empty ones too.
pub(crate) struct Split<'a> {
    rest: Option<&'a str>,
    separator: u8,
}

/// Splits a header value at its commas: `a, "b, c" <sip:d,e>` has two parts. An empty value has
/// none.
pub(crate) fn split_list(text: &str) -> Split<'_> {
    split(text, b',')
}

/// Splits at an ASCII separator, as [`split_list`] does at commas.
pub(crate) fn split(text: &str, separator: u8) -> Split<'_> {
    let text = trim(text);
    Split {
        rest: (!text.is_empty()).then_some(text),
        separator,
    }
}

impl<'a> Iterator for Split<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let text = self.rest.take()?;
        let bytes = text.as_bytes();
        let (mut quoted, mut bracketed, mut at) = (false, false, 0);
        while let Some(&byte) = bytes.get(at) {
            match byte {
                b'\\' if quoted => at += 1,
                b'"' if !bracketed => quoted = !quoted,
                b'<' if !quoted => bracketed = true,
                b'>' if !quoted => bracketed = false,
                b if b == self.separator && !quoted && !bracketed => {
                    // The separator is ASCII, so both cuts are on character boundaries.
                    work(at);
                    self.rest = Some(&text[at + 1..]);
                    return Some(trim(&text[..at]));
                }
                _ => {}
            }
            at += 1;
        }
        work(at);
        Some(trim(text))
    }
}

/// Every `%` opens a two-digit hexadecimal escape.
pub(crate) fn escapes_are_whole(text: &str) -> bool {
    let bytes = text.as_bytes();
    let hex = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_hexdigit);
    bytes
        .iter()
        .enumerate()
        .all(|(at, b)| *b != b'%' || (hex(at + 1) && hex(at + 2)))
}

/// `text` with its `%HH` escapes resolved once; what they hide of control characters, and what is
/// not UTF-8, becomes U+FFFD.
pub(crate) fn percent_decode(text: &str) -> String {
    if !text.contains('%') {
        return text.to_owned();
    }
    let decoded = decode_bytes(text, |_| true);
    String::from_utf8_lossy(&decoded).replace(char::is_control, "\u{fffd}")
}

/// `text` in the form two equal URI parts share: what needs no escape is not escaped, the rest has
/// upper-case hexadecimals.
pub(crate) fn percent_normal(text: &str) -> Vec<u8> {
    decode_bytes(text, |byte| {
        byte.is_ascii_graphic() && !b";/?:@&=+$,%\"<>".contains(&byte)
    })
}

fn decode_bytes(text: &str, resolve: impl Fn(u8) -> bool) -> Vec<u8> {
    let bytes = text.as_bytes();
    let digit = |at: usize| {
        bytes
            .get(at)
            .and_then(|b| char::from(*b).to_digit(16))
            .map(|d| d as u8)
    };
    work(bytes.len());
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        if let (b'%', Some(high), Some(low)) = (byte, digit(at + 1), digit(at + 2)) {
            let value = high << 4 | low;
            if resolve(value) {
                out.push(value);
            } else {
                out.extend(format!("%{value:02X}").bytes());
            }
            at += 3;
        } else {
            out.push(byte);
            at += 1;
        }
    }
    out
}

/// `text` with every byte escaped that is neither unreserved nor in `also`.
pub(crate) fn percent_encode(text: &str, also: &[u8]) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&byte) || also.contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_split_outside_quotes_and_brackets() {
        let parts: Vec<_> = split_list(r#" "a, \"b" <sip:c,d>;x="1,2" , sip:e ,"#).collect();
        assert_eq!(parts, [r#""a, \"b" <sip:c,d>;x="1,2""#, "sip:e", ""]);
        assert_eq!(split_list("  ").count(), 0);
    }

    #[test]
    fn quoting_is_undone_by_unquoting() {
        let text = r#"a "b" \ c"#;
        let quoted = Quoted(text).to_string();
        assert_eq!(quoted, r#""a \"b\" \\ c""#);
        assert_eq!(unquote(&quoted), text);
        assert_eq!(quoted_end(&format!("{quoted} <x>")), Some(quoted.len()));
        assert_eq!(quoted_end("\"open \\\""), None);
    }

    #[test]
    fn no_control_character_is_left() {
        assert_eq!(clean("a\r\nB: c\0"), "a  B: c");
        assert_eq!(clean(" plain "), "plain");
        // Kept visible where it was escaped: that is how somebody tries to smuggle a line in.
        assert_eq!(percent_decode("a%0d%0ab%41%zz"), "a\u{fffd}\u{fffd}bA%zz");
    }

    #[test]
    fn numbers_have_no_sign() {
        assert_eq!(exact::<u16>("+1"), None);
        assert_eq!(exact::<u16>(""), None);
        assert_eq!(exact::<u16>("65536"), None);
        assert_eq!(exact::<u8>("0068"), Some(68));
        assert_eq!(saturating_u32("99999999999"), Some(u32::MAX));
        assert_eq!(saturating_u32("-1"), None);
    }
}
