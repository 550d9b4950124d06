//! The two families of transforms, keyed once and used for every packet: nothing is expanded,
//! hashed or allocated twice.
//!
//! ```text
//! Cm:  iv ─▶ AES counter mode ⊕ payload;  HMAC-SHA1(packet, roc or index), cut
//! Gcm: iv, header as associated data ─▶ AES-GCM: payload and tag in one
//! ```

use aes::cipher::{BlockCipherEncrypt, BlockSizeUser, InnerIvInit, KeyInit, StreamCipherCore};
use aes::{Aes128Enc, Aes256Enc};
use aes_gcm::aead::AeadInOut;
use aes_gcm::aead::consts::{U12, U16};
use aes_gcm::{AesGcm, Tag};
use ctr::CtrCore;
use ctr::flavors::Ctr32BE;
use hmac::{Hmac, Mac};
use sha1::Sha1;
use subtle::ConstantTimeEq;
use types::SrtpSuite;
use zeroize::Zeroize;

use super::kdf::{Channel, SessionKeys};
use super::keys::{MAX_SALT, MasterKey};

/// A whole HMAC-SHA1.
pub(super) const MAC_LEN: usize = 20;
/// A whole GCM tag; SRTP never cuts it (RFC 7714 section 13.1).
pub(super) const GCM_TAG: usize = 16;

/// Adds AES-CM key stream. The counter is the last 16 bits of `iv`, which begin at zero: no packet
/// reaches its end.
pub(super) fn keystream<A: BlockCipherEncrypt + BlockSizeUser<BlockSize = U16>>(
    aes: &A,
    iv: &[u8; 16],
    data: &mut [u8],
) {
    CtrCore::<&A, Ctr32BE>::inner_iv_init(aes, iv.into()).apply_keystream_partial(data.into());
}

enum Aes {
    Aes128(Aes128Enc),
    Aes256(Aes256Enc),
}

/// Counter mode with HMAC-SHA1.
pub(super) struct Cm {
    aes: Aes,
    /// Keyed: inner and outer pad are hashed already.
    mac: Hmac<Sha1>,
}

impl Cm {
    /// Encrypts or decrypts.
    pub(super) fn apply(&self, iv: &[u8; 16], data: &mut [u8]) {
        match &self.aes {
            Aes::Aes128(aes) => keystream(aes, iv, data),
            Aes::Aes256(aes) => keystream(aes, iv, data),
        }
    }

    /// Authenticates `packet` followed by `tail`.
    pub(super) fn mac(&self, packet: &[u8], tail: &[u8]) -> [u8; MAC_LEN] {
        let mut mac = self.mac.clone();
        mac.update(packet);
        mac.update(tail);
        mac.finalize().into_bytes().into()
    }

    /// Whether `tag` is theirs; in constant time.
    pub(super) fn verify(&self, packet: &[u8], tail: &[u8], tag: &[u8]) -> bool {
        !tag.is_empty()
            && tag.len() <= MAC_LEN
            && bool::from(self.mac(packet, tail)[..tag.len()].ct_eq(tag))
    }
}

/// Galois/counter mode.
pub(super) enum Gcm {
    Aes128(AesGcm<Aes128Enc, U12>),
    Aes256(AesGcm<Aes256Enc, U12>),
}

impl Gcm {
    /// Encrypts in place; the tag. `None` only beyond 64 GiB.
    pub(super) fn seal(
        &self,
        nonce: [u8; 12],
        header: &[u8],
        data: &mut [u8],
    ) -> Option<[u8; GCM_TAG]> {
        match self {
            Gcm::Aes128(gcm) => gcm.encrypt_inout_detached(&nonce.into(), header, data.into()),
            Gcm::Aes256(gcm) => gcm.encrypt_inout_detached(&nonce.into(), header, data.into()),
        }
        .ok()
        .map(Into::into)
    }

    /// Decrypts in place if the tag is right (compared in constant time); otherwise `data` stays as
    /// it is.
    pub(super) fn open(
        &self,
        nonce: [u8; 12],
        header: &[u8],
        data: &mut [u8],
        tag: [u8; GCM_TAG],
    ) -> bool {
        let tag: Tag = tag.into();
        match self {
            Gcm::Aes128(gcm) => {
                gcm.decrypt_inout_detached(&nonce.into(), header, data.into(), &tag)
            }
            Gcm::Aes256(gcm) => {
                gcm.decrypt_inout_detached(&nonce.into(), header, data.into(), &tag)
            }
        }
        .is_ok()
    }
}

/// A suite's transform with its session keys.
pub(super) enum Transform {
    Cm(Cm),
    Gcm(Gcm),
}

/// The keyed transform of one channel and direction, with its salt.
pub(super) struct SessionCipher {
    pub(super) transform: Transform,
    pub(super) tag_len: usize,
    salt: [u8; MAX_SALT],
}

impl SessionCipher {
    pub(super) fn new(master: &MasterKey, channel: Channel) -> Self {
        Self::keyed(
            master.suite(),
            channel,
            &SessionKeys::derive(master, channel),
        )
    }

    fn keyed(suite: SrtpSuite, channel: Channel, keys: &SessionKeys) -> Self {
        let (mut short, long) = ([0; 16], &keys.cipher);
        short.copy_from_slice(&keys.cipher[..16]);
        let cm = |aes| {
            // HMAC takes keys of any length: this is its fixed block, the key filled up with zeros
            // (RFC 2104).
            let mut block = [0; 64];
            block[..keys.auth.len()].copy_from_slice(&keys.auth);
            let mac = <Hmac<Sha1> as KeyInit>::new(&block.into());
            block.zeroize();
            Transform::Cm(Cm { aes, mac })
        };
        let transform = match suite {
            SrtpSuite::AesCm128HmacSha1_80 | SrtpSuite::AesCm128HmacSha1_32 => {
                cm(Aes::Aes128(Aes128Enc::new(&short.into())))
            }
            SrtpSuite::AesCm256HmacSha1_80 | SrtpSuite::AesCm256HmacSha1_32 => {
                cm(Aes::Aes256(Aes256Enc::new(long.into())))
            }
            SrtpSuite::AeadAes128Gcm => Transform::Gcm(Gcm::Aes128(AesGcm::new(&short.into()))),
            SrtpSuite::AeadAes256Gcm => Transform::Gcm(Gcm::Aes256(AesGcm::new(long.into()))),
        };
        short.zeroize();
        Self {
            transform,
            tag_len: match channel {
                Channel::Rtp => suite.rtp_tag_len(),
                Channel::Rtcp => suite.rtcp_tag_len(),
            },
            salt: keys.salt,
        }
    }

    /// (salt · 2^16) ⊕ (SSRC · 2^64) ⊕ (index · 2^16), RFC 3711 section 4.1.1.
    pub(super) fn cm_iv(&self, ssrc: u32, index: u64) -> [u8; 16] {
        let mut iv = [0; 16];
        iv[..MAX_SALT].copy_from_slice(&self.salt);
        add(&mut iv[4..8], &ssrc.to_be_bytes());
        add(&mut iv[8..14], &index.to_be_bytes()[2..]);
        iv
    }

    /// Zero (2 bytes), SSRC (4), index (6), all ⊕ salt: RFC 7714 sections 8.1 and 9.1. An SRTCP
    /// index has but 31 bits of the 48.
    pub(super) fn gcm_iv(&self, ssrc: u32, index: u64) -> [u8; 12] {
        let mut iv = [0; 12];
        iv.copy_from_slice(&self.salt[..12]);
        add(&mut iv[2..6], &ssrc.to_be_bytes());
        add(&mut iv[6..12], &index.to_be_bytes()[2..]);
        iv
    }
}

fn add(to: &mut [u8], what: &[u8]) {
    for (to, what) in to.iter_mut().zip(what) {
        *to ^= what;
    }
}

impl Drop for SessionCipher {
    fn drop(&mut self) {
        // The transforms overwrite their own keys (the crates' `zeroize` features).
        self.salt.zeroize();
    }
}

#[cfg(test)]
mod tests;
