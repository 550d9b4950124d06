//! Connections: those others open, those that end, and those whose time is up.

use std::net::SocketAddr;
use std::time::Instant;

use crate::api::Event;
use crate::connections::Full;
use crate::flow::{Flow, Transport};
use crate::ids::ConnectionId;
use crate::known_hosts::KnownHosts;

use super::{UserAgent, Waiter};

impl UserAgent {
    pub(super) fn connection_lost(&mut self, connection: ConnectionId, reason: &str, now: Instant) {
        self.transport.connections.handle_closed(connection);
        self.deadlines.set(Waiter::Connection(connection), None);
        self.on_flow_failed(
            |flow: Flow| flow.connection() == Some(connection),
            reason,
            now,
        );
        self.on_registrations(now, |registration, env| {
            registration.handle_connection_lost(connection, reason, env, now)
        });
    }

    /// Another host opened a connection: it is kept where there is room.
    pub(super) fn accept_connection(
        &mut self,
        connection: ConnectionId,
        remote: SocketAddr,
        transport: Transport,
        names: Vec<String>,
        now: Instant,
    ) {
        let standing = self.known_hosts().standing(remote.ip());
        let accepted = self
            .transport
            .connections
            .handle_accepted(connection, remote, transport, names, standing, now);
        match accepted {
            Ok(None) => {}
            Ok(Some(displaced)) => {
                self.transport.counters.dropped += 1;
                self.close_connection(displaced, "too many connections are open", now);
            }
            Err(Full) => {
                self.transport.counters.dropped += 1;
                self.events.push_back(Event::Close(connection));
            }
        }
    }

    /// The hosts for whose connections room is kept.
    #[must_use]
    pub fn known_hosts(&self) -> KnownHosts {
        let servers = self.registrations.iter();
        let servers = servers.flat_map(|registration| registration.servers().addresses());
        KnownHosts {
            servers: servers.copied().collect(),
            listed: self.admission.listed().to_vec(),
            accepted: self.transport.connections.accepted_hosts(),
        }
    }

    /// Closes the connections whose time is up.
    pub(super) fn expire_connections(&mut self, now: Instant) {
        while let Some((connection, why)) = self.transport.connections.poll_expired(now) {
            self.close_connection(connection, &why.to_string(), now);
        }
    }

    /// This phone closes a connection.
    pub(super) fn close_connection(
        &mut self,
        connection: ConnectionId,
        reason: &str,
        now: Instant,
    ) {
        if let Some(found) = self.transport.connections.get(connection) {
            let remote = found.flow(connection).remote();
            tracing::info!("connection with {remote}: {reason}");
        }
        self.events.push_back(Event::Close(connection));
        self.connection_lost(connection, reason, now);
    }
}
