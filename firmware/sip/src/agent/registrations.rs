//! Registrations and the connections they keep alive: what each [`Registration`] wants done.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::action::{OutgoingRequest, Purpose};
use crate::api::Event;
use crate::client_request::{Delivery, ServerChoice};
use crate::flow::{Flow, Target, Transport};
use crate::ids::{AccountId, ConnectionId, RequestId};
use crate::keepalive::KeepaliveStep;
use crate::local_addresses::LocalAddresses;
use crate::locate::Hop;
use crate::message::{Request, Response};
use crate::registration::{
    RegisterOutcome, Registration, RegistrationAction, proves_alive, server_hop,
};
use crate::stream::PING;

use super::{UserAgent, Waiter};

/// How long a server that is asked whether it is there may be silent.
const ASKED_SILENCE: Duration = Duration::from_millis(3500);
/// What is reported when the phone's own address is gone.
pub(super) const NO_ADDRESS: &str =
    "the phone has no network address: plug the cable in, or see whether Wi-Fi and DHCP work";

impl UserAgent {
    /// One turn of one registration.
    pub(super) fn on_registration(
        &mut self,
        account: usize,
        now: Instant,
        turn: impl FnOnce(&mut Registration, &mut crate::env::Env) -> Vec<RegistrationAction>,
    ) {
        let Some(registration) = self.registrations.get_mut(account) else {
            return;
        };
        let actions = turn(registration, &mut self.env);
        let deadline = registration.deadline();
        self.deadlines.set(Waiter::Registration(account), deadline);
        let span = tracing::info_span!("registration", account);
        let _entered = span.enter();
        for action in actions {
            match action {
                RegistrationAction::Send { id, request, hop } => {
                    let outgoing = OutgoingRequest {
                        purpose: Purpose::Register(account),
                        account: Some(account),
                        request: *request,
                        hop,
                        flow: None,
                    };
                    self.send_request(id, outgoing, now);
                }
                RegistrationAction::Abandon(id) => self.forget_request(id),
                RegistrationAction::Report { until, error } => {
                    self.events.push_back(Event::Registration {
                        account: AccountId(account),
                        until,
                        error,
                    });
                    self.on_account_bound(account, until.is_some(), now);
                }
                RegistrationAction::MappingChanged => {
                    tracing::info!("the router gave this phone another address; calls say so");
                    self.on_calls_moved(Some(account), now);
                    self.on_subscriptions_moved(Some(account), now);
                    let account = AccountId(account);
                    self.events.push_back(Event::MappingChanged { account });
                }
                RegistrationAction::KeepAlive(connection) => self.keep_alive(connection, now),
                RegistrationAction::LineEnd(target) => {
                    let remote = target.address;
                    self.transport
                        .send(Flow::Udp { remote }, PING.to_vec(), now);
                }
                RegistrationAction::Keepalive { id, request, hop } => {
                    let purpose = (Purpose::Keepalive(account), account);
                    self.send_options(id, purpose, *request, hop, now);
                }
                RegistrationAction::Probe { id, request, hop } => {
                    let purpose = (Purpose::Probe(account), account);
                    self.send_options(id, purpose, *request, hop, now);
                }
            }
        }
    }

    /// Where else than to its first hop a request may go.
    pub(super) fn delivery(&self, outgoing: &OutgoingRequest, hop: &Hop) -> Delivery {
        let urgent = match outgoing.purpose {
            Purpose::Invite(call) => self.urgent.get(&call).map(|urgency| urgency.each),
            _other => None,
        };
        let silence = match outgoing.purpose {
            Purpose::Invite(call) => self.urgent.get(&call).and_then(|urgency| urgency.last),
            Purpose::Probe(_) | Purpose::Keepalive(_) | Purpose::CheckPeer(_) => {
                Some(ASKED_SILENCE)
            }
            Purpose::Register(_)
            | Purpose::Reinvite(_)
            | Purpose::Refresh(_)
            | Purpose::Prack(_)
            | Purpose::InDialog(_)
            | Purpose::Digit(..)
            | Purpose::Refer(_)
            | Purpose::Notify(_)
            | Purpose::Message(_)
            | Purpose::Publish(_)
            | Purpose::Subscribe(..)
            | Purpose::Served(_)
            | Purpose::Ack(_)
            | Purpose::None => None,
        };
        let account = match outgoing.purpose {
            Purpose::Invite(_)
            | Purpose::Message(_)
            | Purpose::Publish(_)
            | Purpose::Subscribe(_, 0) => outgoing.account,
            Purpose::Register(account) => Some(account),
            Purpose::Probe(_)
            | Purpose::Keepalive(_)
            | Purpose::CheckPeer(_)
            | Purpose::Reinvite(_)
            | Purpose::Refresh(_)
            | Purpose::Prack(_)
            | Purpose::InDialog(_)
            | Purpose::Digit(..)
            | Purpose::Refer(_)
            | Purpose::Notify(_)
            | Purpose::Subscribe(..)
            | Purpose::Served(_)
            | Purpose::Ack(_)
            | Purpose::None => None,
        };
        let found = account.and_then(|a| Some((self.registrations.get(a)?, self.env.account(a)?)));
        let Some((registration, config)) = found else {
            return Delivery {
                silence,
                urgent,
                ..Delivery::default()
            };
        };
        // What a far end or a Service-Route leads elsewhere goes there and nowhere else.
        if server_hop(config).as_ref() != Ok(hop) {
            return Delivery {
                silence,
                urgent,
                ..Delivery::default()
            };
        }
        let confirms = matches!(outgoing.purpose, Purpose::Register(_));
        Delivery {
            registered: if confirms {
                registration.suspected_server()
            } else {
                registration.server()
            },
            confirms,
            backups: registration.backups().to_vec(),
            silence,
            urgent,
        }
    }

    /// Sends an OPTIONS to a server of an account.
    fn send_options(
        &mut self,
        id: RequestId,
        (purpose, account): (Purpose, usize),
        request: Request,
        hop: Hop,
        now: Instant,
    ) {
        let outgoing = OutgoingRequest {
            purpose,
            account: Some(account),
            request,
            hop: Ok(hop),
            flow: None,
        };
        self.send_request(id, outgoing, now);
    }

    /// The same for all registrations.
    pub(super) fn on_registrations(
        &mut self,
        now: Instant,
        mut turn: impl FnMut(&mut Registration, &mut crate::env::Env) -> Vec<RegistrationAction>,
    ) {
        for account in 0..self.registrations.len() {
            self.on_registration(account, now, &mut turn);
        }
    }

    pub(super) fn on_register_outcome(
        &mut self,
        account: usize,
        outcome: RegisterOutcome<'_>,
        now: Instant,
    ) {
        self.on_registration(account, now, |registration, env| {
            registration.handle_outcome(outcome, env, now)
        });
    }

    /// A server answered a REGISTER: the account's calls go where its registration went.
    pub(super) fn on_registrar_answer(
        &mut self,
        account: usize,
        response: &Response,
        server: ServerChoice,
        now: Instant,
    ) {
        if response.code() == 503 {
            let retry_after = response.headers.number("Retry-After");
            let known = &mut self.env.reachability;
            known.handle_overload(server.target, retry_after, now);
        }
        if let Some(registration) = self.registrations.get_mut(account) {
            registration.handle_answer_of(server);
        }
    }

    /// A probed server answered, or did not.
    pub(super) fn on_probe_outcome(&mut self, account: usize, code: u16, now: Instant) {
        let probed = self
            .registrations
            .get(account)
            .and_then(Registration::probed);
        if let Some(probed) = probed.filter(|_| !proves_alive(code)) {
            self.env.reachability.handle_silence(probed, now);
        }
        self.on_registration(account, now, |registration, env| {
            registration.handle_probe(code, env)
        });
    }

    /// The server an account is registered at answered a keepalive, or did not.
    pub(super) fn on_keepalive_outcome(
        &mut self,
        account: usize,
        answer: Option<&Response>,
        now: Instant,
    ) {
        self.on_registration(account, now, |registration, env| {
            registration.handle_keepalive(answer, env, now)
        });
    }

    /// There is a network again, or another one.
    pub(super) fn on_network_change(&mut self, now: Instant) {
        self.env.offline = None;
        self.env.reachability.forget();
        self.on_registrations(now, Registration::handle_network_change);
    }

    /// There is no network.
    pub(super) fn on_network_lost(&mut self, reason: &str, now: Instant) {
        self.env.offline = Some(reason.to_owned());
        self.on_registrations(now, |registration, _| {
            registration.handle_network_lost(reason)
        });
    }

    /// A request was not answered: an account that is registered there asks whether it still is.
    pub(super) fn check_registered_servers(&mut self, now: Instant) {
        for account in 0..self.registrations.len() {
            let server = self
                .registrations
                .get(account)
                .and_then(Registration::server);
            if server.is_some_and(|(target, _)| self.env.reachability.is_avoided(target, now)) {
                self.on_registration(account, now, |registration, env| {
                    registration.handle_suspicion(env, now)
                });
            }
        }
    }

    /// No one listens at this address, the kernel says: where an account is registered there, that
    /// is found out at once.
    pub(super) fn suspect_unreachable(&mut self, remote: SocketAddr, now: Instant) {
        let unreachable = Target {
            transport: Transport::Udp,
            address: remote,
        };
        self.on_registrations(now, |registration, env| match registration.server() {
            Some((server, _)) if server == unreachable => registration.handle_suspicion(env, now),
            Some(_) | None => Vec::new(),
        });
    }

    /// The phone's own addresses are others.
    pub(super) fn on_local_addresses(&mut self, addresses: LocalAddresses, now: Instant) {
        let is_loopback = |addresses: &LocalAddresses| addresses.primary().ip().is_loopback();
        if is_loopback(&addresses) && !is_loopback(&self.env.addresses) {
            // No interface has an address any more: no one could answer to that one.
            return self.on_network_lost(NO_ADDRESS, now);
        }
        let changed = self.env.addresses != addresses;
        self.env.addresses = addresses;
        self.env.offline = None;
        self.env.reachability.forget();
        self.on_registrations(now, |registration, env| {
            registration.handle_local_address(changed, env)
        });
        if changed {
            self.on_calls_moved(None, now);
            self.on_subscriptions_moved(None, now);
        }
    }

    /// A registration needs this connection: from now on it is kept alive.
    fn keep_alive(&mut self, id: ConnectionId, now: Instant) {
        if let Some(connection) = self.transport.connections.get_mut(id) {
            connection.keepalive.start(&mut self.env.tokens, now);
            self.schedule_keepalive(id);
        }
    }

    /// A pong came in.
    pub(super) fn on_pong(&mut self, id: ConnectionId) {
        if let Some(connection) = self.transport.connections.get_mut(id) {
            connection.keepalive.handle_pong();
            self.schedule_keepalive(id);
        }
    }

    /// A connection's keepalive is due.
    pub(super) fn keepalive_timeout(&mut self, id: ConnectionId, now: Instant) {
        let needed = self
            .registrations
            .iter()
            .any(|registration| registration.connection() == Some(id));
        let Some(connection) = self.transport.connections.get_mut(id) else {
            return;
        };
        let flow = connection.flow(id);
        let step = connection
            .keepalive
            .handle_timeout(needed, &mut self.env.tokens, now);
        match step {
            KeepaliveStep::Wait => {}
            KeepaliveStep::Ping => self.transport.send(flow, PING.to_vec(), now),
            KeepaliveStep::Dead => {
                let reason = "the connection is dead: no answer to a keepalive";
                return self.close_connection(id, reason, now);
            }
        }
        self.schedule_keepalive(id);
    }

    fn schedule_keepalive(&mut self, id: ConnectionId) {
        let connection = self.transport.connections.get(id);
        let deadline = connection.and_then(|connection| connection.keepalive.deadline());
        self.deadlines.set(Waiter::Connection(id), deadline);
    }
}
