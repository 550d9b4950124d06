//! Session keys from a master key (RFC 3711 section 4.3.1, RFC 6188 section 3, RFC 7714 section
//! 11), key derivation rate 0.
//!
//! ```text
//! master salt ⊕ label ─▶ AES-CM keyed with the master key ─▶ cipher key, authentication key, salt
//! ```

use aes::cipher::KeyInit;
use aes::{Aes128Enc, Aes256Enc};
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::cipher::keystream;
use super::keys::{MAX_KEY, MAX_SALT, MasterKey};

/// Length of an HMAC-SHA1 key.
pub(super) const AUTH_KEY: usize = 20;

/// Which packets a session's keys are for: RTP and RTCP never share any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Channel {
    /// Labels 0 to 2.
    Rtp,
    /// Labels 3 to 5.
    Rtcp,
}

impl Channel {
    fn first_label(self) -> u8 {
        match self {
            Channel::Rtp => 0,
            Channel::Rtcp => 3,
        }
    }
}

/// The keys of one channel and direction. Lengths beyond the suite's stay zero.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(super) struct SessionKeys {
    pub(super) cipher: [u8; MAX_KEY],
    pub(super) auth: [u8; AUTH_KEY],
    pub(super) salt: [u8; MAX_SALT],
}

impl SessionKeys {
    pub(super) fn derive(master: &MasterKey, channel: Channel) -> Self {
        let mut keys = Self {
            cipher: [0; MAX_KEY],
            auth: [0; AUTH_KEY],
            salt: [0; MAX_SALT],
        };
        let (suite, first) = (master.suite(), channel.first_label());
        pseudo_random(master, first, &mut keys.cipher[..suite.key_len()]);
        pseudo_random(master, first + 1, &mut keys.auth);
        pseudo_random(master, first + 2, &mut keys.salt[..suite.salt_len()]);
        keys
    }
}

/// AES-CM as a pseudo-random function. A salt of 12 bytes (GCM) is filled up with zeros on the
/// right.
fn pseudo_random(master: &MasterKey, label: u8, out: &mut [u8]) {
    let mut iv = [0; 16];
    iv[..MAX_SALT].copy_from_slice(master.salt());
    // The label stands before a 48-bit index that is always zero, right-aligned in 112 bits.
    iv[7] ^= label;
    out.fill(0);
    if let Some(key) = master.key().first_chunk::<32>() {
        keystream(&Aes256Enc::new(key.into()), &iv, out);
    } else if let Some(key) = master.key().first_chunk::<16>() {
        keystream(&Aes128Enc::new(key.into()), &iv, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::srtp::test_vectors::{hex, vector};
    use types::SrtpSuite;

    #[test]
    fn rfc_3711_appendix_b_3() {
        let Some(v) = vector("kdf::rfc_3711_appendix_b_3", "rfc3711-B.3-key-derivation") else {
            return;
        };
        let bytes = |name: &str| hex(v[name].as_str().unwrap());
        let master = MasterKey::new(
            SrtpSuite::AesCm128HmacSha1_80,
            &bytes("master_key"),
            &bytes("master_salt"),
            &[],
        )
        .unwrap();
        let keys = SessionKeys::derive(&master, Channel::Rtp);
        assert_eq!(keys.cipher[..16], bytes("cipher_key"));
        assert_eq!(keys.auth[..], bytes("auth_key"));
        assert_eq!(keys.salt[..], bytes("cipher_salt"));
    }

    /// RFC 6188 section 7.2 has the master key of 7.1's cipher example and these derived keys.
    #[test]
    fn rfc_6188_section_7_2() {
        let master = MasterKey::new(
            SrtpSuite::AesCm256HmacSha1_80,
            &hex("f0f04914b513f2763a1b1fa130f10e2998f6f6e43e4309d1e622a0e332b9f1b6"),
            &hex("3b04803de51ee7c96423ab5b78d2"),
            &[],
        )
        .unwrap();
        let keys = SessionKeys::derive(&master, Channel::Rtp);
        assert_eq!(
            keys.cipher[..],
            hex("5ba1064e30ec51613cad926c5a28ef731ec7fb397f70a960653caf06554cd8c4")
        );
        assert_eq!(keys.salt[..], hex("fa31791685ca444a9e07c6c64e93"));
        assert_eq!(
            keys.auth[..],
            hex("fd9c32d39ed5fbb5a9dc96b30818454d1313dc05")
        );
    }

    #[test]
    fn each_purpose_has_a_key_of_its_own() {
        let master = MasterKey::new(SrtpSuite::AeadAes256Gcm, &[7; 32], &[9; 12], &[]).unwrap();
        let (rtp, rtcp) = (
            SessionKeys::derive(&master, Channel::Rtp),
            SessionKeys::derive(&master, Channel::Rtcp),
        );
        assert_ne!(rtp.cipher, rtcp.cipher);
        assert_ne!(rtp.auth, rtcp.auth);
        assert_ne!(rtp.salt, rtcp.salt);
        assert_ne!(rtp.cipher[..20], rtp.auth);
        assert_eq!(rtp.salt[12..], [0, 0], "beyond the suite's length");
    }
}
