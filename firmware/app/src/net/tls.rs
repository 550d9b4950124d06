//! SIP over TLS: whom to trust, the phone's own certificate, and the connections.
//!
//! ```text
//! [tls], [[tls.pin]], identity.pem ─▶ Tls ─▶ client(names, place) ─▶ ClientConfig ─▶ connection::connect ─▶ NetworkEvent
//!                                      └───▶ server()           ─▶ ServerConfig ─▶ connection::listen  ─▶ NetworkEvent
//! clock   which time certificates are judged by          names      is it for this SIP domain?
//! verify  whom a connection is with                      complaint  what was wrong, for a user
//! files   certificates and keys on disk                  dangerous  tls.verify = false
//! ```
//!
//! TLS 1.2 and 1.3 by rustls on ring; older versions and weak ciphers are not in it at all.
//! Sessions are resumed with a server that was verified by the very same rules.

pub(crate) mod clock;
pub(crate) mod complaint;
pub(crate) mod connection;
pub(crate) mod dangerous;
pub(crate) mod files;
pub(crate) mod names;
mod verify;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use control::Credentials;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, ServerConfig};

use clock::Clock;
use complaint::About;
pub(crate) use files::{AnchorSource, system_certificates};
use files::{FileError, Own, certificates};
pub(crate) use verify::Anchors;
use verify::{Clients, Servers, Wanted};
pub(crate) use verify::{Fingerprint, KnownServer, Signatures, fingerprint, pin_refused};

/// Servers whose settings (and sessions to be resumed) are kept.
const MAX_CONFIGS: usize = 32;

/// A phone or server known by the fingerprint of its certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pin {
    /// What its owner calls it.
    pub(crate) name: String,
    /// Where it is: a host name or address.
    pub(crate) host: String,
    /// The port it is at, if that counts.
    pub(crate) port: Option<u16>,
    /// SHA-256 of its certificate.
    pub(crate) fingerprint: Fingerprint,
}

impl Pin {
    /// Whether a connection there is with it.
    fn is_at(&self, names: &[String], remote: SocketAddr) -> bool {
        let ip = self.host.parse::<IpAddr>();
        let address = ip.is_ok_and(|ip| ip.to_canonical() == remote.ip().to_canonical())
            || names
                .iter()
                .any(|name| name.eq_ignore_ascii_case(&self.host));
        address && self.port.is_none_or(|port| port == remote.port())
    }

    /// What its far end may be called.
    fn names(&self) -> Vec<String> {
        vec![
            self.host.to_ascii_lowercase(),
            self.name.to_ascii_lowercase(),
        ]
    }
}

/// What the configuration says about TLS.
#[derive(Debug, Clone, Default)]
pub(crate) struct Settings {
    /// Certificates to trust instead of the system's.
    pub(crate) ca: Option<PathBuf>,
    /// Certificate chain and key this phone shows to servers, and to those who call it.
    pub(crate) own: Option<(PathBuf, PathBuf)>,
    /// `tls.verify = false`.
    pub(crate) unverified: bool,
    /// `[[tls.pin]]`.
    pub(crate) pins: Vec<Pin>,
}

/// Why there is no TLS with somebody.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    /// A file that the configuration names cannot be used.
    #[error(transparent)]
    File(Arc<FileError>),
    /// The certificates to trust are not read yet.
    #[error("the certificates to trust are not read yet; the next attempt finds them")]
    NotRead,
    /// The phone has no certificate to show.
    #[error(
        "this phone has no certificate of its own; set tls.certificate and tls.key, or let it \
         write to control.state_dir"
    )]
    NoCertificate,
    /// The certificate and the key do not belong to each other, or are of an unknown kind.
    #[error("tls.certificate and tls.key cannot be used: {0}; issue them again")]
    Own(rustls::Error),
    /// The TLS library refuses its settings.
    #[error("TLS: {0}; report this with a support bundle")]
    Library(rustls::Error),
}

/// Why the certificates to trust are not known.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AnchorsError {
    /// The file cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// Nothing can be read.
    #[error("the certificates to trust: {0}")]
    Storage(#[from] crate::storage::StorageError),
}

/// The phone's side of every TLS connection.
pub(crate) struct Tls {
    settings: Settings,
    identity: Option<Credentials>,
    provider: Arc<CryptoProvider>,
    clock: Clock,
    /// The chain and key that the configuration names, read at start.
    own: Result<Option<Own>, Arc<FileError>>,
    /// Read when the first connection needs them.
    anchors: Option<Arc<Anchors>>,
    configs: HashMap<(Vec<String>, Option<Fingerprint>), Arc<ClientConfig>>,
}

/// What a connection to a server needs.
pub(crate) struct ClientSide {
    pub(crate) config: Arc<ClientConfig>,
    /// Name asked for (SNI).
    pub(crate) server: ServerName<'static>,
    pub(crate) about: About,
}

impl Tls {
    /// With the phone's own certificate, which direct calls need. Reads the chain and key that the
    /// configuration names: to be called before the control loop begins.
    pub(crate) fn new(settings: Settings, identity: Option<Credentials>) -> Self {
        let own = settings.own.as_ref();
        let own = own.map(|(chain, key)| Own::read(chain, key)).transpose();
        Self {
            own: own.map_err(Arc::new),
            settings,
            identity,
            provider: Arc::new(rustls::crypto::ring::default_provider()),
            clock: Clock::built(),
            anchors: None,
            configs: HashMap::new(),
        }
    }

    /// The clock certificates are judged by.
    pub(crate) fn clock(&self) -> Clock {
        self.clock
    }

    /// What must be read, by [`AnchorSource::read`] off the control thread, before a connection
    /// there can be opened; none: nothing.
    pub(crate) fn unread_anchors(
        &self,
        names: &[String],
        remote: SocketAddr,
    ) -> Option<AnchorSource> {
        let judged_by_them = !self.settings.unverified && self.pin(names, remote).is_none();
        (judged_by_them && self.anchors.is_none()).then(|| match &self.settings.ca {
            Some(path) => AnchorSource::File(path.clone()),
            None => AnchorSource::System,
        })
    }

    /// The certificates to trust were read.
    pub(crate) fn set_anchors(&mut self, anchors: Anchors) {
        self.anchors = Some(Arc::new(anchors));
    }

    fn pin(&self, names: &[String], remote: SocketAddr) -> Option<&Pin> {
        let mut pins = self.settings.pins.iter();
        pins.find(|pin| pin.is_at(names, remote))
    }

    /// Everything for a connection to a server that must be one of `names` (or the one pinned
    /// there).
    pub(crate) fn client(
        &mut self,
        names: &[String],
        remote: SocketAddr,
    ) -> Result<ClientSide, TlsError> {
        let pin = self.pin(names, remote).cloned();
        let about = About {
            remote,
            names: names.to_vec(),
            pin: pin.as_ref().map(|pin| (pin.name.clone(), pin.fingerprint)),
            clock: self.clock.read(),
        };
        let asked = names
            .first()
            .and_then(|name| ServerName::try_from(name.clone()).ok());
        let server =
            asked.unwrap_or_else(|| ServerName::IpAddress(remote.ip().to_canonical().into()));
        let pinned = pin.map(|pin| pin.fingerprint);
        let key = (names.to_vec(), pinned);
        if let Some(config) = self.configs.get(&key) {
            let config = Arc::clone(config);
            return Ok(ClientSide {
                config,
                server,
                about,
            });
        }
        let config = Arc::new(self.client_config(names, pinned)?);
        if self.configs.len() >= MAX_CONFIGS {
            self.configs.clear();
        }
        self.configs.insert(key, Arc::clone(&config));
        Ok(ClientSide {
            config,
            server,
            about,
        })
    }

    fn client_config(
        &self,
        names: &[String],
        pinned: Option<Fingerprint>,
    ) -> Result<ClientConfig, TlsError> {
        let signatures = Signatures(Arc::clone(&self.provider));
        let verifier: Arc<dyn ServerCertVerifier> = match pinned {
            Some(pinned) => Arc::new(Servers {
                wanted: Wanted::Pinned(pinned),
                signatures,
            }),
            None if self.settings.unverified => Arc::new(dangerous::NoVerification { signatures }),
            None => Arc::new(Servers {
                wanted: Wanted::Named {
                    names: names.to_vec(),
                    anchors: self.anchors.clone().ok_or(TlsError::NotRead)?,
                },
                signatures,
            }),
        };
        let builder =
            ClientConfig::builder_with_details(Arc::clone(&self.provider), Arc::new(self.clock))
                .with_safe_default_protocol_versions()
                .map_err(TlsError::Library)?
                // "dangerous" is to bring a verifier of one's own: `verify` is ours, stricter than
                // the usual one.
                .dangerous()
                .with_custom_certificate_verifier(verifier);
        // A certificate of the owner's is shown to every server that asks; the phone's own only to
        // those who know it.
        let own = match (self.own()?, pinned) {
            (Some(own), _) => Some(own),
            (None, Some(_)) => self.identity.as_ref().map(own_of),
            (None, None) => None,
        };
        match own {
            Some(own) => builder
                .with_client_auth_cert(own.chain, own.key)
                .map_err(TlsError::Own),
            None => Ok(builder.with_no_client_auth()),
        }
    }

    /// The side that is called: shows the phone's certificate, lets in whom the pins allow.
    pub(crate) fn server(&self) -> Result<Arc<ServerConfig>, TlsError> {
        let own = self.own()?.or_else(|| self.identity.as_ref().map(own_of));
        let own = own.ok_or(TlsError::NoCertificate)?;
        let clients = Clients {
            pinned: self
                .settings
                .pins
                .iter()
                .map(|pin| pin.fingerprint)
                .collect(),
            signatures: Signatures(Arc::clone(&self.provider)),
        };
        ServerConfig::builder_with_details(Arc::clone(&self.provider), Arc::new(self.clock))
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Library)?
            .with_client_cert_verifier(Arc::new(clients))
            .with_single_cert(own.chain, own.key)
            .map(Arc::new)
            .map_err(TlsError::Own)
    }

    /// The pins, to know who came in.
    pub(crate) fn pins(&self) -> &[Pin] {
        &self.settings.pins
    }

    /// The chain and key that the configuration names.
    fn own(&self) -> Result<Option<Own>, TlsError> {
        self.own.clone().map_err(TlsError::File)
    }
}

/// What a client of TLS needs for a server that shows this certificate and no other.
pub(crate) fn pinned(fingerprint: Fingerprint) -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = Servers {
        wanted: Wanted::Pinned(fingerprint),
        signatures: Signatures(Arc::clone(&provider)),
    };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        // "dangerous" is to bring a verifier of one's own.
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    Ok(builder.with_no_client_auth())
}

/// The phone's own certificate and key.
fn own_of(identity: &Credentials) -> Own {
    Own {
        chain: vec![CertificateDer::from(identity.certificate().to_vec())],
        key: PrivatePkcs8KeyDer::from(identity.private_key().to_vec()).into(),
    }
}

/// What the configuration says.
pub(crate) fn settings(config: &config::Config) -> Settings {
    let tls = &config.tls;
    if !tls.verify {
        tracing::error!("{}", control::UNVERIFIED_TLS);
    }
    Settings {
        ca: tls.ca.clone(),
        own: tls.certificate.clone().zip(tls.key.clone()),
        unverified: !tls.verify,
        pins: tls.pins.iter().map(pin_of).collect(),
    }
}

fn pin_of(pin: &config::schema::Pin) -> Pin {
    // An IPv6 address stands in brackets, so a colon behind them begins the port.
    let (host, port) = match pin.address.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port.parse().ok()),
        Some(_) | None => (pin.address.as_str(), None),
    };
    Pin {
        name: pin.name.clone(),
        host: host.trim_matches(['[', ']']).to_owned(),
        port,
        fingerprint: pin.fingerprint,
    }
}

/// Why this phone's certificate is not known.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OwnCertificateError {
    /// The file that the configuration names.
    #[error(transparent)]
    File(#[from] FileError),
    /// The phone's own.
    #[error(transparent)]
    Identity(#[from] crate::identity::IdentityError),
}

/// The fingerprint others pin: of the certificate the configuration names, else of the phone's own.
pub(crate) fn own_fingerprint(config: &config::Config) -> Result<String, OwnCertificateError> {
    if let Some(path) = &config.tls.certificate {
        let chain = certificates(path)?;
        let own = chain.first().map(fingerprint).unwrap_or_default();
        return Ok(control::credentials::colons(&own));
    }
    let own = crate::identity::load_or_make(&config.control.state_dir, &crate::storage::Disk)?;
    Ok(own.fingerprint_text())
}

#[cfg(test)]
mod tests;
