//! What hook, keys and dial do.

use crate::FunctionKey;

/// What the hardware saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BoardEvent {
    /// Handset lifted (true) or put down (false), debounced; sent once at start.
    Hook(bool),
    /// A key went down: `0`–`9`, `*`, `#`, `A`–`D`.
    KeyDown(char),
    /// A key came up.
    KeyUp(char),
    /// The flash key was pressed.
    FlashKey,
    /// The rotary dial finished a digit, `0`–`9`.
    Rotary(char),
    /// A key beside the keypad was pressed.
    Function(FunctionKey),
}
