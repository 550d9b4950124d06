//! One DTLS handshake with one address: what `rtc-dtls` does, in our terms.
//!
//! ```text
//! datagram, now ─▶ Handshake ─▶ datagrams to send (flights and their retransmissions)
//!                      ├──────▶ the peer's certificate, as soon as it is known
//!                      └──────▶ Secrets: SRTP master keys (RFC 5764 section 4.2), when the handshake is complete
//! ```
//!
//! A complete handshake proves that the peer holds the key of its certificate, nothing more: whose
//! certificate it is, the [`super::association`] decides. No certificate is verified here:
//! fingerprints are.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use media::{MasterKey, SrtpSuite};
use rtc_crypto::{CryptoError, RTCCryptoProvider, SignatureScheme};
use rtc_dtls::cipher_suite::CipherSuiteId;
use rtc_dtls::config::{ClientAuthType, ConfigBuilder, ExtendedMasterSecretType, HandshakeConfig};
use rtc_dtls::crypto::Certificate;
use rtc_dtls::endpoint::{Endpoint, EndpointEvent};
use rtc_dtls::extension::extension_use_srtp::SrtpProtectionProfile;
use rtc_shared::TransportProtocol;
use rustls_pki_types::CertificateDer;
use sha2::{Digest, Sha256};
use sip::media_security::Setup;
use zeroize::Zeroizing;

use super::flight::{Exhausted, LIBRARY_REPEATS, LastFlight, RETRANSMISSION};
use super::record_filter::{LimitExceeded, RecordFilter};
use super::sas::Sas;
use crate::credentials::Credentials;

/// A handshake that took so long will not end well.
pub(crate) const LONGEST: Duration = Duration::from_secs(15);
/// Largest datagram sent: fits every tunnel of an IPv6 path.
const LARGEST_SENT: usize = 1200;
/// Who the peer is to the endpoint, which knows one only.
const PEER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 1);

/// Offered and taken, best first: ephemeral keys and AEAD only, signed by ECDSA or RSA.
const CIPHER_SUITES: [CipherSuiteId; 4] = [
    CipherSuiteId::Tls_Ecdhe_Ecdsa_With_Aes_128_Gcm_Sha256,
    CipherSuiteId::Tls_Ecdhe_Rsa_With_Aes_128_Gcm_Sha256,
    CipherSuiteId::Tls_Ecdhe_Ecdsa_With_ChaCha20_Poly1305_Sha256,
    CipherSuiteId::Tls_Ecdhe_Rsa_With_ChaCha20_Poly1305_Sha256,
];
/// SRTP profiles, best first.
const PROFILES: [SrtpProtectionProfile; 3] = [
    SrtpProtectionProfile::Srtp_Aead_Aes_256_Gcm,
    SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm,
    SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80,
];

/// Why a handshake failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// The library refused what the far end sent, or could not do its part.
    #[error("{0}")]
    Dtls(String),
    /// Nothing came back, however often it was said.
    #[error("no answer")]
    Unanswered,
    /// The far end gave up, and said so in clear (RFC 5246 section 7.2.2).
    #[error("the far end gave up with alert {0}")]
    Alert(u8),
    /// It is complete, and no SRTP profile was agreed on (RFC 5764 section 4.1).
    #[error("the far end speaks DTLS, but not DTLS-SRTP (no use_srtp extension)")]
    NoSrtp,
    /// It is complete, and the far end showed no certificate.
    #[error("the far end showed no certificate")]
    NoCertificate,
    /// A profile this phone does not know.
    #[error("an SRTP profile this phone does not know")]
    Profile,
}

impl From<rtc_shared::error::Error> for HandshakeError {
    fn from(error: rtc_shared::error::Error) -> Self {
        Self::Dtls(error.to_string())
    }
}

impl From<CryptoError> for HandshakeError {
    fn from(error: CryptoError) -> Self {
        Self::Dtls(error.to_string())
    }
}

/// What a complete handshake is worth.
#[derive(Debug, Clone)]
pub struct Secrets {
    /// What we protect with.
    pub send: MasterKey,
    /// What the peer protects with.
    pub receive: MasterKey,
    /// What both ends can read to each other.
    pub sas: Sas,
}

/// What all handshakes of a phone share.
pub(crate) struct HandshakeFactory {
    active: Arc<HandshakeConfig>,
    passive: Arc<HandshakeConfig>,
    credentials: Arc<Credentials>,
}

impl HandshakeFactory {
    pub(crate) fn new(credentials: Credentials) -> Result<Self, HandshakeError> {
        let provider: Arc<dyn RTCCryptoProvider> =
            Arc::new(rtc_crypto::providers::RingProvider::new());
        let key = provider
            .crypto()
            .import_signing_key(SignatureScheme::EcdsaP256Sha256, credentials.private_key())?;
        let certificate = CertificateDer::from(credentials.certificate().to_vec());
        let config = |active: bool| {
            ConfigBuilder::default()
                .with_crypto_provider(Arc::clone(&provider))
                .with_certificates(vec![Certificate::from_signing_key(
                    vec![certificate.clone()],
                    Arc::clone(&key),
                )])
                .with_cipher_suites(CIPHER_SUITES.to_vec())
                .with_srtp_protection_profiles(PROFILES.to_vec())
                .with_client_auth(ClientAuthType::RequireAnyClientCert)
                .with_extended_master_secret(ExtendedMasterSecretType::Require)
                // No authority vouches for a phone: its fingerprint in signalling does, and
                // `association` compares it.
                .with_insecure_skip_verify(true)
                .with_server_name("offhook".to_owned())
                .with_flight_interval(RETRANSMISSION)
                .with_mtu(LARGEST_SENT)
                .build(active, None)
        };
        Ok(Self {
            active: Arc::new(config(true)?),
            passive: Arc::new(config(false)?),
            credentials: Arc::new(credentials),
        })
    }

    pub(crate) fn credentials(&self) -> &Credentials {
        &self.credentials
    }
}

/// One handshake.
pub(crate) struct Handshake {
    endpoint: Endpoint,
    role: Setup,
    own: Arc<Credentials>,
    certificate: Option<Vec<u8>>,
    connected: bool,
    complete: bool,
    record_filter: RecordFilter,
    last_flight: LastFlight,
    /// How often the library repeated the flight it sent last.
    library_repeats: u32,
}

impl Handshake {
    /// A handshake about to begin: active sends its first datagram at once, passive waits for one.
    pub(crate) fn new(
        factory: &HandshakeFactory,
        role: Setup,
        now: Instant,
        out: &mut VecDeque<Vec<u8>>,
    ) -> Result<Self, HandshakeError> {
        let server = match role {
            Setup::Active => None,
            Setup::Passive => Some(Arc::clone(&factory.passive)),
        };
        let mut endpoint = Endpoint::new(PEER, TransportProtocol::UDP, server);
        if role == Setup::Active {
            endpoint.connect(now, PEER, Arc::clone(&factory.active), None)?;
        }
        let mut handshake = Self {
            endpoint,
            role,
            own: Arc::clone(&factory.credentials),
            certificate: None,
            connected: false,
            complete: false,
            record_filter: RecordFilter::handshake(),
            last_flight: LastFlight::default(),
            library_repeats: 0,
        };
        handshake.drain(now, out);
        Ok(handshake)
    }

    /// A datagram of the peer. An error ends the handshake.
    pub(crate) fn handle_datagram(
        &mut self,
        bytes: &[u8],
        now: Instant,
        out: &mut VecDeque<Vec<u8>>,
    ) -> Result<(), HandshakeError> {
        let bytes = match self.record_filter.pass(bytes) {
            Ok(bytes) if bytes.is_empty() => return Ok(()),
            Ok(bytes) => bytes,
            // The far end repeats itself for ever, or somebody does in its name: the keys are not
            // touched by that.
            Err(LimitExceeded) if self.complete => return Ok(()),
            Err(LimitExceeded) => {
                return Err(HandshakeError::Dtls(
                    "it sends more than any handshake needs".into(),
                ));
            }
        };
        let events = self
            .endpoint
            .read(now, PEER, None, BytesMut::from(&bytes[..]));
        // What it sends now is another flight.
        let sent = self.drain(now, out);
        if sent {
            self.library_repeats = 0;
            self.watch(now);
        }
        // Application data belongs to no one here, and a close_notify ends no call: signalling
        // does.
        if events?
            .iter()
            .any(|event| matches!(event, EndpointEvent::HandshakeComplete))
        {
            self.connected = true;
            self.complete = true;
            self.last_flight.watch(false, true, now);
            self.record_filter = RecordFilter::afterwards();
            // What was shown before could have been replaced since; what is proved now is this one.
            self.certificate = self.displayable();
        }
        Ok(())
    }

    /// Time passed. An error ends the handshake.
    pub(crate) fn handle_timeout(
        &mut self,
        now: Instant,
        out: &mut VecDeque<Vec<u8>>,
    ) -> Result<(), HandshakeError> {
        if self.poll_timeout().is_none_or(|due| due > now) {
            return Ok(());
        }
        let repeated = self.last_flight.handle_timeout(now, out);
        let outcome = match self.library_timeout() {
            Some(due) if due <= now => self.endpoint.handle_timeout(PEER, now),
            Some(_) | None => Ok(()),
        };
        let sent = self.drain(now, out);
        if sent {
            self.library_repeats += 1;
            self.watch(now);
        }
        // The only thing that can go wrong here is that all retransmissions are spent.
        match (outcome, repeated) {
            (Ok(()), Ok(())) => Ok(()),
            (Err(_), _) | (_, Err(Exhausted)) => Err(HandshakeError::Unanswered),
        }
    }

    /// When to call [`Handshake::handle_timeout`].
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.library_timeout()
            .into_iter()
            .chain(self.last_flight.poll_timeout())
            .min()
            .filter(|_| !self.complete)
    }

    /// The library's own timer, until it would give up.
    fn library_timeout(&self) -> Option<Instant> {
        let timeout = self.endpoint.poll_timeout(&PEER);
        timeout.filter(|_| self.library_repeats < LIBRARY_REPEATS)
    }

    /// The peer's certificate (DER), once it was shown. Until the handshake is complete it proves
    /// nothing.
    pub(crate) fn certificate(&self) -> Option<&[u8]> {
        self.certificate.as_deref()
    }

    /// The keys, once the handshake is complete; handed out once.
    pub(crate) fn take_secrets(&mut self) -> Option<Result<Secrets, HandshakeError>> {
        std::mem::take(&mut self.connected).then(|| self.secrets())
    }

    fn secrets(&self) -> Result<Secrets, HandshakeError> {
        let Some(certificate) = &self.certificate else {
            return Err(HandshakeError::NoCertificate);
        };
        let state = self
            .endpoint
            .get_connection_state(PEER)
            .ok_or(HandshakeError::Unanswered)?;
        let suite = match state.srtp_protection_profile() {
            SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80 => SrtpSuite::AesCm128HmacSha1_80,
            SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm => SrtpSuite::AeadAes128Gcm,
            SrtpProtectionProfile::Srtp_Aead_Aes_256_Gcm => SrtpSuite::AeadAes256Gcm,
            SrtpProtectionProfile::Unsupported => return Err(HandshakeError::NoSrtp),
            _ => return Err(HandshakeError::Profile),
        };
        let export = |label: &str, length: usize| {
            let material = state.export_keying_material(label, &[], length)?;
            Ok::<_, HandshakeError>(Zeroizing::new(material.into_bytes()))
        };
        let material = export(
            "EXTRACTOR-dtls_srtp",
            2 * (suite.key_len() + suite.salt_len()),
        )?;
        let (send, receive) = split(suite, &material, self.role)?;
        let (own, peer) = (self.own.fingerprint(), Sha256::digest(certificate).into());
        let (client, server) = match self.role {
            Setup::Active => (own, peer),
            Setup::Passive => (peer, own),
        };
        // RFC 5705 section 4: labels of this beginning need no registration.
        let sas = Sas::derive(
            &export("EXPERIMENTAL offhook key words", 32)?,
            &client,
            &server,
        );
        Ok(Secrets { send, receive, sas })
    }

    /// Takes what the library has to say; whether it sends something.
    fn drain(&mut self, now: Instant, out: &mut VecDeque<Vec<u8>>) -> bool {
        let datagrams: Vec<_> = std::iter::from_fn(|| self.endpoint.poll_transmit())
            .map(|transmit| transmit.message.to_vec())
            .collect();
        let sent = !datagrams.is_empty();
        self.last_flight.send(datagrams, out);
        self.watch(now);
        if self.certificate.is_none() {
            self.certificate = self.displayable();
        }
        sent
    }

    fn watch(&mut self, now: Instant) {
        let library_waits = self.library_timeout().is_some();
        self.last_flight.watch(library_waits, self.complete, now);
    }

    fn displayable(&self) -> Option<Vec<u8>> {
        self.endpoint
            .get_connection_state(PEER)?
            .peer_certificates
            .first()
            .cloned()
    }
}

/// Cuts the exported key material: client key, server key, client salt, server salt (RFC 5764
/// section 4.2). We send with our own role's.
fn split(
    suite: SrtpSuite,
    material: &[u8],
    role: Setup,
) -> Result<(MasterKey, MasterKey), HandshakeError> {
    let (key, salt) = (suite.key_len(), suite.salt_len());
    if material.len() != 2 * (key + salt) {
        return Err(HandshakeError::Profile);
    }
    let (keys, salts) = material.split_at(2 * key);
    let master = |index: usize| {
        MasterKey::new(
            suite,
            &keys[index * key..][..key],
            &salts[index * salt..][..salt],
            &[],
        )
        .map_err(|_| HandshakeError::Profile)
    };
    let (client, server) = (master(0)?, master(1)?);
    Ok(match role {
        Setup::Active => (client, server),
        Setup::Passive => (server, client),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn factory() -> HandshakeFactory {
        HandshakeFactory::new(Credentials::make().unwrap()).unwrap()
    }

    #[test]
    fn key_material_is_split_as_rfc_5764_says() {
        let material: Vec<u8> = (0..60).collect();
        let (send, receive) =
            split(SrtpSuite::AesCm128HmacSha1_80, &material, Setup::Active).unwrap();
        let key = |k: std::ops::Range<usize>, s: std::ops::Range<usize>| {
            MasterKey::new(
                SrtpSuite::AesCm128HmacSha1_80,
                &material[k],
                &material[s],
                &[],
            )
            .unwrap()
        };
        assert_eq!(
            (&send, &receive),
            (&key(0..16, 32..46), &key(16..32, 46..60))
        );
        let (passive_send, passive_receive) =
            split(SrtpSuite::AesCm128HmacSha1_80, &material, Setup::Passive).unwrap();
        assert_eq!((passive_send, passive_receive), (receive, send));
        let material: Vec<u8> = (0..88).collect();
        let (send, _) = split(SrtpSuite::AeadAes256Gcm, &material, Setup::Active).unwrap();
        assert_eq!(
            send,
            MasterKey::new(
                SrtpSuite::AeadAes256Gcm,
                &material[..32],
                &material[64..76],
                &[]
            )
            .unwrap()
        );
        let (send, _) = split(SrtpSuite::AeadAes128Gcm, &material[..56], Setup::Passive).unwrap();
        assert_eq!(
            send,
            MasterKey::new(
                SrtpSuite::AeadAes128Gcm,
                &material[16..32],
                &material[44..56],
                &[]
            )
            .unwrap()
        );
        assert_eq!(
            split(SrtpSuite::AeadAes256Gcm, &material[..87], Setup::Active),
            Err(HandshakeError::Profile)
        );
    }

    #[test]
    fn both_ends_get_the_same_keys_and_sas() {
        let (l, r) = (factory(), factory());
        let now = crate::test_origin();
        let (mut to_r, mut to_l) = (VecDeque::new(), VecDeque::new());
        let mut active = Handshake::new(&l, Setup::Active, now, &mut to_r).unwrap();
        let mut passive = Handshake::new(&r, Setup::Passive, now, &mut to_l).unwrap();
        assert!(to_l.is_empty() && to_r.len() == 1, "passive waits");
        let began = crate::test_origin();
        for _ in 0..20 {
            while let Some(datagram) = to_r.pop_front() {
                assert!(datagram.len() <= LARGEST_SENT && (20..64).contains(&datagram[0]));
                passive.handle_datagram(&datagram, now, &mut to_l).unwrap();
            }
            while let Some(datagram) = to_l.pop_front() {
                active.handle_datagram(&datagram, now, &mut to_r).unwrap();
            }
        }
        // Wall clock: printed for whoever compares libraries; nothing depends on it.
        eprintln!(
            "both ends of a handshake took {:?} of processor time",
            began.elapsed()
        );
        let (a, p) = (
            active.take_secrets().unwrap().unwrap(),
            passive.take_secrets().unwrap().unwrap(),
        );
        assert_eq!((&a.send, &a.receive), (&p.receive, &p.send));
        assert_ne!(a.send, a.receive);
        assert_eq!(
            a.send.suite(),
            SrtpSuite::AeadAes256Gcm,
            "the best both have"
        );
        assert_eq!(a.sas, p.sas);
        assert_eq!(active.certificate(), Some(r.credentials().certificate()));
        assert_eq!(passive.certificate(), Some(l.credentials().certificate()));
        assert!(active.take_secrets().is_none(), "handed out once");
        assert_eq!(
            (active.poll_timeout(), passive.poll_timeout()),
            (None, None),
            "nothing left to repeat"
        );
    }

    /// A handshake up to its end, each datagram changed by `spoil`; nothing that arrives may make
    /// either end panic.
    fn corrupted(mut corrupt: impl FnMut(usize, &mut Vec<u8>)) {
        let now = crate::test_origin();
        let (mut to_r, mut to_l) = (VecDeque::new(), VecDeque::new());
        let mut active = Handshake::new(&factory(), Setup::Active, now, &mut to_r).unwrap();
        let mut passive = Handshake::new(&factory(), Setup::Passive, now, &mut to_l).unwrap();
        let mut count = 0;
        for _ in 0..8 {
            while let Some(mut datagram) = to_r.pop_front() {
                corrupt(count, &mut datagram);
                count += 1;
                let _ = passive.handle_datagram(&datagram, now, &mut to_l);
            }
            while let Some(mut datagram) = to_l.pop_front() {
                corrupt(count, &mut datagram);
                count += 1;
                let _ = active.handle_datagram(&datagram, now, &mut to_r);
            }
        }
    }

    #[test]
    fn corrupted_datagrams_do_not_panic() {
        let mut state = 1_u64;
        let mut draw = move |below: usize| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % below.max(1)
        };
        for round in 0..300 {
            corrupted(|count, datagram| {
                if count % 3 != round % 3 {
                    return;
                }
                match round % 4 {
                    0 => datagram.truncate(draw(datagram.len())),
                    1 => {
                        let index = draw(datagram.len());
                        datagram[index] ^= 1 << draw(8);
                    }
                    // Lengths of records, messages and vectors lie near the beginning.
                    2 => {
                        let index = draw(datagram.len().min(90));
                        datagram[index] = [0, 1, 0x7f, 0xff][draw(4)];
                    }
                    _ => {
                        let index = draw(datagram.len());
                        let more = datagram[index..].to_vec();
                        datagram.extend(more);
                    }
                }
            });
        }
    }

    #[test]
    fn silence_ends_in_an_error() {
        let now = crate::test_origin();
        let mut out = VecDeque::new();
        let mut active = Handshake::new(&factory(), Setup::Active, now, &mut out).unwrap();
        let mut error = None;
        while error.is_none() {
            let due = active.poll_timeout().unwrap();
            assert!(due <= now + LONGEST);
            error = active.handle_timeout(due, &mut out).err();
        }
        let most = LONGEST.as_millis() / RETRANSMISSION.as_millis();
        assert_eq!(out.len() as u128, most, "repeated until it is over");
        assert_eq!(error, Some(HandshakeError::Unanswered));
    }
}
