//! The outcome of a request of ours, brought to the object it was sent for.

use std::time::Instant;

use crate::action::Purpose;
use crate::api::Event;
use crate::call::{Call, ChangeRefused};
use crate::ids::{CallHandle, RequestId};
use crate::message::Response;
use crate::registration::RegisterOutcome;
use crate::requests::{Notice, Outcome};

use super::{UserAgent, text_messages};

impl UserAgent {
    /// Brings a request's outcome to what it was for.
    pub(super) fn on_outcome(
        &mut self,
        purpose: Purpose,
        id: RequestId,
        outcome: Outcome<'_>,
        now: Instant,
    ) {
        let (code, provisional) = (outcome.code(), outcome.code() < 200);
        match (purpose, outcome) {
            (Purpose::Invite(call), Outcome::Response(response)) => {
                self.on_invite_response(call, id, response, now);
            }
            (Purpose::Invite(call), Outcome::Failed(failure)) => {
                self.on_call(call, now, |call, turn| {
                    call.handle_invite_failure(failure, turn);
                });
            }
            (_, _) if provisional => {}
            (Purpose::Register(account), _) => {
                let outcome = match outcome {
                    Outcome::Response(response) => RegisterOutcome::Response(response),
                    Outcome::Failed(failure) => {
                        RegisterOutcome::Failed(failure.code, &failure.reason)
                    }
                };
                self.on_registration(account, now, |registration, env| {
                    registration.handle_outcome(outcome, env, now)
                });
            }
            (Purpose::Reinvite(call), Outcome::Response(response)) if response.is_success() => {
                self.on_change_accepted(call, id, response, now);
            }
            (Purpose::Reinvite(call), _) => {
                let refusal = match outcome {
                    Outcome::Response(response) => ChangeRefused::of(response),
                    Outcome::Failed(failure) => ChangeRefused::failed(failure.code),
                };
                self.on_call(call, now, |call, turn| {
                    call.handle_change_refused(&refusal, turn);
                });
            }
            (Purpose::Refresh(call), Outcome::Response(response)) => {
                self.on_call(call, now, |call, turn| {
                    call.handle_refreshed(response, turn);
                });
            }
            (Purpose::InDialog(call) | Purpose::Refresh(call), _) => {
                self.on_call(call, now, |call, turn| {
                    call.handle_in_dialog_outcome(code, turn);
                });
            }
            (Purpose::Digit(call, key), _) => self.on_call(call, now, |call, turn| {
                call.handle_digit_outcome(key, code, turn);
            }),
            (Purpose::Refer(call), _) => self.on_call(call, now, |call, turn| {
                call.handle_refer_outcome(code, turn);
            }),
            (Purpose::Notify(call), _) => self.calls.handle_notify_outcome(call, code),
            (Purpose::Subscribe(index, leg), _) => {
                let env = &mut self.shared.env;
                let subscription = (index, leg);
                let actions = self
                    .subscriptions
                    .handle_outcome(subscription, outcome, env, now);
                self.execute_subscription(index, actions, now);
            }
            (Purpose::Served(id), _) => self
                .subscriptions
                .served_mut()
                .handle_notify_outcome(id, code),
            (Purpose::Keepalive(account), _) => {
                self.on_registration(account, now, |registration, env| {
                    registration.handle_keepalive(outcome.response(), env, now)
                });
            }
            (Purpose::CheckPeer(call), _) => {
                if let Some(result) = self.calls.peer_checked(call, code) {
                    let event = Event::PeerChecked { call, result };
                    self.shared.events.push_back(event);
                }
            }
            (Purpose::Message(message), _) => {
                let event = text_messages::sent(message, outcome);
                self.shared.events.push_back(event);
            }
            (Purpose::Publish(id), _) => {
                let shared = &mut self.shared;
                let event = self.publications.handle_response(id, outcome, shared, now);
                self.shared.events.extend(event);
                self.send_publications(now);
            }
            (Purpose::Probe(account), _) => {
                self.on_registration(account, now, |registration, env| {
                    registration.handle_probe(code, env, now)
                });
            }
            (Purpose::Ack(_) | Purpose::Prack(_) | Purpose::None, _) => {}
        }
    }

    /// Brings what the requests report to whom it concerns.
    pub(super) fn follow_requests(&mut self, now: Instant) {
        while let Some(notice) = self.requests.poll_notice() {
            match notice {
                Notice::Failed(failure) => {
                    self.on_outcome(failure.purpose, 0, Outcome::Failed(&failure), now);
                }
                Notice::Renumbered(purpose, cseq) => self.on_renumbered(purpose, cseq),
                Notice::ServerSilent => {
                    let (env, registrations) = (&self.shared.env, &self.shared.registrations);
                    for account in registrations.at_silent_servers(env, now) {
                        self.suspect_server(account, now);
                    }
                }
            }
        }
    }

    /// An account's server may be gone: it asks whether it is.
    pub(super) fn suspect_server(&mut self, account: usize, now: Instant) {
        self.on_registration(account, now, |registration, env| {
            registration.handle_suspicion(env, now)
        });
    }

    /// A request was sent again under a higher number.
    fn on_renumbered(&mut self, purpose: Purpose, cseq: u32) {
        match purpose {
            Purpose::Register(account) => {
                if let Some(registration) = self.shared.registrations.get_mut(account) {
                    registration.handle_renumbered(cseq);
                }
            }
            Purpose::Invite(call)
            | Purpose::Reinvite(call)
            | Purpose::Refresh(call)
            | Purpose::Prack(call)
            | Purpose::InDialog(call)
            | Purpose::Digit(call, _)
            | Purpose::CheckPeer(call)
            | Purpose::Refer(call) => self.calls.handle_renumbered(call, cseq),
            Purpose::Notify(call) => self.calls.handle_notify_renumbered(call, cseq),
            Purpose::Subscribe(index, leg) => {
                self.subscriptions.handle_renumbered(index, leg, cseq);
            }
            Purpose::Served(id) => self.subscriptions.served_mut().handle_renumbered(id, cseq),
            Purpose::Publish(id) => self.publications.handle_renumbered(id, cseq),
            Purpose::Ack(_)
            | Purpose::Probe(_)
            | Purpose::Keepalive(_)
            | Purpose::Message(_)
            | Purpose::None => {}
        }
    }

    fn on_invite_response(
        &mut self,
        handle: CallHandle,
        id: RequestId,
        response: &Response,
        now: Instant,
    ) {
        let dialog = self.requests.dialog_of(id, response);
        if !response.is_success() {
            return self.on_call(handle, now, |call, turn| {
                call.handle_invite_response(response, dialog, turn);
            });
        }
        let Some(dialog) = dialog else { return };
        let shared = &mut self.shared;
        self.requests.acknowledge(id, &dialog, shared, now);
        if self.calls.get(handle).is_some_and(Call::is_calling) {
            let trusted = dialog
                .far_host()
                .is_some_and(|host| self.is_trusted(handle, host));
            return self.on_call(handle, now, |call, turn| {
                call.handle_answer(response, dialog, trusted, turn);
            });
        }
        // Another branch answered as well, or the call is over (section 13.2.2.4).
        let account = self.requests.account(id);
        let shared = &mut self.shared;
        self.requests.send_bye(dialog, account, shared, now);
    }

    fn on_change_accepted(
        &mut self,
        handle: CallHandle,
        id: RequestId,
        response: &Response,
        now: Instant,
    ) {
        if self.calls.contains(handle) {
            return self.on_call(handle, now, |call, turn| {
                call.handle_change_accepted(id, response, turn);
            });
        }
        let shared = &mut self.shared;
        self.requests.acknowledge_late(id, response, shared, now);
    }
}
