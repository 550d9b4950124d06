//! The user agent: the only thing its owner sees of SIP. It owns the tables and routes; what
//! happens is decided by the objects in them.
//!
//! ```text
//! handle_datagram, handle_stream ─▶ agent::incoming ─┬ request ──▶ admission ─▶ Calls, Subscriptions
//!                                                    └ response ─▶ Requests ─▶ agent::outcomes ─▶ Call …
//! invite, answer, end … ─▶ agent::orders ─▶ Calls ─▶ Action … ─▶ agent::actions ─▶ poll_transmit, poll_event
//! handle_timeout ─▶ deadlines ─▶ the object that is due
//! ```

mod actions;
mod incoming;
mod orders;
mod outcomes;
mod text_messages;

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use crate::admission::Admission;
use crate::call::Call;
use crate::calls::Calls;
use crate::connections::Full;
use crate::dialog_identity::DialogIdentity;
use crate::digest::verifier::Verifier;
use crate::env::Env;
use crate::events::Subscription;
use crate::keepalive::KeepaliveStep;
use crate::known_hosts::KnownHosts;
use crate::local_addresses::LocalAddresses;
use crate::locate::LookupFailed;
use crate::publication::Publications;
use crate::registration::Registration;
use crate::requests::{NO_ADDRESS, Outcome, Requests};
use crate::server_transactions::ServerTransactions;
use crate::shared::{Shared, Waiter};
use crate::stream::{Frame, PONG};
use crate::subscriptions::Subscriptions;
use crate::unsolicited::Unsolicited;

pub use crate::api::*;
pub use crate::flow::{Flow, Target, Transmit, Transport};
pub use crate::ids::{AccountId, CallHandle, ConnectionId, LookupId, MessageId, PublicationId};
pub use crate::registration::RegistrationAttempt;
pub use crate::text_message::SendError;

/// How often one deadline may come back due within one turn: an object has few timers, and fires
/// them one by one.
const TURNS_PER_DEADLINE: usize = 16;
/// How long what comes back due even then is postponed.
const POSTPONED: Duration = Duration::from_millis(10);
/// What is reported of a connection that others displace.
const TOO_MANY: &str = "too many connections are open";
/// What is reported of a connection where nothing better is known.
const BROKEN: &str = "the connection broke or could not be opened";

/// The SIP user agent.
pub struct UserAgent {
    shared: Shared,
    admission: Admission,
    calls: Calls,
    requests: Requests,
    servers: ServerTransactions,
    subscriptions: Subscriptions,
    unsolicited: Unsolicited,
    publications: Publications,
    shutting_down: bool,
}

impl UserAgent {
    /// An agent with nothing going on; registrations start at the first `handle_timeout`.
    pub fn new(config: AgentConfig, now: Instant) -> Self {
        let mut shared = Shared::new(config, now);
        let Env { config, tokens, .. } = &mut shared.env;
        let admission = Admission::new(config.direct_callers, config.direct_from.clone(), now);
        let servers = ServerTransactions::new(tokens.word(16));
        let unsolicited = Unsolicited::new(Verifier::new(tokens.word(32), now));
        let mut subscriptions = Subscriptions::new(&shared.env);
        subscriptions.start(&mut shared, now);
        Self {
            shared,
            admission,
            calls: Calls::new(),
            requests: Requests::new(),
            servers,
            subscriptions,
            unsolicited,
            publications: Publications::default(),
            shutting_down: false,
        }
    }

    /// One UDP datagram came in.
    pub fn handle_datagram(&mut self, from: SocketAddr, bytes: &[u8], now: Instant) {
        self.handle_bytes(Flow::Udp { remote: from }, bytes, now);
        self.finish_turn(now);
    }

    /// Bytes came in on a TCP or TLS connection.
    pub fn handle_stream(&mut self, connection: ConnectionId, bytes: &[u8], now: Instant) {
        let connections = &mut self.shared.transport.connections;
        let Some(found) = connections.get(connection) else {
            return;
        };
        let flow = found.flow(connection);
        connections.handle_stream(connection, bytes, now);
        // A frame may end the connection.
        while let Some(frame) = self
            .shared
            .transport
            .connections
            .poll_frame(connection, now)
        {
            match frame {
                Ok(Frame::Message(message)) => self.handle_bytes(flow, &message, now),
                Ok(Frame::Ping) => self.shared.transport.send(flow, PONG.to_vec(), now),
                Ok(Frame::Pong) => self.shared.handle_pong(connection),
                Err(error) => {
                    let transport = &mut self.shared.transport;
                    transport.counters.malformed += 1;
                    if let Some(head) = transport.connections.take_lost(connection) {
                        self.refuse_unframed(flow, &head, now);
                    }
                    self.close_connection(connection, &error.to_string(), now);
                }
            }
        }
        self.finish_turn(now);
    }

    /// A connection is open: one asked for by [`Event::Connect`], or a TCP one accepted (with a
    /// number from `app`'s own, high, range).
    pub fn handle_connected(&mut self, connection: ConnectionId, remote: SocketAddr, now: Instant) {
        let shared = &mut self.shared;
        if shared.transport.connected(connection, remote, now) {
            self.requests.handle_connected(connection, shared, now);
        } else {
            self.accept_connection(connection, remote, Transport::Tcp, Vec::new(), now);
        }
        self.finish_turn(now);
    }

    /// A TLS connection of theirs is open. `names`: the addresses and names its far end has proved
    /// to be by a certificate `app` trusts; none where it showed none.
    pub fn handle_accepted_tls(
        &mut self,
        connection: ConnectionId,
        remote: SocketAddr,
        names: Vec<String>,
        now: Instant,
    ) {
        self.accept_connection(connection, remote, Transport::Tls, names, now);
        self.finish_turn(now);
    }

    /// A connection asked for by [`Event::Connect`] does not come to be; `reason` is in words a
    /// person can act on.
    pub fn handle_connect_failed(&mut self, connection: ConnectionId, reason: &str, now: Instant) {
        self.connection_lost(connection, reason, now);
        self.finish_turn(now);
    }

    /// A connection failed to open, broke or was closed.
    pub fn handle_closed(&mut self, connection: ConnectionId, now: Instant) {
        self.connection_lost(connection, BROKEN, now);
        self.finish_turn(now);
    }

    /// A UDP datagram to this address could not be sent (ICMP unreachable).
    pub fn handle_unreachable(&mut self, remote: SocketAddr, now: Instant) {
        let is_there = |flow| flow == Flow::Udp { remote };
        let reason = "no one listens at the far address";
        self.flow_failed(is_there, reason, now);
        for account in self.shared.registrations.at_udp_server(remote) {
            self.suspect_server(account, now);
        }
        self.finish_turn(now);
    }

    /// A lookup's answer; empty: the name does not resolve.
    pub fn handle_lookup(&mut self, id: LookupId, targets: &[Target], now: Instant) {
        self.lookup_done(id, Ok(targets), now);
    }

    /// A lookup found nothing; `reason` says which question was not answered, and by whom.
    pub fn handle_lookup_failed(&mut self, id: LookupId, reason: &str, now: Instant) {
        self.lookup_done(id, Err(LookupFailed(reason)), now);
    }

    /// Where an account is registered, and the servers that would be better and do not answer.
    pub fn account_servers(&self, account: AccountId) -> (Option<Target>, &[Target]) {
        let found = self.shared.registrations.get(account.0);
        let server = found.and_then(Registration::server);
        let silent = found.map_or(&[][..], Registration::silent_servers);
        (server.map(|(target, _)| target), silent)
    }

    /// The last attempts of an account to register, oldest first.
    pub fn registration_history(
        &self,
        account: AccountId,
    ) -> impl Iterator<Item = &RegistrationAttempt> {
        let found = self.shared.registrations.get(account.0);
        found.into_iter().flat_map(Registration::history)
    }

    /// Registers all accounts again, now (link up, `ctl register`).
    pub fn register(&mut self, now: Instant) {
        if !self.shutting_down {
            self.on_registrations(now, Registration::register);
        }
        self.finish_turn(now);
    }

    /// Registers now whatever waits because it failed (the clock was set, a file was corrected).
    pub fn retry_registrations(&mut self, now: Instant) {
        self.on_registrations(now, |registration, env| {
            if registration.is_failing() {
                registration.register(env)
            } else {
                Vec::new()
            }
        });
        self.finish_turn(now);
    }

    /// Ends all calls and registrations; tables are empty when their transactions are done.
    pub fn shut_down(&mut self, now: Instant) {
        self.shutting_down = true;
        self.on_calls(now, |call, turn| call.hang_up(None, turn));
        for index in 0..self.subscriptions.len() {
            self.on_subscription(index, now, Subscription::stop);
        }
        let last = self
            .subscriptions
            .served_mut()
            .end_all(&self.shared.env, now);
        self.send_all(last, now);
        self.publications.give_up();
        self.send_publications(now);
        self.on_registrations(now, Registration::unregister);
        self.requests.stop_sending_cancelled(&mut self.shared);
        self.finish_turn(now);
    }

    /// The end of a shutdown whose far ends did not all answer. What still waits for them is ended
    /// without: CANCEL though no provisional response has come (section 9.1), BYE though no ACK has
    /// (section 15). Whoever has the INVITE would ring, or wait, after the phone is gone.
    pub fn finish_shutdown(&mut self, now: Instant) {
        self.requests.cancel_unheard(&mut self.shared, now);
        self.on_calls(now, Call::give_up);
        self.finish_turn(now);
    }

    /// Fires every timer that is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        // Each of them may make others due, but not for ever: one that is left in the past again
        // and again must not stop the phone.
        let most = TURNS_PER_DEADLINE * (self.shared.deadlines.len() + 1);
        for _ in 0..most {
            let Some(waiter) = self.shared.deadlines.pop_due(now) else {
                return;
            };
            self.fire(waiter, now);
            self.finish_turn(now);
        }
        self.shared.deadlines.hold_back(now, now + POSTPONED);
    }

    /// A message that must leave; call until `None`.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.shared.transport.poll()
    }

    /// Something the owner should know; call until `None`.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.shared.events.pop_front()
    }

    /// When to call [`UserAgent::handle_timeout`].
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.shared.deadlines.next()
    }

    /// The hosts the signalling of a call's far end comes from, as far as they are known by
    /// address: the last hop, its Contact, and the sender as the first hop saw it. Besides the
    /// address in SDP its media may come from there (RFC 7362).
    pub fn signalling_hosts(&self, call: CallHandle) -> impl Iterator<Item = IpAddr> {
        let call = self.calls.get(call);
        call.into_iter().flat_map(Call::signalling_hosts)
    }

    /// The hosts for whose connections room is kept.
    #[must_use]
    pub fn known_hosts(&self) -> KnownHosts {
        KnownHosts {
            servers: self.shared.registrations.server_addresses().collect(),
            listed: self.admission.listed().to_vec(),
            accepted: self.shared.transport.connections.accepted_hosts(),
        }
    }

    /// Our own addresses, as they are now.
    pub fn local_addresses(&self) -> &LocalAddresses {
        &self.shared.env.addresses
    }

    /// Who talks to whom in an established call.
    pub fn dialog_identity(&self, call: CallHandle) -> Option<DialogIdentity> {
        self.calls.get(call)?.dialog().map(DialogIdentity::of)
    }

    /// The host an established call's requests come from.
    pub fn last_hop(&self, call: CallHandle) -> Option<IpAddr> {
        let dialog = self.calls.get(call)?.dialog()?;
        Some(dialog.flow?.remote().ip().to_canonical())
    }

    /// What was seen and dropped.
    pub fn counters(&self) -> Counters {
        self.shared.transport.counters
    }

    /// How full the tables are.
    pub fn tables(&self) -> Tables {
        Tables {
            client_transactions: self.requests.transaction_count(),
            server_transactions: self.servers.len(),
            dialogs: self.calls.dialog_count() + self.subscriptions.dialog_count(),
            calls: self.calls.len(),
            lookups: self.requests.lookup_count(),
        }
    }

    /// Requests of ours that still wait for their final answer: when it is 0 after
    /// [`UserAgent::shut_down`], every far end has answered, though answered transactions linger
    /// for repetitions.
    pub fn unanswered(&self) -> usize {
        self.requests.unanswered()
    }

    /// The phone's own addresses changed (link up, DHCP, roaming): accounts register again, calls
    /// are re-invited.
    pub fn handle_local_addresses(&mut self, addresses: LocalAddresses, now: Instant) {
        let env = &mut self.shared.env;
        let is_loopback = |addresses: &LocalAddresses| addresses.primary().ip().is_loopback();
        if is_loopback(&addresses) && !is_loopback(&env.addresses) {
            // No interface has an address any more: no one could answer to that one.
            return self.handle_network_lost(NO_ADDRESS, now);
        }
        let changed = env.addresses != addresses;
        env.addresses = addresses;
        env.handle_network_back();
        self.on_registrations(now, |registration, env| {
            registration.handle_local_address(changed, env, now)
        });
        if changed {
            self.on_moved(None, now);
        }
        self.finish_turn(now);
    }

    /// There is a network again or another one (link up, another route or name server): all
    /// accounts register now.
    pub fn handle_network_change(&mut self, now: Instant) {
        if !self.shutting_down {
            self.shared.env.handle_network_back();
            self.on_registrations(now, |registration, env| {
                registration.handle_network_change(env, now)
            });
        }
        self.finish_turn(now);
    }

    /// There is no network; `reason` says why, in words a person can act on ("the cable is out").
    /// [`UserAgent::handle_network_change`] or [`UserAgent::handle_local_addresses`] ends that.
    pub fn handle_network_lost(&mut self, reason: &str, now: Instant) {
        self.shared.env.offline = Some(reason.to_owned());
        self.on_registrations(now, |registration, _| {
            registration.handle_network_lost(reason)
        });
        self.finish_turn(now);
    }

    /// Whose time has come.
    fn fire(&mut self, waiter: Waiter, now: Instant) {
        let shared = &mut self.shared;
        match waiter {
            Waiter::Client(id) => self.requests.handle_client_timeout(id, shared, now),
            Waiter::Server(id) => self.servers.handle_timeout(id, shared, now),
            Waiter::Request(id) => self.requests.handle_request_timeout(id, shared, now),
            Waiter::Call(call) => self.on_call(call, now, Call::handle_timeout),
            Waiter::Registration(account) => {
                self.on_registration(account, now, |registration, env| {
                    registration.handle_timeout(env, now)
                });
            }
            Waiter::Connection(id) => match shared.handle_keepalive_timeout(id, now) {
                KeepaliveStep::Wait | KeepaliveStep::Ping => {}
                KeepaliveStep::Dead => {
                    let reason = "the connection is dead: no answer to a keepalive";
                    self.close_connection(id, reason, now);
                }
            },
            Waiter::Connections => self.expire_connections(now),
            Waiter::Subscription(index) => {
                self.on_subscription(index, now, |subscription, env| {
                    subscription.handle_timeout(env, now)
                });
            }
            // What is due is sent at the end of the turn.
            Waiter::Served => {}
            Waiter::Publications => self.send_publications(now),
        }
    }

    fn lookup_done(
        &mut self,
        id: LookupId,
        found: Result<&[Target], LookupFailed<'_>>,
        now: Instant,
    ) {
        let shared = &mut self.shared;
        self.requests.handle_lookup(id, found, shared, now);
        self.finish_turn(now);
    }

    fn flow_failed(&mut self, gone: impl Fn(Flow) -> bool, reason: &str, now: Instant) {
        let shared = &mut self.shared;
        self.requests.handle_flow_failed(gone, reason, shared, now);
        self.follow_requests(now);
    }

    fn connection_lost(&mut self, connection: ConnectionId, reason: &str, now: Instant) {
        let shared = &mut self.shared;
        shared.transport.connections.handle_closed(connection);
        shared.deadlines.set(Waiter::Connection(connection), None);
        let is_it = |flow: Flow| flow.connection() == Some(connection);
        self.flow_failed(is_it, reason, now);
        self.on_registrations(now, |registration, env| {
            registration.handle_connection_lost(connection, reason, env, now)
        });
    }

    /// Another host opened a connection: it is kept where there is room.
    fn accept_connection(
        &mut self,
        connection: ConnectionId,
        remote: SocketAddr,
        transport: Transport,
        names: Vec<String>,
        now: Instant,
    ) {
        let standing = self.known_hosts().standing(remote.ip());
        match self
            .shared
            .accept_connection(connection, remote, transport, names, standing, now)
        {
            Ok(None) => {}
            Ok(Some(displaced)) => self.close_connection(displaced, TOO_MANY, now),
            Err(Full) => self.shared.events.push_back(Event::Close(connection)),
        }
    }

    /// Closes the connections whose time is up.
    fn expire_connections(&mut self, now: Instant) {
        while let Some((connection, why)) = self.shared.transport.connections.poll_expired(now) {
            self.close_connection(connection, &why.to_string(), now);
        }
    }

    /// This phone closes a connection.
    fn close_connection(&mut self, connection: ConnectionId, reason: &str, now: Instant) {
        if let Some(found) = self.shared.transport.connections.get(connection) {
            let remote = found.flow(connection).remote();
            tracing::info!("connection with {remote}: {reason}");
        }
        self.shared.events.push_back(Event::Close(connection));
        self.connection_lost(connection, reason, now);
    }

    /// Brings the failures of requests to their senders, and the index in step. That may make new
    /// requests, and new failures; each step ends one request.
    fn finish_turn(&mut self, now: Instant) {
        self.follow_requests(now);
        self.publish_calls(now);
        while let Some(failure) = self.requests.poll_failure() {
            self.on_outcome(failure.purpose, 0, Outcome::Failed(&failure), now);
        }
        while let Some(displaced) = self.shared.transport.displaced.pop() {
            self.close_connection(displaced, TOO_MANY, now);
        }
        let expiry = self.shared.transport.connections.poll_timeout();
        self.shared.deadlines.set(Waiter::Connections, expiry);
    }
}
