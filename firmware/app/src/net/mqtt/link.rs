//! The bytes under MQTT: TCP, or TLS to a broker that is who it should be; and the traits by which
//! `rust_mqtt` reads and writes them.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use embedded_io_async::{ErrorKind, ErrorType, Read, Write};
use rust_mqtt::buffer::BufferProvider;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufStream};
use tokio::time::timeout;

use super::error::Failure;
use crate::net::fetch::{self, Trust};
use crate::net::tls;

/// How long a connection may take to open, and then the handshake of TLS.
const OPENING: Duration = Duration::from_secs(15);
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Largest part of a packet that is held.
const MAX_BUFFER: usize = 64 * 1024;

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// How the connection is protected.
pub(super) enum Security {
    /// Not at all: the owner wants it so.
    Plain,
    /// By TLS, the broker judged by its authority.
    Tls(Trust),
    /// By TLS, the broker known by its certificate.
    Pinned(Arc<rustls::ClientConfig>),
    /// The TLS library refuses its settings.
    Broken(rustls::Error),
}

impl Security {
    pub(super) fn of(mqtt: &config::schema::Mqtt, trust: &Trust) -> Self {
        if !mqtt.tls {
            tracing::warn!(
                "mqtt.tls = false: everyone on the path to the broker can read the password and \
                 give orders"
            );
            return Self::Plain;
        }
        match (mqtt.fingerprint, &mqtt.ca) {
            (Some(fingerprint), _) => match tls::pinned(fingerprint) {
                Ok(config) => Self::Pinned(Arc::new(config)),
                Err(error) => Self::Broken(error),
            },
            (None, Some(ca)) => Self::Tls(Trust::load(Some(ca))),
            (None, None) => Self::Tls(trust.clone()),
        }
    }

    /// A connection to the broker.
    pub(super) async fn open(&self, host: &str, port: u16) -> Result<Link, Failure> {
        let tls = match self {
            Self::Plain => None,
            Self::Tls(trust) => Some(trust.config().await.map_err(Failure::Authority)?),
            Self::Pinned(config) => Some(Arc::clone(config)),
            Self::Broken(error) => return Err(Failure::Tls(error.clone())),
        };
        let tcp = timeout(OPENING, fetch::open(host, port))
            .await
            .map_err(|_| Failure::Silent)?
            .map_err(Failure::Connect)?;
        // A message is whole when it is written; waiting for more helps no one.
        let _ = tcp.set_nodelay(true);
        match tls {
            None => Ok(Link::new(tcp)),
            Some(config) => {
                let name = ServerName::try_from(host.to_owned()).map_err(|_| Failure::Name)?;
                let connector = tokio_rustls::TlsConnector::from(config);
                let opened = timeout(HANDSHAKE, connector.connect(name, tcp))
                    .await
                    .map_err(|_| Failure::NoHandshake)?;
                let stream = opened.map_err(|error| Failure::of_handshake(&error))?;
                Ok(Link::new(stream))
            }
        }
    }
}

/// A connection, written in whole messages.
pub(super) struct Link(BufStream<Box<dyn Stream>>);

impl Link {
    pub(super) fn new(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Self {
        Self(BufStream::new(Box::new(stream)))
    }
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Link")
    }
}

/// The connection broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct LinkError(io::ErrorKind);

impl embedded_io_async::Error for LinkError {
    fn kind(&self) -> ErrorKind {
        match self.0 {
            io::ErrorKind::ConnectionReset => ErrorKind::ConnectionReset,
            io::ErrorKind::ConnectionAborted => ErrorKind::ConnectionAborted,
            io::ErrorKind::BrokenPipe => ErrorKind::BrokenPipe,
            io::ErrorKind::TimedOut => ErrorKind::TimedOut,
            _ => ErrorKind::Other,
        }
    }
}

impl From<io::Error> for LinkError {
    fn from(error: io::Error) -> Self {
        Self(error.kind())
    }
}

impl ErrorType for Link {
    type Error = LinkError;
}

impl Read for Link {
    async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, LinkError> {
        Ok(self.0.read(buffer).await?)
    }
}

impl Write for Link {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, LinkError> {
        Ok(self.0.write(bytes).await?)
    }

    async fn flush(&mut self) -> Result<(), LinkError> {
        Ok(self.0.flush().await?)
    }
}

/// Memory for parts of packets, never more than a small packet needs.
#[derive(Debug)]
pub(super) struct Buffers;

/// The broker's packet is too large.
#[derive(Debug)]
pub(super) struct TooLarge;

impl BufferProvider<'_> for Buffers {
    type Buffer = Box<[u8]>;
    type ProvisionError = TooLarge;

    fn provide_buffer(&mut self, length: usize) -> Result<Box<[u8]>, TooLarge> {
        if length > MAX_BUFFER {
            return Err(TooLarge);
        }
        Ok(vec![0; length].into_boxed_slice())
    }
}
