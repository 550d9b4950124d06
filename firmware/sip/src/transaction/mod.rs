//! Transactions (RFC 3261 section 17).

pub(crate) mod client;
pub(crate) mod server;
