//! Requests to a server and its responses, over a socket that only this check uses.
//!
//! ```text
//! Target ─▶ open: UDP · TCP · TLS (verified as the phone does) ─▶ request ─▶ final response, or silence
//! ```

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use sip::message::{Message, Request, Response};
use sip::stream::{Frame, StreamReader};
use sip::{Target, Transport};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio_rustls::TlsConnector;

use super::finding::Finding;
use crate::net::tls::Tls;
use crate::net::tls::clock::date;
use crate::net::tls::names::Identities;

/// How long a connection may take to open, and then its TLS handshake.
const OPENING: Duration = Duration::from_secs(5);
/// How long a server may take for a final response.
const ANSWER_TIME: Duration = Duration::from_secs(5);
/// First time between repetitions of a datagram (T1, RFC 3261 section 17.1.2.1).
const REPEAT: Duration = Duration::from_millis(500);
/// Certificates that end sooner are worth a warning.
const EXPIRES_SOON: Duration = Duration::from_secs(14 * 86_400);

/// Why no SIP can be exchanged with a server.
#[derive(Debug)]
pub(super) enum OpenError {
    /// The port is closed.
    Refused,
    /// Nothing answers.
    Silent,
    /// TLS failed; the words say what to do.
    Tls(String),
    /// What answers speaks this, where that is known, and not SIP.
    NotSip(Option<&'static str>),
    /// The connection opens, and ends without an answer.
    Closed,
    /// The network has no route to it.
    Network(io::Error),
}

impl OpenError {
    fn of(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Self::Refused,
            io::ErrorKind::TimedOut => Self::Silent,
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe => Self::Closed,
            _ => Self::Network(error),
        }
    }
}

/// A stream of bytes, encrypted or not.
trait Bytes: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Bytes for T {}

enum Link {
    Datagrams(UdpSocket),
    Stream {
        bytes: Box<dyn Bytes>,
        reader: StreamReader,
    },
}

/// An open socket or connection to one server.
pub(super) struct Exchange {
    pub(super) target: Target,
    /// This machine's address towards it.
    pub(super) local: SocketAddr,
    link: Link,
    /// What the server showed of itself, and the protocol's version.
    shown: Option<(Vec<CertificateDer<'static>>, String)>,
    now: Duration,
}

impl Exchange {
    /// Opens it. A closed UDP port shows when something is sent.
    pub(super) async fn open(
        target: Target,
        identities: &[String],
        tls: &mut Tls,
    ) -> Result<Self, OpenError> {
        let remote = target.address;
        let now = tls.clock().read().0;
        if target.transport == Transport::Udp {
            let any: SocketAddr = if remote.is_ipv4() {
                ([0, 0, 0, 0], 0).into()
            } else {
                ([0_u16; 8], 0).into()
            };
            let socket = UdpSocket::bind(any).await.map_err(OpenError::Network)?;
            socket.connect(remote).await.map_err(OpenError::of)?;
            let local = socket.local_addr().map_err(OpenError::Network)?;
            return Ok(Self {
                target,
                local,
                link: Link::Datagrams(socket),
                shown: None,
                now,
            });
        }
        let stream = tokio::time::timeout(OPENING, TcpStream::connect(remote)).await;
        let stream = stream
            .map_err(|_| OpenError::Silent)?
            .map_err(OpenError::of)?;
        let local = stream.local_addr().map_err(OpenError::Network)?;
        let mut shown = None;
        let bytes: Box<dyn Bytes> = if target.transport == Transport::Tls {
            // This runs in a thread of its own, which may wait for files.
            if let Some(source) = tls.unread_anchors(identities, remote) {
                let anchors = source.read();
                tls.set_anchors(anchors.map_err(|error| OpenError::Tls(error.to_string()))?);
            }
            let side = tls.client(identities, remote);
            let side = side.map_err(|error| OpenError::Tls(error.to_string()))?;
            let handshake = TlsConnector::from(side.config).connect(side.server, stream);
            let done = tokio::time::timeout(OPENING, handshake).await;
            let done = done.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
            let stream = done.map_err(|error| OpenError::Tls(side.about.complaint(&error)))?;
            let (_, session) = stream.get_ref();
            let chain = session.peer_certificates().unwrap_or_default();
            let chain = chain.iter().map(|one| one.clone().into_owned()).collect();
            let version = match session.protocol_version() {
                Some(rustls::ProtocolVersion::TLSv1_3) => "TLS 1.3",
                _ => "TLS 1.2",
            };
            shown = Some((chain, version.to_owned()));
            Box::new(stream)
        } else {
            Box::new(stream)
        };
        Ok(Self {
            target,
            local,
            link: Link::Stream {
                bytes,
                reader: StreamReader::default(),
            },
            shown,
            now,
        })
    }

    /// What the server's certificate says, once it was accepted.
    pub(super) fn certificate(&self, about: &str) -> Option<Finding> {
        let (chain, version) = self.shown.as_ref()?;
        let (_, own) = x509_parser::parse_x509_certificate(chain.first()?).ok()?;
        let names = Identities::of(&own).listed();
        let ends = u64::try_from(own.validity().not_after.timestamp()).unwrap_or(0);
        let ends = Duration::from_secs(ends);
        let text = format!(
            "{version} with {}: certificate for {names}, valid until {}, signed by {}",
            self.target.address,
            date(ends),
            signers(chain)
        );
        if ends < self.now + EXPIRES_SOON {
            let help = "its operator must renew it within two weeks";
            return Some(Finding::warning(about, &text, help));
        }
        Some(Finding::good(about, &text))
    }

    /// Sends a request that has no response of its own. That it is lost shows in what follows.
    pub(super) async fn send(&mut self, request: &Request) {
        let bytes = request.to_bytes();
        let sent = match &mut self.link {
            Link::Datagrams(socket) => socket.send(&bytes).await.map(drop),
            Link::Stream { bytes: link, .. } => link.write_all(&bytes).await,
        };
        if let Err(error) = sent {
            tracing::debug!("{} to {}: {error}", request.method, self.target.address);
        }
    }

    /// Sends a request and waits for its final response; a datagram is repeated meanwhile.
    pub(super) async fn request(&mut self, request: &Request) -> Result<Response, OpenError> {
        let bytes = request.to_bytes();
        let answer = tokio::time::timeout(ANSWER_TIME, self.exchange(&bytes, request)).await;
        answer.map_err(|_| OpenError::Silent)?
    }

    async fn exchange(&mut self, bytes: &[u8], request: &Request) -> Result<Response, OpenError> {
        match &mut self.link {
            Link::Datagrams(socket) => {
                let mut buffer = vec![0; crate::net::udp::MAX_DATAGRAM];
                let mut pause = REPEAT;
                socket.send(bytes).await.map_err(OpenError::of)?;
                loop {
                    match tokio::time::timeout(pause, socket.recv(&mut buffer)).await {
                        Err(_) => {
                            socket.send(bytes).await.map_err(OpenError::of)?;
                            pause *= 2;
                        }
                        Ok(Err(error)) => return Err(OpenError::of(error)),
                        Ok(Ok(length)) => {
                            if let Some(response) = answer_to(request, &buffer[..length]) {
                                return Ok(response);
                            }
                        }
                    }
                }
            }
            Link::Stream {
                bytes: link,
                reader,
            } => {
                link.write_all(bytes).await.map_err(OpenError::of)?;
                link.flush().await.map_err(OpenError::of)?;
                let mut buffer = vec![0; 16 * 1024];
                loop {
                    while let Some(frame) = reader.poll() {
                        match frame {
                            Ok(Frame::Message(message)) => {
                                if let Some(response) = answer_to(request, &message) {
                                    return Ok(response);
                                }
                            }
                            Ok(Frame::Ping | Frame::Pong) => {}
                            Err(error) => {
                                tracing::debug!("{}: {error}", self.target.address);
                                return Err(OpenError::NotSip(None));
                            }
                        }
                    }
                    let length = link.read(&mut buffer).await.map_err(OpenError::of)?;
                    if length == 0 {
                        return Err(OpenError::Closed);
                    }
                    // A sign-in page of a guest network answers at every port.
                    if buffer[..length].starts_with(b"HTTP/") {
                        return Err(OpenError::NotSip(Some("HTTP")));
                    }
                    reader.push(&buffer[..length]);
                }
            }
        }
    }
}

/// The final response to a request, if these bytes are it.
fn answer_to(request: &Request, bytes: &[u8]) -> Option<Response> {
    let Ok(Message::Response(response)) = Message::parse(bytes) else {
        return None;
    };
    let same = response.headers.call_id().ok() == request.headers.call_id().ok()
        && response.headers.cseq().ok() == request.headers.cseq().ok();
    (same && !response.is_provisional()).then_some(response)
}

/// Who signed the first certificate, who signed that one, and so on as far as the server shows it.
fn signers(chain: &[CertificateDer<'_>]) -> String {
    let mut names: Vec<String> = Vec::new();
    for certificate in chain {
        let Ok((_, certificate)) = x509_parser::parse_x509_certificate(certificate) else {
            break;
        };
        let name = common_name(certificate.issuer());
        // A root is signed by itself.
        if names.last() != Some(&name) {
            names.push(name);
        }
    }
    names.join(", and that by ")
}

fn common_name(name: &x509_parser::x509::X509Name<'_>) -> String {
    let common = name
        .iter_common_name()
        .next()
        .and_then(|part| part.as_str().ok());
    common.map_or_else(|| name.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

    use super::*;

    fn named(name: &str) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        params
    }

    #[test]
    fn a_chain_is_said_signer_by_signer() {
        let key = || KeyPair::generate().unwrap();
        let root = CertifiedIssuer::self_signed(named("Root"), key()).unwrap();
        let middle = CertifiedIssuer::signed_by(named("Middle"), key(), &root).unwrap();
        let own = named("pbx").signed_by(&key(), &middle).unwrap();
        let chain = [own.der(), middle.der(), root.der()].map(Clone::clone);
        assert_eq!(signers(&chain), "Middle, and that by Root");
        assert_eq!(signers(&chain[..1]), "Middle");
        assert_eq!(signers(&chain[2..]), "Root");
    }
}
