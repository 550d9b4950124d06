//! The grammar of digit maps: RFC 3435 section 2.1.5 plus `<a:b>`, `,` and `!`.
//!
//! ```text
//! "(0x.T|9,<:00>xx|1900x.!)" ─▶ parse ─▶ DigitMap { alternatives: [ [Digits(0) Digits(0-9)* Timer] … ] }
//!                                            └─▶ matching: phone::dial_plan
//! ```
//!
//! | symbol | matches |
//! |---|---|
//! | `0`–`9` `*` `#` `A`–`D` | that key |
//! | `x` | any digit `0`–`9` |
//! | `[1-37*]` | one of these keys |
//! | `.` after one of the above | none, one or more of it |
//! | `T` at the end | complete when the digit timer ran out: only the short timer is missing |
//! | `S` or `L` at the end | the same with the short or the long timer, whatever others say |
//! | `\|` | between patterns |
//! | `<a:b>` | dial `b` where `a` was keyed; either may be empty |
//! | `,` | sound the second dial tone here |
//! | `!` at the end | barred: refused as soon as it is complete |
//!
//! Blanks between symbols are skipped and one pair of parentheses may enclose the whole, as in RFC
//! 3435.

use types::Key;

/// Longest digit map in bytes (RFC 3435 asks for at least 2048).
pub const MAX_LENGTH: usize = 4096;

/// A set of keys: bits 0–9 are the digits, then `*`, `#`, A–D.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keys(u16);

impl Keys {
    /// `x`: any digit.
    pub const DIGITS: Self = Self(0x3ff);

    /// The set of this one key; `None` if it is no key.
    pub fn of(key: char) -> Option<Self> {
        index(key).map(|bit| Self(1 << bit))
    }

    /// Whether the key is in the set.
    pub fn contains(self, key: char) -> bool {
        index(key).is_some_and(|bit| self.0 & (1 << bit) != 0)
    }
}

fn index(key: char) -> Option<u32> {
    Key::from_char(key).map(|key| u32::from(key.event()))
}

/// Which digit timer completes a pattern that ends in one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timer {
    /// `T`, `S`: the short timer.
    Short,
    /// `L`: the long timer.
    Long,
}

/// One symbol of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Element {
    /// One key of a set; with `repeat` any number of them, also none.
    Keys {
        /// Which keys.
        keys: Keys,
        /// Followed by `.`.
        repeat: bool,
        /// `false` inside `<a:…>`: keyed, but not dialled.
        dialled: bool,
    },
    /// The `b` of `<a:b>`: dialled here without being keyed.
    Insert(String),
    /// `,`
    SecondDialTone,
}

/// One pattern between `|`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alternative {
    /// Its symbols in order.
    pub elements: Vec<Element>,
    /// It ends in a timer symbol.
    pub timer: Option<Timer>,
    /// It ends in `!`.
    pub barred: bool,
}

/// A digit map, ready to be matched. At least one alternative, each with at least one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DigitMap {
    /// The patterns; where several are complete the first counts.
    pub alternatives: Vec<Alternative>,
}

/// What is wrong in a digit map.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("at character {at}: {what}")]
pub struct SyntaxError {
    /// Character where it is seen, from 1.
    pub at: usize,
    /// What is wrong, and what would be right.
    pub what: &'static str,
}

/// Reads a digit map.
pub fn parse(text: &str) -> Result<DigitMap, SyntaxError> {
    if text.len() > MAX_LENGTH {
        return Err(SyntaxError {
            at: MAX_LENGTH,
            what: "a digit map has at most 4096 characters",
        });
    }
    let mut reader = Reader {
        symbols: text.chars().collect(),
        at: 0,
    };
    let enclosed = reader.peek() == Some('(');
    if enclosed {
        reader.at += 1;
    }
    let mut alternatives = Vec::new();
    loop {
        alternatives.push(reader.alternative()?);
        match reader.next() {
            Some('|') => {}
            Some(')') if enclosed => match reader.peek() {
                None => break,
                Some(_) => return Err(reader.error("nothing may follow the closing `)`")),
            },
            Some(_) => {
                reader.at -= 1;
                return Err(reader.error(
                    "this is not a digit map symbol: use digits, `*`, `#`, A-D, `x`, `[…]`, `.`, \
                     `T`, `S`, `L`, `|`, `<a:b>`, `,` or `!`",
                ));
            }
            None if enclosed => return Err(reader.error("the closing `)` is missing")),
            None => break,
        }
    }
    Ok(DigitMap { alternatives })
}

struct Reader {
    symbols: Vec<char>,
    at: usize,
}

impl Reader {
    /// The next symbol that is no blank, not taken.
    fn peek(&mut self) -> Option<char> {
        while self
            .symbols
            .get(self.at)
            .is_some_and(char::is_ascii_whitespace)
        {
            self.at += 1;
        }
        self.symbols.get(self.at).copied()
    }

    fn next(&mut self) -> Option<char> {
        let symbol = self.peek()?;
        self.at += 1;
        Some(symbol)
    }

    fn error(&self, what: &'static str) -> SyntaxError {
        SyntaxError {
            at: self.at + 1,
            what,
        }
    }

    fn alternative(&mut self) -> Result<Alternative, SyntaxError> {
        let mut alternative = Alternative {
            elements: Vec::new(),
            timer: None,
            barred: false,
        };
        while let Some(symbol) = self.peek() {
            let ended = alternative.timer.is_some() || alternative.barred;
            match symbol {
                '|' | ')' => break,
                '!' if !alternative.barred => alternative.barred = true,
                _ if ended => {
                    return Err(
                        self.error("after `T`, `S`, `L` or `!` a pattern ends: write `|` here")
                    );
                }
                'T' | 't' | 'S' | 's' => alternative.timer = Some(Timer::Short),
                'L' | 'l' => alternative.timer = Some(Timer::Long),
                ',' => alternative.elements.push(Element::SecondDialTone),
                '<' => {
                    self.at += 1;
                    self.substitution(&mut alternative.elements)?;
                    continue;
                }
                '.' => match alternative.elements.last_mut() {
                    Some(Element::Keys {
                        repeat,
                        dialled: true,
                        ..
                    }) if !*repeat => *repeat = true,
                    Some(_) | None => {
                        return Err(self.error(
                            "`.` repeats the key, `x` or `[…]` before it, and there is none",
                        ));
                    }
                },
                _ => {
                    let Some(keys) = self.keys()? else { break };
                    alternative.elements.push(Element::Keys {
                        keys,
                        repeat: false,
                        dialled: true,
                    });
                    continue;
                }
            }
            self.at += 1;
        }
        let keyed = alternative
            .elements
            .iter()
            .any(|element| matches!(element, Element::Keys { .. }));
        // A symbol that is none is the more helpful thing to report; the caller sees it.
        if !keyed && matches!(self.peek(), None | Some('|' | ')')) {
            return Err(self.error("a pattern needs at least one key here"));
        }
        Ok(alternative)
    }

    /// One key, `x` or a class; `None` (and nothing taken) where something else follows.
    fn keys(&mut self) -> Result<Option<Keys>, SyntaxError> {
        let Some(symbol) = self.peek() else {
            return Ok(None);
        };
        let keys = match symbol {
            'x' | 'X' => Keys::DIGITS,
            '[' => {
                self.at += 1;
                return self.class().map(Some);
            }
            _ => match Keys::of(symbol) {
                Some(keys) => keys,
                None => return Ok(None),
            },
        };
        self.at += 1;
        Ok(Some(keys))
    }

    /// The inside of `[…]`, after the `[`.
    fn class(&mut self) -> Result<Keys, SyntaxError> {
        let mut set = 0;
        loop {
            let first = match self.peek() {
                None => return Err(self.error("the closing `]` is missing")),
                Some(']') if set == 0 => {
                    return Err(self.error("`[]` matches nothing: write keys between the brackets"));
                }
                Some(']') => {
                    self.at += 1;
                    return Ok(Keys(set));
                }
                Some('x' | 'X') => {
                    self.at += 1;
                    set |= Keys::DIGITS.0;
                    continue;
                }
                Some(first) => first,
            };
            let Some(low) = index(first) else {
                return Err(self.error("between `[` and `]` write keys and ranges, like `[1-37*]`"));
            };
            self.at += 1;
            let mut high = low;
            if self.peek() == Some('-') {
                self.at += 1;
                let last = self.peek();
                high = match last.and_then(index) {
                    Some(high) if low <= high && same_row(low, high) => high,
                    Some(_) | None => {
                        return Err(
                            self.error("a range goes from a lower to a higher digit, like `2-9`")
                        );
                    }
                };
                self.at += 1;
            }
            for bit in low..=high {
                set |= 1 << bit;
            }
        }
    }

    /// The inside of `<a:b>`, after the `<`.
    fn substitution(&mut self, elements: &mut Vec<Element>) -> Result<(), SyntaxError> {
        loop {
            if self.peek() == Some(':') {
                self.at += 1;
                break;
            }
            match self.keys()? {
                Some(keys) => elements.push(Element::Keys {
                    keys,
                    repeat: false,
                    dialled: false,
                }),
                None => {
                    return Err(self.error(
                        "a substitution is written `<keyed:dialled>`: only keys and then `:` are \
                         allowed here",
                    ));
                }
            }
        }
        let mut dialled = String::new();
        loop {
            match self.next() {
                Some('>') => break,
                Some(key) if index(key).is_some() || (key == '+' && dialled.is_empty()) => {
                    dialled.push(key.to_ascii_uppercase());
                }
                Some(_) => {
                    self.at -= 1;
                    return Err(self.error("between `:` and `>` write only the keys to be dialled"));
                }
                None => return Err(self.error("the closing `>` is missing")),
            }
        }
        if !dialled.is_empty() {
            elements.push(Element::Insert(dialled));
        }
        Ok(())
    }
}

/// Digits with digits, letters with letters; `*` and `#` are no ends of a range.
fn same_row(low: u32, high: u32) -> bool {
    high < 10 || low == high || low >= 12
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(key: char) -> Element {
        Element::Keys {
            keys: Keys::of(key).unwrap(),
            repeat: false,
            dialled: true,
        }
    }

    #[test]
    fn reads_the_examples_of_rfc_3435() {
        for good in [
            "(0T|00T|[1-7]xxx|8xxxxxxx|#xxxxxxx|*xx|91xxxxxxxxxx|9011x.T)",
            "(xxxxxxx|x11)",
            "0[12].",
            "x",
            "( 1 | 2 )",
        ] {
            parse(good).unwrap_or_else(|error| panic!("{good}: {error}"));
        }
        let map = parse("(0T|[12*]x.)").unwrap();
        assert_eq!(map.alternatives.len(), 2);
        assert_eq!(
            map.alternatives[0],
            Alternative {
                elements: vec![key('0')],
                timer: Some(Timer::Short),
                barred: false
            }
        );
        let Element::Keys {
            keys,
            repeat: false,
            dialled: true,
        } = map.alternatives[1].elements[0]
        else {
            panic!()
        };
        assert!(
            keys.contains('1')
                && keys.contains('2')
                && keys.contains('*')
                && !keys.contains('3')
                && !keys.contains('#')
        );
        assert_eq!(
            map.alternatives[1].elements[1],
            Element::Keys {
                keys: Keys::DIGITS,
                repeat: true,
                dialled: true
            }
        );
    }

    #[test]
    fn reads_our_additions() {
        let map = parse("9,<1:0044>xxS|<:030>[2-9]xL|1900x.!").unwrap();
        assert_eq!(
            map.alternatives[0].elements[..4],
            [
                key('9'),
                Element::SecondDialTone,
                Element::Keys {
                    keys: Keys::of('1').unwrap(),
                    repeat: false,
                    dialled: false
                },
                Element::Insert("0044".to_owned())
            ]
        );
        assert_eq!(map.alternatives[0].timer, Some(Timer::Short));
        assert_eq!(
            map.alternatives[1].elements[0],
            Element::Insert("030".to_owned())
        );
        assert_eq!(map.alternatives[1].timer, Some(Timer::Long));
        assert!(map.alternatives[2].barred);
    }

    #[test]
    fn every_mistake_has_its_position() {
        for (bad, at) in [
            ("", 1),
            ("()", 2),
            ("(1", 3),
            ("1)", 2),
            ("(1)2", 4),
            ("1||2", 3),
            ("1|", 3),
            ("T", 2),
            (",", 2),
            (".", 1),
            ("1..", 3),
            ("1T2", 3),
            ("1!x", 3),
            ("[", 2),
            ("[]", 2),
            ("[1", 3),
            ("[9-1]", 4),
            ("[1-*]", 4),
            ("[1-", 4),
            ("[T]", 2),
            ("<1", 3),
            ("<1:2", 5),
            ("<1:x>", 4),
            ("<1.:2>x", 3),
            ("<:2>", 5),
            ("12z", 3),
            ("12 z", 4),
            ("ß", 1),
        ] {
            let error = parse(bad).expect_err(bad);
            assert_eq!(error.at, at, "{bad}: {error}");
        }
        assert!(parse(&"1".repeat(MAX_LENGTH)).is_ok());
        assert!(parse(&"1".repeat(MAX_LENGTH + 1)).is_err());
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text in "[0-9xXTSL.,!<>:|()\\[\\]*#A-D -]{0,40}") {
            if let Err(error) = parse(&text) {
                proptest::prop_assert!(error.at <= text.chars().count() + 1);
            }
        }
    }
}
