//! The message layer as its users see it: real and hostile bytes in, messages and answers out.
//!
//! ```text
//! torture, corpus, flows   data beside the repository (OFFHOOK_DATA)
//! hostile                  random and mutated bytes, text that tries to break out of its header
//! everyday                 valid messages, read by rsip too: what it can read we read alike
//! digest, values           vectors; addresses, Via and headers one by one
//! ```
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod corpus;
mod digest;
mod everyday;
mod everyday_table;
mod hostile;
mod reader;
mod torture;
mod values;
