//! `[encryption]`: how much encryption is wanted, and of which kind.

use types::{EncryptionPolicy, Keying, SrtpSuite};

/// `[encryption]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encryption {
    /// For every call; `None`: preferred where the signalling is encrypted, off where it is not.
    pub mode: Option<EncryptionPolicy>,
    /// Best first.
    pub keying: Vec<Keying>,
    /// Cipher suites for SDES, best first.
    pub suites: Vec<SrtpSuite>,
    /// SDES keys may travel in unencrypted signalling, where anyone on the path can read them.
    pub sdes_over_clear: bool,
    /// Suites with a tag of 32 bits are offered, and taken where a peer offers nothing else.
    pub hmac_32: bool,
    /// Emergency calls go in clear where the far end takes nothing else, whatever `mode` says.
    pub emergency_clear: bool,
}
