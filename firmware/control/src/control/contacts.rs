//! The contacts of this phone: its own, and those of a server, which are replaced as a whole; and
//! the HTTP requests when something happens.

use crate::phone_book::{Contact, PhoneBook, PhoneBookError};

use super::{Control, Output};
use crate::actions::{Actions, Situation};

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

/// The requests of the configuration, from now on.
pub(super) fn actions(config: &config::Config, phone: &phone::Phone) -> Actions {
    let situation = Situation {
        state: phone.state(),
        registered: false,
        dnd: phone.features().dnd,
    };
    Actions::new(config, situation)
}

impl Control {
    /// Makes the requests that belong to what changed.
    pub(super) fn run_actions(&mut self) {
        if self.actions.is_off() {
            return;
        }
        let accounts = 0..self.config.accounts.len();
        let situation = Situation {
            state: self.phone.state(),
            registered: accounts
                .into_iter()
                .any(|account| self.accounts.is_ready(account)),
            dnd: self.phone.features().dnd,
        };
        let (number, name) = self.far_end();
        for url in self.actions.observe(situation, (&number, &name)) {
            self.outbox.push(Output::Fetch(url));
        }
    }

    /// The door is to be opened.
    pub(super) fn open_door(&mut self) {
        let (number, name) = self.far_end();
        if let Some(url) = self.actions.door((&number, &name)) {
            self.outbox.push(Output::Fetch(url));
        }
    }

    /// Number and name of the call there is.
    fn far_end(&self) -> (String, String) {
        let call = self.calls.iter().find(|call| !call.is_ended());
        call.map_or_else(Default::default, |call| {
            (call.number.clone(), call.peer.clone())
        })
    }

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
