//! The phone books that servers hand to desk phones: `<…IPPhoneDirectory>` with `<DirectoryEntry>`
//! (Yealink, Cisco, Snom's like it), and `<AddressBook>` with `<Contact>` (Grandstream).
//!
//! ```text
//! text ─▶ quick-xml ─▶ fields of an entry, while it is open ─▶ Contact
//! ```
//!
//! Element by element, whatever lies around them. A document type is refused: no entity is ever
//! expanded, nothing outside is referred to. Ampersands that servers forgot to escape stay.

use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::Event;
use quick_xml::reader::Reader;

use super::{Contact, MAX_CONTACTS};

/// What an element of an entry holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Name,
    FirstName,
    LastName,
    Number,
}

impl Field {
    fn of(element: &str) -> Option<Self> {
        Some(match element.to_ascii_lowercase().as_str() {
            "name" => Self::Name,
            "firstname" => Self::FirstName,
            "lastname" => Self::LastName,
            "telephone" | "phonenumber" => Self::Number,
            _ => return None,
        })
    }
}

/// A person or company, as far as it was read.
#[derive(Debug, Default)]
struct Entry {
    name: String,
    first: String,
    last: String,
    numbers: Vec<String>,
}

impl Entry {
    fn set(&mut self, field: Field, value: &str) {
        let value = value.trim();
        match field {
            Field::Name => value.clone_into(&mut self.name),
            Field::FirstName => value.clone_into(&mut self.first),
            Field::LastName => value.clone_into(&mut self.last),
            Field::Number if value.is_empty() || self.numbers.len() >= MAX_CONTACTS => {}
            Field::Number => self.numbers.push(value.to_owned()),
        }
    }

    /// One contact for each number.
    fn contacts(self) -> impl Iterator<Item = Contact> {
        let name = if self.name.is_empty() {
            format!("{} {}", self.first, self.last)
        } else {
            self.name
        };
        self.numbers.into_iter().map(move |number| Contact {
            name: name.clone(),
            number,
        })
    }
}

fn is_book(element: &str) -> bool {
    element.ends_with("IPPhoneDirectory") || element.eq_ignore_ascii_case("AddressBook")
}

fn is_entry(element: &str) -> bool {
    matches!(element, "DirectoryEntry" | "Contact")
}

/// The contacts of a phone book; `None`: it is none.
pub(super) fn contacts(text: &str) -> Option<Vec<Contact>> {
    let mut reader = Reader::from_str(text);
    reader.config_mut().allow_dangling_amp = true;
    let (mut contacts, mut in_book, mut depth) = (Vec::new(), false, 0u32);
    let (mut entry, mut field, mut value) = (Entry::default(), None, String::new());
    loop {
        match reader.read_event().ok()? {
            Event::Start(start) => {
                depth += 1;
                let name = start.local_name();
                let element = name.into_inner();
                in_book |= is_book(element);
                if is_entry(element) {
                    entry = Entry::default();
                }
                field = Field::of(element);
                value.clear();
            }
            Event::Text(text) => value.push_str(&text.xml10_content()),
            Event::CData(text) => value.push_str(&text.xml10_content()),
            Event::GeneralRef(reference) => match reference.resolve_char_ref().ok()? {
                Some(character) => value.push(character),
                None => value.push_str(resolve_predefined_entity(&reference)?),
            },
            Event::End(end) => {
                depth = depth.saturating_sub(1);
                if let Some(field) = field.take() {
                    entry.set(field, &value);
                }
                if is_entry(end.local_name().into_inner()) {
                    let room = MAX_CONTACTS - contacts.len();
                    contacts.extend(std::mem::take(&mut entry).contacts().take(room));
                }
                value.clear();
            }
            Event::DocType(_) => return None,
            Event::Empty(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
            // One that breaks off is not whole.
            Event::Eof => return (in_book && depth == 0).then_some(contacts),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<Vec<(String, String)>> {
        let pair = |contact: Contact| (contact.name, contact.number);
        contacts(text).map(|found| found.into_iter().map(pair).collect())
    }

    #[test]
    fn what_is_escaped_and_what_should_be_is_read() {
        let text = "<CompanyIPPhoneDirectory><DirectoryEntry><Name>Meier &amp; &#83;ohn</Name>\
                    <Telephone> 12 </Telephone></DirectoryEntry><DirectoryEntry>\
                    <Name>Smith & Co <![CDATA[<home>]]></Name><Telephone>34</Telephone>\
                    <Telephone/></DirectoryEntry></CompanyIPPhoneDirectory>";
        let pair = |name: &str, number: &str| (name.to_owned(), number.to_owned());
        assert_eq!(
            read(text),
            Some(vec![
                pair("Meier & Sohn", "12"),
                pair("Smith & Co <home>", "34")
            ])
        );
    }

    #[test]
    fn what_is_no_phone_book_gives_none() {
        for text in [
            "",
            "<a/>",
            "<AddressBook><Contact>",
            "<AddressBook></Contact></AddressBook>",
            "<!DOCTYPE a [<!ENTITY b \"bb\">]><AddressBook></AddressBook>",
            "<AddressBook><Contact><Name>&unknown;</Name></Contact></AddressBook>",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
