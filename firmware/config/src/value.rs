//! What a value in `offhook.toml` may be: one kind a shape, checked, with help in words.
//!
//! ```text
//! TOML value + ValueKind ─▶ check ─▶ Value (in range, right shape)
//!                         └────▶ Problem: what is wrong with it, what would be right, where
//! ```

use std::net::IpAddr;

use toml::Spanned;
use toml::de::DeValue;
use types::Country;

use crate::error::{Problem, nearest, quote};
use crate::{address, digit_map};

mod list;
mod text_check;
mod text_format;
mod wiring;

pub(crate) use list::in_order;
use list::{formatted_list, numbers, port_range, preference, rings, speed_dial};
use text_check::{check_device, check_log_filter, check_target};
pub(crate) use text_format::TextFormat;
pub(crate) use wiring::Wiring;

/// The shape and range of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ValueKind {
    /// Any text without control characters, at most this many characters; `true`: also none.
    Text(usize, bool),
    /// A text that is never shown.
    Secret,
    /// Code of a country plan.
    Country,
    /// `info` or `target=level,…`.
    LogFilter,
    /// User part of a SIP address.
    SipUser,
    /// `host` or `host:port`.
    Host,
    /// A SIP address.
    SipUri,
    /// An IP address.
    Ip,
    /// A whole number in a range.
    Number(i64, i64),
    /// One of these whole numbers.
    OneNumber(&'static [i64]),
    /// `true` or `false`.
    Bool,
    /// `false`, `true`, or milliseconds up to this many.
    AfterMs(i64),
    /// One of these words.
    Choice(&'static [&'static str]),
    /// An order of some of these words, each once, at least one.
    Preference(&'static [&'static str]),
    /// Some of these words, each once, or none.
    Subset(&'static [&'static str]),
    /// First and last RTP port.
    PortRange,
    /// A digit map.
    DigitMap,
    /// A list of numbers that can be keyed, at most this many.
    Numbers(usize),
    /// A number or a SIP address.
    Target,
    /// A table: keyed digits to number or SIP address, at most this many.
    SpeedDial(usize),
    /// A table: pattern of callers to the number of a ring, at most this many.
    Rings(usize),
    /// A table: number from 1 to this one to a text of this format.
    Numbered(u8, TextFormat),
    /// A table: pattern of callers to one of these words, at most this many.
    Words(usize, &'static [&'static str]),
    /// A table: number of a key to what it does.
    FeatureKeys,
    /// A table: name to number or SIP address, at most this many.
    Contacts(usize),
    /// A sound device; `true` for capture.
    Device(bool),
    /// A path of the file system.
    Path,
    /// A path of a file that must be there; what is not absolute lies beside `offhook.toml`.
    File,
    /// SHA-256 of a certificate.
    Fingerprint,
    /// The name of a folder, no path.
    Folder,
    /// One of the texts of the appliance.
    Formatted(TextFormat),
    /// A list of them, at most this many.
    FormattedList(TextFormat, usize),
    /// A value of `hardware.toml`.
    Wiring(Wiring),
}

/// A value that passed its check.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Text(String),
    Number(i64),
    Bool(bool),
    Ip(IpAddr),
    Texts(Vec<String>),
    Ports(u16, u16),
    Pairs(Vec<(String, String)>),
    Fingerprint([u8; 32]),
    Country(Country),
}

impl Value {
    /// The text; a value of another shape has none (the schema's own test sees that no key asks for
    /// the wrong shape).
    pub(crate) fn text(self) -> String {
        if let Self::Text(text) = self {
            text
        } else {
            String::new()
        }
    }

    pub(crate) fn number(&self) -> i64 {
        if let Self::Number(number) = self {
            *number
        } else {
            0
        }
    }

    pub(crate) fn bool(&self) -> bool {
        *self == Self::Bool(true)
    }

    pub(crate) fn texts(self) -> Vec<String> {
        if let Self::Texts(texts) = self {
            texts
        } else {
            Vec::new()
        }
    }

    pub(crate) fn pairs(self) -> Vec<(String, String)> {
        if let Self::Pairs(pairs) = self {
            pairs
        } else {
            Vec::new()
        }
    }
}

/// Fewest RTP ports: three calls (two and one waiting) of two ports each.
const FEWEST_RTP_PORTS: i64 = 6;

impl ValueKind {
    /// Checks a value.
    pub(crate) fn check(self, value: &Spanned<DeValue<'_>>) -> Result<Value, Vec<Problem>> {
        let at = value.span().start;
        let wrong = |what: String| vec![Problem::new(at, what, self.help())];
        let shape = || {
            wrong(format!(
                "this is {}, not {}",
                shape_of(value.get_ref()),
                self.shape()
            ))
        };
        match self {
            Self::Bool => match value.get_ref() {
                DeValue::Boolean(yes) => Ok(Value::Bool(*yes)),
                _other => Err(shape()),
            },
            Self::Number(least, most) => match integer(value.get_ref()) {
                Some(number) if (least..=most).contains(&number) => Ok(Value::Number(number)),
                Some(_) => Err(wrong(format!(
                    "{} is out of range",
                    as_written(value.get_ref())
                ))),
                None => Err(shape()),
            },
            Self::OneNumber(allowed) => match integer(value.get_ref()) {
                Some(number) if allowed.contains(&number) => Ok(Value::Number(number)),
                Some(number) => Err(wrong(format!("{number} is not one of the values allowed"))),
                None => Err(shape()),
            },
            Self::AfterMs(most) => match (value.get_ref(), integer(value.get_ref())) {
                (DeValue::Boolean(yes), _) => Ok(Value::Bool(*yes)),
                (_, Some(number)) if (0..=most).contains(&number) => Ok(Value::Number(number)),
                (_, Some(_)) => Err(wrong(format!(
                    "{} is out of range",
                    as_written(value.get_ref())
                ))),
                (_, None) => Err(shape()),
            },
            Self::PortRange => port_range(value)
                .map_err(|what| wrong(what.unwrap_or_else(|| shape().remove(0).what))),
            Self::Preference(words) => preference(value, words, 1, self),
            Self::Subset(words) => preference(value, words, 0, self),
            Self::Numbers(most) => numbers(value, most, self),
            Self::SpeedDial(most) => speed_dial(value, most, self),
            Self::Rings(most) => rings(value, most, self),
            Self::Numbered(most, format) => list::numbered(value, most, format, self),
            Self::Words(most, words) => list::words(value, most, words, self),
            Self::FeatureKeys => list::feature_keys(value, self),
            Self::Contacts(most) => list::contacts(value, most, self),
            Self::FormattedList(format, most) => formatted_list(value, format, most, self),
            Self::Wiring(wiring) => wiring.check(value, self),
            Self::Text(..)
            | Self::Secret
            | Self::Country
            | Self::LogFilter
            | Self::SipUser
            | Self::Host
            | Self::SipUri
            | Self::Ip
            | Self::Choice(_)
            | Self::DigitMap
            | Self::Target
            | Self::Device(_)
            | Self::Path
            | Self::Formatted(_)
            | Self::File
            | Self::Fingerprint
            | Self::Folder => match value.get_ref() {
                DeValue::String(text) => self.check_text(text).map_err(|(what, help)| {
                    let help = help.unwrap_or_else(|| self.help());
                    vec![Problem::new(at, what, help)]
                }),
                _other => Err(shape()),
            },
        }
    }

    /// Checks a value that is written as text; the error is what is wrong and, where it is better
    /// than the kind's own, the help.
    fn check_text(self, text: &str) -> Result<Value, (String, Option<String>)> {
        let shown = quote(text);
        let fine = Value::Text(text.to_owned());
        if text.chars().any(char::is_control) {
            return Err((
                "there is a control character in the text".to_owned(),
                Some(
                    "write one line of plain text; a backslash is written twice between \"…\", and \
                     once between '…'"
                        .to_owned(),
                ),
            ));
        }
        match self {
            Self::Text(most, may_be_empty) => {
                if text.trim().is_empty() && !may_be_empty {
                    return Err(("the text is empty".to_owned(), None));
                }
                if text.chars().count() > most {
                    return Err((
                        format!("the text has {} characters", text.chars().count()),
                        None,
                    ));
                }
                Ok(fine)
            }
            Self::Secret => {
                if text == crate::schema::Secret::MOVED {
                    let what = "the password was moved into the phone (`security.move_secrets`), \
                                and this phone does not have it";
                    return Err((
                        what.to_owned(),
                        Some("write the password here again".to_owned()),
                    ));
                }
                if text.chars().count() > MOST_SECRET {
                    return Err(("the password is too long".to_owned(), None));
                }
                Ok(fine)
            }
            Self::Country => {
                if let Some(country) = Country::from_name(text) {
                    return Ok(Value::Country(country));
                }
                // Two letters are too few to guess from; a country's name is not.
                let all = Country::ALL.iter();
                let meant = nearest(text, all.clone().map(|country| country.name()));
                let country =
                    meant.and_then(|name| all.clone().find(|country| country.name() == name));
                let help = country.map(|country| {
                    format!(
                        "did you mean \"{}\" ({})?",
                        country.as_str(),
                        country.name()
                    )
                });
                Err((format!("there is no country plan {shown}"), help))
            }
            Self::LogFilter => check_log_filter(text)
                .map(|()| fine)
                .map_err(|error| (error.to_string(), None)),
            Self::SipUser => address::sip_user(text)
                .map(|()| fine)
                .map_err(|why| (format!("{shown} is not a SIP user name: {why}"), None)),
            Self::Host => address::host_port(text)
                .map(|()| fine)
                .map_err(|why| (format!("{shown} is not a host: {why}"), None)),
            Self::SipUri => address::sip_uri(text)
                .map(|()| fine)
                .map_err(|why| (format!("{shown} is not a SIP address: {why}"), None)),
            Self::Ip => text
                .parse()
                .map(Value::Ip)
                .map_err(|_| (format!("{shown} is not an IP address"), None)),
            Self::Choice(words) => {
                if words.contains(&text) {
                    return Ok(fine);
                }
                let help = nearest(text, words.iter().copied())
                    .map(|word| format!("did you mean `{word}`?"));
                Err((format!("{shown} is not one of the words allowed"), help))
            }
            Self::DigitMap => match digit_map::parse(text) {
                Ok(_) => Ok(fine),
                Err(error) => Err((
                    format!("the digit map is wrong at character {}", error.at),
                    Some(error.what.to_owned()),
                )),
            },
            Self::Target => check_target(text)
                .map(|()| fine)
                .map_err(|error| (error.to_string(), None)),
            Self::Device(capture) => check_device(text, capture)
                .map(|()| fine)
                .map_err(|error| (error.to_string(), None)),
            Self::Folder => {
                let named =
                    |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_' || b == b'.';
                if text.is_empty()
                    || text.len() > 64
                    || text.starts_with('.')
                    || !text.bytes().all(named)
                {
                    return Err((format!("{shown} is not the name of a directory"), None));
                }
                Ok(fine)
            }
            Self::Fingerprint => match fingerprint(text) {
                Some(bytes) => Ok(Value::Fingerprint(bytes)),
                None => Err((format!("{shown} is not a SHA-256 fingerprint"), None)),
            },
            Self::Path | Self::File => {
                if text.is_empty() {
                    return Err(("the path is empty".to_owned(), None));
                }
                Ok(fine)
            }
            Self::Formatted(format) => format.check(text).map(|()| fine),
            Self::Bool
            | Self::FormattedList(..)
            | Self::Wiring(_)
            | Self::Number(..)
            | Self::OneNumber(_)
            | Self::AfterMs(_)
            | Self::PortRange
            | Self::Preference(_)
            | Self::Subset(_)
            | Self::Numbers(_)
            | Self::SpeedDial(_)
            | Self::Words(..)
            | Self::FeatureKeys
            | Self::Contacts(_)
            | Self::Numbered(..)
            | Self::Rings(_) => Err((format!("this is text, not {}", self.shape()), None)),
        }
    }

    /// The kind in a few words, for "this is not …".
    pub(crate) fn shape(self) -> &'static str {
        match self {
            Self::Text(..) | Self::Secret => "text",
            Self::Country => "a country code",
            Self::LogFilter => "a log filter",
            Self::SipUser => "a SIP user name",
            Self::Host => "a host",
            Self::SipUri => "a SIP address",
            Self::Ip => "an IP address",
            Self::Number(..) | Self::OneNumber(_) => "a whole number",
            Self::Bool => "true or false",
            Self::AfterMs(_) => "true, false or milliseconds",
            Self::Choice(_) => "one of the words allowed",
            Self::Preference(_) | Self::Subset(_) => "a list of names",
            Self::PortRange => "a pair of ports",
            Self::DigitMap => "a digit map",
            Self::Numbers(_) => "a list of numbers",
            Self::Target => "a number or SIP address",
            Self::SpeedDial(_)
            | Self::Rings(_)
            | Self::Numbered(..)
            | Self::Words(..)
            | Self::FeatureKeys
            | Self::Contacts(_) => "a table",
            Self::Device(_) => "a sound device",
            Self::Path | Self::File => "a path",
            Self::Fingerprint => "a fingerprint",
            Self::Folder => "the name of a directory",
            Self::Formatted(format) => format.shape(),
            Self::FormattedList(..) => "a list",
            Self::Wiring(wiring) => wiring.shape(),
        }
    }

    /// What would be right, in words.
    pub(crate) fn help(self) -> String {
        match self {
            Self::Text(most, true) => format!("write at most {most} characters in quotes"),
            Self::Text(most, false) => format!("write 1 to {most} characters in quotes"),
            Self::Secret => format!("write at most {MOST_SECRET} characters in quotes"),
            Self::Country => {
                let codes: Vec<_> = Country::ALL
                    .iter()
                    .map(|country| country.as_str())
                    .collect();
                format!("write one of {}", codes.join(", "))
            }
            Self::LogFilter => "write `error`, `warn`, `info`, `debug` or `trace` in quotes, or a \
                                list like \"info,offhook=debug\""
                .to_owned(),
            Self::SipUser => "write the part before the `@` of the SIP address in quotes, like \
                              \"101\""
                .to_owned(),
            Self::Host => {
                "write a name or address in quotes, with or without port, like \"pbx.example.net\" \
                 or \"10.0.0.1:5060\""
                    .to_owned()
            }
            Self::SipUri => {
                "write an address in quotes, like \"sip:help@10.0.0.1:5060\"".to_owned()
            }
            Self::Ip => {
                "write an IPv4 or IPv6 address in quotes, like \"192.168.1.20\", or \"::\" for all"
                    .to_owned()
            }
            Self::Number(least, most) => format!("write a whole number from {least} to {most}"),
            Self::OneNumber(allowed) => {
                let allowed: Vec<_> = allowed.iter().map(ToString::to_string).collect();
                format!("write one of {}", allowed.join(", "))
            }
            Self::Bool => "write `true` or `false`, without quotes".to_owned(),
            Self::AfterMs(most) => {
                format!("write `false`, `true` (at once), or milliseconds from 0 to {most}")
            }
            Self::Choice(words) => format!("write one of {}", quoted(words)),
            Self::Preference(words) => format!(
                "write a list of some of {}, each once, best first",
                quoted(words)
            ),
            Self::Subset(words) => {
                format!(
                    "write a list of some of {}, each once, or []",
                    quoted(words)
                )
            }
            Self::PortRange => format!(
                "write first and last port, like [20000, 20099]: the first even, the last odd, \
                 from 1024 on, at least {FEWEST_RTP_PORTS} ports (two a call)"
            ),
            Self::DigitMap => "write a digit map in quotes, like \"0x.T|[1-9]xx\"".to_owned(),
            Self::Numbers(most) => {
                format!(
                    "write a list of at most {most} numbers of the keys 0-9, * and # in quotes, \
                     like [\"112\", \"911\"]"
                )
            }
            Self::Target => {
                "write a number of the keys 0-9, * and #, or a SIP address, in quotes, like \
                 \"112\" or \"sip:help@10.0.0.1\""
                    .to_owned()
            }
            Self::SpeedDial(most) => format!(
                "write at most {most} lines like `1 = \"sip:anna@10.0.0.7\"` under [dial.speed]"
            ),
            Self::Rings(most) => {
                format!("write at most {most} lines like `\"030*\" = 2` under [call.ring]")
            }
            Self::Numbered(most, format) => {
                let each = format.help().trim_start_matches("write ");
                format!("write lines like `2 = …`, with numbers from 1 to {most}; each is {each}")
            }
            Self::Words(most, words) => format!(
                "write at most {most} lines like `\"0900*\" = \"{}\"`, each with one of {}",
                words.first().copied().unwrap_or_default(),
                quoted(words)
            ),
            Self::Contacts(most) => format!(
                "write at most {most} lines like `\"Anna Berg\" = \"0301234567\"` under \
                 [dial.contacts]"
            ),
            Self::FeatureKeys => {
                "write lines like `1 = \"205\"` or `2 = \"account:office\"` under \
                                  [dial.feature_keys], for keys 1 to 8"
                    .to_owned()
            }
            Self::Device(true) => {
                "write an ALSA device, \"wav:FILE\" or \"silence\" in quotes".to_owned()
            }
            Self::Device(false) => {
                "write an ALSA device, \"wav:FILE\" or \"null\" in quotes".to_owned()
            }
            Self::Folder => "write a name of letters, digits, `-`, `_` and dots in quotes, like \
                             \"rpi-zero2w\""
                .to_owned(),
            Self::File => "write the path of a file in quotes; a relative path starts at the \
                           directory of this file"
                .to_owned(),
            Self::Fingerprint => "write 32 bytes as hexadecimal digits in quotes, with or without \
                                  colons"
                .to_owned(),
            Self::Path => "write a path in quotes".to_owned(),
            Self::Formatted(format) => format.help().to_owned(),
            Self::Wiring(wiring) => wiring.help(),
            Self::FormattedList(format, most) => {
                let each = format.help().trim_start_matches("write ");
                format!("write a list of at most {most} in brackets, of: {each}")
            }
        }
    }
}

/// Longest password in characters.
const MOST_SECRET: usize = 128;

/// 32 bytes in hexadecimal, with colons or blanks between or not.
fn fingerprint(text: &str) -> Option<[u8; 32]> {
    let text = text.trim();
    let text = text
        .get(..7)
        .filter(|prefix| prefix.eq_ignore_ascii_case("sha-256"))
        .map_or(text, |_| text[7..].trim_start());
    let mut digits = text
        .chars()
        .filter(|c| !matches!(c, ':' | ' '))
        .map(|c| c.to_digit(16));
    let mut bytes = [0; 32];
    for byte in &mut bytes {
        let (high, low) = (digits.next()??, digits.next()??);
        *byte = (high * 16 + low) as u8;
    }
    digits.next().is_none().then_some(bytes)
}

fn quoted(words: &[&str]) -> String {
    let words: Vec<_> = words.iter().map(|word| format!("\"{word}\"")).collect();
    words.join(", ")
}

fn shape_of(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// The whole number a TOML value is; one too large to count is the largest there is, and so out of
/// every range.
fn integer(value: &DeValue<'_>) -> Option<i64> {
    let DeValue::Integer(number) = value else {
        return None;
    };
    let least_or_most = if number.as_str().starts_with('-') {
        i64::MIN
    } else {
        i64::MAX
    };
    Some(i64::from_str_radix(number.as_str(), number.radix()).unwrap_or(least_or_most))
}

/// A whole number as written in the file, which may be longer than any that can be counted.
fn as_written(value: &DeValue<'_>) -> String {
    match value {
        DeValue::Integer(number) => quote(&number.to_string()),
        DeValue::String(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_)
        | DeValue::Array(_)
        | DeValue::Table(_) => "the value".to_owned(),
    }
}

/// What can be keyed on a 4×3 keypad, at most 16 keys.
fn is_keyed(text: &str) -> bool {
    (1..=16).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_digit() || b == b'*' || b == b'#')
}
