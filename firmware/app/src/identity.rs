//! The phone's own key and certificate: who it is for DTLS-SRTP and for direct calls over TLS. Made
//! once, at the first start; its fingerprint is what others pin.
//!
//! ```text
//! state_dir/identity.pem (0600) ─▶ read ─▶ Credentials ─▶ dtls (handshakes), net::tls (server side, client certificate)
//!        ▲                          │ not there, or damaged
//!        └── written whole or not ◀─┴─ make (ECDSA P-256, self-signed)
//! ```
//!
//! The certificate carries no name of a person and is valid for ever: a phone without a clock must
//! be able to use it, and whoever trusts it trusts the fingerprint, not a date (RFC 5763 section
//! 5).

use std::fmt::{self, Write as _};
use std::io;
use std::path::{Path, PathBuf};

use rcgen::{CertificateParams, DnType, KeyPair, PublicKeyData};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// The file in the state directory.
pub const FILE: &str = "identity.pem";
/// No identity of ours is longer.
const MAX_BYTES: u64 = 16 * 1024;

/// Why there is no identity, or why it is another than before.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The file cannot be read or written.
    #[error("{path}: {source}; set control.state_dir to a folder this user may write")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is there and is no identity.
    #[error(
        "{path}: {what}; restore it, or delete it and tell those who pinned the old fingerprint the new one"
    )]
    Damaged {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// No key could be made.
    #[error("no key could be made: {0}; has this system a source of random numbers?")]
    Make(#[from] rcgen::Error),
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
    /// A new key (ECDSA on P-256) and certificate, kept nowhere.
    pub fn make() -> Result<Self, IdentityError> {
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

    /// The identity kept in this folder; made and kept there if there is none. A damaged one is an
    /// error: another fingerprint would lock out everybody who pinned the old one, so nobody but
    /// the owner decides that.
    pub fn load_or_make(folder: &Path) -> Result<Self, IdentityError> {
        let path = folder.join(FILE);
        let wrong = |source| IdentityError::File {
            path: path.clone(),
            source,
        };
        match std::fs::metadata(&path) {
            Ok(about) if about.len() > MAX_BYTES => Err(IdentityError::Damaged {
                path,
                what: format!("{} bytes are too many", about.len()),
            }),
            Ok(_) => {
                let text = Zeroizing::new(std::fs::read(&path).map_err(wrong)?);
                Self::parse(&text).map_err(|what| IdentityError::Damaged { path, what })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let made = Self::make()?;
                crate::setup::keep_safely(&path, made.pem().as_bytes()).map_err(wrong)?;
                tracing::info!(
                    "made this phone's certificate, fingerprint {}",
                    made.fingerprint_text()
                );
                Ok(made)
            }
            Err(error) => Err(wrong(error)),
        }
    }

    /// Reads one certificate and its PKCS #8 key.
    fn parse(text: &[u8]) -> Result<Self, String> {
        let certificate = CertificateDer::from_pem_slice(text)
            .map_err(|error| format!("no certificate: {error}"))?;
        let key = PrivatePkcs8KeyDer::from_pem_slice(text)
            .map_err(|error| format!("no private key: {error}"))?;
        let pair = KeyPair::from_pkcs8_der_and_sign_algo(&key, &rcgen::PKCS_ECDSA_P256_SHA256)
            .map_err(|error| format!("the private key is not ECDSA P-256: {error}"))?;
        let (_, read) = x509_parser::parse_x509_certificate(&certificate)
            .map_err(|error| format!("no X.509 certificate: {error}"))?;
        if read.public_key().subject_public_key.data.as_ref() != pair.der_bytes() {
            return Err("key and certificate do not belong together".into());
        }
        Ok(Self {
            certificate: certificate.to_vec(),
            key: Zeroizing::new(key.secret_pkcs8_der().to_vec()),
        })
    }

    /// As the file keeps it.
    fn pem(&self) -> Zeroizing<String> {
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
    for (place, byte) in bytes.iter().enumerate() {
        let _ = write!(text, "{}{byte:02X}", if place == 0 { "" } else { ":" });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    fn folder(name: &str) -> PathBuf {
        let folder =
            std::env::temp_dir().join(format!("offhook-identity-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        folder
    }

    #[test]
    fn made_once_and_the_same_ever_after() {
        let folder = folder("once");
        let made = Credentials::load_or_make(&folder).unwrap();
        let path = folder.join(FILE);
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        let read = Credentials::load_or_make(&folder).unwrap();
        assert_eq!(
            (read.certificate(), read.private_key()),
            (made.certificate(), made.private_key())
        );
        assert_eq!(read.fingerprint_text().len(), 32 * 3 - 1);
        assert_ne!(
            Credentials::make().unwrap().fingerprint(),
            made.fingerprint()
        );
        let shown = format!("{made:?}");
        assert_eq!(shown, format!("Credentials({})", made.fingerprint_text()));
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_damaged_one_is_not_replaced_in_silence() {
        let folder = folder("damaged");
        let made = Credentials::load_or_make(&folder).unwrap();
        let path = folder.join(FILE);
        let good = fs::read_to_string(&path).unwrap();
        let other = Credentials::make().unwrap();
        let certificate_end = good.find("-----BEGIN PRIVATE").unwrap();
        let mixed = format!(
            "{}{}",
            &other.pem()[..other.pem().find("-----BEGIN PRIVATE").unwrap()],
            &good[certificate_end..]
        );
        for (bad, told) in [
            (mixed.as_str(), "do not belong together"),
            (&good[..certificate_end], "no private key"),
            (&good[certificate_end..], "no certificate"),
            ("", "no certificate"),
            (&"x".repeat(20_000), "too many"),
        ] {
            fs::write(&path, bad).unwrap();
            let error = Credentials::load_or_make(&folder).unwrap_err().to_string();
            assert!(
                error.contains(told) && error.contains("identity.pem") && error.contains("; "),
                "{error}"
            );
            assert_eq!(fs::read_to_string(&path).unwrap(), bad, "left as it was");
        }
        fs::write(&path, &good).unwrap();
        assert_eq!(
            Credentials::load_or_make(&folder).unwrap().fingerprint(),
            made.fingerprint()
        );
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn the_certificate_needs_no_clock() {
        let made = Credentials::make().unwrap();
        let (_, read) = x509_parser::parse_x509_certificate(made.certificate()).unwrap();
        assert_eq!(read.validity().not_before.to_datetime().year(), 1975);
        assert!(read.validity().not_after.to_datetime().year() > 2200);
        assert_eq!(read.subject().to_string(), "CN=offhook");
    }
}
