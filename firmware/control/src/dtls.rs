//! DTLS-SRTP (RFC 5763, 5764): keys agreed on between the two ends of the media themselves, proved
//! by the fingerprints signalling carries.
//!
//! ```text
//!                      control thread                                                     audio thread
//! Negotiated ─▶ DtlsEndpoints::agree ─▶ Association (a socket) ─▶ Handshake (rtc-dtls)
//!                              ▲   │              │ certificate = fingerprint?
//!   DTLS of a media socket ────┘   │              └─▶ Event::Secured ─▶ Control ─▶ Stream (SRTP) ──────────▶ replaces Stream (waiting)
//!   (sorted by the audio thread)   └─▶ poll_transmit ─▶ the same media socket
//! ```
//!
//! Everything here is sans-IO: datagrams and `now` in, datagrams and events out. A handshake costs
//! a few milliseconds of the control thread and none of the audio thread. Nothing is in clear
//! meanwhile: the stream sends and plays nothing until the keys are known.

mod association;
mod flight;
#[cfg(feature = "fuzz")]
pub mod fuzz;
mod handshake;
mod record_filter;
mod sas;

use std::net::SocketAddr;
use std::time::Instant;

use media::{PacketKind, StreamId};
use sip::media_security::{Fingerprint, HashName, Setup};

use association::{Agreement, Association, AssociationEvent};
pub use association::{Failure, Secured};
use handshake::HandshakeFactory;
pub use handshake::{HandshakeError, Secrets};
pub use sas::Sas;

use crate::credentials::Credentials;
use crate::transmit::Transmit;

/// What signalling agreed on for a stream's handshakes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DtlsAgreement {
    /// Our role.
    pub(crate) setup: Setup,
    /// The peer's certificate must match these.
    pub(crate) fingerprints: Vec<Fingerprint>,
    /// Where the peer announced its RTP.
    pub(crate) rtp: SocketAddr,
    /// Where it announced its RTCP; `None`: on the same port (rtcp-mux, RFC 5761).
    pub(crate) rtcp: Option<SocketAddr>,
    /// The call is established: from now on a failure is final.
    pub(crate) established: bool,
}

impl DtlsAgreement {
    /// What of it is for one socket.
    fn of(&self, kind: PacketKind) -> Agreement {
        let announced = match kind {
            PacketKind::Rtp => self.rtp,
            PacketKind::Rtcp => self.rtcp.unwrap_or(self.rtp),
        };
        Agreement {
            setup: self.setup,
            fingerprints: self.fingerprints.clone(),
            announced,
            established: self.established,
        }
    }
}

/// What has become of a stream's handshakes.
#[derive(Debug)]
pub(crate) enum Event {
    /// The handshakes are done: [`DtlsEndpoints::secured`] has the keys.
    Secured(StreamId),
    /// A handshake failed: there will be no keys.
    Failed(StreamId, Failure),
}

struct Socket {
    stream: StreamId,
    kind: PacketKind,
    association: Association,
}

/// Every handshake of the phone.
pub(crate) struct DtlsEndpoints {
    factory: Option<HandshakeFactory>,
    sockets: Vec<Socket>,
}

impl DtlsEndpoints {
    /// A phone with this identity; without one there is no DTLS.
    pub(crate) fn new(credentials: Option<Credentials>) -> Self {
        let factory =
            credentials.and_then(|credentials| match HandshakeFactory::new(credentials) {
                Ok(factory) => Some(factory),
                Err(error) => {
                    tracing::error!("no DTLS: {error}");
                    None
                }
            });
        Self {
            factory,
            sockets: Vec::new(),
        }
    }

    /// The fingerprint for signalling.
    pub(crate) fn fingerprint(&self) -> Option<Fingerprint> {
        self.factory.as_ref().map(|factory| Fingerprint {
            hash: HashName::Sha256,
            bytes: factory.credentials().fingerprint().to_vec(),
        })
    }

    /// A stream's sockets are open and DTLS may come there: the far end may speak before its answer
    /// is known.
    pub(crate) fn open(&mut self, stream: StreamId) {
        if self.factory.is_none() || self.sockets.iter().any(|socket| socket.stream == stream) {
            return;
        }
        for kind in [PacketKind::Rtp, PacketKind::Rtcp] {
            self.sockets.push(Socket {
                stream,
                kind,
                association: Association::new(),
            });
        }
    }

    /// Signalling agreed on DTLS for this stream, for the first time or again.
    pub(crate) fn agree(&mut self, stream: StreamId, agreement: &DtlsAgreement, now: Instant) {
        self.open(stream);
        let Some(factory) = &self.factory else { return };
        if agreement.rtcp.is_none() {
            self.sockets
                .retain(|socket| socket.stream != stream || socket.kind == PacketKind::Rtp);
        }
        for socket in self
            .sockets
            .iter_mut()
            .filter(|socket| socket.stream == stream)
        {
            let agreed = agreement.of(socket.kind);
            socket.association.agree(agreed, factory, now);
        }
    }

    /// Another branch of a call that is not established described its media: its keys are agreed on
    /// meanwhile, so that it is heard when it sends.
    pub(crate) fn expect(&mut self, stream: StreamId, branch: &DtlsAgreement, now: Instant) {
        self.open(stream);
        let Some(factory) = &self.factory else { return };
        let mut sockets = self.sockets.iter_mut();
        let rtp = sockets.find(|one| one.stream == stream && one.kind == PacketKind::Rtp);
        if let Some(rtp) = rtp {
            let branch = branch.of(PacketKind::Rtp);
            rtp.association.expect(&branch, factory, now);
        }
    }

    /// The stream is over, or is protected by other means.
    pub(crate) fn close(&mut self, stream: StreamId) {
        self.sockets.retain(|socket| socket.stream != stream);
    }

    /// A DTLS datagram came on a stream's socket.
    pub(crate) fn handle_datagram(
        &mut self,
        stream: StreamId,
        kind: PacketKind,
        from: SocketAddr,
        bytes: &[u8],
        now: Instant,
    ) {
        let Some(factory) = &self.factory else { return };
        let socket = self
            .sockets
            .iter_mut()
            .find(|socket| socket.stream == stream && socket.kind == kind);
        if let Some(socket) = socket {
            socket
                .association
                .handle_datagram(from, bytes, factory, now);
        }
    }

    /// Fires every timer that is due.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        let Some(factory) = &self.factory else { return };
        for socket in &mut self.sockets {
            socket.association.handle_timeout(factory, now);
        }
    }

    /// When to call [`DtlsEndpoints::handle_timeout`].
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.sockets
            .iter()
            .filter_map(|socket| socket.association.poll_timeout())
            .min()
    }

    /// What must leave; call until `None`.
    pub(crate) fn poll_transmit(&mut self) -> Option<Transmit> {
        self.sockets.iter_mut().find_map(|socket| {
            let (to, bytes) = socket.association.poll_transmit()?;
            Some(Transmit {
                stream: socket.stream,
                socket: socket.kind,
                to,
                bytes,
            })
        })
    }

    /// What the owner should know; call until `None`. Only RTP's handshake decides: a peer without
    /// rtcp-mux gets one on its RTCP port too (RFC 5764 section 4), so that it need not wait, but
    /// its reports are not missed when that fails.
    pub(crate) fn poll_event(&mut self) -> Option<Event> {
        loop {
            let (stream, kind, event) = self.sockets.iter_mut().find_map(|socket| {
                Some((socket.stream, socket.kind, socket.association.poll_event()?))
            })?;
            match (kind, event) {
                (PacketKind::Rtp, AssociationEvent::Secured) => {
                    return Some(Event::Secured(stream));
                }
                (PacketKind::Rtp, AssociationEvent::Failed(failure)) => {
                    return Some(Event::Failed(stream, failure));
                }
                (PacketKind::Rtcp, AssociationEvent::Secured) => {}
                (PacketKind::Rtcp, AssociationEvent::Failed(failure)) => {
                    tracing::info!("no RTCP: {failure}");
                }
            }
        }
    }

    /// The verified peer of a stream and the keys agreed on with it.
    pub(crate) fn secured(&self, stream: StreamId) -> Option<&Secured> {
        let rtp = self
            .sockets
            .iter()
            .find(|socket| socket.stream == stream && socket.kind == PacketKind::Rtp)?;
        rtp.association.secured()
    }

    /// Sockets on which DTLS may come.
    pub(crate) fn len(&self) -> usize {
        self.sockets.len()
    }
}

#[cfg(test)]
mod tests;
