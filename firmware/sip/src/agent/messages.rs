//! Text messages outside of calls, both ways.

use std::time::Instant;

use crate::action::{OutgoingRequest, Purpose, Reply};
use crate::admission::Origin;
use crate::api::{Event, MessageError, SendError};
use crate::flow::Flow;
use crate::identity::party;
use crate::ids::{AccountId, MessageId};
use crate::message::{NameAddr, Request, SipUri, reason_phrase};
use crate::text_message::{MAX_TEXT, TextMessage, text_of};

use super::UserAgent;
use super::requests::Outcome;

impl UserAgent {
    /// Sends a text to a number or address (RFC 3428); [`Event::MessageSent`] says what came of it.
    /// It is protected on its way as the account's signalling is, and not from the servers.
    pub fn send_message(
        &mut self,
        account: Option<AccountId>,
        target: &str,
        text: &str,
        now: Instant,
    ) -> Result<MessageId, SendError> {
        let sent = self.begin_message(account.map(|account| account.0), target, text, now);
        self.finish_turn(now);
        sent
    }

    fn begin_message(
        &mut self,
        account: Option<usize>,
        target: &str,
        text: &str,
        now: Instant,
    ) -> Result<MessageId, SendError> {
        if text.is_empty() {
            return Err(SendError::Empty);
        }
        if text.len() > MAX_TEXT {
            return Err(SendError::TooLong(text.len()));
        }
        let target = self.request_uri(account, target)?;
        let sips = target.as_sip().is_some_and(SipUri::is_secure);
        let route = self.route(account, &target, false, sips, sips);
        let name = account
            .and_then(|account| self.env.account(account))
            .map_or(Some(&self.env.config.display_name), |account| {
                account.display_name.as_ref()
            });
        let name = name.cloned().unwrap_or_default();
        let own = account.and_then(|account| self.env.address_of_record(account));
        let from = own.unwrap_or_else(|| {
            let here = SipUri::at(self.env.addresses.primary());
            NameAddr::new(here.with_user(&self.env.config.user))
        });
        let message = TextMessage {
            target,
            from: from.with_display(&name),
            routes: &route.routes,
            text,
        };
        let request = message.build(&mut self.env);
        let id = self.env.request_id();
        let outgoing = OutgoingRequest {
            purpose: Purpose::Message(MessageId(id)),
            account,
            request,
            hop: route.hop,
            flow: None,
        };
        self.send_request(id, outgoing, now);
        Ok(MessageId(id))
    }

    /// A message of ours got its final status.
    pub(super) fn on_message_outcome(&mut self, message: MessageId, outcome: Outcome<'_>) {
        let code = outcome.code();
        let reason = match outcome {
            Outcome::Response(response) if !response.reason().is_empty() => response.reason(),
            Outcome::Response(_) => reason_phrase(code),
            Outcome::Failed(_, reason) => reason,
        };
        let reason = reason.to_owned();
        let result = if code < 300 {
            Ok(())
        } else {
            Err(MessageError { code, reason })
        };
        self.events
            .push_back(Event::MessageSent { message, result });
    }

    /// MESSAGE (RFC 3428), in a transaction of its own: a repeated one is shown once.
    pub(super) fn handle_message(
        &mut self,
        origin: Origin,
        reply_to: Flow,
        key: &str,
        request: &Request,
        now: Instant,
    ) {
        let Some(transaction) = self.open(reply_to, key, request.clone(), None) else {
            self.transport.counters.dropped += 1;
            return;
        };
        self.request_accepted(reply_to, origin.is_known());
        let host = reply_to.remote().ip();
        let account = origin.account();
        let registration = account.and_then(|account| self.registrations.get(account));
        let trusted = registration.is_some_and(|found| found.servers().has_address(host));
        if let Ok(from) = request.headers.from()
            && let Some(text) = text_of(request).filter(|text| !text.is_empty())
        {
            self.events.push_back(Event::Message {
                account: account.map(AccountId),
                from: party(&request.headers, trusted, &from),
                address: from.uri.to_string(),
                text,
            });
        }
        let reply = Reply::new(200).with_capabilities();
        self.respond(transaction, &reply, now);
    }
}
