//! Values that are lists, pairs or tables: each part is checked at its own span.

use std::borrow::Cow;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{
    FEWEST_RTP_PORTS, TextFormat, Value, ValueKind, check_target, integer, is_keyed, shape_of,
};
use crate::error::{Problem, nearest, quote};
use crate::schema::FeatureKey;

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
                    "the first port {first} is odd, but RTP takes the even port of a pair (RFC \
                     3550)"
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

/// The items of a list with at most this many; `of` is what each is, in the plural.
fn list<'v, 'i>(
    value: &'v Spanned<DeValue<'i>>,
    most: usize,
    of: &str,
    kind: ValueKind,
) -> Result<&'v [Spanned<DeValue<'i>>], Vec<Problem>> {
    let wrong = |what: String| vec![Problem::new(value.span().start, what, kind.help())];
    let DeValue::Array(list) = value.get_ref() else {
        let shape = shape_of(value.get_ref());
        return Err(wrong(format!("this is {shape}, not a list of {of}")));
    };
    if list.len() > most {
        return Err(wrong(format!("the list has {} {of}", list.len())));
    }
    Ok(list)
}

/// Checks each item; all problems are reported.
fn each<V, T>(
    items: impl IntoIterator<Item = V>,
    mut check: impl FnMut(V, &[T]) -> Result<T, Problem>,
) -> Result<Vec<T>, Vec<Problem>> {
    let (mut found, mut problems) = (Vec::new(), Vec::new());
    for item in items {
        match check(item, &found) {
            Ok(value) => found.push(value),
            Err(problem) => problems.push(problem),
        }
    }
    if problems.is_empty() {
        Ok(found)
    } else {
        Err(problems)
    }
}

/// The text of an item; `of` is what it should be.
fn text<'v>(
    item: &'v Spanned<DeValue<'_>>,
    of: &str,
    help: impl FnOnce() -> String,
) -> Result<&'v str, Problem> {
    match item.get_ref() {
        DeValue::String(text) => Ok(text),
        other => {
            let what = format!("this is {}, not {of}", shape_of(other));
            Err(Problem::new(item.span().start, what, help()))
        }
    }
}

pub(super) fn preference(
    value: &Spanned<DeValue<'_>>,
    words: &'static [&'static str],
    fewest: usize,
    kind: ValueKind,
) -> Result<Value, Vec<Problem>> {
    let items = list(value, usize::MAX, "names", kind)?;
    if items.len() < fewest {
        let at = value.span().start;
        return Err(vec![Problem::new(at, "the list is empty", kind.help())]);
    }
    let chosen = each(&items[..items.len().min(64)], |item, chosen: &[String]| {
        let word = text(item, "a name", || kind.help())?;
        let wrong = |what, help| Err(Problem::new(item.span().start, what, help));
        if !words.contains(&word) {
            let help = nearest(word, words.iter().copied())
                .map_or_else(|| kind.help(), |near| format!("did you mean \"{near}\"?"));
            wrong(format!("{} is not known", quote(word)), help)
        } else if chosen.iter().any(|earlier| earlier == word) {
            let help = "keep one of them".to_owned();
            wrong(format!("{} is listed twice", quote(word)), help)
        } else {
            Ok(word.to_owned())
        }
    })?;
    Ok(Value::Texts(chosen))
}

pub(super) fn numbers(
    value: &Spanned<DeValue<'_>>,
    most: usize,
    kind: ValueKind,
) -> Result<Value, Vec<Problem>> {
    let items = list(value, most, "numbers", kind)?;
    let found = each(items, |item, _| {
        let number = text(item, "a number in quotes", || kind.help())?;
        if is_keyed(number) {
            return Ok(number.to_owned());
        }
        let what = not_keyed(number);
        Err(Problem::new(item.span().start, what, kind.help()))
    })?;
    Ok(Value::Texts(found))
}

fn not_keyed(text: &str) -> String {
    format!(
        "{} cannot be dialled with the keys 0-9, * and #",
        quote(text)
    )
}

type Entry<'a, 'v> = (&'a Spanned<Cow<'v, str>>, &'a Spanned<DeValue<'v>>);

/// The entries in the order of the text, so that the first errors are reported in full.
pub(crate) fn in_order<'a, 'v>(table: &'a DeTable<'v>) -> Vec<Entry<'a, 'v>> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_unstable_by_key(|(key, _)| key.span().start);
    entries
}

/// The entries of a table in the order they are written, at most so many of these things.
fn entries<'a, 'v>(
    value: &'a Spanned<DeValue<'v>>,
    most: usize,
    things: &str,
    kind: ValueKind,
) -> Result<Vec<Entry<'a, 'v>>, Vec<Problem>> {
    let wrong = |what: String| vec![Problem::new(value.span().start, what, kind.help())];
    let DeValue::Table(table) = value.get_ref() else {
        let shape = shape_of(value.get_ref());
        return Err(wrong(format!("this is {shape}, not a table")));
    };
    if table.len() > most {
        return Err(wrong(format!("there are {} {things}", table.len())));
    }
    Ok(in_order(table))
}

pub(super) fn speed_dial(
    value: &Spanned<DeValue<'_>>,
    most: usize,
    kind: ValueKind,
) -> Result<Value, Vec<Problem>> {
    let entries = entries(value, most, "speed dial numbers", kind)?;
    let keys = each(entries.iter(), |(key, _), _| {
        let keyed = key.get_ref();
        if is_keyed(keyed) {
            return Ok(keyed.clone().into_owned());
        }
        let help = "write keys 0-9, * and # (the last two in quotes), at most 16, like `1 = …` or \
                    `\"*1\" = …`";
        Err(Problem::new(key.span().start, not_keyed(keyed), help))
    });
    let targets = each(entries.iter(), |(_, target), _| {
        let help = || ValueKind::Target.help();
        let to = text(target, "a number or SIP address", help)?;
        match check_target(to) {
            Ok(()) => Ok(to.to_owned()),
            Err(error) => Err(Problem::new(target.span().start, error.to_string(), help())),
        }
    });
    match (keys, targets) {
        (Ok(keys), Ok(targets)) => Ok(Value::Pairs(keys.into_iter().zip(targets).collect())),
        (keys, targets) => Err([keys.err(), targets.err()]
            .into_iter()
            .flatten()
            .flatten()
            .collect()),
    }
}

pub(super) fn formatted_list(
    value: &Spanned<DeValue<'_>>,
    format: TextFormat,
    most: usize,
    kind: ValueKind,
) -> Result<Value, Vec<Problem>> {
    let items = list(value, most, "entries", kind)?;
    let found = each(items, |item, _| {
        let at = item.span().start;
        let entry = text(item, format.shape(), || format.help().to_owned())?;
        match format.check(entry) {
            Ok(()) if entry.chars().any(char::is_control) => {
                let what = "there is a control character in the text";
                Err(Problem::new(at, what, format.help()))
            }
            Ok(()) => Ok(entry.to_owned()),
            Err((what, help)) => {
                let help = help.unwrap_or_else(|| format.help().to_owned());
                Err(Problem::new(at, what, help))
            }
        }
    })?;
    Ok(Value::Texts(found))
}

pub(super) fn rings(
    value: &Spanned<DeValue<'_>>,
    most: usize,
    kind: ValueKind,
) -> Result<Value, Vec<Problem>> {
    let entries = entries(value, most, "patterns", kind)?;
    let pairs = each(entries, |(pattern, ring), _| {
        let at = ring.span().start;
        if let Err((what, _)) = TextFormat::Caller.check(pattern.get_ref()) {
            return Err(Problem::new(pattern.span().start, what, kind.help()));
        }
        if let Some(number @ 1..=5) = integer(ring.get_ref()) {
            return Ok((pattern.get_ref().to_string(), number.to_string()));
        }
        let what = "this is not the number of a ring, 1 to 5";
        Err(Problem::new(at, what, kind.help()))
    })?;
    Ok(Value::Pairs(pairs))
}

/// A number and a text of a format each.
pub(super) fn numbered(
    value: &Spanned<DeValue<'_>>,
    most: u8,
    format: TextFormat,
    kind: ValueKind,
) -> Result<Value, Vec<Problem>> {
    let entries = entries(value, most.into(), "numbers", kind)?;
    let pairs = each(entries, |(number, entry), _| {
        let known = number.get_ref().parse::<u8>().ok();
        if !known.is_some_and(|number| (1..=most).contains(&number)) {
            let what = format!("this is not a number from 1 to {most}");
            return Err(Problem::new(number.span().start, what, kind.help()));
        }
        let chosen = text(entry, format.shape(), || kind.help())?;
        match format.check(chosen) {
            Ok(()) => Ok((number.get_ref().to_string(), chosen.to_owned())),
            Err((what, help)) => {
                let help = help.unwrap_or_else(|| format.help().to_owned());
                Err(Problem::new(entry.span().start, what, help))
            }
        }
    })?;
    Ok(Value::Pairs(pairs))
}

/// A pattern of callers and a word each.
pub(super) fn words(
    value: &Spanned<DeValue<'_>>,
    most: usize,
    words: &'static [&'static str],
    kind: ValueKind,
) -> Result<Value, Vec<Problem>> {
    let entries = entries(value, most, "patterns", kind)?;
    let pairs = each(entries, |(pattern, word), _| {
        let at = word.span().start;
        if let Err((what, _)) = TextFormat::Caller.check(pattern.get_ref()) {
            return Err(Problem::new(pattern.span().start, what, kind.help()));
        }
        let chosen = text(word, "a word in quotes", || kind.help())?;
        if words.contains(&chosen) {
            return Ok((pattern.get_ref().to_string(), chosen.to_owned()));
        }
        let help = nearest(chosen, words.iter().copied())
            .map_or_else(|| kind.help(), |near| format!("did you mean \"{near}\"?"));
        let what = format!("{} is not one of the words allowed", quote(chosen));
        Err(Problem::new(at, what, help))
    })?;
    Ok(Value::Pairs(pairs))
}

/// The number of a key and what it does.
pub(super) fn feature_keys(
    value: &Spanned<DeValue<'_>>,
    kind: ValueKind,
) -> Result<Value, Vec<Problem>> {
    let most = types::FunctionKey::MOST_FEATURES;
    let entries = entries(value, most.into(), "keys", kind)?;
    let pairs = each(entries, |(key, what), _| {
        let number = key.get_ref().parse::<u8>().ok();
        if !number.is_some_and(|number| (1..=most).contains(&number)) {
            let wrong = format!("{} is not the number of a key", quote(key.get_ref()));
            return Err(Problem::new(key.span().start, wrong, kind.help()));
        }
        let text = text(what, "a number, address or account", || kind.help())?;
        let account = text.strip_prefix("account:");
        let fine = match account {
            Some(name) => !name.trim().is_empty() && name.chars().count() <= 64,
            None => {
                matches!(
                    text,
                    FeatureKey::REDIAL_LIST | FeatureKey::DOOR | FeatureKey::CONFERENCE
                ) || check_target(text).is_ok()
            }
        };
        if fine {
            return Ok((key.get_ref().to_string(), text.to_owned()));
        }
        let wrong = format!(
            "{} is neither a number, an address nor an account",
            quote(text)
        );
        Err(Problem::new(what.span().start, wrong, kind.help()))
    })?;
    Ok(Value::Pairs(pairs))
}

/// Names and the number or address of each.
pub(super) fn contacts(
    value: &Spanned<DeValue<'_>>,
    most: usize,
    kind: ValueKind,
) -> Result<Value, Vec<Problem>> {
    let entries = entries(value, most, "contacts", kind)?;
    let pairs = each(entries, |(name, number), _| {
        let fine = !name.get_ref().trim().is_empty() && name.get_ref().chars().count() <= 64;
        if !fine {
            let what = format!("{} is not a name", quote(name.get_ref()));
            return Err(Problem::new(name.span().start, what, kind.help()));
        }
        let text = text(number, "a number or SIP address", || kind.help())?;
        let digits = text.strip_prefix('+').unwrap_or(text);
        match check_target(digits) {
            Ok(()) => Ok((name.get_ref().to_string(), text.to_owned())),
            Err(error) => Err(Problem::new(
                number.span().start,
                error.to_string(),
                kind.help(),
            )),
        }
    })?;
    Ok(Value::Pairs(pairs))
}
