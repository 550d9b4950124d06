//! What the phone says with a voice, as values. Which words that takes is not decided here.

use config::codes::StarCode;

use crate::maintenance::Maintenance;
use crate::note::DialError;
use crate::set_up::Prompt;

/// Something said into the handset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Announcement {
    /// The number of the first account, and whether it is registered.
    OwnNumber,
    /// The phone's IP address.
    OwnAddress,
    /// How well the last call was heard.
    LastQuality,
    /// A number that is about to be dialled.
    Number(String),
    /// A setting was made by star code; the number that belongs to it, or nothing.
    Set(StarCode, String),
    /// What was asked of the appliance is carried out.
    Maintenance(Maintenance),
    /// What was dialled is not called.
    NotDialled(DialError),
    /// A placed call failed with this status code, or without one.
    Failed(Option<u16>),
    /// Something is wrong with the configuration.
    Fault(u8),
    /// A question of the set-up by keypad.
    SetUp(Prompt),
}
