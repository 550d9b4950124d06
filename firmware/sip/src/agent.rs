//! The user agent: the only thing its owner sees of SIP. It owns the tables and routes; what
//! happens is decided by the objects in them.
//!
//! ```text
//! handle_datagram, handle_stream ─▶ message ─┬─ request ──▶ agent::incoming ─▶ admission ─▶ Call
//!                                            └─ response ─▶ agent::client_transactions ─▶ ClientRequest ─▶ Call, Registration
//! invite, answer, end … ───────────────────────▶ agent::placing, calls ─▶ Call ─▶ Action … ─▶ poll_transmit, poll_event
//! handle_timeout ─▶ deadlines ─▶ the object that is due
//! ```

mod admission;
mod calls;
mod client_transactions;
mod connections;
mod figures;
mod incoming;
mod messages;
mod network;
mod outcomes;
mod overtaking;
mod placing;
mod publications;
mod registrations;
mod requests;
mod responses;
mod subscriptions;
mod transfers;

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use types::Direction;

use crate::admission::Admission;
use crate::call::Call;
use crate::client_request::ClientRequest;
use crate::digest::verifier::Verifier;
use crate::env::Env;
use crate::events::{ServedSubscriptions, Subscription};
use crate::media_security::MediaSecurity;
use crate::message::Message;
use crate::offer_answer::LocalMedia;
use crate::publication::Publications;
use crate::registration::Registration;
pub use crate::registration::RegistrationAttempt;
use crate::stream::{Frame, PONG};
use crate::timer::Deadlines;
use crate::transaction::table::{ClientEntry, MAX_CLIENTS, MAX_SERVERS, ServerEntry, Table};
use crate::transfer::{EndedDialogs, ReferOrder, ReferSubscriptions};
use crate::transport::TransportLayer;
pub use publications::DialogIdentity;

pub use crate::api::*;
pub use crate::flow::{Flow, Target, Transmit, Transport};
pub use crate::ids::{AccountId, CallHandle, ConnectionId, LookupId, MessageId, PublicationId};
use crate::ids::{RequestId, TransactionId};
use placing::Urgency;
use requests::{Failure, Outcome};

/// How often one deadline may come back due within one turn: an object has few timers, and fires
/// them one by one.
const TURNS_PER_DEADLINE: usize = 16;
/// How long what comes back due even then is postponed.
const POSTPONED: Duration = Duration::from_millis(10);
/// What is reported of a connection where nothing better is known.
const BROKEN: &str = "the connection broke or could not be opened";

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

/// The SIP user agent.
pub struct UserAgent {
    pub(crate) env: Env,
    pub(crate) transport: TransportLayer,
    admission: Admission,
    events: VecDeque<Event>,
    deadlines: Deadlines<Waiter>,
    clients: Table<ClientEntry>,
    servers: Table<ServerEntry>,
    requests: BTreeMap<RequestId, ClientRequest>,
    /// Lookups under way, and the request each is for.
    lookups: BTreeMap<LookupId, RequestId>,
    next_lookup: u64,
    /// Requests that failed here; their senders do not know yet.
    failures: VecDeque<Failure>,
    calls: BTreeMap<CallHandle, Call>,
    next_call: u64,
    /// Calls each of whose servers may be silent for so long only: emergency calls that can go
    /// another way.
    urgent: BTreeMap<CallHandle, Urgency>,
    subscriptions: ReferSubscriptions,
    /// Subscriptions of ours.
    watching: Vec<Subscription>,
    /// Those who watch this phone.
    served: ServedSubscriptions,
    publications: Publications,
    ended: EndedDialogs,
    pub(crate) registrations: Vec<Registration>,
    /// Salt of the tags in answers that no transaction remembers.
    salt: String,
    /// Who proves that the configuration may be looked up again at their wish.
    check_sync: Verifier,
    shutting_down: bool,
}

impl UserAgent {
    /// An agent with nothing going on; registrations start at the first `handle_timeout`.
    pub fn new(config: AgentConfig, now: Instant) -> Self {
        let loud = |media_security: &MediaSecurity| media_security.sdes_over_clear;
        let keys_in_clear = loud(&config.media_security)
            || config
                .accounts
                .iter()
                .any(|account| loud(&account.media_security));
        let accounts = config.accounts.clone();
        let mut env = Env::new(config);
        let registrations: Vec<Registration> = accounts
            .iter()
            .enumerate()
            .map(|(account, config)| Registration::new(account, config, &mut env, now))
            .collect();
        let mut deadlines = Deadlines::new();
        for (account, registration) in registrations.iter().enumerate() {
            deadlines.set(Waiter::Registration(account), registration.deadline());
        }
        let mut agent = Self {
            transport: TransportLayer::new(keys_in_clear),
            admission: Admission::new(
                env.config.direct_callers,
                env.config.direct_from.clone(),
                now,
            ),
            salt: env.tokens.word(16),
            check_sync: Verifier::new(env.tokens.word(32), now),
            watching: subscriptions::configured(&env),
            served: ServedSubscriptions::default(),
            publications: Publications::default(),
            env,
            events: VecDeque::new(),
            deadlines,
            clients: Table::new(MAX_CLIENTS),
            servers: Table::new(MAX_SERVERS),
            requests: BTreeMap::new(),
            lookups: BTreeMap::new(),
            next_lookup: 1,
            failures: VecDeque::new(),
            calls: BTreeMap::new(),
            next_call: 1,
            urgent: BTreeMap::new(),
            subscriptions: ReferSubscriptions::default(),
            ended: EndedDialogs::default(),
            registrations,
            shutting_down: false,
        };
        agent.start_subscriptions(now);
        agent
    }

    /// One UDP datagram came in.
    pub fn handle_datagram(&mut self, from: SocketAddr, bytes: &[u8], now: Instant) {
        self.handle_bytes(Flow::Udp { remote: from }, bytes, now);
        self.finish_turn(now);
    }

    /// Bytes came in on a TCP or TLS connection.
    pub fn handle_stream(&mut self, connection: ConnectionId, bytes: &[u8], now: Instant) {
        let Some(found) = self.transport.connections.get(connection) else {
            return;
        };
        let flow = found.flow(connection);
        self.transport
            .connections
            .handle_stream(connection, bytes, now);
        // A frame may end the connection.
        while let Some(frame) = self.transport.connections.poll_frame(connection, now) {
            match frame {
                Ok(Frame::Message(message)) => self.handle_bytes(flow, &message, now),
                Ok(Frame::Ping) => self.transport.send(flow, PONG.to_vec(), now),
                Ok(Frame::Pong) => self.on_pong(connection),
                Err(error) => {
                    self.transport.counters.malformed += 1;
                    if let Some(head) = self.transport.connections.take_lost(connection) {
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
        if self.transport.connected(connection, remote, now) {
            self.on_connection_opened(connection, now);
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
        self.on_flow_failed(
            |flow| flow == Flow::Udp { remote },
            "no one listens at the far address",
            now,
        );
        self.suspect_unreachable(remote, now);
        self.finish_turn(now);
    }

    /// A lookup's answer; empty: the name does not resolve.
    pub fn handle_lookup(&mut self, id: LookupId, targets: &[Target], now: Instant) {
        self.on_lookup(id, Ok(targets), now);
        self.finish_turn(now);
    }

    /// A lookup found nothing; `reason` says which question was not answered, and by whom.
    pub fn handle_lookup_failed(&mut self, id: LookupId, reason: &str, now: Instant) {
        self.on_lookup(id, Err(reason), now);
        self.finish_turn(now);
    }

    /// Asks the far end of an established call whether it still knows the call;
    /// [`Event::PeerChecked`] follows.
    pub fn check_peer(&mut self, call: CallHandle, now: Instant) {
        self.send_peer_check(call, now);
        self.finish_turn(now);
    }

    /// The account whose domain an address is in.
    pub fn account_of_address(&self, target: &str) -> Option<AccountId> {
        self.account_in_domain(target).map(AccountId)
    }

    /// Places a call. `target` is a number or a SIP/tel URI.
    pub fn invite(
        &mut self,
        account: Option<AccountId>,
        target: &str,
        media: LocalMedia,
        now: Instant,
    ) -> Result<CallHandle, InviteError> {
        let account = account.map(|a| a.0);
        let order = ReferOrder::default();
        let options = InviteOptions::default();
        let call = self.place_call(account, target, media, order, options, now);
        self.finish_turn(now);
        call
    }

    /// [`invite`](Self::invite), with the identity withheld or a wish to be answered at once.
    pub fn invite_with(
        &mut self,
        account: Option<AccountId>,
        target: &str,
        options: InviteOptions,
        media: LocalMedia,
        now: Instant,
    ) -> Result<CallHandle, InviteError> {
        let account = account.map(|a| a.0);
        let order = ReferOrder::default();
        let call = self.place_call(account, target, media, order, options, now);
        self.finish_turn(now);
        call
    }

    /// Where an account is registered, and the servers that would be better and do not answer.
    pub fn account_servers(&self, account: AccountId) -> (Option<Target>, &[Target]) {
        let found = self.registrations.get(account.0);
        let server = found.and_then(Registration::server);
        let silent = found.map_or(&[][..], Registration::silent_servers);
        (server.map(|(target, _)| target), silent)
    }

    /// The last attempts of an account to register, oldest first.
    pub fn registration_history(
        &self,
        account: AccountId,
    ) -> impl Iterator<Item = &RegistrationAttempt> {
        let found = self.registrations.get(account.0);
        found.into_iter().flat_map(Registration::history)
    }

    /// Sends 180 for an incoming call.
    pub fn ring(&mut self, call: CallHandle, now: Instant) {
        self.on_call(call, now, Call::ring);
        self.finish_turn(now);
    }

    /// Sends 183 with an answer for an incoming call, or 180 where it has no offer: the caller
    /// hears this phone before it is answered. [`Event::Progress`] follows;
    /// [`UserAgent::answer`] goes on with the same media.
    pub fn send_early_media(&mut self, call: CallHandle, media: LocalMedia, now: Instant) {
        self.on_call(call, now, |call, turn| call.send_early_media(media, turn));
        self.finish_turn(now);
    }

    /// Answers an incoming call with 200.
    pub fn answer(&mut self, call: CallHandle, media: LocalMedia, now: Instant) {
        self.on_call(call, now, |call, turn| call.answer(media, turn));
        self.finish_turn(now);
    }

    /// Sends the caller of an incoming call to another number or address (302).
    pub fn redirect(&mut self, call: CallHandle, target: &str, now: Instant) {
        self.redirect_call(call, target, now);
        self.finish_turn(now);
    }

    /// Refuses an incoming call.
    pub fn reject(&mut self, call: CallHandle, code: u16, now: Instant) {
        self.on_call(call, now, |call, turn| call.reject(code, turn));
        self.finish_turn(now);
    }

    /// Ends a call whatever its state needs: CANCEL, BYE, or a final response. [`Event::Ended`]
    /// follows.
    pub fn end(&mut self, call: CallHandle, now: Instant) {
        self.hang_up(call, None, now);
        self.finish_turn(now);
    }

    /// [`UserAgent::end`], and says to the far end why.
    pub fn end_because(&mut self, call: CallHandle, reason: EndReason, now: Instant) {
        self.hang_up(call, Some(reason), now);
        self.finish_turn(now);
    }

    /// Changes the direction of an established call by re-INVITE: hold is `SendOnly`/`Inactive`,
    /// resume `SendRecv`.
    pub fn set_direction(&mut self, call: CallHandle, direction: Direction, now: Instant) {
        self.on_call(call, now, |call, turn| call.set_direction(direction, turn));
        self.finish_turn(now);
    }

    /// Gives a call other addresses and candidates for its media, and the far end of an
    /// established call gets them by re-INVITE: the network changed, or checks must begin again (an
    /// ICE restart).
    pub fn move_media(&mut self, call: CallHandle, media: &LocalMedia, now: Instant) {
        self.on_call(call, now, |call, turn| call.move_media(media, turn));
        self.finish_turn(now);
    }

    /// Brings new keys into an established call by re-INVITE, where its keys stand in the session
    /// descriptions.
    pub fn rekey(&mut self, call: CallHandle, now: Instant) {
        self.on_call(call, now, Call::rekey);
        self.finish_turn(now);
    }

    /// Calls, or does not call, whom [`Event::Redirect`] names.
    pub fn decide_redirection(&mut self, call: CallHandle, allowed: bool, now: Instant) {
        self.on_call(call, now, |call, turn| {
            call.decide_redirection(allowed, turn);
        });
        self.finish_turn(now);
    }

    /// Does what [`Event::Refer`] asked for: calls that address, by the account and with the media
    /// given, and reports to the far end of `call`. The new call is an ordinary one; `call` goes
    /// on until it is ended.
    pub fn accept_refer(
        &mut self,
        call: CallHandle,
        media: LocalMedia,
        now: Instant,
    ) -> Result<CallHandle, InviteError> {
        let placed = self.follow_refer(call, media, now);
        self.finish_turn(now);
        placed
    }

    /// Refuses what [`Event::Refer`] asked for.
    pub fn reject_refer(&mut self, call: CallHandle, now: Instant) {
        self.decline_refer(call, now);
        self.finish_turn(now);
    }

    /// Transfers the far end of `held` to the far end of `consulted`, answered or not. For the
    /// owner both are over then ([`Event::Ended`] follows for each); [`Event::Transferred`] says
    /// what came of it.
    pub fn transfer(
        &mut self,
        held: CallHandle,
        consulted: CallHandle,
        now: Instant,
    ) -> Result<(), TransferError> {
        let result = self.start_transfer(held, consulted, now);
        self.finish_turn(now);
        result
    }

    /// Transfers the far end of `held` to a number or address (RFC 5589 section 6); as
    /// [`transfer`](Self::transfer).
    pub fn transfer_to(
        &mut self,
        held: CallHandle,
        target: &str,
        now: Instant,
    ) -> Result<(), TransferError> {
        let result = self.start_blind_transfer(held, target, now);
        self.finish_turn(now);
        result
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
        self.end_all(now);
        self.stop_subscriptions(now);
        self.withdraw_publications(now);
        self.on_registrations(now, Registration::unregister);
        self.stop_sending_cancelled();
        self.finish_turn(now);
    }

    /// The end of a shutdown whose far ends did not all answer. What still waits for them is ended
    /// without: CANCEL though no provisional response has come (section 9.1), BYE though no ACK has
    /// (section 15). Whoever has the INVITE would ring, or wait, after the phone is gone.
    pub fn finish_shutdown(&mut self, now: Instant) {
        self.cancel_unheard(now);
        let calls: Vec<CallHandle> = self.calls.keys().copied().collect();
        for call in calls {
            self.on_call(call, now, Call::give_up);
        }
        self.finish_turn(now);
    }

    /// Fires every timer that is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        // Each of them may make others due, but not for ever: one that is left in the past again
        // and again must not stop the phone.
        let most = TURNS_PER_DEADLINE * (self.deadlines.len() + 1);
        for _ in 0..most {
            let Some(waiter) = self.deadlines.pop_due(now) else {
                return;
            };
            match waiter {
                Waiter::Client(id) => self.client_timeout(id, now),
                Waiter::Server(id) => self.server_timeout(id, now),
                Waiter::Request(id) => self.request_timeout(id, now),
                Waiter::Call(call) => self.on_call(call, now, Call::handle_timeout),
                Waiter::Registration(account) => {
                    self.on_registration(account, now, |registration, env| {
                        registration.handle_timeout(env, now)
                    });
                }
                Waiter::Connection(connection) => self.keepalive_timeout(connection, now),
                Waiter::Connections => self.expire_connections(now),
                Waiter::Subscription(index) => self.subscription_timeout(index, now),
                // What is due is sent at the end of the turn.
                Waiter::Served => {}
                Waiter::Publications => self.send_publications(now),
            }
            self.finish_turn(now);
        }
        self.deadlines.hold_back(now, now + POSTPONED);
    }

    /// A message that must leave; call until `None`.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transport.poll()
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
        let call = self.calls.get(&call);
        call.into_iter().flat_map(Call::signalling_hosts)
    }

    /// The host an established call's requests come from.
    pub fn last_hop(&self, call: CallHandle) -> Option<IpAddr> {
        let dialog = self.calls.get(&call)?.dialog()?;
        Some(dialog.flow?.remote().ip().to_canonical())
    }

    fn handle_bytes(&mut self, flow: Flow, bytes: &[u8], now: Instant) {
        match Message::parse(bytes) {
            Ok(Message::Request(request)) => {
                self.transport.counters.received += 1;
                self.handle_request(flow, request, now);
            }
            Ok(Message::Response(response)) => {
                self.transport.counters.received += 1;
                self.handle_response(flow, &response, now);
            }
            Err(error) => self.handle_malformed(flow, &error, now),
        }
    }

    /// Brings the failures of requests to their senders, and the index in step. That may make new
    /// requests, and new failures; each step ends one request.
    fn finish_turn(&mut self, now: Instant) {
        self.publish_calls(now);
        while let Some(failure) = self.failures.pop_front() {
            let outcome = Outcome::Failed(failure.code, &failure.reason);
            self.on_outcome(failure.purpose, 0, outcome, now);
        }
        while let Some(displaced) = self.transport.displaced.pop() {
            self.close_connection(displaced, "too many connections are open", now);
        }
        let expiry = self.transport.connections.poll_timeout();
        self.deadlines.set(Waiter::Connections, expiry);
    }
}
