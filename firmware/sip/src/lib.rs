//! The SIP user agent: messages, transactions, dialogs, registration. Sans-IO: bytes and time come
//! in, bytes and events go out.
//!
//! ```text
//! datagram / stream bytes ─▶ message ─▶ transaction ─▶ dialog, invite, registration ─▶ agent ─▶ Event
//!                  commands (invite, answer, end …) ─▶ agent ─▶ … ─▶ Transmit
//! ```

mod admission;
pub mod agent;
mod api;
mod connections;
mod dialog;
pub mod digest;
mod fingerprint;
mod flow;
mod ids;
mod incoming;
mod invite;
mod keepalive;
mod locate;
pub mod message;
pub mod offer_answer;
mod outgoing;
pub mod privacy;
mod registration;
pub mod sdes;
mod sdp;
pub mod stream;
mod timer;
mod token;
mod transaction;
mod wire;

pub use admission::{AllowedCaller, DirectCallers};
pub use agent::{
    AccountConfig, AccountId, AgentConfig, CallHandle, ConnectionId, EndReason, EndedBy, Event,
    Flow, Lookup, LookupId, Target, Transmit, Transport, UserAgent,
};
pub use connections::host_of;
