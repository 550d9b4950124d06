//! What is asked of the appliance, not of the phone.

/// What keys ask of the appliance around the phone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Maintenance {
    /// Walk through speaker, microphone, keys, hook, lamps, bell and network.
    SelfTest,
    /// Write the support bundle.
    Bundle,
    /// Write the history of calls to the card.
    HistoryToCard,
    /// Restart the board.
    Reboot,
    /// Erase every setting, password and history.
    FactoryReset,
}
