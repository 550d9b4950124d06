//! Who may listen: what this phone wants of a call's encryption, and what was agreed about it.
//!
//! ```text
//! MediaSecurity (policy, keying, suites) ─┐
//! offer or answer ──────────────────────┼─▶ offer_answer ─▶ Protection (with its keys), WhyClear
//! secure signalling? ───────────────────┘
//! ```
//!
//! The rules are only here: the owner says what is wanted, and learns what was agreed.

pub(crate) mod offer_memory;
pub(crate) mod table;

use types::{EncryptionPolicy, Keying, SrtpSuite};

use crate::sdes::SdesKey;

/// A hash good enough for a fingerprint (RFC 8122 without MD5, SHA-1 and SHA-224).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HashName {
    /// 32 bytes.
    Sha256,
    /// 48 bytes.
    Sha384,
    /// 64 bytes.
    Sha512,
}

impl HashName {
    /// As `a=fingerprint` names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha-256",
            Self::Sha384 => "sha-384",
            Self::Sha512 => "sha-512",
        }
    }

    /// The hash of this name, in any case; weak ones are none.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Sha256, Self::Sha384, Self::Sha512]
            .into_iter()
            .find(|hash| hash.name().eq_ignore_ascii_case(name))
    }

    /// Its length in bytes.
    #[expect(clippy::len_without_is_empty, reason = "no hash is empty")]
    pub fn len(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }
}

/// Fingerprint of a DTLS certificate.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Fingerprint {
    /// By which hash.
    pub hash: HashName,
    /// The hash of the certificate in DER; as long as the hash is.
    pub bytes: Vec<u8>,
}

impl std::fmt::Display for Fingerprint {
    /// `sha-256 AB:CD:…`
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ", self.hash.name())?;
        for (index, byte) in self.bytes.iter().enumerate() {
            write!(f, "{}{byte:02X}", if index == 0 { "" } else { ":" })?;
        }
        Ok(())
    }
}

/// What this phone wants of a call's encryption.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaSecurity {
    /// What is wanted where the signalling is encrypted.
    pub policy: EncryptionPolicy,
    /// What is wanted where the signalling is in clear.
    pub policy_over_clear: EncryptionPolicy,
    /// How keys may be agreed, best first.
    pub keying: Vec<Keying>,
    /// Cipher suites for SDES, best first.
    pub suites: Vec<SrtpSuite>,
    /// SDES keys may travel in clear, where everybody on the way can read them and with them the
    /// call. Loud.
    pub sdes_over_clear: bool,
    /// The suites with a short tag (`_32`) may be used where a peer offers nothing else.
    pub hmac_32: bool,
    /// This phone's DTLS certificate; without it there is no DTLS.
    pub fingerprint: Option<Fingerprint>,
}

impl MediaSecurity {
    /// Every suite this phone takes, best first: those with a short tag only where the policy lets
    /// them, and after all others.
    pub(crate) fn acceptable_suites(&self) -> Vec<SrtpSuite> {
        let mut suites: Vec<SrtpSuite> = Vec::new();
        let long = self.suites.iter().filter(|suite| !suite.short_tag());
        let short = [
            SrtpSuite::AesCm128HmacSha1_32,
            SrtpSuite::AesCm256HmacSha1_32,
        ];
        for suite in long.chain(short.iter().filter(|_| self.hmac_32)) {
            if !suites.contains(suite) {
                suites.push(*suite);
            }
        }
        suites
    }

    /// The same, but clear where encryption is required and cannot be had: for a call that must go
    /// through.
    #[must_use]
    pub fn or_clear(mut self) -> Self {
        for policy in [&mut self.policy, &mut self.policy_over_clear] {
            if *policy == EncryptionPolicy::Required {
                *policy = EncryptionPolicy::Preferred;
            }
        }
        self
    }

    /// What is wanted on a leg whose signalling is secure or not.
    pub fn policy_on(&self, secure: bool) -> EncryptionPolicy {
        if secure {
            self.policy
        } else {
            self.policy_over_clear
        }
    }
}

impl Default for MediaSecurity {
    fn default() -> Self {
        Self {
            policy: EncryptionPolicy::Preferred,
            policy_over_clear: EncryptionPolicy::Off,
            keying: vec![Keying::Sdes, Keying::Dtls],
            suites: vec![
                SrtpSuite::AeadAes256Gcm,
                SrtpSuite::AeadAes128Gcm,
                SrtpSuite::AesCm256HmacSha1_80,
                SrtpSuite::AesCm128HmacSha1_80,
            ],
            sdes_over_clear: false,
            hmac_32: false,
            fingerprint: None,
        }
    }
}

/// Which end of the DTLS handshake is ours (RFC 4145, 5763).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Setup {
    /// We send the `ClientHello`.
    Active,
    /// We wait for it.
    Passive,
}

/// How the media of a call is protected.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Protection {
    /// Not at all.
    #[default]
    Clear,
    /// With keys from the session descriptions.
    Sdes {
        /// For what we send.
        send: SdesKey,
        /// For what the far end sends.
        receive: SdesKey,
    },
    /// With keys from a DTLS handshake that is still to come.
    Dtls {
        /// Our role in it.
        setup: Setup,
        /// The far end's certificate must have one of these.
        fingerprints: Vec<Fingerprint>,
    },
}

/// Why a call that was to be encrypted is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum WhyClear {
    /// Neither keys nor a fingerprint came with the offer.
    #[error("the far end did not offer encryption")]
    NotOffered,
    /// Our offer of encryption was answered without.
    #[error("the far end did not take up the encryption offered")]
    NotTaken,
    /// Keys came, but in clear: they are worth nothing.
    #[error("the far end's keys came by signalling in clear")]
    KeysInClear,
    /// Keys or fingerprints came of no kind this phone takes.
    #[error("the far end offered no encryption this phone takes")]
    NothingInCommon,
    /// The far end refused every encrypted offer.
    #[error("the far end refused the encrypted offer")]
    Refused,
    /// This phone has no way to agree on keys with this peer.
    #[error("no way to agree on keys: SDES needs signalling by TLS, DTLS a certificate")]
    NoKeying,
}
