//! What goes over TLS, and has to wait for the certificates to trust: SIP connections, and links to
//! TURN servers.
//!
//! ```text
//! connect_tls, link_turn ─▶ certificates read? ─┬ yes ─▶ the task of the connection, or of the link
//!                                               └ no: wait ─▶ storage ─▶ handle_anchors ─▶ again
//! ```

use std::net::SocketAddr;
use std::time::Instant;

use control::Control;

use super::Network;
use crate::net::tls::{AnchorSource, Anchors, AnchorsError};
use crate::net::turn_link::{TurnLink, TurnServer};
use crate::net::{NetworkEvent, tls};

/// A TLS connection to be opened.
pub(super) struct TlsConnect {
    pub(super) connection: sip::ConnectionId,
    pub(super) remote: SocketAddr,
    pub(super) names: Vec<String>,
}

/// What goes on when the certificates to trust are read.
pub(super) enum AwaitingAnchors {
    Connect(TlsConnect),
    TurnLink(control::TurnLink),
}

impl Network {
    /// Opens a TLS connection, once the certificates to trust are read.
    pub(super) fn connect_tls(&mut self, connect: TlsConnect, control: &mut Control) {
        let TlsConnect {
            connection, remote, ..
        } = connect;
        if let Some(source) = self.tls.unread_anchors(&connect.names, remote) {
            return self.await_anchors(AwaitingAnchors::Connect(connect), source);
        }
        match self.tls.client(&connect.names, remote) {
            Ok(side) => {
                tls::connection::connect(connection, side, self.sip_dscp, self.events.clone());
            }
            Err(error) => {
                control.handle_connect_failed(connection, &error.to_string(), Instant::now());
            }
        }
    }

    /// Has the certificates to trust read.
    fn await_anchors(&mut self, what: AwaitingAnchors, source: AnchorSource) {
        if let Some(waiting) = &mut self.awaiting_anchors {
            waiting.push(what);
            return;
        }
        self.awaiting_anchors = Some(vec![what]);
        let reading = self.storage.run(move |_| Ok(source.read()));
        let events = self.events.clone();
        tokio::spawn(async move {
            let anchors = match reading.await {
                Ok(anchors) => anchors.map_err(AnchorsError::File),
                Err(error) => Err(AnchorsError::Storage(error)),
            };
            let _ = events.send(NetworkEvent::Anchors(anchors)).await;
        });
    }

    /// Makes the link to a TURN server, in place of the one there was.
    pub(in crate::driver) fn link_turn(&mut self, link: control::TurnLink, control: &mut Control) {
        let names: Vec<String> = link.name.iter().cloned().collect();
        let mut tls = None;
        if link.name.is_some() {
            if let Some(source) = self.tls.unread_anchors(&names, link.remote) {
                return self.await_anchors(AwaitingAnchors::TurnLink(link), source);
            }
            match self.tls.client(&names, link.remote) {
                Ok(side) => tls = Some(side),
                Err(error) => return no_turn(&link, &error.to_string(), control),
            }
        }
        let server = TurnServer {
            remote: link.remote,
            tls,
            dscp: self.rtp_dscp,
        };
        match TurnLink::start(self.bind, server) {
            Ok(made) => {
                control.handle_turn_link(link.id, Some(made.local()));
                self.turn_links.insert(link.id, made);
            }
            Err(error) => no_turn(&link, &error.to_string(), control),
        }
    }

    /// The certificates to trust were read: connections that waited for them are opened.
    pub(super) fn handle_anchors(
        &mut self,
        anchors: Result<Anchors, AnchorsError>,
        control: &mut Control,
    ) {
        let waiting = self.awaiting_anchors.take().unwrap_or_default();
        match anchors {
            Ok(anchors) => {
                self.tls.set_anchors(anchors);
                for what in waiting {
                    match what {
                        AwaitingAnchors::Connect(connect) => self.connect_tls(connect, control),
                        AwaitingAnchors::TurnLink(link) => self.link_turn(link, control),
                    }
                }
            }
            Err(error) => {
                let (why, now) = (error.to_string(), Instant::now());
                for what in waiting {
                    match what {
                        AwaitingAnchors::Connect(connect) => {
                            control.handle_connect_failed(connect.connection, &why, now);
                        }
                        AwaitingAnchors::TurnLink(link) => no_turn(&link, &why, control),
                    }
                }
            }
        }
    }
}

/// There is no way to a TURN server; the next lookup of its name tries again.
fn no_turn(link: &control::TurnLink, why: &str, control: &mut Control) {
    tracing::warn!("no link to the TURN server {}: {why}", link.remote);
    control.handle_turn_link(link.id, None);
}
