//! Calls that become other calls.
//!
//! ```text
//! refer      REFER of the far end (RFC 3515, 3892, 4488), and what its sender learns (RFC 6665)
//! replaces   an INVITE in the place of a call (RFC 3891)
//! orders     transfers whose last messages come in another order
//! sent       transfers of this phone's own (RFC 5589)
//! failed     those that fail: who is still there comes back
//! ```
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod failed;
mod orders;
mod refer;
mod replaces;
mod sent;
#[path = "../world/mod.rs"]
mod world;

/// Who is called in the peer's place.
const CAROL: &str = "192.0.2.8:5060";
