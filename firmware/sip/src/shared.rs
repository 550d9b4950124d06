//! What the tables of the agent share: settings and random numbers, the accounts' registrations,
//! the transport, the index of deadlines, and the events for the owner.
//!
//! ```text
//! Calls ─┬─ Requests ─┬─ Subscriptions ─┬─ ServerTransactions          UserAgent routes between them
//!        └────────────┴─── &mut Shared ─┘
//! ```

mod route;

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use crate::api::{AgentConfig, Event};
use crate::connections::Full;
use crate::env::Env;
use crate::flow::{Flow, Transport};
use crate::ids::{CallHandle, ConnectionId, RequestId, TransactionId};
use crate::keepalive::KeepaliveStep;
use crate::known_hosts::HostStanding;
use crate::media_security::MediaSecurity;
use crate::message::Via;
use crate::registration::Registration;
use crate::registrations::Registrations;
use crate::stream::PING;
use crate::timer::Deadlines;
use crate::transport::{ConnectFor, TransportLayer};

/// Whose deadline it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Waiter {
    /// A client transaction.
    Client(TransactionId),
    /// A server transaction.
    Server(TransactionId),
    /// A request on its way.
    Request(RequestId),
    /// A call.
    Call(CallHandle),
    /// A registration.
    Registration(usize),
    /// A connection that is kept alive.
    Connection(ConnectionId),
    /// The limits of connections others opened.
    Connections,
    /// A subscription of ours.
    Subscription(usize),
    /// Those who watch this phone.
    Served,
    /// What this phone publishes.
    Publications,
}

/// What the tables share.
pub(crate) struct Shared {
    pub(crate) env: Env,
    pub(crate) registrations: Registrations,
    pub(crate) transport: TransportLayer,
    pub(crate) deadlines: Deadlines<Waiter>,
    pub(crate) events: VecDeque<Event>,
}

impl Shared {
    /// With nothing going on.
    pub(crate) fn new(config: AgentConfig, now: Instant) -> Self {
        let allows = |media_security: &MediaSecurity| media_security.sdes_over_clear;
        let keys_in_clear = allows(&config.media_security)
            || config
                .accounts
                .iter()
                .any(|account| allows(&account.media_security));
        let mut env = Env::new(config);
        let registrations = Registrations::new(&mut env, now);
        let mut shared = Self {
            env,
            registrations,
            transport: TransportLayer::new(keys_in_clear),
            deadlines: Deadlines::new(),
            events: VecDeque::new(),
        };
        for account in 0..shared.registrations.len() {
            shared.registration_turn(account, |_, _| ());
        }
        shared
    }

    /// Whether this host is one of the account's servers: what it says of others counts.
    pub(crate) fn is_trusted(&self, account: Option<usize>, host: IpAddr) -> bool {
        let registration = account.and_then(|account| self.registrations.get(account));
        registration.is_some_and(|registration| registration.servers().has_address(host))
    }

    /// One turn of one registration: what it wants done; `None`: there is none.
    pub(crate) fn registration_turn<T>(
        &mut self,
        account: usize,
        turn: impl FnOnce(&mut Registration, &mut Env) -> T,
    ) -> Option<T> {
        let registration = self.registrations.get_mut(account)?;
        let result = turn(registration, &mut self.env);
        let deadline = registration.deadline();
        self.deadlines.set(Waiter::Registration(account), deadline);
        Some(result)
    }

    /// A request was accepted: the connection it came along, if any, may stay open.
    pub(crate) fn request_accepted(&mut self, flow: Flow, known: bool) {
        if let Some(connection) = flow.connection() {
            self.transport
                .connections
                .handle_request_accepted(connection, known);
        }
    }

    /// A message is dropped without an answer, and counted.
    pub(crate) fn drop_message(&mut self) {
        self.transport.counters.dropped += 1;
    }

    /// The same, because who sent it may not ask.
    pub(crate) fn drop_refused(&mut self) {
        self.transport.counters.dropped += 1;
        self.transport.counters.refused += 1;
    }

    /// Keeps the index in step with the keepalive of a connection.
    fn schedule_keepalive(&mut self, id: ConnectionId) {
        let connection = self.transport.connections.get(id);
        let deadline = connection.and_then(|connection| connection.keepalive.deadline());
        self.deadlines.set(Waiter::Connection(id), deadline);
    }

    /// A pong came in.
    pub(crate) fn handle_pong(&mut self, id: ConnectionId) {
        if let Some(connection) = self.transport.connections.get_mut(id) {
            connection.keepalive.handle_pong();
            self.schedule_keepalive(id);
        }
    }

    /// A connection's keepalive is due: a ping is sent, or it is dead.
    pub(crate) fn handle_keepalive_timeout(
        &mut self,
        id: ConnectionId,
        now: Instant,
    ) -> KeepaliveStep {
        let needed = self.registrations.needs(id);
        let Some(connection) = self.transport.connections.get_mut(id) else {
            return KeepaliveStep::Wait;
        };
        let flow = connection.flow(id);
        let tokens = &mut self.env.tokens;
        let step = connection.keepalive.handle_timeout(needed, tokens, now);
        match step {
            KeepaliveStep::Wait => {}
            KeepaliveStep::Ping => self.transport.send(flow, PING.to_vec(), now),
            KeepaliveStep::Dead => return step,
        }
        self.schedule_keepalive(id);
        step
    }

    /// Another host, of this standing, opened a connection; the one it displaces, where there was
    /// no room.
    pub(crate) fn accept_connection(
        &mut self,
        id: ConnectionId,
        remote: SocketAddr,
        transport: Transport,
        names: Vec<String>,
        standing: HostStanding,
        now: Instant,
    ) -> Result<Option<ConnectionId>, Full> {
        let connections = &mut self.transport.connections;
        let accepted = connections.handle_accepted(id, remote, transport, names, standing, now);
        match accepted {
            Ok(None) => {}
            Ok(Some(_)) | Err(Full) => self.drop_message(),
        }
        accepted
    }

    /// A registration needs this connection: from now on it is kept alive.
    pub(crate) fn keep_alive(&mut self, id: ConnectionId, now: Instant) {
        if let Some(connection) = self.transport.connections.get_mut(id) {
            connection.keepalive.start(&mut self.env.tokens, now);
            self.schedule_keepalive(id);
        }
    }

    /// The flow itself, or, when its connection is gone, a new one of the same kind to where the
    /// Via says (section 18.2.2).
    pub(crate) fn response_flow(&mut self, flow: Flow, via: Option<&Via>, now: Instant) -> Flow {
        if self.transport.is_alive(flow) {
            return flow;
        }
        let transport = flow.transport();
        let found = via.and_then(|via| {
            let ip = via.received().or_else(|| via.host().ip())?;
            let names = self.registrations.expected_identities(via.host(), ip);
            let port = via.port().unwrap_or(transport.default_port());
            Some((SocketAddr::new(ip, port), names))
        });
        found
            .and_then(|(address, names)| {
                let (wanted, events) = (ConnectFor::Response, &mut self.events);
                self.transport
                    .connect(address, transport, &names, wanted, events, now)
            })
            .unwrap_or(flow)
    }
}
