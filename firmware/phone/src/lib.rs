//! Call control: what hook, keys, accounts and tones do together. A pure state machine: no clock,
//! no thread, no I/O.
//!
//! ```text
//! hook, keys, rotary digits ─┐                      ┌─▶ tone, ringer, lamps, connected calls
//! registration, call events ─┼─▶ Phone (one state) ─┤
//! timers (handle_timeout)  ──┘                      └─▶ place, answer, reject, hold, end, DTMF
//!
//! keys ─▶ dial_plan (emergency, star codes, speed dial, digit map) ─▶ number ─▶ route (account, or directly) ─▶ PlaceCall
//! ```
//!
//! The owner feeds inputs and timers, each with its own time, and drains the outputs after each:
//!
//! ```
//! use std::time::{Duration, Instant};
//! use phone::{AccountId, CallUpdate, Input, Key, Output, Phone, State};
//!
//! let config = config::load(
//!     "[[account]]\nuser = \"101\"\ndomain = \"pbx.example.net\"\n[dial]\ndigit_map = \"xxx\"\n",
//!     "offhook.toml",
//! )?;
//! let mut phone = Phone::new(&config);
//! let mut now = Instant::now(); // virtual time: it moves only where this example moves it
//! let drain = |phone: &mut Phone| -> Vec<Output> {
//!     std::iter::from_fn(|| phone.poll_output()).collect()
//! };
//!
//! let account = AccountId(0);
//! phone.handle(Input::AccountStatus { account, usable: true }, now);
//! phone.handle(Input::Hook(true), now);
//! assert_eq!(phone.state(), State::DialTone);
//!
//! let mut placed = None;
//! for digit in [2, 0, 1] {
//!     now += Duration::from_millis(100);
//!     phone.handle(Input::KeyDown(Key::Digit(digit)), now);
//!     phone.handle(Input::KeyUp(Key::Digit(digit)), now);
//!     for output in drain(&mut phone) {
//!         if let Output::PlaceCall { call, to } = output {
//!             placed = Some((call, to.address));
//!         }
//!     }
//! }
//! let (call, address) = placed.ok_or("three digits complete the digit map")?;
//! assert_eq!((address.as_str(), phone.state()), ("201", State::Calling));
//!
//! phone.handle(Input::Call(call, CallUpdate::Answered), now);
//! assert_eq!(phone.state(), State::Talking);
//! assert!(drain(&mut phone).contains(&Output::Connect(vec![call])));
//!
//! // Hanging up: the hook switch may still mean a flash, until its window has passed.
//! phone.handle(Input::Hook(false), now);
//! while let Some(at) = phone.poll_timeout() {
//!     now = at;
//!     phone.handle_timeout(now);
//! }
//! assert_eq!(phone.state(), State::Idle);
//! assert!(drain(&mut phone).contains(&Output::End(call)));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod announcement;
mod call;
mod dial_plan;
mod features;
mod forwarding;
mod input;
mod maintenance;
mod note;
mod output;
mod phone;
mod route;
mod screening;
mod set_up;
mod state;
mod volume;

pub use announcement::Announcement;
pub use call::CallState;
pub use config::codes::StarCode;
pub use features::Features;
pub use input::{
    AccountId, Alert, CallId, CallUpdate, Caller, Encryption, EndCause, Input, PickUp,
};
pub use maintenance::Maintenance;
pub use note::{BarredNumber, DialError, Note, Refusal, RouteError, TransferRefusal};
pub use output::{CallOptions, Destination, Output, RingStyle, Tone};
pub use phone::{LastCaller, Phone};
pub use set_up::{NetworkAnswer, Prompt, Question, SetUpAnswers};
pub use state::State;
pub use types::{FunctionKey, Key, Lamp, LampState};
pub use volume::{Levels, VolumeOf, Volumes};
