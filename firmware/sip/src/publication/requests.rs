//! The PUBLISH requests of all publications: where they go, and what their outcomes mean.

use std::time::Instant;

use crate::action::{OutgoingRequest, Purpose};
use crate::api::{Event, MessageError};
use crate::ids::PublicationId;
use crate::message::{SipUri, reason_phrase};
use crate::requests;
use crate::shared::Shared;

use super::{EventState, Outcome, Publications, PublishError};

impl Publications {
    /// Takes up what is to be published for an account.
    pub(crate) fn publish(
        &mut self,
        account: Option<usize>,
        state: EventState,
        shared: &mut Shared,
        now: Instant,
    ) -> Result<PublicationId, PublishError> {
        let target = shared.request_uri(account, &state.target)?;
        self.begin(account, target, state, &mut shared.env.tokens, now)
    }

    /// The next request that is due.
    pub(crate) fn poll_request(
        &mut self,
        shared: &mut Shared,
        now: Instant,
    ) -> Option<OutgoingRequest> {
        let (id, account, target) = self.poll_due(now)?;
        let sips = target.as_sip().is_some_and(SipUri::is_secure);
        let route = shared.route(account, &target, false, sips, sips);
        let request = self.build(id, shared.sender(account), &route.routes, &shared.env)?;
        Some(OutgoingRequest {
            purpose: Purpose::Publish(id),
            account,
            request,
            hop: route.hop,
            flow: None,
        })
    }

    /// A PUBLISH got its final status: what its owner learns.
    pub(crate) fn handle_response(
        &mut self,
        publication: PublicationId,
        outcome: requests::Outcome<'_>,
        shared: &mut Shared,
        now: Instant,
    ) -> Option<Event> {
        let code = outcome.code();
        let (headers, reason) = match outcome {
            requests::Outcome::Response(response) if response.reason().is_empty() => {
                (Some(&response.headers), reason_phrase(code))
            }
            requests::Outcome::Response(response) => (Some(&response.headers), response.reason()),
            requests::Outcome::Failed(failure) => (None, &*failure.reason),
        };
        let tokens = &mut shared.env.tokens;
        let result = match self.handle_outcome(publication, code, headers, tokens, now) {
            Outcome::Silent => return None,
            Outcome::Published => Ok(()),
            Outcome::Refused => Err(MessageError {
                code,
                reason: reason.to_owned(),
            }),
        };
        Some(Event::Published {
            publication,
            result,
        })
    }
}
