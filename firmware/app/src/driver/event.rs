//! What the driver's own tasks report to its loop.

use super::provisioning::Outcome;
use crate::storage::StorageError;

/// The end of something that took its time.
pub(super) enum DriverEvent {
    /// A look for a configuration in the network came to an end.
    Configuration(Box<Outcome>),
    /// A provisioning server was looked for on the link; its URL, if there is one.
    Browsed(Option<String>),
    /// The configuration before the one on trial is back; the phone restarts with it.
    Reverted,
    /// A phone book came from the server.
    PhoneBook(Vec<u8>),
    /// The recordings to ring with are decoded, by the names of their files.
    RingClips(Vec<(String, std::sync::Arc<media::RingClip>)>),
    /// An account that does not register was tried.
    AccountTried {
        /// Its name.
        account: String,
        /// One line each.
        findings: Vec<crate::account_check::Finding>,
    },
    /// The settings keyed on the phone are on the card, or are not.
    SettingsWritten(Result<(), StorageError>),
    /// The factory reset was done, or was not.
    FactoryReset(Result<(), StorageError>),
}
