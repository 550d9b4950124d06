//! Call control: what hook, keys, lines and tones do together. A pure state machine.
//!
//! ```text
//! hook, keys, rotary digits ─┐                      ┌─▶ tone, ringer, lamps, what the ear hears
//! registration, call events ─┼─▶ Phone (one state) ─┤
//! timers (handle_timeout)  ──┘                      └─▶ place, answer, reject, hold, end, DTMF
//! ```

pub mod phone;

pub use phone::{
    AccountId, Alert, CallId, CallUpdate, Destination, EndCause, Input, Key, Lamp, LampState, Output, Phone, RingStyle, State, Tone,
};
