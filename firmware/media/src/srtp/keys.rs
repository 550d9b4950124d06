//! What the owner gives and what is reported to it: suites, master keys, a stream's protection, and
//! what was measured.
//!
//! Key material is overwritten when a [`MasterKey`] goes, compared in constant time, and never
//! shown by `Debug`.

use std::fmt;

use subtle::ConstantTimeEq;
use types::SrtpSuite;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Longest master key of any suite, in bytes.
pub(super) const MAX_KEY: usize = 32;
/// Longest master salt of any suite, in bytes.
pub(super) const MAX_SALT: usize = 14;
/// Longest master key identifier, in bytes (RFC 4568 section 6.1).
pub const MAX_MKI: usize = 128;

/// Why key material was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The key has another length than its suite wants.
    #[error("a master key of {found} bytes, {suite} needs \
             {wanted}", suite = suite.as_str(), wanted = suite.key_len())]
    Key {
        /// The suite.
        suite: SrtpSuite,
        /// Bytes given.
        found: usize,
    },
    /// The salt has another length than its suite wants.
    #[error("a master salt of {found} bytes, {suite} needs \
             {wanted}", suite = suite.as_str(), wanted = suite.salt_len())]
    Salt {
        /// The suite.
        suite: SrtpSuite,
        /// Bytes given.
        found: usize,
    },
    /// The master key identifier is too long.
    #[error(
        "a master key identifier of {0} bytes, at most {MAX_MKI} are allowed (RFC 4568 section 6.1)"
    )]
    Mki(usize),
}

/// A master key with its salt: what signalling or DTLS agreed on for one direction.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct MasterKey {
    #[zeroize(skip)]
    suite: SrtpSuite,
    key: [u8; MAX_KEY],
    salt: [u8; MAX_SALT],
    mki: [u8; MAX_MKI],
    mki_len: u8,
}

impl MasterKey {
    /// Takes key material. An empty `mki`: packets carry none.
    ///
    /// # Errors
    /// [`KeyError`] where a length is not the suite's.
    pub fn new(suite: SrtpSuite, key: &[u8], salt: &[u8], mki: &[u8]) -> Result<Self, KeyError> {
        if key.len() != suite.key_len() {
            return Err(KeyError::Key {
                suite,
                found: key.len(),
            });
        }
        if salt.len() != suite.salt_len() {
            return Err(KeyError::Salt {
                suite,
                found: salt.len(),
            });
        }
        if mki.len() > MAX_MKI {
            return Err(KeyError::Mki(mki.len()));
        }
        let mut master = Self {
            suite,
            key: [0; MAX_KEY],
            salt: [0; MAX_SALT],
            mki: [0; MAX_MKI],
            mki_len: mki.len() as u8,
        };
        master.key[..key.len()].copy_from_slice(key);
        master.salt[..salt.len()].copy_from_slice(salt);
        master.mki[..mki.len()].copy_from_slice(mki);
        Ok(master)
    }

    /// Its suite.
    pub fn suite(&self) -> SrtpSuite {
        self.suite
    }

    pub(super) fn key(&self) -> &[u8] {
        &self.key[..self.suite.key_len()]
    }

    /// Its salt, filled up with zeros on the right where the suite's is shorter.
    pub(super) fn salt(&self) -> &[u8; MAX_SALT] {
        &self.salt
    }

    /// Its identifier in packets; empty: none.
    pub fn mki(&self) -> &[u8] {
        &self.mki[..usize::from(self.mki_len)]
    }
}

impl PartialEq for MasterKey {
    fn eq(&self, other: &Self) -> bool {
        let same = self.key.ct_eq(&other.key)
            & self.salt.ct_eq(&other.salt)
            & self.mki().ct_eq(other.mki());
        self.suite == other.suite && bool::from(same)
    }
}

impl Eq for MasterKey {}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MasterKey({})", self.suite.as_str())
    }
}

/// How a stream's packets are protected.
#[expect(
    clippy::large_enum_variant,
    reason = "one a stream; a box would leave keys in one place more"
)]
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Protection {
    /// Not at all: RTP and RTCP in clear.
    #[default]
    Clear,
    /// Keys are being agreed on (DTLS): nothing leaves, and every RTP and RTCP packet that comes is
    /// dropped and counted.
    Waiting,
    /// SRTP and SRTCP, nothing else.
    Srtp {
        /// What we protect with.
        send: MasterKey,
        /// What the far end protects with; of the same suite.
        receive: MasterKey,
    },
}

/// What a stream's protection counted since its start, RTP and RTCP together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SrtpStats {
    /// Packets protected and put on their way.
    pub protected_sent: u64,
    /// Packets of the far end that were authentic and new.
    pub protected_received: u64,
    /// Packets dropped because their tag (or MKI) was wrong.
    pub auth_failed: u64,
    /// Packets dropped because they came before, or are too old to be known.
    pub replayed: u64,
    /// Packets dropped because they came in clear, as far as that can be known: while keys are
    /// awaited every one counts; with keys those that are whole clear packets by their form (an
    /// SRTP packet with a wrong tag may rarely look like one).
    pub clear_dropped: u64,
    /// Packets not sent because the key has protected as many as it may (RFC 3711 section 9.2).
    pub key_exhausted: u64,
}

/// What the engine measured of a stream's encryption, whatever was negotiated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Encryption {
    /// None: packets go in clear.
    #[default]
    None,
    /// Nothing goes: keys are being agreed on.
    Waiting,
    /// Nothing goes in clear, but not both directions were seen to work within the last seconds.
    Partial,
    /// Within the last seconds packets were protected and sent, and authentic packets came.
    Full(SrtpSuite),
}

impl Encryption {
    /// The word for `status` and events: `none`, `waiting`, `partial`, or the suite's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Encryption::None => "none",
            Encryption::Waiting => "waiting",
            Encryption::Partial => "partial",
            Encryption::Full(suite) => suite.as_str(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_the_suites() {
        for suite in SrtpSuite::ALL {
            let (key, salt) = (vec![1; suite.key_len()], vec![2; suite.salt_len()]);
            assert!(MasterKey::new(suite, &key, &salt, &[]).is_ok());
            assert_eq!(
                MasterKey::new(suite, &key[1..], &salt, &[]),
                Err(KeyError::Key {
                    suite,
                    found: key.len() - 1
                })
            );
            assert_eq!(
                MasterKey::new(suite, &key, &salt[1..], &[]),
                Err(KeyError::Salt {
                    suite,
                    found: salt.len() - 1
                })
            );
            assert_eq!(
                MasterKey::new(suite, &key, &salt, &[0; 129]),
                Err(KeyError::Mki(129))
            );
        }
    }

    #[test]
    fn keys_are_equal_when_all_of_them_is() {
        let suite = SrtpSuite::AesCm128HmacSha1_80;
        let of = |suite, key: u8, salt: u8, mki: &[u8]| {
            MasterKey::new(suite, &[key; 16], &[salt; 14], mki).unwrap()
        };
        let one = of(suite, 1, 2, &[3]);
        assert_eq!(one, one.clone());
        for other in [
            of(suite, 9, 2, &[3]),
            of(suite, 1, 9, &[3]),
            of(suite, 1, 2, &[9]),
            of(suite, 1, 2, &[]),
            of(suite, 1, 2, &[3, 0]),
            of(SrtpSuite::AesCm128HmacSha1_32, 1, 2, &[3]),
        ] {
            assert_ne!(one, other);
        }
    }

    #[test]
    fn no_key_is_ever_shown() {
        let key =
            MasterKey::new(SrtpSuite::AeadAes128Gcm, &[0xAB; 16], &[0xCD; 12], &[0xEF]).unwrap();
        let both = Protection::Srtp {
            send: key.clone(),
            receive: key.clone(),
        };
        assert_eq!(format!("{key:?}"), "MasterKey(AEAD_AES_128_GCM)");
        for text in [format!("{both:?}"), format!("{both:#?}")] {
            for secret in ["171", "205", "239", "ab", "AB", "cd", "CD"] {
                assert!(!text.contains(secret), "{text}");
            }
        }
    }

    #[test]
    fn what_is_overwritten_is_gone() {
        let mut key = MasterKey::new(
            SrtpSuite::AesCm256HmacSha1_80,
            &[0xAB; 32],
            &[0xCD; 14],
            &[0xEF; 4],
        )
        .unwrap();
        key.zeroize();
        assert_eq!((key.key, key.salt, key.mki_len), ([0; 32], [0; 14], 0));
    }
}
