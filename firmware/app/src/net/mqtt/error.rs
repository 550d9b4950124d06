//! Why there is no connection with the broker, in one sentence that says what to do.

use std::io;

use rust_mqtt::client::MqttError as ClientError;
use rust_mqtt::types::ReasonCode;
use rustls::CertificateError;

use crate::net::fetch::AuthorityError;
use crate::net::tls::pin_refused;

/// What went wrong with which broker.
#[derive(Debug, thiserror::Error)]
#[error("the broker {broker} {failure}")]
pub(super) struct MqttError {
    broker: String,
    failure: Failure,
}

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// No TCP connection.
    #[error("cannot be reached: {0}; check mqtt.broker, and that it runs")]
    Connect(io::Error),
    /// Nothing comes back.
    #[error("does not answer; is the address right, does a firewall stand between?")]
    Silent,
    /// TCP, and then nothing.
    #[error("does not answer to TLS; is this its port for TLS? One without has mqtt.tls = false")]
    NoHandshake,
    /// The certificates to trust cannot be read.
    #[error("cannot be verified: {0}")]
    Authority(AuthorityError),
    /// No CA known vouches for it.
    #[error(
        "shows a certificate that is not signed by a CA this phone trusts; set mqtt.ca to its CA's \
         certificate, or mqtt.fingerprint to the SHA-256 of its own"
    )]
    Untrusted,
    /// It is for somebody else.
    #[error(
        "shows a certificate for another name; correct mqtt.broker, or have it issued for that name"
    )]
    OtherName,
    /// Its time is over or not come.
    #[error(
        "shows a certificate that is not valid at this time; renew it, and see that this machine's \
         clock is right"
    )]
    OutOfTime,
    /// It is not the one pinned.
    #[error(
        "shows a certificate with the fingerprint {0}, which is not mqtt.fingerprint; only if it \
         was renewed, write the new one there"
    )]
    NotPinned(String),
    /// What answers is no TLS.
    #[error("does not speak TLS on this port; use its port for TLS, or mqtt.tls = false")]
    NoTls,
    /// Anything else of TLS.
    #[error("cannot be spoken to by TLS: {0}")]
    Tls(rustls::Error),
    /// User and password.
    #[error("refuses the login; correct mqtt.user and mqtt.password")]
    Login,
    /// Another has this name.
    #[error(
        "has another client of this name; give each phone its own mqtt.name or network.host_name"
    )]
    TakenOver,
    /// It says so, and why.
    #[error("ended the connection: {0:?}")]
    Ended(ReasonCode),
    /// It does not let orders be read.
    #[error("does not let this phone read its orders; allow it to subscribe to its topics")]
    NoSubscription,
    /// It speaks something else.
    #[error(
        "sends what is not MQTT 5.0, or packets that are too large; it must speak MQTT 5.0 on this \
         port: update one that knows 3.1.1 only (mosquitto speaks 5.0 from 1.6 on)"
    )]
    Protocol,
    /// It is gone before it said anything, as some are that know an older version only.
    #[error(
        "ends the connection instead of answering; it must speak MQTT 5.0 on this port (mosquitto \
         does from 1.6 on), and without TLS where mqtt.tls = false"
    )]
    Unanswered,
    /// The connection is gone.
    #[error("is gone; the phone tries again")]
    Lost,
    /// A name that cannot be written in MQTT or TLS.
    #[error("cannot be spoken to under that name; correct mqtt.broker, mqtt.topic and mqtt.name")]
    Name,
}

impl MqttError {
    pub(super) fn new(broker: &str, failure: Failure) -> Self {
        Self {
            broker: broker.to_owned(),
            failure,
        }
    }

    /// Trying again soon would not help, and would disturb others.
    pub(super) fn is_final_for_a_while(&self) -> bool {
        matches!(
            self.failure,
            Failure::TakenOver | Failure::Login | Failure::NotPinned(_)
        )
    }
}

impl Failure {
    /// What a handshake of TLS died of.
    pub(super) fn of_handshake(error: &io::Error) -> Self {
        let inner = error.get_ref();
        let Some(tls) = inner.and_then(|inner| inner.downcast_ref::<rustls::Error>()) else {
            return match error.kind() {
                io::ErrorKind::UnexpectedEof
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::BrokenPipe => Self::NoHandshake,
                kind => Self::Connect(kind.into()),
            };
        };
        match tls {
            rustls::Error::InvalidCertificate(wrong) => match wrong {
                CertificateError::NotValidForName
                | CertificateError::NotValidForNameContext { .. } => Self::OtherName,
                CertificateError::Expired
                | CertificateError::ExpiredContext { .. }
                | CertificateError::NotValidYet
                | CertificateError::NotValidYetContext { .. } => Self::OutOfTime,
                other => match pin_refused(other) {
                    Some(found) => Self::NotPinned(control::credentials::colons(&found)),
                    // Also one signed by itself, which webpki complains of in other words.
                    None => Self::Untrusted,
                },
            },
            rustls::Error::InvalidMessage(_)
            | rustls::Error::InappropriateMessage { .. }
            | rustls::Error::InappropriateHandshakeMessage { .. } => Self::NoTls,
            other => Self::Tls(other.clone()),
        }
    }
}

impl<const PROPERTIES: usize> From<ClientError<'_, PROPERTIES>> for Failure {
    fn from(error: ClientError<'_, PROPERTIES>) -> Self {
        match error {
            ClientError::Network(_) => Self::Lost,
            ClientError::Disconnect { reason, .. } => match reason {
                ReasonCode::BadUserNameOrPassword | ReasonCode::NotAuthorized => Self::Login,
                ReasonCode::SessionTakenOver => Self::TakenOver,
                ReasonCode::UnsupportedProtocolVersion => Self::Protocol,
                ReasonCode::ServerShuttingDown => Self::Lost,
                other => Self::Ended(other),
            },
            _ => Self::Protocol,
        }
    }
}
