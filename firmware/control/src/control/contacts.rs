//! The contacts of this phone: its own, and those of a server, which are replaced as a whole.

use crate::phone_book::{Contact, PhoneBook, PhoneBookError};

use super::Control;

/// Names for numbers.
#[derive(Debug, Default)]
pub(super) struct Contacts {
    own: PhoneBook,
    remote: PhoneBook,
}

impl Contacts {
    /// Those of the configuration.
    pub(super) fn new(config: &config::Config) -> Self {
        Self {
            own: PhoneBook::new(config),
            remote: PhoneBook::default(),
        }
    }

    /// All of them.
    pub(super) fn all(&self) -> impl Iterator<Item = &Contact> {
        self.own.contacts().iter().chain(self.remote.contacts())
    }

    /// The name of a number or address: the phone's own contacts first.
    pub(super) fn name_of(&self, number: &str) -> Option<String> {
        let found = self.own.name_of(number).or(self.remote.name_of(number));
        found.map(str::to_owned)
    }
}

impl Control {
    /// Adds the contacts of a file to the phone's own. Returns how many there were.
    ///
    /// # Errors
    /// It is no phone book.
    pub fn add_phone_book(&mut self, bytes: &[u8]) -> Result<usize, PhoneBookError> {
        self.contacts.own.read(bytes)
    }

    /// The phone book of a server, in place of the one before.
    ///
    /// # Errors
    /// It is no phone book; the one before stays.
    pub fn set_remote_phone_book(&mut self, bytes: &[u8]) -> Result<usize, PhoneBookError> {
        let mut book = PhoneBook::default();
        let count = book.read(bytes)?;
        self.contacts.remote = book;
        Ok(count)
    }
}
