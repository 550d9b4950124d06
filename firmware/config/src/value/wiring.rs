//! Values of `[hardware]`: their shape is checked here, what they mean together by the board.

use toml::Spanned;
use toml::de::DeValue;

use super::{Value, ValueKind, integer, quoted, shape_of};
use crate::error::{Problem, nearest, quote};

/// The shape of a value of `hardware.toml`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wiring {
    /// A line: its number or name, or `none`.
    Line,
    /// At most this many lines.
    Lines(usize),
    /// One of these words.
    Word(&'static [&'static str]),
    /// A whole number in a range.
    Number(i64, i64),
    /// `true` or `false`.
    Bool,
    /// A text.
    Text,
    /// A list of texts, at most this many.
    Texts(usize),
    /// Key codes of Linux and what they mean.
    KeyMap,
    /// Settings of the card's mixer.
    Mixer,
}

/// Highest number of a line.
const MAX_LINE: i64 = 1023;
/// Longest text.
const MAX_TEXT: usize = 128;
/// Most mixer settings or keys of a map.
const MAX_ENTRIES: usize = 64;

impl Wiring {
    /// Checks a value, and writes it as TOML.
    pub(super) fn check(
        self,
        value: &Spanned<DeValue<'_>>,
        kind: ValueKind,
    ) -> Result<Value, Vec<Problem>> {
        let at = value.span().start;
        let wrong = |what: String| vec![Problem::new(at, what, kind.help())];
        let shape = || {
            wrong(format!(
                "this is {}, not {}",
                shape_of(value.get_ref()),
                self.shape()
            ))
        };
        let fine = || Ok(Value::Text(to_toml(value.get_ref())));
        match (self, value.get_ref()) {
            (Self::Line, line) if is_line(line) => fine(),
            (Self::Lines(most), DeValue::Array(list)) => {
                if list.len() > most {
                    return Err(wrong(format!("the list has {} lines", list.len())));
                }
                let not = list.iter().find(|line| !is_line(line.get_ref()));
                match not {
                    Some(line) => Err(vec![Problem::new(
                        line.span().start,
                        "this is not the number or name of a line",
                        kind.help(),
                    )]),
                    None => fine(),
                }
            }
            (Self::Word(words), DeValue::String(text)) => {
                if words.contains(&text.as_ref()) {
                    return fine();
                }
                let near = nearest(text, words.iter().copied());
                let help =
                    near.map_or_else(|| kind.help(), |near| format!("did you mean \"{near}\"?"));
                let what = format!("{} is not one of the words allowed", quote(text));
                Err(vec![Problem::new(at, what, help)])
            }
            (Self::Number(least, most), number) => match integer(number) {
                Some(number) if (least..=most).contains(&number) => fine(),
                Some(number) => Err(wrong(format!("{number} is out of range"))),
                None => Err(shape()),
            },
            (Self::Bool, DeValue::Boolean(_)) => fine(),
            (Self::Text, text) if is_text(text) => fine(),
            (Self::Texts(most), DeValue::Array(list)) => {
                let texts = list.len() <= most && list.iter().all(|text| is_text(text.get_ref()));
                if texts { fine() } else { Err(shape()) }
            }
            (Self::KeyMap, DeValue::Table(table)) => {
                let texts = table.values().all(|text| is_text(text.get_ref()));
                if texts && table.len() <= MAX_ENTRIES {
                    fine()
                } else {
                    Err(shape())
                }
            }
            (Self::Mixer, DeValue::Array(list)) => {
                let each = |item: &Spanned<DeValue<'_>>| {
                    matches!(item.get_ref(), DeValue::Table(t)
                    if t.values().all(|value| is_plain(value.get_ref())))
                };
                if list.len() <= MAX_ENTRIES && list.iter().all(each) {
                    fine()
                } else {
                    Err(shape())
                }
            }
            (
                Self::Line
                | Self::Lines(_)
                | Self::Word(_)
                | Self::Bool
                | Self::Text
                | Self::Texts(_)
                | Self::KeyMap
                | Self::Mixer,
                _,
            ) => Err(shape()),
        }
    }

    /// For "this is not …".
    pub(super) fn shape(self) -> &'static str {
        match self {
            Self::Line => "the number or name of a line",
            Self::Lines(_) => "a list of lines",
            Self::Word(_) => "one of the words allowed",
            Self::Number(..) => "a whole number",
            Self::Bool => "true or false",
            Self::Text => "text",
            Self::Texts(_) => "a list of texts",
            Self::KeyMap => "a table of key codes",
            Self::Mixer => "a list of mixer settings",
        }
    }

    /// What would be right; begins with "write".
    pub(super) fn help(self) -> String {
        match self {
            Self::Line => "write the line's number, or its name in quotes, like 23 or \"GPIO23\"; \
                           \"none\" where nothing is wired"
                .to_owned(),
            Self::Lines(most) => {
                format!("write a list of at most {most} lines, like [5, 6, 12]")
            }
            Self::Word(words) => format!("write one of {}", quoted(words)),
            Self::Number(least, most) => format!("write a whole number from {least} to {most}"),
            Self::Bool => "write `true` or `false`, without quotes".to_owned(),
            Self::Text => format!("write 1 to {MAX_TEXT} characters in quotes"),
            Self::Texts(most) => format!("write a list of at most {most} texts in quotes"),
            Self::KeyMap => {
                "write a table like { KEY_KPDOT = \"#\", KEY_PHONE = \"hook\" }".to_owned()
            }
            Self::Mixer => {
                "write a list like [{ control = \"Headphone\", volume = 85 }]".to_owned()
            }
        }
    }
}

fn is_line(value: &DeValue<'_>) -> bool {
    integer(value).is_some_and(|line| (0..=MAX_LINE).contains(&line)) || is_text(value)
}

fn is_text(value: &DeValue<'_>) -> bool {
    matches!(value, DeValue::String(text) if !text.is_empty()
        && text.chars().count() <= MAX_TEXT
        && !text.chars().any(char::is_control))
}

fn is_plain(value: &DeValue<'_>) -> bool {
    is_text(value) || integer(value).is_some() || matches!(value, DeValue::Boolean(_))
}

/// A value as TOML on one line; only of shapes that [`Wiring::check`] lets pass.
fn to_toml(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => text_to_toml(text),
        DeValue::Integer(_) => integer(value).unwrap_or_default().to_string(),
        DeValue::Boolean(yes) => yes.to_string(),
        DeValue::Array(list) => {
            let items: Vec<String> = list.iter().map(|item| to_toml(item.get_ref())).collect();
            format!("[{}]", items.join(", "))
        }
        DeValue::Table(table) => {
            let entry =
                |(key, value): (&Spanned<toml::de::DeString<'_>>, &Spanned<DeValue<'_>>)| {
                    format!(
                        "{} = {}",
                        text_to_toml(key.get_ref()),
                        to_toml(value.get_ref())
                    )
                };
            let entries: Vec<String> = table.iter().map(entry).collect();
            format!("{{ {} }}", entries.join(", "))
        }
        DeValue::Float(_) | DeValue::Datetime(_) => "\"\"".to_owned(),
    }
}

fn text_to_toml(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
