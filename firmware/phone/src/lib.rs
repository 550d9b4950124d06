//! Call control: what hook, keys, lines and tones do together. A pure state machine.
//!
//! ```text
//! hook, keys, rotary digits ─┐                      ┌─▶ tone, ringer, lamps, what the ear hears
//! registration, call events ─┼─▶ Phone (one state) ─┤
//! timers (handle_timeout)  ──┘                      └─▶ place, answer, reject, hold, end, DTMF
//!
//! keys ─▶ dialling (emergency, speed dial, digit_map) ─▶ number ─▶ route (which account, or directly) ─▶ Place
//! ```

mod call;
mod dialling;
pub mod digit_map;
mod input;
mod output;
pub mod phone;
mod route;

pub use call::CallState;
pub use input::{AccountId, Alert, CallId, CallUpdate, Encryption, EndCause, Input};
pub use output::{Destination, Order, Output, RingStyle, State, Tone};
pub use phone::Phone;
pub use types::{Key, Lamp, LampState};
