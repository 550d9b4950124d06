//! The user agent: the only thing `app` sees of SIP.
//!
//! ```text
//! handle_datagram, handle_stream ─▶ message ─┬─ request ──▶ incoming ─▶ admission ─▶ invite::callee, invite::session
//!                                            └─ response ─▶ outgoing ─▶ invite::caller, registration
//! invite, answer, end … ─────────────────────▶ invite ─▶ outgoing ─▶ wire ─▶ poll_transmit
//! handle_timeout ─▶ deadlines ─▶ whoever is due                      events ─▶ poll_event
//! ```

pub use crate::api::*;
pub use crate::flow::{Flow, Target, Transmit, Transport};
pub use crate::ids::{AccountId, CallHandle, ConnectionId, LookupId};
use crate::ids::{RequestId, TransactionId};

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use types::Direction;

use crate::admission::Admission;
use crate::connections::Full;
use crate::invite::{CallState, Ids, Owed, Referral};
use crate::message::Message;
use crate::offer_answer::LocalMedia;
use crate::outgoing::{Outgoing, Purpose};
use crate::privacy::Privacy;
use crate::registration::Line;
use crate::stream::{Frame, PONG};
use crate::timer::Deadlines;
use crate::token::Tokens;
use crate::transaction::client;
use crate::transaction::table::{ClientEntry, MAX_CLIENTS, MAX_SERVERS, ServerEntry, Table};
use crate::wire::Wire;

/// How often one deadline may come back due within one turn: a machine has few timers, and fires
/// them one by one.
const TURNS_A_DEADLINE: usize = 16;
/// How long what comes back due even then is held back.
const HELD_BACK: Duration = Duration::from_millis(10);

/// Who waits for a deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Waiter {
    /// A client transaction.
    Client(TransactionId),
    /// A server transaction.
    Server(TransactionId),
    /// A request on its way.
    Outgoing(RequestId),
    /// A call.
    Call(CallHandle),
    /// A registration.
    Line(usize),
    /// A connection that is kept alive.
    Connection(ConnectionId),
    /// The limits of connections others opened.
    Connections,
}

/// What is said of a connection where nothing better is known.
const BROKEN: &str = "the connection broke or could not be opened";

/// Our own address as this transport's Via and Contact name it.
pub(crate) fn local_address(config: &AgentConfig, transport: Transport) -> SocketAddr {
    at_port(config.local, config.tls_port, transport)
}

/// An address of ours with the port of this transport.
pub(crate) fn at_port(local: SocketAddr, tls_port: u16, transport: Transport) -> SocketAddr {
    match transport {
        Transport::Udp | Transport::Tcp => local,
        Transport::Tls => SocketAddr::new(local.ip(), tls_port),
    }
}

/// The SIP user agent.
pub struct UserAgent {
    pub(crate) config: AgentConfig,
    pub(crate) wire: Wire,
    pub(crate) admission: Admission,
    pub(crate) tokens: Tokens,
    pub(crate) events: VecDeque<Event>,
    pub(crate) deadlines: Deadlines<Waiter>,
    pub(crate) clients: Table<ClientEntry>,
    pub(crate) servers: Table<ServerEntry>,
    pub(crate) outgoing: BTreeMap<RequestId, Outgoing>,
    pub(crate) next_outgoing: RequestId,
    /// Lookups under way, and the request each is for.
    pub(crate) lookups: BTreeMap<LookupId, RequestId>,
    pub(crate) next_lookup: u64,
    /// Requests that failed here, not yet told to those who sent them.
    pub(crate) failures: VecDeque<(Purpose, u16, String)>,
    pub(crate) calls: BTreeMap<CallHandle, CallState>,
    pub(crate) next_call: u64,
    /// Who is owed news of a call placed on a REFER.
    pub(crate) referrals: BTreeMap<CallHandle, Referral>,
    /// The dialogs that ended last: who wants to take their place comes too late.
    pub(crate) over: VecDeque<Ids>,
    /// What is owed because of what just happened to a call.
    pub(crate) owed: VecDeque<Owed>,
    pub(crate) lines: Vec<Line>,
    /// Salt of the tags in answers that no transaction remembers.
    pub(crate) salt: String,
    pub(crate) leaving: bool,
}

impl UserAgent {
    /// An agent with nothing going on; registrations start at the first `handle_timeout`.
    pub fn new(config: AgentConfig, now: Instant) -> Self {
        let mut tokens = Tokens::new(config.seed);
        let lines = config
            .accounts
            .iter()
            .map(|account| {
                Line::new(
                    account,
                    local_address(&config, account.transport),
                    &mut tokens,
                    now,
                )
            })
            .collect();
        let loud = |privacy: &Privacy| privacy.sdes_over_clear;
        let keys_in_clear =
            loud(&config.privacy) || config.accounts.iter().any(|account| loud(&account.privacy));
        let mut agent = Self {
            wire: Wire::new(config.local, keys_in_clear),
            admission: Admission::new(config.direct_callers, config.direct_from.clone(), now),
            salt: tokens.word(16),
            tokens,
            events: VecDeque::new(),
            deadlines: Deadlines::new(),
            clients: Table::new(MAX_CLIENTS),
            servers: Table::new(MAX_SERVERS),
            outgoing: BTreeMap::new(),
            next_outgoing: 1,
            lookups: BTreeMap::new(),
            next_lookup: 1,
            failures: VecDeque::new(),
            calls: BTreeMap::new(),
            next_call: 1,
            referrals: BTreeMap::new(),
            over: VecDeque::new(),
            owed: VecDeque::new(),
            lines,
            leaving: false,
            config,
        };
        for line in 0..agent.lines.len() {
            agent.schedule_line(line);
        }
        agent
    }

    /// One UDP datagram came in.
    pub fn handle_datagram(&mut self, from: SocketAddr, bytes: &[u8], now: Instant) {
        self.handle_bytes(Flow::Udp { remote: from }, bytes, now);
        self.settle(now);
    }

    /// Bytes came in on a TCP or TLS connection.
    pub fn handle_stream(&mut self, connection: ConnectionId, bytes: &[u8], now: Instant) {
        let Some(found) = self.wire.connections.get(connection) else {
            return;
        };
        let flow = found.flow(connection);
        self.wire.connections.handle_stream(connection, bytes, now);
        // A frame may end the connection.
        while let Some(frame) = self.wire.connections.poll_frame(connection, now) {
            match frame {
                Ok(Frame::Message(message)) => self.handle_bytes(flow, &message, now),
                Ok(Frame::Ping) => self.wire.send(flow, PONG.to_vec(), now),
                Ok(Frame::Pong) => self.ponged(connection),
                Err(error) => {
                    self.wire.counters.malformed += 1;
                    self.close_connection(connection, &error.to_string(), now);
                }
            }
        }
        self.settle(now);
    }

    /// A connection stands: one asked for by [`Event::Connect`], or a TCP one accepted (with a
    /// number from `app`'s own, high, range).
    pub fn handle_connected(
        &mut self,
        connection: ConnectionId,
        _local: SocketAddr,
        remote: SocketAddr,
        now: Instant,
    ) {
        if self.wire.connected(connection, remote, now) {
            self.connection_opened(connection);
        } else {
            self.accept_connection(connection, remote, Transport::Tcp, Vec::new(), now);
        }
        self.settle(now);
    }

    /// A TLS connection of theirs stands. `names`: the addresses and names its far end has proved
    /// to be by a certificate `app` trusts; none where it showed none.
    pub fn handle_accepted_tls(
        &mut self,
        connection: ConnectionId,
        remote: SocketAddr,
        names: Vec<String>,
        now: Instant,
    ) {
        self.accept_connection(connection, remote, Transport::Tls, names, now);
        self.settle(now);
    }

    /// A connection asked for by [`Event::Connect`] does not come to be; `reason` is in words a
    /// person can act on.
    pub fn handle_connect_failed(&mut self, connection: ConnectionId, reason: &str, now: Instant) {
        self.connection_lost(connection, reason, now);
        self.settle(now);
    }

    /// A connection failed to open, broke or was closed.
    pub fn handle_closed(&mut self, connection: ConnectionId, now: Instant) {
        self.connection_lost(connection, BROKEN, now);
        self.settle(now);
    }

    /// A UDP datagram to this address could not be sent (ICMP unreachable).
    pub fn handle_unreachable(&mut self, remote: SocketAddr, now: Instant) {
        self.flow_failed(
            |flow| flow == Flow::Udp { remote },
            "nobody listens at the far address",
            now,
        );
        self.settle(now);
    }

    /// A lookup's answer; empty: the name does not resolve.
    pub fn handle_lookup(&mut self, id: LookupId, targets: &[Target], now: Instant) {
        self.located(id, targets, now);
        self.settle(now);
    }

    /// The phone's own address changed (link up, DHCP): re-register, later calls use it.
    pub fn handle_local_address(&mut self, local: SocketAddr, now: Instant) {
        self.moved(local, now);
        self.settle(now);
    }

    /// Places a call. `target` is a number or a SIP/tel URI.
    pub fn invite(
        &mut self,
        account: Option<AccountId>,
        target: &str,
        media: LocalMedia,
        now: Instant,
    ) -> Result<CallHandle, InviteError> {
        let call = self.place(account.map(|a| a.0), target, media, now);
        self.settle(now);
        call
    }

    /// Sends 180 for an incoming call.
    pub fn ring(&mut self, call: CallHandle, now: Instant) {
        self.ring_back(call, now);
        self.settle(now);
    }

    /// Answers an incoming call with 200.
    pub fn answer(&mut self, call: CallHandle, media: LocalMedia, now: Instant) {
        self.accept_call(call, media, now);
        self.settle(now);
    }

    /// Refuses an incoming call.
    pub fn reject(&mut self, call: CallHandle, code: u16, now: Instant) {
        self.refuse_call(call, code, now);
        self.settle(now);
    }

    /// Ends a call whatever its state needs: CANCEL, BYE, or a final response. [`Event::Ended`]
    /// follows.
    pub fn end(&mut self, call: CallHandle, now: Instant) {
        self.hang_up(call, None, now);
        self.settle(now);
    }

    /// [`UserAgent::end`], and the far end is told why.
    pub fn end_because(&mut self, call: CallHandle, reason: EndReason, now: Instant) {
        self.hang_up(call, Some(reason), now);
        self.settle(now);
    }

    /// Changes the direction of a standing call by re-INVITE: hold is `SendOnly`/`Inactive`, resume
    /// `SendRecv`.
    pub fn set_direction(&mut self, call: CallHandle, direction: Direction, now: Instant) {
        self.want_direction(call, direction, now);
        self.settle(now);
    }

    /// Brings new keys into a standing call by re-INVITE, where its keys stand in the session
    /// descriptions.
    pub fn rekey(&mut self, call: CallHandle, now: Instant) {
        self.want_keys(call, now);
        self.settle(now);
    }

    /// Does what [`Event::Refer`] asked for: calls that address, by the account and with the media
    /// given, and keeps the far end of `call` told. The new call is one like any other; `call` goes
    /// on until it is ended.
    pub fn accept_refer(
        &mut self,
        call: CallHandle,
        media: LocalMedia,
        now: Instant,
    ) -> Result<CallHandle, InviteError> {
        let placed = self.follow_refer(call, media, now);
        self.settle(now);
        placed
    }

    /// Does not do what [`Event::Refer`] asked for.
    pub fn reject_refer(&mut self, call: CallHandle, now: Instant) {
        self.decline_refer(call, now);
        self.settle(now);
    }

    /// Hands the far end of `held` over to whom `consulted` is with, or is being placed to. For the
    /// owner both are over then ([`Event::Ended`] follows for each); what came of it is told by an
    /// [`Event::Note`].
    pub fn transfer(
        &mut self,
        held: CallHandle,
        consulted: CallHandle,
        now: Instant,
    ) -> Result<(), TransferError> {
        let result = self.hand_over(held, consulted, now);
        self.settle(now);
        result
    }

    /// Sends a digit by INFO (application/dtmf-relay), where telephone-event was not negotiated.
    pub fn send_info_digit(&mut self, call: CallHandle, digit: char, now: Instant) {
        self.send_digit(call, digit, now);
        self.settle(now);
    }

    /// Registers all accounts anew, now (link up, `ctl register`).
    pub fn register(&mut self, now: Instant) {
        for line in 0..self.lines.len() {
            self.register_line(line, now);
        }
        self.settle(now);
    }

    /// Registers now whatever waits because it failed (the clock was set, a file was mended).
    pub fn retry_registrations(&mut self, now: Instant) {
        for line in 0..self.lines.len() {
            if self.lines.get(line).is_some_and(Line::is_failing) {
                self.register_line(line, now);
            }
        }
        self.settle(now);
    }

    /// Ends all calls and registrations; tables are empty when their transactions are done.
    pub fn shut_down(&mut self, now: Instant) {
        self.leaving = true;
        let calls: Vec<CallHandle> = self.calls.keys().copied().collect();
        for call in calls {
            self.hang_up(call, None, now);
        }
        for line in 0..self.lines.len() {
            self.unregister_line(line, now);
        }
        self.settle(now);
    }

    /// Fires every timer that is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        // Each of them may make others due, but not for ever: one that is left in the past again
        // and again must not stop the phone.
        let most = TURNS_A_DEADLINE * (self.deadlines.len() + 1);
        for _ in 0..most {
            let Some(waiter) = self.deadlines.pop_due(now) else {
                return;
            };
            match waiter {
                Waiter::Client(id) => self.client_timeout(id, now),
                Waiter::Server(id) => self.server_timeout(id, now),
                Waiter::Outgoing(id) => self.outgoing_timeout(id, now),
                Waiter::Call(call) => self.call_timeout(call, now),
                Waiter::Line(line) => self.line_timeout(line, now),
                Waiter::Connection(connection) => self.pulse_timeout(connection, now),
                Waiter::Connections => self.expire_connections(now),
            }
            self.settle(now);
        }
        self.deadlines.hold_back(now, now + HELD_BACK);
    }

    /// A message that must leave; call until `None`.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.wire.poll()
    }

    /// Something the owner should know; call until `None`.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When to call [`UserAgent::handle_timeout`].
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.deadlines.next()
    }

    /// The hosts the signalling of a call's far end comes from, as far as they are known by
    /// address: the last hop, its Contact, and the sender as the first hop saw it. Besides the
    /// address in SDP its media may come from there (RFC 7362).
    pub fn signalling_hosts(&self, call: CallHandle) -> impl Iterator<Item = IpAddr> {
        let state = self.calls.get(&call);
        state.into_iter().flat_map(CallState::signalling_hosts)
    }

    /// What was seen and dropped.
    pub fn counters(&self) -> Counters {
        self.wire.counters
    }

    /// How full the tables are.
    pub fn tables(&self) -> Tables {
        Tables {
            client_transactions: self.clients.len()
                + self
                    .outgoing
                    .values()
                    .filter(|o| o.transaction.is_none())
                    .count(),
            server_transactions: self.servers.len(),
            dialogs: self.calls.values().map(CallState::dialogs).sum::<usize>()
                + self.orphaned_referrals(),
            calls: self.calls.len(),
            lookups: self.lookups.len(),
        }
    }

    /// Requests of ours that still wait for their final answer: when it is 0 after
    /// [`UserAgent::shut_down`], nobody is left in the dark, though answered transactions linger
    /// for repetitions.
    pub fn unanswered(&self) -> usize {
        let waiting = |entry: &ClientEntry| match entry.machine.state() {
            client::State::Calling | client::State::Proceeding => true,
            client::State::Completed | client::State::Accepted | client::State::Done => false,
        };
        let unsent = self
            .outgoing
            .values()
            .filter(|o| o.transaction.is_none())
            .count();
        unsent
            + self
                .clients
                .iter()
                .filter(|(_, entry)| waiting(entry))
                .count()
    }

    fn handle_bytes(&mut self, flow: Flow, bytes: &[u8], now: Instant) {
        match Message::parse(bytes) {
            Ok(Message::Request(request)) => {
                self.wire.counters.received += 1;
                self.handle_request(flow, request, now);
            }
            Ok(Message::Response(response)) => {
                self.wire.counters.received += 1;
                self.handle_response(flow, &response, now);
            }
            Err(error) => self.handle_malformed(flow, &error, now),
        }
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
        let known = self.lines.iter().any(|line| line.knows(remote.ip()));
        let accepted = self
            .wire
            .connections
            .handle_accepted(connection, remote, transport, names, known, now);
        match accepted {
            Ok(None) => {}
            Ok(Some(displaced)) => {
                self.wire.counters.dropped += 1;
                self.close_connection(displaced, "too many connections are open", now);
            }
            Err(Full) => {
                self.wire.counters.dropped += 1;
                self.events.push_back(Event::Close(connection));
            }
        }
    }

    /// Closes the connections whose time is up.
    fn expire_connections(&mut self, now: Instant) {
        while let Some((connection, why)) = self.wire.connections.poll_expired(now) {
            self.close_connection(connection, &why.to_string(), now);
        }
    }

    /// This phone closes a connection.
    pub(crate) fn close_connection(
        &mut self,
        connection: ConnectionId,
        reason: &str,
        now: Instant,
    ) {
        if let Some(found) = self.wire.connections.get(connection) {
            let remote = found.flow(connection).remote();
            self.events
                .push_back(Event::Note(format!("connection with {remote}: {reason}")));
        }
        self.events.push_back(Event::Close(connection));
        self.connection_lost(connection, reason, now);
    }

    pub(crate) fn connection_lost(&mut self, connection: ConnectionId, reason: &str, now: Instant) {
        self.wire.connections.handle_closed(connection);
        self.deadlines.set(Waiter::Connection(connection), None);
        self.flow_failed(
            |flow: Flow| flow.connection() == Some(connection),
            reason,
            now,
        );
        self.lines_lost(connection, reason, now);
    }

    /// Tells those who sent requests that failed here, and those who wait for news. Telling may
    /// make new requests, and new failures; each step ends one request.
    pub(crate) fn settle(&mut self, now: Instant) {
        loop {
            if let Some((purpose, code, reason)) = self.failures.pop_front() {
                self.outcome(
                    &purpose,
                    0,
                    &crate::outgoing::Outcome::Failed(code, &reason),
                    now,
                );
            } else if let Some(owed) = self.owed.pop_front() {
                self.pay(owed, now);
            } else {
                break;
            }
        }
        let expiry = self.wire.connections.poll_timeout();
        self.deadlines.set(Waiter::Connections, expiry);
    }
}
