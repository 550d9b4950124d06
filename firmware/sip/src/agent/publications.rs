//! What this phone publishes: [`crate::publication`] decides, the agent sends.

use std::time::Instant;

use crate::action::{OutgoingRequest, Purpose};
use crate::api::Event;
use crate::ids::{AccountId, CallHandle, PublicationId};
use crate::message::{NameAddr, SipUri, reason_phrase};
use crate::publication::{self, EventState, PublicationRefused, PublishError};

use super::requests::Outcome;
use super::{InviteError, UserAgent, Waiter};

/// Who talks to whom in a call: what a report of it names (RFC 6035 section 4.6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DialogIdentity {
    /// Call-ID.
    pub call_id: String,
    /// This end, name and address, without parameters.
    pub local: String,
    /// Its domain.
    pub local_domain: String,
    /// Its tag.
    pub local_tag: String,
    /// The far end, as `local`.
    pub remote: String,
    /// Its domain.
    pub remote_domain: String,
    /// Its tag.
    pub remote_tag: String,
}

/// Name and address, domain, tag.
fn party(address: &NameAddr) -> (String, String, String) {
    let bare = NameAddr {
        params: Default::default(),
        ..address.clone()
    };
    let domain = address.uri.as_sip().map(|uri| uri.host().to_string());
    (
        bare.to_string(),
        domain.unwrap_or_else(|| "unknown".to_owned()),
        address.tag().unwrap_or_default().to_owned(),
    )
}

impl UserAgent {
    /// Who talks to whom in an established call.
    pub fn dialog_identity(&self, call: CallHandle) -> Option<DialogIdentity> {
        let dialog = self.calls.get(&call)?.dialog()?;
        let (local, local_domain, local_tag) = party(&dialog.local);
        let (remote, remote_domain, remote_tag) = party(&dialog.remote);
        Some(DialogIdentity {
            call_id: dialog.call_id.clone(),
            local,
            local_domain,
            local_tag,
            remote,
            remote_domain,
            remote_tag,
        })
    }

    /// Publishes event state (RFC 3903), a report of call quality, say (RFC 6035);
    /// [`Event::Published`] says what came of it, and of state that is kept again whenever that
    /// changes. It goes by the account's servers, and without an account where its target says.
    pub fn publish(
        &mut self,
        account: Option<AccountId>,
        state: EventState,
        now: Instant,
    ) -> Result<PublicationId, PublishError> {
        let id = self.begin_publication(account.map(|account| account.0), state, now);
        self.send_publications(now);
        self.finish_turn(now);
        id
    }

    /// Gives state that is kept another body. Whether it is one, and the body is short enough.
    pub fn change_publication(&mut self, id: PublicationId, body: Vec<u8>, now: Instant) -> bool {
        let found = self.publications.change(id, body, now);
        self.send_publications(now);
        self.finish_turn(now);
        found
    }

    /// Takes state that is kept back from the server, or gives up a report.
    pub fn withdraw_publication(&mut self, id: PublicationId, now: Instant) {
        self.publications.withdraw(id, now);
        self.send_publications(now);
        self.finish_turn(now);
    }

    fn begin_publication(
        &mut self,
        account: Option<usize>,
        state: EventState,
        now: Instant,
    ) -> Result<PublicationId, PublishError> {
        if self.shutting_down {
            return Err(PublishError::TooMany);
        }
        let target = match (&state.target, account) {
            (Some(target), _) => self.request_uri(account, target)?,
            (None, Some(account)) => {
                let own = self.env.address_of_record(account);
                own.ok_or(InviteError::NoSuchAccount)?.uri
            }
            (None, None) => return Err(InviteError::NoSuchAccount.into()),
        };
        let tokens = &mut self.env.tokens;
        self.publications.begin(account, target, state, tokens, now)
    }

    /// Sends what is due.
    pub(super) fn send_publications(&mut self, now: Instant) {
        while let Some((id, account, target)) = self.publications.poll_due(now) {
            let sips = target.as_sip().is_some_and(SipUri::is_secure);
            let route = self.route(account, &target, false, sips, sips);
            let from = account
                .and_then(|account| self.env.address_of_record(account))
                .unwrap_or_else(|| {
                    let here = SipUri::at(self.env.addresses.primary());
                    NameAddr::new(here.with_user(&self.env.config.user))
                });
            let built = self.publications.build(id, from, &route.routes, &self.env);
            let Some(request) = built else { break };
            let outgoing = OutgoingRequest {
                purpose: Purpose::Publish(id),
                account,
                request,
                hop: route.hop,
                flow: None,
            };
            let number = self.env.request_id();
            self.send_request(number, outgoing, now);
        }
        let deadline = self.publications.deadline();
        self.deadlines.set(Waiter::Publications, deadline);
    }

    /// The phone goes.
    pub(super) fn withdraw_publications(&mut self, now: Instant) {
        self.publications.withdraw_all(now);
        self.send_publications(now);
    }

    /// A PUBLISH got its final status.
    pub(super) fn on_publish_outcome(
        &mut self,
        publication: PublicationId,
        outcome: Outcome<'_>,
        now: Instant,
    ) {
        let code = outcome.code();
        let (headers, reason) = match outcome {
            Outcome::Response(response) if response.reason().is_empty() => {
                (Some(&response.headers), reason_phrase(code))
            }
            Outcome::Response(response) => (Some(&response.headers), response.reason()),
            Outcome::Failed(_, reason) => (None, reason),
        };
        let tokens = &mut self.env.tokens;
        let result = self
            .publications
            .handle_outcome(publication, code, headers, tokens, now);
        let result = match result {
            publication::Outcome::Silent => None,
            publication::Outcome::Published => Some(Ok(())),
            publication::Outcome::Refused => Some(Err(PublicationRefused {
                code,
                reason: reason.to_owned(),
            })),
        };
        if let Some(result) = result {
            self.events.push_back(Event::Published {
                publication,
                result,
            });
        }
        self.send_publications(now);
    }
}
