//! The bodies of event packages: what a NOTIFY reports, as values.
//!
//! ```text
//! dialog-info+xml (RFC 4235) ─▶ DialogInfo, WatchedState      CallSummary ─▶ dialog-info+xml
//! simple-message-summary (RFC 3842) ─▶ MessageSummary         reginfo+xml (RFC 3680) ─▶ RegInfo
//! ```

mod dialog_info;
mod message_summary;
mod reg_info;
mod xml;

pub use dialog_info::WatchedState;
pub(crate) use dialog_info::{
    CallSide, CallSummary, DialogInfo, DialogStage, DialogTable, RingingDialog, TableStep, document,
};
pub use message_summary::MessageSummary;
pub(crate) use reg_info::{ContactState, RegInfo};
