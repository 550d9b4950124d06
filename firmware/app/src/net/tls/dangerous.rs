//! No verification at all. In a file of its own, under this name, so that no one takes it for
//! anything else: with it, whoever is between phone and server reads and changes everything,
//! keys of calls included. It exists for test beds, is written into the configuration as
//! `tls.verify = false`, and log and status say so as long as it lasts.

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, Error, SignatureScheme};

use super::verify::{Signatures, verify_signatures};

/// Believes every certificate; that who shows it holds its key is checked all the same.
#[derive(Debug)]
pub(crate) struct NoVerification {
    pub(crate) signatures: Signatures,
}

impl ServerCertVerifier for NoVerification {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    verify_signatures!();
}
