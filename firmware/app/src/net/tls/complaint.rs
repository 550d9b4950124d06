//! What went wrong with a TLS connection and how to fix it: the text in `status`.
//!
//! ```text
//! io::Error ─▶ rustls::Error ─▶ Refusal, dates, alerts ─┬─▶ "the certificate of … expired on …; …"
//! clock: can it be trusted? ────────────────────────────┘
//! ```

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use rustls::{AlertDescription, CertificateError, Error};

use super::clock::{Trust, date};
use super::verify::{Fingerprint, Refusal};

/// What a complaint needs to know of the connection it is about.
#[derive(Debug, Clone)]
pub(crate) struct About {
    pub(crate) remote: SocketAddr,
    /// Who was expected.
    pub(crate) names: Vec<String>,
    /// The pin that holds there: its name and fingerprint.
    pub(crate) pin: Option<(String, Fingerprint)>,
    /// What the phone's clock says, and how far it can be trusted.
    pub(crate) clock: (Duration, Trust),
}

impl About {
    fn server(&self) -> String {
        let expected = self.names.first().map_or("the far end", String::as_str);
        format!("{expected} ({})", self.remote)
    }

    /// Words for an error of a handshake or of a connection.
    pub(crate) fn complaint(&self, error: &io::Error) -> String {
        if let Some(tls) = error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<Error>())
        {
            return self.tls(tls);
        }
        let server = self.server();
        match error.kind() {
            io::ErrorKind::TimedOut => format!(
                "{server} does not answer in time; check the address, and that no firewall stands \
                 between"
            ),
            io::ErrorKind::ConnectionRefused => {
                format!("no server listens at {server}; check the port and that the server runs")
            }
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe => {
                format!(
                    "{server} closed the connection during the TLS handshake; check that this is \
                     its port for TLS"
                )
            }
            _ => format!("no TLS connection to {server}: {error}"),
        }
    }

    fn tls(&self, error: &Error) -> String {
        let server = self.server();
        match error {
            Error::InvalidCertificate(wrong) => self.certificate(wrong),
            Error::AlertReceived(alert) => refused(&server, *alert),
            Error::PeerIncompatible(why) => {
                format!(
                    "{server} speaks no TLS that is safe enough (1.2 or 1.3 with modern ciphers): \
                     {why:?}; its operator must allow it"
                )
            }
            Error::InvalidMessage(_)
            | Error::InappropriateMessage { .. }
            | Error::InappropriateHandshakeMessage { .. } => {
                format!(
                    "what answers at {server} is not TLS; check that this is its port for TLS; in \
                     a network with a sign-in page, sign in first"
                )
            }
            Error::NoCertificatesPresented => {
                format!("{server} shows no certificate; its operator must give it one")
            }
            other => format!("no TLS connection to {server}: {other}"),
        }
    }

    fn certificate(&self, wrong: &CertificateError) -> String {
        let server = self.server();
        match wrong {
            CertificateError::Expired => {
                self.dated(&format!("the certificate of {server} has expired"))
            }
            CertificateError::ExpiredContext { not_after, .. } => {
                let day = date(Duration::from_secs(not_after.as_secs()));
                self.dated(&format!("the certificate of {server} expired on {day}"))
            }
            CertificateError::NotValidYet => {
                self.dated(&format!("the certificate of {server} is not valid yet"))
            }
            CertificateError::NotValidYetContext { not_before, .. } => {
                let day = date(Duration::from_secs(not_before.as_secs()));
                self.dated(&format!(
                    "the certificate of {server} is not valid before {day}"
                ))
            }
            CertificateError::UnknownIssuer => format!(
                "the certificate of {server} is not signed by a CA this phone trusts; set tls.ca \
                 to its CA's certificate, or ask its operator for a public one"
            ),
            CertificateError::Revoked => {
                format!("the certificate of {server} was revoked; its operator must replace it")
            }
            CertificateError::BadSignature => format!(
                "the certificate of {server} is not signed by a CA this phone trusts: it names a \
                 CA of that name, but another key signed it; set tls.ca to the CA that did, unless \
                 somebody intercepts the connection"
            ),
            CertificateError::Other(other) => match other.0.downcast_ref::<Refusal>() {
                Some(Refusal::WrongName { found }) => format!(
                    "the certificate of {server} is for {found}, not for {}; its operator must \
                     issue it for that SIP domain (no wildcard), or correct account.domain",
                    self.names.join(" or ")
                ),
                Some(Refusal::NotPinned { found }) => {
                    let (name, pinned) = match &self.pin {
                        Some((name, pinned)) => {
                            (name.as_str(), control::credentials::colons(pinned))
                        }
                        None => ("none", "none".to_owned()),
                    };
                    format!(
                        "the certificate of {server} has the fingerprint {}, but [[tls.pin]] \
                         {name} says {pinned}; only if that phone was replaced, write the new one \
                         there",
                        control::credentials::colons(found)
                    )
                }
                Some(Refusal::SelfSigned) => format!(
                    "the certificate of {server} is signed by itself, it is not signed by a CA \
                     this phone trusts; if it is your own PBX's, set tls.ca to a file with that \
                     certificate, else ask its operator for a public one"
                ),
                Some(Refusal::Unreadable) | None => {
                    format!("the certificate of {server} cannot be used: {other:?}")
                }
            },
            other => format!("the certificate of {server} cannot be used: {other:?}"),
        }
    }

    /// A date is wrong: the certificate's, or the phone's own.
    fn dated(&self, what: &str) -> String {
        let (now, trust) = self.clock;
        match trust {
            Trust::Set => format!("{what}; its operator must renew it"),
            Trust::Unset => format!(
                "{what}; its operator must renew it, or this machine's clock is wrong: it says \
                 {} and no time server has set it; see that one does, the phone then tries again",
                date(now)
            ),
            Trust::Impossible => format!(
                "{what}; this machine's clock is not set: it says {}, before this program was \
                 made; it needs a time server (NTP), the phone then tries again",
                date(now)
            ),
        }
    }
}

fn refused(server: &str, alert: AlertDescription) -> String {
    match alert {
        AlertDescription::CertificateRequired | AlertDescription::NoCertificate => {
            format!(
                "{server} wants a certificate of this phone: set tls.certificate and tls.key, or \
                 have this phone's fingerprint pinned there"
            )
        }
        AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateUnknown
        | AlertDescription::CertificateExpired
        | AlertDescription::CertificateRevoked
        | AlertDescription::UnknownCA
        | AlertDescription::AccessDenied => {
            format!(
                "{server} does not accept this phone's certificate ({alert:?}): have this phone's \
                 fingerprint pinned there, or its CA trusted"
            )
        }
        AlertDescription::ProtocolVersion | AlertDescription::InsufficientSecurity => {
            format!(
                "{server} speaks no TLS that is safe enough (1.2 or 1.3): its operator must allow \
                 it"
            )
        }
        AlertDescription::UnrecognisedName => {
            format!("{server} does not know that name: is account.domain right?")
        }
        other => format!("{server} refused the TLS handshake ({other:?})"),
    }
}
