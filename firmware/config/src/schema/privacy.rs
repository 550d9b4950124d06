//! `[privacy]`: how much encryption is wanted, and of which kind.

use types::SrtpSuite;

/// How much encryption is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PrivacyMode {
    /// None.
    Off,
    /// Where the far end can.
    Preferred,
    /// A call in clear is no call.
    Required,
}

/// How keys are agreed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Keying {
    /// In the session description, under the protection of TLS (RFC 4568).
    Sdes,
    /// By a handshake on the media path (RFC 5763).
    Dtls,
}

/// `[privacy]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Privacy {
    /// For every call; `None`: preferred where the signalling is encrypted, off where it is not.
    pub mode: Option<PrivacyMode>,
    /// Best first.
    pub keying: Vec<Keying>,
    /// Cipher suites for SDES, best first.
    pub suites: Vec<SrtpSuite>,
    /// SDES keys may travel by signalling in clear, where anybody on the way can read them.
    pub sdes_over_clear: bool,
    /// Suites with a tag of 32 bits are offered, and taken where a peer offers nothing else.
    pub hmac_32: bool,
}

impl PrivacyMode {
    /// The mode of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "off" => Some(Self::Off),
            "preferred" => Some(Self::Preferred),
            "required" => Some(Self::Required),
            _ => None,
        }
    }
}

impl Keying {
    /// The keying of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "sdes" => Some(Self::Sdes),
            "dtls" => Some(Self::Dtls),
            _ => None,
        }
    }
}
