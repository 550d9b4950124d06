//! The outcome of a request of ours, brought to the object it was sent for.

use std::net::IpAddr;
use std::time::Instant;

use crate::action::{Purpose, Turn};
use crate::api::{Event, PeerCheck};
use crate::call::{Call, ChangeRefused};
use crate::client_request::ClientRequest;
use crate::dialog::Dialog;
use crate::ids::{CallHandle, RequestId};
use crate::message::Response;
use crate::registration::RegisterOutcome;

use super::UserAgent;
use super::requests::Outcome;

impl UserAgent {
    /// Brings a request's outcome to what it was for.
    pub(super) fn on_outcome(
        &mut self,
        purpose: Purpose,
        id: RequestId,
        outcome: Outcome<'_>,
        now: Instant,
    ) {
        let provisional = outcome.code() < 200;
        match (purpose, outcome) {
            (Purpose::Invite(call), Outcome::Response(response)) => {
                self.on_invite_response(call, id, response, now);
            }
            (Purpose::Invite(call), Outcome::Failed(code, reason)) => {
                self.on_call(call, now, |call, turn| {
                    call.handle_invite_failure(code, reason, turn);
                });
            }
            (_, _) if provisional => {}
            (Purpose::Register(account), Outcome::Response(response)) => {
                self.on_register_outcome(account, RegisterOutcome::Response(response), now);
            }
            (Purpose::Register(account), Outcome::Failed(code, reason)) => {
                self.on_register_outcome(account, RegisterOutcome::Failed(code, reason), now);
            }
            (Purpose::Reinvite(call), Outcome::Response(response)) if response.is_success() => {
                self.on_change_accepted(call, id, response, now);
            }
            (Purpose::Reinvite(call), _) => {
                let refusal = match outcome {
                    Outcome::Response(response) => ChangeRefused::of(response),
                    Outcome::Failed(code, _) => ChangeRefused::failed(code),
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
                    call.handle_in_dialog_outcome(outcome.code(), turn);
                });
            }
            (Purpose::Digit(call, key), _) => {
                self.on_call(call, now, |call, turn| {
                    call.handle_digit_outcome(key, outcome.code(), turn);
                });
            }
            (Purpose::Refer(call), _) => self.on_call(call, now, |call, turn| {
                call.handle_refer_outcome(outcome.code(), turn);
            }),
            (Purpose::Notify(call), _) => {
                self.subscriptions
                    .handle_notify_outcome(call, outcome.code());
            }
            (Purpose::Subscribe(index, leg), _) => {
                self.on_subscribe_outcome(index, leg, outcome, now);
            }
            (Purpose::Served(id), _) => self.served.handle_notify_outcome(id, outcome.code()),
            (Purpose::Keepalive(account), Outcome::Response(response)) => {
                self.on_keepalive_outcome(account, Some(response), now);
            }
            (Purpose::Keepalive(account), Outcome::Failed(..)) => {
                self.on_keepalive_outcome(account, None, now);
            }
            (Purpose::CheckPeer(call), _) => {
                // Section 12.2.1.2: these say that the dialog is gone.
                let result = match outcome.code() {
                    408 | 481 | 503 => PeerCheck::Gone,
                    _ => PeerCheck::Alive,
                };
                if self.calls.contains_key(&call) {
                    self.events.push_back(Event::PeerChecked { call, result });
                }
            }
            (Purpose::Message(message), _) => self.on_message_outcome(message, outcome),
            (Purpose::Publish(id), _) => self.on_publish_outcome(id, outcome, now),
            (Purpose::Probe(account), _) => self.on_probe_outcome(account, outcome.code(), now),
            (Purpose::Ack(_) | Purpose::Prack(_) | Purpose::None, _) => {}
        }
    }

    /// A request was sent again under a higher number.
    pub(super) fn on_renumbered(&mut self, purpose: Purpose, cseq: u32) {
        match purpose {
            Purpose::Register(account) => {
                if let Some(registration) = self.registrations.get_mut(account) {
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
            | Purpose::Refer(call) => {
                if let Some(call) = self.calls.get_mut(&call) {
                    call.handle_renumbered(cseq);
                }
            }
            Purpose::Notify(call) => {
                let referrer = self.subscriptions.referrer_of(call);
                match referrer.and_then(|referrer| self.calls.get_mut(&referrer)) {
                    Some(referrer) => referrer.handle_renumbered(cseq),
                    None => self.subscriptions.handle_renumbered(call, cseq),
                }
            }
            Purpose::Subscribe(index, leg) => {
                if let Some(subscription) = self.watching.get_mut(index) {
                    subscription.handle_renumbered(leg, cseq);
                }
            }
            Purpose::Served(id) => self.served.handle_renumbered(id, cseq),
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
        let dialog = self.dialog_of(id, response);
        if !response.is_success() {
            return self.on_call(handle, now, |call, turn| {
                call.handle_invite_response(response, dialog, turn);
            });
        }
        let Some(mut dialog) = dialog else { return };
        self.acknowledge(id, &dialog, now);
        if self.calls.get(&handle).is_some_and(Call::is_calling) {
            let trusted = dialog
                .far_host()
                .is_some_and(|host| self.is_trusted(handle, host));
            return self.on_call(handle, now, |call, turn| {
                call.handle_answer(response, dialog, trusted, turn);
            });
        }
        // Another branch answered as well, or the call is over (section 13.2.2.4).
        let account = self.requests.get(&id).and_then(ClientRequest::account);
        let mut turn = Turn::new(&mut self.env, now);
        turn.send_bye(&mut dialog, account, None);
        let actions = turn.into_actions();
        self.execute(handle, actions, now);
    }

    /// Whether this host is the server of the call's account: what it says of the far end counts.
    pub(super) fn is_trusted(&self, handle: CallHandle, host: IpAddr) -> bool {
        let account = self.calls.get(&handle).and_then(Call::account);
        let registration = account.and_then(|account| self.registrations.get(account));
        registration.is_some_and(|registration| registration.servers().has_address(host))
    }

    /// The dialog a response to a request of ours makes.
    fn dialog_of(&self, id: RequestId, response: &Response) -> Option<Dialog> {
        let request = self.requests.get(&id)?;
        Dialog::of_caller(request.request(), response, request.flow())
    }

    fn on_change_accepted(
        &mut self,
        handle: CallHandle,
        id: RequestId,
        response: &Response,
        now: Instant,
    ) {
        if self.calls.contains_key(&handle) {
            return self.on_call(handle, now, |call, turn| {
                call.handle_change_accepted(id, response, turn);
            });
        }
        // The call ended meanwhile: the ACK must follow all the same. Inside of a dialog the routes
        // are those of the request, whatever the response records.
        let routes = self
            .requests
            .get(&id)
            .and_then(|request| request.request().headers.routes().ok());
        if let Some(mut dialog) = self.dialog_of(id, response) {
            dialog.routes = routes.unwrap_or_default();
            self.acknowledge(id, &dialog, now);
        }
    }
}
