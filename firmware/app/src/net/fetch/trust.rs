//! Who says that a server is the right one: an authority, or its own certificate of the first time.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio::sync::{OnceCell, oneshot};

use crate::net::tls::{Fingerprint, KnownServer, Signatures, system_certificates};

/// Longest file of certificates.
const MAX_AUTHORITIES: u64 = 1024 * 1024;

/// What a server is judged by. Certificates are read when the first server is asked over https:
/// those of a system take milliseconds at every start, and room, where none ever is.
#[derive(Debug, Clone)]
pub(crate) struct Trust(Arc<Authentication>);

#[derive(Debug)]
struct Authentication {
    by: AuthenticatedBy,
    config: OnceCell<Arc<rustls::ClientConfig>>,
}

#[derive(Debug, Clone)]
enum AuthenticatedBy {
    /// The authorities in this file; without one, those the system trusts.
    Authorities(Option<PathBuf>),
    /// The certificate it is known by.
    FirstUse(FirstUse),
}

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
    /// By the certificates of this file; without one, by those the system trusts. What is wrong
    /// with them counts only where a server is asked over https.
    pub(crate) fn load(ca: Option<&Path>) -> Self {
        Self::by(AuthenticatedBy::Authorities(ca.map(Path::to_owned)))
    }

    /// No one vouches for the server: it must show the certificate it is known by.
    pub(crate) fn first_use(known: &FirstUse) -> Self {
        Self::by(AuthenticatedBy::FirstUse(known.clone()))
    }

    fn by(by: AuthenticatedBy) -> Self {
        let config = OnceCell::new();
        Self(Arc::new(Authentication { by, config }))
    }

    /// By which a client of TLS judges servers. A file that could not be read is read again the
    /// next time.
    pub(crate) async fn config(&self) -> Result<Arc<rustls::ClientConfig>, AuthorityError> {
        let made = self.0.config.get_or_try_init(|| self.0.by.config());
        Ok(Arc::clone(made.await?))
    }
}

impl AuthenticatedBy {
    async fn config(&self) -> Result<Arc<rustls::ClientConfig>, AuthorityError> {
        match self {
            Self::FirstUse(known) => first_use_config(known).map(Arc::new),
            Self::Authorities(ca) => {
                // Not on the thread of the calls; a file system that hangs is given up.
                let (sender, receiver) = oneshot::channel();
                let path = ca.clone();
                let begun = std::thread::Builder::new()
                    .name("offhook-trust".into())
                    .stack_size(256 * 1024)
                    .spawn(move || drop(sender.send(client_config(path.as_deref()))));
                let wrong = |reason: String| wrong(ca.as_deref(), reason);
                begun.map_err(|error| wrong(error.to_string()))?;
                let read = receiver.await.map_err(|_| wrong("not read".to_owned()))?;
                read.map(Arc::new)
            }
        }
    }
}

fn wrong(ca: Option<&Path>, reason: String) -> AuthorityError {
    AuthorityError {
        path: ca.map(Path::to_owned).unwrap_or_default(),
        reason,
    }
}

fn first_use_config(known: &FirstUse) -> Result<rustls::ClientConfig, AuthorityError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = Arc::new(KnownServer {
        seen: Arc::clone(&known.0),
        signatures: Signatures(Arc::clone(&provider)),
    });
    Ok(rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| wrong(None, error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth())
}

fn client_config(ca: Option<&Path>) -> Result<rustls::ClientConfig, AuthorityError> {
    let mut roots = rustls::RootCertStore::empty();
    let wrong = |reason: String| wrong(ca, reason);
    match ca {
        Some(path) => {
            let text = board::files::read_in_time(path, MAX_AUTHORITIES)
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
            for certificate in system_certificates().certs {
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

#[cfg(test)]
mod tests {
    use testkit::process::TestDir;

    use super::*;

    #[tokio::test]
    async fn authority_is_read_when_it_is_first_needed() {
        let folder = TestDir::new("trust");
        let file = folder.join("ca.pem");
        // Nothing is wrong yet: no one was asked over https.
        let trust = Trust::load(Some(&file));
        let missing = trust.config().await.unwrap_err();
        assert!(missing.to_string().contains("ca.pem"), "{missing}");
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec!["ca.example".to_owned()]).unwrap();
        std::fs::write(&file, params.self_signed(&key).unwrap().pem()).unwrap();
        let first = trust.config().await.unwrap();
        // Read once: the file may be gone since.
        std::fs::remove_file(&file).unwrap();
        assert!(Arc::ptr_eq(&first, &trust.clone().config().await.unwrap()));
    }
}
