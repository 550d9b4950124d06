//! The hardware: one trait a device, each with a Linux and a simulated implementation. Knows nothing of SIP or calls.
//!
//! ```text
//! GPIO edges, key levels, timestamps ─▶ pure decoders (hook, keypad, rotary) ─▶ BoardEvent
//! LampPattern, RingPattern ─▶ pure sequencers ─▶ GPIO lines
//! ALSA / WAV ◀─▶ AudioDevice
//! ```

pub mod audio;

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
}
