//! Registrations and the connections they keep alive: what each [`Registration`] wants done.

use std::time::Instant;

use crate::action::{OutgoingRequest, Purpose};
use crate::api::Event;
use crate::ids::{AccountId, ConnectionId};
use crate::keepalive::KeepaliveStep;
use crate::local_addresses::LocalAddresses;
use crate::registration::{RegisterOutcome, Registration, RegistrationAction};
use crate::stream::PING;

use super::{UserAgent, Waiter};

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
                }
                RegistrationAction::KeepAlive(connection) => self.keep_alive(connection, now),
            }
        }
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

    /// The phone's own addresses are others.
    pub(super) fn on_local_addresses(&mut self, addresses: LocalAddresses, now: Instant) {
        let changed = self.env.addresses != addresses;
        self.env.addresses = addresses;
        self.on_registrations(now, |registration, env| {
            registration.handle_local_address(changed, env)
        });
        if changed {
            self.on_calls_moved(now);
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
