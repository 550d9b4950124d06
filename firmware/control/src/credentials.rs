//! The phone's own key and certificate: who it is for DTLS-SRTP and for direct calls over TLS. Made
//! once, at the first start; its fingerprint is what others pin. Reading and writing the file is
//! the caller's.
//!
//! ```text
//! identity.pem ─▶ parse ─▶ Credentials ─▶ dtls (handshakes), TLS (server side, client certificate)
//!      ▲                        │
//!      └────────── pem ◀────────┴──── make (ECDSA P-256, self-signed)
//! ```
//!
//! The certificate carries no name of a person and is valid for ever: a phone without a clock must
//! be able to use it, and whoever trusts it trusts the fingerprint, not a date (RFC 5763 section
//! 5).

use std::fmt::{self, Write as _};

use rcgen::{CertificateParams, DnType, KeyPair, PublicKeyData};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// Why a text is no identity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CredentialsError {
    /// No certificate in it.
    #[error("no certificate: {0}")]
    NoCertificate(String),
    /// No PKCS #8 key in it.
    #[error("no private key: {0}")]
    NoKey(String),
    /// A key of another kind.
    #[error("the private key is not ECDSA P-256: {0}")]
    KeyKind(String),
    /// The certificate is not X.509.
    #[error("no X.509 certificate: {0}")]
    Certificate(String),
    /// The certificate is for another key.
    #[error("key and certificate do not belong together")]
    Mismatch,
}

/// A private key and its self-signed certificate.
#[derive(Clone)]
pub struct Credentials {
    certificate: Vec<u8>,
    key: Zeroizing<Vec<u8>>,
}

/// The key is never shown.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({})", self.fingerprint_text())
    }
}

impl Credentials {
    /// A new key (ECDSA on P-256) and certificate, not stored.
    pub fn make() -> Result<Self, rcgen::Error> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(vec!["offhook".to_owned()])?;
        params
            .distinguished_name
            .push(DnType::CommonName, "offhook");
        let certificate = params.self_signed(&key)?;
        Ok(Self {
            certificate: certificate.der().to_vec(),
            key: Zeroizing::new(key.serialize_der()),
        })
    }

    /// Reads one certificate and its PKCS #8 key.
    pub fn parse(text: &[u8]) -> Result<Self, CredentialsError> {
        let certificate = CertificateDer::from_pem_slice(text)
            .map_err(|error| CredentialsError::NoCertificate(error.to_string()))?;
        let key = PrivatePkcs8KeyDer::from_pem_slice(text)
            .map_err(|error| CredentialsError::NoKey(error.to_string()))?;
        let pair = KeyPair::from_pkcs8_der_and_sign_algo(&key, &rcgen::PKCS_ECDSA_P256_SHA256)
            .map_err(|error| CredentialsError::KeyKind(error.to_string()))?;
        let (_, read) = x509_parser::parse_x509_certificate(&certificate)
            .map_err(|error| CredentialsError::Certificate(error.to_string()))?;
        if read.public_key().subject_public_key.data.as_ref() != pair.der_bytes() {
            return Err(CredentialsError::Mismatch);
        }
        Ok(Self {
            certificate: certificate.to_vec(),
            key: Zeroizing::new(key.secret_pkcs8_der().to_vec()),
        })
    }

    /// As the file keeps it.
    pub fn pem(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::new());
        for (label, der) in [
            ("CERTIFICATE", self.certificate.as_slice()),
            ("PRIVATE KEY", self.key.as_slice()),
        ] {
            let encoded =
                Zeroizing::new(<base64ct::Base64 as base64ct::Encoding>::encode_string(der));
            let _ = writeln!(text, "-----BEGIN {label}-----");
            for line in encoded.as_bytes().chunks(64) {
                let _ = writeln!(text, "{}", String::from_utf8_lossy(line));
            }
            let _ = writeln!(text, "-----END {label}-----");
        }
        text
    }

    /// The certificate, DER.
    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// The private key, PKCS #8 DER. Not to be copied without being wiped.
    pub fn private_key(&self) -> &[u8] {
        &self.key
    }

    /// SHA-256 over the certificate, as `a=fingerprint` and `[[tls.pin]]` want it (RFC 8122 section
    /// 5).
    pub fn fingerprint(&self) -> [u8; 32] {
        Sha256::digest(&self.certificate).into()
    }

    /// The fingerprint as people compare it: `AB:CD:…`.
    pub fn fingerprint_text(&self) -> String {
        colons(&self.fingerprint())
    }
}

#[cfg(test)]
impl Credentials {
    /// This certificate, in the hands of somebody who has another's key only.
    pub(crate) fn with_key_of(&self, thief: &Self) -> Self {
        Self {
            certificate: self.certificate.clone(),
            key: thief.key.clone(),
        }
    }
}

/// Bytes in upper-case hexadecimal with colons between them.
pub fn colons(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 3);
    for (index, byte) in bytes.iter().enumerate() {
        let _ = write!(text, "{}{byte:02X}", if index == 0 { "" } else { ":" });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificate_needs_no_clock() {
        let made = Credentials::make().unwrap();
        let (_, read) = x509_parser::parse_x509_certificate(made.certificate()).unwrap();
        assert_eq!(read.validity().not_before.to_datetime().year(), 1975);
        assert!(read.validity().not_after.to_datetime().year() > 2200);
        assert_eq!(read.subject().to_string(), "CN=offhook");
    }
}
