//! Who says that a server is the right one: an authority, or its own certificate of the first time.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::net::tls::{Fingerprint, KnownServer, Signatures};

/// Longest file of certificates.
const MAX_AUTHORITIES: u64 = 1024 * 1024;

/// The certificates a server is judged by.
#[derive(Debug)]
pub(crate) struct Trust(Result<Arc<rustls::ClientConfig>, AuthorityError>);

/// The one certificate that a server is known by: the first it shows, or that of an earlier time.
#[derive(Debug, Clone, Default)]
pub(crate) struct FirstUse(Arc<OnceLock<Fingerprint>>);

impl FirstUse {
    /// Known by this certificate; by the first where there is none yet.
    pub(crate) fn new(known: Option<Fingerprint>) -> Self {
        let seen = Self::default();
        if let Some(known) = known {
            // It is empty still.
            let _ = seen.0.set(known);
        }
        seen
    }

    /// Its SHA-256, once a server has shown one and its key.
    pub(crate) fn fingerprint(&self) -> Option<Fingerprint> {
        self.0.get().copied()
    }
}

/// Why a server's certificate cannot be judged.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{path}: {reason}; put the CA's certificate there (PEM)")]
pub(crate) struct AuthorityError {
    path: PathBuf,
    reason: String,
}

impl Trust {
    /// By which a client of TLS judges servers.
    pub(crate) fn config(&self) -> Result<Arc<rustls::ClientConfig>, AuthorityError> {
        self.0.clone()
    }

    /// Reads the certificates of this file; without one, those the system trusts. What is wrong
    /// with them counts only where a server is asked over https.
    pub(crate) fn load(ca: Option<&Path>) -> Self {
        Self(client_config(ca).map(Arc::new))
    }

    /// No one vouches for the server: it must show the certificate it is known by.
    pub(crate) fn first_use(known: &FirstUse) -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = Arc::new(KnownServer {
            seen: Arc::clone(&known.0),
            signatures: Signatures(Arc::clone(&provider)),
        });
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| AuthorityError {
                path: PathBuf::new(),
                reason: error.to_string(),
            });
        Self(config.map(|config| {
            let config = config
                .dangerous()
                .with_custom_certificate_verifier(verifier)
                .with_no_client_auth();
            Arc::new(config)
        }))
    }
}

fn client_config(ca: Option<&Path>) -> Result<rustls::ClientConfig, AuthorityError> {
    let mut roots = rustls::RootCertStore::empty();
    let wrong = |reason: String| AuthorityError {
        path: ca.map(Path::to_owned).unwrap_or_default(),
        reason,
    };
    match ca {
        Some(path) => {
            let text = board::files::read(path, MAX_AUTHORITIES)
                .map_err(|error| wrong(error.to_string()))?;
            for certificate in CertificateDer::pem_slice_iter(&text) {
                let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
                roots
                    .add(certificate)
                    .map_err(|error| wrong(error.to_string()))?;
            }
            if roots.is_empty() {
                return Err(wrong("there is no certificate in it".to_owned()));
            }
        }
        None => {
            // A certificate of the system that cannot be read is one authority less, not a reason
            // to stop.
            for certificate in rustls_native_certs::load_native_certs().certs {
                let _ = roots.add(certificate);
            }
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| wrong(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(config)
}
