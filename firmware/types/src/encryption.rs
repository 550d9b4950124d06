//! How much encryption a call is to have, and how its keys are agreed on.

/// How much encryption is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum EncryptionPolicy {
    /// None: encryption is neither offered nor accepted.
    #[default]
    Off,
    /// Where the far end can; where it cannot, the call continues unencrypted and its user is
    /// warned.
    Preferred,
    /// No packet leaves unencrypted; a call that cannot be encrypted is not established.
    Required,
}

/// How the two ends come to a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Keying {
    /// In the session description, under the protection of TLS (RFC 4568).
    Sdes,
    /// By a DTLS handshake on the media path (RFC 5763, 5764).
    Dtls,
}

impl EncryptionPolicy {
    /// All of them, the strictest last.
    pub const ALL: [Self; 3] = [Self::Off, Self::Preferred, Self::Required];

    /// Its name in `offhook.toml`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Preferred => "preferred",
            Self::Required => "required",
        }
    }

    /// The policy of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|policy| policy.as_str() == name)
    }
}

impl Keying {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::Sdes, Self::Dtls];

    /// Its name in `offhook.toml`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sdes => "sdes",
            Self::Dtls => "dtls",
        }
    }

    /// The keying of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|keying| keying.as_str() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_back_to_its_value() {
        for policy in EncryptionPolicy::ALL {
            assert_eq!(EncryptionPolicy::from_name(policy.as_str()), Some(policy));
        }
        for keying in Keying::ALL {
            assert_eq!(Keying::from_name(keying.as_str()), Some(keying));
        }
        assert_eq!(EncryptionPolicy::from_name("maybe"), None);
        assert!(EncryptionPolicy::Off < EncryptionPolicy::Required);
    }
}
