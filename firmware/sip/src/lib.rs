//! The SIP user agent: messages, transactions, dialogs, registration. Sans-IO: bytes and time come in, bytes and events go out.
//!
//! ```text
//! datagram / stream bytes ─▶ message ─▶ transaction ─▶ dialog, invite, registration ─▶ agent ─▶ Event
//!                  commands (invite, answer, end …) ─▶ agent ─▶ … ─▶ Transmit
//! ```

pub mod agent;
pub mod digest;
pub mod message;
pub mod offer_answer;
pub mod stream;
mod sdp;
mod timer;
mod transaction;

pub use agent::{
    AccountConfig, AccountId, AgentConfig, Call, ConnectionId, EndedBy, Event, Flow, Lookup, LookupId, Target, Transmit, Transport,
    UserAgent,
};
