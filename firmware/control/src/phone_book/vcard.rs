//! vCard 2.1, 3.0 (RFC 2426) and 4.0 (RFC 6350): names and numbers, nothing else.

use super::Contact;

/// The contacts of a vCard file, one a number.
pub(super) fn contacts(text: &str) -> Vec<Contact> {
    let mut contacts = Vec::new();
    let (mut full_name, mut name, mut numbers) = (String::new(), String::new(), Vec::new());
    for line in lines(text) {
        let Some((property, value)) = line.split_once(':') else {
            continue;
        };
        let mut parts = property.split(';');
        // A group may stand before the name: `item1.TEL`.
        let kind = parts.next().unwrap_or("");
        let kind = kind.rsplit('.').next().unwrap_or(kind).to_ascii_uppercase();
        let quoted = parts
            .clone()
            .any(|part| part.to_ascii_uppercase().contains("QUOTED-PRINTABLE"));
        let value = if quoted {
            from_quoted_printable(value)
        } else {
            value.to_owned()
        };
        match kind.as_str() {
            "BEGIN" => {
                full_name.clear();
                name.clear();
                numbers.clear();
            }
            "FN" => full_name = unescape(&value),
            "N" => {
                let mut names = value.split(';').map(unescape);
                let (last, first) = (names.next(), names.next());
                let both: Vec<String> = [first, last].into_iter().flatten().collect();
                both.join(" ").trim().clone_into(&mut name);
            }
            "TEL" => numbers.push(number_of(&value)),
            "IMPP" if is_sip(&value) => numbers.push(value),
            "END" => {
                let shown = if full_name.trim().is_empty() {
                    &name
                } else {
                    &full_name
                };
                contacts.extend(numbers.drain(..).map(|number| Contact {
                    name: shown.clone(),
                    number,
                }));
            }
            _ => {}
        }
    }
    contacts
}

/// The lines with those that were folded made whole.
fn lines(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines() {
        let line = line.trim_end_matches('\r');
        if let (Some(more), Some(last)) = (line.strip_prefix([' ', '\t']), lines.last_mut()) {
            last.push_str(more);
            continue;
        }
        let goes_on = lines.last().is_some_and(|last| {
            last.ends_with('=') && last.to_ascii_uppercase().contains("QUOTED-PRINTABLE")
        });
        if let Some(last) = lines.last_mut().filter(|_| goes_on) {
            last.pop();
            last.push_str(line);
        } else {
            lines.push(line.to_owned());
        }
    }
    lines
}

/// `tel:+1-212-555-0100;ext=1` is a number, too.
fn number_of(value: &str) -> String {
    let bare = value
        .get(..4)
        .filter(|scheme| scheme.eq_ignore_ascii_case("tel:"));
    let number = bare.map_or(value, |_| &value[4..]);
    number.split(';').next().unwrap_or(number).trim().to_owned()
}

fn is_sip(value: &str) -> bool {
    value.split_once(':').is_some_and(|(scheme, _)| {
        scheme.eq_ignore_ascii_case("sip") || scheme.eq_ignore_ascii_case("sips")
    })
}

fn unescape(text: &str) -> String {
    let mut plain = String::new();
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        if c != '\\' {
            plain.push(c);
            continue;
        }
        match characters.next() {
            Some('n' | 'N') => plain.push(' '),
            Some(escaped) => plain.push(escaped),
            None => {}
        }
    }
    plain
}

fn from_quoted_printable(text: &str) -> String {
    let bytes = text.as_bytes();
    let (mut plain, mut at) = (Vec::new(), 0);
    while let Some(byte) = bytes.get(at) {
        let hex = text.get(at + 1..at + 3).filter(|_| *byte == b'=');
        if let Some(decoded) = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            plain.push(decoded);
            at += 3;
        } else {
            plain.push(*byte);
            at += 1;
        }
    }
    String::from_utf8_lossy(&plain).into_owned()
}
