//! The files of TLS: the phone's own chain and key, read before the control loop begins, and the
//! authorities to trust, read by the storage thread when the first connection needs them.

use std::path::{Path, PathBuf};

use rustls::RootCertStore;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::verify::Anchors;

/// Largest file of certificates read, in bytes.
const MAX_FILE: u64 = 1024 * 1024;

/// Why a file for TLS cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileError {
    /// It cannot be read.
    #[error("{0}: {1}; put the file there, or correct the path")]
    Read(PathBuf, std::io::Error),
    /// It is no file of certificates.
    #[error("{0}: {1}, too many for certificates; correct the path")]
    TooLarge(PathBuf, std::io::Error),
    /// It holds no certificate.
    #[error("{0}: no certificate in it; write it as PEM (-----BEGIN CERTIFICATE-----)")]
    NoCertificate(PathBuf),
    /// It holds something that is no certificate.
    #[error("{0}: a broken certificate: {1}; write the file again")]
    BrokenCertificate(PathBuf, pem::Error),
    /// It holds no private key.
    #[error("{0}: no private key in it ({1}); write it as PEM")]
    NoKey(PathBuf, pem::Error),
}

/// A chain of certificates and the key of the first.
#[derive(Debug)]
pub(crate) struct Own {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: PrivateKeyDer<'static>,
}

impl Own {
    /// Reads both files.
    pub(crate) fn read(chain: &Path, key: &Path) -> Result<Self, FileError> {
        let chain = certificates(chain)?;
        let text = zeroize::Zeroizing::new(read(key)?);
        let key = PrivateKeyDer::from_pem_slice(&text)
            .map_err(|error| FileError::NoKey(key.to_owned(), error))?;
        Ok(Self { chain, key })
    }
}

impl Clone for Own {
    fn clone(&self) -> Self {
        Self {
            chain: self.chain.clone(),
            key: self.key.clone_key(),
        }
    }
}

/// All authorities in one file, as Debian and Buildroot have it.
const BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Where the authorities to trust are.
#[derive(Debug, Clone)]
pub(crate) enum AnchorSource {
    /// `tls.ca`: these and no others.
    File(PathBuf),
    /// What the system trusts.
    System,
}

impl AnchorSource {
    /// Reads and parses them; this takes tens of milliseconds on a small board.
    pub(crate) fn read(&self) -> Result<Anchors, FileError> {
        let mut roots = RootCertStore::empty();
        let provisioned = match self {
            Self::File(path) => {
                let found = certificates(path)?;
                // One that cannot be an authority may still be a server's own.
                roots.add_parsable_certificates(found.iter().cloned());
                found
            }
            Self::System => {
                let found = system_certificates();
                for error in &found.errors {
                    tracing::warn!("certificates of this system: {error}");
                }
                let (good, _) = roots.add_parsable_certificates(found.certs);
                if good == 0 {
                    tracing::warn!(
                        "this system trusts no certificate authority: install ca-certificates, or \
                         set tls.ca"
                    );
                }
                Vec::new()
            }
        };
        Ok(Anchors { roots, provisioned })
    }
}

/// The authorities this system trusts. Where it has them in one file, that is read in place of the
/// folder of some three hundred files and links beside it.
pub(crate) fn system_certificates() -> rustls_native_certs::CertificateResult {
    let named_by_owner = ["SSL_CERT_FILE", "SSL_CERT_DIR"]
        .iter()
        .any(|name| std::env::var_os(name).is_some());
    if !named_by_owner {
        let bundle = rustls_native_certs::load_certs_from_paths(Some(Path::new(BUNDLE)), None);
        if bundle.errors.is_empty() && !bundle.certs.is_empty() {
            return bundle;
        }
    }
    rustls_native_certs::load_native_certs()
}

fn read(path: &Path) -> Result<Vec<u8>, FileError> {
    board::files::read(path, MAX_FILE).map_err(|error| match error.kind() {
        std::io::ErrorKind::FileTooLarge => FileError::TooLarge(path.to_owned(), error),
        _ => FileError::Read(path.to_owned(), error),
    })
}

/// Every certificate of a PEM file, at least one.
pub(crate) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, FileError> {
    let text = read(path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(FileError::NoCertificate(path.to_owned())),
        Err(error) => Err(FileError::BrokenCertificate(path.to_owned(), error)),
    }
}
