//! What the driver's own tasks report to its loop.

use super::provisioning::Outcome;
use crate::storage::StorageError;

/// The end of something that took its time.
pub(super) enum DriverEvent {
    /// A look for a configuration in the network came to an end.
    Configuration(Box<Outcome>),
    /// The configuration before the one on trial is back; the phone restarts with it.
    Reverted,
    /// The factory reset was done, or was not.
    FactoryReset(Result<(), StorageError>),
}
