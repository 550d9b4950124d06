//! Whom a TLS connection is with. Promise 1 is kept here: certificate and name are checked, against
//! the SIP domain and not against whatever host DNS led to.
//!
//! ```text
//! server's certificate ─┬─ pinned place: SHA-256 is the one pinned ─────────────────────────────▶ good
//!                       └─ else: signed by a trusted CA (or is one provisioned itself), in time ─▶ names: for the SIP domain? ─▶ good
//! client's certificate ─── SHA-256 is one of the pinned ones ───────────────────────────────────▶ good
//! anything else ─▶ Refusal: what was wrong with whose certificate
//! ```

use std::fmt;
use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, SignatureVerificationAlgorithm, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, RootCertStore,
    SignatureScheme,
};
use sha2::{Digest, Sha256};

use super::names::Identities;

/// SHA-256 of a certificate.
pub(crate) type Fingerprint = [u8; 32];

/// What is wrong with a certificate beyond what rustls has words for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It is for other names.
    WrongName {
        /// What it is for, in words.
        found: String,
    },
    /// Its fingerprint is not the pinned one.
    NotPinned {
        /// What it is.
        found: Fingerprint,
    },
    /// It is signed by itself, and no one trusts it.
    SelfSigned,
    /// It cannot be read.
    Unreadable,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WrongName { found } => write!(f, "the certificate is for {found}"),
            Self::NotPinned { found } => write!(
                f,
                "the certificate has fingerprint {}",
                control::credentials::colons(found)
            ),
            Self::SelfSigned => f.write_str("the certificate is signed by itself"),
            Self::Unreadable => f.write_str("the certificate cannot be read"),
        }
    }
}

impl std::error::Error for Refusal {}

impl Refusal {
    fn into_error(self) -> Error {
        Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(self))))
    }
}

/// The fingerprint of a certificate that was refused because another is pinned.
pub(crate) fn pin_refused(error: &CertificateError) -> Option<Fingerprint> {
    let CertificateError::Other(other) = error else {
        return None;
    };
    match other.0.downcast_ref::<Refusal>()? {
        Refusal::NotPinned { found } => Some(*found),
        Refusal::WrongName { .. } | Refusal::SelfSigned | Refusal::Unreadable => None,
    }
}

/// SHA-256 of a certificate.
pub(crate) fn fingerprint(certificate: &CertificateDer<'_>) -> Fingerprint {
    Sha256::digest(certificate).into()
}

/// Whether who shows a certificate holds its key: the same for servers and clients, and for those
/// no one vouches for. Whatever else is believed unseen, this never is.
#[derive(Debug, Clone)]
pub(crate) struct Signatures(pub(crate) Arc<CryptoProvider>);

impl Signatures {
    fn algorithms(&self) -> &'static [&'static dyn SignatureVerificationAlgorithm] {
        self.0.signature_verification_algorithms.all
    }
}

/// Whom to trust.
#[derive(Debug)]
pub(crate) struct Anchors {
    pub(crate) roots: RootCertStore,
    /// Certificates provisioned by the owner: a small PBX's own, self-signed one may stand there
    /// and is then meant itself.
    pub(crate) provisioned: Vec<CertificateDer<'static>>,
}

/// What a server's certificate must be.
#[derive(Debug)]
pub(crate) enum Wanted {
    /// For one of these SIP domains or addresses, by a trusted CA.
    Named {
        names: Vec<String>,
        anchors: Arc<Anchors>,
    },
    /// This one.
    Pinned(Fingerprint),
}

/// Checks servers.
#[derive(Debug)]
pub(crate) struct Servers {
    pub(crate) wanted: Wanted,
    pub(crate) signatures: Signatures,
}

/// What every verifier does with the signature of a handshake, by their field `signatures`.
macro_rules! verify_signatures {
    () => {
        fn verify_tls12_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signature: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            rustls::crypto::verify_tls12_signature(
                message,
                certificate,
                signature,
                &self.signatures.0.signature_verification_algorithms,
            )
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signature: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            rustls::crypto::verify_tls13_signature(
                message,
                certificate,
                signature,
                &self.signatures.0.signature_verification_algorithms,
            )
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            self.signatures
                .0
                .signature_verification_algorithms
                .supported_schemes()
        }
    };
}
pub(super) use verify_signatures;

/// Checks a server that no one vouches for: the first certificate it shows is the only one it may
/// show from then on (trust on first use).
#[derive(Debug)]
pub(crate) struct KnownServer {
    pub(crate) seen: Arc<OnceLock<Fingerprint>>,
    pub(crate) signatures: Signatures,
}

impl ServerCertVerifier for KnownServer {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let found = fingerprint(end_entity);
        if *self.seen.get_or_init(|| found) == found {
            return Ok(ServerCertVerified::assertion());
        }
        Err(Refusal::NotPinned { found }.into_error())
    }

    verify_signatures!();
}

impl ServerCertVerifier for Servers {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match &self.wanted {
            Wanted::Pinned(pinned) => {
                let found = fingerprint(end_entity);
                if found != *pinned {
                    return Err(Refusal::NotPinned { found }.into_error());
                }
            }
            Wanted::Named { names, anchors } => {
                let (_, certificate) = x509_parser::parse_x509_certificate(end_entity)
                    .map_err(|_| Refusal::Unreadable.into_error())?;
                if anchors.provisioned.iter().any(|known| known == end_entity) {
                    in_time(&certificate, now)?;
                } else {
                    let parsed = ParsedCertificate::try_from(end_entity)?;
                    verify_server_cert_signed_by_trust_anchor(
                        &parsed,
                        &anchors.roots,
                        intermediates,
                        now,
                        self.signatures.algorithms(),
                    )
                    .map_err(|error| not_vouched_for(error, &certificate))?;
                }
                let identities = Identities::of(&certificate);
                if !identities.cover(names) {
                    let found = identities.listed();
                    return Err(Refusal::WrongName { found }.into_error());
                }
            }
        }
        Ok(ServerCertVerified::assertion())
    }

    verify_signatures!();
}

/// What a new PBX shows: a certificate signed by itself. Where it calls itself a CA, as openssl
/// makes it, webpki complains of that and not of the missing CA.
fn not_vouched_for(error: Error, certificate: &x509_parser::prelude::X509Certificate<'_>) -> Error {
    let is_own = certificate.issuer() == certificate.subject();
    match error {
        Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::Other(_))
            if is_own =>
        {
            Refusal::SelfSigned.into_error()
        }
        other => other,
    }
}

/// The dates of a certificate that no CA vouches for.
fn in_time(
    certificate: &x509_parser::prelude::X509Certificate<'_>,
    now: UnixTime,
) -> Result<(), Error> {
    let at = |time: x509_parser::time::ASN1Time| {
        UnixTime::since_unix_epoch(std::time::Duration::from_secs(
            u64::try_from(time.timestamp()).unwrap_or(0),
        ))
    };
    let (not_before, not_after) = (
        at(certificate.validity().not_before),
        at(certificate.validity().not_after),
    );
    if now < not_before {
        let context = CertificateError::NotValidYetContext {
            time: now,
            not_before,
        };
        return Err(Error::InvalidCertificate(context));
    }
    if now > not_after {
        let context = CertificateError::ExpiredContext {
            time: now,
            not_after,
        };
        return Err(Error::InvalidCertificate(context));
    }
    Ok(())
}

/// Checks those who call us directly: with pins, only who is pinned comes in; without any,
/// everybody, as no one in particular.
#[derive(Debug)]
pub(crate) struct Clients {
    pub(crate) pinned: Vec<Fingerprint>,
    pub(crate) signatures: Signatures,
}

impl ClientCertVerifier for Clients {
    fn client_auth_mandatory(&self) -> bool {
        !self.pinned.is_empty()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let found = fingerprint(end_entity);
        if !self.pinned.is_empty() && !self.pinned.contains(&found) {
            return Err(Refusal::NotPinned { found }.into_error());
        }
        Ok(ClientCertVerified::assertion())
    }

    verify_signatures!();
}
