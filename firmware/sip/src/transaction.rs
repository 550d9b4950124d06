//! Transactions (RFC 3261 section 17): pure state machines, and the tables they live in.
//!
//! ```text
//! bytes ─▶ message ─▶ table (which transaction?) ─▶ client | server (what now?) ─▶ outgoing, incoming
//! ```

pub(crate) mod client;
pub(crate) mod server;
pub(crate) mod table;
mod timers;
