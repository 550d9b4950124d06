//! SRTP and SRTCP (RFC 3711, 6188, 7714): packets are protected and unprotected in place, without allocation.
//!
//! ```text
//! MasterKey ─▶ session keys (kdf) ─▶ packet to send ─▶ cipher ─▶ tag, MKI ─▶ wire
//!                                └─▶ packet of the far end ─▶ index, replay window ─▶ tag ─▶ cipher ─▶ RTP
//! ```

mod keys;

pub use keys::{Encryption, KeyError, MAX_MKI, MasterKey, Protection, SrtpStats, Suite};
