//! The local socket users, scripts and tests drive the phone by: one JSON object a line, in
//! both directions.
//!
//! ```text
//! offhook ctl VERB ─▶ client ═ unix socket, 0600 ═▶ server ─▶ CtlRequest (mpsc) ─▶ driver ─▶ Control
//!                                                    ▲                          │
//!                                                    └── reply (oneshot), event lines (bounded; slow readers are dropped)
//! ```

pub mod client;
mod server;

pub use control::api::{ProtocolError, Request, parse};
pub(crate) use server::{CtlRequest, Reply, Server, bind, event_lines};

/// Longest request line in bytes.
pub const MAX_LINE: usize = 4096;
