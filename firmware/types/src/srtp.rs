//! Cipher suites of SRTP.

/// How the packets of a call are encrypted and authenticated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SrtpSuite {
    /// AES-128 in counter mode, HMAC-SHA1 cut to 80 bits (RFC 4568 section 6.2.1).
    AesCm128HmacSha1_80,
    /// AES-128 in counter mode, HMAC-SHA1 cut to 32 bits for RTP and to 80 for RTCP (RFC 4568
    /// section 6.2.2).
    AesCm128HmacSha1_32,
    /// AES-256 in counter mode, HMAC-SHA1 cut to 80 bits (RFC 6188 section 4).
    AesCm256HmacSha1_80,
    /// AES-256 in counter mode, HMAC-SHA1 cut to 32 bits for RTP and to 80 for RTCP (RFC 6188
    /// section 4).
    AesCm256HmacSha1_32,
    /// AES-128 in Galois/counter mode (RFC 7714 section 14.2).
    AeadAes128Gcm,
    /// AES-256 in Galois/counter mode (RFC 7714 section 14.2).
    AeadAes256Gcm,
}

impl SrtpSuite {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::AesCm128HmacSha1_80,
        Self::AesCm128HmacSha1_32,
        Self::AesCm256HmacSha1_80,
        Self::AesCm256HmacSha1_32,
        Self::AeadAes128Gcm,
        Self::AeadAes256Gcm,
    ];

    /// Its name in `a=crypto` (RFC 4568, 6188, 7714), in `status` and in `offhook.toml`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AesCm128HmacSha1_80 => "AES_CM_128_HMAC_SHA1_80",
            Self::AesCm128HmacSha1_32 => "AES_CM_128_HMAC_SHA1_32",
            Self::AesCm256HmacSha1_80 => "AES_256_CM_HMAC_SHA1_80",
            Self::AesCm256HmacSha1_32 => "AES_256_CM_HMAC_SHA1_32",
            Self::AeadAes128Gcm => "AEAD_AES_128_GCM",
            Self::AeadAes256Gcm => "AEAD_AES_256_GCM",
        }
    }

    /// The suite of this name, in any case; `AES_CM_256_…` is an older way to write `AES_256_CM_…`.
    pub fn from_name(name: &str) -> Option<Self> {
        let older = match name.to_ascii_uppercase().as_str() {
            "AES_CM_256_HMAC_SHA1_80" => Some(Self::AesCm256HmacSha1_80),
            "AES_CM_256_HMAC_SHA1_32" => Some(Self::AesCm256HmacSha1_32),
            _ => None,
        };
        let mut all = Self::ALL.into_iter();
        older.or_else(|| all.find(|suite| suite.as_str().eq_ignore_ascii_case(name)))
    }

    /// Length of the master key in bytes.
    pub const fn key_len(self) -> usize {
        match self {
            Self::AesCm128HmacSha1_80 | Self::AesCm128HmacSha1_32 | Self::AeadAes128Gcm => 16,
            Self::AesCm256HmacSha1_80 | Self::AesCm256HmacSha1_32 | Self::AeadAes256Gcm => 32,
        }
    }

    /// Length of the master salt in bytes.
    pub const fn salt_len(self) -> usize {
        match self {
            Self::AesCm128HmacSha1_80
            | Self::AesCm128HmacSha1_32
            | Self::AesCm256HmacSha1_80
            | Self::AesCm256HmacSha1_32 => 14,
            Self::AeadAes128Gcm | Self::AeadAes256Gcm => 12,
        }
    }

    /// Length of the tag of an RTP packet in bytes.
    pub const fn rtp_tag_len(self) -> usize {
        match self {
            Self::AesCm128HmacSha1_80 | Self::AesCm256HmacSha1_80 => 10,
            Self::AesCm128HmacSha1_32 | Self::AesCm256HmacSha1_32 => 4,
            Self::AeadAes128Gcm | Self::AeadAes256Gcm => 16,
        }
    }

    /// Length of the tag of an RTCP packet in bytes: never the short one.
    pub const fn rtcp_tag_len(self) -> usize {
        match self {
            Self::AesCm128HmacSha1_80
            | Self::AesCm256HmacSha1_80
            | Self::AesCm128HmacSha1_32
            | Self::AesCm256HmacSha1_32 => 10,
            Self::AeadAes128Gcm | Self::AeadAes256Gcm => 16,
        }
    }

    /// Whether the tag of an RTP packet has 32 bits only.
    pub const fn short_tag(self) -> bool {
        self.rtp_tag_len() == 4
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_back_to_its_suite() {
        for suite in SrtpSuite::ALL {
            assert_eq!(SrtpSuite::from_name(suite.as_str()), Some(suite));
            let lower = suite.as_str().to_ascii_lowercase();
            assert_eq!(SrtpSuite::from_name(&lower), Some(suite));
        }
        assert_eq!(
            SrtpSuite::from_name("AES_CM_256_HMAC_SHA1_32"),
            Some(SrtpSuite::AesCm256HmacSha1_32)
        );
        assert_eq!(SrtpSuite::from_name("AES_CM_192_HMAC_SHA1_80"), None);
    }
}
