//! Names for numbers: contacts of the configuration, of a vCard file and of a phone book on a
//! server.
//!
//! ```text
//! [dial.contacts] ─┐
//! contacts.vcf ────┼─▶ PhoneBook ─▶ name_of(number)     caller names in status, display and history
//! XML or vCard ────┘   (bounded)
//! ```
//!
//! A number is the same whether it is written with the country's code or not: the last digits
//! decide, as far as both have them.

mod vcard;
mod xml;

use crate::readable::displayable;

/// Most contacts.
pub const MAX_CONTACTS: usize = 5000;
/// Most bytes of a file or an answer.
pub const MAX_BYTES: usize = 2 * 1024 * 1024;
/// Longest name and number, in characters.
const MAX_TEXT: usize = 64;
/// Numbers are the same where this many last digits are: more than any extension has.
const SAME_DIGITS: usize = 8;

/// A contact: one number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contact {
    /// The name, for people.
    pub name: String,
    /// The number or address, as it can be dialled.
    pub number: String,
}

/// Names for numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PhoneBook {
    contacts: Vec<Contact>,
}

/// Why a text is no phone book.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PhoneBookError {
    /// It is larger than any phone book.
    #[error("it has more than {MAX_BYTES} bytes", MAX_BYTES = MAX_BYTES)]
    TooLarge,
    /// It is neither vCard nor a phone book in XML.
    #[error(
        "it is neither a vCard file nor a phone book in XML as Yealink and Grandstream phones read \
         it"
    )]
    Unknown,
}

impl PhoneBook {
    /// The contacts of the configuration.
    pub fn new(config: &config::Config) -> Self {
        let mut book = Self::default();
        for (name, number) in &config.dial.contacts {
            book.add(name, number);
        }
        book
    }

    /// Adds the contacts of a vCard file or a phone book in XML. Returns how many there were.
    ///
    /// # Errors
    /// [`PhoneBookError`]; then none are added.
    pub fn read(&mut self, bytes: &[u8]) -> Result<usize, PhoneBookError> {
        if bytes.len() > MAX_BYTES {
            return Err(PhoneBookError::TooLarge);
        }
        let text = String::from_utf8_lossy(bytes);
        let text = text.trim_start_matches('\u{feff}').trim_start();
        let upper = text
            .get(..text.len().min(16))
            .unwrap_or("")
            .to_ascii_uppercase();
        let found = if upper.starts_with("BEGIN:VCARD") {
            vcard::contacts(text)
        } else if text.starts_with('<') {
            xml::contacts(text).ok_or(PhoneBookError::Unknown)?
        } else {
            return Err(PhoneBookError::Unknown);
        };
        let before = self.contacts.len();
        for contact in found {
            self.add(&contact.name, &contact.number);
        }
        Ok(self.contacts.len() - before)
    }

    fn add(&mut self, name: &str, number: &str) {
        let short =
            |text: &str| -> String { displayable(text.trim()).chars().take(MAX_TEXT).collect() };
        let (name, number) = (short(name), short(number));
        if name.is_empty() || number.is_empty() || self.contacts.len() >= MAX_CONTACTS {
            return;
        }
        self.contacts.push(Contact { name, number });
    }

    /// All of them, in the order they were read.
    pub fn contacts(&self) -> &[Contact] {
        &self.contacts
    }

    /// The name of a number or an address.
    pub fn name_of(&self, number: &str) -> Option<&str> {
        if number.is_empty() {
            return None;
        }
        let wanted = plain(number);
        let mut contacts = self.contacts.iter();
        let found = contacts.find(|contact| is_same(&plain(&contact.number), &wanted));
        found.map(|contact| contact.name.as_str())
    }
}

/// A number without what people write between digits; an address in lower case, without its scheme.
fn plain(number: &str) -> String {
    let number = number.trim();
    let bare = number.split_once(':').map_or(number, |(scheme, rest)| {
        match scheme.to_ascii_lowercase().as_str() {
            "sip" | "sips" | "tel" => rest,
            _ => number,
        }
    });
    let bare = bare.split([';', '?']).next().unwrap_or(bare);
    if bare.contains('@') || bare.chars().any(|c| c.is_ascii_alphabetic()) {
        return bare.to_ascii_lowercase();
    }
    bare.chars()
        .filter(|c| !matches!(c, ' ' | '-' | '/' | '(' | ')' | '.' | '\u{a0}'))
        .collect()
}

/// `+49 30 1234567`, `0049301234567` and `0301234567` are one number.
fn is_same(a: &str, b: &str) -> bool {
    if a == b {
        return true;
    }
    let digits = |text: &str| {
        text.trim_start_matches('+')
            .bytes()
            .all(|b| b.is_ascii_digit())
    };
    if a.len() < SAME_DIGITS || b.len() < SAME_DIGITS || !digits(a) || !digits(b) {
        return false;
    }
    let tail = |text: &str| text.as_bytes()[text.len() - SAME_DIGITS..].to_vec();
    tail(a) == tail(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_found_however_it_is_written() {
        let toml = "[dial.contacts]\n\"Anna Berg\" = \"+49301234567\"\n\
                    \"Door\" = \"sip:door@10.0.0.9\"\n\
                    \"Bob\" = \"205\"\n";
        let config = config::load(toml, "f").unwrap_or_else(|errors| panic!("{errors}"));
        let book = PhoneBook::new(&config);
        for number in [
            "+49301234567",
            "0301234567",
            "0049301234567",
            "+49 30 1234-567",
        ] {
            assert_eq!(book.name_of(number), Some("Anna Berg"), "{number}");
        }
        assert_eq!(
            book.name_of("SIP:Door@10.0.0.9;transport=tcp"),
            Some("Door")
        );
        assert_eq!(book.name_of("205"), Some("Bob"));
        for other in ["1205", "20", "", "+49301234568", "sip:door@10.0.0.8"] {
            assert_eq!(book.name_of(other), None, "{other}");
        }
    }

    #[test]
    fn vcards_of_all_versions_are_read() {
        let text = "BEGIN:VCARD\r\nVERSION:3.0\r\nFN:Anna\r\n  Berg\r\n\
                    TEL;TYPE=home:+49 30 1\r\n 234567\r\n\
                    item1.TEL;TYPE=cell:0171 7654321\r\nEND:VCARD\r\n\
                    begin:vcard\nVERSION:4.0\nN:Meier;Bob;;;\n\
                    TEL;VALUE=uri:tel:+1-212-555-0100;ext=1\n\
                    IMPP:sip:bob@example.net\nEND:VCARD\n\
                    BEGIN:VCARD\nVERSION:2.1\n\
                    FN;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:J=C3=B6rg\n\
                    TEL;WORK:030999888\nEND:VCARD\nBEGIN:VCARD\nFN:No number\nEND:VCARD\n";
        let mut book = PhoneBook::default();
        assert_eq!(book.read(text.as_bytes()), Ok(5));
        for (number, name) in [
            ("0301234567", "Anna Berg"),
            ("01717654321", "Anna Berg"),
            ("+12125550100", "Bob Meier"),
            ("sip:bob@example.net", "Bob Meier"),
            ("030999888", "Jörg"),
        ] {
            assert_eq!(book.name_of(number), Some(name), "{number}");
        }
    }

    #[test]
    fn phone_books_of_servers_are_read() {
        let yealink = "<?xml version=\"1.0\"?><YealinkIPPhoneDirectory><Title>Office</Title>\
            <DirectoryEntry><Name>Anna &amp; Co</Name><Telephone>0301234567</Telephone>\
            <Telephone label=\"Mobile\">01717654321</Telephone></DirectoryEntry>\
            </YealinkIPPhoneDirectory>";
        let grandstream = "<AddressBook><Contact><LastName>Berg</LastName><FirstName>Anna\
            </FirstName><Phone><phonenumber>205</phonenumber><accountindex>0</accountindex></Phone>\
            </Contact></AddressBook>";
        let mut book = PhoneBook::default();
        assert_eq!(book.read(yealink.as_bytes()), Ok(2));
        assert_eq!(book.read(grandstream.as_bytes()), Ok(1));
        assert_eq!(book.name_of("01717654321"), Some("Anna & Co"));
        assert_eq!(book.name_of("205"), Some("Anna Berg"));
    }

    #[test]
    fn what_is_no_phone_book_is_refused_and_adds_nothing() {
        let mut book = PhoneBook::default();
        for bad in ["", "name,number\n", "<html><body>404</body></html>", "<"] {
            assert_eq!(
                book.read(bad.as_bytes()),
                Err(PhoneBookError::Unknown),
                "{bad}"
            );
        }
        let large = vec![b' '; MAX_BYTES + 1];
        assert_eq!(book.read(&large), Err(PhoneBookError::TooLarge));
        let hostile = format!(
            "BEGIN:VCARD\nFN:{}\u{1b}[2J\nTEL:{}\nEND:VCARD\n",
            "x".repeat(100_000),
            "1".repeat(100_000)
        );
        assert_eq!(book.read(hostile.as_bytes()), Ok(1));
        let kept = &book.contacts()[0];
        assert!(kept.name.len() <= MAX_TEXT && kept.number.len() <= MAX_TEXT);
        let many = "BEGIN:VCARD\nFN:a\nTEL:1\nEND:VCARD\n".repeat(MAX_CONTACTS + 10);
        let _ = book.read(many.as_bytes());
        assert_eq!(book.contacts().len(), MAX_CONTACTS);
    }
}
