//! Values that are lists, pairs or tables: each part is checked at its own span.

use toml::Spanned;
use toml::de::DeValue;

use super::{
    FEWEST_RTP_PORTS, TextFormat, Value, ValueKind, check_target, integer, is_keyed, shape_of,
};
use crate::error::{Problem, nearest, quote};

/// `Err(None)`: the value has another shape.
pub(super) fn port_range(value: &Spanned<DeValue<'_>>) -> Result<Value, Option<String>> {
    let DeValue::Array(list) = value.get_ref() else {
        return Err(None);
    };
    let ports: Option<Vec<i64>> = list.iter().map(|port| integer(port.get_ref())).collect();
    let Some(&[first, last]) = ports.as_deref() else {
        return Err(None);
    };
    match (u16::try_from(first), u16::try_from(last)) {
        (Ok(low), Ok(high)) if low >= 1024 && high >= 1024 => {
            if first > last {
                Err(Some(format!(
                    "the first port {first} is above the last {last}"
                )))
            } else if first % 2 != 0 {
                Err(Some(format!(
                    "the first port {first} is odd, but RTP takes the even port of a pair (RFC 3550)"
                )))
            } else if last % 2 == 0 {
                Err(Some(format!(
                    "the last port {last} is even: the RTCP port beside it is missing"
                )))
            } else if last - first + 1 < FEWEST_RTP_PORTS {
                Err(Some(format!("{} ports are too few", last - first + 1)))
            } else {
                Ok(Value::Ports(low, high))
            }
        }
        _other => Err(Some("a port is out of range".to_owned())),
    }
}

pub(super) fn preference(
    value: &Spanned<DeValue<'_>>,
    words: &'static [&'static str],
    kind: ValueKind,
) -> Result<Value, Vec<Problem>> {
    let at = value.span().start;
    let DeValue::Array(list) = value.get_ref() else {
        return Err(vec![Problem::new(
            at,
            format!("this is {}, not a list of names", shape_of(value.get_ref())),
            kind.help(),
        )]);
    };
    let mut problems = Vec::new();
    let mut chosen: Vec<String> = Vec::new();
    if list.is_empty() {
        problems.push(Problem::new(at, "the list is empty", kind.help()));
    }
    for item in list.iter().take(64) {
        let at = item.span().start;
        let DeValue::String(word) = item.get_ref() else {
            problems.push(Problem::new(
                at,
                format!("this is {}, not a name", shape_of(item.get_ref())),
                kind.help(),
            ));
            continue;
        };
        if !words.contains(&word.as_ref()) {
            let help = nearest(word, words.iter().copied())
                .map_or_else(|| kind.help(), |near| format!("did you mean \"{near}\"?"));
            problems.push(Problem::new(
                at,
                format!("{} is not known", quote(word)),
                help,
            ));
        } else if chosen.iter().any(|earlier| earlier == word.as_ref()) {
            problems.push(Problem::new(
                at,
                format!("{} is listed twice", quote(word)),
                "keep one of them",
            ));
        } else {
            chosen.push(word.clone().into_owned());
        }
    }
    if problems.is_empty() {
        Ok(Value::Texts(chosen))
    } else {
        Err(problems)
    }
}

pub(super) fn numbers(
    value: &Spanned<DeValue<'_>>,
    most: usize,
    kind: ValueKind,
) -> Result<Value, Vec<Problem>> {
    let at = value.span().start;
    let DeValue::Array(list) = value.get_ref() else {
        return Err(vec![Problem::new(
            at,
            format!(
                "this is {}, not a list of numbers",
                shape_of(value.get_ref())
            ),
            kind.help(),
        )]);
    };
    if list.len() > most {
        return Err(vec![Problem::new(
            at,
            format!("the list has {} numbers", list.len()),
            kind.help(),
        )]);
    }
    let mut problems = Vec::new();
    let mut found = Vec::new();
    for item in list {
        match item.get_ref() {
            DeValue::String(number) if is_keyed(number) => found.push(number.clone().into_owned()),
            DeValue::String(text) => problems.push(Problem::new(
                item.span().start,
                format!(
                    "{} cannot be dialled with the keys 0-9, * and #",
                    quote(text)
                ),
                kind.help(),
            )),
            other => problems.push(Problem::new(
                item.span().start,
                format!("this is {}, not a number in quotes", shape_of(other)),
                kind.help(),
            )),
        }
    }
    if problems.is_empty() {
        Ok(Value::Texts(found))
    } else {
        Err(problems)
    }
}

pub(super) fn speed_dial(
    value: &Spanned<DeValue<'_>>,
    most: usize,
    kind: ValueKind,
) -> Result<Value, Vec<Problem>> {
    let at = value.span().start;
    let DeValue::Table(table) = value.get_ref() else {
        return Err(vec![Problem::new(
            at,
            format!("this is {}, not a table", shape_of(value.get_ref())),
            kind.help(),
        )]);
    };
    if table.len() > most {
        return Err(vec![Problem::new(
            at,
            format!("there are {} speed dial numbers", table.len()),
            kind.help(),
        )]);
    }
    let mut problems = Vec::new();
    let mut found = Vec::new();
    for (key, target) in table {
        let keyed = key.get_ref();
        if !is_keyed(keyed) {
            let help = "write keys 0-9, * and # (the last two in quotes), at most 16, like `1 = …` or `\"*1\" = …`";
            problems.push(Problem::new(
                key.span().start,
                format!(
                    "{} cannot be dialled with the keys 0-9, * and #",
                    quote(keyed)
                ),
                help,
            ));
        }
        match target.get_ref() {
            DeValue::String(text) => match check_target(text) {
                Ok(()) => found.push((
                    key.span().start,
                    keyed.clone().into_owned(),
                    text.clone().into_owned(),
                )),
                Err(what) => problems.push(Problem::new(
                    target.span().start,
                    what,
                    ValueKind::Target.help(),
                )),
            },
            other => {
                let what = format!("this is {}, not a number or SIP address", shape_of(other));
                problems.push(Problem::new(
                    target.span().start,
                    what,
                    ValueKind::Target.help(),
                ));
            }
        }
    }
    found.sort();
    if problems.is_empty() {
        Ok(Value::Pairs(
            found
                .into_iter()
                .map(|(_, keyed, target)| (keyed, target))
                .collect(),
        ))
    } else {
        Err(problems)
    }
}

pub(super) fn formatted_list(
    value: &Spanned<DeValue<'_>>,
    format: TextFormat,
    most: usize,
    kind: ValueKind,
) -> Result<Value, Vec<Problem>> {
    let at = value.span().start;
    let DeValue::Array(list) = value.get_ref() else {
        return Err(vec![Problem::new(
            at,
            format!("this is {}, not a list", shape_of(value.get_ref())),
            kind.help(),
        )]);
    };
    if list.len() > most {
        return Err(vec![Problem::new(
            at,
            format!("the list has {} entries", list.len()),
            kind.help(),
        )]);
    }
    let mut problems = Vec::new();
    let mut found = Vec::new();
    for item in list {
        let at = item.span().start;
        match item.get_ref() {
            DeValue::String(text) => match format.check(text) {
                Ok(()) if text.chars().any(char::is_control) => {
                    problems.push(Problem::new(
                        at,
                        "there is a control character in the text",
                        format.help(),
                    ));
                }
                Ok(()) => found.push(text.clone().into_owned()),
                Err((what, help)) => problems.push(Problem::new(
                    at,
                    what,
                    help.unwrap_or_else(|| format.help().to_owned()),
                )),
            },
            other => problems.push(Problem::new(
                at,
                format!("this is {}, not {}", shape_of(other), format.shape()),
                format.help(),
            )),
        }
    }
    if problems.is_empty() {
        Ok(Value::Texts(found))
    } else {
        Err(problems)
    }
}
