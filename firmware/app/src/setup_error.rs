//! Why a phone does not start.

use board::{BoardError, ProfileError, RingerError};

use crate::driver::DriverError;
use crate::provision::ProvisionError;
use crate::selftest::SelfTestError;

/// Why a phone does not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SetupError {
    /// There is no configuration to run by.
    #[error(transparent)]
    Provision(#[from] ProvisionError),
    /// There is no such board.
    #[error(transparent)]
    Profile(#[from] ProfileError),
    /// The ringer wanted is not what the board can have.
    #[error("[board] ringer: {0}")]
    Ringer(#[from] RingerError),
    /// A device of the board cannot be opened.
    #[error(transparent)]
    Board(#[from] BoardError),
    /// The phone cannot run.
    #[error(transparent)]
    Driver(#[from] DriverError),
    /// The self-test cannot run.
    #[error(transparent)]
    SelfTest(#[from] SelfTestError),
}
