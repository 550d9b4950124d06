//! One DTLS handshake with one address: what `dimpl` does, in our terms.
//!
//! ```text
//! datagram, now ─▶ Handshake ─▶ datagrams to send (flights and their retransmissions)
//!                      ├──────▶ the peer's certificate, as soon as it is known
//!                      └──────▶ Secrets: SRTP master keys (RFC 5764 section 4.2), when the handshake is complete
//! ```
//!
//! A complete handshake proves that the peer holds the key of its certificate, nothing more: whose certificate it is, the
//! [`super::association`] decides.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dimpl::{Dtls, DtlsCertificate, Output, SrtpProfile};
use media::{MasterKey, Suite};
use sha2::{Digest, Sha256};
use sip::privacy::Setup;
use zeroize::Zeroizing;

use super::words::Words;
use crate::identity::Credentials;

/// First retransmission after this time; it doubles. RFC 6347 section 4.2.4.1 wants a second where nothing better is known: here
/// somebody waits for sound, and flights are small.
const FIRST_RETRANSMISSION: Duration = Duration::from_millis(400);
/// Retransmissions of one flight: the last leaves 12.4 s after the first try.
const RETRANSMISSIONS: usize = 5;
/// A handshake that took so long will not end well.
pub(crate) const LONGEST: Duration = Duration::from_secs(15);
/// Largest datagram sent: fits every tunnel of an IPv6 path.
const LARGEST_SENT: usize = 1200;
/// Room for whatever `dimpl` hands out: it keeps at most 30 datagrams of a flight, each no longer than an Ethernet frame, so no
/// certificate is longer.
const SCRATCH: usize = 64 * 1024;
/// What lies further ahead is no timer of a handshake.
const NO_TIMER: Duration = Duration::from_secs(3600);

/// Why a handshake came to nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// `dimpl` gave up.
    #[error("{0}")]
    Dtls(#[from] dimpl::Error),
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

/// What a complete handshake is worth.
#[derive(Debug, Clone)]
pub struct Secrets {
    /// What we protect with.
    pub send: MasterKey,
    /// What the peer protects with.
    pub receive: MasterKey,
    /// What both ends can read to each other.
    pub words: Words,
}

/// What all handshakes of a phone share.
#[derive(Clone)]
pub(crate) struct Maker {
    config: Arc<dimpl::Config>,
    credentials: Arc<Credentials>,
}

impl Maker {
    pub(crate) fn new(credentials: Credentials) -> Result<Self, HandshakeError> {
        let config = dimpl::Config::builder()
            .mtu(LARGEST_SENT)
            .flight_start_rto(FIRST_RETRANSMISSION)
            .flight_retries(RETRANSMISSIONS)
            .handshake_timeout(LONGEST)
            .build()?;
        Ok(Self {
            config: Arc::new(config),
            credentials: Arc::new(credentials),
        })
    }

    pub(crate) fn credentials(&self) -> &Credentials {
        &self.credentials
    }
}

/// One handshake.
pub(crate) struct Handshake {
    dtls: Dtls,
    role: Setup,
    own: Arc<Credentials>,
    certificate: Option<Vec<u8>>,
    connected: bool,
    keys: Option<(SrtpProfile, Zeroizing<Vec<u8>>)>,
    due: Option<Instant>,
}

impl Handshake {
    /// A handshake about to begin: active sends its first datagram at once, passive waits for one.
    pub(crate) fn new(maker: &Maker, role: Setup, now: Instant, out: &mut VecDeque<Vec<u8>>) -> Result<Self, HandshakeError> {
        let certificate = DtlsCertificate {
            certificate: maker.credentials.certificate().to_vec(),
            private_key: maker.credentials.private_key().to_vec(),
        };
        // DTLS 1.2 is what every peer of RFC 5763 speaks; 1.3 would be a second protocol to trust for nothing gained.
        let mut dtls = Dtls::new_12(Arc::clone(&maker.config), certificate, now);
        dtls.set_active(role == Setup::Active);
        let mut handshake = Self {
            dtls,
            role,
            own: Arc::clone(&maker.credentials),
            certificate: None,
            connected: false,
            keys: None,
            due: None,
        };
        handshake.handle_timeout(now, out)?;
        Ok(handshake)
    }

    /// A datagram of the peer. An error ends the handshake.
    pub(crate) fn handle_datagram(&mut self, bytes: &[u8], now: Instant, out: &mut VecDeque<Vec<u8>>) -> Result<(), HandshakeError> {
        self.dtls.handle_timeout(now)?;
        self.drain(now, out);
        self.dtls.handle_packet(bytes)?;
        self.drain(now, out);
        Ok(())
    }

    /// Time passed. An error ends the handshake.
    pub(crate) fn handle_timeout(&mut self, now: Instant, out: &mut VecDeque<Vec<u8>>) -> Result<(), HandshakeError> {
        self.dtls.handle_timeout(now)?;
        self.drain(now, out);
        Ok(())
    }

    /// When to call [`Handshake::handle_timeout`].
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.due
    }

    /// The peer's certificate (DER), once it was shown. Until the handshake is complete it proves nothing.
    pub(crate) fn certificate(&self) -> Option<&[u8]> {
        self.certificate.as_deref()
    }

    /// The keys, once the handshake is complete; handed out once.
    pub(crate) fn take_secrets(&mut self) -> Option<Result<Secrets, HandshakeError>> {
        if !self.connected {
            return None;
        }
        self.connected = false;
        let Some((profile, material)) = self.keys.take() else {
            return Some(Err(HandshakeError::NoSrtp));
        };
        let Some(certificate) = &self.certificate else {
            return Some(Err(HandshakeError::NoCertificate));
        };
        let (own, peer) = (self.own.fingerprint(), Sha256::digest(certificate).into());
        let (client, server) = match self.role {
            Setup::Active => (own, peer),
            Setup::Passive => (peer, own),
        };
        let words = Words::derive(&material, &client, &server);
        Some(split(profile, &material, self.role).map(|(send, receive)| Secrets { send, receive, words }))
    }

    fn drain(&mut self, now: Instant, out: &mut VecDeque<Vec<u8>>) {
        let mut scratch = vec![0; SCRATCH];
        loop {
            match self.dtls.poll_output(&mut scratch) {
                Output::Packet(bytes) => out.push_back(bytes.to_vec()),
                Output::PeerCert(der) => self.certificate = Some(der.to_vec()),
                Output::KeyingMaterial(material, profile) => self.keys = Some((profile, Zeroizing::new(material.to_vec()))),
                Output::Connected => self.connected = true,
                Output::Timeout(at) => {
                    self.due = Some(at).filter(|at| at.saturating_duration_since(now) < NO_TIMER);
                    break;
                }
                // Larger than `SCRATCH` it cannot be.
                Output::BufferTooSmall { .. } => break,
                // Application data is nobody's here, and a close_notify ends no call: signalling does.
                _ => {}
            }
        }
    }
}

/// Cuts the exported key material: client key, server key, client salt, server salt (RFC 5764 section 4.2). We send with our own role's.
fn split(profile: SrtpProfile, material: &[u8], role: Setup) -> Result<(MasterKey, MasterKey), HandshakeError> {
    let suite = match profile {
        SrtpProfile::AES128_CM_SHA1_80 => Suite::AesCm128HmacSha1_80,
        SrtpProfile::AEAD_AES_128_GCM => Suite::AeadAes128Gcm,
        SrtpProfile::AEAD_AES_256_GCM => Suite::AeadAes256Gcm,
        _ => return Err(HandshakeError::Profile),
    };
    let (key, salt) = (suite.key_len(), suite.salt_len());
    if material.len() != 2 * (key + salt) {
        return Err(HandshakeError::Profile);
    }
    let (keys, salts) = material.split_at(2 * key);
    let master = |place: usize| {
        MasterKey::new(suite, &keys[place * key..][..key], &salts[place * salt..][..salt], &[]).map_err(|_| HandshakeError::Profile)
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

    pub(crate) fn maker() -> Maker {
        Maker::new(Credentials::make().unwrap()).unwrap()
    }

    #[test]
    fn key_material_is_cut_as_the_rfc_says() {
        let material: Vec<u8> = (0..60).collect();
        let (send, receive) = split(SrtpProfile::AES128_CM_SHA1_80, &material, Setup::Active).unwrap();
        let key = |k: std::ops::Range<usize>, s: std::ops::Range<usize>| {
            MasterKey::new(Suite::AesCm128HmacSha1_80, &material[k], &material[s], &[]).unwrap()
        };
        assert_eq!((&send, &receive), (&key(0..16, 32..46), &key(16..32, 46..60)));
        let (passive_send, passive_receive) = split(SrtpProfile::AES128_CM_SHA1_80, &material, Setup::Passive).unwrap();
        assert_eq!((passive_send, passive_receive), (receive, send));
        let material: Vec<u8> = (0..88).collect();
        let (send, _) = split(SrtpProfile::AEAD_AES_256_GCM, &material, Setup::Active).unwrap();
        assert_eq!(
            send,
            MasterKey::new(Suite::AeadAes256Gcm, &material[..32], &material[64..76], &[]).unwrap()
        );
        let (send, _) = split(SrtpProfile::AEAD_AES_128_GCM, &material[..56], Setup::Passive).unwrap();
        assert_eq!(
            send,
            MasterKey::new(Suite::AeadAes128Gcm, &material[16..32], &material[44..56], &[]).unwrap()
        );
        assert_eq!(
            split(SrtpProfile::AEAD_AES_256_GCM, &material[..87], Setup::Active),
            Err(HandshakeError::Profile)
        );
    }

    #[test]
    fn two_ends_get_the_same_keys_crosswise_and_the_same_words() {
        let (l, r) = (maker(), maker());
        let now = Instant::now();
        let (mut to_r, mut to_l) = (VecDeque::new(), VecDeque::new());
        let mut active = Handshake::new(&l, Setup::Active, now, &mut to_r).unwrap();
        let mut passive = Handshake::new(&r, Setup::Passive, now, &mut to_l).unwrap();
        assert!(to_l.is_empty() && to_r.len() == 1, "passive waits");
        let began = Instant::now();
        for _ in 0..20 {
            while let Some(datagram) = to_r.pop_front() {
                assert!(datagram.len() <= LARGEST_SENT && (20..64).contains(&datagram[0]));
                passive.handle_datagram(&datagram, now, &mut to_l).unwrap();
            }
            while let Some(datagram) = to_l.pop_front() {
                active.handle_datagram(&datagram, now, &mut to_r).unwrap();
            }
        }
        eprintln!("both ends of a handshake took {:?} of processor time", began.elapsed());
        let (a, p) = (active.take_secrets().unwrap().unwrap(), passive.take_secrets().unwrap().unwrap());
        assert_eq!((&a.send, &a.receive), (&p.receive, &p.send));
        assert_ne!(a.send, a.receive);
        assert_eq!(a.send.suite(), Suite::AeadAes256Gcm, "the best both have");
        assert_eq!(a.words, p.words);
        assert_eq!(active.certificate(), Some(r.credentials().certificate()));
        assert_eq!(passive.certificate(), Some(l.credentials().certificate()));
        assert!(active.take_secrets().is_none(), "handed out once");
        assert_eq!(
            (active.poll_timeout(), passive.poll_timeout()),
            (None, None),
            "nothing left to repeat"
        );
    }

    #[test]
    fn nobody_there_is_an_error_in_the_end() {
        let now = Instant::now();
        let mut out = VecDeque::new();
        let mut active = Handshake::new(&maker(), Setup::Active, now, &mut out).unwrap();
        let mut error = None;
        while error.is_none() {
            let due = active.poll_timeout().unwrap();
            assert!(due <= now + LONGEST);
            error = active.handle_timeout(due, &mut out).err();
        }
        assert_eq!(out.len(), 1 + RETRANSMISSIONS);
        assert!(matches!(error, Some(HandshakeError::Dtls(dimpl::Error::Timeout(_)))), "{error:?}");
    }
}
