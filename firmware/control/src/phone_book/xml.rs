//! The phone books that servers hand to desk phones: `<…IPPhoneDirectory>` with `<DirectoryEntry>`
//! (Yealink, Cisco, Snom's like it), and `<AddressBook>` with `<Contact>` (Grandstream).
//!
//! Read element by element and no deeper: no entities but the five of XML and numbers, no DTD, no
//! reference to anything outside.

use super::Contact;

/// A piece of the text.
enum Piece<'a> {
    /// The name of an element that begins.
    Open(&'a str),
    /// One that ends.
    Close(&'a str),
    Text(&'a str),
}

/// The contacts of a phone book; `None`: it is none.
pub(super) fn contacts(text: &str) -> Option<Vec<Contact>> {
    let mut contacts = Vec::new();
    let mut is_book = false;
    let (mut name, mut first, mut last) = (String::new(), String::new(), String::new());
    let mut numbers = Vec::new();
    let mut inside = "";
    for piece in pieces(text) {
        match piece {
            Piece::Open(element) => {
                is_book |= element.ends_with("IPPhoneDirectory")
                    || element.eq_ignore_ascii_case("AddressBook");
                if matches!(element, "DirectoryEntry" | "Contact") {
                    name.clear();
                    first.clear();
                    last.clear();
                    numbers.clear();
                }
                inside = element;
            }
            Piece::Text(text) => {
                let text = decode(text.trim());
                match inside.to_ascii_lowercase().as_str() {
                    "name" => name.push_str(&text),
                    "firstname" => first.push_str(&text),
                    "lastname" => last.push_str(&text),
                    "telephone" | "phonenumber" if !text.is_empty() => numbers.push(text),
                    _ => {}
                }
            }
            Piece::Close(element) => {
                inside = "";
                if matches!(element, "DirectoryEntry" | "Contact") {
                    let shown = if name.trim().is_empty() {
                        format!("{first} {last}")
                    } else {
                        name.clone()
                    };
                    contacts.extend(numbers.drain(..).map(|number| Contact {
                        name: shown.clone(),
                        number,
                    }));
                }
            }
        }
    }
    is_book.then_some(contacts)
}

fn pieces(text: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        loop {
            if rest.is_empty() {
                return None;
            }
            let Some(inner) = rest.strip_prefix('<') else {
                let end = rest.find('<').unwrap_or(rest.len());
                let (text, after) = rest.split_at(end);
                rest = after;
                return Some(Piece::Text(text));
            };
            if let Some(comment) = inner.strip_prefix("!--") {
                rest = comment.split_once("-->").map_or("", |(_, after)| after);
                continue;
            }
            let (tag, after) = inner.split_once('>').unwrap_or((inner, ""));
            rest = after;
            if tag.starts_with(['?', '!']) || tag.ends_with('/') {
                continue;
            }
            let name = |tag: &'_ str| -> usize {
                tag.find(|c: char| c.is_ascii_whitespace())
                    .unwrap_or(tag.len())
            };
            return Some(match tag.strip_prefix('/') {
                Some(tag) => Piece::Close(&tag[..name(tag)]),
                None => Piece::Open(&tag[..name(tag)]),
            });
        }
    })
}

fn decode(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        plain.push_str(before);
        let Some((entity, more)) = after
            .split_once(';')
            .filter(|(entity, _)| entity.len() <= 8)
        else {
            plain.push('&');
            rest = after;
            continue;
        };
        let number = entity.strip_prefix('#').and_then(|code| {
            let code = match code.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => code.parse().ok()?,
            };
            char::from_u32(code)
        });
        match entity {
            "amp" => plain.push('&'),
            "lt" => plain.push('<'),
            "gt" => plain.push('>'),
            "quot" => plain.push('"'),
            "apos" => plain.push('\''),
            _ => plain.extend(number),
        }
        rest = more;
    }
    plain.push_str(rest);
    plain
}
